//! What a client says, written as plain frames.

use binary_sv2::{GetSize, Serialize, to_bytes};
use common_messages_sv2 as common;
use mining_sv2 as mining;

use super::frame::Frame;

/// A message from us.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage<'a> {
    /// Sets up the connection for the mining protocol, version 2.
    Setup {
        /// What we demand, bit by bit.
        flags: u32,
        /// Host that we connected to.
        host: &'a str,
        /// Port that we connected to.
        port: u16,
        /// Who made the device.
        vendor: &'a str,
        /// What device it is.
        hardware: &'a str,
        /// What runs on it.
        firmware: &'a str,
        /// Which one it is; may be empty.
        device: &'a str,
    },
    /// Asks for a channel with jobs of a fixed merkle root.
    OpenStandard {
        /// Number of the request.
        request: u32,
        /// The user.
        user: &'a str,
        /// Expected hashrate, H/s.
        hashrate: f32,
    },
    /// Asks for a channel with jobs of a coinbase.
    OpenExtended {
        /// Number of the request.
        request: u32,
        /// The user.
        user: &'a str,
        /// Expected hashrate, H/s.
        hashrate: f32,
        /// Room for our part of the extranonce, bytes at least.
        min_extranonce: u16,
    },
    /// Tells another hashrate.
    Update {
        /// The channel.
        channel: u32,
        /// Expected hashrate, H/s.
        hashrate: f32,
    },
    /// Hands in a share.
    Submit {
        /// The share.
        share: Submission,
        /// Our part of the extranonce; `None` on a standard channel.
        extranonce: Option<&'a [u8]>,
    },
}

/// A share as both kinds of channel have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submission {
    /// The channel.
    pub channel: u32,
    /// Its number within the channel.
    pub sequence: u32,
    /// The job's number.
    pub job: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Header time.
    pub ntime: u32,
    /// Header version, all of it.
    pub version: u32,
}

/// The easiest target: the server picks one anyway, and a hard one of ours would pin it.
const ANY_TARGET: [u8; 32] = [0xff; 32];
const PROTOCOL_VERSION: u16 = 2;

impl ClientMessage<'_> {
    /// The plain frame; `None` if a text is longer than 255 bytes or an extranonce than 32.
    #[must_use]
    pub fn to_frame(&self) -> Option<Vec<u8>> {
        match *self {
            Self::Setup {
                flags,
                host,
                port,
                vendor,
                hardware,
                firmware,
                device,
            } => frame(
                common::MESSAGE_TYPE_SETUP_CONNECTION,
                common::CHANNEL_BIT_SETUP_CONNECTION,
                common::SetupConnection {
                    protocol: common::Protocol::MiningProtocol,
                    min_version: PROTOCOL_VERSION,
                    max_version: PROTOCOL_VERSION,
                    flags,
                    endpoint_host: host.try_into().ok()?,
                    endpoint_port: port,
                    vendor: vendor.try_into().ok()?,
                    hardware_version: hardware.try_into().ok()?,
                    firmware: firmware.try_into().ok()?,
                    device_id: device.try_into().ok()?,
                },
            ),
            Self::OpenStandard {
                request,
                user,
                hashrate,
            } => frame(
                mining::MESSAGE_TYPE_OPEN_STANDARD_MINING_CHANNEL,
                mining::CHANNEL_BIT_OPEN_STANDARD_MINING_CHANNEL,
                mining::OpenStandardMiningChannel {
                    request_id: request,
                    user_identity: user.try_into().ok()?,
                    nominal_hash_rate: hashrate,
                    max_target: (&ANY_TARGET).into(),
                },
            ),
            Self::OpenExtended {
                request,
                user,
                hashrate,
                min_extranonce,
            } => frame(
                mining::MESSAGE_TYPE_OPEN_EXTENDED_MINING_CHANNEL,
                mining::CHANNEL_BIT_OPEN_EXTENDED_MINING_CHANNEL,
                mining::OpenExtendedMiningChannel {
                    request_id: request,
                    user_identity: user.try_into().ok()?,
                    nominal_hash_rate: hashrate,
                    max_target: (&ANY_TARGET).into(),
                    min_extranonce_size: min_extranonce,
                },
            ),
            Self::Update { channel, hashrate } => frame(
                mining::MESSAGE_TYPE_UPDATE_CHANNEL,
                mining::CHANNEL_BIT_UPDATE_CHANNEL,
                mining::UpdateChannel {
                    channel_id: channel,
                    nominal_hash_rate: hashrate,
                    maximum_target: (&ANY_TARGET).into(),
                },
            ),
            Self::Submit {
                share,
                extranonce: Some(extranonce),
            } => frame(
                mining::MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED,
                mining::CHANNEL_BIT_SUBMIT_SHARES_EXTENDED,
                mining::SubmitSharesExtended {
                    channel_id: share.channel,
                    sequence_number: share.sequence,
                    job_id: share.job,
                    nonce: share.nonce,
                    ntime: share.ntime,
                    version: share.version,
                    extranonce: binary_sv2::B032::new(extranonce).ok()?,
                },
            ),
            Self::Submit {
                share,
                extranonce: None,
            } => frame(
                mining::MESSAGE_TYPE_SUBMIT_SHARES_STANDARD,
                mining::CHANNEL_BIT_SUBMIT_SHARES_STANDARD,
                mining::SubmitSharesStandard {
                    channel_id: share.channel,
                    sequence_number: share.sequence,
                    job_id: share.job,
                    nonce: share.nonce,
                    ntime: share.ntime,
                    version: share.version,
                },
            ),
        }
    }
}

fn frame<T: Serialize + GetSize>(kind: u8, channel: bool, message: T) -> Option<Vec<u8>> {
    Frame {
        extension: 0,
        kind,
        payload: to_bytes(message).ok()?,
    }
    .to_bytes(channel)
}
