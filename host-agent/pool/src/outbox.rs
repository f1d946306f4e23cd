//! What waits to be sent on one connection, and how it is cut into packets. Bounded: a miner that does
//! not read is hung up on rather than remembered.

use crate::quirks::{Quirk, Quirks};
use std::collections::VecDeque;
use std::time::Duration;

/// Messages that may wait; a pool sends a few a minute.
const MAX_WAITING: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    messages: VecDeque<Vec<u8>>,
    /// Bytes of the first message that are out already, when bytes go one by one.
    sent: usize,
    /// When slow delivery lets the next byte go; `None` if it is not slow or nothing waits.
    next_byte: Option<Duration>,
    /// Bytes that slow delivery has let go.
    released: usize,
}

impl Outbox {
    /// Queues a message. False means that it does not fit any more.
    pub(crate) fn push(&mut self, now: Duration, quirks: &Quirks, message: Vec<u8>) -> bool {
        if self.messages.len() >= MAX_WAITING {
            return false;
        }
        self.messages.push_back(message);
        if let (None, Some(pause)) = (self.next_byte, pause(quirks)) {
            self.next_byte = Some(now.saturating_add(pause));
        }
        true
    }

    /// The next packet, if one may go now.
    pub(crate) fn pop(&mut self, quirks: &Quirks) -> Option<Vec<u8>> {
        if quirks.has(Quirk::SlowLoris) {
            self.released = self.released.checked_sub(1)?;
            return self.pop_byte();
        }
        if quirks.has(Quirk::ByteByByte) {
            return self.pop_byte();
        }
        if quirks.has(Quirk::Coalesced) && self.messages.len() > 1 {
            return Some(self.messages.drain(..).flatten().collect());
        }
        self.messages.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.next_byte
    }

    pub(crate) fn on_timeout(&mut self, now: Duration, quirks: &Quirks) {
        let Some(pause) = pause(quirks) else { return };
        let waiting: usize = self.messages.iter().map(Vec::len).sum();
        while let Some(due) = self.next_byte.filter(|due| *due <= now) {
            if self.sent + self.released >= waiting {
                self.next_byte = None;
                return;
            }
            self.released += 1;
            self.next_byte = Some(due.saturating_add(pause));
        }
    }

    fn pop_byte(&mut self) -> Option<Vec<u8>> {
        let first = self.messages.front()?;
        let byte = first.get(self.sent).copied();
        self.sent += 1;
        if self.sent >= first.len() {
            self.messages.pop_front();
            self.sent = 0;
        }
        byte.map(|byte| vec![byte])
    }
}

fn pause(quirks: &Quirks) -> Option<Duration> {
    let millis = quirks.number(Quirk::SlowLoris)?;
    Some(Duration::from_millis(u64::from(millis.max(1))))
}
