//! A machine with hidden truth for the tuner to find: the simulator's physics, without hashing chips. The tuner sees what hardware
//! would show: Poisson counts of nonces, readings in steps with noise, orders that take their time. The oracle is told everything.

#![allow(dead_code)]

use std::time::Duration;

use autotune::{
    Aim, BoardReading, Bounds, Caps, ChipReading, Command, Layout, Observation, Plant, Problem,
    Setting, Tuner, math, nonce_hashes,
};
use board_profiles::Profile;
use board_simulator::physics::{ChipActivity, Machine, PhysicsSpec, Quality, presets};

/// Steps in which the machine lives and is read, s.
pub const STEP_S: f64 = 1.0;
/// Pace of a clock ramp: 6.25 MHz in 100 ms.
const RAMP_MHZ_S: f64 = 62.5;

/// A small generator (xorshift*), apart from the simulator's own.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        if mean > 40.0 {
            return (mean + mean.sqrt() * self.normal()).round().max(0.0) as u64;
        }
        let limit = (-mean).exp();
        let (mut count, mut product) = (0, self.unit());
        while product > limit {
            count += 1;
            product *= self.unit();
        }
        count
    }
}

/// Limits that were passed, counted per second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Violations {
    pub board_c: u32,
    pub chip_c: u32,
    pub power: u32,
    pub voltage: u32,
    pub stressed: u32,
    pub hung: u32,
    pub dead: u32,
}

impl Violations {
    pub fn total(&self) -> u32 {
        self.board_c
            + self.chip_c
            + self.power
            + self.voltage
            + self.stressed
            + self.hung
            + self.dead
    }
}

pub struct Bench {
    pub machine: Machine,
    pub layout: Layout,
    profile: Profile,
    now: Duration,
    target: Vec<Vec<f64>>,
    mhz: Vec<Vec<f64>>,
    bits: Vec<u8>,
    counters: Vec<Vec<ChipReading>>,
    dice: Dice,
    mv: f64,
    pub work: bool,
    pub stuck_c: Option<f64>,
    pub fan: f64,
    /// The fans are ruled toward this temperature of board or chip, °C, and nobody can hold them.
    pub ruled_c: Option<f64>,
    /// True work and input power of the last step.
    pub ths: f64,
    pub watts: f64,
    pub violations: Violations,
    /// Whether input power is measured at all.
    pub metered: bool,
    /// Time after start until which the boards are not up.
    boot: Duration,
    pub restarts: u32,
    was_hung: Vec<Vec<bool>>,
    /// Whether the tuner has ordered anything: what the factory's setting does before that is not its fault.
    started: bool,
}

pub fn layout(name: &str) -> (Profile, Layout, PhysicsSpec) {
    let profile = Profile::builtin(name).unwrap();
    let mut spec = presets::by_name(name).unwrap();
    let serials = (0..spec.boards)
        .map(|board| Some(format!("{name}-{board}")))
        .collect();
    let layout = Layout::from_profile(&profile, serials);
    // The chip model's count of hashes, as the simulated program has it.
    spec.chip.hashes_per_clock = layout.hashes_per_clock;
    (profile, layout, spec)
}

impl Bench {
    pub fn new(name: &str, quality: Quality, seed: u64, ambient_c: f64) -> Self {
        let (profile, layout, mut spec) = layout(name);
        spec.quality = quality;
        spec.seed = seed;
        let mut machine = Machine::new(spec).unwrap();
        let fan = 100.0;
        machine.set_ambient_c(ambient_c);
        machine.set_all_fans(fan);
        let (boards, chips) = (layout.boards(), layout.chips());
        let start = layout.on_grid(layout.clock_mhz.1);
        let mut bench = Self {
            now: Duration::ZERO,
            target: vec![vec![start; chips]; boards],
            mhz: vec![vec![50.0; chips]; boards],
            bits: vec![layout.ticket_bits; boards],
            counters: vec![vec![ChipReading::default(); chips]; boards],
            dice: Dice::new(seed ^ 0xBE9C),
            mv: layout.mv.1,
            work: true,
            stuck_c: None,
            fan,
            ruled_c: None,
            ths: 0.0,
            watts: 0.0,
            violations: Violations::default(),
            metered: true,
            boot: Duration::from_secs(10),
            restarts: 0,
            was_hung: vec![vec![false; chips]; boards],
            started: false,
            machine,
            profile,
            layout,
        };
        bench.machine.set_supply_mv(bench.mv);
        bench.machine.enable_supply(true);
        bench
    }

