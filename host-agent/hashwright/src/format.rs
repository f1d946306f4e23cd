//! Numbers for people: hashrates, difficulties and durations as short text. Three significant
//! digits are enough to read; programs read the JSON replies, which carry full precision.

use crate::state::Rate;

pub mod table;
pub mod tuner;

pub use table::{Column, Table};

/// SI prefixes from 10^0 in steps of 10^3.
const PREFIXES: [&str; 8] = ["", "k", "M", "G", "T", "P", "E", "Z"];

/// What stands for a number that is unknown or not finite.
const UNKNOWN: &str = "?";

/// A hashrate in hashes per second as text with a unit, e.g. `1.07 TH/s`.
///
/// Zero and negative rates give `0 H/s`, infinite and undefined ones `?`.
pub fn hashrate(hps: f64) -> String {
    if !hps.is_finite() {
        return UNKNOWN.into();
    }
    if hps <= 0.0 {
        return "0 H/s".into();
    }
    let (scale, prefix) = si(hps);
    format!("{} {prefix}H/s", digits(hps / scale))
}

/// A hashrate with one standard deviation in the same unit, e.g. `1.07 ± 0.05 TH/s`.
///
/// Without a usable deviation it is the plain [`hashrate`].
pub fn rate(rate: Rate) -> String {
    let usable = rate.sigma_hps.is_finite() && rate.sigma_hps > 0.0;
    if !usable || !rate.hps.is_finite() || rate.hps <= 0.0 {
        return hashrate(rate.hps);
    }
    let (scale, prefix) = si(rate.hps);
    let (value, sigma) = (rate.hps / scale, rate.sigma_hps / scale);
    let places = places(value);
    format!("{value:.places$} ± {sigma:.places$} {prefix}H/s")
}

/// A share or network difficulty with an SI suffix, e.g. `1.2k`, `65.5k`, `3.4G`, `0.25`; below
/// 0.001 in powers of ten, e.g. `1.2e-4`.
///
/// Trailing zeros after the point are dropped. Values that are not finite give `?`.
pub fn difficulty(value: f64) -> String {
    if !value.is_finite() {
        return UNKNOWN.into();
    }
    if value <= 0.0 {
        return "0".into();
    }
    if value < 0.001 {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    if value < 0.9995 {
        return trimmed(format!("{value:.3}"));
    }
    let (scale, prefix) = si(value);
    format!("{}{prefix}", trimmed(digits(value / scale)))
}

/// A span of time in seconds in its two largest units, e.g. `42 s`, `3 min 05 s`, `2 h 07 min`,
/// `3 d 04 h`.
///
/// Negative spans count as zero, spans that are not finite give `?`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return UNKNOWN.into();
    }
    // The cast saturates, so no span is too long.
    let s = seconds.max(0.0) as u64;
    let (min, h, d) = (s / 60, s / 3_600, s / 86_400);
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{min} min {:02} s", s % 60),
        3_600..86_400 => format!("{h} h {:02} min", min % 60),
        _ => format!("{d} d {:02} h", h % 24),
    }
}

/// A part of a whole in percent without places, e.g. `97 %`; `–` where there is no whole.
pub fn percent(part: f64, whole: f64) -> String {
    let ratio = part / whole * 100.0;
    if whole > 0.0 && ratio.is_finite() {
        format!("{ratio:.0} %")
    } else {
        "–".into()
    }
}

/// Text from outside (a pool, a config, a device) as at most `longest` characters that are safe to
/// print: control and direction marks, which could steer a terminal, become `·`.
pub fn plain(text: &str, longest: usize) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut safe = text.chars().map(|c| if hidden(c) { '·' } else { c });
    let mut out: String = safe.by_ref().take(longest).collect();
    if safe.next().is_some() && out.pop().is_some() {
        out.push('…');
    }
    out
}

/// A line as several of at most `width` characters, broken at spaces where there are any; what follows the
/// first one stands a little further in than it.
pub fn wrapped(line: &str, width: usize) -> Vec<String> {
    let indent = line.chars().take_while(|c| *c == ' ').count();
    let indent = if indent + 12 < width { indent + 2 } else { 0 };
    let mut parts = Vec::new();
    let mut rest: Vec<char> = line.chars().collect();
    let mut room = width.max(1);
    let mut lead = String::new();
    while rest.len() > room {
        let space = rest[..=room].iter().rposition(|c| *c == ' ');
        // A break in the indentation would be none.
        let begins = rest.iter().position(|c| *c != ' ').unwrap_or(0);
        let end = space.filter(|space| *space > begins).unwrap_or(room);
        let part: String = rest.drain(..end).collect();
        parts.push(lead.clone() + part.trim_end());
        let blank = rest.iter().take_while(|c| **c == ' ').count();
        rest.drain(..blank);
        lead = " ".repeat(indent);
        room = width.saturating_sub(indent).max(1);
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(lead + &rest.into_iter().collect::<String>());
    }
    parts
}

