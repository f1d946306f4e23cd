//! What a session needs to know about its node and its owner, checked once.

use std::path::PathBuf;
use std::time::Duration;

use bitcoin::{Network, Script};
use payout::{AddressError, PayoutAddress};
use stratum::{PoolUrl, Secret};
use thiserror::Error;

use crate::candidate::MAX_TAG;

/// Settings of one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the node listens for RPC, `http://` or `https://`.
    pub url: PoolUrl,
    /// How the node knows us.
    pub auth: Auth,
    /// Who is paid: P2PKH, P2SH, P2WPKH, P2WSH or P2TR.
    pub payout_address: String,
    /// The network that the node must be on; `None` takes whatever network the address fits.
    pub network: Option<Network>,
    /// Text that everybody can read in our blocks, up to [`MAX_TAG`] bytes; may be empty.
    pub coinbase_tag: String,
    /// Folder for the blocks that are found; it is made when the first one is.
    pub blocks_dir: PathBuf,
    /// How long to wait for what.
    pub timeouts: Timeouts,
}

/// How the node knows us.
#[derive(Clone, Debug)]
pub enum Auth {
    /// It does not ask; some proxies do that for the node.
    None,
    /// By the cookie file that the node writes at each of its starts.
    Cookie(PathBuf),
    /// By user and password, `rpcuser` and `rpcpassword` (or `rpcauth`) of the node.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// How long a session waits, and how often it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the answer to a call; default 30 s.
    pub call: Duration,
    /// For the answer to a long poll, which nodes hold back until something changes; default
    /// 15 min.
    pub long_poll: Duration,
    /// For the answer to a block, which the node checks meanwhile; default 60 s.
    pub submit: Duration,
    /// Between templates, beside long polls; default 30 s.
    pub refresh: Duration,
    /// Between templates of a node without long polls; default 5 s.
    pub refresh_alone: Duration,
    /// Between looks at the newest block of a node without long polls, where it can tell that
    /// without a template; default 1 s.
    pub tip: Duration,
    /// For a found block to be written to its file, before it is sent without; default 1 s.
    pub save: Duration,
    /// How long a job is good when the node no longer answers; default 2 min.
    pub keep: Duration,
    /// The first wait before a failed connection is tried again; default 1 s. It doubles with
    /// each failure.
    pub backoff_min: Duration,
    /// The longest wait of that kind; default 30 s.
    pub backoff_max: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(30),
            long_poll: Duration::from_secs(15 * 60),
            submit: Duration::from_secs(60),
            refresh: Duration::from_secs(30),
            refresh_alone: Duration::from_secs(5),
            tip: Duration::from_secs(1),
            save: Duration::from_secs(1),
            keep: Duration::from_secs(120),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
        }
    }
}

/// The text in our blocks if the owner wants no other.
pub const DEFAULT_TAG: &str = "/hashwright/";

impl Config {
    /// Settings with defaults for all but node, credentials, address and folder.
    #[must_use]
    pub fn new(
        url: PoolUrl,
        auth: Auth,
        payout_address: impl Into<String>,
        blocks_dir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            url,
            auth,
            payout_address: payout_address.into(),
            network: None,
            coinbase_tag: DEFAULT_TAG.to_owned(),
            blocks_dir: blocks_dir.into(),
            timeouts: Timeouts::default(),
        }
    }

    /// Checks address, network and tag, and gives the address back.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with a text for the owner.
    pub fn check(&self) -> Result<PayoutAddress, ConfigError> {
        let len = self.coinbase_tag.len();
        if len > MAX_TAG {
            return Err(ConfigError::Tag(len));
        }
        let address = PayoutAddress::parse(&self.payout_address, self.network)?;
        let script = Script::from_bytes(address.script());
        // Coins paid to any other kind of output belong to whoever comes first.
        let owned = script.is_p2pkh()
            || script.is_p2sh()
            || script.is_p2wpkh()
            || script.is_p2wsh()
            || script.is_p2tr();
        if !owned {
            return Err(ConfigError::Anyone(address.to_string()));
        }
        Ok(address)
    }
}

/// Settings that would cost the reward.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The address is none, or none of the network.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// An address that nobody owns yet.
    #[error(
        "{0} is an address of a kind that has no owner: anybody could take what is paid to it; use \
         an address of your wallet (P2PKH, P2SH, P2WPKH, P2WSH or P2TR)"
    )]
    Anyone(String),
    /// The tag is too long.
    #[error("the coinbase tag has {0} bytes, expected at most {MAX_TAG}")]
    Tag(usize),
}
