//! Targets, difficulties and nbits.

mod common;

use common::hex32;
use mining::{Difficulty, DifficultyError, NbitsError, Target};
use proptest::prelude::*;
use serde_json::Value;

fn target(difficulty: f64) -> Target {
    Target::from_difficulty(Difficulty::new(difficulty).unwrap())
}

/// Made with exact fractions in another language.
fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("data/targets.json")).unwrap()
}

fn float(bits: &Value) -> f64 {
    f64::from_bits(u64::from_str_radix(bits.as_str().unwrap(), 16).unwrap())
}

#[test]
fn targets_are_exact_for_the_number_that_a_float_stands_for() {
    for vector in vectors() {
        let difficulty = float(&vector["difficulty_bits"]);
        let expected = Target::from_be_bytes(hex32(vector["target"].as_str().unwrap()));
        assert_eq!(target(difficulty), expected, "difficulty {difficulty}");
    }
}

#[test]
fn difficulties_of_targets_are_rounded_right() {
    for vector in vectors() {
        let target = Target::from_be_bytes(hex32(vector["target"].as_str().unwrap()));
        if vector["target_difficulty_bits"].is_null() {
            assert_eq!(target.difficulty(), f64::INFINITY);
            continue;
        }
        let expected = float(&vector["target_difficulty_bits"]);
        assert_eq!(target.difficulty(), expected, "{target}");
    }
}

#[test]
fn difficulty_1_is_the_constant() {
    assert_eq!(target(1.0), Target::DIFFICULTY_1);
    assert_eq!(
        Target::DIFFICULTY_1.to_string(),
        "00000000ffff0000000000000000000000000000000000000000000000000000"
    );
    assert_eq!(
        Target::DIFFICULTY_1,
        Target::from_nbits(0x1d00_ffff).unwrap()
    );
    assert_eq!(Target::DIFFICULTY_1.difficulty(), 1.0);
}

#[test]
fn what_is_no_difficulty_is_refused() {
    for bad in [0.0, -0.0, -1.0, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(Difficulty::new(bad), Err(DifficultyError(bad)));
    }
    assert!(Difficulty::new(f64::NAN).is_err());
}

/// The cases of Bitcoin Core's own tests of compact numbers.
#[test]
fn nbits_are_read_as_bitcoin_core_reads_them() {
    let low = |word: u64| {
        let mut bytes = [0; 32];
        bytes[24..].copy_from_slice(&word.to_be_bytes());
        Ok(Target::from_be_bytes(bytes))
    };
    for (nbits, expected) in [
        (0x0000_0000, Err(NbitsError::Zero(0))),
        (0x0012_3456, Err(NbitsError::Zero(0x0012_3456))),
        (0x0100_3456, Err(NbitsError::Zero(0x0100_3456))),
        (0x0200_0056, Err(NbitsError::Zero(0x0200_0056))),
        (0x0300_0000, Err(NbitsError::Zero(0x0300_0000))),
        (0x0400_0000, Err(NbitsError::Zero(0x0400_0000))),
        (0xff00_0000, Err(NbitsError::Zero(0xff00_0000))),
        (0x0112_3456, low(0x12)),
        (0x0200_8000, low(0x80)),
        (0x0212_3456, low(0x1234)),
        (0x0312_3456, low(0x12_3456)),
        (0x0412_3456, low(0x1234_5600)),
        (0x0500_9234, low(0x9234_0000)),
        (0x0492_3456, Err(NbitsError::Negative(0x0492_3456))),
        (0x01fe_dcba, Err(NbitsError::Negative(0x01fe_dcba))),
        (0xff12_3456, Err(NbitsError::Overflow(0xff12_3456))),
        (0x2101_0000, Err(NbitsError::Overflow(0x2101_0000))),
        (0x2200_0100, Err(NbitsError::Overflow(0x2200_0100))),
    ] {
        assert_eq!(Target::from_nbits(nbits), expected, "{nbits:08x}");
    }
    for (nbits, expected) in [
        (
            0x2012_3456,
            "1234560000000000000000000000000000000000000000000000000000000000",
        ),
        (
            0x207f_ffff,
            "7fffff0000000000000000000000000000000000000000000000000000000000",
        ),
        (
            0x2200_00ff,
            "ff00000000000000000000000000000000000000000000000000000000000000",
        ),
    ] {
        assert_eq!(Target::from_nbits(nbits).unwrap().to_string(), expected);
    }
}

