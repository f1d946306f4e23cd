//! TLS with made-up certificates: who is trusted, who is not, and what the owner is told.
#![cfg(feature = "tls")]

mod support;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use stratum::transport::{
    Connector, Fingerprint, PoolConnector, Stream, TcpConnector, Trust, TrustError,
};
use stratum::{Event, Reason};
use support::played::{Played, pipes};
use support::rig::{Pipes, Rig};
use support::socks::{Manners, serve};
use support::{config, share};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio_rustls::server::TlsStream;

const HOST: &str = "eu.pool.example";

/// An authority that nobody knows.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    authority_with(name, KeyPair::generate().unwrap())
}

fn authority_with(name: &str, key: KeyPair) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, key).unwrap()
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

fn lasting(mut params: CertificateParams, from: i32, until: i32) -> CertificateParams {
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

/// What a server shows.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Identity {
    fn signed(params: &CertificateParams, by: &CertifiedIssuer<'_, KeyPair>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, by).unwrap();
        Self {
            chain: vec![certificate.der().clone()],
            key,
        }
    }

    fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            chain: vec![certificate.der().clone()],
            key,
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from_bytes(Sha256::digest(&self.chain[0]).into())
    }

    fn acceptor(&self, versions: &[&'static SupportedProtocolVersion]) -> TlsAcceptor {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

/// Connects to a server with this identity, and gives both ends.
async fn shake(
    identity: &Identity,
    trust: Trust,
    host: &str,
    versions: &[&'static SupportedProtocolVersion],
) -> (
    io::Result<Box<dyn Stream>>,
    io::Result<TlsStream<DuplexStream>>,
) {
    let (pipes, mut accepted) = pipes(65_536);
    let connector = PoolConnector::new(pipes).with_tls(trust).unwrap();
    let acceptor = identity.acceptor(versions);
    let serve = async move { acceptor.accept(accepted.recv().await.unwrap()).await };
    tokio::join!(connector.connect(host, 443), serve)
}

/// What the owner is told when the server is not trusted.
async fn refusal(identity: &Identity, trust: Trust) -> String {
    let (client, server) = shake(identity, trust, HOST, BOTH).await;
    assert!(server.is_err() || client.is_err());
    let error = client.err().expect("a refusal");
    match stratum::transport::connect_failure(error) {
        Reason::Tls(said) => said,
        other => panic!("{other:?}"),
    }
}

fn trusting(authority: &CertifiedIssuer<'_, KeyPair>) -> Trust {
    Trust::Authority {
        pem: authority.pem().into_bytes(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_mined_at_over_tls() {
    let ca = authority("pool");
    let identity = Identity::signed(&named(HOST), &ca);
    let (pipes, mut accepted) = pipes(65_536);
    let connector = PoolConnector::new(pipes).with_tls(trusting(&ca)).unwrap();
    let mut settings = config();
    settings.url = format!("stratum+tls://{HOST}:443").parse().unwrap();
    let mut rig = Rig::start(settings, connector);
    let acceptor = identity.acceptor(BOTH);
    let stream = acceptor.accept(accepted.recv().await.unwrap()).await;
    let mut pool = Played::new(stream.unwrap());
    pool.welcome().await;
    let job = rig.job().await;
    rig.shares.send(share(&job, 7)).await.unwrap();
    let submit = pool.hear().await;
    assert_eq!(submit["method"], "mining.submit");
    pool.say(&json!({"id": submit["id"], "result": true, "error": null}))
        .await;
    rig.event(|event| matches!(event, Event::ShareAccepted(_)))
        .await;
    // Without the farewell of TLS, as many servers do.
    drop(pool);
    let gone = rig.event(|event| matches!(event, Event::Disconnected { .. }));
    assert!(matches!(
        gone.await,
        Event::Disconnected {
            reason: Reason::PeerClosed,
            ..
        }
    ));
}

#[tokio::test(start_paused = true)]
async fn both_versions_of_tls_are_spoken_and_the_name_is_sent() {
    let ca = authority("pool");
    let identity = Identity::signed(&named(HOST), &ca);
    for version in [&version::TLS13, &version::TLS12] {
        let (client, server) = shake(&identity, trusting(&ca), HOST, &[version]).await;
        assert!(client.is_ok());
        let server = server.unwrap();
        let (_, connection) = server.get_ref();
        assert_eq!(connection.protocol_version(), Some(version.version));
        assert_eq!(connection.server_name(), Some(HOST));
    }
}

#[tokio::test(start_paused = true)]
async fn through_a_proxy_the_server_is_checked_and_not_the_proxy() {
    let ca = authority("pool");
    let identity = Identity::signed(&named(HOST), &ca);
    let (pipes, mut accepted) = pipes(65_536);
    let connector = PoolConnector::new(pipes)
        .with_proxy("socks5://proxy.example:9050".parse().unwrap())
        .with_tls(trusting(&ca))
        .unwrap();
    let acceptor = identity.acceptor(BOTH);
    let serve = async {
        let mut stream = accepted.recv().await.unwrap();
        let asked = serve(&mut stream, &Manners::default()).await;
        assert_eq!(asked.unwrap().host, HOST);
        acceptor.accept(stream).await
    };
    let (client, server) = tokio::join!(connector.connect(HOST, 443), serve);
    assert!(client.is_ok());
    assert_eq!(server.unwrap().get_ref().1.server_name(), Some(HOST));
}

#[tokio::test(start_paused = true)]
async fn an_address_is_checked_as_an_address_and_not_sent_as_a_name() {
    let ca = authority("pool");
    for address in ["192.0.2.7", "2001:db8::7"] {
        let identity = Identity::signed(&named(address), &ca);
        let (client, server) = shake(&identity, trusting(&ca), address, BOTH).await;
        assert!(client.is_ok());
        assert_eq!(server.unwrap().get_ref().1.server_name(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_through_an_intermediate_is_followed() {
    let root = authority("root");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "middle");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let middle = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &*root).unwrap();
    let mut identity = Identity::signed(&named(HOST), &middle);
    identity.chain.push(middle.der().clone());
    let (client, _) = shake(&identity, trusting(&root), HOST, BOTH).await;
    assert!(client.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_issuer_is_refused_with_both_ways_out() {
    let identity = Identity::signed(&named(HOST), &authority("theirs"));
    let said = refusal(&identity, trusting(&authority("ours"))).await;
    assert!(said.contains("tls.ca"), "{said}");
    let pin = format!("tls.fingerprint = \"{}\"", identity.fingerprint());
    assert!(said.contains(&pin), "{said}");
}

#[tokio::test(start_paused = true)]
async fn the_dates_of_a_certificate_are_told_with_the_clock() {
    let ca = authority("pool");
    let old = Identity::signed(&lasting(named(HOST), 2001, 2002), &ca);
    let said = refusal(&old, trusting(&ca)).await;
    assert!(
        said.contains("ran out at 2002-01-01 00:00:00 UTC"),
        "{said}"
    );
    assert!(said.contains("clock of this computer shows 20"), "{said}");
    let coming = Identity::signed(&lasting(named(HOST), 2190, 2191), &ca);
    let said = refusal(&coming, trusting(&ca)).await;
    assert!(said.contains("valid at 2190-01-01 00:00:00 UTC"), "{said}");
    assert!(said.contains("the clock is slow"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_for_another_name_is_refused_with_both_names() {
    let ca = authority("pool");
    let identity = Identity::signed(&named("us.pool.example"), &ca);
    let said = refusal(&identity, trusting(&ca)).await;
    assert!(said.contains("us.pool.example"), "{said}");
    assert!(said.contains("not for eu.pool.example"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_pinned_certificate_needs_neither_name_nor_date_nor_issuer() {
    let identity = Identity::self_signed(&lasting(named("elsewhere.example"), 2001, 2002));
    let pin = Trust::Fingerprint(identity.fingerprint());
    for version in [&version::TLS13, &version::TLS12] {
        let (client, server) = shake(&identity, pin.clone(), HOST, &[version]).await;
        assert!(client.is_ok() && server.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_pin_takes_no_other_certificate_however_good() {
    let good = Identity::self_signed(&named(HOST));
    let wanted = Fingerprint::from_bytes([7; 32]);
    let said = refusal(&good, Trust::Fingerprint(wanted)).await;
    assert!(said.contains(&good.fingerprint().to_string()), "{said}");
    assert!(said.contains(&wanted.to_string()), "{said}");
}

/// A server that shows somebody else's certificate, without the key to it.
#[tokio::test(start_paused = true)]
async fn a_copied_certificate_is_worth_nothing_without_its_key() {
    #[derive(Debug)]
    struct Copied(Arc<tokio_rustls::rustls::sign::CertifiedKey>);
    impl tokio_rustls::rustls::server::ResolvesServerCert for Copied {
        fn resolve(
            &self,
            _: tokio_rustls::rustls::server::ClientHello<'_>,
        ) -> Option<Arc<tokio_rustls::rustls::sign::CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }
    let pool = Identity::self_signed(&named(HOST));
    let thief = KeyPair::generate().unwrap();
    let key = PrivateKeyDer::try_from(thief.serialize_der()).unwrap();
    let key = ring::sign::any_supported_type(&key).unwrap();
    let copied = tokio_rustls::rustls::sign::CertifiedKey::new(pool.chain.clone(), key);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(BOTH)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Copied(Arc::new(copied))));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (pipes, mut accepted) = pipes(65_536);
    let connector = PoolConnector::new(pipes)
        .with_tls(Trust::Fingerprint(pool.fingerprint()))
        .unwrap();
    let serve = async move { acceptor.accept(accepted.recv().await.unwrap()).await };
    let (client, _) = tokio::join!(connector.connect(HOST, 443), serve);
    assert!(client.is_err());
}

/// What is said about a server that does not speak TLS.
async fn no_tls(
    serve: impl AsyncFnOnce(DuplexStream) -> Option<DuplexStream>,
) -> (String, Duration) {
    let (pipes, mut accepted) = pipes(65_536);
    let connector = PoolConnector::new(pipes)
        .with_tls(Trust::Fingerprint(Fingerprint::from_bytes([0; 32])))
        .unwrap();
    let begun = tokio::time::Instant::now();
    let serve = async { serve(accepted.recv().await.unwrap()).await };
    let (client, _kept) = tokio::join!(connector.connect(HOST, 3333), serve);
    let error = client.err().expect("no TLS");
    match stratum::transport::connect_failure(error) {
        Reason::WrongProtocol(said) => (said, begun.elapsed()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn plain_servers_on_a_tls_url_are_named_as_such() {
    let answer = async |mut stream: DuplexStream| {
        let mut hello = [0; 64];
        stream.read_exact(&mut hello).await.unwrap();
        let line = b"{\"id\":null,\"result\":null,\"error\":\"parse error\"}\n";
        stream.write_all(line).await.unwrap();
        Some(stream)
    };
    let (said, _) = no_tls(answer).await;
    assert!(said.contains("does not answer with TLS"), "{said}");
    assert!(
        said.contains("stratum+tcp://eu.pool.example:3333"),
        "{said}"
    );

    let (said, _) = no_tls(async |_| None).await;
    assert!(said.contains("closed the connection"), "{said}");
    assert!(
        said.contains("stratum+tcp://eu.pool.example:3333"),
        "{said}"
    );

    let (said, after) = no_tls(async |stream| Some(stream)).await;
    assert!(said.contains("within 10s"), "{said}");
    assert_eq!(after, Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_tls_server_on_a_plain_url_is_named_as_such() {
    let identity = Identity::self_signed(&named(HOST));
    let (pipes, mut accepted) = pipes(65_536);
    let mut rig = Rig::start(config(), pipes);
    let acceptor = identity.acceptor(BOTH);
    let stream = acceptor.accept(accepted.recv().await.unwrap()).await;
    assert!(stream.is_err());
    let event = rig
        .event(|event| matches!(event, Event::Disconnected { .. }))
        .await;
    let Event::Disconnected { reason, .. } = event else {
        unreachable!()
    };
    let said = reason.to_string();
    assert!(matches!(reason, Reason::WrongProtocol(_)), "{said}");
    assert!(
        said.contains("stratum+tls://eu.pool.example:3333"),
        "{said}"
    );
}

#[test]
fn files_that_hold_no_usable_certificate_are_refused() {
    let connector = |pem: &[u8]| {
        let trust = Trust::Authority { pem: pem.to_vec() };
        PoolConnector::new(TcpConnector::default()).with_tls(trust)
    };
    let error = |pem: &[u8]| connector(pem).map(|_| ()).unwrap_err();
    assert_eq!(error(b""), TrustError::NoCertificate);
    assert_eq!(error(b"\x30\x82\x01\x0a"), TrustError::NoCertificate);
    let key = KeyPair::generate().unwrap().serialize_pem();
    assert_eq!(error(key.as_bytes()), TrustError::NoCertificate);
    let cut = b"-----BEGIN CERTIFICATE-----\nMIIB\n";
    assert!(matches!(error(cut), TrustError::Pem(_)));
    let empty = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        error(empty),
        TrustError::Certificate { index: 1, .. }
    ));
    let good = authority("pool").pem();
    assert!(connector(good.as_bytes()).is_ok());
}

/// Stores where each connection leads.
type Dialled = Arc<Mutex<Vec<String>>>;

#[tokio::test(start_paused = true)]
async fn a_redirect_is_checked_under_its_own_name() {
    let ca = authority("pool");
    let identity = Identity::signed(&named(HOST), &ca);
    let seen = Dialled::default();
    let (ends, mut accepted) = tokio::sync::mpsc::unbounded_channel();
    let dialled = Arc::clone(&seen);
    let pipes = Pipes::new(move |host, _| {
        dialled.lock().unwrap().push(host.to_owned());
        let (ours, theirs) = tokio::io::duplex(65_536);
        ends.send(theirs).map_err(io::Error::other)?;
        Ok(Box::new(ours))
    });
    let connector = PoolConnector::new(pipes).with_tls(trusting(&ca)).unwrap();
    let mut rig = Rig::start(config(), connector);
    let acceptor = identity.acceptor(BOTH);
    let stream = acceptor.accept(accepted.recv().await.unwrap()).await;
    let mut pool = Played::new(stream.unwrap());
    pool.welcome().await;
    rig.job().await;
    pool.say(
        &json!({"id": null, "method": "client.reconnect", "params": ["us.pool.example", 443, 0]}),
    )
    .await;
    // The sister host shows the certificate of the first one.
    let stream = acceptor.accept(accepted.recv().await.unwrap()).await;
    let event = rig
        .event(|event| {
            matches!(event, Event::Disconnected { reason, .. } if *reason != Reason::Reconnect)
        })
        .await;
    drop(stream);
    assert_eq!(*seen.lock().unwrap(), [HOST, "us.pool.example"]);
    let Event::Disconnected { reason, .. } = event else {
        unreachable!()
    };
    assert!(
        reason.to_string().contains("not for us.pool.example"),
        "{reason}"
    );
}

/// Runs a test of this file alone, in a process with other authorities.
fn in_a_process_with(authorities: &Path, test: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored"])
        .env("SSL_CERT_FILE", authorities)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

/// Where the authority of the test stands, and its key beside it.
fn authority_files() -> [PathBuf; 2] {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    ["authority.pem", "authority.key.pem"].map(|name| folder.join(name))
}

#[test]
fn the_authorities_of_the_system_are_used_by_default() {
    let ca = authority("test");
    let [certificate, key] = authority_files();
    std::fs::write(&certificate, ca.pem()).unwrap();
    std::fs::write(key, ca.key().serialize_pem()).unwrap();
    in_a_process_with(
        &certificate,
        "with_the_authority_of_the_test_as_the_system_s",
    );
}

#[test]
fn a_system_without_authorities_says_so() {
    in_a_process_with(Path::new("/dev/null"), "without_authorities");
}

#[test]
#[ignore = "run by the_authorities_of_the_system_are_used_by_default"]
fn with_the_authority_of_the_test_as_the_system_s() {
    let [_, key] = authority_files();
    let key = KeyPair::from_pem(&std::fs::read_to_string(key).unwrap()).unwrap();
    let ca = authority_with("test", key);
    let identity = Identity::signed(&named(HOST), &ca);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (client, _) = runtime.block_on(shake(&identity, Trust::System, HOST, BOTH));
    assert!(client.is_ok(), "{:?}", client.err());
}

#[test]
#[ignore = "run by a_system_without_authorities_says_so"]
fn without_authorities() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (pipes, _accepted) = pipes(65_536);
        let connector = PoolConnector::new(pipes).with_tls(Trust::System).unwrap();
        let error = connector.connect(HOST, 443).await.err().unwrap();
        let said = error.to_string();
        assert!(
            said.contains("ca-certificates") && said.contains("tls.ca"),
            "{said}"
        );
    });
}

#[tokio::test]
async fn a_real_socket_carries_tls_as_well() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let ca = authority("pool");
    let identity = Identity::signed(&named("localhost"), &ca);
    let connector = PoolConnector::new(TcpConnector::default())
        .with_tls(trusting(&ca))
        .unwrap();
    let acceptor = identity.acceptor(BOTH);
    let serve = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(stream).await.unwrap();
        stream.write_all(b"hello\n").await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let (client, _server) = tokio::join!(connector.connect("localhost", port), serve);
    let mut heard = [0; 6];
    client.unwrap().read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"hello\n");
}
