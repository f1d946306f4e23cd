//! What the EMC2103 and the EMC230x have in common: a block of registers per fan, a 13-bit count of
//! clock ticks for a fixed number of turns, a range that scales it.

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::registers::{Registers, duty_code, duty_percent};

/// The registers of one fan; offsets are the same on all parts of the family.
pub(crate) struct FanBlock(pub(crate) u8);

impl FanBlock {
    fn setting(&self) -> u8 {
        self.0
    }

    fn config(&self) -> u8 {
        self.0 + 2
    }

    fn tach_high(&self) -> u8 {
        self.0 + 0xE
    }

    fn tach_low(&self) -> u8 {
        self.0 + 0xF
    }

    /// Direct control, the widest range of speeds, fans that give two pulses a turn.
    pub(crate) fn init<I2C: I2c>(
        &self,
        device: &mut Registers<I2C>,
    ) -> Result<(), Error<I2C::Error>> {
        device.write_verified(self.config(), CONFIG_DIRECT_500)
    }

    pub(crate) fn set_duty<I2C: I2c>(
        &self,
        device: &mut Registers<I2C>,
        percent: u8,
    ) -> Result<(), Error<I2C::Error>> {
        let code = duty_code(percent, u8::MAX)?;
        device.write_verified(self.setting(), code)
    }

    pub(crate) fn duty<I2C: I2c>(
        &self,
        device: &mut Registers<I2C>,
    ) -> Result<u8, Error<I2C::Error>> {
        Ok(duty_percent(device.read_u8(self.setting())?, u8::MAX))
    }

    pub(crate) fn rpm<I2C: I2c>(
        &self,
        device: &mut Registers<I2C>,
    ) -> Result<u32, Error<I2C::Error>> {
        let multiplier = 1_u32 << ((device.read_u8(self.config())? >> 5) & 0x03);
        // Reading the high byte holds the low byte of the same measurement.
        let high = device.read_u8(self.tach_high())?;
        let low = device.read_u8(self.tach_low())?;
        if high > VALID_TACH_HIGH {
            return Ok(0);
        }
        match u16::from_be_bytes([high, low]) >> 3 {
            0 => Err(Error::Implausible {
                address: device.address,
                register: self.tach_high(),
                value: 0,
            }),
            count => Ok(TACH_CLOCK_PER_MINUTE * multiplier / u32::from(count)),
        }
    }
}

/// Fan setting register in charge, range from 500 rpm, five edges for two turns, updates at 0.4 s.
const CONFIG_DIRECT_500: u8 = 0x0B;
const TACH_CLOCK_PER_MINUTE: u32 = 3_932_160;
/// Counts with a higher upper byte mean a stalled fan: the part's default for its own stall detection.
const VALID_TACH_HIGH: u8 = 0xF5;
