//! `tune record`: what the tuner sees of a miner, once a second, as lines of JSON. A file that is there is gone on with;
//! an agent that goes away is waited for.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rpc::method::TelemetrySubscribe;
use rpc::stream;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::cli::history::span;
use crate::cli::reach::{Place, connect_to};
use crate::cli::top::taken;
use crate::cli::{AgentArgs, Client};
use crate::commands::{note, unix_time};
use crate::format;
use crate::replay::Moment;

/// Silence of an agent after which it is taken for gone.
const SILENT: Duration = Duration::from_secs(90);
/// Wait before an agent that went away is tried again.
const RETRY: Duration = Duration::from_secs(3);

/// What `tune record` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Which agent.
    #[command(flatten)]
    pub agent: AgentArgs,
    /// File that lines are added to
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Seconds between two lines, 1 to 60
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub every: u64,
    /// End after this time: seconds, or a number with m, h or d; without it at Ctrl-C
    #[arg(long = "for", value_name = "TIME", value_parser = span)]
    pub how_long: Option<u64>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Written {
    lines: u64,
    bytes: u64,
    breaks: u64,
}

/// `hashwright tune record`.
///
/// # Errors
///
/// No agent at the start, one without anything to tune, or a file that cannot be written.
pub async fn record(args: &Args) -> anyhow::Result<String> {
    let place = args.agent.place()?;
    let client = connect_to(&place).await?;
    let mut file = open(&args.file)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    note(&format!(
        "Recording into {}; Ctrl-C ends it, and the same command goes on with the file.",
        args.file.display()
    ));
    let begun = Instant::now();
    let mut written = Written::default();
    let until = args
        .how_long
        .map(|seconds| begun + Duration::from_secs(seconds));
    let ended = async {
        match until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        () = ended => Ok(()),
        result = keep(&place, client, args.every, &mut file, &mut written) => result,
    };
    file.flush()
        .with_context(|| format!("cannot write {}", args.file.display()))?;
    result?;
    let breaks = match written.breaks {
        0 => String::new(),
        1 => "; the agent was away once".to_owned(),
        breaks => format!("; the agent was away {breaks} times"),
    };
    Ok(format!(
        "{} lines ({} KiB) in {} added to {}{breaks}.\n`hashwright replay {}` shows what the tuner makes of them.",
        written.lines,
        written.bytes / 1024,
        format::duration(begun.elapsed().as_secs_f64()),
        args.file.display(),
        args.file.display()
    ))
}

/// Writes what the agent tells, again and again; ends only where that cannot be written.
async fn keep(
    place: &Place,
    first: Client,
    every: u64,
    file: &mut BufWriter<File>,
    written: &mut Written,
) -> anyhow::Result<()> {
    let mut client = Some(first);
    loop {
        let connected = match client.take() {
            Some(client) => Ok(client),
            None => connect_to(place).await,
        };
        let why = match connected {
            Ok(client) => match session(&client, every, file, written).await {
                Ok(why) => why,
                Err(error) => return Err(error),
            },
            Err(error) => error.to_string(),
        };
        if written.lines == 0 {
            anyhow::bail!("nothing could be recorded: {why}");
        }
        note(&format!("The agent went away ({why}); waiting for it."));
        written.breaks += 1;
        file.flush()?;
        sleep(RETRY).await;
    }
}

/// Writes what comes from one connection; why that ended.
async fn session(
    client: &Client,
    every: u64,
    file: &mut BufWriter<File>,
    written: &mut Written,
) -> anyhow::Result<String> {
    let params = stream::TelemetrySubscribe {
        interval_ms: Some(every * 1000),
        ..stream::TelemetrySubscribe::default()
    };
    let mut telemetry = match client.subscribe::<TelemetrySubscribe>(&params).await {
        Ok(telemetry) => telemetry,
        Err(error) => return Ok(error.to_string()),
    };
    let mut state = Value::Null;
    loop {
        let message = match timeout(SILENT, telemetry.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return Ok(format!("telemetry cannot be read: {error}")),
            Ok(None) => return Ok("it ended the connection".to_owned()),
            Err(_) => return Ok(format!("silent for {} s", SILENT.as_secs())),
        };
        let snapshot = match taken(&mut state, message) {
            Ok(snapshot) => snapshot,
            Err(why) => return Ok(why),
        };
        let moment = Moment::of(&snapshot, unix_time());
        if moment.stations.is_empty() {
            return Ok(
                "no board here can be tuned: nobody in the agent controls power and voltage"
                    .to_owned(),
            );
        }
        let mut line = serde_json::to_vec(&moment)?;
        line.push(b'\n');
        file.write_all(&line)?;
        // Whatever happens to this program, what is told is there.
        file.flush()?;
        written.lines += 1;
        written.bytes += line.len() as u64;
    }
}

/// Opens a file to add lines to. A line that was cut off is ended, so that it is only that one that is lost.
fn open(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let cannot = || format!("cannot write the recording {}", path.display());
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)
        .with_context(cannot)?;
    if file.metadata().with_context(cannot)?.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1)).with_context(cannot)?;
        file.read_exact(&mut last).with_context(cannot)?;
        if last != *b"\n" {
            file.write_all(b"\n").with_context(cannot)?;
        }
    }
    Ok(BufWriter::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_gone_on_with_and_a_line_that_was_cut_off_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        for (before, after) in [("", "x\n"), ("a\n", "a\nx\n"), ("a\n{\"b", "a\n{\"b\nx\n")] {
            std::fs::write(&path, before).unwrap();
            let mut file = open(&path).unwrap();
            file.write_all(b"x\n").unwrap();
            file.flush().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
        assert!(
            open(folder.path())
                .unwrap_err()
                .to_string()
                .contains("cannot write")
        );
    }
}
