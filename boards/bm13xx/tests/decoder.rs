//! The decoder: resynchronisation, changing lengths, counts.

use bm13xx::{ChipKind, Decoder, NonceReply, RegisterReply, Reply, ReplyLengths};
use proptest::prelude::*;

fn wire(reply: Reply, long: bool) -> Vec<u8> {
    let (buffer, len) = reply.encode(long);
    buffer[..len].to_vec()
}

fn identity(chip_id: u16, address: u8) -> Reply {
    let value = u32::from(chip_id) << 16 | u32::from(address);
    Reply::Register(RegisterReply {
        value,
        address,
        register: 0,
    })
}

fn nonce(nonce: u32) -> Reply {
    Reply::Nonce(NonceReply {
        nonce,
        midstate_num: 3,
        id: 0x35,
        version_bits: Some(0x0105),
    })
}

fn drain(decoder: &mut Decoder) -> Vec<Reply> {
    std::iter::from_fn(|| decoder.next_reply()).collect()
}

fn decode(kind: ChipKind, bytes: &[u8]) -> Vec<Reply> {
    let mut decoder = Decoder::new(kind);
    decoder.push(bytes);
    drain(&mut decoder)
}

/// Whether `wanted` appear in `found` in this order.
fn holds(found: &[Reply], wanted: &[Reply]) -> bool {
    let mut rest = found.iter();
    wanted.iter().all(|reply| rest.any(|other| other == reply))
}

#[test]
fn a_preamble_inside_a_good_reply_starts_no_other() {
    // Among so many pairs more than a hundred have a second reading, across both replies, with a
    // good checksum.
    for seed in 0..20_000_u32 {
        let [a, b, ..] = seed.to_le_bytes();
        let replies = [
            nonce(u32::from_le_bytes([a, b, 0xAA, 0x55])),
            nonce(seed.wrapping_mul(0x9E37_79B1)),
            nonce(7),
        ];
        let bytes: Vec<u8> = replies
            .iter()
            .flat_map(|reply| wire(*reply, true))
            .collect();
        let mut decoder = Decoder::new(ChipKind::Bm1370);
        decoder.expect(ReplyLengths::Long);
        decoder.push(&bytes);
        assert_eq!(drain(&mut decoder), replies, "{seed:04x}");
    }
}

#[test]
fn fresh_chips_are_read_with_nine_bytes_and_later_with_eleven() {
    for kind in [
        ChipKind::Bm1362,
        ChipKind::Bm1366,
        ChipKind::Bm1368,
        ChipKind::Bm1370,
    ] {
        let id = identity(kind.model().chip_id, 0);
        let mut decoder = Decoder::new(kind);
        // Each comes out at once, without a byte after it.
        for long in [false, true, true, false, true] {
            decoder.push(&wire(id, long));
            assert_eq!(decoder.next_reply(), Some(id), "{kind} {long}");
        }
        decoder.push(&wire(nonce(7), true));
        assert_eq!(decoder.next_reply(), Some(nonce(7)));
        assert_eq!(decoder.stats().dropped_bytes, 0);
    }
}

#[test]
fn ids_of_every_address_are_read_at_either_length() {
    for kind in [
        ChipKind::Bm1362,
        ChipKind::Bm1366,
        ChipKind::Bm1368,
        ChipKind::Bm1370,
    ] {
        for long in [false, true] {
            let ids: Vec<_> = (0..=255)
                .map(|address| identity(kind.model().chip_id, address))
                .collect();
            let stream: Vec<u8> = ids.iter().flat_map(|id| wire(*id, long)).collect();
            let mut decoder = Decoder::new(kind);
            decoder.push(&stream);
            let mut found = drain(&mut decoder);
            decoder.line_quiet();
            found.extend(drain(&mut decoder));
            assert_eq!(found, ids, "{kind} {long}");
            assert_eq!(decoder.stats().dropped_bytes, 0);
        }
    }
}

#[test]
fn silence_settles_what_could_be_the_beginning_of_a_longer_reply() {
    // A register whose short reply ends in 0 looks like the long one without its end.
    let short = (0..=255)
        .map(|value| {
            Reply::Register(RegisterReply {
                value,
                address: 0,
                register: 0x14,
            })
        })
        .find(|reply| wire(*reply, false)[8] == 0)
        .unwrap();
    let mut decoder = Decoder::new(ChipKind::Bm1370);
    decoder.push(&wire(short, false));
    assert_eq!(decoder.next_reply(), None);
    decoder.line_quiet();
    assert_eq!(decoder.next_reply(), Some(short));
    assert_eq!(decoder.next_reply(), None);
}

