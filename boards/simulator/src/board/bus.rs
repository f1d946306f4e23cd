//! I2C buses: which part answers at which address, and the shapes that register parts share. Parts feel the world through
//! [`Senses`] and act on it through [`Drives`]; they know nothing of each other.

use std::fmt;

use super::{parts, spec::BoardSpec};
use crate::physics::Trip;

/// What a temperature input delivers, before the part quantises it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Reading {
    /// A temperature, °C.
    Celsius(f64),
    /// Nothing connected.
    #[default]
    Open,
    /// Pins short-circuited.
    Short,
}

/// What parts feel at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Senses {
    /// Time, ns.
    pub(super) ns: u64,
    /// By sensor, in the order of [`super::VirtualBoard::sensors`].
    pub(super) readings: Vec<Reading>,
    /// Pulses of the fans as speed, rpm; none where no wire comes from.
    pub(super) tach_rpm: Vec<f64>,
    /// Core or board voltage as instruments see it, mV.
    pub(super) output_mv: f64,
    /// Output current, A.
    pub(super) output_a: f64,
    /// Input voltage of the board, mV.
    pub(super) input_mv: f64,
    /// Input current, A.
    pub(super) input_a: f64,
    /// Why the supply is off.
    pub(super) trip: Option<Trip>,
    /// Whether all enable pins of the regulator are active; none where nobody has wired them.
    pub(super) enabled: Option<bool>,
    /// Levels of the pins behind expanders that are inputs there, by number.
    pub(super) inputs: Vec<(u8, bool)>,
}

impl Senses {
    pub(super) fn reading(&self, sensor: usize) -> Reading {
        self.readings.get(sensor).copied().unwrap_or_default()
    }

    pub(super) fn tach(&self, fan: Option<u8>) -> f64 {
        fan.and_then(|fan| self.tach_rpm.get(usize::from(fan)))
            .copied()
            .unwrap_or(0.0)
    }
}

/// What parts do to the world.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Drives {
    /// Duty per fan, percent; none where no part drives it.
    pub(super) fan_duty: Vec<Option<f64>>,
    /// Whether a regulator with a bus wants its output on.
    pub(super) core_on: Option<bool>,
    /// Output that a regulator, DAC or supply is set to, mV.
    pub(super) core_mv: Option<f64>,
    /// Pins that expanders drive: number and level.
    pub(super) pins: Vec<(u8, bool)>,
    /// Commands that would write a regulator's permanent memory.
    pub(super) nvm_stores: u64,
}

impl Drives {
    pub(super) fn fan(&mut self, fan: Option<u8>, percent: f64) {
        let place = fan.and_then(|fan| self.fan_duty.get_mut(usize::from(fan)));
        if let Some(place) = place {
            *place = Some(percent);
        }
    }
}

/// A part on the bus.
pub(super) trait Device: fmt::Debug + Send {
    /// Takes a write; false: not acknowledged.
    fn write(&mut self, senses: &Senses, bytes: &[u8]) -> bool;

    /// Answers a read; false: not acknowledged.
    fn read(&mut self, senses: &Senses, out: &mut [u8]) -> bool;

    /// Time has passed: what the part does by itself.
    fn tick(&mut self, _senses: &Senses) {}

    /// What the part does to the world now.
    fn drive(&self, _drives: &mut Drives) {}

    /// Turns the part into one that answers with another identity, or back.
    fn pretend(&mut self, _on: bool) {}

    /// Flips a cell of a memory, or exchanges it for that of another board; or brings back what was.
    fn corrupt(&mut self, _damage: Damage) {}
}

/// What is wrong with a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Damage {
    None,
    FlippedCell,
    OtherBoard,
}

/// Why a transaction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BusError {
    /// Nobody acknowledged.
    Nak,
    /// The bus is held low.
    Stuck,
}

/// All buses of a board.
#[derive(Debug)]
pub(super) struct Buses {
    slots: Vec<Slot>,
    stuck: Vec<u8>,
}

#[derive(Debug)]
struct Slot {
    bus: u8,
    address: u8,
    absent: bool,
    device: Box<dyn Device>,
}

impl Buses {
    pub(super) fn new(spec: &BoardSpec) -> Self {
        let mut sensor = 0;
        let slots = spec
            .devices
            .iter()
            .map(|device| {
                let first = sensor;
                sensor += device.part.connections().1.len();
                Slot {
                    bus: device.bus,
                    address: device.address,
                    absent: false,
                    device: parts::make(&device.part, first),
                }
            })
            .collect();
        Self {
            slots,
            stuck: Vec::new(),
        }
    }

    /// One transaction: a write if `write` is not empty, then a read if `read` is not empty. With both empty it only asks
    /// whether somebody is there.
    pub(super) fn transact(
        &mut self,
        senses: &Senses,
        bus: u8,
        address: u8,
        write: &[u8],
        read: &mut [u8],
    ) -> Result<(), BusError> {
        if self.stuck.contains(&bus) {
            return Err(BusError::Stuck);
        }
        let slot = self
            .slots
            .iter_mut()
            .find(|slot| (slot.bus, slot.address) == (bus, address) && !slot.absent)
            .ok_or(BusError::Nak)?;
        if !write.is_empty() && !slot.device.write(senses, write) {
            return Err(BusError::Nak);
        }
        if !read.is_empty() && !slot.device.read(senses, read) {
            return Err(BusError::Nak);
        }
        Ok(())
    }

