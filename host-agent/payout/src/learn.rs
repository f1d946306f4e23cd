//! Learning what is normal at a pool, so that only a change of what was constant is told.
//!
//! Some pools pay one address for years, some another one in each block, some every miner in the
//! coinbase; some write a fixed tag and some a serial number into it. Nothing of that is known
//! beforehand, so the first jobs of several blocks are taken as samples, and what they have in
//! common is what is watched.

use std::collections::BTreeMap;

use crate::tag::{SHORTEST, Tag};

/// Jobs that are looked at before something counts as normal.
const JOBS: u32 = 4;

/// Different blocks that these must belong to: pools that change receivers do so with the block.
const BLOCKS: u32 = 3;

/// How far learning has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lesson {
    jobs: u32,
    blocks: u32,
    previous: Option<[u8; 32]>,
}

impl Lesson {
    pub(crate) fn sample(&mut self, prev_hash: &[u8; 32]) {
        self.jobs = self.jobs.saturating_add(1);
        if self.previous.as_ref() != Some(prev_hash) {
            self.blocks = self.blocks.saturating_add(1);
            self.previous = Some(*prev_hash);
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.jobs >= JOBS && self.blocks >= BLOCKS
    }

    pub(crate) fn is_first(&self) -> bool {
        self.jobs == 0
    }
}

/// Parts of the reward by script, in percent.
pub(crate) type Parts = BTreeMap<Vec<u8>, f64>;

/// Receivers below this part of the reward are not watched, percent: pools that pay many miners in
/// the coinbase change those all the time.
const SMALLEST: f64 = 5.0;

/// A receiver whose part falls below this fraction of what it was counts as gone.
const GONE: f64 = 0.25;

/// Together the constant receivers may lose this much before it is told, percent points.
const SHIFT: f64 = 10.0;

/// Who is paid at a pool, the owner apart.
#[derive(Debug, Default)]
pub(crate) struct Receivers {
    lesson: Lesson,
    /// Receivers that all samples have in common, with their smallest part, while learning; the
    /// constant ones from then on.
    common: Parts,
    /// Smallest part of all of them together.
    together: f64,
    known: bool,
    /// What was known before the last change, and how much of it there was together.
    before: Option<(Parts, f64)>,
    /// How often those of before came back since the last full lesson.
    returns: u8,
}

/// A pool that goes to and fro more often has no constant receivers.
const RETURNS: u8 = 3;

/// How a job's receivers compare to what is known.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    /// These were always paid and are no more, with the part that they had.
    Gone(Parts),
    /// All are paid, but together they get so much less: before, now.
    Shifted(f64, f64),
    /// Those of before the last change are paid again.
    Back(Parts),
}

impl Receivers {
    /// Compares a job's receivers to what is known, and learns.
    pub(crate) fn see(&mut self, prev_hash: &[u8; 32], parts: &Parts) -> Option<Change> {
        if self.known {
            let change = compare(&self.common, self.together, parts)?;
            let before = (std::mem::take(&mut self.common), self.together);
            self.before = (self.returns < RETURNS).then_some(before);
            self.start_over(prev_hash, parts);
            return Some(change);
        }
        if self.lesson.is_first() {
            self.start_over(prev_hash, parts);
            return None;
        }
        let returned =
            |(before, together): &mut (Parts, f64)| compare(before, *together, parts).is_none();
        if let Some((before, together)) = self.before.take_if(returned) {
            self.returns += 1;
            self.common.clone_from(&before);
            self.together = together;
            self.known = true;
            return Some(Change::Back(before));
        }
        self.lesson.sample(prev_hash);
        self.common.retain(|script, least| {
            let part = parts.get(script).copied().unwrap_or(0.0);
            *least = least.min(part);
            part >= SMALLEST
        });
        self.together = self.together.min(sum(&self.common, parts));
        if self.lesson.is_over() {
            self.before = None;
            self.returns = 0;
            // If nothing is constant here, perhaps it will be.
            self.known = !self.common.is_empty();
            self.lesson = Lesson::default();
        }
        None
    }

