//! The devices of the boards behind one face: a temperature is asked of a sensor, a speed of a fan, a
//! voltage of a supply, whatever part it is. Drivers are made anew for every access; errors become what
//! the guard understands, with the words of the driver kept for people.

use board_devices::{
    self as devices, Ds4432u, Eeprom, Emc2101, Emc2103, Emc2302, Ina260, Lm75, Part, Presence,
    Tmp451, Tmp1075, Tps536x7, Tps546, ds4432u, eeprom, emc2103, emc2302, part, tps536x7, tps546,
};
use board_profiles::SensorChannel;
use embedded_hal::i2c::I2c;
use guard::{RailFaults, ReadFault};

use crate::buses::{BusError, Buses};

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Board within the station.
    pub(crate) board: usize,
    /// Name of its bus.
    pub(crate) bus: String,
    /// 7-bit address.
    pub(crate) address: u8,
    /// What it is.
    pub(crate) part: Part,
}

/// Why an access failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// For the guard.
    pub(crate) fault: ReadFault,
    /// The device is another one: what it says and what was expected.
    pub(crate) wrong: Option<(u64, u64)>,
    /// What was read back and what was written.
    pub(crate) mismatch: Option<(u32, u32)>,
    /// Nothing behind the port can be reached.
    pub(crate) gone: bool,
    /// For people.
    pub(crate) text: String,
}

impl Trouble {
    fn new(fault: ReadFault, text: impl Into<String>) -> Self {
        Self {
            fault,
            wrong: None,
            mismatch: None,
            gone: false,
            text: text.into(),
        }
    }
}

impl From<BusError> for Trouble {
    fn from(error: BusError) -> Self {
        let fault = match error {
            BusError::NotAcknowledged | BusError::Missing(_) => ReadFault::Absent,
            _ => ReadFault::Failed,
        };
        Self {
            gone: matches!(error, BusError::Gone(_)),
            ..Self::new(fault, error.to_string())
        }
    }
}

impl From<devices::Error<BusError>> for Trouble {
    fn from(error: devices::Error<BusError>) -> Self {
        let text = match &error {
            devices::Error::Bus { address, error } => {
                format!("I2C transfer with address {address:#04x}: {error}")
            }
            other => other.to_string(),
        };
        let fault = if error.is_absent() {
            ReadFault::Absent
        } else {
            ReadFault::Failed
        };
        let mut trouble = Self::new(fault, text);
        match error {
            devices::Error::Bus { error, .. } => trouble.gone = matches!(error, BusError::Gone(_)),
            devices::Error::WrongDevice {
                found, expected, ..
            } => trouble.wrong = Some((found, expected)),
            devices::Error::ReadBack { wrote, read, .. } => trouble.mismatch = Some((read, wrote)),
            _ => {}
        }
        trouble
    }
}

type I2cResult<T> = Result<T, devices::Error<BusError>>;

/// Runs an access on the bus of a device.
pub(crate) fn on_bus<T>(
    buses: &mut dyn Buses,
    place: &Place,
    access: impl FnOnce(&mut dyn I2c<Error = BusError>) -> I2cResult<T>,
) -> Result<T, Trouble> {
    let mut bus = buses.i2c(place.board, &place.bus)?;
    Ok(access(&mut *bus)?)
}

/// What the guard and people take for an open or shorted diode where the part has a code for it
/// instead of a value, °C/100.
pub(crate) const DIODE_CODE: i32 = 12_793;

