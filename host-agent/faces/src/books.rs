//! What the state tree does not count but these faces have to tell: averages over other windows, work
//! since the start, shares by board, when something was last seen. Fed with every snapshot and every
//! answered share; its memory is bounded.

use std::collections::VecDeque;

use rpc::Snapshot;
use rpc::stream::{Share, ShareResult};

/// Time between two entries of the hashes, seconds: the shortest window that the state tree has, so
/// that its rate times this is what was hashed in between.
const STEP_S: f64 = 5.0;
/// Entries of the hashes: a little more than a quarter of an hour.
const STEPS: usize = 190;
/// Time between two samples of the history, seconds.
const SAMPLE_S: f64 = 30.0;
/// Samples of the history: twelve hours.
const SAMPLES: usize = 1440;
/// Pools that are remembered besides those that the state tree has now.
const OLD_POOLS: usize = 32;
/// Boards that are looked at.
const MOST_BOARDS: usize = 256;

/// What was counted of one board.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardBook {
    /// Hashes since the start.
    pub hashes: f64,
    /// Accepted shares.
    pub accepted: u64,
    /// Rejected shares.
    pub rejected: u64,
    /// Difficulty of the accepted shares.
    pub accepted_difficulty: f64,
    /// Difficulty of the rejected shares.
    pub rejected_difficulty: f64,
    /// The last share that was accepted: time, pool, difficulty.
    pub last_share: Option<(u64, usize, f64)>,
    /// When its counter of good nonces last went up, seconds since 1970.
    pub last_valid: Option<u64>,
    /// When all was last well, seconds since 1970.
    pub last_well: Option<u64>,
    /// When something was last wrong, and what.
    pub last_not_well: Option<(u64, String)>,
    valid: u64,
    steps: VecDeque<(f64, f64)>,
}

/// What was counted of one pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolBook {
    /// Difficulty of the rejected shares.
    pub rejected_difficulty: f64,
    /// Difficulty of the last accepted share.
    pub last_difficulty: f64,
    /// When it last gave a job, seconds since 1970.
    pub last_job: Option<u64>,
    name: String,
    jobs: u64,
}

/// The miner at one moment, for the history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Uptime of the agent, seconds.
    pub at_s: f64,
    /// Rates over 1 minute, 10 minutes and 1 hour, hashes per second.
    pub hps: [f64; 3],
    /// Hottest temperature on the chips' scale, °C.
    pub hottest_c: Option<f64>,
    /// Power, W.
    pub power_w: Option<f64>,
    /// Duty of the fastest fan, percent.
    pub fan_percent: Option<u8>,
    /// Speed of the fastest fan, turns per minute.
    pub fan_rpm: Option<u32>,
}

/// The books.
#[derive(Clone, Debug, Default)]
pub struct Books {
    boards: Vec<BoardBook>,
    pools: Vec<PoolBook>,
    samples: VecDeque<Sample>,
    stepped_s: f64,
    sampled_s: Option<f64>,
    shares_seen: bool,
    height: u32,
    blocks: u64,
    block_at: Option<u64>,
    no_board: BoardBook,
    no_pool: PoolBook,
}

impl Books {
    /// Notes the state at a moment. More than one call a second is of no use, and none in five seconds
    /// makes averages coarse.
    pub fn feed(&mut self, state: &Snapshot, unix_s: u64) {
        let uptime = state.system.uptime_s;
        let passed = uptime - self.stepped_s;
        let step = passed >= STEP_S;
        if step {
            self.stepped_s = uptime;
        }
        let count = state.boards.len().min(MOST_BOARDS);
        self.boards.resize_with(count, BoardBook::default);
        for (book, board) in self.boards.iter_mut().zip(&state.boards) {
            book.feed(board, step.then_some((uptime, passed)), unix_s);
        }
        self.feed_pools(state, unix_s);
        let heights = state
            .pools
            .iter()
            .filter_map(|pool| pool.payout.as_ref()?.height);
        if let Some(height) = heights.max().filter(|height| *height > self.height) {
            self.height = height;
            self.blocks += 1;
            self.block_at = Some(unix_s);
        }
        if self.sampled_s.is_none_or(|at| uptime - at >= SAMPLE_S) {
            self.sampled_s = Some(uptime);
            if self.samples.len() >= SAMPLES {
                self.samples.pop_front();
            }
            self.samples.push_back(sample(state));
        }
    }

    /// Notes what became of a share.
    pub fn share(&mut self, share: &Share) {
        self.shares_seen = true;
        let accepted = match share.result {
            ShareResult::Accepted => true,
            ShareResult::Rejected | ShareResult::Stale => false,
            ShareResult::Dropped | ShareResult::Unconfirmed => return,
        };
        let board = share.board.and_then(|board| self.boards.get_mut(board));
        if let Some(book) = board {
            if accepted {
                book.accepted += 1;
                book.accepted_difficulty += share.difficulty;
                let at = share.unix_s.max(0.0) as u64;
                book.last_share = Some((at, share.pool, share.difficulty));
            } else {
                book.rejected += 1;
                book.rejected_difficulty += share.difficulty;
            }
        }
        if let Some(pool) = self.pools.get_mut(share.pool) {
            if accepted {
                pool.last_difficulty = share.difficulty;
            } else {
                pool.rejected_difficulty += share.difficulty;
            }
        }
    }

