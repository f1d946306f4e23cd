//! A station over a virtual board: the real drivers and the real control protocol, in virtual time.
//! The chain's owner is played by a few lines that report what a chain would.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use board_devices::Part as Driver;
use board_profiles::{
    Active, BridgeFans, Control, ConverterRole, Device, PinRole as ProfilePin, Profile,
    SensorChannel, SensorKind,
};
use board_simulator::{
    ChainSpec, Chip,
    board::{
        AdcSpec, BoardSpec, Controller, DeviceSpec, Fault, Feedback, Part, PinRole, PinSpec, Probe,
        Truth, VirtualBoard,
    },
    physics::presets,
};
use bridge::{Exchange, Progress, answer::Expect};
use station::{
    BridgeBuses, BusError, Buses, ChainPhase, ChainReport, Command, Event, Line, Notice, SetPoint,
    Station, StationConfig, Status,
    buses::{BoardGuard, Bus},
};

/// A station, its board and the board's time.
pub(crate) struct Rig {
    pub(crate) station: Station,
    pub(crate) board: Shared,
    pub(crate) now: Duration,
    pub(crate) notices: Vec<(Duration, Notice)>,
    pub(crate) events: Vec<(Duration, Event)>,
    /// The program that mines is alive.
    pub(crate) alive: bool,
    /// Chains report what they do.
    pub(crate) chains_work: bool,
    heartbeat: Duration,
    chains: BTreeMap<usize, Chain>,
}

/// A chain that takes its time.
#[derive(Clone, Copy, Default)]
struct Chain {
    goal: f64,
    powered: bool,
    next: Option<(Duration, ChainReport)>,
}

/// The board and its clock, shared by the test and the port.
#[derive(Clone)]
pub(crate) struct Shared(
    Arc<Mutex<(VirtualBoard, Duration)>>,
    Arc<AtomicU64>,
    Arc<Way>,
);

/// What is wrong with the way to the controller.
#[derive(Default)]
struct Way {
    /// The next answer is lost.
    lossy: AtomicBool,
    /// Every answer takes so long, ms.
    answer_ms: AtomicU64,
    /// The controller is not there yet.
    absent: AtomicBool,
    /// The station asks for nothing after this moment.
    until: Mutex<Option<Duration>>,
}

impl Shared {
    fn of(spec: &BoardSpec) -> Self {
        let board = VirtualBoard::new(spec).unwrap();
        Self(
            Arc::new(Mutex::new((board, Duration::ZERO))),
            Arc::default(),
            Arc::default(),
        )
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut VirtualBoard, Duration) -> T) -> T {
        let mut inner = self.0.lock().unwrap();
        let now = inner.1;
        act(&mut inner.0, now)
    }

    fn count(&self) {
        self.1.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests that went to the controller so far.
    pub(crate) fn requests(&self) -> u64 {
        self.1.load(Ordering::Relaxed)
    }

    /// The answer to the next request is lost.
    pub(crate) fn lose_next(&self) {
        self.2.lossy.store(true, Ordering::Relaxed);
    }

    /// Every answer takes so long from now on.
    pub(crate) fn slow_down(&self, answer: Duration) {
        let ms = answer.as_millis() as u64;
        self.2.answer_ms.store(ms, Ordering::Relaxed);
    }

    /// Unplugs the controller, or plugs it in.
    pub(crate) fn set_absent(&self, absent: bool) {
        self.2.absent.store(absent, Ordering::Relaxed);
    }

    fn now(&self) -> Duration {
        self.with(|_, now| now)
    }

    /// Time passes while an answer is waited for; false if it will not come.
    fn wait(&self) -> bool {
        let now = self.now();
        let late = self
            .2
            .until
            .lock()
            .unwrap()
            .is_some_and(|until| now >= until);
        if late || self.2.absent.load(Ordering::Relaxed) {
            return false;
        }
        let answer = Duration::from_millis(self.2.answer_ms.load(Ordering::Relaxed));
        self.set_now(now + answer);
        true
    }

    pub(crate) fn set_now(&self, now: Duration) {
        self.0.lock().unwrap().1 = now;
    }
}

/// The control port.
pub(crate) struct Port(pub(crate) Shared);

#[derive(Debug, thiserror::Error)]
#[error("no answer")]
pub(crate) struct NoAnswer;

