//! `hashwright pool`: serves the embedded pool of either protocol, to try a miner against and to see how it takes the
//! quirks of other pools.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use pool::{Event, PoolConfig, PoolCore, Quirks, Served};
use serde_json::{Value, json};
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
    /// Speak Stratum V2
    #[arg(long)]
    pub v2: bool,
    /// Share difficulty to start with; fractions suit simulated boards. Default: 0.001; with --v2 what
    /// the miner's nominal hashrate asks for
    #[arg(long, value_name = "N")]
    pub difficulty: Option<f64>,
    /// Shares a minute that vardiff aims at; 0 keeps the difficulty
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    pub shares_per_minute: f64,
    /// Seconds between jobs on the same block; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub job_interval: f64,
    /// Seconds between blocks that somebody else finds; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 600.0)]
    pub block_interval: f64,
    /// Size of our part of the extranonce, bytes; with --v2 it follows from the miner's part
    #[arg(long, value_name = "BYTES", default_value_t = 4, conflicts_with = "v2")]
    pub extranonce1_size: u8,
    /// Size of the miner's part of the extranonce, bytes. Default: 8; with --v2 16
    #[arg(long, value_name = "BYTES")]
    pub extranonce2_size: Option<u8>,
    /// Accepted shares that one acknowledgement covers
    #[arg(long, value_name = "N", default_value_t = 10, requires = "v2")]
    pub share_batch: u32,
    /// Seed of the authority key, which is part of the URL
    #[arg(long, value_name = "SEED", default_value_t = 1, requires = "v2")]
    pub authority_seed: u64,
    /// Address that the coinbase pays. Default: a well-known test address
    #[arg(long, value_name = "ADDRESS", requires = "v2")]
    pub payout_address: Option<String>,
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
        print!("{}", help_table(args.v2)?);
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
    if args.v2 {
        return run_v2(&args).await;
    }
    let mut config = PoolConfig {
        seed: args.seed,
        unix_start: unix_time(),
        job_interval: seconds("--job-interval", args.job_interval)?,
        block_interval: seconds("--block-interval", args.block_interval)?,
        extranonce1_size: args.extranonce1_size,
        extranonce2_size: args.extranonce2_size.unwrap_or(8),
        quirks: args.quirks.join(",").parse::<Quirks>()?,
        ..PoolConfig::default()
    };
    config.vardiff.start = pool::Difficulty::new(args.difficulty.unwrap_or(0.001))?;
    config.vardiff.shares_per_minute = args.shares_per_minute;
    config.validate()?;
    let url = |_: &PoolCore, address| format!("stratum+tcp://{address}");
    serve(&args, PoolCore::new(config)?, url, Event::to_json).await
}

#[cfg(feature = "sv2")]
async fn run_v2(args: &Args) -> anyhow::Result<()> {
    use pool::v2;

    let defaults = v2::Config::default();
    let mut config = v2::Config {
        seed: args.seed,
        authority: v2::Authority::from_seed(args.authority_seed),
        unix_start: unix_time(),
        // The embedded pool is for trying things out, which may take longer than an hour.
        certificate_valid_for: Duration::from_secs(365 * 86_400),
        job_interval: seconds("--job-interval", args.job_interval)?,
        block_interval: seconds("--block-interval", args.block_interval)?,
        difficulty: args.difficulty.map(pool::Difficulty::new).transpose()?,
        share_batch: args.share_batch,
        extranonce_size: args.extranonce2_size.unwrap_or(defaults.extranonce_size),
        quirks: args.quirks.join(",").parse::<v2::Quirks>()?,
        ..defaults
    };
    config.vardiff.shares_per_minute = args.shares_per_minute;
    if let Some(address) = &args.payout_address {
        config.pay_to(address)?;
    }
    let url = |core: &v2::Core, address: SocketAddr| core.url(&address.to_string());
    serve(args, v2::Core::new(config)?, url, v2::Event::to_json).await
}

#[cfg(not(feature = "sv2"))]
async fn run_v2(_: &Args) -> anyhow::Result<()> {
    bail!(NO_V2)
}

#[cfg(feature = "sv2")]
fn help_table(v2: bool) -> anyhow::Result<String> {
    Ok(if v2 {
        pool::v2::help_table()
    } else {
        pool::help_table()
    })
}

#[cfg(not(feature = "sv2"))]
fn help_table(v2: bool) -> anyhow::Result<String> {
    if v2 {
        bail!(NO_V2)
    }
    Ok(pool::help_table())
}

#[cfg(not(feature = "sv2"))]
const NO_V2: &str = "this build has no Stratum V2; build with --features sv2";

/// Serves a pool of either protocol and prints its events until a signal comes.
async fn serve<C>(
    args: &Args,
    core: C,
    url: impl Fn(&C, SocketAddr) -> String,
    to_json: impl Fn(&C::Event) -> Value,
) -> anyhow::Result<()>
where
    C: Served<Event: std::fmt::Display>,
{
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "cannot listen on {}; is another pool running there? Choose another with --listen",
            args.listen
        )
    })?;
    let url = url(&core, listener.local_addr()?);
    let (stopper, stop) = stop::channel();
    stop_on_signals(stopper.clone())?;
    if args.json {
        print_json(&json!({"event": "listening", "url": url}))?;
    } else {
        say(&format!("pool: {url}, any user and password; Ctrl-C stops"))?;
    }
    let (events_in, mut events) = mpsc::channel(1024);
    let server = tokio::spawn(pool::serve(listener, core, events_in, stopped(stop)));
    while let Some(event) = events.recv().await {
        let told = if args.json {
            print_json(&to_json(&event))
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
