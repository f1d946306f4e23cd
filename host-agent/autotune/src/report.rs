//! What goes into the tuner and what comes out: readings, commands, explanations, models to keep.

use serde::{Deserialize, Serialize};

use crate::plan::{Aim, Reach};

/// One chip's counters, ever rising while the chain runs; what falls is taken as a new start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ChipReading {
    /// Nonces that meet the ticket.
    pub valid: u64,
    /// Nonces that do not.
    pub wrong: u64,
    /// Nonces reported before for the same work.
    pub duplicates: u64,
    /// Clock in force, MHz.
    pub mhz: f64,
}

/// One board at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardReading {
    /// Whether it has power and its chips are up and hash.
    pub running: bool,
    /// Serial number, where it is known.
    pub serial: Option<String>,
    /// Chips in chain order.
    pub chips: Vec<ChipReading>,
    /// Extra zero bits of the ticket in force.
    pub ticket_bits: u8,
    /// Voltage read back at the terminals, mV.
    pub mv: Option<f64>,
    /// Board sensors in the order of [`crate::Layout::sensors`], °C.
    pub board_c: Vec<Option<f64>>,
    /// The chip sensor, °C.
    pub chip_c: Option<f64>,
    /// Whether guard or throttle hold it below what was ordered.
    pub throttled: bool,
}

/// The machine at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Boards in the order of the layout.
    pub boards: Vec<BoardReading>,
    /// Input power of the machine, W, where something measures it.
    pub watts: Option<f64>,
    /// Duty of the fans, percent.
    pub fan_percent: Option<f64>,
    /// Whether there is work for the chips; false in a pool outage.
    pub work: bool,
}

/// An order to the station or a chain. All are idempotent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Set a supply. `group` is the board, or 0 for the supply of the machine.
    Voltage {
        /// Board, or 0.
        group: usize,
        /// Setting as the profile counts it, mV.
        mv: u32,
    },
    /// Set the clock of all chips of a board.
    Clock {
        /// Board.
        board: usize,
        /// MHz.
        mhz: f64,
    },
    /// Set the clock of one chip.
    ChipClock {
        /// Board.
        board: usize,
        /// Chip along the chain.
        chip: usize,
        /// MHz.
        mhz: f64,
    },
    /// Set the ticket of a board.
    Ticket {
        /// Board.
        board: usize,
        /// Extra zero bits.
        zero_bits: u8,
    },
    /// Hold the fans at a duty while measuring, percent, or let the station rule them again.
    FanHold(Option<f64>),
}

/// One step with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Step {
    /// When, seconds since the start of the clock that the tuner is given.
    pub at_s: f64,
    /// What was supposed.
    pub hypothesis: String,
    /// What was seen.
    pub evidence: String,
    /// How sure that is, 0..=1.
    pub confidence: f64,
    /// What follows.
    pub decision: String,
}

/// What the tuner does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Not asked to tune; factory setting.
    Off,
    /// Waits for power, work, or the guard to let go.
    Waiting(String),
    /// Moves to another setting.
    Moving,
    /// Measures at one.
    Measuring,
    /// Holds the best one and watches.
    Keeping,
    /// Holds the best known safe setting because something is wrong.
    Held(String),
}

/// Where the tuner stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// What it does.
    pub activity: Activity,
    /// The aim.
    pub aim: Aim,
    /// Whether the aim can be reached, as far as is known.
    pub reach: Reach,
    /// Settings measured so far.
    pub rounds: u32,
    /// Voltage ordered at the terminals of the first board, mV, and mean clock, MHz.
    pub mv: f64,
    /// Mean clock ordered, MHz.
    pub mhz: f64,
    /// Work promised at that setting, TH/s.
    pub ths: f64,
    /// Input power promised, W.
    pub watts: f64,
    /// Work expected to be lost against the best setting for want of knowledge, share.
    pub regret: f64,
    /// Chips that do not answer: board and chip.
    pub silent: Vec<(usize, usize)>,
}

/// What a setting would do, with intervals of 95 %.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Prediction {
    /// Voltage at the terminals of the first board, mV.
    pub mv: f64,
    /// Mean clock, MHz.
    pub mhz: f64,
    /// Work, TH/s: likely, low, high.
    pub ths: [f64; 3],
    /// Input power, W: likely, low, high.
    pub watts: [f64; 3],
    /// Energy per work, J/TH: likely, low, high.
    pub j_per_th: [f64; 3],
    /// Hottest die, °C.
    pub chip_c: f64,
    /// Whether the aim can be reached.
    pub reach: Reach,
}

/// How good a chip is beside the others of its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Surely works with less voltage than most.
    Strong,
    /// Like most, or not known yet.
    Normal,
    /// Surely needs more voltage than most.
    Weak,
    /// Does not answer.
    Silent,
}

