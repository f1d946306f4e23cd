//! Watching the miner in a terminal: a calm live view, or lines of progress where there is no
//! terminal. Both only read the state tree, and neither can slow mining down: a stuck terminal
//! blocks a thread of its own.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::state::Snapshot;

pub mod chipmap;
mod events;
mod lines;
mod screen;

pub use events::{Event, Mood, Watcher};
pub use lines::{Progress, SUMMARY_EVERY, log_lines, summary, write_lines};
pub use screen::Screen;

/// Time between two redraws.
const REDRAW_EVERY: Duration = Duration::from_millis(500);

/// How long the view may take to notice a stop.
const STOP_WITHIN: Duration = Duration::from_millis(100);

/// How long to wait for a terminal that takes no more output.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// Why the view ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The user pressed `q` or Ctrl-C: the whole program should stop.
    Quit,
    /// The program asked for it.
    Stopped,
}

/// Whether there is a terminal for [`run`]: both to draw on and to read keys from.
pub fn is_possible() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stdout().is_terminal() && io::stdin().is_terminal() && !dumb
}

/// Shows `state` on the terminal until the user quits or `stop` completes.
///
/// It takes the whole terminal, and gives it back as it was however it ends, a panic included.
/// Nothing else may print meanwhile: send logs to a file. In raw mode Ctrl-C is a key and raises
/// no signal, so the caller must stop the program on [`Exit::Quit`]. Colours stay off where
/// `NO_COLOR` is set.
///
/// # Errors
///
/// A terminal that cannot be set up or written to.
pub async fn run(
    state: watch::Receiver<Arc<Snapshot>>,
    stop: impl Future<Output = ()>,
) -> io::Result<Exit> {
    let stopping = Arc::new(AtomicBool::new(false));
    let (ended_tx, mut ended) = oneshot::channel();
    let flag = Arc::clone(&stopping);
    thread::Builder::new().name("view".into()).spawn(move || {
        // The receiver is gone if the view was given up as stuck.
        let _ = ended_tx.send(on_terminal(&state, &flag));
    })?;
    let gone = || Err(io::Error::other("the view ended unexpectedly"));
    tokio::select! {
        result = &mut ended => result.unwrap_or_else(|_| gone()),
        () = stop => {
            stopping.store(true, Ordering::Relaxed);
            match timeout(STUCK_AFTER, ended).await {
                Ok(result) => result.unwrap_or_else(|_| gone()),
                Err(_) => {
                    // The thread hangs in a write; this may hang as well, but tries in its own.
                    thread::spawn(ratatui::restore);
                    Ok(Exit::Stopped)
                }
            }
        }
    }
}

/// Sets up the terminal, runs the view, and gives the terminal back.
fn on_terminal(state: &watch::Receiver<Arc<Snapshot>>, stopping: &AtomicBool) -> io::Result<Exit> {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            ratatui::restore();
        }
    }

    // A set-up that fails half way needs the restoring as much.
    let _restore = Restore;
    let mut terminal = ratatui::try_init()?;
    let mut screen = Screen::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()));
    loop {
        screen.update(state.borrow().clone());
        terminal.draw(|frame| screen.draw(frame))?;
        let next = Instant::now() + REDRAW_EVERY;
        loop {
            if stopping.load(Ordering::Relaxed) {
                return Ok(Exit::Stopped);
            }
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            if !event::poll(left.min(STOP_WITHIN))? {
                continue;
            }
            match event::read()? {
                event::Event::Key(key) if is_quit(key) => return Ok(Exit::Quit),
                event::Event::Resize(..) => break,
                _ => {}
            }
        }
    }
}

fn is_quit(key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        _ if key.kind == KeyEventKind::Release => false,
        KeyCode::Char('c') => control,
        KeyCode::Char('q' | 'Q') => !control,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