    /// A board's book; an empty one if there is no such board.
    #[must_use]
    pub fn board(&self, index: usize) -> &BoardBook {
        self.boards.get(index).unwrap_or(&self.no_board)
    }

    /// Accepted and rejected shares of a board. Before anybody told of single shares, its part of the
    /// pools' answers by the shares that it found.
    #[must_use]
    pub fn answers(&self, state: &Snapshot, index: usize) -> (u64, u64) {
        let book = self.board(index);
        if self.shares_seen {
            return (book.accepted, book.rejected);
        }
        let found = |board: &rpc::state::BoardStatus| board.nonces.shares as f64;
        let all: f64 = state.boards.iter().map(found).sum();
        let own = state.boards.get(index).map_or(0.0, found);
        let part = |of: u64| match all > 0.0 {
            true => (of as f64 * own / all).round() as u64,
            false => 0,
        };
        (part(state.miner.accepted), part(state.miner.rejected))
    }

    /// A pool's book, by position in the state tree; an empty one if there is no such pool.
    #[must_use]
    pub fn pool(&self, index: usize) -> &PoolBook {
        self.pools.get(index).unwrap_or(&self.no_pool)
    }

    /// Hashes per second of a board, or of all, over the last `window_s` seconds; since the start if that is
    /// less long ago.
    #[must_use]
    pub fn rate(&self, board: Option<usize>, window_s: f64) -> f64 {
        let one = |book: &BoardBook| book.rate(window_s);
        match board {
            Some(index) => self.boards.get(index).map_or(0.0, one),
            None => self.boards.iter().map(one).sum(),
        }
    }

    /// Hashes of all boards since the start.
    #[must_use]
    pub fn hashes(&self) -> f64 {
        self.boards.iter().map(|book| book.hashes).sum()
    }

    /// Uptime up to which hashes are counted, seconds.
    #[must_use]
    pub fn counted_s(&self) -> f64 {
        self.stepped_s
    }

    /// Blocks of the network that were seen, and when the last began, seconds since 1970.
    #[must_use]
    pub fn blocks(&self) -> (u64, Option<u64>) {
        (self.blocks, self.block_at)
    }

    /// The history, oldest first.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter()
    }

    /// When any pool last gave a job, seconds since 1970.
    #[must_use]
    pub fn last_job(&self) -> Option<u64> {
        self.pools.iter().filter_map(|pool| pool.last_job).max()
    }

    /// Pools are known by what they are, because positions change when people edit the list.
    fn feed_pools(&mut self, state: &Snapshot, unix_s: u64) {
        let mut old = std::mem::take(&mut self.pools);
        for pool in &state.pools {
            let name = format!("{} {}", pool.url, pool.user);
            let mut book = match old.iter().position(|book| book.name == name) {
                Some(at) => old.remove(at),
                None => PoolBook {
                    name,
                    ..PoolBook::default()
                },
            };
            if pool.jobs > book.jobs {
                book.last_job = Some(unix_s);
            }
            book.jobs = pool.jobs;
            self.pools.push(book);
        }
        // Behind those that are there, for when they come back.
        old.truncate(OLD_POOLS);
        self.pools.extend(old);
    }
}

impl BoardBook {
    fn feed(&mut self, board: &rpc::state::BoardStatus, step: Option<(f64, f64)>, unix_s: u64) {
        if board.nonces.valid > self.valid {
            self.last_valid = Some(unix_s);
        }
        // A board that is started again counts from zero.
        self.valid = board.nonces.valid;
        if crate::read::is_well(board) {
            self.last_well = Some(unix_s);
        } else if matches!(board.state.as_str(), "failed" | "held" | "latched") {
            let reason = board.problem.clone().unwrap_or_else(|| board.state.clone());
            self.last_not_well = Some((unix_s, reason));
        }
        if let Some((uptime, passed)) = step {
            let hps = board.hashrate.s5.hps;
            if hps.is_finite() {
                self.hashes += hps * passed;
            }
            if self.steps.len() >= STEPS {
                self.steps.pop_front();
            }
            self.steps.push_back((uptime, self.hashes));
        }
    }

    fn rate(&self, window_s: f64) -> f64 {
        let Some(&(end, hashes)) = self.steps.back() else {
            return 0.0;
        };
        let start = end - window_s;
        let first = self
            .steps
            .iter()
            .find(|(at, _)| *at >= start - STEP_S / 2.0);
        let (from, before) = match first {
            // Nothing is older than the window: it began with the agent.
            Some(&(at, _)) if start <= 0.0 || self.steps.len() < 2 || at >= end => (0.0, 0.0),
            Some(&(at, before)) => (at, before),
            None => (0.0, 0.0),
        };
        if end > from {
            (hashes - before) / (end - from)
        } else {
            0.0
        }
    }
}

