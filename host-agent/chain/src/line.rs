//! The outgoing half of the serial line: what waits to be written, and when the line will have
//! carried what was written. Knowing that, waits between writes start when the last byte has
//! left, and an urgent job never queues behind more than a moment of configuration.

use std::collections::VecDeque;
use std::time::Duration;

/// What the shell has to do with the port, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write these bytes.
    Write(Vec<u8>),
    /// Let everything written drain, then switch the port to this rate in baud.
    Baud(u32),
}

/// How far ahead of the line bytes may be handed out. Timers in the shell are good to about a
/// millisecond; two keep the line busy.
const LEAD: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct Line {
    baud: u32,
    free_at: Duration,
    out: VecDeque<Output>,
}

impl Line {
    pub(crate) fn new(baud: u32) -> Self {
        Self {
            baud,
            free_at: Duration::ZERO,
            out: VecDeque::new(),
        }
    }

    /// The rate of the port once everything handed out is done, baud.
    pub(crate) fn baud(&self) -> u32 {
        self.baud
    }

    /// When the last byte handed out will have left.
    pub(crate) fn free_at(&self) -> Duration {
        self.free_at
    }

    /// The earliest moment at which another frame may be handed out.
    pub(crate) fn ready_at(&self) -> Duration {
        self.free_at.saturating_sub(LEAD)
    }

    pub(crate) fn write(&mut self, now: Duration, bytes: &[u8]) {
        self.free_at = self.free_at.max(now) + self.duration_of(bytes.len());
        self.out.push_back(Output::Write(bytes.to_vec()));
    }

    pub(crate) fn set_baud(&mut self, baud: u32) {
        if baud != self.baud {
            self.baud = baud;
            self.out.push_back(Output::Baud(baud));
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Time that `bytes` take on the wire: 8N1 is ten bits a byte.
    pub(crate) fn duration_of(&self, bytes: usize) -> Duration {
        Duration::from_nanos(bytes as u64 * 10 * 1_000_000_000 / u64::from(self.baud.max(1)))
    }
}
