//! The desk at which all sessions report: it judges each job, asks the strategy, and gives the boards
//! their work. Everything happens in the task of the session that reports, under a lock that nobody
//! holds for longer than that takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mining::{Assignment, Job, Lot, Share};
use payout::{Verdict, Watch};
use station::{Notice, Severity};
use stratum::session::{Block, BlockFate};
use stratum::strategy::{Mode, Role, Settings, Signal, Strategy, StrategyError, WHOLE};
use stratum::transport::{Channels, Sink};
use stratum::{Event, Reason, Stats};
use tokio::sync::{Notify, mpsc, watch};

use super::Links;
use crate::board::Routes;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::events::EventLog;
use crate::payouts;

/// Shares that may wait for the socket; at a few a second this is minutes.
const SHARE_QUEUE: usize = 1024;
/// So many words of a pool are noted one after the other; then one more for each pause. A pool could
/// else fill the list of events.
const WORDS: u32 = 8;
const WORDS_PAUSE: Duration = Duration::from_secs(60);

/// So many rejected shares in a row are worth an event: something is wrong with the pool or with us.
const ALL_REJECTED: u32 = 30;

/// Where sessions report and boards get their work from. Pools come and go, so they are known by numbers
/// that are never used again.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    assignment: watch::Sender<Arc<Assignment>>,
    routes: watch::Sender<Arc<Routes>>,
    idle: watch::Sender<bool>,
    closed: watch::Sender<bool>,
    /// Wakes the task that starts and ends sessions.
    changed: Notify,
    events: EventLog,
    clock: Clock,
}

/// The number of a pool.
pub(super) type Id = u64;

/// What does not change over the life of a pool.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) name: String,
    pub(super) account: String,
    pub(super) protocol: &'static str,
    pub(super) stats: watch::Sender<Stats>,
    hashrate: watch::Sender<f64>,
}

#[derive(Debug)]
struct State {
    strategy: Strategy,
    /// As the strategy has them: first the list, then those that were taken out of it.
    pools: Vec<Pool>,
    idle_after: Option<Duration>,
    last: Id,
    /// The rate of all boards, real hashes per second.
    hps: f64,
    /// The program ends: no work any more.
    resting: bool,
}

#[derive(Debug)]
struct Pool {
    id: Id,
    fixed: Arc<Fixed>,
    /// Percent of the work, if it goes by that.
    quota: Option<u32>,
    /// What to work on when the pool is given work.
    job: Option<Arc<Job>>,
    /// Its session and the lowest generation of its jobs that is still good.
    floor: Option<(u64, u64)>,
    /// The way of shares to its session, while that runs.
    route: Option<mpsc::Sender<Share>>,
    watch: Watch,
    alarm: Option<String>,
    refused: Option<String>,
    /// Why its last connection ended.
    problem: Option<String>,
    /// How many of its words may be noted, and since when.
    words: (u32, Duration),
}

/// How a pool is doing, apart from its counters.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) fixed: Arc<Fixed>,
    pub(super) role: Role,
    /// Percent of the work that it is to get, if it goes by that.
    pub(super) quota: Option<u32>,
    /// Why its work is refused.
    pub(super) refused: Option<String>,
    pub(super) alarm: Option<String>,
    pub(super) payout: Option<crate::state::PayoutStatus>,
}

impl Desk {
    pub(super) fn new(
        config: &Config,
        links: &Links,
        hps: f64,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let settings = settings(&config.upstream, config.pools.iter());
        let quotas = settings.mode != Mode::Failover;
        let pools: Vec<_> = config
            .pools
            .iter()
            .zip(1..)
            .map(|(pool, id)| Pool::new(id, pool, quotas))
            .collect();
        let desk = Self {
            state: Mutex::new(State {
                strategy: Strategy::new(settings, pools.len(), clock.now())?,
                last: pools.len() as Id,
                pools,
                idle_after: config.upstream.idle_after,
                hps,
                resting: false,
            }),
            assignment: links.assignment.clone(),
            routes: links.routes.clone(),
            idle: links.idle.clone(),
            closed: watch::channel(false).0,
            changed: Notify::new(),
            events: links.events.clone(),
            clock,
        };
        desk.publish(&desk.lock());
        Ok(desk)
    }

