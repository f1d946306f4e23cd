//! Latched faults outlive the agent: one small file per station in the state directory, there exactly
//! while the fault is latched. Switching the agent off and on again clears nothing.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use station::StoredFault;

use super::group::{Group, Reach};
use crate::config::Agent;

/// Where the latched fault of one station is kept.
#[derive(Clone, Debug)]
pub struct LatchStore {
    file: Option<PathBuf>,
    kept: Option<StoredFault>,
}

impl LatchStore {
    /// The place for a group of boards. Simulated boards only have one where the config names a state
    /// directory: nothing is to be protected from them.
    #[must_use]
    pub fn new(agent: &Agent, group: &Group) -> Self {
        let profile = &group.config.profile.name;
        let name = match &group.reach {
            Reach::Simulated if !agent.state_dir_given => None,
            Reach::Simulated => Some(format!("sim-{}", group.boards[0])),
            Reach::Port(port) => Some(port.to_string()),
            Reach::Linux => Some("linux".to_owned()),
        };
        let file = name.map(|name| {
            let name = format!("latched-{name}-{profile}.json");
            let plain = |c: char| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            };
            agent
                .state_dir
                .join(name.chars().map(plain).collect::<String>())
        });
        Self { file, kept: None }
    }

    /// The fault that is latched since an earlier run. A file that cannot be read counts as one: who
    /// could say that there was none?
    pub fn load(&mut self) -> Option<StoredFault> {
        let read = fs::read_to_string(self.file.as_ref()?);
        self.kept = match read.map(|text| serde_json::from_str(&text)) {
            Ok(Ok(fault)) => Some(fault),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Ok(Err(_)) | Err(_) => Some(StoredFault::unreadable()),
        };
        self.kept.clone()
    }

    /// Tries whether something could be kept.
    ///
    /// # Errors
    ///
    /// When it could not; the text says what that means.
    pub fn check(&self) -> Result<(), String> {
        let Some(folder) = self.file.as_deref().and_then(Path::parent) else {
            return Ok(());
        };
        let write = || {
            fs::create_dir_all(folder)?;
            tempfile::NamedTempFile::new_in(folder).map(drop)
        };
        write().map_err(|error: io::Error| {
            format!(
                "the state directory {} cannot be written ({error}): a fault that only a person may \
                 clear would be forgotten when the agent ends. Create it for the agent's user, or \
                 name another with [agent] state_dir",
                folder.display()
            )
        })
    }

    /// Keeps the fault that is latched now, or none; writes only what has changed.
    ///
    /// # Errors
    ///
    /// When it could not be written; the next call tries again.
    pub fn keep(&mut self, fault: Option<StoredFault>) -> io::Result<()> {
        if fault == self.kept {
            return Ok(());
        }
        if let Some(file) = &self.file {
            match &fault {
                Some(fault) => write(file, fault)?,
                None => remove(file)?,
            }
        }
        self.kept = fault;
        Ok(())
    }
}

/// Writes the file as a whole or not at all, also if the power goes meanwhile.
fn write(file: &Path, fault: &StoredFault) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut fresh, fault)?;
    fresh.flush()?;
    fresh.as_file().sync_all()?;
    fresh.persist(file)?;
    File::open(folder)?.sync_all()
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> LatchStore {
        LatchStore {
            file: Some(folder.join("state/latched.json")),
            kept: None,
        }
    }

    #[test]
    fn a_fault_is_kept_until_it_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let fault = StoredFault::unreadable();
        let mut first = store(folder.path());
        assert_eq!(first.load(), None);
        first.check().unwrap();
        first.keep(Some(fault.clone())).unwrap();
        let mut second = store(folder.path());
        assert_eq!(second.load(), Some(fault));
        second.keep(None).unwrap();
        assert_eq!(store(folder.path()).load(), None);
    }

    #[test]
    fn a_file_that_cannot_be_read_counts_as_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path());
        fs::create_dir(folder.path().join("state")).unwrap();
        fs::write(folder.path().join("state/latched.json"), "{ half a fi").unwrap();
        assert_eq!(store.load(), Some(StoredFault::unreadable()));
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("state"), "a file").unwrap();
        let mut store = store(folder.path());
        let said = store.check().unwrap_err();
        assert!(said.contains("[agent] state_dir"), "{said}");
        let fault = Some(StoredFault::unreadable());
        assert!(store.keep(fault.clone()).is_err());
        // The next try may have more luck.
        fs::remove_file(folder.path().join("state")).unwrap();
        store.keep(fault).unwrap();
    }
}
