//! The pool's authority key: what miners are told to trust, and what signs the certificate of each
//! connection. Made from a seed, so that a test pool keeps its URL.

use crate::hash::sha256d;
use key_utils::{Secp256k1PublicKey, Secp256k1SecretKey};

/// An authority key pair. Good for tests only: whoever knows the seed knows the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    secret: [u8; 32],
    public: [u8; 32],
    text: String,
}

impl Authority {
    /// The key pair of this seed.
    pub fn from_seed(seed: u64) -> Authority {
        let mut counter = 0u64;
        // Nearly every 32 bytes are a key; the next counter is tried if they are not.
        loop {
            let bytes = [
                b"hashwright embedded pool authority".as_slice(),
                &seed.to_le_bytes(),
                &counter.to_le_bytes(),
            ];
            let secret = sha256d(&bytes.concat());
            if let Some(authority) = Authority::from_secret(secret) {
                return authority;
            }
            counter += 1;
        }
    }

    /// The public key in the form that URLs carry: base58check of `01 00` and the x-only key.
    pub fn public_text(&self) -> &str {
        &self.text
    }

    /// The x-only public key.
    pub fn public_bytes(&self) -> [u8; 32] {
        self.public
    }

    pub(super) fn secret_bytes(&self) -> [u8; 32] {
        self.secret
    }

    fn from_secret(secret: [u8; 32]) -> Option<Authority> {
        // The crate has no way in from bytes but the text form.
        let text = bitcoin::base58::encode_check(&secret);
        let key: Secp256k1SecretKey = text.parse().ok()?;
        let public = Secp256k1PublicKey::from(key);
        Some(Authority {
            secret,
            public: public.into_bytes(),
            text: public.to_string(),
        })
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({})", self.text)
    }
}
