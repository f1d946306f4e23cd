//! Who counts as one asker. A network of IPv6 hands every machine more addresses than could be counted, so
//! that a /64 is one; this machine itself is one whatever its address.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    ip: IpAddr,
    proxied: bool,
}

impl Peer {
    /// A peer by its address.
    #[must_use]
    pub fn new(ip: IpAddr) -> Self {
        Self {
            ip: ip.to_canonical(),
            proxied: false,
        }
    }

    /// Says whether the request was passed on by a proxy, as `Forwarded` and its kin tell. Then it is
    /// not from this machine, even if the proxy is.
    #[must_use]
    pub fn proxied(self, proxied: bool) -> Self {
        Self { proxied, ..self }
    }

    /// Its address; that of the proxy if there is one.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// Whether it is a program on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.ip.is_loopback() && !self.proxied
    }

    pub(crate) fn key(&self) -> Key {
        match self.ip {
            _ if self.is_local() => Key::Local,
            ip if ip.is_loopback() => Key::Proxy,
            IpAddr::V4(ip) => Key::V4(ip.into()),
            IpAddr::V6(ip) => Key::V6(network(ip)),
        }
    }
}

impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Self {
        Self::new(ip)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxy = if self.proxied { " (a proxy)" } else { "" };
        write!(f, "{}{proxy}", self.ip)
    }
}

/// What is counted as one asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// This machine.
    Local,
    /// A proxy on this machine, with whoever is behind it.
    Proxy,
    V4(u32),
    /// The first 64 bits of an address.
    V6(u64),
}

fn network(ip: Ipv6Addr) -> u64 {
    let [a, b, c, d, ..] = ip.segments();
    [a, b, c, d]
        .into_iter()
        .fold(0, |bits, segment| bits << 16 | u64::from(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> Peer {
        Peer::new(ip.parse().unwrap())
    }

    #[test]
    fn this_machine_is_one_whatever_its_address() {
        for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(peer(ip).is_local(), "{ip}");
            assert_eq!(peer(ip).key(), Key::Local, "{ip}");
            assert!(!peer(ip).proxied(true).is_local(), "{ip}");
            assert_eq!(peer(ip).proxied(true).key(), Key::Proxy, "{ip}");
        }
        for ip in ["10.0.0.1", "0.0.0.0", "::", "fe80::1", "::2"] {
            assert!(!peer(ip).is_local(), "{ip}");
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_asker_and_addresses_of_ipv4_are_many() {
        assert_eq!(
            peer("2001:db8:1:2::1").key(),
            peer("2001:db8:1:2:ffff:1:2:3").key()
        );
        assert_ne!(peer("2001:db8:1:2::1").key(), peer("2001:db8:1:3::1").key());
        assert_ne!(peer("10.0.0.1").key(), peer("10.0.0.2").key());
        assert_eq!(peer("::ffff:10.0.0.1").key(), peer("10.0.0.1").key());
    }
}
