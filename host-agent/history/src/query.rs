//! Answers to `history.query`: which resolution, which step, and the values in it. What a query may
//! cost is bounded by what is kept and by the number of points.

use std::collections::BTreeMap;

use rpc::history::{DEFAULT_POINTS, History, Mark, Metric, POINTS, Query, Series, Values};

use crate::LEVELS;
use crate::archive::{Archive, Piece, SET_AFTER_MS, columns_of};
use crate::column::NONE;
use crate::merge::Cell;
use crate::metric::{Kind, Part, STATES, extremes, parts, rounded, value};
use crate::page::Row;
use crate::ring::Pages;

/// Most points times metrics of one reply.
const MOST_VALUES: u64 = 16_000;
/// Most marks of one reply.
const MOST_MARKS: usize = 200;
/// Steps that people read easily, seconds; then whole days.
const STEPS: [i64; 21] = [
    1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 14_400,
    21_600, 43_200, 86_400,
];
const DAY: i64 = 86_400;
/// Times are taken from 1970 to about the year 4000.
const TIMES: std::ops::RangeInclusive<i64> = 0..=64_000_000_000;

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The range ends before it begins.
    #[error("`from` ({from}) must be before `to` ({to}); both are seconds since 1970")]
    Inverted {
        /// Its beginning.
        from: i64,
        /// Its end.
        to: i64,
    },
    /// A time far from any.
    #[error("`{name}` is {value}, but must be seconds since 1970, from 0 to 64000000000")]
    Time {
        /// Of which parameter.
        name: &'static str,
        /// Its value.
        value: i64,
    },
    /// Nothing can be known of it yet.
    #[error("`from` ({from}) lies in the future: it is {now} now, in seconds since 1970")]
    Future {
        /// The beginning asked for.
        from: i64,
        /// Now.
        now: i64,
    },
    /// Nothing is known of it any more.
    #[error("nothing is kept from before {oldest} (seconds since 1970), but `to` is {to}")]
    Past {
        /// The end asked for.
        to: i64,
        /// The oldest value.
        oldest: i64,
    },
    /// Out of range.
    #[error("`points` is {0}, but must be from {first} to {last}", first = POINTS.start(), last = POINTS.end())]
    Points(u32),
    /// A step that leaves no time.
    #[error("`step_s` is 0, but must be at least 1")]
    NoStep,
    /// More than one reply takes.
    #[error(
        "that is {points} points of {metrics} metrics, but {most} points are the most here: ask for a \
         shorter range, a longer `step_s` or fewer `metrics`"
    )]
    TooMany {
        /// Points asked for.
        points: u64,
        /// Metrics asked for.
        metrics: usize,
        /// Points that are possible.
        most: u64,
    },
    /// Boards, pools and series exclude each other.
    #[error("give only one of `board`, `pool` and `series`")]
    OneOf,
    /// No such board or pool.
    #[error("there is no {kind} {index}; {count} are recorded, counted from 0")]
    Position {
        /// `board` or `pool`.
        kind: &'static str,
        /// The position asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// No such series.
    #[error("there is no series \"{0}\"; `history.info` lists all")]
    Series(String),
    /// It does not have that.
    #[error("a {kind} has no {metric}; it has {has}")]
    Metric {
        /// Kind of the series.
        kind: String,
        /// What was asked for.
        metric: &'static str,
        /// What it has.
        has: String,
    },
    /// Nothing came in yet.
    #[error("the miner is not recorded yet; try again in a second")]
    Empty,
}

