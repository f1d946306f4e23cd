//! Things that break. Each fault says what physically happens; what instruments make of it follows from the models. Faults have
//! names, so that configurations and campaigns can list them: `name`, or `name:argument`, or `name:argument:target`.
//!
//! A silent power supply, a regulator that does not acknowledge and a missing EEPROM are devices that are absent; a brown-out is
//! an input voltage; a burst of damaged frames is noise that is healed again. A host that freezes is the caller's to act.

use std::{fmt, str::FromStr};

use super::spec::BoardError;

/// Something that breaks. Targets are counted from 0; sensors as [`super::VirtualBoard::sensors`] lists them, devices as in the
/// board's specification. A target that is not there makes a fault without effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// A die fails: it computes nothing, answers nothing and passes nothing on, so that all chips behind it vanish too.
    ChipDead {
        /// Which chip.
        chip: u16,
    },
    /// A die has aged: it needs this much more voltage for the same work.
    ChipSlow {
        /// Additional voltage, mV.
        mv: f64,
        /// Which chip.
        chip: u16,
    },
    /// A solder joint in the power path opens: no current flows through the board any more.
    DomainOpen {
        /// Which domain.
        domain: u16,
    },
    /// The sensor goes on giving its last value.
    SensorFrozen {
        /// Which sensor.
        sensor: usize,
    },
    /// The sensor gives always this: -1 and 127.9 are what broken parts like to give.
    SensorReads {
        /// Value, °C.
        celsius: f64,
        /// Which sensor.
        sensor: usize,
    },
    /// The sensor is off by this much.
    SensorOffset {
        /// Error, K.
        kelvin: f64,
        /// Which sensor.
        sensor: usize,
    },
    /// The sensor begins to lie: its error grows. Negative values hide heat.
    SensorDrift {
        /// Growth of the error, K per minute.
        kelvin_per_minute: f64,
        /// Which sensor.
        sensor: usize,
    },
    /// A loose contact: about one conversion in eight is off by up to 60 K either way.
    SensorJumps {
        /// Which sensor.
        sensor: usize,
    },
    /// A wire to an external diode breaks; parts without one are not affected.
    SensorOpen {
        /// Which sensor.
        sensor: usize,
    },
    /// The wires to an external diode touch.
    SensorShort {
        /// Which sensor.
        sensor: usize,
    },
    /// The device does not answer; what it drives stays as it is.
    DeviceAbsent {
        /// Which device.
        device: usize,
    },
    /// Another part is fitted: identity registers answer with something else.
    DeviceWrong {
        /// Which device.
        device: usize,
    },
    /// Something holds the data line low: nobody on the bus can be reached.
    BusStuck {
        /// Which bus.
        bus: u8,
    },
    /// A cell of the board's EEPROM has flipped.
    EepromCorrupt,
    /// The EEPROM is from another board.
    EepromForeign,
    /// The regulator or power supply cannot be switched off.
    SupplyStuckOn,
    /// The regulator or power supply gives nothing.
    SupplyDead,
    /// The output is this factor times what is asked for; instruments show it.
    SupplyWrong {
        /// Factor, 0..=2.
        factor: f64,
    },
    /// New set points are taken but do nothing.
    SupplyFrozen,
    /// Voltage read-outs are this factor times the truth.
    SupplyMisreports {
        /// Factor.
        factor: f64,
    },
    /// An over-current protection trips for a moment, for no reason.
    SupplyTrips,
    /// The input sags or rises to this: mains, or the board's supply.
    InputVoltage {
        /// Volts.
        volts: f64,
    },
    /// A rotor is blocked.
    FanStuck {
        /// Which fan.
        fan: usize,
    },
    /// The fan turns, its tach wire is broken: zero with a turning fan.
    FanTachLost {
        /// Which fan.
        fan: usize,
    },
    /// The fan turns, its tach goes on giving this.
    FanTachFrozen {
        /// Speed that it gives, rpm.
        rpm: f64,
        /// Which fan.
        fan: usize,
    },
    /// There is no fan, only a plug that pretends one.
    FanFaked {
        /// Speed that the plug pretends, rpm.
        rpm: f64,
        /// Which fan.
        fan: usize,
    },
    /// The PWM signal is inverted: full duty stops the fan.
    FanInverted {
        /// Which fan.
        fan: usize,
    },
    /// Bearings are worn: the fan reaches only this share of its speed.
    FanWorn {
        /// Share, 0..=1.
        share: f64,
        /// Which fan.
        fan: usize,
    },
    /// All rotors stop at once: a cut fan supply.
    FansDead,
    /// The air around has this temperature from now on.
    Ambient {
        /// Temperature, °C.
        celsius: f64,
    },
    /// Dust: thermal resistance to the air grows by this factor.
    Dust {
        /// Factor; 1.5 is a dirty board.
        factor: f64,
    },
    /// Bits flip on the chips' serial line, both ways.
    UartNoise {
        /// Probability per byte, 0..=1.
        share: f64,
    },
    /// The chips' serial line is cut, both ways.
    UartDead,
    /// The controller takes requests and never answers.
    ControlSilent,
    /// The controller answers with random bytes.
    ControlGarbage,
    /// The controller answers late.
    ControlSlow {
        /// Delay, ms.
        ms: f64,
    },
    /// The control port is gone: the cable is pulled. The controller notices that its port was closed.
    ControlClosed,
}

