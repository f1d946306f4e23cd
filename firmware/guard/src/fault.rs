//! What can be wrong, under names and numbers that stay: what happened, to what, by how much, and what to do.

use core::fmt;
use core::time::Duration;

use crate::{CentiCelsius, Rpm};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $code:literal, $unit:ident, $severity:ident, $advice:literal;)*) => {
        /// What is wrong. Names and numbers never change their meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultCode {
            $($(#[$doc])* $name,)*
        }

        impl FaultCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable name, such as `temperature-limit`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The stable number for the wire; 0 is never used.
            pub const fn number(self) -> u8 {
                match self { $(Self::$name => $number,)* }
            }

            /// What `value` and `limit` of such a fault are measured in.
            pub const fn unit(self) -> Unit {
                match self { $(Self::$name => Unit::$unit,)* }
            }

            /// What follows from it.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// What a person should do, in plain words.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

codes! {
    /// A temperature reached its limit.
    TemperatureLimit = 1, "temperature-limit", Temperature, Retry,
        "The board is too hot to have power. Check that fans turn, heat sinks sit tight and air can flow; lower the target power or the room's temperature.";
    /// A required sensor gave no usable reading for too long.
    TemperatureStale = 2, "temperature-stale", Milliseconds, Retry,
        "A temperature sensor stopped answering, so the board may be hotter than anyone knows. Check the cable and the connector of the board; replace the sensor if it stays silent.";
    /// A sensor reads what no working sensor reads, such as exactly -1 °C or 127.9 °C.
    TemperatureImplausible = 3, "temperature-implausible", Temperature, Retry,
        "A temperature sensor reports a value that a working one cannot. Its diode is open, shorted or loose: check the connection to the chip or replace the sensor.";
    /// A sensor does not move although it must.
    TemperatureFrozen = 4, "temperature-frozen", Temperature, Retry,
        "A temperature reading has not moved although the board is working, so it cannot be trusted. Power the board down completely and start again; replace the sensor if it freezes again.";
    /// A fan turns slower than its duty demands.
    FanStalled = 5, "fan-stalled", Speed, Retry,
        "A fan is too slow or stands still. Check its plug, its cable and whether something blocks it; replace it if it does not reach its speed.";
    /// A fan's tach could not be read for too long.
    FanUnreadable = 6, "fan-unreadable", Milliseconds, Retry,
        "The speed of a fan cannot be read, so nobody knows whether it turns. Check the tach wire and the fan controller.";
    /// A tach reports a speed that has nothing to do with the fan's duty.
    FanSpoofed = 7, "fan-spoofed", Speed, Latch,
        "A fan reports the same speed whatever it is told, as a dummy plug or an inverted control wire does. Connect a real fan; for a board in liquid choose the immersion mode.";
    /// The regulator or the supply reports a fault of its own, or is off although it should be on.
    RegulatorFault = 8, "regulator-fault", Flags, Retry,
        "The voltage regulator or the power supply reports a fault. Check the input supply and its plugs and let the board cool down; if it comes back, the regulator or a chip is damaged.";
    /// A rail's status could not be read for too long.
    RegulatorStale = 9, "regulator-stale", Milliseconds, Retry,
        "The voltage regulator or the power supply stopped answering. Check cables and connectors between the controller and the board.";
    /// A rail's voltage is not the one that was set.
    VoltageMismatch = 10, "voltage-mismatch", Voltage, Retry,
        "The measured voltage is not the one that was set. Check the supply, its cables and plugs for losses; a damaged regulator or a shorted chip shows itself this way too.";
    /// A rail's voltage is above its limit.
    OverVoltage = 11, "over-voltage", Voltage, Latch,
        "The voltage rose above the hard limit of the board. The regulator does not obey or is set wrongly: do not start it again before it has been measured.";
    /// A rail's current is above its limit.
    OverCurrent = 12, "over-current", Current, Retry,
        "The board draws more current than it may. Look for a shorted chip or domain; lower frequency and voltage.";
    /// All rails together draw more power than the limit.
    OverPower = 13, "over-power", Power, Retry,
        "The board draws more power than its limit. Lower frequency and voltage, and check that the right board profile is in use.";
    /// The input voltage is outside its range.
    InputVoltage = 14, "input-voltage", Voltage, Retry,
        "The input voltage is outside the range of the board. Check that the right supply is used, that it is strong enough, and its cables and plugs.";
    /// The supervisor stopped sending heartbeats, or its port closed.
    HeartbeatLost = 15, "heartbeat-lost", Milliseconds, Notice,
        "The program that watches the board fell silent, so the board was switched off. It starts again when the program asks for it; if this repeats, look into the host's log and its load.";
    /// A device does not answer at its address.
    DeviceAbsent = 16, "device-absent", Number, Retry,
        "A part of the board does not answer. Check cables and power of the board and that the right profile is chosen.";
    /// A device answers with another identity than the profile says.
    DeviceWrong = 17, "device-wrong", Number, Latch,
        "A part of the board is not the one that the profile describes. Choose the profile of this very board revision: a wrong one can set wrong voltages.";
    /// What the board says about itself disagrees with the profile.
    IdentityMismatch = 18, "identity-mismatch", Number, Latch,
        "The board's memory says that it is another board than the profile describes. Choose the right profile, or confirm the board's identity.";
    /// A written setting was read back differently, or a fan runs below the ordered duty.
    ActuatorMismatch = 19, "actuator-mismatch", Number, Retry,
        "A setting was written but not taken. Check the connection to the device; something else may be writing to it.";
    /// A rail carries voltage although power was withdrawn.
    PowerWithoutConsent = 20, "power-without-consent", Voltage, Latch,
        "The board still has voltage although it was switched off. Disconnect its supply now. The switch or the regulator is broken, or something else drives it.";
    /// Too many faults within the window.
    TooManyRestarts = 21, "too-many-restarts", Number, Latch,
        "The board failed several times in a short while and will not be tried again by itself. Look at the faults before this one, mend their cause, then clear this fault.";
    /// The clock of the caller went backwards.
    ClockBackwards = 22, "clock-backwards", Milliseconds, Retry,
        "The controller's clock went backwards, so no age of a reading can be trusted. Restart the controller; update its software if this repeats.";
}

impl FaultCode {
    /// The code with that [`number`](Self::number).
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.number() == number)
    }

    /// The code with that [name](Self::as_str).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }

    /// Whether it latches at once, without another try.
    pub const fn latches(self) -> bool {
        matches!(self.severity(), Severity::Latch)
    }
}

