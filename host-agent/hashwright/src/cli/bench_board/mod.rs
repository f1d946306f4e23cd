//! `hashwright bench-board`: an acceptance test of a board through the API of its agent. It watches the board
//! mine, judges what it saw, and writes a report for people and one for programs.

use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rpc::NoParams;
use rpc::method::FirmwareInfo;
use rpc::stream::Part;
use serde::{Deserialize, Serialize};

pub mod judge;
pub mod poisson;
pub mod record;
pub mod report;

use super::live::{self, Live, Lost};
use super::still::{self, Still};
use super::sweep::view::BoardView;
use super::sweep::{error_rate, file, subject};
use super::{AgentArgs, Look};
use crate::commands::{note, print_json, say, unix_time};
use crate::format;
use crate::state::Snapshot;
use crate::stop;

use judge::{Judgement, Level, judge};
use record::{FORMAT, Recorder, Recording, facts};

/// Exit code of a board that could not be tested.
const UNTESTED: u8 = 2;

/// How long a board may take to mine at its clock before the test begins.
const START_WITHIN: Duration = Duration::from_secs(900);

/// How long a test goes on without counting anything.
const NOTHING_FOR: Duration = Duration::from_secs(900);

/// Time between two writings of the file with which a test can go on.
const SAVE_EVERY: Duration = Duration::from_secs(20);

/// Shortest and longest test without `--minutes`, s.
const USUAL_S: (f64, f64) = (300.0, 3_600.0);

/// Share of its work at which a chip is to be found in a test without `--minutes`.
const FIND: f64 = 0.80;

/// What `bench-board` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct BenchBoardArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// The board
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    pub board: usize,
    /// How long to count; without it as long as it takes to find a chip at 80 %, 5 to 60 minutes
    #[arg(long, value_name = "MINUTES", value_parser = minutes)]
    pub minutes: Option<f64>,
    /// The report; the same for programs stands beside it as .json [default: bench-board-INDEX.html]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Go on with the test that this .json file is of
    #[arg(long, value_name = "FILE")]
    pub resume: Option<PathBuf>,
    /// Probability that a verdict is wrong
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, value_parser = error_rate)]
    pub error_rate: f64,
    /// How much less than its clock promises a chip may do before it is called weak, percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = tolerance)]
    pub tolerance: f64,
    /// Stop the tuner meanwhile
    #[arg(long)]
    pub stop_tuner: bool,
    /// Print the whole report as JSON
    #[arg(long)]
    pub json: bool,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(minutes) if (0.05..=10_080.0).contains(&minutes) => Ok(minutes),
        _ => Err("write minutes from 0.05 to 10080".to_owned()),
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.5..=50.0).contains(&percent) => Ok(percent),
        _ => Err("write percent from 0.5 to 50".to_owned()),
    }
}

/// A report for programs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was seen.
    pub recording: Recording,
    /// What follows from it.
    pub judgement: Judgement,
}

/// Tests a board. The exit code says how it did: 0 pass, 1 fail, 2 could not test.
///
/// # Errors
///
/// None: what keeps it from testing is told, and is exit code 2.
pub async fn run(args: &BenchBoardArgs, look: Look) -> anyhow::Result<ExitCode> {
    match test(args, look).await {
        Ok(level) => Ok(match level {
            Level::Pass | Level::Warn => ExitCode::SUCCESS,
            Level::Fail => ExitCode::FAILURE,
            Level::Untested => ExitCode::from(UNTESTED),
        }),
        Err(error) => {
            let error = format::plain(&format!("{error:#}"), 1_000);
            note(&format!("error: the board could not be tested: {error}"));
            Ok(ExitCode::from(UNTESTED))
        }
    }
}

