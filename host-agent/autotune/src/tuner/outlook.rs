//! What the belief makes of settings: plans for the aim, how sure they are, what knowing more would be worth.

use super::counts::air_factor;
use super::{DOWN_AT_ONCE, LEAST_MARGIN, POWER_OFF, QUANTILE, SLOPE_SHARE, Tuner, flat_top};
use crate::belief::Window;
use crate::math::{density, phi, quantile};
use crate::plan::{Aim, Plan, Problem, Reach, Setting};
use crate::plant::{Bounds, Outcome};
use crate::report::Observation;

impl Tuner {
    /// A chip that lost nothing in many nonces is far above its threshold, but not known how far: the likelihood is flat there and a
    /// fit's curvature sees nothing. What can be said is a bound: with so few wrong nonces the margin is at least this.
    pub(super) fn prove(&mut self) {
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
    pub(super) fn doubt_mv(&self, board: usize, chip: usize, mhz: f64, outcome: &Outcome) -> f64 {
        let sigma = self.belief.sigma_mv();
        let fitted = sigma
            * self
                .belief
                .margin_variance(board, chip, mhz, outcome)
                .max(0.0)
                .sqrt();
        let way = mhz - self.setting.mhz[board][chip];
        let slope = if way < 0.0 {
            self.slope_doubt_down()
        } else {
            self.slope_doubt()
        };
        fitted.min(self.proven_mv[board][chip].hypot(way * slope))
    }

    /// Doubt of the threshold that a faster clock adds, mV per MHz. The slope is the same for all chips, so that it is no matter of one
    /// among hundreds, and what is wrong about it is seen within seconds: it counts less than a chip's own doubt.
    fn slope_doubt(&self) -> f64 {
        let (shared, covariance) = self.belief.shared();
        SLOPE_SHARE * shared[1].exp() * covariance[1][1].max(0.0).sqrt().min(1.0)
    }

    /// The same where clocks fall: however little is known of the slope, a slower chip needs less voltage, by half of it at least.
    fn slope_doubt_down(&self) -> f64 {
        let (shared, _) = self.belief.shared();
        self.slope_doubt().min(0.5 * shared[1].exp() / QUANTILE)
    }

    /// What remains between the picture's power and the reading, so that the picture is right where the machine is.
    pub(super) fn anchor_power(&mut self) {
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
        let picture = terminals / self.layout.supply_efficiency(terminals) + self.belief.beside_w();
        if picture > 0.0 {
            self.power_factor = (read / picture).clamp(0.8, 1.25);
        }
    }

    /// The best setting near the one in force, or with several beginnings the best of all; none if none is safe.
    pub(super) fn make_plan(&self, seen: &Observation, far: bool) -> Option<Plan> {
        self.plan_with(seen, far, QUANTILE)
            // Where nothing is as safe as it should be, what is likely to be.
            .or_else(|| self.plan_with(seen, true, 0.5 * QUANTILE))
            .or_else(|| self.plan_with(seen, true, 0.0))
    }

    fn plan_with(&self, seen: &Observation, far: bool, quantiles: f64) -> Option<Plan> {
        let mut plants = self.plants(seen)?;
        for doubt in plants.iter_mut().flat_map(|plant| &mut plant.leak_doubt) {
            *doubt *= quantiles / QUANTILE;
        }
        let ask = |plants: &[crate::Plant], start: Option<&Plan>| {
            let mut problem = self.problem(plants, LEAST_MARGIN);
            problem.bounds.quantiles = quantiles;
            problem.mv.0 = self.least_mv();
            match start {
                Some(plan) => {
                    problem.price = Some(plan.price);
                    problem
                        .solve(&plan.setting)
                        .or_else(|| problem.solve(&self.setting))
                }
                None if far => {
                    problem.price = None;
                    self.solve_from_afar(&problem)
                }
                None => problem.solve(&self.setting),
            }
        };
        let plan = ask(&plants, None)?;
        // Doubt belongs to the place where it would run; where it is greater there than was reckoned, once more.
        let mut grown = false;
        for (board, outcome) in plan.outcomes.iter().enumerate() {
            for (chip, &mhz) in plan.setting.mhz[board].iter().enumerate() {
                let plant = &mut plants[board];
                let more =
                    self.doubt_mv(board, chip, mhz, outcome) / plant.doubt_at(chip, mhz).max(1e-9);
                let slower = mhz < plant.here_mhz[chip] - self.layout.grid_mhz;
                if more > 1.1 && !slower {
                    grown = true;
                    plant.doubt_mv[chip] *= more.min(3.0);
                }
            }
        }
        if !grown || self.margins_hold(&plan, &plants, LEAST_MARGIN, quantiles) {
            return Some(plan);
        }
        ask(&plants, Some(&plan))
    }

    pub(super) fn plan_from_afar(&self, seen: &Observation) -> Option<Plan> {
        self.make_plan(seen, true)
    }

    /// What a plan is worth for the aim, to compare plans of the same aim.
    fn merit(&self, aim: Aim, plan: &Plan) -> f64 {
        let cap = self.caps.watts.unwrap_or(f64::MAX);
        let most = match aim {
            Aim::Watts(watts) => watts.min(cap),
            _ => cap,
        };
        // What passes a bound on power is worse than all that does not.
        let over = 1e3 * (plan.watts / most - 1.003).max(0.0);
        let worth = match aim {
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
        worth - over
    }

    /// The best plan of several beginnings: a far goal may lie behind a hollow.
    pub(super) fn solve_from_afar(&self, problem: &Problem) -> Option<Plan> {
        let merit = |plan: &Plan| self.merit(problem.aim, plan);
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
    pub(super) fn best_plan(
        &self,
        seen: &Observation,
        plants: &[crate::Plant],
    ) -> Option<(Plan, f64)> {
        let near = self.make_plan(seen, false).map(|plan| {
            let gain = self.gain(&plan, plants);
            (plan, gain)
        });
        let lost = self.unsafe_now(plants);
        if near.as_ref().is_some_and(|(_, gain)| *gain > -0.001) && !lost {
            return near;
        }
        let far = self.make_plan(seen, true).map(|plan| {
            let gain = self.gain(&plan, plants);
            (plan, gain)
        });
        let worth = |(plan, _): &(Plan, f64)| self.merit(self.aim, plan);
        [near, far]
            .into_iter()
            .flatten()
            .max_by(|a, b| worth(a).total_cmp(&worth(b)))
    }

    fn margins_hold(
        &self,
        plan: &Plan,
        plants: &[crate::Plant],
        least: f64,
        quantiles: f64,
    ) -> bool {
        let pairs = plan.outcomes.iter().zip(plants).enumerate();
        pairs.into_iter().all(|(board, (outcome, plant))| {
            outcome.margins.iter().enumerate().all(|(chip, z)| {
                let doubt = plant.doubt_at(chip, plan.setting.mhz[board][chip]);
                plant.dead[chip] || z - quantiles * doubt / plant.sigma_mv >= least
            })
        })
    }

    pub(super) fn problem<'a>(
        &'a self,
        plants: &'a [crate::Plant],
        least_margin: f64,
    ) -> Problem<'a> {
        let mut caps = self.caps;
        caps.watts = caps.watts.map(|watts| watts * self.power_known());
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
            beside_w: self.belief.beside_w(),
            power_factor: self.power_factor,
            price: self
                .plan
                .as_ref()
                .map(|plan| plan.price)
                .filter(|price| *price > 0.0),
        }
    }

