//! Jobs, work, extranonce partition, nonce verification, difficulty and hashrate.
//!
//! Everything here is pure: no sockets, no tasks, no clock. Time comes in as a `Duration`
//! since an arbitrary fixed moment, the same for all calls.

pub mod job;
pub mod target;

pub use job::{Job, Share};
pub use target::Target;
