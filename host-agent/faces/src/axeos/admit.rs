//! Who is let in, and to what. Everything is decided from the head of a request.

use std::net::{IpAddr, Ipv6Addr};

use super::{MAX_BODY_BYTES, Reply};
use crate::net::{Network, is_private};

/// The rules of one agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Site {
    /// Names by which this miner may be called, besides `localhost` and addresses.
    pub names: Vec<String>,
    /// Who may change something.
    pub write_from: Vec<Network>,
}

/// The head of a request, as it came.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The client.
    pub peer: IpAddr,
    /// Method, e.g. `GET`.
    pub method: &'a str,
    /// Path without query.
    pub path: &'a str,
    /// What stood after the question mark.
    pub query: Option<&'a str>,
    /// The authority of the target, where it has one.
    pub authority: Option<&'a str>,
    /// Every `Host` header; `None` for one that is no text.
    pub hosts: Vec<Option<&'a str>>,
    /// Every `Origin` header; `None` for one that is no text.
    pub origins: Vec<Option<&'a str>>,
    /// The `Sec-Fetch-Site` header.
    pub fetch_site: Option<&'a str>,
    /// The `Content-Length`, if it is told.
    pub length: Option<u64>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The page for people.
    Page,
    /// Nearly everything.
    Info,
    /// The chips and what may be set.
    Asic,
    /// The history.
    Statistics {
        /// Columns asked for, between commas.
        columns: Option<String>,
    },
    /// Best shares.
    Scoreboard,
    /// The log.
    Logs,
    /// Wireless networks in reach.
    Networks,
    /// Stop mining.
    Pause,
    /// Mine again.
    Resume,
    /// Start the program again.
    Restart,
    /// Change settings.
    Settings,
    /// Change or add a pool.
    PoolPut(usize),
    /// Remove a pool.
    PoolDelete(usize),
}

impl Route {
    /// Whether its body matters.
    #[must_use]
    pub fn has_body(&self) -> bool {
        matches!(self, Self::Settings | Self::PoolPut(_))
    }

    fn writes(&self) -> bool {
        matches!(
            self,
            Self::Pause
                | Self::Resume
                | Self::Restart
                | Self::Settings
                | Self::PoolPut(_)
                | Self::PoolDelete(_)
        )
    }
}

impl Site {
    /// What a request asks for, if its sender may.
    ///
    /// # Errors
    ///
    /// What to answer instead. The body of such a request is not read.
    pub fn admit(&self, head: &Head<'_>) -> Result<Route, Reply> {
        let forbidden = |text: &str| Err(Reply::message(403, text));
        if !is_private(head.peer) {
            return forbidden("only private addresses may ask here");
        }
        let [Some(host)] = head.hosts.as_slice() else {
            return Err(Reply::message(400, "one Host header is needed"));
        };
        let own = |authority: &str| self.is_own(authority);
        if !own(host) || !head.authority.is_none_or(own) {
            return forbidden(
                "this miner is not known by that name; use its address, or add the name to [api] hosts",
            );
        }
        if !head.origins.iter().all(|origin| is_same(*origin, host)) {
            return forbidden("only pages of this miner itself may ask here");
        }
        let route = route(head)?;
        if !route.writes() {
            return Ok(route);
        }
        if !matches!(head.fetch_site, None | Some("same-origin" | "none")) {
            return forbidden("only pages of this miner itself may change anything");
        }
        if !self
            .write_from
            .iter()
            .any(|network| network.contains(head.peer))
        {
            return forbidden(
                "your address may not change anything here; its owner can list it in [axeos] write_from, \
                 or use the JSON-RPC API with a token",
            );
        }
        if head
            .length
            .is_some_and(|length| length > MAX_BODY_BYTES as u64)
        {
            return Err(too_long());
        }
        Ok(route)
    }

