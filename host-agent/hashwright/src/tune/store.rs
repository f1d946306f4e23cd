//! What was learned of boards, kept by their serial numbers: a JSON file each in `tuned/` in the state
//! directory, or in memory where there is none. Boards that tell no serial number are known by their place
//! in the config.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use autotune::BoardModel;

/// Longest file that is read, bytes: a model of a thousand chips is a tenth of it.
const MAX_FILE: u64 = 1 << 20;
/// Boards that are kept; no farm carries so many through one machine.
const MOST_FILES: usize = 512;
/// Characters of a serial number in a file's name.
const LONGEST_NAME: usize = 64;

/// The models of an agent. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Models {
    folder: Option<PathBuf>,
    memory: Arc<Mutex<BTreeMap<String, BoardModel>>>,
}

/// A model and when it was kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The model.
    pub model: BoardModel,
    /// Seconds since 1970; none if it is in memory only.
    pub unix_s: Option<u64>,
}

impl Models {
    /// Those in this state directory; without one they last until the program ends.
    #[must_use]
    pub fn new(state_dir: Option<&Path>) -> Self {
        Self {
            folder: state_dir.map(|folder| folder.join("tuned")),
            memory: Arc::default(),
        }
    }

    /// Whether they outlive the program.
    #[must_use]
    pub fn last(&self) -> bool {
        self.folder.is_some()
    }

    /// The model of a board, if there is one that can be read.
    ///
    /// # Errors
    ///
    /// When there is one that cannot: damaged, or of another board. It is moved aside then.
    pub fn load(&self, serial: &str) -> Result<Option<BoardModel>, String> {
        if let Some(model) = self.memory().get(serial) {
            return Ok(Some(model.clone()));
        }
        let Some(path) = self.path(serial) else {
            return Ok(None);
        };
        let why = match read(&path) {
            Ok(Some(model)) if model.serial == serial => return Ok(Some(model)),
            Ok(Some(model)) => format!("it is the model of board {}", plain(&model.serial)),
            Ok(None) => return Ok(None),
            Err(why) => why,
        };
        let aside = path.with_extension("json.bad");
        let moved = match fs::rename(&path, &aside) {
            Ok(()) => format!("it was moved to {}", aside.display()),
            Err(error) => format!("it cannot be moved aside: {error}"),
        };
        Err(format!("{}: {why}; {moved}", path.display()))
    }

    /// Whether there is room for what is learned of one more board.
    #[must_use]
    pub fn room(&self) -> bool {
        self.all().len() < MOST_FILES
    }

    /// Keeps a model; the file is written as a whole or not at all.
    ///
    /// # Errors
    ///
    /// Whatever the file system says; it is in memory all the same.
    pub fn save(&self, model: &BoardModel) -> io::Result<()> {
        self.memory().insert(model.serial.clone(), model.clone());
        let (Some(folder), Some(path)) = (&self.folder, self.path(&model.serial)) else {
            return Ok(());
        };
        fs::create_dir_all(folder)?;
        let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut fresh, model)?;
        fresh.flush()?;
        fresh.as_file().sync_all()?;
        fresh.persist(path)?;
        File::open(folder)?.sync_all()
    }

    /// Forgets a board; true if something was known of it.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    pub fn forget(&self, serial: &str) -> io::Result<bool> {
        let known = self.memory().remove(serial).is_some();
        let Some(path) = self.path(serial) else {
            return Ok(known);
        };
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(known),
            Err(error) => Err(error),
        }
    }

    /// Everything that is known, by serial number. Files that cannot be read are left out.
    #[must_use]
    pub fn all(&self) -> Vec<Kept> {
        let mut all = BTreeMap::new();
        let files = self.folder.as_ref().and_then(|f| fs::read_dir(f).ok());
        for file in files.into_iter().flatten().flatten().take(MOST_FILES) {
            let path = file.path();
            if path.extension().is_none_or(|end| end != "json") {
                continue;
            }
            let Ok(Some(model)) = read(&path) else {
                continue;
            };
            let kept = file.metadata().and_then(|data| data.modified()).ok();
            let since = kept.and_then(|kept| kept.duration_since(UNIX_EPOCH).ok());
            let unix_s = since.map(|since| since.as_secs());
            all.insert(model.serial.clone(), Kept { model, unix_s });
        }
        for (serial, model) in self.memory().iter() {
            all.entry(serial.clone()).or_insert_with(|| Kept {
                model: model.clone(),
                unix_s: None,
            });
        }
        all.into_values().collect()
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, BoardModel>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, serial: &str) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{}.json", name(serial))))
    }
}

