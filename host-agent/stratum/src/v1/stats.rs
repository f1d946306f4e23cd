//! Counters of a session over all its connections, for the state tree and metrics.

use std::collections::VecDeque;
use std::time::Duration;

use super::answer::RejectKind;

/// Where a session stands, and what it has counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// `unused`, `connecting`, `handshake`, `mining` or `retrying`.
    pub state: &'static str,
    /// Why the last connection ended, until the next one mines.
    pub problem: Option<String>,
    /// Last message that the pool asked us to show.
    pub message: Option<String>,
    /// Share difficulty in force for the current job, 0 before the first one.
    pub difficulty: f64,
    /// Version bits that may be rolled.
    pub version_mask: u32,
    /// The current job's id.
    pub job_id: Option<String>,
    /// Jobs taken from the pool.
    pub jobs: u64,
    /// Connections that came about.
    pub connects: u64,
    /// Connections on which the pool gave us our extranonce back.
    pub resumes: u64,
    /// Submits sent, repeated ones included.
    pub submitted: u64,
    /// Shares accepted.
    pub accepted: u64,
    /// Sum of the difficulties of accepted shares.
    pub accepted_difficulty: f64,
    /// Shares rejected.
    pub rejected: u64,
    /// Rejects by kind, only kinds that occurred.
    pub rejects: Vec<RejectCount>,
    /// Shares sent that were never answered.
    pub unconfirmed: u64,
    /// Shares that were not sent.
    pub dropped: u64,
    /// Times from submit to answer of the last shares; `None` before the first answer.
    pub latency: Option<Latency>,
    /// Methods of the pool that we do not know, and answers to nothing.
    pub ignored: u64,
    /// Events that the shell did not fetch in time.
    pub lost_events: u64,
}

/// Rejects of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectCount {
    /// The kind.
    pub kind: RejectKind,
    /// How often.
    pub count: u64,
    /// The pool's words, last seen.
    pub text: String,
}

/// Answer times of the last 256 shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half of the answers came within this.
    pub median: Duration,
    /// Nine of ten came within this.
    pub p90: Duration,
    /// 99 of 100 came within this.
    pub p99: Duration,
}

/// Answer times that are kept.
const LATENCIES: usize = 256;

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) stats: Stats,
    latencies: VecDeque<Duration>,
}

impl Counters {
    pub(crate) fn accepted(&mut self, difficulty: f64) {
        self.stats.accepted += 1;
        self.stats.accepted_difficulty += difficulty;
    }

    pub(crate) fn rejected(&mut self, kind: RejectKind, text: &str) {
        self.stats.rejected += 1;
        let rejects = &mut self.stats.rejects;
        match rejects.iter_mut().find(|reject| reject.kind == kind) {
            Some(reject) => {
                reject.count += 1;
                text.clone_into(&mut reject.text);
            }
            None => rejects.push(RejectCount {
                kind,
                count: 1,
                text: text.to_owned(),
            }),
        }
    }

    pub(crate) fn answered_after(&mut self, latency: Duration) {
        if self.latencies.len() == LATENCIES {
            self.latencies.pop_front();
        }
        self.latencies.push_back(latency);
    }

    pub(crate) fn latency(&self) -> Option<Latency> {
        let mut sorted: Vec<Duration> = self.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        // The smallest value that at least this many per cent do not exceed.
        let rank = |percent: usize| sorted[((last + 1) * percent).div_ceil(100) - 1];
        Some(Latency {
            median: rank(50),
            p90: rank(90),
            p99: rank(99),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut counters = Counters::default();
        assert_eq!(counters.latency(), None);
        counters.answered_after(Duration::from_millis(7));
        let only = Duration::from_millis(7);
        assert_eq!(
            counters.latency(),
            Some(Latency {
                median: only,
                p90: only,
                p99: only
            })
        );
        let mut counters = Counters::default();
        // 1..=100 ms, with older values that must have been forgotten.
        (0..300).for_each(|_| counters.answered_after(Duration::from_secs(9)));
        (0..256).for_each(|ms| counters.answered_after(Duration::from_millis(1 + ms % 128)));
        let latency = counters.latency().unwrap();
        assert_eq!(latency.median, Duration::from_millis(64));
        assert_eq!(latency.p90, Duration::from_millis(116));
        assert_eq!(latency.p99, Duration::from_millis(127));
    }

    #[test]
    fn rejects_of_a_kind_are_counted_together_with_the_last_words() {
        let mut counters = Counters::default();
        counters.rejected(RejectKind::Stale, "Job not found");
        counters.rejected(RejectKind::Stale, "Invalid JobID");
        assert_eq!(
            counters.stats.rejects,
            [RejectCount {
                kind: RejectKind::Stale,
                count: 2,
                text: "Invalid JobID".into()
            }]
        );
    }
}
