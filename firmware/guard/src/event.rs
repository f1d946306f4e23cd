//! What the guard decided and why, in a small ring.

use core::time::Duration;

use crate::{Cause, CoolingMode, Fault, Refusal, SetPoint, State, Subject};

/// How many events wait to be polled; older ones are dropped and counted.
pub const EVENT_CAPACITY: usize = 16;

/// One decision with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event {
    /// When, on the caller's clock.
    pub at: Duration,
    /// What.
    pub kind: EventKind,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// The state changed.
    State {
        /// From this one.
        from: State,
        /// Because of this.
        cause: Cause,
        /// To this one.
        to: State,
    },
    /// A fault was found.
    Fault(Fault),
    /// A request was refused.
    Refused(Refusal),
    /// A set point was accepted.
    SetPoint(SetPoint),
    /// A cooling mode was accepted.
    Cooling(CoolingMode),
    /// Fans were ordered to 100 % because of this.
    Doubt(Subject),
    /// The doubt is over: fans may slow down.
    NoDoubt,
}

/// The last events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ring {
    events: [Option<Event>; EVENT_CAPACITY],
    first: usize,
    len: usize,
    lost: u32,
}

impl Ring {
    pub(crate) const fn new() -> Self {
        Self {
            events: [None; EVENT_CAPACITY],
            first: 0,
            len: 0,
            lost: 0,
        }
    }

    pub(crate) fn push(&mut self, event: Event) {
        if self.len == EVENT_CAPACITY {
            self.lost = self.lost.saturating_add(1);
            self.pop();
        }
        if let Some(slot) = self
            .events
            .get_mut((self.first + self.len) % EVENT_CAPACITY)
        {
            *slot = Some(event);
            self.len += 1;
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        if self.len == 0 {
            return None;
        }
        let event = self.events.get_mut(self.first)?.take();
        self.first = (self.first + 1) % EVENT_CAPACITY;
        self.len -= 1;
        event
    }

    pub(crate) const fn lost(&self) -> u32 {
        self.lost
    }
}
