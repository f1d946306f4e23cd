//! What a virtual chain is made of: the chip model, how many, at what scale, with how much noise. Everything here is plain
//! data that a board profile or a test fills in.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Chip models that can be simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Chip {
    /// S17 and Bitaxe Max: midstate jobs, versions rolled by the host.
    Bm1397,
    /// S19j Pro, EmberOne.
    Bm1362,
    /// S19 XP, S19k Pro, Bitaxe Ultra and Hex.
    Bm1366,
    /// S21, T21, Bitaxe Supra.
    Bm1368,
    /// S21 Pro, S21 XP, Bitaxe Gamma and GT.
    Bm1370,
    /// First of the generation with three address scales.
    Bm1372,
    /// The same silicon as [`Chip::Bm1372`] under another id.
    Bm1373,
}

impl Chip {
    /// Every model, oldest job format first.
    pub const ALL: [Chip; 7] = [
        Chip::Bm1397,
        Chip::Bm1362,
        Chip::Bm1366,
        Chip::Bm1368,
        Chip::Bm1370,
        Chip::Bm1372,
        Chip::Bm1373,
    ];

    /// The name as the field writes it, e.g. `BM1370`.
    pub fn name(self) -> &'static str {
        match self {
            Chip::Bm1397 => "BM1397",
            Chip::Bm1362 => "BM1362",
            Chip::Bm1366 => "BM1366",
            Chip::Bm1368 => "BM1368",
            Chip::Bm1370 => "BM1370",
            Chip::Bm1372 => "BM1372",
            Chip::Bm1373 => "BM1373",
        }
    }
}

impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Chip {
    type Err = SpecError;

    /// Reads a name such as `BM1370`; case does not matter.
    fn from_str(s: &str) -> Result<Self, SpecError> {
        Chip::ALL
            .into_iter()
            .find(|chip| chip.name().eq_ignore_ascii_case(s))
            .ok_or_else(|| SpecError::UnknownChip(s.to_owned()))
    }
}

/// A chain to simulate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChainSpec {
    /// Model of every chip.
    pub chip: Chip,
    /// Number of chips, 1..=128.
    pub chips: u16,
    /// Number of voltage domains in series, 1..=`chips`. Only reported so far: the wire does not depend on it.
    pub domains: u16,
    /// The simulation tests one header out of 2^`scale_bits` and asks for as many fewer zero bits; 0..=[`ChainSpec::MAX_SCALE_BITS`].
    pub scale_bits: u8,
    /// Seed of everything that differs between two runs or two chips: sweep overruns, noise, what garbled bytes look like.
    /// Which headers are hashed does not depend on it.
    pub seed: u64,
    /// Damage done to bytes on the line.
    pub noise: Noise,
}

impl ChainSpec {
    /// Largest scale: at 2^40 a difficulty-256 ticket has no zero bits left to ask for.
    pub const MAX_SCALE_BITS: u8 = 40;

    /// A quiet chain of one voltage domain and seed 0.
    pub fn new(chip: Chip, chips: u16, scale_bits: u8) -> Self {
        Self {
            chip,
            chips,
            domains: 1,
            scale_bits,
            seed: 0,
            noise: Noise::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), SpecError> {
        if self.chips == 0 || self.chips > 128 {
            return Err(SpecError::Chips(self.chips));
        }
        if self.domains == 0 || self.domains > self.chips {
            return Err(SpecError::Domains {
                domains: self.domains,
                chips: self.chips,
            });
        }
        if self.scale_bits > Self::MAX_SCALE_BITS {
            return Err(SpecError::ScaleBits(self.scale_bits));
        }
        for noise in [self.noise.to_chips, self.noise.to_host] {
            let parts = [noise.lost, noise.flipped, noise.split];
            // The negated form also refuses NaN.
            if !parts.iter().all(|p| (0.0..=1.0).contains(p)) || parts.iter().sum::<f64>() > 1.0 {
                return Err(SpecError::Noise(noise));
            }
        }
        Ok(())
    }
}

/// Damage to bytes, per direction.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Noise {
    /// Bytes from the host to the chips.
    pub to_chips: LineNoise,
    /// Bytes from the chips to the host.
    pub to_host: LineNoise,
}

/// Probabilities per byte, each 0..=1, together at most 1; a byte suffers at most one of them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LineNoise {
    /// The byte never arrives.
    pub lost: f64,
    /// One of its bits arrives inverted.
    pub flipped: f64,
    /// A glitch in the middle is taken for a start bit: two bytes arrive, each holding one half of the bits.
    pub split: f64,
}

/// What the host's serial port is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostBaud {
    /// A stream without a baud rate (TCP, a pipe, memory): always fits the chips.
    #[default]
    Unknown,
    /// Bits per second of a real port. More than 4.5 % away from the chips' rate, both sides read garbage.
    Rate(u32),
}

/// Why a [`ChainSpec`] cannot be simulated.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum SpecError {
    /// The name is none of [`Chip::ALL`].
    #[error(
        "unknown chip {0:?}; expected one of BM1397, BM1362, BM1366, BM1368, BM1370, BM1372, BM1373"
    )]
    UnknownChip(String),
    /// No chips, or more than addresses allow.
    #[error("a chain has 1 to 128 chips, not {0}")]
    Chips(u16),
    /// Domains do not fit the chip count.
    #[error("{chips} chips have 1 to {chips} voltage domains, not {domains}")]
    Domains {
        /// Domains asked for.
        domains: u16,
        /// Chips on the chain.
        chips: u16,
    },
    /// Scale beyond [`ChainSpec::MAX_SCALE_BITS`].
    #[error("scale_bits is 0 to {max}, not {0}", max = ChainSpec::MAX_SCALE_BITS)]
    ScaleBits(u8),
    /// A probability is outside 0..=1, or the sum exceeds 1.
    #[error("noise probabilities lie in 0..=1 and sum to at most 1, not {0:?}")]
    Noise(LineNoise),
}
