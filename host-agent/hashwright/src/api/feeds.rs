//! What subscriptions send: each makes the text of its next message when the client can take one, so that
//! nothing queues up for those who are slow. They get more at once, or are told what they missed.

use std::time::Duration;

use rpc::event::Entry;
use rpc::stream::{
    EventNews, EventsSubscribe, Level, LogNews, LogSubscribe, ShareNews, SharesSubscribe,
};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::sleep;

use super::logs::LogRing;
use super::telemetry::Follower;
use crate::events::EventLog;
use crate::shares::ShareLog;

/// What happens in a burst is one message.
const GATHER: Duration = Duration::from_millis(200);

/// Most events, shares or lines in one message.
const MOST: usize = 512;

/// A subscription.
#[derive(Debug)]
pub(super) enum Feed {
    /// The state.
    Telemetry(Follower),
    /// What happened.
    Events(Events),
    /// Shares and what became of them.
    Shares(Shares),
    /// The log.
    Log(Log),
}

impl Feed {
    /// The next message as JSON; `None` when there will be none any more.
    pub(super) async fn next(&mut self) -> Option<String> {
        match self {
            Self::Telemetry(follower) => follower.next().await,
            Self::Events(events) => events.next().await,
            Self::Shares(shares) => shares.next().await,
            Self::Log(log) => log.next().await,
        }
    }
}

/// Follows the list of events.
#[derive(Debug)]
pub(super) struct Events {
    log: EventLog,
    wanted: EventsSubscribe,
    changed: watch::Receiver<u64>,
    seen: Option<u64>,
}

impl Events {
    pub(super) fn new(log: EventLog, wanted: EventsSubscribe) -> Self {
        Self {
            changed: log.watch(),
            log,
            wanted,
            seen: None,
        }
    }

    async fn next(&mut self) -> Option<String> {
        loop {
            let first = self.seen.is_none();
            if !first {
                self.changed.changed().await.ok()?;
                sleep(GATHER).await;
            }
            let revision = *self.changed.borrow_and_update();
            let mut entries = self.log.touched_since(self.seen.unwrap_or(0));
            self.seen = Some(revision);
            entries.retain(|entry| self.wants(entry));
            if first || !entries.is_empty() {
                return written(&EventNews { entries });
            }
        }
    }

    fn wants(&self, entry: &Entry) -> bool {
        let wanted = &self.wanted;
        entry.number > wanted.after.unwrap_or(0)
            && wanted
                .severity
                .is_none_or(|least| entry.notice.severity >= least)
            && wanted
                .board
                .is_none_or(|board| entry.boards.contains(&board))
    }
}

/// Follows the shares.
#[derive(Debug)]
pub(super) struct Shares {
    log: ShareLog,
    wanted: SharesSubscribe,
    place: Place,
}

impl Shares {
    pub(super) fn new(log: ShareLog, wanted: SharesSubscribe) -> Self {
        Self {
            place: Place::new(log.watch()),
            log,
            wanted,
        }
    }

    async fn next(&mut self) -> Option<String> {
        loop {
            let first = self.place.seen.is_none();
            let after = self.place.wait().await?;
            let mut shares = self.log.after(after, MOST);
            let missed = self.place.take(
                after,
                shares.first().map(|s| s.number),
                shares.last().map(|s| s.number),
            );
            let wanted = &self.wanted;
            shares.retain(|share| {
                wanted.pool.is_none_or(|pool| share.pool == pool)
                    && wanted.board.is_none_or(|board| share.board == Some(board))
            });
            if first || missed > 0 || !shares.is_empty() {
                return written(&ShareNews { shares, missed });
            }
        }
    }
}

/// Follows the log.
#[derive(Debug)]
pub(super) struct Log {
    ring: LogRing,
    level: Level,
    place: Place,
}

impl Log {
    pub(super) fn new(ring: LogRing, wanted: &LogSubscribe) -> Self {
        Self {
            place: Place::new(ring.watch()),
            ring,
            level: wanted.level.unwrap_or_default(),
        }
    }

    async fn next(&mut self) -> Option<String> {
        loop {
            let first = self.place.seen.is_none();
            let after = self.place.wait().await?;
            let mut lines = self.ring.after(after, Level::Trace, MOST);
            let missed = self.place.take(
                after,
                lines.first().map(|l| l.number),
                lines.last().map(|l| l.number),
            );
            lines.retain(|line| line.level >= self.level);
            if first || missed > 0 || !lines.is_empty() {
                return written(&LogNews { lines, missed });
            }
        }
    }
}

