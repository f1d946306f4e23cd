//! The files in the state directory that say who may ask: `tokens.json`, and `local-token` for the owner's own
//! programs. Agent and command line change them at the same time, so each change is made under a lock on
//! a file beside them, on what stands in the file then, and written as a whole.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use access::{Book, BookError, Token};
use rustix::fs::{FlockOperation, flock};
use rustix::rand::{GetRandomFlags, getrandom};

/// Name of the token file.
pub const TOKENS: &str = "tokens.json";

/// Name of the file with the token for this machine.
pub const LOCAL_TOKEN: &str = "local-token";

/// What is locked while any of the files changes.
const LOCK: &str = "access.lock";

/// Largest token file that is read, bytes; a full one is a third of it.
const MAX_BYTES: u64 = 256 * 1024;

/// How often and at which distance the lock is tried.
const LOCK_TRIES: u32 = 50;
const LOCK_EVERY: Duration = Duration::from_millis(100);

/// Why the token file cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refuses.
    #[error("cannot {what} {path}: {source}. {advice}")]
    Io {
        /// `read`, `write` or `lock`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What to do.
        advice: &'static str,
    },
    /// It is not as it was written.
    #[error(
        "the token file {path} cannot be used: {source}. No token is good until it can. Put back a copy of \
         it, or move it away and make new tokens with `hashwright auth add`"
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: BookError,
    },
    /// Others could have written tokens into it.
    #[error(
        "the token file {path} is not safe: {problem}, so somebody else may have put tokens into it. No \
         token is good until that is mended: look at `hashwright auth list`, then \
         `chown` it to the agent's user and `chmod 600` it"
    )]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The change is not possible.
    #[error(transparent)]
    Change(BookError),
    /// No token can be made.
    #[error("this system gives no random numbers: {0}")]
    Random(io::Error),
}

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            length: metadata.len(),
            // The time of the last change of content or permissions.
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// That of the file as it is now; `None` if there is none.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }
}

/// The files of one agent.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Those in this state directory.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The state directory.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The token file.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.folder.join(TOKENS)
    }

    /// The file with the token for this machine.
    #[must_use]
    pub fn local_token(&self) -> PathBuf {
        self.folder.join(LOCAL_TOKEN)
    }

    /// Tries whether anything could be kept.
    ///
    /// # Errors
    ///
    /// When it could not.
    pub fn check(&self) -> io::Result<()> {
        self.make_folder()?;
        tempfile::NamedTempFile::new_in(&self.folder).map(drop)
    }

    /// The tokens; none if there is no file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is damaged, or that others could have written.
    pub fn load(&self) -> Result<Book, StoreError> {
        let path = self.tokens();
        let read = |source| StoreError::Io {
            what: "read",
            path: path.clone(),
            source,
            advice: "No token is good until it can be read; it belongs to the agent's user",
        };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
            Err(error) => return Err(read(error)),
        };
        self.check_safe(&path, &file)?;
        let mut text = String::new();
        let length = file
            .take(MAX_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(read)?;
        let content = |source| StoreError::Content {
            path: path.clone(),
            source,
        };
        if length as u64 > MAX_BYTES {
            let problem = format!("longer than {MAX_BYTES} bytes");
            return Err(content(BookError::Damaged(problem)));
        }
        Book::from_json(&text).map_err(content)
    }

    /// Changes the tokens; nothing is written if `change` fails or changes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Self::load`], what `change` says, or that the file cannot be written.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Book) -> Result<T, BookError>,
    ) -> Result<T, StoreError> {
        let _lock = self.lock()?;
        let before = self.load()?;
        let mut book = before.clone();
        let result = change(&mut book).map_err(StoreError::Change)?;
        if book != before {
            self.write(TOKENS, book.to_json().as_bytes())
                .map_err(|source| self.unwritable(TOKENS, source))?;
        }
        Ok(result)
    }

    /// Writes a file that only the agent's user can read, as a whole or not at all, also if the power goes
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.make_folder()?;
        // Readable and writable by its owner alone.
        let mut fresh = tempfile::NamedTempFile::new_in(&self.folder)?;
        self.give_to_agent(fresh.as_file())?;
        fresh.write_all(content)?;
        fresh.as_file().sync_all()?;
        fresh.persist(self.folder.join(name))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Opens a file that only the agent's user can read, for lines at its end.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn append(&self, name: &str) -> io::Result<File> {
        self.make_folder()?;
        let path = self.folder.join(name);
        let fresh = !path.exists();
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        if fresh {
            self.give_to_agent(&file)?;
        }
        Ok(file)
    }

    /// Keeps everybody else from changing files until it is dropped.
    ///
    /// # Errors
    ///
    /// The lock cannot be had within some seconds.
    pub fn lock(&self) -> Result<File, StoreError> {
        let file = self
            .append(LOCK)
            .map_err(|source| self.unwritable(LOCK, source))?;
        let mut tries = LOCK_TRIES;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(rustix::io::Errno::WOULDBLOCK) if tries > 0 => {
                    tries -= 1;
                    sleep(LOCK_EVERY);
                }
                Err(error) => {
                    return Err(StoreError::Io {
                        what: "lock",
                        path: self.folder.join(LOCK),
                        source: error.into(),
                        advice: "Another hashwright command may hang; end it and try again",
                    });
                }
            }
        }
    }

    fn unwritable(&self, name: &str, source: io::Error) -> StoreError {
        StoreError::Io {
            what: "write",
            path: self.folder.join(name),
            source,
            advice: "Run the command as the agent's user or as root; [agent] state_dir names the \
                     directory",
        }
    }

    fn make_folder(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)
    }

    /// Whether only the owner and the agent could have written it. What others can merely read is closed to
    /// them; hashes of random tokens tell them nothing.
    fn check_safe(&self, path: &Path, file: &File) -> Result<(), StoreError> {
        let metadata = file.metadata().map_err(|source| StoreError::Io {
            what: "read",
            path: path.to_owned(),
            source,
            advice: "",
        })?;
        let unsafe_file = |problem: String| StoreError::Unsafe {
            path: path.to_owned(),
            problem,
        };
        let mode = metadata.mode() & 0o777;
        if mode & 0o022 != 0 {
            return Err(unsafe_file(format!(
                "others can write to it (mode {mode:03o})"
            )));
        }
        let mine = rustix::process::geteuid().as_raw();
        let folder = fs::metadata(&self.folder).map(|folder| folder.uid());
        let known = [Some(0), Some(mine), folder.ok()];
        if !known.contains(&Some(metadata.uid())) {
            let uid = metadata.uid();
            return Err(unsafe_file(format!(
                "it belongs to the user with the number {uid}"
            )));
        }
        if mode & 0o077 != 0 && file.set_permissions(Permissions::from_mode(0o600)).is_err() {
            tracing::warn!(path = %path.display(), "others can read the token file; chmod 600 it");
        }
        Ok(())
    }

    /// What root writes into the agent's directory belongs to the agent.
    fn give_to_agent(&self, file: &File) -> io::Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Ok(());
        }
        let folder = fs::metadata(&self.folder)?;
        fchown(file, Some(folder.uid()), Some(folder.gid()))
    }
}

