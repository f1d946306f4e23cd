//! Targets as exact 256-bit numbers, and their relation to difficulty and nbits.

use thiserror::Error;

use crate::difficulty::Difficulty;

/// A share or block target: a hash, read as a little-endian 256-bit number, meets it when it
/// is not greater.
///
/// Targets are ordered as numbers: the greater one is the easier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(sha256d::Bound);

impl Target {
    /// The target that every hash meets.
    pub const MAX: Self = Self(sha256d::Bound::MAX);

    /// The target of difficulty 1: `0xffff · 2^208`.
    pub const DIFFICULTY_1: Self = Self::from_words([0xffff_0000, 0, 0, 0]);

    /// The target of a difficulty: exactly `floor(0xffff · 2^208 / d)` for the very number
    /// that the float `d` stands for, or [`Target::MAX`] if that does not fit in 256 bits.
    #[must_use]
    pub fn from_difficulty(difficulty: Difficulty) -> Self {
        let (divisor, exponent) = decompose(difficulty.get());
        // 0xffff · 2^208 / (divisor · 2^exponent) = 0xffff · 2^shift / divisor
        let shift = 208 - exponent;
        if shift < 0 {
            // At least 2^209 times the divisor: only numbers of up to 16 bits remain.
            let quotient = 0xffff_u64.checked_shr(shift.unsigned_abs()).unwrap_or(0) / divisor;
            return Self::from_words([0, 0, 0, quotient]);
        }
        let mut quotient = [0, 0, 0, 0xffff / divisor];
        let mut remainder = 0xffff % divisor;
        let mut left = shift.unsigned_abs();
        // Long division, up to 64 binary digits at a time; the remainder has 53 bits at most.
        while left > 0 {
            let digits = left.min(64);
            let dividend = u128::from(remainder) << digits;
            let Some(shifted) = shl(quotient, digits) else {
                return Self::MAX;
            };
            quotient = shifted;
            // The remainder is below the divisor, so this has no more than `digits` bits.
            quotient[3] |= (dividend / u128::from(divisor)) as u64;
            remainder = (dividend % u128::from(divisor)) as u64;
            left -= digits;
        }
        Self::from_words(quotient)
    }

    /// The target of a block's compact `nbits`.
    ///
    /// # Errors
    ///
    /// If the number is negative, zero or has more than 256 bits.
    pub fn from_nbits(nbits: u32) -> Result<Self, NbitsError> {
        let mantissa = u64::from(nbits & 0x007f_ffff);
        let size = nbits >> 24;
        if nbits & 0x0080_0000 != 0 {
            return Err(NbitsError::Negative(nbits));
        }
        let words = if size <= 3 {
            Some([0, 0, 0, mantissa >> (8 * (3 - size))])
        } else {
            shl([0, 0, 0, mantissa], 8 * (size - 3))
        };
        match words {
            None if mantissa != 0 => Err(NbitsError::Overflow(nbits)),
            None | Some([0, 0, 0, 0]) => Err(NbitsError::Zero(nbits)),
            Some(words) => Ok(Self::from_words(words)),
        }
    }

    /// The target that asks for `zero_bits` leading zero bits and nothing else:
    /// `2^(256 - zero_bits) - 1`. Chips test their tickets this way. From 256 on it is zero.
    #[must_use]
    pub fn from_zero_bits(zero_bits: u32) -> Self {
        let mut bytes = [0; 32];
        for (i, byte) in (0..).zip(&mut bytes) {
            let gone = zero_bits.saturating_sub(8 * i);
            *byte = 0xff_u8.checked_shr(gone).unwrap_or(0);
        }
        Self::from_be_bytes(bytes)
    }

    /// A target from its big-endian bytes, as people and displays write it.
    #[must_use]
    pub const fn from_be_bytes(bytes: [u8; 32]) -> Self {
        Self(sha256d::Bound::from_be_bytes(bytes))
    }

    /// The target as big-endian bytes.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// A target from little-endian bytes, the order of hashes in headers and of targets in
    /// Stratum V2.
    #[must_use]
    pub fn from_le_bytes(mut bytes: [u8; 32]) -> Self {
        bytes.reverse();
        Self::from_be_bytes(bytes)
    }

    /// Whether `hash`, in header byte order, meets this target.
    #[must_use]
    pub fn is_met_by(&self, hash: &[u8; 32]) -> bool {
        self.0.is_met_by(hash)
    }

