//! What is believed about these very chips, with doubt: shared constants of the silicon, one threshold offset per chip. Learned
//! from windows of counts by a Laplace fit: the most likely values, and the curvature there as covariance. The covariance has the
//! shape of an arrow, few shared constants and many chips, so that a fit of hundreds of chips costs milliseconds.
//!
//! Priors are what is published about the board: its curve, its nominal power, the usual spread between chips.

use crate::layout::{Layout, Scope};
use crate::math::{Square, density, dot, inverse, phi, quadratic, times};
use crate::plant::{Outcome, Plant};

/// Shared constants: threshold, mV; ln of its slope; ln of its spread over cores; ln of the share of lost work that comes back
/// wrong; its rise with temperature, mV/K; ln of switching power; ln of leakage.
pub(crate) const SHARED: usize = 7;
const THRESHOLD: usize = 0;
const SLOPE: usize = 1;
const SIGMA: usize = 2;
const WRONG: usize = 3;
const WARM: usize = 4;
const SWITCHING: usize = 5;
const LEAKAGE: usize = 6;

/// Wrong nonces per good one that healthy chips have: of order 0.01 % in logs of factory firmware.
const WRONG_FLOOR: f64 = 1e-4;
/// What counts cannot tell although Poisson would: gaps between jobs, temperatures only roughly known. Shares.
const RATE_ROUGHNESS: f64 = 0.004;
const WRONG_ROUGHNESS: f64 = 0.05;
/// Roughness of a power reading, share.
const POWER_ROUGHNESS: f64 = 0.004;
/// Least and greatest spread between chips of a board that is believed, share of the nominal voltage.
const SPREAD: (f64, f64) = (0.003, 0.03);
/// Spread of the cores in a chip, share of the nominal voltage.
const CORE_SPREAD: f64 = 0.034;
/// Where it starts: between a usual and a poor board.
const SPREAD_AT_FIRST: f64 = 0.008;
const ROUNDS: usize = 12;
/// Windows kept; older ones go first.
const MOST_WINDOWS: usize = 14;

/// What one chip did in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count {
    /// Nonces that met the ticket.
    pub(crate) valid: f64,
    /// Nonces that did not.
    pub(crate) wrong: f64,
    /// Nonces expected of a chip without loss.
    pub(crate) expected: f64,
}

/// One board in a window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BoardWindow {
    pub(crate) mv: f64,
    pub(crate) mhz: Vec<f64>,
    /// Sink, or die where only dies tell, per domain, °C.
    pub(crate) sink_c: Vec<f64>,
    pub(crate) counts: Vec<Count>,
    pub(crate) dead: Vec<bool>,
}

/// What was seen while nothing was changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    pub(crate) boards: Vec<BoardWindow>,
    /// Mean input power of the machine, W.
    pub(crate) watts: Option<f64>,
    /// How much it still counts, 0..=1.
    pub(crate) weight: f64,
}

/// One chip's offset of the threshold, in spreads of its cores. In this unit the offsets say nothing about the spread; in volts a fit
/// would make the spread small only to have small offsets.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Chip {
    offset: f64,
    prior: f64,
    /// Precision of the prior; None: the spread of the board.
    prior_precision: Option<f64>,
    /// Curvature by the offset, and with the shared constants.
    own: f64,
    cross: [f64; SHARED],
}

/// The belief about a machine.
#[derive(Clone, Debug)]
pub(crate) struct Belief {
    nominal_mv: f64,
    reference_mhz: f64,
    path_ohm: f64,
    die_k_per_w: f64,
    k_switching: f64,
    k_leakage: f64,
    per_domain: usize,
    hashes_per_clock: f64,
    prior: [f64; SHARED],
    prior_precision: Square<SHARED>,
    shared: [f64; SHARED],
    covariance: Square<SHARED>,
    chips: Vec<Vec<Chip>>,
    spread: f64,
    pub(crate) windows: Vec<Window>,
}

