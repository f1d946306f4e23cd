//! What the guard's state means for power, fans and the next call.

use core::time::Duration;

use crate::machine::Stage;
use crate::units::millis;
use crate::{Decision, Guard, Kilohertz, Millivolts, Percent, State};

/// The longest time between two ticks.
const MAX_TICK_MS: u32 = 1_000;

impl Guard {
    pub(crate) fn decide(&self) -> Decision {
        let power = self.core.state == State::On;
        let (fan_floor, fan_ceiling) = self.duties();
        Decision {
            power,
            fan_floor,
            fan_ceiling,
            max_frequency: if power {
                self.limits.max_frequency
            } else {
                Kilohertz(0)
            },
            max_voltage: if power {
                self.limits.max_voltage
            } else {
                Millivolts(0)
            },
            state: self.core.state,
            fault: self.core.fault,
            retry_at: self.retry_in().map(|ms| self.after(ms)),
            next: self.after(self.due()),
        }
    }

    fn after(&self, ms: u32) -> Duration {
        self.time()
            .saturating_add(Duration::from_millis(u64::from(ms)))
    }

    fn retry_in(&self) -> Option<u32> {
        let retries = matches!(self.core.state, State::Cooling | State::Waiting)
            && self.core.wanted.is_some();
        retries.then(|| {
            let pause = self.core.since_fault.until(self.core.pause).unwrap_or(0);
            let hold = self
                .core
                .doubt
                .until(millis(self.limits.timing.doubt_hold))
                .unwrap_or(0);
            pause.max(hold)
        })
    }

    /// Milliseconds to the next deadline, at most [`MAX_TICK_MS`].
    fn due(&self) -> u32 {
        let timing = &self.limits.timing;
        let mut due = MAX_TICK_MS;
        let mut note = |left: Option<u32>| due = due.min(left.unwrap_or(due));
        note(self.core.heartbeat.until(millis(timing.lease)));
        note(self.core.doubt.until(millis(timing.doubt_hold)));
        match self.core.state {
            State::On => {
                for (_, limits, track) in self.sensors() {
                    let silent = self.silent(track, limits);
                    note(silent.until(millis(timing.sensor_max_age)));
                    note(track.unchanged.until(millis(limits.frozen_after)));
                }
                for (_, _, track) in self.fans() {
                    note(track.adequate.until(millis(timing.fan_max_age)));
                }
                for (_, _, track) in self.rails() {
                    note(track.good.until(millis(timing.rail_max_age)));
                }
                note(self.core.energised.until(millis(timing.sensor_grace)));
                note(self.core.in_state.until(millis(timing.start_up)));
                note(self.core.busy.until(millis(timing.must_move)));
            }
            State::Checking => {
                note(self.core.in_state.until(millis(timing.lease)));
                note(self.core.in_state.until(millis(timing.check)));
            }
            State::Waiting => note(self.core.since_fault.until(self.core.pause)),
            State::Off | State::Cooling | State::Latched => {}
        }
        due
    }

    /// The lowest and the highest duty that fans may have.
    pub(crate) fn duties(&self) -> (Percent, Percent) {
        let full = (Percent::FULL, Percent::FULL);
        let timing = &self.limits.timing;
        let idle = match self.core.state {
            State::Checking if self.core.stage == Stage::Low => {
                return (timing.proof_duty, timing.proof_duty);
            }
            State::Checking | State::Cooling => return full,
            State::On if self.in_doubt() => return full,
            State::On => return (self.limits.min_duty, Percent::FULL),
            // A person who sees the fault should not have to shout; what is not cool keeps its fans.
            State::Latched | State::Waiting if self.in_doubt() || !self.is_cool() => return full,
            State::Off if self.in_doubt() || !self.temperatures_allow() => return full,
            State::Off if !self.is_cool() => self.limits.min_duty,
            State::Latched | State::Waiting | State::Off => Percent::ZERO,
        };
        (idle, Percent::FULL)
    }
}
