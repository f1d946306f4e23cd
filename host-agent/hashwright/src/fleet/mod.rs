//! Many agents at once: which there are, how they do, and changing them together.

pub mod file;
pub mod range;
