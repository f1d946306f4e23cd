//! The client's side of TLS with an agent: which certificate it may show. An agent's own certificate
//! has no authority behind it, so it is known by its fingerprint, which is learnt when pairing; one that
//! is not known must come from an authority that this computer trusts.

use std::io;
use std::pin::Pin;

use stratum::transport::Fingerprint;
use tokio::io::{AsyncRead, AsyncWrite};

/// Which certificate is expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// One from an authority that this computer trusts, for the host of the URL.
    #[default]
    Authority,
    /// Exactly this one.
    Pinned(Fingerprint),
    /// Any: this is the first time. Whoever uses it must have another reason to trust the other side.
    First,
}

/// Why a certificate is refused, or why there is no TLS at all.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// It is another one than ever.
    #[error(
        "the agent's certificate has CHANGED: expected {expected}, but it shows {seen}. Either somebody \
         stands between you and the miner, or it was set up anew. Nothing was sent. Compare with \
         `hashwright auth fingerprint` on the miner itself; only if that shows the new one, pair again with \
         `hashwright pair URL CODE --fingerprint {seen}`"
    )]
    Changed {
        /// The one that is known.
        expected: Fingerprint,
        /// The one that was shown.
        seen: Fingerprint,
    },
    /// Nobody vouches for it.
    #[error(
        "the agent's certificate is not known here ({problem}). Its fingerprint is {seen}; if `hashwright \
         auth fingerprint` on the miner shows the same, add `--fingerprint {seen}`, or pair once with \
         `hashwright pair URL CODE`"
    )]
    Unknown {
        /// The one that was shown.
        seen: Fingerprint,
        /// What an authority's rules say about it.
        problem: String,
    },
    /// The other side does not speak it.
    #[error("no TLS there ({0}); if the agent is on this machine, try http:// in the URL")]
    NoTls(String),
    /// This build has none.
    #[error("this build has no TLS; build with --features tls")]
    NotBuilt,
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// A connection to an agent.
pub trait Link: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Link for T {}

/// A connection to an agent, whatever it is made of.
pub type BoxLink = Pin<Box<dyn Link>>;

#[cfg(feature = "tls")]
pub use made::wrap;

/// Shakes hands with `host` over a connection to it; also tells the fingerprint of its certificate.
///
/// # Errors
///
/// Always: this build has no TLS.
#[cfg(not(feature = "tls"))]
pub async fn wrap(
    _: tokio::net::TcpStream,
    _: &str,
    _: Expect,
) -> Result<(BoxLink, Fingerprint), PinError> {
    Err(PinError::NotBuilt)
}

#[cfg(feature = "tls")]
mod made {
    use std::io;
    use std::sync::{Arc, Mutex, OnceLock, PoisonError};

    use sha2::{Digest, Sha256};
    use stratum::transport::Fingerprint;
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::client::WebPkiServerVerifier;
    use tokio_rustls::rustls::client::danger::{
        HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
    };
    use tokio_rustls::rustls::crypto::{
        CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
    };
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use tokio_rustls::rustls::{
        self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    };

    use super::{BoxLink, Expect, PinError};

