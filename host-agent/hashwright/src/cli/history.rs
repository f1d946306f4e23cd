//! `hashwright history`: what was, as small charts, a table for other programs, or the reply itself.

use std::fmt::Write as _;

use anyhow::bail;
use rpc::history::{History, HistoryInfo, Metric, Query, Values};
use rpc::method;
use rpc::{Method, NoParams};

use super::reach::{ask, typed};
use super::{ClientArgs, Look};
use crate::format;

/// What `history` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct HistoryArgs {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// A board instead of the whole miner
    #[arg(long, value_name = "INDEX", conflicts_with = "pool")]
    pub board: Option<usize>,
    /// A pool instead of the whole miner
    #[arg(long, value_name = "INDEX")]
    pub pool: Option<usize>,
    /// How far back: seconds, or a number with m, h, d, w or y
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = span)]
    pub last: u64,
    /// Time per point, like --last; chosen to fit if left out
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub step: Option<u64>,
    /// What to show, e.g. hashrate,power; everything if left out
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = metric)]
    pub metric: Vec<Metric>,
    /// Print a table with commas: time, seconds covered, then values with their lowest and highest
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Say what is kept instead
    #[arg(long, conflicts_with_all = ["csv", "board", "pool", "step", "metric"])]
    pub info: bool,
}

/// Points in a table for other programs, unless a step is given.
const TABLE_POINTS: u32 = 1000;

/// Characters of a line beside its chart.
const BESIDE: usize = 52;

/// `hashwright history`.
///
/// # Errors
///
/// No agent, or a question that has no answer; see [`super::ClientError`].
pub async fn history(args: &HistoryArgs) -> anyhow::Result<String> {
    let client = args.client.connect().await?;
    if args.info {
        let info = ask::<method::HistoryInfo>(&client, &NoParams::default()).await?;
        return Ok(match args.client.json {
            true => info.to_string(),
            false => kept(&typed::<method::HistoryInfo>(&info)?),
        });
    }
    let room = Look::of_stdout().map_width().saturating_sub(BESIDE).max(20);
    let points = match args.csv || args.client.json {
        true => TABLE_POINTS,
        false => room as u32,
    };
    let step_s = args
        .step
        .map(|step| u32::try_from(step).unwrap_or(u32::MAX));
    let query = Query {
        last_s: Some(args.last),
        step_s,
        points: step_s.is_none().then_some(points),
        metrics: args.metric.clone(),
        board: args.board,
        pool: args.pool,
        ..Query::default()
    };
    let reply = ask::<method::HistoryQuery>(&client, &query).await?;
    if args.client.json {
        return Ok(reply.to_string());
    }
    let history = typed::<method::HistoryQuery>(&reply)?;
    Ok(match args.csv {
        true => csv(&history),
        false => charts(&history, room),
    })
}

/// Seconds of `90`, `30m`, `24h`, `7d`, `2w` or `1y`.
pub(super) fn span(text: &str) -> anyhow::Result<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "y" => 365 * 86_400,
        other => bail!("\"{other}\" is no unit of time; write s, m, h, d, w or y"),
    };
    let number: u64 = digits.parse()?;
    match number.checked_mul(unit) {
        Some(span) if span > 0 => Ok(span),
        _ => bail!("\"{text}\" is no length of time"),
    }
}

/// A metric by its name, the beginning of it being enough.
fn metric(text: &str) -> anyhow::Result<Metric> {
    let known = |metric: &&Metric| metric.name().starts_with(text);
    let exact = Metric::ALL.iter().find(|metric| metric.name() == text);
    match exact.or_else(|| Metric::ALL.iter().find(known)) {
        Some(metric) if !text.is_empty() => Ok(*metric),
        _ => {
            let names: Vec<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
            bail!("there is no \"{text}\"; there are {}", names.join(", "))
        }
    }
}

