//! What follows from single readings.

use crate::age::Age;
use crate::guard::narrow;
use crate::limits::{FanLimits, RailLimits, SensorLimits};
use crate::machine::Stage;
use crate::tracks::{Finding, Sample, Verdict, complaint, electrical, input, live};
use crate::units::millis;
use crate::{
    CentiCelsius, CoolingMode, FanReading, FaultCode, Guard, Millivolts, RailReading, RailRole,
    ReadFault, State, Subject,
};

/// Once fans were ordered to 100 % because a sensor is hot, it has to fall this far below `hot`.
const HOT_HYSTERESIS: CentiCelsius = CentiCelsius(200);

impl Guard {
    pub(crate) fn read_sensor(
        &mut self,
        index: usize,
        limits: &SensorLimits,
        reading: Result<CentiCelsius, ReadFault>,
    ) {
        if limits.needs_power && !self.is_energised() {
            return;
        }
        // Until it had some time with power, nothing bad that it says means anything but the limit itself.
        let matters = limits.required && (!limits.needs_power || self.has_grown());
        let Some(track) = self.core.sensors.get_mut(index) else {
            return;
        };
        let subject = Subject::Sensor(narrow(index));
        let trip = |code, value: CentiCelsius| Finding::new(code, subject, value.0, limits.off.0);
        match track.read(limits, reading) {
            Sample::Good(value) if value >= limits.off => {
                self.trip(trip(FaultCode::TemperatureLimit, value));
            }
            Sample::Good(value) => self.warm(subject, limits, value),
            Sample::Implausible(value) if matters => {
                self.trip(trip(FaultCode::TemperatureImplausible, value));
            }
            Sample::Odd | Sample::Failed if matters => self.doubt(subject),
            Sample::Odd | Sample::Failed | Sample::Implausible(_) => {}
        }
    }

    /// A good reading below the limit: hot ones are doubts.
    fn warm(&mut self, subject: Subject, limits: &SensorLimits, value: CentiCelsius) {
        let still = self.core.doubting && value >= limits.hot.less(HOT_HYSTERESIS);
        if value >= limits.hot || still {
            self.doubt(subject);
        }
    }

    pub(crate) fn read_fan(
        &mut self,
        index: usize,
        limits: &FanLimits,
        reading: Result<FanReading, ReadFault>,
    ) {
        let (floor, _) = self.duties();
        let (state, stage) = (self.core.state, self.core.stage);
        let settled = self.core.in_stage.reached(millis(limits.spin_up));
        let proof_duty = self.limits.timing.proof_duty;
        let Some(track) = self.core.fans.get_mut(index) else {
            return;
        };
        let adequate = match track.read(limits, reading) {
            None => false,
            Some(reading) => match (state, stage) {
                (State::Checking, Stage::Low) => {
                    if settled {
                        track.note_low(reading, proof_duty);
                    }
                    false
                }
                (State::Checking, _) => track.is_full(limits, reading),
                _ => track.keeps_up(limits, reading, floor),
            },
        };
        if adequate {
            track.adequate = Age::NOW;
        } else if limits.required && state == State::On && self.core.mode != CoolingMode::Immersion
        {
            self.doubt(Subject::Fan(narrow(index)));
        }
    }

    pub(crate) fn read_rail(
        &mut self,
        index: usize,
        limits: &RailLimits,
        reading: Result<RailReading, ReadFault>,
    ) {
        let Some(track) = self.core.rails.get_mut(index) else {
            return;
        };
        let subject = Subject::Rail(narrow(index));
        let Some(reading) = track.read(reading) else {
            if limits.required && self.core.state == State::On {
                self.doubt(subject);
            }
            return;
        };
        if limits.role == RailRole::Core && live(limits, &reading) {
            self.energise();
        }
        if !self.is_busy() {
            self.core.busy = Age::NOW;
        }
        let verdict = match self.core.state {
            State::On => self.judge_powered(narrow(index), limits, &reading),
            _ => self.judge_unpowered(narrow(index), limits, &reading),
        };
        let Some(track) = self.core.rails.get_mut(index) else {
            return;
        };
        match track.judge(verdict) {
            Some(finding) => self.trip(finding),
            None if matches!(verdict, Verdict::Suspect(_)) => self.doubt(subject),
            None => {}
        }
    }

    fn judge_powered(&self, index: u8, limits: &RailLimits, reading: &RailReading) -> Verdict {
        let settle = millis(limits.settle);
        let energised = self.is_energised();
        let up = energised && self.core.energised.reached(settle);
        if let Some(finding) = complaint(index, reading, limits.switched && !up) {
            return Verdict::Certain(finding);
        }
        let target = self.target();
        let range = match limits.role {
            RailRole::Core if !energised => (Millivolts(0), target),
            RailRole::Core if self.core.set.reached(settle) => (target, target),
            RailRole::Core => self.core.window,
            RailRole::Fixed(nominal) if up || !limits.switched => (nominal, nominal),
            RailRole::Fixed(nominal) => (Millivolts(0), nominal),
        };
        electrical(index, limits, reading, range)
            .or_else(|| self.over_power())
            .or_else(|| input(index, self.limits.input, reading))
            .map_or(Verdict::Good, Verdict::Suspect)
    }

    /// Complaints and a wrong input may be left from the last run or from a supply that is not plugged in yet: nothing
    /// starts until they are gone, but they end nothing either.
    fn judge_unpowered(&self, index: u8, limits: &RailLimits, reading: &RailReading) -> Verdict {
        let discharged = self.core.withdrawn.reached(millis(limits.discharge));
        if limits.switched && discharged && live(limits, reading) {
            return Verdict::Suspect(Finding::new(
                FaultCode::PowerWithoutConsent,
                Subject::Rail(index),
                reading.voltage.unwrap_or_default().0,
                limits.off_below.0,
            ));
        }
        complaint(index, reading, limits.switched)
            .or_else(|| input(index, self.limits.input, reading))
            .map_or(Verdict::Good, Verdict::Pending)
    }

    fn over_power(&self) -> Option<Finding> {
        let max = self.limits.max_power?;
        let power = self.power(millis(self.limits.timing.rail_max_age))?;
        (power > max.0).then(|| Finding::new(FaultCode::OverPower, Subject::Group, power, max.0))
    }
}
