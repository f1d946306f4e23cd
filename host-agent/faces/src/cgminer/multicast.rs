//! Discovery by multicast: a question to a group of addresses, and the answer to the port that the
//! question names. Off unless the owner wants it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Port;

/// The group that questions are sent to.
pub const MULTICAST_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 75);

/// The UDP port that questions are sent to.
pub const MULTICAST_PORT: u16 = 4028;

/// What questions begin with.
const QUESTION: &[u8] = b"cgminer-FTW-";

/// Answers to discovery.
#[derive(Clone, Debug)]
pub struct Multicast {
    /// The TCP port of the API.
    pub api_port: u16,
    /// What is told besides: the miner's name.
    pub description: String,
}

impl Multicast {
    /// The answer to a datagram and where it goes; none if it is no question, or comes from somebody who
    /// may not ask the port either.
    #[must_use]
    pub fn answer(
        &self,
        port: &Port,
        from: IpAddr,
        datagram: &[u8],
    ) -> Option<(SocketAddr, Vec<u8>)> {
        port.group(from)?;
        let rest = datagram.strip_prefix(QUESTION)?;
        let end = rest.iter().position(|byte| !byte.is_ascii_digit());
        let (digits, tail) = rest.split_at(end.unwrap_or(rest.len()));
        if tail.iter().any(|byte| !matches!(byte, 0 | b'\r' | b'\n')) {
            return None;
        }
        let to: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        if to == 0 {
            return None;
        }
        let description = super::brand::without_brands(&self.description);
        let mut answer = format!("cgm-FTW-{}-{description}", self.api_port).into_bytes();
        answer.push(0);
        Some((SocketAddr::new(from, to), answer))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Access;
    use super::*;

    fn answer(allow: &[&str], from: &str, datagram: &[u8]) -> Option<(String, Vec<u8>)> {
        let multicast = Multicast {
            api_port: 4028,
            description: "rack-3-7".to_owned(),
        };
        let port = Port::new(Access::new(allow, &[]).unwrap(), None);
        let (to, bytes) = multicast.answer(&port, from.parse().unwrap(), datagram)?;
        Some((to.to_string(), bytes))
    }

    #[test]
    fn a_question_is_answered_at_the_port_that_it_names() {
        let answer = answer(&["10/8"], "10.0.0.9", b"cgminer-FTW-4029").unwrap();
        assert_eq!(answer.0, "10.0.0.9:4029");
        assert_eq!(answer.1, b"cgm-FTW-4028-rack-3-7\0");
    }

    #[test]
    fn strangers_and_other_datagrams_get_nothing() {
        assert_eq!(answer(&["10/8"], "192.168.0.1", b"cgminer-FTW-4029"), None);
        for datagram in [
            &b""[..],
            b"hello",
            b"cgminer-FTW-",
            b"cgminer-FTW-0",
            b"cgminer-FTW-70000",
            b"cgminer-FTW-1x",
        ] {
            assert_eq!(answer(&["10/8"], "10.0.0.9", datagram), None);
        }
    }
}
