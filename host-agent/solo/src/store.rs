//! Files of found blocks: `HEIGHT-HASH.hex` is a block, and `HEIGHT-HASH.answer` beside it what
//! the node said to it. A block without an answer is sent again at the next start; any of them can
//! be handed in by hand with `bitcoin-cli submitblock $(cat FILE)`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::blocks::{FoundBlock, MAX_PENDING};

/// What a folder holds that is not done with yet.
#[derive(Debug, Default)]
pub struct Unanswered {
    /// Blocks without an answer, the highest first.
    pub blocks: Vec<FoundBlock>,
    /// Files that cannot be used, and why, for the owner.
    pub problems: Vec<String>,
}

/// Writes a block to a file that survives a loss of power, and gives its path back.
///
/// # Errors
///
/// Whatever the file system says, with the path.
pub fn save(folder: &Path, block: &FoundBlock) -> io::Result<PathBuf> {
    let path = folder.join(block.name()).with_extension(BLOCK);
    write(folder, &path, block.hex.as_bytes()).map_err(|error| at(&path, &error))?;
    Ok(path)
}

/// Notes the node's answer to a block.
///
/// # Errors
///
/// Whatever the file system says, with the path.
pub fn mark(folder: &Path, name: &str, answer: &str) -> io::Result<()> {
    let path = folder.join(name).with_extension(ANSWER);
    fs::write(&path, format!("{answer}\n")).map_err(|error| at(&path, &error))
}

/// Removes the files of a block that is done with. Missing ones do no harm.
pub fn remove(folder: &Path, name: &str) {
    // A block without an answer would be sent again, so the block goes first.
    for extension in [BLOCK, ANSWER] {
        let _ = fs::remove_file(folder.join(name).with_extension(extension));
    }
}

/// Tries whether blocks can be written to the folder, which is made if it is missing.
///
/// # Errors
///
/// Whatever the file system says, with the path.
pub fn check(folder: &Path) -> io::Result<()> {
    let probe = folder.join("probe");
    write(folder, &probe, &[]).map_err(|error| at(folder, &error))?;
    fs::remove_file(&probe).map_err(|error| at(&probe, &error))
}

/// Looks for blocks that the node has not answered for. A missing folder is an empty one.
#[must_use]
pub fn unanswered(folder: &Path) -> Unanswered {
    let mut found = Unanswered::default();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return found,
        Err(error) => {
            let problem = at(folder, &error);
            found.problems.push(format!(
                "cannot look for blocks that were not sent: {problem}"
            ));
            return found;
        }
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == BLOCK))
        .filter(|path| !path.with_extension(ANSWER).exists())
        .take(MAX_FILES)
        .collect();
    paths.sort();
    for path in paths {
        match read(&path) {
            Ok(block) => found.blocks.push(block),
            Err(why) if found.problems.len() < MAX_PENDING => {
                found.problems.push(format!("{}: {why}", path.display()));
            }
            Err(_) => {}
        }
    }
    found
        .blocks
        .sort_by_key(|block| std::cmp::Reverse(block.height));
    found.blocks.truncate(MAX_PENDING);
    found
}

const BLOCK: &str = "hex";
const ANSWER: &str = "answer";
/// Files without an answer that are looked at.
const MAX_FILES: usize = 4096;
/// A block has four million bytes at most, two digits each.
const MAX_FILE: u64 = 9 << 20;

/// The file appears under its name only when it is whole.
fn write(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    if !folder.is_dir() {
        fs::create_dir_all(folder)?;
        // A new folder's name is part of the one above.
        if let Some(above) = folder
            .parent()
            .filter(|above| !above.as_os_str().is_empty())
        {
            File::open(above)?.sync_all()?;
        }
    }
    let unfinished = path.with_extension("tmp");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    // The name is part of the folder.
    File::open(folder)?.sync_all()
}

fn read(path: &Path) -> Result<FoundBlock, String> {
    let mut hex = String::new();
    let mut file = File::open(path)
        .map_err(|error| error.to_string())?
        .take(MAX_FILE);
    file.read_to_string(&mut hex)
        .map_err(|error| error.to_string())?;
    FoundBlock::parse(&hex).map_err(|error| error.to_string())
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
