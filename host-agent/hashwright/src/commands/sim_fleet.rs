//! `hashwright sim-fleet`: many agents in one process, each with an API of its own on loopback, mining on
//! simulated boards at one embedded pool. It is for trying out what watches and steers fleets, and for
//! measuring what an agent costs; nothing here earns anything.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use pool::{PoolConfig, PoolCore};
use stratum::transport::TcpConnector;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{LogTo, say, start_logging, stop_on_signals, stopped, unix_time};
use crate::access::Keeper;
use crate::agent::Agent;
use crate::api;
use crate::clock::Clock;
use crate::config::{Config, System};
use crate::outlets;
use crate::stop::{self, Stop, Stopper};

/// Most agents in one process.
const MOST: u32 = 2_000;

/// Agents that start at the same time.
const AT_ONCE: usize = 20;

/// Shares a minute that the pool wants of each agent.
const SHARES_PER_MINUTE: f64 = 2.0;

/// Arguments of `sim-fleet`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How many agents
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub count: u32,
    /// Address of the first agent; each has the next address, on the same port
    #[arg(long, value_name = "ADDRESS", default_value = "127.20.0.1:4029")]
    pub first: SocketAddr,
    /// Count up ports instead of addresses
    #[arg(long)]
    pub by_port: bool,
    /// Board of each agent, by profile name or file
    #[arg(long, value_name = "PROFILE", default_value = "bitaxe-gamma")]
    pub board: String,
    /// The boards work at 2^-k of the silicon's rate, so that one CPU does for all
    #[arg(long, value_name = "K", default_value_t = 32)]
    pub scale_bits: u8,
    /// Simulate whole boards, with power, heat and fans, and not only their chips; costs more
    #[arg(long)]
    pub whole: bool,
    /// Each agent connects to this MQTT broker
    #[arg(long, value_name = "URL")]
    pub mqtt: Option<String>,
    /// Stop after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,
}

/// Runs the agents until a signal stops them.
///
/// # Errors
///
/// Arguments that make no fleet, or addresses that cannot be listened on.
pub async fn run(args: Args) -> anyhow::Result<()> {
    start_logging(LogTo::Stderr, "error")?;
    let places = places(&args)?;
    let (stopper, stop) = stop::channel();
    stop_on_signals(stopper.clone())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("no free port on loopback for the embedded pool")?;
    let pool_address = listener.local_addr()?;
    let (events_in, mut events) = mpsc::channel(256);
    let first = config(&args, 0, places[0], pool_address, Path::new("."))?;
    let core = PoolCore::new(pool_config(&args, &first))?;
    // The pool goes last, so that no agent sees it go.
    let (pool_stopper, pool_stop) = stop::channel();
    let pool = tokio::spawn(pool::serve(listener, core, events_in, stopped(pool_stop)));
    let reader = tokio::spawn(async move { while events.recv().await.is_some() {} });

    let directory = tempfile::tempdir().context("no directory for the agents' state")?;
    let mut agents = JoinSet::new();
    let (started_in, mut ready) = mpsc::channel(AT_ONCE);
    for (index, &place) in places.iter().enumerate() {
        let config = config(&args, index, place, pool_address, directory.path())?;
        let seed = index as u64 + 1;
        let (stopper, stop, started) = (stopper.clone(), stop.clone(), started_in.clone());
        let run = async move {
            let ended = one(config, seed, &stopper, &stop, &started).await;
            // One that did not start holds up no other.
            let _ = started.try_send(());
            ended
        };
        agents.spawn(run);
        // Two hundred bring-ups at once would only get into each other's way.
        if index + 1 >= AT_ONCE {
            ready.recv().await;
        }
    }
    let rest = places.len().min(AT_ONCE - 1);
    for _ in 0..rest {
        ready.recv().await;
    }
    drop((started_in, ready));
    if !stop.is_stopped() {
        say(&format!(
            "{} agents, from http://{} to http://{}, mine at {pool_address}; Ctrl-C stops",
            places.len(),
            places[0],
            places[places.len() - 1],
        ))?;
    }
    if let Some(seconds) = args.seconds {
        let stopper = stopper.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            stopper.stop();
        });
    }
    let mut problem = Ok(());
    while let Some(ended) = agents.join_next().await {
        let ended = ended.context("an agent broke; please report this")?;
        if ended.is_err() && problem.is_ok() {
            // One that cannot run ends all: half a fleet measures nothing.
            stopper.stop();
            problem = ended;
        }
    }
    pool_stopper.stop();
    pool.await
        .context("the embedded pool broke; please report this")?;
    reader.abort();
    problem
}

/// One agent, from its start to its end.
async fn one(
    config: Config,
    seed: u64,
    stopper: &Stopper,
    stop: &Stop,
    started: &mpsc::Sender<()>,
) -> anyhow::Result<()> {
    let clock = Clock::start();
    let keeper = Keeper::in_memory(&config.agent.name, &config.api, clock)?;
    let agent = Agent::start(&config, TcpConnector::default(), seed, stopper)?;
    let options = api::Options {
        listen: config.api.listen,
        keeper: Some(keeper.clone()),
    };
    let server = match api::serve(options, agent.faces(), stopped(stop.clone())).await {
        Ok(server) => server,
        Err(error) => {
            stopper.stop();
            agent.finished().await?;
            return Err(error).context("an agent was stopped because nobody could watch it");
        }
    };
    let keeping = tokio::spawn(keeper.run(stopped(stop.clone())));
    let links = outlets::Links {
        state: agent.state.clone(),
        events: agent.events.clone(),
        settings: agent.settings.clone(),
        demand: agent.demand.clone(),
    };
    let reached = outlets::Reached {
        listen: server.local_addr(),
        tls: false,
        fingerprint: None,
    };
    let outlets = outlets::start(&config, &links, &reached, stop);
    // Nobody counts any more once all have started.
    let _ = started.send(()).await;
    agent.finished().await?;
    server.stopped().await;
    outlets.finished().await;
    let _ = keeping.await;
    Ok(())
}

