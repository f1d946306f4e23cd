//! The talk with an Antminer power supply. Every question takes 400 ms, so it is a small state machine:
//! find the protocol, ask the type, then set and ask the voltage for ever.

use std::time::Duration;

use board_devices::{
    Apw,
    apw::{ANSWER, Model, PAUSE, PROBE, Protocol, Request},
};
use guard::ReadFault;

use crate::{
    buses::Buses,
    parts::{Place, Trouble, on_bus},
};

/// Where the talk stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    /// Nothing is under way; the next question may go out.
    Idle,
    /// A mark was written to find the protocol.
    Marked,
    /// A question went out.
    Asked(Request),
    /// A question went out just now.
    Sent(Request),
}

/// A power supply that is being talked to.
#[derive(Clone, Debug)]
pub(crate) struct Psu {
    place: Place,
    /// From the profile, where the supply tells no type.
    named: Option<Model>,
    protocol: Option<Protocol>,
    model: Option<Model>,
    step: Step,
    due: Duration,
    /// Output that is wanted, mV.
    wanted_mv: Option<u32>,
    /// Output that was set and confirmed, mV.
    set_mv: Option<u32>,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Progress {
    /// Nothing new.
    None,
    /// It told its voltage, or took a new one, mV.
    Voltage(u32),
    /// Something went wrong.
    Trouble(Trouble),
}

impl Psu {
    pub(crate) fn new(place: Place, part_name: &str) -> Self {
        Self {
            place,
            named: part_name.starts_with("APW9").then_some(Model::Apw9),
            protocol: None,
            model: None,
            step: Step::Idle,
            due: Duration::ZERO,
            wanted_mv: None,
            set_mv: None,
        }
    }

    /// Wants another output, mV; forgets what was confirmed.
    pub(crate) fn set(&mut self, mv: u32) {
        if self.wanted_mv != Some(mv) {
            self.wanted_mv = Some(mv);
            self.set_mv = None;
        }
    }

    /// The wanted output was taken.
    pub(crate) fn is_set(&self) -> bool {
        self.set_mv.is_some() && self.set_mv == self.wanted_mv
    }

    /// When the next step is due.
    pub(crate) fn due(&self) -> Duration {
        self.due
    }

    /// Takes the next step if it is due.
    pub(crate) fn step(&mut self, now: Duration, buses: &mut dyn Buses) -> Progress {
        if now < self.due {
            return Progress::None;
        }
        match self.try_step(now, buses) {
            Ok(progress) => progress,
            Err(trouble) => {
                self.step = Step::Idle;
                self.due = now + ANSWER;
                Progress::Trouble(trouble)
            }
        }
    }

    fn try_step(&mut self, now: Duration, buses: &mut dyn Buses) -> Result<Progress, Trouble> {
        let address = self.place.address;
        let protocol = self.protocol.unwrap_or(Protocol::New);
        match self.step {
            Step::Idle if self.protocol.is_none() => {
                on_bus(buses, &self.place, |bus| {
                    Apw::new(bus, address, protocol).start_probe()
                })?;
                self.step = Step::Marked;
                self.due = now + PROBE;
            }
            Step::Marked => {
                let found = on_bus(buses, &self.place, |bus| {
                    Apw::new(bus, address, protocol).finish_probe()
                })?;
                self.protocol = Some(if found { Protocol::New } else { Protocol::Old });
                self.step = Step::Idle;
                self.due = now;
            }
            Step::Idle => {
                let request = self.next_request()?;
                on_bus(buses, &self.place, |bus| {
                    Apw::new(bus, address, protocol).request(request)
                })?;
                self.step = Step::Sent(request);
                self.due = now;
            }
            Step::Sent(request) => {
                // The question may have taken a while to go out; its answer takes its time from here.
                self.step = Step::Asked(request);
                self.due = now + ANSWER;
            }
            Step::Asked(request) => {
                let answer = on_bus(buses, &self.place, |bus| {
                    Apw::new(bus, address, protocol).answer(request)
                })?;
                self.step = Step::Idle;
                self.due = now + PAUSE;
                return self.take(request, answer);
            }
        }
        Ok(Progress::None)
    }

    fn next_request(&self) -> Result<Request, Trouble> {
        let Some(model) = self.model else {
            return Ok(Request::Type);
        };
        match self.wanted_mv {
            Some(mv) if !self.is_set() => match model.code(mv) {
                Some(code) => Ok(Request::SetVoltage { code }),
                None => {
                    let (min, max) = model.range_mv();
                    Err(trouble(format!(
                        "the supply cannot make {mv} mV, only {min} to {max} mV"
                    )))
                }
            },
            _ => Ok(Request::Voltage),
        }
    }

    fn take(&mut self, request: Request, answer: u16) -> Result<Progress, Trouble> {
        let code = u8::try_from(answer).unwrap_or(u8::MAX);
        match (request, self.model) {
            (Request::Type, _) => {
                self.model = Model::from_type(answer).or(self.named);
                if self.model.is_none() {
                    return Err(Trouble {
                        wrong: Some((answer.into(), 0x71)),
                        ..trouble(format!(
                            "the supply is of type {answer:#04x}, which is not known"
                        ))
                    });
                }
                Ok(Progress::None)
            }
            (Request::SetVoltage { code: sent }, Some(model)) => {
                // Another voltage may have been wanted meanwhile.
                self.set_mv = self.wanted_mv.filter(|&mv| model.code(mv) == Some(sent));
                Ok(Progress::Voltage(model.millivolts(code)))
            }
            (_, Some(model)) => Ok(Progress::Voltage(model.millivolts(code))),
            (_, None) => Ok(Progress::None),
        }
    }
}

fn trouble(text: String) -> Trouble {
    Trouble {
        fault: ReadFault::Failed,
        wrong: None,
        mismatch: None,
        gone: false,
        text,
    }
}
