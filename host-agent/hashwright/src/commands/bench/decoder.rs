//! `bench decoder`: how many bytes and replies a second the reply decoder takes, on clean and on bad
//! lines, beside what the fastest line delivers.

use std::time::Duration;

use bm13xx::{ChipKind, Decoder, NonceReply, Reply};
use serde::Serialize;

use super::print_table;
use super::sampling::{Rounds, Work};
use crate::commands::{print_json, say};
use crate::format::{Column, Table};

/// Arguments of `bench decoder`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// CPU time for all samples together
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    pub seconds: f64,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Bytes a second of a line of 3.125 Mbaud, ten bits to the byte: the fastest in use.
const LINE: f64 = 312_500.0;
/// Nonce replies sent in each stream.
const REPLIES: u32 = 5000;
/// What a read from a UART gives at a time.
const READ: usize = 512;

/// A kind of input and how fast it was decoded.
#[derive(Debug, Serialize)]
struct Row {
    input: &'static str,
    /// Per second of CPU time of one thread.
    bytes_per_second: f64,
    /// Good replies found per second of CPU time.
    replies_per_second: f64,
    /// Times the bytes that a line of 3.125 Mbaud delivers.
    ratio_to_line: f64,
    /// Part of the replies sent that came out.
    replies_found: f64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let rows = measure(super::duration(args.seconds)?);
    if args.json {
        return print_json(&rows);
    }
    let mut table = Table::new([
        Column::left("input"),
        Column::right("x line"),
        Column::right("MB/s"),
        Column::right("M replies/s"),
        Column::right("replies found"),
    ]);
    for row in &rows {
        table.push([
            row.input.to_owned(),
            format!("{:.0}", row.ratio_to_line),
            format!("{:.1}", row.bytes_per_second / 1e6),
            format!("{:.2}", row.replies_per_second / 1e6),
            format!("{:.2} %", row.replies_found * 100.0),
        ]);
    }
    print_table(&table)?;
    say(&format!(
        "one thread, per second of its CPU time; the line is 3.125 Mbaud, {} kB/s",
        LINE / 1e3
    ))
}

fn measure(time: Duration) -> Vec<Row> {
    let inputs = [
        ("clean, 11-byte replies", ChipKind::Bm1370, clean(Some(0))),
        ("clean, 9-byte replies", ChipKind::Bm1397, clean(None)),
        (
            "one reply in ten short of a byte",
            ChipKind::Bm1370,
            lossy(),
        ),
        ("as much noise as replies", ChipKind::Bm1370, noisy()),
    ];
    let mut works: Vec<Work<'_>> = inputs
        .iter()
        .map(|(_, kind, stream)| -> Work<'_> {
            Box::new(move || {
                std::hint::black_box(decode(*kind, stream));
                stream.len() as u64
            })
        })
        .collect();
    let rounds = Rounds::take(&mut works, time);
    drop(works);
    inputs
        .iter()
        .enumerate()
        .map(|(index, (input, kind, stream))| {
            let bytes_per_second = rounds.rate(index);
            let found = f64::from(decode(*kind, stream));
            Row {
                input,
                bytes_per_second,
                replies_per_second: bytes_per_second / stream.len() as f64 * found,
                ratio_to_line: bytes_per_second / LINE,
                replies_found: found / f64::from(REPLIES),
            }
        })
        .collect()
}

/// Decodes a whole stream and counts the replies.
fn decode(kind: ChipKind, stream: &[u8]) -> u32 {
    let mut decoder = Decoder::new(kind);
    let mut found = 0;
    for chunk in stream.chunks(READ) {
        decoder.push(chunk);
        while let Some(reply) = decoder.next_reply() {
            std::hint::black_box(reply);
            found += 1;
        }
    }
    found
}

/// Nonce replies, spread over the nonce space.
fn replies(version: Option<u16>) -> impl Iterator<Item = Vec<u8>> {
    (0..REPLIES).map(move |n| {
        let reply = Reply::Nonce(NonceReply {
            nonce: n.wrapping_mul(0x9e37_79b9),
            midstate_num: n as u8 & 0xf,
            id: (n >> 4) as u8,
            version_bits: version.map(|bits| bits ^ n as u16),
        });
        let (bytes, len) = reply.encode(true);
        bytes[..len].to_vec()
    })
}

fn clean(version: Option<u16>) -> Vec<u8> {
    replies(version).flatten().collect()
}

/// Every tenth reply lacks a byte, each time another.
fn lossy() -> Vec<u8> {
    replies(Some(0))
        .enumerate()
        .flat_map(|(n, mut reply)| {
            if n % 10 == 0 {
                reply.remove(n / 10 % reply.len());
            }
            reply
        })
        .collect()
}

/// As many bytes of noise as of replies, half of them preamble bytes.
fn noisy() -> Vec<u8> {
    replies(Some(0))
        .enumerate()
        .flat_map(|(n, reply)| {
            let noise = (0..reply.len()).map(move |at| match (n + at) % 4 {
                0 => 0xaa,
                1 => 0x55,
                _ => (n * 11 + at) as u8,
            });
            noise.chain(reply).collect::<Vec<_>>()
        })
        .collect()
}
