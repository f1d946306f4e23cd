//! Fans and throttle.

use std::time::Duration;

use guard::{Decision, Report, Subject};

use super::Station;
use crate::{
    cooling::{FanInput, Mode},
    notice,
    sense::FRESH,
    sequence::Stage,
    status::{Notice, Severity},
};

impl Station {
    /// Runs fans and throttle.
    pub(super) fn cool(&mut self, now: Duration, decision: &Decision) {
        let live = self.stage.chips_live(self.released, now);
        let hottest = self.sense.hottest(now, &self.layout, live);
        let on = !self.stage.is_off();
        let wanted = self.fan.update(
            now,
            FanInput {
                temperature_c: hottest.map(|(celsius, _)| celsius),
                power_w: Some(self.heat_w()),
                powered: on,
            },
        );
        if self.stage == Stage::On {
            let lowest = self.config.profile.frequency.min_mhz / self.wanted.mhz.max(1.0);
            self.derate
                .update(now, hottest.map(|(celsius, _)| celsius), lowest);
            self.tell_throttle();
        }
        // Nobody wants a slower board while fans could do more.
        let throttled = self.derate.active() && self.fan.mode() == Mode::Auto;
        let floor = decision
            .fan_floor
            .get()
            .max(if self.off_failed || throttled { 100 } else { 0 });
        if f64::from(floor) > wanted {
            self.fan.follow(f64::from(floor));
        }
        let duty = (wanted.round() as u8)
            .max(floor)
            .min(decision.fan_ceiling.get());
        self.duty = duty;
        if !self.board_grants() && self.board_guard.as_ref().is_some_and(|link| link.asked) {
            // The board's guard moves the fans itself while it proves them.
            return;
        }
        let refused = self
            .sense
            .tell_fans(now, &self.layout, &mut *self.buses, duty);
        for (fan, mismatch) in refused {
            // A guard on the board lets fans run faster than they are told.
            if let Some((read, wrote)) = mismatch
                && self.board_guard.is_none()
            {
                let subject = Subject::Fan(u8::try_from(fan).unwrap_or(u8::MAX));
                self.guard.report(
                    now,
                    Report::Mismatch {
                        subject,
                        read: i32::try_from(read).unwrap_or(i32::MAX),
                        wrote: i32::try_from(wrote).unwrap_or(i32::MAX),
                    },
                );
            }
        }
    }

    pub(super) fn tell_throttle(&mut self) {
        let throttled = self.derate.active();
        if throttled == self.was_throttled {
            return;
        }
        self.was_throttled = throttled;
        let point = self.wanted;
        self.log(if throttled {
            Notice {
                advice: "Clean fans and heat sinks, let more air in, or lower the target power."
                    .to_owned(),
                ..notice::plain(
                    Severity::Warning,
                    "throttled",
                    format!(
                        "too hot for {} MHz with fans at {} %: the clock is lowered",
                        point.mhz, self.duty
                    ),
                )
            }
        } else {
            notice::plain(
                Severity::Info,
                "throttle-over",
                format!("cool enough for {} MHz again", point.mhz),
            )
        });
    }

    /// Power that becomes heat, W: measured where it is, else from the set point.
    pub(super) fn heat_w(&self) -> f64 {
        if self.stage.is_off() {
            return 0.0;
        }
        let measured = self.sense.input_w.fresh(self.now, FRESH);
        measured.unwrap_or_else(|| self.estimated_w())
    }

    /// Power at the present set point from nominal power, by clock and voltage squared, W.
    pub(super) fn estimated_w(&self) -> f64 {
        let profile = &self.config.profile;
        let (Some(mv), clock) = (self.set_mv, self.fastest_clock()) else {
            return 0.0;
        };
        if self.stage.is_off() {
            return 0.0;
        }
        let volts = f64::from(mv) / f64::from(profile.voltage.default_mv.max(1));
        let load = clock / profile.frequency.default_mhz.max(1.0);
        self.config.nominal_w() * load * volts * volts
    }
}
