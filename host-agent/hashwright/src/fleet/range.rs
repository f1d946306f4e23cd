//! Which places a scan looks at: address ranges as people write them, turned into hosts and ports. It
//! opens nothing and looks up no names.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Where an agent's API listens unless its config says otherwise.
pub const DEFAULT_PORT: u16 = 4029;

/// Most places that one scan looks at: a /16 on one port.
pub const MAX_PLACES: usize = 65_536;

/// Some hosts, and the ports to try on them if they were named.
///
/// Written as `10.0.0.0/24`, `10.0.0.5-10.0.0.90`, `10.0.0.5-90`, `10.0.0.7`, `rack-3-7.lan` or `[fd00::7]`, each with
/// `:PORT` or `:FIRST-LAST` behind it if need be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    hosts: Hosts,
    ports: Option<(u16, u16)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    V4(u32, u32),
    V6(u128, u128),
    Name(String),
}

/// One place where an agent may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Address or name.
    pub host: Host,
    /// TCP port.
    pub port: u16,
}

/// An address or a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name that the system can look up.
    Name(String),
}

/// Why a range cannot be used. The texts say what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// It is no range.
    #[error(
        "`{0}` is no address range; write for instance 10.0.0.0/24, 10.0.0.5-90, rack-3-7.lan or 10.0.0.7:4029"
    )]
    Shape(String),
    /// Its end lies before its beginning.
    #[error("`{0}` ends before it begins")]
    Backwards(String),
    /// The bits behind the slash do not fit.
    #[error("`{text}` has a prefix of {bits} bits; {least} to {most} fit")]
    Prefix {
        /// As written.
        text: String,
        /// The number behind the slash.
        bits: u8,
        /// Smallest prefix: what is larger has too many addresses.
        least: u8,
        /// Bits of such an address.
        most: u8,
    },
    /// Port 0, or not a number.
    #[error("`{0}` is no port; write 1 to 65535")]
    Port(String),
    /// All ranges together are too much.
    #[error("{0} places are too many for one scan; {MAX_PLACES} at most. Scan part by part")]
    TooMany(u128),
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (hosts, ports) = split_ports(text)?;
        let shape = || RangeError::Shape(text.to_owned());
        let hosts = if let Some((address, bits)) = hosts.split_once('/') {
            network(text, address.parse().map_err(|_| shape())?, bits)?
        } else if let Ok(address) = hosts.parse::<IpAddr>() {
            match address {
                IpAddr::V4(address) => Hosts::V4(address.into(), address.into()),
                IpAddr::V6(address) => Hosts::V6(address.into(), address.into()),
            }
        } else if let Some((first, last)) = hosts.split_once('-')
            && let Ok(first) = first.trim().parse::<IpAddr>()
        {
            span(first, last.trim()).ok_or_else(shape)?
        } else if is_name(hosts) {
            Hosts::Name(hosts.to_owned())
        } else {
            return Err(shape());
        };
        let backwards = match hosts {
            Hosts::V4(first, last) => first > last,
            Hosts::V6(first, last) => first > last,
            Hosts::Name(_) => false,
        };
        if backwards {
            return Err(RangeError::Backwards(text.to_owned()));
        }
        Ok(Self { hosts, ports })
    }
}

/// Every place of these ranges once, in order; `ports` are tried where a range names none.
///
/// # Errors
///
/// [`RangeError::TooMany`] beyond [`MAX_PLACES`].
pub fn places(ranges: &[Range], ports: &[u16]) -> Result<Vec<Place>, RangeError> {
    let count: u128 = ranges
        .iter()
        .map(|range| range.count(ports.len()))
        .fold(0, u128::saturating_add);
    if count > MAX_PLACES as u128 {
        return Err(RangeError::TooMany(count));
    }
    let mut places = BTreeSet::new();
    for range in ranges {
        let own: Vec<u16> = match range.ports {
            Some((first, last)) => (first..=last).collect(),
            None => ports.to_vec(),
        };
        for host in range.hosts() {
            places.extend(own.iter().map(|&port| Place {
                host: host.clone(),
                port,
            }));
        }
    }
    Ok(places.into_iter().collect())
}

