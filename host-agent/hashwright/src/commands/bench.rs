//! `hashwright bench`: measures this program on this machine, each figure beside a peer or a limit
//! from the same run.

/// What to measure.
#[derive(Debug, clap::Subcommand)]
pub enum Command {}

/// Runs a benchmark.
///
/// # Errors
///
/// When something that it needs does not work.
pub async fn run(command: &Command) -> anyhow::Result<()> {
    match *command {}
}
