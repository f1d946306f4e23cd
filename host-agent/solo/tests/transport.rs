//! The whole way over HTTP, in memory and in virtual time: a session, its transport, a node, and a
//! miner that hashes.

mod rig;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::Network;
use mining::{Job, Share, Target};
use rig::{REGTEST, find, harder};
use solo::blocks::FoundBlock;
use solo::node::{Mood, TestNode};
use solo::{Auth, Config, Session, store, transport};
use stratum::transport::{Channels, Connector, Stream};
use stratum::{Event, Reason, Secret, Sequence, Stats};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

/// What stands behind an address in these tests.
#[derive(Clone)]
enum Peer {
    Node(Arc<TestNode>),
    /// Sends these bytes, whatever it is asked, and ends.
    Bytes(Arc<Vec<u8>>),
    /// Takes everything and says nothing.
    Silent,
    Refuses,
}

#[derive(Clone)]
struct Wire {
    peer: Arc<Mutex<Peer>>,
    connections: Arc<AtomicUsize>,
    /// How long the node keeps connections.
    patience: Duration,
}

impl Connector for Wire {
    async fn connect(&self, _: &str, _: u16) -> io::Result<Box<dyn Stream>> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let peer = self.peer.lock().unwrap().clone();
        let patience = self.patience;
        match peer {
            Peer::Refuses => return Err(io::ErrorKind::ConnectionRefused.into()),
            Peer::Node(node) => {
                tokio::spawn(async move { timeout(patience, node.serve(theirs)).await });
            }
            Peer::Bytes(bytes) => {
                tokio::spawn(say(theirs, bytes));
            }
            Peer::Silent => {
                tokio::spawn(async move {
                    sleep(Duration::from_secs(100_000)).await;
                    drop(theirs);
                });
            }
        }
        Ok(Box::new(ours))
    }
}

async fn say(mut stream: DuplexStream, bytes: Arc<Vec<u8>>) -> io::Result<()> {
    let mut request = [0; 1024];
    let _ = stream.read(&mut request).await?;
    stream.write_all(&bytes).await?;
    sleep(Duration::from_millis(10)).await;
    stream.shutdown().await
}

/// A running session and what it tells.
struct Bench {
    wire: Wire,
    events: mpsc::UnboundedReceiver<Event>,
    shares: mpsc::Sender<Share>,
    stats: watch::Receiver<Stats>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<Session>,
    job: Option<Arc<Job>>,
    _hashrate: watch::Sender<f64>,
}

fn wire(peer: Peer) -> Wire {
    Wire {
        peer: Arc::new(Mutex::new(peer)),
        connections: Arc::default(),
        patience: Duration::from_secs(100_000),
    }
}

fn config(folder: &Path, auth: Auth) -> Config {
    let url = "http://node.example:18443".parse().unwrap();
    Config::new(url, auth, REGTEST, folder)
}