async fn test(args: &BenchBoardArgs, look: Look) -> anyhow::Result<Level> {
    let html = args
        .output
        .clone()
        .or_else(|| args.resume.as_ref().map(|file| file.with_extension("html")))
        .unwrap_or_else(|| PathBuf::from(format!("bench-board-{}.html", args.board)));
    let json = html.with_extension("json");
    let earlier = match &args.resume {
        Some(file) => Some(read(file)?),
        None => None,
    };
    // Before a long test, and not after it.
    writable(&json)?;
    let (_stopper, stop) = live::stop_on_signals()?;
    let parts = [
        Part::System,
        Part::Miner,
        Part::Boards,
        Part::Stations,
        Part::Chips,
    ];
    let live = Live::open(&args.agent, &parts, stop).await?;
    let board = earlier
        .as_ref()
        .map_or(args.board, |earlier| earlier.subject.board);
    still::nobody_waits(&live, board).await?;
    let still = Still::stop(&live, board, args.stop_tuner).await?;
    let mut bench = Bench {
        live,
        still,
        board,
        json,
        progress: Progress::new(args.json),
        recorder: Recorder::default(),
    };
    let watched = bench.watch(args, earlier).await;
    bench.progress.end();
    // Whatever happened, the tuner goes on.
    let (_stopper, stop) = stop::channel();
    bench.live.never_mind(stop);
    let back = bench.still.go_on(&bench.live).await;
    watched?;
    let seen = bench.recorder.seen;
    let report = Report {
        judgement: judge(&seen),
        recording: seen,
    };
    let (seen, judged) = (&report.recording, &report.judgement);
    file::put(&html, report::html(seen, judged).as_bytes())?;
    save(&bench.json, &report)?;
    if args.json {
        print_json(&report)?;
    } else {
        say(&report::table(seen, judged, look.width))?;
        say(&format!(
            "Written: {}, {}",
            html.display(),
            bench.json.display()
        ))?;
        if seen.ended.is_some() {
            say(&format!(
                "Go on with: hashwright bench-board --resume {}",
                bench.json.display()
            ))?;
        }
    }
    if let Err(error) = back {
        note(&format!(
            "the tuner could not be told to go on ({error}); it does so by itself within an hour"
        ));
    }
    Ok(judged.overall)
}

/// A test under way.
struct Bench {
    live: Live,
    still: Still,
    board: usize,
    json: PathBuf,
    progress: Progress,
    recorder: Recorder,
}

impl Bench {
    /// Watches the board until enough is counted, or something ends it before.
    async fn watch(
        &mut self,
        args: &BenchBoardArgs,
        earlier: Option<Recording>,
    ) -> anyhow::Result<()> {
        let (state, view) = self.started().await?;
        let firmware = self.live.get::<FirmwareInfo>(&NoParams {}).await.ok();
        let index = self.board;
        let mut seen = Recording {
            format: FORMAT,
            subject: subject(&state, index),
            facts: facts(&state, index, firmware.as_ref()),
            began_unix_s: unix_time(),
            error_rate: args.error_rate,
            tolerance: 1.0 - args.tolerance / 100.0,
            ..Recording::default()
        };
        let minutes = args.minutes.map(|minutes| minutes * 60.0);
        seen.wanted_s = minutes.unwrap_or_else(|| usual_s(&state, index, &seen));
        if let Some(earlier) = earlier {
            seen = gone_on(seen, earlier, minutes)?;
        }
        self.recorder = Recorder::new(seen);
        self.progress.begin(&self.recorder.seen);
        let end = self.count(&view).await?;
        self.recorder.seen.ended = end;
        self.recorder.seen.written_unix_s = unix_time();
        Ok(())
    }

