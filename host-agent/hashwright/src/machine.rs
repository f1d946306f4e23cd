//! The computer that the agent runs on: its name and its network. Looked up now and then, not with every
//! snapshot.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long an answer is good.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// Most addresses told.
const MOST_ADDRESSES: usize = 16;

/// The computer, as it was lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub hostname: String,
    /// Hardware address of its first network interface that is not loopback.
    pub mac: Option<String>,
    /// Its addresses, without loopback and link-local ones.
    pub addresses: Vec<String>,
}

/// Knows the computer, and looks again when that was too long ago.
#[derive(Debug, Default)]
pub struct Lookout {
    last: Option<(Instant, Machine)>,
}

impl Lookout {
    /// The computer as it was not long ago.
    pub fn machine(&mut self) -> &Machine {
        if self
            .last
            .as_ref()
            .is_none_or(|(at, _)| at.elapsed() > GOOD_FOR)
        {
            self.last = Some((Instant::now(), Machine::look()));
        }
        &self
            .last
            .get_or_insert_with(|| (Instant::now(), Machine::default()))
            .1
    }
}

impl Machine {
    /// Looks at the computer.
    #[must_use]
    pub fn look() -> Self {
        let name = rustix::system::uname();
        let mut interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        interfaces.retain(|interface| !interface.is_loopback());
        // In the order that the system counts them, so that the first stays the first.
        interfaces.sort_by_key(|interface| interface.index);
        let mut addresses: Vec<_> = interfaces
            .iter()
            .map(if_addrs::Interface::ip)
            .filter(|address| !is_link_local(*address))
            .map(|address| address.to_string())
            .collect();
        addresses.truncate(MOST_ADDRESSES);
        Self {
            hostname: name.nodename().to_string_lossy().into_owned(),
            mac: interfaces.iter().find_map(|interface| mac(&interface.name)),
            addresses,
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// As Linux tells it.
fn mac(interface: &str) -> Option<String> {
    if interface.contains('/') {
        return None;
    }
    let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/address")).ok()?;
    let mac = text.trim();
    let real = mac.len() == 17 && mac != "00:00:00:00:00:00";
    real.then(|| mac.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_computer_has_a_name_and_no_loopback_address() {
        let mut lookout = Lookout::default();
        let machine = lookout.machine().clone();
        assert!(!machine.hostname.is_empty());
        for address in &machine.addresses {
            let address: IpAddr = address.parse().unwrap();
            assert!(!address.is_loopback() && !is_link_local(address));
        }
        assert_eq!(*lookout.machine(), machine);
    }
}
