//! The audit log: lines of JSON in `audit.log`, and the older half in `audit.log.1`. Together they never
//! take more than a mebibyte. What cannot be written stays in memory, and is complained about.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use access::audit::Line;

use super::store::Store;

/// Name of the audit log; the older half has `.1` at the end.
pub const FILE: &str = "audit.log";

/// Name of the older half.
const OLD_FILE: &str = "audit.log.1";

/// Most bytes of each half.
pub const MAX_BYTES: u64 = 512 * 1024;

/// Records kept in memory, for agents that have no directory to write to.
const KEPT: usize = 200;

/// The audit log of one agent.
#[derive(Debug)]
pub struct Trail {
    store: Option<Store>,
    kept: VecDeque<Line>,
    unsynced: bool,
    failed: bool,
}

impl Trail {
    /// The log in this store; without one it lives in memory.
    #[must_use]
    pub fn new(store: Option<Store>) -> Self {
        Self {
            store,
            kept: VecDeque::new(),
            unsynced: false,
            failed: false,
        }
    }

    /// Adds a record.
    pub fn add(&mut self, line: Line) {
        if let Some(store) = &self.store {
            match append(store, &line, MAX_BYTES) {
                Ok(()) => (self.unsynced, self.failed) = (true, false),
                Err(error) => {
                    if !self.failed {
                        tracing::error!(
                            %error,
                            "the audit log {} cannot be written: what is changed from now on is kept only \
                             until the agent ends. Make room, or give the directory to the agent's user",
                            store.folder().join(FILE).display()
                        );
                    }
                    self.failed = true;
                }
            }
        }
        self.kept.push_back(line);
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// Where it is, if anywhere but in memory.
    #[must_use]
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref().filter(|_| !self.failed)
    }

    /// The newest records in memory, oldest first.
    #[must_use]
    pub fn kept(&self, most: usize) -> Vec<Line> {
        let skip = self.kept.len().saturating_sub(most);
        self.kept.iter().skip(skip).cloned().collect()
    }

    /// Whether something was written that may not have reached the disk; asked once.
    pub fn take_unsynced(&mut self) -> bool {
        std::mem::take(&mut self.unsynced)
    }
}

/// Sees to it that what was written outlives a power cut.
pub fn sync(store: &Store) {
    if let Ok(file) = File::open(store.folder().join(FILE)) {
        // Nothing can be done about it, and the next write will say so.
        let _ = file.sync_data();
    }
}

/// Adds a record to the log of a store.
///
/// # Errors
///
/// What the system says.
pub fn append(store: &Store, line: &Line, most: u64) -> io::Result<()> {
    let mut file = store.append(FILE)?;
    let text = line.to_json() + "\n";
    if file.metadata()?.len() + text.len() as u64 > most {
        let _lock = store.lock().map_err(io::Error::other)?;
        let path = store.folder().join(FILE);
        // Another program may have been faster.
        if fs::metadata(&path).is_ok_and(|now| now.len() + text.len() as u64 > most) {
            fs::rename(&path, store.folder().join(OLD_FILE))?;
        }
        file = store.append(FILE)?;
    }
    // One write, so that lines of two programs do not mix.
    file.write_all(text.as_bytes())
}

/// The newest records of a store's log, oldest first. Damaged lines, as after a power cut, are left out.
///
/// # Errors
///
/// The files are there and cannot be read.
pub fn read(store: &Store, most: usize) -> io::Result<Vec<Line>> {
    let mut lines = VecDeque::new();
    for name in [OLD_FILE, FILE] {
        let text = tail(&store.folder().join(name))?;
        for line in text.lines().filter_map(Line::from_json) {
            lines.push_back(line);
            if lines.len() > most {
                lines.pop_front();
            }
        }
    }
    Ok(lines.into())
}

/// At most the last [`MAX_BYTES`] of a file; nothing if there is none.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
