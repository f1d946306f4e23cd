//! What the profiles need to know of chips. Stands in for `bm13xx` until that crate has it.

use std::fmt;

/// Kind of chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ChipKind {
    Bm1362,
    Bm1366,
    Bm1368,
    Bm1370,
    Bm1372,
    Bm1373,
    Bm1397,
}

const ALL: [(ChipKind, &str, u32); 7] = [
    (ChipKind::Bm1362, "BM1362", 514),
    (ChipKind::Bm1366, "BM1366", 894),
    (ChipKind::Bm1368, "BM1368", 1276),
    (ChipKind::Bm1370, "BM1370", 2040),
    (ChipKind::Bm1372, "BM1372", 6725),
    (ChipKind::Bm1373, "BM1373", 6725),
    (ChipKind::Bm1397, "BM1397", 672),
];

impl fmt::Display for ChipKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ALL.iter().find(|c| c.0 == *self).map_or("?", |c| c.1))
    }
}

/// The chip with this name.
pub(crate) fn parse(name: &str) -> Result<ChipKind, String> {
    ALL.iter()
        .find(|c| c.1 == name)
        .map(|c| c.0)
        .ok_or_else(|| format!("unknown chip `{name}`"))
}

/// Hashes per clock.
pub(crate) fn small_cores(kind: ChipKind) -> u32 {
    ALL.iter().find(|c| c.0 == kind).map_or(0, |c| c.2)
}

/// Whether the chip's PLL can make a clock, and if not why.
pub(crate) fn check_clock(_kind: ChipKind, _mhz: f64) -> Result<(), String> {
    Ok(())
}

/// Whether the chip can make a baud rate, and if not which ones are near.
pub(crate) fn check_baud(_kind: ChipKind, baud: u32) -> Result<(), String> {
    let _ = baud;
    Ok(())
}
