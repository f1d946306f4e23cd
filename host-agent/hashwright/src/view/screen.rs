//! The view as a picture of what is known: no terminal, no clock, so tests can look at it. Keys go in,
//! and what they ask of the program comes out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use rpc::event::Entry;
use rpc::stream::LogLine;

use super::events::{Event, Mood, Watcher, mood_of};
use super::feed::{Answer, Link, Wish};
use super::series::{Sample, Series};
use super::theme::Theme;
use crate::format;
use crate::state::Snapshot;

mod charts;
mod dialogue;
mod overview;
mod pages;

use dialogue::Dialogue;

/// Changes kept for the list at the bottom of the first page.
const CHANGES_KEPT: usize = 50;

/// Events and lines of the log that are kept.
const LINES_KEPT: usize = 512;

/// The longest name of the miner or URL of a pool shown, characters.
const LONGEST: usize = 44;

/// The longest answer to a wish, characters, and the lines that it may take.
const LONGEST_ANSWER: usize = 300;
const ANSWER_LINES: usize = 3;

/// Lengths of time that the charts can show, minutes.
const CHART_MINUTES: [u32; 4] = [2, 10, 30, 60];

/// A page of the view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tab {
    /// Everything at a glance.
    #[default]
    Overview,
    /// Boards, and what powers and cools them.
    Boards,
    /// The chips as a map.
    Chips,
    /// Pools, and what they pay.
    Pools,
    /// Hashrate, power and temperature over time.
    Charts,
    /// What happened and why.
    Events,
    /// The program's log.
    Log,
}

impl Tab {
    /// All of them, as they are numbered.
    pub const ALL: [Self; 7] = [
        Self::Overview,
        Self::Boards,
        Self::Chips,
        Self::Pools,
        Self::Charts,
        Self::Events,
        Self::Log,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Boards => "boards",
            Self::Chips => "chips",
            Self::Pools => "pools",
            Self::Charts => "charts",
            Self::Events => "events",
            Self::Log => "log",
        }
    }

    /// New lines come at its end, which is what one wants to see.
    fn follows(self) -> bool {
        matches!(self, Self::Events | Self::Log)
    }

    fn beside(self, step: usize) -> Self {
        Self::ALL[(self as usize + step) % Self::ALL.len()]
    }
}

/// What a key asks of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// End.
    Quit,
    /// Something of the miner; it was confirmed.
    Wish(Wish),
}

/// Everything that the view shows.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    theme: Theme,
    snapshot: Arc<Snapshot>,
    link: Link,
    watcher: Watcher,
    changes: VecDeque<Event>,
    entries: BTreeMap<u64, Entry>,
    log: VecDeque<LogLine>,
    no_log: Option<String>,
    series: Series,
    tab: Tab,
    /// Lines that each page is scrolled by: down, or up where new lines come at the end.
    scrolled: [usize; Tab::ALL.len()],
    /// Which of [`CHART_MINUTES`] the user wants; as it fits, if none.
    minutes: Option<usize>,
    help: bool,
    dialogue: Option<Dialogue>,
    answer: Option<Answer>,
}

impl Screen {
    /// An empty screen, with or without colour.
    pub fn new(colour: bool) -> Self {
        Self {
            theme: Theme { colour },
            ..Self::default()
        }
    }

    /// Begins with this page.
    #[must_use]
    pub fn on(mut self, tab: Tab) -> Self {
        self.tab = tab;
        self
    }

    /// Takes the newest state and notes what changed.
    pub fn update(&mut self, snapshot: Arc<Snapshot>) {
        if snapshot.system.uptime_s < self.snapshot.system.uptime_s {
            // Another run of the agent numbers its events anew.
            self.entries.clear();
        }
        self.changes.extend(self.watcher.observe(&snapshot));
        let surplus = self.changes.len().saturating_sub(CHANGES_KEPT);
        self.changes.drain(..surplus);
        self.series.observe(&snapshot);
        self.snapshot = snapshot;
    }

    /// Takes how the agent is reached.
    pub fn linked(&mut self, link: Link) {
        self.link = link;
    }

    /// Takes an event, or one that happened again.
    pub fn happened(&mut self, entry: Entry) {
        self.entries.insert(entry.number, entry);
        if self.entries.len() > LINES_KEPT {
            self.entries.pop_first();
        }
    }

    /// Takes a line of the log.
    pub fn logged(&mut self, line: LogLine) {
        self.log.push_back(line);
        if self.log.len() > LINES_KEPT {
            self.log.pop_front();
        }
    }

    /// Takes why there is no log.
    pub fn without_log(&mut self, why: Option<String>) {
        self.no_log = why;
    }

    /// Takes what the agent remembers from before.
    pub fn remember(&mut self, past: Vec<Sample>) {
        self.series.remember(past);
    }

