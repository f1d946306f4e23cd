//! The client of one node over its whole life: which calls to make when, and what their answers
//! mean for the miner. No sockets, files or clocks here; the shell around it is
//! [`crate::transport`].

mod calls;
mod finding;
mod working;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::{Network, ScriptBuf};
use mining::{Job, Target};
use payout::PayoutAddress;
use stratum::backoff::Backoff;
use stratum::session::Counters;
use stratum::{Event, Reason, Sequence, Stats};

use self::calls::Open;
use crate::blocks::{FoundBlock, Pending};
use crate::candidate::Candidate;
use crate::config::{Config, ConfigError};
use crate::rpc::{Call, ChainInfo, Fault, Reply};

/// A session with one node: finds out where it stands, takes templates, judges shares, and brings
/// blocks home.
///
/// It is driven from outside, like the sessions of pools. After each call that takes a time, fetch
/// what it wants done with [`poll_action`](Self::poll_action) and what it has to say with
/// [`poll_event`](Self::poll_event), and call [`handle_timeout`](Self::handle_timeout) when the
/// time of [`poll_timeout`](Self::poll_timeout) has come. All times are on one monotonic clock,
/// that of [`mining::Job::received`].
///
/// Shares that are no blocks are worth nothing to a node. They are checked and counted here, at a
/// difficulty that gives about ten a minute, so that the owner sees that the machine works.
pub struct Session {
    config: Config,
    address: PayoutAddress,
    script: ScriptBuf,
    sequence: Sequence,
    /// Goes on over connections: blocks do not depend on them.
    number: u64,
    extranonce1: [u8; 4],
    now: Duration,
    seed: u64,
    link: Link,
    /// The node answered since the last failure.
    contact: bool,
    /// There was a job once.
    resumed: bool,
    backoff: Backoff,
    calls: Vec<Open>,
    last_call: u64,
    chain: Option<ChainInfo>,
    knows: Knows,
    longpollid: Option<String>,
    long_backoff: Backoff,
    schedule: Schedule,
    /// Jobs, the newest last.
    book: VecDeque<Entry>,
    /// The newest job is being worked on.
    mining: bool,
    generation: u64,
    /// When the newest job's tip became known.
    tip_since: Duration,
    held: Option<Held>,
    /// Tips on which a block of ours was accepted, the newest last.
    solved: VecDeque<[u8; 32]>,
    hashrate: f64,
    blocks: Vec<Pending>,
    counters: Counters,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
}

/// Something that the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the node, then call [`Session::handle_reply`].
    Call(Call),
    /// Forget this call; nobody waits for its answer any more.
    Cancel(u64),
    /// Write this block to a file that survives a loss of power, then call
    /// [`Session::block_saved`].
    Save(FoundBlock),
    /// Note beside the file that the node has given its answer, so that the block is not sent
    /// again at the next start.
    Mark {
        /// The block's height.
        height: u32,
        /// Its hash in header byte order.
        hash: [u8; 32],
        /// The answer, for people.
        answer: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// Not started.
    Idle,
    /// Finding out what kind of node it is.
    Asking,
    /// Templates come.
    Up,
    /// The next attempt is then.
    Waiting { until: Duration },
}

/// What the node has turned out to know.
#[derive(Clone, Copy, Debug)]
struct Knows {
    best_block: bool,
    trials: bool,
}

/// When what is due. Times in the past mean at once.
#[derive(Clone, Copy, Debug, Default)]
struct Schedule {
    template: Duration,
    tip: Duration,
    long_poll: Duration,
    trial: Duration,
    /// A job with the share target of the new hashrate.
    retarget: Option<Duration>,
    /// Jobs lose their worth, as the node no longer answers.
    void: Option<Duration>,
}

/// A job, and what makes a block of it.
struct Entry {
    job: Arc<Job>,
    candidate: Arc<Candidate>,
}

/// A tip on which a block was found: no work on it until the node has made up its mind.
#[derive(Clone, Copy, Debug)]
struct Held {
    prev_hash: [u8; 32],
    until: Duration,
}

/// Events that wait for the shell, at most.
const MAX_EVENTS: usize = 1024;
/// Assumed until somebody says better, hashes a second.
const DEFAULT_HASHRATE: f64 = 1e12;

impl Session {
    /// A session that is not started yet.
    ///
    /// `seed` must differ between miners and between runs: two miners with the same seed, node and
    /// address would do the same work. `sequence` must be shared by all sessions of the program.
    ///
    /// # Errors
    ///
    /// If the settings do not pass [`Config::check`].
    pub fn new(config: Config, seed: u64, sequence: Sequence) -> Result<Self, ConfigError> {
        let address = config.check()?;
        let timeouts = config.timeouts;
        let mut rng = fastrand::Rng::with_seed(seed);
        Ok(Self {
            script: ScriptBuf::from_bytes(address.script().to_vec()),
            address,
            number: sequence.next_session(),
            sequence,
            extranonce1: rng.u32(..).to_le_bytes(),
            now: Duration::ZERO,
            seed,
            link: Link::Idle,
            contact: false,
            resumed: false,
            backoff: Backoff::new(timeouts.backoff_min, timeouts.backoff_max, rng.u64(..)),
            calls: Vec::new(),
            last_call: 0,
            chain: None,
            knows: Knows {
                best_block: true,
                trials: true,
            },
            longpollid: None,
            long_backoff: Backoff::new(timeouts.backoff_min, timeouts.backoff_max, rng.u64(..)),
            schedule: Schedule::default(),
            book: VecDeque::new(),
            mining: false,
            generation: 0,
            tip_since: Duration::ZERO,
            held: None,
            solved: VecDeque::new(),
            hashrate: DEFAULT_HASHRATE,
            blocks: Vec::new(),
            counters: Counters::default(),
            actions: VecDeque::new(),
            events: VecDeque::new(),
            config,
        })
    }

