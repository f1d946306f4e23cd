//! Which points a sweep visits, in which order, and which it need not visit: from safe to bold, and never
//! where a neighbour has shown that it must be worse. Pure.

use std::cmp::Ordering;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::outcome::{Outcome, Verdict};

/// Most values of an axis.
const MOST: usize = 100;

/// Step of an axis where none is written: that of the published benchmark scripts, MHz and mV.
const STEP: f64 = 25.0;

/// The values of an axis, e.g. `400..=625:25`, `400,450,500` or `525`.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis(pub Vec<f64>);

impl FromStr for Axis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let value = text.trim().parse::<f64>().ok();
            let value = value.filter(|value| value.is_finite() && *value > 0.0);
            value.ok_or_else(|| format!("`{}` is no number above 0", text.trim()))
        };
        let mut values = if let Some((from, to, inclusive, step)) = split_range(text) {
            let (from, to) = (number(from)?, number(to)?);
            let step = step.map_or(Ok(STEP), number)?;
            if from > to {
                return Err(format!("{from}..={to} is empty; write the lower end first"));
            }
            let steps = ((to - from) / step + 1e-9).floor();
            if steps >= MOST as f64 {
                return Err(format!(
                    "more than {MOST} values; take a wider step than {step}"
                ));
            }
            let value = |index: usize| from + index as f64 * step;
            let all = (0..=steps as usize).map(value);
            all.filter(|value| inclusive || *value < to - 1e-9)
                .collect()
        } else {
            text.split(',').map(number).collect::<Result<Vec<_>, _>>()?
        };
        values.sort_by(f64::total_cmp);
        values.dedup();
        if values.is_empty() || values.len() > MOST {
            return Err(format!("write 1 to {MOST} values, e.g. 400..=625:25"));
        }
        Ok(Self(values))
    }
}

/// What a range is written of: both ends, whether the upper one belongs to it, and its step.
type Range<'t> = (&'t str, &'t str, bool, Option<&'t str>);

fn split_range(text: &str) -> Option<Range<'_>> {
    let (from, rest) = text.split_once("..")?;
    let (rest, step) = match rest.split_once(':') {
        Some((rest, step)) => (rest, Some(step)),
        None => (rest, None),
    };
    let (to, inclusive) = match rest.strip_prefix('=') {
        Some(to) => (to, true),
        None => (rest, false),
    };
    Some((from, to, inclusive, step))
}

/// A clock and a voltage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// MHz.
    pub mhz: f64,
    /// mV as the board's profile counts it; none where the voltage is left as it is.
    pub mv: Option<u32>,
}

impl Point {
    /// Both are the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        (self.mhz - other.mhz).abs() < 0.01 && self.mv == other.mv
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} MHz", self.mhz)?;
        match self.mv {
            Some(mv) => write!(f, " {mv} mV"),
            None => Ok(()),
        }
    }
}

/// What became of a point, or will.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate<'s> {
    /// Not visited yet.
    Open,
    /// Measured, or failed.
    Done(&'s Outcome),
    /// Never visited: it must be worse than that one, which failed.
    Worse(&'s Outcome),
}

/// All points of a grid and what is known of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Clocks, ascending, MHz.
    pub mhz: Vec<f64>,
    /// Voltages, ascending, mV; a single none where the voltage is left as it is.
    pub mv: Vec<Option<u32>>,
}

impl Grid {
    /// The points within the limits of the profile, and how many lie beyond.
    #[must_use]
    pub fn within(
        mhz: &Axis,
        mv: Option<&Axis>,
        clocks: (f64, f64),
        volts: (f64, f64),
    ) -> (Self, usize) {
        let inside = |axis: &Axis, (min, max): (f64, f64)| -> Vec<f64> {
            let values = axis.0.iter().copied();
            values.filter(|value| (min..=max).contains(value)).collect()
        };
        let kept = inside(mhz, clocks);
        let rows: Vec<_> = match mv {
            None => vec![None],
            Some(axis) => {
                let rows = inside(axis, volts).into_iter();
                let mut rows: Vec<_> = rows.map(|mv| Some(mv.round() as u32)).collect();
                rows.dedup();
                rows
            }
        };
        let all = mhz.0.len() * mv.map_or(1, |axis| axis.0.len());
        let beyond = all.saturating_sub(kept.len() * rows.len());
        (
            Self {
                mhz: kept,
                mv: rows,
            },
            beyond,
        )
    }

    /// How many points there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.mhz.len() * self.mv.len()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All points in the order of the visits. Rows of voltage from the highest down, because a board that
    /// is given too little loses chips; in a row the clock from the lowest up, because it brings heat.
    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        self.mv
            .iter()
            .rev()
            .flat_map(|&mv| self.mhz.iter().map(move |&mhz| Point { mhz, mv }))
    }

    /// What is known of a point.
    #[must_use]
    pub fn fate<'s>(&self, point: &Point, seen: &'s [Outcome]) -> Fate<'s> {
        // The latest visit counts.
        if let Some(done) = seen.iter().rev().find(|outcome| outcome.at.is(point)) {
            return Fate::Done(done);
        }
        match seen.iter().find(|failed| must_be_worse(point, failed)) {
            Some(failed) => Fate::Worse(failed),
            None => Fate::Open,
        }
    }

    /// The next point to visit.
    #[must_use]
    pub fn next(&self, seen: &[Outcome]) -> Option<Point> {
        self.points()
            .find(|point| self.fate(point, seen) == Fate::Open)
    }

    /// How many points are still to visit, as far as is known.
    #[must_use]
    pub fn open(&self, seen: &[Outcome]) -> usize {
        self.points()
            .filter(|point| self.fate(point, seen) == Fate::Open)
            .count()
    }
}

