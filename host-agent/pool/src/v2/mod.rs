//! The embedded Stratum V2 pool: Noise, channels, jobs and shares on the made-up chain of this crate.
//!
//! [`Core`] is as pure as the V1 pool's core: bytes and the time go in, bytes and events come out, and
//! all that looks random follows from the seed. Handshake, frames and channels are those of the
//! reference implementation's server-side crates; every share is judged a second time by this crate's
//! own hash code, and when the two do not agree the pool says so loudly ([`Event::Disagreement`]).
//! [`Quirks`] make it send what real pools rarely or never send.
//!
//! ```
//! use pool::v2::{Config, Core};
//!
//! let pool = Core::new(Config::default())?;
//! assert!(pool.url("127.0.0.1:34254").starts_with("stratum2+tcp://127.0.0.1:34254/9"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Not supported: job declaration and custom jobs, extensions, unencrypted connections.

mod authority;
mod channel;
mod config;
mod core;
mod event;
mod judge;
mod link;
mod quirks;
mod report;
mod session;
mod shared;
mod template;
mod wire;

pub use self::core::Core;
pub use authority::Authority;
pub use config::{Config, ConfigError, PayoutError};
pub use event::{ChannelInfo, ChannelKind, CloseReason, Event};
pub use judge::code;
pub use quirks::{Group, Quirk, Quirks, help_table};

pub use crate::server::{embed, serve};

/// A way to a running Stratum V2 pool.
pub type Handle = crate::server::PoolHandle<Core>;

/// The task that runs a Stratum V2 pool.
pub type Driver = crate::server::Driver<Core>;
