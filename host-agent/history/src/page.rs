//! A page: what is written at once and read at once. Each stands alone, with a checksum, a number that
//! orders it among all, its level, its runs and its series; so any page may be lost without another.
//!
//! ```text
//!  0  magic "HWh1"              24  payload: runs, each number (4) and offset of the clock in ms (8)
//!  4  CRC-32 of all behind it            series, each key (4), kind (1), metrics (4)
//!  8  sequence number (8)                columns, each its length (a varint) and its bytes:
//! 16  level                                run, start, span, covered, then the metrics of each series
//! 17  number of runs
//! 18  rows (2)
//! 20  series (2)
//! 22  length of the payload (2)
//! ```
//! Numbers are little endian. The names of series stand in pages of a level of their own.

use std::sync::Arc;

use rpc::history::Metric;

use crate::column::{self, Column};
use crate::metric::{Kind, Part, bit, of_bits, parts};

/// Bytes of a page: what file systems and flash translation layers write at least.
pub const PAGE: usize = 4096;

/// A page's bytes.
pub type PageBytes = [u8; PAGE];

const MAGIC: [u8; 4] = *b"HWh1";
const HEAD: usize = 24;
const ROOM: usize = PAGE - HEAD;
/// Columns before those of the metrics: run, start, span, covered.
const OWN: usize = 4;
/// Most rows and runs of a page.
const MOST_ROWS: usize = 4096;
const MOST_RUNS: usize = 32;
/// Bytes of a column's length at most.
const LENGTH: usize = 2;
/// The level of pages that hold names.
pub(crate) const NAMES: u8 = 3;

/// A series as pages know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeriesId {
    pub(crate) key: u32,
    pub(crate) kind: Kind,
    pub(crate) metrics: u32,
}

/// The series whose values stand side by side.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Schema {
    pub(crate) series: Vec<SeriesId>,
}

impl Schema {
    /// Most series of one schema: a row of them fits into a page whatever it holds.
    pub(crate) const MOST: usize = 8;

    /// Metrics in the order of their columns.
    pub(crate) fn metrics(&self) -> Vec<(usize, Metric)> {
        let of = |(at, series): (usize, &SeriesId)| {
            let metrics = of_bits(series.metrics).unwrap_or_default();
            metrics.into_iter().map(move |metric| (at, metric))
        };
        self.series.iter().enumerate().flat_map(of).collect()
    }

    /// Columns at a level.
    pub(crate) fn columns(&self, level: usize) -> Vec<(usize, Metric, Part)> {
        let of = |(at, metric): (usize, Metric)| {
            parts(metric, level)
                .iter()
                .map(move |part| (at, metric, *part))
        };
        self.metrics().into_iter().flat_map(of).collect()
    }
}

/// A moment: number of the run and seconds since its beginning.
pub(crate) type Moment = (u32, u32);

/// A piece of time with its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) run: u32,
    /// Seconds since the run began.
    pub(crate) start: u32,
    /// Seconds to its end.
    pub(crate) span: u32,
    /// Seconds of them that are known.
    pub(crate) covered: u32,
    /// By the columns of the schema at its level.
    pub(crate) cells: Vec<i32>,
}

impl Row {
    pub(crate) fn begins(&self) -> Moment {
        (self.run, self.start)
    }

    pub(crate) fn ends(&self) -> Moment {
        (self.run, self.start.saturating_add(self.span))
    }
}

/// Rows that are on their way into a page.
#[derive(Clone, Debug)]
pub(crate) struct Builder {
    schema: Arc<Schema>,
    level: usize,
    columns: Vec<Column>,
    runs: Vec<(u32, i64)>,
    stretches: Vec<Stretch>,
    rows: usize,
    /// Second at which the last row ends.
    end: u32,
    span: u64,
}

/// A stretch of a run: its number, first and last second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) run: u32,
    pub(crate) first: u32,
    pub(crate) last: u32,
}

