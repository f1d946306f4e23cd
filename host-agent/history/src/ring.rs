//! The pages of a store as one pool: which holds what, which may be written over next. Pages are
//! taken in turns, so that no spot is written more often than others, and never changed in part.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use crate::LEVELS;
use crate::metric::Kind;
use crate::page::{Meta, Moment, NAMES, PAGE, Page, PageBytes, Schema};

/// Where pages are kept: a file, or memory.
pub trait Pages {
    /// Pages there are.
    fn count(&self) -> u32;
    /// Reads one of them.
    ///
    /// # Errors
    /// What the medium says.
    fn read(&mut self, page: u32, into: &mut PageBytes) -> io::Result<()>;
    /// Writes one of them, or one more when `page` is their count.
    ///
    /// # Errors
    /// What the medium says.
    fn write(&mut self, page: u32, from: &PageBytes) -> io::Result<()>;
    /// Returns when everything that was written would survive a power cut.
    ///
    /// # Errors
    /// What the medium says.
    fn sync(&mut self) -> io::Result<()>;
    /// Leaves only the first `count` pages.
    ///
    /// # Errors
    /// What the medium says.
    fn truncate(&mut self, count: u32) -> io::Result<()>;
}

/// Pages of names that are kept.
const NAME_PAGES: usize = 8;

/// The pool.
#[derive(Debug)]
pub(crate) struct Ring<P> {
    pages: P,
    most: u32,
    /// What is in each page of a level below [`NAMES`].
    metas: BTreeMap<u32, Meta>,
    /// Pages of each level, of names the last, oldest first.
    order: [VecDeque<u32>; NAMES as usize + 1],
    spans: [u64; LEVELS.len()],
    free: VecDeque<u32>,
    pub(crate) damaged: u32,
    pub(crate) written: u64,
    dirty: bool,
}

/// What was found when a store was opened.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) last_seq: u64,
    /// Offset of the clock of each run, ms, as its newest page says.
    pub(crate) runs: BTreeMap<u32, i64>,
    pub(crate) names: BTreeMap<u32, (Kind, String)>,
}

impl<P: Pages> Ring<P> {
    /// Looks through all pages; those that are not whole are free.
    pub(crate) fn open(pages: P, most: u32) -> io::Result<(Self, Found)> {
        let mut ring = Self {
            most: most.max(16),
            metas: BTreeMap::new(),
            order: Default::default(),
            spans: [0; LEVELS.len()],
            free: VecDeque::new(),
            damaged: 0,
            written: 0,
            dirty: false,
            pages,
        };
        let mut found = Found::default();
        let mut told: BTreeMap<u32, (u64, i64)> = BTreeMap::new();
        let mut named: BTreeMap<u32, u64> = BTreeMap::new();
        let mut schemas: Vec<Arc<Schema>> = Vec::new();
        let mut all: BTreeMap<u64, (u32, u8)> = BTreeMap::new();
        let mut bytes = Box::new([0; PAGE]);
        for at in 0..ring.pages.count() {
            // A page that cannot be read now may be written anew.
            let page = match ring.pages.read(at, &mut bytes) {
                Ok(()) => Page::read(&bytes),
                Err(_) => None,
            };
            let Some(page) = page.filter(|page| !all.contains_key(&page.seq())) else {
                ring.damaged += u32::from(bytes.iter().any(|byte| *byte != 0));
                ring.free.push_back(at);
                continue;
            };
            if page.level() == NAMES {
                for (key, kind, name) in page.names() {
                    let newest = named.entry(key).or_default();
                    if *newest <= page.seq() {
                        *newest = page.seq();
                        found.names.insert(key, (kind, name));
                    }
                }
            } else {
                let known = schemas.iter().find(|schema| ***schema == *page.schema());
                let schema = known.cloned().unwrap_or_else(|| {
                    let series = page.schema().series.clone();
                    schemas.push(Arc::new(Schema { series }));
                    schemas[schemas.len() - 1].clone()
                });
                let Some(meta) = page.meta(schema) else {
                    ring.damaged += 1;
                    ring.free.push_back(at);
                    continue;
                };
                for (run, offset_ms) in page.runs() {
                    let newest = told.entry(*run).or_default();
                    if newest.0 <= page.seq() {
                        *newest = (page.seq(), *offset_ms);
                    }
                }
                ring.spans[usize::from(meta.level)] += meta.span;
                ring.metas.insert(at, meta);
            }
            all.insert(page.seq(), (at, page.level()));
        }
        found.last_seq = all.last_key_value().map_or(0, |(seq, _)| *seq);
        found.runs = told.into_iter().map(|(run, (_, ms))| (run, ms)).collect();
        for (at, level) in all.into_values() {
            ring.order[usize::from(level)].push_back(at);
        }
        ring.shrink()?;
        Ok((ring, found))
    }