#[test]
fn short_readings_of_long_replies_are_never_believed() {
    // Nonce replies whose first nine bytes are a good reply in themselves.
    let replies: Vec<_> = (0..200_000u32)
        .map(|n| {
            Reply::Nonce(NonceReply {
                nonce: n.wrapping_mul(0x9E37_79B9),
                midstate_num: 0,
                id: 0x10,
                version_bits: Some(n as u16 & 0x9FFF),
            })
        })
        .filter(|reply| Reply::parse(&wire(*reply, true)[..9]).is_ok())
        .take(500)
        .collect();
    assert_eq!(replies.len(), 500);
    for reply in replies {
        let bytes = wire(reply, true);
        let mut decoder = Decoder::new(ChipKind::Bm1370);
        decoder.push(&bytes[..9]);
        assert_eq!(decoder.next_reply(), None);
        decoder.push(&bytes[9..]);
        assert_eq!(decoder.next_reply(), Some(reply));
    }
}

#[test]
fn damaged_long_replies_are_not_taken_for_short_ones() {
    // Long replies whose first nine bytes are good in themselves, hit behind those.
    let damaged: Vec<_> = (0..200_000u32)
        .map(|n| wire(nonce(n.wrapping_mul(0x9E37_79B9)), true))
        .filter(|bytes| Reply::parse(&bytes[..9]).is_ok())
        .take(100)
        .collect();
    assert_eq!(damaged.len(), 100);
    let mut decoder = Decoder::new(ChipKind::Bm1370);
    for mut bytes in damaged {
        bytes[10] ^= 1;
        decoder.push(&wire(nonce(1), true));
        decoder.push(&bytes);
        decoder.push(&wire(nonce(2), true));
        assert_eq!(drain(&mut decoder), [nonce(1), nonce(2)]);
    }
    assert_eq!(decoder.stats().crc_errors, 100);
}

#[test]
fn newest_chips_have_short_ids_and_long_everything_else() {
    let id = identity(0x1372, 0x10);
    let other = Reply::Register(RegisterReply {
        value: 0x1372_0000,
        address: 0,
        register: 0x14,
    });
    let stream = [
        wire(id, false),
        wire(other, true),
        wire(nonce(1), true),
        wire(id, false),
    ]
    .concat();
    assert_eq!(decode(ChipKind::Bm1372, &stream), [id, other, nonce(1), id]);
}

#[test]
fn bm1397_replies_have_nine_bytes() {
    let short = Reply::Nonce(NonceReply {
        nonce: 5,
        midstate_num: 0,
        id: 0x1A,
        version_bits: None,
    });
    let stream = [
        wire(identity(0x1397, 0), false),
        wire(short, true),
        wire(short, true),
    ]
    .concat();
    assert_eq!(
        decode(ChipKind::Bm1397, &stream),
        [identity(0x1397, 0), short, short]
    );
}

#[test]
fn lengths_can_be_pinned() {
    let register = Reply::Register(RegisterReply {
        value: 1,
        address: 0,
        register: 8,
    });
    let mut decoder = Decoder::new(ChipKind::Bm1370);
    decoder.expect(ReplyLengths::Short);
    decoder.push(&wire(register, false));
    assert_eq!(decoder.next_reply(), Some(register));
    decoder.expect(ReplyLengths::Long);
    decoder.push(&wire(identity(0x1370, 0), false));
    decoder.push(&wire(register, true));
    assert_eq!(decoder.next_reply(), Some(register));
    assert_eq!(decoder.stats().dropped_bytes, 9);
}

#[test]
fn reply_right_behind_garbage_comes_out_at_once() {
    for garbage in [
        &b"\x00"[..],
        b"\xAA",
        b"\xAA\x55",
        b"\xAA\xAA",
        b"\x55\xAA\x55\x12",
        b"\xAA\x55\xAA\x55\xAA",
    ] {
        let mut decoder = Decoder::new(ChipKind::Bm1370);
        decoder.push(garbage);
        decoder.push(&wire(nonce(9), true));
        assert_eq!(decoder.next_reply(), Some(nonce(9)), "{garbage:02X?}");
        assert_eq!(decoder.stats().dropped_bytes, garbage.len() as u64);
    }
}

