//! The state machine itself.

use core::time::Duration;

use crate::event::Ring;
use crate::{
    CentiCelsius, CoolingMode, Event, FanReading, Fault, Kilohertz, Limits, LimitsError,
    Millivolts, Percent, RailReading, ReadFault, Refusal, Report, Request, SetPoint, State,
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
    /// When the next try begins, while a pause runs.
    pub retry_at: Option<Duration>,
    /// Call [`Guard::tick`] again no later than this.
    pub next: Duration,
}

/// The safety core of one power group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    limits: Limits,
    now: Duration,
    state: State,
    fault: Option<Fault>,
    wanted: Option<SetPoint>,
    mode: CoolingMode,
    events: Ring,
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
            now: Duration::ZERO,
            state: State::Off,
            fault: None,
            wanted: None,
            mode: CoolingMode::Auto,
            events: Ring::new(),
        })
    }

    /// A guard that starts with a fault latched, as an earlier run left it.
    ///
    /// # Errors
    /// The limits could not protect anything; see [`Limits::check`].
    pub fn latched(limits: &Limits, fault: Fault) -> Result<Self, LimitsError> {
        let mut guard = Self::new(limits)?;
        guard.state = State::Latched;
        guard.fault = Some(fault);
        Ok(guard)
    }

    /// A reading of the sensor with this index. Unknown indices are ignored.
    pub fn sensor(
        &mut self,
        now: Duration,
        index: usize,
        reading: Result<CentiCelsius, ReadFault>,
    ) {
        let _ = (index, reading);
        self.now = now;
    }

    /// A reading of the fan with this index. Unknown indices are ignored.
    pub fn fan(&mut self, now: Duration, index: usize, reading: Result<FanReading, ReadFault>) {
        let _ = (index, reading);
        self.now = now;
    }

    /// A reading of the rail with this index. Unknown indices are ignored.
    pub fn rail(&mut self, now: Duration, index: usize, reading: Result<RailReading, ReadFault>) {
        let _ = (index, reading);
        self.now = now;
    }

    /// The supervisor is alive.
    pub fn heartbeat(&mut self, now: Duration) {
        self.now = now;
    }

    /// Something about the hardware that was found outside.
    pub fn report(&mut self, now: Duration, report: Report) {
        let _ = report;
        self.now = now;
    }

    /// What somebody wants. A refusal changes nothing and is also an event.
    ///
    /// # Errors
    /// [`Refusal`] says why.
    pub fn request(&mut self, now: Duration, request: Request) -> Result<(), Refusal> {
        self.now = now;
        match request {
            Request::On(set_point) | Request::SetPoint(set_point) => self.wanted = Some(set_point),
            Request::Off => self.wanted = None,
            Request::Cooling { mode, .. } => self.mode = mode,
            Request::Clear(_) => {}
        }
        Ok(())
    }

    /// What is allowed now. Call it after each batch of inputs and no later than [`Decision::next`].
    pub fn tick(&mut self, now: Duration) -> Decision {
        self.now = now;
        Decision {
            power: false,
            fan_floor: Percent::FULL,
            fan_ceiling: Percent::FULL,
            max_frequency: Kilohertz(0),
            max_voltage: Millivolts(0),
            state: self.state,
            fault: self.fault,
            retry_at: None,
            next: now.saturating_add(Duration::from_secs(1)),
        }
    }

    /// What is being done.
    pub fn state(&self) -> State {
        self.state
    }

    /// The set point that was asked for and accepted, if power is wanted.
    pub fn set_point(&self) -> Option<SetPoint> {
        self.wanted
    }

    /// The cooling mode.
    pub fn cooling(&self) -> CoolingMode {
        self.mode
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
}
