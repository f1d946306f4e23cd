//! Which servers are trusted with TLS: settings only, the same with and without TLS built in.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::text::{from_hex, presentable, to_hex};

/// Which certificates a server may show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that this computer trusts.
    #[default]
    System,
    /// Those of the authorities in this PEM text, and no others.
    Authority {
        /// One or more certificates.
        pem: Vec<u8>,
    },
    /// This very certificate, whatever its name, dates and issuer.
    Fingerprint(Fingerprint),
}

/// SHA-256 of a certificate in DER form.
///
/// Reads 64 hexadecimal digits, with or without colons, and what
/// `openssl x509 -noout -fingerprint -sha256` prints.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// A fingerprint from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = TrustError;

    fn from_str(text: &str) -> Result<Self, TrustError> {
        let wrong = || TrustError::Fingerprint(presentable(text, 120));
        let digits = text.rsplit('=').next().unwrap_or(text).trim();
        let lower = digits.to_ascii_lowercase();
        let digits = lower.strip_prefix("sha256:").unwrap_or(&lower);
        let bytes = from_hex(&digits.replace(':', "")).ok_or_else(wrong)?;
        bytes.try_into().map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Settings that no TLS connection can be made with.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TrustError {
    /// Not the hash of a certificate.
    #[error(
        "\"{0}\" is no SHA-256 fingerprint; expected 64 hexadecimal digits, with or without \
         colons, as `openssl x509 -noout -fingerprint -sha256` prints them"
    )]
    Fingerprint(String),
    /// The text holds no certificate.
    #[error("the file holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// The text is broken.
    #[error("the file's certificates cannot be read: {0}")]
    Pem(String),
    /// A certificate that is none.
    #[error("certificate {index} of the file cannot be used: {problem}")]
    Certificate {
        /// Which one, counted from 1.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The TLS library does not take its own settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
    /// TLS was left out of this build.
    #[error("this build has no TLS; build with --features tls")]
    NotBuilt,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_tools_print_them() {
        let digits = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
        let pairs: Vec<_> = digits
            .as_bytes()
            .chunks(2)
            .map(String::from_utf8_lossy)
            .collect();
        let colons = pairs.join(":").to_uppercase();
        for text in [
            digits.to_owned(),
            colons.clone(),
            format!("sha256:{digits}"),
            format!("SHA256 Fingerprint={colons}\n"),
        ] {
            let read: Fingerprint = text.parse().unwrap();
            assert_eq!(read.to_string(), digits, "{text}");
        }
        for text in ["", "0f1e", &digits[1..], &format!("{digits}00"), "sha1:00"] {
            let error = text.parse::<Fingerprint>();
            assert!(matches!(error, Err(TrustError::Fingerprint(_))), "{text}");
        }
    }
}
