//! One switch that asks every task to finish, from a signal, a key or a test.

use tokio::sync::watch;

/// Turns the switch. Dropping the last one turns it as well, so that no task outlives its owner.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Waits for the switch.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A new switch, not yet turned.
#[must_use]
pub fn channel() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Asks every waiting task to finish.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Another one that waits for this switch.
    #[must_use]
    pub fn watch(&self) -> Stop {
        Stop(self.0.subscribe())
    }
}

impl Stop {
    /// Returns once the switch has been turned. Cancelling it loses nothing.
    pub async fn stopped(&mut self) {
        // An error means that all switches are gone, which is the same wish.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether the switch has been turned.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
