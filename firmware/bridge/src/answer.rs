//! Answers, controller to host, in the three formats that firmware speaks.
//!
//! Two of the formats do not say whether an answer is data or an error, so a host must know how much data its
//! request calls for: that is [`Expect`]. A [`Receiver`] gathers bytes until the answer is complete.

use core::fmt;
use core::time::Duration;

use crate::text::Text;

/// The most data in one answer, in bytes.
pub const MAX_PAYLOAD: usize = 256;

/// The longest answer in any format, in bytes.
pub const MAX_ANSWER: usize = 4 + MAX_PAYLOAD;

/// After this much silence a [`Progress::Settling`] answer is taken as it stands.
pub const SETTLE: Duration = Duration::from_millis(20);

/// Answers to requests that the firmware could not parse carry this id instead of the request's. It is never used
/// for a request by [`crate::Client`].
pub const UNPARSED_ID: u8 = 0xFF;

/// How a controller frames its answers. [`crate::Client::probe`] finds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// bitaxe-raw, and emberOne before 5.1: `LEN ID DATA`, where LEN counts only the data; in errors (`LEN ID CODE`)
    /// it counts the whole packet.
    V0,
    /// Bitaxe Bonanza and bitaxe-raw of 2026: `LEN ID DATA`, where LEN counts the whole packet, in errors too.
    V0Total,
    /// emberOne since 5.1 and RHAP: `LEN ID STATUS DATA`, where LEN counts the whole packet.
    V1,
}

impl Format {
    /// The name as profiles spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0 => "v0",
            Self::V0Total => "v0-total",
            Self::V1 => "v1",
        }
    }

    /// Writes an answer to the start of `out` and returns its length. `None` if it does not fit there or
    /// has more data than [`MAX_PAYLOAD`].
    pub fn emit(self, id: u8, answer: Result<&[u8], &Refusal>, out: &mut [u8]) -> Option<usize> {
        let (status, data): (&[u8], &[u8]) = match (&answer, self) {
            (Ok(data), Self::V1) => (&[0], data),
            (Ok(data), Self::V0 | Self::V0Total) => (&[], data),
            (Err(Refusal::Timeout), _) => (&[0x10], &[]),
            (Err(Refusal::Invalid), _) => (&[0x11], &[]),
            (Err(Refusal::Overflow), Self::V0Total) => (&[0xFF], b"too long"),
            (Err(Refusal::Overflow), _) => (&[0x12], &[]),
            (Err(Refusal::Denied), Self::V0Total) => (&[0x12], &[]),
            (Err(Refusal::Denied), _) => (&[0xFF], DENIED.as_bytes()),
            (Err(Refusal::Fault), Self::V0Total) => (&[0x13], &[]),
            (Err(Refusal::Fault), _) => (&[0xFF], b"fault"),
            (Err(Refusal::Message(text)), _) => (&[0xFF], text.as_bytes()),
            (Err(Refusal::Code(code)), _) => (core::slice::from_ref(code), &[]),
        };
        if data.len() > MAX_PAYLOAD {
            return None;
        }
        let total = 3 + status.len() + data.len();
        let counted = if self == Self::V0 && answer.is_ok() {
            data.len()
        } else {
            total
        };
        let [lo, hi] = u16::try_from(counted).ok()?.to_le_bytes();
        let (header, rest) = out.get_mut(..total)?.split_first_chunk_mut::<3>()?;
        *header = [lo, hi, id];
        let (head, tail) = rest.split_at_mut_checked(status.len())?;
        head.copy_from_slice(status);
        tail.copy_from_slice(data);
        Some(total)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const DENIED: &str = "denied";

/// Why a controller did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// What it asked did not answer in time.
    #[error("time-out on the board")]
    Timeout,
    /// It does not know the command.
    #[error("the controller does not know this command")]
    Invalid,
    /// Too much data for its buffers.
    #[error("too much data for the controller")]
    Overflow,
    /// It may not be done now. Firmware of the Bonanza, and ours without a reason.
    #[error("the controller does not allow this now")]
    Denied,
    /// A fault stands in the way. Firmware of the Bonanza.
    #[error("a fault on the controller is in the way")]
    Fault,
    /// A message in the controller's words, for example "I2C Read Error".
    #[error("the controller says \"{0}\"")]
    Message(Text),
    /// A code that no known firmware uses.
    #[error("unknown error code {0:#04x}")]
    Code(u8),
}

impl Refusal {
    /// A refusal by our guard: the message is "denied: " and the reason.
    pub fn denied(reason: &str) -> Self {
        use fmt::Write as _;
        let mut text = Text::from(DENIED);
        // Writing to a text cuts instead of failing.
        let _ = write!(text, ": {reason}");
        Self::Message(text)
    }

