//! The way up and down, and the short way down.

use std::time::Duration;

use board_profiles::PinRole;
use guard::{Decision, Report, Request, State};

use super::{OFF_RETRY, POLL_COMING_UP, Station, check::rail_report};
use crate::{
    buses::Line,
    notice,
    parts::Trouble,
    sense::FRESH,
    sequence::{self, RESET_SETTLE, Stage},
    status::{Notice, Severity},
};

/// A chain gets this long to wind down.
const QUIET: Duration = Duration::from_secs(30);

impl Station {
    /// Cuts power at once and tells the owners of chains.
    pub(super) fn emergency(&mut self, now: Duration) {
        self.drop_chains();
        self.switch_off(now, false);
        self.stopping = false;
    }

    /// The guard on the board took power back, or is not heard any more: ours does not grant alone, so
    /// that the next try begins with a check by both.
    pub(super) fn give_back(&mut self, now: Duration) {
        let state = self
            .board_guard
            .as_ref()
            .and_then(|link| link.state.as_ref());
        let why = match state {
            Some(state) => match &state.fault {
                Some(fault) => format!("is {}, because of {fault}", state.state),
                None => format!("is {}", state.state),
            },
            None => "does not answer".to_owned(),
        };
        self.log(notice::plain(
            Severity::Warning,
            "board-guard",
            format!("power is off: the guard on the board {why}"),
        ));
        // Never refused.
        let _ = self.guard.request(now, Request::Off);
    }

    /// Switches everything off and remembers whether that worked.
    pub(super) fn switch_off(&mut self, now: Duration, in_order: bool) {
        let troubles = sequence::off(
            &mut *self.buses,
            &self.layout,
            self.config.boards.len(),
            in_order,
        );
        let failed = !troubles.is_empty();
        if failed && !self.off_failed {
            let what: Vec<String> = troubles.iter().map(|t| t.text.clone()).collect();
            self.log(Notice {
                advice: "Power may still be on. Check the connection to the board's controller; \
                         if the board stays warm, unplug its supply."
                    .to_owned(),
                ..notice::plain(
                    Severity::Critical,
                    "not-switched-off",
                    format!(
                        "switching off failed and is tried again: {}",
                        what.join("; ")
                    ),
                )
            });
        } else if !failed && self.off_failed {
            self.log(notice::plain(
                Severity::Info,
                "switched-off",
                "everything is switched off at last",
            ));
        }
        if !self.stage.is_off() || self.off_failed != failed {
            self.poll_at = now;
        }
        self.off_failed = failed;
        self.off_retry_at = now + OFF_RETRY;
        self.stage = Stage::Off;
        self.released = None;
        self.set_mv = None;
        self.sent_mhz = None;
        // What a check has set up is gone as well, and is set up again before anything is switched on.
        self.prepared = false;
    }

    /// Goes on with the way up or down.
    pub(super) fn advance(&mut self, now: Duration, decision: &Decision, granted: bool) {
        match self.stage {
            Stage::Off => {
                let go = granted && decision.state == State::On && self.prepared;
                if go && self.run && !self.off_failed {
                    self.log(notice::plain(
                        Severity::Info,
                        "power-up",
                        format!("power comes up for {} mV", self.wanted.mv),
                    ));
                    self.stage = Stage::Lines(0, now);
                    self.go_up(now);
                } else if !(self.run && self.prepared) && decision.state == State::On {
                    // Either nobody wants it any more, or it takes another check.
                    let _ = self.guard.request(now, Request::Off);
                }
            }
            Stage::Lines(_, due) if now >= due => self.go_up(now),
            Stage::Core(since) => self.wait_for_core(now, since),
            Stage::Release(due) if now >= due => {
                self.stage = Stage::On;
                self.start_chains();
            }
            Stage::On if self.stopping => {
                self.wind_down_chains();
                self.stage = Stage::Quiet(now + QUIET);
            }
            Stage::Quiet(until) if now >= until || self.chains_quiet() => self.lower(now),
            Stage::Lower(until) if now >= until => {
                self.drop_chains();
                self.switch_off(now, true);
                self.stopping = false;
                let _ = self.guard.request(now, Request::Off);
                self.log(notice::plain(
                    Severity::Info,
                    "power-off",
                    "switched off in order",
                ));
            }
            _ => {}
        }
        if self.stopping
            && matches!(
                self.stage,
                Stage::Lines(..) | Stage::Core(_) | Stage::Release(_)
            )
        {
            // Nothing runs yet that would have to be wound down.
            self.switch_off(now, true);
            self.stopping = false;
            let _ = self.guard.request(now, Request::Off);
        }
    }