impl fmt::Display for FaultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What follows from a fault. Power is withdrawn in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Does not count towards the latch; power has to be asked for anew.
    Notice,
    /// Tried again after cooling and a pause; latches when it happens too often.
    Retry,
    /// Latches at once: only a person clears it.
    Latch,
}

/// What a fault's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Hundredths of a degree Celsius.
    Temperature,
    /// Turns per minute.
    Speed,
    /// Millivolts.
    Voltage,
    /// Milliamperes.
    Current,
    /// Milliwatts.
    Power,
    /// Milliseconds.
    Milliseconds,
    /// The bits of [`RailFaults`](crate::RailFaults).
    Flags,
    /// A plain number: an id, a register's value, a count.
    Number,
}

/// What a fault or a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The whole power group.
    Group,
    /// The temperature sensor with this index in the limits.
    Sensor(u8),
    /// The fan with this index.
    Fan(u8),
    /// The rail with this index.
    Rail(u8),
    /// A device by the caller's own numbering.
    Device(u8),
    /// Whoever sends the heartbeats.
    Supervisor,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group => f.write_str("board"),
            Self::Sensor(index) => write!(f, "sensor {index}"),
            Self::Fan(index) => write!(f, "fan {index}"),
            Self::Rail(index) => write!(f, "rail {index}"),
            Self::Device(index) => write!(f, "device {index}"),
            Self::Supervisor => f.write_str("supervisor"),
        }
    }
}

/// One fault with the values that led to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fault {
    /// What is wrong.
    pub code: FaultCode,
    /// With what.
    pub subject: Subject,
    /// The value that was seen, in the code's [unit](FaultCode::unit).
    pub value: i32,
    /// The value that it was held against: a limit, an expectation or an expected id.
    pub limit: i32,
    /// For [`FaultCode::TooManyRestarts`] the last fault, for [`FaultCode::PowerWithoutConsent`] the one that was latched
    /// before, if any.
    pub cause: Option<FaultCode>,
    /// When it was found, on the caller's clock.
    pub at: Duration,
}

impl Fault {
    /// What a person should do, in plain words.
    pub const fn advice(&self) -> &'static str {
        self.code.advice()
    }
}

/// For people: `temperature-limit: sensor 0 at 76.00 °C, limit 75.00 °C`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.subject)?;
        let (value, limit) = (self.value, self.limit);
        match self.code {
            FaultCode::DeviceAbsent => return f.write_str(" does not answer"),
            // Wider than what is kept of it, or not known.
            FaultCode::DeviceWrong if value == limit => {
                return f.write_str(" is not the part that it should be");
            }
            FaultCode::DeviceWrong | FaultCode::IdentityMismatch => {
                return write!(f, " says {value:#x}, expected {limit:#x}");
            }
            FaultCode::ActuatorMismatch if value == limit => {
                return f.write_str(" did not take a setting");
            }
            FaultCode::FanSpoofed => {
                let (now, low) = (Rpm(value.unsigned_abs()), Rpm(limit.unsigned_abs()));
                return write!(f, " at {now}, and at {low} when told to be slow");
            }
            FaultCode::PowerWithoutConsent if value <= limit => {
                return f.write_str(" still feeds the board");
            }
            FaultCode::ClockBackwards => return write!(f, " let its clock go back by {value} ms"),
            FaultCode::TooManyRestarts => {
                write!(f, " failed {value} times, {limit} are too many")?;
                return match self.cause {
                    Some(cause) => write!(f, ", last with {cause}"),
                    None => Ok(()),
                };
            }
            _ => {}
        }
        match self.code.unit() {
            Unit::Temperature => write!(
                f,
                " at {}, limit {}",
                CentiCelsius(value),
                CentiCelsius(limit)
            ),
            Unit::Speed => write!(
                f,
                " at {}, expected {}",
                Rpm(value.unsigned_abs()),
                Rpm(limit.unsigned_abs())
            ),
            Unit::Voltage => write!(f, " at {value} mV, bound {limit} mV"),
            Unit::Current => write!(f, " at {value} mA, limit {limit} mA"),
            Unit::Power => write!(f, " at {value} mW, limit {limit} mW"),
            Unit::Milliseconds if value == i32::MAX => f.write_str(" never gave a good answer"),
            Unit::Milliseconds => write!(f, " silent for {value} ms, limit {limit} ms"),
            Unit::Flags => write!(f, " reports {value:#06x}"),
            Unit::Number => write!(f, " shows {value}, expected {limit}"),
        }
    }
}
