//! A sweep as text: the heat map for the terminal, a line per visit, and what it all came to. Marks tell
//! everything that colours tell. Pure.

use std::str::FromStr;

use super::file::Sweep;
use super::measure::Stage;
use super::outcome::{Outcome, Verdict};
use super::plan::{Fate, Point};
use crate::format;
use crate::view::chipmap::{Level, Piece};

/// What a heat map shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metric {
    /// Work done against what the clock promises.
    #[default]
    Rate,
    /// Share of wrong nonces.
    Errors,
    /// Energy per work.
    Efficiency,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Rate, Self::Errors, Self::Efficiency];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Errors => "errors",
            Self::Efficiency => "efficiency",
        }
    }

    /// What it is, with its unit.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Rate => "work done, % of what the clock promises",
            Self::Errors => "wrong nonces, %",
            Self::Efficiency => "energy per work, J/TH",
        }
    }

    /// Its value at a point.
    #[must_use]
    pub fn of(self, outcome: &Outcome) -> Option<f64> {
        match self {
            Self::Rate => outcome.delivered.map(|share| share * 100.0),
            Self::Errors => outcome.wrong_share.map(|share| share * 100.0),
            Self::Efficiency => outcome.j_per_th,
        }
    }

    /// How good a value is; `best` is the best one of the sweep.
    #[must_use]
    pub fn level(self, value: f64, best: f64) -> Level {
        let step = |value: f64, steps: [f64; 3]| match steps.iter().position(|step| value < *step) {
            Some(0) => Level::Full,
            Some(1) => Level::Below,
            Some(2) => Level::Low,
            _ => Level::Poor,
        };
        match self {
            // 94 % is what benchmark scripts want.
            Self::Rate => step(100.0 - value, [3.0, 6.0, 20.0]),
            Self::Errors => step(value, [0.1, 1.0, 3.5]),
            Self::Efficiency => step(value / best.max(1e-9), [1.03, 1.1, 1.25]),
        }
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|metric| metric.name() == text);
        known.ok_or_else(|| "write rate, errors or efficiency".to_owned())
    }
}

/// What is being visited now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// Where.
    pub at: Point,
    /// What is done there.
    pub stage: Stage,
    /// Share of the promised work so far, with its standard deviation.
    pub delivered: Option<(f64, f64)>,
    /// Time there so far, s.
    pub took_s: f64,
}

/// How a map is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Only characters of ASCII.
    pub ascii: bool,
    /// Characters in a line.
    pub width: usize,
}

/// Characters of a voltage.
const LABEL: usize = 9;

/// The heat map: a row for each voltage, the highest on top, a column for each clock.
#[must_use]
pub fn map(sweep: &Sweep, metric: Metric, now: Option<&Now>, style: Style) -> Vec<Vec<Piece>> {
    let columns = sweep.grid.mhz.len().max(1);
    let room = style.width.saturating_sub(LABEL) / columns;
    let cell = match room {
        9.. => 9,
        // Without marks of height, then without decimals.
        7..=8 => 7,
        _ => 5,
    };
    let shown = (style.width.saturating_sub(LABEL) / cell).clamp(1, columns);
    let best = best(sweep, metric);
    let mut lines = vec![vec![plain(format!("{}:", metric.title()))]];
    for &mv in sweep.grid.mv.iter().rev() {
        let label = mv.map_or_else(|| "as is".to_owned(), |mv| format!("{mv} mV"));
        let mut line = vec![plain(format!("{label:>LABEL$}"))];
        for &mhz in &sweep.grid.mhz[..shown] {
            let point = Point { mhz, mv };
            let visited = now.filter(|now| now.at.is(&point));
            line.push(piece(
                sweep,
                metric,
                &point,
                visited,
                best,
                cell,
                style.ascii,
            ));
        }
        lines.push(line);
    }
    let clocks = sweep.grid.mhz[..shown].iter();
    let clocks: String = clocks.map(|mhz| format!("{mhz:>0$} ", cell - 1)).collect();
    lines.push(vec![plain(format!(
        "{:>LABEL$}{}",
        "MHz",
        clocks.trim_end()
    ))]);
    if shown < columns {
        let left = columns - shown;
        lines.push(vec![plain(format!(
            "({left} more clocks do not fit into this terminal; the pictures have them)"
        ))]);
    }
    lines
}

