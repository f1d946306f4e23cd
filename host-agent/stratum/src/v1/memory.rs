//! What a session learns about its pool and keeps over connections. The shell may store it
//! and give it back after a restart.

use serde::{Deserialize, Serialize};

/// Peculiarities of a pool, found out by talking to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolMemory {
    /// The pool hangs up when `mining.configure` comes first, as ckpool did in 2017. It is
    /// left out then, and tried again once an hour.
    pub refuses_configure: bool,
    /// How the pool reads the version bits of a share.
    pub version_bits: VersionBitsForm,
    /// The pool judges shares of older jobs by a new difficulty at once, as public-pool does.
    pub judges_at_once: bool,
    /// The pool has sent a fractional difficulty, so it may be asked for one.
    pub fractional_difficulty: bool,
    /// The pool sends jobs between blocks, so that silence means that something is wrong.
    pub refreshes_jobs: bool,
}

/// How the sixth parameter of `mining.submit` is put together.
///
/// The forms differ only where a job's own version has bits inside the mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionBitsForm {
    /// The final version's bits inside the mask, as BIP 310 says. Right for pools that
    /// replace the masked bits (SRI translator, hydrapool) and that OR them (ckpool).
    #[default]
    Final,
    /// The bits in which the final version differs from the job's. Right for pools that
    /// XOR them (public-pool).
    Changed,
}
