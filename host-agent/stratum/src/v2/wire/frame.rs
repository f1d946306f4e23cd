//! Frames: cut out of the stream of bytes, opened, and bounded in size. What stands in them is
//! the matter of the message modules.

use thiserror::Error;

use super::noise::{Ciphers, MAX_PIECE, SEAL_LEN};

/// Bytes of a plain frame header.
pub const HEADER_LEN: usize = 6;
/// Largest payload that is taken, bytes. The largest job has two coinbase halves of 64 KiB and
/// 255 branch hashes, 140 KB; the largest group has 64 Ki channels, 256 KiB.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// A whole frame, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The extension that the message belongs to, without the bit for channel messages; 0 for
    /// the core protocol.
    pub extension: u16,
    /// Number of the message within its extension.
    pub kind: u8,
    /// The message.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The plain bytes of the frame. `channel` sets the bit for messages to a channel. `None` if
    /// the payload is longer than a frame can say.
    pub fn to_bytes(&self, channel: bool) -> Option<Vec<u8>> {
        let len = u32::try_from(self.payload.len()).ok()?;
        let [a, b, c, 0] = len.to_le_bytes() else {
            return None;
        };
        let extension = self.extension & !CHANNEL_BIT | if channel { CHANNEL_BIT } else { 0 };
        let [low, high] = extension.to_le_bytes();
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.payload.len());
        bytes.extend_from_slice(&[low, high, self.kind, a, b, c]);
        bytes.extend_from_slice(&self.payload);
        Some(bytes)
    }
}

/// Marks a message whose payload begins with a channel id.
const CHANNEL_BIT: u16 = 0x8000;

/// Why a stream of frames cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A piece does not open.
    #[error("a frame could not be decrypted; it was changed on the way, or bytes were lost")]
    Seal,
    /// A header announces too much.
    #[error("a frame of {len} bytes was announced, expected at most {MAX_PAYLOAD}")]
    TooLong {
        /// The announced length, bytes.
        len: usize,
    },
}

/// Puts frames together from bytes cut anywhere.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The piece that is being read.
    piece: Vec<u8>,
    /// The frame that is being read, and the length of its payload.
    frame: Option<(Frame, usize)>,
}

impl FrameReader {
    /// Takes bytes from the front of `bytes` up to the end of a frame, if it comes. Without
    /// `ciphers` the bytes are plain.
    ///
    /// # Errors
    ///
    /// See [`FrameError`]. The connection cannot be used any more then.
    pub fn next(
        &mut self,
        bytes: &mut &[u8],
        mut ciphers: Option<&mut Ciphers>,
    ) -> Option<Result<Frame, FrameError>> {
        let seal = if ciphers.is_some() { SEAL_LEN } else { 0 };
        loop {
            let wanted = match &self.frame {
                None => HEADER_LEN + seal,
                Some((frame, len)) => match len - frame.payload.len() {
                    0 => 0,
                    rest => rest.min(MAX_PIECE) + seal,
                },
            };
            let missing = wanted.saturating_sub(self.piece.len());
            let (head, rest) = bytes.split_at(missing.min(bytes.len()));
            self.piece.extend_from_slice(head);
            *bytes = rest;
            if self.piece.len() < wanted {
                return None;
            }
            if let Some(ciphers) = &mut ciphers
                && !self.piece.is_empty()
                && !ciphers.open(&mut self.piece)
            {
                return Some(Err(FrameError::Seal));
            }
            match &mut self.frame {
                None => match header(&self.piece) {
                    Ok(begun) => self.frame = Some(begun),
                    Err(error) => return Some(Err(error)),
                },
                Some((frame, _)) => frame.payload.append(&mut self.piece),
            }
            self.piece.clear();
            if let Some((frame, _)) = self
                .frame
                .take_if(|(frame, len)| frame.payload.len() >= *len)
            {
                return Some(Ok(frame));
            }
        }
    }

    /// Whether a frame has begun and is not complete.
    #[must_use]
    pub fn is_within_frame(&self) -> bool {
        self.frame.is_some() || !self.piece.is_empty()
    }
}

/// Reads a plain header.
fn header(bytes: &[u8]) -> Result<(Frame, usize), FrameError> {
    let mut header = [0; HEADER_LEN];
    header
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    let [low, high, kind, a, b, c] = header;
    let len = u32::from_le_bytes([a, b, c, 0]) as usize;
    if len > MAX_PAYLOAD {
        return Err(FrameError::TooLong { len });
    }
    let frame = Frame {
        extension: u16::from_le_bytes([low, high]) & !CHANNEL_BIT,
        kind,
        payload: Vec::new(),
    };
    Ok((frame, len))
}
