//! The pages that are text: the tables of the command line, at the width of the screen.

use ratatui::style::Color;
use ratatui::text::{Line, Span};
use rpc::event::Entry;
use rpc::stream::{Level as LogLevel, LogLine};
use station::Severity;

use super::{LONGEST, Screen};
use crate::cli::render::{self, control};
use crate::format;
use crate::view::chipmap;
use crate::view::events::Mood;

/// Chips named below a map at most.
const OUTLIERS: usize = 5;

/// The longest line of the log shown, characters.
const LOG_LINE: usize = 500;

impl Screen {
    /// Boards, and the stations that power and cool them.
    pub(super) fn board_page(&self, width: usize) -> Vec<Line<'static>> {
        let snapshot = &self.snapshot;
        let mut text = render::boards(&snapshot.boards, Some(width));
        if !snapshot.stations.is_empty() {
            text.push_str("\n\n");
            text.push_str(&control::stations(&snapshot.stations, Some(width)));
        }
        self.text(&text)
    }

    /// A map for each board.
    pub(super) fn chip_page(&self, width: usize) -> Vec<Line<'static>> {
        let snapshot = &self.snapshot;
        let mut lines = Vec::new();
        for board in &snapshot.boards {
            let chips: Vec<_> = snapshot
                .chips
                .iter()
                .filter(|chip| chip.board == board.index)
                .cloned()
                .collect();
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            lines.push(Line::from(vec![
                Span::styled(
                    format!(
                        "board {} {}",
                        board.index,
                        format::plain(&board.model, LONGEST)
                    ),
                    self.theme.bold(),
                ),
                Span::styled(
                    format!(
                        "  {}  {} of {} chips  {} of {} expected",
                        format::plain(&board.state, 12),
                        board.chips_found,
                        board.chips_expected,
                        format::hashrate(board.hashrate.m10.hps),
                        format::hashrate(board.expected_hps),
                    ),
                    self.theme.dim(),
                ),
            ]));
            if chips.is_empty() {
                lines.push(Line::styled("  no chips yet", self.theme.dim()));
            }
            let map = chipmap::lines(&chips, width);
            lines.extend(map.iter().map(|pieces| self.theme.pieces(pieces)));
            let outliers = chipmap::outliers(&chips, OUTLIERS);
            lines.extend(outliers.iter().map(|text| Line::raw(format!("  {text}"))));
        }
        if !snapshot.chips.is_empty() {
            lines.push(Line::default());
            lines.push(self.legend());
        }
        lines
    }

    /// Everything about each pool.
    pub(super) fn pool_page(&self) -> Vec<Line<'static>> {
        let text = render::pool_details(&self.snapshot.pools, self.snapshot.system.uptime_s);
        self.text(&text)
    }

    /// What happened, newest last.
    pub(super) fn event_page(&self) -> Vec<Line<'static>> {
        if self.entries.is_empty() {
            // What the view saw for itself, where the agent's own list is not to be had.
            return self.changes.iter().map(|event| self.event(event)).collect();
        }
        let lines = self.entries.values().flat_map(|entry| self.entry(entry));
        lines.collect()
    }

    /// The log, newest last.
    pub(super) fn log_page(&self) -> Vec<Line<'static>> {
        if let (true, Some(why)) = (self.log.is_empty(), &self.no_log) {
            return vec![Line::styled(format::plain(why, LOG_LINE), self.theme.dim())];
        }
        self.log.iter().map(|line| self.log_line(line)).collect()
    }

    /// The meaning of the marks.
    fn legend(&self) -> Line<'static> {
        let mut line = Line::default();
        for (level, meaning) in chipmap::LEGEND {
            line.push_span(Span::styled(
                level.mark().to_string(),
                self.theme.level(level),
            ));
            line.push_span(Span::styled(format!(" {meaning}  "), self.theme.dim()));
        }
        line
    }

    fn entry(&self, entry: &Entry) -> Vec<Line<'static>> {
        let text = control::event(entry);
        let mut parts = text.split('\n');
        let style = match entry.notice.severity {
            Severity::Info => self.theme.mood(Mood::Plain),
            Severity::Warning => self.theme.coloured(Color::Yellow),
            Severity::Fault | Severity::Critical => self.theme.mood(Mood::Bad),
        };
        let first = parts.next().unwrap_or_default();
        let mut lines = vec![Line::styled(first.to_owned(), style)];
        lines.extend(parts.map(|part| Line::styled(part.to_owned(), self.theme.dim())));
        lines
    }

    fn log_line(&self, line: &LogLine) -> Line<'static> {
        let style = match line.level {
            LogLevel::Error => self.theme.mood(Mood::Bad),
            LogLevel::Warn => self.theme.coloured(Color::Yellow),
            LogLevel::Info => self.theme.mood(Mood::Plain),
            LogLevel::Debug | LogLevel::Trace => self.theme.dim(),
        };
        Line::styled(render::log_line(line, LOG_LINE), style)
    }

    fn text(&self, text: &str) -> Vec<Line<'static>> {
        text.split('\n').map(|line| self.theme.text(line)).collect()
    }
}