impl Range {
    fn count(&self, ports: usize) -> u128 {
        let hosts = match self.hosts {
            Hosts::V4(first, last) => u128::from(last - first) + 1,
            Hosts::V6(first, last) => (last - first).saturating_add(1),
            Hosts::Name(_) => 1,
        };
        let ports = match self.ports {
            Some((first, last)) => u128::from(last - first) + 1,
            None => ports as u128,
        };
        hosts.saturating_mul(ports)
    }

    fn hosts(&self) -> Vec<Host> {
        match &self.hosts {
            &Hosts::V4(first, last) => (first..=last)
                .map(|bits| Host::Address(Ipv4Addr::from(bits).into()))
                .collect(),
            &Hosts::V6(first, last) => (first..=last)
                .map(|bits| Host::Address(Ipv6Addr::from(bits).into()))
                .collect(),
            Hosts::Name(name) => vec![Host::Name(name.clone())],
        }
    }
}

impl Place {
    /// The URL of an agent there.
    #[must_use]
    pub fn url(&self, tls: bool) -> String {
        format!("{}://{self}", if tls { "https" } else { "http" })
    }
}

impl fmt::Display for Place {
    /// `host:port`, with brackets around IPv6 addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(address) => write!(f, "{address}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// The hosts of a range, and its ports.
fn split_ports(text: &str) -> Result<(&str, Option<(u16, u16)>), RangeError> {
    let shape = || RangeError::Shape(text.to_owned());
    let (hosts, ports) = if let Some(rest) = text.strip_prefix('[') {
        let (hosts, rest) = rest.split_once(']').ok_or_else(shape)?;
        match rest.strip_prefix(':') {
            Some(ports) => (hosts, Some(ports)),
            None if rest.is_empty() => (hosts, None),
            None => return Err(shape()),
        }
    } else if text.matches(':').count() == 1 {
        match text.split_once(':') {
            Some((hosts, ports)) => (hosts, Some(ports)),
            None => (text, None),
        }
    } else {
        // Several colons without brackets: an IPv6 address or range.
        (text, None)
    };
    let Some(ports) = ports else {
        return Ok((hosts, None));
    };
    let port = |text: &str| match text.parse() {
        Ok(0) | Err(_) => Err(RangeError::Port(text.to_owned())),
        Ok(port) => Ok(port),
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let (first, last): (u16, u16) = (port(first)?, port(last)?);
    if first > last {
        return Err(RangeError::Backwards(text.to_owned()));
    }
    Ok((hosts, Some((first, last))))
}

/// The hosts of a network; of an IPv4 network without its own address and that of all its hosts.
fn network(text: &str, address: IpAddr, bits: &str) -> Result<Hosts, RangeError> {
    let bits: u8 = bits
        .parse()
        .map_err(|_| RangeError::Shape(text.to_owned()))?;
    let (least, most) = match address {
        IpAddr::V4(_) => (16, 32),
        IpAddr::V6(_) => (112, 128),
    };
    if !(least..=most).contains(&bits) {
        return Err(RangeError::Prefix {
            text: text.to_owned(),
            bits,
            least,
            most,
        });
    }
    Ok(match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
            let (first, last) = (u32::from(address) & !mask, u32::from(address) | mask);
            if bits <= 30 {
                Hosts::V4(first + 1, last - 1)
            } else {
                Hosts::V4(first, last)
            }
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shr(bits.into()).unwrap_or(0);
            Hosts::V6(u128::from(address) & !mask, u128::from(address) | mask)
        }
    })
}