fn bench(wire: &Wire, config: Config) -> Bench {
    let session = Session::new(config, 3, Sequence::new()).unwrap();
    let (sink, events) = mpsc::unbounded_channel();
    let (shares, from_miner) = mpsc::channel(100);
    let (hashrate, rate) = watch::channel(0.0);
    let (counters, stats) = watch::channel(Stats::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let channels = Channels {
        shares: from_miner,
        hashrate: rate,
        sink: Box::new(move |event| {
            let _ = sink.send(event);
        }),
        stats: counters,
    };
    let run = transport::run(session, wire.clone(), channels, Instant::now(), async {
        let _ = stopped.await;
    });
    Bench {
        wire: wire.clone(),
        events,
        shares,
        stats,
        stop,
        task: tokio::spawn(run),
        job: None,
        _hashrate: hashrate,
    }
}

impl Bench {
    async fn event(&mut self) -> Event {
        let event = timeout(Duration::from_secs(1000), self.events.recv()).await;
        let event = event.expect("nothing happens").expect("the session ended");
        match &event {
            Event::Job(job) => self.job = Some(Arc::clone(job)),
            Event::NoJob => self.job = None,
            _ => {}
        }
        event
    }

    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.event().await;
            if wanted(&event) {
                return event;
            }
        }
    }

    async fn job(&mut self) -> Arc<Job> {
        while self.job.is_none() {
            self.event().await;
        }
        self.job.clone().unwrap()
    }

    async fn mine_block(&mut self) {
        let job = self.job().await;
        let network = Target::from_nbits(job.nbits).unwrap();
        let share = find(&job, |hash| network.is_met_by(hash));
        self.shares.send(share).await.unwrap();
        self.until(|event| matches!(event, Event::ShareAccepted(_)))
            .await;
    }

    /// Why the first attempt failed.
    async fn reason(&mut self) -> Reason {
        let end = self.until(|event| matches!(event, Event::Disconnected { .. }));
        let Event::Disconnected { reason, .. } = end.await else {
            unreachable!();
        };
        reason
    }

    async fn end(self) -> Session {
        let _ = self.stop.send(());
        self.task.await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn blocks_reach_the_node_and_their_files_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let blocks_dir = folder.path().join("state/blocks");
    let node = Arc::new(TestNode::new(Mood::default()));
    node.add_transactions(300, true);
    let wire = wire(Peer::Node(Arc::clone(&node)));
    let mut bench = bench(&wire, config(&blocks_dir, Auth::None));
    for _ in 0..25 {
        bench.mine_block().await;
        node.add_transactions(3, true);
    }
    assert_eq!(node.blocks().len(), 25);
    assert_eq!(node.blocks()[0].txdata.len(), 301);
    // Each connection was used again and again.
    assert!(wire.connections.load(Ordering::Relaxed) <= 5);
    let session = bench.end().await;
    let stats = session.stats();
    assert_eq!((stats.blocks, stats.rejected, stats.dropped), (25, 0, 0));
    let mut names: Vec<String> = std::fs::read_dir(&blocks_dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), 50);
    let hash = node.blocks()[9].block_hash();
    assert!(names.contains(&format!("10-{hash}.hex")));
    let answer = std::fs::read_to_string(blocks_dir.join(format!("10-{hash}.answer"))).unwrap();
    assert_eq!(answer, "accepted\n");
    assert!(store::unanswered(&blocks_dir).blocks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_block_without_an_answer_is_sent_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(TestNode::new(harder()));
    let wire = wire(Peer::Node(Arc::clone(&node)));
    let mut first = bench(&wire, config(folder.path(), Auth::None));
    let job = first.job().await;
    *first.wire.peer.lock().unwrap() = Peer::Refuses;
    let network = Target::from_nbits(job.nbits).unwrap();
    let share = find(&job, |hash| network.is_met_by(hash));
    first.shares.send(share).await.unwrap();
    first.until(|event| matches!(event, Event::NoJob)).await;
    // The connection for blocks is a new one, and there is nobody.
    first.end().await;
    assert!(node.blocks().is_empty());
    std::fs::write(folder.path().join("1-00.hex"), "not a block").unwrap();

    *wire.peer.lock().unwrap() = Peer::Node(Arc::clone(&node));
    let mut second = bench(&wire, config(folder.path(), Auth::None));
    second
        .until(|event| {
            matches!(event, Event::Block(block) if block.fate == stratum::BlockFate::Accepted)
        })
        .await;
    second.end().await;
    assert_eq!(node.blocks().len(), 1);
    let left = store::unanswered(folder.path());
    assert!(left.blocks.is_empty());
    assert!(
        left.problems[0].contains("1-00.hex: it is not hexadecimal"),
        "{:?}",
        left.problems
    );
}

#[tokio::test(start_paused = true)]
async fn a_block_that_is_under_way_is_brought_home_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(TestNode::new(harder()));
    let wire = wire(Peer::Node(Arc::clone(&node)));
    let mut bench = bench(&wire, config(folder.path(), Auth::None));
    let job = bench.job().await;
    let network = Target::from_nbits(job.nbits).unwrap();
    bench
        .shares
        .send(find(&job, |hash| network.is_met_by(hash)))
        .await
        .unwrap();
    bench.until(|event| matches!(event, Event::Block(_))).await;
    let session = bench.end().await;
    assert!(!session.has_blocks());
    assert_eq!(node.blocks().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn answers_that_get_lost_cost_no_block() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(TestNode::new(harder()));
    node.set(|mood| mood.lost_answers = 3);
    let wire = wire(Peer::Node(Arc::clone(&node)));
    let mut bench = bench(&wire, config(folder.path(), Auth::None));
    for _ in 0..5 {
        bench.mine_block().await;
    }
    assert_eq!(node.blocks().len(), 5);
    assert_eq!(bench.end().await.stats().blocks, 5);
}

