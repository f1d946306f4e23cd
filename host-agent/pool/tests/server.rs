//! The tokio shell: over a real socket, and over in-memory pipes in paused time, where hours take no
//! time at all.

mod common;

use common::{easy, with_quirks};
use pool::{Event, JobTemplate, PoolConfig, PoolCore, PoolHandle, REGTEST_NBITS, embed, serve};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// A client that speaks lines.
struct Client<S> {
    stream: BufReader<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, id: u64, method: &str, params: Value) {
        let line = json!({"id": id, "method": method, "params": params}).to_string() + "\n";
        self.stream
            .write_all(line.as_bytes())
            .await
            .expect("an open connection");
    }

    /// The next message, or `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            let count = self.stream.read_line(&mut line).await.expect("text");
            if count == 0 {
                return None;
            }
            if !line.trim().is_empty() {
                return Some(serde_json::from_str(&line).expect("JSON"));
            }
        }
    }

    async fn until(&mut self, method: &str) -> Value {
        loop {
            let message = self.next().await.expect("more messages");
            if message["method"] == method {
                return message;
            }
        }
    }

    async fn start(&mut self) -> JobTemplate {
        self.send(1, "mining.subscribe", json!(["tester/1"])).await;
        self.send(2, "mining.authorize", json!(["worker.1", "x"]))
            .await;
        let notify = self.until("mining.notify").await;
        JobTemplate::from_notify(notify["params"].as_array().expect("a list")).expect("a job")
    }
}

fn attach(pool: &PoolHandle) -> Client<DuplexStream> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    pool.attach(theirs);
    Client {
        stream: BufReader::new(ours),
    }
}

fn embedded(config: PoolConfig) -> (PoolHandle, mpsc::Receiver<Event>) {
    let (events, seen) = mpsc::channel(1000);
    let core = PoolCore::new(config).expect("a valid config");
    let (handle, driver) = embed(core, events);
    tokio::spawn(driver.run(std::future::pending()));
    (handle, seen)
}

#[tokio::test]
async fn a_share_is_accepted_over_tcp_and_stop_ends_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let core = PoolCore::new(PoolConfig {
        nbits: REGTEST_NBITS,
        ..easy()
    });
    let (events, mut seen) = mpsc::channel(100);
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let server = tokio::spawn(serve(listener, core.expect("valid"), events, stopped));
    let mut client = Client {
        stream: BufReader::new(TcpStream::connect(address).await.expect("a connection")),
    };
    let job = client.start().await;
    // Four hashes a share: some of a few hundred nonces must be good, and some not.
    let ntime = format!("{:08x}", job.ntime);
    let mut good = 0;
    for nonce in 0..200u64 {
        let nonce_text = format!("{nonce:08x}");
        let extranonce2 = "0000000000000000";
        let params = json!(["worker.1", job.id, extranonce2, ntime, nonce_text]);
        client.send(10 + nonce, "mining.submit", params).await;
        loop {
            let message = client.next().await.expect("an answer");
            if message["id"] == 10 + nonce {
                good += usize::from(message["result"] == true);
                break;
            }
        }
        if good > 0 {
            break;
        }
    }
    assert_eq!(good, 1);
    stop.send(()).expect("a running server");
    let stats = server.await.expect("no panic");
    assert_eq!((stats.accepted, stats.connects), (1, 1));
    assert_eq!(client.until_end().await, ());
    let mut accepted = 0;
    while let Some(event) = seen.recv().await {
        accepted += usize::from(matches!(event, Event::ShareAccepted { .. }));
    }
    assert_eq!(accepted, 1);
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn until_end(&mut self) {
        while self.next().await.is_some() {}
    }
}

#[tokio::test(start_paused = true)]
async fn hours_of_jobs_pass_at_once_in_paused_time() {
    let (pool, _events) = embedded(PoolConfig {
        idle_timeout: Duration::from_secs(100_000),
        ..PoolConfig::default()
    });
    let mut client = attach(&pool);
    let first = client.start().await;
    let mut last = first.clone();
    let mut jobs = 1;
    while last.ntime < first.ntime + 3 * 3600 {
        let notify = client.until("mining.notify").await;
        let params = notify["params"].as_array().expect("a list").clone();
        last = JobTemplate::from_notify(&params).expect("a job");
        jobs += 1;
    }
    // One job each 30 s, and each time vardiff makes the silent session's work easier.
    assert!(jobs >= 3 * 3600 / 30, "{jobs}");
    assert_eq!(pool.stats().blocks_seen, 18);
}

#[tokio::test(start_paused = true)]
async fn the_handle_asks_and_commands() {
    let (pool, mut events) = embedded(easy());
    let mut client = attach(&pool);
    let first = client.start().await;
    let connections = pool.connections().await;
    assert_eq!(connections[0].agent, "tester/1");
    assert_eq!(connections[0].workers, ["worker.1"]);
    pool.call(|core, now| core.force_block(now))
        .await
        .expect("a running pool");
    let notify = client.until("mining.notify").await;
    assert_ne!(notify["params"][1], first.to_notify()[1]);
    let id = connections[0].connection;
    pool.call(move |core, now| core.close(now, id))
        .await
        .expect("a running pool");
    client.until_end().await;
    loop {
        let event = events.recv().await.expect("events");
        if matches!(event, Event::Disconnected { connection, .. } if connection == id) {
            break;
        }
    }
    assert_eq!(pool.stats().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_is_noticed() {
    let (pool, _events) = embedded(easy());
    let mut client = attach(&pool);
    client.start().await;
    assert_eq!(pool.connections().await.len(), 1);
    drop(client);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(pool.connections().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_hung_up_on_and_others_go_on() {
    let (pool, _events) = embedded(PoolConfig {
        job_interval: Duration::from_secs(1),
        idle_timeout: Duration::from_secs(100_000),
        ..easy()
    });
    let mut deaf = attach(&pool);
    let mut other = attach(&pool);
    deaf.start().await;
    other.start().await;
    for _ in 0..2000 {
        other.until("mining.notify").await;
    }
    assert_eq!(pool.stats().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_pool_closes_new_connections() {
    let (pool, _events) = embedded(PoolConfig {
        max_connections: 1,
        ..easy()
    });
    let mut first = attach(&pool);
    first.start().await;
    let mut second = attach(&pool);
    assert_eq!(second.next().await, None);
    assert_eq!(pool.stats().refused_connections, 1);
}

#[tokio::test(start_paused = true)]
async fn slow_bytes_arrive_complete() {
    let (pool, _events) = embedded(with_quirks("slow-loris=50"));
    let mut client = attach(&pool);
    let begin = tokio::time::Instant::now();
    client.start().await;
    assert!(begin.elapsed() > Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn sessions_start_however_their_bytes_are_delivered() {
    for quirks in ["coalesced", "byte-by-byte", "huge-line=500", "crlf"] {
        let (pool, _events) = embedded(with_quirks(quirks));
        attach(&pool).start().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_pool_ends() {
    let (events, _seen) = mpsc::channel(10);
    let core = PoolCore::new(easy()).expect("a valid config");
    let (handle, driver) = embed(core, events);
    let driver = tokio::spawn(driver.run(std::future::pending()));
    drop(handle);
    driver.await.expect("no panic");
}
