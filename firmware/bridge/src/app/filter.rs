//! Which I2C writes of a host the guard lets through.
//!
//! The rule for the parts that keep a board safe: a host may switch off, may set voltages within the hard limits,
//! may switch on with a grant, and may otherwise write only what the part already holds. So the host's own drivers, which
//! set a part up and read it back, run unchanged, and none of them can widen a limit.

use board_devices::pmbus::{slinear11, ulinear16};
use board_devices::{ds4432u, emc2302};
use embedded_hal::i2c::I2c;
use guard::{Decision, Millivolts};

use crate::app::plan::{FanPlan, Plan, RailPlan, SensorSource};
use crate::page::MAX_I2C_WRITE;

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes to the device.
    Pass,
    /// The device already holds it; the host is told that it is done.
    Held,
    /// A duty for the fan with this index, in percent.
    Duty { fan: usize, percent: u8 },
    /// It goes to the device, and switches the core.
    Core { on: bool },
    /// Not now, or never.
    Deny(&'static str),
}

/// Judges the bytes that a host wants to write to `address`. Reads of registers come here too, as the one byte that
/// names the register.
pub(crate) fn judge(
    plan: &Plan,
    decision: &Decision,
    i2c: &mut impl I2c,
    bus: u8,
    address: u8,
    data: &[u8],
) -> Verdict {
    // Reserved addresses: general call among them, which resets some parts.
    if !(0x08..=0x77).contains(&address) {
        return Verdict::Deny("reserved address");
    }
    for rail in plan.rails.iter() {
        match *rail {
            RailPlan::Tps546 {
                bus: b, address: a, ..
            } if (b, a) == (bus, address) => {
                return tps546(plan, decision, i2c, address, data);
            }
            RailPlan::Ds4432u {
                bus: b,
                address: a,
                network,
                output,
                monitor,
            } if b == bus => {
                if a == address {
                    return dac(plan, i2c, address, network, output, data);
                }
                if monitor == Some(address) {
                    return held(i2c, address, data);
                }
            }
            _ => {}
        }
    }
    for (index, fan) in plan.fans.iter().enumerate() {
        match (*fan, data) {
            (
                FanPlan::Emc2101 {
                    bus: b, address: a, ..
                },
                &[EMC2101_DUTY, code],
            ) if (b, a) == (bus, address) => {
                return Verdict::Duty {
                    fan: index,
                    percent: percent(code & EMC2101_FULL, EMC2101_FULL),
                };
            }
            (
                FanPlan::Emc2302 {
                    bus: b,
                    address: a,
                    fan,
                },
                &[register, code],
            ) if (b, a) == (bus, address) && register == emc2302_duty(fan) => {
                return Verdict::Duty {
                    fan: index,
                    percent: percent(code, u8::MAX),
                };
            }
            _ => {}
        }
    }
    let guarded = plan.sensors.iter().any(|sensor| {
        !matches!(sensor.source, SensorSource::Regulator { .. })
            && (sensor.bus, sensor.address) == (bus, address)
    }) || plan.fans.iter().any(|fan| match *fan {
        FanPlan::Emc2101 {
            bus: b, address: a, ..
        }
        | FanPlan::Emc2302 {
            bus: b, address: a, ..
        } => (b, a) == (bus, address),
        FanPlan::Pwm { .. } => false,
    });
    let watchdog = plan.fans.iter().any(|fan| {
        matches!(*fan, FanPlan::Emc2302 { bus: b, address: a, .. } if (b, a) == (bus, address))
    });
    if watchdog && matches!(data, [EMC2302_CONFIG, 0x40 | 0x60]) {
        // Its watchdog off and on, as drivers start it.
        Verdict::Pass
    } else if guarded {
        held(i2c, address, data)
    } else {
        Verdict::Pass
    }
}

/// The voltage that may be set: within the hard limit, granted or not, because without grant the output is off.
fn allowed(plan: &Plan, voltage: Millivolts) -> bool {
    voltage <= plan.limits.max_voltage
}

