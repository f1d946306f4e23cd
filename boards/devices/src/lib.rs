//! Drivers for the regulators, sensors, fan controllers and memories of hash boards, on embedded-hal 1.0.
//!
//! One module per part. A driver is made anew for each use from a bus and an address, and keeps nothing
//! between calls; `&mut bus` is a bus too. Drivers neither sleep nor allocate nor log: where a part needs
//! a pause, its module has the length as a constant and the call ends before it. They are synchronous on
//! purpose. The safety core and the control loop that use them are, with waits as states between calls;
//! an async program can run them over a bus that answers from memory, or in a thread of its own.
//!
//! ```
//! use board_devices::{Emc2101, Error, emc2101};
//! use embedded_hal::i2c::I2c;
//!
//! fn chip_temperature<B: I2c>(mut bus: B) -> Result<i32, Error<B::Error>> {
//!     let mut monitor = Emc2101::new(&mut bus, emc2101::ADDRESS);
//!     monitor.identify()?;
//!     monitor.set_duty(100)?;
//!     monitor.external_centi_c()
//! }
//! ```
//!
//! # Values and faults
//!
//! Values are integers, their unit in the name: `centi_c` hundredths of a degree Celsius, `mv`, `ma`,
//! `mw`, `rpm`; duties are percent. All setters check bounds and read back what they wrote; a register
//! that did not keep it is [`Error::ReadBack`]. Voltages are always rounded down to what the part can
//! do, fan duties up. Fault codes of sensors are errors, never temperatures. What is merely improbable
//! (-1 or 126 degrees, a value that never moves) is for the safety core to judge, which sees more than
//! one reading. [`part::probe`] tells present, absent and wrong parts apart.
//!
//! Regulators set up by this crate lose the set-up with their power. There is no way to store it in them:
//! the commands for that do not exist in [`pmbus`].
//!
//! # Crates that were looked at
//!
//! | crate | verdict | why |
//! |---|---|---|
//! | `eeprom24x` 0.7 | used | embedded-hal 1.0, no delays, checks offsets and pages; reads past the end and the wait for a write are handled here |
//! | `emc2101` 3.0 | not used | panics on a tachometer count of 0, cuts speeds to 16 bits, gives fault codes as temperatures, sets no ideality, writes a register whenever it is made |
//! | `tmp451` 0.3 | not used | offsets cannot be negative, as emberOne boards need; temperatures as floats by a range that is a type; an open diode is only in a status of its own |
//! | `tmp1075` 0.2 | not used | features for sync and async exclude each other, so that one user decides for a whole build; does not check the die id; floats |
//! | `lm75` 1.0 | not used | sound, but 9 and 11 bits only and floats for a two-byte register |
//! | `ina260` 0.3 | not used | embedded-hal 0.2; resets the part whenever it is made |
//! | `tps546` 0.1 | not used | async only, needs a `'static` bus, offers the storing commands, sends 0 for what it cannot encode |
//! | `port-expander` 0.6 | not used | no FXL6408; its register twin is set up anew whenever it is made, and a wrong id panics |
//! | `emc230x` 0.8, `ds4432` | not used | licences (MPL-2.0, AGPL) |
//!
//! # Not covered
//!
//! The PIC controllers of S9, S17 and early S19 boards, which have a converter and a heartbeat of their
//! own: no board with one is supported, and boards without one need no driver in its place. Lookup tables
//! and speed loops of the fan controllers, alert pins, packet error codes.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod apw;
pub mod ds4432u;
pub mod eeprom;
pub mod emc2101;
pub mod emc2103;
pub mod emc2302;
mod error;
mod fans;
pub mod fxl6408;
pub mod ina260;
pub mod lm75;
pub mod part;
pub mod pmbus;
mod registers;
mod status;
mod temperature;
pub mod tmp1075;
pub mod tmp451;
pub mod tps536x7;
pub mod tps546;

pub use apw::Apw;
pub use ds4432u::Ds4432u;
pub use eeprom::Eeprom;
pub use emc2101::Emc2101;
pub use emc2103::Emc2103;
pub use emc2302::Emc2302;
pub use error::Error;
pub use fxl6408::Fxl6408;
pub use ina260::Ina260;
pub use lm75::Lm75;
pub use part::{Part, Presence};
pub use tmp451::Tmp451;
pub use tmp1075::Tmp1075;
pub use tps536x7::Tps536x7;
pub use tps546::Tps546;
