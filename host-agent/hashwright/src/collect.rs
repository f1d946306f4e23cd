//! The collector: turns what the tasks publish into the state tree, twice a second.

use std::sync::Arc;
use std::time::Duration;

use chain::Status;
use tokio::sync::watch;

use crate::board::Report;
use crate::clock::Clock;
use crate::state::{
    BoardStatus, ChipStatus, MinerStatus, NonceCounters, PoolStatus, Rate, Rates, Snapshot,
    SystemInfo,
};
use crate::stop::Stop;

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

/// Everything that the collector reads.
#[derive(Debug)]
pub struct Sources {
    /// The agent's name.
    pub name: String,
    /// Boards in config order.
    pub boards: Vec<BoardSource>,
    /// All pools, kept by the upstream task.
    pub pools: watch::Receiver<Vec<PoolStatus>>,
}

/// Publishes snapshots until the program stops, and one last when it does.
pub async fn run(
    sources: Sources,
    state: watch::Sender<Arc<Snapshot>>,
    clock: Clock,
    mut stop: Stop,
) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        state.send_replace(Arc::new(snapshot(&sources, clock.now(), stop.is_stopped())));
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.stopped() => break,
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
        add(&mut miner, &board);
        boards.push(board);
    }
    let pools = sources.pools.borrow().clone();
    miner.accepted = pools.iter().map(|pool| pool.accepted).sum();
    miner.rejected = pools.iter().map(|pool| pool.rejected).sum();
    miner.state = state_of(&boards, &pools, stopping).to_owned();
    Snapshot {
        system: SystemInfo {
            name: sources.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: now.as_secs_f64(),
            sha256d_backend: sha256d::Engine::best().name().to_owned(),
            resident_bytes: resident_bytes(),
        },
        miner,
        boards,
        chips,
        pools,
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

fn state_of(boards: &[BoardStatus], pools: &[PoolStatus], stopping: bool) -> &'static str {
    let count = |state: &str| boards.iter().filter(|board| board.state == state).count();
    let mining = count("mining");
    if stopping {
        "stopping"
    } else if mining == boards.len() && mining > 0 {
        "mining"
    } else if mining > 0 || count("failed") > 0 {
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
