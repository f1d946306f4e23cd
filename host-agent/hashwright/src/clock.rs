//! The one clock of the agent: time since it started, as the pure rooms want it.
//!
//! It follows tokio's time, so a test that pauses tokio's clock runs the whole agent in virtual
//! time.

use std::time::Duration;

use tokio::time::Instant;

/// A monotonic clock that starts at zero.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The moment that it calls zero.
    #[must_use]
    pub fn epoch(&self) -> Instant {
        self.start
    }

    /// Time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Sleeps until that moment; without one, for ever.
    pub async fn sleep_until(&self, moment: Option<Duration>) {
        match moment.and_then(|moment| self.start.checked_add(moment)) {
            Some(instant) => tokio::time::sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }
}