    /// Waits until the board mines at its clock.
    async fn started(&mut self) -> anyhow::Result<(Snapshot, BoardView)> {
        let began = Instant::now();
        loop {
            let state = match self.live.next().await {
                Ok(state) => state,
                Err(Lost::Stopped) => bail!("stopped by you before anything was counted"),
                Err(Lost::Broken(why)) => bail!("{}: {why}", self.live.url()),
            };
            let Some(view) = BoardView::of(&state, self.board) else {
                bail!(
                    "the agent has no board {}; its boards are 0 to {}",
                    self.board,
                    state.boards.len().saturating_sub(1)
                );
            };
            if view.state == "mining" && view.is_at_its_clock() {
                return Ok((state, view));
            }
            let problem = view
                .problem
                .clone()
                .map_or(String::new(), |problem| format!(": {problem}"));
            if ["paused", "disabled", "asleep", "stopping", "latched"]
                .contains(&view.state.as_str())
            {
                bail!(
                    "board {} is {}{problem}. It has to mine to be tested; `hashwright status` says what it needs",
                    self.board,
                    view.state
                );
            }
            if began.elapsed() > START_WITHIN {
                bail!(
                    "board {} did not mine within {} minutes: it is {}{problem}",
                    self.board,
                    START_WITHIN.as_secs() / 60,
                    view.state
                );
            }
            self.progress.say(&format!(
                "waiting for board {} to mine at its clock: {}, {:.0} of {:.0} MHz",
                self.board, view.state, view.mhz, view.target_mhz
            ));
        }
    }

    /// Counts, and tells why it ended before its time, if it did.
    async fn count(&mut self, first: &BoardView) -> anyhow::Result<Option<String>> {
        let mut saved = Instant::now();
        let mut counted = (Instant::now(), self.recorder.seen.counted_s);
        while self.recorder.seen.counted_s < self.recorder.seen.wanted_s {
            let left = self.recorder.seen.wanted_s - self.recorder.seen.counted_s;
            self.still.prolong(&self.live, left.min(1_800.0)).await?;
            let state = match self.live.next().await {
                Ok(state) => state,
                Err(Lost::Stopped) => return Ok(Some("stopped by you".to_owned())),
                Err(Lost::Broken(why)) => {
                    self.progress
                        .say(&format!("the connection broke ({why}); trying again"));
                    self.recorder.interrupted();
                    match self.live.again().await {
                        Ok(()) => continue,
                        Err(Lost::Stopped) => return Ok(Some("stopped by you".to_owned())),
                        Err(Lost::Broken(why)) => {
                            return Ok(Some(format!("the agent has gone: {why}")));
                        }
                    }
                }
            };
            let Some(view) = BoardView::of(&state, self.board) else {
                return Ok(Some("the agent has no such board any more".to_owned()));
            };
            if let Some(why) = changed(first, &view) {
                return Ok(Some(why));
            }
            self.recorder.take(&state);
            let seen = &self.recorder.seen;
            if seen.counted_s > counted.1 {
                counted = (Instant::now(), seen.counted_s);
            } else if counted.0.elapsed() > NOTHING_FOR {
                return Ok(Some(format!(
                    "nothing could be counted for {} minutes: the board is {}",
                    NOTHING_FOR.as_secs() / 60,
                    view.state
                )));
            }
            self.progress.show(seen, &view);
            if saved.elapsed() > SAVE_EVERY {
                saved = Instant::now();
                let mut recording = seen.clone();
                recording.ended = Some("it is not over yet".to_owned());
                recording.written_unix_s = unix_time();
                let judgement = judge(&recording);
                save(
                    &self.json,
                    &Report {
                        recording,
                        judgement,
                    },
                )?;
            }
        }
        Ok(None)
    }
}

/// What somebody has done to the board meanwhile, so that the rest would be another test.
fn changed(first: &BoardView, now: &BoardView) -> Option<String> {
    if ["paused", "disabled", "asleep", "stopping"].contains(&now.state.as_str()) {
        return Some(format!(
            "somebody has stopped the board: it is {}",
            now.state
        ));
    }
    match (first.wanted, now.wanted) {
        (Some(before), Some(wanted)) if !before.is(&wanted) => Some(format!(
            "somebody has set the board from {before} to {wanted}"
        )),
        _ => None,
    }
}

