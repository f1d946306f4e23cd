//! Which HTTP requests get any answer. A port on a machine or in a network is open to every web page in a
//! browser there: a page can post to it, and with DNS rebinding read the replies. So the `Host` must be a
//! name that is ours or an address, which nobody can rebind, and an `Origin`, if any, this very page.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::Request;
use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};

/// The path of the JSON-RPC endpoint.
pub const RPC_PATH: &str = "/rpc";

/// Longest piece of a refused header that is repeated in the answer, characters.
const SHOWN: usize = 80;

/// Names by which the agent answers, and web pages that may use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Host names besides `localhost` and addresses, in lower case.
    hosts: Vec<String>,
    /// Origins besides the agent's own page, e.g. `https://farm.example`.
    origins: Vec<String>,
}

impl Names {
    /// The agent's own name, with and without `.local`, the names `hosts`, and pages from `origins`.
    #[must_use]
    pub fn new(name: &str, hosts: &[String], origins: &[String]) -> Self {
        let own = name.to_ascii_lowercase();
        let own = [format!("{own}.local"), own];
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase());
        let origins = origins
            .iter()
            .map(|origin| origin.trim_end_matches('/').to_ascii_lowercase());
        Self {
            hosts: own.into_iter().chain(hosts).collect(),
            origins: origins.collect(),
        }
    }
}

/// Why a request was turned away; the text goes to the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `Host`, or more than one.
    #[error("the request must have one Host header")]
    NoHost,
    /// The `Host` or the target is not a name of this agent.
    #[error(
        "host `{0}` refused: this agent answers to its addresses, to localhost, and to the names in its \
         config. Use its address, or add the name to `[api] hosts`"
    )]
    ForeignHost(String),
    /// The request comes from a web page of another site.
    #[error(
        "origin `{0}` refused: only the agent's own page may use it from a browser, and those in `[api] origins`"
    )]
    ForeignOrigin(String),
}

impl Refusal {
    /// The HTTP status to answer with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::NoHost => 400,
            Self::ForeignHost(_) | Self::ForeignOrigin(_) => 403,
        }
    }
}

/// Checks where a request comes from and where it goes.
///
/// # Errors
///
/// The first reason to refuse it.
pub fn check<B>(request: &Request<B>, names: &Names) -> Result<(), Refusal> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::NoHost);
    };
    let foreign = || Refusal::ForeignHost(shown(host));
    let authority = host.to_str().map_err(|_| foreign())?;
    let here = Authority::parse(authority).filter(|host| host.is_ours(names));
    let here = here.ok_or_else(foreign)?;
    if let Some(target) = request.uri().authority()
        && !Authority::parse(target.as_str()).is_some_and(|target| target.is_ours(names))
    {
        let shown = target.as_str().chars().take(SHOWN).collect();
        return Err(Refusal::ForeignHost(shown));
    }
    for origin in request.headers().get_all(ORIGIN) {
        let good = origin.to_str().is_ok_and(|origin| {
            is_own_origin(origin, &here) || names.origins.contains(&origin.to_ascii_lowercase())
        });
        if !good {
            return Err(Refusal::ForeignOrigin(shown(origin)));
        }
    }
    Ok(())
}

/// Whether a request says that a proxy has passed it on.
#[must_use]
pub fn is_proxied(headers: &HeaderMap) -> bool {
    ["forwarded", "x-forwarded-for", "x-real-ip", "via"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

/// `host[:port]`.
struct Authority {
    /// In lower case; an IPv6 address without brackets.
    host: String,
    address: Option<IpAddr>,
    port: Option<u16>,
}

impl Authority {
    fn parse(text: &str) -> Option<Self> {
        let (host, rest, address) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']')?;
            (host, rest, Some(IpAddr::V6(host.parse::<Ipv6Addr>().ok()?)))
        } else {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let address = host.parse::<Ipv4Addr>().ok();
            (host, rest, address.map(IpAddr::V4))
        };
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self {
            host: host.to_ascii_lowercase(),
            address,
            port,
        })
    }

    /// Other names are refused even if they resolve to us now: that is what rebinding does.
    fn is_ours(&self, names: &Names) -> bool {
        self.address
            .is_some_and(|address| !address.is_unspecified())
            || self.host == "localhost"
            || names.hosts.contains(&self.host)
    }
}

/// Whether an origin is the page of this very host and port.
fn is_own_origin(origin: &str, here: &Authority) -> bool {
    let (authority, usual) = match origin.split_once("://") {
        Some(("http", authority)) => (authority, 80),
        Some(("https", authority)) => (authority, 443),
        _ => return false,
    };
    Authority::parse(authority).is_some_and(|origin| {
        origin.host == here.host && origin.port.unwrap_or(usual) == here.port.unwrap_or(usual)
    })
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

    fn ours(host: &str) -> bool {
        let names = Names::new("Rack-3", &["miner.example".to_owned()], &[]);
        Authority::parse(host).is_some_and(|host| host.is_ours(&names))
    }

    #[test]
    fn the_agent_is_known_by_its_names_and_by_any_address() {
        for host in [
            "localhost",
            "LocalHost:4029",
            "127.0.0.1",
            "127.1.2.3:4029",
            "10.0.0.5:4029",
            "[::1]",
            "[2001:db8::1]:65535",
            "rack-3",
            "RACK-3.local:4029",
            "miner.example",
        ] {
            assert!(ours(host), "{host}");
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
            "rack-3.evil.example",
            "rack-3.local.",
            "0.0.0.0:4029",
            "[::]:4029",
            "[::1",
            "[::1]4029",
            "[rack-3]",
            "::1",
            "localhost:",
            "localhost:99999",
            "localhost:4029:4029",
            "localhost@evil.example",
            "user@localhost",
        ] {
            assert!(!ours(host), "{host}");
        }
    }

    #[test]
    fn only_the_agents_own_page_is_its_origin() {
        let own = |origin, host| is_own_origin(origin, &Authority::parse(host).unwrap());
        assert!(own("http://localhost:4029", "localhost:4029"));
        assert!(own("https://miner.example", "miner.example"));
        assert!(own("https://miner.example:443", "MINER.example"));
        assert!(own("http://[::1]:4029", "[::1]:4029"));
        for origin in [
            "null",
            "",
            "localhost:4029",
            "file://",
            "http://localhost",
            "http://localhost:3000",
            "http://127.0.0.1:4029",
            "http://evil.example:4029",
            "ftp://localhost:4029",
        ] {
            assert!(!own(origin, "localhost:4029"), "{origin}");
        }
    }
}
