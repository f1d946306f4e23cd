//! What the program does as a client of a running agent, here or elsewhere: shows what it does and
//! changes how. Each command asks over JSON-RPC and returns the text to print: tables for people, or with
//! `--json` the replies as they came.

use rpc::method::{
    BoardClearFault, BoardList, ChipList, ConfigConfirm, ConfigConstraints, ConfigGet,
    ConfigPending, ConfigRollback, ConfigSet, CoolingGet, CoolingSet, EventList, EventsSubscribe,
    GetMinerStatus, GetTunerStatus, LogSubscribe, MinerPause, MinerResume, PoolAdd, PoolList,
    PoolOrder, PoolRemove, StationList, SystemInfo, SystemRestart,
};
use rpc::settings::{self, Changed, CoolingMode, PathFilter, WriteOptions};
use rpc::{Method, NoParams, Write, query, stream};
use serde_json::{Map, Value};

use crate::commands::say;

pub mod auth;
pub mod bench_board;
pub mod calibrate;
pub mod chip;
pub mod client;
pub mod history;
pub mod live;
pub mod look;
pub mod predict;
pub mod reach;
pub mod render;
pub mod replay;
pub mod still;
pub mod sweep;
pub mod top;
pub mod tune;

pub use client::{Client, ClientError, TOKEN_VARIABLE, Target};
pub use look::Look;
pub use reach::{AgentArgs, DEFAULT_URL};

use reach::{ask, connect, get, typed};

/// Longest line of a log that is printed, characters.
const LOG_LINE: usize = 2_000;

/// What commands take that only show something.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClientArgs {
    /// A known agent by its name; without it the one on this machine
    #[arg(value_name = "NAME", conflicts_with_all = ["agent", "url"])]
    pub name: Option<String>,
    /// Which agent.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// Print the reply as JSON
    #[arg(long)]
    pub json: bool,
}

/// What commands take that only change something.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ChangeArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// How.
    #[command(flatten)]
    pub how: HowArgs,
    /// Print the reply as JSON
    #[arg(long)]
    pub json: bool,
}

/// How a change is made.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct HowArgs {
    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,
    /// Undo it after so many seconds (5 to 3600) unless `config confirm` comes
    #[arg(long, value_name = "SECONDS")]
    pub confirm_within: Option<u32>,
    /// Do not write it into the agent's config file: a restart undoes it
    #[arg(long)]
    pub no_save: bool,
}

impl HowArgs {
    /// As the API wants it.
    #[must_use]
    pub fn options(self) -> WriteOptions {
        WriteOptions {
            dry_run: self.dry_run,
            confirm_within_s: self.confirm_within,
            save: self.no_save.then_some(false),
        }
    }
}

/// What `chips` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ChipArgs {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Only the chips of this board
    #[arg(long, value_name = "INDEX")]
    pub board: Option<usize>,
    /// A line with numbers for each chip instead of a map
    #[arg(long)]
    pub table: bool,
}

/// What `pools` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PoolArgs {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Put this pool first
    #[arg(long, value_name = "INDEX", conflicts_with_all = ["add", "remove"])]
    pub prefer: Option<usize>,
    /// Add a pool at the end of the list
    #[arg(long, value_name = "URL", conflicts_with = "remove")]
    pub add: Option<String>,
    /// User at the pool to add
    #[arg(long, value_name = "USER", requires = "add")]
    pub user: Option<String>,
    /// File on the agent's machine with the password at the pool to add
    #[arg(long, value_name = "FILE", requires = "add")]
    pub password_file: Option<String>,
    /// Remove this pool
    #[arg(long, value_name = "INDEX")]
    pub remove: Option<usize>,
    /// How a change is made.
    #[command(flatten)]
    pub how: HowArgs,
}

/// What `cooling` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CoolingArgs {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Change only the boards on this board's supply
    #[arg(long, value_name = "INDEX")]
    pub board: Option<usize>,
    /// Change the mode: auto, manual or immersion
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub mode: Option<CoolingMode>,
    /// Duty of the fans in manual mode, percent
    #[arg(long, value_name = "PERCENT", requires = "mode")]
    pub percent: Option<u8>,
    /// Temperature to hold in automatic mode, °C
    #[arg(long, value_name = "CELSIUS")]
    pub target: Option<f64>,
    /// Immersion mode: I have made sure that the boards are in liquid
    #[arg(long, requires = "mode")]
    pub confirm_immersion: bool,
    /// How a change is made.
    #[command(flatten)]
    pub how: HowArgs,
}

