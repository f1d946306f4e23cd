//! The control protocol of board controllers: the small request and answer protocol over a USB serial
//! port through which a host reaches a hash board's I2C, pins, fans and analogue inputs. It is the
//! protocol of bitaxe-raw and of the emberOne and bitcrane firmware, with a page of our own that old
//! hosts never see.
//!
//! * [`frame`], [`answer`] and [`page`] are the codec, used by both ends.
//! * [`client`] is the host's end: `embedded-hal` I2C and pins over any blocking byte [`client::Exchange`].
//! * [`extension`] is our own page: guard state, heartbeat lease, limits.
//! * [`app`] is the controller's end: the application of our own firmware, with the guard inside.
//!
//! The crate owns no port and reads no clock; bytes and the time go in, bytes come out. It is `no_std`
//! and never allocates. `docs/control-protocol.md` has the protocol byte for byte.
#![no_std]
#![forbid(unsafe_code)]

pub mod answer;
pub mod app;
pub mod client;
pub mod extension;
pub mod frame;
pub mod page;
mod text;

pub use answer::{AnswerError, Expect, Format, Progress, Receiver, Refusal};
pub use client::{Client, ClientError, Exchange};
pub use frame::{Incoming, Request, RequestDecoder};
pub use page::{AdcInput, Command, FanPage};
pub use text::Text;
