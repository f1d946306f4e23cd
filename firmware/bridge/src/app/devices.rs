//! The application's own look at the board, and its hand on the switch: drivers made for each use from the
//! plan.

use board_devices::pmbus::{Status, StatusFlag};
use board_devices::{Ds4432u, Emc2101, Emc2302, Error, Ina260, Lm75, Tmp451, Tmp1075, Tps546};
use guard::{
    CentiCelsius, FanReading, Guard, IMPLAUSIBLE_EXACT, IMPLAUSIBLE_FROM, Milliamps, Millivolts,
    Milliwatts, Percent, RailFaults, RailReading, ReadFault, Report, Subject,
};

use crate::app::hardware::{Broken, Hardware};
use crate::app::plan::{FanPlan, PinRole, Plan, RailPlan, SensorPlan, SensorSource};

/// Reads one sensor.
pub(crate) fn sensor<H: Hardware>(
    plan: &Plan,
    hardware: &mut H,
    sensor: &SensorPlan,
) -> Result<CentiCelsius, ReadFault> {
    let address = sensor.address;
    let centi = match sensor.source {
        SensorSource::Emc2101 => {
            let mut part = Emc2101::new(bus(hardware, sensor.bus)?, address);
            part.internal_centi_c().map_err(fault)?
        }
        SensorSource::Emc2101Diode => {
            let mut part = Emc2101::new(bus(hardware, sensor.bus)?, address);
            part.external_centi_c().map_err(fault)?
        }
        SensorSource::Tmp1075 => {
            let mut part = Tmp1075::new(bus(hardware, sensor.bus)?, address);
            part.centi_c().map_err(fault)?
        }
        SensorSource::Lm75 => {
            let mut part = Lm75::new(bus(hardware, sensor.bus)?, address);
            part.centi_c().map_err(fault)?
        }
        SensorSource::Tmp451 => {
            let mut part = Tmp451::new(bus(hardware, sensor.bus)?, address);
            part.local_centi_c().map_err(fault)?
        }
        SensorSource::Tmp451Diode => {
            let mut part = Tmp451::new(bus(hardware, sensor.bus)?, address);
            part.remote_centi_c().map_err(fault)?
        }
        SensorSource::Regulator { rail } => match plan.rails.get(rail.into()) {
            Some(&RailPlan::Tps546 {
                bus: number,
                address,
                config,
            }) => {
                let mut part = Tps546::new(bus(hardware, number)?, address, config);
                part.telemetry().map_err(fault)?.temperature_centi_c
            }
            _ => return Err(ReadFault::Failed),
        },
    };
    // What no working sensor gives reaches the guard as it is: an offset could make it look right.
    if centi == IMPLAUSIBLE_EXACT.0 || centi >= IMPLAUSIBLE_FROM.0 {
        return Ok(CentiCelsius(centi));
    }
    Ok(CentiCelsius(centi.saturating_add(sensor.offset.0)))
}

/// Reads one fan. `duty` is what it was last set to, for fans that cannot tell.
pub(crate) fn fan<H: Hardware>(
    hardware: &mut H,
    plan: &FanPlan,
    duty: Percent,
) -> Result<FanReading, ReadFault> {
    match *plan {
        FanPlan::Emc2101 {
            bus: number,
            address,
            ..
        } => {
            let mut part = Emc2101::new(bus(hardware, number)?, address);
            Ok(FanReading {
                rpm: guard::Rpm(part.rpm().map_err(fault)?),
                duty: Percent::new(part.duty().map_err(fault)?),
            })
        }
        FanPlan::Emc2302 {
            bus: number,
            address,
            fan,
        } => {
            let mut part = Emc2302::new(bus(hardware, number)?, address);
            Ok(FanReading {
                rpm: guard::Rpm(part.rpm(fan).map_err(fault)?),
                duty: Percent::new(part.duty(fan).map_err(fault)?),
            })
        }
        FanPlan::Pwm { fan } => {
            let rpm = hardware.rpm(fan).map_err(broken)?;
            Ok(FanReading { rpm, duty })
        }
    }
}

