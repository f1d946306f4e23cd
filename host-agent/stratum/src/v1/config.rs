//! What a session needs to know about its pool and our side, checked once.

use std::time::Duration;

use mining::Difficulty;
use thiserror::Error;

use super::memory::PoolMemory;
use crate::text::Secret;
use crate::url::{PoolUrl, Scheme};

/// Settings of one pool.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the pool listens. A fragment `#xnsub` in it is ignored here; see
    /// [`Config::new`] and [`Config::extranonce_subscribe`].
    pub url: PoolUrl,
    /// User or worker name, up to 512 bytes.
    pub user: String,
    /// Password, up to 512 bytes; most pools ignore it.
    pub password: Secret,
    /// Name and version of the miner, up to 128 bytes. Some pools choose by it.
    pub agent: String,
    /// A share difficulty to ask the pool for. Fractions are sent only to pools that have
    /// shown fractions, for others they are rounded, or left out below 1.
    pub suggest_difficulty: Option<Difficulty>,
    /// Whether to send `mining.extranonce.subscribe`. Off by default: hydrapool hangs up on
    /// it. NiceHash changes the extranonce of a running session only with it.
    pub extranonce_subscribe: bool,
    /// Version bits that the miner can roll; 0 to roll none. BM13xx chips roll `1fffe000`.
    pub version_mask: u32,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// What earlier sessions with this pool learnt.
    pub memory: PoolMemory,
}

/// How long a session waits. The defaults suit pools on the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to come about; default 60 s. The transport gives up earlier, and knows
    /// better why.
    pub connect: Duration,
    /// For the answers to subscribe and authorize; default 30 s.
    pub handshake: Duration,
    /// For the first job after the subscription; default 60 s.
    pub first_job: Duration,
    /// Between jobs of a pool that sends jobs between blocks; default 3 minutes. Other pools
    /// get five times as long while they accept shares.
    pub silence: Duration,
    /// For the answer to a share, which then counts as unconfirmed; default 60 s.
    pub submit: Duration,
    /// How long a share is worth keeping over a broken connection; default 120 s, as cgminer
    /// does.
    pub resubmit: Duration,
    /// The second wait between attempts to connect; default 1 s. The first is shorter, the others
    /// double with each failure; see [`crate::backoff::Backoff`].
    pub backoff_min: Duration,
    /// The longest wait between attempts to connect; default 60 s.
    pub backoff_max: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(60),
            handshake: Duration::from_secs(30),
            first_job: Duration::from_secs(60),
            silence: Duration::from_secs(180),
            submit: Duration::from_secs(60),
            resubmit: Duration::from_secs(120),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
        }
    }
}

/// The name under which miners with this program show up at pools.
pub const DEFAULT_AGENT: &str = concat!("hashwright/", env!("CARGO_PKG_VERSION"));
/// Version bits that BM13xx chips can roll, and that BIP 320 leaves to miners.
pub const DEFAULT_VERSION_MASK: u32 = 0x1fff_e000;

/// Escaped in JSON, a byte can take six; two of these fit in 8 KiB even so.
const MAX_CREDENTIAL: usize = 512;
const MAX_AGENT: usize = 128;

impl Config {
    /// Settings with defaults for all but the pool and the user. A `#xnsub` in the URL turns
    /// extranonce subscription on.
    #[must_use]
    pub fn new(url: PoolUrl, user: impl Into<String>, password: Secret) -> Self {
        Self {
            extranonce_subscribe: url.extranonce_subscribe(),
            url,
            user: user.into(),
            password,
            agent: DEFAULT_AGENT.to_owned(),
            suggest_difficulty: None,
            version_mask: DEFAULT_VERSION_MASK,
            timeouts: Timeouts::default(),
            memory: PoolMemory::default(),
        }
    }

    /// Checks the protocol, and lengths: a line to a pool must stay well below 8 KiB.
    ///
    /// # Errors
    ///
    /// If the URL is not for Stratum V1, user, password or agent are too long, or the user is
    /// empty.
    pub fn check(&self) -> Result<(), ConfigError> {
        let limits = [
            ("user", self.user.len(), MAX_CREDENTIAL),
            ("password", self.password.expose().len(), MAX_CREDENTIAL),
            ("agent", self.agent.len(), MAX_AGENT),
        ];
        if !matches!(self.url.scheme(), Scheme::V1 | Scheme::V1Tls) {
            return Err(ConfigError::Scheme(self.url.clone()));
        }
        if self.user.is_empty() {
            return Err(ConfigError::NoUser);
        }
        match limits.into_iter().find(|(_, len, max)| len > max) {
            Some((what, len, max)) => Err(ConfigError::TooLong { what, len, max }),
            None => Ok(()),
        }
    }
}

/// Settings that no pool would take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The URL is for something else.
    #[error("{0} is not the address of a Stratum V1 pool")]
    Scheme(PoolUrl),
    /// The user is missing.
    #[error("the pool's user is empty; expected an address or account name, often with .worker")]
    NoUser,
    /// A text is too long.
    #[error("the pool's {what} has {len} bytes, expected at most {max}")]
    TooLong {
        /// Which setting.
        what: &'static str,
        /// Its length, bytes.
        len: usize,
        /// The limit, bytes.
        max: usize,
    },
}
