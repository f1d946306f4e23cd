//! A laboratory for whole-program tests: the real agent with simulated boards on the embedded pool, all
//! in one thread on tokio's paused clock, so that hours of mining take seconds and repeat exactly.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use board_profiles::Profile;
use hashwright::agent::Agent;
use hashwright::config::{self, Config};
use hashwright::state::Snapshot;
use hashwright::stop::{self, Stop, Stopper};
use pool::{PoolConfig, PoolCore, PoolHandle, PoolStats};
use stratum::Secret;
use stratum::transport::{Connector, Stream};
use tokio::sync::mpsc;

/// Dials the embedded pool through memory; without a pool, connections are refused.
#[derive(Clone, Default)]
pub struct Wire(Arc<Mutex<Option<PoolHandle>>>);

impl Connector for Wire {
    async fn connect(&self, _host: &str, _port: u16) -> io::Result<Box<dyn Stream>> {
        let pool = self.0.lock().unwrap().clone();
        let pool = pool.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        pool.attach(theirs);
        Ok(Box::new(ours))
    }
}

/// A running pool.
pub struct Pool {
    pub handle: PoolHandle,
    stopper: Stopper,
}

impl Pool {
    fn start(config: PoolConfig) -> Self {
        let (events, mut unread) = mpsc::channel(64);
        tokio::spawn(async move { while unread.recv().await.is_some() {} });
        let core = PoolCore::new(config).expect("pool config");
        let (handle, driver) = pool::embed(core, events);
        let (stopper, mut stop) = stop::channel();
        tokio::spawn(driver.run(async move { stop.stopped().await }));
        Self { handle, stopper }
    }
}

/// The agent, its pool and the switch that stops both.
pub struct Lab {
    pub agent: Agent,
    pub pool: Option<Pool>,
    wire: Wire,
    stopper: Stopper,
    _stop: Stop,
}

impl Lab {
    /// Starts an agent with these boards on such a pool.
    pub fn start(boards: Vec<config::Board>, pool: PoolConfig) -> Self {
        let mut lab = Self::without_pool(boards);
        lab.start_pool(pool);
        lab
    }

    /// Starts an agent whose pool is not there yet.
    pub fn without_pool(boards: Vec<config::Board>) -> Self {
        let config = Config {
            agent: config::Agent {
                name: "lab".to_owned(),
                state_dir: PathBuf::from("/nonexistent"),
            },
            pools: vec![config::Pool {
                url: "stratum+tcp://pool.example:3333".parse().expect("url"),
                user: "lab.worker".to_owned(),
                password: Secret::new("x"),
                suggest_difficulty: None,
                extranonce_subscribe: false,
                version_rolling: true,
            }],
            boards,
            api: config::Api {
                listen: ([127, 0, 0, 1], 0).into(),
            },
        };
        let wire = Wire::default();
        let (stopper, stop) = stop::channel();
        let agent = Agent::start(&config, wire.clone(), 7, &stop).expect("agent");
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
        *self.wire.0.lock().unwrap() = Some(pool.handle.clone());
        self.pool = Some(pool);
    }

    /// Ends the pool with all its sessions; connections are refused until the next start.
    pub fn stop_pool(&mut self) {
        *self.wire.0.lock().unwrap() = None;
        if let Some(pool) = self.pool.take() {
            pool.stopper.stop();
        }
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

    /// Stops the agent and gives its last state.
    pub async fn stop(self) -> Arc<Snapshot> {
        let state = self.agent.state.clone();
        self.stopper.stop();
        self.agent.finished().await.expect("no task broke");
        let last = state.borrow().clone();
        last
    }
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

/// A simulated board of a built-in profile.
pub fn board(name: &str) -> config::Board {
    config::Board::simulated(Profile::builtin(name).expect("profile"), 1)
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
