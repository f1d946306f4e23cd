//! The commands that only tell. Fields, their order and their number formats are the interface; a field
//! whose value nobody here counts is 0 or empty, and `docs/compat.md` says which.

use rpc::state::{BoardStatus, PoolStatus};
use station::Mode;

use super::reply::{Record, Reply, Value, two, whole};
use super::tuner;
use crate::Now;
use crate::read::{self, Place};

/// Hashes that a share of difficulty 1 takes.
const DIFF1: f64 = 4_294_967_296.0;

/// Seconds of the window of the shortest average, which stands in its name.
const LOG_INTERVAL: u32 = 5;

/// Program and version; that the boards are simulated goes with it.
pub(super) fn program(now: &Now<'_>) -> String {
    let simulated = match now.state.miner.simulated {
        true => " (simulated)",
        false => "",
    };
    format!("hashwright {}{simulated}", now.state.system.version)
}

/// The answer to `check`.
pub(super) fn check(exists: bool, allowed: bool) -> Reply {
    let record = Record::default()
        .with("Exists", yes(exists))
        .with("Access", yes(allowed));
    Reply::success(72, "Check command").one("CHECK", record)
}

/// The reply to a command that tells; none if it is none.
pub(super) fn report(command: &str, parameter: Option<&str>, now: &Now<'_>) -> Option<Reply> {
    let reply = match command {
        "version" => version(now).without_brands(),
        "config" => config(now),
        "summary" => summary(now),
        "devs" | "edevs" => devs(now),
        "asc" => asc(parameter, now),
        "asccount" => count("ASCS", 104, now.state.boards.len()),
        "pgacount" => count("PGAS", 59, 0),
        "devdetails" => devdetails(now),
        "pools" => pools(now),
        "stats" => stats(now, true),
        "estats" => stats(now, false),
        "coin" => coin(now),
        "lcd" => lcd(now),
        "notify" => notify(now),
        "usbstats" => Reply::info(88, "No USB devices of this API".to_owned()),
        "fans" => fans(now),
        "temps" => temps(now),
        "tempctrl" => tempctrl(now),
        "tunerstatus" => tuner::tunerstatus(now),
        _ => return None,
    };
    Some(reply)
}

fn version(now: &Now<'_>) -> Reply {
    let record = Record::default()
        .with("CGMiner", program(now))
        .with("API", super::API_VERSION)
        .with("Hashwright", now.state.system.version.as_str());
    Reply::success(22, "Versions").one("VERSION", record)
}

fn config(now: &Now<'_>) -> Reply {
    let strategy = match now.facts.by_quota {
        true => "Load Balance",
        false => "Failover",
    };
    let chips = read::common(now.state.boards.iter().map(|board| board.chip.as_str()));
    let record = Record::default()
        .with("ASC Count", now.state.boards.len())
        .with("PGA Count", 0)
        .with("Pool Count", now.state.pools.len())
        .with("Strategy", strategy)
        .with("Log Interval", LOG_INTERVAL)
        .with("Device Code", chips.unwrap_or("mixed"))
        .with("OS", now.facts.os.as_str())
        .with("Hotplug", "None");
    Reply::success(33, "Configuration").one("CONFIG", record)
}

