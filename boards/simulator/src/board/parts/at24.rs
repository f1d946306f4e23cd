//! AT24 EEPROMs: pages of eight or sixteen bytes (32 from 4 KiB on), which wrap, and five milliseconds without an answer after a
//! write.

use crate::board::bus::{Damage, Device, Senses};

const WRITE_NS: u64 = 5_000_000;

#[derive(Debug)]
pub(in crate::board) struct At24 {
    cells: Vec<u8>,
    /// As built.
    original: Vec<u8>,
    damage: Damage,
    pointer: usize,
    busy_until: u64,
}

impl At24 {
    pub(in crate::board) fn new(size: u32, contents: &[u8]) -> Self {
        let size = size.clamp(1, 65536) as usize;
        let mut cells = contents.to_vec();
        cells.resize(size, 0xFF);
        Self {
            original: cells.clone(),
            cells,
            damage: Damage::None,
            pointer: 0,
            busy_until: 0,
        }
    }

    fn page(&self) -> usize {
        match self.cells.len() {
            0..=256 => 8,
            257..=2048 => 16,
            _ => 32,
        }
    }

    fn cell(&self, index: usize) -> u8 {
        let byte = self.cells[index];
        match self.damage {
            Damage::None => byte,
            Damage::FlippedCell if index == FLIPPED_CELL => byte ^ 0x10,
            Damage::FlippedCell => byte,
            // Another board's: every byte that means something here differs.
            Damage::OtherBoard if byte == 0xFF => byte,
            Damage::OtherBoard => byte.wrapping_add(1),
        }
    }
}

/// Which cell flips: inside any header.
const FLIPPED_CELL: usize = 0;

impl Device for At24 {
    fn write(&mut self, senses: &Senses, bytes: &[u8]) -> bool {
        if senses.ns < self.busy_until {
            return false;
        }
        let size = self.cells.len();
        let (address, data) = match (size > 2048, bytes) {
            (false, [low, data @ ..]) => (usize::from(*low), data),
            (true, [high, low, data @ ..]) => {
                (usize::from(u16::from_be_bytes([*high, *low])), data)
            }
            _ => return true,
        };
        self.pointer = address % size;
        for &byte in data {
            self.cells[self.pointer] = byte;
            let page = self.page();
            let start = self.pointer / page * page;
            self.pointer = start + (self.pointer + 1 - start) % page;
        }
        if !data.is_empty() {
            self.busy_until = senses.ns + WRITE_NS;
        }
        true
    }

    fn read(&mut self, senses: &Senses, out: &mut [u8]) -> bool {
        if senses.ns < self.busy_until {
            return false;
        }
        for byte in out {
            *byte = self.cell(self.pointer);
            self.pointer = (self.pointer + 1) % self.cells.len();
        }
        true
    }

    fn corrupt(&mut self, damage: Damage) {
        if damage == Damage::None && self.damage != Damage::None {
            self.cells.clone_from(&self.original);
        }
        self.damage = damage;
    }
}
