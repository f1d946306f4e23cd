//! The settings in force as one value, and all of them as a list with paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path as FilePath;
use std::sync::Arc;

use rpc::settings::{Change, Setting};
use rpc::{Error, Role};
use serde_json::Value as Json;
use toml_edit::DocumentMut;

use super::doc::{self, Path};
use super::limits;
use crate::config::reference::{Key, SECTIONS, Section};
use crate::config::{Config, ConfigError, Cooling, CoolingMode, Environment};

/// What stands for a secret.
pub(crate) const SECRET: &str = "***";

/// Everything that can be different.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// The config as it is meant to be. What is only read at the start may be ahead of what runs.
    pub(crate) doc: DocumentMut,
    /// The same, checked.
    pub(crate) config: Arc<Config>,
    /// Stations that are cooled otherwise than `[cooling]` says.
    pub(crate) cooling: Vec<Option<Cooling>>,
    /// A person has paused mining.
    pub(crate) paused: bool,
    /// Clocks that people gave to chips, MHz, by board and place in its chain.
    pub(crate) chips: BTreeMap<usize, BTreeMap<usize, f64>>,
    /// A rule lets all boards rest, and why. It is nobody's wish, so no change has it in it.
    pub(crate) resting: Option<String>,
}

/// What does not change while the agent runs.
pub(crate) struct Ground<'g> {
    /// Where the config stands, or would.
    pub(crate) path: &'g FilePath,
    /// What it refers to.
    pub(crate) env: &'g dyn Environment,
    /// The stations.
    pub(crate) stations: &'g [Station],
    /// The document that the agent started with.
    pub(crate) base: &'g DocumentMut,
    /// Whether that is a file.
    pub(crate) has_file: bool,
}

/// A station, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Station {
    /// Its boards, by position in the config.
    pub(crate) boards: Vec<usize>,
    /// Whether it has fans.
    pub(crate) fans: bool,
}

/// What a change is about. What is about the same waits for each other's confirmation, and is saved together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// All pools and how they share the work.
    Pools,
    /// How boards are cooled.
    Cooling,
    /// What a board runs at.
    Board(usize),
    /// Something that is only read at the start.
    Start(Path),
    /// Whether boards mine at all.
    Paused,
    /// What the miner is tuned for.
    Tuner,
    /// Clocks of single chips of a board.
    Chips(usize),
}

/// Keys of `[tuner]` that can be changed while it runs.
pub(crate) const LIVE_TUNER: [&str; 6] = [
    "target",
    "max_chip_c",
    "max_board_c",
    "max_fan_percent",
    "max_watts",
    "max_mv",
];

/// Keys of `[[board]]` that can be changed while it runs.
pub(crate) const LIVE_BOARD: [&str; 3] = ["frequency_mhz", "voltage_mv", "enabled"];

impl Subject {
    /// What a path is about.
    pub(crate) fn of(path: &Path) -> Self {
        match (path.table.as_str(), path.index) {
            ("pool" | "upstream", _) => Self::Pools,
            ("cooling", None) => Self::Cooling,
            ("board", Some(index)) if path.keys.len() == 1 && is_live_key(&path.keys[0]) => {
                Self::Board(index)
            }
            ("tuner", None) if LIVE_TUNER.contains(&path.keys[0].as_str()) => Self::Tuner,
            _ => Self::Start(path.clone()),
        }
    }

    /// Who may change it.
    pub(crate) fn role(&self) -> Role {
        match self {
            Self::Pools | Self::Start(_) => Role::Admin,
            Self::Cooling | Self::Paused => Role::Operate,
            Self::Board(_) | Self::Tuner | Self::Chips(_) => Role::Tune,
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pools => f.write_str("the pools"),
            Self::Cooling => f.write_str("the cooling"),
            Self::Board(index) => write!(f, "board {index}"),
            Self::Start(path) => write!(f, "{path}"),
            Self::Paused => f.write_str("whether the miner is paused"),
            Self::Tuner => f.write_str("the tuner's aim"),
            Self::Chips(index) => write!(f, "the chips of board {index}"),
        }
    }
}

fn is_live_key(key: &str) -> bool {
    LIVE_BOARD.contains(&key)
}

