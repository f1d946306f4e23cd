//! Whose turn it is: shares hashing time out among lots in proportion to their weights.
//!
//! Each lot has a lag, the time that it was due so far less the time that it got. The lags of all
//! lots add up to zero. The next turn goes to one that is not ahead, and among those to the one that would first
//! be behind by a turn ("earliest eligible virtual deadline first", which is known to keep every lot
//! within one turn of its due, and a lot that is not ahead always exists).

use std::time::Duration;

/// Turns of lots, which are known by their positions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    lots: Vec<Lot>,
    /// Expected length of the next turn, seconds.
    turn: f64,
}

#[derive(Clone, Copy, Debug)]
struct Lot {
    key: u64,
    /// Part of the time, 0 to 1.
    share: f64,
    /// Seconds that the lot is behind.
    lag: f64,
}

impl Turns {
    /// Replaces all lots by these keys and weights. A lot that was there before keeps its lag; what
    /// those that are gone were behind or ahead is spread over all others.
    pub(crate) fn set(&mut self, lots: impl Iterator<Item = (u64, u32)>) {
        let lag = |key| {
            let known = self.lots.iter().find(|lot| lot.key == key);
            known.map_or(0.0, |lot| lot.lag)
        };
        let mut lots: Vec<Lot> = lots
            .map(|(key, weight)| Lot {
                key,
                share: f64::from(weight),
                lag: lag(key),
            })
            .collect();
        let weights: f64 = lots.iter().map(|lot| lot.share).sum();
        for lot in &mut lots {
            lot.share /= weights.max(1.0);
        }
        self.lots = lots;
        self.settle();
    }

    /// Counts time that one lot got.
    pub(crate) fn charge(&mut self, key: u64, time: Duration) {
        if !self.lots.iter().any(|lot| lot.key == key) {
            // The chips finish what nobody is asking for any more; no lot is owed for that.
            return;
        }
        let seconds = time.as_secs_f64();
        for lot in &mut self.lots {
            lot.lag += seconds * lot.share;
            if lot.key == key {
                lot.lag -= seconds;
            }
        }
    }

    /// Takes what a lot is owed, because it could not have used its turn, and spreads it over all
    /// others.
    pub(crate) fn forfeit(&mut self, key: u64) {
        let Some(lot) = self.lots.iter_mut().find(|lot| lot.key == key) else {
            return;
        };
        let (owed, rest) = (lot.lag.max(0.0), 1.0 - lot.share);
        if rest <= 0.0 {
            return;
        }
        lot.lag -= owed;
        for other in self.lots.iter_mut().filter(|lot| lot.key != key) {
            other.lag += owed * other.share / rest;
        }
    }

    /// The expected length of turns.
    pub(crate) fn set_turn(&mut self, turn: Duration) {
        self.turn = turn.as_secs_f64();
    }

    /// Which of the lots that satisfy a condition is next.
    pub(crate) fn next(&self, may: impl Fn(u64) -> bool) -> Option<u64> {
        let turn = self.turn;
        // What rounding may have taken.
        let least = -1e-9 * turn.max(1e-3);
        let deadline = |lot: &Lot| (turn - lot.lag) / lot.share;
        let able = || {
            self.lots
                .iter()
                .filter(|lot| lot.share > 0.0 && may(lot.key))
        };
        able()
            .filter(|lot| lot.lag >= least)
            .min_by(|a, b| deadline(a).total_cmp(&deadline(b)))
            .or_else(|| able().max_by(|a, b| a.lag.total_cmp(&b.lag)))
            .map(|lot| lot.key)
    }

    /// Spreads what the lags add up to.
    fn settle(&mut self) {
        let sum: f64 = self.lots.iter().map(|lot| lot.lag).sum();
        for lot in &mut self.lots {
            lot.lag -= sum * lot.share;
        }
    }
}
