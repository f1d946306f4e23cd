//! Text that crosses the border: secrets that must not leak into logs, words of a pool that
//! must not disturb a terminal, and hexadecimal.

use std::fmt;

/// A password. Its text is left out of `Debug`, and there is no `Display`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the wire only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// Makes a pool's words fit to show: control characters, which could steer a terminal or
/// break a log line, become spaces, and all behind `max` characters is cut.
#[must_use]
pub fn presentable(text: &str, max: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(max)
        .map(|c| if is_disturbing(c) { ' ' } else { c })
        .collect();
    if text.chars().nth(max).is_some() {
        shown.push('…');
    }
    shown.trim().to_owned()
}

/// Control characters, those that turn the direction of the text around them, and those that
/// break a line or show nothing.
fn is_disturbing(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A moment as people write it, e.g. `2026-05-01 12:00:00 UTC`, from seconds since 1970.
#[must_use]
pub fn utc(unix_seconds: u64) -> String {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar. Years begin in
/// March here, so that the leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    // 1970-01-01 is so many days after 0000-03-01.
    let days = days.saturating_add(719_468);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year + u64::from(month >= 10);
    (year, if month < 10 { month + 3 } else { month - 9 }, day)
}

/// Bytes from pairs of hexadecimal digits; `None` if anything else is in it.
pub(crate) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else {
        return None;
    };
    pairs
        .iter()
        .map(|[high, low]| Some(hex_digit(*high)? << 4 | hex_digit(*low)?))
        .collect()
}

/// A number from one to eight hexadecimal digits.
pub(crate) fn u32_from_hex(digits: &str) -> Option<u32> {
    let plain = (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| plain)
}

/// Lower-case hexadecimal digits of bytes.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)])
        .collect()
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_secret_does_not_show_in_debug_output() {
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }

    #[test]
    fn control_characters_become_spaces_and_long_text_is_cut() {
        assert_eq!(presentable("a\x1b[2Jb\nc", 80), "a [2Jb c");
        assert_eq!(presentable("a\u{2028}b\u{e0041}c\u{202e}d", 80), "a b c d");
        assert_eq!(presentable("abcdef", 3), "abc…");
        assert_eq!(presentable("abc", 3), "abc");
    }

    #[test]
    fn moments_are_written_as_by_date() {
        // Each as `date -u -d @SECONDS` has it.
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_399), "2000-02-28 23:59:59 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_709_251_199), "2024-02-29 23:59:59 UTC");
        assert_eq!(utc(1_798_761_599), "2026-12-31 23:59:59 UTC");
        assert_eq!(utc(4_107_542_400), "2100-03-01 00:00:00 UTC");
    }

    #[test]
    fn odd_or_foreign_digits_are_no_bytes() {
        assert_eq!(from_hex(""), Some(vec![]));
        assert_eq!(from_hex("0aFf"), Some(vec![0x0a, 0xff]));
        assert_eq!(from_hex("abc"), None);
        assert_eq!(from_hex("+1"), None);
        assert_eq!(from_hex("zz"), None);
    }

    #[test]
    fn signs_and_empty_text_are_no_numbers() {
        assert_eq!(u32_from_hex("1fffe000"), Some(0x1fff_e000));
        assert_eq!(u32_from_hex("0"), Some(0));
        assert_eq!(u32_from_hex("+1"), None);
        assert_eq!(u32_from_hex(""), None);
        assert_eq!(u32_from_hex("100000000"), None);
    }

    proptest! {
        #[test]
        fn hex_comes_back(bytes: Vec<u8>) {
            prop_assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes));
        }
    }
}
