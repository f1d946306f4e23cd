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
/// goes. Gives what failed; everything else was done all the same, unless the port itself is gone.
pub(crate) fn off(
    buses: &mut dyn Buses,
    layout: &Layout,
    boards: usize,
    in_order: bool,
) -> Vec<Trouble> {
    let mut steps: Vec<Step> = Vec::new();
    let resets = (0..boards).map(|board| Step::Line(Line::Reset { board }, true));
    if in_order {
        steps.extend(resets.clone());
    }
    let lines = |vddio: bool| {
        let lines = layout.lines.iter().rev();
        lines
            .filter(move |step| (step.role == PinRole::Vddio) == vddio)
            .map(|step| Step::Line(step.line, false))
    };
    steps.extend(lines(false));
    // Where a line switches the core, a regulator that lost its own supply with it cannot answer.
    if matches!(layout.supply, Supply::Tps546(_)) {
        steps.push(Step::Core);
    }
    if !in_order {
        steps.extend(resets);
    }
    steps.extend(lines(true));

    let mut troubles = Vec::new();
    for step in steps {
        let result = match step {
            Step::Line(line, asserted) => switch(buses, line, asserted),
            Step::Core => core(buses, layout, false),
        };
        if let Err(trouble) = result {
            let gone = trouble.gone;
            troubles.push(trouble);
            if gone {
                // Every further access would wait in vain, and the owners of chains with it.
                break;
            }
        }
    }
    troubles
}

/// One access of the way down.
#[derive(Clone, Copy)]
enum Step {
    /// Brings a line to a state.
    Line(Line, bool),
    /// Switches the core off by command.
    Core,
}
