//! A chain in numbers, for whoever shows it.

use bm13xx::{DecoderStats, Megahertz};
use mining::Estimate;

use crate::health::Counters;
use crate::session::Phase;

/// One chain at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Where it stands.
    pub phase: Phase,
    /// Chips that answered.
    pub found: u16,
    /// Chips that the profile expects.
    pub expected_chips: u16,
    /// Clock now; the mean where chips have clocks of their own.
    pub clock: Megahertz,
    /// Clock aimed at; the mean where chips have clocks of their own.
    pub goal: Megahertz,
    /// The highest clock of a chip now.
    pub fastest: Megahertz,
    /// Zero bits that chips want of a hash beyond the 32 that they always want.
    pub ticket_bits: u8,
    /// Hashrate over 5 s, 1 min, 10 min and 1 h; of silicon, for simulated chips too.
    pub rates: [Estimate; 4],
    /// Hashes per second that the chips should deliver now; 0 while they have no work. Less than clock
    /// times cores where a job leaves too few version bits for all sub-cores.
    pub expected_hps: f64,
    /// Nonces by verdict.
    pub counters: Counters,
    /// Highest difficulty of a hash found.
    pub best_difficulty: f64,
    /// Jobs sent to the chips.
    pub jobs_sent: u64,
    /// What the decoder saw on the line.
    pub line: DecoderStats,
    /// The chips in chain order.
    pub chips: Vec<ChipStatus>,
}

/// One chip at one moment.
#[derive(Clone, Debug)]
pub struct ChipStatus {
    /// Assigned address.
    pub address: u8,
    /// Voltage domain, from 0 at the host's end.
    pub domain: u16,
    /// Clock now.
    pub clock: Megahertz,
    /// Verified nonces.
    pub nonces: u64,
    /// Nonces that do not meet the ticket.
    pub hardware_errors: u64,
    /// Nonces that it had reported before.
    pub duplicates: u64,
    /// Rate over ten minutes.
    pub rate: Estimate,
    /// Hashes per second that it should deliver now.
    pub expected_hps: f64,
}
