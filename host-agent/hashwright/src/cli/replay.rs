//! `hashwright replay`: a recorded log through the tuner, offline: what it would have done step by step, and a summary.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _};
use std::path::PathBuf;

use anyhow::Context as _;
use rpc::tuner::TunerStep;
use serde::Serialize;

use super::Look;
use super::render::control::time_of_day;
use super::tune::{AimArgs, CapArgs, steps};
use crate::commands::{note, say};
use crate::format::{self, tuner};
use crate::replay::{Replay, ReplaySummary, Summary, Told, Wanted};

/// Longest line that is read, bytes: a moment of a thousand chips on each of 64 boards is shorter.
const MAX_LINE: u64 = 8 << 20;
/// Lines after which a person who waits is told.
const TELL_EVERY: u64 = 2_000;

const EXAMPLES: &str = "\
Examples:
  hashwright tune record miner.jsonl --for 2h      record a miner, tuned or not
  hashwright replay miner.jsonl                    what the tuner makes of that
  hashwright replay miner.jsonl --watts 2400       for another aim
  hashwright replay miner.jsonl --summary          only what comes of it";

/// What `replay` takes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A recording of `tune record`, or lines of `demo --json`; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The aim; that of the recording if none is named, or least energy per work.
    #[command(flatten)]
    pub aim: AimArgs,
    /// Bounds; those of the recording if none are named.
    #[command(flatten)]
    pub caps: CapArgs,
    /// Only this station
    #[arg(long, value_name = "INDEX")]
    pub station: Option<usize>,
    /// Leave the steps out
    #[arg(long)]
    pub summary: bool,
    /// Print steps and summary as lines of JSON
    #[arg(long)]
    pub json: bool,
}

/// `hashwright replay`: prints steps as they come, and returns the summary.
///
/// # Errors
///
/// A file that cannot be read, or nothing in it that can be used.
pub fn replay(args: &Args, look: Look) -> anyhow::Result<String> {
    let cannot = || format!("cannot read the recording {}", args.file.display());
    let mut input: Box<dyn std::io::Read> = match args.file.as_os_str() {
        name if name == "-" => Box::new(std::io::stdin()),
        _ => Box::new(File::open(&args.file).with_context(cannot)?),
    };
    let waits = std::io::stderr().is_terminal();
    let mut replay = Replay::new(Wanted {
        aim: args.aim.aim(),
        caps: args.caps.over(autotune::Caps::default()),
        station: args.station,
    });
    let mut lines = BufReader::new(&mut input);
    let mut bytes = Vec::new();
    let mut count = 0;
    loop {
        bytes.clear();
        let read = (&mut lines)
            .take(MAX_LINE)
            .read_until(b'\n', &mut bytes)
            .with_context(cannot)?;
        if read == 0 {
            break;
        }
        count += 1;
        if waits && count % TELL_EVERY == 0 {
            note(&format!("{count} lines read"));
        }
        // What is no text is a broken line as well.
        let told = replay.take(&String::from_utf8_lossy(&bytes));
        if args.summary {
            continue;
        }
        for told in told {
            say(&match args.json {
                true => serde_json::to_string(&told)?,
                false if told.again => continue,
                false => step(&told, look),
            })?;
        }
    }
    let summary = replay.summary();
    if args.json {
        return Ok(serde_json::to_string(&Whole { summary: &summary })?);
    }
    if summary.stations.is_empty() {
        anyhow::bail!("{}", nothing(args, &summary));
    }
    Ok(text(&summary))
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Whole<'a> {
    summary: &'a ReplaySummary,
}

/// A step, and what it would have changed.
fn step(told: &Told, look: Look) -> String {
    let step = TunerStep {
        station: told.station,
        unix_s: told.unix_s,
        hypothesis: told.step.hypothesis.clone(),
        evidence: told.step.evidence.clone(),
        confidence: told.step.confidence,
        decision: told.step.decision.clone(),
    };
    let was_mv = told.was_mv.map_or("–".to_owned(), tuner::volts);
    format!(
        "{}\n  would be  {}, {:.0} MHz where the log has {was_mv}, {:.0} MHz",
        steps(&[step], look.width),
        tuner::volts(told.mv),
        told.mhz,
        told.was_mhz
    )
}

fn text(summary: &ReplaySummary) -> String {
    let mut lines = vec![format!(
        "{} lines from {} UTC over {}",
        summary.lines,
        time_of_day(summary.from_unix_s),
        format::duration(summary.length_s)
    )];
    if summary.gaps > 0 {
        let word = if summary.gaps == 1 { "gap" } else { "gaps" };
        lines.push(format!("! {} {word} of more than a minute", summary.gaps));
    }
    lines.extend(broken(summary));
    for station in &summary.stations {
        lines.push(String::new());
        lines.extend(one(station));
    }
    lines.join("\n")
}

