//! The setting that serves an aim best, by a picture of the boards: voltage per supply and a clock per chip, under caps.
//!
//! All aims are one question with a different price of power: which setting maximises work less price times power. A cap that is
//! passed raises the price until it holds; the aim for watts is such a cap, with power free below it.

use serde::{Deserialize, Serialize};

use crate::layout::{Layout, Scope};
use crate::plant::{Bounds, Outcome, Plant};

/// What the owner wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    /// As much work as this input power gives, W of the machine.
    Watts(f64),
    /// This much work, TH/s, with as little power as can be.
    Hashrate(f64),
    /// Least energy per work.
    Efficiency,
    /// Greatest difference between revenue and cost of power.
    Profit {
        /// Price of power, money per kWh; below 0 where one is paid for using it.
        price_per_kwh: f64,
        /// Revenue, money per TH/s and day.
        revenue_per_ths_day: f64,
    },
    /// No tuning: factory clock and voltage.
    #[default]
    Off,
}

impl Aim {
    /// Whether its numbers can be meant.
    #[must_use]
    pub fn is_sane(&self) -> bool {
        let positive = |x: f64| x.is_finite() && x > 0.0;
        match *self {
            Self::Watts(x) | Self::Hashrate(x) => positive(x),
            Self::Efficiency | Self::Off => true,
            Self::Profit {
                price_per_kwh,
                revenue_per_ths_day,
            } => positive(revenue_per_ths_day) && price_per_kwh.is_finite(),
        }
    }
}

/// Bounds that the owner sets inside those of the profile; what is none is the profile's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Caps {
    /// Highest die temperature, °C.
    pub chip_c: Option<f64>,
    /// Highest board temperature, °C.
    pub board_c: Option<f64>,
    /// Highest duty of the fans, percent.
    pub fan_percent: Option<f64>,
    /// Highest input power of the machine, W.
    pub watts: Option<f64>,
    /// Highest voltage, mV at the terminals of a board.
    pub mv: Option<f64>,
}

/// A voltage per board and a clock per chip.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setting {
    /// Voltage at the terminals of each board, mV.
    pub mv: Vec<f64>,
    /// Clock of each chip of each board, MHz.
    pub mhz: Vec<Vec<f64>>,
}

impl Setting {
    /// All chips at one clock and one voltage.
    #[must_use]
    pub fn uniform(layout: &Layout, mv: f64, mhz: f64) -> Self {
        Self {
            mv: vec![mv; layout.boards()],
            mhz: vec![vec![mhz; layout.chips()]; layout.boards()],
        }
    }

    /// The factory's setting.
    #[must_use]
    pub fn factory(layout: &Layout) -> Self {
        Self::uniform(
            layout,
            layout.on_step(layout.mv.1),
            layout.on_grid(layout.clock_mhz.1),
        )
    }

    /// Mean clock, MHz.
    #[must_use]
    pub fn mean_mhz(&self) -> f64 {
        let chips = self.mhz.iter().flatten();
        chips.clone().sum::<f64>() / chips.count().max(1) as f64
    }
}

/// What keeps a plan from its aim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Nothing.
    #[default]
    Reached,
    /// Even the lowest setting draws more power than allowed.
    TooLittlePower,
    /// The work that is asked for is beyond the highest setting or a cap.
    TooMuchWork,
    /// More power than the boards can use within their range.
    TooMuchPower,
    /// Power costs more than any setting earns.
    NoProfit,
}

/// A setting and what it promises.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The setting.
    pub setting: Setting,
    /// What each board would do.
    pub outcomes: Vec<Outcome>,
    /// Correct work of the machine, TH/s.
    pub ths: f64,
    /// Input power of the machine, W.
    pub watts: f64,
    /// Price of power at which this is best, TH/s per W of input.
    pub price: f64,
    /// Whether the aim is reached.
    pub reach: Reach,
}