    /// The node's URL, which holds no secrets.
    #[must_use]
    pub fn name(&self) -> String {
        self.config.url.to_string()
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The number that its jobs carry, the same for the session's whole life.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Who is paid.
    #[must_use]
    pub fn address(&self) -> &PayoutAddress {
        &self.address
    }

    /// The network that the node says it is on; `None` before it has, or if it does not.
    #[must_use]
    pub fn network(&self) -> Option<Network> {
        self.chain.as_ref().and_then(|info| info.network)
    }

    /// Begins to ask the node. Does nothing if the session is started already.
    pub fn start(&mut self, now: Duration) {
        self.advance(now);
        if self.link == Link::Idle {
            self.ask();
        }
        self.work();
    }

    /// Gives up all jobs; [`start`](Self::start) begins again. Blocks that the node has not
    /// answered yet are still sent, see [`has_blocks`](Self::has_blocks).
    pub fn stop(&mut self, now: Duration) {
        self.advance(now);
        if self.link == Link::Idle {
            return;
        }
        self.hang_up();
        self.link = Link::Idle;
        self.void_jobs();
        self.tell(Event::Disconnected {
            reason: Reason::Stopped,
            retry_in: None,
        });
        self.work();
    }

    /// Whether blocks wait for the node's answer.
    #[must_use]
    pub fn has_blocks(&self) -> bool {
        !self.blocks.is_empty()
    }

    /// Takes the answer to a call, or the reason why there is none. Answers that nobody waits for
    /// are ignored.
    pub fn handle_reply(&mut self, now: Duration, id: u64, reply: Result<Reply, Fault>) {
        self.advance(now);
        self.answered(id, reply);
        self.work();
    }

    /// Does what is due at `now`. Calling it early or late does no harm.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.advance(now);
        self.work();
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` if nothing is waited for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        let calls = self.calls.iter().map(|call| call.deadline);
        let blocks = self.blocks_due();
        let link = match self.link {
            Link::Waiting { until } => Some(until),
            Link::Up => self.questions_due(),
            Link::Idle | Link::Asking => None,
        };
        let jobs = [self.schedule.void, self.schedule.retarget];
        calls
            .chain(blocks)
            .chain(link)
            .chain(jobs.into_iter().flatten())
            .min()
    }

    /// The rate at which this session's work is hashed from now on, hashes a second. The share
    /// difficulty follows, but is never above the network's.
    pub fn set_hashrate(&mut self, now: Duration, hashes_per_second: f64) {
        self.advance(now);
        if hashes_per_second.is_finite() && hashes_per_second > 0.0 {
            self.hashrate = hashes_per_second;
            self.plan_retarget();
        }
        self.work();
    }

    /// What the shell must do next, if anything.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What has happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Where the session stands and what it has counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let job = self.book.back().filter(|_| self.mining).map(|e| &e.job);
        Stats {
            state: match self.link {
                Link::Idle => "unused",
                Link::Asking if !self.contact => "connecting",
                Link::Asking => "handshake",
                Link::Up => "mining",
                Link::Waiting { .. } => "retrying",
            },
            difficulty: self
                .book
                .back()
                .map_or(0.0, |entry| entry.job.target.difficulty()),
            version_mask: job.map_or(0, |job| job.rollable_mask()),
            job_id: job.map(|job| job.id.clone()),
            open: self.blocks.iter().filter(|b| b.share.is_some()).count() as u64,
            latency: self.counters.latency(),
            ..self.counters.stats.clone()
        }
    }

    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// Everything that has come due.
    fn work(&mut self) {
        self.give_up_calls();
        if self.schedule.void.is_some_and(|at| at <= self.now) {
            self.void_jobs();
        }
        if let Link::Waiting { until } = self.link
            && until <= self.now
        {
            self.ask();
        }
        if self.schedule.retarget.is_some_and(|at| at <= self.now) {
            self.retarget();
        }
        self.send_blocks();
        self.ask_questions();
    }

    /// The share target: ten shares a minute, or the network's if that is easier.
    fn share_target(&self, nbits: u32) -> Target {
        let network = Target::from_nbits(nbits).unwrap_or(Target::MAX);
        working::share_target(self.hashrate).max(network)
    }

    fn void_jobs(&mut self) {
        self.schedule.void = None;
        self.schedule.retarget = None;
        if std::mem::take(&mut self.mining) {
            self.tell(Event::NoJob);
        }
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
            self.counters.stats.lost_events += 1;
        }
        self.events.push_back(event);
    }
}

/// Names the node and the state only: the settings hold the password.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("node", &self.name())
            .field("link", &self.link)
            .field("blocks", &self.blocks.len())
            .finish_non_exhaustive()
    }
}
