//! Register access that all drivers share: one bus, one address, errors classified.

use embedded_hal::i2c::I2c;

use crate::Error;

/// A device on a bus.
#[derive(Debug)]
pub(crate) struct Registers<I2C> {
    pub(crate) bus: I2C,
    pub(crate) address: u8,
}

impl<I2C: I2c> Registers<I2C> {
    pub(crate) fn new(bus: I2C, address: u8) -> Self {
        Self { bus, address }
    }

    pub(crate) fn read<const N: usize>(
        &mut self,
        register: u8,
    ) -> Result<[u8; N], Error<I2C::Error>> {
        let mut value = [0; N];
        self.bus
            .write_read(self.address, &[register], &mut value)
            .map_err(|error| Error::from_bus(self.address, error))?;
        Ok(value)
    }

    pub(crate) fn read_u8(&mut self, register: u8) -> Result<u8, Error<I2C::Error>> {
        Ok(self.read::<1>(register)?[0])
    }

    pub(crate) fn read_u16_be(&mut self, register: u8) -> Result<u16, Error<I2C::Error>> {
        Ok(u16::from_be_bytes(self.read(register)?))
    }

    /// Sends bytes, the first of which is the register.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Error<I2C::Error>> {
        self.bus
            .write(self.address, bytes)
            .map_err(|error| Error::from_bus(self.address, error))
    }

    pub(crate) fn write_u8(&mut self, register: u8, value: u8) -> Result<(), Error<I2C::Error>> {
        self.send(&[register, value])
    }

    /// Writes a register and fails unless it then reads the same.
    pub(crate) fn write_verified(
        &mut self,
        register: u8,
        value: u8,
    ) -> Result<(), Error<I2C::Error>> {
        self.write_u8(register, value)?;
        let read = self.read_u8(register)?;
        if read == value {
            Ok(())
        } else {
            Err(Error::ReadBack {
                address: self.address,
                register,
                wrote: value.into(),
                read: read.into(),
            })
        }
    }

    /// Fails with [`Error::WrongDevice`] unless the register holds one of the identifications.
    pub(crate) fn expect_u8(
        &mut self,
        register: u8,
        expected: &[u8],
    ) -> Result<u64, Error<I2C::Error>> {
        let found = self.read_u8(register)?;
        self.check_id(found.into(), expected.iter().map(|&id| id.into()))
    }

    pub(crate) fn check_id(
        &self,
        found: u64,
        mut expected: impl Iterator<Item = u64>,
    ) -> Result<u64, Error<I2C::Error>> {
        let first = expected.next().unwrap_or_default();
        if found == first || expected.any(|id| id == found) {
            Ok(found)
        } else {
            Err(Error::WrongDevice {
                address: self.address,
                found,
                expected: first,
            })
        }
    }
}

/// Fails unless `min <= value <= max`.
pub(crate) fn in_range<E>(
    what: &'static str,
    value: u32,
    min: u32,
    max: u32,
) -> Result<(), Error<E>> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let clamp = |v: u32| i32::try_from(v).unwrap_or(i32::MAX);
    Err(Error::OutOfRange {
        what,
        value: clamp(value),
        min: clamp(min),
        max: clamp(max),
    })
}

/// Turns a percentage into a duty code, rounded up so that a fan never runs below what was asked.
pub(crate) fn duty_code<E>(percent: u8, full: u8) -> Result<u8, Error<E>> {
    in_range("fan duty in percent", percent.into(), 0, 100)?;
    let code = (u32::from(percent) * u32::from(full)).div_ceil(100);
    Ok(u8::try_from(code).unwrap_or(full))
}

/// Turns a duty code into a percentage, rounded down; codes above `full` count as 100.
pub(crate) fn duty_percent(code: u8, full: u8) -> u8 {
    let percent = u32::from(code.min(full)) * 100 / u32::from(full.max(1));
    u8::try_from(percent).unwrap_or(100)
}