    /// Takes another list of pools: each as it is to be, and its place in the list so far if its session
    /// goes on. Gives the numbers of the pools in the new list.
    ///
    /// # Errors
    ///
    /// When the list cannot be; then nothing has changed.
    pub(super) fn rearrange(
        &self,
        upstream: &config::Upstream,
        pools: &[(Option<usize>, config::Pool)],
    ) -> Result<Vec<Id>, StrategyError> {
        let settings = settings(upstream, pools.iter().map(|(_, pool)| pool));
        let quotas = settings.mode != Mode::Failover;
        let kept: Vec<_> = pools.iter().map(|(kept, _)| *kept).collect();
        let mut outcome = Ok(Vec::new());
        self.change(|state, now| {
            let order = match state.strategy.rearrange(now, settings, &kept) {
                Ok(order) => order,
                Err(error) => {
                    outcome = Err(error);
                    return;
                }
            };
            let mut left: Vec<_> = state.pools.drain(..).map(Some).collect();
            let mut wanted = pools.iter().map(|(_, pool)| pool);
            for old in order {
                let known = old.and_then(|old| left.get_mut(old)?.take());
                let pool = match (known, wanted.next()) {
                    (Some(mut known), Some(pool)) => {
                        known.quota = quotas.then_some(pool.quota);
                        known
                    }
                    (Some(retired), None) => retired,
                    (None, Some(pool)) => {
                        state.last += 1;
                        Pool::new(state.last, pool, quotas)
                    }
                    // The strategy has no pool that is in neither list.
                    (None, None) => continue,
                };
                state.pools.push(pool);
            }
            state.idle_after = upstream.idle_after;
            outcome = Ok(state
                .pools
                .iter()
                .take(pools.len())
                .map(|pool| pool.id)
                .collect());
        });
        outcome
    }

    /// Forgets a pool that was taken out of the list and whose session has ended.
    pub(super) fn forget(&self, pool: Id) {
        let mut gone = None;
        self.change(|state, _| {
            if let Some(index) = state.index(pool)
                && state.strategy.forget(index)
            {
                gone = Some(state.pools.remove(index));
            }
        });
        if let Some(pool) = gone {
            let stats = pool.fixed.stats.borrow();
            let text = format!(
                "was left: {} shares accepted, {} rejected, {} not answered",
                stats.accepted, stats.rejected, stats.unconfirmed
            );
            self.events.note(
                &[],
                notice(&pool.fixed.name, Severity::Info, "pool-left", &text),
            );
        }
    }

    /// New ends of channels for a session that begins to run.
    pub(super) fn channels(self: &Arc<Self>, pool: Id) -> Option<Channels> {
        let (shares_in, shares) = mpsc::channel(SHARE_QUEUE);
        let mut state = self.lock();
        let own = state.pool(pool)?;
        own.route = Some(shares_in);
        Some(Channels {
            shares,
            hashrate: own.fixed.hashrate.subscribe(),
            sink: Box::new(Teller {
                desk: Arc::clone(self),
                pool,
                rejects: 0,
            }),
            stats: own.fixed.stats.clone(),
        })
    }

    /// A session has ended; nothing that it gave is worth anything any more.
    pub(super) fn gone(&self, pool: Id) {
        self.change_one(pool, |own, _| {
            (own.job, own.floor, own.route) = (None, None, None);
            Signal::NoJob
        });
    }

    /// All pools with their roles, those that were taken out of the list at the end, with true.
    pub(super) fn roles(&self) -> Vec<(Id, Role, bool)> {
        let state = self.lock();
        let roles = state.strategy.roles().iter().zip(&state.pools).enumerate();
        roles
            .map(|(index, (role, pool))| (pool.id, *role, state.strategy.is_retired(index)))
            .collect()
    }

    pub(super) fn is_idle(&self) -> bool {
        *self.idle.borrow()
    }

    pub(super) fn idle_after(&self) -> Option<Duration> {
        self.lock().idle_after
    }

    pub(super) fn name(&self, pool: Id) -> String {
        let mut state = self.lock();
        let name = state.pool(pool).map(|pool| pool.fixed.name.clone());
        name.unwrap_or_else(|| "a pool that was taken out".to_owned())
    }

    /// Why a pool gives no work, if anybody knows.
    pub(super) fn problem(&self, pool: Id) -> Option<String> {
        self.lock().pool(pool)?.problem()
    }

