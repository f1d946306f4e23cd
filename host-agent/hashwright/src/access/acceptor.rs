//! What takes connections in: TLS where the API speaks it. Programs on this machine may leave TLS out, because
//! nothing leaves the machine then; that is told by the first byte.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[cfg(feature = "tls")]
pub use with_tls::{Acceptor, AcceptorError};
#[cfg(not(feature = "tls"))]
pub use without_tls::{Acceptor, AcceptorError};

/// A connection that was taken in.
#[derive(Debug)]
pub enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Over TLS.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

impl Stream {
    /// The connection below.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, into),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(feature = "tls")]
mod with_tls {
    use std::fmt;
    use std::fs;
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::Duration;

    use access::Peer;
    use sha2::{Digest, Sha256};
    use stratum::transport::Fingerprint;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::time::timeout;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{self, ServerConfig};
    use tracing::{error, info, warn};

    use super::Stream;
    use crate::access::certificate::{self, MakeError, Pems};
    use crate::access::store::{Stamp, Store};
    use crate::config::{Api, ServerTls};

    /// How long a client may take for its first byte, and then for the handshake.
    const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

    /// How long somebody without TLS is listened to, so that they can read the answer.
    const SENT_AWAY_WITHIN: Duration = Duration::from_secs(2);

    /// Most bytes that are taken from them.
    const SENT_AWAY_BYTES: u64 = 16 * 1024;

    /// The first byte of TLS: a handshake record.
    const HANDSHAKE: u8 = 0x16;

    /// What somebody is told who speaks HTTP where TLS is spoken.
    const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
        Connection: close\r\nContent-Length: 48\r\n\r\nThis port speaks TLS: use https:// in the URL.\r\n";

    /// Why the API cannot speak TLS.
    #[derive(Debug, thiserror::Error)]
    pub enum AcceptorError {
        /// Its own certificate cannot be had.
        #[error(transparent)]
        Own(#[from] MakeError),
        /// A file of the owner's cannot be read.
        #[error(
            "the API's certificate or key {path} cannot be read: {source}. It is named by [api] tls; the \
             agent's user must be able to read it"
        )]
        Read {
            /// The file.
            path: PathBuf,
            /// What the system said.
            source: io::Error,
        },
        /// What the files hold is of no use.
        #[error("the API's certificate cannot be used ({where_from}): {problem}")]
        Content {
            /// Which files.
            where_from: String,
            /// What is wrong.
            problem: String,
        },
    }

    /// Takes connections in. Clones are the same one.
    #[derive(Clone)]
    pub struct Acceptor(Option<Arc<Shared>>);

    struct Shared {
        files: Option<(PathBuf, PathBuf)>,
        current: Mutex<Current>,
    }

    struct Current {
        config: Arc<ServerConfig>,
        fingerprint: Fingerprint,
        stamps: Option<(Option<Stamp>, Option<Stamp>)>,
    }

    impl Acceptor {
        /// One for these settings; a certificate that the agent makes for itself is kept in `folder`.
        ///
        /// # Errors
        ///
        /// No certificate can be had or used.
        pub fn new(api: &Api, name: &str, folder: Option<PathBuf>) -> Result<Self, AcceptorError> {
            if !api.speaks_tls() {
                return Ok(Self(None));
            }
            let (current, files) = match (&api.tls, folder) {
                (ServerTls::Files { certificate, key }, _) => (
                    Current::read(certificate, key)?,
                    Some((certificate.clone(), key.clone())),
                ),
                (_, Some(folder)) => {
                    let pems = certificate::own(&Store::new(&folder), name)?;
                    let from = format!("{} in {}", certificate::CERTIFICATE, folder.display());
                    (Current::of(&pems, from)?, None)
                }
                (_, None) => {
                    let pems = certificate::make(name).map_err(MakeError::from)?;
                    (Current::of(&pems, "made for this run".to_owned())?, None)
                }
            };
            Ok(Self(Some(Arc::new(Shared {
                files,
                current: Mutex::new(current),
            }))))
        }

        /// SHA-256 of the certificate that clients see.
        #[must_use]
        pub fn fingerprint(&self) -> Option<Fingerprint> {
            let shared = self.0.as_ref()?;
            Some(shared.current().fingerprint)
        }

        /// Takes a connection in.
        ///
        /// # Errors
        ///
        /// No handshake, or none in time.
        pub async fn accept(&self, mut socket: TcpStream, peer: Peer) -> io::Result<Stream> {
            let Some(shared) = &self.0 else {
                return Ok(Stream::Plain(socket));
            };
            let mut first = [0];
            let seen = timeout(HANDSHAKE_TIMEOUT, socket.peek(&mut first));
            if seen.await.map_err(|_| too_slow())?? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if first != [HANDSHAKE] {
                if peer.is_local() {
                    return Ok(Stream::Plain(socket));
                }
                // Whether it reads the answer is its own business.
                let _ = timeout(SENT_AWAY_WITHIN, send_away(&mut socket)).await;
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no TLS"));
            }
            let config = Arc::clone(&shared.current().config);
            let shaken = TlsAcceptor::from(config).accept(socket);
            let stream = timeout(HANDSHAKE_TIMEOUT, shaken)
                .await
                .map_err(|_| too_slow())??;
            Ok(Stream::Tls(Box::new(stream)))
        }