fn broken(summary: &ReplaySummary) -> Vec<String> {
    if summary.bad_lines == 0 {
        return Vec::new();
    }
    let word = if summary.bad_lines == 1 {
        "line"
    } else {
        "lines"
    };
    let mut lines = vec![format!("! {} {word} could not be used:", summary.bad_lines)];
    let reasons = summary.bad_reasons.iter();
    lines.extend(reasons.map(|why| format!("  {}", format::plain(why, 200))));
    if summary.bad_lines > summary.bad_reasons.len() as u64 {
        lines.push("  ...".to_owned());
    }
    lines
}

fn one(station: &Summary) -> Vec<String> {
    let mut lines = vec![format!(
        "station {} ({}), tuned for {}",
        station.station,
        format::plain(&station.profile, 40),
        tuner::aim(&station.aim)
    )];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<8} {value}"));
    let was = match (station.was_watts, station.was_ths) {
        (Some(watts), Some(ths)) => {
            tuner::promise(watts, ths).unwrap_or_else(|| "no work".to_owned())
        }
        (None, Some(ths)) => format!("{}, nothing measured its power", tuner::ths(ths)),
        _ => "no work".to_owned(),
    };
    line(
        "was",
        format!(
            "{was}, over {} with work",
            format::duration(station.mined_s)
        ),
    );
    let Some(best) = &station.best else {
        line(
            "would be",
            "not known: the tuner did not see enough steady work to learn these boards".to_owned(),
        );
        return lines;
    };
    line("would be", tuner::prediction(best));
    line(
        "at",
        format!(
            "{}, {:.0} MHz on the average, hottest chip {:.0} °C",
            tuner::volts(best.mv),
            best.mhz,
            best.chip_c
        ),
    );
    if let (Some(watts), Some(ths)) = (station.was_watts, station.was_ths)
        && watts > 0.0
        && ths > 0.0
    {
        let change = |now: f64, was: f64| format!("{:+.1} %", 100.0 * (now / was - 1.0));
        line(
            "that is",
            format!(
                "{} power, {} work, {} energy per work",
                change(best.watts[0], watts),
                change(best.ths[0], ths),
                change(best.j_per_th[0], watts / ths)
            ),
        );
    }
    line(
        "learned",
        format!(
            "from {} measurements in {} steps; {:.2} % may be lost for want of knowledge",
            station.rounds,
            station.steps,
            100.0 * station.regret
        ),
    );
    if !station.silent.is_empty() {
        let chips: Vec<_> = station
            .silent
            .iter()
            .take(12)
            .map(|(board, chip)| format!("{board}.{chip}"))
            .collect();
        lines.push(format!(
            "  ! chips that did not answer: {}",
            chips.join(", ")
        ));
    }
    lines.extend(tuner::reach(best.reach).map(|reach| format!("  ! {reach}")));
    lines
}

fn nothing(args: &Args, summary: &ReplaySummary) -> String {
    let mut text = format!(
        "nothing in {} could be replayed: {} lines",
        args.file.display(),
        summary.lines
    );
    for why in &broken(summary) {
        text.push('\n');
        text.push_str(why);
    }
    text.push_str("\n`hashwright tune record` writes such a file");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use autotune::{Aim, Prediction, Reach};

    fn station() -> Summary {
        let around = |value: f64| [value, value * 0.99, value * 1.01];
        Summary {
            station: 0,
            profile: "bitaxe-gamma".into(),
            aim: Aim::Efficiency,
            rounds: 3,
            steps: 5,
            mined_s: 600.0,
            was_ths: Some(1.2),
            was_watts: Some(18.0),
            best: Some(Prediction {
                mv: 1090.0,
                mhz: 480.0,
                ths: around(1.1),
                watts: around(14.3),
                j_per_th: around(13.0),
                chip_c: 52.0,
                reach: Reach::Reached,
            }),
            regret: 0.004,
            silent: Vec::new(),
        }
    }

    #[test]
    fn what_was_and_what_would_be_stand_below_each_other() {
        let text = one(&station()).join("\n");
        assert!(
            text.contains("was      18.0 W, 1.20 TH/s, 15.00 J/TH"),
            "{text}"
        );
        assert!(
            text.contains("-20.6 % power, -8.3 % work, -13.3 % energy"),
            "{text}"
        );
        let unknown = one(&Summary {
            best: None,
            ..station()
        });
        assert!(unknown.join("\n").contains("did not see enough"));
    }

    #[test]
    fn broken_lines_are_told_with_their_reasons() {
        let summary = ReplaySummary {
            lines: 100,
            bad_lines: 7,
            bad_reasons: vec!["line 3: EOF\u{1b}".into()],
            gaps: 1,
            from_unix_s: 0,
            length_s: 600.0,
            stations: vec![station()],
        };
        let text = text(&summary);
        assert!(
            text.contains("! 7 lines could not be used:\n  line 3: EOF·\n  ..."),
            "{text}"
        );
        assert!(text.contains("1 gap of"), "{text}");
    }
}
