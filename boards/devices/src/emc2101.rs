//! EMC2101: one fan, its own temperature and that of one remote diode. On Bitaxe boards the diode is in
//! the hashing chip. Register facts from the part's data sheet and from what open firmware is known to
//! write. The look-up table mode is not used: the fan does what it was last told.

use core::time::Duration;

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::registers::{Registers, duty_code, duty_percent};
use crate::temperature::centi_from_q8;

/// Address of the part; it has no other.
pub const ADDRESS: u8 = 0x4C;

/// Readings of the remote diode count only this long after its chip got power and left reset: the
/// first conversions are garbage.
pub const DIODE_SETTLE: Duration = Duration::from_millis(500);

/// Step of the remote temperature in thousandths of a kelvin.
pub const EXTERNAL_STEP_MK: u32 = 125;

/// Step of the internal temperature in thousandths of a kelvin.
pub const INTERNAL_STEP_MK: u32 = 1_000;

/// Ideality factor code that Bitaxe Gamma boards use for the BM1370's diode, 1.0319.
pub const IDEALITY_BM1370: u8 = 0x24;

/// Beta compensation code that Bitaxe Gamma boards use for the BM1370's diode.
pub const BETA_BM1370: u8 = 0x00;

/// Driver. Cheap to make; keeps nothing but the bus and the address.
#[derive(Debug)]
pub struct Emc2101<I2C>(Registers<I2C>);

impl<I2C: I2c> Emc2101<I2C> {
    /// Makes a driver for the part at a 7-bit address, normally [`ADDRESS`].
    pub fn new(bus: I2C, address: u8) -> Self {
        Self(Registers::new(bus, address))
    }

    /// Checks that an EMC2101 or EMC2101-R answers and returns its product id.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::WrongDevice`] or [`Error::Bus`].
    pub fn identify(&mut self) -> Result<u64, Error<I2C::Error>> {
        self.0.expect_u8(PRODUCT_ID, &PRODUCTS)
    }

    /// Sets the part up for direct control of a PWM fan with a tachometer, the duty unchanged, and the
    /// diode's ideality and beta codes where given.
    ///
    /// # Errors
    /// A code that does not fit (6 bits and 4 bits) is [`Error::OutOfRange`]; a register that does not
    /// keep its value [`Error::ReadBack`].
    pub fn init(
        &mut self,
        ideality: Option<u8>,
        beta: Option<u8>,
    ) -> Result<(), Error<I2C::Error>> {
        if let Some(code) = ideality {
            crate::registers::in_range("ideality code", code.into(), 0, 0x3F)?;
            self.0.write_verified(IDEALITY, code)?;
        }
        if let Some(code) = beta {
            crate::registers::in_range("beta compensation code", code.into(), 0, 0x0F)?;
            self.0.write_verified(BETA, code)?;
        }
        self.0.write_verified(CONFIG, CONFIG_TACH_INPUT)?;
        self.0.write_verified(FAN_CONFIG, FAN_CONFIG_DIRECT)?;
        self.0.write_verified(PWM_FREQUENCY, PWM_FINEST)
    }

    /// Sets the fan's duty in percent, 0 to 100, and reads it back.
    ///
    /// # Errors
    /// More than 100 is [`Error::OutOfRange`]; a duty that is not taken [`Error::ReadBack`].
    pub fn set_duty(&mut self, percent: u8) -> Result<(), Error<I2C::Error>> {
        let code = duty_code(percent, FULL_DUTY)?;
        self.0.write_verified(FAN_SETTING, code)
    }

    /// Reads the duty in percent, 0 to 100, rounded down. A duty that was set reads no lower than
    /// what was asked for.
    ///
    /// # Errors
    /// Bus errors.
    pub fn duty(&mut self) -> Result<u8, Error<I2C::Error>> {
        Ok(duty_percent(
            self.0.read_u8(FAN_SETTING)? & FULL_DUTY,
            FULL_DUTY,
        ))
    }

    /// Reads the fan's speed in rpm. 0 means that it stands still or turns slower than 83 rpm.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] for a count of zero.
    pub fn rpm(&mut self) -> Result<u32, Error<I2C::Error>> {
        // Reading the low byte holds the high byte of the same measurement.
        let low = self.0.read_u8(TACH_LOW)?;
        let high = self.0.read_u8(TACH_HIGH)?;
        match u16::from_be_bytes([high, low]) {
            u16::MAX => Ok(0),
            0 => Err(Error::Implausible {
                address: self.0.address,
                register: TACH_LOW,
                value: 0,
            }),
            count => Ok(TACH_CLOCK_PER_MINUTE / u32::from(count)),
        }
    }

    /// Reads the part's own temperature in hundredths of a degree Celsius, in whole degrees.
    ///
    /// # Errors
    /// Bus errors.
    pub fn internal_centi_c(&mut self) -> Result<i32, Error<I2C::Error>> {
        Ok(i32::from(self.0.read_u8(INTERNAL)?.cast_signed()) * 100)
    }

    /// Reads the remote diode's temperature in hundredths of a degree Celsius, in steps of 0.125 K.
    /// Values count only [`DIODE_SETTLE`] after the diode's chip was powered.
    ///
    /// # Errors
    /// [`Error::DiodeOpen`] and [`Error::DiodeShort`] for the part's fault codes, and bus errors.
    pub fn external_centi_c(&mut self) -> Result<i32, Error<I2C::Error>> {
        let address = self.0.address;
        // Reading the high byte holds the low byte of the same conversion.
        let high = self.0.read_u8(EXTERNAL_HIGH)?;
        let low = self.0.read_u8(EXTERNAL_LOW)?;
        let word = u16::from_be_bytes([high, low]) & 0xFFE0;
        match word >> 5 {
            CODE_SHORT => Err(Error::DiodeShort { address }),
            CODE_OPEN..CODE_SHORT => Err(Error::DiodeOpen { address }),
            _ => Ok(centi_from_q8(word)),
        }
    }
}

const INTERNAL: u8 = 0x00;
const EXTERNAL_HIGH: u8 = 0x01;
const CONFIG: u8 = 0x03;
const EXTERNAL_LOW: u8 = 0x10;
const IDEALITY: u8 = 0x17;
const BETA: u8 = 0x18;
const TACH_LOW: u8 = 0x46;
const TACH_HIGH: u8 = 0x47;
const FAN_CONFIG: u8 = 0x4A;
const FAN_SETTING: u8 = 0x4C;
const PWM_FREQUENCY: u8 = 0x4D;
const PRODUCT_ID: u8 = 0xFD;

const PRODUCTS: [u8; 2] = [0x16, 0x28];
/// The alert pin is the tachometer input.
const CONFIG_TACH_INPUT: u8 = 0x04;
/// Fan setting register in charge, and the tachometer mode for fans driven by PWM.
const FAN_CONFIG_DIRECT: u8 = 0x23;
/// 62 steps of duty; with the part's default of 46 everything above 73 % would be full speed.
const PWM_FINEST: u8 = 0x1F;
const FULL_DUTY: u8 = 63;
const TACH_CLOCK_PER_MINUTE: u32 = 5_400_000;
/// 11-bit codes that the part gives instead of a temperature; those between them are beyond its range.
const CODE_OPEN: u16 = 0x3F8;
const CODE_SHORT: u16 = 0x3FF;