/// How far one has read in a list of which old entries go.
#[derive(Debug)]
struct Place {
    newest: watch::Receiver<u64>,
    seen: Option<u64>,
}

impl Place {
    fn new(newest: watch::Receiver<u64>) -> Self {
        Self { newest, seen: None }
    }

    /// Number of the last entry that was read, once there is more; the first time at once.
    async fn wait(&mut self) -> Option<u64> {
        let Some(seen) = self.seen else {
            return Some(0);
        };
        let newer = self.newest.wait_for(|newest| *newest > seen).await;
        drop(newer.ok()?);
        sleep(GATHER).await;
        Some(seen)
    }

    /// Notes what was read, and says how many entries had gone before.
    fn take(&mut self, after: u64, first: Option<u64>, last: Option<u64>) -> u64 {
        let began = self.seen.is_some();
        self.seen = Some(last.unwrap_or(after));
        match first {
            Some(first) if began => first - after - 1,
            _ => 0,
        }
    }
}

fn written(news: &impl Serialize) -> Option<String> {
    serde_json::to_string(news).ok()
}

#[cfg(test)]
mod tests {
    use rpc::stream::{LogLine, Share};
    use serde_json::Value;
    use station::{Notice, Severity};

    use super::*;
    use crate::clock::Clock;

    async fn next(feed: &mut Feed) -> Value {
        serde_json::from_str(&feed.next().await.unwrap()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn events_come_all_at_first_and_again_when_they_repeat() {
        let log = EventLog::new(Clock::start());
        let notice = |code: &str, severity| Notice {
            code: code.to_owned(),
            severity,
            ..Notice::default()
        };
        log.note(&[0], notice("a", Severity::Info));
        log.note(&[1], notice("b", Severity::Fault));
        let mut all = Feed::Events(Events::new(log.clone(), EventsSubscribe::default()));
        let mut faults = Feed::Events(Events::new(
            log.clone(),
            EventsSubscribe {
                severity: Some(Severity::Fault),
                ..EventsSubscribe::default()
            },
        ));
        assert_eq!(next(&mut all).await["entries"].as_array().unwrap().len(), 2);
        assert_eq!(next(&mut faults).await["entries"][0]["code"], "b");
        log.note(&[0], notice("a", Severity::Info));
        log.note(&[1], notice("c", Severity::Critical));
        let news = next(&mut all).await;
        assert_eq!(news["entries"][0]["number"], 1);
        assert_eq!(news["entries"][0]["count"], 2);
        assert_eq!(news["entries"][1]["code"], "c");
        assert_eq!(next(&mut faults).await["entries"][0]["code"], "c");
    }

    #[tokio::test(start_paused = true)]
    async fn shares_that_were_missed_are_counted() {
        let log = ShareLog::default();
        let mut feed = Feed::Shares(Shares::new(log.clone(), SharesSubscribe::default()));
        assert_eq!(next(&mut feed).await["shares"], Value::Array(Vec::new()));
        for _ in 0..crate::shares::KEPT + 7 {
            log.note(Share::default());
        }
        let news = next(&mut feed).await;
        assert_eq!(news["missed"], 7);
        assert_eq!(
            news["shares"].as_array().unwrap().len(),
            crate::shares::KEPT
        );
        log.note(Share::default());
        let news = next(&mut feed).await;
        assert_eq!(
            (&news["missed"], news["shares"].as_array().unwrap().len()),
            (&0.into(), 1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn lines_below_the_level_are_left_out() {
        let ring = LogRing::default();
        let line = |level| LogLine {
            level,
            ..LogLine::default()
        };
        ring.note(line(Level::Debug));
        ring.note(line(Level::Warn));
        let mut feed = Feed::Log(Log::new(ring.clone(), &LogSubscribe::default()));
        let news = next(&mut feed).await;
        assert_eq!(news["lines"].as_array().unwrap().len(), 1);
        ring.note(line(Level::Trace));
        ring.note(line(Level::Error));
        let news = next(&mut feed).await;
        assert_eq!(
            (&news["lines"][0]["level"], &news["missed"]),
            (&"error".into(), &0.into())
        );
    }
}
