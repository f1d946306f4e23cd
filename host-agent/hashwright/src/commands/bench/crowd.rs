//! A crowd at the API of an agent: open dashboards, connections that ask nothing, and requests that are
//! wrong in every way. It has a thread of its own, so that it does not stand in the way of who measures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::asking::{Http, JSON, post, websocket};

/// What an open dashboard subscribes to.
const FEEDS: [&str; 3] = [
    "telemetry.subscribe",
    "events.subscribe",
    "shares.subscribe",
];
/// Connections that send wrong requests.
const SENDERS: u32 = 8;
/// Whoever was turned away comes back after that.
const COME_BACK: Duration = Duration::from_secs(2);
/// Closed sooner than that, a connection has never been admitted.
const ADMITTED: Duration = Duration::from_millis(500);
/// Time for all to be there.
const GATHER: Duration = Duration::from_secs(10);

/// How many of each.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Size {
    /// Open dashboards.
    pub(super) dashboards: u32,
    /// Connections that ask nothing; whoever is turned away tries again.
    pub(super) idle: u32,
    /// Wrong requests each second.
    pub(super) bad_per_second: u32,
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Fate {
    /// Messages of subscriptions.
    pub(super) messages: u64,
    pub(super) message_bytes: u64,
    /// Dashboards that were cut off.
    pub(super) dashboards_lost: u64,
    /// Idle connections that were turned away at once.
    pub(super) idle_refused: u64,
    /// Wrong requests that were answered, whatever the status.
    pub(super) bad_answered: u64,
    /// Wrong requests whose connection was closed without an answer.
    pub(super) bad_cut_off: u64,
}

impl Fate {
    /// What has happened since.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            messages: self.messages - before.messages,
            message_bytes: self.message_bytes - before.message_bytes,
            dashboards_lost: self.dashboards_lost - before.dashboards_lost,
            idle_refused: self.idle_refused - before.idle_refused,
            bad_answered: self.bad_answered - before.bad_answered,
            bad_cut_off: self.bad_cut_off - before.bad_cut_off,
        }
    }
}

#[derive(Debug, Default)]
struct Counts {
    there: AtomicU64,
    messages: AtomicU64,
    message_bytes: AtomicU64,
    dashboards_lost: AtomicU64,
    idle_refused: AtomicU64,
    bad_answered: AtomicU64,
    bad_cut_off: AtomicU64,
}

/// A crowd; it goes home when this is dropped.
#[derive(Debug)]
pub(super) struct Crowd {
    counts: Arc<Counts>,
    _stop: oneshot::Sender<()>,
}

impl Crowd {
    /// Gathers; the dashboards are open when this returns.
    pub(super) async fn gather(address: SocketAddr, size: Size) -> anyhow::Result<Self> {
        let limit = getrlimit(Resource::Nofile);
        let more = Rlimit {
            current: limit.maximum,
            ..limit
        };
        setrlimit(Resource::Nofile, more).context("cannot have more files open")?;
        let counts = Arc::new(Counts::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let theirs = counts.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                come(address, size, &theirs).await;
                let _ = stopped.await;
            });
            std::io::Result::Ok(())
        });
        let since = Instant::now();
        while counts.there.load(Ordering::Relaxed) < size.dashboards.into() {
            anyhow::ensure!(since.elapsed() < GATHER, "not all dashboards can be opened");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self {
            counts,
            _stop: stop,
        })
    }

    /// What has become of them up to now.
    pub(super) fn fate(&self) -> Fate {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.counts;
        Fate {
            messages: read(&counts.messages),
            message_bytes: read(&counts.message_bytes),
            dashboards_lost: read(&counts.dashboards_lost),
            idle_refused: read(&counts.idle_refused),
            bad_answered: read(&counts.bad_answered),
            bad_cut_off: read(&counts.bad_cut_off),
        }
    }
}