/// The hosts from `first` to `last`, of which only the end may be written.
fn span(first: IpAddr, last: &str) -> Option<Hosts> {
    match first {
        IpAddr::V4(first) => {
            let last = match last.parse::<Ipv4Addr>() {
                Ok(last) => last,
                Err(_) => {
                    let [a, b, c, _] = first.octets();
                    Ipv4Addr::new(a, b, c, last.parse().ok()?)
                }
            };
            Some(Hosts::V4(first.into(), last.into()))
        }
        IpAddr::V6(first) => {
            let last: Ipv6Addr = last.parse().ok()?;
            Some(Hosts::V6(first.into(), last.into()))
        }
    }
}

/// Whether it may be a host's name. What looks like a number is a mistyped address.
fn is_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (1..=253).contains(&text.len())
        && text.chars().all(good)
        && !text.starts_with(['-', '.'])
        && text.chars().any(|c| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(texts: &[&str], ports: &[u16]) -> Vec<String> {
        let ranges: Vec<Range> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let places = places(&ranges, ports).unwrap();
        places.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_network_is_its_hosts() {
        assert_eq!(
            shown(&["10.0.0.9/30"], &[4029]),
            ["10.0.0.9:4029", "10.0.0.10:4029"]
        );
        assert_eq!(shown(&["10.0.0.7/32"], &[1]), ["10.0.0.7:1"]);
        assert_eq!(shown(&["10.0.0.7/31"], &[1]), ["10.0.0.6:1", "10.0.0.7:1"]);
        assert_eq!(shown(&["10.1.0.0/16"], &[4029]).len(), 65_534);
        assert_eq!(
            shown(&["[fd00::6/127]:80"], &[4029]),
            ["[fd00::6]:80", "[fd00::7]:80"]
        );
    }

    #[test]
    fn a_span_may_name_only_its_last_number() {
        let hosts = ["10.0.0.254:1", "10.0.0.255:1", "10.0.1.0:1"];
        assert_eq!(shown(&["10.0.0.254-10.0.1.0"], &[1]), hosts);
        assert_eq!(shown(&["10.0.0.5-6"], &[1]), ["10.0.0.5:1", "10.0.0.6:1"]);
        assert_eq!(
            shown(&["fd00::1-fd00::2"], &[1]),
            ["[fd00::1]:1", "[fd00::2]:1"]
        );
    }

    #[test]
    fn ports_stand_behind_a_colon_or_come_from_outside() {
        assert_eq!(
            shown(&["127.0.0.1:80-81", "rack-3.lan", "::1"], &[4029, 4030]),
            [
                "127.0.0.1:80",
                "127.0.0.1:81",
                "[::1]:4029",
                "[::1]:4030",
                "rack-3.lan:4029",
                "rack-3.lan:4030"
            ]
        );
    }

    #[test]
    fn a_place_is_looked_at_once() {
        let twice = ["10.0.0.5-7", "10.0.0.6", "10.0.0.6:4029"];
        assert_eq!(shown(&twice, &[4029]).len(), 3);
    }

    #[test]
    fn what_is_no_range_is_told_with_the_reason() {
        for (text, part) in [
            ("", "is no address range"),
            ("10.0.0.256", "is no address range"),
            ("10.0.0.0/8", "16 to 32 fit"),
            ("10.0.0.0/33", "16 to 32 fit"),
            ("fd00::/64", "112 to 128 fit"),
            ("10.0.0.9-5", "ends before it begins"),
            ("10.0.0.5-300", "is no address range"),
            ("10.0.0.5:0", "is no port"),
            ("10.0.0.5:70000", "is no port"),
            ("10.0.0.5:90-80", "ends before it begins"),
            ("http://10.0.0.5", "is no address range"),
            ("a b", "is no address range"),
            ("[::1", "is no address range"),
        ] {
            let error = text.parse::<Range>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_scan_is_bounded() {
        let range: Range = "10.1.0.0/16:1-100".parse().unwrap();
        let error = places(&[range], &[]).unwrap_err();
        assert_eq!(error, RangeError::TooMany(6_553_400));
        let range: Range = "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
            .parse()
            .unwrap();
        assert!(places(&[range], &[1]).is_err());
    }
}
