//! One board as the tuner pictures it: dies as conductances in series, a threshold voltage per chip, heat that rises with power.
//! It answers what a setting would deliver, draw and heat, and which clocks are worth most at a voltage when a watt has a price.

use crate::math::{density, phi};

/// Rounds in which temperatures and powers are made to agree; leakage feeds back below 0.2, so the rest is below 1e-4.
const HEAT_ROUNDS: usize = 6;
/// Farthest that a clock moves against its domain in one step of the search, MHz.
const FARTHEST_MHZ: f64 = 40.0;
/// Steps of the search for clocks.
const CLOCK_STEPS: usize = 60;
/// Price of a margin that is too small, against the chip's work, per square of what is missing; and what may be missing then.
const MARGIN_PRICE: f64 = 2.0;
const SOFT: f64 = 0.2;
/// Share above the mean at which a domain's voltage begins to cost, and how much against its work, per square of the share above.
/// Domains are to stay balanced: without this, a few slow ones would choke the current of a board whose power is dear.
const BALANCE: f64 = 1.06;
const BALANCE_PRICE: f64 = 60.0;
/// Temperature above which leakage of the picture grows no more, °C: beyond, every plan is refused anyway.
const HOTTEST_C: f64 = 150.0;

/// A board with numbers in all places.
#[derive(Clone, Debug, PartialEq)]
pub struct Plant {
    /// Chips in parallel in a domain.
    pub per_domain: usize,
    /// Hashes per clock of a chip.
    pub hashes_per_clock: f64,
    /// Switching power of each chip, W per MHz and V².
    pub switching: Vec<f64>,
    /// Leakage of each chip at 60 °C, W per V².
    pub leakage: Vec<f64>,
    /// Kelvins over which leakage grows e-fold.
    pub leak_scale_k: f64,
    /// Die voltage at which half the cores of a chip work right, at the reference clock and 65 °C, mV.
    pub threshold_mv: Vec<f64>,
    /// Clock to which thresholds refer, MHz.
    pub reference_mhz: f64,
    /// Rise of thresholds with the clock, mV per MHz.
    pub slope: f64,
    /// Spread of thresholds over the cores of a chip, mV.
    pub sigma_mv: f64,
    /// Rise of thresholds with temperature, mV per K.
    pub warm_mv_per_k: f64,
    /// Resistance between the supply and the domains, Ω.
    pub path_ohm: f64,
    /// Die over sink, K per W of a chip.
    pub die_k_per_w: f64,
    /// Sink temperature of each domain without power, °C, and its rise per watt of the board.
    pub sinks: Vec<(f64, f64)>,
    /// Sink temperature of each domain that fans hold as long as they can, by running slower or faster, °C; empty where
    /// fans do not follow the temperature.
    pub held_c: Vec<f64>,
    /// Chips that do nothing.
    pub dead: Vec<bool>,
    /// Uncertainty of each chip's threshold where it runs now, one standard deviation, mV.
    pub doubt_mv: Vec<f64>,
    /// Highest clock that each chip is trusted with, MHz.
    pub most_mhz: Vec<f64>,
    /// Clock of each chip now, MHz.
    pub here_mhz: Vec<f64>,
    /// What a change of the clock adds to the uncertainty, mV per MHz: a slower and a faster clock.
    pub doubt_per_mhz: (f64, f64),
    /// Uncertainty of the ln of each domain's leakage, one standard deviation.
    pub leak_doubt: Vec<f64>,
}

/// What a board would do at a setting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Correct work, TH/s.
    pub ths: f64,
    /// Power at the terminals, W.
    pub watts: f64,
    /// Of it leakage, W.
    pub leak_w: f64,
    /// Voltage of the domains, mV.
    pub domain_mv: Vec<f64>,
    /// What each domain loses for an e-fold of its leakage, mV.
    pub leak_mv: Vec<f64>,
    /// Die temperatures, °C.
    pub die_c: Vec<f64>,
    /// Voltage over threshold in spreads, chip by chip.
    pub margins: Vec<f64>,
    /// Hottest die, °C.
    pub hottest_c: f64,
}

/// Bounds of a search for clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Lowest and highest clock, MHz.
    pub mhz: (f64, f64),
    /// Least margin that every chip keeps, in spreads, after `quantiles` of its doubt.
    pub least_margin: f64,
    /// Standard deviations of doubt that are taken off.
    pub quantiles: f64,
}

impl Plant {
    /// Chips.
    #[must_use]
    pub fn chips(&self) -> usize {
        self.switching.len()
    }

