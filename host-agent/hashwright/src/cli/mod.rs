//! What the program does as a client of a running agent: `status`, `boards`, `chips`, `pools`.
//! Each asks over JSON-RPC and returns the text to print: tables for people, or with `--json` the
//! replies as they came.

use serde_json::value::RawValue;

use crate::api::methods;

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

/// `hashwright status`: the whole miner with its boards and pools.
///
/// With `--json` an object of the replies: `system`, `miner`, `boards`, `pools`.
///
/// # Errors
///
/// No agent, or no sensible reply; see [`ClientError`].
pub async fn status(args: &ClientArgs) -> Result<String, ClientError> {
    let client = Client::connect(&args.url).await?;
    let system = client.call(methods::SYSTEM_INFO).await?;
    let miner = client.call(methods::MINER_STATUS).await?;
    let boards = client.call(methods::BOARD_LIST).await?;
    let pools = client.call(methods::POOL_LIST).await?;
    if args.json {
        return Ok(format!(
            r#"{{"system":{system},"miner":{miner},"boards":{boards},"pools":{pools}}}"#
        ));
    }
    Ok(render::status(
        &typed(methods::SYSTEM_INFO, &system)?,
        &typed(methods::MINER_STATUS, &miner)?,
        &typed::<Vec<_>>(methods::BOARD_LIST, &boards)?,
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

/// `hashwright pools`: the configured pools.
///
/// # Errors
///
/// No agent, or no sensible reply; see [`ClientError`].
pub async fn pools(args: &ClientArgs) -> Result<String, ClientError> {
    let pools = Client::connect(&args.url)
        .await?
        .call(methods::POOL_LIST)
        .await?;
    if args.json {
        return Ok(pools.to_string());
    }
    Ok(render::pools(&typed::<Vec<_>>(methods::POOL_LIST, &pools)?))
}

fn typed<T: serde::de::DeserializeOwned>(
    method: &'static str,
    reply: &RawValue,
) -> Result<T, ClientError> {
    serde_json::from_str(reply.get()).map_err(|source| ClientError::Reply { method, source })
}

#[cfg(test)]
mod tests;
