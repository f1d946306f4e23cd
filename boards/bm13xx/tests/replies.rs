//! Replies from the chips, and where nonces come from, against vectors.

mod common;

use bm13xx::registers::{self, ChipIdentity};
use bm13xx::{
    ChainConfig, ChainPlan, ChipKind, Decoder, LONG_REPLY, Megahertz, NonceReply, RegisterReply,
    Reply, ReplyError,
};
use common::{bytes, chip, hex_u8, hex_u32, list, text, vectors};
use proptest::prelude::*;
use serde_json::Value;

fn chain(kind: ChipKind, chips: u16) -> ChainPlan {
    ChainPlan::new(ChainConfig::new(kind, chips, Megahertz::new(400.0))).unwrap()
}

fn expected(vector: &Value) -> Reply {
    if vector["nonce"].is_string() {
        Reply::Nonce(NonceReply {
            nonce: hex_u32(vector, "nonce"),
            midstate_num: 0,
            id: hex_u8(vector, "id"),
            version_bits: vector["version_bits"]
                .as_str()
                .map(|bits| u16::from_str_radix(bits, 16).unwrap()),
        })
    } else {
        Reply::Register(RegisterReply {
            value: hex_u32(vector, "value"),
            address: hex_u8(vector, "address"),
            register: hex_u8(vector, "register"),
        })
    }
}

fn nonce(nonce: u32, id: u8) -> NonceReply {
    NonceReply {
        nonce,
        midstate_num: 0,
        id,
        version_bits: Some(0),
    }
}

/// A nonce whose wire bytes, read big-endian, are `wire`.
fn wire_nonce(wire: u32) -> NonceReply {
    nonce(wire.swap_bytes(), 0)
}

#[test]
fn replies_are_read() {
    for vector in list(&vectors("replies.json"), "replies") {
        let found = Reply::parse(&bytes(text(vector, "bytes")));
        let Reply::Nonce(NonceReply { midstate_num, .. }) = found.unwrap() else {
            assert_eq!(found, Ok(expected(vector)), "{vector}");
            continue;
        };
        let Reply::Nonce(want) = expected(vector) else {
            panic!("{vector}")
        };
        assert_eq!(
            found,
            Ok(Reply::Nonce(NonceReply {
                midstate_num,
                ..want
            })),
            "{vector}"
        );
    }
}

#[test]
fn replies_are_written_as_chips_write_them() {
    for vector in list(&vectors("replies.json"), "replies") {
        let wire = bytes(text(vector, "bytes"));
        let (buffer, len) = Reply::parse(&wire)
            .unwrap()
            .encode(wire.len() == LONG_REPLY);
        assert_eq!(&buffer[..len], wire, "{vector}");
    }
}

#[test]
fn a_decoder_of_the_chip_finds_each_reply_at_once() {
    for vector in list(&vectors("replies.json"), "replies") {
        let wire = bytes(text(vector, "bytes"));
        let mut decoder = Decoder::new(chip(vector));
        decoder.push(&wire);
        assert_eq!(decoder.next_reply(), Reply::parse(&wire).ok(), "{vector}");
    }
}

#[test]
fn nonces_tell_slot_core_and_sub_core() {
    for vector in list(&vectors("replies.json"), "replies") {
        let Ok(Reply::Nonce(found)) = Reply::parse(&bytes(text(vector, "bytes"))) else {
            continue;
        };
        let kind = chip(vector);
        let origin = chain(kind, 1).locate(&found);
        assert_eq!(
            kind.model().wire_id(origin.slot),
            hex_u8(vector, "job"),
            "{vector}"
        );
        assert_eq!(
            u64::from(origin.core),
            vector["core"].as_u64().unwrap(),
            "{vector}"
        );
        assert_eq!(
            u64::from(origin.sub_core_or_midstate),
            vector["sub"].as_u64().unwrap()
        );
        assert_eq!(origin.chip, Some(0));
    }
}

