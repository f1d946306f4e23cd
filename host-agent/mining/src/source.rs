//! The source that cuts jobs into work without ever making the same header twice, and gives each
//! upstream its part of the hashing time.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::assignment::Assignment;
use crate::header;
use crate::job::Job;
use crate::turns::Turns;
use crate::version::VersionMask;
use crate::work::{EXTRANONCE2_MAX, Partition, Work};

/// How far work's time may run ahead of its job's, in seconds. ckpool refuses shares above
/// 7000 s; others take 7200 s, which is also what the network allows.
const NTIME_ROOM: u64 = 7000;

/// How many jobs that are no longer worked on are remembered, in case that they come again.
const REMEMBERED: usize = 16;

/// Why there is no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WorkError {
    /// Nothing is assigned.
    #[error("there is no job yet")]
    NoJob,
    /// Every extranonce2 has been used at this second, or there is none to choose; there is new work
    /// in the next second.
    #[error("the job gives no new header until the next second")]
    Exhausted,
    /// The job's extranonce2 has a length that cannot be used.
    #[error("the job asks for an extranonce2 of {0} bytes, but 1 to 16 are possible")]
    Extranonce2Length(usize),
    /// There are more chains than extranonce2 values, and this chain is one without.
    #[error(
        "an extranonce2 of {extranonce2_len} bytes has no value left for chain {} of {}",
        .partition.index(), .partition.count()
    )]
    NoRoom {
        /// Length of the job's extranonce2 in bytes.
        extranonce2_len: usize,
        /// The chain's part.
        partition: Partition,
    },
    /// The job has nothing to part but version bits, which are too few for all chains.
    #[error(
        "the pool fixes the merkle root and lets {bits} version bits be rolled, which is too little for chain {} of {}; use an extended channel",
        .partition.index(), .partition.count()
    )]
    NoVersions {
        /// How many version bits may be rolled.
        bits: u32,
        /// The chain's part.
        partition: Partition,
    },
}

/// Cuts the jobs of an assignment into work for one chain.
///
/// The extranonce2 counter never restarts and is one for all jobs, so that a job that comes again, after a
/// resumed session for instance, gives new headers. Only when a tiny extranonce2 has gone round is
/// a value used again, and then with a later time. (What was made of a job is remembered until 16
/// others have been worked on since; it takes an extranonce2 of one byte, or none, to notice.)
///
/// With several lots, each gets turns so that its part of the hashing time is that of its weight.
/// Time counts as it passes, from one work to the next, so an early replacement biases nothing; at any
/// moment a lot is ahead or behind by about one turn at most.
#[derive(Clone, Debug)]
pub struct WorkSource {
    partition: Partition,
    counter: u128,
    assignment: Arc<Assignment>,
    lots: Vec<Lot>,
    /// Why there is no work of some lots, each said once.
    unusable: Vec<WorkError>,
    turns: Turns,
    turn: Option<Turn>,
    spaces: Vec<Space>,
}

/// A lot that there can be work of.
#[derive(Clone, Debug)]
struct Lot {
    job: Arc<Job>,
    weight: u32,
    /// The coinbase; its extranonce2 bytes are overwritten for each work.
    coinbase: Vec<u8>,
    /// Position in `WorkSource::spaces`.
    space: usize,
}

/// All headers that jobs of the same content lead to, and which of them have been made.
#[derive(Clone, Debug)]
struct Space {
    job: Arc<Job>,
    /// Where the counter stood when the extranonce2 values started over.
    start: u128,
    /// Time of the newest work.
    newest: Option<u32>,
    /// Where the counter stood at the newest work.
    used: u128,
}

/// What the chips are working on.
#[derive(Clone, Debug)]
struct Turn {
    job: Arc<Job>,
    /// Time has been counted up to here.
    counted: Duration,
    /// When the next turn begins.
    ends: Duration,
    /// When the chips have been through all headers of the work.
    dry: Duration,
    /// The work goes on with what is left of an earlier turn of the same lot.
    resumed: bool,
}

impl WorkSource {
    /// A source for one chain, with nothing assigned.
    #[must_use]
    pub fn new(partition: Partition) -> Self {
        Self {
            partition,
            counter: 0,
            assignment: Arc::default(),
            lots: Vec::new(),
            unusable: Vec::new(),
            turns: Turns::default(),
            turn: None,
            spaces: Vec::new(),
        }
    }

