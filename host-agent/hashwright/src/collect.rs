//! The collector: turns what the tasks publish into the state tree, twice a second.

use std::sync::Arc;
use std::time::Duration;

use chain::Status;
use station::Phase as StationPhase;
use station::status::GuardLocation;
use tokio::sync::watch;

use crate::board::{Report, UNPOWERED};
use crate::clock::Clock;
use crate::control::Told;
use crate::state::{
    BoardStatus, ChipStatus, MinerStatus, NonceCounters, PoolStatus, Rate, Rates, Snapshot,
    StationStatus, SystemInfo,
};
use crate::stop::Stopper;
use crate::upstream::Pools;

/// Time between two snapshots.
const PERIOD: Duration = Duration::from_millis(500);

/// What the collector knows of a board that does not change.
#[derive(Debug)]
pub struct BoardSource {
    /// The fields of the status that stand in config and profile.
    pub fixed: BoardStatus,
    /// The board task's report.
    pub report: watch::Receiver<Report>,
}

/// A station and its boards.
#[derive(Debug)]
pub struct StationSource {
    /// Its boards, by position in the config.
    pub boards: Vec<usize>,
    /// How it is reached, as in the config.
    pub control: String,
    /// What a person should know of it from the start.
    pub notes: Vec<String>,
    /// The control task's word.
    pub status: watch::Receiver<Told>,
}

/// Everything that the collector reads.
#[derive(Debug)]
pub struct Sources {
    /// The agent's name.
    pub name: String,
    /// Boards in config order.
    pub boards: Vec<BoardSource>,
    /// Stations in the order of their first boards.
    pub stations: Vec<StationSource>,
    /// All pools.
    pub pools: Pools,
}

/// Publishes snapshots until the program stops, nobody holds power any more and the pools are left, and one
/// last then.
pub async fn run(
    sources: Sources,
    state: watch::Sender<Arc<Snapshot>>,
    clock: Clock,
    stopper: Stopper,
) {
    let mut stop = stopper.watch();
    let (mut end, pools) = (stop.clone(), sources.pools.clone());
    let end = async move {
        end.stopped().await;
        stopper.released().await;
        pools.closed().await;
    };
    tokio::pin!(end);
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        state.send_replace(Arc::new(snapshot(&sources, clock.now(), stopping)));
        tokio::select! {
            () = &mut end => break,
            () = stop.stopped(), if !stopping => stopping = true,
            _ = ticks.tick() => {}
        }
    }
    state.send_replace(Arc::new(snapshot(&sources, clock.now(), true)));
}

/// The state tree at `now`.
#[must_use]
pub fn snapshot(sources: &Sources, now: Duration, stopping: bool) -> Snapshot {
    let mut boards = Vec::with_capacity(sources.boards.len());
    let mut chips = Vec::new();
    let mut miner = MinerStatus::default();
    for source in &sources.boards {
        let report = source.report.borrow();
        let mut board = source.fixed.clone();
        board.state = report.state.to_owned();
        board.problem = report.problem.clone();
        board.restarts = report.restarts;
        board.shares_lost = report.shares_lost;
        if let Some(status) = &report.chain {
            fill(&mut board, status);
            chips.extend(
                status
                    .chips
                    .iter()
                    .zip(0u16..)
                    .map(|(chip, index)| ChipStatus {
                        board: board.index,
                        index,
                        address: chip.address,
                        domain: chip.domain,
                        frequency_mhz: chip.clock.get(),
                        nonces: chip.nonces,
                        hardware_errors: chip.hardware_errors,
                        hashrate: rate(chip.rate),
                        expected_hps: chip.expected_hps,
                    }),
            );
            miner.best_difficulty = miner.best_difficulty.max(status.best_difficulty);
        }
        boards.push(board);
    }
    let mut stations = Vec::with_capacity(sources.stations.len());
    for (index, source) in sources.stations.iter().enumerate() {
        let status = source.status.borrow().read_at(now);
        for board in &source.boards {
            if let Some(board) = boards.get_mut(*board) {
                under(board, index, &status);
            }
        }
        stations.push(StationStatus {
            index,
            boards: source.boards.clone(),
            control: source.control.clone(),
            notes: source.notes.clone(),
            status,
        });
    }
    for board in &boards {
        add(&mut miner, board);
    }
    let pools = sources.pools.statuses();
    miner.accepted = pools.iter().map(|pool| pool.accepted).sum();
    miner.rejected = pools.iter().map(|pool| pool.rejected).sum();
    let asleep = sources.pools.is_idle();
    miner.state = state_of(&boards, &pools, asleep, stopping).to_owned();
    Snapshot {
        system: SystemInfo {
            name: sources.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: now.as_secs_f64(),
            sha256d_backend: sha256d::Engine::best().name().to_owned(),
            resident_bytes: resident_bytes(),
            ..SystemInfo::default()
        },
        miner,
        boards,
        stations,
        chips,
        pools,
    }
}

