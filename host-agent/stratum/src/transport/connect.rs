//! How one upstream is reached: the plain connection, the proxy in front of it and the TLS
//! around it, each if its owner wants it.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::tcp::TcpConnector;
use super::trust::{Trust, TrustError};
use super::{Connector, Proxy, Stream};

/// Reaches one upstream as its settings say.
///
/// ```
/// use stratum::transport::{PoolConnector, TcpConnector};
///
/// let through_tor = PoolConnector::new(TcpConnector::default())
///     .with_proxy("socks5://127.0.0.1:9050".parse()?);
/// # drop(through_tor);
/// # Ok::<(), stratum::transport::ProxyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PoolConnector<C = TcpConnector> {
    plain: C,
    proxy: Option<Proxy>,
    tls: Option<Tls>,
}

impl<C: Connector> PoolConnector<C> {
    /// Reaches upstreams directly and without TLS. `plain` makes the connections.
    #[must_use]
    pub fn new(plain: C) -> Self {
        Self {
            plain,
            proxy: None,
            tls: None,
        }
    }

    /// Goes through a proxy, which also looks up host names.
    #[must_use]
    pub fn with_proxy(self, proxy: Proxy) -> Self {
        Self {
            proxy: Some(proxy),
            ..self
        }
    }

    /// Speaks TLS with upstreams and trusts those that `trust` says.
    ///
    /// # Errors
    ///
    /// If the certificates in `trust` cannot be used, or this build has no TLS.
    pub fn with_tls(self, trust: Trust) -> Result<Self, TrustError> {
        Ok(Self {
            tls: Some(Tls::new(trust)?),
            ..self
        })
    }
}

impl<C: Connector> Connector for PoolConnector<C> {
    async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        let stream = match &self.proxy {
            None => self.plain.connect(host, port).await?,
            Some(proxy) => {
                let mut stream = self
                    .plain
                    .connect(proxy.host(), proxy.port())
                    .await
                    .map_err(|error| {
                        io::Error::new(error.kind(), format!("the proxy {proxy}: {error}"))
                    })?;
                timeout(TUNNEL_TIMEOUT, proxy.tunnel(&mut *stream, host, port))
                    .await
                    .map_err(|_| no_tunnel(proxy, host))??;
                stream
            }
        };
        match &self.tls {
            None => Ok(stream),
            Some(tls) => tls.wrap(stream, host, port).await,
        }
    }
}

/// Tor takes many seconds to a service that it has not been to yet.
const TUNNEL_TIMEOUT: Duration = Duration::from_secs(25);

fn no_tunnel(proxy: &dyn fmt::Display, host: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::TimedOut,
        format!("the proxy {proxy} made no connection to {host} within {TUNNEL_TIMEOUT:?}"),
    )
}

#[cfg(feature = "tls")]
use super::tls::Tls;

/// What stands in for TLS in builds without it.
#[cfg(not(feature = "tls"))]
#[derive(Clone, Debug)]
enum Tls {}

#[cfg(not(feature = "tls"))]
impl Tls {
    fn new(_: Trust) -> Result<Self, TrustError> {
        Err(TrustError::NotBuilt)
    }

    async fn wrap(&self, _: Box<dyn Stream>, _: &str, _: u16) -> io::Result<Box<dyn Stream>> {
        match *self {}
    }
}
