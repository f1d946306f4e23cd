//! The tokens that there are, and those that were taken back: what stands in the token file. It holds
//! hashes, never a token.

use serde::{Deserialize, Serialize};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::token::TokenHash;
use rpc::Role;

/// Most tokens at a time.
pub const MAX_TOKENS: usize = 256;

/// Most revoked tokens that are remembered, so that who shows one is told so.
pub const MAX_REVOKED: usize = 64;

/// Longest name of a token, characters.
pub const MAX_NAME: usize = 63;

/// The format that is written and read.
const VERSION: u32 = 1;

/// A token, without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// By which it is named in calls; the beginning of the hash.
    pub id: String,
    /// For people and the audit log; no other token has it.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// Its SHA-256.
    pub sha256: TokenHash,
    /// When it was made, seconds since 1970.
    pub created_unix_s: u64,
    /// When it ends, seconds since 1970; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix_s: Option<u64>,
    /// When it was last used, seconds since 1970, to within an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_unix_s: Option<u64>,
    /// It was seen to have ended; a clock that is set back does not bring it to life again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub expired: bool,
}

impl Record {
    /// Whether it has ended. A clock that shows less than when the token was made or used is wrong.
    #[must_use]
    pub fn is_expired(&self, unix_s: u64) -> bool {
        let seen = self.last_used_unix_s.unwrap_or(0).max(self.created_unix_s);
        self.expired
            || self
                .expires_unix_s
                .is_some_and(|end| unix_s.max(seen) >= end)
    }
}

/// A token that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Its name.
    pub name: String,
    /// Its SHA-256.
    pub sha256: TokenHash,
    /// When it was taken back, seconds since 1970.
    pub revoked_unix_s: u64,
}

/// What went wrong with the tokens.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The file is damaged.
    #[error("it is damaged ({0})")]
    Damaged(String),
    /// The file is of a later version.
    #[error("it has format {0}, and this version of hashwright knows only format {VERSION}")]
    Version(u32),
    /// There are too many tokens.
    #[error("there are {MAX_TOKENS} tokens already; revoke one that is not needed")]
    Full,
    /// Not a name.
    #[error(
        "a name is 1 to {MAX_NAME} letters, digits, spaces and - _ . @, and says whose token it is, \
         for instance \"phone\""
    )]
    Name,
    /// The name is taken.
    #[error("there is a token `{0}` already; give this one another name, or revoke that one first")]
    Taken(String),
    /// No such token.
    #[error("there is no token `{0}`; `hashwright auth list` shows names and ids")]
    NotFound(String),
}

/// All tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    tokens: Vec<Record>,
    revoked: Vec<Revoked>,
}

