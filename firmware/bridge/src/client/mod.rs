//! The host's end: typed calls, and `embedded-hal` I2C and pins, over any blocking exchange of bytes.
//!
//! One request is under way at a time, because public firmware looks for one request in each packet that it
//! receives. Nothing is repeated by itself: what a lost answer means for a write only the caller knows.

mod error;
mod extension;
mod hal;

use core::ops::RangeInclusive;

use crate::answer::{Expect, Format, MAX_ANSWER, Refusal, UNPARSED_ID};
use crate::frame::Request;
use crate::page::{AdcInput, Command, FanPage, MAX_I2C_WRITE};

pub use error::{Asked, ClientError, ClientErrorKind};
pub use extension::BoardGuard;
pub use hal::{I2cBus, I2cError, Pin, PinError};

/// One question and its answer over a port. Blocking.
///
/// An implementation forgets bytes that were left over, writes `request`, and pushes what it reads into
/// [`Expect::receiver`] over `response` until the answer is complete, or
/// [settling](crate::Progress::Settling) and the line silent for [`SETTLE`](crate::answer::SETTLE). It gives the number
/// of bytes that [`Receiver::finish`](crate::Receiver::finish) names. Half a second is a fair patience: some firmware
/// measures a fan's speed for 250 ms.
pub trait Exchange {
    /// Why an exchange failed: the port is gone, or no answer came in time.
    type Error;

    /// Sends `request` and gathers the answer at the start of `response`, which holds
    /// [`MAX_ANSWER`] bytes. Without `expect` there is no answer to wait for.
    ///
    /// # Errors
    ///
    /// The port's own, or that no answer came.
    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, Self::Error>;
}

impl<X: Exchange + ?Sized> Exchange for &mut X {
    type Error = X::Error;

    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, Self::Error> {
        (**self).exchange(request, expect, response)
    }
}

/// What is known about a controller's firmware before it was asked anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Firmware {
    /// How it frames answers; `None` to find out.
    pub format: Option<Format>,
    /// How it drives fans.
    pub fans: FanPage,
}

/// A controller as a host sees it.
#[derive(Debug)]
pub struct Client<X> {
    port: X,
    firmware: Firmware,
    next_id: u8,
    packet: [u8; PACKET],
    answer: [u8; MAX_ANSWER],
}

/// The largest request: an I2C write-read with all bytes.
const PACKET: usize = 6 + 1 + MAX_I2C_WRITE + 1;

impl<X: Exchange> Client<X> {
    /// A client that has not said anything yet.
    pub fn new(port: X, firmware: Firmware) -> Self {
        Self {
            port,
            firmware,
            next_id: 0,
            packet: [0; PACKET],
            answer: [0; MAX_ANSWER],
        }
    }

    /// The format, given or found.
    pub fn format(&self) -> Option<Format> {
        self.firmware.format
    }

    /// How the firmware drives fans.
    pub fn fans(&self) -> FanPage {
        self.firmware.fans
    }

    /// The port.
    pub fn port(&mut self) -> &mut X {
        &mut self.port
    }

    /// Gives the port back.
    pub fn into_port(self) -> X {
        self.port
    }

    /// Finds out the format of the answers, by asking for the level of pin 0: every known firmware has it, and the
    /// answer differs in each format. Every other call does this first where the format is not known.
    ///
    /// # Errors
    ///
    /// The port's error, or a refusal or an answer from which the format cannot be told; then the profile must name
    /// it.
    pub fn probe(&mut self) -> Result<Format, ClientError<X::Error>> {
        let asked = Asked::Probe;
        let id = self.id();
        let request = Request {
            id,
            bus: 0,
            page: crate::page::GPIO,
            command: 0,
            data: &[],
        };
        let len = request.emit(&mut self.packet).map_err(|e| asked.error(e))?;
        let packet = self.packet.get(..len).unwrap_or_default();
        let got = self
            .port
            .exchange(packet, Some(Expect::probe(id)), &mut self.answer)
            .map_err(|e| asked.port(e))?;
        let answer = self.answer.get(..got).unwrap_or_default();
        let format = Expect::decode_format(answer, id).map_err(|e| asked.error(e))?;
        self.firmware.format = Some(format);
        Ok(format)
    }

