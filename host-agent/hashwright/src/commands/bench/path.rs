//! `bench path`: latency, memory and processor use of a whole running agent.
//!
//! A second process of this program mines with `run` on boards behind unix sockets. This process is
//! their chips and their pool, and takes all times at its own ends of the sockets. What this machine
//! and this way of measuring cost by themselves is shown by a relay of two threads that only copies
//! bytes between the same kinds of sockets, and has its turn after every event.

mod child;
mod probe;
mod relay;

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use board_profiles::Profile;
use board_simulator::VirtualChain;
use pool::{PoolConfig, PoolCore, PoolHandle};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::print_table;
use super::sampling::Latency;
use crate::commands::{print_json, say, stopped, unix_time};
use crate::format::{Column, Table};
use crate::port::serve::{Endpoint, serve};
use crate::stop::{self, Stop};
use crate::{agent, config};
use child::Child;
use probe::{ChainTap, Recorder, Watched};
use relay::Relay;

/// Arguments of `bench path`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hash boards, each an S21 Pro's with 65 chips, simulated here
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub chains: u32,
    /// New blocks, and at least as many shares
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub events: u32,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// The board: the fastest line, many chips, and at its ticket 71 nonces a second.
const PROFILE: &str = "s21-pro";
/// Shortest ramp that profiles allow; nobody has to wait for simulated silicon.
const RAMP_INTERVAL_MS: u32 = 10;
/// Zero bits that a scaled nonce still has: 64 real hashes each keep this process idle.
const NONCE_BITS: u8 = 6;
/// One nonce in four is a share.
const SHARE_BITS: i32 = 8;
/// Time from one new block to the next, ms. Irregular, so as not to fall in step with a timer.
const GAP_MS: std::ops::Range<u64> = 40..80;
/// Time for a start, of which a busy machine needs most.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Time for all chains to take up a new block, and for a share to come.
const EVENT_LIMIT: Duration = Duration::from_secs(2);
/// Longest run of all.
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
    /// Start of the process until every chain has returned nonces.
    start_s: f64,
    /// Clean `mining.notify` written until the first byte of a job for the new block was read, each chain.
    notify_to_job: Latency,
    /// Nonce reply written until `mining.submit` with this nonce was read.
    nonce_to_submit: Latency,
    /// The same bytes the same way through the relay.
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
    target_p50_ms: f64,
    target_p99_ms: f64,
    target_rss_mb: f64,
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
        outcome = tokio::time::timeout(RUN_LIMIT, measure(args)) => outcome
            .with_context(|| format!("not done within {} s", RUN_LIMIT.as_secs()))??,
        () = interrupted() => bail!("interrupted; nothing is left behind"),
    };
    if args.json {
        print_json(&outcome)
    } else {
        print(&outcome)
    }
}

