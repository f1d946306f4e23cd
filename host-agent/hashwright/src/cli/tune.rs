//! `hashwright tune`: what the miner is tuned for, how far that is, and why. Starting, stopping and feeding are
//! changes like any other; explaining is the agent's, put into words and tables here.

use std::path::PathBuf;

use autotune::{Aim, Caps};
use rpc::method::{
    BoardList, ChipList, GetTunerStatus, TunerCurtail, TunerCurve, TunerExplain, TunerExport,
    TunerFeed, TunerForget, TunerImport, TunerProfiles, TunerSet, TunerSteps,
};
use rpc::{NoParams, query, tuner};

use super::history::span;
use super::reach::{ask, connect, get, typed};
use super::{AgentArgs, ChangeArgs, ClientArgs, Look, write};
use crate::config::tuner::terahashes;

mod curve;
mod follow;
pub mod portable;
pub mod record;
mod render;

pub use follow::follow;
pub use render::{demand, explanation, steps};

use portable::Format;

/// What people do with it.
const EXAMPLES: &str = "\
Examples:
  hashwright tune start --efficiency              least energy per terahash
  hashwright tune start --watts 2400              as much work as 2400 W give
  hashwright tune start --hashrate \"95 TH/s\" --max-fan 60
                                                  this much work with least power, fans at most 60 %
  hashwright tune status --follow                 watch it learn
  hashwright tune explain 0.17                    why chip 17 of board 0 sits where it sits
  hashwright tune curtail 1500 --ramp 60 --for 1h at most 1500 W for an hour, down within a minute
  hashwright tune export SERIAL -o board.toml     what was learned of a board, to keep or to carry";

/// Arguments of `tune`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What `tune` does.
#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Find the best clocks and voltage for an aim and keep them; also changes aim and bounds while tuning
    Start(StartArgs),
    /// Stop tuning: back to the configured clock and voltage. What was learned is kept
    Stop(ChangeArgs),
    /// Show what is wanted, what holds now and why, and how far each tuner is
    Status(StatusArgs),
    /// Say why: the last steps with hypothesis, evidence, confidence and decision, or one chip's place
    Explain(ExplainArgs),
    /// Show the best settings from least to most power, by the boards' own models
    Curve(CurveArgs),
    /// List the boards of which something is known
    Profiles(ClientArgs),
    /// Write what is known of a board, as a file that can be carried to another agent
    Export(ExportArgs),
    /// Use what was learned of a board elsewhere
    Import(ImportArgs),
    /// Forget what is known of a board; if it is tuned, that begins anew
    Forget(ForgetArgs),
    /// Tell the price of power, the revenue, or the surplus of a solar plant
    Feed(FeedArgs),
    /// Cap the power of the miner for a while, with a ramp; `off` ends it, 0 takes the power of its boards
    Curtail(CurtailArgs),
    /// Record what the tuner sees as lines of JSON until Ctrl-C, for `hashwright replay`
    Record(record::Args),
}

/// Which agent, and how its reply is printed, where another argument stands in the place of a name.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AskArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// Print the reply as JSON
    #[arg(long)]
    pub json: bool,
}

/// An aim; at most one.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AimArgs {
    /// As much work as this input power of all boards gives, W
    #[arg(long, value_name = "W", group = "aim", value_parser = positive, allow_negative_numbers = true)]
    pub watts: Option<f64>,
    /// This much work with as little power as can be, e.g. "95 TH/s"
    #[arg(long, value_name = "RATE", group = "aim", value_parser = rate)]
    pub hashrate: Option<f64>,
    /// Least energy per work
    #[arg(long, group = "aim")]
    pub efficiency: bool,
    /// Greatest profit, by the price of a kWh and the revenue of a TH/s and day, in the same money
    #[arg(long, group = "aim", num_args = 2, value_names = ["PRICE", "REVENUE"], value_parser = money)]
    pub profit: Option<Vec<f64>>,
}

impl AimArgs {
    /// The aim that is named, if one is.
    #[must_use]
    pub fn aim(&self) -> Option<Aim> {
        if let Some(watts) = self.watts {
            return Some(Aim::Watts(watts));
        }
        if let Some(ths) = self.hashrate {
            return Some(Aim::Hashrate(ths));
        }
        if let Some([price_per_kwh, revenue_per_ths_day]) = self.profit.as_deref() {
            return Some(Aim::Profit {
                price_per_kwh: *price_per_kwh,
                revenue_per_ths_day: *revenue_per_ths_day,
            });
        }
        self.efficiency.then_some(Aim::Efficiency)
    }
}

