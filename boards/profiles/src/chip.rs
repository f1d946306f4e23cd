//! Questions to the chip model, answered in words for people who write profiles.

use bm13xx::{Baud, ChipKind, Megahertz};

/// Farthest that the host's rate may be from the chips', as a share of it: at 3 % a receiver
/// samples the last bit of a byte at its edge, and adapters bring errors of their own.
const BAUD_TOLERANCE: f64 = 0.01;

/// Whether the chip's PLL can make a clock close to `mhz`, and if not why.
pub(crate) fn check_clock(kind: ChipKind, mhz: f64) -> Result<(), String> {
    match kind.model().pll(Megahertz::new(mhz)) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the chip can talk at `baud`, and if not why. All can at the rate after reset.
pub(crate) fn check_baud(kind: ChipKind, baud: u32) -> Result<(), String> {
    if baud == Baud::RESET.get() {
        return Ok(());
    }
    let change = kind.model().baud_change(Baud::new(baud));
    let real = change.map_err(|error| error.to_string())?.baud;
    if (f64::from(baud) / f64::from(real.get()) - 1.0).abs() > BAUD_TOLERANCE {
        return Err(format!(
            "the nearest rate of a {kind} is {real}; write that"
        ));
    }
    Ok(())
}
