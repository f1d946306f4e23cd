//! Double SHA-256 of 80-byte block headers, split at the midstate, with backends chosen at
//! run time.
//!
//! An [`Engine`] is a handle to one [`Backend`]. Everything that tests or searches nonces
//! works on a [`Template`]: the SHA-256 state after the first 64 header bytes, plus the last
//! 12 bytes in front of the nonce. The crate has no clock and no threads, and hashing
//! allocates nothing; a caller that wants rates times the calls itself.
//!
//! | backend | processor | what it does |
//! |---|---|---|
//! | `sha-ni` | x86-64 with the SHA extensions | two hashes interleaved |
//! | `avx2` | x86-64 with AVX2 and BMI | eight hashes side by side for scans and batches |
//! | `scalar` | any | one hash at a time, in plain Rust |
//!
//! All backends are tested against the `sha2` crate, the first two by emulation as well
//! (`scripts/test-sha-ni`). The speed of `sha-ni` has not been measured yet.
//!
//! ```
//! use std::ops::ControlFlow;
//! use sha256d::{Bound, Engine};
//!
//! let header = [7; 80];
//! // All hashes with at least 12 zero bits, which one in 4096 has.
//! let mut bound = [0xff; 32];
//! bound[..2].copy_from_slice(&[0x00, 0x0f]);
//!
//! let engine = Engine::best();
//! let template = engine.template(&header);
//! let mut hits = Vec::new();
//! let _ = engine.scan(&template, 0..=99_999, &Bound::from_be_bytes(bound), |hit| {
//!     hits.push(hit);
//!     if hits.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
//! });
//! assert_eq!(hits.len(), 3);
//! assert_eq!(engine.hash(&template, hits[0].nonce), hits[0].hash);
//! ```

#[cfg(target_arch = "x86_64")]
mod avx2;
mod bound;
mod engine;
mod kernel;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
mod template;

pub use bound::Bound;
pub use engine::{Backend, Engine, EngineError};
pub use template::{Candidate, Hit, Midstate, Template};

/// A SHA-256 digest in the order SHA-256 puts it out, which is the order of header bytes.
///
/// People read block hashes the other way round.
pub type Hash = [u8; 32];