impl Stretch {
    /// Makes the stretches of rows one by one.
    pub(crate) fn note(stretches: &mut Vec<Self>, row: &Row) {
        let ((run, first), (_, last)) = (row.begins(), row.ends());
        match stretches.iter_mut().find(|stretch| stretch.run == run) {
            Some(stretch) => {
                stretch.first = stretch.first.min(first);
                stretch.last = stretch.last.max(last);
            }
            None => stretches.push(Self { run, first, last }),
        }
    }
}

/// What is known of a page without looking into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) seq: u64,
    pub(crate) level: u8,
    pub(crate) schema: Arc<Schema>,
    /// Its runs, and of each the begin of the first and the end of the last row.
    pub(crate) runs: Vec<Stretch>,
    pub(crate) rows: u32,
    /// Seconds of all rows.
    pub(crate) span: u64,
}

impl Meta {
    /// Begin of its first row.
    pub(crate) fn first(&self) -> Moment {
        let first = self.runs.first();
        first.map_or((0, 0), |stretch| (stretch.run, stretch.first))
    }

    /// End of its last row.
    pub(crate) fn last(&self) -> Moment {
        let last = self.runs.last();
        last.map_or((0, 0), |stretch| (stretch.run, stretch.last))
    }
}

impl Builder {
    pub(crate) fn new(schema: Arc<Schema>, level: usize) -> Self {
        let columns = vec![Column::default(); OWN + schema.columns(level).len()];
        Self {
            schema,
            level,
            columns,
            runs: Vec::new(),
            stretches: Vec::new(),
            rows: 0,
            end: 0,
            span: 0,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The runs that its rows are of.
    pub(crate) fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Begin of the oldest row.
    pub(crate) fn first(&self) -> Option<Moment> {
        let first = self.stretches.first()?;
        Some((first.run, first.first))
    }

    /// Whether another row fits; one always does.
    pub(crate) fn fits(&self, row: &Row) -> bool {
        let runs = self.runs.len() + 1;
        let own = self.own(row);
        let cells = own.iter().chain(&row.cells);
        let columns = self.columns.iter().zip(cells);
        let columns: usize = columns
            .map(|(column, cell)| LENGTH + column.len_with(*cell))
            .sum();
        self.rows == 0
            || (self.rows < MOST_ROWS
                && runs <= MOST_RUNS
                && 12 * runs + 9 * self.schema.series.len() + columns <= ROOM)
    }

    /// The first columns. Starts count from the end of the row before, so that only gaps take room.
    fn own(&self, row: &Row) -> [i32; OWN] {
        let gap = row.start.wrapping_sub(self.end);
        [row.run, gap, row.span, row.covered].map(|number| number as i32)
    }

    /// Adds a row; `offset_ms` is that of its run.
    pub(crate) fn push(&mut self, row: &Row, offset_ms: i64) {
        match self.runs.iter_mut().find(|(run, _)| *run == row.run) {
            Some((_, offset)) => *offset = offset_ms,
            None => self.runs.push((row.run, offset_ms)),
        }
        let own = self.own(row);
        Stretch::note(&mut self.stretches, row);
        self.end = row.ends().1;
        self.rows += 1;
        self.span += u64::from(row.span);
        let cells = own.iter().chain(&row.cells);
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.push(*cell);
        }
    }

    /// Says what is known of a run's clock by now.
    pub(crate) fn redate(&mut self, run: u32, offset_ms: i64) {
        if let Some((_, offset)) = self.runs.iter_mut().find(|(known, _)| *known == run) {
            *offset = offset_ms;
        }
    }

    /// The page of what is there.
    pub(crate) fn page(&self, seq: u64) -> (Box<PageBytes>, Meta) {
        let mut payload = Vec::with_capacity(ROOM);
        for (run, offset_ms) in &self.runs {
            payload.extend_from_slice(&run.to_le_bytes());
            payload.extend_from_slice(&offset_ms.to_le_bytes());
        }
        for series in &self.schema.series {
            payload.extend_from_slice(&series.key.to_le_bytes());
            payload.push(series.kind.number());
            payload.extend_from_slice(&series.metrics.to_le_bytes());
        }
        let mut bytes = Vec::new();
        for column in &self.columns {
            bytes.clear();
            column.write(&mut bytes);
            column::put(&mut payload, bytes.len() as u64);
            payload.extend_from_slice(&bytes);
        }
        let head = Head {
            seq,
            level: self.level as u8,
            runs: self.runs.len() as u8,
            rows: self.rows as u16,
            series: self.schema.series.len() as u16,
        };
        let meta = Meta {
            seq,
            level: self.level as u8,
            schema: self.schema.clone(),
            runs: self.stretches.clone(),
            rows: self.rows as u32,
            span: self.span,
        };
        (seal(&head, &payload), meta)
    }

    /// Forgets the rows.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.schema.clone(), self.level);
    }
}

