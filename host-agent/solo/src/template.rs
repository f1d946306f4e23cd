//! A node's block template (BIP 22, 23, 9 and 145), read and checked. Whatever the node could get
//! wrong in a way that costs a block is looked at here, before any hash is spent on it; hashes,
//! merkle branch and witness commitment are computed and never taken on trust.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use bitcoin::consensus::encode;
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Transaction};
use mining::{Target, VersionMask, header};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use stratum::text::presentable;
use thiserror::Error;

/// A checked block template.
///
/// Two templates are equal if they lead to the same blocks but for their time.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    /// Height of the block to be found, at least 1.
    pub height: u32,
    /// Hash of the block before, in header byte order.
    pub prev_hash: [u8; 32],
    /// Version of the block.
    pub version: u32,
    /// Version bits that may be rolled: those that BIP 320 leaves to miners, without bits that the
    /// version sets and without those of deployments that the node would vote on.
    pub version_mask: u32,
    /// Compact target of the network.
    pub nbits: u32,
    /// What the coinbase may pay at most, subsidy and fees, in satoshi.
    pub coinbase_value: u64,
    /// Whether the network has segwit, which demands a witness commitment.
    pub segwit: bool,
    /// Number of transactions, not counting the coinbase.
    pub transactions: usize,
    /// The transactions as they stand in the block, one behind the other.
    pub body: Vec<u8>,
    /// Merkle branch of the coinbase, in header byte order.
    pub merkle_branch: Vec<[u8; 32]>,
    /// The hash of the witness commitment, if the network has segwit.
    pub witness_commitment: Option<[u8; 32]>,
    /// Data that the node wants in the coinbase's script, piece by piece.
    pub aux: Vec<Vec<u8>>,
    /// What `submitblock` must repeat, if the node wants that.
    pub workid: Option<String>,
    /// The rest, which changes without changing the block.
    pub moment: Moment,
}

/// What differs between two replies about the same block; all moments are equal to each other.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The node's time, and the time to begin with, seconds since 1970.
    pub curtime: u32,
    /// The earliest time that the block may have, seconds since 1970.
    pub mintime: u32,
    /// Identifies the reply when waiting for a newer one; `None` if the node cannot do that.
    pub longpollid: Option<String>,
}

impl PartialEq for Moment {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Moment {}

/// Most transactions that a template may have; the smallest ones fill a block with some 17 000.
pub const MAX_TRANSACTIONS: usize = 50_000;

impl Template {
    /// Reads the result of a `getblocktemplate` call.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] if the template cannot be read, contradicts itself, or asks for what
    /// this program cannot do.
    pub fn parse(json: &str) -> Result<Self, TemplateError> {
        let raw: Raw<'_> =
            serde_json::from_str(json).map_err(|error| TemplateError::Json(plain(&error)))?;
        let segwit = check_rules(&raw)?;
        check_challenge(raw.signet_challenge.as_deref())?;
        let nonces = raw.noncerange.as_deref();
        if nonces.is_some_and(|range| !range.eq_ignore_ascii_case("00000000ffffffff")) {
            return Err(TemplateError::Unsupported("only a part of the nonces"));
        }
        let Some(coinbase_value) = raw.coinbasevalue else {
            return Err(TemplateError::Unsupported("a coinbase made by the node"));
        };
        let stated_commitment = raw.default_witness_commitment.as_deref();
        let segwit = segwit || stated_commitment.is_some();
        let transactions = Transactions::read(&raw.transactions.0, segwit)?;
        transactions.check_size(&raw, segwit)?;
        let coinbase_value = check_value(coinbase_value, &raw.transactions.0)?;
        let nbits = check_target(&raw.bits, raw.target.as_deref())?;
        let curtime = time("curtime", raw.curtime)?;
        let mintime = raw.mintime.map_or(Ok(curtime), |at| time("mintime", at))?;
        if mintime > curtime {
            return Err(TemplateError::Contradiction(format!(
                "its time {curtime} is before its own earliest time {mintime}"
            )));
        }
        let version = check_version(raw.version)?;
        let deployments = deployment_bits(&raw.vbavailable.0);
        let witness_commitment = segwit.then(|| transactions.witness_commitment());
        if let Some((stated, computed)) = stated_commitment.zip(witness_commitment) {
            check_commitment(stated, &computed)?;
        }
        Ok(Self {
            height: ranged("height", raw.height, 1..=i64::from(i32::MAX))? as u32,
            prev_hash: hash("previousblockhash", &raw.previousblockhash)?,
            version,
            version_mask: VersionMask::BIP320.zero_in(version | deployments).bits(),
            nbits,
            coinbase_value,
            segwit,
            transactions: transactions.txids.len(),
            merkle_branch: branch(transactions.txids),
            body: transactions.body,
            witness_commitment,
            aux: aux(&raw.coinbaseaux)?,
            workid: short_text("workid", raw.workid)?,
            moment: Moment {
                curtime,
                mintime,
                longpollid: short_text("longpollid", raw.longpollid)?,
            },
        })
    }