/// The power of 1000 below `value`, and its prefix; `value` must be positive and finite.
///
/// A value that three digits would round up to 1000 gets the next prefix.
fn si(value: f64) -> (f64, &'static str) {
    let mut scale = 1.0;
    let mut prefix = PREFIXES[0];
    for next in &PREFIXES[1..] {
        if value / scale < 999.5 {
            break;
        }
        scale *= 1000.0;
        prefix = next;
    }
    (scale, prefix)
}

/// Three significant digits of a value from 1 to 999.
fn digits(value: f64) -> String {
    let places = places(value);
    format!("{value:.places$}")
}

/// Decimal places that leave three significant digits, looking at the rounded value.
fn places(value: f64) -> usize {
    if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    }
}

fn trimmed(text: String) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashrates_have_three_digits_and_the_unit_that_fits() {
        for (hps, text) in [
            (0.0, "0 H/s"),
            (-5.0, "0 H/s"),
            (0.25, "0.25 H/s"),
            (1.0, "1.00 H/s"),
            (999.0, "999 H/s"),
            (1_234.0, "1.23 kH/s"),
            (12.34e6, "12.3 MH/s"),
            (486e9, "486 GH/s"),
            (1.07e12, "1.07 TH/s"),
            (234e12, "234 TH/s"),
            (5.5e15, "5.50 PH/s"),
            (700e18, "700 EH/s"),
            (f64::NAN, "?"),
            (f64::INFINITY, "?"),
        ] {
            assert_eq!(hashrate(hps), text, "{hps}");
        }
    }

    #[test]
    fn rounding_up_to_a_thousand_takes_the_next_unit() {
        assert_eq!(hashrate(999.4e9), "999 GH/s");
        assert_eq!(hashrate(999.6e9), "1.00 TH/s");
        assert_eq!(hashrate(9.996e9), "10.0 GH/s");
        assert_eq!(hashrate(99.96e9), "100 GH/s");
        assert_eq!(difficulty(999_700.0), "1M");
    }

    #[test]
    fn a_rate_shows_its_deviation_in_the_same_unit() {
        let with = |hps, sigma_hps| rate(Rate { hps, sigma_hps });
        assert_eq!(with(1.07e12, 52e9), "1.07 ± 0.05 TH/s");
        assert_eq!(with(234e12, 2.1e12), "234 ± 2 TH/s");
        assert_eq!(with(234e12, 0.0), "234 TH/s");
        assert_eq!(with(0.0, 1e9), "0 H/s");
        assert_eq!(with(1e12, f64::NAN), "1.00 TH/s");
    }

    #[test]
    fn difficulties_read_like_the_field_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (0.00012, "1.2e-4"),
            (0.0001, "1e-4"),
            (0.001, "0.001"),
            (0.25, "0.25"),
            (0.5, "0.5"),
            (1.0, "1"),
            (512.0, "512"),
            (1_200.0, "1.2k"),
            (65_536.0, "65.5k"),
            (3.4e9, "3.4G"),
            (110.7e12, "111T"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(difficulty(value), text, "{value}");
        }
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        for (seconds, text) in [
            (-1.0, "0 s"),
            (0.4, "0 s"),
            (59.9, "59 s"),
            (60.0, "1 min 00 s"),
            (185.0, "3 min 05 s"),
            (7_640.0, "2 h 07 min"),
            (273_700.0, "3 d 04 h"),
            (f64::INFINITY, "?"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\nc\u{202e}d\u{9b}", 80), "a·[2Jb··c·d·");
        assert_eq!(plain("Hello, 世界", 80), "Hello, 世界");
        assert_eq!(plain("abcdef", 6), "abcdef");
        assert_eq!(plain("abcdefg", 6), "abcde…");
        assert_eq!(plain("abc", 0), "");
    }

    #[test]
    fn long_lines_break_at_spaces_and_stand_in() {
        assert_eq!(wrapped("short", 10), ["short"]);
        assert_eq!(wrapped("", 10), [""]);
        assert_eq!(
            wrapped("- one two three four five", 15),
            ["- one two three", "  four five"]
        );
        assert_eq!(wrapped("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        for width in 0..30 {
            let parts = wrapped("    some words, and one thatislongerthanall", width);
            assert!(
                parts
                    .iter()
                    .all(|part| part.chars().count() <= width.max(1))
            );
        }
    }

    #[test]
    fn percent_needs_a_whole() {
        assert_eq!(percent(97.4, 100.0), "97 %");
        assert_eq!(percent(1.0, 0.0), "–");
    }
}
