//! A small world around a guard: a board that obeys its decisions, and knobs to make it misbehave.
#![allow(dead_code)]

use std::time::Duration;

use guard::{
    CentiCelsius, CoolingMode, Decision, Event, EventKind, FanLimits, FanReading, FaultCode, Guard,
    Kilohertz, Limits, Millivolts, Milliwatts, Percent, RailFaults, RailLimits, RailReading,
    ReadFault, Request, Rpm, SensorKind, SensorLimits, SetPoint, State,
};

pub(crate) const STEP: Duration = Duration::from_millis(100);
pub(crate) const POLL: Duration = Duration::from_millis(500);
pub(crate) const MAX_RPM: u32 = 6_000;
pub(crate) const SET_POINT: SetPoint = SetPoint {
    voltage: Millivolts(1_150),
    frequency: Kilohertz(525_000),
};

/// A chip sensor (off at 75 °C) and a board sensor (off at 70 °C), two fans, one core rail.
pub(crate) fn limits() -> Limits {
    let mut limits = Limits::new(Kilohertz(625_000), Millivolts(1_250));
    let chip = SensorLimits::new(SensorKind::Chip, CentiCelsius(7_500));
    let board = SensorLimits::new(SensorKind::Board, CentiCelsius(7_000));
    limits.sensors.push(chip).unwrap();
    limits.sensors.push(board).unwrap();
    limits.fans.push(FanLimits::new(Rpm(MAX_RPM))).unwrap();
    limits.fans.push(FanLimits::new(Rpm(MAX_RPM))).unwrap();
    limits
        .rails
        .push(RailLimits::core(Millivolts(1_250)))
        .unwrap();
    limits.max_power = Some(Milliwatts(40_000));
    limits.input = Some((Millivolts(4_800), Millivolts(5_500)));
    limits
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sensor {
    /// Reads about this, in hundredths of a degree, dithering.
    About(i32),
    /// Reads exactly this.
    Exactly(i32),
    Fails,
    Absent,
    /// Is not even asked.
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fan {
    Turns,
    /// Stands still whatever it is told.
    Stuck,
    /// A dummy: this speed whatever it is told.
    Dummy(u32),
    Fails,
    Absent,
    Silent,
    /// Its controller keeps this duty whatever it is told.
    Duty(u8),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rail {
    Obeys,
    /// Shows this voltage while on.
    Shows(u32),
    /// Stays on whatever it is told.
    StuckOn,
    Complains(RailFaults),
    Draws {
        ma: u32,
        mw: u32,
    },
    Input(u32),
    Fails,
    Absent,
}

pub(crate) struct World {
    pub(crate) guard: Guard,
    pub(crate) now: Duration,
    pub(crate) decision: Decision,
    pub(crate) sensors: Vec<Sensor>,
    pub(crate) fans: Vec<Fan>,
    pub(crate) rail: Rail,
    pub(crate) alive: bool,
    pub(crate) events: Vec<Event>,
    rpm: Vec<f64>,
    polls: u32,
}

impl World {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut guard = Guard::new(limits).unwrap();
        let decision = guard.tick(Duration::ZERO);
        Self {
            guard,
            now: Duration::ZERO,
            decision,
            sensors: vec![Sensor::About(4_500); limits.sensors.len()],
            fans: vec![Fan::Turns; limits.fans.len()],
            rail: Rail::Obeys,
            alive: true,
            events: Vec::new(),
            rpm: vec![0.0; limits.fans.len()],
            polls: 0,
        }
    }

    /// A world in which power was asked for and granted.
    pub(crate) fn on(limits: &Limits) -> Self {
        let mut world = Self::new(limits);
        world.run(2);
        world
            .guard
            .request(world.now, Request::On(SET_POINT))
            .unwrap();
        world.run(30);
        assert!(world.decision.power, "{:?}", world.decision);
        world
    }

    pub(crate) fn request(&mut self, request: Request) -> Result<(), guard::Refusal> {
        let answer = self.guard.request(self.now, request);
        self.tick();
        answer
    }

    pub(crate) fn run(&mut self, seconds: u32) {
        for _ in 0..seconds * 10 {
            self.step();
        }
    }

    /// Runs until the guard is in `state`; says how long it took.
    pub(crate) fn until(&mut self, state: State, at_most: u32) -> Duration {
        let start = self.now;
        for _ in 0..at_most * 10 {
            if self.decision.state == state {
                return self.now - start;
            }
            self.step();
        }
        assert_eq!(self.decision.state, state, "{:?}", self.decision);
        self.now - start
    }

    /// Runs until power is off; says how long it took.
    pub(crate) fn until_off(&mut self, at_most: u32) -> Duration {
        let start = self.now;
        for _ in 0..at_most * 10 {
            if !self.decision.power {
                return self.now - start;
            }
            self.step();
        }
        panic!("still on after {at_most} s: {:?}", self.decision);
    }

    pub(crate) fn step(&mut self) {
        self.now += STEP;
        self.turn_fans();
        if self.now.as_millis().is_multiple_of(POLL.as_millis()) {
            self.poll();
        }
        self.tick();
    }

    pub(crate) fn tick(&mut self) {
        self.decision = self.guard.tick(self.now);
        while let Some(event) = self.guard.poll_event() {
            self.events.push(event);
        }
    }

    pub(crate) fn fault(&self) -> Option<FaultCode> {
        self.decision.fault.map(|fault| fault.code)
    }

    pub(crate) fn faults(&self) -> Vec<FaultCode> {
        let codes = self.events.iter().filter_map(|event| match event.kind {
            EventKind::Fault(fault) => Some(fault.code),
            _ => None,
        });
        codes.collect()
    }

    fn duty(&self, fan: usize) -> u8 {
        match self.fans[fan] {
            Fan::Duty(duty) => duty,
            _ => {
                // A quiet controller: 40 % unless the guard says otherwise.
                let (low, high) = (self.decision.fan_floor, self.decision.fan_ceiling);
                40.max(low.get()).min(high.get())
            }
        }
    }

    fn turn_fans(&mut self) {
        for fan in 0..self.fans.len() {
            let target = match self.fans[fan] {
                Fan::Stuck => 0.0,
                Fan::Dummy(rpm) => {
                    self.rpm[fan] = f64::from(rpm);
                    continue;
                }
                _ => f64::from(MAX_RPM) * f64::from(self.duty(fan)) / 100.0,
            };
            // A lag of 2 s.
            self.rpm[fan] += (target - self.rpm[fan]) * 0.05;
        }
    }

    fn poll(&mut self) {
        let now = self.now;
        self.polls += 1;
        let dither = if self.polls.is_multiple_of(2) { 13 } else { 0 };
        if self.alive {
            self.guard.heartbeat(now);
        }
        for (index, sensor) in self.sensors.iter().enumerate() {
            let reading = match *sensor {
                Sensor::About(value) => Ok(CentiCelsius(value + dither)),
                Sensor::Exactly(value) => Ok(CentiCelsius(value)),
                Sensor::Fails => Err(ReadFault::Failed),
                Sensor::Absent => Err(ReadFault::Absent),
                Sensor::Silent => continue,
            };
            self.guard.sensor(now, index, reading);
        }
        for index in 0..self.fans.len() {
            let reading = match self.fans[index] {
                Fan::Fails => Err(ReadFault::Failed),
                Fan::Absent => Err(ReadFault::Absent),
                Fan::Silent => continue,
                _ => Ok(FanReading {
                    rpm: Rpm(self.rpm[index] as u32),
                    duty: Percent::new(self.duty(index)),
                }),
            };
            self.guard.fan(now, index, reading);
        }
        let reading = self.rail_reading();
        self.guard.rail(now, 0, reading);
    }

    fn rail_reading(&self) -> Result<RailReading, ReadFault> {
        let set = self.guard.set_point().map_or(0, |set| set.voltage.0);
        let on = self.decision.power;
        let mut reading = RailReading {
            on: Some(on),
            voltage: Some(Millivolts(if on { set } else { 0 })),
            input: Some(Millivolts(5_100)),
            ..RailReading::default()
        };
        match self.rail {
            Rail::Obeys => {}
            Rail::Shows(mv) => reading.voltage = Some(Millivolts(if on { mv } else { 0 })),
            Rail::StuckOn => reading.voltage = Some(Millivolts(1_150)),
            Rail::Complains(faults) => reading.faults = faults,
            Rail::Draws { ma, mw } => {
                reading.current = Some(guard::Milliamps(if on { ma } else { 0 }));
                reading.power = Some(Milliwatts(if on { mw } else { 0 }));
            }
            Rail::Input(mv) => reading.input = Some(Millivolts(mv)),
            Rail::Fails => return Err(ReadFault::Failed),
            Rail::Absent => return Err(ReadFault::Absent),
        }
        Ok(reading)
    }
}

pub(crate) fn immersed(limits: &Limits) -> World {
    let mut world = World::new(limits);
    let mode = CoolingMode::Immersion;
    world
        .request(Request::Cooling {
            mode,
            confirmed: true,
        })
        .unwrap();
    world.run(2);
    world.request(Request::On(SET_POINT)).unwrap();
    world.run(5);
    assert!(world.decision.power, "{:?}", world.decision);
    world
}
