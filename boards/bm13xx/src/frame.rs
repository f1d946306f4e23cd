//! Frames from the host to the chips: preamble `55 AA`, header byte, length, data, checksum.
//!
//! [`Frame`] builds them, [`Command`] reads them back, which emulators, logs and tests want.

use core::fmt;

use crate::crc::{crc5, crc16};
use crate::registers::Register;
use crate::units::ChipAddress;

/// First two bytes of a frame to the chips.
pub const HOST_PREAMBLE: [u8; 2] = [0x55, 0xaa];

/// The longest frame: a midstate job of 152 bytes, with some room.
const CAPACITY: usize = 160;

const HEADER_JOB: u8 = 0x21;
const KIND_COMMAND: u8 = 0x40;
const TO_ALL: u8 = 0x10;
const SET_ADDRESS: u8 = 0x00;
const WRITE: u8 = 0x01;
const READ: u8 = 0x02;
const INACTIVE: u8 = 0x03;

/// One frame to the chips, complete with preamble and checksum.
#[derive(Clone, Copy)]
pub struct Frame {
    len: u8,
    bytes: [u8; CAPACITY],
}

impl Frame {
    /// The bytes to send.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Writes a register of one chip or all.
    #[must_use]
    pub fn write(to: Destination, register: Register, value: u32) -> Self {
        let [a, b, c, d] = value.to_be_bytes();
        Self::command(
            to.bit() | WRITE,
            &[to.address(), register.address(), a, b, c, d],
        )
    }

    /// Asks one chip or all for the value of a register.
    #[must_use]
    pub fn read(from: Destination, register: Register) -> Self {
        Self::command(from.bit() | READ, &[from.address(), register.address()])
    }

    /// Takes the addresses from all chips and stops them relaying, so that addresses can be handed out.
    #[must_use]
    pub fn chain_inactive() -> Self {
        Self::command(TO_ALL | INACTIVE, &[0, 0])
    }

    /// Gives `address` to the first chip that has none; that chip relays from then on.
    #[must_use]
    pub fn set_address(address: ChipAddress) -> Self {
        Self::command(SET_ADDRESS, &[address.get(), 0])
    }

    /// A job for all chips. `payload` is 82 bytes (full header) or 146 (midstates); longer ones
    /// are cut off at what a frame can hold.
    pub(crate) fn job(payload: &[u8]) -> Self {
        let payload = payload.get(..CAPACITY - 6).unwrap_or(payload);
        let mut frame = Self::empty();
        frame.push(&HOST_PREAMBLE);
        frame.push(&[HEADER_JOB, payload.len() as u8 + 4]);
        frame.push(payload);
        let crc = crc16(&frame.as_bytes()[2..]);
        frame.push(&crc.to_be_bytes());
        frame
    }

    fn command(kind: u8, data: &[u8]) -> Self {
        let mut frame = Self::empty();
        frame.push(&HOST_PREAMBLE);
        frame.push(&[KIND_COMMAND | kind, data.len() as u8 + 3]);
        frame.push(data);
        let crc = crc5(&frame.as_bytes()[2..]);
        frame.push(&[crc]);
        frame
    }

    fn empty() -> Self {
        Self {
            len: 0,
            bytes: [0; CAPACITY],
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let from = usize::from(self.len);
        if let Some(room) = self.bytes.get_mut(from..from + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len() as u8;
        }
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Frame {}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Frame(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02X}")?;
        }
        f.write_str(")")
    }
}

/// Which chips a frame addresses, as the wire knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// All chips.
    All,
    /// The chip with this address.
    Chip(ChipAddress),
}

impl Destination {
    const fn bit(self) -> u8 {
        match self {
            Self::All => TO_ALL,
            Self::Chip(_) => 0,
        }
    }

    const fn address(self) -> u8 {
        match self {
            Self::All => 0,
            Self::Chip(address) => address.get(),
        }
    }
}

