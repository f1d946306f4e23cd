//! What was learned of boards, kept by their serial numbers: a JSON file each in `tuned/` in the state
//! directory. Boards that tell no serial number are known by their place in the config.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use autotune::BoardModel;

/// Longest file that is read, bytes: a model of a thousand chips is a tenth of it.
const MAX_FILE: u64 = 1 << 20;

/// The folder of the models.
#[derive(Clone, Debug)]
pub struct Models {
    folder: PathBuf,
}

impl Models {
    /// Those in this state directory.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self {
            folder: state_dir.join("tuned"),
        }
    }

    /// The model of a board, if there is one that can be used.
    ///
    /// # Errors
    ///
    /// When there is one that cannot: damaged, or of another board.
    pub fn load(&self, serial: &str) -> Result<Option<BoardModel>, String> {
        let path = self.path(serial);
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(told(&error)),
        };
        let model: BoardModel = serde_json::from_str(&text).map_err(|error| told(&error))?;
        if model.serial != serial {
            let whose = format!("it is the model of board {}", model.serial);
            return Err(told(&whose));
        }
        Ok(Some(model))
    }

    /// Keeps a model; the file is written as a whole or not at all.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    pub fn save(&self, model: &BoardModel) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut fresh = tempfile::NamedTempFile::new_in(&self.folder)?;
        serde_json::to_writer(&mut fresh, model)?;
        fresh.flush()?;
        fresh.as_file().sync_all()?;
        fresh.persist(self.path(&model.serial))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Forgets a board; true if something was known of it.
    ///
    /// # Errors
    ///
    /// Whatever the file system says.
    pub fn forget(&self, serial: &str) -> io::Result<bool> {
        match fs::remove_file(self.path(serial)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn path(&self, serial: &str) -> PathBuf {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '-'
            }
        };
        let name: String = serial.chars().take(64).map(plain).collect();
        self.folder.join(format!("{name}.json"))
    }
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MAX_FILE {
        return Err(io::Error::other("far too long for the model of a board"));
    }
    fs::read_to_string(path)
}
