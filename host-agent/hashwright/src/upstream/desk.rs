//! The desk at which all sessions report: it judges each job, asks the strategy, and gives the boards
//! their work. Everything happens in the task of the session that reports, under a lock that nobody
//! holds for longer than that takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mining::{Assignment, Job, Lot, Share};
use payout::{Verdict, Watch};
use station::{Notice, Severity};
use stratum::session::{Block, BlockFate};
use stratum::strategy::{Mode, Role, Settings, Signal, Strategy, WHOLE};
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

/// Where sessions report and boards get their work from.
#[derive(Debug)]
pub(super) struct Desk {
    state: Mutex<State>,
    /// What stands in the config, and the channels that outlive sessions.
    pools: Vec<Fixed>,
    assignment: watch::Sender<Arc<Assignment>>,
    routes: watch::Sender<Arc<Routes>>,
    idle: watch::Sender<bool>,
    closed: watch::Sender<bool>,
    idle_after: Option<Duration>,
    /// Wakes the task that starts and ends sessions.
    changed: Notify,
    events: EventLog,
    clock: Clock,
}

/// What does not change over the life of a pool.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) name: String,
    pub(super) account: String,
    pub(super) protocol: &'static str,
    pub(super) quota: Option<u32>,
    pub(super) stats: watch::Sender<Stats>,
    hashrate: watch::Sender<f64>,
}

#[derive(Debug)]
struct State {
    strategy: Strategy,
    pools: Vec<Pool>,
    /// The rate of all boards, real hashes per second.
    hps: f64,
    /// The program ends: no work any more.
    resting: bool,
}

