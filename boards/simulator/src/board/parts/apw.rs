//! Antminer power supplies (APW9 and later): frames `55 AA len cmd data sum16` written byte by byte to register 0x11, answers read
//! from there 400 ms later. A probe byte 0xF5 that is written there is read back.

use crate::board::bus::{Device, Drives, Senses};

/// How long the supply thinks before an answer can be read.
const ANSWER_NS: u64 = 400_000_000;

const REGISTER: u8 = 0x11;
const PROBE: u8 = 0xF5;
const FIRMWARE: u8 = 0x01;
const TYPE: u8 = 0x02;
const READ_VOLTAGE: u8 = 0x03;
const SET_VOLTAGE: u8 = 0x83;

#[derive(Debug)]
pub(in crate::board) struct Apw {
    model: u8,
    pretends: bool,
    code: u8,
    frame: Vec<u8>,
    answer: Vec<u8>,
    ready_at: u64,
    read: usize,
    register: u8,
    probed: bool,
}

impl Apw {
    pub(in crate::board) fn new(model: u8) -> Self {
        Self {
            model,
            pretends: false,
            // The lowest voltage.
            code: if is_apw12(model) { 246 } else { 253 },
            frame: Vec::new(),
            answer: Vec::new(),
            ready_at: 0,
            read: 0,
            register: 0,
            probed: false,
        }
    }

    /// Output for a code, mV.
    fn millivolts(&self, code: u8) -> f64 {
        if is_apw12(self.model) {
            (1190.935 - f64::from(code.clamp(9, 246))) / 0.078_743
        } else {
            21360.0 - f64::from(code) * 7060.0 / 253.0
        }
    }

    /// Code that stands for a voltage.
    fn code_of(&self, millivolts: f64) -> u8 {
        let code = if is_apw12(self.model) {
            1190.935 - 0.078_743 * millivolts
        } else {
            (21360.0 - millivolts) * 253.0 / 7060.0
        };
        code.round().clamp(0.0, 255.0) as u8
    }

    fn push(&mut self, senses: &Senses, byte: u8) {
        match (self.frame.len(), byte) {
            (0, 0x55) | (1, 0xAA) => {}
            (0 | 1, _) => {
                self.frame.clear();
                return;
            }
            // Length, command and sum at least; nothing longer than a handful.
            (2, len) if !(4..=16).contains(&len) => {
                self.frame.clear();
                return;
            }
            _ => {}
        }
        self.frame.push(byte);
        if self.frame.len() > 2 && self.frame.len() == 2 + usize::from(self.frame[2]) {
            let frame = std::mem::take(&mut self.frame);
            self.take_frame(senses, &frame[2..]);
        }
    }

    /// `body` is everything after the preamble.
    fn take_frame(&mut self, senses: &Senses, body: &[u8]) {
        let (content, sum) = body.split_at(body.len() - 2);
        if sum16(content).to_le_bytes() != sum {
            return;
        }
        let data = match (content[1], &content[2..]) {
            (FIRMWARE, _) => [0x01, 0x00],
            (TYPE, _) if self.pretends => [0xC1, 0x00],
            (TYPE, _) => [self.model, 0x00],
            // Measured at the output; off, it tells what it is set to.
            (READ_VOLTAGE, _) if senses.output_mv > 1000.0 => {
                [self.code_of(senses.output_mv), 0x00]
            }
            (READ_VOLTAGE, _) => [self.code, 0x00],
            (SET_VOLTAGE, [code, ..]) => {
                self.code = *code;
                [self.code, 0x00]
            }
            _ => return,
        };
        let mut answer = vec![0x06, content[1], data[0], data[1]];
        let sum = sum16(&answer);
        answer.extend(sum.to_le_bytes());
        self.answer = [0x55, 0xAA].into_iter().chain(answer).collect();
        self.read = 0;
        self.ready_at = senses.ns + ANSWER_NS;
    }
}

fn is_apw12(model: u8) -> bool {
    model & 0xF0 == 0x70
}

fn sum16(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .fold(0, |sum: u16, &byte| sum.wrapping_add(u16::from(byte)))
}

impl Device for Apw {
    fn write(&mut self, senses: &Senses, bytes: &[u8]) -> bool {
        let Some((&register, values)) = bytes.split_first() else {
            return true;
        };
        self.register = register;
        if register == REGISTER {
            for &byte in values {
                self.probed = byte == PROBE && self.frame.is_empty();
                self.push(senses, byte);
            }
        }
        true
    }

    fn read(&mut self, senses: &Senses, out: &mut [u8]) -> bool {
        for byte in out {
            *byte = match self.register {
                REGISTER if self.probed => PROBE,
                REGISTER if senses.ns >= self.ready_at && self.read < self.answer.len() => {
                    self.read += 1;
                    self.answer[self.read - 1]
                }
                _ => 0xFF,
            };
        }
        true
    }

    fn drive(&self, drives: &mut Drives) {
        drives.core_mv = Some(self.millivolts(self.code));
    }

    fn pretend(&mut self, on: bool) {
        self.pretends = on;
    }
}
