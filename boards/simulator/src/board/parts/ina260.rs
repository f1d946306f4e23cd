//! INA260: voltage, current and power of the board's input, with a built-in shunt.

use crate::board::bus::{Senses, WordRegisters};

#[derive(Debug)]
pub(in crate::board) struct Ina260 {
    config: u16,
    mask: u16,
    limit: u16,
    die: u16,
}

impl Default for Ina260 {
    fn default() -> Self {
        Self {
            config: 0x6127,
            mask: 0,
            limit: 0,
            die: 0x2270,
        }
    }
}

impl WordRegisters for Ina260 {
    fn get(&mut self, senses: &Senses, register: u8) -> u16 {
        let milliamps = senses.input_a * 1000.0;
        match register {
            0x00 => self.config,
            0x01 => (milliamps / 1.25).round().clamp(-32768.0, 32767.0) as i16 as u16,
            0x02 => (senses.input_mv / 1.25).round().clamp(0.0, 32767.0) as u16,
            0x03 => (senses.input_mv * senses.input_a / 10.0)
                .round()
                .clamp(0.0, 65535.0) as u16,
            0x06 => self.mask,
            0x07 => self.limit,
            0xFE => 0x5449,
            0xFF => self.die,
            _ => 0,
        }
    }

    fn set(&mut self, register: u8, value: u16) {
        match register {
            0x00 if value & 0x8000 != 0 => {
                self.config = 0x6127;
                self.mask = 0;
                self.limit = 0;
            }
            0x00 => self.config = value,
            0x06 => self.mask = value,
            0x07 => self.limit = value,
            _ => {}
        }
    }

    fn pretend(&mut self, on: bool) {
        self.die = if on { 0x2260 } else { 0x2270 };
    }
}
