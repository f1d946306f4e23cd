//! What is remembered: models of boards by serial number, taken over at the start and given out to be kept, and the steps told on
//! the way.

use super::{MOST_STEPS, Purpose, Tuner};
use crate::belief::{Belief, SHARED};
use crate::layout::Scope;
use crate::plan::Setting;
use crate::report::{BoardModel, ChipModel, Event, Fitted, Observation, Step};

impl Tuner {
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

    pub(super) fn adopt_saved(&mut self) {
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
    pub(super) fn forget(&mut self, why: String, seen: &Observation) {
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

    pub(super) fn say(
        &mut self,
        hypothesis: &str,
        evidence: String,
        confidence: f64,
        decision: &str,
    ) {
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

    pub(super) fn note(&mut self, what: &str) {
        if self.history.len() >= 32 {
            self.history.pop_front();
        }
        self.history.push_back(Event {
            at_s: self.now.as_secs_f64(),
            what: what.to_owned(),
        });
    }
}
