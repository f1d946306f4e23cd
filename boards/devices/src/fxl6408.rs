//! FXL6408: eight more pins. Some boards switch reset and regulators through it. Register facts from the
//! part's data sheet.

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::registers::{Registers, in_range};

/// Address with the address pin low; 0x44 with it high.
pub const ADDRESS: u8 = 0x43;

/// Driver. Cheap to make; keeps nothing but the bus and the address.
#[derive(Debug)]
pub struct Fxl6408<I2C>(Registers<I2C>);

impl<I2C: I2c> Fxl6408<I2C> {
    /// Makes a driver for the part at a 7-bit address, normally [`ADDRESS`].
    pub fn new(bus: I2C, address: u8) -> Self {
        Self(Registers::new(bus, address))
    }

    /// Checks that an FXL6408 or a compatible part answers and returns its id with the revision.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::WrongDevice`] or [`Error::Bus`].
    pub fn identify(&mut self) -> Result<u64, Error<I2C::Error>> {
        let found = u64::from(self.0.read_u8(ID_CONTROL)?);
        self.0
            .check_id(found & MANUFACTURER_MASK, [MANUFACTURER].into_iter())?;
        Ok(found)
    }

    /// Makes a pin, 0 to 7, an output with a level. The level is set before the pin drives.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::ReadBack`], bus errors.
    pub fn make_output(&mut self, pin: u8, high: bool) -> Result<(), Error<I2C::Error>> {
        self.change(OUTPUT, pin, high)?;
        self.change(DIRECTION, pin, true)?;
        self.change(OUTPUT_HIGH_Z, pin, false)
    }

    /// Makes a pin, 0 to 7, an input.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::ReadBack`], bus errors.
    pub fn make_input(&mut self, pin: u8) -> Result<(), Error<I2C::Error>> {
        self.change(DIRECTION, pin, false)
    }

    /// Sets the level of a pin, 0 to 7, that is an output.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::ReadBack`], bus errors.
    pub fn set(&mut self, pin: u8, high: bool) -> Result<(), Error<I2C::Error>> {
        self.change(OUTPUT, pin, high)
    }

    /// Reads the level at a pin, 0 to 7, whatever drives it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] and bus errors.
    pub fn level(&mut self, pin: u8) -> Result<bool, Error<I2C::Error>> {
        in_range("pin", pin.into(), 0, 7)?;
        Ok(self.0.read_u8(INPUT)? & (1 << pin) != 0)
    }

    fn change(&mut self, register: u8, pin: u8, set: bool) -> Result<(), Error<I2C::Error>> {
        in_range("pin", pin.into(), 0, 7)?;
        let bit = 1 << pin;
        let old = self.0.read_u8(register)?;
        let new = if set { old | bit } else { old & !bit };
        self.0.write_verified(register, new)
    }
}

const ID_CONTROL: u8 = 0x01;
const DIRECTION: u8 = 0x03;
const OUTPUT: u8 = 0x05;
const OUTPUT_HIGH_Z: u8 = 0x07;
const INPUT: u8 = 0x0F;

const MANUFACTURER: u64 = 0xA0;
const MANUFACTURER_MASK: u64 = 0xE0;
