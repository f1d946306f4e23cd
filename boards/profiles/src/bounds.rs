//! Outer bounds that no profile may pass, whatever its author believes. They guard against slips
//! of the pen, not against a bad night: a profile's own limits are always tighter.

use crate::ChipKind;

/// Chips whose temperature passes this are in danger whatever their kind, °C: the highest
/// figure that published firmware of any maker treats as "dangerous" for a die estimate.
pub(crate) const CHIP_MAX_C: f64 = 110.0;

/// Highest limit for a core regulator, °C. Boards in the field warn at 95 to 105 and the
/// converters shut down at 125 to 145.
pub(crate) const REGULATOR_MAX_C: f64 = 125.0;

/// Highest limit for a board sensor, °C; published firmware calls 70 to 75 dangerous.
pub(crate) const BOARD_MAX_C: f64 = 80.0;

/// Most that one board may be allowed to draw, W. An air-cooled machine of three boards draws
/// about 3.6 kW.
pub(crate) const POWER_MAX_W: f64 = 2000.0;

/// Outer bounds of a kind of chip.
pub(crate) struct ChipBounds {
    /// Highest clock that any published firmware or preset for this chip offers, MHz.
    pub(crate) max_mhz: f64,
    /// Highest supply for one chip, mV.
    pub(crate) max_mv: u32,
}

/// The bounds of `kind`.
///
/// Clocks: 1250 MHz is NerdQX's absolute limit (BM1370), 1200 MHz that of the BM1373 board, 790
/// the top of LuxOS' S19k Pro presets (BM1366); elsewhere the 800 MHz of ESP-Miner's menu.
/// Volts: 1.40 V for the BM1397 is the Bitaxe Max's default, 1.30 V for the later single-rail
/// chips is our own margin over the 1.25 to 1.30 V that firmware offers. A BM1362 lives on
/// about 0.31 V; 0.40 V leaves room over the 15.0 V at which boards of 42 domains are started.
pub(crate) fn of(kind: ChipKind) -> ChipBounds {
    let (max_mhz, max_mv) = match kind {
        ChipKind::Bm1362 => (800.0, 400),
        ChipKind::Bm1366 | ChipKind::Bm1368 => (800.0, 1300),
        ChipKind::Bm1370 => (1250.0, 1300),
        ChipKind::Bm1372 | ChipKind::Bm1373 => (1200.0, 1300),
        ChipKind::Bm1397 => (800.0, 1400),
    };
    ChipBounds { max_mhz, max_mv }
}
