//! The agents that this user knows by name: a TOML file in the user's config directory, which `pair`
//! and `fleet scan` write, people edit, and every client command reads. Tokens lie in files of their
//! own beside it, so that the list can be shared.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

/// Environment variable that names another file.
pub const FILE_VARIABLE: &str = "HASHWRIGHT_FLEET";

/// Largest file that is read, bytes; ten thousand agents are a fifth of it.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// What a new file begins with.
const HEAD: &str = "\
# The agents that `hashwright` knows by name. `hashwright fleet scan --write` and `hashwright pair`
# add to it; names, groups and comments are yours. Tokens do not belong in here: name a file.

";

/// One agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Its name, unique in the file.
    pub name: String,
    /// Where its API is, e.g. `https://10.0.3.7:4029`.
    pub url: String,
    /// SHA-256 of its certificate, for `https`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// File with the token; relative paths start where the fleet file is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Groups that it belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// Why the file cannot be used. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// There is no place for it.
    #[error(
        "no place for the fleet file: neither {FILE_VARIABLE}, XDG_CONFIG_HOME nor HOME is set; \
         set one of them, or use --url"
    )]
    NoPlace,
    /// It cannot be read or written.
    #[error("cannot {what} the fleet file {path}: {source}")]
    Io {
        /// `read` or `write`.
        what: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not as it should be.
    #[error("the fleet file {path} cannot be used: {problem}. Mend it, or move it away")]
    Content {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// The file.
#[derive(Clone, Debug, Default)]
pub struct FleetFile {
    path: PathBuf,
    document: DocumentMut,
    agents: Vec<Known>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    agent: Vec<Known>,
}

impl FleetFile {
    /// Where the file of this user is: `HASHWRIGHT_FLEET`, else `hashwright/fleet.toml` in the user's
    /// config directory.
    ///
    /// # Errors
    ///
    /// [`FileError::NoPlace`].
    pub fn default_path() -> Result<PathBuf, FileError> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = set(FILE_VARIABLE) {
            return Ok(path.into());
        }
        let config = set("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(set("HOME")?).join(".config")));
        let config = config.ok_or(FileError::NoPlace)?;
        Ok(config.join("hashwright").join("fleet.toml"))
    }

    /// Reads the file at `path`; one that does not exist is empty.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is no TOML, or names an agent twice.
    pub fn load(path: &Path) -> Result<Self, FileError> {
        let failed = |source| FileError::Io {
            what: "read",
            path: path.to_owned(),
            source,
        };
        let text = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => HEAD.to_owned(),
            Err(error) => return Err(failed(error)),
            Ok(metadata) if metadata.len() > MAX_BYTES => {
                return Err(FileError::Content {
                    path: path.to_owned(),
                    problem: format!("it has more than {MAX_BYTES} bytes"),
                });
            }
            Ok(_) => fs::read_to_string(path).map_err(failed)?,
        };
        Self::parse(path, &text)
    }

    /// Takes `text` for the file at `path`.
    ///
    /// # Errors
    ///
    /// [`FileError::Content`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let wrong = |problem: String| FileError::Content {
            path: path.to_owned(),
            problem,
        };
        let content: Content = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let document = text
            .parse()
            .map_err(|error: toml_edit::TomlError| wrong(error.to_string()))?;
        let mut names = BTreeSet::new();
        for agent in &content.agent {
            if !names.insert(&agent.name) {
                return Err(wrong(format!("two agents are called `{}`", agent.name)));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            document,
            agents: content.agent,
        })
    }

    /// Where it is, or will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All agents, in the order of the file.
    #[must_use]
    pub fn agents(&self) -> &[Known] {
        &self.agents
    }

    /// The agent of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Known> {
        self.agents.iter().find(|agent| agent.name == name)
    }

    /// The agent at this URL, however that ends.
    #[must_use]
    pub fn at(&self, url: &str) -> Option<&Known> {
        let url = bare(url);
        self.agents.iter().find(|agent| bare(&agent.url) == url)
    }

    /// The file of an agent's token, with its place.
    #[must_use]
    pub fn token_path(&self, agent: &Known) -> Option<PathBuf> {
        let file = agent.token_file.as_ref()?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        Some(directory.join(file))
    }

    /// Adds an agent, or gives the one of its name these values. Groups are added to those that it
    /// has; what else a person wrote stays.
    pub fn upsert(&mut self, agent: Known) {
        let tables = self
            .document
            .entry("agent")
            .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        let Some(tables) = tables.as_array_of_tables_mut() else {
            // `agent = [{ .. }]`: read as well, but not edited in place.
            return self.rewrite(agent);
        };
        let old = self.agents.iter().position(|old| old.name == agent.name);
        let index = old.unwrap_or_else(|| {
            tables.push(Table::new());
            self.agents.push(Known::default());
            tables.len() - 1
        });
        let merged = merge(&self.agents[index], agent);
        if let Some(table) = tables.get_mut(index) {
            fill(table, &merged);
        }
        self.agents[index] = merged;
    }

    /// Writes the file, in one step, readable for its owner only.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`].
    pub fn save(&self) -> Result<(), FileError> {
        let failed = |source| FileError::Io {
            what: "write",
            path: self.path.clone(),
            source,
        };
        let directory = match self.path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        fs::create_dir_all(directory).map_err(failed)?;
        // Made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
        file.write_all(self.document.to_string().as_bytes())
            .and_then(|()| file.as_file().sync_all())
            .map_err(failed)?;
        file.persist(&self.path)
            .map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The whole list anew, where it cannot be edited in place.
    fn rewrite(&mut self, agent: Known) {
        let mut agents = std::mem::take(&mut self.agents);
        match agents.iter_mut().find(|old| old.name == agent.name) {
            Some(old) => *old = merge(old, agent),
            None => agents.push(agent),
        }
        let mut tables = ArrayOfTables::new();
        for agent in &agents {
            let mut table = Table::new();
            fill(&mut table, agent);
            tables.push(table);
        }
        self.document.insert("agent", Item::ArrayOfTables(tables));
        self.agents = agents;
    }
}

