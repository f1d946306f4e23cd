//! Work: a job with one extranonce2 and one time chosen, which is what a chip gets; and the
//! source that cuts a job into work without ever making the same header twice.

use std::sync::Arc;
use std::time::Duration;

use sha256d::{Engine, Midstate, Template};
use thiserror::Error;

use crate::header;
use crate::job::Job;
use crate::version::VersionMask;

/// How far work's time may run ahead of its job's, in seconds. ckpool refuses shares above
/// 7000 s; others take 7200 s, which is also what the network allows.
const NTIME_ROOM: u64 = 7000;

/// The longest extranonce2 that a job may ask for.
const EXTRANONCE2_MAX: usize = 16;

/// One chain's part of the extranonce2 values: chain `index` of `count` uses the values
/// `index`, `index + count`, `index + 2·count` and so on.
///
/// Parts are disjoint only while all chains agree on `count`, so it should be the greatest
/// number of chains that there may ever be, and stay so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    index: u32,
    count: u32,
}

impl Partition {
    /// Everything, for a single chain.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The part of chain `index`, counted from 0, of `count` chains.
    ///
    /// # Errors
    ///
    /// If there is no such chain.
    pub fn new(index: u32, count: u32) -> Result<Self, PartitionError> {
        if index < count {
            Ok(Self { index, count })
        } else {
            Err(PartitionError { index, count })
        }
    }

    /// Which chain this is, counted from 0.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// How many chains there are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.count
    }

    /// How many extranonce2 values of `len` bytes belong to this part. Only for 16 bytes
    /// and one chain does the number not fit; then it is one less.
    #[must_use]
    pub fn values(self, len: usize) -> u128 {
        let greatest = greatest_value(len);
        match greatest.checked_sub(u128::from(self.index)) {
            Some(room) => (room / u128::from(self.count)).saturating_add(1),
            None => 0,
        }
    }

    /// The value number `counter` of this part as `len` bytes, little-endian. The counter
    /// wraps where the part's values end. `None` if the part has no value of this length.
    #[must_use]
    pub fn extranonce2(self, counter: u128, len: usize) -> Option<Vec<u8>> {
        let step = counter.checked_rem(self.values(len))?;
        let value = step * u128::from(self.count) + u128::from(self.index);
        let mut bytes = value.to_le_bytes().to_vec();
        bytes.resize(len, 0);
        Some(bytes)
    }
}

/// A chain that a partition does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no chain {index} among {count}; they are counted from 0")]
pub struct PartitionError {
    /// The chain asked for.
    pub index: u32,
    /// How many chains there are.
    pub count: u32,
}

/// A job with extranonce2 and time chosen: everything of a header but its nonce and the
/// rolled bits of its version.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// The job that it is part of.
    pub job: Arc<Job>,
    /// Our part of the extranonce, `job.extranonce2_len` bytes.
    pub extranonce2: Vec<u8>,
    /// Merkle root in header byte order.
    pub merkle_root: [u8; 32],
    /// Header time, seconds since 1970.
    pub ntime: u32,
    /// Header version before rolling.
    pub version: u32,
    /// Version bits that may be rolled; all are zero in `version`.
    pub rollable_mask: u32,
}

impl Work {
    /// The header for a version and a nonce.
    #[must_use]
    pub fn header(&self, version: u32, nonce: u32) -> [u8; 80] {
        header::assemble(
            version,
            &self.job.prev_hash,
            &self.merkle_root,
            self.ntime,
            self.job.nbits,
            nonce,
        )
    }

    /// The header for a version, ready to be hashed with any nonce.
    #[must_use]
    pub fn template(&self, engine: Engine, version: u32) -> Template {
        engine.template(&self.header(version, 0))
    }

    /// The last four bytes of the merkle root, which stand behind the midstate's block.
    #[must_use]
    pub fn merkle_tail(&self) -> [u8; 4] {
        let [.., a, b, c, d] = self.merkle_root;
        [a, b, c, d]
    }

    /// The version of midstate number `index`: `index` steps above the unrolled one.
    #[must_use]
    pub fn midstate_version(&self, index: u8) -> u32 {
        VersionMask::new(self.rollable_mask).nth(self.version, index)
    }

    /// How many midstates a midstate job of this work has: 4, or 1 if the mask does not
    /// give four different versions.
    #[must_use]
    pub fn midstate_count(&self) -> u8 {
        match VersionMask::new(self.rollable_mask).unique_versions() {
            0..4 => 1,
            _ => 4,
        }
    }

    /// The midstates for chips that take them instead of headers, one per version.
    #[must_use]
    pub fn midstates(&self) -> Midstates {
        let engine = Engine::best();
        let len = self.midstate_count();
        let mut states = [[0; 8]; 4];
        for (index, state) in (0..len).zip(&mut states) {
            let Midstate(words) = self.template(engine, self.midstate_version(index)).midstate;
            *state = words;
        }
        Midstates { states, len }
    }
}

/// One or four SHA-256 states after a header's first 64 bytes, words a to h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Midstates {
    states: [[u32; 8]; 4],
    len: u8,
}

impl std::ops::Deref for Midstates {
    type Target = [[u32; 8]];

    fn deref(&self) -> &[[u32; 8]] {
        &self.states[..usize::from(self.len)]
    }
}

