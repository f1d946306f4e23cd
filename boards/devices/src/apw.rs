//! Antminer power supplies (APW9, APW12 and relatives): type, voltage, set voltage, over I2C. Facts from
//! published notes on the supplies of S17 and S19 machines. A pin switches the output, not the bus.
//!
//! A supply takes a frame byte by byte and needs [`ANSWER`] before its answer can be read, so every
//! exchange is two calls: [`Apw::request`], and later [`Apw::answer`]. Nothing keeps an earlier answer
//! apart from a new one but its command, so do one at a time.

use core::time::Duration;

use embedded_hal::i2c::I2c;

use crate::Error;
use crate::registers::Registers;

/// Address of all supplies known.
pub const ADDRESS: u8 = 0x10;

/// Least time from a request to its answer.
pub const ANSWER: Duration = Duration::from_millis(400);

/// Least time from an answer to the next request.
pub const PAUSE: Duration = Duration::from_millis(100);

/// Least time between the two halves of a probe.
pub const PROBE: Duration = Duration::from_millis(10);

/// Longest time that the output takes to follow a new setting.
pub const SETTLE: Duration = Duration::from_millis(500);

/// The register that frames go through. Notes disagree on which supply uses which: probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Register 0x00.
    Old,
    /// Register 0x11.
    New,
}

impl Protocol {
    fn register(self) -> u8 {
        match self {
            Self::Old => 0x00,
            Self::New => 0x11,
        }
    }
}

/// How a family of supplies turns voltages into codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Types 0x71, 0x72, 0x75 and 0x77: APW12, 12 to 15 V.
    Apw12,
    /// Types 0x74 and 0x76: APW12 variants, about 12 to 15 V.
    Apw12B,
    /// APW9 of the S17 family, 14.3 to 21.36 V. It tells no type that is known: name it in the profile.
    Apw9,
}

impl Model {
    /// Model by the type that a supply tells; `None` for one whose codes are not known, which then
    /// must not be set.
    pub fn from_type(kind: u16) -> Option<Self> {
        match kind {
            0x71 | 0x72 | 0x75 | 0x77 => Some(Self::Apw12),
            0x74 | 0x76 => Some(Self::Apw12B),
            _ => None,
        }
    }

    /// Least and greatest voltage that can be set, in millivolts.
    pub fn range_mv(self) -> (u32, u32) {
        let curve = self.curve();
        (curve.millivolts(curve.max), curve.millivolts(curve.min))
    }

    /// Code for a voltage in millivolts: it gives at most that voltage, to the millivolt, and less
    /// than one step (13 mV on an APW12, 28 mV on an APW9) below it. `None` outside
    /// [`Model::range_mv`].
    pub fn code(self, millivolts: u32) -> Option<u8> {
        let (min, max) = self.range_mv();
        if !(min..=max).contains(&millivolts) {
            return None;
        }
        let curve = self.curve();
        let exact = curve.offset - curve.slope * i64::from(millivolts);
        let code = -(-exact).div_euclid(curve.unit);
        u8::try_from(code.clamp(curve.min.into(), curve.max.into())).ok()
    }

    /// Voltage of a code in millivolts, rounded down.
    pub fn millivolts(self, code: u8) -> u32 {
        self.curve().millivolts(code)
    }

    fn curve(self) -> Curve {
        match self {
            Self::Apw12 => Curve {
                offset: 1_190_935_338_000,
                slope: 78_742_588,
                unit: 1_000_000_000,
                min: 9,
                max: 246,
            },
            Self::Apw12B => Curve {
                offset: 1_156_107_585_000,
                slope: 76_090_494,
                unit: 1_000_000_000,
                min: 14,
                max: 243,
            },
            Self::Apw9 => Curve {
                offset: 21_360 * 253,
                slope: 253,
                unit: 7_060,
                min: 0,
                max: 253,
            },
        }
    }
}

/// A question or an order to the supply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Which type it is.
    Type,
    /// Which code it is set to.
    Voltage,
    /// Set a code; see [`Model::code`].
    SetVoltage {
        /// Code; higher ones give less voltage.
        code: u8,
    },
}

