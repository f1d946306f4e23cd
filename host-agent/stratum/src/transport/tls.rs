//! TLS around a plain stream: rustls on ring, TLS 1.2 and 1.3. What is verified here is who
//! the server is; the words for failures name what to do about them.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};

use super::Stream;
use super::trust::{Fingerprint, Trust, TrustError};
use crate::session::Reason;
use crate::text::utc;

/// The client side of TLS with one upstream.
#[derive(Clone)]
pub(super) struct Tls(Arc<Shared>);

struct Shared {
    /// Made at the first connection if the system's authorities are wanted: a system without
    /// them must not keep the program from starting.
    config: Mutex<Option<Arc<ClientConfig>>>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    pub(super) fn new(trust: Trust) -> Result<Self, TrustError> {
        let provider = Arc::new(ring::default_provider());
        let checks = match trust {
            Trust::System => None,
            Trust::Authority { pem } => Some(Checks::Authorities(authorities(&pem, &provider)?)),
            Trust::Fingerprint(pinned) => Some(Checks::Pinned(pinned)),
        };
        let config = checks
            .map(|checks| client(checks, &provider))
            .transpose()
            .map_err(TrustError::Setup)?;
        Ok(Self(Arc::new(Shared {
            config: Mutex::new(config),
            provider,
        })))
    }

    /// Shakes hands over a stream that leads to `host`.
    pub(super) async fn wrap(
        &self,
        stream: Box<dyn Stream>,
        host: &str,
        port: u16,
    ) -> io::Result<Box<dyn Stream>> {
        // Addresses get no SNI, names without a dot at the end; rustls sees to both.
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| tls(format!("\"{host}\" is no name that a certificate can have")))?;
        let config = self.config().await?;
        let shaken = TlsConnector::from(config).connect(name, stream);
        match timeout(HANDSHAKE_TIMEOUT, shaken).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(explained(&error, host, port)),
            Err(_) => Err(wrong(format!(
                "{host}:{port} did not answer the TLS handshake within {HANDSHAKE_TIMEOUT:?}; {}",
                no_tls(host, port)
            ))),
        }
    }

    async fn config(&self) -> io::Result<Arc<ClientConfig>> {
        let made = self.made().clone();
        if let Some(config) = made {
            return Ok(config);
        }
        let provider = Arc::clone(&self.0.provider);
        // Reads hundreds of small files.
        let config = tokio::task::spawn_blocking(move || system(&provider))
            .await
            .map_err(io::Error::other)??;
        *self.made() = Some(Arc::clone(&config));
        Ok(config)
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Option<Arc<ClientConfig>>> {
        self.0.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How servers are checked.
#[derive(Debug)]
enum Checks {
    Authorities(Arc<WebPkiServerVerifier>),
    Pinned(Fingerprint),
}

fn client(checks: Checks, provider: &Arc<CryptoProvider>) -> Result<Arc<ClientConfig>, String> {
    let verifier = Verifier {
        checks,
        provider: Arc::clone(provider),
    };
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // A resumed session would not be checked again, and connections here last for days.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn authorities(
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TrustError> {
    let mut roots = RootCertStore::empty();
    for (index, certificate) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
        let certificate = match certificate {
            Ok(certificate) => certificate,
            Err(PemError::NoItemsFound) => break,
            Err(error) => return Err(TrustError::Pem(error.to_string())),
        };
        roots
            .add(certificate)
            .map_err(|error| TrustError::Certificate {
                index,
                problem: error.to_string(),
            })?;
    }
    if roots.is_empty() {
        return Err(TrustError::NoCertificate);
    }
    verifier(roots, provider).map_err(TrustError::Setup)
}

/// The authorities that this computer trusts.
fn system(provider: &Arc<CryptoProvider>) -> io::Result<Arc<ClientConfig>> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems carry old certificates that cannot be used; the others count.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let problem = found.errors.first().map(|error| format!(" ({error})"));
        return Err(tls(format!(
            "this computer has no list of trusted certificate authorities{}; install it (package \
             ca-certificates), or set tls.ca or tls.fingerprint of the pool",
            problem.unwrap_or_default()
        )));
    }
    let verifier = verifier(roots, provider).map_err(tls)?;
    client(Checks::Authorities(verifier), provider).map_err(tls)
}