fn summary(now: &Now<'_>) -> Reply {
    let (state, miner) = (now.state, &now.state.miner);
    let elapsed = state.system.uptime_s.max(0.0);
    let sum = |of: fn(&PoolStatus) -> u64| state.pools.iter().map(of).sum::<u64>();
    let accepted_difficulty: f64 = state
        .pools
        .iter()
        .map(|pool| pool.accepted_difficulty)
        .sum();
    let rejected_difficulty: f64 = state.pools.iter().map(|pool| rejected(now, pool)).sum();
    let stale_difficulty: f64 = state.pools.iter().map(stale_difficulty).sum();
    let (blocks, _) = now.books.blocks();
    let rates = Averages {
        all: average(now, None),
        s5: miner.hashrate.s5.hps,
        m1: miner.hashrate.m1.hps,
        m5: now.books.rate(None, 300.0),
        m15: now.books.rate(None, 900.0),
    };
    let record = rates
        .onto(Record::default().with("Elapsed", whole(elapsed.floor())))
        .with("Found Blocks", miner.found_blocks)
        .with("Getworks", sum(|pool| pool.jobs))
        .with("Accepted", miner.accepted)
        .with("Rejected", miner.rejected)
        .with("Hardware Errors", miner.nonces.hardware_errors)
        .with("Utility", per_minute(miner.accepted as f64, elapsed))
        .with("Discarded", 0)
        .with("Stale", sum(|pool| pool.dropped))
        .with("Get Failures", 0)
        .with(
            "Local Work",
            state
                .boards
                .iter()
                .map(|board| board.jobs_sent)
                .sum::<u64>(),
        )
        .with("Remote Failures", sum(|pool| pool.unconfirmed))
        .with("Network Blocks", blocks)
        .with("Total MH", Value::Fixed(now.books.hashes() / 1e6, 4))
        .with(
            "Work Utility",
            per_minute(now.books.hashes() / DIFF1, elapsed),
        )
        .with("Difficulty Accepted", Value::Fixed(accepted_difficulty, 8))
        .with("Difficulty Rejected", Value::Fixed(rejected_difficulty, 8))
        .with("Difficulty Stale", Value::Fixed(stale_difficulty, 8))
        .with("Best Share", whole(miner.best_difficulty.floor()))
        .with("Device Hardware%", hardware_percent(&miner.nonces))
        .with(
            "Device Rejected%",
            four(read::percent(rejected_difficulty, accepted_difficulty)),
        )
        .with(
            "Pool Rejected%",
            four(read::percent(rejected_difficulty, accepted_difficulty)),
        )
        .with(
            "Pool Stale%",
            four(read::percent(stale_difficulty, accepted_difficulty)),
        )
        .with("Last getwork", now.books.last_job().unwrap_or(0));
    Reply::success(11, "Summary").one("SUMMARY", record)
}

fn devs(now: &Now<'_>) -> Reply {
    let records: Vec<_> = now
        .state
        .boards
        .iter()
        .map(|board| dev(now, board))
        .collect();
    match records.len() {
        0 => Reply::error(10, "No devices".to_owned()),
        many => Reply::success(9, &format!("{many} device(s)")).list("DEVS", records),
    }
}

fn asc(parameter: Option<&str>, now: &Now<'_>) -> Reply {
    match board_of(parameter, now) {
        Err(reply) => reply,
        Ok(board) => {
            let text = format!("Device {}", board.index);
            Reply::success(106, &text).list("ASC", vec![dev(now, board)])
        }
    }
}

/// The board that a parameter names.
pub(super) fn board_of<'a>(
    parameter: Option<&str>,
    now: &Now<'a>,
) -> Result<&'a BoardStatus, Reply> {
    let boards = &now.state.boards;
    let Some(text) = parameter.map(str::trim).filter(|text| !text.is_empty()) else {
        return Err(Reply::error(15, "Missing device id".to_owned()));
    };
    if boards.is_empty() {
        return Err(Reply::error(105, "No devices".to_owned()));
    }
    let found = text.parse().ok().and_then(|index: usize| boards.get(index));
    found.ok_or_else(|| {
        let last = boards.len() - 1;
        Reply::error(107, format!("Invalid device id; they are 0 to {last}"))
    })
}

fn count(name: &'static str, code: u16, count: usize) -> Reply {
    Reply::success(code, "Number of devices").one(name, Record::default().with("Count", count))
}

fn dev(now: &Now<'_>, board: &BoardStatus) -> Record {
    let book = now.books.board(board.index);
    let (accepted, rejected) = now.books.answers(now.state, board.index);
    let elapsed = now.state.system.uptime_s.max(0.0);
    let (last_time, last_pool, last_difficulty) = match book.last_share {
        Some((at, pool, difficulty)) => (at, i64::try_from(pool).unwrap_or(-1), difficulty),
        None => (0, -1, 0.0),
    };
    let rates = Averages {
        all: average(now, Some(board.index)),
        s5: board.hashrate.s5.hps,
        m1: board.hashrate.m1.hps,
        m5: now.books.rate(Some(board.index), 300.0),
        m15: now.books.rate(Some(board.index), 900.0),
    };
    let record = Record::default()
        .with("ASC", board.index)
        .with("Name", board.chip.as_str())
        .with("ID", board.index)
        .with("Enabled", yes(is_enabled(board)))
        .with("Status", status_of(board))
        .with(
            "Temperature",
            two(read::chip_c(now.state, board).unwrap_or(0.0)),
        );
    rates
        .onto(record)
        .with("Accepted", accepted)
        .with("Rejected", rejected)
        .with("Hardware Errors", board.nonces.hardware_errors)
        .with("Utility", per_minute(accepted as f64, elapsed))
        .with("Last Share Pool", last_pool)
        .with("Last Share Time", last_time)
        .with("Total MH", Value::Fixed(book.hashes / 1e6, 4))
        .with("Diff1 Work", whole(book.hashes / DIFF1))
        .with(
            "Difficulty Accepted",
            Value::Fixed(book.accepted_difficulty, 8),
        )
        .with(
            "Difficulty Rejected",
            Value::Fixed(book.rejected_difficulty, 8),
        )
        .with("Last Share Difficulty", Value::Fixed(last_difficulty, 8))
        .with("No Device", false)
        .with("Last Valid Work", book.last_valid.unwrap_or(0))
        .with("Device Hardware%", hardware_percent(&board.nonces))
        .with(
            "Device Rejected%",
            four(read::percent(
                book.rejected_difficulty,
                book.accepted_difficulty,
            )),
        )
        .with("Device Elapsed", whole(elapsed.floor()))
        .with("Nominal MHS", two(board.expected_hps / 1e6))
}

