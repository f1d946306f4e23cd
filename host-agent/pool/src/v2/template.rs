//! Block templates as a template provider gives them, and the jobs made of them by the reference
//! implementation's job factory. The switches about the size and form of jobs act here.

use super::config::Config;
use super::quirks::Quirk;
use crate::chain::Snapshot;
use binary_sv2::{Seq0255Owned, Sv2OptionOwned, U256Owned};
use bitcoin::{Amount, ScriptBuf, TxOut, consensus};
use channels_sv2::server::jobs::extended::ExtendedJob;
use channels_sv2::server::jobs::factory::JobFactory;
use mining_sv2::NewExtendedMiningJobOwned;
use template_distribution_sv2::{NewTemplateOwned, SetNewPrevHashOwned};

/// Most bytes of a coinbase half: its length has 16 bits.
const MAX_HALF: usize = u16::MAX as usize;
/// Most branch hashes: their number has 8 bits.
const MAX_BRANCH: u32 = 255;
/// Bytes of the suffix that are not the filler output's script: sequence, counts, other outputs,
/// witness and lock time, roughly and rounded up.
const SUFFIX_RESERVE: usize = 256;

/// A template, ready to be made into jobs for any channel.
#[derive(Debug)]
pub(super) struct Template {
    pub(super) id: u64,
    pub(super) height: u32,
    /// Hash of the block before, header order.
    pub(super) prev_hash: [u8; 32],
    pub(super) nbits: u32,
    pub(super) version: u32,
    pub(super) version_rolling: bool,
    /// Coinbase halves as they are hashed.
    pub(super) prefix: Vec<u8>,
    pub(super) suffix: Vec<u8>,
    pub(super) branch: Vec<[u8; 32]>,
    /// Coinbase halves with witness marker and data.
    full_prefix: Vec<u8>,
    full_suffix: Vec<u8>,
    send_full: bool,
    message: NewTemplateOwned,
    reward: Vec<TxOut>,
}

/// The value that the reference crates cannot work with.
#[derive(Debug, thiserror::Error)]
#[error("no job can be made of this template: {0}")]
pub(super) struct TemplateError(String);

impl Template {
    /// Makes a template of the chain's newest state. `extranonce_size` is that of both parts together.
    pub(super) fn new(
        snapshot: Snapshot,
        config: &Config,
        extranonce_size: usize,
    ) -> Result<Template, TemplateError> {
        let quirks = &config.quirks;
        let mut branch = snapshot.branch;
        if let Some(count) = quirks.number(Quirk::Branches) {
            let count = count.min(MAX_BRANCH) as usize;
            let filler = |index: usize| [index as u8 ^ 0xa5; 32];
            branch.truncate(count);
            branch.extend((branch.len()..count).map(filler));
        }
        let reward = vec![TxOut {
            value: Amount::from_sat(snapshot.reward_sats),
            script_pubkey: ScriptBuf::from_bytes(config.payout_script.clone()),
        }];
        let mut outputs = vec![unpaid(snapshot.commitment)];
        if let Some(bytes) = quirks.number(Quirk::BigSuffix) {
            let room = MAX_HALF - SUFFIX_RESERVE - config.payout_script.len();
            // OP_RETURN and one large push of zeros.
            let size = (bytes as usize).min(room);
            let length = (size as u16).to_le_bytes();
            let mut script = vec![0x6a, 0x4d, length[0], length[1]];
            script.resize(script.len() + size, 0);
            outputs.push(unpaid(script));
        }
        let serialized: Vec<u8> = outputs.iter().flat_map(consensus::serialize).collect();
        let hashes: Vec<U256Owned> = branch.iter().map(|hash| (*hash).into()).collect();
        let bad = |error: &dyn std::fmt::Debug| TemplateError(format!("{error:?}"));
        let message = NewTemplateOwned {
            template_id: snapshot.id,
            future_template: true,
            version: snapshot.version,
            coinbase_tx_version: 2,
            coinbase_prefix: snapshot.height_push.try_into().map_err(|e| bad(&e))?,
            coinbase_tx_input_sequence: u32::MAX,
            coinbase_tx_value_remaining: snapshot.reward_sats,
            coinbase_tx_outputs_count: outputs.len() as u32,
            coinbase_tx_outputs: serialized.try_into().map_err(|e| bad(&e))?,
            coinbase_tx_locktime: 0,
            merkle_path: Seq0255Owned::new(hashes).map_err(|e| bad(&e))?,
        };
        let version_rolling = config.version_rolling && !quirks.has(Quirk::NoVersionRolling);
        let job = JobFactory::new(version_rolling, Some(config.tag.clone()), None)
            .new_extended_job(
                0,
                None,
                Vec::new(),
                message.clone(),
                reward.clone(),
                extranonce_size,
            )
            .map_err(|e| bad(&e))?;
        let mut prefix = job.get_coinbase_tx_prefix_without_bip141();
        if let Some(bytes) = quirks.number(Quirk::BigPrefix) {
            prefix = oversized_prefix(&prefix, bytes as usize, extranonce_size);
        }
        Ok(Template {
            id: snapshot.id,
            height: snapshot.height,
            prev_hash: snapshot.prev_hash.0,
            nbits: snapshot.nbits,
            version: snapshot.version,
            version_rolling,
            prefix,
            suffix: job.get_coinbase_tx_suffix_without_bip141(),
            branch,
            full_prefix: job.get_coinbase_tx_prefix_with_bip141(),
            full_suffix: job.get_coinbase_tx_suffix_with_bip141(),
            send_full: quirks.has(Quirk::WitnessInCoinbase) && !quirks.has(Quirk::BigPrefix),
            message,
            reward,
        })
    }

