//! The surplus of power, smoothed, and whether there is enough of it to be awake.

use std::time::Duration;

use crate::settings::SurplusRule;

/// Longest step that is taken at once.
const LONGEST: Duration = Duration::from_secs(60);

/// What is left for the machine.
#[derive(Clone, Debug)]
pub(crate) struct Surplus {
    pub(crate) rule: SurplusRule,
    /// Smoothed, W.
    level: Option<f64>,
    enough: bool,
}

impl Surplus {
    pub(crate) fn new(rule: SurplusRule) -> Self {
        Self {
            rule,
            level: None,
            enough: false,
        }
    }

    /// Follows a surplus for some time; the smoothed one, W.
    pub(crate) fn follow(&mut self, told: f64, time: Duration) -> f64 {
        let smoothing = self.rule.smoothing.as_secs_f64();
        let level = match self.level {
            Some(level) if smoothing > 0.0 => {
                let share = 1.0 - (-time.min(LONGEST).as_secs_f64() / smoothing).exp();
                level + share * (told - level)
            }
            _ => told,
        };
        self.level = Some(level);
        let needed = if self.enough {
            self.rule.floor_w
        } else {
            self.rule.wake_w.max(self.rule.floor_w)
        };
        self.enough = level >= needed;
        level.max(0.0)
    }

    /// Whether there is enough to be awake.
    pub(crate) fn is_enough(&self) -> bool {
        self.enough
    }

    /// There is no surplus that can be believed; the next one is taken as it is.
    pub(crate) fn forget(&mut self) {
        self.level = None;
    }
}
