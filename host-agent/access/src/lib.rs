//! Who may ask the agent what: tokens and their roles, pairing by code, lock-out, rate limits, and what
//! is written down about it.
//!
//! This crate opens no files and sockets and reads no clock: whoever asks, what they show and the time go
//! in, and who they are or why they are refused comes out. The program keeps the files and
//! speaks TLS.

mod address;
pub mod audit;
mod book;
mod bucket;
mod gate;
mod identity;
mod lockout;
mod pairing;
mod refusal;
mod time;
mod token;

pub use address::Peer;
pub use book::{Book, BookError, MAX_NAME, MAX_REVOKED, MAX_TOKENS, Record, Revoked, good_name};
pub use bucket::Rate;
pub use gate::{Gate, Limits, Policy};
pub use identity::{Identity, Origin};
pub use pairing::{CODE_VALID, Code, MAX_WRONG_CODES, PairingInfo};
pub use refusal::Refusal;
pub use rpc::Role;
pub use time::Moment;
pub use token::{Token, TokenError, TokenHash};
