//! What can go wrong between a driver and its part, the same for all drivers.

use embedded_hal::i2c::{Error as BusError, ErrorKind, NoAcknowledgeSource};

/// Why a device could not be read or set. `E` is the bus's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// Nothing acknowledged the address: the part is missing, unpowered or on another address.
    #[error("no device answers at I2C address {address:#04x}")]
    Absent {
        /// 7-bit address.
        address: u8,
    },
    /// The bus failed in another way: arbitration lost, data not acknowledged, the adapter itself.
    #[error("I2C transfer with address {address:#04x} failed: {error:?}")]
    Bus {
        /// 7-bit address.
        address: u8,
        /// The bus's own error.
        error: E,
    },
    /// Another part than expected answers at the address.
    #[error(
        "device at I2C address {address:#04x} identifies itself as {found:#x}, expected {expected:#x}"
    )]
    WrongDevice {
        /// 7-bit address.
        address: u8,
        /// Identification that it gave.
        found: u64,
        /// Identification of the part that the driver is for.
        expected: u64,
    },
    /// The caller asked for a value that the part cannot be set to, or must not be.
    #[error("{what} {value} is outside {min} to {max}")]
    OutOfRange {
        /// Quantity with its unit.
        what: &'static str,
        /// Value asked for.
        value: i32,
        /// Least permitted value.
        min: i32,
        /// Greatest permitted value.
        max: i32,
    },
    /// A register does not hold what was written to it.
    #[error(
        "register {register:#04x} of I2C address {address:#04x} was set to {wrote:#x} but reads {read:#x}"
    )]
    ReadBack {
        /// 7-bit address.
        address: u8,
        /// Register or command.
        register: u8,
        /// Value written.
        wrote: u32,
        /// Value read.
        read: u32,
    },
    /// The wires to a remote temperature diode are open, or the chip that holds it is missing.
    #[error("temperature diode at I2C address {address:#04x} is not connected")]
    DiodeOpen {
        /// 7-bit address.
        address: u8,
    },
    /// The wires to a remote temperature diode are shorted.
    #[error("temperature diode at I2C address {address:#04x} is shorted")]
    DiodeShort {
        /// 7-bit address.
        address: u8,
    },
    /// A register reads a value that the part never gives, such as all ones from a bus that nobody
    /// drives.
    #[error(
        "register {register:#04x} of I2C address {address:#04x} reads {value:#x}, which the part never gives"
    )]
    Implausible {
        /// 7-bit address.
        address: u8,
        /// Register or command.
        register: u8,
        /// Value read.
        value: u32,
    },
    /// The part is set up in a way that the driver does not handle.
    #[error("device at I2C address {address:#04x}: {what} {value:#x} is not supported")]
    Unsupported {
        /// 7-bit address.
        address: u8,
        /// What is set up so.
        what: &'static str,
        /// Value found.
        value: u32,
    },
    /// An answer that comes as a frame has a wrong start, length, command or checksum.
    #[error("answer of I2C address {address:#04x} to command {command:#04x} is damaged")]
    BadFrame {
        /// 7-bit address.
        address: u8,
        /// Command that was to be answered.
        command: u8,
    },
}

impl<E> Error<E> {
    /// Tells whether the part did not answer at all.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent { .. })
    }

    /// Tells whether a part answered that is not the one expected.
    pub fn is_wrong_device(&self) -> bool {
        matches!(self, Self::WrongDevice { .. })
    }
}

impl<E: BusError> Error<E> {
    /// Classifies a bus error. A missing acknowledge counts as absence unless the bus knows that it
    /// was for data: adapters that cannot tell report it without a source.
    pub(crate) fn from_bus(address: u8, error: E) -> Self {
        match error.kind() {
            ErrorKind::NoAcknowledge(
                NoAcknowledgeSource::Address | NoAcknowledgeSource::Unknown,
            ) => Self::Absent { address },
            _ => Self::Bus { address, error },
        }
    }
}
