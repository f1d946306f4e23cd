//! Double SHA-256 and hexadecimal text, as the pool needs them. Deliberately its own few lines on
//! `sha2`: the pool judges the miner's hashing, so it must not share code with it.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// SHA-256 of the SHA-256 of `bytes`, in the order in which the function yields them.
pub(crate) fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// A block header hash in header (internal) order; shown in the order people read, zeros first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockHash(pub [u8; 32]);

impl std::fmt::Display for BlockHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0
            .iter()
            .rev()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlockHash({self})")
    }
}

/// Lower-case hexadecimal text of `bytes`.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes of `text`, or `None` for anything but an even number of hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes()
        .chunks_exact(2)
        .map(|pair| Some(hex_digit(pair[0])? << 4 | hex_digit(pair[1])?))
        .collect()
}

/// A 32-bit number written as exactly eight hexadecimal digits, as Stratum writes version, ntime,
/// nonce and bits.
pub(crate) fn u32_from_hex(text: &str) -> Option<u32> {
    let bytes: [u8; 4] = from_hex(text)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes))
}

/// Stratum's order of the previous block's hash: each 4-byte word byte-reversed against the header.
/// The same operation leads there and back.
pub(crate) fn swap_words(mut hash: [u8; 32]) -> [u8; 32] {
    for word in hash.chunks_exact_mut(4) {
        word.reverse();
    }
    hash
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
