//! The API of the agent as types: the state tree, every method with its parameters, reply, role and
//! errors, and what follows from them: the OpenRPC document and `docs/rpc.md`. Server, command line
//! and other faces share it. It opens nothing and serves nothing.
#![forbid(unsafe_code)]

pub mod event;
pub mod state;

pub use state::Snapshot;
