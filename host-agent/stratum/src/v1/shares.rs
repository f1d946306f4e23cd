//! Shares on their way: waiting to be sent, sent and not answered, kept over a broken
//! connection. Every share that comes in here leaves as accepted, rejected, unconfirmed or
//! dropped, and is counted once.

use std::collections::VecDeque;
use std::time::Duration;

use mining::Share;

use super::memory::VersionBitsForm;

/// A share and what has happened to it.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) share: Share,
    /// Difficulty that was in force for its job.
    pub(crate) difficulty: f64,
    /// When the miner handed it in.
    pub(crate) found: Duration,
    /// It was sent on an earlier connection and not answered there.
    pub(crate) resent: bool,
    /// It has been counted as unconfirmed; a late answer takes that back.
    pub(crate) overdue: bool,
}

/// A ticket that was sent on this connection.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) ticket: Ticket,
    pub(crate) id: u64,
    pub(crate) at: Duration,
    /// The form of the version bits, if it made a difference.
    pub(crate) form: Option<VersionBitsForm>,
    /// The difficulty that the pool had last announced by then was harder than the job's,
    /// and the share missed it.
    pub(crate) misses_newest: bool,
}

/// Shares that wait, at most; the oldest gives way.
const MAX_WAITING: usize = 256;
/// Shares without answer that are remembered.
const MAX_SENT: usize = 512;

/// All shares on their way.
#[derive(Debug, Default)]
pub(crate) struct ShareDesk {
    /// Oldest first.
    waiting: VecDeque<Ticket>,
    /// In the order of their ids.
    sent: VecDeque<Sent>,
}

impl ShareDesk {
    /// Takes a share; gives back one that has to go for it.
    pub(crate) fn enqueue(&mut self, ticket: Ticket) -> Option<Ticket> {
        let displaced = if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front()
        } else {
            None
        };
        self.waiting.push_back(ticket);
        displaced
    }

    /// Shares whose fate is open. Those that have been given up may still be answered.
    pub(crate) fn open(&self) -> u64 {
        let sent = self.sent.iter().map(|sent| &sent.ticket);
        let open = self
            .waiting
            .iter()
            .chain(sent)
            .filter(|ticket| !ticket.overdue);
        open.count() as u64
    }

    pub(crate) fn next_waiting(&mut self) -> Option<Ticket> {
        self.waiting.pop_front()
    }

    /// Notes that a share went out; gives back one whose answer nobody waits for any more.
    pub(crate) fn sent(&mut self, sent: Sent) -> Option<Ticket> {
        let displaced = if self.sent.len() >= MAX_SENT {
            self.sent.pop_front()
        } else {
            None
        };
        self.sent.push_back(sent);
        displaced.map(|sent| sent.ticket)
    }

    /// The share that an answer is about.
    pub(crate) fn answered(&mut self, id: u64) -> Option<Sent> {
        let at = self.sent.iter().position(|sent| sent.id == id)?;
        self.sent.remove(at)
    }

    /// Marks the next share whose answer is overdue and tells when it was sent.
    pub(crate) fn next_overdue(&mut self, now: Duration, limit: Duration) -> Option<&Sent> {
        let sent = self
            .sent
            .iter_mut()
            .find(|sent| !sent.ticket.overdue && sent.at.saturating_add(limit) <= now)?;
        sent.ticket.overdue = true;
        Some(sent)
    }

    /// When an answer will be overdue.
    pub(crate) fn answer_due(&self, limit: Duration) -> Option<Duration> {
        let open = self.sent.iter().find(|sent| !sent.ticket.overdue)?;
        Some(open.at.saturating_add(limit))
    }

    /// The connection is gone: what was sent without answer waits, in front of the rest.
    pub(crate) fn disconnected(&mut self) {
        for mut sent in self.sent.drain(..).rev() {
            sent.ticket.resent = true;
            self.waiting.push_front(sent.ticket);
        }
    }

    /// Takes out a share that has waited for too long.
    pub(crate) fn next_expired(&mut self, now: Duration, limit: Duration) -> Option<Ticket> {
        let old = |ticket: &Ticket| ticket.found.saturating_add(limit) <= now;
        let at = self.waiting.iter().position(old)?;
        self.waiting.remove(at)
    }

    /// When a waiting share will have waited for too long.
    pub(crate) fn expiry(&self, limit: Duration) -> Option<Duration> {
        let first = self.waiting.iter().map(|ticket| ticket.found).min()?;
        Some(first.saturating_add(limit))
    }
}
