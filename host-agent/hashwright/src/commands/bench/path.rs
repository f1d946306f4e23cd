//! `bench path`: latency, memory and processor use of a whole running agent, for each protocol that
//! pools speak.
//!
//! A second process of this program mines with `run` on boards behind unix sockets. This process is
//! their chips and their pool, and takes all times at its own ends of the sockets. What this machine
//! and this way of measuring cost by themselves is shown by a relay of two threads that only copies
//! bytes between the same kinds of sockets, and has its turn after every event.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use super::books::Books;
use super::child::Child;
use super::relay::Relay;
use super::rig::{Rig, START_LIMIT};
use super::sampling::Latency;
use super::server::{Protocol, Server, Terms};
use super::{interrupted, print_table};
use crate::commands::{print_json, say};
use crate::format::{Column, Table};

/// Arguments of `bench path`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hash boards, each an S21 Pro's with 65 chips, simulated here
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub chains: u32,
    /// New blocks, and at least as many shares, for each protocol
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub events: u32,
    /// Measure with pools of this protocol only
    #[arg(long)]
    protocol: Option<Protocol>,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// One nonce in four is a share.
const SHARE_BITS: i32 = super::rig::NONCE_BITS as i32 + 2;
/// Time from one new block to the next, ms. Irregular, so as not to fall in step with a timer.
const GAP_MS: std::ops::Range<u64> = 40..80;
/// Time for all chains to take up a new block, and for a share to come.
const EVENT_LIMIT: Duration = Duration::from_secs(2);
/// Longest run of one protocol.
const RUN_LIMIT: Duration = Duration::from_secs(110);
/// Steady mining for memory and processor use: a part of a second for each event, at most this.
const STEADY_LIMIT: Duration = Duration::from_secs(10);
const STEADY_PER_EVENT: Duration = Duration::from_millis(50);

/// Targets: what an agent of the same kind was measured at, with a margin.
const TARGET_P50_MS: f64 = 0.3;
const TARGET_P99_MS: f64 = 2.0;
const TARGET_RSS_MB: f64 = 10.0;

#[derive(Debug, Serialize)]
struct Outcome {
    chains: u32,
    chips: u32,
    runs: Vec<Run>,
    /// What V2 takes, as a multiple of V1; absent unless both have been measured.
    v2_to_v1: Option<Ratios>,
    target_p50_ms: f64,
    target_p99_ms: f64,
    target_rss_mb: f64,
}

/// One protocol.
#[derive(Debug, Serialize)]
struct Run {
    protocol: Protocol,
    /// Start of the process until every chain has returned nonces.
    start_s: f64,
    /// First message about a new block written until the first byte of a job for it was read, each chain.
    notify_to_job: Latency,
    /// Nonce reply written until the share with this nonce was read; accepted shares only.
    nonce_to_submit: Latency,
    /// Bytes as of V1 the same way through the relay.
    relay_to_chains: Latency,
    relay_to_pool: Latency,
    ratio_notify_to_job_p50: f64,
    ratio_nonce_to_submit_p50: f64,
    steady: Steady,
    accepted: u64,
    /// Found before the agent could know of a new block.
    stale: u64,
    /// Refused for any other reason.
    rejected: u64,
}

#[derive(Debug, Serialize)]
struct Ratios {
    notify_to_job_p50: f64,
    notify_to_job_p99: f64,
    nonce_to_submit_p50: f64,
    nonce_to_submit_p99: f64,
}

