//! The client side of one pool over all its connections: its life from start to stop. What it
//! does with messages, shares and deadlines stands in the files beside this one.

mod connection;
mod deadlines;
mod incoming;
mod sending;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use mining::Share;

use self::connection::{Connection, Endpoint, Link, Phase};
use super::config::{Config, ConfigError};
use super::jobs::JobBook;
use super::stream::{Arrival, Stream, StreamError};
use super::wire::{FrameReader, HandshakeError, ServerMessage};
use super::words;
use crate::backoff::Backoff;
use crate::sequence::Sequence;
use crate::session::{
    Action, Counters, Event, Opening, Reason, Refusal, Session as Upstream, Stats,
};

/// A session with one pool: connects, opens a channel, takes jobs, sends shares, reconnects.
///
/// Channel, jobs and shares end with the connection; nothing can be resumed in Stratum V2. A
/// channel that the pool closes is opened again on a new connection, after a wait.
///
/// A pool's wish to reconnect is followed to any host, unlike in Stratum V1: the new server must
/// hold a certificate of the same authority key. Without a key no other host or port is
/// followed to.
pub struct Session {
    config: Config,
    sequence: Sequence,
    now: Duration,
    backoff: Backoff,
    link: Link,
    /// Where the pool sent us, until that fails.
    redirect: Option<Endpoint>,
    book: JobBook,
    /// What this pool will get, H/s.
    hashrate: f64,
    /// The pool has shown that it sends jobs between blocks.
    refreshes_jobs: bool,
    /// The last unusual share target that the owner was told about.
    warned: Option<Unusual>,
    /// The last mask that was told.
    version_mask: u32,
    /// Without encryption, for tests.
    plain: bool,
    counters: Counters,
    actions: VecDeque<Action>,
    transmits: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
}

/// Share targets that cannot be meant so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unusual {
    Impossible,
    Hard,
    Easy,
}

