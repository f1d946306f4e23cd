//! The config as a document that people wrote: values are read and changed by path, and everything
//! else, comments and order included, stays as it was. Nothing here knows what a value means.

use std::fmt;

use serde_json::{Map, Value as Json};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

use crate::config::reference::Key;

/// Longest path that is looked at, characters.
const LONGEST: usize = 120;

/// Where a value stands, e.g. `pool[1].url`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    /// The table.
    pub(crate) table: String,
    /// Which of several of the same name.
    pub(crate) index: Option<usize>,
    /// The key, and keys of tables in it.
    pub(crate) keys: Vec<String>,
}

/// A text that is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no path of a setting; they look like cooling.mode and pool[1].url")]
pub(crate) struct NoPath(String);

/// Why a value cannot be put somewhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EditError {
    /// There is no such table in the list.
    #[error("there is no {table}[{index}]; the list has {len}, counted from 0")]
    NoIndex {
        /// The list.
        table: String,
        /// What was asked for.
        index: usize,
        /// How many there are.
        len: usize,
    },
    /// A list without saying which.
    #[error("{0} is a list; say which, e.g. {0}[0]")]
    IsList(String),
    /// An index for what is no list.
    #[error("{0} is no list")]
    NoList(String),
    /// TOML has no such value.
    #[error("{0}: null cannot stand within a value")]
    Null(String),
}

impl Path {
    /// A key of a table.
    pub(crate) fn new(table: &str, key: &str) -> Self {
        Self {
            table: table.to_owned(),
            index: None,
            keys: vec![key.to_owned()],
        }
    }

    /// A key of one of several tables.
    pub(crate) fn of(table: &str, index: usize, key: &str) -> Self {
        Self {
            index: Some(index),
            ..Self::new(table, key)
        }
    }

    /// Reads a path.
    pub(crate) fn parse(text: &str) -> Result<Self, NoPath> {
        let bad = || {
            NoPath(
                text.chars()
                    .take(LONGEST)
                    .filter(|c| !c.is_control())
                    .collect(),
            )
        };
        if text.len() > LONGEST {
            return Err(bad());
        }
        let (table, keys) = text.split_once('.').ok_or_else(bad)?;
        let (table, index) = match table.split_once('[') {
            None => (table, None),
            Some((table, rest)) => {
                let index = rest.strip_suffix(']').and_then(|index| index.parse().ok());
                (table, Some(index.ok_or_else(bad)?))
            }
        };
        let word = |word: &str| {
            let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            !word.is_empty() && word.chars().all(good)
        };
        let keys: Vec<_> = keys.split('.').map(str::to_owned).collect();
        if !word(table) || !keys.iter().all(|key| word(key)) || keys.len() > 2 {
            return Err(bad());
        }
        Ok(Self {
            table: table.to_owned(),
            index,
            keys,
        })
    }

    /// The name of the setting without the index, e.g. `pool.url`.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.table, self.keys.join("."))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table)?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        self.keys.iter().try_for_each(|key| write!(f, ".{key}"))
    }
}

/// The value at a path, if there is one.
pub(crate) fn get(doc: &DocumentMut, path: &Path) -> Option<Json> {
    let mut item = doc.get(&path.table)?;
    if let Some(index) = path.index {
        item = item.get(index)?;
    }
    for key in &path.keys {
        item = item.get(key)?;
    }
    json(item)
}

/// Puts a value at a path; none takes it away, so that the default counts.
pub(crate) fn set(
    doc: &mut DocumentMut,
    path: &Path,
    value: Option<&Json>,
) -> Result<(), EditError> {
    let value = match value {
        None => None,
        Some(value) => Some(toml(value).ok_or_else(|| EditError::Null(path.to_string()))?),
    };
    let table = match path.index {
        Some(index) => {
            let list = list(doc, &path.table)?;
            let len = list.len();
            list.get_mut(index).ok_or_else(|| EditError::NoIndex {
                table: path.table.clone(),
                index,
                len,
            })?
        }
        None => {
            if value.is_none() && !doc.contains_key(&path.table) {
                return Ok(());
            }
            own_table(doc, &path.table)?
        }
    };
    put(table, &path.keys, value);
    Ok(())
}

fn own_table<'d>(doc: &'d mut DocumentMut, name: &str) -> Result<&'d mut Table, EditError> {
    let item = doc.entry(name).or_insert_with(|| Item::Table(Table::new()));
    if item.is_array_of_tables() || item.is_array() {
        return Err(EditError::IsList(name.to_owned()));
    }
    if !item.is_table() {
        // A table on one line, or something that the check of the config will not like.
        let made = std::mem::take(item).into_table().unwrap_or_default();
        *item = Item::Table(made);
    }
    item.as_table_mut()
        .ok_or_else(|| EditError::IsList(name.to_owned()))
}

