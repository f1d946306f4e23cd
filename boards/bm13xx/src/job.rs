//! Jobs as they go over the wire: the full header for chips that roll versions themselves, midstates
//! for the BM1397.
//!
//! Numbers are little-endian as in the block header. Hashes and midstates go with the order of
//! their eight 4-byte words reversed, the bytes inside each word unchanged.

use crate::frame::Frame;

/// Bytes of a full-header job without header, length and checksum.
pub const HEADER_PAYLOAD: usize = 82;
/// Bytes of a midstate job without header, length and checksum.
pub const MIDSTATE_PAYLOAD: usize = 146;
/// Midstates that a job can carry.
pub const MAX_MIDSTATES: usize = 4;

/// A block header without its nonce, in header order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderJob {
    /// Base version. Bits that the chip may roll have to be 0 here: the chip ORs its bits in.
    pub version: u32,
    /// Hash of the previous block, bytes as in the header.
    pub prev_hash: [u8; 32],
    /// Merkle root, bytes as in the header.
    pub merkle_root: [u8; 32],
    /// Block time.
    pub ntime: u32,
    /// Compact target.
    pub nbits: u32,
}

/// The frame of a full-header job with the job id `wire_id`; see
/// [`ChipModel::wire_id`](crate::ChipModel::wire_id).
#[must_use]
pub fn header_frame(wire_id: u8, job: &HeaderJob) -> Frame {
    let mut payload = [0; HEADER_PAYLOAD];
    payload[0] = wire_id;
    // Number of midstates; always one in this format.
    payload[1] = 1;
    // Bytes 2..6: the starting nonce, always 0.
    payload[6..10].copy_from_slice(&job.nbits.to_le_bytes());
    payload[10..14].copy_from_slice(&job.ntime.to_le_bytes());
    payload[14..46].copy_from_slice(&reverse_words(&job.merkle_root));
    payload[46..78].copy_from_slice(&reverse_words(&job.prev_hash));
    payload[78..82].copy_from_slice(&job.version.to_le_bytes());
    Frame::job(&payload)
}

/// The frame of a midstate job with the job id `wire_id`.
///
/// A midstate is the SHA-256 state after the first 64 header bytes, natural word order. One or four
/// make a job: two and three are filled up with zeros, which find nothing, and more than four are cut.
#[must_use]
pub fn midstate_frame(
    wire_id: u8,
    midstates: &[[u32; 8]],
    merkle_tail: [u8; 4],
    ntime: u32,
    nbits: u32,
) -> Frame {
    let mut payload = [0; MIDSTATE_PAYLOAD];
    payload[0] = wire_id;
    payload[1] = if midstates.len() > 1 {
        MAX_MIDSTATES as u8
    } else {
        1
    };
    payload[6..10].copy_from_slice(&nbits.to_le_bytes());
    payload[10..14].copy_from_slice(&ntime.to_le_bytes());
    payload[14..18].copy_from_slice(&merkle_tail);
    for (room, midstate) in payload[18..].chunks_exact_mut(32).zip(midstates) {
        for (word, state) in room.chunks_exact_mut(4).zip(midstate.iter().rev()) {
            word.copy_from_slice(&state.to_be_bytes());
        }
    }
    Frame::job(&payload)
}

fn reverse_words(hash: &[u8; 32]) -> [u8; 32] {
    let mut reversed = [0; 32];
    for (to, from) in reversed.chunks_exact_mut(4).zip(hash.rchunks_exact(4)) {
        to.copy_from_slice(from);
    }
    reversed
}
