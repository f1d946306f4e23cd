//! Jobs for tests.
#![allow(dead_code)]

use std::time::Duration;

use mining::{Job, Target};
use payout::PayoutAddress;

/// The main network's compact target in September 2024.
pub(crate) const MAIN_NBITS: u32 = 0x1703_1abe;
/// Height of a block of that time.
pub(crate) const MAIN_HEIGHT: u32 = 861_000;
/// And its time.
pub(crate) const MAIN_NTIME: u32 = 1_726_000_000;

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

pub(crate) fn job(
    coinbase1: &[u8],
    extranonce1: &[u8],
    extranonce2_len: usize,
    coinbase2: &[u8],
) -> Job {
    Job {
        session: 1,
        id: "1".to_owned(),
        generation: 1,
        prev_hash: [7; 32],
        coinbase1: coinbase1.to_vec(),
        extranonce1: extranonce1.to_vec(),
        extranonce2_len,
        coinbase2: coinbase2.to_vec(),
        merkle_branch: Vec::new(),
        fixed_root: None,
        version: 0x2000_0000,
        version_mask: 0,
        nbits: MAIN_NBITS,
        ntime: MAIN_NTIME,
        target: Target::MAX,
        received: Duration::ZERO,
    }
}

/// A pool that makes one job after the other; each field may be changed in between.
pub(crate) struct Pool {
    pub(crate) height: u32,
    pub(crate) nbits: u32,
    pub(crate) tag: Vec<u8>,
    /// Address and satoshi.
    pub(crate) pays: Vec<(String, u64)>,
    serial: u32,
}

impl Pool {
    /// A pool of the main network that pays so.
    pub(crate) fn paying(pays: &[(&str, u64)]) -> Self {
        Self {
            height: MAIN_HEIGHT,
            nbits: MAIN_NBITS,
            tag: b"/some pool/".to_vec(),
            pays: owned(pays),
            serial: 0,
        }
    }

    pub(crate) fn pay(&mut self, pays: &[(&str, u64)]) {
        self.pays = owned(pays);
    }

    /// Another job for the same block.
    pub(crate) fn job(&mut self) -> Job {
        self.serial += 1;
        let mut script = vec![3];
        script.extend(&self.height.to_le_bytes()[..3]);
        // The time of the template, as many programs write it.
        script.push(4);
        script.extend(self.serial.wrapping_mul(0x9e37_79b9).to_le_bytes());
        script.extend(&self.tag);
        let mut first = unhex(
            "02000000010000000000000000000000000000000000000000000000000000000000000000ffffffff",
        );
        first.push(u8::try_from(script.len() + 12).unwrap());
        first.extend(script);
        let mut second = vec![0xff; 4];
        second.push(u8::try_from(self.pays.len()).unwrap());
        for (address, sat) in &self.pays {
            let script = PayoutAddress::parse(address, None).unwrap();
            second.extend(sat.to_le_bytes());
            second.push(u8::try_from(script.script().len()).unwrap());
            second.extend(script.script());
        }
        second.extend([0; 4]);
        let mut job = job(&first, &[1, 2, 3, 4], 8, &second);
        job.nbits = self.nbits;
        job.prev_hash = [0; 32];
        job.prev_hash[..4].copy_from_slice(&self.height.to_le_bytes());
        job
    }

    /// The first job of the next block.
    pub(crate) fn next_block(&mut self) -> Job {
        self.height += 1;
        self.job()
    }
}

fn owned(pays: &[(&str, u64)]) -> Vec<(String, u64)> {
    pays.iter()
        .map(|(address, sat)| ((*address).to_owned(), *sat))
        .collect()
}
