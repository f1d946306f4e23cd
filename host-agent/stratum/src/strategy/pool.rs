//! What is known of one pool, and what follows from it.

use std::time::Duration;

use super::Signal;

/// Attempts in a row that may end without a job before a pool is given up.
const PATIENCE: u32 = 3;
/// Attempts in a row without a job after which another pool is made ready.
const DOUBTS: u32 = 2;
/// Connections in a row that may end before the pool has proved itself.
const SHORT_LIVES: u32 = 5;
/// Time without work after which another pool is made ready.
const SLOW: Duration = Duration::from_secs(5);
/// Time without work after which a pool has to prove itself before it gets its part of it back.
const ABSENT: Duration = Duration::from_secs(30);
/// For so long nonces may come from chips that had the work of a pool which is being left.
const LAST_NONCES: Duration = Duration::from_secs(10);
/// For so long the answers to its shares are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(30);
/// A pool that was taken out of the list works on for so long if nobody else gives work.
const FAREWELL: Duration = Duration::from_secs(30);

/// What pools are judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) return_after: Duration,
}

/// Whether a session runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Not,
    Wanted,
    /// Not wanted since then, but it may have to finish something.
    Left(Duration),
}

#[derive(Clone, Debug)]
pub(super) struct Pool {
    run: Run,
    /// It has had work since it was started.
    worked: bool,
    open_shares: bool,
    admitted: bool,
    work: bool,
    /// Since when it has had no work, or would have had none.
    dark_since: Duration,
    /// Since when it has had work and a connection without a break.
    good_since: Option<Duration>,
    fruitless: u32,
    short_lives: u32,
    given_up: bool,
    /// It gets its part at once when it has work.
    trusted: bool,
    /// A person has put it in front of the pool at work, and it has not failed since.
    asked_for: bool,
    /// Since when it is not in the list any more.
    retired: Option<Duration>,
}

impl Pool {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            run: Run::Not,
            worked: false,
            open_shares: false,
            admitted: false,
            work: false,
            dark_since: now,
            good_since: None,
            fruitless: 0,
            short_lives: 0,
            given_up: false,
            trusted: true,
            asked_for: false,
            retired: None,
        }
    }

    /// As it was before its session ran, which it does not now.
    fn rested(&self, now: Duration) -> Self {
        Self {
            asked_for: self.asked_for,
            retired: self.retired,
            ..Self::new(now)
        }
    }

    /// A person wants it before the pool at work.
    pub(super) fn ask_for(&mut self) {
        self.asked_for = true;
    }

    /// It is in the list, again perhaps.
    pub(super) fn list(&mut self) {
        self.retired = None;
    }

    /// It has been taken out of the list.
    pub(super) fn retire(&mut self, now: Duration) {
        self.retired.get_or_insert(now);
    }

    pub(super) fn handle(&mut self, now: Duration, terms: Terms, signal: Signal) {
        match signal {
            Signal::Admitted => self.admitted = true,
            Signal::Job => {
                self.work = true;
                self.fruitless = 0;
                self.good_since.get_or_insert(now);
            }
            Signal::NoJob => self.darken(now),
            Signal::Refused => {
                self.darken(now);
                self.given_up = true;
            }
            Signal::Lost => {
                self.fruitless = self.fruitless.saturating_add(1);
                if self.good_since.is_some() && !self.is_proven(now, terms) {
                    self.short_lives = self.short_lives.saturating_add(1);
                }
                self.admitted = false;
                self.asked_for = false;
                self.good_since = None;
                self.given_up |= self.fruitless >= PATIENCE || self.short_lives >= SHORT_LIVES;
            }
            Signal::Shares { open } => self.open_shares = open,
        }
    }

    /// Draws the conclusions that time brings.
    pub(super) fn review(&mut self, now: Duration, terms: Terms) {
        if self.is_proven(now, terms) {
            self.given_up = false;
            self.short_lives = 0;
            self.trusted = true;
        } else if self.given_up || (!self.work && self.dark_since + ABSENT <= now) {
            self.trusted = false;
        }
    }

    /// Starts the session or lets it end; `works` if it is to have work now.
    pub(super) fn run(&mut self, now: Duration, wanted: bool, works: bool) {
        self.run = match self.run {
            Run::Not if wanted => {
                *self = self.rested(now);
                Run::Wanted
            }
            Run::Not => Run::Not,
            _ if wanted => Run::Wanted,
            Run::Wanted => Run::Left(now),
            left @ Run::Left(_) => left,
        };
        self.worked |= works;
        if let Run::Left(since) = self.run {
            let nonces = self.worked && now < since.saturating_add(LAST_NONCES);
            let answers = self.open_shares && now < since.saturating_add(LAST_ANSWERS);
            if !nonces && !answers {
                *self = self.rested(now);
            }
        }
    }

    /// When something may follow from the time alone.
    pub(super) fn due(&self, terms: Terms) -> impl Iterator<Item = Duration> + use<> {
        let dark = !self.work && self.runs();
        let left = match self.run {
            Run::Left(since) => Some(since),
            _ => None,
        };
        [
            self.proof_due(terms),
            dark.then(|| self.dark_since.saturating_add(SLOW)),
            dark.then(|| self.dark_since.saturating_add(ABSENT)),
            left.map(|since| since.saturating_add(LAST_NONCES)),
            left.map(|since| since.saturating_add(LAST_ANSWERS)),
            self.retired.map(|since| since.saturating_add(FAREWELL)),
        ]
        .into_iter()
        .flatten()
    }

    pub(super) fn runs(&self) -> bool {
        self.run != Run::Not
    }

    pub(super) fn is_left(&self) -> bool {
        matches!(self.run, Run::Left(_))
    }

    /// Its session runs, and not only to finish.
    pub(super) fn is_kept(&self) -> bool {
        self.run == Run::Wanted
    }

    pub(super) fn has_work(&self) -> bool {
        self.work
    }

    /// It has work that may be given away: always, unless it has been taken out of the list for good.
    pub(super) fn may_work(&self, now: Duration) -> bool {
        let late = |since: Duration| since.saturating_add(FAREWELL) <= now;
        self.work && !self.retired.is_some_and(late)
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.is_some()
    }

    pub(super) fn is_asked_for(&self) -> bool {
        self.asked_for
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// When it will have been at work for long enough.
    pub(super) fn proof_due(&self, terms: Terms) -> Option<Duration> {
        self.good_since
            .map(|since| since.saturating_add(terms.return_after))
    }

    /// Whether it has been at work for long enough.
    pub(super) fn is_proven(&self, now: Duration, terms: Terms) -> bool {
        self.admitted && self.proof_due(terms).is_some_and(|due| due <= now)
    }

    /// Whether another pool should be made ready.
    pub(super) fn is_in_trouble(&self, now: Duration) -> bool {
        let slow = !self.work && self.dark_since.saturating_add(SLOW) <= now;
        self.runs() && (self.given_up || slow || self.fruitless >= DOUBTS)
    }

    fn darken(&mut self, now: Duration) {
        if std::mem::take(&mut self.work) {
            self.dark_since = now;
        }
        self.good_since = None;
    }
}
