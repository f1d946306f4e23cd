//! The verdicts of an acceptance test: each a function of what was recorded, with its numbers and with what to
//! do about it. Whatever rests on counts is proved at a stated error rate, corrected for how many chips there
//! are; what could not be proved either way is said to be so. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::poisson;
use super::record::{ChipRecord, Recording, SensorRecord};
use crate::format;

/// Share of the promised work below which a weak chip, or a board, fails.
pub(super) const BAD_CHIP: f64 = 0.80;
const BAD_BOARD: f64 = 0.90;

/// A test that would miss chips above this share of their work says so.
const LEAST_FOUND: f64 = 0.5;

/// Share of wrong nonces that is too much, and that is not well: what benchmarks of miners reject, and what is healthy.
const BAD_WRONG: f64 = 0.035;
const POOR_WRONG: f64 = 0.01;

/// The same of nonces that come twice.
const BAD_TWICE: f64 = 0.05;
const POOR_TWICE: f64 = 0.005;

/// The same of replies that came to harm on the line.
const BAD_LINE: f64 = 0.02;
const POOR_LINE: f64 = 0.001;
/// Bytes of a reply.
const FRAME_BYTES: f64 = 11.0;

/// Room below the temperature of throttling that is comfortable, K.
const ROOM_K: f64 = 3.0;

/// Difference between sensors of one kind that is odd, and too much, K. The air warms by up to 24 K on its way
/// along a machine's boards.
const ODD_SPREAD_K: f64 = 20.0;
const BAD_SPREAD_K: f64 = 30.0;

/// Change of temperature in the second half of a test that says it has not come to rest, K.
const DRIFT_K: f64 = 3.0;

/// Distance from nominal power that is odd, and too much: boards differ, and so do warm and cold days.
const ODD_POWER: f64 = 0.15;
const BAD_POWER: f64 = 0.35;

/// How far the time of a state and that of its counts may lie apart, s: they are taken one after the other.
const JITTER_S: f64 = 0.25;

/// Part of a test that may be without work, at most.
const MOST_IDLE: f64 = 0.5;

/// How something did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Pass,
    /// Usable, but worth a look.
    Warn,
    /// It could not be tested.
    #[default]
    Untested,
    /// Not good.
    Fail,
}

impl Level {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warning",
            Self::Untested => "not tested",
            Self::Fail => "FAIL",
        }
    }
}

/// One verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Stable name.
    pub name: String,
    /// What is looked at, in words.
    pub title: String,
    /// How it did.
    pub level: Level,
    /// The board cannot pass without it.
    pub needed: bool,
    /// What was found, with numbers.
    pub finding: String,
    /// What to do; empty if nothing is.
    pub advice: String,
    /// The numbers by name.
    pub numbers: BTreeMap<String, f64>,
}

/// How a chip did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// As it should be.
    Full,
    /// Proved to do less than the tolerance allows.
    Weak,
    /// Proved to do less than a chip may that is of any use.
    Bad,
    /// It does nothing at all.
    Dead,
    /// Too little was counted to tell even a dead one.
    #[default]
    Unknown,
}

/// A chip judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChipVerdict {
    /// Position in the chain.
    pub index: u16,
    /// Voltage domain.
    pub domain: u16,
    /// How it did.
    pub grade: Grade,
    /// Share of the promised work.
    pub delivered: f64,
    /// Bounds of it, each wrong with the error rate of the test over all chips together.
    pub low: f64,
    /// The upper one.
    pub high: f64,
    /// Share of wrong nonces.
    pub wrong: Option<f64>,
}

/// A board judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The worst of all.
    pub overall: Level,
    /// In a sentence.
    pub sentence: String,
    /// The verdicts.
    pub checks: Vec<Check>,
    /// The chips.
    pub chips: Vec<ChipVerdict>,
}

/// Judges a recording.
#[must_use]
pub fn judge(seen: &Recording) -> Judgement {
    let chips = chips(seen);
    let checks = vec![
        enumeration(seen),
        chip_check(seen, &chips),
        rate(seen),
        hardware_errors(seen),
        duplicates(seen),
        line(seen),
        temperature(seen),
        sensors(seen),
        fans(seen),
        power(seen),
        stability(seen),
    ];
    let failed = checks.iter().any(|check| check.level == Level::Fail);
    let missing = |check: &Check| check.needed && check.level == Level::Untested;
    let overall = if failed {
        Level::Fail
    } else if checks.iter().any(missing) {
        Level::Untested
    } else if checks.iter().any(|check| check.level == Level::Warn) {
        Level::Warn
    } else {
        Level::Pass
    };
    let named = |level: Level| {
        let of = checks
            .iter()
            .filter(|check| check.level == level && (level != Level::Untested || check.needed));
        let names: Vec<_> = of.map(|check| check.title.to_lowercase()).collect();
        names.join(", ")
    };
    let partial = match &seen.ended {
        Some(why) => format!(" The test is PARTIAL: {}.", why.trim_end_matches('.')),
        None => String::new(),
    };
    let sentence = match overall {
        Level::Pass => "The board is good in everything that was tested.".to_owned(),
        Level::Warn => format!("The board is good, but look at: {}.", named(Level::Warn)),
        Level::Untested => format!("Not enough was seen to judge: {}.", named(Level::Untested)),
        Level::Fail => format!("The board is not good: {}.", named(Level::Fail)),
    };
    Judgement {
        overall,
        sentence: sentence + &partial,
        checks,
        chips,
    }
}

