//! The embedded pool: a Stratum V1 server with real share checking, for demos and tests.
//!
//! [`PoolCore`] has no sockets and reads no clock: bytes and the time go in, messages and events come
//! out, and the same seed and input give the same output. [`serve`] and [`embed`] wrap it in a tokio
//! task. Every share is rebuilt to a header and hashed by code of this crate's own, independent of the
//! miner's; the chain behind the jobs is made up. [`Quirks`] turn it into the pools that differ, and
//! into the ones that are broken.
//!
//! Not supported: TLS, Stratum V2, payouts, real block templates.

mod chain;
mod config;
mod engine;
mod event;
mod hash;
mod ledger;
mod outbox;
mod quirks;
mod server;
mod session;
mod share;
mod target;
mod template;
mod vardiff;
mod wire;

pub use chain::{MAINNET_LIKE_NBITS, REGTEST_NBITS};
pub use config::{ConfigError, PoolConfig};
pub use engine::{ConnectError, PoolCore};
pub use event::{CloseReason, ConnectionId, ConnectionInfo, Event, PoolStats, RejectCounts};
pub use hash::BlockHash;
pub use quirks::{Argument, Group, Quirk, QuirkError, Quirks, help_table};
pub use server::{Driver, PoolHandle, embed, serve};
pub use share::{
    Reject, RejectedShare, Share, ShareRules, ShareTerms, Submit, VersionForm, check_share,
    rebuild_share,
};
pub use target::{BadDifficulty, Difficulty, Target, share_difficulty};
pub use template::{JobTemplate, NotifyError};
pub use vardiff::{Vardiff, VardiffConfig};
