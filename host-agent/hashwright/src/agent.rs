//! The agent: wires boards, pools and the state tree together and runs them until it is stopped.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, anyhow};
use mining::Partition;
use station::{Notice, SetPoint, Severity};
use stratum::transport::Connector;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::info;

use crate::api::methods::Faces;
use crate::api::tuning::Tuning;
use crate::board::{self, Report, Simulation};
use crate::clock::Clock;
use crate::collect::{self, BoardSource, Sources, StationSource};
use crate::config::{self, Config, Control};
use crate::control;
use crate::control::command::StationHandle;
use crate::control::group::{Group, Reach, groups};
use crate::control::link::{self, BoardEnd, StationEnd};
use crate::control::store::LatchStore;
use crate::demand;
use crate::events::EventLog;
use crate::port::SharedBoard;
use crate::record::{self, History, Recorder};
use crate::settings::{self, Holds, Settings};
use crate::shares::ShareLog;
use crate::simulate;
use crate::state::{BoardStatus, Snapshot};
use crate::stop::{Stop, Stopper};
use crate::tune;
use crate::upstream::{self, Upstream};

/// Wishes of people that may wait for a station.
const REQUESTS: usize = 16;

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// The state tree.
    pub state: watch::Receiver<Arc<Snapshot>>,
    /// What happened and why.
    pub events: EventLog,
    /// Shares and what became of them.
    pub shares: ShareLog,
    /// What was.
    pub history: History,
    /// The way of every change.
    pub settings: Settings,
    /// The whole boards that are simulated in this program, by position in the config.
    pub simulated: Vec<Option<SharedBoard>>,
    /// Boards without a station go on while these are there.
    _bare: Vec<Option<Arc<StationEnd>>>,
    /// The tuners, one for each station, in their order.
    pub tuners: Vec<tune::Handle>,
    /// What is wanted at this moment, and the way to say so.
    pub demand: demand::Handle,
    /// What was learned of boards.
    pub models: tune::Models,
    /// The ways to the registers of the boards' chips, by position in the config.
    pub registers: Vec<mpsc::Sender<board::ReadAsk>>,
    clock: Clock,
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
        let events = EventLog::new(clock);
        let (assignment_in, assignment) = watch::channel(Arc::default());
        let (routes_in, routes) = watch::channel(Arc::default());
        let (idle_in, idle) = watch::channel(false);

        let mut tasks = JoinSet::new();
        let simulated = simulated_boards(config, clock)?;
        let mut stations = Stations::new(config, &simulated, clock)?;
        let (holds_in, holds) = watch::channel(Holds::at_start(config));
        let mut bare = Vec::new();
        let (mut sources, mut rates) = (Vec::new(), Vec::new());
        let (mut clocks, mut registers) = (Vec::new(), Vec::new());
        for (index, configured) in config.boards.iter().enumerate() {
            let partition = Partition::new(index as u32, config.boards.len() as u32)?;
            let mut board =
                assemble(index, configured, partition).with_context(|| named(index, configured))?;
            if let Some(whole) = &simulated[index] {
                board.simulation = Some(Simulation::Whole(whole.clone()));
            }
            let (report_in, report) = watch::channel(Report::default());
            rates.push(upstream::Rate {
                report: report.clone(),
                configured_hps: configured.profile.hashrate_hps(configured.target_mhz()),
                scale_bits: configured.scale_bits(),
            });
            sources.push(BoardSource {
                fixed: fixed(index, configured, &board),
                report,
            });
            let power = stations.board_ends[index].take();
            let (power, end) = match power {
                Some(power) => (power, None),
                None => without_station(configured, clock),
            };
            bare.push(end);
            let (clocks_in, own_clocks) = watch::channel(None);
            clocks.push(Some(clocks_in));
            let (reads_in, reads) = mpsc::channel(board::READS);
            registers.push(reads_in);
            let links = board::Links {
                assignment: assignment.clone(),
                routes: routes.clone(),
                report: report_in,
                power: Some(power),
                clocks: own_clocks,
                reads,
                events: events.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(guarded(board::run(board, links, clock), stopper.clone()));
        }
        let (stations, handles) = stations.spawn(&mut tasks, &events, &idle, stopper, clock)?;
        let models = tune::models(config);
        let shared = Shared {
            models: &models,
            seed,
            events: &events,
            stop: &stop,
            clock,
        };
        let mut tuner_ends = Vec::new();
        for (task, end) in tuners(config, &stations, &handles, &sources, &mut clocks, &shared) {
            tasks.spawn(guarded(task.run(), stopper.clone()));
            tuner_ends.push(end);
        }
        let (owner_in, owner) = watch::channel(tune::Wish::of(&config.tuner));
        let (wanted, demand) = demand::prepare(config, clock);
        for board in simulated.iter().flatten() {
            let (mut stop, stopper) = (stop.clone(), stopper.clone());
            let world = board.clone().run(clock, {
                let stopper = stopper.clone();
                async move {
                    stop.stopped().await;
                    // A board lives on until nobody may hold its power any more.
                    stopper.released().await;
                }
            });
            tasks.spawn(guarded(world, stopper));
        }
        let shares = ShareLog::default();
        let links = upstream::Links {
            assignment: assignment_in,
            routes: routes_in,
            idle: idle_in,
            boards: rates,
            events: events.clone(),
            shares: shares.clone(),
            stop: stop.clone(),
        };
        let upstream = Upstream::new(config, &connector, seed, links, clock)?;
        let pools = upstream.pools();
        let parts = settings::Parts {
            reach: settings::Reach {
                stations: handles,
                bare: bare.clone(),
                tuners: tuner_ends.clone(),
                demand: demand.clone(),
                models: models.clone(),
                // Those of boards on stations are their tuners'.
                clocks,
                owner: owner_in,
                pools: upstream.control(),
                holds: holds_in,
            },
            events: events.clone(),
            clock,
            stopper: stopper.clone(),
        };
        let (changes, settings) = settings::Task::new(config, parts);
        tasks.spawn(guarded(changes.run(), stopper.clone()));
        let links = demand::Links {
            tuners: tuner_ends.clone(),
            stations: stations.iter().map(|s| s.status.clone()).collect(),
            settings: settings.clone(),
            events: events.clone(),
            stop: stop.clone(),
        };
        tasks.spawn(guarded(wanted.run(links), stopper.clone()));
        tasks.spawn(guarded(upstream.run(), stopper.clone()));
        let sources = Sources {
            name: config.agent.name.clone(),
            boards: sources,
            stations,
            pools,
            lookout: Mutex::default(),
            holds,
            tuners: tuner_ends.clone(),
            owner,
            demand: demand.view.clone(),
        };
        let first = collect::snapshot(&sources, clock.now(), false);
        let (state_in, state) = watch::channel(Arc::new(first));
        let collector = collect::run(sources, state_in, clock, stopper.clone());
        tasks.spawn(guarded(collector, stopper.clone()));
        let history = History::new(&config.history, &config.agent, &config.boards);
        let recorder = Recorder {
            history: history.clone(),
            state: state.clone(),
            events: events.clone(),
            clock,
            wall_ms: record::wall_ms,
            stop: stopper.watch(),
        };
        tasks.spawn(async move {
            // A mistake there costs history, never mining.
            let _ = tokio::spawn(recorder.run()).await;
        });
        info!(
            boards = config.boards.len(),
            pools = config.pools.len(),
            backend = sha256d::Engine::best().name(),
            "agent started"
        );
        Ok(Self {
            state,
            settings,
            events,
            shares,
            history,
            simulated,
            _bare: bare,
            tuners: tuner_ends,
            demand,
            models,
            registers,
            clock,
            tasks,
        })
    }

    /// What the API needs of it.
    #[must_use]
    pub fn faces(&self) -> Faces {
        Faces {
            state: self.state.clone(),
            events: self.events.clone(),
            settings: self.settings.clone(),
            shares: self.shares.clone(),
            history: self.history.clone(),
            metrics: Some(Arc::new(crate::outlets::metrics())),
            tuning: Tuning {
                tuners: self.tuners.clone(),
                demand: self.demand.clone(),
                models: self.models.clone(),
                registers: self.registers.clone(),
                clock: self.clock,
            },
        }
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

/// What all tuners share.
struct Shared<'s> {
    models: &'s tune::Models,
    seed: u64,
    events: &'s EventLog,
    stop: &'s Stop,
    clock: Clock,
}

