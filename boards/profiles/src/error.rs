//! What can be wrong with a profile, told so that whoever wrote the file can mend it.

use std::fmt;
use std::path::PathBuf;

/// Why a profile could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No built-in profile has this name.
    #[error("no board profile is named `{name}`{}; known profiles: {}; a path to a file must contain `/` or end in .toml",
        did_you_mean(.suggestion.as_deref()), .known.join(", "))]
    UnknownName {
        /// The name asked for.
        name: String,
        /// The nearest known name, if one is near.
        suggestion: Option<String>,
        /// All known names.
        known: Vec<&'static str>,
    },
    /// The file could not be read.
    #[error("cannot read board profile {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a profile: not TOML, or with a missing key or a value of another type.
    #[error("{file}, line {line}: {message}")]
    Syntax {
        /// File name.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A key that profiles do not have.
    #[error("{file}, line {line}: unknown key `{key}`{}", did_you_mean(.suggestion.as_deref()))]
    UnknownKey {
        /// File name.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The unknown key.
        key: String,
        /// The nearest key known at this place, if one is near.
        suggestion: Option<String>,
    },
    /// Values that cannot be right.
    #[error("{}", lines(.file, .problems))]
    Invalid {
        /// File name.
        file: String,
        /// Everything that was found, at least one.
        problems: Vec<Problem>,
    },
}

/// One value that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which value, e.g. `frequency.max_mhz`.
    pub field: String,
    /// The value as found.
    pub value: String,
    /// The bound that it breaks and what to do.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: {}", self.field, self.value, self.reason)
    }
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

fn lines(file: &str, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(|p| format!("{file}: {p}")).collect();
    lines.join("\n")
}