/// The whole as lines of charts.
fn charts(history: &History, room: usize) -> String {
    let length = history.to - history.from;
    let mut out = format!(
        "{}: {} in steps of {}\n",
        format::plain(&history.series.name, 60),
        format::duration(length as f64),
        format::duration(f64::from(history.step_s)),
    );
    let covered: u64 = history.covered_s.iter().copied().map(u64::from).sum();
    if covered + u64::from(history.step_s) < length.unsigned_abs() {
        let part = format::percent(covered as f64, length as f64);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "recorded for {part} of that time");
    }
    for note in &history.notes {
        let _ = writeln!(out, "note: {note}");
    }
    let _ = writeln!(
        out,
        "{:16} {:>10} {:>10} {:>10}",
        "", "lowest", "mean", "highest"
    );
    for values in &history.metrics {
        line(&mut out, history, values, room);
    }
    out.trim_end().to_owned()
}

fn line(out: &mut String, history: &History, values: &Values, room: usize) {
    let name = values.metric.name();
    let known: Vec<f64> = values.values.iter().copied().flatten().collect();
    let Some(last) = known.last() else {
        let _ = writeln!(out, "{name:16} {:>10}", "–");
        return;
    };
    if values.metric == Metric::State {
        let word = values
            .states
            .get(*last as usize)
            .map_or("?", String::as_str);
        let changes = history.marks.iter().filter(|mark| mark.kind == "state");
        let _ = writeln!(out, "{name:16} {word}, {} changes", changes.count());
        return;
    }
    let of = |extreme: &Option<Vec<Option<f64>>>| -> Vec<f64> {
        let known = extreme.as_ref().unwrap_or(&values.values).iter();
        known.copied().flatten().collect()
    };
    let lowest = of(&values.min).into_iter().fold(f64::MAX, f64::min);
    let highest = of(&values.max).into_iter().fold(f64::MIN, f64::max);
    let total: f64 = known.iter().sum();
    let (middle, head) = match is_count(values.metric) {
        true => (total, "Σ"),
        false => (total / known.len() as f64, ""),
    };
    let text = |value: f64| shown(values, value);
    let chart = sparkline(&values.values, room);
    let middle = format!("{head}{}", text(middle));
    let _ = writeln!(
        out,
        "{name:16} {:>10} {middle:>10} {:>10}  {chart}",
        text(lowest),
        text(highest),
    );
}

fn is_count(metric: Metric) -> bool {
    metric.unit().is_empty() && metric != Metric::State
}

/// A value as people read it.
fn shown(values: &Values, value: f64) -> String {
    match values.unit.as_str() {
        "H/s" => format::hashrate(value),
        "" => format::difficulty(value),
        "%" => format!("{value:.0} %"),
        unit if value.abs() >= 1000.0 => format!("{value:.0} {unit}"),
        unit => format!("{value:.1} {unit}"),
    }
}

/// A line of blocks from the lowest to the highest value; nothing where there is no value.
fn sparkline(values: &[Option<f64>], room: usize) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let known = || values.iter().copied().flatten();
    let (low, high) = known().fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    // What hardly changes is drawn flat, not as mountains of a thousandth.
    let flat = high - low <= high.abs().max(low.abs()) * 0.005;
    let block = |value: f64| match flat {
        true => BLOCKS[3],
        false => BLOCKS[(((value - low) / (high - low) * 7.0).round() as usize).min(7)],
    };
    let per = values.len().div_ceil(room.max(1)).max(1);
    let mean = |chunk: &[Option<f64>]| {
        let known: Vec<f64> = chunk.iter().copied().flatten().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    let chunks = values.chunks(per).map(mean);
    chunks.map(|value| value.map_or(' ', block)).collect()
}

fn csv(history: &History) -> String {
    let mut out = "unix_s,covered_s".to_owned();
    let mut columns: Vec<&Vec<Option<f64>>> = Vec::new();
    for values in &history.metrics {
        let name = values.metric.name();
        let parts = [
            (String::new(), Some(&values.values)),
            ("_min".to_owned(), values.min.as_ref()),
            ("_max".to_owned(), values.max.as_ref()),
        ];
        for (suffix, part) in parts {
            if let Some(part) = part {
                let _ = write!(out, ",{name}{suffix}");
                columns.push(part);
            }
        }
    }
    for (at, covered) in history.covered_s.iter().enumerate() {
        let unix = history.from + at as i64 * i64::from(history.step_s);
        let _ = write!(out, "\n{unix},{covered}");
        for column in &columns {
            match column.get(at).copied().flatten() {
                Some(value) => {
                    let _ = write!(out, ",{value}");
                }
                None => out.push(','),
            }
        }
    }
    out
}

