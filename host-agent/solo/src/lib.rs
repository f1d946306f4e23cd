//! Mining straight from a Bitcoin node, without any pool: `getblocktemplate` to jobs, shares to
//! blocks, blocks to the node.
//!
//! [`Session`] is a deterministic state machine: it has no sockets or files and reads no clock;
//! answers of the node, shares and the time go in, calls, blocks to be saved, jobs and events come
//! out. [`transport`] is the tokio task around it that speaks HTTP and keeps the files.
//!
//! ```text
//! node ── getblocktemplate ──▶ Template ──▶ Candidate ── Job ──▶ miner
//!      ◀─ submitblock ── Session ◀── whole block ─┘   ◀── Share ──
//!                           └── every block is saved before it is sent
//! ```
//!
//! Everything that a block stands or falls by is computed here: transaction ids, merkle branch,
//! witness commitment, coinbase. Not supported: signets whose blocks need a signature, coinbases
//! made by the node (`coinbasetxn`), and paying more than one address.

pub mod blocks;
pub mod candidate;
pub mod config;
mod http;
#[cfg(feature = "test-node")]
pub mod node;
pub mod rpc;
pub mod session;
pub mod store;
pub mod template;
pub mod transport;

pub use candidate::Candidate;
pub use config::{Auth, Config, ConfigError, DEFAULT_TAG, Timeouts};
pub use session::{Action, Session};
pub use template::{Template, TemplateError};
