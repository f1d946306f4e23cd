//! Finds the clocks and the voltage at which these very chips serve their owner's aim best, keeps them there, and says why.
mod belief;
mod evidence;
mod layout;
pub mod math;
mod plan;
mod plant;
mod report;
mod tuner;
pub use evidence::{Rate, Sprt, Steady, Verdict};
pub use layout::*;
pub use plan::*;
pub use plant::*;
pub use report::*;
pub use tuner::Tuner;