impl Exchange for Port {
    type Error = NoAnswer;

    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, NoAnswer> {
        let mut answer = Vec::new();
        self.0.count();
        if !self.0.wait() {
            return Err(NoAnswer);
        }
        self.0.with(|board, now| {
            board.control_take_output(now, &mut answer);
            answer.clear();
            board.control_receive(now, request);
            board.control_take_output(now, &mut answer);
        });
        if self.0.2.lossy.swap(false, Ordering::Relaxed) {
            return Err(NoAnswer);
        }
        let Some(expect) = expect else {
            return Ok(0);
        };
        let mut receiver = expect.receiver(response);
        match receiver.push(&answer) {
            Progress::Complete | Progress::Settling => Ok(receiver.finish().ok_or(NoAnswer)?),
            Progress::Incomplete => Err(NoAnswer),
        }
    }
}

/// Buses that ask for nothing after their bound, and have no guard while there is no controller.
struct Bounded(BridgeBuses<Port>, Shared);

impl Buses for Bounded {
    fn i2c(&mut self, board: usize, bus: &str) -> Result<Bus<'_>, BusError> {
        self.0.i2c(board, bus)
    }

    fn set_line(&mut self, line: Line, asserted: bool) -> Result<bool, BusError> {
        self.0.set_line(line, asserted)
    }

    fn line(&mut self, line: Line) -> Result<bool, BusError> {
        self.0.line(line)
    }

    fn set_fan(&mut self, fan: usize, percent: u8) -> Result<(), BusError> {
        self.0.set_fan(fan, percent)
    }

    fn fan_rpm(&mut self, fan: usize) -> Result<u32, BusError> {
        self.0.fan_rpm(fan)
    }

    fn converter_mv(&mut self, index: usize) -> Result<u32, BusError> {
        self.0.converter_mv(index)
    }

    fn bound(&mut self, time: Option<Duration>) {
        let now = self.1.now();
        *self.1.2.until.lock().unwrap() = time.map(|time| now + time);
    }

    fn board_guard(&mut self) -> Option<&mut dyn BoardGuard> {
        let absent = self.1.2.absent.load(Ordering::Relaxed);
        (!absent).then(|| self.0.board_guard()).flatten()
    }
}

/// A built-in profile.
pub(crate) fn profile(name: &str) -> Profile {
    Profile::builtin(name).unwrap()
}

