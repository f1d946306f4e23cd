//! Frames as a chip sees them: a byte-wise parser for what the host sends, and builders for what the chip answers. The
//! parser keeps nothing but the frame being collected, so a lost byte costs the frames that it swallows, as on silicon.

use crate::{
    crc::{crc5, crc16, reply_tail},
    silicon::{Replies, Silicon, Walk},
};

/// Who a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Every chip that hears it.
    All,
    /// The chips with this address byte.
    One(u8),
}

/// A frame with a good checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Write {
        target: Target,
        register: u8,
        value: u32,
    },
    Read {
        target: Target,
        register: u8,
    },
    SetAddress(u8),
    Inactive,
    /// The payload between length and checksum.
    Job(Vec<u8>),
}

/// What one byte led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing yet.
    More,
    /// A frame ended.
    Done(Frame),
    /// A command ended with a wrong CRC5.
    BadCommandCrc,
    /// A job ended with a wrong CRC16.
    BadJobCrc,
    /// A header or length that this chip does not know.
    Unknown,
    /// A byte outside any frame.
    Stray,
}

/// Collects one frame at a time. The longest is a midstate job of 152 bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parser {
    /// Bytes since the preamble began.
    held: Vec<u8>,
    /// Total length once header and length are known.
    wanted: usize,
}

impl Parser {
    pub(crate) fn push(&mut self, silicon: &Silicon, byte: u8) -> Step {
        match (self.held.len(), byte) {
            (0, 0x55) | (1, 0xAA) => {
                self.held.push(byte);
                return Step::More;
            }
            (0, _) => return Step::Stray,
            (1, 0x55) => return Step::Stray,
            (1, _) => {
                self.held.clear();
                return Step::Stray;
            }
            _ => self.held.push(byte),
        }
        if self.held.len() == 4 {
            match body_len(silicon, self.held[2], byte) {
                Some(body) => self.wanted = 2 + body,
                None => {
                    self.held.clear();
                    return Step::Unknown;
                }
            }
        }
        if self.held.len() < 4 || self.held.len() < self.wanted {
            return Step::More;
        }
        let step = finish(&self.held[2..]);
        self.held.clear();
        step
    }
}

/// Bytes after the preamble, checksum included, for a header and length byte; none if the chip does not know them.
fn body_len(silicon: &Silicon, header: u8, length: u8) -> Option<usize> {
    match (header, length) {
        (0x40 | 0x42 | 0x52 | 0x53, 5) => Some(5),
        (0x41 | 0x51, 9) => Some(9),
        (0x21, _) => match (silicon.walk, length) {
            (Walk::Midstates, 0x96) => Some(0x96),
            // A job with a single midstate, by the rule that the length is payload + 4.
            (Walk::Midstates, 0x36) => Some(0x36),
            (Walk::Midstates, _) => None,
            // Factory firmware writes 0x36 before the same 82 bytes of payload.
            (_, 0x56 | 0x36) => Some(0x56),
            _ => None,
        },
        _ => None,
    }
}

/// Checks and reads a complete frame without its preamble.
fn finish(body: &[u8]) -> Step {
    if body[0] == 0x21 {
        let (covered, crc) = body.split_at(body.len() - 2);
        if crc16(covered).to_be_bytes() != crc {
            return Step::BadJobCrc;
        }
        return Step::Done(Frame::Job(covered[2..].to_vec()));
    }
    let (covered, crc) = body.split_at(body.len() - 1);
    if crc5(covered) != crc[0] {
        return Step::BadCommandCrc;
    }
    let target = if body[0] & 0x10 != 0 {
        Target::All
    } else {
        Target::One(body[2])
    };
    Step::Done(match body[0] {
        0x40 => Frame::SetAddress(body[2]),
        0x41 | 0x51 => Frame::Write {
            target,
            register: body[3],
            value: u32::from_be_bytes([body[4], body[5], body[6], body[7]]),
        },
        0x42 | 0x52 => Frame::Read {
            target,
            register: body[3],
        },
        _ => Frame::Inactive,
    })
}

/// A reply ready for the line: 9 or 11 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reply {
    bytes: [u8; 11],
    len: u8,
    /// Whether it reports a nonce.
    pub(crate) is_nonce: bool,
}

impl Reply {
    /// Answer to a register read.
    pub(crate) fn register(long: bool, value: u32, address: u8, register: u8) -> Self {
        let mut body = [0; 8];
        body[..4].copy_from_slice(&value.to_be_bytes());
        body[4] = address;
        body[5] = register;
        Self::build(body, long, 0x00)
    }

