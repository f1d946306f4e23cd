//! TMP451: its own temperature and that of one remote diode, 12 bits each. Register facts from the part's
//! data sheet. It converts by itself from power-up; both of its ranges are understood as found.

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::registers::Registers;
use crate::temperature::{centi_from_q8, q8_from_centi};

/// Step of both temperatures in thousandths of a kelvin, rounded up.
pub const STEP_MK: u32 = 63;

/// Driver. Cheap to make; keeps nothing but the bus and the address.
#[derive(Debug)]
pub struct Tmp451<I2C>(Registers<I2C>);

impl<I2C: I2c> Tmp451<I2C> {
    /// Makes a driver for the part at a 7-bit address, 0x48 to 0x4F on hash boards.
    pub fn new(bus: I2C, address: u8) -> Self {
        Self(Registers::new(bus, address))
    }

    /// Checks that a part of the TMP45x kind answers and returns its manufacturer id.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::WrongDevice`] or [`Error::Bus`].
    pub fn identify(&mut self) -> Result<u64, Error<I2C::Error>> {
        self.0.expect_u8(MANUFACTURER_ID, &[MANUFACTURER])
    }

    /// Reads the part's own temperature in hundredths of a degree Celsius. In the range that the part
    /// starts with, 0 to 127.94 degrees, all colder temperatures read 0.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] for a register that holds what it never does.
    pub fn local_centi_c(&mut self) -> Result<i32, Error<I2C::Error>> {
        self.temperature(LOCAL_HIGH, LOCAL_LOW)
            .map(|(centi, _)| centi)
    }

    /// Reads the remote diode's temperature in hundredths of a degree Celsius, with the offset that
    /// was set. In the range that the part starts with, all temperatures below 0 degrees read 0.
    ///
    /// # Errors
    /// [`Error::DiodeOpen`] if the part reports an open diode, [`Error::DiodeShort`] if the reading is
    /// at the upper end of the range, as with wires that touch; bus errors.
    pub fn remote_centi_c(&mut self) -> Result<i32, Error<I2C::Error>> {
        let address = self.0.address;
        let status = self.0.read_u8(STATUS)?;
        if status == u8::MAX {
            return Err(Error::Implausible {
                address,
                register: STATUS,
                value: status.into(),
            });
        }
        if status & STATUS_OPEN != 0 {
            return Err(Error::DiodeOpen { address });
        }
        let (centi, extended) = self.temperature(REMOTE_HIGH, REMOTE_LOW)?;
        if centi >= if extended { END_EXTENDED } else { END_STANDARD } {
            return Err(Error::DiodeShort { address });
        }
        Ok(centi)
    }

    /// Sets what the part adds to the remote temperature, in hundredths of a kelvin, rounded down to
    /// 1/16 K, and reads it back.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] outside -128 to 127.93 K, [`Error::ReadBack`], bus errors.
    pub fn set_remote_offset_centi_k(&mut self, centi: i32) -> Result<(), Error<I2C::Error>> {
        let Some(word) = q8_from_centi(centi) else {
            return Err(Error::OutOfRange {
                what: "temperature offset in 1/100 K",
                value: centi,
                min: -12_800,
                max: 12_793,
            });
        };
        let [high, low] = word.to_be_bytes();
        self.0.write_verified(OFFSET_HIGH, high)?;
        self.0.write_verified(OFFSET_LOW, low)
    }

    /// Reads a temperature, and whether it is of the extended range.
    fn temperature(&mut self, high: u8, low: u8) -> Result<(i32, bool), Error<I2C::Error>> {
        let config = self.0.read_u8(CONFIG_READ)?;
        let high_byte = self.0.read_u8(high)?;
        let low_byte = self.0.read_u8(low)?;
        if config == u8::MAX || low_byte & 0x0F != 0 {
            return Err(Error::Implausible {
                address: self.0.address,
                register: low,
                value: low_byte.into(),
            });
        }
        // Unsigned in both ranges; the extended one starts at -64 degrees.
        let centi = centi_from_q8(u16::from_be_bytes([high_byte & 0x7F, low_byte]))
            + i32::from(high_byte & 0x80) * 100;
        let extended = config & CONFIG_EXTENDED != 0;
        Ok((if extended { centi - 6_400 } else { centi }, extended))
    }
}

const LOCAL_HIGH: u8 = 0x00;
const REMOTE_HIGH: u8 = 0x01;
const STATUS: u8 = 0x02;
const CONFIG_READ: u8 = 0x03;
const REMOTE_LOW: u8 = 0x10;
const OFFSET_HIGH: u8 = 0x11;
const OFFSET_LOW: u8 = 0x12;
const LOCAL_LOW: u8 = 0x15;
const MANUFACTURER_ID: u8 = 0xFE;

const MANUFACTURER: u8 = 0x55;
const STATUS_OPEN: u8 = 0x04;
const CONFIG_EXTENDED: u8 = 0x04;
/// The last code of each range, 127.94 and 191.94 degrees.
const END_STANDARD: i32 = 12_794;
const END_EXTENDED: i32 = 19_194;
