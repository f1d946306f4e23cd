//! Connections through a SOCKS5 proxy, against a server written after the standards.

mod support;

use std::io;
use std::time::Duration;

use stratum::Secret;
use stratum::transport::{Connector, PoolConnector, Proxy, Stream};
use support::played::{Played, pipes};
use support::rig::{Pipes, Rig};
use support::socks::{Asked, Manners, serve};
use support::{config, share};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

fn proxy() -> Proxy {
    "socks5://127.0.0.1:9050".parse().unwrap()
}

fn with_password() -> Proxy {
    proxy()
        .with_credentials("bob", Secret::new("hunter2"))
        .unwrap()
}

/// Connects to a host through a proxy with these manners.
async fn through(
    proxy: Proxy,
    host: &str,
    manners: Manners,
) -> (io::Result<Box<dyn Stream>>, Option<Asked>) {
    let (pipes, mut accepted) = pipes(65_536);
    let connector = PoolConnector::new(pipes.clone()).with_proxy(proxy);
    let serve = async {
        let mut stream = accepted.recv().await.unwrap();
        let asked = serve(&mut stream, &manners).await;
        (stream, asked)
    };
    let (opened, (stream, asked)) = tokio::join!(connector.connect(host, 3333), serve);
    assert_eq!(pipes.hosts(), ["127.0.0.1"], "nothing goes past the proxy");
    drop(stream);
    (opened, asked)
}

async fn refusal(proxy: Proxy, manners: Manners) -> io::Error {
    let (opened, _) = through(proxy, "eu.pool.example", manners).await;
    opened.err().expect("a refusal")
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_mined_at_through_a_proxy() {
    let (pipes, mut accepted) = pipes(65_536);
    let connector = PoolConnector::new(pipes).with_proxy(proxy());
    let mut rig = Rig::start(config(), connector);
    let mut stream = accepted.recv().await.unwrap();
    serve(&mut stream, &Manners::default()).await.unwrap();
    let mut pool = Played::new(stream);
    pool.welcome().await;
    let job = rig.job().await;
    rig.shares.send(share(&job, 7)).await.unwrap();
    assert_eq!(pool.hear().await["method"], "mining.submit");
}

#[tokio::test(start_paused = true)]
async fn names_go_to_the_proxy_as_they_are_and_addresses_as_addresses() {
    let onion = "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd.onion";
    for (host, seen) in [
        ("eu.pool.example", "eu.pool.example"),
        (onion, onion),
        ("192.0.2.1", "v4 192.0.2.1"),
        ("2001:db8::1", "v6 2001:db8::1"),
    ] {
        let (opened, asked) = through(proxy(), host, Manners::default()).await;
        assert!(opened.is_ok());
        let expected = Asked {
            host: seen.to_owned(),
            port: 3333,
            credentials: None,
        };
        assert_eq!(asked, Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn user_and_password_are_given_if_the_proxy_wants_them() {
    let wanted = Manners {
        method: 2,
        ..Manners::default()
    };
    let (opened, asked) = through(with_password(), "p.example", wanted.clone()).await;
    assert!(opened.is_ok());
    let given = asked.unwrap().credentials;
    assert_eq!(given, Some(("bob".to_owned(), "hunter2".to_owned())));
    let (opened, asked) = through(with_password(), "p.example", Manners::default()).await;
    assert!(opened.is_ok());
    assert_eq!(asked.unwrap().credentials, None);

    let error = refusal(proxy(), wanted.clone()).await;
    assert!(
        error.to_string().contains("wants a user and password"),
        "{error}"
    );
    let error = refusal(
        with_password(),
        Manners {
            takes_password: false,
            ..wanted
        },
    )
    .await;
    let said = error.to_string();
    assert!(said.contains("refused its user and password"), "{said}");
    assert!(!said.contains("hunter2"));
    let error = refusal(
        with_password(),
        Manners {
            method: 1,
            ..Manners::default()
        },
    )
    .await;
    assert!(error.to_string().contains("takes neither"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_the_pool_sends_at_once_is_not_lost_whatever_the_bound_address() {
    let v6 = [[4].as_slice(), &[0; 16]].concat();
    for bound in [vec![1, 10, 0, 0, 1], v6, b"\x03\x04here".to_vec()] {
        let manners = Manners {
            bound,
            behind: b"hello".to_vec(),
            ..Manners::default()
        };
        let (opened, _) = through(proxy(), "p.example", manners).await;
        let mut heard = Vec::new();
        opened.unwrap().read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"hello");
    }
}

#[tokio::test(start_paused = true)]
async fn each_refusal_has_its_words() {
    for (reply, words) in [
        (1, "it failed"),
        (2, "rules forbid"),
        (3, "no way to that network"),
        (4, "cannot reach or look up"),
        (5, "nothing listens there"),
        (6, "no answer came in time"),
        (7, "opens no connections"),
        (8, "kind of address"),
        (0xf0, "no such onion service"),
        (0xf4, "authorised clients"),
        (0xf7, "did not answer in time"),
        (0x77, "code 119"),
    ] {
        let manners = Manners {
            reply,
            ..Manners::default()
        };
        let said = refusal(proxy(), manners).await.to_string();
        assert!(
            said.contains(words) && said.contains("eu.pool.example"),
            "{said}"
        );
    }
}

/// What is said about something that is no SOCKS5 proxy.
async fn no_proxy(serve: impl AsyncFnOnce(DuplexStream) -> Option<DuplexStream>) -> String {
    let (pipes, mut accepted) = pipes(65_536);
    let connector = PoolConnector::new(pipes).with_proxy(proxy());
    let serve = async { serve(accepted.recv().await.unwrap()).await };
    let (opened, _kept) = tokio::join!(connector.connect("eu.pool.example", 3333), serve);
    opened.err().expect("no proxy").to_string()
}

#[tokio::test(start_paused = true)]
async fn what_is_no_socks5_proxy_is_named_as_such() {
    for (answer, words) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), "HTTP"),
        (b"\x00\x5b\x00\x00\x00\x00\x00\x00", "SOCKS4"),
        (b"220 mail ready\r\n", "something else"),
    ] {
        let said = no_proxy(async |mut stream: DuplexStream| {
            stream.write_all(answer).await.unwrap();
            Some(stream)
        })
        .await;
        assert!(
            said.contains("socks5://127.0.0.1:9050 is no SOCKS5"),
            "{said}"
        );
        assert!(said.contains(words), "{said}");
    }
    let said = no_proxy(async |_| None).await;
    assert!(said.contains("closed the connection"), "{said}");
    let begun = Instant::now();
    let said = no_proxy(async |stream| Some(stream)).await;
    assert!(said.contains("within 25s"), "{said}");
    assert_eq!(begun.elapsed(), Duration::from_secs(25));
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_down_is_blamed_and_not_the_pool() {
    let pipes = Pipes::new(|_, _| Err(io::ErrorKind::ConnectionRefused.into()));
    let connector = PoolConnector::new(pipes).with_proxy(proxy());
    let error = connector.connect("eu.pool.example", 3333).await;
    let said = error.err().unwrap().to_string();
    assert!(
        said.starts_with("the proxy socks5://127.0.0.1:9050: "),
        "{said}"
    );
}
