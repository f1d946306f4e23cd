//! The two checksums on the wire: CRC5 on commands and replies, CRC16 on jobs.
//!
//! Both are plain most-significant-bit-first checksums, computed a byte at a time from tables that
//! are built at compile time.

const POLY5: u8 = 0x05 << 3;
const POLY16: u16 = 0x1021;

const TABLE5: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = step5(byte as u8, 8);
        byte += 1;
    }
    table
};

const TABLE16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 {
                (crc << 1) ^ POLY16
            } else {
                crc << 1
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// CRC5 with polynomial x⁵+x²+1 and initial value 0x1F, as commands carry it.
///
/// Over a whole reply behind its preamble, last byte included, the result is 0 exactly if the
/// reply is good: the five checksum bits of a reply close a bit stream that includes the three flag
/// bits before them.
#[must_use]
pub fn crc5(bytes: &[u8]) -> u8 {
    register5(bytes) >> 3
}

/// CRC16 of a job frame (CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF, not reflected).
#[must_use]
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, &byte| {
        (crc << 8) ^ TABLE16[usize::from((crc >> 8) as u8 ^ byte)]
    })
}

/// The five checksum bits that make a reply good, given the bytes between preamble and last byte
/// and the flags (bits 7..5) of the last byte.
pub(crate) fn reply_crc5(body: &[u8], flags: u8) -> u8 {
    step5(register5(body) ^ (flags & 0xe0), 3) >> 3
}

/// The checksum register, left-aligned in the byte.
fn register5(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0x1f << 3, |crc, &byte| TABLE5[usize::from(crc ^ byte)])
}

const fn step5(mut crc: u8, bits: u8) -> u8 {
    let mut bit = 0;
    while bit < bits {
        crc = if crc & 0x80 != 0 {
            (crc << 1) ^ POLY5
        } else {
            crc << 1
        };
        bit += 1;
    }
    crc
}