/// A question to the planner.
#[derive(Clone, Debug)]
pub struct Problem<'a> {
    /// The machine.
    pub layout: &'a Layout,
    /// Its boards.
    pub plants: &'a [Plant],
    /// The aim.
    pub aim: Aim,
    /// Caps.
    pub caps: Caps,
    /// Lowest and highest voltage allowed now, mV at the terminals.
    pub mv: (f64, f64),
    /// Bounds of clocks and margins.
    pub bounds: Bounds,
    /// Power beside the boards, W.
    pub beside_w: f64,
    /// Correction of the power that the picture gives.
    pub power_factor: f64,
    /// Price to begin with, if one is known.
    pub price: Option<f64>,
}

/// Voltage of a domain over nominal that a plan never passes; damage begins at 1.25.
const MOST_DOMAIN: f64 = 1.18;
/// The same with two deviations of the doubt in its leakage.
const MOST_DOUBTED_DOMAIN: f64 = 1.21;
/// Share of a board's power limit that a plan uses.
const POWER_SHARE: f64 = 0.97;
/// Kelvins that a die beyond the last sensor may be hotter than the bound: it is reckoned, and the bound is lower than the limit.
const BEYOND_K: f64 = 4.0;
/// Highest price of a watt that is tried, against the work of a mean one.
const DEAREST: f64 = 2.2;
const GOLDEN: f64 = 0.618_033_988_749_894_9;

