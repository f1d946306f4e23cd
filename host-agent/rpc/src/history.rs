//! Questions to the history and its answers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to tell of the past.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryQuery {
    /// Names of series, e.g. `hashrate` or `power`; all of the subject unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Vec<String>>,
    /// Of this board; without `board` and `pool` of the whole miner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<usize>,
    /// Of this pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<usize>,
    /// The last so many seconds; 3600 unless `from_unix_s` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_s: Option<u64>,
    /// From this time on, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_unix_s: Option<u64>,
    /// Up to this time, seconds since 1970; now unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_unix_s: Option<u64>,
    /// Seconds from one point to the next; else chosen so that `points` suffice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_s: Option<u64>,
    /// At most so many points a series; 600 unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<usize>,
}

/// What was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryReply {
    /// Seconds from one point to the next.
    pub step_s: u64,
    /// Beginning of each point's stretch of time, seconds since 1970.
    pub unix_s: Vec<u64>,
    /// The series by name.
    pub series: BTreeMap<String, Series>,
}

/// One value over time. Every list is as long as the times; null where nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// Unit of the values, e.g. `H/s`, `W`, `°C`.
    pub unit: String,
    /// Means over the step, or sums for counters.
    pub mean: Vec<Option<f64>>,
    /// Lowest values within the step; left out where that says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Vec<Option<f64>>>,
    /// Highest values within the step; left out where that says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Vec<Option<f64>>>,
}

/// What the history has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryInfo {
    /// Whether anything is recorded.
    pub enabled: bool,
    /// What is wrong with it; null if nothing.
    pub problem: Option<String>,
    /// Space that it takes on disk, bytes.
    pub disk_bytes: u64,
    /// Space that it may take on disk, bytes.
    pub max_disk_bytes: u64,
    /// Resolutions, finest first.
    pub levels: Vec<HistoryLevel>,
    /// Names of the series of the miner.
    pub miner_metrics: Vec<String>,
    /// Names of the series of a board.
    pub board_metrics: Vec<String>,
    /// Names of the series of a pool.
    pub pool_metrics: Vec<String>,
}

/// One resolution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryLevel {
    /// Seconds from one point to the next.
    pub step_s: u64,
    /// How far back it goes at most, seconds.
    pub keeps_s: u64,
    /// Oldest point, seconds since 1970; null if there is none.
    pub oldest_unix_s: Option<u64>,
}
