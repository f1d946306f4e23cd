//! DS4432U: two current DACs. One of them pulls at the feedback node of a regulator that has no bus of
//! its own, and so sets its output voltage. Register facts from the part's data sheet; the resistors of
//! the Bitaxe boards from their published design.

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::registers::Registers;

/// Address of the part; it has no other.
pub const ADDRESS: u8 = 0x48;

/// One of the part's two outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// OUT0, the one that Bitaxe boards use.
    #[default]
    Zero,
    /// OUT1.
    One,
}

/// The feedback network of the regulator that the DAC pulls at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Voltage at which the regulator holds its feedback node, in millivolts.
    pub reference_mv: u32,
    /// Resistor from the output to the feedback node, in ohms.
    pub top_ohm: u32,
    /// Resistor from the feedback node to ground, in ohms.
    pub bottom_ohm: u32,
    /// Current of the DAC at code 127, in nanoamperes.
    pub full_scale_na: u32,
}

impl Network {
    /// TPS40305 regulator of Bitaxe Max, Ultra and Supra boards up to 2023: 0.6 V, 4.75 kΩ over
    /// 3.32 kΩ, and 98.921 µA from an 80 kΩ range resistor.
    pub const BITAXE: Self = Self {
        reference_mv: 600,
        top_ohm: 4_750,
        bottom_ohm: 3_320,
        full_scale_na: 98_921,
    };

    /// Lowest and highest voltage that the network can be set to, in millivolts.
    pub fn range_mv(&self) -> (u32, u32) {
        let bound = |code| self.voltage_uv(code).map_or(0, |uv| uv / 1_000);
        // Up to the next whole millivolt, so that both bounds can be reached.
        let lowest = self
            .voltage_uv(CODE_MAX | SOURCE)
            .map_or(0, |uv| uv.div_ceil(1_000));
        (lowest, bound(CODE_MAX))
    }

    /// Register value for an output voltage in millivolts; the voltage that it gives is at most the
    /// one asked for and less than one step (3.7 mV on [`Network::BITAXE`]) below it. `None` if the
    /// DAC cannot reach it.
    pub fn code(&self, millivolts: u32) -> Option<u8> {
        // Current out of the DAC in units of 1 mV / (top * bottom): positive lowers the output.
        let top = i128::from(self.top_ohm);
        let bottom = i128::from(self.bottom_ohm);
        let reference = i128::from(self.reference_mv);
        let current = reference * top - (i128::from(millivolts) - reference) * bottom;
        let unit = top * bottom * i128::from(self.full_scale_na);
        if unit == 0 {
            return None;
        }
        // 1 mV / 1 Ω is 1e6 nA.
        let scaled = current * i128::from(CODE_MAX) * 1_000_000;
        // Towards the lower voltage: more current out, or less current in.
        let steps = -(-scaled).div_euclid(unit);
        let magnitude = u8::try_from(steps.unsigned_abs()).ok()?;
        if magnitude > CODE_MAX {
            return None;
        }
        Some(if steps > 0 {
            magnitude | SOURCE
        } else {
            magnitude
        })
    }

    /// Output voltage for a register value, in microvolts; `None` for a network without resistors.
    pub fn voltage_uv(&self, code: u8) -> Option<u32> {
        let top = i128::from(self.top_ohm);
        let bottom = i128::from(self.bottom_ohm);
        if bottom == 0 {
            return None;
        }
        let magnitude = i128::from(code & CODE_MAX);
        let steps = if code & SOURCE == 0 {
            -magnitude
        } else {
            magnitude
        };
        let undisturbed = i128::from(self.reference_mv) * 1_000 * (top + bottom) / bottom;
        // nA * Ω is nV.
        let pull = steps * i128::from(self.full_scale_na) * top / i128::from(CODE_MAX) / 1_000;
        u32::try_from(undisturbed - pull).ok()
    }
}

/// Driver. Cheap to make; keeps nothing but the bus, the address and the network.
#[derive(Debug)]
pub struct Ds4432u<I2C> {
    device: Registers<I2C>,
    network: Network,
    output: Output,
}

impl<I2C: I2c> Ds4432u<I2C> {
    /// Makes a driver for the part at a 7-bit address, normally [`ADDRESS`].
    pub fn new(bus: I2C, address: u8, network: Network, output: Output) -> Self {
        Self {
            device: Registers::new(bus, address),
            network,
            output,
        }
    }

    /// Checks that something answers. The part has no identification.
    ///
    /// # Errors
    /// [`Error::Absent`] or [`Error::Bus`].
    pub fn probe(&mut self) -> Result<(), Error<I2C::Error>> {
        self.device.read_u8(self.register()).map(drop)
    }

    /// Sets the regulator's output in millivolts and reads the register back. The output comes to at
    /// most the voltage asked for. The part cannot switch the regulator off.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] beyond [`Network::range_mv`], [`Error::ReadBack`], bus errors.
    pub fn set_output_mv(&mut self, millivolts: u32) -> Result<(), Error<I2C::Error>> {
        let (min, max) = self.network.range_mv();
        crate::registers::in_range("core voltage in mV", millivolts, min, max)?;
        let register = self.register();
        match self.network.code(millivolts) {
            Some(code) => self.device.write_verified(register, code),
            None => crate::registers::in_range("core voltage in mV", millivolts, max, min),
        }
    }

    /// Voltage that the register stands for, in millivolts. It is a setting, not a measurement.
    ///
    /// # Errors
    /// Bus errors.
    pub fn set_point_mv(&mut self) -> Result<u32, Error<I2C::Error>> {
        let code = self.device.read_u8(self.register())?;
        Ok(self.network.voltage_uv(code).unwrap_or(0).div_ceil(1_000))
    }

    fn register(&self) -> u8 {
        match self.output {
            Output::Zero => OUT0,
            Output::One => OUT1,
        }
    }
}

const OUT0: u8 = 0xF8;
const OUT1: u8 = 0xF9;
const CODE_MAX: u8 = 0x7F;
/// The DAC drives current into the node, which lowers the output; without it, it draws current.
const SOURCE: u8 = 0x80;
