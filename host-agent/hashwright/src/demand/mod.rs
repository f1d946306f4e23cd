//! What the owner wants of the miner at this moment: one task holds the rules of `[tuner]`, is told prices, surplus and
//! curtailment, reads power and heat, and tells the tuners and, for sleep, the settings what follows. What the rules come to
//! is the `demand` crate's; here are the clock on the wall, files, and the ways to the others.

mod file;
mod pass;
mod task;
#[cfg(test)]
mod tests;

use std::time::Duration;

use autotune::{Aim, Caps};
use demand::Settings as Rules;
use rpc::Error;
use rpc::tuner::{Curtail, DemandStatus, Feed, Reason};
use tokio::sync::{mpsc, oneshot, watch};

pub use task::{Links, Task};

use crate::clock::Clock;
use crate::config::Config;

/// Wishes that may wait.
const WISHES: usize = 16;
/// Longest time for which something told or wished may hold, s.
const LONGEST_S: f64 = 30.0 * 24.0 * 3600.0;

/// What is asked of the task, with the way back.
#[derive(Debug)]
enum Ask {
    Feed(demand::Feed, Reply),
    Curtail(demand::Curtail, Reply),
    Base(demand::Base, Reply),
}

type Reply = oneshot::Sender<Result<DemandStatus, Error>>;

/// A way to the task. Clones reach the same.
#[derive(Clone, Debug)]
pub struct Handle {
    /// What holds at this moment, and why. Ages are those of the last look, a second ago at most.
    pub view: watch::Receiver<DemandStatus>,
    base: watch::Receiver<(Aim, Caps)>,
    asks: mpsc::Sender<Ask>,
}

impl Handle {
    /// A handle without an agent behind it: shows nothing and refuses everything.
    #[must_use]
    pub fn detached() -> Self {
        Self {
            view: watch::channel(DemandStatus::default()).1,
            base: watch::channel((Aim::Off, Caps::default())).1,
            asks: mpsc::channel(1).0,
        }
    }

    /// The world tells something of power; what holds then.
    ///
    /// # Errors
    ///
    /// When a number cannot be meant, or would change nothing; then nothing of it is taken.
    pub async fn feed(&self, feed: Feed) -> Result<DemandStatus, Error> {
        let feed = self::feed(&feed, Duration::ZERO).map_err(Error::invalid_params)?;
        self.ask(|reply| Ask::Feed(feed, reply)).await
    }

    /// Power is to be capped for a while, or no longer; what holds then.
    ///
    /// # Errors
    ///
    /// When a number cannot be meant; then all is as it was.
    pub async fn curtail(&self, wish: Curtail) -> Result<DemandStatus, Error> {
        let time = |name, value: Option<f64>| {
            let time = value.map(|value| seconds(name, value)).transpose();
            time.map_err(Error::invalid_params)
        };
        let wish = demand::Curtail {
            watts: wish.watts,
            ramp: time("ramp_s", wish.ramp_s)?.unwrap_or_default(),
            length: time("for_s", wish.for_s)?,
        };
        self.ask(|reply| Ask::Curtail(wish, reply)).await
    }

    /// The owner wants something else in general; what holds then.
    ///
    /// # Errors
    ///
    /// When a number cannot be meant; then all is as it was.
    pub async fn set_base(&self, aim: Aim, caps: Caps) -> Result<DemandStatus, Error> {
        let base = demand::Base { aim, caps };
        self.ask(|reply| Ask::Base(base, reply)).await
    }

    /// What the owner wants in general.
    #[must_use]
    pub fn base(&self) -> (Aim, Caps) {
        *self.base.borrow()
    }

    async fn ask(&self, ask: impl FnOnce(Reply) -> Ask) -> Result<DemandStatus, Error> {
        let gone = || Error::denied("the agent is stopping");
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Prepares the task of an agent with this config, and the way to it.
#[must_use]
pub fn prepare(config: &Config, clock: Clock) -> (Task, Handle) {
    let tuner = &config.tuner;
    let limits = config.boards.iter().map(|b| b.profile.limits.power_w);
    let rules = Rules {
        base: demand::Base {
            aim: tuner.aim,
            caps: tuner.caps,
        },
        full_w: limits.sum(),
        schedule: tuner.rules.schedule.clone(),
        price: tuner.rules.price.clone(),
        surplus: tuner.rules.surplus,
        heat: tuner.rules.heat,
        least_awake: tuner.rules.least_awake,
        least_asleep: tuner.rules.least_asleep,
    };
    let (view_in, view) = watch::channel(DemandStatus {
        aim: tuner.aim,
        caps: tuner.caps,
        ..DemandStatus::default()
    });
    let (base_in, base) = watch::channel((tuner.aim, tuner.caps));
    let (asks_in, asks) = mpsc::channel(WISHES);
    let task = Task::new(tuner.rules.clone(), rules, clock, view_in, base_in, asks);
    let asks = asks_in;
    (task, Handle { view, base, asks })
}

/// What is told, with the age that it has already.
fn feed(told: &Feed, age: Duration) -> Result<demand::Feed, String> {
    let valid = told.valid_s.map(|value| seconds("valid_s", value));
    Ok(demand::Feed {
        price_per_kwh: told.price_per_kwh,
        revenue_per_ths_day: told.revenue_per_ths_day,
        surplus_w: told.surplus_w,
        valid: valid.transpose()?,
        age,
    })
}

fn seconds(name: &str, value: f64) -> Result<Duration, String> {
    if (0.0..=LONGEST_S).contains(&value) {
        return Ok(Duration::from_secs_f64(value));
    }
    Err(format!(
        "{name} is {value}, but must be a number of seconds from 0 to {LONGEST_S}"
    ))
}

/// What holds, as it is told. `unix_s` is the time on the wall, if that is known.
fn status(effective: &demand::Effective, now: Duration, unix_s: Option<u64>) -> DemandStatus {
    let reason = |reason: &demand::Reason| Reason {
        code: reason.code.to_owned(),
        text: reason.text.clone(),
    };
    let left = effective
        .next_change
        .map(|next| next.saturating_sub(now).as_secs_f64().ceil() as u64);
    DemandStatus {
        aim: effective.aim,
        caps: effective.caps,
        asleep: effective.asleep,
        reasons: effective.reasons.iter().map(reason).collect(),
        next_change_unix_s: left
            .zip(unix_s)
            .map(|(left, unix)| unix.saturating_add(left)),
        price_per_kwh: effective.price_per_kwh.map(|(price, _)| price),
        price_age_s: effective.price_per_kwh.map(|(_, age)| age.as_secs_f64()),
        revenue_per_ths_day: effective.revenue_per_ths_day,
        surplus_w: effective.surplus_w.map(|(watts, _)| watts),
        surplus_age_s: effective.surplus_w.map(|(_, age)| age.as_secs_f64()),
        curtailed_to_w: effective.curtailed_to_w,
    }
}
