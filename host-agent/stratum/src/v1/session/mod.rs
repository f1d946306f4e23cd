//! The client side of one pool over all its connections: its life from start to stop. What
//! it does with messages, shares and deadlines stands in the files beside this one.

mod connection;
mod deadlines;
mod handshake;
mod incoming;
mod sending;
mod shape;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use self::connection::{Connection, Endpoint, Link};
use super::bits::FormWatch;
use super::config::{Config, ConfigError};
use super::foreign;
use super::jobs::JobBook;
use super::lines::MAX_LINE;
use super::memory::PoolMemory;
use super::message::{self, Extranonce};
use super::shares::{ShareDesk, Ticket};
use crate::backoff::Backoff;
use crate::sequence::Sequence;
use crate::session::{Action, Counters, Event, Reason, Refusal, Stats};

/// A session with one pool: connects, subscribes, takes jobs, sends shares, reconnects.
///
/// It is driven from outside. After each call that takes a time, fetch what it has to say
/// with [`poll_action`](Self::poll_action), [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event), and call [`handle_timeout`](Self::handle_timeout) when
/// the time of [`poll_timeout`](Self::poll_timeout) has come. All times are on one monotonic
/// clock, that of [`mining::Job::received`].
pub struct Session {
    config: Config,
    sequence: Sequence,
    now: Duration,
    backoff: Backoff,
    memory: PoolMemory,
    forms: FormWatch,
    link: Link,
    /// Outlives connections, so that the pool can resume it.
    identity: Option<Identity>,
    /// Where the pool sent us, until that fails.
    redirect: Option<Endpoint>,
    configure: ConfigureTrial,
    /// Connections in a row that the pool ended without ever having said a word.
    mute_ends: u32,
    book: JobBook,
    desk: ShareDesk,
    /// When jobs of a broken connection lose their worth.
    void_at: Option<Duration>,
    counters: Counters,
    actions: VecDeque<Action>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// Who we are to the pool.
#[derive(Debug)]
struct Identity {
    session: u64,
    pool_session_id: Option<String>,
    extranonce: Extranonce,
}

/// Finding out whether a pool hangs up on `mining.configure`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ConfigureTrial {
    /// The next connection, or this one, does without.
    without: bool,
    /// Since when the pool is known not to take it.
    left_out_since: Option<Duration>,
}

/// Events that wait for the shell, at most.
const MAX_EVENTS: usize = 1024;
/// Messages that wait for the shell, at most. Shares beyond it wait themselves.
const MAX_TRANSMITS: usize = 64;
/// So many connections end without a word before the owner is told what that may mean. The
/// first two are finding out about `mining.configure`.
const MUTE_ENDS: u32 = 3;
/// A refused worker is a matter of settings, which do not change within seconds.
const REFUSED_WAIT: Duration = Duration::from_secs(10);
/// The longest wait that a pool may ask for before a reconnect.
const LONGEST_REDIRECT_WAIT: Duration = Duration::from_secs(600);

