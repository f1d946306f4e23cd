//! The tokio shell of the Stratum V2 pool, and what hostile bytes do to it.
#![cfg(feature = "sv2")]

#[path = "common/v2.rs"]
mod common;

use common::*;
use parsers_sv2::{AnyMessageOwned, MiningOwned};
use pool::ConnectionId;
use pool::v2::{CloseReason, Config, Core, Event, Handle, embed, serve};
use proptest::prelude::*;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// The foreign miner on a byte stream.
struct Client<S> {
    miner: Miner,
    stream: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(stream: S, config: &Config) -> Client<S> {
        let key = Some(config.authority.public_bytes());
        let miner = Miner::new(ConnectionId(1), key, config.unix_start as u32);
        Client { miner, stream }
    }

    async fn send(&mut self, message: AnyMessageOwned) {
        let bytes = self.miner.seal(frame(message));
        self.stream.write_all(&bytes).await.expect("an open stream");
    }

    /// Reads until the wish is fulfilled.
    async fn until(&mut self, wish: impl Fn(&Miner) -> bool) {
        while !wish(&self.miner) {
            let mut buffer = [0; 1000];
            let count = self.stream.read(&mut buffer).await.expect("bytes");
            assert!(count > 0, "closed: {:?}", self.miner.got);
            self.miner.raw.extend(&buffer[..count]);
            self.miner.digest();
            assert_eq!(self.miner.broken, None);
        }
    }

    async fn start(&mut self) -> u32 {
        let hello = self.miner.hello();
        self.stream.write_all(&hello).await.expect("an open stream");
        self.until(|miner| miner.answer_size == 234).await;
        self.send(setup(VERSION_ROLLING)).await;
        self.until(|miner| !miner.got.is_empty()).await;
        let open = mining_sv2::OpenExtendedMiningChannelOwned {
            request_id: 1,
            user_identity: text("lab.worker"),
            nominal_hash_rate: 1e6,
            max_target: [0xff; 32].into(),
            min_extranonce_size: 4,
        };
        self.send(AnyMessageOwned::Mining(
            MiningOwned::OpenExtendedMiningChannel(open),
        ))
        .await;
        let ready = |miner: &Miner| {
            let last = miner.got.last();
            matches!(last, Some(Got::Mining(MiningOwned::SetNewPrevHash(_))))
        };
        self.until(ready).await;
        2
    }

    async fn share(&mut self, channel: u32, sequence_number: u32) {
        let share = self.miner.mine(channel);
        let message = mining_sv2::SubmitSharesExtendedOwned {
            channel_id: channel,
            sequence_number,
            job_id: share.job_id,
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
            extranonce: share.extranonce.try_into().expect("16 bytes"),
        };
        self.send(AnyMessageOwned::Mining(MiningOwned::SubmitSharesExtended(
            message,
        )))
        .await;
        self.miner.got.clear();
        let answered = |miner: &Miner| {
            let ack = |got: &Got| matches!(got, Got::Mining(MiningOwned::SubmitSharesSuccess(_)));
            miner.got.iter().any(ack)
        };
        self.until(answered).await;
    }
}

fn embedded(config: Config) -> (Handle, mpsc::Receiver<Event>) {
    let (events, seen) = mpsc::channel(1000);
    let (handle, driver) = embed(Core::new(config).expect("a valid config"), events);
    tokio::spawn(driver.run(std::future::pending()));
    (handle, seen)
}

#[tokio::test]
async fn a_share_is_accepted_over_tcp_and_stop_ends_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let config = easy();
    let core = Core::new(config.clone()).expect("a valid config");
    let (events, _seen) = mpsc::channel(1000);
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, core, events, async move {
        let _ = stopped.await;
    }));
    let stream = TcpStream::connect(address).await.expect("a connection");
    let mut client = Client::new(stream, &config);
    let channel = client.start().await;
    client.share(channel, 1).await;
    stop.send(()).expect("a running server");
    let stats = server.await.expect("no panic");
    assert_eq!((stats.accepted, stats.disagreements), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn hours_of_blocks_pass_at_once_in_paused_time() {
    let config = Config {
        job_interval: Duration::from_secs(30),
        block_interval: Duration::from_secs(600),
        ..easy()
    };
    let (pool, _events) = embedded(config.clone());
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    pool.attach(theirs);
    let mut client = Client::new(ours, &config);
    let channel = client.start().await;
    for sequence in 1..=10 {
        let now = tokio::time::Instant::now();
        // Reading is what lets the time pass; whoever does not read is hung up on.
        while now.elapsed() < Duration::from_secs(1200) {
            client.miner.got.clear();
            client.until(|miner| !miner.got.is_empty()).await;
        }
        client.share(channel, sequence).await;
    }
    let stats = pool.stats();
    assert_eq!(stats.accepted, 10);
    assert!(stats.blocks_seen >= 19, "{stats:?}");
    let channels = pool.call(|core, _| core.channels()).await.expect("running");
    assert_eq!(channels[0].accepted, 10);
}

#[test]
fn silence_for_too_long_ends_a_connection() {
    let mut bench = Bench::new(easy());
    let miner = bench.connect();
    bench.pass(seconds(3599));
    assert_eq!(bench.core.poll_close(), None);
    bench.pass(seconds(1));
    let closed = (miner.id, CloseReason::Idle(seconds(3600)));
    assert_eq!(bench.core.poll_close(), Some(closed));
}

#[test]
fn a_frame_that_is_too_large_ends_the_connection_before_it_is_complete() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.start(VERSION_ROLLING);
    let mut large = vec![0, 0, 0x1b, 0xff, 0xff, 0xff];
    large.resize(70_000, 0);
    miner.send_frame(&mut bench, Raw(large));
    let (_, reason) = bench.core.poll_close().expect("hung up on");
    assert_eq!(reason, CloseReason::FrameTooLarge(64 * 1024));
}

