//! The tokio side: attempts and waits, one write for a message, deadlines, a real socket.

mod support;

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::{Value, json};
use stratum::Event;
use stratum::transport::{Stream, TcpConnector};
use support::played::{Played, pipes};
use support::rig::{Pipes, Rig};
use support::{NotifyParts, config, notify, share};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;

fn is_disconnected(event: &Event) -> bool {
    matches!(event, Event::Disconnected { .. })
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_cannot_be_reached_is_tried_ever_more_rarely() {
    let pipes = Pipes::new(|_, _| Err(io::ErrorKind::ConnectionRefused.into()));
    let rig = Rig::start(config(), pipes.clone());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let attempts = pipes.attempts();
    assert_eq!(attempts[0], Duration::ZERO);
    assert!((60..=130).contains(&attempts.len()), "{}", attempts.len());
    let (session, events) = rig.stop().await;
    assert!(events.iter().any(is_disconnected));
    assert!(session.stats().problem.unwrap().contains("cannot connect"));
}

#[tokio::test(start_paused = true)]
async fn a_share_is_on_the_wire_in_the_moment_it_is_found() {
    let (pipes, mut accepted) = pipes(65_536);
    let mut rig = Rig::start(config(), pipes);
    let mut pool = Played::new(accepted.recv().await.unwrap());
    pool.welcome().await;
    let job = rig.job().await;
    let found = Instant::now();
    rig.shares.send(share(&job, 7)).await.unwrap();
    let submit = pool.hear().await;
    assert_eq!(submit["method"], "mining.submit");
    assert_eq!(found.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(40)).await;
    pool.say(&json!({"id": submit["id"], "result": true, "error": null}))
        .await;
    let event = rig.event(|e| matches!(e, Event::ShareAccepted(_))).await;
    let Event::ShareAccepted(receipt) = event else {
        unreachable!()
    };
    assert_eq!(receipt.latency, Duration::from_millis(40));
    assert_eq!(rig.stats.borrow().accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn the_job_is_withdrawn_when_the_session_stops() {
    let (pipes, mut accepted) = pipes(65_536);
    let mut rig = Rig::start(config(), pipes);
    let mut pool = Played::new(accepted.recv().await.unwrap());
    pool.welcome().await;
    rig.job().await;
    let jobs = rig.jobs.clone();
    let (_, events) = rig.stop().await;
    assert!(jobs.borrow().is_none());
    assert!(events.contains(&Event::NoJob));
    assert!(pool.has_hung_up().await);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_reads_nothing_is_left() {
    // Even the first request does not fit.
    let (pipes, mut accepted) = pipes(16);
    let mut rig = Rig::start(config(), pipes);
    let deaf = accepted.recv().await.unwrap();
    let begun = Instant::now();
    let event = rig.event(is_disconnected).await;
    let Event::Disconnected { reason, .. } = event else {
        unreachable!()
    };
    assert!(reason.to_string().contains("took no data"), "{reason}");
    assert!(begun.elapsed() < Duration::from_secs(15));
    drop(deaf);
}

#[tokio::test(start_paused = true)]
async fn writes_that_block_do_not_keep_from_reading() {
    // Both sides have more to say than the pipe holds.
    let (pipes, mut accepted) = pipes(64);
    let mut rig = Rig::start(config(), pipes);
    let mut pool = Played::new(accepted.recv().await.unwrap());
    let banner = json!({"method": "client.show_message", "params": ["x".repeat(200)]});
    pool.say(&banner).await;
    pool.welcome().await;
    assert_eq!(rig.job().await.id, "a");
}

#[tokio::test(start_paused = true)]
async fn events_that_nobody_takes_delay_nothing() {
    let (pipes, mut accepted) = pipes(65_536);
    let mut rig = Rig::start(config(), pipes);
    let mut pool = Played::new(accepted.recv().await.unwrap());
    pool.welcome().await;
    let message = json!({"method": "client.show_message", "params": ["hello"]});
    for _ in 0..6000 {
        pool.say(&message).await;
    }
    pool.say(&notify("b", &NotifyParts::default())).await;
    let newest = rig
        .jobs
        .wait_for(|job| job.as_ref().is_some_and(|job| job.id == "b"));
    assert!(newest.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_session_goes_on_when_the_miner_is_gone() {
    let (pipes, mut accepted) = pipes(65_536);
    let mut rig = Rig::start(config(), pipes);
    let (unused, _) = mpsc::channel(1);
    drop(std::mem::replace(&mut rig.shares, unused));
    let mut pool = Played::new(accepted.recv().await.unwrap());
    pool.welcome().await;
    assert_eq!(rig.job().await.id, "a");
}

/// Counts the writes that go through it.
struct Counting {
    stream: DuplexStream,
    writes: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.lock().unwrap().push(bytes.to_vec());
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn each_message_is_one_write() {
    let writes: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let (ends, mut accepted) = mpsc::unbounded_channel();
    let seen = Arc::clone(&writes);
    let pipes = Pipes::new(move |_, _| {
        let (stream, theirs) = duplex(65_536);
        ends.send(theirs).map_err(io::Error::other)?;
        let writes = Arc::clone(&seen);
        Ok(Box::new(Counting { stream, writes }) as Box<dyn Stream>)
    });
    let mut rig = Rig::start(config(), pipes);
    let mut pool = Played::new(accepted.recv().await.unwrap());
    pool.welcome().await;
    let job = rig.job().await;
    for nonce in 0..5 {
        rig.shares.send(share(&job, nonce)).await.unwrap();
        pool.hear().await;
    }
    let writes = writes.lock().unwrap();
    assert_eq!(writes.len(), 3 + 5);
    for write in writes.iter() {
        assert!(serde_json::from_slice::<Value>(write).is_ok());
        assert_eq!(write.last(), Some(&b'\n'));
    }
}

#[tokio::test]
async fn a_real_socket_carries_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut config = config();
    config.url = format!("stratum+tcp://127.0.0.1:{port}").parse().unwrap();
    let mut rig = Rig::start(config, TcpConnector::default());
    let (stream, _) = listener.accept().await.unwrap();
    let mut pool = Played::new(stream);
    pool.welcome().await;
    let job = rig.job().await;
    rig.shares.send(share(&job, 7)).await.unwrap();
    assert_eq!(pool.hear().await["method"], "mining.submit");
    drop(pool);
    let event = rig.event(is_disconnected).await;
    assert!(matches!(
        event,
        Event::Disconnected {
            retry_in: Some(_),
            ..
        }
    ));
    rig.stop().await;
}