/// A bound as it is typed: a number, or `none` for the profile's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound(Option<f64>);

/// Bounds of the owner.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CapArgs {
    /// Highest input power of all boards, W; `none` for the profiles'
    #[arg(long, value_name = "W", value_parser = bound)]
    pub max_watts: Option<Bound>,
    /// Highest temperature of chips, °C
    #[arg(long, value_name = "CELSIUS", value_parser = bound)]
    pub max_chip_c: Option<Bound>,
    /// Highest temperature of boards, °C
    #[arg(long, value_name = "CELSIUS", value_parser = bound)]
    pub max_board_c: Option<Bound>,
    /// Highest duty of the fans, percent: what noise may be
    #[arg(long, value_name = "PERCENT", value_parser = bound)]
    pub max_fan: Option<Bound>,
    /// Highest voltage at a board's terminals, mV
    #[arg(long, value_name = "MV", value_parser = bound)]
    pub max_mv: Option<Bound>,
}

impl CapArgs {
    /// These bounds over those in force; none if nothing is changed.
    #[must_use]
    pub fn over(&self, now: Caps) -> Option<Caps> {
        let with = |bound: Option<Bound>, now| bound.map_or(now, |bound| bound.0);
        let caps = Caps {
            watts: with(self.max_watts, now.watts),
            chip_c: with(self.max_chip_c, now.chip_c),
            board_c: with(self.max_board_c, now.board_c),
            fan_percent: with(self.max_fan, now.fan_percent),
            mv: with(self.max_mv, now.mv),
        };
        (caps != now).then_some(caps)
    }
}

/// What `tune start` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct StartArgs {
    /// The aim; the one in force if none is named, or least energy per work.
    #[command(flatten)]
    pub aim: AimArgs,
    /// Bounds; those that are not named stay.
    #[command(flatten)]
    pub caps: CapArgs,
    /// How a change is made.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// What `tune status` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct StatusArgs {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Go on showing it as it changes
    #[arg(long, short)]
    pub follow: bool,
}

/// A board, and a chip of it or all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Index of the board.
    pub board: usize,
    /// Position in its chain; none means all.
    pub chip: Option<usize>,
}

/// What `tune explain` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ExplainArgs {
    /// Which agent, and how the reply is printed.
    #[command(flatten)]
    pub ask: AskArgs,
    /// A chip, e.g. 0.17 for chip 17 of board 0; without it the last steps
    #[arg(value_name = "BOARD.CHIP", value_parser = place)]
    pub chip: Option<Place>,
    /// Only steps of this station
    #[arg(long, value_name = "INDEX", conflicts_with = "chip")]
    pub station: Option<usize>,
    /// How many steps, newest last
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 10,
        conflicts_with = "chip"
    )]
    pub limit: usize,
}

/// What `tune curve` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CurveArgs {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Only this station
    #[arg(long, value_name = "INDEX")]
    pub station: Option<usize>,
    /// How many points, 2 to 40
    #[arg(long, value_name = "COUNT", default_value_t = 12, value_parser = clap::value_parser!(u8).range(2..=40))]
    pub points: u8,
    /// Draw it into this file as well
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// What `tune export` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ExportArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// Serial number of the board, as `tune profiles` shows it
    #[arg(value_name = "SERIAL")]
    pub serial: String,
    /// File to write; standard output without it
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How it is written [default: by the name of the file, else toml]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<Format>,
}

/// What `tune import` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ImportArgs {
    /// How a change is made.
    #[command(flatten)]
    pub change: ChangeArgs,
    /// A tuned profile, as TOML or JSON
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// What `tune forget` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ForgetArgs {
    /// How a change is made.
    #[command(flatten)]
    pub change: ChangeArgs,
    /// Serial number of the board, as `tune profiles` shows it
    #[arg(value_name = "SERIAL")]
    pub serial: String,
}

