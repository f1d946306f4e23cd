//! Difficulty and target: exact 256-bit integers, because a share right at the border must be judged
//! like a real pool judges it. Difficulty 1 is the pool convention `ffff * 2^208`.

use crate::hash::BlockHash;

/// The mantissa of the target of difficulty 1; the target is this times `2^208`.
const DIFFICULTY_1_MANTISSA: u64 = 0xffff;
const DIFFICULTY_1_SHIFT: i32 = 208;

/// A share difficulty: finite and above zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Difficulty(f64);

/// The text that is not a difficulty.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("difficulty {0} is not usable: it must be finite and above zero")]
pub struct BadDifficulty(pub f64);

impl Difficulty {
    /// Difficulty 1: about 2^32 hashes a share.
    pub const ONE: Difficulty = Difficulty(1.0);

    /// Takes any finite number above zero.
    ///
    /// # Errors
    /// [`BadDifficulty`] with the number for zero, negative numbers, infinity and NaN.
    pub fn new(value: f64) -> Result<Difficulty, BadDifficulty> {
        if value.is_finite() && value > 0.0 {
            Ok(Difficulty(value))
        } else {
            Err(BadDifficulty(value))
        }
    }

    /// The number itself.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The number held between `low` and `high`; `low` wins if they are the wrong way round.
    pub(crate) fn between(self, low: Difficulty, high: Difficulty) -> Difficulty {
        Difficulty(self.0.min(high.0).max(low.0))
    }
}

/// A 256-bit bound: a hash read as a little-endian number must not exceed it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Most significant limb first, so that the derived order of arrays is the order of numbers.
    limbs: [u64; 4],
}

impl Target {
    /// The bound that every hash meets.
    pub const EASIEST: Target = Target {
        limbs: [u64::MAX; 4],
    };

    /// `floor(ffff * 2^208 / difficulty)`, computed exactly from the bits of the float and capped at
    /// [`Target::EASIEST`] (reached below a difficulty of about 2^-32).
    pub fn from_difficulty(difficulty: Difficulty) -> Target {
        let (mantissa, exponent) = split_float(difficulty.0);
        // The difficulty is mantissa * 2^exponent, so the quotient is ffff * 2^shift / mantissa. When
        // the shift is negative the dropped bits cannot reach the quotient's integer part.
        let shift = DIFFICULTY_1_SHIFT - exponent;
        let mut quotient = [0u64; 4];
        let mut remainder = 0u64;
        for step in 0..(16 + shift).max(0) {
            let bit = if step < 16 {
                DIFFICULTY_1_MANTISSA >> (15 - step) & 1
            } else {
                0
            };
            // The mantissa is below 2^53, so the doubled remainder fits.
            remainder = remainder << 1 | bit;
            let digit = u64::from(remainder >= mantissa);
            remainder -= mantissa * digit;
            if quotient[0] >> 63 == 1 {
                return Target::EASIEST;
            }
            shift_left_by_one(&mut quotient, digit);
        }
        Target { limbs: quotient }
    }

    /// The bound that a block header's `nbits` stands for; `None` for negative, zero or overflowing ones.
    pub fn from_nbits(nbits: u32) -> Option<Target> {
        let size = (nbits >> 24) as usize;
        let mantissa = nbits & 0x007f_ffff;
        if nbits & 0x0080_0000 != 0 || mantissa == 0 {
            return None;
        }
        let mut bytes = [0u8; 32];
        for (index, byte) in mantissa.to_be_bytes()[1..].iter().enumerate() {
            // The mantissa's first byte is worth 256^(size - 1).
            match (size.checked_sub(1 + index), byte) {
                (Some(power), byte) if power < 32 => bytes[31 - power] = *byte,
                (Some(_), 0) | (None, _) => {}
                (Some(_), _) => return None,
            }
        }
        let target = Target::from_be_bytes(bytes);
        (target.limbs != [0; 4]).then_some(target)
    }

