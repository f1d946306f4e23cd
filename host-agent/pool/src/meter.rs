//! How much work accepted shares stand for, as a hashrate over the last ten minutes.

use std::collections::VecDeque;
use std::time::Duration;

/// The hashrate is averaged over this many buckets of this many seconds.
const BUCKETS: u64 = 60;
const BUCKET_S: u64 = 10;
/// Hashes that one unit of difficulty stands for.
const HASHES_PER_DIFFICULTY: f64 = 4_294_967_296.0;

/// Sums of difficulties, one for each ten seconds in which there was a share.
#[derive(Debug, Default)]
pub(crate) struct WorkMeter {
    work: VecDeque<(u64, f64)>,
}

impl WorkMeter {
    /// Counts the work of an accepted share.
    pub(crate) fn count(&mut self, now: Duration, difficulty: f64) {
        let bucket = now.as_secs() / BUCKET_S;
        match self.work.back_mut() {
            Some((last, sum)) if *last >= bucket => *sum += difficulty,
            _ => self.work.push_back((bucket, difficulty)),
        }
        while self.work.len() > BUCKETS as usize {
            self.work.pop_front();
        }
    }

    /// Hashes per second behind the accepted shares of the last ten minutes.
    pub(crate) fn hashrate_hps(&self, now: Duration) -> f64 {
        let oldest = (now.as_secs() / BUCKET_S).saturating_sub(BUCKETS);
        let recent = || self.work.iter().filter(|(bucket, _)| *bucket > oldest);
        let Some((first, _)) = recent().next() else {
            return 0.0;
        };
        let seconds = now.as_secs_f64() - (first * BUCKET_S) as f64;
        let work: f64 = recent().map(|(_, sum)| sum).sum();
        work * HASHES_PER_DIFFICULTY / seconds.max(1.0)
    }
}
