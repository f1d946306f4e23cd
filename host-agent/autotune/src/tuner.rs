//! The tuner as a state machine: readings and the time go in, orders and reasons come out. It measures at a setting until the
//! counts say enough, learns, moves where the aim is served better and no chip is likely to fail, and in the end keeps watch.

use std::collections::VecDeque;
use std::time::Duration;

use crate::belief::{Belief, BoardWindow, Count, SHARED, Window};
use crate::evidence::{Sprt, Steady, Verdict};
use crate::layout::{Layout, LayoutError, Scope, nonce_hashes};
use crate::math::{density, phi, quantile};
use crate::plan::{Aim, Caps, Plan, Problem, Reach, Setting};
use crate::plant::Bounds;
use crate::report::{
    Activity, BoardModel, ChipModel, Command, Event, Explanation, Fitted, Observation, Prediction,
    Status, Step,
};

/// Explanations kept.
const MOST_STEPS: usize = 256;
/// Orders that wait at most; more than all chips of a machine.
const MOST_COMMANDS: usize = 80_000;
/// Time after a change whose counts are thrown away: nonces of the old setting are still on their way, dies warm within seconds.
const SETTLE: Duration = Duration::from_secs(4);
/// Least and greatest time of a measurement.
const LEAST_WINDOW: Duration = Duration::from_secs(15);
const MOST_WINDOW: Duration = Duration::from_secs(100);
/// On boards of few chips every chip has to speak for itself.
const MOST_WINDOW_FEW: Duration = Duration::from_secs(180);
/// How often the end of a measurement is considered.
const CONSIDER: Duration = Duration::from_secs(5);
/// Expected loss for want of knowledge at which measuring ends, share of the work.
const ENOUGH: f64 = 0.001;
/// Gain for which another move is worth it while tuning, and while keeping.
const WORTH: f64 = 0.0015;
const WORTH_KEEPING: f64 = 0.003;
/// Settings measured at most before keeping.
const MOST_ROUNDS: u32 = 14;
/// Deviation of power from the aim that is corrected.
const POWER_OFF: f64 = 0.0035;
/// Length of a window while keeping, and of one in which power is off.
const KEEP_WINDOW: Duration = Duration::from_secs(600);
const TRIM_WINDOW: Duration = Duration::from_secs(60);
/// Half-life of what was seen while keeping: ageing and seasons.
const HALF_LIFE_S: f64 = 12.0 * 3600.0;
/// No plan lets a chip fall below this margin with more than the probability that belongs to the quantile: 1 in 2000, because machines
/// have hundreds of chips. At zero half of a chip's work is lost; chips hang far below.
const LEAST_MARGIN: f64 = 0.3;
const QUANTILE: f64 = 3.3;
/// False alarms of the watch on each chip, per decision; machines have hundreds of chips and decide for years.
const FALSE_ALARM: f64 = 1e-8;
/// A change must be confirmed by the voltage read back within this.
const VOLTAGE_TOLERANCE: f64 = 0.012;
const CONFIRM: Duration = Duration::from_secs(20);
/// A sensor that shows the very same value so long although power changed by this share is stuck.
const STUCK: Duration = Duration::from_secs(150);
const STUCK_POWER: f64 = 0.06;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Off,
    Waiting,
    /// Voltage goes first; clocks follow.
    VoltageFirst,
    /// Clocks go first; voltage follows.
    ClocksFirst,
    /// The last order is out; waits until it is in force.
    Arriving,
    Measuring,
    Keeping,
    Held,
}

/// Why the setting in force is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// First look, at the factory's setting.
    Baseline,
    /// Quick look whether a stored model still holds.
    Check,
    /// The best setting as far as known.
    Best,
    /// A setting that teaches.
    Probe,
    /// Nothing to learn from: back at what is known to be good.
    Retreat,
}

/// The tuner of one machine. See the [crate](crate).
#[derive(Clone, Debug)]
pub struct Tuner {
    layout: Layout,
    aim: Aim,
    caps: Caps,
    belief: Belief,
    saved: Vec<BoardModel>,
    phase: Phase,
    purpose: Purpose,
    started: bool,
    now: Duration,
    since: Duration,
    last: Option<(Duration, Observation)>,
    /// Setting ordered, and the one in which all chips were last seen well.
    setting: Setting,
    good: Option<Setting>,
    plan: Option<Plan>,
    window: Vec<BoardCounts>,
    window_s: f64,
    watts: Mean,
    trim: Mean,
    trim_since: Duration,
    /// Share of its work that each chip is expected to deliver at the setting in force.
    promised: Vec<Vec<f64>>,
    /// Bound on the doubt of each chip at the setting in force, mV, where counts without loss prove more than the fit can say.
    proven_mv: Vec<Vec<f64>>,
    watch: Vec<Vec<Sprt>>,
    silent: Vec<Vec<bool>>,
    alarms: Vec<Vec<u8>>,
    rounds: u32,
    probes: u32,
    complete: bool,
    considered: Duration,
    air_c: (f64, f64),
    steady: Steady,
    is_steady: bool,
    power_factor: f64,
    sensors: Vec<Vec<SensorWatch>>,
    reason: String,
    ticket_low: bool,
    fans_held: bool,
    throttled_s: f64,
    heat_off_k: f64,
    regret: f64,
    seed: u64,
    commands: VecDeque<Command>,
    steps: VecDeque<Step>,
    history: VecDeque<Event>,
}

#[derive(Clone, Debug, Default)]
struct BoardCounts {
    chips: Vec<Count>,
    sensors: Vec<Mean>,
    chip_c: Mean,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    fn add(&mut self, value: f64, weight: f64) {
        if value.is_finite() {
            self.sum += value * weight;
            self.weight += weight;
        }
    }