struct Draft {
    check: Check,
}

fn check(name: &str, title: &str, needed: bool) -> Draft {
    Draft {
        check: Check {
            name: name.to_owned(),
            title: title.to_owned(),
            needed,
            ..Check::default()
        },
    }
}

impl Draft {
    fn number(mut self, name: &str, value: impl Into<Option<f64>>) -> Self {
        if let Some(value) = value.into().filter(|value| value.is_finite()) {
            self.check.numbers.insert(name.to_owned(), value);
        }
        self
    }

    fn says(self, level: Level, finding: impl Into<String>, advice: &str) -> Check {
        Check {
            level,
            finding: finding.into(),
            advice: advice.to_owned(),
            ..self.check
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A small share in as many digits as it needs.
fn small(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        percent if percent < 0.1 => format!("{percent:.3} %"),
        percent if percent < 10.0 => format!("{percent:.2} %"),
        percent => format!("{percent:.1} %"),
    }
}

fn enumeration(seen: &Recording) -> Check {
    let facts = &seen.facts;
    let (found, wanted) = (seen.chips_found, facts.chips_expected);
    let serial = seen.subject.serial.as_deref();
    let serial = serial.map_or("no serial number".to_owned(), |serial| {
        format!("serial {serial}")
    });
    let told = format!(
        "{found} of {wanted} chips ({}), {serial}, chain started again {} times; control {}, guard {}",
        facts.chip, seen.restarts, facts.control, facts.guard
    );
    let draft = check("enumeration", "Chips on the chain", true)
        .number("found", f64::from(found))
        .number("expected", f64::from(wanted))
        .number("restarts", seen.restarts as f64);
    if found == 0 {
        return draft.says(
            Level::Untested,
            format!("the board did not run ({told})"),
            "Look at `hashwright status`: it says what keeps the board from running.",
        );
    }
    if found < wanted {
        return draft.says(
            Level::Fail,
            told,
            "Chips after the first missing one get no signal. Look at the chip after the last that answers: its \
             soldering, its clock and signal lines, and the voltage of its domain.",
        );
    }
    if found > wanted {
        return draft.says(
            Level::Warn,
            told,
            "The board has more chips than its profile says. Choose the right profile: limits of power and voltage \
             come from it.",
        );
    }
    if seen.restarts > 0 {
        return draft.says(
            Level::Fail,
            told,
            "A chain that has to be started again loses work and points to bad contacts, a weak supply or too little \
             voltage. The event log (`hashwright events`) says what went before.",
        );
    }
    draft.says(Level::Pass, told, "")
}

/// Error probability for one of so many.
fn each(error: f64, many: usize) -> f64 {
    // Exact for independent ones, which chips' counts are.
    -f64::exp_m1(f64::ln_1p(-error) / many.max(1) as f64)
}

fn chips(seen: &Recording) -> Vec<ChipVerdict> {
    let error = each(seen.error_rate, seen.chips.len());
    let verdict = |chip: &ChipRecord| {
        let all = chip.nonces + chip.wrong;
        let expected = chip.expected;
        let bound = |bound: f64| {
            if expected > 0.0 {
                bound / expected
            } else {
                0.0
            }
        };
        let low = bound(poisson::lower(chip.nonces, error));
        let high = bound(poisson::upper(chip.nonces, error));
        let grade = if expected <= 0.0 || poisson::at_most(0, expected * seen.tolerance) > error {
            Grade::Unknown
        } else if chip.nonces == 0 {
            Grade::Dead
        } else if high < BAD_CHIP.min(seen.tolerance) {
            Grade::Bad
        } else if high < seen.tolerance {
            Grade::Weak
        } else {
            Grade::Full
        };
        ChipVerdict {
            index: chip.index,
            domain: chip.domain,
            grade,
            delivered: bound(chip.nonces as f64),
            low,
            high,
            wrong: (all > 0).then(|| chip.wrong as f64 / all as f64),
        }
    };
    let mut verdicts: Vec<_> = seen.chips.iter().map(verdict).collect();
    verdicts.sort_by_key(|chip| chip.index);
    verdicts
}

fn chip_check(seen: &Recording, chips: &[ChipVerdict]) -> Check {
    let error = each(seen.error_rate, chips.len());
    let least = seen.chips.iter().map(|chip| chip.expected);
    let least = least.reduce(f64::min).unwrap_or(0.0);
    let found = poisson::least_found(least, seen.tolerance, error, 0.9);
    let of = |grade: Grade| chips.iter().filter(move |chip| chip.grade == grade);
    let told = |grade: Grade, word: &str| {
        let list: Vec<_> = of(grade)
            .take(12)
            .map(|chip| {
                format!(
                    "chip {} {word} ({:.0} %, {:.0} to {:.0} %)",
                    chip.index,
                    chip.delivered * 100.0,
                    chip.low * 100.0,
                    chip.high * 100.0
                )
            })
            .collect();
        let more = of(grade).count().saturating_sub(list.len());
        match more {
            0 => list,
            more => list
                .into_iter()
                .chain([format!("{more} more {word}")])
                .collect(),
        }
    };
    let power = match found {
        Some(share) => format!(
            "a chip at {:.0} % or less would have been found with 90 % probability",
            share * 100.0
        ),
        None => "too little was counted to find even a dead chip".to_owned(),
    };
    let error_text = match chips.len() {
        1 => format!("error rate {}", small(seen.error_rate)),
        many => format!(
            "error rate {} over all {many} chips",
            small(seen.error_rate)
        ),
    };
    let worst = chips.iter().map(|chip| chip.delivered).reduce(f64::min);
    let draft = check("chips", "Each chip's work", true)
        .number("dead", of(Grade::Dead).count() as f64)
        .number("bad", of(Grade::Bad).count() as f64)
        .number("weak", of(Grade::Weak).count() as f64)
        .number("worst_delivered", worst)
        .number("least_found", found)
        .number("expected_nonces_per_chip", least);
    let mut findings = told(Grade::Dead, "dead");
    findings.extend(told(Grade::Bad, "bad"));
    findings.extend(told(Grade::Weak, "weak"));
    let last = chips
        .iter()
        .min_by(|a, b| a.delivered.total_cmp(&b.delivered));
    if let Some(last) = last.filter(|_| findings.is_empty()) {
        findings.push(format!(
            "the least is {:.1} % of chip {} ({:.0} to {:.0} %)",
            last.delivered * 100.0,
            last.index,
            last.low * 100.0,
            last.high * 100.0
        ));
    }
    findings.push(format!("{power} ({error_text})"));
    let finding = findings.join("; ");
    if chips.is_empty() || found.is_none() {
        return draft.says(
            Level::Untested,
            finding,
            "Test for longer (--minutes), and see that the board has work.",
        );
    }
    if of(Grade::Dead).count() + of(Grade::Bad).count() > 0 {
        return draft.says(
            Level::Fail,
            finding,
            "A dead or bad chip wastes the power of its place and may take its domain's voltage with it. Try a higher \
             voltage or a lower clock for it (`hashwright chip set-frequency`); if that does not help, replace it.",
        );
    }
    if of(Grade::Weak).count() > 0 {
        return draft.says(
            Level::Warn,
            finding,
            "Weak chips are normal in small numbers: the tuner slows them and raises strong ones. Without it, a little \
             more voltage brings them back.",
        );
    }
    if found.is_some_and(|share| share < LEAST_FOUND) {
        return draft.says(
            Level::Warn,
            format!("too short to find chips at half their work; {finding}"),
            "Test for longer: without --minutes it takes as long as chips need.",
        );
    }
    draft.says(Level::Pass, finding, "")
}

fn rate(seen: &Recording) -> Check {
    let (nonces, expected) = (seen.counts.nonces, seen.expected);
    let low = poisson::lower(nonces, seen.error_rate) / expected;
    let high = poisson::upper(nonces, seen.error_rate) / expected;
    let share = nonces as f64 / expected;
    let draft = check("rate", "The board's work", true)
        .number("delivered", share)
        .number("low", low)
        .number("high", high)
        .number("nonces", nonces as f64)
        .number("expected_nonces", expected)
        .number("counted_s", seen.counted_s);
    let short = "Test for longer (--minutes), and see that the board has work.";
    if expected <= 0.0 {
        return draft.says(Level::Untested, "nothing was counted", short);
    }
    let finding = format!(
        "{} of what {} MHz promise ({} to {}), {nonces} nonces in {}",
        percent(share),
        seen.facts.mhz,
        percent(low),
        percent(high),
        format::duration(seen.counted_s)
    );
    let advice = "Too little voltage for this clock, heat, or work that comes late. Raise the voltage a little or lower \
                  the clock; `hashwright sweep` shows where the board is at ease.";
    if high < BAD_BOARD {
        draft.says(Level::Fail, finding, advice)
    } else if high < seen.tolerance {
        draft.says(Level::Warn, finding, advice)
    } else if low < BAD_BOARD {
        draft.says(
            Level::Untested,
            format!("{finding}: too few to tell"),
            short,
        )
    } else {
        draft.says(Level::Pass, finding, "")
    }
}

/// A share that should be small: judged by what is proved of it.
fn share_check(
    draft: Draft,
    what: &str,
    (events, all): (u64, u64),
    error: f64,
    (poor, bad): (f64, f64),
    advice: &str,
) -> Check {
    if all == 0 {
        return draft.says(Level::Untested, "nothing was counted", "");
    }
    let low = poisson::lower(events, error) / all as f64;
    let high = poisson::upper(events, error) / all as f64;
    let share = events as f64 / all as f64;
    let finding = format!(
        "{events} of {all} {what}: {} ({} to {}); up to {} is well",
        small(share),
        small(low),
        small(high),
        small(poor)
    );
    let draft = draft
        .number("events", events as f64)
        .number("share", share)
        .number("low", low)
        .number("high", high);
    if low > bad {
        draft.says(Level::Fail, finding, advice)
    } else if low > poor {
        draft.says(Level::Warn, finding, advice)
    } else {
        draft.says(Level::Pass, finding, "")
    }
}

fn hardware_errors(seen: &Recording) -> Check {
    let counts = &seen.counts;
    share_check(
        check("hardware-errors", "Wrong nonces", false),
        "nonces were wrong",
        (counts.wrong, counts.nonces + counts.wrong),
        seen.error_rate,
        (POOR_WRONG, BAD_WRONG),
        "Chips that answer wrongly have too little voltage for their clock, or are too hot. Raise the voltage a little, \
         lower the clock, or cool better; one chip alone with many is damaged.",
    )
}

fn duplicates(seen: &Recording) -> Check {
    let counts = &seen.counts;
    share_check(
        check("duplicates", "Nonces that came twice", false),
        "nonces came twice",
        (counts.duplicates, counts.nonces + counts.duplicates),
        seen.error_rate,
        (POOR_TWICE, BAD_TWICE),
        "Chips that get the same work twice have the wrong address or got no new work in time. Restart the board; if it \
         stays, the chain's signals are bad.",
    )
}

fn line(seen: &Recording) -> Check {
    let counts = &seen.counts;
    let replies = counts.nonces + counts.wrong + counts.duplicates;
    // Bytes without a frame are frames that came to harm.
    let lost = (counts.dropped_bytes as f64 / FRAME_BYTES).ceil() as u64;
    let harmed = counts.crc_errors.max(lost);
    share_check(
        check("line", "The line to the board", false),
        "replies came to harm",
        (harmed, replies + harmed),
        seen.error_rate,
        (POOR_LINE, BAD_LINE),
        "Check the cable and its plugs, keep it short and away from power cables, and see that both ends share their \
         ground.",
    )
    .with("crc_errors", counts.crc_errors as f64)
    .with("dropped_bytes", counts.dropped_bytes as f64)
}

impl Check {
    fn with(mut self, name: &str, value: f64) -> Self {
        self.numbers.insert(name.to_owned(), value);
        self
    }
}

fn temperature(seen: &Recording) -> Check {
    let hottest = &seen.hottest;
    let draft = check("temperature", "Heat", false)
        .number("first_c", hottest.first)
        .number("last_c", hottest.last)
        .number("max_c", hottest.max)
        .number("hot_c", seen.facts.hot_c)
        .number("throttled_s", seen.throttled_s);
    let (Some(_), Some(hot)) = (hottest.mean(), seen.facts.hot_c) else {
        return draft.says(
            Level::Untested,
            "nothing in this agent measures the board's temperature",
            "Keep an eye on it in another way: whoever controls its power has to.",
        );
    };
    let finding = format!(
        "from {:.1} to {:.1} °C, at most {:.1} °C; throttled from {hot} °C{}",
        hottest.first,
        hottest.last,
        hottest.max,
        seen.facts
            .limit_c
            .map_or(String::new(), |limit| format!(", off at {limit} °C"))
    );
    let advice = "Check that heat sinks sit tight, that air can flow and is not warm already, and that dust is gone; or \
                  lower the target power.";
    if seen.throttled_s > 0.0 {
        return draft.says(
            Level::Fail,
            format!(
                "throttled for {} because of heat; {finding}",
                format::duration(seen.throttled_s)
            ),
            advice,
        );
    }
    if hottest.max > hot - ROOM_K {
        return draft.says(Level::Warn, finding, advice);
    }
    let slices = &seen.slices;
    let half = &slices[slices.len() / 2..];
    let drift = match (
        half.first().and_then(|slice| slice.celsius),
        half.last().and_then(|slice| slice.celsius),
    ) {
        (Some(first), Some(last)) => last - first,
        _ => 0.0,
    };
    let draft = draft.number("late_drift_k", drift);
    if drift > DRIFT_K {
        return draft.says(
            Level::Warn,
            format!("still rising, by {drift:.1} K in the second half; {finding}"),
            "Test for longer (--minutes): it has not come to rest.",
        );
    }
    draft.says(Level::Pass, finding, "")
}

/// Kind of a sensor by its name: sensors of one kind can be compared.
fn kind(sensor: &SensorRecord) -> String {
    let letters = |c: &char| c.is_alphabetic();
    let name = sensor.name.to_lowercase();
    let words = name
        .split_whitespace()
        .filter(|word| word.chars().any(|c| letters(&c)));
    // `board 2 chip` is a chip of board 2; places follow what is measured.
    let words: Vec<_> = words
        .filter(|word| !["inlet", "outlet", "front", "back", "middle"].contains(word))
        .collect();
    words.last().map_or(name.clone(), |word| (*word).to_owned())
}

fn sensors(seen: &Recording) -> Check {
    let draft =
        check("sensors", "Temperature sensors", false).number("sensors", seen.sensors.len() as f64);
    if seen.sensors.is_empty() {
        return draft.says(Level::Untested, "the agent reads none of this board", "");
    }
    let mut findings = Vec::new();
    let mut level = Level::Pass;
    let mut advice = "";
    for sensor in &seen.sensors {
        let looks = sensor.celsius.count + sensor.silent;
        let share = sensor.silent as f64 / looks.max(1) as f64;
        if sensor.silent > 0 {
            let why = sensor.trouble.as_deref().unwrap_or("no value");
            findings.push(format!(
                "{} gave no value in {} of the time ({why})",
                sensor.name,
                percent(share)
            ));
            level = level.max(if share > 0.05 {
                Level::Fail
            } else {
                Level::Warn
            });
            advice = "A sensor that falls silent makes the guard take power: check its connection, or replace it.";
        }
    }
    // Those of one kind that measure themselves are compared.
    let mut kinds: BTreeMap<String, Vec<(&SensorRecord, f64)>> = BTreeMap::new();
    for sensor in seen.sensors.iter().filter(|sensor| sensor.measured) {
        if let Some(mean) = sensor.celsius.mean() {
            kinds.entry(kind(sensor)).or_default().push((sensor, mean));
        }
    }
    let mut widest: Option<f64> = None;
    for same in kinds.values().filter(|same| same.len() > 1) {
        let hot = same.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let cold = same.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        let (Some((hot, high)), Some((cold, low))) = (hot, cold) else {
            continue;
        };
        let spread = high - low;
        widest = Some(widest.map_or(spread, |widest| widest.max(spread)));
        if spread > ODD_SPREAD_K {
            findings.push(format!(
                "{} is {spread:.0} K hotter than {} ({high:.1} and {low:.1} °C)",
                hot.name, cold.name
            ));
            let bad = spread > BAD_SPREAD_K;
            level = level.max(if bad { Level::Fail } else { Level::Warn });
            if advice.is_empty() {
                advice = "Look at the place of the hot sensor: a loose heat sink, blocked air, a shorted chip; or the \
                          sensor is wrong.";
            }
        }
    }
    if findings.is_empty() {
        let names: Vec<_> = seen
            .sensors
            .iter()
            .filter_map(|sensor| {
                let span = &sensor.celsius;
                let mean = span.mean()?;
                Some(format!(
                    "{} {mean:.1} °C ({:+.1} K)",
                    sensor.name,
                    span.last - span.first
                ))
            })
            .collect();
        findings.push(format!("all answer: {}", names.join(", ")));
    }
    draft
        .number("spread_k", widest)
        .says(level, findings.join("; "), advice)
}

fn fans(seen: &Recording) -> Check {
    let draft = check("fans", "Fans", false).number("fans", seen.fans.len() as f64);
    if seen.fans.is_empty() {
        return draft.says(Level::Untested, "the agent controls none", "");
    }
    let mut findings = Vec::new();
    let mut level = Level::Pass;
    for fan in &seen.fans {
        let looks = (fan.rpm.count + fan.silent).max(1) as f64;
        let (slow, silent) = (fan.slow as f64 / looks, fan.silent as f64 / looks);
        let speed = fan.rpm.mean().map(|rpm| format!("{rpm:.0} rpm"));
        let speed = speed.unwrap_or_else(|| "no speed told".to_owned());
        let duty = fan.duty.mean().unwrap_or_default();
        let mut told = format!("{} {speed} at {duty:.0} %", fan.name);
        if silent > 0.0 {
            told.push_str(&format!(", silent in {} of the time", percent(silent)));
        }
        if slow > 0.0 {
            told.push_str(&format!(", too slow in {} of the time", percent(slow)));
        }
        if let Some(trouble) = &fan.trouble {
            told.push_str(&format!(" ({trouble})"));
        }
        findings.push(told);
        // A moment of spinning up is no fault.
        if slow > 0.05 || silent > 0.05 {
            level = Level::Fail;
        } else if slow > 0.0 || silent > 0.0 || fan.trouble.is_some() {
            level = level.max(Level::Warn);
        }
    }
    let advice = match level {
        Level::Pass => "",
        _ => "Check the fan's plug, its cable and what blocks it; replace it if it stays slow.",
    };
    draft.says(level, findings.join("; "), advice)
}

fn power(seen: &Recording) -> Check {
    let watts = seen.watts.mean();
    let draft = check("power", "Power", false)
        .number("watts", watts)
        .number("nominal_watts", seen.facts.nominal_watts);
    let Some(watts) = watts else {
        return draft.says(Level::Untested, "the agent does not know it", "");
    };
    let who = match seen.facts.boards_together {
        0 | 1 => String::new(),
        boards => format!(" of {boards} boards together"),
    };
    let spread = format!("{:.0} to {:.0} W", seen.watts.min, seen.watts.max);
    let told = format!("{watts:.1} W{who}, {} ({spread})", seen.watts_source);
    // Computed from what the regulator measures is as good as that; from the profile alone it proves nothing.
    if !["measured", "estimated"].contains(&seen.watts_source.as_str()) {
        return draft.says(
            Level::Untested,
            format!("{told}: from the profile's own figures, because nothing here measures it"),
            "A wall meter can correct it: `hashwright calibrate --watts`.",
        );
    }
    let Some(nominal) = seen.facts.nominal_watts else {
        return draft.says(
            Level::Untested,
            format!("{told}; the profile has no nominal power to compare with"),
            "",
        );
    };
    let off = watts / nominal - 1.0;
    let finding = format!(
        "{told}, {:+.0} % against {nominal:.0} W by the profile's figures at {} MHz{}",
        off * 100.0,
        seen.facts.mhz,
        seen.facts
            .mv
            .map_or(String::new(), |mv| format!(" {mv} mV"))
    );
    let draft = draft.number("off", off);
    let advice = if off > 0.0 {
        "More than such a board should take: a shorted chip, heat, a supply with losses, or the wrong profile."
    } else {
        "Less than such a board should take: chips or a domain that do nothing, a wrong reading, or the wrong profile."
    };
    if off.abs() > BAD_POWER {
        draft.says(Level::Fail, finding, advice)
    } else if off.abs() > ODD_POWER {
        draft.says(Level::Warn, finding, advice)
    } else {
        draft.says(Level::Pass, finding, "")
    }
}

fn stability(seen: &Recording) -> Check {
    let whole = seen.counted_s + seen.idle_s + seen.down_s;
    let draft = check("stability", "Evenness over the time", false)
        .number("counted_s", seen.counted_s)
        .number("idle_s", seen.idle_s)
        .number("down_s", seen.down_s)
        .number("slices", seen.slices.len() as f64);
    if seen.down_s > 0.0 {
        return draft.says(
            Level::Fail,
            format!(
                "it did not run for {}: {}",
                format::duration(seen.down_s),
                seen.problems.join("; ")
            ),
            "The event log (`hashwright events`) says what went before.",
        );
    }
    if seen.slices.len() < 6 {
        return draft.says(
            Level::Untested,
            "too short to tell",
            "Test for longer (--minutes).",
        );
    }
    if seen.idle_s > whole * MOST_IDLE {
        return draft.says(
            Level::Untested,
            format!("it had no work for {}", format::duration(seen.idle_s)),
            "See to the pools (`hashwright pools`), then test again.",
        );
    }
    // Counts of a steady rate vary as Poisson says: the sum of their squared deviations is chi squared.
    let share = seen.slices.iter().map(|slice| slice.nonces).sum::<u64>() as f64
        / seen.slices.iter().map(|slice| slice.expected).sum::<f64>();
    let deviation = |slice: &super::record::Slice| {
        let mean = slice.expected * share;
        let jitter = mean / slice.seconds.max(1.0) * JITTER_S;
        (slice.nonces as f64 - mean).powi(2) / (mean + 2.0 * jitter * jitter).max(1e-9)
    };
    let squares: f64 = seen.slices.iter().map(deviation).sum();
    let freedom = (seen.slices.len() - 1) as f64;
    let dispersion = squares / freedom;
    // Wilson and Hilferty's normal approximation of chi squared.
    let spread = 2.0 / (9.0 * freedom);
    let z = ((squares / freedom).cbrt() - (1.0 - spread)) / spread.sqrt();
    let chance = 1.0 - autotune::math::phi(z);
    let draft = draft
        .number("dispersion", dispersion)
        .number("chance", chance);
    // Little more than chance is no news, however surely it is more.
    let uneven = chance < seen.error_rate && dispersion > 1.3;
    let idle = if seen.idle_s > 0.0 {
        format!(
            " (and {} without work, not counted)",
            format::duration(seen.idle_s)
        )
    } else {
        String::new()
    };
    let finding = format!(
        "{} slices vary {dispersion:.2} times as much as chance alone makes them{idle}",
        seen.slices.len()
    );
    if uneven {
        return draft.says(
            Level::Warn,
            finding,
            "The rate comes and goes: look at its course below, at heat, at the supply, and at the event log.",
        );
    }
    draft.says(Level::Pass, finding, "")
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::record::{Counts, FanRecord, Slice, Span};
    use super::*;

    fn span(values: &[f64]) -> Span {
        let mut span = Span::default();
        for value in values {
            span.take(*value);
        }
        span
    }

    /// A good board of 110 chips at which 4000 nonces of each chip are expected.
    pub(in crate::cli::bench_board) fn good() -> Recording {
        let chip = |index: u16| ChipRecord {
            index,
            domain: index / 10,
            nonces: 3_960,
            expected: 4_000.0,
            ..ChipRecord::default()
        };
        let slice = |index: u64| Slice {
            at_s: (index + 1) as f64 * 60.0,
            seconds: 60.0,
            // Three standard deviations wide now and then, as chance has it.
            nonces: 7_260 + [0, 70, 0, 90, 0, 10][index as usize % 6]
                - [60, 0, 80, 0, 20, 0][index as usize % 6],
            expected: 110.0 * 4_000.0 / 60.0,
            celsius: Some(55.0),
            watts: Some(1_000.0),
        };
        let sensor = |name: &str, celsius| SensorRecord {
            name: name.to_owned(),
            measured: true,
            celsius: span(&[celsius, celsius]),
            ..SensorRecord::default()
        };
        let mut seen = Recording {
            format: super::super::record::FORMAT,
            error_rate: 0.01,
            tolerance: 0.95,
            counted_s: 3_600.0,
            wanted_s: 3_600.0,
            chips_found: 110,
            chips: (0..110).map(chip).collect(),
            counts: Counts {
                nonces: 110 * 3_960,
                wrong: 40,
                ..Counts::default()
            },
            expected: 110.0 * 4_000.0,
            slices: (0..60).map(slice).collect(),
            sensors: vec![sensor("board inlet", 45.0), sensor("board outlet", 55.0)],
            fans: vec![FanRecord {
                name: "fan 1".to_owned(),
                rpm: span(&[4_000.0, 4_100.0]),
                duty: span(&[60.0, 60.0]),
                ..FanRecord::default()
            }],
            watts: span(&[1_000.0, 1_010.0]),
            watts_source: "measured".to_owned(),
            hottest: span(&[54.0, 55.0]),
            ..Recording::default()
        };
        seen.facts.chips_expected = 110;
        seen.facts.chip = "BM1366".to_owned();
        seen.facts.mhz = 487.0;
        seen.facts.hot_c = Some(70.0);
        seen.facts.nominal_watts = Some(1_050.0);
        seen
    }

    fn level(judgement: &Judgement, name: &str) -> Level {
        let check = judgement.checks.iter().find(|check| check.name == name);
        check.unwrap().level
    }

    #[test]
    fn a_good_board_passes_everything() {
        let judgement = judge(&good());
        for check in &judgement.checks {
            assert_eq!(check.level, Level::Pass, "{check:?}");
            assert!(check.advice.is_empty(), "{check:?}");
        }
        assert_eq!(judgement.overall, Level::Pass);
    }

    #[test]
    fn one_dead_chip_of_110_is_found_and_named() {
        let mut seen = good();
        seen.chips[37].nonces = 0;
        let judgement = judge(&seen);
        assert_eq!(
            (judgement.overall, level(&judgement, "chips")),
            (Level::Fail, Level::Fail)
        );
        let dead: Vec<_> = judgement
            .chips
            .iter()
            .filter(|chip| chip.grade != Grade::Full)
            .map(|chip| (chip.index, chip.grade))
            .collect();
        assert_eq!(dead, [(37, Grade::Dead)]);
        let check = &judgement.checks[1];
        assert!(check.finding.contains("chip 37 dead"), "{}", check.finding);
        assert!(!check.advice.is_empty());
    }

    #[test]
    fn a_weak_chip_at_90_percent_is_found_once_enough_is_counted() {
        let mut seen = good();
        seen.chips[5].nonces = 3_600;
        // 4000 nonces of a chip do not prove it against the luck of 110.
        assert_eq!(judge(&seen).overall, Level::Pass);
        for chip in &mut seen.chips {
            chip.nonces *= 3;
            chip.expected *= 3.0;
        }
        let judgement = judge(&seen);
        assert_eq!(judgement.overall, Level::Warn);
        assert_eq!(judgement.chips[5].grade, Grade::Weak);
        assert!(judgement.checks[1].finding.contains("chip 5 weak (90 %"));
        // And at 70 % it is a failure.
        seen.chips[5].nonces = 8_400;
        assert_eq!(judge(&seen).chips[5].grade, Grade::Bad);
        assert_eq!(judge(&seen).overall, Level::Fail);
    }

    #[test]
    fn a_hot_sensor_is_found_and_named() {
        let mut seen = good();
        seen.sensors[1].celsius = span(&[68.0, 69.0]);
        let judgement = judge(&seen);
        assert_eq!(level(&judgement, "sensors"), Level::Warn);
        let check = judgement
            .checks
            .iter()
            .find(|check| check.name == "sensors")
            .unwrap();
        assert!(
            check
                .finding
                .contains("board outlet is 24 K hotter than board inlet"),
            "{}",
            check.finding
        );
        seen.sensors[1].celsius = span(&[80.0, 80.0]);
        assert_eq!(level(&judge(&seen), "sensors"), Level::Fail);
        // One of another kind is no comparison.
        seen.sensors[1].name = "regulator".to_owned();
        assert_eq!(level(&judge(&seen), "sensors"), Level::Pass);
    }

    #[test]
    fn each_failure_has_its_check_and_its_advice() {
        type Change = fn(&mut Recording);
        let cases: [(Change, &str, Level); 14] = [
            (|seen| seen.chips_found = 109, "enumeration", Level::Fail),
            (|seen| seen.restarts = 1, "enumeration", Level::Fail),
            (
                |seen| seen.facts.chips_expected = 108,
                "enumeration",
                Level::Warn,
            ),
            (|seen| seen.counts.nonces = 370_000, "rate", Level::Fail),
            (|seen| seen.counts.nonces = 410_000, "rate", Level::Warn),
            (
                |seen| seen.counts.wrong = 6_000,
                "hardware-errors",
                Level::Warn,
            ),
            (
                |seen| seen.counts.wrong = 20_000,
                "hardware-errors",
                Level::Fail,
            ),
            (
                |seen| seen.counts.duplicates = 4_000,
                "duplicates",
                Level::Warn,
            ),
            (|seen| seen.counts.crc_errors = 20_000, "line", Level::Fail),
            (|seen| seen.throttled_s = 3.0, "temperature", Level::Fail),
            (|seen| seen.hottest.max = 68.0, "temperature", Level::Warn),
            (|seen| seen.fans[0].slow = 1, "fans", Level::Fail),
            (|seen| seen.watts = span(&[1_400.0]), "power", Level::Warn),
            (|seen| seen.down_s = 30.0, "stability", Level::Fail),
        ];
        for (change, name, wanted) in cases {
            let mut seen = good();
            change(&mut seen);
            let judgement = judge(&seen);
            assert_eq!(level(&judgement, name), wanted, "{name}: {judgement:?}");
            let check = judgement
                .checks
                .iter()
                .find(|check| check.name == name)
                .unwrap();
            assert!(!check.advice.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_was_not_seen_is_not_passed() {
        let empty = Recording {
            error_rate: 0.01,
            tolerance: 0.95,
            ..Recording::default()
        };
        let judgement = judge(&empty);
        assert_eq!(judgement.overall, Level::Untested);
        let mut short = good();
        for chip in &mut short.chips {
            (chip.nonces, chip.expected) = (4, 4.0);
        }
        short.counts.nonces = 440;
        short.expected = 440.0;
        short.ended = Some("stopped by you".to_owned());
        let judgement = judge(&short);
        assert_eq!(level(&judgement, "chips"), Level::Untested);
        assert!(
            judgement.sentence.contains("PARTIAL"),
            "{}",
            judgement.sentence
        );
        // The profile's own figures prove nothing, and are no reason not to pass.
        let mut nameplate = good();
        nameplate.watts_source = "nameplate".to_owned();
        let judgement = judge(&nameplate);
        assert_eq!(level(&judgement, "power"), Level::Untested);
        assert_eq!(judgement.overall, Level::Pass);
    }

    #[test]
    fn an_uneven_rate_is_seen() {
        let mut seen = good();
        for slice in seen.slices.iter_mut().step_by(2) {
            slice.nonces = slice.nonces * 95 / 100;
        }
        assert_eq!(level(&judge(&seen), "stability"), Level::Warn);
    }

    /// Poisson counts of a large mean: normal, drawn from twelve uniform numbers less their mean would be too
    /// thin in the tails that matter here, so by Box and Muller.
    struct Counts2 {
        state: u64,
    }

    impl Counts2 {
        fn uniform(&mut self) -> f64 {
            // SplitMix64.
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
        }

        /// Exactly Poisson, by waiting times, in portions whose exponential does not vanish.
        fn poisson(&mut self, mean: f64) -> u64 {
            let (mut left, mut count) = (mean, 0);
            while left > 0.0 {
                let portion = left.min(500.0);
                left -= portion;
                let (floor, mut product) = ((-portion).exp(), self.uniform());
                while product > floor {
                    count += 1;
                    product *= self.uniform();
                }
            }
            count
        }
    }

    #[test]
    fn false_alarms_over_all_chips_are_as_rare_as_stated() {
        // Boards of 110 chips that all do exactly what the tolerance allows: the worst that is not weak.
        let (boards, chips, expected) = (400, 110, 300.0);
        let (error, tolerance) = (0.05, 0.95);
        let single = each(error, chips);
        // Judging by the bound is the same as by the count from which on it passes.
        let weak = |nonces: u64| poisson::upper(nonces, single) / expected < tolerance;
        let limit = (0..400).find(|nonces| !weak(*nonces)).unwrap();
        let mut draw = Counts2 { state: 11 };
        let mut alarms = |share: f64| {
            let mut board = || (0..chips).any(|_| draw.poisson(expected * share) < limit);
            (0..boards).filter(|_| board()).count()
        };
        // 5 % of 400 are 20, with a standard deviation of 4.4; counts are whole, so a little fewer.
        let at_limit = alarms(tolerance);
        assert!((5..=34).contains(&at_limit), "{at_limit}");
        assert!(alarms(1.0) <= 2);
        // And a loss of a third is hardly ever missed.
        assert_eq!(alarms(0.6), boards);
    }
}
