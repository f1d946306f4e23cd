//! LM75 and the sensors that are register-compatible with it (LM75A, TMP75, CT75, NCT75 and more), as
//! found on hash boards of many makers. They carry no identification: only their presence can be checked.

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::registers::{Registers, in_range};
use crate::temperature::centi_from_q8;

/// Driver. Cheap to make; keeps nothing but the bus, the address and the resolution.
#[derive(Debug)]
pub struct Lm75<I2C> {
    device: Registers<I2C>,
    mask: u16,
}

impl<I2C: I2c> Lm75<I2C> {
    /// Makes a driver for the part at a 7-bit address, normally 0x48 to 0x4F. All variants give at
    /// least 9 bits (0.5 K), and that is what is used; see [`Lm75::with_bits`].
    pub fn new(bus: I2C, address: u8) -> Self {
        Self {
            device: Registers::new(bus, address),
            mask: mask(9),
        }
    }

    /// Uses more of the word: 11 bits for the LM75A, 12 for TMP75 and NCT75.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for less than 9 or more than 16 bits.
    pub fn with_bits(self, bits: u8) -> Result<Self, Error<I2C::Error>> {
        in_range("temperature bits", bits.into(), 9, 16)?;
        Ok(Self {
            mask: mask(bits),
            ..self
        })
    }

    /// Checks that something answers.
    ///
    /// # Errors
    /// [`Error::Absent`] or [`Error::Bus`].
    pub fn probe(&mut self) -> Result<(), Error<I2C::Error>> {
        self.device.read_u16_be(TEMPERATURE).map(drop)
    }

    /// Reads the temperature in hundredths of a degree Celsius.
    ///
    /// # Errors
    /// Bus errors. A word of all ones reads as -0.5 degrees or nearer to zero, not as an error: with
    /// few bits it cannot be told from a real temperature.
    pub fn centi_c(&mut self) -> Result<i32, Error<I2C::Error>> {
        let word = self.device.read_u16_be(TEMPERATURE)?;
        Ok(centi_from_q8(word & self.mask))
    }
}

/// Step of the temperature in thousandths of a kelvin for a number of bits, 9 to 16, rounded up.
pub fn step_mk(bits: u8) -> u32 {
    let shift = u32::from(bits.clamp(9, 16)) - 8;
    1_000_u32.div_ceil(1 << shift)
}

fn mask(bits: u8) -> u16 {
    u16::MAX << (16 - u32::from(bits.clamp(9, 16)))
}

const TEMPERATURE: u8 = 0x00;
