//! The keeper of the series: seconds come in, become minutes and hours, and go to pages; after a
//! restart or a power cut, minutes and hours that had not reached the disk are made again from the
//! finer values that had.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rpc::history::{HistoryInfo, LevelInfo, Metric, Series, SeriesInfo};

use crate::column::NONE;
use crate::merge::Cell;
use crate::metric::{Kind, Part, of_bits, quantize};
use crate::page::{
    self, Builder, Meta, Moment, NAMES, PAGE, Page, PageBytes, Row, Schema, SeriesId, Stretch,
    names_page,
};
use crate::ring::{Pages, Ring};
use crate::{LEVELS, Level};

/// Most series that are recorded; boards and pools beyond are left out.
const MOST_SERIES: usize = 128;
/// Pages that wait for a disk which does not take them; then the oldest are given up.
const MOST_WAITING: usize = 64;
/// Rows after which a page of minutes or hours is written though there is room in it: an hour and a
/// day.
const ROWS: [usize; LEVELS.len()] = [usize::MAX, 60, 24];
/// Corrections of the clock up to this size are not worth a new date, ms.
const SLACK_MS: i64 = 2000;
/// 2025-01-01: a clock that says less was never set.
pub(crate) const SET_AFTER_MS: i64 = 1_735_689_600_000;
/// A run that claims to begin up to so long before the end of the one before is wrong, ms. Beyond that, the
/// one before was.
const DOUBT_MS: i64 = 86_400_000;

/// How a history is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Most bytes on disk; at least 64 KiB.
    pub max_bytes: u64,
    /// Seconds between two writes.
    pub write_every_s: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_bytes: 16 << 20,
            write_every_s: 60,
        }
    }
}

/// What a series is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Miner, board or pool.
    pub kind: Kind,
    /// What makes it itself, whatever its position: a port, a URL with a user. The history of the same
    /// identity goes on after a restart.
    pub identity: String,
    /// Its name for people.
    pub name: String,
}

/// The keeper.
#[derive(Debug)]
pub struct Archive<P> {
    settings: Settings,
    pub(crate) ring: Ring<P>,
    /// Pages that are not written yet, oldest first.
    waiting: VecDeque<(Box<PageBytes>, Meta)>,
    lost_pages: u64,
    /// By level, the oldest moment in pages that were written, but may not survive a power cut.
    unsynced: [Option<Moment>; LEVELS.len()],
    seq: u64,
    pub(crate) run: u32,
    /// The last second that came, of this run.
    pub(crate) now_s: Option<u32>,
    flushed_s: u32,
    /// Offset of the clock of each run, ms.
    runs: BTreeMap<u32, i64>,
    subjects: Vec<(u32, Subject)>,
    left_out: usize,
    names: BTreeMap<u32, (Kind, String)>,
    names_changed: bool,
    groups: Vec<Group>,
}

/// Series whose values stand side by side, on their way to pages.
#[derive(Debug)]
struct Group {
    schema: Arc<Schema>,
    builders: [Builder; LEVELS.len()],
    /// The minute and the hour that are not over.
    open: [Option<Open>; LEVELS.len() - 1],
}

/// A minute or an hour that is not over.
#[derive(Clone, Debug)]
struct Open {
    bucket: i64,
    run: u32,
    start: u32,
    end: u32,
    covered: u32,
    cells: Vec<Cell>,
}

impl<P: Pages> Archive<P> {
    /// Opens what is there and begins a new run. Damaged pages are given up; see [`Self::info`].
    ///
    /// # Errors
    /// When a store that is too large cannot be made smaller.
    pub fn open(pages: P, settings: Settings) -> io::Result<Self> {
        let most = settings.max_bytes / PAGE as u64;
        let (ring, found) = Ring::open(pages, u32::try_from(most).unwrap_or(u32::MAX))?;
        let run = found.runs.last_key_value().map_or(0, |(run, _)| *run);
        let mut archive = Self {
            settings,
            ring,
            waiting: VecDeque::new(),
            lost_pages: 0,
            unsynced: Default::default(),
            seq: found.last_seq,
            run: run.saturating_add(1),
            now_s: None,
            flushed_s: 0,
            runs: found.runs,
            subjects: Vec::new(),
            left_out: 0,
            names: found.names,
            names_changed: false,
            groups: Vec::new(),
        };
        archive.rebuild();
        Ok(archive)
    }

