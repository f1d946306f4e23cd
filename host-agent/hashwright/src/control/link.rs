//! Between the task of a board and the task of its station: power one way, signs of life the other.
//! Both are the newest value of something, so neither side ever waits for the other.

use std::sync::Arc;
use std::time::Duration;

use station::ChainReport;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;

/// What the station says to a board's task.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Grant {
    /// Number of the stretch of power; a session belongs to one.
    pub epoch: u64,
    /// There is power, and the chips are out of reset.
    pub on: bool,
    /// Clock to run at, MHz.
    pub mhz: f64,
    /// The chain is to be stopped in order, because power will go.
    pub wind_down: bool,
}

/// What a board's task says to the station.
#[derive(Clone, Copy, Debug, Default)]
struct Life {
    report: ChainReport,
    /// When the task was last alive, agent's time.
    beat: Duration,
}

/// The board's end.
#[derive(Debug)]
pub struct BoardEnd {
    grant: watch::Receiver<Grant>,
    life: watch::Sender<Life>,
    wake: Arc<Notify>,
    clock: Clock,
}

/// The station's end, for all its boards.
#[derive(Debug)]
pub struct StationEnd {
    boards: Vec<(watch::Sender<Grant>, watch::Receiver<Life>, ChainReport)>,
    wake: Arc<Notify>,
}

/// Links between a station and so many boards.
#[must_use]
pub fn links(boards: usize, clock: Clock) -> (StationEnd, Vec<BoardEnd>) {
    let wake = Arc::new(Notify::new());
    let mut station = StationEnd {
        boards: Vec::with_capacity(boards),
        wake: Arc::clone(&wake),
    };
    let ends = (0..boards)
        .map(|_| {
            let (grant_in, grant) = watch::channel(Grant::default());
            let (life, lives) = watch::channel(Life::default());
            station
                .boards
                .push((grant_in, lives, ChainReport::default()));
            BoardEnd {
                grant,
                life,
                wake: Arc::clone(&wake),
                clock,
            }
        })
        .collect();
    (station, ends)
}

/// A link to a single board.
#[must_use]
pub fn one(clock: Clock) -> (StationEnd, BoardEnd) {
    let wake = Arc::new(Notify::new());
    let (grant_in, grant) = watch::channel(Grant::default());
    let (life, lives) = watch::channel(Life::default());
    let station = StationEnd {
        boards: vec![(grant_in, lives, ChainReport::default())],
        wake: Arc::clone(&wake),
    };
    let board = BoardEnd {
        grant,
        life,
        wake,
        clock,
    };
    (station, board)
}

impl BoardEnd {
    /// The newest grant. A station that has gone leaves no power.
    #[must_use]
    pub fn grant(&self) -> Grant {
        let mut grant = *self.grant.borrow();
        grant.on &= self.grant.has_changed().is_ok();
        grant
    }

    /// Returns when there is another grant. Cancelling it loses nothing.
    pub async fn changed(&mut self) {
        if self.grant.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Says that the task is alive.
    pub fn beat(&self) {
        let now = self.clock.now();
        self.life.send_modify(|life| life.beat = now);
    }

    /// Says what the chain does, and that the task is alive.
    pub fn report(&self, report: ChainReport) {
        let now = self.clock.now();
        let mut news = false;
        self.life.send_modify(|life| {
            news = life.report != report;
            *life = Life { report, beat: now };
        });
        if news {
            self.wake.notify_one();
        }
    }
}

impl StationEnd {
    /// Changes what a board is told.
    pub fn grant(&self, board: usize, change: impl FnOnce(&mut Grant)) {
        if let Some((grant, ..)) = self.boards.get(board) {
            grant.send_if_modified(|grant| {
                let before = *grant;
                change(grant);
                *grant != before
            });
        }
    }

    /// Reports that have changed since the last call, with their boards.
    pub fn news(&mut self) -> Vec<(usize, ChainReport)> {
        let mut news = Vec::new();
        for (board, (_, life, last)) in self.boards.iter_mut().enumerate() {
            let report = life.borrow_and_update().report;
            if report != *last {
                *last = report;
                news.push((board, report));
            }
        }
        news
    }

    /// Whether every board's task was alive at that moment or later.
    #[must_use]
    pub fn alive_since(&self, moment: Duration) -> bool {
        let alive = |life: &watch::Receiver<Life>| life.borrow().beat >= moment;
        self.boards.iter().all(|(_, life, _)| alive(life))
    }

    /// Returns when a board has reported something new. Cancelling it loses nothing.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }
}
