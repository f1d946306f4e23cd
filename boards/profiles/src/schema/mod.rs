//! The profile as data: one struct per table of the file. Units are in the names; ranges are
//! enforced when a profile is loaded, so code that holds a [`Profile`] may trust them.

mod bridge;
mod cooling;
mod device;
mod linux;
mod physics;

pub use bridge::{Bridge, BridgeFans, BridgePin, Converter, ConverterRole, Line, ResponseFormat};
pub use cooling::Cooling;
pub use device::{Device, DeviceKind, Feedback, RegulatorInit, Sensor, SensorChannel, SensorKind};
pub use linux::{Linux, LinuxBoard, LinuxBus, LinuxFan, LinuxLine, LinuxPin, LinuxTach};
pub use physics::{
    ChipPhysics, FanPhysics, Physics, PsuPhysics, RegulatorPhysics, SupplyPhysics, ThermalPhysics,
};

use serde::{Deserialize, Serialize};

use crate::ChipKind;

/// A hash board: one chain of chips with its power, sensors and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Name for configs and file names: lower-case letters, digits and dashes.
    pub name: String,
    /// Name for people, e.g. `Bitaxe Gamma`.
    pub model: String,
    /// Board revisions that the profile describes; empty if it holds for all known ones.
    #[serde(default)]
    pub revisions: Vec<String>,
    /// Ways in which power, fans and reset of this board can be controlled. A simulated board
    /// needs none of them.
    pub control: Vec<Control>,
    /// Chips and how they are reached.
    pub chain: Chain,
    /// Clock range.
    pub frequency: Frequency,
    /// Core supply range.
    pub voltage: Voltage,
    /// Values at which the board must be switched off.
    pub limits: Limits,
    /// What the board delivers at its default settings.
    pub nominal: Nominal,
    /// Voltage that each clock needs, ascending; empty for a straight line from the lowest to
    /// the default settings. Read it with [`Profile::voltage_for`].
    #[serde(default, rename = "curve", skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<CurvePoint>,
    /// Fans, and the temperatures that they and throttling hold.
    pub cooling: Cooling,
    /// The board controller's pins and pages. Required where `control` lists `bridge`; on other
    /// boards it describes the controller of the simulated board only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Bridge>,
    /// Pins, buses and fans of the Linux control board, as far as they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
    /// How the board is simulated.
    pub simulation: Simulation,
    /// Where the numbers come from.
    pub evidence: Evidence,
    /// Regulators, sensors, fan controllers and memories on the board's buses.
    #[serde(default, rename = "device")]
    pub devices: Vec<Device>,
}

/// A way to control a board's power, fans and reset line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// A board controller on a serial port that speaks the bitaxe-raw protocol.
    Bridge,
    /// I2C, GPIO and PWM of the Linux control board that the agent runs on.
    Linux,
    /// Somebody else: a bench supply, a test harness.
    External,
}

/// The chips of the board and the line to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Kind of chip.
    #[serde(with = "chip_name")]
    pub chip: ChipKind,
    /// Chips on the chain: 1 to 128, on BM1372 and BM1373 to 16.
    pub chips: u16,
    /// Voltage domains in series across the board's supply.
    pub domains: u16,
    /// Chips in parallel in each domain; `domains * chips_per_domain == chips`.
    pub chips_per_domain: u16,
    /// Boards of this kind in the machine that it comes from.
    pub boards_per_machine: u16,
    /// Baud rate of the line once the chips are up. They always start at 115 200.
    pub baud: u32,
    /// Difficulty from which chips report nonces, a power of two.
    pub ticket_difficulty: u32,
    /// Longest time between two jobs, ms. The chain sends work sooner when the chips would run
    /// out of versions to roll.
    pub job_interval_ms: u32,
}

/// Clock of the chips, MHz.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frequency {
    /// Lowest clock to mine at.
    pub min_mhz: f64,
    /// Clock that the board is set to unless told otherwise.
    pub default_mhz: f64,
    /// Highest clock that anything may ask for.
    pub max_mhz: f64,
    /// Clocks that the board's own firmware offers, ascending; empty where it offers none.
    pub offered_mhz: Vec<f64>,
    /// Clock at which the ramp after reset is taken to start, one step below its first write; below
    /// `min_mhz`.
    pub start_mhz: f64,
    /// Step of the ramp; the driver knows 6.25 MHz only.
    pub ramp_step_mhz: f64,
    /// Time between two steps of the ramp, ms.
    pub ramp_interval_ms: u32,
}

