//! A page on the whole terminal: sets it up, redraws, hands keys over, and gives it back as it was. It runs
//! in a thread of its own, so that a stuck terminal holds up nothing else.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{self, KeyEvent};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Exit;

/// Time between two redraws.
const REDRAW_EVERY: Duration = Duration::from_millis(500);

/// How long the view may take to notice a stop.
const STOP_WITHIN: Duration = Duration::from_millis(100);

/// How long to wait for a terminal that takes no more output.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// What a terminal can show.
pub trait Page: Send + 'static {
    /// Takes what is new; called before each drawing.
    fn refresh(&mut self);

    /// Draws everything.
    fn draw(&mut self, frame: &mut Frame<'_>);

    /// Takes a key; true ends it.
    fn key(&mut self, key: KeyEvent) -> bool;
}

/// Shows `page` until it ends itself or `stop` completes.
///
/// # Errors
///
/// A terminal that cannot be set up or written to.
pub async fn run(page: impl Page, stop: impl Future<Output = ()>) -> io::Result<Exit> {
    let stopping = Arc::new(AtomicBool::new(false));
    let (ended_tx, mut ended) = oneshot::channel();
    let flag = Arc::clone(&stopping);
    thread::Builder::new().name("view".into()).spawn(move || {
        // The receiver is gone if the view was given up as stuck.
        let _ = ended_tx.send(on_terminal(page, &flag));
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

/// Sets up the terminal, runs the page, and gives the terminal back.
fn on_terminal(mut page: impl Page, stopping: &AtomicBool) -> io::Result<Exit> {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            ratatui::restore();
        }
    }

    // A set-up that fails half way needs the restoring as much.
    let _restore = Restore;
    let mut terminal = ratatui::try_init()?;
    loop {
        page.refresh();
        terminal.draw(|frame| page.draw(frame))?;
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
                event::Event::Key(key) if page.key(key) => return Ok(Exit::Quit),
                // What a key did shows at once.
                event::Event::Key(_) | event::Event::Resize(..) => break,
                _ => {}
            }
        }
    }
}
