//! The `hashwright` program: reads the command line and calls the library.

use std::io;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hashwright::cli::{self, ChipArgs, ClientArgs, Look};
use hashwright::commands::{bench, check, demo, pool, profiles, run, sim, sim_fleet};
use hashwright::commands::{note, say};
use hashwright::fleet;

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
    /// Show the pools of the running miner, or change them
    Pools(cli::PoolArgs),
    /// Show how boards are cooled, or change it
    Cooling(cli::CoolingArgs),
    /// Show what happened and why
    Events(cli::EventArgs),
    /// Show what was: hashrate, power, temperatures and shares of up to a year
    History(cli::history::HistoryArgs),
    /// Show the log of the running miner
    Log(cli::LogArgs),
    /// Watch a running miner, here or elsewhere, page by page
    Top(cli::top::TopArgs),
    /// Stop mining: wind all boards down and take their power
    Pause(cli::ChangeArgs),
    /// Mine again after a pause
    Resume(cli::ChangeArgs),
    /// Change settings of the running miner, all of them or none
    Set(cli::SetArgs),
    /// Wind all boards down and start the agent anew
    Restart(cli::ChangeArgs),
    /// Tune clocks and voltage for power, hashrate, efficiency or profit, and say why
    Tune(cli::tune::Args),
    /// Say what the boards would do under an aim, by their own models
    Predict(cli::predict::Args),
    /// Correct the power that is reckoned with by what a wall meter shows
    Calibrate(cli::calibrate::Args),
    /// Run a recorded log through the tuner, offline
    Replay(cli::replay::Args),
    /// Set the clock of a chip, or read its registers
    Chip(cli::chip::Args),
    /// Say that the cause of a latched fault is gone
    ClearFault(cli::ClearFaultArgs),
    /// Tokens, pairing, the API's certificate and the audit log
    Auth(cli::auth::Args),
    /// Get a token from an agent with its pairing code, and know the agent from then on
    Pair(cli::auth::PairArgs),
    /// Find, watch and change many machines
    Fleet(fleet::command::Args),
    /// Run many simulated agents in one process, to try out what watches fleets
    SimFleet(sim_fleet::Args),
    /// Serve a simulated board on a pty or socket
    Sim(sim::Args),
    /// Serve the embedded pool: Stratum V1, or V2 with --v2
    Pool(pool::Args),
    /// Work with the config file, or with the settings of a running miner
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Measure a board at every point of a grid of clock and voltage
    Sweep(cli::sweep::SweepArgs),
    /// Test whether a board is good: chips, rate, errors, heat, power, with a report
    BenchBoard(cli::bench_board::BenchBoardArgs),
    /// Measure this program on this machine
    Bench {
        #[command(subcommand)]
        command: bench::Command,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    #[command(flatten)]
    File(check::Command),
    /// Show the settings in force and where each comes from
    Get(cli::PathArgs),
    /// Change settings, all of them or none
    Set(cli::SetArgs),
    /// Show what each setting may be
    Constraints(cli::PathArgs),
    /// Keep a change that would be undone
    Confirm(cli::PendingArgs),
    /// Undo a change that waits for its confirmation
    Rollback(cli::PendingArgs),
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

/// Prints what there is to print: some commands have done so on the way.
fn said(text: &str) -> anyhow::Result<()> {
    match text {
        "" => Ok(()),
        text => say(text),
    }
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    let look = Look::of_stdout();
    match command {
        Command::Run(args) => run::run(args).await?,
        Command::Demo(args) => demo::run(args).await?,
        Command::Status(args) => say(&cli::status(&args, look).await?)?,
        Command::Boards(BoardArgs {
            client,
            profiles: true,
        }) => profiles::run(client.json)?,
        Command::Boards(BoardArgs { client, .. }) => say(&cli::boards(&client, look).await?)?,
        Command::Chips(args) => say(&cli::chips(&args, look).await?)?,
        Command::Pools(args) => say(&cli::pools(&args).await?)?,
        Command::Cooling(args) => say(&cli::cooling(&args).await?)?,
        Command::Events(args) if args.follow => cli::follow_events(&args).await?,
        Command::Events(args) => say(&cli::events(&args).await?)?,
        Command::History(args) => say(&cli::history::history(&args).await?)?,
        Command::Log(args) => cli::log(&args).await?,
        Command::Top(args) => cli::top::top(&args).await?,
        Command::Pause(args) => say(&cli::pause(&args).await?)?,
        Command::Resume(args) => say(&cli::resume(&args).await?)?,
        Command::Set(args) => say(&cli::set(&args).await?)?,
        Command::Restart(args) => say(&cli::restart(&args).await?)?,
        Command::Tune(args) => said(&cli::tune::run(&args, look).await?)?,
        Command::Predict(args) => say(&cli::predict::predict(&args, look).await?)?,
        Command::Calibrate(args) => say(&cli::calibrate::calibrate(&args).await?)?,
        Command::Replay(args) => say(&cli::replay::replay(&args, look)?)?,
        Command::Chip(args) => say(&cli::chip::run(&args, look).await?)?,
        Command::ClearFault(args) => say(&cli::clear_fault(&args).await?)?,
        Command::Auth(args) => say(&cli::auth::run(&args).await?)?,
        Command::Pair(args) => say(&cli::auth::pair(&args).await?)?,
        Command::Fleet(args) => return fleet::command::run(&args, look).await,
        Command::SimFleet(args) => sim_fleet::run(args).await?,
        Command::Sim(args) => sim::run(args).await?,
        Command::Pool(args) => pool::run(args).await?,
        Command::Config { command } => match command {
            ConfigCommand::File(command) => {
                if !check::run(&command)? {
                    return Ok(ExitCode::FAILURE);
                }
            }
            ConfigCommand::Get(args) => say(&cli::config_get(&args, look).await?)?,
            ConfigCommand::Set(args) => say(&cli::set(&args).await?)?,
            ConfigCommand::Constraints(args) => {
                say(&cli::config_constraints(&args, look).await?)?;
            }
            ConfigCommand::Confirm(args) => say(&cli::config_confirm(&args).await?)?,
            ConfigCommand::Rollback(args) => say(&cli::config_rollback(&args).await?)?,
        },
        Command::Sweep(args) => return cli::sweep::run(&args, look).await,
        Command::BenchBoard(args) => return cli::bench_board::run(&args, look).await,
        Command::Bench { command } => bench::run(&command).await?,
    }
    Ok(ExitCode::SUCCESS)
}
