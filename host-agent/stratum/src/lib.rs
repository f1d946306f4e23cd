//! Upstream sessions: where jobs come from and shares go to.
//!
//! A [`Session`] is the client side of one upstream as a deterministic state machine: it has no
//! sockets and reads no clock; bytes, shares and the time go in, messages, jobs and events come
//! out. [`v1`] is Stratum V1 as one, `v2` (with the feature `sv2`) Stratum V2. [`transport`] is
//! the thin tokio task around a session that moves bytes and time and decides nothing.
//!
//! ```text
//! pool ── bytes ──▶ Session ── Job ──▶ miner
//!      ◀─ message ─    │    ◀── Share ──
//!                      └── events, statistics ──▶ state tree
//! ```

pub mod authority;
pub mod backoff;
pub mod sequence;
pub mod session;
pub mod strategy;
pub mod text;
pub mod transport;
pub mod url;
pub mod v1;
#[cfg(feature = "sv2")]
pub mod v2;

pub use authority::{AuthorityKey, KeyError};
pub use sequence::Sequence;
pub use session::{
    Action, Block, BlockFate, Event, Latency, Opening, Reason, Receipt, Refusal, RejectCount,
    RejectKind, Session, Stats,
};
pub use text::Secret;
pub use url::{PoolUrl, Scheme, UrlError};
