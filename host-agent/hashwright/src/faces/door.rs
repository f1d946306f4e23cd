//! How many connections may be open: few from one address, and this machine has a budget of its own, so
//! that a crowd outside does not lock the owner out.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Most connections from other machines.
const MOST: usize = 64;
/// Most connections from this machine.
const MOST_LOCAL: usize = 32;
/// Most connections from one address; asking tools open about ten at once.
const MOST_OF_ONE: usize = 16;

/// Counts open connections. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(super) struct Door(Arc<Mutex<Inside>>);

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    local: usize,
    of: HashMap<IpAddr, usize>,
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Pass {
    door: Door,
    peer: IpAddr,
}

impl Door {
    /// A place for a connection, if there is one.
    pub(super) fn enter(&self, peer: IpAddr) -> Option<Pass> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if peer.is_loopback() {
            if inside.local >= MOST_LOCAL {
                return None;
            }
            inside.local += 1;
        } else {
            let of = inside.of.get(&network(peer)).copied().unwrap_or_default();
            if inside.all >= MOST || of >= MOST_OF_ONE {
                return None;
            }
            inside.all += 1;
            inside.of.insert(network(peer), of + 1);
        }
        drop(inside);
        Some(Pass {
            door: self.clone(),
            peer,
        })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inside = self.door.0.lock().unwrap_or_else(PoisonError::into_inner);
        if self.peer.is_loopback() {
            inside.local = inside.local.saturating_sub(1);
            return;
        }
        inside.all = inside.all.saturating_sub(1);
        let key = network(self.peer);
        match inside.of.get_mut(&key) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                inside.of.remove(&key);
            }
        }
    }
}

/// Whoever has an IPv6 address has the 2^64 of its network.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let door = Door::default();
        let own: Vec<_> = (0..100)
            .filter_map(|_| door.enter([10, 0, 0, 1].into()))
            .collect();
        assert_eq!(own.len(), MOST_OF_ONE);
        assert!(door.enter([10, 0, 0, 2].into()).is_some());
        drop(own);
        assert!(door.enter([10, 0, 0, 1].into()).is_some());
    }

    #[test]
    fn a_crowd_outside_leaves_room_for_this_machine() {
        let door = Door::default();
        let crowd: Vec<_> = (0..255u8)
            .filter_map(|n| door.enter([10, 0, 0, n].into()))
            .collect();
        assert_eq!(crowd.len(), MOST);
        assert!(door.enter([127, 0, 0, 1].into()).is_some());
        drop(crowd);
        assert!(door.0.lock().unwrap().of.is_empty());
    }
}
