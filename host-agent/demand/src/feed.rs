//! What the world tells: values with an age and a time for which they hold.

use std::time::Duration;

/// What is told. What is left out stays as it was told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Feed {
    /// Price of power, money per kWh; may be below nothing.
    pub price_per_kwh: Option<f64>,
    /// Revenue, money per TH/s and day.
    pub revenue_per_ths_day: Option<f64>,
    /// Surplus of power, W.
    pub surplus_w: Option<f64>,
    /// How long it holds from when it was true; else as configured.
    pub valid: Option<Duration>,
    /// How long ago it was true.
    pub age: Duration,
}

/// Why what was told is not used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FeedError {
    /// A number that cannot be meant.
    #[error("{what} is {value}, but must be {expected}; what was told before stays")]
    Value {
        /// What it is of.
        what: &'static str,
        /// The number.
        value: f64,
        /// What would be good.
        expected: &'static str,
    },
    /// Nothing was told.
    #[error("nothing is told: give price_per_kwh, revenue_per_ths_day or surplus_w")]
    Nothing,
    /// The surplus would change nothing.
    #[error(
        "a surplus changes nothing: the config has no [tuner.surplus]; add it, and the miner draws no more than the surplus"
    )]
    NoSurplusRule,
}

/// Largest price and revenue that are believed.
const MOST_MONEY: f64 = 1e6;
/// Largest surplus that is believed, W.
const MOST_W: f64 = 1e9;
/// Revenue while none is told holds for so long.
pub(crate) const REVENUE_VALID: Duration = Duration::from_secs(24 * 3600);

impl Feed {
    pub(crate) fn check(&self) -> Result<(), FeedError> {
        let within = |what, value: Option<f64>, low: f64, high: f64, expected| match value {
            Some(value) if !(low..=high).contains(&value) => Err(FeedError::Value {
                what,
                value,
                expected,
            }),
            _ => Ok(()),
        };
        if (self.price_per_kwh, self.revenue_per_ths_day, self.surplus_w) == (None, None, None) {
            return Err(FeedError::Nothing);
        }
        let money = "a number from -1000000 to 1000000";
        within(
            "price_per_kwh",
            self.price_per_kwh,
            -MOST_MONEY,
            MOST_MONEY,
            money,
        )?;
        let money = "a number above 0, at most 1000000";
        within(
            "revenue_per_ths_day",
            self.revenue_per_ths_day,
            1e-12,
            MOST_MONEY,
            money,
        )?;
        let watts = "a number of watts";
        within("surplus_w", self.surplus_w, -MOST_W, MOST_W, watts)
    }
}

/// A value that was told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Value {
    pub(crate) value: f64,
    /// Age when it was told, and when that was.
    age: Duration,
    told: Duration,
    valid: Duration,
}

impl Value {
    pub(crate) fn new(now: Duration, value: f64, feed: &Feed, valid: Duration) -> Self {
        Self {
            value,
            age: feed.age,
            told: now,
            valid: feed.valid.unwrap_or(valid),
        }
    }

    pub(crate) fn age(&self, now: Duration) -> Duration {
        self.age.saturating_add(now.saturating_sub(self.told))
    }

    pub(crate) fn is_fresh(&self, now: Duration) -> bool {
        self.age(now) < self.valid
    }

    pub(crate) fn valid(&self) -> Duration {
        self.valid
    }

    /// When it holds no more, unless it does not already.
    pub(crate) fn ends(&self, now: Duration) -> Option<Duration> {
        let left = self.valid.checked_sub(self.age(now))?;
        Some(now.saturating_add(left)).filter(|_| !left.is_zero())
    }
}

/// Why a feed says nothing: `price: none was told yet`.
pub(crate) fn silence(what: &str, value: Option<&Value>, now: Duration) -> String {
    match value {
        None => format!("{what}: none was told yet"),
        Some(value) => format!(
            "{what}: the last is {} old and holds for {}",
            span(value.age(now)),
            span(value.valid())
        ),
    }
}

/// A time in words: `45 s`, `12 min`, `3 h`.
pub(crate) fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
