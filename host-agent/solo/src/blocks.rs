//! Blocks that were found, from the moment of their finding to a definite answer of the node:
//! each is saved before it is sent, and sent until the node has said what it thinks of it.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus::encode;
use mining::Share;
use stratum::RejectKind;
use stratum::backoff::Backoff;
use thiserror::Error;

/// A block with its name, as files and calls have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundBlock {
    /// Its height, from its coinbase.
    pub height: u32,
    /// Its hash in header (internal) byte order.
    pub hash: [u8; 32],
    /// The whole block in hexadecimal.
    pub hex: Arc<str>,
}

impl FoundBlock {
    /// Names a block.
    #[must_use]
    pub fn new(height: u32, hash: [u8; 32], block: &[u8]) -> Self {
        Self {
            height,
            hash,
            hex: to_hex(block).into(),
        }
    }

    /// Reads a block back from its hexadecimal digits; white space around them does no harm.
    ///
    /// # Errors
    ///
    /// If it is not a whole block with a height in it.
    pub fn parse(hex: &str) -> Result<Self, BlockError> {
        let hex = hex.trim();
        let bytes = crate::template::unhex(hex).ok_or(BlockError::Hex)?;
        let block: bitcoin::Block =
            encode::deserialize(&bytes).map_err(|error| BlockError::Block(error.to_string()))?;
        let height = height(&block).ok_or(BlockError::Height)?;
        let hash = bitcoin::hashes::Hash::to_byte_array(block.block_hash());
        Ok(Self {
            height,
            hash,
            hex: hex.into(),
        })
    }

    /// The name of its file without extension: height and hash as people write it.
    #[must_use]
    pub fn name(&self) -> String {
        file_name(self.height, &self.hash)
    }
}

/// Why a text is no block.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BlockError {
    /// Not hexadecimal, or cut off in the middle of a byte.
    #[error("it is not hexadecimal")]
    Hex,
    /// Bytes that are no block, or not all of one.
    #[error("it is no whole block: {0}")]
    Block(String),
    /// A coinbase without height.
    #[error("its coinbase holds no height")]
    Height,
}

/// The name of a block's files without extension.
#[must_use]
pub fn file_name(height: u32, hash: &[u8; 32]) -> String {
    let mut shown = *hash;
    shown.reverse();
    format!("{height}-{}", to_hex(&shown))
}

/// What the node says to a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is part of the node's chain.
    Accepted,
    /// It is not, and never will be, with the kind of the reason and the words for the owner.
    Rejected(RejectKind, String),
    /// That is not decided yet.
    Undecided(String),
}

/// Reads what `submitblock` returned (BIP 22, and the words that Bitcoin Core uses).
#[must_use]
pub fn judge(words: Option<&str>) -> Answer {
    let rejected =
        |kind, words: &str, meaning: &str| Answer::Rejected(kind, format!("{words}: {meaning}"));
    match words {
        // "duplicate" comes when an earlier answer was lost on its way.
        None | Some("" | "duplicate") => Answer::Accepted,
        Some(words @ "inconclusive") => rejected(
            RejectKind::Stale,
            words,
            "the node keeps it, but another block was there first; it counts only if the next \
             blocks are built on it",
        ),
        Some(words @ ("stale-prevblk" | "stale-work" | "inconclusive-not-best-prevblk")) => {
            rejected(
                RejectKind::Stale,
                words,
                "another block was there first, so this one is not part of the chain",
            )
        }
        Some(words @ "high-hash") => rejected(
            RejectKind::LowDifficulty,
            words,
            "its hash does not meet the network's target",
        ),
        Some(words @ ("time-too-old" | "time-invalid")) => rejected(
            RejectKind::TimeOutOfRange,
            words,
            "its time is before that of the blocks before it",
        ),
        Some(words @ "duplicate-invalid") => rejected(
            RejectKind::Other,
            words,
            "the node has it already and found it invalid",
        ),
        Some(words @ ("time-too-new" | "prev-blk-not-found" | "duplicate-inconclusive")) => {
            Answer::Undecided(format!(
                "{words}: {}",
                match words {
                    "time-too-new" => "its time is ahead of the node's clock; check both clocks",
                    "duplicate-inconclusive" => "the node has it, but has not checked it yet",
                    _ => "the node does not know the block before it",
                }
            ))
        }
        Some(words) => rejected(
            RejectKind::Other,
            words,
            "the node holds it against the rules of the network",
        ),
    }
}

/// A block on its way.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) block: FoundBlock,
    pub(crate) workid: Option<String>,
    /// The share that it is; none for blocks of an earlier run.
    pub(crate) share: Option<Share>,
    pub(crate) found: Duration,
    pub(crate) stage: Stage,
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
    /// What the node said last.
    pub(crate) last_words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Being written to its file, until then at most.
    Saving { until: Duration },
    /// To be sent then.
    Due { at: Duration },
    /// Sent with that call.
    Sent { call: u64 },
}

impl Stage {
    pub(crate) fn due(self) -> Option<Duration> {
        match self {
            Self::Saving { until } => Some(until),
            Self::Due { at } => Some(at),
            Self::Sent { .. } => None,
        }
    }
}

/// The first and the longest wait before a block is sent again.
pub(crate) const RESEND: (Duration, Duration) =
    (Duration::from_millis(250), Duration::from_secs(15));
/// Blocks that may wait; real ones come one at a time.
pub(crate) const MAX_PENDING: usize = 64;
/// How often a block is sent that the node can make nothing of, until the next start.
pub(crate) const MAX_UNDECIDED: u32 = 40;

/// The height in a block's coinbase (BIP 34). Up to 16 it is an opcode, which the crate does not
/// read.
fn height(block: &bitcoin::Block) -> Option<u32> {
    let script = &block.txdata.first()?.input.first()?.script_sig;
    match script.as_bytes().first()? {
        opcode @ 0x51..=0x60 => Some(u32::from(opcode - 0x50)),
        _ => u32::try_from(block.bip34_block_height().ok()?).ok(),
    }
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        digits.push(char::from(DIGITS[usize::from(byte >> 4)]));
        digits.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    digits
}
