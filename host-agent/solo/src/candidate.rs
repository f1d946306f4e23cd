//! From a template to a job, and from a share of that job to a whole block: our coinbase, whose
//! extranonce is left open, and what stands around it.

use std::time::Duration;

use bitcoin::absolute::LockTime;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, VarInt, Witness,
    consensus,
};
use mining::{Job, Share, Target, header};
use stratum::session::Refusal;
use thiserror::Error;

use crate::template::{COMMITMENT_PREFIX, Template, WITNESS_RESERVED};

/// A block that lacks only its extranonce, time, version bits and nonce.
#[derive(Clone, Debug)]
pub struct Candidate {
    template: Template,
    extranonce1: Vec<u8>,
    /// The coinbase without witness, up to the extranonce.
    coinbase1: Vec<u8>,
    /// The coinbase without witness, behind the extranonce.
    coinbase2: Vec<u8>,
}

/// What is ours in a job, beside the template.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// [`Job::session`].
    pub session: u64,
    /// [`Job::id`].
    pub id: &'a str,
    /// [`Job::generation`].
    pub generation: u64,
    /// [`Job::target`].
    pub target: Target,
    /// When the template arrived, [`Job::received`].
    pub received: Duration,
}

/// A share that was recomputed from its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The header.
    pub header: [u8; 80],
    /// Whether it meets the network's target.
    pub is_block: bool,
}

/// Length of our part of the extranonce in bytes, room for ever.
pub const EXTRANONCE2_LEN: usize = 8;
/// Longest script of a coinbase's input, a rule of consensus, bytes.
pub const MAX_SCRIPT: usize = 100;
/// Longest extranonce1, bytes.
pub const MAX_EXTRANONCE1: usize = 8;
/// Longest tag in a coinbase, bytes: what is left beside the height (up to 5 with its push), the
/// extranonce (17) and the push of the tag itself (2).
pub const MAX_TAG: usize = MAX_SCRIPT - 5 - (1 + MAX_EXTRANONCE1 + EXTRANONCE2_LEN) - 2;

/// How far a share's time may be above its job's, seconds; work goes that far.
const NTIME_ROOM: u32 = 7000;

impl Candidate {
    /// Makes the coinbase: all of its value to `payout`, and `tag` to be seen by everybody.
    ///
    /// # Errors
    ///
    /// If tag or extranonce1 are too long.
    pub fn new(
        template: Template,
        payout: &Script,
        tag: &[u8],
        extranonce1: &[u8],
    ) -> Result<Self, CandidateError> {
        if tag.len() > MAX_TAG {
            return Err(CandidateError::Tag(tag.len()));
        }
        if extranonce1.len() > MAX_EXTRANONCE1 {
            return Err(CandidateError::Extranonce(extranonce1.len()));
        }
        // Below 17 the height is a single opcode, as consensus demands it.
        let height = Builder::new().push_int(i64::from(template.height));
        let extranonce = [extranonce1, &[0; EXTRANONCE2_LEN]].concat();
        // The length of a short push stands in one byte.
        let at = height.len() + 1;
        let mut script = height.push_slice(push_bytes(&extranonce)?).into_script();
        if !tag.is_empty() {
            script.push_slice(push_bytes(tag)?);
        }
        for piece in &template.aux {
            // Nodes ask for these kindly; what does not fit stays out.
            let longer = push(&script, piece);
            if let Some(longer) = longer.filter(|longer| longer.len() <= MAX_SCRIPT) {
                script = longer;
            }
        }
        let coinbase = coinbase(&template, script, payout);
        let bytes = consensus::serialize(&coinbase);
        // Version, number of inputs, outpoint, length of the script in one byte.
        let at = 4 + 1 + 36 + 1 + at;
        let (head, tail) = bytes
            .split_at_checked(at)
            .ok_or(CandidateError::Extranonce(extranonce1.len()))?;
        let tail = tail.get(extranonce.len()..);
        Ok(Self {
            extranonce1: extranonce1.to_vec(),
            coinbase1: head.to_vec(),
            coinbase2: tail
                .ok_or(CandidateError::Extranonce(extranonce1.len()))?
                .to_vec(),
            template,
        })
    }

    /// The template behind it.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The job for the miner.
    #[must_use]
    pub fn job(&self, stamp: Stamp<'_>) -> Job {
        let template = &self.template;
        Job {
            session: stamp.session,
            id: stamp.id.to_owned(),
            generation: stamp.generation,
            prev_hash: template.prev_hash,
            coinbase1: self.coinbase1.clone(),
            extranonce1: self.extranonce1.clone(),
            extranonce2_len: EXTRANONCE2_LEN,
            coinbase2: self.coinbase2.clone(),
            merkle_branch: template.merkle_branch.clone(),
            fixed_root: None,
            version: template.version,
            version_mask: template.version_mask,
            nbits: template.nbits,
            ntime: template.moment.curtime.max(template.moment.mintime),
            target: stamp.target,
            received: stamp.received,
        }
    }