/// What the marks mean.
#[must_use]
pub fn legend(ascii: bool) -> String {
    let (bad, worse, open, here) = marks(ascii);
    format!(
        "{bad} bad  ^ too hot  W too much power  ! broke down  ? undecided  {worse} must be worse  {open} to come  {here} here"
    )
}

fn marks(ascii: bool) -> (char, char, char, char) {
    if ascii {
        ('x', '-', '.', '>')
    } else {
        ('✗', '╌', '·', '▶')
    }
}

fn plain(text: String) -> Piece {
    Piece { text, level: None }
}

fn best(sweep: &Sweep, metric: Metric) -> f64 {
    let values = sweep
        .points
        .iter()
        .filter(|outcome| !outcome.verdict.is_bad());
    let values = values.filter_map(|outcome| metric.of(outcome));
    values.reduce(f64::min).unwrap_or(f64::NAN)
}

fn piece(
    sweep: &Sweep,
    metric: Metric,
    point: &Point,
    now: Option<&Now>,
    best: f64,
    cell: usize,
    ascii: bool,
) -> Piece {
    let (bad, worse, open, here) = marks(ascii);
    let right = |text: String, level| Piece {
        text: format!("{text:>cell$}"),
        level,
    };
    if let Some(now) = now {
        let share = now.delivered.filter(|_| metric == Metric::Rate);
        let text = match share {
            Some((share, _)) => format!("{here}{:.0} ", share * 100.0),
            None => format!("{here} "),
        };
        return right(text, Some(Level::Unknown));
    }
    let done = match sweep.fate(point) {
        Fate::Open => return right(format!("{open} "), Some(Level::Unknown)),
        Fate::Worse(_) => return right(format!("{worse} "), Some(Level::Unknown)),
        Fate::Done(done) => done,
    };
    let mark = match done.verdict {
        Verdict::Good => ' ',
        Verdict::Undecided => '?',
        Verdict::Slow | Verdict::Wrong => bad,
        Verdict::Hot => '^',
        Verdict::Power => 'W',
        Verdict::Broke => '!',
    };
    let Some(value) = metric.of(done) else {
        return right(format!("{mark}"), Some(Level::Dead));
    };
    let level = metric.level(value, best);
    let number = match (cell, metric) {
        (..7, _) => format!("{value:.0}"),
        (_, Metric::Errors) => format!("{value:.2}"),
        _ => format!("{value:.1}"),
    };
    let height = if ascii || cell < 9 {
        String::new()
    } else {
        format!("{} ", level.mark())
    };
    let level = match done.verdict {
        Verdict::Wrong => Level::Errors,
        verdict if verdict.is_bad() && metric == Metric::Efficiency => Level::Poor,
        verdict if verdict.is_bad() => level.max_bad(),
        _ => level,
    };
    right(format!("{height}{number}{mark}"), Some(level))
}

/// A level that shows a bad point as bad whatever the metric says.
trait MaxBad {
    fn max_bad(self) -> Self;
}

impl MaxBad for Level {
    fn max_bad(self) -> Self {
        match self {
            Self::Full | Self::Below | Self::Unknown => Self::Low,
            other => other,
        }
    }
}

/// How far the sweep is.
#[must_use]
pub fn progress(sweep: &Sweep, now: Option<&Now>) -> String {
    let (all, open) = (sweep.grid.len(), sweep.grid.open(&sweep.points));
    let mut text = format!("{} of {all} points", all - open);
    let skipped = all - open - done(sweep);
    if skipped > 0 {
        text.push_str(&format!(" ({skipped} need no visit)"));
    }
    if let Some(now) = now {
        let what = match now.stage {
            Stage::Moving => "going there",
            Stage::Settling => "waiting for its temperature",
            Stage::Counting => "counting",
        };
        text.push_str(&format!(", now {}: {what}", now.at));
        if let Some((share, sd)) = now.delivered {
            text.push_str(&format!(" {:.1} ± {:.1} %", share * 100.0, sd * 100.0));
        }
        text.push_str(&format!(", {}", format::duration(now.took_s)));
    }
    if let Some(left) = sweep.remaining_s().filter(|_| open > 0) {
        let spent = now.map_or(0.0, |now| now.took_s);
        let left = (left - spent).max(0.0);
        text.push_str(&format!("; about {} left", format::duration(left)));
    }
    text
}

fn done(sweep: &Sweep) -> usize {
    let done = |point: &Point| matches!(sweep.fate(point), Fate::Done(_));
    sweep.grid.points().filter(done).count()
}

