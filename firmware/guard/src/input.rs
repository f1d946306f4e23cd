//! What the guard is told: readings, reports and requests, and how it refuses a request.

use core::fmt;

use crate::{
    FaultCode, Kilohertz, Milliamps, Millivolts, Milliwatts, Percent, Rpm, State, Subject,
};

/// Why there is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadFault {
    /// The device did not acknowledge its address.
    Absent,
    /// The device answered wrongly, or the bus failed.
    Failed,
}

/// One look at a fan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FanReading {
    /// Its speed.
    pub rpm: Rpm,
    /// The duty in force, read back from the fan's controller where it can be.
    pub duty: Percent,
}

/// One look at a rail. What it cannot measure is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RailReading {
    /// Whether the regulator says that its output is on.
    pub on: Option<bool>,
    /// Output voltage.
    pub voltage: Option<Millivolts>,
    /// Output current.
    pub current: Option<Milliamps>,
    /// Power that counts towards the group's limit; leave it out where another rail already includes it.
    pub power: Option<Milliwatts>,
    /// Input voltage.
    pub input: Option<Millivolts>,
    /// What the regulator or the supply complains about.
    pub faults: RailFaults,
}

/// Complaints of a regulator or a supply, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RailFaults(pub u16);

impl RailFaults {
    /// Nothing to complain about.
    pub const NONE: Self = Self(0);
    /// Output voltage too high.
    pub const OVER_VOLTAGE: Self = Self(1);
    /// Output voltage too low.
    pub const UNDER_VOLTAGE: Self = Self(1 << 1);
    /// Output current too high.
    pub const OVER_CURRENT: Self = Self(1 << 2);
    /// The part is too hot.
    pub const OVER_TEMPERATURE: Self = Self(1 << 3);
    /// Input voltage or current out of range.
    pub const INPUT: Self = Self(1 << 4);
    /// It is off although it was told to be on.
    pub const OFF: Self = Self(1 << 5);
    /// Invalid command, parity or checksum on its bus.
    pub const COMMUNICATION: Self = Self(1 << 6);
    /// Anything else.
    pub const OTHER: Self = Self(1 << 7);

    /// Whether there is no complaint.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both complaints.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is included.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Something that the caller found out about the hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Report {
    /// A device does not answer.
    Absent {
        /// Which one.
        subject: Subject,
    },
    /// A device answers with another identity.
    WrongDevice {
        /// Which one.
        subject: Subject,
        /// The id that it gave.
        found: i32,
        /// The id that it should have given.
        expected: i32,
    },
    /// The board's memory disagrees with the profile, or cannot be trusted.
    Identity {
        /// What it says, as a number of the caller's choice.
        found: i32,
        /// What the profile says.
        expected: i32,
    },
    /// A setting was read back differently from what was written.
    Mismatch {
        /// Where.
        subject: Subject,
        /// What was read.
        read: i32,
        /// What was written.
        wrote: i32,
    },
    /// The caller switched the core on, as it was allowed to. Needed only where no rail's voltage can be measured; a rail
    /// that is seen alive says the same.
    Energised,
    /// The supervisor's port closed: as if its lease had run out this moment.
    SupervisorGone,
}

/// A voltage and a clock that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SetPoint {
    /// The voltage to set.
    pub voltage: Millivolts,
    /// The clock of the chips.
    pub frequency: Kilohertz,
}

/// How the board is cooled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CoolingMode {
    /// The cooling controller chooses the duty.
    Auto,
    /// The user chose a fixed duty. Not less than [`min_duty`](crate::Limits::min_duty).
    Manual(Percent),
    /// In liquid, without fans: the tach rule is off, and nothing else is.
    Immersion,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// Power on with this set point.
    On(SetPoint),
    /// Power off, at once. Never refused.
    Off,
    /// Another set point, while power is on or on its way.
    SetPoint(SetPoint),
    /// Another cooling mode.
    Cooling {
        /// The mode.
        mode: CoolingMode,
        /// The user confirmed explicitly; immersion needs it.
        confirmed: bool,
    },
    /// A person clears the latched fault, naming its code.
    Clear(FaultCode),
}

/// Why a request was refused. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// The frequency is above the hard limit.
    #[error("{requested} is above the limit of {max}")]
    Frequency {
        /// What was asked for.
        requested: Kilohertz,
        /// The limit.
        max: Kilohertz,
    },
    /// The voltage is above the hard limit.
    #[error("{requested} is above the limit of {max}")]
    Voltage {
        /// What was asked for.
        requested: Millivolts,
        /// The limit.
        max: Millivolts,
    },
    /// A fault is latched; a person must clear it first.
    #[error("{0} is latched: a person must clear it first")]
    Latched(FaultCode),
    /// There is no fan to verify, and the mode is not immersion.
    #[error("no fan can be verified; only the immersion mode runs without fans")]
    NoFans,
    /// Nobody asked for power, so there is no set point to change.
    #[error("power is neither on nor asked for")]
    NotWanted,
    /// Immersion needs an explicit confirmation.
    #[error("immersion switches the fan rule off and needs an explicit confirmation")]
    Unconfirmed,
    /// From and to immersion only while nothing is powered or being checked.
    #[error("the mode can change from or to immersion only while power is off, not {0}")]
    Powered(State),
    /// The fixed duty is below the lowest one.
    #[error("a duty of {requested} is below the lowest of {min}")]
    Duty {
        /// What was asked for.
        requested: Percent,
        /// The lowest duty.
        min: Percent,
    },
    /// There is no latched fault of that code.
    #[error("{named} is not the latched fault{}", Latch(*.latched))]
    NotLatched {
        /// The code that was named.
        named: FaultCode,
        /// The code that is latched.
        latched: Option<FaultCode>,
    },
}

/// Says which fault is latched.
struct Latch(Option<FaultCode>);

impl fmt::Display for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => write!(f, ": that is {code}"),
            None => f.write_str(": none is latched"),
        }
    }
}
