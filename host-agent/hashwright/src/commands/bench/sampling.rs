//! How benchmarks sample: work is timed by the CPU time of its thread, and what is to be compared
//! takes turns in many short rounds, so that other load and a changing clock hit all alike.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Something that is measured: does a small unit of its work and tells how much that was.
pub(super) type Work<'a> = Box<dyn FnMut() -> u64 + 'a>;

/// Shortest sample; below it the clock itself shows.
const SHORTEST_SAMPLE: Duration = Duration::from_millis(1);
/// Length of a sample where there is time for enough of them.
const SAMPLE: Duration = Duration::from_millis(10);
/// Least number of rounds, so that a median means something.
const LEAST_ROUNDS: u32 = 5;

/// Rates of several kinds of work, from rounds in which each had its turn.
#[derive(Clone, Debug)]
pub(super) struct Rounds(Vec<Vec<f64>>);

impl Rounds {
    /// Lets each kind of work have its turn in as many rounds as fit in about `time` of CPU time.
    pub(super) fn take(works: &mut [Work<'_>], time: Duration) -> Self {
        let kinds = works.len().max(1) as u32;
        let rounds = (time.div_duration_f64(SAMPLE * kinds) as u32).max(LEAST_ROUNDS);
        let sample = (time / (kinds * rounds)).max(SHORTEST_SAMPLE);
        for work in works.iter_mut() {
            work();
        }
        let mut rates = vec![Vec::new(); works.len()];
        for _ in 0..rounds {
            for (work, rates) in works.iter_mut().zip(&mut rates) {
                rates.push(rate(work, sample));
            }
        }
        Self(rates)
    }

    /// Median rate of one kind, units per second of CPU time.
    pub(super) fn rate(&self, kind: usize) -> f64 {
        self.0
            .get(kind)
            .map_or(0.0, |rates| median(rates.iter().copied()))
    }

    /// How many times as fast as another kind: the median of the rounds' own ratios.
    pub(super) fn ratio(&self, kind: usize, to: usize) -> f64 {
        let (Some(rates), Some(others)) = (self.0.get(kind), self.0.get(to)) else {
            return 0.0;
        };
        median(rates.iter().zip(others).map(|(rate, other)| rate / other))
    }
}

/// Latencies as people compare them, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Latency {
    /// How many were measured.
    pub(super) count: usize,
    /// Median.
    pub(super) p50_ms: f64,
    /// Nine in ten are at most that long.
    pub(super) p90_ms: f64,
    /// 99 in a hundred are at most that long.
    pub(super) p99_ms: f64,
    /// Longest.
    pub(super) max_ms: f64,
}

impl Latency {
    /// Of all these times; zeros if there are none.
    pub(super) fn of(times: &[Duration]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        // The smallest value that so many are not above.
        let at = |part: f64| {
            let rank = (part * sorted.len() as f64).ceil() as usize;
            let time = sorted.get(rank.saturating_sub(1)).copied();
            time.unwrap_or_default().as_secs_f64() * 1e3
        };
        Self {
            count: sorted.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: at(1.0),
        }
    }
}

fn rate(work: &mut Work<'_>, sample: Duration) -> f64 {
    let start = cpu_time();
    let mut units = 0;
    loop {
        units += work();
        let passed = cpu_time().saturating_sub(start);
        if passed >= sample {
            return units as f64 / passed.as_secs_f64();
        }
    }
}

/// CPU time that this thread has used.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_so_many_are_not_above() {
        let times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        let latency = Latency::of(&times);
        assert_eq!(latency.count, 200);
        assert_eq!((latency.p50_ms, latency.p90_ms), (100.0, 180.0));
        assert_eq!((latency.p99_ms, latency.max_ms), (198.0, 200.0));
    }

    #[test]
    fn no_times_are_zeros() {
        assert_eq!(Latency::of(&[]), Latency::default());
    }

    #[test]
    fn ratios_compare_rounds_not_sums() {
        // The machine was twice as slow in the second and third round.
        let rounds = Rounds(vec![vec![8.0, 4.0, 4.0], vec![2.0, 1.0, 1.0]]);
        assert_eq!(rounds.ratio(0, 1), 4.0);
        assert_eq!(rounds.rate(0), 4.0);
    }
}