    pub(super) fn tick(&mut self, senses: &Senses) {
        for slot in &mut self.slots {
            slot.device.tick(senses);
        }
    }

    pub(super) fn drives(&self, fans: usize) -> Drives {
        let mut drives = Drives {
            fan_duty: vec![None; fans],
            ..Drives::default()
        };
        for slot in &self.slots {
            slot.device.drive(&mut drives);
        }
        drives
    }

    pub(super) fn set_absent(&mut self, device: usize, absent: bool) {
        if let Some(slot) = self.slots.get_mut(device) {
            slot.absent = absent;
        }
    }

    pub(super) fn pretend(&mut self, device: usize, on: bool) {
        if let Some(slot) = self.slots.get_mut(device) {
            slot.device.pretend(on);
        }
    }

    pub(super) fn corrupt(&mut self, damage: Damage) {
        for slot in &mut self.slots {
            slot.device.corrupt(damage);
        }
    }

    pub(super) fn set_stuck(&mut self, bus: u8, stuck: bool) {
        self.stuck.retain(|&other| other != bus);
        if stuck {
            self.stuck.push(bus);
        }
    }
}

/// A part whose registers hold one byte each.
pub(super) trait ByteRegisters: fmt::Debug + Send {
    /// Whether the register number goes up by itself within a transaction.
    const INCREMENTS: bool = false;

    fn get(&mut self, senses: &Senses, register: u8) -> u8;
    fn set(&mut self, senses: &Senses, register: u8, value: u8);
    fn tick(&mut self, _senses: &Senses) {}
    fn drive(&self, _drives: &mut Drives) {}
    fn pretend(&mut self, _on: bool) {}
}

/// Puts [`ByteRegisters`] on the bus.
#[derive(Debug)]
pub(super) struct Bytewise<P> {
    part: P,
    pointer: u8,
}

impl<P> Bytewise<P> {
    pub(super) fn new(part: P) -> Self {
        Self { part, pointer: 0 }
    }
}

impl<P: ByteRegisters> Device for Bytewise<P> {
    fn write(&mut self, senses: &Senses, bytes: &[u8]) -> bool {
        let Some((&pointer, values)) = bytes.split_first() else {
            return true;
        };
        self.pointer = pointer;
        for &value in values {
            self.part.set(senses, self.pointer, value);
            if P::INCREMENTS {
                self.pointer = self.pointer.wrapping_add(1);
            }
        }
        true
    }

    fn read(&mut self, senses: &Senses, out: &mut [u8]) -> bool {
        for byte in out {
            *byte = self.part.get(senses, self.pointer);
            if P::INCREMENTS {
                self.pointer = self.pointer.wrapping_add(1);
            }
        }
        true
    }

    fn tick(&mut self, senses: &Senses) {
        self.part.tick(senses);
    }

    fn drive(&self, drives: &mut Drives) {
        self.part.drive(drives);
    }

    fn pretend(&mut self, on: bool) {
        self.part.pretend(on);
    }
}

/// A part whose registers hold one big-endian word each; narrow ones give their byte again and again.
pub(super) trait WordRegisters: fmt::Debug + Send {
    /// Whether a register holds a single byte.
    fn is_byte(&self, _register: u8) -> bool {
        false
    }

    fn get(&mut self, senses: &Senses, register: u8) -> u16;
    fn set(&mut self, register: u8, value: u16);
    fn pretend(&mut self, _on: bool) {}
}

/// Puts [`WordRegisters`] on the bus.
#[derive(Debug)]
pub(super) struct Wordwise<P> {
    part: P,
    pointer: u8,
}

impl<P> Wordwise<P> {
    pub(super) fn new(part: P) -> Self {
        Self { part, pointer: 0 }
    }
}

impl<P: WordRegisters> Device for Wordwise<P> {
    fn write(&mut self, _senses: &Senses, bytes: &[u8]) -> bool {
        let Some((&pointer, values)) = bytes.split_first() else {
            return true;
        };
        self.pointer = pointer;
        match values {
            [value] if self.part.is_byte(pointer) => self.part.set(pointer, u16::from(*value)),
            [high, low, ..] => {
                let word = u16::from_be_bytes([*high, *low]);
                let narrow = self.part.is_byte(pointer);
                self.part
                    .set(pointer, if narrow { u16::from(*high) } else { word });
            }
            // Half a word never gets into the register.
            _ => {}
        }
        true
    }

    fn read(&mut self, senses: &Senses, out: &mut [u8]) -> bool {
        let word = self.part.get(senses, self.pointer);
        let bytes = if self.part.is_byte(self.pointer) {
            [word as u8; 2]
        } else {
            word.to_be_bytes()
        };
        for (byte, value) in out.iter_mut().zip(bytes.iter().cycle()) {
            *byte = *value;
        }
        true
    }

    fn pretend(&mut self, on: bool) {
        self.part.pretend(on);
    }
}

/// A temperature in steps of 2^-`fraction` K, rounded down as converters do, held to `low..=high` °C.
pub(super) fn steps(celsius: f64, fraction: u32, low: f64, high: f64) -> i32 {
    let scale = f64::from(1_u32 << fraction);
    (celsius.clamp(low, high) * scale).floor() as i32
}