    /// Says whose values come next. What goes on keeps its series.
    pub fn subjects(&mut self, subjects: Vec<Subject>) {
        self.left_out = subjects.len().saturating_sub(MOST_SERIES);
        let keyed = subjects.into_iter().take(MOST_SERIES).map(|subject| {
            let key = page::key(subject.kind, &subject.identity);
            (key, subject)
        });
        let keyed: Vec<_> = keyed.collect();
        if keyed == self.subjects {
            return;
        }
        for (key, subject) in &keyed {
            let name = (subject.kind, subject.name.clone());
            if self.names.get(key) != Some(&name) {
                self.names.insert(*key, name);
                self.names_changed = true;
            }
        }
        let id = |(key, subject): &(u32, Subject)| SeriesId {
            key: *key,
            kind: subject.kind,
            metrics: page::bits(subject.kind),
        };
        let mut before = std::mem::take(&mut self.groups);
        for chunk in keyed.chunks(Schema::MOST) {
            let series = chunk.iter().map(id).collect();
            let schema = Schema { series };
            let kept = before.iter().position(|group| *group.schema == schema);
            let group = match kept {
                Some(at) => before.swap_remove(at),
                None => Group::new(Arc::new(schema)),
            };
            self.groups.push(group);
        }
        for mut group in before {
            for level in 0..LEVELS.len() {
                self.close(&mut group, level);
                self.seal(&mut group, level);
            }
        }
        self.subjects = keyed;
    }

    /// Takes the values of a second: for each subject those of its kind's metrics, in that order. `mono` is
    /// the time since this run began and never goes back; `wall_ms` is the time of day, ms since 1970, and
    /// may jump. A second time in the same second is ignored.
    pub fn push(&mut self, mono: Duration, wall_ms: i64, values: &[Vec<Option<f64>>]) {
        let now = u32::try_from(mono.as_secs()).unwrap_or(u32::MAX);
        if self.now_s.is_some_and(|last| now <= last) {
            return;
        }
        if self.now_s.is_none() {
            self.flushed_s = now;
        }
        self.now_s = Some(now);
        let mono_ms = i64::try_from(mono.as_millis()).unwrap_or(i64::MAX);
        self.date(wall_ms.saturating_sub(mono_ms));
        let mut values = values.iter();
        let mut groups = std::mem::take(&mut self.groups);
        for group in &mut groups {
            let mut cells = Vec::new();
            for series in &group.schema.series {
                let values = values.next().map_or(&[][..], Vec::as_slice);
                for (at, metric) in series.kind.metrics().iter().enumerate() {
                    cells.push(quantize(*metric, values.get(at).copied().flatten()));
                }
            }
            let row = Row {
                run: self.run,
                start: now,
                span: 1,
                covered: 1,
                cells,
            };
            self.add(group, 0, &row);
        }
        self.groups = groups;
    }