/// What `events` takes.
#[derive(Clone, Debug, Default, clap::Args)]
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
    /// Go on with new ones as they come
    #[arg(long, short)]
    pub follow: bool,
}

/// What `log` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct LogArgs {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Only lines that matter at least so much: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub level: Option<stream::Level>,
    /// Go on with new lines as they come
    #[arg(long, short)]
    pub follow: bool,
}

/// What `clear-fault` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClearFaultArgs {
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
    /// The board
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub board: usize,
    /// Code of the fault, as `status` shows it
    #[arg(value_name = "CODE")]
    pub code: String,
}

/// What `set` and `config set` take.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SetArgs {
    /// What every change takes.
    #[command(flatten)]
    pub change: ChangeArgs,
    /// Settings and their new values, e.g. cooling.target_c=55; PATH= goes back to the default
    #[arg(value_name = "PATH=VALUE", required = true)]
    pub settings: Vec<String>,
}

/// What `config get` and `config constraints` take.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PathArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// Print the reply as JSON
    #[arg(long)]
    pub json: bool,
    /// Only settings at or below this path, e.g. `cooling` or `pool[0]`
    #[arg(value_name = "PATH")]
    pub path: Option<String>,
}

/// What `config confirm` and `config rollback` take.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PendingArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// Print the reply as JSON
    #[arg(long)]
    pub json: bool,
    /// Id of the change, as it was answered; without it the only one there is
    #[arg(value_name = "ID")]
    pub id: Option<String>,
}

impl ClientArgs {
    /// An agent at this URL.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            agent: AgentArgs::at(url),
            ..Self::default()
        }
    }

    /// Connects to the agent that is meant.
    ///
    /// # Errors
    ///
    /// See [`reach::connect`].
    pub async fn connect(&self) -> anyhow::Result<Client> {
        connect(&self.agent.or_named(self.name.as_ref())).await
    }
}

/// `hashwright status`: the whole miner with its boards and pools.
///
/// With `--json` an object of the replies: `system`, `miner`, `boards`, `stations`, `pools`, `tuner` (null of an
/// agent without one).
///
/// # Errors
///
/// No agent, or no sensible reply; see [`ClientError`].
pub async fn status(args: &ClientArgs, look: Look) -> anyhow::Result<String> {
    let client = args.connect().await?;
    let none = NoParams {};
    let system = ask::<SystemInfo>(&client, &none).await?;
    let miner = ask::<GetMinerStatus>(&client, &none).await?;
    let boards = ask::<BoardList>(&client, &none).await?;
    let stations = ask::<StationList>(&client, &none).await?;
    let pools = ask::<PoolList>(&client, &none).await?;
    // Agents of earlier versions have no tuner.
    let tuner = ask::<GetTunerStatus>(&client, &none).await.ok();
    if args.json {
        let tuner = tuner.as_ref().map_or("null", |tuner| tuner.get());
        return Ok(format!(
            r#"{{"system":{system},"miner":{miner},"boards":{boards},"stations":{stations},"pools":{pools},"tuner":{tuner}}}"#
        ));
    }
    let tuner = tuner.and_then(|tuner| typed::<GetTunerStatus>(&tuner).ok());
    Ok(render::status(
        &typed::<SystemInfo>(&system)?,
        &typed::<GetMinerStatus>(&miner)?,
        &typed::<BoardList>(&boards)?,
        &typed::<StationList>(&stations)?,
        &typed::<PoolList>(&pools)?,
        tuner.as_ref(),
        look.width,
    ))
}

/// `hashwright boards`: the boards of a running agent.
///
/// # Errors
///
/// No agent, or no sensible reply; see [`ClientError`].
pub async fn boards(args: &ClientArgs, look: Look) -> anyhow::Result<String> {
    let client = args.connect().await?;
    let boards = ask::<BoardList>(&client, &NoParams {}).await?;
    if args.json {
        return Ok(boards.to_string());
    }
    Ok(render::boards(&typed::<BoardList>(&boards)?, look.width))
}

