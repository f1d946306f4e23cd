//! The faces that the field's tools know: the cgminer API on port 4028 ([`cgminer`]) and the web API
//! of AxeOS ([`axeos`]). The bytes or the path of a request and the state tree go in; a reply comes
//! out, or a [`Wish`] for the owner of the settings and then the reply to its outcome. No sockets, no
//! clock. Both say only what is true of this miner; `docs/compat.md` says what they cannot show.
#![forbid(unsafe_code)]

pub mod axeos;
pub mod books;
pub mod cgminer;
pub mod net;
mod read;
mod wish;

pub use books::Books;
pub use wish::{PoolChange, Refused, Wish};

/// What does not stand in the state tree and does not change while the agent runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The operating system, e.g. `linux`.
    pub os: String,
    /// Whether pools share the work by quotas; else they take over from each other in their order.
    pub by_quota: bool,
    /// What may be set, where all boards are of one kind.
    pub offered: Option<Offered>,
}

/// Clocks and voltages that a board's profile offers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offered {
    /// The clock if nobody asks for another, MHz.
    pub default_mhz: f64,
    /// Clocks to choose from, MHz.
    pub mhz: Vec<f64>,
    /// The core voltage if nobody asks for another, mV as the profile counts it.
    pub default_mv: u32,
    /// Voltages to choose from, mV.
    pub mv: Vec<u32>,
}

/// Everything that a reply is made of.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The state tree.
    pub state: &'a rpc::Snapshot,
    /// What was counted besides.
    pub books: &'a Books,
    /// What does not change.
    pub facts: &'a Facts,
    /// Time of day, seconds since 1970.
    pub unix_s: u64,
}
