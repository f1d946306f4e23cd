//! The guard as its callers see it: inputs, requests and decisions. What follows from them is in `machine`.

use core::time::Duration;

use crate::event::Ring;
use crate::machine::Core;
use crate::{
    CentiCelsius, CoolingMode, Event, EventKind, FanReading, Fault, FaultCode, Kilohertz, Limits,
    LimitsError, Millivolts, Percent, RailReading, ReadFault, Refusal, Report, Request, SetPoint,
    State, Subject,
};

/// What the guard allows from this moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether power may be on. When it is `false` power goes off now, without winding anything down.
    pub power: bool,
    /// No fan may run below this duty.
    pub fan_floor: Percent,
    /// No fan may run above this duty. Less than 100 % only for seconds while tachs are proven, with power off.
    pub fan_ceiling: Percent,
    /// The highest clock; zero without power.
    pub max_frequency: Kilohertz,
    /// The highest voltage that may be set; zero without power.
    pub max_voltage: Millivolts,
    /// What the guard is doing.
    pub state: State,
    /// The fault that is latched, or that led to the present state; `None` while power is on.
    pub fault: Option<Fault>,
    /// When the next try begins at the earliest, while a pause runs.
    pub retry_at: Option<Duration>,
    /// Call [`Guard::tick`] again no later than this.
    pub next: Duration,
}

impl Decision {
    /// The one duty that fans must have, where there is no choice: 100 % in doubt, the low duty while tachs are proven.
    pub fn exact_duty(&self) -> Option<Percent> {
        (self.fan_floor == self.fan_ceiling).then_some(self.fan_floor)
    }
}

/// The safety core of one power group: of everything that is switched off together.
///
/// It is told readings, reports and requests with the time at which they were made, and says with every
/// [`tick`](Self::tick) what is allowed. The time is a `Duration` since any fixed start. Small steps backwards are
/// ignored; one of more than a second withdraws power, since no age can be trusted then.
///
/// All inputs first let the time pass: a caller that slept through a deadline finds power withdrawn, however fresh the
/// readings are that it brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    pub(crate) limits: Limits,
    pub(crate) core: Core,
    pub(crate) events: Ring,
    /// Milliseconds on the caller's clock; `None` before the first call.
    pub(crate) clock: Option<u64>,
}

impl Guard {
    /// A guard with power off.
    ///
    /// # Errors
    /// The limits could not protect anything; see [`Limits::check`].
    pub fn new(limits: &Limits) -> Result<Self, LimitsError> {
        limits.check()?;
        Ok(Self {
            limits: *limits,
            core: Core::new(limits),
            events: Ring::new(),
            clock: None,
        })
    }

    /// A guard that starts with a fault latched, as an earlier run left it.
    ///
    /// # Errors
    /// The limits could not protect anything; see [`Limits::check`].
    pub fn latched(limits: &Limits, fault: Fault) -> Result<Self, LimitsError> {
        let mut guard = Self::new(limits)?;
        guard.core.restore(fault);
        Ok(guard)
    }

    /// A reading of the sensor with this index in the limits. Unknown indices are ignored.
    pub fn sensor(
        &mut self,
        now: Duration,
        index: usize,
        reading: Result<CentiCelsius, ReadFault>,
    ) {
        self.advance(now);
        let Some(limits) = self.limits.sensors.get(index).copied() else {
            return;
        };
        self.read_sensor(index, &limits, reading);
    }

    /// A reading of the fan with this index in the limits. Unknown indices are ignored.
    pub fn fan(&mut self, now: Duration, index: usize, reading: Result<FanReading, ReadFault>) {
        self.advance(now);
        let Some(limits) = self.limits.fans.get(index).copied() else {
            return;
        };
        self.read_fan(index, &limits, reading);
    }

    /// A reading of the rail with this index in the limits. Unknown indices are ignored.
    pub fn rail(&mut self, now: Duration, index: usize, reading: Result<RailReading, ReadFault>) {
        self.advance(now);
        let Some(limits) = self.limits.rails.get(index).copied() else {
            return;
        };
        self.read_rail(index, &limits, reading);
    }

    /// The supervisor is alive.
    pub fn heartbeat(&mut self, now: Duration) {
        self.advance(now);
        self.core.beat();
    }

    /// Something about the hardware that was found outside.
    pub fn report(&mut self, now: Duration, report: Report) {
        self.advance(now);
        match report {
            Report::Absent { subject } => self.trip_with(FaultCode::DeviceAbsent, subject, 0, 0),
            Report::WrongDevice {
                subject,
                found,
                expected,
            } => self.trip_with(FaultCode::DeviceWrong, subject, found, expected),
            Report::Identity { found, expected } => {
                self.trip_with(FaultCode::IdentityMismatch, Subject::Group, found, expected);
            }
            Report::Mismatch {
                subject,
                read,
                wrote,
            } => self.trip_with(FaultCode::ActuatorMismatch, subject, read, wrote),
            Report::Energised => self.energise(),
            Report::SupervisorGone => self.supervisor_gone(),
        }
    }

    /// What somebody wants. A refusal changes nothing and is also an event.
    ///
    /// # Errors
    /// [`Refusal`] says why.
    pub fn request(&mut self, now: Duration, request: Request) -> Result<(), Refusal> {
        self.advance(now);
        let answer = match request {
            Request::On(set_point) => self.ask_on(set_point),
            Request::Off => {
                self.ask_off();
                Ok(())
            }
            Request::SetPoint(set_point) => self.ask_set_point(set_point),
            Request::Cooling { mode, confirmed } => self.ask_cooling(mode, confirmed),
            Request::Clear(code) => self.ask_clear(code),
        };
        if let Err(refusal) = answer {
            self.log(EventKind::Refused(refusal));
        }
        answer
    }

    /// What is allowed now. Call it after each batch of inputs and no later than [`Decision::next`].
    pub fn tick(&mut self, now: Duration) -> Decision {
        self.advance(now);
        self.progress();
        self.decide()
    }

    /// What is being done.
    pub fn state(&self) -> State {
        self.core.state
    }

    /// The set point that was asked for and accepted, if power is wanted.
    pub fn set_point(&self) -> Option<SetPoint> {
        self.core.wanted
    }

    /// The cooling mode.
    pub fn cooling(&self) -> CoolingMode {
        self.core.mode
    }

    /// The fault that is latched, or that led to the present state; `None` while power is on.
    pub fn fault(&self) -> Option<Fault> {
        self.core.fault
    }

    /// The limits it was made from.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The oldest event that was not polled yet.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// How many events were dropped because nobody polled them.
    pub fn events_lost(&self) -> u32 {
        self.events.lost()
    }

    pub(crate) fn log(&mut self, kind: EventKind) {
        let at = self.time();
        self.events.push(Event { at, kind });
    }

    pub(crate) fn time(&self) -> Duration {
        Duration::from_millis(self.clock.unwrap_or(0))
    }
}

/// An index within the limits' lists, none of which is longer than 16.
pub(crate) fn narrow(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}
