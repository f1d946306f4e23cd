//! Templates become jobs here, and shares are judged.

use std::sync::Arc;
use std::time::Duration;

use mining::{Difficulty, Share, Target};
use stratum::session::Receipt;
use stratum::{Event, Reason, Refusal, RejectKind};

use super::{Entry, Link, Session};
use crate::blocks;
use crate::candidate::{Candidate, EXTRANONCE2_LEN, Stamp};
use crate::rpc::{self, Fault, Lane, Method, Reply};
use crate::template::Template;
use mining::header;

/// Jobs that are remembered, for shares that come late. Each holds a whole block.
const MAX_JOBS: usize = 6;
/// Time between shares that the share target aims at, seconds.
const SHARE_INTERVAL: f64 = 6.0;
/// A job's time can be advanced by some two hours; long before that it is made anew.
const JOB_AGE: Duration = Duration::from_secs(600);
/// Changes of the hashrate that are worth a new share target, as a factor.
const RETARGET_FACTOR: f64 = 1.25;
/// Between new share targets.
const RETARGET_PAUSE: Duration = Duration::from_secs(5);
/// Between looks at a tip that the node should have left behind.
const HELD_PAUSE: Duration = Duration::from_millis(500);
/// Between trial blocks while nothing else makes one necessary.
const TRIAL_PAUSE: Duration = Duration::from_secs(3600);
const TRIAL_RETRY: Duration = Duration::from_secs(60);
/// The node refuses our blocks: somebody has to do something.
const UNFIT_WAIT: Duration = Duration::from_secs(30);

/// The target that gives a share every six seconds at this rate.
pub(super) fn share_target(hashes_per_second: f64) -> Target {
    // Difficulty 1 takes 2^48 / 0xffff hashes.
    let hashes = hashes_per_second * SHARE_INTERVAL;
    Difficulty::new(hashes * 65535.0 / 2f64.powi(48)).map_or(Target::MAX, Target::from_difficulty)
}

impl Session {
    /// Hands in a share. One that is a block is on its way at once, any other is judged here.
    ///
    /// # Errors
    ///
    /// If it is no share of any job; then it is counted as dropped and forgotten.
    pub fn submit(&mut self, now: Duration, share: Share) -> Result<(), Refusal> {
        self.advance(now);
        let outcome = self.judge(share);
        if outcome.is_err() {
            self.counters.stats.dropped += 1;
        }
        self.work();
        outcome
    }

    /// `asked` is when the question was sent.
    pub(super) fn take_template(&mut self, asked: Duration, template: Template) {
        if !matches!(self.link, Link::Asking | Link::Up) {
            return;
        }
        self.longpollid.clone_from(&template.moment.longpollid);
        self.template_came();
        if self.link == Link::Asking {
            self.came_up();
        }
        if let Some(held) = self.held {
            if held.prev_hash == template.prev_hash && self.now < held.until {
                self.schedule.template = self.now.saturating_add(HELD_PAUSE);
                return;
            }
            self.held = None;
        }
        if let Some(newest) = self.book.back() {
            let voids = template.voids(newest.candidate.template());
            if voids && self.mining && asked < self.tip_since {
                // An answer from before the newest block, which was longer on its way.
                self.schedule.template = self.now;
                return;
            }
            let age = self.now.saturating_sub(newest.job.received);
            if self.mining && age < JOB_AGE && *newest.candidate.template() == template {
                self.schedule.void = None;
                return;
            }
        }
        let tag = self.config.coinbase_tag.as_bytes();
        match Candidate::new(template, &self.script, tag, &self.extranonce1) {
            Ok(candidate) => self.give_out(Arc::new(candidate)),
            Err(error) => self.fail(Reason::Rpc(error.to_string()), UNFIT_WAIT, false),
        }
    }

    /// The share target of the newest job shall follow the hashrate.
    pub(super) fn plan_retarget(&mut self) {
        let Some(newest) = self.book.back().filter(|_| self.mining) else {
            return;
        };
        let wanted = self.share_target(newest.job.nbits).difficulty();
        let ratio = wanted / newest.job.target.difficulty();
        let close = (1.0 / RETARGET_FACTOR..RETARGET_FACTOR).contains(&ratio);
        let earliest = newest.job.received.saturating_add(RETARGET_PAUSE);
        self.schedule.retarget = (!close).then(|| earliest.max(self.now));
    }

    pub(super) fn retarget(&mut self) {
        self.schedule.retarget = None;
        if !self.mining {
            return;
        }
        if let Some(newest) = self.book.back() {
            let candidate = Arc::clone(&newest.candidate);
            self.give_out(candidate);
        }
    }

    pub(super) fn trial_answered(&mut self, reply: Result<Reply, Fault>) {
        match reply {
            Ok(Reply::Verdict(Some(words))) if is_serious(&words) => {
                self.schedule.trial = self.now;
                let reason = format!(
                    "it would refuse our blocks ({words}), so there is nothing to be gained by \
                     mining on it; please report this with the version of the node"
                );
                self.fail(Reason::Rpc(reason), UNFIT_WAIT, false);
            }
            Ok(_) => {}
            Err(Fault::Connection(_) | Fault::Busy(_)) => {
                self.schedule.trial = self.now.saturating_add(TRIAL_RETRY);
            }
            Err(_) => self.knows.trials = false,
        }
    }