/// Why there is no work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WorkError {
    /// No job has been set yet.
    #[error("there is no job yet")]
    NoJob,
    /// Every extranonce2 has been used at this second; there is new work in the next one.
    #[error("every extranonce2 of the job is used up until the next second")]
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
}

/// Cuts jobs into work for one chain.
///
/// The extranonce2 counter never restarts, so that a job that comes again, after a resumed
/// session for instance, gives new headers. Only when a tiny extranonce2 has gone round is
/// a value used again, and then with a later time. (If another job came in between, that is
/// no longer remembered; it takes an extranonce2 of one byte to notice.)
#[derive(Clone, Debug)]
pub struct WorkSource {
    partition: Partition,
    counter: u128,
    current: Option<Current>,
    cleared: bool,
}

#[derive(Clone, Debug)]
struct Current {
    job: Arc<Job>,
    /// The coinbase; its extranonce2 bytes are overwritten for each work.
    coinbase: Vec<u8>,
    /// Extranonce2 values given out since they last started over.
    used: u128,
    /// Time of the newest work made of these headers.
    newest: Option<u32>,
}

impl WorkSource {
    /// A source for one chain, without a job.
    #[must_use]
    pub fn new(partition: Partition) -> Self {
        Self {
            partition,
            counter: 0,
            current: None,
            cleared: false,
        }
    }

    /// Takes a job; all later work is made of it.
    pub fn set_job(&mut self, job: Arc<Job>) {
        let again = self
            .current
            .take()
            .filter(|old| same_headers(&old.job, &job));
        let mut coinbase = Vec::new();
        if (1..=EXTRANONCE2_MAX).contains(&job.extranonce2_len) {
            coinbase.extend_from_slice(&job.coinbase1);
            coinbase.extend_from_slice(&job.extranonce1);
            coinbase.resize(coinbase.len() + job.extranonce2_len, 0);
            coinbase.extend_from_slice(&job.coinbase2);
        }
        self.cleared = false;
        self.current = Some(Current {
            job,
            coinbase,
            used: again.as_ref().map_or(0, |old| old.used),
            newest: again.and_then(|old| old.newest),
        });
    }

    /// The job that work is made of.
    #[must_use]
    pub fn job(&self) -> Option<&Arc<Job>> {
        let current = self.current.as_ref().filter(|_| !self.cleared)?;
        Some(&current.job)
    }

    /// Takes the job away: no work until there is another one, or this one again.
    pub fn clear_job(&mut self) {
        self.cleared = true;
    }

    /// Makes the next work. Its time is the job's plus the whole seconds since the job
    /// arrived (7000 at most), and never earlier than that of the work before.
    ///
    /// # Errors
    ///
    /// If there is no job, or no extranonce2 that could be used at this moment.
    pub fn next_work(&mut self, now: Duration) -> Result<Work, WorkError> {
        let current = match &mut self.current {
            Some(current) if !self.cleared => current,
            _ => return Err(WorkError::NoJob),
        };
        let job = &current.job;
        let len = job.extranonce2_len;
        if !(1..=EXTRANONCE2_MAX).contains(&len) {
            return Err(WorkError::Extranonce2Length(len));
        }
        let extranonce2 =
            self.partition
                .extranonce2(self.counter, len)
                .ok_or(WorkError::NoRoom {
                    extranonce2_len: len,
                    partition: self.partition,
                })?;

        let elapsed = now.saturating_sub(job.received).as_secs().min(NTIME_ROOM);
        let mut ntime = job.ntime.saturating_add(elapsed as u32);
        if let Some(newest) = current.newest {
            ntime = ntime.max(newest);
        }
        if current.used >= self.partition.values(len) {
            // The values start over, which gives new headers only at a later time than all
            // work so far.
            if current.newest.is_some_and(|newest| ntime <= newest) {
                return Err(WorkError::Exhausted);
            }
            current.used = 0;
        }

        let at = job.coinbase1.len() + job.extranonce1.len();
        current.coinbase[at..at + len].copy_from_slice(&extranonce2);
        let merkle_root =
            header::merkle_root(header::coinbase_hash(&current.coinbase), &job.merkle_branch);
        current.used += 1;
        current.newest = Some(ntime);
        self.counter = self.counter.wrapping_add(1);
        Ok(Work {
            extranonce2,
            merkle_root,
            ntime,
            version: job.version,
            rollable_mask: job.rollable_mask(),
            job: Arc::clone(job),
        })
    }
}

/// Whether two jobs lead to the same headers for the same extranonce2 and time.
fn same_headers(a: &Job, b: &Job) -> bool {
    a.prev_hash == b.prev_hash
        && a.coinbase1 == b.coinbase1
        && a.extranonce1 == b.extranonce1
        && a.extranonce2_len == b.extranonce2_len
        && a.coinbase2 == b.coinbase2
        && a.merkle_branch == b.merkle_branch
        && a.version == b.version
        && a.nbits == b.nbits
}

/// The greatest number that fits in `len` bytes.
fn greatest_value(len: usize) -> u128 {
    match len {
        0 => 0,
        1..EXTRANONCE2_MAX => (1 << (8 * len)) - 1,
        _ => u128::MAX,
    }
}