impl Belief {
    pub(crate) fn new(layout: &Layout) -> Self {
        let domains = layout.domains as f64;
        let reference_mhz = layout.clock_mhz.1;
        let terminal = layout.mv.1 / domains;
        let watts = prior_board_w(layout);
        let amps = watts / (layout.mv.1 / 1000.0);
        // Published: 0.5 to 1 mΩ on boards of machines; 40 to 50 mV between regulator and die of a Bitaxe.
        let path_ohm = match layout.scope {
            Scope::Machine => 0.000_75,
            Scope::Board => 0.04 * terminal / 1000.0 / amps.max(1.0),
        };
        let droop = amps * path_ohm * 1000.0 / domains;
        let volts = (terminal - droop) / 1000.0;
        let chip_w = watts / layout.chips() as f64;
        // 14 % leakage at about 67 °C, the middle of what is inferred for the chips.
        let k_switching = 0.86 * chip_w / (reference_mhz * volts * volts);
        let k_leakage = 0.14 * chip_w / (volts * volts) * (-7.0_f64 / 40.0).exp();
        let sigma = CORE_SPREAD * terminal;
        let shared = [
            layout.curve_mv(reference_mhz) - droop - 2.3 * sigma,
            curve_slope(layout).ln(),
            sigma.ln(),
            0.25_f64.ln(),
            0.000_15 * terminal,
            0.0,
            0.0,
        ];
        let sd = [
            0.025 * terminal,
            0.6,
            0.2,
            0.7,
            0.000_25 * terminal,
            0.07,
            0.5,
        ];
        let prior_precision = std::array::from_fn(|i| {
            std::array::from_fn(|j| if i == j { 1.0 / (sd[i] * sd[i]) } else { 0.0 })
        });
        let chip = Chip {
            offset: 0.0,
            prior: 0.0,
            prior_precision: None,
            own: 1.0,
            cross: [0.0; SHARED],
        };
        let mut belief = Self {
            nominal_mv: terminal,
            reference_mhz,
            path_ohm,
            die_k_per_w: if layout.sensors.is_empty() {
                0.0
            } else {
                layout.die_over_board_k / chip_w.max(1e-3)
            },
            k_switching,
            k_leakage,
            per_domain: layout.per_domain,
            hashes_per_clock: layout.hashes_per_clock,
            prior: shared,
            covariance: inverse(&prior_precision).unwrap_or([[0.0; SHARED]; SHARED]),
            prior_precision,
            shared,
            chips: vec![vec![chip; layout.chips()]; layout.boards()],
            spread: SPREAD_AT_FIRST / CORE_SPREAD,
            windows: Vec::new(),
        };
        belief.forget_counts();
        belief
    }

    /// Takes over what was learned before; doubt grows, because boards age and rooms change.
    pub(crate) fn resume(&mut self, shared: &[f64; SHARED], covariance: &Square<SHARED>) {
        let mut wider = *covariance;
        let drift = [0.003 * self.nominal_mv, 0.05, 0.03, 0.1, 1e-9, 0.01, 0.05];
        for (i, row) in wider.iter_mut().enumerate() {
            row[i] += drift[i] * drift[i];
        }
        let sane = shared.iter().all(|value| value.is_finite());
        if let Some(precision) = inverse(&wider).filter(|_| sane) {
            self.prior = *shared;
            self.shared = *shared;
            self.prior_precision = precision;
            self.covariance = wider;
        }
    }

    /// The same for a board's chips: offset and standard deviation, mV.
    pub(crate) fn resume_chips(&mut self, board: usize, offsets: &[(f64, f64)]) {
        let drift = 0.001 * self.nominal_mv;
        let sigma = self.sigma_mv();
        for (chip, &(offset, sd)) in self.chips[board].iter_mut().zip(offsets) {
            if offset.is_finite() && sd.is_finite() {
                chip.offset = offset / sigma;
                chip.prior = offset / sigma;
                chip.prior_precision = Some(sigma * sigma / (sd * sd + drift * drift));
            }
        }
        self.forget_counts();
    }

    fn forget_counts(&mut self) {
        let spread = 1.0 / (self.spread * self.spread);
        for chip in self.chips.iter_mut().flatten() {
            chip.own = chip.prior_precision.unwrap_or(spread);
            chip.cross = [0.0; SHARED];
        }
    }

    pub(crate) fn shared(&self) -> ([f64; SHARED], Square<SHARED>) {
        (self.shared, self.covariance)
    }

    /// Offset and standard deviation of a chip against the mean of its machine, mV.
    pub(crate) fn offset(&self, board: usize, chip: usize) -> (f64, f64) {
        let chip = &self.chips[board][chip];
        let pull: [f64; SHARED] = std::array::from_fn(|i| chip.cross[i] / chip.own);
        let variance = 1.0 / chip.own + quadratic(&self.covariance, &pull);
        let sigma = self.sigma_mv();
        (sigma * chip.offset, sigma * variance.sqrt())
    }

