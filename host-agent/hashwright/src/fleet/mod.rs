//! Many agents at once: which there are, how they do, and changing them together. What is here asks the
//! same API as every other client; an agent does not know that it is one of many.

pub mod change;
pub mod command;
pub mod crowd;
pub mod file;
pub mod machine;
pub mod range;
pub mod scan;
pub mod table;
pub mod watch;
