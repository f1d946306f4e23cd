//! Bounded time series of a miner on flash: what each second was for an hour, each minute for a week,
//! each hour for a year, in a ring of checksummed pages that are written about once a minute.
//!
//! It spawns nothing and reads no clock: samples and the time come in, replies of `history.query` go
//! out, and pages go to whatever implements [`Pages`]. Only [`FilePages`] touches the disk. Why this is
//! no database is said with numbers in `docs/history.md`.
#![forbid(unsafe_code)]

mod archive;
mod column;
mod file;
mod merge;
mod metric;
mod page;
mod query;
mod ring;

pub use archive::{Archive, Settings, Subject};
pub use file::FilePages;
pub use metric::{Kind, STATES, state};
pub use page::{PAGE, PageBytes};
pub use query::QueryError;
pub use ring::{MemoryPages, Pages};

/// A resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Seconds per value.
    pub resolution_s: u32,
    /// How much of it is kept, seconds of running.
    pub keep_s: u64,
}

/// The resolutions, finest first.
pub const LEVELS: [Level; 3] = [
    Level {
        resolution_s: 1,
        keep_s: 3600,
    },
    Level {
        resolution_s: 60,
        keep_s: 7 * 86_400,
    },
    Level {
        resolution_s: 3600,
        keep_s: 365 * 86_400,
    },
];