impl Session {
    /// A session that is not started yet.
    ///
    /// `seed` is for the jitter of waits and should differ between miners. `sequence` must
    /// be shared by all sessions of the program.
    ///
    /// # Errors
    ///
    /// If the settings do not pass [`Config::check`].
    pub fn new(config: Config, seed: u64, sequence: Sequence) -> Result<Self, ConfigError> {
        config.check()?;
        let timeouts = config.timeouts;
        Ok(Self {
            backoff: Backoff::new(timeouts.backoff_min, timeouts.backoff_max, seed),
            memory: config.memory,
            config,
            sequence,
            now: Duration::ZERO,
            forms: FormWatch::default(),
            link: Link::Idle,
            identity: None,
            redirect: None,
            configure: ConfigureTrial::default(),
            mute_ends: 0,
            book: JobBook::default(),
            desk: ShareDesk::default(),
            void_at: None,
            counters: Counters::default(),
            actions: VecDeque::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// Begins to connect. Does nothing if the session is started already.
    pub fn start(&mut self, now: Duration) {
        self.advance(now);
        if matches!(self.link, Link::Idle) {
            self.connect();
        }
    }

    /// Closes the connection and gives up jobs and shares; [`start`](Self::start) begins
    /// again. Does nothing if the session is not started.
    pub fn stop(&mut self, now: Duration) {
        self.advance(now);
        if matches!(self.link, Link::Idle) {
            return;
        }
        if matches!(self.link, Link::Connecting { .. } | Link::Up(_)) {
            self.actions.push_back(Action::Close(Reason::Stopped));
        }
        self.actions
            .retain(|action| matches!(action, Action::Close(_)));
        self.link = Link::Idle;
        self.transmits.clear();
        self.desk.disconnected();
        while let Some(ticket) = self.desk.next_waiting() {
            self.give_up(ticket, Refusal::OtherSession);
        }
        self.void_jobs();
        self.tell(Event::Disconnected {
            reason: Reason::Stopped,
            retry_in: None,
        });
    }

    /// The connection that [`Action::Connect`] asked for is open.
    pub fn connected(&mut self, now: Duration) {
        self.advance(now);
        let Link::Connecting { to, .. } = &self.link else {
            return;
        };
        let to = to.clone();
        self.counters.stats.connects += 1;
        self.tell(Event::Connected {
            host: to.0.clone(),
            port: to.1,
        });
        self.link = Link::Up(Box::new(Connection::new(to, self.now)));
        self.book.forget_announcements();
        self.shake_hands();
    }

    /// The connection is gone, or could not be opened.
    pub fn disconnected(&mut self, now: Duration, reason: Reason) {
        self.advance(now);
        self.end(reason, Duration::ZERO);
    }

    /// Takes bytes from the pool, cut anywhere.
    pub fn handle_bytes(&mut self, now: Duration, mut bytes: &[u8]) {
        self.advance(now);
        while !bytes.is_empty() {
            let Link::Up(connection) = &mut self.link else {
                return;
            };
            connection.heard_at = Some(self.now);
            if let Some(protocol) = connection.sniffer.look(bytes) {
                let advice = protocol.advice(&self.config.url);
                return self.close(Reason::WrongProtocol(advice));
            }
            match connection.lines.next(&mut bytes) {
                None => {}
                Some(Ok(line)) if line.trim_ascii().is_empty() => {}
                Some(Ok(line)) => match message::parse(&line) {
                    Ok(incoming) => self.handle_message(incoming),
                    Err(error) => {
                        let foreign = foreign::of_line(&line, &self.config.url);
                        self.close(foreign.map_or_else(|| error.into(), Reason::WrongProtocol));
                    }
                },
                Some(Err(_)) => self.close(Reason::LineTooLong(MAX_LINE)),
            }
        }
    }

    /// What the shell must do next, if anything.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next message for the pool: one line, to be written at once and whole.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        if self.transmits.is_empty() {
            self.send_waiting();
        }
        self.transmits.pop_front()
    }

    /// What has happened, oldest first. If more than 1024 events wait, the oldest are lost.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Where the session stands and what it has counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let current = self.book.current();
        Stats {
            state: match &self.link {
                Link::Idle => "unused",
                Link::Waiting { .. } => "retrying",
                Link::Connecting { .. } => "connecting",
                Link::Up(connection) if connection.takes_shares() => "mining",
                Link::Up(_) => "handshake",
            },
            difficulty: current.map_or(0.0, |known| known.difficulty),
            version_mask: match &self.link {
                Link::Up(connection) => connection.rolling.unwrap_or(0),
                _ => 0,
            },
            job_id: current.map(|known| known.job.id.clone()),
            open: self.desk.open(),
            latency: self.counters.latency(),
            ..self.counters.stats.clone()
        }
    }