/// A tuner for each station, which gets the ways to its boards' clocks. Watts and hashrates are asked of the whole
/// miner, so each gets its part by nominal power.
fn tuners(
    config: &Config,
    stations: &[StationSource],
    handles: &[StationHandle],
    boards: &[BoardSource],
    clocks: &mut [Option<watch::Sender<Option<tune::Clocks>>>],
    shared: &Shared<'_>,
) -> Vec<(tune::Task, tune::Handle)> {
    let nominal = |board: &usize| config.boards[*board].profile.limits.power_w;
    let all: f64 = stations.iter().flat_map(|s| &s.boards).map(nominal).sum();
    let mut tuners = Vec::new();
    for ((station, handle), seed) in stations.iter().zip(handles).zip(shared.seed..) {
        let own: f64 = station.boards.iter().map(nominal).sum();
        let share = own / all.max(1.0);
        let first = &config.boards[station.boards[0]];
        let of = |board: &usize| &config.boards[*board];
        let ways = station.boards.iter();
        let ways = ways.map(|board| {
            clocks[*board]
                .take()
                .unwrap_or_else(|| watch::channel(None).0)
        });
        let links = tune::Links {
            boards: station.boards.clone(),
            profile: Arc::new(first.of_revision()),
            serials: station
                .boards
                .iter()
                .map(|b| of(b).serial.clone())
                .collect(),
            scale_bits: first.scale_bits(),
            reports: station
                .boards
                .iter()
                .map(|board| boards[*board].report.clone())
                .collect(),
            station: station.status.clone(),
            requests: handle.requests.clone(),
            clocks: ways.collect(),
            events: shared.events.clone(),
            stop: shared.stop.clone(),
        };
        let point = SetPoint {
            mhz: first.target_mhz(),
            mv: first.target_mv(),
        };
        let start = tune::Start {
            wish: tune::Wish::of(&config.tuner).part(share),
            share,
            base: tune::Base::uniform(point, station.boards.len()),
            models: shared.models.clone(),
            seed,
        };
        tuners.push(tune::prepare(links, start, shared.clock));
    }
    tuners
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

/// The grant of a board that nobody in this program controls: always power, unless a person wants the board
/// to rest.
fn without_station(board: &config::Board, clock: Clock) -> (BoardEnd, Option<Arc<StationEnd>>) {
    let (station, board_end) = link::one(clock);
    station.grant(0, |grant| {
        grant.epoch = 1;
        grant.on = true;
        grant.wind_down = !board.enabled;
        grant.mhz = board.target_mhz();
    });
    (board_end, Some(Arc::new(station)))
}

/// Stations before their tasks run.
struct Stations {
    /// Stations with the ends of their links, in order.
    stations: Vec<(Group, station::Station, link::StationEnd, LatchStore)>,
    /// The boards' ends, by position in the config.
    board_ends: Vec<Option<BoardEnd>>,
}

impl Stations {
    fn new(
        config: &Config,
        simulated: &[Option<SharedBoard>],
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let mut board_ends: Vec<_> = config.boards.iter().map(|_| None).collect();
        let mut stations = Vec::new();
        for group in groups(config) {
            let first = group.boards[0];
            let mut store = LatchStore::new(&config.agent, &group);
            let station = group
                .station(simulated[first].as_ref(), store.load(), clock)
                .with_context(|| named(first, &config.boards[first]))?;
            let (end, ends) = link::links(group.boards.len(), clock);
            for (&board, end) in group.boards.iter().zip(ends) {
                board_ends[board] = Some(end);
            }
            stations.push((group, station, end, store));
        }
        Ok(Self {
            stations,
            board_ends,
        })
    }

    fn spawn(
        self,
        tasks: &mut JoinSet<()>,
        events: &EventLog,
        idle: &watch::Receiver<bool>,
        stopper: &Stopper,
        clock: Clock,
    ) -> anyhow::Result<(Vec<StationSource>, Vec<StationHandle>)> {
        let (mut sources, mut handles) = (Vec::new(), Vec::new());
        for (group, station, ends, store) in self.stations {
            let notes: Vec<_> = store.check().err().into_iter().collect();
            for text in &notes {
                events.note(&group.boards, state_dir(text));
            }
            let (status_in, status) = watch::channel(control::Told::default());
            let (requests, wishes) = mpsc::channel(REQUESTS);
            sources.push(StationSource {
                boards: group.boards.clone(),
                control: match &group.reach {
                    Reach::Simulated => "sim".to_owned(),
                    Reach::Port(port) => port.to_string(),
                    Reach::Linux => "linux".to_owned(),
                },
                notes,
                status,
            });
            handles.push(StationHandle {
                boards: group.boards.clone(),
                fans: group.config.profile.cooling.fans > 0,
                requests,
            });
            let links = control::Links {
                boards: group.boards,
                ends,
                requests: wishes,
                status: status_in,
                events: events.clone(),
                store,
                idle: idle.clone(),
                enabled: group.enabled,
                stop: stopper.watch(),
                hold: stopper.hold(),
            };
            let run = control::run(station, group.set_point, links, clock);
            let run = guarded(run, stopper.clone());
            if group.reach == Reach::Simulated {
                tasks.spawn(run);
            } else {
                // Its hardware blocks, and nothing that this program is busy with may hold it up:
                // it has a thread and a timer of its own.
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .context("no timer for a station")?;
                tasks.spawn_blocking(move || runtime.block_on(run));
            }
        }
        Ok((sources, handles))
    }
}

fn state_dir(text: &str) -> Notice {
    Notice {
        severity: Severity::Warning,
        code: "state-dir".to_owned(),
        text: text.to_owned(),
        ..Notice::default()
    }
}

/// The whole boards that this program simulates, by position in the config.
fn simulated_boards(config: &Config, clock: Clock) -> anyhow::Result<Vec<Option<SharedBoard>>> {
    let board = |(index, configured): (usize, &config::Board)| {
        let (Control::Simulated, Some(sim)) = (&configured.control, &configured.sim) else {
            return Ok(None);
        };
        let spec = simulate::board(&configured.of_revision(), sim)
            .with_context(|| named(index, configured))?;
        SharedBoard::new(&spec, sim.faults.clone(), clock)
            .map(Some)
            .map_err(|error| anyhow!(error).context(named(index, configured)))
    };
    config.boards.iter().enumerate().map(board).collect()
}

fn named(index: usize, board: &config::Board) -> String {
    format!("board {index} ({})", board.profile.name)
}

/// Turns config and profile into what the board task needs.
///
/// # Errors
///
/// When the profile's numbers do not make a chain, or the chips cannot be simulated.
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
        .map(|sim| simulate::chain(profile, sim).map(Simulation::Bare))
        .transpose()?;
    Ok(board::Board {
        index,
        uart: board.uart.clone(),
        settings,
        least_mhz: profile.frequency.min_mhz,
        simulation,
    })
}

/// The virtual chain of a profile.
///
/// # Errors
///
/// When the simulator does not know the chip.
pub use crate::simulate::chain as simulation;

fn fixed(index: usize, configured: &config::Board, board: &board::Board) -> BoardStatus {
    BoardStatus {
        index,
        profile: configured.profile.name.clone(),
        model: configured.profile.model.clone(),
        chip: configured.profile.chain.chip.to_string(),
        uart: configured.uart.to_string(),
        control: configured.control.to_string(),
        simulated: configured.is_simulated(),
        scale_bits: board.settings.scale_bits,
        state: "opening".to_owned(),
        guard: "none".to_owned(),
        chips_expected: configured.profile.chain.chips,
        target_mhz: configured.target_mhz(),
        ..BoardStatus::default()
    }
}
