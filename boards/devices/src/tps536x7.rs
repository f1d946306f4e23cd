//! TPS53647 (up to four phases) and TPS53667 (up to six): core regulators of the boards with four and
//! more chips on one domain. Command facts from the parts' data sheets and from what open firmware writes
//! at every start. A pin switches them on and off, not the bus. Nothing is ever stored in the part.

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::pmbus::{Command, Pmbus, Status, Telemetry, slinear11, ulinear16};
use crate::registers::in_range;

/// Address on all boards that are known to carry one.
pub const ADDRESS: u8 = 0x71;

/// Which of the two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Device code 0x01F0, one to four phases.
    Tps53647,
    /// Device code 0x01F8, one to six phases.
    Tps53667,
}

impl Model {
    /// What the part answers when asked for its device code.
    pub fn device_code(self) -> u16 {
        match self {
            Self::Tps53647 => 0x01F0,
            Self::Tps53667 => 0x01F8,
        }
    }

    /// Greatest number of phases.
    pub fn max_phases(self) -> u8 {
        match self {
            Self::Tps53647 => 4,
            Self::Tps53667 => 6,
        }
    }
}

/// How a board wants its regulator set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which part it is.
    pub model: Model,
    /// Phases that the board has, 1 to [`Model::max_phases`].
    pub phases: u8,
    /// Output current that full scale of the current measurement means, in amperes, 1 to 255; it
    /// follows from a resistor on the board.
    pub full_scale_a: u8,
    /// Output current at which the regulator stops, in amperes, 1 to 1023.
    pub iout_max_a: u16,
    /// Input current that gives a warning and that stops the regulator, in amperes; TPS53667 only.
    pub iin_a: Option<(u16, u16)>,
    /// Least output voltage, in millivolts.
    pub vout_min_mv: u16,
    /// Greatest output voltage, in millivolts.
    pub vout_max_mv: u16,
}

impl Config {
    /// NerdQAxe++: three phases, 1.005 to 1.4 V.
    pub const NERDQAXE_PP: Self = Self {
        model: Model::Tps53647,
        phases: 3,
        full_scale_a: 90,
        iout_max_a: 95,
        iin_a: None,
        vout_min_mv: 1_005,
        vout_max_mv: 1_400,
    };

    /// NerdOctaxe-γ with the TPS53667: six phases, 1.005 to 1.4 V.
    pub const NERDOCTAXE_GAMMA: Self = Self {
        model: Model::Tps53667,
        phases: 6,
        full_scale_a: 240,
        iout_max_a: 235,
        iin_a: Some((25, 28)),
        ..Self::NERDQAXE_PP
    };
}

/// Driver. Cheap to make; keeps nothing but the bus, the address and the set-up.
#[derive(Debug)]
pub struct Tps536x7<I2C> {
    device: Pmbus<I2C>,
    config: Config,
}

impl<I2C: I2c> Tps536x7<I2C> {
    /// Makes a driver for the part at a 7-bit address, normally [`ADDRESS`].
    pub fn new(bus: I2C, address: u8, config: Config) -> Self {
        Self {
            device: Pmbus::new(bus, address),
            config,
        }
    }

    /// Checks that the part of the set-up answers and returns its device code.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::WrongDevice`] or [`Error::Bus`].
    pub fn identify(&mut self) -> Result<u64, Error<I2C::Error>> {
        let found = self.device.word(Command::DeviceCode)?;
        let expected = u64::from(self.config.model.device_code());
        self.device.0.check_id(found.into(), [expected].into_iter())
    }

    /// Checks the identity, writes the whole set-up and clears old faults. Call it while the enable
    /// pin holds the output off. All that protects the board is read back.
    ///
    /// # Errors
    /// As [`Tps536x7::identify`]; [`Error::OutOfRange`] for a set-up that the part cannot have;
    /// [`Error::ReadBack`] naming the command that was not taken.
    pub fn configure(&mut self) -> Result<(), Error<I2C::Error>> {
        self.identify()?;
        let c = self.config;
        in_range("phases", c.phases.into(), 1, c.model.max_phases().into())?;
        in_range("full-scale current in A", c.full_scale_a.into(), 1, 255)?;
        in_range("current limit in A", c.iout_max_a.into(), 1, 1023)?;

        self.device
            .write_byte(Command::OnOffConfig, ON_OFF_BY_PIN)?;
        self.device.write_byte(Command::Mfr12, SWITCHING_500_KHZ)?;
        self.device.write_byte(Command::Mfr10, c.full_scale_a)?;
        self.device.write_byte(Command::Mfr13, MODE_VR12)?;
        self.device.write_byte(Command::Mfr20, c.phases - 1)?;
        let max = vid(c.vout_max_mv.into()).unwrap_or(0);
        in_range("greatest output voltage in mV", max.into(), 1, 255)?;
        self.device.write_word(Command::VoutMax, max.into(), same)?;
        if c.model == Model::Tps53667 {
            // No phase disabled, 45 A a phase, input from 6 V.
            self.device.write_byte(Command::Mfr24, 0x00)?;
            self.device.write_byte(Command::Mfr00, 0x07)?;
            self.device.write_byte(Command::Mfr16, 0x01)?;
        }

        self.device.write_whole(Command::OtWarnLimit, OT_WARN_C)?;
        self.device.write_whole(Command::OtFaultLimit, OT_FAULT_C)?;
        let amperes = |a: u16| i32::from(a) * 1_000;
        self.device
            .write_linear(Command::IoutOcWarnLimit, amperes(c.iout_max_a))?;
        self.device
            .write_linear(Command::IoutOcFaultLimit, amperes(c.iout_max_a))?;
        if let (Model::Tps53667, Some((warn, fault))) = (c.model, c.iin_a) {
            self.device
                .write_linear(Command::IinOcWarnLimit, amperes(warn))?;
            self.device
                .write_linear(Command::IinOcFaultLimit, amperes(fault))?;
        }
        self.clear_faults()
    }

