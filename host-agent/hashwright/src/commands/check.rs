//! `hashwright config check`: validates a config without starting anything.

use std::path::PathBuf;

use super::say;
use crate::config::{self, DEFAULT_PATH};

/// Arguments of `config`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a config file and say what is wrong, without starting anything
    Check {
        /// The config file
        #[arg(value_name = "FILE", default_value = DEFAULT_PATH)]
        file: PathBuf,
        /// The config file, as `run` takes it
        #[arg(long, value_name = "FILE", conflicts_with = "file")]
        config: Option<PathBuf>,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Prints the report; `Ok(false)` if the config cannot be used.
///
/// # Errors
///
/// When nobody reads standard output.
pub fn run(command: &Command) -> anyhow::Result<bool> {
    let Command::Check { file, config, json } = command;
    let report = config::check(config.as_ref().unwrap_or(file));
    if *json {
        say(&report.to_json())?;
    } else {
        say(report.to_string().trim_end())?;
    }
    Ok(report.valid)
}
