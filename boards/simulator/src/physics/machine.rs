//! A machine that lives: orders go in, time passes, and the truth can be asked for.

use std::time::Duration;

use super::{
    chips::{ChipActivity, ChipState, Dies},
    fans::{FanFault, FanState, Fans},
    heat::{Air, Heat},
    normal::draw,
    spec::{PhysicsError, PhysicsSpec},
    supply::{Supply, SupplyFault, SupplyState},
};
use crate::rng::{Rng, mix};

/// The grid of time: orders take effect and the world moves at multiples of this. Switching off acts at once.
pub const TICK: Duration = Duration::from_millis(100);

const TICK_S: f64 = 0.1;

/// A tick that changes no temperature by more than this leaves nothing to wait for. At the slowest time constant, still
/// air, what is cut off is below 0.1 K.
const SETTLED_K: f64 = 2e-5;

/// Temperature at which the search for a steady state gives up: there is none.
const RUNAWAY_C: f64 = 250.0;

/// Power, heat and air of one machine. See the [module](super).
///
/// Boards, chips, domains, sensors and fans are counted from 0, chips along the chain with the first domain first, which
/// also lies first in the air. Orders for parts that do not exist are ignored; questions about them are answered by `None`.
#[derive(Debug, Clone)]
pub struct Machine {
    spec: PhysicsSpec,
    /// Ticks done.
    tick: u64,
    boards: Vec<Board>,
    fans: Fans,
    supply: Supply,
    ambient_c: f64,
    settled: bool,
}

#[derive(Debug, Clone)]
struct Board {
    connected: bool,
    dies: Dies,
    heat: Heat,
}

impl Machine {
    /// A machine at 25 °C with everything off: supply disabled, fans at 0 %, chips without clock.
    ///
    /// # Errors
    ///
    /// [`PhysicsError`] when a number of `spec` is outside its range.
    pub fn new(spec: PhysicsSpec) -> Result<Self, PhysicsError> {
        spec.check()?;
        let ambient_c = 25.0;
        let boards = (0..spec.boards)
            .map(|board| Board {
                connected: true,
                dies: Dies::new(&spec, board, ambient_c),
                heat: Heat::new(&spec, ambient_c),
            })
            .collect();
        Ok(Self {
            tick: 0,
            boards,
            fans: Fans::new(spec.fans, spec.seed),
            supply: Supply::new(&spec.supply),
            ambient_c,
            settled: false,
            spec,
        })
    }

    /// What it is made of, as it is now: age and dust change.
    pub fn spec(&self) -> &PhysicsSpec {
        &self.spec
    }

    /// The time up to which the world has moved.
    pub fn now(&self) -> Duration {
        Duration::from_millis(self.tick.saturating_mul(100))
    }

    /// Lets the world move up to `now`, by whole ticks since time zero. A time earlier than one seen before changes
    /// nothing. Once nothing changes any more, time costs nothing.
    pub fn advance(&mut self, now: Duration) {
        let until = u64::try_from(now.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX);
        while self.tick < until {
            if self.settled {
                self.tick = until;
                return;
            }
            self.tick += 1;
            self.step();
        }
    }

    /// Whether nothing will change until the next order.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Moves everything to where it would end with the orders as they are, as if hours had passed. False when there is no
    /// such state because leakage runs away; temperatures then are those at which the search stopped.
    pub fn settle(&mut self) -> bool {
        self.fans.settle();
        self.supply.settle();
        let air = self.air();
        for _ in 0..400 {
            self.share();
            let extra_w = self.supply.board_loss_w() / f64::from(self.spec.boards);
            let mut largest = 0.0_f64;
            for board in &mut self.boards {
                let extra_w = extra_w + board.dies.path_w;
                largest = largest.max(board.heat.relax(&self.spec, &mut board.dies, air, extra_w));
            }
            if largest < 1e-4 {
                self.note_temperatures();
                return true;
            }
            if self.hottest_c() > RUNAWAY_C {
                break;
            }
        }
        self.note_temperatures();
        false
    }

    /// Switches the supply. Off acts at once.
    pub fn enable_supply(&mut self, on: bool) {
        self.supply.enable(on);
        self.share();
        self.settled = false;
    }