    pub fn now(&self) -> Duration {
        self.now
    }

    pub fn order(&mut self, command: Command) {
        match command {
            Command::Voltage { mv, .. } => {
                self.started |=
                    (f64::from(mv) * self.layout.mv_per_setting - self.layout.mv.1).abs() > 15.0;
                self.mv = f64::from(mv) * self.layout.mv_per_setting;
                self.machine.set_supply_mv(self.mv);
            }
            Command::Clock { board, mhz } => self.target[board].fill(mhz),
            Command::ChipClock { board, chip, mhz } => self.target[board][chip] = mhz,
            Command::Ticket { board, zero_bits } => self.bits[board] = zero_bits,
            Command::FanHold(Some(duty)) if self.ruled_c.is_none() => {
                self.fan = duty;
                self.machine.set_all_fans(duty);
            }
            Command::FanHold(_) => {}
        }
    }

    /// One step of the world, and what is read then.
    pub fn step(&mut self) -> Observation {
        self.now += Duration::from_secs_f64(STEP_S);
        let up = self.now >= self.boot;
        for board in 0..self.layout.boards() {
            for chip in 0..self.layout.chips() {
                let mhz = &mut self.mhz[board][chip];
                if up {
                    let most = RAMP_MHZ_S * STEP_S;
                    *mhz += (self.target[board][chip] - *mhz).clamp(-most, most);
                }
                let activity = ChipActivity {
                    mhz: *mhz,
                    hashing: up && self.work,
                };
                self.machine.set_activity(board, chip, activity);
            }
        }
        if let Some(wanted) = self.ruled_c {
            let board = self
                .machine
                .sensor_c(0, 0)
                .filter(|_| !self.layout.sensors.is_empty());
            let c = board.unwrap_or_else(|| self.machine.chip(0, 0).unwrap().celsius);
            self.fan = (self.fan + 0.1 * STEP_S * (c - wanted)).clamp(20.0, 100.0);
            self.machine.set_all_fans(self.fan);
        }
        self.machine.advance(self.now);
        self.ths = 0.0;
        let mut boards = Vec::new();
        for board in 0..self.layout.boards() {
            let mut broken = false;
            for chip in 0..self.layout.chips() {
                let Some(state) = self.machine.chip(board, chip) else {
                    continue;
                };
                broken |= !state.alive;
                let mine = self.started;
                self.violations.stressed +=
                    u32::from(mine && state.mv > 1.25 * self.machine.spec().chip.nominal_mv);
                self.violations.hung +=
                    u32::from(mine && state.hung && !self.was_hung[board][chip]);
                self.was_hung[board][chip] = state.hung;
                self.violations.dead += u32::from(mine && state.dead);
                self.violations.chip_c += u32::from(state.celsius > self.profile.limits.chip_c);
                let mhz = self.mhz[board][chip];
                self.counters[board][chip].mhz = mhz;
                if broken || !up || !self.work {
                    continue;
                }
                let ths = mhz * self.layout.hashes_per_clock * 1e-6 * state.delivered;
                self.ths += ths;
                let mean = ths * 1e12 * STEP_S / nonce_hashes(self.bits[board]);
                let counter = &mut self.counters[board][chip];
                counter.valid += self.dice.poisson(mean);
                counter.wrong += self.dice.poisson(mean * state.wrong);
            }
            let sensors = self.machine.spec().thermal.sensors.len();
            let mut read = |c: f64| (((c + 0.2 * self.dice.normal()) * 16.0).round()) / 16.0;
            let mut board_c: Vec<Option<f64>> = Vec::new();
            for sensor in 0..self.layout.sensors.len() {
                let c = self
                    .machine
                    .sensor_c(board, sensor.min(sensors - 1))
                    .unwrap();
                if let Some(limit) = self.profile.limits.board_c {
                    self.violations.board_c += u32::from(c > limit);
                }
                board_c.push(Some(
                    self.stuck_c
                        .filter(|_| sensor == 0 && board == 0)
                        .unwrap_or(read(c)),
                ));
            }
            let chip_c = self
                .layout
                .sensors
                .is_empty()
                .then(|| read(self.machine.chip(board, 0).unwrap().celsius));
            boards.push(BoardReading {
                running: up && self.mhz[board].iter().all(|&mhz| mhz > 100.0),
                serial: self.layout.serials[board].clone(),
                chips: self.counters[board].clone(),
                ticket_bits: self.bits[board],
                mv: Some(self.machine.supply().set_mv),
                board_c,
                chip_c,
                throttled: false,
            });
        }
        let supply = self.machine.supply();
        self.watts = supply.input_w;
        let share = supply.input_w / self.layout.boards() as f64;
        self.violations.power += u32::from(share > self.profile.limits.power_w);
        self.violations.voltage += u32::from(supply.set_mv > self.layout.mv.2 + 20.0);
        // A meter of half a percent noise, in steps of a watt, or a tenth on small boards.
        let unit = if self.layout.rated_w.is_some() {
            1.0
        } else {
            0.05
        };
        let read = supply.input_w * (1.0 + 0.005 * self.dice.normal());
        Observation {
            boards,
            watts: self.metered.then(|| (read / unit).round() * unit),
            fan_percent: Some(self.fan),
            work: self.work,
        }
    }

