//! How long to wait before the next attempt to connect: the first one comes soon, since most
//! interruptions are short, the others exponentially later up to a cap. Jitter keeps a farm from
//! coming back to a pool all at once.

use std::time::Duration;

/// Doubles the wait with every failure.
#[derive(Debug)]
pub struct Backoff {
    shortest: Duration,
    longest: Duration,
    failures: u32,
    rng: fastrand::Rng,
}

impl Backoff {
    /// Waits from `shortest` to `longest`; `seed` is for the jitter and should differ between
    /// miners.
    #[must_use]
    pub fn new(shortest: Duration, longest: Duration, seed: u64) -> Self {
        Self {
            shortest,
            longest: longest.max(shortest),
            failures: 0,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// The wait after one more failure: a tenth to a half of `shortest` after the first one,
    /// after that between half and all of `shortest`, twice as much, and so on up to `longest`.
    #[allow(clippy::should_implement_trait)] // It never ends, so it gives no `Option`.
    pub fn next(&mut self) -> Duration {
        let failures = self.failures;
        self.failures = (failures + 1).min(31);
        let Some(doublings) = failures.checked_sub(1) else {
            return self.shortest.mul_f64(0.1 + 0.4 * self.rng.f64());
        };
        let full = self.shortest.saturating_mul(1 << doublings);
        full.min(self.longest).mul_f64(0.5 + 0.5 * self.rng.f64())
    }

    /// The connection proved good: the next wait is a short one again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_start_over() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, 60 * second, 7);
        let soon = backoff.next();
        assert!(soon >= second / 10 && soon <= second / 2, "{soon:?}");
        for full in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let wait = backoff.next();
            assert!(
                wait >= full * second / 2 && wait <= full * second,
                "{wait:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= second / 2);
    }

    #[test]
    fn miners_with_different_seeds_come_back_at_different_times() {
        let wait =
            |seed| Backoff::new(Duration::from_secs(10), Duration::from_secs(60), seed).next();
        assert_ne!(wait(1), wait(2));
        assert_eq!(wait(1), wait(1));
    }

    #[test]
    fn hundreds_of_failures_do_no_harm() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60), 0);
        let last = (0..200).map(|_| backoff.next()).last();
        assert!(last <= Some(Duration::from_secs(60)));
    }
}
