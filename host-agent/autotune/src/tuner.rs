//! The tuner as a state machine: readings and the time go in, orders and reasons come out. It measures at a setting until the
//! counts say enough, learns, moves where the aim is served better and no chip is likely to fail, and in the end keeps watch.

mod alarms;
mod answers;
mod calibrate;
mod counts;
mod course;
mod memory;
mod orders;
mod outlook;

use std::collections::VecDeque;
use std::time::Duration;

use crate::belief::{Belief, Count};
use crate::evidence::{Sprt, Steady};
use crate::layout::{Layout, LayoutError};
use crate::math::density;
use crate::plan::{Aim, Caps, Plan, Setting};
use crate::report::{BoardModel, Calibration, Command, Event, Observation, Step};

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
/// Length of the first window while keeping, each next one twice as long; the longest; and of one in which power is off.
const FIRST_KEEP_WINDOW: Duration = Duration::from_secs(100);
const KEEP_WINDOW: Duration = Duration::from_secs(600);
/// Length of a measurement that is to teach slope and spread.
const PROBE_WINDOW: Duration = Duration::from_secs(45);
const TRIM_WINDOW: Duration = Duration::from_secs(60);
/// Half-life of what was seen while keeping: ageing and seasons.
const HALF_LIFE_S: f64 = 12.0 * 3600.0;
/// No plan lets a chip fall below this margin with more than the probability that belongs to the quantile: 1 in 2000, because machines
/// have hundreds of chips. At zero half of a chip's work is lost; chips hang far below.
const LEAST_MARGIN: f64 = 0.3;
const QUANTILE: f64 = 3.3;
/// Share of the present voltage below which no step goes before tuning is complete.
const DOWN_AT_ONCE: f64 = 0.96;
/// Share of the slope's doubt that counts beside that.
const SLOPE_SHARE: f64 = 0.5;
/// False alarms of the watch on each chip, per decision; machines have hundreds of chips and decide for years.
const FALSE_ALARM: f64 = 1e-8;
/// A chip of which hardly anything comes is slowed by this factor at once, because so far below the threshold counts cannot say how
/// far; and by how much it may rise again with each window in which it does well.
const SLOWED: f64 = 0.85;
/// The same where a third to a half comes.
const SLOWED_LITTLE: f64 = 0.94;
const TRUSTED: f64 = 1.08;
const TRUSTED_LITTLE: f64 = 1.02;
/// A change must be confirmed by the voltage read back within this.
const VOLTAGE_TOLERANCE: f64 = 0.012;
/// Share of the voltage ordered that is enough to go on with when it does not come nearer.
const LEAST_VOLTAGE: f64 = 0.97;
/// A clock this near is the one that was ordered, MHz: half a step of the grid.
const NEAR_MHZ: f64 = 1.6;
const CONFIRM: Duration = Duration::from_secs(20);
/// Kelvins and seconds above the owner's bound on a temperature at which it is planned anew, and seconds without any temperature of
/// a board after which it is held.
const TOO_HOT_K: f64 = 0.5;
const TOO_HOT_S: f64 = 10.0;
const BLIND_S: f64 = 30.0;
/// Share above the owner's cap on power, and seconds of reading it, after which less is ordered at once.
const OVER: f64 = 1.004;
const OVER_S: f64 = 5.0;
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
    /// Highest clock that each chip is trusted with after it failed, MHz; it rises again while the chip does well.
    most_mhz: Vec<Vec<f64>>,
    silent: Vec<Vec<bool>>,
    rounds: u32,
    probes: u32,
    complete: bool,
    considered: Duration,
    air_c: (f64, f64),
    /// Rise of each sink over the air at rest, K per W of its board; empty while that was not seen.
    rest_k_per_w: Vec<Vec<f64>>,
    steady: Steady,
    is_steady: bool,
    power_factor: f64,
    sensors: Vec<Vec<SensorWatch>>,
    reason: String,
    ticket_low: bool,
    fans_held: bool,
    throttled_s: f64,
    /// Seconds for which a temperature has been above what the owner allows, and for which a board told none at all.
    too_hot_s: f64,
    blind_s: f64,
    heat_off_k: f64,
    regret: f64,
    /// Work, TH/s, and input power, W, promised of the setting in force.
    promised_total: (f64, f64),
    /// Aim or caps have changed while a setting was on its way; and the power of the last such change that was told.
    follow_again: bool,
    followed_w: Option<f64>,
    /// A chip has just failed: the voltage must not fall before all have been seen well.
    shaken: bool,
    /// Whether all chips did well at the factory's setting.
    factory_well: bool,
    /// Length of the present window while keeping.
    keep_window: Duration,
    /// What a wall meter told, and the mean of the power read lately as it came.
    calibration: Option<Calibration>,
    metered: Fading,
    /// Seconds spent on learning, and the share of it that is done; 1 once tuned.
    spent_s: f64,
    progress: f64,
    /// Whether anything is known of these boards beyond their profile.
    known: bool,
    seed: u64,
    /// Voltage ordered last, mV at the terminals of each board.
    ordered_mv: Option<Vec<f64>>,
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