/// Sets one fan, and sets its controller up first where `init` says so.
pub(crate) fn set_fan<H: Hardware>(
    hardware: &mut H,
    plan: &FanPlan,
    duty: Percent,
    init: bool,
) -> Result<(), ReadFault> {
    match *plan {
        FanPlan::Emc2101 {
            bus: number,
            address,
            ideality,
            beta,
        } => {
            let mut part = Emc2101::new(bus(hardware, number)?, address);
            if init {
                part.identify().map_err(fault)?;
                part.init(ideality, beta).map_err(fault)?;
            }
            part.set_duty(duty.get()).map_err(fault)
        }
        FanPlan::Emc2302 {
            bus: number,
            address,
            fan,
        } => {
            let mut part = Emc2302::new(bus(hardware, number)?, address);
            if init {
                part.identify().map_err(fault)?;
                part.init().map_err(fault)?;
            }
            part.set_duty(fan, duty.get()).map_err(fault)
        }
        FanPlan::Pwm { fan } => hardware.set_duty(fan, duty).map_err(broken),
    }
}

/// Whether every rail whose voltage is only set, never measured, is set within the limit.
pub(crate) fn set_within_limit<H: Hardware>(plan: &Plan, hardware: &mut H) -> bool {
    plan.rails.iter().all(|rail| match *rail {
        RailPlan::Tps546 { .. } => true,
        RailPlan::Ds4432u {
            bus: number,
            address,
            network,
            output,
            ..
        } => hardware.i2c(number).is_some_and(|i2c| {
            let set = Ds4432u::new(i2c, address, network, output).set_point_mv();
            // Zero stands for a code that means nothing.
            set.is_ok_and(|mv| mv > 0 && Millivolts(mv) <= plan.limits.max_voltage)
        }),
    })
}

/// Looks at one rail.
pub(crate) fn rail<H: Hardware>(
    plan: &Plan,
    hardware: &mut H,
    rail: &RailPlan,
) -> Result<RailReading, ReadFault> {
    match *rail {
        RailPlan::Tps546 {
            bus: number,
            address,
            config,
        } => {
            let mut part = Tps546::new(bus(hardware, number)?, address, config);
            let status = part.status().map_err(fault)?;
            let telemetry = part.telemetry().map_err(fault)?;
            let commanded = part.is_on().map_err(fault)?;
            let mut faults = rail_faults(&status);
            if commanded && status.is_off() {
                faults = faults.with(RailFaults::OFF);
            }
            Ok(RailReading {
                on: Some(!status.is_off()),
                voltage: Some(Millivolts(telemetry.output_mv)),
                current: Some(Milliamps(u32::try_from(telemetry.output_ma).unwrap_or(0))),
                power: Some(Milliwatts(telemetry.output_mw())),
                input: Some(Millivolts(telemetry.input_mv)),
                faults,
            })
        }
        RailPlan::Ds4432u {
            bus: number,
            monitor,
            ..
        } => {
            let on = match plan.pin_of(PinRole::Core) {
                Some(pin) => Some(hardware.pin(pin.number).map_err(broken)? == pin.active_high),
                None => None,
            };
            let power = match monitor {
                Some(address) => Some(
                    Ina260::new(bus(hardware, number)?, address)
                        .read()
                        .map_err(fault)?,
                ),
                None => None,
            };
            Ok(RailReading {
                on,
                voltage: None,
                current: None,
                power: power.map(|power| Milliwatts(power.power_mw)),
                input: power.map(|power| Millivolts(power.voltage_mv)),
                faults: RailFaults::NONE,
            })
        }
    }
}

/// Sets one rail's regulator up, with its output off, and checks that it is the right one.
///
/// The error is what it says about the hardware itself, `None` for a transfer that failed.
pub(crate) fn configure<H: Hardware>(
    hardware: &mut H,
    index: usize,
    rail: &RailPlan,
) -> Result<(), Option<Report>> {
    let subject = Subject::Rail(u8::try_from(index).unwrap_or(u8::MAX));
    match *rail {
        RailPlan::Tps546 {
            bus: number,
            address,
            config,
        } => match hardware.i2c(number) {
            Some(i2c) => Tps546::new(i2c, address, config)
                .configure()
                .map_err(|error| report(subject, &error)),
            None => Err(Some(Report::Absent { subject })),
        },
        RailPlan::Ds4432u {
            bus: number,
            address,
            network,
            output,
            monitor,
        } => {
            let dac = match hardware.i2c(number) {
                Some(i2c) => Ds4432u::new(i2c, address, network, output)
                    .probe()
                    .map_err(|error| report(subject, &error)),
                None => Err(Some(Report::Absent { subject })),
            };
            match (dac, monitor, hardware.i2c(number)) {
                (Ok(()), Some(address), Some(i2c)) => {
                    let mut part = Ina260::new(i2c, address);
                    part.identify()
                        .and_then(|_| part.init())
                        .map_err(|error| report(subject, &error))
                }
                (result, _, _) => result,
            }
        }
    }
}

