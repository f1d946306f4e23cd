//! The station as people and programs see it.

use std::time::Duration;

use guard::State;

use super::{Restart, Station};
use crate::{
    cooling::Mode,
    notice,
    sense::{Channel, FRESH},
    sequence::Stage,
    status::{
        BoardStatus, CoolingStatus, FanStatus, FaultStatus, GuardLocation, GuardStatus, Phase,
        Power, Reading, SetPoints, Source, Status, Unit,
    },
};

impl Station {
    pub(super) fn view(&self, now: Duration) -> Status {
        Status {
            phase: self.phase(),
            power: self.power(),
            guard: self.guard_status(now),
            boards: self.board_statuses(),
            readings: self.readings(now),
            fans: self.fan_statuses(now),
            cooling: self.cooling_status(now),
            set_points: self.set_points(now),
            reasons: self.reasons(now),
        }
    }

    fn phase(&self) -> Phase {
        match self.stage {
            Stage::On => Phase::Running,
            Stage::Lines(..) | Stage::Core(_) | Stage::Release(_) => Phase::PoweringUp,
            Stage::Quiet(_) | Stage::Lower(_) => Phase::WindingDown,
            Stage::Off => match self.guard.state() {
                State::Off => Phase::Off,
                State::Checking | State::On if !self.prepared => Phase::Identifying,
                State::Checking => Phase::Checking,
                State::On => Phase::PoweringUp,
                State::Cooling | State::Waiting | State::Latched => Phase::Held,
            },
        }
    }

    fn power(&self) -> Power {
        match self.stage {
            Stage::Off if self.is_off() => Power::Off,
            Stage::Off => Power::Unknown,
            _ => Power::On,
        }
    }

    fn guard_status(&self, now: Duration) -> GuardStatus {
        let decision = self.decision.as_ref();
        let fault = decision.and_then(|decision| decision.fault);
        let link = self.board_guard.as_ref();
        let board = link.and_then(|link| link.state.as_ref());
        let mut status = GuardStatus {
            location: if link.is_some() {
                GuardLocation::Board
            } else {
                GuardLocation::Agent
            },
            state: self.guard.state().as_str().to_owned(),
            power: decision.is_some_and(|decision| decision.power) && self.board_grants(),
            fan_floor_percent: decision.map_or(100, |decision| decision.fan_floor.get()),
            fault: fault.map(|fault| FaultStatus {
                code: fault.code.as_str().to_owned(),
                what: notice::fault(&self.layout, &fault),
                advice: fault.advice().to_owned(),
                age_s: now.saturating_sub(fault.at).as_secs_f64(),
                latched: self.guard.state() == State::Latched,
            }),
            retry_in_s: decision
                .and_then(|decision| decision.retry_at)
                .map(|at| at.saturating_sub(now).as_secs_f64()),
            board_state: board.map(|state| state.state.to_owned()),
        };
        if status.fault.is_none()
            && let Some(code) = board.and_then(|state| state.fault.clone())
        {
            let advice = notice::code(&code).map_or("", |code| code.advice());
            status.fault = Some(FaultStatus {
                what: format!("the board's guard reports {code}"),
                advice: advice.to_owned(),
                code,
                age_s: 0.0,
                latched: board.is_some_and(|state| state.state == "latched"),
            });
        }
        status
    }

    fn board_statuses(&self) -> Vec<BoardStatus> {
        self.config
            .boards
            .iter()
            .zip(&self.boards)
            .map(|(config, state)| BoardStatus {
                name: config.name.clone(),
                epoch: state.epoch,
                powered: state.powered,
                serial: state.serial.clone(),
            })
            .collect()
    }

    fn readings(&self, now: Duration) -> Vec<Reading> {
        let many = self.config.boards.len() > 1;
        let mut readings: Vec<Reading> = self
            .layout
            .sensors
            .iter()
            .zip(&self.sense.sensors)
            .map(|(slot, channel)| Reading {
                board: many.then_some(slot.place.board),
                limit: slot.limit_c,
                source: if slot.estimate {
                    Source::Estimated
                } else {
                    Source::Measured
                },
                ..reading(now, &slot.name, Unit::Celsius, channel)
            })
            .collect();
        let sense = &self.sense;
        let source = |measured: bool| {
            if measured {
                Source::Measured
            } else {
                Source::Estimated
            }
        };
        readings.push(Reading {
            source: source(sense.output_measured),
            limit: Some(f64::from(self.layout.limits.max_voltage.0)),
            ..reading(now, "core supply", Unit::Millivolts, &sense.output_mv)
        });
        if sense.output_a.value.is_some() {
            readings.push(Reading {
                limit: self.config.profile.limits.current_a,
                ..reading(now, "core current", Unit::Amperes, &sense.output_a)
            });
        }
        if sense.input_mv.value.is_some() {
            readings.push(reading(now, "input", Unit::Millivolts, &sense.input_mv));
        }
        readings.push(self.input_power(now));
        readings
    }

    /// Input power: measured, estimated from the output, or from nominal power by clock and voltage.
    fn input_power(&self, now: Duration) -> Reading {
        let limit = self
            .layout
            .limits
            .max_power
            .map(|power| f64::from(power.0) / 1000.0);
        let sense = &self.sense;
        if sense.input_w.value.is_some() {
            return Reading {
                limit,
                source: if sense.input_measured {
                    Source::Measured
                } else {
                    Source::Estimated
                },
                ..reading(now, "input power", Unit::Watts, &sense.input_w)
            };
        }
        Reading {
            name: "input power".to_owned(),
            board: None,
            value: Some(self.estimated_w()),
            unit: Unit::Watts,
            source: Source::Nameplate,
            age_s: Some(0.0),
            trouble: None,
            limit,
        }
    }

