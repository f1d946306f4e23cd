//! The subcommands: each turns its arguments into a call of the library and prints what comes back.

pub mod bench;
pub mod check;
pub mod demo;
pub mod pool;
pub mod profiles;
pub mod run;
pub mod sim;

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::state::Snapshot;
use crate::stop::{Stop, Stopper};
use crate::view;

/// Environment variable with the log filter, e.g. `debug` or `stratum=trace`.
pub const LOG_VARIABLE: &str = "HASHWRIGHT_LOG";

/// Where log lines go.
#[derive(Clone, Copy, Debug)]
pub enum LogTo<'a> {
    /// Standard error.
    Stderr,
    /// Appended to a file.
    File(&'a Path),
    /// Nowhere: a view has the terminal.
    Nowhere,
}

/// Sets up logging for the whole program; `default` is the filter unless the environment names one.
///
/// # Errors
///
/// A log file that cannot be written, or a filter that cannot be read.
pub fn start_logging(to: LogTo<'_>, default: &str) -> anyhow::Result<()> {
    let text = std::env::var(LOG_VARIABLE).unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&text).with_context(|| {
        format!("{LOG_VARIABLE}={text} is not a log filter; write a level such as `debug`, or `stratum=trace,info`")
    })?;
    // A log that nobody can take any more must not hold up or end the miner.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .log_internal_errors(false);
    match to {
        LogTo::Stderr => builder
            .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .with_writer(std::io::stderr)
            .init(),
        LogTo::File(path) => {
            let file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .with_context(|| format!("cannot write the log {}", path.display()))?;
            builder.with_ansi(false).with_writer(Arc::new(file)).init();
        }
        LogTo::Nowhere => {}
    }
    Ok(())
}

/// Longest time that cutting power may take when somebody is in a hurry.
const HURRY: Duration = Duration::from_secs(3);

/// Turns the switch on every signal that would end the program and can be caught, so that neither a
/// lost terminal nor a clumsy script leaves boards hashing. A second signal cuts power without winding down and ends the program; a third does not
/// even wait for that.
///
/// # Errors
///
/// When the system does not let us handle signals.
pub fn stop_on_signals(stopper: Stopper) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
        SignalKind::alarm(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
    ];
    let (signals_in, mut signals) = tokio::sync::mpsc::channel(1);
    for kind in kinds {
        let (mut received, signals) = (signal(kind)?, signals_in.clone());
        tokio::spawn(async move {
            while received.recv().await.is_some() {
                if signals.send(()).await.is_err() {
                    return;
                }
            }
        });
    }
    tokio::spawn(async move {
        signals.recv().await;
        stopper.stop();
        tracing::info!("stopping; once more cuts power at once");
        signals.recv().await;
        stopper.hurry();
        tokio::select! {
            () = stopper.released() => {}
            () = tokio::time::sleep(HURRY) => {
                tracing::error!("power could not be cut in time; switch the boards off by hand");
            }
            _ = signals.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(())
}

/// How a running miner is shown on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// The live view.
    View,
    /// Lines of progress.
    Lines,
    /// One snapshot as JSON every second, one a line.
    Json,
    /// Nothing: the log is enough.
    Nothing,
}

/// Shows the miner until it stops; a user who quits the view stops it.
pub async fn show(
    how: Show,
    state: watch::Receiver<Arc<Snapshot>>,
    stopper: &Stopper,
    stop: &Stop,
) -> anyhow::Result<()> {
    let mut stopped = stop.clone();
    let stopped = async move { stopped.stopped().await };
    match how {
        Show::View => {
            let result = view::run(state, stopped).await;
            stopper.stop();
            result.context("the live view failed")?;
        }
        Show::Lines => view::log_lines(state, stopped).await,
        Show::Json => json_lines(state, stopped).await,
        Show::Nothing => stopped.await,
    }
    Ok(())
}

async fn json_lines(state: watch::Receiver<Arc<Snapshot>>, stop: impl Future<Output = ()>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = ticks.tick() => {}
        }
        let snapshot = state.borrow().clone();
        if print_json(snapshot.as_ref()).is_err() {
            return;
        }
    }
}

/// Prints a line. Unlike `println!` it does not panic when nobody reads any more.
///
/// # Errors
///
/// When standard output is closed.
pub fn say(line: &str) -> anyhow::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// Tells a person something beside the output proper; if nobody listens, so be it.
pub fn note(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints a value as one line of JSON.
///
/// # Errors
///
/// When nobody reads standard output any more.
pub fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    use std::io::Write;
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Future of a stop switch, for calls that want one.
pub async fn stopped(stop: Stop) {
    let mut stop = stop;
    stop.stopped().await;
}

/// A number that no other miner has, and that this one has not had before. Clocks would not do: after a
/// power cut a whole farm starts at once.
///
/// # Errors
///
/// When the system has no randomness to give.
pub fn random_seed() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    let mut missing = &mut bytes[..];
    while !missing.is_empty() {
        let got = rustix::rand::getrandom(&mut *missing, rustix::rand::GetRandomFlags::empty())?;
        missing = &mut missing[got..];
    }
    Ok(u64::from_ne_bytes(bytes))
}

/// Seconds since 1970, for header times and seeds.
#[must_use]
pub fn unix_time() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}
