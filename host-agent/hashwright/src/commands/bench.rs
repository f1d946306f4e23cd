//! `hashwright bench`: measures this program on this machine, each figure beside a peer or a limit
//! from the same run.

mod books;
mod child;
mod decoder;
mod failover;
mod hash;
mod path;
mod reconnects;
mod relay;
mod rig;
mod sampling;
mod server;

use std::time::Duration;

use anyhow::ensure;

use super::say;
use crate::format::Table;

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Hash backends, scanning and checking nonces, beside the `sha2` crate in the same run
    Hash(hash::Args),
    /// The reply decoder on clean and noisy input, beside a line of 3.125 Mbaud
    Decoder(decoder::Args),
    /// The whole path through a running agent: new block to job frames, nonce to submitted share
    Path(path::Args),
    /// From the death of a pool to work of the next one
    Failover(failover::Args),
    /// What becomes of shares while the pool hangs up again and again
    Reconnects(reconnects::Args),
}

/// Runs a benchmark and prints what it found.
///
/// # Errors
///
/// When something that it needs does not work.
pub async fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Hash(args) => hash::run(args),
        Command::Decoder(args) => decoder::run(args),
        Command::Path(args) => path::run(args).await,
        Command::Failover(args) => failover::run(args).await,
        Command::Reconnects(args) => reconnects::run(args).await,
    }
}

/// The value of `--seconds`.
fn duration(seconds: f64) -> anyhow::Result<Duration> {
    ensure!(
        (0.01..=600.0).contains(&seconds),
        "--seconds {seconds}: write 0.01 to 600"
    );
    Ok(Duration::from_secs_f64(seconds))
}

fn print_table(table: &Table) -> anyhow::Result<()> {
    for line in table.lines(None) {
        say(line.trim_end())?;
    }
    Ok(())
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
