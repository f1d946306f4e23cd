//! Orders on their way: which goes first, and when they are in force.

use std::time::Duration;

use super::{
    Fading, LEAST_MARGIN, LEAST_VOLTAGE, MOST_COMMANDS, NEAR_MHZ, Phase, Tuner, VOLTAGE_TOLERANCE,
};
use crate::layout::Scope;
use crate::math::phi;
use crate::plan::Setting;
use crate::report::{BoardReading, Command, Observation};

impl Tuner {
    /// Orders a setting: upward the voltage goes first, downward the clocks.
    pub(super) fn order(&mut self, mut setting: Setting, seen: &Observation) {
        // Whatever led here, nothing beyond the range is ever ordered.
        for mv in &mut setting.mv {
            *mv = mv.max(self.layout.mv.0).min(self.most_mv());
        }
        let (least, _, most) = self.layout.clock_mhz;
        for (mhz, trusted) in setting.mhz.iter_mut().zip(&self.most_mhz) {
            for (mhz, trusted) in mhz.iter_mut().zip(trusted) {
                if *mhz > *trusted {
                    *mhz = self.layout.on_grid(*trusted);
                }
                *mhz = mhz.max(least).min(most);
            }
        }
        let first = self.voltage_first(&setting, seen);
        if setting != self.setting {
            self.metered = Fading::default();
        }
        self.setting = setting;
        self.promise(seen);
        self.proven_mv
            .iter_mut()
            .flatten()
            .for_each(|mv| *mv = f64::INFINITY);
        self.clear_window();
        if first {
            self.order_voltage();
            self.enter(Phase::VoltageFirst);
        } else {
            self.order_clocks(seen);
            self.enter(Phase::ClocksFirst);
        }
    }

    /// What every chip is expected to deliver at the setting in force.
    pub(super) fn promise(&mut self, seen: &Observation) {
        let Some(plants) = self.plants(seen) else {
            return;
        };
        let (ths, watts, outcomes) = self.problem(&plants, LEAST_MARGIN).judge(&self.setting);
        self.promised_total = (ths, watts);
        for (shares, outcome) in self.promised.iter_mut().zip(&outcomes) {
            for (share, &z) in shares.iter_mut().zip(&outcome.margins) {
                *share = phi(z);
            }
        }
    }

    /// Whether the voltage goes first: if clocks only rise, or if they go both ways and the voltage rises. Where nobody tells the voltage
    /// that is there, the one ordered before counts; without that, clocks that have to fall do so first.
    fn voltage_first(&self, setting: &Setting, seen: &Observation) -> bool {
        let slower = |(board, wanted): (&BoardReading, &Vec<f64>)| {
            let pairs = board.chips.iter().zip(wanted);
            pairs
                .into_iter()
                .any(|(chip, mhz)| chip.mhz > mhz + NEAR_MHZ)
        };
        let clocks_fall = seen.boards.iter().zip(&setting.mhz).any(slower);
        let faster = |(board, wanted): (&BoardReading, &Vec<f64>)| {
            let pairs = board.chips.iter().zip(wanted);
            pairs
                .into_iter()
                .any(|(chip, mhz)| chip.mhz < mhz - NEAR_MHZ)
        };
        let clocks_rise = seen.boards.iter().zip(&setting.mhz).any(faster);
        // More voltage at clocks that are to fall, and faster clocks at a voltage that is to fall, would be more power for nothing.
        if clocks_fall != clocks_rise {
            return clocks_rise;
        }
        setting.mv.iter().enumerate().any(|(board, &new)| {
            let read = seen.boards.get(board).and_then(|board| board.mv);
            let ordered = self
                .ordered_mv
                .as_ref()
                .and_then(|mv| mv.get(board).copied());
            match read.filter(|mv| mv.is_finite()).or(ordered) {
                Some(old) => new > old * (1.0 + 0.25 * VOLTAGE_TOLERANCE),
                None => !clocks_fall,
            }
        })
    }

