//! `hashwright sweep`: measures a board at every point of a grid of clock and voltage, through the API of its
//! agent, and draws what came of it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use rpc::method::ConfigConstraints;
use rpc::settings::{Constraint, PathFilter};
use rpc::stream::Part;
use tokio::sync::watch;

pub mod draw;
mod drive;
pub mod file;
mod glyphs;
pub mod measure;
pub mod outcome;
pub mod picture;
pub mod plan;
mod screen;
pub mod view;

use super::live::{self, Live, Lost};
use super::still::{self, Still};
use super::{AgentArgs, Look, render};
use crate::commands::{note, print_json, say, stopped, unix_time};
use crate::format;
use crate::state::Snapshot;
use crate::stop;
use crate::view::theme::Theme;
use crate::view::{self as views, Exit, terminal};

use draw::{Metric, Style};
use drive::Drive;
use file::{FORMAT, Subject, Sweep};
use measure::Rules;
use plan::{Axis, Grid, Point};
use screen::{Screen, Shown};
use view::BoardView;

/// What `sweep` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct SweepArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// The board; boards on one supply change together
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub board: usize,
    /// Clocks, MHz: a range with its step, a list, or one; without it the present one
    #[arg(
        long,
        value_name = "FROM..=TO:STEP",
        required_unless_present = "voltage"
    )]
    pub frequency: Option<Axis>,
    /// Voltages, mV as the board's profile counts them; without it the present one
    #[arg(long, value_name = "FROM..=TO:STEP")]
    pub voltage: Option<Axis>,
    /// Seconds to count at each point, or auto: until a sequential test has an answer
    #[arg(long, value_name = "SECONDS", default_value = "auto", value_parser = dwell)]
    pub dwell: Dwell,
    /// Longest time to count at a point with auto, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub longest: u32,
    /// Seconds to wait at each point before counting, or auto: until the temperature has come to rest, 10 to
    /// 120 seconds
    #[arg(long, value_name = "SECONDS", default_value = "auto", value_parser = settle)]
    pub settle: Dwell,
    /// Probability that a verdict on a point is wrong, each way
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = error_rate)]
    pub error_rate: f64,
    /// Hottest temperature that is wanted, °C
    #[arg(long, value_name = "CELSIUS")]
    pub max_celsius: Option<f64>,
    /// Highest input power that is wanted, W of all boards that are switched together
    #[arg(long, value_name = "WATTS")]
    pub max_watts: Option<f64>,
    /// Directory for sweep.json, sweep.svg, sweep.png and sweep.csv [default: sweep-board-INDEX]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Begin anew although there is an earlier sweep to go on with
    #[arg(long)]
    pub fresh: bool,
    /// Stop the tuner meanwhile
    #[arg(long)]
    pub stop_tuner: bool,
    /// What the heat map shows first: rate, errors or efficiency
    #[arg(long, value_name = "WHAT", default_value = "rate")]
    pub show: Metric,
    /// Lines of progress instead of the live view
    #[arg(long)]
    pub lines: bool,
    /// Only ASCII characters in the map
    #[arg(long)]
    pub ascii: bool,
    /// Print the whole sweep as JSON at the end; progress goes to standard error
    #[arg(long)]
    pub json: bool,
}

/// How long to count, or to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Dwell {
    /// As long as it takes.
    #[default]
    Auto,
    /// So many seconds.
    Seconds(f64),
}

fn dwell(text: &str) -> Result<Dwell, String> {
    if text == "auto" {
        return Ok(Dwell::Auto);
    }
    match text.parse::<f64>() {
        Ok(seconds) if (1.0..=3_000.0).contains(&seconds) => Ok(Dwell::Seconds(seconds)),
        _ => Err("write auto, or seconds from 1 to 3000".to_owned()),
    }
}

fn settle(text: &str) -> Result<Dwell, String> {
    if text == "auto" {
        return Ok(Dwell::Auto);
    }
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=600.0).contains(&seconds) => Ok(Dwell::Seconds(seconds)),
        _ => Err("write auto, or seconds from 0 to 600".to_owned()),
    }
}

/// A probability of being wrong.
///
/// # Errors
///
/// A text that is none that makes sense.
pub(super) fn error_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (1e-9..=0.2).contains(&share) => Ok(share),
        _ => Err("write a share from 0.000000001 to 0.2, e.g. 0.01".to_owned()),
    }
}

