//! `bench hash`: what each hash backend does on this processor, beside the `sha2` crate.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use sha256d::{Bound, Candidate, Engine, Hash, Template};

use super::print_table;
use super::sampling::{Rounds, Work};
use crate::commands::{print_json, say};
use crate::format::{Column, Table};

/// Arguments of `bench hash`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// CPU time for all samples together
    #[arg(long, value_name = "N", default_value_t = 6.0)]
    pub seconds: f64,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Jobs that nonces to be checked belong to, and nonces in a unit of work.
const JOBS: usize = 1024;
/// SHA-256's initial state.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// A way of hashing and how fast it was.
#[derive(Debug, Serialize)]
struct Row {
    /// Backend, or the peer.
    engine: &'static str,
    /// What it did.
    work: &'static str,
    /// Header hashes per second of CPU time of one thread.
    hashes_per_second: f64,
    /// Times as fast as the `sha2` crate with midstates at hand.
    ratio_to_sha2_midstate: f64,
    /// Times as fast as the `sha2` crate on whole headers.
    ratio_to_sha2_whole: f64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let rows = measure(super::duration(args.seconds)?);
    if args.json {
        return print_json(&rows);
    }
    let mut table = Table::new([
        Column::left("engine"),
        Column::left("work"),
        Column::right("MH/s"),
        Column::right("x sha2 midstate"),
        Column::right("x sha2 whole"),
    ]);
    for row in &rows {
        table.push([
            row.engine.to_owned(),
            row.work.to_owned(),
            format!("{:.2}", row.hashes_per_second / 1e6),
            format!("{:.2}", row.ratio_to_sha2_midstate),
            format!("{:.2}", row.ratio_to_sha2_whole),
        ]);
    }
    print_table(&table)?;
    say("one thread, per second of its CPU time; all took turns in one run, medians of the rounds")
}

fn measure(time: Duration) -> Vec<Row> {
    let headers: Vec<_> = (0..JOBS as u32).map(header).collect();
    let templates: Vec<_> = headers
        .iter()
        .map(|header| Engine::best().template(header))
        .collect();
    let mut labels = vec![
        ("sha2", "verify, midstate"),
        ("sha2", "verify, whole header"),
    ];
    let mut works = vec![sha2_midstate(&templates), sha2_whole(&headers)];
    for engine in Engine::available() {
        labels.push((engine.name(), "scan"));
        works.push(scan(engine, &templates));
        labels.push((engine.name(), "verify, one by one"));
        works.push(verify(engine, &templates));
        labels.push((engine.name(), "verify, batch"));
        works.push(verify_batch(engine, &templates));
    }
    let rounds = Rounds::take(&mut works, time);
    labels
        .into_iter()
        .enumerate()
        .map(|(index, (engine, work))| Row {
            engine,
            work,
            hashes_per_second: rounds.rate(index),
            ratio_to_sha2_midstate: rounds.ratio(index, 0),
            ratio_to_sha2_whole: rounds.ratio(index, 1),
        })
        .collect()
}

/// One header, many nonces, at difficulty 1, which none of so few will meet.
fn scan(engine: Engine, templates: &[Template]) -> Work<'_> {
    const NONCES: u32 = 4096;
    let mut bound = [0; 32];
    bound[4..6].fill(0xff);
    let bound = Bound::from_be_bytes(bound);
    let mut jobs = templates.iter().cycle();
    Box::new(move || {
        if let Some(template) = jobs.next() {
            let _ = engine.scan(black_box(template), 0..=NONCES - 1, &bound, |hit| {
                black_box(hit);
                ControlFlow::Continue(())
            });
        }
        NONCES.into()
    })
}

/// Nonces of unrelated jobs: what checking a chip's nonces takes.
fn verify(engine: Engine, templates: &[Template]) -> Work<'_> {
    Box::new(move || {
        for (nonce, template) in (0..).zip(templates) {
            black_box(engine.hash(black_box(template), nonce));
        }
        JOBS as u64
    })
}

fn verify_batch(engine: Engine, templates: &[Template]) -> Work<'_> {
    let candidates: Vec<_> = (0..)
        .zip(templates)
        .map(|(nonce, template)| Candidate { template, nonce })
        .collect();
    let mut hashes: Vec<Hash> = vec![[0; 32]; candidates.len()];
    Box::new(move || {
        engine.hash_batch(black_box(&candidates), &mut hashes);
        black_box(&hashes);
        JOBS as u64
    })
}

fn sha2_midstate(templates: &[Template]) -> Work<'_> {
    Box::new(move || {
        for (nonce, template) in (0..).zip(templates) {
            black_box(sha2_tail(black_box(template), nonce));
        }
        JOBS as u64
    })
}

fn sha2_whole(headers: &[[u8; 80]]) -> Work<'_> {
    Box::new(move || {
        for header in headers {
            black_box(Sha256::digest(Sha256::digest(black_box(header))));
        }
        JOBS as u64
    })
}

/// The header hash by the compression function of the `sha2` crate, from the midstate on.
fn sha2_tail(template: &Template, nonce: u32) -> Hash {
    let mut block = [0; 64];
    put(&mut block, &template.tail);
    block[12..16].copy_from_slice(&nonce.to_le_bytes());
    block[16] = 0x80;
    block[62..].copy_from_slice(&640u16.to_be_bytes());
    let mut state = template.midstate.0;
    sha2::block_api::compress256(&mut state, &[block]);

    let mut block = [0; 64];
    put(&mut block, &state);
    block[32] = 0x80;
    block[62..].copy_from_slice(&256u16.to_be_bytes());
    let mut state = INITIAL;
    sha2::block_api::compress256(&mut state, &[block]);
    let mut hash = [0; 32];
    put(&mut hash, &state);
    hash
}

fn put(bytes: &mut [u8], words: &[u32]) {
    for (room, word) in bytes.chunks_exact_mut(4).zip(words) {
        room.copy_from_slice(&word.to_be_bytes());
    }
}

fn header(seed: u32) -> [u8; 80] {
    std::array::from_fn(|i| (seed.wrapping_add(i as u32).wrapping_mul(0x9e37_79b9) >> 24) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_peers_and_the_engine_hash_the_same_headers_alike() {
        let mut header = header(3);
        header[76..].copy_from_slice(&77u32.to_le_bytes());
        let whole: Hash = Sha256::digest(Sha256::digest(header)).into();
        let template = Engine::best().template(&header);
        assert_eq!(sha2_tail(&template, 77), whole);
        assert_eq!(Engine::best().hash(&template, 77), whole);
    }
}
