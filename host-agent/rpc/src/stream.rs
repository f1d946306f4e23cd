//! What subscriptions are asked with, and what they send: the whole first, then what is new.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use station::Severity;

use crate::event::Entry;

/// Shortest time between two telemetry messages of a subscription, milliseconds; also the default.
pub const MIN_INTERVAL_MS: u64 = 1_000;
/// Longest time between two telemetry messages of a subscription, milliseconds.
pub const MAX_INTERVAL_MS: u64 = 60_000;

/// A part of the state.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// As `system.info`.
    System,
    /// As `miner.status`.
    Miner,
    /// As `board.list`.
    Boards,
    /// As `station.list`.
    Stations,
    /// As `chip.list`.
    Chips,
    /// As `pool.list`.
    Pools,
    /// As `tuner.status`.
    Tuner,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 7] = [
        Self::System,
        Self::Miner,
        Self::Boards,
        Self::Stations,
        Self::Chips,
        Self::Pools,
        Self::Tuner,
    ];

    /// As it is called in the state.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Miner => "miner",
            Self::Boards => "boards",
            Self::Stations => "stations",
            Self::Chips => "chips",
            Self::Pools => "pools",
            Self::Tuner => "tuner",
        }
    }
}

/// Which state to send, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySubscribe {
    /// At most one message in so many milliseconds; 1000 unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1000, max = 60000))]
    pub interval_ms: Option<u64>,
    /// Only these parts of the state; all unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<Part>>,
}

/// The state, or how it differs from that of the message before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Telemetry {
    /// Number of the message in this subscription, from 0, without gaps.
    pub seq: u64,
    /// The whole state: in the first message, and in later ones whenever the client has not kept up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// A JSON patch (RFC 6902, with `add`, `remove` and `replace` only) to the state so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Vec<Value>>,
}

/// Which events to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventsSubscribe {
    /// Number of an event: only later ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// Only events at least so bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Only events of this board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<usize>,
}

/// Events, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventNews {
    /// First those that are kept, then new ones, and those that have happened again: the same number with a
    /// higher count.
    pub entries: Vec<Entry>,
}

/// What became of a share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ShareResult {
    /// The pool took it.
    #[default]
    Accepted,
    /// The pool refused it.
    Rejected,
    /// The pool refused it because its job was out of date.
    Stale,
    /// It was not sent, because its session or job had gone.
    Dropped,
    /// It was sent and never answered.
    Unconfirmed,
}

/// One share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Number of the share since the agent started, from 1.
    pub number: u64,
    /// Time of day, seconds since 1970, with fractions.
    pub unix_s: f64,
    /// Index of the board; null where unknown.
    pub board: Option<usize>,
    /// Position of the chip in the chain; null where unknown.
    pub chip: Option<u16>,
    /// Index of the pool.
    pub pool: usize,
    /// Difficulty that the pool asked for.
    pub difficulty: f64,
    /// Difficulty that its hash has; null where unknown.
    pub hash_difficulty: Option<f64>,
    /// What became of it.
    pub result: ShareResult,
    /// Why it was not accepted, in the pool's words.
    pub reason: Option<String>,
    /// Time from sending it to the answer, milliseconds.
    pub latency_ms: Option<f64>,
}

/// Which shares to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SharesSubscribe {
    /// Only shares of this board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<usize>,
    /// Only shares at this pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<usize>,
}

/// Shares, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShareNews {
    /// First the last ones that are kept, then new ones.
    pub shares: Vec<Share>,
    /// So many had to be left out because the client did not keep up.
    pub missed: u64,
}

/// How much a line of the log matters.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Every frame.
    Trace,
    /// For people who look for something.
    Debug,
    /// A change of state.
    #[default]
    Info,
    /// Worth a look.
    Warn,
    /// Something went wrong.
    Error,
}

/// A line of the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Number of the line since the agent started, from 1.
    pub number: u64,
    /// Time of day, seconds since 1970, with fractions.
    pub unix_s: f64,
    /// How much it matters.
    pub level: Level,
    /// The part of the program that it comes from.
    pub target: String,
    /// The text, with its fields.
    pub text: String,
}

/// Which lines to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogSubscribe {
    /// Only lines that matter at least so much; `info` unless said otherwise. Lines below what the log itself
    /// takes do not exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
}

/// Lines, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogNews {
    /// First the last ones that are kept, then new ones.
    pub lines: Vec<LogLine>,
    /// So many had to be left out because the client did not keep up.
    pub missed: u64,
}
