//! Hundreds of machines as a table, and what they come to together.

use std::cmp::Ordering;

use serde::Serialize;

use super::machine::{Answer, Reading};
use crate::format::{self, Column, Table};

/// Longest name and group list in a cell, characters.
const CELL: usize = 24;

/// Longest trouble in a cell, characters.
const TROUBLE: usize = 80;

/// What the table is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// Those in trouble first, then by name.
    #[default]
    Trouble,
    /// By name, numbers in it as numbers.
    Name,
    /// Lowest part of the expected rate first.
    Rate,
    /// Hottest first.
    Heat,
    /// Most power first.
    Power,
    /// Most joules per terahash first.
    Efficiency,
}

impl Sort {
    /// All of them, in the order in which a key goes through them.
    pub const ALL: [Self; 6] = [
        Self::Trouble,
        Self::Name,
        Self::Rate,
        Self::Heat,
        Self::Power,
        Self::Efficiency,
    ];

    /// The next one.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Name => "name",
            Self::Rate => "rate",
            Self::Heat => "heat",
            Self::Power => "power",
            Self::Efficiency => "efficiency",
        }
    }

    /// Sorts answers.
    pub fn sort(self, answers: &mut [Answer]) {
        let falling = |value: fn(&Reading) -> Option<f64>| {
            move |one: &Answer, other: &Answer| {
                let of = |answer: &Answer| {
                    let value = answer.reading.as_ref().and_then(value);
                    value.unwrap_or(f64::NEG_INFINITY)
                };
                of(other).total_cmp(&of(one))
            }
        };
        answers.sort_by(|one, other| {
            let first = match self {
                Self::Trouble => one.is_well().cmp(&other.is_well()),
                Self::Name => Ordering::Equal,
                Self::Rate => {
                    falling(|reading| Some(-reading.hps / reading.expected_hps))(one, other)
                }
                Self::Heat => falling(|reading| reading.hottest_c)(one, other),
                Self::Power => falling(|reading| reading.power_w)(one, other),
                Self::Efficiency => falling(|reading| reading.efficiency_j_th)(one, other),
            };
            first.then_with(|| natural(&one.name, &other.name))
        });
    }
}

/// What machines come to together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Machines asked.
    pub machines: usize,
    /// Machines that answered.
    pub answered: usize,
    /// Machines that mine.
    pub mining: usize,
    /// Machines that do not answer or have a problem.
    pub troubled: usize,
    /// Sum of the rates over ten minutes, hashes per second.
    pub hps: f64,
    /// What all chips should deliver.
    pub expected_hps: f64,
    /// Sum of the power of those that know it, W.
    pub power_w: f64,
    /// Joules per terahash of those that know their power.
    pub efficiency_j_th: Option<f64>,
    /// Hottest temperature, °C.
    pub hottest_c: Option<f64>,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares rejected.
    pub rejected: u64,
}

impl Totals {
    /// Of these answers.
    #[must_use]
    pub fn of(answers: &[Answer]) -> Self {
        let mut totals = Self {
            machines: answers.len(),
            troubled: answers.iter().filter(|answer| !answer.is_well()).count(),
            ..Self::default()
        };
        let mut powered_hps = 0.0;
        for reading in answers.iter().filter_map(|answer| answer.reading.as_ref()) {
            totals.answered += 1;
            totals.mining += usize::from(reading.state == "mining");
            totals.hps += reading.hps;
            totals.expected_hps += reading.expected_hps;
            if let Some(watts) = reading.power_w {
                totals.power_w += watts;
                powered_hps += reading.hps;
            }
            let hottest = totals.hottest_c.into_iter().chain(reading.hottest_c);
            totals.hottest_c = hottest.reduce(f64::max);
            totals.accepted += reading.accepted;
            totals.rejected += reading.rejected;
        }
        if powered_hps > 0.0 {
            totals.efficiency_j_th = Some(totals.power_w / powered_hps * 1e12);
        }
        totals
    }

    /// In a line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = format!(
            "{} machines, {} answer, {} mine, {} in trouble   {} of {} expected",
            self.machines,
            self.answered,
            self.mining,
            self.troubled,
            format::hashrate(self.hps),
            format::hashrate(self.expected_hps),
        );
        if self.power_w > 0.0 {
            line.push_str(&format!("   {}", power(self.power_w)));
        }
        if let Some(joules) = self.efficiency_j_th {
            line.push_str(&format!("   {joules:.1} J/TH"));
        }
        line
    }
}