    /// Highest duty that fans may have, percent.
    fn most_fan(&self) -> f64 {
        self.caps.fan_percent.unwrap_or(100.0).clamp(5.0, 100.0)
    }

    /// Share of a cap on power that is planned with: less while the power of these boards is a guess.
    fn power_known(&self) -> f64 {
        match self.belief.windows.len() {
            0 if !self.known => 0.92,
            0..=2 if !self.complete => 0.98,
            _ => 1.0,
        }
    }

    /// Highest input power by aim and caps, W.
    pub(super) fn most_watts(&self) -> f64 {
        let cap = self.caps.watts.unwrap_or(f64::MAX);
        match self.aim {
            Aim::Watts(watts) => watts.min(cap),
            _ => cap,
        }
    }

    /// Lowest voltage that the next step may have: what lies far below is not believed before the way there was seen.
    fn least_mv(&self) -> f64 {
        let least = self.layout.on_step(self.layout.mv.0);
        let now = self.setting.mv.iter().copied().fold(least, f64::max);
        let floor = match (self.shaken, self.complete) {
            (true, _) => now,
            (false, false) => DOWN_AT_ONCE * now,
            (false, true) => least,
        };
        self.layout.on_step(floor).min(self.most_mv()).max(least)
    }

    pub(super) fn most_mv(&self) -> f64 {
        self.caps
            .mv
            .unwrap_or(f64::MAX)
            .min(self.layout.mv.2)
            .max(self.layout.mv.0)
    }

