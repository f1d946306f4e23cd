//! The embedded pool: a Stratum V1 server with real share checking, for demos and tests.
//!
//! [`PoolCore`] has no sockets and reads no clock: bytes and the time go in, messages and events come
//! out, and the same seed and input give the same output. [`serve`] and [`embed`] wrap it in a tokio
//! task. Every share is rebuilt to a header and hashed by code of this crate's own, independent of the
//! miner's; the chain behind the jobs is made up. [`Quirks`] turn it into the pools that differ, and
//! into the ones that are broken.
//!
//! ```
//! use pool::{ConnectionId, PoolConfig, PoolCore};
//! use std::time::Duration;
//!
//! let mut pool = PoolCore::new(PoolConfig::demo(1, 1_767_225_600))?;
//! let (miner, now) = (ConnectionId(1), Duration::from_secs(3));
//! pool.connect(now, miner)?;
//! pool.handle_bytes(now, miner, b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n");
//! let (to, answer) = pool.poll_transmit().expect("the subscription");
//! assert_eq!(to, miner);
//! assert!(answer.ends_with(b"\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `sv2` there is a Stratum V2 pool beside it, module `v2`, on the same made-up chain.
//!
//! Not supported: TLS, payouts, real block templates.

mod chain;
mod config;
mod engine;
mod event;
mod hash;
mod ledger;
mod meter;
mod outbox;
mod quirks;
mod report;
mod server;
mod session;
mod share;
mod switches;
mod target;
mod template;
#[cfg(feature = "sv2")]
pub mod v2;
mod vardiff;
mod wire;

pub use chain::{MAINNET_LIKE_NBITS, REGTEST_NBITS};
pub use config::{ConfigError, PoolConfig};
pub use engine::{ConnectError, PoolCore};
pub use event::{CloseReason, ConnectionId, ConnectionInfo, Event, PoolStats, RejectCounts};
pub use hash::BlockHash;
pub use quirks::{Group, Quirk, Quirks, help_table};
pub use server::{Driver, PoolHandle, Served, embed, serve};
pub use share::{
    Reject, RejectedShare, Share, ShareRules, ShareTerms, Submit, VersionForm, check_share,
    rebuild_share,
};
pub use switches::{Argument, QuirkError, Switch, Switches};
pub use target::{BadDifficulty, Difficulty, Target, share_difficulty};
pub use template::{JobTemplate, NotifyError};
pub use vardiff::{Vardiff, VardiffConfig};
