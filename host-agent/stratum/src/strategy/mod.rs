//! Which pools are to be connected and how the work is split between them: failover, fixed
//! percentages, and when to let the boards sleep because nobody gives work.
//!
//! Like the sessions it is a deterministic state machine: it hears what happens to each pool and what
//! time it is, and says what should be. It knows nothing of protocols; a job is a fact here, not a value.

mod pool;
mod quota;

use std::time::Duration;

use thiserror::Error;

use self::pool::{Pool, Terms};

/// All the work; the parts of [`Role::Active`] add up to it.
pub const WHOLE: u32 = 10_000;

/// How the work is given away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All work to the first pool of the list that works.
    Failover,
    /// To each pool its percentage, in the order of the pools; 1 to 100 each, 100 together. The part
    /// of a pool that does not work goes to the others in proportion.
    Quota(Vec<u32>),
}

/// What is to be decided by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How the work is given away.
    pub mode: Mode,
    /// How long a pool that had failed must be at work without a break before it is trusted again.
    pub return_after: Duration,
    /// How long boards wait for work before they are powered down; `None` for ever.
    pub idle_after: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Failover,
            return_after: Duration::from_secs(60),
            idle_after: Some(Duration::from_secs(600)),
        }
    }
}

impl Settings {
    /// Whether they go with so many pools.
    fn check(&self, pools: usize) -> Result<(), StrategyError> {
        if pools == 0 {
            return Err(StrategyError::NoPool);
        }
        let Mode::Quota(quotas) = &self.mode else {
            return Ok(());
        };
        if quotas.len() != pools {
            let quotas = quotas.len();
            return Err(StrategyError::Count { quotas, pools });
        }
        let sum: u64 = quotas.iter().copied().map(u64::from).sum();
        if sum != 100 || quotas.contains(&0) {
            return Err(StrategyError::Sum(sum));
        }
        Ok(())
    }
}

/// Settings that cannot be met.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StrategyError {
    /// Nothing to choose from.
    #[error("there is no pool; a miner needs at least one")]
    NoPool,
    /// Percentages for another number of pools.
    #[error("{quotas} quotas for {pools} pools; every pool needs one")]
    Count {
        /// Quotas given.
        quotas: usize,
        /// Pools there are.
        pools: usize,
    },
    /// Percentages that do not make a whole.
    #[error("the quotas add up to {0} %, expected 100 %, with at least 1 % for each pool")]
    Sum(u64),
}

/// Something that happened to a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The pool knows us and would take our shares.
    Admitted,
    /// There is a job that may be worked on.
    Job,
    /// There is none any more. A lost connection alone is no reason: some sessions can be resumed, and
    /// their shares keep their worth for a while.
    NoJob,
    /// There is a job, but the owner does not want to work for it.
    Refused,
    /// A connection has ended, or could not be made.
    Lost,
    /// Whether shares are on their way to the pool that have not been answered.
    Shares {
        /// True if there are.
        open: bool,
    },
}

/// What a pool is for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing; its session is not to run.
    Unused,
    /// Its session is to run, and has no work to give yet.
    Trying,
    /// It works again, and gets its work back if it still does then.
    Proving {
        /// When; a pool that is not admitted yet may take longer.
        until: Duration,
    },
    /// It could take over at once.
    Standby,
    /// It gets work.
    Active {
        /// This part of [`WHOLE`]; never 0.
        weight: u32,
    },
    /// It gets no new work; its session runs on for what is still to be answered.
    Leaving,
}

impl Role {
    /// Whether the pool's session is to run.
    #[must_use]
    pub fn runs(self) -> bool {
        self != Self::Unused
    }

    /// The part of [`WHOLE`] that it gets; 0 unless it is active.
    #[must_use]
    pub fn weight(self) -> u32 {
        match self {
            Self::Active { weight } => weight,
            _ => 0,
        }
    }
}

/// The choice between pools.
///
/// Tell it what happens with [`handle`](Self::handle) and call
/// [`handle_timeout`](Self::handle_timeout) at the time of [`poll_timeout`](Self::poll_timeout); after
/// either the [`roles`](Self::roles) and [`is_idle`](Self::is_idle) may have changed. Times are on one
/// monotonic clock.
#[derive(Clone, Debug)]
pub struct Strategy {
    settings: Settings,
    pools: Vec<Pool>,
    roles: Vec<Role>,
    /// The pool that failover gives work to.
    current: Option<usize>,
    /// Since when there has been no work.
    dark_since: Option<Duration>,
    idle: bool,
    now: Duration,
}

