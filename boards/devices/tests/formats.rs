//! PMBus number formats: examples from the specification, and properties over the whole range.
#![allow(missing_docs)]

use board_devices::pmbus::{slinear11, ulinear16};
use proptest::prelude::*;

/// SLINEAR11 by its definition.
fn value(word: u16) -> f64 {
    let exponent = i32::from(word >> 11);
    let mantissa = i32::from(word & 0x7FF);
    let exponent = if exponent > 15 {
        exponent - 32
    } else {
        exponent
    };
    let mantissa = if mantissa > 1_023 {
        mantissa - 2_048
    } else {
        mantissa
    };
    f64::from(mantissa) * f64::powi(2.0, exponent)
}

#[test]
fn slinear11_examples_decode() {
    for (word, milli) in [
        (0x0000, 0),
        (0x0001, 1_000),
        (0x07FF, -1_000),
        (0x03FF, 1_023_000),
        (0x0400, -1_024_000),
        (0xF80F, 7_500),
        (0xE320, 50_000),
        (0xCA66, 4_797),
        (0x0891, 290_000),
        // The ends: 1023 * 2^15 and -1024 * 2^15 are beyond thousandths in an i32.
        (0x7BFF, i32::MAX),
        (0x7C00, i32::MIN),
        // 1023 / 65536 and -1 / 65536.
        (0x83FF, 16),
        (0x87FF, 0),
    ] {
        assert_eq!(slinear11::to_milli(word), milli, "{word:04x}");
    }
}

#[test]
fn whole_numbers_keep_exponent_zero() {
    assert_eq!(slinear11::from_whole(650), Some(0x028A));
    assert_eq!(slinear11::from_whole(1_023), Some(0x03FF));
    assert_eq!(slinear11::from_whole(1_024), None);
}

#[test]
fn every_slinear11_word_decodes_to_the_nearest_thousandth() {
    for word in 0..=u16::MAX {
        let milli = value(word) * 1_000.0;
        let clamped = milli.clamp(f64::from(i32::MIN), f64::from(i32::MAX));
        let found = f64::from(slinear11::to_milli(word));
        assert!((found - clamped).abs() <= 0.5, "{word:04x} {milli} {found}");
    }
}

#[test]
fn ulinear16_follows_the_exponent() {
    for (word, exponent, milli) in [
        (512, -9, 1_000),
        (589, -9, 1_150),
        (0xFFFF, -9, 127_998),
        (0xFFFF, -16, 1_000),
        (1, 0, 1_000),
        (3, 2, 12_000),
        (0xFFFF, 15, u32::MAX),
        // Exponents that five bits cannot hold are taken as the nearest that they can.
        (1, -128, 0),
        (1, 127, 32_768_000),
    ] {
        assert_eq!(
            ulinear16::to_milli(word, exponent),
            milli,
            "{word} {exponent}"
        );
    }
    assert_eq!(ulinear16::from_milli(1_150, -9), Some(588));
    assert_eq!(ulinear16::from_milli(127_998, -9), Some(65_534));
    assert_eq!(ulinear16::from_milli(128_000, -9), None);
    assert_eq!(ulinear16::from_milli(2_500, 0), Some(2));
    assert_eq!(ulinear16::from_milli(u32::MAX, 15), Some(131));
}

proptest! {
    #[test]
    fn slinear11_round_trip_loses_less_than_a_thousandth_of_the_value(milli: i32) {
        let back = slinear11::to_milli(slinear11::from_milli(milli));
        let loss = i64::from(milli) - i64::from(back);
        prop_assert!(loss.abs() <= i64::from(milli).abs() / 1_000 + 1, "{} {}", milli, back);
    }

    #[test]
    fn slinear11_is_monotonic(a in -200_000_i32..=200_000, b in -200_000_i32..=200_000) {
        let (low, high) = (a.min(b), a.max(b));
        let at = |milli| value(slinear11::from_milli(milli));
        prop_assert!(at(low) <= at(high));
    }

    #[test]
    fn ulinear16_never_exceeds_what_was_asked_for(milli in 0_u32..=127_998, exponent in -12_i8..=-5) {
        let step = f64::powi(2.0, exponent.into()) * 1_000.0;
        match ulinear16::from_milli(milli, exponent) {
            Some(word) => {
                let exact = f64::from(word) * step;
                prop_assert!(exact <= f64::from(milli) && f64::from(milli) - exact < step);
                prop_assert!((f64::from(ulinear16::to_milli(word, exponent)) - exact).abs() <= 0.5);
            }
            None => prop_assert!(f64::from(milli) >= step * 65_536.0),
        }
    }

    #[test]
    fn formats_take_any_input(word: u16, exponent: i8, milli: u32) {
        let _ = slinear11::to_milli(word);
        let _ = ulinear16::to_milli(word, exponent);
        let _ = ulinear16::from_milli(milli, exponent);
    }
}
