//! One chain of chips as a pure state machine: discovery, bring-up, clock ramp, work cadence, job
//! slots, verification.
//!
//! It has no port and reads no clock: reply bytes, jobs and the time go in; bytes to write, rate
//! changes and events come out. The shell around it ([`Session::poll_output`] and friends) only moves
//! them.

mod discovery;
mod health;
mod line;
mod readback;
mod session;
mod status;

use std::time::Duration;

use bm13xx::ChainConfig;
use mining::Partition;

pub use health::Counters;
pub use line::Output;
pub use session::{Event, Phase, Session};
pub use status::{ChipStatus, Status};

/// What a session has to know about its board.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Chips, domains, rate, ticket and clocks.
    pub chain: ChainConfig,
    /// k where a simulated chain tests one header in 2^k; 0 for silicon.
    pub scale_bits: u8,
    /// This chain's part of the extranonce space.
    pub partition: Partition,
    /// New work is sent at least this often.
    pub max_work_interval: Duration,
}

/// Why a chain cannot go on. What a person can do about it is part of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Silence at every rate.
    #[error(
        "no chip answers at 115200 baud or at the board's own rate; is the board powered, out of reset, and is this the UART of the chips (not the control port)?"
    )]
    NoChips,
    /// Another kind of chip answers.
    #[error(
        "chips answer with id {found:04x}, but the profile is for the {expected}; choose the profile of this board"
    )]
    WrongChip {
        /// The id that came.
        found: u16,
        /// The chip of the profile.
        expected: &'static str,
    },
    /// More chips than there should be.
    #[error(
        "{found} chips answer, but the profile has {expected}; choose the profile of this board"
    )]
    TooManyChips {
        /// Chips that answered.
        found: u16,
        /// Chips of the profile.
        expected: u16,
    },
    /// Chips are missing on a board whose domains share one supply in series.
    #[error(
        "only {found} of {expected} chips answer; a board with domains in series is not started like that, because the others would get too much voltage. Look at the chip after number {found}, counted from the connector"
    )]
    MissingChips {
        /// Chips that answered.
        found: u16,
        /// Chips of the profile.
        expected: u16,
    },
    /// The chain answered, and then did no more.
    #[error("the chain has fallen silent; power lost, cable loose, or chips reset")]
    Silent,
    /// Chips answer reads but find nothing.
    #[error("the chips answer but have found nothing for far too long; the chain is set up again")]
    NoNonces,
}

/// Why there can be no session for a board as described.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SetupError {
    /// The chain cannot be as described.
    #[error(transparent)]
    Plan(#[from] bm13xx::PlanError),
    /// The chip model has an impossible number of job slots.
    #[error(transparent)]
    Slots(#[from] mining::SlotsError),
}

/// Why a clock change was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// The chain is starting, stopping or changing already.
    #[error("the chain is busy; try again when it is mining")]
    Busy,
    /// Clocks for a chain of another length.
    #[error("{found} clocks for a chain of {expected} chips")]
    Chips {
        /// Clocks given.
        found: usize,
        /// Chips that answer.
        expected: usize,
    },
    /// The clock cannot be made.
    #[error(transparent)]
    Pll(#[from] bm13xx::PllError),
}

/// Why a register is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The chain is starting or stopping.
    #[error("the chain is busy; try again when it is mining")]
    Busy,
    /// The chain is shorter.
    #[error("there is no chip {chip}; the chain has {chips}, counted from 0")]
    NoSuchChip {
        /// The chip asked for.
        chip: u16,
        /// Chips that answer.
        chips: u16,
    },
    /// The chips do not answer, or somebody asks faster than they can.
    #[error("too many answers of chips are still to come; ask again later")]
    TooMany,
}