impl Strategy {
    /// A choice between so many pools, the first being the most wanted. It begins at `now`.
    ///
    /// # Errors
    ///
    /// Without any pool, and with quotas that do not fit.
    pub fn new(settings: Settings, pools: usize, now: Duration) -> Result<Self, StrategyError> {
        settings.check(pools)?;
        let mut strategy = Self {
            settings,
            pools: vec![Pool::new(now); pools],
            roles: vec![Role::Unused; pools],
            current: None,
            dark_since: Some(now),
            idle: false,
            now,
        };
        strategy.decide();
        Ok(strategy)
    }

    /// Takes another list of pools, and other settings. `kept` has, for each pool of the new list, its
    /// number in the old one if it was there (also as one taken out): such a pool goes on as it was. One that is put in front of
    /// the pool at work takes over as soon as it has work, without proving itself first: a person wants
    /// it.
    ///
    /// Pools that are not in the new list come after those that are, in their old order. They get work
    /// only until another pool has some, for half a minute at most, and are
    /// [`Leaving`](Role::Leaving) until their last shares are answered; once they are
    /// [`Unused`](Role::Unused) they may be [forgotten](Self::forget). Gives for each pool its old
    /// number.
    ///
    /// # Errors
    ///
    /// Without any pool, and with quotas that do not fit; nothing has changed then.
    pub fn rearrange(
        &mut self,
        now: Duration,
        settings: Settings,
        kept: &[Option<usize>],
    ) -> Result<Vec<Option<usize>>, StrategyError> {
        settings.check(kept.len())?;
        self.now = self.now.max(now);
        let now = self.now;
        let mut left: Vec<_> = self.pools.drain(..).map(Some).collect();
        let mut order = Vec::with_capacity(kept.len());
        for old in kept {
            let known = old.and_then(|old| left.get_mut(old)?.take());
            order.push(old.filter(|_| known.is_some()));
            let mut pool = known.unwrap_or_else(|| Pool::new(now));
            pool.list();
            self.pools.push(pool);
        }
        let listed = self.pools.len();
        for (old, pool) in left.into_iter().enumerate() {
            if let Some(mut pool) = pool {
                pool.retire(now);
                self.pools.push(pool);
                order.push(Some(old));
            }
        }
        let current = self.current.take();
        self.current = order
            .iter()
            .position(|old| old.is_some() && *old == current);
        let wanted = self.current.unwrap_or(listed).min(listed);
        for pool in &mut self.pools[..wanted] {
            pool.ask_for();
        }
        if settings.mode != Mode::Failover {
            self.current = None;
        }
        self.settings = settings;
        self.decide();
        Ok(order)
    }

    /// Forgets a pool that was taken out of the list and whose session has ended; true if it was one.
    /// The pools after it move up.
    pub fn forget(&mut self, pool: usize) -> bool {
        let gone = |pool: &Pool| pool.is_retired() && !pool.runs();
        let forgets = self.pools.get(pool).is_some_and(gone);
        if forgets {
            self.pools.remove(pool);
            self.roles.remove(pool);
            // One that does not run has no work, so it is not the current one.
            self.current = self
                .current
                .map(|current| current - usize::from(current > pool));
        }
        forgets
    }

    /// Whether a pool was taken out of the list.
    #[must_use]
    pub fn is_retired(&self, pool: usize) -> bool {
        self.pools.get(pool).is_some_and(Pool::is_retired)
    }

    /// Hears of something. Signals of pools that there are not, or whose session is not to run, are
    /// ignored.
    pub fn handle(&mut self, now: Duration, pool: usize, signal: Signal) {
        self.now = self.now.max(now);
        let (now, terms) = (self.now, self.terms());
        if let Some(pool) = self.pools.get_mut(pool).filter(|pool| pool.runs()) {
            pool.handle(now, terms, signal);
            self.decide();
        }
    }

