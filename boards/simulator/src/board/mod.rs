//! A whole virtual board: chips on the wire, power, heat and air behind them, parts on I2C buses, and a controller that speaks
//! the control protocol, so that real drivers run against it unchanged. Things can be broken, and the truth can be asked for.
//!
//! Like the chain it is pure: bytes and the time go in, bytes come out. Parts and protocol are written from published facts and
//! share no code with the drivers that they are there to check; only the controller kind [`Controller::Guarded`] runs our own
//! application, which is what it is for.
//!
//! ```
//! use std::time::Duration;
//! use board_simulator::{ChainSpec, Chip, board::{BoardSpec, Controller, DeviceSpec, Part, VirtualBoard}, physics::presets};
//!
//! let chain = ChainSpec::new(Chip::Bm1370, 1, 25);
//! let mut spec = BoardSpec::new(chain, presets::bitaxe_gamma(), Controller::BitaxeRaw);
//! spec.devices.push(DeviceSpec {
//!     part: Part::Tps546 { id: Part::TPS546D24A_ID },
//!     bus: 0,
//!     address: 0x24,
//! });
//! let mut board = VirtualBoard::new(&spec)?;
//! // Read the regulator's operation byte: write-read of register 0x01 at 0x24.
//! board.control_receive(Duration::ZERO, &[0x09, 0x00, 0x07, 0x00, 0x05, 0x40, 0x24, 0x01, 0x01]);
//! let mut answer = Vec::new();
//! board.control_take_output(Duration::ZERO, &mut answer);
//! assert_eq!(answer, [0x01, 0x00, 0x07, 0x04]);
//! assert!(!board.truth(Duration::ZERO).core_on);
//! # Ok::<(), board_simulator::board::BoardError>(())
//! ```
//!
//! What is assumed, because nobody published it: which GPIO levels bitcrane starts with; that a regulator without a wire to its
//! enable pin stays off until it is told; codes that some parts give for a broken diode; the widths of a few makers' registers.

mod breaking;
mod bus;
mod control;
mod fault;
mod guarded;
mod parts;
mod requests;
mod sensing;
mod spec;
mod truth;
mod world;

use std::time::Duration;

pub use fault::Fault;
pub use sensing::SensorInfo;
pub use spec::{
    AdcSpec, BoardError, BoardSpec, Controller, DeviceSpec, Feedback, Part, PinRole, PinSpec, Probe,
};
pub use truth::Truth;

use crate::{
    chain::VirtualChain,
    physics::{Machine, TICK},
    rng::Rng,
    spec::HostBaud,
};
use bus::{Buses, Drives};
use control::{ControlPort, Outcome};
use guarded::{Guarded, Rig};
use sensing::Sensing;

/// The physics' grid, ns.
const TICK_NS: u64 = TICK.as_nanos() as u64;

/// Latest time, as of the chain: 73 years.
const END_OF_TIME_NS: u64 = 1 << 61;

/// Share of the nominal voltage above which the core counts as on.
const ON_SHARE: f64 = 0.1;

/// With a watchdog among the parts an idle board still wakes so often, in ticks.
const WATCHDOG_TICKS: u64 = 10;

/// A board that lives in virtual time. See the [module](self) for an example.
///
/// All times are measured from the same arbitrary start; a time earlier than one seen before counts as that one.
#[derive(Debug)]
pub struct VirtualBoard {
    spec: BoardSpec,
    chain: VirtualChain,
    machine: Machine,
    buses: Buses,
    port: ControlPort,
    /// Our own application; taken out while it runs.
    guarded: Option<Box<Guarded>>,
    sensing: Sensing,
    /// The controller's and the expanders' pins.
    pins: Vec<Pin>,
    /// What the fan page was told, percent; none as long as it says nothing.
    page_duty: Vec<Option<f64>>,
    applied: Option<Applied>,
    /// What regulators last felt of their enable pin.
    enabled: Option<bool>,
    faults: Vec<(Fault, u64)>,
    /// An over-current protection has tripped; until the supply is told to be off.
    tripped: bool,
    now: u64,
    /// Grid ticks done.
    tick: u64,
    /// The last tick changed nothing, and the next would not either.
    quiet: bool,
    /// When the chips last came up: power and reset released.
    up_since: Option<u64>,
    uart_noise: Rng,
    judge: Judge,
}

#[derive(Debug, Clone, Copy)]
struct Pin {
    spec: PinSpec,
    level: bool,
}

impl Pin {
    fn active(&self) -> bool {
        self.level == self.spec.active_high
    }
}

/// What the machine was last told.
#[derive(Debug, Clone, PartialEq)]
struct Applied {
    on: bool,
    mv: Option<f64>,
    duty: Vec<f64>,
    reset: bool,
    vddio: bool,
}

/// What is remembered for [`Truth`].
#[derive(Debug, Clone, Copy, Default)]
struct Judge {
    die_highest_c: f64,
    limit_passed: Option<u64>,
    core_on: bool,
    core_since: u64,
    core_starts: u64,
    core_highest_mv: f64,
}

