//! What a session knows about one connection; all of it ends with the connection.

use std::time::Duration;

use mining::Target;

use crate::v2::ledger::Ledger;
use crate::v2::stream::Stream;

/// A host and its port.
pub(super) type Endpoint = (String, u16);

/// Where a session stands.
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
pub(super) struct Connection {
    pub(super) since: Duration,
    /// This computer's clock at that moment, since 1970.
    pub(super) unix_time: Duration,
    pub(super) to: Endpoint,
    pub(super) stream: Stream,
    pub(super) phase: Phase,
    /// The server does not let anybody roll version bits.
    pub(super) fixed_version: bool,
    /// When the last byte came.
    pub(super) heard_at: Option<Duration>,
    pub(super) first_job_at: Option<Duration>,
    /// When the last job or tip came, whether it was to be worked on or not.
    pub(super) last_job_at: Option<Duration>,
    pub(super) accepted_at: Option<Duration>,
}

/// How far a connection has come.
pub(super) enum Phase {
    /// The Noise handshake goes on.
    Noise,
    /// The answer to `SetupConnection` is awaited.
    Setup,
    /// The answer to the request for a channel is awaited.
    Opening {
        /// The hashrate that it tells, H/s.
        told: f64,
    },
    /// The channel is open.
    Open(Box<Channel>),
}

/// An open channel.
pub(super) struct Channel {
    pub(super) id: u32,
    pub(super) group: u32,
    pub(super) session: u64,
    /// What jobs to come will have. Jobs that are here keep theirs.
    pub(super) prefix: Vec<u8>,
    /// Our part of the extranonce, bytes; `None` on a standard channel.
    pub(super) extranonce_size: Option<usize>,
    /// What jobs to come will have, and those for a block to come.
    pub(super) target: Target,
    pub(super) ledger: Ledger,
    pub(super) opened_at: Duration,
    /// The hashrate that the server was told last, H/s, and when.
    pub(super) told: f64,
    pub(super) told_at: Duration,
}

impl Channel {
    /// Whether a message to a channel or group is for us.
    pub(super) fn is_meant(&self, address: u32) -> bool {
        address == self.id || address == self.group
    }

    /// When the server must be told that the hashrate is another one: soon while the machine
    /// starts up, at most once a minute later. `None` while what it knows is good enough.
    pub(super) fn update_due(&self, hashrate: f64, now: Duration) -> Option<Duration> {
        const TOLERANCE: f64 = 0.1;
        const START: Duration = Duration::from_secs(60);
        const SOON: Duration = Duration::from_secs(1);
        const LATER: Duration = Duration::from_secs(60);
        if (hashrate - self.told).abs() <= TOLERANCE * self.told {
            return None;
        }
        let soon = self.told_at.saturating_add(SOON).max(now);
        if soon <= self.opened_at.saturating_add(START) {
            Some(soon)
        } else {
            Some(self.told_at.saturating_add(LATER))
        }
    }
}

impl Connection {
    pub(super) fn new(to: Endpoint, since: Duration, unix_time: Duration, stream: Stream) -> Self {
        Self {
            since,
            unix_time,
            to,
            stream,
            phase: Phase::Noise,
            fixed_version: false,
            heard_at: None,
            first_job_at: None,
            last_job_at: None,
            accepted_at: None,
        }
    }

    /// This computer's clock, seconds since 1970.
    pub(super) fn unix_now(&self, now: Duration) -> u64 {
        let passed = now.saturating_sub(self.since);
        self.unix_time.saturating_add(passed).as_secs()
    }

    pub(super) fn channel(&self) -> Option<&Channel> {
        match &self.phase {
            Phase::Open(channel) => Some(channel),
            _ => None,
        }
    }

    pub(super) fn channel_mut(&mut self) -> Option<&mut Channel> {
        match &mut self.phase {
            Phase::Open(channel) => Some(channel),
            _ => None,
        }
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