    /// Does what is due at `now`. Calling it early or late does no harm.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.decide();
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` if only signals change anything.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let terms = self.terms();
        let pools = self.pools.iter().flat_map(|pool| pool.due(terms));
        let idle = self.settings.idle_after.zip(self.dark_since);
        let idle = idle.map(|(wait, since)| since.saturating_add(wait));
        pools.chain(idle).filter(|due| *due > self.now).min()
    }

    /// What each pool is for, in order; those that were taken out of the list come last.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// Whether boards should be without power, because there has been no work for too long.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// The part of [`WHOLE`] that a pool gets, or would get if it were at work and all others as they
    /// are wanted.
    #[must_use]
    pub fn prospect(&self, pool: usize) -> u32 {
        match (self.roles.get(pool), &self.settings.mode) {
            (Some(Role::Active { weight }), _) => *weight,
            (_, Mode::Failover) => WHOLE,
            (_, Mode::Quota(quotas)) => quotas
                .get(pool)
                .map_or(0, |percent| percent.saturating_mul(WHOLE / 100)),
        }
    }

    fn terms(&self) -> Terms {
        Terms {
            return_after: self.settings.return_after,
        }
    }

    fn decide(&mut self) {
        let (now, terms) = (self.now, self.terms());
        for pool in &mut self.pools {
            pool.review(now, terms);
        }
        let weights: Vec<u32> = match &self.settings.mode {
            Mode::Failover => {
                self.current = self.preferred();
                let part = |index| u32::from(self.current == Some(index)) * WHOLE;
                (0..self.pools.len()).map(part).collect()
            }
            Mode::Quota(quotas) => quota::weights(quotas, &self.pools, now),
        };
        for (index, weight) in weights.iter().enumerate() {
            let works = *weight > 0;
            let wanted = works || self.is_wanted(index);
            self.pools[index].run(now, wanted, works);
        }
        let working = weights.iter().any(|weight| *weight > 0);
        let since = *self.dark_since.get_or_insert(now);
        if working {
            self.dark_since = None;
            self.idle = false;
        } else if let Some(wait) = self.settings.idle_after {
            self.idle |= since.saturating_add(wait) <= now;
        }
        self.roles = self
            .pools
            .iter()
            .zip(weights)
            .enumerate()
            .map(|(index, (pool, weight))| self.role(index, pool, weight))
            .collect();
    }

    fn role(&self, index: usize, pool: &Pool, weight: u32) -> Role {
        // A pool below the one at work has nothing to get back.
        let returns = self.current.is_none_or(|current| index < current);
        match pool.proof_due(self.terms()) {
            _ if weight > 0 => Role::Active { weight },
            _ if !pool.runs() => Role::Unused,
            _ if pool.is_left() => Role::Leaving,
            Some(until) if returns => Role::Proving { until },
            Some(_) => Role::Standby,
            None => Role::Trying,
        }
    }

    /// The pool that failover gives work to from now on.
    fn preferred(&self) -> Option<usize> {
        let at_work = |index: &usize| self.pools[*index].may_work(self.now);
        let good = |index: &usize| at_work(index) && !self.pools[*index].is_given_up();
        let mut order = 0..self.pools.len();
        let Some(current) = self.current.filter(at_work) else {
            // Better a pool that has not proved itself than none.
            return order.clone().find(good).or_else(|| order.find(at_work));
        };
        if !good(&current) {
            return order.find(good).or(Some(current));
        }
        let terms = self.terms();
        let leaves = self.pools[current].is_retired();
        let fit = |pool: &Pool| leaves || pool.is_asked_for() || pool.is_proven(self.now, terms);
        let better = |index: &usize| good(index) && fit(&self.pools[*index]);
        (0..current).find(better).or(Some(current))
    }

    /// Whether a pool's session is to run, apart from what it has to finish.
    fn is_wanted(&self, index: usize) -> bool {
        let (terms, now) = (self.terms(), self.now);
        let above = &self.pools[..index];
        let current = self.current.filter(|current| !self.is_retired(*current));
        match self.settings.mode {
            _ if self.is_retired(index) => false,
            Mode::Quota(_) => true,
            Mode::Failover if current.is_some_and(|current| index <= current) => true,
            Mode::Failover => {
                // What has been started is kept until it is clear that it is not needed.
                let kept = self.pools[index].is_kept();
                above.iter().all(|pool| pool.is_in_trouble(now))
                    || (kept && !above.iter().any(|pool| pool.is_proven(now, terms)))
            }
        }
    }
}
