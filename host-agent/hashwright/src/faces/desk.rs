//! What all connections share: the state tree, the books, and the way to the settings.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use faces::{Books, Facts, Now, Offered};

use tokio::sync::watch;

use crate::commands::unix_time;
use crate::config::{Config, Strategy};
use crate::events::EventLog;
use crate::settings::Settings;
use crate::shares::ShareLog;
use crate::state::Snapshot;
use crate::stop::Stop;

/// Time between two looks at the state.
const PERIOD: Duration = Duration::from_secs(1);

/// What these interfaces read, and whom they ask.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The state tree.
    pub state: watch::Receiver<Arc<Snapshot>>,
    /// Shares and what became of them.
    pub shares: ShareLog,
    /// The way of every change.
    pub settings: Settings,
    /// Where it is told if a port cannot be had.
    pub events: EventLog,
}

/// The desk. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    sources: Sources,
    facts: Arc<Facts>,
    books: Arc<Mutex<Books>>,
}

impl Desk {
    /// A desk with empty books.
    pub(super) fn new(config: &Config, sources: Sources) -> Self {
        Self {
            sources,
            facts: Arc::new(facts(config)),
            books: Arc::default(),
        }
    }

    /// Keeps the books until the stop.
    pub(super) async fn keep(self, mut stop: Stop) {
        let mut seen = 0;
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.stopped() => return,
                _ = ticks.tick() => {}
            }
            let state = self.sources.state.borrow().clone();
            let shares = self.sources.shares.after(seen, usize::MAX);
            let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
            books.feed(&state, unix_time());
            for share in &shares {
                books.share(share);
                seen = share.number;
            }
        }
    }

    /// The way to the settings.
    pub(super) fn settings(&self) -> &Settings {
        &self.sources.settings
    }

    /// How many boards there are.
    pub(super) fn boards(&self) -> usize {
        self.sources.state.borrow().boards.len()
    }

    /// Makes something of what is known now.
    pub(super) fn now<T>(&self, make: impl FnOnce(&Now<'_>) -> T) -> T {
        let state = self.sources.state.borrow().clone();
        let books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        make(&Now {
            state: &state,
            books: &books,
            facts: &self.facts,
            unix_s: unix_time(),
        })
    }
}

fn facts(config: &Config) -> Facts {
    let mut profiles = config.boards.iter().map(|board| &board.profile);
    let first = profiles.next();
    let same = first.filter(|first| profiles.all(|other| other.name == first.name));
    Facts {
        os: std::env::consts::OS.to_owned(),
        by_quota: config.upstream.strategy == Strategy::Quota,
        offered: same.map(|profile| Offered {
            default_mhz: profile.frequency.default_mhz,
            mhz: profile.frequency.offered_mhz.clone(),
            default_mv: profile.voltage.default_mv,
            mv: profile.voltage.offered_mv.clone(),
        }),
    }
}