    /// Uncertainty of a chip's threshold at a clock, mV.
    #[must_use]
    pub fn doubt_at(&self, chip: usize, mhz: f64) -> f64 {
        let way = mhz - self.here_mhz[chip];
        self.doubt_mv[chip].hypot(self.doubt_by(way) * way)
    }

    fn doubt_by(&self, way: f64) -> f64 {
        let (slower, faster) = self.doubt_per_mhz;
        if way < 0.0 { slower } else { faster }
    }

    /// Domains.
    #[must_use]
    pub fn domains(&self) -> usize {
        self.chips() / self.per_domain.max(1)
    }

    /// What the board does at `mv` with these clocks once its heat has settled.
    #[must_use]
    pub fn outcome(&self, mv: f64, mhz: &[f64]) -> Outcome {
        let mut die_c: Vec<f64> = self.start_temperatures();
        let mut pass = Pass::new(self);
        for _ in 0..HEAT_ROUNDS {
            pass.run(self, mv, mhz, &die_c, 0.0);
            self.heat(&pass, &mut die_c);
        }
        pass.run(self, mv, mhz, &die_c, 0.0);
        Outcome {
            ths: pass.ths,
            watts: pass.watts,
            leak_w: pass.leak_w,
            hottest_c: die_c.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            domain_mv: pass.domain_v.iter().map(|v| v * 1000.0).collect(),
            leak_mv: pass.leak_v.iter().map(|v| v * 1000.0).collect(),
            margins: pass.margins,
            die_c,
        }
    }

    /// Moves `mhz` to where work less `price` (TH/s per W at the terminals) times power is greatest at `mv`, within `bounds`.
    /// Returns that value and the outcome; minus infinity where a chip cannot keep its least margin.
    pub fn best_clocks(
        &self,
        mv: f64,
        mhz: &mut [f64],
        price: f64,
        bounds: &Bounds,
    ) -> (f64, Outcome) {
        let mut die_c = self.start_temperatures();
        let mut pass = Pass::new(self);
        pass.require(bounds);
        for (value, most) in mhz.iter_mut().zip(&self.most_mhz) {
            *value = value.min(*most).min(bounds.mhz.1).max(bounds.mhz.0);
        }
        for _ in 0..3 {
            pass.run(self, mv, mhz, &die_c, 0.0);
            self.heat(&pass, &mut die_c);
        }
        let mut price_now = price * self.heat_factor(&pass);
        pass.run(self, mv, mhz, &die_c, price_now);
        let mut size = 1.0;
        let mut trial = mhz.to_vec();
        let mut next = Pass::new(self);
        next.require(bounds);
        for step in 0..CLOCK_STEPS {
            let mut largest = 0.0_f64;
            pass.point_the_way(self);
            for (chip, slot) in trial.iter_mut().enumerate() {
                let want = mhz[chip] + size * pass.way[chip];
                let most = bounds.mhz.1.min(self.most_mhz[chip]);
                *slot = want.min(most).max(bounds.mhz.0);
                largest = largest.max((*slot - mhz[chip]).abs());
            }
            if largest < 0.02 {
                break;
            }
            next.run(self, mv, &trial, &die_c, price_now);
            if next.value >= pass.value {
                mhz.copy_from_slice(&trial);
                std::mem::swap(&mut pass, &mut next);
                size = (size * 1.4_f64).min(2.0);
            } else {
                size *= 0.4;
                if size < 1e-3 {
                    break;
                }
            }
            if step % 6 == 5 {
                self.heat(&pass, &mut die_c);
                price_now = price * self.heat_factor(&pass);
                pass.run(self, mv, mhz, &die_c, price_now);
            }
        }
        let outcome = self.outcome(mv, mhz);
        let safe = (0..mhz.len()).all(|chip| {
            self.dead[chip]
                || outcome.margins[chip]
                    - bounds.quantiles * self.doubt_at(chip, mhz[chip]) / self.sigma_mv
                    >= bounds.least_margin - SOFT
        });
        let value = if safe {
            outcome.ths - price * outcome.watts
        } else {
            f64::NEG_INFINITY
        };
        (value, outcome)
    }

    fn start_temperatures(&self) -> Vec<f64> {
        let per_domain = self.per_domain.max(1);
        (0..self.chips())
            .map(|chip| {
                self.sinks
                    .get(chip / per_domain)
                    .map_or(60.0, |sink| sink.0 + 35.0)
            })
            .collect()
    }

