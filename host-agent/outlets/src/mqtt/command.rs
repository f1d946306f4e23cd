//! Commands: what a message asks for, whether it may, and the answer.

use std::time::Duration;

use rpc::settings::{Changed, ClearFault, CoolingMode, CoolingSet, PoolOrder};
use rpc::{Role, Snapshot};
use serde::Serialize;
use serde::de::DeserializeOwned;
use station::Mode;

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
}

/// Why a message is no command that is carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Commands need a higher role.
    #[error("commands are off: [mqtt] role is \"{0}\"; write role = \"operate\" to allow them")]
    Role(Role),
    /// Kept by the broker from another time.
    #[error(
        "the message was retained, and would be carried out again at every connection; send commands \
         without retain"
    )]
    Retained,
    /// There is no such command.
    #[error(
        "no command is called \"{0}\"; there are pause, resume, restart, cooling_mode, \
         cooling_target, fan_percent, clear_fault and pool_order"
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
