//! What the chips find, and what it means when they find nothing.

use std::time::Duration;

use bm13xx::{Destination, Frame, JobFormat, NonceReply, Register};
use mining::{Hashrate, Outcome, Rolled};

use super::{Event, Phase, Session};
use crate::Failure;
use crate::health::{Chip, Counters};

/// A silent chain is suspected after this many nonces failed to come, but not before
/// [`LEAST_SILENCE`]. The chance that a healthy chain is silent so long is e^-30.
const SILENT_NONCES: f64 = 30.0;
const LEAST_SILENCE: Duration = Duration::from_secs(15);
/// Time for a sign of life from a chain that went silent.
const PROBE: Duration = Duration::from_secs(1);

impl Session {
    pub(super) fn handle_nonce(&mut self, now: Duration, reply: &NonceReply) {
        // At rest nonces that were on their way may still be worth a share.
        let resting = self.phase == Phase::Idle && self.jobs_sent > 0;
        let hashing = matches!(self.phase, Phase::Mining | Phase::Stopping);
        if !(hashing || resting) || !self.offsets_written {
            return;
        }
        self.last_nonce = now;
        self.probe = None;
        let origin = self.plan.locate(reply);
        let rolled = match (self.model().job_format, reply.version_bits) {
            (JobFormat::Midstate, _) => Rolled::Midstate(origin.sub_core_or_midstate),
            (JobFormat::Header, Some(bits)) => Rolled::VersionBits(bits),
            (JobFormat::Header, None) => Rolled::None,
        };
        let weakest = self.weakest_ticket(now);
        let outcome = self
            .slots
            .verify(origin.slot, reply.nonce, rolled, &weakest);
        if resting && !outcome.is_proof() {
            return;
        }
        // On its way since before the ticket was raised: worth what the pool pays for it, but no measure.
        let weak = self.old_ticket.is_some()
            && proven(&outcome).is_some_and(|difficulty| difficulty < self.ticket.difficulty());
        let chip = origin
            .chip
            .and_then(|chip| self.chips.get_mut(usize::from(chip)));
        if outcome.is_proof() && !weak {
            self.counters.valid += 1;
            self.rate.record(now, self.ticket_hashes);
            if let Some(chip) = chip {
                chip.count(now, self.ticket_hashes);
            }
        } else if let Some(chip) = chip {
            match outcome {
                Outcome::HardwareError(_) => chip.hardware_errors += 1,
                Outcome::Duplicate => chip.duplicates += 1,
                _ => {}
            }
        }
        match outcome {
            Outcome::Share(share) => {
                self.counters.shares += 1;
                let difficulty = mining::hash_difficulty(&share.hash);
                self.best_difficulty = self.best_difficulty.max(difficulty);
                self.events.push_back(Event::Share(share));
            }
            Outcome::BelowTarget { difficulty } => {
                self.best_difficulty = self.best_difficulty.max(difficulty);
            }
            Outcome::Stale => self.counters.stale += 1,
            Outcome::Duplicate => self.counters.duplicates += 1,
            Outcome::HardwareError(_) => self.counters.hardware_errors += 1,
        }
    }

    /// Rates and chip counters count from the first work that is free of overlap.
    pub(super) fn start_counting(&mut self, now: Duration) {
        if self.counters == Counters::default() {
            self.rate = Hashrate::new(now);
            for chip in &mut self.chips {
                *chip = Chip::new(now, chip.clock);
            }
        }
    }

    /// When a chain that should be finding nonces has been silent for too long.
    pub(super) fn silence_deadline(&self) -> Option<Duration> {
        if self.phase != Phase::Mining || self.running.is_some() {
            return None;
        }
        if let Some(deadline) = self.probe {
            return Some(deadline);
        }
        let model = self.model();
        let hps = model.hashrate_hps(self.clock, self.chips.len() as u16);
        let patience = SILENT_NONCES * self.twins() * self.ticket_hashes / hps.max(1.0);
        let patience = Duration::try_from_secs_f64(patience).unwrap_or(Duration::MAX);
        Some(self.last_nonce.saturating_add(patience.max(LEAST_SILENCE)))
    }

    /// Asks a silent chain whether it is there; the second time there is no doubt left.
    pub(super) fn suspect(&mut self, now: Duration) {
        if self.probe.take().is_some() {
            let failure = if self.last_reply > self.last_nonce {
                Failure::NoNonces
            } else {
                Failure::Silent
            };
            self.fail(failure);
        } else {
            self.probe = Some(now + PROBE);
            let frame = Frame::read(Destination::All, Register::ChipId);
            self.write(now, &frame);
        }
    }
}

/// Difficulty of the hash that a good nonce gave.
fn proven(outcome: &Outcome) -> Option<f64> {
    match outcome {
        Outcome::Share(share) => Some(mining::hash_difficulty(&share.hash)),
        Outcome::BelowTarget { difficulty } => Some(*difficulty),
        _ => None,
    }
}
