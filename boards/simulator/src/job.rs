//! Jobs as chips hold them, and the hashing itself: from a job frame's payload to block headers, their double SHA-256 and
//! the ticket test. Pure functions of bytes; tests use them to judge a driver's frames without mining.

use sha2::block_api::compress256;
use thiserror::Error;

use crate::{
    crc::crc16,
    rng::mix,
    silicon::{IdLayout, Silicon, Walk, silicon},
    spec::Chip,
};

/// SHA-256's initial state.
const INITIAL: [u32; 8] = [
    0x6A09_E667,
    0xBB67_AE85,
    0x3C6E_F372,
    0xA54F_F53A,
    0x510E_527F,
    0x9B05_688C,
    0x1F83_D9AB,
    0x5BE0_CD19,
];

/// One job: a header template (or its midstates) as decoded from a frame.
#[derive(Debug, Clone)]
pub struct Job {
    id: u8,
    material: Material,
    /// The last 16 header bytes with a zero nonce.
    tail: [u8; 16],
    /// Nonce bytes of the frame's starting nonce, normally zero.
    first_nonce: [u8; 4],
    /// Names the search space: equal for equal header material, whatever the job id.
    key: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    /// The first 64 header bytes.
    Header(Box<[u8; 64]>),
    /// One or four ready midstates.
    Midstates(Vec<[u32; 8]>),
}

/// Why bytes are not a job for a chip.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JobError {
    /// Preamble or header byte missing.
    #[error("a job frame starts with 55 AA 21")]
    NotAJob,
    /// Total length does not fit the chip's job format.
    #[error("a job of {got} bytes; this chip takes {expected}")]
    Length {
        /// Payload bytes found.
        got: usize,
        /// Payload bytes expected.
        expected: &'static str,
    },
    /// CRC16 mismatch.
    #[error("job checksum {got:04X}, computed {computed:04X}")]
    Crc {
        /// In the frame.
        got: u16,
        /// Over the bytes received.
        computed: u16,
    },
    /// Midstate count other than 1 or 4, or more than the frame holds.
    #[error("{0} midstates; a frame holds 1 or 4")]
    MidstateCount(u8),
}

impl Job {
    /// Reads a whole job frame, preamble and checksum included.
    ///
    /// # Errors
    ///
    /// [`JobError`] when the frame is not a job, is damaged, or is in the format of another chip.
    pub fn from_frame(chip: Chip, frame: &[u8]) -> Result<Self, JobError> {
        let [0x55, 0xAA, body @ ..] = frame else {
            return Err(JobError::NotAJob);
        };
        let [0x21, _, ..] = body else {
            return Err(JobError::NotAJob);
        };
        let Some((covered, crc)) = body.split_last_chunk::<2>() else {
            return Err(JobError::NotAJob);
        };
        let (got, computed) = (u16::from_be_bytes(*crc), crc16(covered));
        if got != computed {
            return Err(JobError::Crc { got, computed });
        }
        Self::from_payload(silicon(chip), covered.get(2..).unwrap_or_default())
    }

    /// Reads the bytes between length and checksum.
    pub(crate) fn from_payload(silicon: &Silicon, payload: &[u8]) -> Result<Self, JobError> {
        if silicon.walk == Walk::Midstates {
            Self::midstates(payload)
        } else {
            Self::header_material(payload)
        }
    }

    /// The job byte of the frame.
    pub fn id(&self) -> u8 {
        self.id
    }

    /// Midstates to search: 1 or 4 on BM1397, 1 elsewhere.
    pub fn midstate_count(&self) -> u8 {
        match &self.material {
            Material::Header(_) => 1,
            Material::Midstates(states) => states.len() as u8,
        }
    }

    /// The 80-byte header for four nonce bytes and 16 rolled version bits, in block order. None on midstate jobs, whose
    /// first 64 bytes the chip never learns.
    pub fn header(&self, nonce: [u8; 4], version_bits: u16) -> Option<[u8; 80]> {
        let Material::Header(first) = &self.material else {
            return None;
        };
        let mut header = [0; 80];
        header[..64].copy_from_slice(&roll(first, version_bits));
        header[64..76].copy_from_slice(&self.tail[..12]);
        header[76..].copy_from_slice(&nonce);
        Some(header)
    }

    /// Double SHA-256 for nonce bytes as they stand in the header. `variant` is the 16 rolled version bits of a header job,
    /// or the index of the midstate. The digest is in SHA-256 output order, so small hashes end in zeros.
    pub fn hash(&self, nonce: [u8; 4], variant: u16) -> [u8; 32] {
        self.hash_from(self.midstate(variant), nonce)
    }