    /// Whether it is time to write.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.now_s
            .is_some_and(|now| now.saturating_sub(self.flushed_s) >= self.settings.write_every_s)
    }

    /// Writes everything that has come, and returns when it is on disk.
    ///
    /// # Errors
    /// What the disk says; what could not be written waits for the next time, as long as there is room.
    pub fn flush(&mut self) -> io::Result<()> {
        self.flushed_s = self.now_s.unwrap_or(0);
        let mut groups = std::mem::take(&mut self.groups);
        for group in &mut groups {
            self.seal(group, 0);
        }
        self.groups = groups;
        if self.names_changed {
            self.write_names()?;
        }
        // What this call writes over may only hold what was safe before it.
        let floors = self.floors();
        let groups = self.groups.len() as u64;
        while let Some((bytes, meta)) = self.waiting.front() {
            self.ring.put(bytes, meta.clone(), &floors, groups)?;
            let unsafe_from = &mut self.unsynced[usize::from(meta.level)];
            *unsafe_from = Some(unsafe_from.unwrap_or(meta.first()).min(meta.first()));
            self.waiting.pop_front();
        }
        self.ring.sync()?;
        self.unsynced = Default::default();
        Ok(())
    }

    /// The pages as they are; what was not written is given up.
    #[must_use]
    pub fn into_pages(self) -> P {
        self.ring.into_pages()
    }

    /// What there is.
    #[must_use]
    pub fn info(&self) -> HistoryInfo {
        let timeline = self.timeline();
        let mut levels = Vec::new();
        for (
            level,
            Level {
                resolution_s,
                keep_s,
            },
        ) in LEVELS.iter().enumerate()
        {
            let metas = self.metas(level);
            let builders = self.groups.iter().map(|group| &group.builders[level]);
            let at = |run, second: u32| Some(timeline.get(&run)? / 1000 + i64::from(second));
            let stored = metas.clone().flat_map(|meta| &meta.runs);
            let stretches = stored.chain(builders.clone().flat_map(Builder::stretches));
            let firsts = stretches.clone().filter_map(|one| at(one.run, one.first));
            let lasts = stretches.filter_map(|one| at(one.run, one.last));
            let rows = metas.clone().map(|meta| u64::from(meta.rows));
            let waiting = builders.map(|builder| builder.rows() as u64);
            levels.push(LevelInfo {
                resolution_s: *resolution_s,
                keep_s: *keep_s,
                oldest: firsts.min(),
                newest: lasts.max(),
                rows: rows.chain(waiting).sum(),
                bytes: metas.count() as u64 * PAGE as u64,
            });
        }
        let now: Vec<u32> = self.subjects.iter().map(|(key, _)| *key).collect();
        let gone = self.names.keys().filter(|key| !now.contains(key));
        let keys = now.iter().chain(gone);
        let series = keys.filter_map(|key| {
            let series = self.series(*key)?;
            let (kind, _) = self.names.get(key)?;
            Some(SeriesInfo {
                series,
                metrics: kind.metrics().to_vec(),
            })
        });
        let mut problems = Vec::new();
        if self.ring.damaged > 0 {
            problems.push(format!(
                "{} pages of the file were damaged when the agent started; what stood there is a gap",
                self.ring.damaged
            ));
        }
        if self.lost_pages > 0 {
            problems.push(format!("{} pages could not be written", self.lost_pages));
        }
        if self.left_out > 0 {
            problems.push(format!(
                "{} boards or pools are not recorded: there is room for {MOST_SERIES} series",
                self.left_out
            ));
        }
        let unsaved = self
            .groups
            .iter()
            .filter_map(|group| group.builders[0].first());
        let unsaved = unsaved.map(|(_, second)| second).min();
        HistoryInfo {
            enabled: true,
            file: None,
            problem: (!problems.is_empty()).then(|| problems.join("; ")),
            bytes: self.ring.bytes(),
            max_bytes: self.ring.most_bytes(),
            written_bytes: self.ring.written,
            damaged_pages: self.ring.damaged,
            unsaved_s: unsaved.map_or(0, |first| self.now_s.unwrap_or(first).saturating_sub(first)),
            levels,
            series: series.collect(),
        }
    }

    /// What is known of a series.
    pub(crate) fn series(&self, key: u32) -> Option<Series> {
        let (kind, name) = self.names.get(&key)?;
        let mut alike = self.subjects.iter().filter(|(_, one)| one.kind == *kind);
        Some(Series {
            key: format!("{key:08x}"),
            kind: kind.name().to_owned(),
            index: alike
                .position(|(known, _)| *known == key)
                .filter(|_| *kind != Kind::Miner),
            name: name.clone(),
        })
    }

    /// The series of what stands at this position now.
    pub(crate) fn key_of(&self, kind: Kind, index: usize) -> Option<u32> {
        let mut alike = self.subjects.iter().filter(|(_, one)| one.kind == kind);
        alike.nth(index).map(|(key, _)| *key)
    }

    pub(crate) fn count_of(&self, kind: Kind) -> usize {
        let alike = self.subjects.iter().filter(|(_, one)| one.kind == kind);
        alike.count()
    }

    /// When each run began, ms since 1970. Runs come one after the other whatever their clocks said: one
    /// without a set clock, or with one that lags a little, begins where the one before ended. One that
    /// begins much earlier is believed, because then the clock of the one before was wrong.
    pub(crate) fn timeline(&self) -> BTreeMap<u32, i64> {
        let mut timeline = BTreeMap::new();
        let mut before: Option<i64> = None;
        for (run, stretch) in self.stretches() {
            let mut zero = self.offset(run);
            let ms = |second: u32| i64::from(second) * 1000;
            let begin = zero.saturating_add(ms(stretch.first));
            if let Some(before) = before
                && begin < before
                && (begin < SET_AFTER_MS || before - begin <= DOUBT_MS)
            {
                zero = before - ms(stretch.first);
            }
            before = Some(zero.saturating_add(ms(stretch.last)));
            timeline.insert(run, zero);
        }
        timeline
    }

    /// The first and the last second that is known of each run.
    pub(crate) fn stretches(&self) -> BTreeMap<u32, Stretch> {
        let mut stretches: BTreeMap<u32, Stretch> = BTreeMap::new();
        let mut note = |one: Stretch| {
            let known = stretches.entry(one.run).or_insert(one);
            known.first = known.first.min(one.first);
            known.last = known.last.max(one.last);
        };
        for level in 0..LEVELS.len() {
            let metas = self.metas(level);
            metas.flat_map(|meta| meta.runs.clone()).for_each(&mut note);
        }
        for group in &self.groups {
            let builders = group.builders.iter().flat_map(Builder::stretches);
            builders.copied().for_each(&mut note);
            for open in group.open.iter().flatten() {
                note(Stretch {
                    run: open.run,
                    first: open.start,
                    last: open.end,
                });
            }
        }
        stretches
    }

    /// Calls `take` with each page of a level that has this series, oldest first, written or not, and at
    /// last with the value that is not complete.
    pub(crate) fn visit(
        &mut self,
        level: usize,
        key: u32,
        wanted: impl Fn(&Meta) -> bool,
        mut take: impl FnMut(Piece<'_>),
    ) {
        let has = |schema: &Schema| schema.series.iter().any(|series| series.key == key);
        let fits = |meta: &Meta| has(&meta.schema) && wanted(meta);
        let stored = self.ring.level(level).filter(|(_, meta)| fits(meta));
        let stored: Vec<u32> = stored.map(|(at, _)| at).collect();
        let mut bytes = Box::new([0; PAGE]);
        for at in stored {
            if self.ring.read(at, &mut bytes).is_ok()
                && let Some(page) = Page::read(&bytes)
            {
                take(Piece::Page(&page));
            }
        }
        for (bytes, meta) in &self.waiting {
            if usize::from(meta.level) == level
                && fits(meta)
                && let Some(page) = Page::read(bytes)
            {
                take(Piece::Page(&page));
            }
        }
        for group in self.groups.iter().filter(|group| has(&group.schema)) {
            if group.builders[level].rows() > 0 {
                let (bytes, meta) = group.builders[level].page(0);
                if let Some(page) = Page::read(&bytes).filter(|_| wanted(&meta)) {
                    take(Piece::Page(&page));
                }
            }
            if let Some(open) = level.checked_sub(1).and_then(|at| group.open[at].as_ref()) {
                take(Piece::Row(&group.schema, &open.row(&group.schema, level)));
            }
        }
    }

    /// What is known of the pages of a level, written or not.
    pub(crate) fn metas(&self, level: usize) -> impl Iterator<Item = &Meta> + Clone {
        let stored: Vec<&Meta> = self.ring.level(level).map(|(_, meta)| meta).collect();
        let waiting = self.waiting.iter().map(|(_, meta)| meta);
        let waiting = waiting.filter(move |meta| usize::from(meta.level) == level);
        stored.into_iter().chain(waiting)
    }

    fn offset(&self, run: u32) -> i64 {
        self.runs.get(&run).copied().unwrap_or(0)
    }

    /// Notes how far the clock is from the time of day. What this run recorded before is of the new date
    /// as well: a clock is set because it was wrong.
    fn date(&mut self, offset_ms: i64) {
        let known = self.runs.get(&self.run);
        if known.is_some_and(|known| known.saturating_sub(offset_ms).abs() <= SLACK_MS) {
            return;
        }
        self.runs.insert(self.run, offset_ms);
        for group in &mut self.groups {
            for builder in &mut group.builders {
                builder.redate(self.run, offset_ms);
            }
        }
    }

    /// Adds a row at a level and to what the next level makes of it.
    fn add(&mut self, group: &mut Group, level: usize, row: &Row) {
        if !group.builders[level].fits(row) {
            self.seal(group, level);
        }
        group.builders[level].push(row, self.offset(row.run));
        if group.builders[level].rows() >= ROWS[level] {
            self.seal(group, level);
        }
        self.lift(group, level, row);
    }

    /// Adds a row to the minute or hour that it belongs to.
    fn lift(&mut self, group: &mut Group, level: usize, row: &Row) {
        let Some(next) = LEVELS.get(level + 1) else {
            return;
        };
        let at_ms = self.offset(row.run) + i64::from(row.start) * 1000;
        let bucket = at_ms.div_euclid(i64::from(next.resolution_s) * 1000);
        let open = group.open[level].as_ref();
        if open.is_some_and(|open| (open.run, open.bucket) != (row.run, bucket)) {
            self.close(group, level + 1);
        }
        let metrics = group.schema.metrics();
        let open = group.open[level].get_or_insert_with(|| Open {
            bucket,
            run: row.run,
            start: row.start,
            end: row.start,
            covered: 0,
            cells: vec![Cell::default(); metrics.len()],
        });
        open.add(&group.schema, level, row);
    }

    /// Ends the minute or hour of a level.
    fn close(&mut self, group: &mut Group, level: usize) {
        let open = level.checked_sub(1).and_then(|at| group.open[at].take());
        if let Some(open) = open {
            let row = open.row(&group.schema, level);
            self.add(group, level, &row);
        }
    }

    /// Turns the rows of a level into a page that waits to be written.
    fn seal(&mut self, group: &mut Group, level: usize) {
        let builder = &mut group.builders[level];
        if builder.rows() == 0 {
            return;
        }
        self.seq += 1;
        self.waiting.push_back(builder.page(self.seq));
        builder.clear();
        if self.waiting.len() > MOST_WAITING {
            // Seconds first: of them the least is lost.
            let mut waiting = self.waiting.iter();
            let seconds = waiting.position(|(_, meta)| meta.level == 0);
            self.waiting.remove(seconds.unwrap_or(0));
            self.lost_pages += 1;
        }
    }

    /// By level, the moment from which on values are not on disk.
    fn floors(&self) -> [Option<Moment>; LEVELS.len()] {
        let mut floors = [None; LEVELS.len()];
        for (level, floor) in floors.iter_mut().enumerate() {
            let waiting = self.waiting.iter().map(|(_, meta)| meta);
            let waiting = waiting.filter(|meta| usize::from(meta.level) == level);
            let building = self.groups.iter().filter_map(|group| {
                let open = level.checked_sub(1).and_then(|at| group.open[at].as_ref());
                let open = open.map(|open| (open.run, open.start));
                group.builders[level].first().into_iter().chain(open).min()
            });
            let written = self.unsynced[level];
            *floor = waiting
                .map(Meta::first)
                .chain(building)
                .chain(written)
                .min();
        }
        floors
    }

    /// Writes the names of the series of now, then as many others as fit beside them.
    fn write_names(&mut self) -> io::Result<()> {
        let now: Vec<u32> = self.subjects.iter().map(|(key, _)| *key).collect();
        let gone = self.names.keys().filter(|key| !now.contains(key));
        let keys = now.iter().chain(gone);
        let named = keys.filter_map(|key| {
            let (kind, name) = self.names.get(key)?;
            Some((*key, *kind, name.clone()))
        });
        let names: Vec<_> = named.collect();
        let floors = self.floors();
        let mut rest = &names[..];
        let mut of_now = now.len();
        loop {
            self.seq += 1;
            let (bytes, fitted) = names_page(self.seq, rest);
            self.ring
                .put_names(&bytes, &floors, self.groups.len() as u64)?;
            rest = &rest[fitted..];
            of_now = of_now.saturating_sub(fitted);
            if of_now == 0 || fitted == 0 {
                break;
            }
        }
        self.names_changed = false;
        Ok(())
    }

    /// Makes the minutes and hours again that were not yet written when the last run ended.
    fn rebuild(&mut self) {
        let mut schemas: Vec<Arc<Schema>> = Vec::new();
        for level in 0..LEVELS.len() - 1 {
            for (_, meta) in self.ring.level(level) {
                if !schemas
                    .iter()
                    .any(|schema| Arc::ptr_eq(schema, &meta.schema))
                {
                    schemas.push(meta.schema.clone());
                }
            }
        }
        for schema in schemas {
            let mut group = Group::new(schema.clone());
            for level in (0..LEVELS.len() - 1).rev() {
                let of = |level| {
                    let pages = self.ring.level(level);
                    pages.filter(|(_, meta)| Arc::ptr_eq(&meta.schema, &schema))
                };
                let written = of(level + 1).map(|(_, meta)| meta.last()).max();
                let written = written.unwrap_or((0, 0));
                let missing = of(level).filter(|(_, meta)| meta.last() > written);
                let missing: Vec<u32> = missing.map(|(at, _)| at).collect();
                let mut bytes = Box::new([0; PAGE]);
                for at in missing {
                    let read = self.ring.read(at, &mut bytes).ok();
                    let rows = read.and_then(|()| Page::read(&bytes)?.rows());
                    for row in rows.into_iter().flatten() {
                        if row.begins() >= written {
                            self.lift(&mut group, level, &row);
                        }
                    }
                }
            }
            if group.has_rows() {
                self.groups.push(group);
            }
        }
    }
}

