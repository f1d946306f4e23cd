//! EMC2302: two fans, each with its own duty and tachometer, and a watchdog that sets both to full speed
//! when the host falls silent. Register facts from the part's data sheet. The speed control loop is not
//! used: a fan does what it was last told.

use core::time::Duration;

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::fans::FanBlock;
use crate::registers::Registers;

/// Address of the EMC2302-2 on Bitaxe Hex boards; the EMC2302-1 is at 0x2E.
pub const ADDRESS: u8 = 0x2F;

/// The part sets its fans to full speed when nobody has talked on the bus for this long.
pub const WATCHDOG: Duration = Duration::from_secs(4);

/// One of the part's two fans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// The part's FAN1.
    One,
    /// The part's FAN2.
    Two,
}

impl Fan {
    /// Fan by channel, counted from 0.
    pub fn from_channel(channel: u8) -> Option<Self> {
        match channel {
            0 => Some(Self::One),
            1 => Some(Self::Two),
            _ => None,
        }
    }

    fn block(self) -> FanBlock {
        match self {
            Self::One => FanBlock(0x30),
            Self::Two => FanBlock(0x40),
        }
    }
}

/// Driver. Cheap to make; keeps nothing but the bus and the address.
#[derive(Debug)]
pub struct Emc2302<I2C>(Registers<I2C>);

impl<I2C: I2c> Emc2302<I2C> {
    /// Makes a driver for the part at a 7-bit address, normally [`ADDRESS`].
    pub fn new(bus: I2C, address: u8) -> Self {
        Self(Registers::new(bus, address))
    }

    /// Checks that an EMC2302 answers and returns its product id.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::WrongDevice`] or [`Error::Bus`].
    pub fn identify(&mut self) -> Result<u64, Error<I2C::Error>> {
        self.0.expect_u8(PRODUCT_ID, &[PRODUCT])
    }

    /// Sets both fans up for direct control, their duty unchanged, and starts the [`WATCHDOG`].
    ///
    /// # Errors
    /// [`Error::ReadBack`] for a register that does not keep its value, and bus errors.
    pub fn init(&mut self) -> Result<(), Error<I2C::Error>> {
        Fan::One.block().init(&mut self.0)?;
        Fan::Two.block().init(&mut self.0)?;
        self.restart_watchdog()
    }

    /// Sets a fan's duty in percent, 0 to 100, and reads it back. Fans that the watchdog has set to
    /// full speed are taken back from it.
    ///
    /// # Errors
    /// More than 100 is [`Error::OutOfRange`]; a duty that is not taken [`Error::ReadBack`].
    pub fn set_duty(&mut self, fan: Fan, percent: u8) -> Result<(), Error<I2C::Error>> {
        let result = fan.block().set_duty(&mut self.0, percent);
        if matches!(result, Err(Error::ReadBack { .. })) && self.watchdog_tripped()? {
            self.restart_watchdog()?;
            return fan.block().set_duty(&mut self.0, percent);
        }
        result
    }

    /// Reads a fan's duty in percent, 0 to 100, rounded down.
    ///
    /// # Errors
    /// Bus errors.
    pub fn duty(&mut self, fan: Fan) -> Result<u8, Error<I2C::Error>> {
        fan.block().duty(&mut self.0)
    }

    /// Reads a fan's speed in rpm. 0 means that it stands still or turns slower than 500 rpm.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] for a count of zero.
    pub fn rpm(&mut self, fan: Fan) -> Result<u32, Error<I2C::Error>> {
        fan.block().rpm(&mut self.0)
    }

    /// Tells whether the [`WATCHDOG`] has set the fans to full speed since the last call.
    ///
    /// # Errors
    /// Bus errors.
    pub fn watchdog_tripped(&mut self) -> Result<bool, Error<I2C::Error>> {
        Ok(self.0.read_u8(STATUS)? & STATUS_WATCH != 0)
    }

    /// Off and on again also ends an earlier alarm, which holds the fans at full speed.
    fn restart_watchdog(&mut self) -> Result<(), Error<I2C::Error>> {
        self.0.write_verified(CONFIG, CONFIG_PLAIN)?;
        self.0.write_verified(CONFIG, CONFIG_WATCHDOG)
    }
}

const CONFIG: u8 = 0x20;
const STATUS: u8 = 0x24;
const PRODUCT_ID: u8 = 0xFD;

const PRODUCT: u8 = 0x36;
/// Power-up value: no bus timeout.
const CONFIG_PLAIN: u8 = 0x40;
/// The same with the watchdog running.
const CONFIG_WATCHDOG: u8 = 0x60;
const STATUS_WATCH: u8 = 0x80;
