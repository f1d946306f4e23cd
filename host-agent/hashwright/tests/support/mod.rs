//! A laboratory for whole-program tests: the real agent with simulated boards on the embedded pool, all
//! in one thread on tokio's paused clock, so that hours of mining take seconds and repeat exactly.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use board_profiles::Profile;
use hashwright::agent::Agent;
use hashwright::commands::unix_time;
use hashwright::config::{self, Config};
use hashwright::state::Snapshot;
use hashwright::stop::{self, Stop, Stopper};
use pool::{PoolConfig, PoolCore, PoolHandle, PoolStats};
use solo::node::TestNode;
use stratum::transport::{Connector, Stream};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

/// The host of the first pool.
pub const FIRST: &str = "first.example";
/// The host of the second pool, where a test has one.
pub const SECOND: &str = "second.example";

/// What a host name leads to.
#[derive(Clone)]
enum Peer {
    Pool(PoolHandle),
    V2(pool::v2::Handle),
    Node(Arc<TestNode>),
    /// Takes no connection, and does not refuse one either.
    Hung,
}

/// A line that passed between agent and pool.
#[derive(Clone, Debug)]
pub struct Line {
    /// Number of the connection, from 1.
    pub connection: u64,
    pub from_pool: bool,
    pub text: String,
}

/// A network in memory, with a tap: it notes what the agent has read and written, in the agent's
/// own order. Hosts that nobody has put there refuse connections.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<Network>>);

#[derive(Default)]
struct Network {
    peers: HashMap<String, Peer>,
    connections: u64,
    /// Bytes that may be on their way, if not as many as anybody needs.
    room: Option<usize>,
    lines: Option<Vec<Line>>,
}

impl Wire {
    pub fn pool(&self, host: &str, pool: &Pool) {
        let peer = Peer::Pool(pool.handle.clone());
        self.0.lock().unwrap().peers.insert(host.to_owned(), peer);
    }

    pub fn v2(&self, host: &str, pool: &V2Pool) {
        let peer = Peer::V2(pool.handle.clone());
        self.0.lock().unwrap().peers.insert(host.to_owned(), peer);
    }

    pub fn node(&self, host: &str, node: &Arc<TestNode>) {
        let peer = Peer::Node(Arc::clone(node));
        self.0.lock().unwrap().peers.insert(host.to_owned(), peer);
    }

    pub fn hang(&self, host: &str) {
        let mut network = self.0.lock().unwrap();
        network.peers.insert(host.to_owned(), Peer::Hung);
    }

    pub fn refuse(&self, host: &str) {
        self.0.lock().unwrap().peers.remove(host);
    }

    /// Lets no more than so many bytes be on their way.
    pub fn narrow(&self, room: usize) {
        self.0.lock().unwrap().room = Some(room);
    }

    /// Notes all lines from now on.
    pub fn tap(&self) {
        self.0.lock().unwrap().lines = Some(Vec::new());
    }

    /// The lines noted so far.
    pub fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap().lines.clone().unwrap_or_default()
    }
}

impl Connector for Wire {
    async fn connect(&self, host: &str, _port: u16) -> io::Result<Box<dyn Stream>> {
        let (peer, connection, room) = {
            let mut network = self.0.lock().unwrap();
            network.connections += 1;
            let room = network.room.unwrap_or(64 * 1024);
            (network.peers.get(host).cloned(), network.connections, room)
        };
        let (ours, theirs) = tokio::io::duplex(room);
        match peer {
            None => return Err(io::ErrorKind::ConnectionRefused.into()),
            Some(Peer::Hung) => std::future::pending().await,
            Some(Peer::Pool(pool)) => drop(pool.attach(theirs)),
            Some(Peer::V2(pool)) => drop(pool.attach(theirs)),
            Some(Peer::Node(node)) => {
                tokio::spawn(async move { node.serve(theirs).await });
            }
        }
        Ok(Box::new(Tap {
            stream: ours,
            network: self.0.clone(),
            connection,
            halves: Default::default(),
        }))
    }
}

/// The agent's end of a connection.
struct Tap {
    stream: DuplexStream,
    network: Arc<Mutex<Network>>,
    connection: u64,
    /// Lines that are not complete yet: ours and the pool's.
    halves: [Vec<u8>; 2],
}

