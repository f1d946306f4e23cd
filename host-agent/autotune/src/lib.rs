//! Finds the clocks and the voltage at which these very chips serve their owner's aim best, keeps them there, and says why.
//!
//! Pure: readings and the time go in, orders and explanations come out; no port, task, clock or log. [`Layout`] says what a machine
//! is made of, [`Aim`] and [`Caps`] what its owner wants. A [`Tuner`] measures at a setting until the counts say enough, learns
//! threshold, slope, leakage and heat of these chips with their doubt, and moves to where the aim is served better without any chip
//! being likely to fail. What it knows of a board is a [`BoardModel`], stored by serial number.

mod belief;
mod evidence;
mod layout;
pub mod math;
mod plan;
mod plant;
mod report;
mod tuner;

pub use evidence::{Rate, Sprt, Steady, Verdict};
pub use layout::{Layout, LayoutError, Scope, nonce_hashes};
pub use plan::{Aim, Caps, Plan, Problem, Reach, Setting};
pub use plant::{Bounds, Outcome, Plant};
pub use report::{
    Activity, BoardModel, BoardReading, CalibrateError, Calibration, ChipModel, ChipQuality,
    ChipReading, Command, DomainModel, Event, Explanation, Fitted, Grade, Observation, Prediction,
    Status, Step,
};
pub use tuner::Tuner;
