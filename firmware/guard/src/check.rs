//! The way to power and back to rest: what a check demands, what it names when it does not get it, when a board counts
//! as cool and when it is tried again. Everything that makes things easier happens here, and only in a tick.

use crate::age::Age;
use crate::event::EventKind;
use crate::guard::narrow;
use crate::limits::{FanLimits, RailLimits, SensorLimits};
use crate::machine::Stage;
use crate::tracks::{FanTrack, Finding, RailTrack, SensorTrack};
use crate::units::millis;
use crate::{Cause, CentiCelsius, CoolingMode, FaultCode, Guard, Millivolts, State, Subject};

impl Guard {
    pub(crate) fn progress(&mut self) {
        if self.core.doubting && !self.in_doubt() {
            self.core.doubting = false;
            self.log(EventKind::NoDoubt);
        }
        match self.core.state {
            State::Checking => self.check(),
            State::Cooling => self.cool_down(),
            State::Waiting => self.wait(),
            State::Off | State::On | State::Latched => {}
        }
    }

    fn check(&mut self) {
        if let Some(finding) = self.silent_supervisor() {
            self.trip(finding);
            return;
        }
        match self.core.stage {
            Stage::Await if self.temperatures_allow() && self.is_cool() => self.enter(Stage::Low),
            Stage::Low if !self.temperatures_allow() || !self.is_cool() => self.enter(Stage::Await),
            Stage::Low if self.all_slow() => {
                for track in self.core.fans.iter_mut() {
                    track.adequate = Age::NEVER;
                }
                self.enter(Stage::Full);
            }
            _ => {}
        }
        if self.may_power() {
            self.go(Cause::Verified, State::On);
        } else if self.core.in_state.reached(millis(self.limits.timing.check)) {
            let finding = self.missing();
            self.trip(finding);
        }
    }

    /// The one condition under which power is granted.
    fn may_power(&self) -> bool {
        let lease = millis(self.limits.timing.lease);
        let rail_age = millis(self.limits.timing.rail_max_age);
        let fan_age = millis(self.limits.timing.fan_max_age);
        self.core.wanted.is_some()
            && !self.core.heartbeat.reached(lease)
            && self.temperatures_allow()
            && self
                .rails()
                .all(|(_, limits, track)| !limits.required || !track.good.reached(rail_age))
            && !self.any_live_rail()
            && (self.core.mode == CoolingMode::Immersion
                || self.core.stage == Stage::Full
                    && self.has_fans()
                    && self.fans().all(|(_, limits, track)| {
                        !limits.required || !track.adequate.reached(fan_age)
                    }))
    }

    /// Whether every required temperature is known and plausible, and none is hot.
    pub(crate) fn temperatures_allow(&self) -> bool {
        let max_age = millis(self.limits.timing.sensor_max_age);
        self.stale_sensor().is_none()
            && self
                .sensors()
                .all(|(_, limits, track)| match track.fresh(max_age) {
                    Some(value) if value >= limits.hot => false,
                    _ => !limits.required || limits.needs_power || !track.has_strikes(),
                })
    }

    /// What a check that took too long did not get.
    fn missing(&self) -> Finding {
        let max_age = millis(self.limits.timing.sensor_max_age);
        let hot = |bound: &dyn Fn(&SensorLimits) -> CentiCelsius| {
            self.sensors().find_map(|(index, limits, track)| {
                let bound = bound(limits);
                let value = track.fresh(max_age).filter(|value| *value >= bound)?;
                Some(Finding::new(
                    FaultCode::TemperatureLimit,
                    Subject::Sensor(index),
                    value.0,
                    bound.0,
                ))
            })
        };
        let unsteady = || {
            self.sensors()
                .find(|(_, limits, track)| {
                    limits.required && !limits.needs_power && track.has_strikes()
                })
                .map(|(index, limits, track)| {
                    Finding::new(
                        FaultCode::TemperatureImplausible,
                        Subject::Sensor(index),
                        track.value.unwrap_or_default().0,
                        limits.off.0,
                    )
                })
        };
        self.stale_sensor()
            .or_else(unsteady)
            .or_else(|| hot(&|limits| limits.hot))
            .or_else(|| self.stale_rail())
            .or_else(|| match self.core.stage {
                Stage::Await => {
                    let margin = self.limits.timing.cool_margin;
                    hot(&|limits| limits.off.less(margin))
                }
                Stage::Low => self.unproven_fan(),
                Stage::Full => self.inadequate_fan(),
            })
            .unwrap_or_else(|| {
                Finding::new(
                    FaultCode::FanUnreadable,
                    Subject::Group,
                    self.core.in_state.ms(),
                    millis(self.limits.timing.check),
                )
            })
    }

