//! What can be read. A key whose value is not known is left out: clients take a null for a broken miner.

use rpc::Snapshot;
use rpc::state::{BoardStatus, PoolStatus};
use serde_json::{Map, Value, json};
use station::Mode;

use crate::Now;
use crate::books::Sample;
use crate::read::{self, Place};

/// Most chips that are listed one by one.
const MOST_CHIPS: usize = 1024;

/// `/api/system/info`.
pub(super) fn info(now: &Now<'_>) -> Value {
    let (state, miner) = (now.state, &now.state.miner);
    let mut out = Out::default();
    out.text("ASICModel", &asic_model(state));
    out.put("asicCount", chips(state));
    machine(&mut out, state);
    hashing(&mut out, now);
    heat(&mut out, state);
    pools(&mut out, state);
    out.put("sharesAccepted", miner.accepted);
    out.put("sharesRejected", miner.rejected);
    out.put("sharesRejectedReasons", reasons(state));
    out.number("bestDiff", Some(miner.best_difficulty));
    out.number("bestSessionDiff", Some(miner.best_difficulty));
    out.put("blockFound", miner.found_blocks);
    out.put("miningPaused", miner.paused);
    out.put("overheat_mode", u8::from(is_overheated(state)));
    out.put("simulated", miner.simulated);
    Value::Object(out.0)
}

/// `/api/system/asic`.
pub(super) fn asic(now: &Now<'_>) -> Value {
    let mut out = Out::default();
    out.text("ASICModel", &asic_model(now.state));
    out.put("asicCount", chips(now.state));
    let model = read::common(now.state.boards.iter().map(|board| board.model.as_str()));
    out.text("deviceModel", model.unwrap_or("several boards"));
    out.text("swarmColor", "gray");
    if let Some(offered) = &now.facts.offered {
        out.number("defaultFrequency", Some(offered.default_mhz));
        out.put("frequencyOptions", offered.mhz.clone());
        out.put("defaultVoltage", offered.default_mv);
        out.put("voltageOptions", offered.mv.clone());
    }
    Value::Object(out.0)
}

