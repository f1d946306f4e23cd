//! Addresses and networks of clients.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why text is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no address or network; write for instance 192.168.1.5, 10.0.0.0/8 or [fd00::]/8"
)]
pub struct NoNetwork(String);

impl Network {
    /// Whether an address lies in it. IPv4 addresses in IPv6 clothes count as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let shift = |all: u8| u32::from(all.saturating_sub(self.bits));
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differs = u32::from(own) ^ u32::from(other);
                differs.checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differs = u128::from(own) ^ u128::from(other);
                differs.checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    /// Reads `ADDRESS[/BITS]`. As in cgminer, the end of an IPv4 address may be left out (`10/8`), and an
    /// IPv6 address may stand in brackets.
    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let wrong = || NoNetwork(text.chars().take(60).collect());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let bracketed = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let (address, most) = if let Some(inner) = bracketed {
            let address: Ipv6Addr = inner.parse().map_err(|_| wrong())?;
            (IpAddr::V6(address), 128)
        } else if address.contains(':') {
            let address: Ipv6Addr = address.parse().map_err(|_| wrong())?;
            (IpAddr::V6(address), 128)
        } else {
            (IpAddr::V4(padded(address).ok_or_else(wrong)?), 32)
        };
        let bits = match bits {
            None => most,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().map_err(|_| wrong())?
            }
            Some(_) => return Err(wrong()),
        };
        if bits > most {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

/// `10`, `192.168` and the like with zeros after them.
fn padded(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let parts: Vec<_> = text.split('.').collect();
    if parts.len() > 4 {
        return None;
    }
    for (octet, part) in octets.iter_mut().zip(&parts) {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        *octet = part.parse().ok().filter(|_| digits)?;
    }
    Some(octets.into())
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}/{}", self.bits),
            IpAddr::V6(address) => write!(f, "[{address}]/{}", self.bits),
        }
    }
}

/// Whether an address can only be one of the same house: loopback, the private ranges of RFC 1918 and
/// RFC 4193, and link-local ones.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn has(network_text: &str, address: &str) -> bool {
        network(network_text).contains(address.parse().unwrap())
    }

    #[test]
    fn short_addresses_are_filled_with_zeros() {
        assert!(has("192.168/16", "192.168.200.1"));
        assert!(!has("192.168/16", "192.169.0.1"));
        assert!(has("10/8", "10.255.255.255"));
        assert!(has("0/0", "203.0.113.9"));
    }

    #[test]
    fn an_address_alone_is_only_itself() {
        assert!(has("192.168.1.5", "192.168.1.5"));
        assert!(!has("192.168.1.5", "192.168.1.4"));
        assert!(has("[fd00::1]", "fd00::1"));
        assert!(!has("[fd00::1]", "fd00::2"));
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client() {
        assert!(has("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(!has("[::]/0", "::ffff:10.1.2.3"));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "x",
            "1.2.3.4.5",
            "1.2.3.256",
            "10/33",
            "10/-1",
            "10/+8",
            "[::1",
            "[::1]/129",
            "1..2",
            "/8",
            "10/",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_addresses_of_the_house_are_private() {
        for text in [
            "127.0.0.1",
            "10.1.1.1",
            "172.31.0.1",
            "192.168.0.9",
            "169.254.1.1",
            "::1",
            "fd12::1",
            "fe80::1",
            "::ffff:192.168.0.1",
        ] {
            assert!(is_private(text.parse().unwrap()), "{text}");
        }
        for text in [
            "8.8.8.8",
            "172.32.0.1",
            "100.64.0.1",
            "2001:db8::1",
            "::ffff:8.8.8.8",
            "0.0.0.0",
        ] {
            assert!(!is_private(text.parse().unwrap()), "{text}");
        }
    }
}