impl Request {
    fn command(self) -> u8 {
        match self {
            Self::Type => 0x02,
            Self::Voltage => 0x03,
            Self::SetVoltage { .. } => 0x83,
        }
    }
}

/// Driver. Cheap to make; keeps nothing but the bus, the address and the protocol.
#[derive(Debug)]
pub struct Apw<I2C> {
    device: Registers<I2C>,
    protocol: Protocol,
}

impl<I2C: I2c> Apw<I2C> {
    /// Makes a driver for the supply at a 7-bit address, normally [`ADDRESS`].
    pub fn new(bus: I2C, address: u8, protocol: Protocol) -> Self {
        Self {
            device: Registers::new(bus, address),
            protocol,
        }
    }

    /// First half of a probe: writes a mark. The second half may come [`PROBE`] later.
    ///
    /// # Errors
    /// [`Error::Absent`] if no supply answers, [`Error::Bus`].
    pub fn start_probe(&mut self) -> Result<(), Error<I2C::Error>> {
        self.device.write_u8(self.protocol.register(), PROBE_MARK)
    }

    /// Second half of a probe: tells whether the mark is there, so that the supply uses this
    /// protocol. Probe [`Protocol::New`] first, and take [`Protocol::Old`] otherwise.
    ///
    /// # Errors
    /// [`Error::Absent`] if no supply answers, [`Error::Bus`].
    pub fn finish_probe(&mut self) -> Result<bool, Error<I2C::Error>> {
        Ok(self.device.read_u8(self.protocol.register())? == PROBE_MARK)
    }

    /// Sends a request. Its answer can be read after [`ANSWER`].
    ///
    /// # Errors
    /// [`Error::Absent`] if no supply answers, [`Error::Bus`].
    pub fn request(&mut self, request: Request) -> Result<(), Error<I2C::Error>> {
        let command = request.command();
        match request {
            Request::Type | Request::Voltage => {
                let [low, high] = (4 + u16::from(command)).to_le_bytes();
                self.send(&[0x55, 0xAA, 4, command, low, high])
            }
            Request::SetVoltage { code } => {
                let sum = 6 + u16::from(command) + u16::from(code);
                let [low, high] = sum.to_le_bytes();
                self.send(&[0x55, 0xAA, 6, command, code, 0, low, high])
            }
        }
    }

    /// Reads the answer to a request: the type, the code that is set, or the code that was taken.
    /// The next request may be sent after [`PAUSE`].
    ///
    /// # Errors
    /// [`Error::BadFrame`] for a damaged answer, or none yet; [`Error::ReadBack`] if another code
    /// was taken than was sent; [`Error::Absent`] and [`Error::Bus`].
    pub fn answer(&mut self, request: Request) -> Result<u16, Error<I2C::Error>> {
        let address = self.device.address;
        let command = request.command();
        let mut frame = [0; 8];
        for byte in &mut frame {
            *byte = self.device.read_u8(self.protocol.register())?;
        }
        let [0x55, 0xAA, 6, answered, low, high, sum_low, sum_high] = frame else {
            return Err(Error::BadFrame { address, command });
        };
        let sum = 6 + u16::from(answered) + u16::from(low) + u16::from(high);
        if answered != command || sum != u16::from_le_bytes([sum_low, sum_high]) {
            return Err(Error::BadFrame { address, command });
        }
        let value = u16::from_le_bytes([low, high]);
        match request {
            Request::SetVoltage { code } if value != u16::from(code) => Err(Error::ReadBack {
                address,
                register: command,
                wrote: code.into(),
                read: value.into(),
            }),
            _ => Ok(value),
        }
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), Error<I2C::Error>> {
        let register = self.protocol.register();
        frame
            .iter()
            .try_for_each(|&byte| self.device.write_u8(register, byte))
    }
}

/// code = (offset - slope * millivolts) / unit.
struct Curve {
    offset: i64,
    slope: i64,
    unit: i64,
    min: u8,
    max: u8,
}

impl Curve {
    fn millivolts(&self, code: u8) -> u32 {
        let exact = (self.offset - i64::from(code) * self.unit).div_euclid(self.slope);
        u32::try_from(exact).unwrap_or(0)
    }
}

const PROBE_MARK: u8 = 0xF5;
