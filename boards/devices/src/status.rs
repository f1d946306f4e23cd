//! What PMBus regulators say about their state: status registers, and what their bits mean for power.

/// Something that a regulator reports in its status registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFlag {
    /// Output above its fault limit.
    OutputOverVoltage,
    /// Output below its fault limit.
    OutputUnderVoltage,
    /// Output current above its fault limit.
    OutputOverCurrent,
    /// Input above its fault limit.
    InputOverVoltage,
    /// Input too low to work, or below its fault limit.
    InputUnderVoltage,
    /// Input current above its fault limit.
    InputOverCurrent,
    /// Regulator hotter than its fault limit.
    OverTemperature,
    /// Output did not come up in time.
    SlowStart,
    /// Power-on reset, self check, memory or logic fault, or a fault between stacked regulators.
    Internal,
    /// Output above its warning limit.
    OutputHigh,
    /// Output below its warning limit.
    OutputLow,
    /// A voltage outside the set bounds was asked for.
    OutputBounds,
    /// Output current above its warning limit.
    CurrentHigh,
    /// Input below its warning limit.
    InputLow,
    /// Input above its warning limit.
    InputHigh,
    /// Input current or power above its warning limit.
    InputCurrentHigh,
    /// Regulator hotter than its warning limit.
    Hot,
    /// A command was not understood, or arrived damaged.
    Communication,
    /// Regulator is on but its output is not good.
    NotGood,
    /// Something else.
    Other,
}

impl StatusFlag {
    /// All flags, worst first.
    pub const ALL: [Self; 20] = [
        Self::OutputOverVoltage,
        Self::OutputOverCurrent,
        Self::OverTemperature,
        Self::InputOverVoltage,
        Self::InputOverCurrent,
        Self::OutputUnderVoltage,
        Self::InputUnderVoltage,
        Self::SlowStart,
        Self::Internal,
        Self::NotGood,
        Self::OutputHigh,
        Self::OutputLow,
        Self::OutputBounds,
        Self::CurrentHigh,
        Self::InputLow,
        Self::InputHigh,
        Self::InputCurrentHigh,
        Self::Hot,
        Self::Communication,
        Self::Other,
    ];

    /// Tells whether power has to go off for it; the others are warnings.
    pub fn is_fault(self) -> bool {
        matches!(
            self,
            Self::OutputOverVoltage
                | Self::OutputUnderVoltage
                | Self::OutputOverCurrent
                | Self::InputOverVoltage
                | Self::InputUnderVoltage
                | Self::InputOverCurrent
                | Self::OverTemperature
                | Self::SlowStart
                | Self::Internal
                | Self::NotGood
        )
    }

    /// Plain words for messages, e.g. `output over-voltage`.
    pub fn name(self) -> &'static str {
        match self {
            Self::OutputOverVoltage => "output over-voltage",
            Self::OutputUnderVoltage => "output under-voltage",
            Self::OutputOverCurrent => "output over-current",
            Self::InputOverVoltage => "input over-voltage",
            Self::InputUnderVoltage => "input under-voltage",
            Self::InputOverCurrent => "input over-current",
            Self::OverTemperature => "over-temperature",
            Self::SlowStart => "output did not come up in time",
            Self::Internal => "internal fault",
            Self::OutputHigh => "output voltage high",
            Self::OutputLow => "output voltage low",
            Self::OutputBounds => "voltage request outside bounds",
            Self::CurrentHigh => "output current high",
            Self::InputLow => "input voltage low",
            Self::InputHigh => "input voltage high",
            Self::InputCurrentHigh => "input current high",
            Self::Hot => "regulator hot",
            Self::Communication => "communication error",
            Self::NotGood => "output not good",
            Self::Other => "other condition",
        }
    }
}

