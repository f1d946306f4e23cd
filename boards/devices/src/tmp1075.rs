//! TMP1075: a board temperature sensor, 12 bits. Register facts from the part's data sheet. It converts
//! by itself from power-up; nothing needs setting.

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::registers::Registers;
use crate::temperature::centi_from_q8;

/// Step of the temperature in thousandths of a kelvin, rounded up.
pub const STEP_MK: u32 = 63;

/// Driver. Cheap to make; keeps nothing but the bus and the address.
#[derive(Debug)]
pub struct Tmp1075<I2C>(Registers<I2C>);

impl<I2C: I2c> Tmp1075<I2C> {
    /// Makes a driver for the part at a 7-bit address, 0x48 to 0x4F on hash boards.
    pub fn new(bus: I2C, address: u8) -> Self {
        Self(Registers::new(bus, address))
    }

    /// Checks that a TMP1075 answers and returns its die id.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::WrongDevice`] or [`Error::Bus`].
    pub fn identify(&mut self) -> Result<u64, Error<I2C::Error>> {
        let found = self.0.read_u16_be(DIE_ID)?;
        self.0.check_id(found.into(), [u64::from(DIE)].into_iter())
    }

    /// Reads the temperature in hundredths of a degree Celsius, -128 to 127.94 degrees.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] if the four unused bits are set, as on a bus that nobody
    /// drives.
    pub fn centi_c(&mut self) -> Result<i32, Error<I2C::Error>> {
        let word = self.0.read_u16_be(TEMPERATURE)?;
        if word & 0x000F != 0 {
            return Err(Error::Implausible {
                address: self.0.address,
                register: TEMPERATURE,
                value: word.into(),
            });
        }
        Ok(centi_from_q8(word))
    }
}

const TEMPERATURE: u8 = 0x00;
const DIE_ID: u8 = 0x0F;
const DIE: u16 = 0x7500;