impl<P: Pages> Archive<P> {
    /// Answers a query.
    ///
    /// # Errors
    /// When it asks for what cannot be; the text says what can.
    pub fn query(&mut self, query: &Query) -> Result<History, QueryError> {
        let key = self.wanted_series(query)?;
        let series = self.series(key).ok_or(QueryError::Empty)?;
        let metrics = wanted_metrics(query, &series)?;
        let timeline = self.timeline();
        let seconds = |run: u32, second: u32| {
            timeline
                .get(&run)
                .map_or(i64::MIN, |zero| zero.div_euclid(1000))
                + i64::from(second)
        };
        let now = match self.now_s {
            Some(second) => seconds(self.run, second) + 1,
            None => return Err(QueryError::Empty),
        };
        let oldest = self.oldest(&timeline, now);
        let (from, to) = range(query, now)?;
        if let Some(oldest) = oldest.iter().min().copied()
            && to <= oldest
            && query.to.is_some()
        {
            return Err(QueryError::Past { to, oldest });
        }
        let (level, step, mut notes) = plan(query, from, to, metrics.len(), &oldest)?;
        let (first, end) = (floor(from, step), floor(to + step - 1, step));
        let points = usize::try_from((end - first) / step).unwrap_or(0);
        if now * 1000 < SET_AFTER_MS {
            notes.push("the clock of this machine is not set; times will shift when it is".into());
        }

        let mut board = Board {
            first,
            end,
            step,
            level,
            covered: vec![0; points],
            cells: vec![vec![Cell::default(); points]; metrics.len()],
            metrics: &metrics,
            states: Vec::new(),
        };
        let overlaps = |meta: &crate::page::Meta| {
            let mut runs = meta.runs.iter();
            runs.any(|one| seconds(one.run, one.last) > first && seconds(one.run, one.first) < end)
        };
        self.visit(level, key, overlaps, |piece| match piece {
            Piece::Page(page) => {
                let columns = columns_of(page.schema(), key, level);
                let read = |at: usize| page.column(at);
                board.add(&columns, &page.times().unwrap_or_default(), read, seconds);
            }
            Piece::Row(schema, row) => {
                let columns = columns_of(schema, key, level);
                let read = |at: usize| row.cells.get(at).map(|cell| vec![*cell]);
                board.add(&columns, std::slice::from_ref(row), read, seconds);
            }
        });
        let mut marks = board.marks();
        let starts = self.stretches().into_values().filter_map(|stretch| {
            let at = seconds(stretch.run, stretch.first);
            (first..end).contains(&at).then(|| Mark {
                at,
                kind: "start".to_owned(),
                text: String::new(),
            })
        });
        marks.extend(starts);
        marks.sort_by_key(|mark| mark.at);
        marks.drain(..marks.len().saturating_sub(MOST_MARKS));
        Ok(History {
            series,
            from: first,
            to: end,
            step_s: u32::try_from(step).unwrap_or(u32::MAX),
            resolution_s: LEVELS[level].resolution_s,
            covered_s: board.covered.clone(),
            metrics: board.values(),
            marks,
            notes,
        })
    }

    fn wanted_series(&self, query: &Query) -> Result<u32, QueryError> {
        let position = |kind: Kind, index: usize| {
            self.key_of(kind, index).ok_or(QueryError::Position {
                kind: kind.name(),
                index,
                count: self.count_of(kind),
            })
        };
        match (query.board, query.pool, &query.series) {
            (None, None, None) => self.key_of(Kind::Miner, 0).ok_or(QueryError::Empty),
            (Some(board), None, None) => position(Kind::Board, board),
            (None, Some(pool), None) => position(Kind::Pool, pool),
            (None, None, Some(text)) => u32::from_str_radix(text, 16)
                .ok()
                .filter(|key| self.series(*key).is_some())
                .ok_or_else(|| QueryError::Series(text.chars().take(40).collect())),
            _ => Err(QueryError::OneOf),
        }
    }

    /// The oldest value of each level, now where there is none.
    fn oldest(&self, timeline: &BTreeMap<u32, i64>, now: i64) -> [i64; LEVELS.len()] {
        let mut finer = now;
        std::array::from_fn(|level| {
            let metas = self.metas(level);
            let firsts = metas.filter_map(|meta| {
                let (run, second) = meta.first();
                Some(timeline.get(&run)?.div_euclid(1000) + i64::from(second))
            });
            // What is not yet a page of minutes or hours is still known by the second.
            finer = firsts.min().unwrap_or(now).min(finer);
            finer
        })
    }
}

