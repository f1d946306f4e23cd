//! The hash clock: what register 0x08 makes of the 25 MHz crystal. Only decoding; choosing dividers is the driver's work.

use crate::{report::Notice, silicon::Silicon};

/// A hash clock as an exact fraction of the crystal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    /// Feedback divider.
    pub(crate) num: u64,
    /// Product of reference and post dividers, never zero.
    pub(crate) den: u64,
}

impl Clock {
    /// Reads the PLL register.
    ///
    /// # Errors
    ///
    /// What is wrong with it when the chip would have no clock.
    pub(crate) fn from_register(silicon: &Silicon, value: u32) -> Result<Self, Notice> {
        // Both published top nibbles, 4 and 5, carry this bit; nothing is known to run without it.
        if value & 0x4000_0000 == 0 {
            return Err(Notice::PllOff);
        }
        let plus = u64::from(silicon.post_minus_one);
        let feedback = u64::from(value >> 16 & 0xFFF);
        let reference = u64::from(value >> 8 & 0x3F);
        let post1 = u64::from(value >> 4 & 0xF) + plus;
        let post2 = u64::from(value & 0xF) + plus;
        let den = reference * post1 * post2;
        if feedback == 0 || den == 0 {
            return Err(Notice::PllZeroDivider);
        }
        let (low, high) = silicon.vco_mhz;
        let vco = 25 * feedback;
        if vco < u64::from(low) * reference || vco > u64::from(high) * reference {
            return Err(Notice::VcoOutOfRange);
        }
        Ok(Self { num: feedback, den })
    }

    /// Frequency in Hz.
    pub(crate) fn hz(self) -> f64 {
        crate::silicon::CRYSTAL_HZ as f64 * self.num as f64 / self.den as f64
    }

    /// Whole hash clocks in a number of crystal ticks.
    pub(crate) fn clocks(self, ticks: u64) -> u64 {
        clamp(u128::from(ticks) * u128::from(self.num) / u128::from(self.den))
    }

    /// Crystal ticks until that many hash clocks have passed, rounded up.
    pub(crate) fn ticks(self, clocks: u64) -> u64 {
        clamp((u128::from(clocks) * u128::from(self.den)).div_ceil(u128::from(self.num)))
    }
}

fn clamp(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{silicon::silicon, spec::Chip};

    fn mhz(chip: Chip, value: u32) -> Result<f64, Notice> {
        Clock::from_register(silicon(chip), value).map(|clock| clock.hz() / 1e6)
    }

    #[test]
    fn published_divider_words_decode_to_their_frequencies() {
        for (chip, value, expected) in [
            (Chip::Bm1397, 0x403C_0253, 50.0),
            (Chip::Bm1397, 0x403F_0272, 56.25),
            (Chip::Bm1397, 0x4044_0221, 425.0),
            (Chip::Bm1397, 0x40C2_0251, 485.0),
            (Chip::Bm1397, 0x4060_0221, 600.0),
            (Chip::Bm1366, 0x40A8_0265, 50.0),
            (Chip::Bm1366, 0x50C2_0240, 485.0),
            (Chip::Bm1366, 0x40A0_0230, 500.0),
            (Chip::Bm1368, 0x50C4_0240, 490.0),
            (Chip::Bm1370, 0x40AF_0264, 62.5),
            (Chip::Bm1370, 0x40A8_0230, 525.0),
            (Chip::Bm1370, 0x50C0_0220, 800.0),
            (Chip::Bm1372, 0x40A4_0240, 410.0),
        ] {
            assert_eq!(mhz(chip, value), Ok(expected), "{chip} {value:08X}");
        }
    }

    #[test]
    fn impossible_dividers_give_no_clock() {
        assert_eq!(mhz(Chip::Bm1370, 0x50E4_0142), Err(Notice::VcoOutOfRange));
        assert_eq!(mhz(Chip::Bm1370, 0x403C_0210), Err(Notice::VcoOutOfRange));
        assert_eq!(mhz(Chip::Bm1370, 0x40A8_0030), Err(Notice::PllZeroDivider));
        assert_eq!(mhz(Chip::Bm1397, 0x4044_0201), Err(Notice::PllZeroDivider));
        assert_eq!(mhz(Chip::Bm1370, 0x0000_0000), Err(Notice::PllOff));
    }

    #[test]
    fn ticks_and_clocks_are_inverse() {
        let clock = Clock { num: 168, den: 8 };
        assert_eq!(clock.clocks(25_000_000), 525_000_000);
        assert_eq!(clock.ticks(525_000_000), 25_000_000);
        assert_eq!(clock.ticks(1), 1);
        assert_eq!(clock.clocks(clock.ticks(22)), 42);
    }
}
