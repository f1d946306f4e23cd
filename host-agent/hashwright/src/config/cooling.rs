//! `[cooling]`: how the agent cools the boards that it controls. Nothing here can switch off a
//! temperature limit: those stand in the profiles.

use super::Board;
use super::reader::Section;

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

/// Notes a target that some board would have to throttle for, or switch off.
pub(super) fn check(section: &Section<'_>, cooling: &Cooling, boards: &[Option<Board>]) {
    let Some(target) = cooling.target_c else {
        return;
    };
    for (index, board) in boards.iter().enumerate() {
        let Some(board) = board else { continue };
        let limit = board.profile.limits.chip_c;
        if target > limit - 10.0 {
            let message = format!(
                "{target}: board[{index}] ({}) is switched off at {limit} °C; stay at least 10 \
                 below that",
                board.profile.model
            );
            section.bad("target_c", message);
            return;
        }
    }
}