fn wanted_metrics(query: &Query, series: &Series) -> Result<Vec<Metric>, QueryError> {
    let kinds = [Kind::Miner, Kind::Board, Kind::Pool];
    let kind = kinds.into_iter().find(|kind| kind.name() == series.kind);
    let has = kind.map_or(&[][..], Kind::metrics);
    let mut wanted: Vec<Metric> = Vec::new();
    for metric in &query.metrics {
        if !has.contains(metric) {
            let has: Vec<_> = has.iter().map(|metric| metric.name()).collect();
            return Err(QueryError::Metric {
                kind: series.kind.clone(),
                metric: metric.name(),
                has: has.join(", "),
            });
        }
        if !wanted.contains(metric) {
            wanted.push(*metric);
        }
    }
    if wanted.is_empty() {
        wanted = has.to_vec();
    }
    Ok(wanted)
}

/// Beginning and end of what is asked for, the end not after now.
fn range(query: &Query, now: i64) -> Result<(i64, i64), QueryError> {
    for (name, value) in [("from", query.from), ("to", query.to)] {
        if let Some(value) = value.filter(|value| !TIMES.contains(value)) {
            return Err(QueryError::Time { name, value });
        }
    }
    let to = query.to.unwrap_or(now);
    let last = i64::try_from(query.last_s.unwrap_or(3600)).unwrap_or(i64::MAX);
    let from = query.from.unwrap_or_else(|| to.saturating_sub(last).max(0));
    if from >= to && (query.to.is_some() || from < now) {
        return Err(QueryError::Inverted { from, to });
    }
    if from >= now {
        return Err(QueryError::Future { from, now });
    }
    Ok((from, to.min(now)))
}

/// Level and step for a query.
fn plan(
    query: &Query,
    from: i64,
    to: i64,
    metrics: usize,
    oldest: &[i64; LEVELS.len()],
) -> Result<(usize, i64, Vec<String>), QueryError> {
    let limit = query.points.unwrap_or(DEFAULT_POINTS);
    if !POINTS.contains(&limit) {
        return Err(QueryError::Points(limit));
    }
    let most = MOST_VALUES / metrics.max(1) as u64;
    let most = most.min(u64::from(*POINTS.end()));
    let limit = i64::from(limit).min(i64::try_from(most).unwrap_or(i64::MAX));
    let points = |step: i64| (floor(to + step - 1, step) - floor(from, step)) / step;
    let mut step = match query.step_s {
        Some(0) => return Err(QueryError::NoStep),
        Some(step) => i64::from(step),
        None => {
            let nice = STEPS.iter().copied();
            let days = (2..).map(|days| days * DAY);
            let mut steps = nice.chain(days).filter(|step| points(*step) <= limit);
            steps.next().unwrap_or(DAY)
        }
    };
    // The coarsest values that are fine enough, or coarser ones where those do not reach back.
    let resolution = |level: usize| i64::from(LEVELS[level].resolution_s);
    let mut level = (0..LEVELS.len())
        .rev()
        .find(|level| resolution(*level) <= step)
        .unwrap_or(0);
    while level + 1 < LEVELS.len()
        && oldest[level] > from
        && oldest[level + 1] < oldest[level] - resolution(level + 1)
    {
        level += 1;
    }
    let mut notes = Vec::new();
    if step < resolution(level) {
        step = resolution(level);
        if let Some(asked) = query.step_s {
            notes.push(format!(
                "the step is {step} s instead of {asked} s: nothing finer is kept from then"
            ));
        }
    }
    let asked = points(step);
    let limit = match query.step_s {
        Some(_) if query.points.is_none() => i64::try_from(most).unwrap_or(i64::MAX),
        _ => limit,
    };
    if asked > limit {
        return Err(QueryError::TooMany {
            points: asked.unsigned_abs(),
            metrics,
            most: limit.unsigned_abs(),
        });
    }
    Ok((level, step, notes))
}

fn floor(at: i64, step: i64) -> i64 {
    at.div_euclid(step) * step
}

