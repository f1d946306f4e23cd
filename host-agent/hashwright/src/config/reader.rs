//! Reading a TOML file with all its problems at once: values are asked for by name and type,
//! what does not fit is noted with its line, and keys that nobody knows bring the nearest that
//! somebody does.

use std::cell::RefCell;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reference;

/// One thing wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line in the file, from 1; absent if something is missing.
    pub line: Option<usize>,
    /// Which key, e.g. `pool[0].url`, counted from 0; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Collects the problems of one file.
pub(super) struct Reader<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: RefCell::default(),
        }
    }

    /// All problems in the order of the file, missing things last.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        problems
    }

    pub(super) fn note(&self, at: Option<usize>, key: &str, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem {
            line: at.map(|offset| self.line(offset)),
            key: key.to_owned(),
            message: message.into(),
        });
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        before.filter(|byte| **byte == b'\n').count() + 1
    }
}

/// A table of the file, with the keys that it may have.
pub(super) struct Section<'r> {
    reader: &'r Reader<'r>,
    name: &'static str,
    path: String,
    at: Option<usize>,
    table: Option<&'r DeTable<'r>>,
}

impl<'r> Section<'r> {
    /// The table `path`, whose keys are those of the reference's section `name`; unknown keys
    /// are noted. Without a table all its keys are absent.
    pub(super) fn new(
        reader: &'r Reader<'r>,
        name: &'static str,
        path: String,
        table: Option<(Range<usize>, &'r DeTable<'r>)>,
    ) -> Self {
        let section = Self {
            reader,
            name,
            path,
            at: table.as_ref().map(|(span, _)| span.start),
            table: table.map(|(_, table)| table),
        };
        section.note_unknown();
        section
    }