#[test]
fn truncated_reply_that_passes_does_not_take_the_next_with_it() {
    // The first `kept` bytes of one reply and all of the next, where the first eleven bytes of that
    // happen to be good.
    let mut tried = 0;
    for n in 0..400_000u32 {
        let first = wire(nonce(n.wrapping_mul(0x9E37_79B9)), true);
        let second = nonce(n ^ 0xC0FF_EE80);
        for kept in 3..=8 {
            let stream = [&first[..kept], &wire(second, true)].concat();
            if Reply::parse(&stream[..11]).is_ok() {
                tried += 1;
                let mut decoder = Decoder::new(ChipKind::Bm1370);
                decoder.expect(ReplyLengths::Long);
                decoder.push(&stream);
                assert!(drain(&mut decoder).contains(&second));
                assert_eq!(decoder.stats().frames, 2);
            }
        }
        if tried > 50 {
            return;
        }
    }
    panic!("only {tried} such streams found");
}

#[test]
fn preamble_inside_a_good_reply_is_no_error() {
    let reply = nonce(0x0055_AA00);
    let mut decoder = Decoder::new(ChipKind::Bm1370);
    for _ in 0..100 {
        decoder.push(&wire(reply, true));
        assert_eq!(decoder.next_reply(), Some(reply));
    }
    decoder.push(&wire(nonce(1), true));
    assert_eq!(decoder.next_reply(), Some(nonce(1)));
    let stats = decoder.stats();
    assert_eq!(
        (stats.frames, stats.crc_errors, stats.dropped_bytes),
        (101, 0, 0)
    );
    assert_eq!(stats.bytes, 101 * 11);
}

#[test]
fn damage_is_counted() {
    let mut damaged = wire(nonce(1), true);
    damaged[4] ^= 0x10;
    let mut decoder = Decoder::new(ChipKind::Bm1370);
    decoder.push(&damaged);
    decoder.push(&[0x12, 0x34]);
    decoder.push(&wire(nonce(2), true));
    assert_eq!(drain(&mut decoder), [nonce(2)]);
    let stats = decoder.stats();
    assert_eq!(
        (stats.frames, stats.crc_errors, stats.dropped_bytes),
        (1, 1, 13)
    );
}

#[test]
fn reset_forgets_half_a_reply() {
    let mut decoder = Decoder::new(ChipKind::Bm1370);
    decoder.push(&wire(nonce(1), true)[..6]);
    assert_eq!(decoder.next_reply(), None);
    decoder.reset();
    assert_eq!(decoder.stats().dropped_bytes, 6);
    decoder.push(&wire(nonce(2), true));
    assert_eq!(decoder.next_reply(), Some(nonce(2)));
}

#[test]
fn flood_keeps_the_newest_bytes() {
    let mut decoder = Decoder::new(ChipKind::Bm1370);
    decoder.push(&[0xAA; 10_000]);
    for _ in 0..1000 {
        decoder.push(&wire(nonce(3), true));
    }
    decoder.push(&wire(nonce(4), true));
    let found = drain(&mut decoder);
    assert!(found.len() > 300 && found.len() < 400, "{}", found.len());
    assert_eq!(found.last(), Some(&nonce(4)));
    let stats = decoder.stats();
    assert_eq!(stats.bytes, 10_000 + 1001 * 11);
    assert_eq!(stats.dropped_bytes + 11 * stats.frames, stats.bytes);
}

#[test]
fn feed_takes_any_amount() {
    let stream: Vec<u8> = (0..5000).flat_map(|n| wire(nonce(n), true)).collect();
    let mut decoder = Decoder::new(ChipKind::Bm1370);
    let mut count = 0;
    decoder.feed(&stream, |_| count += 1);
    assert_eq!(count, 5000);
}

fn any_reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        (any::<u32>(), any::<u8>(), any::<u8>(), any::<u16>()).prop_map(
            |(nonce, midstate_num, id, bits)| {
                Reply::Nonce(NonceReply {
                    nonce,
                    midstate_num,
                    id,
                    version_bits: Some(bits),
                })
            }
        ),
        (any::<u32>(), any::<u8>(), any::<u8>()).prop_map(|(value, address, register)| {
            Reply::Register(RegisterReply {
                value,
                address,
                register,
            })
        }),
    ]
}