fn tps546(
    plan: &Plan,
    decision: &Decision,
    i2c: &mut impl I2c,
    address: u8,
    data: &[u8],
) -> Verdict {
    match *data {
        // Storing can brick the part, restoring undoes its set-up.
        [0x11..=0x18, ..] => Verdict::Deny("the regulator's memory is not written"),
        [] | [_] => Verdict::Pass,
        [OPERATION, on] if on & 0x80 == 0 => Verdict::Core { on: false },
        // The bits below select a margin, which would raise the voltage.
        [OPERATION, 0x80] if decision.power => Verdict::Core { on: true },
        [OPERATION, 0x80] => Verdict::Deny("no power grant"),
        // The command alone, or command and control pin: with both a command switches off.
        [ON_OFF_CONFIG, 0x1B | 0x1F] => Verdict::Pass,
        [VOUT_COMMAND, lo, hi] => {
            let mut mode = [0];
            if i2c.write_read(address, &[VOUT_MODE], &mut mode).is_err() {
                return Verdict::Deny("the regulator does not answer");
            }
            let [mode] = mode;
            let exponent = (mode << 3).cast_signed() >> 3;
            let voltage = ulinear16::to_milli(u16::from_le_bytes([lo, hi]), exponent);
            if allowed(plan, Millivolts(voltage)) {
                Verdict::Pass
            } else {
                Verdict::Deny("voltage above the limit")
            }
        }
        // Not every bit of it reads back. The application has written it.
        [PIN_DETECT_OVERRIDE, 0xFF, 0xFF] => Verdict::Held,
        [command, lo, hi] => {
            let mut word = [0; 2];
            if i2c.write_read(address, &[command], &mut word).is_err() {
                return Verdict::Deny("the regulator does not answer");
            }
            if near(
                command,
                u16::from_le_bytes([lo, hi]),
                u16::from_le_bytes(word),
            ) {
                Verdict::Held
            } else {
                Verdict::Deny(GUARDED)
            }
        }
        _ => held(i2c, address, data),
    }
}

fn dac(
    plan: &Plan,
    i2c: &mut impl I2c,
    address: u8,
    network: ds4432u::Network,
    output: ds4432u::Output,
    data: &[u8],
) -> Verdict {
    let register = match output {
        ds4432u::Output::Zero => 0xF8,
        ds4432u::Output::One => 0xF9,
    };
    match *data {
        [to, code] if to == register => match network.voltage_uv(code) {
            Some(uv) if allowed(plan, Millivolts(uv.div_ceil(1_000))) => Verdict::Pass,
            _ => Verdict::Deny("voltage above the limit"),
        },
        _ => held(i2c, address, data),
    }
}

/// Lets a write through only if it changes nothing.
fn held(i2c: &mut impl I2c, address: u8, data: &[u8]) -> Verdict {
    let [register, value @ ..] = data else {
        return Verdict::Pass;
    };
    if value.is_empty() {
        return Verdict::Pass;
    }
    let mut there = [0; MAX_I2C_WRITE];
    let Some(there) = there.get_mut(..value.len()) else {
        return Verdict::Deny(GUARDED);
    };
    if i2c.write_read(address, &[*register], there).is_ok() && there == value {
        Verdict::Held
    } else {
        Verdict::Deny(GUARDED)
    }
}

/// Whether a TPS546 holds as good as what the host wants: it keeps some numbers with another exponent or in coarser
/// steps. Nothing is written then, so that small steps never add up.
fn near(command: u8, wants: u16, holds: u16) -> bool {
    let milli = slinear11::to_milli;
    match command {
        // Divider of the output voltage: it sets what the other output registers mean.
        0x29 => milli(wants) == milli(holds),
        // Output limits, margins.
        0x24..=0x26 | 0x2B | 0x40 | 0x42..=0x44 => wants.abs_diff(holds) <= wants / 32,
        // Frequency, input limits, currents, temperatures, times: numbers of 11 bits.
        0x33 | 0x35 | 0x36 | 0x46 | 0x4A | 0x4F | 0x51 | 0x55..=0x59 | 0x60..=0x66 => {
            let tolerance = (milli(wants).unsigned_abs() / 16).max(250);
            milli(wants).abs_diff(milli(holds)) <= tolerance
        }
        _ => wants == holds,
    }
}

fn percent(code: u8, full: u8) -> u8 {
    u8::try_from(u16::from(code) * 100 / u16::from(full)).unwrap_or(100)
}

fn emc2302_duty(fan: emc2302::Fan) -> u8 {
    match fan {
        emc2302::Fan::One => 0x30,
        emc2302::Fan::Two => 0x40,
    }
}

const GUARDED: &str = "the guard keeps this setting";
const OPERATION: u8 = 0x01;
const ON_OFF_CONFIG: u8 = 0x02;
const VOUT_MODE: u8 = 0x20;
const VOUT_COMMAND: u8 = 0x21;
const PIN_DETECT_OVERRIDE: u8 = 0xEE;
const EMC2101_DUTY: u8 = 0x4C;
const EMC2302_CONFIG: u8 = 0x20;
const EMC2101_FULL: u8 = 63;
