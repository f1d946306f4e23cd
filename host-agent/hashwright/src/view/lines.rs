//! Progress as lines of text, for pipes, service logs and terminals without cursor control.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, interval};

use super::events::{Event, Mood, Watcher};
use crate::format;
use crate::state::Snapshot;

/// Time between two summary lines.
pub const SUMMARY_EVERY: Duration = Duration::from_secs(10);

/// How often the state is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Turns snapshots into lines: what changed, and a summary every [`SUMMARY_EVERY`].
#[derive(Clone, Debug, Default)]
pub struct Progress {
    watcher: Watcher,
    summary_at: Option<Duration>,
}

impl Progress {
    /// The lines to print at `now`, time since any fixed start. None has a line break.
    pub fn observe(&mut self, now: Duration, snapshot: &Snapshot) -> Vec<String> {
        let mut lines: Vec<String> = self.watcher.observe(snapshot).iter().map(line).collect();
        let due = *self.summary_at.get_or_insert(now + SUMMARY_EVERY);
        if now >= due {
            self.summary_at = Some(now + SUMMARY_EVERY);
            lines.push(format!(
                "{}   {}",
                time(snapshot.system.uptime_s),
                summary(snapshot)
            ));
        }
        lines
    }
}

/// The miner in one line: rate against what is expected, shares, errors.
pub fn summary(snapshot: &Snapshot) -> String {
    let miner = &snapshot.miner;
    let simulated = if miner.simulated { ", SIMULATED" } else { "" };
    format!(
        "{}{simulated}: {} over 1 min, {} over 10 min, {} expected; {} accepted, {} rejected, \
         best {}; {} HW errors",
        format::plain(&miner.state, 40),
        format::rate(miner.hashrate.m1),
        format::rate(miner.hashrate.m10),
        format::hashrate(miner.expected_hps),
        miner.accepted,
        miner.rejected,
        format::difficulty(miner.best_difficulty),
        miner.nonces.hardware_errors,
    )
}

/// Prints progress on standard output until `stop` completes or nobody reads it any more.
///
/// Slow readers delay the lines and nothing else.
pub async fn log_lines(state: watch::Receiver<Arc<Snapshot>>, stop: impl Future<Output = ()>) {
    write_lines(std::io::stdout(), state, stop).await;
}

/// [`log_lines`] to any writer.
pub async fn write_lines(
    mut out: impl Write + Send + 'static,
    state: watch::Receiver<Arc<Snapshot>>,
    stop: impl Future<Output = ()>,
) {
    let start = Instant::now();
    let mut progress = Progress::default();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = ticks.tick() => {}
        }
        let snapshot = state.borrow().clone();
        let lines = progress.observe(start.elapsed(), &snapshot);
        if lines.is_empty() {
            continue;
        }
        // A pipe that nobody empties blocks the writer: that must not be a thread that mines.
        let written = tokio::task::spawn_blocking(move || {
            let mut text = lines.join("\n");
            text.push('\n');
            out.write_all(text.as_bytes())
                .and_then(|()| out.flush())
                .map(|()| out)
        });
        tokio::select! {
            () = &mut stop => return,
            written = written => match written {
                Ok(Ok(writer)) => out = writer,
                _ => return,
            },
        }
    }
}

fn line(event: &Event) -> String {
    let mark = if event.mood == Mood::Bad {
        " ! "
    } else {
        "   "
    };
    format!("{}{mark}{}", time(event.at_s), event.text)
}

fn time(seconds: f64) -> String {
    format!("{:>12}", format::duration(seconds))
}
