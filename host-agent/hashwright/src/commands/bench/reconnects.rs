//! `bench reconnects`: what becomes of shares while a pool hangs up again and again.
//!
//! Every nonce of the board is a share. What the chips have returned is held against the pool's own
//! books, each share by its hash; the agent's counters are not asked. A session that can be resumed
//! keeps its shares good, so each of them has to arrive, and once. Where a session ends with its
//! connection, what is found on its work later is worth nothing to anybody; but what was found before
//! has to have arrived, apart from what was on its way in that moment. To tell sessions apart, such pools
//! move on to a new block with each.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde::Serialize;

use super::books::{Books, Hash};
use super::rig::{NONCE_BITS, Rig};
use super::server::{Protocol, Server, Terms};
use super::{interrupted, print_table};
use crate::commands::print_json;
use crate::format::{Column, Table};

/// Arguments of `bench reconnects`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often each pool hangs up
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub reconnects: u32,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Time for a board to run in, before shares count.
const RUN_IN: Duration = Duration::from_secs(2);
/// Mining between two hang-ups, ms, from the first share on the new connection.
const MINING_MS: std::ops::Range<u64> = 100..1500;
/// Time to be back.
const BACK_LIMIT: Duration = Duration::from_secs(60);
/// Time for the last shares to arrive.
const SETTLE: Duration = Duration::from_secs(3);
/// A share that takes longer than that to the pool is late.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
struct Case {
    protocol: Protocol,
    resume: bool,
    name: &'static str,
}

const CASES: &[Case] = &[
    Case {
        protocol: Protocol::V1,
        resume: true,
        name: "V1, sessions resumed",
    },
    Case {
        protocol: Protocol::V1,
        resume: false,
        name: "V1, new sessions",
    },
    #[cfg(feature = "sv2")]
    Case {
        protocol: Protocol::V2,
        resume: false,
        name: "V2",
    },
];

#[derive(Debug, Serialize)]
struct Row {
    case: &'static str,
    /// Connections after the first.
    reconnects: u64,
    /// Of them, those that got their session back.
    resumed: u64,
    /// Nonces that the chips returned, all of them shares.
    found: usize,
    /// Those that the pool accepted.
    accepted: usize,
    /// Those that the pool accepted more than once.
    twice: usize,
    /// Those that the pool would have taken and never got.
    lost: usize,
    /// Found less than 100 ms before the session ended, and not read by the pool by then.
    on_the_way: usize,
    /// How long before its session's end the oldest of those was found, ms.
    on_the_way_oldest_ms: f64,
    /// Found on the work of a session that had ended.
    worthless: usize,
    /// Shares that the pool refused.
    rejected: u64,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let rows = tokio::select! {
        rows = measure(args) => rows?,
        () = interrupted() => bail!("interrupted; nothing is left behind"),
    };
    if args.json {
        return print_json(&rows);
    }
    let mut table = Table::new([
        Column::left("pool"),
        Column::right("reconnects"),
        Column::right("resumed"),
        Column::right("found"),
        Column::right("accepted"),
        Column::right("twice"),
        Column::right("lost"),
        Column::right("on the way"),
        Column::right("oldest ms"),
        Column::right("worthless"),
        Column::right("rejected"),
    ]);
    for row in &rows {
        table.push([
            row.case.to_owned(),
            row.reconnects.to_string(),
            row.resumed.to_string(),
            row.found.to_string(),
            row.accepted.to_string(),
            row.twice.to_string(),
            row.lost.to_string(),
            row.on_the_way.to_string(),
            format!("{:.1}", row.on_the_way_oldest_ms),
            row.worthless.to_string(),
            row.rejected.to_string(),
        ]);
    }
    print_table(&table)
}

/// All cases at the same time: they mostly wait.
async fn measure(args: &Args) -> anyhow::Result<Vec<Row>> {
    let mut cases = tokio::task::JoinSet::new();
    for (index, case) in CASES.iter().enumerate() {
        let (case, reconnects) = (*case, args.reconnects);
        cases.spawn(async move { (index, one_case(case, reconnects).await) });
    }
    let mut rows = cases.join_all().await;
    rows.sort_by_key(|(index, _)| *index);
    rows.into_iter().map(|(_, row)| row).collect()
}

/// A session that has ended.
struct Ended {
    prev_hash: Hash,
    at: Instant,
}

async fn one_case(case: Case, reconnects: u32) -> anyhow::Result<Row> {
    let books = Books::new(1);
    let terms = Terms {
        protocol: case.protocol,
        seed: 1,
        share_bits: NONCE_BITS.into(),
        resume: case.resume,
    };
    let pool = Server::start(terms, &books).await?;
    let mut rig = Rig::start(1, &books, &[&pool]).await?;
    tokio::time::sleep(RUN_IN).await;
    let begin = Instant::now();
    let mut random = fastrand::Rng::with_seed(1);
    let mut ended = Vec::new();
    for round in 0..reconnects {
        tokio::time::sleep(Duration::from_millis(random.u64(MINING_MS))).await;
        let accepted = pool.stats().accepted;
        let prev_hash = books.prev_hash();
        pool.hang_up().await?;
        ended.push(Ended {
            prev_hash,
            at: Instant::now(),
        });
        if !case.resume {
            pool.new_block().await?;
        }
        let waited = Instant::now();
        while pool.stats().accepted <= accepted + 1 || pool.stats().connections == 0 {
            rig.child.check()?;
            ensure!(
                waited.elapsed() < BACK_LIMIT,
                "{}: the agent did not come back within {} s\n{}",
                case.name,
                BACK_LIMIT.as_secs(),
                rig.child.log_tail()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if (round + 1) % 20 == 0 {
            eprintln!("bench: {}: {} of {reconnects}", case.name, round + 1);
        }
    }
    let end = Instant::now();
    tokio::time::sleep(SETTLE).await;

    let stats = pool.stats();
    let mut found = books.found();
    found.retain(|found| (begin..end).contains(&found.at));
    let mut row = Row {
        case: case.name,
        reconnects: stats.connects.saturating_sub(1),
        resumed: stats.resumed,
        found: found.len(),
        accepted: found.iter().filter(|found| found.accepted > 0).count(),
        twice: found.iter().filter(|found| found.accepted > 1).count(),
        lost: 0,
        on_the_way: 0,
        on_the_way_oldest_ms: 0.0,
        worthless: 0,
        rejected: stats.rejected.total(),
    };
    for missing in found.iter().filter(|found| found.accepted == 0) {
        let session = ended
            .iter()
            .find(|ended| !case.resume && ended.prev_hash == missing.prev_hash);
        let Some(session) = session else {
            row.lost += 1;
            continue;
        };
        let before = session.at.checked_duration_since(missing.at);
        match before {
            None => row.worthless += 1,
            Some(before) if before <= ON_ITS_WAY => {
                row.on_the_way += 1;
                let before = before.as_secs_f64() * 1e3;
                row.on_the_way_oldest_ms = row.on_the_way_oldest_ms.max(before);
            }
            Some(_) => row.lost += 1,
        }
    }
    Ok(row)
}