async fn measure(args: &Args) -> anyhow::Result<Outcome> {
    let directory = tempfile::Builder::new()
        .prefix("hashwright-bench-")
        .tempdir()
        .context("cannot make a temporary directory; is TMPDIR writable?")?;
    let profile = profile()?;
    let scale_bits = profile.max_scale_bits() + 1 - NONCE_BITS;
    let recorder = Recorder::new(args.chains as usize);
    let (_stopper, stop) = stop::channel();
    for index in 0..args.chains {
        let path = directory.path().join(format!("b{index}.sock"));
        let tap = recorder.tap(index as usize, profile.chain.chip);
        serve_chain(&profile, scale_bits, index, &path, tap, stop.clone())?;
    }
    let (address, pool) = start_pool(&recorder, stop.clone()).await?;
    let mut relay = Relay::start(args.chains as usize).await?;
    write_config(
        directory.path(),
        &profile,
        scale_bits,
        args.chains,
        &address,
    )?;

    eprintln!(
        "bench: starting the agent with {} boards of {} chips",
        args.chains, profile.chain.chips
    );
    let started = Instant::now();
    let mut child = Child::start(directory.path())?;
    while !recorder.all_mining() {
        child.check()?;
        if started.elapsed() > START_LIMIT {
            bail!(
                "the agent is not mining after {} s\n{}",
                START_LIMIT.as_secs(),
                child.log_tail()
            );
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let start_s = started.elapsed().as_secs_f64();
    eprintln!("bench: all boards mine after {start_s:.1} s");

    recorder.forget();
    let mut random = fastrand::Rng::with_seed(1);
    for event in 0..args.events {
        tokio::time::sleep(Duration::from_millis(random.u64(GAP_MS))).await;
        new_block(&pool, &recorder)
            .await
            .with_context(|| child.log_tail())?;
        relay.ping().await?;
        if (event + 1) % 50 == 0 {
            eprintln!(
                "bench: {} of {} new blocks, {} shares",
                event + 1,
                args.events,
                recorder.shares()
            );
        }
    }
    let waited = Instant::now();
    while recorder.shares() < args.events as usize && waited.elapsed() < START_LIMIT {
        child.check()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (jobs, shares) = recorder.latencies();

    let time = (STEADY_PER_EVENT * args.events).min(STEADY_LIMIT);
    eprintln!("bench: {:.1} s of steady mining", time.as_secs_f64());
    let steady = steady(&child, &recorder, time).await?;
    let stats = pool.stats();
    drop(child);

    let (notify_to_job, nonce_to_submit) = (Latency::of(&jobs), Latency::of(&shares));
    let (relay_to_chains, relay_to_pool) = relay.latencies();
    Ok(Outcome {
        chains: args.chains,
        chips: args.chains * u32::from(profile.chain.chips),
        start_s,
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
        target_p50_ms: TARGET_P50_MS,
        target_p99_ms: TARGET_P99_MS,
        target_rss_mb: TARGET_RSS_MB,
    })
}

fn profile() -> anyhow::Result<Profile> {
    let mut profile = Profile::builtin(PROFILE)?;
    profile.frequency.ramp_interval_ms = RAMP_INTERVAL_MS;
    Ok(profile)
}

fn serve_chain(
    profile: &Profile,
    scale_bits: u8,
    index: u32,
    path: &Path,
    mut tap: ChainTap,
    stop: Stop,
) -> anyhow::Result<()> {
    let sim = config::Sim {
        scale_bits,
        ..config::Sim::new(profile, index.into())
    };
    let mut chain = VirtualChain::new(agent::simulation(profile, &sim)?)?;
    let endpoint = Endpoint::unix(path)
        .with_context(|| format!("cannot make the socket {}", path.display()))?;
    tokio::spawn(async move {
        if let Err(error) = serve(&mut chain, endpoint, stop, &mut tap).await {
            eprintln!("bench: board {index}: {error}");
        }
    });
    Ok(())
}

async fn start_pool(recorder: &Recorder, stop: Stop) -> anyhow::Result<(String, PoolHandle)> {
    let mut config = PoolConfig {
        seed: 1,
        unix_start: unix_time(),
        block_interval: Duration::ZERO,
        ..PoolConfig::default()
    };
    config.vardiff.start = pool::Difficulty::new(2f64.powi(SHARE_BITS - 32))?;
    config.vardiff.shares_per_minute = 0.0;
    let (events, mut unread) = mpsc::channel(64);
    tokio::spawn(async move { while unread.recv().await.is_some() {} });
    let (handle, driver) = pool::embed(PoolCore::new(config)?, events);
    tokio::spawn(driver.run(stopped(stop.clone())));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("no free port on loopback")?;
    let address = listener.local_addr()?.to_string();
    let (pool, recorder) = (handle.clone(), recorder.clone());
    tokio::spawn(async move {
        let accept = async {
            while let Ok((stream, _)) = listener.accept().await {
                if stream.set_nodelay(true).is_ok() {
                    pool.attach(Watched::new(stream, recorder.clone()));
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = stopped(stop) => {}
        }
    });
    Ok((address, handle))
}

fn write_config(
    directory: &Path,
    profile: &Profile,
    scale_bits: u8,
    chains: u32,
    pool: &str,
) -> anyhow::Result<()> {
    use std::fmt::Write;
    let profile_file = directory.join("board.toml");
    std::fs::write(&profile_file, toml::to_string(profile)?)?;
    let mut text = format!(
        "[agent]\nname = \"bench\"\nstate_dir = \"{0}\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
         [[pool]]\nurl = \"stratum+tcp://{pool}\"\nuser = \"bench.worker\"\n",
        directory.display()
    );
    for index in 0..chains {
        write!(
            text,
            "[[board]]\nprofile = \"{}\"\nuart = \"unix:{}\"\ncontrol = \"external\"\n\
             scale_bits = {scale_bits}\n",
            profile_file.display(),
            directory.join(format!("b{index}.sock")).display(),
        )?;
    }
    std::fs::write(directory.join(child::CONFIG), text)?;
    Ok(())
}

/// Somebody finds a block; returns when every chain has a job for the new one.
async fn new_block(pool: &PoolHandle, recorder: &Recorder) -> anyhow::Result<()> {
    let taken_up = recorder.expect_block();
    pool.call(|core, now| core.force_block(now))
        .await
        .context("the embedded pool has stopped")?;
    let all = tokio::time::timeout(EVENT_LIMIT, taken_up).await;
    ensure!(
        matches!(all, Ok(Ok(()))),
        "not every board took up a new block within {} s",
        EVENT_LIMIT.as_secs()
    );
    Ok(())
}

async fn steady(child: &Child, recorder: &Recorder, time: Duration) -> anyhow::Result<Steady> {
    let (start, cpu) = (Instant::now(), child.cpu_time()?);
    let (nonces, shares) = (recorder.nonces(), recorder.shares());
    tokio::time::sleep(time).await;
    let cpu = child.cpu_time()?.saturating_sub(cpu);
    let seconds = start.elapsed().as_secs_f64();
    Ok(Steady {
        seconds,
        nonces_per_second: (recorder.nonces() - nonces) as f64 / seconds,
        shares_per_second: (recorder.shares() - shares) as f64 / seconds,
        cpu: cpu.as_secs_f64() / seconds,
        rss_mb: child.resident_bytes()? as f64 / 1e6,
    })
}

/// SIGINT or SIGTERM. From the first call on they do not end this process by themselves any more.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn print(outcome: &Outcome) -> anyhow::Result<()> {
    say(&format!(
        "{} boards, {} chips, one agent process; ms",
        outcome.chains, outcome.chips
    ))?;
    let mut table = Table::new([
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
    for (what, latency, ratio, target) in [
        (
            "new block -> job frame, each board",
            &outcome.notify_to_job,
            Some(outcome.ratio_notify_to_job_p50),
            target.as_str(),
        ),
        (
            "nonce -> submit",
            &outcome.nonce_to_submit,
            Some(outcome.ratio_nonce_to_submit_p50),
            target.as_str(),
        ),
        ("relay, pool to boards", &outcome.relay_to_chains, None, ""),
        ("relay, board to pool", &outcome.relay_to_pool, None, ""),
    ] {
        table.push([
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
    print_table(&table)?;
    let steady = &outcome.steady;
    say(&format!(
        "memory {:.1} MB resident (target <= {TARGET_RSS_MB} MB); start to mining {:.1} s",
        steady.rss_mb, outcome.start_s
    ))?;
    say(&format!(
        "processor {:.2} % of a core at {:.0} nonces/s and {:.0} shares/s, over {:.1} s",
        steady.cpu * 100.0,
        steady.nonces_per_second,
        steady.shares_per_second,
        steady.seconds
    ))?;
    say(&format!(
        "shares: {} accepted, {} stale, {} rejected otherwise",
        outcome.accepted, outcome.stale, outcome.rejected
    ))
}
