//! The rules of an owner, as they are configured.

use std::time::Duration;

use autotune::{Aim, Caps};

use crate::schedule::Entry;

/// Everything that is wanted, in general and by rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// What holds when no rule has anything to say.
    pub base: Base,
    /// Power of the whole machine at its profile's limits, W: what it may draw without any cap. Ramps end there.
    pub full_w: f64,
    /// Times of day with rules of their own.
    pub schedule: Vec<Entry>,
    /// What the price of power rules.
    pub price: Option<PriceRule>,
    /// What the surplus of power rules.
    pub surplus: Option<SurplusRule>,
    /// How heat takes power away.
    pub heat: Option<HeatRule>,
    /// Once awake, prices and surplus let it sleep only after this time.
    pub least_awake: Duration,
    /// Once asleep, it sleeps at least for this time.
    pub least_asleep: Duration,
}

/// What the owner wants in general, of all boards together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Base {
    /// The aim.
    pub aim: Aim,
    /// The caps.
    pub caps: Caps,
}

impl Default for Base {
    fn default() -> Self {
        Self {
            aim: Aim::Off,
            caps: Caps::default(),
        }
    }
}

/// What follows from a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Then {
    /// No more than this input power of all boards, W.
    Watts(f64),
    /// No power at all.
    Sleep,
}

/// What holds while a feed is silent for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Fallback {
    /// As if there were no such rule.
    #[default]
    Ignore,
    /// This.
    Then(Then),
}

/// What the price of power rules.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceRule {
    /// What follows above which price; all that are passed hold.
    pub steps: Vec<PriceStep>,
    /// A step ends this far below its price, money per kWh.
    pub hysteresis: f64,
    /// How long a price holds that does not say it itself.
    pub valid: Duration,
    /// What holds without one.
    pub stale: Fallback,
}

/// A price and what follows above it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PriceStep {
    /// Price, money per kWh.
    pub above: f64,
    /// What follows.
    pub then: Then,
}

/// What the surplus of power rules: the machine draws no more than it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurplusRule {
    /// Below this surplus it sleeps, W.
    pub floor_w: f64,
    /// From this surplus on it wakes, W; not below the floor.
    pub wake_w: f64,
    /// The surplus is measured where the machine's own draw has been taken off already, so that this is added.
    pub at_meter: bool,
    /// Time constant with which the surplus is smoothed.
    pub smoothing: Duration,
    /// How long a surplus holds that does not say it itself.
    pub valid: Duration,
    /// What holds without one.
    pub stale: Fallback,
}

/// How heat takes power away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeatRule {
    /// The hottest part is held this far below the point of throttling, K.
    pub margin_k: f64,
}
