//! The collector: turns what the tasks publish into the state tree, twice a second.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chain::Status;
use rpc::tuner::{DemandStatus, TunerStatus};
use station::Phase as StationPhase;
use station::status::GuardLocation;
use tokio::sync::watch;

use crate::board::{Report, UNPOWERED};
use crate::clock::Clock;
use crate::commands::unix_time;
use crate::control::Told;
use crate::machine::Lookout;
use crate::settings::Holds;

use crate::state::{
    BoardStatus, ChipStatus, MinerStatus, NonceCounters, PoolStatus, Rate, Rates, Snapshot,
    StationStatus, SystemInfo,
};
use crate::stop::Stopper;
use crate::tune;
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
    /// The computer.
    pub lookout: Mutex<Lookout>,
    /// Boards that a person wants to be without power.
    pub holds: watch::Receiver<Holds>,
    /// The tuners, in the order of the stations.
    pub tuners: Vec<tune::Handle>,
    /// What the owner wants of them.
    pub owner: watch::Receiver<tune::Wish>,
    /// What holds of it at this moment.
    pub demand: watch::Receiver<DemandStatus>,
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
    let holds = sources.holds.borrow().clone();
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
            let tuner = sources.tuners.iter().map(|tuner| tuner.view.borrow());
            let tuner = tuner
                .into_iter()
                .find(|view| view.boards.contains(&board.index));
            chips.extend(status.chips.iter().zip(0u16..).map(|(chip, index)| {
                ChipStatus {
                    board: board.index,
                    index,
                    address: chip.address,
                    domain: chip.domain,
                    frequency_mhz: chip.clock.get(),
                    nonces: chip.nonces,
                    hardware_errors: chip.hardware_errors,
                    duplicates: chip.duplicates,
                    hashrate: rate(chip.rate),
                    expected_hps: chip.expected_hps,
                    quality: tuner
                        .as_ref()
                        .and_then(|view| view.chip(board.index, index.into())),
                }
            }));
            miner.best_difficulty = miner.best_difficulty.max(status.best_difficulty);
        }
        let earlier = report.earlier;
        board.nonces.valid += earlier.valid;
        board.nonces.shares += earlier.shares;
        board.nonces.hardware_errors += earlier.hardware_errors;
        board.nonces.duplicates += earlier.duplicates;
        board.nonces.stale += earlier.stale;
        boards.push(board);
    }
    let mut stations = Vec::with_capacity(sources.stations.len());
    for (index, source) in sources.stations.iter().enumerate() {
        let mut status = source.status.borrow().read_at(now);
        let held = source.boards.iter().find_map(|board| holds.why(*board));
        if let Some((_, reason)) = held {
            status.reasons.insert(0, reason.into_owned());
        }
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
    for board in &mut boards {
        let rests = ["off", UNPOWERED].contains(&board.state.as_str());
        if let Some((word, _)) = holds.why(board.index).filter(|_| rests) {
            board.state = word.to_owned();
        }
        add(&mut miner, board);
    }
    let machine = sources.lookout.lock();
    let machine = machine
        .unwrap_or_else(PoisonError::into_inner)
        .machine()
        .clone();
    let pools = sources.pools.statuses();
    // With those that are not in the list any more: what was earned there stays earned.
    let left = sources.pools.left();
    let sum = |of: fn(&PoolStatus) -> u64| pools.iter().map(of).sum::<u64>();
    miner.accepted = left.accepted + sum(|pool| pool.accepted);
    miner.rejected = left.rejected + sum(|pool| pool.rejected);
    miner.found_blocks = left.blocks + sum(|pool| pool.blocks);
    heat_and_power(&mut miner, &boards, &stations);
    let tuner = tuner(sources, now, &stations);
    let asleep = sources.pools.is_idle() || holds.resting.is_some();
    miner.paused = holds.paused;
    miner.state = state_of(&boards, &pools, asleep, stopping, holds.paused).to_owned();
    Snapshot {
        system: SystemInfo {
            name: sources.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: now.as_secs_f64(),
            sha256d_backend: sha256d::Engine::best().name().to_owned(),
            resident_bytes: resident_bytes(),
            hostname: machine.hostname.clone(),
            mac: machine.mac.clone(),
            addresses: machine.addresses.clone(),
            started_unix_s: unix_time().saturating_sub(now.as_secs()),
        },
        miner,
        boards,
        stations,
        chips,
        pools,
        tuner,
    }
}

/// What the miner is tuned for, and how far that is.
fn tuner(sources: &Sources, now: Duration, stations: &[StationStatus]) -> TunerStatus {
    let owner = *sources.owner.borrow();
    let told = sources.tuners.iter().enumerate().map(|(index, tuner)| {
        let mut told = tuner.view.borrow().told(index, now, unix_time());
        if told.activity == "waiting"
            && let Some(why) = stations
                .get(index)
                .filter(|station| station.status.phase != StationPhase::Running)
                .and_then(|station| station.status.reasons.first())
        {
            // Why there is no power says more than that there is none.
            told.because = Some(why.clone());
        }
        told
    });
    TunerStatus {
        aim: owner.aim,
        caps: owner.caps,
        demand: sources.demand.borrow().clone(),
        stations: told.collect(),
    }
}

fn heat_and_power(miner: &mut MinerStatus, boards: &[BoardStatus], stations: &[StationStatus]) {
    let hottest = boards.iter().filter_map(|board| board.temperature_c);
    miner.hottest_c = hottest.reduce(f64::max);
    let power = stations
        .iter()
        .map(|station| station.status.reading("input power")?.value);
    // Without the part of some, a sum would look like the whole.
    let all = !stations.is_empty() && boards.iter().all(|board| board.station.is_some());
    miner.power_w = power.sum::<Option<f64>>().filter(|_| all);
    let terahashes = miner.hashrate.m10.hps / 1e12;
    let efficiency = miner.power_w.map(|watts| watts / terahashes);
    miner.efficiency_j_th = efficiency.filter(|joules| joules.is_finite());
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
    let points = &station.set_points;
    board.voltage_set_mv = points.derated.or(points.wanted).map(|point| point.mv);
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
    board.ticket_bits = status.ticket_bits;
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
    paused: bool,
) -> &'static str {
    let count = |state: &str| boards.iter().filter(|board| board.state == state).count();
    let (mining, disabled) = (count("mining"), count("disabled"));
    if stopping {
        "stopping"
    } else if paused && mining == 0 {
        "paused"
    } else if disabled == boards.len() {
        "disabled"
    } else if asleep {
        "asleep"
    } else if mining + disabled == boards.len() && mining > 0 {
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
