//! One machine among many: how it is reached, and the few numbers that a table of hundreds has room for.

use std::time::{Duration, Instant};

use rpc::method::{BoardList, GetMinerStatus, PoolList, SystemInfo};
use rpc::state::{BoardStatus, MinerStatus, PoolStatus};
use rpc::{NoParams, state};
use serde::Serialize;
use tokio::time::timeout;

use super::file::{FleetFile, Known};
use crate::cli::reach::{Place, connect_to, get};
use crate::cli::{Client, ClientError};
use crate::format;

/// The least part of the expected rate, over ten minutes, that passes for well.
const WELL: f64 = 0.85;

/// How long a machine must have run before its rate is judged, seconds.
const JUDGED_AFTER_S: f64 = 900.0;

/// A machine that is to be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// How the user calls it.
    pub name: String,
    /// Its groups.
    pub groups: Vec<String>,
    /// How it is reached.
    pub place: Place,
}

/// What a machine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reading {
    /// Its own name.
    pub agent: String,
    /// Version of its program.
    pub version: String,
    /// What it is made of, e.g. `Bitaxe Gamma` or `3 x Antminer S19`.
    pub model: String,
    /// What it does.
    pub state: String,
    /// Simulated boards: such rates earn nothing.
    pub simulated: bool,
    /// Rate over ten minutes, hashes per second.
    pub hps: f64,
    /// Its standard deviation.
    pub sigma_hps: f64,
    /// What its chips should deliver.
    pub expected_hps: f64,
    /// Input power, W.
    pub power_w: Option<f64>,
    /// Joules per terahash.
    pub efficiency_j_th: Option<f64>,
    /// Hottest temperature, °C.
    pub hottest_c: Option<f64>,
    /// Shares that pools accepted.
    pub accepted: u64,
    /// Shares that pools rejected.
    pub rejected: u64,
    /// Chips found.
    pub chips: u32,
    /// Chips that there should be.
    pub chips_expected: u32,
    /// Pool that gets the most of its work.
    pub pool: Option<String>,
    /// Seconds since its start.
    pub uptime_s: f64,
    /// What is wrong with it, worst first.
    pub problems: Vec<String>,
}

/// What came of asking a machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// How the user calls it.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Its groups.
    pub groups: Vec<String>,
    /// What it says; none if it could not be asked.
    pub reading: Option<Reading>,
    /// Why it could not be asked.
    pub error: Option<String>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

impl Member {
    /// An agent of the fleet file.
    #[must_use]
    pub fn known(file: &FleetFile, known: &Known, within: Duration) -> Self {
        Self {
            name: known.name.clone(),
            groups: known.groups.clone(),
            place: Place {
                url: known.url.clone(),
                token_file: file.token_path(known),
                fingerprint: known.fingerprint.clone(),
                within: Some(within),
            },
        }
    }