/// The status registers of a regulator as they were read. Most bits stay set until faults are
/// cleared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `STATUS_WORD`.
    pub word: u16,
    /// `STATUS_VOUT`.
    pub vout: u8,
    /// `STATUS_IOUT`.
    pub iout: u8,
    /// `STATUS_INPUT`.
    pub input: u8,
    /// `STATUS_TEMPERATURE`; 0 on parts without it.
    pub temperature: u8,
    /// `STATUS_CML`; 0 on parts without it.
    pub cml: u8,
    /// `STATUS_MFR_SPECIFIC` of a TPS546; 0 on parts whose bits mean something else.
    pub mfr: u8,
}

impl Status {
    /// Tells whether the regulator says that it gives no power, for whatever reason.
    pub fn is_off(&self) -> bool {
        self.word & word::OFF != 0
    }

    /// Tells whether the regulator is on and its output within its window.
    pub fn is_good(&self) -> bool {
        self.word & (word::OFF | word::NOT_GOOD) == 0
    }

    /// Tells whether a flag is set.
    pub fn has(&self, flag: StatusFlag) -> bool {
        match flag {
            StatusFlag::OutputOverVoltage => {
                self.word & word::VOUT_OV != 0 || self.vout & 0x80 != 0
            }
            StatusFlag::OutputUnderVoltage => self.vout & 0x10 != 0,
            // Bit 6: over-current that pulled the output down.
            StatusFlag::OutputOverCurrent => {
                self.word & word::IOUT_OC != 0 || self.iout & 0xC0 != 0
            }
            StatusFlag::InputOverVoltage => self.input & 0x80 != 0,
            StatusFlag::InputUnderVoltage => {
                self.word & word::VIN_UV != 0 || self.input & 0x18 != 0
            }
            StatusFlag::InputOverCurrent => self.input & 0x04 != 0,
            StatusFlag::OverTemperature => self.temperature & 0x80 != 0,
            StatusFlag::SlowStart => self.vout & 0x04 != 0,
            StatusFlag::Internal => self.mfr & MFR_FAULTS != 0 || self.cml & 0x18 != 0,
            StatusFlag::OutputHigh => self.vout & 0x40 != 0,
            StatusFlag::OutputLow => self.vout & 0x20 != 0,
            StatusFlag::OutputBounds => self.vout & 0x08 != 0,
            StatusFlag::CurrentHigh => self.iout & 0x20 != 0,
            StatusFlag::InputLow => self.input & 0x20 != 0,
            StatusFlag::InputHigh => self.input & 0x40 != 0,
            StatusFlag::InputCurrentHigh => self.input & 0x03 != 0,
            StatusFlag::Hot => {
                self.temperature & 0x40 != 0
                    || (self.word & word::TEMPERATURE != 0 && self.temperature & 0x80 == 0)
            }
            StatusFlag::Communication => self.cml & 0xE2 != 0,
            StatusFlag::NotGood => self.word & word::NOT_GOOD != 0 && !self.is_off(),
            StatusFlag::Other => self.word & word::OTHER != 0,
        }
    }

    /// All flags that are set, worst first. An input that is too low is no news from a regulator
    /// that is off for want of it, but it is listed all the same.
    pub fn flags(&self) -> impl Iterator<Item = StatusFlag> + use<> {
        let status = *self;
        StatusFlag::ALL
            .into_iter()
            .filter(move |&flag| status.has(flag))
    }

    /// The worst fault, if any; see [`StatusFlag::is_fault`].
    pub fn fault(&self) -> Option<StatusFlag> {
        self.flags().find(|flag| flag.is_fault())
    }
}

/// Bits of `STATUS_WORD`.
mod word {
    pub(super) const NOT_GOOD: u16 = 0x0800;
    pub(super) const OTHER: u16 = 0x0200;
    pub(super) const OFF: u16 = 0x0040;
    pub(super) const VOUT_OV: u16 = 0x0020;
    pub(super) const IOUT_OC: u16 = 0x0010;
    pub(super) const VIN_UV: u16 = 0x0008;
    pub(super) const TEMPERATURE: u16 = 0x0004;
}

/// TPS546: power-on reset fault, fault between stacked parts, synchronisation fault.
const MFR_FAULTS: u8 = 0x86;
