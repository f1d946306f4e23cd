//! Quantities with a unit, so that a clock is never mistaken for a baud rate.

use core::fmt;

/// A hash clock in megahertz.
///
/// Never negative, never NaN. Fractions matter: 25 MHz × 183 / 14 is 326.785714… MHz.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Megahertz(f64);

impl Megahertz {
    /// A clock of `mhz` megahertz. Values that are no clock (negative, NaN, infinite) become 0, which
    /// every PLL refuses.
    #[must_use]
    pub const fn new(mhz: f64) -> Self {
        if mhz > 0.0 && mhz < f64::INFINITY {
            Self(mhz)
        } else {
            Self(0.0)
        }
    }

    /// The clock in megahertz.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The clock in hertz.
    #[must_use]
    pub const fn hz(self) -> f64 {
        self.0 * 1e6
    }
}

impl fmt::Display for Megahertz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} MHz", self.0)
    }
}

/// A UART rate in bits per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Baud(u32);

impl Baud {
    /// The rate at which every chip talks after reset: 25 MHz / (8 × 27) = 115 740, half a percent
    /// from the 115 200 that a host can set.
    pub const RESET: Self = Self(115_200);

    /// A rate of `bits_per_second`.
    #[must_use]
    pub const fn new(bits_per_second: u32) -> Self {
        Self(bits_per_second)
    }

    /// The rate in bits per second.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Baud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} baud", self.0)
    }
}

/// The one-byte address by which a chip of a chain is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChipAddress(u8);

impl ChipAddress {
    /// The address `byte`; any value is possible on the wire.
    #[must_use]
    pub const fn new(byte: u8) -> Self {
        Self(byte)
    }

    /// The address byte.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl fmt::Display for ChipAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02X}", self.0)
    }
}

/// The nonce filter inside the chips: how many zero bits a hash needs, beyond the 32 that are built
/// in, before the chip reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketMask(u8);

impl TicketMask {
    /// Difficulty 256, which Bitaxe boards use for every chip.
    pub const DIFFICULTY_256: Self = Self(8);

    /// A filter of `bits` zero bits beyond 32; more than 32 counts as 32.
    #[must_use]
    pub const fn from_extra_zero_bits(bits: u8) -> Self {
        Self(if bits > 32 { 32 } else { bits })
    }

    /// The hardest filter that lets every share of `difficulty` through: the largest power of two at or
    /// below it. Below 2, and for NaN, that is difficulty 1.
    #[must_use]
    pub const fn from_difficulty(difficulty: f64) -> Self {
        let mut bits = 0;
        while bits < 32 && difficulty >= (1u64 << (bits + 1)) as f64 {
            bits += 1;
        }
        Self(bits)
    }

    /// Zero bits beyond the built-in 32 (0..=32).
    #[must_use]
    pub const fn extra_zero_bits(self) -> u8 {
        self.0
    }

    /// The share difficulty that the filter stands for, a power of two.
    #[must_use]
    pub const fn difficulty(self) -> u64 {
        1 << self.0
    }

    /// The value of register 0x14: 2^N − 1 with the bits of each byte reversed.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        let mask = ((1u64 << self.0) - 1) as u32;
        mask.reverse_bits().swap_bytes()
    }

    /// Reads a value of register 0x14, or `None` if it is not a run of low mask bits.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        let mask = bits.swap_bytes().reverse_bits();
        if mask & mask.wrapping_add(1) == 0 {
            Some(Self(mask.trailing_ones() as u8))
        } else {
            None
        }
    }
}

/// Which chips a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every chip of the chain.
    All,
    /// The chip at this index, counted from the host.
    Chip(u16),
}