impl Tap {
    fn note(&mut self, from_pool: bool, bytes: &[u8]) {
        let mut network = self.network.lock().unwrap();
        let Some(lines) = &mut network.lines else {
            return;
        };
        let half = &mut self.halves[usize::from(from_pool)];
        for &byte in bytes {
            if byte != b'\n' {
                half.push(byte);
                continue;
            }
            lines.push(Line {
                connection: self.connection,
                from_pool,
                text: String::from_utf8_lossy(half).into_owned(),
            });
            half.clear();
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let end = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.note(true, &buffer.filled()[before..]);
        end
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let end = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = end {
            self.note(false, &bytes[..count]);
        }
        end
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A running pool.
pub struct Pool {
    pub handle: PoolHandle,
    _stopper: Stopper,
}

impl Pool {
    /// Starts a pool that no host name leads to yet.
    pub fn start(config: PoolConfig) -> Self {
        let (events, mut unread) = mpsc::channel(64);
        tokio::spawn(async move { while unread.recv().await.is_some() {} });
        let core = PoolCore::new(config).expect("pool config");
        let (handle, driver) = pool::embed(core, events);
        let (stopper, mut stop) = stop::channel();
        tokio::spawn(driver.run(async move { stop.stopped().await }));
        Self {
            handle,
            _stopper: stopper,
        }
    }
}

impl Pool {
    /// Hangs up on everybody.
    pub async fn cut(&self) {
        for connection in self.handle.connections().await {
            let close = move |core: &mut PoolCore, now| core.close(now, connection.connection);
            self.handle.call(close).await;
        }
    }
}

/// A running Stratum V2 pool.
pub struct V2Pool {
    pub handle: pool::v2::Handle,
    key: String,
    _stopper: Stopper,
}

impl V2Pool {
    /// Starts a pool that no host name leads to yet.
    pub fn start(config: pool::v2::Config) -> Self {
        let (events, mut unread) = mpsc::channel(64);
        tokio::spawn(async move { while unread.recv().await.is_some() {} });
        let key = config.authority.public_text().to_owned();
        let core = pool::v2::Core::new(config).expect("pool config");
        let (handle, driver) = pool::v2::embed(core, events);
        let (stopper, mut stop) = stop::channel();
        tokio::spawn(driver.run(async move { stop.stopped().await }));
        Self {
            handle,
            key,
            _stopper: stopper,
        }
    }

    /// The pool as configured, behind this host name.
    pub fn upstream(&self, host: &str) -> config::Pool {
        let mut pool = upstream(host);
        pool.url = format!("stratum2+tcp://{host}:3336/{}", self.key)
            .parse()
            .expect("url");
        pool.terms = config::Terms::V2 {
            channel: config::Channel::Extended,
        };
        pool
    }

    /// Hangs up on everybody.
    pub async fn cut(&self) {
        let close = |core: &mut pool::v2::Core, now| {
            for connection in core.connections() {
                core.close(now, connection);
            }
        };
        self.handle.call(close).await;
    }
}

/// A V2 pool on which every nonce of a simulated board is a share, with a block every minute.
pub fn easy_v2() -> pool::v2::Config {
    let mut config = pool::v2::Config {
        difficulty: Some(pool::Difficulty::new(1e-12).expect("difficulty")),
        block_interval: Duration::from_secs(60),
        share_batch: 1,
        // Certificates are judged by the clock of this computer, however fast the test's time goes.
        certificate_valid_for: Duration::from_secs(48 * 3600),
        unix_start: unix_time() - 24 * 3600,
        ..pool::v2::Config::default()
    };
    config.vardiff.shares_per_minute = 0.0;
    config
}

/// A node as configured, whose blocks pay an example address of regtest.
pub fn solo_upstream(host: &str) -> config::Pool {
    let address = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
    let address = payout::PayoutAddress::parse(address, None).expect("address");
    let mut pool = upstream(host);
    pool.url = format!("http://{host}:18443").parse().expect("url");
    pool.payout.addresses = vec![address.clone()];
    pool.payout.named = true;
    pool.terms = config::Terms::Solo {
        cookie: None,
        address,
        tag: "/lab/".to_owned(),
    };
    pool
}

/// The agent, its pool and the switch that stops both.
pub struct Lab {
    pub agent: Agent,
    pub pool: Option<Pool>,
    pub wire: Wire,
    stopper: Stopper,
    _stop: Stop,
}

impl Lab {
    /// Starts an agent with these boards on such a pool.
    pub fn start(boards: Vec<config::Board>, pool: PoolConfig) -> Self {
        Self::start_with(&config(boards), pool)
    }

    /// Starts an agent as configured on such a pool.
    pub fn start_with(config: &Config, pool: PoolConfig) -> Self {
        let mut lab = Self::with_config(config, Wire::default());
        lab.start_pool(pool);
        lab
    }

    /// Starts an agent whose pool is not there yet.
    pub fn without_pool(boards: Vec<config::Board>) -> Self {
        Self::with_config(&config(boards), Wire::default())
    }

    /// Starts an agent as configured.
    pub fn with_config(config: &Config, wire: Wire) -> Self {
        let (stopper, stop) = stop::channel();
        let agent = Agent::start(config, wire.clone(), 7, &stopper).expect("agent");
        Self {
            agent,
            pool: None,
            wire,
            stopper,
            _stop: stop,
        }
    }

    pub fn start_pool(&mut self, config: PoolConfig) {
        let pool = Pool::start(config);
        self.wire.pool(FIRST, &pool);
        self.pool = Some(pool);
    }

    /// Ends the pool with all its sessions; connections are refused until the next start.
    pub fn stop_pool(&mut self) {
        self.wire.refuse(FIRST);
        // Dropping it stops it.
        self.pool = None;
    }

    pub fn state(&self) -> Arc<Snapshot> {
        self.agent.state.borrow().clone()
    }

    pub fn pool_stats(&self) -> PoolStats {
        self.pool.as_ref().expect("pool").handle.stats()
    }

    /// Lets virtual time pass.
    pub async fn run_for(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Lets virtual time pass until the state fulfils a wish.
    pub async fn run_until(
        &self,
        limit: Duration,
        wish: impl Fn(&Snapshot) -> bool,
    ) -> Arc<Snapshot> {
        let mut passed = Duration::ZERO;
        loop {
            let state = self.state();
            if wish(&state) {
                return state;
            }
            assert!(passed < limit, "not within {limit:?}: {state:#?}");
            let step = Duration::from_millis(500);
            tokio::time::sleep(step).await;
            passed += step;
        }
    }

    /// Asks for the end without winding down, and waits until nobody holds power any more.
    pub async fn hurry(&self) {
        self.stopper.hurry();
        self.stopper.released().await;
    }

    /// Stops the agent and gives its last state.
    pub async fn stop(self) -> Arc<Snapshot> {
        let state = self.agent.state.clone();
        self.stopper.stop();
        self.agent.finished().await.expect("no task broke");
        state.borrow().clone()
    }
}

/// A config with these boards and one pool, at [`FIRST`].
pub fn config(boards: Vec<config::Board>) -> Config {
    Config {
        agent: config::Agent {
            name: "lab".to_owned(),
            state_dir: PathBuf::from("/nonexistent"),
            state_dir_given: false,
        },
        upstream: config::Upstream::default(),
        pools: vec![upstream(FIRST)],
        boards,
        cooling: config::Cooling::default(),
        tuner: config::Tuner::default(),
        api: config::Api::new(([127, 0, 0, 1], 0).into()),
        cgminer: None,
        axeos: None,
        mqtt: None,
        webhooks: Vec::new(),
        mdns: config::Mdns::default(),
        history: config::History::default(),
    }
}

/// A pool as configured.
pub fn upstream(host: &str) -> config::Pool {
    let url = format!("stratum+tcp://{host}:3333");
    config::Pool::new(url.parse().expect("url"), "lab.worker")
}

/// A pool on which every nonce of a simulated board is a share, with a block every minute.
pub fn easy_pool() -> PoolConfig {
    let mut config = PoolConfig {
        block_interval: Duration::from_secs(60),
        ..PoolConfig::default()
    };
    config.vardiff.start = pool::Difficulty::new(1e-12).expect("difficulty");
    config.vardiff.shares_per_minute = 0.0;
    config
}

/// The simulated chips of a built-in profile, powered and cool for ever.
pub fn board(name: &str) -> config::Board {
    config::Board::bare(Profile::builtin(name).expect("profile"), 1)
}

/// Sets ticket and scale such that the board finds no more than `nonces_per_second`, and no less than
/// half of that if it can, at 16 real hashes each.
pub fn lively(board: &mut config::Board, nonces_per_second: f64) {
    let hps = board.profile.hashrate_hps(board.target_mhz());
    let mut ticket_bits = 0;
    while hps / 2f64.powi(32 + ticket_bits) > nonces_per_second {
        ticket_bits += 1;
    }
    board.profile.chain.ticket_difficulty = 1 << ticket_bits;
    if let Some(sim) = &mut board.sim {
        sim.scale_bits = 28 + ticket_bits as u8;
    }
}