/// Time to count until a chip at 80 % would be found with 90 % probability, s.
fn usual_s(state: &Snapshot, index: usize, seen: &Recording) -> f64 {
    let own = state.chips.iter().filter(|chip| chip.board == index);
    let (chips, slowest) = own.fold((0, f64::INFINITY), |(count, least), chip| {
        (count + 1, chip.expected_hps.min(least))
    });
    let (least, most) = USUAL_S;
    if chips == 0 {
        return least;
    }
    let bits = state.boards.get(index).map_or(0, |board| board.ticket_bits);
    let per_s = slowest / 2f64.powi(32 + i32::from(bits));
    let error = -f64::exp_m1(f64::ln_1p(-seen.error_rate) / f64::from(chips));
    let finds = |seconds: f64| {
        poisson::least_found(per_s * seconds, seen.tolerance, error, 0.9)
            .is_some_and(|share| share >= FIND)
    };
    let mut seconds = least;
    while seconds < most && !finds(seconds) {
        seconds += 30.0;
    }
    seconds.min(most)
}

/// The earlier test, to go on with.
fn gone_on(
    now: Recording,
    mut earlier: Recording,
    minutes: Option<f64>,
) -> anyhow::Result<Recording> {
    let (old, new) = (&earlier.subject, &now.subject);
    if old != new {
        let told = |one: &file::Subject| {
            let serial = one.serial.as_deref().unwrap_or("no serial");
            format!(
                "{} ({serial}) as board {} of {}",
                one.model, one.board, one.agent
            )
        };
        bail!(
            "the earlier test is of {}, and this is {}. Begin a new one without --resume",
            told(old),
            told(new)
        );
    }
    let setting = |one: &Recording| (one.facts.mhz, one.facts.mv);
    if setting(&earlier) != setting(&now) {
        let told = |one: &Recording| {
            let mv = one.facts.mv.map_or(String::new(), |mv| format!(" {mv} mV"));
            format!("{} MHz{mv}", one.facts.mhz)
        };
        bail!(
            "the board was tested at {} before and runs at {} now. Set it back, or begin a new test without --resume",
            told(&earlier),
            told(&now)
        );
    }
    earlier.ended = None;
    earlier.facts = now.facts;
    (earlier.error_rate, earlier.tolerance) = (now.error_rate, now.tolerance);
    earlier.wanted_s = minutes.unwrap_or(earlier.wanted_s);
    Ok(earlier)
}

fn read(path: &Path) -> anyhow::Result<Recording> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let report: Report = serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is no report of bench-board that this version can go on with",
            path.display()
        )
    })?;
    if report.recording.format != FORMAT {
        bail!(
            "{} has format {}, and this version knows {FORMAT}",
            path.display(),
            report.recording.format
        );
    }
    Ok(report.recording)
}

fn save(path: &Path, report: &Report) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    file::put(path, text.as_bytes())
}

/// Makes sure that there is a directory to write to.
fn writable(path: &Path) -> anyhow::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    tempfile::NamedTempFile::new_in(directory)
        .map(drop)
        .with_context(|| {
            format!(
                "cannot write to {}; choose another place with --output",
                directory.display()
            )
        })
}

/// Progress on standard error: one line that changes on a terminal, and a line now and then elsewhere.
struct Progress {
    terminal: bool,
    said: Option<(Instant, String)>,
    quiet: bool,
}

