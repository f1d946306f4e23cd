//! What each chip of the chain has delivered, counted from its nonces.

use std::time::Duration;

use bm13xx::Megahertz;
use mining::{Estimate, Hashrate, Window};

/// Counters of a chain, or of one chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Nonces that meet the chips' ticket.
    pub valid: u64,
    /// Of those, solutions that meet the job's target.
    pub shares: u64,
    /// Nonces whose hash does not meet the ticket.
    pub hardware_errors: u64,
    /// Nonces reported before for the same work.
    pub duplicates: u64,
    /// Nonces for work that a clean job has voided.
    pub stale: u64,
}

/// One chip as the chain sees it.
#[derive(Debug)]
pub(crate) struct Chip {
    pub(crate) clock: Megahertz,
    pub(crate) nonces: u64,
    pub(crate) hardware_errors: u64,
    pub(crate) duplicates: u64,
    rate: Hashrate,
}

impl Chip {
    pub(crate) fn new(now: Duration, clock: Megahertz) -> Self {
        Self {
            clock,
            nonces: 0,
            hardware_errors: 0,
            duplicates: 0,
            rate: Hashrate::new(now),
        }
    }

    pub(crate) fn count(&mut self, now: Duration, hashes: f64) {
        self.nonces += 1;
        self.rate.record(now, hashes);
    }

    /// Ten minutes: a chip finds about a nonce a second, so shorter windows say little.
    pub(crate) fn rate(&self, now: Duration) -> Estimate {
        self.rate.estimate(Window::TenMinutes, now)
    }
}
