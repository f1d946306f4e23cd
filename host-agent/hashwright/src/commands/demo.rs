//! `hashwright` and `hashwright demo`: simulated boards, an embedded pool and a live view, so that
//! anybody can watch a miner mine without hardware, account or config.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use board_profiles::Profile;
use pool::{PoolConfig, PoolCore};
use stratum::transport::TcpConnector;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{
    LogTo, Show, print_json, say, show, start_logging, stop_on_signals, stopped, unix_time,
};
use crate::access::Keeper;
use crate::agent::Agent;
use crate::api::{self, ServeError};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::{stop, view};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A board to simulate, by profile name or file; repeat for more (`boards --profiles` lists them)
    #[arg(long = "board", value_name = "PROFILE", default_values = ["bitaxe-gamma", "emberone00"])]
    pub boards: Vec<String>,
    /// Seed: the same seed gives the same boards and the same pool
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Stop after this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,
    /// Where to serve the API; another free port is taken if this one is in use
    #[arg(long, value_name = "ADDRESS", default_value_t = api::DEFAULT_LISTEN)]
    pub listen: SocketAddr,
    /// Lines of progress instead of the live view
    #[arg(long)]
    pub lines: bool,
    /// Append log lines to this file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Print the whole state as a line of JSON every second
    #[arg(long, conflicts_with = "lines")]
    pub json: bool,
}

/// Ramp step of the demo. Real boards take five times as long; there is nothing to protect here and
/// somebody is waiting.
const RAMP_INTERVAL_MS: u32 = 20;
/// Nonces a second that a board should find at least, so that its rate settles while one watches.
const NONCES_PER_SECOND: f64 = 30.0;
/// Shares a second over all boards at the pool's first difficulty.
const SHARES_PER_SECOND: f64 = 1.0;

/// Runs the demo until the user quits.
///
/// # Errors
///
/// A profile that cannot be used, or a loopback that cannot be listened on.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let how = if args.json {
        Show::Json
    } else if !args.lines && view::is_possible() {
        Show::View
    } else {
        Show::Lines
    };
    let to = match (&args.log, how) {
        (Some(path), _) => LogTo::File(path),
        (None, Show::View) => LogTo::Nowhere,
        (None, _) => LogTo::Stderr,
    };
    start_logging(to, if args.log.is_some() { "info" } else { "warn" })?;
    let (stopper, stop) = stop::channel();
    stop_on_signals(stopper.clone())?;

    let boards = args
        .boards
        .iter()
        .zip(args.seed..)
        .map(|(name, seed)| Ok(board(Profile::resolve(name)?, seed)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .context("no free port on loopback for the embedded pool")?;
    let address = listener.local_addr()?;
    let (events_in, mut events) = mpsc::channel(256);
    let core = PoolCore::new(pool_config(&boards, args.seed))?;
    // The pool goes last, so that the miner does not see it go.
    let (pool_stopper, pool_stop) = stop::channel();
    let pool = tokio::spawn(pool::serve(listener, core, events_in, stopped(pool_stop)));
    let reader = tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            tracing::debug!(?event, "pool");
        }
    });

    let config = Config {
        agent: config::Agent {
            name: "demo".to_owned(),
            state_dir: std::env::temp_dir(),
            state_dir_given: false,
        },
        upstream: config::Upstream::default(),
        pools: vec![config::Pool::new(
            format!("stratum+tcp://{address}").parse()?,
            "demo.worker",
        )],
        boards,
        cooling: config::Cooling::default(),
        tuner: config::Tuner::default(),
        // Whoever looks at the demo may try everything.
        api: config::Api {
            local: Some(rpc::Role::Admin),
            ..config::Api::new(args.listen)
        },
        cgminer: None,
        axeos: None,
        mqtt: None,
        webhooks: Vec::new(),
        mdns: crate::config::Mdns::default(),
        history: crate::config::History::default(),
    };
    let agent = Agent::start(&config, TcpConnector::default(), args.seed, &stopper)?;
    let keeper = Keeper::in_memory("demo", &config.api, Clock::start())?;
    let at = |listen| api::Options {
        listen,
        keeper: Some(keeper.clone()),
    };
    let server = match api::serve(at(args.listen), agent.faces(), stopped(stop.clone())).await {
        Err(ServeError::PortInUse(_)) => {
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let server = api::serve(at(any), agent.faces(), stopped(stop.clone())).await?;
            tracing::warn!(
                "{} is in use, so the demo's API is at http://{}",
                args.listen,
                server.local_addr()
            );
            server
        }
        other => other?,
    };
    tokio::spawn(keeper.run(stopped(stop.clone())));
    if let Some(seconds) = args.seconds {
        let stopper = stopper.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            stopper.stop();
        });
    }
    if how == Show::Lines {
        say(&format!(
            "demo: simulated boards ({}) on an embedded pool at {address}; nothing here earns anything",
            args.boards.join(", ")
        ))?;
        say(&format!(
            "demo: `hashwright status --url http://{}` asks it; Ctrl-C stops",
            server.local_addr()
        ))?;
    }
    let feed = match how {
        Show::View => view::local(
            agent.state.clone(),
            agent.events.clone(),
            agent.settings.clone(),
        ),
        _ => agent.state.clone().into(),
    };
    let shown = show(how, feed, &stopper, &stop).await;
    stopper.stop();
    let state = agent.state.clone();
    agent.finished().await?;
    server.stopped().await;
    pool_stopper.stop();
    pool.await
        .context("the embedded pool broke; please report this")?;
    reader.abort();
    let last = state.borrow().clone();
    match how {
        Show::Json => print_json(last.as_ref())?,
        _ => say(&view::summary(&last))?,
    }
    shown
}

/// A simulated board as the demo wants it: quick to start, and with enough nonces to look at.
fn board(mut profile: Profile, seed: u64) -> config::Board {
    profile.frequency.ramp_interval_ms = profile.frequency.ramp_interval_ms.min(RAMP_INTERVAL_MS);
    let hps = profile.hashrate_hps(profile.frequency.default_mhz);
    let ticket = &mut profile.chain.ticket_difficulty;
    while *ticket > 1 && hps / (f64::from(*ticket) * 2f64.powi(32)) < NONCES_PER_SECOND {
        *ticket /= 2;
    }
    config::Board::simulated(profile, seed)
}

fn pool_config(boards: &[config::Board], seed: u64) -> PoolConfig {
    let real_hps: f64 = boards
        .iter()
        .map(|board| {
            board.profile.hashrate_hps(board.target_mhz()) / 2f64.powi(board.scale_bits().into())
        })
        .sum();
    let mut config = PoolConfig::demo(seed, unix_time());
    let start = real_hps / SHARES_PER_SECOND / 2f64.powi(32);
    if let Ok(start) = pool::Difficulty::new(start) {
        config.vardiff.start = start;
    }
    config
}
