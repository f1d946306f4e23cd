//! What a session needs to know about its pool and our side, checked once.

use std::time::Duration;

use thiserror::Error;

use super::wire;
use crate::authority::AuthorityKey;
use crate::url::PoolUrl;

/// Settings of one pool.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the pool listens.
    pub url: PoolUrl,
    /// User or worker name, up to 255 bytes.
    pub user: String,
    /// Which kind of channel to open.
    pub channel: ChannelKind,
    /// The key by which the pool is recognised. Without one anybody who answers is taken for
    /// the pool, so leave it out only on the owner's word.
    pub authority_key: Option<AuthorityKey>,
    /// Expected hashrate until [`set_hashrate`](crate::Session::set_hashrate) tells a better
    /// one, H/s, above 0. The pool picks the first share target by it.
    pub nominal_hashrate: f64,
    /// Version bits that the miner can roll; 0 to roll none. BM13xx chips roll `1fffe000`.
    pub version_mask: u32,
    /// Who made the miner, 1 to 255 bytes.
    pub vendor: String,
    /// What miner it is, up to 255 bytes.
    pub hardware: String,
    /// What runs on it, up to 255 bytes.
    pub firmware: String,
    /// Which miner it is, up to 255 bytes. Empty by default, since it lets pools recognise a
    /// machine.
    pub device: String,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

/// Who makes the merkle root of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// We do, from the coinbase that the pool sends.
    #[default]
    Extended,
    /// The pool does; only version, time and nonce are left to the miner.
    Standard,
}

/// How long a session waits. The defaults suit pools on the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to come about; default 30 s. The transport gives up earlier.
    pub connect: Duration,
    /// From the open connection to the open channel; default 30 s. Noise gets 10 s of it.
    pub handshake: Duration,
    /// For the first job after the channel has been opened; default 60 s.
    pub first_job: Duration,
    /// Between jobs of a pool that sends jobs between blocks; default 3 minutes. Other pools
    /// get ten times as long while they say anything at all.
    pub silence: Duration,
    /// The first wait between attempts to connect; default 1 s. It doubles with each failure.
    pub backoff_min: Duration,
    /// The longest wait between attempts to connect; default 60 s.
    pub backoff_max: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            handshake: Duration::from_secs(30),
            first_job: Duration::from_secs(60),
            silence: Duration::from_secs(180),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
        }
    }
}

/// Version bits that BM13xx chips can roll; all of them are among those that BIP 320 and
/// BIP 323 leave to miners.
pub const DEFAULT_VERSION_MASK: u32 = 0x1fff_e000;

/// Longest text of the protocol, bytes.
const MAX_TEXT: usize = 255;
/// About what a small miner has.
const DEFAULT_HASHRATE: f64 = 1e12;

impl Config {
    /// Settings with defaults for all but the pool and the user. The authority key is the one
    /// in the URL.
    #[must_use]
    pub fn new(url: PoolUrl, user: impl Into<String>) -> Self {
        Self {
            authority_key: url.authority_key(),
            url,
            user: user.into(),
            channel: ChannelKind::default(),
            nominal_hashrate: DEFAULT_HASHRATE,
            version_mask: DEFAULT_VERSION_MASK,
            vendor: "hashwright".to_owned(),
            hardware: String::new(),
            firmware: concat!("hashwright/", env!("CARGO_PKG_VERSION")).to_owned(),
            device: String::new(),
            timeouts: Timeouts::default(),
        }
    }

    /// Checks what no pool would take.
    ///
    /// # Errors
    ///
    /// If a text is empty that must not be, or too long, if the hashrate is no positive number,
    /// or the authority key cannot be one.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.user.is_empty() {
            return Err(ConfigError::NoUser);
        }
        if self.vendor.is_empty() {
            return Err(ConfigError::NoVendor);
        }
        let texts = [
            ("user", &self.user),
            ("vendor", &self.vendor),
            ("hardware name", &self.hardware),
            ("firmware name", &self.firmware),
            ("device name", &self.device),
        ];
        if let Some((what, text)) = texts.into_iter().find(|(_, text)| text.len() > MAX_TEXT) {
            let len = text.len();
            return Err(ConfigError::TooLong { what, len });
        }
        if !(self.nominal_hashrate.is_finite() && self.nominal_hashrate > 0.0) {
            return Err(ConfigError::Hashrate(self.nominal_hashrate));
        }
        match &self.authority_key {
            Some(key) if !wire::is_on_curve(key) => Err(ConfigError::Key(*key)),
            _ => Ok(()),
        }
    }
}

/// Settings that no pool would take.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ConfigError {
    /// The user is missing.
    #[error("the pool's user is empty; expected an address or account name, often with .worker")]
    NoUser,
    /// The vendor is missing.
    #[error("the vendor's name is empty, and pools want one")]
    NoVendor,
    /// A text is too long.
    #[error("the pool's {what} has {len} bytes, expected at most 255")]
    TooLong {
        /// Which setting.
        what: &'static str,
        /// Its length, bytes.
        len: usize,
    },
    /// The hashrate is no positive number.
    #[error("a hashrate of {0} H/s was to be told to the pool; expected a positive number")]
    Hashrate(f64),
    /// The authority key is not on the curve.
    #[error(
        "the key {0} in the pool's URL cannot belong to any pool; copy it once more from the \
         pool's page"
    )]
    Key(AuthorityKey),
}