    /// Takes an assignment; all later work is made of it. With no lot in it that there can be work of,
    /// chips are taken to rest from now on.
    pub fn set_assignment(&mut self, now: Duration, assignment: Arc<Assignment>) {
        self.count(now);
        let mut lots: Vec<Lot> = Vec::new();
        let mut unusable = Vec::new();
        for lot in &assignment.lots {
            let job = &lot.job;
            let known = |known: &Lot| known.job.session == job.session;
            if lot.weight == 0 || !assignment.accepts(job) || lots.iter().any(known) {
                continue;
            }
            if let Err(error) = check(job, self.partition) {
                unusable.push(error);
                continue;
            }
            lots.push(Lot {
                job: Arc::clone(job),
                weight: lot.weight,
                coinbase: coinbase(job),
                space: self.space(job, &lots),
            });
        }
        self.turns
            .set(lots.iter().map(|lot| (lot.job.session, lot.weight)));
        if lots.is_empty() {
            self.turn = None;
        }
        self.lots = lots;
        self.unusable = unusable;
        self.assignment = assignment;
    }

    /// Whether work is assigned, even if there can be none of it for this chain.
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        !self.lots.is_empty() || !self.unusable.is_empty()
    }

    /// Among how many lots time is shared out.
    #[must_use]
    pub fn lots(&self) -> usize {
        self.lots.len()
    }

    /// The version bits that may be rolled on work of every lot.
    #[must_use]
    pub fn common_mask(&self) -> VersionMask {
        let common = self.lots.iter().fold(u32::MAX, |common, lot| {
            let rollable = VersionMask::new(lot.job.rollable_mask());
            let own = match lot.job.fixed_root {
                Some(_) => self.partition.versions(rollable).map(|(_, own)| own),
                None => Some(rollable),
            };
            common & own.unwrap_or_default().bits()
        });
        VersionMask::new(common)
    }

    /// Why there is no work of some of the lots assigned; their time goes to the others.
    #[must_use]
    pub fn unusable(&self) -> &[WorkError] {
        &self.unusable
    }

    /// Whether shares of the newest work are not wanted any more, so that other work should
    /// take its place at once.
    #[must_use]
    pub fn newest_is_void(&self) -> bool {
        let turn = self.turn.as_ref();
        turn.is_some_and(|turn| !self.assignment.accepts(&turn.job))
    }

    /// Whether the chips have been through all headers of the newest work at `now`.
    #[must_use]
    pub fn newest_is_used_up(&self, now: Duration) -> bool {
        self.turn.as_ref().is_none_or(|turn| now >= turn.dry)
    }

    /// Makes the next work. Its time is the job's plus the whole seconds since the job
    /// arrived (7000 at most), and never earlier than that of the work before.
    ///
    /// Work that takes the place of void work of the same upstream has the rest of its turn.
    ///
    /// # Errors
    ///
    /// If nothing is assigned, or there is no new header at this moment. A lot whose turn it is and
    /// whose work the chips still have headers of does not lose it to another one: then too
    /// there is nothing new.
    pub fn next_work(&mut self, now: Duration) -> Result<Work, WorkError> {
        self.count(now);
        let void = self.newest_is_void();
        let before = self.turn.as_ref().map(|turn| turn.job.session);
        let rest = self
            .turn
            .as_ref()
            .filter(|turn| void && now < turn.ends)
            .map(|turn| turn.ends);
        let mut tried = Vec::new();
        while tried.len() < self.lots.len() {
            let heir = before.filter(|session| {
                rest.is_some() && tried.is_empty() && self.position(*session).is_some()
            });
            let next = heir.or_else(|| self.turns.next(|session| !tried.contains(&session)));
            let Some((session, position)) =
                next.and_then(|next| Some((next, self.position(next)?)))
            else {
                break;
            };
            if let Some(work) = self.work_of(position, now) {
                let resumed = heir.and(rest);
                self.turn = Some(Turn {
                    job: Arc::clone(&work.job),
                    counted: now,
                    ends: resumed.unwrap_or(now),
                    dry: Duration::MAX,
                    resumed: resumed.is_some(),
                });
                for skipped in tried {
                    self.turns.forfeit(skipped);
                }
                return Ok(work);
            }
            if before == Some(session) && !void && !self.newest_is_used_up(now) {
                break;
            }
            tried.push(session);
        }
        match self.unusable.first() {
            _ if !self.lots.is_empty() => Err(WorkError::Exhausted),
            Some(error) => Err(*error),
            None => Err(WorkError::NoJob),
        }
    }

    /// Tells how long the chips take over the newest work, which reached them at `now`: when there should
    /// be new work, and when they have been through it. Returns the moment when the next work is
    /// due; it is earlier if the work has only the rest of a turn.
    pub fn begin_turn(&mut self, now: Duration, length: Duration, lasts: Duration) -> Duration {
        let end = now.saturating_add(length);
        let several = self.lots.len() > 1;
        let Some(turn) = &mut self.turn else {
            return end;
        };
        turn.dry = now.saturating_add(lasts);
        if turn.resumed && several {
            turn.ends = turn.ends.min(end);
        } else {
            turn.ends = end;
            self.turns.set_turn(length);
        }
        turn.ends
    }

    fn position(&self, session: u64) -> Option<usize> {
        self.lots.iter().position(|lot| lot.job.session == session)
    }

    /// Counts the time since the newest work, as far as the chips had something to do.
    fn count(&mut self, now: Duration) {
        if let Some(turn) = &mut self.turn {
            let time = now.min(turn.dry).saturating_sub(turn.counted);
            turn.counted = turn.counted.max(now);
            self.turns.charge(turn.job.session, time);
        }
    }

    /// Work of a lot, if it has a new header at this moment.
    fn work_of(&mut self, position: usize, now: Duration) -> Option<Work> {
        let lot = self.lots.get_mut(position)?;
        let space = self.spaces.get_mut(lot.space)?;
        let job = &lot.job;
        let elapsed = now.saturating_sub(job.received).as_secs().min(NTIME_ROOM);
        let mut ntime = job.ntime.saturating_add(elapsed as u32);
        let values = match job.fixed_root {
            Some(_) => 1,
            None => self.partition.values(job.extranonce2_len),
        };
        match space.newest {
            None => space.start = self.counter,
            Some(newest) => {
                ntime = ntime.max(newest);
                if self.counter.wrapping_sub(space.start) >= values {
                    // The values start over, which gives new headers only at a later time than
                    // all work so far.
                    if ntime <= newest {
                        return None;
                    }
                    space.start = self.counter;
                }
            }
        }
        let rollable = VersionMask::new(job.rollable_mask());
        let (extranonce2, merkle_root, fixed, rollable) = if let Some(root) = job.fixed_root {
            let (fixed, rollable) = self.partition.versions(rollable)?;
            (Vec::new(), root, fixed, rollable)
        } else {
            let len = job.extranonce2_len;
            let extranonce2 = self.partition.extranonce2(self.counter, len)?;
            let at = job.coinbase1.len() + job.extranonce1.len();
            lot.coinbase
                .get_mut(at..at + len)?
                .copy_from_slice(&extranonce2);
            let hash = header::coinbase_hash(&lot.coinbase);
            let root = header::merkle_root(hash, &job.merkle_branch);
            (extranonce2, root, 0, rollable)
        };
        space.newest = Some(ntime);
        space.used = self.counter;
        self.counter = self.counter.wrapping_add(1);
        Some(Work {
            extranonce2,
            merkle_root,
            ntime,
            version: job.version | fixed,
            rollable_mask: rollable.bits(),
            job: Arc::clone(job),
        })
    }

    /// The place of a job's headers, beside those of the lots at work and of `lots`, which are kept.
    fn space(&mut self, job: &Arc<Job>, lots: &[Lot]) -> usize {
        let known = |space: &Space| same_headers(&space.job, job);
        if let Some(position) = self.spaces.iter().position(known) {
            return position;
        }
        let space = Space {
            job: Arc::clone(job),
            start: self.counter,
            newest: None,
            used: self.counter,
        };
        let in_use: Vec<usize> = lots.iter().chain(&self.lots).map(|lot| lot.space).collect();
        if self.spaces.len() >= REMEMBERED + in_use.len() {
            let oldest = (0..self.spaces.len())
                .filter(|position| !in_use.contains(position))
                .min_by_key(|&position| self.spaces[position].used);
            if let Some(oldest) = oldest {
                self.spaces[oldest] = space;
                return oldest;
            }
        }
        self.spaces.push(space);
        self.spaces.len() - 1
    }
}

