//! Difficulty as pools state it.

use thiserror::Error;

/// How many times harder than the difficulty-1 target a target is; finite and greater than
/// zero.
///
/// Pools send fractions with any number of digits as well as integers. On average one hash
/// in `difficulty · 2^48 / 0xffff`, which is about `difficulty · 2^32`, meets it.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Difficulty(f64);

impl Difficulty {
    /// The target with 0xffff behind 32 zero bits.
    pub const ONE: Self = Self(1.0);

    /// Checks a number.
    ///
    /// # Errors
    ///
    /// If it is zero, negative, infinite or not a number.
    pub fn new(difficulty: f64) -> Result<Self, DifficultyError> {
        if difficulty.is_finite() && difficulty > 0.0 {
            Ok(Self(difficulty))
        } else {
            Err(DifficultyError(difficulty))
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Difficulty {
    type Error = DifficultyError;

    fn try_from(difficulty: f64) -> Result<Self, DifficultyError> {
        Self::new(difficulty)
    }
}

impl std::fmt::Display for Difficulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that is no difficulty.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("difficulty is {0}, but must be a finite number greater than zero")]
pub struct DifficultyError(pub f64);
