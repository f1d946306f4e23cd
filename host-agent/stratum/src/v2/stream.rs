//! The bytes of one connection: the Noise handshake first, sealed frames then. Also recognises
//! servers of other protocols by their first words.

use super::wire::{
    Ciphers, Frame, FrameError, FrameReader, HANDSHAKE_ANSWER_LEN, Handshake, HandshakeError,
};
use crate::authority::AuthorityKey;

/// How far the security of a connection has come.
pub(super) enum Stream {
    /// Our key is sent, the server's answer is awaited.
    Handshake {
        handshake: Option<Box<Handshake>>,
        answer: Vec<u8>,
    },
    /// Both sides have keys.
    Secure {
        ciphers: Box<Ciphers>,
        reader: FrameReader,
    },
    /// Without encryption, for tests.
    Plain(FrameReader),
}

/// What came of the bytes.
pub(super) enum Arrival {
    /// The handshake succeeded.
    Secured,
    /// A frame.
    Frame(Frame),
}

/// Why the connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamError {
    Impostor(Impostor),
    Handshake(HandshakeError),
    Frame(FrameError),
}

/// Servers of other protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Impostor {
    StratumV1,
    Http,
    Tls,
}

impl Stream {
    /// Begins a connection; gives the bytes to be sent first.
    pub(super) fn open(
        key: Option<AuthorityKey>,
        entropy: [u8; 32],
    ) -> Result<(Self, Vec<u8>), HandshakeError> {
        let (handshake, hello) = Handshake::begin(key, entropy)?;
        let stream = Self::Handshake {
            handshake: Some(Box::new(handshake)),
            answer: Vec::with_capacity(HANDSHAKE_ANSWER_LEN),
        };
        Ok((stream, hello.to_vec()))
    }

    /// Takes bytes from the front of `bytes` until something has come together. Certificates
    /// are judged at `unix_now`, seconds since 1970.
    pub(super) fn next(
        &mut self,
        bytes: &mut &[u8],
        unix_now: u64,
    ) -> Option<Result<Arrival, StreamError>> {
        let frame = match self {
            Self::Handshake { handshake, answer } => {
                let missing = HANDSHAKE_ANSWER_LEN.saturating_sub(answer.len());
                let (head, rest) = bytes.split_at(missing.min(bytes.len()));
                answer.extend_from_slice(head);
                *bytes = rest;
                if let Some(impostor) = recognise(answer, false) {
                    return Some(Err(StreamError::Impostor(impostor)));
                }
                let answer = answer.as_slice().try_into().ok()?;
                return Some(match handshake.take()?.finish(answer, unix_now) {
                    Ok(ciphers) => {
                        *self = Self::Secure {
                            ciphers: Box::new(ciphers),
                            reader: FrameReader::default(),
                        };
                        Ok(Arrival::Secured)
                    }
                    Err(error) => Err(StreamError::Handshake(error)),
                });
            }
            Self::Secure { ciphers, reader } => reader.next(bytes, Some(ciphers)),
            Self::Plain(reader) => reader.next(bytes, None),
        };
        frame.map(|frame| frame.map(Arrival::Frame).map_err(StreamError::Frame))
    }

    /// Seals a plain frame for sending; `None` if frames cannot be sent.
    pub(super) fn seal(&mut self, frame: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Self::Handshake { .. } => None,
            Self::Secure { ciphers, .. } => ciphers.seal(&frame),
            Self::Plain(_) => Some(frame),
        }
    }

    /// What the server seems to be, now that no more bytes of its handshake come.
    pub(super) fn impostor(&self) -> Option<Impostor> {
        match self {
            Self::Handshake { answer, .. } => recognise(answer, true),
            Self::Secure { .. } | Self::Plain(_) => None,
        }
    }

    /// Whether a frame has begun and is not complete.
    pub(super) fn is_within_frame(&self) -> bool {
        match self {
            Self::Handshake { .. } => false,
            Self::Secure { reader, .. } | Self::Plain(reader) => reader.is_within_frame(),
        }
    }
}

/// Recognises a server by how its answer begins. A true answer begins with random bytes, so as
/// many must fit that chance can be left out, unless the answer has `ended`.
fn recognise(answer: &[u8], ended: bool) -> Option<Impostor> {
    const ENOUGH: usize = 16;
    if answer.starts_with(b"HTTP/") {
        return Some(Impostor::Http);
    }
    // An alert that takes two bytes, of any version up to TLS 1.3.
    if let [0x15, 3, 0..=4, 0, 2, ..] = answer {
        return Some(Impostor::Tls);
    }
    let start = answer.get(..ENOUGH).or(ended.then_some(answer))?;
    let is_text = start
        .iter()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    (is_text && start.starts_with(b"{")).then_some(Impostor::StratumV1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_servers_show_by_their_first_words() {
        for (answer, ended, whom) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], false, Impostor::Http),
            (b"\x15\x03\x01\x00\x02\x02\x46", false, Impostor::Tls),
            (br#"{"id":null,"result":false}"#, false, Impostor::StratumV1),
            (b"{\"id\":1}\n", true, Impostor::StratumV1),
        ] {
            assert_eq!(recognise(answer, ended), Some(whom), "{answer:?}");
        }
    }

    #[test]
    fn a_few_bytes_that_look_like_text_prove_nothing() {
        assert_eq!(recognise(b"{\"id\":1}", false), None);
        assert_eq!(recognise(b"", true), None);
        assert_eq!(recognise(b"{\"id\":1,\"result\x80", true), None);
    }
}
