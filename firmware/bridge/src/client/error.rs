//! What went wrong between host and controller, with what was asked.

use core::fmt;

use crate::answer::{AnswerError, Refusal};
use crate::extension::Ask;
use crate::frame::RequestError;
use crate::page::{AdcInput, Command};

/// Why a call gave nothing. `E` is the port's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{asked}: {kind}")]
pub struct ClientError<E> {
    /// What was asked.
    pub asked: Asked,
    /// What happened.
    pub kind: ClientErrorKind<E>,
}

impl<E> ClientError<E> {
    /// The controller's refusal, if that is what happened.
    pub fn refusal(&self) -> Option<&Refusal> {
        match &self.kind {
            ClientErrorKind::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Whether the controller's guard does not allow it.
    pub fn is_denied(&self) -> bool {
        self.refusal().is_some_and(Refusal::is_denied)
    }
}

/// What happened instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientErrorKind<E> {
    /// The port failed, or no answer came in time.
    #[error("{0}")]
    Port(E),
    /// The controller refused.
    #[error("{0}")]
    Refused(Refusal),
    /// What came back is no answer to this.
    #[error("the answer makes no sense")]
    Nonsense,
    /// It cannot be asked of this controller.
    #[error("{0}")]
    Request(RequestError),
    /// More bytes than one request can carry.
    #[error("{len} bytes are more than the 255 of one I2C transfer")]
    TooMuch {
        /// How many.
        len: usize,
    },
    /// The controller wrote fewer bytes than it was given.
    #[error("{accepted} of {wrote} bytes were written")]
    Short {
        /// Bytes given.
        wrote: usize,
        /// Bytes written.
        accepted: u8,
    },
    /// The pin was set but is at the other level.
    #[error("the pin is at the other level")]
    Level,
}

impl<E> From<RequestError> for ClientErrorKind<E> {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl<E> From<AnswerError> for ClientErrorKind<E> {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Refused(refusal) => Self::Refused(refusal),
            AnswerError::Malformed { .. } => Self::Nonsense,
        }
    }
}

/// What was asked of a controller, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asked {
    /// The format of its answers.
    Probe,
    /// Clock of an I2C bus.
    I2cFrequency {
        /// Which bus.
        bus: u8,
    },
    /// An I2C transfer.
    I2c {
        /// Written, or only read.
        write: bool,
        /// Which bus.
        bus: u8,
        /// 7-bit address.
        address: u8,
    },
    /// Level of a pin.
    Pin {
        /// Its number.
        pin: u8,
        /// The level to set; `None` to get it.
        set: Option<bool>,
    },
    /// An analogue input.
    Adc(AdcInput),
    /// The LED.
    Led,
    /// A fan.
    Fan {
        /// From 0.
        fan: u8,
        /// The duty to set; `None` for its speed.
        set: Option<u8>,
    },
    /// A start of firmware or boot loader.
    Reboot,
    /// Something on our page.
    Guard(Ask),
}

impl Asked {
    pub(crate) fn error<E>(self, kind: impl Into<ClientErrorKind<E>>) -> ClientError<E> {
        ClientError {
            asked: self,
            kind: kind.into(),
        }
    }

    pub(crate) fn port<E>(self, error: E) -> ClientError<E> {
        self.error(ClientErrorKind::Port(error))
    }

    pub(crate) fn nonsense<E>(self) -> ClientError<E> {
        self.error(ClientErrorKind::Nonsense)
    }
}

impl From<&Command<'_>> for Asked {
    fn from(command: &Command<'_>) -> Self {
        match *command {
            Command::I2cFrequency { bus, .. } => Self::I2cFrequency { bus },
            Command::I2cWrite { bus, address, .. } => Self::I2c {
                write: true,
                bus,
                address,
            },
            Command::I2cRead { bus, address, .. } | Command::I2cWriteRead { bus, address, .. } => {
                Self::I2c {
                    write: false,
                    bus,
                    address,
                }
            }
            Command::GpioGet { pin } => Self::Pin { pin, set: None },
            Command::GpioSet { pin, level } => Self::Pin {
                pin,
                set: Some(level),
            },
            Command::Adc(input) => Self::Adc(input),
            Command::Led { .. } => Self::Led,
            Command::FanSet { fan, percent } => Self::Fan {
                fan,
                set: Some(percent),
            },
            Command::FanTach { fan } => Self::Fan { fan, set: None },
            Command::Reboot | Command::BootLoader => Self::Reboot,
            Command::Extension(ask) => Self::Guard(ask),
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe => write!(f, "asking the controller for its protocol"),
            Self::I2cFrequency { bus } => write!(f, "setting the clock of I2C bus {bus}"),
            Self::I2c {
                write,
                bus,
                address,
            } => {
                let verb = if *write { "writing to" } else { "reading from" };
                write!(f, "{verb} I2C address {address:#04x} on bus {bus}")
            }
            Self::Pin { pin, set: None } => write!(f, "reading pin {pin}"),
            Self::Pin {
                pin,
                set: Some(level),
            } => write!(f, "setting pin {pin} to {}", u8::from(*level)),
            Self::Adc(AdcInput::Vdd) => write!(f, "measuring the core voltage"),
            Self::Adc(AdcInput::Vin) => write!(f, "measuring the input voltage"),
            Self::Led => write!(f, "setting the LED"),
            Self::Fan { fan, set: None } => write!(f, "reading the speed of fan {fan}"),
            Self::Fan {
                fan,
                set: Some(percent),
            } => write!(f, "setting fan {fan} to {percent} %"),
            Self::Reboot => write!(f, "restarting the controller"),
            Self::Guard(ask) => {
                let what = match ask {
                    Ask::Capabilities => "what it can do",
                    Ask::Heartbeat => "to renew the lease",
                    Ask::State => "for its state",
                    Ask::Limits => "for its limits",
                    Ask::Clear(code) => {
                        return write!(f, "asking the board's guard to clear {code}");
                    }
                    Ask::Power(None) => "for power off",
                    Ask::Power(Some(point)) => {
                        return write!(
                            f,
                            "asking the board's guard for power at {} and {}",
                            point.voltage, point.frequency
                        );
                    }
                    Ask::SetPoint(point) => {
                        return write!(
                            f,
                            "asking the board's guard for {} and {}",
                            point.voltage, point.frequency
                        );
                    }
                    Ask::Cooling(_) => "for another cooling mode",
                    Ask::Readings(_) => "for its readings",
                };
                write!(f, "asking the board's guard {what}")
            }
        }
    }
}