    /// Lets tuner and machine live together for a step.
    pub fn live(&mut self, tuner: &mut Tuner) {
        let seen = self.step();
        tuner.observe(self.now, &seen);
        tuner.tick(self.now);
        while let Some(command) = tuner.poll_command() {
            self.order(command);
        }
        // What the agent does with a chain that fell silent: power off, and a new start a little later.
        let broken = matches!(&tuner.status().activity, autotune::Activity::Held(why) if why.contains("started again"));
        if broken && self.now > self.boot + Duration::from_secs(30) && self.restarts < 5 {
            self.restarts += 1;
            self.machine.enable_supply(false);
            self.boot = self.now + Duration::from_secs(15);
            self.mhz.iter_mut().flatten().for_each(|mhz| *mhz = 50.0);
        }
        if self.now + Duration::from_secs(5) >= self.boot {
            self.machine.enable_supply(true);
        }
    }

    /// True steady work and input power of a setting: TH/s, W.
    pub fn truth(&self, setting: &Setting) -> (f64, f64) {
        let mut machine = self.machine.clone();
        set(&mut machine, setting);
        machine.settle();
        read(&machine, setting, self.layout.hashes_per_clock)
    }

    /// Whether a machine at rest passes a limit, or has a chip that may hang.
    pub fn passes_limits(&self, machine: &Machine) -> bool {
        let limits = &self.profile.limits;
        let nominal = machine.spec().chip.nominal_mv;
        let chips = (0..self.layout.boards())
            .flat_map(|board| (0..self.layout.chips()).map(move |chip| (board, chip)))
            .filter_map(|(board, chip)| machine.chip(board, chip))
            .any(|chip| {
                chip.celsius > limits.chip_c
                    || chip.mv > 1.25 * nominal
                    || chip.hung
                    || chip.delivered < 0.2
            });
        let sensors = (0..self.layout.boards()).any(|board| {
            (0..self.layout.sensors.len()).any(|sensor| {
                let c = machine.sensor_c(board, sensor);
                limits
                    .board_c
                    .is_some_and(|most| c.is_some_and(|c| c > most))
            })
        });
        let share = machine.supply().input_w / self.layout.boards() as f64;
        chips || sensors || share > limits.power_w
    }

