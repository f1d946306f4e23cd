//! What happened and why, for people: a bounded list with codes, values and advice, of which API,
//! live view and `hashwright events` show the newest entries. Every entry goes to the log as well.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

pub use rpc::event::Entry;
use station::{Notice, Severity};

use crate::clock::Clock;
use crate::commands::unix_time;

/// Entries kept; the oldest go first, and information before warnings.
pub const KEPT: usize = 512;
/// So many of them may be mere information while others need the room.
const KEPT_INFO: usize = KEPT / 4;

/// Warnings and faults that take turns are one entry each: so many entries of the same boards are
/// looked through for one of the last seconds.
const TURNS: usize = 4;
/// How long ago that may be, seconds.
const TURN_S: f64 = 10.0;

impl List {
    /// Drops the oldest entry; of mere information as long as there is much of it, so that what happens
    /// all the time, or what a pool has to say, does not push out what went wrong.
    fn make_room(&mut self) {
        let info = |entry: &Entry| entry.notice.severity == Severity::Info;
        let much = self.entries.iter().filter(|entry| info(entry)).count() > KEPT_INFO;
        let oldest = self.entries.iter().position(|entry| !much || info(entry));
        self.entries.remove(oldest.unwrap_or(0));
    }
}

/// The list. Clones share it.
#[derive(Clone, Debug)]
pub struct EventLog {
    list: Arc<Mutex<List>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct List {
    entries: VecDeque<Entry>,
    last: u64,
}

impl EventLog {
    /// An empty list.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            list: Arc::default(),
            clock,
        }
    }

    /// Adds an entry about these boards and writes it to the log. What happens again and again stays
    /// one entry.
    pub fn note(&self, boards: &[usize], notice: Notice) {
        let at_s = self.clock.now().as_secs_f64();
        // A list that a panic left behind is still a list.
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = if notice.severity == Severity::Info {
            1
        } else {
            TURNS
        };
        let newest_first = list.entries.iter_mut().rev();
        let mut own = newest_first
            .filter(|entry| entry.boards == boards)
            .take(turns);
        let again =
            |entry: &Entry| entry.notice == notice && (turns == 1 || at_s - entry.last_s < TURN_S);
        if let Some(entry) = own.find(|entry| again(entry)) {
            entry.count += 1;
            entry.last_s = at_s;
            return;
        }
        list.last += 1;
        let entry = Entry {
            number: list.last,
            at_s,
            unix_s: unix_time(),
            count: 1,
            last_s: at_s,
            boards: boards.to_vec(),
            notice,
        };
        log(&entry);
        list.entries.push_back(entry);
        if list.entries.len() > KEPT {
            list.make_room();
        }
    }

    /// Entries after the one with this number, oldest first, the newest `most` of them.
    #[must_use]
    pub fn after(&self, number: u64, most: usize) -> Vec<Entry> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = list.entries.iter().filter(|entry| entry.number > number);
        let mut newest: Vec<_> = fresh.rev().take(most).cloned().collect();
        newest.reverse();
        newest
    }
}

fn log(entry: &Entry) {
    let Notice {
        severity,
        code,
        text,
        advice,
        ..
    } = &entry.notice;
    let (boards, code) = (&entry.boards, code.as_str());
    let advice = (!advice.is_empty()).then_some(advice.as_str());
    match severity {
        Severity::Info => tracing::info!(?boards, code, "{text}"),
        Severity::Warning => tracing::warn!(?boards, code, advice, "{text}"),
        Severity::Fault | Severity::Critical => {
            tracing::error!(?boards, code, advice, "{text}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(code: &str) -> Notice {
        Notice {
            code: code.to_owned(),
            ..Notice::default()
        }
    }

    fn codes(entries: &[Entry]) -> Vec<&str> {
        entries
            .iter()
            .map(|entry| entry.notice.code.as_str())
            .collect()
    }

    #[tokio::test]
    async fn readers_go_on_where_they_were() {
        let log = EventLog::new(Clock::start());
        for code in ["a", "b", "c"] {
            log.note(&[0], notice(code));
        }
        assert_eq!(codes(&log.after(0, 9)), ["a", "b", "c"]);
        assert_eq!(codes(&log.after(1, 9)), ["b", "c"]);
        assert_eq!(codes(&log.after(0, 2)), ["b", "c"]);
        assert_eq!(log.after(3, 9), []);
    }

    #[tokio::test]
    async fn the_oldest_entries_make_room() {
        let log = EventLog::new(Clock::start());
        for number in 0..=KEPT {
            log.note(&[], notice(&number.to_string()));
        }
        let kept = log.after(0, usize::MAX);
        assert_eq!((kept.len(), kept[0].number), (KEPT, 2));
    }

    #[tokio::test]
    async fn information_does_not_push_out_what_went_wrong() {
        let log = EventLog::new(Clock::start());
        log.note(
            &[0],
            Notice {
                severity: Severity::Fault,
                ..notice("fault")
            },
        );
        for number in 0..2 * KEPT {
            log.note(&[], notice(&number.to_string()));
        }
        let kept = log.after(0, usize::MAX);
        assert_eq!((kept.len(), kept[0].notice.code.as_str()), (KEPT, "fault"));
        assert_eq!(kept[KEPT - 1].notice.code, (2 * KEPT - 1).to_string());
    }

    #[tokio::test]
    async fn what_repeats_is_one_entry_per_board() {
        let log = EventLog::new(Clock::start());
        for _ in 0..3 {
            log.note(&[0], notice("a"));
            log.note(&[1], notice("b"));
        }
        log.note(&[0], notice("c"));
        log.note(&[0], notice("a"));
        let entries = log.after(0, 9);
        assert_eq!(codes(&entries), ["a", "b", "c", "a"]);
        let counts: Vec<_> = entries.iter().map(|entry| entry.count).collect();
        assert_eq!(counts, [3, 3, 1, 1]);
    }

    #[tokio::test]
    async fn faults_that_take_turns_do_not_push_out_the_rest() {
        let log = EventLog::new(Clock::start());
        let fault = |code: &str| Notice {
            severity: Severity::Fault,
            ..notice(code)
        };
        for _ in 0..KEPT {
            log.note(&[0], fault("board"));
            log.note(&[0], fault("chip"));
        }
        assert_eq!(codes(&log.after(0, 9)), ["board", "chip"]);
    }
}
