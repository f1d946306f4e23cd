//! `[cooling]`: how the agent cools the boards that it controls. Nothing here can switch off a
//! temperature limit: those stand in the profiles.

use super::reader::Section;
use super::{Board, Control};

/// `[cooling]`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cooling {
    /// Who sets the fans.
    pub mode: CoolingMode,
    /// Temperature to hold in automatic mode, °C; else each profile's.
    pub target_c: Option<f64>,
}

/// Who sets the fans. No mode touches the temperature limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CoolingMode {
    /// The agent, by temperature.
    #[default]
    Auto,
    /// A fixed duty, percent; raised whenever the guard wants more.
    Manual(u8),
    /// No fans: the boards are in liquid, which a person has confirmed.
    Immersion,
}

/// Temperatures that one may ask for, °C; each profile narrows it.
const TARGET_C: std::ops::RangeInclusive<f64> = 30.0..=100.0;

/// Reads the table; what does not fit is noted.
pub(super) fn read(section: &Section<'_>) -> Cooling {
    let percent = section.integer("manual_percent", 0..=100);
    let confirmed = section.boolean("confirm_immersion").unwrap_or(false);
    let mode = match section.text("mode") {
        None | Some("auto") => CoolingMode::Auto,
        Some("manual") => {
            if !section.has("manual_percent") {
                section.bad(
                    "manual_percent",
                    "is missing; manual mode needs a duty, for instance manual_percent = 70",
                );
            }
            let percent = percent.and_then(|percent| u8::try_from(percent).ok());
            CoolingMode::Manual(percent.unwrap_or(100))
        }
        Some("immersion") => {
            if !confirmed {
                section.bad(
                    "confirm_immersion",
                    "is missing. Immersion mode runs boards without any fan, which destroys boards \
                     in air. If all boards of this miner are in liquid, write \
                     confirm_immersion = true",
                );
            }
            CoolingMode::Immersion
        }
        Some(other) => {
            let message = format!("\"{other}\" is not known; write auto, manual or immersion");
            section.bad("mode", message);
            CoolingMode::Auto
        }
    };
    for (key, wanted) in [
        ("manual_percent", matches!(mode, CoolingMode::Manual(_))),
        ("confirm_immersion", mode == CoolingMode::Immersion),
        ("target_c", mode == CoolingMode::Auto),
    ] {
        if section.has(key) && !wanted {
            let needed = match key {
                "manual_percent" => "manual",
                "confirm_immersion" => "immersion",
                _ => "auto",
            };
            section.bad(key, format!("only goes with mode = \"{needed}\""));
        }
    }
    Cooling {
        mode,
        target_c: section.number("target_c", TARGET_C),
    }
}

/// How far below the beginning of throttling a target has to stay, K.
const MARGIN_K: f64 = 5.0;

/// Notes a target that some board could not hold without throttling.
pub(super) fn check(section: &Section<'_>, cooling: &Cooling, boards: &[Option<Board>]) {
    let Some(target) = cooling.target_c else {
        return;
    };
    for (index, board) in boards.iter().enumerate() {
        let Some(board) = board
            .as_ref()
            .filter(|board| board.control != Control::External)
        else {
            continue;
        };
        let most = board.profile.cooling.hot_c - MARGIN_K;
        if target > most {
            let message = format!(
                "{target}: board[{index}] ({}) takes at most {most}, because it is throttled from {} \
                 °C and switched off at {} °C",
                board.profile.model, board.profile.cooling.hot_c, board.profile.limits.chip_c
            );
            section.bad("target_c", message);
            return;
        }
    }
}
