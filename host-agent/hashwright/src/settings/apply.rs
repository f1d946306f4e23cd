//! Carrying a plan out: what differs between two trees goes to the stations, boards and pools that it
//! concerns. One that refuses undoes what others have taken already.

use std::sync::Arc;

use rpc::Error;
use station::{Command, SetPoint};
use tokio::sync::watch;

use super::tree::Tree;
use crate::config::{Config, Cooling};
use crate::control::Order;
use crate::control::command::{Denied, StationHandle};
use crate::control::group;
use crate::control::link::StationEnd;
use crate::upstream::PoolControl;

/// Boards that a person wants to be without power.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// All of them.
    pub paused: bool,
    /// Those that are switched off, by position in the config.
    pub disabled: Vec<usize>,
}

impl Holds {
    /// Those of an agent that starts.
    #[must_use]
    pub(crate) fn at_start(config: &Config) -> Self {
        Self {
            paused: false,
            disabled: disabled(config),
        }
    }

    /// Why a board is to be without power: a word and a sentence for people.
    #[must_use]
    pub fn why(&self, board: usize) -> Option<(&'static str, &'static str)> {
        if self.disabled.contains(&board) {
            Some((
                "disabled",
                "a person has switched the board off (board.set enabled)",
            ))
        } else if self.paused {
            Some((
                "paused",
                "a person has paused mining (miner.resume goes on)",
            ))
        } else {
            None
        }
    }
}

fn disabled(config: &Config) -> Vec<usize> {
    let boards = config
        .boards
        .iter()
        .enumerate()
        .filter(|(_, board)| !board.enabled);
    boards.map(|(index, _)| index).collect()
}

/// What changes are applied to.
#[derive(Debug)]
pub(crate) struct Reach {
    /// The stations.
    pub(crate) stations: Vec<StationHandle>,
    /// The boards that no station controls, by position in the config: they are told when to mine and at
    /// which clock all the same.
    pub(crate) bare: Vec<Option<Arc<StationEnd>>>,
    /// The pools.
    pub(crate) pools: PoolControl,
    /// Who is held, for whoever wants to know.
    pub(crate) holds: watch::Sender<Holds>,
}

impl Reach {
    /// Makes everything as in the second tree that is as in the first.
    ///
    /// # Errors
    ///
    /// When somebody refuses; then all is as before, as far as those who took it take it back.
    pub(crate) async fn apply(&self, before: &Tree, after: &Tree) -> Result<(), Error> {
        let mut done: Vec<(usize, Order)> = Vec::new();
        for index in 0..self.stations.len() {
            let there = self.orders(index, before, after);
            let back = self.orders(index, after, before);
            for (order, undo) in there.into_iter().zip(back) {
                if let Err(denied) = self.stations[index].ask(order).await {
                    self.undo(done).await;
                    return Err(refusal(&self.stations[index], &denied));
                }
                done.push((index, undo));
            }
        }
        let (old, new) = (&before.config, &after.config);
        if (old.pools != new.pools || old.upstream != new.upstream)
            && let Err(text) = self.rearrange(before, after).await
        {
            self.undo(done).await;
            return Err(Error::denied(text));
        }
        for (index, end) in self.bare.iter().enumerate() {
            if let Some(end) = end {
                tell(end, index, after);
            }
        }
        self.holds.send_replace(Holds {
            paused: after.paused,
            disabled: disabled(new),
        });
        Ok(())
    }

    /// Clears a latched fault.
    pub(crate) async fn clear_fault(&self, board: usize, code: &str) -> Result<(), Error> {
        let has = |station: &&StationHandle| station.boards.contains(&board);
        let Some(station) = self.stations.iter().find(has) else {
            return Err(Error::denied(format!(
                "board {board} is not controlled by this agent"
            )));
        };
        let order = Order::Command(Command::ClearFault(code.to_owned()));
        station
            .ask(order)
            .await
            .map_err(|denied| refusal(station, &denied))
    }

    /// The boards of the station with this one.
    pub(crate) fn boards_with(&self, board: usize) -> Vec<usize> {
        let has = |station: &&StationHandle| station.boards.contains(&board);
        let station = self.stations.iter().find(has);
        station.map_or_else(Vec::new, |station| station.boards.clone())
    }

    /// What a station is told; as many and in the same order whichever tree comes first.
    fn orders(&self, index: usize, before: &Tree, after: &Tree) -> Vec<Order> {
        let station = &self.stations[index];
        let mut orders = Vec::new();
        let (old, new) = (before.cooling_of(index), after.cooling_of(index));
        if station.fans && old.mode != new.mode {
            orders.push(Order::Command(Command::Cooling(group::mode(new.mode))));
        }
        let target = |tree: &Tree, cooling: Cooling| {
            let board = tree.config.boards.get(*station.boards.first()?)?;
            Some(cooling.target_c.unwrap_or(board.profile.cooling.target_c))
        };
        let (old, new) = (target(before, old), target(after, new));
        if let Some(celsius) = new.filter(|_| station.fans && old != new) {
            orders.push(Order::Command(Command::Target(celsius)));
        }
        let first = station.boards.first();
        let board = |tree: &Tree| first.and_then(|first| tree.config.boards.get(*first).cloned());
        let (Some(old), Some(new)) = (board(before), board(after)) else {
            return orders;
        };
        let point = |board: &crate::config::Board| SetPoint {
            mhz: board.target_mhz(),
            mv: board.target_mv(),
        };
        if point(&old) != point(&new) {
            orders.push(Order::SetPoint(point(&new)));
            orders.push(Order::Power(new.enabled && !after.paused));
        } else if (old.enabled && !before.paused) != (new.enabled && !after.paused) {
            orders.push(Order::Power(new.enabled && !after.paused));
        }
        orders
    }

    async fn undo(&self, done: Vec<(usize, Order)>) {
        for (index, order) in done.into_iter().rev() {
            if let Err(denied) = self.stations[index].ask(order).await {
                tracing::error!(boards = ?self.stations[index].boards, "not taken back: {denied}");
            }
        }
    }

    async fn rearrange(&self, before: &Tree, after: &Tree) -> Result<(), String> {
        let mut left: Vec<_> = before.config.pools.iter().map(Some).collect();
        let pools = after.config.pools.iter().map(|pool| {
            // Another part of the work is no reason for another session.
            let same = |old: &crate::config::Pool| {
                let mut old = old.clone();
                old.quota = pool.quota;
                old == *pool
            };
            let kept = left.iter().position(|old| old.is_some_and(same));
            if let Some(kept) = kept {
                left[kept] = None;
            }
            (kept, pool.clone())
        });
        let pools = pools.collect();
        self.pools.rearrange(after.config.upstream, pools).await
    }
}

/// Tells a board without a station when to mine, and at which clock.
fn tell(end: &StationEnd, index: usize, tree: &Tree) {
    let Some(board) = tree.config.boards.get(index) else {
        return;
    };
    let on = board.enabled && !tree.paused;
    end.grant(0, |grant| {
        if on && grant.wind_down {
            grant.epoch += 1;
        }
        grant.wind_down = !on;
        grant.mhz = board.target_mhz();
    });
}

fn refusal(station: &StationHandle, denied: &Denied) -> Error {
    let boards = match &station.boards[..] {
        [one] => format!("board {one}"),
        many => format!("boards {many:?}"),
    };
    Error::denied(format!("{boards}: {denied}"))
}