    /// A found nonce; `version` is dropped from short replies.
    pub(crate) fn nonce(long: bool, nonce: [u8; 4], margin: u8, id: u8, version: u16) -> Self {
        let mut body = [0; 8];
        body[..4].copy_from_slice(&nonce);
        body[4] = margin;
        body[5] = id;
        body[6..].copy_from_slice(&version.to_be_bytes());
        Self::build(body, long, 0x80)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn build(body: [u8; 8], long: bool, flags: u8) -> Self {
        let used = if long { 8 } else { 6 };
        let mut bytes = [0; 11];
        bytes[..2].copy_from_slice(&[0xAA, 0x55]);
        bytes[2..2 + used].copy_from_slice(&body[..used]);
        bytes[2 + used] = reply_tail(&body[..used], flags);
        Self {
            bytes,
            len: used as u8 + 3,
            is_nonce: flags != 0,
        }
    }
}

/// Whether a reply has 11 bytes.
pub(crate) fn is_long(replies: Replies, rolling: bool, chip_id: bool) -> bool {
    match replies {
        Replies::Short => false,
        Replies::LongWithRolling => rolling,
        Replies::ShortId => !chip_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{silicon::silicon, spec::Chip};

    fn parse(chip: Chip, bytes: &[u8]) -> Vec<Step> {
        let mut parser = Parser::default();
        bytes
            .iter()
            .map(|&b| parser.push(silicon(chip), b))
            .filter(|s| *s != Step::More)
            .collect()
    }

    #[test]
    fn command_frames_are_read() {
        let write = [
            0x55, 0xAA, 0x51, 0x09, 0x00, 0xA4, 0x90, 0x00, 0xFF, 0xFF, 0x1C,
        ];
        assert_eq!(
            parse(Chip::Bm1370, &write),
            [Step::Done(Frame::Write {
                target: Target::All,
                register: 0xA4,
                value: 0x9000_FFFF
            })]
        );
        let one = [
            0x55, 0xAA, 0x41, 0x09, 0x00, 0x2C, 0x00, 0x7C, 0x00, 0x03, 0x03,
        ];
        assert_eq!(
            parse(Chip::Bm1366, &one),
            [Step::Done(Frame::Write {
                target: Target::One(0),
                register: 0x2C,
                value: 0x007C_0003
            })]
        );
        let address = [0x55, 0xAA, 0x40, 0x05, 0x80, 0x00, 0x10];
        assert_eq!(
            parse(Chip::Bm1366, &address),
            [Step::Done(Frame::SetAddress(0x80))]
        );
    }

    #[test]
    fn a_wrong_crc_is_told_apart_from_noise() {
        assert_eq!(
            parse(Chip::Bm1370, &[0x55, 0xAA, 0x53, 0x05, 0, 0, 0x04]),
            [Step::BadCommandCrc]
        );
        assert_eq!(
            parse(Chip::Bm1370, &[0x01, 0x55, 0x55, 0xAA, 0x77, 0x05]),
            [Step::Stray, Step::Stray, Step::Unknown]
        );
    }

    #[test]
    fn replies_match_captured_frames() {
        assert_eq!(
            Reply::register(true, 0x8000_080C, 0, 0xB4).bytes(),
            [
                0xAA, 0x55, 0x80, 0x00, 0x08, 0x0C, 0x00, 0xB4, 0x00, 0x00, 0x1A
            ]
        );
        assert_eq!(
            Reply::register(false, 0x1397_1800, 0, 0).bytes(),
            [0xAA, 0x55, 0x13, 0x97, 0x18, 0x00, 0x00, 0x00, 0x06]
        );
        assert_eq!(
            Reply::nonce(true, [0xD1, 0x9E, 0x02, 0x0A], 0, 0x35, 0).bytes(),
            [
                0xAA, 0x55, 0xD1, 0x9E, 0x02, 0x0A, 0x00, 0x35, 0x00, 0x00, 0x8A
            ]
        );
        assert_eq!(
            Reply::nonce(false, [0x9B, 0x04, 0x4C, 0x0A], 0, 0x1A, 0).bytes(),
            [0xAA, 0x55, 0x9B, 0x04, 0x4C, 0x0A, 0x00, 0x1A, 0x94]
        );
    }
}
