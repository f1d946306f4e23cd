//! What counters prove: rates of Poisson counts with their doubt, sequential tests with stated error rates, and when a
//! temperature has come to rest. Nothing here knows boards.

use std::time::Duration;

/// A rate learned from counts: gamma distributed, because counts are Poisson.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    shape: f64,
    exposure: f64,
}

impl Rate {
    /// Nothing seen yet: Jeffreys' prior.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shape: 0.5,
            exposure: 0.0,
        }
    }

    /// A prior with this mean that counts as much as `events` events.
    #[must_use]
    pub fn with_prior(mean: f64, events: f64) -> Self {
        let events = events.max(1e-3);
        Self {
            shape: events,
            exposure: events / mean.max(1e-12),
        }
    }

    /// Counts `events` during `exposure` in any unit, of time or of expected events.
    pub fn count(&mut self, events: f64, exposure: f64) {
        if events.is_finite() && exposure.is_finite() && events >= 0.0 && exposure >= 0.0 {
            self.shape += events;
            self.exposure += exposure;
        }
    }

    /// Forgets all but the share `keep` of what was seen.
    pub fn forget(&mut self, keep: f64) {
        let keep = keep.clamp(0.0, 1.0);
        self.shape = 0.5 + (self.shape - 0.5).max(0.0) * keep;
        self.exposure *= keep;
    }

    /// Posterior mean; none before anything was seen.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.exposure > 0.0).then(|| self.shape / self.exposure)
    }

    /// Posterior standard deviation.
    #[must_use]
    pub fn sd(&self) -> Option<f64> {
        (self.exposure > 0.0).then(|| self.shape.sqrt() / self.exposure)
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self::new()
    }
}

/// A sequential probability ratio test (Wald) between two Poisson rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sprt {
    /// Rate if something is wrong over the rate if all is well.
    ratio: f64,
    accept_wrong: f64,
    accept_well: f64,
    llr: f64,
}

/// What a test says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough seen.
    Open,
    /// All is well, wrong with the second stated probability at most.
    Well,
    /// The rate has changed, wrong with the first stated probability at most.
    Changed,
}

impl Sprt {
    /// A test for a rate that is `ratio` times the expected one, with the probabilities of a false alarm and of a miss.
    #[must_use]
    pub fn new(ratio: f64, false_alarm: f64, miss: f64) -> Self {
        let (alpha, beta) = (false_alarm.clamp(1e-12, 0.5), miss.clamp(1e-12, 0.5));
        Self {
            ratio: ratio.clamp(1e-6, 1e6),
            accept_wrong: ((1.0 - beta) / alpha).ln(),
            accept_well: (beta / (1.0 - alpha)).ln(),
            llr: 0.0,
        }
    }

    /// Counts `events` where `expected` were expected. After [`Verdict::Well`] it starts again by itself.
    pub fn count(&mut self, events: f64, expected: f64) -> Verdict {
        if events.is_finite() && expected.is_finite() && events >= 0.0 && expected >= 0.0 {
            self.llr += events * self.ratio.ln() + expected * (1.0 - self.ratio);
        }
        if self.llr >= self.accept_wrong {
            Verdict::Changed
        } else if self.llr <= self.accept_well {
            self.llr = 0.0;
            Verdict::Well
        } else {
            Verdict::Open
        }
    }

    /// Log-likelihood ratio so far.
    #[must_use]
    pub fn llr(&self) -> f64 {
        self.llr
    }

    /// Ratio at which a change is taken as proved.
    #[must_use]
    pub fn limit(&self) -> f64 {
        self.accept_wrong
    }

    /// Starts again.
    pub fn reset(&mut self) {
        self.llr = 0.0;
    }
}

/// Tells whether a temperature has come to rest: two exponential means of different length agree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steady {
    fast: f64,
    slow: f64,
    last: Option<Duration>,
    since: Duration,
}

impl Steady {
    /// Time constants of the two means, s; the heat of a board needs 20 to 60 s.
    const FAST_S: f64 = 8.0;
    const SLOW_S: f64 = 25.0;
    /// Agreement that counts as rest, K: above the step of usual sensors' noise, below a tenth of a usual change.
    const REST_K: f64 = 0.35;

    /// Nothing seen.
    #[must_use]
    pub fn new() -> Self {
        Self {
            fast: 0.0,
            slow: 0.0,
            last: None,
            since: Duration::ZERO,
        }
    }

    /// Takes a reading; true when it has been at rest for a while.
    pub fn read(&mut self, now: Duration, celsius: f64) -> bool {
        if !celsius.is_finite() {
            return false;
        }
        let Some(last) = self.last else {
            *self = Self {
                fast: celsius,
                slow: celsius,
                last: Some(now),
                since: now,
            };
            return false;
        };
        let dt = now.saturating_sub(last).as_secs_f64();
        self.last = Some(now);
        self.fast += (celsius - self.fast) * (1.0 - (-dt / Self::FAST_S).exp());
        self.slow += (celsius - self.slow) * (1.0 - (-dt / Self::SLOW_S).exp());
        if (self.fast - self.slow).abs() > Self::REST_K {
            self.since = now;
        }
        now.saturating_sub(self.since).as_secs_f64() > Self::SLOW_S
    }
}

impl Default for Steady {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_doubt_shrinks_with_the_root_of_counts() {
        let mut rate = Rate::new();
        assert_eq!(rate.mean(), None);
        rate.count(10_000.0, 500.0);
        assert!((rate.mean().unwrap() - 20.0).abs() < 0.01);
        assert!((rate.sd().unwrap() / 20.0 - 0.01).abs() < 1e-4);
    }

    /// A small deterministic Poisson source by inversion.
    fn poisson(state: &mut u64, mean: f64) -> f64 {
        let (mut count, mut product) = (0.0, 1.0);
        loop {
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            product *= (*state >> 11) as f64 / (1_u64 << 53) as f64;
            if product < (-mean).exp() {
                return count;
            }
            count += 1.0;
        }
    }

    #[test]
    fn sequential_test_keeps_its_error_rates() {
        let mut state = 7;
        let mut run = |rate: f64| {
            let mut test = Sprt::new(0.8, 0.02, 0.05);
            loop {
                match test.count(poisson(&mut state, rate), 1.0) {
                    Verdict::Open => {}
                    verdict => return verdict,
                }
            }
        };
        let alarms = (0..2000).filter(|_| run(1.0) == Verdict::Changed).count();
        let misses = (0..2000).filter(|_| run(0.8) == Verdict::Well).count();
        // Wald's bounds, with three standard deviations for 2000 runs.
        assert!(alarms as f64 / 2000.0 < 0.02 + 0.0094, "{alarms}");
        assert!(misses as f64 / 2000.0 < 0.05 + 0.0147, "{misses}");
    }

    #[test]
    fn heat_comes_to_rest_after_its_time_constants() {
        let mut steady = Steady::new();
        let at_rest = (0..600).find(|&s| {
            let celsius = 60.0 - 30.0 * (-f64::from(s) / 40.0).exp();
            steady.read(Duration::from_secs(s.try_into().unwrap()), celsius)
        });
        let s = at_rest.unwrap();
        // The change left over by then is below 1 K.
        assert!((120..400).contains(&s), "{s}");
    }
}
