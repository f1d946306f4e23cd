//! One switch that asks every task to finish, from a signal, a key or a test. It has a second
//! position for people in a hurry: power off now, without winding down.

use tokio::sync::watch;

/// Where the switch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Position {
    Run,
    Stop,
    Hurry,
}

/// Turns the switch. Dropping the last one turns it as well, so that no task outlives its owner.
#[derive(Clone, Debug)]
pub struct Stopper {
    position: watch::Sender<Position>,
    holders: watch::Sender<usize>,
}

/// Says that whoever has it holds power on.
#[derive(Debug)]
pub struct Hold(watch::Sender<usize>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// Waits for the switch.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Position>);

/// A new switch, not yet turned.
#[must_use]
pub fn channel() -> (Stopper, Stop) {
    let (position, receiver) = watch::channel(Position::Run);
    let holders = watch::channel(0).0;
    (Stopper { position, holders }, Stop(receiver))
}

impl Stopper {
    /// Asks every waiting task to finish.
    pub fn stop(&self) {
        self.turn(Position::Stop);
    }

    /// Asks for the end without winding down: whoever holds power cuts it at once.
    pub fn hurry(&self) {
        self.turn(Position::Hurry);
    }

    /// For a task that may hold power on, until it drops it.
    #[must_use]
    pub fn hold(&self) -> Hold {
        self.holders.send_modify(|count| *count += 1);
        Hold(self.holders.clone())
    }

    /// Waits until nobody holds power on.
    pub async fn released(&self) {
        // An error is impossible: this very sender is alive.
        let _ = self.holders.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Another one that waits for this switch.
    #[must_use]
    pub fn watch(&self) -> Stop {
        Stop(self.position.subscribe())
    }

    /// It only ever goes on, never back.
    fn turn(&self, to: Position) {
        self.position.send_if_modified(|position| {
            let further = *position < to;
            *position = to.max(*position);
            further
        });
    }
}

impl Stop {
    /// Returns once the switch has been turned. Cancelling it loses nothing.
    pub async fn stopped(&mut self) {
        // An error means that all switches are gone, which is the same wish.
        let _ = self
            .0
            .wait_for(|position| *position >= Position::Stop)
            .await;
    }

    /// Returns once somebody is in a hurry. Cancelling it loses nothing.
    pub async fn hurried(&mut self) {
        if self
            .0
            .wait_for(|position| *position == Position::Hurry)
            .await
            .is_err()
        {
            // Nobody is left who could be.
            std::future::pending().await
        }
    }

    /// Whether the switch has been turned.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow() >= Position::Stop || self.0.has_changed().is_err()
    }
}