/// What `tune feed` takes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(group = clap::ArgGroup::new("told").required(true).multiple(true).args(["price", "revenue", "surplus"]))]
pub struct FeedArgs {
    /// Which agent, and how the reply is printed.
    #[command(flatten)]
    pub ask: AskArgs,
    /// Price of power, money per kWh; may be negative
    #[arg(long, value_name = "MONEY", allow_negative_numbers = true, value_parser = finite)]
    pub price: Option<f64>,
    /// Revenue, money per TH/s and day
    #[arg(long, value_name = "MONEY", value_parser = money)]
    pub revenue: Option<f64>,
    /// Power that would be given away otherwise, W
    #[arg(long, value_name = "W", allow_negative_numbers = true, value_parser = finite)]
    pub surplus: Option<f64>,
    /// How long that holds: seconds, or a number with m, h or d; as configured if left out
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub valid: Option<u64>,
}

/// What `tune curtail` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct CurtailArgs {
    /// Which agent, and how the reply is printed.
    #[command(flatten)]
    pub ask: AskArgs,
    /// Input power of all boards that may be drawn, W; 0 takes their power; `off` ends it
    #[arg(value_name = "WATTS", value_parser = curtailed)]
    pub watts: Curtailed,
    /// How long the way there may take: seconds, or a number with m, h or d
    #[arg(long, value_name = "TIME", value_parser = span_or_zero)]
    pub ramp: Option<u64>,
    /// How long it holds; without it until it is ended
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub how_long: Option<u64>,
}

/// Power that may be drawn, or the end of such a cap.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Curtailed(Option<f64>);

/// `hashwright tune`: the text to print; nothing where it was printed on the way.
///
/// # Errors
///
/// No agent, its refusal, or a file that cannot be read or written.
pub async fn run(args: &Args, look: Look) -> anyhow::Result<String> {
    match &args.command {
        Command::Start(args) => start(args).await,
        Command::Stop(args) => stop(args).await,
        Command::Status(args) if args.follow => {
            follow(&args.client, look).await?;
            Ok(String::new())
        }
        Command::Status(args) => status(&args.client, look).await,
        Command::Explain(args) => explain(args, look).await,
        Command::Curve(args) => curve(args, look).await,
        Command::Profiles(args) => profiles(args, look).await,
        Command::Export(args) => export(args).await,
        Command::Import(args) => import(args).await,
        Command::Forget(args) => forget(args).await,
        Command::Feed(args) => feed(args).await,
        Command::Curtail(args) => curtail(args).await,
        Command::Record(args) => record::record(args).await,
    }
}

/// `hashwright tune start`.
///
/// # Errors
///
/// No agent, or its refusal.
pub async fn start(args: &StartArgs) -> anyhow::Result<String> {
    let client = connect(&args.change.agent).await?;
    let now = get::<GetTunerStatus>(&client, &NoParams {}).await?;
    let set = tuner::TunerSet {
        aim: args
            .aim
            .aim()
            .or((now.aim == Aim::Off).then_some(Aim::Efficiency)),
        caps: args.caps.over(now.caps),
    };
    if set == tuner::TunerSet::default() && !args.change.json {
        return Ok(format!(
            "It is tuned already, for {}. `hashwright tune status` shows how far it is.",
            crate::format::tuner::aim(&now.aim)
        ));
    }
    let text = write::<TunerSet, _>(&client, set, args.change.how, args.change.json).await?;
    if args.change.json || args.change.how.dry_run {
        return Ok(text);
    }
    Ok(format!(
        "{text}\n`hashwright tune status --follow` shows how it goes on."
    ))
}

/// `hashwright tune stop`.
///
/// # Errors
///
/// No agent, or its refusal.
pub async fn stop(args: &ChangeArgs) -> anyhow::Result<String> {
    let client = connect(&args.agent).await?;
    let set = tuner::TunerSet {
        aim: Some(Aim::Off),
        caps: None,
    };
    write::<TunerSet, _>(&client, set, args.how, args.json).await
}

/// `hashwright tune status`. With `--json` the reply of `tuner.status`.
///
/// # Errors
///
/// No agent, or no sensible reply.
pub async fn status(args: &ClientArgs, look: Look) -> anyhow::Result<String> {
    let client = args.connect().await?;
    let reply = ask::<GetTunerStatus>(&client, &NoParams {}).await?;
    if args.json {
        return Ok(reply.to_string());
    }
    let boards = get::<BoardList>(&client, &NoParams {}).await?;
    let status = typed::<GetTunerStatus>(&reply)?;
    Ok(render::status(&status, &boards, look))
}

