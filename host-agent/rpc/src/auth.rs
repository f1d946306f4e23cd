//! Who may ask: tokens, pairing, and the record of what was changed by whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Role;

/// What a client needs to know before it has a token. Anybody may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthInfo {
    /// The agent's name.
    pub name: String,
    /// Role of whoever asks without a token from where the question came; null for none.
    pub without_token: Option<Role>,
    /// A pairing code is waiting to be used with `auth.pair`.
    pub pairing_open: bool,
    /// File with a token for programs on the same machine that may read it; only told there.
    pub local_token_file: Option<String>,
    /// The API speaks TLS.
    pub tls: bool,
    /// SHA-256 of its certificate, `AA:BB:...`; null without TLS.
    pub fingerprint: Option<String>,
}

/// A pairing code and who has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// The code as the agent showed it; spaces, dashes and case do not matter.
    pub code: String,
    /// Name of the device or person that the token is for.
    pub name: String,
}

/// A token to use on this WebSocket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// As `auth.pair` or `auth.add` gave it.
    pub token: String,
}

/// A fresh token. It is told once and cannot be asked for again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewToken {
    /// The token; a secret.
    pub token: String,
    /// How the agent calls it.
    pub id: String,
    /// Whom it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it stops working, seconds since 1970; null for never.
    pub expires_unix_s: Option<u64>,
}

/// Whom the agent takes the caller for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhoAmI {
    /// Name of the token; null without one.
    pub name: Option<String>,
    /// What the caller may do; null for nothing.
    pub role: Option<Role>,
    /// Why: `token`, `local-token`, `local` (no token, but on the agent's machine) or `none`.
    pub by: String,
    /// When the token stops working, seconds since 1970; null for never.
    pub expires_unix_s: Option<u64>,
}

/// What a pairing code is to give.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PairingStart {
    /// Role of the token that it is exchanged for; `admin` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// A pairing code. It can be used once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PairingCode {
    /// The code, to be typed into the device that is to be paired.
    pub code: String,
    /// Role of the token that it is exchanged for.
    pub role: Role,
    /// It is void after so many seconds.
    pub expires_in_s: u64,
}

/// A token as it is listed: without itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenInfo {
    /// How the agent calls it.
    pub id: String,
    /// Whom it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made, seconds since 1970.
    pub created_unix_s: u64,
    /// When it stops working, seconds since 1970; null for never.
    pub expires_unix_s: Option<u64>,
    /// When it was last used, seconds since 1970, to a few minutes; null for never.
    pub last_used_unix_s: Option<u64>,
}

/// A token to make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenAdd {
    /// Whom it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// It stops working after so many seconds; without it never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
}

/// A token to end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRevoke {
    /// Its id, as in `auth.list`.
    pub id: String,
}

/// How much of the audit log to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuditQuery {
    /// At most so many records, the newest; 100 unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Something that somebody changed, or tried to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRecord {
    /// Time of day, seconds since 1970.
    pub unix_s: u64,
    /// Name of the token, or what else the caller was known by.
    pub who: String,
    /// Role that the caller had.
    pub role: Option<Role>,
    /// Address that it came from; null if it has none.
    pub peer: Option<String>,
    /// The way that it came: `rpc`, `axeos`, `cgminer`, `mqtt`.
    pub via: String,
    /// What was asked for.
    pub method: String,
    /// With which parameters, without secrets.
    pub params: Value,
    /// `ok`, or why it was refused.
    pub outcome: String,
}