fn verifier(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, String> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| error.to_string())
}

/// Checks a server's certificate, and explains what is wrong with it.
#[derive(Debug)]
struct Verifier {
    checks: Checks,
    provider: Arc<CryptoProvider>,
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
        let problem = match &self.checks {
            Checks::Pinned(pinned) if *pinned == seen => {
                return Ok(ServerCertVerified::assertion());
            }
            Checks::Pinned(pinned) => format!(
                "the server shows the certificate {seen}, and tls.fingerprint asks for {pinned}: \
                 the pool has a new one, or somebody stands between us and the pool; ask the pool \
                 before you change tls.fingerprint"
            ),
            Checks::Authorities(webpki) => {
                match webpki.verify_server_cert(leaf, intermediates, name, ocsp, now) {
                    Ok(verified) => return Ok(verified),
                    Err(rustls::Error::InvalidCertificate(error)) => certificate(&error, seen),
                    Err(error) => return Err(error),
                }
            }
        };
        let problem = OtherError(Arc::new(Refused(problem)));
        Err(CertificateError::Other(problem).into())
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

/// Why a certificate was refused, on its way through rustls.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

fn certificate(error: &CertificateError, seen: Fingerprint) -> String {
    match error {
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the server's certificate ran out at {}, and the clock of this computer shows {}; if \
             the clock is right, only the pool can renew the certificate",
            utc(not_after.as_secs()),
            utc(time.as_secs())
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the server's certificate begins to be valid at {}, and the clock of this computer \
             shows {}: the clock is slow; set it (most systems do so over NTP)",
            utc(not_before.as_secs()),
            utc(time.as_secs())
        ),
        CertificateError::UnknownIssuer => format!(
            "the server's certificate is not from an authority that is trusted here. If it is the \
             pool's own, set tls.ca to the authority's certificate, or tls.fingerprint = \
             \"{seen}\" after comparing that with what the pool says"
        ),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let mut names = presented.join(", ");
            if names.is_empty() {
                "no name at all".clone_into(&mut names);
            }
            format!(
                "the server's certificate is for {}, not for {}: the pool's URL names another \
                 host than the certificate, or somebody stands between us and the pool",
                crate::text::presentable(&names, 200),
                expected.to_str()
            )
        }
        other => format!(
            "the server's certificate is refused: {other}. Its fingerprint is {seen}; \
             tls.fingerprint takes exactly this one, after comparing it with what the pool says"
        ),
    }
}

/// The error of a handshake in words for the owner.
fn explained(error: &io::Error, host: &str, port: u16) -> io::Error {
    let inner = error.get_ref();
    let Some(problem) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return if matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
        ) {
            wrong(format!(
                "{host}:{port} closed the connection at the TLS handshake; {}",
                no_tls(host, port)
            ))
        } else {
            tls(error.to_string())
        };
    };
    match problem {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(refused)))
            if refused.is::<Refused>() =>
        {
            tls(refused.to_string())
        }
        rustls::Error::InvalidMessage(_) => wrong(format!(
            "{host}:{port} does not answer with TLS; {}",
            no_tls(host, port)
        )),
        rustls::Error::AlertReceived(alert) => tls(format!(
            "the server broke the handshake off ({alert:?}); it may want another host name, or a \
             TLS version that is out of use"
        )),
        rustls::Error::PeerIncompatible(_) => tls(format!(
            "the server speaks only kinds of TLS that are out of use ({problem}); TLS 1.2 or 1.3 \
             is needed"
        )),
        other => tls(other.to_string()),
    }
}

fn no_tls(host: &str, port: u16) -> String {
    let host = crate::url::bracketed(host);
    format!(
        "perhaps there is no TLS at this port: for a pool without it use \
         stratum+tcp://{host}:{port}, for a node http://{host}:{port}"
    )
}

fn tls(text: String) -> io::Error {
    io::Error::other(Reason::Tls(text))
}

fn wrong(text: String) -> io::Error {
    io::Error::other(Reason::WrongProtocol(text))
}
