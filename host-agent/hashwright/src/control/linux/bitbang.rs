//! I2C over two GPIO lines, for buses that the kernel does not drive: one controller, standard speed
//! or slower, with clock stretching.

use std::thread;
use std::time::{Duration, Instant};

use embedded_hal::i2c::{ErrorType, I2c, Operation};
use linux_embedded_hal::gpio_cdev::{Chip, Error, LineHandle, LineRequestFlags};
use station::BusError;

use super::CONSUMER;

/// Half a clock period: at most 50 kHz, less by what the kernel takes for each edge.
const HALF: Duration = Duration::from_micros(10);
/// Longest time that a device may hold the clock down.
const STRETCH: Duration = Duration::from_millis(25);

/// Two open-drain wires.
pub(super) trait Wires {
    /// Lets the clock line go (`true`) or pulls it down.
    fn set_scl(&mut self, high: bool) -> Result<(), BusError>;
    /// Lets the data line go (`true`) or pulls it down.
    fn set_sda(&mut self, high: bool) -> Result<(), BusError>;
    /// Level of the clock line.
    fn scl(&mut self) -> Result<bool, BusError>;
    /// Level of the data line.
    fn sda(&mut self) -> Result<bool, BusError>;
    /// Waits for half a clock period.
    fn wait(&mut self);
}

/// Wires on GPIO lines of the kernel.
pub(super) struct GpioWires {
    scl: LineHandle,
    sda: LineHandle,
}

impl GpioWires {
    pub(super) fn open(chip: &str, scl: u32, sda: u32) -> Result<Self, Error> {
        let mut chip = Chip::new(chip)?;
        let mut line = |offset| {
            let flags = LineRequestFlags::OUTPUT | LineRequestFlags::OPEN_DRAIN;
            chip.get_line(offset)?.request(flags, 1, CONSUMER)
        };
        Ok(Self {
            scl: line(scl)?,
            sda: line(sda)?,
        })
    }
}

fn port(error: &Error) -> BusError {
    BusError::Port(error.to_string())
}

impl Wires for GpioWires {
    fn set_scl(&mut self, high: bool) -> Result<(), BusError> {
        self.scl.set_value(u8::from(high)).map_err(|e| port(&e))
    }

    fn set_sda(&mut self, high: bool) -> Result<(), BusError> {
        self.sda.set_value(u8::from(high)).map_err(|e| port(&e))
    }

    fn scl(&mut self) -> Result<bool, BusError> {
        self.scl.get_value().map(|v| v != 0).map_err(|e| port(&e))
    }

    fn sda(&mut self) -> Result<bool, BusError> {
        self.sda.get_value().map(|v| v != 0).map_err(|e| port(&e))
    }

    fn wait(&mut self) {
        // The scheduler's grain is coarser than this.
        let end = Instant::now() + HALF;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }
}

/// A bus over wires.
pub(super) struct BitBang<W> {
    wires: W,
}

impl<W: Wires> BitBang<W> {
    pub(super) fn new(wires: W) -> Self {
        Self { wires }
    }

