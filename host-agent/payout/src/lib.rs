//! What a job pays, and to whom.
//!
//! A pool decides which block the miner works on, and with it who gets the reward. [`decode`]
//! reads the coinbase of a [`Job`](mining::Job) back: height, outputs with addresses, the pool's
//! tag. A [`Watch`] per pool learns what is normal there, raises alarms when payout or pool
//! change, and refuses work that breaks the owner's rule. It opens nothing and reads no clock.
//!
//! What a job cannot show is not claimed: a pool that keeps the reward and pays later looks the
//! same whether it is honest or not, and a Stratum V2 standard channel shows no coinbase at all.

mod address;
mod alarm;
mod coinbase;
mod learn;
mod reward;
mod tag;
mod watch;
mod wire;

pub use address::{AddressError, PayoutAddress, guess_network, network_name};
pub use alarm::{Alarm, Code, Severity};
pub use bitcoin::Network;
pub use coinbase::{Coinbase, DecodeError, Kind, Output, Place, Problem, decode};
pub use reward::{Percent, PercentError, Portion, subsidy_sat};
pub use tag::Tag;
pub use watch::{Expectation, Verdict, Watch};
