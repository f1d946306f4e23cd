//! `hashwright run`: the daemon.

use std::path::PathBuf;

use anyhow::{Context, bail};
use stratum::transport::TcpConnector;

use super::{LogTo, Show, random_seed, show, start_logging, stop_on_signals, stopped};
use crate::agent::Agent;
use crate::config::{Config, DEFAULT_PATH};
use crate::{api, stop};

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
    let config = Config::load(&args.config)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let (stopper, stop) = stop::channel();
    stop_on_signals(stopper.clone())?;
    let agent = Agent::start(
        &config,
        TcpConnector::default(),
        random_seed().context("this system gives no random numbers")?,
        &stopper,
    )?;
    let server = api::serve(config.api.listen, agent.faces(), stopped(stop.clone())).await;
    let server = match server {
        Ok(server) => server,
        Err(error) => {
            stopper.stop();
            agent.finished().await?;
            return Err(error).context("the agent was stopped because nobody could watch it");
        }
    };
    let how = match (args.view, args.json) {
        (true, _) => Show::View,
        (false, true) => Show::Json,
        (false, false) => Show::Nothing,
    };
    let shown = show(how, agent.state.clone(), &stopper, &stop).await;
    stopper.stop();
    let state = agent.state.clone();
    agent.finished().await?;
    server.stopped().await;
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
    shown
}
