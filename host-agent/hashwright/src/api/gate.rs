//! Which HTTP requests get as far as JSON-RPC. A loopback port is open to every web page in a
//! browser on this machine: a page can post to it, and with DNS rebinding read the replies. So the
//! `Host` must be this machine by name or address, and an `Origin`, if any, a page from it.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header::{HOST, HeaderValue, ORIGIN};
use jsonrpsee::server::HttpRequest;

/// The path of the JSON-RPC endpoint.
pub const RPC_PATH: &str = "/rpc";

/// Longest piece of a refused header that is repeated in the answer, characters.
const SHOWN: usize = 80;

/// Why a request was turned away; the text goes to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `Host`, or more than one.
    #[error("the request must have one Host header")]
    NoHost,
    /// The `Host` or the target is not this machine.
    #[error(
        "host `{0}` refused: this API answers only to localhost, 127.0.0.1 and [::1]. \
         Use http://127.0.0.1:4029/rpc, from another machine through an SSH tunnel"
    )]
    ForeignHost(String),
    /// The request comes from a web page of another site.
    #[error("origin `{0}` refused: only pages from this machine may use this API")]
    ForeignOrigin(String),
    /// Nothing is served at the path.
    #[error("nothing here; JSON-RPC is at {RPC_PATH}")]
    NotFound,
}

impl Refusal {
    /// The HTTP status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            Self::NoHost => 400,
            Self::ForeignHost(_) | Self::ForeignOrigin(_) => 403,
            Self::NotFound => 404,
        }
    }
}

/// Checks where a request comes from and where it goes.
///
/// # Errors
///
/// The first reason to refuse it. Its method and content type are JSON-RPC's to check: that takes
/// POST with `application/json`, which a page cannot send across origins without asking first.
pub fn check<B>(request: &HttpRequest<B>) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::NoHost);
    };
    if !host.to_str().is_ok_and(is_loopback_authority) {
        return Err(Refusal::ForeignHost(shown(host)));
    }
    if let Some(target) = request.uri().authority()
        && !is_loopback_authority(target.as_str())
    {
        return Err(Refusal::ForeignHost(
            target.as_str().chars().take(SHOWN).collect(),
        ));
    }
    for origin in request.headers().get_all(ORIGIN) {
        if !origin.to_str().is_ok_and(is_loopback_origin) {
            return Err(Refusal::ForeignOrigin(shown(origin)));
        }
    }
    if request.uri().path() != RPC_PATH {
        return Err(Refusal::NotFound);
    }
    Ok(())
}

/// Whether `host[:port]` names this machine: `localhost`, 127.0.0.0/8 or `[::1]`, any port.
///
/// Other names are refused even if they resolve to loopback now: that is what rebinding does.
fn is_loopback_authority(authority: &str) -> bool {
    let (is_loopback, rest) = if let Some(rest) = authority.strip_prefix('[') {
        let Some((host, rest)) = rest.split_once(']') else {
            return false;
        };
        (
            host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()),
            rest,
        )
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        let (host, rest) = authority.split_at(end);
        let by_address = host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
        (by_address || host.eq_ignore_ascii_case("localhost"), rest)
    };
    let port_is_good = match rest.strip_prefix(':') {
        Some(port) => port.parse::<u16>().is_ok(),
        None => rest.is_empty(),
    };
    is_loopback && port_is_good
}

fn is_loopback_origin(origin: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(scheme))
        .is_some_and(is_loopback_authority)
}

fn shown(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes())
        .chars()
        .take(SHOWN)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_name_and_address() {
        for host in [
            "localhost",
            "LocalHost:4029",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.1.2.3:4029",
            "[::1]",
            "[::1]:65535",
        ] {
            assert!(is_loopback_authority(host), "{host}");
        }
    }

    #[test]
    fn other_names_are_foreign_even_if_they_look_alike() {
        for host in [
            "",
            ":4029",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:4029",
            "10.0.0.5:4029",
            "0.0.0.0:4029",
            "[::]:4029",
            "[::1",
            "[::1]4029",
            "::1",
            "localhost:",
            "localhost:99999",
            "localhost:4029:4029",
            "localhost@evil.example",
            "user@localhost",
        ] {
            assert!(!is_loopback_authority(host), "{host}");
        }
    }

    #[test]
    fn origins_need_a_web_scheme_and_this_machine() {
        for origin in [
            "http://localhost:3000",
            "https://127.0.0.1",
            "http://[::1]:4029",
        ] {
            assert!(is_loopback_origin(origin), "{origin}");
        }
        for origin in [
            "null",
            "",
            "localhost",
            "file://",
            "http://evil.example",
            "ftp://localhost",
        ] {
            assert!(!is_loopback_origin(origin), "{origin}");
        }
    }
}
