use std::fmt::Debug;
use std::ops::{ControlFlow, RangeInclusive};

use thiserror::Error;

#[cfg(target_arch = "x86_64")]
use crate::avx2::Avx2;
use crate::kernel::{self, INITIAL};
use crate::scalar::Scalar;
#[cfg(target_arch = "x86_64")]
use crate::sha_ni::ShaNi;
use crate::{Bound, Candidate, Hash, Hit, Midstate, Template};

/// One implementation of the hash, for one kind of processor.
///
/// All backends give the same results.
pub trait Backend: Debug + Send + Sync {
    /// Short name for command lines and reports, such as `scalar`.
    fn name(&self) -> &'static str;

    /// SHA-256's compression function: mixes one 64-byte block into `state`.
    fn compress(&self, state: &mut [u32; 8], block: &[u8; 64]);

    /// The header hash for one nonce.
    fn hash(&self, template: &Template, nonce: u32) -> Hash;

    /// The hash of one nonce if it meets `bound`.
    ///
    /// May be quicker than [`hash`](Backend::hash), since most nonces are refused by the
    /// last word alone.
    fn check(&self, template: &Template, nonce: u32, bound: &Bound) -> Option<Hash> {
        let hash = self.hash(template, nonce);
        bound.is_met_by(&hash).then_some(hash)
    }

    /// Hashes every candidate into the place of the same index in `hashes`.
    ///
    /// Candidates and places beyond the shorter of the two are left alone.
    fn hash_batch(&self, candidates: &[Candidate<'_>], hashes: &mut [Hash]) {
        for (candidate, hash) in candidates.iter().zip(hashes) {
            *hash = self.hash(candidate.template, candidate.nonce);
        }
    }

    /// Tries all nonces of the range in ascending order and calls `on_hit` for each one
    /// whose hash meets `bound`, until the range ends or `on_hit` breaks.
    fn scan(
        &self,
        template: &Template,
        nonces: RangeInclusive<u32>,
        bound: &Bound,
        on_hit: &mut dyn FnMut(Hit) -> ControlFlow<()>,
    ) -> ControlFlow<()>;
}

/// A handle to the backend in use; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Engine(&'static dyn Backend);

/// Why a backend cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No backend has this name in this build.
    #[error("no hash backend is called {0:?}; this build has {names}", names = names())]
    Unknown(String),
    /// The backend exists, but this processor lacks the instructions.
    #[error("this processor lacks the instructions for the hash backend {0}")]
    Unsupported(&'static str),
}

fn names() -> String {
    BACKENDS.map(|entry| entry.backend.name()).join(", ")
}

#[derive(Clone, Copy)]
struct Entry {
    backend: &'static dyn Backend,
    runs_here: fn() -> bool,
}

/// Best first. SHA-NI stands before AVX2 because it speeds up single hashes, which is what
/// checking nonces takes; for scans the two are close.
#[cfg(target_arch = "x86_64")]
const BACKENDS: [Entry; 3] = [
    Entry {
        backend: &ShaNi,
        runs_here: ShaNi::runs_here,
    },
    Entry {
        backend: &Avx2,
        runs_here: Avx2::runs_here,
    },
    SCALAR,
];
#[cfg(not(target_arch = "x86_64"))]
const BACKENDS: [Entry; 1] = [SCALAR];

const SCALAR: Entry = Entry {
    backend: &Scalar,
    runs_here: || true,
};

impl Engine {
    /// The fastest backend that this processor can run.
    #[must_use]
    pub fn best() -> Self {
        Self::available().next().unwrap_or(Self(&Scalar))
    }

    /// The backend of this name.
    ///
    /// # Errors
    ///
    /// If there is none in this build, or this processor cannot run it.
    pub fn by_name(name: &str) -> Result<Self, EngineError> {
        let entry = BACKENDS
            .into_iter()
            .find(|entry| entry.backend.name() == name)
            .ok_or_else(|| EngineError::Unknown(name.to_owned()))?;
        if (entry.runs_here)() {
            Ok(Self(entry.backend))
        } else {
            Err(EngineError::Unsupported(entry.backend.name()))
        }
    }

    /// All backends that this processor can run, fastest first.
    pub fn available() -> impl Iterator<Item = Self> {
        BACKENDS
            .into_iter()
            .filter(|entry| (entry.runs_here)())
            .map(|entry| Self(entry.backend))
    }

    /// The backend's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The backend itself.
    #[must_use]
    pub fn backend(self) -> &'static dyn Backend {
        self.0
    }

    /// The state after the first 64 bytes of a header.
    #[must_use]
    pub fn midstate(self, block: &[u8; 64]) -> Midstate {
        let mut state = INITIAL;
        self.0.compress(&mut state, block);
        Midstate(state)
    }

    /// The template of a header; the header's nonce is not looked at.
    #[must_use]
    pub fn template(self, header: &[u8; 80]) -> Template {
        let mut block = [0; 64];
        block.copy_from_slice(&header[..64]);
        let mut tail = [0; 12];
        tail.copy_from_slice(&header[64..76]);
        Template::new(self.midstate(&block), &tail)
    }

    /// The hash of a whole header.
    #[must_use]
    pub fn hash_header(self, header: &[u8; 80]) -> Hash {
        let nonce = u32::from_le_bytes([header[76], header[77], header[78], header[79]]);
        self.hash(&self.template(header), nonce)
    }

    /// The header hash for one nonce.
    #[must_use]
    pub fn hash(self, template: &Template, nonce: u32) -> Hash {
        self.0.hash(template, nonce)
    }

    /// The hash of one nonce if it meets `bound`.
    #[must_use]
    pub fn check(self, template: &Template, nonce: u32, bound: &Bound) -> Option<Hash> {
        self.0.check(template, nonce, bound)
    }

    /// Hashes every candidate into the place of the same index in `hashes`, see
    /// [`Backend::hash_batch`].
    pub fn hash_batch(self, candidates: &[Candidate<'_>], hashes: &mut [Hash]) {
        self.0.hash_batch(candidates, hashes);
    }

    /// Tries all nonces of the range in ascending order and calls `on_hit` for each hit,
    /// until the range ends or `on_hit` breaks; tells which of both it was.
    pub fn scan(
        self,
        template: &Template,
        nonces: RangeInclusive<u32>,
        bound: &Bound,
        mut on_hit: impl FnMut(Hit) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.0.scan(template, nonces, bound, &mut on_hit)
    }

    /// SHA-256 of the SHA-256 of `data`, of any length.
    #[must_use]
    pub fn sha256d(self, data: &[u8]) -> Hash {
        self.sha256(&self.sha256(data))
    }

    /// SHA-256 of `data`, of any length.
    #[must_use]
    pub fn sha256(self, data: &[u8]) -> Hash {
        let mut state = INITIAL;
        let (blocks, rest) = data.as_chunks::<64>();
        for block in blocks {
            self.0.compress(&mut state, block);
        }
        // Padding: one bit, zeros, the length in bits; it may spill into a second block.
        let mut last = [0; 64];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = 0x80;
        if rest.len() >= 56 {
            self.0.compress(&mut state, &last);
            last = [0; 64];
        }
        let bits = (data.len() as u64).wrapping_mul(8);
        last[56..].copy_from_slice(&bits.to_be_bytes());
        self.0.compress(&mut state, &last);
        kernel::to_bytes(&state)
    }
}

impl Default for Engine {
    /// The fastest backend that this processor can run.
    fn default() -> Self {
        Self::best()
    }
}
