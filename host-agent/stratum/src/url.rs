//! Pool URLs: the forms that people paste from pool pages, and clear words for those that
//! name nothing that can be mined at.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::authority::{AuthorityKey, KeyError};

/// Where an upstream listens, and which protocol it speaks.
///
/// | form | upstream |
/// | --- | --- |
/// | `stratum+tcp://host:port`, `stratum://`, `tcp://`, `host:port` | Stratum V1 |
/// | `stratum+tls://host:port`, `stratum+ssl://`, `ssl://`, `tls://` | Stratum V1 over TLS |
/// | `stratum2+tcp://host:port/KEY` | Stratum V2; `KEY` is the pool's authority key |
/// | `http://host:port`, `https://host:port` | a Bitcoin node's RPC; ports 8332 and 443 if left out |
///
/// An IPv6 address stands in brackets. A fragment `#xnsub` asks a V1 pool for extranonce
/// subscription, as Braiins' firmware and proxies use it.
///
/// ```
/// use stratum::url::Scheme;
/// let url: stratum::PoolUrl = "stratum+tls://[::1]:3333".parse()?;
/// assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::V1Tls, "::1", 3333));
/// # Ok::<(), stratum::UrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolUrl {
    scheme: Scheme,
    host: String,
    port: u16,
    authority_key: Option<AuthorityKey>,
    extranonce_subscribe: bool,
}

/// Which protocol an upstream speaks, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Stratum V1 over TCP.
    V1,
    /// Stratum V1 over TLS.
    V1Tls,
    /// Stratum V2, which brings its own encryption, over TCP.
    V2,
    /// A node's getblocktemplate over HTTP.
    Solo,
    /// A node's getblocktemplate over HTTPS.
    SoloTls,
}

impl Scheme {
    /// The scheme in its usual spelling, without `://`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1 => "stratum+tcp",
            Self::V1Tls => "stratum+tls",
            Self::V2 => "stratum2+tcp",
            Self::Solo => "http",
            Self::SoloTls => "https",
        }
    }

    /// The protocol, for people.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::V1 => "Stratum V1",
            Self::V1Tls => "Stratum V1 over TLS",
            Self::V2 => "Stratum V2",
            Self::Solo => "solo mining from a node",
            Self::SoloTls => "solo mining from a node over TLS",
        }
    }

    /// Whether the stream is TLS.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::V1Tls | Self::SoloTls)
    }

    /// Whether the upstream is a node, not a pool.
    #[must_use]
    pub const fn is_solo(self) -> bool {
        matches!(self, Self::Solo | Self::SoloTls)
    }

    /// The port if the URL names none. Pools have no usual one.
    const fn default_port(self) -> Option<u16> {
        match self {
            Self::Solo => Some(8332),
            Self::SoloTls => Some(443),
            Self::V1 | Self::V1Tls | Self::V2 => None,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PoolUrl {
    /// The protocol.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

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

    /// The key that signs the certificates of a V2 pool; `None` for other protocols, and if
    /// the URL leaves it out.
    #[must_use]
    pub fn authority_key(&self) -> Option<AuthorityKey> {
        self.authority_key
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
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (read_scheme(scheme)?, rest),
            None => (Scheme::V1, text),
        };
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        // Names and passwords have their own settings, and would show wherever the URL does.
        if rest.contains('@') {
            return Err(UrlError::Credentials);
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = split_authority(authority, scheme.default_port())?;
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
            authority_key: read_path(scheme, path)?,
            extranonce_subscribe: scheme != Scheme::V2
                && !scheme.is_solo()
                && fragment.eq_ignore_ascii_case("xnsub"),
        })
    }
}

impl fmt::Display for PoolUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}:{}",
            self.scheme,
            bracketed(&self.host),
            self.port
        )?;
        if let Some(key) = &self.authority_key {
            write!(f, "/{key}")?;
        }
        if self.extranonce_subscribe {
            f.write_str("#xnsub")?;
        }
        Ok(())
    }
}

/// Why a text is no usable pool URL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UrlError {
    /// A scheme that means nothing here.
    #[error(
        "\"{0}://\" is no pool protocol; expected stratum+tcp:// (V1), stratum+tls:// (V1 over \
         TLS), stratum2+tcp:// (V2), or http:// or https:// for solo mining from a node"
    )]
    UnknownScheme(String),
    /// Stratum V2 without encryption.
    #[error(
        "\"stratum2+tcp+insecure://\" is Stratum V2 without encryption, which lets anybody on the \
         way take the hashes; use stratum2+tcp://host:port/KEY with the key from the pool's page"
    )]
    Insecure,
    /// User or password in the URL.
    #[error("the pool URL must not hold a user or password; they have settings of their own")]
    Credentials,
    /// Something behind the port.
    #[error("\"/{path}\" behind the port means nothing for {protocol}; leave it out")]
    Path {
        /// What stood there.
        path: String,
        /// The protocol, for people.
        protocol: &'static str,
    },
    /// What stands behind the port of a V2 pool is no authority key.
    #[error("{0}; expected stratum2+tcp://host:port/KEY")]
    AuthorityKey(#[from] KeyError),
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

fn read_scheme(scheme: &str) -> Result<Scheme, UrlError> {
    Ok(match scheme.to_ascii_lowercase().as_str() {
        "stratum+tcp" | "stratum" | "stratum1+tcp" | "tcp" => Scheme::V1,
        "stratum+tls" | "stratum+ssl" | "stratum+tcps" | "stratums" | "stratum1+ssl"
        | "stratum1+tls" | "ssl" | "tls" => Scheme::V1Tls,
        "stratum2+tcp" | "stratum2" => Scheme::V2,
        "stratum2+tcp+insecure" => return Err(UrlError::Insecure),
        "http" => Scheme::Solo,
        "https" => Scheme::SoloTls,
        _ => return Err(UrlError::UnknownScheme(shown(scheme))),
    })
}

/// The authority key, which only V2 pools have.
fn read_path(scheme: Scheme, path: &str) -> Result<Option<AuthorityKey>, UrlError> {
    match scheme {
        _ if path.is_empty() => Ok(None),
        Scheme::V2 => Ok(Some(path.trim_end_matches('/').parse()?)),
        _ => Err(UrlError::Path {
            path: shown(path),
            protocol: scheme.protocol(),
        }),
    }
}

/// Host and port; `default` is the port if there is none.
pub(crate) fn split_authority(
    authority: &str,
    default: Option<u16>,
) -> Result<(&str, u16), UrlError> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest
            .split_once(']')
            .filter(|(_, rest)| rest.is_empty() || rest.starts_with(':'))
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
    let number = |digits: &str| {
        let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
        digits.parse().ok().filter(|port| plain && *port != 0)
    };
    port.map_or(default, number)
        .map(|port| (host, port))
        .ok_or_else(|| UrlError::Port(shown(authority)))
}