impl Grade {
    /// `strong`, `normal`, `weak` or `silent`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Strong => "strong",
            Self::Normal => "normal",
            Self::Weak => "weak",
            Self::Silent => "silent",
        }
    }
}

/// What is known of a chip.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChipQuality {
    /// Threshold against the mean of the machine, mV; a chip below it needs less voltage.
    pub offset_mv: f64,
    /// Standard deviation of that, mV.
    pub sd_mv: f64,
    /// Whether it does not answer.
    pub silent: bool,
    /// In a word.
    pub grade: Grade,
}

/// What a wall meter told about the power that is read or reckoned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Calibration {
    /// Power by the wall meter over what the machine said.
    pub factor: f64,
    /// Standard deviation of the factor.
    pub sd: f64,
    /// What the wall meter showed, W.
    pub watts: f64,
    /// How often the factor was told; several agreeing ones count together.
    pub count: u32,
}

/// Why a reading of a wall meter is not taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CalibrateError {
    /// Not a power.
    #[error(
        "{0} W is not what a wall meter shows of a running miner; tell the input power in watts, above 0"
    )]
    NotPower(f64),
    /// The machine is not at rest at a setting.
    #[error(
        "the power is not steady yet ({0}), so the meter and the miner may speak of different moments; wait a minute and tell the meter's value again"
    )]
    NotSteady(&'static str),
    /// Too far from what the machine says.
    #[error(
        "the meter shows {told:.1} W, the miner reckons with {said:.1} W; more than a factor of 1.6 between them is no matter of calibration. Check that the meter measures this station and nothing else"
    )]
    TooFar {
        /// What was told, W.
        told: f64,
        /// What the machine says, W.
        said: f64,
    },
}

/// Why a chip sits where it sits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explanation {
    /// Clock, MHz.
    pub mhz: f64,
    /// Mean clock of its board, MHz.
    pub board_mhz: f64,
    /// Threshold against the mean of the machine, mV, and its standard deviation.
    pub offset_mv: (f64, f64),
    /// Voltage over threshold, in spreads of its cores.
    pub margin: f64,
    /// Share of its work that is right.
    pub delivered: f64,
    /// In words.
    pub words: String,
}

/// A fitted number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fitted {
    /// Name with unit.
    pub name: String,
    /// Most likely value.
    pub value: f64,
    /// Standard deviation.
    pub sd: f64,
}

/// One chip in a model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChipModel {
    /// Threshold against the mean of the machine, mV.
    pub offset_mv: f64,
    /// Standard deviation, mV.
    pub sd_mv: f64,
    /// Best clock, MHz.
    pub mhz: f64,
    /// Voltage over threshold at the stored setting, in spreads of its cores, and its standard deviation; none where it was not
    /// measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<(f64, f64)>,
}

/// One domain in a model: chips in parallel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DomainModel {
    /// ln of its leakage over the mean of its board.
    pub leak: f64,
    /// Standard deviation of that.
    pub sd: f64,
    /// Temperature of its sink, or of its die where only dies tell, at the stored setting, °C; none where it was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink_c: Option<f64>,
    /// Rise of that over the air at rest, K per W of the board; none where it was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k_per_w: Option<f64>,
}

/// Something that happened to a board's model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// Seconds of tuning time.
    pub at_s: f64,
    /// What.
    pub what: String,
}

/// What is known of one board, to keep and to carry: by its serial number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BoardModel {
    /// Version of this format: 1.
    pub version: u32,
    /// Serial number of the board.
    pub serial: String,
    /// Profile that it was learned under.
    pub profile: String,
    /// Aim that the clocks and the voltage serve.
    pub aim: Aim,
    /// Voltage at the terminals, mV.
    pub mv: f64,
    /// Fitted numbers that all chips share, for people.
    pub fitted: Vec<Fitted>,
    /// The same as the fit holds them.
    pub shared: Vec<f64>,
    /// Their covariance, row by row.
    pub covariance: Vec<f64>,
    /// Correction of the power that the model gives.
    pub power_factor: f64,
    /// What a wall meter told, if one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration: Option<Calibration>,
    /// Air that the board seems to stand in, °C, and fan duty in percent while learned.
    pub conditions: (f64, f64),
    /// Expected loss against the best setting, share: small is sure.
    pub regret: f64,
    /// Whether tuning had come to an end.
    pub complete: bool,
    /// Chips; their offsets are counted at a usual share of leakage.
    pub chips: Vec<ChipModel>,
    /// Domains.
    pub domains: Vec<DomainModel>,
    /// What happened, newest last; at most 32.
    pub history: Vec<Event>,
}