/// Where each agent listens.
fn places(args: &Args) -> anyhow::Result<Vec<SocketAddr>> {
    if args.count == 0 || args.count > MOST {
        bail!("--count is {}, but must be from 1 to {MOST}", args.count);
    }
    let IpAddr::V4(first) = args.first.ip() else {
        bail!("--first must be an IPv4 address on loopback, e.g. 127.20.0.1:4029");
    };
    let place = |index: u32| {
        if args.by_port {
            let port = u32::from(args.first.port()) + index;
            return Some(SocketAddr::from((first, u16::try_from(port).ok()?)));
        }
        let address = Ipv4Addr::from(u32::from(first).checked_add(index)?);
        Some(SocketAddr::from((address, args.first.port())))
    };
    let places: Option<Vec<_>> = (0..args.count).map(place).collect();
    match places {
        Some(places) if places.iter().all(|place| place.ip().is_loopback()) => Ok(places),
        _ => bail!(
            "{} agents from {} on do not all fit on loopback; begin further down, e.g. 127.20.0.1:4029",
            args.count,
            args.first
        ),
    }
}

/// The config of an agent, as its file would be.
fn config(
    args: &Args,
    index: usize,
    place: SocketAddr,
    pool: SocketAddr,
    directory: &Path,
) -> anyhow::Result<Config> {
    let name = format!("sim-{:03}", index + 1);
    let state_dir = directory.join(&name);
    let control = if args.whole { "sim" } else { "external" };
    let mqtt = args
        .mqtt
        .as_ref()
        .map_or(String::new(), |url| format!("[mqtt]\nurl = {url:?}\n"));
    let text = format!(
        "[agent]\nname = {name:?}\nstate_dir = {state_dir:?}\n\
         [[pool]]\nurl = \"stratum+tcp://{pool}\"\nuser = \"sim.{name}\"\n\
         [[board]]\nprofile = {board:?}\nuart = \"sim\"\ncontrol = \"{control}\"\n\
         sim = {{ scale_bits = {bits}, seed = {seed} }}\n\
         [api]\nlisten = \"{place}\"\nlocal = \"admin\"\n\
         [history]\nenabled = false\n{mqtt}",
        board = args.board,
        bits = args.scale_bits,
        seed = index + 1,
    );
    Config::parse(&PathBuf::from("sim-fleet"), &text, &System)
        .context("these arguments make no agent")
}

/// A pool for so many agents like this one.
fn pool_config(args: &Args, agent: &Config) -> PoolConfig {
    let mut config = PoolConfig::demo(1, unix_time());
    config.max_connections = args.count as usize + 16;
    config.vardiff.shares_per_minute = SHARES_PER_MINUTE;
    let hps = agent.boards.iter().map(|board| {
        board.profile.hashrate_hps(board.target_mhz()) / 2f64.powi(board.scale_bits().into())
    });
    let start = hps.sum::<f64>() * 60.0 / SHARES_PER_MINUTE / 2f64.powi(32);
    if let Ok(start) = pool::Difficulty::new(start) {
        config.vardiff.start = start;
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(count: u32, first: &str, by_port: bool) -> Args {
        Args {
            count,
            first: first.parse().unwrap(),
            by_port,
            board: "bitaxe-gamma".into(),
            scale_bits: 32,
            whole: false,
            mqtt: None,
            seconds: None,
        }
    }

    #[test]
    fn each_agent_has_a_place_of_its_own() {
        let shown = |args: &Args| -> Vec<_> {
            let places = places(args).unwrap();
            places.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            shown(&args(2, "127.20.0.255:4029", false)),
            ["127.20.0.255:4029", "127.20.1.0:4029"]
        );
        assert_eq!(
            shown(&args(2, "127.0.0.1:4100", true)),
            ["127.0.0.1:4100", "127.0.0.1:4101"]
        );
        for bad in [
            args(0, "127.20.0.1:4029", false),
            args(2, "127.255.255.255:4029", false),
            args(2, "127.0.0.1:65535", true),
            args(1, "10.0.0.1:4029", false),
            args(1, "[::1]:4029", false),
        ] {
            assert!(places(&bad).is_err());
        }
    }

    #[test]
    fn the_config_of_an_agent_is_sound() {
        let mut args = args(1, "127.20.0.1:4029", false);
        for whole in [false, true] {
            args.whole = whole;
            let pool = "127.0.0.1:3333".parse().unwrap();
            let config = config(&args, 6, args.first, pool, "/tmp".as_ref()).unwrap();
            assert_eq!(config.agent.name, "sim-007");
            assert_eq!(config.boards[0].scale_bits(), 32);
        }
    }
}