/// Whether a point cannot be better than one that failed: faster with no more voltage where chips did too
/// little, faster with no less voltage where heat or power was too much.
fn must_be_worse(point: &Point, failed: &Outcome) -> bool {
    let faster = point.mhz >= failed.at.mhz;
    let volts = match (point.mv, failed.at.mv) {
        (Some(one), Some(other)) => one.cmp(&other),
        (None, None) => Ordering::Equal,
        _ => return false,
    };
    match failed.verdict {
        Verdict::Good | Verdict::Undecided => false,
        Verdict::Slow | Verdict::Wrong | Verdict::Broke => faster && volts.is_le(),
        Verdict::Hot | Verdict::Power => faster && volts.is_ge(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(text: &str) -> Vec<f64> {
        text.parse::<Axis>().unwrap().0
    }

    fn at(mhz: f64, mv: u32, verdict: Verdict) -> Outcome {
        Outcome {
            at: Point { mhz, mv: Some(mv) },
            verdict,
            ..Outcome::default()
        }
    }

    fn grid() -> Grid {
        let clocks = "400..=500:50".parse().unwrap();
        let volts = "1100..=1200:50".parse().unwrap();
        Grid::within(&clocks, Some(&volts), (0.0, 1e9), (0.0, 1e9)).0
    }

    #[test]
    fn ranges_and_lists_are_read() {
        assert_eq!(axis("400..=500:50"), [400.0, 450.0, 500.0]);
        assert_eq!(axis("400..500:50"), [400.0, 450.0]);
        assert_eq!(axis("400..=460"), [400.0, 425.0, 450.0]);
        assert_eq!(axis("500, 400,400"), [400.0, 500.0]);
        assert_eq!(axis("525"), [525.0]);
        assert_eq!(axis("1.0..=1.3:0.1").len(), 4);
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "no number"),
            ("a..=b", "`a`"),
            ("500..=400", "lower end first"),
            ("1..=1e9:1", "wider step"),
            ("400..=500:0", "`0`"),
            ("400..400", "1 to 100"),
            ("nan", "`nan`"),
            ("-5", "`-5`"),
        ] {
            let error = text.parse::<Axis>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn points_beyond_the_profile_are_left_out() {
        let clocks = "400..=500:50".parse().unwrap();
        let volts = "1100..=1200:50".parse().unwrap();
        let (grid, beyond) = Grid::within(&clocks, Some(&volts), (425.0, 600.0), (900.0, 1150.0));
        assert_eq!(
            (grid.mhz, grid.mv),
            (vec![450.0, 500.0], vec![Some(1100), Some(1150)])
        );
        assert_eq!(beyond, 9 - 4);
    }

    #[test]
    fn rows_go_from_much_voltage_to_little_and_from_slow_to_fast() {
        let order: Vec<_> = grid().points().map(|p| (p.mhz, p.mv.unwrap())).collect();
        assert_eq!(
            order[..4],
            [(400.0, 1200), (450.0, 1200), (500.0, 1200), (400.0, 1150)]
        );
        assert_eq!(order.len(), 9);
    }

    #[test]
    fn what_must_be_slower_still_is_skipped() {
        let seen = [at(450.0, 1150, Verdict::Slow)];
        let fate = |mhz, mv| grid().fate(&Point { mhz, mv: Some(mv) }, &seen);
        assert!(matches!(fate(500.0, 1150), Fate::Worse(_)));
        assert!(matches!(fate(450.0, 1100), Fate::Worse(_)));
        assert_eq!(fate(400.0, 1100), Fate::Open);
        assert_eq!(fate(500.0, 1200), Fate::Open);
    }

    #[test]
    fn what_must_be_hotter_still_is_skipped() {
        let seen = [at(450.0, 1150, Verdict::Hot)];
        let fate = |mhz, mv| grid().fate(&Point { mhz, mv: Some(mv) }, &seen);
        assert!(matches!(fate(450.0, 1200), Fate::Worse(_)));
        assert!(matches!(fate(500.0, 1150), Fate::Worse(_)));
        assert_eq!(fate(500.0, 1100), Fate::Open);
        assert_eq!(fate(400.0, 1200), Fate::Open);
    }

    #[test]
    fn a_sweep_ends_when_all_points_have_their_fate() {
        let grid = grid();
        let mut seen = Vec::new();
        let mut visits = 0;
        while let Some(point) = grid.next(&seen) {
            // Every clock from 450 MHz on wants 1150 mV.
            let enough = point.mhz < 450.0 || point.mv >= Some(1150);
            let verdict = if enough { Verdict::Good } else { Verdict::Slow };
            seen.push(at(point.mhz, point.mv.unwrap(), verdict));
            visits += 1;
        }
        assert_eq!((visits, grid.open(&seen)), (8, 0));
    }
}
