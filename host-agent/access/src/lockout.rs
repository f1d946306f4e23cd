//! Wrong tokens and codes: after a few, their address has to wait, each time twice as long.
//!
//! Tokens have 256 random bits, so this is not what keeps them from being guessed; it keeps guessers from
//! filling logs and taking time. It must therefore never keep out who has a right token more than
//! needed: the same wrong token again, which a forgotten browser tab sends, is no new guess, and
//! this machine is never made to wait with a right one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::address::Key;
use crate::bucket::{Bucket, Rate};

/// Wrong ones without consequences.
pub(crate) const FREE: u32 = 5;

/// First wait.
const FIRST_WAIT: Duration = Duration::from_secs(10);

/// Longest wait.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// After so long without a wrong one all is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// How long a full table is left alone before it is looked through again.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Wrong ones from all addresses together before each is told to wait.
const ALL: Rate = Rate {
    per_s: 1.0,
    burst: 60.0,
};

/// What a wrong one led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No consequences yet.
    Wrong,
    /// The same wrong one again.
    Again,
    /// Wait; `true` if this address has just been locked out for it.
    Locked(Duration, bool),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    wrong: u32,
    last: Duration,
    until: Duration,
    mark: u64,
}

/// Who has to wait.
#[derive(Clone, Debug)]
pub(crate) struct Lockout {
    most: usize,
    known: BTreeMap<Key, Entry>,
    all: Option<Bucket>,
    swept: Option<Duration>,
}

impl Lockout {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            known: BTreeMap::new(),
            all: None,
            swept: None,
        }
    }

    /// How long the address still has to wait.
    pub(crate) fn wait(&self, key: Key, now: Duration) -> Option<Duration> {
        let entry = self.known.get(&key)?;
        let left = entry.until.saturating_sub(now);
        (!left.is_zero()).then_some(left)
    }

    /// Somebody showed a wrong one; `mark` tells it from others.
    pub(crate) fn wrong(&mut self, key: Key, mark: u64, now: Duration) -> Verdict {
        if let Some(left) = self.wait(key, now) {
            return Verdict::Locked(left, false);
        }
        let all = if key == Key::Local {
            Ok(())
        } else {
            self.all
                .get_or_insert(Bucket::full(ALL, now))
                .take(ALL, now)
        };
        let forgotten = |entry: &Entry| now.saturating_sub(entry.last) >= FORGET_AFTER;
        match self.known.get(&key) {
            Some(entry) if entry.mark == mark && !forgotten(entry) => return Verdict::Again,
            Some(entry) if forgotten(entry) => {
                self.known.remove(&key);
            }
            Some(_) => {}
            // This machine is always counted by itself.
            None if key != Key::Local && self.known.len() >= self.most => {
                self.sweep(now);
                if self.known.len() >= self.most {
                    return Verdict::Locked(FIRST_WAIT, false);
                }
            }
            None => {}
        }
        let entry = self.known.entry(key).or_insert(Entry {
            wrong: 0,
            last: now,
            until: Duration::ZERO,
            mark,
        });
        entry.wrong = entry.wrong.saturating_add(1);
        (entry.last, entry.mark) = (now, mark);
        if entry.wrong >= FREE {
            let doublings = (entry.wrong - FREE).min(16);
            let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
            entry.until = now.saturating_add(wait);
            return Verdict::Locked(wait, true);
        }
        match all {
            Ok(()) => Verdict::Wrong,
            Err(wait) => Verdict::Locked(wait, false),
        }
    }

    /// Somebody showed a right one.
    pub(crate) fn right(&mut self, key: Key) {
        self.known.remove(&key);
    }

    fn sweep(&mut self, now: Duration) {
        let due = |last: Duration| now.saturating_sub(last) >= SWEEP_EVERY;
        if !self.swept.is_none_or(due) {
            return;
        }
        self.swept = Some(now);
        self.known
            .retain(|_, entry| now.saturating_sub(entry.last) < FORGET_AFTER);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SOMEBODY: Key = Key::V4(1);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_wait_doubles_to_a_quarter_of_an_hour() {
        let mut lockout = Lockout::new(10);
        let mut now = s(0);
        for mark in 0..4 {
            assert_eq!(lockout.wrong(SOMEBODY, mark, now), Verdict::Wrong);
        }
        let mut waits = Vec::new();
        for mark in 4..14 {
            let Verdict::Locked(wait, true) = lockout.wrong(SOMEBODY, mark, now) else {
                panic!("not locked");
            };
            assert_eq!(lockout.wait(SOMEBODY, now), Some(wait));
            waits.push(wait.as_secs());
            now += wait;
            assert_eq!(lockout.wait(SOMEBODY, now), None);
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 900, 900, 900]);
    }

    #[test]
    fn an_hour_of_peace_or_a_right_one_forgives() {
        let mut lockout = Lockout::new(10);
        for mark in 0..5 {
            lockout.wrong(SOMEBODY, mark, s(0));
        }
        assert!(lockout.wait(SOMEBODY, s(9)).is_some());
        assert_eq!(lockout.wrong(SOMEBODY, 9, s(3_700)), Verdict::Wrong);
        for mark in 10..13 {
            lockout.wrong(SOMEBODY, mark, s(3_701));
        }
        lockout.right(SOMEBODY);
        assert_eq!(lockout.wrong(SOMEBODY, 20, s(3_702)), Verdict::Wrong);
    }

    #[test]
    fn the_same_wrong_one_again_is_no_new_guess() {
        let mut lockout = Lockout::new(10);
        assert_eq!(lockout.wrong(SOMEBODY, 7, s(0)), Verdict::Wrong);
        for second in 1..1_000 {
            assert_eq!(lockout.wrong(SOMEBODY, 7, s(second)), Verdict::Again);
        }
    }

    #[test]
    fn all_addresses_together_are_limited_and_memory_is_bounded() {
        let mut lockout = Lockout::new(100);
        let mut free = 0;
        for address in 0..10_000 {
            let verdict = lockout.wrong(Key::V6(address), address, s(1));
            free += usize::from(verdict == Verdict::Wrong);
        }
        assert_eq!(free, 60);
        assert!(lockout.known.len() <= 100);
        // Nobody else has to wait for that, and this machine does not even notice.
        assert_eq!(lockout.wait(SOMEBODY, s(1)), None);
        assert_eq!(lockout.wrong(Key::Local, 1, s(1)), Verdict::Wrong);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_address_tries_more_than_the_rule_allows(waits in proptest::collection::vec(0u64..400, 1..300)) {
            let mut lockout = Lockout::new(10);
            let (mut now, mut tried) = (0, Vec::new());
            for (mark, wait) in waits.into_iter().enumerate() {
                now += wait;
                if lockout.wait(SOMEBODY, s(now)).is_none() {
                    lockout.wrong(SOMEBODY, mark as u64, s(now));
                    tried.push(now);
                }
            }
            // Six tries in a row that are not an hour apart have a wait among them.
            for six in tried.windows(6) {
                prop_assert!(six[5] - six[0] >= 10 || six.windows(2).any(|two| two[1] - two[0] >= 3_600));
            }
        }
    }
}