    fn heat(&self, pass: &Pass, die_c: &mut [f64]) {
        for (chip, celsius) in die_c.iter_mut().enumerate() {
            let domain = chip / self.per_domain.max(1);
            let v = pass.domain_v[domain];
            let watts = v * v * pass.conductance[chip];
            let sink = self.sink_c(domain, pass.watts);
            *celsius = (sink + self.die_k_per_w * watts).min(HOTTEST_C);
        }
    }

    /// Sink temperature of a domain at a power of the board, °C.
    pub(crate) fn sink_c(&self, domain: usize, watts: f64) -> f64 {
        let (base, rise) = self.sinks.get(domain).copied().unwrap_or((25.0, 0.0));
        let held = self.held_c.get(domain).copied();
        (base + rise * watts).max(held.unwrap_or(f64::NEG_INFINITY))
    }

    /// How much more power a watt costs, because it heats and heat leaks.
    fn heat_factor(&self, pass: &Pass) -> f64 {
        let rises = self.sinks.iter().enumerate().map(|(domain, sink)| {
            let held = self.held_c.get(domain);
            let follows = held.is_none_or(|held| sink.0 + sink.1 * pass.watts > *held);
            if follows { sink.1 } else { 0.0 }
        });
        let rise = rises.sum::<f64>() / self.sinks.len().max(1) as f64;
        let gain = pass.leak_w / self.leak_scale_k
            * (rise + self.die_k_per_w / self.chips().max(1) as f64);
        1.0 / (1.0 - gain.clamp(0.0, 0.5))
    }
}

/// One evaluation with temperatures as given: values, gradient and curvature by the clocks.
struct Pass {
    conductance: Vec<f64>,
    margins: Vec<f64>,
    /// Margin that each chip has to keep, and deviations of its doubt on top.
    required: (f64, f64),
    domain_v: Vec<f64>,
    /// Leakage of each domain, S, then what it takes of its voltage, V.
    leak_v: Vec<f64>,
    resistance: Vec<f64>,
    /// Σ of hashes·clock·density over sigma, per domain, TH/s per V.
    lever: Vec<f64>,
    gradient: Vec<f64>,
    /// Curvature when all clocks of a domain move together, and when they move against each other.
    curvature: Vec<f64>,
    own: Vec<f64>,
    /// Step that both suggest, MHz.
    way: Vec<f64>,
    ths: f64,
    watts: f64,
    leak_w: f64,
    value: f64,
}

impl Pass {
    fn new(plant: &Plant) -> Self {
        let (chips, domains) = (plant.chips(), plant.domains());
        Self {
            conductance: vec![0.0; chips],
            margins: vec![0.0; chips],
            required: (f64::NEG_INFINITY, 0.0),
            domain_v: vec![0.0; domains],
            leak_v: vec![0.0; domains],
            resistance: vec![0.0; domains],
            lever: vec![0.0; domains],
            gradient: vec![0.0; chips],
            curvature: vec![1.0; chips],
            own: vec![1.0; chips],
            way: vec![0.0; chips],
            ths: 0.0,
            watts: 0.0,
            leak_w: 0.0,
            value: 0.0,
        }
    }

    fn require(&mut self, bounds: &Bounds) {
        self.required = (bounds.least_margin, bounds.quantiles);
    }

    /// Newton's step in two parts: clocks of a domain against each other, which leaves its voltage alone, and all of them together.
    fn point_the_way(&mut self, plant: &Plant) {
        let per_domain = plant.per_domain.max(1);
        for first in (0..self.way.len()).step_by(per_domain) {
            let domain = first..(first + per_domain).min(self.way.len());
            let (mut pull, mut ease, mut sum, mut bend) = (0.0, 0.0, 0.0, 0.0);
            for chip in domain.clone() {
                pull += self.gradient[chip] / self.own[chip];
                ease += 1.0 / self.own[chip];
                sum += self.gradient[chip];
                bend += self.curvature[chip];
            }
            let (level, together) = (pull / ease, sum / bend);
            for chip in domain {
                let apart = (self.gradient[chip] - level) / self.own[chip];
                let step = apart.clamp(-FARTHEST_MHZ, FARTHEST_MHZ) + together;
                self.way[chip] = if plant.dead[chip] { 0.0 } else { step };
            }
        }
    }

