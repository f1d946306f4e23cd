//! Shares that were sent and not answered. Acceptances come in batches: one names the last
//! number, and every number up to it that had no error of its own is accepted.

use std::collections::VecDeque;
use std::time::Duration;

use mining::Share;

/// A share that was sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) sequence: u32,
    pub(super) share: Share,
    /// Difficulty that was in force for its job.
    pub(super) difficulty: f64,
    pub(super) at: Duration,
}

/// Shares without answer that are remembered.
const MAX_OPEN: usize = 1000;

/// The shares of one channel, oldest first.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    open: VecDeque<Sent>,
    /// The last number given out.
    last: u32,
}

impl Ledger {
    /// A number for the next share, from 1 up; `None` when there are no more.
    pub(super) fn next_sequence(&self) -> Option<u32> {
        self.last.checked_add(1)
    }

    /// Notes that a share went out; gives back one whose answer nobody waits for any more.
    pub(super) fn sent(&mut self, sent: Sent) -> Option<Sent> {
        self.last = sent.sequence;
        let displaced = if self.open.len() >= MAX_OPEN {
            self.open.pop_front()
        } else {
            None
        };
        self.open.push_back(sent);
        displaced
    }

    /// How many shares are without answer.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// The next of the shares that an acceptance up to `last` is about. A number that was never
    /// given out covers what is open now, not what is sent later.
    pub(super) fn next_accepted(&mut self, last: u32) -> Option<Sent> {
        let covered = self.open.front()?.sequence <= last;
        covered.then(|| self.open.pop_front()).flatten()
    }

    /// The share that a refusal is about.
    pub(super) fn refused(&mut self, sequence: u32) -> Option<Sent> {
        let at = self
            .open
            .iter()
            .position(|sent| sent.sequence == sequence)?;
        self.open.remove(at)
    }

    /// A share that will never be answered, since the channel is gone.
    pub(super) fn next_lost(&mut self) -> Option<Sent> {
        self.open.pop_front()
    }
}