/// Takes what a subject is about from one document over into another.
pub(crate) fn copy(subject: &Subject, from: &DocumentMut, to: &mut DocumentMut) {
    let mut whole = |table: &str| match from.get(table) {
        Some(item) => drop(to.insert(table, item.clone())),
        None => drop(to.remove(table)),
    };
    match subject {
        Subject::Pools => {
            whole("upstream");
            whole("pool");
        }
        Subject::Cooling => whole("cooling"),
        Subject::Board(index) => {
            for key in LIVE_BOARD {
                let path = Path::of("board", *index, key);
                // Both documents have the same boards.
                let _ = doc::set(to, &path, doc::get(from, &path).as_ref());
            }
        }
        Subject::Start(path) => {
            let _ = doc::set(to, path, doc::get(from, path).as_ref());
        }
        Subject::Tuner => {
            for key in LIVE_TUNER {
                let path = Path::new("tuner", key);
                let value = doc::get(from, &path);
                // What is the same stays as people wrote it.
                if value != doc::get(to, &path) {
                    let _ = doc::set(to, &path, value.as_ref());
                }
            }
        }
        Subject::Paused | Subject::Chips(_) => {}
    }
}

impl Tree {
    /// The settings that a document says.
    pub(crate) fn new(ground: &Ground<'_>, doc: DocumentMut) -> Result<Self, Error> {
        Ok(Self {
            config: Arc::new(check(ground, &doc)?),
            cooling: vec![None; ground.stations.len()],
            doc,
            paused: false,
            chips: BTreeMap::new(),
            resting: None,
        })
    }

    /// Neither a person nor a rule lets all boards rest.
    pub(crate) fn is_awake(&self) -> bool {
        !self.paused && self.resting.is_none()
    }

    /// How a station is cooled, unless it has no fans.
    pub(crate) fn cooling_of(&self, station: usize) -> Cooling {
        let own = self.cooling.get(station).copied().flatten();
        own.unwrap_or(self.config.cooling)
    }

    /// Checks the document anew after it was edited.
    pub(crate) fn checked(mut self, ground: &Ground<'_>) -> Result<Self, Error> {
        self.config = Arc::new(check(ground, &self.doc)?);
        if self.config.boards.len() != ground.base.get("board").map_or(0, count) {
            return Err(Error::denied(
                "boards cannot be added or taken away while the agent runs",
            ));
        }
        Ok(self)
    }

    /// These subjects as they are in another tree.
    pub(crate) fn with(&self, subjects: &BTreeSet<Subject>, other: &Self) -> Self {
        let mut tree = self.clone();
        for subject in subjects {
            copy(subject, &other.doc, &mut tree.doc);
            match subject {
                Subject::Paused => tree.paused = other.paused,
                Subject::Cooling => tree.cooling.clone_from(&other.cooling),
                Subject::Chips(board) => match other.chips.get(board) {
                    Some(own) => drop(tree.chips.insert(*board, own.clone())),
                    None => drop(tree.chips.remove(board)),
                },
                _ => {}
            }
        }
        tree
    }

    /// All settings, as people may see them.
    pub(crate) fn settings(&self, ground: &Ground<'_>) -> Vec<Setting> {
        let entries = self.entries(ground).into_iter();
        entries
            .map(|entry| Setting {
                path: entry.path,
                value: if entry.secret {
                    Json::Null
                } else {
                    entry.value
                },
                secret: entry.secret,
                origin: entry.origin.to_owned(),
            })
            .collect()
    }

    /// What is different in another tree.
    pub(crate) fn changes(&self, other: &Self, ground: &Ground<'_>) -> Vec<Change> {
        let (before, after) = (self.entries(ground), other.entries(ground));
        let value = |entries: &[Entry], path: &str| {
            let entry = entries.iter().find(|entry| entry.path == path);
            entry.map_or(Json::Null, |entry| entry.value.clone())
        };
        let gone = before
            .iter()
            .filter(|old| !after.iter().any(|new| new.path == old.path));
        let all = after.iter().chain(gone);
        all.filter_map(|entry| {
            let (from, to) = (value(&before, &entry.path), value(&after, &entry.path));
            let shown = |value: Json| match value {
                Json::Null => Json::Null,
                _ if entry.secret => SECRET.into(),
                value => value,
            };
            // Of a table that comes or goes only what is said in it is worth a word.
            let both = before.iter().any(|old| old.path == entry.path)
                && after.iter().any(|new| new.path == entry.path);
            (from != to && (both || entry.said)).then(|| Change {
                path: entry.path.clone(),
                from: shown(from),
                to: shown(to),
            })
        })
        .collect()
    }

