//! The pool without sockets: bytes and the time go in, messages and events come out. It holds the
//! sessions, makes new jobs when they are due and moves the chain on when a block is found.

use crate::config::{ConfigError, PoolConfig};
use crate::event::{CloseReason, ConnectionId, ConnectionInfo, Event, PoolStats};
use crate::ledger::Ledger;
use crate::session::Session;
use crate::template::JobTemplate;
use std::collections::BTreeMap;
use std::time::Duration;

/// Why a connection is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// As many as allowed are there.
    #[error("the pool is full: {0} connections are open")]
    Full(usize),
    /// The name is in use.
    #[error("connection {0} exists already")]
    Exists(ConnectionId),
}

/// The pool. All times are durations since one arbitrary fixed start and must not run backwards.
///
/// After every call that takes `now`, drain [`PoolCore::poll_transmit`], [`PoolCore::poll_close`] and
/// [`PoolCore::poll_event`], and call [`PoolCore::handle_timeout`] at [`PoolCore::poll_timeout`].
#[derive(Debug)]
pub struct PoolCore {
    ledger: Ledger,
    sessions: BTreeMap<ConnectionId, Session>,
    /// Where the search for something to send goes on, so that no connection starves another.
    cursor: ConnectionId,
    now: Duration,
    next_job: Option<Duration>,
    next_block: Option<Duration>,
}

impl PoolCore {
    /// A pool that starts its clock at zero.
    ///
    /// # Errors
    /// [`ConfigError`] names the first value out of its range.
    pub fn new(config: PoolConfig) -> Result<PoolCore, ConfigError> {
        config.validate()?;
        let mut core = PoolCore {
            ledger: Ledger::new(config),
            sessions: BTreeMap::new(),
            cursor: ConnectionId(0),
            now: Duration::ZERO,
            next_job: None,
            next_block: None,
        };
        core.schedule_job();
        core.schedule_block();
        Ok(core)
    }

    /// Takes a new connection.
    ///
    /// # Errors
    /// [`ConnectError`] if the pool is full or the name is taken; the connection is to be closed then.
    pub fn connect(&mut self, now: Duration, connection: ConnectionId) -> Result<(), ConnectError> {
        self.advance(now);
        if self.sessions.contains_key(&connection) {
            return Err(ConnectError::Exists(connection));
        }
        if self.sessions.len() >= self.ledger.config.max_connections {
            self.ledger.stats.refused_connections += 1;
            return Err(ConnectError::Full(self.sessions.len()));
        }
        self.ledger.stats.connects += 1;
        self.ledger.event(Event::Connected { connection });
        let session = Session::new(connection, self.now, &self.ledger);
        self.sessions.insert(connection, session);
        Ok(())
    }

