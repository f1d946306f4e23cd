//! A chain of chips as a map: a row for each voltage domain, a mark for each chip. Marks tell how a
//! chip's rate compares with what its clock promises, as far as so few nonces can tell; colour only
//! repeats what the mark says, so the map reads the same without it.

use std::collections::BTreeMap;

use rpc::tuner::ChipQuality;

use crate::format;
use crate::state::ChipStatus;

/// How a chip does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It has not had the time to show.
    Unknown,
    /// As good as its clock, within the error of the estimate.
    Full,
    /// Below 95 % of what is expected.
    Below,
    /// Below 80 %.
    Low,
    /// Below half.
    Poor,
    /// It finds nothing.
    Dead,
    /// More than a fiftieth of its nonces are wrong.
    Errors,
}

/// Nonces, good and bad, before the part of the bad ones says anything.
const JUDGED_FROM: u64 = 50;
/// Part of bad nonces that is too much.
const TOO_MANY_ERRORS: f64 = 0.02;
/// Nonces that a chip should have found before finding none means that it is dead.
const MISSED: f64 = 8.0;

/// Columns between two columns of domains.
const GAP: usize = 3;

/// All levels with their marks and meanings, best first.
pub const LEGEND: [(Level, &str); 7] = [
    (Level::Full, "as expected"),
    (Level::Below, "< 95 %"),
    (Level::Low, "< 80 %"),
    (Level::Poor, "< 50 %"),
    (Level::Dead, "nothing"),
    (Level::Errors, "errors"),
    (Level::Unknown, "too early"),
];

impl Level {
    /// The level of a chip whose neighbours have found `usual` nonces each. Its rate is the one that
    /// its statistical error still allows: a chip is not called low for being unlucky.
    #[must_use]
    pub fn of(chip: &ChipStatus, usual: f64) -> Self {
        let seen = chip.nonces.saturating_add(chip.hardware_errors);
        if seen >= JUDGED_FROM && chip.hardware_errors as f64 > TOO_MANY_ERRORS * seen as f64 {
            return Self::Errors;
        }
        let (rate, expected) = (chip.hashrate, chip.expected_hps);
        if !(expected > 0.0 && rate.hps.is_finite() && rate.sigma_hps.is_finite()) {
            return Self::Unknown;
        }
        if rate.hps <= 0.0 {
            // The error of a silent window is that of one nonce, so its size tells how many were due. A
            // chip that never found one has none, and its neighbours tell.
            let due = match rate.sigma_hps {
                sigma if sigma > 0.0 => expected / sigma,
                _ => usual,
            };
            return if due >= MISSED {
                Self::Dead
            } else {
                Self::Unknown
            };
        }
        // What one nonce stands for. So few of them say nothing of a chip yet.
        let nonce = rate.sigma_hps * rate.sigma_hps / rate.hps;
        if expected < MISSED * nonce && rate.hps < expected {
            return Self::Unknown;
        }
        let ratio = (rate.hps + 2.0 * rate.sigma_hps) / expected;
        match ratio {
            0.95.. => Self::Full,
            0.8.. => Self::Below,
            0.5.. => Self::Low,
            _ => Self::Poor,
        }
    }

    /// The mark of the level.
    #[must_use]
    pub fn mark(self) -> char {
        match self {
            Self::Unknown => '·',
            Self::Full => '█',
            Self::Below => '▆',
            Self::Low => '▄',
            Self::Poor => '▂',
            Self::Dead => 'x',
            Self::Errors => '!',
        }
    }
}

/// A piece of a line: plain text, or marks of one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The characters.
    pub text: String,
    /// Their level; none for text between the marks.
    pub level: Option<Level>,
}

/// Nonces that a chip of these has found on the average.
#[must_use]
pub fn usual_nonces(chips: &[ChipStatus]) -> f64 {
    let all: f64 = chips.iter().map(|chip| chip.nonces as f64).sum();
    all / chips.len().max(1) as f64
}

