//! Carrying a plan out: what differs between two trees goes to the stations, boards and pools that it
//! concerns. One that refuses undoes what others have taken already.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use autotune::BoardModel;
use board_profiles::Profile;
use rpc::Error;
use station::{Command, SetPoint};
use tokio::sync::watch;

use super::tree::Tree;
use crate::config::{Config, Cooling};
use crate::control::Order;
use crate::control::command::{Denied, StationHandle};
use crate::control::group;
use crate::control::link::StationEnd;
use crate::demand;
use crate::tune::{self, Base};
use crate::upstream::PoolControl;

/// Boards that a person wants to be without power.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// All of them.
    pub paused: bool,
    /// Those that are switched off, by position in the config.
    pub disabled: Vec<usize>,
    /// A rule of the tuner's demand lets all of them rest, and why.
    pub resting: Option<String>,
}

impl Holds {
    /// Those of an agent that starts.
    #[must_use]
    pub(crate) fn at_start(config: &Config) -> Self {
        Self {
            paused: false,
            disabled: disabled(config),
            resting: None,
        }
    }

    /// Why a board is to be without power: a word and a sentence for people.
    #[must_use]
    pub fn why(&self, board: usize) -> Option<(&'static str, Cow<'static, str>)> {
        if self.disabled.contains(&board) {
            Some((
                "disabled",
                "a person has switched the board off (board.set enabled)".into(),
            ))
        } else if self.paused {
            Some((
                "paused",
                "a person has paused mining (miner.resume goes on)".into(),
            ))
        } else {
            let why = self.resting.as_ref()?;
            let text = format!("a rule of [tuner] lets the boards rest: {why}");
            Some(("asleep", text.into()))
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
    /// The tuners, in the order of the stations: they say what a station runs at.
    pub(crate) tuners: Vec<tune::Handle>,
    /// Who tells the tuners what is wanted of them at every moment.
    pub(crate) demand: demand::Handle,
    /// What was learned of boards.
    pub(crate) models: tune::Models,
    /// The ways to the chips of boards that no station controls, by position in the config.
    pub(crate) clocks: Vec<Option<watch::Sender<Option<tune::Clocks>>>>,
    /// What the owner wants of the tuners, for whoever wants to know.
    pub(crate) owner: watch::Sender<tune::Wish>,
    /// The pools.
    pub(crate) pools: PoolControl,
    /// Who is held, for whoever wants to know.
    pub(crate) holds: watch::Sender<Holds>,
}

/// Something that a station is told.
enum Act {
    /// By its own way.
    Order(Order),
    /// What it runs at, unless it is tuned: by way of its tuner.
    Base(Base),
}

impl Reach {
    /// Makes everything as in the second tree that is as in the first.
    ///
    /// # Errors
    ///
    /// When somebody refuses; then all is as before, as far as those who took it take it back.
    pub(crate) async fn apply(&self, before: &Tree, after: &Tree) -> Result<(), Error> {
        let mut done: Vec<(usize, Act)> = Vec::new();
        for index in 0..self.stations.len() {
            let there = self.acts(index, before, after);
            let back = self.acts(index, after, before);
            for (act, undo) in there.into_iter().zip(back) {
                if let Err(denied) = self.act(index, act).await {
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
                self.tell(end, index, after);
            }
        }
        let wish = tune::Wish::of(&new.tuner);
        if wish != tune::Wish::of(&old.tuner) {
            self.tune(wish).await;
        }
        self.holds.send_replace(Holds {
            paused: after.paused,
            disabled: disabled(new),
            resting: after.resting.clone(),
        });
        Ok(())
    }

    /// The owner wants something else of the tuners.
    async fn tune(&self, wish: tune::Wish) {
        self.owner.send_replace(wish);
        // Numbers were held to the config's limits before; whoever does not answer is at the end, and the agent with it.
        let _ = self.demand.set_base(wish.aim, wish.caps).await;
    }

    async fn act(&self, index: usize, act: Act) -> Result<(), Denied> {
        match act {
            Act::Order(order) => self.stations[index].ask(order).await,
            Act::Base(base) => match self.tuners.get(index) {
                Some(tuner) => tuner.base(base).await,
                None => Err(Denied::Gone),
            },
        }
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

    /// The tuner that the board with this serial number is under.
    pub(crate) fn tuner_of(&self, serial: &str) -> Option<usize> {
        let has =
            |tuner: &tune::Handle| tuner.view.borrow().serials.iter().any(|own| own == serial);
        self.tuners.iter().position(has)
    }

    /// Whether a model can be that of the board whose serial number it has.
    pub(crate) fn fits(&self, tuner: Option<usize>, model: &BoardModel) -> Result<(), Error> {
        let why = match tuner {
            Some(tuner) => tune::unfit(&self.tuners[tuner].profile, model),
            None => match Profile::builtin(&model.profile) {
                Ok(profile) => tune::unfit(&profile, model),
                Err(error) => Some(error.to_string()),
            },
        };
        match why {
            None => Ok(()),
            Some(why) => Err(Error::denied(format!("this model is not used: {why}"))),
        }
    }

    /// What is kept of a board becomes this model, or nothing; the tuner that it is under begins anew with that.
    pub(crate) async fn keep(
        &self,
        tuner: Option<usize>,
        serial: &str,
        model: Option<&BoardModel>,
    ) -> io::Result<()> {
        if let Some(tuner) = tuner.and_then(|tuner| self.tuners.get(tuner)) {
            return tuner.replace(serial, model).await;
        }
        let (models, serial, model) = (self.models.clone(), serial.to_owned(), model.cloned());
        let keep = move || match model {
            Some(model) => models.save(&model),
            None => models.forget(&serial).map(drop),
        };
        let kept = tokio::task::spawn_blocking(keep).await;
        kept.map_err(io::Error::other)?
    }

    /// The boards of the station with this one.
    pub(crate) fn boards_with(&self, board: usize) -> Vec<usize> {
        let has = |station: &&StationHandle| station.boards.contains(&board);
        let station = self.stations.iter().find(has);
        station.map_or_else(Vec::new, |station| station.boards.clone())
    }

    /// What a station is told; as many and in the same order whichever tree comes first.
    fn acts(&self, index: usize, before: &Tree, after: &Tree) -> Vec<Act> {
        let station = &self.stations[index];
        let mut acts = Vec::new();
        let (old, new) = (before.cooling_of(index), after.cooling_of(index));
        if station.fans && old.mode != new.mode {
            let mode = Command::Cooling(group::mode(new.mode));
            acts.push(Act::Order(Order::Command(mode)));
        }
        let target = |tree: &Tree, cooling: Cooling| {
            let board = tree.config.boards.get(*station.boards.first()?)?;
            Some(cooling.target_c.unwrap_or(board.profile.cooling.target_c))
        };
        let (old, new) = (target(before, old), target(after, new));
        if let Some(celsius) = new.filter(|_| station.fans && old != new) {
            acts.push(Act::Order(Order::Command(Command::Target(celsius))));
        }
        let first = station.boards.first();
        let powered = |tree: &Tree| {
            let board = tree.config.boards.get(*first?)?;
            Some(board.enabled && tree.is_awake())
        };
        let (Some(old), Some(new)) = (base(&station.boards, before), base(&station.boards, after))
        else {
            return acts;
        };
        let moves = old != new;
        if moves {
            acts.push(Act::Base(new));
        }
        let (was, is) = (powered(before), powered(after));
        if let Some(on) = is.filter(|_| moves || was != is) {
            acts.push(Act::Order(Order::Power(on)));
        }
        acts
    }

    async fn undo(&self, done: Vec<(usize, Act)>) {
        for (index, act) in done.into_iter().rev() {
            if let Err(denied) = self.act(index, act).await {
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

impl Reach {
    /// Tells a board without a station when to mine, and at which clocks.
    fn tell(&self, end: &StationEnd, index: usize, tree: &Tree) {
        let (Some(board), Some(base)) = (tree.config.boards.get(index), base(&[index], tree))
        else {
            return;
        };
        if let Some(way) = self.clocks.get(index).and_then(Option::as_ref) {
            let own = base.clocks.into_iter().flatten().next();
            way.send_replace(own.map(|mhz| tune::Clocks {
                mhz,
                top_mhz: base.point.mhz,
                ticket_bits: None,
            }));
        }
        let on = board.enabled && tree.is_awake();
        end.grant(0, |grant| {
            if on && grant.wind_down {
                grant.epoch += 1;
            }
            grant.wind_down = !on;
            grant.mhz = base.point.mhz;
        });
    }
}

/// What the boards of a station run at without a tuner. If chips have clocks of their own, the set point is that
/// of the fastest.
fn base(boards: &[usize], tree: &Tree) -> Option<Base> {
    let first = tree.config.boards.get(*boards.first()?)?;
    let own = |board: &usize| tree.chips.get(board).into_iter().flatten();
    let clocks = || boards.iter().flat_map(own).map(|(_, mhz)| *mhz);
    let point = SetPoint {
        mhz: clocks().fold(first.target_mhz(), f64::max),
        mv: first.target_mv(),
    };
    if clocks().next().is_none() {
        return Some(Base::uniform(point, boards.len()));
    }
    let of = |board: &usize| {
        let configured = tree.config.boards.get(*board)?;
        let count = usize::from(configured.profile.chain.chips);
        let mut mhz = vec![configured.target_mhz(); count];
        for (chip, own) in own(board) {
            if let Some(slot) = mhz.get_mut(*chip) {
                *slot = *own;
            }
        }
        Some(mhz)
    };
    // The others keep their clock although the set point is higher.
    let clocks = boards.iter().map(of).collect();
    Some(Base { point, clocks })
}

fn refusal(station: &StationHandle, denied: &Denied) -> Error {
    let boards = match &station.boards[..] {
        [one] => format!("board {one}"),
        many => format!("boards {many:?}"),
    };
    Error::denied(format!("{boards}: {denied}"))
}
