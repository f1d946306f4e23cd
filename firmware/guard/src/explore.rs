//! Exhaustive exploration: every state that a small guard can reach in steps of one second under every combination of
//! inputs, with what must hold checked in each. "Small" means deadlines of a few seconds and one sensor, one fan and one
//! rail, so that the states can be counted; the code is the one that runs everywhere.
//!
//! A ghost beside the guard keeps its own account of what was last told, with no more knowledge than the input itself
//! has, and judges the decisions by it.

extern crate std;

use core::time::Duration;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::vec::Vec;

use crate::age::Age;
use crate::event::Ring;
use crate::machine::{Core, Stage};
use crate::*;

const MAX_AGE: u8 = 2;
const HOLD: u8 = 2;
const WINDOW_MS: u32 = 9_000;
/// What a frozen sensor shows. A working one shows [`GOOD`], which [`canonical`] takes back to this each time, so that it
/// is a change again.
const FROZEN: CentiCelsius = CentiCelsius(3_000);
const GOOD: CentiCelsius = CentiCelsius(3_001);
const WARM: CentiCelsius = CentiCelsius(5_000);
const HOT: CentiCelsius = CentiCelsius(6_500);
const LIMIT: CentiCelsius = CentiCelsius(7_000);
const SET: SetPoint = SetPoint {
    voltage: Millivolts(1_000),
    frequency: Kilohertz(500),
};

fn small() -> Limits {
    let seconds = |count: u8| Duration::from_secs(u64::from(count));
    let mut limits = Limits::new(Kilohertz(600), Millivolts(1_200));
    let mut sensor = SensorLimits::new(SensorKind::Chip, LIMIT);
    sensor.hot = CentiCelsius(6_000);
    sensor.frozen_after = seconds(4);
    let mut fan = FanLimits::new(Rpm(1_000));
    fan.spin_up = seconds(1);
    let mut rail = RailLimits::core(Millivolts(1_200));
    rail.settle = seconds(1);
    rail.discharge = seconds(2);
    // Both fit; the lists are empty.
    let _ = limits.sensors.push(sensor);
    let _ = limits.fans.push(fan);
    let _ = limits.rails.push(rail);
    limits.timing = Timing {
        sensor_max_age: seconds(MAX_AGE),
        sensor_grace: seconds(MAX_AGE),
        fan_max_age: seconds(MAX_AGE),
        rail_max_age: seconds(MAX_AGE),
        lease: seconds(MAX_AGE),
        start_up: seconds(3),
        check: seconds(5),
        proof_duty: Percent::new(30),
        cool_margin: CentiCelsius(2_500),
        doubt_hold: seconds(HOLD),
        must_move: seconds(2),
        busy: Percent::new(30),
        pause: seconds(5),
        max_pause: seconds(5),
        max_faults: 2,
        window: Duration::from_millis(u64::from(WINDOW_MS)),
    };
    limits
}

/// What one second brings.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Step {
    beat: bool,
    sensor: Option<Result<CentiCelsius, ReadFault>>,
    fan: Fan,
    rail: Rail,
    act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fan {
    /// Whatever duty it has, it keeps up with it.
    Obeys,
    Slow,
    /// A dummy plug: full speed at any duty.
    Dummy,
    Below,
    Fails,
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Rail {
    Obeys,
    StuckOn,
    StuckOff,
    Wrong,
    Over,
    Complains,
    Fails,
    Silent,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    None,
    Ask(Request),
    Tell(Report),
    ClockBack,
}

const FINE: Step = Step {
    beat: true,
    sensor: Some(Ok(GOOD)),
    fan: Fan::Obeys,
    rail: Rail::Obeys,
    act: Act::None,
};

/// The ghost: seconds since each input was last good, saturating, and what a person would remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ghost {
    beat: u8,
    sensor: u8,
    fan: u8,
    rail: u8,
    /// The last plausible temperature.
    value: Option<CentiCelsius>,
    latched: Option<FaultCode>,
    immersed: bool,
    /// Whether the fan was seen slow in this check.
    slow: bool,
    /// Seconds without a change of the temperature while power is on.
    still: u8,
    /// Seconds of a wrong voltage since the set point last changed.
    wrong: u8,
    power: bool,
    duty: u8,
    voltage: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    core: Core,
    ghost: Ghost,
}

