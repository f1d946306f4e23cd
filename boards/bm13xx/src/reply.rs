//! Replies from the chips: preamble `AA 55`, a body, and a last byte of three flag bits and the CRC5
//! over all that comes before it.
//!
//! This file reads one complete reply of known length; [`Decoder`](crate::Decoder) finds replies in
//! a stream.

use crate::crc::{crc5, reply_crc5};

/// First two bytes of a reply.
pub const CHIP_PREAMBLE: [u8; 2] = [0xaa, 0x55];
/// Bytes of a reply of a BM1397, or of a later chip before its first write to register 0xA4.
pub const SHORT_REPLY: usize = 9;
/// Bytes of a reply of a later chip once register 0xA4 has been written.
pub const LONG_REPLY: usize = 11;

const FLAGS: u8 = 0xe0;
const NONCE_FLAGS: u8 = 0x80;
const REGISTER_FLAGS: u8 = 0x00;

/// What a chip has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A hash that passed the ticket mask.
    Nonce(NonceReply),
    /// The value of a register.
    Register(RegisterReply),
}

/// A nonce found by a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceReply {
    /// The nonce as in the header (little-endian).
    pub nonce: u32,
    /// On full-header chips: how far the hash is above the ticket, in half bits on the log2 scale,
    /// dependable to whole bits. Not a replacement for hashing.
    pub midstate_num: u8,
    /// The id byte; [`ChipModel::slot_of`](crate::ChipModel::slot_of) takes it apart.
    pub id: u8,
    /// Rolled version bits: header version = job version | bits << 13. `None` in short replies. With a
    /// restricted mask in register 0xA4 the field still has this position, and bits outside the
    /// mask are 0.
    pub version_bits: Option<u16>,
}

impl NonceReply {
    /// The header version that belongs to the nonce, given the version of its job.
    #[must_use]
    pub const fn header_version(&self, job_version: u32) -> u32 {
        match self.version_bits {
            Some(bits) => job_version | (bits as u32) << 13,
            None => job_version,
        }
    }
}

/// The answer to a register read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterReply {
    /// Value of the register.
    pub value: u32,
    /// Address of the chip; 0 while it has none.
    pub address: u8,
    /// Address of the register.
    pub register: u8,
}

impl Reply {
    /// Reads one complete reply of [`SHORT_REPLY`] or [`LONG_REPLY`] bytes. Flag bits that belong
    /// neither to a nonce nor to a register reply are an error.
    ///
    /// # Errors
    ///
    /// When the bytes are not exactly one good reply.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReplyError> {
        let body = bytes
            .strip_prefix(&CHIP_PREAMBLE)
            .ok_or(ReplyError::Preamble)?;
        let (head, extra, last) = match *body {
            [a, b, c, d, e, f, last] => ([a, b, c, d, e, f], None, last),
            [a, b, c, d, e, f, high, low, last] => (
                [a, b, c, d, e, f],
                Some(u16::from_be_bytes([high, low])),
                last,
            ),
            _ => return Err(ReplyError::Length { found: bytes.len() }),
        };
        let [a, b, c, d, fifth, sixth] = head;
        let reply = match last & FLAGS {
            NONCE_FLAGS => Self::Nonce(NonceReply {
                nonce: u32::from_le_bytes([a, b, c, d]),
                midstate_num: fifth,
                id: sixth,
                version_bits: extra,
            }),
            REGISTER_FLAGS => Self::Register(RegisterReply {
                value: u32::from_be_bytes([a, b, c, d]),
                address: fifth,
                register: sixth,
            }),
            found => return Err(ReplyError::Flags { found: found >> 5 }),
        };
        match crc5(body) {
            0 => Ok(reply),
            residue => Err(ReplyError::Checksum { residue }),
        }
    }

    /// The bytes in which a chip says this: what emulators and tests need. Returns the buffer and
    /// how much of it counts. Register replies are long if `long` is set; nonce replies are long
    /// if they have version bits.
    #[must_use]
    pub fn encode(&self, long: bool) -> ([u8; LONG_REPLY], usize) {
        let mut bytes = [0; LONG_REPLY];
        bytes[..2].copy_from_slice(&CHIP_PREAMBLE);
        let (flags, long) = match *self {
            Self::Nonce(reply) => {
                bytes[2..6].copy_from_slice(&reply.nonce.to_le_bytes());
                bytes[6] = reply.midstate_num;
                bytes[7] = reply.id;
                bytes[8..10].copy_from_slice(&reply.version_bits.unwrap_or(0).to_be_bytes());
                (NONCE_FLAGS, reply.version_bits.is_some())
            }
            Self::Register(reply) => {
                bytes[2..6].copy_from_slice(&reply.value.to_be_bytes());
                bytes[6] = reply.address;
                bytes[7] = reply.register;
                (REGISTER_FLAGS, long)
            }
        };
        let len = if long { LONG_REPLY } else { SHORT_REPLY };
        bytes[len - 1] = flags | reply_crc5(&bytes[2..len - 1], flags);
        (bytes, len)
    }
}

/// Why bytes are not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The preamble is missing.
    #[error("a reply starts with AA 55")]
    Preamble,
    /// Neither a short nor a long reply.
    #[error("{found} bytes; a reply has 9 or 11")]
    Length {
        /// Bytes given.
        found: usize,
    },
    /// Flag bits that no reply has.
    #[error("flags {found}; a nonce has 4, a register 0")]
    Flags {
        /// The three flag bits.
        found: u8,
    },
    /// The checksum does not match.
    #[error("the checksum leaves {residue}, expected 0")]
    Checksum {
        /// CRC5 over everything behind the preamble.
        residue: u8,
    },
}
