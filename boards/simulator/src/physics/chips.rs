//! The dies of one board: how they differ, how they share the voltage, what they draw and how much of their work is right.

use super::{
    normal::{draw, phi},
    spec::PhysicsSpec,
};
use crate::rng::{Rng, mix};

/// Voltage over nominal at which a die is strained.
const STRESS: f64 = 1.25;
/// Voltage over nominal at which a die breaks.
const BREAK: f64 = 1.6;
/// Ticks that a die survives it: one tick may be an artefact of orders that arrive chip by chip.
const BREAK_TICKS: u8 = 2;
/// Voltage over nominal below which a chip is deaf and forgets. Assumed.
const DEAF: f64 = 0.5;
/// Margin, in spreads, below which a chip delivers less than a fifth and may stop answering, and how likely that is per
/// minute. Assumed.
const HANG_BELOW: f64 = -0.8416;
const HANG_PER_MINUTE: f64 = 0.05;
/// Where a domain is more than this above the mean of its board, leakage grows e-fold over the second number, both shares of
/// the nominal voltage, and up to the third, a factor. Without it the domains of a board in reset would hang on the leakage of
/// unequal chips and those that leak least would break, which does not happen to real boards; a domain that stops in a running
/// board still breaks. Assumed.
const KNEE: f64 = 0.1;
const KNEE_SCALE: f64 = 0.2;
const MOST_STEEP: f64 = std::f64::consts::E;
/// Rounds of the search for the current; one is enough while no domain is above the knee.
const ROUNDS: usize = 60;
/// Wrong nonces per good one that no voltage cures.
const WRONG_FLOOR: f64 = 1e-4;
/// Fast chips leak more: e-fold for this threshold shift, share of the nominal voltage.
const LEAK_PER_SHIFT: f64 = 0.025;

/// What a chip is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ChipActivity {
    /// Hash clock, MHz; 0 when the PLL gives none or the chip is in reset.
    pub mhz: f64,
    /// Whether it hashes or idles at that clock.
    pub hashing: bool,
}

/// The truth about one die.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChipState {
    /// Voltage of its domain, mV.
    pub mv: f64,
    /// Die temperature, °C.
    pub celsius: f64,
    /// Highest die temperature so far, °C.
    pub highest_c: f64,
    /// Power, W.
    pub watts: f64,
    /// Share of its work that is right, 0..=1.
    pub delivered: f64,
    /// Wrong nonces per good one, at most 1e6.
    pub wrong: f64,
    /// Whether there is voltage enough for it to hear and remember anything.
    pub powered: bool,
    /// Whether it answers and passes on what others say: powered, not dead, not hung.
    pub alive: bool,
    /// Stopped answering for want of voltage; a power cycle helps.
    pub hung: bool,
    /// Broken for good.
    pub dead: bool,
    /// Its voltage has been above 1.25 times nominal.
    pub stressed: bool,
    /// Its temperature has been above the absolute limit.
    pub overheated: bool,
}

/// One die.
#[derive(Debug, Clone)]
pub(crate) struct Die {
    /// Switching conductance, S per MHz; quality included.
    k_dynamic: f64,
    /// Leakage conductance at 60 °C, S; quality included.
    k_leak: f64,
    /// Threshold at the nominal clock and 65 °C when new, mV.
    mu_mv: f64,
    /// How fast it ages compared with others.
    ageing: f64,
    /// Threshold shift by a fault, mV.
    pub(crate) weak_mv: f64,
    pub(crate) activity: ChipActivity,
    pub(crate) celsius: f64,
    highest_c: f64,
    /// Leakage conductance as warm as it is, S.
    leak: f64,
    /// Switching conductance as it works now, S.
    switching: f64,
    pub(crate) watts: f64,
    pub(crate) dead: bool,
    pub(crate) hung: bool,
    over_ticks: u8,
    stressed: bool,
    overheated: bool,
}

/// The electrical side of one board.
#[derive(Debug, Clone)]
pub(crate) struct Dies {
    pub(crate) dies: Vec<Die>,
    per_domain: usize,
    /// Switching and leakage conductance of each domain, S.
    conductances: Vec<(f64, f64)>,
    /// Voltage of each domain, mV.
    pub(crate) domain_mv: Vec<f64>,
    pub(crate) open: Vec<bool>,
    pub(crate) amps: f64,
    /// Power lost in the path, W.
    pub(crate) path_w: f64,
    age_shift_mv: f64,
}

