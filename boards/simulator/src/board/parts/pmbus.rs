//! What PMBus parts share: commands on the wire, number formats, and status bits that stay until they are cleared.

use std::fmt;

use crate::{
    board::bus::{Device, Drives, Senses},
    physics::Trip,
};

pub(super) const OPERATION: u8 = 0x01;
pub(super) const ON_OFF_CONFIG: u8 = 0x02;
pub(super) const CLEAR_FAULTS: u8 = 0x03;
pub(super) const VOUT_MODE: u8 = 0x20;
pub(super) const VOUT_COMMAND: u8 = 0x21;
pub(super) const VOUT_MAX: u8 = 0x24;
pub(super) const VOUT_MIN: u8 = 0x2B;
pub(super) const IOUT_OC_FAULT: u8 = 0x46;
pub(super) const IOUT_OC_WARN: u8 = 0x4A;
pub(super) const OT_FAULT: u8 = 0x4F;
pub(super) const OT_WARN: u8 = 0x51;
pub(super) const STATUS_BYTE: u8 = 0x78;
pub(super) const STATUS_WORD: u8 = 0x79;
pub(super) const STATUS_VOUT: u8 = 0x7A;
pub(super) const STATUS_IOUT: u8 = 0x7B;
pub(super) const STATUS_INPUT: u8 = 0x7C;
pub(super) const STATUS_TEMPERATURE: u8 = 0x7D;
pub(super) const STATUS_CML: u8 = 0x7E;
pub(super) const STATUS_MFR: u8 = 0x80;
pub(super) const READ_VIN: u8 = 0x88;
pub(super) const READ_IIN: u8 = 0x89;
pub(super) const READ_VOUT: u8 = 0x8B;
pub(super) const READ_IOUT: u8 = 0x8C;
pub(super) const READ_TEMPERATURE: u8 = 0x8D;

/// Input at which a controller forgets everything and falls silent, mV. Above the brown-out limits of all parts here.
pub(super) const DEAD_MV: f64 = 2400.0;

/// Commands that write the permanent memory: all, one, and their user counterparts.
pub(super) const STORES: [u8; 4] = [0x11, 0x13, 0x15, 0x17];

/// A regulator behind PMBus.
pub(in crate::board) trait PmbusPart: fmt::Debug + Send {
    /// What a read of `command` gives; none: the part does not know it.
    fn get(&mut self, senses: &Senses, command: u8) -> Option<Vec<u8>>;
    /// Takes a write; false: the part does not know it.
    fn set(&mut self, senses: &Senses, command: u8, data: &[u8]) -> bool;
    fn tick(&mut self, senses: &Senses);
    fn drive(&self, drives: &mut Drives);
    fn pretend(&mut self, on: bool);
    fn status(&mut self) -> &mut Status;
    /// Whether its input is enough to answer.
    fn is_fed(&self, senses: &Senses) -> bool;
}

/// Puts a [`PmbusPart`] on the bus, and keeps books of what would ruin it.
#[derive(Debug)]
pub(in crate::board) struct Pmbus<P> {
    part: P,
    command: u8,
    stores: u64,
}

impl<P: PmbusPart> Pmbus<P> {
    pub(in crate::board) fn new(part: P) -> Self {
        Self {
            part,
            command: 0,
            stores: 0,
        }
    }
}

impl<P: PmbusPart> Device for Pmbus<P> {
    fn write(&mut self, senses: &Senses, bytes: &[u8]) -> bool {
        if !self.part.is_fed(senses) {
            return false;
        }
        let Some((&command, data)) = bytes.split_first() else {
            return true;
        };
        self.command = command;
        if STORES.contains(&command) {
            self.stores += 1;
            return true;
        }
        // Without data it may be the first half of a read.
        let sends = command == CLEAR_FAULTS;
        if (sends || !data.is_empty()) && !self.part.set(senses, command, data) {
            self.part.status().cml |= 0x80;
        }
        true
    }

