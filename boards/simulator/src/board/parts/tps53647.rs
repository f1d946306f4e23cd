//! TPS53647 and TPS53667: multi-phase PMBus regulators whose voltage is a VID code.

use std::collections::BTreeMap;

use super::pmbus::{
    CLEAR_FAULTS, DEAD_MV, IOUT_OC_FAULT, IOUT_OC_WARN, ON_OFF_CONFIG, OPERATION, OT_FAULT,
    OT_WARN, PmbusPart, READ_IIN, READ_IOUT, READ_TEMPERATURE, READ_VIN, READ_VOUT, Status,
    VOUT_COMMAND, VOUT_MAX, VOUT_MIN, VOUT_MODE, from_linear11, linear11, word,
};
use crate::board::bus::{Drives, Reading, Senses};

const READ_POUT: u8 = 0x96;
const READ_PIN: u8 = 0x97;
/// Output voltage in 2^-9 V.
const READ_VOUT_LINEAR: u8 = 0xD4;
const DEVICE_CODE: u8 = 0xFC;

const START_NS: u64 = 250_000_000;

#[derive(Debug)]
pub(in crate::board) struct Tps53647 {
    code: u16,
    pretends: bool,
    sensor: usize,
    registers: BTreeMap<u8, Vec<u8>>,
    status: Status,
    latched: bool,
    on_since: Option<u64>,
}

impl Tps53647 {
    pub(in crate::board) fn new(code: u16, sensor: usize) -> Self {
        let mut registers = BTreeMap::new();
        for (command, value) in [
            (OPERATION, vec![0x00]),
            (ON_OFF_CONFIG, vec![0x17]),
            (0x10, vec![0x00]),
            (VOUT_MODE, vec![0x21]),
            (VOUT_COMMAND, vec![0x97, 0x00]),
            (VOUT_MAX, vec![0xFF, 0x00]),
            (0x25, vec![0x97, 0x00]),
            (0x26, vec![0x97, 0x00]),
            (VOUT_MIN, vec![0x00, 0x00]),
            (0x33, linear11(500.0).to_vec()),
            (0x40, vec![0xFF, 0x00]),
            (0x44, vec![0x00, 0x00]),
            (IOUT_OC_FAULT, linear11(150.0).to_vec()),
            (IOUT_OC_WARN, linear11(120.0).to_vec()),
            (OT_FAULT, linear11(125.0).to_vec()),
            (OT_WARN, linear11(95.0).to_vec()),
            (0x5B, linear11(30.0).to_vec()),
            (0x5D, linear11(25.0).to_vec()),
        ] {
            registers.insert(command, value);
        }
        // Settings of the maker's own: bytes, and words from 0xDA to 0xDC and 0xF0 on.
        for command in 0xD0..=0xFB_u8 {
            registers.insert(command, vec![0]);
        }
        for command in [0xD4, 0xF0] {
            registers.insert(command, vec![0, 0]);
        }
        Self {
            code,
            pretends: false,
            sensor,
            registers,
            status: Status::default(),
            latched: false,
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

    fn vid(&self, command: u8) -> u8 {
        self.byte(command)
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
        let config = self.byte(ON_OFF_CONFIG);
        let commanded = config & 0x08 != 0 && self.byte(OPERATION) & 0x80 != 0;
        let command = config & 0x08 == 0 || commanded;
        let pin = config & 0x04 == 0 || senses.enabled.unwrap_or(commanded);
        let wanted = config & 0x10 == 0 || (command && pin && config & 0x0C != 0);
        if !wanted {
            self.latched = false;
            self.on_since = None;
        } else if self.latched {
            self.on_since = None;
        } else {
            self.on_since.get_or_insert(senses.ns);
        }
    }

    fn protect(&mut self, senses: &Senses) {
        let Some(since) = self.on_since else { return };
        self.status.note_trip(senses.trip);
        let mut fault = senses.trip.is_some();
        let (amps, celsius) = (senses.output_a, self.celsius(senses));
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
        let share = senses.output_mv / vid_mv(self.vid(VOUT_COMMAND)).max(1.0);
        if share > 1.25 {
            self.status.vout |= 0x80;
            fault = true;
        }
        if share < 0.75 && senses.ns.saturating_sub(since) >= START_NS {
            self.status.vout |= 0x10;
        }
        if fault {
            self.latched = true;
            self.on_since = None;
        }
    }
}

/// 0x97 is 1 V, a step 5 mV, code 0 off.
fn vid_mv(vid: u8) -> f64 {
    match vid {
        0 => 0.0,
        vid => 250.0 + (f64::from(vid) - 1.0) * 5.0,
    }
}

fn mv_vid(millivolts: f64) -> u8 {
    if millivolts < 250.0 {
        return 0;
    }
    ((millivolts - 250.0) / 5.0 + 1.0).round().min(255.0) as u8
}

impl PmbusPart for Tps53647 {
    fn get(&mut self, senses: &Senses, command: u8) -> Option<Vec<u8>> {
        self.update(senses);
        if let Some(status) = self.status.get(command, self.on()) {
            return Some(status);
        }
        let input_w = senses.input_mv / 1000.0 * senses.input_a;
        let output_w = senses.output_mv / 1000.0 * senses.output_a;
        Some(match command {
            0x7F => vec![0],
            READ_VIN => linear11(senses.input_mv / 1000.0).to_vec(),
            READ_IIN => linear11(senses.input_a).to_vec(),
            READ_VOUT => vec![mv_vid(senses.output_mv), 0],
            READ_IOUT => linear11(senses.output_a).to_vec(),
            READ_TEMPERATURE => linear11(self.celsius(senses)).to_vec(),
            READ_POUT => linear11(output_w).to_vec(),
            READ_PIN => linear11(input_w).to_vec(),
            READ_VOUT_LINEAR => ((senses.output_mv * 0.512).round().clamp(0.0, 65535.0) as u16)
                .to_le_bytes()
                .to_vec(),
            DEVICE_CODE => {
                let code = if self.pretends { 0x01E0 } else { self.code };
                code.to_le_bytes().to_vec()
            }
            _ => self.registers.get(&command)?.clone(),
        })
    }

    fn set(&mut self, senses: &Senses, command: u8, data: &[u8]) -> bool {
        match command {
            CLEAR_FAULTS => self.status = Status::default(),
            VOUT_MODE => {}
            VOUT_COMMAND => {
                let (low, high) = (self.vid(VOUT_MIN), self.vid(VOUT_MAX));
                let asked = word(data).min(255) as u8;
                let held = asked.min(high).max(low);
                if held != asked {
                    self.status.vout |= 0x08;
                }
                self.registers.insert(VOUT_COMMAND, vec![held, 0]);
            }
            // The maker's settings are bytes or words, published only in part: any width is kept.
            0xD0..=0xFB => {
                self.registers.insert(command, data.to_vec());
            }
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
                ..Self::new(self.code, self.sensor)
            };
        }
        self.update(senses);
        self.protect(senses);
    }

    fn drive(&self, drives: &mut Drives) {
        drives.core_on = Some(self.on());
        drives.core_mv = Some(vid_mv(self.vid(VOUT_COMMAND)));
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
