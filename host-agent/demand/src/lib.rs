//! What the owner wants of the machine at this moment, as one set of constraints: the aim and the caps of the owner,
//! tightened by a schedule, by price and surplus of power, by curtailment and by heat. A rule can only take power away or put
//! the machine to sleep, and each says so in words. Nothing here has a clock: agent's time and the time of day come in.
#![forbid(unsafe_code)]

mod curtail;
mod engine;
mod feed;
mod heat;
mod price;
mod schedule;
mod settings;
mod sleep;
mod surplus;
mod want;

pub use curtail::{Curtail, CurtailError};
pub use engine::{Demand, Effective, Inputs, Reason};
pub use feed::{Feed, FeedError};
pub use heat::Hottest;
pub use schedule::{Days, Entry, Local, TimeOfDay};
pub use settings::{Base, Fallback, HeatRule, PriceRule, PriceStep, Settings, SurplusRule, Then};
