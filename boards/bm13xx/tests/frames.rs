//! Frames to the chips, against vectors.

mod common;

use bm13xx::registers::{CoreMailbox, VersionRolling};
use bm13xx::{
    ChainConfig, ChainPlan, ChipAddress, ChipKind, Command, Destination, Frame, FrameError,
    HeaderJob, Megahertz, Register,
};
use common::{bytes, hex_u8, hex_u32, list, text, vectors};
use proptest::prelude::*;
use serde_json::Value;

fn destination(name: &str) -> Destination {
    match name {
        "all" => Destination::All,
        address => Destination::Chip(ChipAddress::new(u8::from_str_radix(address, 16).unwrap())),
    }
}

fn register(vector: &Value) -> Register {
    Register::from_address(hex_u8(vector, "register")).unwrap()
}

fn built(vector: &Value) -> Frame {
    if let Some(to) = vector["write"].as_str() {
        Frame::write(destination(to), register(vector), hex_u32(vector, "value"))
    } else if let Some(from) = vector["read"].as_str() {
        Frame::read(destination(from), register(vector))
    } else if vector["inactive"].as_bool().is_some() {
        Frame::chain_inactive()
    } else {
        Frame::set_address(ChipAddress::new(hex_u8(vector, "address")))
    }
}

fn plan(kind: ChipKind) -> ChainPlan {
    let target = if kind == ChipKind::Bm1372 {
        327.0
    } else {
        400.0
    };
    ChainPlan::new(ChainConfig::new(kind, 1, Megahertz::new(target))).unwrap()
}

fn header_field<const N: usize>(header: &[u8], at: usize) -> [u8; N] {
    header[at..at + N].try_into().unwrap()
}

fn header_job(header: &[u8]) -> HeaderJob {
    HeaderJob {
        version: u32::from_le_bytes(header_field(header, 0)),
        prev_hash: header_field(header, 4),
        merkle_root: header_field(header, 36),
        ntime: u32::from_le_bytes(header_field(header, 68)),
        nbits: u32::from_le_bytes(header_field(header, 72)),
    }
}

#[test]
fn commands_have_the_bytes_of_working_firmware() {
    for vector in list(&vectors("commands.json"), "frames") {
        assert_eq!(
            built(vector).as_bytes(),
            bytes(text(vector, "frame")),
            "{vector}"
        );
    }
}

#[test]
fn commands_read_back_as_built() {
    for vector in list(&vectors("commands.json"), "frames") {
        let frame = bytes(text(vector, "frame"));
        let expected = if let Some(to) = vector["write"].as_str() {
            Command::Write {
                to: destination(to),
                register: hex_u8(vector, "register"),
                value: hex_u32(vector, "value"),
            }
        } else if let Some(from) = vector["read"].as_str() {
            Command::Read {
                from: destination(from),
                register: hex_u8(vector, "register"),
            }
        } else if vector["inactive"].as_bool().is_some() {
            Command::ChainInactive
        } else {
            Command::SetAddress(ChipAddress::new(hex_u8(vector, "address")))
        };
        assert_eq!(Command::parse(&frame), Ok(expected), "{vector}");
    }
}

#[test]
fn full_header_job_has_the_bytes_that_bitaxe_boards_send() {
    let vector = &vectors("jobs.json")["header"];
    let job = header_job(&bytes(text(vector, "header")));
    for (chip, slot) in vector["slot_of"].as_object().unwrap() {
        let plan = plan(chip.parse().unwrap());
        let frame = plan.header_job(slot.as_u64().unwrap() as u8, &job);
        assert_eq!(frame.as_bytes(), bytes(text(vector, "frame")), "{chip}");
    }
}

#[test]
fn midstate_job_has_the_bytes_that_bitaxe_boards_send() {
    let vector = &vectors("jobs.json")["midstate"];
    let header = bytes(text(vector, "header"));
    let mut midstate = [0; 8];
    for (word, be) in midstate
        .iter_mut()
        .zip(bytes(text(vector, "midstate")).chunks_exact(4))
    {
        *word = u32::from_be_bytes(be.try_into().unwrap());
    }
    let frame = plan(ChipKind::Bm1397).midstate_job(
        vector["slot"].as_u64().unwrap() as u8,
        &[midstate, [0; 8], [0; 8], [0; 8]],
        header_field(&header, 64),
        u32::from_le_bytes(header_field(&header, 68)),
        u32::from_le_bytes(header_field(&header, 72)),
    );
    assert_eq!(frame.as_bytes(), bytes(text(vector, "frame")));
}

