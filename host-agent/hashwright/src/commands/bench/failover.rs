//! `bench failover`: how long boards wait when their pool dies, until they have work of the next one.
//!
//! The agent is a process of its own, and both pools are real ones on loopback. The time counts from
//! the death of the first pool to the first byte of a job of the second on the board's line.

use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use super::books::Books;
use super::rig::{NONCE_BITS, Rig};
use super::sampling::Latency;
use super::server::{Protocol, Server, Terms};
use super::{interrupted, print_table};
use crate::commands::print_json;
use crate::format::{Column, Table};

/// Arguments of `bench failover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Deaths by closed connections and refused new ones, for each pair of protocols
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Deaths by silence, for each pair of protocols. The agent waits minutes for such a pool, as for any
    /// that is merely slow
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub silent: u32,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Longest time that a dead pool may go unnoticed.
const LIMIT: Duration = Duration::from_secs(900);
/// Pools die at any time within the agent's second.
const MOMENT_MS: std::ops::Range<u64> = 200..1200;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Death {
    /// Connections are closed, and new ones refused.
    Closed,
    /// Nothing is answered any more; connections are taken all the same.
    Silent,
}

#[derive(Debug, Serialize)]
struct Row {
    from: Protocol,
    to: Protocol,
    death: Death,
    death_to_job: Latency,
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
        Column::left("next pool"),
        Column::left("death"),
        Column::right("p50 s"),
        Column::right("p90 s"),
        Column::right("max s"),
        Column::right("count"),
    ]);
    for row in &rows {
        let death = match row.death {
            Death::Closed => "closed, refused",
            Death::Silent => "silent",
        };
        let latency = &row.death_to_job;
        table.push([
            row.from.name().to_owned(),
            row.to.name().to_owned(),
            death.to_owned(),
            format!("{:.2}", latency.p50_ms / 1e3),
            format!("{:.2}", latency.p90_ms / 1e3),
            format!("{:.2}", latency.max_ms / 1e3),
            latency.count.to_string(),
        ]);
    }
    print_table(&table)
}

async fn measure(args: &Args) -> anyhow::Result<Vec<Row>> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut rows = Vec::new();
    for (death, rounds) in [(Death::Closed, args.rounds), (Death::Silent, args.silent)] {
        for (index, from) in Protocol::ALL.iter().enumerate() {
            // To the other protocol, if there is one.
            let to = &Protocol::ALL[(index + 1) % Protocol::ALL.len()];
            let mut times = Vec::new();
            for round in 0..rounds {
                let moment = Duration::from_millis(random.u64(MOMENT_MS));
                let time = one_death(*from, *to, death, moment).await?;
                eprintln!(
                    "bench: {} to {}, {death:?}, {} of {rounds}: {:.2} s",
                    from.name(),
                    to.name(),
                    round + 1,
                    time.as_secs_f64()
                );
                times.push(time);
            }
            if !times.is_empty() {
                rows.push(Row {
                    from: *from,
                    to: *to,
                    death,
                    death_to_job: Latency::of(&times),
                });
            }
        }
    }
    Ok(rows)
}

async fn one_death(
    from: Protocol,
    to: Protocol,
    death: Death,
    moment: Duration,
) -> anyhow::Result<Duration> {
    let books = Books::new(1);
    let terms = |protocol, seed| Terms {
        protocol,
        seed,
        share_bits: NONCE_BITS.into(),
        resume: true,
    };
    let first = Server::start(terms(from, 1), &books).await?;
    let second = Server::start(terms(to, 2), &books).await?;
    let rig = Rig::start(1, &books, &[&first, &second]).await?;
    tokio::time::sleep(moment).await;
    let job = books.expect_block();
    books.forget_times();
    books.start_the_clock();
    match death {
        Death::Closed => first.kill(),
        Death::Silent => first.fall_silent(),
    }
    rig.taken_up(job, LIMIT).await?;
    let (jobs, _) = books.latencies();
    Ok(jobs.first().copied().unwrap_or_default())
}