        /// Takes the owner's certificate anew if its files have changed.
        pub(crate) fn refresh(&self) {
            let Some(shared) = &self.0 else { return };
            let Some((certificate, key)) = &shared.files else {
                return;
            };
            let stamps = Some((Stamp::read(certificate), Stamp::read(key)));
            if shared.current().stamps == stamps {
                return;
            }
            match Current::read(certificate, key) {
                Ok(current) => {
                    info!(fingerprint = %current.fingerprint, "the API has a new certificate");
                    *shared.current() = current;
                }
                // Half written, perhaps: the old one serves on, and the next change is looked at again.
                Err(problem) => {
                    error!("{problem}; the API goes on with the certificate that it had");
                    shared.current().stamps = stamps;
                }
            }
        }
    }

    impl Shared {
        fn current(&self) -> std::sync::MutexGuard<'_, Current> {
            self.current.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Current {
        fn read(certificate: &Path, key: &Path) -> Result<Self, AcceptorError> {
            let stamps = Some((Stamp::read(certificate), Stamp::read(key)));
            let read = |path: &Path| {
                fs::read(path).map_err(|source| AcceptorError::Read {
                    path: path.to_owned(),
                    source,
                })
            };
            let pems = Pems {
                certificate: read(certificate)?,
                key: read(key)?,
            };
            if fs::metadata(key).is_ok_and(|key| key.mode() & 0o007 != 0) {
                warn!(key = %key.display(), "everybody on this machine can read the API's private key");
            }
            let from = format!("{} and {}", certificate.display(), key.display());
            let current = Self::of(&pems, from)?;
            Ok(Self { stamps, ..current })
        }

        fn of(pems: &Pems, where_from: String) -> Result<Self, AcceptorError> {
            let wrong = |problem: String| AcceptorError::Content {
                where_from: where_from.clone(),
                problem,
            };
            let chain: Vec<_> = CertificateDer::pem_slice_iter(&pems.certificate)
                .collect::<Result<_, _>>()
                .map_err(|error| wrong(format!("the certificate: {error}")))?;
            let Some(leaf) = chain.first() else {
                return Err(wrong(
                    "the file holds no certificate in PEM form".to_owned(),
                ));
            };
            let fingerprint = Fingerprint::from_bytes(Sha256::digest(leaf).into());
            let key = PrivateKeyDer::from_pem_slice(&pems.key)
                .map_err(|error| wrong(format!("the key: {error}")))?;
            let mut config =
                ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
                    .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
                    .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
                    .map_err(|error| wrong(error.to_string()))?;
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(Self {
                config: Arc::new(config),
                fingerprint,
                stamps: None,
            })
        }
    }

    impl fmt::Debug for Acceptor {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_tuple("Acceptor")
                .field(&self.fingerprint())
                .finish()
        }
    }

    /// Answers somebody who speaks HTTP. What they sent is read first: a connection that is closed with
    /// something unread is reset, and the answer lost.
    async fn send_away(socket: &mut TcpStream) -> io::Result<()> {
        socket.write_all(SPEAK_TLS).await?;
        socket.shutdown().await?;
        let rest = socket.take(SENT_AWAY_BYTES);
        tokio::pin!(rest);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
        Ok(())
    }

    fn too_slow() -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time")
    }
}

#[cfg(not(feature = "tls"))]
mod without_tls {
    use std::io;
    use std::path::PathBuf;

    use access::Peer;
    use stratum::transport::Fingerprint;
    use tokio::net::TcpStream;

    use super::Stream;
    use crate::config::Api;

    /// Why the API cannot speak TLS.
    #[derive(Debug, thiserror::Error)]
    #[error("this build has no TLS; build with --features tls, or listen on 127.0.0.1 without it")]
    pub struct AcceptorError;

    /// Takes connections in.
    #[derive(Clone, Debug)]
    pub struct Acceptor;

    impl Acceptor {
        /// One for these settings.
        ///
        /// # Errors
        ///
        /// They want TLS.
        pub fn new(api: &Api, _: &str, _: Option<PathBuf>) -> Result<Self, AcceptorError> {
            if api.speaks_tls() {
                return Err(AcceptorError);
            }
            Ok(Self)
        }

        /// None: there is no certificate.
        #[must_use]
        pub fn fingerprint(&self) -> Option<Fingerprint> {
            None
        }

        /// Takes a connection in.
        ///
        /// # Errors
        ///
        /// None.
        pub async fn accept(&self, socket: TcpStream, _: Peer) -> io::Result<Stream> {
            Ok(Stream::Plain(socket))
        }

        pub(crate) fn refresh(&self) {}
    }
}