    /// Whether `host[:port]` is this miner. Names that merely resolve to it are not: a web page elsewhere
    /// could bring a browser to use its own name (DNS rebinding).
    fn is_own(&self, authority: &str) -> bool {
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((inner, port)) if inner.parse::<Ipv6Addr>().is_ok() => ("", port),
                _ => return false,
            },
            None => match authority.find(':') {
                Some(colon) => authority.split_at(colon),
                None => (authority, ""),
            },
        };
        let port_is_good = match port.strip_prefix(':') {
            Some(port) => port.parse::<u16>().is_ok(),
            None => port.is_empty(),
        };
        let bracketed = authority.starts_with('[');
        let known = || {
            host.eq_ignore_ascii_case("localhost")
                || host.parse::<std::net::Ipv4Addr>().is_ok()
                || self.names.iter().any(|name| is_name(host, name))
        };
        port_is_good && (bracketed || known())
    }
}

/// What to answer to a body that is too long.
#[must_use]
pub(super) fn too_long() -> Reply {
    Reply::message(413, &format!("the body may have {MAX_BODY_BYTES} bytes"))
}

fn is_name(host: &str, name: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let local = host.len().checked_sub(".local".len()).and_then(|at| {
        let (head, tail) = (host.get(..at)?, host.get(at..)?);
        tail.eq_ignore_ascii_case(".local").then_some(head)
    });
    !name.is_empty()
        && (host.eq_ignore_ascii_case(name)
            || local.is_some_and(|host| host.eq_ignore_ascii_case(name)))
}

/// A page of the very host that was asked.
fn is_same(origin: Option<&str>, host: &str) -> bool {
    let page = |origin: &str| {
        let rest = origin.strip_prefix("http://");
        rest.or_else(|| origin.strip_prefix("https://"))
            .is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    origin.is_some_and(page)
}

fn route(head: &Head<'_>) -> Result<Route, Reply> {
    const NOT_HERE: &str = "not offered by this miner";
    let get = matches!(head.method, "GET" | "HEAD");
    let (allowed, route) = match head.path {
        "/" | "/index.html" => ("GET", Route::Page),
        "/api/system/info" => ("GET", Route::Info),
        "/api/system/asic" => ("GET", Route::Asic),
        "/api/system/statistics" => (
            "GET",
            Route::Statistics {
                columns: columns(head.query),
            },
        ),
        "/api/system/scoreboard" => ("GET", Route::Scoreboard),
        "/api/system/logs" => ("GET", Route::Logs),
        "/api/system/wifi/scan" => ("GET", Route::Networks),
        "/api/system/pause" => ("POST", Route::Pause),
        "/api/system/resume" => ("POST", Route::Resume),
        "/api/system/restart" => ("POST", Route::Restart),
        "/api/system" => ("PATCH", Route::Settings),
        "/api/system/OTA" | "/api/system/OTAWWW" => {
            return Err(Reply::message(
                501,
                "no firmware is taken here: this miner is updated with its own signed images",
            ));
        }
        "/api/system/identify" => {
            return Err(Reply::message(
                501,
                "this miner has no light to identify it",
            ));
        }
        "/api/system/boot" | "/api/system/blockFound/dismiss" => {
            return Err(Reply::message(501, NOT_HERE));
        }
        path => match path.strip_prefix("/api/system/pools/").map(str::parse) {
            Some(Ok(index)) if head.method == "DELETE" => ("DELETE", Route::PoolDelete(index)),
            Some(Ok(index)) => ("PUT", Route::PoolPut(index)),
            _ => return Err(Reply::plain(404, "nothing here")),
        },
    };
    if allowed == head.method || allowed == "GET" && get {
        Ok(route)
    } else {
        Err(Reply::message(405, &format!("use {allowed}")))
    }
}

fn columns(query: Option<&str>) -> Option<String> {
    let pairs = query?.split('&');
    let mut found = pairs.filter_map(|pair| pair.strip_prefix("columns="));
    found
        .next()
        .map(|columns| columns.replace("%2C", ",").replace("%2c", ","))
}