impl Rig {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, |_, _| {})
    }

    /// A rig whose board or config is changed before it is made.
    pub(crate) fn with(
        name: &str,
        change: impl FnOnce(&mut BoardSpec, &mut StationConfig),
    ) -> Self {
        Self::plugged(name, true, change)
    }

    /// The same, with or without a controller at the start.
    pub(crate) fn plugged(
        name: &str,
        plugged: bool,
        change: impl FnOnce(&mut BoardSpec, &mut StationConfig),
    ) -> Self {
        let profile = Arc::new(profile(name));
        let mut config = StationConfig::single(Arc::clone(&profile), Control::Bridge, name);
        let mut spec = board_spec(&profile, 0);
        change(&mut spec, &mut config);
        let board = Shared::of(&spec);
        let profile = Arc::clone(&config.profile);
        let buses = BridgeBuses::connect(Port(board.clone()), profile, &[0]).unwrap();
        let buses = Bounded(buses, board.clone());
        board.set_absent(!plugged);
        let station = Station::new(config, Box::new(buses), Duration::ZERO).unwrap();
        Self {
            station,
            board,
            now: Duration::ZERO,
            notices: Vec::new(),
            events: Vec::new(),
            alive: true,
            chains_work: true,
            heartbeat: Duration::ZERO,
            chains: BTreeMap::new(),
        }
    }

    /// Runs until a moment.
    pub(crate) fn until(&mut self, end: Duration) {
        while self.now < end {
            if self.alive && self.now >= self.heartbeat {
                self.station.handle(self.now, Command::Heartbeat).unwrap();
                self.heartbeat = self.now + Duration::from_millis(500);
            }
            self.run_chains();
            if self.station.poll_timeout() <= self.now {
                self.station.tick(self.now);
                self.now = self.now.max(self.board.now());
            }
            self.take_events();
            let mut next = self.station.poll_timeout().min(end);
            if self.alive {
                next = next.min(self.heartbeat);
            }
            for chain in self.chains.values() {
                if let Some((at, _)) = chain.next {
                    next = next.min(at);
                }
            }
            self.now = next.max(self.now + Duration::from_millis(1));
            self.board.set_now(self.now);
        }
    }

    pub(crate) fn run(&mut self, seconds: f64) {
        self.until(self.now + Duration::from_secs_f64(seconds));
    }

    /// Runs until something is the case, or fails after `seconds`.
    pub(crate) fn run_until(&mut self, seconds: f64, done: impl Fn(&Status, &Truth) -> bool) {
        let end = self.now + Duration::from_secs_f64(seconds);
        loop {
            let status = self.status();
            let truth = self.truth();
            if done(&status, &truth) {
                return;
            }
            assert!(
                self.now < end,
                "not within {seconds} s: {:?} {:?}\n{truth:?}\n{}",
                status.phase,
                status.reasons,
                self.log()
            );
            self.run(0.1);
        }
    }

    /// Brings the board up at its default set point.
    pub(crate) fn up(&mut self) {
        self.run(1.0);
        let point = SetPoint {
            mhz: profile_of(&self.station).0,
            mv: profile_of(&self.station).1,
        };
        self.command(Command::Run(point));
        self.run_until(120.0, |status, _| status.boards[0].powered);
        self.run(10.0);
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.station.handle(self.now, command).unwrap();
    }

    pub(crate) fn inject(&mut self, fault: Fault) {
        self.board.with(|board, now| board.inject(now, fault));
    }

    pub(crate) fn heal(&mut self, fault: Fault) {
        self.board.with(|board, now| board.heal(now, fault));
    }

    pub(crate) fn status(&self) -> Status {
        self.station.status(self.now)
    }

    pub(crate) fn truth(&self) -> Truth {
        self.board.with(|board, now| board.truth(now))
    }

    pub(crate) fn board_sensors(&self) {
        self.board
            .with(|board, _| println!("{:?}", board.sensors()));
    }

    /// All notices so far, a line each.
    pub(crate) fn log(&self) -> String {
        self.notices
            .iter()
            .map(|(at, notice)| format!("{at:?} {}: {}\n", notice.code, notice.text))
            .collect()
    }

    /// When a notice of that code was first given after a moment.
    pub(crate) fn noticed(&self, code: &str, from: Duration) -> Option<Duration> {
        self.notices
            .iter()
            .find(|(at, notice)| *at >= from && notice.code == code)
            .map(|(at, _)| *at)
    }

    /// Codes of all faults so far.
    pub(crate) fn faults(&self) -> Vec<&str> {
        self.notices
            .iter()
            .filter(|(_, notice)| notice.severity == station::Severity::Fault)
            .map(|(_, notice)| notice.code.as_str())
            .filter(|code| *code != "guard-state")
            .collect()
    }

    fn take_events(&mut self) {
        while let Some(event) = self.station.poll_event() {
            let now = self.now;
            match &event {
                Event::Notice(notice) => self.notices.push((now, notice.clone())),
                Event::Power { board, on, .. } => {
                    let chain = self.chains.entry(*board).or_default();
                    chain.powered = *on;
                    chain.next = None;
                    if *on && self.chains_work {
                        let goal = chain.goal;
                        self.report(*board, ChainPhase::Starting, 50.0);
                        self.later(*board, 2.0, ChainPhase::Running, goal);
                    }
                }
                Event::Frequency { board, mhz } => {
                    let chain = self.chains.entry(*board).or_default();
                    chain.goal = *mhz;
                    if chain.powered && self.chains_work {
                        self.later(*board, 0.5, ChainPhase::Running, *mhz);
                    }
                }
                Event::WindDown { board } => {
                    if self.chains_work {
                        self.later(*board, 1.0, ChainPhase::Stopped, 0.0);
                    }
                }
            }
            self.events.push((now, event));
        }
    }

    fn later(&mut self, board: usize, seconds: f64, phase: ChainPhase, clock_mhz: f64) {
        let at = self.now + Duration::from_secs_f64(seconds);
        let report = ChainReport {
            phase,
            clock_mhz,
            chips: 1,
        };
        self.chains.entry(board).or_default().next = Some((at, report));
    }

    pub(crate) fn report(&mut self, board: usize, phase: ChainPhase, clock_mhz: f64) {
        let report = ChainReport {
            phase,
            clock_mhz,
            chips: 1,
        };
        self.command(Command::Chain { board, report });
    }

    fn run_chains(&mut self) {
        let due: Vec<(usize, ChainReport)> = self
            .chains
            .iter_mut()
            .filter_map(|(board, chain)| {
                let (at, report) = chain.next?;
                if at > self.now {
                    return None;
                }
                chain.next = None;
                Some((*board, report))
            })
            .collect();
        for (board, report) in due {
            self.command(Command::Chain { board, report });
        }
    }
}

fn profile_of(station: &Station) -> (f64, u32) {
    let point = station.default_set_point();
    (point.mhz, point.mv)
}

/// The virtual board of a profile in a slot of its machine.
pub(crate) fn virtual_board(profile: &Profile, slot: u8) -> Shared {
    Shared::of(&board_spec(profile, slot))
}