#[derive(Clone, Copy, Debug)]
struct Head {
    seq: u64,
    level: u8,
    runs: u8,
    rows: u16,
    series: u16,
}

fn seal(head: &Head, payload: &[u8]) -> Box<PageBytes> {
    let mut page = Box::new([0; PAGE]);
    page[..4].copy_from_slice(&MAGIC);
    page[8..16].copy_from_slice(&head.seq.to_le_bytes());
    page[16] = head.level;
    page[17] = head.runs;
    page[18..20].copy_from_slice(&head.rows.to_le_bytes());
    page[20..22].copy_from_slice(&head.series.to_le_bytes());
    // What would not fit is left out, and the page is then refused by its reader; builders do not let
    // it come to that.
    let length = payload.len().min(ROOM);
    page[22..24].copy_from_slice(&(length as u16).to_le_bytes());
    page[HEAD..HEAD + length].copy_from_slice(&payload[..length]);
    let crc = crc32fast::hash(&page[8..]);
    page[4..8].copy_from_slice(&crc.to_le_bytes());
    page
}

/// A page that was read and is whole.
#[derive(Debug)]
pub(crate) struct Page<'p> {
    head: Head,
    runs: Vec<(u32, i64)>,
    schema: Schema,
    /// Bytes of each column.
    columns: Vec<&'p [u8]>,
    payload: &'p [u8],
}

impl<'p> Page<'p> {
    /// None if it is not one of ours, was not written to its end, or has changed since.
    pub(crate) fn read(page: &'p PageBytes) -> Option<Self> {
        let crc = u32::from_le_bytes(page[4..8].try_into().ok()?);
        if page[..4] != MAGIC || crc32fast::hash(&page[8..]) != crc {
            return None;
        }
        Self::parse(page)
    }

    fn parse(page: &'p PageBytes) -> Option<Self> {
        let two = |at: usize| u16::from_le_bytes([page[at], page[at + 1]]);
        let head = Head {
            seq: u64::from_le_bytes(page[8..16].try_into().ok()?),
            level: page[16],
            runs: page[17],
            rows: two(18),
            series: two(20),
        };
        let payload = page[HEAD..].get(..usize::from(two(22)))?;
        let mut read = Self {
            head,
            runs: Vec::new(),
            schema: Schema { series: Vec::new() },
            columns: Vec::new(),
            payload,
        };
        match head.level {
            NAMES => Some(read),
            0..NAMES => read.table(payload).map(|()| read),
            _ => None,
        }
    }

    fn table(&mut self, mut rest: &'p [u8]) -> Option<()> {
        if self.head.rows == 0 || usize::from(self.head.series) > Schema::MOST {
            return None;
        }
        for _ in 0..self.head.runs {
            let run = u32::from_le_bytes(*rest.split_first_chunk()?.0);
            let offset_ms = i64::from_le_bytes(*rest[4..].split_first_chunk()?.0);
            self.runs.push((run, offset_ms));
            rest = &rest[12..];
        }
        for _ in 0..self.head.series {
            let (fixed, behind) = rest.split_first_chunk::<9>()?;
            let metrics = u32::from_le_bytes(*fixed.last_chunk()?);
            of_bits(metrics)?;
            self.schema.series.push(SeriesId {
                key: u32::from_le_bytes(*fixed.first_chunk()?),
                kind: Kind::from_number(fixed[4])?,
                metrics,
            });
            rest = behind;
        }
        let columns = OWN + self.schema.columns(self.head.level.into()).len();
        for _ in 0..columns {
            let length = usize::try_from(column::take(&mut rest)?).ok()?;
            let (bytes, behind) = rest.split_at_checked(length)?;
            self.columns.push(bytes);
            rest = behind;
        }
        rest.is_empty().then_some(())
    }

