//! The `hashwright` program: reads the command line and calls the library.

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hashwright::cli::{self, ChipArgs, ClientArgs};
use hashwright::commands::{bench, check, demo, pool, profiles, run, sim};
use hashwright::commands::{note, say};

/// Open firmware for Bitcoin miners: takes work from a pool, drives hash boards, verifies every nonce.
///
/// Without a subcommand it runs the demo: simulated boards mining on an embedded pool, in a live view.
/// Nothing but this program is needed for that, and nothing is earned.
#[derive(Debug, Parser)]
#[command(
    name = "hashwright",
    version,
    after_help = "Logging: HASHWRIGHT_LOG=debug, or a filter such as HASHWRIGHT_LOG=stratum=trace,info\n\
                  Docs: docs/config.md for the config, docs/hardware.md to connect a board"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mine with the boards and pools of a config file
    Run(run::Args),
    /// Watch simulated boards mine on an embedded pool
    Demo(demo::Args),
    /// Show the running miner
    Status(ClientArgs),
    /// Show the boards of the running miner, or the known board profiles
    Boards(BoardArgs),
    /// Show the chips of the running miner
    Chips(ChipArgs),
    /// Show the pools of the running miner
    Pools(ClientArgs),
    /// Show how boards are cooled, or change it
    Cooling(cli::CoolingArgs),
    /// Show what happened and why
    Events(cli::EventArgs),
    /// Say that the cause of a latched fault is gone
    ClearFault(cli::ClearFaultArgs),
    /// Serve a simulated board on a pty or socket
    Sim(sim::Args),
    /// Serve the embedded pool: Stratum V1, or V2 with --v2
    Pool(pool::Args),
    /// Work with the config file
    Config {
        #[command(subcommand)]
        command: check::Command,
    },
    /// Measure this program on this machine
    Bench {
        #[command(subcommand)]
        command: bench::Command,
    },
}

#[derive(Debug, clap::Args)]
struct BoardArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// List the board profiles that are built in, instead of asking an agent
    #[arg(long)]
    profiles: bool,
}

fn main() -> ExitCode {
    // Without a subcommand the demo runs with its default options, which clap knows.
    let command = Cli::parse()
        .command
        .or_else(|| Cli::parse_from(["hashwright", "demo"]).command);
    let Some(command) = command else {
        return ExitCode::FAILURE;
    };
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(dispatch(command)));
    match result {
        Ok(code) => code,
        // Whoever read our output has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {}", told(&error)));
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// An error with its causes, each told once: many of our texts contain their cause already.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(args).await?,
        Command::Demo(args) => demo::run(args).await?,
        Command::Status(args) => say(&cli::status(&args).await?)?,
        Command::Boards(BoardArgs {
            client,
            profiles: true,
        }) => profiles::run(client.json)?,
        Command::Boards(BoardArgs { client, .. }) => say(&cli::boards(&client).await?)?,
        Command::Chips(args) => say(&cli::chips(&args).await?)?,
        Command::Pools(args) => say(&cli::pools(&args).await?)?,
        Command::Cooling(args) => say(&cli::cooling(&args).await?)?,
        Command::Events(args) => say(&cli::events(&args).await?)?,
        Command::ClearFault(args) => say(&cli::clear_fault(&args).await?)?,
        Command::Sim(args) => sim::run(args).await?,
        Command::Pool(args) => pool::run(args).await?,
        Command::Config { command } => {
            if !check::run(&command)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Bench { command } => bench::run(&command).await?,
    }
    Ok(ExitCode::SUCCESS)
}
