//! Finds the clocks and the voltage at which these very chips serve their owner's aim best, keeps them there, and says why.
mod belief;
mod evidence;
mod layout;
pub mod math;
mod plant;
pub use evidence::{Rate, Sprt, Steady, Verdict};
pub use layout::*;
pub use plant::*;
