//! TPS546D24A and TPS546D24S: the core regulator of newer Bitaxe boards, singly or stacked. Command
//! facts from the part's data sheet; the set-ups are those that open firmware is known to write at every
//! start. Nothing is ever stored in the regulator.

use core::time::Duration;

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::pmbus::{Command, Pmbus, Status, Telemetry, slinear11, ulinear16};
use crate::registers::in_range;

/// Address on all boards that are known to carry it.
pub const ADDRESS: u8 = 0x24;

/// The part answers only this long after its supply came up.
pub const POWER_UP: Duration = Duration::from_millis(15);

/// Longest time from switching on to a good output: 3 ms of ramp and a margin for settling.
pub const RAMP: Duration = Duration::from_millis(20);

/// How a board wants its regulator set up. The fields are what the part's registers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Name, as board profiles use it.
    pub name: &'static str,
    /// Input voltage at which the regulator may start, in millivolts.
    pub vin_on_mv: u16,
    /// Input voltage at which it stops, in millivolts.
    pub vin_off_mv: u16,
    /// Input voltage below which it warns, in millivolts; `None` leaves the part's default.
    pub vin_warn_mv: Option<u16>,
    /// Input voltage at which it stops for over-voltage, in millivolts.
    pub vin_max_mv: u16,
    /// Part of the output voltage that the feedback divider passes on, in thousandths.
    pub scale_milli: u16,
    /// Least output voltage, in millivolts.
    pub vout_min_mv: u16,
    /// Greatest output voltage, in millivolts.
    pub vout_max_mv: u16,
    /// Output voltage set before the first request, in millivolts; the least one if not given.
    pub vout_initial_mv: Option<u16>,
    /// Output current that gives a warning, in amperes.
    pub iout_warn_a: u16,
    /// Output current at which it stops for good, in amperes.
    pub iout_max_a: u16,
    /// `STACK_CONFIG`: how many parts work together.
    pub stack: u16,
    /// `SYNC_CONFIG`.
    pub sync: u8,
    /// `PHASE`: which of the stacked parts commands mean.
    pub phase: u8,
    /// `COMPENSATION_CONFIG`; `None` leaves the part's default.
    pub compensation: Option<[u8; 5]>,
}

impl Config {
    /// One chip on a 5 V supply: Bitaxe Ultra 207, Supra 402 and 403, Gamma.
    pub const BITAXE_5V: Self = Self {
        name: "bitaxe-5v",
        vin_on_mv: 4_800,
        vin_off_mv: 4_500,
        vin_warn_mv: None,
        vin_max_mv: 6_500,
        scale_milli: 250,
        vout_min_mv: 1_000,
        vout_max_mv: 2_000,
        vout_initial_mv: Some(1_200),
        iout_warn_a: 25,
        iout_max_a: 30,
        stack: 0x0000,
        sync: 0x10,
        phase: 0x00,
        compensation: None,
    };

    /// Three domains in series on 12 V: Bitaxe Hex and SupraHex.
    pub const BITAXE_HEX: Self = Self {
        name: "bitaxe-hex",
        vin_on_mv: 11_500,
        vin_off_mv: 11_000,
        vin_warn_mv: Some(11_000),
        vin_max_mv: 14_800,
        scale_milli: 125,
        vout_min_mv: 2_500,
        vout_max_mv: 4_500,
        vout_initial_mv: Some(3_600),
        ..Self::BITAXE_5V
    };

    /// Two stacked parts on 12 V: Bitaxe GT.
    pub const BITAXE_GT: Self = Self {
        name: "bitaxe-gt",
        vin_on_mv: 11_000,
        vin_off_mv: 10_500,
        vin_warn_mv: Some(11_000),
        vin_max_mv: 14_800,
        scale_milli: 250,
        vout_min_mv: 1_000,
        vout_max_mv: 3_000,
        vout_initial_mv: None,
        iout_warn_a: 50,
        iout_max_a: 55,
        stack: 0x0001,
        sync: 0xD0,
        phase: 0xFF,
        compensation: Some([0x12, 0x34, 0x42, 0x21, 0x04]),
    };

    /// All set-ups.
    pub const ALL: [Self; 3] = [Self::BITAXE_5V, Self::BITAXE_HEX, Self::BITAXE_GT];

    /// Finds a set-up by the name that board profiles use.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|config| config.name == name)
    }
}

/// Driver. Cheap to make; keeps nothing but the bus, the address and the set-up.
#[derive(Debug)]
pub struct Tps546<I2C> {
    device: Pmbus<I2C>,
    config: Config,
}

impl<I2C: I2c> Tps546<I2C> {
    /// Makes a driver for the part at a 7-bit address, normally [`ADDRESS`].
    pub fn new(bus: I2C, address: u8, config: Config) -> Self {
        Self {
            device: Pmbus::new(bus, address),
            config,
        }
    }

