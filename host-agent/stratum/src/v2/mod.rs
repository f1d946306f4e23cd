//! Stratum V2, the client side of its mining protocol for one device: an encrypted connection,
//! one channel on it, jobs in and shares out. [`Session`] is a pure state machine: bytes, random
//! numbers and the time come in from outside.
//!
//! An extended channel is the default: the miner rolls the coinbase itself and never runs out of
//! work. On a standard channel the pool fixes the merkle root; a machine beyond some 280 TH/s then
//! has more hashes to try than one second of block time holds, and waits.
//!
//! Not supported: own selection of transactions (job declaration), protocol extensions, and
//! connections without encryption. Messages and extensions that are not known are counted and
//! ignored, as the specification asks.

mod config;
mod jobs;
mod ledger;
mod session;
mod stream;
pub mod wire;
mod words;

pub use config::{ChannelKind, Config, ConfigError, DEFAULT_VERSION_MASK, Timeouts};
pub use session::Session;

pub use crate::authority::AuthorityKey;
