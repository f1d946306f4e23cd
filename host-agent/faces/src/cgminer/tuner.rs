//! `tunerstatus`: what the tuners do, told as far as scripts for Braiins OS can read it.

use autotune::Aim;
use rpc::tuner::{DemandStatus, StationTuner};

use super::brand::without_brands;
use super::reply::{Record, Reply, Value, whole};
use crate::Now;
use crate::read;

/// What the tuners do, in the fields and words that scripts know from Braiins OS. Of the statuses its clients take `Stable`,
/// `Testing performance profile` and `Tuning individual chips` for well, and any other for trouble.
pub(super) fn tunerstatus(now: &Now<'_>) -> Reply {
    let tuner = &now.state.tuner;
    let limit = power_limit(&tuner.demand);
    let chains = now.state.boards.iter().map(|board| {
        let alone = read::station_of(now.state, board).is_some_and(|own| own.boards.len() == 1);
        let watts = board.power_w.filter(|_| alone);
        let own = tuner
            .stations
            .iter()
            .find(|station| station.boards.contains(&board.index));
        let (status, runs) = own.map_or(("Disabled".to_owned(), false), |own| tuning(now, own));
        let stage = own.and_then(|own| own.last.as_ref());
        let elapsed = stage.and_then(|step| now.unix_s.checked_sub(step.unix_s));
        // A cap is that of the machine: it is only a board's if there is no other.
        let cap = limit.filter(|_| now.state.boards.len() == 1);
        let tuned = own.filter(|own| own.activity != "off");
        Record::default()
            .with("HashchainIndex", board.index)
            .with("Status", status)
            .with("TunerRunning", runs)
            .with_known("Iteration", tuned.map(|own| u64::from(own.rounds)))
            .with_known("StageElapsed", elapsed.filter(|_| tuned.is_some()))
            .with_known("PowerLimitWatt", cap.map(whole))
            .with_known("ApproximatePowerConsumptionWatt", watts.map(whole))
    });
    let chains: Vec<_> = chains.collect();
    let (mode, said) = match tuner.aim {
        Aim::Off => ("Disabled", "No tuner is at work"),
        Aim::Watts(_) => ("PowerTarget", "Tuned for input power"),
        Aim::Hashrate(_) => ("HashrateTarget", "Tuned for hashrate"),
        Aim::Efficiency => ("Efficiency", "Tuned for efficiency"),
        Aim::Profit { .. } => ("Profit", "Tuned for profit"),
    };
    let scaling = match tuner.demand.reasons.is_empty() {
        true => "Disabled",
        false => "Enabled",
    };
    let record = Record::default()
        .with_known(
            "ApproximateMinerPowerConsumption",
            now.state.miner.power_w.map(whole),
        )
        .with_known("PowerLimit", limit.map(whole))
        .with("DynamicPowerScaling", scaling)
        .with("TunerMode", mode)
        .with("TunerChainStatus", Value::Records(chains));
    Reply::success(203, said).one("TUNERSTATUS", record)
}

/// The input power that the machine may have now, W, where there is such a bound.
fn power_limit(demand: &DemandStatus) -> Option<f64> {
    let aim = match demand.aim {
        Aim::Watts(watts) => Some(watts),
        _ => None,
    };
    [aim, demand.caps.watts]
        .into_iter()
        .flatten()
        .reduce(f64::min)
}

/// The status of a tuner, and whether it is looking for another setting.
fn tuning(now: &Now<'_>, tuner: &StationTuner) -> (String, bool) {
    let because = without_brands(tuner.because.as_deref().unwrap_or("no reason given"));
    if now.state.miner.paused || now.state.tuner.demand.asleep {
        return ("Mining is paused".to_owned(), false);
    }
    match &tuner.activity[..] {
        "off" => ("Disabled".to_owned(), false),
        "keeping" => ("Stable".to_owned(), false),
        "moving" => ("Tuning individual chips".to_owned(), true),
        "measuring" => ("Testing performance profile".to_owned(), true),
        "waiting" => (format!("Waiting: {because}"), false),
        "held" => (format!("Held: {because}"), false),
        other => (without_brands(other), false),
    }
}