/// A temperature as the part gives it, °C/100. An open or shorted diode is [`DIODE_CODE`].
pub(crate) fn temperature(
    buses: &mut dyn Buses,
    place: &Place,
    channel: SensorChannel,
) -> Result<i32, Trouble> {
    let address = place.address;
    let read = on_bus(buses, place, |bus| {
        let value = match (place.part, channel) {
            (Part::Emc2101, SensorChannel::Local) => Emc2101::new(bus, address).internal_centi_c(),
            (Part::Emc2101, _) => Emc2101::new(bus, address).external_centi_c(),
            (Part::Emc2103, SensorChannel::Local) => {
                Emc2103::new(bus, address, false).internal_centi_c()
            }
            (Part::Emc2103, SensorChannel::Remote) => {
                Emc2103::new(bus, address, false).external_centi_c(emc2103::Diode::First)
            }
            (Part::Emc2103, SensorChannel::Remote2) => {
                Emc2103::new(bus, address, false).external_centi_c(emc2103::Diode::Second)
            }
            (Part::Tmp1075, _) => Tmp1075::new(bus, address).centi_c(),
            (Part::Tmp451, SensorChannel::Local) => Tmp451::new(bus, address).local_centi_c(),
            (Part::Tmp451, _) => Tmp451::new(bus, address).remote_centi_c(),
            (Part::Lm75, _) => Lm75::new(bus, address).centi_c(),
            (Part::Tps546, _) => Tps546::new(bus, address, tps546::Config::BITAXE_5V)
                .telemetry()
                .map(|telemetry| telemetry.temperature_centi_c),
            (Part::Tps53647 | Part::Tps53667, _) => {
                Tps536x7::new(bus, address, tps536x7::Config::NERDQAXE_PP)
                    .telemetry()
                    .map(|telemetry| telemetry.temperature_centi_c)
            }
            _ => return Ok(None),
        };
        match value {
            Err(devices::Error::DiodeOpen { .. } | devices::Error::DiodeShort { .. }) => {
                Ok(Some(DIODE_CODE))
            }
            other => other.map(Some),
        }
    })?;
    read.ok_or_else(|| {
        Trouble::new(
            ReadFault::Failed,
            format!("{} measures no temperature", place.part.name()),
        )
    })
}

/// Smallest step of a part's temperature, °C/100, rounded up; the regulators' is not published and
/// taken as coarse.
pub(crate) fn temperature_step(part: Part, channel: SensorChannel) -> i32 {
    let milli = match (part, channel) {
        (Part::Emc2101, SensorChannel::Local) => devices::emc2101::INTERNAL_STEP_MK,
        (Part::Emc2101, _) => devices::emc2101::EXTERNAL_STEP_MK,
        (Part::Emc2103, _) => emc2103::STEP_MK,
        (Part::Tmp1075 | Part::Tmp451, _) => devices::tmp1075::STEP_MK,
        (Part::Lm75, _) => devices::lm75::step_mk(9),
        _ => 1_000,
    };
    i32::try_from(milli.div_ceil(10)).unwrap_or(100)
}

/// Whether something that drives a fan can be asked to.
pub(crate) fn drives_fans(part: Part) -> bool {
    matches!(part, Part::Emc2101 | Part::Emc2103 | Part::Emc2302)
}

/// Sets a fan's duty, %, and reads it back.
pub(crate) fn set_fan(
    buses: &mut dyn Buses,
    place: &Place,
    channel: u8,
    percent: u8,
) -> Result<(), Trouble> {
    let address = place.address;
    on_bus(buses, place, |bus| match place.part {
        Part::Emc2101 => Emc2101::new(bus, address).set_duty(percent),
        Part::Emc2103 => Emc2103::new(bus, address, false).set_duty(percent),
        _ => Emc2302::new(bus, address).set_duty(fan_of(channel), percent),
    })
}

/// A fan's speed, rpm, and the duty in force, %.
pub(crate) fn fan(buses: &mut dyn Buses, place: &Place, channel: u8) -> Result<(u32, u8), Trouble> {
    let address = place.address;
    on_bus(buses, place, |bus| match place.part {
        Part::Emc2101 => {
            let mut part = Emc2101::new(bus, address);
            Ok((part.rpm()?, part.duty()?))
        }
        Part::Emc2103 => {
            let mut part = Emc2103::new(bus, address, false);
            Ok((part.rpm()?, part.duty()?))
        }
        _ => {
            let mut part = Emc2302::new(bus, address);
            Ok((part.rpm(fan_of(channel))?, part.duty(fan_of(channel))?))
        }
    })
}