    /// Lets the clock go and waits for devices that hold it down.
    fn clock_high(&mut self) -> Result<(), BusError> {
        self.wires.set_scl(true)?;
        self.wires.wait();
        let start = Instant::now();
        while !self.wires.scl()? {
            if start.elapsed() > STRETCH {
                return Err(BusError::Timeout);
            }
            thread::sleep(Duration::from_micros(100));
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), BusError> {
        self.wires.set_sda(true)?;
        self.wires.wait();
        self.clock_high()?;
        if !self.wires.sda()? {
            // A device that was cut off in the middle of a byte holds the line; clock it out.
            for _ in 0..9 {
                self.wires.set_scl(false)?;
                self.wires.wait();
                self.clock_high()?;
                if self.wires.sda()? {
                    break;
                }
            }
            if !self.wires.sda()? {
                return Err(BusError::Timeout);
            }
        }
        self.wires.set_sda(false)?;
        self.wires.wait();
        self.wires.set_scl(false)
    }

    fn stop(&mut self) -> Result<(), BusError> {
        self.wires.set_sda(false)?;
        self.wires.wait();
        self.clock_high()?;
        self.wires.set_sda(true)?;
        self.wires.wait();
        Ok(())
    }

    fn write_bit(&mut self, bit: bool) -> Result<(), BusError> {
        self.wires.set_sda(bit)?;
        self.wires.wait();
        self.clock_high()?;
        self.wires.wait();
        self.wires.set_scl(false)
    }

    fn read_bit(&mut self) -> Result<bool, BusError> {
        self.wires.set_sda(true)?;
        self.wires.wait();
        self.clock_high()?;
        let bit = self.wires.sda()?;
        self.wires.wait();
        self.wires.set_scl(false)?;
        Ok(bit)
    }

    fn write_byte(&mut self, byte: u8) -> Result<(), BusError> {
        for bit in (0..8).rev() {
            self.write_bit(byte >> bit & 1 == 1)?;
        }
        match self.read_bit()? {
            false => Ok(()),
            true => Err(BusError::NotAcknowledged),
        }
    }

    fn read_byte(&mut self, last: bool) -> Result<u8, BusError> {
        let mut byte = 0;
        for _ in 0..8 {
            byte = byte << 1 | u8::from(self.read_bit()?);
        }
        self.write_bit(last)?;
        Ok(byte)
    }

    fn carry_out(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), BusError> {
        let mut reading = None;
        let ends: Vec<bool> = (0..operations.len())
            .map(|at| !matches!(operations.get(at + 1), Some(Operation::Read(_))))
            .collect();
        for (operation, ends_reading) in operations.iter_mut().zip(ends) {
            let read = matches!(operation, Operation::Read(_));
            // Operations of one direction follow each other without a new start.
            if reading != Some(read) {
                self.start()?;
                self.write_byte(address << 1 | u8::from(read))?;
                reading = Some(read);
            }
            match operation {
                Operation::Write(bytes) => {
                    for &byte in *bytes {
                        self.write_byte(byte)?;
                    }
                }
                Operation::Read(bytes) => {
                    let count = bytes.len();
                    for (at, byte) in bytes.iter_mut().enumerate() {
                        *byte = self.read_byte(ends_reading && at + 1 == count)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl<W> ErrorType for BitBang<W> {
    type Error = BusError;
}

impl<W: Wires> I2c for BitBang<W> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusError> {
        let outcome = self.carry_out(address, operations);
        // Whatever happened, the bus is left free.
        let stopped = self.stop();
        outcome.and(stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device with registers at address 0x10, read off the wires: the first byte written is the
    /// register, others are stored from there on.
    #[derive(Default)]
    struct Device {
        scl: bool,
        sda: bool,
        pulls: bool,
        /// Bits taken or given since the start of a byte; none outside a transfer.
        bits: Option<u8>,
        shift: u8,
        state: State,
        register: u8,
        memory: [u8; 8],
        starts: usize,
        stops: usize,
    }

    #[derive(Clone, Copy, Default, PartialEq, Debug)]
    enum State {
        #[default]
        Idle,
        Address,
        Register,
        Store,
        Give,
    }

    impl Device {
        fn line(&self) -> bool {
            self.sda && !self.pulls
        }

        fn rise(&mut self) {
            let Some(bits) = &mut self.bits else { return };
            *bits += 1;
            if *bits <= 8 {
                if self.state != State::Give {
                    self.shift = self.shift << 1 | u8::from(self.sda);
                }
            } else if self.state == State::Give {
                // The host's acknowledge: a high level ends the reading.
                if self.sda {
                    self.state = State::Idle;
                }
            }
        }

        fn fall(&mut self) {
            let Some(bits) = self.bits else { return };
            self.pulls = false;
            if bits == 8 && self.state != State::Give {
                let byte = self.shift;
                self.pulls = match self.state {
                    State::Address if byte >> 1 == 0x10 => true,
                    State::Register => {
                        self.register = byte;
                        true
                    }
                    State::Store => {
                        self.memory[usize::from(self.register % 8)] = byte;
                        self.register += 1;
                        true
                    }
                    _ => false,
                };
            } else if bits == 9 {
                self.bits = Some(0);
                self.state = match self.state {
                    State::Address if self.shift >> 1 != 0x10 => State::Idle,
                    State::Address if self.shift & 1 == 1 => State::Give,
                    State::Address => State::Register,
                    State::Register => State::Store,
                    State::Give => {
                        self.register += 1;
                        State::Give
                    }
                    other => other,
                };
                self.give(0);
                self.shift = if self.state == State::Give {
                    self.shift
                } else {
                    0
                };
            } else {
                self.give(bits);
            }
        }

        fn give(&mut self, bit: u8) {
            if self.state == State::Give && bit < 8 {
                let byte = self.memory[usize::from(self.register % 8)];
                self.pulls = byte >> (7 - bit) & 1 == 0;
            }
        }
    }

    impl Wires for Device {
        fn set_scl(&mut self, high: bool) -> Result<(), BusError> {
            if high && !self.scl {
                self.scl = true;
                self.rise();
            } else if !high && self.scl {
                self.scl = false;
                self.fall();
            }
            Ok(())
        }

        fn set_sda(&mut self, high: bool) -> Result<(), BusError> {
            if self.scl && self.sda && !high {
                (self.bits, self.state, self.shift) = (Some(0), State::Address, 0);
                // The clock falls before the first bit.
                self.starts += 1;
            } else if self.scl && !self.sda && high {
                (self.bits, self.state) = (None, State::Idle);
                self.stops += 1;
            }
            self.sda = high;
            Ok(())
        }

        fn scl(&mut self) -> Result<bool, BusError> {
            Ok(self.scl)
        }

        fn sda(&mut self) -> Result<bool, BusError> {
            Ok(self.line())
        }

        fn wait(&mut self) {}
    }

    #[test]
    fn bytes_are_written_and_read_back() {
        let mut bus = BitBang::new(Device::default());
        bus.write(0x10, &[2, 0xA5, 0x3C]).unwrap();
        assert_eq!(bus.wires.memory[2..4], [0xA5, 0x3C]);
        let mut bytes = [0; 2];
        bus.write_read(0x10, &[2], &mut bytes).unwrap();
        assert_eq!(bytes, [0xA5, 0x3C]);
        // A write, and a write with a repeated start.
        assert_eq!((bus.wires.starts, bus.wires.stops), (3, 2));
    }

    #[test]
    fn nobody_at_an_address_is_told_and_the_bus_is_freed() {
        let mut bus = BitBang::new(Device::default());
        assert_eq!(bus.write(0x20, &[1]), Err(BusError::NotAcknowledged));
        assert!(bus.wires.scl && bus.wires.line());
        assert!(bus.write(0x10, &[1]).is_ok());
    }

    #[test]
    fn a_data_line_that_is_held_down_is_told() {
        let mut bus = BitBang::new(Device::default());
        bus.wires.pulls = true;
        assert_eq!(bus.write(0x10, &[1]), Err(BusError::Timeout));
    }
}
