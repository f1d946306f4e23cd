//! EMC2302: two fans with eight-bit PWM. A watchdog drives both to full when nobody has spoken for four seconds: after power-up
//! until a fan is set, and always if the host switches it on.

use super::emc2103::tach_count;
use crate::board::bus::{ByteRegisters, Drives, Senses};

const CONFIG: u8 = 0x20;
const STATUS: u8 = 0x24;
const POLARITY: u8 = 0x2A;
const SETTING: u8 = 0x30;
const FAN_CONFIG: u8 = 0x32;
const TACH_HIGH: u8 = 0x3E;
const TACH_LOW: u8 = 0x3F;
const PRODUCT: u8 = 0xFD;
const MANUFACTURER: u8 = 0xFE;
const REVISION: u8 = 0xFF;

/// Distance between the blocks of the two fans.
const BLOCK: u8 = 0x10;
/// Bit of the configuration.
const WATCHDOG: u8 = 0x20;
const WATCHDOG_NS: u64 = 4_000_000_000;

#[derive(Debug)]
pub(in crate::board) struct Emc2302 {
    fans: [Option<u8>; 2],
    registers: [u8; 256],
    low: u8,
    product: u8,
    told: bool,
    expired: bool,
    heard_at: u64,
}

impl Emc2302 {
    pub(in crate::board) fn new(fans: [Option<u8>; 2]) -> Self {
        let mut registers = [0; 256];
        for (register, value) in [(CONFIG, 0x40), (MANUFACTURER, 0x5D), (REVISION, 0x80)] {
            registers[usize::from(register)] = value;
        }
        for block in [0, BLOCK] {
            for (register, value) in [
                (0x31, 0x01),
                (FAN_CONFIG, 0x2B),
                (0x33, 0x28),
                (0x35, 0x2A),
                (0x36, 0x19),
                (0x37, 0x10),
                (0x38, 0x66),
                (0x39, 0xF5),
                (0x3C, 0xF8),
                (0x3D, 0xFF),
            ] {
                registers[usize::from(register + block)] = value;
            }
        }
        Self {
            fans,
            registers,
            low: 0xF8,
            product: 0x36,
            told: false,
            expired: false,
            heard_at: 0,
        }
    }
}

impl ByteRegisters for Emc2302 {
    const INCREMENTS: bool = true;

    fn get(&mut self, senses: &Senses, register: u8) -> u8 {
        self.heard_at = senses.ns;
        let (fan, block) = if register & 0xF0 == 0x40 {
            (self.fans[1], BLOCK)
        } else {
            (self.fans[0], 0)
        };
        match register {
            0x30..=0x4F if register - block == TACH_HIGH => {
                let range = self.registers[usize::from(FAN_CONFIG + block)] >> 5 & 3;
                let [high, low] = tach_count(senses.tach(fan), range).to_be_bytes();
                self.low = low;
                high
            }
            0x30..=0x4F if register - block == TACH_LOW => self.low,
            STATUS => u8::from(self.expired) << 7,
            PRODUCT => self.product,
            _ => self.registers[usize::from(register)],
        }
    }

    fn set(&mut self, senses: &Senses, register: u8, value: u8) {
        self.heard_at = senses.ns;
        if register == CONFIG && value & WATCHDOG == 0 {
            self.expired = false;
        }
        if register == SETTING || register == SETTING + BLOCK {
            self.told = true;
            if self.registers[usize::from(CONFIG)] & WATCHDOG == 0 {
                self.expired = false;
            }
        }
        if matches!(register, 0x20 | 0x29..=0x2D | 0x30..=0x3D | 0x40..=0x4D) {
            self.registers[usize::from(register)] = value;
        }
    }

    fn tick(&mut self, senses: &Senses) {
        let armed = !self.told || self.registers[usize::from(CONFIG)] & WATCHDOG != 0;
        self.expired |= armed && senses.ns.saturating_sub(self.heard_at) >= WATCHDOG_NS;
    }

    fn drive(&self, drives: &mut Drives) {
        for (index, fan) in self.fans.into_iter().enumerate() {
            let block = BLOCK * index as u8;
            let duty = if self.expired {
                100.0
            } else {
                f64::from(self.registers[usize::from(SETTING + block)]) / 2.55
            };
            let inverted = self.registers[usize::from(POLARITY)] >> index & 1 != 0;
            drives.fan(fan, if inverted { 100.0 - duty } else { duty });
        }
    }

    fn pretend(&mut self, on: bool) {
        self.product = if on { 0x34 } else { 0x36 };
    }
}
