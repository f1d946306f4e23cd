//! Drivers for the regulators, sensors, fan controllers and memories of hash boards, on embedded-hal.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod ds4432u;
pub mod emc2101;
pub mod emc2103;
pub mod emc2302;
mod error;
mod fans;
pub mod ina260;
pub mod lm75;
pub mod pmbus;
mod registers;
mod temperature;
pub mod tmp1075;
pub mod tps546;

pub use ds4432u::Ds4432u;
pub use emc2101::Emc2101;
pub use emc2103::Emc2103;
pub use emc2302::Emc2302;
pub use error::Error;
pub use ina260::Ina260;
pub use lm75::Lm75;
pub use tmp1075::Tmp1075;
pub use tps546::Tps546;
