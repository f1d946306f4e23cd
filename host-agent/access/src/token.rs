//! Tokens: `hw_` and 32 random bytes in base64 for URLs. Only their SHA-256 is ever kept. That is enough,
//! because nobody can try 2^256 values; slow password hashes are for secrets that people make up.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every token begins with, so that scanners for leaked secrets know one.
const PREFIX: &str = "hw_";

/// A secret that opens the API. It is shown once, when it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token from 32 bytes, which must come from a cryptographic random generator.
    #[must_use]
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Reads a token; spaces and line ends around it are dropped.
    ///
    /// # Errors
    ///
    /// The text has not the form of a token. It is not repeated in the error.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let bytes = text
            .strip_prefix(PREFIX)
            .and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok())
            .filter(|bytes| bytes.len() == 32);
        match bytes {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(TokenError),
        }
    }

    /// The secret itself, to be sent or shown to its owner.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What may be kept of it: the SHA-256 of its text.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

/// A text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no token: one is hw_ and 43 more characters (letters, digits, - and _)")]
pub struct TokenError;

/// SHA-256 of a token.
///
/// Compared in constant time; written as 64 hexadecimal digits.
#[derive(Clone, Copy, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Eight hexadecimal digits by which people and calls name the token.
    #[must_use]
    pub fn id(&self) -> String {
        hex(&self.0[..4])
    }

    /// Enough of the hash to tell two wrong guesses apart.
    pub(crate) fn mark(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl ConstantTimeEq for TokenHash {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({}…)", self.id())
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        from_hex(&text)
            .map(Self)
            .ok_or_else(|| D::Error::custom("a SHA-256 is 64 hexadecimal digits"))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect::<Option<_>>()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_shown() {
        let token = Token::from_random([0xfb; 32]);
        // Known answer: base64url of 32 times 0xfb, by `python3 -c "import base64; ..."`.
        assert_eq!(
            token.reveal(),
            "hw_-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s"
        );
        let read = Token::parse(&format!(" {}\n", token.reveal())).unwrap();
        assert_eq!(read, token);
        assert_eq!(read.hash(), token.hash());
    }

    #[test]
    fn other_texts_are_no_tokens_and_are_not_repeated() {
        let good = Token::from_random([7; 32]);
        let good = good.reveal();
        for text in [
            "",
            "hw_",
            "secret",
            &good[3..],
            &good[..good.len() - 1],
            &format!("{good}A"),
            &good.replace("hw_", "HW_"),
            &format!("{}=", good),
            // The last character carries two bits of nothing, which must be zero.
            &format!("{}B", &good[..good.len() - 1]),
        ] {
            let error = Token::parse(text).unwrap_err().to_string();
            assert!(text.len() < 4 || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn neither_a_token_nor_its_hash_shows_in_debug_output() {
        let token = Token::from_random([9; 32]);
        let shown = format!("{token:?} {:?}", token.hash());
        assert!(!shown.contains(&token.reveal()[3..20]), "{shown}");
        assert!(shown.len() < 60, "{shown}");
    }

    #[test]
    fn hashes_are_those_of_sha256() {
        // SHA-256 of "abc", FIPS 180-4.
        let json = serde_json::to_string(&TokenHash::of("abc")).unwrap();
        assert_eq!(
            json,
            "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\""
        );
        assert_eq!(
            serde_json::from_str::<TokenHash>(&json).unwrap(),
            TokenHash::of("abc")
        );
        for wrong in ["\"ba78\"", "\"\"", "7", "\"zz\""] {
            assert!(serde_json::from_str::<TokenHash>(wrong).is_err(), "{wrong}");
        }
    }
}