/// `--info` for people.
fn kept(info: &HistoryInfo) -> String {
    let mut out = String::new();
    let place = info
        .file
        .as_deref()
        .unwrap_or("memory, until the agent ends");
    let _ = writeln!(
        out,
        "history in {place}: {} KiB of at most {} KiB, {} KiB written since the start",
        info.bytes / 1024,
        info.max_bytes / 1024,
        info.written_bytes / 1024
    );
    if let Some(problem) = &info.problem {
        let _ = writeln!(out, "problem: {}", format::plain(problem, 300));
    }
    for level in &info.levels {
        let reach = match (level.oldest, level.newest) {
            (Some(oldest), Some(newest)) => format::duration((newest - oldest) as f64),
            _ => "nothing yet".to_owned(),
        };
        let _ = writeln!(
            out,
            "  every {:10} {reach} of {}, {} values, {} KiB",
            format::duration(f64::from(level.resolution_s)),
            format::duration(level.keep_s as f64),
            level.rows,
            level.bytes / 1024
        );
    }
    for one in &info.series {
        let index = one
            .series
            .index
            .map_or(String::new(), |index| format!(" {index}"));
        let _ = writeln!(
            out,
            "  {} {}{index}: {}",
            one.series.key,
            one.series.kind,
            format::plain(&one.series.name, 100)
        );
    }
    out.trim_end().to_owned()
}

// The methods that are called here, so that a rename is seen.
const _: (&str, &str) = (method::HistoryQuery::NAME, method::HistoryInfo::NAME);

#[cfg(test)]
mod tests {
    use super::*;

    fn values(metric: Metric, values: &[Option<f64>]) -> Values {
        Values {
            metric,
            unit: metric.unit().to_owned(),
            values: values.to_vec(),
            min: None,
            max: None,
            states: Vec::new(),
        }
    }

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!(span("90").unwrap(), 90);
        assert_eq!(span("24h").unwrap(), 86_400);
        assert_eq!(span("7d").unwrap(), 604_800);
        for bad in ["", "h", "0", "-1", "5x", "99999999999999999999y"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn metrics_are_known_by_their_beginning() {
        assert_eq!(metric("hashrate").unwrap(), Metric::HashrateHps);
        assert_eq!(metric("power").unwrap(), Metric::PowerW);
        assert!(metric("").is_err());
        let said = metric("watts").unwrap_err().to_string();
        assert!(said.contains("power_w"), "{said}");
    }

    #[test]
    fn gaps_are_empty_and_steady_values_flat() {
        let line = sparkline(&[Some(1.0), None, Some(8.0), Some(4.5)], 10);
        assert_eq!(line, "▁ █▅");
        assert_eq!(sparkline(&[Some(600.0), Some(601.0)], 10), "▄▄");
        assert_eq!(sparkline(&[Some(1.0); 100], 20).chars().count(), 20);
        assert_eq!(sparkline(&[], 20), "");
    }

    #[test]
    fn charts_and_tables_tell_the_same() {
        let history = History {
            from: 1000,
            to: 1003,
            step_s: 1,
            covered_s: vec![1, 0, 1],
            metrics: vec![
                values(Metric::TemperatureC, &[Some(60.0), None, Some(61.0)]),
                values(Metric::Accepted, &[Some(2.0), None, Some(3.0)]),
                values(Metric::FanRpm, &[None; 3]),
            ],
            ..History::default()
        };
        let text = charts(&history, 30);
        assert!(text.contains("60.5 °C"), "{text}");
        assert!(text.contains("Σ5"), "{text}");
        assert!(
            text.lines()
                .any(|line| line.starts_with("fan_rpm") && line.ends_with('–'))
        );
        assert_eq!(
            csv(&history),
            "unix_s,covered_s,temperature_c,accepted,fan_rpm\n1000,1,60,2,\n1001,0,,,\n1002,1,61,3,"
        );
    }
}
