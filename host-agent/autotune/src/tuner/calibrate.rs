//! What a wall meter tells: the power that the machine says, or that is reckoned where nothing measures it, is corrected by it.

use std::time::Duration;

use super::{Fading, Phase, Tuner};
use crate::report::{CalibrateError, Calibration};

/// Standard deviation of a wall meter: of class 1, as the better ones for a socket are.
const METER_SD: f64 = 0.01;
/// Time that a setting has to be in force before its power is compared.
const REST: Duration = Duration::from_secs(10);
/// Farthest that a correction goes, as a factor: 500 W for 800 W are two different machines.
const FARTHEST: f64 = 1.6;

impl Tuner {
    /// Takes what a wall meter shows at this moment, W at the input of the machine. From now on all power is corrected by it, with its
    /// own doubt of 1 %; a second reading that agrees makes it surer, one that does not replaces it. An aim in watts is followed anew.
    ///
    /// # Errors
    ///
    /// [`CalibrateError`] when the power is not steady, or the two are too far apart; nothing changes then.
    pub fn calibrate(&mut self, watts: f64) -> Result<Calibration, CalibrateError> {
        if !watts.is_finite() || watts <= 0.0 {
            return Err(CalibrateError::NotPower(watts));
        }
        let said = self.power_said()?;
        let factor = watts / said;
        if !(1.0 / FARTHEST..=FARTHEST).contains(&factor) {
            return Err(CalibrateError::TooFar { told: watts, said });
        }
        let fresh = Calibration {
            factor,
            sd: METER_SD * factor,
            watts,
            count: 1,
        };
        let before = self.calibration.map_or(1.0, |old| old.factor);
        let now = self.calibration.map_or(fresh, |old| joined(old, fresh));
        self.calibration = Some(now);
        let change = now.factor / before;
        if self.is_metered() {
            for window in &mut self.belief.windows {
                window.watts = window.watts.map(|watts| watts * change);
            }
            if let Some((_, seen)) = &mut self.last {
                seen.watts = seen.watts.map(|watts| watts * change);
            }
            if !self.belief.windows.is_empty() {
                self.belief.fit(&self.layout);
                self.anchor_power();
            }
        } else {
            self.power_factor *= change;
        }
        self.note("power calibrated by a wall meter");
        self.say(
            "the power that is reckoned with is right",
            format!("a wall meter shows {watts:.1} W where the miner said {said:.1} W"),
            0.95,
            &format!(
                "multiply power by {:.4} ± {:.4} from now on",
                now.factor, now.sd
            ),
        );
        self.clear_window();
        if self.phase == Phase::Keeping {
            self.follow();
        }
        Ok(now)
    }

    fn is_metered(&self) -> bool {
        self.last
            .as_ref()
            .is_some_and(|(_, seen)| seen.watts.is_some())
    }

    /// What the machine says that it draws at rest, before any correction, W.
    fn power_said(&self) -> Result<f64, CalibrateError> {
        if !matches!(
            self.phase,
            Phase::Measuring | Phase::Keeping | Phase::Held | Phase::Off
        ) {
            return Err(CalibrateError::NotSteady(match self.phase {
                Phase::Waiting => "the boards do not run",
                _ => "the setting is being changed",
            }));
        }
        let Some((_, seen)) = self.last.as_ref().filter(|(_, seen)| self.fits(seen)) else {
            return Err(CalibrateError::NotSteady("the boards were not seen yet"));
        };
        if !seen.boards.iter().all(|board| board.running) || !seen.work {
            return Err(CalibrateError::NotSteady("the boards do not hash"));
        }
        if self.phase != Phase::Off && !self.waited(REST) {
            return Err(CalibrateError::NotSteady("the setting was just changed"));
        }
        if self.is_metered() {
            return if self.metered.seconds >= Fading::MEMORY_S {
                Ok(self.metered.value)
            } else {
                Err(CalibrateError::NotSteady("power was read only just now"))
            };
        }
        let before = self.calibration.map_or(1.0, |old| old.factor);
        let plants = self
            .plants(seen)
            .ok_or(CalibrateError::NotSteady("temperatures are not known"))?;
        let (_, watts, _) = self
            .problem(&plants, super::LEAST_MARGIN)
            .judge(&self.setting);
        Ok(watts / before)
    }
}

/// Two readings as one: the mean by their doubt if they agree within three deviations, else the newer one.
fn joined(old: Calibration, new: Calibration) -> Calibration {
    let apart = (new.factor - old.factor).abs();
    if apart > 3.0 * old.sd.hypot(new.sd) {
        return new;
    }
    let (a, b) = (1.0 / (old.sd * old.sd), 1.0 / (new.sd * new.sd));
    Calibration {
        factor: (a * old.factor + b * new.factor) / (a + b),
        // What all readings of the same meter have in common does not average out.
        sd: (1.0 / (a + b)).sqrt().max(0.5 * METER_SD * new.factor),
        watts: new.watts,
        count: old.count.saturating_add(1),
    }
}
