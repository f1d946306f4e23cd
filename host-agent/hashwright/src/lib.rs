//! The Hashwright miner agent: the shell around the pure rooms. It owns sockets, ports,
//! timers and tasks, and nothing else does.

pub mod access;
pub mod agent;
pub mod api;
pub mod board;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod commands;
pub mod config;
pub mod control;
pub mod demand;
pub mod events;
pub mod faces;
pub mod fleet;
pub mod format;
pub mod machine;
pub mod outlets;
pub mod payouts;
pub mod port;
pub mod record;
pub mod replay;
pub mod settings;
pub mod shares;
pub mod simulate;
pub mod state;
pub mod stop;
pub mod tune;
pub mod upstream;
pub mod view;
pub mod web;
