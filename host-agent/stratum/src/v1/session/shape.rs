//! The session in the shape that all upstreams have.

use std::time::Duration;

use mining::Share;

use super::Session;
use crate::session::{self, Action, Event, Opening, Reason, Refusal, Stats};

impl session::Session for Session {
    fn name(&self) -> String {
        self.config.url.to_string()
    }

    fn start(&mut self, now: Duration) {
        self.start(now);
    }

    fn stop(&mut self, now: Duration) {
        self.stop(now);
    }

    fn connected(&mut self, now: Duration, _: Opening) {
        self.connected(now);
    }

    fn disconnected(&mut self, now: Duration, reason: Reason) {
        self.disconnected(now, reason);
    }

    fn handle_bytes(&mut self, now: Duration, bytes: &[u8]) {
        self.handle_bytes(now, bytes);
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.poll_timeout()
    }

    fn submit(&mut self, now: Duration, share: Share) -> Result<(), Refusal> {
        self.submit(now, share)
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.poll_action()
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.poll_transmit()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }

    fn stats(&self) -> Stats {
        self.stats()
    }

    /// The line itself, except that of authorize, which carries the password.
    fn loggable(&self, message: &[u8]) -> String {
        let text = String::from_utf8_lossy(message);
        if text.contains("mining.authorize") {
            "mining.authorize, with user and password".to_owned()
        } else {
            text.trim_end().to_owned()
        }
    }
}
