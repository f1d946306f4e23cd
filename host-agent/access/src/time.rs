//! Two clocks: one that only runs forward, for limits, and that of the calendar, for expiry. The
//! calendar's may jump; what has expired must not come back when it jumps backwards.

use std::time::Duration;

/// A moment, on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Time since a fixed start, the same for all calls.
    pub now: Duration,
    /// Seconds since 1970 as the computer's clock shows them; it may be wrong.
    pub unix_s: u64,
}

/// The calendar as far as it can be trusted: it follows the computer's clock forwards, and when that
/// jumps backwards it runs on by itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calendar {
    anchor: Option<Moment>,
}

impl Calendar {
    /// Seconds since 1970, never less than before.
    pub(crate) fn unix_s(&mut self, at: Moment) -> u64 {
        let unix_s = self.peek(at);
        // The anchor moves only when the clock is ahead, so that rounding cannot add up.
        if self.anchor.is_none() || unix_s == at.unix_s {
            self.anchor = Some(Moment {
                now: at.now,
                unix_s,
            });
        }
        unix_s
    }

    /// The same without remembering the moment.
    pub(crate) fn peek(&self, at: Moment) -> u64 {
        let own = self.anchor.map_or(0, |anchor| {
            let since = at.now.saturating_sub(anchor.now).as_secs();
            anchor.unix_s.saturating_add(since)
        });
        own.max(at.unix_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now_s: u64, unix_s: u64) -> Moment {
        Moment {
            now: Duration::from_secs(now_s),
            unix_s,
        }
    }

    #[test]
    fn a_clock_that_jumps_back_is_not_followed() {
        let mut calendar = Calendar::default();
        assert_eq!(calendar.unix_s(at(0, 1_000)), 1_000);
        assert_eq!(calendar.unix_s(at(10, 1_010)), 1_010);
        assert_eq!(calendar.unix_s(at(20, 5)), 1_020);
        assert_eq!(calendar.unix_s(at(30, 15)), 1_030);
    }

    #[test]
    fn a_clock_that_is_set_forward_is_followed() {
        let mut calendar = Calendar::default();
        assert_eq!(calendar.unix_s(at(0, 100)), 100);
        assert_eq!(calendar.unix_s(at(1, 1_795_000_000)), 1_795_000_000);
        assert_eq!(calendar.unix_s(at(11, 1_795_000_010)), 1_795_000_010);
    }
}
