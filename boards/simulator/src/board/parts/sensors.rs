//! Temperature sensors: TMP1075, TMP451, and the LM75 with its successors.

use crate::board::bus::{ByteRegisters, Reading, Senses, WordRegisters, steps};

/// TMP1075: twelve bits, device id 0x7500.
#[derive(Debug)]
pub(in crate::board) struct Tmp1075 {
    sensor: usize,
    config: u16,
    limits: [u16; 2],
    id: u16,
}

impl Tmp1075 {
    pub(in crate::board) fn new(sensor: usize) -> Self {
        Self {
            sensor,
            config: 0x00FF,
            limits: [0x4B00, 0x5000],
            id: 0x7500,
        }
    }
}

impl WordRegisters for Tmp1075 {
    fn get(&mut self, senses: &Senses, register: u8) -> u16 {
        match register {
            0 => local(senses, self.sensor, 12),
            1 => self.config,
            2 => self.limits[0],
            3 => self.limits[1],
            0x0F => self.id,
            _ => 0,
        }
    }

    fn set(&mut self, register: u8, value: u16) {
        match register {
            1 => self.config = value | 0x00FF,
            2 => self.limits[0] = value & 0xFFF0,
            3 => self.limits[1] = value & 0xFFF0,
            _ => {}
        }
    }

    fn pretend(&mut self, on: bool) {
        self.id = if on { 0 } else { 0x7500 };
    }
}

/// LM75 class: nine to twelve bits, no identity.
#[derive(Debug)]
pub(in crate::board) struct Lm75 {
    bits: u8,
    sensor: usize,
    config: u16,
    limits: [u16; 2],
}

impl Lm75 {
    pub(in crate::board) fn new(bits: u8, sensor: usize) -> Self {
        Self {
            bits,
            sensor,
            config: 0,
            limits: [0x4B00, 0x5000],
        }
    }
}

impl WordRegisters for Lm75 {
    fn is_byte(&self, register: u8) -> bool {
        register & 3 == 1
    }

    fn get(&mut self, senses: &Senses, register: u8) -> u16 {
        // Only two bits of the pointer are looked at.
        match register & 3 {
            0 => local(senses, self.sensor, self.bits),
            1 => self.config,
            2 => self.limits[0],
            _ => self.limits[1],
        }
    }

    fn set(&mut self, register: u8, value: u16) {
        match register & 3 {
            1 => self.config = value & 0xFF,
            2 => self.limits[0] = value & 0xFF80,
            3 => self.limits[1] = value & 0xFF80,
            _ => {}
        }
    }
}

/// A local temperature, left-aligned in a word with so many bits.
fn local(senses: &Senses, sensor: usize, bits: u8) -> u16 {
    match senses.reading(sensor) {
        Reading::Celsius(celsius) => {
            let fraction = u32::from(bits.clamp(9, 12)) - 8;
            (steps(celsius, fraction, -64.0, 127.999) << (8 - fraction)) as u16
        }
        _ => 0,
    }
}

/// TMP451: local and remote, sixteenths of a kelvin; standard range 0 to 127 °C, or extended by -64 °C.
#[derive(Debug)]
pub(in crate::board) struct Tmp451 {
    remote: bool,
    remote_error_k: f64,
    sensor: usize,
    registers: [u8; 256],
    remote_low: u8,
    local_low: u8,
    maker: u8,
}

const STATUS: u8 = 0x02;
const CONFIG: u8 = 0x03;
const CONVERSION: u8 = 0x04;
const REMOTE_LOW: u8 = 0x10;
const OFFSET_HIGH: u8 = 0x11;
const OFFSET_LOW: u8 = 0x12;
const LOCAL_LOW: u8 = 0x15;
const MAKER: u8 = 0xFE;

impl Tmp451 {
    pub(in crate::board) fn new(remote: bool, remote_error_k: f64, sensor: usize) -> Self {
        let mut registers = [0; 256];
        for (register, value) in [
            (CONVERSION, 0x08),
            (0x05, 0x55),
            (0x07, 0x55),
            (0x19, 0x6C),
            (0x20, 0x55),
            (0x21, 0x0A),
            (0x22, 0x01),
        ] {
            registers[usize::from(register)] = value;
        }
        Self {
            remote,
            remote_error_k,
            sensor,
            registers,
            remote_low: 0,
            local_low: 0,
            maker: 0x55,
        }
    }

    fn code(&self, celsius: f64) -> [u8; 2] {
        let extended = self.registers[usize::from(CONFIG)] & 0x04 != 0;
        let code = if extended {
            steps(celsius + 64.0, 4, 0.0, 255.9375)
        } else {
            steps(celsius, 4, 0.0, 127.9375)
        };
        ((code << 4) as u16).to_be_bytes()
    }

    fn remote_code(&self, senses: &Senses) -> [u8; 2] {
        match self.remote_reading(senses) {
            Reading::Celsius(celsius) => {
                let [high, low] = [OFFSET_HIGH, OFFSET_LOW].map(|r| self.registers[usize::from(r)]);
                let offset = f64::from(i16::from_be_bytes([high, low])) / 256.0;
                self.code(celsius + self.remote_error_k + offset)
            }
            // An open input charges to the rail: the highest code. A short one gives the lowest.
            Reading::Open => self.code(1000.0),
            Reading::Short => self.code(-1000.0),
        }
    }

    fn remote_reading(&self, senses: &Senses) -> Reading {
        if self.remote {
            senses.reading(self.sensor)
        } else {
            Reading::Open
        }
    }
}

impl ByteRegisters for Tmp451 {
    fn get(&mut self, senses: &Senses, register: u8) -> u8 {
        match register {
            0x00 => {
                let celsius = match senses.reading(self.sensor + usize::from(self.remote)) {
                    Reading::Celsius(celsius) => celsius,
                    _ => 0.0,
                };
                let [high, low] = self.code(celsius);
                self.local_low = low;
                high
            }
            0x01 => {
                let [high, low] = self.remote_code(senses);
                self.remote_low = low;
                high
            }
            STATUS => u8::from(self.remote_reading(senses) == Reading::Open) << 2,
            REMOTE_LOW => self.remote_low,
            LOCAL_LOW => self.local_low,
            0x09 => self.registers[usize::from(CONFIG)],
            0x0A => self.registers[usize::from(CONVERSION)],
            MAKER => self.maker,
            _ => self.registers[usize::from(register)],
        }
    }

    fn set(&mut self, _senses: &Senses, register: u8, value: u8) {
        // Writes to these go to the next higher addresses; reading is done at the lower ones.
        let register = match register {
            0x09 => CONFIG,
            0x0A => CONVERSION,
            0x0B..=0x0E => register - 6,
            OFFSET_HIGH | OFFSET_LOW | 0x13 | 0x14 | 0x19..=0x24 => register,
            _ => return,
        };
        self.registers[usize::from(register)] = value;
    }

    fn pretend(&mut self, on: bool) {
        self.maker = if on { 0x41 } else { 0x55 };
    }
}