/// Events that wait for the shell, at most.
const MAX_EVENTS: usize = 4096;
/// Messages that wait for the shell, at most.
const MAX_TRANSMITS: usize = 256;
/// What a server refuses does not change within seconds.
const REFUSED_WAIT: Duration = Duration::from_secs(10);

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
            hashrate: config.nominal_hashrate,
            config,
            sequence,
            now: Duration::ZERO,
            link: Link::Idle,
            redirect: None,
            book: JobBook::default(),
            refreshes_jobs: false,
            warned: None,
            version_mask: 0,
            plain: false,
            counters: Counters::default(),
            actions: VecDeque::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        })
    }

    /// The same session without encryption. Nobody speaks so; it is there for tests and fuzzers
    /// that look at what stands inside of the encryption.
    #[doc(hidden)]
    #[must_use]
    pub fn without_encryption(mut self) -> Self {
        self.plain = true;
        self
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
        self.end(reason);
    }

    /// The end of a connection, or of the attempt at one: all that belongs to it is given up.
    fn end(&mut self, reason: Reason) {
        let mut wait = Duration::ZERO;
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
            Link::Up(mut connection) => {
                if connection.first_job_at.is_none()
                    && self.redirect.as_ref() == Some(&connection.to)
                {
                    self.redirect = None;
                }
                let good = connection.has_proved_good(self.now);
                if good {
                    self.backoff.reset();
                }
                if needs_change(&reason) {
                    wait = wait.max(REFUSED_WAIT);
                }
                if !(good && reason == Reason::Reconnect) {
                    wait = wait.max(self.backoff.next());
                }
                self.give_up_shares(&mut connection);
            }
        }
        self.transmits.clear();
        self.void_jobs();
        self.link = Link::Waiting {
            until: self.now.saturating_add(wait),
        };
        self.counters.stats.problem = Some(reason.to_string());
        self.tell(Event::Disconnected {
            reason,
            retry_in: Some(wait),
        });
    }

    /// Shares without answer stay so: a batch that is pending at the end is never acknowledged.
    fn give_up_shares(&mut self, connection: &mut Connection) {
        while let Some(sent) = connection
            .channel_mut()
            .and_then(|channel| channel.ledger.next_lost())
        {
            self.counters.stats.unconfirmed += 1;
            self.tell(Event::ShareUnconfirmed(Box::new(sent.share)));
        }
    }

    fn void_jobs(&mut self) {
        if self.book.clear() {
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

    fn on_stream_error(&mut self, error: StreamError, unix_now: u64) {
        let reason = match error {
            StreamError::Impostor(impostor) => words::impostor(impostor),
            StreamError::Frame(error) => Reason::Protocol(error.to_string()),
            StreamError::Handshake(HandshakeError::Time {
                valid_from,
                valid_until,
            }) => Reason::Certificate {
                valid_from,
                valid_until,
                now: unix_now,
            },
            StreamError::Handshake(HandshakeError::Signature) => Reason::KeyMismatch {
                expected: match &self.config.authority_key {
                    Some(key) => key.to_string(),
                    None => String::new(),
                },
            },
            StreamError::Handshake(error) => Reason::Noise(error.to_string()),
        };
        self.close(reason);
    }

    /// What the end of a connection means, seen from how far it had come.
    fn explain(&self, reason: Reason) -> Reason {
        let Link::Up(connection) = &self.link else {
            return reason;
        };
        if !matches!(reason, Reason::PeerClosed | Reason::Io(_)) {
            return reason;
        }
        match &connection.phase {
            Phase::Noise => match connection.stream.impostor() {
                Some(impostor) => words::impostor(impostor),
                None => words::no_handshake("closed the connection"),
            },
            Phase::Setup => Reason::SetupRefused(
                "it closed the connection instead of answering; perhaps it takes no more miners, \
                 or wants another kind of channel"
                    .to_owned(),
            ),
            Phase::Opening { .. } => Reason::ChannelRefused(
                "it closed the connection instead of answering; perhaps it does not know the user, \
                 or has no work yet"
                    .to_owned(),
            ),
            Phase::Open(_) if connection.stream.is_within_frame() => {
                Reason::Io(format!("{reason}, in the middle of a message"))
            }
            Phase::Open(_) => reason,
        }
    }
}

/// Whether another attempt is pointless until somebody has changed something.
fn needs_change(reason: &Reason) -> bool {
    matches!(
        reason,
        Reason::WrongProtocol(_)
            | Reason::KeyMismatch { .. }
            | Reason::Certificate { .. }
            | Reason::SetupRefused(_)
            | Reason::ChannelRefused(_)
    )
}

impl Upstream for Session {
    fn name(&self) -> String {
        self.config.url.to_string()
    }

    fn start(&mut self, now: Duration) {
        self.advance(now);
        if matches!(self.link, Link::Idle) {
            self.connect();
        }
    }

    fn stop(&mut self, now: Duration) {
        self.advance(now);
        match std::mem::replace(&mut self.link, Link::Idle) {
            Link::Idle => return,
            Link::Waiting { .. } => self.actions.clear(),
            Link::Connecting { .. } => {
                self.actions.clear();
                self.actions.push_back(Action::Close(Reason::Stopped));
            }
            Link::Up(mut connection) => {
                self.actions.clear();
                self.actions.push_back(Action::Close(Reason::Stopped));
                self.give_up_shares(&mut connection);
            }
        }
        self.transmits.clear();
        self.void_jobs();
        self.tell(Event::Disconnected {
            reason: Reason::Stopped,
            retry_in: None,
        });
    }

    fn connected(&mut self, now: Duration, opening: Opening) {
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
        let opened = if self.plain {
            Ok((Stream::Plain(FrameReader::default()), Vec::new()))
        } else {
            Stream::open(self.config.authority_key, opening.entropy)
        };
        match opened {
            Ok((stream, hello)) => {
                self.link = Link::Up(Box::new(Connection::new(
                    to,
                    self.now,
                    opening.unix_time,
                    stream,
                )));
                if self.plain {
                    self.set_up();
                } else {
                    self.transmits.push_back(hello);
                }
            }
            Err(error) => self.close(Reason::Noise(error.to_string())),
        }
    }

    fn disconnected(&mut self, now: Duration, reason: Reason) {
        self.advance(now);
        let reason = self.explain(reason);
        self.end(reason);
    }

    fn handle_bytes(&mut self, now: Duration, mut bytes: &[u8]) {
        self.advance(now);
        while !bytes.is_empty() {
            let Link::Up(connection) = &mut self.link else {
                return;
            };
            connection.heard_at = Some(self.now);
            let unix_now = connection.unix_now(self.now);
            match connection.stream.next(&mut bytes, unix_now) {
                None => return,
                Some(Ok(Arrival::Secured)) => self.set_up(),
                Some(Ok(Arrival::Frame(frame))) => match ServerMessage::read(frame) {
                    Ok(message) => self.handle_message(message),
                    Err(error) => self.close(Reason::Protocol(error.to_string())),
                },
                Some(Err(error)) => self.on_stream_error(error, unix_now),
            }
        }
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.advance(now);
        self.do_what_is_due();
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.due()
    }

    fn submit(&mut self, now: Duration, share: Share) -> Result<(), Refusal> {
        self.advance(now);
        self.send_share(share)
    }

    fn set_hashrate(&mut self, now: Duration, hashes_per_second: f64) {
        self.advance(now);
        // A machine that stands still keeps its channel as it is: at a rate of 0 servers give
        // the easiest target there is.
        if hashes_per_second.is_finite() && hashes_per_second > 0.0 {
            self.hashrate = hashes_per_second;
            self.update_if_due();
        }
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn stats(&self) -> Stats {
        let current = self.book.current();
        let open = match &self.link {
            Link::Up(connection) => connection
                .channel()
                .map_or(0, |channel| channel.ledger.open()),
            _ => 0,
        };
        Stats {
            open: open as u64,
            state: match &self.link {
                Link::Idle => "unused",
                Link::Waiting { .. } => "retrying",
                Link::Connecting { .. } => "connecting",
                Link::Up(connection) if connection.first_job_at.is_some() => "mining",
                Link::Up(_) => "handshake",
            },
            difficulty: current.map_or(0.0, |known| known.difficulty),
            version_mask: match &self.link {
                Link::Up(_) => self.version_mask,
                _ => 0,
            },
            job_id: current.map(|known| known.job.id.clone()),
            latency: self.counters.latency(),
            ..self.counters.stats.clone()
        }
    }
}

/// Names the pool and the state only.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("pool", &self.config.url.to_string())
            .field("state", &self.stats().state)
            .finish_non_exhaustive()
    }
}
