//! The state of the miner as messages, with the values in units that people read.

use autotune::Aim;
use rpc::Snapshot;
use rpc::state::{BoardStatus, PoolStatus, StationStatus};
use rpc::tuner::TunerStatus;
use serde_json::{Value, json};
use station::Mode;

use super::{Message, Topics};
use crate::tuned;

/// The messages that tell a state: one for the miner, one for each board, station and pool, and one for what the
/// miner is tuned for. A message that is as it was last time need not be
/// sent.
#[must_use]
pub fn states(topics: &Topics, state: &Snapshot) -> Vec<Message> {
    let mut messages = vec![topics.kept("state", &miner(state))];
    for board in &state.boards {
        messages.push(topics.kept(&format!("board/{}", board.index), &self::board(board)));
    }
    for station in &state.stations {
        let rest = format!("station/{}", station.index);
        messages.push(topics.kept(&rest, &self::station(station)));
    }
    for pool in &state.pools {
        messages.push(topics.kept(&format!("pool/{}", pool.index), &self::pool(pool)));
    }
    if !state.tuner.stations.is_empty() {
        messages.push(topics.kept("tuner", &tuner(&state.tuner)));
    }
    messages
}

fn miner(state: &Snapshot) -> Value {
    let miner = &state.miner;
    let troubled = |board: &&BoardStatus| {
        board.problem.is_some() || matches!(&board.state[..], "failed" | "held" | "latched")
    };
    let problem = state.boards.iter().find(troubled).map(|board| {
        let problem = board.problem.as_deref().unwrap_or(&board.state);
        format!("board {}: {problem}", board.index)
    });
    let active = state.pools.iter().find(|pool| pool.active);
    let cooling = state
        .stations
        .first()
        .map(|station| &station.status.cooling);
    json!({
        "state": miner.state,
        "mining": miner.state == "mining",
        "paused": miner.paused,
        "simulated": miner.simulated,
        "hashrate_th_s": tera(miner.hashrate.m1.hps),
        "hashrate_10m_th_s": tera(miner.hashrate.m10.hps),
        "expected_th_s": tera(miner.expected_hps),
        "power_w": miner.power_w.and_then(|w| rounded(w, 1)),
        "efficiency_j_th": miner.efficiency_j_th.and_then(|j| rounded(j, 2)),
        "temperature_c": miner.hottest_c.and_then(|c| rounded(c, 1)),
        "accepted": miner.accepted,
        "rejected": miner.rejected,
        "best_difficulty": rounded(miner.best_difficulty, 0),
        "found_blocks": miner.found_blocks,
        "pool": active.map(|pool| &pool.url),
        "connected": active.is_some_and(|pool| pool.state == "mining"),
        "problem": problem,
        "cooling_mode": cooling.map(|cooling| mode(cooling.mode)),
        "cooling_target_c": cooling.and_then(|cooling| rounded(cooling.target_c, 1)),
        "fan_percent": cooling.map(|cooling| cooling.duty_percent),
        "started_unix_s": Some(state.system.started_unix_s).filter(|started| *started > 0),
        "version": state.system.version,
    })
}

fn board(board: &BoardStatus) -> Value {
    let nonces = &board.nonces;
    let all = nonces.valid + nonces.hardware_errors;
    let errors = (all > 0).then(|| 100.0 * nonces.hardware_errors as f64 / all as f64);
    json!({
        "model": board.model,
        "chip": board.chip,
        "state": board.state,
        "problem": board.problem,
        "hashrate_th_s": tera(board.hashrate.m1.hps),
        "expected_th_s": tera(board.expected_hps),
        "frequency_mhz": rounded(board.frequency_mhz, 2),
        "temperature_c": board.temperature_c.and_then(|c| rounded(c, 1)),
        "chips": board.chips_found,
        "chips_expected": board.chips_expected,
        "hardware_errors_percent": errors.and_then(|percent| rounded(percent, 3)),
        "restarts": board.restarts,
    })
}

