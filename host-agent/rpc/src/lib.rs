//! The API of the agent as types: the state tree, every method with its parameters, reply, role and
//! errors, and what follows from them: the OpenRPC document and `docs/rpc.md`. Server, command line
//! and other faces share it. It opens nothing and serves nothing.
#![forbid(unsafe_code)]

pub mod auth;
pub mod docs;
pub mod error;
pub mod event;
pub mod history;
pub mod method;
pub mod openrpc;
pub mod patch;
pub mod query;
pub mod role;
pub mod settings;
pub mod state;
pub mod stream;
pub mod tuner;
pub mod write;

pub use error::Error;
pub use method::{Kind, Method, Subscription};
pub use query::NoParams;
pub use role::Role;
pub use state::Snapshot;
pub use write::Write;
