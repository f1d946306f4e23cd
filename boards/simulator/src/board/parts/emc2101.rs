//! EMC2101: fan by PWM or look-up table, own temperature in whole kelvins, external diode in eighths.

use crate::board::{
    bus::{ByteRegisters, Drives, Reading, Senses, steps},
    spec::Part,
};

const INTERNAL: u8 = 0x00;
const EXTERNAL_HIGH: u8 = 0x01;
const STATUS: u8 = 0x02;
const CONFIG: u8 = 0x03;
const CONVERSION: u8 = 0x04;
const CONFIG_AGAIN: u8 = 0x09;
const CONVERSION_AGAIN: u8 = 0x0A;
const FORCED: u8 = 0x0C;
const EXTERNAL_LOW: u8 = 0x10;
const IDEALITY: u8 = 0x17;
const BETA: u8 = 0x18;
const TACH_LOW: u8 = 0x46;
const TACH_HIGH: u8 = 0x47;
const FAN_CONFIG: u8 = 0x4A;
const FAN_SPIN_UP: u8 = 0x4B;
const FAN_SETTING: u8 = 0x4C;
const PWM_FREQUENCY: u8 = 0x4D;
const TABLE: std::ops::RangeInclusive<u8> = 0x50..=0x5F;
const PRODUCT: u8 = 0xFD;
const MANUFACTURER: u8 = 0xFE;
const REVISION: u8 = 0xFF;

/// Pulses of the 90 kHz clock, 60 s, two pulses per turn.
const TACH_CONSTANT: f64 = 5_400_000.0;

#[derive(Debug)]
pub(in crate::board) struct Emc2101 {
    fan: Option<u8>,
    diode: bool,
    ideality: f64,
    sensor: usize,
    registers: [u8; 256],
    /// Low bytes as they were when the high byte, or of the tach the high byte when the low one, was read.
    external_low: u8,
    tach_high: u8,
    product: u8,
}

impl Emc2101 {
    pub(in crate::board) fn new(
        fan: Option<u8>,
        diode: bool,
        ideality: f64,
        sensor: usize,
    ) -> Self {
        let mut registers = [0; 256];
        for (register, value) in [
            (CONVERSION, 0x08),
            (0x05, 0x46),
            (0x07, 0x46),
            (0x16, 0xA4),
            (IDEALITY, 0x12),
            (BETA, 0x08),
            (0x19, 0x55),
            (0x21, 0x0A),
            (0x48, 0xFF),
            (0x49, 0xFF),
            (FAN_CONFIG, 0x20),
            (FAN_SPIN_UP, 0x3F),
            (PWM_FREQUENCY, 0x17),
            (0x4E, 0x01),
            (0x4F, 0x04),
            (MANUFACTURER, 0x5D),
            (REVISION, 0x01),
        ] {
            registers[usize::from(register)] = value;
        }
        for register in TABLE {
            registers[usize::from(register)] = if register % 2 == 0 { 0x7F } else { 0x3F };
        }
        Self {
            fan,
            diode,
            ideality,
            sensor,
            registers,
            external_low: 0,
            tach_high: 0xFF,
            product: 0x16,
        }
    }

    fn at(&self, register: u8) -> u8 {
        self.registers[usize::from(register)]
    }

    /// The internal channel follows the diode's, if there is one.
    fn internal(&self, senses: &Senses) -> u8 {
        match senses.reading(self.sensor + usize::from(self.diode)) {
            Reading::Celsius(celsius) => steps(celsius, 0, -64.0, 127.0) as u8,
            _ => 0x7F,
        }
    }

    /// The external channel as its eleven bits, left-aligned.
    fn external(&self, senses: &Senses) -> u16 {
        if !self.diode {
            return OPEN;
        }
        match senses.reading(self.sensor) {
            Reading::Open => OPEN,
            Reading::Short => SHORT,
            Reading::Celsius(celsius) => {
                // The part takes the diode to have the ideality that it was told.
                let told = 1.008 + (f64::from(self.at(IDEALITY)) - 18.0) * 0.001_328;
                let kelvin = (celsius + 273.15) * self.ideality / told;
                // Readings up to the short-circuit code can be told from a fault by that alone.
                (steps(kelvin - 273.15, 3, -64.0, 127.875) << 5) as u16
            }
        }
    }

    fn tach(&self, senses: &Senses) -> u16 {
        // Without the tach bit the pin is the alert output.
        if self.at(CONFIG) & 0x04 == 0 {
            return u16::MAX;
        }
        let rpm = senses.tach(self.fan);
        if rpm < TACH_CONSTANT / 65535.0 {
            return u16::MAX;
        }
        (TACH_CONSTANT / rpm) as u16
    }

    fn duty(&self) -> f64 {
        // The PWM counter runs to twice the frequency setting.
        let full = f64::from(self.at(PWM_FREQUENCY) & 0x1F).max(1.0) * 2.0;
        let duty = (f64::from(self.at(FAN_SETTING) & 0x3F) / full * 100.0).min(100.0);
        if self.at(FAN_CONFIG) & 0x10 != 0 {
            100.0 - duty
        } else {
            duty
        }
    }
}

/// 127 °C.
const OPEN: u16 = 0x3F8 << 5;
/// 127.875 °C.
const SHORT: u16 = 0x3FF << 5;

impl ByteRegisters for Emc2101 {
    fn get(&mut self, senses: &Senses, register: u8) -> u8 {
        match register {
            INTERNAL => self.internal(senses),
            EXTERNAL_HIGH => {
                let [high, low] = self.external(senses).to_be_bytes();
                self.external_low = low;
                high
            }
            EXTERNAL_LOW => self.external_low,
            STATUS => {
                let external = self.external(senses);
                u8::from(external == OPEN || external == SHORT) << 2
            }
            CONFIG_AGAIN => self.at(CONFIG),
            CONVERSION_AGAIN => self.at(CONVERSION),
            TACH_LOW => {
                let [high, low] = self.tach(senses).to_be_bytes();
                self.tach_high = high;
                low
            }
            TACH_HIGH => self.tach_high,
            PRODUCT => self.product,
            _ => self.at(register),
        }
    }

    fn set(&mut self, _senses: &Senses, register: u8, value: u8) {
        let register = match register {
            CONFIG_AGAIN => CONFIG,
            CONVERSION_AGAIN => CONVERSION,
            other => other,
        };
        // The table and the setting are locked while the table is in charge.
        let locked = self.at(FAN_CONFIG) & 0x20 == 0
            && (register == FAN_SETTING || TABLE.contains(&register));
        let value = match register {
            FAN_SETTING | IDEALITY => value & 0x3F,
            PWM_FREQUENCY => value & 0x1F,
            _ => value,
        };
        let writable = matches!(
            register,
            CONFIG | CONVERSION | 0x05..=0x08 | 0x0B..=FORCED | 0x11..=0x14 | 0x16..=0x19 | 0x21
                | 0x48..=0x5F | 0xBF
        );
        if writable && !locked {
            self.registers[usize::from(register)] = value;
        }
    }

    fn drive(&self, drives: &mut Drives) {
        drives.fan(self.fan, self.duty());
    }

    fn pretend(&mut self, on: bool) {
        self.product = if on { 0x24 } else { 0x16 };
    }
}

const _: () = assert!(Part::DEFAULT_IDEALITY == 1.008);