    /// The first good template on this connection.
    fn came_up(&mut self) {
        self.link = Link::Up;
        self.backoff.reset();
        self.schedule.void = None;
        self.schedule.long_poll = self.now;
        self.counters.stats.problem = None;
        let resumed = std::mem::replace(&mut self.resumed, true);
        self.counters.stats.resumes += u64::from(resumed);
        self.tell(Event::Subscribed { resumed });
        self.tell(Event::Authorized);
    }

    fn give_out(&mut self, candidate: Arc<Candidate>) {
        let template = candidate.template();
        let before = self.book.back();
        let clean =
            !self.mining || before.is_none_or(|entry| template.voids(entry.candidate.template()));
        let old = before.map(|entry| (entry.job.target, entry.job.rollable_mask()));
        if clean {
            self.generation = self.sequence.next_generation();
            self.tip_since = self.now;
            self.schedule.long_poll = self.now;
        }
        self.counters.stats.jobs += 1;
        let target = self.share_target(template.nbits);
        let mut job = candidate.job(Stamp {
            session: self.number,
            id: &format!("{}.{}", template.height, self.counters.stats.jobs),
            generation: self.generation,
            target,
            received: self.now,
        });
        if let Some(entry) = before.filter(|entry| Arc::ptr_eq(&entry.candidate, &candidate)) {
            // The template is as old as before, and so is its time.
            job.ntime = entry.job.ntime;
            let passed = self.now.saturating_sub(entry.job.received).as_secs();
            job.ntime = job.ntime.saturating_add(passed as u32);
        }
        let job = Arc::new(job);
        let mask = job.rollable_mask();
        if self.book.len() == MAX_JOBS {
            self.book.pop_front();
        }
        self.book.push_back(Entry {
            job: Arc::clone(&job),
            candidate,
        });
        self.mining = true;
        self.schedule.void = None;
        self.schedule.retarget = None;
        if old.map(|(target, _)| target) != Some(target) {
            self.tell(Event::Difficulty(target.difficulty()));
        }
        if old.map(|(_, mask)| mask) != Some(mask) {
            self.tell(Event::VersionMask(mask));
        }
        self.tell(Event::Job(job));
        if clean {
            self.try_out();
        }
    }

    /// Shows the node a block like ours without its proof of work: an error in it shall not come
    /// out only when a real one is found.
    fn try_out(&mut self) {
        if !self.knows.trials || self.schedule.trial > self.now || !self.is_free(Lane::Trial) {
            return;
        }
        let Some(entry) = self.book.back() else {
            return;
        };
        self.schedule.trial = self.now.saturating_add(TRIAL_PAUSE);
        let template = entry.candidate.template();
        let extranonce2 = [0; EXTRANONCE2_LEN];
        let header = header::assemble(
            template.version,
            &template.prev_hash,
            &entry.candidate.merkle_root(&extranonce2),
            entry.job.ntime,
            template.nbits,
            0,
        );
        let hex = blocks::to_hex(&entry.candidate.block(&header, &extranonce2));
        let workid = template.workid.clone();
        let id = self.next_call();
        let body = rpc::trial_call(id, &hex, workid.as_deref());
        let timeout = self.config.timeouts.submit;
        self.call(id, Lane::Trial, Method::Trial, body, timeout);
    }

    fn judge(&mut self, share: Share) -> Result<(), Refusal> {
        if share.job.session != self.number {
            return Err(Refusal::OtherSession);
        }
        let entry = self.book.iter().find(|entry| entry.job.id == share.job.id);
        let entry = entry.ok_or(Refusal::UnknownJob)?;
        let proof = entry.candidate.prove(&share)?;
        let current = self.mining && share.job.generation == self.generation;
        if proof.is_block {
            let candidate = Arc::clone(&entry.candidate);
            return self.found(&candidate, &proof.header, share);
        }
        if self.is_done_with(&share.job.prev_hash) {
            return Err(Refusal::UnknownJob);
        }
        self.counters.stats.submitted += 1;
        let receipt = self.receipt(share, Duration::ZERO, false);
        if current {
            self.counters.accepted(self.now, &receipt);
            self.tell(Event::ShareAccepted(Box::new(receipt)));
        } else {
            let text = "a newer block is known";
            self.counters.rejected(RejectKind::Stale, text);
            self.tell(Event::ShareRejected {
                receipt: Box::new(receipt),
                kind: RejectKind::Stale,
                text: text.to_owned(),
            });
        }
        Ok(())
    }

    pub(super) fn receipt(&self, share: Share, latency: Duration, resent: bool) -> Receipt {
        Receipt {
            difficulty: share.job.target.difficulty(),
            share,
            latency,
            resent,
        }
    }

    /// Whether a block of ours stands on that tip, or is about to: nothing more is to be had there.
    pub(super) fn is_done_with(&self, prev_hash: &[u8; 32]) -> bool {
        let pending = self.blocks.iter().filter_map(|block| block.share.as_ref());
        self.solved.contains(prev_hash)
            || pending
                .into_iter()
                .any(|share| share.job.prev_hash == *prev_hash)
            || self
                .held
                .is_some_and(|held| held.prev_hash == *prev_hash && self.now < held.until)
    }
}

/// Whether the node's words about a trial block say that real ones would be refused. Others come
/// from the moment: a new block arrived meanwhile, or clocks differ.
fn is_serious(words: &str) -> bool {
    words.starts_with("bad-") || words.starts_with("unexpected-witness") || words == "rejected"
}
