//! The way up and down: lines, supply, reset. Each step is one or a few short accesses; waiting is a
//! state with a time, never a sleep. Switching off does everything that it can even if a part of it
//! fails, and says whether all was done.

use std::time::Duration;

use board_profiles::PinRole;

use crate::{
    buses::{Buses, Line},
    layout::Layout,
    parts::{self, Supply, Trouble},
    psu::Psu,
};

/// Where the hardware stands between off and on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stage {
    /// Everything is off.
    Off,
    /// Lines go on; this many are, and the next may follow then.
    Lines(usize, Duration),
    /// The core supply was switched on then.
    Core(Duration),
    /// Chips leave reset; they may be talked to then.
    Release(Duration),
    /// Everything is on.
    On,
    /// Chains were told to stop, no later than then.
    Quiet(Duration),
    /// The core voltage is lowered before it goes, until then.
    Lower(Duration),
}

impl Stage {
    /// Something is on or may be.
    pub(crate) fn is_off(self) -> bool {
        self == Self::Off
    }

    /// The chips have been out of reset long enough for their diodes to tell the truth.
    pub(crate) fn chips_live(self, released: Option<Duration>, now: Duration) -> bool {
        matches!(
            self,
            Self::On | Self::Release(_) | Self::Quiet(_) | Self::Lower(_)
        ) && released.is_some_and(|at| now.saturating_sub(at) >= DIODE_SETTLE)
    }
}

/// Diodes of chips are not believed before this long after their reset was released.
pub(crate) const DIODE_SETTLE: Duration = Duration::from_millis(500);

/// Chips are talked to this long after their reset was released.
pub(crate) const RESET_SETTLE: Duration = Duration::from_millis(100);

/// Sets the supply up with its output off and at the voltage to start with, mV at its output.
pub(crate) fn prepare(
    buses: &mut dyn Buses,
    layout: &Layout,
    psu: Option<&mut Psu>,
    output_mv: u32,
) -> Result<(), Trouble> {
    parts::supply_init(buses, &layout.supply_at, layout.supply)?;
    set_output(buses, layout, psu, output_mv)
}

/// Sets the output of the supply, mV. A machine's supply takes it in its own time.
pub(crate) fn set_output(
    buses: &mut dyn Buses,
    layout: &Layout,
    psu: Option<&mut Psu>,
    output_mv: u32,
) -> Result<(), Trouble> {
    match psu {
        Some(psu) => {
            psu.set(output_mv);
            Ok(())
        }
        None => parts::supply_set(buses, &layout.supply_at, layout.supply, output_mv).map(drop),
    }
}

/// Switches one line and checks what it says.
pub(crate) fn switch(buses: &mut dyn Buses, line: Line, on: bool) -> Result<(), Trouble> {
    let is = buses.set_line(line, on)?;
    if is == on {
        Ok(())
    } else {
        let mut trouble = Trouble::from(crate::buses::BusError::Port(format!(
            "line {line:?} does not follow"
        )));
        trouble.mismatch = Some((u32::from(is), u32::from(on)));
        Err(trouble)
    }
}

/// Switches the core supply's output by command, where it has one.
pub(crate) fn core(buses: &mut dyn Buses, layout: &Layout, on: bool) -> Result<(), Trouble> {
    parts::supply_switch(buses, &layout.supply_at, layout.supply, on)
}

/// Switches everything off: the core first by whatever switches it, then reset, then the rails of
/// inputs and outputs. In order (not in an emergency) the chips are put in reset before the core
/// goes. Gives what failed; everything else was done all the same.
pub(crate) fn off(
    buses: &mut dyn Buses,
    layout: &Layout,
    boards: usize,
    in_order: bool,
) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let mut note = |result: Result<(), Trouble>| troubles.extend(result.err());
    let reset = |buses: &mut dyn Buses, note: &mut dyn FnMut(Result<(), Trouble>)| {
        for board in 0..boards {
            note(switch(buses, Line::Reset { board }, true));
        }
    };
    if in_order {
        reset(buses, &mut note);
    }
    let core_lines = layout
        .lines
        .iter()
        .rev()
        .filter(|s| s.role != PinRole::Vddio);
    let mut by_line = false;
    for step in core_lines {
        by_line = true;
        note(switch(buses, step.line, false));
    }
    let by_command = core(buses, layout, false);
    // Where a line switches the core, a regulator that lost its own supply with it cannot answer.
    if !by_line || matches!(layout.supply, Supply::Tps546(_)) {
        note(by_command);
    }
    if !in_order {
        reset(buses, &mut note);
    }
    for step in layout
        .lines
        .iter()
        .rev()
        .filter(|s| s.role == PinRole::Vddio)
    {
        note(switch(buses, step.line, false));
    }
    troubles
}
