//! Cost of judging a nonce: `cargo bench -p mining`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use divan::{Bencher, counter::ItemsCount};
use mining::{Assignment, Job, JobSlots, Partition, Rolled, Target, Work, WorkSource};

fn main() {
    divan::main();
}

const NONCES: u32 = 1000;

/// A job like those of a busy network: 12 merkle branches. No hash of a bench meets it.
fn source() -> WorkSource {
    let mut source = WorkSource::new(Partition::WHOLE);
    let job = Job {
        session: 1,
        id: "1".to_owned(),
        generation: 1,
        prev_hash: [1; 32],
        coinbase1: vec![2; 120],
        extranonce1: vec![3; 4],
        extranonce2_len: 8,
        coinbase2: vec![4; 140],
        merkle_branch: vec![[5; 32]; 12],
        fixed_root: None,
        version: 0x2000_0000,
        version_mask: 0x1fff_e000,
        nbits: 0x1705_ae3a,
        ntime: 1_700_000_000,
        target: Target::from_zero_bits(64),
        received: Duration::ZERO,
    };
    let assignment = Assignment::single(Arc::new(job));
    source.set_assignment(Duration::ZERO, Arc::new(assignment));
    source
}

fn works(count: u32) -> Vec<Work> {
    let mut source = source();
    (0..count)
        .filter_map(|_| source.next_work(Duration::ZERO).ok())
        .collect()
}

/// Nonces with versions rolled by the chip; all meet the ticket and are new.
#[divan::bench]
fn rolled_version(bencher: Bencher<'_, '_>) {
    nonces(bencher, |i| Rolled::VersionBits(i as u16 | 1));
}

/// Nonces of midstates, which are computed ahead.
#[divan::bench]
fn midstate(bencher: Bencher<'_, '_>) {
    nonces(bencher, |i| Rolled::Midstate(i as u8 & 3));
}

fn nonces(bencher: Bencher<'_, '_>, rolled: fn(u32) -> Rolled) {
    bencher
        .counter(ItemsCount::new(NONCES))
        .with_inputs(|| {
            let mut slots = JobSlots::new(16).unwrap_or_else(|error| panic!("{error}"));
            slots.set_floors(&[(1, 1)]);
            for work in works(16) {
                slots.insert(work);
            }
            slots
        })
        .bench_local_refs(|slots| {
            for i in 0..NONCES {
                black_box(slots.verify(i as u8 & 15, i, rolled(i), &Target::MAX));
            }
        });
}

/// Making one work: coinbase, 12 branches.
#[divan::bench]
fn next_work(bencher: Bencher<'_, '_>) {
    let mut source = source();
    bencher.bench_local(|| source.next_work(Duration::ZERO));
}