    /// Whether work on `older` is worthless now: another block before, or another target.
    #[must_use]
    pub fn voids(&self, older: &Self) -> bool {
        (self.prev_hash, self.height, self.nbits) != (older.prev_hash, older.height, older.nbits)
    }
}

/// Leaves out the transactions themselves.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("height", &self.height)
            .field("prev_hash", &BlockHash::from_byte_array(self.prev_hash))
            .field("transactions", &self.transactions)
            .field("coinbase_value", &self.coinbase_value)
            .field("moment", &self.moment)
            .finish_non_exhaustive()
    }
}

/// Why a template cannot be mined.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// Not JSON, or not of the form of a template.
    #[error("the node's block template cannot be read: {0}")]
    Json(String),
    /// A rule of the network that miners must know, and this program does not.
    #[error(
        "the network demands the rule \"{0}\" of its miners, which this program does not know: \
         blocks would be refused; use a newer version of the program"
    )]
    UnknownRule(String),
    /// A signet whose blocks need a signature.
    #[error(
        "blocks of this signet must be signed (challenge {0}), which only its operators can do; \
         only signets with the challenge 51 can be mined"
    )]
    Challenge(String),
    /// Something that the node offers or asks for and that is not built.
    #[error("the node offers {0} (BIP 22/23), which this program cannot use")]
    Unsupported(&'static str),
    /// A number out of range.
    #[error("the template's {field} is {value}, expected {expected}")]
    Range {
        /// The field.
        field: &'static str,
        /// Its value.
        value: i64,
        /// What was expected.
        expected: String,
    },
    /// A text that is no hexadecimal number of the right size.
    #[error("the template's {field} is \"{value}\", expected {expected}")]
    Hex {
        /// The field.
        field: &'static str,
        /// Its value, shortened.
        value: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A transaction that is none, or that cannot be in this block.
    #[error("transaction {index} of the template {why}")]
    Transaction {
        /// Which one, counted from 1.
        index: usize,
        /// What is wrong.
        why: String,
    },
    /// Two parts of the template that cannot both be right.
    #[error("the template contradicts itself: {0}")]
    Contradiction(String),
    /// Our witness commitment is not the node's.
    #[error(
        "the node's witness commitment is {stated}, but its transactions give {computed}: a block \
         with either would be at risk, so none is mined"
    )]
    Commitment {
        /// What the node says, shortened.
        stated: String,
        /// What we found.
        computed: String,
    },
}

/// Script of a witness commitment up to its hash (BIP 141): OP_RETURN, 36 bytes, magic.
pub(crate) const COMMITMENT_PREFIX: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
/// The witness reserved value of our coinbases, which is what nodes assume as well.
pub(crate) const WITNESS_RESERVED: [u8; 32] = [0; 32];

