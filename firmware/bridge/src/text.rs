//! A short text of fixed size, for what a controller writes into an error and for fault codes.

use core::fmt;

/// Up to [`Text::MAX`] bytes of printable ASCII. Longer texts are cut, other bytes become `?`: it is shown
/// to people and must not be able to upset a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text {
    bytes: [u8; Text::MAX],
    len: u8,
}

impl Text {
    /// The longest text kept, in bytes. The longest known message of public firmware has 23; our guard gives reasons.
    pub const MAX: usize = 96;

    /// No text.
    pub const EMPTY: Self = Self {
        bytes: [b'?'; Self::MAX],
        len: 0,
    };

    /// Takes the bytes of a message.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut text = Self::EMPTY;
        for (to, &from) in text.bytes.iter_mut().zip(bytes) {
            *to = if from == b' ' || from.is_ascii_graphic() {
                from
            } else {
                b'?'
            };
            text.len += 1;
        }
        text
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever stored, so this cannot fail; an empty text would still be no harm.
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text as bytes of ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::from_bytes(text.as_bytes())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Text is written with `write!`; what does not fit is cut.
impl fmt::Write for Text {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let rest = Self::from_bytes(s.as_bytes());
        let from = usize::from(self.len);
        for (to, &byte) in self
            .bytes
            .get_mut(from..)
            .unwrap_or_default()
            .iter_mut()
            .zip(rest.as_bytes())
        {
            *to = byte;
            self.len += 1;
        }
        Ok(())
    }
}