    fn start_over(&mut self, prev_hash: &[u8; 32], parts: &Parts) {
        self.known = false;
        self.lesson = Lesson::default();
        self.lesson.sample(prev_hash);
        self.common = parts
            .iter()
            .filter(|(_, part)| **part >= SMALLEST)
            .map(|(script, part)| (script.clone(), *part))
            .collect();
        self.together = self.common.values().sum();
    }
}

/// What of the constant receivers, who had so much together, is different in a job.
fn compare(common: &Parts, together: f64, parts: &Parts) -> Option<Change> {
    let gone: Parts = common
        .iter()
        .filter(|(script, least)| parts.get(*script).copied().unwrap_or(0.0) < GONE * **least)
        .map(|(script, least)| (script.clone(), *least))
        .collect();
    if !gone.is_empty() {
        return Some(Change::Gone(gone));
    }
    let now = sum(common, parts);
    (now < together - SHIFT).then_some(Change::Shifted(together, now))
}

fn sum(common: &Parts, parts: &Parts) -> f64 {
    common.keys().filter_map(|script| parts.get(script)).sum()
}

/// What a pool writes about itself.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    lesson: Lesson,
    /// Texts that all samples have in common.
    texts: Vec<String>,
    pool: Option<&'static str>,
    known: bool,
}

/// How a job's tag compares to what is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Another pool's mark, or none where there was one: before, now.
    Pool(Option<&'static str>, Option<&'static str>),
    /// The constant texts are gone: these were there.
    Text(Vec<String>),
}

impl Identity {
    /// Compares a job's tag to what is known, and learns.
    pub(crate) fn see(&mut self, prev_hash: &[u8; 32], tag: &Tag) -> Option<Sign> {
        if self.known {
            let left = common(&self.texts, &tag.texts);
            let all_gone = left.is_empty() && !self.texts.is_empty();
            let sign = if self.pool != tag.pool && (tag.pool.is_some() || all_gone) {
                Some(Sign::Pool(self.pool, tag.pool))
            } else if all_gone {
                Some(Sign::Text(std::mem::take(&mut self.texts)))
            } else {
                None
            };
            match sign {
                Some(_) => self.start_over(prev_hash, tag),
                None => self.texts = left,
            }
            return sign;
        }
        if self.lesson.is_first() {
            self.start_over(prev_hash, tag);
            return None;
        }
        self.lesson.sample(prev_hash);
        self.texts = common(&self.texts, &tag.texts);
        if self.pool != tag.pool {
            self.pool = None;
        }
        self.known = self.lesson.is_over();
        None
    }

    fn start_over(&mut self, prev_hash: &[u8; 32], tag: &Tag) {
        self.known = false;
        self.lesson = Lesson::default();
        self.lesson.sample(prev_hash);
        self.texts.clone_from(&tag.texts);
        self.pool = tag.pool;
    }
}

/// What is left of the known texts: of each, its longest part that a text of the job contains, if
/// that is at least half of it. Serial numbers and counters beside a tag fall away like this.
fn common(known: &[String], now: &[String]) -> Vec<String> {
    known
        .iter()
        .filter_map(|text| {
            let longest = now
                .iter()
                .map(|other| longest_common(text, other))
                .max_by_key(|part| part.len())?;
            let enough = longest.len() >= SHORTEST && 2 * longest.len() >= text.len();
            enough.then(|| longest.to_owned())
        })
        .collect()
}

/// The longest stretch of `a` that `b` contains. Both are at most a few hundred bytes long.
fn longest_common<'a>(a: &'a str, b: &str) -> &'a str {
    // The usual case, and each job passes here before it is worked on.
    if b.contains(a) {
        return a;
    }
    let mut best = "";
    for (start, _) in a.char_indices() {
        for (end, letter) in a[start..].char_indices() {
            let part = &a[start..start + end + letter.len_utf8()];
            if !b.contains(part) {
                break;
            }
            if part.len() > best.len() {
                best = part;
            }
        }
    }
    best
}