struct Found {
    states: usize,
    edges: usize,
    transitions: BTreeSet<Transition>,
}

/// Visits everything that can be reached with these steps.
fn explore(limits: &Limits, steps: &[Step]) -> Found {
    let start = Node {
        core: canonical(Core::new(limits)),
        ghost: Ghost {
            beat: MAX_AGE,
            sensor: MAX_AGE,
            fan: MAX_AGE,
            rail: MAX_AGE,
            value: None,
            latched: None,
            immersed: false,
            slow: false,
            still: 0,
            wrong: 0,
            power: false,
            duty: 100,
            voltage: 0,
        },
    };
    let mut seen = HashSet::from([digest(&start)]);
    let mut queue = VecDeque::from([start]);
    let mut found = Found {
        states: 1,
        edges: 0,
        transitions: BTreeSet::new(),
    };
    while let Some(node) = queue.pop_front() {
        for step in steps {
            let next = take(limits, &node, *step, &mut found.transitions);
            found.edges += 1;
            if seen.insert(digest(&next)) {
                found.states += 1;
                queue.push_back(next);
            }
        }
    }
    found
}

/// 128 bits stand for a node: with a million nodes two of them coincide with a probability below 1e-26.
fn digest(node: &Node) -> u128 {
    let mut digest = Digest(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    node.hash(&mut digest);
    digest.0
}

/// FNV-1a over words: one pass over a node that unoptimised code can afford.
struct Digest(u128);

impl Digest {
    fn word(&mut self, word: u64) {
        let mixed =
            (self.0 ^ u128::from(word)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        self.0 = mixed ^ (mixed >> 67);
    }
}

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        self.0 as u64
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.word(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.word(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.word(u64::from(value));
    }

    fn write_i32(&mut self, value: i32) {
        self.word(u64::from(value.cast_unsigned()));
    }

    fn write_u64(&mut self, value: u64) {
        self.word(value);
    }

    fn write_isize(&mut self, value: isize) {
        self.word(value.cast_unsigned() as u64);
    }
}

/// One second passes, everything is told, the guard decides, and the ghost judges.
fn take(limits: &Limits, node: &Node, step: Step, transitions: &mut BTreeSet<Transition>) -> Node {
    let mut ghost = node.ghost;
    let mut guard = Guard {
        limits: *limits,
        core: node.core,
        events: Ring::new(),
        clock: Some(100_000),
    };
    let mut now = Duration::from_secs(101);
    for age in [
        &mut ghost.beat,
        &mut ghost.sensor,
        &mut ghost.fan,
        &mut ghost.rail,
    ] {
        *age = (*age + 1).min(MAX_AGE);
    }
    let mut bad = false;
    if step.beat {
        guard.heartbeat(now);
        ghost.beat = 0;
    }
    // A second of power in which nothing moves; a working sensor shows another value each time.
    ghost.still = if ghost.power { ghost.still + 1 } else { 0 };
    if let Some(reading) = step.sensor {
        if reading.is_ok_and(|value| {
            value == GOOD || ghost.value.map(|v| v.max(GOOD)) != Some(value.max(GOOD))
        }) {
            ghost.still = 0;
        }
        guard.sensor(now, 0, reading);
        match reading {
            Ok(value) if value.0 != -100 => {
                ghost.sensor = 0;
                ghost.value = Some(value.max(GOOD));
                bad |= value >= LIMIT;
            }
            _ => {}
        }
    }
    feed_fan(&mut guard, now, step.fan, &mut ghost);
    feed_rail(&mut guard, now, step.rail, &mut ghost);
    match step.act {
        Act::None => {}
        Act::Ask(request) => {
            // What was latched a moment ago may be cleared now.
            if guard.state() == State::Latched {
                ghost.latched = guard.fault().map(|fault| fault.code);
            }
            let answer = guard.request(now, request);
            judge_answer(request, answer, &mut ghost);
        }
        Act::Tell(report) => {
            guard.report(now, report);
            // A port that closes while nothing is powered is no hazard.
            bad |= match report {
                Report::Energised => false,
                Report::SupervisorGone => ghost.power,
                _ => true,
            };
        }
        Act::ClockBack => {
            now -= Duration::from_secs(50);
            bad = true;
            // Nothing is known of any age any more.
            (ghost.beat, ghost.sensor, ghost.fan, ghost.rail) =
                (MAX_AGE, MAX_AGE, MAX_AGE, MAX_AGE);
        }
    }
    let decision = guard.tick(now);
    while let Some(event) = guard.poll_event() {
        if let EventKind::State { from, cause, to } = event.kind {
            transitions.insert(Transition { from, cause, to });
        }
    }
    judge(&guard, &decision, &ghost, bad, &step);
    ghost.slow &= decision.state == State::Checking;
    ghost.power = decision.power;
    ghost.duty = decision.fan_floor.get();
    ghost.voltage = guard.set_point().map_or(0, |set| set.voltage.0);
    ghost.latched = (decision.state == State::Latched)
        .then(|| decision.fault.map(|fault| fault.code))
        .flatten();
    Node {
        core: canonical(guard.core),
        ghost,
    }
}

fn feed_fan(guard: &mut Guard, now: Duration, fan: Fan, ghost: &mut Ghost) {
    let duty = ghost.duty;
    let reading = match fan {
        Fan::Silent => return,
        Fan::Fails => Err(ReadFault::Failed),
        Fan::Obeys => Ok((u32::from(duty) * 10, duty)),
        Fan::Slow => Ok((50, duty)),
        Fan::Dummy => Ok((1_000, duty)),
        Fan::Below => Ok((100, 10)),
    };
    let reading = reading.map(|(rpm, duty)| FanReading {
        rpm: Rpm(rpm),
        duty: Percent::new(duty),
    });
    guard.fan(now, 0, reading);
    ghost.slow |= reading.is_ok_and(|reading| reading.rpm <= Rpm(800));
    // Both do what the lowest duty demands; a dummy is not told from a fan without a proof.
    if matches!(fan, Fan::Obeys | Fan::Dummy) {
        ghost.fan = 0;
    }
}

fn feed_rail(guard: &mut Guard, now: Duration, rail: Rail, ghost: &mut Ghost) {
    ghost.wrong = match rail {
        Rail::Wrong if ghost.power => ghost.wrong + 1,
        _ => 0,
    };
    let set = if ghost.power { ghost.voltage } else { 0 };
    let voltage = match rail {
        Rail::Silent => return,
        Rail::Fails => {
            guard.rail(now, 0, Err(ReadFault::Failed));
            return;
        }
        Rail::Obeys | Rail::Complains => set,
        Rail::StuckOn => 1_000,
        Rail::StuckOff => 0,
        Rail::Wrong => 800,
        Rail::Over => 1_500,
    };
    let faults = if rail == Rail::Complains {
        RailFaults::OVER_TEMPERATURE
    } else {
        RailFaults::NONE
    };
    let reading = RailReading {
        voltage: Some(Millivolts(voltage)),
        faults,
        ..RailReading::default()
    };
    guard.rail(now, 0, Ok(reading));
    if !matches!(rail, Rail::Over | Rail::Complains) {
        ghost.rail = 0;
    }
}

fn judge_answer(request: Request, answer: Result<(), Refusal>, ghost: &mut Ghost) {
    match request {
        Request::Off => assert_eq!(answer, Ok(()), "off is never refused"),
        Request::On(set) | Request::SetPoint(set) => {
            if set.voltage > Millivolts(1_200) || set.frequency > Kilohertz(600) {
                assert!(answer.is_err(), "a hard limit was passed");
            }
            ghost.wrong = 0;
            if ghost.latched.is_some() {
                assert!(answer.is_err(), "a latched fault is in the way");
            }
        }
        Request::Clear(code) => {
            if answer.is_ok() {
                assert_eq!(ghost.latched, Some(code), "a person named the wrong fault");
                ghost.latched = None;
            }
        }
        Request::Cooling { mode, confirmed } => {
            if answer.is_ok() {
                ghost.immersed = mode == CoolingMode::Immersion;
                assert!(confirmed || !ghost.immersed);
            }
        }
    }
}

/// What must hold after every step.
fn judge(guard: &Guard, decision: &Decision, ghost: &Ghost, bad: bool, step: &Step) {
    let told = (decision, ghost, step);
    if decision.power {
        assert!(!bad, "a hazard left power on: {told:?}");
        assert!(ghost.sensor < MAX_AGE, "no fresh temperature: {told:?}");
        assert!(ghost.value.is_some_and(|value| value < LIMIT), "{told:?}");
        assert!(ghost.beat < MAX_AGE, "no heartbeat: {told:?}");
        assert!(
            ghost.immersed || ghost.fan < MAX_AGE,
            "no verified fan: {told:?}"
        );
        assert!(
            guard.limits.rails.is_empty() || ghost.rail < MAX_AGE,
            "no status of the rail: {told:?}"
        );
        assert!(ghost.still < 4, "a frozen temperature: {told:?}");
        // A second to settle, and two readings.
        assert!(ghost.wrong <= 3, "the wrong voltage stays: {told:?}");
        assert_eq!(ghost.latched, None, "latched: {told:?}");
        assert_eq!(decision.state, State::On);
        assert!(decision.fan_floor >= guard.limits.min_duty, "{told:?}");
        assert_eq!(decision.fault, None);
    } else {
        assert_eq!(decision.max_voltage, Millivolts(0));
        assert_eq!(decision.max_frequency, Kilohertz(0));
        assert_ne!(decision.state, State::On);
    }
    if decision.power && !ghost.power {
        let hot = guard
            .limits
            .sensors
            .iter()
            .all(|limits| ghost.value.is_some_and(|value| value < limits.hot));
        assert!(hot, "power for a hot board: {told:?}");
        let proof = guard.limits.fans.iter().any(|limits| limits.tach_proof);
        assert!(
            !proof || ghost.immersed || ghost.slow,
            "a tach that was never slow: {told:?}"
        );
    }
    if let Some(code) = ghost.latched {
        assert_eq!(
            decision.state,
            State::Latched,
            "nobody cleared it: {told:?}"
        );
        let now = decision.fault.map(|fault| fault.code);
        assert!(now == Some(code) || now == Some(FaultCode::PowerWithoutConsent));
    }
    if let Some(set) = guard.set_point() {
        assert!(set.voltage <= Millivolts(1_200) && set.frequency <= Kilohertz(600));
    }
    let unknown = ghost.sensor >= MAX_AGE || ghost.value.is_none_or(|value| value >= LIMIT);
    let proving = decision.state == State::Checking && decision.fan_ceiling < Percent::FULL;
    if (bad || unknown) && !proving {
        assert_eq!(decision.fan_floor, Percent::FULL, "doubt: {told:?}");
    }
    if proving {
        assert!(!unknown && !decision.power, "{told:?}");
    }
    if decision.state == State::Cooling {
        assert_eq!(decision.fan_floor, Percent::FULL);
    }
    assert!(decision.fan_floor <= decision.fan_ceiling);
    assert!(decision.next > guard.time());
}

/// Makes states equal that no future input can tell apart, but for the name of a fault that does not latch: an age does
/// not matter beyond the deadline that it is held against, nor in states that never look at it before it starts again.
fn canonical(mut core: Core) -> Core {
    let state = core.state;
    match &mut core.fault {
        Some(fault) if state == State::Latched => {
            (fault.value, fault.limit, fault.at) = (0, 0, Duration::ZERO);
            (fault.subject, fault.cause) = (Subject::Group, None);
        }
        fault => *fault = None,
    }
    let dead = |age: &mut Age| *age = Age::NOW;
    let seconds = |age: &mut Age, cap: u8| {
        if *age == Age::NEVER {
            *age = Age::NOW;
            age.grow(u32::MAX);
        }
        age.cap(u32::from(cap) * 1_000);
    };
    seconds(&mut core.heartbeat, MAX_AGE);
    seconds(&mut core.doubt, HOLD);
    seconds(&mut core.since_fault, 5);
    for age in &mut core.faults {
        if state == State::Latched || age.reached(WINDOW_MS) {
            *age = Age::NEVER;
        }
    }
    // Nobody measures power here.
    dead(&mut core.busy);
    if core.rails.is_empty() {
        // Only rails and sensors that need power care for when it came and went.
        dead(&mut core.withdrawn);
        core.energised = Age::NEVER;
    }
    if state == State::On && !core.rails.is_empty() {
        dead(&mut core.withdrawn);
        seconds(&mut core.in_state, 3);
        seconds(&mut core.set, 1);
        if core.energised != Age::NEVER {
            seconds(&mut core.energised, 2);
            dead(&mut core.in_state);
        }
    } else {
        seconds(&mut core.withdrawn, 2);
        dead(&mut core.set);
        core.energised = Age::NEVER;
        core.window = (Millivolts(0), Millivolts(0));
        match state {
            State::Checking => seconds(&mut core.in_state, 5),
            _ => dead(&mut core.in_state),
        }
    }
    if state == State::Checking {
        seconds(&mut core.in_stage, 1);
    } else {
        dead(&mut core.in_stage);
        core.stage = Stage::Await;
    }
    for track in core.sensors.iter_mut() {
        seconds(&mut track.good, MAX_AGE);
        track.forget();
        if track.value == Some(GOOD) {
            track.value = Some(FROZEN);
        }
        if state == State::On {
            seconds(&mut track.unchanged, 4);
        } else {
            dead(&mut track.unchanged);
            track.moved = false;
        }
    }
    let immersed = core.mode == CoolingMode::Immersion;
    for track in core.fans.iter_mut() {
        track.forget(state == State::Checking, state == State::On && !immersed);
        for age in track.ages() {
            seconds(age, MAX_AGE);
        }
    }
    for track in core.rails.iter_mut() {
        for age in track.ages() {
            seconds(age, MAX_AGE);
        }
    }
    core
}

fn requests() -> Vec<Act> {
    let too_high = SetPoint {
        voltage: Millivolts(1_201),
        ..SET
    };
    let too_fast = SetPoint {
        frequency: Kilohertz(601),
        ..SET
    };
    [
        Request::On(SET),
        Request::Off,
        Request::On(too_high),
        Request::SetPoint(too_fast),
        Request::Clear(FaultCode::TooManyRestarts),
        Request::Clear(FaultCode::IdentityMismatch),
        Request::Clear(FaultCode::PowerWithoutConsent),
    ]
    .map(Act::Ask)
    .to_vec()
}

/// Every combination of what sensor and heartbeat can do, with and without the fan verified, and every request.
fn heat() -> Vec<Step> {
    let sensors = [
        None,
        Some(Ok(GOOD)),
        Some(Ok(FROZEN)),
        Some(Ok(WARM)),
        Some(Ok(HOT)),
        Some(Ok(LIMIT)),
        Some(Ok(CentiCelsius(-100))),
        Some(Err(ReadFault::Failed)),
    ];
    let mut steps = Vec::new();
    for sensor in sensors {
        for beat in [true, false] {
            steps.push(Step {
                beat,
                sensor,
                ..FINE
            });
        }
    }
    for act in requests() {
        steps.push(Step { act, ..FINE });
    }
    let identity = Report::Identity {
        found: 1,
        expected: 2,
    };
    for act in [
        Act::Tell(identity),
        Act::Tell(Report::SupervisorGone),
        Act::ClockBack,
    ] {
        steps.push(Step { act, ..FINE });
    }
    steps
}

/// Every combination of what fan and sensor can do, every mode and every request.
fn air() -> Vec<Step> {
    let fans = [
        Fan::Obeys,
        Fan::Slow,
        Fan::Dummy,
        Fan::Below,
        Fan::Fails,
        Fan::Silent,
    ];
    let mut steps = Vec::new();
    for fan in fans {
        for sensor in [Some(Ok(GOOD)), Some(Ok(HOT)), Some(Err(ReadFault::Absent))] {
            steps.push(Step {
                fan,
                sensor,
                ..FINE
            });
        }
    }
    let modes = [
        (CoolingMode::Auto, false),
        (CoolingMode::Manual(Percent::new(20)), false),
        (CoolingMode::Immersion, true),
        (CoolingMode::Immersion, false),
    ];
    let modes = modes.map(|(mode, confirmed)| Act::Ask(Request::Cooling { mode, confirmed }));
    let requests = [
        Request::On(SET),
        Request::Off,
        Request::Clear(FaultCode::TooManyRestarts),
        Request::Clear(FaultCode::FanSpoofed),
    ];
    for act in requests.map(Act::Ask).into_iter().chain(modes) {
        steps.push(Step { act, ..FINE });
    }
    steps
}

/// Every combination of what rail and heartbeat can do, and every request.
fn current() -> Vec<Step> {
    let rails = [
        Rail::Obeys,
        Rail::StuckOn,
        Rail::StuckOff,
        Rail::Wrong,
        Rail::Over,
        Rail::Complains,
        Rail::Fails,
        Rail::Silent,
    ];
    let mut steps = Vec::new();
    for rail in rails {
        for beat in [true, false] {
            steps.push(Step { beat, rail, ..FINE });
        }
    }
    let lower = SetPoint {
        voltage: Millivolts(900),
        ..SET
    };
    let more = [
        Act::Ask(Request::SetPoint(lower)),
        Act::Tell(Report::Energised),
    ];
    for act in requests().into_iter().chain(more) {
        steps.push(Step { act, ..FINE });
    }
    steps
}

fn without_rail() -> Limits {
    let mut limits = small();
    limits.rails = Slots::new();
    limits
}

fn with_proof() -> Limits {
    let mut limits = without_rail();
    for fan in limits.fans.iter_mut() {
        fan.tach_proof = true;
    }
    limits
}

/// Explores all four small guards, each on a thread of its own.
fn explore_all() -> [Found; 4] {
    std::thread::scope(|scope| {
        [
            (without_rail(), heat()),
            (without_rail(), air()),
            (with_proof(), air()),
            (small(), current()),
        ]
        .map(|(limits, steps)| scope.spawn(move || explore(&limits, &steps)))
        .map(|thread| match thread.join() {
            Ok(found) => found,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

#[test]
fn every_reachable_state_is_safe_and_every_drawn_transition_is_reached() {
    let found = explore_all();
    for found in &found {
        std::println!("{} states, {} steps", found.states, found.edges);
        assert!(found.states > 5_000, "the exploration came to an early end");
    }
    let reached: BTreeSet<_> = found
        .into_iter()
        .flat_map(|found| found.transitions)
        .collect();
    let drawn: BTreeSet<_> = TRANSITIONS.iter().copied().collect();
    assert_eq!(reached, drawn);
}
