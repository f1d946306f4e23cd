//! TPS546D24A: a PMBus buck regulator. Limits that the host programs are kept: it warns, trips and latches as they say.

use std::collections::BTreeMap;

use super::pmbus::{
    CLEAR_FAULTS, DEAD_MV, IOUT_OC_FAULT, IOUT_OC_WARN, ON_OFF_CONFIG, OPERATION, OT_FAULT,
    OT_WARN, PmbusPart, READ_IOUT, READ_TEMPERATURE, READ_VIN, READ_VOUT, Status, VOUT_COMMAND,
    VOUT_MAX, VOUT_MIN, VOUT_MODE, from_linear11, linear11, word,
};
use crate::board::bus::{Drives, Reading, Senses};

const VIN_ON: u8 = 0x35;
const VIN_OFF: u8 = 0x36;
const VOUT_OV_FAULT: u8 = 0x40;
const VOUT_OV_WARN: u8 = 0x42;
const VOUT_UV_WARN: u8 = 0x43;
const VOUT_UV_FAULT: u8 = 0x44;
const VIN_OV_FAULT: u8 = 0x55;
const VIN_UV_WARN: u8 = 0x58;
const DEVICE_ID: u8 = 0xAD;
const DEVICE_REVISION: u8 = 0xAE;

/// Voltages are counted in 2^-9 V.
const EXPONENT: i32 = -9;

/// A loaded output needs this long from on to in range; then a low one is a fault.
const START_NS: u64 = 250_000_000;

#[derive(Debug)]
pub(in crate::board) struct Tps546 {
    id: [u8; 6],
    pretends: bool,
    sensor: usize,
    registers: BTreeMap<u8, Vec<u8>>,
    status: Status,
    /// A fault has switched the output off; only off and on again brings it back.
    latched: bool,
    input_low: bool,
    on_since: Option<u64>,
}

impl Tps546 {
    pub(in crate::board) fn new(id: [u8; 6], sensor: usize) -> Self {
        let mut registers = BTreeMap::new();
        let byte = |value| vec![value];
        let volts = |volts: f64| ulinear16(volts).to_vec();
        let linear = |value| linear11(value).to_vec();
        for (command, value) in [
            (OPERATION, byte(0x04)),
            // From the factory the pin alone decides.
            (ON_OFF_CONFIG, byte(0x17)),
            (0x04, byte(0xFF)),
            (0x10, byte(0x00)),
            (VOUT_MODE, byte(0x97)),
            (VOUT_COMMAND, volts(0.8)),
            (0x22, volts(0.0)),
            (VOUT_MAX, volts(1.5)),
            (0x25, ulinear16(1.05).to_vec()),
            (0x26, ulinear16(0.95).to_vec()),
            (0x27, linear(1.0)),
            (0x29, linear(0.5)),
            (VOUT_MIN, volts(0.5)),
            (0x33, linear(550.0)),
            (VIN_ON, linear(2.75)),
            (VIN_OFF, linear(2.5)),
            (0x37, vec![0x20, 0x00]),
            (0x38, linear(1.0)),
            (0x39, linear(0.0)),
            (VOUT_OV_FAULT, ulinear16(1.15).to_vec()),
            (0x41, byte(0xBD)),
            (VOUT_OV_WARN, ulinear16(1.1).to_vec()),
            (VOUT_UV_WARN, ulinear16(0.9).to_vec()),
            (VOUT_UV_FAULT, ulinear16(0.85).to_vec()),
            (0x45, byte(0xBE)),
            (IOUT_OC_FAULT, linear(52.0)),
            (0x47, byte(0xFF)),
            (IOUT_OC_WARN, linear(40.0)),
            (OT_FAULT, linear(150.0)),
            (0x50, byte(0xBC)),
            (OT_WARN, linear(125.0)),
            (VIN_OV_FAULT, linear(21.0)),
            (0x56, byte(0x3C)),
            (VIN_UV_WARN, linear(2.5)),
            (0x60, linear(0.0)),
            (0x61, linear(3.0)),
            (0x62, linear(0.0)),
            (0x63, byte(0x3B)),
            (0x64, linear(0.0)),
            (0x65, linear(0.5)),
            (0xB0, byte(0x00)),
            (0xB1, vec![5, 0x22, 0x18, 0xC2, 0x1D, 0x06]),
            (0xB5, vec![1, 0x70]),
            (0xD0, vec![6, 0, 0, 0, 0, 0, 0]),
            (0xE4, byte(0xF0)),
            (0xEC, vec![0x00, 0x00]),
            (0xED, vec![0x00, 0x00]),
            (0xEE, vec![0xFF, 0xFF]),
            (0xEF, byte(0x24)),
            (0x1B, vec![0x00, 0x00]),
        ] {
            registers.insert(command, value);
        }
        Self {
            id,
            pretends: false,
            sensor,
            registers,
            status: Status::default(),
            latched: false,
            input_low: false,
            on_since: None,
        }
    }