/// The list of tables of this name.
pub(crate) fn list<'d>(
    doc: &'d mut DocumentMut,
    name: &str,
) -> Result<&'d mut ArrayOfTables, EditError> {
    let no_list = || EditError::NoList(name.to_owned());
    let item = doc.get_mut(name).ok_or_else(no_list)?;
    if item.is_array() {
        let made = std::mem::take(item).into_array_of_tables();
        *item = Item::ArrayOfTables(made.map_err(|_| no_list())?);
    }
    item.as_array_of_tables_mut().ok_or_else(no_list)
}

fn put(table: &mut Table, keys: &[String], value: Option<Value>) {
    match keys {
        [] => {}
        [key] => match value {
            None => drop(table.remove(key)),
            Some(mut value) => match table.get_mut(key) {
                Some(old) => {
                    if let Some(old) = old.as_value() {
                        // The comment behind it stays.
                        *value.decor_mut() = old.decor().clone();
                    }
                    *old = Item::Value(value);
                }
                None => drop(table.insert(key, Item::Value(value))),
            },
        },
        [key, rest @ ..] => {
            if value.is_none() && !table.contains_key(key) {
                return;
            }
            let inner = table
                .entry(key)
                .or_insert_with(|| Item::Value(Value::InlineTable(InlineTable::new())));
            if let Some(inner) = inner.as_table_mut() {
                put(inner, rest, value);
            } else if let (Some(inner), [key]) = (inner.as_inline_table_mut(), rest) {
                match value {
                    None => drop(inner.remove(key)),
                    Some(value) => drop(inner.insert(key, value)),
                }
            }
        }
    }
}

/// A table with these values; `order` has the keys in the order in which people write them.
pub(crate) fn table(values: &Map<String, Json>, order: &[Key]) -> Result<Table, EditError> {
    let mut table = Table::new();
    let place = |key: &str| order.iter().position(|known| known.name == key);
    let mut values: Vec<_> = values.iter().collect();
    values.sort_by_key(|(key, _)| place(key).unwrap_or(usize::MAX));
    for (key, value) in values {
        let value = toml(value).ok_or_else(|| EditError::Null(key.clone()))?;
        table.insert(key, Item::Value(value));
    }
    Ok(table)
}

/// Puts other tables into a list. They stand in the file where those before stood, the surplus behind the
/// last; what was written above the place of the first, apart from the lines right above it, stays there.
pub(crate) fn arrange(list: &mut ArrayOfTables, mut tables: Vec<Table>) {
    let mut places: Vec<_> = list.iter().map(Table::position).collect();
    places.sort();
    let heads: Vec<_> = list.iter().map(|table| split(&prefix(table)).0).collect();
    let count = tables.len();
    for (index, table) in tables.iter_mut().enumerate() {
        let own = split(&prefix(table)).1;
        let above = match heads.get(index) {
            Some(head) if index == 0 => head.clone(),
            Some(head) if head.trim().is_empty() => head.clone(),
            // What stood apart above others goes with nobody.
            _ => "\n".to_owned(),
        };
        table.decor_mut().set_prefix(above + &own);
        table.set_position(places.get(index).copied().flatten());
        for (_, item) in table.iter_mut() {
            if let Some(inner) = item.as_table_mut() {
                inner.set_position(None);
            }
        }
    }
    debug_assert_eq!(tables.len(), count);
    list.clear();
    for table in tables {
        list.push(table);
    }
}

fn prefix(table: &Table) -> String {
    let prefix = table.decor().prefix().and_then(|raw| raw.as_str());
    // A table that was not read from a text has a line of its own above it.
    prefix.unwrap_or("\n").to_owned()
}

/// What stands above a table: what is apart from it by an empty line, and what belongs to it.
fn split(prefix: &str) -> (String, String) {
    match prefix.rfind("\n\n") {
        Some(at) => (prefix[..at + 2].to_owned(), prefix[at + 2..].to_owned()),
        None if prefix.starts_with('\n') => ("\n".to_owned(), prefix[1..].to_owned()),
        None => (String::new(), prefix.to_owned()),
    }
}

/// A value of the document as JSON. Dates, which no setting is, are their text.
pub(crate) fn json(item: &Item) -> Option<Json> {
    Some(match item {
        Item::None => return None,
        Item::Value(value) => json_of(value),
        Item::Table(table) => {
            let values = table
                .iter()
                .filter_map(|(key, item)| Some((key.to_owned(), json(item)?)));
            Json::Object(values.collect())
        }
        Item::ArrayOfTables(list) => {
            let tables = list
                .iter()
                .filter_map(|table| json(&Item::Table(table.clone())));
            Json::Array(tables.collect())
        }
    })
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::String(text) => text.value().clone().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(value) => number(*value.value()),
        Value::Boolean(value) => (*value.value()).into(),
        Value::Datetime(date) => date.value().to_string().into(),
        Value::Array(list) => list.iter().map(json_of).collect(),
        Value::InlineTable(table) => {
            let values = table
                .iter()
                .map(|(key, value)| (key.to_owned(), json_of(value)));
            Json::Object(values.collect())
        }
    }
}

/// A number; whole ones read better without their point, and are the same with and without.
pub(crate) fn number(value: f64) -> Json {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        (value as i64).into()
    } else {
        value.into()
    }
}

