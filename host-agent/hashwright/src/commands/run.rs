//! `hashwright run`: the daemon.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, anyhow, bail};
use stratum::transport::TcpConnector;

use super::{LogTo, Show, random_seed, show, start_logging, stop_on_signals, stopped};
use crate::access::Keeper;
use crate::agent::Agent;
use crate::clock::Clock;
use crate::config::DEFAULT_PATH;
use crate::settings::ConfigFile;
use crate::{api, faces, outlets, stop, view};

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The config file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
    /// Show the live view; log lines then need --log
    #[arg(long)]
    pub view: bool,
    /// Append log lines to this file instead of writing them to standard error
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Print the whole state as a line of JSON every second
    #[arg(long, conflicts_with = "view")]
    pub json: bool,
}

/// Runs the agent until a signal stops it.
///
/// # Errors
///
/// A config that cannot be used, or an API address that cannot be listened on.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let to = match (&args.log, args.view) {
        (Some(path), _) => LogTo::File(path),
        (None, true) => LogTo::Nowhere,
        (None, false) => LogTo::Stderr,
    };
    start_logging(to, "info")?;
    let (config, file) = ConfigFile::load(&args.config)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    // An API that others could misuse is refused before anything gets power.
    let keeper = Keeper::open(&config.agent, &config.api, Clock::start())?;
    for note in keeper.notes() {
        tracing::warn!("{note}");
    }
    let (stopper, stop) = stop::channel();
    stop_on_signals(stopper.clone())?;
    let agent = Agent::start(
        &config,
        TcpConnector::default(),
        random_seed().context("this system gives no random numbers")?,
        &stopper,
    )?;
    let settings = agent.settings.clone();
    if let Err(error) = settings.attach(file).await {
        tracing::warn!("changes cannot be saved: {error}");
    }
    let options = api::Options {
        listen: config.api.listen,
        keeper: Some(keeper.clone()),
    };
    let server = api::serve(options, agent.faces(), stopped(stop.clone())).await;
    let server = match server {
        Ok(server) => server,
        Err(error) => {
            stopper.stop();
            agent.finished().await?;
            return Err(error).context("the agent was stopped because nobody could watch it");
        }
    };
    let reached = outlets::Reached {
        listen: config.api.listen,
        tls: config.api.speaks_tls(),
        fingerprint: keeper.fingerprint().map(|sha256| sha256.to_string()),
    };
    let keeping = tokio::spawn(keeper.run(stopped(stop.clone())));
    let tools = faces::Sources {
        state: agent.state.clone(),
        shares: agent.shares.clone(),
        settings: agent.settings.clone(),
        events: agent.events.clone(),
    };
    let tools = faces::start(&config, tools, &stop).await;
    let links = outlets::Links {
        state: agent.state.clone(),
        events: agent.events.clone(),
        settings: agent.settings.clone(),
        demand: agent.demand.clone(),
    };
    let outlets = outlets::start(&config, &links, &reached, &stop);
    let how = match (args.view, args.json) {
        (true, _) => Show::View,
        (false, true) => Show::Json,
        (false, false) => Show::Nothing,
    };
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
    tools.stopped().await;
    outlets.finished().await;
    // It takes its token for this machine away.
    let _ = keeping.await;
    let last = state.borrow().clone();
    let on = last
        .stations
        .iter()
        .filter(|station| !station.status.is_off());
    let boards: Vec<_> = on.flat_map(|station| station.boards.clone()).collect();
    if !boards.is_empty() {
        bail!(
            "stopped, but could not make sure that boards {boards:?} are off; switch them off by hand"
        );
    }
    tracing::info!("stopped");
    if settings.restart_wanted() {
        shown?;
        return Err(start_anew());
    }
    shown
}

/// Takes this program's place with itself, as it was called. Gives what kept it from that.
fn start_anew() -> anyhow::Error {
    let mut arguments = std::env::args_os();
    let called = arguments.next();
    // A program that was replaced since it was started is found where it was called from.
    let itself = std::env::current_exe().ok().filter(|path| path.exists());
    let Some(program) = itself.or_else(|| called.map(PathBuf::from)) else {
        return anyhow!("the program does not know where it is, and was stopped instead");
    };
    tracing::info!(program = %program.display(), "starting anew");
    let error = Command::new(&program).args(arguments).exec();
    anyhow!(error).context(format!("cannot start {} anew", program.display()))
}
