//! Virtual hash boards that answer on the wire as silicon would.
//!
//! A [`VirtualChain`] takes the bytes a host writes to a chain of BM13xx chips and gives back the bytes the chips would
//! send: enumeration, registers, baud changes, jobs, nonces, and the consequences of mistakes. It is pure: no I/O, no
//! tasks, no clock; the caller passes the time in. It shares no code with the driver that it is there to check.
//!
//! Chips really hash, and every nonce truly meets the ticket. At `scale_bits` k only one header of 2^k is tested and k
//! fewer zero bits are asked for, so that nonces come as often as from silicon while the hashing costs a 2^k-th.
//!
//! ```
//! use std::time::Duration;
//! use board_simulator::{ChainSpec, Chip, VirtualChain};
//!
//! let mut chain = VirtualChain::new(ChainSpec::new(Chip::Bm1370, 2, 30))?;
//! // Read register 0x00 of all chips.
//! chain.receive(Duration::ZERO, &[0x55, 0xAA, 0x52, 0x05, 0x00, 0x00, 0x0A]);
//! let mut replies = Vec::new();
//! while let Some(at) = chain.next_event() {
//!     chain.take_output(at, &mut replies);
//! }
//! // Two chips, 9 bytes each, since version rolling was not enabled.
//! assert_eq!(replies.len(), 18);
//! assert_eq!(replies[..6], [0xAA, 0x55, 0x13, 0x70, 0x00, 0x00]);
//! # Ok::<(), board_simulator::SpecError>(())
//! ```
//!
//! What is modelled on assumptions, because nobody published it: a chip queues at most 16 replies and loses further ones;
//! register 0x10 is zero after reset, so nothing hashes before it is written; soft reset (0xA8) closes misc control and the
//! cores; sub-cores that lack version bits of their own repeat each other's headers; stopping and restarting the hashing
//! (cores, clock, sweep length) starts the job's versions over.
//!
//! A chain is ideal unless told otherwise: [`VirtualChain::set_powered`] and [`VirtualChain::set_condition`] say what power and
//! heat do to it. [`physics`] works that out; [`board`] ties a chain, its physics and the devices around it together.

pub mod board;
mod chain;
mod chip;
mod clock;
mod condition;
mod crc;
mod frame;
mod geometry;
mod job;
mod line;
pub mod physics;
mod repeats;
mod report;
mod rng;
mod silicon;
mod spec;
mod sweep;

pub use chain::VirtualChain;
pub use condition::ChipCondition;
pub use frame::Target;
pub use job::{Job, JobError};
pub use report::{
    ChipReport, DamagedReply, FrameCounts, LOG_LIMIT, NoiseCounts, Notice, NoticeCount, Report,
    SeenWrite,
};
pub use spec::{ChainSpec, Chip, HostBaud, LineNoise, Noise, SpecError};