    /// Bytes from a connection, cut anywhere. Unknown connections are ignored.
    pub fn handle_bytes(&mut self, now: Duration, connection: ConnectionId, bytes: &[u8]) {
        self.advance(now);
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.handle_bytes(self.now, bytes, &mut self.ledger);
        }
        self.move_past_solution();
    }

    /// The connection is gone. Its session can be resumed for a while.
    pub fn disconnect(&mut self, now: Duration, connection: ConnectionId) {
        self.advance(now);
        self.end(connection, CloseReason::ByPeer);
    }

    /// Does what is due: new jobs and blocks, difficulty, timed switches, idle connections.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.advance(now);
        if self.next_block.is_some_and(|due| due <= self.now) {
            self.new_block();
        } else if self.next_job.is_some_and(|due| due <= self.now) {
            self.new_job();
        }
        for session in self.sessions.values_mut() {
            session.handle_timeout(self.now, &mut self.ledger);
        }
    }

    /// When to call [`PoolCore::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let sessions = self
            .sessions
            .values()
            .filter_map(|session| session.next_timeout(&self.ledger.config));
        sessions.chain(self.next_job).chain(self.next_block).min()
    }

    /// The next bytes to write: one message, or what the delivery switches make of it.
    pub fn poll_transmit(&mut self) -> Option<(ConnectionId, Vec<u8>)> {
        let after = self.sessions.range_mut(self.cursor..).next().is_some();
        let start = if after { self.cursor } else { ConnectionId(0) };
        let quirks = &self.ledger.config.quirks;
        let mut found = None;
        for (connection, session) in self.sessions.range_mut(start..) {
            if let Some(bytes) = session.outbox.pop(quirks) {
                found = Some((*connection, bytes));
                break;
            }
        }
        if found.is_none() {
            for (connection, session) in self.sessions.range_mut(..start) {
                if let Some(bytes) = session.outbox.pop(quirks) {
                    found = Some((*connection, bytes));
                    break;
                }
            }
        }
        if let Some((connection, _)) = &found {
            self.cursor = ConnectionId(connection.0.wrapping_add(1));
        }
        found
    }

    /// The next connection to hang up on. It comes after all that was to be sent to it, and is already
    /// forgotten here.
    pub fn poll_close(&mut self) -> Option<(ConnectionId, CloseReason)> {
        let (connection, reason) = self.sessions.iter().find_map(|(connection, session)| {
            let reason = session.closing()?;
            let unread = matches!(reason, CloseReason::SlowReader);
            (unread || session.outbox.is_empty()).then(|| (*connection, reason.clone()))
        })?;
        self.end(connection, reason.clone());
        Some((connection, reason))
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.ledger.next_event()
    }

    /// Counters since the start.
    pub fn stats(&self) -> PoolStats {
        PoolStats {
            connections: self.sessions.len(),
            hashrate_hps: self.ledger.hashrate_hps(self.now),
            ..self.ledger.stats.clone()
        }
    }

    /// The connections as they stand, oldest name first.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.sessions
            .values()
            .map(|session| session.info(&self.ledger.config))
            .collect()
    }

    /// The newest job for everybody.
    pub fn current_job(&self) -> &JobTemplate {
        &self.ledger.job
    }

    /// The config that it was started with.
    pub fn config(&self) -> &PoolConfig {
        &self.ledger.config
    }

    /// Makes somebody else find a block now: a clean job for everybody.
    pub fn force_block(&mut self, now: Duration) {
        self.advance(now);
        self.new_block();
    }

    /// Makes a new job on the same block now.
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

    fn move_past_solution(&mut self) {
        if let Some(hash) = self.ledger.solved.take() {
            self.ledger.next_block(self.now, Some(hash));
            self.announce();
            self.schedule_block();
        }
    }

    fn new_block(&mut self) {
        self.ledger.next_block(self.now, None);
        self.announce();
        self.schedule_block();
    }

    fn new_job(&mut self) {
        self.ledger.renew_job(self.now, false);
        self.announce();
    }

    fn announce(&mut self) {
        let job = self.ledger.job.clone();
        for session in self.sessions.values_mut() {
            session.announce(self.now, &job, job.clean, &mut self.ledger);
        }
        self.schedule_job();
    }

    fn schedule_job(&mut self) {
        let gap = self.ledger.config.job_interval;
        self.next_job = (!gap.is_zero()).then(|| self.now.saturating_add(gap));
    }

    fn schedule_block(&mut self) {
        let mut gap = self.ledger.config.block_interval;
        if self.ledger.config.irregular_blocks {
            gap = gap / 4 + gap.mul_f64(1.5 * self.ledger.random.f64());
        }
        let on = !self.ledger.config.block_interval.is_zero();
        self.next_block = on.then(|| self.now.saturating_add(gap));
    }

    fn end(&mut self, connection: ConnectionId, reason: CloseReason) {
        if let Some(session) = self.sessions.remove(&connection) {
            session.bequeath(self.now, &mut self.ledger);
            self.ledger
                .event(Event::Disconnected { connection, reason });
        }
    }
}