/// `hashwright tune explain`.
///
/// # Errors
///
/// No agent, no such chip, or no sensible reply.
pub async fn explain(args: &ExplainArgs, look: Look) -> anyhow::Result<String> {
    let client = connect(&args.ask.agent).await?;
    let Some(place) = args.chip else {
        let which = tuner::StepList {
            station: args.station,
            limit: Some(args.limit),
        };
        let reply = ask::<TunerSteps>(&client, &which).await?;
        if args.ask.json {
            return Ok(reply.to_string());
        }
        return Ok(steps(&typed::<TunerSteps>(&reply)?, look.width));
    };
    let Place {
        board,
        chip: Some(chip),
    } = place
    else {
        anyhow::bail!(
            "name one chip, e.g. {}.0 for the first one of board {}; `hashwright chips --table` shows all \
             with their quality",
            place.board,
            place.board
        );
    };
    let reply = ask::<TunerExplain>(&client, &tuner::OneChip { board, chip }).await?;
    if args.ask.json {
        return Ok(reply.to_string());
    }
    let which = query::ChipList { board: Some(board) };
    let chips = get::<ChipList>(&client, &which).await?;
    let here = chips
        .iter()
        .find(|status| usize::from(status.index) == chip);
    Ok(explanation(
        board,
        chip,
        &typed::<TunerExplain>(&reply)?,
        here,
    ))
}

/// `hashwright tune curve`.
///
/// # Errors
///
/// No agent, boards that nothing is known of yet, or a file that cannot be written.
pub async fn curve(args: &CurveArgs, look: Look) -> anyhow::Result<String> {
    let client = args.client.connect().await?;
    let which = tuner::CurveAsk {
        station: args.station,
        points: Some(args.points),
    };
    let reply = ask::<TunerCurve>(&client, &which).await?;
    let curves = typed::<TunerCurve>(&reply)?;
    let now = get::<GetTunerStatus>(&client, &NoParams {}).await?;
    if let Some(path) = &args.svg {
        std::fs::write(path, curve::svg(&curves, &now.stations)).map_err(|error| {
            anyhow::anyhow!("cannot write the drawing {}: {error}", path.display())
        })?;
    }
    if args.client.json {
        return Ok(reply.to_string());
    }
    let profiles = get::<TunerProfiles>(&client, &NoParams {}).await?;
    let mut text = curve::text(&curves, &now.stations, &profiles, look.width);
    if let Some(path) = &args.svg {
        text.push_str(&format!("\n\nDrawn into {}.", path.display()));
    }
    Ok(text)
}

/// `hashwright tune profiles`.
///
/// # Errors
///
/// No agent, or no sensible reply.
pub async fn profiles(args: &ClientArgs, look: Look) -> anyhow::Result<String> {
    let client = args.connect().await?;
    let reply = ask::<TunerProfiles>(&client, &NoParams {}).await?;
    if args.json {
        return Ok(reply.to_string());
    }
    Ok(render::profiles(
        &typed::<TunerProfiles>(&reply)?,
        look.width,
    ))
}

/// `hashwright tune export`.
///
/// # Errors
///
/// No agent, a board that nothing is known of, or a file that cannot be written.
pub async fn export(args: &ExportArgs) -> anyhow::Result<String> {
    let client = connect(&args.agent).await?;
    let which = tuner::OneSerial {
        serial: args.serial.clone(),
    };
    let model = get::<TunerExport>(&client, &which).await?;
    let by_name = || {
        args.output
            .as_deref()
            .map_or(Format::Toml, portable::format_of)
    };
    let format = args.format.unwrap_or_else(by_name);
    let text = portable::write(&model, format).map_err(|error| {
        anyhow::anyhow!(
            "what the agent knows of board {} cannot be written: {error}",
            args.serial
        )
    })?;
    let Some(path) = &args.output else {
        return Ok(text.trim_end().to_owned());
    };
    std::fs::write(path, text)
        .map_err(|error| anyhow::anyhow!("cannot write {}: {error}", path.display()))?;
    Ok(format!(
        "{} chips of board {} ({}) written to {}.",
        model.chips.len(),
        crate::format::plain(&model.serial, 64),
        crate::format::plain(&model.profile, 64),
        path.display()
    ))
}

