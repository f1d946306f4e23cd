//! `tune status --follow`: the status as it changes. A terminal shows it in place; a pipe gets a line for each
//! change and each step, or with `--json` a status a line.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use rpc::NoParams;
use rpc::method::{BoardList, GetTunerStatus};
use rpc::tuner::{TunerStatus, TunerStep};

use super::render;
use crate::cli::reach::{ask, get, typed};
use crate::cli::{ClientArgs, Look};
use crate::commands::say;
use crate::format::tuner;

/// How often the agent is asked.
const EVERY: Duration = Duration::from_secs(2);

/// Shows the tuners' status until the agent ends or the user has seen enough.
///
/// # Errors
///
/// No agent, one that went away, or nobody who reads.
pub async fn follow(args: &ClientArgs, look: Look) -> anyhow::Result<()> {
    let client = args.connect().await?;
    let in_place = std::io::stdout().is_terminal() && look.width.is_some() && !args.json;
    let mut shown = Shown::default();
    let mut last = String::new();
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let reply = ask::<GetTunerStatus>(&client, &NoParams {}).await?;
        if args.json {
            if reply.get() != last {
                last = reply.get().to_owned();
                say(&last)?;
            }
            continue;
        }
        let status = typed::<GetTunerStatus>(&reply)?;
        if in_place {
            let boards = get::<BoardList>(&client, &NoParams {}).await?;
            // The terminal may have been resized meanwhile.
            let look = Look {
                colour: look.colour,
                ..Look::of_stdout()
            };
            let text = render::status(&status, &boards, look);
            shown.draw(&format!("{text}\n\nCtrl-C ends this view, not the tuning."))?;
        } else {
            for line in shown.news(&status) {
                say(&line)?;
            }
        }
    }
}

/// What was shown last.
#[derive(Debug, Default)]
struct Shown {
    /// Lines on the terminal that the next picture takes the place of.
    lines: usize,
    /// The aim, whether it is asleep, and the codes of what rules.
    head: Option<(String, bool, String)>,
    activities: BTreeMap<usize, String>,
    steps: BTreeMap<usize, TunerStep>,
}

impl Shown {
    /// Puts a text in the place of the one before.
    fn draw(&mut self, text: &str) -> std::io::Result<()> {
        let height = ratatui::crossterm::terminal::size().map_or(24, |(_, rows)| usize::from(rows));
        // What does not fit could not be taken back: the end of it stays away.
        let lines: Vec<_> = text.lines().take(height.saturating_sub(1).max(1)).collect();
        let mut out = std::io::stdout().lock();
        if self.lines > 0 {
            write!(out, "\u{1b}[{}A", self.lines)?;
        }
        for line in &lines {
            writeln!(out, "\r{line}\u{1b}[K")?;
        }
        write!(out, "\u{1b}[J")?;
        out.flush()?;
        self.lines = lines.len();
        Ok(())
    }

    /// What is new in a status, a line each; nothing if it is as before.
    fn news(&mut self, status: &TunerStatus) -> Vec<String> {
        let mut lines = Vec::new();
        // Numbers in reasons and ages of feeds change all the time and are no news.
        let demand = &status.demand;
        let codes = demand.reasons.iter().map(|reason| reason.code.as_str());
        let head = (
            tuner::aim(&status.aim),
            demand.asleep,
            codes.collect::<Vec<_>>().join(" "),
        );
        if self.head.as_ref() != Some(&head) {
            let mut parts = vec![head.0.clone()];
            parts.extend(demand.asleep.then(|| "asleep".to_owned()));
            parts.extend(tuner::reasons(demand));
            lines.push(parts.join("; "));
            self.head = Some(head);
        }
        for station in &status.stations {
            let mut text = format!("station {}: {}", station.station, station.activity);
            if let Some(because) = &station.because {
                text = format!("{text} ({because})");
            }
            let text = crate::format::plain(&text, 300);
            let before = self.activities.insert(station.station, text.clone());
            if before.as_ref() != Some(&text) {
                lines.push(text);
            }
            let Some(step) = &station.last else {
                continue;
            };
            let before = self.steps.insert(station.station, step.clone());
            if before.as_ref() != Some(step) {
                lines.extend(render::step(step));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::tuner::StationTuner;

    #[test]
    fn a_pipe_gets_what_is_new_and_nothing_twice() {
        let mut status = TunerStatus {
            stations: vec![StationTuner {
                activity: "measuring".into(),
                ..StationTuner::default()
            }],
            ..TunerStatus::default()
        };
        let mut shown = Shown::default();
        let first = shown.news(&status);
        assert_eq!(first.last().unwrap(), "station 0: measuring");
        assert!(shown.news(&status).is_empty());
        status.stations[0].rounds = 3;
        assert!(shown.news(&status).is_empty());
        status.stations[0].last = Some(TunerStep {
            decision: "move there".into(),
            ..TunerStep::default()
        });
        let news = shown.news(&status);
        assert!(news.last().unwrap().contains("move there"), "{news:?}");
        status.stations[0].activity = "keeping".into();
        assert_eq!(shown.news(&status), ["station 0: keeping"]);
    }
}
