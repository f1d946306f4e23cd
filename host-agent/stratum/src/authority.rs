//! The key by which a Stratum V2 pool is recognised, in the form that pools print behind their
//! URL: base58check of two bytes `01 00` and the 32 bytes of an x-only secp256k1 key.

use std::fmt;
use std::str::FromStr;

use sha256d::Engine;
use thiserror::Error;

/// A pool's authority key. Whether the number is a point of the curve shows only when a
/// session is made with it.
///
/// ```
/// let text = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
/// let key: stratum::AuthorityKey = text.parse()?;
/// assert_eq!(key.as_bytes()[..4], [118, 99, 112, 0]);
/// assert_eq!(key.to_string(), text);
/// # Ok::<(), stratum::KeyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthorityKey([u8; 32]);

impl AuthorityKey {
    /// A key from the x coordinate of its point.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The x coordinate of its point.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for AuthorityKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = decode(text)?;
        let (body, checksum) = bytes.split_at(BODY_LEN);
        if checksum != checksum_of(body) {
            return Err(KeyError::Checksum);
        }
        let (version, key) = body.split_at(VERSION.len());
        if version != VERSION {
            return Err(KeyError::Version(u16::from_le_bytes([body[0], body[1]])));
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(key);
        Ok(Self(bytes))
    }
}

impl fmt::Display for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; LEN];
        bytes[..VERSION.len()].copy_from_slice(&VERSION);
        bytes[VERSION.len()..BODY_LEN].copy_from_slice(&self.0);
        let checksum = checksum_of(&bytes[..BODY_LEN]);
        bytes[BODY_LEN..].copy_from_slice(&checksum);
        f.write_str(&encode(bytes))
    }
}

impl fmt::Debug for AuthorityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityKey({self})")
    }
}

/// Why a text is no authority key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// A character that base58 does not have.
    #[error(
        "the pool's key holds {0:?}, which no such key does; copy it once more from the pool's page"
    )]
    Character(char),
    /// Too few or too many characters.
    #[error("the pool's key is too {0}; a key has about 51 characters, copy it whole")]
    Length(&'static str),
    /// The checksum does not fit.
    #[error("the pool's key has a typing error (its checksum does not fit); copy it once more")]
    Checksum,
    /// Another kind of key.
    #[error("the pool's key is of kind {0}, expected 1; keys of 2021 and before cannot be used")]
    Version(u16),
}

const VERSION: [u8; 2] = [1, 0];
const BODY_LEN: usize = 2 + 32;
const LEN: usize = BODY_LEN + 4;
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Digits of base 58 to a number of exactly [`LEN`] bytes.
fn decode(text: &str) -> Result<[u8; LEN], KeyError> {
    let mut bytes = [0_u8; LEN];
    for character in text.chars() {
        let digit = ALPHABET
            .iter()
            .position(|letter| char::from(*letter) == character)
            .ok_or(KeyError::Character(character))?;
        let mut carry = digit as u32;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry != 0 {
            return Err(KeyError::Length("long"));
        }
    }
    // The first byte of a key is 1, so no leading ones of base 58 can be missing or too many.
    match (bytes[0], text.starts_with('1')) {
        (0, _) => Err(KeyError::Length("short")),
        (_, true) => Err(KeyError::Length("long")),
        _ => Ok(bytes),
    }
}

/// The opposite of [`decode`], for numbers whose first byte is not 0.
fn encode(mut bytes: [u8; LEN]) -> String {
    let mut digits = Vec::with_capacity(52);
    while bytes.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u32;
        for byte in &mut bytes {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / 58) as u8;
            rest = value % 58;
        }
        digits.push(ALPHABET[rest as usize]);
    }
    digits.into_iter().rev().map(char::from).collect()
}

fn checksum_of(body: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = Engine::best().sha256d(body);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The test vector of the protocol's specification.
    const VECTOR: (&str, [u8; 32]) = (
        "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh",
        [
            118, 99, 112, 0, 151, 156, 28, 17, 175, 12, 48, 11, 205, 140, 127, 228, 134, 16, 252,
            233, 185, 193, 30, 61, 174, 227, 90, 224, 176, 138, 116, 85,
        ],
    );

    #[test]
    fn the_vector_of_the_specification_is_read_and_written() {
        let key: AuthorityKey = VECTOR.0.parse().unwrap();
        assert_eq!(key.as_bytes(), &VECTOR.1);
        assert_eq!(AuthorityKey::from_bytes(VECTOR.1).to_string(), VECTOR.0);
    }

    #[test]
    fn a_key_with_an_error_is_refused_with_the_cause() {
        let parse = |text: &str| text.parse::<AuthorityKey>();
        assert_eq!(
            parse("9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXi"),
            Err(KeyError::Checksum)
        );
        assert_eq!(
            parse("9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRX0"),
            Err(KeyError::Character('0'))
        );
        assert_eq!(parse(""), Err(KeyError::Length("short")));
        assert_eq!(parse("9bXiEd8boQVhq7"), Err(KeyError::Length("short")));
        let long = format!("{}{}", VECTOR.0, VECTOR.0);
        assert_eq!(parse(&long), Err(KeyError::Length("long")));
        assert_eq!(
            parse(&format!("1{}", VECTOR.0)),
            Err(KeyError::Length("long"))
        );
    }

    proptest! {
        #[test]
        fn every_key_survives_its_text(bytes: [u8; 32]) {
            let key = AuthorityKey::from_bytes(bytes);
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }

        #[test]
        fn one_wrong_letter_is_always_noticed(bytes: [u8; 32], at in 0_usize..51, by in 1_usize..58) {
            let mut text = AuthorityKey::from_bytes(bytes).to_string().into_bytes();
            let at = at.min(text.len() - 1);
            let index = ALPHABET.iter().position(|letter| *letter == text[at]).unwrap();
            text[at] = ALPHABET[(index + by) % 58];
            let text = String::from_utf8(text).unwrap();
            prop_assert!(text.parse::<AuthorityKey>().is_err(), "{}", text);
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<AuthorityKey>();
        }
    }
}
