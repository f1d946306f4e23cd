//! The listeners on loopback, with a state of their own and nobody who grants wishes.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Handle, Sources, start};
use crate::clock::Clock;
use crate::config::{Config, System};
use crate::events::EventLog;
use crate::settings::Settings;
use crate::shares::ShareLog;
use crate::state::{BoardStatus, Snapshot};
use crate::stop::{self, Stopper};

struct Running {
    handle: Handle,
    stopper: Stopper,
    events: EventLog,
    _state: watch::Sender<Arc<Snapshot>>,
}

async fn running(tables: &str) -> Running {
    let text = format!(
        "[[pool]]\nurl = \"stratum+tcp://pool.example:3333\"\nuser = \"me\"\n\
         [[board]]\nprofile = \"bitaxe-gamma\"\nuart = \"sim\"\n{tables}"
    );
    let config = Config::parse(Path::new("test.toml"), &text, &System).unwrap();
    let mut snapshot = Snapshot::default();
    snapshot.system.version = "0.1.0".to_owned();
    snapshot.boards.push(BoardStatus {
        chip: "BM1370".to_owned(),
        state: "mining".to_owned(),
        ..BoardStatus::default()
    });
    let (state_in, state) = watch::channel(Arc::new(snapshot));
    let (stopper, stop) = stop::channel();
    let events = EventLog::new(Clock::start());
    let sources = Sources {
        state,
        shares: ShareLog::default(),
        settings: Settings::detached(),
        events: events.clone(),
    };
    Running {
        handle: start(&config, sources, &stop).await,
        stopper,
        events,
        _state: state_in,
    }
}

/// Everything that comes back for these bytes.
async fn ask(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let asked = async {
        let mut socket = TcpStream::connect(address).await.unwrap();
        // Who is hung up on may not get to say all.
        let _ = socket.write_all(bytes).await;
        let mut reply = Vec::new();
        let _ = socket.read_to_end(&mut reply).await;
        reply
    };
    timeout(Duration::from_secs(20), asked).await.unwrap()
}

async fn http(address: SocketAddr, head: &str) -> String {
    let request = format!("{head}\r\nConnection: close\r\n\r\n");
    String::from_utf8(ask(address, request.as_bytes()).await).unwrap()
}

const CGMINER: &str = "[cgminer]\nlisten = \"127.0.0.1:0\"\n";
const AXEOS: &str = "[axeos]\nlisten = \"127.0.0.1:0\"\n";

#[tokio::test]
async fn one_request_one_reply_and_a_close() {
    let running = running(CGMINER).await;
    let address = running.handle.cgminer.unwrap();
    let reply = ask(address, b"version\n").await;
    assert!(reply.starts_with(b"STATUS=S,"));
    assert_eq!(reply.last(), Some(&0));
    let reply = ask(address, b"{\"command\":\"devs\"}{\"command\":\"pools\"}").await;
    assert!(String::from_utf8_lossy(&reply).contains("\"Code\":23"));
    running.stopper.stop();
    running.handle.stopped().await;
}

#[tokio::test]
async fn json_may_come_in_pieces() {
    let running = running(CGMINER).await;
    let mut socket = TcpStream::connect(running.handle.cgminer.unwrap())
        .await
        .unwrap();
    for piece in [&b"{\"comm"[..], b"and\":\"dev", b"s\"}"] {
        socket.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut reply = Vec::new();
    socket.read_to_end(&mut reply).await.unwrap();
    assert!(String::from_utf8_lossy(&reply).contains("\"DEVS\":[{"));
}

#[tokio::test]
async fn garbage_and_floods_leave_it_answering() {
    let running = running(CGMINER).await;
    let address = running.handle.cgminer.unwrap();
    ask(address, &vec![0xff; 200_000]).await;
    ask(address, &vec![b'{'; 100_000]).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    drop(idle);
    let mut tries = 0;
    while !ask(address, b"version").await.starts_with(b"STATUS=S") {
        // The idle ones have to be noticed first.
        tries += 1;
        assert!(tries < 100);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn who_is_not_listed_is_hung_up_on() {
    let allow = "allow = [\"192.0.2.1\"]\n";
    let running = running(&format!("{CGMINER}{allow}")).await;
    assert_eq!(ask(running.handle.cgminer.unwrap(), b"version").await, b"");
}

#[tokio::test]
async fn a_wish_that_is_not_granted_is_an_error() {
    let allow = "allow = [\"W:127.0.0.1\"]\n";
    let running = running(&format!("{CGMINER}{allow}")).await;
    let reply = ask(running.handle.cgminer.unwrap(), b"pause").await;
    assert!(
        reply.starts_with(b"STATUS=E,"),
        "{}",
        String::from_utf8_lossy(&reply)
    );
}

#[tokio::test]
async fn the_page_and_the_data_are_served() {
    let running = running(AXEOS).await;
    let address = running.handle.axeos.unwrap();
    let page = http(address, "GET / HTTP/1.1\r\nHost: 127.0.0.1").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("AxeOS"));
    assert!(!page.to_ascii_lowercase().contains("access-control"));
    let info = http(address, "GET /api/system/info HTTP/1.1\r\nHost: localhost").await;
    let body = info.split("\r\n\r\n").nth(1).unwrap();
    let info: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(info["ASICModel"], "BM1370");
}

#[tokio::test]
async fn strangers_and_writers_are_refused_over_http() {
    let running = running(AXEOS).await;
    let address = running.handle.axeos.unwrap();
    for (head, status) in [
        ("GET / HTTP/1.1\r\nHost: evil.example", "403"),
        (
            "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example",
            "403",
        ),
        (
            "POST /api/system/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0",
            "403",
        ),
        ("GET /api/ws HTTP/1.1\r\nHost: localhost", "404"),
        (
            "POST /api/system/OTA HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999",
            "501",
        ),
    ] {
        let reply = http(address, head).await;
        assert!(
            reply.starts_with(&format!("HTTP/1.1 {status}")),
            "{head}: {reply}"
        );
    }
}

#[tokio::test]
async fn listed_writers_get_the_answer_of_the_settings() {
    let from = "write_from = [\"127.0.0.1\"]\n";
    let running = running(&format!("{AXEOS}{from}")).await;
    let address = running.handle.axeos.unwrap();
    let pause = "POST /api/system/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0";
    let reply = http(address, pause).await;
    assert!(
        reply.starts_with("HTTP/1.1 400") && reply.contains("\"message\""),
        "{reply}"
    );
    let body = "x".repeat(20_000);
    let length = format!(
        "PATCH /api/system HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let reply = ask(address, length.as_bytes()).await;
    assert!(
        reply.starts_with(b"HTTP/1.1 413"),
        "{}",
        String::from_utf8_lossy(&reply)
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_the_other_listens() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("[cgminer]\nlisten = \"{}\"\n", taken.local_addr().unwrap());
    let running = running(&format!("{listen}{AXEOS}")).await;
    assert!(running.handle.cgminer.is_none() && running.handle.axeos.is_some());
    let told = running.events.after(0, 9);
    assert_eq!(told[0].notice.code, "port-missing");
    assert!(told[0].notice.text.contains("[cgminer] listen"));
}

#[tokio::test]
async fn without_their_tables_nothing_listens() {
    let running = running("").await;
    assert_eq!((running.handle.cgminer, running.handle.axeos), (None, None));
    running.handle.stopped().await;
}
