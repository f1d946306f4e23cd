//! Writing the config file: as a whole or not at all, also if the power goes meanwhile, with the file
//! before kept beside it. A file that somebody else has changed is left alone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a change could not be saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    /// The file is not what it was.
    #[error(
        "{} was changed since the agent read it, and is left alone: make the change there as well, or restart \
         the agent so that it reads the file", .0.display()
    )]
    Changed(PathBuf),
    /// The file cannot be read or written.
    #[error(
        "{} cannot be written ({error}): the change is gone after a restart. Let the agent's user write the \
         file and its directory, or make the change there by hand", .path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Puts `text` into a file that still says `known`.
pub(crate) fn save(path: &Path, known: &str, text: &str) -> Result<(), SaveError> {
    let io = |error| SaveError::Io {
        path: path.to_owned(),
        error,
    };
    // A link stays one.
    let path = &fs::canonicalize(path).map_err(io)?;
    if fs::read_to_string(path).map_err(io)? != known {
        return Err(SaveError::Changed(path.clone()));
    }
    let mut backup = path.clone().into_os_string();
    backup.push(".bak");
    replace(Path::new(&backup), path, known).map_err(io)?;
    replace(path, path, text).map_err(io)
}

/// Whether files could be written beside this one.
pub(crate) fn is_writable(path: &Path) -> bool {
    let folder = fs::canonicalize(path).ok();
    let folder = folder.as_deref().and_then(Path::parent);
    folder.is_some_and(|folder| tempfile::NamedTempFile::new_in(folder).is_ok())
}

/// Puts a text into `path`, with the rights of `like`.
fn replace(path: &Path, like: &Path, text: &str) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh
        .as_file()
        .set_permissions(fs::metadata(like)?.permissions())?;
    fresh.write_all(text.as_bytes())?;
    fresh.flush()?;
    fresh.as_file().sync_all()?;
    fresh.persist(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_before_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, "one").unwrap();
        save(&path, "one", "two").unwrap();
        save(&path, "two", "three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert_eq!(
            fs::read_to_string(folder.path().join("a.toml.bak")).unwrap(),
            "two"
        );
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            2,
            "nothing is left over"
        );
    }

    #[test]
    fn a_file_that_somebody_else_changed_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, "by hand").unwrap();
        let error = save(&path, "one", "two").unwrap_err();
        assert!(error.to_string().contains("was changed since"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "by hand");
        fs::remove_file(&path).unwrap();
        assert!(matches!(
            save(&path, "one", "two"),
            Err(SaveError::Io { .. })
        ));
    }

    #[test]
    fn a_link_and_the_rights_of_the_file_stay() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (
            folder.path().join("a.toml"),
            folder.path().join("link.toml"),
        );
        fs::write(&path, "one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        save(&link, "one", "two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
    }
}