/// The machines, a line each after the titles, none wider than `width` if that is given.
#[must_use]
pub fn lines(answers: &[Answer], width: Option<usize>) -> Vec<String> {
    let known = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
    };
    // What no machine measures has no column.
    let any = |value: fn(&Reading) -> bool| {
        let mut readings = answers.iter().filter_map(|answer| answer.reading.as_ref());
        readings.any(value)
    };
    let powered = any(|reading| reading.power_w.is_some());
    let heated = any(|reading| reading.hottest_c.is_some());
    let mut columns = vec![
        Column::left("name"),
        Column::left("groups").gives_way(9),
        Column::left("state"),
        Column::right("rate, 10 min"),
        Column::right("of exp.").gives_way(1),
    ];
    if powered {
        columns.extend([
            Column::right("W").gives_way(4),
            Column::right("J/TH").gives_way(5),
        ]);
    }
    if heated {
        columns.push(Column::right("°C").gives_way(2));
    }
    columns.extend([
        Column::right("chips").gives_way(6),
        Column::right("accepted").gives_way(7),
        Column::right("rejected").gives_way(8),
        Column::right("up").gives_way(3),
        Column::left("model").gives_way(10),
        Column::left("trouble"),
    ]);
    let count = columns.len();
    let mut table = Table::new(columns);
    for answer in answers {
        let name = format::plain(&answer.name, CELL);
        let groups = format::plain(&answer.groups.join(","), CELL);
        let trouble = format::plain(&answer.trouble(), TROUBLE);
        let Some(reading) = &answer.reading else {
            let mut cells = vec!["–".to_owned(); count];
            (cells[0], cells[1]) = (name, groups);
            (cells[2], cells[count - 1]) = ("no answer".to_owned(), trouble);
            table.push(cells);
            continue;
        };
        let mut cells = vec![
            name,
            groups,
            format::plain(&reading.state, CELL),
            format::hashrate(reading.hps),
            format::percent(reading.hps, reading.expected_hps),
        ];
        if powered {
            cells.push(known(reading.power_w, 0));
            cells.push(known(reading.efficiency_j_th, 1));
        }
        if heated {
            cells.push(known(reading.hottest_c, 1));
        }
        cells.extend([
            format!("{}/{}", reading.chips, reading.chips_expected),
            reading.accepted.to_string(),
            reading.rejected.to_string(),
            format::duration(reading.uptime_s),
            format::plain(&reading.model, CELL),
            trouble,
        ]);
        table.push(cells);
    }
    table.lines(width)
}

fn power(watts: f64) -> String {
    if watts >= 10_000.0 {
        format!("{:.1} kW", watts / 1_000.0)
    } else {
        format!("{watts:.0} W")
    }
}

/// Compares names as people do: `rack-9` before `rack-10`.
#[must_use]
pub fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one.chars().peekable(), other.chars().peekable());
    loop {
        match (one.peek().copied(), other.peek().copied()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) if a.is_ascii_digit() && b.is_ascii_digit() => {
                match number(&mut one).cmp(&number(&mut other)) {
                    Ordering::Equal => {}
                    unequal => return unequal,
                }
            }
            (Some(a), Some(b)) if a == b => {
                one.next();
                other.next();
            }
            (Some(a), Some(b)) => return a.cmp(&b),
        }
    }
}

/// The digits at the front: how many without leading zeros, and which. So they compare as numbers do,
/// however many there are.
fn number(text: &mut std::iter::Peekable<std::str::Chars<'_>>) -> (usize, String) {
    let mut digits = String::new();
    while let Some(digit) = text.next_if(char::is_ascii_digit) {
        if digit != '0' || !digits.is_empty() {
            digits.push(digit);
        }
    }
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(name: &str, reading: Option<Reading>) -> Answer {
        Answer {
            name: name.into(),
            url: format!("http://{name}"),
            groups: Vec::new(),
            error: reading.is_none().then(|| "no answer: refused".to_owned()),
            reading,
            took_ms: 5,
        }
    }

    fn mining(hps: f64, power_w: Option<f64>) -> Option<Reading> {
        Some(Reading {
            state: "mining".into(),
            hps,
            expected_hps: 100e12,
            power_w,
            hottest_c: Some(hps / 2e12),
            ..Reading::default()
        })
    }

    #[test]
    fn totals_say_what_all_come_to() {
        let answers = [
            answer("a", mining(90e12, Some(3_000.0))),
            answer("b", mining(100e12, None)),
            answer("c", None),
        ];
        let totals = Totals::of(&answers);
        assert_eq!((totals.machines, totals.answered, totals.mining), (3, 2, 2));
        assert_eq!(totals.troubled, 1);
        assert_eq!((totals.hps, totals.hottest_c), (190e12, Some(50.0)));
        // Only of the machine that knows its power.
        assert!((totals.efficiency_j_th.unwrap() - 33.33).abs() < 0.01);
        assert_eq!(
            totals.line(),
            "3 machines, 2 answer, 2 mine, 1 in trouble   190 TH/s of 200 TH/s expected   3000 W   \
             33.3 J/TH"
        );
    }

    #[test]
    fn those_in_trouble_come_first() {
        let mut answers = [
            answer("rack-10", mining(90e12, None)),
            answer("rack-9", mining(95e12, None)),
            answer("rack-11", None),
        ];
        let names = |answers: &[Answer]| -> Vec<_> {
            answers.iter().map(|answer| answer.name.clone()).collect()
        };
        Sort::Trouble.sort(&mut answers);
        assert_eq!(names(&answers), ["rack-11", "rack-9", "rack-10"]);
        Sort::Rate.sort(&mut answers);
        assert_eq!(names(&answers), ["rack-10", "rack-9", "rack-11"]);
        Sort::Heat.sort(&mut answers);
        assert_eq!(names(&answers)[0], "rack-9");
    }

    #[test]
    fn names_are_ordered_as_people_count() {
        for (one, other, order) in [
            ("rack-9", "rack-10", Ordering::Less),
            ("rack-09", "rack-9", Ordering::Equal),
            ("a", "a1", Ordering::Less),
            ("b", "a9", Ordering::Greater),
            ("10.0.0.9", "10.0.0.11", Ordering::Less),
            (
                "99999999999999999999998",
                "99999999999999999999999",
                Ordering::Less,
            ),
        ] {
            assert_eq!(natural(one, other), order, "{one} {other}");
        }
    }

    #[test]
    fn a_narrow_table_keeps_name_state_rate_and_trouble() {
        let answers = [answer("a", mining(90e12, None)), answer("c", None)];
        let lines = lines(&answers, Some(60));
        assert!(
            lines.iter().all(|line| line.chars().count() <= 60),
            "{lines:#?}"
        );
        assert!(lines[1].contains("90.0 TH/s"), "{lines:#?}");
        assert!(lines[2].contains("no answer: refused"), "{lines:#?}");
    }
}