    /// Checks that a TPS546D24A or TPS546D24S answers and returns the six bytes of its id as a
    /// number. It needs [`POWER_UP`] after power came.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::WrongDevice`] or [`Error::Bus`].
    pub fn identify(&mut self) -> Result<u64, Error<I2C::Error>> {
        let [length, id @ ..] = self.device.0.read::<7>(Command::IcDeviceId as u8)?;
        let number = id.iter().fold(0, |n, &byte| n << 8 | u64::from(byte));
        // A wrong length is a wrong device, too: show all that came.
        let found = match length {
            6 => number,
            other => u64::from(other) << 48 | number,
        };
        self.device.0.check_id(found, DEVICE_IDS.into_iter())
    }

    /// Checks the identity, switches the output off, writes the whole set-up and clears old faults.
    /// The output stays off. All that protects the board is read back.
    ///
    /// # Errors
    /// As [`Tps546::identify`]; [`Error::Unsupported`] if output limits are not relative to the
    /// output; [`Error::ReadBack`] naming the command that was not taken.
    pub fn configure(&mut self) -> Result<(), Error<I2C::Error>> {
        self.identify()?;
        self.turn_off()?;
        let c = self.config;
        // Until all is written it takes the control pin and a command to start.
        self.device.write_byte(Command::OnOffConfig, ON_OFF_BOTH)?;
        let exponent = self.relative_exponent()?;

        self.device
            .write_word(Command::StackConfig, c.stack, same)?;
        self.device.write_byte(Command::Mfr20, c.sync)?;
        self.device.write_byte(Command::Phase, c.phase)?;
        self.device
            .write_whole(Command::FrequencySwitch, SWITCHING_KHZ)?;
        if let Some(bytes) = c.compensation {
            self.write_compensation(bytes)?;
        }

        if let Some(warn) = c.vin_warn_mv {
            self.device
                .write_linear(Command::VinUvWarnLimit, warn.into())?;
        }
        self.device
            .write_linear(Command::VinOn, c.vin_on_mv.into())?;
        self.device
            .write_linear(Command::VinOff, c.vin_off_mv.into())?;
        self.device
            .write_linear(Command::VinOvFaultLimit, c.vin_max_mv.into())?;
        self.device.write_byte(Command::VinOvFaultResponse, 0xB7)?;

        // The divider first: it sets what the output registers mean.
        let scale = slinear11::from_milli(c.scale_milli.into());
        self.device
            .write_word(Command::VoutScaleLoop, scale, |wrote, read| {
                slinear11::to_milli(wrote) == slinear11::to_milli(read)
            })?;
        let initial = c.vout_initial_mv.unwrap_or(c.vout_min_mv);
        for (command, milli) in [
            // Bounds around the setting: the part holds a setting within those of the moment.
            (Command::VoutMax, c.vout_max_mv),
            (Command::VoutSetPoint, initial),
            (Command::VoutMin, c.vout_min_mv),
            // Thousandths of the output voltage.
            (Command::VoutOvFaultLimit, 1_250),
            (Command::VoutOvWarnLimit, 1_160),
            (Command::VoutMarginHigh, 1_100),
            (Command::VoutMarginLow, 900),
            (Command::VoutUvWarnLimit, 900),
            (Command::VoutUvFaultLimit, 750),
        ] {
            let word = self.volts(milli.into(), exponent)?;
            // The part may keep limits in coarser steps than it takes them.
            self.device.write_word(command, word, |wrote, read| {
                wrote.abs_diff(read) <= wrote / 32
            })?;
        }

        let amperes = |a: u16| i32::from(a) * 1_000;
        self.device
            .write_linear(Command::IoutOcWarnLimit, amperes(c.iout_warn_a))?;
        self.device
            .write_linear(Command::IoutOcFaultLimit, amperes(c.iout_max_a))?;
        self.device.write_byte(Command::IoutOcFaultResponse, 0xC0)?;
        self.device.write_whole(Command::OtWarnLimit, OT_WARN_C)?;
        self.device.write_whole(Command::OtFaultLimit, OT_FAULT_C)?;
        self.device.write_byte(Command::OtFaultResponse, 0xFF)?;

        self.device.write_whole(Command::TonDelay, 0)?;
        self.device.write_whole(Command::TonRise, TON_RISE_MS)?;
        self.device.write_whole(Command::TonMaxFaultLimit, 0)?;
        self.device.write_byte(Command::TonMaxFaultResponse, 0x3B)?;
        self.device.write_whole(Command::ToffDelay, 0)?;
        self.device.write_whole(Command::ToffFall, 0)?;
        // Not read back: the bits without a meaning are not known.
        self.device
            .write_word_blind(Command::PinDetectOverride, 0xFFFF)?;

        self.device
            .write_byte(Command::OnOffConfig, ON_OFF_COMMAND)?;
        self.clear_faults()
    }

    /// Sets the output voltage in millivolts and reads the setting back. The output comes to at most
    /// the voltage asked for; it follows within [`RAMP`].
    ///
    /// # Errors
    /// [`Error::OutOfRange`] outside the set-up's bounds, [`Error::ReadBack`], bus errors.
    pub fn set_output_mv(&mut self, millivolts: u32) -> Result<(), Error<I2C::Error>> {
        let (min, max) = (self.config.vout_min_mv, self.config.vout_max_mv);
        in_range("output voltage in mV", millivolts, min.into(), max.into())?;
        let exponent = self.relative_exponent()?;
        let word = self.volts(millivolts, exponent)?;
        self.device.write_word(Command::VoutSetPoint, word, same)
    }

