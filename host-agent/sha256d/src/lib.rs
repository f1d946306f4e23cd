//! Double SHA-256 of 80-byte block headers, split at the midstate, with backends chosen at
//! run time.
//!
//! An [`Engine`] is a handle to one [`Backend`]. Everything that tests or searches nonces
//! works on a [`Template`]: the SHA-256 state after the first 64 header bytes, plus the last
//! 12 bytes in front of the nonce. The crate has no clock, no threads and no allocation; a
//! caller that wants rates times the calls itself.

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
