//! What is believed about these very chips, with doubt: shared constants of the silicon, one threshold offset per chip. Learned
//! from windows of counts by a Laplace fit: the most likely values, and the curvature there as covariance. The covariance has the
//! shape of an arrow, few shared constants and many domains, so that a fit of hundreds of chips costs milliseconds.
//!
//! Domains differ in leakage too. A chip that leaks takes voltage from its own domain, the more the warmer it is, and fast chips leak
//! more; where domains are of few chips this outweighs thresholds. An offset is therefore counted at a usual share of leakage: what
//! it says is how much voltage of the board the chip needs there.
//!
//! Priors are what is published about the board: its curve, its nominal power, the usual spread between chips.

use crate::layout::{Layout, Scope};
use crate::math::{Square, density, dot, inverse, inverse_of, phi, quadratic, times};
use crate::plant::{Outcome, Plant};

/// Shared constants: threshold, mV; ln of its slope; ln of its spread over cores; ln of the share of lost work that comes back
/// wrong; its rise with temperature, mV/K; ln of switching power; ln of leakage; ln of power beside the boards.
pub(crate) const SHARED: usize = 8;
const THRESHOLD: usize = 0;
const SLOPE: usize = 1;
const SIGMA: usize = 2;
const WRONG: usize = 3;
const WARM: usize = 4;
const SWITCHING: usize = 5;
const LEAKAGE: usize = 6;
const BESIDE: usize = 7;

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
const SPREAD_AT_FIRST: f64 = 0.009;
/// Usual share of leakage in a domain's current.
const LEAK_SHARE: f64 = 0.14;
/// Fast chips leak more: e-fold for a threshold lower by this share of the nominal voltage, and how far a chip is from that rule.
const LEAK_LINK: f64 = 0.03;
const LEAK_APART: f64 = 0.15;
/// Margin from which on the doubt of a margin grows no more, spreads of cores.
const FAR_ABOVE: f64 = 2.5;
/// How far margins at a setting may have drifted since they were stored, spreads of cores.
const ANCHOR_DRIFT: f64 = 0.04;
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
    /// Duty of the fans at its end, percent.
    pub(crate) fan_percent: Option<f64>,
    /// How much it still counts, 0..=1.
    pub(crate) weight: f64,
}

/// One chip's offset, in spreads of its cores. In this unit the offsets say nothing about the spread; in volts a fit would make the
/// spread small only to have small offsets.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Chip {
    offset: f64,
    prior: f64,
    /// Precision of the prior; None: by the spread of the board.
    prior_precision: Option<f64>,
}

/// What the chips of a domain have in common: the ln of their leakage over that of the board. Its chips' offsets and this make a
/// block: inverse of its curvature, row by row, this last; and what of it follows the shared constants.
#[derive(Clone, Debug, PartialEq)]
struct Domain {
    leak: f64,
    prior: f64,
    prior_precision: Option<f64>,
    local: Vec<f64>,
    pull: Vec<[f64; SHARED]>,
}

/// Curvature and slope of a domain's block while a step is worked out.
struct Block {
    curvature: Vec<f64>,
    slope: Vec<f64>,
    cross: Vec<[f64; SHARED]>,
}

impl Block {
    fn new(size: usize) -> Self {
        Self {
            curvature: vec![0.0; size * size],
            slope: vec![0.0; size],
            cross: vec![[0.0; SHARED]; size],
        }
    }

    /// Adds a residual that depends on one chip and on the leakage.
    fn observe(&mut self, chip: usize, own: f64, leak: f64, residual: f64, weight: f64) {
        let size = self.slope.len();
        let last = size - 1;
        self.curvature[chip * size + chip] += weight * own * own;
        self.curvature[chip * size + last] += weight * own * leak;
        self.curvature[last * size + chip] += weight * own * leak;
        self.curvature[last * size + last] += weight * leak * leak;
        self.slope[chip] += weight * own * residual;
        self.slope[last] += weight * leak * residual;
    }

