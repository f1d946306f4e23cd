//! What the guard remembers, what time does to it, and how it changes state. Power exists in one state only,
//! [`State::On`]; the one way there is a check that verified everything, and every trip leads away from it at once.

use core::time::Duration;

use crate::age::Age;
use crate::event::EventKind;
use crate::limits::SensorLimits;
use crate::tracks::{FanTrack, Finding, RailTrack, SensorTrack};
use crate::units::millis;
use crate::{
    Cause, CoolingMode, Fault, FaultCode, Guard, Limits, MAX_FANS, MAX_FAULTS, MAX_RAILS,
    MAX_SENSORS, Millivolts, SensorKind, SetPoint, Severity, Slots, State, Subject,
};

/// A step of the caller's clock backwards up to this is taken for inputs that overtook each other.
const CLOCK_SLACK_MS: u64 = 1_000;

/// Everything that the guard remembers but its limits, the clock and the events. Times are ages, so that equal
/// situations are equal values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Core {
    pub(crate) state: State,
    /// Since the state was entered.
    pub(crate) in_state: Age,
    pub(crate) fault: Option<Fault>,
    pub(crate) wanted: Option<SetPoint>,
    pub(crate) mode: CoolingMode,
    pub(crate) sensors: Slots<SensorTrack, MAX_SENSORS>,
    pub(crate) fans: Slots<FanTrack, MAX_FANS>,
    pub(crate) rails: Slots<RailTrack, MAX_RAILS>,
    pub(crate) heartbeat: Age,
    /// Since power was last withdrawn, or since the start.
    pub(crate) withdrawn: Age,
    /// Since the board has had power after the grant; never, as long as it has not.
    pub(crate) energised: Age,
    /// Since the last doubt.
    pub(crate) doubt: Age,
    pub(crate) doubting: bool,
    /// Since the power passed the share at which sensors must move.
    pub(crate) busy: Age,
    pub(crate) stage: Stage,
    pub(crate) in_stage: Age,
    /// Where core rails may be while they go to a new set point.
    pub(crate) window: (Millivolts, Millivolts),
    /// Since the set point changed or power came on.
    pub(crate) set: Age,
    /// Ages of the faults that count towards the latch, the youngest first.
    pub(crate) faults: [Age; MAX_FAULTS as usize],
    /// Since the last fault, and how long to wait after it.
    pub(crate) since_fault: Age,
    pub(crate) pause: u32,
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Fans at 100 % until temperatures are known and cool enough to slow fans for the proof.
    Await,
    /// Fans at the low duty: tachs that must be proven have to be slow.
    Low,
    /// Fans at 100 %: they have to reach their speed.
    Full,
}

impl Core {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            state: State::Off,
            in_state: Age::NOW,
            fault: None,
            wanted: None,
            mode: CoolingMode::Auto,
            sensors: tracks(limits.sensors.len(), SensorTrack::new()),
            fans: tracks(limits.fans.len(), FanTrack::new()),
            rails: tracks(limits.rails.len(), RailTrack::new()),
            heartbeat: Age::NEVER,
            withdrawn: Age::NOW,
            energised: Age::NEVER,
            doubt: Age::NEVER,
            doubting: false,
            busy: Age::NOW,
            stage: Stage::Await,
            in_stage: Age::NOW,
            window: (Millivolts(0), Millivolts(0)),
            set: Age::NOW,
            faults: [Age::NEVER; MAX_FAULTS as usize],
            since_fault: Age::NEVER,
            pause: 0,
        }
    }

    pub(crate) fn restore(&mut self, fault: Fault) {
        self.state = State::Latched;
        self.fault = Some(fault);
        self.doubt = Age::NOW;
        self.doubting = true;
    }

    pub(crate) fn beat(&mut self) {
        self.heartbeat = Age::NOW;
    }

    /// Every age there is: what is not visited here does not grow.
    pub(crate) fn each_age(&mut self, mut visit: impl FnMut(&mut Age)) {
        for track in self.sensors.iter_mut() {
            track.ages().into_iter().for_each(&mut visit);
        }
        for track in self.fans.iter_mut() {
            track.ages().for_each(&mut visit);
        }
        for track in self.rails.iter_mut() {
            track.ages().into_iter().for_each(&mut visit);
        }
        self.faults.iter_mut().for_each(&mut visit);
        [
            &mut self.in_state,
            &mut self.heartbeat,
            &mut self.withdrawn,
            &mut self.energised,
            &mut self.doubt,
            &mut self.busy,
            &mut self.in_stage,
            &mut self.set,
            &mut self.since_fault,
        ]
        .into_iter()
        .for_each(&mut visit);
    }
}