    /// How the pools of the list are doing.
    pub(super) fn standings(&self) -> Vec<Standing> {
        let state = self.lock();
        let pools = state.strategy.roles().iter().zip(&state.pools).enumerate();
        pools
            .filter(|(index, _)| !state.strategy.is_retired(*index))
            .map(|(_, (role, own))| Standing {
                fixed: Arc::clone(&own.fixed),
                role: *role,
                quota: own.quota,
                refused: own.refusal(),
                alarm: own.alarm.clone(),
                payout: payouts::status(&own.watch),
            })
            .collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.lock().strategy.poll_timeout()
    }

    pub(super) fn handle_timeout(&self) {
        self.change(|state, now| state.strategy.handle_timeout(now));
    }

    /// Returns when sessions may have to be started or ended. Cancelling it loses nothing.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Tells sessions what rate they get.
    pub(super) fn share_rate(&self, hps: f64) {
        let mut state = self.lock();
        state.hps = hps;
        publish_rates(&state);
    }

    /// Tells the strategy of shares that have not been answered.
    pub(super) fn look_at_shares(&self) {
        self.change(|state, now| {
            for (index, pool) in state.pools.iter().enumerate() {
                let open = pool.fixed.has_open_shares();
                state.strategy.handle(now, index, Signal::Shares { open });
            }
        });
    }

    pub(super) fn has_open_shares(&self) -> bool {
        let queued = |pool: &Pool| {
            let route = pool.route.as_ref();
            route.is_some_and(|route| route.capacity() < route.max_capacity())
        };
        let state = self.lock();
        let open = |pool: &Pool| queued(pool) || pool.fixed.has_open_shares();
        state.pools.iter().any(open)
    }

    /// Takes all work away; what is found late is still wanted.
    pub(super) fn rest(&self) {
        self.change(|state, _| state.resting = true);
    }

    /// Says that nothing will come any more.
    pub(super) fn close(&self) {
        self.assignment.send_replace(Arc::default());
        self.routes.send_replace(Arc::default());
        self.closed.send_replace(true);
    }

