//! Asleep or awake, not for too short a time.

use std::time::Duration;

/// How much a rule insists on sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wish {
    /// Awake.
    Awake,
    /// It can wait until the machine was awake for long enough.
    Soft,
    /// At once.
    Hard,
}

/// Asleep or awake.
#[derive(Clone, Debug)]
pub(crate) struct Sleeper {
    least_awake: Duration,
    least_asleep: Duration,
    asleep: bool,
    /// Since when; none since the beginning, which nobody has to wait for.
    since: Option<Duration>,
}

impl Sleeper {
    pub(crate) fn new(least_awake: Duration, least_asleep: Duration) -> Self {
        Self {
            least_awake,
            least_asleep,
            asleep: false,
            since: None,
        }
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// Takes a wish; the moment for which it has to wait, if it has to.
    pub(crate) fn tick(&mut self, now: Duration, wish: Wish) -> Option<Duration> {
        if self.asleep == (wish != Wish::Awake) {
            return None;
        }
        let least = match (self.asleep, wish) {
            (true, _) => self.least_asleep,
            (false, Wish::Hard) => Duration::ZERO,
            (false, _) => self.least_awake,
        };
        let due = self.since.map(|since| since.saturating_add(least));
        if due.is_some_and(|due| now < due) {
            return due;
        }
        self.asleep = !self.asleep;
        self.since = Some(now);
        None
    }
}
