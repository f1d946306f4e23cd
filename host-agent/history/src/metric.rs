//! What is kept of each metric, and how precisely: the one table of scales, and of what becomes of
//! values when a minute is made of seconds and an hour of minutes.

use rpc::history::Metric;

use crate::column::NONE;

/// What a series is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The whole miner.
    Miner,
    /// A hash board.
    Board,
    /// A pool or node.
    Pool,
}

impl Kind {
    /// As it is called in replies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Miner => "miner",
            Self::Board => "board",
            Self::Pool => "pool",
        }
    }

    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Miner => 0,
            Self::Board => 1,
            Self::Pool => 2,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Miner),
            1 => Some(Self::Board),
            2 => Some(Self::Pool),
            _ => None,
        }
    }

    /// What a series of this kind has.
    #[must_use]
    pub const fn metrics(self) -> &'static [Metric] {
        use Metric as M;
        match self {
            Self::Miner => &[
                M::HashrateHps,
                M::SigmaHps,
                M::ExpectedHps,
                M::PowerW,
                M::TemperatureC,
                M::FanPercent,
                M::FanRpm,
                M::Nonces,
                M::HardwareErrors,
                M::Accepted,
                M::Rejected,
                M::Stale,
                M::Difficulty,
                M::State,
            ],
            Self::Board => &[
                M::HashrateHps,
                M::SigmaHps,
                M::ExpectedHps,
                M::PowerW,
                M::TemperatureC,
                M::FanPercent,
                M::FanRpm,
                M::FrequencyMhz,
                M::VoltageMv,
                M::Nonces,
                M::HardwareErrors,
                M::Restarts,
                M::State,
            ],
            Self::Pool => &[
                M::Accepted,
                M::Rejected,
                M::Stale,
                M::Difficulty,
                M::LatencyMs,
                M::WorkPercent,
                M::Connects,
                M::State,
            ],
        }
    }
}

/// Words for states; what is kept is the position, so it only ever grows. The first stands for words
/// that are not here.
pub const STATES: &[&str] = &[
    "other",
    "starting",
    "mining",
    "waiting for a pool",
    "asleep",
    "degraded",
    "stopping",
    "paused",
    "off",
    "checking",
    "powering",
    "opening",
    "ramping",
    "verifying",
    "idle",
    "stopped",
    "failed",
    "held",
    "latched",
    "unused",
    "connecting",
    "handshake",
    "refused",
    "retrying",
];

/// The value of [`Metric::State`] for this word.
#[must_use]
pub fn state(word: &str) -> f64 {
    let known = STATES.iter().position(|known| *known == word);
    known.unwrap_or(0) as f64
}

/// What becomes of several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    /// Their mean.
    Mean,
    /// The deviation of their mean.
    Deviation,
    /// Their sum.
    Sum,
    /// The last one.
    Last,
}

pub(crate) const fn fold(metric: Metric) -> Fold {
    match metric {
        Metric::SigmaHps => Fold::Deviation,
        Metric::Nonces
        | Metric::HardwareErrors
        | Metric::Restarts
        | Metric::Accepted
        | Metric::Rejected
        | Metric::Stale
        | Metric::Difficulty
        | Metric::Connects => Fold::Sum,
        Metric::State => Fold::Last,
        _ => Fold::Mean,
    }
}

/// A column of a metric: the value itself or one of the extremes within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Value,
    Min,
    Max,
}

/// The extremes that replies tell.
pub(crate) const fn extremes(metric: Metric) -> &'static [Part] {
    match metric {
        Metric::HashrateHps | Metric::PowerW | Metric::TemperatureC | Metric::FanRpm => {
            &[Part::Min, Part::Max]
        }
        Metric::LatencyMs => &[Part::Max],
        _ => &[],
    }
}

/// The columns of a metric at a level. Of a second nothing but the value is known; the extremes of a
/// hashrate are those of whole minutes, because within a minute they are mere chance.
pub(crate) const fn parts(metric: Metric, level: usize) -> &'static [Part] {
    match (metric, level) {
        (_, 0) | (Metric::HashrateHps, 1) => &[Part::Value],
        (Metric::HashrateHps | Metric::PowerW | Metric::TemperatureC | Metric::FanRpm, _) => {
            &[Part::Value, Part::Min, Part::Max]
        }
        (Metric::LatencyMs, _) => &[Part::Value, Part::Max],
        _ => &[Part::Value],
    }
}