    fn unproven_fan(&self) -> Option<Finding> {
        let timing = &self.limits.timing;
        self.fans()
            .find(|(_, limits, track)| needs_proof(limits) && track.low.is_none())
            .map(|(index, _, track)| {
                track.unproven(index, timing.proof_duty, millis(timing.fan_max_age))
            })
    }

    fn cool_down(&mut self) {
        if self.in_doubt() || !self.is_cool() {
            return;
        }
        if self.still_wanted() {
            self.go(Cause::Cooled, State::Waiting);
        } else {
            self.go(Cause::Unwanted, State::Off);
        }
    }

    fn wait(&mut self) {
        if !self.still_wanted() {
            self.go(Cause::Unwanted, State::Off);
        } else if self.core.since_fault.reached(self.core.pause) {
            self.go(Cause::PauseOver, State::Checking);
        }
    }

    /// Whether power is wanted by somebody who is still there.
    fn still_wanted(&mut self) -> bool {
        if self
            .core
            .heartbeat
            .reached(millis(self.limits.timing.lease))
        {
            self.core.wanted = None;
        }
        self.core.wanted.is_some()
    }

    pub(crate) fn in_doubt(&self) -> bool {
        !self
            .core
            .doubt
            .reached(millis(self.limits.timing.doubt_hold))
    }

    /// Whether every temperature that can be known without power is known and well below its limit, and no rail that
    /// should be off is alive.
    pub(crate) fn is_cool(&self) -> bool {
        let max_age = millis(self.limits.timing.sensor_max_age);
        let margin = self.limits.timing.cool_margin;
        !self.any_live_rail()
            && self
                .sensors()
                .all(|(_, limits, track)| match track.fresh(max_age) {
                    Some(value) => value < limits.off.less(margin),
                    None => !limits.required || limits.needs_power,
                })
    }

    fn any_live_rail(&self) -> bool {
        self.rails().any(|(_, limits, track)| track.is_live(limits))
    }

    /// Whether every fan whose tach has to be proven was seen at the low duty.
    fn all_slow(&self) -> bool {
        self.fans()
            .all(|(_, limits, track)| !needs_proof(limits) || track.low.is_some())
    }

    pub(crate) fn has_proofs(&self) -> bool {
        self.core.mode != CoolingMode::Immersion && self.limits.fans.iter().any(needs_proof)
    }

    pub(crate) fn has_fans(&self) -> bool {
        self.limits.fans.iter().any(|limits| limits.required)
    }

    pub(crate) fn target(&self) -> Millivolts {
        self.core
            .wanted
            .map_or(Millivolts(0), |set_point| set_point.voltage)
    }

    pub(crate) fn is_busy(&self) -> bool {
        let max_age = millis(self.limits.timing.rail_max_age);
        let Some(max) = self.limits.max_power else {
            return false;
        };
        let enough = self.limits.timing.busy.of(max.0);
        self.power(max_age).is_some_and(|power| power >= enough)
    }

    /// The power of all rails that were seen lately and measure it.
    pub(crate) fn power(&self, max_age: u32) -> Option<u32> {
        self.rails()
            .filter(|(_, _, track)| !track.seen.reached(max_age))
            .filter_map(|(_, _, track)| track.reading?.power)
            .fold(None, |sum, power| {
                Some(sum.unwrap_or(0u32).saturating_add(power.0))
            })
    }

    pub(crate) fn sensors(&self) -> impl Iterator<Item = (u8, &SensorLimits, &SensorTrack)> {
        let pairs = self.limits.sensors.iter().zip(self.core.sensors.iter());
        pairs
            .enumerate()
            .map(|(index, (limits, track))| (narrow(index), limits, track))
    }

    pub(crate) fn fans(&self) -> impl Iterator<Item = (u8, &FanLimits, &FanTrack)> {
        let pairs = self.limits.fans.iter().zip(self.core.fans.iter());
        pairs
            .enumerate()
            .map(|(index, (limits, track))| (narrow(index), limits, track))
    }

    pub(crate) fn rails(&self) -> impl Iterator<Item = (u8, &RailLimits, &RailTrack)> {
        let pairs = self.limits.rails.iter().zip(self.core.rails.iter());
        pairs
            .enumerate()
            .map(|(index, (limits, track))| (narrow(index), limits, track))
    }
}

fn needs_proof(limits: &FanLimits) -> bool {
    limits.required && limits.tach_proof
}