#[test]
fn address_byte_of_a_nonce_names_the_chip() {
    for vector in list(&vectors("replies.json"), "nonces") {
        let found = nonce(hex_u32(vector, "nonce"), 0);
        let address = vector["address_byte"].as_u64().unwrap() as u16;
        let core = vector["core"].as_u64().unwrap() as u16;
        for chips in [2, 4, 8, 16, 128] {
            let origin = chain(ChipKind::Bm1366, chips).locate(&found);
            assert_eq!(
                (origin.chip, origin.core),
                (Some(address / (256 / chips)), core)
            );
        }
    }
}

#[test]
fn address_beyond_the_last_chip_is_no_chip() {
    // Six chips sit 32 apart, the last at 160.
    let chain = chain(ChipKind::Bm1366, 6);
    assert_eq!(chain.locate(&wire_nonce(160 << 17)).chip, Some(5));
    assert_eq!(chain.locate(&wire_nonce(191 << 17)).chip, Some(5));
    assert_eq!(chain.locate(&wire_nonce(192 << 17)).chip, None);
}

#[test]
fn offset_range_of_a_nonce_names_the_chip() {
    let chain = chain(ChipKind::Bm1370, 65);
    let chip = |upper: u32| chain.locate(&wire_nonce(upper << 9)).chip;
    assert_eq!(chip(0x0000), Some(0));
    assert_eq!(chip(0x03F0), Some(0));
    assert_eq!(chip(0x03F1), Some(1));
    assert_eq!(chip(0xFC0F), Some(63));
    assert_eq!(chip(0xFC10), Some(64));
    assert_eq!(chip(0xFFFF), Some(64));
}

#[test]
fn bm1372_nonces_use_a_third_address_scale() {
    // Three chips: 256 / 3 = 85 per chip.
    let chain =
        ChainPlan::new(ChainConfig::new(ChipKind::Bm1372, 3, Megahertz::new(327.0))).unwrap();
    assert_eq!(chain.locate(&wire_nonce(84 << 17)).chip, Some(0));
    assert_eq!(chain.locate(&wire_nonce(85 << 17)).chip, Some(1));
    assert_eq!(chain.locate(&wire_nonce(254 << 17)).chip, Some(2));
    assert_eq!(chain.locate(&wire_nonce(255 << 17)).chip, None);
}

#[test]
fn bm1397_reply_names_the_midstate() {
    let model = ChipKind::Bm1397.model();
    assert_eq!(model.slot_of(0x1A), (6, 2));
    assert_eq!(model.wire_id(6), 0x18);
}

#[test]
fn job_ids_come_back_in_their_slot() {
    for kind in ChipKind::ALL {
        let model = kind.model();
        for slot in 0..model.slots {
            // Later chips move the id up by one bit to make room for sixteen sub-cores.
            let moved = matches!(
                kind,
                ChipKind::Bm1368 | ChipKind::Bm1370 | ChipKind::Bm1372 | ChipKind::Bm1373
            );
            let back = if moved {
                model.wire_id(slot) << 1
            } else {
                model.wire_id(slot)
            };
            let mut seen = std::collections::HashSet::new();
            for low in 0..=back ^ back.wrapping_sub(1) {
                let (found, rest) = model.slot_of(back | (low & 3));
                assert_eq!(found, slot, "{kind}");
                seen.insert(rest);
            }
            assert!(seen.len() <= 4);
        }
        for id in 0..=255 {
            assert!(model.slot_of(id).0 < model.slots);
        }
    }
}

#[test]
fn ids_of_neighbouring_slots_are_a_step_apart() {
    let step = |kind: ChipKind| kind.model().wire_id(1) - kind.model().wire_id(0);
    assert_eq!(step(ChipKind::Bm1397), 4);
    assert_eq!(step(ChipKind::Bm1362), 8);
    assert_eq!(step(ChipKind::Bm1366), 8);
    assert_eq!(step(ChipKind::Bm1370), 8);
    let last = |kind: ChipKind| kind.model().wire_id(kind.model().slots - 1);
    assert_eq!(last(ChipKind::Bm1397), 0x7C);
    assert_eq!(last(ChipKind::Bm1362), 0xF8);
    assert_eq!(last(ChipKind::Bm1366), 0x78);
    assert_eq!(last(ChipKind::Bm1370), 0x78);
}