    /// The boards as they really are.
    pub fn true_plants(&self) -> Vec<Plant> {
        let spec = self.machine.spec().clone();
        let layout = &self.layout;
        let mhz = spec.chip.nominal_mhz;
        let volts = layout.mv.1;
        let settled = |mv: f64, mhz: f64| {
            let mut machine = self.machine.clone();
            set(&mut machine, &Setting::uniform(layout, mv, mhz));
            machine.settle();
            machine
        };
        let (full, half) = (settled(volts, mhz), settled(volts, 0.6 * mhz));
        let low = settled(volts * 0.95, mhz);
        let nominal = spec.chip.nominal_mv;
        (0..layout.boards())
            .map(|board| {
                let mut plant = Plant {
                    per_domain: layout.per_domain,
                    hashes_per_clock: layout.hashes_per_clock,
                    switching: Vec::new(),
                    leakage: Vec::new(),
                    leak_scale_k: spec.chip.leak_scale_k,
                    threshold_mv: Vec::new(),
                    reference_mhz: mhz,
                    slope: spec.chip.slope_mv_per_mhz,
                    sigma_mv: spec.chip.sigma_mv,
                    warm_mv_per_k: spec.chip.warm_shift_per_k * nominal,
                    path_ohm: spec.path_ohm,
                    die_k_per_w: spec.thermal.die_k_per_w,
                    sinks: Vec::new(),
                    held_c: Vec::new(),
                    dead: vec![false; layout.chips()],
                    doubt_mv: vec![0.0; layout.chips()],
                    most_mhz: vec![f64::INFINITY; layout.chips()],
                    here_mhz: vec![0.0; layout.chips()],
                    doubt_per_mhz: (0.0, 0.0),
                    leak_doubt: vec![0.0; layout.domains],
                };
                for chip in 0..layout.chips() {
                    let (a, b) = (
                        full.chip(board, chip).unwrap(),
                        half.chip(board, chip).unwrap(),
                    );
                    let siemens = |watts: f64, mv: f64| watts / (mv / 1000.0).powi(2);
                    let warm = |c: f64| ((c - 60.0) / spec.chip.leak_scale_k).exp();
                    let (ga, gb) = (siemens(a.watts, a.mv), siemens(b.watts, b.mv));
                    // ga = k f + l wa; gb = 0.6 k f + l wb.
                    let leak = (gb - 0.6 * ga) / (warm(b.celsius) - 0.6 * warm(a.celsius));
                    plant.leakage.push(leak);
                    plant.switching.push((ga - leak * warm(a.celsius)) / mhz);
                    let c = low.chip(board, chip).unwrap();
                    let z = math::quantile(c.delivered);
                    plant
                        .threshold_mv
                        .push(c.mv - z * plant.sigma_mv - plant.warm_mv_per_k * (c.celsius - 65.0));
                }
                for domain in 0..layout.domains {
                    let first = domain * layout.per_domain;
                    let sink = |machine: &Machine| {
                        let chip = machine.chip(board, first).unwrap();
                        chip.celsius - spec.thermal.die_k_per_w * chip.watts
                    };
                    let watts = |machine: &Machine| {
                        machine.board_a(board).unwrap() * machine.supply().output_mv / 1000.0
                    };
                    let rise = (sink(&full) - sink(&half)) / (watts(&full) - watts(&half));
                    plant.sinks.push((sink(&full) - rise * watts(&full), rise));
                }
                plant
            })
            .collect()
    }

    /// One chip: every voltage and clock is tried on the real physics.
    fn oracle_by_grid(&self, aim: Aim) -> (Setting, f64, f64) {
        let layout = &self.layout;
        let mut best: Option<(f64, Setting, f64, f64)> = None;
        let mut mhz = layout.on_grid(layout.clock_mhz.0);
        while mhz <= layout.clock_mhz.2 {
            let mut mv = layout.mv.0;
            while mv <= layout.mv.2 {
                let setting = Setting::uniform(layout, mv, mhz);
                let (ths, watts) = self.truth(&setting);
                let worth = match aim {
                    Aim::Watts(want) if watts > want * 1.001 => f64::NEG_INFINITY,
                    Aim::Watts(_) => ths,
                    _ => ths / watts,
                };
                if best.as_ref().is_none_or(|best| worth > best.0) {
                    best = Some((worth, setting, ths, watts));
                }
                mv += 2.0;
            }
            mhz += layout.grid_mhz;
        }
        let (_, setting, ths, watts) = best.unwrap();
        (setting, ths, watts)
    }