#[test]
fn zero_bit_targets_ask_for_zero_bits_and_nothing_else() {
    assert_eq!(Target::from_zero_bits(0), Target::MAX);
    assert_eq!(
        Target::from_zero_bits(43).to_string(),
        "00000000001fffffffffffffffffffffffffffffffffffffffffffffffffffff"
    );
    for bits in [255, 256, 257, u32::MAX] {
        let expected = if bits == 255 { "1" } else { "0" };
        assert!(Target::from_zero_bits(bits).to_string().ends_with(expected));
    }
    // What a chip with ticket difficulty 256 lets through, a little more than difficulty 256.
    assert!(Target::from_zero_bits(40) > target(256.0));
    assert_eq!(Target::from_zero_bits(40).expected_hashes(), 2f64.powi(40));
}

#[test]
fn easier_targets_are_shifted_and_stop_at_the_greatest() {
    assert_eq!(target(1.0).easier_by_bits(0), target(1.0));
    assert_eq!(target(1024.0).easier_by_bits(10), target(1.0));
    assert_eq!(
        target(1.0).easier_by_bits(32).to_string(),
        "ffff000000000000000000000000000000000000000000000000000000000000"
    );
    for bits in [33, 64, 256, u32::MAX] {
        assert_eq!(target(1.0).easier_by_bits(bits), Target::MAX);
    }
    let zero = Target::from_zero_bits(256);
    assert_eq!(zero.easier_by_bits(1000), zero);
}

#[test]
fn difficulty_1_takes_two_to_the_32_hashes_or_so() {
    let expected = 2f64.powi(48) / f64::from(0xffff);
    assert!((Target::DIFFICULTY_1.expected_hashes() / expected - 1.0).abs() < 1e-12);
    assert_eq!(Target::MAX.expected_hashes(), 1.0);
}

fn difficulty() -> impl Strategy<Value = f64> {
    (1.0..10.0, -9i32..30).prop_map(|(digits, exponent): (f64, i32)| digits * 10f64.powi(exponent))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_difficulty_survives_the_way_to_a_target_and_back(difficulty in difficulty()) {
        let back = target(difficulty).difficulty();
        prop_assert!((back / difficulty - 1.0).abs() < 1e-15, "{difficulty} {back}");
    }

    #[test]
    fn a_higher_difficulty_never_has_an_easier_target(a in difficulty(), b in difficulty()) {
        prop_assert!(target(a.max(b)) <= target(a.min(b)));
    }

    #[test]
    fn a_target_is_met_up_to_and_including_itself(bytes: [u8; 32]) {
        let target = Target::from_le_bytes(bytes);
        prop_assert!(target.is_met_by(&bytes));
        prop_assert_eq!(target.to_be_bytes().into_iter().rev().collect::<Vec<_>>(), bytes.to_vec());
        // One more or one less, counted in the little-endian hash.
        let (mut more, mut less) = (bytes, bytes);
        let overflowed = more.iter_mut().all(|byte| { *byte = byte.wrapping_add(1); *byte == 0 });
        let underflowed = less.iter_mut().all(|byte| { *byte = byte.wrapping_sub(1); *byte == 0xff });
        prop_assert_eq!(target.is_met_by(&more), overflowed);
        prop_assert_eq!(target.is_met_by(&less), !underflowed);
    }

    #[test]
    fn any_float_and_any_nbits_are_judged_without_panic(bits: u64, nbits: u32, shift: u32) {
        if let Ok(difficulty) = Difficulty::new(f64::from_bits(bits)) {
            let _ = Target::from_difficulty(difficulty).easier_by_bits(shift).expected_hashes();
        }
        let _ = Target::from_nbits(nbits).map(Target::difficulty);
        let _ = Target::from_zero_bits(shift).difficulty();
    }
}
