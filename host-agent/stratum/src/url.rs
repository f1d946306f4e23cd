//! Pool URLs: the forms that people paste from pool pages, and clear words for those that
//! name a protocol that is not built yet.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Where a Stratum V1 pool listens.
///
/// Reads `stratum+tcp://host:port`, `stratum://`, `tcp://` and bare `host:port`; an IPv6
/// address stands in brackets. A fragment `#xnsub` asks for extranonce subscription, as
/// Braiins' firmware and proxies use it.
///
/// ```
/// let url: stratum::PoolUrl = "stratum+tcp://[::1]:3333".parse()?;
/// assert_eq!((url.host(), url.port()), ("::1", 3333));
/// # Ok::<(), stratum::UrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolUrl {
    host: String,
    port: u16,
    extranonce_subscribe: bool,
}

impl PoolUrl {
    /// Host name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port, never 0.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the URL asked for extranonce subscription with `#xnsub`.
    #[must_use]
    pub fn extranonce_subscribe(&self) -> bool {
        self.extranonce_subscribe
    }
}

impl FromStr for PoolUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let (scheme, rest) = text
            .split_once("://")
            .map_or((None, text), |(scheme, rest)| (Some(scheme), rest));
        if let Some(scheme) = scheme {
            check_scheme(scheme)?;
        }
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        // Names and passwords have their own settings, and would show wherever the URL does.
        if rest.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !path.is_empty() {
            return Err(UrlError::Path(shown(path)));
        }
        let (host, port) = split_authority(authority)?;
        Ok(Self {
            host: host.to_owned(),
            port,
            extranonce_subscribe: fragment.eq_ignore_ascii_case("xnsub"),
        })
    }
}

impl fmt::Display for PoolUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = if self.extranonce_subscribe {
            "#xnsub"
        } else {
            ""
        };
        if self.host.contains(':') {
            write!(f, "stratum+tcp://[{}]:{}{suffix}", self.host, self.port)
        } else {
            write!(f, "stratum+tcp://{}:{}{suffix}", self.host, self.port)
        }
    }
}

/// Why a text is no usable pool URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// A protocol that miners know but this program does not speak yet.
    #[error(
        "{protocol} (\"{scheme}://\") is not supported yet; use the pool's stratum+tcp:// address"
    )]
    NotSupported {
        /// The scheme as written.
        scheme: String,
        /// Its protocol, for people.
        protocol: &'static str,
    },
    /// A scheme that means nothing here.
    #[error("\"{0}://\" is no pool protocol; expected stratum+tcp://host:port")]
    UnknownScheme(String),
    /// User or password in the URL.
    #[error("the pool URL must not hold a user or password; they have settings of their own")]
    Credentials,
    /// Something behind the port.
    #[error("\"/{0}\" behind the port means nothing to a Stratum V1 pool; leave it out")]
    Path(String),
    /// No port, or none that can be used.
    #[error(
        "\"{0}\" names no port from 1 to 65535; expected host:port, for instance pool.example:3333"
    )]
    Port(String),
    /// No host, or none that can be one.
    #[error(
        "\"{0}\" holds no host name or address; expected host:port, an IPv6 address in brackets"
    )]
    Host(String),
}

/// Longest host name of the DNS, characters.
const MAX_HOST: usize = 253;

fn check_scheme(scheme: &str) -> Result<(), UrlError> {
    let protocol = match scheme.to_ascii_lowercase().as_str() {
        "stratum+tcp" | "stratum" | "stratum1+tcp" | "tcp" => return Ok(()),
        "stratum+tls" | "stratum+ssl" | "stratum+tcps" | "stratums" | "stratum1+ssl"
        | "stratum1+tls" | "ssl" | "tls" => "Stratum over TLS",
        "stratum2+tcp" | "stratum2+tcp+insecure" | "stratum2" => "Stratum V2",
        "http" | "https" => "solo mining through getblocktemplate",
        _ => return Err(UrlError::UnknownScheme(shown(scheme))),
    };
    Err(UrlError::NotSupported {
        scheme: shown(scheme),
        protocol,
    })
}