    fn read(&mut self, senses: &Senses, out: &mut [u8]) -> bool {
        if !self.part.is_fed(senses) {
            return false;
        }
        out.fill(0xFF);
        match self.part.get(senses, self.command) {
            Some(bytes) => out
                .iter_mut()
                .zip(bytes)
                .for_each(|(out, byte)| *out = byte),
            None => self.part.status().cml |= 0x80,
        }
        true
    }

    fn tick(&mut self, senses: &Senses) {
        self.part.tick(senses);
    }

    fn drive(&self, drives: &mut Drives) {
        self.part.drive(drives);
        drives.nvm_stores += self.stores;
    }

    fn pretend(&mut self, on: bool) {
        self.part.pretend(on);
    }
}

/// Latched status bits, one byte per kind.
#[derive(Debug, Default, Clone, Copy)]
pub(in crate::board) struct Status {
    pub(super) vout: u8,
    pub(super) iout: u8,
    pub(super) input: u8,
    pub(super) temperature: u8,
    pub(super) cml: u8,
    pub(super) mfr: u8,
}

impl Status {
    /// The summary; `on` tells whether the output is up.
    pub(super) fn word(&self, on: bool) -> u16 {
        let bit = |condition: bool, bit: u16| u16::from(condition) << bit;
        bit(!on, 6)
            | bit(self.vout & 0x80 != 0, 5)
            | bit(self.iout & 0x80 != 0, 4)
            | bit(self.input & 0x18 != 0, 3)
            | bit(self.temperature != 0, 2)
            | bit(self.cml != 0, 1)
            | bit(self.vout != 0, 15)
            | bit(self.iout != 0, 14)
            | bit(self.input != 0, 13)
            | bit(self.mfr != 0, 12)
            | bit(!on, 11)
    }

    pub(super) fn get(&self, command: u8, on: bool) -> Option<Vec<u8>> {
        Some(match command {
            STATUS_BYTE => vec![self.word(on) as u8],
            STATUS_WORD => self.word(on).to_le_bytes().to_vec(),
            STATUS_VOUT => vec![self.vout],
            STATUS_IOUT => vec![self.iout],
            STATUS_INPUT => vec![self.input],
            STATUS_TEMPERATURE => vec![self.temperature],
            STATUS_CML => vec![self.cml],
            STATUS_MFR => vec![self.mfr],
            _ => return None,
        })
    }

    /// What the supply's own protection has done.
    pub(super) fn note_trip(&mut self, trip: Option<Trip>) {
        match trip {
            Some(Trip::OverCurrent) => self.iout |= 0x80,
            Some(Trip::InputLow) => self.input |= 0x18,
            Some(Trip::InputHigh) => self.input |= 0x80,
            None => {}
        }
    }
}

/// A number in the linear format with five bits of exponent, as exact as it goes.
pub(super) fn linear11(value: f64) -> [u8; 2] {
    let mut exponent = -16_i32;
    while exponent < 15 && (value / 2_f64.powi(exponent)).abs() > 1023.0 {
        exponent += 1;
    }
    let mantissa = (value / 2_f64.powi(exponent))
        .round()
        .clamp(-1024.0, 1023.0) as i16;
    ((exponent as u16) << 11 | mantissa as u16 & 0x07FF).to_le_bytes()
}

/// The value of such a number.
pub(super) fn from_linear11(data: &[u8]) -> f64 {
    let word = word(data);
    let exponent = i32::from(word as i16 >> 11);
    let mantissa = f64::from((word << 5) as i16 >> 5);
    mantissa * 2_f64.powi(exponent)
}

/// Little-endian word; missing bytes are zero.
pub(super) fn word(data: &[u8]) -> u16 {
    let byte = |i| u16::from(data.get(i).copied().unwrap_or(0));
    byte(0) | byte(1) << 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_numbers_of_published_register_dumps() {
        // PMBus specification: 0xD3C0 is 960 * 2^-6 = 15.
        assert_eq!(from_linear11(&[0xC0, 0xD3]), 15.0);
        for value in [0.0, 0.25, 4.5, 25.0, 105.0, 145.0, -40.0, 650.0] {
            assert!((from_linear11(&linear11(value)) - value).abs() <= value.abs() / 512.0);
        }
    }
}