#[test]
fn job_of_a_hardware_test_is_read() {
    let vector = &vectors("jobs.json")["hardware"];
    let payload = bytes(text(vector, "payload"));
    let mut frame = vec![0x55, 0xAA, 0x21, payload.len() as u8 + 4];
    frame.extend(&payload);
    frame.extend(bytes(text(vector, "crc")));
    assert_eq!(Command::parse(&frame), Ok(Command::Job(&payload)));
}

#[test]
fn job_with_one_midstate_says_so() {
    let plan = plan(ChipKind::Bm1397);
    let count =
        |midstates: &[[u32; 8]]| plan.midstate_job(0, midstates, [0; 4], 0, 0).as_bytes()[5];
    assert_eq!(count(&[[1; 8]]), 1);
    assert_eq!(count(&[[1; 8]; 4]), 4);
    assert_eq!(count(&[[1; 8]; 9]), 4);
}

#[test]
fn core_words_name_register_and_value() {
    let decode = |word| CoreMailbox::from_bits(word).map(|word| (word.register, word.value));
    assert_eq!(decode(0x8000_82AA), Some((2, 0xAA)));
    assert_eq!(decode(0x8000_8540), Some((5, 0x40)));
    assert_eq!(decode(0x8000_8DEE), Some((0x0D, 0xEE)));
    assert_eq!(decode(0x0000_8540), None);
}

#[test]
fn version_mask_loses_what_chips_cannot_roll() {
    assert_eq!(
        VersionRolling::from_mask(0xFFFF_FFFF).to_bits(),
        0x9000_FFFF
    );
    assert_eq!(VersionRolling::from_mask(0xFFFF_FFFF).mask(), 0x1FFF_E000);
    assert_eq!(
        VersionRolling::from_mask(0x0000_2000).to_bits(),
        0x9000_0001
    );
    assert_eq!(
        VersionRolling::from_mask(0x0000_1FFF).to_bits(),
        0x9000_0000
    );
}

#[test]
fn damaged_frames_are_refused() {
    let good = Frame::read(Destination::All, Register::ChipId);
    assert_eq!(
        Command::parse(&good.as_bytes()[1..]),
        Err(FrameError::Preamble)
    );
    assert!(matches!(
        Command::parse(&good.as_bytes()[..6]),
        Err(FrameError::Length { .. })
    ));
    assert!(matches!(
        Command::parse(&[0x55, 0xAA]),
        Err(FrameError::Length { .. })
    ));
    let mut flipped = good.as_bytes().to_vec();
    flipped[4] ^= 1;
    assert!(matches!(
        Command::parse(&flipped),
        Err(FrameError::Checksum { .. })
    ));
}

proptest! {
    #[test]
    fn any_bytes_parse_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..170)) {
        let _ = Command::parse(&bytes);
        let framed: Vec<u8> = [0x55, 0xAA].into_iter().chain(bytes).collect();
        let _ = Command::parse(&framed);
    }

    #[test]
    fn jobs_keep_every_field(
        version: u32, prev_hash: [u8; 32], merkle_root: [u8; 32], ntime: u32, nbits: u32, slot in 0u8..16,
    ) {
        let job = HeaderJob { version, prev_hash, merkle_root, ntime, nbits };
        let frame = plan(ChipKind::Bm1370).header_job(slot, &job);
        let Ok(Command::Job(payload)) = Command::parse(frame.as_bytes()) else {
            panic!("not a job");
        };
        // Put the header together again as a chip does: words of hashes back into order.
        let words = |at: usize| -> Vec<u8> {
            payload[at..at + 32].rchunks(4).flatten().copied().collect()
        };
        prop_assert_eq!(payload[0], slot * 8);
        prop_assert_eq!(&payload[78..], version.to_le_bytes());
        prop_assert_eq!(words(46), prev_hash);
        prop_assert_eq!(words(14), merkle_root);
        prop_assert_eq!(&payload[10..14], ntime.to_le_bytes());
        prop_assert_eq!(&payload[6..10], nbits.to_le_bytes());
        prop_assert_eq!(&payload[2..6], [0; 4]);
    }

    #[test]
    fn a_flipped_bit_never_passes(value: u32, bit in 0usize..72) {
        let frame = Frame::write(Destination::All, Register::Pll, value);
        let mut damaged = frame.as_bytes().to_vec();
        damaged[2 + bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Command::parse(&damaged).is_err());
    }
}
