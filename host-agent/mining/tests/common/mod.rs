//! Reading the vectors, and hashing by an independent implementation.

#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::Arc;
use std::time::Duration;

use mining::{Difficulty, Job, Target, Work};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(crate) fn sha256d(data: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(data)).into()
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

pub(crate) fn hex32(text: &str) -> [u8; 32] {
    hex(text).try_into().unwrap()
}

pub(crate) fn number(text: &str) -> u32 {
    u32::from_str_radix(text, 16).unwrap()
}

/// Six chains from coinbase to header, three of them with midstates and one with a nonce.
pub(crate) fn header_chains() -> Vec<Value> {
    serde_json::from_str(include_str!("../data/header-chain.json")).unwrap()
}

/// The chain whose nonce is known.
pub(crate) fn solved_chain() -> Value {
    let mut chains = header_chains();
    chains.retain(|chain| chain["nonce"].is_string());
    chains.pop().unwrap()
}

/// The job of a chain that goes all the way to a header.
pub(crate) fn job_of(chain: &Value) -> Job {
    let text = |key: &str| chain[key].as_str().unwrap();
    Job {
        session: 1,
        id: text("job_id").to_owned(),
        generation: 1,
        prev_hash: mining::header::prevhash_from_stratum_words(hex32(text("prevhash"))),
        coinbase1: hex(text("coinbase1")),
        extranonce1: hex(text("extranonce1")),
        extranonce2_len: text("extranonce2").len() / 2,
        coinbase2: hex(text("coinbase2")),
        merkle_branch: branch_of(chain),
        fixed_root: None,
        version: number(text("version")),
        version_mask: 0x1fff_e000,
        nbits: number(text("nbits")),
        ntime: number(text("ntime")),
        target: Target::from_difficulty(Difficulty::new(500.0).unwrap()),
        received: Duration::from_secs(100),
    }
}

pub(crate) fn branch_of(chain: &Value) -> Vec<[u8; 32]> {
    let branch = chain["merkle_branches"].as_array().unwrap();
    branch
        .iter()
        .map(|hash| hex32(hash.as_str().unwrap()))
        .collect()
}

/// A small made-up job; `seed` makes its headers differ from those of other seeds.
pub(crate) fn made_up_job(seed: u8, generation: u64, extranonce2_len: usize) -> Job {
    Job {
        session: 1,
        id: format!("{seed:x}"),
        generation,
        prev_hash: [seed; 32],
        coinbase1: vec![1, 2, 3, seed],
        extranonce1: vec![4, 5],
        extranonce2_len,
        coinbase2: vec![6, 7, 8],
        merkle_branch: vec![[9; 32], [10; 32]],
        fixed_root: None,
        version: 0x2000_0000,
        version_mask: 0x1fff_e000,
        nbits: 0x1705_ae3a,
        ntime: 1_700_000_000,
        target: Target::from_zero_bits(4),
        received: Duration::from_secs(50),
    }
}

/// Work of a job, with its merkle root computed independently.
pub(crate) fn work_of(job: Job, extranonce2: Vec<u8>) -> Work {
    let mut coinbase = job.coinbase1.clone();
    coinbase.extend(&job.extranonce1);
    coinbase.extend(&extranonce2);
    coinbase.extend(&job.coinbase2);
    let merkle_root = job
        .merkle_branch
        .iter()
        .fold(sha256d(&coinbase), |left, right| {
            sha256d(&[left, *right].concat())
        });
    Work {
        extranonce2,
        merkle_root,
        ntime: job.ntime,
        version: job.version,
        rollable_mask: job.rollable_mask(),
        job: Arc::new(job),
    }
}

/// The header hash of work, put together and hashed independently.
pub(crate) fn hash_of(work: &Work, version: u32, nonce: u32) -> [u8; 32] {
    let mut header = Vec::new();
    header.extend(version.to_le_bytes());
    header.extend(work.job.prev_hash);
    header.extend(work.merkle_root);
    header.extend(work.ntime.to_le_bytes());
    header.extend(work.job.nbits.to_le_bytes());
    header.extend(nonce.to_le_bytes());
    sha256d(&header)
}
