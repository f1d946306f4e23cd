//! How things look on a terminal: the same few styles everywhere, and none that only colour tells.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::chipmap::{Level, Piece};
use super::events::Mood;

/// The styles, with or without colour.
#[derive(Clone, Copy, Debug, Default)]
pub struct Theme {
    /// Whether there is colour.
    pub colour: bool,
}

impl Theme {
    /// With colour unless the user does not want it.
    #[must_use]
    pub fn of_environment() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: !refused }
    }

    /// How an event, a board or a pool in this mood looks.
    #[must_use]
    pub fn mood(self, mood: Mood) -> Style {
        match mood {
            Mood::Plain => Style::new(),
            Mood::Good => self.coloured(Color::Green),
            Mood::Bad => self.coloured(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    /// What nobody may overlook.
    #[must_use]
    pub fn badge(self) -> Style {
        self.coloured(Color::Yellow)
            .add_modifier(Modifier::REVERSED)
    }

    /// What matters.
    #[must_use]
    pub fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What explains.
    #[must_use]
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// A colour, if there is any.
    #[must_use]
    pub fn coloured(self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    /// The mark of a chip.
    #[must_use]
    pub fn level(self, level: Level) -> Style {
        match level {
            Level::Unknown => self.dim(),
            Level::Full => self.coloured(Color::Green),
            Level::Below => self.coloured(Color::LightGreen),
            Level::Low => self.coloured(Color::Yellow),
            Level::Poor => self.coloured(Color::LightRed),
            Level::Dead => self.mood(Mood::Bad),
            Level::Errors => self.coloured(Color::Magenta).add_modifier(Modifier::BOLD),
        }
    }

    /// A line of a chip map.
    #[must_use]
    pub fn pieces(self, pieces: &[Piece]) -> Line<'static> {
        let span = |piece: &Piece| {
            let style = piece.level.map_or(self.dim(), |level| self.level(level));
            Span::styled(piece.text.clone(), style)
        };
        Line::from_iter(pieces.iter().map(span))
    }

    /// A line of text as the tables of the command line write it, where `!` marks what is wrong.
    #[must_use]
    pub fn text(self, line: &str) -> Line<'static> {
        let mood = if line.trim_start().starts_with('!') {
            Mood::Bad
        } else {
            Mood::Plain
        };
        Line::styled(line.to_owned(), self.mood(mood))
    }
}
