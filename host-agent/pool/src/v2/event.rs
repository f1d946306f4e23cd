//! What the Stratum V2 pool tells its owner.

use crate::event::ConnectionId;
use crate::hash::BlockHash;
use std::time::Duration;

/// The two kinds of mining channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelKind {
    /// The miner builds merkle roots.
    Extended,
    /// The pool builds them.
    Standard,
}

impl std::fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ChannelKind::Extended => "extended",
            ChannelKind::Standard => "standard",
        })
    }
}

/// Why the pool hangs up, or how a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The other side did it.
    #[error("closed by the miner")]
    ByPeer,
    /// Handshake or decryption failed.
    #[error("the encrypted connection broke: {0}")]
    Noise(String),
    /// A frame was longer than allowed.
    #[error("a frame of more than {0} bytes")]
    FrameTooLarge(usize),
    /// A message could not be read.
    #[error("a message of type {message_type:02x} that cannot be read: {reason}")]
    Malformed {
        /// Its type.
        message_type: u8,
        /// What is wrong.
        reason: String,
    },
    /// A message came before SetupConnection.
    #[error("a message of type {0:02x} before SetupConnection")]
    NotSetUp(u8),
    /// SetupConnection was refused.
    #[error("SetupConnection was refused: {0}")]
    SetupRefused(String),
    /// Nothing came for too long.
    #[error("nothing came for {} s", .0.as_secs())]
    Idle(Duration),
    /// The miner does not read what is sent.
    #[error("the miner does not read its messages")]
    SlowReader,
    /// A switch asks for it.
    #[error("on purpose: {0}")]
    Quirk(&'static str),
    /// The owner of the pool asked for it.
    #[error("closed by the owner of the pool")]
    ByOwner,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A connection was taken.
    Connected {
        /// Which.
        connection: ConnectionId,
    },
    /// A miner set its connection up. The texts are shortened to 128 characters.
    SetUp {
        /// Which.
        connection: ConnectionId,
        /// Its maker.
        vendor: String,
        /// Its hardware.
        hardware: String,
        /// Its firmware.
        firmware: String,
        /// Its identity, mostly empty.
        device: String,
        /// The flags that it sent: 1 standard jobs, 2 work selection, 4 version rolling.
        flags: u32,
    },
    /// A channel was opened.
    ChannelOpened {
        /// On which connection.
        connection: ConnectionId,
        /// Its number on that connection.
        channel: u32,
        /// Which kind.
        kind: ChannelKind,
        /// The user that it mines for.
        worker: String,
        /// What the miner said that it can do, hashes per second.
        nominal_hps: f32,
        /// What it was given.
        difficulty: f64,
    },
    /// A channel was refused.
    ChannelRefused {
        /// On which connection.
        connection: ConnectionId,
        /// The user that it was for.
        worker: String,
        /// The error code.
        code: String,
    },
    /// A channel was given another target.
    DifficultyChanged {
        /// On which connection.
        connection: ConnectionId,
        /// Which channel.
        channel: u32,
        /// The difficulty of its jobs from the next one on.
        difficulty: f64,
    },
    /// A new template was made for all connections.
    NewJob {
        /// The template's number; jobs have their own on each channel.
        template: u64,
        /// Height of the block.
        height: u32,
        /// Whether it voids all older jobs.
        clean: bool,
    },
    /// A share was good.
    ShareAccepted {
        /// From which connection.
        connection: ConnectionId,
        /// On which channel.
        channel: u32,
        /// For which user.
        worker: String,
        /// For which job.
        job_id: u32,
        /// Its number on the channel.
        sequence: u32,
        /// The header's hash.
        hash: BlockHash,
        /// What the hash is worth.
        share_difficulty: f64,
        /// What was asked for.
        difficulty: f64,
    },
    /// A share was refused.
    ShareRejected {
        /// From which connection.
        connection: ConnectionId,
        /// On which channel, as the miner named it.
        channel: u32,
        /// For which job, as the miner named it.
        job_id: u32,
        /// Its number on the channel.
        sequence: u32,
        /// The error code.
        code: String,
        /// What the hash is worth, if it was computed.
        share_difficulty: Option<f64>,
    },
    /// A share met the network's target.
    BlockFound {
        /// From which connection.
        connection: ConnectionId,
        /// On which channel.
        channel: u32,
        /// For which user.
        worker: String,
        /// Height of the block.
        height: u32,
        /// Its hash.
        hash: BlockHash,
    },
    /// The reference implementation's check and this crate's do not agree on a share. Either of the two
    /// or the record that they share has a defect.
    Disagreement {
        /// From which connection.
        connection: ConnectionId,
        /// On which channel.
        channel: u32,
        /// For which job.
        job_id: u32,
        /// Its number on the channel.
        sequence: u32,
        /// This crate's verdict.
        ours: String,
        /// The reference implementation's.
        theirs: String,
    },
    /// A channel was closed.
    ChannelClosed {
        /// On which connection.
        connection: ConnectionId,
        /// Which.
        channel: u32,
        /// Why.
        reason: String,
        /// Whether the miner did it.
        by_miner: bool,
    },
    /// A miner sent something that is not for a pool or not at this time; it was ignored.
    Ignored {
        /// From which connection.
        connection: ConnectionId,
        /// What it was.
        what: String,
    },
    /// A connection ended.
    Disconnected {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
}

/// One channel as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelInfo {
    /// On which connection.
    pub connection: ConnectionId,
    /// Its number there.
    pub channel: u32,
    /// The number of its group.
    pub group: u32,
    /// Which kind.
    pub kind: ChannelKind,
    /// The user that it mines for.
    pub worker: String,
    /// What the miner said last that it can do, hashes per second.
    pub nominal_hps: f32,
    /// The difficulty of its next job.
    pub difficulty: f64,
    /// The extranonce prefix of its next job.
    pub extranonce_prefix: Vec<u8>,
    /// Its shares that were accepted.
    pub accepted: u64,
    /// Its shares that were refused.
    pub rejected: u64,
    /// Accepted shares that no acknowledgement covers yet.
    pub unacknowledged: u32,
}
