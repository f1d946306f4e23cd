//! What a session knows about one connection; all of it ends with the connection.

use std::time::Duration;

use mining::Difficulty;

use crate::v1::foreign::Sniffer;
use crate::v1::lines::Lines;
use crate::v1::message::Extranonce;
use crate::v1::notify::Notify;
use crate::v1::request::Request;

/// A host and its port.
pub(super) type Endpoint = (String, u16);

/// Where a session stands.
#[derive(Debug)]
pub(super) enum Link {
    /// Not started, or stopped.
    Idle,
    /// Before the next attempt.
    Waiting { until: Duration },
    /// The shell opens a connection.
    Connecting { to: Endpoint, deadline: Duration },
    /// The connection is open.
    Up(Box<Connection>),
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) since: Duration,
    pub(super) to: Endpoint,
    pub(super) sniffer: Sniffer,
    pub(super) lines: Lines,
    /// Requests without an answer; never more than one of each kind.
    pub(super) open: Vec<(u64, Request)>,
    pub(super) sent_configure: bool,
    pub(super) sent_suggestion: bool,
    /// When the last byte came.
    pub(super) heard_at: Option<Duration>,
    pub(super) subscribed_at: Option<Duration>,
    pub(super) authorized: bool,
    /// Version bits that may be rolled; `None` if rolling was not agreed, and submits go
    /// without a sixth parameter.
    pub(super) rolling: Option<u32>,
    /// What the next job will have. Jobs that are out keep theirs.
    pub(super) difficulty: Difficulty,
    /// What the next job will have, once subscribed.
    pub(super) extranonce: Option<Extranonce>,
    /// A job that came before the answer to subscribe.
    pub(super) early_job: Option<Box<Notify>>,
    pub(super) first_job_at: Option<Duration>,
    pub(super) last_job_at: Option<Duration>,
    pub(super) accepted_at: Option<Duration>,
    next_id: u64,
}

impl Connection {
    pub(super) fn new(to: Endpoint, since: Duration) -> Self {
        Self {
            since,
            to,
            sniffer: Sniffer::default(),
            lines: Lines::default(),
            open: Vec::new(),
            sent_configure: false,
            sent_suggestion: false,
            heard_at: None,
            subscribed_at: None,
            authorized: false,
            rolling: None,
            difficulty: Difficulty::ONE,
            extranonce: None,
            early_job: None,
            first_job_at: None,
            last_job_at: None,
            accepted_at: None,
            next_id: 0,
        }
    }

    /// A request number that was not used on this connection.
    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn is_open(&self, request: Request) -> bool {
        self.open.iter().any(|(_, open)| *open == request)
    }

    pub(super) fn close(&mut self, id: u64) -> Option<Request> {
        let at = self.open.iter().position(|(open, _)| *open == id)?;
        Some(self.open.swap_remove(at).1)
    }

    /// Shares may be sent: the pool knows the worker, and which jobs are still good is clear.
    pub(super) fn takes_shares(&self) -> bool {
        self.authorized && self.first_job_at.is_some()
    }

    /// It has done what it is for, so that the next attempt need not be put off for long.
    pub(super) fn has_proved_good(&self, now: Duration) -> bool {
        const LASTING: Duration = Duration::from_secs(60);
        let lasted = self
            .first_job_at
            .is_some_and(|first| first.saturating_add(LASTING) <= now);
        self.accepted_at.is_some() || lasted
    }
}