fn fan_of(channel: u8) -> emc2302::Fan {
    emc2302::Fan::from_channel(channel.saturating_sub(1)).unwrap_or(emc2302::Fan::One)
}

/// Looks whether a device is there and is the right one. The Antminer supply is asked by its own
/// talk, which takes time.
pub(crate) fn probe(buses: &mut dyn Buses, place: &Place) -> Result<Presence, Trouble> {
    on_bus(buses, place, |bus| {
        part::probe(bus, place.part, place.address)
    })
}

/// Sets up what needs it before it can be read: fan controllers and the power monitor.
pub(crate) fn init(
    buses: &mut dyn Buses,
    place: &Place,
    ideality: Option<u8>,
    beta: Option<u8>,
) -> Result<(), Trouble> {
    let address = place.address;
    on_bus(buses, place, |bus| match place.part {
        Part::Emc2101 => Emc2101::new(bus, address).init(ideality, beta),
        Part::Emc2103 => Emc2103::new(bus, address, false).init(ideality, beta),
        Part::Emc2302 => Emc2302::new(bus, address).init(),
        Part::Ina260 => Ina260::new(bus, address).init(),
        _ => Ok(()),
    })
}

/// The first bytes of a board's memory.
pub(crate) fn memory(buses: &mut dyn Buses, place: &Place) -> Result<[u8; 16], Trouble> {
    on_bus(buses, place, |bus| {
        let mut data = [0; 16];
        Eeprom::new(bus, place.address, eeprom::Size::C02)?.read(0, &mut data)?;
        Ok(data)
    })
}

/// What feeds a board's input: voltage mV, power mW.
pub(crate) fn input_power(buses: &mut dyn Buses, place: &Place) -> Result<(u32, u32), Trouble> {
    on_bus(buses, place, |bus| {
        let power = Ina260::new(bus, place.address).read()?;
        Ok((power.voltage_mv, power.power_mw))
    })
}

/// How the core voltage is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    /// A TPS546, switched by command.
    Tps546(tps546::Config),
    /// A TPS53647 or TPS53667, switched by its pin.
    Tps536x7(tps536x7::Config),
    /// A regulator without a bus whose feedback a current DAC moves, switched by a pin.
    Dac(ds4432u::Network, ds4432u::Output),
    /// The machine's power supply, switched by a pin. Talking to it takes time: see
    /// [`crate::psu`].
    Psu,
}

/// What a supply says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SupplyReading {
    /// It says that its output is on.
    pub(crate) on: Option<bool>,
    /// Output voltage, mV.
    pub(crate) output_mv: Option<u32>,
    /// The voltage was measured, not read back from a setting.
    pub(crate) measured: bool,
    /// Output current, mA.
    pub(crate) output_ma: Option<u32>,
    /// Input voltage, mV.
    pub(crate) input_mv: Option<u32>,
    /// Output power, mW.
    pub(crate) output_mw: Option<u32>,
    /// Complaints.
    pub(crate) faults: RailFaults,
}

/// Prepares a supply with its output off.
pub(crate) fn supply_init(
    buses: &mut dyn Buses,
    place: &Place,
    supply: Supply,
) -> Result<(), Trouble> {
    on_bus(buses, place, |bus| match supply {
        Supply::Tps546(config) => Tps546::new(bus, place.address, config).configure(),
        Supply::Tps536x7(config) => Tps536x7::new(bus, place.address, config).configure(),
        Supply::Dac(..) | Supply::Psu => Ok(()),
    })
}

