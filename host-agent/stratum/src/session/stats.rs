//! Counters of a session over all its connections, for the state tree and metrics.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Receipt, RejectKind};

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
    /// When the last accepted share was found to be accepted, on the session's clock.
    pub last_share: Option<Duration>,
    /// Difficulty of the best hash among accepted shares, 0 before the first.
    pub best_difficulty: f64,
    /// Shares rejected.
    pub rejected: u64,
    /// Those of them whose job was out of date or unknown.
    pub stale: u64,
    /// Rejects by kind, only kinds that occurred.
    pub rejects: Vec<RejectCount>,
    /// Shares sent that were never answered.
    pub unconfirmed: u64,
    /// Shares that were not sent.
    pub dropped: u64,
    /// Shares handed in whose fate is open: they wait to be sent or to be answered.
    pub open: u64,
    /// Blocks that the upstream is known to have taken; only solo sessions know.
    pub blocks: u64,
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

/// The counters behind [`Stats`], for those who write sessions.
#[derive(Debug, Default)]
pub struct Counters {
    /// What was counted; the session fills in what is not a matter of counting.
    pub stats: Stats,
    latencies: VecDeque<Duration>,
}

impl Counters {
    /// Counts an accepted share.
    pub fn accepted(&mut self, now: Duration, receipt: &Receipt) {
        let stats = &mut self.stats;
        stats.accepted += 1;
        stats.accepted_difficulty += receipt.difficulty;
        stats.last_share = Some(now);
        stats.best_difficulty = stats.best_difficulty.max(receipt.share.difficulty());
    }

    /// Counts a rejected share; `text` is the pool's own.
    pub fn rejected(&mut self, kind: RejectKind, text: &str) {
        self.stats.rejected += 1;
        self.stats.stale += u64::from(kind == RejectKind::Stale);
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

    /// Notes the time from a submit to its answer.
    pub fn answered_after(&mut self, latency: Duration) {
        if self.latencies.len() == LATENCIES {
            self.latencies.pop_front();
        }
        self.latencies.push_back(latency);
    }

    /// How long answers took lately; `None` before the first.
    #[must_use]
    pub fn latency(&self) -> Option<Latency> {
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
