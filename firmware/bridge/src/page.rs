//! What can be asked of a controller, as typed commands, and how each is written on its page.
//!
//! Pages 5 to 7 mean the same on all firmware. Pages 8 and 9 do not: they are LED and system on some, fans on
//! others, and nothing on the wire says which. So the caller names the firmware's [`FanPage`].

use core::ops::RangeInclusive;

use crate::answer::MAX_PAYLOAD;
use crate::extension;
use crate::frame::{Request, RequestError};

/// Page of the I2C buses.
pub const I2C: u8 = 0x05;
/// Page of the pins; the command is the pin number.
pub const GPIO: u8 = 0x06;
/// Page of the analogue inputs.
pub const ADC: u8 = 0x07;
/// Page of the LED, on one branch of bitaxe-raw of the fan.
pub const LED: u8 = 0x08;
/// Page of the fans on bitcrane and Bonanza, system page elsewhere.
pub const FAN: u8 = 0x09;
/// System page of emberOne and RHAP.
pub const SYSTEM: u8 = 0x09;

/// The most bytes that one I2C write carries behind the address: the answer counts them in one byte.
pub const MAX_I2C_WRITE: usize = 255;
/// The most bytes that one I2C read gives. Public firmware sends its answer as one USB packet of 64 bytes, so more than
/// 60 come from our firmware only.
pub const MAX_I2C_READ: usize = 255;

/// The slowest and the fastest I2C clock that our firmware takes, in Hz. Slower ones would hold up the guard's own
/// readings.
pub const I2C_HERTZ: RangeInclusive<u32> = 50_000..=1_000_000;

/// How a firmware drives fans itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum FanPage {
    /// Not at all: fans hang on a device on the I2C bus. Page 8 is the LED, page 9 the system page.
    #[default]
    Device,
    /// Page 8, one fan, duty of 0 to 255, 32-bit rpm. A branch of bitaxe-raw.
    Duty,
    /// Page 9, one fan, percent, 16-bit rpm. Bitaxe Bonanza and bitaxe-raw of 2026.
    Bonanza,
    /// Page 9, four fans, percent, 16-bit rpm. bitcrane.
    Bitcrane,
}

impl FanPage {
    /// How many fans it has.
    pub fn fans(self) -> u8 {
        match self {
            Self::Device => 0,
            Self::Duty | Self::Bonanza => 1,
            Self::Bitcrane => 4,
        }
    }
}

/// An analogue input of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AdcInput {
    /// Core voltage.
    Vdd,
    /// Input voltage.
    Vin,
}

/// One thing that a host may ask of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// Set the clock of an I2C bus, in Hz. The answer repeats it.
    I2cFrequency {
        /// Which bus.
        bus: u8,
        /// In Hz.
        hertz: u32,
    },
    /// Write to an I2C device. The answer is the count of bytes written, without the address.
    I2cWrite {
        /// Which bus.
        bus: u8,
        /// 7-bit address.
        address: u8,
        /// Up to [`MAX_I2C_WRITE`] bytes.
        data: &'a [u8],
    },
    /// Read from an I2C device.
    I2cRead {
        /// Which bus.
        bus: u8,
        /// 7-bit address.
        address: u8,
        /// How many bytes.
        length: u8,
    },
    /// Write, then read after a repeated start.
    I2cWriteRead {
        /// Which bus.
        bus: u8,
        /// 7-bit address.
        address: u8,
        /// Up to [`MAX_I2C_WRITE`] bytes.
        data: &'a [u8],
        /// How many bytes to read.
        length: u8,
    },
    /// Level of a pin.
    GpioGet {
        /// Pin number as the firmware counts.
        pin: u8,
    },
    /// Set a pin. The answer is its level.
    GpioSet {
        /// Pin number as the firmware counts.
        pin: u8,
        /// High or low, whatever that means for the pin.
        level: bool,
    },
    /// Raw counts of an analogue input.
    Adc(AdcInput),
    /// Set the colour of the LED.
    Led {
        /// 0 to 255.
        red: u8,
        /// 0 to 255.
        green: u8,
        /// 0 to 255.
        blue: u8,
    },
    /// Set a fan.
    FanSet {
        /// From 0.
        fan: u8,
        /// 0 to 100.
        percent: u8,
    },
    /// Speed of a fan in rpm.
    FanTach {
        /// From 0.
        fan: u8,
    },
    /// Start the firmware anew. There is no answer.
    Reboot,
    /// Start the boot loader, to load other firmware. There is no answer.
    BootLoader,
    /// Our own page.
    Extension(extension::Ask),
}

