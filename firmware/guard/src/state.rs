//! The guard's states and the ways between them. The table is what `docs/safety.md` draws, and what exhaustive
//! exploration of the code finds: a test compares all three.

use core::fmt;

/// What the guard is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// No power, and nobody asks for it.
    Off,
    /// No power yet: temperatures are awaited, fans are being verified.
    Checking,
    /// Power is granted.
    On,
    /// Power was withdrawn: fans at 100 % until everything is cool.
    Cooling,
    /// Cool after a fault, waiting before the next try.
    Waiting,
    /// No power until a person clears the fault.
    Latched,
}

impl State {
    /// All states.
    pub const ALL: [Self; 6] = [
        Self::Off,
        Self::Checking,
        Self::On,
        Self::Cooling,
        Self::Waiting,
        Self::Latched,
    ];

    /// A stable name: `off`, `checking`, `on`, `cooling`, `waiting`, `latched`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Checking => "checking",
            Self::On => "on",
            Self::Cooling => "cooling",
            Self::Waiting => "waiting",
            Self::Latched => "latched",
        }
    }

    /// What it means, in plain words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Off => "no power, and nobody asks for it",
            Self::Checking => {
                "no power yet: temperatures are awaited and fans are verified at 100 %"
            }
            Self::On => "power is granted",
            Self::Cooling => "power was withdrawn; fans at 100 % until cool",
            Self::Waiting => "cool after a fault, a pause runs before the next try",
            Self::Latched => "no power until a person clears the fault",
        }
    }

    /// A stable number for the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::Checking => 1,
            Self::On => 2,
            Self::Cooling => 3,
            Self::Waiting => 4,
            Self::Latched => 5,
        }
    }

    /// The state with that [`number`](Self::number).
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the guard went from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Power was asked for.
    Requested,
    /// Temperatures are fresh and plausible, fans turn as they should, the supervisor is alive.
    Verified,
    /// Nobody wants power any more: off was asked for, or the supervisor fell silent while nothing was powered.
    Unwanted,
    /// A fault that may be tried again after cooling and a pause.
    Fault,
    /// A fault that latches at once, or the last one of too many.
    LatchingFault,
    /// Everything is cool and nothing has been in doubt for a while.
    Cooled,
    /// The pause before the next try is over.
    PauseOver,
    /// A person cleared the latched fault.
    Cleared,
}

impl Cause {
    /// A stable name, such as `latching-fault`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Verified => "verified",
            Self::Unwanted => "unwanted",
            Self::Fault => "fault",
            Self::LatchingFault => "latching-fault",
            Self::Cooled => "cooled",
            Self::PauseOver => "pause-over",
            Self::Cleared => "cleared",
        }
    }

    /// What happened, in plain words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Requested => "power was asked for",
            Self::Verified => {
                "temperatures fresh, plausible and not hot; fans at their speed; rails well; supervisor alive"
            }
            Self::Unwanted => {
                "off was asked for, or nobody wants power any more, or its supervisor is gone"
            }
            Self::Fault => "a fault that may be tried again",
            Self::LatchingFault => "a fault that latches at once, or one too many",
            Self::Cooled => "everything is cool and nothing was in doubt for a while",
            Self::PauseOver => "the pause is over",
            Self::Cleared => "a person cleared the fault by its name",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One way from a state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transition {
    /// The state that is left.
    pub from: State,
    /// What happened.
    pub cause: Cause,
    /// The state that follows.
    pub to: State,
}

/// Every transition that the guard can make, and no other.
pub const TRANSITIONS: &[Transition] = &{
    use Cause::*;
    use State::*;
    const fn way(from: State, cause: Cause, to: State) -> Transition {
        Transition { from, cause, to }
    }
    [
        way(Off, Requested, Checking),
        way(Off, Requested, Waiting),
        way(Off, LatchingFault, Latched),
        way(Checking, Verified, On),
        way(Checking, Unwanted, Off),
        way(Checking, Fault, Cooling),
        way(Checking, LatchingFault, Latched),
        way(On, Unwanted, Off),
        way(On, Fault, Cooling),
        way(On, LatchingFault, Latched),
        way(Cooling, Unwanted, Off),
        way(Cooling, Cooled, Waiting),
        way(Cooling, LatchingFault, Latched),
        way(Waiting, Unwanted, Off),
        way(Waiting, Fault, Cooling),
        way(Waiting, PauseOver, Checking),
        way(Waiting, LatchingFault, Latched),
        way(Latched, Cleared, Cooling),
    ]
};