impl Fault {
    /// Every name with what may follow it and what happens.
    pub const NAMES: [(&'static str, &'static str, &'static str); 37] = [
        (
            "chip-dead",
            "[:chip]",
            "a chip dies and hides those behind it",
        ),
        (
            "chip-slow",
            ":millivolts[:chip]",
            "a chip needs more voltage",
        ),
        (
            "domain-open",
            "[:domain]",
            "the power path of the board opens",
        ),
        (
            "sensor-frozen",
            "[:sensor]",
            "a temperature does not change any more",
        ),
        (
            "sensor-reads",
            ":celsius[:sensor]",
            "a temperature is always this",
        ),
        (
            "sensor-offset",
            ":kelvin[:sensor]",
            "a temperature is off by this",
        ),
        (
            "sensor-drift",
            ":kelvin-per-minute[:sensor]",
            "a temperature goes wrong slowly",
        ),
        (
            "sensor-jumps",
            "[:sensor]",
            "a temperature jumps now and then",
        ),
        ("sensor-open", "[:sensor]", "the wire to a diode breaks"),
        ("sensor-short", "[:sensor]", "the wires to a diode touch"),
        (
            "device-absent",
            "[:device]",
            "a part on the bus does not answer",
        ),
        ("device-wrong", "[:device]", "another part is fitted"),
        ("bus-stuck", "[:bus]", "nobody on an I2C bus can be reached"),
        ("eeprom-corrupt", "", "a cell of the EEPROM flips"),
        ("eeprom-foreign", "", "the EEPROM is from another board"),
        (
            "supply-stuck-on",
            "",
            "the core voltage cannot be switched off",
        ),
        ("supply-dead", "", "there is no core voltage"),
        (
            "supply-wrong",
            ":factor",
            "the core voltage is off by a factor",
        ),
        (
            "supply-frozen",
            "",
            "set points of the core voltage do nothing",
        ),
        (
            "supply-misreports",
            ":factor",
            "read-outs of voltage are off by a factor",
        ),
        ("supply-trips", "", "the over-current protection trips"),
        ("input-voltage", ":volts", "the input sags or rises"),
        ("fan-stuck", "[:fan]", "a rotor is blocked"),
        (
            "fan-tach-lost",
            "[:fan]",
            "a fan turns and its tach says zero",
        ),
        (
            "fan-tach-frozen",
            ":rpm[:fan]",
            "a fan's tach goes on giving this",
        ),
        ("fan-faked", ":rpm[:fan]", "a plug pretends a fan"),
        ("fan-inverted", "[:fan]", "full duty stops the fan"),
        (
            "fan-worn",
            ":share[:fan]",
            "a fan reaches a share of its speed",
        ),
        ("fans-dead", "", "all fans stop"),
        ("ambient", ":celsius", "the air gets this temperature"),
        ("dust", ":factor", "dust hinders the air"),
        ("uart-noise", ":share", "bits flip on the chips' line"),
        ("uart-dead", "", "the chips' line is cut"),
        ("control-silent", "", "the controller does not answer"),
        ("control-garbage", "", "the controller answers nonsense"),
        (
            "control-slow",
            ":milliseconds",
            "the controller answers late",
        ),
        ("control-closed", "", "the control cable is pulled"),
    ];

    /// The name, without arguments.
    pub fn name(&self) -> &'static str {
        self.parts().0
    }