fn devdetails(now: &Now<'_>) -> Reply {
    let records = now.state.boards.iter().map(|board| {
        let cores = read::cores(&board.chip);
        Record::default()
            .with("DEVDETAILS", board.index)
            .with("Name", board.chip.as_str())
            .with("ID", board.index)
            .with("Driver", "hashwright")
            .with("Kernel", if board.simulated { "simulated" } else { "" })
            .with("Model", board.model.as_str())
            .with("Device Path", board.uart.as_str())
            .with("Chips", board.chips_found)
            .with_known(
                "Cores",
                cores.map(|cores| u32::from(cores) * u32::from(board.chips_found)),
            )
            .with("Frequency", whole(board.frequency_mhz * 1e6))
            .with_known(
                "Voltage",
                read::actual_mv(now.state, board).map(|mv| two(mv / 1e3)),
            )
    });
    Reply::success(69, "Device details")
        .list("DEVDETAILS", records.collect())
        .without_brands()
}

fn pools(now: &Now<'_>) -> Reply {
    let records: Vec<_> = now
        .state
        .pools
        .iter()
        .map(|pool| one_pool(now, pool))
        .collect();
    match records.len() {
        0 => Reply::error(8, "No pools".to_owned()),
        many => Reply::success(7, &format!("{many} Pool(s)")).list("POOLS", records),
    }
}

fn one_pool(now: &Now<'_>, pool: &PoolStatus) -> Record {
    let state = now.state;
    let book = now.books.pool(pool.index);
    let stratum = read::is_stratum(pool);
    let alive = pool_status(pool) == "Alive";
    let (_, host, port) = read::address(&pool.url);
    let rejected = rejected(now, pool);
    let stale = stale_difficulty(pool);
    let last = pool
        .last_share_s
        .map(|at| read::unix_of(state, now.unix_s, at));
    let quota = pool.quota_percent.map_or(1.0, f64::round);
    Record::default()
        .with("POOL", pool.index)
        .with("URL", pool.url.as_str())
        .with("Status", pool_status(pool))
        .with("Priority", pool.index)
        .with("Quota", whole(quota))
        .with("Long Poll", "N")
        .with("Getworks", pool.jobs)
        .with("Accepted", pool.accepted)
        .with("Rejected", pool.rejected)
        .with("Works", pool.jobs)
        .with("Discarded", 0)
        .with("Stale", pool.dropped)
        .with("Get Failures", 0)
        .with("Remote Failures", pool.unconfirmed)
        .with("User", pool.user.as_str())
        .with("Last Share Time", last.unwrap_or(0))
        .with("Diff1 Shares", whole(pool.accepted_difficulty + rejected))
        .with("Proxy Type", "")
        .with("Proxy", "")
        .with(
            "Difficulty Accepted",
            Value::Fixed(pool.accepted_difficulty, 8),
        )
        .with("Difficulty Rejected", Value::Fixed(rejected, 8))
        .with("Difficulty Stale", Value::Fixed(stale, 8))
        .with(
            "Last Share Difficulty",
            Value::Fixed(book.last_difficulty, 8),
        )
        .with("Work Difficulty", Value::Fixed(pool.difficulty, 8))
        .with("Has Stratum", stratum)
        .with("Stratum Active", stratum && alive)
        .with(
            "Stratum URL",
            if stratum && alive {
                format!("{host}:{port}")
            } else {
                String::new()
            },
        )
        .with(
            "Stratum Difficulty",
            Value::Fixed(if stratum { pool.difficulty } else { 0.0 }, 8),
        )
        .with("Has Vmask", pool.version_mask != 0)
        .with("Has GBT", !stratum)
        .with("Best Share", whole(pool.best_difficulty.floor()))
        .with(
            "Pool Rejected%",
            four(read::percent(rejected, pool.accepted_difficulty)),
        )
        .with(
            "Pool Stale%",
            four(read::percent(stale, pool.accepted_difficulty)),
        )
        .with("Bad Work", 0)
        .with(
            "Current Block Height",
            pool.payout.as_ref().and_then(|job| job.height).unwrap_or(0),
        )
        .with("Current Block Version", 0)
}