    /// What the session has learnt about the pool so far, to be given to a later session in
    /// [`Config::memory`].
    #[must_use]
    pub fn memory(&self) -> PoolMemory {
        self.memory
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Time never runs backwards, whatever the caller says.
    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    fn connect(&mut self) {
        let url = &self.config.url;
        let to = self
            .redirect
            .clone()
            .unwrap_or_else(|| (url.host().to_owned(), url.port()));
        self.actions.push_back(Action::Connect {
            host: to.0.clone(),
            port: to.1,
        });
        self.link = Link::Connecting {
            to,
            deadline: self.now.saturating_add(self.config.timeouts.connect),
        };
    }

    /// Closes the connection of our own accord.
    fn close(&mut self, reason: Reason) {
        self.actions.push_back(Action::Close(reason.clone()));
        self.end(reason, Duration::ZERO);
    }

    /// The end of a connection, or of the attempt at one: what can be kept is kept, and the
    /// next attempt is put off by at least `wait`.
    fn end(&mut self, reason: Reason, wait: Duration) {
        let mut wait = wait;
        let mut reason = reason;
        match std::mem::replace(&mut self.link, Link::Idle) {
            link @ (Link::Idle | Link::Waiting { .. }) => {
                self.link = link;
                return;
            }
            Link::Connecting { to, .. } => {
                if self.redirect.as_ref() == Some(&to) {
                    self.redirect = None;
                }
                wait = wait.max(self.backoff.next());
            }
            Link::Up(connection) => {
                if connection.first_job_at.is_none()
                    && self.redirect.as_ref() == Some(&connection.to)
                {
                    self.redirect = None;
                }
                let good = connection.has_proved_good(self.now);
                if good {
                    self.backoff.reset();
                }
                let hung_up = matches!(reason, Reason::PeerClosed | Reason::Io(_))
                    && connection.heard_at.is_none();
                self.configure.without = hung_up && connection.sent_configure;
                self.mute_ends = if hung_up {
                    self.mute_ends.saturating_add(1)
                } else {
                    0
                };
                if self.mute_ends >= MUTE_ENDS {
                    let words = foreign::mute(&self.config.url, self.mute_ends);
                    reason = Reason::WrongProtocol(words);
                }
                if matches!(reason, Reason::AuthorizeRefused(_)) {
                    wait = wait.max(REFUSED_WAIT);
                }
                let at_once = self.configure.without || (good && reason == Reason::Reconnect);
                if !at_once {
                    wait = wait.max(self.backoff.next());
                }
            }
        }
        self.transmits.clear();
        self.desk.disconnected();
        let resumable = self
            .identity
            .as_ref()
            .is_some_and(|identity| identity.pool_session_id.is_some());
        if !resumable {
            self.void_jobs();
        } else if self.book.current().is_some() && self.void_at.is_none() {
            self.void_at = Some(self.now.saturating_add(self.config.timeouts.resubmit));
        }
        self.link = Link::Waiting {
            until: self.now.saturating_add(wait),
        };
        self.counters.stats.problem = Some(reason.to_string());
        self.tell(Event::Disconnected {
            reason,
            retry_in: Some(wait),
        });
    }

    fn void_jobs(&mut self) {
        self.void_at = None;
        if self.book.clear() {
            self.tell(Event::NoJob);
        }
    }

    /// Counts a share that will never be answered.
    fn give_up(&mut self, ticket: Ticket, refusal: Refusal) {
        if ticket.overdue {
            return;
        }
        let share = Box::new(ticket.share);
        if ticket.resent {
            self.counters.stats.unconfirmed += 1;
            self.tell(Event::ShareUnconfirmed(share));
        } else {
            self.counters.stats.dropped += 1;
            self.tell(Event::ShareDropped { share, refusal });
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

/// Names the pool and the state only: messages on their way out may hold the password.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("pool", &self.config.url.to_string())
            .field("state", &self.stats().state)
            .finish_non_exhaustive()
    }
}