/// A host as URLs have it: IPv6 addresses in brackets.
pub(crate) fn bracketed(host: &str) -> Cow<'_, str> {
    if host.contains(':') {
        format!("[{host}]").into()
    } else {
        host.into()
    }
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

    /// The example of the Stratum V2 specification.
    const KEY: &str = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";

    fn parse(text: &str) -> Result<(String, u16), UrlError> {
        text.parse::<PoolUrl>()
            .map(|url| (url.host().to_owned(), url.port()))
    }

    fn scheme(text: &str) -> Scheme {
        text.parse::<PoolUrl>().unwrap().scheme()
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
            assert_eq!(scheme(text), Scheme::V1);
        }
    }

    #[test]
    fn ipv6_addresses_stand_in_brackets() {
        assert_eq!(parse("stratum+tcp://[::1]:3333"), Ok(("::1".into(), 3333)));
        assert_eq!(parse("[fe80::2]:1"), Ok(("fe80::2".into(), 1)));
        assert!(matches!(parse("::1:3333"), Err(UrlError::Host(_))));
        assert!(matches!(parse("[pool]:3333"), Err(UrlError::Host(_))));
        assert!(matches!(parse("http://[::1]9999"), Err(UrlError::Host(_))));
        let url: PoolUrl = "tcp://[::1]:3333".parse().unwrap();
        assert_eq!(url.to_string(), "stratum+tcp://[::1]:3333");
    }

    #[test]
    fn each_protocol_has_its_scheme() {
        for (text, expected) in [
            ("stratum+tls://pool.example:443", Scheme::V1Tls),
            ("stratum+ssl://pool.example:443", Scheme::V1Tls),
            ("ssl://pool.example:443", Scheme::V1Tls),
            ("stratum2+tcp://pool.example:3336", Scheme::V2),
            ("http://127.0.0.1:8332", Scheme::Solo),
            ("https://node.example", Scheme::SoloTls),
        ] {
            assert_eq!(scheme(text), expected, "{text}");
        }
        assert!(matches!(
            parse("ftp://x:1"),
            Err(UrlError::UnknownScheme(_))
        ));
        assert_eq!(
            parse("stratum2+tcp+insecure://pool.example:3336"),
            Err(UrlError::Insecure)
        );
    }

    #[test]
    fn nodes_have_usual_ports_and_pools_have_none() {
        assert_eq!(parse("http://localhost"), Ok(("localhost".into(), 8332)));
        assert_eq!(parse("http://[::1]/"), Ok(("::1".into(), 8332)));
        assert_eq!(parse("https://n.example"), Ok(("n.example".into(), 443)));
        assert_eq!(parse("http://n:18443/"), Ok(("n".into(), 18443)));
        for text in [
            "pool.example",
            "tcp://pool.example",
            "stratum2+tcp://pool.example",
            "pool.example:0",
            "p:65536",
            "p:+1",
            "p:",
            "http://p:",
        ] {
            assert!(matches!(parse(text), Err(UrlError::Port(_))), "{text}");
        }
    }

    #[test]
    fn only_v2_pools_have_an_authority_key() {
        let text = format!("stratum2+tcp://pool.example:3336/{KEY}");
        let url: PoolUrl = text.parse().unwrap();
        assert_eq!(url.authority_key(), Some(KEY.parse().unwrap()));
        assert_eq!(url.to_string(), text);
        for key in ["KEY", "0bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh"] {
            let error = parse(&format!("stratum2+tcp://pool.example:3336/{key}"));
            assert!(matches!(error, Err(UrlError::AuthorityKey(_))), "{key}");
        }
        for scheme in ["stratum+tcp", "stratum+tls", "http"] {
            let error = parse(&format!("{scheme}://pool.example:3336/{KEY}"));
            assert!(matches!(error, Err(UrlError::Path { .. })), "{scheme}");
        }
    }

    #[test]
    fn passwords_in_urls_are_refused_without_being_repeated() {
        for scheme in ["stratum+tcp", "http"] {
            let error = parse(&format!("{scheme}://bob:hunter2@pool.example:3333")).unwrap_err();
            assert_eq!(error, UrlError::Credentials);
            assert!(!error.to_string().contains("hunter2"));
        }
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

        #[test]
        fn what_is_shown_reads_back(text in "(stratum[+]tls|stratum2[+]tcp|http|https)://[a-z]{1,9}(:[1-9][0-9]{1,3})?/?(#xnsub)?") {
            if let Ok(url) = text.parse::<PoolUrl>() {
                prop_assert_eq!(url.to_string().parse::<PoolUrl>(), Ok(url));
            }
        }
    }
}
