//! Quantities as integers, so that the guard computes the same on a microcontroller without floating point.

use core::fmt;
use core::time::Duration;

/// A temperature in hundredths of a degree Celsius: `CentiCelsius(7550)` is 75.5 °C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CentiCelsius(pub i32);

impl CentiCelsius {
    /// Whole degrees Celsius.
    pub const fn from_degrees(degrees: i16) -> Self {
        Self(degrees as i32 * 100)
    }

    /// This temperature less `margin`, both in hundredths of a degree.
    pub(crate) const fn less(self, margin: Self) -> Self {
        Self(self.0.saturating_sub(margin.0))
    }
}

impl fmt::Display for CentiCelsius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02} °C", size / 100, size % 100)
    }
}

macro_rules! unsigned {
    ($(#[$doc:meta] $name:ident $unit:literal)*) => {$(
        #[$doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{} ", $unit), self.0)
            }
        }
    )*};
}

unsigned! {
    /// A voltage in millivolts.
    Millivolts "mV"
    /// A current in milliamperes.
    Milliamps "mA"
    /// A power in milliwatts.
    Milliwatts "mW"
    /// A clock in kilohertz: `Kilohertz(525_000)` is 525 MHz.
    Kilohertz "kHz"
    /// A fan's speed in turns per minute.
    Rpm "rpm"
}

/// A share of full scale, 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent(u8);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All of it.
    pub const FULL: Self = Self(100);

    /// `percent`, or 100 if it is more.
    pub const fn new(percent: u8) -> Self {
        if percent > 100 {
            Self::FULL
        } else {
            Self(percent)
        }
    }

    /// The number, 0 to 100.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// This share of `whole`, rounded down.
    pub(crate) const fn of(self, whole: u32) -> u32 {
        // At most 100/100 of a u32: the quotient fits again.
        (whole as u64 * self.0 as u64 / 100) as u32
    }

    /// What is missing to 100.
    pub(crate) const fn rest(self) -> Self {
        Self(100 - self.0)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// Milliseconds, or the largest number if `duration` is longer than 49 days.
pub(crate) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