/// A serial number as the name of a file. Where characters had to go, a sum keeps two of them apart.
fn name(serial: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let short = serial.chars().take(LONGEST_NAME);
    let name: String = short.map(|c| if good(c) { c } else { '-' }).collect();
    if name == serial && !name.is_empty() {
        return name;
    }
    // FNV-1a: the same on every machine, and nothing depends on it being hard to find another.
    let sum = serial.bytes().fold(0x811c_9dc5_u32, |sum, byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    format!("{name}-{sum:08x}")
}

/// What can be shown of a text from a file.
fn plain(text: &str) -> String {
    crate::format::plain(text, LONGEST_NAME)
}

/// The model in a file; none if there is no file.
fn read(path: &Path) -> Result<Option<BoardModel>, String> {
    // Opening a pipe would wait for somebody to write into it, and a device may never end.
    match fs::metadata(path) {
        Ok(data) if !data.is_file() => return Err("not a regular file".to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    }
    let mut text = Vec::new();
    let file = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut text));
    match file {
        Ok(_) if text.len() as u64 > MAX_FILE => {
            Err("far too long for the model of a board".to_owned())
        }
        Ok(_) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| format!("damaged: {error}")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use autotune::{Aim, Caps, Layout, Tuner};
    use board_profiles::Profile;

    use super::*;

    fn model(serial: &str) -> BoardModel {
        let profile = Profile::builtin("bitaxe-gamma").unwrap();
        let layout = Layout::from_profile(&profile, vec![Some(serial.to_owned())]);
        let tuner = Tuner::new(layout, Aim::Efficiency, Caps::default(), Vec::new(), 1);
        tuner.unwrap().models().pop().unwrap()
    }

    #[test]
    fn what_is_kept_is_there_in_the_next_life() {
        let folder = tempfile::tempdir().unwrap();
        let models = Models::new(Some(folder.path()));
        assert_eq!(models.load("A1").unwrap(), None);
        models.save(&model("A1")).unwrap();
        let next = Models::new(Some(folder.path()));
        assert_eq!(next.load("A1").unwrap(), Some(model("A1")));
        assert!(next.all()[0].unix_s.is_some());
        assert!(next.forget("A1").unwrap());
        assert!(!next.forget("A1").unwrap());
        assert_eq!(next.load("A1").unwrap(), None);
    }

    #[test]
    fn without_a_state_directory_models_last_as_long_as_the_program() {
        let models = Models::new(None);
        models.save(&model("A1")).unwrap();
        assert_eq!(models.clone().load("A1").unwrap(), Some(model("A1")));
        assert_eq!(models.all().len(), 1);
        assert!(!models.last());
    }

    #[test]
    fn a_file_that_is_no_model_of_this_board_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let tuned = folder.path().join("tuned");
        let long = " ".repeat(MAX_FILE as usize + 1);
        let foreign = serde_json::to_string(&model("B2")).unwrap();
        for bad in ["", "{\"version\":1", "[1]", &foreign, &long] {
            fs::create_dir_all(&tuned).unwrap();
            fs::write(tuned.join("A1.json"), bad).unwrap();
            let models = Models::new(Some(folder.path()));
            let why = models.load("A1").unwrap_err();
            assert!(why.contains("A1.json.bad"), "{why}");
            assert!(tuned.join("A1.json.bad").exists());
            // And that is all that is said of it.
            assert_eq!(models.load("A1").unwrap(), None);
        }
    }

    #[test]
    fn what_is_no_file_is_moved_aside_unread() {
        let folder = tempfile::tempdir().unwrap();
        let tuned = folder.path().join("tuned");
        fs::create_dir_all(&tuned).unwrap();
        std::os::unix::fs::symlink("/dev/zero", tuned.join("A1.json")).unwrap();
        fs::create_dir(tuned.join("B2.json")).unwrap();
        let models = Models::new(Some(folder.path()));
        for serial in ["A1", "B2"] {
            let why = models.load(serial).unwrap_err();
            assert!(why.contains("not a regular file"), "{why}");
            assert_eq!(models.load(serial).unwrap(), None);
        }
        assert!(models.room());
    }

    #[test]
    fn odd_serial_numbers_stay_in_the_folder_and_apart() {
        for serial in ["../../etc/passwd", "", "a/b", "ä", &"x".repeat(300)] {
            let name = name(serial);
            let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            assert!(
                !name.is_empty() && name.len() < 80 && name.chars().all(good),
                "{name}"
            );
        }
        assert_ne!(name("a/b"), name("a b"));
        assert_eq!(name("JYZZ-0051_A"), "JYZZ-0051_A");
    }
}
