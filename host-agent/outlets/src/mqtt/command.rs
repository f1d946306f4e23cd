//! Commands: what a message asks for, whether it may, and the answer.

use std::time::Duration;

use autotune::{Aim, Caps};
use rpc::settings::{Changed, ClearFault, CoolingMode, CoolingSet, PoolOrder};
use rpc::tuner::{Curtail, Feed, TunerSet};
use rpc::{Role, Snapshot};
use serde::Serialize;
use serde::de::DeserializeOwned;
use station::Mode;

use crate::tuned;

/// What `tuner_aim` takes.
const AIM: &str = "off, efficiency, watts, hashrate, profit, or JSON such as {\"watts\": 900}";

/// Commands that say what clocks and voltages are to be.
const TUNE: [&str; 3] = ["tuner_aim", "power_target", "power_cap"];

/// Longest payload of a command, bytes.
const MAX_PAYLOAD: usize = 1024;

/// A message to a command topic.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'m> {
    /// Name of the command, the last level of its topic.
    pub name: &'m str,
    /// What it says.
    pub payload: &'m [u8],
    /// The broker had kept it: it is not of now.
    pub retained: bool,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Mining is to pause.
    Pause,
    /// Mining is to go on.
    Resume,
    /// The agent is to start again.
    Restart,
    /// Boards are to be cooled so.
    Cooling(CoolingSet),
    /// A latched fault is to be cleared.
    ClearFault(ClearFault),
    /// Other pools are to come first.
    PoolOrder(PoolOrder),
    /// The miner is to be tuned for something else.
    Tuner(TunerSet),
    /// What power costs, what work earns, or how much power is left over.
    Feed(Feed),
    /// Power is to be capped for a while, or no longer.
    Curtail(Curtail),
}

/// Why a message is no command that is carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Commands need a higher role.
    #[error("commands are off: [mqtt] role is \"{0}\"; write role = \"operate\" to allow them")]
    Role(Role),
    /// This one does.
    #[error(
        "{name} tunes the boards, which [mqtt] role = \"{role}\" does not allow; write role = \"tune\" for it"
    )]
    Tune {
        /// The command.
        name: String,
        /// What is allowed.
        role: Role,
    },
    /// Kept by the broker from another time.
    #[error(
        "the message was retained, and would be carried out again at every connection; send commands \
         without retain"
    )]
    Retained,
    /// There is no such command.
    #[error(
        "no command is called \"{0}\"; there are pause, resume, restart, cooling_mode, \
         cooling_target, fan_percent, clear_fault, pool_order, price, revenue, surplus, feed, curtail, \
         tuner_aim, power_target and power_cap"
    )]
    Unknown(String),
    /// The payload does not fit.
    #[error("the payload is {found}, but {name} takes {expected}")]
    Payload {
        /// The command.
        name: String,
        /// What came.
        found: String,
        /// What it takes.
        expected: String,
    },
}

impl Command {
    /// Reads a message. `role` is the one that the broker's messages have here; `state` says what is now,
    /// where a command changes only a part of it.
    ///
    /// # Errors
    ///
    /// Why it is not carried out, in words for whoever sent it.
    pub fn read(asked: Asked<'_>, role: Role, state: &Snapshot) -> Result<Self, Problem> {
        if asked.retained {
            return Err(Problem::Retained);
        }
        if role < Role::Operate {
            return Err(Problem::Role(role));
        }
        if TUNE.contains(&asked.name) && role < Role::Tune {
            let name = asked.name.to_owned();
            return Err(Problem::Tune { name, role });
        }
        match asked.name {
            "pause" => Ok(Self::Pause),
            "resume" => Ok(Self::Resume),
            "restart" => Ok(Self::Restart),
            "cooling_mode" => {
                let mode = match asked.text()? {
                    "auto" => CoolingMode::Auto,
                    "manual" => CoolingMode::Manual,
                    // Without the confirmation of a person it changes nothing that is not so already.
                    "immersion" => CoolingMode::Immersion,
                    _ => return Err(asked.wrong("auto, manual or immersion")),
                };
                let cooling = state
                    .stations
                    .first()
                    .map(|station| &station.status.cooling);
                let percent = cooling.map_or(100, |cooling| match cooling.mode {
                    Mode::Manual { percent } => percent,
                    _ => cooling.duty_percent,
                });
                let already = cooling.is_some_and(|c| matches!(c.mode, Mode::Immersion { .. }));
                Ok(Self::Cooling(CoolingSet {
                    mode: Some(mode),
                    percent: (mode == CoolingMode::Manual).then_some(percent),
                    confirm_immersion: (mode == CoolingMode::Immersion && already).then_some(true),
                    ..CoolingSet::default()
                }))
            }
            "cooling_target" => {
                let target: f64 = asked.number("a temperature in °C")?;
                Ok(Self::Cooling(CoolingSet {
                    target_c: Some(target),
                    ..CoolingSet::default()
                }))
            }
            "fan_percent" => {
                let percent: f64 = asked.number("a duty from 0 to 100")?;
                if !(0.0..=100.0).contains(&percent) {
                    return Err(asked.wrong("a duty from 0 to 100"));
                }
                Ok(Self::Cooling(CoolingSet {
                    mode: Some(CoolingMode::Manual),
                    // In range, as was just seen.
                    percent: Some(percent.round() as u8),
                    ..CoolingSet::default()
                }))
            }
            "clear_fault" => asked.json().map(Self::ClearFault),
            "pool_order" => asked.json().map(Self::PoolOrder),
            "tuner_aim" => {
                let aim = Some(asked.aim(state)?);
                Ok(Self::Tuner(TunerSet { aim, caps: None }))
            }
            "power_target" => {
                let watts = asked.number("an input power in W")?;
                let aim = Some(Aim::Watts(watts));
                Ok(Self::Tuner(TunerSet { aim, caps: None }))
            }
            "power_cap" => {
                let watts = match asked.text()? {
                    "none" | "off" => None,
                    _ => Some(asked.number("an input power in W, or none")?),
                };
                // All bounds are told at once; the others stay.
                let caps = Caps {
                    watts: watts.filter(|watts| *watts != 0.0),
                    ..state.tuner.caps
                };
                let caps = Some(caps);
                Ok(Self::Tuner(TunerSet { aim: None, caps }))
            }
            "price" => {
                let price_per_kwh = Some(asked.number("money for a kilowatt-hour")?);
                Ok(Self::Feed(Feed {
                    price_per_kwh,
                    ..Feed::default()
                }))
            }
            "revenue" => {
                let revenue_per_ths_day = Some(asked.number("money for a TH/s and day")?);
                Ok(Self::Feed(Feed {
                    revenue_per_ths_day,
                    ..Feed::default()
                }))
            }
            "surplus" => {
                let surplus_w = Some(asked.number("a power in W")?);
                Ok(Self::Feed(Feed {
                    surplus_w,
                    ..Feed::default()
                }))
            }
            "feed" => asked.json().map(Self::Feed),
            "curtail" => match asked.text()? {
                "none" | "off" => Ok(Self::Curtail(Curtail::default())),
                text if text.starts_with('{') => asked.json().map(Self::Curtail),
                _ => {
                    let expected = "an input power in W (0 is sleep), none to end it, or JSON";
                    let watts = Some(asked.number(expected)?);
                    Ok(Self::Curtail(Curtail {
                        watts,
                        ..Curtail::default()
                    }))
                }
            },
            other => Err(Problem::Unknown(short(other))),
        }
    }
}