    fn entries(&self, ground: &Ground<'_>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for section in SECTIONS
            .iter()
            .filter(|section| !section.name.contains('.'))
        {
            for (index, key) in rows(section, &self.doc) {
                let path = Path {
                    table: section.name.to_owned(),
                    index,
                    keys: vec![key.name.to_owned()],
                };
                entries.push(self.entry(ground, &path, key));
            }
        }
        for (index, own) in self.cooling.iter().enumerate() {
            let Some(own) = own else { continue };
            let mut put = |key: &str, value: Json| {
                entries.push(Entry {
                    said: true,
                    path: format!("station[{index}].cooling.{key}"),
                    value,
                    secret: false,
                    origin: "changed",
                });
            };
            put("mode", mode_word(own.mode).into());
            if let CoolingMode::Manual(percent) = own.mode {
                put("manual_percent", percent.into());
            }
            put("target_c", own.target_c.map_or(Json::Null, doc::number));
        }
        for (board, own) in &self.chips {
            entries.extend(own.iter().map(|(chip, mhz)| Entry {
                said: true,
                path: chip_path(*board, *chip),
                value: doc::number(*mhz),
                secret: false,
                origin: "changed",
            }));
        }
        entries.push(Entry {
            said: true,
            path: "miner.paused".to_owned(),
            value: self.paused.into(),
            secret: false,
            origin: if self.paused { "changed" } else { "default" },
        });
        entries
    }

    fn entry(&self, ground: &Ground<'_>, path: &Path, key: &Key) -> Entry {
        let (own, base) = (doc::get(&self.doc, path), doc::get(ground.base, path));
        let said = own.is_some();
        let origin = match (&own, &base) {
            (own, base) if own != base => "changed",
            (Some(_), _) if ground.has_file => "file",
            _ => "default",
        };
        let of_profile = || {
            let board = self.config.boards.get(path.index?)?;
            match (path.table.as_str(), key.name) {
                ("board", "frequency_mhz") => Some(doc::number(board.target_mhz())),
                ("board", "voltage_mv") => Some(Json::from(board.target_mv())),
                _ => None,
            }
        };
        let (value, origin) = match (own, of_profile()) {
            (Some(value), _) => (value, origin),
            (None, Some(value)) if origin == "default" => (value, "profile"),
            (None, Some(value)) => (value, origin),
            (None, None) => (limits::default(key), origin),
        };
        Entry {
            said,
            path: path.to_string(),
            secret: limits::is_secret(&path.table, key.name),
            value,
            origin,
        }
    }
}

/// How the clock of a chip is called in a list of changes.
pub(crate) fn chip_path(board: usize, chip: usize) -> String {
    format!("board[{board}].chip[{chip}].frequency_mhz")
}

/// The board of such a path.
pub(crate) fn board_of_chip(path: &str) -> Option<usize> {
    let (board, _) = path.strip_prefix("board[")?.split_once("].chip[")?;
    board.parse().ok()
}

/// The keys of a section for each table of the document that has them, and for one that is not there.
pub(crate) fn rows<'s>(
    section: &'s Section,
    doc: &DocumentMut,
) -> impl Iterator<Item = (Option<usize>, &'s Key)> + use<'s> {
    let indices: Vec<_> = if section.heading.starts_with("[[") {
        let tables = doc.get(section.name).map_or(0, count);
        (0..tables).map(Some).collect()
    } else {
        vec![None]
    };
    let keys = section.keys.iter();
    indices
        .into_iter()
        .flat_map(move |index| keys.clone().map(move |key| (index, key)))
}

/// How many tables a list has.
pub(crate) fn count(item: &toml_edit::Item) -> usize {
    let tables = item.as_array_of_tables().map(toml_edit::ArrayOfTables::len);
    tables
        .or_else(|| item.as_array().map(toml_edit::Array::len))
        .unwrap_or(0)
}

pub(crate) fn mode_word(mode: CoolingMode) -> &'static str {
    match mode {
        CoolingMode::Auto => "auto",
        CoolingMode::Manual(_) => "manual",
        CoolingMode::Immersion => "immersion",
    }
}

struct Entry {
    path: String,
    /// Rather than left to the default.
    said: bool,
    value: Json,
    secret: bool,
    origin: &'static str,
}

/// The config that a document says.
fn check(ground: &Ground<'_>, doc: &DocumentMut) -> Result<Config, Error> {
    match Config::parse(ground.path, &doc.to_string(), ground.env) {
        Ok(config) => Ok(config),
        Err(ConfigError::Invalid { problems, .. }) => {
            let texts: Vec<_> = problems
                .iter()
                .map(|problem| match problem.key.as_str() {
                    "" => problem.message.clone(),
                    key => format!("{key}: {}", problem.message),
                })
                .collect();
            Err(Error::invalid_params(texts.join("; ")))
        }
        Err(error @ ConfigError::Read { .. }) => Err(Error::internal(error.to_string())),
    }
}
