//! Files in which other programs tell a price or a surplus: looked at every few seconds, read when they were written anew.
//! What cannot be read is said once; the last good value grows old meanwhile.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rpc::tuner::Feed;

/// Longest file that is read, bytes.
const MAX_BYTES: u64 = 64 * 1024;
/// Longest text that is shown when it is no number, characters. Whoever may write the file may put a link to another one
/// in its place, which only the agent can read, and events are for everybody: so what is longer than a number is not.
const SHOWN: usize = 16;

/// What a file tells if it holds nothing but a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Price,
    Surplus,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Price => "price",
            Self::Surplus => "surplus",
        }
    }
}

/// A file.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    seen: Option<(SystemTime, u64)>,
    problem: Option<String>,
}

/// What a look has brought.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// As it was.
    Nothing,
    /// Something was told, so long ago.
    Told(Feed, Duration),
    /// Something is wrong that was not before.
    Wrong(String),
}

impl Watched {
    pub(super) fn new(path: PathBuf, kind: Kind) -> Self {
        Self {
            path,
            kind,
            seen: None,
            problem: None,
        }
    }

    /// Looks at the file, which may take as long as its disk takes.
    pub(super) fn look(&mut self) -> Found {
        let stamp = match stamp(&self.path) {
            Ok(stamp) => stamp,
            Err(error) => {
                self.seen = None;
                return self.wrong(format!("cannot be read: {error}"));
            }
        };
        if self.seen == Some(stamp) {
            return Found::Nothing;
        }
        self.seen = Some(stamp);
        let read = read(&self.path).map_err(|error| format!("cannot be read: {error}"));
        match read.and_then(|text| parse(&text, self.kind)) {
            Ok(feed) => {
                self.problem = None;
                let age = SystemTime::now().duration_since(stamp.0);
                Found::Told(feed, age.unwrap_or_default())
            }
            Err(problem) => self.wrong(problem),
        }
    }

    /// What was told cannot be taken.
    pub(super) fn wrong(&mut self, problem: String) -> Found {
        if self.problem.as_ref() == Some(&problem) {
            return Found::Nothing;
        }
        self.problem = Some(problem.clone());
        Found::Wrong(problem)
    }
}

fn stamp(path: &Path) -> io::Result<(SystemTime, u64)> {
    let found = fs::metadata(path)?;
    // Opening a pipe would wait for somebody to write into it.
    if !found.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    Ok((found.modified()?, found.len()))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("longer than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

/// Reads a number, a JSON object, or TOML.
pub(super) fn parse(text: &str, kind: Kind) -> Result<Feed, String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let shown = || match text.chars().count() {
        0..=SHOWN => format!("\"{}\"", crate::format::plain(text, SHOWN)),
        _ => "something else".to_owned(),
    };
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if let Ok(number) = text.parse::<f64>() {
        if !number.is_finite() {
            return Err(format!("says {}, which is no number", shown()));
        }
        let mut feed = Feed::default();
        match kind {
            Kind::Price => feed.price_per_kwh = Some(number),
            Kind::Surplus => feed.surplus_w = Some(number),
        }
        return Ok(feed);
    }
    let keys = "a number with a point, or JSON or TOML with price_per_kwh, revenue_per_ths_day, surplus_w, valid_s";
    let feed: Feed = if text.starts_with('{') {
        serde_json::from_str(text)
            .map_err(|error| format!("is no good JSON ({error}); expected {keys}"))?
    } else if text.contains('=') {
        toml::from_str(text)
            .map_err(|error| format!("is no good TOML ({}); expected {keys}", error.message()))?
    } else {
        return Err(format!("says {}; expected {keys}", shown()));
    };
    if feed
        == (Feed {
            valid_s: feed.valid_s,
            ..Feed::default()
        })
    {
        return Err(format!("tells nothing; expected {keys}"));
    }
    Ok(feed)
}
