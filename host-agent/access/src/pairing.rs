//! Pairing: a short code, shown where the owner can see it, makes one token. A code has 40 random bits, is
//! good for one use, and is void after ten minutes or a few wrong tries, so that guessing is
//! hopeless even from many addresses.

use std::fmt;
use std::time::Duration;

use crate::token::TokenHash;
use rpc::Role;

/// How long a code is good.
pub const CODE_VALID: Duration = Duration::from_secs(600);

/// Wrong tries, from anywhere, after which a code is void.
pub const MAX_WRONG_CODES: u32 = 5;

/// Without I, L, O and U, which are misread or make words (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A pairing code: eight letters and digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// A code from random bytes, which must come from a cryptographic random generator.
    #[must_use]
    pub fn from_random(bytes: [u8; 8]) -> Self {
        let letter = |byte: u8| char::from(ALPHABET[usize::from(byte % 32)]);
        Self(bytes.into_iter().map(letter).collect())
    }

    /// The code as people read and type it: two groups of four.
    #[must_use]
    pub fn reveal(&self) -> String {
        let (first, second) = self.0.split_at(4);
        format!("{first}-{second}")
    }

    fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(secret)")
    }
}

/// What may be told about an open pairing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairingInfo {
    /// The role of the token that it makes.
    pub role: Role,
    /// How long the code is still good.
    pub left: Duration,
}

/// An open pairing.
#[derive(Clone, Debug)]
pub(crate) struct Pairing {
    hash: TokenHash,
    role: Role,
    until: Duration,
    wrong: u32,
}

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Try {
    /// It is the code.
    Right(Role),
    /// It is not; so many wrong ones are left.
    Wrong { left: u32 },
    /// The code had run out.
    TooLate,
}

impl Pairing {
    pub(crate) fn new(code: &Code, role: Role, now: Duration) -> Self {
        Self {
            hash: code.hash(),
            role,
            until: now.saturating_add(CODE_VALID),
            wrong: 0,
        }
    }

    pub(crate) fn info(&self, now: Duration) -> Option<PairingInfo> {
        (now < self.until && self.wrong < MAX_WRONG_CODES).then(|| PairingInfo {
            role: self.role,
            left: self.until.saturating_sub(now),
        })
    }

    pub(crate) fn attempt(&mut self, typed: &str, now: Duration) -> Try {
        if self.info(now).is_none() {
            return Try::TooLate;
        }
        if TokenHash::of(&normal(typed)) == self.hash {
            return Try::Right(self.role);
        }
        self.wrong += 1;
        Try::Wrong {
            left: MAX_WRONG_CODES - self.wrong,
        }
    }
}

/// A code as it was meant: without dashes and spaces, and with the letters that it cannot have read as the
/// digits that they look like.
pub(crate) fn normal(typed: &str) -> String {
    typed
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .take(16)
        .map(|c| match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> Code {
        Code::from_random([1, 0, 31, 17, 20, 250, 9, 8])
    }

    #[test]
    fn a_code_is_typed_in_many_ways() {
        assert_eq!(code().reveal(), "10ZH-MT98");
        for typed in [
            "10ZH-MT98",
            "10zhmt98",
            "lOzh mt98",
            "I0ZH-MT-98",
            " 10ZHMT98 ",
        ] {
            let mut pairing = Pairing::new(&code(), Role::Admin, Duration::ZERO);
            assert_eq!(
                pairing.attempt(typed, Duration::ZERO),
                Try::Right(Role::Admin),
                "{typed}"
            );
        }
        assert!(!format!("{:?}", code()).contains("10ZH"));
    }

    #[test]
    fn five_wrong_tries_make_it_void() {
        let mut pairing = Pairing::new(&code(), Role::Read, Duration::ZERO);
        for left in (0..5).rev() {
            assert!(pairing.info(Duration::ZERO).is_some());
            let tried = pairing.attempt("00000000", Duration::ZERO);
            assert_eq!(tried, Try::Wrong { left });
        }
        assert_eq!(pairing.info(Duration::ZERO), None);
        assert_eq!(pairing.attempt("10ZHMT98", Duration::ZERO), Try::TooLate);
    }

    #[test]
    fn it_runs_out_after_ten_minutes() {
        let mut pairing = Pairing::new(&code(), Role::Read, Duration::from_secs(50));
        let late = Duration::from_secs(650);
        assert_eq!(
            pairing
                .info(Duration::from_secs(649))
                .unwrap()
                .left
                .as_secs(),
            1
        );
        assert_eq!(pairing.info(late), None);
        assert_eq!(pairing.attempt("10ZHMT98", late), Try::TooLate);
    }
}
