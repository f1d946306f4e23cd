//! `hashwright pool`: serves the embedded pool, to try a miner against and to see how it takes the
//! quirks of other pools.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use pool::{PoolConfig, PoolCore, Quirks};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{LogTo, print_json, say, start_logging, stop_on_signals, stopped, unix_time};
use crate::{format, stop};

/// Arguments of `pool`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen; loopback only, because anybody may connect
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3333")]
    pub listen: SocketAddr,
    /// Share difficulty to start with; fractions suit simulated boards
    #[arg(long, value_name = "N", default_value_t = 0.001)]
    pub difficulty: f64,
    /// Shares a minute that vardiff aims at; 0 keeps the difficulty
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    pub shares_per_minute: f64,
    /// Seconds between jobs on the same block; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub job_interval: f64,
    /// Seconds between blocks that somebody else finds; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    pub block_interval: f64,
    /// Size of our part of the extranonce, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4)]
    pub extranonce1_size: u8,
    /// Size of the miner's part of the extranonce, bytes
    #[arg(long, value_name = "BYTES", default_value_t = 8)]
    pub extranonce2_size: u8,
    /// Behave like other pools do: NAME, NAME=NUMBER, several with commas or repeated
    #[arg(long = "quirk", value_name = "QUIRK", value_delimiter = ',')]
    pub quirks: Vec<String>,
    /// List the quirks and stop
    #[arg(long)]
    pub list_quirks: bool,
    /// Seed of the made-up chain
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print events as JSON, one a line
    #[arg(long)]
    pub json: bool,
}

/// Serves the pool until a signal stops it.
///
/// # Errors
///
/// Arguments that make no pool, or an address that cannot be listened on.
pub async fn run(args: Args) -> anyhow::Result<()> {
    if args.list_quirks {
        print!("{}", pool::help_table());
        return Ok(());
    }
    if !args.listen.ip().is_loopback() {
        bail!(
            "the embedded pool listens on loopback only, not on {}: it is made for tests and lets anybody in. Use 127.0.0.1:{}",
            args.listen,
            args.listen.port()
        );
    }
    start_logging(LogTo::Stderr, "warn")?;
    let mut config = PoolConfig {
        seed: args.seed,
        unix_start: unix_time(),
        job_interval: seconds("--job-interval", args.job_interval)?,
        block_interval: seconds("--block-interval", args.block_interval)?,
        extranonce1_size: args.extranonce1_size,
        extranonce2_size: args.extranonce2_size,
        quirks: args.quirks.join(",").parse::<Quirks>()?,
        ..PoolConfig::default()
    };
    config.vardiff.start = pool::Difficulty::new(args.difficulty)?;
    config.vardiff.shares_per_minute = args.shares_per_minute;
    config.validate()?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; is another pool running there? Choose another with --listen",
            args.listen
        )
    })?;
    let address = listener.local_addr()?;
    let (stopper, stop) = stop::channel();
    stop_on_signals(stopper.clone())?;
    if args.json {
        print_json(&json!({"event": "listening", "url": format!("stratum+tcp://{address}")}))?;
    } else {
        say(&format!(
            "pool: stratum+tcp://{address}, any user and password; Ctrl-C stops"
        ))?;
    }
    let (events_in, mut events) = mpsc::channel(1024);
    let core = PoolCore::new(config)?;
    let server = tokio::spawn(pool::serve(listener, core, events_in, stopped(stop)));
    while let Some(event) = events.recv().await {
        let told = if args.json {
            print_json(&event.to_json())
        } else {
            use std::io::Write;
            writeln!(std::io::stdout(), "pool: {event}").map_err(Into::into)
        };
        if told.is_err() {
            stopper.stop();
            break;
        }
    }
    let stats = server.await.context("the pool broke; please report this")?;
    if args.json {
        print_json(&json!({
            "event": "stopped",
            "accepted": stats.accepted,
            "rejected": stats.rejected.total(),
            "best_share": stats.best_share,
        }))?;
    } else {
        say(&format!(
            "pool: {} shares accepted, {} rejected, best {}",
            stats.accepted,
            stats.rejected.total(),
            format::difficulty(stats.best_share)
        ))?;
    }
    Ok(())
}

fn seconds(option: &str, value: f64) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(value)
        .ok()
        .with_context(|| format!("{option} {value}: expected a number of seconds, 0 or more"))
}
