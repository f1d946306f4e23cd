//! Token buckets per asker, in bounded memory. When more askers come than can be counted, those
//! that are counted keep their own bucket and all others share one: a flood from many addresses
//! takes nothing from whoever was there before.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::address::Key;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Per second, in the long run.
    pub per_s: f64,
    /// At once, after a rest.
    pub burst: f64,
}

/// How long a full table is left alone before it is looked through again.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Counts for one asker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    level: f64,
    at: Duration,
}

impl Bucket {
    /// A bucket that has not been used.
    pub(crate) fn full(rate: Rate, now: Duration) -> Self {
        Self {
            level: rate.burst,
            at: now,
        }
    }

    /// Takes one.
    ///
    /// # Errors
    ///
    /// There is none; how long until there is.
    pub(crate) fn take(&mut self, rate: Rate, now: Duration) -> Result<(), Duration> {
        self.level = self.level_at(rate, now);
        self.at = self.at.max(now);
        if self.level >= 1.0 {
            self.level -= 1.0;
            return Ok(());
        }
        let missing = (1.0 - self.level) / rate.per_s;
        Err(Duration::try_from_secs_f64(missing).unwrap_or(Duration::MAX))
    }

    fn level_at(&self, rate: Rate, now: Duration) -> f64 {
        let since = now.saturating_sub(self.at).as_secs_f64();
        (self.level + since * rate.per_s).min(rate.burst)
    }
}

/// A bucket for each asker.
#[derive(Clone, Debug)]
pub(crate) struct Buckets {
    rate: Rate,
    most: usize,
    known: BTreeMap<Key, Bucket>,
    others: Option<Bucket>,
    swept: Option<Duration>,
}

impl Buckets {
    pub(crate) fn new(rate: Rate, most: usize) -> Self {
        Self {
            rate,
            most,
            known: BTreeMap::new(),
            others: None,
            swept: None,
        }
    }

    pub(crate) fn take(&mut self, key: Key, now: Duration) -> Result<(), Duration> {
        let rate = self.rate;
        if !self.known.contains_key(&key) && self.known.len() >= self.most {
            self.sweep(now);
            if self.known.len() >= self.most {
                let others = self.others.get_or_insert(Bucket::full(rate, now));
                return others.take(rate, now);
            }
        }
        let bucket = self.known.entry(key).or_insert(Bucket::full(rate, now));
        bucket.take(rate, now)
    }

    /// Forgets those that are full again.
    fn sweep(&mut self, now: Duration) {
        let due = |last: Duration| now.saturating_sub(last) >= SWEEP_EVERY;
        if !self.swept.is_none_or(due) {
            return;
        }
        self.swept = Some(now);
        let rate = self.rate;
        self.known
            .retain(|_, bucket| bucket.level_at(rate, now) < rate.burst);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate {
        per_s: 2.0,
        burst: 5.0,
    };

    fn seconds(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    #[test]
    fn a_burst_goes_through_and_then_the_rate_counts() {
        let mut buckets = Buckets::new(RATE, 10);
        let key = Key::V4(1);
        for _ in 0..5 {
            buckets.take(key, seconds(0.0)).unwrap();
        }
        assert_eq!(buckets.take(key, seconds(0.0)), Err(seconds(0.5)));
        buckets.take(key, seconds(0.5)).unwrap();
        assert!(buckets.take(key, seconds(0.5)).is_err());
        // Somebody else is not affected.
        buckets.take(Key::V4(2), seconds(0.5)).unwrap();
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_spares_whoever_was_there() {
        let mut buckets = Buckets::new(RATE, 100);
        let owner = Key::V4(0xffff_ffff);
        buckets.take(owner, seconds(0.0)).unwrap();
        let mut passed = 0;
        for address in 0..100_000 {
            passed += usize::from(buckets.take(Key::V6(address), seconds(0.1)).is_ok());
        }
        assert!(buckets.len() <= 100);
        assert_eq!(passed, 99 + 5);
        buckets.take(owner, seconds(0.1)).unwrap();
    }

    #[test]
    fn those_that_have_rested_make_room() {
        let mut buckets = Buckets::new(RATE, 100);
        for address in 0..100 {
            buckets.take(Key::V6(address), seconds(0.0)).unwrap();
        }
        for address in 1_000..1_010 {
            buckets.take(Key::V6(address), seconds(10.0)).unwrap();
        }
        assert_eq!(buckets.len(), 10);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nobody_gets_more_than_burst_and_rate(
            steps in proptest::collection::vec((0u64..3_000, 0u32..4), 1..200)
        ) {
            let mut buckets = Buckets::new(RATE, 3);
            let (mut now, mut passed) = (Duration::ZERO, [0u32; 4]);
            for (wait, who) in steps {
                now += Duration::from_millis(wait);
                if buckets.take(Key::V4(who), now).is_ok() {
                    passed[who as usize] += 1;
                }
                let most = RATE.burst + RATE.per_s * now.as_secs_f64() + 1e-6;
                // One that was forgotten while full begins full again, which is no gain.
                prop_assert!(passed.iter().all(|count| f64::from(*count) <= most));
                prop_assert!(buckets.len() <= 3);
            }
        }

        #[test]
        fn a_clock_that_stands_or_runs_back_gives_nothing(times in proptest::collection::vec(0u64..1_000, 1..100)) {
            let mut buckets = Buckets::new(RATE, 3);
            let mut passed = 0u32;
            for time in &times {
                passed += u32::from(buckets.take(Key::Proxy, Duration::from_millis(*time)).is_ok());
            }
            prop_assert!(f64::from(passed) <= RATE.burst + RATE.per_s * 1.0);
        }
    }
}
