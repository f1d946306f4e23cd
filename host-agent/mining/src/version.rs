//! Version rolling: which header version bits may change, and how they are counted up.

/// A set of header version bits that may be rolled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct VersionMask(u32);

impl VersionMask {
    /// No rolling.
    pub const NONE: Self = Self(0);

    /// The 16 bits 28 to 13 that BIP 320 sets aside for miners; all that chips can roll.
    pub const BIP320: Self = Self(0x1fff_e000);

    /// The lowest bit of [`VersionMask::BIP320`].
    pub const CHIP_SHIFT: u32 = 13;

    /// A mask of these header version bits.
    #[must_use]
    pub const fn new(bits: u32) -> Self {
        Self(bits)
    }

    /// The mask as header version bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The part of the mask that chips can roll, as the 16-bit field of their registers and
    /// replies.
    #[must_use]
    pub const fn chip_field(self) -> u16 {
        (self.0 >> Self::CHIP_SHIFT) as u16
    }

    /// The bits of this mask that are zero in `version`: those where every way of combining
    /// rolled bits with a job's version gives the same header.
    #[must_use]
    pub const fn zero_in(self, version: u32) -> Self {
        Self(self.0 & !version)
    }

    /// How many different versions rolling gives, the unrolled one included.
    #[must_use]
    pub const fn unique_versions(self) -> u64 {
        1 << self.0.count_ones()
    }

    /// `version` with the number in the mask's bits one higher. It wraps at the end; bits
    /// outside the mask stay.
    #[must_use]
    pub const fn next(self, version: u32) -> u32 {
        // Ones outside the mask hand a carry on to the next bit inside.
        let counted = (version | !self.0).wrapping_add(1);
        (version & !self.0) | (counted & self.0)
    }

    /// `version` rolled `steps` times by [`next`](Self::next).
    #[must_use]
    pub fn nth(self, version: u32, steps: u8) -> u32 {
        (0..steps).fold(version, |version, _| self.next(version))
    }

    /// Whether no version occurs twice in `versions`, that is, no header is hashed twice.
    #[must_use]
    pub fn are_unique(versions: &[u32]) -> bool {
        let mut sorted = versions.to_vec();
        sorted.sort_unstable();
        sorted.windows(2).all(|pair| pair[0] != pair[1])
    }
}
