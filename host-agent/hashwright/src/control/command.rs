//! The way from people to stations. Whoever asks waits for the answer.

use std::time::Duration;

use station::Refused;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Order, Request};

/// Longest time that a station is waited for. One that hangs in its hardware answers nobody.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A station as people address it.
#[derive(Clone, Debug)]
pub struct StationHandle {
    /// Its boards, by position in the config.
    pub boards: Vec<usize>,
    /// Whether it has fans that can be run in one way or another.
    pub fans: bool,
    /// The way to its task.
    pub requests: mpsc::Sender<Request>,
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Denied {
    /// The station refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The agent is stopping, or the station is stuck.
    #[error("the station of the board does not answer; the agent may be stopping")]
    Gone,
}

impl StationHandle {
    /// Asks the station, and waits for its answer.
    ///
    /// # Errors
    ///
    /// When it refuses, or does not answer.
    pub async fn ask(&self, order: Order) -> Result<(), Denied> {
        let (reply, answer) = oneshot::channel();
        let request = Request { order, reply };
        // A full queue means that the station is stuck in its hardware.
        self.requests.try_send(request).map_err(|_| Denied::Gone)?;
        match timeout(LONGEST_WAIT, answer).await {
            Ok(Ok(outcome)) => Ok(outcome?),
            _ => Err(Denied::Gone),
        }
    }
}