/// Consensus limit of a block, weight units (BIP 141).
const MAX_WEIGHT: i64 = 4_000_000;
/// Consensus limit of a block before segwit, bytes.
const MAX_SIZE: i64 = 1_000_000;
/// More than header, transaction count and the largest coinbase that we make can weigh. Nodes
/// leave at least 2000 for them.
const OUR_WEIGHT: i64 = 4 * (80 + 5) + 4 * 256 + 40;
const OUR_SIZE: i64 = 80 + 5 + 256;
/// All coins that there will ever be, satoshi.
const MAX_MONEY: i64 = 21_000_000 * 100_000_000;
/// The first subsidy, which none of the networks ever exceeds, satoshi.
const FIRST_SUBSIDY: i64 = 50 * 100_000_000;
/// Longest identifier of a node that is sent back to it.
const MAX_TEXT: usize = 1024;
/// Rules of which blocks we know, or that ask nothing of who makes a block.
const KNOWN_RULES: [&str; 8] = [
    "segwit",
    "signet",
    "csv",
    "taproot",
    "testdummy",
    "bip34",
    "bip65",
    "bip66",
];

#[derive(Deserialize)]
struct Raw<'a> {
    version: i64,
    #[serde(borrow)]
    previousblockhash: Cow<'a, str>,
    #[serde(borrow)]
    transactions: List<RawTransaction<'a>, MAX_TRANSACTIONS>,
    #[serde(borrow)]
    bits: Cow<'a, str>,
    curtime: i64,
    height: i64,
    #[serde(borrow, default)]
    rules: List<Cow<'a, str>, 256>,
    #[serde(default)]
    vbavailable: Values<i64>,
    #[serde(borrow, default)]
    coinbaseaux: Option<Values<Cow<'a, str>>>,
    coinbasevalue: Option<i64>,
    mintime: Option<i64>,
    #[serde(borrow)]
    target: Option<Cow<'a, str>>,
    #[serde(borrow)]
    noncerange: Option<Cow<'a, str>>,
    sizelimit: Option<i64>,
    weightlimit: Option<i64>,
    longpollid: Option<String>,
    workid: Option<String>,
    #[serde(borrow)]
    default_witness_commitment: Option<Cow<'a, str>>,
    #[serde(borrow)]
    signet_challenge: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct RawTransaction<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow)]
    txid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    hash: Option<Cow<'a, str>>,
    fee: Option<i64>,
}

/// A list that is refused when it is longer than its limit, before it fills the memory.
struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for List<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Items<T, MAX> {
            type Value = List<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    if list.len() == MAX {
                        return Err(serde::de::Error::invalid_length(MAX + 1, &self));
                    }
                    list.push(item);
                }
                Ok(List(list))
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// The values of a small object whatever their names are.
struct Values<T>(Vec<T>);

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Entries that an object may have.
const MAX_ENTRIES: usize = 256;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Values<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Values<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of at most {MAX_ENTRIES} entries")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some((IgnoredAny, value)) = entries.next_entry()? {
                    if values.len() == MAX_ENTRIES {
                        return Err(serde::de::Error::invalid_length(MAX_ENTRIES + 1, &self));
                    }
                    values.push(value);
                }
                Ok(Values(values))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// Whether segwit is among the rules, all of which we must know.
fn check_rules(raw: &Raw<'_>) -> Result<bool, TemplateError> {
    let mut segwit = false;
    for rule in &raw.rules.0 {
        let (name, mandatory) = match rule.strip_prefix('!') {
            Some(name) => (name, true),
            None => (&**rule, false),
        };
        if mandatory && !KNOWN_RULES.contains(&name) {
            return Err(TemplateError::UnknownRule(presentable(name, 40)));
        }
        segwit |= name == "segwit";
    }
    Ok(segwit)
}

/// OP_TRUE is the only challenge that a block without a signature meets.
fn check_challenge(challenge: Option<&str>) -> Result<(), TemplateError> {
    match challenge {
        None | Some("51") => Ok(()),
        Some(other) => Err(TemplateError::Challenge(presentable(other, 80))),
    }
}