/// The new values over the old ones.
fn merge(old: &Known, new: Known) -> Known {
    let mut groups = old.groups.clone();
    for group in new.groups {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Known {
        fingerprint: new.fingerprint.or_else(|| old.fingerprint.clone()),
        token_file: new.token_file.or_else(|| old.token_file.clone()),
        groups,
        ..new
    }
}

fn fill(table: &mut Table, agent: &Known) {
    let mut set = |key: &str, to: Option<&str>| match to {
        // A value that stays keeps its comment.
        Some(to) if table.get(key).and_then(Item::as_str) == Some(to) => {}
        Some(to) => {
            table.insert(key, value(to));
        }
        None => {}
    };
    set("name", Some(&agent.name));
    set("url", Some(&agent.url));
    set("fingerprint", agent.fingerprint.as_deref());
    let token = agent.token_file.as_ref().and_then(|path| path.to_str());
    set("token_file", token);
    if !agent.groups.is_empty() {
        let groups: toml_edit::Array = agent.groups.iter().map(String::as_str).collect();
        table.insert("groups", value(groups));
    }
}

/// A URL without what says nothing.
fn bare(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    url.strip_suffix("/rpc").unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn known(name: &str, url: &str) -> Known {
        Known {
            name: name.into(),
            url: url.into(),
            ..Known::default()
        }
    }

    #[test]
    fn what_people_wrote_stays() {
        let text = "# my farm\n\n[[agent]]\nname = \"a\" # by the door\nurl = \"http://10.0.0.1:4029\"\n\
                    groups = [\"rack-1\"]\n";
        let mut file = FleetFile::parse(Path::new("fleet.toml"), text).unwrap();
        file.upsert(Known {
            groups: vec!["s19".into()],
            ..known("a", "https://10.0.0.1:4029")
        });
        file.upsert(known("b", "http://10.0.0.2:4029"));
        let written = file.document.to_string();
        for part in ["# my farm", "# by the door", "https://10.0.0.1", "10.0.0.2"] {
            assert!(written.contains(part), "{part}:\n{written}");
        }
        let again = FleetFile::parse(Path::new("fleet.toml"), &written).unwrap();
        assert_eq!(again.agents(), file.agents());
        assert_eq!(again.agents()[0].groups, ["rack-1", "s19"]);
    }

    #[test]
    fn an_inline_list_is_kept_as_well() {
        let text = "agent = [{ name = \"a\", url = \"http://10.0.0.1\" }]\n";
        let mut file = FleetFile::parse(Path::new("fleet.toml"), text).unwrap();
        file.upsert(known("b", "http://10.0.0.2"));
        let again = FleetFile::parse(Path::new("f"), &file.document.to_string()).unwrap();
        assert_eq!(again.agents().len(), 2);
    }

    #[test]
    fn agents_are_found_by_name_and_by_url() {
        let text =
            "[[agent]]\nname = \"a\"\nurl = \"https://10.0.0.1:4029\"\ntoken_file = \"tokens/a\"\n";
        let file = FleetFile::parse(Path::new("/etc/x/fleet.toml"), text).unwrap();
        let agent = file.named("a").unwrap();
        assert_eq!(file.at("https://10.0.0.1:4029/rpc"), Some(agent));
        assert_eq!(file.at("http://10.0.0.1:4029"), None);
        let token = file.token_path(agent).unwrap();
        assert_eq!(token, Path::new("/etc/x/tokens/a"));
    }

    #[test]
    fn a_bad_file_is_told_with_its_problem() {
        for (text, part) in [
            ("[[agent]]\nname = \"a\"\n", "url"),
            (
                "[[agent]]\nname = \"a\"\nurl = \"x\"\ncolour = 1\n",
                "colour",
            ),
            ("agent = 1", "agent"),
            (
                "[[agent]]\nname = \"a\"\nurl = \"x\"\n[[agent]]\nname = \"a\"\nurl = \"y\"\n",
                "two agents are called `a`",
            ),
        ] {
            let error = FleetFile::parse(Path::new("fleet.toml"), text).unwrap_err();
            let error = error.to_string();
            assert!(
                error.contains(part) && error.contains("fleet.toml"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_new_file_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/fleet.toml");
        let mut file = FleetFile::load(&path).unwrap();
        assert_eq!(file.agents(), []);
        file.upsert(known("a", "http://10.0.0.1:4029"));
        file.save().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(FleetFile::load(&path).unwrap().agents(), file.agents());
    }
}
