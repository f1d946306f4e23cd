//! What tuners show, as the API tells it.

use std::time::Duration;

use autotune::{Activity, Explanation, Grade, Reach, Step};
use rpc::tuner::{ChipAt, ChipQuality, StationTuner, TunerStep};

use super::View;

impl View {
    /// As the API tells it. `station` is the position among the stations, `now` the agent's time, `unix_s` the
    /// time of day.
    #[must_use]
    pub fn told(&self, station: usize, now: Duration, unix_s: u64) -> StationTuner {
        let status = &self.status;
        let (activity, because) = match &status.activity {
            Activity::Off => ("off", None),
            Activity::Waiting(why) => ("waiting", Some(why.clone())),
            Activity::Moving => ("moving", None),
            Activity::Measuring => ("measuring", None),
            Activity::Keeping => ("keeping", None),
            Activity::Held(why) => ("held", Some(why.clone())),
        };
        let learning = matches!(
            status.activity,
            Activity::Moving | Activity::Measuring | Activity::Waiting(_)
        );
        let silent = status.silent.iter().filter_map(|&(board, chip)| {
            let board = *self.boards.get(board)?;
            Some(ChipAt { board, chip })
        });
        StationTuner {
            station,
            boards: self.boards.clone(),
            activity: activity.to_owned(),
            because: because.map(|why| self.renamed(&why)),
            reach: reach(status.reach).to_owned(),
            rounds: status.rounds,
            mv: status.mv,
            mhz: status.mhz,
            ths: status.ths,
            watts: status.watts,
            regret_percent: 100.0 * status.regret,
            progress_percent: learning.then_some(100.0 * self.progress.0),
            remaining_s: self.progress.1.filter(|_| learning),
            silent: silent.collect(),
            trouble: self.trouble.clone(),
            last: self
                .steps
                .back()
                .map(|step| self.step(station, step, now, unix_s)),
        }
    }

    /// The newest steps, oldest first.
    pub fn told_steps(
        &self,
        station: usize,
        now: Duration,
        unix_s: u64,
    ) -> impl Iterator<Item = TunerStep> {
        self.steps
            .iter()
            .map(move |step| self.step(station, step, now, unix_s))
    }

    /// What is known of a chip of a board, by the board's position in the config.
    #[must_use]
    pub fn chip(&self, board: usize, chip: usize) -> Option<ChipQuality> {
        let place = self.boards.iter().position(|own| *own == board)?;
        let known = self.quality.get(place)?.get(chip)?;
        Some(ChipQuality {
            offset_mv: known.offset_mv,
            sd_mv: known.sd_mv,
            grade: match known.grade {
                Grade::Strong => "strong",
                Grade::Normal => "normal",
                Grade::Weak => "weak",
                Grade::Silent => "silent",
            }
            .to_owned(),
        })
    }

    /// The same with words that name the board as people know it.
    #[must_use]
    pub fn told_explanation(&self, explanation: Explanation) -> Explanation {
        Explanation {
            words: self.renamed(&explanation.words),
            ..explanation
        }
    }

    fn step(&self, station: usize, step: &Step, now: Duration, unix_s: u64) -> TunerStep {
        let ago = (now.as_secs_f64() - step.at_s).max(0.0);
        TunerStep {
            station,
            unix_s: unix_s.saturating_sub(ago as u64),
            hypothesis: self.renamed(&step.hypothesis),
            evidence: self.renamed(&step.evidence),
            confidence: step.confidence,
            decision: self.renamed(&step.decision),
        }
    }

    /// A tuner counts the boards of its station from 0; people count all boards.
    pub(super) fn renamed(&self, text: &str) -> String {
        renamed(text, &self.boards)
    }
}

pub(super) fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::Reached => "reached",
        Reach::TooLittlePower => "too_little_power",
        Reach::TooMuchWork => "too_much_work",
        Reach::TooMuchPower => "too_much_power",
        Reach::NoProfit => "no_profit",
    }
}

fn renamed(text: &str, boards: &[usize]) -> String {
    const WORD: &str = "board ";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(WORD) {
        let (before, after) = rest.split_at(at + WORD.len());
        out.push_str(before);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let number = after[..digits].parse::<usize>().ok();
        match number.and_then(|number| boards.get(number)) {
            Some(board) => out.push_str(&board.to_string()),
            None => out.push_str(&after[..digits]),
        }
        rest = &after[digits..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_are_named_as_people_count_them() {
        let boards = [3, 4, 5];
        assert_eq!(
            renamed("chip 2 of board 1; board 0: dead", &boards),
            "chip 2 of board 4; board 3: dead"
        );
        assert_eq!(
            renamed("board 7, boards 1, board x", &boards),
            "board 7, boards 1, board x"
        );
        assert_eq!(renamed("", &boards), "");
    }
}
