//! EMC2103: one fan with an eight-bit PWM, own temperature and two external diodes in eighths of a kelvin. Which diode sits on
//! which chip is the board's choice.

use crate::board::bus::{ByteRegisters, Drives, Reading, Senses, steps};

const TEMPERATURES: std::ops::RangeInclusive<u8> = 0x00..=0x05;
const CONFIG: u8 = 0x20;
const POLARITY: u8 = 0x2A;
const SETTING: u8 = 0x40;
const FAN_CONFIG: u8 = 0x42;
const TACH_HIGH: u8 = 0x4E;
const TACH_LOW: u8 = 0x4F;
const PRODUCT: u8 = 0xFD;
const MANUFACTURER: u8 = 0xFE;
const REVISION: u8 = 0xFF;

#[derive(Debug)]
pub(in crate::board) struct Emc2103 {
    fan: Option<u8>,
    diodes: [bool; 2],
    sensor: usize,
    registers: [u8; 256],
    low: u8,
    product: u8,
}

impl Emc2103 {
    pub(in crate::board) fn new(fan: Option<u8>, diodes: [bool; 2], sensor: usize) -> Self {
        let mut registers = [0; 256];
        for (register, value) in [
            (FAN_CONFIG, 0x2B),
            (0x43, 0x38),
            (0x46, 0x19),
            (0x48, 0x66),
            (0x49, 0xF5),
            (0x4D, 0xFF),
            (0x4C, 0xF8),
            (MANUFACTURER, 0x5D),
            (REVISION, 0x01),
        ] {
            registers[usize::from(register)] = value;
        }
        Self {
            fan,
            diodes,
            sensor,
            registers,
            low: 0,
            product: 0x26,
        }
    }

    /// Channel 0 is the part itself, 1 and 2 its diodes.
    fn temperature(&self, senses: &Senses, channel: usize) -> u16 {
        let connected = self.diodes.map(usize::from);
        let reading = match channel {
            0 => senses.reading(self.sensor + connected[0] + connected[1]),
            1 if self.diodes[0] => senses.reading(self.sensor),
            2 if self.diodes[1] => senses.reading(self.sensor + connected[0]),
            _ => Reading::Open,
        };
        match reading {
            Reading::Celsius(celsius) => (steps(celsius, 3, -64.0, 127.875) << 5) as u16,
            // Faults are told by the status register; the reading is the lowest there is.
            Reading::Open | Reading::Short => 0x8000,
        }
    }
}

impl ByteRegisters for Emc2103 {
    const INCREMENTS: bool = true;

    fn get(&mut self, senses: &Senses, register: u8) -> u8 {
        match register {
            register if TEMPERATURES.contains(&register) => {
                if register % 2 == 0 {
                    let [high, low] = self
                        .temperature(senses, usize::from(register / 2))
                        .to_be_bytes();
                    self.low = low;
                    high
                } else {
                    self.low
                }
            }
            TACH_HIGH => {
                let range = self.registers[usize::from(FAN_CONFIG)] >> 5 & 3;
                let [high, low] = tach_count(senses.tach(self.fan), range).to_be_bytes();
                self.low = low;
                high
            }
            TACH_LOW => self.low,
            PRODUCT => self.product,
            _ => self.registers[usize::from(register)],
        }
    }

    fn set(&mut self, _senses: &Senses, register: u8, value: u8) {
        if matches!(register, 0x06..=0x1F | CONFIG..=0x4D) {
            self.registers[usize::from(register)] = value;
        }
    }

    fn drive(&self, drives: &mut Drives) {
        let duty = f64::from(self.registers[usize::from(SETTING)]) / 2.55;
        let inverted = self.registers[usize::from(POLARITY)] & 1 != 0;
        drives.fan(self.fan, if inverted { 100.0 - duty } else { duty });
    }

    fn pretend(&mut self, on: bool) {
        self.product = if on { 0x16 } else { 0x26 };
    }
}

/// Counts of the 32.768 kHz clock over five edges, thirteen bits, left-aligned; a fan too slow for them reads full.
pub(super) fn tach_count(rpm: f64, range: u8) -> u16 {
    let constant = 3_932_160.0 * f64::from(1_u8 << range);
    let count = if rpm > 0.0 { constant / rpm } else { 8191.0 };
    (count.min(8191.0) as u16) << 3
}
