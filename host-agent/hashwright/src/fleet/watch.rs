//! A live table of a fleet: asks all machines again and again, and shows those that matter first.

use std::sync::Arc;
use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use tokio::sync::{Mutex, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::crowd;
use super::machine::{Answer, Member, read, short};
use super::table::{self, Sort, Totals};
use crate::cli::Client;
use crate::cli::reach::connect_to;
use crate::commands::say;
use crate::view::terminal::{self, Page};
use crate::view::theme::Theme;
use crate::view::{self, Mood};

/// Shows the machines until the user quits; without a terminal prints the totals and those in trouble each
/// time.
///
/// # Errors
///
/// A terminal that cannot be drawn on, or nobody who reads.
pub async fn run(
    members: Vec<Member>,
    every: Duration,
    at_once: usize,
    sort: Sort,
) -> anyhow::Result<()> {
    let (told, news) = watch::channel(Arc::default());
    let polling = tokio::spawn(poll(members, every, at_once, told));
    let shown = if view::is_possible() {
        let theme = Theme::of_environment();
        let screen = Screen::new(theme, sort);
        let page = Live { screen, news };
        let shown = terminal::run(page, std::future::pending()).await;
        shown.map(drop).map_err(Into::into)
    } else {
        print(news, sort).await
    };
    polling.abort();
    shown
}

/// A machine with its connection, which stays open between two rounds.
#[derive(Debug)]
struct Kept {
    member: Member,
    client: Mutex<Option<Client>>,
}

impl Kept {
    async fn ask(self: Arc<Self>) -> Answer {
        let mut client = self.client.lock().await;
        let within = self.member.place.within.unwrap_or(Duration::from_secs(5));
        let start = std::time::Instant::now();
        let asked = async {
            if client.is_none() {
                *client = Some(connect_to(&self.member.place).await?);
            }
            match client.as_ref() {
                Some(client) => read(client).await.map(Some),
                None => Ok(None),
            }
        };
        let asked = timeout(2 * within, asked).await;
        let (reading, error) = match asked {
            Ok(Ok(reading)) => (reading, None),
            Ok(Err(error)) => (None, Some(short(&error))),
            Err(_) => (None, Some("no answer in time".to_owned())),
        };
        if error.is_some() {
            // The next round begins with a connection of its own.
            *client = None;
        }
        Answer {
            name: self.member.name.clone(),
            url: self.member.place.url.clone(),
            groups: self.member.groups.clone(),
            reading,
            error,
            took_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

async fn poll(
    members: Vec<Member>,
    every: Duration,
    at_once: usize,
    told: watch::Sender<Arc<Vec<Answer>>>,
) {
    let lines: Vec<_> = members
        .into_iter()
        .map(|member| {
            let client = Mutex::new(None);
            Arc::new(Kept { member, client })
        })
        .collect();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answers = crowd::each(lines.clone(), at_once, Kept::ask, |_, _| {}).await;
        if told.send(Arc::new(answers)).is_err() {
            return;
        }
    }
}

async fn print(mut news: watch::Receiver<Arc<Vec<Answer>>>, sort: Sort) -> anyhow::Result<()> {
    while news.changed().await.is_ok() {
        let mut answers = news.borrow_and_update().to_vec();
        sort.sort(&mut answers);
        say(&Totals::of(&answers).line())?;
        for answer in answers.iter().filter(|answer| !answer.is_well()) {
            say(&format!("! {}: {}", answer.name, answer.trouble()))?;
        }
    }
    Ok(())
}

struct Live {
    screen: Screen,
    news: watch::Receiver<Arc<Vec<Answer>>>,
}

impl Page for Live {
    fn refresh(&mut self) {
        if self.news.has_changed().unwrap_or(false) {
            self.screen.update(self.news.borrow_and_update().to_vec());
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        self.screen.draw(frame);
    }

    fn key(&mut self, key: KeyEvent) -> bool {
        self.screen.key(key)
    }
}

/// The table as a picture: no terminal, no network.
#[derive(Clone, Debug, Default)]
pub struct Screen {
    theme: Theme,
    answers: Vec<Answer>,
    asked: bool,
    sort: Sort,
    troubled: bool,
    scrolled: usize,
}

impl Screen {
    /// An empty table.
    #[must_use]
    pub fn new(theme: Theme, sort: Sort) -> Self {
        Self {
            theme,
            sort,
            ..Self::default()
        }
    }

    /// Takes the newest answers.
    pub fn update(&mut self, answers: Vec<Answer>) {
        self.answers = answers;
        self.asked = true;
        self.sort.sort(&mut self.answers);
    }

    /// Takes a key; true ends the view.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        if key.kind == KeyEventKind::Release {
            return false;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return key.code == KeyCode::Char('c');
        }
        match key.code {
            KeyCode::Char('q' | 'Q') => return true,
            KeyCode::Char('s') => {
                self.sort = self.sort.next();
                self.sort.sort(&mut self.answers);
                self.scrolled = 0;
            }
            KeyCode::Char('f') => {
                self.troubled = !self.troubled;
                self.scrolled = 0;
            }
            // What is too far is put right when it is drawn.
            KeyCode::Down | KeyCode::Char('j') => self.scrolled = self.scrolled.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.scrolled = self.scrolled.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => {
                self.scrolled = self.scrolled.saturating_add(20);
            }
            KeyCode::PageUp => self.scrolled = self.scrolled.saturating_sub(20),
            KeyCode::Home | KeyCode::Char('g') => self.scrolled = 0,
            KeyCode::End | KeyCode::Char('G') => self.scrolled = usize::MAX,
            _ => {}
        }
        false
    }

    /// Draws the table.
    pub fn draw(&mut self, frame: &mut Frame<'_>) {
        let [header, titles, body, footer] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        let total = if self.asked {
            Totals::of(&self.answers).line()
        } else {
            "asking all machines for the first time …".to_owned()
        };
        frame.render_widget(Line::styled(total, self.theme.bold()), header);
        let shown: Vec<_> = self
            .answers
            .iter()
            .filter(|answer| !(self.troubled && answer.is_well()))
            .cloned()
            .collect();
        let mut lines = table::lines(&shown, Some(body.width.into())).into_iter();
        let title = lines.next().unwrap_or_default();
        frame.render_widget(Line::styled(title, self.theme.dim()), titles);
        let height = usize::from(body.height);
        self.scrolled = self.scrolled.min(shown.len().saturating_sub(height));
        let rows: Vec<_> = lines
            .zip(&shown)
            .skip(self.scrolled)
            .take(height)
            .map(|(line, answer)| {
                let mood = match (answer.is_well(), &answer.reading) {
                    (false, _) => Mood::Bad,
                    (true, Some(reading)) if reading.state == "mining" => Mood::Good,
                    (true, _) => Mood::Plain,
                };
                Line::styled(line, self.theme.mood(mood))
            })
            .collect();
        let rows = if rows.is_empty() && self.asked {
            vec![Line::styled(
                "no machine is in trouble",
                self.theme.mood(Mood::Good),
            )]
        } else {
            rows
        };
        frame.render_widget(Paragraph::new(rows), body);
        let filter = if self.troubled { "all" } else { "trouble only" };
        let last = (self.scrolled + height).min(shown.len());
        let first = (self.scrolled + 1).min(shown.len());
        let keys = format!(
            "{first}-{last} of {}   s sort: {}   f {filter}   ↑ ↓ scroll   q quit",
            shown.len(),
            self.sort.name()
        );
        frame.render_widget(Line::styled(keys, self.theme.dim()), footer);
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::fleet::machine::Reading;

    fn fleet(count: usize) -> Vec<Answer> {
        (0..count)
            .map(|index| {
                let reading = Reading {
                    state: "mining".into(),
                    hps: 100e12,
                    expected_hps: 100e12,
                    ..Reading::default()
                };
                let up = index % 10 != 7;
                Answer {
                    name: format!("rack-{index}"),
                    url: String::new(),
                    groups: Vec::new(),
                    reading: up.then_some(reading),
                    error: (!up).then(|| "no answer: timed out".to_owned()),
                    took_ms: 3,
                }
            })
            .collect()
    }

    fn rows(screen: &mut Screen, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let row = |y| {
            (0..width)
                .map(|x| buffer[(x, y)].symbol())
                .collect::<String>()
        };
        (0..height).map(|y| row(y).trim_end().to_owned()).collect()
    }

    fn press(screen: &mut Screen, c: char) -> bool {
        screen.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE))
    }

    #[test]
    fn hundreds_of_machines_are_sorted_filtered_and_scrolled() {
        let mut screen = Screen::new(Theme::default(), Sort::Trouble);
        assert!(rows(&mut screen, 80, 24)[0].starts_with("asking"));
        screen.update(fleet(200));
        let shown = rows(&mut screen, 80, 24);
        assert!(shown[0].starts_with("200 machines, 180 answer, 180 mine, 20 in trouble"));
        assert!(shown[2].starts_with("rack-7 "), "{shown:#?}");
        assert!(shown[2].contains("no answer: timed out"), "{shown:#?}");
        press(&mut screen, 's');
        assert!(rows(&mut screen, 80, 24)[2].starts_with("rack-0 "));
        press(&mut screen, 'f');
        let shown = rows(&mut screen, 80, 30);
        assert!(shown[29].contains("1-20 of 20") && shown[21].starts_with("rack-197"));
        press(&mut screen, 'f');
        press(&mut screen, 'G');
        assert!(rows(&mut screen, 80, 24)[22].starts_with("rack-199 "));
        assert!(press(&mut screen, 'q'));
    }

    #[test]
    fn no_size_breaks_the_table() {
        let mut screen = Screen::new(Theme { colour: true }, Sort::Rate);
        for count in [0, 1, 50] {
            screen.update(fleet(count));
            for width in [1, 7, 80, 200] {
                for height in [1, 3, 24] {
                    rows(&mut screen, width, height);
                }
            }
        }
    }
}
