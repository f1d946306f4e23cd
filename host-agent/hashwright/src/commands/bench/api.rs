//! `bench api`: how many questions one core answers beside a bare HTTP server, what open dashboards
//! cost, and what becomes of shares while a crowd is at the API.
//!
//! The agent is a process of its own that mines all the time. Questions are asked from another core
//! than the one that answers, where there are two; the agent and its peer take turns in short rounds.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;

use super::asking::{self, Asker, Bare, ask_for};
use super::books::Books;
use super::child::cpu_time;
use super::crowd::{Crowd, Fate, Size};
use super::relay::Relay;
use super::rig::{NONCE_BITS, Rig};
use super::sampling::Latency;
use super::server::{Protocol, Server, Terms};
use super::{interrupted, print_table};
use crate::commands::{print_json, say};
use crate::format::{Column, Table};

/// Arguments of `bench api`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Hash boards, each an S21 Pro's with 65 chips, simulated here
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=16))]
    pub chains: u32,
    /// Time for each row
    #[arg(long, value_name = "S", default_value_t = 10.0)]
    pub seconds: f64,
    /// Open dashboards; the API admits 96
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=96))]
    pub dashboards: u32,
    /// Connections that ask nothing
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub idle: u32,
    /// Wrong requests each second
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub bad: u32,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// One nonce in four is a share.
const SHARE_BITS: i32 = NONCE_BITS as i32 + 2;
/// Who asks at the same time.
const CONNECTIONS: [usize; 2] = [1, 16];
/// Turns of each in its time.
const ROUNDS: u32 = 10;
/// A crowd settles before it is measured.
const SETTLE: Duration = Duration::from_secs(2);
/// Between pings of the relay.
const PING_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, Serialize)]
struct Outcome {
    chains: u32,
    chips: u32,
    /// Start of the process until the API listens, to 1 ms.
    ready_s: f64,
    /// Bytes of an answer.
    answer_bytes: usize,
    /// Whoever asks has another core than whoever answers.
    two_cores: bool,
    rates: Vec<Rate>,
    paths: Vec<Path>,
}

/// `miner.status` asked of one core.
#[derive(Debug, Serialize)]
struct Rate {
    who: &'static str,
    connections: usize,
    per_second: f64,
    /// Processor time of the server for one; the agent's mining is in it.
    cpu_us: f64,
    latency: Latency,
}

/// Shares while a crowd is there.
#[derive(Debug, Serialize)]
struct Path {
    crowd: Size,
    nonce_to_submit: Latency,
    relay: Latency,
    /// Of the agent, part of one core.
    cpu: f64,
    rss_mb: f64,
    seconds: f64,
    fate: Fate,
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
    let time = super::duration(args.seconds)?;
    let books = Books::new(args.chains as usize);
    let terms = Terms {
        protocol: Protocol::V1,
        seed: 1,
        share_bits: SHARE_BITS,
        resume: true,
    };
    let pool = Server::start(terms, &books).await?;
    let rig = Rig::start(args.chains, &books, &[&pool]).await?;
    eprintln!("bench: the agent mines; asking it on one core");

    let (rates, answer_bytes, two_cores) = rates(&rig, time).await?;
    let mut paths = Vec::new();
    let quiet = Size::default();
    let dashboards = Size {
        dashboards: args.dashboards,
        ..quiet
    };
    let all = Size {
        idle: args.idle,
        bad_per_second: args.bad,
        ..dashboards
    };
    for crowd in [quiet, dashboards, all, quiet] {
        eprintln!(
            "bench: {} dashboards, {} idle connections, {} wrong requests a second",
            crowd.dashboards, crowd.idle, crowd.bad_per_second
        );
        paths.push(path(&rig, &books, crowd, time).await?);
    }
    Ok(Outcome {
        chains: args.chains,
        chips: rig.chips,
        ready_s: rig.ready.as_secs_f64(),
        answer_bytes,
        two_cores,
        rates,
        paths,
    })
}

async fn rates(rig: &Rig, time: Duration) -> anyhow::Result<(Vec<Rate>, usize, bool)> {
    let body = Asker::http(rig.api).await?.ask().await?;
    let length = body.len();
    let cores = asking::cores()?;
    let (Some(&serving), Some(&asking_core)) = (cores.first(), cores.last()) else {
        bail!("no core to run on");
    };
    let bare = Bare::start(body, serving).await?;
    let process = rig.child.id();
    asking::pin_process(process, &asking::one(serving))?;
    let (agent, peer) = (rig.api, bare.address);
    let (agent_stat, peer_stat) = (format!("/proc/{process}/stat"), bare.stat());
    let asking = tokio::task::spawn_blocking(move || {
        std::thread::spawn(move || {
            asking::pin(None, &asking::one(asking_core))?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut rates = Vec::new();
                for connections in CONNECTIONS {
                    let (mut http, mut bare, mut sockets) = (Vec::new(), Vec::new(), Vec::new());
                    for _ in 0..connections {
                        http.push(Asker::http(agent).await?);
                        bare.push(Asker::http(peer).await?);
                        sockets.push(Asker::websocket(agent).await?);
                    }
                    let mut turns = [
                        Turn::new("bare hyper, HTTP", peer_stat.clone(), bare),
                        Turn::new("agent, HTTP", agent_stat.clone(), http),
                        Turn::new("agent, WebSocket", agent_stat.clone(), sockets),
                    ];
                    for _ in 0..ROUNDS {
                        for turn in &mut turns {
                            turn.take(time / ROUNDS).await?;
                        }
                    }
                    rates.extend(turns.map(Turn::rate));
                }
                anyhow::Ok(rates)
            })
        })
        .join()
    });
    let rates = asking.await?;
    let rates = rates.ok().context("whoever asks has ended")??;
    asking::pin_process(process, &asking::many(&cores))?;
    Ok((rates, length, serving != asking_core))
}

