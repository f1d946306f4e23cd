//! FXL6408: eight pins. At power-up all are inputs with their outputs in high impedance.

use crate::board::bus::{ByteRegisters, Drives, Senses};

const CONTROL: u8 = 0x01;
const DIRECTION: u8 = 0x03;
const OUTPUT: u8 = 0x05;
const HIGH_Z: u8 = 0x07;
const INPUT_DEFAULT: u8 = 0x09;
const PULL_ENABLE: u8 = 0x0B;
const PULL_UP: u8 = 0x0D;
const INPUT: u8 = 0x0F;
const INTERRUPT_MASK: u8 = 0x11;
const INTERRUPT: u8 = 0x13;

#[derive(Debug)]
pub(in crate::board) struct Fxl6408 {
    base: u8,
    registers: [u8; 0x14],
    id: u8,
}

impl Fxl6408 {
    pub(in crate::board) fn new(base: u8) -> Self {
        let mut part = Self {
            base,
            registers: [0; 0x14],
            id: 0xA0,
        };
        part.power_on();
        // Tells that it has been reset, until that is read.
        part.registers[usize::from(CONTROL)] = 0x02;
        part
    }

    fn power_on(&mut self) {
        self.registers = [0; 0x14];
        self.registers[usize::from(HIGH_Z)] = 0xFF;
        self.registers[usize::from(PULL_ENABLE)] = 0xFF;
    }

    fn at(&self, register: u8) -> u8 {
        self.registers[usize::from(register)]
    }

    fn driven(&self) -> u8 {
        self.at(DIRECTION) & !self.at(HIGH_Z)
    }
}

impl ByteRegisters for Fxl6408 {
    fn get(&mut self, senses: &Senses, register: u8) -> u8 {
        match register {
            CONTROL => {
                let value = self.id | self.at(CONTROL) & 0x02;
                self.registers[usize::from(CONTROL)] = 0;
                value
            }
            INPUT => {
                let pulls = self.at(PULL_ENABLE) & self.at(PULL_UP);
                let mut levels = self.driven() & self.at(OUTPUT) | !self.driven() & pulls;
                for &(number, level) in &senses.inputs {
                    let bit = number.wrapping_sub(self.base);
                    if bit < 8 && self.driven() >> bit & 1 == 0 {
                        levels = levels & !(1 << bit) | u8::from(level) << bit;
                    }
                }
                levels
            }
            DIRECTION | OUTPUT | HIGH_Z | INPUT_DEFAULT | PULL_ENABLE | PULL_UP
            | INTERRUPT_MASK => self.at(register),
            INTERRUPT => 0,
            _ => 0xFF,
        }
    }

    fn set(&mut self, _senses: &Senses, register: u8, value: u8) {
        match register {
            CONTROL if value & 1 != 0 => {
                self.power_on();
                self.registers[usize::from(CONTROL)] = 0x02;
            }
            DIRECTION | OUTPUT | HIGH_Z | INPUT_DEFAULT | PULL_ENABLE | PULL_UP
            | INTERRUPT_MASK => self.registers[usize::from(register)] = value,
            _ => {}
        }
    }

    fn drive(&self, drives: &mut Drives) {
        for bit in 0..8 {
            if self.driven() >> bit & 1 != 0 {
                let level = self.at(OUTPUT) >> bit & 1 != 0;
                drives.pins.push((self.base.saturating_add(bit), level));
            }
        }
    }

    fn pretend(&mut self, on: bool) {
        self.id = if on { 0x00 } else { 0xA0 };
    }
}