    /// Recomputes a share's hash from its parts, and checks it against its job.
    ///
    /// # Errors
    ///
    /// Why it is no share of this block.
    pub fn prove(&self, share: &Share) -> Result<Proof, Refusal> {
        let (template, job) = (&self.template, &share.job);
        if share.extranonce2.len() != EXTRANONCE2_LEN {
            return Err(Refusal::Extranonce2Length);
        }
        if (share.version ^ template.version) & !template.version_mask != 0 {
            return Err(Refusal::VersionBits);
        }
        let latest = job.ntime.saturating_add(NTIME_ROOM);
        if !(template.moment.mintime..=latest).contains(&share.ntime) {
            return Err(Refusal::TimeOutOfRange);
        }
        let root = self.merkle_root(&share.extranonce2);
        let header = header::assemble(
            share.version,
            &template.prev_hash,
            &root,
            share.ntime,
            template.nbits,
            share.nonce,
        );
        let hash = header::coinbase_hash(&header);
        if hash != share.hash || !job.target.is_met_by(&hash) {
            return Err(Refusal::UnknownJob);
        }
        let network = Target::from_nbits(template.nbits);
        Ok(Proof {
            header,
            is_block: network.is_ok_and(|target| target.is_met_by(&hash)),
        })
    }

    /// The whole block with this header and extranonce2, ready for `submitblock`.
    #[must_use]
    pub fn block(&self, header: &[u8; 80], extranonce2: &[u8]) -> Vec<u8> {
        let template = &self.template;
        let coinbase = self.coinbase(extranonce2);
        let count = VarInt::from(template.transactions + 1);
        let mut block = Vec::with_capacity(80 + 9 + coinbase.len() + 40 + template.body.len());
        block.extend_from_slice(header);
        block.extend_from_slice(&consensus::serialize(&count));
        match (template.segwit, coinbase.split_at_checked(4)) {
            (true, Some((version, rest))) => {
                let (rest, lock_time) = rest.split_at(rest.len().saturating_sub(4));
                block.extend_from_slice(version);
                // Marker and flag, then after the outputs one item of 32 bytes for the one input.
                block.extend_from_slice(&[0, 1]);
                block.extend_from_slice(rest);
                block.extend_from_slice(&[1, 32]);
                block.extend_from_slice(&WITNESS_RESERVED);
                block.extend_from_slice(lock_time);
            }
            _ => block.extend_from_slice(&coinbase),
        }
        block.extend_from_slice(&template.body);
        block
    }

    /// The merkle root with this extranonce2, in header byte order.
    #[must_use]
    pub fn merkle_root(&self, extranonce2: &[u8]) -> [u8; 32] {
        let id = header::coinbase_hash(&self.coinbase(extranonce2));
        header::merkle_root(id, &self.template.merkle_branch)
    }

    fn coinbase(&self, extranonce2: &[u8]) -> Vec<u8> {
        [
            &self.coinbase1,
            &self.extranonce1,
            extranonce2,
            &self.coinbase2,
        ]
        .concat()
    }
}

/// Why no coinbase can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CandidateError {
    /// The tag is too long.
    #[error("the coinbase tag has {0} bytes, expected at most {MAX_TAG}")]
    Tag(usize),
    /// The extranonce is too long.
    #[error("the extranonce has {0} bytes, expected at most {MAX_EXTRANONCE1}")]
    Extranonce(usize),
}

/// Version 2, all in one output, and the witness commitment. Sequence and lock time are what BIP 54
/// will ask for; until then nodes look at neither as long as the transaction is final, which it is.
fn coinbase(template: &Template, script: ScriptBuf, payout: &Script) -> Transaction {
    let mut output = vec![TxOut {
        value: Amount::from_sat(template.coinbase_value),
        script_pubkey: payout.to_owned(),
    }];
    if let Some(hash) = &template.witness_commitment {
        output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: ScriptBuf::from_bytes([&COMMITMENT_PREFIX[..], hash].concat()),
        });
    }
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_height(template.height - 1).unwrap_or(LockTime::ZERO),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: script,
            sequence: Sequence::ENABLE_LOCKTIME_NO_RBF,
            witness: Witness::new(),
        }],
        output,
    }
}

fn push(script: &Script, piece: &[u8]) -> Option<ScriptBuf> {
    let mut longer = script.to_owned();
    longer.push_slice(PushBytesBuf::try_from(piece.to_vec()).ok()?);
    Some(longer)
}

fn push_bytes(bytes: &[u8]) -> Result<PushBytesBuf, CandidateError> {
    PushBytesBuf::try_from(bytes.to_vec()).map_err(|_| CandidateError::Tag(bytes.len()))
}