    /// Sets the supply's output, mV at the terminals of the boards; held to what the supply can do.
    pub fn set_supply_mv(&mut self, mv: f64) {
        self.supply.set(mv);
        self.settled = false;
    }

    /// Sets the supply's input: the mains, or the source in front of a regulator, V.
    pub fn set_input_v(&mut self, volts: f64) {
        self.supply.set_input(volts);
        self.settled = false;
    }

    /// Connects a board to the supply, or not: a plug, or a switch of its own. All are connected at first.
    pub fn connect_board(&mut self, board: usize, connected: bool) {
        if let Some(board) = self.boards.get_mut(board) {
            board.connected = connected;
            self.share();
            self.settled = false;
        }
    }

    /// Tells a chip what to do.
    pub fn set_activity(&mut self, board: usize, chip: usize, activity: ChipActivity) {
        if let Some(die) = self.die(board, chip)
            && die.activity != activity
        {
            die.activity = ChipActivity {
                mhz: if activity.mhz.is_finite() {
                    activity.mhz.clamp(0.0, 10_000.0)
                } else {
                    0.0
                },
                ..activity
            };
            self.settled = false;
        }
    }

    /// Drives a fan, percent, 0..=100.
    pub fn set_fan_duty(&mut self, fan: usize, percent: f64) {
        if self.fans.set_duty(fan, percent) {
            self.settled = false;
        }
    }

    /// Drives all fans alike.
    pub fn set_all_fans(&mut self, percent: f64) {
        for fan in 0..self.fans.count() {
            self.set_fan_duty(fan, percent);
        }
    }

    /// Sets the temperature of the air before the machine, °C, -60..=150.
    pub fn set_ambient_c(&mut self, celsius: f64) {
        if celsius.is_finite() {
            self.ambient_c = celsius.clamp(-60.0, 150.0);
            self.settled = false;
        }
    }

    /// Breaks a fan, or mends it.
    pub fn set_fan_fault(&mut self, fan: usize, fault: Option<FanFault>) {
        self.fans.set_fault(fan, fault);
        self.settled = false;
    }

    /// Breaks the supply, or mends it.
    pub fn set_supply_fault(&mut self, fault: Option<SupplyFault>) {
        self.supply.set_fault(fault);
        self.share();
        self.settled = false;
    }

    /// Kills a chip, or puts a new die with the same qualities in its place.
    pub fn set_chip_dead(&mut self, board: usize, chip: usize, dead: bool) {
        if let Some(die) = self.die(board, chip) {
            if dead {
                die.dead = true;
            } else {
                die.renew();
            }
            self.settled = false;
        }
    }

    /// Raises a chip's threshold by so many mV, over what its quality and age make it: a slow chip. 0 heals.
    pub fn weaken_chip(&mut self, board: usize, chip: usize, mv: f64) {
        if let Some(die) = self.die(board, chip)
            && mv.is_finite()
        {
            die.weak_mv = mv;
            self.settled = false;
        }
    }

    /// Opens a domain, so that no current flows through the board, or closes it.
    pub fn open_domain(&mut self, board: usize, domain: usize, open: bool) {
        let board = self.boards.get_mut(board);
        if let Some(is_open) = board.and_then(|board| board.dies.open.get_mut(domain)) {
            *is_open = open;
            self.share();
            self.settled = false;
        }
    }

    /// Sets the factor on the thermal resistance to air, 0.1..=10: 1 clean, 1.5 dusty.
    pub fn set_dust(&mut self, factor: f64) {
        if factor.is_finite() {
            self.spec.dust = factor.clamp(0.1, 10.0);
            self.settled = false;
        }
    }

    /// Sets the hours that the chips have hashed.
    pub fn set_age_hours(&mut self, hours: f64) {
        if hours.is_finite() {
            self.spec.age_hours = hours.clamp(0.0, 1e6);
            for board in &mut self.boards {
                board.dies.set_age(&self.spec);
            }
            self.settled = false;
        }
    }

    /// A chip.
    pub fn chip(&self, board: usize, chip: usize) -> Option<ChipState> {
        self.boards.get(board)?.dies.state(&self.spec, chip)
    }

    /// Voltage of a domain, mV.
    pub fn domain_mv(&self, board: usize, domain: usize) -> Option<f64> {
        self.boards.get(board)?.dies.domain_mv.get(domain).copied()
    }

