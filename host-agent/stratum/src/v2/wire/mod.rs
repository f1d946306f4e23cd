//! The only place that knows the reference crates of Stratum V2: their messages and their Noise
//! handshake are turned into plain values of our own here, and back. Those crates change with
//! every release, so nothing of theirs may show in a signature outside of this folder.

mod client;
mod frame;
mod noise;
mod server;

pub use client::{ClientMessage, Submission};
pub use frame::{Frame, FrameError, FrameReader, HEADER_LEN, MAX_PAYLOAD};
pub(super) use noise::is_on_curve;
pub use noise::{Ciphers, HANDSHAKE_ANSWER_LEN, HANDSHAKE_HELLO_LEN, Handshake, HandshakeError};
pub use server::{ExtendedJob, MessageError, Opened, ServerMessage, StandardJob, Tip};
