//! A bus with one part that is nothing but registers, for tests that look at what ends up in them.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::collections::BTreeMap;

use board_devices::Error;
use embedded_hal::i2c::{
    ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation, SevenBitAddress,
};

/// Registers of any width at one address. A write of `[register, bytes...]` stores the bytes; a read
/// gives them back, zeros after their end.
#[derive(Debug, Default)]
pub struct RegisterFile {
    pub address: u8,
    pub registers: BTreeMap<u8, Vec<u8>>,
    /// Registers that ignore writes.
    pub stuck: Vec<u8>,
    /// All writes that carried data or were commands, in order.
    pub writes: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nak;

impl embedded_hal::i2c::Error for Nak {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address)
    }
}

impl RegisterFile {
    pub fn new(address: u8, registers: &[(u8, &[u8])]) -> Self {
        Self {
            address,
            registers: registers.iter().map(|(r, v)| (*r, v.to_vec())).collect(),
            ..Self::default()
        }
    }

    pub fn word_le(&self, register: u8) -> u16 {
        match self.registers.get(&register).map(Vec::as_slice) {
            Some([low, high]) => u16::from_le_bytes([*low, *high]),
            other => panic!("register {register:#04x} holds {other:02x?}, not a word"),
        }
    }

    pub fn byte(&self, register: u8) -> u8 {
        match self.registers.get(&register).map(Vec::as_slice) {
            Some([byte]) => *byte,
            other => panic!("register {register:#04x} holds {other:02x?}, not a byte"),
        }
    }
}

impl ErrorType for RegisterFile {
    type Error = Nak;
}

impl I2c<SevenBitAddress> for RegisterFile {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Nak> {
        if address != self.address {
            return Err(Nak);
        }
        let is_write_read = operations.len() > 1;
        let mut pointer = 0;
        for operation in operations {
            match operation {
                Operation::Write(bytes) => {
                    let (&register, data) = bytes.split_first().expect("a register");
                    pointer = register;
                    if !is_write_read {
                        self.writes.push(bytes.to_vec());
                        if !data.is_empty() && !self.stuck.contains(&register) {
                            self.registers.insert(register, data.to_vec());
                        }
                    }
                }
                Operation::Read(buffer) => {
                    let value = self.registers.get(&pointer).cloned().unwrap_or_default();
                    for (i, byte) in buffer.iter_mut().enumerate() {
                        *byte = value.get(i).copied().unwrap_or(0);
                    }
                }
            }
        }
        Ok(())
    }
}

/// A bus that answers everything with bytes of the test's choosing, over and over.
#[derive(Debug)]
pub struct NoiseBus {
    pub bytes: Vec<u8>,
    pub next: usize,
}

impl ErrorType for NoiseBus {
    type Error = Nak;
}

impl I2c<SevenBitAddress> for NoiseBus {
    fn transaction(&mut self, _: u8, operations: &mut [Operation<'_>]) -> Result<(), Nak> {
        for operation in operations {
            if let Operation::Read(buffer) = operation {
                for byte in buffer.iter_mut() {
                    *byte = self.bytes[self.next % self.bytes.len()];
                    self.next += 1;
                }
            }
        }
        Ok(())
    }
}

/// Asserts that an error is the kind that a missing part gives.
pub fn assert_absent<T: std::fmt::Debug>(result: Result<T, Error<ErrorKind>>, address: u8) {
    assert_eq!(result.unwrap_err(), Error::Absent { address });
}

pub const NO_ACK: ErrorKind = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);
