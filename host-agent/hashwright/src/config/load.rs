//! From a path to a checked [`Config`] or to all of its problems. What a config refers to
//! outside itself comes in through [`Environment`], so that the rest is pure.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use board_profiles::Profile;
use toml::de::DeTable;

use super::Config;
use super::reader::{Problem, Reader};
use super::tables::Tables;

/// Longest config or profile that is read, bytes.
pub(super) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the config {}: {source}; write one, or name another with --config", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file says something that cannot be.
    #[error("{}", told(.path, .problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All problems, in the order of the file.
        problems: Vec<Problem>,
    },
}

/// What a config may refer to outside itself.
pub trait Environment {
    /// The profile called `name`, if it is known without reading it.
    fn profile(&self, _name: &str) -> Option<Profile> {
        None
    }

    /// The environment variable called `name`.
    fn variable(&self, name: &str) -> Option<String>;

    /// The text of a file of at most `limit` bytes.
    ///
    /// # Errors
    /// It cannot be read, is no UTF-8, or is longer.
    fn read(&self, path: &Path, limit: u64) -> io::Result<String>;
}

/// The real thing.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Environment for System {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<String> {
        let mut text = String::new();
        // Opening a pipe would wait for somebody to write into it.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let file = std::fs::File::open(path)?;
        let read = file.take(limit + 1).read_to_string(&mut text)?;
        if read as u64 > limit {
            return Err(io::Error::other(format!("longer than {limit} bytes")));
        }
        Ok(text)
    }
}

pub(super) fn load(path: &Path, env: &dyn Environment) -> Result<Config, ConfigError> {
    let text = env
        .read(path, MAX_FILE_BYTES)
        .map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
    parse(path, &text, env)
}

pub(super) fn parse(path: &Path, text: &str, env: &dyn Environment) -> Result<Config, ConfigError> {
    let reader = Reader::new(text);
    let config = match DeTable::parse(text) {
        Ok(root) => Tables::new(&reader, path.parent(), env).config(root.get_ref()),
        Err(error) => {
            let at = error.span().map(|span| span.start);
            reader.note(at, "", error.message());
            None
        }
    };
    match (config, reader.into_problems()) {
        (Some(config), problems) if problems.is_empty() => Ok(config),
        (_, problems) => Err(ConfigError::Invalid {
            path: path.to_owned(),
            problems,
        }),
    }
}

fn told(path: &Path, problems: &[Problem]) -> String {
    let count = match problems.len() {
        1 => "one problem".to_owned(),
        n => format!("{n} problems"),
    };
    let mut text = format!("{} has {count}:", path.display());
    for problem in problems {
        text.push_str("\n  ");
        text.push_str(&problem.to_string());
    }
    text
}
