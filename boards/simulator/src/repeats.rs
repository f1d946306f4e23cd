//! Remembers which headers were reported lately, and by whom, so that the report can tell fresh nonces from repeats.

use std::collections::{HashMap, VecDeque};

/// Headers remembered: minutes of a flooding chain, days of a calm one.
const LIMIT: usize = 1 << 16;

/// The latest reported headers.
#[derive(Debug, Default)]
pub(crate) struct RecentHeaders {
    first_by: HashMap<u64, u16>,
    order: VecDeque<u64>,
}

impl RecentHeaders {
    /// Notes a reported header; the chip that reported it first, if it is not new.
    pub(crate) fn seen(&mut self, header: u64, chip: u16) -> Option<u16> {
        if let Some(&first) = self.first_by.get(&header) {
            return Some(first);
        }
        if self.order.len() == LIMIT
            && let Some(oldest) = self.order.pop_front()
        {
            self.first_by.remove(&oldest);
        }
        self.first_by.insert(header, chip);
        self.order.push_back(header);
        None
    }
}