/// The columns that there are, and the value of each in a sample.
type Column = (&'static str, fn(&Sample) -> Option<f64>);
const COLUMNS: [Column; 8] = [
    ("hashrate", |sample| Some(sample.hps[0] / 1e9)),
    ("hashrate_1m", |sample| Some(sample.hps[0] / 1e9)),
    ("hashrate_10m", |sample| Some(sample.hps[1] / 1e9)),
    ("hashrate_1h", |sample| Some(sample.hps[2] / 1e9)),
    ("asicTemp", |sample| sample.hottest_c),
    ("power", |sample| sample.power_w),
    ("fanSpeed", |sample| sample.fan_percent.map(f64::from)),
    ("fanRpm", |sample| sample.fan_rpm.map(f64::from)),
];

/// `/api/system/statistics`: rows of the history, the time of each, milliseconds of uptime, at its end.
pub(super) fn statistics(now: &Now<'_>, columns: Option<&str>) -> Value {
    let wanted = |name: &str| columns.is_none_or(|list| list.split(',').any(|one| one == name));
    let columns: Vec<_> = COLUMNS.iter().filter(|(name, _)| wanted(name)).collect();
    let mut labels: Vec<_> = columns.iter().map(|(name, _)| *name).collect();
    labels.push("timestamp");
    let row = |sample: &Sample| {
        let values = columns
            .iter()
            .map(|(_, value)| json!(value(sample).map(rounded)));
        let at = json!((sample.at_s * 1e3) as u64);
        Value::Array(values.chain([at]).collect())
    };
    let rows: Vec<_> = now.books.samples().map(row).collect();
    json!({
        "currentTimestamp": (now.state.system.uptime_s * 1e3) as u64,
        "labels": labels,
        "statistics": rows,
    })
}

/// Name of the chips; all names where boards differ.
fn asic_model(state: &Snapshot) -> String {
    let mut names: Vec<&str> = Vec::new();
    for board in &state.boards {
        if !names.contains(&board.chip.as_str()) {
            names.push(&board.chip);
        }
    }
    names.join("+")
}

/// Chips that answer; before any does, those that are expected.
fn chips(state: &Snapshot) -> u64 {
    let sum =
        |of: fn(&BoardStatus) -> u16| state.boards.iter().map(|board| u64::from(of(board))).sum();
    match sum(|board| board.chips_found) {
        0 => sum(|board| board.chips_expected),
        found => found,
    }
}

fn machine(out: &mut Out, state: &Snapshot) {
    let system = &state.system;
    let hostname = match system.hostname.as_str() {
        "" => system.name.as_str(),
        hostname => hostname,
    };
    out.text("hostname", hostname);
    out.text("deviceName", &system.name);
    out.text("version", &system.version);
    out.text("firmware", "hashwright");
    out.put("uptimeSeconds", system.uptime_s.max(0.0) as u64);
    if let Some(mac) = &system.mac {
        out.text("macAddr", &mac.to_ascii_uppercase());
    }
    let v4 = system
        .addresses
        .iter()
        .find(|address| !address.contains(':'));
    if let Some(address) = v4 {
        out.text("ipv4", address);
    }
}

fn hashing(out: &mut Out, now: &Now<'_>) {
    let (state, miner) = (now.state, &now.state.miner);
    let rates = &miner.hashrate;
    for (key, hps) in [
        ("hashRate", rates.m1.hps),
        ("hashRate_1m", rates.m1.hps),
        ("hashRate_10m", rates.m10.hps),
        ("hashRate_1h", rates.h1.hps),
        ("expectedHashrate", miner.expected_hps),
    ] {
        let ghs = if hps.is_finite() { hps / 1e9 } else { 0.0 };
        out.number(key, Some(ghs));
    }
    let nonces = &miner.nonces;
    let errors = read::percent(nonces.hardware_errors as f64, nonces.valid as f64);
    out.number("errorPercentage", Some(errors));
    out.number("power", miner.power_w);
    out.number("frequency", frequency(state));
    let small = |board: &BoardStatus| read::small_cores(&board.chip);
    if let Some(Some(cores)) = read::common(state.boards.iter().map(small)) {
        out.put("smallCoreCount", cores);
    }
    let told = |board: &BoardStatus| read::told_mv(state, board);
    if let Some(mv) = read::common(state.boards.iter().map(told)).flatten() {
        out.put("coreVoltage", mv.round() as u64);
    }
    let actual = state
        .boards
        .iter()
        .filter_map(|board| read::actual_mv(state, board));
    if let Some(mv) = actual.reduce(f64::max) {
        out.put("coreVoltageActual", mv.round() as u64);
    }
    let monitor = |chip: &rpc::state::ChipStatus| {
        json!({
            "total": rounded(chip.hashrate.hps / 1e9),
            "errorCount": chip.hardware_errors,
            "domains": [],
        })
    };
    let asics: Vec<_> = state.chips.iter().take(MOST_CHIPS).map(monitor).collect();
    out.put("hashrateMonitor", json!({ "asics": asics }));
}

/// The clock of an average chip, MHz, so that chips times cores times clock is what is expected.
fn frequency(state: &Snapshot) -> Option<f64> {
    let weight = |board: &BoardStatus| f64::from(board.chips_found);
    let all: f64 = state.boards.iter().map(weight).sum();
    let sum: f64 = state
        .boards
        .iter()
        .map(|board| weight(board) * board.frequency_mhz)
        .sum();
    if all > 0.0 {
        Some(sum / all)
    } else {
        Some(0.0)
    }
}

fn heat(out: &mut Out, state: &Snapshot) {
    let boards = &state.boards;
    let chips = boards.iter().filter_map(|board| read::chip_c(state, board));
    out.number("temp", chips.reduce(f64::max));
    let regulators = boards
        .iter()
        .filter_map(|board| read::hottest(state, board, Place::Regulator));
    out.number("vrTemp", regulators.reduce(f64::max));
    let inputs = state
        .stations
        .iter()
        .filter_map(|station| read::reading(station, "input"));
    out.number("voltage", inputs.reduce(f64::max));
    for (fan, key) in read::fans(state).zip(["fanrpm", "fan2rpm", "fan3rpm", "fan4rpm"]) {
        if let Some(rpm) = fan.rpm {
            out.put(key, rpm);
        }
    }
    let coolings = state.stations.iter().map(|station| &station.status.cooling);
    let auto = !state.stations.is_empty() && coolings.clone().all(|own| own.mode == Mode::Auto);
    let duty = read::fans(state)
        .map(|fan| fan.duty_percent)
        .max()
        .unwrap_or(0);
    let manual = coolings.clone().find_map(|own| match own.mode {
        Mode::Manual { percent } => Some(percent),
        Mode::Auto | Mode::Immersion { .. } => None,
    });
    out.put("autofanspeed", u8::from(auto));
    // With fixed fans a client that writes back what it read must not change them.
    out.put("fanspeed", manual.filter(|_| !auto).unwrap_or(duty));
    out.put("manualFanSpeed", manual.unwrap_or(duty));
    out.number("temptarget", read::common(coolings.map(|own| own.target_c)));
}

fn is_overheated(state: &Snapshot) -> bool {
    let hot = |board: &BoardStatus| {
        let fault = read::station_of(state, board).and_then(|own| own.status.guard.fault.as_ref());
        matches!(board.state.as_str(), "held" | "latched")
            && fault.is_some_and(|fault| read::is_heat(&fault.code))
    };
    state.boards.iter().any(hot)
}

fn pools(out: &mut Out, state: &Snapshot) {
    let first = state.pools.first();
    pool(out, ["stratumURL", "stratumPort", "stratumUser"], first);
    let second = state.pools.get(1);
    if second.is_some() {
        let keys = [
            "fallbackStratumURL",
            "fallbackStratumPort",
            "fallbackStratumUser",
        ];
        pool(out, keys, second);
    }
    let active = |pool: &&PoolStatus| pool.active;
    let first_works = first.is_some_and(|pool| pool.active);
    let other = !first_works && state.pools.iter().any(|pool| pool.active);
    out.put("isUsingFallbackStratum", u8::from(other));
    if let Some(pool) = state.pools.iter().find(active).or(first) {
        out.number("poolDifficulty", Some(pool.difficulty));
        out.number("responseTime", pool.latency_ms);
        if let Some(height) = pool.payout.as_ref().and_then(|job| job.height) {
            out.put("blockHeight", height);
        }
    }
}

fn pool(out: &mut Out, [url, port, user]: [&'static str; 3], pool: Option<&PoolStatus>) {
    let (_, host, number) = read::address(pool.map_or("", |pool| &pool.url));
    out.text(url, host);
    out.put(port, number);
    out.text(user, pool.map_or("", |pool| &pool.user));
}

/// Why pools rejected shares; the same reason of several pools is one.
fn reasons(state: &Snapshot) -> Value {
    let mut reasons: Vec<(&str, u64)> = Vec::new();
    for reason in state.pools.iter().flat_map(|pool| &pool.reject_reasons) {
        match reasons
            .iter_mut()
            .find(|(known, _)| *known == reason.reason)
        {
            Some((_, count)) => *count += reason.count,
            None => reasons.push((&reason.reason, reason.count)),
        }
    }
    let told = |(reason, count): (&str, u64)| json!({ "message": reason, "count": count });
    Value::Array(reasons.into_iter().map(told).collect())
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// An object that never holds a null.
#[derive(Default)]
struct Out(Map<String, Value>);

impl Out {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn text(&mut self, key: &str, text: &str) {
        self.put(key, text);
    }

    fn number(&mut self, key: &str, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.put(key, rounded(value));
        }
    }
}