/// `hashwright chips`: the chips of all boards or of one, as a map or a table.
///
/// # Errors
///
/// No agent, no such board, or no sensible reply; see [`ClientError`].
pub async fn chips(args: &ChipArgs, look: Look) -> anyhow::Result<String> {
    let client = args.client.connect().await?;
    let which = query::ChipList { board: args.board };
    let chips = ask::<ChipList>(&client, &which).await?;
    if args.client.json {
        return Ok(chips.to_string());
    }
    let chips = typed::<ChipList>(&chips)?;
    let boards = get::<BoardList>(&client, &NoParams {}).await?;
    Ok(if args.table {
        render::chips(&chips, &boards, look.width)
    } else {
        render::chip_map(&chips, &boards, look.map_width(), look.colour)
    })
}

/// `hashwright pools`: the configured pools, their statistics, and what each lets us mine; or changes
/// them.
///
/// # Errors
///
/// No agent, its refusal, or no sensible reply; see [`ClientError`].
pub async fn pools(args: &PoolArgs) -> anyhow::Result<String> {
    let client = args.client.connect().await?;
    let json = args.client.json;
    if let Some(index) = args.prefer {
        let order = settings::PoolOrder { order: vec![index] };
        return write::<PoolOrder, _>(&client, order, args.how, json).await;
    }
    if let Some(index) = args.remove {
        let remove = settings::PoolRemove { index };
        return write::<PoolRemove, _>(&client, remove, args.how, json).await;
    }
    if let Some(url) = &args.add {
        let file = |file: &String| serde_json::json!({ "file": file });
        let pool = settings::PoolSettings {
            url: Some(url.clone()),
            user: args.user.clone(),
            password: args.password_file.as_ref().map(file),
            ..settings::PoolSettings::default()
        };
        let add = settings::PoolAdd { index: None, pool };
        return write::<PoolAdd, _>(&client, add, args.how, json).await;
    }
    let pools = ask::<PoolList>(&client, &NoParams {}).await?;
    if json {
        return Ok(pools.to_string());
    }
    let system = get::<SystemInfo>(&client, &NoParams {}).await?;
    Ok(render::pool_details(
        &typed::<PoolList>(&pools)?,
        system.uptime_s,
    ))
}

/// `hashwright cooling`: shows how boards are cooled, or changes it.
///
/// # Errors
///
/// No agent, its refusal, or no sensible reply; see [`ClientError`].
pub async fn cooling(args: &CoolingArgs) -> anyhow::Result<String> {
    let client = args.client.connect().await?;
    let wish = settings::CoolingSet {
        board: args.board,
        mode: args.mode,
        percent: args.percent,
        confirm_immersion: args.confirm_immersion.then_some(true),
        target_c: args.target,
    };
    if wish.mode.is_some() || wish.target_c.is_some() {
        return write::<CoolingSet, _>(&client, wish, args.how, args.client.json).await;
    }
    let cooling = ask::<CoolingGet>(&client, &NoParams {}).await?;
    if args.client.json {
        return Ok(cooling.to_string());
    }
    let mut cooling = typed::<CoolingGet>(&cooling)?;
    cooling.retain(|station| {
        args.board
            .is_none_or(|board| station.boards.contains(&board))
    });
    Ok(render::control::cooling(&cooling))
}

/// `hashwright events`: what happened and why.
///
/// # Errors
///
/// No agent, or no sensible reply; see [`ClientError`].
pub async fn events(args: &EventArgs) -> anyhow::Result<String> {
    let client = args.client.connect().await?;
    let which = query::EventList {
        after: None,
        limit: Some(args.limit),
        board: args.board,
    };
    let events = ask::<EventList>(&client, &which).await?;
    if args.client.json {
        return Ok(events.to_string());
    }
    Ok(render::control::events(&typed::<EventList>(&events)?))
}

/// `hashwright events --follow`: prints what happened, and what happens from now on, until the agent ends.
///
/// # Errors
///
/// No agent, or nobody who reads.
pub async fn follow_events(args: &EventArgs) -> anyhow::Result<()> {
    let client = args.client.connect().await?;
    let which = stream::EventsSubscribe {
        board: args.board,
        ..stream::EventsSubscribe::default()
    };
    let mut news = client.subscribe::<EventsSubscribe>(&which).await?;
    // What is kept comes in the first message.
    let mut first = true;
    while let Some(message) = news.next().await {
        let mut entries = message?.entries;
        if std::mem::take(&mut first) {
            entries.drain(..entries.len().saturating_sub(args.limit));
        }
        for entry in &entries {
            if args.client.json {
                say(&serde_json::to_string(entry)?)?;
            } else {
                say(&render::control::event(entry))?;
            }
        }
    }
    Err(ended())
}