#[derive(Serialize)]
struct FileOut<'a> {
    version: u32,
    tokens: &'a [Record],
    revoked: &'a [Revoked],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileIn {
    #[serde(rename = "version")]
    _version: u32,
    tokens: Vec<Record>,
    #[serde(default)]
    revoked: Vec<Revoked>,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Book {
    /// Reads the text of a token file.
    ///
    /// # Errors
    ///
    /// Whatever is not exactly as it was written: half a list of tokens is none.
    pub fn from_json(text: &str) -> Result<Self, BookError> {
        let damaged = |error: serde_json::Error| BookError::Damaged(error.to_string());
        let Versioned { version } = serde_json::from_str(text).map_err(damaged)?;
        if version != VERSION {
            return Err(BookError::Version(version));
        }
        let file: FileIn = serde_json::from_str(text).map_err(damaged)?;
        let wrong = |what: &str| Err(BookError::Damaged(what.to_owned()));
        if file.tokens.len() > MAX_TOKENS || file.revoked.len() > MAX_REVOKED {
            return wrong("it has more tokens than it can have");
        }
        for (index, record) in file.tokens.iter().enumerate() {
            if !good_name(&record.name) || record.id != record.sha256.id() {
                return wrong("a token has no good name or not its own id");
            }
            let same = |other: &Record| {
                other.name == record.name || other.sha256 == record.sha256 || other.id == record.id
            };
            if file.tokens[..index].iter().any(same) {
                return wrong("two tokens are the same");
            }
            if file.revoked.iter().any(|old| old.sha256 == record.sha256) {
                return wrong("a token is revoked and not revoked");
            }
        }
        Ok(Self {
            tokens: file.tokens,
            revoked: file.revoked,
        })
    }

    /// The text of the token file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let file = FileOut {
            version: VERSION,
            tokens: &self.tokens,
            revoked: &self.revoked,
        };
        // Only maps with other keys than text can fail, and none is here.
        serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
    }

    /// The tokens, oldest first.
    #[must_use]
    pub fn tokens(&self) -> &[Record] {
        &self.tokens
    }

    /// Those that were taken back, oldest first.
    #[must_use]
    pub fn revoked(&self) -> &[Revoked] {
        &self.revoked
    }

    /// Whether some token is good now.
    #[must_use]
    pub fn any_good(&self, unix_s: u64) -> bool {
        self.tokens.iter().any(|record| !record.is_expired(unix_s))
    }

    /// Adds a token with this hash, which ends after `expires_s` seconds if given.
    ///
    /// # Errors
    ///
    /// A name that is none or taken, or too many tokens.
    pub fn add(
        &mut self,
        name: &str,
        role: Role,
        sha256: TokenHash,
        expires_s: Option<u64>,
        unix_s: u64,
    ) -> Result<Record, BookError> {
        if !good_name(name) {
            return Err(BookError::Name);
        }
        if self.tokens.iter().any(|record| record.name == name) {
            return Err(BookError::Taken(name.to_owned()));
        }
        if self.tokens.len() >= MAX_TOKENS {
            return Err(BookError::Full);
        }
        let record = Record {
            id: sha256.id(),
            name: name.to_owned(),
            role,
            sha256,
            created_unix_s: unix_s,
            expires_unix_s: expires_s.map(|seconds| unix_s.saturating_add(seconds)),
            last_used_unix_s: None,
            expired: false,
        };
        let twin = |other: &Record| other.id == record.id;
        if self.tokens.iter().any(twin) {
            // One in 2^32, or a random generator that repeats itself.
            return Err(BookError::Taken(record.id));
        }
        self.tokens.push(record.clone());
        Ok(record)
    }

    /// A name that is not taken yet, made from one that may be.
    #[must_use]
    pub fn free_name(&self, wanted: &str) -> String {
        let taken = |name: &str| self.tokens.iter().any(|record| record.name == name);
        if !taken(wanted) {
            return wanted.to_owned();
        }
        let short: String = wanted.chars().take(MAX_NAME - 4).collect();
        // There are fewer tokens than numbers, so one is free.
        (2..=MAX_TOKENS + 2)
            .map(|number| format!("{short}-{number}"))
            .find(|name| !taken(name))
            .unwrap_or(short)
    }

    /// Takes a token back, by name or id.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn revoke(&mut self, name_or_id: &str, unix_s: u64) -> Result<Record, BookError> {
        let by_name = |record: &Record| record.name == name_or_id;
        let by_id = |record: &Record| record.id == name_or_id;
        let index = self.tokens.iter().position(by_name);
        let index = index.or_else(|| self.tokens.iter().position(by_id));
        let Some(index) = index else {
            let shown: String = name_or_id.chars().take(MAX_NAME).collect();
            return Err(BookError::NotFound(shown));
        };
        let record = self.tokens.remove(index);
        self.revoked.push(Revoked {
            name: record.name.clone(),
            sha256: record.sha256,
            revoked_unix_s: unix_s,
        });
        if self.revoked.len() > MAX_REVOKED {
            self.revoked.remove(0);
        }
        Ok(record)
    }

    /// Notes which tokens have ended, for good; whether there are new ones.
    pub fn note_expired(&mut self, unix_s: u64) -> bool {
        let mut any = false;
        for record in &mut self.tokens {
            if !record.expired && record.is_expired(unix_s) {
                record.expired = true;
                any = true;
            }
        }
        any
    }

    /// Notes that a token was used; whether that is worth to be written.
    pub fn note_used(&mut self, id: &str, unix_s: u64) -> bool {
        let Some(record) = self.tokens.iter_mut().find(|record| record.id == id) else {
            return false;
        };
        let worth = record
            .last_used_unix_s
            .is_none_or(|last| unix_s >= last.saturating_add(3_600));
        if worth {
            record.last_used_unix_s = Some(unix_s);
        }
        worth
    }

    /// Takes over from another book of the same tokens what only grows: last uses and ends.
    pub fn merge_uses(&mut self, other: &Self) {
        for record in &mut self.tokens {
            let same = |old: &&Record| old.sha256 == record.sha256;
            if let Some(old) = other.tokens.iter().find(same) {
                record.last_used_unix_s = record.last_used_unix_s.max(old.last_used_unix_s);
                record.expired |= old.expired;
            }
        }
    }

    /// The token with this hash. Looks at all of them, and takes the same time whichever it is.
    pub(crate) fn find(&self, hash: &TokenHash) -> Option<&Record> {
        let mut found = u32::MAX;
        for (index, record) in (0u32..).zip(&self.tokens) {
            found.conditional_assign(&index, record.sha256.ct_eq(hash));
        }
        self.tokens.get(usize::try_from(found).ok()?)
    }

    /// The revoked token with this hash.
    pub(crate) fn find_revoked(&self, hash: &TokenHash) -> Option<&Revoked> {
        let mut found = u32::MAX;
        for (index, record) in (0u32..).zip(&self.revoked) {
            let same: Choice = record.sha256.ct_eq(hash);
            found.conditional_assign(&index, same);
        }
        self.revoked.get(usize::try_from(found).ok()?)
    }
}

/// Whether a token can be called so.
#[must_use]
pub fn good_name(name: &str) -> bool {
    let good = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.' | '@');
    (1..=MAX_NAME).contains(&name.chars().count()) && name.chars().all(good) && name.trim() == name
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !value
}
