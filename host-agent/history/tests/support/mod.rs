//! A miner whose past is known: its temperature follows from the time of day.
#![allow(dead_code)]

use std::time::Duration;

use history::{Archive, Kind, Pages, Settings, Subject};
use rpc::history::{History, Metric, Query};

/// A Monday in 2026, on the hour.
pub(crate) const T0: i64 = 1_795_395_600;

pub(crate) fn subject(kind: Kind, identity: &str) -> Subject {
    Subject {
        kind,
        identity: identity.to_owned(),
        name: format!("name of {identity}"),
    }
}

pub(crate) fn subjects() -> Vec<Subject> {
    vec![
        subject(Kind::Miner, ""),
        subject(Kind::Board, "board a"),
        subject(Kind::Pool, "pool a"),
    ]
}

/// °C at a moment, to a tenth.
pub(crate) fn temperature(unix: i64) -> f64 {
    (300 + (unix * 7).rem_euclid(550)) as f64 / 10.0
}

/// Shares accepted in a second.
pub(crate) fn accepted(unix: i64) -> f64 {
    f64::from(u8::from(unix.rem_euclid(7) == 0))
}

pub(crate) fn values(subjects: &[Subject], unix: i64) -> Vec<Vec<Option<f64>>> {
    let of = |metric: &Metric| match metric {
        Metric::TemperatureC => Some(temperature(unix)),
        Metric::Accepted => Some(accepted(unix)),
        Metric::HashrateHps => Some(1e12 + unix.rem_euclid(97) as f64 * 1e9),
        Metric::SigmaHps => Some(1e11),
        Metric::State => Some(history::state("mining")),
        Metric::VoltageMv => None,
        _ => Some(unix.rem_euclid(13) as f64),
    };
    let all = subjects.iter().map(|subject| subject.kind.metrics());
    all.map(|metrics| metrics.iter().map(of).collect())
        .collect()
}

/// A run of the agent on a machine whose clock may be wrong.
pub(crate) struct Run<P> {
    pub(crate) archive: Archive<P>,
    pub(crate) mono_s: u64,
    /// The true time when the run began.
    pub(crate) began: i64,
    /// By how much the clock is wrong.
    pub(crate) wrong_s: i64,
}

impl<P: Pages> Run<P> {
    pub(crate) fn begin(pages: P, settings: Settings, began: i64) -> Self {
        let mut archive = Archive::open(pages, settings).unwrap();
        archive.subjects(subjects());
        Self {
            archive,
            mono_s: 0,
            began,
            wrong_s: 0,
        }
    }

    /// The true time.
    pub(crate) fn now(&self) -> i64 {
        self.began + self.mono_s as i64
    }

    /// Runs for so long, and writes when it is time; true if every write went well.
    pub(crate) fn run(&mut self, seconds: u64) -> bool {
        let mut well = true;
        for _ in 0..seconds {
            let now = self.now();
            let values = values(&subjects(), now);
            let mono = Duration::from_secs(self.mono_s);
            self.archive
                .push(mono, (now + self.wrong_s) * 1000, &values);
            if self.archive.is_due() {
                well &= self.archive.flush().is_ok();
            }
            self.mono_s += 1;
        }
        well
    }

    pub(crate) fn pause(&mut self, seconds: u64) {
        self.mono_s += seconds;
    }

    /// The temperatures of a range.
    pub(crate) fn temperatures(&mut self, from: i64, to: i64, step_s: u32) -> History {
        let query = Query {
            from: Some(from),
            to: Some(to),
            step_s: Some(step_s),
            metrics: vec![Metric::TemperatureC],
            ..Query::default()
        };
        self.archive.query(&query).unwrap()
    }
}

/// Every point that has a value has the right one: the mean of what is covered. Returns how many have.
pub(crate) fn assert_true(history: &History) -> usize {
    let step = i64::from(history.step_s);
    let mut known = 0;
    for (at, value) in history.metrics[0].values.iter().enumerate() {
        let Some(value) = value else { continue };
        known += 1;
        let from = history.from + at as i64 * step;
        let seconds = (from..from + step).map(temperature);
        let (low, high) = seconds
            .clone()
            .fold((f64::MAX, f64::MIN), |(low, high), t| {
                (low.min(t), high.max(t))
            });
        assert!(
            (low - 0.06..=high + 0.06).contains(value),
            "{from}: {value}"
        );
        if history.covered_s[at] == history.step_s {
            let mean = seconds.sum::<f64>() / step as f64;
            // Rounded once for the minute and once for the hour.
            assert!((mean - value).abs() < 0.11, "{from}: {value}, not {mean}");
        }
    }
    known
}
