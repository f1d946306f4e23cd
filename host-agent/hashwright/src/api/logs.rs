//! The last lines of the log, for people who watch from elsewhere. A layer of the logging writes them here
//! beside wherever else they go; lines are cut, and there are only so many. Secrets never get into the log
//! in the first place: their type does not print.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::SystemTime;

use rpc::stream::{Level, LogLine};
use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines kept; the oldest go first.
pub const KEPT: usize = 500;

/// Longest text of a line, bytes.
const LONGEST: usize = 1024;

/// The lines. Clones share them.
#[derive(Clone, Debug)]
pub struct LogRing {
    lines: Arc<Mutex<VecDeque<LogLine>>>,
    last: Arc<watch::Sender<u64>>,
}

impl Default for LogRing {
    fn default() -> Self {
        Self {
            lines: Arc::default(),
            last: Arc::new(watch::channel(0).0),
        }
    }
}

/// The ring of this program: logging is one for the whole program as well.
#[must_use]
pub fn ring() -> &'static LogRing {
    static RING: LazyLock<LogRing> = LazyLock::new(LogRing::default);
    &RING
}

impl LogRing {
    /// Lines after the one with this number that matter at least so much, oldest first, the newest `most` of
    /// them.
    #[must_use]
    pub fn after(&self, number: u64, level: Level, most: usize) -> Vec<LogLine> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = lines.iter().rev().take_while(|line| line.number > number);
        let wanted = fresh.filter(|line| line.level >= level);
        let mut newest: Vec<_> = wanted.take(most).cloned().collect();
        newest.reverse();
        newest
    }

    /// Follows the number of the newest line.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Adds a line; its number is filled in here.
    pub fn note(&self, mut line: LogLine) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *self.last.borrow() + 1;
        line.number = number;
        if lines.len() >= KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
        drop(lines);
        self.last.send_replace(number);
    }
}

impl<S: Subscriber> Layer<S> for LogRing {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // Whoever may read the log must not become an administrator by it.
        if metadata.target() == crate::access::CODE_TARGET {
            return;
        }
        let mut text = Text::default();
        event.record(&mut text);
        self.note(LogLine {
            number: 0,
            unix_s: unix_time(),
            level: match *metadata.level() {
                tracing::Level::TRACE => Level::Trace,
                tracing::Level::DEBUG => Level::Debug,
                tracing::Level::INFO => Level::Info,
                tracing::Level::WARN => Level::Warn,
                tracing::Level::ERROR => Level::Error,
            },
            target: metadata.target().to_owned(),
            text: text.done(),
        });
    }
}

/// Seconds since 1970, with milliseconds.
#[must_use]
pub fn unix_time() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_millis() as f64 / 1e3)
}

/// Message and fields, as one text.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a text cannot fail.
        let _ = match field.name() {
            "message" => write!(Bounded(&mut self.message), "{value:?}"),
            name => write!(Bounded(&mut self.fields), " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => Bounded(&mut self.message).write_str(value),
            name => write!(Bounded(&mut self.fields), " {name}={value:?}"),
        };
    }
}

impl Text {
    fn done(mut self) -> String {
        let _ = Bounded(&mut self.message).write_str(&self.fields);
        // What comes from elsewhere must not move anybody's cursor.
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        self.message.chars().map(plain).collect()
    }
}

/// Takes no more than a line holds.
struct Bounded<'a>(&'a mut String);

impl std::fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let room = LONGEST.saturating_sub(self.0.len());
        let end = (0..=room.min(text.len()))
            .rev()
            .find(|end| text.is_char_boundary(*end));
        self.0.push_str(&text[..end.unwrap_or(0)]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[test]
    fn lines_carry_level_text_and_fields() {
        let ring = LogRing::default();
        let logging = tracing_subscriber::registry().with(ring.clone());
        tracing::subscriber::with_default(logging, || {
            tracing::info!(board = 3, name = "a\u{1b}[2J", "up");
            tracing::debug!("nothing");
            tracing::error!("{}", "ö".repeat(LONGEST));
        });
        let lines = ring.after(0, Level::Info, usize::MAX);
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].number, lines[0].level), (1, Level::Info));
        assert_eq!(lines[0].text, r#"up board=3 name="a\u{1b}[2J""#);
        assert_eq!(lines[1].text.len(), LONGEST);
        assert_eq!(ring.after(0, Level::Trace, 1)[0].number, 3);
        assert_eq!(ring.after(1, Level::Trace, 9).len(), 2);
    }

    #[test]
    fn old_lines_make_room() {
        let ring = LogRing::default();
        for _ in 0..KEPT + 5 {
            ring.note(LogLine::default());
        }
        let lines = ring.after(0, Level::Trace, usize::MAX);
        assert_eq!((lines.len(), lines[0].number), (KEPT, 6));
    }
}
