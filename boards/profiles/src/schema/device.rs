//! Devices on the board's buses: what is read from each and how it is set up.

use serde::{Deserialize, Serialize};

/// A device on one of the board's buses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// What it does.
    pub kind: DeviceKind,
    /// Part number.
    pub part: String,
    /// Bus that it sits on: lower-case letters, digits and dashes, e.g. `i2c0`.
    pub bus: String,
    /// 7-bit I2C address, 0x08 to 0x77; absent for parts without one, and where none is
    /// published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<u8>,
    /// What is added to `address` for each further board of a machine whose boards share the
    /// bus: the board in slot 2 has the device at `address + 2 * slot_stride`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slot_stride: u8,
    /// Addresses by slot where they follow no rule; replaces `address` and `slot_stride`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slot_addresses: Vec<u8>,
    /// Revisions that carry it; empty if all do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
    /// What it measures or drives, in words.
    pub role: String,
    /// Temperatures that are read from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sensors: Vec<Sensor>,
    /// Fan channels of the part, from 1, in the order of the board's fans.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fans: Vec<u8>,
    /// Identities that are accepted, as hexadecimal digits: what the part gives must start with
    /// one of them. For an EEPROM its first bytes. Empty: what the driver knows of the part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub id: Vec<String>,
    /// Table with which a TPS546 is set up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<RegulatorInit>,
    /// Phases of a multi-phase regulator (TPS53647: 1 to 4, TPS53667: 1 to 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<u8>,
    /// Output of a part that has several: the current sink of a DS4432U, 0 or 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<u8>,
    /// How a current DAC's output moves the regulator that it adjusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<Feedback>,
    /// Code for the ideality register of an EMC2101 with external diode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ideality: Option<u8>,
    /// Code for the beta compensation register of an EMC2101 with external diode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<u8>,
}

/// A temperature that a device measures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensor {
    /// What it is the temperature of. The limit of that kind applies.
    pub kind: SensorKind,
    /// Which of the device's channels.
    pub channel: SensorChannel,
    /// Added to the reading, K.
    #[serde(default)]
    pub offset_k: f64,
    /// Whether the reading means something only while the chips have power: a diode in a chip
    /// reads garbage or nothing before, and for 500 ms after reset.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_power: bool,
}

impl Sensor {
    /// Whether the reading is an estimate: the temperature of a chip made from a sensor beside
    /// it.
    #[must_use]
    pub fn is_estimate(&self) -> bool {
        self.kind == SensorKind::Chip && self.channel == SensorChannel::Local
    }
}

/// What a temperature belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SensorKind {
    /// A hashing chip.
    Chip,
    /// The board.
    Board,
    /// The core regulator.
    Regulator,
    /// The air that comes in.
    Inlet,
}

/// A channel of a temperature sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SensorChannel {
    /// The part itself.
    Local,
    /// Its first external diode.
    Remote,
    /// Its second external diode.
    Remote2,
}

/// Table of settings for a TPS546; each holds limits, compensation and start-up of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegulatorInit {
    /// One chip on 5 V.
    #[serde(rename = "bitaxe-5v")]
    Bitaxe5v,
    /// Three domains in series on 12 V.
    BitaxeHex,
    /// Two stacked parts on 12 V.
    BitaxeGt,
}

/// The feedback divider of a regulator, and the current DAC that pulls at it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feedback {
    /// Voltage that the regulator holds at its feedback pin, mV.
    pub reference_mv: f64,
    /// Resistor from the output to the feedback pin, ohm.
    pub upper_ohm: f64,
    /// Resistor from the feedback pin to ground, ohm.
    pub lower_ohm: f64,
    /// Current of the DAC at code 127, µA.
    pub full_scale_ua: f64,
}

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// Makes the core voltage.
    Regulator,
    /// Sets a regulator's output.
    VoltageDac,
    /// Measures supply voltage, current and power.
    PowerMonitor,
    /// Drives fans and counts their turns.
    FanController,
    /// Measures temperature.
    TemperatureSensor,
    /// Holds the board's identity.
    Eeprom,
    /// Feeds the board.
    Psu,
    /// Adds input and output pins.
    GpioExpander,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_zero(value: &u8) -> bool {
    *value == 0
}