    /// The best setting of somebody who knows everything: setting, TH/s, W, by the real physics.
    pub fn oracle(&self, aim: Aim) -> (Setting, f64, f64) {
        if self.layout.chips() == 1 {
            return self.oracle_by_grid(aim);
        }
        let plants = self.true_plants();
        let layout = &self.layout;
        let mut factor = 1.0;
        let mut best: Option<(f64, Setting, f64, f64)> = None;
        let mut start = Setting::factory(layout);
        let mut price = None;
        for round in 0..4 {
            let problem = Problem {
                layout,
                plants: &plants,
                aim,
                caps: Caps::default(),
                mv: (layout.on_step(layout.mv.0), layout.mv.2),
                bounds: Bounds {
                    mhz: (
                        layout.on_grid(layout.clock_mhz.0),
                        layout.on_grid(layout.clock_mhz.2),
                    ),
                    least_margin: -5.0,
                    quantiles: 0.0,
                },
                beside_w: layout.auxiliary_w,
                power_factor: factor,
                price,
            };
            let Some(plan) = problem.solve(&start) else {
                break;
            };
            let mut settings = vec![plan.setting.clone()];
            if round == 3 && matches!(aim, Aim::Efficiency) {
                for (v, p) in [(1.0, 0.94), (1.0, 1.06), (0.995, 1.0), (1.005, 1.0)] {
                    let mv: Vec<f64> = plan.setting.mv.iter().map(|mv| mv * v).collect();
                    settings.extend(problem.probe(&plan.setting, &mv, plan.price * p));
                }
            }
            for setting in settings {
                let (ths, watts) = self.truth(&setting);
                factor *= watts / plan.watts;
                let worth = match aim {
                    Aim::Watts(want) => ths * (want / watts).powf(0.7),
                    _ => ths / watts,
                };
                if best.as_ref().is_none_or(|best| worth > best.0) {
                    best = Some((worth, setting, ths, watts));
                }
            }
            // Other settings than the plan's must not move the correction.
            factor = factor.clamp(0.8, 1.25);
            start = plan.setting;
            price = Some(plan.price);
        }
        let (_, setting, ths, watts) = best.unwrap();
        (setting, ths, watts)
    }
}

fn set(machine: &mut Machine, setting: &Setting) {
    machine.set_supply_mv(setting.mv[0]);
    machine.enable_supply(true);
    for (board, mhz) in setting.mhz.iter().enumerate() {
        for (chip, &mhz) in mhz.iter().enumerate() {
            machine.set_activity(board, chip, ChipActivity { mhz, hashing: true });
        }
    }
}

fn read(machine: &Machine, setting: &Setting, hashes_per_clock: f64) -> (f64, f64) {
    let mut ths = 0.0;
    for (board, mhz) in setting.mhz.iter().enumerate() {
        for (chip, &mhz) in mhz.iter().enumerate() {
            ths += mhz * hashes_per_clock * 1e-6 * machine.chip(board, chip).unwrap().delivered;
        }
    }
    (ths, machine.supply().input_w)
}

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub ths: f64,
    pub watts: f64,
    pub oracle_ths: f64,
    pub oracle_watts: f64,
    pub factory_ths: f64,
    pub factory_watts: f64,
    pub sweep_ths: f64,
    pub sweep_watts: f64,
    pub sweep_s: f64,
    pub sweep_limits: u32,
    pub hung: u32,
    pub dead: u32,
    pub tuned_s: f64,
    pub to_95_s: f64,
    pub to_99_s: f64,
    pub lost: f64,
    pub violations: u32,
    pub kinds: String,
    pub restarts: u32,
    pub rounds: u32,
    pub restart_s: f64,
    pub curve: Vec<(f64, f64, f64)>,
}

/// A whole run: tune from cold, watch for a while, compare.
pub fn run(name: &str, quality: Quality, seed: u64, ambient_c: f64, aim: Aim) -> Outcome {
    run_on(Bench::new(name, quality, seed, ambient_c), aim)
}

