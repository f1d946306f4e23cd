//! What the embedded pool is told at its start.

use crate::chain::MAINNET_LIKE_NBITS;
use crate::quirks::{Quirk, Quirks};
use crate::share::{ShareRules, VersionForm};
use crate::vardiff::VardiffConfig;
use std::time::Duration;

/// Everything that can be set. [`PoolConfig::default`] is a well-behaved pool on a chain like the main
/// network's; [`PoolConfig::demo`] suits simulated boards.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolConfig {
    /// Fixes every made-up value: two pools with the same config and input behave alike.
    pub seed: u64,
    /// Unix time in seconds at the moment that the pool's clock calls zero; header times start there.
    pub unix_start: u64,
    /// Height of the first block to work on.
    pub height: u32,
    /// The network's target in compact form; a share that meets it makes a block.
    pub nbits: u32,
    /// Text in the coinbase, at most 36 bytes of it.
    pub tag: String,
    /// How often a new job on the same block comes. Zero: never.
    pub job_interval: Duration,
    /// How often somebody else finds a block. Zero: never.
    pub block_interval: Duration,
    /// Spread the gaps between blocks between a quarter and seven quarters of the interval.
    pub irregular_blocks: bool,
    /// Follow a change of difficulty with a job at once, so that it counts at once.
    pub job_after_difficulty: bool,
    /// Share rate control.
    pub vardiff: VardiffConfig,
    /// Size of the pool's part of the extranonce, 0 to 32 bytes.
    pub extranonce1_size: u8,
    /// Size of the miner's part of the extranonce, 1 to 16 bytes.
    pub extranonce2_size: u8,
    /// Version bits that miners may roll; `None` refuses version rolling.
    pub version_mask: Option<u32>,
    /// What shares are held to.
    pub rules: ShareRules,
    /// Behaviour switches.
    pub quirks: Quirks,
    /// Connections at the same time.
    pub max_connections: usize,
    /// Bytes in one line from a miner before the pool hangs up.
    pub max_line: usize,
    /// Silence from a miner after which the pool hangs up.
    pub idle_timeout: Duration,
    /// How long a lost session may be resumed.
    pub resume_for: Duration,
}

/// Why a config is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Extranonce1 is too large.
    #[error("extranonce1 of {0} bytes is too large, expected 0 to 32")]
    Extranonce1Size(u8),
    /// Extranonce2 is empty or too large.
    #[error("extranonce2 of {0} bytes is not possible, expected 1 to 16")]
    Extranonce2Size(u8),
    /// The nbits are not a target.
    #[error("nbits {0:08x} stand for no target, expected for example 1d00ffff")]
    Nbits(u32),
    /// No connection would ever be taken.
    #[error("max_connections is 0, expected at least 1")]
    Connections,
    /// No request fits in a line.
    #[error("max_line is {0} bytes, expected at least 512")]
    Line(usize),
}

impl Default for PoolConfig {
    fn default() -> PoolConfig {
        PoolConfig {
            seed: 0,
            unix_start: 1_767_225_600, // 2026-01-01, for those who do not care
            height: 930_000,
            nbits: MAINNET_LIKE_NBITS,
            tag: "/hashwright/".to_owned(),
            job_interval: Duration::from_secs(30),
            block_interval: Duration::from_secs(600),
            irregular_blocks: false,
            job_after_difficulty: true,
            vardiff: VardiffConfig::default(),
            extranonce1_size: 4,
            extranonce2_size: 8,
            version_mask: Some(0x1fff_e000),
            rules: ShareRules::STRICT,
            quirks: Quirks::none(),
            max_connections: 64,
            max_line: 16 * 1024,
            idle_timeout: Duration::from_secs(600),
            resume_for: Duration::from_secs(600),
        }
    }
}

impl PoolConfig {
    /// A lively pool for a simulated board: about one share a second, a block every few minutes. The
    /// start difficulty is for some 16 MH/s of real hashing; vardiff finds the rest.
    pub fn demo(seed: u64, unix_start: u64) -> PoolConfig {
        let defaults = VardiffConfig::default();
        PoolConfig {
            seed,
            unix_start,
            block_interval: Duration::from_secs(240),
            irregular_blocks: true,
            vardiff: VardiffConfig {
                start: crate::Difficulty::new(0.004).unwrap_or(defaults.start),
                shares_per_minute: 60.0,
                window: Duration::from_secs(10),
                ..defaults
            },
            ..PoolConfig::default()
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`ConfigError`] names the first value out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.extranonce1_size > 32 {
            return Err(ConfigError::Extranonce1Size(self.extranonce1_size));
        }
        if !(1..=16).contains(&self.extranonce2_size) {
            return Err(ConfigError::Extranonce2Size(self.extranonce2_size));
        }
        if crate::target::Target::from_nbits(self.nbits).is_none() {
            return Err(ConfigError::Nbits(self.nbits));
        }
        if self.max_connections == 0 {
            return Err(ConfigError::Connections);
        }
        if self.max_line < 512 {
            return Err(ConfigError::Line(self.max_line));
        }
        Ok(())
    }

    /// The share rules with the switches about version bits applied.
    pub(crate) fn effective_rules(&self) -> ShareRules {
        let version_form = if self.quirks.has(Quirk::VersionOr) {
            VersionForm::Or
        } else if self.quirks.has(Quirk::VersionXor) {
            VersionForm::Xor
        } else {
            self.rules.version_form
        };
        ShareRules {
            version_form,
            ..self.rules
        }
    }
}