fn stats(now: &Now<'_>, with_pools: bool) -> Reply {
    let elapsed = now.state.system.uptime_s.max(0.0).floor();
    let head = |number: usize, id: String| {
        Record::default()
            .with("STATS", number)
            .with("ID", id)
            .with("Elapsed", whole(elapsed))
            .with("Calls", 0)
            .with("Wait", Value::Fixed(0.0, 6))
            .with("Max", Value::Fixed(0.0, 6))
            .with("Min", Value::Fixed(0.0, 6))
    };
    let mut records = Vec::new();
    for board in &now.state.boards {
        let (state, nonces) = (now.state, &board.nonces);
        let record = head(records.len(), format!("{}{}", board.chip, board.index))
            .with("Model", board.model.as_str())
            .with("State", board.state.as_str())
            .with_known("Problem", board.problem.as_deref())
            .with("Simulated", board.simulated)
            .with("Chips", board.chips_found)
            .with("Chips Expected", board.chips_expected)
            .with("Frequency", two(board.frequency_mhz))
            .with("Frequency Wanted", two(board.target_mhz))
            .with("Nominal MHS", two(board.expected_hps / 1e6))
            .with("MHS 10m", two(board.hashrate.m10.hps / 1e6))
            .with("MHS 1h", two(board.hashrate.h1.hps / 1e6))
            .with_known("Voltage mV", read::actual_mv(state, board).map(two))
            .with_known("Power", board.power_w.map(two))
            .with_known(
                "Temp Chip",
                read::hottest(state, board, Place::Chip).map(two),
            )
            .with_known(
                "Temp Board",
                read::hottest(state, board, Place::Board).map(two),
            )
            .with_known(
                "Temp Regulator",
                read::hottest(state, board, Place::Regulator).map(two),
            )
            .with_known("Fan%", board.fan_percent)
            .with("Nonces", nonces.valid)
            .with("Duplicates", nonces.duplicates)
            .with("Stale Nonces", nonces.stale)
            .with("Shares Lost", board.shares_lost)
            .with("CRC Errors", board.crc_errors)
            .with("Dropped Bytes", board.dropped_bytes)
            .with("Restarts", board.restarts);
        records.push(record);
    }
    for pool in now.state.pools.iter().filter(|_| with_pools) {
        let difficulty = Value::Fixed(pool.difficulty, 8);
        let record = head(records.len(), format!("POOL{}", pool.index))
            .with("Pool Calls", 0)
            .with("Pool Attempts", 0)
            .with("Pool Wait", Value::Fixed(0.0, 6))
            .with("Pool Max", Value::Fixed(0.0, 6))
            .with("Pool Min", Value::Fixed(0.0, 6))
            .with("Pool Av", Value::Fixed(0.0, 6))
            .with("Work Had Roll Time", false)
            .with("Work Can Roll", false)
            .with("Work Had Expire", false)
            .with("Work Roll Time", 0)
            .with("Work Diff", difficulty.clone())
            .with("Min Diff", difficulty.clone())
            .with("Max Diff", difficulty)
            .with("Min Diff Count", 0)
            .with("Max Diff Count", 0)
            .with("Times Sent", pool.submitted)
            .with("Bytes Sent", 0)
            .with("Times Recv", pool.jobs)
            .with("Bytes Recv", 0)
            .with("Net Bytes Sent", 0)
            .with("Net Bytes Recv", 0)
            .with("Connects", pool.connects)
            .with("State", pool.state.as_str())
            .with("Role", pool.role.as_str())
            .with("Work%", two(pool.work_percent))
            .with_known("Latency ms", pool.latency_ms.map(two))
            .with_known("Problem", pool.problem.as_deref());
        records.push(record);
    }
    Reply::success(70, "Statistics")
        .list("STATS", records)
        .without_brands()
}

