//! The tuner over the API: what it is asked for, what it does and why, and what it knows of the boards.

use autotune::{Aim, BoardModel, Caps, Prediction};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the miner is tuned for, and how far that is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TunerStatus {
    /// What the owner wants of all boards together; `off` leaves clocks and voltage as configured.
    pub aim: Aim,
    /// Bounds of the owner, within those of the profiles.
    pub caps: Caps,
    /// What holds at this moment, and why it differs from that.
    pub demand: DemandStatus,
    /// The tuners, one for each station, in their order.
    pub stations: Vec<StationTuner>,
}

/// What is wanted at this moment: the owner's aim and bounds, tightened by schedule, price, surplus,
/// curtailment and heat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DemandStatus {
    /// The aim that holds now.
    pub aim: Aim,
    /// The bounds that hold now.
    pub caps: Caps,
    /// Boards are without power because of a rule.
    pub asleep: bool,
    /// Why it is not what the owner wants in general, strongest first; empty if it is.
    pub reasons: Vec<Reason>,
    /// When a rule is known to change it, seconds since 1970; none if that is not known.
    pub next_change_unix_s: Option<u64>,
    /// Price of power that was told last, money per kWh.
    pub price_per_kwh: Option<f64>,
    /// Age of that price, seconds.
    pub price_age_s: Option<f64>,
    /// Revenue that was told last, money per TH/s and day.
    pub revenue_per_ths_day: Option<f64>,
    /// Surplus of power that was told last, W.
    pub surplus_w: Option<f64>,
    /// Age of that surplus, seconds.
    pub surplus_age_s: Option<f64>,
    /// Curtailment aims at this input power, W; 0 is sleep; none without curtailment.
    pub curtailed_to_w: Option<f64>,
}

/// Why something is as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// What rules: `schedule`, `price`, `surplus`, `stale-feed`, `curtailment`, `heat`, `no-clock` (the time of day is not
    /// known), `minimum-time` (the shortest time asleep or awake), `tuner-off` (power cannot be capped without the tuner).
    pub code: String,
    /// In words.
    pub text: String,
}

/// The tuner of a station.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StationTuner {
    /// Position among the stations.
    pub station: usize,
    /// Its boards, by position in the config.
    pub boards: Vec<usize>,
    /// `off`, `waiting` (for power, work, or the guard), `moving` to another setting, `measuring` at one,
    /// `keeping` the best one, `held` at the best safe one because something is wrong.
    pub activity: String,
    /// What it waits for, or what is wrong.
    pub because: Option<String>,
    /// `reached`, `too_little_power` (even the lowest setting draws more), `too_much_work`,
    /// `too_much_power` (more than the boards can use), `no_profit`: whether the aim can be reached, as far as is known.
    pub reach: String,
    /// Settings measured so far.
    pub rounds: u32,
    /// Voltage ordered at the terminals of its first board, mV.
    pub mv: f64,
    /// Mean clock ordered, MHz.
    pub mhz: f64,
    /// Work promised there, TH/s.
    pub ths: f64,
    /// Input power promised, W.
    pub watts: f64,
    /// Work that is expected to be lost against the best setting for want of knowledge, percent.
    pub regret_percent: f64,
    /// How far learning is, percent; none where it is not learning.
    pub progress_percent: Option<f64>,
    /// How long learning may take still, seconds; none where that is not known.
    pub remaining_s: Option<f64>,
    /// Chips that do not answer.
    pub silent: Vec<ChipAt>,
    /// What is in the way of its orders, if anything.
    pub trouble: Option<String>,
    /// Its last step.
    pub last: Option<TunerStep>,
}

/// A chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChipAt {
    /// Index of the board.
    pub board: usize,
    /// Position in its chain.
    pub chip: usize,
}

/// A step of a tuner with its reasons.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TunerStep {
    /// Position of its station.
    pub station: usize,
    /// When, seconds since 1970 by the clock of now.
    pub unix_s: u64,
    /// What was supposed.
    pub hypothesis: String,
    /// What was seen.
    pub evidence: String,
    /// How sure that is, 0 to 1.
    pub confidence: f64,
    /// What follows.
    pub decision: String,
}

