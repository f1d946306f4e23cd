//! What a session does because time has passed. It never waits for anything without an end.

use std::time::Duration;

use super::Session;
use super::connection::{Connection, Link, Phase};
use crate::session::Reason;
use crate::v2::words;

/// Servers answer the Noise handshake at once. Those of other protocols wait for more, and their owner
/// should soon know why nothing happens.
const NOISE: Duration = Duration::from_secs(10);
/// How many times the usual silence a pool may keep that sends jobs with new blocks only, as
/// long as it says anything at all.
const LONG_SILENCE: u32 = 10;

impl Session {
    /// When [`do_what_is_due`](Self::do_what_is_due) must be called next.
    pub(super) fn due(&self) -> Option<Duration> {
        match &self.link {
            Link::Idle => None,
            Link::Waiting { until } => Some(*until),
            Link::Connecting { deadline, .. } => Some(*deadline),
            Link::Up(connection) => {
                let update = connection
                    .channel()
                    .and_then(|channel| channel.update_due(self.hashrate, self.now));
                let patience = self.patience_ends(connection);
                Some(update.map_or(patience, |update| update.min(patience)))
            }
        }
    }

    pub(super) fn do_what_is_due(&mut self) {
        match &self.link {
            Link::Waiting { until } if *until <= self.now => self.connect(),
            Link::Connecting { deadline, .. } if *deadline <= self.now => {
                self.close(Reason::ConnectTimeout(self.config.timeouts.connect));
            }
            Link::Idle | Link::Waiting { .. } | Link::Connecting { .. } => {}
            Link::Up(connection) => {
                if self.patience_ends(connection) <= self.now {
                    let reason = self.impatience(connection);
                    self.close(reason);
                } else {
                    self.update_if_due();
                }
            }
        }
    }

    fn patience_ends(&self, connection: &Connection) -> Duration {
        let timeouts = &self.config.timeouts;
        let Some(channel) = connection.channel() else {
            let patience = match connection.phase {
                Phase::Noise => timeouts.handshake.min(NOISE),
                _ => timeouts.handshake,
            };
            return connection.since.saturating_add(patience);
        };
        match connection.first_job_at.and(connection.last_job_at) {
            None => channel.opened_at.saturating_add(timeouts.first_job),
            Some(last_job) => self.silence_due(connection, last_job),
        }
    }

    fn impatience(&self, connection: &Connection) -> Reason {
        let timeouts = &self.config.timeouts;
        match &connection.phase {
            Phase::Noise => match connection.stream.impostor() {
                Some(impostor) => words::impostor(impostor),
                None => words::no_handshake("stayed silent"),
            },
            Phase::Setup => Reason::NoAnswer("SetupConnection"),
            Phase::Opening { .. } => Reason::NoAnswer("the request for a channel"),
            Phase::Open(_) => match connection.first_job_at.and(connection.last_job_at) {
                None => Reason::NoFirstJob(timeouts.first_job),
                Some(last_job) => Reason::Silent(self.now.saturating_sub(last_job)),
            },
        }
    }

    /// A pool that sends jobs between blocks must go on doing so. Another one may be quiet
    /// between blocks while it answers shares, but not for ever: its node may have stopped.
    fn silence_due(&self, connection: &Connection, last_job: Duration) -> Duration {
        let silence = self.config.timeouts.silence;
        let usual = last_job.saturating_add(silence);
        if self.refreshes_jobs {
            return usual;
        }
        let longest = last_job.saturating_add(silence.saturating_mul(LONG_SILENCE));
        connection.heard_at.map_or(usual, |heard| {
            usual.max(heard.saturating_add(silence).min(longest))
        })
    }
}
