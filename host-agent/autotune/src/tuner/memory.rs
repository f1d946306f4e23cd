//! What is remembered: models of boards by serial number, taken over at the start and given out to be kept, and the steps told on
//! the way.

use super::{MOST_STEPS, Purpose, Tuner};
use crate::belief::{Anchor, Belief, BoardWindow, SHARED};
use crate::layout::{Layout, Scope};
use crate::math::{Square, inverse};
use crate::plan::Setting;
use crate::report::{BoardModel, ChipModel, DomainModel, Event, Fitted, Observation, Step};

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
        let mut fitted = fitted;
        fitted.extend(self.calibration.map(|told| Fitted {
            name: "meter_factor".into(),
            value: told.factor,
            sd: told.sd,
        }));
        let fan = self
            .last
            .as_ref()
            .and_then(|(_, seen)| seen.fan_percent)
            .unwrap_or(0.0);
        let anchors = self.anchors(best);
        self.layout
            .serials
            .iter()
            .enumerate()
            .filter_map(|(board, serial)| {
                let anchor = anchors[board].as_ref();
                let chips = (0..self.layout.chips()).map(|chip| {
                    let (offset_mv, sd_mv) = self.belief.offset(board, chip);
                    ChipModel {
                        offset_mv,
                        sd_mv,
                        mhz: best.mhz[board][chip],
                        margin: anchor.map(|anchor| anchor.margins[chip]),
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
                    calibration: self.calibration,
                    conditions: (self.air_c.0, fan),
                    regret: self.regret.clamp(0.0, 1.0),
                    complete: self.complete,
                    chips: chips.collect(),
                    domains: (0..self.layout.domains)
                        .map(|domain| {
                            let (leak, sd) = self.belief.leak(board, domain);
                            DomainModel {
                                leak,
                                sd,
                                sink_c: anchor.map(|anchor| anchor.sink_c[domain]),
                                k_per_w: self.rest_k_per_w[board].get(domain).copied(),
                            }
                        })
                        .collect(),
                    history: self.history.iter().cloned().collect(),
                })
            })
            .collect()
    }

    /// What is known of the margins at a setting, board by board; what was stored before, where nothing was measured since.
    fn anchors(&self, setting: &Setting) -> Vec<Option<Anchor>> {
        let Some(window) = self.belief.windows.last() else {
            return self.belief.anchors.clone();
        };
        let of = |(board, seen): (usize, &BoardWindow)| {
            let sinks = seen.sink_c.iter().map(|&c| (c, 0.0)).collect();
            let plant = self.belief.plant(board, sinks, &seen.dead);
            let (mv, mhz) = (setting.mv[board], setting.mhz[board].clone());
            let outcome = plant.outcome(mv, &mhz);
            let margins = (0..mhz.len()).map(|chip| {
                let variance = self
                    .belief
                    .margin_variance(board, chip, mhz[chip], &outcome);
                (outcome.margins[chip], variance.max(1e-6).sqrt())
            });
            Some(Anchor {
                margins: margins.collect(),
                sink_c: seen.sink_c.clone(),
                mv,
                mhz,
                weight: 1.0,
            })
        };
        window.boards.iter().enumerate().map(of).collect()
    }

    pub(super) fn adopt_saved(&mut self) {
        let mut setting = Setting::factory(&self.layout);
        let mut found = 0;
        let fresh = self.belief.clone();
        let mut threshold_mv = 0.0;
        let mut complete = true;
        for (board, serial) in self.layout.serials.clone().iter().enumerate() {
            let Some(model) = self
                .saved
                .iter()
                .find(|model| Some(&model.serial) == serial.as_ref())
                .cloned()
            else {
                continue;
            };
            if let Some(why) = model
                .check_form()
                .err()
                .or_else(|| unfit(&self.layout, &fresh, &model))
            {
                self.say(
                    &format!(
                        "the stored model of board {} is of this board",
                        model.serial
                    ),
                    why,
                    1.0,
                    "the model is not used; the board is learned anew from the factory's setting",
                );
                continue;
            }
            if found == 0 {
                let shared = std::array::from_fn(|i| model.shared[i]);
                if let Some(covariance) = covariance(&model) {
                    self.belief.resume(&shared, &covariance);
                }
                self.power_factor = model.power_factor.clamp(0.7, 1.4);
                self.calibration = model.calibration;
                self.air_c.0 = model.conditions.0;
                threshold_mv = model.shared[0];
                self.history
                    .extend(model.history.iter().rev().take(16).rev().cloned());
            }
            // Boards from different machines count from different means.
            let apart = model.shared[0] - threshold_mv;
            let offsets: Vec<_> = model
                .chips
                .iter()
                .map(|chip| (chip.offset_mv + apart, chip.sd_mv))
                .collect();
            let leaks: Vec<_> = model.domains.iter().map(|d| (d.leak, d.sd)).collect();
            self.belief.resume_chips(board, &offsets, &leaks);
            self.belief.anchors[board] = anchor(&model);
            let rises: Option<Vec<f64>> = model.domains.iter().map(|d| d.k_per_w).collect();
            self.rest_k_per_w[board] = rises.unwrap_or_default();
            setting.mv[board] = self.layout.on_step(model.mv);
            for (slot, chip) in setting.mhz[board].iter_mut().zip(&model.chips) {
                *slot = self.layout.on_grid(chip.mhz);
            }
            complete &= model.complete && model.aim == self.aim;
            found += 1;
        }
        self.known = found > 0;
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
        self.rest_k_per_w.iter_mut().for_each(Vec::clear);
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

/// Most entries and characters that a model may have where people write: the program's own are far below.
const MOST_ENTRIES: usize = 64;
const MOST_CHARS: usize = 200;

impl BoardModel {
    /// Whether this can be a model at all, whoever's board it is: sizes, words, numbers.
    ///
    /// # Errors
    ///
    /// What is wrong, in words.
    pub fn check_form(&self) -> Result<(), String> {
        let plain = |text: &str| {
            text.chars().count() <= MOST_CHARS && !text.chars().any(|c| c.is_control())
        };
        let name = |text: &str| (1..=64).contains(&text.chars().count()) && plain(text);
        if !name(&self.serial) || !name(&self.profile) {
            return Err(
                "its serial number or profile is none: 1 to 64 printable characters".into(),
            );
        }
        let many = self.chips.len().max(self.domains.len()) > 1024
            || self.fitted.len().max(self.history.len()) > MOST_ENTRIES
            || self.shared.len() > MOST_ENTRIES
            || self.covariance.len() > MOST_ENTRIES * MOST_ENTRIES;
        if many {
            return Err("it has far more entries than a model of a board has".into());
        }
        let words = self.fitted.iter().map(|fitted| &fitted.name);
        if !words
            .chain(self.history.iter().map(|event| &event.what))
            .all(|text| plain(text))
        {
            return Err("its words are too long or have control characters".into());
        }
        let told = [
            self.mv,
            self.power_factor,
            self.conditions.0,
            self.conditions.1,
        ]
        .into_iter()
        .chain(self.fitted.iter().flat_map(|f| [f.value, f.sd]))
        .chain(self.shared.iter().copied())
        .chain(self.covariance.iter().copied())
        .chain(self.history.iter().map(|event| event.at_s));
        if told.into_iter().any(|x| !x.is_finite() || x.abs() > 1e12) {
            return Err("a number of it is none".into());
        }
        if !(0.0..=1.0).contains(&self.regret) {
            return Err(format!("its expected loss of {} is no share", self.regret));
        }
        if !self.aim.is_sane() {
            return Err(format!("its aim {:?} cannot be meant", self.aim));
        }
        Ok(())
    }

    /// Whether this can be the model of a board of such a machine: format, profile, counts and all numbers.
    ///
    /// # Errors
    ///
    /// What does not fit, in words.
    pub fn check(&self, layout: &Layout) -> Result<(), String> {
        self.check_form()?;
        match unfit(layout, &Belief::new(layout), self) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }
}

/// The covariance of a stored model; none if it is not symmetric and positive.
fn covariance(model: &BoardModel) -> Option<Square<SHARED>> {
    if model.covariance.len() != SHARED * SHARED {
        return None;
    }
    let rows: Square<SHARED> =
        std::array::from_fn(|r| std::array::from_fn(|c| model.covariance[r * SHARED + c]));
    let symmetric = (0..SHARED).all(|r| {
        (0..SHARED).all(|c| {
            let size = (rows[r][r] * rows[c][c]).sqrt();
            (rows[r][c] - rows[c][r]).abs() <= 1e-6 * size
        })
    });
    (symmetric && inverse(&rows).is_some()).then_some(rows)
}

/// What makes a stored model one of another board, or no model at all.
fn unfit(layout: &Layout, fresh: &Belief, model: &BoardModel) -> Option<String> {
    if model.version != 1 {
        return Some(format!(
            "it has format version {}, this program reads version 1",
            model.version
        ));
    }
    if model.profile != layout.model {
        return Some(format!(
            "it was learned on a board of profile {}, this one is {}",
            model.profile, layout.model
        ));
    }
    if model.chips.len() != layout.chips() {
        return Some(format!(
            "it has {} chips, this board has {}",
            model.chips.len(),
            layout.chips()
        ));
    }
    let (least, _, most) = layout.mv;
    if !(0.99 * least..=1.01 * most).contains(&model.mv) {
        return Some(format!(
            "its voltage of {} mV is outside of this board's {least:.0} to {most:.0} mV",
            model.mv
        ));
    }
    let (least, _, most) = layout.clock_mhz;
    let odd_clock = model
        .chips
        .iter()
        .position(|chip| !(0.99 * least..=1.01 * most).contains(&chip.mhz));
    if let Some(chip) = odd_clock {
        return Some(format!(
            "its clock of {} MHz for chip {chip} is outside of this board's {least} to {most} MHz",
            model.chips[chip].mhz
        ));
    }
    let far = 0.2 * layout.mv.1 / layout.domains as f64;
    let odd_chip = model
        .chips
        .iter()
        .position(|chip| !(chip.offset_mv.abs() < far && chip.sd_mv > 0.0 && chip.sd_mv < far));
    if let Some(chip) = odd_chip {
        let odd = &model.chips[chip];
        return Some(format!(
            "its numbers for chip {chip} cannot be: offset {} mV with a deviation of {} mV",
            odd.offset_mv, odd.sd_mv
        ));
    }
    let domains_fit = model.domains.len() == layout.domains
        && model
            .domains
            .iter()
            .all(|domain| domain.leak.abs() < 3.0 && domain.sd > 0.0 && domain.sd < 3.0);
    if !domains_fit {
        return Some("its domains are not those of this board, or their numbers cannot be".into());
    }
    let odd = |x: f64, most: f64| !(x.is_finite() && x.abs() <= most);
    let odd_heat = model.domains.iter().any(|domain| {
        domain.sink_c.is_some_and(|c| odd(c, 150.0))
            || domain.k_per_w.is_some_and(|k| odd(k, 100.0) || k < 0.0)
    });
    let odd_margin = model.chips.iter().any(|chip| {
        chip.margin
            .is_some_and(|(margin, sd)| odd(margin, 100.0) || odd(sd, 100.0) || sd <= 0.0)
    });
    if odd_heat || odd_margin {
        return Some("its temperatures or margins cannot be: it is damaged".into());
    }
    if model.shared.len() != SHARED || !fresh.plausible(&model.shared) {
        return Some("its fitted numbers cannot be those of a board of this profile".into());
    }
    if covariance(model).is_none() {
        return Some("its covariance is not one: it is damaged".into());
    }
    let usual = |x: f64| (0.5..=2.0).contains(&x);
    let calibrated = model.calibration.is_none_or(|told| {
        usual(told.factor) && told.sd > 0.0 && told.sd < 0.5 && told.watts.is_finite()
    });
    if !usual(model.power_factor) || !calibrated || !(-60.0..=80.0).contains(&model.conditions.0) {
        return Some("its correction of power or its conditions cannot be: it is damaged".into());
    }
    None
}

/// What a stored model says of the margins at its setting, if it is complete.
fn anchor(model: &BoardModel) -> Option<Anchor> {
    Some(Anchor {
        mv: model.mv,
        mhz: model.chips.iter().map(|chip| chip.mhz).collect(),
        sink_c: model
            .domains
            .iter()
            .map(|d| d.sink_c)
            .collect::<Option<_>>()?,
        margins: model
            .chips
            .iter()
            .map(|chip| chip.margin)
            .collect::<Option<_>>()?,
        weight: 1.0,
    })
}
