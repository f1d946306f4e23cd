//! What a station tells: readings with unit, source and age, and everything that a person needs to
//! see why a board runs, runs slower, or stands still. Plain values that go as they are into the
//! program's state, its API and its log.

use serde::{Deserialize, Serialize};

use crate::{cooling::Mode, derate::SetPoint};

/// Where a station stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Power is off and nobody wants it.
    #[default]
    Off,
    /// Looking whether the devices are there and are the right ones.
    Identifying,
    /// Fans and temperatures are being proved to the guard.
    Checking,
    /// Rails and the core supply come up, then the chips leave reset.
    PoweringUp,
    /// The board has power; the chain is its owner's.
    Running,
    /// The chain is told to stop, then power goes.
    WindingDown,
    /// The guard holds power back: cooling, waiting for the next try, or latched until a person
    /// clears the fault.
    Held,
}

/// What is known of the power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// Everything was switched off, and that was confirmed where the hardware can.
    Off,
    /// The core supply is on.
    On,
    /// Not known: nothing was said yet, or switching off failed and is tried again.
    #[default]
    Unknown,
}

/// How a value came about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A sensor said it.
    Measured,
    /// Computed from measured values.
    #[default]
    Estimated,
    /// From the board's profile.
    Nameplate,
}

/// Unit of a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Unit {
    /// Degrees Celsius.
    #[serde(rename = "°C")]
    Celsius,
    /// Millivolts.
    #[serde(rename = "mV")]
    Millivolts,
    /// Amperes.
    #[serde(rename = "A")]
    Amperes,
    /// Watts.
    #[serde(rename = "W")]
    Watts,
    /// Turns per minute.
    #[serde(rename = "rpm")]
    Rpm,
}

impl Unit {
    /// The unit as people write it.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Celsius => "°C",
            Self::Millivolts => "mV",
            Self::Amperes => "A",
            Self::Watts => "W",
            Self::Rpm => "rpm",
        }
    }
}

/// One value, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reading {
    /// What it is, e.g. `chip`, `board 2 outlet`, `core voltage`.
    pub name: String,
    /// Board within the station, from 0; none where it belongs to all.
    pub board: Option<usize>,
    /// The last value that was good.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: Unit,
    /// How it came about.
    pub source: Source,
    /// Age of the value, s; none if there is no value.
    pub age_s: Option<f64>,
    /// Why the latest attempt gave no good value.
    pub trouble: Option<String>,
    /// The value at which power is cut, where there is one.
    pub limit: Option<f64>,
}

/// A fan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FanStatus {
    /// What it is called.
    pub name: String,
    /// Duty that it was told, %.
    pub duty_percent: u8,
    /// Its speed, turns per minute; none if it cannot be read.
    pub rpm: Option<u32>,
    /// Age of the speed, s.
    pub age_s: Option<f64>,
    /// Speed expected at this duty, turns per minute; none if the fan is not watched.
    pub expected_rpm: Option<u32>,
    /// What is wrong with it.
    pub trouble: Option<String>,
}

/// Who holds power and limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum GuardLocation {
    /// In the agent alone: the board's controller has no guard, so power stays on if this computer
    /// hangs.
    #[default]
    Agent,
    /// On the board's controller, which switches off by itself; the agent runs one besides.
    Board,
}

/// A fault in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FaultStatus {
    /// Its stable name, e.g. `fan-stalled`.
    pub code: String,
    /// Which sensor, fan or device, with the values that led to it.
    pub what: String,
    /// What to do.
    pub advice: String,
    /// How long ago it was seen, s.
    pub age_s: f64,
    /// Only a person can clear it.
    pub latched: bool,
}

/// The guard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GuardStatus {
    /// Where it runs.
    pub location: GuardLocation,
    /// Name of its state.
    pub state: String,
    /// Power may be on.
    pub power: bool,
    /// Fans may not be slower than this, %.
    pub fan_floor_percent: u8,
    /// The present or the last fault.
    pub fault: Option<FaultStatus>,
    /// Seconds until it lets power be tried again.
    pub retry_in_s: Option<f64>,
    /// Name of the state of the guard on the board, if there is one.
    pub board_state: Option<String>,
}