/// `hashwright log`: prints the last lines of the agent's log, and with `--follow` new ones, until the agent
/// ends.
///
/// # Errors
///
/// No agent, no role for it, or nobody who reads.
pub async fn log(args: &LogArgs) -> anyhow::Result<()> {
    let client = args.client.connect().await?;
    let which = stream::LogSubscribe { level: args.level };
    let mut news = client.subscribe::<LogSubscribe>(&which).await?;
    while let Some(message) = news.next().await {
        let message = message?;
        if message.missed > 0 && !args.client.json {
            say(&format!("({} lines were missed)", message.missed))?;
        }
        for line in &message.lines {
            if args.client.json {
                say(&serde_json::to_string(line)?)?;
            } else {
                say(&render::log_line(line, LOG_LINE))?;
            }
        }
        if !args.follow {
            return Ok(());
        }
    }
    Err(ended())
}

/// `hashwright pause`: no more mining until somebody resumes it or the agent starts anew.
///
/// # Errors
///
/// No agent, or its refusal; see [`ClientError`].
pub async fn pause(args: &ChangeArgs) -> anyhow::Result<String> {
    let client = connect(&args.agent).await?;
    write::<MinerPause, _>(&client, NoParams {}, args.how, args.json).await
}

/// `hashwright resume`: mines again.
///
/// # Errors
///
/// No agent, or its refusal; see [`ClientError`].
pub async fn resume(args: &ChangeArgs) -> anyhow::Result<String> {
    let client = connect(&args.agent).await?;
    write::<MinerResume, _>(&client, NoParams {}, args.how, args.json).await
}

/// `hashwright restart`: the agent winds its boards down and starts anew.
///
/// # Errors
///
/// No agent, or its refusal; see [`ClientError`].
pub async fn restart(args: &ChangeArgs) -> anyhow::Result<String> {
    let client = connect(&args.agent).await?;
    write::<SystemRestart, _>(&client, NoParams {}, args.how, args.json).await
}

/// `hashwright clear-fault`: a person says that the cause of a latched fault is gone.
///
/// # Errors
///
/// No agent, or its refusal; see [`ClientError`].
pub async fn clear_fault(args: &ClearFaultArgs) -> anyhow::Result<String> {
    let client = connect(&args.change.agent).await?;
    let fault = settings::ClearFault {
        board: args.board,
        code: args.code.clone(),
    };
    let params = Write {
        what: fault,
        how: args.change.how.options(),
    };
    let reply = ask::<BoardClearFault>(&client, &params).await?;
    if args.change.json {
        return Ok(reply.to_string());
    }
    let changed = typed::<BoardClearFault>(&reply)?;
    if !changed.applied || changed.changes.is_empty() {
        return Ok(render::changed(&changed));
    }
    Ok(format!(
        "Fault {} of board {} cleared; the board is checked and started again.",
        args.code, args.board
    ))
}

/// `hashwright set`: changes settings; all of them or none.
///
/// # Errors
///
/// Something that is no setting, no agent, or its refusal; see [`ClientError`].
pub async fn set(args: &SetArgs) -> anyhow::Result<String> {
    let client = connect(&args.change.agent).await?;
    let values = values(&client, &args.settings).await?;
    let set = settings::ConfigSet { values };
    write::<ConfigSet, _>(&client, set, args.change.how, args.change.json).await
}

/// `hashwright config get`: the settings in force and where each comes from.
///
/// # Errors
///
/// No agent, or no sensible reply; see [`ClientError`].
pub async fn config_get(args: &PathArgs, look: Look) -> anyhow::Result<String> {
    let client = connect(&args.agent).await?;
    let which = PathFilter {
        path: args.path.clone(),
    };
    let view = ask::<ConfigGet>(&client, &which).await?;
    if args.json {
        return Ok(view.to_string());
    }
    Ok(render::settings(&typed::<ConfigGet>(&view)?, look.width))
}

/// `hashwright config constraints`: what each setting may be.
///
/// # Errors
///
/// No agent, or no sensible reply; see [`ClientError`].
pub async fn config_constraints(args: &PathArgs, look: Look) -> anyhow::Result<String> {
    let client = connect(&args.agent).await?;
    let which = PathFilter {
        path: args.path.clone(),
    };
    let constraints = ask::<ConfigConstraints>(&client, &which).await?;
    if args.json {
        return Ok(constraints.to_string());
    }
    Ok(render::constraints(
        &typed::<ConfigConstraints>(&constraints)?,
        look.width,
    ))
}

