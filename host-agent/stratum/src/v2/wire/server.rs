//! What a server says: each message of the mining protocol that a device can meet, as a plain
//! value. Bytes behind the last known field are left alone, since extensions put theirs there.

use binary_sv2::{Deserialize, from_bytes};
use common_messages_sv2 as common;
use mining_sv2 as mining;
use thiserror::Error;

use super::frame::Frame;
use crate::text::presentable;

/// A message from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMessage {
    /// The connection is set up.
    SetupDone {
        /// Protocol version that the server chose.
        version: u16,
        /// What the server demands, bit by bit.
        flags: u32,
    },
    /// The server does not want us.
    SetupRefused {
        /// Flags that the server does not support.
        flags: u32,
        /// Its words.
        code: String,
    },
    /// A channel is open.
    Opened(Opened),
    /// A channel was not opened.
    OpenRefused {
        /// The request.
        request: u32,
        /// The server's words.
        code: String,
    },
    /// A job of a standard channel.
    StandardJob(StandardJob),
    /// A job of an extended channel or of a group.
    ExtendedJob(Box<ExtendedJob>),
    /// A new previous block.
    NewPrevHash(Tip),
    /// Another target for jobs to come.
    SetTarget {
        /// Channel or group.
        channel: u32,
        /// The target, least significant byte first.
        target: [u8; 32],
    },
    /// Another extranonce prefix for jobs to come.
    SetExtranoncePrefix {
        /// The channel.
        channel: u32,
        /// The prefix.
        prefix: Vec<u8>,
    },
    /// Channels move into a group.
    SetGroup {
        /// The group.
        group: u32,
        /// The channels.
        channels: Vec<u32>,
    },
    /// Shares were accepted.
    SharesAccepted {
        /// The channel.
        channel: u32,
        /// The last sequence number that this is about.
        last: u32,
        /// Shares accepted since the last message of this kind.
        count: u32,
    },
    /// A share was refused.
    ShareRefused {
        /// The channel.
        channel: u32,
        /// Its sequence number.
        sequence: u32,
        /// The server's words.
        code: String,
    },
    /// A wish for another target or hashrate was refused.
    UpdateRefused {
        /// The channel.
        channel: u32,
        /// The server's words.
        code: String,
    },
    /// A channel or group is closed.
    Closed {
        /// Channel or group.
        channel: u32,
        /// The server's words.
        reason: String,
    },
    /// The server wants us elsewhere.
    Reconnect {
        /// New host; empty for the same.
        host: String,
        /// New port; 0 for the same.
        port: u16,
    },
    /// The server behind a proxy has changed, and what was agreed on with it is void.
    EndpointChanged {
        /// The channel.
        channel: u32,
    },
    /// A message that we do not know, or that is not for clients.
    Unknown {
        /// Its extension.
        extension: u16,
        /// Its number.
        kind: u8,
    },
}

/// What was agreed on for a new channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The request that it answers.
    pub request: u32,
    /// The channel's number.
    pub channel: u32,
    /// The group that it belongs to.
    pub group: u32,
    /// The target, least significant byte first.
    pub target: [u8; 32],
    /// The server's part of the extranonce, up to 32 bytes; all of it on a standard channel.
    pub prefix: Vec<u8>,
    /// Our part of the extranonce, bytes; `None` on a standard channel.
    pub extranonce_size: Option<u16>,
}

/// A job with a merkle root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandardJob {
    /// Channel or group.
    pub channel: u32,
    /// The job's number within the channel.
    pub id: u32,
    /// Lowest block time; `None` for a job of a block to come.
    pub min_ntime: Option<u32>,
    /// Block version.
    pub version: u32,
    /// Merkle root as it stands in the header.
    pub merkle_root: [u8; 32],
}

/// A job with a coinbase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedJob {
    /// Channel or group.
    pub channel: u32,
    /// The job's number within the channel.
    pub id: u32,
    /// Lowest block time; `None` for a job of a block to come.
    pub min_ntime: Option<u32>,
    /// Block version.
    pub version: u32,
    /// Whether bits of the version may be changed.
    pub version_rolling: bool,
    /// Merkle branch, leaf side first.
    pub branch: Vec<[u8; 32]>,
    /// Coinbase bytes in front of the extranonce.
    pub coinbase_prefix: Vec<u8>,
    /// Coinbase bytes behind the extranonce.
    pub coinbase_suffix: Vec<u8>,
}