impl<'m> Asked<'m> {
    fn text(&self) -> Result<&'m str, Problem> {
        let text = std::str::from_utf8(self.payload).ok();
        let text = text.filter(|text| text.len() <= MAX_PAYLOAD);
        text.map(str::trim)
            .ok_or_else(|| self.wrong("a short text"))
    }

    fn number(&self, expected: &str) -> Result<f64, Problem> {
        let number = self.text()?.parse().ok();
        number
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| self.wrong(expected))
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_str(self.text()?).map_err(|error| self.wrong(&format!("JSON ({error})")))
    }

    /// An aim by its word, with the numbers of now, or as in `tuner.set`.
    fn aim(&self, state: &Snapshot) -> Result<Aim, Problem> {
        let text = self.text()?;
        if text.starts_with('{') {
            return self.json();
        }
        let tuner = &state.tuner;
        if text == tuned::aim(tuner.aim) {
            return Ok(tuner.aim);
        }
        let promise = tuned::promise(tuner);
        let demand = &tuner.demand;
        let aim = match text {
            "off" => Some(Aim::Off),
            "efficiency" => Some(Aim::Efficiency),
            "watts" => {
                let watts = promise.map(|(_, watts)| watts).or(state.miner.power_w);
                watts.map(|watts| Aim::Watts(watts.round()))
            }
            "hashrate" => {
                let ths = promise.map_or(state.miner.hashrate.m10.hps / 1e12, |(ths, _)| ths);
                Some(Aim::Hashrate((ths * 100.0).round() / 100.0))
            }
            "profit" => {
                let told = demand.price_per_kwh.zip(demand.revenue_per_ths_day);
                told.map(|(price_per_kwh, revenue_per_ths_day)| Aim::Profit {
                    price_per_kwh,
                    revenue_per_ths_day,
                })
            }
            _ => return Err(self.wrong(AIM)),
        };
        aim.ok_or_else(|| match text {
            "watts" => {
                self.wrong("that only while the power of now is known; send power_target instead")
            }
            _ => self.wrong("that only after price and revenue were told; send them first"),
        })
    }

    fn wrong(&self, expected: &str) -> Problem {
        let found = String::from_utf8_lossy(&self.payload[..self.payload.len().min(160)]);
        Problem::Payload {
            name: self.name.to_owned(),
            found: format!("\"{}\"", short(&found)),
            expected: expected.to_owned(),
        }
    }
}

fn short(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(40).map(clean).collect()
}

/// What came of a command, as it is answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Name of the command.
    pub command: String,
    /// It was carried out.
    pub ok: bool,
    /// What is different now.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
    /// Why it was not carried out.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refused {
    /// For people.
    pub error: String,
}

impl Answer {
    /// The answer to the command called `name`.
    #[must_use]
    pub fn new(name: &str, outcome: Result<Changed, String>) -> Self {
        let (changed, refused) = match outcome {
            Ok(changed) => (Some(changed), None),
            Err(error) => (None, Some(Refused { error })),
        };
        Self {
            command: short(name),
            ok: changed.is_some(),
            changed,
            refused,
        }
    }
}

/// Lets through so many commands at once, and one more each second.
#[derive(Clone, Debug)]
pub struct Throttle {
    left: f64,
    last: Duration,
}

/// Commands that may come at once.
const BURST: f64 = 8.0;

impl Default for Throttle {
    fn default() -> Self {
        Self {
            left: BURST,
            last: Duration::ZERO,
        }
    }
}

impl Throttle {
    /// Whether one more may pass.
    pub fn pass(&mut self, now: Duration) -> bool {
        let elapsed = now.saturating_sub(self.last).as_secs_f64();
        self.last = self.last.max(now);
        self.left = (self.left + elapsed).min(BURST);
        let pass = self.left >= 1.0;
        if pass {
            self.left -= 1.0;
        }
        pass
    }
}
