//! What was: time series of the miner, its boards and its pools, as the agent keeps them on disk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fewest and most points that one query may ask for.
pub const POINTS: std::ops::RangeInclusive<u32> = 1..=4000;

/// Points that a query is answered with at most unless it says otherwise.
pub const DEFAULT_POINTS: u32 = 400;

/// What is recorded. Which of them a series has depends on whether it is of the miner, a board or a pool.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Hashrate from counted nonces, hashes per second; miner and boards.
    HashrateHps,
    /// One standard deviation of the mean hashrate, hashes per second; miner and boards.
    SigmaHps,
    /// Hashrate to be expected at the clock of the moment, hashes per second; miner and boards.
    ExpectedHps,
    /// Input power, W; miner and boards (that of the whole station where boards share a supply).
    PowerW,
    /// Hottest temperature on the scale of the chips, °C; miner and boards.
    TemperatureC,
    /// Duty of the fans, percent; miner (the highest) and boards.
    FanPercent,
    /// Speed of the slowest fan, turns per minute; miner and boards.
    FanRpm,
    /// Clock, MHz; boards.
    FrequencyMhz,
    /// Core voltage that was read back, mV; boards.
    VoltageMv,
    /// Nonces that met the chips' ticket; miner and boards.
    Nonces,
    /// Nonces whose hash did not meet the ticket; miner and boards.
    HardwareErrors,
    /// Starts of the board after a failure; boards.
    Restarts,
    /// Shares that were accepted; miner and pools.
    Accepted,
    /// Shares that were rejected, stale ones included; miner and pools.
    Rejected,
    /// Rejected shares whose job was out of date; miner and pools.
    Stale,
    /// Sum of the difficulties of accepted shares; miner and pools.
    Difficulty,
    /// Median time from a share to its answer, milliseconds; pools.
    LatencyMs,
    /// Part of the work that the pool got, percent; pools.
    WorkPercent,
    /// Connections made; pools.
    Connects,
    /// What it did, a number that stands for a word of `states` in the reply; miner, boards and pools.
    State,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::HashrateHps,
        Self::SigmaHps,
        Self::ExpectedHps,
        Self::PowerW,
        Self::TemperatureC,
        Self::FanPercent,
        Self::FanRpm,
        Self::FrequencyMhz,
        Self::VoltageMv,
        Self::Nonces,
        Self::HardwareErrors,
        Self::Restarts,
        Self::Accepted,
        Self::Rejected,
        Self::Stale,
        Self::Difficulty,
        Self::LatencyMs,
        Self::WorkPercent,
        Self::Connects,
        Self::State,
    ];

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HashrateHps => "hashrate_hps",
            Self::SigmaHps => "sigma_hps",
            Self::ExpectedHps => "expected_hps",
            Self::PowerW => "power_w",
            Self::TemperatureC => "temperature_c",
            Self::FanPercent => "fan_percent",
            Self::FanRpm => "fan_rpm",
            Self::FrequencyMhz => "frequency_mhz",
            Self::VoltageMv => "voltage_mv",
            Self::Nonces => "nonces",
            Self::HardwareErrors => "hardware_errors",
            Self::Restarts => "restarts",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Stale => "stale",
            Self::Difficulty => "difficulty",
            Self::LatencyMs => "latency_ms",
            Self::WorkPercent => "work_percent",
            Self::Connects => "connects",
            Self::State => "state",
        }
    }

    /// Unit of its values; empty for counts and words.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::HashrateHps | Self::SigmaHps | Self::ExpectedHps => "H/s",
            Self::PowerW => "W",
            Self::TemperatureC => "°C",
            Self::FanPercent | Self::WorkPercent => "%",
            Self::FanRpm => "rpm",
            Self::FrequencyMhz => "MHz",
            Self::VoltageMv => "mV",
            Self::LatencyMs => "ms",
            Self::Nonces
            | Self::HardwareErrors
            | Self::Restarts
            | Self::Accepted
            | Self::Rejected
            | Self::Stale
            | Self::Difficulty
            | Self::Connects
            | Self::State => "",
        }
    }
}

