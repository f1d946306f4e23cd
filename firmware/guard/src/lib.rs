//! The safety core of a hash board: a pure state machine that alone may keep power on.
#![no_std]
#![forbid(unsafe_code)]

mod age;
mod check;
mod event;
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