    /// Name, number and target.
    fn parts(&self) -> (&'static str, Option<f64>, Option<usize>) {
        let target = |name, target: usize| (name, None, Some(target));
        let number = |name, number| (name, Some(number), None);
        let both = |name, number, target: usize| (name, Some(number), Some(target));
        match *self {
            Fault::ChipDead { chip } => target("chip-dead", chip.into()),
            Fault::ChipSlow { mv, chip } => both("chip-slow", mv, chip.into()),
            Fault::DomainOpen { domain } => target("domain-open", domain.into()),
            Fault::SensorFrozen { sensor } => target("sensor-frozen", sensor),
            Fault::SensorReads { celsius, sensor } => both("sensor-reads", celsius, sensor),
            Fault::SensorOffset { kelvin, sensor } => both("sensor-offset", kelvin, sensor),
            Fault::SensorDrift {
                kelvin_per_minute,
                sensor,
            } => both("sensor-drift", kelvin_per_minute, sensor),
            Fault::SensorJumps { sensor } => target("sensor-jumps", sensor),
            Fault::SensorOpen { sensor } => target("sensor-open", sensor),
            Fault::SensorShort { sensor } => target("sensor-short", sensor),
            Fault::DeviceAbsent { device } => target("device-absent", device),
            Fault::DeviceWrong { device } => target("device-wrong", device),
            Fault::BusStuck { bus } => target("bus-stuck", bus.into()),
            Fault::EepromCorrupt => ("eeprom-corrupt", None, None),
            Fault::EepromForeign => ("eeprom-foreign", None, None),
            Fault::SupplyStuckOn => ("supply-stuck-on", None, None),
            Fault::SupplyDead => ("supply-dead", None, None),
            Fault::SupplyWrong { factor } => number("supply-wrong", factor),
            Fault::SupplyFrozen => ("supply-frozen", None, None),
            Fault::SupplyMisreports { factor } => number("supply-misreports", factor),
            Fault::SupplyTrips => ("supply-trips", None, None),
            Fault::InputVoltage { volts } => number("input-voltage", volts),
            Fault::FanStuck { fan } => target("fan-stuck", fan),
            Fault::FanTachLost { fan } => target("fan-tach-lost", fan),
            Fault::FanTachFrozen { rpm, fan } => both("fan-tach-frozen", rpm, fan),
            Fault::FanFaked { rpm, fan } => both("fan-faked", rpm, fan),
            Fault::FanInverted { fan } => target("fan-inverted", fan),
            Fault::FanWorn { share, fan } => both("fan-worn", share, fan),
            Fault::FansDead => ("fans-dead", None, None),
            Fault::Ambient { celsius } => number("ambient", celsius),
            Fault::Dust { factor } => number("dust", factor),
            Fault::UartNoise { share } => number("uart-noise", share),
            Fault::UartDead => ("uart-dead", None, None),
            Fault::ControlSilent => ("control-silent", None, None),
            Fault::ControlGarbage => ("control-garbage", None, None),
            Fault::ControlSlow { ms } => number("control-slow", ms),
            Fault::ControlClosed => ("control-closed", None, None),
        }
    }

    /// Whether both break the same thing in the same way, whatever the numbers.
    pub(super) fn same_place(&self, other: &Fault) -> bool {
        let (name, _, target) = self.parts();
        let (other_name, _, other_target) = other.parts();
        (name, target) == (other_name, other_target)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, number, target) = self.parts();
        f.write_str(name)?;
        if let Some(number) = number {
            write!(f, ":{number}")?;
        }
        match target {
            Some(0) | None => Ok(()),
            Some(target) => write!(f, ":{target}"),
        }
    }
}

impl FromStr for Fault {
    type Err = BoardError;

    /// Reads `name`, `name:number`, `name:target` or `name:number:target` as [`Fault::NAMES`] lists them. A target that is
    /// not given is 0.
    fn from_str(text: &str) -> Result<Self, BoardError> {
        let name = text.split(':').next().unwrap_or_default();
        let Some((_, arguments, _)) = Fault::NAMES.iter().find(|known| known.0 == name) else {
            let names: Vec<_> = Fault::NAMES.iter().map(|known| known.0).collect();
            return Err(unknown(text, names.join(", ")));
        };
        Fault::read(name, text.get(name.len()..).unwrap_or_default(), arguments)
            .ok_or_else(|| unknown(text, format!("{name}{arguments}")))
    }
}

