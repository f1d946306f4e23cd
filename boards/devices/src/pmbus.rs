//! PMBus as the regulators speak it: number formats, command codes and status words.
//!
//! Commands are an enum so that only those listed can be sent. The ones that store settings in the
//! regulator's own memory (0x11, 0x13, 0x15, 0x17) are not in it: a bad store can make a regulator
//! unusable for good, and boards set theirs up at every start anyway.

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::registers::Registers;

pub use crate::status::{Status, StatusFlag};

/// SLINEAR11: 5 bits of exponent and 11 bits of mantissa, both signed.
pub mod slinear11 {
    /// Decodes to thousandths of the unit, rounded half up, at the ends of `i32` if beyond.
    pub fn to_milli(word: u16) -> i32 {
        let exponent = i32::from(word.cast_signed() >> 11);
        let mantissa = i64::from((word << 5).cast_signed() >> 5);
        let milli = mantissa * 1_000;
        let value = if exponent >= 0 {
            milli << exponent
        } else {
            (milli + (1 << (-exponent - 1))) >> -exponent
        };
        i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
    }

    /// Encodes thousandths of a unit with the finest exponent that fits, rounded to the nearest.
    pub fn from_milli(milli: i32) -> u16 {
        if milli == 0 {
            return 0;
        }
        let value = i64::from(milli);
        // i32::MAX thousandths are less than 1023 << 12, so the search always ends in time.
        for exponent in -16_i64..=15 {
            let scaled = if exponent < 0 {
                ((value << -exponent) + 500).div_euclid(1_000)
            } else {
                (value + (500 << exponent)).div_euclid(1_000 << exponent)
            };
            if let Ok(mantissa @ -1024..=1023) = i16::try_from(scaled) {
                let exponent = (exponent & 0x1F) as u16;
                return exponent << 11 | (mantissa.cast_unsigned() & 0x07FF);
            }
        }
        0x7BFF
    }

    /// Encodes whole units, at most 1023, with exponent 0; `None` if they do not fit.
    pub fn from_whole(units: u16) -> Option<u16> {
        (units <= 1023).then_some(units)
    }
}

/// ULINEAR16: a 16-bit mantissa with the exponent that `VOUT_MODE` tells.
pub mod ulinear16 {
    /// Decodes to thousandths of a volt, rounded half up. `exponent` is -16 to 15.
    pub fn to_milli(word: u16, exponent: i8) -> u32 {
        let milli = u64::from(word) * 1_000;
        let value = if exponent >= 0 {
            milli << exponent.min(15)
        } else {
            let shift = u32::from(exponent.unsigned_abs().min(16));
            (milli + (1 << (shift - 1))) >> shift
        };
        u32::try_from(value).unwrap_or(u32::MAX)
    }

    /// Encodes thousandths of a volt, rounded down; `None` if they do not fit. `exponent` is -16 to
    /// 15.
    pub fn from_milli(milli: u32, exponent: i8) -> Option<u16> {
        let value = u64::from(milli);
        let word = if exponent >= 0 {
            (value >> exponent.min(15)) / 1_000
        } else {
            (value << exponent.unsigned_abs().min(16)) / 1_000
        };
        u16::try_from(word).ok()
    }
}

/// What a regulator measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Telemetry {
    /// Output voltage in millivolts.
    pub output_mv: u32,
    /// Output current in milliamperes; noise around zero can make it negative.
    pub output_ma: i32,
    /// Input voltage in millivolts.
    pub input_mv: u32,
    /// The regulator's own temperature in hundredths of a degree Celsius.
    pub temperature_centi_c: i32,
}

impl Telemetry {
    /// Output power in milliwatts, 0 if the current is negative.
    pub fn output_mw(&self) -> u32 {
        let current = u64::try_from(self.output_ma).unwrap_or(0);
        let milliwatts = u64::from(self.output_mv) * current / 1_000;
        u32::try_from(milliwatts).unwrap_or(u32::MAX)
    }
}