const REBOOT: [u8; 4] = [0xDE, 0xAD, 0xBE, 0xEF];
const BOOT_LOADER: [u8; 4] = [0xB0, 0x07, 0x10, 0xAD];

impl<'a> Command<'a> {
    /// Writes the command as a request to the start of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`RequestError`] if it is too long, does not fit, or the firmware has no command for it.
    pub fn emit(&self, id: u8, fans: FanPage, out: &mut [u8]) -> Result<usize, RequestError> {
        // Address, data and length of the largest I2C request.
        let mut scratch = [0; MAX_I2C_WRITE + 2];
        let mut build = |parts: &[&[u8]]| -> Result<usize, RequestError> {
            let mut len = 0;
            for part in parts {
                let end = len + part.len();
                let room = scratch.len();
                scratch
                    .get_mut(len..end)
                    .ok_or(RequestError::NoRoom { len: end, room })?
                    .copy_from_slice(part);
                len = end;
            }
            Ok(len)
        };
        let (bus, page, command, len) = match *self {
            Self::I2cFrequency { bus, hertz } => (bus, I2C, 0x10, build(&[&hertz.to_le_bytes()])?),
            Self::I2cWrite { bus, address, data } => (bus, I2C, 0x20, build(&[&[address], data])?),
            Self::I2cRead {
                bus,
                address,
                length,
            } => (bus, I2C, 0x30, build(&[&[address, length]])?),
            Self::I2cWriteRead {
                bus,
                address,
                data,
                length,
            } => (bus, I2C, 0x40, build(&[&[address], data, &[length]])?),
            Self::GpioGet { pin } => (0, GPIO, pin, 0),
            Self::GpioSet { pin, level } => (0, GPIO, pin, build(&[&[u8::from(level)]])?),
            Self::Adc(AdcInput::Vdd) => (0, ADC, 0x50, 0),
            Self::Adc(AdcInput::Vin) => (0, ADC, 0x51, 0),
            Self::Led { red, green, blue } if fans != FanPage::Duty => {
                (0, LED, 0x10, build(&[&[red, green, blue]])?)
            }
            Self::FanSet { fan, percent } if fan < fans.fans() => {
                let percent = percent.min(100);
                match fans {
                    FanPage::Duty => (0, LED, 0x00, build(&[&[duty(percent)]])?),
                    FanPage::Bonanza => (0, FAN, 0x10, build(&[&[percent]])?),
                    FanPage::Bitcrane => (0, FAN, 0x11 + fan, build(&[&[percent]])?),
                    FanPage::Device => return Err(RequestError::NoCommand),
                }
            }
            Self::FanTach { fan } if fan < fans.fans() => match fans {
                FanPage::Duty => (0, LED, 0x01, 0),
                FanPage::Bonanza => (0, FAN, 0x20, 0),
                FanPage::Bitcrane => (0, FAN, 0x21 + fan, 0),
                FanPage::Device => return Err(RequestError::NoCommand),
            },
            Self::Reboot if fans.has_system() => (0, SYSTEM, 0x01, build(&[&REBOOT])?),
            Self::BootLoader if fans.has_system() => (0, SYSTEM, 0x02, build(&[&BOOT_LOADER])?),
            Self::Extension(ref ask) => {
                let mut room = [0; extension::MAX_ASK];
                let (command, data) = ask.emit(&mut room);
                (0, extension::PAGE, command, build(&[data])?)
            }
            Self::Led { .. }
            | Self::FanSet { .. }
            | Self::FanTach { .. }
            | Self::Reboot
            | Self::BootLoader => return Err(RequestError::NoCommand),
        };
        Request {
            id,
            bus,
            page,
            command,
            data: scratch.get(..len).unwrap_or_default(),
        }
        .emit(out)
    }