impl SweepArgs {
    fn rules(&self) -> Rules {
        let usual = Rules::default();
        let (settle_s, settle_longest_s) = match self.settle {
            Dwell::Auto => (usual.settle_s, usual.settle_longest_s),
            Dwell::Seconds(seconds) => (seconds, seconds),
        };
        Rules {
            error_rate: self.error_rate,
            dwell_s: match self.dwell {
                Dwell::Auto => None,
                Dwell::Seconds(seconds) => Some(seconds),
            },
            longest_s: f64::from(self.longest.clamp(5, 3_000)),
            settle_s,
            settle_longest_s,
            max_watts: self.max_watts,
            ..usual
        }
    }

    fn directory(&self) -> PathBuf {
        let usual = || PathBuf::from(format!("sweep-board-{}", self.board));
        self.out.clone().unwrap_or_else(usual)
    }
}

/// Runs a sweep. The exit code is failure if it did not come to its end.
///
/// # Errors
///
/// No agent, its refusal, a board that cannot be swept now, or files that cannot be written.
pub async fn run(args: &SweepArgs, look: Look) -> anyhow::Result<ExitCode> {
    let (stopper, stop) = live::stop_on_signals()?;
    let parts = [Part::System, Part::Miner, Part::Boards, Part::Stations];
    let mut live = Live::open(&args.agent, &parts, stop.clone()).await?;
    let first = first(&mut live).await?;
    let mut sweep = planned(args, &live, &first).await?;
    let directory = args.directory();
    std::fs::create_dir_all(&directory).with_context(|| {
        format!(
            "cannot make the directory {}; choose another place with --out",
            directory.display()
        )
    })?;
    let earlier = if args.fresh {
        None
    } else {
        Sweep::read(&directory)?
    };
    if let Some(earlier) = earlier {
        sweep.go_on(earlier)?;
        // What a run that died has left behind.
        for id in [sweep.pending.board.take(), sweep.pending.tuner.take()]
            .into_iter()
            .flatten()
        {
            still::undo(&live, &id).await?;
        }
    }
    still::nobody_waits(&live, args.board).await?;
    let still = Still::stop(&live, args.board, args.stop_tuner).await?;

    let live_view = views::is_possible() && !args.json && !args.lines;
    let (shown, shown_out) = watch::channel(Arc::new(Shown {
        sweep: sweep.clone(),
        ..Shown::default()
    }));
    let (view_stopper, view_stop) = stop::channel();
    let page = live_view.then(|| {
        let screen = Screen {
            shown: shown_out,
            metric: args.show,
            ascii: args.ascii || !is_unicode(),
            theme: Theme::of_environment(),
        };
        let stopper = stopper.clone();
        tokio::spawn(async move {
            let end = terminal::run(screen, stopped(view_stop)).await;
            if !matches!(end, Ok(Exit::Stopped)) {
                stopper.stop();
            }
            end
        })
    });
    let tell = |line: &str| -> anyhow::Result<()> {
        if args.json {
            note(line);
        } else if !live_view {
            say(line)?;
        }
        Ok(())
    };
    if !live_view {
        tell(&format!(
            "sweep of board {} ({}): {}; Ctrl-C stops, the same command goes on later",
            args.board,
            sweep.subject.model,
            draw::progress(&sweep, None)
        ))?;
    }
    let drive = Drive {
        live,
        sweep,
        rules: args.rules(),
        directory: directory.clone(),
        still,
        shown,
        tell: &tell,
    };
    let (sweep, ended) = drive.run().await;
    view_stopper.stop();
    let page_end = match page {
        Some(page) => page.await.ok(),
        None => None,
    };
    let files = write_files(&sweep, &directory)?;
    if args.json {
        print_json(&sweep)?;
    } else {
        say(&result(&sweep, args, look))?;
        say(&format!("Written: {}", files.join(", ")))?;
    }
    if let Some(Err(error)) = page_end
        .transpose()
        .map_err(anyhow::Error::from)
        .transpose()
    {
        note(&format!("the live view failed: {error:#}; use --lines"));
    }
    match ended {
        None => Ok(ExitCode::SUCCESS),
        Some(why) => {
            let why = format::plain(&format!("{why:#}"), 1_000);
            note(&format!(
                "The sweep ended before its time: {why}. The same command goes on from there."
            ));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The first state.
async fn first(live: &mut Live) -> anyhow::Result<Snapshot> {
    match live.next().await {
        Ok(snapshot) => Ok(snapshot),
        Err(Lost::Stopped) => bail!("stopped by you"),
        Err(Lost::Broken(why)) => bail!("{}: {why}", live.url()),
    }
}

/// The sweep that is wanted, before its first visit.
async fn planned(args: &SweepArgs, live: &Live, state: &Snapshot) -> anyhow::Result<Sweep> {
    let index = args.board;
    let view = BoardView::of(state, index);
    let (Some(board), Some(view)) = (state.boards.get(index), view) else {
        bail!(
            "the agent has no board {index}; its boards are 0 to {}",
            state.boards.len().saturating_sub(1)
        );
    };
    let which = PathFilter {
        path: Some(format!("board[{index}]")),
    };
    let constraints = live.get::<ConfigConstraints>(&which).await?;
    let limits = |key: &str| -> Option<(f64, f64)> {
        let path = format!("board[{index}].{key}");
        let own = |constraint: &&Constraint| constraint.path == path;
        let constraint = constraints.iter().find(own)?;
        Some((constraint.min?, constraint.max?))
    };
    let (Some(clocks), Some(volts)) = (limits("frequency_mhz"), limits("voltage_mv")) else {
        bail!(
            "the agent does not tell the limits of board {index}; it is probably of another version"
        );
    };
    if args.voltage.is_some() && board.station.is_none() {
        bail!(
            "the voltage of board {index} is somebody else's (its control is \"external\"); leave --voltage out"
        );
    }
    let base = view.wanted.unwrap_or(Point {
        mhz: view.target_mhz,
        mv: board.voltage_set_mv,
    });
    let frequency = match &args.frequency {
        Some(axis) => axis.clone(),
        None => Axis(vec![base.mhz]),
    };
    let (grid, beyond) = Grid::within(&frequency, args.voltage.as_ref(), clocks, volts);
    if grid.is_empty() {
        bail!(
            "no point lies within the limits of board {index} ({}): {} to {} MHz, {} to {} mV",
            board.profile,
            clocks.0,
            clocks.1,
            volts.0,
            volts.1
        );
    }
    Ok(Sweep {
        format: FORMAT,
        subject: subject(state, index),
        began_unix_s: unix_time(),
        error_rate: args.error_rate,
        base: Some(base),
        grid,
        beyond,
        ..Sweep::default()
    })
}

/// The board that is meant, by what it tells of itself.
pub(super) fn subject(state: &Snapshot, index: usize) -> Subject {
    let Some(board) = state.boards.get(index) else {
        return Subject::default();
    };
    let station = board.station.and_then(|at| state.stations.get(at));
    let serial = station.and_then(|station| {
        let place = station.boards.iter().position(|board| *board == index)?;
        station.status.boards.get(place)?.serial.clone()
    });
    Subject {
        agent: state.system.name.clone(),
        board: index,
        profile: board.profile.clone(),
        model: board.model.clone(),
        serial,
        simulated: board.simulated,
    }
}

/// Writes pictures and table, and tells all files.
fn write_files(sweep: &Sweep, directory: &Path) -> anyhow::Result<Vec<String>> {
    let picture = picture::draw(sweep);
    let files = [
        ("sweep.svg", picture.svg().into_bytes()),
        ("sweep.png", picture.png()?),
        ("sweep.csv", picture::csv(sweep).into_bytes()),
    ];
    let mut names = vec![directory.join(file::NAME).display().to_string()];
    for (name, bytes) in files {
        let path = directory.join(name);
        file::put(&path, &bytes)?;
        names.push(path.display().to_string());
    }
    Ok(names)
}

/// The map and what it all came to.
fn result(sweep: &Sweep, args: &SweepArgs, look: Look) -> String {
    let style = Style {
        ascii: args.ascii || !is_unicode(),
        width: look.map_width(),
    };
    let map = draw::map(sweep, args.show, None, style);
    let mut lines: Vec<_> = map
        .iter()
        .map(|pieces| render::ansi(pieces, look.colour))
        .collect();
    lines.push(draw::legend(style.ascii));
    lines.push(String::new());
    lines.extend(draw::summary(sweep));
    lines.push(format!("{}.", draw::progress(sweep, None)));
    lines.join("\n")
}

/// Whether the terminal says that it shows more than ASCII.
fn is_unicode() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    // Nothing set says nothing, and most terminals can.
    locale.is_none_or(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
