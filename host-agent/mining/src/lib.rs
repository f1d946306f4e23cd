//! Jobs, work, extranonce partition, nonce verification, difficulty and hashrate.
//!
//! Everything here is pure: no sockets, no tasks, no clock. Time comes in as a `Duration`
//! since an arbitrary fixed moment, the same for all calls.
//!
//! ```text
//! upstream ── Job ──▶ WorkSource ── Work ──▶ JobSlots ──▶ chip
//!                                               │  ◀── slot, nonce, version bits
//!                       upstream ◀── Share ─────┘──▶ Hashrate
//! ```

pub mod difficulty;
pub mod hashrate;
pub mod header;
pub mod job;
pub mod slots;
pub mod target;
pub mod version;
pub mod work;

mod seen;

pub use difficulty::{Difficulty, DifficultyError};
pub use hashrate::{Estimate, Hashrate, Window};
pub use job::{Job, Share};
pub use slots::{HardwareFault, JobSlots, Outcome, Rolled, SlotsError};
pub use target::{NbitsError, Target, hash_difficulty};
pub use version::VersionMask;
pub use work::{Midstates, Partition, PartitionError, Work, WorkError, WorkSource};
