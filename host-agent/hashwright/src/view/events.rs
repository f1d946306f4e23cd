//! What happened between two snapshots, in words: boards found and ramping, pools that come and
//! go, first and rejected shares. The snapshot carries states and not events, so whoever looks
//! twice can tell what changed, and whoever looks rarely misses only what came and went.

use std::collections::BTreeMap;

use crate::format;
use crate::state::{BoardStatus, MinerStatus, PoolStatus, Snapshot};

/// The longest piece of text from outside in an event, characters.
const LONGEST: usize = 120;

/// Ramps are reported in this many steps.
const RAMP_STEPS: f64 = 5.0;

/// How an event should strike the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Things take their course.
    Plain,
    /// Something was reached.
    Good,
    /// Something needs attention.
    Bad,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Uptime of the agent when it was noticed, seconds.
    pub at_s: f64,
    /// How it should strike the reader.
    pub mood: Mood,
    /// What happened, one line without control characters.
    pub text: String,
}

/// Notices changes from one snapshot to the next.
#[derive(Clone, Debug, Default)]
pub struct Watcher {
    miner_state: String,
    accepted: u64,
    best_told: f64,
    boards: BTreeMap<usize, Board>,
    pools: BTreeMap<usize, Pool>,
}

#[derive(Clone, Debug, Default)]
struct Board {
    state: String,
    problem: Option<String>,
    chips_found: u16,
    ramp_step: u8,
    restarts: u64,
}

#[derive(Clone, Debug, Default)]
struct Pool {
    state: String,
    active: bool,
    role: String,
    problem: Option<String>,
    alarm: Option<String>,
    message: Option<String>,
    difficulty: f64,
    rejected: u64,
}

impl Watcher {
    /// The changes since the snapshot before; compared with nothing at first.
    pub fn observe(&mut self, snapshot: &Snapshot) -> Vec<Event> {
        let mut told = Teller {
            at_s: snapshot.system.uptime_s,
            events: Vec::new(),
        };
        // Boards and pools that the snapshot no longer has are forgotten.
        self.boards
            .retain(|index, _| snapshot.boards.iter().any(|b| b.index == *index));
        self.pools
            .retain(|index, _| snapshot.pools.iter().any(|p| p.index == *index));
        for board in &snapshot.boards {
            self.boards
                .entry(board.index)
                .or_default()
                .observe(board, &mut told);
        }
        for pool in &snapshot.pools {
            self.pools
                .entry(pool.index)
                .or_default()
                .observe(pool, &mut told);
        }
        self.observe_miner(&snapshot.miner, &mut told);
        told.events
    }

    fn observe_miner(&mut self, miner: &MinerStatus, told: &mut Teller) {
        if self.accepted == 0 && miner.accepted > 0 {
            told.tell(Mood::Good, "first share accepted".into());
        }
        self.accepted = miner.accepted;
        // Only a best share that doubles the last one is news; before any share is accepted, every
        // nonce would be.
        if miner.accepted > 0
            && miner.best_difficulty >= 2.0 * self.best_told.max(f64::MIN_POSITIVE)
        {
            self.best_told = miner.best_difficulty;
            let best = format::difficulty(miner.best_difficulty);
            told.tell(Mood::Good, format!("best share so far: difficulty {best}"));
        }
        if replace(&mut self.miner_state, &miner.state) && !miner.state.is_empty() {
            told.tell(
                mood_of(&miner.state),
                format!("miner: {}", plain(&miner.state)),
            );
        }
    }
}

