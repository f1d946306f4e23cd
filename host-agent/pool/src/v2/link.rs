//! The encrypted byte stream of one connection: the responder's side of the Noise handshake, then
//! frames. Time and randomness come in; bytes are cut anywhere.

use super::wire::Frame;
use codec_sv2::{
    Decoded, Decrypted, Handshake, NoiseDecoder, NoiseEncoder, SerializedFrame,
    TransportDecryptState, TransportEncryptState,
};
use noise_sv2::{ELLSWIFT_ENCODING_SIZE, Responder};
use rand_chacha::ChaCha20Rng;
use std::time::Duration;

/// What the certificate of a connection says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Certificate {
    /// The authority that signs it.
    pub(super) public: [u8; 32],
    pub(super) secret: [u8; 32],
    /// Unix time, seconds.
    pub(super) valid_from: u32,
    pub(super) valid_for: Duration,
}

/// What came of some bytes.
pub(super) enum Received {
    /// The miner's first message; [`Link::answer`] goes on.
    Hello([u8; ELLSWIFT_ENCODING_SIZE]),
    /// A frame.
    Frame(SerializedFrame),
}

/// Why the stream cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LinkError {
    Noise(String),
    TooLarge,
}

enum State {
    /// The miner's first bytes are awaited.
    Waiting,
    /// They came, nothing was answered yet.
    Greeted,
    Open(Box<TransportEncryptState>, Option<TransportDecryptState>),
}

pub(super) struct Link {
    decoder: NoiseDecoder,
    encoder: NoiseEncoder,
    state: State,
    input: Vec<u8>,
    /// Bytes of `input` that the decoder has.
    taken: usize,
    /// Bytes of the present frame that the decoder has.
    frame_bytes: usize,
    max_frame: usize,
}

impl Link {
    pub(super) fn new(max_frame: usize) -> Link {
        Link {
            decoder: NoiseDecoder::new(),
            encoder: NoiseEncoder::new(),
            state: State::Waiting,
            input: Vec::new(),
            taken: 0,
            frame_bytes: 0,
            max_frame,
        }
    }

    /// Takes bytes in; [`Link::receive`] says what they are.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.input.drain(..self.taken);
        self.taken = 0;
        self.input.extend_from_slice(bytes);
    }

    /// The next thing in the stream, `None` if more bytes are needed.
    pub(super) fn receive(&mut self) -> Result<Option<Received>, LinkError> {
        loop {
            if matches!(self.state, State::Greeted) {
                // Nothing can be read before the answer, and not much may wait for it.
                let waiting = self.input.len() - self.taken;
                return if waiting > self.max_frame {
                    Err(LinkError::TooLarge)
                } else {
                    Ok(None)
                };
            }
            let wanted = self.decoder.writable_len();
            let waiting = &self.input[self.taken..];
            if waiting.len() < wanted {
                return Ok(None);
            }
            self.decoder.writable().copy_from_slice(&waiting[..wanted]);
            self.taken += wanted;
            self.frame_bytes += wanted;
            if self.frame_bytes > self.max_frame {
                return Err(LinkError::TooLarge);
            }
            match &mut self.state {
                State::Waiting => match self.decoder.next_handshake_frame::<Responder>() {
                    Ok(Decoded::Frame(message)) => {
                        let hello = message.payload().try_into();
                        self.frame_bytes = 0;
                        self.state = State::Greeted;
                        return hello
                            .map(|hello| Some(Received::Hello(hello)))
                            .map_err(|_| LinkError::Noise("a hello of odd size".to_owned()));
                    }
                    Ok(Decoded::Incomplete(_)) => {}
                    Err(error) => return Err(LinkError::Noise(format!("{error:?}"))),
                },
                State::Greeted => return Ok(None),
                State::Open(_, decrypt) => {
                    let Some(state) = decrypt.take() else {
                        return Err(LinkError::Noise("the stream is over".to_owned()));
                    };
                    match self.decoder.next_transport_frame(state) {
                        Ok(Decrypted::Frame(frame, state)) => {
                            *decrypt = Some(state);
                            self.frame_bytes = 0;
                            return Ok(Some(Received::Frame(frame)));
                        }
                        Ok(Decrypted::Incomplete(_, state)) => *decrypt = Some(state),
                        Err(error) => return Err(LinkError::Noise(format!("{error:?}"))),
                    }
                }
            }
        }
    }

    /// The answer to the miner's first message; frames flow from then on.
    pub(super) fn answer(
        &mut self,
        hello: [u8; ELLSWIFT_ENCODING_SIZE],
        certificate: &Certificate,
        random: &mut ChaCha20Rng,
    ) -> Result<Vec<u8>, LinkError> {
        let broken = |error: &dyn std::fmt::Debug| LinkError::Noise(format!("{error:?}"));
        let responder = Responder::from_authority_kp_with_rng(
            &certificate.public,
            &certificate.secret,
            certificate.valid_for,
            random,
        )
        .map_err(|e| broken(&e))?;
        let (answer, transport) = Handshake::responder(responder)
            .step_1_with_now_rng(hello, certificate.valid_from, random)
            .map_err(|e| broken(&e))?;
        let (encrypt, decrypt) = transport.split();
        self.state = State::Open(Box::new(encrypt), Some(decrypt));
        Ok(answer.payload().to_vec())
    }

    /// Encrypts a frame; `None` before the handshake is done.
    pub(super) fn seal(&mut self, frame: Frame) -> Option<Vec<u8>> {
        let State::Open(encrypt, _) = &mut self.state else {
            return None;
        };
        let sealed = self.encoder.encode_transport(frame, encrypt).ok()?;
        Some(AsRef::<[u8]>::as_ref(&sealed).to_vec())
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}
