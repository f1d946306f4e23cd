//! The metrics page that Prometheus and its relatives read: OpenMetrics 1.0, or the older text format
//! 0.0.4 for those that ask for it.
//!
//! Names and units follow the conventions of Prometheus: base units, `_total` for counters, nothing
//! that a query can compute, and labels of which each has few values. Counters never go down while an
//! [`Exporter`] lives, even where a board or a pool begins to count anew. There are no `_created`
//! samples: readers keep them as series of their own, one for each counter, and resets are marked by
//! `process_start_time_seconds`.

mod counters;
mod families;
mod text;

use std::fmt::Write;

use rpc::Snapshot;

use counters::Counters;
pub use families::FAMILIES;
use text::Samples;

/// A family of metrics: what the samples of one name have in common.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Name without the suffix that its kind adds.
    pub name: &'static str,
    /// What kind of values it has.
    pub kind: Kind,
    /// Unit; the name ends with it.
    pub unit: Option<&'static str>,
    /// Names of its labels, in order.
    pub labels: &'static [&'static str],
    /// What it is.
    pub help: &'static str,
    /// It has a sample for each chip, so that it is only told to those who ask for chips.
    pub per_chip: bool,
    collect: fn(&Snapshot, &mut Samples<'_>),
}

/// Kind of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only goes up.
    Counter,
    /// Texts that describe something, as labels of a constant 1.
    Info,
    /// Quantiles of a distribution.
    Summary,
}

impl Family {
    /// Name of its samples.
    #[must_use]
    pub fn sample_name(&self) -> String {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Summary => "",
        };
        format!("{}{suffix}", self.name)
    }
}

impl Kind {
    /// As OpenMetrics calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Info => "info",
            Self::Summary => "summary",
        }
    }
}

/// How a page is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, version 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The one that the `Accept` header of a request prefers; text without one, and if both are equal.
    #[must_use]
    pub fn negotiate(accept: Option<&str>) -> Self {
        let (mut text, mut open) = (0.0_f32, 0.0_f32);
        for part in accept.unwrap_or_default().split(',') {
            let mut fields = part.split(';').map(str::trim);
            let kind = fields.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut version) = (1.0, None);
            for field in fields {
                match field.split_once('=').map(|(k, v)| (k.trim(), v.trim())) {
                    Some(("q", q)) => weight = q.parse().unwrap_or(0.0),
                    Some(("version", given)) => version = Some(given),
                    _ => {}
                }
            }
            match &kind[..] {
                "application/openmetrics-text" if version.is_none_or(|v| v == "1.0.0") => {
                    open = open.max(weight);
                }
                "text/plain" if version.is_none_or(|v| v == "0.0.4") => text = text.max(weight),
                "text/*" | "*/*" => text = text.max(weight),
                _ => {}
            }
        }
        if open > text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// What the `Content-Type` header of the page must be.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a page has beyond the usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A sample for each chip.
    pub chips: bool,
}

impl Options {
    /// As the query of the URL says, e.g. `chips=1`. What is unknown is ignored.
    #[must_use]
    pub fn from_query(query: &str) -> Self {
        let chips = query
            .split('&')
            .any(|pair| matches!(pair, "chips" | "chips=1" | "chips=true"));
        Self { chips }
    }
}

/// Writes pages, and remembers of the counters what it takes to let none go down.
#[derive(Debug, Default)]
pub struct Exporter {
    counters: Counters,
}

impl Exporter {
    /// One that has written nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The page for a state. Values that are not known have no sample.
    pub fn page(&mut self, state: &Snapshot, format: Format, options: Options) -> String {
        let mut page = String::with_capacity(16 * 1024);
        for family in FAMILIES {
            if family.per_chip && !options.chips {
                continue;
            }
            let mut samples = Samples::new(family, &mut self.counters);
            (family.collect)(state, &mut samples);
            let lines = samples.into_lines();
            if lines.is_empty() {
                continue;
            }
            let name = match format {
                Format::OpenMetrics => family.name.to_owned(),
                Format::Text => family.sample_name(),
            };
            let kind = match (format, family.kind) {
                (Format::Text, Kind::Info) => Kind::Gauge,
                (_, kind) => kind,
            };
            // Writing to a String cannot fail.
            let _ = writeln!(page, "# HELP {name} {}", family.help);
            let _ = writeln!(page, "# TYPE {name} {}", kind.name());
            if let (Format::OpenMetrics, Some(unit)) = (format, family.unit) {
                let _ = writeln!(page, "# UNIT {name} {unit}");
            }
            page.push_str(&lines);
        }
        if format == Format::OpenMetrics {
            page.push_str("# EOF\n");
        }
        page
    }
}

/// All families as a Markdown table.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from("| metric | kind | labels | what it is |\n|---|---|---|---|\n");
    for family in FAMILIES {
        let labels: Vec<_> = family.labels.iter().map(|l| format!("`{l}`")).collect();
        let kind = match family.kind {
            Kind::Info => "gauge, 1",
            kind => kind.name(),
        };
        let chips = if family.per_chip {
            " With `?chips=1` only."
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "| `{}` | {kind} | {} | {}.{chips} |",
            family.sample_name(),
            labels.join(" "),
            family.help,
        );
    }
    out
}

#[cfg(test)]
mod tests;