    pub(crate) fn into_pages(self) -> P {
        self.pages
    }

    /// Bytes of the store.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.pages.count()) * PAGE as u64
    }

    pub(crate) fn most_bytes(&self) -> u64 {
        u64::from(self.most) * PAGE as u64
    }

    /// Pages of a level with what is in them, oldest first.
    pub(crate) fn level(&self, level: usize) -> impl DoubleEndedIterator<Item = (u32, &Meta)> {
        let pages = self.order[level].iter();
        pages.filter_map(|at| Some((*at, self.metas.get(at)?)))
    }

    pub(crate) fn read(&mut self, at: u32, into: &mut PageBytes) -> io::Result<()> {
        self.pages.read(at, into)
    }

    /// Writes a page of a level. `floors` are the moments, by level, from which on values are not yet
    /// on disk at that level; `groups` is how many schemas stand side by side.
    pub(crate) fn put(
        &mut self,
        bytes: &PageBytes,
        meta: Meta,
        floors: &[Option<Moment>; LEVELS.len()],
        groups: u64,
    ) -> io::Result<()> {
        let level = usize::from(meta.level);
        let at = self.place(floors, groups);
        self.write(at, bytes)?;
        self.spans[level] += meta.span;
        self.metas.insert(at, meta);
        self.order[level].push_back(at);
        Ok(())
    }

    /// Writes a page of names.
    pub(crate) fn put_names(
        &mut self,
        bytes: &PageBytes,
        floors: &[Option<Moment>; LEVELS.len()],
        groups: u64,
    ) -> io::Result<()> {
        let at = self.place(floors, groups);
        self.write(at, bytes)?;
        self.order[usize::from(NAMES)].push_back(at);
        Ok(())
    }

    /// Returns when what was written is on disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.dirty {
            self.pages.sync()?;
            self.dirty = false;
        }
        Ok(())
    }

    fn write(&mut self, at: u32, bytes: &PageBytes) -> io::Result<()> {
        if let Err(error) = self.pages.write(at, bytes) {
            // Whatever is there now, it is nothing to rely on.
            if at < self.pages.count() {
                self.free.push_back(at);
            }
            return Err(error);
        }
        self.written += PAGE as u64;
        self.dirty = true;
        Ok(())
    }

    /// A page to write to: one without use, one whose values are older than wanted, a new one; and when the store
    /// is as large as it may be, the oldest of the level that reaches furthest for its purpose.
    fn place(&mut self, floors: &[Option<Moment>; LEVELS.len()], groups: u64) -> u32 {
        if let Some(at) = self.free.pop_front() {
            return at;
        }
        let names = &mut self.order[usize::from(NAMES)];
        if names.len() > NAME_PAGES
            && let Some(at) = names.pop_front()
        {
            return at;
        }
        for (level, wanted) in LEVELS.iter().enumerate() {
            let keep = wanted.keep_s * groups.max(1);
            let floor = floors.get(level + 1).copied().flatten();
            let Some((_, oldest)) = self.level(level).next() else {
                continue;
            };
            let covered = floor.is_none_or(|floor| oldest.last() <= floor);
            if covered
                && self.spans[level].saturating_sub(oldest.span) >= keep
                && let Some(at) = self.drop_oldest(level)
            {
                return at;
            }
        }
        if self.pages.count() < self.most {
            return self.pages.count();
        }
        self.evict().unwrap_or(0)
    }

    /// Gives up the oldest page of the level that reaches furthest for its purpose.
    fn evict(&mut self) -> Option<u32> {
        let reach = |level: &usize| {
            let level = *level;
            (
                self.spans[level] as f64 / LEVELS[level].keep_s as f64,
                LEVELS.len() - level,
            )
        };
        let filled = (0..LEVELS.len()).filter(|level| !self.order[*level].is_empty());
        let level = filled.max_by(|a, b| {
            let ((a, first), (b, second)) = (reach(a), reach(b));
            a.total_cmp(&b).then(first.cmp(&second))
        });
        match level {
            Some(level) => self.drop_oldest(level),
            None => self.order[usize::from(NAMES)].pop_front(),
        }
    }

    fn drop_oldest(&mut self, level: usize) -> Option<u32> {
        let at = self.order[level].pop_front()?;
        if let Some(meta) = self.metas.remove(&at) {
            self.spans[level] = self.spans[level].saturating_sub(meta.span);
        }
        Some(at)
    }

    /// Brings a store that is larger than it may be now to its size, the newest pages kept.
    fn shrink(&mut self) -> io::Result<()> {
        let count = self.pages.count();
        if count <= self.most {
            return Ok(());
        }
        let used = |ring: &Self| ring.order.iter().map(VecDeque::len).sum::<usize>();
        while used(self) > self.most as usize {
            let Some(at) = self.evict() else { break };
            self.free.push_back(at);
        }
        let most = self.most;
        self.free.retain(|at| *at < most);
        let mut bytes = Box::new([0; PAGE]);
        for level in 0..self.order.len() {
            for position in 0..self.order[level].len() {
                let from = self.order[level][position];
                if from < most {
                    continue;
                }
                let Some(to) = self.free.pop_front() else {
                    continue;
                };
                self.pages.read(from, &mut bytes)?;
                self.write(to, &bytes)?;
                self.order[level][position] = to;
                if let Some(meta) = self.metas.remove(&from) {
                    self.metas.insert(to, meta);
                }
            }
        }
        self.pages.sync()?;
        self.pages.truncate(most)
    }
}