    /// Whether the controller understood, and will not do it in its present state.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Denied => true,
            Self::Message(text) => text.as_str().starts_with(DENIED),
            _ => false,
        }
    }

    /// Whether the message is about the I2C bus. Public firmware says "I2C Read Error", "I2C Write Error" and
    /// "I2C WriteRead Error", most often because no device answered.
    pub fn is_i2c(&self) -> bool {
        matches!(self, Self::Message(text) if text.as_str().starts_with("I2C"))
    }

    /// Reads what stands behind the id of an error. V0 with total length has two codes of its own.
    fn parse(body: &[u8], format: Option<Format>) -> Self {
        match *body {
            // Older documents put a marker before the code.
            [0xFF, code @ 0x10..=0x13] | [code @ 0x00..=0xFE] => match (code, format) {
                (0x10, _) => Self::Timeout,
                (0x11, _) => Self::Invalid,
                (0x12, Some(Format::V0Total)) => Self::Denied,
                (0x12, _) => Self::Overflow,
                (0x13, Some(Format::V0Total)) => Self::Fault,
                (code, _) => Self::Code(code),
            },
            [0xFF, ref text @ ..] if text == DENIED.as_bytes() => Self::Denied,
            [0xFF, ref text @ ..] => Self::Message(Text::from_bytes(text)),
            [code, ..] => Self::Code(code),
            [] => Self::Code(0),
        }
    }
}

/// The answer that a request calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    id: u8,
    format: Option<Format>,
    min: usize,
    max: usize,
}

impl Expect {
    /// An answer to request `id` with `min` to `max` bytes of data.
    pub fn new(id: u8, format: Format, min: usize, max: usize) -> Self {
        Self {
            id,
            format: Some(format),
            min,
            max: max.min(MAX_PAYLOAD),
        }
    }

    /// The answer to "level of pin 0", which has another length in each format.
    pub fn probe(id: u8) -> Self {
        Self {
            id,
            format: None,
            min: 1,
            max: 1,
        }
    }

    /// Begins to gather the answer in `buffer`, which should hold [`MAX_ANSWER`] bytes.
    pub fn receiver(self, buffer: &mut [u8]) -> Receiver<'_> {
        Receiver {
            expect: self,
            buffer,
            len: 0,
            progress: Progress::Incomplete,
        }
    }

    /// The data of a whole answer, as a [`Receiver`] gathered it.
    ///
    /// # Errors
    ///
    /// The controller's refusal, or [`AnswerError::Malformed`] if these bytes are no answer to this request.
    pub fn decode(self, packet: &[u8]) -> Result<&[u8], AnswerError> {
        let malformed = AnswerError::Malformed { len: packet.len() };
        match self.look(packet) {
            Look::Data { from, to } => packet.get(from..to).ok_or(malformed),
            Look::Refused { to } | Look::Settling { to } => Err(AnswerError::Refused(
                Refusal::parse(packet.get(3..to).unwrap_or_default(), self.format),
            )),
            Look::More | Look::Pass(_) => Err(malformed),
        }
    }

    /// The format that the answer to a probe shows.
    ///
    /// # Errors
    ///
    /// As [`Expect::decode`].
    pub fn decode_format(packet: &[u8], id: u8) -> Result<Format, AnswerError> {
        Self::probe(id).decode(packet)?;
        match packet.first() {
            Some(1) => Ok(Format::V0),
            Some(4) => Ok(Format::V0Total),
            Some(5) => Ok(Format::V1),
            _ => Err(AnswerError::Malformed { len: packet.len() }),
        }
    }

    /// Judges the bytes at the start of a stream. An error may come under the id of unparsed requests.
    fn look(&self, bytes: &[u8]) -> Look {
        let Some((&[lo, hi, id], body)) = bytes.split_first_chunk::<3>() else {
            return Look::More;
        };
        let len = usize::from(u16::from_le_bytes([lo, hi]));
        let ours = id == self.id;
        if !ours && id != UNPARSED_ID {
            // Late answers to earlier requests. Where the length tells their end they are passed over whole.
            return match self.format {
                Some(Format::V0Total | Format::V1) if (3..=MAX_ANSWER).contains(&len) => {
                    Look::Pass(len)
                }
                _ => Look::Pass(1),
            };
        }
        match self.format {
            None => self.look_probe(len, ours, body, bytes.len()),
            Some(Format::V0) => self.look_v0(len, ours, body, bytes.len()),
            Some(Format::V0Total) => self.look_total(len, ours, body, bytes.len()),
            Some(Format::V1) => self.look_v1(len, ours, body, bytes.len()),
        }
    }

    fn look_probe(&self, len: usize, ours: bool, body: &[u8], there: usize) -> Look {
        match (len, body) {
            (1 | 4 | 5, []) => Look::More,
            (1, [0 | 1, ..]) if ours => Look::Data { from: 3, to: 4 },
            (4, [0 | 1, ..]) if ours => Look::Data { from: 3, to: 4 },
            (5, [0]) if ours => Look::More,
            (5, [0, 0 | 1, ..]) if ours => Look::Data { from: 4, to: 5 },
            _ => error(len, body, there),
        }
    }

    fn look_v0(&self, len: usize, ours: bool, body: &[u8], there: usize) -> Look {
        let data = ours && (self.min..=self.max).contains(&len);
        if data && there >= len + 3 {
            return Look::Data {
                from: 3,
                to: len + 3,
            };
        }
        match (data, error(len, body, there)) {
            (true, Look::Refused { to }) => Look::Settling { to },
            (true, _) => Look::More,
            (false, look) => look,
        }
    }

    fn look_total(&self, len: usize, ours: bool, body: &[u8], there: usize) -> Look {
        let data = ours
            && len
                .checked_sub(3)
                .is_some_and(|n| (self.min..=self.max).contains(&n));
        if !data {
            return error(len, body, there);
        }
        if there < len {
            return Look::More;
        }
        // A message may have as many bytes as the data would. Taking data for an error asks again; taking an
        // error for data could set a voltage.
        match body.get(..len - 3) {
            Some([0xFF, text @ ..]) if text.len() >= 4 && text.iter().all(is_text) => {
                Look::Refused { to: len }
            }
            _ => Look::Data { from: 3, to: len },
        }
    }

    fn look_v1(&self, len: usize, ours: bool, body: &[u8], there: usize) -> Look {
        match body {
            [] => Look::More,
            [0, ..] => {
                let fits = len
                    .checked_sub(4)
                    .is_some_and(|n| (self.min..=self.max).contains(&n));
                match (ours && fits, there >= len) {
                    (true, true) => Look::Data { from: 4, to: len },
                    (true, false) => Look::More,
                    (false, _) => Look::Pass(1),
                }
            }
            _ if ours && (4..=MAX_ANSWER).contains(&len) => match there >= len {
                true => Look::Refused { to: len },
                false => Look::More,
            },
            _ => error(len, body, there),
        }
    }
}