    fn get(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

#[derive(Clone, Copy, Debug)]
struct SensorWatch {
    value: f64,
    since: Duration,
    watts: f64,
}

impl Tuner {
    /// A tuner for a machine. Models of boards that are not in it, and of other profiles, are left alone. `seed` breaks ties of
    /// what to try; the same inputs always give the same outputs.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the layout cannot be tuned.
    pub fn new(
        layout: Layout,
        aim: Aim,
        caps: Caps,
        saved: Vec<BoardModel>,
        seed: u64,
    ) -> Result<Self, LayoutError> {
        layout.check()?;
        let boards = layout.boards();
        let chips = layout.chips();
        let test = Sprt::new(0.5, FALSE_ALARM, 1e-3);
        let mut tuner = Self {
            belief: Belief::new(&layout),
            phase: if aim == Aim::Off || !aim.is_sane() {
                Phase::Off
            } else {
                Phase::Waiting
            },
            aim: if aim.is_sane() { aim } else { Aim::Off },
            caps,
            saved,
            purpose: Purpose::Baseline,
            started: false,
            now: Duration::ZERO,
            since: Duration::ZERO,
            last: None,
            setting: Setting::factory(&layout),
            good: None,
            plan: None,
            window: Vec::new(),
            window_s: 0.0,
            watts: Mean::default(),
            trim: Mean::default(),
            trim_since: Duration::ZERO,
            promised: vec![vec![0.9; chips]; boards],
            proven_mv: vec![vec![f64::INFINITY; chips]; boards],
            watch: vec![vec![test; chips]; boards],
            silent: vec![vec![false; chips]; boards],
            alarms: vec![vec![0; chips]; boards],
            rounds: 0,
            probes: 0,
            complete: false,
            considered: Duration::ZERO,
            air_c: (25.0, 8.0),
            steady: Steady::new(),
            is_steady: false,
            power_factor: 1.0,
            sensors: vec![Vec::new(); boards],
            reason: String::new(),
            ticket_low: false,
            fans_held: false,
            throttled_s: 0.0,
            heat_off_k: 0.0,
            regret: 1.0,
            seed,
            commands: VecDeque::new(),
            steps: VecDeque::new(),
            history: VecDeque::new(),
            layout,
        };
        tuner.clear_window();
        tuner.adopt_saved();
        Ok(tuner)
    }

    /// Takes a reading. Counters are compared with those of the reading before.
    pub fn observe(&mut self, now: Duration, seen: &Observation) {
        self.now = self.now.max(now);
        let before = self.last.take();
        if let Some((then, before)) = before {
            let dt = now.saturating_sub(then).as_secs_f64();
            let counting = matches!(self.phase, Phase::Measuring | Phase::Keeping)
                && now.saturating_sub(self.since) >= SETTLE
                && then.saturating_sub(self.since) + Duration::from_millis(1) >= SETTLE;
            let usable = dt > 0.0 && dt < 60.0 && seen.work && before.work && self.fits(seen);
            let throttled = seen.boards.iter().any(|board| board.throttled);
            self.throttled_s = if throttled {
                self.throttled_s + dt
            } else {
                0.0
            };
            if counting && usable && !throttled && self.in_force(seen) && self.in_force(&before) {
                self.count(dt, &before, seen);
            }
            if let Some(c) = self.mean_sensor(seen) {
                self.is_steady = self.steady.read(now, c);
            }
        }
        self.watch_sensors(seen);
        self.last = Some((now, seen.clone()));
    }

    /// Lets time pass: decides what is due.
    pub fn tick(&mut self, now: Duration) {
        self.now = self.now.max(now);
        let Some((_, seen)) = self.last.clone() else {
            return;
        };
        if self.phase == Phase::Off || !self.fits(&seen) {
            return;
        }
        let running = seen.boards.iter().all(|board| board.running);
        match self.phase {
            Phase::Off => {}
            Phase::Waiting => {
                if running {
                    self.begin();
                }
            }
            _ if !running => {
                self.phase = Phase::Waiting;
                self.reason = "boards have no power".into();
                self.commands.clear();
                self.clear_window();
            }
            Phase::VoltageFirst => {
                if self.voltage_there(&seen) {
                    self.order_clocks(&seen);
                    self.enter(Phase::Arriving);
                }
            }
            Phase::ClocksFirst => {
                if self.clocks_there(&seen) || self.waited(CONFIRM) {
                    self.order_voltage();
                    self.enter(Phase::Arriving);
                }
            }
            Phase::Arriving => {
                if self.in_force(&seen) && self.voltage_there(&seen) || self.waited(2 * CONFIRM) {
                    self.clear_window();
                    self.enter(
                        if self.purpose == Purpose::Retreat && !self.reason.is_empty() {
                            Phase::Held
                        } else if self.complete && self.purpose == Purpose::Best {
                            Phase::Keeping
                        } else {
                            Phase::Measuring
                        },
                    );
                }
            }
            Phase::Measuring => self.measure(&seen),
            Phase::Keeping => self.keep(&seen),
            Phase::Held => self.held(&seen),
        }
    }

    /// The next order, if there is one.
    pub fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The next explanation, if there is one. The oldest are dropped when nobody asks.
    pub fn poll_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Changes aim and caps. What was learned stays; the next plan follows them.
    pub fn set_aim(&mut self, aim: Aim, caps: Caps) {
        if !aim.is_sane() {
            return;
        }
        self.aim = aim;
        self.caps = caps;
        self.plan = None;
        if aim == Aim::Off {
            self.phase = Phase::Off;
            return;
        }
        match self.phase {
            Phase::Off => self.phase = Phase::Waiting,
            Phase::Keeping | Phase::Held => {
                self.reason.clear();
                self.complete = true;
                if let Some((_, seen)) = self.last.clone()
                    && let Some(plan) = self.plan_from_afar(&seen)
                {
                    self.say(
                        "another aim",
                        format!("the model predicts {}", promise(&plan)),
                        0.95,
                        "move there",
                    );
                    self.go(plan, Purpose::Best, &seen);
                }
            }
            _ => {}
        }
    }

    /// Where the tuner stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let plan = self.plan.as_ref();
        Status {
            activity: match self.phase {
                Phase::Off => Activity::Off,
                Phase::Waiting => Activity::Waiting(self.reason.clone()),
                Phase::VoltageFirst | Phase::ClocksFirst | Phase::Arriving => Activity::Moving,
                Phase::Measuring | Phase::Keeping if !self.has_work() => {
                    Activity::Waiting("no work from the pool".into())
                }
                Phase::Measuring => Activity::Measuring,
                Phase::Keeping => Activity::Keeping,
                Phase::Held => Activity::Held(self.reason.clone()),
            },
            aim: self.aim,
            reach: plan.map_or(Reach::Reached, |plan| plan.reach),
            rounds: self.rounds,
            mv: self.setting.mv.first().copied().unwrap_or(0.0),
            mhz: self.setting.mean_mhz(),
            ths: plan.map_or(0.0, |plan| plan.ths),
            watts: plan.map_or(0.0, |plan| plan.watts),
            regret: self.regret,
            silent: self
                .silent
                .iter()
                .enumerate()
                .flat_map(|(board, chips)| {
                    let silent = chips.iter().enumerate().filter(|(_, silent)| **silent);
                    silent.map(move |(chip, _)| (board, chip))
                })
                .collect(),
        }
    }

    /// The setting that is ordered.
    #[must_use]
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// What the boards would do under another aim, by what is known now; none before they were seen running.
    #[must_use]
    pub fn predict(&self, aim: Aim) -> Option<Prediction> {
        let (_, seen) = self.last.as_ref()?;
        let plants = self.plants(seen)?;
        let mut problem = self.problem(&plants, LEAST_MARGIN);
        problem.aim = aim;
        problem.price = None;
        let plan = if aim == Aim::Off {
            let setting = Setting::factory(&self.layout);
            let (ths, watts, outcomes) = problem.judge(&setting);
            Plan {
                setting,
                outcomes,
                ths,
                watts,
                price: 0.0,
                reach: Reach::Reached,
            }
        } else {
            self.solve_from_afar(&problem)?
        };
        let (rate_sd, power_sd) = self.belief.doubts(&plan.setting.mhz, &plan.outcomes);
        let rate = 1.96 * (rate_sd / plan.ths.max(1e-9)).hypot(0.006);
        let power = 1.96 * power_sd.hypot(0.008);
        let around = |value: f64, share: f64| [value, value * (1.0 - share), value * (1.0 + share)];
        Some(Prediction {
            mv: plan.setting.mv.first().copied().unwrap_or(0.0),
            mhz: plan.setting.mean_mhz(),
            ths: around(plan.ths, rate),
            watts: around(plan.watts, power),
            j_per_th: around(plan.watts / plan.ths.max(1e-9), rate.hypot(power)),
            chip_c: plan
                .outcomes
                .iter()
                .map(|o| o.hottest_c)
                .fold(f64::NEG_INFINITY, f64::max),
            reach: plan.reach,
        })
    }

    /// Why a chip sits where it sits.
    #[must_use]
    pub fn explain(&self, board: usize, chip: usize) -> Option<Explanation> {
        let mhz = *self.setting.mhz.get(board)?.get(chip)?;
        let board_mhz =
            self.setting.mhz[board].iter().sum::<f64>() / self.setting.mhz[board].len() as f64;
        let offset = self.belief.offset(board, chip);
        let plan = self.plan.as_ref()?;
        let margin = *plan.outcomes.get(board)?.margins.get(chip)?;
        let kind = if self.silent[board][chip] {
            "does not answer, so it gets the lowest clock"
        } else if offset.0 > 2.0 * offset.1 {
            "needs more voltage than the others, so it is slowed"
        } else if offset.0 < -2.0 * offset.1 {
            "works with less voltage than the others, so it is raised"
        } else {
            "cannot be told from the average chip yet"
        };
        Some(Explanation {
            mhz,
            board_mhz,
            offset_mv: offset,
            margin,
            delivered: phi(margin),
            words: format!(
                "chip {chip} of board {board} {kind}: threshold {:+.1} ± {:.1} mV against the mean, {mhz:.1} MHz against {board_mhz:.1}",
                offset.0, offset.1
            ),
        })
    }

    /// What is known of the boards with serial numbers, to be stored; the setting is the best one known to be good.
    #[must_use]
    pub fn models(&self) -> Vec<BoardModel> {
        let (shared, covariance) = self.belief.shared();
        let best = match (&self.good, self.purpose) {
            (_, Purpose::Best) if self.complete => &self.setting,
            (Some(good), _) => good,
            (None, _) => &self.setting,
        };
        let fitted: Vec<Fitted> = self
            .belief
            .named()
            .iter()
            .map(|&(name, value, sd)| Fitted {
                name: name.into(),
                value,
                sd,
            })
            .collect();
        let fan = self
            .last
            .as_ref()
            .and_then(|(_, seen)| seen.fan_percent)
            .unwrap_or(0.0);
        self.layout
            .serials
            .iter()
            .enumerate()
            .filter_map(|(board, serial)| {
                let chips = (0..self.layout.chips()).map(|chip| {
                    let (offset_mv, sd_mv) = self.belief.offset(board, chip);
                    ChipModel {
                        offset_mv,
                        sd_mv,
                        mhz: best.mhz[board][chip],
                    }
                });
                Some(BoardModel {
                    version: 1,
                    serial: serial.clone()?,
                    profile: self.layout.model.clone(),
                    aim: self.aim,
                    mv: best.mv[board],
                    fitted: fitted.clone(),
                    shared: shared.to_vec(),
                    covariance: covariance.iter().flatten().copied().collect(),
                    power_factor: self.power_factor,
                    conditions: (self.air_c.0, fan),
                    regret: self.regret,
                    complete: self.complete,
                    chips: chips.collect(),
                    history: self.history.iter().cloned().collect(),
                })
            })
            .collect()
    }

    fn begin(&mut self) {
        self.reason.clear();
        self.order_tickets(self.layout.measuring_bits(), true);
        if !self.fans_held {
            let duty = self.last.as_ref().and_then(|(_, seen)| seen.fan_percent);
            let most = self.caps.fan_percent.unwrap_or(100.0);
            self.commands
                .push_back(Command::FanHold(Some(duty.unwrap_or(most).min(most))));
            self.fans_held = true;
        }
        let Some((_, seen)) = self.last.clone() else {
            return;
        };
        let again = self.started;
        for (silent, alarms) in self
            .silent
            .iter_mut()
            .flatten()
            .zip(self.alarms.iter_mut().flatten())
        {
            (*silent, *alarms) = (false, 0);
        }
        let setting = if again {
            self.purpose = Purpose::Best;
            let plan = self.make_plan(&seen, LEAST_MARGIN);
            let setting = plan.as_ref().map(|plan| plan.setting.clone());
            self.plan = plan.or(self.plan.take());
            setting
                .or(self.good.clone())
                .unwrap_or_else(|| self.setting.clone())
        } else {
            self.setting.clone()
        };
        if !self.started && self.purpose == Purpose::Check {
            self.say(
                "the stored model still holds",
                "serial numbers agree".into(),
                0.5,
                "go to the stored setting and count for a short while",
            );
        } else if !self.started {
            self.say(
                "all chips work at the factory's setting",
                "nothing is known of these boards".into(),
                0.9,
                "measure there first",
            );
        }
        self.started = true;
        self.order(setting, &seen);
    }

    fn adopt_saved(&mut self) {
        let mut setting = Setting::factory(&self.layout);
        let mut found = 0;
        let mut complete = true;
        for (board, serial) in self.layout.serials.clone().iter().enumerate() {
            let model = self.saved.iter().find(|model| {
                Some(&model.serial) == serial.as_ref()
                    && model.profile == self.layout.model
                    && model.version == 1
                    && model.chips.len() == self.layout.chips()
                    && model.shared.len() == SHARED
                    && model.covariance.len() == SHARED * SHARED
            });
            let Some(model) = model.cloned() else {
                continue;
            };
            if found == 0 {
                let shared = std::array::from_fn(|i| model.shared[i]);
                let covariance = std::array::from_fn(|r| {
                    std::array::from_fn(|c| model.covariance[r * SHARED + c])
                });
                self.belief.resume(&shared, &covariance);
                if model.power_factor.is_finite() {
                    self.power_factor = model.power_factor.clamp(0.7, 1.4);
                }
            }
            let offsets: Vec<_> = model
                .chips
                .iter()
                .map(|chip| (chip.offset_mv, chip.sd_mv))
                .collect();
            self.belief.resume_chips(board, &offsets);
            setting.mv[board] = self.layout.on_step(model.mv);
            for (slot, chip) in setting.mhz[board].iter_mut().zip(&model.chips) {
                *slot = self.layout.on_grid(chip.mhz);
            }
            complete &= model.complete && model.aim == self.aim;
            found += 1;
            self.history
                .extend(model.history.iter().rev().take(16).rev().cloned());
        }
        let one_voltage = setting.mv.iter().all(|&mv| mv == setting.mv[0]);
        if found == self.layout.boards() && (one_voltage || self.layout.scope == Scope::Board) {
            self.setting = setting;
            self.purpose = Purpose::Check;
            self.complete = complete;
        } else if found > 0 {
            // Some boards are new: what is known stays, the setting is the safe one.
            self.say(
                "the boards are the ones that were tuned",
                format!("{found} of {} have a model", self.layout.boards()),
                1.0,
                "start at the factory's setting; known boards keep what was learned",
            );
        }
    }

    /// Throws away all that was learned and starts at the safe setting.
    fn forget(&mut self, why: String, seen: &Observation) {
        self.belief = Belief::new(&self.layout);
        self.power_factor = 1.0;
        self.complete = false;
        self.rounds = 0;
        self.probes = 0;
        self.good = None;
        self.plan = None;
        self.note("model forgotten");
        self.say(
            "these are the boards of the stored model",
            why,
            0.999_99,
            "forget the model; start at the factory's setting",
        );
        self.purpose = Purpose::Baseline;
        self.order_tickets(self.layout.measuring_bits(), true);
        self.order(Setting::factory(&self.layout), seen);
    }

    fn measure(&mut self, seen: &Observation) {
        if self.react(seen) {
            return;
        }
        if self.now.saturating_sub(self.considered) < CONSIDER {
            return;
        }
        self.considered = self.now;
        let most = if self.layout.chips() * self.layout.boards() <= 16 {
            MOST_WINDOW_FEW
        } else {
            MOST_WINDOW
        };
        let length = Duration::from_secs_f64(self.window_s);
        if length < LEAST_WINDOW {
            return;
        }
        let Some(window) = self.take_window(seen) else {
            return;
        };
        let enough = match self.purpose {
            Purpose::Baseline => {
                length >= 2 * LEAST_WINDOW && self.regret_with(&window) < 5.0 * ENOUGH
            }
            Purpose::Check => length >= LEAST_WINDOW,
            Purpose::Probe => length >= most / 2,
            Purpose::Best | Purpose::Retreat => self.regret_with(&window) < ENOUGH,
        };
        if !enough && length < most {
            return;
        }
        if self.purpose == Purpose::Check && !self.check(&window, seen) {
            return;
        }
        self.learn(window);
        self.decide(seen);
    }

    /// Whether the stored model explains the counts; if not it is forgotten.
    fn check(&mut self, window: &Window, seen: &Observation) -> bool {
        for (board, counts) in window.boards.iter().enumerate() {
            let (surprise, degrees) = self.belief.surprise(board, counts);
            // Mean of a chi-square over its degrees: six standard deviations above one.
            let limit =
                1.0 + 6.0 * (2.0 / degrees.max(1.0)).sqrt() + if degrees < 4.0 { 8.0 } else { 0.0 };
            if surprise > limit {
                self.forget(
                    format!("board {board}: counts are {surprise:.1} times as far from the model as chance allows (limit {limit:.1})"),
                    seen,
                );
                return false;
            }
            self.say(
                "the stored model still holds",
                format!("board {board}: counts agree with it, {surprise:.2} times chance over {degrees:.0} chips"),
                0.999,
                "keep the model",
            );
        }
        true
    }

    fn learn(&mut self, window: Window) {
        self.learn_heat(&window);
        self.belief.learn(window, &self.layout);
        self.anchor_power();
        self.prove();
        self.good = Some(self.setting.clone());
        self.rounds += 1;
        self.clear_window();
    }

    /// A chip that lost nothing in many nonces is far above its threshold, but not known how far: the likelihood is flat there and a
    /// fit's curvature sees nothing. What can be said is a bound: with so few wrong nonces the margin is at least this.
    fn prove(&mut self) {
        let Some(window) = self.belief.windows.last() else {
            return;
        };
        let (_, covariance) = self.belief.shared();
        // Two deviations less of the share of lost work that shows.
        let shows = self.belief.wrong_share() * (-2.0 * covariance[3][3].max(0.0).sqrt()).exp();
        let sigma = self.belief.sigma_mv();
        for (board, seen) in window.boards.iter().enumerate() {
            let outcome = self.belief.at_window(board, seen);
            for (chip, count) in seen.counts.iter().enumerate() {
                if count.expected < 50.0 || seen.dead[chip] {
                    continue;
                }
                let bound = |n: f64| n + QUANTILE * (n + 1.0).sqrt() + 3.0;
                let by_wrong = bound(count.wrong) / (shows * count.expected).max(1e-9);
                let by_rate =
                    (1.0 - count.valid / count.expected) + QUANTILE / count.expected.sqrt() + 0.01;
                let lost = by_wrong.min(by_rate).clamp(1e-6, 0.999);
                let least = quantile(1.0 - lost);
                let doubt = (outcome.margins[chip] - least).max(0.15) * sigma / QUANTILE;
                self.proven_mv[board][chip] = doubt;
            }
        }
    }

    /// Doubt of a chip's threshold at a clock, mV: by the fit, or what is proven here and what the way there adds.
    fn doubt_mv(&self, board: usize, chip: usize, mhz: f64, die_c: f64, z: f64) -> f64 {
        let sigma = self.belief.sigma_mv();
        let fitted = sigma
            * self
                .belief
                .margin_variance(board, chip, mhz, die_c, z)
                .max(0.0)
                .sqrt();
        let (shared, covariance) = self.belief.shared();
        let way = (mhz - self.setting.mhz[board][chip]).abs();
        let slope = shared[1].exp() * covariance[1][1].max(0.0).sqrt().min(1.0);
        fitted.min(self.proven_mv[board][chip].hypot(way * slope))
    }

    /// What remains between the picture's power and the reading, so that the picture is right where the machine is.
    fn anchor_power(&mut self) {
        let Some(window) = self.belief.windows.last() else {
            return;
        };
        let Some(read) = window.watts else { return };
        let terminals: f64 = window
            .boards
            .iter()
            .enumerate()
            .map(|(board, seen)| self.belief.at_window(board, seen).watts)
            .sum();
        let picture =
            terminals / self.layout.supply_efficiency(terminals) + self.layout.auxiliary_w;
        if picture > 0.0 {
            self.power_factor = (read / picture).clamp(0.8, 1.25);
        }
    }

    fn decide(&mut self, seen: &Observation) {
        let plants = self.plants(seen).unwrap_or_default();
        let Some((plan, gain)) = self.best_plan(seen, &plants) else {
            self.hold("no setting is safe by what is known", seen);
            return;
        };
        let measured = self.watts_now(seen);
        self.regret = self.regret_at(&plan);
        let evidence = format!(
            "expected {}; {:.2} % better than now; expected loss for want of knowledge {:.2} %",
            promise(&plan),
            100.0 * gain,
            100.0 * self.regret
        );
        let power_off = self.power_off(measured);
        let done = gain < WORTH && power_off.abs() < POWER_OFF || self.rounds >= MOST_ROUNDS;
        if self.purpose == Purpose::Check && self.complete {
            self.finish(plan, evidence, seen, gain >= WORTH_KEEPING);
            return;
        }
        if !done {
            self.say(
                "another setting serves the aim better",
                evidence,
                0.95,
                "move there and measure",
            );
            self.go(plan, Purpose::Best, seen);
            return;
        }
        if self.probes < 2 && self.rounds < MOST_ROUNDS && self.needs_probe() {
            self.probes += 1;
            // Down first or up first is a coin's matter.
            let down = (self.probes == 1) == (self.seed & 1 == 0);
            let factor = if down { 0.985 } else { 1.015 };
            let mv: Vec<f64> = plan.setting.mv.iter().map(|mv| mv * factor).collect();
            if let Some(setting) = self.probe(&plan, &mv, &plants)
                && setting != self.setting
            {
                self.say(
                    "slope and spread are known well enough to trust the optimum",
                    self.doubt_words(),
                    0.9,
                    "try a neighbour of the best setting",
                );
                self.purpose = Purpose::Probe;
                self.order(setting, seen);
                return;
            }
        }
        self.finish(plan, evidence, seen, true);
    }

    fn finish(&mut self, plan: Plan, evidence: String, seen: &Observation, go: bool) {
        self.complete = true;
        let decision = match plan.reach {
            Reach::Reached => "keep the best setting",
            Reach::TooLittlePower => "the aim is below the lowest setting; keep the lowest",
            Reach::TooMuchWork => "the aim is beyond what is safe; keep the nearest",
            Reach::TooMuchPower => "the boards cannot use that much; keep the highest",
            Reach::NoProfit => {
                "power costs more than any setting earns; keep the one that loses least"
            }
        };
        self.say(
            "this is the best setting",
            evidence,
            1.0 - self.regret.clamp(0.0, 1.0),
            decision,
        );
        self.note("tuned");
        self.order_tickets(self.layout.ticket_bits, false);
        if self.fans_held {
            self.commands.push_back(Command::FanHold(None));
            self.fans_held = false;
        }
        if go {
            self.go(plan, Purpose::Best, seen);
        } else {
            self.purpose = Purpose::Best;
            self.plan = Some(plan);
            self.clear_window();
            self.enter(Phase::Keeping);
        }
    }

    fn keep(&mut self, seen: &Observation) {
        if self.react(seen) {
            return;
        }
        if self.now.saturating_sub(self.considered) < CONSIDER {
            return;
        }
        self.considered = self.now;
        let length = Duration::from_secs_f64(self.window_s);
        let trim = self
            .trim
            .get()
            .filter(|_| self.trim.weight >= TRIM_WINDOW.as_secs_f64());
        let off = trim.map_or(0.0, |watts| self.power_off(Some(watts)));
        if length < KEEP_WINDOW && !(off.abs() > POWER_OFF && length >= TRIM_WINDOW) {
            if trim.is_some() {
                self.trim = Mean::default();
            }
            return;
        }
        let Some(window) = self.take_window(seen) else {
            return;
        };
        self.belief.fade(0.5_f64.powf(self.window_s / HALF_LIFE_S));
        self.learn(window);
        let plants = self.plants(seen).unwrap_or_default();
        let Some((plan, gain)) = self.best_plan(seen, &plants) else {
            return;
        };
        self.regret = self.regret_at(&plan);
        if gain > WORTH_KEEPING || off.abs() > POWER_OFF {
            self.say(
                "conditions have changed",
                format!(
                    "power is off by {:+.2} %, another setting is {:.2} % better",
                    100.0 * off,
                    100.0 * gain
                ),
                0.95,
                "small correction",
            );
            self.go(plan, Purpose::Best, seen);
        } else {
            self.plan = Some(Plan {
                setting: self.setting.clone(),
                ..plan
            });
        }
    }

    /// In safe waiting: goes on when what was wrong is gone.
    fn held(&mut self, seen: &Observation) {
        let stuck = self.stuck_sensor();
        let answers = self.silent.iter().flatten().all(|silent| !silent);
        if stuck.is_none() && answers && self.waited(Duration::from_secs(120)) && seen.work {
            self.reason.clear();
            self.say(
                "what was wrong is gone",
                "all chips and sensors answer".into(),
                0.9,
                "measure again",
            );
            self.purpose = Purpose::Best;
            self.clear_window();
            self.enter(Phase::Measuring);
            return;
        }
        if self.silent.iter().flatten().any(|silent| *silent) {
            self.hear();
        }
    }

    /// Chips that were silent and count again.
    fn hear(&mut self) {
        for (board, counts) in self.window.iter().enumerate() {
            for (chip, count) in counts.chips.iter().enumerate() {
                if self.silent[board][chip] && count.valid > 20.0 {
                    self.silent[board][chip] = false;
                    self.alarms[board][chip] = 0;
                }
            }
        }
    }

    /// Alarms that cannot wait for the end of a window. True when one was acted upon.
    fn react(&mut self, seen: &Observation) -> bool {
        if let Some((board, sensor)) = self.stuck_sensor() {
            self.hold(&format!("sensor {sensor} of board {board} is stuck"), seen);
            return true;
        }
        if self.throttled_s > 60.0 {
            self.throttled_s = 0.0;
            self.heat_off_k += 2.0;
            self.say(
                "the boards stay below the point of throttling",
                "guard or throttle held them back for a minute".into(),
                0.99,
                "plan for 2 K less",
            );
            if let Some(plan) = self.make_plan(seen, LEAST_MARGIN) {
                self.go(plan, Purpose::Best, seen);
                return true;
            }
        }
        let mut changed = Vec::new();
        for (board, tests) in self.watch.iter().enumerate() {
            for (chip, test) in tests.iter().enumerate() {
                if test.llr() >= test.limit() && !self.silent[board][chip] {
                    changed.push((board, chip));
                }
            }
        }
        if changed.is_empty() {
            return false;
        }
        let (board, chip) = changed[0];
        let evidence = format!(
            "{} chip(s), first chip {chip} of board {board}: less than half of what was expected",
            changed.len()
        );
        for &(board, chip) in &changed {
            self.alarms[board][chip] = self.alarms[board][chip].saturating_add(1);
            self.watch[board][chip].reset();
        }
        // Under a stored model an alarm says first of all that the model may be another board's.
        if self.purpose == Purpose::Check
            && let Some(window) = self.take_window(seen)
            && !self.check(&window, seen)
        {
            return true;
        }
        let mute: Vec<Vec<bool>> = self
            .window
            .iter()
            .map(|board| {
                board
                    .chips
                    .iter()
                    .map(|c| c.expected > 8.0 && c.valid < 0.03 * c.expected)
                    .collect()
            })
            .collect();
        let broken = mute.iter().enumerate().find_map(|(board, chips)| {
            chips
                .iter()
                .position(|mute| *mute)
                .map(|chip| (board, chip, chips.iter().filter(|m| **m).count()))
        });
        if let Some((board, chip, count)) = broken {
            // Those behind the first are silent because it does not pass anything on: they prove nothing about themselves.
            for (silent, mute) in self.silent.iter_mut().zip(&mute) {
                let first = mute.iter().position(|mute| *mute);
                for (chip, (silent, &mute)) in silent.iter_mut().zip(mute).enumerate() {
                    *silent = mute && (*silent || Some(chip) != first);
                }
            }
            if let Some(window) = self.take_window(seen) {
                let good = self.good.clone();
                self.learn(window);
                self.good = good;
            }
            for (silent, mute) in self.silent.iter_mut().zip(&mute) {
                silent.copy_from_slice(mute);
            }
            let words = format!(
                "{count} chip(s) of board {board} from chip {chip} on do not answer; the chain has to be started again"
            );
            self.note("chip silent");
            self.say(
                "all chips answer",
                evidence,
                1.0 - FALSE_ALARM,
                "hold a safe setting",
            );
            self.hold(&words, seen);
            return true;
        }
        if let Some(window) = self.take_window(seen) {
            let good = self.good.clone();
            self.learn(window);
            self.good = good;
        }
        self.complete = false;
        match self.good.clone().filter(|good| *good != self.setting) {
            Some(back) => {
                self.say(
                    "the setting is safe for all chips",
                    evidence,
                    1.0 - FALSE_ALARM,
                    "back out at once; learn from it",
                );
                self.purpose = Purpose::Retreat;
                self.order(back, seen);
            }
            None => {
                self.say(
                    "the setting is safe for all chips",
                    evidence,
                    1.0 - FALSE_ALARM,
                    "learn from it at once",
                );
                self.decide(seen);
            }
        }
        true
    }

    /// Goes to the best setting that is known to be good and stays there.
    fn hold(&mut self, why: &str, seen: &Observation) {
        self.reason = why.to_owned();
        self.say(
            "tuning can go on",
            why.to_owned(),
            0.99,
            "hold the best setting known to be safe",
        );
        self.note(why);
        let mut setting = self
            .good
            .clone()
            .unwrap_or_else(|| Setting::factory(&self.layout));
        // With a chip gone its domain takes more of the voltage.
        if self.silent.iter().flatten().any(|silent| *silent)
            && let Some(plants) = self.plants(seen)
        {
            let usual = self.layout.mv.1 / self.layout.domains as f64;
            let worst = plants
                .iter()
                .enumerate()
                .flat_map(|(board, plant)| {
                    plant
                        .outcome(setting.mv[board], &setting.mhz[board])
                        .domain_mv
                })
                .fold(0.0, f64::max);
            if worst > 1.18 * usual {
                setting
                    .mv
                    .iter_mut()
                    .for_each(|mv| *mv = self.layout.on_step(self.layout.mv.0));
                let lowest = self.layout.on_grid(self.layout.clock_mhz.0);
                setting
                    .mhz
                    .iter_mut()
                    .flatten()
                    .for_each(|mhz| *mhz = lowest);
            }
        }
        self.order_tickets(self.layout.ticket_bits, false);
        self.purpose = Purpose::Retreat;
        self.order(setting, seen);
    }

    fn go(&mut self, plan: Plan, purpose: Purpose, seen: &Observation) {
        self.purpose = purpose;
        let setting = plan.setting.clone();
        self.plan = Some(plan);
        self.order(setting, seen);
    }

    fn make_plan(&self, seen: &Observation, least_margin: f64) -> Option<Plan> {
        let mut plants = self.plants(seen)?;
        let problem = self.problem(&plants, least_margin);
        let plan = problem.solve(&self.setting)?;
        // Doubt belongs to the place where it would run; once more with that.
        let mut grown = false;
        for (board, outcome) in plan.outcomes.iter().enumerate() {
            for chip in 0..outcome.margins.len() {
                let mhz = plan.setting.mhz[board][chip];
                let doubt =
                    self.doubt_mv(board, chip, mhz, outcome.die_c[chip], outcome.margins[chip]);
                grown |= doubt > 1.05 * plants[board].doubt_mv[chip];
                plants[board].doubt_mv[chip] = doubt;
            }
        }
        if !grown || self.margins_hold(&plan, &plants, least_margin) {
            return Some(plan);
        }
        let mut problem = self.problem(&plants, least_margin);
        problem.price = Some(plan.price);
        problem.solve(&self.setting)
    }

    fn plan_from_afar(&self, seen: &Observation) -> Option<Plan> {
        let plants = self.plants(seen)?;
        self.solve_from_afar(&self.problem(&plants, LEAST_MARGIN))
    }

    /// The best plan of several beginnings: a far goal may lie behind a hollow.
    fn solve_from_afar(&self, problem: &Problem) -> Option<Plan> {
        let merit = |plan: &Plan| match problem.aim {
            Aim::Watts(_) | Aim::Off => plan.ths,
            Aim::Hashrate(want) => {
                plan.ths.min(want) / want - 1e-3 * plan.watts / self.layout.power_w
            }
            Aim::Efficiency => plan.ths / plan.watts.max(1e-9),
            Aim::Profit {
                price_per_kwh,
                revenue_per_ths_day,
            } => plan.ths * revenue_per_ths_day - plan.watts * 0.024 * price_per_kwh,
        };
        let (low, usual, _) = self.layout.clock_mhz;
        let mid = 0.5 * (low + usual);
        let mid_mv = self
            .layout
            .on_step(self.layout.curve_mv(mid) * self.layout.domains as f64);
        [
            self.setting.clone(),
            Setting::factory(&self.layout),
            Setting::uniform(&self.layout, mid_mv, self.layout.on_grid(mid)),
        ]
        .iter()
        .filter_map(|start| problem.solve(start))
        .max_by(|a, b| merit(a).total_cmp(&merit(b)))
    }

    /// The plan and how much better it is than the setting in force; where the search ends worse than it began, it begins elsewhere.
    fn best_plan(&self, seen: &Observation, plants: &[crate::Plant]) -> Option<(Plan, f64)> {
        let first = self.make_plan(seen, LEAST_MARGIN).map(|plan| {
            let gain = self.gain(&plan, plants);
            (plan, gain)
        });
        if first.as_ref().is_some_and(|(_, gain)| *gain > -0.001) {
            return first;
        }
        let mut problem = self.problem(plants, LEAST_MARGIN);
        problem.price = None;
        let second = problem.solve(&Setting::factory(&self.layout)).map(|plan| {
            let gain = self.gain(&plan, plants);
            (plan, gain)
        });
        match (first, second) {
            (Some(a), Some(b)) => Some(if a.1 > b.1 { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    fn margins_hold(&self, plan: &Plan, plants: &[crate::Plant], least: f64) -> bool {
        plan.outcomes.iter().zip(plants).all(|(outcome, plant)| {
            outcome.margins.iter().enumerate().all(|(chip, z)| {
                plant.dead[chip] || z - QUANTILE * plant.doubt_mv[chip] / plant.sigma_mv >= least
            })
        })
    }

    fn problem<'a>(&'a self, plants: &'a [crate::Plant], least_margin: f64) -> Problem<'a> {
        let mut caps = self.caps;
        caps.chip_c = Some(
            caps.chip_c
                .unwrap_or(self.layout.hot_c.0)
                .min(self.layout.hot_c.0)
                - self.heat_off_k,
        );
        if let Some(hot) = self.layout.hot_c.1 {
            caps.board_c = Some(caps.board_c.unwrap_or(hot).min(hot) - self.heat_off_k);
        }
        Problem {
            layout: &self.layout,
            plants,
            aim: self.aim,
            caps,
            mv: (self.layout.on_step(self.layout.mv.0), self.most_mv()),
            bounds: Bounds {
                mhz: (
                    self.layout.on_grid(self.layout.clock_mhz.0),
                    self.layout.on_grid(self.layout.clock_mhz.2),
                ),
                least_margin,
                quantiles: QUANTILE,
            },
            power_factor: self.power_factor,
            price: self
                .plan
                .as_ref()
                .map(|plan| plan.price)
                .filter(|price| *price > 0.0),
        }
    }

    fn most_mv(&self) -> f64 {
        self.caps
            .mv
            .unwrap_or(f64::MAX)
            .min(self.layout.mv.2)
            .max(self.layout.mv.0)
    }

    /// Boards as they are pictured now, with heat as it is now and would change with power.
    fn plants(&self, seen: &Observation) -> Option<Vec<crate::Plant>> {
        (0..self.layout.boards())
            .map(|board| {
                let sinks = self.sinks_now(board, seen)?;
                let flat = sinks.iter().map(|&c| (c, 0.0)).collect();
                let here = self.belief.plant(board, flat, &self.silent[board]);
                let mhz: Vec<f64> = seen.boards[board]
                    .chips
                    .iter()
                    .map(|chip| chip.mhz)
                    .collect();
                let mv = seen.boards[board].mv.unwrap_or(self.setting.mv[board]);
                let watts = here.outcome(mv, &mhz).watts.max(1e-3);
                let usual = self.layout.nominal_ths * self.layout.nominal_j_per_th;
                let rising = sinks
                    .iter()
                    .map(|&c| {
                        // A board without load tells nothing of what load would do.
                        let slope = if watts > 0.3 * usual {
                            ((c - self.air_c.0) / watts).max(3.0 / usual)
                        } else {
                            35.0 / usual
                        };
                        (c - slope * watts, slope)
                    })
                    .collect();
                let mut plant = self.belief.plant(board, rising, &self.silent[board]);
                let outcome = here.outcome(mv, &mhz);
                for (chip, &mhz) in mhz.iter().enumerate().take(plant.doubt_mv.len()) {
                    plant.doubt_mv[chip] =
                        self.doubt_mv(board, chip, mhz, outcome.die_c[chip], outcome.margins[chip]);
                }
                Some(plant)
            })
            .collect()
    }

    fn probe(&self, plan: &Plan, mv: &[f64], plants: &[crate::Plant]) -> Option<Setting> {
        self.problem(plants, LEAST_MARGIN)
            .probe(&plan.setting, mv, plan.price)
    }

    /// How much better a plan is than the setting in force, as a share of the work, by the picture.
    fn gain(&self, plan: &Plan, plants: &[crate::Plant]) -> f64 {
        let problem = self.problem(plants, LEAST_MARGIN);
        let (ths, watts, outcomes) = problem.judge(&self.setting);
        let unsafe_now = outcomes.iter().zip(plants).any(|(outcome, plant)| {
            outcome.margins.iter().enumerate().any(|(chip, z)| {
                !plant.dead[chip]
                    && z - QUANTILE * plant.doubt_mv[chip] / plant.sigma_mv < LEAST_MARGIN - 0.3
            })
        });
        if unsafe_now {
            return 1.0;
        }
        let cap_passed = match self.aim {
            Aim::Watts(want) => watts > want * (1.0 + 2.0 * POWER_OFF),
            _ => self.caps.watts.is_some_and(|cap| watts > cap),
        };
        if cap_passed {
            return 1.0;
        }
        let per_watt = match self.aim {
            Aim::Efficiency => plan.ths / plan.watts.max(1e-9),
            _ => plan.price,
        };
        ((plan.ths - ths) - per_watt * (plan.watts - watts)) / plan.ths.max(1e-9)
    }

    fn needs_probe(&self) -> bool {
        let (_, covariance) = self.belief.shared();
        covariance[1][1].sqrt() > 0.12 || covariance[2][2].sqrt() > 0.08
    }

    fn doubt_words(&self) -> String {
        let (_, covariance) = self.belief.shared();
        format!(
            "slope ± {:.0} %, spread of cores ± {:.0} %",
            100.0 * covariance[1][1].max(0.0).sqrt(),
            100.0 * covariance[2][2].max(0.0).sqrt()
        )
    }

    /// Expected loss at a plan for want of knowledge: the work is a flat top, so doubt costs by its square.
    fn regret_at(&self, plan: &Plan) -> f64 {
        let mut lost = 0.0;
        for (board, outcome) in plan.outcomes.iter().enumerate() {
            for (chip, &z) in outcome.margins.iter().enumerate() {
                if self.silent[board][chip] {
                    continue;
                }
                let mhz = plan.setting.mhz[board][chip];
                let variance =
                    self.belief
                        .margin_variance(board, chip, mhz, outcome.die_c[chip], z);
                lost += mhz * self.layout.hashes_per_clock * 1e-6 * flat_top(z) * variance;
            }
        }
        lost / plan.ths.max(1e-9)
    }

    /// The same if the window were learned, without learning it: each chip's information is added to what is known.
    fn regret_with(&self, window: &Window) -> f64 {
        let (mut lost, mut all) = (0.0, 0.0);
        let wrong = self.belief.wrong_share();
        for (board, seen) in window.boards.iter().enumerate() {
            let outcome = self.belief.at_window(board, seen);
            for (chip, count) in seen.counts.iter().enumerate() {
                if seen.dead[chip] {
                    continue;
                }
                let z = outcome.margins[chip].clamp(-3.0, 4.0);
                let eta = phi(z);
                let bad = wrong * (1.0 - eta) + 1e-4;
                let information = count.expected
                    * density(z).powi(2)
                    * (1.0 / eta.max(0.01) + wrong * wrong / bad);
                let variance = self.belief.margin_variance(
                    board,
                    chip,
                    seen.mhz[chip],
                    outcome.die_c[chip],
                    z,
                );
                let after = 1.0 / (1.0 / variance.max(1e-9) + information);
                lost += seen.mhz[chip] * flat_top(z) * after;
                all += seen.mhz[chip] * eta;
            }
        }
        lost / f64::max(all, 1e-9)
    }

    fn power_off(&self, watts: Option<f64>) -> f64 {
        match (self.aim, watts, &self.plan) {
            (Aim::Watts(want), Some(watts), Some(plan)) if plan.reach == Reach::Reached => {
                let aimed = want.min(self.caps.watts.unwrap_or(f64::MAX));
                // What a cap of heat or range forbids is not a deviation.
                if plan.watts < 0.99 * aimed && watts < aimed {
                    0.0
                } else {
                    watts / aimed - 1.0
                }
            }
            _ => 0.0,
        }
    }

    fn watts_now(&self, seen: &Observation) -> Option<f64> {
        self.belief
            .windows
            .last()
            .and_then(|window| window.watts)
            .or(seen.watts)
    }

    /// Orders a setting: upward the voltage goes first, downward the clocks.
    fn order(&mut self, setting: Setting, seen: &Observation) {
        let up = setting
            .mv
            .iter()
            .zip(&self.setting.mv)
            .any(|(new, old)| new > old)
            || !self.voltage_known(seen);
        self.setting = setting;
        self.promise(seen);
        self.proven_mv
            .iter_mut()
            .flatten()
            .for_each(|mv| *mv = f64::INFINITY);
        self.clear_window();
        if up {
            self.order_voltage();
            self.enter(Phase::VoltageFirst);
        } else {
            self.order_clocks(seen);
            self.enter(Phase::ClocksFirst);
        }
    }

    /// What every chip is expected to deliver at the setting in force.
    fn promise(&mut self, seen: &Observation) {
        let Some(plants) = self.plants(seen) else {
            return;
        };
        let (_, _, outcomes) = self.problem(&plants, LEAST_MARGIN).judge(&self.setting);
        for (shares, outcome) in self.promised.iter_mut().zip(&outcomes) {
            for (share, &z) in shares.iter_mut().zip(&outcome.margins) {
                *share = phi(z);
            }
        }
    }

    fn voltage_known(&self, seen: &Observation) -> bool {
        seen.boards
            .iter()
            .zip(&self.setting.mv)
            .all(|(board, &mv)| {
                board
                    .mv
                    .is_some_and(|read| (read / mv - 1.0).abs() < VOLTAGE_TOLERANCE)
            })
    }

    fn order_voltage(&mut self) {
        let groups = match self.layout.scope {
            Scope::Machine => 1,
            Scope::Board => self.layout.boards(),
        };
        for group in 0..groups {
            let mv = self.setting.mv[group] / self.layout.mv_per_setting.max(1e-9);
            self.push(Command::Voltage {
                group,
                mv: mv.round().clamp(0.0, 1e6) as u32,
            });
        }
    }

    fn order_clocks(&mut self, seen: &Observation) {
        for board in 0..self.layout.boards() {
            let wanted = self.setting.mhz[board].clone();
            let first = wanted[0];
            if wanted.iter().all(|&mhz| mhz == first) {
                self.push(Command::Clock { board, mhz: first });
                continue;
            }
            for (chip, mhz) in wanted.into_iter().enumerate() {
                let now = seen.boards[board]
                    .chips
                    .get(chip)
                    .map_or(0.0, |chip| chip.mhz);
                if (now - mhz).abs() > 0.01 {
                    self.push(Command::ChipClock { board, chip, mhz });
                }
            }
        }
    }

    fn order_tickets(&mut self, zero_bits: u8, low: bool) {
        if self.ticket_low != low {
            self.ticket_low = low;
            for board in 0..self.layout.boards() {
                self.push(Command::Ticket { board, zero_bits });
            }
        }
    }

    fn push(&mut self, command: Command) {
        if self.commands.len() < MOST_COMMANDS {
            self.commands.push_back(command);
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = self.now;
    }

    fn waited(&self, time: Duration) -> bool {
        self.now.saturating_sub(self.since) >= time
    }

    fn voltage_there(&self, seen: &Observation) -> bool {
        let read_back = seen.boards.iter().all(|board| board.mv.is_some());
        if read_back {
            self.voltage_known(seen) && self.waited(Duration::from_secs(1))
        } else {
            self.waited(Duration::from_secs(3))
        }
    }

    fn clocks_there(&self, seen: &Observation) -> bool {
        seen.boards
            .iter()
            .zip(&self.setting.mhz)
            .all(|(board, wanted)| {
                board
                    .chips
                    .iter()
                    .zip(wanted)
                    .all(|(chip, mhz)| (chip.mhz - mhz).abs() < 1.6)
            })
    }

    fn in_force(&self, seen: &Observation) -> bool {
        self.clocks_there(seen) && seen.boards.iter().all(|board| board.running)
    }

    fn fits(&self, seen: &Observation) -> bool {
        seen.boards.len() == self.layout.boards()
            && seen
                .boards
                .iter()
                .all(|board| board.chips.len() == self.layout.chips())
    }

    fn has_work(&self) -> bool {
        self.last.as_ref().is_none_or(|(_, seen)| seen.work)
    }

    fn count(&mut self, dt: f64, before: &Observation, seen: &Observation) {
        self.window_s += dt;
        if let Some(watts) = seen.watts {
            self.watts.add(watts, dt);
            self.trim.add(watts, dt);
        }
        for (board, (old, new)) in before.boards.iter().zip(&seen.boards).enumerate() {
            if old.ticket_bits != new.ticket_bits {
                continue;
            }
            let counts = &mut self.window[board];
            for (chip, (old, new)) in old.chips.iter().zip(&new.chips).enumerate() {
                if (old.mhz - new.mhz).abs() > 0.01
                    || new.valid < old.valid
                    || new.wrong < old.wrong
                {
                    continue;
                }
                let hashes = new.mhz * 1e6 * self.layout.hashes_per_clock * dt;
                let expected = hashes / nonce_hashes(seen.boards[board].ticket_bits);
                let valid = (new.valid - old.valid) as f64;
                let slot = &mut counts.chips[chip];
                slot.valid += valid;
                slot.wrong += (new.wrong - old.wrong) as f64;
                slot.expected += expected;
                let share = self.promised[board][chip];
                let verdict =
                    self.watch[board][chip].count(valid, expected * share.clamp(0.1, 1.0));
                if verdict == Verdict::Well {
                    self.alarms[board][chip] = 0;
                }
            }
            for (mean, value) in counts.sensors.iter_mut().zip(&new.board_c) {
                if let Some(c) = value {
                    mean.add(*c, dt);
                }
            }
            if let Some(c) = new.chip_c {
                counts.chip_c.add(c, dt);
            }
        }
    }

    fn clear_window(&mut self) {
        let (boards, chips) = (self.layout.boards(), self.layout.chips());
        let empty = BoardCounts {
            chips: vec![Count::default(); chips],
            sensors: vec![Mean::default(); self.layout.sensors.len()],
            chip_c: Mean::default(),
        };
        self.window = vec![empty; boards];
        self.window_s = 0.0;
        self.watts = Mean::default();
        self.trim = Mean::default();
        self.trim_since = self.now;
        self.considered = self.now;
        for test in self.watch.iter_mut().flatten() {
            test.reset();
        }
    }

    /// The counts so far as evidence; none while there are none.
    fn take_window(&self, seen: &Observation) -> Option<Window> {
        if self.window_s < 2.0 {
            return None;
        }
        let boards = self
            .window
            .iter()
            .enumerate()
            .map(|(board, counts)| {
                let sensors: Vec<Option<f64>> =
                    counts.sensors.iter().map(|mean| mean.get()).collect();
                Some(BoardWindow {
                    mv: seen.boards[board].mv.unwrap_or(self.setting.mv[board]),
                    mhz: seen.boards[board]
                        .chips
                        .iter()
                        .map(|chip| chip.mhz)
                        .collect(),
                    sink_c: self.sinks(&sensors, counts.chip_c.get())?,
                    counts: counts.chips.clone(),
                    dead: self.silent[board].clone(),
                })
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Window {
            boards,
            watts: self.watts.get(),
            weight: 1.0,
        })
    }

    fn sinks_now(&self, board: usize, seen: &Observation) -> Option<Vec<f64>> {
        self.sinks(&seen.boards[board].board_c, seen.boards[board].chip_c)
    }

    /// Sink of each domain from the sensors: straight lines between them and beyond.
    fn sinks(&self, sensors: &[Option<f64>], chip_c: Option<f64>) -> Option<Vec<f64>> {
        let mut known: Vec<(f64, f64)> = self
            .layout
            .sensors
            .iter()
            .zip(sensors)
            .filter_map(|(&place, c)| c.filter(|c| c.is_finite()).map(|c| (place, c)))
            .collect();
        known.sort_by(|a, b| a.0.total_cmp(&b.0));
        let domains = self.layout.domains;
        let at = |place: f64| match known.as_slice() {
            [] => chip_c,
            [(_, c)] => Some(*c),
            [first, .., last] => {
                let share = (place - first.0) / (last.0 - first.0).max(0.05);
                Some(first.1 + share.clamp(-1.0, 2.0) * (last.1 - first.1))
            }
        };
        (0..domains)
            .map(|domain| at((domain as f64 + 0.5) / domains as f64))
            .collect()
    }

    fn mean_sensor(&self, seen: &Observation) -> Option<f64> {
        let mut mean = Mean::default();
        for board in &seen.boards {
            for c in board.board_c.iter().flatten().chain(board.chip_c.iter()) {
                mean.add(*c, 1.0);
            }
        }
        mean.get()
    }

    /// Learns the temperature of the air from two settings of different power, both at rest.
    fn learn_heat(&mut self, window: &Window) {
        if !self.is_steady {
            return;
        }
        let point = |window: &Window| {
            let c: f64 = window.boards.iter().flat_map(|b| &b.sink_c).sum::<f64>();
            let n = window
                .boards
                .iter()
                .map(|b| b.sink_c.len())
                .sum::<usize>()
                .max(1);
            window.watts.map(|watts| (watts, c / n as f64))
        };
        let Some((watts, c)) = point(window) else {
            return;
        };
        for before in &self.belief.windows {
            let Some((w, t)) = point(before) else {
                continue;
            };
            let share = (watts / w.max(1.0) - 1.0).abs();
            if share < 0.08 {
                continue;
            }
            let slope = (c - t) / (watts - w);
            let air = c - slope * watts;
            let sd = 1.0 / share;
            let variance = self.air_c.1 * self.air_c.1;
            let gain = variance / (variance + sd * sd);
            if slope > 0.0 && (-30.0..60.0).contains(&air) {
                self.air_c.0 += gain * (air - self.air_c.0);
                self.air_c.1 = (variance * (1.0 - gain)).sqrt().max(2.0);
            }
        }
    }

    fn watch_sensors(&mut self, seen: &Observation) {
        let now = self.now;
        let watts = seen.watts.unwrap_or(0.0);
        for (board, watches) in seen.boards.iter().zip(&mut self.sensors) {
            let values: Vec<f64> = board
                .board_c
                .iter()
                .chain(std::iter::once(&board.chip_c))
                .map(|c| c.unwrap_or(f64::NAN))
                .collect();
            watches.resize(
                values.len(),
                SensorWatch {
                    value: f64::NAN,
                    since: now,
                    watts,
                },
            );
            for (watch, value) in watches.iter_mut().zip(values) {
                if watch.value != value {
                    *watch = SensorWatch {
                        value,
                        since: now,
                        watts,
                    };
                }
            }
        }
    }

    /// A sensor that does not follow a change of power: board and sensor.
    fn stuck_sensor(&self) -> Option<(usize, usize)> {
        let (_, seen) = self.last.as_ref()?;
        let watts = seen.watts?;
        self.sensors
            .iter()
            .enumerate()
            .find_map(|(board, watches)| {
                let stuck = watches.iter().position(|watch| {
                    watch.value.is_finite()
                        && watch.watts > 0.0
                        && self.now.saturating_sub(watch.since) > STUCK
                        && (watts / watch.watts - 1.0).abs() > STUCK_POWER
                });
                stuck.map(|sensor| (board, sensor))
            })
    }

    fn say(&mut self, hypothesis: &str, evidence: String, confidence: f64, decision: &str) {
        if self.steps.len() >= MOST_STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(Step {
            at_s: self.now.as_secs_f64(),
            hypothesis: hypothesis.to_owned(),
            evidence,
            confidence,
            decision: decision.to_owned(),
        });
    }

    fn note(&mut self, what: &str) {
        if self.history.len() >= 32 {
            self.history.pop_front();
        }
        self.history.push_back(Event {
            at_s: self.now.as_secs_f64(),
            what: what.to_owned(),
        });
    }
}

/// Loss of work per variance of the margin, as a share: half the curvature of the normal integral, with a floor where it is straight.
fn flat_top(z: f64) -> f64 {
    0.5 * density(z) * z.max(0.5)
}

fn promise(plan: &Plan) -> String {
    let mv = plan.setting.mv.first().copied().unwrap_or(0.0);
    format!(
        "{:.2} TH/s at {:.1} W ({:.2} J/TH) with {mv:.0} mV and {:.1} MHz on average",
        plan.ths,
        plan.watts,
        plan.watts / plan.ths.max(1e-9),
        plan.setting.mean_mhz()
    )
}
