//! Everything that is known about talking to BM13xx hashing chips, and nothing that does it: no port, no
//! clock, no task, no allocation (`no_std`).
//!
//! Bytes from a chain go into a [`Decoder`] and come out as [`Reply`]s; what to send comes as [`Frame`]s,
//! singly or in [`Plan`]s that bring a chain up, change its clock and stop it. A [`ChainPlan`] ties both
//! to one chain: how many chips of which [`ChipKind`], in how many voltage domains, at what rates.
//! It is the only thing most programs need:
//!
//! ```
//! use bm13xx::{ChainConfig, ChainPlan, ChipKind, Megahertz, Step};
//!
//! let chain = ChainPlan::new(ChainConfig::new(ChipKind::Bm1370, 1, Megahertz::new(525.0)))?;
//! for step in chain.discovery() {
//!     match step {
//!         Step::Write(frame) => assert!(frame.as_bytes().starts_with(&[0x55, 0xAA])),
//!         Step::Discover => break,
//!         _ => {}
//!     }
//! }
//! # Ok::<(), bm13xx::PlanError>(())
//! ```
//!
//! No manufacturer datasheet is public. The facts come from captures of working machines and from
//! what open firmware is known to write; where a value is inferred its documentation says so.
//! Not covered: chips before the BM1397, sensors behind the chips' I2C, and the voltage converters
//! beyond decoding their result.
#![no_std]
#![forbid(unsafe_code)]

mod chain;
mod config;
pub mod crc;
mod decoder;
mod frame;
pub mod job;
mod model;
mod plan;
mod pll;
pub mod registers;
mod reply;
mod script;
pub mod sweep;
mod units;
mod verify;

pub use chain::{ChainPlan, Origin};
pub use config::{ChainConfig, PlanError};
pub use decoder::{Decoder, DecoderStats, ReplyLengths};
pub use frame::{Command, Destination, Frame, FrameError, HOST_PREAMBLE};
pub use job::HeaderJob;
pub use model::{BaudChange, BaudError, ChipKind, ChipModel, JobFormat, UnknownChip};
pub use plan::{Plan, RAMP_STEP, Step};
pub use pll::{MAX_ERROR, Pll, PllError};
pub use registers::Register;
pub use reply::{
    CHIP_PREAMBLE, LONG_REPLY, NonceReply, RegisterReply, Reply, ReplyError, SHORT_REPLY,
};
pub use script::Sequence;
pub use units::{Baud, ChipAddress, Megahertz, Target, TicketMask};
pub use verify::{Expected, ReadBack, Verification};