impl Progress {
    fn new(quiet: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            terminal: std::io::stderr().is_terminal() && !dumb,
            said: None,
            quiet,
        }
    }

    fn begin(&mut self, seen: &Recording) {
        self.end();
        let subject = &seen.subject;
        let name = format::plain(&subject.model, 60);
        note(&format!(
            "bench-board: board {} ({name}), {} to count; Ctrl-C gives a partial report",
            subject.board,
            format::duration(seen.wanted_s - seen.counted_s)
        ));
    }

    fn show(&mut self, seen: &Recording, view: &BoardView) {
        let share = seen.counts.nonces as f64 / seen.expected;
        let sd = (seen.counts.nonces.max(1) as f64).sqrt() / seen.expected;
        let mut parts = vec![format!(
            "{} of {}",
            format::duration(seen.counted_s),
            format::duration(seen.wanted_s)
        )];
        if seen.expected > 0.0 {
            parts.push(format!(
                "{:.1} ± {:.1} % of its work",
                share * 100.0,
                sd * 100.0
            ));
        }
        if let Some(celsius) = view.celsius {
            parts.push(format!("{celsius:.1} °C"));
        }
        if let Some(watts) = view.watts {
            parts.push(format!("{watts:.1} W"));
        }
        if view.state != "mining" {
            parts.push(format!("now {}", view.state));
        }
        let left = (seen.wanted_s - seen.counted_s).max(0.0);
        parts.push(format!("{} left", format::duration(left)));
        self.say(&parts.join(", "));
    }

    fn say(&mut self, line: &str) {
        let line = format::plain(line, 200);
        if self.terminal {
            // A stream that takes no more is no reason to end.
            let _ = write!(std::io::stderr(), "\r\u{1b}[K{line}");
            self.said = Some((Instant::now(), line));
            return;
        }
        // Not every second in a file, and never the same again.
        let every = Duration::from_secs(if self.quiet { 120 } else { 60 });
        let due = self
            .said
            .as_ref()
            .is_none_or(|(at, said)| at.elapsed() > every && *said != line);
        if due {
            note(&line);
            self.said = Some((Instant::now(), line));
        }
    }

    /// Leaves the line.
    fn end(&mut self) {
        if self.terminal && self.said.take().is_some() {
            let _ = writeln!(std::io::stderr());
        }
    }
}

#[cfg(test)]
mod tests {
    use rpc::state::{BoardStatus, ChipStatus};

    use super::judge::tests::good;
    use super::*;

    /// A board whose chips give so many nonces a second.
    fn board(chips: u16, per_s: f64) -> Snapshot {
        let chip = |index| ChipStatus {
            index,
            expected_hps: per_s * 2f64.powi(40),
            ..ChipStatus::default()
        };
        Snapshot {
            boards: vec![BoardStatus {
                ticket_bits: 8,
                ..BoardStatus::default()
            }],
            chips: (0..chips).map(chip).collect(),
            ..Snapshot::default()
        }
    }

    #[test]
    fn a_test_takes_as_long_as_chips_need() {
        let rules = Recording {
            error_rate: 0.01,
            tolerance: 0.95,
            ..Recording::default()
        };
        let usual = |chips, per_s| usual_s(&board(chips, per_s), 0, &rules);
        // Much is counted at once, little takes its time, and nothing is waited for without end.
        assert_eq!(usual(1, 50.0), 300.0);
        let (one, many) = (usual(1, 1.0), usual(77, 1.0));
        assert!(one > 300.0 && many > one && many < 3_600.0, "{one} {many}");
        assert_eq!(usual(110, 0.01), 3_600.0);
        assert_eq!(usual(0, 1.0), 300.0);
    }

    #[test]
    fn a_test_goes_on_only_with_the_same_board_at_the_same_setting() {
        let mut earlier = good();
        earlier.ended = Some("stopped by you".to_owned());
        let on = gone_on(good(), earlier.clone(), Some(7_200.0)).unwrap();
        assert_eq!(
            (on.ended, on.wanted_s, on.counted_s),
            (None, 7_200.0, 3_600.0)
        );
        let mut other = good();
        other.facts.mhz = 400.0;
        let error = gone_on(other, earlier.clone(), None).unwrap_err();
        assert!(error.to_string().contains("487 MHz before"), "{error}");
        let mut other = good();
        other.subject.serial = Some("7".to_owned());
        let error = gone_on(other, earlier, None).unwrap_err();
        assert!(error.to_string().contains("without --resume"), "{error}");
    }

    #[test]
    fn a_report_survives_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        let recording = good();
        let report = Report {
            judgement: judge(&recording),
            recording,
        };
        save(&path, &report).unwrap();
        assert_eq!(read(&path).unwrap(), report.recording);
        std::fs::write(&path, "[]").unwrap();
        assert!(read(&path).is_err());
    }
}