/// Part of what a query looks through.
pub(crate) enum Piece<'a> {
    Page(&'a Page<'a>),
    Row(&'a Schema, &'a Row),
}

impl Group {
    fn new(schema: Arc<Schema>) -> Self {
        Self {
            builders: std::array::from_fn(|level| Builder::new(schema.clone(), level)),
            open: Default::default(),
            schema,
        }
    }

    fn has_rows(&self) -> bool {
        self.open.iter().any(Option::is_some)
            || self.builders.iter().any(|builder| builder.rows() > 0)
    }
}

impl Open {
    /// Takes a row of the level below.
    fn add(&mut self, schema: &Schema, level: usize, row: &Row) {
        self.end = self.end.max(row.ends().1);
        self.covered = self.covered.saturating_add(row.covered);
        let mut cells = row.cells.iter();
        for (cell, (_, metric)) in self.cells.iter_mut().zip(schema.metrics()) {
            cell.add(metric, take(&mut cells, metric, level), row.covered);
        }
    }

    /// The row that it is so far, at its own level.
    fn row(&self, schema: &Schema, level: usize) -> Row {
        let metrics = schema.metrics();
        let columns = self
            .cells
            .iter()
            .zip(&metrics)
            .flat_map(|(cell, (_, metric))| {
                let parts = crate::metric::parts(*metric, level).iter();
                parts.map(move |part| cell.part(*metric, *part, level - 1))
            });
        Row {
            run: self.run,
            start: self.start,
            span: self.end.saturating_sub(self.start),
            covered: self.covered,
            cells: columns.collect(),
        }
    }
}

/// The next metric of a row: its value, lowest and highest.
fn take<'c>(cells: &mut impl Iterator<Item = &'c i32>, metric: Metric, level: usize) -> [i32; 3] {
    let mut found = [NONE; 3];
    for part in crate::metric::parts(metric, level) {
        let at = match part {
            Part::Value => 0,
            Part::Min => 1,
            Part::Max => 2,
        };
        found[at] = cells.next().copied().unwrap_or(NONE);
    }
    found
}

/// The metrics of a series in a schema, and where the columns of each begin at a level.
pub(crate) fn columns_of(schema: &Schema, key: u32, level: usize) -> Vec<(Metric, usize)> {
    let mut at = 0;
    let mut found = Vec::new();
    for series in &schema.series {
        for metric in of_bits(series.metrics).unwrap_or_default() {
            if series.key == key {
                found.push((metric, at));
            }
            at += crate::metric::parts(metric, level).len();
        }
    }
    found
}

const _: () = assert!(NAMES as usize == LEVELS.len());