    pub(super) async fn closed(&self) {
        // An error is impossible: the sender is this desk's.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Changes something, and lets everybody know what follows.
    fn change(&self, change: impl FnOnce(&mut State, Duration)) {
        let mut state = self.lock();
        let before = (
            state.strategy.roles().to_vec(),
            state.strategy.poll_timeout(),
        );
        change(&mut state, self.clock.now());
        self.publish(&state);
        let roles_changed = before.0 != state.strategy.roles();
        if roles_changed {
            publish_rates(&state);
        }
        if roles_changed || before.1 != state.strategy.poll_timeout() {
            self.changed.notify_one();
        }
    }

    /// Changes a pool and tells the strategy what follows, unless it has been forgotten.
    fn change_one(&self, pool: Id, change: impl FnOnce(&mut Pool, Duration) -> Signal) {
        self.change(|state, now| {
            if let Some(index) = state.index(pool) {
                let signal = change(&mut state.pools[index], now);
                state.strategy.handle(now, index, signal);
            }
        });
    }

    /// Gives boards their work. Routes come first: a share may follow at once.
    fn publish(&self, state: &State) {
        let routes = state.pools.iter().filter_map(|pool| {
            let (session, _) = pool.floor?;
            Some((session, pool.route.clone()?))
        });
        let routes: Routes = routes.collect();
        self.routes.send_if_modified(|old| {
            let same = old.len() == routes.len()
                && routes.iter().all(|(session, route)| {
                    old.get(session)
                        .is_some_and(|known| known.same_channel(route))
                });
            if !same {
                *old = Arc::new(routes);
            }
            !same
        });
        let roles = state.strategy.roles().iter();
        let lots = roles.zip(&state.pools).filter_map(|(role, pool)| {
            let weight = role.weight();
            let job = pool.job.clone().filter(|_| weight > 0 && !state.resting)?;
            Some(Lot { job, weight })
        });
        let assignment = Assignment {
            lots: lots.collect(),
            floors: state.pools.iter().filter_map(|pool| pool.floor).collect(),
        };
        self.assignment.send_if_modified(|old| {
            let differs = **old != assignment;
            if differs {
                *old = Arc::new(assignment);
            }
            differs
        });
        let idle = state.strategy.is_idle() && !state.resting;
        self.idle
            .send_if_modified(|old| std::mem::replace(old, idle) != idle);
    }

    fn signal(&self, pool: Id, signal: Signal) {
        self.change_one(pool, |_, _| signal);
    }

    fn job(&self, pool: Id, job: Arc<Job>) {
        let mut alarms = Vec::new();
        self.change_one(pool, |own, now| {
            own.floor = Some((job.session, job.generation));
            own.problem = None;
            let verdict = own.watch.handle_job(now, &job);
            while let Some(alarm) = own.watch.poll_alarm() {
                own.alarm = match alarm.code {
                    payout::Code::OwnAddressBack | payout::Code::PayoutBack => None,
                    _ if alarm.severity > payout::Severity::Notice => Some(alarm.text.clone()),
                    _ => own.alarm.take(),
                };
                alarms.push(alarm);
            }
            match verdict {
                Verdict::Mine => {
                    (own.job, own.refused) = (Some(job), None);
                    Signal::Job
                }
                Verdict::Refuse(reason) => {
                    (own.job, own.refused) = (None, Some(reason));
                    Signal::Refused
                }
            }
        });
        if alarms.is_empty() {
            return;
        }
        let name = self.name(pool);
        let place = self.lock().index(pool).unwrap_or_default();
        for alarm in alarms {
            self.events.note(&[], payouts::notice(place, &name, &alarm));
        }
    }

    fn no_job(&self, pool: Id) {
        self.change_one(pool, |own, _| {
            (own.job, own.floor) = (None, None);
            Signal::NoJob
        });
    }

    fn lost(&self, pool: Id, reason: &Reason) {
        self.change_one(pool, |own, _| {
            own.problem = Some(reason.to_string());
            Signal::Lost
        });
    }

    /// Notes what a pool says or brings about as it likes, within reason.
    fn note_words(&self, pool: Id, severity: Severity, code: &str, text: &str) {
        let now = self.clock.now();
        let may_speak = self
            .lock()
            .pool(pool)
            .is_some_and(|pool| pool.may_speak(now));
        if may_speak {
            self.note(pool, severity, code, text);
        }
    }

    fn note(&self, pool: Id, severity: Severity, code: &str, text: &str) {
        self.events
            .note(&[], notice(&self.name(pool), severity, code, text));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic here: each step stands for itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn index(&self, pool: Id) -> Option<usize> {
        self.pools.iter().position(|known| known.id == pool)
    }

    fn pool(&mut self, pool: Id) -> Option<&mut Pool> {
        self.pools.iter_mut().find(|known| known.id == pool)
    }
}

/// What the strategy is to go by.
fn settings<'p>(
    upstream: &config::Upstream,
    pools: impl Iterator<Item = &'p config::Pool>,
) -> Settings {
    Settings {
        mode: match upstream.strategy {
            config::Strategy::Quota => Mode::Quota(pools.map(|pool| pool.quota).collect()),
            config::Strategy::Failover => Mode::Failover,
        },
        return_after: upstream.return_after,
        idle_after: upstream.idle_after,
    }
}

/// Tells each session its part of the rate.
fn publish_rates(state: &State) {
    for (index, pool) in state.pools.iter().enumerate() {
        let part = f64::from(state.strategy.prospect(index)) / f64::from(WHOLE);
        let hps = state.hps * part;
        let rate = &pool.fixed.hashrate;
        rate.send_if_modified(|old| std::mem::replace(old, hps) != hps);
    }
}

fn notice(pool: &str, severity: Severity, code: &str, text: &str) -> Notice {
    Notice {
        severity,
        code: code.to_owned(),
        text: format!("{pool}: {text}"),
        ..Notice::default()
    }
}

impl Pool {
    fn new(id: Id, pool: &config::Pool, quotas: bool) -> Self {
        let stats = Stats {
            state: "unused",
            ..Stats::default()
        };
        Self {
            id,
            fixed: Arc::new(Fixed {
                name: pool.url.to_string(),
                account: pool.account(),
                protocol: pool.url.scheme().protocol(),
                stats: watch::channel(stats).0,
                hashrate: watch::channel(0.0).0,
            }),
            quota: quotas.then_some(pool.quota),
            job: None,
            floor: None,
            route: None,
            watch: Watch::new(pool.network, pool.payout.clone()),
            alarm: None,
            refused: None,
            problem: None,
            words: (WORDS, Duration::ZERO),
        }
    }

