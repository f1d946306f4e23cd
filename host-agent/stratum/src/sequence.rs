//! Numbers that must be unique over all upstream sessions of a program: sessions and job
//! generations. Chips see jobs of one pool after those of another, so a count of its own in
//! each session would not do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Hands out session numbers and job generations; clones share the same counters.
///
/// Make one for the whole program and give a clone to every session.
#[derive(Clone, Debug, Default)]
pub struct Sequence(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    sessions: AtomicU64,
    generations: AtomicU64,
}

impl Sequence {
    /// Counters that start at zero; the first number handed out is 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A session number that no session had before.
    #[must_use]
    pub fn next_session(&self) -> u64 {
        self.0.sessions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A job generation above all earlier ones.
    #[must_use]
    pub fn next_generation(&self) -> u64 {
        self.0.generations.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_counters() {
        let one = Sequence::new();
        let other = one.clone();
        assert_eq!(one.next_generation(), 1);
        assert_eq!(other.next_generation(), 2);
        assert_eq!(other.next_session(), 1);
        assert_eq!(one.next_session(), 2);
    }
}
