//! EMC2103: one fan, its own temperature and those of two remote diodes. On the Bitaxe GT the diodes are
//! in its two hashing chips. Register facts from the part's data sheet. Neither the speed control loop
//! nor the look-up table is used: the fan does what it was last told.

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::fans::FanBlock;
use crate::registers::{Registers, in_range};
use crate::temperature::centi_from_q8;

/// Address of the part in its usual version.
pub const ADDRESS: u8 = 0x2E;

/// Step of all temperatures in thousandths of a kelvin.
pub const STEP_MK: u32 = 125;

/// A remote diode, numbered as the board counts its chips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diode {
    /// Diode of the first chip.
    First,
    /// Diode of the second chip.
    Second,
}

/// Driver. Cheap to make; keeps nothing but the bus, the address and the order of the diodes.
#[derive(Debug)]
pub struct Emc2103<I2C> {
    device: Registers<I2C>,
    swapped: bool,
}

impl<I2C: I2c> Emc2103<I2C> {
    /// Makes a driver for the part at a 7-bit address, normally [`ADDRESS`]. `swapped` says that the
    /// board wires its first chip to the part's second diode, as the Bitaxe GT does.
    pub fn new(bus: I2C, address: u8, swapped: bool) -> Self {
        Self {
            device: Registers::new(bus, address),
            swapped,
        }
    }

    /// Checks that an EMC2103 answers and returns its product id.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::WrongDevice`] or [`Error::Bus`].
    pub fn identify(&mut self) -> Result<u64, Error<I2C::Error>> {
        self.device.expect_u8(PRODUCT_ID, &PRODUCTS)
    }

    /// Sets the part up for direct control of a PWM fan, the duty unchanged, and both diodes' ideality
    /// and beta codes where given.
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
            in_range("ideality code", code.into(), 0, 0x3F)?;
            self.device.write_verified(IDEALITY_1, code)?;
            self.device.write_verified(IDEALITY_2, code)?;
        }
        if let Some(code) = beta {
            in_range("beta compensation code", code.into(), 0, 0x0F)?;
            self.device.write_verified(BETA_1, code)?;
            self.device.write_verified(BETA_2, code)?;
        }
        self.device.write_verified(CONFIG_1, 0x00)?;
        self.device.write_verified(PWM_CONFIG, 0x00)?;
        self.device.write_verified(PWM_BASE_FREQUENCY, 0x00)?;
        FAN.init(&mut self.device)
    }

    /// Sets the fan's duty in percent, 0 to 100, and reads it back.
    ///
    /// # Errors
    /// More than 100 is [`Error::OutOfRange`]; a duty that is not taken [`Error::ReadBack`].
    pub fn set_duty(&mut self, percent: u8) -> Result<(), Error<I2C::Error>> {
        FAN.set_duty(&mut self.device, percent)
    }

    /// Reads the duty in percent, 0 to 100, rounded down.
    ///
    /// # Errors
    /// Bus errors.
    pub fn duty(&mut self) -> Result<u8, Error<I2C::Error>> {
        FAN.duty(&mut self.device)
    }

    /// Reads the fan's speed in rpm. 0 means that it stands still or turns slower than 500 rpm.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] for a count of zero.
    pub fn rpm(&mut self) -> Result<u32, Error<I2C::Error>> {
        FAN.rpm(&mut self.device)
    }

    /// Reads the part's own temperature in hundredths of a degree Celsius.
    ///
    /// # Errors
    /// Bus errors.
    pub fn internal_centi_c(&mut self) -> Result<i32, Error<I2C::Error>> {
        Ok(centi_from_q8(self.temperature(INTERNAL)?))
    }

    /// Reads a remote diode's temperature in hundredths of a degree Celsius, in steps of 0.125 K.
    ///
    /// # Errors
    /// [`Error::DiodeOpen`] for the part's fault code, which also stands for a short, and bus errors.
    pub fn external_centi_c(&mut self, diode: Diode) -> Result<i32, Error<I2C::Error>> {
        let first = (diode == Diode::First) != self.swapped;
        let word = self.temperature(if first { EXTERNAL_1 } else { EXTERNAL_2 })?;
        if word == FAULT {
            let address = self.device.address;
            return Err(Error::DiodeOpen { address });
        }
        Ok(centi_from_q8(word))
    }

    fn temperature(&mut self, high: u8) -> Result<u16, Error<I2C::Error>> {
        let high_byte = self.device.read_u8(high)?;
        let low_byte = self.device.read_u8(high + 1)?;
        Ok(u16::from_be_bytes([high_byte, low_byte]) & 0xFFE0)
    }
}

const INTERNAL: u8 = 0x00;
const EXTERNAL_1: u8 = 0x02;
const EXTERNAL_2: u8 = 0x04;
const IDEALITY_1: u8 = 0x11;
const IDEALITY_2: u8 = 0x12;
const BETA_1: u8 = 0x14;
const BETA_2: u8 = 0x15;
const CONFIG_1: u8 = 0x20;
const PWM_CONFIG: u8 = 0x2A;
const PWM_BASE_FREQUENCY: u8 = 0x2B;
const FAN: FanBlock = FanBlock(0x40);
const PRODUCT_ID: u8 = 0xFD;

/// EMC2103-1 and EMC2103-2/-4.
const PRODUCTS: [u8; 2] = [0x26, 0x24];
/// What a temperature reads when its diode is open or shorted.
const FAULT: u16 = 0x8000;