    /// Whether a block with this hash meets the bound (equal counts).
    pub fn is_met_by(&self, hash: &BlockHash) -> bool {
        limbs_of(hash) <= self.limbs
    }

    /// The bound as 32 bytes, most significant first.
    pub fn to_be_bytes(self) -> [u8; 32] {
        let mut bytes = [0u8; 32];
        for (chunk, limb) in bytes.chunks_exact_mut(8).zip(self.limbs) {
            chunk.copy_from_slice(&limb.to_be_bytes());
        }
        bytes
    }

    /// The bound from 32 bytes, most significant first.
    pub fn from_be_bytes(bytes: [u8; 32]) -> Target {
        let mut limbs = [0u64; 4];
        for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
            *limb = chunk
                .iter()
                .fold(0, |value, byte| value << 8 | u64::from(*byte));
        }
        Target { limbs }
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d] = self.limbs;
        write!(f, "Target({a:016x}{b:016x}{c:016x}{d:016x})")
    }
}

/// The difficulty that this hash is worth, to float precision: for display and statistics, never for
/// judging. A hash of zero gives the largest float.
pub fn share_difficulty(hash: &BlockHash) -> f64 {
    let value = limbs_of(hash)
        .iter()
        .fold(0.0, |sum, limb| sum * 2f64.powi(64) + *limb as f64);
    let one = DIFFICULTY_1_MANTISSA as f64 * 2f64.powi(DIFFICULTY_1_SHIFT);
    (one / value).min(f64::MAX)
}

fn limbs_of(hash: &BlockHash) -> [u64; 4] {
    let mut bytes = hash.0;
    bytes.reverse();
    Target::from_be_bytes(bytes).limbs
}

/// Mantissa and power of two of a positive finite float.
fn split_float(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match (bits >> 52 & 0x7ff) as i32 {
        0 => (fraction, -1074),
        biased => (fraction | 1 << 52, biased - 1075),
    }
}

fn shift_left_by_one(limbs: &mut [u64; 4], low_bit: u64) {
    let mut carry = low_bit;
    for limb in limbs.iter_mut().rev() {
        let next = *limb >> 63;
        *limb = *limb << 1 | carry;
        carry = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(difficulty: f64) -> String {
        let difficulty = Difficulty::new(difficulty).expect("a difficulty");
        crate::hash::to_hex(&Target::from_difficulty(difficulty).to_be_bytes())
    }

    #[test]
    fn targets_equal_exact_rational_division() {
        // Computed apart with arbitrary-precision integers: ffff * 2^208 // Fraction(float).
        for (difficulty, expected) in include!("../tests/data/targets.in") {
            assert_eq!(target(difficulty), expected, "difficulty {difficulty:?}");
        }
    }

    #[test]
    fn nbits_follow_the_compact_form() {
        let full = |nbits| Target::from_nbits(nbits).map(|t| crate::hash::to_hex(&t.to_be_bytes()));
        assert_eq!(
            full(0x1d00_ffff).as_deref(),
            Some("00000000ffff0000000000000000000000000000000000000000000000000000")
        );
        assert_eq!(
            full(0x207f_ffff).as_deref(),
            Some("7fffff0000000000000000000000000000000000000000000000000000000000")
        );
        assert_eq!(
            full(0x0212_3456).as_deref(),
            Some("0000000000000000000000000000000000000000000000000000000000001234")
        );
        for refused in [
            0,
            0x1d80_ffff,
            0x2100_ffff + 0x0100_0000,
            0xff12_3456,
            0x0112,
        ] {
            assert_eq!(full(refused), None, "{refused:08x}");
        }
    }

    proptest! {
        #[test]
        fn harder_difficulties_never_have_easier_targets(a in 1e-12f64..1e15, b in 1e-12f64..1e15) {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            prop_assert!(target(low) >= target(high));
        }

        #[test]
        fn any_float_yields_a_target_or_an_error(bits: u64) {
            if let Ok(difficulty) = Difficulty::new(f64::from_bits(bits)) {
                let _ = Target::from_difficulty(difficulty);
            }
        }
    }
}