    /// Notes that `message` is true of `key`.
    pub(super) fn bad(&self, key: &str, message: impl Into<String>) {
        let at = self.value(key).map(|value| value.span().start).or(self.at);
        self.reader.note(at, &self.path_of(key), message);
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    pub(super) fn text(&self, key: &str) -> Option<&'r str> {
        match self.value(key)?.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            other => self.wrong_type(key, "text in quotes", other),
        }
    }

    /// Whether there is exactly this text.
    pub(super) fn is_text(&self, key: &str, text: &str) -> bool {
        self.value(key)
            .is_some_and(|value| value.get_ref().as_str() == Some(text))
    }

    /// A text that must be there.
    pub(super) fn required(&self, key: &str) -> Option<&'r str> {
        if !self.has(key) {
            let example = reference::example(self.name, key);
            self.bad(key, format!("is missing; for instance {key} = {example}"));
        }
        self.text(key)
    }

    /// A text that must parse.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&self, key: &str) -> Option<T> {
        let text = self.text(key)?;
        text.parse()
            .map_err(|error| self.bad(key, format!("{error}")))
            .ok()
    }

    pub(super) fn boolean(&self, key: &str) -> Option<bool> {
        match self.value(key)?.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => self.wrong_type(key, "true or false", other),
        }
    }

    /// A number within `range`; integers are numbers too.
    pub(super) fn number(&self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let number: Option<f64> = match self.value(key)?.get_ref() {
            DeValue::Integer(integer) => decimal(integer.to_string()),
            DeValue::Float(float) => decimal(float.to_string()),
            other => return self.wrong_type(key, "a number", other),
        };
        let found = number.filter(|number| range.contains(number));
        if found.is_none() {
            let (low, high) = (range.start(), range.end());
            self.bad(key, format!("must be a number from {low} to {high}"));
        }
        found
    }

    /// A whole number within `range`.
    pub(super) fn integer(&self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let DeValue::Integer(integer) = self.value(key)?.get_ref() else {
            let other = self.value(key)?.get_ref();
            return self.wrong_type(key, "a whole number", other);
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let found = number.filter(|number| range.contains(number));
        if found.is_none() {
            let (low, high) = (range.start(), range.end());
            self.bad(key, format!("must be a whole number from {low} to {high}"));
        }
        found
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str) -> Option<Vec<&'r str>> {
        let expected = "a list of texts in quotes";
        let DeValue::Array(list) = self.value(key)?.get_ref() else {
            let other = self.value(key)?.get_ref();
            return self.wrong_type(key, expected, other);
        };
        let mut texts = Vec::new();
        for item in list.iter() {
            match item.get_ref() {
                DeValue::String(text) => texts.push(text.as_ref()),
                other => return self.wrong_type(key, expected, other),
            }
        }
        Some(texts)
    }

    /// The table under `key`, with the keys of the reference's section `name`.
    pub(super) fn table(&self, key: &str, name: &'static str) -> Option<Section<'r>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => {
                let found = Some((value.span(), table));
                Some(Section::new(self.reader, name, self.path_of(key), found))
            }
            other => self.wrong_type(key, "a table", other),
        }
    }

    /// The tables of the list under `key`, i.e. the `[[key]]` of the file.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'r>> {
        self.tables_of(key, key)
    }

    /// The tables of the list under `key`, with the keys of the reference's section `name`.
    pub(super) fn tables_of(&self, key: &str, name: &'static str) -> Vec<Section<'r>> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let path = self.path_of(key);
        let note = |at: Range<usize>| {
            let message = format!("write [[{path}]] with two brackets, once for each {key}");
            self.reader.note(Some(at.start), &path, message);
        };
        let list = match value.get_ref() {
            DeValue::Array(list) => list,
            DeValue::Table(_) => {
                note(value.span());
                return Vec::new();
            }
            other => {
                let nothing = self.wrong_type(key, "a list of tables", other);
                return nothing.unwrap_or_default();
            }
        };
        let mut sections = Vec::new();
        for (index, item) in list.iter().enumerate() {
            match item.get_ref() {
                DeValue::Table(table) => sections.push(Section::new(
                    self.reader,
                    name,
                    format!("{path}[{index}]"),
                    Some((item.span(), table)),
                )),
                _ => note(item.span()),
            }
        }
        sections
    }

    /// The table under `key`, or one without keys if there is none.
    pub(super) fn table_or_empty(&self, key: &'static str) -> Section<'r> {
        self.table(key, key)
            .unwrap_or_else(|| Section::new(self.reader, key, key.to_owned(), None))
    }

    /// Whether the value under `key` is a table.
    pub(super) fn is_table(&self, key: &str) -> bool {
        self.value(key)
            .is_some_and(|value| value.get_ref().is_table())
    }

    fn value(&self, key: &str) -> Option<&'r Spanned<DeValue<'r>>> {
        let (_, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(value)
    }

    fn path_of(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (_, true) => self.path.clone(),
            (true, false) => key.to_owned(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    fn wrong_type<T>(&self, key: &str, expected: &str, found: &DeValue<'_>) -> Option<T> {
        let found = match found {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.bad(key, format!("must be {expected}, not {found}"));
        None
    }

    fn note_unknown(&self) {
        let known: Vec<&str> = reference::keys_of(self.name).collect();
        for (key, _) in self.table.into_iter().flatten() {
            let word: &str = key.get_ref();
            if known.contains(&word) {
                continue;
            }
            let path = self.path_of(word);
            let planned = reference::PLANNED.iter().find(|(name, _)| *name == word);
            if let Some((_, purpose)) = planned.filter(|_| self.name.is_empty()) {
                let message = format!("{purpose} is not in this version yet; leave [{word}] out");
                self.reader.note(Some(key.span().start), &path, message);
                continue;
            }
            let message = match board_profiles::nearest(word, known.iter().copied()) {
                Some(near) => format!("unknown key; did you mean `{near}`?"),
                None => match reference::home_of(word) {
                    Some(home) => format!("unknown key here; `{word}` belongs to {home}"),
                    None => format!("unknown key; known here: {}", known.join(", ")),
                },
            };
            self.reader.note(Some(key.span().start), &path, message);
        }
    }
}

fn decimal(text: String) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