/// Judges the bytes as an error, whose length counts the whole packet in every format.
fn error(len: usize, body: &[u8], there: usize) -> Look {
    if !(4..=MAX_ANSWER).contains(&len) {
        return Look::Pass(1);
    }
    match body {
        [] => Look::More,
        [0x10..=0x13 | 0xFF, ..] if there >= len => Look::Refused { to: len },
        [0x10..=0x13 | 0xFF, ..] => Look::More,
        _ => Look::Pass(1),
    }
}

fn is_text(byte: &u8) -> bool {
    *byte == b' ' || byte.is_ascii_graphic()
}

/// What the bytes at the front of the buffer are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    More,
    Data { from: usize, to: usize },
    Refused { to: usize },
    Settling { to: usize },
    Pass(usize),
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Bytes are missing. When none come within the caller's patience, the controller has not answered.
    Incomplete,
    /// An error if nothing more comes for [`SETTLE`], the beginning of data otherwise.
    Settling,
    /// The answer is complete.
    Complete,
}

/// Gathers one answer from a stream of bytes. Late answers to earlier requests are passed over.
///
/// An [`crate::Exchange`] pushes what it reads until the progress is complete, or settling and the line silent;
/// then [`Receiver::finish`] says how many bytes of the buffer are the answer.
#[derive(Debug)]
pub struct Receiver<'a> {
    expect: Expect,
    buffer: &'a mut [u8],
    len: usize,
    progress: Progress,
}

impl Receiver<'_> {
    /// Takes bytes as they come. What comes after a complete answer is ignored.
    pub fn push(&mut self, bytes: &[u8]) -> Progress {
        for &byte in bytes {
            if self.progress == Progress::Complete {
                break;
            }
            if self.len == self.buffer.len() {
                self.drop_front(1);
            }
            if let Some(slot) = self.buffer.get_mut(self.len) {
                *slot = byte;
                self.len += 1;
            }
            self.judge();
        }
        self.progress
    }

    /// How far the answer has come.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The number of bytes at the start of the buffer that are the answer; `None` if it is incomplete.
    pub fn finish(self) -> Option<usize> {
        (self.progress != Progress::Incomplete).then_some(self.len)
    }

    fn judge(&mut self) {
        loop {
            let there = self.buffer.get(..self.len).unwrap_or_default();
            self.progress = match self.expect.look(there) {
                Look::Data { to, .. } | Look::Refused { to } => {
                    self.len = to;
                    Progress::Complete
                }
                Look::Settling { .. } => Progress::Settling,
                Look::Pass(n) if n <= self.len => {
                    self.drop_front(n);
                    continue;
                }
                Look::More | Look::Pass(_) => Progress::Incomplete,
            };
            return;
        }
    }

    fn drop_front(&mut self, n: usize) {
        let n = n.min(self.len);
        self.buffer.copy_within(n..self.len, 0);
        self.len -= n;
    }
}

/// Why there is no data in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The controller refused.
    #[error(transparent)]
    Refused(Refusal),
    /// The bytes are no answer to this request.
    #[error("{len} bytes that are no answer to this request")]
    Malformed {
        /// How many bytes there were.
        len: usize,
    },
}
