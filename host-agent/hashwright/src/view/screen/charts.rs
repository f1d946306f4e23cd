//! Values over time.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType};

use super::{CHART_MINUTES, Screen};
use crate::format;
use crate::view::series::Sample;

/// Rows below which a chart shows nothing any more.
const LEAST_ROWS: u16 = 5;

/// Most points of a line: two for each dot column of a wide terminal.
const MOST_POINTS: usize = 600;

struct Graph {
    title: Line<'static>,
    lines: Vec<(Vec<(f64, f64)>, Style)>,
    text: fn(f64) -> String,
    from_zero: bool,
}

impl Screen {
    /// Hashrate with its error, power and temperature, as many as there is room for.
    pub(super) fn charts(&self, frame: &mut Frame<'_>, area: Rect) {
        let minutes = CHART_MINUTES[self.minutes()];
        let seconds = f64::from(minutes) * 60.0;
        let mut graphs = vec![self.hashrate_graph(seconds, minutes)];
        let watts = self.series.last(seconds, |sample| sample.power_w);
        let celsius = self.series.last(seconds, |sample| sample.hottest_c);
        if !watts.is_empty() {
            let joules = self.snapshot.miner.efficiency_j_th;
            let joules = joules.map_or(String::new(), |joules| format!("  {joules:.1} J/TH"));
            let title = self.title("power", last(&watts, |w| format!("{w:.0} W")) + &joules);
            graphs.push(Graph {
                title,
                lines: vec![(watts, self.theme.coloured(Color::Yellow))],
                text: |w| format!("{w:.0} W"),
                from_zero: false,
            });
        }
        if !celsius.is_empty() {
            let title = self.title("hottest", last(&celsius, |c| format!("{c:.1} °C")));
            graphs.push(Graph {
                title,
                lines: vec![(celsius, self.theme.coloured(Color::Red))],
                text: |c| format!("{c:.0} °C"),
                from_zero: false,
            });
        }
        let fit = usize::from((area.height / LEAST_ROWS).max(1));
        graphs.truncate(fit);
        // The hashrate is what the machine is for: it has half of the room.
        let parts = (0..graphs.len()).map(|index| Constraint::Fill(if index == 0 { 2 } else { 1 }));
        let areas = Layout::vertical(parts).split(area);
        for (graph, area) in graphs.into_iter().zip(areas.iter()) {
            self.graph(frame, *area, graph, minutes);
        }
    }

    fn hashrate_graph(&self, seconds: f64, minutes: u32) -> Graph {
        let values = |value: fn(&Sample) -> Option<f64>| self.series.last(seconds, value);
        let rate = values(|sample| Some(sample.hps));
        let title = self.title(
            "hashrate over 1 min",
            format!(
                "{}   of {} expected   last {minutes} min (+ -)",
                format::rate(self.snapshot.miner.hashrate.m1),
                format::hashrate(self.snapshot.miner.expected_hps)
            ),
        );
        let lines = vec![
            (values(|s| Some(s.expected_hps)), self.theme.dim()),
            (
                values(|s| Some(s.hps + s.sigma_hps)),
                self.theme.coloured(Color::DarkGray),
            ),
            (
                values(|s| Some((s.hps - s.sigma_hps).max(0.0))),
                self.theme.coloured(Color::DarkGray),
            ),
            (rate, self.theme.coloured(Color::Green)),
        ];
        Graph {
            title,
            lines,
            text: format::hashrate,
            from_zero: true,
        }
    }

    fn title(&self, name: &'static str, value: String) -> Line<'static> {
        Line::from(vec![
            Span::styled(name, self.theme.dim()),
            Span::raw("  "),
            Span::styled(value, self.theme.bold()),
        ])
    }

    fn graph(&self, frame: &mut Frame<'_>, area: Rect, graph: Graph, minutes: u32) {
        let [title, area] =
            Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
        frame.render_widget(graph.title, title);
        let lines: Vec<_> = graph
            .lines
            .iter()
            .map(|(points, style)| (thinned(points), *style))
            .collect();
        let all = || lines.iter().flat_map(|(points, _)| points).map(|(_, y)| *y);
        let (low, high) = bounds(all(), graph.from_zero);
        let datasets = lines
            .iter()
            .map(|(points, style)| {
                Dataset::default()
                    .marker(Marker::Braille)
                    .graph_type(GraphType::Line)
                    .style(*style)
                    .data(points)
            })
            .collect();
        let labels: Vec<_> = if area.height < 4 {
            vec![(graph.text)(low), (graph.text)(high)]
        } else {
            vec![
                (graph.text)(low),
                (graph.text)(low.midpoint(high)),
                (graph.text)(high),
            ]
        };
        let seconds = f64::from(minutes) * 60.0;
        let x = Axis::default()
            .bounds([-seconds, 0.0])
            .style(self.theme.dim())
            .labels([format!("-{minutes} min"), "now".to_owned()]);
        let y = Axis::default()
            .bounds([low, high])
            .style(self.theme.dim())
            .labels(labels);
        frame.render_widget(Chart::new(datasets).x_axis(x).y_axis(y), area);
    }
}

fn last(points: &[(f64, f64)], text: impl Fn(f64) -> String) -> String {
    points.last().map_or(String::new(), |(_, y)| text(*y))
}

/// At most [`MOST_POINTS`] of the points, the newest among them.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    let skip = points.len().saturating_sub(1) % step;
    points.iter().skip(skip).step_by(step).copied().collect()
}

/// What the axis spans: all values with a little room, and never nothing.
fn bounds(values: impl Iterator<Item = f64>, from_zero: bool) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    if low > high {
        return (0.0, 1.0);
    }
    let low = if from_zero { 0.0 } else { low };
    let room = ((high - low) * 0.1).max(high.abs() * 0.02).max(1e-9);
    let low = if from_zero {
        0.0
    } else {
        (low - room).max(0.0_f64.min(low))
    };
    (low, high + room)
}