    fn fan_statuses(&self, now: Duration) -> Vec<FanStatus> {
        let watched = !matches!(self.fan.mode(), Mode::Immersion { .. });
        self.layout
            .fans
            .iter()
            .zip(&self.sense.fans)
            .enumerate()
            .map(|(index, (slot, fan))| {
                let duty = fan.told.unwrap_or(self.duty);
                let limits = self.layout.limits.fans.get(index).filter(|_| watched);
                FanStatus {
                    name: slot.name.clone(),
                    duty_percent: duty,
                    rpm: fan.rpm.value.map(|rpm| rpm as u32),
                    age_s: age(now, &fan.rpm),
                    expected_rpm: limits.map(|limits| limits.expected(guard::Percent::new(duty)).0),
                    trouble: fan.trouble.clone().or_else(|| fan.rpm.trouble.clone()),
                }
            })
            .collect()
    }

    fn cooling_status(&self, now: Duration) -> CoolingStatus {
        let live = self.stage.chips_live(self.released, now);
        let hottest = self.sense.hottest(now, &self.layout, live);
        let settings = self.fan.settings();
        let throttle = self.derate.factor();
        let floor = self
            .decision
            .as_ref()
            .map_or(100, |decision| decision.fan_floor.get());
        let reason = if hottest.is_none() && !self.layout.fans.is_empty() {
            "a temperature is not known, so fans run at full speed".to_owned()
        } else if floor == 100 {
            "the guard wants fans at full speed".to_owned()
        } else if self.derate.active() {
            "fans alone do not hold the temperature; the clock is lowered".to_owned()
        } else {
            match self.fan.mode() {
                Mode::Auto => "fans hold the target".to_owned(),
                Mode::Manual { percent } if self.duty > percent => {
                    "faster than set, because the board is warm".to_owned()
                }
                Mode::Manual { .. } => "fixed by the user".to_owned(),
                Mode::Immersion { .. } => "in a liquid, without fans".to_owned(),
            }
        };
        CoolingStatus {
            mode: self.fan.mode(),
            temperature_c: hottest.map(|(celsius, _)| celsius),
            hottest: hottest
                .and_then(|(_, index)| self.layout.sensors.get(index))
                .map(|slot| slot.name.clone()),
            target_c: settings.target_c,
            hot_c: settings.hot_c,
            limit_c: self.derate.settings().limit_c,
            duty_percent: self.duty,
            throttle,
            reason,
        }
    }

    fn set_points(&self, now: Duration) -> SetPoints {
        let running = self.stage == Stage::On;
        let derated = self
            .decision
            .as_ref()
            .filter(|_| running)
            .map(|decision| self.target(decision));
        let clocks = self
            .boards
            .iter()
            .filter(|board| board.powered && board.report.clock_mhz > 0.0)
            .map(|board| board.report.clock_mhz);
        SetPoints {
            wanted: Some(self.wanted),
            derated,
            actual_mhz: clocks.reduce(f64::min),
            actual_mv: self
                .sense
                .output_mv
                .fresh(now, FRESH)
                .filter(|_| !self.stage.is_off())
                .map(|mv| self.layout.setting_mv(mv.round() as u32)),
        }
    }

    /// Why the boards are not at what the user wants.
    fn reasons(&self, now: Duration) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.off_failed {
            reasons.push("switching off failed; power may still be on".to_owned());
        }
        if self.run && self.stage.is_off() {
            match self.guard.state() {
                State::Off if self.heartbeat.is_none() => {
                    reasons.push("waiting for the mining program".to_owned());
                }
                State::Checking if !self.board_grants() && self.prepared => {
                    reasons.push("the board's guard checks fans and temperatures".to_owned());
                }
                State::Checking => {
                    reasons.push("fans and temperatures are being checked".to_owned());
                }
                State::Cooling => reasons.push("cooling down after a fault".to_owned()),
                State::Waiting => reasons.push("waiting before the next try".to_owned()),
                State::Latched => {
                    reasons.push("a fault is latched until a person clears it".to_owned());
                }
                _ => {}
            }
            if let Some((refusal, _)) = &self.refused {
                reasons.push(format!("the guard refuses: {refusal}"));
            }
            reasons.extend(self.complaints.iter().cloned());
        }
        if self.stage == Stage::On && self.derate.active() {
            reasons.push(format!(
                "throttled to {:.0} % of the clock, because it is too hot",
                self.derate.factor() * 100.0
            ));
        }
        for (config, board) in self.config.boards.iter().zip(&self.boards) {
            if let Restart::Held(until) = board.restart {
                let seconds = until.saturating_sub(now).as_secs();
                reasons.push(format!(
                    "the chain of {} failed; next try in {seconds} s",
                    config.name
                ));
            }
        }
        reasons
    }
}

fn reading(now: Duration, name: &str, unit: Unit, channel: &Channel) -> Reading {
    Reading {
        name: name.to_owned(),
        board: None,
        value: channel.value,
        unit,
        source: Source::Measured,
        age_s: age(now, channel),
        trouble: channel.trouble.clone(),
        limit: None,
    }
}

fn age(now: Duration, channel: &Channel) -> Option<f64> {
    channel
        .value
        .map(|_| now.saturating_sub(channel.at).as_secs_f64())
}
