//! The initiator's side of the Noise NX handshake, and the ciphers that come out of it. Random
//! numbers and the time come in, so that the same input always gives the same bytes.

use noise_sv2::{Error as NoiseError, Initiator, NoiseDecryptor, NoiseEncryptor};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use thiserror::Error;

use crate::v2::AuthorityKey;

/// Bytes with which a client opens the handshake: an ephemeral key in ElligatorSwift form.
pub const HANDSHAKE_HELLO_LEN: usize = 64;
/// Bytes of the server's answer: 64 of an ephemeral key, 80 of the encrypted static key and 90 of
/// the encrypted certificate. The specification says 170 in one place, but its own list of
/// fields adds up to this.
pub const HANDSHAKE_ANSWER_LEN: usize = noise_sv2::INITIATOR_EXPECTED_HANDSHAKE_MESSAGE_SIZE;

/// Bytes that sealing adds to a piece.
pub(super) const SEAL_LEN: usize = noise_sv2::AEAD_MAC_LEN;
/// Largest sealed piece, bytes.
pub(super) const MAX_SEALED: usize = u16::MAX as usize;
/// Largest piece before it is sealed, bytes.
pub(super) const MAX_PIECE: usize = MAX_SEALED - SEAL_LEN;

/// A handshake whose first message has been made.
pub struct Handshake {
    initiator: Box<Initiator>,
    key: Option<AuthorityKey>,
    entropy: [u8; 32],
}

impl Handshake {
    /// Begins a handshake; gives it and the bytes to be sent.
    ///
    /// `entropy` must be unpredictable and never used before. Without a `key` any server passes.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::NoPoint`] if the key cannot be one.
    pub fn begin(
        key: Option<AuthorityKey>,
        entropy: [u8; 32],
    ) -> Result<(Self, [u8; HANDSHAKE_HELLO_LEN]), HandshakeError> {
        let (initiator, hello) = initiate(key, entropy)?;
        let handshake = Self {
            initiator,
            key,
            entropy,
        };
        Ok((handshake, hello))
    }

    /// Takes the server's answer, judges its certificate at `unix_now` (seconds since 1970) with
    /// ten seconds of tolerance, and gives the ciphers of the connection.
    ///
    /// # Errors
    ///
    /// See [`HandshakeError`].
    pub fn finish(
        mut self,
        answer: &[u8; HANDSHAKE_ANSWER_LEN],
        unix_now: u64,
    ) -> Result<Ciphers, HandshakeError> {
        let now = u32::try_from(unix_now).unwrap_or(u32::MAX);
        let (version, valid_from, valid_until) = match self.initiator.step_2_with_now(*answer, now)
        {
            Ok(engine) => {
                let (seal, open) = engine.into_split();
                return Ok(Ciphers { seal, open });
            }
            Err(NoiseError::InvalidCertificate(it)) => {
                (it.version, it.valid_from, it.not_valid_after)
            }
            Err(_) => return Err(HandshakeError::Undecipherable),
        };
        if version != noise_sv2::CERTIFICATE_VERSION {
            return Err(HandshakeError::CertificateVersion(version));
        }
        if valid_from > valid_until {
            return Err(HandshakeError::NeverValid);
        }
        // The crate does not say whether time or signature failed. The same handshake once more,
        // at a time that the certificate allows, tells.
        let (mut again, _) = initiate(self.key, self.entropy)?;
        match again.step_2_with_now(*answer, valid_from) {
            Ok(_) => Err(HandshakeError::Time {
                valid_from: u64::from(valid_from),
                valid_until: u64::from(valid_until),
            }),
            Err(_) => Err(HandshakeError::Signature),
        }
    }
}

fn initiate(
    key: Option<AuthorityKey>,
    entropy: [u8; 32],
) -> Result<(Box<Initiator>, [u8; HANDSHAKE_HELLO_LEN]), HandshakeError> {
    let mut rng = ChaCha20Rng::from_seed(entropy);
    let mut initiator = match key {
        Some(key) => Initiator::from_raw_k_with_rng(*key.as_bytes(), &mut rng)
            .map_err(|_| HandshakeError::NoPoint)?,
        None => Initiator::new_with_rng(None, &mut rng),
    };
    let hello = initiator
        .step_0()
        .map_err(|_| HandshakeError::Undecipherable)?;
    Ok((initiator, hello))
}

/// Whether a key is one that signatures can be checked against: about half of all numbers are
/// coordinates of a point on the curve.
pub(in crate::v2) fn is_on_curve(key: &AuthorityKey) -> bool {
    initiate(Some(*key), [1; 32]).is_ok()
}

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// The authority key is not on the curve.
    #[error("the authority key is not a point of the curve secp256k1")]
    NoPoint,
    /// What the server sent is not the second message of this handshake.
    #[error("the server's answer does not fit to our handshake")]
    Undecipherable,
    /// The certificate is of another kind.
    #[error("the server's certificate has format {0}, expected 0")]
    CertificateVersion(u16),
    /// The certificate ends before it begins.
    #[error("the server's certificate ends before it begins")]
    NeverValid,
    /// The authority signed the certificate, but it is not valid now.
    #[error(
        "the server's certificate is valid from {valid_from} to {valid_until} (seconds since 1970) only"
    )]
    Time {
        /// First moment, seconds since 1970.
        valid_from: u64,
        /// Last moment, seconds since 1970.
        valid_until: u64,
    },
    /// The authority did not sign the certificate.
    #[error("the server's certificate is not signed by the authority")]
    Signature,
}

/// The ciphers of a connection, one for each direction. Each sealed piece has its place in the
/// order; one that does not open is the end of the connection.
pub struct Ciphers {
    seal: NoiseEncryptor,
    open: NoiseDecryptor,
}

impl Ciphers {
    /// Seals a plain frame for sending: the header first, then the payload in pieces of at most
    /// 65519 bytes. `None` if the connection has used up all its places, which takes for ever.
    pub fn seal(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let (header, payload) = frame.split_at_checked(super::HEADER_LEN)?;
        let pieces = payload.len().div_ceil(MAX_PIECE) + 1;
        let mut sealed = Vec::with_capacity(frame.len() + pieces * SEAL_LEN);
        for piece in std::iter::once(header).chain(payload.chunks(MAX_PIECE)) {
            let mut buffer = Vec::with_capacity(piece.len() + SEAL_LEN);
            buffer.extend_from_slice(piece);
            self.seal.encrypt(&mut buffer).ok()?;
            sealed.append(&mut buffer);
        }
        Some(sealed)
    }

    /// Opens a sealed piece in place; false if it is not the next one of this connection.
    pub(super) fn open(&mut self, piece: &mut Vec<u8>) -> bool {
        self.open.decrypt(piece).is_ok()
    }
}
