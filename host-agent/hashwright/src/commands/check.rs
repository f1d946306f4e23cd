//! `hashwright config check`: validates a config without starting anything.

use std::path::PathBuf;

use crate::config::{self, DEFAULT_PATH};

/// Arguments of `config`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a config file and say what is wrong, without starting anything
    Check {
        /// The config file
        #[arg(value_name = "FILE", default_value = DEFAULT_PATH)]
        file: PathBuf,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Prints the report; `Ok(false)` if the config cannot be used.
#[must_use]
pub fn run(command: &Command) -> bool {
    let Command::Check { file, json } = command;
    let report = config::check(file);
    if *json {
        println!("{}", report.to_json());
    } else {
        print!("{report}");
    }
    report.valid
}