    /// Whether one more of its words may be noted.
    fn may_speak(&mut self, now: Duration) -> bool {
        let (left, since) = self.words;
        let pauses = now.saturating_sub(since).as_secs() / WORDS_PAUSE.as_secs();
        if pauses > 0 {
            let more = u32::try_from(pauses).unwrap_or(u32::MAX);
            self.words = (left.saturating_add(more).min(WORDS), now);
        }
        let may = self.words.0 > 0;
        self.words.0 = self.words.0.saturating_sub(1);
        may
    }

    fn refusal(&self) -> Option<String> {
        let reason = self.refused.clone()?;
        Some(Reason::Payout(reason).to_string())
    }

    fn problem(&self) -> Option<String> {
        self.refusal().or_else(|| self.problem.clone())
    }
}

impl Fixed {
    fn has_open_shares(&self) -> bool {
        self.stats.borrow().open > 0
    }
}

/// Tells the desk what happens to one pool.
struct Teller {
    desk: Arc<Desk>,
    pool: Id,
    /// Shares in a row that were rejected.
    rejects: u32,
}

impl Sink for Teller {
    fn event(&mut self, event: Event) {
        let (desk, pool) = (&self.desk, self.pool);
        match event {
            Event::Job(job) => desk.job(pool, job),
            Event::NoJob => desk.no_job(pool),
            Event::Authorized => desk.signal(pool, Signal::Admitted),
            Event::Disconnected {
                reason: Reason::Stopped,
                ..
            } => {}
            Event::Disconnected { reason, .. } => desk.lost(pool, &reason),
            Event::Warning(text) => desk.note_words(pool, Severity::Warning, "pool-warning", &text),
            Event::Message(text) => desk.note_words(pool, Severity::Info, "pool-message", &text),
            Event::Block(block) => {
                let (severity, code, text) = words(&block);
                desk.note(pool, severity, code, &text);
            }
            Event::RedirectRefused { host } => {
                let text = format!("wants us to go to {host}, which is foreign to it; we stay");
                desk.note_words(pool, Severity::Warning, "redirect-refused", &text);
            }
            Event::ShareAccepted(_) => self.rejects = 0,
            Event::ShareRejected { text, .. } => {
                self.rejects = self.rejects.saturating_add(1);
                if self.rejects == ALL_REJECTED {
                    let text = format!(
                        "has rejected {ALL_REJECTED} shares in a row, the last with \"{text}\": the work for \
                         it earns nothing; look at the pool's pages, and take it out of the config if \
                         this goes on"
                    );
                    desk.note(pool, Severity::Warning, "all-rejected", &text);
                }
            }
            // Counters stand in the statistics.
            Event::Connected { .. }
            | Event::Subscribed { .. }
            | Event::Difficulty(_)
            | Event::VersionMask(_)
            | Event::ShareUnconfirmed(_)
            | Event::ShareDropped { .. }
            | Event::Learnt(_) => {}
        }
    }
}

/// What is said of a block of our own.
fn words(block: &Block) -> (Severity, &'static str, String) {
    let hash: String = block
        .hash
        .iter()
        .rev()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let height = block.height;
    let named = format!("block {height} ({hash})");
    match &block.fate {
        BlockFate::Found => (Severity::Info, "block-found", format!("found {named}")),
        BlockFate::Saved(path) => (
            Severity::Info,
            "block-saved",
            format!("{named} is kept in {path}"),
        ),
        BlockFate::NotSaved(why) => (
            Severity::Critical,
            "block-not-saved",
            format!("{named} could not be written to a file: {why}"),
        ),
        BlockFate::Accepted => (
            Severity::Info,
            "block-accepted",
            format!("the node took {named}"),
        ),
        BlockFate::Rejected(why) => (
            Severity::Critical,
            "block-rejected",
            format!("the node refused {named}: {why}"),
        ),
        BlockFate::Retried(why) => (
            Severity::Warning,
            "block-retried",
            format!("no definite answer about {named} yet: {why}"),
        ),
    }
}
