//! The chains of the station's boards: they belong to somebody else, who is told when there is power,
//! which clock to go to and when to stop, and reports what they do.

use std::time::Duration;

use super::{Restart, Station};
use crate::{
    buses::Line,
    derate::{CLOCK_STEP_MHZ, SetPoint},
    notice,
    sequence::{self, RESET_SETTLE, Stage},
    status::{ChainPhase, Event, Severity},
};

/// First pause before a chain that failed is tried again; doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

impl Station {
    /// Tells the owners of all chains that there is power.
    pub(super) fn start_chains(&mut self) {
        for board in 0..self.boards.len() {
            self.start_chain(board);
        }
    }

    fn start_chain(&mut self, board: usize) {
        let mhz = match self.sent_mhz {
            Some(mhz) => mhz,
            None => {
                let min_mhz = self.config.profile.frequency.min_mhz;
                let point = self.derate.apply(self.wanted, min_mhz, &self.curve);
                self.sent_mhz = Some(point.mhz);
                point.mhz
            }
        };
        let Some(state) = self.boards.get_mut(board) else {
            return;
        };
        state.epoch += 1;
        state.powered = true;
        state.report = crate::ChainReport::default();
        state.restart = Restart::None;
        let epoch = state.epoch;
        self.emit(Event::Frequency { board, mhz });
        self.emit(Event::Power {
            board,
            epoch,
            on: true,
        });
    }

    /// Tells the owners of all chains that power is gone.
    pub(super) fn drop_chains(&mut self) {
        for board in 0..self.boards.len() {
            self.drop_chain(board);
            if let Some(state) = self.boards.get_mut(board) {
                state.restart = Restart::None;
            }
        }
    }

    fn drop_chain(&mut self, board: usize) {
        let Some(state) = self.boards.get_mut(board) else {
            return;
        };
        if !state.powered {
            return;
        }
        state.powered = false;
        state.report = crate::ChainReport::default();
        let epoch = state.epoch;
        self.emit(Event::Power {
            board,
            epoch,
            on: false,
        });
    }

    /// Asks the owners of chains to wind them down.
    pub(super) fn wind_down_chains(&mut self) {
        for board in 0..self.boards.len() {
            if self.boards.get(board).is_some_and(|state| state.powered) {
                self.emit(Event::WindDown { board });
            }
        }
    }

    /// No chain hashes any more.
    pub(super) fn chains_quiet(&self) -> bool {
        self.boards.iter().all(|state| {
            !state.powered
                || matches!(
                    state.report.phase,
                    ChainPhase::None | ChainPhase::Stopped | ChainPhase::Failed
                )
        })
    }

    /// The fastest clock that a chain reports, MHz.
    pub(super) fn fastest_clock(&self) -> f64 {
        self.boards
            .iter()
            .filter(|state| state.powered)
            .map(|state| match state.report.phase {
                ChainPhase::None | ChainPhase::Stopped | ChainPhase::Failed => 0.0,
                ChainPhase::Starting | ChainPhase::Running | ChainPhase::Stopping => {
                    state.report.clock_mhz
                }
            })
            .fold(0.0, f64::max)
    }

    /// All chains are down at a clock, so that the voltage may follow. One that is still being
    /// brought up may be on its way to an older, faster one.
    pub(super) fn all_at_most(&self, mhz: f64) -> bool {
        self.boards
            .iter()
            .filter(|state| state.powered)
            .all(|state| match state.report.phase {
                ChainPhase::None | ChainPhase::Starting => false,
                ChainPhase::Stopped | ChainPhase::Failed => true,
                ChainPhase::Running | ChainPhase::Stopping => {
                    state.report.clock_mhz <= mhz + CLOCK_STEP_MHZ / 2.0
                }
            })
    }

    /// Tells all chains another clock.
    pub(super) fn send_frequency(&mut self, target: SetPoint) {
        self.sent_mhz = Some(target.mhz);
        for board in 0..self.boards.len() {
            if self.boards.get(board).is_some_and(|state| state.powered) {
                self.emit(Event::Frequency {
                    board,
                    mhz: target.mhz,
                });
            }
        }
    }

    /// Gives chains that failed another try after a pause in reset.
    pub(super) fn follow_chains(&mut self, now: Duration) {
        if self.stage != Stage::On || self.stopping {
            return;
        }
        for board in 0..self.boards.len() {
            let Some(state) = self.boards.get_mut(board) else {
                continue;
            };
            if state.report.phase == ChainPhase::Running {
                state.failures = 0;
            }
            match state.restart {
                Restart::None if state.powered && state.report.phase == ChainPhase::Failed => {
                    state.failures = state.failures.saturating_add(1);
                    let doubled = FIRST_PAUSE * 2u32.saturating_pow(state.failures.min(16) - 1);
                    let pause = doubled.min(LONGEST_PAUSE);
                    state.restart = Restart::Held(now + pause);
                    self.drop_chain(board);
                    self.hold(now, board, true);
                    let name = self.config.boards[board].name.clone();
                    self.log(notice::plain(
                        Severity::Warning,
                        "chain-failed",
                        format!(
                            "the chain of {name} failed; its chips are reset and tried again in {} s",
                            pause.as_secs()
                        ),
                    ));
                }
                Restart::Held(until) if now >= until => {
                    state.restart = Restart::Released(now + RESET_SETTLE);
                    // Diodes of chips that just left reset say anything; the guard misses them no sooner
                    // than this takes.
                    self.released = Some(now);
                    self.hold(now, board, false);
                }
                Restart::Released(at) if now >= at => self.start_chain(board),
                _ => {}
            }
        }
    }

    fn hold(&mut self, now: Duration, board: usize, held: bool) {
        if let Err(trouble) = sequence::switch(&mut *self.buses, Line::Reset { board }, held) {
            self.trouble_on_the_way(now, &trouble);
        }
    }
}
