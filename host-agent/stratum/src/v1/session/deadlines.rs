//! What a session does because time has passed. It never waits for anything without an end.

use std::time::Duration;

use super::Session;
use super::connection::{Connection, Link};
use crate::session::{Event, Reason, Refusal};
use crate::v1::request::Request;

/// How many times the usual silence a pool may keep that sends jobs with new blocks only, as
/// long as it accepts shares.
const LONG_SILENCE: u32 = 5;

impl Session {
    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` if nothing is waited for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let timeouts = &self.config.timeouts;
        let link = match &self.link {
            Link::Idle => return None,
            Link::Waiting { until } => Some(*until),
            Link::Connecting { deadline, .. } => Some(*deadline),
            Link::Up(connection) => {
                let patience = self.patience(connection).map(|(due, _)| due);
                let answer = self.desk.answer_due(timeouts.submit);
                patience.into_iter().chain(answer).min()
            }
        };
        let expiry = self.desk.expiry(timeouts.resubmit);
        link.into_iter().chain(self.void_at).chain(expiry).min()
    }

    /// Does what is due at `now`. Calling it early or late does no harm.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.advance(now);
        let timeouts = self.config.timeouts;
        if self.void_at.is_some_and(|due| due <= self.now) {
            self.void_jobs();
        }
        while let Some(ticket) = self.desk.next_expired(self.now, timeouts.resubmit) {
            self.give_up(ticket, Refusal::TooOld);
        }
        match &self.link {
            Link::Idle => {}
            Link::Waiting { until } if *until <= self.now => self.connect(),
            Link::Connecting { deadline, .. } if *deadline <= self.now => {
                self.close(Reason::ConnectTimeout(timeouts.connect));
            }
            Link::Waiting { .. } | Link::Connecting { .. } => {}
            Link::Up(_) => self.check_patience(),
        }
    }

    fn check_patience(&mut self) {
        while let Link::Up(connection) = &self.link {
            let heard_at = connection.heard_at;
            if let Some(sent) = self
                .desk
                .next_overdue(self.now, self.config.timeouts.submit)
            {
                let at = sent.at;
                let share = Box::new(sent.ticket.share.clone());
                self.counters.stats.unconfirmed += 1;
                self.tell(Event::ShareUnconfirmed(share));
                if heard_at.is_none_or(|heard| heard < at) {
                    self.close(Reason::Unresponsive(self.now.saturating_sub(at)));
                }
                continue;
            }
            match self.patience(connection) {
                Some((due, end)) if due <= self.now => match end {
                    Some(reason) => self.close(reason),
                    None => self.assume_authorized(),
                },
                _ => return,
            }
        }
    }

    /// Some pools take shares without ever having answered authorize.
    fn assume_authorized(&mut self) {
        if let Link::Up(connection) = &mut self.link {
            connection
                .open
                .retain(|(_, open)| *open != Request::Authorize);
            connection.authorized = true;
            self.send_waiting();
        }
    }

    /// When patience with the pool ends, and with what reason; without one it ends with the
    /// wait for the answer to authorize only.
    fn patience(&self, connection: &Connection) -> Option<(Duration, Option<Reason>)> {
        let timeouts = &self.config.timeouts;
        let shaken = connection.since.saturating_add(timeouts.handshake);
        let Some(subscribed_at) = connection.subscribed_at else {
            return Some((shaken, Some(Reason::NoAnswer("mining.subscribe"))));
        };
        let authorize = connection.is_open(Request::Authorize).then(|| {
            let mining = connection.first_job_at.is_some();
            (
                shaken,
                (!mining).then_some(Reason::NoAnswer("mining.authorize")),
            )
        });
        let silence = match connection.last_job_at {
            None => (
                subscribed_at.saturating_add(timeouts.first_job),
                Some(Reason::NoFirstJob(timeouts.first_job)),
            ),
            Some(last_job) => {
                let due = self.silence_due(connection, last_job);
                (due, Some(Reason::Silent(due.saturating_sub(last_job))))
            }
        };
        authorize
            .into_iter()
            .chain([silence])
            .min_by_key(|(due, _)| *due)
    }

    /// A pool that refreshes its jobs must go on doing so. Another one may be quiet between
    /// blocks while it accepts shares, but not for ever: its node may have stopped.
    fn silence_due(&self, connection: &Connection, last_job: Duration) -> Duration {
        let silence = self.config.timeouts.silence;
        let usual = last_job.saturating_add(silence);
        if self.memory.refreshes_jobs {
            return usual;
        }
        let longest = last_job.saturating_add(silence.saturating_mul(LONG_SILENCE));
        connection.accepted_at.map_or(usual, |accepted| {
            usual.max(accepted.saturating_add(silence).min(longest))
        })
    }
}
