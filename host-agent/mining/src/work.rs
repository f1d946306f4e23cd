//! Work: a job with one extranonce2 and one time chosen, which is what a chip gets; and the part of
//! all work that is one chain's.

use std::sync::Arc;

use sha256d::{Engine, Midstate, Template};
use thiserror::Error;

use crate::header;
use crate::job::Job;
use crate::version::VersionMask;

/// The longest extranonce2 that a job may ask for.
pub(crate) const EXTRANONCE2_MAX: usize = 16;

/// One chain's part of the extranonce2 values: chain `index` of `count` uses the values
/// `index`, `index + count`, `index + 2·count` and so on. Where the upstream has fixed the merkle root
/// there is no extranonce2, and chains part the version bits instead, see [`versions`](Self::versions).
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

    /// This part of the versions that `mask` can make, for jobs that differ in nothing else: the
    /// version bits that are set for this chain, and those that it may roll. The highest bits of the mask, as many
    /// as it takes to count the chains, hold the chain's number. `None` if they are too few for it.
    #[must_use]
    pub fn versions(self, mask: VersionMask) -> Option<(u32, VersionMask)> {
        let mut bits = mask.bits();
        let mut fixed = 0;
        let needed = u32::BITS - (self.count - 1).leading_zeros();
        let mut rest = self.index;
        for _ in 0..needed {
            let Some(highest) = bits.checked_ilog2() else {
                break;
            };
            bits &= !(1 << highest);
            fixed |= (rest & 1) << highest;
            rest >>= 1;
        }
        (rest == 0).then_some((fixed, VersionMask::new(bits)))
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

/// The greatest number that fits in `len` bytes.
fn greatest_value(len: usize) -> u128 {
    match len {
        0 => 0,
        1..EXTRANONCE2_MAX => (1 << (8 * len)) - 1,
        _ => u128::MAX,
    }
}