    pub(crate) fn seq(&self) -> u64 {
        self.head.seq
    }

    pub(crate) fn level(&self) -> u8 {
        self.head.level
    }

    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The runs that its rows are of, and how far their clocks are from the time of day, ms.
    pub(crate) fn runs(&self) -> &[(u32, i64)] {
        &self.runs
    }

    /// The times of its rows, without values.
    pub(crate) fn times(&self) -> Option<Vec<Row>> {
        let mut own = Vec::with_capacity(OWN);
        for at in 0..OWN {
            own.push(column::read(self.columns.get(at)?, self.head.rows.into())?);
        }
        let mut end = 0_u32;
        let row = |at: usize| {
            let row = Row {
                run: own[0][at] as u32,
                start: end.wrapping_add(own[1][at] as u32),
                span: own[2][at] as u32,
                covered: own[3][at] as u32,
                cells: Vec::new(),
            };
            end = row.ends().1;
            row
        };
        Some((0..self.head.rows.into()).map(row).collect())
    }

    /// The values of one column of the metrics.
    pub(crate) fn column(&self, at: usize) -> Option<Vec<i32>> {
        column::read(self.columns.get(OWN + at)?, self.head.rows.into())
    }

    /// Its rows with all values.
    pub(crate) fn rows(&self) -> Option<Vec<Row>> {
        let mut rows = self.times()?;
        for at in OWN..self.columns.len() {
            let cells = self.column(at - OWN)?;
            for (row, cell) in rows.iter_mut().zip(cells) {
                row.cells.push(cell);
            }
        }
        Some(rows)
    }

    /// What is to be remembered of it.
    pub(crate) fn meta(&self, schema: Arc<Schema>) -> Option<Meta> {
        let rows = self.times()?;
        let mut runs = Vec::with_capacity(self.runs.len());
        rows.iter().for_each(|row| Stretch::note(&mut runs, row));
        Some(Meta {
            seq: self.head.seq,
            level: self.head.level,
            schema,
            runs,
            rows: rows.len() as u32,
            span: rows.iter().map(|row| u64::from(row.span)).sum(),
        })
    }

    /// The names that it holds, by key.
    pub(crate) fn names(&self) -> Vec<Name> {
        let mut names = Vec::new();
        let mut rest = match self.head.level {
            NAMES => self.payload,
            _ => &[],
        };
        while let Some(name) = name(&mut rest) {
            names.push(name);
        }
        names
    }
}

/// Key, kind and name of a series.
pub(crate) type Name = (u32, Kind, String);

/// Takes a name off the front.
fn name(bytes: &mut &[u8]) -> Option<Name> {
    let (fixed, rest) = bytes.split_first_chunk::<6>()?;
    let (text, rest) = rest.split_at_checked(fixed[5].into())?;
    *bytes = rest;
    let key = u32::from_le_bytes(*fixed.first_chunk()?);
    let text = String::from_utf8_lossy(text).into_owned();
    Some((key, Kind::from_number(fixed[4])?, text))
}

/// Longest name, bytes.
pub(crate) const NAME_BYTES: usize = 120;

/// A page with as many names as fit, and how many those are.
pub(crate) fn names_page(seq: u64, names: &[Name]) -> (Box<PageBytes>, usize) {
    let mut payload = Vec::new();
    let mut fitted = 0;
    for (key, kind, name) in names {
        let end = name.floor_char_boundary_at(NAME_BYTES);
        if payload.len() + 6 + end > ROOM {
            break;
        }
        payload.extend_from_slice(&key.to_le_bytes());
        payload.push(kind.number());
        payload.push(end as u8);
        payload.extend_from_slice(&name.as_bytes()[..end]);
        fitted += 1;
    }
    let head = Head {
        seq,
        level: NAMES,
        runs: 0,
        rows: fitted as u16,
        series: 0,
    };
    (seal(&head, &payload), fitted)
}