/// The block that work builds on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Channel or group.
    pub channel: u32,
    /// The job of a block to come that is now the one to work on.
    pub job: u32,
    /// Hash of the previous block as it stands in the header.
    pub prev_hash: [u8; 32],
    /// Lowest block time.
    pub min_ntime: u32,
    /// Compact network target.
    pub nbits: u32,
}

/// Why a message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// The bytes are not the fields that belong there.
    #[error("{name} of {len} bytes cannot be read: it is cut off or malformed")]
    Malformed {
        /// The message's name.
        name: &'static str,
        /// Its length, bytes.
        len: usize,
    },
    /// The layout from before November 2025.
    #[error(
        "this is an old SV2 server: its OpenExtendedMiningChannel.Success has no group channel, \
         which the protocol has had since November 2025; ask the pool to update, or use its V1 \
         port"
    )]
    OldLayout,
}

/// Longest texts of servers that are kept, characters.
const MAX_TEXT: usize = 200;
/// Longest host name of the DNS, characters.
const MAX_HOST: usize = 253;

impl ServerMessage {
    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// If a known message cannot be read; an unknown one is no error.
    pub fn read(frame: Frame) -> Result<Self, MessageError> {
        let unknown = Self::Unknown {
            extension: frame.extension,
            kind: frame.kind,
        };
        if frame.extension != 0 {
            return Ok(unknown);
        }
        let mut bytes = frame.payload;
        let bytes = bytes.as_mut_slice();
        Ok(match frame.kind {
            common::MESSAGE_TYPE_SETUP_CONNECTION_SUCCESS => {
                let it: common::SetupConnectionSuccess = read("SetupConnection.Success", bytes)?;
                Self::SetupDone {
                    version: it.used_version,
                    flags: it.flags,
                }
            }
            common::MESSAGE_TYPE_SETUP_CONNECTION_ERROR => {
                let it: common::SetupConnectionError = read("SetupConnection.Error", bytes)?;
                Self::SetupRefused {
                    flags: it.flags,
                    code: text(it.error_code.as_bytes()),
                }
            }
            common::MESSAGE_TYPE_CHANNEL_ENDPOINT_CHANGED => {
                let it: common::ChannelEndpointChanged = read("ChannelEndpointChanged", bytes)?;
                Self::EndpointChanged {
                    channel: it.channel_id,
                }
            }
            common::MESSAGE_TYPE_RECONNECT => {
                let it: common::Reconnect = read("Reconnect", bytes)?;
                Self::Reconnect {
                    host: presentable(&String::from_utf8_lossy(it.new_host.as_bytes()), MAX_HOST),
                    port: it.new_port,
                }
            }
            mining::MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL_SUCCESS => {
                let it: mining::OpenStandardMiningChannelSuccess =
                    read("OpenStandardMiningChannel.Success", bytes)?;
                Self::Opened(Opened {
                    request: it.request_id,
                    channel: it.channel_id,
                    group: it.group_channel_id,
                    target: it.target.to_array(),
                    prefix: it.extranonce_prefix.to_owned_bytes(),
                    extranonce_size: None,
                })
            }
            mining::MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL_SUCCESS => {
                let old = lacks_group(bytes);
                let it: mining::OpenExtendedMiningChannelSuccess =
                    read("OpenExtendedMiningChannel.Success", bytes)
                        .map_err(|error| if old { MessageError::OldLayout } else { error })?;
                Self::Opened(Opened {
                    request: it.request_id,
                    channel: it.channel_id,
                    group: it.group_channel_id,
                    target: it.target.to_array(),
                    prefix: it.extranonce_prefix.to_owned_bytes(),
                    extranonce_size: Some(it.extranonce_size),
                })
            }
            mining::MESSAGE_TYPE_OPEN_MINING_CHANNEL_ERROR => {
                let it: mining::OpenMiningChannelError = read("OpenMiningChannel.Error", bytes)?;
                Self::OpenRefused {
                    request: it.request_id,
                    code: text(it.error_code.as_bytes()),
                }
            }
            mining::MESSAGE_TYPE_NEW_MINING_JOB => {
                let it: mining::NewMiningJob = read("NewMiningJob", bytes)?;
                Self::StandardJob(StandardJob {
                    channel: it.channel_id,
                    id: it.job_id,
                    min_ntime: it.min_ntime.into_inner(),
                    version: it.version,
                    merkle_root: it.merkle_root.to_array(),
                })
            }
            mining::MESSAGE_TYPE_NEW_EXTENDED_MINING_JOB => {
                let it: mining::NewExtendedMiningJob = read("NewExtendedMiningJob", bytes)?;
                Self::ExtendedJob(Box::new(ExtendedJob {
                    channel: it.channel_id,
                    id: it.job_id,
                    min_ntime: it.min_ntime.into_inner(),
                    version: it.version,
                    version_rolling: it.version_rolling_allowed,
                    branch: it.merkle_path.iter().map(|hash| *hash.as_array()).collect(),
                    coinbase_prefix: it.coinbase_tx_prefix.to_owned_bytes(),
                    coinbase_suffix: it.coinbase_tx_suffix.to_owned_bytes(),
                }))
            }
            mining::MESSAGE_TYPE_MINING_SET_NEW_PREV_HASH => {
                let it: mining::SetNewPrevHash = read("SetNewPrevHash", bytes)?;
                Self::NewPrevHash(Tip {
                    channel: it.channel_id,
                    job: it.job_id,
                    prev_hash: it.prev_hash.to_array(),
                    min_ntime: it.min_ntime,
                    nbits: it.nbits,
                })
            }
            mining::MESSAGE_TYPE_SET_TARGET => {
                let it: mining::SetTarget = read("SetTarget", bytes)?;
                Self::SetTarget {
                    channel: it.channel_id,
                    target: it.maximum_target.to_array(),
                }
            }
            mining::MESSAGE_TYPE_SET_EXTRANONCE_PREFIX => {
                let it: mining::SetExtranoncePrefix = read("SetExtranoncePrefix", bytes)?;
                Self::SetExtranoncePrefix {
                    channel: it.channel_id,
                    prefix: it.extranonce_prefix.to_owned_bytes(),
                }
            }
            mining::MESSAGE_TYPE_SET_GROUP_CHANNEL => {
                let it: mining::SetGroupChannel = read("SetGroupChannel", bytes)?;
                Self::SetGroup {
                    group: it.group_channel_id,
                    channels: it.channel_ids.into_inner(),
                }
            }
            mining::MESSAGE_TYPE_SUBMIT_SHARES_SUCCESS => {
                let it: mining::SubmitSharesSuccess = read("SubmitShares.Success", bytes)?;
                Self::SharesAccepted {
                    channel: it.channel_id,
                    last: it.last_sequence_number,
                    count: it.new_submits_accepted_count,
                }
            }
            mining::MESSAGE_TYPE_SUBMIT_SHARES_ERROR => {
                let it: mining::SubmitSharesError = read("SubmitShares.Error", bytes)?;
                Self::ShareRefused {
                    channel: it.channel_id,
                    sequence: it.sequence_number,
                    code: text(it.error_code.as_bytes()),
                }
            }
            mining::MESSAGE_TYPE_UPDATE_CHANNEL_ERROR => {
                let it: mining::UpdateChannelError = read("UpdateChannel.Error", bytes)?;
                Self::UpdateRefused {
                    channel: it.channel_id,
                    code: text(it.error_code.as_bytes()),
                }
            }
            mining::MESSAGE_TYPE_CLOSE_CHANNEL => {
                let it: mining::CloseChannel = read("CloseChannel", bytes)?;
                Self::Closed {
                    channel: it.channel_id,
                    reason: text(it.reason_code.as_bytes()),
                }
            }
            _ => unknown,
        })
    }
}

fn read<'a, T: Deserialize<'a>>(
    name: &'static str,
    bytes: &'a mut [u8],
) -> Result<T, MessageError> {
    let len = bytes.len();
    from_bytes(bytes).map_err(|_| MessageError::Malformed { name, len })
}

/// Whether a success message has all fields up to the extranonce prefix, and nothing behind.
fn lacks_group(bytes: &[u8]) -> bool {
    /// Request, channel, target and extranonce size.
    const FIXED: usize = 4 + 4 + 32 + 2;
    bytes
        .get(FIXED)
        .is_some_and(|prefix| bytes.len() == FIXED + 1 + usize::from(*prefix))
}

fn text(bytes: &[u8]) -> String {
    presentable(&String::from_utf8_lossy(bytes), MAX_TEXT)
}