/// A visit in a line.
#[must_use]
pub fn visit(outcome: &Outcome) -> String {
    let mut text = format!(
        "{}: {} ({})",
        outcome.at,
        outcome.verdict.word(),
        format::plain(&outcome.why, 300)
    );
    let mut more = Vec::new();
    if let Some(hps) = outcome.hps {
        more.push(format::hashrate(hps));
    }
    if let Some(watts) = outcome.watts {
        let how = if outcome.watts_measured {
            ""
        } else {
            " estimated"
        };
        more.push(format!("{watts:.1} W{how}"));
    }
    if let Some(joules) = outcome.j_per_th {
        more.push(format!("{joules:.2} J/TH"));
    }
    if let Some(celsius) = outcome.celsius {
        more.push(format!("{celsius:.1} °C"));
    }
    if !more.is_empty() {
        text.push_str(&format!(", {}", more.join(", ")));
    }
    text
}

/// What the sweep came to.
#[must_use]
pub fn summary(sweep: &Sweep) -> Vec<String> {
    let mut lines = Vec::new();
    let mut told = |name: &str, outcome: Option<&Outcome>| {
        if let Some(outcome) = outcome {
            lines.push(format!("{name}: {}", visit(outcome)));
        }
    };
    told("most work", sweep.fastest());
    told("least energy", sweep.thriftiest());
    if lines.is_empty() && !sweep.points.is_empty() {
        lines.push("No point was proved good.".to_owned());
    }
    if sweep.beyond > 0 {
        lines.push(format!(
            "{} points lie beyond the limits of the board's profile and were left out.",
            sweep.beyond
        ));
    }
    if sweep.subject.simulated {
        lines.push("The board is simulated.".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::file::tests::sample;
    use super::*;

    fn text(lines: &[Vec<Piece>]) -> String {
        let line = |pieces: &Vec<Piece>| -> String {
            let line: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
            line.trim_end().to_owned()
        };
        lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    fn style(ascii: bool, width: usize) -> Style {
        Style { ascii, width }
    }

    fn counted() -> Sweep {
        let mut sweep = sample();
        for (outcome, share) in sweep.points.iter_mut().zip([0.991, 0.974, 0.71]) {
            outcome.delivered = Some(share);
        }
        sweep
    }

    #[test]
    fn a_map_has_rows_of_voltage_and_columns_of_clock() {
        let map = map(&counted(), Metric::Rate, None, style(false, 80));
        assert_eq!(
            text(&map),
            "work done, % of what the clock promises:\n  1150 mV  █ 99.1   █ 97.4\n  1100 mV  ▂ 71.0✗       ╌\n      MHz     400      500"
        );
    }

    #[test]
    fn a_plain_terminal_gets_plain_characters() {
        let sweep = counted();
        let now = Now {
            at: Point {
                mhz: 500.0,
                mv: Some(1100),
            },
            stage: Stage::Counting,
            delivered: Some((0.5, 0.1)),
            took_s: 3.0,
        };
        for metric in Metric::ALL {
            let text = text(&map(&sweep, metric, Some(&now), style(true, 80)));
            assert!(text.is_ascii(), "{text}");
            assert!(text.contains('>'), "{text}");
        }
        assert!(legend(true).is_ascii());
    }

    #[test]
    fn a_narrow_terminal_gets_short_cells_and_then_fewer() {
        let mut sweep = counted();
        let narrow = text(&map(&sweep, Metric::Rate, None, style(true, 24)));
        assert!(narrow.contains("99.1") && !narrow.contains('█'), "{narrow}");
        sweep.grid.mhz = (0..40).map(|step| 400.0 + f64::from(step)).collect();
        let lines = map(&sweep, Metric::Rate, None, style(true, 60));
        for line in text(&lines[1..lines.len() - 1]).lines() {
            assert!(line.chars().count() <= 60, "{line}");
        }
        assert!(text(&lines).contains("30 more clocks"), "{}", text(&lines));
    }

    #[test]
    fn progress_tells_what_is_left() {
        let sweep = counted();
        assert_eq!(progress(&sweep, None), "4 of 4 points (1 need no visit)");
        let mut begun = sweep;
        begun.points.truncate(1);
        let text = progress(&begun, None);
        assert_eq!(text, "1 of 4 points; about 3 min 00 s left");
    }
}