fn sample(state: &Snapshot) -> Sample {
    let rates = &state.miner.hashrate;
    let fans = state
        .stations
        .iter()
        .flat_map(|station| &station.status.fans);
    Sample {
        at_s: state.system.uptime_s,
        hps: [rates.m1.hps, rates.m10.hps, rates.h1.hps],
        hottest_c: state.miner.hottest_c,
        power_w: state.miner.power_w,
        fan_percent: fans.clone().map(|fan| fan.duty_percent).max(),
        fan_rpm: fans.filter_map(|fan| fan.rpm).max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::state::{BoardStatus, PayoutStatus, PoolStatus, Rate};

    fn state(uptime_s: f64, hps: f64) -> Snapshot {
        let mut state = Snapshot::default();
        state.system.uptime_s = uptime_s;
        let mut board = BoardStatus::default();
        board.hashrate.s5 = Rate {
            hps,
            sigma_hps: 0.0,
        };
        state.boards.push(board);
        state
    }

    #[test]
    fn averages_are_work_over_time() {
        let mut books = Books::default();
        // Ten minutes at 1 TH/s, then ten at 3.
        for second in 1..=1200 {
            let hps = if second <= 600 { 1e12 } else { 3e12 };
            books.feed(&state(f64::from(second), hps), 0);
        }
        let near = |found: f64, wanted: f64| (found / wanted - 1.0).abs() < 0.02;
        assert!(near(books.rate(None, 300.0), 3e12));
        assert!(near(
            books.rate(None, 900.0),
            (300.0 * 1e12 + 600.0 * 3e12) / 900.0
        ));
        assert!(near(books.hashes(), 600.0 * 4e12));
    }

    #[test]
    fn a_window_longer_than_the_run_is_the_run() {
        let mut books = Books::default();
        for second in 1..=60 {
            books.feed(&state(f64::from(second), 2e12), 0);
        }
        assert!((books.rate(Some(0), 900.0) / 2e12 - 1.0).abs() < 1e-9);
        assert_eq!(books.rate(Some(7), 900.0), 0.0);
    }

    #[test]
    fn shares_are_counted_where_they_were_found() {
        let mut books = Books::default();
        let mut state = state(1.0, 0.0);
        state.boards.push(BoardStatus::default());
        state.pools.push(PoolStatus::default());
        books.feed(&state, 0);
        for (board, result) in [
            (0, ShareResult::Accepted),
            (1, ShareResult::Accepted),
            (1, ShareResult::Rejected),
        ] {
            books.share(&Share {
                unix_s: 77.5,
                board: Some(board),
                difficulty: 8.0,
                result,
                ..Share::default()
            });
        }
        assert_eq!(books.answers(&state, 0), (1, 0));
        assert_eq!(books.answers(&state, 1), (1, 1));
        assert_eq!(books.board(1).last_share, Some((77, 0, 8.0)));
        assert_eq!(books.pool(0).rejected_difficulty, 8.0);
    }

    #[test]
    fn a_pool_keeps_its_book_when_the_order_changes() {
        let mut books = Books::default();
        let pool = |url: &str, jobs| PoolStatus {
            url: url.to_owned(),
            jobs,
            ..PoolStatus::default()
        };
        let mut state = state(1.0, 0.0);
        state.pools = vec![pool("a", 1), pool("b", 0)];
        books.feed(&state, 100);
        state.pools = vec![pool("b", 0), pool("a", 1)];
        books.feed(&state, 200);
        assert_eq!(books.pool(0).last_job, None);
        assert_eq!(books.pool(1).last_job, Some(100));
    }

    #[test]
    fn a_greater_height_is_a_new_block() {
        let mut books = Books::default();
        let mut state = state(1.0, 0.0);
        state.pools.push(PoolStatus::default());
        for (at, height) in [(10, 800_000), (20, 800_000), (30, 800_001)] {
            state.pools[0].payout = Some(PayoutStatus {
                height: Some(height),
                ..PayoutStatus::default()
            });
            books.feed(&state, at);
        }
        assert_eq!(books.blocks(), (2, Some(30)));
    }

    #[test]
    fn memory_is_bounded() {
        let mut books = Books::default();
        let mut fed = state(0.0, 1e12);
        for step in 0..5000_u32 {
            fed.system.uptime_s = f64::from(step) * 30.0;
            fed.pools = vec![PoolStatus {
                url: format!("pool {step}"),
                ..PoolStatus::default()
            }];
            books.feed(&fed, 0);
        }
        assert!(books.samples.len() <= SAMPLES);
        assert!(books.boards[0].steps.len() <= STEPS);
        assert!(books.pools.len() <= OLD_POOLS + 1);
    }
}
