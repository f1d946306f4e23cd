//! Clock and voltage on their way to what is wanted and allowed: voltage first upward, clock first
//! downward, and nothing before it is read back.

use std::time::Duration;

use guard::{Decision, Kilohertz, Millivolts, Request};

use super::{Station, check::rail_report, khz};
use crate::{
    derate::SetPoint,
    notice,
    sequence::{self, Stage},
    status::Severity,
};

/// After this long a voltage that is about right is taken for right.
const CONFIRM: Duration = Duration::from_secs(3);

/// A voltage is about right from this share of its setting on.
const CONFIRM_SHARE: f64 = 0.985;

impl Station {
    /// Sets the core voltage, as the profile counts it, after telling the guard. Gives whether the
    /// supply took it.
    pub(super) fn set_voltage(&mut self, now: Duration, mv: u32) -> bool {
        let frequency = self.sent_mhz.unwrap_or(self.wanted.mhz);
        let point = self.guard_point(SetPoint { mhz: frequency, mv });
        if self.guard.request(now, Request::SetPoint(point)).is_err() {
            return false;
        }
        if let Some(guard) = self.buses.board_guard()
            && let Err(error) = guard.set_point(point.voltage.0, point.frequency.0)
        {
            self.log(notice::plain(
                Severity::Warning,
                "refused",
                format!("the board's guard refuses {mv} mV: {error}"),
            ));
            return false;
        }
        let output = self.layout.output_mv(mv);
        match sequence::set_output(&mut *self.buses, &self.layout, self.psu.as_mut(), output) {
            Ok(()) => {
                self.set_mv = Some(mv);
                self.settled_at = now + self.settle();
                self.poll_at = self.poll_at.min(self.settled_at);
                true
            }
            Err(trouble) => {
                self.log(notice::plain(
                    Severity::Warning,
                    "voltage",
                    format!("{mv} mV was not taken: {}", trouble.text),
                ));
                self.guard.report(now, rail_report(&trouble));
                false
            }
        }
    }

    pub(super) fn guard_point(&self, point: SetPoint) -> guard::SetPoint {
        guard::SetPoint {
            voltage: Millivolts(self.layout.output_mv(point.mv)),
            frequency: Kilohertz(khz(point.mhz)),
        }
    }

    /// Moves clock and voltage toward what is wanted and allowed: voltage first on the way up, clock
    /// first on the way down.
    pub(super) fn move_set_point(&mut self, now: Duration, decision: &Decision) {
        if self.stage != Stage::On || self.stopping {
            return;
        }
        let target = self.target(decision);
        let Some(set_mv) = self.set_mv else {
            return;
        };
        let psu_busy = self.psu.as_ref().is_some_and(|psu| !psu.is_set());
        if target.mv > set_mv && !psu_busy {
            if self.set_voltage(now, target.mv) {
                self.log_set_point(target);
            }
            return;
        }
        let settled = self.voltage_confirmed(now) && !psu_busy;
        match self.sent_mhz {
            Some(sent) if sent == target.mhz => {}
            Some(sent) if target.mhz > sent && !settled => return,
            _ => self.send_frequency(target),
        }
        if target.mv < set_mv && !psu_busy && self.all_at_most(target.mhz) {
            self.set_voltage(now, target.mv);
        }
    }

    /// The supply has followed its last setting: it had the time, and a look at it since then agrees
    /// where it measures. An instrument that is a little off gets its way after a while: what is too
    /// far off is for the guard.
    pub(super) fn voltage_confirmed(&self, now: Duration) -> bool {
        if now < self.settled_at {
            return false;
        }
        if !self.sense.output_measured || now >= self.settled_at + CONFIRM {
            return true;
        }
        let goal = f64::from(self.layout.output_mv(self.set_mv.unwrap_or(0)));
        self.sense.output_mv.at >= self.settled_at
            && self
                .sense
                .output_mv
                .value
                .is_some_and(|mv| mv >= goal * CONFIRM_SHARE)
    }

    /// Where clock and voltage are to be now.
    pub(super) fn target(&self, decision: &Decision) -> SetPoint {
        let min_mhz = self.config.profile.frequency.min_mhz;
        let mut point = self.derate.apply(self.wanted, min_mhz, &self.curve);
        if decision.power {
            let max_mhz = f64::from(decision.max_frequency.0) / 1000.0;
            point.mhz = point.mhz.min(max_mhz);
            point.mv = point.mv.min(decision.max_voltage.0 / self.layout.scale);
        }
        point
    }

    pub(super) fn log_set_point(&mut self, point: SetPoint) {
        self.log(notice::plain(
            Severity::Info,
            "set-point",
            format!("toward {} MHz at {} mV", point.mhz, point.mv),
        ));
    }
}