/// The agent alone, while nothing but mining goes on.
#[derive(Debug, Serialize)]
struct Steady {
    seconds: f64,
    nonces_per_second: f64,
    shares_per_second: f64,
    /// Part of one processor core.
    cpu: f64,
    rss_mb: f64,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<()> {
    let outcome = tokio::select! {
        outcome = measure(args) => outcome?,
        () = interrupted() => bail!("interrupted; nothing is left behind"),
    };
    if args.json {
        print_json(&outcome)
    } else {
        print(&outcome)
    }
}

async fn measure(args: &Args) -> anyhow::Result<Outcome> {
    let protocols = match &args.protocol {
        Some(protocol) => std::slice::from_ref(protocol),
        None => Protocol::ALL,
    };
    let (mut runs, mut chips) = (Vec::new(), 0);
    for protocol in protocols {
        let measured = tokio::time::timeout(RUN_LIMIT, one_protocol(args, *protocol));
        let run = measured
            .await
            .with_context(|| format!("not done within {} s", RUN_LIMIT.as_secs()))?;
        let (run, their_chips) = run?;
        runs.push(run);
        chips = their_chips;
    }
    let v2_to_v1 = match &runs[..] {
        [v1, v2] => Some(Ratios {
            notify_to_job_p50: v2.notify_to_job.p50_ms / v1.notify_to_job.p50_ms,
            notify_to_job_p99: v2.notify_to_job.p99_ms / v1.notify_to_job.p99_ms,
            nonce_to_submit_p50: v2.nonce_to_submit.p50_ms / v1.nonce_to_submit.p50_ms,
            nonce_to_submit_p99: v2.nonce_to_submit.p99_ms / v1.nonce_to_submit.p99_ms,
        }),
        _ => None,
    };
    Ok(Outcome {
        chains: args.chains,
        chips,
        runs,
        v2_to_v1,
        target_p50_ms: TARGET_P50_MS,
        target_p99_ms: TARGET_P99_MS,
        target_rss_mb: TARGET_RSS_MB,
    })
}

/// What was measured, and how many chips there were.
async fn one_protocol(args: &Args, protocol: Protocol) -> anyhow::Result<(Run, u32)> {
    let name = protocol.name();
    let books = Books::new(args.chains as usize);
    let terms = Terms {
        protocol,
        seed: 1,
        share_bits: SHARE_BITS,
        resume: true,
    };
    let pool = Server::start(terms, &books).await?;
    let mut relay = Relay::start(args.chains as usize).await?;
    eprintln!(
        "bench: starting the agent with {} boards on a {name} pool",
        args.chains
    );
    let mut rig = Rig::start(args.chains, &books, &[&pool]).await?;
    eprintln!(
        "bench: all boards mine after {:.1} s",
        rig.start.as_secs_f64()
    );

    books.forget_times();
    let mut random = fastrand::Rng::with_seed(1);
    for event in 0..args.events {
        tokio::time::sleep(Duration::from_millis(random.u64(GAP_MS))).await;
        let block = books.expect_block();
        pool.new_block().await?;
        rig.taken_up(block, EVENT_LIMIT).await?;
        relay.ping().await?;
        if (event + 1) % 50 == 0 {
            eprintln!(
                "bench: {} of {} new blocks, {} shares",
                event + 1,
                args.events,
                books.shares()
            );
        }
    }
    let waited = Instant::now();
    while books.shares() < args.events as usize && waited.elapsed() < START_LIMIT {
        rig.child.check()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (jobs, shares) = books.latencies();

    let time = (STEADY_PER_EVENT * args.events).min(STEADY_LIMIT);
    eprintln!("bench: {:.1} s of steady mining", time.as_secs_f64());
    let steady = steady(&rig.child, &books, time).await?;
    let stats = pool.stats();

    let (notify_to_job, nonce_to_submit) = (Latency::of(&jobs), Latency::of(&shares));
    let (relay_to_chains, relay_to_pool) = relay.latencies();
    let run = Run {
        protocol,
        start_s: rig.start.as_secs_f64(),
        ratio_notify_to_job_p50: notify_to_job.p50_ms / relay_to_chains.p50_ms,
        ratio_nonce_to_submit_p50: nonce_to_submit.p50_ms / relay_to_pool.p50_ms,
        notify_to_job,
        nonce_to_submit,
        relay_to_chains,
        relay_to_pool,
        steady,
        accepted: stats.accepted,
        stale: stats.rejected.stale,
        rejected: stats.rejected.total() - stats.rejected.stale,
    };
    Ok((run, rig.chips))
}

async fn steady(child: &Child, books: &Books, time: Duration) -> anyhow::Result<Steady> {
    let (start, cpu) = (Instant::now(), child.cpu_time()?);
    let (nonces, shares) = (books.nonces(), books.shares());
    tokio::time::sleep(time).await;
    let cpu = child.cpu_time()?.saturating_sub(cpu);
    let seconds = start.elapsed().as_secs_f64();
    Ok(Steady {
        seconds,
        nonces_per_second: (books.nonces() - nonces) as f64 / seconds,
        shares_per_second: (books.shares() - shares) as f64 / seconds,
        cpu: cpu.as_secs_f64() / seconds,
        rss_mb: child.resident_bytes()? as f64 / 1e6,
    })
}

fn print(outcome: &Outcome) -> anyhow::Result<()> {
    say(&format!(
        "{} boards, {} chips, one agent process; ms",
        outcome.chains, outcome.chips
    ))?;
    let mut table = Table::new([
        Column::left(""),
        Column::left(""),
        Column::right("x relay"),
        Column::right("p50"),
        Column::right("p90"),
        Column::right("p99"),
        Column::right("max"),
        Column::right("count"),
        Column::left("target"),
    ]);
    let target = format!("p50 <= {TARGET_P50_MS}, p99 <= {TARGET_P99_MS}");
    for run in &outcome.runs {
        for (what, latency, ratio, target) in [
            (
                "new block -> job frame, each board",
                &run.notify_to_job,
                Some(run.ratio_notify_to_job_p50),
                target.as_str(),
            ),
            (
                "nonce -> submit",
                &run.nonce_to_submit,
                Some(run.ratio_nonce_to_submit_p50),
                target.as_str(),
            ),
            ("relay, pool to boards", &run.relay_to_chains, None, ""),
            ("relay, board to pool", &run.relay_to_pool, None, ""),
        ] {
            table.push([
                run.protocol.name().to_owned(),
                what.to_owned(),
                ratio.map_or_else(String::new, |ratio| format!("{ratio:.1}")),
                format!("{:.3}", latency.p50_ms),
                format!("{:.3}", latency.p90_ms),
                format!("{:.3}", latency.p99_ms),
                format!("{:.3}", latency.max_ms),
                latency.count.to_string(),
                target.to_owned(),
            ]);
        }
    }
    print_table(&table)?;
    if let Some(ratios) = &outcome.v2_to_v1 {
        say(&format!(
            "V2 / V1: new block -> job frame {:.2} at p50 and {:.2} at p99, nonce -> submit {:.2} and {:.2}",
            ratios.notify_to_job_p50,
            ratios.notify_to_job_p99,
            ratios.nonce_to_submit_p50,
            ratios.nonce_to_submit_p99
        ))?;
    }
    for run in &outcome.runs {
        let steady = &run.steady;
        say(&format!(
            "{}: memory {:.1} MB resident (target <= {TARGET_RSS_MB} MB); start to mining {:.1} s; \
             processor {:.2} % of a core at {:.0} nonces/s and {:.0} shares/s, over {:.1} s; \
             shares: {} accepted, {} stale, {} rejected otherwise",
            run.protocol.name(),
            steady.rss_mb,
            run.start_s,
            steady.cpu * 100.0,
            steady.nonces_per_second,
            steady.shares_per_second,
            steady.seconds,
            run.accepted,
            run.stale,
            run.rejected
        ))?;
    }
    Ok(())
}