impl VirtualBoard {
    /// A board that has just been given its input power: chips in reset, core off, fans standing.
    ///
    /// # Errors
    ///
    /// [`BoardError`] when `spec` describes a board that cannot be built.
    pub fn new(spec: &BoardSpec) -> Result<Self, BoardError> {
        spec.check()?;
        let fans = usize::from(spec.physics.fans.count);
        let starts_full = spec.controller == Controller::BitaxeRawTotal;
        let mut board = Self {
            chain: VirtualChain::new(spec.chain)?,
            machine: Machine::new(spec.physics.clone())?,
            buses: Buses::new(spec),
            port: ControlPort::new(spec.controller, spec.seed),
            guarded: match (spec.controller, &spec.plan) {
                (Controller::Guarded, Some(plan)) => Some(Box::new(Guarded::new(plan)?)),
                _ => None,
            },
            sensing: Sensing::new(spec),
            pins: Vec::new(),
            page_duty: vec![starts_full.then_some(100.0); fans],
            applied: None,
            enabled: None,
            faults: Vec::new(),
            tripped: false,
            now: 0,
            tick: 0,
            quiet: false,
            up_since: None,
            uart_noise: Rng::new(spec.seed ^ 0x5541_5254),
            judge: Judge {
                die_highest_c: spec.ambient_c,
                ..Judge::default()
            },
            spec: spec.clone(),
        };
        board.reset_pins();
        board.machine.set_ambient_c(spec.ambient_c);
        board.machine.settle();
        board.apply();
        board.run_guarded(Guarded::start);
        Ok(board)
    }

    /// What the board was made from.
    pub fn spec(&self) -> &BoardSpec {
        &self.spec
    }

    /// The chips, as of the last advance.
    pub fn chain(&self) -> &VirtualChain {
        &self.chain
    }

    /// Power, heat and air, as of the last advance.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Our own controller application, where the controller runs it.
    pub fn app(&self) -> Option<&bridge::app::App> {
        self.guarded.as_ref().map(|guarded| guarded.app())
    }

    /// The temperature inputs of all devices, in the order in which faults count them: by device, external diodes before the
    /// part's own.
    pub fn sensors(&self) -> &[SensorInfo] {
        self.sensing.list()
    }

    /// Sets the host's end of the chips' port; see [`VirtualChain::set_host_baud`].
    pub fn set_host_baud(&mut self, baud: HostBaud) {
        self.chain.set_host_baud(baud);
    }

    /// Takes bytes that the host writes to the chips.
    pub fn uart_receive(&mut self, now: Duration, bytes: &[u8]) {
        self.advance(now);
        let mut bytes = bytes.to_vec();
        self.spoil(&mut bytes);
        self.chain.receive(self.time(), &bytes);
    }

    /// Appends what the chips have said to `out`.
    pub fn uart_take_output(&mut self, now: Duration, out: &mut Vec<u8>) {
        self.advance(now);
        let mut said = Vec::new();
        self.chain.take_output(self.time(), &mut said);
        self.spoil(&mut said);
        out.append(&mut said);
    }

    /// When the last byte written so far has reached the chips.
    pub fn drained_at(&self) -> Duration {
        self.chain.drained_at()
    }

    /// Takes bytes that the host writes to the control port. Answers are there at once, unless a fault delays them.
    pub fn control_receive(&mut self, now: Duration, bytes: &[u8]) {
        self.advance(now);
        if self.is_closed() {
            return;
        }
        // Parts may react to what they were told only with the next tick.
        self.quiet = false;
        if self.guarded.is_some() {
            self.run_guarded(|guarded, now, rig| guarded.receive(now, rig, bytes));
            return;
        }
        for _ in 0..self.port.receive(self.now, bytes) {
            match self.port.request() {
                Some(Ok(request)) => {
                    let outcome = self.handle(&request);
                    self.port
                        .answer(self.now, request.id, &outcome, &self.faults);
                }
                Some(Err(())) => {
                    let outcome = Outcome::Invalid;
                    self.port.answer(self.now, 0xFF, &outcome, &self.faults);
                }
                None => break,
            }
        }
    }

    /// Appends what the controller has answered to `out`.
    pub fn control_take_output(&mut self, now: Duration, out: &mut Vec<u8>) {
        self.advance(now);
        self.port.take_output(self.now, out);
    }

    /// The host has closed the control port or is gone. Only firmware that looks for it reacts.
    pub fn control_closed(&mut self, now: Duration) {
        self.advance(now);
        self.port.close();
        self.run_guarded(Guarded::close);
        if self.spec.controller == Controller::BitaxeRawTotal {
            self.reset_pins();
            self.page_duty.fill(Some(100.0));
            self.apply();
        }
    }

