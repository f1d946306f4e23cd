//! Shares on their way to the pool: checked when they come in and again when they go out,
//! since jobs, difficulty and mask may have changed while they waited.

use std::time::Duration;

use mining::{Share, Target};

use super::connection::Link;
use super::{MAX_TRANSMITS, Session};
use crate::session::{Event, Refusal};
use crate::v1::bits::version_bits;
use crate::v1::request;
use crate::v1::shares::{Sent, Ticket};

/// ckpool takes block times up to 7000 s above the job's, others 7200 s.
const LATEST_NTIME: u32 = 7000;

impl Session {
    /// Hands in a share. It is sent at once if the connection stands, else kept for a while.
    ///
    /// # Errors
    ///
    /// If the pool would surely reject it; then it is counted as dropped and forgotten.
    pub fn submit(&mut self, now: Duration, share: Share) -> Result<(), Refusal> {
        self.advance(now);
        let difficulty = match self.check(&share) {
            Ok(difficulty) => difficulty,
            Err(refusal) => {
                self.counters.stats.dropped += 1;
                let share = Box::new(share);
                self.tell(Event::ShareDropped { share, refusal });
                return Err(refusal);
            }
        };
        let displaced = self.desk.enqueue(Ticket {
            share,
            difficulty,
            found: self.now,
            resent: false,
            overdue: false,
        });
        if let Some(displaced) = displaced {
            self.give_up(displaced, Refusal::QueueFull);
        }
        self.send_waiting();
        Ok(())
    }

    /// Puts waiting shares on the wire as far as possible.
    pub(super) fn send_waiting(&mut self) {
        while let Link::Up(connection) = &self.link
            && connection.takes_shares()
            && self.transmits.len() < MAX_TRANSMITS
            && let Some(ticket) = self.desk.next_waiting()
        {
            match self.check(&ticket.share) {
                Ok(_) => self.send(ticket),
                Err(refusal) => self.give_up(ticket, refusal),
            }
        }
    }

    fn send(&mut self, ticket: Ticket) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        let job = &ticket.share.job;
        let form = self.memory.version_bits;
        let bits = connection
            .rolling
            .map(|mask| version_bits(form, job.version, ticket.share.version, mask));
        let form_matters = connection
            .rolling
            .is_some_and(|mask| job.version & mask != 0);
        let misses_newest = connection.difficulty.get() > ticket.difficulty
            && !Target::from_difficulty(connection.difficulty).is_met_by(&ticket.share.hash);
        let id = connection.next_id();
        self.transmits
            .push_back(request::submit(id, &self.config.user, &ticket.share, bits));
        self.counters.stats.submitted += 1;
        let displaced = self.desk.sent(Sent {
            ticket,
            id,
            at: self.now,
            form: form_matters.then_some(form),
            misses_newest,
        });
        if let Some(mut displaced) = displaced {
            displaced.resent = true;
            self.give_up(displaced, Refusal::QueueFull);
        }
    }

    /// What a share is worth if it is accepted, or why it would not be.
    fn check(&self, share: &Share) -> Result<f64, Refusal> {
        let ours = self
            .identity
            .as_ref()
            .is_some_and(|identity| identity.session == share.job.session);
        if !ours {
            return Err(Refusal::OtherSession);
        }
        let known = self.book.find(share).ok_or(Refusal::UnknownJob)?;
        let job = &known.job;
        if share.extranonce2.len() != job.extranonce2_len {
            return Err(Refusal::Extranonce2Length);
        }
        let latest = job.ntime.saturating_add(LATEST_NTIME);
        if !(job.ntime..=latest).contains(&share.ntime) {
            return Err(Refusal::TimeOutOfRange);
        }
        let Link::Up(connection) = &self.link else {
            return Ok(known.difficulty);
        };
        // Before the first job of a connection its mask may not have been agreed on yet.
        let mask = match connection.first_job_at {
            Some(_) => connection.rolling.unwrap_or(0),
            None => share.job.version_mask,
        };
        if (share.version ^ job.version) & !mask != 0 {
            return Err(Refusal::VersionBits);
        }
        let raised = connection.difficulty.get() > known.difficulty
            && !Target::from_difficulty(connection.difficulty).is_met_by(&share.hash);
        if self.memory.judges_at_once && raised {
            return Err(Refusal::DifficultyRaised);
        }
        Ok(known.difficulty)
    }
}
