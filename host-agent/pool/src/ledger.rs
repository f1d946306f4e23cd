//! What all sessions share: the chain and its current job, accepted headers of the current block,
//! sessions that may be resumed, events and counters.

use crate::chain::{MadeUpChain, PLAIN_VERSION, SIGNALLING_VERSION};
use crate::config::PoolConfig;
use crate::event::{Event, PoolStats};
use crate::hash::BlockHash;
use crate::meter::WorkMeter;
use crate::quirks::Quirk;
use crate::session::Grant;
use crate::share::ShareRules;
use crate::template::JobTemplate;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Events that wait to be taken.
const MAX_EVENTS: usize = 4096;
/// Accepted headers remembered for duplicates; more than a block's worth at any sane share rate.
const MAX_SEEN: usize = 100_000;
/// Lost sessions remembered for resumption.
const MAX_RESUMABLE: usize = 256;

/// A lost session, waiting for its miner to come back.
#[derive(Debug)]
pub(crate) struct Resumable {
    pub(crate) session_id: String,
    pub(crate) extranonce1: Vec<u8>,
    pub(crate) grants: VecDeque<Grant>,
    pub(crate) lost_at: Duration,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) config: PoolConfig,
    pub(crate) rules: ShareRules,
    pub(crate) chain: MadeUpChain,
    pub(crate) job: Arc<JobTemplate>,
    pub(crate) random: fastrand::Rng,
    pub(crate) stats: PoolStats,
    /// A block that a session's share solved and that the pool has not moved past yet.
    pub(crate) solved: Option<BlockHash>,
    seen: HashSet<BlockHash>,
    seen_order: VecDeque<BlockHash>,
    resumable: VecDeque<Resumable>,
    events: VecDeque<Event>,
    work: WorkMeter,
    counter: u64,
}

impl Ledger {
    pub(crate) fn new(config: PoolConfig) -> Ledger {
        let version = if config.quirks.has(Quirk::VersionBitsInJob) {
            SIGNALLING_VERSION
        } else {
            PLAIN_VERSION
        };
        let mut random = fastrand::Rng::with_seed(config.seed);
        let mut chain = MadeUpChain::new(
            random.u64(..),
            config.height,
            config.nbits,
            version,
            &config.tag,
            config.unix_start,
            config.extranonce1_size + config.extranonce2_size,
        );
        let job = Arc::new(chain.next_job(Duration::ZERO, true));
        Ledger {
            rules: config.effective_rules(),
            stats: PoolStats {
                jobs: 1,
                height: chain.height(),
                ..PoolStats::default()
            },
            chain,
            job,
            // Session ids and extranonces look alike but never repeat: a random start, then counting.
            counter: random.u64(..) & 0xffff_ff00,
            random,
            solved: None,
            seen: HashSet::new(),
            seen_order: VecDeque::new(),
            resumable: VecDeque::new(),
            events: VecDeque::new(),
            work: WorkMeter::default(),
            config,
        }
    }

    /// A new job that only the caller's session gets.
    pub(crate) fn private_job(&mut self, now: Duration, clean: bool) -> Arc<JobTemplate> {
        self.stats.jobs += 1;
        Arc::new(self.chain.next_job(now, clean))
    }

    /// A new job for everybody, on the same block.
    pub(crate) fn renew_job(&mut self, now: Duration, clean: bool) {
        self.job = self.private_job(now, clean);
        self.event(Event::NewJob {
            job_id: self.job.id.clone(),
            height: self.chain.height(),
            clean,
        });
    }

    /// Moves on to the next block and makes its first job.
    pub(crate) fn next_block(&mut self, now: Duration, solution: Option<BlockHash>) {
        self.chain.advance(solution);
        self.stats.height = self.chain.height();
        self.stats.blocks_seen += u64::from(solution.is_none());
        self.seen.clear();
        self.seen_order.clear();
        self.renew_job(now, true);
    }

    /// Remembers an accepted header; false if it is known already.
    pub(crate) fn remember(&mut self, hash: BlockHash) -> bool {
        if !self.seen.insert(hash) {
            return false;
        }
        self.seen_order.push_back(hash);
        if self.seen_order.len() > MAX_SEEN {
            self.seen_order
                .pop_front()
                .map(|oldest| self.seen.remove(&oldest));
        }
        true
    }

    /// An extranonce1 that no session had before (as far as its size allows).
    pub(crate) fn new_extranonce1(&mut self) -> Vec<u8> {
        self.counter = self.counter.wrapping_add(1);
        let size = usize::from(self.config.extranonce1_size);
        let mut bytes = vec![0; size.saturating_sub(8)];
        bytes.extend(&self.counter.to_be_bytes()[8 - size.min(8)..]);
        bytes
    }

    pub(crate) fn new_session_id(&mut self) -> String {
        self.counter = self.counter.wrapping_add(1);
        format!("{:08x}", self.counter & 0xffff_ffff)
    }

    /// Takes out the lost session of this id, if it may still be resumed.
    pub(crate) fn resume(&mut self, now: Duration, session_id: &str) -> Option<Resumable> {
        let keep = self.config.resume_for;
        self.resumable
            .retain(|lost| now.saturating_sub(lost.lost_at) <= keep);
        if self.config.quirks.has(Quirk::NoResume) {
            return None;
        }
        let found = |lost: &Resumable| lost.session_id == session_id;
        let index = self.resumable.iter().position(found)?;
        self.resumable.remove(index)
    }

    pub(crate) fn keep_for_resumption(&mut self, lost: Resumable) {
        if self.resumable.len() >= MAX_RESUMABLE {
            self.resumable.pop_front();
        }
        self.resumable.push_back(lost);
    }

    pub(crate) fn event(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
            self.stats.events_lost += 1;
        }
        self.events.push_back(event);
    }

    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Counts the work of an accepted share.
    pub(crate) fn count_work(&mut self, now: Duration, difficulty: f64) {
        self.stats.accepted_work += difficulty;
        self.work.count(now, difficulty);
    }

    /// Hashes per second behind the accepted shares of the last ten minutes.
    pub(crate) fn hashrate_hps(&self, now: Duration) -> f64 {
        self.work.hashrate_hps(now)
    }
}
