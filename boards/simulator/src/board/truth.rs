//! What is really the case on a board, for those who judge how it was treated. No instrument shows it.

use std::time::Duration;

use crate::physics::{FanState, Trip};

/// The truth about a board.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// When this was true.
    pub now: Duration,
    /// Hottest die now, °C.
    pub die_c: f64,
    /// Hottest that any die has been, °C.
    pub die_highest_c: f64,
    /// Temperature that no die may pass, °C.
    pub die_limit_c: f64,
    /// When a die first passed it.
    pub die_limit_passed: Option<Duration>,
    /// Whether there is core or board voltage: more than a tenth of the nominal.
    pub core_on: bool,
    /// Since when the answer to that is what it is.
    pub core_since: Duration,
    /// How often the core voltage has come on.
    pub core_starts: u64,
    /// Core or board voltage, mV.
    pub core_mv: f64,
    /// Highest core or board voltage so far, mV.
    pub core_highest_mv: f64,
    /// Voltage that the regulator or supply is told to give, mV.
    pub set_mv: f64,
    /// Current at that voltage, A.
    pub core_a: f64,
    /// Power at that voltage, W.
    pub core_w: f64,
    /// Power from the input, auxiliaries included, W.
    pub input_w: f64,
    /// Voltage at the input, V.
    pub input_v: f64,
    /// Temperature of regulator or supply, °C.
    pub regulator_c: f64,
    /// Why regulator or supply is off against orders.
    pub trip: Option<Trip>,
    /// The fans: true speed, tach, duty.
    pub fans: Vec<FanState>,
    /// Temperatures where the board's sensors sit, °C.
    pub board_c: Vec<f64>,
    /// Air around, °C.
    pub ambient_c: f64,
    /// Whether the chips are held in reset.
    pub in_reset: bool,
    /// Chips that would answer now.
    pub alive: u16,
    /// Chips that are broken for good.
    pub broken: u16,
    /// Clock of the fastest chip, MHz.
    pub fastest_mhz: f64,
    /// Mean share of right work over the chips that have power, 0..=1; 0 without power.
    pub delivered: f64,
    /// Commands that would have written a regulator's permanent memory. Any is a crime: a wrong one can ruin it.
    pub nvm_stores: u64,
    /// Whether the controller has a guard of its own and it grants power; none without one.
    pub guard_grants: Option<bool>,
}
