//! What the user and the owner may ask for, and the limits of that.

use std::time::Duration;

use guard::{Percent, Request};
use thiserror::Error;

use super::Station;
use crate::{cooling::Mode, derate::SetPoint, notice, status::ChainReport};

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
    /// A value outside the profile's limits.
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
    /// The guard does not allow it.
    #[error("{0}")]
    Guard(String),
    /// No such board in this station.
    #[error("the station has no board {0}")]
    NoSuchBoard(usize),
}

impl Station {
    pub(super) fn check_set_point(&self, point: SetPoint) -> Result<(), Refused> {
        let profile = &self.config.profile;
        let (f, v) = (&profile.frequency, &profile.voltage);
        if !(f.min_mhz..=f.max_mhz).contains(&point.mhz) {
            return Err(Refused::OutOfRange {
                what: "clock in MHz",
                value: point.mhz,
                min: f.min_mhz,
                max: f.max_mhz,
            });
        }
        if !(v.min_mv..=v.max_mv).contains(&point.mv) {
            return Err(Refused::OutOfRange {
                what: "voltage in mV",
                value: f64::from(point.mv),
                min: f64::from(v.min_mv),
                max: f64::from(v.max_mv),
            });
        }
        Ok(())
    }

    pub(super) fn set_mode(&mut self, now: Duration, mode: Mode) -> Result<(), Refused> {
        self.guard
            .request(now, cooling_request(mode))
            .map_err(|refusal| Refused::Guard(refusal.to_string()))?;
        if let Some(guard) = self.buses.board_guard()
            && let Err(error) = guard.set_cooling(mode)
        {
            let back = cooling_request(self.fan.mode());
            let _ = self.guard.request(now, back);
            return Err(Refused::Guard(error.to_string()));
        }
        self.fan.set_mode(mode);
        self.config.cooling.mode = mode;
        Ok(())
    }

    pub(super) fn set_target(&mut self, celsius: f64) -> Result<(), Refused> {
        let max = self.config.profile.cooling.hot_c - 5.0;
        let min = crate::config::LOWEST_TARGET_C.min(max);
        if !(min..=max).contains(&celsius) {
            return Err(Refused::OutOfRange {
                what: "target temperature in °C",
                value: celsius,
                min,
                max,
            });
        }
        self.fan.set_target(celsius);
        Ok(())
    }

    pub(super) fn clear_fault(&mut self, now: Duration, code: &str) -> Result<(), Refused> {
        let known = notice::code(code);
        let mut cleared = false;
        if let Some(guard) = self.buses.board_guard()
            && self
                .board_guard
                .as_ref()
                .and_then(|link| link.state.as_ref())
                .is_some_and(|state| state.fault.as_deref() == Some(code.trim()))
        {
            guard
                .clear_fault(code)
                .map_err(|error| Refused::Guard(error.to_string()))?;
            cleared = true;
        }
        let result = match known {
            Some(known) => self
                .guard
                .request(now, Request::Clear(known))
                .map_err(|refusal| Refused::Guard(refusal.to_string())),
            None => Err(Refused::Guard(format!("there is no fault `{code}`"))),
        };
        if cleared { Ok(()) } else { result }
    }
}

pub(super) fn cooling_request(mode: Mode) -> Request {
    match mode {
        Mode::Auto => Request::Cooling {
            mode: guard::CoolingMode::Auto,
            confirmed: false,
        },
        Mode::Manual { percent } => Request::Cooling {
            mode: guard::CoolingMode::Manual(Percent::new(percent)),
            confirmed: false,
        },
        Mode::Immersion { confirmed } => Request::Cooling {
            mode: guard::CoolingMode::Immersion,
            confirmed,
        },
    }
}