/// How good a chip is, as far as the tuner knows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChipQuality {
    /// Threshold against the mean of the machine, mV; a chip below it needs less voltage.
    pub offset_mv: f64,
    /// Its standard deviation, mV.
    pub sd_mv: f64,
    /// `strong`, `normal`, `weak`, or `silent` if it does not answer.
    pub grade: String,
}

/// What the miner is to be tuned for. What is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TunerSet {
    /// `"off"`, `"efficiency"`, `{"watts": 900}`, `{"hashrate": 95}` (TH/s) or `{"profit": {"price_per_kwh": 0.12,
    /// "revenue_per_ths_day": 0.05}}`, of all boards together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aim: Option<Aim>,
    /// All bounds of the owner; a bound that is null is the profile's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caps: Option<Caps>,
}

/// Which steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StepList {
    /// Position of a station; without it all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub station: Option<usize>,
    /// At most so many, the newest; 200 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Which chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneChip {
    /// Index of a board.
    pub board: usize,
    /// Position in its chain.
    pub chip: usize,
}

/// Which part of the curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CurveAsk {
    /// Position of a station; without it all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub station: Option<usize>,
    /// Points, 2 to 40; 12 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<u8>,
}

/// The best settings of a station from least to most power.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Curve {
    /// Position of the station.
    pub station: usize,
    /// The points, by rising power.
    pub points: Vec<Prediction>,
}

/// What to predict.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PredictAsk {
    /// An aim of all boards together, as in `tuner.set`.
    pub aim: Aim,
}

/// What a station would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StationPrediction {
    /// Position of the station.
    pub station: usize,
    /// By its own model; none before the tuner knows its boards.
    pub prediction: Option<Prediction>,
}

/// A model that is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileInfo {
    /// Serial number of the board.
    pub serial: String,
    /// Profile that it was learned under.
    pub profile: String,
    /// Index of the board, if it is in this miner.
    pub board: Option<usize>,
    /// Whether tuning had come to an end.
    pub complete: bool,
    /// Work expected to be lost for want of knowledge, percent.
    pub regret_percent: f64,
    /// When it was kept, seconds since 1970.
    pub kept_unix_s: Option<u64>,
}

/// Whose model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneSerial {
    /// Serial number of a board.
    pub serial: String,
}

/// A model from elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileImport {
    /// As `tuner.export` answers it.
    pub profile: BoardModel,
}

/// What a wall meter shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibrate {
    /// Position of the station that the meter measures; needed if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<usize>,
    /// What the meter shows now, W.
    pub watts: f64,
}

/// What the world tells of power. What is left out stays as it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Feed {
    /// Price of power, money per kWh; may be negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_kwh: Option<f64>,
    /// Revenue, money per TH/s and day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revenue_per_ths_day: Option<f64>,
    /// Power that would be given away otherwise, W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub surplus_w: Option<f64>,
    /// How long it holds, seconds; without it as configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_s: Option<f64>,
}

/// A cap of power for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Curtail {
    /// Input power of all boards, W; 0 takes their power; null ends it.
    pub watts: Option<f64>,
    /// How long the way there may take, seconds; 0 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp_s: Option<f64>,
    /// How long it holds, seconds; without it until it is ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_s: Option<f64>,
}

/// A clock of single chips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChipClock {
    /// Index of a board.
    pub board: usize,
    /// Position in its chain; without it all chips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip: Option<usize>,
    /// MHz; without it the clock of the board again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_mhz: Option<f64>,
}

/// A register to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterAsk {
    /// Index of a board.
    pub board: usize,
    /// Position in its chain; without it all chips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip: Option<usize>,
    /// Register address.
    pub register: u8,
}

/// What a chip answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegisterValue {
    /// Position in the chain.
    pub chip: usize,
    /// Register address.
    pub register: u8,
    /// Its 32 bits.
    pub value: u32,
}
