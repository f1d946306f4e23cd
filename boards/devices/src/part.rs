//! The parts by the names that board profiles give them, and whether they are there.

use embedded_hal::i2c::I2c;

use crate::registers::Registers;
use crate::tps536x7::Model;
use crate::{Emc2101, Emc2103, Emc2302, Error, Fxl6408, Ina260, Tmp451, Tmp1075, Tps536x7, Tps546};
use crate::{ds4432u, eeprom, emc2101, emc2103, emc2302, fxl6408, tps536x7, tps546};

/// A part that this crate drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Fan and one remote diode.
    Emc2101,
    /// Fan and two remote diodes.
    Emc2103,
    /// Two fans.
    Emc2302,
    /// Board temperature.
    Tmp1075,
    /// Board temperature and one remote diode.
    Tmp451,
    /// Board temperature, LM75 and compatible.
    Lm75,
    /// Supply voltage, current and power.
    Ina260,
    /// Current DAC that sets a regulator.
    Ds4432u,
    /// Core regulator.
    Tps546,
    /// Core regulator, up to four phases.
    Tps53647,
    /// Core regulator, up to six phases.
    Tps53667,
    /// Pins.
    Fxl6408,
    /// EEPROM of the 24C series.
    At24,
    /// Antminer power supply.
    Apw,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 14] = [
        Self::Emc2101,
        Self::Emc2103,
        Self::Emc2302,
        Self::Tmp1075,
        Self::Tmp451,
        Self::Lm75,
        Self::Ina260,
        Self::Ds4432u,
        Self::Tps546,
        Self::Tps53647,
        Self::Tps53667,
        Self::Fxl6408,
        Self::At24,
        Self::Apw,
    ];

    /// Part by its name in capital letters; longer order codes and compatible parts are understood,
    /// e.g. `TPS546D24A`, `AT24C02`, `NCT75`. `None` for parts without a driver.
    pub fn named(name: &str) -> Option<Self> {
        PREFIXES
            .iter()
            .find(|(prefix, _)| name.starts_with(prefix))
            .map(|&(_, part)| part)
    }

    /// Name as board profiles write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Emc2101 => "EMC2101",
            Self::Emc2103 => "EMC2103",
            Self::Emc2302 => "EMC2302",
            Self::Tmp1075 => "TMP1075",
            Self::Tmp451 => "TMP451",
            Self::Lm75 => "LM75",
            Self::Ina260 => "INA260",
            Self::Ds4432u => "DS4432U",
            Self::Tps546 => "TPS546",
            Self::Tps53647 => "TPS53647",
            Self::Tps53667 => "TPS53667",
            Self::Fxl6408 => "FXL6408",
            Self::At24 => "AT24",
            Self::Apw => "APW",
        }
    }

    /// Address that the part has on most boards.
    pub fn usual_address(self) -> u8 {
        match self {
            Self::Emc2101 => emc2101::ADDRESS,
            Self::Emc2103 => emc2103::ADDRESS,
            Self::Emc2302 => emc2302::ADDRESS,
            Self::Tmp1075 | Self::Lm75 => 0x48,
            Self::Tmp451 => 0x4C,
            Self::Ina260 => 0x40,
            Self::Ds4432u => ds4432u::ADDRESS,
            Self::Tps546 => tps546::ADDRESS,
            Self::Tps53647 | Self::Tps53667 => tps536x7::ADDRESS,
            Self::Fxl6408 => fxl6408::ADDRESS,
            Self::At24 => eeprom::ADDRESS,
            Self::Apw => crate::apw::ADDRESS,
        }
    }

    /// Tells whether the part can be told from others, or only that something answers.
    pub fn has_id(self) -> bool {
        !matches!(self, Self::Lm75 | Self::Ds4432u | Self::At24 | Self::Apw)
    }
}

/// Whether a part is where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It answers; with the identification that it gives, if it has one.
    Present {
        /// Identification; its form depends on the part.
        id: Option<u64>,
    },
    /// Nothing answers.
    Absent,
    /// Something else answers.
    Wrong {
        /// Identification that it gives.
        found: u64,
        /// Identification of the part, or of one of its variants.
        expected: u64,
    },
}

/// Looks for a part at a 7-bit address. Nothing is written but what a read needs; a supply is only asked
/// to acknowledge, because its answers take time.
///
/// # Errors
/// Only if the bus itself fails.
pub fn probe<I2C: I2c>(bus: I2C, part: Part, address: u8) -> Result<Presence, Error<I2C::Error>> {
    let model = |model| tps536x7::Config {
        model,
        ..tps536x7::Config::NERDQAXE_PP
    };
    let result = match part {
        Part::Emc2101 => Emc2101::new(bus, address).identify(),
        Part::Emc2103 => Emc2103::new(bus, address, false).identify(),
        Part::Emc2302 => Emc2302::new(bus, address).identify(),
        Part::Tmp1075 => Tmp1075::new(bus, address).identify(),
        Part::Tmp451 => Tmp451::new(bus, address).identify(),
        Part::Ina260 => Ina260::new(bus, address).identify(),
        Part::Tps546 => Tps546::new(bus, address, tps546::Config::BITAXE_5V).identify(),
        Part::Tps53647 => Tps536x7::new(bus, address, model(Model::Tps53647)).identify(),
        Part::Tps53667 => Tps536x7::new(bus, address, model(Model::Tps53667)).identify(),
        Part::Fxl6408 => Fxl6408::new(bus, address).identify(),
        Part::Lm75 | Part::Ds4432u | Part::At24 | Part::Apw => {
            let register = if part == Part::Ds4432u { 0xF8 } else { 0x00 };
            Registers::new(bus, address)
                .read_u8(register)
                .map(u64::from)
        }
    };
    match result {
        Ok(id) => Ok(Presence::Present {
            id: part.has_id().then_some(id),
        }),
        Err(Error::Absent { .. }) => Ok(Presence::Absent),
        Err(Error::WrongDevice {
            found, expected, ..
        }) => Ok(Presence::Wrong { found, expected }),
        Err(error) => Err(error),
    }
}

/// Longer names before those that they begin with.
const PREFIXES: [(&str, Part); 21] = [
    ("EMC2101", Part::Emc2101),
    ("EMC2103", Part::Emc2103),
    ("EMC2302", Part::Emc2302),
    ("TMP1075", Part::Tmp1075),
    ("TMP451", Part::Tmp451),
    ("LM75", Part::Lm75),
    ("TMP75", Part::Lm75),
    ("TMP175", Part::Lm75),
    ("CT75", Part::Lm75),
    ("NCT75", Part::Lm75),
    ("INA260", Part::Ina260),
    ("DS4432", Part::Ds4432u),
    ("TPS546", Part::Tps546),
    ("TPS53647", Part::Tps53647),
    ("TPS53667", Part::Tps53667),
    ("FXL6408", Part::Fxl6408),
    ("AT24", Part::At24),
    ("24C", Part::At24),
    ("M24C", Part::At24),
    ("256-byte EEPROM", Part::At24),
    ("APW", Part::Apw),
];
