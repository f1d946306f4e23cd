//! The samples of a family as lines. What stands in them is the same in both formats.

use std::collections::HashSet;
use std::fmt::Write;

use super::counters::Counters;
use super::{Family, Kind};

/// Longest value of a label, characters.
const MAX_LABEL: usize = 200;

/// Takes the samples of one family.
#[derive(Debug)]
pub(super) struct Samples<'c> {
    family: &'static Family,
    name: String,
    counters: &'c mut Counters,
    seen: HashSet<String>,
    lines: String,
}

impl<'c> Samples<'c> {
    pub(super) fn new(family: &'static Family, counters: &'c mut Counters) -> Self {
        Self {
            family,
            name: family.sample_name(),
            counters,
            seen: HashSet::new(),
            lines: String::new(),
        }
    }

    /// Adds a sample with these values of the labels, unless the value is not a number that can be
    /// told. Of several with the same labels only the first counts: a reader would refuse the whole
    /// page.
    pub(super) fn add(&mut self, labels: &[&str], value: impl Into<f64>) {
        let value = value.into();
        if !value.is_finite() {
            return;
        }
        let mut series = self.name.clone();
        for (index, (name, value)) in self.family.labels.iter().zip(labels).enumerate() {
            series.push(if index == 0 { '{' } else { ',' });
            series.push_str(name);
            series.push_str("=\"");
            escape(value, &mut series);
            series.push('"');
        }
        if !self.family.labels.is_empty() {
            series.push('}');
        }
        if self.seen.contains(&series) {
            return;
        }
        let told = match self.family.kind {
            Kind::Counter => self.counters.told(&series, value),
            Kind::Gauge | Kind::Info | Kind::Summary => value,
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.lines, "{series} {told}");
        self.seen.insert(series);
    }

    /// Adds a sample if there is a value.
    pub(super) fn maybe(&mut self, labels: &[&str], value: Option<f64>) {
        if let Some(value) = value {
            self.add(labels, value);
        }
    }

    /// Adds a sample for each of the `known` states, with 1 for the one that is; it is told even if it is
    /// none of them. The state is the last label.
    pub(super) fn states(&mut self, labels: &[&str], known: &[&str], now: &str) {
        for state in known.iter().copied().chain([now]) {
            let labels: Vec<_> = labels.iter().copied().chain([state]).collect();
            self.add(&labels, u8::from(state == now));
        }
    }

    /// Adds a count.
    pub(super) fn count(&mut self, labels: &[&str], value: u64) {
        // Exact up to 2^53.
        self.add(labels, value as f64);
    }

    pub(super) fn into_lines(self) -> String {
        self.lines
    }
}

/// Backslashes, quotes and ends of lines as both formats want them. Other control characters have no
/// escape; some readers take a NUL for the end of the page.
fn escape(value: &str, to: &mut String) {
    for c in value.chars().take(MAX_LABEL) {
        match c {
            '\\' => to.push_str("\\\\"),
            '"' => to.push_str("\\\""),
            '\n' => to.push_str("\\n"),
            c if c.is_control() => to.push(char::REPLACEMENT_CHARACTER),
            c => to.push(c),
        }
    }
}