/// Thousandths of the natural logarithm: a step is 0.1 %.
const LOG_STEPS: f64 = 1000.0;
/// Puts e^-30 at 1; everything below is zero.
const LOG_ZERO: f64 = 30_001.0;

/// Steps per unit; none on a logarithmic scale.
const fn steps(metric: Metric) -> Option<f64> {
    match metric {
        Metric::HashrateHps
        | Metric::SigmaHps
        | Metric::ExpectedHps
        | Metric::PowerW
        | Metric::FanRpm
        | Metric::Difficulty
        | Metric::LatencyMs => None,
        Metric::TemperatureC | Metric::FanPercent | Metric::FrequencyMhz | Metric::WorkPercent => {
            Some(10.0)
        }
        _ => Some(1.0),
    }
}

/// The number that is kept for a value. What is no number is none.
pub(crate) fn quantize(metric: Metric, value: Option<f64>) -> i32 {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return NONE;
    };
    let number = match steps(metric) {
        Some(steps) => value * steps,
        None if value <= 0.0 => 0.0,
        None => (value.ln() * LOG_STEPS + LOG_ZERO).max(0.0),
    };
    // The cast saturates, and the lowest number is taken.
    (number.round() as i32).max(NONE + 1)
}

/// The value that a number stands for.
pub(crate) fn value(metric: Metric, number: i32) -> Option<f64> {
    if number == NONE {
        return None;
    }
    Some(match steps(metric) {
        Some(steps) => f64::from(number) / steps,
        None if number <= 0 => 0.0,
        None => ((f64::from(number) - LOG_ZERO) / LOG_STEPS).exp(),
    })
}

/// The value without digits that mean nothing.
pub(crate) fn rounded(metric: Metric, value: f64) -> f64 {
    if steps(metric).is_some() {
        return (value * 100.0).round() / 100.0;
    }
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let digits = 10_f64.powi(4 - value.abs().log10().floor() as i32);
    let rounded = (value * digits).round() / digits;
    if rounded.is_finite() { rounded } else { value }
}

/// Number of a metric in files; never changes.
pub(crate) fn bit(metric: Metric) -> u32 {
    let position = Metric::ALL.iter().position(|known| *known == metric);
    1 << position.unwrap_or(31)
}

/// The metrics of a set of bits, in their order; none if one is not known.
pub(crate) fn of_bits(bits: u32) -> Option<Vec<Metric>> {
    if bits >> Metric::ALL.len() != 0 {
        return None;
    }
    let known = Metric::ALL
        .iter()
        .filter(|metric| bits & bit(**metric) != 0);
    Some(known.copied().collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rates_keep_a_thousandth(exponent in -12.0..22.0_f64) {
            let hps = 10_f64.powf(exponent);
            let kept = value(Metric::HashrateHps, quantize(Metric::HashrateHps, Some(hps))).unwrap();
            prop_assert!((kept / hps - 1.0).abs() < 0.001);
            prop_assert!((rounded(Metric::HashrateHps, hps) / hps - 1.0).abs() < 1e-4);
        }

        #[test]
        fn temperatures_keep_a_tenth(celsius in -60.0..200.0_f64) {
            let kept = value(Metric::TemperatureC, quantize(Metric::TemperatureC, Some(celsius))).unwrap();
            prop_assert!((kept - celsius).abs() < 0.051);
        }

        #[test]
        fn any_number_is_kept_as_one(value in any::<f64>()) {
            for metric in Metric::ALL {
                let number = quantize(metric, Some(value));
                prop_assert_eq!(number == NONE, !value.is_finite());
            }
        }
    }

    #[test]
    fn nothing_and_zero_are_not_the_same() {
        for metric in Metric::ALL {
            assert_eq!(value(metric, quantize(metric, None)), None);
            assert_eq!(value(metric, quantize(metric, Some(0.0))), Some(0.0));
        }
    }

    #[test]
    fn bits_name_metrics() {
        for kind in [Kind::Miner, Kind::Board, Kind::Pool] {
            let bits = kind.metrics().iter().map(|metric| bit(*metric)).sum();
            assert_eq!(of_bits(bits).unwrap(), kind.metrics());
            assert_eq!(Kind::from_number(kind.number()), Some(kind));
        }
        assert_eq!(of_bits(1 << 31), None);
    }

    #[test]
    fn words_of_states_come_back() {
        assert_eq!(STATES[state("mining") as usize], "mining");
        assert_eq!(STATES[state("a new word") as usize], "other");
    }
}