fn tracks<T: Copy, const N: usize>(count: usize, track: T) -> Slots<T, N> {
    let mut slots = Slots::new();
    for _ in 0..count {
        // The limits' list has the same capacity.
        let _ = slots.push(track);
    }
    slots
}

/// Time.
impl Guard {
    /// Lets the time pass and withdraws power if a deadline went by.
    pub(crate) fn advance(&mut self, now: Duration) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let Some(clock) = self.clock else {
            self.clock = Some(now);
            return;
        };
        if now < clock {
            let back = clock - now;
            if back > CLOCK_SLACK_MS {
                self.rebase(now, back);
            }
            return;
        }
        let ms = u32::try_from(now - clock).unwrap_or(u32::MAX);
        self.clock = Some(now);
        if ms == 0 {
            return;
        }
        self.core.each_age(|age| age.grow(ms));
        for (track, limits) in self.core.fans.iter_mut().zip(self.limits.fans.iter()) {
            track.promote(millis(limits.spin_up));
        }
        self.expire();
    }

    /// The clock went backwards: no reading can be trusted to be as old as it seems.
    fn rebase(&mut self, now: u64, back: u64) {
        self.clock = Some(now);
        self.core.heartbeat = Age::NEVER;
        for track in self.core.sensors.iter_mut() {
            track.good = Age::NEVER;
        }
        for track in self.core.fans.iter_mut() {
            track.adequate = Age::NEVER;
        }
        for track in self.core.rails.iter_mut() {
            track.good = Age::NEVER;
            track.seen = Age::NEVER;
        }
        let back = i32::try_from(back).unwrap_or(i32::MAX);
        self.trip_with(FaultCode::ClockBackwards, Subject::Supervisor, back, 0);
    }

    /// Finds what has lasted too long.
    fn expire(&mut self) {
        if self
            .core
            .in_state
            .reached(millis(self.limits.timing.start_up))
        {
            self.energise();
        }
        let found = match self.core.state {
            State::On => self
                .silent_supervisor()
                .or_else(|| self.stale_sensor())
                .or_else(|| self.stale_rail())
                .or_else(|| self.inadequate_fan())
                .or_else(|| self.frozen_sensor()),
            // What a check misses is for the tick: nothing has power, and who is busy with a slow board may
            // still be in time.
            _ => None,
        };
        if let Some(finding) = found {
            self.trip(finding);
        }
    }

    pub(crate) fn silent_supervisor(&self) -> Option<Finding> {
        let lease = millis(self.limits.timing.lease);
        // A check may begin with the request itself; the first heartbeat has one lease to come.
        let silent = match self.core.state {
            State::Checking => self.core.heartbeat.min(self.core.in_state),
            _ => self.core.heartbeat,
        };
        silent.reached(lease).then(|| {
            Finding::new(
                FaultCode::HeartbeatLost,
                Subject::Supervisor,
                silent.ms(),
                lease,
            )
        })
    }

    /// How long a sensor has been silent; one that needs power is not missed until it had some time with it.
    pub(crate) fn silent(&self, track: &SensorTrack, limits: &SensorLimits) -> Age {
        if limits.needs_power && !self.has_grown() {
            Age::NOW
        } else {
            track.good
        }
    }

    /// Whether the board has had power for long enough that every sensor must answer.
    pub(crate) fn has_grown(&self) -> bool {
        let grace = millis(self.limits.timing.sensor_grace);
        self.is_energised() && self.core.energised.reached(grace)
    }

    pub(crate) fn is_energised(&self) -> bool {
        self.core.state == State::On && self.core.energised != Age::NEVER
    }

    /// The board has power from now on.
    pub(crate) fn energise(&mut self) {
        if self.core.state == State::On && !self.is_energised() {
            self.core.energised = Age::NOW;
            self.core.set = Age::NOW;
            self.core.window = (Millivolts(0), self.target());
        }
    }

    pub(crate) fn stale_sensor(&self) -> Option<Finding> {
        let max_age = millis(self.limits.timing.sensor_max_age);
        let powered = self.core.state == State::On;
        self.sensors()
            .filter(|(_, limits, _)| limits.required && (powered || !limits.needs_power))
            .map(|(index, limits, track)| (index, track, self.silent(track, limits)))
            .find(|(_, _, silent)| silent.reached(max_age))
            .map(|(index, track, silent)| track.stale(index, silent.ms(), max_age))
    }

    pub(crate) fn stale_rail(&self) -> Option<Finding> {
        let max_age = millis(self.limits.timing.rail_max_age);
        self.rails()
            .filter(|(_, limits, _)| limits.required)
            .find(|(_, _, track)| track.good.reached(max_age))
            .map(|(index, _, track)| track.stale(index, track.good.ms(), max_age))
    }

    pub(crate) fn inadequate_fan(&self) -> Option<Finding> {
        if self.core.mode == CoolingMode::Immersion {
            return None;
        }
        let max_age = millis(self.limits.timing.fan_max_age);
        let verifying = self.core.state != State::On;
        let (floor, _) = self.duties();
        self.fans()
            .filter(|(_, limits, _)| limits.required)
            .find(|(_, _, track)| track.adequate.reached(max_age))
            .map(|(index, limits, track)| {
                track.inadequate(index, limits, floor, verifying, max_age)
            })
    }

    fn frozen_sensor(&self) -> Option<Finding> {
        let must_move = millis(self.limits.timing.must_move);
        let busy = self.is_busy() && self.core.busy.reached(must_move);
        self.sensors()
            .filter(|(_, limits, _)| limits.required && limits.kind != SensorKind::Ambient)
            .find(|(_, limits, track)| {
                track.unchanged.reached(millis(limits.frozen_after)) || (busy && !track.moved)
            })
            .map(|(index, limits, track)| {
                Finding::new(
                    FaultCode::TemperatureFrozen,
                    Subject::Sensor(index),
                    track.value.unwrap_or_default().0,
                    limits.off.0,
                )
            })
    }
}