/// Sets a supply's output, mV, and reads the setting back. Gives what is set.
pub(crate) fn supply_set(
    buses: &mut dyn Buses,
    place: &Place,
    supply: Supply,
    mv: u32,
) -> Result<u32, Trouble> {
    on_bus(buses, place, |bus| match supply {
        Supply::Tps546(config) => {
            let mut part = Tps546::new(bus, place.address, config);
            part.set_output_mv(mv)?;
            part.set_point_mv()
        }
        Supply::Tps536x7(config) => {
            let mut part = Tps536x7::new(bus, place.address, config);
            part.set_output_mv(mv)?;
            part.set_point_mv()
        }
        Supply::Dac(network, output) => {
            let mut part = Ds4432u::new(bus, place.address, network, output);
            part.set_output_mv(mv)?;
            part.set_point_mv()
        }
        Supply::Psu => Ok(mv),
    })
}

/// Switches a supply that is switched by command; the others have a pin.
pub(crate) fn supply_switch(
    buses: &mut dyn Buses,
    place: &Place,
    supply: Supply,
    on: bool,
) -> Result<(), Trouble> {
    match supply {
        Supply::Tps546(config) => on_bus(buses, place, |bus| {
            let mut part = Tps546::new(bus, place.address, config);
            if on {
                part.clear_faults()?;
                part.turn_on()
            } else {
                part.turn_off()
            }
        }),
        _ => Ok(()),
    }
}

/// Asks a supply how it is.
pub(crate) fn supply_read(
    buses: &mut dyn Buses,
    place: &Place,
    supply: Supply,
) -> Result<SupplyReading, Trouble> {
    on_bus(buses, place, |bus| match supply {
        Supply::Tps546(config) => {
            let mut part = Tps546::new(bus, place.address, config);
            let on = part.is_on()?;
            let status = part.status()?;
            Ok(pmbus_reading(on, status, part.telemetry()?))
        }
        Supply::Tps536x7(config) => {
            let mut part = Tps536x7::new(bus, place.address, config);
            let status = part.status()?;
            Ok(pmbus_reading(!status.is_off(), status, part.telemetry()?))
        }
        Supply::Dac(network, output) => {
            // A setting is all that it knows.
            Ds4432u::new(bus, place.address, network, output).set_point_mv()?;
            Ok(SupplyReading::default())
        }
        Supply::Psu => Ok(SupplyReading::default()),
    })
}

/// What a PMBus regulator says. `commanded` is whether it was told to be on: one that is off by order
/// complains of nothing but what stays latched from before.
fn pmbus_reading(
    commanded: bool,
    status: devices::pmbus::Status,
    telemetry: devices::pmbus::Telemetry,
) -> SupplyReading {
    use devices::pmbus::StatusFlag as Flag;
    let mut faults = RailFaults::NONE;
    for flag in status.flags().filter(|flag| flag.is_fault()) {
        faults = faults.with(match flag {
            Flag::OutputOverVoltage => RailFaults::OVER_VOLTAGE,
            Flag::OutputUnderVoltage | Flag::NotGood | Flag::SlowStart => RailFaults::UNDER_VOLTAGE,
            Flag::OutputOverCurrent => RailFaults::OVER_CURRENT,
            Flag::OverTemperature => RailFaults::OVER_TEMPERATURE,
            Flag::InputOverVoltage | Flag::InputUnderVoltage | Flag::InputOverCurrent => {
                RailFaults::INPUT
            }
            _ => RailFaults::OTHER,
        });
    }
    if !commanded {
        faults = RailFaults::NONE;
    } else if status.is_off() {
        faults = faults.with(RailFaults::OFF);
    }
    SupplyReading {
        on: Some(commanded && !status.is_off()),
        output_mv: Some(telemetry.output_mv),
        measured: true,
        output_ma: Some(u32::try_from(telemetry.output_ma).unwrap_or(0)),
        input_mv: Some(telemetry.input_mv),
        output_mw: Some(telemetry.output_mw()),
        faults,
    }
}