/// The chips of one board as lines of at most `width` characters, where the longest domain fits; as
/// many domains side by side as there is room for, in columns from top to bottom.
#[must_use]
pub fn lines(chips: &[ChipStatus], width: usize) -> Vec<Vec<Piece>> {
    let usual = usual_nonces(chips);
    let mut domains: BTreeMap<u16, Vec<&ChipStatus>> = BTreeMap::new();
    for chip in chips {
        domains.entry(chip.domain).or_default().push(chip);
    }
    let longest = domains.values().map(Vec::len).max().unwrap_or(0);
    let label = domains
        .keys()
        .last()
        .map_or(0, |last| last.to_string().len())
        + 2;
    // A chain without domains of its own is one long row: it is broken like text.
    let room = width.saturating_sub(label).max(1);
    let mut rows: Vec<(String, &[&ChipStatus])> = Vec::new();
    for (domain, chips) in &domains {
        for (part, chips) in chips.chunks(room).enumerate() {
            let name = match part {
                0 => format!("d{domain}"),
                _ => String::new(),
            };
            rows.push((name, chips));
        }
    }
    let cell = label + longest.min(room);
    let columns = ((width + GAP) / (cell + GAP)).clamp(1, rows.len().max(1));
    let height = rows.len().div_ceil(columns);
    let mut lines = vec![Vec::new(); height];
    for (index, (name, chips)) in rows.into_iter().enumerate() {
        let line: &mut Vec<Piece> = &mut lines[index % height.max(1)];
        let before = if line.is_empty() { 0 } else { GAP };
        push(line, &format!("{:before$}{name:<label$}", ""), None);
        for chip in chips {
            let level = Level::of(chip, usual);
            push(line, &level.mark().to_string(), Some(level));
        }
        push(line, &" ".repeat(cell - label - chips.len()), None);
    }
    lines
}

/// What stands out on one board: the worst chips first, with their numbers, at most `most` of them.
#[must_use]
pub fn outliers(chips: &[ChipStatus], most: usize) -> Vec<String> {
    let usual = usual_nonces(chips);
    let mut bad: Vec<_> = chips
        .iter()
        .map(|chip| (Level::of(chip, usual), chip))
        .filter(|(level, _)| *level > Level::Full)
        .collect();
    bad.sort_by_key(|(level, chip)| (std::cmp::Reverse(*level), chip.board, chip.index));
    let hidden = bad.len().saturating_sub(most);
    let mut lines: Vec<_> = bad
        .iter()
        .take(most)
        .map(|(_, chip)| {
            let sigma = format::percent(chip.hashrate.sigma_hps, chip.expected_hps);
            format!(
                "chip {} (domain {}, 0x{:02x}): {} ± {sigma} of expected, {}/{} nonces wrong",
                chip.index,
                chip.domain,
                chip.address,
                format::percent(chip.hashrate.hps, chip.expected_hps),
                chip.hardware_errors,
                chip.nonces.saturating_add(chip.hardware_errors),
            )
        })
        .collect();
    if hidden > 0 {
        lines.push(format!("and {hidden} more"));
    }
    lines
}

/// How many chips of one board are of each grade, and the ends of their thresholds; nothing before the tuner knows.
#[must_use]
pub fn qualities(chips: &[ChipStatus]) -> Option<String> {
    let known: Vec<_> = chips
        .iter()
        .filter_map(|chip| Some((chip, chip.quality.as_ref()?)))
        .collect();
    known.first()?;
    let of = |grade: &str| {
        known
            .iter()
            .filter(|(_, quality)| quality.grade == grade)
            .count()
    };
    let mut parts: Vec<_> = ["strong", "normal", "weak", "silent"]
        .into_iter()
        .filter(|grade| of(grade) > 0)
        .map(|grade| format!("{} {grade}", of(grade)))
        .collect();
    let by_offset = |a: &&(&ChipStatus, &ChipQuality), b: &&(&ChipStatus, &ChipQuality)| {
        a.1.offset_mv.total_cmp(&b.1.offset_mv)
    };
    let ends = known
        .iter()
        .min_by(by_offset)
        .zip(known.iter().max_by(by_offset));
    if let Some(((best, least), (worst, most))) = ends
        && best.index != worst.index
    {
        parts.push(format!(
            "best chip {} ({:+.1} mV), worst chip {} ({:+.1} mV)",
            best.index, least.offset_mv, worst.index, most.offset_mv
        ));
    }
    Some(parts.join(", "))
}