/// The description of it, with the simulator's own physics.
fn board_spec(profile: &Profile, slot: u8) -> BoardSpec {
    let bridge = profile.bridge.as_ref().unwrap();
    let controller = match bridge.fans {
        BridgeFans::Bitcrane => Controller::Bitcrane,
        BridgeFans::None => Controller::Emberone,
        _ => Controller::BitaxeRaw,
    };
    let chip: Chip = profile.chain.chip.to_string().parse().unwrap();
    let mut chain = ChainSpec::new(chip, profile.chain.chips, profile.simulation.scale_bits);
    chain.domains = profile.chain.domains;
    let mut physics = presets::by_name(&profile.name).unwrap().with_boards(1);
    physics
        .thermal
        .sensors
        .clone_from(&profile.simulation.physics.as_ref().unwrap().thermal.sensors);
    let mut spec = BoardSpec::new(chain, physics, controller);
    let level = |active: Active| active.level(true);
    let reset = bridge.reset_in(slot);
    spec.pins = vec![PinSpec {
        number: reset.pin,
        role: PinRole::Reset,
        active_high: level(reset.active),
    }];
    spec.pins
        .extend(bridge.enables_in(slot).map(|enable| PinSpec {
            number: enable.pin,
            role: match enable.role {
                ProfilePin::Vddio => PinRole::Vddio,
                ProfilePin::Core => PinRole::Core,
                ProfilePin::Psu => PinRole::Psu,
            },
            active_high: level(enable.active),
        }));
    spec.adc = bridge
        .adc
        .iter()
        .map(|adc| AdcSpec {
            channel: adc.channel,
            core: adc.role == ConverterRole::Core,
            full_scale_mv: adc.full_scale_mv.into(),
            full_scale: adc.full_scale,
        })
        .collect();
    let mut boards = 0;
    let mut fans = 0;
    for device in profile.devices_for(None) {
        let (Some(driver), Some(address)) = (Driver::named(&device.part), device.address_in(slot))
        else {
            continue;
        };
        spec.devices.push(DeviceSpec {
            part: part(driver, device, &mut boards, &mut fans),
            bus: bridge.bus_number(&device.bus),
            address,
        });
    }
    spec
}

fn part(driver: Driver, device: &Device, boards: &mut u8, fans: &mut u8) -> Part {
    let mut local = || {
        let kind = device
            .sensors
            .iter()
            .find(|sensor| sensor.channel == SensorChannel::Local)
            .map(|sensor| sensor.kind);
        match kind {
            Some(SensorKind::Regulator) => Probe::Regulator,
            Some(_) => {
                *boards += 1;
                Probe::Board(*boards - 1)
            }
            None => Probe::Inlet,
        }
    };
    let mut fan = || {
        (!device.fans.is_empty()).then(|| {
            *fans += 1;
            *fans - 1
        })
    };
    let has_diode = device
        .sensors
        .iter()
        .any(|sensor| sensor.channel != SensorChannel::Local);
    let diode = has_diode.then_some(Probe::Die(0));
    match driver {
        Driver::Emc2101 => Part::Emc2101 {
            fan: fan(),
            local: local(),
            diode,
            ideality: if device.ideality.is_some() {
                Part::BM1370_IDEALITY
            } else {
                Part::DEFAULT_IDEALITY
            },
        },
        Driver::Emc2103 => Part::Emc2103 {
            fan: fan(),
            local: local(),
            diodes: [diode, Some(Probe::Die(1))],
        },
        Driver::Emc2302 => Part::Emc2302 {
            fans: [Some(1), Some(0)],
        },
        Driver::Tmp1075 => Part::Tmp1075 { local: local() },
        Driver::Tmp451 => Part::Tmp451 {
            local: local(),
            remote: diode,
            remote_error_k: device
                .sensors
                .iter()
                .map(|sensor| -sensor.offset_k)
                .fold(0.0, f64::max),
        },
        Driver::Lm75 => Part::Lm75 {
            local: local(),
            bits: 12,
        },
        Driver::Ina260 => Part::Ina260,
        Driver::Ds4432u => {
            let feedback = device.feedback.unwrap();
            Part::Ds4432u {
                output: device.channel.unwrap_or(0),
                feedback: Feedback {
                    reference_mv: feedback.reference_mv,
                    upper_ohm: feedback.upper_ohm,
                    lower_ohm: feedback.lower_ohm,
                    full_scale_ua: feedback.full_scale_ua,
                },
            }
        }
        Driver::Tps546 => Part::Tps546 {
            id: Part::TPS546D24A_ID,
        },
        Driver::Tps53647 => Part::Tps53647,
        Driver::Tps53667 => Part::Tps53667,
        Driver::Fxl6408 => Part::Fxl6408 { base: 0 },
        Driver::At24 => Part::At24 {
            size: 256,
            contents: device
                .id
                .first()
                .and_then(|id| u8::from_str_radix(id.get(..2)?, 16).ok())
                .into_iter()
                .collect(),
        },
        Driver::Apw => Part::Apw { model: 0x71 },
    }
}