    fn byte(&self, command: u8) -> u8 {
        let stored = self.registers.get(&command);
        stored.and_then(|data| data.first()).copied().unwrap_or(0)
    }

    fn linear(&self, command: u8) -> f64 {
        self.registers
            .get(&command)
            .map_or(0.0, |data| from_linear11(data))
    }

    fn volts(&self, command: u8) -> f64 {
        self.registers
            .get(&command)
            .map_or(0.0, |data| f64::from(word(data)) * 2_f64.powi(EXPONENT))
    }

    /// Whether pin and command, as far as they have a say, want the output on.
    fn wanted(&self, senses: &Senses) -> bool {
        let config = self.byte(ON_OFF_CONFIG);
        let listens = |bit: u8| config >> bit & 1 != 0;
        if !listens(4) {
            return true;
        }
        let command = self.byte(OPERATION) & 0x80 != 0;
        match (listens(3), listens(2)) {
            // Boards that do not wire the pin tie it to on.
            (true, true) => command && senses.enabled.unwrap_or(true),
            (true, false) => command,
            // As it comes from the factory. Boards without a wire would start by themselves; none is known to.
            (false, true) => senses.enabled.unwrap_or(false),
            (false, false) => false,
        }
    }

    fn on(&self) -> bool {
        self.on_since.is_some()
    }

    fn celsius(&self, senses: &Senses) -> f64 {
        match senses.reading(self.sensor) {
            Reading::Celsius(celsius) => celsius,
            _ => 25.0,
        }
    }

    fn update(&mut self, senses: &Senses) {
        let input = senses.input_mv / 1000.0;
        if input < self.linear(VIN_OFF) {
            self.input_low = true;
        } else if input >= self.linear(VIN_ON) {
            self.input_low = false;
        }
        if !self.wanted(senses) {
            // Off and on again ends a latch; the bits stay until they are cleared.
            self.latched = false;
            self.on_since = None;
            return;
        }
        if self.input_low {
            self.status.input |= 0x08;
            self.on_since = None;
            return;
        }
        if self.latched {
            self.on_since = None;
            return;
        }
        self.on_since.get_or_insert(senses.ns);
    }

