//! What cannot wait: chips that deliver too little, sensors that are stuck, throttling. All end at a setting known to be safe.

use super::{
    BLIND_S, FALSE_ALARM, OVER, OVER_S, Purpose, SLOWED, SLOWED_LITTLE, STUCK, STUCK_POWER,
    SensorWatch, TOO_HOT_K, TOO_HOT_S, Tuner,
};
use crate::belief::Count;
use crate::plan::Setting;
use crate::report::Observation;

impl Tuner {
    /// Chips that were silent and count again.
    pub(super) fn hear(&mut self) {
        for (board, counts) in self.window.iter().enumerate() {
            for (chip, count) in counts.chips.iter().enumerate() {
                if self.silent[board][chip] && count.valid > 20.0 {
                    self.silent[board][chip] = false;
                }
            }
        }
    }

    /// Whether a temperature is above what the owner allows. The profile's own bounds are the guard's matter.
    pub(super) fn too_hot(&self, seen: &Observation) -> bool {
        let above = |c: Option<f64>, most: Option<f64>| match (c, most) {
            (Some(c), Some(most)) => c > most + TOO_HOT_K,
            _ => false,
        };
        seen.boards.iter().any(|board| {
            let sensors = board.board_c.iter().take(self.layout.sensors.len());
            above(board.chip_c, self.caps.chip_c)
                || sensors.into_iter().any(|&c| above(c, self.caps.board_c))
        })
    }

    /// A board of which no temperature is known.
    pub(super) fn blind(&self, seen: &Observation) -> Option<usize> {
        (0..self.layout.boards()).find(|&board| {
            seen.boards.get(board).is_some() && self.sinks_now(board, seen).is_none()
        })
    }

    /// Alarms that cannot wait for the end of a window. True when one was acted upon.
    pub(super) fn react(&mut self, seen: &Observation) -> bool {
        if let Some((board, sensor)) = self.stuck_sensor() {
            self.hold(&format!("sensor {sensor} of board {board} is stuck"), seen);
            return true;
        }
        if self.blind_s > BLIND_S
            && let Some(board) = self.blind(seen)
        {
            self.hold(
                &format!("no sensor of board {board} tells a temperature"),
                seen,
            );
            return true;
        }
        if let (Some(cap), Some(watts)) = (self.caps.watts, self.watts.get())
            && self.window_s >= OVER_S
            && watts > OVER * cap
        {
            let off = watts / self.promised_total.1.max(1e-3);
            self.power_factor = (self.power_factor * off).clamp(0.7, 1.4);
            self.promised_total.1 = watts;
            self.follow();
            return true;
        }
        if self.too_hot_s > TOO_HOT_S {
            self.too_hot_s = 0.0;
            if let Some(plan) = self
                .make_plan(seen, false)
                .filter(|p| p.setting != self.setting)
            {
                self.say(
                    "temperatures stay below what the owner allows",
                    "one has been above for ten seconds".into(),
                    0.99,
                    "less power",
                );
                self.go(plan, Purpose::Best, seen);
                return true;
            }
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
            if let Some(plan) = self.make_plan(seen, false) {
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
        self.shaken = true;
        let evidence = format!(
            "{} chip(s), first chip {chip} of board {board}: less than half of what was expected",
            changed.len()
        );
        for &(board, chip) in &changed {
            self.watch[board][chip].reset();
        }
        let first_mute: Vec<Option<usize>> = self
            .window
            .iter()
            .map(|board| {
                let mute = |c: &Count| c.expected > 8.0 && c.valid < 0.03 * c.expected;
                board.chips.iter().position(mute)
            })
            .collect();
        for &(board, chip) in &changed {
            let count = self.window[board].chips[chip];
            // Those behind a mute one say nothing of themselves.
            let behind = first_mute[board].is_some_and(|first| chip > first);
            if !behind {
                let little = count.valid > 0.3 * count.expected;
                let factor = if little { SLOWED_LITTLE } else { SLOWED };
                let most = factor * self.setting.mhz[board][chip];
                self.most_mhz[board][chip] = most.max(self.layout.clock_mhz.0);
            }
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
                let good = (self.good.clone(), self.factory_well);
                self.learn(window);
                (self.good, self.factory_well) = good;
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
            let good = (self.good.clone(), self.factory_well);
            self.learn(window);
            (self.good, self.factory_well) = good;
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
    pub(super) fn hold(&mut self, why: &str, seen: &Observation) {
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

    pub(super) fn watch_sensors(&mut self, seen: &Observation) {
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
    pub(super) fn stuck_sensor(&self) -> Option<(usize, usize)> {
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
}