    /// The same where it depends on the shared constants as well, by `shared`.
    fn learn(
        &mut self,
        chip: usize,
        own: f64,
        leak: f64,
        shared: &[f64; SHARED],
        residual: f64,
        weight: f64,
    ) {
        let last = self.slope.len() - 1;
        for (r, value) in shared.iter().enumerate() {
            self.cross[chip][r] += weight * value * own;
            self.cross[last][r] += weight * value * leak;
        }
        self.observe(chip, own, leak, residual, weight);
    }

    /// Adds a residual that depends on all of the block.
    fn link(&mut self, lever: &[f64], residual: f64, weight: f64) {
        let size = self.slope.len();
        for (r, a) in lever.iter().enumerate() {
            self.slope[r] += weight * a * residual;
            for (c, b) in lever.iter().enumerate() {
                self.curvature[r * size + c] += weight * a * b;
            }
        }
    }
}

/// What was known of the margins at one setting, from an earlier run: that is known better than the numbers that make them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Anchor {
    pub(crate) mv: f64,
    pub(crate) mhz: Vec<f64>,
    pub(crate) sink_c: Vec<f64>,
    /// Margin of each chip in spreads of its cores, and its standard deviation.
    pub(crate) margins: Vec<(f64, f64)>,
    /// How much it still counts, 0..=1.
    pub(crate) weight: f64,
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
    domains: Vec<Vec<Domain>>,
    /// Power beside the boards by the profile, W.
    beside_w: f64,
    spread: f64,
    pub(crate) windows: Vec<Window>,
    /// Of each board, if it has one.
    pub(crate) anchors: Vec<Option<Anchor>>,
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
            0.6,
        ];
        let prior_precision = std::array::from_fn(|i| {
            std::array::from_fn(|j| if i == j { 1.0 / (sd[i] * sd[i]) } else { 0.0 })
        });
        let chip = Chip {
            offset: 0.0,
            prior: 0.0,
            prior_precision: None,
        };
        let domain = Domain {
            leak: 0.0,
            prior: 0.0,
            prior_precision: None,
            local: Vec::new(),
            pull: Vec::new(),
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
            domains: vec![vec![domain; layout.domains]; layout.boards()],
            beside_w: layout.auxiliary_w,
            spread: SPREAD_AT_FIRST / CORE_SPREAD,
            windows: Vec::new(),
            anchors: vec![None; layout.boards()],
        };
        belief.forget_counts();
        belief
    }

    /// Takes over what was learned before; doubt grows, because boards age and rooms change.
    pub(crate) fn resume(&mut self, shared: &[f64; SHARED], covariance: &Square<SHARED>) {
        let mut wider = *covariance;
        let drift = [
            0.003 * self.nominal_mv,
            0.05,
            0.03,
            0.1,
            1e-9,
            0.01,
            0.05,
            0.05,
        ];
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

    /// The same for a board's chips: offset and standard deviation, mV; and for its domains: ln of leakage and its deviation, where
    /// it is known.
    pub(crate) fn resume_chips(
        &mut self,
        board: usize,
        offsets: &[(f64, f64)],
        leaks: &[(f64, f64)],
    ) {
        let drift = 0.001 * self.nominal_mv;
        let sigma = self.sigma_mv();
        for (chip, &(offset, sd)) in self.chips[board].iter_mut().zip(offsets) {
            if offset.is_finite() && sd.is_finite() {
                chip.offset = offset / sigma;
                chip.prior = offset / sigma;
                chip.prior_precision = Some(sigma * sigma / (sd * sd + drift * drift));
            }
        }
        for (domain, &(leak, sd)) in self.domains[board].iter_mut().zip(leaks) {
            if leak.is_finite() && sd.is_finite() {
                domain.leak = leak;
                domain.prior = leak;
                domain.prior_precision = Some(1.0 / (sd * sd + 0.02 * 0.02));
            }
        }
        self.forget_counts();
    }

    fn forget_counts(&mut self) {
        for board in 0..self.chips.len() {
            let (blocks, _) = self.prior_blocks(board);
            for (domain, block) in self.domains[board].iter_mut().zip(blocks) {
                let size = block.slope.len();
                domain.local =
                    inverse_of(&block.curvature, size).unwrap_or_else(|| vec![0.0; size * size]);
                domain.pull = block.cross;
            }
        }
    }

    /// Blocks of a board's domains before any counts, and the cost of where they are.
    fn prior_blocks(&self, board: usize) -> (Vec<Block>, f64) {
        let chips = &self.chips[board];
        let mut cost = 0.0;
        let share = self.apart(board);
        let usual = self.usual_lever() * share;
        let link = if share > 0.0 {
            self.sigma_mv() / (LEAK_LINK * self.nominal_mv)
        } else {
            0.0
        };
        let mean = self.mean_leak(board);
        let precise = 1.0 / (self.spread * self.spread);
        let blocks = self.domains[board]
            .iter()
            .zip(chips.chunks(self.per_domain.max(1)))
            .map(|(domain, chips)| {
                let count = chips.len();
                let mut block = Block::new(count + 1);
                let bend = self.usual_lever() * (domain.leak - mean);
                let mut lever = vec![0.0; count + 1];
                let mut sum = 0.0;
                for (index, chip) in chips.iter().enumerate() {
                    let (leak, residual, weight) = match chip.prior_precision {
                        Some(precision) => (0.0, chip.prior - chip.offset, precision),
                        None => (-usual, -(chip.offset - bend), precise),
                    };
                    block.observe(index, 1.0, leak, residual, weight);
                    cost += 0.5 * weight * residual * residual;
                    sum += (chip.offset - bend) / count as f64;
                    lever[index] = link / count as f64;
                }
                lever[count] = 1.0 - link * usual;
                let (residual, weight) = match domain.prior_precision {
                    Some(precision) => {
                        lever = vec![0.0; count + 1];
                        lever[count] = 1.0;
                        (domain.prior - domain.leak, precision)
                    }
                    None => {
                        let off = LEAK_APART * LEAK_APART / count as f64;
                        (-(domain.leak + link * sum), 1.0 / off)
                    }
                };
                block.link(&lever, residual, weight);
                cost += 0.5 * weight * residual * residual;
                block
            })
            .collect();
        (blocks, cost)
    }

    /// How much of a domain's own leakage is against the mean of its board.
    fn apart(&self, board: usize) -> f64 {
        1.0 - 1.0 / self.domains[board].len().max(1) as f64
    }

    /// What a domain loses for an e-fold of leakage at the usual share, in spreads of cores: offsets are counted there.
    fn usual_lever(&self) -> f64 {
        LEAK_SHARE / CORE_SPREAD
    }

    fn mean_leak(&self, board: usize) -> f64 {
        let domains = &self.domains[board];
        domains.iter().map(|domain| domain.leak).sum::<f64>() / domains.len().max(1) as f64
    }

    /// How a margin answers to the leakage of its domain, when an e-fold takes `leak_mv` there.
    fn leak_lever(&self, board: usize, leak_mv: f64) -> f64 {
        self.apart(board) * (self.usual_lever() - leak_mv / self.sigma_mv())
    }

    /// ln of a domain's leakage over its board's, and its standard deviation.
    pub(crate) fn leak(&self, board: usize, domain: usize) -> (f64, f64) {
        let mean = self.mean_leak(board);
        let domain = &self.domains[board][domain];
        let variance = domain.local.last().copied().unwrap_or(0.0)
            + domain
                .pull
                .last()
                .map_or(0.0, |pull| quadratic(&self.covariance, pull));
        (domain.leak - mean, variance.max(0.0).sqrt())
    }

    /// Power beside the boards, W.
    pub(crate) fn beside_w(&self) -> f64 {
        self.beside_w * self.shared[BESIDE].exp()
    }

    pub(crate) fn shared(&self) -> ([f64; SHARED], Square<SHARED>) {
        (self.shared, self.covariance)
    }

    /// Offset and standard deviation of a chip against the mean of its machine, mV.
    pub(crate) fn offset(&self, board: usize, chip: usize) -> (f64, f64) {
        let sigma = self.sigma_mv();
        let (variance, pull) = self.block_of(board, chip, 1.0, 0.0);
        let variance = variance + quadratic(&self.covariance, &pull);
        let offset = self.chips[board][chip].offset;
        (sigma * offset, sigma * variance.max(0.0).sqrt())
    }

    /// Of a combination of a chip's offset and its domain's leakage: variance while the shared constants hold, and how it follows them.
    fn block_of(&self, board: usize, chip: usize, own: f64, leak: f64) -> (f64, [f64; SHARED]) {
        let domain = &self.domains[board][chip / self.per_domain.max(1)];
        let size = domain.pull.len();
        let last = size - 1;
        let index = chip % self.per_domain.max(1);
        let at = |r: usize, c: usize| domain.local[r * size + c];
        let variance = own * own * at(index, index)
            + 2.0 * own * leak * at(index, last)
            + leak * leak * at(last, last);
        let pull =
            std::array::from_fn(|i| own * domain.pull[index][i] + leak * domain.pull[last][i]);
        (variance, pull)
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
            pair("beside_w", grown(BESIDE, self.beside_w)),
        ]
    }

    /// A board with the most likely numbers; doubt is that of where its counts were taken.
    pub(crate) fn plant(&self, board: usize, sinks: Vec<(f64, f64)>, dead: &[bool]) -> Plant {
        let chips = &self.chips[board];
        let count = chips.len();
        let mean = self.mean_leak(board);
        let leak = |chip: usize| self.domains[board][chip / self.per_domain.max(1)].leak - mean;
        let usual = self.usual_lever();
        let leakage = self.k_leakage * self.shared[LEAKAGE].exp();
        Plant {
            per_domain: self.per_domain,
            hashes_per_clock: self.hashes_per_clock,
            switching: vec![self.k_switching * self.shared[SWITCHING].exp(); count],
            leakage: (0..count).map(|chip| leakage * leak(chip).exp()).collect(),
            leak_scale_k: 40.0,
            threshold_mv: chips
                .iter()
                .enumerate()
                .map(|(index, chip)| {
                    let own = chip.offset - usual * leak(index);
                    self.shared[THRESHOLD] + self.sigma_mv() * own
                })
                .collect(),
            reference_mhz: self.reference_mhz,
            slope: self.shared[SLOPE].exp(),
            sigma_mv: self.sigma_mv(),
            warm_mv_per_k: self.shared[WARM],
            path_ohm: self.path_ohm,
            die_k_per_w: self.die_k_per_w,
            sinks,
            held_c: Vec::new(),
            dead: dead.to_vec(),
            doubt_mv: (0..count).map(|chip| self.offset(board, chip).1).collect(),
            most_mhz: vec![f64::INFINITY; count],
            here_mhz: vec![self.reference_mhz; count],
            doubt_per_mhz: (0.0, 0.0),
            leak_doubt: (0..self.domains[board].len())
                .map(|domain| self.leak(board, domain).1)
                .collect(),
        }
    }

    /// Variance of a chip's margin, in spreads, at a clock and an outcome.
    pub(crate) fn margin_variance(
        &self,
        board: usize,
        chip: usize,
        mhz: f64,
        outcome: &Outcome,
    ) -> f64 {
        let (lever, variance) = self.margin_lever(board, chip, mhz, outcome);
        quadratic(&self.covariance, &lever) + variance
    }

    /// How a chip's margin answers to the shared constants, its offset and its domain's leakage following; and the variance of what
    /// does not follow.
    fn margin_lever(
        &self,
        board: usize,
        chip: usize,
        mhz: f64,
        outcome: &Outcome,
    ) -> ([f64; SHARED], f64) {
        // Of a chip far above its threshold it matters what would be if it came near.
        let z = outcome.margins[chip].clamp(-3.0, FAR_ABOVE);
        let leak_mv = outcome.leak_mv[chip / self.per_domain.max(1)];
        let offset = self.own_offset(board, chip);
        let (variance, pull) = self.block_of(board, chip, -1.0, self.leak_lever(board, leak_mv));
        let mut lever = self.lever(mhz, outcome.die_c[chip], z + offset);
        for (slot, pull) in lever.iter_mut().zip(&pull) {
            *slot -= pull;
        }
        (lever, variance)
    }

    /// What of a chip's offset is its own threshold, in spreads.
    fn own_offset(&self, board: usize, chip: usize) -> f64 {
        let domain = &self.domains[board][chip / self.per_domain.max(1)];
        let bend = self.usual_lever() * (domain.leak - self.mean_leak(board));
        self.chips[board][chip].offset - bend
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
            for (index, domain) in self.domains[board].iter().enumerate() {
                let size = domain.pull.len();
                // What the domain's work follows: its chips' offsets and its leakage.
                let mut local = vec![0.0; size];
                for slot in 0..size - 1 {
                    let chip = index * self.per_domain.max(1) + slot;
                    let z = outcome.margins[chip];
                    let weight = scale * mhz[board][chip] * density(z);
                    let (u, _) = self.margin_lever(board, chip, mhz[board][chip], outcome);
                    for (sum, value) in shared.iter_mut().zip(&u) {
                        *sum += weight * value;
                    }
                    local[slot] -= weight;
                    local[size - 1] += weight * self.leak_lever(board, outcome.leak_mv[index]);
                }
                for r in 0..size {
                    for c in 0..size {
                        own += local[r] * local[c] * domain.local[r * size + c];
                    }
                }
            }
        }
        let mut power = [0.0; SHARED];
        let leak_share = leak / watts.max(1e-9);
        let beside = self.beside_w() / (watts + self.beside_w()).max(1e-9);
        power[SWITCHING] = (1.0 - leak_share) * (1.0 - beside);
        power[LEAKAGE] = leak_share * (1.0 - beside);
        power[BESIDE] = beside;
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
        for anchor in self.anchors.iter_mut().flatten() {
            anchor.weight *= keep;
        }
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
            let mut doubt = self.margin_variance(board, chip, window.mhz[chip], &outcome);
            if let Some(anchor) = &self.anchors[board] {
                // Margins at the stored setting are known better than the numbers that make them.
                let sd = anchor.margins[chip].1.hypot(ANCHOR_DRIFT);
                doubt = 1.0 / (1.0 / doubt.max(1e-9) + anchor.weight / (sd * sd));
            }
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

    fn point(&self) -> Point {
        let chips = self.chips.iter().flatten().map(|chip| chip.offset);
        let domains = self.domains.iter().flatten().map(|domain| domain.leak);
        (self.shared, chips.chain(domains).collect())
    }

    fn place_between(&mut self, a: &Point, b: &Point) {
        self.shared = std::array::from_fn(|i| 0.5 * (a.0[i] + b.0[i]));
        let offsets = self.chips.iter_mut().flatten().map(|chip| &mut chip.offset);
        let leaks = self
            .domains
            .iter_mut()
            .flatten()
            .map(|domain| &mut domain.leak);
        for (slot, (a, b)) in offsets.chain(leaks).zip(a.1.iter().zip(&b.1)) {
            *slot = 0.5 * (a + b);
        }
    }

    /// One damped Gauss-Newton step: the cost where it began, and the largest change in units of the cores' spread.
    #[allow(clippy::needless_range_loop)]
    fn step(&mut self, layout: &Layout) -> (f64, f64) {
        let sigma = self.sigma_mv();
        let from_prior: [f64; SHARED] = std::array::from_fn(|i| self.prior[i] - self.shared[i]);
        let mut a = self.prior_precision;
        let mut g = times(&self.prior_precision, &from_prior);
        let mut cost = 0.5 * dot(&from_prior, &g);
        let mut blocks: Vec<Vec<Block>> = Vec::with_capacity(self.chips.len());
        for board in 0..self.chips.len() {
            let (prior, paid) = self.prior_blocks(board);
            cost += paid;
            blocks.push(prior);
        }
        let wrong_share = self.wrong_share();
        for (board, anchor) in self.anchors.iter().enumerate() {
            let Some(anchor) = anchor.as_ref().filter(|anchor| anchor.weight > 0.02) else {
                continue;
            };
            let sinks = anchor.sink_c.iter().map(|&c| (c, 0.0)).collect();
            let chips = self.chips[board].len();
            let outcome = self
                .plant(board, sinks, &vec![false; chips])
                .outcome(anchor.mv, &anchor.mhz);
            for (chip, &(margin, sd)) in anchor.margins.iter().enumerate() {
                let domain = chip / self.per_domain.max(1);
                let z = outcome.margins[chip];
                let residual = margin - z;
                let weight = anchor.weight / (sd * sd + ANCHOR_DRIFT * ANCHOR_DRIFT);
                let by_leak = self.leak_lever(board, outcome.leak_mv[domain]);
                let j = self.lever(
                    anchor.mhz[chip],
                    outcome.die_c[chip],
                    z + self.own_offset(board, chip),
                );
                cost += 0.5 * weight * residual * residual;
                let slot = chip % self.per_domain.max(1);
                blocks[board][domain].learn(slot, -1.0, by_leak, &j, residual, weight);
                for r in 0..SHARED {
                    g[r] += weight * j[r] * residual;
                    for c in 0..SHARED {
                        a[r][c] += weight * j[r] * j[c];
                    }
                }
            }
        }
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
                    let domain = chip / self.per_domain.max(1);
                    let offset = self.own_offset(board, chip);
                    let lever = self.lever(seen.mhz[chip], outcome.die_c[chip], z + offset);
                    let by_leak = self.leak_lever(board, outcome.leak_mv[domain]);
                    let good = count.expected * eta;
                    let bad = count.expected * (wrong_share * (1.0 - eta) + WRONG_FLOOR * eta);
                    let weight = |mean: f64, rough: f64| {
                        window.weight / (mean.max(0.3) + (rough * mean).powi(2))
                    };
                    let block = &mut blocks[board][domain];
                    let slot = chip % self.per_domain.max(1);
                    // `rise` is what the count gains for a spread of margin.
                    let mut observe = |j: [f64; SHARED], rise: f64, residual: f64, weight: f64| {
                        block.learn(slot, -rise, rise * by_leak, &j, residual, weight);
                        for r in 0..SHARED {
                            g[r] += weight * j[r] * residual;
                            for c in 0..SHARED {
                                a[r][c] += weight * j[r] * j[c];
                            }
                        }
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
                        rise,
                        count.valid - good,
                        weight(good, RATE_ROUGHNESS),
                    );
                    let fall = -slope * (wrong_share - WRONG_FLOOR);
                    let mut j = lever.map(|l| l * fall);
                    j[WRONG] = count.expected * wrong_share * (1.0 - eta);
                    observe(j, fall, count.wrong - bad, weight(bad, WRONG_ROUGHNESS));
                }
            }
            if let Some(read) = window.watts.filter(|w| w.is_finite() && *w > 0.0) {
                let efficiency = layout.supply_efficiency(watts);
                let beside = self.beside_w();
                let model = watts / efficiency + beside;
                let mut j = [0.0; SHARED];
                j[SWITCHING] = (watts - leak_w) / efficiency / model;
                j[LEAKAGE] = leak_w / efficiency / model;
                j[BESIDE] = beside / model;
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
        // Schur complement: domains are eliminated one by one.
        let mut changes: Vec<Vec<Vec<f64>>> = Vec::with_capacity(blocks.len());
        for (domains, blocks) in self.domains.iter_mut().zip(blocks) {
            let mut of_board = Vec::with_capacity(blocks.len());
            for (domain, block) in domains.iter_mut().zip(blocks) {
                let size = block.slope.len();
                if let Some(local) = inverse_of(&block.curvature, size) {
                    domain.local = local;
                }
                let row = |r: usize| &domain.local[r * size..(r + 1) * size];
                let change: Vec<f64> = (0..size)
                    .map(|r| row(r).iter().zip(&block.slope).map(|(a, b)| a * b).sum())
                    .collect();
                let pull: Vec<[f64; SHARED]> = (0..size)
                    .map(|r| {
                        let mut sum = [0.0; SHARED];
                        for (value, cross) in row(r).iter().zip(&block.cross) {
                            for (slot, cross) in sum.iter_mut().zip(cross) {
                                *slot += value * cross;
                            }
                        }
                        sum
                    })
                    .collect();
                for (k, cross) in block.cross.iter().enumerate() {
                    for r in 0..SHARED {
                        g[r] -= cross[r] * change[k];
                        for c in 0..SHARED {
                            a[r][c] -= cross[r] * pull[k][c];
                        }
                    }
                }
                domain.pull = pull;
                of_board.push(change);
            }
            changes.push(of_board);
        }
        let Some(covariance) = inverse(&a) else {
            return (cost, 0.0);
        };
        self.covariance = covariance;
        let limits = [
            sigma,
            0.4,
            0.2,
            0.7,
            0.000_3 * self.nominal_mv,
            0.1,
            0.4,
            0.4,
        ];
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
        self.shared[BESIDE] = self.shared[BESIDE].clamp(-2.5, 2.0);
        let per_domain = self.per_domain.max(1);
        for ((domains, chips), changes) in
            self.domains.iter_mut().zip(&mut self.chips).zip(&changes)
        {
            for ((domain, chips), change) in domains
                .iter_mut()
                .zip(chips.chunks_mut(per_domain))
                .zip(changes)
            {
                let mut moved = change
                    .iter()
                    .zip(&domain.pull)
                    .map(|(change, pull)| damping * change - dot(pull, &step));
                for chip in chips {
                    let change = moved.next().unwrap_or(0.0).clamp(-1.0, 1.0);
                    chip.offset += change;
                    largest = largest.max(change.abs());
                }
                let change = moved.next().unwrap_or(0.0).clamp(-0.3, 0.3);
                domain.leak = (domain.leak + change).clamp(-2.0, 2.0);
            }
        }
        (cost, largest)
    }

    /// Spread between chips that explains their offsets.
    fn estimate_spread(&mut self) {
        let mut sum = 0.0;
        let mut count = 0.0;
        for board in 0..self.chips.len() {
            for chip in 0..self.chips[board].len() {
                let usual = self.usual_lever() * self.apart(board);
                let (variance, _) = self.block_of(board, chip, 1.0, -usual);
                sum += self.own_offset(board, chip).powi(2) + variance;
                count += 1.0;
            }
        }
        // A few more of the usual spread, so that a single chip says little.
        let usual = (SPREAD_AT_FIRST / CORE_SPREAD).powi(2);
        let variance: f64 = (sum + 4.0 * usual) / (count + 4.0);
        self.spread = variance
            .sqrt()
            .clamp(SPREAD.0 / CORE_SPREAD, SPREAD.1 / CORE_SPREAD);
    }
}

/// Shared constants, offsets of all chips, leakages of all domains.
type Point = ([f64; SHARED], Vec<f64>);

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
