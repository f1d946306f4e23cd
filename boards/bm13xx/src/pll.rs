//! The PLL that makes the hash clock: 25 MHz × fb / (ref × post1 × post2).
//!
//! Unlike firmware that only minimises the error of the result, the solver here keeps the
//! oscillator inside the window in which the model is known to run.

use crate::model::{ChipKind, ChipModel};
use crate::units::Megahertz;

/// Farthest that a clock may be from what was asked: half a ramp step.
pub const MAX_ERROR: Megahertz = Megahertz::new(3.125);

/// Oscillator frequency at which the range bits of the register change.
const HIGH_RANGE_MHZ: f64 = 2400.0;
const CRYSTAL_MHZ: f64 = 25.0;
/// Every solution with ref = 1 inside any model's window exists with ref = 2 and twice the fb, or
/// needs an oscillator beyond it; so the solver does not search ref = 1.
const REF: u8 = 2;
/// Errors closer to each other than this count as equal.
const TIE_MHZ: f64 = 1e-4;

/// Dividers of the hash clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pll {
    fb: u16,
    reference: u8,
    post1: u8,
    post2: u8,
}

impl Pll {
    /// The clock that these dividers give, exactly.
    #[must_use]
    pub fn frequency(&self) -> Megahertz {
        Megahertz::new(CRYSTAL_MHZ * f64::from(self.fb) / f64::from(self.divisor()))
    }

    /// The oscillator before the post dividers.
    #[must_use]
    pub fn vco(&self) -> Megahertz {
        Megahertz::new(CRYSTAL_MHZ * f64::from(self.fb) / f64::from(self.reference))
    }

    /// Feedback divider.
    #[must_use]
    pub const fn fb(&self) -> u16 {
        self.fb
    }

    /// Product of reference and post dividers: clock = 25 MHz × fb / divisor.
    #[must_use]
    pub const fn divisor(&self) -> u16 {
        self.reference as u16 * self.post1 as u16 * self.post2 as u16
    }

    /// The value of register 0x08. Chips from BM1362 on store post dividers less one and mark an
    /// oscillator of 2400 MHz or more; the BM1397 does neither.
    #[must_use]
    pub fn register(&self, kind: ChipKind) -> u32 {
        let (range, post) = if kind == ChipKind::Bm1397 {
            (4, u32::from(self.post1) << 4 | u32::from(self.post2))
        } else {
            let range = if self.vco().get() >= HIGH_RANGE_MHZ {
                5
            } else {
                4
            };
            (
                range,
                u32::from(self.post1 - 1) << 4 | u32::from(self.post2 - 1),
            )
        };
        range << 28 | u32::from(self.fb) << 16 | u32::from(self.reference) << 8 | post
    }

    /// Reads a value of register 0x08; `None` if a divider is zero. Bits 31..28 are not looked at:
    /// the top one reports the lock on some chips.
    #[must_use]
    pub fn from_register(kind: ChipKind, bits: u32) -> Option<Self> {
        let less_one = u8::from(kind != ChipKind::Bm1397);
        let pll = Self {
            fb: (bits >> 16) as u16 & 0xfff,
            reference: (bits >> 8) as u8 & 0x3f,
            post1: ((bits >> 4) as u8 & 0xf) + less_one,
            post2: (bits as u8 & 0xf) + less_one,
        };
        (pll.fb != 0 && pll.divisor() != 0).then_some(pll)
    }

    /// The dividers of `model` closest to `target`, however far that is.
    ///
    /// Among equally close ones the slowest oscillator wins, then the smallest product of post dividers,
    /// then the smallest second one, which is what ESP-Miner chooses wherever its choice is inside
    /// the window.
    pub(crate) fn nearest(model: &ChipModel, target: Megahertz) -> Self {
        let mut best: Option<(f64, Self)> = None;
        for (post1, post2) in (2..=7).flat_map(|post1| (1..post1).map(move |post2| (post1, post2)))
        {
            let divisor = f64::from(REF) * f64::from(post1) * f64::from(post2);
            let below = (target.get() * divisor / CRYSTAL_MHZ) as u16;
            for fb in [below, below.saturating_add(1)] {
                let candidate = Self {
                    fb: fb.clamp(*model.fb.start(), *model.fb.end()),
                    reference: REF,
                    post1,
                    post2,
                };
                let error = (candidate.frequency().get() - target.get()).abs();
                if !model.vco_mhz.contains(&candidate.vco().get()) {
                    continue;
                }
                let better = best.is_none_or(|(least, chosen)| {
                    error < least - TIE_MHZ
                        || (error < least + TIE_MHZ && candidate.rank() < chosen.rank())
                });
                if better {
                    best = Some((error, candidate));
                }
            }
        }
        best.map_or(
            Self {
                fb: *model.fb.start(),
                reference: REF,
                post1: 7,
                post2: 6,
            },
            |(_, pll)| pll,
        )
    }

    /// Order among dividers whose clocks are equally close; the oscillator goes with fb, because ref is
    /// the same in all.
    const fn rank(&self) -> (u16, u16, u8) {
        (self.fb, self.divisor(), self.post2)
    }
}

impl ChipModel {
    /// Dividers for `target`, no farther from it than [`MAX_ERROR`].
    ///
    /// # Errors
    ///
    /// When the PLL cannot come that close with its oscillator inside the window; the error names the
    /// closest clock that it can make.
    pub fn pll(&self, target: Megahertz) -> Result<Pll, PllError> {
        let pll = Pll::nearest(self, target);
        let nearest = pll.frequency();
        if (nearest.get() - target.get()).abs() > MAX_ERROR.get() {
            return Err(PllError {
                chip: self.name,
                target,
                nearest,
            });
        }
        Ok(pll)
    }
}

/// A clock that the PLL cannot make.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("a {chip} cannot run at {target}; the closest it can make is {nearest}")]
pub struct PllError {
    /// Name of the chip.
    pub chip: &'static str,
    /// What was asked.
    pub target: Megahertz,
    /// The closest clock that the chip can make.
    pub nearest: Megahertz,
}
