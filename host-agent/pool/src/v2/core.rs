//! The Stratum V2 pool itself: connections, time, and what is due. No sockets, no clock.

use super::config::{Config, ConfigError};
use super::event::{ChannelInfo, CloseReason, Event};
use super::session::Session;
use super::shared::Shared;
use crate::engine::ConnectError;
use crate::event::{ConnectionId, PoolStats};
use crate::server::Served;
use std::collections::BTreeMap;
use std::time::Duration;

/// The pool. All times count from the same arbitrary start, which [`Config::unix_start`] names.
pub struct Core {
    shared: Shared,
    sessions: BTreeMap<ConnectionId, Session>,
    now: Duration,
    next_job: Option<Duration>,
    next_block: Option<Duration>,
    /// Where the next search for something to send begins, so that nobody starves.
    cursor: ConnectionId,
}

impl Core {
    /// A pool that has its first template.
    ///
    /// # Errors
    /// [`ConfigError`] names the first value out of its range.
    pub fn new(config: Config) -> Result<Core, ConfigError> {
        config.validate()?;
        let tag = config.tag.len();
        let script = config.payout_script.len();
        let shared = Shared::new(config).map_err(|error| {
            tracing::error!(%error, "the embedded pool's config makes no job");
            // What goes into a coinbase besides: the larger of the two is the likelier cause.
            if script > 1000 {
                ConfigError::PayoutScript(script)
            } else {
                ConfigError::Tag(tag)
            }
        })?;
        let mut core = Core {
            shared,
            sessions: BTreeMap::new(),
            now: Duration::ZERO,
            next_job: None,
            next_block: None,
            cursor: ConnectionId(0),
        };
        core.schedule_job();
        core.schedule_block();
        Ok(core)
    }

    /// The URL that leads miners to this pool at `address` (host and port), with the authority key.
    pub fn url(&self, address: &str) -> String {
        let key = self.shared.config.authority.public_text();
        format!("stratum2+tcp://{address}/{key}")
    }

    /// Takes a connection of a new name. Nothing is sent until the miner begins the handshake.
    ///
    /// # Errors
    /// [`ConnectError`] if the pool is full or the name is taken; the connection is to be closed then.
    pub fn connect(&mut self, now: Duration, connection: ConnectionId) -> Result<(), ConnectError> {
        self.advance(now);
        if self.sessions.contains_key(&connection) {
            return Err(ConnectError::Exists(connection));
        }
        if self.sessions.len() >= self.shared.config.max_connections {
            self.shared.stats.refused_connections += 1;
            return Err(ConnectError::Full(self.sessions.len()));
        }
        self.shared.stats.connects += 1;
        self.shared.event(Event::Connected { connection });
        let session = Session::new(connection, self.now, &self.shared);
        self.sessions.insert(connection, session);
        Ok(())
    }