/// Core supply, mV. What one value means is told by `scope`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voltage {
    /// What the values refer to.
    pub scope: VoltageScope,
    /// Lowest useful setting.
    pub min_mv: u32,
    /// Setting unless told otherwise.
    pub default_mv: u32,
    /// Highest setting that anything may ask for.
    pub max_mv: u32,
    /// Settings that the board's own firmware offers, ascending; empty where it offers none.
    pub offered_mv: Vec<u32>,
}

/// What a voltage setting refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VoltageScope {
    /// One chip. The board's regulator puts out the value times the number of domains.
    Chip,
    /// The whole board: its own regulator feeds all domains in series.
    Board,
    /// All boards of a machine: the power supply's output feeds the domains of each in series.
    Psu,
}

/// Values at which the board must be switched off. A limit is absent only where the board has
/// nothing to measure it with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Input power of the board, W.
    pub power_w: f64,
    /// Chip temperature, °C.
    pub chip_c: f64,
    /// Core regulator temperature, °C. Required where a regulator is on the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regulator_c: Option<f64>,
    /// Board sensor temperature, °C. Required where the power supply feeds the board directly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board_c: Option<f64>,
    /// Lowest input voltage, mV. Required where a regulator is on the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_min_mv: Option<u32>,
    /// Highest input voltage, mV. Required where a regulator is on the board.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_max_mv: Option<u32>,
    /// Core current, A, where the regulator reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_a: Option<f64>,
}

/// What the board delivers at its default settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nominal {
    /// Hashrate of one board, TH/s.
    pub hashrate_ths: f64,
    /// Energy per work at the wall (input of the board for boards without a power supply of
    /// their own), J/TH; absent where no figure is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efficiency_j_per_th: Option<f64>,
}

/// How the board is simulated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    /// The simulated board hashes at 2^-`scale_bits` of the silicon's rate.
    pub scale_bits: u8,
    /// Power, heat and quality of the simulated board; without it the simulated chips are ideal
    /// and nothing gets warm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physics: Option<Physics>,
}

/// A clock and the voltage that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurvePoint {
    /// Clock, MHz.
    pub mhz: f64,
    /// Setting of `[voltage]`, mV.
    pub mv: u32,
}

/// A line that has an active level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Active {
    /// Active when the line is low.
    Low,
    /// Active when the line is high.
    High,
}

/// What a line switches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PinRole {
    /// The supply of the chips' inputs and outputs, and of their 1.8 and 0.8 V rails.
    Vddio,
    /// The core regulator.
    Core,
    /// The power supply that feeds all boards of the machine.
    Psu,
}

/// Where the numbers of each table come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// For `[chain]`.
    pub chain: Claim,
    /// For `[frequency]`.
    pub frequency: Claim,
    /// For `[voltage]`.
    pub voltage: Claim,
    /// For `[limits]`.
    pub limits: Claim,
    /// For `[nominal]`.
    pub nominal: Claim,
    /// For the `[[device]]` entries.
    pub devices: Claim,
    /// For `[[curve]]`; required where there are points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<Claim>,
    /// For `[cooling]`.
    pub cooling: Claim,
    /// For `[bridge]`; required where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Claim>,
    /// For `[linux]`; required where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux: Option<Claim>,
    /// For `[simulation.physics]`; required where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physics: Option<Claim>,
}

/// A claim's basis and source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// How good the numbers are; the worst of the table.
    pub basis: Basis,
    /// Who says so, in words.
    pub source: String,
}

/// How good a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Published by the maker or in the board's own open firmware or design files.
    Published,
    /// Measured or captured on one unit.
    MeasuredOnOneUnit,
    /// Chosen by us with a margin, for want of anything better.
    Assumed,
}

/// Chips are written by name in files.
mod chip_name {
    use bm13xx::UnknownChip;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::ChipKind;

    pub(super) fn serialize<S: Serializer>(kind: &ChipKind, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(kind)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ChipKind, D::Error> {
        let name = String::deserialize(from)?;
        name.parse()
            .map_err(|error: UnknownChip| D::Error::custom(format!("`{name}`: {error}")))
    }
}
