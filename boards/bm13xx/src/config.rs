//! The description of a chain, as a board profile gives it, and what can be wrong with one.

use core::time::Duration;

use crate::model::{BaudError, ChipKind};
use crate::pll::PllError;
use crate::registers::VersionRolling;
use crate::script::Sequence;
use crate::units::{Baud, Megahertz, TicketMask};

/// Chips beyond this number make a chain a hash board by default. The largest Bitaxe-style boards
/// have 12.
const MOST_BOARD_CHIPS: u16 = 16;

/// Description of a chain, as a board profile gives it. [`ChainPlan::new`](crate::ChainPlan::new) checks it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChainConfig {
    /// Which chips.
    pub kind: ChipKind,
    /// How many, at least 1.
    pub chips: u16,
    /// Voltage domains in series, from 1 to the number of chips.
    pub domains: u16,
    /// Which bring-up the chain gets.
    pub sequence: Sequence,
    /// UART rate after bring-up; the rate after reset leaves it unchanged. The chips get the closest rate
    /// that they can make, see [`ChainPlan::run_baud`](crate::ChainPlan::run_baud).
    pub baud: Baud,
    /// Version bits that chips may roll, as a mask over the header version. Chips can only roll bits
    /// 28..13; others are dropped. Has no effect on a BM1397.
    pub version_mask: u32,
    /// Nonce filter.
    pub ticket: TicketMask,
    /// Clock at which the first ramp is taken to start. The first write is one step above it.
    pub start: Megahertz,
    /// Clock to ramp up to.
    pub target: Megahertz,
    /// Wait after each step of a ramp.
    pub ramp_step_wait: Duration,
    /// Wait after each configuration write; factory firmware keeps about 10 ms, small boards none.
    pub write_gap: Duration,
}

impl ChainConfig {
    /// A chain in one voltage domain with what is common for its size: full version mask, difficulty 256,
    /// ramp from 50 MHz in steps 100 ms apart, the model's usual baud rate.
    #[must_use]
    pub fn new(kind: ChipKind, chips: u16, target: Megahertz) -> Self {
        let hash_board = chips > MOST_BOARD_CHIPS;
        Self {
            kind,
            chips,
            domains: 1,
            sequence: if hash_board {
                Sequence::HashBoard
            } else {
                Sequence::Board
            },
            baud: kind.model().run_baud,
            version_mask: VersionRolling::FULL_MASK,
            ticket: TicketMask::DIFFICULTY_256,
            start: Megahertz::new(50.0),
            target,
            ramp_step_wait: Duration::from_millis(100),
            write_gap: Duration::from_millis(if hash_board { 10 } else { 0 }),
        }
    }
}

/// Why a chain cannot be as described.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// No chips, or more than addresses.
    #[error("{found} chips; a chain of {chip} has from 1 to {most}")]
    Chips {
        /// Name of the chip.
        chip: &'static str,
        /// Chips configured.
        found: u16,
        /// Chips that can be addressed.
        most: u16,
    },
    /// No domains, or more than chips.
    #[error("{found} voltage domains for {chips} chips; expected from 1 to {chips}")]
    Domains {
        /// Domains configured.
        found: u16,
        /// Chips configured.
        chips: u16,
    },
    /// A clock that the PLL cannot make.
    #[error(transparent)]
    Pll(#[from] PllError),
    /// A rate that the UART cannot make.
    #[error(transparent)]
    Baud(#[from] BaudError),
}
