//! The file behind the pages, and the only code here that touches the disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::page::{PAGE, PageBytes};
use crate::ring::Pages;

/// Pages in a file. Nobody else may write to it meanwhile; that is the owner's to see to.
#[derive(Debug)]
pub struct FilePages {
    file: File,
    count: u32,
}

impl FilePages {
    /// Opens the file, or makes it, readable for its owner only.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(path)?;
        let pages = file.metadata()?.len() / PAGE as u64;
        if pages == 0
            && let Some(folder) = path.parent()
        {
            // Or else a power cut might take the file's entry and leave its pages.
            File::open(folder)?.sync_all()?;
        }
        Ok(Self {
            file,
            // A page that was not written to its end is written anew.
            count: u32::try_from(pages).unwrap_or(u32::MAX),
        })
    }

    /// The file, for a lock.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

fn place(page: u32) -> u64 {
    u64::from(page) * PAGE as u64
}

impl Pages for FilePages {
    fn count(&self) -> u32 {
        self.count
    }

    fn read(&mut self, page: u32, into: &mut PageBytes) -> io::Result<()> {
        self.file.read_exact_at(into, place(page))
    }

    fn write(&mut self, page: u32, from: &PageBytes) -> io::Result<()> {
        self.file.write_all_at(from, place(page))?;
        self.count = self.count.max(page.saturating_add(1));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, count: u32) -> io::Result<()> {
        self.file.set_len(place(count))?;
        self.count = self.count.min(count);
        Ok(())
    }
}
