//! What the chips work on: when new work is due, and how it goes out.

use std::time::Duration;

use bm13xx::{HeaderJob, JobFormat};
use mining::{Work, WorkError};

use super::{CHIP_MASK, Phase, Purpose, Session};

/// Part of the version epoch after which new work is due; the rest covers timers and the line.
const EPOCH_SHARE: f64 = 0.9;
/// Timers of the shell are good to a millisecond. Work that is due every few of these is sent one
/// early, so that chips never run dry.
const TIMER: Duration = Duration::from_millis(1);
/// How soon to look again when a job has no header left to give.
const EXHAUSTED_RETRY: Duration = Duration::from_millis(20);
/// Longest turn while several upstreams share the chain. Each has then had its part of a minute to
/// within a hundredth of the minute.
const SHARED_TURN: Duration = Duration::from_millis(500);
/// Turns may become this short for the sake of version bits that all upstreams allow.
const SHORTENED_TURN: Duration = Duration::from_millis(50);
/// How long nothing more is said about jobs that give no work for the same reason.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(600);
/// Reasons that are remembered as told.
const COMPLAINTS: usize = 8;

impl Session {
    pub(super) fn wants_work(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Mining) && self.source.is_assigned()
    }

    pub(super) fn send_work_if_due(&mut self, now: Duration) -> bool {
        let due = self.work_wanted || self.work_due.is_some_and(|due| now >= due);
        if !self.wants_work() || !due {
            return false;
        }
        self.work_wanted = false;
        match self.source.next_work(now) {
            Ok(work) => {
                self.send(now, work);
                true
            }
            Err(error) => {
                if self.source.newest_is_void() || self.source.newest_is_used_up(now) {
                    // Chips that have nothing new to find are not silent.
                    self.last_nonce = (self.last_nonce + EXHAUSTED_RETRY).min(now);
                    self.complain(now, "no new header to work on", error);
                }
                self.work_due = Some(now + EXHAUSTED_RETRY);
                false
            }
        }
    }

    /// Says which of several upstreams get no work from this chain.
    pub(super) fn complain_of_unusable(&mut self, now: Duration) {
        if self.source.lots() > 0 {
            for error in self.source.unusable().to_vec() {
                self.complain(now, "one of the pools gets no work from this chain", error);
            }
        }
    }

    fn complain(&mut self, now: Duration, what: &str, error: WorkError) {
        self.complaints
            .retain(|(_, told)| now.saturating_sub(*told) < COMPLAINT_PAUSE);
        if self.complaints.len() < COMPLAINTS && self.complaints.iter().all(|(e, _)| *e != error) {
            self.complaints.push((error, now));
            self.warn(format!("{what}: {error}"));
        }
    }

    pub(super) fn send(&mut self, now: Duration, mut work: Work) {
        let model = self.model();
        if model.job_format == JobFormat::Header && self.source.lots() > 1 {
            // A mask that serves all lots is not written anew at each turn, which would make chips start
            // the versions of the job before over.
            let own = work.rollable_mask & CHIP_MASK;
            let common = self.source.common_mask().bits() & own;
            let least = self.work_interval(own).min(SHORTENED_TURN);
            if self.work_interval(common) >= least {
                work.rollable_mask = common;
            }
        }
        let mask = work.rollable_mask & CHIP_MASK;
        if model.job_format == JobFormat::Header && self.chip_mask != Some(mask) {
            let frame = self.plan.set_version_mask(mask);
            self.write(now, &frame);
            self.chip_mask = Some(mask);
        }
        // One midstate takes as long as a job whose version may not be rolled.
        let rolled = match model.job_format {
            JobFormat::Midstate if work.midstate_count() == 1 => 0,
            _ => mask,
        };
        let interval = self.work_interval(rolled);
        let lasts = self.plan.version_epoch_with(self.fastest(), rolled);
        let frame = match model.job_format {
            JobFormat::Header => {
                let job = HeaderJob {
                    version: work.version,
                    prev_hash: work.job.prev_hash,
                    merkle_root: work.merkle_root,
                    ntime: work.ntime,
                    nbits: work.job.nbits,
                };
                let slot = self.slots.insert(work);
                self.plan.header_job(slot, &job)
            }
            JobFormat::Midstate => {
                let midstates = work.midstates();
                let (tail, ntime, nbits) = (work.merkle_tail(), work.ntime, work.job.nbits);
                let slot = self.slots.insert(work);
                self.plan.midstate_job(slot, &midstates, tail, ntime, nbits)
            }
        };
        self.write(now, &frame);
        // In this order the chips do not begin the old job again.
        if self.paused {
            self.resume(now);
        }
        self.jobs_sent += 1;
        // Counted from the due time, not from now, so that timer jitter does not add up; a late
        // chain does not try to catch up.
        let from = self
            .work_due
            .filter(|due| *due <= now && *due + interval > now)
            .unwrap_or(now);
        let length = (from + interval).saturating_sub(now);
        self.work_due = Some(self.source.begin_turn(now, length, lasts));
        if self.phase == Phase::Idle {
            self.enter(Phase::Mining);
            self.last_nonce = now;
            if self.offsets_written {
                self.start_counting(now);
            } else if self.running.is_none() {
                self.begin(now, Purpose::Offsets);
            }
        }
    }

    /// Time until the chips need new work at the present clock; zero if they use it up so fast that
    /// only a line that is never idle keeps them busy.
    pub(super) fn work_interval(&self, mask: u32) -> Duration {
        let epoch = self.plan.version_epoch_with(self.fastest(), mask);
        let longest = match self.source.lots() {
            0 | 1 => self.settings.max_work_interval,
            _ => self.settings.max_work_interval.min(SHARED_TURN),
        };
        let interval = epoch.mul_f64(EPOCH_SHARE).min(longest);
        if interval > 10 * TIMER {
            interval
        } else if interval > 2 * TIMER {
            interval - TIMER
        } else {
            Duration::ZERO
        }
    }

    /// How many sub-cores hash the same headers because the job leaves too few version bits for each to
    /// have its own. They find their nonces together, and only one of them counts.
    pub(super) fn twins(&self) -> f64 {
        let model = self.model();
        let mask = self.chip_mask.unwrap_or(CHIP_MASK);
        match model.job_format {
            JobFormat::Midstate => 1.0,
            JobFormat::Header => {
                let versions = 2f64.powi(mask.count_ones() as i32);
                (f64::from(model.sub_cores) / versions).max(1.0)
            }
        }
    }

    /// Makes the chips rest until there is work again. The BM1397 has no way to; it repeats its
    /// last job, and what it finds is not counted.
    pub(super) fn pause(&mut self, now: Duration) {
        if let Some(frame) = self.plan.pause() {
            self.write(now, &frame);
            self.paused = true;
        }
    }

    pub(super) fn resume(&mut self, now: Duration) {
        self.wake(now);
        self.paused = false;
    }
}