impl Dies {
    pub(crate) fn new(spec: &PhysicsSpec, board: u16, celsius: f64) -> Self {
        let chip = &spec.chip;
        let volts = chip.nominal_mv / 1000.0;
        // Constants are published at the terminals; the die sees less by the nominal drop.
        let droop = spec.nominal_droop_mv();
        let to_die = volts / (volts - droop / 1000.0);
        let quality = &spec.quality;
        let dies = (0..spec.chips())
            .map(|index| {
                let mut rng = Rng::new(mix(
                    spec.seed,
                    0x00D1_E000 + u64::from(board),
                    u64::from(index),
                ));
                let shift = draw(&mut rng) * quality.sigma_q;
                let dynamic = 1.0 + draw(&mut rng) * quality.dynamic_spread;
                // Its mean is one: published constants are those of the average chip.
                let spread = (quality.sigma_q / LEAK_PER_SHIFT).hypot(quality.leak_spread);
                let leak = (draw(&mut rng) * quality.leak_spread
                    - shift / LEAK_PER_SHIFT
                    - 0.5 * spread * spread)
                    .exp();
                Die {
                    k_dynamic: chip.k_dynamic * to_die * dynamic.max(0.5),
                    k_leak: chip.k_leak * to_die * leak,
                    mu_mv: chip.mu_mv - droop + shift * chip.nominal_mv,
                    ageing: (1.0 + 0.2 * draw(&mut rng)).max(0.0),
                    weak_mv: 0.0,
                    activity: ChipActivity::default(),
                    celsius,
                    highest_c: celsius,
                    leak: 0.0,
                    switching: 0.0,
                    watts: 0.0,
                    dead: false,
                    hung: false,
                    over_ticks: 0,
                    stressed: false,
                    overheated: false,
                }
            })
            .collect();
        let domains = usize::from(spec.domains);
        let mut dies = Self {
            dies,
            per_domain: usize::from(spec.chips_per_domain),
            conductances: Vec::with_capacity(domains),
            domain_mv: vec![0.0; domains],
            open: vec![false; domains],
            amps: 0.0,
            path_w: 0.0,
            age_shift_mv: 0.0,
        };
        dies.set_age(spec);
        dies
    }

    pub(crate) fn set_age(&mut self, spec: &PhysicsSpec) {
        let thousands = spec.age_hours / 1000.0;
        self.age_shift_mv = spec.chip.ageing * spec.chip.nominal_mv * thousands.powf(0.2);
    }

    /// Shares `terminal_mv` among the domains at the temperatures as they are.
    pub(crate) fn share(&mut self, spec: &PhysicsSpec, terminal_mv: f64) {
        let volts = terminal_mv / 1000.0;
        if volts <= 0.0 || self.open.contains(&true) {
            self.domain_mv.fill(0.0);
            self.dies.iter_mut().for_each(|die| die.watts = 0.0);
            self.amps = 0.0;
            self.path_w = 0.0;
            return;
        }
        for die in &mut self.dies {
            die.conduct(spec);
        }
        self.conductances.clear();
        for dies in self.dies.chunks(self.per_domain) {
            let leak = dies.iter().map(|die| die.leak).sum();
            let switching = dies.iter().map(|die| die.switching).sum();
            self.conductances.push((switching, leak));
        }
        self.find_current(spec, volts);
        self.path_w = self.amps * self.amps * spec.path_ohm;
        for ((&mv, &(switching, leak)), dies) in self
            .domain_mv
            .iter()
            .zip(&self.conductances)
            .zip(self.dies.chunks_mut(self.per_domain))
        {
            let volts = mv / 1000.0;
            // The leakage that makes the current what it is.
            let steep = ((self.amps / volts.max(1e-9) - switching) / leak.max(1e-9)).max(0.0);
            for die in dies {
                die.watts = (die.switching + die.leak * steep) * volts * volts;
            }
        }
    }

    /// Finds the current at which domains and path take up `volts`, and the domains' voltages. More current always means
    /// more volts, so that the root is kept between two bounds.
    fn find_current(&mut self, spec: &PhysicsSpec, volts: f64) {
        let nominal = spec.chip.nominal_mv / 1000.0;
        let ohms = self
            .conductances
            .iter()
            .map(|(s, l)| 1.0 / (s + l))
            .sum::<f64>();
        // Leakage only ever grows beyond the knee, so that the current is at least this.
        let mut low = volts / (spec.path_ohm + ohms);
        let mut high = low * MOST_STEEP;
        let mut amps = low;
        for _ in 0..ROUNDS {
            let mean = (volts - amps * spec.path_ohm).max(0.0) / f64::from(spec.domains);
            let mut total = amps * spec.path_ohm;
            for (mv, &(switching, leak)) in self.domain_mv.iter_mut().zip(&self.conductances) {
                let v = domain_volts(amps, switching, leak, mean, nominal);
                *mv = 1000.0 * v;
                total += v;
            }
            self.amps = amps;
            if (total / volts - 1.0).abs() < 1e-9 || high - low < 1e-12 * high {
                break;
            }
            if total < volts {
                low = amps;
            } else {
                high = amps;
            }
            // Close to proportional; halving the bounds when that does not lead between them.
            let next = amps * volts / total;
            amps = if next > low && next < high {
                next
            } else {
                0.5 * (low + high)
            };
        }
    }