/// The token for this machine, and the API that it opens: it must not be sent to another program that
/// happens to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalToken {
    /// The token.
    pub token: Token,
    /// Where the agent listens.
    pub listen: std::net::SocketAddr,
    /// SHA-256 of its certificate, if it speaks TLS.
    pub fingerprint: Option<stratum::transport::Fingerprint>,
}

impl LocalToken {
    /// The content of its file.
    #[must_use]
    pub fn to_text(&self) -> String {
        let print = self.fingerprint.map(|print| print.to_string());
        format!(
            "{}\n{}\n{}\n",
            self.token.reveal(),
            self.listen,
            print.as_deref().unwrap_or("-")
        )
    }

    /// Reads its file; what is not exactly one is none, so that no other secret can be taken for it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (token, listen, print) = (lines.next()?, lines.next()?, lines.next()?);
        if lines.next().is_some() {
            return None;
        }
        Some(Self {
            token: Token::parse(token).ok()?,
            listen: listen.parse().ok()?,
            fingerprint: match print {
                "-" => None,
                print => Some(print.parse().ok()?),
            },
        })
    }

    /// Reads the file at `path`, if it is one and may be read.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        let mut text = String::new();
        let file = File::open(path).ok()?;
        file.take(1_024).read_to_string(&mut text).ok()?;
        Self::from_text(&text)
    }

    /// Whether it opens the API at this address of this machine.
    #[must_use]
    pub fn is_for(&self, address: std::net::SocketAddr) -> bool {
        let listen = self.listen.ip().to_canonical();
        address.ip().to_canonical().is_loopback()
            && address.port() == self.listen.port()
            && (listen.is_unspecified() || listen == address.ip().to_canonical())
    }
}

/// A fresh token.
///
/// # Errors
///
/// The system gives no random numbers.
pub fn fresh_token() -> Result<Token, StoreError> {
    random().map(Token::from_random)
}

/// Random bytes from the system.
///
/// # Errors
///
/// It gives none.
pub fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    let mut missing = &mut bytes[..];
    while !missing.is_empty() {
        let got = getrandom(&mut *missing, GetRandomFlags::empty())
            .map_err(|error| StoreError::Random(error.into()))?;
        missing = &mut missing[got..];
    }
    Ok(bytes)
}

/// Seconds since 1970 by this computer's clock; 0 if it is set before.
#[must_use]
pub fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