    /// Output voltage that is set, in millivolts. It is a setting, not a measurement.
    ///
    /// # Errors
    /// Bus errors; [`Error::Unsupported`] as for [`Tps546::configure`].
    pub fn set_point_mv(&mut self) -> Result<u32, Error<I2C::Error>> {
        let exponent = self.relative_exponent()?;
        let word = self.device.driven_word(Command::VoutSetPoint)?;
        Ok(ulinear16::to_milli(word, exponent))
    }

    /// Switches the output on; it is up within [`RAMP`].
    ///
    /// # Errors
    /// [`Error::ReadBack`] and bus errors.
    pub fn turn_on(&mut self) -> Result<(), Error<I2C::Error>> {
        self.device.write_byte(Command::Operation, OPERATION_ON)
    }

    /// Switches the output off at once.
    ///
    /// # Errors
    /// [`Error::ReadBack`] and bus errors.
    pub fn turn_off(&mut self) -> Result<(), Error<I2C::Error>> {
        self.device.write_byte(Command::Operation, OPERATION_OFF)
    }

    /// Tells whether the output is commanded on.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] for all ones.
    pub fn is_on(&mut self) -> Result<bool, Error<I2C::Error>> {
        match self.device.byte(Command::Operation)? {
            u8::MAX => Err(Error::Implausible {
                address: self.device.0.address,
                register: Command::Operation as u8,
                value: 0xFF,
            }),
            operation => Ok(operation & OPERATION_ON != 0),
        }
    }

    /// Clears the latched bits of all status registers.
    ///
    /// # Errors
    /// Bus errors.
    pub fn clear_faults(&mut self) -> Result<(), Error<I2C::Error>> {
        self.device.send_command(Command::ClearFaults)
    }

    /// Reads the status registers.
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
            cml: self.device.byte(Command::StatusCml)?,
            mfr: self.device.byte(Command::StatusMfr)?,
        })
    }

    /// Reads voltages, current and temperature.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] for all ones.
    pub fn telemetry(&mut self) -> Result<Telemetry, Error<I2C::Error>> {
        let exponent = self.relative_exponent()?;
        let output = self.device.driven_word(Command::ReadVout)?;
        let current = self.device.driven_word(Command::ReadIout)?;
        let input = self.device.driven_word(Command::ReadVin)?;
        let temperature = self.device.driven_word(Command::ReadTemperature)?;
        Ok(Telemetry {
            output_mv: ulinear16::to_milli(output, exponent),
            output_ma: slinear11::to_milli(current),
            input_mv: u32::try_from(slinear11::to_milli(input)).unwrap_or(0),
            temperature_centi_c: slinear11::to_milli(temperature).div_euclid(10),
        })
    }

    /// Exponent of output voltages, if limits are relative to the output, as the set-ups need it.
    fn relative_exponent(&mut self) -> Result<i8, Error<I2C::Error>> {
        let mode = self.device.byte(Command::VoutMode)?;
        if mode & 0xE0 != VOUT_MODE_RELATIVE_LINEAR {
            return Err(Error::Unsupported {
                address: self.device.0.address,
                what: "output voltage mode",
                value: mode.into(),
            });
        }
        Ok((mode << 3).cast_signed() >> 3)
    }

    fn volts(&self, millivolts: u32, exponent: i8) -> Result<u16, Error<I2C::Error>> {
        ulinear16::from_milli(millivolts, exponent).ok_or(Error::Unsupported {
            address: self.device.0.address,
            what: "output voltage exponent",
            value: exponent.cast_unsigned().into(),
        })
    }

    fn write_compensation(&mut self, bytes: [u8; 5]) -> Result<(), Error<I2C::Error>> {
        let command = Command::CompensationConfig;
        let [a, b, c, d, e] = bytes;
        self.device.0.send(&[command as u8, 5, a, b, c, d, e])?;
        let [length, read @ ..] = self.device.0.read::<6>(command as u8)?;
        if length == 5 && read == bytes {
            return Ok(());
        }
        let word = |bytes: [u8; 5]| u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        Err(self.device.read_back(command, word(bytes), word(read)))
    }
}

fn same(wrote: u16, read: u16) -> bool {
    wrote == read
}

const DEVICE_IDS: [u64; 2] = [0x5449_546D_2441, 0x5449_546D_2462];
const OPERATION_ON: u8 = 0x80;
const OPERATION_OFF: u8 = 0x00;
/// Control pin and command have both to agree; off means at once.
const ON_OFF_BOTH: u8 = 0x1F;
/// The command alone decides; off means at once.
const ON_OFF_COMMAND: u8 = 0x1B;
/// Bits 7 to 5 of `VOUT_MODE`: limits relative to the output, linear format.
const VOUT_MODE_RELATIVE_LINEAR: u8 = 0x80;
const SWITCHING_KHZ: u16 = 650;
const OT_WARN_C: u16 = 105;
const OT_FAULT_C: u16 = 145;
const TON_RISE_MS: u16 = 3;
