//! What the Stratum V2 pool is told at its start.

use super::authority::Authority;
use super::quirks::Quirks;
use crate::chain::{MAINNET_LIKE_NBITS, TEST_SCRIPT};
use crate::target::{Difficulty, Target};
use crate::vardiff::VardiffConfig;
use std::time::Duration;

/// Most bytes of the miner's part of the extranonce: 32 in all, of which the pool needs one to tell
/// channels apart.
const MAX_EXTRANONCE_SIZE: u8 = 31;
/// What a script signature of 100 bytes leaves for the tag beside height, extranonce and delimiters.
const MAX_TAG: usize = 50;

/// Everything that can be set. [`Config::default`] is a well-behaved pool on a chain like the main
/// network's.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Fixes every made-up value, the keys of the connections included.
    pub seed: u64,
    /// The key pair that miners trust.
    pub authority: Authority,
    /// How long a connection's certificate is valid.
    pub certificate_valid_for: Duration,
    /// Unix time in seconds at the moment that the pool's clock calls zero.
    pub unix_start: u64,
    /// Height of the first block to work on.
    pub height: u32,
    /// The network's target in compact form; a share that meets it makes a block.
    pub nbits: u32,
    /// Text in the coinbase, at most 50 bytes.
    pub tag: String,
    /// The script that the coinbase pays; see [`Config::pay_to`].
    pub payout_script: Vec<u8>,
    /// How often a new job on the same block comes. Zero: never.
    pub job_interval: Duration,
    /// How often somebody else finds a block. Zero: never; as with real pools, shares whose header time
    /// is more than two hours after the last block are refused then.
    pub block_interval: Duration,
    /// Spread the gaps between blocks between a quarter and seven quarters of the interval.
    pub irregular_blocks: bool,
    /// Difficulty of every new channel; `None` takes what the miner's nominal hashrate asks for, as real
    /// pools do.
    pub difficulty: Option<Difficulty>,
    /// Share rate control. Its start is not used; a rate of zero keeps the difficulty.
    pub vardiff: VardiffConfig,
    /// Follow a change of the target with a job at once, so that it counts at once.
    pub job_after_target: bool,
    /// Accepted shares that one acknowledgement covers; 1 or more. What does not fill a batch waits, as
    /// with real pools.
    pub share_batch: u32,
    /// Size of the miner's part of the extranonce on extended channels, 0 to 31 bytes.
    pub extranonce_size: u8,
    /// Whether miners may roll version bits.
    pub version_rolling: bool,
    /// Behaviour switches.
    pub quirks: Quirks,
    /// Connections at the same time.
    pub max_connections: usize,
    /// Channels of one connection.
    pub max_channels: usize,
    /// Bytes of one frame from a miner before the pool hangs up.
    pub max_frame: usize,
    /// Silence from a miner after which the pool hangs up. Stratum V2 has no ping, so this is long.
    pub idle_timeout: Duration,
}

/// Why a config is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The miner's part of the extranonce is too large.
    #[error("an extranonce of {0} bytes is too large, expected 0 to 31")]
    ExtranonceSize(u8),
    /// The nbits are not a target.
    #[error("nbits {0:08x} stand for no target, expected for example 1d00ffff")]
    Nbits(u32),
    /// The tag does not fit into the coinbase.
    #[error("a tag of {0} bytes does not fit into the coinbase, expected at most 50")]
    Tag(usize),
    /// No share would ever be acknowledged.
    #[error("share_batch is 0, expected at least 1")]
    ShareBatch,
    /// The script is too large for any coinbase.
    #[error("a payout script of {0} bytes is too large, expected at most 10000")]
    PayoutScript(usize),
    /// No connection or channel would ever be taken.
    #[error("max_connections and max_channels must be at least 1")]
    Nobody,
    /// No message fits in a frame.
    #[error("max_frame is {0} bytes, expected at least 1024")]
    Frame(usize),
}

/// The text that is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address:?} is not a Bitcoin address: {reason}")]
pub struct PayoutError {
    /// The text.
    pub address: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            seed: 0,
            authority: Authority::from_seed(0),
            certificate_valid_for: Duration::from_secs(3600),
            unix_start: 1_767_225_600, // 2026-01-01, for those who do not care
            height: 930_000,
            nbits: MAINNET_LIKE_NBITS,
            tag: "hashwright".to_owned(),
            payout_script: TEST_SCRIPT.to_vec(),
            job_interval: Duration::from_secs(30),
            block_interval: Duration::from_secs(600),
            irregular_blocks: false,
            difficulty: None,
            vardiff: VardiffConfig::default(),
            job_after_target: true,
            share_batch: 10,
            extranonce_size: 16,
            version_rolling: true,
            quirks: Quirks::none(),
            max_connections: 64,
            max_channels: 16,
            max_frame: 64 * 1024,
            idle_timeout: Duration::from_secs(3600),
        }
    }
}

impl Config {
    /// Makes the coinbase pay an address of any network.
    ///
    /// # Errors
    /// [`PayoutError`] if the text is no address.
    pub fn pay_to(&mut self, address: &str) -> Result<(), PayoutError> {
        let wrong = |reason: String| PayoutError {
            address: address.chars().take(100).collect(),
            reason,
        };
        let parsed: bitcoin::Address<bitcoin::address::NetworkUnchecked> = address
            .parse()
            .map_err(|error: bitcoin::address::ParseError| wrong(error.to_string()))?;
        self.payout_script = parsed.assume_checked().script_pubkey().into_bytes();
        Ok(())
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`ConfigError`] names the first value out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.extranonce_size > MAX_EXTRANONCE_SIZE {
            return Err(ConfigError::ExtranonceSize(self.extranonce_size));
        }
        if Target::from_nbits(self.nbits).is_none() {
            return Err(ConfigError::Nbits(self.nbits));
        }
        if self.tag.len() > MAX_TAG {
            return Err(ConfigError::Tag(self.tag.len()));
        }
        if self.share_batch == 0 {
            return Err(ConfigError::ShareBatch);
        }
        if self.payout_script.len() > 10_000 {
            return Err(ConfigError::PayoutScript(self.payout_script.len()));
        }
        if self.max_connections == 0 || self.max_channels == 0 {
            return Err(ConfigError::Nobody);
        }
        if self.max_frame < 1024 {
            return Err(ConfigError::Frame(self.max_frame));
        }
        Ok(())
    }
}
