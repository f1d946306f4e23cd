//! A virtual chain that lives in real time. Its chips really hash, so that a slow or busy machine may
//! not keep up: then the chain loses time instead of holding up the program.

use std::time::Duration;

use board_simulator::VirtualChain;

use crate::clock::Clock;

/// Longest stretch that is worked through in one go; tasks of the same thread wait meanwhile.
const SLICE: Duration = Duration::from_millis(20);
/// A chain that is further behind than this skips what it has missed.
const PATIENCE: Duration = Duration::from_millis(500);

/// A virtual chain and its own time, which starts when it is switched on.
#[derive(Debug)]
pub(super) struct Powered {
    clock: Clock,
    /// The agent's time at the chain's zero; moves on when the chain skips time.
    zero: Duration,
    told: bool,
}

impl Powered {
    pub(super) fn on(clock: Clock) -> Self {
        Self {
            clock,
            zero: clock.now(),
            told: false,
        }
    }

    /// The chain's time for a call at this moment; not more than a slice after what is due in it.
    pub(super) fn now(&mut self, next_event: Option<Duration>) -> Duration {
        let now = self.clock.now().saturating_sub(self.zero);
        let Some(due) = next_event else {
            return now;
        };
        let behind = now.saturating_sub(due);
        if behind <= SLICE {
            return now;
        }
        if behind > PATIENCE {
            self.zero += behind;
            if !self.told {
                self.told = true;
                tracing::warn!(
                    "this machine is too busy for the simulated board, which runs slower than it should; a higher scale_bits makes it cheaper"
                );
            }
            return due;
        }
        due + SLICE
    }

    /// A moment of the chain, as the agent's clock has it.
    pub(super) fn agents_time(&self, moment: Duration) -> Duration {
        moment + self.zero
    }

    /// Waits until the chain has something to do.
    pub(super) async fn wait(&self, chain: &VirtualChain) {
        let due = chain.next_event().map(|due| due + self.zero);
        if due.is_some_and(|due| due <= self.clock.now()) {
            // Behind: others first, then the next slice.
            tokio::task::yield_now().await;
        } else {
            self.clock.sleep_until(due).await;
        }
    }
}