/// Where values are gathered.
struct Board<'m> {
    first: i64,
    end: i64,
    step: i64,
    level: usize,
    covered: Vec<u32>,
    /// By metric and point.
    cells: Vec<Vec<Cell>>,
    metrics: &'m [Metric],
    /// When which state was.
    states: Vec<(i64, i32)>,
}

impl Board<'_> {
    fn add(
        &mut self,
        columns: &[(Metric, usize)],
        rows: &[Row],
        read: impl Fn(usize) -> Option<Vec<i32>>,
        seconds: impl Fn(u32, u32) -> i64,
    ) {
        let point = |row: &Row| {
            let at = seconds(row.run, row.start);
            let inside = (self.first..self.end).contains(&at);
            inside.then(|| ((at - self.first) / self.step) as usize)
        };
        let points: Vec<_> = rows.iter().map(point).collect();
        for (row, point) in rows.iter().zip(&points) {
            if let Some(covered) = point.and_then(|point| self.covered.get_mut(point)) {
                let step = u32::try_from(self.step).unwrap_or(u32::MAX);
                *covered = covered.saturating_add(row.covered).min(step);
            }
        }
        for (metric, column) in columns {
            if *metric == Metric::State {
                let states = read(*column).unwrap_or_default();
                for ((row, point), state) in rows.iter().zip(&points).zip(states) {
                    if point.is_some() {
                        self.states.push((seconds(row.run, row.start), state));
                    }
                }
            }
            let Some(wanted) = self.metrics.iter().position(|wanted| wanted == metric) else {
                continue;
            };
            let mut values: [Option<Vec<i32>>; 3] = [None, None, None];
            for (at, part) in parts(*metric, self.level).iter().enumerate() {
                let slot = match part {
                    Part::Value => 0,
                    Part::Min => 1,
                    Part::Max => 2,
                };
                values[slot] = read(column + at);
            }
            let at = |slot: usize, row: usize| {
                let column = values[slot].as_ref();
                column
                    .and_then(|column| column.get(row))
                    .copied()
                    .unwrap_or(NONE)
            };
            for (row, point) in points.iter().enumerate() {
                if let Some(cell) = point.and_then(|point| self.cells[wanted].get_mut(point)) {
                    let found = [at(0, row), at(1, row), at(2, row)];
                    cell.add(*metric, found, rows[row].covered);
                }
            }
        }
    }

    /// Changes of state, oldest first.
    fn marks(&mut self) -> Vec<Mark> {
        self.states.sort_by_key(|(at, _)| *at);
        let known = self.states.iter().filter(|(_, state)| *state != NONE);
        let mut marks = Vec::new();
        let mut before = None;
        for (at, state) in known {
            if before.is_some_and(|before| before != state) {
                let word = usize::try_from(*state)
                    .ok()
                    .and_then(|state| STATES.get(state));
                marks.push(Mark {
                    at: *at,
                    kind: "state".to_owned(),
                    text: word.unwrap_or(&STATES[0]).to_string(),
                });
            }
            before = Some(state);
        }
        marks
    }

    fn values(&self) -> Vec<Values> {
        let of = |(metric, cells): (&Metric, &Vec<Cell>)| {
            let number = |cell: &Cell, part: Part| {
                let kept = cell.part(*metric, part, self.level);
                value(*metric, kept).map(|value| rounded(*metric, value))
            };
            let extreme = |part: Part| {
                let told = extremes(*metric).contains(&part);
                told.then(|| cells.iter().map(|cell| number(cell, part)).collect())
            };
            let exact = |cell: &Cell| {
                let value = cell.value(*metric, self.level)?;
                Some(rounded(*metric, value))
            };
            let states = if *metric == Metric::State {
                STATES
            } else {
                &[]
            };
            Values {
                metric: *metric,
                unit: metric.unit().to_owned(),
                values: cells.iter().map(exact).collect(),
                min: extreme(Part::Min),
                max: extreme(Part::Max),
                states: states.iter().map(ToString::to_string).collect(),
            }
        };
        self.metrics.iter().zip(&self.cells).map(of).collect()
    }
}
