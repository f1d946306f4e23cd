//! Board controllers that speak the bitaxe-raw control protocol: which pin does what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Active, PinRole};

/// A board controller on a serial port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    /// How its answers are framed.
    #[serde(default)]
    pub response: ResponseFormat,
    /// Rate of its I2C buses, Hz; absent: left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub i2c_hz: Option<u32>,
    /// Number of each bus that devices name, as requests carry it; a bus that is not named has
    /// number 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub i2c: BTreeMap<String, u8>,
    /// Hash boards that one controller drives, 1 to 8.
    #[serde(default = "one")]
    pub boards: u8,
    /// What is added to a board's pins (not to those of role `psu`) for each further board.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slot_stride: u8,
    /// The chips' reset line; its active level holds the chips in reset.
    pub reset: Line,
    /// Line that tells whether the board is plugged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plug: Option<Line>,
    /// Supplies that are switched by pins, in the order in which they go on.
    #[serde(default)]
    pub enables: Vec<BridgePin>,
    /// Which page drives the fans.
    pub fans: BridgeFans,
    /// Channels of the ADC page.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adc: Vec<Converter>,
}

/// A pin without a role of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// Number on the GPIO page.
    pub pin: u8,
    /// Level at which it does what it is called.
    pub active: Active,
}

/// A pin that switches a supply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgePin {
    /// Number on the GPIO page.
    pub pin: u8,
    /// What it switches.
    pub role: PinRole,
    /// Level at which the supply is on.
    pub active: Active,
    /// Wait after switching on before the next step, ms.
    #[serde(default)]
    pub settle_ms: u32,
    /// Revisions that have it; empty if all do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
}

/// How a controller frames its answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseFormat {
    /// Found out by asking.
    #[default]
    Probe,
    /// bitaxe-raw, and emberone-usbserial before 5.1: the length counts the data.
    V0,
    /// bitaxe-raw of 2026: the length counts the whole answer.
    V0Total,
    /// emberone-usbserial from 5.1: the length counts the whole answer, with a status byte.
    V1,
}

/// Which page of the control protocol drives the fans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BridgeFans {
    /// None: a fan controller among the devices does.
    Device,
    /// Page 9 with one fan.
    Bonanza,
    /// Page 9 with four fans.
    Bitcrane,
    /// Nothing does; the board has no fan connector.
    None,
}

/// A channel of the controller's ADC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Converter {
    /// Command on the ADC page.
    pub channel: u8,
    /// What it measures.
    pub role: ConverterRole,
    /// Voltage of a reading of `full_scale`, mV, before any divider is counted in.
    pub full_scale_mv: u32,
    /// Highest reading.
    pub full_scale: u16,
    /// Revisions that have it; empty if all do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<String>,
}

/// What an ADC channel measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConverterRole {
    /// Output of the core regulator.
    Core,
    /// Supply of the board.
    Input,
}

fn one() -> u8 {
    1
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is serde's"
)]
fn is_zero(value: &u8) -> bool {
    *value == 0
}
