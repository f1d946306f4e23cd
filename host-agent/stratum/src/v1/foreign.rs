//! Telling from the first bytes of a peer that it does not speak Stratum V1, and what it is
//! instead. Lines of JSON hold no control characters; TLS records, Noise handshakes and other
//! binary protocols do, within their first bytes.

use crate::text::presentable;
use crate::url::{PoolUrl, bracketed};

/// What a peer seems to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tls,
    /// Noise looks like nothing but noise.
    Binary,
}

/// Looks at the first line of a connection, byte by byte.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Sniffer {
    /// Nothing came yet.
    #[default]
    First,
    /// A byte with which a TLS record may begin.
    PerhapsTls,
    /// Text so far.
    Text,
    /// The first line is over, and was text.
    Done,
}

/// The content types of TLS records that a server may send at first: alert and handshake.
const TLS_RECORDS: [u8; 2] = [0x15, 0x16];
/// The first byte of the version in each TLS record.
const TLS_MAJOR: u8 = 3;

impl Sniffer {
    /// Takes the next bytes; tells when the peer shows that it speaks something else. That does
    /// not depend on how the bytes are cut.
    pub(crate) fn look(&mut self, bytes: &[u8]) -> Option<Protocol> {
        for &byte in bytes {
            *self = match *self {
                Self::Done => return None,
                Self::First if TLS_RECORDS.contains(&byte) => Self::PerhapsTls,
                Self::PerhapsTls if byte == TLS_MAJOR => return Some(Protocol::Tls),
                Self::PerhapsTls => return Some(Protocol::Binary),
                Self::First | Self::Text => match byte {
                    b'\n' => Self::Done,
                    b'\t' | b'\r' => Self::Text,
                    // Control characters, and bytes that no UTF-8 text has.
                    0..0x20 | 0x7f | 0xc0 | 0xc1 | 0xf5.. => return Some(Protocol::Binary),
                    _ => Self::Text,
                },
            };
        }
        None
    }
}

/// What the owner should know about a peer that sent this line, which is no JSON.
pub(crate) fn of_line(line: &[u8], url: &PoolUrl) -> Option<String> {
    if !line.starts_with(b"HTTP/") {
        return None;
    }
    let (host, port) = (bracketed(url.host()), url.port());
    let answer = presentable(&String::from_utf8_lossy(line), 60);
    Some(format!(
        "a web server answers at {host}:{port} (\"{answer}\"). If this is a Bitcoin node, use \
         http://{host}:{port} to mine solo; else look up the pool's Stratum port"
    ))
}

impl Protocol {
    /// What the owner should know, and do.
    pub(crate) fn advice(self, url: &PoolUrl) -> String {
        let (host, port) = (bracketed(url.host()), url.port());
        match self {
            Self::Tls => {
                format!("the server speaks TLS; use stratum+tls://{host}:{port} in place of {url}")
            }
            Self::Binary => format!(
                "the server does not send lines of text. If this is a Stratum V2 pool, use \
                 stratum2+tcp://{host}:{port}/KEY with the key from the pool's page; else look up \
                 the pool's Stratum V1 port"
            ),
        }
    }
}

/// What a server that hangs up at our first message, time after time, may be.
pub(crate) fn mute(url: &PoolUrl, times: u32) -> String {
    let (host, port) = (bracketed(url.host()), url.port());
    let tls = if url.scheme().is_tls() {
        String::new()
    } else {
        format!(" or one with TLS (then use stratum+tls://{host}:{port})")
    };
    format!(
        "the server closed the connection at our first message without a word, {times} times in a \
         row. It may be a Stratum V2 pool (then use stratum2+tcp://{host}:{port}/KEY){tls}, or it \
         does not want this miner"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(bytes: &[u8]) -> Option<Protocol> {
        Sniffer::default().look(bytes)
    }

    #[test]
    fn tls_is_known_by_its_records() {
        // A fatal alert "protocol version", as servers answer a line of JSON.
        assert_eq!(look(b"\x15\x03\x01\x00\x02\x02\x46"), Some(Protocol::Tls));
        assert_eq!(look(b"\x16\x03\x03"), Some(Protocol::Tls));
        assert_eq!(look(b"\x15"), None);
        assert_eq!(look(b"\x15\x04"), Some(Protocol::Binary));
    }

    #[test]
    fn json_and_words_are_text() {
        assert_eq!(look("{\"a\":\"ä\u{10ffff}\"}\r\n".as_bytes()), None);
        assert_eq!(look(b"hello\n\x00\x01"), None, "only the first line counts");
    }

    proptest! {
        /// The answer of a Stratum V2 pool to 64 bytes of anything: 234 random bytes.
        #[test]
        fn noise_does_not_pass_for_text(bytes in proptest::collection::vec(any::<u8>(), 234)) {
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            prop_assume!(line.len() > 100);
            prop_assert!(look(&bytes).is_some());
        }

        #[test]
        fn what_is_found_does_not_depend_on_how_bytes_are_cut(
            bytes: Vec<u8>, at in 0usize..64,
        ) {
            let (head, tail) = bytes.split_at(at.min(bytes.len()));
            let mut sniffer = Sniffer::default();
            let cut = sniffer.look(head).or_else(|| sniffer.look(tail));
            prop_assert_eq!(cut, look(&bytes));
        }
    }
}