/// Bytes that are likely to look like replies.
fn garbage(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u16>(), 0..most).prop_map(|raw| {
        let likely = |n: u16| match n >> 8 {
            0..=39 => 0xAA,
            40..=79 => 0x55,
            80..=99 => 0x00,
            100..=109 => 0x80,
            _ => n as u8,
        };
        raw.into_iter().map(likely).collect()
    })
}

fn any_kind() -> impl Strategy<Value = ChipKind> {
    (0..ChipKind::ALL.len()).prop_map(|index| ChipKind::ALL[index])
}

proptest! {
    #[test]
    fn noise_between_replies_costs_none(pairs in proptest::collection::vec((garbage(30), any_reply()), 1..30)) {
        let wanted: Vec<_> = pairs.iter().map(|(_, reply)| *reply).collect();
        let stream: Vec<u8> = pairs.iter().flat_map(|(noise, reply)| {
            noise.iter().copied().chain(wire(*reply, true))
        }).collect();
        let mut decoder = Decoder::new(ChipKind::Bm1370);
        decoder.expect(ReplyLengths::Long);
        decoder.push(&stream);
        prop_assert!(holds(&drain(&mut decoder), &wanted));
    }

    #[test]
    fn lost_bytes_cost_only_their_reply(
        replies in proptest::collection::vec(any_reply(), 2..20), hit: prop::sample::Index,
        first in 0usize..11, count in 1usize..11,
    ) {
        let hit = hit.index(replies.len());
        let stream: Vec<u8> = replies.iter().enumerate().flat_map(|(index, reply)| {
            let mut bytes = wire(*reply, true);
            if index == hit {
                bytes.drain(first..(first + count).min(11));
            }
            bytes
        }).collect();
        let mut wanted = replies.clone();
        wanted.remove(hit);
        for lengths in [ReplyLengths::Long, ReplyLengths::Growing] {
            let mut decoder = Decoder::new(ChipKind::Bm1370);
            decoder.expect(lengths);
            // The decoder has seen the chain talk before.
            decoder.push(&wire(identity(0x1370, 0), true));
            decoder.push(&stream);
            prop_assert!(holds(&drain(&mut decoder), &wanted), "{lengths:?}");
        }
    }

    #[test]
    fn flipped_bits_cost_only_their_reply(
        replies in proptest::collection::vec(any_reply(), 2..20), hit: prop::sample::Index, mask in any::<[u8; 11]>(),
    ) {
        let hit = hit.index(replies.len());
        let stream: Vec<u8> = replies.iter().enumerate().flat_map(|(index, reply)| {
            let mut bytes = wire(*reply, true);
            if index == hit {
                bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
            }
            bytes
        }).collect();
        let mut wanted = replies.clone();
        wanted.remove(hit);
        let mut decoder = Decoder::new(ChipKind::Bm1370);
        decoder.expect(ReplyLengths::Long);
        decoder.push(&stream);
        prop_assert!(holds(&drain(&mut decoder), &wanted));
    }

    #[test]
    fn chunks_make_no_difference(
        kind in any_kind(), pieces in proptest::collection::vec((garbage(12), any_reply(), any::<bool>()), 0..12),
        cuts in proptest::collection::vec(1usize..15, 1..40),
    ) {
        let stream: Vec<u8> = pieces.iter().flat_map(|(noise, reply, long)| {
            [noise.clone(), wire(*reply, *long)].concat()
        }).collect();
        let whole = decode(kind, &stream);
        let mut decoder = Decoder::new(kind);
        let mut found = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            decoder.push(now);
            found.extend(drain(&mut decoder));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(found, whole);
    }

    #[test]
    fn bytes_are_replies_or_dropped_or_held(kind in any_kind(), chunks in proptest::collection::vec(garbage(200), 0..20)) {
        let mut decoder = Decoder::new(kind);
        for chunk in &chunks {
            decoder.push(chunk);
            drain(&mut decoder);
        }
        decoder.line_quiet();
        drain(&mut decoder);
        decoder.reset();
        let stats = decoder.stats();
        prop_assert_eq!(stats.bytes, chunks.iter().map(Vec::len).sum::<usize>() as u64);
        prop_assert!(stats.dropped_bytes + 11 * stats.frames >= stats.bytes);
        prop_assert!(stats.dropped_bytes <= stats.bytes);
    }
}
