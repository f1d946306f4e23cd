//! `tune curve`: the best settings from least to most power as a table, as a plot for the terminal, and as a
//! drawing. Pure functions of the agent's answer.

use std::fmt::Write as _;

use autotune::Prediction;
use rpc::tuner::{Curve, ProfileInfo, StationTuner};

use crate::cli::predict::is_blank;
use crate::format::{self, Column, Table, tuner};

/// Lines of the plot.
const HEIGHT: usize = 12;
/// Widest plot, characters.
const WIDEST: usize = 72;
/// Room beside the plot for the numbers of its axis, characters.
const BESIDE: usize = 9;

/// A table and a plot for each station.
pub(super) fn text(
    curves: &[Curve],
    now: &[StationTuner],
    profiles: &[ProfileInfo],
    width: Option<usize>,
) -> String {
    let mut parts = Vec::new();
    for curve in curves {
        let here = now.iter().find(|tuner| tuner.station == curve.station);
        if curves.len() > 1 {
            parts.push(format!("station {}", curve.station));
        }
        if curve.points.is_empty() {
            parts.push(UNKNOWN.to_owned());
            continue;
        }
        parts.push(table(&curve.points, width).join("\n"));
        parts.push(plot(&curve.points, here, width).join("\n"));
        if here.is_some_and(|tuner| is_blank(tuner, profiles)) {
            parts.push(match width {
                Some(width) => format::wrapped(BLANK, width).join("\n"),
                None => BLANK.to_owned(),
            });
        }
    }
    if curves.is_empty() {
        return UNKNOWN.to_owned();
    }
    parts.join("\n\n")
}

const UNKNOWN: &str = "The tuner does not know these boards yet. `hashwright tune start` lets it learn; \
                       `hashwright tune status` shows how far it is.";

const BLANK: &str = "! Nothing was measured on these chips yet: this is what their board profile and usual chips say.";

fn table(points: &[Prediction], width: Option<usize>) -> Vec<String> {
    let mut table = Table::new([
        Column::right("power"),
        Column::right("work"),
        Column::right("energy"),
        Column::right("voltage").gives_way(2),
        Column::right("clock").gives_way(1),
        Column::right("hottest chip").gives_way(3),
    ]);
    for point in points {
        table.push([
            tuner::interval(point.watts, "W"),
            tuner::interval(point.ths, "TH/s"),
            tuner::interval(point.j_per_th, "J/TH"),
            tuner::volts(point.mv),
            format!("{:.0} MHz", point.mhz),
            format!("{:.0} °C", point.chip_c),
        ]);
    }
    table.lines(width)
}

/// Energy per work over power; `o` is where the miner is promised to be now.
fn plot(points: &[Prediction], now: Option<&StationTuner>, width: Option<usize>) -> Vec<String> {
    let columns = width
        .unwrap_or(80)
        .saturating_sub(BESIDE + 2)
        .clamp(20, WIDEST);
    let known: Vec<(f64, f64)> = points
        .iter()
        .map(|point| (point.watts[0], point.j_per_th[0]))
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .collect();
    let here = now
        .filter(|now| now.watts > 0.0 && now.ths > 0.0)
        .map(|now| (now.watts, now.watts / now.ths));
    let all = || known.iter().copied().chain(here);
    let Some((x, y)) = Span::of(all().map(|p| p.0)).zip(Span::of(all().map(|p| p.1))) else {
        return Vec::new();
    };
    let mut grid = vec![vec![' '; columns]; HEIGHT];
    let mut set = |point: (f64, f64), mark: char| {
        let column = x.at(point.0, columns);
        let row = HEIGHT - 1 - y.at(point.1, HEIGHT);
        grid[row][column] = mark;
    };
    // Dots between the points, so that the eye finds the way.
    for pair in known.windows(2) {
        for step in 1..columns {
            let share = step as f64 / columns as f64;
            let between = |a: f64, b: f64| a + share * (b - a);
            set(
                (between(pair[0].0, pair[1].0), between(pair[0].1, pair[1].1)),
                '·',
            );
        }
    }
    for point in &known {
        set(*point, '●');
    }
    if let Some(here) = here {
        set(here, 'o');
    }
    let mut lines = vec!["energy per work over power".to_owned()];
    for (row, marks) in grid.iter().enumerate() {
        let label = match row {
            0 => format!("{:.1}", y.high),
            row if row == HEIGHT - 1 => format!("{:.1}", y.low),
            row if row == HEIGHT / 2 => "J/TH".to_owned(),
            _ => String::new(),
        };
        let marks: String = marks.iter().collect();
        lines.push(format!("{label:>BESIDE$} │{}", marks.trim_end()));
    }
    lines.push(format!("{:BESIDE$} └{}", "", "─".repeat(columns)));
    let (low, high) = (tuner::watts(x.low), tuner::watts(x.high));
    let gap = columns.saturating_sub(low.chars().count() + high.chars().count());
    lines.push(format!("{:BESIDE$}  {low}{}{high}", "", " ".repeat(gap)));
    if here.is_some() {
        lines.push(format!("{:BESIDE$}  o where the tuner keeps it now", ""));
    }
    lines
}