    /// The target `2^bits` times as easy, at most [`Target::MAX`].
    #[must_use]
    pub fn easier_by_bits(self, bits: u32) -> Self {
        shl(self.words(), bits).map_or(Self::MAX, Self::from_words)
    }

    /// The target's difficulty, rounded to a float. The zero target's is infinite.
    #[must_use]
    pub fn difficulty(self) -> f64 {
        let Some((top, exponent)) = self.top_bits() else {
            return f64::INFINITY;
        };
        // Division by the 64 most significant bits alone keeps the quotient 2^11 times more
        // precise than a float can show.
        let quotient = (0xffff_u128 << 112) / u128::from(top);
        quotient as f64 * 2f64.powi(208 - 112 - exponent)
    }

    /// How many hashes it takes on average to meet this target once: `2^256 / (target + 1)`.
    #[must_use]
    pub fn expected_hashes(self) -> f64 {
        2f64.powi(256) / (self.to_f64() + 1.0)
    }

    /// The same bound for scans.
    #[must_use]
    pub const fn bound(&self) -> &sha256d::Bound {
        &self.0
    }

    fn to_f64(self) -> f64 {
        self.top_bits()
            .map_or(0.0, |(top, exponent)| top as f64 * 2f64.powi(exponent))
    }

    /// The 64 most significant bits, the first of them a one, and the power of two that they
    /// are multiplied by. `None` for zero.
    fn top_bits(self) -> Option<(u64, i32)> {
        let zeros = leading_zeros(self.words());
        let [top, ..] = shl(self.words(), zeros)?;
        (top != 0).then_some((top, 192 - zeros as i32))
    }

    /// Big-endian 64-bit words.
    fn words(self) -> [u64; 4] {
        let bytes = self.to_be_bytes();
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        words
    }

    const fn from_words(words: [u64; 4]) -> Self {
        let mut bytes = [0; 32];
        let mut i = 0;
        while i < 32 {
            bytes[i] = (words[i / 8] >> (56 - 8 * (i % 8))) as u8;
            i += 1;
        }
        Self::from_be_bytes(bytes)
    }
}

/// The difficulty of a hash in header byte order: the greatest that it would have met,
/// rounded to a float.
#[must_use]
pub fn hash_difficulty(hash: &[u8; 32]) -> f64 {
    Target::from_le_bytes(*hash).difficulty()
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({self})")
    }
}

/// 64 hexadecimal digits, most significant first.
impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.words()
            .iter()
            .try_for_each(|word| write!(f, "{word:016x}"))
    }
}

/// Compact bits that stand for no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NbitsError {
    /// The sign bit is set.
    #[error("nbits {0:08x} stands for a negative target")]
    Negative(u32),
    /// The target would need more than 256 bits.
    #[error("nbits {0:08x} stands for a target of more than 256 bits")]
    Overflow(u32),
    /// The target is zero, which no hash meets.
    #[error("nbits {0:08x} stands for a target of zero")]
    Zero(u32),
}

/// A positive finite float as `mantissa · 2^exponent`, exactly; the mantissa is not zero.
fn decompose(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = ((bits >> 52) & 0x7ff) as i32;
    let (mantissa, exponent) = match exponent {
        0 => (fraction, -1074),
        _ => (fraction | 1 << 52, exponent - 1075),
    };
    (mantissa.max(1), exponent)
}

/// `words · 2^bits` for big-endian words, unless bits are lost at the top.
fn shl(words: [u64; 4], bits: u32) -> Option<[u64; 4]> {
    if bits > leading_zeros(words) {
        return (words == [0; 4]).then_some(words);
    }
    let (skip, bits) = ((bits / 64) as usize, bits % 64);
    let at = |i: usize| words.get(i).copied().unwrap_or(0);
    let mut shifted = [0; 4];
    for (i, word) in shifted.iter_mut().enumerate() {
        let low = at(i + skip + 1).checked_shr(64 - bits).unwrap_or(0);
        *word = at(i + skip) << bits | low;
    }
    Some(shifted)
}

fn leading_zeros(words: [u64; 4]) -> u32 {
    match words.iter().position(|&word| word != 0) {
        Some(i) => 64 * i as u32 + words[i].leading_zeros(),
        None => 256,
    }
}
