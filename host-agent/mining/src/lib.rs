//! Jobs, work, extranonce partition, nonce verification, difficulty and hashrate.
//!
//! Everything here is pure: no sockets, no tasks, no clock. Time comes in as a `Duration`
//! since an arbitrary fixed moment, the same for all calls.
//!
//! ```text
//! upstreams ── Assignment ──▶ WorkSource ── Work ──▶ JobSlots ──▶ chip
//!                                               │  ◀── slot, nonce, version bits
//!                       upstream ◀── Share ─────┘──▶ Hashrate
//! ```
//!
//! ```
//! # use std::{sync::Arc, time::Duration};
//! # use mining::*;
//! # fn a_job() -> Job {
//! #     Job {
//! #         session: 1, id: "1".into(), generation: 1, prev_hash: [1; 32], coinbase1: vec![2],
//! #         extranonce1: vec![3], extranonce2_len: 4, coinbase2: vec![4], merkle_branch: vec![],
//! #         fixed_root: None,
//! #         version: 0x2000_0000, version_mask: 0x1fff_e000, nbits: 0x1705_ae3a, ntime: 1_700_000_000,
//! #         target: Target::from_zero_bits(1), received: Duration::ZERO,
//! #     }
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Duration::ZERO;
//! let mut source = WorkSource::new(Partition::new(0, 3)?);
//! let mut slots = JobSlots::new(16)?;
//! let mut rate = Hashrate::new(now);
//! let ticket = Target::from_zero_bits(0);
//!
//! let assignment = Arc::new(Assignment::single(Arc::new(a_job())));
//! slots.set_floors(&assignment.floors);
//! source.set_assignment(now, assignment);
//! let slot = slots.insert(source.next_work(now)?);
//! // ... the chip hashes the slot's work, and replies with a nonce and version bits:
//! let outcome = slots.verify(slot, 0x1234_5678, Rolled::VersionBits(0x0012), &ticket);
//! if outcome.is_proof() {
//!     rate.record(now, ticket.expected_hashes());
//! }
//! match outcome {
//!     Outcome::Share(share) => println!("submit {:08x} of job {}", share.nonce, share.job.id),
//!     Outcome::BelowTarget { difficulty } => println!("difficulty {difficulty}"),
//!     Outcome::Stale | Outcome::Duplicate | Outcome::HardwareError(_) => {}
//! }
//! # Ok(())
//! # }
//! ```

pub mod assignment;
pub mod difficulty;
pub mod hashrate;
pub mod header;
pub mod job;
pub mod slots;
pub mod source;
pub mod target;
pub mod version;
pub mod work;

mod seen;
mod turns;

pub use assignment::{Assignment, Lot};
pub use difficulty::{Difficulty, DifficultyError};
pub use hashrate::{Estimate, Hashrate, Window};
pub use job::{Job, Share};
pub use slots::{HardwareFault, JobSlots, Outcome, Rolled, SlotsError};
pub use source::{WorkError, WorkSource};
pub use target::{NbitsError, Target, hash_difficulty};
pub use version::VersionMask;
pub use work::{Midstates, Partition, PartitionError, Work};
