//! Random boards, random inputs at random times: what holds in every case, judged by an account of the inputs that
//! knows nothing of the guard's insides.

use std::time::Duration;

use guard::*;
use proptest::prelude::*;

const SET: SetPoint = SetPoint {
    voltage: Millivolts(1_150),
    frequency: Kilohertz(525_000),
};

#[derive(Debug, Clone, Copy)]
enum Input {
    /// Time passes, in milliseconds; seldom it goes back.
    Pass(u32),
    Back(u32),
    /// All that a healthy board tells in one poll.
    Poll,
    Beat,
    Sensor(usize, Result<i32, ReadFault>),
    Fan(usize, Result<(u32, u8), ReadFault>),
    Rail(usize, Result<(u32, u16), ReadFault>),
    Ask(Request),
    Tell(Report),
}

fn read_fault() -> impl Strategy<Value = ReadFault> {
    prop_oneof![Just(ReadFault::Absent), Just(ReadFault::Failed)]
}

fn request() -> impl Strategy<Value = Request> {
    let set = (0u32..2_000, 0u32..900_000).prop_map(|(mv, khz)| SetPoint {
        voltage: Millivolts(mv),
        frequency: Kilohertz(khz),
    });
    let mode = prop_oneof![
        Just(CoolingMode::Auto),
        Just(CoolingMode::Immersion),
        (0u8..=100).prop_map(|duty| CoolingMode::Manual(Percent::new(duty))),
    ];
    prop_oneof![
        6 => Just(Request::On(SET)),
        1 => set.clone().prop_map(Request::On),
        1 => set.prop_map(Request::SetPoint),
        1 => Just(Request::Off),
        1 => (mode, any::<bool>())
            .prop_map(|(mode, confirmed)| Request::Cooling { mode, confirmed }),
        1 => proptest::sample::select(FaultCode::ALL).prop_map(Request::Clear),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    let subject = Subject::Device(1);
    prop_oneof![
        Just(Report::Absent { subject }),
        Just(Report::WrongDevice {
            subject,
            found: 1,
            expected: 2
        }),
        Just(Report::Identity {
            found: 1,
            expected: 2
        }),
        Just(Report::Mismatch {
            subject,
            read: 1,
            wrote: 2
        }),
        Just(Report::SupervisorGone),
    ]
}

fn input() -> impl Strategy<Value = Input> {
    let temperature = prop_oneof![
        6 => 2_000i32..6_900,
        1 => 6_900i32..20_000,
        1 => Just(-100),
        1 => any::<i32>(),
    ];
    prop_oneof![
        30 => (1u32..1_200).prop_map(Input::Pass),
        1 => (1_000u32..100_000).prop_map(Input::Pass),
        1 => (1u32..5_000).prop_map(Input::Back),
        40 => Just(Input::Poll),
        3 => Just(Input::Beat),
        3 => (0usize..4, prop_oneof![4 => temperature.prop_map(Ok), 1 => read_fault().prop_map(Err)])
            .prop_map(|(index, reading)| Input::Sensor(index, reading)),
        2 => (0usize..3, prop_oneof![
            4 => (0u32..8_000, 0u8..=100).prop_map(Ok),
            1 => read_fault().prop_map(Err),
        ]).prop_map(|(index, reading)| Input::Fan(index, reading)),
        2 => (0usize..3, prop_oneof![
            4 => (0u32..2_000, prop_oneof![3 => Just(0u16), 1 => any::<u16>()]).prop_map(Ok),
            1 => read_fault().prop_map(Err),
        ]).prop_map(|(index, reading)| Input::Rail(index, reading)),
        6 => request().prop_map(Input::Ask),
        1 => report().prop_map(Input::Tell),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    (1usize..4, 0usize..3, 0usize..3, any::<bool>()).prop_map(|(sensors, fans, rails, proof)| {
        let mut limits = Limits::new(Kilohertz(625_000), Millivolts(1_250));
        for _ in 0..sensors {
            let sensor = SensorLimits::new(SensorKind::Chip, CentiCelsius(7_500));
            limits.sensors.push(sensor).unwrap();
        }
        for _ in 0..fans {
            let mut fan = FanLimits::new(Rpm(6_000));
            fan.tach_proof = proof;
            fan.spin_up = Duration::from_secs(1);
            limits.fans.push(fan).unwrap();
        }
        for _ in 0..rails {
            limits
                .rails
                .push(RailLimits::core(Millivolts(1_250)))
                .unwrap();
        }
        limits
    })
}

/// When each thing was last told well, by an account of our own.
struct Account {
    /// What the caller's clock shows.
    clock: Duration,
    /// The latest that it ever showed: the clock of a caller whose inputs overtook each other by up to a second.
    now: Duration,
    beat: Option<Duration>,
    sensors: Vec<Option<(Duration, i32)>>,
    fans: Vec<Option<Duration>>,
    immersed: bool,
    hazard: bool,
    polls: i32,
}

impl Account {
    fn new(limits: &Limits) -> Self {
        Self {
            clock: Duration::from_secs(1_000),
            now: Duration::from_secs(1_000),
            beat: None,
            sensors: vec![None; limits.sensors.len()],
            fans: vec![None; limits.fans.len()],
            immersed: false,
            hazard: false,
            polls: 0,
        }
    }

    fn fresh(&self, then: Option<Duration>, max_age: Duration) -> bool {
        then.is_some_and(|then| self.now.saturating_sub(then) < max_age)
    }

    fn tell(&mut self, guard: &mut Guard, decision: &Decision, input: Input) {
        self.hazard = false;
        match input {
            Input::Pass(ms) => {
                self.clock += Duration::from_millis(u64::from(ms));
                self.now = self.now.max(self.clock);
            }
            Input::Back(ms) => {
                let back = Duration::from_millis(u64::from(ms));
                self.clock = self.clock.saturating_sub(back);
                if self.now - self.clock > Duration::from_secs(1) {
                    self.now = self.clock;
                    self.beat = None;
                    self.sensors.fill(None);
                    self.fans.fill(None);
                    self.hazard = true;
                }
            }
            Input::Poll => self.poll(guard, decision),
            Input::Beat => {
                guard.heartbeat(self.clock);
                self.beat = Some(self.now);
            }
            Input::Sensor(index, reading) => self.sensor(guard, index, reading),
            Input::Fan(index, reading) => {
                // Judged only by the most generous measure: it turns at all.
                if let (Ok((1.., _)), Some(fan)) = (reading, self.fans.get_mut(index)) {
                    *fan = Some(self.now);
                }
                let reading = reading.map(|(rpm, duty)| FanReading {
                    rpm: Rpm(rpm),
                    duty: Percent::new(duty),
                });
                guard.fan(self.clock, index, reading);
            }
            Input::Rail(index, reading) => {
                let reading = reading.map(|(mv, faults)| RailReading {
                    voltage: Some(Millivolts(mv)),
                    faults: RailFaults(faults),
                    ..RailReading::default()
                });
                guard.rail(self.clock, index, reading);
            }
            Input::Ask(request) => {
                let before = guard.set_point();
                let answer = guard.request(self.clock, request);
                match request {
                    Request::Off => assert_eq!(answer, Ok(())),
                    Request::Cooling { mode, .. } if answer.is_ok() => {
                        self.immersed = mode == CoolingMode::Immersion;
                    }
                    Request::On(set) | Request::SetPoint(set) if answer.is_ok() => {
                        assert_eq!(guard.set_point(), Some(set));
                    }
                    Request::On(set) | Request::SetPoint(set)
                        if set.voltage > Millivolts(1_250)
                            || set.frequency > Kilohertz(625_000) =>
                    {
                        assert!(guard.set_point() == before || guard.set_point().is_none());
                    }
                    _ => {}
                }
            }
            Input::Tell(report) => {
                guard.report(self.clock, report);
                self.hazard = true;
            }
        }
    }

    fn sensor(&mut self, guard: &mut Guard, index: usize, reading: Result<i32, ReadFault>) {
        if let (Ok(value), Some(sensor)) = (reading, self.sensors.get_mut(index))
            && (-4_000..=12_500).contains(&value)
            && value != -100
        {
            *sensor = Some((self.now, value));
            self.hazard |= value >= 7_500;
        }
        guard.sensor(self.clock, index, reading.map(CentiCelsius));
    }

    fn poll(&mut self, guard: &mut Guard, decision: &Decision) {
        self.polls += 1;
        guard.heartbeat(self.clock);
        self.beat = Some(self.now);
        for index in 0..self.sensors.len() {
            self.sensor(guard, index, Ok(4_500 + self.polls % 2 * 13));
        }
        let duty = 40
            .max(decision.fan_floor.get())
            .min(decision.fan_ceiling.get());
        for index in 0..self.fans.len() {
            self.fans[index] = Some(self.now);
            let reading = FanReading {
                rpm: Rpm(u32::from(duty) * 60),
                duty: Percent::new(duty),
            };
            guard.fan(self.clock, index, Ok(reading));
        }
        let set = guard.set_point().map_or(0, |set| set.voltage.0);
        let reading = RailReading {
            voltage: Some(Millivolts(if decision.power { set } else { 0 })),
            ..RailReading::default()
        };
        for index in 0..guard.limits().rails.len() {
            guard.rail(self.clock, index, Ok(reading));
        }
    }

    fn judge(&self, guard: &Guard, decision: &Decision, before: &Decision, input: Input) {
        let timing = &guard.limits().timing;
        if decision.power {
            assert!(!self.hazard, "a hazard left power on: {input:?}");
            assert!(self.fresh(self.beat, timing.lease), "no heartbeat");
            for sensor in &self.sensors {
                let then = sensor.map(|(then, _)| then);
                assert!(self.fresh(then, timing.sensor_max_age), "stale");
                assert!(sensor.is_some_and(|(_, value)| value < 7_500));
            }
            if !self.immersed {
                assert!(!self.fans.is_empty());
                for fan in &self.fans {
                    assert!(self.fresh(*fan, timing.fan_max_age), "no fan");
                }
            }
            assert!(guard.set_point().is_some());
        } else {
            assert_eq!(decision.max_voltage, Millivolts(0));
            assert_eq!(decision.max_frequency, Kilohertz(0));
        }
        if self.hazard && decision.state != State::Checking && !matches!(input, Input::Tell(_)) {
            assert_eq!(decision.fan_floor, Percent::FULL);
        }
        let cleared = matches!(input, Input::Ask(Request::Clear(_)));
        if before.state == State::Latched && !cleared {
            assert_eq!(decision.state, State::Latched);
        }
        if let Some(set) = guard.set_point() {
            assert!(set.voltage <= Millivolts(1_250) && set.frequency <= Kilohertz(625_000));
        }
        assert!(decision.max_voltage <= Millivolts(1_250));
        assert!(decision.max_frequency <= Kilohertz(625_000));
        assert!(decision.fan_floor <= decision.fan_ceiling);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is told in whatever order: no power without everything verified, none through a hazard, none out of the
    /// latch, none beyond a limit.
    #[test]
    fn no_inputs_lead_to_unsafe_power(
        limits in limits(),
        inputs in proptest::collection::vec(input(), 1..300),
    ) {
        let mut guard = Guard::new(&limits).unwrap();
        let mut account = Account::new(&limits);
        let mut decision = guard.tick(account.clock);
        for input in inputs {
            let before = decision;
            account.tell(&mut guard, &before, input);
            decision = guard.tick(account.clock);
            account.judge(&guard, &decision, &before, input);
        }
    }

    /// From power on, one input stops for good at a random moment while all others go on: power is off within 5 s, at
    /// the call that the guard itself asked for.
    #[test]
    fn a_silent_input_takes_power_within_its_deadline(
        phase in 0u64..1_000,
        period in 100u64..900,
        victim in 0usize..4,
    ) {
        let mut limits = Limits::new(Kilohertz(625_000), Millivolts(1_250));
        limits.sensors.push(SensorLimits::new(SensorKind::Chip, CentiCelsius(7_500))).unwrap();
        limits.fans.push(FanLimits::new(Rpm(6_000))).unwrap();
        limits.rails.push(RailLimits::core(Millivolts(1_250))).unwrap();
        let mut guard = Guard::new(&limits).unwrap();
        let mut now = Duration::ZERO;
        let mut decision = guard.tick(now);
        guard.request(now, Request::On(SET)).unwrap();
        let stop = Duration::from_millis(20_000 + phase);
        let mut last = Duration::ZERO;
        let mut due = now;
        let mut count = 0;
        while now < stop + Duration::from_secs(6) {
            let told = |index: usize| index != victim || now < stop;
            if now >= due {
                due += Duration::from_millis(period);
                count += 1;
                if told(0) {
                    guard.heartbeat(now);
                }
                if told(1) {
                    guard.sensor(now, 0, Ok(CentiCelsius(4_500 + count % 2)));
                }
                if told(2) {
                    let duty = decision.fan_floor.get().max(40);
                    let rpm = Rpm(u32::from(duty) * 60);
                    guard.fan(now, 0, Ok(FanReading { rpm, duty: Percent::new(duty) }));
                }
                if told(3) {
                    let voltage = Some(Millivolts(if decision.power { 1_150 } else { 0 }));
                    guard.rail(now, 0, Ok(RailReading { voltage, ..RailReading::default() }));
                }
                if now < stop {
                    last = now;
                }
            }
            decision = guard.tick(now);
            if now < stop && now > Duration::from_secs(2) {
                prop_assert!(decision.power, "{decision:?}");
            }
            if !decision.power && now > stop {
                break;
            }
            // Sleep as long as the guard allows.
            now = decision.next.min(due).max(now + Duration::from_millis(1));
        }
        let timing = limits.timing;
        let deadline = [timing.lease, timing.sensor_max_age, timing.fan_max_age, timing.rail_max_age][victim];
        prop_assert!(!decision.power);
        prop_assert_eq!(now - last, deadline);
        prop_assert!(deadline <= MAX_REACTION);
    }
}

#[test]
fn the_random_inputs_do_reach_power() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut powered = 0;
    for _ in 0..100 {
        let limits = limits().new_tree(&mut runner).unwrap().current();
        let inputs = proptest::collection::vec(input(), 300)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let mut guard = Guard::new(&limits).unwrap();
        let mut account = Account::new(&limits);
        let mut decision = guard.tick(account.clock);
        let mut reached = false;
        for input in inputs {
            account.tell(&mut guard, &decision, input);
            decision = guard.tick(account.clock);
            reached |= decision.power;
        }
        powered += u32::from(reached);
    }
    assert!(powered >= 30, "only {powered} of 100 ever had power");
}
