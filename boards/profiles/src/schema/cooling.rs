//! Fans and the temperatures that cooling holds.

use serde::{Deserialize, Serialize};

use super::SensorKind;

/// Fans, and the temperatures that they and throttling hold. The temperatures at which power
/// goes stand in `[limits]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cooling {
    /// Fans that the board's controller drives and watches; a machine's fans are shared by its
    /// boards. 0: the board has no fan connector, somebody else cools it, and whoever runs it
    /// has to confirm that.
    pub fans: u8,
    /// Speed of a fan at full duty, rpm.
    pub max_rpm: u32,
    /// Share of the expected speed that a fan may lack before it counts as stalled, percent.
    pub tolerance_percent: u8,
    /// Duty below which fans do not turn, percent.
    pub dead_band_percent: u8,
    /// Time in which a fan reaches a new speed, s.
    pub spin_up_s: f64,
    /// Whether the speed must be seen to follow the duty before power is granted.
    #[serde(default = "yes")]
    pub tach_proof: bool,
    /// Lowest duty while the chips have power, percent: the quiet floor.
    pub min_percent: u8,
    /// Duty from power-up until the first temperatures have settled, percent.
    pub start_percent: u8,
    /// Temperature that `target_c` and `hot_c` refer to: the hottest sensor of this kind.
    pub sensor: SensorKind,
    /// Temperature that the fans hold, °C.
    pub target_c: f64,
    /// Temperature from which the clock is throttled, °C; the limit of `sensor` is above it.
    pub hot_c: f64,
}

fn yes() -> bool {
    true
}
