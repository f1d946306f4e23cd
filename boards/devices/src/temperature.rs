//! Temperature words of the sensors, to hundredths of a degree.

/// Decodes a word whose upper byte is whole degrees in two's complement and whose lower byte is the
/// fraction, to hundredths of a degree, rounded half up. Unused low bits must be zero.
pub(crate) fn centi_from_q8(word: u16) -> i32 {
    (i32::from(word.cast_signed()) * 100 + 128).div_euclid(256)
}

/// The inverse, rounded down to a multiple of 1/16 degree; `None` outside -128 to 127.9375 degrees.
pub(crate) fn q8_from_centi(centi: i32) -> Option<u16> {
    let sixteenths = centi.checked_mul(16)?.div_euclid(100);
    let word = i16::try_from(sixteenths.checked_mul(16)?).ok()?;
    Some(word.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Temperature codes as in the TMP1075 data sheet: 1/16 degree, left-justified.
    #[test]
    fn data_sheet_codes_decode() {
        for (word, centi) in [
            (0x7FF0, 12_794),
            (0x6400, 10_000),
            (0x5000, 8_000),
            (0x1900, 2_500),
            (0x0040, 25),
            (0x0010, 6),
            (0x0000, 0),
            (0xFFC0, -25),
            (0xE700, -2_500),
            (0xC900, -5_500),
        ] {
            assert_eq!(centi_from_q8(word), centi, "{word:04x}");
        }
    }

    proptest::proptest! {
        #[test]
        fn encoding_loses_less_than_a_step(centi in -12_800_i32..=12_793) {
            let word = q8_from_centi(centi).unwrap();
            proptest::prop_assert_eq!(word & 0xF, 0);
            let back = centi_from_q8(word);
            proptest::prop_assert!(back <= centi + 1 && centi - back <= 7, "{} {}", centi, back);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(q8_from_centi(12_800), None);
        assert_eq!(q8_from_centi(-12_801), None);
        assert_eq!(q8_from_centi(i32::MAX), None);
        assert_eq!(q8_from_centi(i32::MIN), None);
    }
}
