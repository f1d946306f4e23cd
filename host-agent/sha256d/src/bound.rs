use crate::Hash;

/// The greatest hash that counts as a hit, as a 256-bit number.
///
/// A hash is read as a little-endian number, as Bitcoin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bound([u8; 32]);

impl Bound {
    /// The bound that every hash meets.
    pub const MAX: Self = Self([0xff; 32]);

    /// A bound from its big-endian bytes (most significant first).
    #[must_use]
    pub const fn from_be_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bound as big-endian bytes.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The most significant 32 bits: no hash whose last word is greater can meet the bound.
    #[must_use]
    pub const fn top_word(&self) -> u32 {
        u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]])
    }

    /// Whether `hash`, in header order, is not greater than this bound.
    #[must_use]
    pub fn is_met_by(&self, hash: &Hash) -> bool {
        hash.iter().rev().le(self.0.iter())
    }
}
