//! A job as `mining.notify` carries it, and the way from it to a block header. Parsing lives here too,
//! so that recorded notifications of other pools can be judged with this crate's share check.

use crate::hash::{BlockHash, from_hex, sha256d, swap_words, to_hex, u32_from_hex};
use serde_json::{Value, json};

/// The most merkle branch hashes that a notification may carry: 2^16 transactions fill any block.
const MAX_BRANCHES: usize = 16;

/// One job: everything that goes into a header apart from what the miner chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobTemplate {
    /// The opaque name under which shares come back.
    pub id: String,
    /// Hash of the block that this one follows.
    pub prev_hash: BlockHash,
    /// Coinbase transaction up to extranonce1 (no witness data).
    pub coinbase1: Vec<u8>,
    /// Coinbase transaction after extranonce2.
    pub coinbase2: Vec<u8>,
    /// Merkle branch of the coinbase, lowest first, in header order.
    pub branch: Vec<[u8; 32]>,
    /// Block version before any rolling.
    pub version: u32,
    /// The network's target in compact form.
    pub nbits: u32,
    /// Unix time of the template, in seconds.
    pub ntime: u32,
    /// Whether older jobs are void from now on.
    pub clean: bool,
}

/// Why a list of `mining.notify` parameters is not a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// Not nine items.
    #[error("mining.notify has {0} parameters, expected 9")]
    Count(usize),
    /// One item is of the wrong type, not hexadecimal, or of the wrong size.
    #[error("mining.notify parameter {name} is not {expected}")]
    Item {
        /// Which of the nine.
        name: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
}

impl JobTemplate {
    /// Reads the nine parameters of a `mining.notify`.
    ///
    /// # Errors
    /// [`NotifyError`] names the first parameter that is wrong.
    pub fn from_notify(params: &[Value]) -> Result<JobTemplate, NotifyError> {
        let [
            id,
            prev,
            coinbase1,
            coinbase2,
            branch,
            version,
            nbits,
            ntime,
            clean,
        ] = params
        else {
            return Err(NotifyError::Count(params.len()));
        };
        let hash =
            |value: &Value| -> Option<[u8; 32]> { from_hex(value.as_str()?)?.try_into().ok() };
        let bytes = |name, value: &Value| {
            let decoded = value.as_str().and_then(from_hex);
            decoded.ok_or(NotifyError::Item {
                name,
                expected: "hexadecimal bytes",
            })
        };
        let number = |name, value: &Value| {
            let decoded = value.as_str().and_then(u32_from_hex);
            decoded.ok_or(NotifyError::Item {
                name,
                expected: "eight hexadecimal digits",
            })
        };
        let hashes = branch
            .as_array()
            .filter(|hashes| hashes.len() <= MAX_BRANCHES)
            .and_then(|hashes| hashes.iter().map(hash).collect::<Option<Vec<_>>>());
        Ok(JobTemplate {
            id: id.as_str().map(str::to_owned).ok_or(NotifyError::Item {
                name: "job id",
                expected: "a string",
            })?,
            prev_hash: hash(prev).map(|words| BlockHash(swap_words(words))).ok_or(
                NotifyError::Item {
                    name: "prevhash",
                    expected: "32 hexadecimal bytes",
                },
            )?,
            coinbase1: bytes("coinbase1", coinbase1)?,
            coinbase2: bytes("coinbase2", coinbase2)?,
            branch: hashes.ok_or(NotifyError::Item {
                name: "merkle branch",
                expected: "a list of at most 16 hashes",
            })?,
            version: number("version", version)?,
            nbits: number("nbits", nbits)?,
            ntime: number("ntime", ntime)?,
            clean: clean.as_bool().ok_or(NotifyError::Item {
                name: "clean_jobs",
                expected: "true or false",
            })?,
        })
    }

    /// The nine parameters of the `mining.notify` that announces this job.
    pub fn to_notify(&self) -> Vec<Value> {
        vec![
            json!(self.id),
            json!(to_hex(&swap_words(self.prev_hash.0))),
            json!(to_hex(&self.coinbase1)),
            json!(to_hex(&self.coinbase2)),
            self.branch.iter().map(|hash| to_hex(hash)).collect(),
            json!(format!("{:08x}", self.version)),
            json!(format!("{:08x}", self.nbits)),
            json!(format!("{:08x}", self.ntime)),
            json!(self.clean),
        ]
    }

    /// The 80 header bytes for the miner's choices: coinbase, its hash, the branch folded on the
    /// right, and the header around the resulting merkle root.
    pub fn header(
        &self,
        extranonce1: &[u8],
        extranonce2: &[u8],
        version: u32,
        ntime: u32,
        nonce: u32,
    ) -> [u8; 80] {
        let coinbase = [
            self.coinbase1.as_slice(),
            extranonce1,
            extranonce2,
            &self.coinbase2,
        ]
        .concat();
        let root = self.branch.iter().fold(sha256d(&coinbase), |left, right| {
            sha256d(&[left, *right].concat())
        });
        let mut header = [0; 80];
        header[..4].copy_from_slice(&version.to_le_bytes());
        header[4..36].copy_from_slice(&self.prev_hash.0);
        header[36..68].copy_from_slice(&root);
        header[68..72].copy_from_slice(&ntime.to_le_bytes());
        header[72..76].copy_from_slice(&self.nbits.to_le_bytes());
        header[76..].copy_from_slice(&nonce.to_le_bytes());
        header
    }
}
