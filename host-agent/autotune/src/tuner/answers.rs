//! What the tuner answers: where it stands, what another aim would bring, why a chip sits where it sits.

use super::{LEAST_MARGIN, Phase, Purpose, Tuner};
use crate::math::phi;
use crate::plan::{Aim, Plan, Reach, Setting};
use crate::report::{Activity, ChipQuality, Explanation, Grade, Prediction, Status};

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
            ths: plan.map_or(0.0, |_| self.promised_total.0),
            watts: plan.map_or(0.0, |_| self.promised_total.1),
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

    /// How far learning is, 0 to 1, and how many seconds it may still take; none where it does not go on, for want of power or work.
    #[must_use]
    pub fn progress(&self) -> (f64, Option<f64>) {
        match self.phase {
            Phase::Off => (0.0, None),
            Phase::Keeping => (1.0, Some(0.0)),
            Phase::Waiting | Phase::Held => (self.progress, None),
            _ if !self.has_work() => (self.progress, None),
            _ => (self.progress, Some(self.remaining_s())),
        }
    }

    pub(super) fn learning(&self) -> bool {
        !matches!(
            self.phase,
            Phase::Off | Phase::Waiting | Phase::Keeping | Phase::Held
        )
    }

    pub(super) fn share_done(&self) -> f64 {
        match self.phase {
            Phase::Keeping => 1.0,
            _ => (self.spent_s / (self.spent_s + self.remaining_s()).max(1.0)).min(0.99),
        }
    }

    /// A guess from how tuning usually goes: three or four settings, and neighbours where slope and spread are not known.
    fn remaining_s(&self) -> f64 {
        let few = self.layout.chips() * self.layout.boards() <= 16;
        let (most, usual) = if few { (180.0, 70.0) } else { (100.0, 35.0) };
        let window = match self.purpose {
            Purpose::Check if self.complete => return (20.0 - self.window_s).max(5.0),
            Purpose::Check => 20.0,
            Purpose::Probe => 0.5 * most,
            _ => usual,
        };
        let here = (window - self.window_s).max(5.0);
        let more = f64::from(4_u32.saturating_sub(self.rounds + 1)) * (usual + 8.0);
        let probes = if self.needs_probe() {
            f64::from(2_u32.saturating_sub(self.probes)) * (0.5 * most + 8.0)
        } else {
            0.0
        };
        here + more + probes
    }

    /// What is known of each chip of a board, in chain order; empty if there is no such board.
    #[must_use]
    pub fn quality(&self, board: usize) -> Vec<ChipQuality> {
        let Some(silent) = self.silent.get(board) else {
            return Vec::new();
        };
        let spread = self.belief.spread_mv();
        silent
            .iter()
            .enumerate()
            .map(|(chip, &silent)| {
                let (offset_mv, sd_mv) = self.belief.offset(board, chip);
                // Beyond one spread of the chips: a sixth of them at either end.
                let sure = 2.0 * sd_mv;
                let grade = if silent {
                    Grade::Silent
                } else if offset_mv > spread.max(sure) {
                    Grade::Weak
                } else if offset_mv < -spread.max(sure) {
                    Grade::Strong
                } else {
                    Grade::Normal
                };
                ChipQuality {
                    offset_mv,
                    sd_mv,
                    silent,
                    grade,
                }
            })
            .collect()
    }

    /// The best settings from the least to the most power inside the caps, at most 64 and by rising power; empty while nothing is
    /// known of the boards.
    #[must_use]
    pub fn curve(&self, points: usize) -> Vec<Prediction> {
        let points = points.clamp(2, 64);
        let Some(plants) = self.plants_in_mind() else {
            return Vec::new();
        };
        let mut problem = self.problem(&plants, LEAST_MARGIN);
        problem.price = None;
        problem.aim = Aim::Watts(1e-3);
        let Some(least) = self.solve_from_afar(&problem) else {
            return Vec::new();
        };
        problem.aim = Aim::Watts(1e9);
        let Some(most) = self.solve_from_afar(&problem) else {
            return Vec::new();
        };
        // Downward, as the search for a cap goes: from much power to less.
        let mut plans = vec![most];
        for point in (1..points - 1).rev() {
            let before = &plans[plans.len() - 1];
            let share = point as f64 / (points - 1) as f64;
            let want = least.watts + share * (plans[0].watts - least.watts);
            problem.aim = Aim::Watts(want.max(1e-3));
            problem.price = Some(before.price).filter(|price| *price > 0.0);
            // A point that is dearer and does not do more is none of the frontier's.
            if let Some(plan) = problem.solve(&before.setting).filter(|plan| {
                plan.watts < before.watts
                    && plan.ths < before.ths
                    && plan.watts > least.watts
                    && plan.ths > least.ths
            }) {
                plans.push(plan);
            }
        }
        if plans[plans.len() - 1].ths > least.ths {
            plans.push(least);
        }
        plans.reverse();
        plans
            .iter()
            .map(|plan| Prediction {
                reach: Reach::Reached,
                ..self.foretell(plan)
            })
            .collect()
    }

    /// What the boards would do under another aim, by what is known now: with the heat of now while they run, else with usual heat.
    /// None while nothing is known of them, or where no setting is safe.
    #[must_use]
    pub fn predict(&self, aim: Aim) -> Option<Prediction> {
        if !aim.is_sane() {
            return None;
        }
        let plants = self.plants_in_mind()?;
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
        Some(self.foretell(&plan))
    }

    /// Boards to ask about what is not: as they are seen if they run, else as they are remembered.
    fn plants_in_mind(&self) -> Option<Vec<crate::Plant>> {
        let seen = self.last.as_ref().map(|(_, seen)| seen);
        let runs = seen.filter(|seen| self.fits(seen) && seen.boards.iter().all(|b| b.running));
        match runs.and_then(|seen| self.plants(seen)) {
            Some(plants) => Some(plants),
            None => self.known.then(|| self.plants_remembered()),
        }
    }

    fn foretell(&self, plan: &Plan) -> Prediction {
        let (rate_sd, power_sd) = self.belief.doubts(&plan.setting.mhz, &plan.outcomes);
        let meter = self.calibration.map_or(0.0, |told| told.sd / told.factor);
        let rate = 1.96 * (rate_sd / plan.ths.max(1e-9)).hypot(0.006);
        let power = 1.96 * power_sd.hypot(0.008).hypot(meter);
        let around = |value: f64, share: f64| {
            [
                value,
                value * (1.0 - share).max(0.0),
                value * (1.0 + share.min(10.0)),
            ]
        };
        Prediction {
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
        }
    }

    /// Why a chip sits where it sits; none while there is no plan, or if there is no such chip.
    #[must_use]
    pub fn explain(&self, board: usize, chip: usize) -> Option<Explanation> {
        let clocks = self.setting.mhz.get(board)?;
        let mhz = *clocks.get(chip)?;
        let board_mhz = clocks.iter().sum::<f64>() / clocks.len() as f64;
        let plan = self.plan.as_ref()?;
        let margin = *plan.outcomes.get(board)?.margins.get(chip)?;
        let (offset, sd) = self.belief.offset(board, chip);
        let grade = self.quality(board).get(chip)?.grade;
        let delivered = phi(margin);
        let than = format!("{:.1} mV (±{:.1} mV)", offset.abs(), 2.0 * sd);
        let why = if clocks.len() == 1 {
            format!(
                "It is the only chip of its board, so its clock and the voltage follow the aim alone. By its counts it works right from \
                 {than} {} than the profile of this board lets expect",
                if offset < 0.0 { "less" } else { "more" }
            )
        } else if grade == Grade::Silent {
            "It does not answer. Until the chain has been started again nothing can be said of it"
                .to_owned()
        } else if offset.abs() <= 2.0 * sd {
            format!(
                "Its counts do not tell it from the average chip yet: its threshold is within {:.1} mV of the mean",
                offset.abs() + 2.0 * sd
            )
        } else if offset > 0.0 {
            format!(
                "It needs {than} more than the average chip to work right, so it runs slower than it would otherwise"
            )
        } else {
            format!(
                "It works right with {than} less than the average chip, so it can run faster than it would otherwise"
            )
        };
        let place = if (mhz - board_mhz).abs() < self.layout.grid_mhz {
            "as fast as its board's chips on average".to_owned()
        } else {
            format!(
                "{:.1} MHz {} than its board's chips on average",
                (mhz - board_mhz).abs(),
                if mhz > board_mhz { "faster" } else { "slower" }
            )
        };
        Some(Explanation {
            mhz,
            board_mhz,
            offset_mv: (offset, sd),
            margin,
            delivered,
            words: format!(
                "chip {chip} of board {board} runs at {mhz:.1} MHz, {place}. {why}. At this setting {:.2} % of its work is expected \
                 to be right.",
                100.0 * delivered
            ),
        })
    }
}