/// The commands that the drivers use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Command {
    Operation = 0x01,
    OnOffConfig = 0x02,
    ClearFaults = 0x03,
    Phase = 0x04,
    VoutMode = 0x20,
    /// `VOUT_COMMAND`.
    VoutSetPoint = 0x21,
    VoutMax = 0x24,
    VoutMarginHigh = 0x25,
    VoutMarginLow = 0x26,
    VoutScaleLoop = 0x29,
    VoutMin = 0x2B,
    FrequencySwitch = 0x33,
    VinOn = 0x35,
    VinOff = 0x36,
    VoutOvFaultLimit = 0x40,
    VoutOvWarnLimit = 0x42,
    VoutUvWarnLimit = 0x43,
    VoutUvFaultLimit = 0x44,
    IoutOcFaultLimit = 0x46,
    IoutOcFaultResponse = 0x47,
    IoutOcWarnLimit = 0x4A,
    OtFaultLimit = 0x4F,
    OtFaultResponse = 0x50,
    OtWarnLimit = 0x51,
    VinOvFaultLimit = 0x55,
    VinOvFaultResponse = 0x56,
    VinUvWarnLimit = 0x58,
    IinOcFaultLimit = 0x5B,
    IinOcWarnLimit = 0x5D,
    TonDelay = 0x60,
    TonRise = 0x61,
    TonMaxFaultLimit = 0x62,
    TonMaxFaultResponse = 0x63,
    ToffDelay = 0x64,
    ToffFall = 0x65,
    StatusWord = 0x79,
    StatusVout = 0x7A,
    StatusIout = 0x7B,
    StatusInput = 0x7C,
    StatusTemperature = 0x7D,
    StatusCml = 0x7E,
    StatusMfr = 0x80,
    ReadVin = 0x88,
    ReadIin = 0x89,
    ReadIout = 0x8C,
    ReadVout = 0x8B,
    ReadTemperature = 0x8D,
    ReadPin = 0x97,
    IcDeviceId = 0xAD,
    CompensationConfig = 0xB1,
    Mfr00 = 0xD0,
    Mfr04 = 0xD4,
    Mfr10 = 0xDA,
    Mfr12 = 0xDC,
    Mfr13 = 0xDD,
    Mfr16 = 0xE0,
    /// `SYNC_CONFIG` on the TPS546, the number of phases on the TPS536x7.
    Mfr20 = 0xE4,
    Mfr24 = 0xE8,
    StackConfig = 0xEC,
    PinDetectOverride = 0xEE,
    DeviceCode = 0xFC,
}

/// A PMBus device: words least byte first, no packet error code.
#[derive(Debug)]
pub(crate) struct Pmbus<I2C>(pub(crate) Registers<I2C>);

impl<I2C: I2c> Pmbus<I2C> {
    pub(crate) fn new(bus: I2C, address: u8) -> Self {
        Self(Registers::new(bus, address))
    }

    pub(crate) fn byte(&mut self, command: Command) -> Result<u8, Error<I2C::Error>> {
        self.0.read_u8(command as u8)
    }

    pub(crate) fn word(&mut self, command: Command) -> Result<u16, Error<I2C::Error>> {
        Ok(u16::from_le_bytes(self.0.read(command as u8)?))
    }

    /// Reads a word of measurement or status, in which all ones mean that nobody drives the bus.
    pub(crate) fn driven_word(&mut self, command: Command) -> Result<u16, Error<I2C::Error>> {
        let word = self.word(command)?;
        if word == u16::MAX {
            return Err(Error::Implausible {
                address: self.0.address,
                register: command as u8,
                value: word.into(),
            });
        }
        Ok(word)
    }

    pub(crate) fn send_command(&mut self, command: Command) -> Result<(), Error<I2C::Error>> {
        self.0.send(&[command as u8])
    }

    pub(crate) fn write_byte(
        &mut self,
        command: Command,
        value: u8,
    ) -> Result<(), Error<I2C::Error>> {
        self.0.write_verified(command as u8, value)
    }

    /// Writes a word and fails unless what it then reads is good enough.
    pub(crate) fn write_word(
        &mut self,
        command: Command,
        value: u16,
        good: impl Fn(u16, u16) -> bool,
    ) -> Result<(), Error<I2C::Error>> {
        self.write_word_blind(command, value)?;
        let read = self.word(command)?;
        if good(value, read) {
            Ok(())
        } else {
            Err(self.read_back(command, value.into(), read.into()))
        }
    }

    pub(crate) fn write_word_blind(
        &mut self,
        command: Command,
        value: u16,
    ) -> Result<(), Error<I2C::Error>> {
        let [low, high] = value.to_le_bytes();
        self.0.send(&[command as u8, low, high])
    }

    /// Writes whole units as SLINEAR11 with exponent 0, as [`Pmbus::write_linear`] checks them.
    pub(crate) fn write_whole(
        &mut self,
        command: Command,
        units: u16,
    ) -> Result<(), Error<I2C::Error>> {
        let wrote = slinear11::from_whole(units).unwrap_or(1_023);
        self.write_checked(command, wrote, i32::from(wrote) * 1_000)
    }

    /// Writes thousandths of a unit as SLINEAR11. The part may keep them more coarsely and with
    /// another exponent; what it keeps must be within a sixteenth or a quarter of a unit.
    pub(crate) fn write_linear(
        &mut self,
        command: Command,
        milli: i32,
    ) -> Result<(), Error<I2C::Error>> {
        self.write_checked(command, slinear11::from_milli(milli), milli)
    }

    fn write_checked(
        &mut self,
        command: Command,
        wrote: u16,
        milli: i32,
    ) -> Result<(), Error<I2C::Error>> {
        let tolerance = (milli.unsigned_abs() / 16).max(250);
        self.write_word(command, wrote, |_, read| {
            slinear11::to_milli(read).abs_diff(milli) <= tolerance
        })
    }

    pub(crate) fn read_back(&self, command: Command, wrote: u32, read: u32) -> Error<I2C::Error> {
        Error::ReadBack {
            address: self.0.address,
            register: command as u8,
            wrote,
            read,
        }
    }
}