    /// Current through a board, A.
    pub fn board_a(&self, board: usize) -> Option<f64> {
        Some(self.boards.get(board)?.dies.amps)
    }

    /// Power of a board at its terminals, W.
    pub fn board_w(&self, board: usize) -> Option<f64> {
        Some(self.board_a(board)? * self.supply.output_mv() / 1000.0)
    }

    /// Temperature where one of the board's sensors sits, °C.
    pub fn sensor_c(&self, board: usize, sensor: usize) -> Option<f64> {
        let place = *self.spec.thermal.sensors.get(sensor)?;
        Some(self.boards.get(board)?.heat.at(place))
    }

    /// Air that leaves a board, °C.
    pub fn outlet_c(&self, board: usize) -> Option<f64> {
        Some(self.boards.get(board)?.heat.outlet_c)
    }

    /// Air before the machine, °C.
    pub fn ambient_c(&self) -> f64 {
        self.ambient_c
    }

    /// Share of the full air flow, convection included.
    pub fn flow(&self) -> f64 {
        self.air().flow
    }

    /// A fan.
    pub fn fan(&self, fan: usize) -> Option<FanState> {
        self.fans.state(fan)
    }

    /// The supply.
    pub fn supply(&self) -> SupplyState {
        let count = self.boards.len().max(1) as f64;
        let board_c = self
            .boards
            .iter()
            .map(|board| board.heat.at(0.5))
            .sum::<f64>()
            / count;
        self.supply
            .state(self.spec.auxiliary_w, self.ambient_c, board_c)
    }

    /// The hottest die now, °C.
    pub fn hottest_c(&self) -> f64 {
        self.dies()
            .map(|die| die.celsius)
            .fold(f64::NEG_INFINITY, f64::max)
    }

    /// Sensor noise: a standard normal value that differs by channel and tick and repeats with the seed. Real sensors
    /// dither by about one step of their reading.
    pub fn noise(&self, channel: u64) -> f64 {
        draw(&mut Rng::new(mix(
            self.spec.seed ^ 0x0001_5E00,
            channel,
            self.tick,
        )))
    }

    /// All dies at one temperature, and the voltages that go with it.
    pub(super) fn hold_dies_at(&mut self, celsius: f64) {
        self.supply.settle();
        for board in &mut self.boards {
            for die in &mut board.dies.dies {
                die.celsius = celsius;
            }
        }
        self.share();
    }

    fn dies(&self) -> impl Iterator<Item = &super::chips::Die> {
        self.boards.iter().flat_map(|board| &board.dies.dies)
    }

    fn die(&mut self, board: usize, chip: usize) -> Option<&mut super::chips::Die> {
        self.boards.get_mut(board)?.dies.dies.get_mut(chip)
    }

    fn air(&self) -> Air {
        Air {
            inlet_c: self.ambient_c,
            flow: self.fans.flow().max(self.spec.thermal.still_flow),
        }
    }

    /// Brings voltages, currents and powers up to date with supply, clocks and temperatures.
    fn share(&mut self) {
        let mv = self.supply.output_mv();
        for board in &mut self.boards {
            let mv = if board.connected { mv } else { 0.0 };
            board.dies.share(&self.spec, mv);
        }
        self.supply.amps = self.boards.iter().map(|board| board.dies.amps).sum();
    }

    fn note_temperatures(&mut self) {
        for board in &mut self.boards {
            for die in &mut board.dies.dies {
                die.note_temperature(&self.spec);
            }
        }
    }

    fn step(&mut self) {
        let mut busy = self.fans.step(TICK_S) | self.supply.step(TICK_S);
        self.share();
        let air = self.air();
        let extra_w = self.supply.board_loss_w() / f64::from(self.spec.boards);
        let (spec, tick) = (&self.spec, self.tick);
        for (index, board) in self.boards.iter_mut().enumerate() {
            let extra_w = extra_w + board.dies.path_w;
            let change = board.heat.step(spec, &mut board.dies, air, extra_w, TICK_S);
            let key = mix(spec.seed, 0x0D1C_E000 + index as u64, tick);
            board
                .dies
                .wear(spec, TICK_S, |chip| Rng::new(key ^ chip as u64).unit());
            busy |= change > SETTLED_K || board.dies.restless(spec);
        }
        self.settled = !busy;
    }
}