    /// Whether a chip is still faster than ordered, so that the voltage must not fall yet.
    pub(super) fn too_fast(&self, seen: &Observation) -> bool {
        let faster = |(board, wanted): (&BoardReading, &Vec<f64>)| {
            let pairs = board.chips.iter().zip(wanted);
            pairs
                .into_iter()
                .any(|(chip, mhz)| chip.mhz > mhz + NEAR_MHZ)
        };
        seen.boards.iter().zip(&self.setting.mhz).any(faster)
    }

    /// The board whose voltage stays below what was ordered, with what is read, mV.
    pub(super) fn voltage_short(&self, seen: &Observation) -> Option<(usize, f64)> {
        let pairs = seen.boards.iter().zip(&self.setting.mv).enumerate();
        pairs
            .filter_map(|(board, (reading, &mv))| {
                let read = reading.mv.filter(|read| *read < LEAST_VOLTAGE * mv)?;
                Some((board, read))
            })
            .next()
    }

    pub(super) fn voltage_known(&self, seen: &Observation) -> bool {
        seen.boards
            .iter()
            .zip(&self.setting.mv)
            .all(|(board, &mv)| {
                board
                    .mv
                    .is_some_and(|read| (read / mv - 1.0).abs() < VOLTAGE_TOLERANCE)
            })
    }

    pub(super) fn order_voltage(&mut self) {
        self.ordered_mv = Some(self.setting.mv.clone());
        let groups = match self.layout.scope {
            Scope::Machine => 1,
            Scope::Board => self.layout.boards(),
        };
        for group in 0..groups {
            let mv = self.setting.mv[group] / self.layout.mv_per_setting.max(1e-9);
            self.push(Command::Voltage {
                group,
                mv: mv.round().clamp(0.0, 1e6) as u32,
            });
        }
    }

    pub(super) fn order_clocks(&mut self, seen: &Observation) {
        for board in 0..self.layout.boards() {
            let wanted = self.setting.mhz[board].clone();
            let first = wanted[0];
            if wanted.iter().all(|&mhz| mhz == first) {
                self.push(Command::Clock { board, mhz: first });
                continue;
            }
            for (chip, mhz) in wanted.into_iter().enumerate() {
                let now = seen.boards[board]
                    .chips
                    .get(chip)
                    .map_or(0.0, |chip| chip.mhz);
                if (now - mhz).abs() > 0.01 {
                    self.push(Command::ChipClock { board, chip, mhz });
                }
            }
        }
    }

    pub(super) fn order_tickets(&mut self, zero_bits: u8, low: bool) {
        if self.ticket_low != low {
            self.ticket_low = low;
            for board in 0..self.layout.boards() {
                self.push(Command::Ticket { board, zero_bits });
            }
        }
    }

    pub(super) fn push(&mut self, command: Command) {
        if self.commands.len() < MOST_COMMANDS {
            self.commands.push_back(command);
        }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = self.now;
    }

    pub(super) fn waited(&self, time: Duration) -> bool {
        self.now.saturating_sub(self.since) >= time
    }

    pub(super) fn voltage_there(&self, seen: &Observation) -> bool {
        let read_back = seen.boards.iter().all(|board| board.mv.is_some());
        if read_back {
            self.voltage_known(seen) && self.waited(Duration::from_secs(1))
        } else {
            self.waited(Duration::from_secs(3))
        }
    }

    pub(super) fn clocks_there(&self, seen: &Observation) -> bool {
        seen.boards
            .iter()
            .zip(&self.setting.mhz)
            .all(|(board, wanted)| {
                board
                    .chips
                    .iter()
                    .zip(wanted)
                    .all(|(chip, mhz)| (chip.mhz - mhz).abs() < NEAR_MHZ)
            })
    }

    pub(super) fn in_force(&self, seen: &Observation) -> bool {
        self.clocks_there(seen) && seen.boards.iter().all(|board| board.running)
    }
}