fn split_authority(authority: &str) -> Result<(&str, u16), UrlError> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .ok_or_else(|| UrlError::Host(shown(authority)))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(UrlError::Host(shown(authority)));
        }
        (host, rest.strip_prefix(':'))
    } else {
        let (host, port) = authority
            .rsplit_once(':')
            .map_or((authority, None), |(host, port)| (host, Some(port)));
        if !is_host_name(host) {
            return Err(UrlError::Host(shown(authority)));
        }
        (host, port)
    };
    let port = port
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| UrlError::Port(shown(authority)))?;
    Ok((host, port))
}

/// Whether a text can be a host name or IPv4 address as far as characters go.
pub(crate) fn is_host_name(host: &str) -> bool {
    (1..=MAX_HOST).contains(&host.len())
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn shown(text: &str) -> String {
    crate::text::presentable(text, 80)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<(String, u16), UrlError> {
        text.parse::<PoolUrl>()
            .map(|url| (url.host().to_owned(), url.port()))
    }

    #[test]
    fn common_forms_name_the_same_pool() {
        for text in [
            "stratum+tcp://pool.example:3333",
            "STRATUM+TCP://pool.example:3333/",
            "tcp://pool.example:3333",
            "stratum://pool.example:3333",
            " pool.example:3333 ",
        ] {
            assert_eq!(parse(text), Ok(("pool.example".into(), 3333)), "{text}");
        }
    }

    #[test]
    fn ipv6_addresses_stand_in_brackets() {
        assert_eq!(parse("stratum+tcp://[::1]:3333"), Ok(("::1".into(), 3333)));
        assert_eq!(parse("[fe80::2]:1"), Ok(("fe80::2".into(), 1)));
        assert!(matches!(parse("::1:3333"), Err(UrlError::Host(_))));
        assert!(matches!(parse("[pool]:3333"), Err(UrlError::Host(_))));
        let url: PoolUrl = "tcp://[::1]:3333".parse().unwrap();
        assert_eq!(url.to_string(), "stratum+tcp://[::1]:3333");
    }

    #[test]
    fn other_protocols_are_named_and_refused() {
        for (text, word) in [
            ("stratum+tls://pool.example:443", "TLS"),
            ("stratum+ssl://pool.example:443", "TLS"),
            (
                "stratum2+tcp://pool.example:3336/9bXiEd8boQVhq7Wd",
                "Stratum V2",
            ),
            ("http://127.0.0.1:8332", "getblocktemplate"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, UrlError::NotSupported { .. }), "{text}");
            let said = error.to_string();
            assert!(
                said.contains(word) && said.contains("not supported yet"),
                "{said}"
            );
        }
        assert!(matches!(
            parse("ftp://x:1"),
            Err(UrlError::UnknownScheme(_))
        ));
    }

    #[test]
    fn a_missing_or_impossible_port_is_refused() {
        for text in [
            "pool.example",
            "tcp://pool.example",
            "pool.example:0",
            "p:65536",
            "p:+1",
            "p:",
        ] {
            assert!(matches!(parse(text), Err(UrlError::Port(_))), "{text}");
        }
    }

    #[test]
    fn passwords_in_urls_are_refused_without_being_repeated() {
        let error = parse("stratum+tcp://bob:hunter2@pool.example:3333").unwrap_err();
        assert_eq!(error, UrlError::Credentials);
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn xnsub_asks_for_extranonce_subscription() {
        let url: PoolUrl = "stratum+tcp://pool.example:3333#xnsub".parse().unwrap();
        assert!(url.extranonce_subscribe());
        assert_eq!(url.to_string().parse(), Ok(url));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            if let Ok(url) = text.parse::<PoolUrl>() {
                prop_assert_eq!(url.to_string().parse::<PoolUrl>(), Ok(url));
            }
        }
    }
}