    /// Whether a fault has pulled the control cable; the host then sees its port vanish.
    pub fn is_closed(&self) -> bool {
        self.faults
            .iter()
            .any(|(fault, _)| *fault == Fault::ControlClosed)
    }

    /// When to call [`VirtualBoard::advance`] next so that nothing that a host could see is late. None: nothing happens until
    /// somebody does something.
    pub fn next_event(&self) -> Option<Duration> {
        let chain = self.chain.next_event();
        // What waits for a host that does not read is no event.
        let port = self.port.next_output().filter(|at| *at > self.now);
        let port = port.map(Duration::from_nanos);
        // Its ticks are done on the grid.
        let guarded = self.guarded.as_ref().map(|guarded| {
            let ticks = guarded.next().as_nanos().div_ceil(TICK.as_nanos());
            Duration::from_nanos(ticks as u64 * TICK_NS).max(self.time())
        });
        [chain, port, guarded].into_iter().flatten().min()
    }

    /// Lets everything happen that happens until `now`.
    pub fn advance(&mut self, now: Duration) {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let now = now.min(END_OF_TIME_NS).max(self.now);
        let until = now / TICK_NS;
        while self.tick < until {
            let next = (self.tick + 1) * TICK_NS;
            if self.quiet && self.is_idle(now) {
                self.tick = self.wakes_at(until);
                self.step(self.tick * TICK_NS);
            } else {
                self.tick += 1;
                self.step(next);
            }
        }
        self.now = now;
        self.chain.advance(self.time());
    }

    /// What is really the case at `now`.
    pub fn truth(&mut self, now: Duration) -> Truth {
        self.advance(now);
        let supply = self.machine.supply();
        let thermal = &self.spec.physics.thermal;
        let chips: Vec<_> = (0..usize::from(self.spec.chain.chips))
            .filter_map(|chip| self.machine.chip(0, chip))
            .collect();
        let powered: Vec<f64> = chips
            .iter()
            .filter(|chip| chip.powered)
            .map(|chip| chip.delivered)
            .collect();
        Truth {
            now: self.time(),
            die_c: self.machine.hottest_c(),
            die_highest_c: self.judge.die_highest_c,
            die_limit_c: thermal.damage_c,
            die_limit_passed: self.judge.limit_passed.map(Duration::from_nanos),
            core_on: self.judge.core_on,
            core_since: Duration::from_nanos(self.judge.core_since),
            core_starts: self.judge.core_starts,
            core_mv: supply.output_mv,
            core_highest_mv: self.judge.core_highest_mv,
            set_mv: supply.set_mv,
            core_a: supply.output_a,
            core_w: supply.output_w,
            input_w: supply.input_w,
            input_v: supply.input_v,
            regulator_c: supply.celsius,
            trip: self.trip(),
            fans: (0..usize::from(self.spec.physics.fans.count))
                .filter_map(|fan| self.machine.fan(fan))
                .collect(),
            board_c: (0..thermal.sensors.len())
                .filter_map(|sensor| self.machine.sensor_c(0, sensor))
                .collect(),
            ambient_c: self.machine.ambient_c(),
            in_reset: self.is_active(PinRole::Reset).unwrap_or(false),
            alive: chips.iter().filter(|chip| chip.alive).count() as u16,
            broken: chips.iter().filter(|chip| chip.dead).count() as u16,
            fastest_mhz: (0..self.spec.chain.chips)
                .map(|chip| self.chain.activity(chip).mhz)
                .fold(0.0, f64::max),
            // An empty sum would be -0.
            delivered: powered.iter().fold(0.0, |sum, share| sum + share)
                / powered.len().max(1) as f64,
            nvm_stores: self.buses.drives(0).nvm_stores,
            guard_grants: self.guarded.as_ref().map(|guarded| guarded.grants()),
        }
    }

    fn time(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// Lets our own application do something, if the controller runs it, and the board follow.
    fn run_guarded(&mut self, what: impl FnOnce(&mut Guarded, Duration, &mut Rig<'_>)) {
        let Some(mut guarded) = self.guarded.take() else {
            return;
        };
        let now = self.time();
        let mut rig = Rig {
            senses: self.senses(),
            buses: &mut self.buses,
            pins: &mut self.pins,
            page_duty: &mut self.page_duty,
            adc: &self.spec.adc,
            rebooted: false,
        };
        what(&mut guarded, now, &mut rig);
        if rig.rebooted {
            self.reset_pins();
            self.page_duty.fill(None);
            let mut rig = Rig {
                senses: self.senses(),
                buses: &mut self.buses,
                pins: &mut self.pins,
                page_duty: &mut self.page_duty,
                adc: &self.spec.adc,
                rebooted: false,
            };
            guarded.restart(now, &mut rig);
        }
        let said = guarded.take_output();
        if !said.is_empty() {
            self.port.send(self.now, said, &self.faults);
        }
        self.guarded = Some(guarded);
        self.quiet = false;
        self.apply();
    }
}
