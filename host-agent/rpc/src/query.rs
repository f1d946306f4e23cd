//! Parameters of questions, and the answers that are not the state as it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use station::status::{CoolingStatus, FanStatus};

/// No parameters: nothing, `{}` or `[]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}

/// Which chips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChipList {
    /// Index of a board; without it all boards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<usize>,
}

/// Which events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EventList {
    /// Number of an event: only later ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many, the newest; 200 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only events of this board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<usize>,
}

/// A subscription to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unsubscribe {
    /// Its id, as it was answered.
    pub subscription: u64,
}

/// How the boards of a station are cooled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cooling {
    /// Boards of the station, by position in the config.
    pub boards: Vec<usize>,
    /// Fan control and throttle.
    pub cooling: CoolingStatus,
    /// The fans.
    pub fans: Vec<FanStatus>,
    /// Lowest duty that the guard allows now, percent.
    pub fan_floor_percent: u8,
}

/// What software runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirmwareInfo {
    /// Version of the agent.
    pub version: String,
    /// What it was built for, e.g. `aarch64-linux`.
    pub target: String,
    /// What it was built with, e.g. `sv2`, `tls`, `solo`.
    pub features: Vec<String>,
    /// Built with all checks and without optimisation.
    pub debug: bool,
    /// Boards and what controls them.
    pub boards: Vec<BoardFirmware>,
}

/// What controls a board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BoardFirmware {
    /// Index of the board.
    pub board: usize,
    /// Its profile.
    pub profile: String,
    /// Who controls power and fans, as in the config.
    pub control: String,
    /// Where its guard runs: `board`, `agent` or `none`.
    pub guard: String,
    /// Serial number that it tells; null if it tells none.
    pub serial: Option<String>,
}
