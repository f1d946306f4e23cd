//! How output is to look: how wide the terminal is, and whether it has colours. Pipes and files get
//! everything, without colour.

use std::io::{self, IsTerminal};

/// Width where there is no terminal to ask.
const USUAL_WIDTH: usize = 80;

/// Widest map that is still a picture, characters.
const WIDEST_MAP: usize = 160;

/// What standard output can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Characters in a line of the terminal; none for a pipe or file, where nothing is cut.
    pub width: Option<usize>,
    /// Whether to use colours.
    pub colour: bool,
}

impl Look {
    /// The look of standard output. `NO_COLOR` and a dumb terminal mean no colours; `CLICOLOR_FORCE` means
    /// colours in a pipe as well, for pagers that show them; `COLUMNS` is the width of a pipe.
    #[must_use]
    pub fn of_stdout() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let terminal = io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let forced = std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0");
        let asked = || ratatui::crossterm::terminal::size().ok();
        let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
        let width = if terminal {
            asked().map(|(columns, _)| usize::from(columns))
        } else {
            columns()
        };
        Self {
            width: width.filter(|width| *width > 0),
            colour: !set("NO_COLOR") && (forced || (terminal && !dumb)),
        }
    }

    /// Width of a chip map.
    #[must_use]
    pub fn map_width(self) -> usize {
        self.width.unwrap_or(USUAL_WIDTH).min(WIDEST_MAP)
    }
}