    /// The job of this template under a name, as the reference implementation's channels take it.
    /// Without `min_ntime` it is a future job.
    pub(super) fn job(
        &self,
        channel_id: u32,
        job_id: u32,
        template_id: u64,
        min_ntime: Option<u32>,
    ) -> Result<ExtendedJob, TemplateError> {
        let bad = |error: &dyn std::fmt::Debug| TemplateError(format!("{error:?}"));
        let message = NewExtendedMiningJobOwned {
            channel_id,
            job_id,
            min_ntime: Sv2OptionOwned::new(min_ntime),
            version: self.version,
            version_rolling_allowed: self.version_rolling,
            merkle_path: self.message.merkle_path.clone(),
            coinbase_tx_prefix: self.prefix.clone().try_into().map_err(|e| bad(&e))?,
            coinbase_tx_suffix: self.suffix.clone().try_into().map_err(|e| bad(&e))?,
        };
        let mut origin = self.message.clone();
        origin.template_id = template_id;
        ExtendedJob::from_template(
            origin,
            Vec::new(),
            self.reward.clone(),
            self.full_prefix.clone(),
            self.full_suffix.clone(),
            message,
        )
        .map_err(|e| bad(&e))
    }

    /// The message for the miner: that of the job, in the form that the switches ask for.
    pub(super) fn message(&self, job: &ExtendedJob) -> NewExtendedMiningJobOwned {
        let mut message = job.get_job_message().clone();
        if self.send_full
            && let (Ok(prefix), Ok(suffix)) = (
                self.full_prefix.clone().try_into(),
                self.full_suffix.clone().try_into(),
            )
        {
            message.coinbase_tx_prefix = prefix;
            message.coinbase_tx_suffix = suffix;
        }
        message
    }

    /// The template provider's word that this template is on the newest block.
    pub(super) fn prev_hash_message(&self, min_ntime: u32) -> SetNewPrevHashOwned {
        let target = crate::target::Target::from_nbits(self.nbits)
            .map_or([0xff; 32], |target| target.to_be_bytes());
        let mut target_le = target;
        target_le.reverse();
        SetNewPrevHashOwned {
            template_id: self.id,
            prev_hash: self.prev_hash.into(),
            header_timestamp: min_ntime,
            n_bits: self.nbits,
            target: target_le.into(),
        }
    }
}

fn unpaid(script: Vec<u8>) -> TxOut {
    TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::from_bytes(script),
    }
}

/// A first half of `size` bytes whose script signature is longer than consensus allows, but which is
/// still a transaction to whoever takes it apart.
fn oversized_prefix(prefix: &[u8], size: usize, extranonce_size: usize) -> Vec<u8> {
    // Version, one input of the null outpoint: 41 bytes; then the length of the script in three bytes
    // instead of one.
    const BEFORE_SCRIPT: usize = 41;
    let (head, rest) = prefix.split_at(BEFORE_SCRIPT.min(prefix.len()));
    let script = rest.get(1..).unwrap_or_default();
    let longest = MAX_HALF - extranonce_size;
    let filler = size
        .min(longest)
        .saturating_sub(BEFORE_SCRIPT + 3 + script.len());
    let length = filler + script.len() + extranonce_size;
    if length < 0xfd {
        return prefix.to_vec();
    }
    let mut long = head.to_vec();
    long.push(0xfd);
    long.extend((length as u16).to_le_bytes());
    // OP_NOPs between the tag and the push of the extranonce, which stays last.
    let (tag, push) = script.split_at(script.len().saturating_sub(1));
    long.extend(tag);
    long.resize(long.len() + filler, 0x61);
    long.extend(push);
    long
}