/// Faults, doubts and changes of state.
impl Guard {
    pub(crate) fn trip_with(&mut self, code: FaultCode, subject: Subject, value: i32, limit: i32) {
        self.trip(Finding::new(code, subject, value, limit));
    }

    /// Something is wrong: no power from here on.
    pub(crate) fn trip(&mut self, finding: Finding) {
        self.doubt(finding.subject);
        let fault = Fault {
            code: finding.code,
            subject: finding.subject,
            value: finding.value,
            limit: finding.limit,
            cause: None,
            at: self.time(),
        };
        let latches = finding.code.latches();
        match self.core.state {
            State::Latched => self.worsen(fault),
            State::On | State::Checking => self.fail(fault),
            _ if latches => {
                self.record(fault);
                self.latch(fault);
            }
            State::Off | State::Cooling | State::Waiting => {
                // The same trouble may be told again every second; it is one fault.
                let same =
                    |known: Fault| (known.code, known.subject) == (fault.code, fault.subject);
                if !self.core.fault.is_some_and(same) {
                    self.record(fault);
                }
                if self.core.state == State::Waiting {
                    self.go(Cause::Fault, State::Cooling);
                }
            }
        }
    }

    /// A fault ends a try: it is counted, and the next try waits or does not come.
    fn fail(&mut self, fault: Fault) {
        self.record(fault);
        let timing = self.limits.timing;
        let window = millis(timing.window);
        if fault.code.severity() == Severity::Notice {
            self.core.wanted = None;
        } else {
            self.core.faults.rotate_right(1);
            if let Some(youngest) = self.core.faults.first_mut() {
                *youngest = Age::NOW;
            }
        }
        let recent = self.core.faults.iter().filter(|age| !age.reached(window));
        let count = u8::try_from(recent.count()).unwrap_or(u8::MAX);
        let doublings = u32::from(count.saturating_sub(1));
        self.core.since_fault = Age::NOW;
        self.core.pause = millis(timing.pause)
            .saturating_mul(1 << doublings)
            .min(millis(timing.max_pause));
        if fault.code.latches() {
            self.latch(fault);
        } else if count >= timing.max_faults {
            let many = Fault {
                code: FaultCode::TooManyRestarts,
                subject: fault.subject,
                value: i32::from(count),
                limit: i32::from(timing.max_faults),
                cause: Some(fault.code),
                at: fault.at,
            };
            self.record(many);
            self.latch(many);
        } else {
            self.go(Cause::Fault, State::Cooling);
        }
    }