/// What the station of a board adds to its status.
fn under(board: &mut BoardStatus, index: usize, station: &station::Status) {
    board.station = Some(index);
    board.guard = match station.guard.location {
        GuardLocation::Agent => "agent",
        GuardLocation::Board => "board",
    }
    .to_owned();
    board.temperature_c = station.cooling.temperature_c;
    let power = station.reading("input power");
    board.power_w = power.and_then(|reading| reading.value);
    board.fan_percent = station.fans.iter().map(|fan| fan.duty_percent).max();
    let fault = station.guard.fault.as_ref();
    if board.state == UNPOWERED {
        board.state = match station.phase {
            StationPhase::Off => "off",
            StationPhase::Identifying | StationPhase::Checking => "checking",
            StationPhase::PoweringUp => "powering",
            StationPhase::Running => "starting",
            StationPhase::WindingDown => "stopping",
            StationPhase::Held if fault.is_some_and(|fault| fault.latched) => "latched",
            StationPhase::Held => "held",
        }
        .to_owned();
        if let Some(fault) = fault {
            board.problem = Some(format!("{}: {}; {}", fault.code, fault.what, fault.advice));
        }
    }
}

fn fill(board: &mut BoardStatus, status: &Status) {
    board.chips_found = status.found;
    board.frequency_mhz = status.clock.get();
    board.target_mhz = status.goal.get();
    board.expected_hps = status.expected_hps;
    let [s5, m1, m10, h1] = status.rates.map(rate);
    board.hashrate = Rates { s5, m1, m10, h1 };
    board.nonces = NonceCounters {
        valid: status.counters.valid,
        shares: status.counters.shares,
        hardware_errors: status.counters.hardware_errors,
        duplicates: status.counters.duplicates,
        stale: status.counters.stale,
    };
    board.jobs_sent = status.jobs_sent;
    board.dropped_bytes = status.line.dropped_bytes;
    board.crc_errors = status.line.crc_errors;
}

fn rate(estimate: mining::Estimate) -> Rate {
    Rate {
        hps: estimate.hps,
        sigma_hps: estimate.sigma_hps,
    }
}

/// Rates of independent boards add up, and so do the squares of their errors.
fn add(miner: &mut MinerStatus, board: &BoardStatus) {
    let sum = |to: &mut Rate, from: Rate| {
        to.hps += from.hps;
        to.sigma_hps = to.sigma_hps.hypot(from.sigma_hps);
    };
    sum(&mut miner.hashrate.s5, board.hashrate.s5);
    sum(&mut miner.hashrate.m1, board.hashrate.m1);
    sum(&mut miner.hashrate.m10, board.hashrate.m10);
    sum(&mut miner.hashrate.h1, board.hashrate.h1);
    miner.expected_hps += board.expected_hps;
    miner.simulated |= board.simulated;
    miner.nonces.valid += board.nonces.valid;
    miner.nonces.shares += board.nonces.shares;
    miner.nonces.hardware_errors += board.nonces.hardware_errors;
    miner.nonces.duplicates += board.nonces.duplicates;
    miner.nonces.stale += board.nonces.stale;
}

fn state_of(
    boards: &[BoardStatus],
    pools: &[PoolStatus],
    asleep: bool,
    stopping: bool,
) -> &'static str {
    let count = |state: &str| boards.iter().filter(|board| board.state == state).count();
    let mining = count("mining");
    if stopping {
        "stopping"
    } else if asleep {
        "asleep"
    } else if mining == boards.len() && mining > 0 {
        "mining"
    } else if mining > 0
        || ["failed", "held", "latched"]
            .iter()
            .any(|state| count(state) > 0)
    {
        "degraded"
    } else if count("idle") > 0 && pools.iter().all(|pool| pool.state != "mining") {
        "waiting for a pool"
    } else {
        "starting"
    }
}

/// Resident memory of this process, bytes; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}