/// From the least to the greatest of some numbers, never empty.
#[derive(Clone, Copy, Debug)]
struct Span {
    low: f64,
    high: f64,
}

impl Span {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::MAX, f64::MIN), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        (low <= high).then_some(Self { low, high })
    }

    /// Share of the way from low to high.
    fn share(self, value: f64) -> f64 {
        let length = self.high - self.low;
        if length > 0.0 {
            ((value - self.low) / length).clamp(0.0, 1.0)
        } else {
            0.5
        }
    }

    /// Which of so many cells.
    fn at(self, value: f64, cells: usize) -> usize {
        let last = cells.saturating_sub(1);
        // The cast saturates and takes NaN as 0.
        ((self.share(value) * last as f64).round() as usize).min(last)
    }
}

/// Both curves of each station as a drawing: work over power above, energy per work below, with their intervals.
pub(super) fn svg(curves: &[Curve], now: &[StationTuner]) -> String {
    let panels = 2 * curves.len().max(1);
    let height = 40.0 + panels as f64 * PANEL;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <style>:root{{color:#1b1f24;background:#fff}}@media(prefers-color-scheme:dark)\
         {{:root{{color:#e6e9ee;background:#14171c}}}}text{{fill:currentColor}}.axis{{stroke:currentColor;\
         opacity:.4}}.band{{fill:#2a7de1;opacity:.18}}.line{{fill:none;stroke:#2a7de1;stroke-width:2}}\
         .point{{fill:#2a7de1}}.now{{fill:none;stroke:#e07b00;stroke-width:2}}</style>\n\
         <title>Best settings from least to most power</title>\n"
    );
    let mut top = 30.0;
    for curve in curves {
        let here = now.iter().find(|tuner| tuner.station == curve.station);
        let here = here.filter(|here| here.watts > 0.0 && here.ths > 0.0);
        let work = here.map(|here| (here.watts, here.ths));
        panel(
            &mut out,
            top,
            &format!("station {}: work, TH/s, over power, W", curve.station),
            &curve.points,
            |point| point.ths,
            work,
        );
        top += PANEL;
        let energy = here.map(|here| (here.watts, here.watts / here.ths));
        panel(
            &mut out,
            top,
            &format!(
                "station {}: energy per work, J/TH, over power, W",
                curve.station
            ),
            &curve.points,
            |point| point.j_per_th,
            energy,
        );
        top += PANEL;
    }
    out.push_str("</svg>\n");
    out
}

/// Width of the drawing, and height of a part of it.
const WIDTH: f64 = 720.0;
const PANEL: f64 = 260.0;
/// Where the axes of a part are.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 700.0;
const DEPTH: f64 = 190.0;

fn panel(
    out: &mut String,
    top: f64,
    title: &str,
    points: &[Prediction],
    value: impl Fn(&Prediction) -> [f64; 3],
    now: Option<(f64, f64)>,
) {
    let finite = |point: &&Prediction| {
        point
            .watts
            .iter()
            .chain(&value(point))
            .all(|v| v.is_finite())
    };
    let points: Vec<_> = points.iter().filter(finite).collect();
    let xs = points.iter().map(|p| p.watts[0]).chain(now.map(|n| n.0));
    let ys = points.iter().flat_map(|p| value(p)).chain(now.map(|n| n.1));
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{top:.0}\">{title}</text>");
    let Some((x, y)) = Span::of(xs).zip(Span::of(ys)) else {
        let _ = writeln!(
            out,
            "<text x=\"{LEFT}\" y=\"{:.0}\">nothing is known yet</text>",
            top + 30.0
        );
        return;
    };
    let (roof, floor) = (top + 12.0, top + 12.0 + DEPTH);
    let across = |watts: f64| LEFT + x.share(watts) * (RIGHT - LEFT);
    let up = |value: f64| floor - y.share(value) * DEPTH;
    let _ = writeln!(
        out,
        "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {roof:.1}V{floor:.1}H{RIGHT}\"/>"
    );
    for tick in 0..=4 {
        let share = f64::from(tick) / 4.0;
        let (watts, high) = (
            x.low + share * (x.high - x.low),
            y.low + share * (y.high - y.low),
        );
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            across(watts),
            floor + 18.0,
            format::difficulty(watts),
            LEFT - 8.0,
            up(high) + 4.0,
            format::difficulty(high),
        );
    }
    let there = points.iter().map(|p| (p.watts[0], value(p)[2]));
    let back = points.iter().rev().map(|p| (p.watts[0], value(p)[1]));
    let band = path(there.chain(back), across, up);
    let line = path(points.iter().map(|p| (p.watts[0], value(p)[0])), across, up);
    let _ = writeln!(
        out,
        "<path class=\"band\" d=\"{band}Z\"/><path class=\"line\" d=\"{line}\"/>"
    );
    for point in &points {
        let (watts, likely) = (point.watts[0], value(point)[0]);
        let _ = writeln!(
            out,
            "<circle class=\"point\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{}</title></circle>",
            across(watts),
            up(likely),
            tuner::prediction(point),
        );
    }
    if let Some((watts, value)) = now {
        let _ = writeln!(
            out,
            "<circle class=\"now\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"6\"><title>now</title></circle>",
            across(watts),
            up(value),
        );
    }
}

fn path(
    points: impl Iterator<Item = (f64, f64)>,
    across: impl Fn(f64) -> f64,
    up: impl Fn(f64) -> f64,
) -> String {
    let mut text = String::new();
    for (x, y) in points {
        let command = if text.is_empty() { 'M' } else { 'L' };
        let _ = write!(text, "{command}{:.1} {:.1}", across(x), up(y));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use autotune::Reach;

    fn point(watts: f64, ths: f64) -> Prediction {
        let around = |value: f64| [value, value * 0.99, value * 1.01];
        Prediction {
            mv: 13_500.0,
            mhz: 490.0,
            ths: around(ths),
            watts: around(watts),
            j_per_th: around(watts / ths),
            chip_c: 71.0,
            reach: Reach::Reached,
        }
    }

    fn curves() -> Vec<Curve> {
        let points = [(1500.0, 90.0), (2000.0, 112.0), (2500.0, 131.0)];
        vec![Curve {
            station: 0,
            points: points.map(|(w, t)| point(w, t)).to_vec(),
        }]
    }

    fn now() -> Vec<StationTuner> {
        vec![StationTuner {
            watts: 1800.0,
            ths: 104.0,
            ..StationTuner::default()
        }]
    }

    #[test]
    fn the_table_has_a_line_for_each_point_and_the_plot_its_ends() {
        let text = text(&curves(), &now(), &[], Some(80));
        assert!(text.contains("2000 ± 20 W"), "{text}");
        assert!(text.contains("112 ± 1 TH/s"), "{text}");
        assert_eq!(text.matches('●').count(), 3, "{text}");
        assert!(text.contains("19.1 │"), "{text}");
        assert!(text.contains("16.7 │"), "{text}");
        assert!(text.contains("o where"), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }

    #[test]
    fn boards_that_nothing_is_known_of_say_so() {
        for curves in [
            Vec::new(),
            vec![Curve {
                station: 0,
                points: Vec::new(),
            }],
        ] {
            assert!(text(&curves, &[], &[], None).contains("tune start"));
        }
        assert!(
            svg(
                &[Curve {
                    station: 0,
                    points: Vec::new()
                }],
                &[]
            )
            .contains("nothing is known")
        );
    }

    #[test]
    fn one_point_and_broken_numbers_are_no_harm() {
        let one = [Curve {
            station: 0,
            points: vec![point(1500.0, 90.0), point(f64::NAN, f64::NAN)],
        }];
        assert!(text(&one, &[], &[], Some(20)).contains('●'));
        let drawing = svg(&one, &[]);
        assert!(
            !drawing.contains("NaN") && drawing.contains("<circle"),
            "{drawing}"
        );
    }

    #[test]
    fn the_drawing_stays_inside_its_frame() {
        let drawing = svg(&curves(), &now());
        assert!(drawing.starts_with("<svg") && drawing.trim_end().ends_with("</svg>"));
        let numbers = drawing.split("cx=\"").skip(1);
        for number in numbers.filter_map(|rest| rest.split('"').next()) {
            let x: f64 = number.parse().unwrap();
            assert!((LEFT..=RIGHT).contains(&x), "{x}");
        }
        assert_eq!(drawing.matches("class=\"point\"").count(), 6);
        assert_eq!(drawing.matches("class=\"now\"").count(), 2);
    }
}