/// Dashboards first, so that the others do not have their seats.
async fn come(address: SocketAddr, size: Size, counts: &Arc<Counts>) {
    for _ in 0..size.dashboards {
        let counts = counts.clone();
        tokio::spawn(async move {
            let _ = dashboard(address, &counts).await;
            counts.dashboards_lost.fetch_add(1, Ordering::Relaxed);
        });
    }
    let all = Instant::now();
    while counts.there.load(Ordering::Relaxed) < size.dashboards.into() && all.elapsed() < GATHER {
        sleep(Duration::from_millis(10)).await;
    }
    if size.bad_per_second > 0 {
        let gap = Duration::from_secs(1) * SENDERS / size.bad_per_second;
        for sender in 0..SENDERS {
            tokio::spawn(send_wrong(address, sender as usize, gap, counts.clone()));
        }
        sleep(Duration::from_millis(100)).await;
    }
    for _ in 0..size.idle {
        tokio::spawn(idle(address, counts.clone()));
    }
}

async fn dashboard(address: SocketAddr, counts: &Counts) -> anyhow::Result<()> {
    let mut socket = websocket(address).await?;
    for (id, feed) in FEEDS.iter().enumerate() {
        let call = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{feed}","params":{{}}}}"#);
        socket.send(Message::text(call)).await?;
    }
    counts.there.fetch_add(1, Ordering::Relaxed);
    while let Some(message) = socket.next().await {
        let length = message?.len() as u64;
        counts.messages.fetch_add(1, Ordering::Relaxed);
        counts.message_bytes.fetch_add(length, Ordering::Relaxed);
    }
    Ok(())
}

async fn idle(address: SocketAddr, counts: Arc<Counts>) {
    loop {
        let since = Instant::now();
        if let Ok(mut stream) = TcpStream::connect(address).await {
            let _ = stream.read(&mut [0; 64]).await;
        }
        if since.elapsed() < ADMITTED {
            counts.idle_refused.fetch_add(1, Ordering::Relaxed);
        }
        sleep(COME_BACK).await;
    }
}

async fn send_wrong(address: SocketAddr, first: usize, gap: Duration, counts: Arc<Counts>) {
    let requests = wrong_requests(address);
    let mut connection = None;
    for request in requests.iter().cycle().skip(first) {
        let start = Instant::now();
        let answered = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => Http::connect(address).await?,
            };
            open.exchange(request).await?;
            anyhow::Ok(open)
        };
        let count = match timeout(GATHER, answered).await {
            Ok(Ok(open)) => {
                connection = Some(open);
                &counts.bad_answered
            }
            _ => &counts.bad_cut_off,
        };
        count.fetch_add(1, Ordering::Relaxed);
        sleep(gap.saturating_sub(start.elapsed())).await;
    }
}

fn wrong_requests(address: SocketAddr) -> Vec<Vec<u8>> {
    let call = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
    };
    let status = call("miner.status", "{}");
    let batch = format!("[{}]", vec![status.as_str(); 200].join(","));
    let token = format!("{JSON}Authorization: Bearer hw_of_somebody_else\r\n");
    vec![
        post(address, JSON, r#"{"jsonrpc":"2.0","id":1,"meth"#),
        post(address, JSON, &call("miner.explode", "{}")),
        post(address, JSON, &call("history.query", r#"{"last_s":"x"}"#)),
        post(address, JSON, &call("miner.pause", "{}")),
        post(address, JSON, &"[".repeat(20_000)),
        post(address, JSON, &batch),
        post(address, "Content-Type: text/plain\r\n", &status),
        post(address, "Origin: http://elsewhere.example\r\n", &status),
        post(address, &token, &status),
        format!("POST /rpc HTTP/1.1\r\nHost: {address}\r\n{JSON}Content-Length: 99999999\r\n\r\n")
            .into(),
        b"POST /rpc HTTP/1.1\r\nHost: elsewhere.example\r\nContent-Length: 0\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
    ]
}
