//! `[history]`: what is kept of the past, and how often it is written.

use super::reader::Section;

/// `[history]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Whether the past is kept at all.
    pub enabled: bool,
    /// Most room in the state directory, MiB.
    pub max_mib: u32,
    /// Seconds between two writes.
    pub write_every_s: u32,
}

impl Default for History {
    fn default() -> Self {
        Self {
            enabled: true,
            max_mib: 16,
            write_every_s: 60,
        }
    }
}

/// Reads the table; what does not fit is noted.
pub(super) fn read(section: &Section<'_>) -> History {
    let default = History::default();
    let number = |key, range, default| {
        let given = section.integer(key, range);
        given
            .and_then(|given| u32::try_from(given).ok())
            .unwrap_or(default)
    };
    History {
        enabled: section.boolean("enabled").unwrap_or(default.enabled),
        max_mib: number("max_mib", 1..=1024, default.max_mib),
        write_every_s: number("write_every_s", 60..=3600, default.write_every_s),
    }
}