/// Pages in memory, for machines without a place to write.
#[derive(Clone, Debug, Default)]
pub struct MemoryPages(Vec<Box<PageBytes>>);

impl MemoryPages {
    /// The pages of this image of a file; what is no whole page at its end is left out.
    #[must_use]
    pub fn of(image: &[u8]) -> Self {
        let pages = image.chunks_exact(PAGE).map(|chunk| {
            let mut page = Box::new([0; PAGE]);
            page.copy_from_slice(chunk);
            page
        });
        Self(pages.collect())
    }

    /// All pages, one behind the other.
    #[must_use]
    pub fn image(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|page| page.iter().copied())
            .collect()
    }
}

impl Pages for MemoryPages {
    fn count(&self) -> u32 {
        self.0.len() as u32
    }

    fn read(&mut self, page: u32, into: &mut PageBytes) -> io::Result<()> {
        let from = self
            .0
            .get(page as usize)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(&**from);
        Ok(())
    }

    fn write(&mut self, page: u32, from: &PageBytes) -> io::Result<()> {
        match self.0.get_mut(page as usize) {
            Some(into) => into.copy_from_slice(from),
            None => self.0.push(Box::new(*from)),
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, count: u32) -> io::Result<()> {
        self.0.truncate(count as usize);
        Ok(())
    }
}