fn coin(now: &Now<'_>) -> Reply {
    let (_, began) = now.books.blocks();
    let record = Record::default()
        .with("Hash Method", "sha256")
        .with(
            "Current Block Time",
            Value::Fixed(began.unwrap_or(0) as f64, 6),
        )
        .with("Current Block Hash", "")
        .with(
            "LP",
            now.state
                .pools
                .iter()
                .any(|pool| pool_status(pool) == "Alive"),
        )
        .with("Network Difficulty", Value::Fixed(0.0, 8));
    Reply::success(78, "Coin").one("COIN", record)
}

fn lcd(now: &Now<'_>) -> Reply {
    let (state, miner) = (now.state, &now.state.miner);
    let ghs = |hps: f64| two(hps / 1e9);
    let books = (0..state.boards.len()).map(|index| now.books.board(index));
    let last = books
        .clone()
        .filter_map(|book| book.last_share)
        .max_by_key(|share| share.0);
    let pools = state.pools.iter().filter(|pool| pool.active);
    let pool = pools.max_by(|a, b| a.work_percent.total_cmp(&b.work_percent));
    let pool_last = state
        .pools
        .iter()
        .filter_map(|pool| pool.last_share_s)
        .reduce(f64::max);
    let last_time = pool_last.map(|at| read::unix_of(state, now.unix_s, at));
    let hottest = state
        .boards
        .iter()
        .filter_map(|board| read::chip_c(state, board));
    let record = Record::default()
        .with("Elapsed", whole(state.system.uptime_s.max(0.0).floor()))
        .with("GHS av", ghs(average(now, None)))
        .with("GHS 5m", ghs(now.books.rate(None, 300.0)))
        .with("GHS 5s", ghs(miner.hashrate.s5.hps))
        .with("Temperature", two(hottest.reduce(f64::max).unwrap_or(0.0)))
        .with(
            "Last Share Difficulty",
            Value::Fixed(last.map_or(0.0, |share| share.2), 8),
        )
        .with("Last Share Time", last_time.unwrap_or(0))
        .with("Best Share", whole(miner.best_difficulty.floor()))
        .with(
            "Last Valid Work",
            books.filter_map(|book| book.last_valid).max().unwrap_or(0),
        )
        .with("Found Blocks", miner.found_blocks)
        .with("Current Pool", pool.map_or("", |pool| pool.url.as_str()))
        .with("User", pool.map_or("", |pool| pool.user.as_str()));
    Reply::success(125, "LCD").one("LCD", record)
}

fn notify(now: &Now<'_>) -> Reply {
    let records = now.state.boards.iter().map(|board| {
        let book = now.books.board(board.index);
        let (when, why) = match &book.last_not_well {
            Some((when, why)) => (*when, why.as_str()),
            None => (0, "None"),
        };
        let fault = read::station_of(now.state, board)
            .and_then(|station| station.status.guard.fault.as_ref())
            .map_or("", |fault| fault.code.as_str());
        let throttled = read::station_of(now.state, board)
            .is_some_and(|station| station.status.cooling.throttle < 1.0);
        let cut = !fault.is_empty() && matches!(board.state.as_str(), "held" | "latched");
        Record::default()
            .with("NOTIFY", board.index)
            .with("Name", board.chip.as_str())
            .with("ID", board.index)
            .with("Last Well", book.last_well.unwrap_or(0))
            .with("Last Not Well", when)
            .with("Reason Not Well", why)
            .with("*Thread Fail Init", 0)
            .with("*Thread Zero Hash", 0)
            .with("*Thread Fail Queue", 0)
            .with("*Dev Sick Idle 60s", 0)
            .with("*Dev Dead Idle 600s", 0)
            .with("*Dev Nostart", u8::from(board.state == "failed"))
            .with("*Dev Over Heat", u8::from(cut && read::is_heat(fault)))
            .with("*Dev Thermal Cutoff", u8::from(cut && read::is_heat(fault)))
            .with("*Dev Comms Error", board.restarts)
            .with("*Dev Throttle", u8::from(throttled))
    });
    Reply::success(60, "Notify").list("NOTIFY", records.collect())
}

fn fans(now: &Now<'_>) -> Reply {
    let records: Vec<_> = read::fans(now.state)
        .enumerate()
        .map(|(index, fan)| {
            Record::default()
                .with("FAN", index)
                .with("ID", index)
                .with("RPM", fan.rpm.unwrap_or(0))
                .with("Speed", fan.duty_percent)
        })
        .collect();
    Reply::success(202, &format!("{} Fan(s)", records.len())).list("FANS", records)
}

