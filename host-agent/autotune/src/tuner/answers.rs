//! What the tuner answers: where it stands, what another aim would bring, why a chip sits where it sits.

use super::{LEAST_MARGIN, Phase, Tuner};
use crate::math::phi;
use crate::plan::{Aim, Plan, Reach, Setting};
use crate::report::{Activity, Explanation, Prediction, Status};

impl Tuner {
    /// Where the tuner stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let plan = self.plan.as_ref();
        Status {
            activity: match self.phase {
                Phase::Off => Activity::Off,
                Phase::Waiting => Activity::Waiting(self.reason.clone()),
                Phase::VoltageFirst | Phase::ClocksFirst | Phase::Arriving => Activity::Moving,
                Phase::Measuring | Phase::Keeping if !self.has_work() => {
                    Activity::Waiting("no work from the pool".into())
                }
                Phase::Measuring => Activity::Measuring,
                Phase::Keeping => Activity::Keeping,
                Phase::Held => Activity::Held(self.reason.clone()),
            },
            aim: self.aim,
            reach: plan.map_or(Reach::Reached, |plan| plan.reach),
            rounds: self.rounds,
            mv: self.setting.mv.first().copied().unwrap_or(0.0),
            mhz: self.setting.mean_mhz(),
            ths: plan.map_or(0.0, |plan| plan.ths),
            watts: plan.map_or(0.0, |plan| plan.watts),
            regret: self.regret,
            silent: self
                .silent
                .iter()
                .enumerate()
                .flat_map(|(board, chips)| {
                    let silent = chips.iter().enumerate().filter(|(_, silent)| **silent);
                    silent.map(move |(chip, _)| (board, chip))
                })
                .collect(),
        }
    }

    /// What the boards would do under another aim, by what is known now; none before they were seen running.
    #[must_use]
    pub fn predict(&self, aim: Aim) -> Option<Prediction> {
        let (_, seen) = self.last.as_ref()?;
        let plants = self.plants(seen)?;
        let mut problem = self.problem(&plants, LEAST_MARGIN);
        problem.aim = aim;
        problem.price = None;
        let plan = if aim == Aim::Off {
            let setting = Setting::factory(&self.layout);
            let (ths, watts, outcomes) = problem.judge(&setting);
            Plan {
                setting,
                outcomes,
                ths,
                watts,
                price: 0.0,
                reach: Reach::Reached,
            }
        } else {
            self.solve_from_afar(&problem)?
        };
        let (rate_sd, power_sd) = self.belief.doubts(&plan.setting.mhz, &plan.outcomes);
        let rate = 1.96 * (rate_sd / plan.ths.max(1e-9)).hypot(0.006);
        let power = 1.96 * power_sd.hypot(0.008);
        let around = |value: f64, share: f64| [value, value * (1.0 - share), value * (1.0 + share)];
        Some(Prediction {
            mv: plan.setting.mv.first().copied().unwrap_or(0.0),
            mhz: plan.setting.mean_mhz(),
            ths: around(plan.ths, rate),
            watts: around(plan.watts, power),
            j_per_th: around(plan.watts / plan.ths.max(1e-9), rate.hypot(power)),
            chip_c: plan
                .outcomes
                .iter()
                .map(|o| o.hottest_c)
                .fold(f64::NEG_INFINITY, f64::max),
            reach: plan.reach,
        })
    }

    /// Why a chip sits where it sits.
    #[must_use]
    pub fn explain(&self, board: usize, chip: usize) -> Option<Explanation> {
        let mhz = *self.setting.mhz.get(board)?.get(chip)?;
        let board_mhz =
            self.setting.mhz[board].iter().sum::<f64>() / self.setting.mhz[board].len() as f64;
        let offset = self.belief.offset(board, chip);
        let plan = self.plan.as_ref()?;
        let margin = *plan.outcomes.get(board)?.margins.get(chip)?;
        let kind = if self.silent[board][chip] {
            "does not answer, so it gets the lowest clock"
        } else if offset.0 > 2.0 * offset.1 {
            "needs more voltage than the others, so it is slowed"
        } else if offset.0 < -2.0 * offset.1 {
            "works with less voltage than the others, so it is raised"
        } else {
            "cannot be told from the average chip yet"
        };
        Some(Explanation {
            mhz,
            board_mhz,
            offset_mv: offset,
            margin,
            delivered: phi(margin),
            words: format!(
                "chip {chip} of board {board} {kind}: threshold {:+.1} ± {:.1} mV against the mean, {mhz:.1} MHz against {board_mhz:.1}",
                offset.0, offset.1
            ),
        })
    }
}