impl Problem<'_> {
    /// The best setting near `start`; none if there is none that is safe.
    #[must_use]
    pub fn solve(&self, start: &Setting) -> Option<Plan> {
        let usual = self.layout.nominal_j_per_th.max(1.0).recip();
        let mut at = self.trial(start);
        let seen = |at: &Trial| at.setting.mhz.iter().all(|mhz| !mhz.is_empty());
        if !seen(&at) || self.plants.len() != self.layout.boards() {
            return None;
        }
        let mut reach = Reach::Reached;
        let least = match self.aim {
            Aim::Watts(_) | Aim::Off => 0.02 * usual,
            Aim::Efficiency => {
                // Dinkelbach's way, from below: at a price above what can be had the best would be to do next to nothing.
                let ratio = |at: &Trial| at.ths / at.watts.max(1e-9);
                let mut price = 0.9 * self.price.unwrap_or(usual).min(ratio(&at));
                let mut most: Option<Trial> = None;
                for _ in 0..8 {
                    at = self.at_price(price, at, None)?;
                    let next = ratio(&at);
                    if most.as_ref().is_none_or(|most| next > ratio(most)) {
                        most = Some(at.clone());
                    }
                    if (next / price - 1.0).abs() < 1e-3 {
                        break;
                    }
                    price = if next > price {
                        next
                    } else {
                        0.9 * next.max(0.1 * usual)
                    };
                }
                at = most?;
                ratio(&at)
            }
            Aim::Profit {
                price_per_kwh,
                revenue_per_ths_day,
            } => (price_per_kwh * 0.024 / revenue_per_ths_day).max(0.02 * usual),
            Aim::Hashrate(want) => {
                let (price, reached) = self.root(usual, 0.02 * usual, &mut at, None, |_, at| {
                    // Positive while there is more work than asked for: power may cost more.
                    (at.ths - want) / want
                })?;
                if !reached {
                    reach = Reach::TooMuchWork;
                }
                price
            }
        };
        let begin = self
            .price
            .unwrap_or(0.65 * at.ths / at.watts.max(1e-9))
            .max(least);
        let (price, held) = self.hold(least, begin, &mut at, None)?;
        if !held {
            reach = Reach::TooLittlePower;
        }
        // The real grid of the supply; then power again. The top is flat and the search for it coarse, so neighbours are tried as well.
        let hashrate = matches!(self.aim, Aim::Hashrate(_));
        let mut best: Option<(f64, Trial)> = None;
        for shift in [1.0, 0.994, 1.006] {
            let fixed: Vec<f64> = at
                .setting
                .mv
                .iter()
                .map(|&mv| self.step_up(mv * shift))
                .collect();
            let mut near = at.clone();
            if !hashrate && held {
                match self.hold(least, price, &mut near, Some(&fixed)) {
                    Some((_, true)) => {}
                    _ => continue,
                }
            } else {
                match self.at_price(price, near, Some(&fixed)) {
                    Some(next) => near = next,
                    None => continue,
                }
            }
            near.setting.mv = fixed;
            let Some(near) = self.on_grid(near) else {
                continue;
            };
            // Below a cap on power all that counts is work; elsewhere neighbours of the price's optimum are alike.
            let worth = match self.aim {
                Aim::Watts(_) => near.ths - 1e3 * (self.excess(&near) - 0.002).clamp(0.0, 1.0),
                _ => near.ths - price * near.watts,
            };
            if best.as_ref().is_none_or(|(most, _)| worth > *most) {
                best = Some((worth, near));
            }
        }
        let (_, mut at) = best?;
        if matches!(self.aim, Aim::Watts(_)) && held {
            at = self.topped_up(at);
        }
        match self.aim {
            Aim::Watts(want) if at.watts < 0.97 * want => {
                let top = self.layout.clock_mhz.2 - 2.0 * self.layout.grid_mhz;
                if at.setting.mean_mhz() >= top {
                    reach = Reach::TooMuchPower;
                }
            }
            Aim::Hashrate(want) if at.ths < 0.98 * want => reach = Reach::TooMuchWork,
            Aim::Profit {
                price_per_kwh,
                revenue_per_ths_day,
            } if at.ths * revenue_per_ths_day < at.watts * 0.024 * price_per_kwh => {
                reach = Reach::NoProfit;
            }
            _ => {}
        }
        Some(Plan {
            setting: at.setting,
            outcomes: at.outcomes,
            ths: at.ths,
            watts: at.watts,
            price,
            reach,
        })
    }

    /// On boards of few chips a step of the grid is much: what is left below the cap goes to the chips that have most room.
    fn topped_up(&self, mut at: Trial) -> Trial {
        let chips = self.layout.chips() * self.layout.boards();
        if chips > 16 || chips <= 2 {
            return at;
        }
        for _ in 0..3 * chips {
            if self.excess(&at) > -0.004 {
                break;
            }
            let mut room: Option<(f64, usize, usize)> = None;
            for (board, (plant, outcome)) in self.plants.iter().zip(&at.outcomes).enumerate() {
                for (chip, &mhz) in at.setting.mhz[board].iter().enumerate() {
                    let doubt = self.bounds.quantiles * plant.doubt_at(chip, mhz) / plant.sigma_mv;
                    let left = outcome.margins[chip] - doubt;
                    let most = self.bounds.mhz.1.min(plant.most_mhz[chip]);
                    let free = mhz + self.layout.grid_mhz <= most && !plant.dead[chip];
                    if free && room.is_none_or(|(most, ..)| left > most) {
                        room = Some((left, board, chip));
                    }
                }
            }
            let Some((left, board, chip)) = room.filter(|room| room.0 > self.bounds.least_margin)
            else {
                break;
            };
            let mut setting = at.setting.clone();
            setting.mhz[board][chip] += self.layout.grid_mhz;
            let next = self.trial(&setting);
            if self.excess(&next) > 0.0 || next.ths <= at.ths || left <= 0.0 {
                break;
            }
            at = next;
        }
        at
    }

    /// What a setting promises, whatever the aim.
    #[must_use]
    pub fn judge(&self, setting: &Setting) -> (f64, f64, Vec<Outcome>) {
        let at = self.trial(setting);
        (at.ths, at.watts, at.outcomes)
    }

    /// The best clocks at this price and this voltage, on the grid.
    #[must_use]
    pub fn probe(&self, start: &Setting, mv: &[f64], price: f64) -> Option<Setting> {
        let fixed: Vec<f64> = mv.iter().map(|&mv| self.step_up(mv)).collect();
        let mut at = self.at_price(price, self.trial(start), Some(&fixed))?;
        at.setting.mv = fixed;
        Some(self.on_grid(at)?.setting)
    }

    /// Input power for a power at the terminals, W.
    #[must_use]
    pub fn input_w(&self, terminals_w: f64) -> f64 {
        let net = terminals_w / self.layout.supply_efficiency(terminals_w) + self.beside_w;
        net * self.power_factor
    }

    fn step_up(&self, mv: f64) -> f64 {
        self.layout.on_step(mv).max(self.mv.0).min(self.mv.1)
    }

    /// Raises the price above `least` until no cap is passed.
    fn hold(
        &self,
        least: f64,
        begin: f64,
        at: &mut Trial,
        fixed: Option<&[f64]>,
    ) -> Option<(f64, bool)> {
        let (price, held) = self.root(begin, least, at, fixed, |problem, at| problem.excess(at))?;
        Some((price, held))
    }

    /// The least price of at least `least` at which `excess` is not positive; false if there is none. `excess` falls with the price.
    fn root(
        &self,
        begin: f64,
        least: f64,
        at: &mut Trial,
        fixed: Option<&[f64]>,
        excess: impl Fn(&Self, &Trial) -> f64,
    ) -> Option<(f64, bool)> {
        let eval = |price: f64, from: &Trial| {
            let next = self.at_price(price, from.clone(), fixed)?;
            let value = excess(self, &next);
            Some((next, value))
        };
        let mut low = begin.max(least);
        let (mut low_at, mut low_value) = eval(low, at)?;
        let (mut high, mut high_at, mut high_value) = (low, low_at.clone(), low_value);
        let mut factor: f64 = 1.05;
        if low_value > 0.0 {
            for _ in 0..24 {
                // A watt is never dearer than the work that it gives, but for what idles.
                if high > DEAREST * high_at.ths / high_at.watts.max(1e-9) {
                    break;
                }
                (low, low_value) = (high, high_value);
                low_at = high_at;
                high *= factor;
                factor = (factor * 1.05).min(1.2);
                (high_at, high_value) = eval(high, &low_at)?;
                if high_value <= 0.0 {
                    break;
                }
            }
            if high_value > 0.0 {
                *at = high_at;
                return Some((high, false));
            }
        } else {
            while low > least {
                (high, high_value) = (low, low_value);
                high_at = low_at;
                low = (low / factor).max(least);
                factor = (factor * 1.15).min(2.5);
                (low_at, low_value) = eval(low, &high_at)?;
                if low_value > 0.0 {
                    break;
                }
            }
            if low_value <= 0.0 {
                *at = low_at;
                return Some((low, true));
            }
        }
        for round in 0..16 {
            if (high / low).ln() < 1e-4 || high_value.abs() < 3e-4 {
                break;
            }
            // Regula falsi, and every third time the middle.
            let share = if round % 3 == 2 {
                0.5
            } else {
                (low_value / (low_value - high_value)).clamp(0.05, 0.95)
            };
            let price = (low.ln() + share * (high / low).ln()).exp();
            let (next, value) = eval(price, &low_at)?;
            if value > 0.0 {
                (low, low_value, low_at) = (price, value, next);
            } else {
                (high, high_value, high_at) = (price, value, next);
            }
        }
        *at = high_at;
        Some((high, true))
    }

    /// How far a cap is passed, as a share; negative while all hold.
    fn excess(&self, at: &Trial) -> f64 {
        let mut worst = f64::NEG_INFINITY;
        if let Aim::Watts(want) = self.aim {
            worst = worst.max(at.watts / want - 1.0);
        }
        if let Some(cap) = self.caps.watts {
            worst = worst.max(at.watts / cap - 1.0);
        }
        let total: f64 = at.outcomes.iter().map(|outcome| outcome.watts).sum();
        for (plant, outcome) in self.plants.iter().zip(&at.outcomes) {
            let input = at.watts * outcome.watts / total.max(1e-9);
            worst = worst.max(input / (POWER_SHARE * self.layout.power_w) - 1.0);
            // What lies beyond the last sensor is reckoned from afar: it is hotter, but a guess alone must not stop a board.
            let last = self.layout.sensors.iter().copied().fold(0.0, f64::max);
            let domains = plant.domains().max(1) as f64;
            let told = |chip: usize| {
                let place = ((chip / plant.per_domain.max(1)) as f64 + 0.5) / domains;
                self.layout.sensors.is_empty() || place <= last + 0.5 / domains
            };
            let chip_c = self
                .caps
                .chip_c
                .unwrap_or(f64::MAX)
                .min(self.layout.hot_c.0);
            let hottest = outcome
                .die_c
                .iter()
                .enumerate()
                .map(|(chip, c)| if told(chip) { *c } else { c - BEYOND_K })
                .fold(f64::NEG_INFINITY, f64::max);
            worst = worst.max((hottest - chip_c) / 50.0);
            let board_c = self.caps.board_c.unwrap_or(f64::MAX);
            let board_c = board_c.min(self.layout.hot_c.1.unwrap_or(f64::MAX));
            if board_c < 1000.0 && !self.layout.sensors.is_empty() {
                // Sensors tell; what lies behind the last of them is hotter and has its own limit, that of the dies.
                let sink = plant
                    .sinks
                    .iter()
                    .enumerate()
                    .filter(|(domain, _)| {
                        *domain == 0 || (*domain as f64 + 0.5) / domains <= last + 0.5 / domains
                    })
                    .map(|(domain, _)| plant.sink_c(domain, outcome.watts))
                    .fold(f64::NEG_INFINITY, f64::max);
                worst = worst.max((sink - board_c) / 50.0);
            }
        }
        worst
    }

    fn trial(&self, setting: &Setting) -> Trial {
        let outcomes: Vec<Outcome> = self
            .plants
            .iter()
            .zip(setting.mv.iter().zip(&setting.mhz))
            .map(|(plant, (&mv, mhz))| {
                let mut mhz = mhz.clone();
                mhz.resize(plant.chips(), self.layout.clock_mhz.1);
                plant.outcome(mv, &mhz)
            })
            .collect();
        self.summed(setting.clone(), outcomes)
    }

    fn summed(&self, setting: Setting, outcomes: Vec<Outcome>) -> Trial {
        let terminals: f64 = outcomes.iter().map(|outcome| outcome.watts).sum();
        Trial {
            ths: outcomes.iter().map(|outcome| outcome.ths).sum(),
            watts: self.input_w(terminals),
            terminals,
            setting,
            outcomes,
            bracket: None,
        }
    }

    /// The best setting when power has a price; at `fixed` voltages if they are given.
    fn at_price(&self, price: f64, from: Trial, fixed: Option<&[f64]>) -> Option<Trial> {
        let step = 0.01 * from.terminals.max(1.0);
        let marginal = (self.input_w(from.terminals + step) - self.input_w(from.terminals - step))
            / (2.0 * step);
        let price_dc = price * marginal.clamp(0.8, 1.5);
        let groups: Vec<std::ops::Range<usize>> = match self.layout.scope {
            Scope::Machine => std::iter::once(0..self.plants.len()).collect(),
            Scope::Board => (0..self.plants.len())
                .map(|board| board..board + 1)
                .collect(),
        };
        let mut setting = from.setting;
        let mut outcomes = from.outcomes;
        for group in groups {
            let best: std::cell::Cell<Option<(f64, f64)>> = std::cell::Cell::new(None);
            let try_at = |mv: f64, setting: &mut Setting, outcomes: &mut Vec<Outcome>| {
                let mut sum = 0.0;
                for board in group.clone() {
                    let (value, outcome) = self.plants[board].best_clocks(
                        mv,
                        &mut setting.mhz[board],
                        price_dc,
                        &self.bounds,
                    );
                    let usual = self.layout.mv.1 / self.layout.domains as f64;
                    let strained = (0..outcome.domain_mv.len()).any(|domain| {
                        let (v, doubt) = (
                            outcome.domain_mv[domain],
                            self.plants[board].leak_doubt[domain],
                        );
                        v > MOST_DOMAIN * usual
                            || v + 2.0 * doubt * outcome.leak_mv[domain]
                                > MOST_DOUBTED_DOMAIN * usual
                    });
                    sum += if strained { f64::NEG_INFINITY } else { value };
                    outcomes[board] = outcome;
                    setting.mv[board] = mv;
                }
                if best.get().is_none_or(|(value, _)| sum > value) {
                    best.set(Some((sum, mv)));
                }
                sum
            };
            if let Some(fixed) = fixed {
                try_at(fixed[group.start], &mut setting, &mut outcomes);
                continue;
            }
            let center = setting.mv[group.start];
            let (mut a, mut b) = match from.bracket {
                Some(width) => (
                    (center * (1.0 - width)).max(self.mv.0),
                    (center * (1.0 + width)).min(self.mv.1),
                ),
                None => self.mv,
            };
            let mut x = b - GOLDEN * (b - a);
            let mut y = a + GOLDEN * (b - a);
            let mut fx = try_at(x, &mut setting, &mut outcomes);
            let mut fy = try_at(y, &mut setting, &mut outcomes);
            let resolution = 0.001 * center.max(1.0);
            while b - a > resolution {
                // Where both are unsafe, more voltage is the way out.
                if fx > fy {
                    b = y;
                    (y, fy) = (x, fx);
                    x = b - GOLDEN * (b - a);
                    fx = try_at(x, &mut setting, &mut outcomes);
                } else {
                    a = x;
                    (x, fx) = (y, fy);
                    y = a + GOLDEN * (b - a);
                    fy = try_at(y, &mut setting, &mut outcomes);
                }
            }
            // The ends of the range are often the answer.
            for end in [self.mv.0, self.mv.1] {
                if (end - 0.5 * (a + b)).abs() < 0.01 * end {
                    try_at(end, &mut setting, &mut outcomes);
                }
            }
            let (value, mv) = best.get()?;
            if value == f64::NEG_INFINITY {
                if from.bracket.is_some() {
                    let mut again = self.summed(setting, outcomes);
                    again.bracket = None;
                    return self.at_price(price, again, None);
                }
                return None;
            }
            try_at(mv, &mut setting, &mut outcomes);
        }
        let mut next = self.summed(setting, outcomes);
        next.bracket = Some(0.025);
        Some(next)
    }

    /// Clocks on the grid of the PLL, with the sum of every domain kept; on boards of few chips the voltage makes up for the rest.
    fn on_grid(&self, at: Trial) -> Option<Trial> {
        let few = self.layout.chips() <= 2 && self.layout.scope == Scope::Board;
        let shifts: &[f64] = if few { &[-0.5, 0.0, 0.5] } else { &[0.0] };
        let mut best: Option<(f64, Trial)> = None;
        for shift in shifts {
            let mut setting = at.setting.clone();
            for (mhz, plant) in setting.mhz.iter_mut().zip(self.plants) {
                for (index, domain) in mhz.chunks_mut(plant.per_domain.max(1)).enumerate() {
                    let mut carry = shift * self.layout.grid_mhz;
                    for (slot, value) in domain.iter_mut().enumerate() {
                        let chip = index * plant.per_domain.max(1) + slot;
                        let want = *value + carry;
                        *value = self.layout.on_grid(want.min(plant.most_mhz[chip]));
                        carry = (want - *value).clamp(-self.layout.grid_mhz, self.layout.grid_mhz);
                    }
                }
            }
            let mut next = self.trial(&setting);
            if few {
                let step = self.layout.step_mv * self.layout.mv_per_setting;
                for _ in 0..60 {
                    let over = self.excess(&next) > 0.0;
                    let by = if over { -step } else { step };
                    let mut moved = next.setting.clone();
                    moved
                        .mv
                        .iter_mut()
                        .for_each(|mv| *mv = self.step_up(*mv + by));
                    let moved = self.trial(&moved);
                    let better = self.worth(&moved, &at) > self.worth(&next, &at);
                    if moved.setting == next.setting
                        || (!over && (self.excess(&moved) > 0.0 || !better))
                    {
                        break;
                    }
                    next = moved;
                }
            }
            let worth = self.worth(&next, &at) - 1e3 * self.excess(&next).clamp(0.0, 1.0);
            if best.as_ref().is_none_or(|(most, _)| worth > *most) {
                best = Some((worth, next));
            }
        }
        best.map(|(_, trial)| trial)
    }

    fn worth(&self, trial: &Trial, base: &Trial) -> f64 {
        match self.aim {
            Aim::Watts(_) | Aim::Off => trial.ths,
            Aim::Efficiency | Aim::Hashrate(_) => {
                trial.ths - base.ths / base.watts.max(1e-9) * trial.watts
            }
            Aim::Profit {
                price_per_kwh,
                revenue_per_ths_day,
            } => trial.ths - price_per_kwh * 0.024 / revenue_per_ths_day * trial.watts,
        }
    }
}

#[derive(Clone, Debug)]
struct Trial {
    setting: Setting,
    outcomes: Vec<Outcome>,
    ths: f64,
    watts: f64,
    terminals: f64,
    /// Width of the search for the voltage around the last one, share.
    bracket: Option<f64>,
}