    /// Asks for anything and gives the answer's data.
    ///
    /// # Errors
    ///
    /// [`ClientError`] says what was asked and what came instead of an answer.
    pub fn call(&mut self, command: &Command<'_>) -> Result<&[u8], ClientError<X::Error>> {
        let format = match self.firmware.format {
            Some(format) => format,
            None => self.probe()?,
        };
        let asked = Asked::from(command);
        let id = self.id();
        let len = command
            .emit(id, self.firmware.fans, &mut self.packet)
            .map_err(|e| asked.error(e))?;
        let packet = self.packet.get(..len).unwrap_or_default();
        let expect = command
            .answer(self.firmware.fans)
            .map(|range| expect(id, format, &range));
        let got = self
            .port
            .exchange(packet, expect, &mut self.answer)
            .map_err(|e| asked.port(e))?;
        match expect {
            Some(expect) => {
                let answer = self.answer.get(..got).unwrap_or_default();
                expect.decode(answer).map_err(|e| asked.error(e))
            }
            None => Ok(&[]),
        }
    }

    /// Sets the clock of an I2C bus, in Hz.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub fn set_i2c_frequency(&mut self, bus: u8, hertz: u32) -> Result<(), ClientError<X::Error>> {
        self.call(&Command::I2cFrequency { bus, hertz }).map(drop)
    }

    /// Writes to an I2C device.
    ///
    /// # Errors
    ///
    /// As [`Client::call`]; that fewer bytes were written.
    pub fn i2c_write(
        &mut self,
        bus: u8,
        address: u8,
        data: &[u8],
    ) -> Result<(), ClientError<X::Error>> {
        let command = Command::I2cWrite { bus, address, data };
        let count = self.call(&command)?.first().copied().unwrap_or_default();
        if usize::from(count) == data.len() {
            return Ok(());
        }
        // With total lengths an error code looks like the count.
        Err(ClientError {
            asked: Asked::from(&command),
            kind: match self.ambiguous(count) {
                Some(refusal) => ClientErrorKind::Refused(refusal),
                None => ClientErrorKind::Short {
                    wrote: data.len(),
                    accepted: count,
                },
            },
        })
    }

    /// Reads from an I2C device.
    ///
    /// # Errors
    ///
    /// As [`Client::call`], and [`ClientErrorKind::TooMuch`] beyond 255 bytes.
    pub fn i2c_read(
        &mut self,
        bus: u8,
        address: u8,
        buffer: &mut [u8],
    ) -> Result<(), ClientError<X::Error>> {
        self.read(bus, address, None, buffer)
    }

    /// Writes, then reads after a repeated start.
    ///
    /// # Errors
    ///
    /// As [`Client::i2c_read`].
    pub fn i2c_write_read(
        &mut self,
        bus: u8,
        address: u8,
        data: &[u8],
        buffer: &mut [u8],
    ) -> Result<(), ClientError<X::Error>> {
        self.read(bus, address, Some(data), buffer)
    }

    /// The level of a pin.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub fn pin_level(&mut self, pin: u8) -> Result<bool, ClientError<X::Error>> {
        self.level(&Command::GpioGet { pin })
    }

    /// Sets a pin.
    ///
    /// # Errors
    ///
    /// As [`Client::call`]; [`ClientErrorKind::Level`] if the firmware answers with the other level.
    pub fn set_pin(&mut self, pin: u8, level: bool) -> Result<(), ClientError<X::Error>> {
        let command = Command::GpioSet { pin, level };
        if self.level(&command)? == level {
            return Ok(());
        }
        Err(ClientError {
            asked: Asked::from(&command),
            kind: ClientErrorKind::Level,
        })
    }

    /// Raw counts of an analogue input.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub fn adc(&mut self, input: AdcInput) -> Result<u16, ClientError<X::Error>> {
        let command = Command::Adc(input);
        match *self.call(&command)? {
            [lo, hi] => Ok(u16::from_le_bytes([lo, hi])),
            _ => Err(Asked::from(&command).nonsense()),
        }
    }

    /// Sets the colour of the LED.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub fn set_led(&mut self, red: u8, green: u8, blue: u8) -> Result<(), ClientError<X::Error>> {
        self.call(&Command::Led { red, green, blue }).map(drop)
    }

    /// Sets a fan that the firmware drives itself, 0 to 100 %; more counts as 100. Our firmware may set more than
    /// asked, see [`BoardGuard`].
    ///
    /// # Errors
    ///
    /// As [`Client::call`]; [`NoCommand`](crate::frame::RequestError::NoCommand) if the firmware drives no such fan.
    pub fn set_fan(&mut self, fan: u8, percent: u8) -> Result<(), ClientError<X::Error>> {
        self.call(&Command::FanSet { fan, percent }).map(drop)
    }

    /// Speed in rpm of a fan that the firmware drives itself.
    ///
    /// # Errors
    ///
    /// As [`Client::set_fan`].
    pub fn fan_rpm(&mut self, fan: u8) -> Result<u32, ClientError<X::Error>> {
        let command = Command::FanTach { fan };
        match *self.call(&command)? {
            [lo, hi] => Ok(u16::from_le_bytes([lo, hi]).into()),
            [a, b, c, d] => Ok(u32::from_le_bytes([a, b, c, d])),
            _ => Err(Asked::from(&command).nonsense()),
        }
    }

    /// Starts the firmware anew. The port vanishes for a while.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub fn reboot(&mut self) -> Result<(), ClientError<X::Error>> {
        self.call(&Command::Reboot).map(drop)
    }

    /// One I2C bus for drivers.
    pub fn i2c(&mut self, bus: u8) -> I2cBus<'_, X> {
        I2cBus::new(self, bus)
    }

    /// One pin for drivers.
    pub fn pin(&mut self, pin: u8) -> Pin<'_, X> {
        Pin::new(self, pin)
    }

    fn read(
        &mut self,
        bus: u8,
        address: u8,
        data: Option<&[u8]>,
        buffer: &mut [u8],
    ) -> Result<(), ClientError<X::Error>> {
        let command = |length| match data {
            Some(data) => Command::I2cWriteRead {
                bus,
                address,
                data,
                length,
            },
            None => Command::I2cRead {
                bus,
                address,
                length,
            },
        };
        let asked = Asked::from(&command(0));
        let Ok(length) = u8::try_from(buffer.len()) else {
            return Err(asked.error(ClientErrorKind::TooMuch { len: buffer.len() }));
        };
        let got = self.call(&command(length))?;
        if got.len() != buffer.len() {
            return Err(asked.nonsense());
        }
        buffer.copy_from_slice(got);
        // With total lengths an error code looks like one byte of data. Asked for two bytes, an error stays as
        // short as it was and data does not.
        if let [only] = buffer
            && self.ambiguous(*only).is_some()
        {
            let got = self.call(&command(2))?;
            *only = got.first().copied().ok_or(asked.nonsense())?;
        }
        Ok(())
    }

    fn level(&mut self, command: &Command<'_>) -> Result<bool, ClientError<X::Error>> {
        let asked = Asked::from(command);
        let level = self.call(command)?.first().copied().unwrap_or_default();
        match (level, self.ambiguous(level)) {
            (0, _) => Ok(false),
            (1, _) => Ok(true),
            (_, Some(refusal)) => Err(asked.error(ClientErrorKind::Refused(refusal))),
            _ => Err(asked.nonsense()),
        }
    }

    /// The error that a single byte of data may be, in the one format where both look the same.
    fn ambiguous(&self, byte: u8) -> Option<Refusal> {
        if self.firmware.format != Some(Format::V0Total) {
            return None;
        }
        match byte {
            0x10 => Some(Refusal::Timeout),
            0x11 => Some(Refusal::Invalid),
            0x12 => Some(Refusal::Denied),
            0x13 => Some(Refusal::Fault),
            0xFF => Some(Refusal::Code(0xFF)),
            _ => None,
        }
    }

    fn id(&mut self) -> u8 {
        // The id of unparsed requests is left out.
        self.next_id = match self.next_id.wrapping_add(1) {
            UNPARSED_ID => 0,
            id => id,
        };
        self.next_id
    }
}

fn expect(id: u8, format: Format, range: &RangeInclusive<usize>) -> Expect {
    Expect::new(id, format, *range.start(), *range.end())
}
