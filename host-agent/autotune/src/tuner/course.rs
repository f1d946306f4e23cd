//! The course of tuning: measure, learn, move where it is better, and in the end keep.

use std::time::Duration;

use super::{
    CONSIDER, ENOUGH, FIRST_KEEP_WINDOW, HALF_LIFE_S, KEEP_WINDOW, LEAST_MARGIN, LEAST_WINDOW,
    MOST_ROUNDS, MOST_WINDOW, MOST_WINDOW_FEW, Mean, POWER_OFF, PROBE_WINDOW, Phase, Purpose,
    TRIM_WINDOW, TRUSTED, TRUSTED_LITTLE, Tuner, WORTH, WORTH_KEEPING, promise,
};
use crate::belief::Window;
use crate::plan::{Plan, Reach, Setting};
use crate::report::{Command, Observation};

impl Tuner {
    pub(super) fn begin(&mut self) {
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
        self.silent
            .iter_mut()
            .flatten()
            .for_each(|silent| *silent = false);
        let setting = if again {
            self.purpose = Purpose::Best;
            let plan = self.make_plan(&seen, false);
            let setting = plan.as_ref().map(|plan| plan.setting.clone());
            self.plan = plan.or(self.plan.take());
            setting
                .or(self.good.clone())
                .unwrap_or_else(|| self.setting.clone())
        } else {
            self.setting.clone()
        };
        let setting = if self.purpose == Purpose::Baseline && !again {
            self.within_caps(setting)
        } else {
            setting
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
                if setting == Setting::factory(&self.layout) {
                    "all chips work at the factory's setting"
                } else {
                    "all chips work at the published setting of a lower clock, because of the owner's bounds"
                },
                "nothing is known of these boards".into(),
                0.9,
                "measure there first",
            );
        }
        self.started = true;
        self.order(setting, &seen);
    }

    /// The first setting, before anything is known: lower along the published curve where the owner's bounds forbid the factory's.
    fn within_caps(&self, setting: Setting) -> Setting {
        let plants = self.plants_remembered();
        let problem = self.problem(&plants, LEAST_MARGIN);
        let fits = |setting: &Setting| {
            let (_, watts, outcomes) = problem.judge(setting);
            let hottest = outcomes.iter().map(|o| o.hottest_c).fold(0.0, f64::max);
            setting.mv.iter().all(|&mv| mv <= self.most_mv() + 0.5)
                && watts <= 0.95 * self.caps.watts.unwrap_or(f64::MAX)
                && hottest <= self.caps.chip_c.unwrap_or(f64::MAX)
        };
        if fits(&setting) {
            return setting;
        }
        let domains = self.layout.domains as f64;
        let usual = self.layout.curve_mv(self.layout.clock_mhz.1).max(1.0);
        let mut mhz = self.layout.on_grid(self.layout.clock_mhz.1);
        let least = self.layout.on_grid(self.layout.clock_mhz.0);
        loop {
            // As far above the curve as the factory's setting is above it.
            let mv = self.layout.mv.1 * self.layout.curve_mv(mhz) / usual;
            let mv = self.layout.on_step(mv).min(self.most_mv());
            let next = Setting::uniform(&self.layout, mv.max(self.layout.mv.0), mhz);
            let fed = mv >= 0.98 * self.layout.curve_mv(mhz) * domains;
            if mhz <= least || (fed && fits(&next)) {
                return next;
            }
            mhz = (mhz - self.layout.grid_mhz).max(least);
        }
    }

    pub(super) fn measure(&mut self, seen: &Observation) {
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
            Purpose::Probe => length >= PROBE_WINDOW,
            Purpose::Best | Purpose::Retreat => self.regret_with(&window) < ENOUGH,
        };
        if !enough && length < most {
            return;
        }
        if self.purpose == Purpose::Check && !self.check(&window, seen) {
            return;
        }
        self.shaken = false;
        self.learn(window);
        self.decide(seen);
    }

    /// Whether the stored model explains the counts; if not it is forgotten.
    pub(super) fn check(&mut self, window: &Window, seen: &Observation) -> bool {
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

    pub(super) fn learn(&mut self, window: Window) {
        for (trusted, board) in self.most_mhz.iter_mut().zip(&window.boards) {
            for (most, count) in trusted.iter_mut().zip(&board.counts) {
                if most.is_finite() && count.expected > 60.0 && count.valid > 0.6 * count.expected {
                    let well = count.valid > 0.9 * count.expected;
                    *most *= if well { TRUSTED } else { TRUSTED_LITTLE };
                    if *most > self.layout.clock_mhz.2 {
                        *most = f64::INFINITY;
                    }
                }
            }
        }
        self.learn_heat(&window);
        self.belief.learn(window, &self.layout);
        self.anchor_power();
        self.prove();
        self.good = Some(self.setting.clone());
        self.factory_well |= self.setting == Setting::factory(&self.layout);
        self.rounds += 1;
        self.known = true;
        self.clear_window();
    }

    pub(super) fn decide(&mut self, seen: &Observation) {
        if self.blind(seen).is_some() {
            return;
        }
        let plants = self.plants(seen).unwrap_or_default();
        let mut best = self.best_plan(seen, &plants);
        if best.as_ref().is_none_or(|(_, gain)| *gain < WORTH)
            && let Some(far) = self.plan_from_afar(seen)
        {
            // Before it settles: the best may lie behind a hollow.
            let gain = self.gain(&far, &plants);
            if best.as_ref().is_none_or(|(_, near)| gain > near + WORTH) {
                best = Some((far, gain));
            }
        }
        let Some((plan, gain)) = best else {
            // What runs all day without the tuner is never the wrong place to wait.
            let factory = Setting::factory(&self.layout);
            let plants = self.plants(seen).unwrap_or_default();
            let (_, watts, _) = self.problem(&plants, LEAST_MARGIN).judge(&factory);
            if self.factory_well && watts <= self.most_watts() {
                self.good = Some(factory);
            }
            self.hold(
                "no setting is as safe as it should be by what is known",
                seen,
            );
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

    pub(super) fn finish(&mut self, plan: Plan, evidence: String, seen: &Observation, go: bool) {
        self.complete = true;
        self.keep_window = FIRST_KEEP_WINDOW;
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
            self.stay(plan, seen);
            self.clear_window();
            self.enter(Phase::Keeping);
        }
    }

    pub(super) fn keep(&mut self, seen: &Observation) {
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
        if length < self.keep_window && !(off.abs() > POWER_OFF && length >= TRIM_WINDOW) {
            if trim.is_some() {
                self.trim = Mean::default();
            }
            return;
        }
        let Some(window) = self.take_window(seen) else {
            return;
        };
        self.keep_window = (2 * self.keep_window).min(KEEP_WINDOW);
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
            self.stay(plan, seen);
        }
    }

    /// Promises what the setting in force does, by what is known now; a plan that is hardly better is not followed.
    fn stay(&mut self, plan: Plan, seen: &Observation) {
        self.promise(seen);
        let outcomes = self.plants(seen).map(|plants| {
            let (_, _, outcomes) = self.problem(&plants, LEAST_MARGIN).judge(&self.setting);
            outcomes
        });
        self.plan = Some(Plan {
            setting: self.setting.clone(),
            outcomes: outcomes.unwrap_or_else(|| plan.outcomes.clone()),
            ths: self.promised_total.0,
            watts: self.promised_total.1,
            ..plan
        });
    }

    /// In safe waiting: goes on when what was wrong is gone.
    pub(super) fn held(&mut self, seen: &Observation) {
        let stuck = self.stuck_sensor();
        let answers = self.silent.iter().flatten().all(|silent| !silent);
        let told = self.blind(seen).is_none();
        if stuck.is_none() && told && answers && self.waited(Duration::from_secs(120)) && seen.work
        {
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

    pub(super) fn go(&mut self, plan: Plan, purpose: Purpose, seen: &Observation) {
        self.purpose = purpose;
        let setting = plan.setting.clone();
        self.plan = Some(plan);
        self.order(setting, seen);
    }
}