    /// Boards as they are pictured now, with heat as it is now and would change with power.
    pub(super) fn plants(&self, seen: &Observation) -> Option<Vec<crate::Plant>> {
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
                let rest = &self.rest_k_per_w[board];
                let most = self.most_fan();
                let (from_full, to_most) = (
                    1.0 / air_factor(seen.fan_percent, 100.0),
                    air_factor(seen.fan_percent, most),
                );
                let rising: Vec<_> = sinks
                    .iter()
                    .enumerate()
                    .map(|(domain, &c)| {
                        // On the way to rest it is known from before where that will be; hotter air is seen at once.
                        if let Some(&slope) = rest.get(domain).filter(|_| !self.is_steady) {
                            let slope = slope * from_full;
                            return (self.air_c.0.max(c - slope * watts), slope * to_most);
                        }
                        // A board without load tells nothing of what load would do.
                        let slope = if watts > 0.3 * usual {
                            ((c - self.air_c.0) / watts).max(3.0 / usual)
                        } else {
                            35.0 / usual
                        };
                        (c - slope * watts, slope * to_most)
                    })
                    .collect();
                let mut plant = self.belief.plant(board, rising, &self.silent[board]);
                if to_most < 1.0 {
                    // Fans that could run faster are ruled by the temperature and let it stay as it is while they can.
                    plant.held_c = sinks;
                }
                let outcome = here.outcome(mv, &mhz);
                for (chip, &mhz) in mhz.iter().enumerate() {
                    plant.doubt_mv[chip] = self.doubt_mv(board, chip, mhz, &outcome);
                }
                plant.here_mhz = mhz;
                plant.most_mhz.clone_from(&self.most_mhz[board]);
                plant.doubt_per_mhz = (self.slope_doubt_down(), self.slope_doubt());
                Some(plant)
            })
            .collect()
    }

    /// Boards as they are remembered, with the heat that is usual: for questions while they do not run.
    pub(super) fn plants_remembered(&self) -> Vec<crate::Plant> {
        let usual = self.layout.nominal_ths * self.layout.nominal_j_per_th;
        (0..self.layout.boards())
            .map(|board| {
                let rest = &self.rest_k_per_w[board];
                let slower = air_factor(Some(100.0), self.most_fan());
                let rise = |domain| {
                    let known = rest.get(domain).map(|slope| slope * slower);
                    known.unwrap_or(35.0 / usual.max(1e-3))
                };
                let sinks = (0..self.layout.domains)
                    .map(|domain| (self.air_c.0, rise(domain)))
                    .collect();
                let mut plant = self.belief.plant(board, sinks, &self.silent[board]);
                let outcome = plant.outcome(self.setting.mv[board], &self.setting.mhz[board]);
                for chip in 0..plant.doubt_mv.len() {
                    let mhz = self.setting.mhz[board][chip];
                    plant.doubt_mv[chip] = self.doubt_mv(board, chip, mhz, &outcome);
                }
                plant.here_mhz.clone_from(&self.setting.mhz[board]);
                plant.most_mhz.clone_from(&self.most_mhz[board]);
                plant.doubt_per_mhz = (self.slope_doubt_down(), self.slope_doubt());
                plant
            })
            .collect()
    }

    pub(super) fn probe(
        &self,
        plan: &Plan,
        mv: &[f64],
        plants: &[crate::Plant],
    ) -> Option<Setting> {
        self.problem(plants, LEAST_MARGIN)
            .probe(&plan.setting, mv, plan.price)
    }

    /// Whether a chip is likelier to fail at the setting in force than a plan would allow.
    fn unsafe_now(&self, plants: &[crate::Plant]) -> bool {
        let problem = self.problem(plants, LEAST_MARGIN);
        let (_, _, outcomes) = problem.judge(&self.setting);
        outcomes.iter().zip(plants).any(|(outcome, plant)| {
            outcome.margins.iter().enumerate().any(|(chip, z)| {
                !plant.dead[chip]
                    && z - QUANTILE * plant.doubt_mv[chip] / plant.sigma_mv < LEAST_MARGIN - 0.3
            })
        })
    }

    /// How much better a plan is than the setting in force, as a share of the work, by the picture.
    pub(super) fn gain(&self, plan: &Plan, plants: &[crate::Plant]) -> f64 {
        let problem = self.problem(plants, LEAST_MARGIN);
        let (ths, watts, _) = problem.judge(&self.setting);
        if self.unsafe_now(plants) {
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

    pub(super) fn needs_probe(&self) -> bool {
        let (_, covariance) = self.belief.shared();
        covariance[1][1].sqrt() > 0.12 || covariance[2][2].sqrt() > 0.08
    }

    pub(super) fn doubt_words(&self) -> String {
        let (_, covariance) = self.belief.shared();
        format!(
            "slope ± {:.0} %, spread of cores ± {:.0} %",
            100.0 * covariance[1][1].max(0.0).sqrt(),
            100.0 * covariance[2][2].max(0.0).sqrt()
        )
    }

    /// Expected loss at a plan for want of knowledge: the work is a flat top, so doubt costs by its square.
    pub(super) fn regret_at(&self, plan: &Plan) -> f64 {
        let mut lost = 0.0;
        for (board, outcome) in plan.outcomes.iter().enumerate() {
            for (chip, &z) in outcome.margins.iter().enumerate() {
                if self.silent[board][chip] {
                    continue;
                }
                let mhz = plan.setting.mhz[board][chip];
                let variance = self.belief.margin_variance(board, chip, mhz, outcome);
                lost += mhz * self.layout.hashes_per_clock * 1e-6 * flat_top(z) * variance;
            }
        }
        lost / plan.ths.max(1e-9)
    }

    /// The same if the window were learned, without learning it: each chip's information is added to what is known.
    pub(super) fn regret_with(&self, window: &Window) -> f64 {
        let (mut lost, mut all) = (0.0, 0.0);
        let wrong = self.belief.wrong_share();
        for (board, seen) in window.boards.iter().enumerate() {
            let outcome = self.belief.at_window(board, seen);
            for (chip, count) in seen.counts.iter().enumerate() {
                if seen.dead[chip] {
                    continue;
                }
                let z = outcome.margins[chip].max(-3.0);
                let eta = phi(z);
                let bad = wrong * (1.0 - eta) + 1e-4;
                let information = count.expected
                    * density(z).powi(2)
                    * (1.0 / eta.max(0.01) + wrong * wrong / bad);
                let variance = self
                    .belief
                    .margin_variance(board, chip, seen.mhz[chip], &outcome);
                let after = 1.0 / (1.0 / variance.max(1e-9) + information);
                lost += seen.mhz[chip] * flat_top(z) * after;
                all += seen.mhz[chip] * eta;
            }
        }
        lost / f64::max(all, 1e-9)
    }

    pub(super) fn power_off(&self, watts: Option<f64>) -> f64 {
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

    pub(super) fn watts_now(&self, seen: &Observation) -> Option<f64> {
        self.belief
            .windows
            .last()
            .and_then(|window| window.watts)
            .or(seen.watts)
    }
}
