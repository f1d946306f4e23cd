//! The agent: wires boards, pools and the state tree together and runs them until it is stopped.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use board_simulator::{ChainSpec, Chip, LineNoise, Noise};
use mining::{Difficulty, Partition};
use stratum::Sequence;
use stratum::transport::Connector;
use stratum::v1::Session;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::info;

use crate::board::{self, Report};
use crate::clock::Clock;
use crate::collect::{self, BoardSource, Sources};
use crate::config::{self, Config};
use crate::state::{BoardStatus, Snapshot};
use crate::stop::Stopper;
use crate::upstream;

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// The state tree.
    pub state: watch::Receiver<Arc<Snapshot>>,
    tasks: JoinSet<()>,
}

impl Agent {
    /// Starts every task of the agent. `seed` makes what is random repeatable; `stopper` ends it. A task
    /// that panics, which is a bug, stops the others too: nothing may go on half alive.
    ///
    /// # Errors
    ///
    /// When the config asks for something impossible that only shows when all is put together.
    pub fn start<C>(
        config: &Config,
        connector: C,
        seed: u64,
        stopper: &Stopper,
    ) -> anyhow::Result<Self>
    where
        C: Connector + Clone + 'static,
    {
        let clock = Clock::start();
        let stop = stopper.watch();
        let (jobs_in, jobs) = watch::channel(None);
        // Boards find no share before there is a pool: the first sender is a placeholder.
        let (shares_in, shares) = watch::channel(mpsc::channel(1).0);

        let sequence = Sequence::new();
        let sessions = config
            .pools
            .iter()
            .zip(seed..)
            .map(|(pool, seed)| session(pool, seed, sequence.clone()))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let (pools_in, pools) = watch::channel(upstream::untried(&sessions));

        let mut tasks = JoinSet::new();
        let mut sources = Vec::new();
        for (index, configured) in config.boards.iter().enumerate() {
            let partition = Partition::new(index as u32, config.boards.len() as u32)?;
            let board = assemble(index, configured, partition)
                .with_context(|| format!("board {index} ({})", configured.profile.name))?;
            let (report_in, report) = watch::channel(Report::default());
            sources.push(BoardSource {
                fixed: fixed(index, configured, &board),
                report,
            });
            let links = board::Links {
                jobs: jobs.clone(),
                shares: shares.clone(),
                report: report_in,
                stop: stop.clone(),
            };
            tasks.spawn(guarded(board::run(board, links, clock), stopper.clone()));
        }
        let links = upstream::Links {
            jobs: jobs_in,
            shares: shares_in,
            status: pools_in,
            stop: stop.clone(),
        };
        let upstream = upstream::run(sessions, connector, links, clock.epoch());
        tasks.spawn(guarded(upstream, stopper.clone()));
        let sources = Sources {
            name: config.agent.name.clone(),
            boards: sources,
            pools,
        };
        let first = collect::snapshot(&sources, clock.now(), false);
        let (state_in, state) = watch::channel(Arc::new(first));
        let collector = collect::run(sources, state_in, clock, stop);
        tasks.spawn(guarded(collector, stopper.clone()));
        info!(
            boards = config.boards.len(),
            pools = config.pools.len(),
            backend = sha256d::Engine::best().name(),
            "agent started"
        );
        Ok(Self { state, tasks })
    }

    /// Waits until every task has finished after a stop.
    ///
    /// # Errors
    ///
    /// When a task has panicked, which is a bug.
    pub async fn finished(mut self) -> anyhow::Result<()> {
        while let Some(end) = self.tasks.join_next().await {
            end.context("a part of the agent broke; please report this")?;
        }
        Ok(())
    }
}

/// Runs a task and stops the agent if it panics.
async fn guarded(task: impl Future<Output = ()>, stopper: Stopper) {
    struct Guard(Stopper);
    impl Drop for Guard {
        fn drop(&mut self) {
            if std::thread::panicking() {
                self.0.stop();
            }
        }
    }
    let _guard = Guard(stopper);
    task.await;
}

fn session(pool: &config::Pool, seed: u64, sequence: Sequence) -> anyhow::Result<Session> {
    let mut settings =
        stratum::v1::Config::new(pool.url.clone(), pool.user.clone(), pool.password.clone());
    settings.extranonce_subscribe |= pool.extranonce_subscribe;
    settings.suggest_difficulty = pool.suggest_difficulty.map(Difficulty::new).transpose()?;
    if !pool.version_rolling {
        settings.version_mask = 0;
    }
    Session::new(settings, seed, sequence).with_context(|| format!("pool {}", pool.url))
}

/// Turns config and profile into what the board task needs.
///
/// # Errors
///
/// When the profile's numbers do not make a chain, or the board cannot be simulated.
pub fn assemble(
    index: usize,
    board: &config::Board,
    partition: Partition,
) -> anyhow::Result<board::Board> {
    let profile = &board.profile;
    let chain = profile.chain_config(board.target_mhz());
    let settings = chain::Settings {
        chain,
        scale_bits: board.scale_bits(),
        partition,
        max_work_interval: Duration::from_millis(profile.chain.job_interval_ms.into()),
    };
    let simulation = board
        .sim
        .as_ref()
        .map(|sim| simulation(profile, sim))
        .transpose()?;
    Ok(board::Board {
        index,
        uart: board.uart.clone(),
        settings,
        simulation,
    })
}

/// The virtual chain of a profile.
///
/// # Errors
///
/// When the simulator does not know the chip.
pub fn simulation(
    profile: &board_profiles::Profile,
    sim: &config::Sim,
) -> anyhow::Result<ChainSpec> {
    let noise = LineNoise {
        lost: sim.lost_bytes,
        flipped: sim.flipped_bytes,
        split: sim.split_bytes,
    };
    Ok(ChainSpec {
        chip: profile.chain.chip.to_string().parse::<Chip>()?,
        chips: profile.chain.chips,
        domains: profile.chain.domains,
        scale_bits: sim.scale_bits,
        seed: sim.seed,
        noise: Noise {
            to_chips: noise,
            to_host: noise,
        },
    })
}

fn fixed(index: usize, configured: &config::Board, board: &board::Board) -> BoardStatus {
    let own_simulation = board.simulation.is_some();
    BoardStatus {
        index,
        profile: configured.profile.name.clone(),
        model: configured.profile.model.clone(),
        chip: configured.profile.chain.chip.to_string(),
        uart: configured.uart.to_string(),
        simulated: configured.is_simulated(),
        scale_bits: board.settings.scale_bits,
        state: "opening".to_owned(),
        guard: if own_simulation { "simulated" } else { "none" }.to_owned(),
        chips_expected: configured.profile.chain.chips,
        target_mhz: configured.target_mhz(),
        ..BoardStatus::default()
    }
}