trait CharBoundary {
    fn floor_char_boundary_at(&self, most: usize) -> usize;
}

impl CharBoundary for str {
    /// The most bytes of it, up to `most`, that end with a whole character.
    fn floor_char_boundary_at(&self, most: usize) -> usize {
        (0..=most.min(self.len()))
            .rev()
            .find(|at| self.is_char_boundary(*at))
            .unwrap_or(0)
    }
}

/// Stable key of a series: what it is of, not where it stands.
pub(crate) fn key(kind: Kind, identity: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind.number()]);
    hasher.update(identity.as_bytes());
    hasher.finalize()
}

/// The bits of all metrics of a kind.
pub(crate) fn bits(kind: Kind) -> u32 {
    kind.metrics()
        .iter()
        .fold(0, |bits, metric| bits | bit(*metric))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schema(series: usize) -> Arc<Schema> {
        let of = |at: usize| {
            let kind = match at {
                0 => Kind::Miner,
                1..5 => Kind::Board,
                _ => Kind::Pool,
            };
            SeriesId {
                key: at as u32,
                kind,
                metrics: bits(kind),
            }
        };
        Arc::new(Schema {
            series: (0..series).map(of).collect(),
        })
    }

    proptest! {
        #[test]
        fn rows_come_back_from_pages(level in 0_usize..3, seeds in prop::collection::vec(any::<u64>(), 1..200)) {
            let schema = schema(8);
            let columns = schema.columns(level).len();
            let mut builder = Builder::new(schema.clone(), level);
            let mut expected = Vec::new();
            let mut start = 0;
            for (at, seed) in seeds.iter().enumerate() {
                let mut random = fastrand::Rng::with_seed(*seed);
                let wild = random.u8(..) == 0;
                let cell = |_| if wild { random.i32(..) } else { random.i32(-50..50) };
                let cells = (0..columns).map(cell).collect();
                let row = Row { run: 3 + at as u32 / 30, start, span: 1, covered: 1, cells };
                start += 1 + random.u32(..3);
                if !builder.fits(&row) {
                    break;
                }
                builder.push(&row, -5);
                expected.push(row);
            }
            let (bytes, meta) = builder.page(77);
            let page = Page::read(&bytes).unwrap();
            prop_assert_eq!(page.seq(), 77);
            prop_assert_eq!(page.schema(), &*schema);
            prop_assert_eq!(page.rows().unwrap(), expected);
            prop_assert_eq!(page.meta(schema).unwrap(), meta);
        }

        #[test]
        fn a_page_that_changed_anywhere_is_refused(at in 0..PAGE, flip in 1_u8..) {
            let mut builder = Builder::new(schema(3), 0);
            let cells = vec![7; schema(3).columns(0).len()];
            builder.push(&Row { run: 1, start: 0, span: 1, covered: 1, cells }, 0);
            let (mut bytes, _) = builder.page(1);
            bytes[at] ^= flip;
            prop_assert!(Page::read(&bytes).is_none());
        }

        #[test]
        fn pages_that_only_look_whole_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 1..300), level in 0_u8..5) {
            let mut page = [0; PAGE];
            page[16] = level;
            page[17] = bytes[0] % 4;
            page[18] = 3;
            page[20] = bytes[0] % 9;
            page[22..24].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
            page[HEAD..HEAD + bytes.len()].copy_from_slice(&bytes);
            if let Some(page) = Page::parse(&page) {
                let _ = (page.rows(), page.names());
            }
        }
    }

    #[test]
    fn names_come_back() {
        let long = "ü".repeat(100);
        let names = [
            (1, Kind::Board, "board 0".to_owned()),
            (2, Kind::Pool, long),
        ];
        let (page, fitted) = names_page(9, &names);
        assert_eq!(fitted, 2);
        let read = Page::read(&page).unwrap().names();
        assert_eq!(read[0], names[0]);
        assert_eq!(read[1].2, "ü".repeat(60));
    }
}