/// Whether there can be work of a job for this part.
fn check(job: &Job, partition: Partition) -> Result<(), WorkError> {
    let extranonce2_len = job.extranonce2_len;
    if job.fixed_root.is_some() {
        let rollable = VersionMask::new(job.rollable_mask());
        partition.versions(rollable).ok_or(WorkError::NoVersions {
            bits: rollable.bits().count_ones(),
            partition,
        })?;
    } else if !(1..=EXTRANONCE2_MAX).contains(&extranonce2_len) {
        return Err(WorkError::Extranonce2Length(extranonce2_len));
    } else if partition.values(extranonce2_len) == 0 {
        return Err(WorkError::NoRoom {
            extranonce2_len,
            partition,
        });
    }
    Ok(())
}

/// The coinbase with zeros for the extranonce2.
fn coinbase(job: &Job) -> Vec<u8> {
    if job.fixed_root.is_some() {
        return Vec::new();
    }
    let ours = vec![0; job.extranonce2_len];
    [&job.coinbase1, &job.extranonce1, &ours, &job.coinbase2]
        .into_iter()
        .flatten()
        .copied()
        .collect()
}

/// Whether two jobs lead to the same headers for the same extranonce2 and time.
fn same_headers(a: &Job, b: &Job) -> bool {
    a.prev_hash == b.prev_hash
        && a.coinbase1 == b.coinbase1
        && a.extranonce1 == b.extranonce1
        && a.extranonce2_len == b.extranonce2_len
        && a.coinbase2 == b.coinbase2
        && a.merkle_branch == b.merkle_branch
        && a.fixed_root == b.fixed_root
        && a.version == b.version
        && a.nbits == b.nbits
}
