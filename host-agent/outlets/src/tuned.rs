//! The tuners of all stations as one: what metrics and messages tell of the machine.

use autotune::Aim;
use rpc::tuner::{StationTuner, TunerStatus};

/// Aims, as [`aim`] calls them.
pub(crate) const AIMS: &[&str] = &["off", "efficiency", "watts", "hashrate", "profit"];

/// What a tuner can do, the most urgent first.
pub(crate) const ACTIVITIES: &[&str] =
    &["held", "waiting", "moving", "measuring", "keeping", "off"];

/// Whether and why not an aim is reached.
pub(crate) const REACHES: &[&str] = &[
    "reached",
    "too_little_power",
    "too_much_work",
    "too_much_power",
    "no_profit",
];

/// Rules that make what holds now differ from what the owner wants.
pub(crate) const REASONS: &[&str] = &[
    "schedule",
    "price",
    "surplus",
    "stale-feed",
    "curtailment",
    "heat",
    "no-clock",
    "minimum-time",
    "tuner-off",
];

/// The word for an aim.
pub(crate) fn aim(aim: Aim) -> &'static str {
    match aim {
        Aim::Off => "off",
        Aim::Efficiency => "efficiency",
        Aim::Watts(_) => "watts",
        Aim::Hashrate(_) => "hashrate",
        Aim::Profit { .. } => "profit",
    }
}

/// What the tuners promise together: work in TH/s and input power in W; none while none of them tunes.
pub(crate) fn promise(tuner: &TunerStatus) -> Option<(f64, f64)> {
    let tuning = tuner.stations.iter().filter(|station| tunes(station));
    let (ths, watts) = tuning.fold((0.0, 0.0), |(ths, watts), station| {
        (ths + station.ths, watts + station.watts)
    });
    (watts > 0.0).then_some((ths, watts))
}

/// Whether a tuner has orders of its own, so that its promises mean something.
pub(crate) fn tunes(station: &StationTuner) -> bool {
    station.activity != "off" && station.watts > 0.0
}

/// The station whose tuner does what is most urgent.
pub(crate) fn foremost(tuner: &TunerStatus) -> Option<&StationTuner> {
    let urgency = |station: &&StationTuner| {
        let known = ACTIVITIES.iter();
        let mut known = known
            .enumerate()
            .filter(|(_, word)| **word == station.activity);
        known.next().map_or(0, |(index, _)| index)
    };
    tuner.stations.iter().min_by_key(urgency)
}
