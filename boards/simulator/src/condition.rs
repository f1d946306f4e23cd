//! What power and heat do to one chip of a chain, as the chain needs to know it. The physical model works it out; an ideal
//! chain never sees it.

use crate::physics::ChipState;

/// The condition of one chip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChipCondition {
    /// Share of its nonces that it finds, 0..=1; the others are lost silently.
    pub delivered: f64,
    /// Wrong nonces that it reports per good one.
    pub wrong: f64,
    /// Whether it hears, answers and passes on. A chip that does not makes all chips behind it vanish.
    pub alive: bool,
    /// Die temperature, °C; only BM1368 tells it on the wire.
    pub celsius: f64,
}

impl Default for ChipCondition {
    /// An ideal chip at 50 °C.
    fn default() -> Self {
        Self {
            delivered: 1.0,
            wrong: 0.0,
            alive: true,
            celsius: 50.0,
        }
    }
}

impl From<ChipState> for ChipCondition {
    fn from(state: ChipState) -> Self {
        Self {
            delivered: state.delivered,
            wrong: state.wrong,
            alive: state.alive,
            celsius: state.celsius,
        }
    }
}

impl ChipCondition {
    /// With every number in its range.
    pub(crate) fn sane(self) -> Self {
        let share = |x: f64| if x.is_nan() { 0.0 } else { x.max(0.0) };
        Self {
            delivered: share(self.delivered).min(1.0),
            wrong: share(self.wrong).min(1e9),
            ..self
        }
    }
}
