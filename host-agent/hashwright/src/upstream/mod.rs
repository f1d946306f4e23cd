//! Where work comes from: the shell of the strategy. It runs a task for every session that the strategy
//! wants, and ends those that it does not.
//!
//! A session tells the desk what happens in its own task, and the desk gives boards their work
//! there and then: no other task has to wake up between a job and the boards. Shares go from the
//! boards straight to their session. What is left for the task here is slow: starting, ending, rates and
//! the list of events.

mod client;
mod desk;
mod status;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mining::Assignment;
use station::{Notice, Severity};
use stratum::Sequence;
use stratum::strategy::Role;
use stratum::transport::Connector;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use self::client::Client;
use self::desk::{Desk, Id};
pub use self::status::Pools;
use crate::board::{Report, Routes};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::events::EventLog;
use crate::format;
use crate::stop::Stop;

pub use self::client::check;

/// How often rates and open shares are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// At the end nonces may still come from boards for so long.
const LAST_NONCES: Duration = Duration::from_millis(300);
/// At the end answers to the last shares are waited for so long.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// How often it is looked for them.
const LOOK_FOR_ANSWERS: Duration = Duration::from_millis(100);
/// Less time without work is not worth a word: a node needs a moment after each block of our own.
const MOMENT: Duration = Duration::from_secs(3);

/// The ends of the channels that lead to and from the boards.
#[derive(Debug)]
pub struct Links {
    /// What to work on.
    pub assignment: watch::Sender<Arc<Assignment>>,
    /// Where boards put their shares.
    pub routes: watch::Sender<Arc<Routes>>,
    /// Whether boards should be without power, because there has been no work for too long.
    pub idle: watch::Sender<bool>,
    /// What the boards report.
    pub boards: Vec<Rate>,
    /// Where events are noted.
    pub events: EventLog,
    /// The end of the program.
    pub stop: Stop,
}

/// How fast a board is.
#[derive(Debug)]
pub struct Rate {
    /// Its report.
    pub report: watch::Receiver<Report>,
    /// What the config lets expect of it, hashes per second of the silicon.
    pub configured_hps: f64,
    /// It really hashes at 2^-k of that.
    pub scale_bits: u8,
}

/// Another list of pools.
#[derive(Debug)]
struct Order {
    upstream: config::Upstream,
    pools: Vec<(Option<usize>, config::Pool)>,
    reply: oneshot::Sender<Result<(), String>>,
}

/// Orders of other lists that may wait; there is one who gives them.
const ORDERS: usize = 4;

/// Changes the list of pools while they run. Clones change the same.
#[derive(Clone, Debug)]
pub struct PoolControl(mpsc::Sender<Order>);

impl PoolControl {
    /// Takes another list of pools: each as it is to be, and its place in the list so far if nothing but
    /// its quota is different. Its session then goes on. Those that are not in the list any more give work
    /// until another does, and end when their last shares are answered.
    ///
    /// # Errors
    ///
    /// When a pool cannot be used, or the agent is stopping; then nothing has changed.
    pub async fn rearrange(
        &self,
        upstream: config::Upstream,
        pools: Vec<(Option<usize>, config::Pool)>,
    ) -> Result<(), String> {
        let gone = || "the agent is stopping".to_owned();
        let (reply, answer) = oneshot::channel();
        let order = Order {
            upstream,
            pools,
            reply,
        };
        self.0.send(order).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// A pool with what runs its session.
#[derive(Debug)]
struct Slot<C> {
    /// The session while it does not run.
    client: Option<Client>,
    connector: stratum::transport::PoolConnector<C>,
}

/// All pools before their task runs.
#[derive(Debug)]
pub struct Upstream<C> {
    slots: HashMap<Id, Slot<C>>,
    /// Makes plain connections.
    plain: C,
    /// What sessions are made of besides their pools.
    config: Config,
    sequence: Sequence,
    /// Of the next session.
    seed: u64,
    orders: (mpsc::Sender<Order>, mpsc::Receiver<Order>),
    desk: Arc<Desk>,
    links: Links,
    clock: Clock,
}

impl<C: Connector + Clone + 'static> Upstream<C> {
    /// Puts the pools of a config together. `connector` makes plain connections; proxies and TLS come
    /// on top of it as configured.
    ///
    /// # Errors
    ///
    /// When a pool is configured in a way that cannot work.
    pub fn new(
        config: &Config,
        connector: &C,
        seed: u64,
        links: Links,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let desk = Desk::new(config, &links, rate(&links.boards), clock)?;
        let ids: Vec<_> = desk.roles().into_iter().map(|(id, ..)| id).collect();
        let mut upstream = Self {
            slots: HashMap::new(),
            plain: connector.clone(),
            config: config.clone(),
            sequence: Sequence::new(),
            seed,
            orders: mpsc::channel(ORDERS),
            desk: Arc::new(desk),
            links,
            clock,
        };
        for (id, pool) in ids.into_iter().zip(&config.pools) {
            let slot = upstream.slot(pool)?;
            upstream.slots.insert(id, slot);
        }
        Ok(upstream)
    }

    /// The way to change the list of pools.
    #[must_use]
    pub fn control(&self) -> PoolControl {
        PoolControl(self.orders.0.clone())
    }

    /// How the pools are doing, for whoever wants to know.
    #[must_use]
    pub fn pools(&self) -> Pools {
        Pools::new(Arc::clone(&self.desk))
    }

    /// Runs the pools until the program stops.
    pub async fn run(mut self) {
        let mut running = Running {
            tasks: JoinSet::new(),
            leave: HashMap::new(),
        };
        let mut told = Told::default();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.follow(&mut running);
            told.tell(&self.desk, &self.links.events, self.clock.now());
            let due = self.desk.poll_timeout();
            tokio::select! {
                biased;
                () = self.links.stop.stopped() => break,
                () = self.desk.changed() => {}
                Some(order) = self.orders.1.recv() => self.rearrange(order),
                Some(end) = running.tasks.join_next() => self.ended(&mut running, end),
                () = self.clock.sleep_until(due) => self.desk.handle_timeout(),
                _ = look.tick() => {
                    self.desk.share_rate(rate(&self.links.boards));
                    self.desk.look_at_shares();
                }
            }
        }
        // Whoever still wants another list is told that it is too late.
        self.orders.1.close();
        while self.orders.1.try_recv().is_ok() {}
        self.desk.rest();
        last_answers(&self.desk).await;
        running.leave.clear();
        while let Some(end) = running.tasks.join_next().await {
            self.ended(&mut running, end);
        }
        self.desk.close();
    }