/// A JSON value as TOML has it; none for null.
fn toml(value: &Json) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => (*value).into(),
        Json::Number(value) => match value.as_f64().map(number)?.as_i64() {
            Some(whole) => value.as_i64().unwrap_or(whole).into(),
            None => value.as_f64()?.into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(list) => {
            let items: Option<Vec<_>> = list.iter().map(toml).collect();
            let mut array = Array::new();
            items?.into_iter().for_each(|item| array.push(item));
            array.into()
        }
        Json::Object(values) => {
            let mut table = InlineTable::new();
            for (key, value) in values {
                table.insert(key, toml(value)?);
            }
            table.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = "\
# My miner.

[agent]
name = \"rack-3\"   # as on the door

# The one at home.
[[pool]]
url = \"one.example:3333\"
user = \"a\" # me
password = { file = \"pool.secret\" }

# The fast one.
[[pool]]
url = \"two.example:3333\"
user = \"b\"
[pool.tls]
ca = \"ca.pem\"

[cooling]
mode = \"auto\"
";

    fn doc() -> DocumentMut {
        TEXT.parse().unwrap()
    }

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    #[test]
    fn paths_are_read_as_they_are_written() {
        for text in ["cooling.mode", "pool[12].url", "board[0].sim.seed"] {
            assert_eq!(path(text).to_string(), text);
        }
        for text in [
            "",
            "cooling",
            "pool[].url",
            "pool[-1].url",
            "pool[1]url",
            "a.b.c.d",
            ".a",
            "a.",
            "a. b",
        ] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_changes_and_nothing_else() {
        let mut doc = doc();
        set(&mut doc, &path("agent.name"), Some(&json!("rack-4"))).unwrap();
        set(&mut doc, &path("pool[0].user"), Some(&json!("c"))).unwrap();
        let expected = TEXT
            .replace("\"rack-3\"", "\"rack-4\"")
            .replace("\"a\" #", "\"c\" #");
        assert_eq!(doc.to_string(), expected);
        assert_eq!(get(&doc, &path("pool[0].user")), Some(json!("c")));
        assert_eq!(
            get(&doc, &path("pool[0].password")),
            Some(json!({"file": "pool.secret"}))
        );
    }

    #[test]
    fn new_values_and_tables_are_added_and_taken_away() {
        let mut doc = doc();
        set(&mut doc, &path("upstream.strategy"), Some(&json!("quota"))).unwrap();
        set(&mut doc, &path("cooling.target_c"), Some(&json!(55.0))).unwrap();
        set(&mut doc, &path("pool[1].tls.ca"), Some(&json!("other.pem"))).unwrap();
        let text = doc.to_string();
        for part in [
            "[upstream]\nstrategy = \"quota\"",
            "target_c = 55\n",
            "ca = \"other.pem\"",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        set(&mut doc, &path("cooling.target_c"), None).unwrap();
        set(&mut doc, &path("nothing.there"), None).unwrap();
        assert!(!doc.to_string().contains("target_c"));
        let error = set(&mut doc, &path("pool[2].url"), Some(&json!("x"))).unwrap_err();
        assert!(error.to_string().contains("the list has 2"), "{error}");
        assert!(set(&mut doc, &path("pool.url"), Some(&json!("x"))).is_err());
        assert!(set(&mut doc, &path("cooling[0].mode"), Some(&json!("x"))).is_err());
    }

    #[test]
    fn tables_change_places_with_their_comments() {
        let mut doc = doc();
        let list = list(&mut doc, "pool").unwrap();
        let tables: Vec<_> = list.iter().cloned().collect();
        arrange(list, vec![tables[1].clone(), tables[0].clone()]);
        let text = doc.to_string();
        let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
        let order = [
            "# My miner.",
            "[agent]",
            "# The fast one.",
            "two.example",
            "[pool.tls]",
            "# The one at home.",
            "one.example",
            "# me",
            "[cooling]",
        ];
        assert!(order.iter().map(|part| place(part)).is_sorted(), "{text}");
        let back: DocumentMut = text.parse().unwrap();
        assert_eq!(
            get(&back, &path("pool[0].tls")),
            Some(json!({"ca": "ca.pem"}))
        );
    }

    #[test]
    fn one_table_more_stands_behind_the_others_and_before_the_rest() {
        let mut doc = doc();
        let list = list(&mut doc, "pool").unwrap();
        let mut tables: Vec<_> = list.iter().cloned().collect();
        let more = json!({"url": "three.example:3333", "user": "c"});
        tables.insert(1, table(more.as_object().unwrap(), &[]).unwrap());
        arrange(list, tables);
        let text = doc.to_string();
        let back: DocumentMut = text.parse().unwrap();
        assert_eq!(
            get(&back, &path("pool[1].user")),
            Some(json!("c")),
            "{text}"
        );
        assert_eq!(
            get(&back, &path("pool[2].tls.ca")),
            Some(json!("ca.pem")),
            "{text}"
        );
        assert!(text.find("three.example") < text.find("[cooling]"));
        assert!(text.contains("# The fast one.\n[[pool]]"), "{text}");
    }
}
