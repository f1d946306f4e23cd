//! Watching the miner in a terminal: a calm live view, or lines of progress where there is no
//! terminal. Both only read the state tree, and neither can slow mining down: a stuck terminal
//! blocks a thread of its own.

use std::io::{self, IsTerminal};

use ratatui::Frame;
use ratatui::crossterm::event::KeyEvent;

use theme::Theme;

pub mod chipmap;
mod events;
pub mod feed;
mod lines;
mod local;
mod screen;
pub mod series;
pub mod terminal;
pub mod theme;

pub use events::{Event, Mood, Watcher};
pub use feed::{Feed, Link, Wish};
pub use lines::{Progress, SUMMARY_EVERY, log_lines, summary, write_lines};
pub use local::local;
pub use screen::{Deed, Screen, Tab};

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

/// Shows what `feed` brings on the terminal until the user quits or `stop` completes.
///
/// It takes the whole terminal, and gives it back as it was however it ends, a panic included.
/// Nothing else may print meanwhile: send logs to a file. In raw mode Ctrl-C is a key and raises
/// no signal, so the caller must stop the program on [`Exit::Quit`]. Colours stay off where
/// `NO_COLOR` is set.
///
/// # Errors
///
/// A terminal that cannot be set up or written to.
pub async fn run(feed: impl Into<Feed>, stop: impl Future<Output = ()>) -> io::Result<Exit> {
    run_on(Tab::Overview, feed, stop).await
}

/// [`run`], beginning with this page.
///
/// # Errors
///
/// As [`run`].
pub async fn run_on(
    tab: Tab,
    feed: impl Into<Feed>,
    stop: impl Future<Output = ()>,
) -> io::Result<Exit> {
    let screen = Screen::new(Theme::of_environment().colour).on(tab);
    let page = Live {
        screen,
        feed: feed.into(),
    };
    terminal::run(page, stop).await
}

/// A screen with what feeds it.
struct Live {
    screen: Screen,
    feed: Feed,
}

impl terminal::Page for Live {
    fn refresh(&mut self) {
        let Self { screen, feed } = self;
        screen.linked(feed.link.borrow().clone());
        while let Ok(past) = feed.past.try_recv() {
            screen.remember(past);
        }
        // A new run of the agent clears the events of the old one, so its state goes first.
        screen.update(feed.state.borrow().clone());
        while let Ok(entry) = feed.events.try_recv() {
            screen.happened(entry);
        }
        while let Ok(line) = feed.log.try_recv() {
            screen.logged(line);
        }
        while let Ok(answer) = feed.answers.try_recv() {
            screen.answered(answer);
        }
        screen.without_log(feed.no_log.borrow().clone());
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        self.screen.draw(frame);
    }

    fn key(&mut self, key: KeyEvent) -> bool {
        let wish = match self.screen.key(key) {
            Some(Deed::Quit) => return true,
            Some(Deed::Wish(wish)) => wish,
            None => return false,
        };
        if self.feed.wishes.try_send(wish).is_err() {
            let text = "this view cannot change anything; use the commands of hashwright";
            self.screen.answered(Err(text.to_owned()));
        }
        false
    }
}

#[cfg(test)]
mod tests;
