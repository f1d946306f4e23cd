use crate::Hash;

/// The SHA-256 state after the first 64 bytes of a header: state words a to h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Midstate(pub [u32; 8]);

/// A header without its nonce, reduced to what nonce search and verification need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    /// State after header bytes 0..64.
    pub midstate: Midstate,
    /// Header bytes 64..76 as big-endian words: end of the merkle root, ntime, nbits.
    pub tail: [u32; 3],
}

impl Template {
    /// A template from a known midstate and header bytes 64..76.
    #[must_use]
    pub fn new(midstate: Midstate, tail: &[u8; 12]) -> Self {
        let word = |i: usize| u32::from_be_bytes([tail[i], tail[i + 1], tail[i + 2], tail[i + 3]]);
        Self {
            midstate,
            tail: [word(0), word(4), word(8)],
        }
    }
}

/// One nonce to be hashed in a batch, each with a template of its own.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The header without its nonce.
    pub template: &'a Template,
    /// The nonce, as the number that stands little-endian in the header.
    pub nonce: u32,
}

/// A nonce whose hash meets the bound of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The nonce, as the number that stands little-endian in the header.
    pub nonce: u32,
    /// The header's hash.
    pub hash: Hash,
}
