//! Roles, each of which may do what those before it may.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See everything but secrets.
    Read,
    /// Run the miner: cooling, pause, restart.
    Operate,
    /// Set clocks and voltages within limits.
    Tune,
    /// Change pools, config and tokens.
    Admin,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Tune => "tune",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "read" => Ok(Self::Read),
            "operate" => Ok(Self::Operate),
            "tune" => Ok(Self::Tune),
            "admin" => Ok(Self::Admin),
            other => Err(format!(
                "\"{other}\" is no role; write read, operate, tune or admin"
            )),
        }
    }
}