/// The same on a bench that is set up already.
pub fn run_on(mut bench: Bench, aim: Aim) -> Outcome {
    let seed = bench.machine.spec().seed;
    let layout = bench.layout.clone();
    let mut tuner = Tuner::new(layout.clone(), aim, Caps::default(), Vec::new(), seed).unwrap();
    let mut trace = Vec::new();
    let mut tuned_s = None;
    loop {
        bench.live(&mut tuner);
        let t = bench.now().as_secs_f64();
        trace.push((t, bench.ths, bench.watts));
        if tuned_s.is_none() && tuner.status().activity == autotune::Activity::Keeping {
            tuned_s = Some(t);
        }
        if t > 5400.0 || tuned_s.is_some_and(|at| t > at + 420.0) {
            break;
        }
    }
    if std::env::var_os("EXPLAIN").is_some() {
        while let Some(step) = tuner.poll_step() {
            println!(
                "{:6.0} {} | {} | {}",
                step.at_s, step.hypothesis, step.evidence, step.decision
            );
        }
    }
    let tail = &trace[trace.len() - 60..];
    let ths = tail.iter().map(|p| p.1).sum::<f64>() / 60.0;
    let watts = tail.iter().map(|p| p.2).sum::<f64>() / 60.0;
    let same_power = match aim {
        Aim::Watts(_) => Aim::Watts(watts),
        other => other,
    };
    let (_, oracle_ths, oracle_watts) = bench.oracle(same_power);
    let factory = Setting::factory(&layout);
    let (factory_ths, factory_watts) = bench.truth(&factory);
    // Value: work, or work per watt; too much power takes off twice its share.
    let value = |ths: f64, w: f64| match aim {
        Aim::Watts(want) => ths * (want * 1.01 / w).min(1.0).powi(2),
        _ => ths / w.max(1.0),
    };
    let end = value(ths, watts);
    let reached = |share: f64| {
        // Means of ten seconds; the first moment from which on it stays.
        let mut at = 0.0;
        for pair in trace.chunks(10) {
            let n = pair.len() as f64;
            let h = pair.iter().map(|p| p.1).sum::<f64>() / n;
            let w = pair.iter().map(|p| p.2).sum::<f64>() / n;
            if value(h, w) < share * end {
                at = pair[pair.len() - 1].0;
            }
        }
        at
    };
    let tuned_at = tuned_s.unwrap_or(f64::NAN);
    // From when the boards are up.
    let lost: f64 = trace
        .iter()
        .filter(|p| p.0 > 30.0 && p.0 <= tuned_at)
        .map(|p| match aim {
            Aim::Watts(_) => (1.0 - p.1 / ths).max(0.0),
            _ => (1.0 - value(p.1, p.2) / end).max(0.0),
        })
        .sum::<f64>();
    let lost = lost / (tuned_at - 30.0);
    let (sweep_ths, sweep_watts, sweep_s, sweep_limits) = sweep(&bench, aim);
    let restart_s = restart(&bench, &tuner, aim, seed);
    Outcome {
        ths,
        watts,
        oracle_ths,
        oracle_watts,
        factory_ths,
        factory_watts,
        sweep_ths,
        sweep_watts,
        sweep_s,
        sweep_limits,
        hung: bench.violations.hung,
        dead: (0..layout.boards())
            .flat_map(|board| (0..layout.chips()).map(move |chip| (board, chip)))
            .filter(|&(board, chip)| bench.machine.chip(board, chip).is_some_and(|c| c.dead))
            .count() as u32,
        tuned_s: tuned_at,
        to_95_s: reached(0.95),
        to_99_s: reached(0.99),
        lost,
        violations: bench.violations.total(),
        kinds: format!("{:?}", bench.violations),
        restarts: bench.restarts,
        rounds: tuner.status().rounds,
        restart_s,
        curve: trace,
    }
}

