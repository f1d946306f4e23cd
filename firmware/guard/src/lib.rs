//! The safety core of a hash board: a pure state machine that alone may keep power on.
//!
//! A [`Guard`] is told temperatures, fan speeds, rail status, heartbeats and requests, each with its time, and answers each
//! [`tick`](Guard::tick) with a [`Decision`]: whether power may be on, the lowest duty of the fans, the highest clock and
//! voltage, and the [`Fault`] with plain advice if there is one. It opens no port and reads no clock, allocates nothing and
//! uses no floating point. What it guarantees and how that is tested stands in `docs/safety.md`.
//!
//! It does not wind anything down, control temperatures or throttle: that is for whoever drives the board within what
//! the guard allows.
//!
//! ```
//! use std::time::Duration;
//! use guard::*;
//!
//! let mut limits = Limits::new(Kilohertz(625_000), Millivolts(1_250));
//! limits.sensors.push(SensorLimits::new(SensorKind::Chip, CentiCelsius(7_500)))?;
//! limits.fans.push(FanLimits::new(Rpm(6_000)))?;
//! let mut guard = Guard::new(&limits)?;
//!
//! let now = Duration::from_secs(10);
//! let set_point = SetPoint { voltage: Millivolts(1_150), frequency: Kilohertz(525_000) };
//! guard.request(now, Request::On(set_point))?;
//! guard.heartbeat(now);
//! guard.sensor(now, 0, Ok(CentiCelsius(4_525)));
//! // The fan is not verified yet: it has to be seen at full duty.
//! let decision = guard.tick(now);
//! assert!(!decision.power);
//! assert_eq!(decision.exact_duty(), Some(Percent::FULL));
//!
//! guard.fan(now, 0, Ok(FanReading { rpm: Rpm(5_900), duty: Percent::FULL }));
//! assert!(guard.tick(now).power);
//!
//! // A limit takes power with its first reading.
//! guard.sensor(now, 0, Ok(CentiCelsius(7_512)));
//! let decision = guard.tick(now);
//! assert!(!decision.power);
//! assert_eq!(decision.fault.unwrap().code, FaultCode::TemperatureLimit);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod age;
mod check;
mod event;
#[cfg(test)]
mod explore;
mod fault;
mod guard;
mod input;
mod limits;
mod machine;
mod outputs;
mod readings;
mod requests;
mod slots;
mod state;
mod tracks;
mod units;

pub use event::{EVENT_CAPACITY, Event, EventKind};
pub use fault::{Fault, FaultCode, Severity, Subject, Unit};
pub use guard::{Decision, Guard};
pub use input::{
    CoolingMode, FanReading, RailFaults, RailReading, ReadFault, Refusal, Report, Request, SetPoint,
};
pub use limits::{
    FanLimits, IMPLAUSIBLE_EXACT, IMPLAUSIBLE_FROM, Limits, LimitsError, MAX_FANS, MAX_FAULTS,
    MAX_RAILS, MAX_REACTION, MAX_SENSORS, RailLimits, RailRole, SensorKind, SensorLimits, Timing,
};
pub use slots::{Full, Slots};
pub use state::{Cause, State, TRANSITIONS, Transition};
pub use units::{CentiCelsius, Kilohertz, Milliamps, Millivolts, Milliwatts, Percent, Rpm};
