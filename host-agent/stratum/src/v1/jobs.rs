//! The jobs that shares may still be sent for, and what a new job does to them.

use std::collections::VecDeque;
use std::sync::Arc;

use mining::{Difficulty, Job, Share, Target};

use super::message::Extranonce;
use super::notify::Notify;

/// What the session adds to a pool's job.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) session: u64,
    pub(crate) extranonce: Extranonce,
    pub(crate) difficulty: Difficulty,
    pub(crate) version_mask: u32,
}

/// A job that is still good, with the difficulty that its shares are worth.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) job: Arc<Job>,
    pub(crate) difficulty: f64,
}

/// Jobs since the last clean one. ckpool keeps taking shares for all of them.
#[derive(Debug, Default)]
pub(crate) struct JobBook {
    known: VecDeque<Known>,
    /// Ids of the last jobs, for those that a pool announces twice.
    recent: VecDeque<String>,
    current: Option<Known>,
}

/// Jobs that are kept.
const MAX_KNOWN: usize = 64;
/// Job ids in which an announcement counts as repeated, as ESP-Miner has it.
const MAX_RECENT: usize = 16;

impl JobBook {
    pub(crate) fn current(&self) -> Option<&Known> {
        self.current.as_ref()
    }

    /// Makes a job of an announcement and works with it from now on. `None` if the pool has
    /// announced the very same already and the terms are the same as well.
    ///
    /// If it `voids` older work, shares are taken only for this very job from now on, and
    /// `generation` is asked for a number.
    pub(crate) fn announce(
        &mut self,
        notify: &Notify,
        voids: bool,
        terms: &Terms,
        now: std::time::Duration,
        generation: impl FnOnce() -> u64,
    ) -> Option<Arc<Job>> {
        let target = Target::from_difficulty(terms.difficulty);
        let mut job = Job {
            session: terms.session,
            id: notify.id.clone(),
            generation: self
                .current
                .as_ref()
                .map_or(0, |known| known.job.generation),
            prev_hash: notify.prev_hash,
            coinbase1: notify.coinbase1.clone(),
            extranonce1: terms.extranonce.extranonce1.clone(),
            extranonce2_len: terms.extranonce.extranonce2_len,
            coinbase2: notify.coinbase2.clone(),
            merkle_branch: notify.merkle_branch.clone(),
            fixed_root: None,
            version: notify.version,
            version_mask: terms.version_mask,
            nbits: notify.nbits,
            ntime: notify.ntime,
            target,
            received: now,
        };
        let twin = self
            .known
            .iter()
            .rev()
            .find(|known| same_work(&known.job, &job));
        if let Some(twin) = twin {
            // The time since the first announcement has been used already.
            job.received = twin.job.received;
        }
        let repeated =
            self.recent.contains(&job.id) && twin.is_some_and(|twin| twin.job.target == target);
        // Said twice, "clean" voids nothing more.
        let nothing_older = self.known.iter().all(|known| same_work(&known.job, &job));
        if repeated && (!voids || nothing_older) {
            return None;
        }
        if voids {
            self.known.clear();
            self.recent.clear();
            job.generation = generation();
        }
        // An id that comes again with other content names only the new job from now on.
        self.known
            .retain(|known| known.job.id != job.id || same_work(&known.job, &job));
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(job.id.clone());
        Some(self.enter(job, terms.difficulty.get()))
    }

    /// The current job once more under another version mask.
    pub(crate) fn remask(&mut self, version_mask: u32) -> Option<Arc<Job>> {
        let Known { job, difficulty } = self.current.clone()?;
        if job.version_mask == version_mask {
            return None;
        }
        let mut job = Job::clone(&job);
        job.version_mask = version_mask;
        Some(self.enter(job, difficulty))
    }

    /// The job of a share, if shares may still be sent for it.
    pub(crate) fn find(&self, share: &Share) -> Option<&Known> {
        let very = |known: &&Known| Arc::ptr_eq(&known.job, &share.job);
        let same = |known: &&Known| {
            known.job.session == share.job.session && same_work(&known.job, &share.job)
        };
        let mut newest_first = self.known.iter().rev();
        self.known
            .iter()
            .find(very)
            .or_else(|| newest_first.find(same))
    }

    /// On a new connection ids start over, but jobs may stay good.
    pub(crate) fn forget_announcements(&mut self) {
        self.recent.clear();
    }

    /// Drops all jobs; true if there was work to stop.
    pub(crate) fn clear(&mut self) -> bool {
        self.known.clear();
        self.recent.clear();
        self.current.take().is_some()
    }

    fn enter(&mut self, job: Job, difficulty: f64) -> Arc<Job> {
        let job = Arc::new(job);
        let known = Known {
            job: Arc::clone(&job),
            difficulty,
        };
        if self.known.len() == MAX_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(known.clone());
        self.current = Some(known);
        job
    }
}

/// Whether two jobs give the same headers under the same name.
fn same_work(one: &Job, other: &Job) -> bool {
    one.id == other.id
        && one.prev_hash == other.prev_hash
        && one.ntime == other.ntime
        && one.nbits == other.nbits
        && one.version == other.version
        && one.extranonce1 == other.extranonce1
        && one.extranonce2_len == other.extranonce2_len
        && one.coinbase1 == other.coinbase1
        && one.coinbase2 == other.coinbase2
        && one.merkle_branch == other.merkle_branch
}
