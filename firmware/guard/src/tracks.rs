//! What is remembered of each sensor, fan and rail, and what a reading of it means by itself. Whether anything follows
//! from that is decided in `machine`.

use crate::age::Age;
use crate::limits::{FanLimits, IMPLAUSIBLE_EXACT, IMPLAUSIBLE_FROM, RailLimits, SensorLimits};
use crate::{
    CentiCelsius, FanReading, FaultCode, Millivolts, Percent, RailFaults, RailReading, ReadFault,
    Rpm, Subject,
};

/// A bad reading counts two strikes, a good one takes one back. Four make a fault: two bad readings in a row, or bad ones
/// that keep outweighing a third of all. A single one is noise.
const STRIKE: u8 = 2;
const STRIKES: u8 = 4;

/// A duty may be read back this far below or above the ordered one: fan controllers have 64 steps or more.
const DUTY_SLACK: u8 = 3;

/// How much faster than at the low duty a fan has to turn at full duty to prove its tach, as a share of its full speed.
const PROOF_RISE: Percent = Percent::new(20);

/// Something wrong, with the values that show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Finding {
    pub(crate) code: FaultCode,
    pub(crate) subject: Subject,
    pub(crate) value: i32,
    pub(crate) limit: i32,
}

impl Finding {
    pub(crate) fn new(
        code: FaultCode,
        subject: Subject,
        value: impl Into<i64>,
        limit: impl Into<i64>,
    ) -> Self {
        let narrow = |wide: i64| i32::try_from(wide).unwrap_or(i32::MAX);
        Self {
            code,
            subject,
            value: narrow(value.into()),
            limit: narrow(limit.into()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SensorTrack {
    /// Since the last plausible reading.
    pub(crate) good: Age,
    /// Since the value last changed, or power came on.
    pub(crate) unchanged: Age,
    /// The last plausible reading.
    pub(crate) value: Option<CentiCelsius>,
    /// Whether it changed since power came on.
    pub(crate) moved: bool,
    strikes: u8,
    failure: Option<ReadFault>,
}

/// What a temperature reading means by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    Good(CentiCelsius),
    /// One implausible value: perhaps noise.
    Odd,
    /// Too many implausible values.
    Implausible(CentiCelsius),
    Failed,
}

impl SensorTrack {
    pub(crate) const fn new() -> Self {
        Self {
            good: Age::NEVER,
            unchanged: Age::NEVER,
            value: None,
            moved: false,
            strikes: 0,
            failure: None,
        }
    }

    pub(crate) fn read(
        &mut self,
        limits: &SensorLimits,
        reading: Result<CentiCelsius, ReadFault>,
    ) -> Sample {
        let value = match reading {
            Ok(value) => value,
            Err(failure) => {
                self.failure = Some(failure);
                return Sample::Failed;
            }
        };
        self.failure = None;
        let (low, high) = limits.valid;
        if value == IMPLAUSIBLE_EXACT || value >= IMPLAUSIBLE_FROM || value < low || value > high {
            self.strikes = (self.strikes + STRIKE).min(STRIKES);
            return if self.strikes >= STRIKES {
                Sample::Implausible(value)
            } else {
                Sample::Odd
            };
        }
        self.strikes = self.strikes.saturating_sub(1);
        if self.value != Some(value) {
            self.moved |= self.value.is_some();
            self.unchanged = Age::NOW;
        }
        self.value = Some(value);
        self.good = Age::NOW;
        Sample::Good(value)
    }

    /// Power came on: from now on the value has to move.
    pub(crate) fn powered(&mut self, limits: &SensorLimits) {
        if limits.needs_power {
            *self = Self::new();
        }
        self.unchanged = Age::NOW;
        self.moved = false;
    }

    /// The value, if it is fresh.
    pub(crate) fn fresh(&self, max_age: u32) -> Option<CentiCelsius> {
        self.value.filter(|_| !self.good.reached(max_age))
    }

    pub(crate) const fn has_strikes(&self) -> bool {
        self.strikes > 0
    }

    /// Why there is no fresh value after `silent` milliseconds.
    pub(crate) fn stale(&self, index: u8, silent: u32, max_age: u32) -> Finding {
        let code = match self.failure {
            Some(ReadFault::Absent) => FaultCode::DeviceAbsent,
            _ => FaultCode::TemperatureStale,
        };
        Finding::new(code, Subject::Sensor(index), silent, max_age)
    }

    pub(crate) fn ages(&mut self) -> [&mut Age; 2] {
        [&mut self.good, &mut self.unchanged]
    }

    /// Drops what only names faults.
    #[cfg(test)]
    pub(crate) fn forget(&mut self) {
        self.failure = None;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FanTrack {
    /// Since the last reading that met the expectation.
    pub(crate) adequate: Age,
    reading: Option<FanReading>,
    failure: Option<ReadFault>,
    /// The duty that its speed is held against.
    expect: Percent,
    /// A higher duty that it is given time for.
    rising: Option<(Percent, Age)>,
    /// Its speed at the low duty of the proof.
    pub(crate) low: Option<Rpm>,
}

impl FanTrack {
    pub(crate) const fn new() -> Self {
        Self {
            adequate: Age::NEVER,
            reading: None,
            failure: None,
            expect: Percent::ZERO,
            rising: None,
            low: None,
        }
    }

    /// Takes a reading; returns it unless it is useless.
    pub(crate) fn read(
        &mut self,
        limits: &FanLimits,
        reading: Result<FanReading, ReadFault>,
    ) -> Option<FanReading> {
        // No fan turns at twice its full speed: the counter is wrong.
        let reading = reading.and_then(|reading| {
            if reading.rpm.0 > limits.max_rpm.0.saturating_mul(2) {
                Err(ReadFault::Failed)
            } else {
                Ok(reading)
            }
        });
        self.failure = reading.err();
        let reading = reading.ok()?;
        self.reading = Some(reading);
        if reading.duty <= self.expect {
            self.expect = reading.duty;
            self.rising = None;
        } else {
            match &mut self.rising {
                Some((duty, _)) => *duty = reading.duty.min(*duty),
                none => *none = Some((reading.duty, Age::NOW)),
            }
        }
        Some(reading)
    }

    /// Holds the fan to a higher duty once it had time to reach it.
    pub(crate) fn promote(&mut self, spin_up: u32) {
        if let Some((duty, age)) = self.rising
            && age.reached(spin_up)
        {
            self.expect = duty;
            self.rising = None;
        }
    }

    /// Whether a reading shows a fan that does what its duty demands.
    pub(crate) fn keeps_up(&self, limits: &FanLimits, reading: FanReading, floor: Percent) -> bool {
        at_least(reading.duty, floor) && reading.rpm >= limits.expected(self.expect)
    }

    /// Whether a reading shows a fan at full duty and full speed, faster than at the low duty if that was measured.
    pub(crate) fn is_full(&self, limits: &FanLimits, reading: FanReading) -> bool {
        at_least(reading.duty, Percent::FULL)
            && reading.rpm >= limits.expected(Percent::FULL)
            && self.follows(limits, reading)
    }

    fn follows(&self, limits: &FanLimits, reading: FanReading) -> bool {
        !limits.tach_proof
            || self.low.is_some_and(|low| {
                reading.rpm.0 >= low.0.saturating_add(PROOF_RISE.of(limits.max_rpm.0))
            })
    }

    /// Notes the speed at the low duty of the proof.
    pub(crate) fn note_low(&mut self, reading: FanReading, duty: Percent) {
        if reading.duty.get() <= duty.get().saturating_add(DUTY_SLACK) {
            self.low = Some(reading.rpm);
        }
    }

    /// A check begins: nothing is verified.
    pub(crate) fn unverified(&mut self) {
        self.adequate = Age::NEVER;
        self.low = None;
    }

    /// It was verified at full duty: from now on it is held to that until the duty goes down.
    pub(crate) fn verified(&mut self) {
        self.expect = Percent::FULL;
        self.rising = None;
    }

    /// Why it was not seen at the low duty of the proof.
    pub(crate) fn unproven(&self, index: u8, duty: Percent, max_age: u32) -> Finding {
        match (self.failure, self.reading) {
            (None, Some(reading)) => Finding::new(
                FaultCode::ActuatorMismatch,
                Subject::Fan(index),
                reading.duty.get(),
                duty.get(),
            ),
            _ => self.unreadable(index, max_age),
        }
    }

    fn unreadable(&self, index: u8, max_age: u32) -> Finding {
        let code = match self.failure {
            Some(ReadFault::Absent) => FaultCode::DeviceAbsent,
            _ => FaultCode::FanUnreadable,
        };
        Finding::new(code, Subject::Fan(index), self.adequate.ms(), max_age)
    }

    /// Why it has not been adequate for too long, when `floor` was ordered; `verifying` holds it to full speed.
    pub(crate) fn inadequate(
        &self,
        index: u8,
        limits: &FanLimits,
        floor: Percent,
        verifying: bool,
        max_age: u32,
    ) -> Finding {
        let subject = Subject::Fan(index);
        match (self.failure, self.reading) {
            (Some(_), _) | (None, None) => self.unreadable(index, max_age),
            (None, Some(reading)) if !at_least(reading.duty, floor) => Finding::new(
                FaultCode::ActuatorMismatch,
                subject,
                reading.duty.get(),
                floor.get(),
            ),
            (None, Some(reading)) => {
                let expected = limits.expected(if verifying {
                    Percent::FULL
                } else {
                    self.expect
                });
                if reading.rpm < expected {
                    Finding::new(FaultCode::FanStalled, subject, reading.rpm.0, expected.0)
                } else if let Some(low) = self.low
                    && verifying
                    && !self.follows(limits, reading)
                {
                    Finding::new(FaultCode::FanSpoofed, subject, reading.rpm.0, low.0)
                } else {
                    // The last reading was well but is too old by now.
                    self.unreadable(index, max_age)
                }
            }
        }
    }

    /// Drops what decides nothing outside a check, or outside power.
    #[cfg(test)]
    pub(crate) fn forget(&mut self, checking: bool, on: bool) {
        if !checking {
            (self.low, self.reading, self.failure) = (None, None, None);
        }
        if !on {
            (self.expect, self.rising) = (Percent::ZERO, None);
        }
        if !checking && !on {
            self.adequate = Age::NEVER;
        }
    }

    pub(crate) fn ages(&mut self) -> impl Iterator<Item = &mut Age> {
        core::iter::once(&mut self.adequate).chain(self.rising.as_mut().map(|(_, age)| age))
    }
}

fn at_least(duty: Percent, floor: Percent) -> bool {
    duty.get().saturating_add(DUTY_SLACK) >= floor.get()
}

/// What a rail's reading means by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// Not good, but nothing that ends anything.
    Pending(Finding),
    /// Wrong, if it is seen again.
    Suspect(Finding),
    /// Wrong without a second look.
    Certain(Finding),
}

impl Verdict {
    fn finding(self) -> Option<Finding> {
        match self {
            Self::Good => None,
            Self::Pending(finding) | Self::Suspect(finding) | Self::Certain(finding) => {
                Some(finding)
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RailTrack {
    /// Since the last good reading.
    pub(crate) good: Age,
    /// Since the last reading of any kind.
    pub(crate) seen: Age,
    pub(crate) reading: Option<RailReading>,
    failure: Option<ReadFault>,
    strikes: u8,
    problem: Option<Finding>,
}

impl RailTrack {
    pub(crate) const fn new() -> Self {
        Self {
            good: Age::NEVER,
            seen: Age::NEVER,
            reading: None,
            failure: None,
            strikes: 0,
            problem: None,
        }
    }

    /// Takes a reading.
    pub(crate) fn read(&mut self, reading: Result<RailReading, ReadFault>) -> Option<RailReading> {
        self.failure = reading.err();
        let reading = reading.ok()?;
        self.reading = Some(reading);
        self.seen = Age::NOW;
        Some(reading)
    }

    /// Counts what the last reading showed; returns what is certain by now.
    pub(crate) fn judge(&mut self, verdict: Verdict) -> Option<Finding> {
        self.problem = verdict.finding();
        match verdict {
            Verdict::Good => {
                self.strikes = self.strikes.saturating_sub(1);
                self.good = Age::NOW;
                None
            }
            Verdict::Pending(_) => None,
            Verdict::Suspect(finding) => {
                self.strikes = (self.strikes + STRIKE).min(STRIKES);
                (self.strikes >= STRIKES).then_some(finding)
            }
            Verdict::Certain(finding) => Some(finding),
        }
    }

    /// Power came or went: what was counted before says nothing about now.
    pub(crate) fn forget_strikes(&mut self) {
        self.strikes = 0;
        self.problem = None;
    }

    /// Why it has not been good for too long.
    pub(crate) fn stale(&self, index: u8, silent: u32, max_age: u32) -> Finding {
        let code = match (self.failure, self.problem) {
            (Some(ReadFault::Absent), _) => FaultCode::DeviceAbsent,
            (None, Some(problem)) => return problem,
            _ => FaultCode::RegulatorStale,
        };
        Finding::new(code, Subject::Rail(index), silent, max_age)
    }

    /// Whether the last reading shows voltage on a rail that the grant switches.
    pub(crate) fn is_live(&self, limits: &RailLimits) -> bool {
        limits.switched && self.reading.is_some_and(|reading| live(limits, &reading))
    }

    pub(crate) fn ages(&mut self) -> [&mut Age; 2] {
        [&mut self.good, &mut self.seen]
    }
}

/// Whether a rail carries voltage: by measurement, or by the regulator's word if it measures nothing.
pub(crate) fn live(limits: &RailLimits, reading: &RailReading) -> bool {
    match reading.voltage {
        Some(voltage) => voltage > limits.off_below,
        None => reading.on == Some(true),
    }
}

/// What is wrong with a rail that should have a voltage between `low` and `high` (plus and minus its tolerance), apart
/// from the regulator's own complaints.
pub(crate) fn electrical(
    index: u8,
    limits: &RailLimits,
    reading: &RailReading,
    (low, high): (Millivolts, Millivolts),
) -> Option<Finding> {
    let subject = Subject::Rail(index);
    if let Some(voltage) = reading.voltage {
        let lowest = low.0.saturating_sub(limits.tolerance.0);
        let highest = high.0.saturating_add(limits.tolerance.0);
        if voltage > limits.max_voltage {
            return Some(Finding::new(
                FaultCode::OverVoltage,
                subject,
                voltage.0,
                limits.max_voltage.0,
            ));
        }
        if voltage.0 < lowest || voltage.0 > highest {
            let bound = if voltage.0 < lowest { lowest } else { highest };
            return Some(Finding::new(
                FaultCode::VoltageMismatch,
                subject,
                voltage.0,
                bound,
            ));
        }
    }
    match (reading.current, limits.max_current) {
        (Some(current), Some(max)) if current > max => Some(Finding::new(
            FaultCode::OverCurrent,
            subject,
            current.0,
            max.0,
        )),
        _ => None,
    }
}

/// What is wrong with the input voltage.
pub(crate) fn input(
    index: u8,
    range: Option<(Millivolts, Millivolts)>,
    reading: &RailReading,
) -> Option<Finding> {
    let (low, high) = range?;
    let voltage = reading.input?;
    let bound = if voltage < low {
        low
    } else if voltage > high {
        high
    } else {
        return None;
    };
    Some(Finding::new(
        FaultCode::InputVoltage,
        Subject::Rail(index),
        voltage.0,
        bound.0,
    ))
}

/// What the regulator complains about, but for what is natural while its output is off or coming up.
pub(crate) fn complaint(index: u8, reading: &RailReading, off_is_fine: bool) -> Option<Finding> {
    let natural = RailFaults::OFF.with(RailFaults::UNDER_VOLTAGE);
    let mut faults = reading.faults;
    if reading.on == Some(false) {
        faults = faults.with(RailFaults::OFF);
    }
    if off_is_fine {
        faults = RailFaults(faults.0 & !natural.0);
    }
    (!faults.is_empty()).then(|| {
        Finding::new(
            FaultCode::RegulatorFault,
            Subject::Rail(index),
            faults.0,
            0u16,
        )
    })
}
