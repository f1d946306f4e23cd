//! Feeds the decoder noise with good replies in it. It must not panic, must find every good reply when the
//! length of replies is known, must give the same replies however the bytes are cut, and must account
//! for every byte.
#![no_main]

use arbitrary::Arbitrary;
use bm13xx::{ChipKind, Decoder, NonceReply, RegisterReply, Reply, ReplyLengths};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    kind: u8,
    lengths: u8,
    chunk: u8,
    pieces: Vec<Piece>,
}

#[derive(Arbitrary, Debug)]
enum Piece {
    Noise(Vec<u8>),
    Nonce {
        nonce: u32,
        midstate_num: u8,
        id: u8,
        version_bits: u16,
    },
    Register {
        value: u32,
        address: u8,
        register: u8,
        long: bool,
    },
    /// A good reply of which only the first bytes arrive.
    Cut {
        nonce: u32,
        kept: u8,
    },
}

fuzz_target!(|input: Input| {
    let kind = ChipKind::ALL[usize::from(input.kind) % ChipKind::ALL.len()];
    let lengths =
        [None, Some(ReplyLengths::Long), Some(ReplyLengths::Short)][usize::from(input.lengths) % 3];
    let mut stream = Vec::new();
    let mut wanted = Vec::new();
    for piece in &input.pieces {
        match piece {
            Piece::Noise(noise) => stream.extend(noise),
            Piece::Cut { nonce, kept } => {
                let reply = Reply::Nonce(NonceReply {
                    nonce: *nonce,
                    midstate_num: 0,
                    id: *kept,
                    version_bits: Some(0),
                });
                let (bytes, len) = reply.encode(true);
                stream.extend(&bytes[..usize::from(*kept) % len]);
            }
            Piece::Nonce {
                nonce,
                midstate_num,
                id,
                version_bits,
            } => {
                let long = lengths != Some(ReplyLengths::Short);
                let reply = Reply::Nonce(NonceReply {
                    nonce: *nonce,
                    midstate_num: *midstate_num,
                    id: *id,
                    version_bits: long.then_some(*version_bits),
                });
                let (bytes, len) = reply.encode(long);
                stream.extend(&bytes[..len]);
                wanted.push(reply);
            }
            Piece::Register {
                value,
                address,
                register,
                long,
            } => {
                let long = match lengths {
                    Some(ReplyLengths::Long) => true,
                    Some(ReplyLengths::Short) => false,
                    _ => *long,
                };
                let reply = Reply::Register(RegisterReply {
                    value: *value,
                    address: *address,
                    register: *register,
                });
                let (bytes, len) = reply.encode(long);
                stream.extend(&bytes[..len]);
                wanted.push(reply);
            }
        }
    }
    // More than the decoder holds is dropped on purpose.
    stream.truncate(4096);

    let decoder = || {
        let mut decoder = Decoder::new(kind);
        if let Some(lengths) = lengths {
            decoder.expect(lengths);
        }
        decoder
    };
    let mut at_once = decoder();
    at_once.push(&stream);
    let found: Vec<_> = std::iter::from_fn(|| at_once.next_reply()).collect();

    let mut cut = decoder();
    let mut found_cut = Vec::new();
    for chunk in stream.chunks(usize::from(input.chunk).max(1)) {
        cut.push(chunk);
        found_cut.extend(std::iter::from_fn(|| cut.next_reply()));
    }
    assert_eq!(found, found_cut);

    if lengths.is_some() && stream.len() < 4096 {
        let mut rest = found.iter();
        for reply in &wanted {
            assert!(rest.any(|other| other == reply), "{reply:?} is lost");
        }
    }

    at_once.line_quiet();
    while at_once.next_reply().is_some() {}
    at_once.reset();
    let stats = at_once.stats();
    assert_eq!(stats.bytes, stream.len() as u64);
    assert!(stats.dropped_bytes <= stats.bytes);
    assert!(stats.dropped_bytes + 11 * stats.frames >= stats.bytes);
});