    /// Bytes from a connection, cut anywhere. Unknown connections are ignored.
    pub fn handle_bytes(&mut self, now: Duration, connection: ConnectionId, bytes: &[u8]) {
        self.advance(now);
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.handle_bytes(self.now, bytes, &mut self.shared);
        }
        if let Some(hash) = self.shared.solved.take() {
            self.shared.next_block(self.now, Some(hash));
            self.announce_block();
        }
    }

    /// The connection is gone, with all that belonged to it.
    pub fn disconnect(&mut self, now: Duration, connection: ConnectionId) {
        self.advance(now);
        self.end(connection, CloseReason::ByPeer);
    }

    /// Does what is due: new jobs and blocks, targets, late answers, idle connections.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.advance(now);
        if self.next_block.is_some_and(|due| due <= self.now) {
            self.new_block();
        } else if self.next_job.is_some_and(|due| due <= self.now) {
            self.new_job();
        }
        for session in self.sessions.values_mut() {
            session.handle_timeout(self.now, &mut self.shared);
        }
    }

    /// When to call [`Core::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let sessions = self.sessions.values();
        sessions
            .filter_map(|session| session.next_timeout(&self.shared))
            .chain(self.next_job)
            .chain(self.next_block)
            .min()
    }

    /// The next bytes to write: one frame, or what the delivery switches make of it.
    pub fn poll_transmit(&mut self) -> Option<(ConnectionId, Vec<u8>)> {
        let quirks = &self.shared.config.quirks;
        let start = self.cursor;
        let mut order: Vec<ConnectionId> =
            self.sessions.range(start..).map(|(id, _)| *id).collect();
        order.extend(self.sessions.range(..start).map(|(id, _)| *id));
        for connection in order {
            let session = self.sessions.get_mut(&connection)?;
            if let Some(bytes) = session.pop(quirks) {
                self.cursor = ConnectionId(connection.0.wrapping_add(1));
                return Some((connection, bytes));
            }
        }
        None
    }

    /// The next connection to hang up on. It comes after all that was to be sent to it, and is already
    /// forgotten here.
    pub fn poll_close(&mut self) -> Option<(ConnectionId, CloseReason)> {
        let (connection, reason) = self
            .sessions
            .iter()
            .find_map(|(id, session)| Some((*id, session.ready_to_close()?)))?;
        self.end(connection, reason.clone());
        Some((connection, reason))
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.shared.next_event()
    }

    /// Counters since the start.
    pub fn stats(&self) -> PoolStats {
        PoolStats {
            connections: self.sessions.len(),
            hashrate_hps: self.shared.hashrate_hps(self.now),
            ..self.shared.stats.clone()
        }
    }

    /// All open channels, by connection and number.
    pub fn channels(&self) -> Vec<ChannelInfo> {
        let sessions = self.sessions.values();
        sessions.flat_map(Session::channels).collect()
    }

    /// The connections as they stand.
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.sessions.keys().copied().collect()
    }

    /// The config that it was started with.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Makes somebody else find a block now.
    pub fn force_block(&mut self, now: Duration) {
        self.advance(now);
        self.new_block();
    }

    /// Makes a new template on the same block now.
    pub fn force_job(&mut self, now: Duration) {
        self.advance(now);
        self.new_job();
    }

    /// Hangs up on one connection.
    pub fn close(&mut self, now: Duration, connection: ConnectionId) {
        self.advance(now);
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.close(CloseReason::ByOwner);
        }
    }

    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    fn new_block(&mut self) {
        self.shared.next_block(self.now, None);
        self.announce_block();
    }

    fn announce_block(&mut self) {
        for session in self.sessions.values_mut() {
            session.announce_block(self.now, &mut self.shared);
        }
        self.schedule_job();
        self.schedule_block();
    }

    fn new_job(&mut self) {
        self.shared.renew_template();
        for session in self.sessions.values_mut() {
            session.announce_job(self.now, &mut self.shared);
        }
        self.schedule_job();
    }

    fn schedule_job(&mut self) {
        let gap = self.shared.config.job_interval;
        self.next_job = (!gap.is_zero()).then(|| self.now.saturating_add(gap));
    }

    fn schedule_block(&mut self) {
        let mut gap = self.shared.config.block_interval;
        let on = !gap.is_zero();
        if self.shared.config.irregular_blocks {
            gap = gap / 4 + gap.mul_f64(1.5 * self.shared.random.f64());
        }
        self.next_block = on.then(|| self.now.saturating_add(gap));
    }

    fn end(&mut self, connection: ConnectionId, reason: CloseReason) {
        if self.sessions.remove(&connection).is_some() {
            self.shared
                .event(Event::Disconnected { connection, reason });
        }
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("now", &self.now)
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

impl Served for Core {
    type Event = Event;
    type CloseReason = CloseReason;
    type ConnectError = ConnectError;

    fn connect(&mut self, now: Duration, connection: ConnectionId) -> Result<(), ConnectError> {
        Core::connect(self, now, connection)
    }

    fn handle_bytes(&mut self, now: Duration, connection: ConnectionId, bytes: &[u8]) {
        Core::handle_bytes(self, now, connection, bytes);
    }

    fn disconnect(&mut self, now: Duration, connection: ConnectionId) {
        Core::disconnect(self, now, connection);
    }

    fn handle_timeout(&mut self, now: Duration) {
        Core::handle_timeout(self, now);
    }

    fn poll_timeout(&self) -> Option<Duration> {
        Core::poll_timeout(self)
    }

    fn poll_transmit(&mut self) -> Option<(ConnectionId, Vec<u8>)> {
        Core::poll_transmit(self)
    }

    fn poll_close(&mut self) -> Option<(ConnectionId, CloseReason)> {
        Core::poll_close(self)
    }

    fn poll_event(&mut self) -> Option<Event> {
        Core::poll_event(self)
    }

    fn stats(&self) -> PoolStats {
        Core::stats(self)
    }
}