    /// The same with a cache that saves the midstate of versions seen lately.
    pub(crate) fn hash_cached(
        &self,
        cache: &mut MidstateCache,
        nonce: [u8; 4],
        variant: u16,
    ) -> [u8; 32] {
        let tag = (self.key, variant);
        let slot = &mut cache.0[usize::from(variant) % MidstateCache::SLOTS];
        let state = match slot {
            Some((of, state)) if *of == tag => *state,
            _ => slot.insert((tag, self.midstate(variant))).1,
        };
        self.hash_from(state, nonce)
    }

    fn hash_from(&self, state: [u32; 8], nonce: [u8; 4]) -> [u8; 32] {
        let mut block = [0; 64];
        block[..12].copy_from_slice(&self.tail[..12]);
        block[12..16].copy_from_slice(&nonce);
        block[16] = 0x80;
        block[62..].copy_from_slice(&640_u16.to_be_bytes());
        let first = digest(state, &block);
        let mut block = [0; 64];
        block[..32].copy_from_slice(&first);
        block[32] = 0x80;
        block[62..].copy_from_slice(&256_u16.to_be_bytes());
        digest(INITIAL, &block)
    }

    /// Where the counters begin, in nonce bits as the chip orders them.
    pub(crate) fn first_nonce(&self) -> u32 {
        u32::from_be_bytes(self.first_nonce)
    }

    /// Names the header material.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// The id byte of a reply to this job.
    pub(crate) fn reply_id(&self, layout: IdLayout, low: u8) -> u8 {
        match layout {
            IdLayout::High6 => self.id & 0xFC | low & 0x03,
            IdLayout::High5 => self.id & 0xF8 | low & 0x07,
            IdLayout::Mid4 => (self.id & 0x78) << 1 | low & 0x0F,
        }
    }

    fn midstate(&self, variant: u16) -> [u32; 8] {
        match &self.material {
            Material::Midstates(states) => states[usize::from(variant) % states.len()],
            Material::Header(first) => {
                let mut state = INITIAL;
                compress256(&mut state, &[roll(first, variant)]);
                state
            }
        }
    }

    fn header_material(payload: &[u8]) -> Result<Self, JobError> {
        let wrong = JobError::Length {
            got: payload.len(),
            expected: "82",
        };
        let payload: &[u8; 82] = payload.try_into().map_err(|_| wrong)?;
        let mut first = [0; 64];
        first[..4].copy_from_slice(&payload[78..]);
        let previous = reverse_words(&payload[46..78]);
        let merkle = reverse_words(&payload[14..46]);
        first[4..36].copy_from_slice(&previous);
        first[36..].copy_from_slice(&merkle[..28]);
        let mut tail = [0; 16];
        tail[..4].copy_from_slice(&merkle[28..]);
        tail[4..8].copy_from_slice(&payload[10..14]);
        tail[8..12].copy_from_slice(&payload[6..10]);
        let first_nonce = [payload[2], payload[3], payload[4], payload[5]];
        let key = fingerprint(&[&first, &tail]);
        Ok(Self {
            id: payload[0],
            material: Material::Header(Box::new(first)),
            tail,
            first_nonce,
            key,
        })
    }

    fn midstates(payload: &[u8]) -> Result<Self, JobError> {
        if payload.len() != 146 && payload.len() != 50 {
            return Err(JobError::Length {
                got: payload.len(),
                expected: "146 (or 50 with a single midstate)",
            });
        }
        let count = payload[1];
        if !matches!(count, 1 | 4) || 18 + 32 * usize::from(count) > payload.len() {
            return Err(JobError::MidstateCount(count));
        }
        let states: Vec<[u32; 8]> = payload[18..]
            .chunks_exact(32)
            .take(usize::from(count))
            .map(|bytes| {
                let mut state = [0; 8];
                for (word, chunk) in state.iter_mut().rev().zip(bytes.chunks_exact(4)) {
                    *word = u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
                }
                state
            })
            .collect();
        let mut tail = [0; 16];
        tail[..4].copy_from_slice(&payload[14..18]);
        tail[4..8].copy_from_slice(&payload[10..14]);
        tail[8..12].copy_from_slice(&payload[6..10]);
        let first_nonce = [payload[2], payload[3], payload[4], payload[5]];
        let key = fingerprint(&[&payload[18..18 + 32 * usize::from(count)], &tail]);
        Ok(Self {
            id: payload[0],
            material: Material::Midstates(states),
            tail,
            first_nonce,
            key,
        })
    }
}

/// Midstates of versions seen lately; chips of a chain walk through the same versions side by side.
#[derive(Debug)]
pub(crate) struct MidstateCache(Box<[Option<CachedMidstate>; MidstateCache::SLOTS]>);

/// A midstate and the job and variant it belongs to.
type CachedMidstate = ((u64, u16), [u32; 8]);

impl MidstateCache {
    const SLOTS: usize = 64;
}

