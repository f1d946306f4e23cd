//! Throughput of the decoder in bytes and replies per second, on a clean line and on bad ones.
//!
//! A chain of 3.125 Mbaud delivers at most 312 500 bytes a second.

use bm13xx::{ChipKind, Decoder, NonceReply, Reply};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

const REPLIES: u32 = 10_000;

fn main() {
    divan::main();
}

/// Nonce replies, spread over the nonce space.
fn replies(version: Option<u16>) -> impl Iterator<Item = Vec<u8>> {
    (0..REPLIES).map(move |n| {
        let reply = Reply::Nonce(NonceReply {
            nonce: n.wrapping_mul(0x9E37_79B9),
            midstate_num: n as u8 & 0xF,
            id: (n >> 4) as u8,
            version_bits: version.map(|bits| bits ^ n as u16),
        });
        let (bytes, len) = reply.encode(true);
        bytes[..len].to_vec()
    })
}

fn run(bencher: Bencher<'_, '_>, kind: ChipKind, stream: &[u8]) {
    bencher
        .counter(BytesCount::new(stream.len()))
        .counter(ItemsCount::new(REPLIES))
        .with_inputs(|| Decoder::new(kind))
        .bench_local_values(|mut decoder| {
            let mut nonces = 0u32;
            // What a read from a UART gives.
            for chunk in stream.chunks(512) {
                decoder.push(chunk);
                while let Some(reply) = decoder.next_reply() {
                    nonces ^= match reply {
                        Reply::Nonce(nonce) => nonce.nonce,
                        Reply::Register(register) => register.value,
                    };
                }
            }
            nonces
        });
}

#[divan::bench]
fn clean_long_replies(bencher: Bencher<'_, '_>) {
    run(
        bencher,
        ChipKind::Bm1370,
        &replies(Some(0)).flatten().collect::<Vec<_>>(),
    );
}

#[divan::bench]
fn clean_short_replies(bencher: Bencher<'_, '_>) {
    run(
        bencher,
        ChipKind::Bm1397,
        &replies(None).flatten().collect::<Vec<_>>(),
    );
}

/// One reply in ten loses a byte.
#[divan::bench]
fn lost_bytes(bencher: Bencher<'_, '_>) {
    let stream: Vec<u8> = replies(Some(0))
        .enumerate()
        .flat_map(|(n, mut reply)| {
            if n % 10 == 0 {
                reply.remove(n / 10 % 11);
            }
            reply
        })
        .collect();
    run(bencher, ChipKind::Bm1370, &stream);
}

/// As many bytes of noise as of replies, half of them preambles.
#[divan::bench]
fn noise(bencher: Bencher<'_, '_>) {
    let stream: Vec<u8> = replies(Some(0))
        .enumerate()
        .flat_map(|(n, reply)| {
            let noise = (0..11).map(move |at| match (n + at) % 4 {
                0 => 0xAA,
                1 => 0x55,
                _ => (n * 11 + at) as u8,
            });
            noise.chain(reply).collect::<Vec<_>>()
        })
        .collect();
    run(bencher, ChipKind::Bm1370, &stream);
}
