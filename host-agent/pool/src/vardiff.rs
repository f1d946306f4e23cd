//! Variable difficulty: holds a session near a wanted number of shares a minute. It looks at the work
//! in the shares of a window rather than at their number, so a change of difficulty inside the window
//! does not bend the estimate.

use crate::target::Difficulty;
use std::time::Duration;

/// What vardiff aims at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VardiffConfig {
    /// Difficulty of a session that suggests none.
    pub start: Difficulty,
    /// Lowest difficulty ever given.
    pub min: Difficulty,
    /// Highest difficulty ever given.
    pub max: Difficulty,
    /// Shares a minute to aim at; zero or less, or not a number, switches vardiff off.
    pub shares_per_minute: f64,
    /// How long to watch before judging; a flood of shares is judged earlier.
    pub window: Duration,
}

impl Default for VardiffConfig {
    /// 20 shares a minute, from 1e-12 up, judged every 30 s.
    fn default() -> VardiffConfig {
        VardiffConfig {
            start: Difficulty::ONE,
            min: Difficulty::new(1e-12).unwrap_or(Difficulty::ONE),
            max: Difficulty::new(1e18).unwrap_or(Difficulty::ONE),
            shares_per_minute: 20.0,
            window: Duration::from_secs(30),
        }
    }
}

/// So many shares are judged at once, before the window is over: enough to know the rate to 20 %.
const ENOUGH_SHARES: u32 = 24;
/// So many are judged whatever the clock says: a miner far too fast for its difficulty would otherwise
/// send thousands within the shortest window.
const FLOOD_SHARES: u32 = 256;
/// The largest single change, up or down.
const MAX_STEP: f64 = 64.0;
/// Changes below this factor are not worth a message.
const MIN_CHANGE: f64 = 1.3;
/// A change by this factor counts however few shares there were.
const MAX_NOISE: f64 = 4.0;
/// Keeps the estimate finite when all shares of a window come in the same instant.
const SHORTEST_WINDOW: Duration = Duration::from_millis(50);

/// A window that showed nothing decisive goes on, up to this many times its length: small errors
/// become visible only over many shares.
const LONGEST_WATCH: u32 = 10;

/// The state for one session.
#[derive(Debug, Clone)]
pub struct Vardiff {
    config: VardiffConfig,
    difficulty: Difficulty,
    window_start: Duration,
    next_check: Duration,
    shares: u32,
    /// Shares since the last look, which bring the next look forward when they come in a flood.
    unseen_shares: u32,
    work: f64,
}

impl Vardiff {
    /// Starts watching at `now` with the configured start difficulty.
    pub fn new(config: VardiffConfig, now: Duration) -> Vardiff {
        Vardiff {
            config,
            difficulty: config.start.between(config.min, config.max),
            window_start: now,
            next_check: now.saturating_add(config.window),
            shares: 0,
            unseen_shares: 0,
            work: 0.0,
        }
    }

    /// The difficulty to give.
    pub fn difficulty(&self) -> Difficulty {
        self.difficulty
    }

    /// Takes the miner's wish, within the limits, and starts a new window. Returns what it became.
    pub fn suggest(&mut self, now: Duration, wish: Difficulty) -> Difficulty {
        self.difficulty = wish.between(self.config.min, self.config.max);
        self.restart(now);
        self.difficulty
    }

    /// Starts a new window without judging, for when mining (re)starts.
    pub fn restart(&mut self, now: Duration) {
        self.window_start = now;
        self.next_check = now.saturating_add(self.config.window);
        self.shares = 0;
        self.unseen_shares = 0;
        self.work = 0.0;
    }

    /// Counts an accepted share that was given `difficulty`.
    pub fn on_share(&mut self, difficulty: Difficulty) {
        self.shares = self.shares.saturating_add(1);
        self.unseen_shares = self.unseen_shares.saturating_add(1);
        self.work += difficulty.get();
    }

    /// When to call [`Vardiff::judge`] next; `None` if vardiff is off.
    pub fn next_check(&self) -> Option<Duration> {
        self.is_on().then_some(self.next_check)
    }