/// A mean that forgets, with the time that it covers.
#[derive(Clone, Copy, Debug, Default)]
struct Fading {
    value: f64,
    seconds: f64,
}

impl Fading {
    /// Time over which it forgets, s.
    const MEMORY_S: f64 = 20.0;

    fn add(&mut self, value: f64, dt: f64) {
        if value.is_finite() && dt > 0.0 {
            let share = dt / self.seconds.min(Self::MEMORY_S).max(dt);
            self.value += share.min(1.0) * (value - self.value);
            self.seconds += dt;
        }
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
            most_mhz: vec![vec![f64::INFINITY; chips]; boards],
            silent: vec![vec![false; chips]; boards],
            rounds: 0,
            probes: 0,
            complete: false,
            considered: Duration::ZERO,
            air_c: (25.0, 8.0),
            rest_k_per_w: vec![Vec::new(); boards],
            steady: Steady::new(),
            is_steady: false,
            power_factor: 1.0,
            sensors: vec![Vec::new(); boards],
            reason: String::new(),
            ticket_low: false,
            fans_held: false,
            throttled_s: 0.0,
            too_hot_s: 0.0,
            blind_s: 0.0,
            heat_off_k: 0.0,
            regret: 1.0,
            promised_total: (0.0, 0.0),
            follow_again: false,
            followed_w: None,
            shaken: false,
            factory_well: false,
            keep_window: FIRST_KEEP_WINDOW,
            calibration: None,
            metered: Fading::default(),
            spent_s: 0.0,
            progress: 0.0,
            known: false,
            seed,
            ordered_mv: None,
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
        let mut corrected = seen.clone();
        if let Some(calibration) = self.calibration {
            corrected.watts = seen.watts.map(|watts| watts * calibration.factor);
        }
        let told = seen.watts;
        let seen = &corrected;
        if let Some((then, before)) = before {
            let dt = now.saturating_sub(then).as_secs_f64();
            if let Some(watts) = told {
                self.metered.add(watts, dt.min(60.0));
            }
            if self.learning() && seen.work && before.work {
                self.spent_s += dt.min(60.0);
            }
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
            let grown = |so_far: f64, is: bool| if is { so_far + dt.min(60.0) } else { 0.0 };
            self.too_hot_s = grown(self.too_hot_s, self.too_hot(seen));
            self.blind_s = grown(self.blind_s, self.blind(seen).is_some());
            if counting && usable && !throttled && self.in_force(seen) && self.in_force(&before) {
                self.count(dt, &before, seen);
            }
            if let Some(c) = self.mean_sensor(seen) {
                self.is_steady = self.steady.read(now, c);
            }
        }
        self.watch_sensors(seen);
        self.last = Some((now, corrected));
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
        self.progress = self.progress.max(self.share_done());
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
                } else if self.waited(2 * CONFIRM) {
                    match self.voltage_short(&seen) {
                        None => {
                            self.order_clocks(&seen);
                            self.enter(Phase::Arriving);
                        }
                        Some(_) if self.purpose == Purpose::Retreat => self.enter(Phase::Held),
                        Some((board, read)) => {
                            let why = format!(
                                "the voltage of board {board} does not come: {:.0} mV ordered, {read:.0} mV read",
                                self.setting.mv[board]
                            );
                            self.hold(&why, &seen);
                        }
                    }
                }
            }
            Phase::ClocksFirst => {
                if self.too_fast(&seen) {
                    if self.waited(CONFIRM) {
                        self.order_clocks(&seen);
                        self.enter(Phase::ClocksFirst);
                    }
                } else if self.clocks_there(&seen) || self.waited(CONFIRM) {
                    self.order_voltage();
                    self.enter(Phase::Arriving);
                }
            }
            Phase::Arriving => {
                if self.in_force(&seen) && self.voltage_there(&seen) || self.waited(2 * CONFIRM) {
                    self.clear_window();
                    if self.follow_again && self.complete && self.purpose == Purpose::Best {
                        self.follow();
                        return;
                    }
                    if std::mem::take(&mut self.follow_again) && self.passes_bounds(&self.caps) {
                        self.follow();
                        return;
                    }
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

    /// Changes aim and caps. What was learned stays. What the present setting would pass is followed at once whatever it does, or as soon
    /// as a change that is on its way is in force; the rest when a measurement ends. The same again changes nothing.
    pub fn set_aim(&mut self, aim: Aim, caps: Caps) {
        if !aim.is_sane() || (aim, caps) == (self.aim, self.caps) {
            return;
        }
        let before = std::mem::replace(&mut self.caps, caps);
        let same_kind = std::mem::discriminant(&aim) == std::mem::discriminant(&self.aim);
        self.aim = aim;
        if aim == Aim::Off {
            self.phase = Phase::Off;
            self.plan = None;
            self.commands.clear();
            return;
        }
        if !same_kind {
            self.plan = None;
        }
        match self.phase {
            Phase::Off => self.phase = Phase::Waiting,
            Phase::Waiting => {}
            Phase::Keeping => {
                self.complete = true;
                self.follow();
            }
            Phase::Measuring => {
                if self.passes_bounds(&before) {
                    if let Some((_, seen)) = self.last.clone()
                        && self.window_s >= LEAST_WINDOW.as_secs_f64()
                        && let Some(window) = self.take_window(&seen)
                    {
                        self.learn(window);
                    }
                    self.follow();
                }
            }
            Phase::Held => {
                if self.passes_bounds(&before) {
                    self.follow();
                    // What is wrong stays wrong.
                    self.purpose = Purpose::Retreat;
                }
            }
            Phase::VoltageFirst | Phase::ClocksFirst | Phase::Arriving => self.follow_again = true,
        }
    }

    /// Takes what is seen in force as its own setting, because somebody else set it: learns there next. For logs of what was, where
    /// nobody follows its orders.
    pub fn adopt(&mut self, seen: &Observation) {
        if self.phase == Phase::Off || !self.fits(seen) {
            return;
        }
        for (board, reading) in seen.boards.iter().enumerate() {
            if let Some(mv) = reading.mv.filter(|mv| mv.is_finite() && *mv > 0.0) {
                self.setting.mv[board] = mv;
            }
            for (slot, chip) in self.setting.mhz[board].iter_mut().zip(&reading.chips) {
                if chip.mhz.is_finite() && chip.mhz > 0.0 {
                    *slot = chip.mhz;
                }
            }
        }
        self.commands.clear();
        self.started = true;
        self.purpose = Purpose::Best;
        self.metered = Fading::default();
        self.promise(seen);
        self.clear_window();
        self.enter(Phase::Measuring);
    }

    /// The setting that is ordered.
    #[must_use]
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// Whether the setting in force passes the aim or the caps as they are now; `before` are those that held when it was chosen.
    fn passes_bounds(&self, before: &Caps) -> bool {
        let tighter = |now: Option<f64>, then: Option<f64>| match (now, then) {
            (Some(now), Some(then)) => now < then,
            (now, None) => now.is_some(),
            (None, Some(_)) => false,
        };
        self.promised_total.1 > 1.003 * self.most_watts()
            || tighter(self.caps.chip_c, before.chip_c)
            || tighter(self.caps.board_c, before.board_c)
            || tighter(self.caps.fan_percent, before.fan_percent)
            || tighter(self.caps.mv, before.mv)
    }

    /// Goes at once to what the model makes of the aim as it is now.
    fn follow(&mut self) {
        self.follow_again = false;
        if let Some((_, seen)) = self.last.clone()
            && self.belief.windows.is_empty()
            && self.in_force(&seen)
            && let (Some(read), Some(plants)) = (seen.watts, self.plants(&seen))
        {
            // Nothing was learned yet, but what is drawn here is seen.
            let (_, watts, _) = self.problem(&plants, LEAST_MARGIN).judge(&self.setting);
            let off = read / watts.max(1e-3);
            self.power_factor = (self.power_factor * off).clamp(0.7, 1.4);
        }
        let Some((_, seen)) = self.last.clone().filter(|(_, seen)| self.fits(seen)) else {
            return;
        };
        let most = self.most_watts();
        let plan = self.plan_from_afar(&seen);
        // A plan that is still above is followed only if it is what there is least of.
        let Some(plan) = plan.filter(|plan| plan.watts <= 1.02 * most || self.at_the_bottom(plan))
        else {
            if self.promised_total.1 > self.most_watts() {
                // Less power is asked for: at the lowest clocks every chip has more margin than now.
                let mut setting = self.setting.clone();
                let lowest = self.layout.on_grid(self.layout.clock_mhz.0);
                setting
                    .mhz
                    .iter_mut()
                    .flatten()
                    .for_each(|mhz| *mhz = lowest);
                self.complete = false;
                self.purpose = Purpose::Best;
                self.order(setting, &seen);
            }
            return;
        };
        // A ramp of many small changes is one step for people.
        let big = self
            .followed_w
            .is_none_or(|watts| (plan.watts / watts.max(1e-9) - 1.0).abs() > 0.05);
        if big {
            self.followed_w = Some(plan.watts);
            self.say(
                "aim or bounds have changed",
                format!("the model predicts {}", promise(&plan)),
                0.95,
                "move there",
            );
        }
        self.go(plan, Purpose::Best, &seen);
    }

    /// Whether a plan has the lowest clocks anyway.
    fn at_the_bottom(&self, plan: &Plan) -> bool {
        plan.setting.mean_mhz() < self.layout.clock_mhz.0 + 2.0 * self.layout.grid_mhz
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
