//! The Hashwright miner agent: the shell around the pure rooms. It owns sockets, ports,
//! timers and tasks, and nothing else does.

pub mod api;
pub mod cli;
pub mod format;
pub mod state;
pub mod view;
