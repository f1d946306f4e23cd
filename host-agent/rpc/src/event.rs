//! What happened and why, as the agent keeps and tells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station::Notice;

/// An entry of the list of events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// Number of the entry since the agent started, from 1.
    pub number: u64,
    /// Uptime of the agent, seconds.
    pub at_s: f64,
    /// Time of day, seconds since 1970.
    pub unix_s: u64,
    /// How often it happened in a row, without much else about these boards in between.
    pub count: u64,
    /// When it last happened, uptime in seconds.
    pub last_s: f64,
    /// Boards that it is about, by position in the config; empty if it is about the miner.
    pub boards: Vec<usize>,
    /// What happened.
    #[serde(flatten)]
    pub notice: Notice,
}