fn temps(now: &Now<'_>) -> Reply {
    let mut records = Vec::new();
    for board in &now.state.boards {
        let chip = read::chip_c(now.state, board);
        let own = read::hottest(now.state, board, Place::Board);
        if chip.is_some() || own.is_some() {
            records.push(
                Record::default()
                    .with("TEMP", records.len())
                    .with("ID", board.index)
                    .with_known("Board", own.map(two))
                    .with_known("Chip", chip.map(two)),
            );
        }
    }
    Reply::success(201, &format!("{} Temp(s)", records.len())).list("TEMPS", records)
}

fn tempctrl(now: &Now<'_>) -> Reply {
    let records: Vec<_> = now
        .state
        .stations
        .iter()
        .map(|station| {
            let cooling = &station.status.cooling;
            let mode = match cooling.mode {
                Mode::Auto => "Automatic",
                Mode::Manual { .. } => "Manual",
                Mode::Immersion { .. } => "Immersion",
            };
            Record::default()
                .with("TEMPCTRL", station.index)
                .with("Mode", mode)
                .with("Target", two(cooling.target_c))
                .with("Hot", two(cooling.hot_c))
                .with("Dangerous", two(cooling.limit_c))
        })
        .collect();
    match records.is_empty() {
        true => Reply::error(10, "No board here is cooled by this agent".to_owned()),
        false => Reply::success(200, "Temperature control").list("TEMPCTRL", records),
    }
}

/// The averages that cgminer has, hashes per second.
struct Averages {
    all: f64,
    s5: f64,
    m1: f64,
    m5: f64,
    m15: f64,
}

impl Averages {
    fn onto(self, record: Record) -> Record {
        let mhs = |hps: f64| two(hps / 1e6);
        record
            .with("MHS av", mhs(self.all))
            .with("MHS 5s", mhs(self.s5))
            .with("MHS 1m", mhs(self.m1))
            .with("MHS 5m", mhs(self.m5))
            .with("MHS 15m", mhs(self.m15))
    }
}

/// Work since the start over the time since then, hashes per second.
fn average(now: &Now<'_>, board: Option<usize>) -> f64 {
    let hashes = match board {
        Some(index) => now.books.board(index).hashes,
        None => now.books.hashes(),
    };
    match now.books.counted_s() {
        counted if counted > 0.0 => hashes / counted,
        _ => 0.0,
    }
}

/// Difficulty of rejected shares: counted, or what they are worth now where they came before the count.
fn rejected(now: &Now<'_>, pool: &PoolStatus) -> f64 {
    let counted = now.books.pool(pool.index).rejected_difficulty;
    if counted > 0.0 || pool.rejected == 0 {
        return counted;
    }
    pool.rejected as f64 * pool.difficulty
}

/// Shares that were not sent, at what they are worth now.
fn stale_difficulty(pool: &PoolStatus) -> f64 {
    pool.dropped as f64 * pool.difficulty
}

pub(super) fn is_enabled(board: &BoardStatus) -> bool {
    !matches!(board.state.as_str(), "disabled" | "paused")
}

fn status_of(board: &BoardStatus) -> &'static str {
    match board.state.as_str() {
        "mining" | "idle" => "Alive",
        "held" | "stopping" => "Sick",
        "failed" | "latched" => "Dead",
        "off" | "stopped" | "disabled" | "paused" => "NoStart",
        "checking" | "powering" | "opening" | "starting" | "ramping" | "verifying" => {
            "Initialising"
        }
        _ => "Unknown",
    }
}

fn pool_status(pool: &PoolStatus) -> &'static str {
    match pool.state.as_str() {
        "mining" => "Alive",
        "refused" => "Rejecting",
        "unused" => "Unknown",
        _ => "Dead",
    }
}

fn hardware_percent(nonces: &rpc::state::NonceCounters) -> Value {
    four(read::percent(
        nonces.hardware_errors as f64,
        nonces.valid as f64,
    ))
}

fn four(value: f64) -> Value {
    Value::Fixed(value, 4)
}

fn per_minute(count: f64, elapsed_s: f64) -> Value {
    two(if elapsed_s > 0.0 {
        count * 60.0 / elapsed_s
    } else {
        0.0
    })
}

fn yes(truth: bool) -> &'static str {
    if truth { "Y" } else { "N" }
}
