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

mod bus;
mod control;
mod fault;
mod guarded;
mod parts;
mod sensing;
mod spec;
mod truth;

use std::time::Duration;

pub use fault::Fault;
pub use sensing::SensorInfo;
pub use spec::{
    AdcSpec, BoardError, BoardSpec, Controller, DeviceSpec, Feedback, Part, PinRole, PinSpec, Probe,
};
pub use truth::Truth;

use crate::{
    chain::VirtualChain,
    condition::ChipCondition,
    physics::{ChipActivity, FanFault, Machine, SupplyFault, SupplySpec, TICK, Trip},
    rng::Rng,
    spec::HostBaud,
};
use bus::{Buses, Damage, Drives, Senses};
use control::{ControlPort, Outcome, Request};
use guarded::{Guarded, Rig};
use sensing::{Felt, Sensing};

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
        self.spoil(&mut bytes, 0);
        self.chain.receive(self.time(), &bytes);
    }

    /// Appends what the chips have said to `out`.
    pub fn uart_take_output(&mut self, now: Duration, out: &mut Vec<u8>) {
        self.advance(now);
        let start = out.len();
        let mut said = Vec::new();
        self.chain.take_output(self.time(), &mut said);
        self.spoil(&mut said, 0);
        out.append(&mut said);
        debug_assert!(out.len() >= start);
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
        let port = self.port.next_output().map(Duration::from_nanos);
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

    /// Breaks something from `now` on. What is broken in the same way already is broken anew.
    pub fn inject(&mut self, now: Duration, fault: Fault) {
        self.advance(now);
        self.faults.retain(|(other, _)| !other.same_place(&fault));
        match fault {
            Fault::SensorFrozen { sensor } => {
                let reading = self.senses().readings.get(sensor).copied();
                self.sensing.freeze(sensor, reading);
            }
            Fault::ControlClosed => self.control_closed(now),
            Fault::SupplyTrips => {
                // A moment, not a state.
                self.tripped = self.applied.as_ref().is_some_and(|applied| applied.on);
                self.react();
                return;
            }
            _ => {}
        }
        self.faults.push((fault, self.now));
        self.mend(&fault, true);
        self.react();
    }

    /// Mends what [`VirtualBoard::inject`] broke in the same place and way, whatever the numbers; dead chips are exchanged for
    /// new ones of the same quality.
    pub fn heal(&mut self, now: Duration, fault: Fault) {
        self.advance(now);
        let before = self.faults.len();
        self.faults.retain(|(other, _)| !other.same_place(&fault));
        if self.faults.len() < before {
            self.mend(&fault, false);
            self.react();
        }
    }

    /// Mends everything.
    pub fn heal_all(&mut self, now: Duration) {
        for fault in self.faults() {
            self.heal(now, fault);
        }
    }

    /// What is broken now, oldest first.
    pub fn faults(&self) -> Vec<Fault> {
        self.faults.iter().map(|(fault, _)| *fault).collect()
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
            delivered: powered.iter().sum::<f64>() / powered.len().max(1) as f64,
            nvm_stores: self.buses.drives(0).nvm_stores,
            guard_grants: self.guarded.as_ref().map(|guarded| guarded.grants()),
        }
    }

    fn time(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// Whether nothing but the passing of time happens until `now`.
    fn is_idle(&self, now: u64) -> bool {
        let chain = self.chain.next_event();
        chain.is_none_or(|at| at.as_nanos() > u128::from(now))
    }

    /// The tick to which an idle board may sleep, at most `until`.
    fn wakes_at(&self, until: u64) -> u64 {
        let mut until = until;
        let mut parts = self.spec.devices.iter().map(|device| &device.part);
        if parts.any(|part| matches!(part, Part::Emc2302 { .. })) {
            until = until.min(self.tick + WATCHDOG_TICKS);
        }
        if let Some(guarded) = &self.guarded {
            let next = guarded.next().as_nanos().div_ceil(TICK.as_nanos());
            until = until.min(u64::try_from(next).unwrap_or(u64::MAX));
        }
        until.max(self.tick + 1)
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

    /// One tick of the world, up to `ns`.
    fn step(&mut self, ns: u64) {
        self.now = ns;
        self.chain.advance(self.time());
        let busy = self.sync_activity();
        self.machine.advance(self.time());
        self.sync_chain();
        let senses = self.senses();
        self.buses.tick(&senses);
        let changed = self.apply();
        if self
            .guarded
            .as_ref()
            .is_some_and(|guarded| guarded.next() <= self.time())
        {
            self.run_guarded(Guarded::tick);
        }
        self.note();
        self.quiet = self.machine.is_settled() && !busy && !changed;
    }

    /// After something has been done to the board between two ticks.
    fn react(&mut self) {
        self.quiet = false;
        self.apply();
    }

    /// Tells the physics what the chips do; true if that has changed.
    fn sync_activity(&mut self) -> bool {
        for chip in 0..self.spec.chain.chips {
            let activity: ChipActivity = self.chain.activity(chip);
            for board in 0..usize::from(self.spec.physics.boards) {
                self.machine
                    .set_activity(board, usize::from(chip), activity);
            }
        }
        !self.machine.is_settled()
    }

    /// Tells the chips what the physics does to them.
    fn sync_chain(&mut self) {
        let vddio = self.is_active(PinRole::Vddio).unwrap_or(true);
        let mut powered = false;
        for chip in 0..self.spec.chain.chips {
            if let Some(state) = self.machine.chip(0, usize::from(chip)) {
                powered |= state.powered;
                self.chain.set_condition(chip, ChipCondition::from(state));
            }
        }
        let powered = powered && vddio;
        self.chain.set_powered(self.time(), powered);
        let reset = self.is_active(PinRole::Reset).unwrap_or(false);
        if powered && !reset {
            self.up_since.get_or_insert(self.now);
        } else {
            self.up_since = None;
        }
    }

    /// What instruments feel now.
    fn senses(&self) -> Senses {
        let supply = self.machine.supply();
        let misreport = self.faults.iter().find_map(|(fault, _)| match fault {
            Fault::SupplyMisreports { factor } => Some(*factor),
            _ => None,
        });
        Senses {
            ns: self.now,
            readings: self
                .sensing
                .readings(self.now, &self.faults, |probe| self.feel(probe)),
            tach_rpm: (0..usize::from(self.spec.physics.fans.count))
                .map(|fan| self.machine.fan(fan).map_or(0.0, |fan| fan.tach_rpm))
                .collect(),
            output_mv: supply.output_mv * misreport.unwrap_or(1.0),
            output_a: supply.output_a,
            input_mv: supply.input_v * 1000.0,
            input_a: supply.input_a,
            trip: self.trip(),
            enabled: self.is_active(PinRole::Core),
            inputs: self
                .pins
                .iter()
                .filter(|pin| pin.spec.role == PinRole::Plug)
                .map(|pin| (pin.spec.number, pin.level))
                .collect(),
        }
    }

    fn feel(&self, probe: Probe) -> Felt {
        let celsius = match probe {
            Probe::Die(chip) => {
                let Some(state) = self.machine.chip(0, usize::from(chip)) else {
                    return Felt::Nothing;
                };
                if self.spec.diodes_need_power {
                    if !state.powered {
                        return Felt::Nothing;
                    }
                    let settle = self.spec.diode_settle.as_nanos() as u64;
                    if self.up_since.is_some_and(|since| self.now < since + settle) {
                        return Felt::Garbage;
                    }
                }
                Some(state.celsius)
            }
            Probe::Board(sensor) => self.machine.sensor_c(0, usize::from(sensor)),
            Probe::Regulator => Some(self.machine.supply().celsius),
            Probe::Inlet => Some(self.machine.ambient_c()),
            Probe::Outlet => self.machine.outlet_c(0),
        };
        celsius.map_or(Felt::Nothing, Felt::Celsius)
    }

    fn trip(&self) -> Option<Trip> {
        if self.tripped {
            Some(Trip::OverCurrent)
        } else {
            self.machine.supply().trip
        }
    }

    /// Whether all pins of a role are active; none without such a pin.
    fn is_active(&self, role: PinRole) -> Option<bool> {
        let mut pins = self.pins.iter().filter(|pin| pin.spec.role == role);
        let first = pins.next()?.active();
        Some(pins.fold(first, |all, pin| all && pin.active()))
    }

    /// Brings what the parts and pins want to the physics and the chips; true if that was anything new.
    fn apply(&mut self) -> bool {
        let fans = usize::from(self.spec.physics.fans.count);
        let mut drives: Drives = self.buses.drives(fans);
        for (number, level) in &drives.pins {
            for pin in &mut self.pins {
                if pin.spec.number == *number && pin.spec.role != PinRole::Plug {
                    pin.level = *level;
                }
            }
        }
        let enabled = self.is_active(PinRole::Core);
        if self.enabled != enabled {
            // Regulators follow their enable pin at once.
            self.enabled = enabled;
            let senses = self.senses();
            self.buses.tick(&senses);
            drives = self.buses.drives(fans);
        }
        let core = enabled.unwrap_or(true);
        let psu = self.is_active(PinRole::Psu).unwrap_or(true);
        let wanted = psu && drives.core_on.unwrap_or(core);
        self.tripped &= wanted;
        let duty = |(part, page): (&Option<f64>, &Option<f64>)| part.or(*page).unwrap_or(0.0);
        let applied = Applied {
            on: wanted && !self.tripped,
            mv: drives.core_mv,
            duty: drives
                .fan_duty
                .iter()
                .zip(&self.page_duty)
                .map(duty)
                .collect(),
            reset: self.is_active(PinRole::Reset).unwrap_or(false),
            vddio: self.is_active(PinRole::Vddio).unwrap_or(true),
        };
        if self.applied.as_ref() == Some(&applied) {
            return false;
        }
        let last = self.applied.take();
        let last = last.as_ref();
        if let Some(mv) = applied.mv
            && last.and_then(|last| last.mv) != Some(mv)
        {
            self.machine.set_supply_mv(mv);
        }
        if last.is_none_or(|last| last.on != applied.on) {
            self.machine.enable_supply(applied.on);
        }
        for (fan, &duty) in applied.duty.iter().enumerate() {
            self.machine.set_fan_duty(fan, duty);
        }
        if last.is_none_or(|last| last.reset != applied.reset) {
            self.chain.reset_line(applied.reset, self.time());
        }
        self.applied = Some(applied);
        self.sync_chain();
        self.note();
        self.quiet = false;
        true
    }

    /// Keeps books for [`Truth`].
    fn note(&mut self) {
        let hottest = self.machine.hottest_c();
        let supply = self.machine.supply();
        let judge = &mut self.judge;
        judge.die_highest_c = judge.die_highest_c.max(hottest);
        if hottest > self.spec.physics.thermal.damage_c {
            judge.limit_passed.get_or_insert(self.now);
        }
        judge.core_highest_mv = judge.core_highest_mv.max(supply.output_mv);
        let nominal = self.spec.physics.chip.nominal_mv * f64::from(self.spec.physics.domains);
        let on = supply.output_mv > ON_SHARE * nominal;
        if on != judge.core_on {
            judge.core_on = on;
            judge.core_since = self.now;
            judge.core_starts += u64::from(on);
        }
    }

    /// The controller's pins as they are after its start: reset held, everything else off.
    fn reset_pins(&mut self) {
        self.pins = self
            .spec
            .pins
            .iter()
            .map(|&spec| Pin {
                spec,
                level: match spec.role {
                    PinRole::Reset | PinRole::Plug => spec.active_high,
                    _ => !spec.active_high,
                },
            })
            .collect();
    }

    /// Brings a fault to the physics and the parts, or takes it away.
    fn mend(&mut self, fault: &Fault, broken: bool) {
        match *fault {
            Fault::ChipDead { chip } => self.machine.set_chip_dead(0, chip.into(), broken),
            Fault::ChipSlow { mv, chip } => {
                let mv = if broken { mv } else { 0.0 };
                self.machine.weaken_chip(0, chip.into(), mv);
            }
            Fault::DomainOpen { domain } => self.machine.open_domain(0, domain.into(), broken),
            Fault::DeviceAbsent { device } => self.buses.set_absent(device, broken),
            Fault::DeviceWrong { device } => self.buses.pretend(device, broken),
            Fault::BusStuck { bus } => self.buses.set_stuck(bus, broken),
            Fault::EepromCorrupt | Fault::EepromForeign => self.buses.corrupt(match fault {
                _ if !broken => Damage::None,
                Fault::EepromCorrupt => Damage::FlippedCell,
                _ => Damage::OtherBoard,
            }),
            Fault::SensorFrozen { sensor } if !broken => self.sensing.freeze(sensor, None),
            Fault::Ambient { celsius } => {
                self.machine
                    .set_ambient_c(if broken { celsius } else { self.spec.ambient_c })
            }
            Fault::Dust { factor } => {
                let factor = if broken { factor } else { 1.0 };
                self.machine.set_dust(self.spec.physics.dust * factor);
            }
            Fault::InputVoltage { volts } => {
                self.machine.set_input_v(match &self.spec.physics.supply {
                    _ if broken => volts,
                    SupplySpec::Regulator(regulator) => regulator.input_mv / 1000.0,
                    SupplySpec::Psu(psu) => psu.mains_v,
                })
            }
            _ => {}
        }
        self.machine.set_supply_fault(self.supply_fault());
        for fan in 0..usize::from(self.spec.physics.fans.count) {
            self.machine.set_fan_fault(fan, self.fan_fault(fan));
        }
    }

    fn supply_fault(&self) -> Option<SupplyFault> {
        self.faults.iter().rev().find_map(|(fault, _)| match fault {
            Fault::SupplyStuckOn => Some(SupplyFault::StuckOn),
            Fault::SupplyDead => Some(SupplyFault::Dead),
            Fault::SupplyWrong { factor } => Some(SupplyFault::Wrong(*factor)),
            Fault::SupplyFrozen => Some(SupplyFault::Frozen),
            _ => None,
        })
    }

    fn fan_fault(&self, index: usize) -> Option<FanFault> {
        self.faults
            .iter()
            .rev()
            .find_map(|(fault, _)| match *fault {
                Fault::FansDead => Some(FanFault::Stuck),
                Fault::FanStuck { fan } if fan == index => Some(FanFault::Stuck),
                Fault::FanTachLost { fan } if fan == index => Some(FanFault::TachLost),
                Fault::FanTachFrozen { rpm, fan } if fan == index => {
                    Some(FanFault::TachFrozen(rpm))
                }
                Fault::FanFaked { rpm, fan } if fan == index => Some(FanFault::Faked(rpm)),
                Fault::FanInverted { fan } if fan == index => Some(FanFault::Inverted),
                Fault::FanWorn { share, fan } if fan == index => Some(FanFault::Worn(share)),
                _ => None,
            })
    }

    /// What the line does to bytes of the chips' port.
    fn spoil(&mut self, bytes: &mut Vec<u8>, start: usize) {
        for (fault, _) in &self.faults {
            match *fault {
                Fault::UartDead => bytes.truncate(start),
                Fault::UartNoise { share } => {
                    for byte in &mut bytes[start..] {
                        if self.uart_noise.unit() < share {
                            *byte ^= 1 << (self.uart_noise.next_u64() & 7);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Does what a request asks for.
    fn handle(&mut self, request: &Request) -> Outcome {
        let kind = self.spec.controller;
        let outcome = match request.page {
            0x05 => self.handle_i2c(request),
            0x06 => self.handle_pin(request),
            0x07 => self.handle_adc(request),
            0x08 if kind == Controller::Emberone => match (request.command, request.data.len()) {
                (0x10, 3) => Outcome::Done(request.data.clone()),
                _ => Outcome::Invalid,
            },
            0x09 if kind == Controller::Emberone => self.handle_system(request),
            0x09 if kind == Controller::BitaxeRawTotal => {
                self.handle_fan(request, 0x10, 0x20, false)
            }
            0x09 if kind == Controller::Bitcrane => self.handle_fan(request, 0x11, 0x21, true),
            _ => Outcome::Invalid,
        };
        self.apply();
        outcome
    }

    fn handle_i2c(&mut self, request: &Request) -> Outcome {
        let (write, count, text) = match (request.command, &request.data[..]) {
            (0x10, data @ [_, _, _, _]) => return Outcome::Done(data.to_vec()),
            (0x20, [_, write @ ..]) => (write, 0, "I2C Write Error"),
            (0x30, [_, count]) => ([].as_slice(), *count, "I2C Read Error"),
            (0x40, [_, write @ .., count]) => (write, *count, "I2C WriteRead Error"),
            _ => return Outcome::Invalid,
        };
        let senses = self.senses();
        let mut read = vec![0; usize::from(count)];
        let address = request.data[0];
        let done = self
            .buses
            .transact(&senses, request.bus, address, write, &mut read);
        match done {
            Err(_) => Outcome::Failed(text),
            Ok(()) if request.command == 0x20 => Outcome::Done(vec![write.len() as u8]),
            Ok(()) => Outcome::Done(read),
        }
    }

    fn handle_pin(&mut self, request: &Request) -> Outcome {
        let Some(pin) = self
            .pins
            .iter_mut()
            .find(|pin| pin.spec.number == request.command)
        else {
            return Outcome::Invalid;
        };
        match request.data[..] {
            [] => {}
            [level] if pin.spec.role != PinRole::Plug => pin.level = level != 0,
            _ => return Outcome::Invalid,
        }
        Outcome::Done(vec![u8::from(pin.level)])
    }

    fn handle_adc(&self, request: &Request) -> Outcome {
        let adc = self
            .spec
            .adc
            .iter()
            .find(|adc| adc.channel == request.command);
        let Some(adc) = adc.filter(|_| request.data.is_empty()) else {
            return Outcome::Invalid;
        };
        Outcome::Done(adc.counts(&self.senses()).to_le_bytes().to_vec())
    }

    /// Fan pages: a duty from command `set` on, a speed from command `get` on, one command per fan.
    fn handle_fan(&mut self, request: &Request, set: u8, get: u8, four: bool) -> Outcome {
        let fans = if four { 4 } else { 1 };
        let of = |first: u8| {
            let fan = request.command.wrapping_sub(first);
            (fan < fans).then_some(usize::from(fan))
        };
        match (of(set), of(get), &request.data[..]) {
            (Some(fan), _, [percent @ 0..=100]) => {
                if let Some(duty) = self.page_duty.get_mut(fan) {
                    *duty = Some(f64::from(*percent));
                }
                Outcome::Done(if four { vec![0] } else { vec![*percent] })
            }
            (_, Some(fan), []) => {
                let rpm = self.machine.fan(fan).map_or(0.0, |fan| fan.tach_rpm);
                Outcome::Done((rpm as u16).to_le_bytes().to_vec())
            }
            _ => Outcome::Invalid,
        }
    }

    /// Restarts of the controller, into itself or into its boot loader: pins as after power-on.
    fn handle_system(&mut self, request: &Request) -> Outcome {
        match (request.command, &request.data[..]) {
            (0x01, [0xDE, 0xAD, 0xBE, 0xEF]) | (0x02, [0xB0, 0x07, 0x10, 0xAD]) => {
                self.reset_pins();
                Outcome::Silence
            }
            _ => Outcome::Invalid,
        }
    }
}