    /// A latched fault stays, unless the board turns out to have power all the same: a person must read that first.
    fn worsen(&mut self, fault: Fault) {
        let code = FaultCode::PowerWithoutConsent;
        if fault.code == code && self.latched_code() != code {
            let cause = Some(self.latched_code());
            self.record(Fault { cause, ..fault });
        }
    }

    fn record(&mut self, fault: Fault) {
        self.core.fault = Some(fault);
        self.log(EventKind::Fault(fault));
    }

    fn latch(&mut self, fault: Fault) {
        self.core.fault = Some(fault);
        self.core.wanted = None;
        self.go(Cause::LatchingFault, State::Latched);
    }

    pub(crate) fn supervisor_gone(&mut self) {
        self.core.heartbeat = Age::NEVER;
        let lease = i32::try_from(millis(self.limits.timing.lease)).unwrap_or(i32::MAX);
        match self.core.state {
            State::On | State::Checking => {
                self.trip_with(FaultCode::HeartbeatLost, Subject::Supervisor, lease, lease);
            }
            _ => self.core.wanted = None,
        }
    }

    /// Fans to 100 %, and for a while.
    pub(crate) fn doubt(&mut self, subject: Subject) {
        self.core.doubt = Age::NOW;
        if !self.core.doubting {
            self.core.doubting = true;
            self.log(EventKind::Doubt(subject));
        }
    }

    pub(crate) fn go(&mut self, cause: Cause, to: State) {
        let from = self.core.state;
        self.core.state = to;
        self.core.in_state = Age::NOW;
        if from == State::On {
            self.core.withdrawn = Age::NOW;
        }
        if from == State::On || to == State::On {
            for track in self.core.rails.iter_mut() {
                track.forget_strikes();
            }
        }
        match to {
            State::Checking => {
                for track in self.core.fans.iter_mut() {
                    track.unverified();
                }
                self.enter(if self.has_proofs() {
                    Stage::Await
                } else {
                    Stage::Full
                });
            }
            State::On => self.power_on(),
            _ => {}
        }
        self.log(EventKind::State { from, cause, to });
    }

    pub(crate) fn enter(&mut self, stage: Stage) {
        self.core.stage = stage;
        self.core.in_stage = Age::NOW;
    }

    fn power_on(&mut self) {
        self.core.fault = None;
        self.core.busy = Age::NOW;
        self.core.energised = Age::NEVER;
        for (track, limits) in self.core.sensors.iter_mut().zip(self.limits.sensors.iter()) {
            track.powered(limits);
        }
        if self.core.mode != CoolingMode::Immersion {
            for track in self.core.fans.iter_mut() {
                track.verified();
            }
        }
    }
}
