//! One control domain of a miner: boards that are powered together, with their regulator, fans and
//! sensors, under a guard. A [`Station`] brings power up in the right order and down again, cools,
//! throttles, and cuts power the moment the guard withdraws it. It is a state machine without
//! threads, sleeps or a clock: time goes in, short blocking accesses to [`Buses`] happen inside
//! [`Station::tick`], events come out.
#![forbid(unsafe_code)]

mod bridge_buses;
pub mod buses;
pub mod config;
mod controller;
pub mod cooling;
pub mod derate;
mod latch;
mod layout;
mod notice;
mod parts;
mod psu;
mod sense;
mod sequence;
mod station;
pub mod status;

pub use bridge_buses::BridgeBuses;
pub use buses::{BusError, Buses, Line};
pub use config::{BoardConfig, ConfigError, CoolingOptions, StationConfig};
pub use controller::controller_plan;
pub use cooling::Mode;
pub use derate::SetPoint;
pub use latch::{StoredFault, StoredSubject};
pub use station::{Command, Refused, Station};
pub use status::{ChainPhase, ChainReport, Event, Notice, Phase, Power, Severity, Status};