    /// Shakes hands with `host` over a connection to it; also tells the fingerprint of its certificate.
    ///
    /// # Errors
    ///
    /// It speaks no TLS, or shows a certificate that is not expected.
    pub async fn wrap(
        socket: TcpStream,
        host: &str,
        expect: Expect,
    ) -> Result<(BoxLink, Fingerprint), PinError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            PinError::NoTls(format!("`{host}` is no name that a certificate can have"))
        })?;
        let provider = Arc::new(ring::default_provider());
        let authorities = match expect {
            Expect::Authority => Some(authorities().await?),
            Expect::Pinned(_) | Expect::First => None,
        };
        let verifier = Arc::new(Verifier {
            expect,
            authorities,
            provider: Arc::clone(&provider),
            verdict: Mutex::new(None),
        });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would not be checked again.
        config.resumption = rustls::client::Resumption::disabled();
        let shaken = TlsConnector::from(Arc::new(config))
            .connect(name, socket)
            .await;
        let verdict = verifier.verdict().take();
        match (shaken, verdict) {
            (Ok(stream), Some(Verdict::Good(seen))) => Ok((Box::pin(stream), seen)),
            (Err(_), Some(Verdict::Changed { expected, seen })) => {
                Err(PinError::Changed { expected, seen })
            }
            (Err(_), Some(Verdict::Unknown { seen, problem })) => {
                Err(PinError::Unknown { seen, problem })
            }
            (Err(error), _) => match error.get_ref().and_then(|e| e.downcast_ref()) {
                Some(rustls::Error::InvalidMessage(_)) => {
                    Err(PinError::NoTls("the answer is not one of TLS".to_owned()))
                }
                Some(problem) => Err(PinError::NoTls(problem.to_string())),
                None if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Err(PinError::NoTls("the connection was closed".to_owned()))
                }
                None => Err(error.into()),
            },
            (Ok(_), _) => Err(PinError::NoTls("no certificate was shown".to_owned())),
        }
    }

    #[derive(Debug)]
    enum Verdict {
        Good(Fingerprint),
        Changed {
            expected: Fingerprint,
            seen: Fingerprint,
        },
        Unknown {
            seen: Fingerprint,
            problem: String,
        },
    }

    #[derive(Debug)]
    struct Verifier {
        expect: Expect,
        authorities: Option<Arc<WebPkiServerVerifier>>,
        provider: Arc<CryptoProvider>,
        verdict: Mutex<Option<Verdict>>,
    }

    impl Verifier {
        fn verdict(&self) -> std::sync::MutexGuard<'_, Option<Verdict>> {
            self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl ServerCertVerifier for Verifier {
        fn verify_server_cert(
            &self,
            leaf: &CertificateDer<'_>,
            intermediates: &[CertificateDer<'_>],
            name: &ServerName<'_>,
            ocsp: &[u8],
            now: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            let seen = Fingerprint::from_bytes(Sha256::digest(leaf).into());
            let verdict = match (self.expect, &self.authorities) {
                (Expect::First, _) => Verdict::Good(seen),
                (Expect::Pinned(expected), _) if expected == seen => Verdict::Good(seen),
                (Expect::Pinned(expected), _) => Verdict::Changed { expected, seen },
                (Expect::Authority, Some(authorities)) => {
                    match authorities.verify_server_cert(leaf, intermediates, name, ocsp, now) {
                        Ok(_) => Verdict::Good(seen),
                        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                            Verdict::Unknown {
                                seen,
                                problem: "the agent made it for itself".to_owned(),
                            }
                        }
                        Err(error) => Verdict::Unknown {
                            seen,
                            problem: error.to_string(),
                        },
                    }
                }
                (Expect::Authority, None) => Verdict::Unknown {
                    seen,
                    problem: "this computer has no list of trusted authorities".to_owned(),
                },
            };
            let good = matches!(verdict, Verdict::Good(_));
            *self.verdict() = Some(verdict);
            if good {
                return Ok(ServerCertVerified::assertion());
            }
            Err(CertificateError::ApplicationVerificationFailure.into())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            leaf: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls12_signature(message, leaf, signed, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            leaf: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.provider.signature_verification_algorithms;
            verify_tls13_signature(message, leaf, signed, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.provider
                .signature_verification_algorithms
                .supported_schemes()
        }
    }

    /// The rules of the authorities that this computer trusts; if it has no list of them, a list without any.
    async fn authorities() -> io::Result<Arc<WebPkiServerVerifier>> {
        static KNOWN: OnceLock<Option<Arc<WebPkiServerVerifier>>> = OnceLock::new();
        let load = || {
            let mut roots = RootCertStore::empty();
            // Systems carry old certificates that cannot be used; the others count.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let provider = Arc::new(ring::default_provider());
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .ok()
        };
        // Reads hundreds of small files.
        let known = tokio::task::spawn_blocking(move || KNOWN.get_or_init(load).clone())
            .await
            .map_err(io::Error::other)?;
        known.ok_or_else(|| {
            io::Error::other(
                "this computer has no list of trusted certificate authorities; name the agent's \
                 certificate with --fingerprint",
            )
        })
    }
}
