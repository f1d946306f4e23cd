//! INA260: voltage, current and power of a supply, with the shunt inside. Register facts from the part's
//! data sheet. It measures continuously from power-up.

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::registers::Registers;

/// Driver. Cheap to make; keeps nothing but the bus and the address.
#[derive(Debug)]
pub struct Ina260<I2C>(Registers<I2C>);

/// One set of readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// Bus voltage in millivolts, steps of 1.25 mV.
    pub voltage_mv: u32,
    /// Current in milliamperes, steps of 1.25 mA; negative if it flows backwards.
    pub current_ma: i32,
    /// Power in milliwatts, steps of 10 mW.
    pub power_mw: u32,
}

impl<I2C: I2c> Ina260<I2C> {
    /// Makes a driver for the part at a 7-bit address, 0x40 to 0x4F.
    pub fn new(bus: I2C, address: u8) -> Self {
        Self(Registers::new(bus, address))
    }

    /// Checks that an INA260 answers and returns manufacturer and die id, 0x5449227x.
    ///
    /// # Errors
    /// [`Error::Absent`], [`Error::WrongDevice`] or [`Error::Bus`].
    pub fn identify(&mut self) -> Result<u64, Error<I2C::Error>> {
        let manufacturer = self.0.read_u16_be(MANUFACTURER_ID)?;
        let die = self.0.read_u16_be(DIE_ID)?;
        let found = u64::from(manufacturer) << 16 | u64::from(die);
        // The last digit is the revision.
        self.0.check_id(found & !0xF, [INA260].into_iter())?;
        Ok(found)
    }

    /// Sets continuous measurement of both quantities, averaged over 16 conversions (about 35 ms).
    ///
    /// # Errors
    /// [`Error::ReadBack`] if the setting is not taken, and bus errors.
    pub fn init(&mut self) -> Result<(), Error<I2C::Error>> {
        let [high, low] = CONTINUOUS_16.to_be_bytes();
        self.0.send(&[CONFIG, high, low])?;
        let read = self.0.read_u16_be(CONFIG)?;
        if read == CONTINUOUS_16 {
            Ok(())
        } else {
            Err(Error::ReadBack {
                address: self.0.address,
                register: CONFIG,
                wrote: CONTINUOUS_16.into(),
                read: read.into(),
            })
        }
    }

    /// Reads voltage, current and power.
    ///
    /// # Errors
    /// Bus errors, and [`Error::Implausible`] for a voltage above the part's 40.96 V, as on a bus that
    /// nobody drives.
    pub fn read(&mut self) -> Result<Power, Error<I2C::Error>> {
        let voltage = self.0.read_u16_be(VOLTAGE)?;
        if voltage & 0x8000 != 0 {
            return Err(Error::Implausible {
                address: self.0.address,
                register: VOLTAGE,
                value: voltage.into(),
            });
        }
        let current = self.0.read_u16_be(CURRENT)?.cast_signed();
        let power = self.0.read_u16_be(POWER)?;
        Ok(Power {
            voltage_mv: u32::from(voltage) * 5 / 4,
            current_ma: i32::from(current) * 5 / 4,
            power_mw: u32::from(power) * 10,
        })
    }
}

const CONFIG: u8 = 0x00;
const CURRENT: u8 = 0x01;
const VOLTAGE: u8 = 0x02;
const POWER: u8 = 0x03;
const MANUFACTURER_ID: u8 = 0xFE;
const DIE_ID: u8 = 0xFF;
const INA260: u64 = 0x5449_2270;
/// The power-up value 0x6127 with 16 instead of 1 conversions averaged.
const CONTINUOUS_16: u16 = 0x6527;
