//! Amounts: what a block may pay, and whose part is how large.

use std::fmt;

use bitcoin::Network;
use thiserror::Error;

/// All the money there can ever be, satoshi.
pub(crate) const MAX_MONEY_SAT: u64 = 21_000_000 * COIN_SAT;

/// One bitcoin, satoshi.
pub(crate) const COIN_SAT: u64 = 100_000_000;

/// New coins that a block at this height may create, satoshi, fees not included.
///
/// The reward halves every 210 000 blocks, on regtest every 150.
#[must_use]
pub fn subsidy_sat(network: Network, height: u32) -> u64 {
    let interval = match network {
        Network::Regtest => 150,
        _ => 210_000,
    };
    (50 * COIN_SAT).checked_shr(height / interval).unwrap_or(0)
}

/// A percentage from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Percent(f64);

/// A number that is no percentage.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{0} is not a percentage: it must be from 0 to 100")]
pub struct PercentError(
    /// What was given.
    pub f64,
);

impl Percent {
    /// A percentage.
    ///
    /// # Errors
    /// [`PercentError`] for anything that is not from 0 to 100.
    pub fn new(value: f64) -> Result<Self, PercentError> {
        if (0.0..=100.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(PercentError(value))
        }
    }

    /// From 0 to 100.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// A part of the reward.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Portion {
    /// Satoshi.
    pub sat: u64,
    /// Percent of all that can be spent.
    pub percent: f64,
}

impl Portion {
    /// `sat` out of `whole_sat`.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn of(sat: u64, whole_sat: u64) -> Self {
        let percent = match whole_sat {
            0 => 0.0,
            whole => 100.0 * sat as f64 / whole as f64,
        };
        Self { sat, percent }
    }
}

/// Satoshi as a person reads them.
pub(crate) fn btc(sat: u64) -> String {
    let text = format!("{}.{:08}", sat / COIN_SAT, sat % COIN_SAT);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    format!("{short} BTC")
}
