//! The last shares and what became of them, for people who watch. The tasks on the way of a share only put
//! it here: a short lock, never a wait; what nobody read in time is gone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rpc::stream::Share;
use tokio::sync::watch;

/// Shares kept; the oldest go first.
pub const KEPT: usize = 256;

/// The list. Clones share it.
#[derive(Clone, Debug)]
pub struct ShareLog {
    list: Arc<Mutex<VecDeque<Share>>>,
    last: Arc<watch::Sender<u64>>,
}

impl Default for ShareLog {
    fn default() -> Self {
        Self {
            list: Arc::default(),
            last: Arc::new(watch::channel(0).0),
        }
    }
}

impl ShareLog {
    /// Adds a share; its number and time are filled in here.
    pub fn note(&self, mut share: Share) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *self.last.borrow() + 1;
        share.number = number;
        share.unix_s = crate::api::logs::unix_time();
        if list.len() >= KEPT {
            list.pop_front();
        }
        list.push_back(share);
        drop(list);
        self.last.send_replace(number);
    }

    /// Shares after the one with this number, oldest first, the newest `most` of them.
    #[must_use]
    pub fn after(&self, number: u64, most: usize) -> Vec<Share> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = list.partition_point(|share| share.number <= number);
        let skip = (list.len() - fresh).saturating_sub(most);
        list.iter().skip(fresh + skip).cloned().collect()
    }

    /// Follows the number of the newest share.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_shares_are_kept_and_numbered() {
        let log = ShareLog::default();
        for pool in 0..KEPT + 3 {
            let share = Share {
                pool,
                ..Share::default()
            };
            log.note(share);
        }
        let kept = log.after(0, usize::MAX);
        assert_eq!((kept.len(), kept[0].number, kept[0].pool), (KEPT, 4, 3));
        let newest = log.after(5, 2);
        let numbers: Vec<_> = newest.iter().map(|share| share.number).collect();
        assert_eq!(numbers, [KEPT as u64 + 2, KEPT as u64 + 3]);
        assert_eq!(*log.watch().borrow(), KEPT as u64 + 3);
    }
}