    /// Sets the output voltage in millivolts and reads the setting back. The output comes to at most
    /// the voltage asked for, in steps of 5 mV.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] outside the set-up's bounds, [`Error::ReadBack`], bus errors.
    pub fn set_output_mv(&mut self, millivolts: u32) -> Result<(), Error<I2C::Error>> {
        let (min, max) = (self.config.vout_min_mv, self.config.vout_max_mv);
        in_range("output voltage in mV", millivolts, min.into(), max.into())?;
        match vid(millivolts) {
            Some(code) => self
                .device
                .write_word(Command::VoutSetPoint, code.into(), same),
            None => in_range("output voltage in mV", millivolts, VID_MIN_MV, VID_MAX_MV),
        }
    }

    /// Output voltage that is set, in millivolts, 0 if none. It is a setting, not a measurement.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] for more than the part can be set to.
    pub fn set_point_mv(&mut self) -> Result<u32, Error<I2C::Error>> {
        let word = self.device.driven_word(Command::VoutSetPoint)?;
        match u8::try_from(word) {
            Ok(code) => Ok(vid_to_mv(code)),
            Err(_) => Err(Error::Implausible {
                address: self.device.0.address,
                register: Command::VoutSetPoint as u8,
                value: word.into(),
            }),
        }
    }

    /// Clears the latched bits of all status registers.
    ///
    /// # Errors
    /// Bus errors.
    pub fn clear_faults(&mut self) -> Result<(), Error<I2C::Error>> {
        self.device.send_command(Command::ClearFaults)
    }

    /// Reads the status registers that the part has.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] for all ones.
    pub fn status(&mut self) -> Result<Status, Error<I2C::Error>> {
        Ok(Status {
            word: self.device.driven_word(Command::StatusWord)?,
            vout: self.device.byte(Command::StatusVout)?,
            iout: self.device.byte(Command::StatusIout)?,
            input: self.device.byte(Command::StatusInput)?,
            temperature: self.device.byte(Command::StatusTemperature)?,
            ..Status::default()
        })
    }

    /// Reads voltages, current and temperature.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] for all ones.
    pub fn telemetry(&mut self) -> Result<Telemetry, Error<I2C::Error>> {
        let output = self.device.driven_word(Command::Mfr04)?;
        let current = self.device.driven_word(Command::ReadIout)?;
        let input = self.device.driven_word(Command::ReadVin)?;
        let temperature = self.device.driven_word(Command::ReadTemperature)?;
        Ok(Telemetry {
            output_mv: ulinear16::to_milli(output, VOUT_EXPONENT),
            output_ma: slinear11::to_milli(current),
            input_mv: u32::try_from(slinear11::to_milli(input)).unwrap_or(0),
            temperature_centi_c: slinear11::to_milli(temperature).div_euclid(10),
        })
    }

    /// Reads what the regulator draws: current in milliamperes and power in milliwatts.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] for all ones.
    pub fn input(&mut self) -> Result<(i32, i32), Error<I2C::Error>> {
        let current = self.device.driven_word(Command::ReadIin)?;
        let power = self.device.driven_word(Command::ReadPin)?;
        Ok((slinear11::to_milli(current), slinear11::to_milli(power)))
    }
}

/// VR12 voltage code for millivolts, rounded down to 5 mV; `None` outside 250 to 1520 mV.
pub fn vid(millivolts: u32) -> Option<u8> {
    let steps = millivolts.checked_sub(VID_MIN_MV)? / 5;
    u8::try_from(steps + 1).ok()
}

/// Millivolts of a VR12 voltage code; 0 is off.
pub fn vid_to_mv(code: u8) -> u32 {
    match code {
        0 => 0,
        code => VID_MIN_MV + (u32::from(code) - 1) * 5,
    }
}

fn same(wrote: u16, read: u16) -> bool {
    wrote == read
}

const VID_MIN_MV: u32 = 250;
const VID_MAX_MV: u32 = 1_520;
/// The enable pin alone switches, active high, off at once.
const ON_OFF_BY_PIN: u8 = 0x17;
const SWITCHING_500_KHZ: u8 = 0x20;
/// VR12 voltage codes, all phases always in use, 0.68 mV/µs.
const MODE_VR12: u8 = 0x89;
const OT_WARN_C: u16 = 95;
const OT_FAULT_C: u16 = 125;
/// Of the measured output voltage, which is no voltage code.
const VOUT_EXPONENT: i8 = -9;