    /// Reads a request. `None` if it is no command that this crate knows or its data has the wrong length.
    pub fn parse(request: &Request<'a>, fans: FanPage) -> Option<Self> {
        let bus = request.bus;
        Some(match (request.page, request.command, request.data) {
            (I2C, 0x10, &[a, b, c, d]) => Self::I2cFrequency {
                bus,
                hertz: u32::from_le_bytes([a, b, c, d]),
            },
            (I2C, 0x20, [address, data @ ..]) if data.len() <= MAX_I2C_WRITE => Self::I2cWrite {
                bus,
                address: *address,
                data,
            },
            (I2C, 0x30, &[address, length]) => Self::I2cRead {
                bus,
                address,
                length,
            },
            (I2C, 0x40, [address, data @ .., length]) if data.len() <= MAX_I2C_WRITE => {
                Self::I2cWriteRead {
                    bus,
                    address: *address,
                    data,
                    length: *length,
                }
            }
            (GPIO, pin, []) => Self::GpioGet { pin },
            (GPIO, pin, &[level]) => Self::GpioSet {
                pin,
                level: level != 0,
            },
            (ADC, 0x50, []) => Self::Adc(AdcInput::Vdd),
            (ADC, 0x51, []) => Self::Adc(AdcInput::Vin),
            (LED, 0x00, &[duty]) if fans == FanPage::Duty => Self::FanSet {
                fan: 0,
                percent: percent(duty),
            },
            (LED, 0x01, []) if fans == FanPage::Duty => Self::FanTach { fan: 0 },
            (LED, 0x10, &[red, green, blue]) if fans != FanPage::Duty => {
                Self::Led { red, green, blue }
            }
            (FAN, 0x10, &[percent @ 0..=100]) if fans == FanPage::Bonanza => {
                Self::FanSet { fan: 0, percent }
            }
            (FAN, 0x20, []) if fans == FanPage::Bonanza => Self::FanTach { fan: 0 },
            (FAN, command @ 0x11..=0x14, &[percent @ 0..=100]) if fans == FanPage::Bitcrane => {
                Self::FanSet {
                    fan: command - 0x11,
                    percent,
                }
            }
            (FAN, command @ 0x21..=0x24, []) if fans == FanPage::Bitcrane => Self::FanTach {
                fan: command - 0x21,
            },
            (SYSTEM, 0x01, data) if fans.has_system() && data == REBOOT => Self::Reboot,
            (SYSTEM, 0x02, data) if fans.has_system() && data == BOOT_LOADER => Self::BootLoader,
            (extension::PAGE, command, data) => {
                Self::Extension(extension::Ask::parse(command, data)?)
            }
            _ => return None,
        })
    }

    /// How many bytes of data the answer may have. `None` if there is no answer.
    pub fn answer(&self, fans: FanPage) -> Option<RangeInclusive<usize>> {
        Some(match self {
            Self::I2cFrequency { .. } => 0..=4,
            Self::I2cWrite { .. } | Self::GpioGet { .. } | Self::GpioSet { .. } => 1..=1,
            Self::I2cRead { length, .. } | Self::I2cWriteRead { length, .. } => {
                usize::from(*length)..=usize::from(*length)
            }
            Self::Adc(_) => 2..=2,
            Self::Led { .. } => 0..=3,
            // bitcrane answers 00, the others nothing or what was set.
            Self::FanSet { .. } => 0..=1,
            Self::FanTach { .. } if fans == FanPage::Duty => 4..=4,
            Self::FanTach { .. } => 2..=2,
            Self::Reboot | Self::BootLoader => return None,
            Self::Extension(ask) => ask.answer_min()..=MAX_PAYLOAD,
        })
    }
}

impl FanPage {
    fn has_system(self) -> bool {
        matches!(self, Self::Device | Self::Duty)
    }
}

/// Percent as a duty of 0 to 255, rounded up so that no fan runs below what was asked.
fn duty(percent: u8) -> u8 {
    let duty = (u16::from(percent.min(100)) * 255).div_ceil(100);
    u8::try_from(duty).unwrap_or(u8::MAX)
}

/// A duty of 0 to 255 in percent, rounded down, so that [`duty`] and this are inverse.
fn percent(duty: u8) -> u8 {
    u8::try_from(u16::from(duty) * 100 / 255).unwrap_or(100)
}
