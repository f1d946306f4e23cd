//! What the program does as a client of a running agent: `status`, `boards`, `chips`, `pools`,
//! `cooling`, `events`, `clear-fault`.
//! Each asks over JSON-RPC and returns the text to print: tables for people, or with `--json` the
//! replies as they came.

use serde_json::json;
use serde_json::value::RawValue;

use crate::api::methods::{self, CoolingSet};
use crate::state::SystemInfo;

mod client;
pub mod render;

pub use client::{Client, ClientError};

/// Where the agent's API is unless the user says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:4029";

/// What every client command takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ClientArgs {
    /// Where the agent's API is
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    pub url: String,
    /// Print the reply as JSON
    #[arg(long)]
    pub json: bool,
}

/// What `chips` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ChipArgs {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Only the chips of this board
    #[arg(long, value_name = "INDEX")]
    pub board: Option<usize>,
}

/// What `cooling` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct CoolingArgs {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Change only the boards on this board's supply
    #[arg(long, value_name = "INDEX")]
    pub board: Option<usize>,
    /// Change the mode: auto, manual or immersion
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Duty of the fans in manual mode, percent
    #[arg(long, value_name = "PERCENT", requires = "mode")]
    pub percent: Option<u8>,
    /// Temperature to hold in automatic mode, °C
    #[arg(long, value_name = "CELSIUS")]
    pub target: Option<f64>,
    /// Immersion mode: I have made sure that the boards are in liquid
    #[arg(long, requires = "mode")]
    pub confirm_immersion: bool,
}

/// What `events` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct EventArgs {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Only events of this board
    #[arg(long, value_name = "INDEX")]
    pub board: Option<usize>,
    /// How many, newest last
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    pub limit: usize,
}

/// What `clear-fault` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ClearFaultArgs {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// The board
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub board: usize,
    /// Code of the fault, as `status` shows it
    #[arg(value_name = "CODE")]
    pub code: String,
}

/// `hashwright status`: the whole miner with its boards and pools.
///
/// With `--json` an object of the replies: `system`, `miner`, `boards`, `stations`, `pools`.
///
/// # Errors
///
/// No agent, or no sensible reply; see [`ClientError`].
pub async fn status(args: &ClientArgs) -> Result<String, ClientError> {
    let client = Client::connect(&args.url).await?;
    let system = client.call(methods::SYSTEM_INFO).await?;
    let miner = client.call(methods::MINER_STATUS).await?;
    let boards = client.call(methods::BOARD_LIST).await?;
    let stations = client.call(methods::STATION_LIST).await?;
    let pools = client.call(methods::POOL_LIST).await?;
    if args.json {
        return Ok(format!(
            r#"{{"system":{system},"miner":{miner},"boards":{boards},"stations":{stations},"pools":{pools}}}"#
        ));
    }
    Ok(render::status(
        &typed(methods::SYSTEM_INFO, &system)?,
        &typed(methods::MINER_STATUS, &miner)?,
        &typed::<Vec<_>>(methods::BOARD_LIST, &boards)?,
        &typed::<Vec<_>>(methods::STATION_LIST, &stations)?,
        &typed::<Vec<_>>(methods::POOL_LIST, &pools)?,
    ))
}

/// `hashwright boards`: the boards of a running agent.
///
/// # Errors
///
/// No agent, or no sensible reply; see [`ClientError`].
pub async fn boards(args: &ClientArgs) -> Result<String, ClientError> {
    let boards = Client::connect(&args.url)
        .await?
        .call(methods::BOARD_LIST)
        .await?;
    if args.json {
        return Ok(boards.to_string());
    }
    Ok(render::boards(&typed::<Vec<_>>(
        methods::BOARD_LIST,
        &boards,
    )?))
}

/// `hashwright chips`: the chips of all boards or of one.
///
/// # Errors
///
/// No agent, no such board, or no sensible reply; see [`ClientError`].
pub async fn chips(args: &ChipArgs) -> Result<String, ClientError> {
    let client = Client::connect(&args.client.url).await?;
    let chips = match args.board {
        Some(board) => client.call_with(methods::CHIP_LIST, "board", board).await?,
        None => client.call(methods::CHIP_LIST).await?,
    };
    if args.client.json {
        return Ok(chips.to_string());
    }
    let boards = client.call(methods::BOARD_LIST).await?;
    Ok(render::chips(
        &typed::<Vec<_>>(methods::CHIP_LIST, &chips)?,
        &typed::<Vec<_>>(methods::BOARD_LIST, &boards)?,
    ))
}

/// `hashwright pools`: the configured pools, their statistics, and what each lets us mine.
///
/// # Errors
///
/// No agent, or no sensible reply; see [`ClientError`].
pub async fn pools(args: &ClientArgs) -> Result<String, ClientError> {
    let client = Client::connect(&args.url).await?;
    let pools = client.call(methods::POOL_LIST).await?;
    if args.json {
        return Ok(pools.to_string());
    }
    let system = client.call(methods::SYSTEM_INFO).await?;
    let system: SystemInfo = typed(methods::SYSTEM_INFO, &system)?;
    let pools = typed::<Vec<_>>(methods::POOL_LIST, &pools)?;
    Ok(render::pool_details(&pools, system.uptime_s))
}

/// `hashwright cooling`: shows how boards are cooled, or changes it.
///
/// # Errors
///
/// No agent, its refusal, or no sensible reply; see [`ClientError`].
pub async fn cooling(args: &CoolingArgs) -> Result<String, ClientError> {
    let client = Client::connect(&args.client.url).await?;
    let wish = CoolingSet {
        board: args.board,
        mode: args.mode.clone(),
        percent: args.percent,
        confirm_immersion: args.confirm_immersion.then_some(true),
        target_c: args.target,
    };
    if wish != CoolingSet::default() {
        client.call_params(methods::COOLING_SET, &wish).await?;
    }
    let cooling = client.call(methods::COOLING_GET).await?;
    if args.client.json {
        return Ok(cooling.to_string());
    }
    Ok(render::control::cooling(&typed::<Vec<_>>(
        methods::COOLING_GET,
        &cooling,
    )?))
}

/// `hashwright events`: what happened and why.
///
/// # Errors
///
/// No agent, or no sensible reply; see [`ClientError`].
pub async fn events(args: &EventArgs) -> Result<String, ClientError> {
    let client = Client::connect(&args.client.url).await?;
    let params = json!({ "board": args.board, "limit": args.limit });
    let events = client.call_params(methods::EVENT_LIST, &params).await?;
    if args.client.json {
        return Ok(events.to_string());
    }
    Ok(render::control::events(&typed::<Vec<_>>(
        methods::EVENT_LIST,
        &events,
    )?))
}

/// `hashwright clear-fault`: a person says that the cause of a latched fault is gone.
///
/// # Errors
///
/// No agent, or its refusal; see [`ClientError`].
pub async fn clear_fault(args: &ClearFaultArgs) -> Result<String, ClientError> {
    let client = Client::connect(&args.client.url).await?;
    let params = json!({ "board": args.board, "code": args.code });
    let reply = client.call_params(methods::CLEAR_FAULT, &params).await?;
    if args.client.json {
        return Ok(reply.to_string());
    }
    let board = args.board;
    Ok(format!(
        "Fault {} of board {board} cleared; the board is checked and started again.",
        args.code
    ))
}

fn typed<T: serde::de::DeserializeOwned>(
    method: &'static str,
    reply: &RawValue,
) -> Result<T, ClientError> {
    serde_json::from_str(reply.get()).map_err(|source| ClientError::Reply { method, source })
}

#[cfg(test)]
mod tests;