#[test]
fn rolled_version_is_the_job_version_with_the_bits_on_top() {
    let reply = NonceReply {
        version_bits: Some(0x8001),
        ..nonce(0, 0)
    };
    assert_eq!(reply.header_version(0x2000_0000), 0x3000_2000);
    let short = NonceReply {
        version_bits: None,
        ..nonce(0, 0)
    };
    assert_eq!(short.header_version(0x2000_0004), 0x2000_0004);
}

#[test]
fn captured_temperature_is_53_degrees() {
    let all = vectors("replies.json");
    let vector = &list(&all, "replies")[1];
    let celsius = registers::temperature(hex_u32(vector, "value")).unwrap();
    assert!(
        (celsius - vector["celsius"].as_f64().unwrap()).abs() < 0.005,
        "{celsius}"
    );
    assert_eq!(registers::temperature(0x0000_080C), None);
}

#[test]
fn counters_and_rates_have_their_units() {
    assert_eq!(registers::hashes_between(5, 7), 2 << 32);
    assert_eq!(registers::hashes_between(u32::MAX, 1), 2 << 32);
    assert_eq!(registers::hashrate(3), Some(3 << 20));
    assert_eq!(registers::hashrate(0x8000_0003), None);
    assert_eq!(registers::hashrate(0x007F_FFFF), None);
    assert_eq!(registers::voltage(0x8000_0000 | 24576), Some(0.5));
    assert_eq!(registers::voltage(24576), None);
}

#[test]
fn identity_holds_id_and_address() {
    let identity = ChipIdentity::from_bits(0x1397_1804);
    assert_eq!(identity.chip_id, 0x1397);
    assert_eq!(identity.core_number, 0x18);
    assert_eq!(identity.address.get(), 4);
    assert_eq!(identity.to_bits(), 0x1397_1804);
}

#[test]
fn what_is_no_reply_is_refused() {
    assert_eq!(Reply::parse(&[0x55, 0xAA]), Err(ReplyError::Preamble));
    assert_eq!(
        Reply::parse(&[0xAA, 0x55, 0, 0]),
        Err(ReplyError::Length { found: 4 })
    );
    let mut wire = bytes("AA5513680000000000000F");
    wire[10] ^= 0x20;
    assert_eq!(Reply::parse(&wire), Err(ReplyError::Flags { found: 1 }));
    wire[10] = 0x0E;
    assert!(matches!(
        Reply::parse(&wire),
        Err(ReplyError::Checksum { .. })
    ));
}

proptest! {
    #[test]
    fn replies_round_trip(nonce: u32, midstate_num: u8, id: u8, version_bits: Option<u16>, long: bool) {
        let reply = Reply::Nonce(NonceReply { nonce, midstate_num, id, version_bits });
        let (wire, len) = reply.encode(long);
        prop_assert_eq!(Reply::parse(&wire[..len]), Ok(reply));
        let reply = Reply::Register(RegisterReply { value: nonce, address: midstate_num, register: id });
        let (wire, len) = reply.encode(long);
        prop_assert_eq!(Reply::parse(&wire[..len]), Ok(reply));
    }

    #[test]
    fn every_nonce_of_a_chip_leads_back_to_it(chips in 1u16..=128, pick: u16, low in 0u32..1 << 18, core in 0u32..128) {
        let chip = pick % chips;
        for kind in [ChipKind::Bm1362, ChipKind::Bm1366, ChipKind::Bm1368] {
            let chain = chain(kind, chips);
            let start = u32::from(chain.address(chip).get() >> 1) << 18;
            let origin = chain.locate(&wire_nonce(core << 25 | (start + low)));
            prop_assert_eq!((origin.chip, u32::from(origin.core)), (Some(chip), core));
        }
        let chain = chain(ChipKind::Bm1370, chips);
        let offset = u32::from(bm13xx::registers::NonceOffset::spread(chip, chips).0);
        // A slice of the shortest chain-wide length: 2^25 nonces of a core over 128 chips.
        let origin = chain.locate(&wire_nonce(core << 25 | ((offset << 9) + low)));
        prop_assert_eq!(origin.chip, Some(chip));
    }
}