    /// The session of a pool and the way to it.
    fn slot(&mut self, pool: &config::Pool) -> anyhow::Result<Slot<C>> {
        let seed = self.seed;
        self.seed = seed.wrapping_add(1);
        let rate = rate(&self.links.boards);
        Ok(Slot {
            client: Some(client::new(pool, &self.config, rate, seed, &self.sequence)?),
            connector: client::connector(pool, self.plain.clone())?,
        })
    }

    /// Takes another list, if all of it can be used.
    fn rearrange(&mut self, order: Order) {
        let mut fresh = Vec::new();
        for (index, (_, pool)) in order
            .pools
            .iter()
            .enumerate()
            .filter(|(_, (kept, _))| kept.is_none())
        {
            match self.slot(pool) {
                Ok(slot) => fresh.push((index, slot)),
                Err(error) => {
                    // Whoever asked may have gone.
                    let _ = order.reply.send(Err(format!("{error:#}")));
                    return;
                }
            }
        }
        let outcome = match self.desk.rearrange(&order.upstream, &order.pools) {
            Ok(ids) => {
                let fresh = fresh
                    .into_iter()
                    .filter_map(|(index, slot)| Some((*ids.get(index)?, slot)));
                self.slots.extend(fresh);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        };
        let _ = order.reply.send(outcome);
    }

    /// Starts the sessions that are to run, and lets the others end. Pools that were taken out of the list
    /// are forgotten once theirs have.
    fn follow(&mut self, running: &mut Running) {
        for (id, role, retired) in self.desk.roles() {
            let Some(slot) = self.slots.get_mut(&id) else {
                continue;
            };
            if !role.runs() {
                // Dropping it ends the session.
                running.leave.remove(&id);
                if retired && slot.client.is_some() {
                    self.slots.remove(&id);
                    self.desk.forget(id);
                }
            } else if slot.client.is_some()
                && let Some(channels) = self.desk.channels(id)
                && let Some(client) = slot.client.take()
            {
                let (leave, left) = oneshot::channel();
                running.leave.insert(id, leave);
                let connector = slot.connector.clone();
                let epoch = self.clock.epoch();
                running.tasks.spawn(async move {
                    let left = async move { drop(left.await) };
                    (id, client.run(connector, channels, epoch, left).await)
                });
            }
        }
    }

    fn ended(&mut self, running: &mut Running, end: Result<(Id, Client), tokio::task::JoinError>) {
        match end {
            Ok((id, client)) => {
                self.desk.gone(id);
                running.leave.remove(&id);
                if let Some(slot) = self.slots.get_mut(&id) {
                    slot.client = Some(client);
                }
            }
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

/// Waits for the answers to what boards found last.
async fn last_answers(desk: &Desk) {
    tokio::time::sleep(LAST_NONCES).await;
    let answered = async {
        while desk.has_open_shares() {
            tokio::time::sleep(LOOK_FOR_ANSWERS).await;
        }
    };
    // Whoever does not answer within this time does not get another chance.
    let _ = tokio::time::timeout(LAST_ANSWERS, answered).await;
}

/// Sessions that run, with the switches that end them.
struct Running {
    tasks: JoinSet<(Id, Client)>,
    leave: HashMap<Id, oneshot::Sender<()>>,
}

/// The rate of all boards in real hashes per second: as far as they are up, else as configured.
fn rate(boards: &[Rate]) -> f64 {
    let scaled = |board: &Rate, hps: f64| hps / 2f64.powi(board.scale_bits.into());
    let now = boards.iter().map(|board| {
        let report = board.report.borrow();
        let hps = report
            .chain
            .as_ref()
            .map_or(0.0, |chain| chain.expected_hps);
        scaled(board, hps)
    });
    let now: f64 = now.sum();
    if now > 0.0 {
        return now;
    }
    boards
        .iter()
        .map(|board| scaled(board, board.configured_hps))
        .sum()
}

/// What was told of who gets the work.
#[derive(Default)]
struct Told {
    at_work: Vec<Id>,
    once: bool,
    idle: bool,
    /// Since when nobody has given work, if that was not told yet.
    dark_since: Option<Duration>,
}

impl Told {
    /// Notes changes of who gets the work.
    fn tell(&mut self, desk: &Desk, events: &EventLog, now: Duration) {
        let roles = desk.roles();
        let active = |(_, role, _): &&(Id, Role, bool)| role.weight() > 0;
        let at_work: Vec<_> = roles.iter().filter(active).map(|(id, ..)| *id).collect();
        // Another order of the same is no change.
        self.at_work
            .sort_by_key(|id| at_work.iter().position(|known| known == id));
        let idle = desk.is_idle();
        let since = self.dark_since.take().unwrap_or(now);
        if at_work.is_empty() && !idle && now.saturating_sub(since) < MOMENT {
            self.dark_since = Some(since);
        } else if at_work != self.at_work {
            events.note(&[], self.change(&at_work, &roles, desk));
            self.once = true;
            self.at_work = at_work;
        }
        if idle != self.idle {
            events.note(&[], rest(idle, desk));
            self.idle = idle;
        }
    }

    fn change(&self, now: &[Id], roles: &[(Id, Role, bool)], desk: &Desk) -> Notice {
        let names = |pools: &[Id]| {
            let names: Vec<_> = pools.iter().map(|pool| desk.name(*pool)).collect();
            names.join(", ")
        };
        // Whoever was taken out of the list has not failed.
        let place = |id: Id| {
            roles
                .iter()
                .position(|(known, _, retired)| *known == id && !retired)
        };
        let lost = self.at_work.iter().filter(|id| !now.contains(*id));
        let lost: Vec<_> = lost.filter_map(|id| Some((place(*id)?, *id))).collect();
        let why: Vec<_> = lost
            .iter()
            .filter_map(|(_, pool)| Some((*pool, desk.problem(*pool)?)))
            .map(|(pool, problem)| format!("; {}: {problem}", desk.name(pool)))
            .collect();
        let why = why.concat();
        let first = now.iter().filter_map(|id| place(*id)).min();
        let best_lost = lost.iter().map(|(place, _)| *place).min();
        let worse = best_lost.is_some_and(|lost| first.is_none_or(|first| lost < first));
        let (severity, code, text) = if now.is_empty() {
            (
                Severity::Warning,
                "no-work",
                format!("no pool gives work{why}"),
            )
        } else if !self.once {
            (Severity::Info, "pool", format!("work from {}", names(now)))
        } else if worse {
            let text = format!("work now comes from {}{why}", names(now));
            (Severity::Warning, "pool-failed", text)
        } else {
            let text = format!("work now comes from {}", names(now));
            (Severity::Info, "pool", text)
        };
        Notice {
            severity,
            code: code.to_owned(),
            text,
            ..Notice::default()
        }
    }
}

fn rest(idle: bool, desk: &Desk) -> Notice {
    let (severity, text) = if idle {
        let after = desk.idle_after().unwrap_or_default();
        let text = format!(
            "no pool has given work for {}: the boards are powered down until one does",
            format::duration(after.as_secs_f64())
        );
        (Severity::Warning, text)
    } else {
        (
            Severity::Info,
            "there is work again: the boards wake up".to_owned(),
        )
    };
    Notice {
        severity,
        code: if idle { "asleep" } else { "awake" }.to_owned(),
        text,
        advice: if idle {
            "look at the pools and at the connection to the internet".to_owned()
        } else {
            String::new()
        },
        ..Notice::default()
    }
}