/// One server asked in one way.
struct Turn {
    who: &'static str,
    stat: String,
    askers: Vec<Asker>,
    times: Vec<Duration>,
    passed: Duration,
    cpu: Duration,
}

impl Turn {
    fn new(who: &'static str, stat: String, askers: Vec<Asker>) -> Self {
        Self {
            who,
            stat,
            askers,
            times: Vec::new(),
            passed: Duration::ZERO,
            cpu: Duration::ZERO,
        }
    }

    async fn take(&mut self, time: Duration) -> anyhow::Result<()> {
        let (start, cpu) = (Instant::now(), cpu_time(&self.stat)?);
        self.times.extend(ask_for(&mut self.askers, time).await?);
        self.passed += start.elapsed();
        self.cpu += cpu_time(&self.stat)?.saturating_sub(cpu);
        Ok(())
    }

    fn rate(self) -> Rate {
        let count = self.times.len().max(1) as f64;
        Rate {
            who: self.who,
            connections: self.askers.len(),
            per_second: count / self.passed.as_secs_f64(),
            cpu_us: self.cpu.as_secs_f64() * 1e6 / count,
            latency: Latency::of(&self.times),
        }
    }
}

async fn path(rig: &Rig, books: &Books, size: Size, time: Duration) -> anyhow::Result<Path> {
    let crowd = Crowd::gather(rig.api, size).await?;
    tokio::time::sleep(SETTLE).await;
    let mut relay = Relay::start(1).await?;
    books.forget_times();
    let (start, cpu, before) = (Instant::now(), rig.child.cpu_time()?, crowd.fate());
    while start.elapsed() < time {
        relay.ping().await?;
        tokio::time::sleep(PING_EVERY).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = rig.child.cpu_time()?.saturating_sub(cpu);
    let (_, shares) = books.latencies();
    let (_, relayed) = relay.latencies();
    Ok(Path {
        crowd: size,
        nonce_to_submit: Latency::of(&shares),
        relay: relayed,
        cpu: cpu.as_secs_f64() / seconds,
        rss_mb: rig.child.resident_bytes()? as f64 / 1e6,
        seconds,
        fate: crowd.fate().since(&before),
    })
}

fn print(outcome: &Outcome) -> anyhow::Result<()> {
    say(&format!(
        "{} boards, {} chips, one agent process, its API ready after {:.3} s; miner.status on one core, \
         {} bytes{}",
        outcome.chains,
        outcome.chips,
        outcome.ready_s,
        outcome.answer_bytes,
        if outcome.two_cores {
            ", asked from another"
        } else {
            ", which asks as well"
        }
    ))?;
    let mut table = Table::new([
        Column::left("asked"),
        Column::right("connections"),
        Column::right("per second"),
        Column::right("cpu us"),
        Column::right("p50 ms"),
        Column::right("p99 ms"),
        Column::right("max ms"),
        Column::right("count"),
    ]);
    for rate in &outcome.rates {
        table.push([
            rate.who.to_owned(),
            rate.connections.to_string(),
            format!("{:.0}", rate.per_second),
            format!("{:.1}", rate.cpu_us),
            format!("{:.3}", rate.latency.p50_ms),
            format!("{:.3}", rate.latency.p99_ms),
            format!("{:.3}", rate.latency.max_ms),
            rate.latency.count.to_string(),
        ]);
    }
    print_table(&table)?;
    say("shares while a crowd is at the API:")?;
    let mut table = Table::new([
        Column::right("dashboards"),
        Column::right("idle"),
        Column::right("bad/s"),
        Column::right("p50 ms"),
        Column::right("p99 ms"),
        Column::right("max ms"),
        Column::right("shares"),
        Column::right("relay p50"),
        Column::right("relay p99"),
        Column::right("cpu"),
        Column::right("MB"),
    ]);
    for path in &outcome.paths {
        let (shares, relay) = (&path.nonce_to_submit, &path.relay);
        table.push([
            path.crowd.dashboards.to_string(),
            path.crowd.idle.to_string(),
            path.crowd.bad_per_second.to_string(),
            format!("{:.3}", shares.p50_ms),
            format!("{:.3}", shares.p99_ms),
            format!("{:.3}", shares.max_ms),
            shares.count.to_string(),
            format!("{:.3}", relay.p50_ms),
            format!("{:.3}", relay.p99_ms),
            format!("{:.1} %", path.cpu * 100.0),
            format!("{:.1}", path.rss_mb),
        ]);
    }
    print_table(&table)?;
    for path in outcome
        .paths
        .iter()
        .filter(|path| path.crowd.dashboards > 0)
    {
        let fate = &path.fate;
        say(&format!(
            "in {:.0} s: {} messages to dashboards, {} kB, {} dashboards lost; idle connections turned away \
             {} times; wrong requests: {} answered, {} cut off",
            path.seconds,
            fate.messages,
            fate.message_bytes / 1000,
            fate.dashboards_lost,
            fate.idle_refused,
            fate.bad_answered,
            fate.bad_cut_off
        ))?;
    }
    Ok(())
}