    /// What this tick's voltages and temperatures do to the dies for good. `dice` is uniform in 0..1 per chip.
    pub(crate) fn wear(&mut self, spec: &PhysicsSpec, dt: f64, dice: impl Fn(usize) -> f64) {
        let nominal = spec.chip.nominal_mv;
        for index in 0..self.dies.len() {
            let mv = self.domain_mv[index / self.per_domain];
            let margin = self.margin(spec, index);
            let die = &mut self.dies[index];
            die.note_temperature(spec);
            die.stressed |= mv > STRESS * nominal;
            die.over_ticks = if mv > BREAK * nominal {
                die.over_ticks.saturating_add(1)
            } else {
                0
            };
            die.dead |= die.over_ticks >= BREAK_TICKS;
            if mv < DEAF * nominal {
                die.hung = false;
            } else if die.activity.hashing && margin < HANG_BELOW {
                die.hung |= dice(index) < HANG_PER_MINUTE * dt / 60.0;
            }
        }
    }

    /// Whether a chip may hang at any moment, so that time must not be skipped.
    pub(crate) fn restless(&self, spec: &PhysicsSpec) -> bool {
        (0..self.dies.len()).any(|index| {
            let die = &self.dies[index];
            let over = self.domain_mv[index / self.per_domain] > BREAK * spec.chip.nominal_mv;
            let starved = die.activity.hashing
                && !die.hung
                && self.domain_mv[index / self.per_domain] > 0.0
                && self.margin(spec, index) < HANG_BELOW;
            !die.dead && (over || starved)
        })
    }

    pub(crate) fn state(&self, spec: &PhysicsSpec, index: usize) -> Option<ChipState> {
        let die = self.dies.get(index)?;
        let mv = self.domain_mv[index / self.per_domain];
        let powered = mv >= DEAF * spec.chip.nominal_mv;
        let delivered = self.delivered(spec, index);
        let wrong = spec.chip.wrong_share * (1.0 - delivered) / delivered.max(1e-7) + WRONG_FLOOR;
        Some(ChipState {
            mv,
            celsius: die.celsius,
            highest_c: die.highest_c,
            watts: die.watts,
            delivered,
            wrong: wrong.min(1e6),
            powered,
            alive: powered && !die.dead && !die.hung,
            hung: die.hung,
            dead: die.dead,
            stressed: die.stressed,
            overheated: die.overheated,
        })
    }

    /// Share of correct work of a chip at its clock, voltage and temperature; zero when dead or unfed.
    fn delivered(&self, spec: &PhysicsSpec, index: usize) -> f64 {
        if self.dies[index].dead || self.domain_mv[index / self.per_domain] <= 0.0 {
            return 0.0;
        }
        phi(self.margin(spec, index))
    }

    /// How far a chip's voltage is above its threshold, in spreads of its cores.
    fn margin(&self, spec: &PhysicsSpec, index: usize) -> f64 {
        let (chip, die) = (&spec.chip, &self.dies[index]);
        let threshold = die.mu_mv
            + die.weak_mv
            + self.age_shift_mv * die.ageing
            + chip.slope_mv_per_mhz * (die.activity.mhz - chip.nominal_mhz)
            + chip.warm_shift_per_k * chip.nominal_mv * (die.celsius - 65.0);
        (self.domain_mv[index / self.per_domain] - threshold) / chip.sigma_mv
    }
}

impl Die {
    /// Works out the conductances.
    fn conduct(&mut self, spec: &PhysicsSpec) {
        // Beyond 200 °C the exponential only describes a fire.
        let warm = ((self.celsius.min(200.0) - 60.0) / spec.chip.leak_scale_k).exp();
        let busy = match (self.dead, self.activity.hashing && !self.hung) {
            (true, _) => 0.0,
            (false, true) => 1.0,
            (false, false) => spec.chip.idle_share,
        };
        self.leak = self.k_leak * warm;
        self.switching = self.k_dynamic * self.activity.mhz * busy;
    }

    pub(crate) fn note_temperature(&mut self, spec: &PhysicsSpec) {
        self.highest_c = self.highest_c.max(self.celsius);
        self.overheated |= self.celsius > spec.thermal.damage_c;
        self.dead |= self.celsius > spec.thermal.death_c;
    }

    /// Forgets what its life has done to it so far, broken included.
    pub(crate) fn renew(&mut self) {
        self.dead = false;
        self.hung = false;
        self.over_ticks = 0;
    }
}

/// Voltage at which a domain passes `amps`, on a board whose domains have `mean` volts on average.
fn domain_volts(amps: f64, switching: f64, leak: f64, mean: f64, nominal: f64) -> f64 {
    let knee = mean + KNEE * nominal;
    let below = amps / (switching + leak);
    if below <= knee {
        return below;
    }
    let scale = KNEE_SCALE * nominal;
    let steepest = knee + scale * MOST_STEEP.ln();
    let beyond = amps / (switching + leak * MOST_STEEP);
    if beyond >= steepest {
        return beyond;
    }
    // Between the two the curve is convex; Newton from above stays above.
    let mut v = steepest;
    for _ in 0..20 {
        let grown = leak * ((v - knee) / scale).exp();
        let step = ((switching + grown) * v - amps) / (switching + grown * (1.0 + v / scale));
        v -= step;
        if step.abs() < 1e-12 * v {
            break;
        }
    }
    v
}
