//! The client side of SOCKS5 (RFC 1928, with the user and password of RFC 1929): the greeting
//! and one CONNECT. Host names go to the proxy as they are, so nothing is looked up here and
//! `.onion` works through Tor.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Stream;
use crate::text::{Secret, presentable};
use crate::url::{bracketed, split_authority};

/// A SOCKS5 proxy.
///
/// Reads `socks5://host:port`. User and password are not part of the text, which may show in
/// logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    credentials: Option<(String, Secret)>,
}

impl Proxy {
    /// The same proxy with a user and a password, each 1 to 255 bytes. Tor takes any and uses
    /// another circuit for each pair.
    ///
    /// # Errors
    ///
    /// If one of them is empty or too long.
    pub fn with_credentials(
        self,
        user: impl Into<String>,
        password: Secret,
    ) -> Result<Self, ProxyError> {
        let user = user.into();
        let fits = |text: &str| (1..=255).contains(&text.len());
        if !fits(&user) || !fits(password.expose()) {
            return Err(ProxyError::Credentials);
        }
        Ok(Self {
            credentials: Some((user, password)),
            ..self
        })
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

    /// Asks the proxy, to which the stream leads, for a connection to a host.
    pub(super) async fn tunnel(
        &self,
        stream: &mut dyn Stream,
        host: &str,
        port: u16,
    ) -> io::Result<()> {
        let request = request(host, port)?;
        self.greet(stream).await?;
        stream.write_all(&request).await?;
        stream.flush().await?;
        let [version, reply, _, kind] = self.read(stream).await?;
        if version != VERSION {
            return Err(self.no_proxy(version));
        }
        if reply != 0 {
            return Err(refused(host, reply));
        }
        // The address from which the proxy goes on does not matter, but must be read.
        let rest = match kind {
            IPV4 => 4 + 2,
            IPV6 => 16 + 2,
            NAME => usize::from(self.read::<1>(stream).await?[0]) + 2,
            kind => {
                return Err(io::Error::other(format!(
                    "the proxy {self} answered with an address of the unknown kind {kind}"
                )));
            }
        };
        let mut address = [0; 255 + 2];
        stream.read_exact(&mut address[..rest]).await?;
        Ok(())
    }

    async fn greet(&self, stream: &mut dyn Stream) -> io::Result<()> {
        let greeting: &[u8] = match self.credentials {
            None => &[VERSION, 1, NO_AUTHENTICATION],
            Some(_) => &[VERSION, 2, NO_AUTHENTICATION, PASSWORD],
        };
        stream.write_all(greeting).await?;
        stream.flush().await?;
        let [version, method] = self.read(stream).await?;
        match (version, method, &self.credentials) {
            (VERSION, NO_AUTHENTICATION, _) => Ok(()),
            (VERSION, PASSWORD, Some((user, password))) => {
                let mut message = vec![PASSWORD_VERSION];
                for text in [user.as_str(), password.expose()] {
                    message.push(text.len() as u8);
                    message.extend_from_slice(text.as_bytes());
                }
                stream.write_all(&message).await?;
                stream.flush().await?;
                match self.read(stream).await? {
                    [_, 0] => Ok(()),
                    _ => Err(io::Error::new(
                        io::ErrorKind::PermissionDenied,
                        format!("the proxy {self} refused its user and password"),
                    )),
                }
            }
            (VERSION, _, None) => Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("the proxy {self} wants a user and password; set them"),
            )),
            (VERSION, ..) => Err(io::Error::other(format!(
                "the proxy {self} takes neither no authentication nor user and password"
            ))),
            (version, ..) => Err(self.no_proxy(version)),
        }
    }

    async fn read<const N: usize>(&self, stream: &mut dyn Stream) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        match stream.read_exact(&mut bytes).await {
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(io::Error::new(
                error.kind(),
                format!("the proxy {self} closed the connection; is it a SOCKS5 proxy?"),
            )),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("the connection to the proxy {self} broke: {error}"),
            )),
        }
    }

    fn no_proxy(&self, version: u8) -> io::Error {
        let like = match version {
            0 | 4 => "a SOCKS4 proxy",
            b'H' => "a web server or HTTP proxy",
            _ => "something else",
        };
        io::Error::other(format!(
            "{self} is no SOCKS5 proxy, it answers like {like}; check the proxy setting"
        ))
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        // Before anything is repeated in a message.
        if rest.contains('@') {
            return Err(ProxyError::InUrl);
        }
        // curl's name for "the proxy looks names up" is taken as well: it always does here.
        if !["socks5", "socks5h"].contains(&scheme.to_ascii_lowercase().as_str()) {
            return Err(ProxyError::Scheme(presentable(text, 80)));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) =
            split_authority(rest, None).map_err(|_| ProxyError::Address(presentable(rest, 80)))?;
        Ok(Self {
            host: host.to_owned(),
            port,
            credentials: None,
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socks5://{}:{}", bracketed(&self.host), self.port)
    }
}

/// Why a text is no usable proxy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProxyError {
    /// Not SOCKS5.
    #[error(
        "\"{0}\" is no SOCKS5 proxy; expected socks5://host:port, for Tor usually socks5://127.0.0.1:9050"
    )]
    Scheme(String),
    /// No host or port.
    #[error("\"{0}\" names no host and port of a proxy; expected socks5://host:port")]
    Address(String),
    /// User or password in the URL.
    #[error("the proxy's URL must not hold a user or password; they have settings of their own")]
    InUrl,
    /// A user or password that SOCKS5 cannot carry.
    #[error("user and password of a SOCKS5 proxy must each have 1 to 255 bytes")]
    Credentials,
}

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const PASSWORD_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

