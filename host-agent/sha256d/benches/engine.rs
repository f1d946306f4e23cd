//! Rates of every backend that this processor can run, beside the `sha2` crate with and
//! without a midstate, in one run: `cargo bench -p sha256d`.

use std::hint::black_box;
use std::ops::ControlFlow;

use divan::{Bencher, counter::ItemsCount};
use sha2::{Digest, Sha256};
use sha256d::{Bound, Candidate, Engine, Template};

fn main() {
    divan::main();
}

const NONCES: u32 = 16_384;
const JOBS: u32 = 1024;

fn engines() -> impl Iterator<Item = &'static str> {
    Engine::available().map(Engine::name)
}

fn engine(name: &str) -> Engine {
    Engine::by_name(name).unwrap_or_default()
}

fn header(seed: u32) -> [u8; 80] {
    std::array::from_fn(|i| (seed.wrapping_add(i as u32).wrapping_mul(0x9e37_79b9) >> 24) as u8)
}

/// Difficulty 1: no hash of so few will meet it.
fn bound() -> Bound {
    let mut bound = [0; 32];
    bound[4..6].fill(0xff);
    Bound::from_be_bytes(bound)
}

/// One header, many nonces: what a hashing processor does.
#[divan::bench(args = engines())]
fn scan(bencher: Bencher<'_, '_>, name: &str) {
    let engine = engine(name);
    let template = engine.template(&header(1));
    bencher.counter(ItemsCount::new(NONCES)).bench(|| {
        engine.scan(black_box(&template), 0..=NONCES - 1, &bound(), |hit| {
            black_box(hit);
            ControlFlow::Continue(())
        })
    });
}

/// Unrelated nonces one at a time, midstates at hand: what checking a chip's nonces takes.
#[divan::bench(args = engines())]
fn verify(bencher: Bencher<'_, '_>, name: &str) {
    let engine = engine(name);
    let templates = templates(engine);
    bencher.counter(ItemsCount::new(JOBS)).bench(|| {
        for (nonce, template) in (0..).zip(&templates) {
            black_box(engine.hash(template, nonce));
        }
    });
}

/// The same, but all at once.
#[divan::bench(args = engines())]
fn verify_batch(bencher: Bencher<'_, '_>, name: &str) {
    let engine = engine(name);
    let templates = templates(engine);
    let candidates: Vec<_> = (0..)
        .zip(&templates)
        .map(|(nonce, template)| Candidate { template, nonce })
        .collect();
    let mut hashes = vec![[0; 32]; candidates.len()];
    bencher
        .counter(ItemsCount::new(JOBS))
        .bench_local(|| engine.hash_batch(black_box(&candidates), &mut hashes));
}

/// Whole headers, as for nonces with rolled versions: three compressions each.
#[divan::bench(args = engines())]
fn whole_header(bencher: Bencher<'_, '_>, name: &str) {
    let engine = engine(name);
    let headers: Vec<_> = (0..JOBS).map(header).collect();
    bencher.counter(ItemsCount::new(JOBS)).bench(|| {
        for header in &headers {
            black_box(engine.hash_header(header));
        }
    });
}

#[divan::bench]
fn sha2_with_midstate(bencher: Bencher<'_, '_>) {
    let templates = templates(Engine::best());
    bencher.counter(ItemsCount::new(JOBS)).bench(|| {
        for (nonce, template) in (0..).zip(&templates) {
            black_box(sha2_tail(template, nonce));
        }
    });
}

#[divan::bench]
fn sha2_whole_header(bencher: Bencher<'_, '_>) {
    let headers: Vec<_> = (0..JOBS).map(header).collect();
    bencher.counter(ItemsCount::new(JOBS)).bench(|| {
        for header in &headers {
            black_box(Sha256::digest(Sha256::digest(header)));
        }
    });
}

fn templates(engine: Engine) -> Vec<Template> {
    (0..JOBS)
        .map(|seed| engine.template(&header(seed)))
        .collect()
}

fn sha2_tail(template: &Template, nonce: u32) -> [u32; 8] {
    let mut block = [0; 64];
    for (bytes, word) in block.chunks_exact_mut(4).zip(template.tail) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    block[12..16].copy_from_slice(&nonce.to_le_bytes());
    block[16] = 0x80;
    block[62..].copy_from_slice(&640u16.to_be_bytes());
    let mut state = template.midstate.0;
    sha2::block_api::compress256(&mut state, &[block]);

    let mut block = [0; 64];
    for (bytes, word) in block.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    block[32] = 0x80;
    block[62..].copy_from_slice(&256u16.to_be_bytes());
    let mut state = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    sha2::block_api::compress256(&mut state, &[block]);
    state
}