    /// Switches lines on, one after the other with their pauses, then the core.
    pub(super) fn go_up(&mut self, now: Duration) {
        while let Stage::Lines(done, due) = self.stage {
            if now < due {
                return;
            }
            let Some(step) = self.layout.lines.get(done).copied() else {
                if let Err(trouble) = sequence::core(&mut *self.buses, &self.layout, true) {
                    self.trouble_on_the_way(now, &trouble);
                    return;
                }
                self.guard.report(now, Report::Energised);
                self.stage = Stage::Core(now);
                self.poll_at = now + POLL_COMING_UP.min(Duration::from_millis(50));
                return;
            };
            if let Err(trouble) = sequence::switch(&mut *self.buses, step.line, true) {
                self.trouble_on_the_way(now, &trouble);
                return;
            }
            let settle = if step.role == PinRole::Vddio {
                step.settle.max(Duration::from_millis(1))
            } else {
                step.settle
            };
            self.stage = Stage::Lines(done + 1, now + settle);
        }
    }

    pub(super) fn trouble_on_the_way(&mut self, now: Duration, trouble: &Trouble) {
        self.log(notice::plain(
            Severity::Warning,
            "power-up",
            format!("power does not come up: {}", trouble.text),
        ));
        self.guard.report(now, rail_report(trouble));
        self.emergency(now);
    }

    /// The core is on: its voltage is read back before chips leave reset. What takes too long or is
    /// wrong the guard finds by itself.
    pub(super) fn wait_for_core(&mut self, now: Duration, since: Duration) {
        let settle = self.settle();
        if now.saturating_sub(since) < settle {
            return;
        }
        let target = f64::from(self.layout.output_mv(self.set_mv.unwrap_or(0)));
        let tolerance = self
            .layout
            .limits
            .rails
            .get(0)
            .map_or(0.0, |rail| f64::from(rail.tolerance.0));
        let seen = self.sense.output_mv.fresh(now, FRESH);
        let looked = self.sense.core_seen > since && self.sense.core_on != Some(false);
        let right = seen.is_none_or(|mv| (mv - target).abs() <= tolerance);
        if !(looked && right) {
            return;
        }
        for board in 0..self.boards.len() {
            if let Err(trouble) = sequence::switch(&mut *self.buses, Line::Reset { board }, false) {
                self.trouble_on_the_way(now, &trouble);
                return;
            }
        }
        self.released = Some(now);
        self.settled_at = now;
        self.stage = Stage::Release(now + RESET_SETTLE);
    }

    /// Chains are quiet: the core voltage goes down before it is switched off.
    pub(super) fn lower(&mut self, now: Duration) {
        let min_mv = self.config.profile.voltage.min_mv;
        let wait = self.settle();
        if self.set_mv.is_some_and(|mv| mv > min_mv) && self.set_voltage(now, min_mv) {
            self.stage = Stage::Lower(now + wait);
        } else {
            self.stage = Stage::Lower(now);
        }
    }

    /// Time in which the supply follows a new setting.
    pub(super) fn settle(&self) -> Duration {
        if self.psu.is_some() {
            // A second of rise, and the time that a setting takes to act.
            Duration::from_millis(1_500)
        } else {
            board_devices::tps546::RAMP
        }
    }
}