    fn protect(&mut self, senses: &Senses) {
        let (input, output) = (senses.input_mv / 1000.0, senses.output_mv / 1000.0);
        let (amps, celsius) = (senses.output_a, self.celsius(senses));
        let Some(since) = self.on_since else { return };
        self.status.note_trip(senses.trip);
        let mut fault = senses.trip == Some(crate::physics::Trip::OverCurrent);
        if input > self.linear(VIN_OV_FAULT) {
            self.status.input |= 0x80;
            fault = true;
        }
        let warns = self.linear(VIN_UV_WARN);
        if warns > self.linear(VIN_ON).max(self.linear(VIN_OFF)) && input < warns {
            self.status.input |= 0x20;
        }
        if amps > self.linear(IOUT_OC_FAULT) {
            self.status.iout |= 0x80;
            fault = true;
        }
        if amps > self.linear(IOUT_OC_WARN) {
            self.status.iout |= 0x20;
        }
        if celsius > self.linear(OT_FAULT) {
            self.status.temperature |= 0x80;
            fault = true;
        }
        if celsius > self.linear(OT_WARN) {
            self.status.temperature |= 0x40;
        }
        let share = output / self.volts(VOUT_COMMAND).max(0.001);
        if share > self.volts(VOUT_OV_FAULT) {
            self.status.vout |= 0x80;
            fault = true;
        } else if share > self.volts(VOUT_OV_WARN) {
            self.status.vout |= 0x40;
        }
        if senses.ns.saturating_sub(since) >= START_NS {
            if share < self.volts(VOUT_UV_FAULT) {
                self.status.vout |= 0x10;
            } else if share < self.volts(VOUT_UV_WARN) {
                self.status.vout |= 0x20;
            }
        }
        if fault {
            self.latched = true;
            self.on_since = None;
        }
    }

    fn set_output(&mut self, data: &[u8]) {
        let asked = f64::from(word(data)) * 2_f64.powi(EXPONENT);
        let (low, high) = (self.volts(VOUT_MIN), self.volts(VOUT_MAX));
        let held = asked.min(high).max(low);
        if held != asked {
            self.status.vout |= 0x08;
        }
        self.registers
            .insert(VOUT_COMMAND, ulinear16(held).to_vec());
    }
}

fn ulinear16(volts: f64) -> [u8; 2] {
    ((volts / 2_f64.powi(EXPONENT)).round().clamp(0.0, 65535.0) as u16).to_le_bytes()
}

impl PmbusPart for Tps546 {
    fn get(&mut self, senses: &Senses, command: u8) -> Option<Vec<u8>> {
        self.update(senses);
        if let Some(status) = self.status.get(command, self.on()) {
            return Some(status);
        }
        Some(match command {
            0x19 => vec![0xD0],
            0x7F => vec![0],
            READ_VIN => linear11(senses.input_mv / 1000.0).to_vec(),
            READ_VOUT => ulinear16(senses.output_mv / 1000.0).to_vec(),
            READ_IOUT => linear11(senses.output_a).to_vec(),
            READ_TEMPERATURE => linear11(self.celsius(senses)).to_vec(),
            0x98 => vec![0x33],
            DEVICE_ID => {
                let mut id = vec![6];
                id.extend(self.id);
                if self.pretends {
                    // A TPS546B24A.
                    id[3..].copy_from_slice(&[0x6B, 0x24, 0x41, 0x41]);
                }
                id
            }
            DEVICE_REVISION => vec![2, 0x40, 0x00],
            _ => self.registers.get(&command)?.clone(),
        })
    }

    fn set(&mut self, senses: &Senses, command: u8, data: &[u8]) -> bool {
        match command {
            CLEAR_FAULTS => self.status = Status::default(),
            VOUT_COMMAND => self.set_output(data),
            // The exponent is fixed; only the relative bit could change.
            VOUT_MODE => {}
            _ => match self.registers.get_mut(&command) {
                Some(stored) if stored.len() == data.len() => stored.copy_from_slice(data),
                Some(_) => self.status.cml |= 0x40,
                None => return false,
            },
        }
        self.update(senses);
        true
    }

    fn tick(&mut self, senses: &Senses) {
        if !self.is_fed(senses) {
            *self = Self {
                pretends: self.pretends,
                ..Self::new(self.id, self.sensor)
            };
        }
        self.update(senses);
        self.protect(senses);
    }

    fn drive(&self, drives: &mut Drives) {
        drives.core_on = Some(self.on());
        drives.core_mv = Some(self.volts(VOUT_COMMAND) * 1000.0);
    }

    fn pretend(&mut self, on: bool) {
        self.pretends = on;
    }

    fn status(&mut self) -> &mut Status {
        &mut self.status
    }

    fn is_fed(&self, senses: &Senses) -> bool {
        senses.input_mv >= DEAD_MV
    }
}