    /// Connects and asks for everything, within the time given to the place and as much again.
    pub async fn ask(self) -> Answer {
        let start = Instant::now();
        let within = self.place.within.unwrap_or(Duration::from_secs(5));
        let asked = async {
            let client = connect_to(&self.place).await?;
            read(&client).await
        };
        let (reading, error) = match timeout(2 * within, asked).await {
            Ok(Ok(reading)) => (Some(reading), None),
            Ok(Err(error)) => (None, Some(short(&error))),
            Err(_) => (None, Some("no answer in time".to_owned())),
        };
        Answer {
            name: self.name,
            url: self.place.url,
            groups: self.groups,
            reading,
            error,
            took_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Answer {
    /// Whether all is well: it answers and has no problem.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.reading
            .as_ref()
            .is_some_and(|reading| reading.problems.is_empty())
    }

    /// What is wrong, in a line; empty if nothing is.
    #[must_use]
    pub fn trouble(&self) -> String {
        match (&self.error, &self.reading) {
            (Some(error), _) => error.clone(),
            (None, Some(reading)) => reading.problems.join("; "),
            (None, None) => String::new(),
        }
    }
}

/// Asks a connected machine for its numbers.
///
/// # Errors
///
/// Its refusal, or no reply.
pub async fn read(client: &Client) -> Result<Reading, ClientError> {
    let none = NoParams {};
    let (system, miner, boards, pools) = tokio::try_join!(
        get::<SystemInfo>(client, &none),
        get::<GetMinerStatus>(client, &none),
        get::<BoardList>(client, &none),
        get::<PoolList>(client, &none),
    )?;
    Ok(summary(&system, &miner, &boards, &pools))
}

/// The numbers of a machine, and what is wrong with it.
#[must_use]
pub fn summary(
    system: &state::SystemInfo,
    miner: &MinerStatus,
    boards: &[BoardStatus],
    pools: &[PoolStatus],
) -> Reading {
    let busiest = pools
        .iter()
        .filter(|pool| pool.active)
        .max_by(|one, other| one.work_percent.total_cmp(&other.work_percent));
    Reading {
        agent: system.name.clone(),
        version: system.version.clone(),
        model: model(boards),
        state: miner.state.clone(),
        simulated: miner.simulated,
        hps: miner.hashrate.m10.hps,
        sigma_hps: miner.hashrate.m10.sigma_hps,
        expected_hps: miner.expected_hps,
        power_w: miner.power_w,
        efficiency_j_th: miner.efficiency_j_th,
        hottest_c: miner.hottest_c,
        accepted: miner.accepted,
        rejected: miner.rejected,
        chips: boards
            .iter()
            .map(|board| u32::from(board.chips_found))
            .sum(),
        chips_expected: boards
            .iter()
            .map(|board| u32::from(board.chips_expected))
            .sum(),
        pool: busiest.map(|pool| pool.url.clone()),
        uptime_s: system.uptime_s,
        problems: problems(system, miner, boards, pools),
    }
}

fn problems(
    system: &state::SystemInfo,
    miner: &MinerStatus,
    boards: &[BoardStatus],
    pools: &[PoolStatus],
) -> Vec<String> {
    let mut problems = Vec::new();
    // A pause is somebody's wish and no trouble.
    if !matches!(miner.state.as_str(), "mining" | "starting" | "paused") {
        problems.push(miner.state.clone());
    }
    for board in boards {
        let index = board.index;
        if let Some(problem) = &board.problem {
            problems.push(format!("board {index}: {problem}"));
        } else if board.chips_found < board.chips_expected && board.state == "mining" {
            let (found, expected) = (board.chips_found, board.chips_expected);
            problems.push(format!("board {index}: {found} of {expected} chips"));
        }
    }
    let rate = miner.hashrate.m10;
    // Bad luck is no trouble either: the error of the estimate counts in its favour.
    let least = WELL * miner.expected_hps - 2.0 * rate.sigma_hps;
    if miner.state == "mining" && system.uptime_s > JUDGED_AFTER_S && rate.hps < least {
        let percent = format::percent(rate.hps, miner.expected_hps);
        problems.push(format!("only {percent} of the expected hashrate"));
    }
    for pool in pools {
        let told = pool.alarm.as_ref().or(if pool.active {
            pool.problem.as_ref()
        } else {
            None
        });
        problems.extend(told.map(|text| format!("pool {}: {text}", pool.index)));
    }
    problems
}

fn model(boards: &[BoardStatus]) -> String {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for board in boards {
        match kinds.iter_mut().find(|(model, _)| *model == board.model) {
            Some((_, count)) => *count += 1,
            None => kinds.push((&board.model, 1)),
        }
    }
    let kinds: Vec<_> = kinds
        .into_iter()
        .map(|(model, count)| match count {
            1 => model.to_owned(),
            count => format!("{count} x {model}"),
        })
        .collect();
    kinds.join(", ")
}

/// Why it failed, without advice that is good for one machine only.
pub(super) fn short(error: &ClientError) -> String {
    match error {
        ClientError::NoAgent { reason, .. } => format!("no answer: {reason}"),
        ClientError::NotAnAgent { reason, .. } => format!("not an agent: {reason}"),
        ClientError::NoReply { reason, .. } => format!("no reply: {reason}"),
        ClientError::Refused { error, .. } => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Rate, SystemInfo};

    fn board(index: usize, found: u16) -> BoardStatus {
        BoardStatus {
            index,
            model: "S19".into(),
            state: "mining".into(),
            chips_found: found,
            chips_expected: 76,
            ..BoardStatus::default()
        }
    }

    fn mining(hps: f64) -> MinerStatus {
        let mut miner = MinerStatus {
            state: "mining".into(),
            expected_hps: 100e12,
            ..MinerStatus::default()
        };
        miner.hashrate.m10 = Rate {
            hps,
            sigma_hps: 1e12,
        };
        miner
    }

    fn problems_of(miner: &MinerStatus, boards: &[BoardStatus], uptime_s: f64) -> Vec<String> {
        let system = SystemInfo {
            uptime_s,
            ..SystemInfo::default()
        };
        summary(&system, miner, boards, &[]).problems
    }

    #[test]
    fn a_machine_that_mines_has_no_problems() {
        assert_eq!(problems_of(&mining(99e12), &[board(0, 76)], 1e6), [""; 0]);
    }

    #[test]
    fn low_rates_are_told_when_they_mean_something() {
        let low = mining(70e12);
        assert_eq!(
            problems_of(&low, &[], 1e6),
            ["only 70 % of the expected hashrate"]
        );
        assert_eq!(problems_of(&low, &[], 60.0), [""; 0]);
        let mut unlucky = low;
        unlucky.hashrate.m10.sigma_hps = 10e12;
        assert_eq!(problems_of(&unlucky, &[], 1e6), [""; 0]);
    }

    #[test]
    fn a_pause_is_no_problem_and_trouble_is() {
        let mut miner = mining(0.0);
        miner.state = "paused".into();
        assert_eq!(problems_of(&miner, &[], 1e6), [""; 0]);
        miner.state = "degraded".into();
        let mut failed = board(1, 0);
        failed.problem = Some("no chips answer".into());
        assert_eq!(
            problems_of(&miner, &[board(0, 75), failed], 1e6),
            [
                "degraded",
                "board 0: 75 of 76 chips",
                "board 1: no chips answer"
            ]
        );
    }

    #[test]
    fn models_are_counted() {
        let boards = [board(0, 76), board(1, 76), board(2, 76)];
        let reading = summary(&SystemInfo::default(), &mining(1.0), &boards, &[]);
        assert_eq!((reading.model.as_str(), reading.chips), ("3 x S19", 228));
    }
}