    /// Judges the window if it is over or full, and returns the new difficulty if it changed.
    pub fn judge(&mut self, now: Duration) -> Option<Difficulty> {
        let elapsed = now.saturating_sub(self.window_start);
        let full = self.unseen_shares >= FLOOD_SHARES
            || (self.unseen_shares >= ENOUGH_SHARES && elapsed >= SHORTEST_WINDOW);
        if !self.is_on() || (now < self.next_check && !full) {
            return None;
        }
        self.next_check = now.saturating_add(self.config.window);
        self.unseen_shares = 0;
        let seconds = elapsed.max(SHORTEST_WINDOW).as_secs_f64();
        let expected = self.config.shares_per_minute * seconds / 60.0;
        // Half a share stands for "none came": the best that a silent window tells.
        let work = if self.shares == 0 {
            self.difficulty.get() / 2.0
        } else {
            self.work
        };
        let factor = work / (expected * self.difficulty.get());
        // Three standard deviations of what a right difficulty would show by chance.
        let noise = 1.0 + 3.0 / expected.max(0.25).sqrt();
        let decisive = factor.max(1.0 / factor) >= noise.clamp(MIN_CHANGE, MAX_NOISE);
        if !factor.is_finite() || !decisive {
            if elapsed >= self.config.window.saturating_mul(LONGEST_WATCH) {
                self.restart(now);
            }
            return None;
        }
        self.restart(now);
        let wanted = self.difficulty.get() * factor.clamp(1.0 / MAX_STEP, MAX_STEP);
        let next = Difficulty::new(round_to_digits(wanted)).ok()?;
        let next = next.between(self.config.min, self.config.max);
        (next != self.difficulty).then(|| {
            self.difficulty = next;
            next
        })
    }

    fn is_on(&self) -> bool {
        self.config.shares_per_minute > 0.0 && !self.config.window.is_zero()
    }
}

/// Three significant digits: difficulties are read by people too.
fn round_to_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Mines for `minutes` with a steady `rate` in units of difficulty per second (hashes / 2^32) and
    /// exponential gaps; returns the shares of the last half.
    fn mine(vardiff: &mut Vardiff, rate: f64, minutes: u64, seed: u64) -> u32 {
        let mut random = fastrand::Rng::with_seed(seed);
        let end = Duration::from_secs(minutes * 60);
        let mut now = Duration::ZERO;
        let mut late = 0;
        let mut budget = 200_000;
        while now < end && budget > 0 {
            budget -= 1;
            let difficulty = vardiff.difficulty();
            let gap = -(1.0 - random.f64()).ln() * difficulty.get() / rate;
            let share_at = now + Duration::from_secs_f64(gap.min(1e6));
            match vardiff.next_check().filter(|check| *check < share_at) {
                Some(check) => now = check,
                None => {
                    now = share_at;
                    vardiff.on_share(difficulty);
                    late += u32::from(now > end / 2 && now < end);
                }
            }
            vardiff.judge(now);
        }
        late
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn settles_at_the_wanted_share_rate(
            rate_exponent in -9.0f64..4.0, start_exponent in -9.0f64..4.0,
            wanted in 6.0f64..90.0, seed: u64,
        ) {
            let mut vardiff = Vardiff::new(VardiffConfig {
                start: Difficulty::new(10f64.powf(start_exponent)).expect("above zero"),
                shares_per_minute: wanted,
                ..VardiffConfig::default()
            }, Duration::ZERO);
            let late = mine(&mut vardiff, 10f64.powf(rate_exponent), 60, seed);
            let per_minute = f64::from(late) / 30.0;
            prop_assert!(per_minute > wanted / 2.0 && per_minute < wanted * 2.0, "{per_minute}");
        }

        #[test]
        fn never_leaves_its_limits(shares in proptest::collection::vec((0u64..100_000, 0u32..60), 0..60)) {
            let limits = (Difficulty::new(0.5).expect("ok"), Difficulty::new(40.0).expect("ok"));
            let mut vardiff = Vardiff::new(VardiffConfig {
                min: limits.0, max: limits.1, ..VardiffConfig::default()
            }, Duration::ZERO);
            let mut now = Duration::ZERO;
            for (gap, count) in shares {
                now += Duration::from_millis(gap);
                (0..count).for_each(|_| vardiff.on_share(vardiff.difficulty()));
                vardiff.judge(now);
                prop_assert!(vardiff.difficulty() >= limits.0 && vardiff.difficulty() <= limits.1);
            }
        }
    }

    #[test]
    fn a_silent_miner_gets_easier_work() {
        let mut vardiff = Vardiff::new(VardiffConfig::default(), Duration::ZERO);
        assert_eq!(vardiff.judge(Duration::from_secs(29)), None);
        let easier = vardiff.judge(Duration::from_secs(30)).expect("a change");
        assert!(easier < Difficulty::ONE);
    }

    #[test]
    fn an_even_rate_is_left_alone() {
        let mut vardiff = Vardiff::new(VardiffConfig::default(), Duration::ZERO);
        for second in 1..600u64 {
            if second % 3 == 0 {
                vardiff.on_share(Difficulty::ONE);
            }
            assert_eq!(vardiff.judge(Duration::from_secs(second)), None);
        }
    }

    #[test]
    fn no_aim_means_no_change() {
        for shares_per_minute in [0.0, -1.0, f64::NAN] {
            let config = VardiffConfig {
                shares_per_minute,
                ..VardiffConfig::default()
            };
            let mut vardiff = Vardiff::new(config, Duration::ZERO);
            assert_eq!(vardiff.next_check(), None);
            assert_eq!(vardiff.judge(Duration::from_secs(86_400)), None);
        }
    }
}