    // Many lists go side by side here.
    #[allow(clippy::needless_range_loop)]
    fn run(&mut self, plant: &Plant, mv: f64, mhz: &[f64], die_c: &[f64], price: f64) {
        let volts = mv / 1000.0;
        let per_domain = plant.per_domain.max(1);
        let mut leaks = 0.0;
        let mut ohms = plant.path_ohm;
        self.leak_v.fill(0.0);
        for domain in 0..self.domain_v.len() {
            let mut sum = 0.0;
            for chip in domain * per_domain..(domain + 1) * per_domain {
                let leak = plant.leakage[chip] * ((die_c[chip] - 60.0) / plant.leak_scale_k).exp();
                let busy = if plant.dead[chip] { 0.0 } else { mhz[chip] };
                self.conductance[chip] = plant.switching[chip] * busy + leak;
                sum += self.conductance[chip];
                self.leak_v[domain] += leak;
            }
            self.resistance[domain] = 1.0 / sum.max(1e-9);
            ohms += self.resistance[domain];
        }
        let amps = volts / ohms.max(1e-9);
        self.watts = volts * amps;
        self.ths = 0.0;
        let mut fines = 0.0;
        let mut levers = 0.0;
        let scale = plant.hashes_per_clock * 1e-6;
        let sigma_v = plant.sigma_mv / 1000.0;
        for domain in 0..self.domain_v.len() {
            let v = amps * self.resistance[domain];
            self.domain_v[domain] = v;
            leaks += self.leak_v[domain] * v * v;
            self.leak_v[domain] *= v * self.resistance[domain];
            let mut lever = 0.0;
            for chip in domain * per_domain..(domain + 1) * per_domain {
                let threshold = plant.threshold_mv[chip]
                    + plant.slope * (mhz[chip] - plant.reference_mhz)
                    + plant.warm_mv_per_k * (die_c[chip] - 65.0);
                let z = (v * 1000.0 - threshold) / plant.sigma_mv;
                self.margins[chip] = z;
                if plant.dead[chip] {
                    self.gradient[chip] = 0.0;
                    self.curvature[chip] = 1.0;
                    self.own[chip] = 1e9;
                    continue;
                }
                let (share, dense) = (phi(z), density(z));
                let rate = scale * mhz[chip];
                self.ths += rate * share;
                let (least, quantiles) = self.required;
                let doubt = plant.doubt_at(chip, mhz[chip]);
                let quantiles = quantiles / plant.sigma_mv;
                let missing = (least + quantiles * doubt - z).clamp(0.0, 20.0);
                // How the doubt grows with the clock.
                let way = mhz[chip] - plant.here_mhz[chip];
                let widening = quantiles * plant.doubt_by(way).powi(2) * way / doubt.max(1e-9);
                let fine = MARGIN_PRICE * rate * missing;
                fines += fine * missing;
                lever += (rate * dense + 2.0 * fine) / sigma_v;
                let steep = plant.slope / plant.sigma_mv;
                self.gradient[chip] = scale * share
                    - (rate * dense + 2.0 * fine) * steep
                    - 2.0 * fine * widening
                    - MARGIN_PRICE * scale * missing * missing;
                // What the domain's own voltage does when this clock rises, V per MHz.
                let sag = v
                    * plant.switching[chip]
                    * self.resistance[domain]
                    * (1.0 - self.resistance[domain] / ohms)
                    / sigma_v;
                let all = steep + per_domain as f64 * sag;
                let bend = |all: f64| {
                    let fine = if missing > 0.0 {
                        2.0 * MARGIN_PRICE * rate * (all + widening.abs()).powi(2)
                    } else {
                        0.0
                    };
                    scale * dense * 2.0 * all
                        + rate * dense * z.max(0.3) * all * all
                        + fine
                        + scale * 1e-5
                };
                self.curvature[chip] = bend(all);
                self.own[chip] = bend(steep);
            }
            let mean = volts / self.domain_v.len() as f64;
            let over = (v / (BALANCE * mean.max(1e-9)) - 1.0).clamp(0.0, 3.0);
            if over > 0.0 {
                let work = scale * plant.reference_mhz * per_domain as f64;
                fines += BALANCE_PRICE * work * over * over;
                lever -= 2.0 * BALANCE_PRICE * work * over / (BALANCE * mean.max(1e-9));
                for chip in domain * per_domain..(domain + 1) * per_domain {
                    let sag = plant.switching[chip] * self.resistance[domain];
                    self.curvature[chip] +=
                        2.0 * BALANCE_PRICE * work * sag * sag * per_domain as f64;
                }
            }
            self.lever[domain] = lever;
            levers += lever * v;
        }
        let levers = levers / ohms;
        for domain in 0..self.domain_v.len() {
            let (v, r) = (self.domain_v[domain], self.resistance[domain]);
            let pull = r * (r * levers - self.lever[domain] * v) - price * v * v;
            for chip in domain * per_domain..(domain + 1) * per_domain {
                if !plant.dead[chip] {
                    self.gradient[chip] += plant.switching[chip] * pull;
                }
            }
        }
        self.leak_w = leaks;
        self.value = self.ths - price * self.watts - fines;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plant(domains: usize, per_domain: usize, spread: f64) -> Plant {
        let chips = domains * per_domain;
        Plant {
            per_domain,
            hashes_per_clock: 894.0,
            switching: vec![0.011; chips],
            leakage: vec![0.742; chips],
            leak_scale_k: 40.0,
            threshold_mv: (0..chips)
                .map(|chip| 1123.0 + spread * (((chip * 7919) % 13) as f64 / 6.0 - 1.0))
                .collect(),
            reference_mhz: 590.0,
            slope: 0.42,
            sigma_mv: 42.0,
            warm_mv_per_k: 0.3,
            path_ohm: 0.0005,
            die_k_per_w: 1.38,
            sinks: vec![(25.0, 0.03); domains],
            held_c: Vec::new(),
            dead: vec![false; chips],
            doubt_mv: vec![0.0; chips],
            most_mhz: vec![f64::INFINITY; chips],
            here_mhz: vec![590.0; chips],
            doubt_per_mhz: (0.0, 0.0),
            leak_doubt: vec![0.0; domains],
        }
    }

    const FREE: Bounds = Bounds {
        mhz: (200.0, 800.0),
        least_margin: -5.0,
        quantiles: 0.0,
    };

    #[test]
    fn a_slower_domain_gets_more_voltage() {
        // Derived by hand: 10 % less clock and 12 % leakage raise a domain by about 8 to 9 %.
        let plant = plant(11, 7, 0.0);
        let mut mhz = vec![590.0; 77];
        mhz[..7].fill(531.0);
        let outcome = plant.outcome(13_500.0, &mhz);
        let ratio = outcome.domain_mv[0] / outcome.domain_mv[5];
        assert!((1.07..1.10).contains(&ratio), "{ratio}");
    }

    #[test]
    fn gradient_is_the_slope_of_the_value() {
        let mut plant = plant(4, 3, 10.0);
        plant.doubt_mv.fill(20.0);
        plant.doubt_per_mhz = (0.3, 0.5);
        let mhz: Vec<f64> = (0..12).map(|chip| 560.0 + 5.0 * f64::from(chip)).collect();
        let die_c = vec![70.0; 12];
        let mut pass = Pass::new(&plant);
        pass.require(&Bounds {
            least_margin: 1.0,
            quantiles: 3.0,
            ..FREE
        });
        pass.run(&plant, 4900.0, &mhz, &die_c, 0.02);
        let gradient = pass.gradient.clone();
        for chip in 0..12 {
            let mut moved = mhz.clone();
            let mut value = |by: f64| {
                moved[chip] = mhz[chip] + by;
                pass.run(&plant, 4900.0, &moved, &die_c, 0.02);
                pass.value
            };
            let slope = (value(0.01) - value(-0.01)) / 0.02;
            assert!(
                (slope - gradient[chip]).abs() < 1e-6 + 1e-3 * slope.abs(),
                "{slope} {}",
                gradient[chip]
            );
        }
    }

    #[test]
    fn no_small_change_beats_the_best_clocks() {
        let plant = plant(6, 2, 20.0);
        let mut mhz = vec![590.0; 12];
        let price = 0.03;
        let (value, _) = plant.best_clocks(7300.0, &mut mhz, price, &FREE);
        let worth = |mhz: &[f64]| {
            let outcome = plant.outcome(7300.0, mhz);
            outcome.ths - price * outcome.watts
        };
        for chip in 0..12 {
            for by in [-6.0, 6.0] {
                let mut moved = mhz.clone();
                moved[chip] += by;
                assert!(worth(&moved) <= value + 2e-5, "{chip} {by}");
            }
        }
    }

    #[test]
    fn weak_chips_are_slowed_and_kept_safe() {
        let mut plant = plant(11, 7, 0.0);
        plant.threshold_mv[30] += 60.0;
        plant.doubt_mv.fill(5.0);
        let mut mhz = vec![590.0; 77];
        let bounds = Bounds {
            least_margin: 1.0,
            quantiles: 2.33,
            mhz: (190.0, 690.0),
        };
        let (value, outcome) = plant.best_clocks(13_300.0, &mut mhz, 0.03, &bounds);
        assert!(value.is_finite());
        assert!(mhz[30] < mhz[29] - 20.0, "{} {}", mhz[30], mhz[29]);
        assert!(outcome.margins[30] > 1.05);
    }
}
