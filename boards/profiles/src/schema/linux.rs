//! Linux control boards: which character device, GPIO line and sysfs file does what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Active, PinRole};

/// Pins, buses and fans of a Linux control board. What is left out is not known, and the agent
/// does not start a board that lacks something it needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linux {
    /// Where the bus that a device names is found; see [`LinuxBus`].
    #[serde(default)]
    pub i2c: BTreeMap<String, LinuxBus>,
    /// Supplies that are switched by lines and shared by all boards, in the order in which they
    /// go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enables: Vec<LinuxPin>,
    /// The board in each slot, from slot 0.
    #[serde(default, rename = "board", skip_serializing_if = "Vec::is_empty")]
    pub boards: Vec<LinuxBoard>,
    /// The machine's fans.
    #[serde(default, rename = "fan", skip_serializing_if = "Vec::is_empty")]
    pub fans: Vec<LinuxFan>,
}

/// What belongs to one slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinuxBoard {
    /// Serial port of its chain, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uart: Option<String>,
    /// The chips' reset line; its active level holds the chips in reset.
    pub reset: LinuxLine,
    /// Line that tells whether the board is plugged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plug: Option<LinuxLine>,
    /// Supplies of this board alone, in the order in which they go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enables: Vec<LinuxPin>,
}

/// A line of a GPIO character device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinuxLine {
    /// Character device, `/dev/gpiochipN`.
    pub chip: String,
    /// Offset of the line on that chip.
    pub line: u32,
    /// Level at which it does what it is called.
    pub active: Active,
}

/// A line that switches a supply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinuxPin {
    /// Character device, `/dev/gpiochipN`.
    pub chip: String,
    /// Offset of the line on that chip.
    pub line: u32,
    /// What it switches.
    pub role: PinRole,
    /// Level at which the supply is on.
    pub active: Active,
    /// Wait after switching on before the next step, ms.
    #[serde(default)]
    pub settle_ms: u32,
}

/// A fan, or fans that share one PWM output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinuxFan {
    /// Directory of the PWM channel, `/sys/class/pwm/pwmchipN/pwmM`.
    pub pwm: String,
    /// Period of the PWM, ns.
    pub period_ns: u32,
    /// Whether full duty stops the fan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inverted: bool,
    /// Where its speed is read; see [`LinuxTach`].
    pub tach: LinuxTach,
}

/// Where a bus is found. Written `/dev/i2c-N`, or `gpio:CHIP:SCL:SDA` for a bus that the kernel
/// does not drive, with the line offsets of clock and data on a GPIO character device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LinuxBus {
    /// A bus of the kernel: its character device.
    Device(String),
    /// Two lines.
    Lines {
        /// Character device, `/dev/gpiochipN`.
        chip: String,
        /// Offset of the clock line.
        scl: u32,
        /// Offset of the data line.
        sda: u32,
    },
}

/// Where a fan's speed is read. Written as the path of a file that holds rpm, as hwmon's
/// `fanN_input` does, or `gpio:CHIP:LINE:PULSES` for a line that pulses so many times a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LinuxTach {
    /// A file that holds rpm.
    File(String),
    /// A line with pulses to count.
    Line {
        /// Character device, `/dev/gpiochipN`.
        chip: String,
        /// Offset of the line.
        line: u32,
        /// Pulses in one turn, usually 2.
        pulses: u32,
    },
}

impl TryFrom<String> for LinuxBus {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if let Some(lines) = text.strip_prefix("gpio:") {
            if let [chip, scl, sda] = lines.split(':').collect::<Vec<_>>()[..]
                && let (Ok(scl), Ok(sda)) = (scl.parse(), sda.parse())
            {
                let chip = chip.to_owned();
                return Ok(Self::Lines { chip, scl, sda });
            }
        } else if text.starts_with("/dev/") {
            return Ok(Self::Device(text));
        }
        Err(format!(
            "`{text}` is no I2C bus; write `/dev/i2c-N`, or `gpio:/dev/gpiochipN:SCL:SDA` with \
             line offsets"
        ))
    }
}

impl From<LinuxBus> for String {
    fn from(bus: LinuxBus) -> Self {
        match bus {
            LinuxBus::Device(path) => path,
            LinuxBus::Lines { chip, scl, sda } => format!("gpio:{chip}:{scl}:{sda}"),
        }
    }
}

impl TryFrom<String> for LinuxTach {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if let Some(parts) = text.strip_prefix("gpio:") {
            if let [chip, line, pulses] = parts.split(':').collect::<Vec<_>>()[..]
                && let (Ok(line), Ok(pulses)) = (line.parse(), pulses.parse())
                && (1..=16).contains(&pulses)
            {
                let chip = chip.to_owned();
                return Ok(Self::Line { chip, line, pulses });
            }
        } else if text.starts_with('/') {
            return Ok(Self::File(text));
        }
        Err(format!(
            "`{text}` is no place to read a fan's speed; write the path of a file that holds \
             rpm, or `gpio:/dev/gpiochipN:LINE:PULSES` with 1 to 16 pulses a turn"
        ))
    }
}

impl From<LinuxTach> for String {
    fn from(tach: LinuxTach) -> Self {
        match tach {
            LinuxTach::File(path) => path,
            LinuxTach::Line { chip, line, pulses } => format!("gpio:{chip}:{line}:{pulses}"),
        }
    }
}