/// What a frame to the chips says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Write `value` to `register`.
    Write {
        /// Chips that take it.
        to: Destination,
        /// Register address.
        register: u8,
        /// New value.
        value: u32,
    },
    /// Answer with the value of `register`.
    Read {
        /// Chips that answer.
        from: Destination,
        /// Register address.
        register: u8,
    },
    /// Take this address if you have none.
    SetAddress(ChipAddress),
    /// Forget your address and stop relaying.
    ChainInactive,
    /// Work; the payload without header, length and checksum.
    Job(&'a [u8]),
}

impl<'a> Command<'a> {
    /// Reads one complete frame.
    ///
    /// # Errors
    ///
    /// When the bytes are not exactly one good frame.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let body = bytes
            .strip_prefix(&HOST_PREAMBLE)
            .ok_or(FrameError::Preamble)?;
        let &[header, declared, ref rest @ ..] = body else {
            return Err(FrameError::Length { found: bytes.len() });
        };
        if header == HEADER_JOB {
            return Self::parse_job(bytes.len(), body, rest);
        }
        let Some((&crc, covered)) = body.split_last() else {
            return Err(FrameError::Length { found: bytes.len() });
        };
        if usize::from(declared) != body.len() {
            return Err(FrameError::Length { found: bytes.len() });
        }
        if crc5(covered) != crc {
            return Err(FrameError::Checksum {
                found: u16::from(crc),
                expected: u16::from(crc5(covered)),
            });
        }
        let data = &rest[..rest.len().saturating_sub(1)];
        let to = |address| {
            if header & TO_ALL != 0 {
                Destination::All
            } else {
                Destination::Chip(ChipAddress::new(address))
            }
        };
        match (header & !TO_ALL, header & TO_ALL != 0, data) {
            (0x41, _, &[address, register, a, b, c, d]) => Ok(Self::Write {
                to: to(address),
                register,
                value: u32::from_be_bytes([a, b, c, d]),
            }),
            (0x42, _, &[address, register]) => Ok(Self::Read {
                from: to(address),
                register,
            }),
            (0x40, false, &[address, _]) => Ok(Self::SetAddress(ChipAddress::new(address))),
            (0x43, true, &[_, _]) => Ok(Self::ChainInactive),
            _ => Err(FrameError::Header { found: header }),
        }
    }

    /// The length byte of a job is not checked: some firmware writes 0x36 where the frame has 0x56
    /// bytes, and chips take both.
    fn parse_job(len: usize, body: &[u8], rest: &'a [u8]) -> Result<Self, FrameError> {
        let (Some((payload, [high, low])), Some(covered)) = (
            rest.split_last_chunk::<2>(),
            body.get(..body.len().saturating_sub(2)),
        ) else {
            return Err(FrameError::Length { found: len });
        };
        if payload.len() != crate::job::HEADER_PAYLOAD
            && payload.len() != crate::job::MIDSTATE_PAYLOAD
        {
            return Err(FrameError::Length { found: len });
        }
        let (found, expected) = (u16::from_be_bytes([*high, *low]), crc16(covered));
        if found != expected {
            return Err(FrameError::Checksum { found, expected });
        }
        Ok(Self::Job(payload))
    }
}

/// Why bytes are not a frame to the chips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The preamble is missing.
    #[error("a frame to the chips starts with 55 AA")]
    Preamble,
    /// Header byte and data do not go together.
    #[error("header byte 0x{found:02X} is not a command with this much data")]
    Header {
        /// Header byte of the frame.
        found: u8,
    },
    /// Too short, too long, or the length byte disagrees.
    #[error("{found} bytes are not a whole frame")]
    Length {
        /// Bytes given.
        found: usize,
    },
    /// The checksum does not match.
    #[error("checksum 0x{found:X}, expected 0x{expected:X}")]
    Checksum {
        /// Checksum in the frame.
        found: u16,
        /// Checksum of its bytes.
        expected: u16,
    },
}