impl Fault {
    /// `rest` is what follows the name, with its colons.
    fn read(name: &str, rest: &str, arguments: &str) -> Option<Fault> {
        let mut given = rest.split(':').skip(1);
        let mut number = 0.0;
        if arguments.starts_with(':') {
            number = given.next()?.parse().ok().filter(|n: &f64| n.is_finite())?;
        }
        let mut target = 0_u16;
        if arguments.contains('[')
            && let Some(given) = given.next()
        {
            target = given.parse().ok()?;
        }
        if given.next().is_some() {
            return None;
        }
        let index = usize::from(target);
        Some(match name {
            "chip-dead" => Fault::ChipDead { chip: target },
            "chip-slow" => Fault::ChipSlow {
                mv: number,
                chip: target,
            },
            "domain-open" => Fault::DomainOpen { domain: target },
            "sensor-frozen" => Fault::SensorFrozen { sensor: index },
            "sensor-reads" => Fault::SensorReads {
                celsius: number,
                sensor: index,
            },
            "sensor-offset" => Fault::SensorOffset {
                kelvin: number,
                sensor: index,
            },
            "sensor-drift" => Fault::SensorDrift {
                kelvin_per_minute: number,
                sensor: index,
            },
            "sensor-jumps" => Fault::SensorJumps { sensor: index },
            "sensor-open" => Fault::SensorOpen { sensor: index },
            "sensor-short" => Fault::SensorShort { sensor: index },
            "device-absent" => Fault::DeviceAbsent { device: index },
            "device-wrong" => Fault::DeviceWrong { device: index },
            "bus-stuck" => Fault::BusStuck {
                bus: u8::try_from(target).ok()?,
            },
            "eeprom-corrupt" => Fault::EepromCorrupt,
            "eeprom-foreign" => Fault::EepromForeign,
            "supply-stuck-on" => Fault::SupplyStuckOn,
            "supply-dead" => Fault::SupplyDead,
            "supply-wrong" => Fault::SupplyWrong { factor: number },
            "supply-frozen" => Fault::SupplyFrozen,
            "supply-misreports" => Fault::SupplyMisreports { factor: number },
            "supply-trips" => Fault::SupplyTrips,
            "input-voltage" => Fault::InputVoltage { volts: number },
            "fan-stuck" => Fault::FanStuck { fan: index },
            "fan-tach-lost" => Fault::FanTachLost { fan: index },
            "fan-tach-frozen" => Fault::FanTachFrozen {
                rpm: number,
                fan: index,
            },
            "fan-faked" => Fault::FanFaked {
                rpm: number,
                fan: index,
            },
            "fan-inverted" => Fault::FanInverted { fan: index },
            "fan-worn" => Fault::FanWorn {
                share: number,
                fan: index,
            },
            "fans-dead" => Fault::FansDead,
            "ambient" => Fault::Ambient { celsius: number },
            "dust" => Fault::Dust { factor: number },
            "uart-noise" => Fault::UartNoise { share: number },
            "uart-dead" => Fault::UartDead,
            "control-silent" => Fault::ControlSilent,
            "control-garbage" => Fault::ControlGarbage,
            "control-slow" => Fault::ControlSlow { ms: number },
            "control-closed" => Fault::ControlClosed,
            _ => return None,
        })
    }
}

fn unknown(text: &str, expected: String) -> BoardError {
    BoardError::UnknownFault {
        text: text.to_owned(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_reads_back_as_itself() {
        for (name, arguments, _) in Fault::NAMES {
            let number = if arguments.starts_with(':') {
                ":2.5"
            } else {
                ""
            };
            let target = if arguments.contains('[') { ":3" } else { "" };
            let text = format!("{name}{number}{target}");
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), text);
            assert_eq!(fault.name(), name);
        }
    }

    #[test]
    fn targets_default_to_the_first() {
        assert_eq!("fan-stuck".parse(), Ok(Fault::FanStuck { fan: 0 }));
        assert_eq!(
            "sensor-offset:-10".parse(),
            Ok(Fault::SensorOffset {
                kelvin: -10.0,
                sensor: 0
            })
        );
    }

    #[test]
    fn what_does_not_fit_is_told_what_would() {
        for (text, expected) in [
            ("fan-stuk", "chip-dead, chip-slow"),
            ("sensor-offset", "sensor-offset:kelvin[:sensor]"),
            ("sensor-offset:warm", "sensor-offset:kelvin[:sensor]"),
            ("sensor-offset:NaN", "sensor-offset:kelvin[:sensor]"),
            ("uart-dead:1", "expected uart-dead"),
            ("fan-stuck:-1", "fan-stuck[:fan]"),
            ("fan-stuck:1:2", "fan-stuck[:fan]"),
            ("bus-stuck:300", "bus-stuck[:bus]"),
            ("", "chip-dead"),
        ] {
            let error = text.parse::<Fault>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