/// `hashwright tune import`.
///
/// # Errors
///
/// A file that is no tuned profile, no agent, or its refusal.
pub async fn import(args: &ImportArgs) -> anyhow::Result<String> {
    let profile = portable::read(&args.file)?;
    let client = connect(&args.change.agent).await?;
    let import = tuner::ProfileImport { profile };
    write::<TunerImport, _>(&client, import, args.change.how, args.change.json).await
}

/// `hashwright tune forget`.
///
/// # Errors
///
/// No agent, or its refusal.
pub async fn forget(args: &ForgetArgs) -> anyhow::Result<String> {
    let client = connect(&args.change.agent).await?;
    let which = tuner::OneSerial {
        serial: args.serial.clone(),
    };
    write::<TunerForget, _>(&client, which, args.change.how, args.change.json).await
}

/// `hashwright tune feed`.
///
/// # Errors
///
/// No agent, or its refusal.
pub async fn feed(args: &FeedArgs) -> anyhow::Result<String> {
    let client = connect(&args.ask.agent).await?;
    let feed = tuner::Feed {
        price_per_kwh: args.price,
        revenue_per_ths_day: args.revenue,
        surplus_w: args.surplus,
        valid_s: args.valid.map(|seconds| seconds as f64),
    };
    let reply = ask::<TunerFeed>(&client, &feed).await?;
    if args.ask.json {
        return Ok(reply.to_string());
    }
    Ok(demand(&typed::<TunerFeed>(&reply)?).join("\n"))
}

/// `hashwright tune curtail`.
///
/// # Errors
///
/// No agent, or its refusal.
pub async fn curtail(args: &CurtailArgs) -> anyhow::Result<String> {
    let client = connect(&args.ask.agent).await?;
    let seconds = |span: Option<u64>| span.map(|seconds| seconds as f64);
    let curtail = tuner::Curtail {
        watts: args.watts.0,
        ramp_s: seconds(args.ramp),
        for_s: seconds(args.how_long),
    };
    let reply = ask::<TunerCurtail>(&client, &curtail).await?;
    if args.ask.json {
        return Ok(reply.to_string());
    }
    Ok(demand(&typed::<TunerCurtail>(&reply)?).join("\n"))
}

/// A chip as `BOARD.CHIP`, or all chips of a board as `BOARD`.
///
/// # Errors
///
/// Text that is neither.
pub fn place(text: &str) -> Result<Place, String> {
    let (board, chip) = match text.split_once('.') {
        Some((board, chip)) => (board, Some(chip)),
        None => (text, None),
    };
    let wrong = |_| format!("\"{text}\" is no chip; write BOARD.CHIP, e.g. 0.17");
    Ok(Place {
        board: board.parse().map_err(wrong)?,
        chip: chip.map(|chip| chip.parse().map_err(wrong)).transpose()?,
    })
}

fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("\"{text}\" is no number"))?;
    if number.is_finite() {
        Ok(number)
    } else {
        Err("write a finite number".to_owned())
    }
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    match finite(text)? {
        number if number > 0.0 => Ok(number),
        _ => Err("it must be above zero".to_owned()),
    }
}

fn money(text: &str) -> Result<f64, String> {
    match finite(text)? {
        number if number >= 0.0 => Ok(number),
        _ => Err("it must not be below zero".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    terahashes(text).ok_or_else(|| {
        format!("\"{text}\" is no hashrate; write for instance \"95 TH/s\" or \"900 GH/s\"")
    })
}

fn bound(text: &str) -> Result<Bound, String> {
    match text {
        "none" => Ok(Bound(None)),
        _ => positive(text)
            .map(|number| Bound(Some(number)))
            .map_err(|why| format!("{why}; write a number, or none for the profile's bound")),
    }
}

fn curtailed(text: &str) -> Result<Curtailed, String> {
    match text {
        "off" | "none" | "end" => Ok(Curtailed(None)),
        _ => money(text)
            .map(|watts| Curtailed(Some(watts)))
            .map_err(|why| format!("{why}; write watts, 0 for none at all, or off to end it")),
    }
}

fn span_or_zero(text: &str) -> anyhow::Result<u64> {
    match text {
        "0" => Ok(0),
        _ => span(text),
    }
}

#[cfg(test)]
mod tests;
