//! A controller's I2C buses and pins as `embedded-hal` knows them, so that drivers run unchanged.

use core::fmt;

use embedded_hal::digital::{self, InputPin, OutputPin, StatefulOutputPin};
use embedded_hal::i2c::{self, I2c, NoAcknowledgeSource, Operation};

use crate::answer::Refusal;
use crate::client::{Asked, Client, ClientError, ClientErrorKind, Exchange};
use crate::page::{MAX_I2C_READ, MAX_I2C_WRITE};

/// One I2C bus of a controller.
///
/// The protocol has a write, a read, and a write followed by a read. Transactions of any other shape are refused:
/// cut in pieces they would mean something else on the bus.
#[derive(Debug)]
pub struct I2cBus<'a, X> {
    client: &'a mut Client<X>,
    bus: u8,
}

impl<'a, X> I2cBus<'a, X> {
    pub(crate) fn new(client: &'a mut Client<X>, bus: u8) -> Self {
        Self { client, bus }
    }
}

/// Why an I2C transfer through a controller failed. `E` is the port's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct I2cError<E>(pub ClientError<E>)
where
    ClientError<E>: core::error::Error;

impl<E: fmt::Debug + fmt::Display> i2c::Error for I2cError<E>
where
    ClientError<E>: core::error::Error,
{
    /// Public firmware says only that a transfer failed. That almost always means that no device answered, and is given
    /// as a missing acknowledge of unknown source.
    fn kind(&self) -> i2c::ErrorKind {
        match &self.0.kind {
            ClientErrorKind::Refused(refusal) if refusal.is_i2c() => {
                i2c::ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown)
            }
            ClientErrorKind::Refused(Refusal::Timeout) => i2c::ErrorKind::Bus,
            ClientErrorKind::Short { .. } => {
                i2c::ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data)
            }
            _ => i2c::ErrorKind::Other,
        }
    }
}

impl<X: Exchange> i2c::ErrorType for I2cBus<'_, X>
where
    X::Error: fmt::Debug + fmt::Display + 'static,
{
    type Error = I2cError<X::Error>;
}

impl<X: Exchange> I2c for I2cBus<'_, X>
where
    X::Error: fmt::Debug + fmt::Display + 'static,
{
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), Self::Error> {
        let asked = Asked::I2c {
            write: matches!(operations.first(), Some(Operation::Write(_))),
            bus: self.bus,
            address,
        };
        // Neighbours of the same kind are one transfer to embedded-hal, so their bytes are put together.
        let mut writes = [0; MAX_I2C_WRITE];
        let mut wrote = 0;
        let mut to_read = 0;
        for operation in operations.iter() {
            match operation {
                Operation::Write(bytes) if to_read == 0 => {
                    let end = wrote + bytes.len();
                    writes
                        .get_mut(wrote..end)
                        .ok_or(I2cError(asked.error(ClientErrorKind::TooMuch { len: end })))?
                        .copy_from_slice(bytes);
                    wrote = end;
                }
                Operation::Read(buffer) => to_read += buffer.len(),
                Operation::Write(_) => {
                    return Err(I2cError(asked.error(crate::frame::RequestError::NoCommand)));
                }
            }
        }
        let data = writes.get(..wrote).unwrap_or_default();
        if to_read == 0 {
            return self
                .client
                .i2c_write(self.bus, address, data)
                .map_err(I2cError);
        }
        let mut bytes = [0; MAX_I2C_READ];
        let bytes = bytes.get_mut(..to_read).ok_or(I2cError(
            asked.error(ClientErrorKind::TooMuch { len: to_read }),
        ))?;
        let has_write = matches!(operations.first(), Some(Operation::Write(_)));
        match has_write {
            true => self.client.i2c_write_read(self.bus, address, data, bytes),
            false => self.client.i2c_read(self.bus, address, bytes),
        }
        .map_err(I2cError)?;
        let mut rest: &[u8] = bytes;
        for operation in operations {
            if let Operation::Read(buffer) = operation {
                let (now, later) = rest.split_at(buffer.len().min(rest.len()));
                buffer.copy_from_slice(now);
                rest = later;
            }
        }
        Ok(())
    }
}

/// One pin of a controller.
#[derive(Debug)]
pub struct Pin<'a, X> {
    client: &'a mut Client<X>,
    pin: u8,
}

impl<'a, X> Pin<'a, X> {
    pub(crate) fn new(client: &'a mut Client<X>, pin: u8) -> Self {
        Self { client, pin }
    }
}

/// Why a pin could not be read or set. `E` is the port's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct PinError<E>(pub ClientError<E>)
where
    ClientError<E>: core::error::Error;

impl<E: fmt::Debug + fmt::Display> digital::Error for PinError<E>
where
    ClientError<E>: core::error::Error,
{
    fn kind(&self) -> digital::ErrorKind {
        digital::ErrorKind::Other
    }
}

impl<X: Exchange> digital::ErrorType for Pin<'_, X>
where
    X::Error: fmt::Debug + fmt::Display + 'static,
{
    type Error = PinError<X::Error>;
}

impl<X: Exchange> OutputPin for Pin<'_, X>
where
    X::Error: fmt::Debug + fmt::Display + 'static,
{
    fn set_low(&mut self) -> Result<(), Self::Error> {
        self.client.set_pin(self.pin, false).map_err(PinError)
    }

    fn set_high(&mut self) -> Result<(), Self::Error> {
        self.client.set_pin(self.pin, true).map_err(PinError)
    }
}

impl<X: Exchange> InputPin for Pin<'_, X>
where
    X::Error: fmt::Debug + fmt::Display + 'static,
{
    fn is_high(&mut self) -> Result<bool, Self::Error> {
        self.client.pin_level(self.pin).map_err(PinError)
    }

    fn is_low(&mut self) -> Result<bool, Self::Error> {
        self.is_high().map(|high| !high)
    }
}

impl<X: Exchange> StatefulOutputPin for Pin<'_, X>
where
    X::Error: fmt::Debug + fmt::Display + 'static,
{
    fn is_set_high(&mut self) -> Result<bool, Self::Error> {
        self.is_high()
    }

    fn is_set_low(&mut self) -> Result<bool, Self::Error> {
        self.is_low()
    }
}
