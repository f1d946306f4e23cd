//! What a visit of a point came to.

use serde::{Deserialize, Serialize};

use super::plan::Point;

/// How a point did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The board does at least what is wanted of it.
    Good,
    /// It does less than that.
    Slow,
    /// Too many of its nonces are wrong.
    Wrong,
    /// It got too hot, or was throttled.
    Hot,
    /// It draws too much, or was held back.
    Power,
    /// Chips were lost, or the board failed.
    Broke,
    /// Neither good nor bad could be proved in the time.
    #[default]
    Undecided,
}

impl Verdict {
    /// The point is no good.
    #[must_use]
    pub fn is_bad(self) -> bool {
        !matches!(self, Self::Good | Self::Undecided)
    }

    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Slow => "too slow",
            Self::Wrong => "wrong nonces",
            Self::Hot => "too hot",
            Self::Power => "too much power",
            Self::Broke => "broke down",
            Self::Undecided => "undecided",
        }
    }
}

/// What was seen at a point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Where.
    #[serde(flatten)]
    pub at: Point,
    /// How it did.
    pub verdict: Verdict,
    /// Why, in words.
    pub why: String,
    /// Time of counting, s.
    pub counted_s: f64,
    /// Time of the whole visit, with the way there, s.
    pub took_s: f64,
    /// Nonces counted.
    pub nonces: u64,
    /// Nonces that its clock promises for that time.
    pub expected_nonces: f64,
    /// Of those that came, how many were wrong.
    pub wrong: u64,
    /// Share of the promised work that was done, 1 is all of it; none if nothing was counted.
    pub delivered: Option<f64>,
    /// One standard deviation of that.
    pub delivered_sd: Option<f64>,
    /// Share of wrong nonces.
    pub wrong_share: Option<f64>,
    /// Work done, hashes per second.
    pub hps: Option<f64>,
    /// Input power of the board's station, W.
    pub watts: Option<f64>,
    /// The power was measured; otherwise it is an estimate.
    pub watts_measured: bool,
    /// Energy per work of the board's station, J/TH.
    pub j_per_th: Option<f64>,
    /// Hottest temperature at the end, °C.
    pub celsius: Option<f64>,
    /// Voltage read back, mV as the profile counts it.
    pub actual_mv: Option<f64>,
}