impl Default for MidstateCache {
    fn default() -> Self {
        Self(Box::new([None; Self::SLOTS]))
    }
}

/// What a hash must look like to be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Bits of the hash's top 64 that must be zero.
    mask: u64,
    /// Number of bits in it, less what the scale could not remove.
    zero_bits: u32,
}

impl Ticket {
    /// Reads register 0x14: each byte bit-reversed, each set bit one more zero beyond the built-in 32, `scale_bits` fewer.
    pub(crate) fn new(register: u32, scale_bits: u8) -> Self {
        let extra = u32::from_be_bytes(register.to_be_bytes().map(u8::reverse_bits));
        let full = 0xFFFF_FFFF_u64 << 32 | u64::from(extra.reverse_bits());
        let mask = full.checked_shl(u32::from(scale_bits)).unwrap_or(0);
        Self {
            mask,
            zero_bits: mask.leading_ones(),
        }
    }

    /// How far a hash lies above the ticket in half bits, none if it fails.
    pub(crate) fn margin(self, hash: &[u8; 32]) -> Option<u8> {
        let mut top = [0; 8];
        for (to, from) in top.iter_mut().zip(hash.iter().rev()) {
            *to = *from;
        }
        let top = u64::from_be_bytes(top);
        if top & self.mask != 0 {
            return None;
        }
        let zeros = top.leading_zeros();
        // The part below one whole bit: a mantissa up to the square root of two is the better half.
        let mantissa = if top == 0 { 0 } else { top << zeros };
        let half = u32::from(mantissa <= 0xB504_F333_F9DE_6484);
        Some(u8::try_from(2 * zeros.saturating_sub(self.zero_bits) + half).unwrap_or(u8::MAX))
    }
}

/// The first 64 header bytes with version bits 28..13 rolled in.
fn roll(first: &[u8; 64], version_bits: u16) -> [u8; 64] {
    let mut block = *first;
    let version = u32::from_le_bytes([block[0], block[1], block[2], block[3]])
        | u32::from(version_bits) << 13;
    block[..4].copy_from_slice(&version.to_le_bytes());
    block
}

/// Undoes the wire order of a hash: eight words in reverse, bytes inside each unchanged.
fn reverse_words(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.chunks_exact_mut(4).zip(bytes.chunks_exact(4).rev()) {
        to.copy_from_slice(from);
    }
    out
}

fn digest(mut state: [u32; 8], block: &[u8; 64]) -> [u8; 32] {
    compress256(&mut state, &[*block]);
    let mut out = [0; 32];
    for (to, word) in out.chunks_exact_mut(4).zip(state) {
        to.copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn fingerprint(parts: &[&[u8]]) -> u64 {
    let mut key = 0;
    for part in parts {
        for chunk in part.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            key = mix(key, u64::from_le_bytes(word), 1);
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_with_top(top: u64) -> [u8; 32] {
        let mut hash = [0x5A; 32];
        for (to, from) in hash.iter_mut().rev().zip(top.to_be_bytes()) {
            *to = from;
        }
        hash
    }

    #[test]
    fn ticket_bytes_are_bit_reversed() {
        for (register, bits) in [
            (0, 32),
            (0xFF, 40),
            (0x80FF, 41),
            (0xC0FF, 42),
            (0xF0FF, 44),
            (0xF0, 36),
        ] {
            let ticket = Ticket::new(register, 0);
            assert_eq!(
                ticket.margin(&hash_with_top(u64::MAX >> bits)),
                Some(0),
                "{register:X}"
            );
            assert_eq!(
                ticket.margin(&hash_with_top(1 << (64 - bits))),
                None,
                "{register:X}"
            );
        }
    }

    #[test]
    fn scale_asks_for_fewer_zero_bits() {
        let ticket = Ticket::new(0xFF, 30);
        assert_eq!(ticket.margin(&hash_with_top(u64::MAX >> 10)), Some(0));
        assert_eq!(ticket.margin(&hash_with_top(u64::MAX >> 9)), None);
        assert_eq!(
            Ticket::new(0xFF, 40).margin(&hash_with_top(u64::MAX)),
            Some(0)
        );
    }

    #[test]
    fn margin_counts_half_bits() {
        let ticket = Ticket::new(0xFF, 0);
        assert_eq!(
            ticket.margin(&hash_with_top(0x0000_0000_0003_FFFF)),
            Some(12)
        );
        // One and a half times a power of two is beyond the square root of two, 1.4 times is not.
        assert_eq!(
            ticket.margin(&hash_with_top(0x0000_0000_00C0_0000)),
            Some(0)
        );
        assert_eq!(
            ticket.margin(&hash_with_top(0x0000_0000_00B0_0000)),
            Some(1)
        );
    }
}
