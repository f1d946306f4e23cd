//! What a station needs of the world: I2C buses, lines, fans, and the guard on the board if there is
//! one. Implemented by a board controller's client, by the Linux board that the agent runs on, and by
//! test doubles. All calls are blocking and short.

use std::time::Duration;

use embedded_hal::i2c::{self, I2c, NoAcknowledgeSource};
use thiserror::Error;

/// Why an access to the hardware failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BusError {
    /// Nothing answered at that address, or it refused a byte.
    #[error("not acknowledged")]
    NotAcknowledged,
    /// The bus or the port took too long.
    #[error("no answer in time")]
    Timeout,
    /// The board's own guard refused it.
    #[error("refused by the board's guard")]
    Denied,
    /// The board has no such bus, line or fan.
    #[error("this board has no {0}")]
    Missing(String),
    /// The port is closed or silent: nothing else behind it can be reached at the moment either.
    #[error("{0}")]
    Gone(String),
    /// Anything else, such as an answer that makes no sense.
    #[error("{0}")]
    Port(String),
}

impl i2c::Error for BusError {
    fn kind(&self) -> i2c::ErrorKind {
        match self {
            Self::NotAcknowledged => i2c::ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
            Self::Timeout => i2c::ErrorKind::Bus,
            _ => i2c::ErrorKind::Other,
        }
    }
}

/// An I2C bus, for as long as it is borrowed.
pub type Bus<'a> = Box<dyn I2c<Error = BusError> + 'a>;

/// A line that is either asserted or not; which level that is the implementation knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Line {
    /// Reset of the chips of a board; asserted holds them in reset.
    Reset {
        /// Board within the station, from 0.
        board: usize,
    },
    /// A supply of one board, asserted means on: its place among the board's own enables of the
    /// profile, those of role `psu` not counted.
    Enable {
        /// Board within the station, from 0.
        board: usize,
        /// Place among the board's own enables, from 0.
        index: usize,
    },
    /// A supply that all boards share, asserted means on: its place among the shared enables of the
    /// profile (for a bridge those of role `psu`).
    Shared {
        /// Place among the shared enables, from 0.
        index: usize,
    },
}

/// Access to the hardware of one station.
pub trait Buses {
    /// The I2C bus of that name on a board.
    ///
    /// # Errors
    ///
    /// When there is no such bus, or it cannot be opened.
    fn i2c(&mut self, board: usize, bus: &str) -> Result<Bus<'_>, BusError>;

    /// Asserts a line or lets it go, and reads back what it really is.
    ///
    /// # Errors
    ///
    /// When the line does not exist or the access failed.
    fn set_line(&mut self, line: Line, asserted: bool) -> Result<bool, BusError>;

    /// Whether a line is asserted.
    ///
    /// # Errors
    ///
    /// When the line does not exist or the access failed.
    fn line(&mut self, line: Line) -> Result<bool, BusError>;

    /// Sets the duty of a fan that hangs on the controller itself, 0 to 100 %.
    ///
    /// # Errors
    ///
    /// When the controller drives no such fan, or the access failed.
    fn set_fan(&mut self, fan: usize, percent: u8) -> Result<(), BusError>;

    /// Speed of a fan that hangs on the controller itself, turns per minute.
    ///
    /// # Errors
    ///
    /// When the controller counts no such fan, or the access failed.
    fn fan_rpm(&mut self, fan: usize) -> Result<u32, BusError>;

    /// Voltage at an ADC channel of the controller, mV, by its place in the profile's list.
    ///
    /// # Errors
    ///
    /// When there is no such channel, or the access failed.
    fn converter_mv(&mut self, index: usize) -> Result<u32, BusError> {
        Err(BusError::Missing(format!("ADC channel {index}")))
    }

    /// Bounds the time that all accesses from now on may take together; once it is over they fail at
    /// once, as if nothing could be reached. `None` lifts the bound. A port that has become slow must
    /// not keep a station from deciding. Buses that answer at once need not care.
    fn bound(&mut self, time: Option<Duration>) {
        let _ = time;
    }

    /// The guard on the board, where the controller has one.
    fn board_guard(&mut self) -> Option<&mut dyn BoardGuard> {
        None
    }
}

/// What a guard on the board says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardGuardState {
    /// Name of its state.
    pub state: &'static str,
    /// It lets power be on.
    pub power: bool,
    /// Code of its fault, if it has one.
    pub fault: Option<String>,
}

/// The guard that runs on the board controller.
pub trait BoardGuard {
    /// Renews the lease and tells the state.
    ///
    /// # Errors
    ///
    /// When the port failed.
    fn heartbeat(&mut self) -> Result<BoardGuardState, BusError>;

    /// Asks for power at a regulator output (mV) and a clock (kHz).
    ///
    /// # Errors
    ///
    /// When the port failed or the guard refused.
    fn request_power(&mut self, mv: u32, khz: u32) -> Result<(), BusError>;

    /// Announces another set point.
    ///
    /// # Errors
    ///
    /// When the port failed or the guard refused.
    fn set_point(&mut self, mv: u32, khz: u32) -> Result<(), BusError>;

    /// Power is no longer wanted.
    ///
    /// # Errors
    ///
    /// When the port failed.
    fn release_power(&mut self) -> Result<(), BusError>;

    /// Says how fans are run.
    ///
    /// # Errors
    ///
    /// When the port failed or the guard refused.
    fn set_cooling(&mut self, mode: crate::cooling::Mode) -> Result<(), BusError>;

    /// A person clears a latched fault by its code.
    ///
    /// # Errors
    ///
    /// When the port failed or it is not that fault.
    fn clear_fault(&mut self, code: &str) -> Result<(), BusError>;
}
