//! Board profiles: what each supported hash board is made of, and what it may be asked to do.
//!
//! One TOML file describes one board; the files of known boards are built in and others can be
//! loaded from a path. Loading checks everything that can be checked without the board, so that
//! a [`Profile`] in hand never asks for the impossible. What follows from it, such as the voltage
//! for a clock or the pins of a slot, is asked of it, so that all its readers answer alike. Facts
//! about chips are not here: they belong to `bm13xx`. How a board is described stands in
//! `docs/porting.md`.

mod bounds;
mod builtin;
mod chip;
mod derive;
mod error;
mod load;
mod schema;
mod validate;

pub use bm13xx::ChipKind;
pub use error::{Problem, ProfileError};
pub use load::nearest;
pub use schema::{
    Active, Basis, Bridge, BridgeFans, BridgePin, Chain, ChipPhysics, Claim, Control, Converter,
    ConverterRole, Cooling, CurvePoint, Device, DeviceKind, Evidence, FanPhysics, Feedback,
    Frequency, Limits, Line, Linux, LinuxBoard, LinuxBus, LinuxFan, LinuxLine, LinuxPin, LinuxTach,
    Nominal, Physics, PinRole, Profile, PsuPhysics, RegulatorInit, RegulatorPhysics,
    ResponseFormat, Sensor, SensorChannel, SensorKind, Simulation, SupplyPhysics, ThermalPhysics,
    Voltage, VoltageScope,
};