fn request(host: &str, port: u16) -> io::Result<Vec<u8>> {
    let mut request = vec![VERSION, CONNECT, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            let len = u8::try_from(host.len())
                .map_err(|_| io::Error::other("a host name of more than 255 bytes"))?;
            request.extend_from_slice(&[NAME, len]);
            request.extend_from_slice(host.as_bytes());
        }
    }
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

/// The answers of RFC 1928 and those that Tor has for onion services (its proposal 304).
fn refused(host: &str, reply: u8) -> io::Error {
    use io::ErrorKind as Kind;
    let (kind, words) = match reply {
        1 => (Kind::Other, "it failed; the proxy says no more"),
        2 => (Kind::PermissionDenied, "its rules forbid it"),
        3 => (Kind::NetworkUnreachable, "it has no way to that network"),
        4 => (
            Kind::HostUnreachable,
            "it cannot reach or look up that host",
        ),
        5 => (Kind::ConnectionRefused, "nothing listens there"),
        6 => (Kind::TimedOut, "no answer came in time"),
        7 => (Kind::Other, "it opens no connections"),
        8 => (Kind::Other, "it does not take this kind of address"),
        0xf0 => (Kind::NotFound, "no such onion service is up"),
        0xf1 => (Kind::Other, "the onion service's description is broken"),
        0xf2 => (Kind::Other, "the onion service does not answer"),
        0xf3 => (Kind::Other, "the meeting with the onion service failed"),
        0xf4 | 0xf5 => (
            Kind::PermissionDenied,
            "the onion service wants authorised clients only",
        ),
        0xf6 => (Kind::NotFound, "it is no address of an onion service"),
        0xf7 => (Kind::TimedOut, "the onion service did not answer in time"),
        _ => (Kind::Other, "for a reason that SOCKS5 does not know"),
    };
    io::Error::new(
        kind,
        format!("the proxy could not connect to {host}: {words} (code {reply})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_without_secrets() {
        let proxy: Proxy = "socks5://127.0.0.1:9050".parse().unwrap();
        assert_eq!((proxy.host(), proxy.port()), ("127.0.0.1", 9050));
        let proxy: Proxy = "SOCKS5h://[::1]:9050/".parse().unwrap();
        assert_eq!(proxy.to_string(), "socks5://[::1]:9050");
        let proxy = proxy
            .with_credentials("bob", Secret::new("hunter2"))
            .unwrap();
        assert!(!format!("{proxy:?} {proxy}").contains("hunter2"));
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_repeating_secrets() {
        let error = |text: &str| text.parse::<Proxy>().unwrap_err();
        assert!(matches!(error("http://x:1"), ProxyError::Scheme(_)));
        assert!(matches!(error("127.0.0.1:9050"), ProxyError::Scheme(_)));
        assert!(matches!(error("socks5://x"), ProxyError::Address(_)));
        assert!(matches!(error("socks5://x:1/y"), ProxyError::Address(_)));
        for text in ["socks5://bob:hunter2@x:1", "bob:hunter2@x:1"] {
            assert!(!error(text).to_string().contains("hunter2"));
        }
        let proxy: Proxy = "socks5://x:1".parse().unwrap();
        let empty = proxy.clone().with_credentials("", Secret::new("x"));
        assert_eq!(empty, Err(ProxyError::Credentials));
        let long = proxy.with_credentials("x".repeat(256), Secret::new("x"));
        assert_eq!(long, Err(ProxyError::Credentials));
    }

    #[test]
    fn requests_are_those_of_the_standard() {
        assert_eq!(
            request("192.0.2.1", 3333).unwrap(),
            [5, 1, 0, 1, 192, 0, 2, 1, 0x0d, 0x05]
        );
        let v6 = request("::1", 1).unwrap();
        assert_eq!(v6[..4], [5, 1, 0, 4]);
        assert_eq!(v6[19..], [1, 0, 1]);
        assert_eq!(
            request("a.b", 0x1234).unwrap(),
            b"\x05\x01\x00\x03\x03a.b\x12\x34"
        );
        assert!(request(&"x".repeat(256), 1).is_err());
    }
}
