//! Requests, and what they may not do.

use crate::age::Age;
use crate::units::millis;
use crate::{
    Cause, CoolingMode, EventKind, FaultCode, Guard, MAX_FAULTS, Refusal, SetPoint, State,
};

impl Guard {
    pub(crate) fn ask_on(&mut self, set_point: SetPoint) -> Result<(), Refusal> {
        self.within_limits(set_point)?;
        if self.core.state == State::Latched {
            return Err(Refusal::Latched(self.latched_code()));
        }
        if self.core.mode != CoolingMode::Immersion && !self.has_fans() {
            return Err(Refusal::NoFans);
        }
        self.set(set_point);
        if self.core.state == State::Off {
            if self.core.since_fault.reached(self.core.pause) {
                self.go(Cause::Requested, State::Checking);
            } else {
                self.go(Cause::Requested, State::Waiting);
            }
        }
        Ok(())
    }

    pub(crate) fn ask_off(&mut self) {
        self.core.wanted = None;
        match self.core.state {
            State::On | State::Checking | State::Waiting => self.go(Cause::Unwanted, State::Off),
            State::Off | State::Cooling | State::Latched => {}
        }
    }

    pub(crate) fn ask_set_point(&mut self, set_point: SetPoint) -> Result<(), Refusal> {
        self.within_limits(set_point)?;
        if self.core.wanted.is_none() {
            return Err(Refusal::NotWanted);
        }
        self.set(set_point);
        Ok(())
    }

    pub(crate) fn ask_cooling(
        &mut self,
        mode: CoolingMode,
        confirmed: bool,
    ) -> Result<(), Refusal> {
        let immersion = CoolingMode::Immersion;
        if mode == immersion && !confirmed {
            return Err(Refusal::Unconfirmed);
        }
        if let CoolingMode::Manual(requested) = mode
            && requested < self.limits.min_duty
        {
            return Err(Refusal::Duty {
                requested,
                min: self.limits.min_duty,
            });
        }
        let changes = (mode == immersion) != (self.core.mode == immersion);
        if changes && matches!(self.core.state, State::On | State::Checking) {
            return Err(Refusal::Powered(self.core.state));
        }
        if mode != immersion && self.core.wanted.is_some() && !self.has_fans() {
            return Err(Refusal::NoFans);
        }
        self.core.mode = mode;
        self.log(EventKind::Cooling(mode));
        Ok(())
    }

    pub(crate) fn ask_clear(&mut self, named: FaultCode) -> Result<(), Refusal> {
        let latched = (self.core.state == State::Latched).then(|| self.latched_code());
        if latched != Some(named) {
            return Err(Refusal::NotLatched { named, latched });
        }
        self.core.fault = None;
        self.core.faults = [Age::NEVER; MAX_FAULTS as usize];
        self.core.pause = 0;
        self.go(Cause::Cleared, State::Cooling);
        Ok(())
    }

    fn within_limits(&self, set_point: SetPoint) -> Result<(), Refusal> {
        let (max_frequency, max_voltage) = (self.limits.max_frequency, self.limits.max_voltage);
        if set_point.frequency > max_frequency {
            return Err(Refusal::Frequency {
                requested: set_point.frequency,
                max: max_frequency,
            });
        }
        if set_point.voltage > max_voltage {
            return Err(Refusal::Voltage {
                requested: set_point.voltage,
                max: max_voltage,
            });
        }
        Ok(())
    }

    pub(crate) fn latched_code(&self) -> FaultCode {
        self.core
            .fault
            .map_or(FaultCode::TooManyRestarts, |fault| fault.code)
    }

    fn set(&mut self, set_point: SetPoint) {
        let old = self.target();
        let new = set_point.voltage;
        if self.core.wanted == Some(set_point) {
            return;
        }
        self.core.wanted = Some(set_point);
        self.log(EventKind::SetPoint(set_point));
        if !self.is_energised() || old == new {
            return;
        }
        let (low, high) = if self.all_settled() {
            (old, old)
        } else {
            self.core.window
        };
        self.core.window = (low.min(new), high.max(new));
        self.core.set = Age::NOW;
    }

    fn all_settled(&self) -> bool {
        self.limits
            .rails
            .iter()
            .all(|limits| self.core.set.reached(millis(limits.settle)))
    }
}
