//! EEPROMs of the 24C series, as boards keep their serial numbers and factory settings in. The transfers
//! are the `eeprom24x` crate's; this module adds bounds for reads, splits writes at page ends, and leaves
//! the wait for a write to the caller.

use core::time::Duration;

use eeprom24x::{Eeprom24x, SlaveAddr};
use embedded_hal::i2c::I2c;

use crate::Error;
use crate::registers::in_range;

/// Lowest address of these parts; three pins choose among eight.
pub const ADDRESS: u8 = 0x50;

/// A write takes at most this long; until then the part does not answer.
pub const WRITE: Duration = Duration::from_millis(5);

/// Size of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// 24C02, 256 bytes: what Antminer hash boards carry.
    C02,
    /// 24C32, 4096 bytes.
    C32,
    /// 24C64, 8192 bytes.
    C64,
}

impl Size {
    /// Capacity in bytes.
    pub fn bytes(self) -> u32 {
        match self {
            Self::C02 => 256,
            Self::C32 => 4_096,
            Self::C64 => 8_192,
        }
    }

    /// Bytes that one write can reach; they start at a multiple of this.
    pub fn page(self) -> u32 {
        match self {
            Self::C02 => 8,
            Self::C32 | Self::C64 => 32,
        }
    }
}

/// Driver. Cheap to make; keeps nothing but the bus, the address and the size.
#[derive(Debug)]
pub struct Eeprom<I2C> {
    bus: I2C,
    address: u8,
    size: Size,
}

impl<I2C: I2c> Eeprom<I2C> {
    /// Makes a driver for the part at a 7-bit address, 0x50 to 0x57.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for another address.
    pub fn new(bus: I2C, address: u8, size: Size) -> Result<Self, Error<I2C::Error>> {
        in_range("EEPROM address", address.into(), 0x50, 0x57)?;
        Ok(Self { bus, address, size })
    }

    /// Tells whether the part answers. It does not while it writes: poll this after a write, for
    /// at most [`WRITE`].
    ///
    /// # Errors
    /// [`Error::Bus`]; absence is the answer `false`.
    pub fn is_ready(&mut self) -> Result<bool, Error<I2C::Error>> {
        let mut byte = [0];
        match self.read(0, &mut byte) {
            Ok(()) => Ok(true),
            Err(Error::Absent { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Fills a buffer from an offset in bytes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if the end is passed; [`Error::Absent`], also while a write is under
    /// way; [`Error::Bus`].
    pub fn read(&mut self, offset: u32, data: &mut [u8]) -> Result<(), Error<I2C::Error>> {
        self.bounds(offset, data.len())?;
        let (address, pins) = (self.address, self.pins());
        let bus = &mut self.bus;
        match self.size {
            Size::C02 => Eeprom24x::new_24x02(bus, pins).read_data(offset, data),
            Size::C32 => Eeprom24x::new_24x32(bus, pins).read_data(offset, data),
            Size::C64 => Eeprom24x::new_24x64(bus, pins).read_data(offset, data),
        }
        .map_err(|error| convert(address, error))
    }

    /// Writes the first part of the data, up to the end of its page, and returns how many bytes those
    /// are. Wait until [`Eeprom::is_ready`], then go on with the rest.
    ///
    /// # Errors
    /// As [`Eeprom::read`]; nothing is written if all data together would pass the end.
    pub fn write_some(&mut self, offset: u32, data: &[u8]) -> Result<usize, Error<I2C::Error>> {
        self.bounds(offset, data.len())?;
        let page = self.size.page();
        let room = usize::try_from(page - offset % page).unwrap_or(1);
        let chunk = data.get(..room).unwrap_or(data);
        let (address, pins) = (self.address, self.pins());
        let bus = &mut self.bus;
        match self.size {
            Size::C02 => Eeprom24x::new_24x02(bus, pins).write_page(offset, chunk),
            Size::C32 => Eeprom24x::new_24x32(bus, pins).write_page(offset, chunk),
            Size::C64 => Eeprom24x::new_24x64(bus, pins).write_page(offset, chunk),
        }
        .map_err(|error| convert(address, error))?;
        Ok(chunk.len())
    }

    fn bounds(&self, offset: u32, length: usize) -> Result<(), Error<I2C::Error>> {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let end = offset.saturating_add(length);
        in_range("end of EEPROM access in bytes", end, 0, self.size.bytes())
    }

    fn pins(&self) -> SlaveAddr {
        let pin = |bit: u8| self.address & bit != 0;
        SlaveAddr::Alternative(pin(4), pin(2), pin(1))
    }
}

fn convert<E: embedded_hal::i2c::Error>(address: u8, error: eeprom24x::Error<E>) -> Error<E> {
    match error {
        eeprom24x::Error::I2C(error) => Error::from_bus(address, error),
        // Offsets and lengths are checked before.
        eeprom24x::Error::TooMuchData | eeprom24x::Error::InvalidAddr => Error::Unsupported {
            address,
            what: "EEPROM access",
            value: 0,
        },
    }
}

/// What the first two bytes of an Antminer hash board's EEPROM tell. All else in it is encrypted and is
/// not read here, so that it serves as a hint, not as an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// Nothing was ever written: all bytes 0xFF.
    Blank,
    /// The maker's layout with so many bytes of payload.
    Maker {
        /// 0x42 or 0x4A on boards seen so far.
        length: u8,
    },
    /// Something else.
    Unknown,
}

impl Contents {
    /// Looks at the contents from their start; the first 16 bytes are enough.
    pub fn of(data: &[u8]) -> Self {
        match data {
            [] => Self::Unknown,
            data if data.iter().all(|&byte| byte == u8::MAX) => Self::Blank,
            [0x11, length @ (0x42 | 0x4A), ..] => Self::Maker { length: *length },
            _ => Self::Unknown,
        }
    }
}