/// Cooling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CoolingStatus {
    /// How fans are run.
    pub mode: Mode,
    /// Hottest temperature on the scale of the target's sensor, °C: sensors of other kinds are
    /// counted by their distance to their own limit.
    pub temperature_c: Option<f64>,
    /// Name of the sensor that it comes from.
    pub hottest: Option<String>,
    /// Temperature to hold, °C.
    pub target_c: f64,
    /// Throttling begins there, °C.
    pub hot_c: f64,
    /// Power is cut there, °C.
    pub limit_c: f64,
    /// Duty that fans are told, %.
    pub duty_percent: u8,
    /// Share of the wanted clock that heat allows, 0 to 1.
    pub throttle: f64,
    /// Why fans and throttle are where they are.
    pub reason: String,
}

impl Default for CoolingStatus {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            temperature_c: None,
            hottest: None,
            target_c: 0.0,
            hot_c: 0.0,
            limit_c: 0.0,
            duty_percent: 100,
            throttle: 1.0,
            reason: String::new(),
        }
    }
}

/// Set points: what the user wants, what heat and limits allow, what is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetPoints {
    /// What the user or the tuner asked for.
    pub wanted: Option<SetPoint>,
    /// What the station aims for now.
    pub derated: Option<SetPoint>,
    /// Clock that the chains report, MHz; the lowest of several.
    pub actual_mhz: Option<f64>,
    /// Core voltage read back, as the profile counts it, mV.
    pub actual_mv: Option<f64>,
}

/// A board of the station.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BoardStatus {
    /// Its name in the config.
    pub name: String,
    /// Number of the present stretch of power, counted from 1; a chain session belongs to one.
    pub epoch: u64,
    /// The chain may be driven.
    pub powered: bool,
    /// Serial number that the board tells, if it does.
    pub serial: Option<String>,
}

/// A station at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// Where it stands.
    pub phase: Phase,
    /// What is known of the power.
    pub power: Power,
    /// The guard.
    pub guard: GuardStatus,
    /// Its boards.
    pub boards: Vec<BoardStatus>,
    /// Everything that is measured or estimated.
    pub readings: Vec<Reading>,
    /// The fans.
    pub fans: Vec<FanStatus>,
    /// Fan control and throttle.
    pub cooling: CoolingStatus,
    /// Set points.
    pub set_points: SetPoints,
    /// Why the boards are not at what the user wants, in plain words; empty if they are.
    pub reasons: Vec<String>,
}

impl Status {
    /// Nothing is switched on.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.power == Power::Off
    }

    /// The reading of that name on a board.
    #[must_use]
    pub fn reading(&self, name: &str) -> Option<&Reading> {
        self.readings.iter().find(|reading| reading.name == name)
    }
}

/// How bad something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For the record.
    #[default]
    Info,
    /// Worth a look.
    Warning,
    /// Power was cut or is held back.
    Fault,
    /// Something that must not be: power that cannot be switched off, for example.
    Critical,
}

/// An entry of the event log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Notice {
    /// How bad it is.
    pub severity: Severity,
    /// Stable name, e.g. `fan-stalled`.
    pub code: String,
    /// What happened, with values.
    pub text: String,
    /// What to do; empty where nothing is to be done.
    pub advice: String,
    /// The values that led to it, by name.
    pub values: Vec<(String, String)>,
}

/// Something for the owner of the station to do or to note.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A board has power and its chips are out of reset, or it has none any more: start a session,
    /// or drop it at once.
    Power {
        /// Board within the station, from 0.
        board: usize,
        /// Number of this stretch of power.
        epoch: u64,
        /// Whether there is power.
        on: bool,
    },
    /// Clock that the chain of a board is to go to.
    Frequency {
        /// Board within the station, from 0.
        board: usize,
        /// The clock, MHz.
        mhz: f64,
    },
    /// Stop the chain of a board in order, then report it stopped.
    WindDown {
        /// Board within the station, from 0.
        board: usize,
    },
    /// For the event log.
    Notice(Notice),
}

/// What a chain does, as its owner sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ChainPhase {
    /// There is no session.
    #[default]
    None,
    /// Chips are looked for, brought up, ramped.
    Starting,
    /// Chips run, with or without work.
    Running,
    /// Winding down.
    Stopping,
    /// Wound down.
    Stopped,
    /// The session failed.
    Failed,
}

/// What the owner of a chain reports, whenever it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChainReport {
    /// What the chain does.
    pub phase: ChainPhase,
    /// Clock that the chips run at, MHz; 0 if they do not.
    pub clock_mhz: f64,
    /// Chips that answered.
    pub chips: u16,
}