#[test]
fn plain_text_ends_in_a_failed_decryption() {
    let mut bench = Bench::new(easy());
    let miner = bench.connect();
    let line = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"a miner of the first protocol\"]}\n";
    for _ in 0..3 {
        bench.core.handle_bytes(bench.now, miner.id, line);
    }
    while bench.core.poll_transmit().is_some() {}
    let (_, reason) = bench.core.poll_close().expect("hung up on");
    assert!(matches!(reason, CloseReason::Noise(_)), "{reason:?}");
}

#[test]
fn a_message_that_ends_early_ends_the_connection() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.start(VERSION_ROLLING);
    miner.send_frame(&mut bench, Raw(vec![0, 0x80, 0x1b, 3, 0, 0, 1, 2, 3]));
    let (_, reason) = bench.core.poll_close().expect("hung up on");
    let malformed = matches!(
        reason,
        CloseReason::Malformed {
            message_type: 0x1b,
            ..
        }
    );
    assert!(malformed, "{reason:?}");
}

#[test]
fn unknown_messages_and_extensions_are_ignored() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.start(VERSION_ROLLING);
    miner.send_frame(&mut bench, Raw(vec![1, 0, 0, 2, 0, 0, 1, 2]));
    miner.send_frame(&mut bench, Raw(vec![0, 0, 0x7f, 0, 0, 0]));
    miner.send_frame(&mut bench, Raw(vec![0, 0, 0x57, 1, 0, 0, 9]));
    let channel = miner.open_extended(&mut bench);
    let share = miner.mine(channel);
    miner.submit(&mut bench, channel, &share);
    assert_eq!(bench.core.stats().accepted, 1);
    let ignored = |event: &Event| matches!(event, Event::Ignored { .. });
    assert_eq!(bench.events().iter().filter(|e| ignored(e)).count(), 3);
}

#[test]
fn a_full_pool_refuses_connections_and_channels() {
    let mut bench = Bench::new(Config {
        max_connections: 1,
        max_channels: 1,
        ..easy()
    });
    let mut miner = bench.start(VERSION_ROLLING);
    assert!(bench.core.connect(bench.now, ConnectionId(9)).is_err());
    miner.open_extended(&mut bench);
    miner.news();
    miner.ask_extended(&mut bench, 1e6, [0xff; 32], 4);
    let code = miner.news().into_iter().find_map(|message| match message {
        MiningOwned::OpenMiningChannelError(error) => Some(read_text(&error.error_code)),
        _ => None,
    });
    assert_eq!(code.as_deref(), Some("channel-capacity-exhausted"));
}

/// A session with a few requests, its bytes to the pool cut as given; returns the events as text.
fn session_in_pieces(cuts: &[usize]) -> Vec<String> {
    let mut bench = Bench::new(easy());
    let mut miner = bench.connect();
    miner.shake(&mut bench).expect("a handshake");
    let mut bytes = miner.seal(frame(setup(4)));
    let open = [
        &[0, 0, 0x13, 49, 0, 0, 1, 0, 0, 0, 6][..],
        b"worker",
        &[0; 4],
        &[0xff; 32],
        &[4, 0],
    ];
    // Channel 2, sequence and job 0x01010101 and so on, without an extranonce.
    let share = [&[0, 0x80, 0x1b, 25, 0, 0, 2, 0, 0, 0][..], &[1; 20], &[0]];
    let channels = [
        Raw(vec![0, 0, 0x7f, 3, 0, 0, 1, 2, 3]),
        Raw(open.concat()),
        Raw(share.concat()),
    ];
    for raw in channels {
        bytes.extend(miner.seal(raw));
    }
    let mut rest = bytes.as_slice();
    for cut in cuts {
        let (piece, next) = rest.split_at((*cut).min(rest.len()));
        bench.core.handle_bytes(bench.now, miner.id, piece);
        rest = next;
    }
    bench.core.handle_bytes(bench.now, miner.id, rest);
    miner.read(&mut bench);
    let mut told: Vec<String> = bench.events().iter().map(Event::to_string).collect();
    told.push(format!("{} messages", miner.got.len()));
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn bytes_may_be_cut_anywhere(cuts in proptest::collection::vec(0usize..90, 0..12)) {
        let whole = session_in_pieces(&[]);
        prop_assert!(whole.len() > 4, "{whole:?}");
        prop_assert_eq!(session_in_pieces(&cuts), whole);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bench = Bench::new(easy());
        let miner = bench.connect();
        bench.core.handle_bytes(bench.now, miner.id, &bytes);
        bench.pass(seconds(1));
    }

    #[test]
    fn random_frames_never_panic(
        frames in proptest::collection::vec(
            (0u8..0x30, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..80)), 1..12),
    ) {
        let mut bench = Bench::new(easy());
        let mut miner = bench.start(VERSION_ROLLING);
        miner.open_extended(&mut bench);
        for (kind, channel, payload) in frames {
            let bit = if channel { 0x80 } else { 0 };
            let mut frame = vec![0, bit, kind, payload.len() as u8, 0, 0];
            frame.extend(payload);
            miner.send_frame(&mut bench, Raw(frame));
            bench.job();
            bench.block();
        }
        prop_assert!(bench.agreed());
    }
}