/// What is asked of the history. Without `board`, `pool` and `series` it is the whole miner.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// Beginning, seconds since 1970; else `last_s` before the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// End, seconds since 1970; else now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
    /// Length of the range in seconds if there is no `from`; else one hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_s: Option<u64>,
    /// Seconds per point; else chosen so that there are at most `points`. Raised to what is kept of that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_s: Option<u32>,
    /// Most points, 1 to 4000; else 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<u32>,
    /// What is wanted; else everything that the series has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// A board, by position in the config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<usize>,
    /// A pool, by position in the config.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<usize>,
    /// A series by its `key` from `history.info`, also of a board or pool that is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<String>,
}

/// A piece of history. Point *i* is about the `step_s` seconds from `from + i * step_s`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// What it is of.
    pub series: Series,
    /// Beginning of the first point, seconds since 1970; a multiple of `step_s`.
    pub from: i64,
    /// End of the last point, seconds since 1970.
    pub to: i64,
    /// Seconds per point.
    pub step_s: u32,
    /// Seconds per value as it is kept: 1, 60 or 3600.
    pub resolution_s: u32,
    /// Seconds of each point for which there is data; fewer than `step_s` where the agent did not run.
    pub covered_s: Vec<u32>,
    /// The values, in the order asked for; what the series does not have is left out.
    pub metrics: Vec<Values>,
    /// Changes of state and starts of the agent in the range, oldest first, the newest 200 of them.
    pub marks: Vec<Mark>,
    /// What a person should know, e.g. that the step was raised.
    pub notes: Vec<String>,
}

/// Values of one metric, null where there are none: the agent did not run, or nothing measures it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Values {
    /// What it is.
    pub metric: Metric,
    /// Unit; empty for counts.
    pub unit: String,
    /// The mean over the point; the sum for what is counted; the last one for `state`.
    pub values: Vec<Option<f64>>,
    /// Lowest within the point, for hashrate, power, temperature and fan speed. Of a hashrate: lowest kept value, whose own
    /// scatter grows with finer resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Vec<Option<f64>>>,
    /// Highest within the point, where there is `min`, and for latency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Vec<Option<f64>>>,
    /// For `state`: the words that the numbers stand for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<String>,
}

/// Something that happened in between.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mark {
    /// When, seconds since 1970.
    pub at: i64,
    /// `state` or `start` (of the agent).
    pub kind: String,
    /// The new state; empty for `start`.
    pub text: String,
}

/// What a series is of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// Its key, which stays the same when boards and pools change places.
    pub key: String,
    /// `miner`, `board` or `pool`.
    pub kind: String,
    /// Position in the config now; none for the miner, and for what is not there any more.
    pub index: Option<usize>,
    /// Its name for people.
    pub name: String,
}

/// What there is of history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryInfo {
    /// Whether it is kept at all.
    pub enabled: bool,
    /// The file; none if history lives in memory only and ends with the agent.
    pub file: Option<String>,
    /// Why it is not on disk, or what was lost there.
    pub problem: Option<String>,
    /// Size of the file, bytes.
    pub bytes: u64,
    /// The most that it may become, bytes.
    pub max_bytes: u64,
    /// Bytes written to it since the agent started.
    pub written_bytes: u64,
    /// Pages of the file that could not be read when the agent started.
    pub damaged_pages: u32,
    /// Age of the oldest second that is not yet on disk, s.
    pub unsaved_s: u32,
    /// What is kept at which resolution.
    pub levels: Vec<LevelInfo>,
    /// All series that the file knows, those of now first.
    pub series: Vec<SeriesInfo>,
}

/// One resolution.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LevelInfo {
    /// Seconds per value.
    pub resolution_s: u32,
    /// How far back it is meant to reach, in seconds of running.
    pub keep_s: u64,
    /// Oldest value, seconds since 1970.
    pub oldest: Option<i64>,
    /// Newest value, seconds since 1970.
    pub newest: Option<i64>,
    /// Values kept.
    pub rows: u64,
    /// Bytes that they take on disk.
    pub bytes: u64,
}

/// A series that the file knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesInfo {
    /// What it is of.
    #[serde(flatten)]
    pub series: Series,
    /// What it has.
    pub metrics: Vec<Metric>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json() {
        for metric in Metric::ALL {
            assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
        }
    }
}