/// Takes power away: regulator off, core supply off, chips in reset, other supplies off. Everything is tried whatever
/// fails. What did not obey is told to the guard.
pub(crate) fn cut<H: Hardware>(
    plan: &Plan,
    hardware: &mut H,
    guard: &mut Guard,
    now: core::time::Duration,
) {
    for (index, rail) in plan.rails.iter().enumerate() {
        if let RailPlan::Tps546 {
            bus,
            address,
            config,
        } = *rail
            && let Some(i2c) = hardware.i2c(bus)
        {
            let subject = Subject::Rail(u8::try_from(index).unwrap_or(u8::MAX));
            let mut part = Tps546::new(i2c, address, config);
            // One bad transfer must not leave the core on. An absent part has no output to switch off.
            let result = part.turn_off().or_else(|_| part.turn_off());
            if let Err(error @ Error::ReadBack { .. }) = result
                && let Some(report) = report(subject, &error)
            {
                guard.report(now, report);
            }
        }
    }
    for role in [PinRole::Core, PinRole::Reset, PinRole::Supply] {
        for pin in plan.pins.iter().filter(|pin| pin.role == role) {
            let Some(level) = pin.safe_level() else {
                continue;
            };
            let _ = hardware.set_pin(pin.number, level);
            if hardware.pin(pin.number) != Ok(level) {
                guard.report(
                    now,
                    Report::Mismatch {
                        subject: Subject::Device(pin.number),
                        read: i32::from(!level),
                        wrote: i32::from(level),
                    },
                );
            }
        }
    }
}

fn bus<H: Hardware>(hardware: &mut H, bus: u8) -> Result<H::I2c<'_>, ReadFault> {
    hardware.i2c(bus).ok_or(ReadFault::Absent)
}

fn fault<E>(error: Error<E>) -> ReadFault {
    if error.is_absent() {
        ReadFault::Absent
    } else {
        ReadFault::Failed
    }
}

fn broken(error: Broken) -> ReadFault {
    match error {
        Broken::Missing => ReadFault::Absent,
        Broken::Failed => ReadFault::Failed,
    }
}

/// What a driver's error says about the hardware itself; `None` for troubles of the bus.
fn report<E>(subject: Subject, error: &Error<E>) -> Option<Report> {
    let number = |value: u64| i32::try_from(value & 0x7FFF_FFFF).unwrap_or(i32::MAX);
    match *error {
        Error::Absent { .. } => Some(Report::Absent { subject }),
        Error::WrongDevice {
            found, expected, ..
        } => Some(Report::WrongDevice {
            subject,
            found: number(found),
            expected: number(expected),
        }),
        Error::Unsupported { value, .. } => Some(Report::WrongDevice {
            subject,
            found: number(value.into()),
            expected: 0,
        }),
        Error::ReadBack { wrote, read, .. } => Some(Report::Mismatch {
            subject,
            read: number(read.into()),
            wrote: number(wrote.into()),
        }),
        _ => None,
    }
}

fn rail_faults(status: &Status) -> RailFaults {
    status
        .flags()
        .filter(|flag| flag.is_fault())
        .fold(RailFaults::NONE, |faults, flag| {
            faults.with(match flag {
                StatusFlag::OutputOverVoltage => RailFaults::OVER_VOLTAGE,
                StatusFlag::OutputUnderVoltage => RailFaults::UNDER_VOLTAGE,
                StatusFlag::OutputOverCurrent => RailFaults::OVER_CURRENT,
                StatusFlag::OverTemperature => RailFaults::OVER_TEMPERATURE,
                StatusFlag::InputOverVoltage
                | StatusFlag::InputUnderVoltage
                | StatusFlag::InputOverCurrent => RailFaults::INPUT,
                StatusFlag::Communication => RailFaults::COMMUNICATION,
                _ => RailFaults::OTHER,
            })
        })
}