    /// Takes what became of a wish.
    pub fn answered(&mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// Takes a key, and tells what it asks of the program.
    pub fn key(&mut self, key: KeyEvent) -> Option<Deed> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return (key.code == KeyCode::Char('c')).then_some(Deed::Quit);
        }
        self.answer = None;
        if let Some(dialogue) = self.dialogue.take() {
            let (next, wish) = dialogue.key(key.code);
            self.dialogue = next;
            return wish.map(Deed::Wish);
        }
        if std::mem::take(&mut self.help) && !matches!(key.code, KeyCode::Char('q' | 'Q')) {
            return None;
        }
        match key.code {
            KeyCode::Char('q' | 'Q') => return Some(Deed::Quit),
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char(digit @ '1'..='7') => {
                self.tab = Tab::ALL[digit as usize - '1' as usize];
            }
            KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => self.tab = self.tab.beside(1),
            KeyCode::BackTab | KeyCode::Left => {
                self.tab = self.tab.beside(Tab::ALL.len() - 1);
            }
            KeyCode::Down | KeyCode::Char('j') => self.scroll(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(-1),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(10),
            KeyCode::PageUp => self.scroll(-10),
            KeyCode::Home | KeyCode::Char('g') => self.scroll(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.scroll(isize::MAX),
            KeyCode::Char('+' | '=') => {
                self.minutes = Some((self.minutes() + 1).min(CHART_MINUTES.len() - 1));
            }
            KeyCode::Char('-') => self.minutes = Some(self.minutes().saturating_sub(1)),
            KeyCode::Char('p') => self.dialogue = Some(Dialogue::pause()),
            KeyCode::Char('r') => self.dialogue = Some(Dialogue::resume()),
            KeyCode::Char('c') => self.dialogue = Some(Dialogue::fans()),
            KeyCode::Char('x') => self.clear_fault(),
            _ => {}
        }
        None
    }

    /// Draws the whole screen.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let below = self.footer(usize::from(area.width));
        let [header, body, footer] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(below.len() as u16),
        ])
        .areas(area);
        frame.render_widget(self.header(usize::from(header.width)), header);
        if self.help {
            frame.render_widget(Paragraph::new(self.help_lines()), body);
        } else {
            self.page(frame, body);
        }
        frame.render_widget(Paragraph::new(below), footer);
    }

    /// Which of [`CHART_MINUTES`] is shown: at first ten minutes, or two while there is no more to show.
    fn minutes(&self) -> usize {
        let short = self.series.span_s() <= f64::from(CHART_MINUTES[0]) * 60.0;
        self.minutes.unwrap_or(usize::from(!short))
    }

    fn page(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        let lines = match self.tab {
            Tab::Overview => {
                let lines = self.overview(width, height);
                return frame.render_widget(Paragraph::new(lines), area);
            }
            Tab::Charts => return self.charts(frame, area),
            Tab::Boards => self.board_page(width),
            Tab::Chips => self.chip_page(width),
            Tab::Pools => self.pool_page(),
            Tab::Events => self.event_page(),
            Tab::Log => self.log_page(),
        };
        let lines = wrapped(lines, width);
        let most = lines.len().saturating_sub(height);
        let scrolled = &mut self.scrolled[self.tab as usize];
        *scrolled = (*scrolled).min(most);
        let from = if self.tab.follows() {
            most - *scrolled
        } else {
            *scrolled
        };
        let shown: Vec<_> = lines.into_iter().skip(from).take(height).collect();
        frame.render_widget(Paragraph::new(shown), area);
    }

    fn scroll(&mut self, lines: isize) {
        let scrolled = &mut self.scrolled[self.tab as usize];
        let lines = if self.tab.follows() {
            0isize.saturating_sub(lines)
        } else {
            lines
        };
        // What is too far is put right when it is drawn.
        *scrolled = scrolled.saturating_add_signed(lines);
    }

    /// Asks whether to clear the latched fault, if there is one.
    fn clear_fault(&mut self) {
        let latched = self.snapshot.stations.iter().find_map(|station| {
            let fault = station.status.guard.fault.as_ref()?;
            let board = *station.boards.first()?;
            fault.latched.then(|| (board, fault.code.clone()))
        });
        match latched {
            Some((board, code)) => self.dialogue = Some(Dialogue::clear_fault(board, code)),
            None => self.answer = Some(Err("no fault is latched".to_owned())),
        }
    }

    fn header(&self, width: usize) -> Line<'static> {
        let system = &self.snapshot.system;
        let name = format::plain(&system.name, LONGEST);
        let mut left = vec![Span::styled("hashwright", self.theme.bold())];
        if !name.is_empty() {
            left.push(Span::raw(format!("  {name}")));
        }
        if self.snapshot.miner.simulated {
            left.push(Span::raw("  "));
            left.push(Span::styled(" SIMULATED ", self.theme.badge()));
        }
        left.push(Span::raw("  "));
        if let Link::Down(why) = &self.link {
            let text = format!("NO CONNECTION: {}", format::plain(why, 2 * LONGEST));
            left.push(Span::styled(text, self.theme.mood(Mood::Bad)));
            return Line::from(left);
        }
        let state = format::plain(&self.snapshot.miner.state, LONGEST);
        left.push(Span::styled(
            state,
            self.theme.mood(mood_of(&self.snapshot.miner.state)),
        ));
        let place = match &self.link {
            Link::Up(url) => url.split_once("://").map_or(url.as_str(), |(_, host)| host),
            _ => &system.sha256d_backend,
        };
        let place = format::plain(place, LONGEST);
        let right = format!("{place}  up {}", format::duration(system.uptime_s));
        let used = Line::from(left.clone()).width();
        // Both sides must fit with a gap between them, or the right one goes.
        if used + right.chars().count() + 2 <= width {
            left.push(Span::raw(" ".repeat(width - used - right.chars().count())));
            left.push(Span::styled(right, self.theme.dim()));
        }
        Line::from(left)
    }

    /// The pages and the most important keys; or a question, or the answer to the last wish in a few
    /// lines.
    fn footer(&self, width: usize) -> Vec<Line<'static>> {
        if let Some(dialogue) = &self.dialogue {
            return vec![Line::styled(dialogue.text(), self.theme.badge())];
        }
        let answer = self.answer.as_ref().map(|answer| match answer {
            Ok(done) => (done, Mood::Good),
            Err(problem) => (problem, Mood::Bad),
        });
        if let Some((text, mood)) = answer {
            let parts = format::wrapped(&format::plain(text, LONGEST_ANSWER), width);
            let lines = parts.into_iter().take(ANSWER_LINES);
            let style = self.theme.mood(mood);
            return lines.map(|part| Line::styled(part, style)).collect();
        }
        let right = "? help  q quit";
        let mut line = self.tabs(true);
        if line.width() + right.len() + 2 > width {
            line = self.tabs(false);
        }
        if line.width() + right.len() + 2 > width {
            return vec![Line::styled("q quit", self.theme.dim()).right_aligned()];
        }
        let gap = width - line.width() - right.len();
        line.push_span(Span::raw(" ".repeat(gap)));
        line.push_span(Span::styled(right, self.theme.dim()));
        vec![line]
    }

    /// The pages by number, with their names or only that of the one shown.
    fn tabs(&self, names: bool) -> Line<'static> {
        let mut line = Line::default();
        for (number, tab) in (1..).zip(Tab::ALL) {
            let shown = tab == self.tab;
            let text = if names || shown {
                format!("{number} {}", tab.name())
            } else {
                number.to_string()
            };
            let style = if shown {
                self.theme.bold()
            } else {
                self.theme.dim()
            };
            if number > 1 {
                line.push_span(" ");
            }
            line.push_span(Span::styled(text, style));
        }
        line
    }

    fn help_lines(&self) -> Vec<Line<'static>> {
        const KEYS: [(&str, &str); 13] = [
            (
                "1 - 7",
                "overview, boards, chips, pools, charts, events, log",
            ),
            ("Tab  ← →", "next page, page before"),
            ("↑ ↓  j k", "scroll a line"),
            ("PgUp PgDn", "scroll ten lines"),
            ("Home End", "to the beginning, to the end"),
            ("+  -", "charts: longer, shorter time"),
            ("", ""),
            ("p", "pause: wind the boards down and take their power"),
            ("r", "resume after a pause"),
            ("c", "fans: automatic, or a fixed duty"),
            ("x", "clear a latched fault, when its cause is gone"),
            ("", ""),
            ("q", "quit"),
        ];
        let mut lines = vec![Line::default()];
        for (key, what) in KEYS {
            lines.push(Line::from(vec![
                Span::styled(format!("  {key:<11}"), self.theme.bold()),
                Span::raw(what),
            ]));
        }
        lines.push(Line::default());
        for text in [
            "  What changes the miner is asked for first, and needs the role `operate`.",
            "  Chips: █ as expected  ▆ < 95 %  ▄ < 80 %  ▂ < 50 %  x nothing  ! errors",
            "  Any key closes this page.",
        ] {
            lines.push(Line::styled(text, self.theme.dim()));
        }
        lines
    }
}

/// Lines that are longer than the screen is wide, as several. Those of several styles are made to fit.
fn wrapped(lines: Vec<Line<'static>>, width: usize) -> Vec<Line<'static>> {
    let mut all = Vec::with_capacity(lines.len());
    for line in lines {
        match &line.spans[..] {
            [span] if line.width() > width => {
                let style = line.style.patch(span.style);
                let parts = format::wrapped(&span.content, width);
                all.extend(parts.into_iter().map(|part| Line::styled(part, style)));
            }
            _ => all.push(line),
        }
    }
    all
}

#[cfg(test)]
mod tests;
