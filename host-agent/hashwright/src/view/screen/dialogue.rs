//! Questions before something changes, in the last line of the screen.

use ratatui::crossterm::event::KeyCode;

use crate::format;
use crate::view::feed::Wish;

/// A question that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Dialogue {
    /// Whether to do it.
    Sure {
        /// What would be done, in words.
        what: String,
        /// What would be done.
        wish: Wish,
    },
    /// How fans are to be run: what has been typed.
    Fans(String),
}

impl Dialogue {
    pub(super) fn pause() -> Self {
        Self::sure(
            "Pause mining? Boards are wound down and lose power",
            Wish::Pause,
        )
    }

    pub(super) fn resume() -> Self {
        Self::sure("Resume mining?", Wish::Resume)
    }

    pub(super) fn fans() -> Self {
        Self::Fans(String::new())
    }

    pub(super) fn clear_fault(board: usize, code: String) -> Self {
        let what = format!(
            "Is the cause of {} on board {board} gone?",
            format::plain(&code, 40)
        );
        Self::sure(&what, Wish::ClearFault(board, code))
    }

    /// Takes a key: the question that is left, and the wish that was confirmed.
    pub(super) fn key(self, key: KeyCode) -> (Option<Self>, Option<Wish>) {
        match (self, key) {
            (Self::Sure { wish, .. }, KeyCode::Char('y' | 'Y')) => (None, Some(wish)),
            (Self::Fans(typed), KeyCode::Char('a')) if typed.is_empty() => {
                let what = "Let fans hold the target temperature?";
                (Some(Self::sure(what, Wish::CoolingAuto)), None)
            }
            (Self::Fans(mut typed), KeyCode::Char(digit @ '0'..='9')) => {
                typed.push(digit);
                // Nothing above 100 is a duty.
                if typed.parse::<u16>().is_ok_and(|percent| percent > 100) {
                    typed.pop();
                }
                (Some(Self::Fans(typed)), None)
            }
            (Self::Fans(mut typed), KeyCode::Backspace) => {
                typed.pop();
                (Some(Self::Fans(typed)), None)
            }
            (Self::Fans(typed), KeyCode::Enter) => match typed.parse() {
                Ok(percent) => {
                    let what = format!("Run fans at {percent} %? The guard may still want more");
                    (Some(Self::sure(&what, Wish::CoolingManual(percent))), None)
                }
                Err(_) => (Some(Self::Fans(typed)), None),
            },
            // A slip of a finger while typing must not end it.
            (Self::Fans(typed), KeyCode::Char(_)) => (Some(Self::Fans(typed)), None),
            _ => (None, None),
        }
    }

    /// The line to show.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Sure { what, .. } => format!(" {what}  y yes, any other key no "),
            Self::Fans(typed) => {
                format!(" Fans: a automatic, or a duty in percent and Enter: {typed}_  Esc leaves ")
            }
        }
    }

    fn sure(what: &str, wish: Wish) -> Self {
        Self::Sure {
            what: what.to_owned(),
            wish,
        }
    }
}
