//! The station: what is wanted, what the guard grants, and the way between off and running.

use std::{collections::VecDeque, time::Duration};

use thiserror::Error;

use crate::{
    buses::Buses,
    config::{ConfigError, StationConfig},
    cooling::Mode,
    derate::SetPoint,
    status::{ChainReport, Event, Status},
};

/// Something that the owner or the user wants, or reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Bring the boards up and run them at this set point.
    Run(SetPoint),
    /// Wind down in order and switch off.
    Stop,
    /// Run at another set point; kept for the next start if the boards are off.
    SetPoint(SetPoint),
    /// Run the fans otherwise.
    Cooling(Mode),
    /// Hold another temperature, °C.
    Target(f64),
    /// A person clears the latched fault by repeating its code.
    ClearFault(String),
    /// What the chain of a board does; sent whenever it changes.
    Chain {
        /// Board within the station, from 0.
        board: usize,
        /// What it does.
        report: ChainReport,
    },
    /// The program that mines is alive. Without it for the guard's lease power goes.
    Heartbeat,
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Refused {
    /// A set point outside the profile's limits.
    #[error("{what} {value} is outside the board's {min} to {max}")]
    OutOfRange {
        /// Quantity and unit.
        what: &'static str,
        /// What was asked for.
        value: f64,
        /// Lowest.
        min: f64,
        /// Highest.
        max: f64,
    },
    /// Immersion without the word of a person.
    #[error("immersion has to be confirmed: nobody watches the fans in it")]
    Unconfirmed,
    /// No fault of that code is latched.
    #[error("there is no latched fault `{given}`; {present}")]
    NoSuchFault {
        /// Code that was given.
        given: String,
        /// What there is, in words.
        present: String,
    },
    /// No such board in this station.
    #[error("the station has no board {0}")]
    NoSuchBoard(usize),
}

/// Boards that are powered together, under a guard.
pub struct Station {
    buses: Box<dyn Buses + Send>,
    events: VecDeque<Event>,
}

impl std::fmt::Debug for Station {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Station").finish_non_exhaustive()
    }
}

impl Station {
    /// A station whose boards are off. Nothing is accessed before the first tick.
    ///
    /// # Errors
    ///
    /// When the profile does not say enough to guard the boards, or the config contradicts it.
    pub fn new(
        config: StationConfig,
        buses: Box<dyn Buses + Send>,
        now: Duration,
    ) -> Result<Self, ConfigError> {
        let _ = (config, now);
        Ok(Self {
            buses,
            events: VecDeque::new(),
        })
    }

    /// Takes a command at `now`. What follows from it happens in the next tick, which is due at
    /// once.
    ///
    /// # Errors
    ///
    /// When limits or rules forbid it; then nothing changed.
    pub fn handle(&mut self, now: Duration, command: Command) -> Result<(), Refused> {
        let _ = (now, command);
        Ok(())
    }

    /// Does what is due: reads what has to be read, asks the guard, acts. Accesses to the hardware
    /// happen here, each short.
    pub fn tick(&mut self, now: Duration) {
        let _ = now;
    }

    /// When to tick again.
    #[must_use]
    pub fn poll_timeout(&self) -> Duration {
        Duration::ZERO
    }

    /// The next event. Ask again until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Cuts power now as well as it can, without waiting for anything: core off, chips in reset,
    /// rails off, fans at full speed. For exits and emergencies; after it the station is off until
    /// it is told to run.
    pub fn cut(&mut self, now: Duration) {
        let _ = (now, &mut self.buses);
    }

    /// Everything is switched off, as far as the hardware can tell.
    #[must_use]
    pub fn is_off(&self) -> bool {
        true
    }

    /// The station in numbers and words at `now`.
    #[must_use]
    pub fn status(&self, now: Duration) -> Status {
        let _ = now;
        Status::default()
    }
}