#[derive(Debug)]
struct Pool {
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
    pub(super) role: Role,
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
        let quota = config.upstream.strategy == config::Strategy::Quota;
        let mode = if quota {
            Mode::Quota(config.pools.iter().map(|pool| pool.quota).collect())
        } else {
            Mode::Failover
        };
        let settings = Settings {
            mode,
            return_after: config.upstream.return_after,
            idle_after: config.upstream.idle_after,
        };
        let desk = Self {
            state: Mutex::new(State {
                strategy: Strategy::new(settings, config.pools.len(), clock.now())?,
                pools: config.pools.iter().map(Pool::new).collect(),
                hps,
                resting: false,
            }),
            pools: config
                .pools
                .iter()
                .map(|pool| Fixed {
                    name: pool.url.to_string(),
                    account: pool.account(),
                    protocol: pool.url.scheme().protocol(),
                    quota: quota.then_some(pool.quota),
                    stats: watch::channel(Stats {
                        state: "unused",
                        ..Stats::default()
                    })
                    .0,
                    hashrate: watch::channel(0.0).0,
                })
                .collect(),
            assignment: links.assignment.clone(),
            routes: links.routes.clone(),
            idle: links.idle.clone(),
            closed: watch::channel(false).0,
            idle_after: config.upstream.idle_after,
            changed: Notify::new(),
            events: links.events.clone(),
            clock,
        };
        desk.publish(&desk.lock());
        Ok(desk)
    }

    /// New ends of channels for a session that begins to run.
    pub(super) fn channels(self: &Arc<Self>, pool: usize) -> Channels {
        let (shares_in, shares) = mpsc::channel(SHARE_QUEUE);
        self.lock().pools[pool].route = Some(shares_in);
        let fixed = &self.pools[pool];
        Channels {
            shares,
            hashrate: fixed.hashrate.subscribe(),
            sink: Box::new(Teller {
                desk: Arc::clone(self),
                pool,
                rejects: 0,
            }),
            stats: fixed.stats.clone(),
        }
    }

    /// A session has ended; nothing that it gave is worth anything any more.
    pub(super) fn gone(&self, pool: usize) {
        self.change(|state, now| {
            let own = &mut state.pools[pool];
            (own.job, own.floor, own.route) = (None, None, None);
            state.strategy.handle(now, pool, Signal::NoJob);
        });
    }

    pub(super) fn roles(&self) -> Vec<Role> {
        self.lock().strategy.roles().to_vec()
    }

    pub(super) fn is_idle(&self) -> bool {
        *self.idle.borrow()
    }

    pub(super) fn idle_after(&self) -> Option<Duration> {
        self.idle_after
    }

    pub(super) fn name(&self, pool: usize) -> &str {
        &self.pools[pool].name
    }

    /// Why a pool gives no work, if anybody knows.
    pub(super) fn problem(&self, pool: usize) -> Option<String> {
        self.lock().pools[pool].problem()
    }

    pub(super) fn pools(&self) -> &[Fixed] {
        &self.pools
    }

    pub(super) fn standing(&self, pool: usize) -> Standing {
        let state = self.lock();
        let own = &state.pools[pool];
        Standing {
            role: state.strategy.roles()[pool],
            refused: own.refusal(),
            alarm: own.alarm.clone(),
            payout: payouts::status(&own.watch),
        }
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
        self.publish_rates(&state);
    }

    /// Tells the strategy of shares that have not been answered.
    pub(super) fn look_at_shares(&self) {
        let open: Vec<_> = self.pools.iter().map(Fixed::has_open_shares).collect();
        self.change(|state, now| {
            for (pool, open) in open.into_iter().enumerate() {
                state.strategy.handle(now, pool, Signal::Shares { open });
            }
        });
    }

    pub(super) fn has_open_shares(&self) -> bool {
        let queued = |pool: &Pool| {
            let route = pool.route.as_ref();
            route.is_some_and(|route| route.capacity() < route.max_capacity())
        };
        self.lock().pools.iter().any(queued) || self.pools.iter().any(Fixed::has_open_shares)
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
            self.publish_rates(&state);
        }
        if roles_changed || before.1 != state.strategy.poll_timeout() {
            self.changed.notify_one();
        }
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

    fn publish_rates(&self, state: &State) {
        for (index, pool) in self.pools.iter().enumerate() {
            let part = f64::from(state.strategy.prospect(index)) / f64::from(WHOLE);
            let hps = state.hps * part;
            pool.hashrate
                .send_if_modified(|old| std::mem::replace(old, hps) != hps);
        }
    }

    fn signal(&self, pool: usize, signal: Signal) {
        self.change(|state, now| state.strategy.handle(now, pool, signal));
    }

    fn job(&self, pool: usize, job: Arc<Job>) {
        let mut alarms = Vec::new();
        self.change(|state, now| {
            let own = &mut state.pools[pool];
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
            let signal = match verdict {
                Verdict::Mine => {
                    (own.job, own.refused) = (Some(job), None);
                    Signal::Job
                }
                Verdict::Refuse(reason) => {
                    (own.job, own.refused) = (None, Some(reason));
                    Signal::Refused
                }
            };
            state.strategy.handle(now, pool, signal);
        });
        for alarm in alarms {
            let name = self.name(pool);
            self.events.note(&[], payouts::notice(pool, name, &alarm));
        }
    }

    fn no_job(&self, pool: usize) {
        self.change(|state, now| {
            let own = &mut state.pools[pool];
            (own.job, own.floor) = (None, None);
            state.strategy.handle(now, pool, Signal::NoJob);
        });
    }

    fn lost(&self, pool: usize, reason: &Reason) {
        self.change(|state, now| {
            state.pools[pool].problem = Some(reason.to_string());
            state.strategy.handle(now, pool, Signal::Lost);
        });
    }

    /// Notes what a pool says or brings about as it likes, within reason.
    fn note_words(&self, pool: usize, severity: Severity, code: &str, text: &str) {
        if self.lock().pools[pool].may_speak(self.clock.now()) {
            self.note(pool, severity, code, text);
        }
    }

    fn note(&self, pool: usize, severity: Severity, code: &str, text: &str) {
        let notice = Notice {
            severity,
            code: code.to_owned(),
            text: format!("{}: {text}", self.name(pool)),
            ..Notice::default()
        };
        self.events.note(&[], notice);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done by a panic here: each step stands for itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    fn new(pool: &config::Pool) -> Self {
        Self {
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
    pool: usize,
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