/// The published sweep: from 1150 mV and 500 MHz on a Gamma, scaled to other boards: 25 MHz up while 94 % of the work comes, else
/// 20 of 1150 parts of voltage up and 25 MHz down; 690 s a point; ends at limits. The best point for the aim.
///
/// The last number counts its points at which a limit was passed or a chip delivered less than a fifth and may hang.
pub fn sweep(bench: &Bench, aim: Aim) -> (f64, f64, f64, u32) {
    let layout = &bench.layout;
    let mut mhz = layout.on_grid(layout.clock_mhz.1 * 500.0 / 525.0);
    if let Aim::Efficiency | Aim::Watts(_) = aim {
        // Without this it would never look at less power than the factory's; in its favour.
        mhz = layout.on_grid((layout.clock_mhz.1 * 0.75).max(layout.clock_mhz.0));
    }
    let mut mv = layout.on_step(layout.curve_mv(mhz) * layout.domains as f64);
    let mut best: Option<(f64, f64, f64)> = None;
    let mut time = 0.0;
    let mut dice = Dice::new(bench.machine.spec().seed ^ 77);
    let mut from_below = false;
    let mut limits = 0;
    for _ in 0..60 {
        let setting = Setting::uniform(layout, mv, mhz);
        let mut machine = bench.machine.clone();
        set(&mut machine, &setting);
        machine.settle();
        let (ths, watts) = read(&machine, &setting, layout.hashes_per_clock);
        time += 690.0;
        limits += u32::from(bench.passes_limits(&machine));
        let full = setting.mean_mhz()
            * layout.hashes_per_clock
            * 1e-6
            * (layout.chips() * layout.boards()) as f64;
        // What it sees: counts of 600 s at the usual ticket.
        let count = ths * 1e12 * 600.0 / nonce_hashes(layout.ticket_bits);
        let seen = ths * (1.0 + dice.normal() / count.max(1.0).sqrt());
        let hot = (0..layout.boards()).any(|b| {
            (0..layout.sensors.len()).any(|s| {
                machine
                    .sensor_c(b, s)
                    .is_some_and(|c| c > layout.hot_c.1.unwrap_or(75.0))
            })
        }) || machine.hottest_c() > layout.hot_c.0;
        let too_much = match aim {
            Aim::Watts(want) => watts > want,
            _ => watts > layout.power_w * layout.boards() as f64,
        };
        if !hot && !too_much {
            let worth = match aim {
                Aim::Watts(_) => seen,
                _ => seen / watts,
            };
            if best.is_none_or(|best| worth > best.0) {
                best = Some((worth, ths, watts));
            }
        }
        if hot || too_much {
            break;
        }
        if seen >= 0.94 * full {
            if from_below {
                from_below = false;
            }
            mhz += 25.0;
        } else {
            mv += layout.mv.1 * 20.0 / 1150.0;
            mhz -= 25.0;
            from_below = true;
        }
        if mhz > layout.clock_mhz.2 || mv > layout.mv.2 || mhz < layout.clock_mhz.0 {
            break;
        }
    }
    best.map_or((f64::NAN, f64::NAN, time, limits), |(_, ths, watts)| {
        (ths, watts, time, limits)
    })
}

/// Seconds from a restart until the tuner keeps the stored setting again.
pub fn restart(bench: &Bench, tuner: &Tuner, aim: Aim, seed: u64) -> f64 {
    let spec = bench.machine.spec();
    let mut again = Bench::new(
        &bench.layout.model,
        spec.quality,
        spec.seed,
        bench.machine.ambient_c(),
    );
    again.ruled_c = bench.ruled_c;
    let text = serde_json::to_string(&tuner.models()).unwrap();
    let saved = serde_json::from_str(&text).unwrap();
    let mut next = Tuner::new(again.layout.clone(), aim, Caps::default(), saved, seed + 1).unwrap();
    let mut kept = f64::NAN;
    for _ in 0..1800 {
        again.live(&mut next);
        if next.status().activity == autotune::Activity::Keeping {
            kept = again.now().as_secs_f64();
            break;
        }
    }
    if std::env::var_os("EXPLAIN").is_some() {
        while let Some(step) = next.poll_step() {
            println!(
                "R {:6.0} {} | {} | {}",
                step.at_s, step.hypothesis, step.evidence, step.decision
            );
        }
    }
    kept
}
