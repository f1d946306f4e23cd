//! Requests, host to controller: their frame, and the decoder with which a controller takes them from a
//! stream of bytes. What the fields mean is the business of [`crate::page`].

use core::time::Duration;

/// Bytes before the data: length (2), id, bus, page, command.
pub const REQUEST_HEADER: usize = 6;

/// The longest request any known firmware takes, in bytes.
pub const MAX_REQUEST: usize = 4098;

/// A half request is forgotten when nothing more comes for this long. Public firmware does the same.
pub const HALF_REQUEST: Duration = Duration::from_millis(4);

/// One request: `LEN_LO LEN_HI ID BUS PAGE CMD DATA...`, where LEN counts the whole packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Any byte; the answer carries it.
    pub id: u8,
    /// Which of several buses, 0 in all known firmware but that of boards with a supply on a bus of its own.
    pub bus: u8,
    /// The page, for example 5 for I2C.
    pub page: u8,
    /// The command within the page.
    pub command: u8,
    /// What follows, as the command wants it.
    pub data: &'a [u8],
}

impl<'a> Request<'a> {
    /// Writes the request to the start of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`RequestError::NoRoom`] if `out` is too small, [`RequestError::TooLong`] beyond [`MAX_REQUEST`].
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, RequestError> {
        let len = REQUEST_HEADER + self.data.len();
        let announced = match u16::try_from(len) {
            Ok(announced) if len <= MAX_REQUEST => announced.to_le_bytes(),
            _ => return Err(RequestError::TooLong { len }),
        };
        let room = out.len();
        let Some((header, data)) = out
            .get_mut(..len)
            .and_then(|out| out.split_first_chunk_mut::<REQUEST_HEADER>())
        else {
            return Err(RequestError::NoRoom { len, room });
        };
        let [lo, hi] = announced;
        *header = [lo, hi, self.id, self.bus, self.page, self.command];
        data.copy_from_slice(self.data);
        Ok(len)
    }

    /// Reads a whole request. `None` if the length does not agree with the bytes.
    pub fn parse(packet: &'a [u8]) -> Option<Self> {
        let (&[lo, hi, id, bus, page, command], data) =
            packet.split_first_chunk::<REQUEST_HEADER>()?;
        (usize::from(u16::from_le_bytes([lo, hi])) == packet.len()).then_some(Self {
            id,
            bus,
            page,
            command,
            data,
        })
    }
}

/// Why a request could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The caller's buffer is too small.
    #[error("a request of {len} bytes does not fit into {room}")]
    NoRoom {
        /// Bytes needed.
        len: usize,
        /// Bytes there.
        room: usize,
    },
    /// The request is longer than any controller takes.
    #[error("a request of {len} bytes is longer than the {MAX_REQUEST} that controllers take")]
    TooLong {
        /// Bytes of the request.
        len: usize,
    },
    /// This controller has no such thing, as its firmware is described.
    #[error("this controller's firmware has no command for that")]
    NoCommand,
}

/// What a [`RequestDecoder`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// A whole request.
    Request(Request<'a>),
    /// A request that is longer than the decoder's buffer. It was passed over.
    TooLong {
        /// Its id.
        id: u8,
    },
    /// A length that no request can have. Everything until the next silence is passed over, because acting on
    /// bytes out of step could switch pins.
    Malformed,
}

/// The controller's end of the stream: takes bytes in any portions and gives requests.
///
/// `N` is the longest request kept, in bytes; 512 holds every request that this crate's pages know.
#[derive(Clone, Debug)]
pub struct RequestDecoder<const N: usize = 512> {
    buffer: [u8; N],
    len: usize,
    mode: Mode,
    last: Duration,
    dropped: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Collecting,
    /// The request at the front of the buffer has been handed out.
    Given,
    /// A request too long for the buffer; so many bytes of it are still to come.
    Passing {
        rest: usize,
    },
    /// Out of step until the line has been silent.
    Lost,
}

impl<const N: usize> Default for RequestDecoder<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> RequestDecoder<N> {
    /// A decoder that has seen nothing.
    pub const fn new() -> Self {
        Self {
            buffer: [0; N],
            len: 0,
            mode: Mode::Collecting,
            last: Duration::ZERO,
            dropped: 0,
        }
    }

    /// Takes bytes from the front of `input`, up to the end of the next request, and gives that request. Call it
    /// until it gives `None`; then `input` is used up.
    ///
    /// `now` is when the bytes came. A half request that is older than [`HALF_REQUEST`] is dropped first.
    pub fn next(&mut self, now: Duration, input: &mut &[u8]) -> Option<Incoming<'_>> {
        if self.mode == Mode::Given {
            self.begin();
        }
        if input.is_empty() {
            return None;
        }
        if now.saturating_sub(self.last) >= HALF_REQUEST {
            let half = self.len > 0 || matches!(self.mode, Mode::Passing { .. });
            self.dropped = self.dropped.saturating_add(u32::from(half));
            self.begin();
        }
        self.last = now;

        loop {
            match self.mode {
                Mode::Lost => {
                    *input = &[];
                    return None;
                }
                Mode::Passing { rest } => {
                    let taken = rest.min(input.len());
                    *input = input.get(taken..).unwrap_or_default();
                    if taken < rest {
                        self.mode = Mode::Passing { rest: rest - taken };
                        return None;
                    }
                    let id = self.buffer.get(2).copied().unwrap_or_default();
                    self.begin();
                    return Some(Incoming::TooLong { id });
                }
                Mode::Collecting | Mode::Given => {}
            }

            let wanted = match self.announced() {
                None => 2,
                Some(len) if !(REQUEST_HEADER..=MAX_REQUEST).contains(&len) => {
                    self.begin();
                    self.mode = Mode::Lost;
                    self.dropped = self.dropped.saturating_add(1);
                    *input = &[];
                    return Some(Incoming::Malformed);
                }
                Some(len) if len > N => {
                    // The id is still of use for the answer.
                    if self.len >= 3 {
                        self.mode = Mode::Passing {
                            rest: len - self.len,
                        };
                        continue;
                    }
                    3
                }
                Some(len) if self.len == len => {
                    self.mode = Mode::Given;
                    return Request::parse(self.buffer.get(..len)?).map(Incoming::Request);
                }
                Some(len) => len,
            };
            let taken = wanted.saturating_sub(self.len).min(input.len());
            let (now_in, later) = input.split_at(taken);
            let end = self.len + taken;
            self.buffer.get_mut(self.len..end)?.copy_from_slice(now_in);
            self.len = end;
            *input = later;
            if end < wanted {
                return None;
            }
        }
    }

    /// Forgets a half request, as when the port is opened anew.
    pub fn reset(&mut self) {
        self.begin();
    }

    /// Half and impossible requests dropped so far.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    fn begin(&mut self) {
        self.len = 0;
        self.mode = Mode::Collecting;
    }

    fn announced(&self) -> Option<usize> {
        let (&length, _) = self.buffer.get(..self.len)?.split_first_chunk::<2>()?;
        Some(usize::from(u16::from_le_bytes(length)))
    }
}