fn station(station: &StationStatus) -> Value {
    let status = &station.status;
    let value = |name: &str, digits| {
        let reading = status.reading(name)?;
        rounded(reading.value?, digits)
    };
    let fans: Vec<_> = status
        .fans
        .iter()
        .map(|fan| json!({"name": fan.name, "rpm": fan.rpm, "duty_percent": fan.duty_percent}))
        .collect();
    json!({
        "boards": station.boards,
        "phase": status.phase,
        "power_w": value("input power", 1),
        "core_mv": value("core voltage", 0),
        "temperature_c": status.cooling.temperature_c.and_then(|c| rounded(c, 1)),
        "cooling_mode": mode(status.cooling.mode),
        "cooling_target_c": rounded(status.cooling.target_c, 1),
        "throttle_percent": rounded(status.cooling.throttle * 100.0, 0),
        "fans": fans,
        "fault": status.guard.fault.as_ref().filter(|fault| fault.latched).map(|fault| &fault.code),
    })
}

fn pool(pool: &PoolStatus) -> Value {
    json!({
        "url": pool.url,
        "protocol": pool.protocol,
        "state": pool.state,
        "role": pool.role,
        "connected": pool.state == "mining",
        "active": pool.active,
        "difficulty": rounded(pool.difficulty, 3),
        "accepted": pool.accepted,
        "rejected": pool.rejected,
        "stale": pool.stale,
        "latency_ms": pool.latency_ms.and_then(|ms| rounded(ms, 0)),
        "problem": pool.problem,
        "alarm": pool.alarm,
    })
}

fn tuner(tuner: &TunerStatus) -> Value {
    let demand = &tuner.demand;
    let foremost = tuned::foremost(tuner);
    let stations = || tuner.stations.iter();
    let promise = tuned::promise(tuner);
    let short = stations().find(|station| station.reach != "reached");
    let most = |values: &mut dyn Iterator<Item = f64>| values.reduce(f64::max);
    // A minute more or less is no news, ten seconds of the last one are.
    let left = |seconds: f64| match seconds {
        long if long > 120.0 => rounded(long / 60.0, 0).map(|minutes| minutes * 60.0),
        short => rounded(short, -1),
    };
    let because = stations().find_map(|s| s.trouble.as_ref().or(s.because.as_ref()));
    json!({
        "aim": tuned::aim(tuner.aim),
        "aim_w": match tuner.aim { Aim::Watts(watts) => rounded(watts, 1), _ => None },
        "aim_th_s": match tuner.aim { Aim::Hashrate(ths) => rounded(ths, 3), _ => None },
        "power_cap_w": tuner.caps.watts.and_then(|w| rounded(w, 1)),
        "power_cap_now_w": demand.caps.watts.and_then(|w| rounded(w, 0)),
        "asleep": demand.asleep,
        "reason": demand.reasons.first().map(|reason| &reason.text),
        "rules": demand.reasons.iter().map(|reason| &reason.code[..]).collect::<Vec<_>>(),
        "next_change_unix_s": demand.next_change_unix_s,
        "curtailed_to_w": demand.curtailed_to_w.and_then(|w| rounded(w, 0)),
        "price_per_kwh": demand.price_per_kwh.and_then(|price| rounded(price, 6)),
        "revenue_per_ths_day": demand.revenue_per_ths_day.and_then(|money| rounded(money, 6)),
        "surplus_w": demand.surplus_w.and_then(|w| rounded(w, 0)),
        "activity": foremost.map(|station| &station.activity),
        "because": because,
        "reach": short.map_or("reached", |station| &station.reach),
        "promised_w": promise.and_then(|(_, watts)| rounded(watts, 1)),
        "promised_th_s": promise.and_then(|(ths, _)| rounded(ths, 3)),
        "promised_j_th": promise.and_then(|(ths, watts)| rounded(watts / ths, 2)),
        "progress_percent": stations()
            .filter_map(|station| station.progress_percent)
            .reduce(f64::min)
            .and_then(|percent| rounded(percent, 0)),
        "remaining_s": most(&mut stations().filter_map(|s| s.remaining_s)).and_then(left),
        "regret_percent": most(&mut stations().filter(|s| tuned::tunes(s)).map(|s| s.regret_percent))
            .and_then(|percent| rounded(percent, 2)),
        "silent_chips": stations().map(|station| station.silent.len()).sum::<usize>(),
    })
}

pub(super) fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Auto => "auto",
        Mode::Manual { .. } => "manual",
        Mode::Immersion { .. } => "immersion",
    }
}

fn tera(hps: f64) -> Option<f64> {
    rounded(hps / 1e12, 4)
}

/// Noise in the last digits would make a message out of nothing.
fn rounded(value: f64, digits: i32) -> Option<f64> {
    let scale = 10_f64.powi(digits);
    Some((value * scale).round() / scale).filter(|value| value.is_finite())
}