    /// Spread of the thresholds between chips, mV.
    pub(crate) fn spread_mv(&self) -> f64 {
        self.spread * self.sigma_mv()
    }

    /// Whether stored shared constants can be those of such a board: within eight deviations of what the profile lets expect.
    pub(crate) fn plausible(&self, shared: &[f64]) -> bool {
        shared
            .iter()
            .zip(&self.prior)
            .enumerate()
            .all(|(i, (value, prior))| {
                let precision = self.prior_precision[i][i];
                value.is_finite() && (value - prior).powi(2) * precision < 64.0
            })
    }

    pub(crate) fn sigma_mv(&self) -> f64 {
        self.shared[SIGMA].exp()
    }

    /// Share of lost work that comes back wrong.
    pub(crate) fn wrong_share(&self) -> f64 {
        self.shared[WRONG].exp().min(1.0)
    }

    /// Named shared values with standard deviations, for people and files.
    pub(crate) fn named(&self) -> [(&'static str, f64, f64); SHARED] {
        let sd = |i: usize| self.covariance[i][i].max(0.0).sqrt();
        let grown = |i: usize, unit: f64| {
            (
                unit * self.shared[i].exp(),
                unit * self.shared[i].exp() * sd(i),
            )
        };
        let pair = |name, (value, sd)| (name, value, sd);
        [
            ("threshold_mv", self.shared[THRESHOLD], sd(THRESHOLD)),
            pair("slope_mv_per_mhz", grown(SLOPE, 1.0)),
            pair("core_spread_mv", grown(SIGMA, 1.0)),
            pair("wrong_share", grown(WRONG, 1.0)),
            ("warm_mv_per_k", self.shared[WARM], sd(WARM)),
            pair("switching_w_per_mhz_v2", grown(SWITCHING, self.k_switching)),
            pair("leakage_w_per_v2", grown(LEAKAGE, self.k_leakage)),
        ]
    }

    /// A board with the most likely numbers; doubt is that of where its counts were taken.
    pub(crate) fn plant(&self, board: usize, sinks: Vec<(f64, f64)>, dead: &[bool]) -> Plant {
        let chips = &self.chips[board];
        let count = chips.len();
        Plant {
            per_domain: self.per_domain,
            hashes_per_clock: self.hashes_per_clock,
            switching: vec![self.k_switching * self.shared[SWITCHING].exp(); count],
            leakage: vec![self.k_leakage * self.shared[LEAKAGE].exp(); count],
            leak_scale_k: 40.0,
            threshold_mv: chips
                .iter()
                .map(|chip| self.shared[THRESHOLD] + self.sigma_mv() * chip.offset)
                .collect(),
            reference_mhz: self.reference_mhz,
            slope: self.shared[SLOPE].exp(),
            sigma_mv: self.sigma_mv(),
            warm_mv_per_k: self.shared[WARM],
            path_ohm: self.path_ohm,
            die_k_per_w: self.die_k_per_w,
            sinks,
            dead: dead.to_vec(),
            doubt_mv: (0..count).map(|chip| self.offset(board, chip).1).collect(),
        }
    }

    /// Variance of a chip's margin, in spreads, at a clock, temperature and margin.
    pub(crate) fn margin_variance(
        &self,
        board: usize,
        chip: usize,
        mhz: f64,
        die_c: f64,
        z: f64,
    ) -> f64 {
        let u = self.margin_lever(board, chip, mhz, die_c, z);
        quadratic(&self.covariance, &u) + 1.0 / self.chips[board][chip].own
    }

    /// How a chip's margin answers to the shared constants, its offset following.
    fn margin_lever(
        &self,
        board: usize,
        chip: usize,
        mhz: f64,
        die_c: f64,
        z: f64,
    ) -> [f64; SHARED] {
        let chip = &self.chips[board][chip];
        let mut lever = self.lever(mhz, die_c, z + chip.offset);
        for (slot, cross) in lever.iter_mut().zip(&chip.cross) {
            *slot += cross / chip.own;
        }
        lever
    }

    fn lever(&self, mhz: f64, die_c: f64, z: f64) -> [f64; SHARED] {
        let sigma = self.sigma_mv();
        let slope = self.shared[SLOPE].exp();
        let mut lever = [0.0; SHARED];
        lever[THRESHOLD] = -1.0 / sigma;
        lever[SLOPE] = -slope * (mhz - self.reference_mhz) / sigma;
        lever[SIGMA] = -z;
        lever[WARM] = -(die_c - 65.0) / sigma;
        lever
    }

    /// Standard deviation of a rate, TH/s, and its relative one of power, at outcomes of the boards.
    pub(crate) fn doubts(&self, mhz: &[Vec<f64>], outcomes: &[Outcome]) -> (f64, f64) {
        let scale = self.hashes_per_clock * 1e-6;
        let mut shared = [0.0; SHARED];
        let mut own = 0.0;
        let (mut watts, mut leak) = (0.0, 0.0);
        for (board, outcome) in outcomes.iter().enumerate() {
            watts += outcome.watts;
            leak += outcome.leak_w;
            for (chip, &z) in outcome.margins.iter().enumerate() {
                let weight = scale * mhz[board][chip] * density(z);
                let u = self.margin_lever(board, chip, mhz[board][chip], outcome.die_c[chip], z);
                for (slot, value) in shared.iter_mut().zip(&u) {
                    *slot += weight * value;
                }
                own += weight * weight / self.chips[board][chip].own;
            }
        }
        let mut power = [0.0; SHARED];
        let leak_share = leak / watts.max(1e-9);
        power[SWITCHING] = 1.0 - leak_share;
        power[LEAKAGE] = leak_share;
        (
            (quadratic(&self.covariance, &shared) + own).max(0.0).sqrt(),
            quadratic(&self.covariance, &power).max(0.0).sqrt(),
        )
    }

    /// Takes in a window; the oldest goes when there are too many.
    pub(crate) fn learn(&mut self, window: Window, layout: &Layout) {
        if self.windows.len() >= MOST_WINDOWS {
            self.windows.remove(0);
        }
        self.windows.push(window);
        self.fit(layout);
    }

    /// Lets all windows count less; for time that passed.
    pub(crate) fn fade(&mut self, keep: f64) {
        for window in &mut self.windows {
            window.weight *= keep;
        }
        self.windows.retain(|window| window.weight > 0.02);
    }

    /// Square of surprise per degree of freedom, and degrees, of a board's counts in a window, before it is learned: about one if
    /// the belief holds. The doubt of the belief counts as well.
    pub(crate) fn surprise(&self, board: usize, window: &BoardWindow) -> (f64, f64) {
        let outcome = self.at_window(board, window);
        let (mut sum, mut degrees) = (0.0, 0.0);
        for (chip, count) in window.counts.iter().enumerate() {
            if count.expected < 30.0 || window.dead[chip] {
                continue;
            }
            let z = outcome.margins[chip];
            let expected = count.expected * phi(z);
            let slope = count.expected * density(z);
            let doubt = self.margin_variance(board, chip, window.mhz[chip], outcome.die_c[chip], z);
            let variance =
                expected.max(1.0) + (0.01 * count.expected).powi(2) + slope * slope * doubt;
            sum += (count.valid - expected).powi(2) / variance;
            degrees += 1.0;
        }
        (sum / f64::max(degrees, 1.0), degrees)
    }

    pub(crate) fn at_window(&self, board: usize, window: &BoardWindow) -> Outcome {
        let sinks = window.sink_c.iter().map(|&c| (c, 0.0)).collect();
        self.plant(board, sinks, &window.dead)
            .outcome(window.mv, &window.mhz)
    }

    /// Finds the most likely values for all windows, and their doubt.
    pub(crate) fn fit(&mut self, layout: &Layout) {
        let mut best = f64::INFINITY;
        let mut from = self.point();
        for round in 0..ROUNDS {
            let here = self.point();
            let (cost, change) = self.step(layout);
            if cost > best + 1e-6 * best.abs() + 1e-3 {
                // Too far: half way back.
                self.place_between(&from, &here);
                continue;
            }
            best = cost;
            from = here;
            if change < 0.01 {
                break;
            }
            if round % 4 == 3 {
                self.estimate_spread();
                best = f64::INFINITY;
            }
        }
        self.estimate_spread();
        // Curvatures of the place where it ended; the place itself must not be worse than the best one.
        let here = self.point();
        let (cost, _) = self.step(layout);
        let place = if cost > best + 1e-2 * best.abs() + 10.0 {
            from
        } else {
            here
        };
        self.place_between(&place, &place);
    }

    fn point(&self) -> ([f64; SHARED], Vec<Vec<f64>>) {
        let offsets = |chips: &Vec<Chip>| chips.iter().map(|chip| chip.offset).collect();
        (self.shared, self.chips.iter().map(offsets).collect())
    }

    fn place_between(
        &mut self,
        a: &([f64; SHARED], Vec<Vec<f64>>),
        b: &([f64; SHARED], Vec<Vec<f64>>),
    ) {
        self.shared = std::array::from_fn(|i| 0.5 * (a.0[i] + b.0[i]));
        for (board, chips) in self.chips.iter_mut().enumerate() {
            for (index, chip) in chips.iter_mut().enumerate() {
                chip.offset = 0.5 * (a.1[board][index] + b.1[board][index]);
            }
        }
    }

    /// One damped Gauss-Newton step: the cost where it began, and the largest change in units of the cores' spread.
    #[allow(clippy::needless_range_loop)]
    fn step(&mut self, layout: &Layout) -> (f64, f64) {
        let sigma = self.sigma_mv();
        let spread = 1.0 / (self.spread * self.spread);
        let from_prior: [f64; SHARED] = std::array::from_fn(|i| self.prior[i] - self.shared[i]);
        let mut a = self.prior_precision;
        let mut g = times(&self.prior_precision, &from_prior);
        let mut cost = 0.5 * dot(&from_prior, &g);
        let mut chip_g: Vec<Vec<f64>> = Vec::with_capacity(self.chips.len());
        for chips in &mut self.chips {
            let mut pulls = Vec::with_capacity(chips.len());
            for chip in chips {
                chip.own = chip.prior_precision.unwrap_or(spread);
                chip.cross = [0.0; SHARED];
                let off = chip.prior - chip.offset;
                cost += 0.5 * chip.own * off * off;
                pulls.push(chip.own * off);
            }
            chip_g.push(pulls);
        }
        let wrong_share = self.wrong_share();
        let windows = std::mem::take(&mut self.windows);
        for window in &windows {
            let (mut watts, mut leak_w) = (0.0, 0.0);
            for (board, seen) in window.boards.iter().enumerate() {
                let outcome = self.at_window(board, seen);
                watts += outcome.watts;
                leak_w += outcome.leak_w;
                for (chip, count) in seen.counts.iter().enumerate() {
                    if count.expected < 1.0 || seen.dead[chip] {
                        continue;
                    }
                    let z = outcome.margins[chip].clamp(-3.0, 6.0);
                    let eta = phi(z);
                    let slope = count.expected * density(z);
                    let offset = self.chips[board][chip].offset;
                    let lever = self.lever(seen.mhz[chip], outcome.die_c[chip], z + offset);
                    let good = count.expected * eta;
                    let bad = count.expected * (wrong_share * (1.0 - eta) + WRONG_FLOOR * eta);
                    let weight = |mean: f64, rough: f64| {
                        window.weight / (mean.max(0.3) + (rough * mean).powi(2))
                    };
                    let target = &mut self.chips[board][chip];
                    let mut observe = |j: [f64; SHARED], own: f64, residual: f64, weight: f64| {
                        for r in 0..SHARED {
                            g[r] += weight * j[r] * residual;
                            target.cross[r] += weight * j[r] * own;
                            for c in 0..SHARED {
                                a[r][c] += weight * j[r] * j[c];
                            }
                        }
                        target.own += weight * own * own;
                        chip_g[board][chip] += weight * own * residual;
                    };
                    for (seen, mean, rough) in [
                        (count.valid, good, RATE_ROUGHNESS),
                        (count.wrong, bad, WRONG_ROUGHNESS),
                    ] {
                        // Poisson, tempered by what makes it rough.
                        let temper = 1.0 / (1.0 + rough * rough * mean);
                        let mean = mean.max(1e-9);
                        let surprise = if seen > 0.0 {
                            seen * (seen / mean).ln()
                        } else {
                            0.0
                        };
                        cost += window.weight * temper * (surprise - seen + mean);
                    }
                    let rise = slope;
                    observe(
                        lever.map(|l| l * rise),
                        -rise,
                        count.valid - good,
                        weight(good, RATE_ROUGHNESS),
                    );
                    let fall = -slope * (wrong_share - WRONG_FLOOR);
                    let mut j = lever.map(|l| l * fall);
                    j[WRONG] = count.expected * wrong_share * (1.0 - eta);
                    observe(j, -fall, count.wrong - bad, weight(bad, WRONG_ROUGHNESS));
                }
            }
            if let Some(read) = window.watts.filter(|w| w.is_finite() && *w > 0.0) {
                let efficiency = layout.supply_efficiency(watts);
                let model = watts / efficiency + layout.auxiliary_w;
                let mut j = [0.0; SHARED];
                j[SWITCHING] = (watts - leak_w) / efficiency / model;
                j[LEAKAGE] = leak_w / efficiency / model;
                let weight = window.weight / (POWER_ROUGHNESS * POWER_ROUGHNESS);
                let residual = (read / model).ln();
                cost += 0.5 * weight * residual * residual;
                for r in 0..SHARED {
                    g[r] += weight * j[r] * residual;
                    for c in 0..SHARED {
                        a[r][c] += weight * j[r] * j[c];
                    }
                }
            }
        }
        self.windows = windows;
        // Schur complement: chips are eliminated one by one.
        for (chips, pulls) in self.chips.iter().zip(&chip_g) {
            for (chip, pull) in chips.iter().zip(pulls) {
                for r in 0..SHARED {
                    let share = chip.cross[r] / chip.own;
                    g[r] -= share * pull;
                    for c in 0..SHARED {
                        a[r][c] -= share * chip.cross[c];
                    }
                }
            }
        }
        let Some(covariance) = inverse(&a) else {
            return (cost, 0.0);
        };
        self.covariance = covariance;
        let limits = [sigma, 0.4, 0.2, 0.7, 0.000_3 * self.nominal_mv, 0.1, 0.4];
        let mut step = times(&covariance, &g);
        let mut largest = 0.0_f64;
        let longest = step
            .iter()
            .zip(limits)
            .map(|(s, l)| s.abs() / l)
            .fold(0.0, f64::max);
        let damping = if longest > 1.0 { 1.0 / longest } else { 1.0 };
        largest = largest.max(0.3 * longest.min(1.0));
        step.iter_mut().for_each(|value| *value *= damping);
        for (slot, value) in self.shared.iter_mut().zip(&step) {
            *slot += value;
        }
        self.shared[WRONG] = self.shared[WRONG].clamp(-7.0, 0.0);
        self.shared[SIGMA] =
            self.shared[SIGMA].clamp((0.01 * self.nominal_mv).ln(), (0.1 * self.nominal_mv).ln());
        for (chips, pulls) in self.chips.iter_mut().zip(&chip_g) {
            for (chip, pull) in chips.iter_mut().zip(pulls) {
                let change = damping * pull / chip.own - dot(&chip.cross, &step) / chip.own;
                let change = change.clamp(-1.0, 1.0);
                chip.offset += change;
                largest = largest.max(change.abs());
            }
        }
        (cost, largest)
    }

    /// Spread between chips that explains their offsets.
    fn estimate_spread(&mut self) {
        let mut sum = 0.0;
        let mut count = 0.0;
        for chip in self.chips.iter().flatten() {
            sum += chip.offset * chip.offset + 1.0 / chip.own;
            count += 1.0;
        }
        // A few more of the usual spread, so that a single chip says little.
        let usual = (SPREAD_AT_FIRST / CORE_SPREAD).powi(2);
        let variance: f64 = (sum + 4.0 * usual) / (count + 4.0);
        self.spread = variance
            .sqrt()
            .clamp(SPREAD.0 / CORE_SPREAD, SPREAD.1 / CORE_SPREAD);
    }
}

/// Power of a board at its terminals at the nominal point, W.
fn prior_board_w(layout: &Layout) -> f64 {
    let input = layout.nominal_ths * layout.nominal_j_per_th * layout.boards() as f64;
    let net = (input - layout.auxiliary_w).max(0.1 * input);
    net * layout.supply_efficiency(net * 0.93) / layout.boards() as f64
}

/// Slope of the curve around the usual clock, mV per MHz and domain; by the usual elasticity of 0.22 where it is flat.
fn curve_slope(layout: &Layout) -> f64 {
    let usual = layout.clock_mhz.1;
    let points: Vec<_> = layout
        .curve
        .iter()
        .filter(|point| point.0 >= 0.7 * usual)
        .collect();
    let elastic = 0.22 * layout.mv.1 / layout.domains as f64 / usual;
    match (points.first(), points.last()) {
        (Some(a), Some(b)) if b.0 > a.0 => {
            let slope = (b.1 - a.1) / (b.0 - a.0) / layout.domains as f64;
            slope.clamp(0.4 * elastic, 2.0 * elastic)
        }
        _ => elastic,
    }
}