#[tokio::test(start_paused = true)]
async fn connections_that_the_node_closes_meanwhile_are_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(TestNode::new(Mood {
        long_poll: false,
        ..harder()
    }));
    let wire = Wire {
        patience: Duration::from_millis(2500),
        ..wire(Peer::Node(Arc::clone(&node)))
    };
    let mut bench = bench(&wire, config(folder.path(), Auth::None));
    bench.job().await;
    sleep(Duration::from_secs(300)).await;
    assert!(wire.connections.load(Ordering::Relaxed) > 50);
    assert_eq!(bench.stats.borrow().connects, 1);
    assert_eq!(bench.stats.borrow().problem, None);
    bench.mine_block().await;
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_cookie_is_read_again_when_the_node_has_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let cookie = folder.path().join(".cookie");
    let node = Arc::new(TestNode::new(harder()));
    // Base64 of "__cookie__:one" and "__cookie__:two".
    node.set(|mood| mood.credentials = Some("X19jb29raWVfXzpvbmU=".into()));
    let wire = wire(Peer::Node(Arc::clone(&node)));
    let mut bench = bench(&wire, config(folder.path(), Auth::Cookie(cookie.clone())));
    let missing = bench.reason().await.to_string();
    assert!(
        missing.contains(".cookie") && missing.contains("is it running?"),
        "{missing}"
    );
    std::fs::write(&cookie, "__cookie__:one\n").unwrap();
    bench.job().await;

    node.set(|mood| mood.credentials = Some("X19jb29raWVfXzp0d28=".into()));
    std::fs::write(&cookie, "__cookie__:two").unwrap();
    bench.mine_block().await;
    assert_eq!(bench.stats.borrow().connects, 1);

    node.set(|mood| mood.credentials = Some("bm9ib2R5".into()));
    let refused = bench.reason().await;
    assert!(matches!(refused, Reason::RpcAuth(_)));
    assert!(
        refused.to_string().contains("does not take the cookie"),
        "{refused}"
    );
    std::fs::write(&cookie, "nonsense").unwrap();
    bench.reason().await;
    let nonsense = bench.reason().await.to_string();
    assert!(nonsense.contains("is no cookie file"), "{nonsense}");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_told_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(TestNode::new(harder()));
    node.set(|mood| mood.credentials = Some("YWxpY2U6cmlnaHQ=".into()));
    let wire = wire(Peer::Node(Arc::clone(&node)));
    let auth = |password: &str| Auth::Password {
        user: "alice".into(),
        password: Secret::new(password),
    };
    let wrong = config(folder.path(), auth("hunter2"));
    assert!(!format!("{wrong:?}").contains("hunter2"));
    let mut refused = bench(&wire, wrong);
    let reason = refused.reason().await;
    assert!(
        matches!(&reason, Reason::RpcAuth(text) if text.contains("401")),
        "{reason}"
    );
    assert!(!reason.to_string().contains("hunter2"));
    refused.end().await;
    let mut taken = bench(&wire, config(folder.path(), auth("right")));
    taken.job().await;
    taken.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_node_is_told_by_what_it_looks_like() {
    let folder = tempfile::tempdir().unwrap();
    let html = "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n<html>a router</html>";
    let stratum = "{\"id\":null,\"method\":\"mining.notify\",\"params\":[]}\n";
    let endless = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 9000000000\r\n\r\n{}",
        " ".repeat(2 << 20)
    );
    for (peer, words) in [
        (Peer::Bytes(Arc::new(html.into())), "a web page"),
        (Peer::Bytes(Arc::new(stratum.into())), "does not speak HTTP"),
        (
            Peer::Bytes(Arc::new(vec![0x15, 3, 1, 0, 2, 2, 40])),
            "does not speak HTTP",
        ),
        (
            Peer::Bytes(Arc::new(endless.into())),
            "more than 1048576 bytes",
        ),
        (Peer::Bytes(Arc::default()), "not the port for its peers"),
        (Peer::Silent, "getblockchaininfo was not answered in time"),
        (Peer::Refuses, "is the node running, with server=1"),
    ] {
        let mut bench = bench(&wire(peer), config(folder.path(), Auth::None));
        let reason = bench.reason().await.to_string();
        assert!(reason.contains(words), "{reason}");
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn work_returns_when_the_node_does() {
    let folder = tempfile::tempdir().unwrap();
    let node = Arc::new(TestNode::new(harder()));
    let wire = wire(Peer::Refuses);
    let mut bench = bench(&wire, config(folder.path(), Auth::None));
    for _ in 0..5 {
        bench.reason().await;
    }
    assert_eq!(bench.stats.borrow().state, "retrying");
    *wire.peer.lock().unwrap() = Peer::Node(node);
    bench.mine_block().await;
    let session = bench.end().await;
    assert_eq!(session.network(), Some(Network::Regtest));
}

#[test]
fn files_are_whole_or_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let block = bitcoin::constants::genesis_block(Network::Regtest);
    let bytes = bitcoin::consensus::serialize(&block);
    // Genesis has no height in the sense of BIP 34; the name is given.
    let found = FoundBlock::new(7, [0xab; 32], &bytes);
    let path = store::save(folder.path(), &found).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), *found.hex);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    store::mark(folder.path(), &found.name(), "accepted").unwrap();
    store::remove(folder.path(), &found.name());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    // A file where the folder should be.
    let blocked = folder.path().join("file");
    std::fs::write(&blocked, "").unwrap();
    let error = store::save(&blocked, &found).unwrap_err().to_string();
    assert!(error.contains("file"), "{error}");
    assert!(!store::unanswered(&blocked).problems.is_empty());
    let error = store::check(&blocked).unwrap_err().to_string();
    assert!(error.contains("file"), "{error}");
    // A folder that can be used is made, and stays empty.
    let fresh = folder.path().join("state").join("blocks");
    store::check(&fresh).unwrap();
    assert_eq!(std::fs::read_dir(&fresh).unwrap().count(), 0);
}
