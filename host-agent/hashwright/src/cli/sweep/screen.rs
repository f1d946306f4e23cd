//! The live page of a sweep on the terminal.

use std::sync::Arc;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use tokio::sync::watch;

use super::draw::{self, Metric, Now, Style};
use super::file::Sweep;
use crate::view::terminal::Page;
use crate::view::theme::Theme;

/// What the page shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) sweep: Sweep,
    pub(super) now: Option<Now>,
    /// What is waited for, or was last done.
    pub(super) note: String,
}

/// The page.
pub(super) struct Screen {
    pub(super) shown: watch::Receiver<Arc<Shown>>,
    pub(super) metric: Metric,
    pub(super) ascii: bool,
    pub(super) theme: Theme,
}

impl Page for Screen {
    fn refresh(&mut self) {}

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let shown = Arc::clone(&self.shown.borrow());
        let area = frame.area();
        let theme = self.theme;
        let sweep = &shown.sweep;
        let style = Style {
            ascii: self.ascii,
            width: area.width.into(),
        };
        let subject = &sweep.subject;
        let title = format!(
            "Sweep of board {} ({}) of {}",
            subject.board, subject.model, subject.agent
        );
        let mut lines = vec![
            Line::styled(crate::format::plain(&title, 200), theme.bold()),
            Line::raw(draw::progress(sweep, shown.now.as_ref())),
            Line::raw(""),
        ];
        let map = draw::map(sweep, self.metric, shown.now.as_ref(), style);
        lines.extend(map.iter().map(|pieces| theme.pieces(pieces)));
        lines.push(Line::styled(draw::legend(self.ascii), theme.dim()));
        lines.push(Line::raw(""));
        let summary = draw::summary(sweep).into_iter();
        let summary = summary.flat_map(|line| crate::format::wrapped(&line, style.width));
        lines.extend(summary.map(Line::raw));
        if !shown.note.is_empty() {
            lines.push(Line::raw(crate::format::plain(&shown.note, 400)));
        }
        lines.push(Line::styled(
            "r work done   e wrong nonces   j energy per work   q stop (the same command goes on later)",
            theme.dim(),
        ));
        frame.render_widget(Paragraph::new(lines), area);
    }

    fn key(&mut self, key: KeyEvent) -> bool {
        match key.code {
            KeyCode::Char('q') => return true,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Char('r') => self.metric = Metric::Rate,
            KeyCode::Char('e') => self.metric = Metric::Errors,
            KeyCode::Char('j') => self.metric = Metric::Efficiency,
            _ => {}
        }
        false
    }
}