fn check_value(value: i64, transactions: &[RawTransaction<'_>]) -> Result<u64, TemplateError> {
    let value = ranged("coinbasevalue", value, 0..=MAX_MONEY)?;
    let mut fees = 0_i64;
    for transaction in transactions {
        let Some(fee) = transaction.fee else {
            // The sum is known only if every part is.
            return Ok(value as u64);
        };
        let fee = ranged("fee of a transaction", fee, 0..=MAX_MONEY)?;
        // Thousands of absurd fees are more than the number can hold.
        fees = fees.saturating_add(fee);
    }
    if value < fees || value - fees > FIRST_SUBSIDY {
        return Err(TemplateError::Contradiction(format!(
            "the coinbase is to pay {value} satoshi, but its transactions' fees are {fees}, and \
             the subsidy is 0 to {FIRST_SUBSIDY}"
        )));
    }
    Ok(value as u64)
}

fn check_target(bits: &str, target: Option<&str>) -> Result<u32, TemplateError> {
    let nbits: [u8; 4] = fixed("bits", bits, "8 hexadecimal digits")?;
    let nbits = u32::from_be_bytes(nbits);
    let meant = Target::from_nbits(nbits)
        .map_err(|error| TemplateError::Contradiction(error.to_string()))?;
    if let Some(target) = target {
        let stated: [u8; 32] = fixed("target", target, "64 hexadecimal digits")?;
        if Target::from_be_bytes(stated) != meant {
            return Err(TemplateError::Contradiction(format!(
                "bits {nbits:08x} stand for the target {meant}, but its target is {}",
                Target::from_be_bytes(stated)
            )));
        }
    }
    Ok(nbits)
}

/// Versions are signed in nodes' replies.
fn check_version(version: i64) -> Result<u32, TemplateError> {
    let known = i64::from(i32::MIN)..=i64::from(u32::MAX);
    Ok(ranged("version", version, known)? as u32)
}

fn deployment_bits(deployments: &[i64]) -> u32 {
    deployments
        .iter()
        .filter_map(|bit| 1u32.checked_shl(u32::try_from(*bit).ok()?))
        .fold(0, |bits, bit| bits | bit)
}

fn check_commitment(stated: &str, computed: &[u8; 32]) -> Result<(), TemplateError> {
    let script = unhex(stated).unwrap_or_default();
    if script.strip_prefix(&COMMITMENT_PREFIX) == Some(computed) {
        return Ok(());
    }
    let ours: String = [&COMMITMENT_PREFIX[..], computed]
        .concat()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Err(TemplateError::Commitment {
        stated: presentable(stated, 100),
        computed: ours,
    })
}

fn aux(aux: &Option<Values<Cow<'_, str>>>) -> Result<Vec<Vec<u8>>, TemplateError> {
    let values = aux.iter().flat_map(|values| &values.0);
    values
        .filter(|value| !value.is_empty())
        .map(|value| {
            unhex(value).ok_or_else(|| TemplateError::Hex {
                field: "coinbaseaux",
                value: presentable(value, 80),
                expected: "pairs of hexadecimal digits",
            })
        })
        .collect()
}

/// The transactions of a template.
#[derive(Default)]
struct Transactions {
    body: Vec<u8>,
    weight: i64,
    txids: Vec<[u8; 32]>,
    wtxids: Vec<[u8; 32]>,
}

impl Transactions {
    fn read(list: &[RawTransaction<'_>], segwit: bool) -> Result<Self, TemplateError> {
        let mut all = Self::default();
        let mut seen = HashSet::with_capacity(list.len());
        for (index, raw) in (1..).zip(list) {
            let wrong = |why: String| TemplateError::Transaction { index, why };
            let bytes = unhex(&raw.data).ok_or_else(|| wrong("is not hexadecimal".into()))?;
            let transaction: Transaction = encode::deserialize(&bytes)
                .map_err(|error| wrong(format!("cannot be read: {error}")))?;
            if transaction.is_coinbase() {
                return Err(wrong("is a coinbase; there can be only one".into()));
            }
            let txid = transaction.compute_txid().to_byte_array();
            let wtxid = transaction.compute_wtxid().to_byte_array();
            if txid != wtxid && !segwit {
                return Err(wrong("has a witness, but segwit is not in force".into()));
            }
            // Without segwit, "hash" may be the one or the other.
            let (stated_txid, stated_hash) = (raw.txid.as_deref(), raw.hash.as_deref());
            if stated_txid.is_some_and(|stated| !is_hash(stated, &txid)) {
                return Err(wrong(mismatch("txid", stated_txid, txid)));
            }
            if stated_hash.is_some_and(|hash| !is_hash(hash, &wtxid) && !is_hash(hash, &txid)) {
                return Err(wrong(mismatch("hash", stated_hash, wtxid)));
            }
            if !seen.insert(txid) {
                return Err(wrong("is there twice".into()));
            }
            all.weight += transaction.weight().to_wu() as i64;
            all.txids.push(txid);
            all.wtxids.push(wtxid);
            all.body.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    fn check_size(&self, raw: &Raw<'_>, segwit: bool) -> Result<(), TemplateError> {
        let (unit, used, limit) = if segwit {
            let limit = raw
                .weightlimit
                .map_or(MAX_WEIGHT, |own| own.min(MAX_WEIGHT));
            ("weight units", self.weight + OUR_WEIGHT, limit)
        } else {
            let limit = raw.sizelimit.map_or(MAX_SIZE, |own| own.min(MAX_SIZE));
            ("bytes", self.body.len() as i64 + OUR_SIZE, limit)
        };
        if used > limit {
            return Err(TemplateError::Contradiction(format!(
                "its transactions leave no room for a coinbase: {used} {unit} with ours, but \
                 {limit} is the limit"
            )));
        }
        Ok(())
    }

    /// BIP 141: double hash of the witness root, in which the coinbase counts as zero, and the
    /// reserved value.
    fn witness_commitment(&self) -> [u8; 32] {
        let root = header::merkle_root([0; 32], &branch(self.wtxids.clone()));
        header::merkle_root(root, &[WITNESS_RESERVED])
    }
}

/// The hashes that the leftmost leaf is combined with on its way to the merkle root; `leaves` are
/// all others.
fn branch(mut leaves: Vec<[u8; 32]>) -> Vec<[u8; 32]> {
    let mut branch = Vec::new();
    while let Some((&partner, rest)) = leaves.split_first() {
        branch.push(partner);
        leaves = rest
            .chunks(2)
            .filter_map(|pair| {
                let left = *pair.first()?;
                Some(header::merkle_root(left, &[*pair.last()?]))
            })
            .collect();
    }
    branch
}

fn mismatch(field: &str, stated: Option<&str>, computed: [u8; 32]) -> String {
    format!(
        "has the {field} {}, but the template says {}",
        BlockHash::from_byte_array(computed),
        presentable(stated.unwrap_or_default(), 80)
    )
}

/// Whether a text is that hash as people write it, bytes reversed.
fn is_hash(text: &str, hash: &[u8; 32]) -> bool {
    unhex(text).is_some_and(|bytes| bytes.iter().rev().eq(hash.iter()))
}

/// A hash as people write it, in header byte order.
fn hash(field: &'static str, text: &str) -> Result<[u8; 32], TemplateError> {
    let mut bytes: [u8; 32] = fixed(field, text, "64 hexadecimal digits")?;
    bytes.reverse();
    Ok(bytes)
}

fn fixed<const N: usize>(
    field: &'static str,
    text: &str,
    expected: &'static str,
) -> Result<[u8; N], TemplateError> {
    let bytes = unhex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| TemplateError::Hex {
        field,
        value: presentable(text, 80),
        expected,
    })
}

fn time(field: &'static str, value: i64) -> Result<u32, TemplateError> {
    Ok(ranged(field, value, 1..=i64::from(u32::MAX))? as u32)
}

fn ranged(
    field: &'static str,
    value: i64,
    range: std::ops::RangeInclusive<i64>,
) -> Result<i64, TemplateError> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(TemplateError::Range {
        field,
        value,
        expected: format!("{} to {}", range.start(), range.end()),
    })
}

fn short_text(field: &'static str, text: Option<String>) -> Result<Option<String>, TemplateError> {
    match text {
        Some(text) if text.len() > MAX_TEXT => Err(TemplateError::Contradiction(format!(
            "its {field} has {} bytes, expected at most {MAX_TEXT}",
            text.len()
        ))),
        other => Ok(other),
    }
}

/// What serde has to say, without control characters that the node may have put into it.
fn plain(error: &serde_json::Error) -> String {
    presentable(&error.to_string(), 200)
}

/// Bytes from pairs of hexadecimal digits, fast enough for megabytes.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}
