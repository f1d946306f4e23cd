//! Stratum V1 as pools really speak it.
//!
//! [`Session`] is the whole client side of one pool, over all its connections. It is pure:
//! give it bytes, shares and the time, and take messages, actions and events from it. Facts
//! about pools come from recorded sessions with ckpool (2017 and 2026), public-pool, the
//! SRI translator and hydrapool, and from reading ESP-Miner and cgminer.

pub mod answer;
pub mod message;
pub mod notify;

mod bits;
mod config;
mod foreign;
mod jobs;
mod lines;
mod memory;
mod redirect;
mod request;
mod session;
mod shares;

pub use config::{Config, ConfigError, DEFAULT_AGENT, DEFAULT_VERSION_MASK, Timeouts};
pub use memory::{PoolMemory, VersionBitsForm};
pub use session::Session;