/// `hashwright config confirm`: keeps a change that would be undone.
///
/// # Errors
///
/// No agent, no such change, or several of them without an id.
pub async fn config_confirm(args: &PendingArgs) -> anyhow::Result<String> {
    settle::<ConfigConfirm>(args).await
}

/// `hashwright config rollback`: undoes a change at once.
///
/// # Errors
///
/// No agent, no such change, or several of them without an id.
pub async fn config_rollback(args: &PendingArgs) -> anyhow::Result<String> {
    settle::<ConfigRollback>(args).await
}

async fn settle<M>(args: &PendingArgs) -> anyhow::Result<String>
where
    M: Method<Params = settings::PendingId, Reply = Changed>,
{
    let client = connect(&args.agent).await?;
    let id = match &args.id {
        Some(id) => id.clone(),
        None => {
            let pending = get::<ConfigPending>(&client, &NoParams {}).await?;
            match &pending[..] {
                [] => return Ok("No change waits for its confirmation.".to_owned()),
                [only] => only.id.clone(),
                several => {
                    let ids: Vec<_> = several.iter().map(|change| change.id.as_str()).collect();
                    anyhow::bail!(
                        "{} changes wait; name one of them: {}",
                        ids.len(),
                        ids.join(", ")
                    );
                }
            }
        }
    };
    let reply = ask::<M>(&client, &settings::PendingId { id }).await?;
    if args.json {
        return Ok(reply.to_string());
    }
    Ok(render::changed(&typed::<M>(&reply)?))
}

/// Makes a change and tells what came of it.
async fn write<M, P>(client: &Client, what: P, how: HowArgs, json: bool) -> anyhow::Result<String>
where
    M: Method<Params = Write<P>, Reply = Changed>,
{
    let how = how.options();
    let reply = ask::<M>(client, &Write { what, how }).await?;
    if json {
        return Ok(reply.to_string());
    }
    Ok(render::changed(&typed::<M>(&reply)?))
}

/// Settings as `PATH=VALUE` with the types that the agent wants of them.
///
/// # Errors
///
/// Text without `=`, or an agent that does not tell its settings.
pub async fn values(client: &Client, texts: &[String]) -> anyhow::Result<Map<String, Value>> {
    let known = get::<ConfigConstraints>(client, &PathFilter::default()).await?;
    texts
        .iter()
        .map(|text| {
            let (path, value) = assignment(text)?;
            let kind = known.iter().find(|constraint| constraint.path == path);
            Ok((
                path.to_owned(),
                read_value(value, kind.map(|constraint| constraint.kind.as_str())),
            ))
        })
        .collect()
}

/// The two sides of `PATH=VALUE`.
///
/// # Errors
///
/// Text that is none.
pub fn assignment(text: &str) -> anyhow::Result<(&str, &str)> {
    match text.split_once('=') {
        Some((path, value)) if !path.trim().is_empty() => Ok((path.trim(), value.trim())),
        _ => anyhow::bail!(
            "`{text}` sets nothing; write PATH=VALUE, e.g. cooling.target_c=55 \
             (`hashwright config constraints` shows all paths)"
        ),
    }
}

/// A value as it was typed. What is text stays text, even if it looks like a number; of other settings, and of
/// unknown ones, JSON is read as such.
fn read_value(text: &str, kind: Option<&str>) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    let literal = || Value::String(text.to_owned());
    match kind {
        Some("text" | "choice") => literal(),
        _ => serde_json::from_str(text).unwrap_or_else(|_| literal()),
    }
}

fn ended() -> anyhow::Error {
    anyhow::anyhow!(
        "the agent ended the connection; it was stopped, or is not to be reached any more"
    )
}

fn mode(text: &str) -> Result<CoolingMode, String> {
    match text {
        "auto" => Ok(CoolingMode::Auto),
        "manual" => Ok(CoolingMode::Manual),
        "immersion" => Ok(CoolingMode::Immersion),
        _ => Err("write auto, manual or immersion".to_owned()),
    }
}

fn level(text: &str) -> Result<stream::Level, String> {
    serde_json::from_value(Value::String(text.to_lowercase()))
        .map_err(|_| "write error, warn, info, debug or trace".to_owned())
}

#[cfg(test)]
mod tests;