/// Adds text to a line; what has the level of the piece before it joins that.
fn push(line: &mut Vec<Piece>, text: &str, level: Option<Level>) {
    match line.last_mut() {
        Some(last) if last.level == level => last.text.push_str(text),
        _ if text.is_empty() => {}
        _ => line.push(Piece {
            text: text.to_owned(),
            level,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Rate;

    fn chip(index: u16, domain: u16, percent: f64) -> ChipStatus {
        ChipStatus {
            index,
            domain,
            nonces: 100,
            hashrate: Rate {
                hps: percent * 1e10,
                sigma_hps: 1e10,
            },
            expected_hps: 1e12,
            ..ChipStatus::default()
        }
    }

    fn drawn(chips: &[ChipStatus], width: usize) -> Vec<String> {
        lines(chips, width)
            .iter()
            .map(|line| line.iter().map(|piece| piece.text.as_str()).collect())
            .collect()
    }

    #[test]
    fn domains_are_rows_and_stand_side_by_side_where_there_is_room() {
        let chips: Vec<_> = (0..12).map(|i| chip(i, i / 3, 100.0)).collect();
        let one_column = ["d0 ███", "d1 ███", "d2 ███", "d3 ███"];
        assert_eq!(drawn(&chips, 6), one_column);
        assert_eq!(drawn(&chips, 14), one_column);
        assert_eq!(drawn(&chips, 15), ["d0 ███   d2 ███", "d1 ███   d3 ███"]);
    }

    #[test]
    fn a_chain_in_one_domain_is_broken_like_text() {
        let chips: Vec<_> = (0..5).map(|i| chip(i, 0, 100.0)).collect();
        assert_eq!(drawn(&chips, 6), ["d0 ███", "   ██ "]);
    }

    #[test]
    fn no_line_is_longer_than_the_terminal() {
        for count in [1, 7, 114, 400] {
            for per_domain in [1, 3, 6, 400] {
                let chips: Vec<_> = (0..count).map(|i| chip(i, i / per_domain, 100.0)).collect();
                for width in [20, 79, 80, 133] {
                    for line in drawn(&chips, width) {
                        assert!(
                            line.chars().count() <= width,
                            "{count} {per_domain}: {line}"
                        );
                    }
                }
            }
        }
        assert_eq!(drawn(&[], 80), [""; 0]);
    }

    #[test]
    fn a_chip_is_judged_by_the_rate_that_its_error_allows() {
        assert_eq!(Level::of(&chip(0, 0, 94.0), 0.0), Level::Full);
        assert_eq!(Level::of(&chip(0, 0, 90.0), 0.0), Level::Below);
        assert_eq!(Level::of(&chip(0, 0, 60.0), 0.0), Level::Low);
        assert_eq!(Level::of(&chip(0, 0, 10.0), 0.0), Level::Poor);
    }

    #[test]
    fn a_chip_without_nonces_is_dead_only_when_many_were_due() {
        let silent = |sigma_hps| ChipStatus {
            expected_hps: 1e12,
            hashrate: Rate {
                hps: 0.0,
                sigma_hps,
            },
            ..ChipStatus::default()
        };
        assert_eq!(Level::of(&silent(0.0), 0.0), Level::Unknown);
        assert_eq!(Level::of(&silent(5e11), 0.0), Level::Unknown);
        assert_eq!(Level::of(&silent(1e11), 0.0), Level::Dead);
        assert_eq!(Level::of(&silent(0.0), 20.0), Level::Dead);
        assert_eq!(Level::of(&ChipStatus::default(), 20.0), Level::Unknown);
    }

    #[test]
    fn few_nonces_condemn_nobody() {
        let mut early = chip(0, 0, 25.0);
        early.hashrate.sigma_hps = 25e10;
        assert_eq!(Level::of(&early, 4.0), Level::Unknown);
        early.hashrate.hps = 1e12;
        assert_eq!(Level::of(&early, 4.0), Level::Full);
    }

    #[test]
    fn many_wrong_nonces_stand_out_whatever_the_rate() {
        let mut bad = chip(0, 0, 100.0);
        bad.hardware_errors = 3;
        assert_eq!(Level::of(&bad, 0.0), Level::Errors);
        bad.nonces = 10;
        assert_eq!(Level::of(&bad, 0.0), Level::Full);
    }

    #[test]
    fn grades_are_counted_and_the_ends_named() {
        let graded = |index, offset_mv, grade: &str| ChipStatus {
            quality: Some(ChipQuality {
                offset_mv,
                sd_mv: 1.0,
                grade: grade.into(),
            }),
            ..chip(index, 0, 100.0)
        };
        let chips = [
            graded(0, -6.25, "strong"),
            graded(1, 0.5, "normal"),
            graded(2, 8.125, "weak"),
            chip(3, 0, 100.0),
        ];
        assert_eq!(
            qualities(&chips).unwrap(),
            "1 strong, 1 normal, 1 weak, best chip 0 (-6.2 mV), worst chip 2 (+8.1 mV)"
        );
        assert_eq!(qualities(&chips[3..]), None);
    }

    #[test]
    fn outliers_are_named_worst_first() {
        let chips = [chip(0, 0, 100.0), chip(1, 0, 60.0), chip(2, 1, 10.0)];
        let lines = outliers(&chips, 1);
        assert!(lines[0].starts_with("chip 2 (domain 1, 0x00): 10 % ± 1 % of expected"));
        assert_eq!(lines[1], "and 1 more");
    }
}