impl Board {
    fn observe(&mut self, now: &BoardStatus, told: &mut Teller) {
        let name = format!("board {} ({})", now.index, plain(&now.model));
        let found_before = std::mem::replace(&mut self.chips_found, now.chips_found);
        // A board that starts again goes through zero, which says nothing yet.
        if found_before != now.chips_found && now.chips_found > 0 {
            let complete = now.chips_found >= now.chips_expected;
            let mood = if complete { Mood::Good } else { Mood::Bad };
            let (found, expected) = (now.chips_found, now.chips_expected);
            told.tell(mood, format!("{name}: {found} of {expected} chips found"));
        }
        if replace(&mut self.state, &now.state) && !now.state.is_empty() {
            self.ramp_step = 0;
            told.tell(
                mood_of(&now.state),
                format!("{name}: {}", plain(&now.state)),
            );
        }
        if now.state == "ramping" && now.target_mhz > 0.0 {
            // The cast saturates and takes NaN as 0.
            let step = (now.frequency_mhz / now.target_mhz * RAMP_STEPS + 1e-9) as u8;
            if step > self.ramp_step {
                self.ramp_step = step;
                let percent = format::percent(now.frequency_mhz, now.target_mhz);
                let (mhz, target) = (now.frequency_mhz, now.target_mhz);
                told.tell(
                    Mood::Plain,
                    format!("{name}: clock {mhz:.0} of {target:.0} MHz ({percent})"),
                );
            }
        }
        if self.restarts != now.restarts {
            self.restarts = now.restarts;
            told.tell(
                Mood::Bad,
                format!("{name}: restarted, {} times so far", now.restarts),
            );
        }
        if replace(&mut self.problem, &now.problem) {
            match &now.problem {
                Some(problem) => told.tell(Mood::Bad, format!("{name}: {}", plain(problem))),
                None => told.tell(Mood::Good, format!("{name}: the problem is over")),
            }
        }
    }
}

impl Pool {
    fn observe(&mut self, now: &PoolStatus, told: &mut Teller) {
        let name = format!("pool {} ({})", now.index, plain(&now.url));
        let state_changed = replace(&mut self.state, &now.state);
        let active_changed = replace(&mut self.active, &now.active);
        let taken = active_changed && now.active;
        // A session that is ready and gets no work does not mine, whatever it says; its role tells.
        let ready = now.state == "mining" && !now.active && !now.role.is_empty();
        if (state_changed || taken) && !now.state.is_empty() && !ready {
            let role = if taken { ", now in use" } else { "" };
            told.tell(
                mood_of(&now.state),
                format!("{name}: {}{role}", plain(&now.state)),
            );
        }
        // The other roles show as states of the session, or as being in use.
        if replace(&mut self.role, &now.role)
            && matches!(now.role.as_str(), "standby" | "returning" | "leaving")
        {
            told.tell(Mood::Plain, format!("{name}: {}", now.role));
        }
        if now.difficulty > 0.0 && self.difficulty != now.difficulty {
            self.difficulty = now.difficulty;
            let difficulty = format::difficulty(now.difficulty);
            told.tell(
                Mood::Plain,
                format!("{name}: share difficulty {difficulty}"),
            );
        }
        if replace(&mut self.problem, &now.problem)
            && let Some(problem) = &now.problem
        {
            told.tell(Mood::Bad, format!("{name}: {}", plain(problem)));
        }
        if replace(&mut self.alarm, &now.alarm)
            && let Some(alarm) = &now.alarm
        {
            told.tell(Mood::Bad, format!("{name}: {}", plain(alarm)));
        }
        if replace(&mut self.message, &now.message)
            && let Some(message) = &now.message
        {
            told.tell(Mood::Plain, format!("{name} says: {}", plain(message)));
        }
        if now.rejected > self.rejected {
            let reason = now.reject_reasons.iter().max_by_key(|reason| reason.count);
            let reason = reason.map_or(String::new(), |r| format!(", mostly {}", plain(&r.reason)));
            let (fresh, all) = (now.rejected - self.rejected, now.rejected);
            let shares = if fresh == 1 {
                "a share".into()
            } else {
                format!("{fresh} shares")
            };
            told.tell(
                Mood::Bad,
                format!(
                    "{name}: rejected {shares} ({all} of {} so far{reason})",
                    now.submitted
                ),
            );
        }
        self.rejected = now.rejected;
    }
}

struct Teller {
    at_s: f64,
    events: Vec<Event>,
}

impl Teller {
    fn tell(&mut self, mood: Mood, text: String) {
        self.events.push(Event {
            at_s: self.at_s,
            mood,
            text,
        });
    }
}

/// The mood of a state word of the miner, a board or a pool.
pub(super) fn mood_of(state: &str) -> Mood {
    match state {
        "mining" => Mood::Good,
        "failed" | "held" | "latched" | "degraded" | "retrying" | "waiting for a pool"
        | "asleep" | "refused" => Mood::Bad,
        _ => Mood::Plain,
    }
}

fn plain(text: &str) -> String {
    format::plain(text, LONGEST)
}

/// Puts `new` into `old` and tells whether it was different.
fn replace<T: Clone + PartialEq>(old: &mut T, new: &T) -> bool {
    let changed = old != new;
    if changed {
        old.clone_from(new);
    }
    changed
}
