//! The job message: the parameters of `mining.notify`, checked and in header byte order.

use mining::header::prevhash_from_stratum_words;
use serde_json::Value;

use super::message::MessageError;
use crate::text::{from_hex, u32_from_hex};

/// A job as the pool announced it, without what the session adds to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The pool's name for the job, opaque, up to 256 bytes.
    pub id: String,
    /// Previous block hash in header byte order.
    pub prev_hash: [u8; 32],
    /// Coinbase in front of the extranonce.
    pub coinbase1: Vec<u8>,
    /// Coinbase behind the extranonce.
    pub coinbase2: Vec<u8>,
    /// Merkle branch in header byte order.
    pub merkle_branch: Vec<[u8; 32]>,
    /// Block version.
    pub version: u32,
    /// Compact network target.
    pub nbits: u32,
    /// Lowest block time, seconds since 1970.
    pub ntime: u32,
    /// Whether the pool said to drop older work.
    pub clean: bool,
}

/// Longest job id that is taken, bytes; up to 20 have been seen, and submits repeat it.
const MAX_JOB_ID: usize = 256;
/// Largest coinbase half that is taken, bytes: as much as Stratum V2 can carry.
const MAX_COINBASE_HALF: usize = 65_535;
/// A branch of 64 hashes would be a block of 2^64 transactions.
const MAX_BRANCH: usize = 64;

impl Notify {
    /// Reads the parameters. The last one is the clean flag, whether or not there is
    /// something between it and the eighth; without a flag the job is not clean.
    ///
    /// # Errors
    ///
    /// If parts are missing, no hexadecimal digits, or larger than any real job's.
    pub fn parse(params: &[Value]) -> Result<Self, MessageError> {
        let [
            id,
            prev_hash,
            coinbase1,
            coinbase2,
            branch,
            version,
            nbits,
            ntime,
            more @ ..,
        ] = params
        else {
            return Err(MessageError::wrong(
                "mining.notify",
                &Value::Array(params.to_vec()),
                "a list of 9 items",
            ));
        };
        let clean = match more.last() {
            None => false,
            Some(Value::Bool(clean)) => *clean,
            // Some pools write it as a number, and miners in the field take that.
            Some(number) if *number == 0 || *number == 1 => *number == 1,
            Some(other) => {
                return Err(MessageError::wrong(
                    "the job's clean flag",
                    other,
                    "true or false",
                ));
            }
        };
        Ok(Self {
            id: id
                .as_str()
                .filter(|id| (1..=MAX_JOB_ID).contains(&id.len()))
                .map(str::to_owned)
                .ok_or_else(|| MessageError::wrong("the job's id", id, "a short text"))?,
            prev_hash: hash(prev_hash)
                .map(prevhash_from_stratum_words)
                .ok_or_else(|| {
                    MessageError::wrong(
                        "the job's previous hash",
                        prev_hash,
                        "32 hexadecimal bytes",
                    )
                })?,
            coinbase1: coinbase_half(coinbase1)?,
            coinbase2: coinbase_half(coinbase2)?,
            merkle_branch: merkle_branch(branch)?,
            version: number("the job's version", version)?,
            nbits: number("the job's nbits", nbits)?,
            ntime: number("the job's ntime", ntime)?,
            clean,
        })
    }
}

fn hash(value: &Value) -> Option<[u8; 32]> {
    let digits = value.as_str().filter(|digits| digits.len() == 64)?;
    from_hex(digits)?.try_into().ok()
}

fn number(what: &'static str, value: &Value) -> Result<u32, MessageError> {
    value
        .as_str()
        .and_then(u32_from_hex)
        .ok_or_else(|| MessageError::wrong(what, value, "8 hexadecimal digits"))
}

fn coinbase_half(value: &Value) -> Result<Vec<u8>, MessageError> {
    value
        .as_str()
        .filter(|digits| digits.len() <= 2 * MAX_COINBASE_HALF)
        .and_then(from_hex)
        .ok_or_else(|| {
            MessageError::wrong(
                "half of the job's coinbase",
                value,
                "up to 65535 hexadecimal bytes",
            )
        })
}

fn merkle_branch(value: &Value) -> Result<Vec<[u8; 32]>, MessageError> {
    value
        .as_array()
        .filter(|hashes| hashes.len() <= MAX_BRANCH)
        .and_then(|hashes| hashes.iter().map(hash).collect())
        .ok_or_else(|| {
            MessageError::wrong(
                "the job's merkle branch",
                value,
                "a list of up to 64 hashes of 32 hexadecimal bytes",
            )
        })
}
