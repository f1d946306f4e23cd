//! The gate: every request passes it, and it says who asks or why not.

use std::time::Duration;

use crate::address::{Key, Peer};
use crate::book::{Book, BookError, Record, good_name};
use crate::bucket::{Bucket, Buckets, Rate};
use crate::identity::{Identity, Origin};
use crate::lockout::{Lockout, Verdict};
use crate::pairing::{Code, Pairing, PairingInfo, Try};
use crate::refusal::Refusal;
use crate::time::{Calendar, Moment};
use crate::token::{Token, TokenHash};
use rpc::Role;

/// What is allowed without a token, and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// What programs on this machine may do without a token.
    pub local: Option<Role>,
    /// How often others may ask.
    pub limits: Limits,
}

/// How often others may ask. Programs on this machine are not limited: they could take its time without the
/// API as well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Requests of one address.
    pub address: Rate,
    /// Requests of all addresses together.
    pub all: Rate,
    /// Most addresses that are counted one by one.
    pub addresses: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            address: Rate {
                per_s: 50.0,
                burst: 200.0,
            },
            all: Rate {
                per_s: 1_000.0,
                burst: 2_000.0,
            },
            addresses: 1_024,
        }
    }
}

/// Knows who is who.
#[derive(Debug)]
pub struct Gate {
    policy: Policy,
    book: Result<Book, String>,
    owner: Option<TokenHash>,
    pairing: Option<Pairing>,
    requests: Buckets,
    all: Option<Bucket>,
    lockout: Lockout,
    calendar: Calendar,
    lockouts: u64,
}

impl Gate {
    /// A gate with these tokens.
    #[must_use]
    pub fn new(policy: Policy, book: Book) -> Self {
        Self {
            policy,
            book: Ok(book),
            owner: None,
            pairing: None,
            requests: Buckets::new(policy.limits.address, policy.limits.addresses),
            all: None,
            lockout: Lockout::new(policy.limits.addresses),
            calendar: Calendar::default(),
            lockouts: 0,
        }
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The tokens; the reason if they cannot be known.
    ///
    /// # Errors
    ///
    /// See [`Self::set_book`].
    pub fn book(&self) -> Result<&Book, &str> {
        self.book.as_ref().map_err(String::as_str)
    }

    /// The tokens have changed; or they cannot be known, which makes every token useless until they can.
    pub fn set_book(&mut self, book: Result<Book, String>) {
        self.book = book;
    }

    /// The tokens, to note uses and ends.
    pub fn book_mut(&mut self) -> Option<&mut Book> {
        self.book.as_mut().ok()
    }

    /// The token that opens everything to programs on this machine that can read the agent's files.
    pub fn set_owner(&mut self, owner: Option<TokenHash>) {
        self.owner = owner;
    }

    /// How often an address has been locked out.
    #[must_use]
    pub fn lockouts(&self) -> u64 {
        self.lockouts
    }

    /// The calendar as this gate sees it, seconds since 1970.
    pub fn unix_s(&mut self, at: Moment) -> u64 {
        self.calendar.unix_s(at)
    }

    /// Counts a request, before anything else is done about it.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`].
    pub fn request(&mut self, at: Moment, peer: Peer) -> Result<(), Refusal> {
        let key = peer.key();
        if key == Key::Local {
            return Ok(());
        }
        let too_many = |wait| Refusal::TooMany {
            retry_after_s: seconds(wait),
        };
        self.requests.take(key, at.now).map_err(too_many)?;
        let rate = self.policy.limits.all;
        self.all
            .get_or_insert(Bucket::full(rate, at.now))
            .take(rate, at.now)
            .map_err(too_many)
    }

    /// Who somebody is without a token.
    #[must_use]
    pub fn anonymous(&self, peer: Peer) -> Identity {
        Identity::anonymous(peer.is_local(), self.policy.local)
    }

    /// Who asks, by the value of the `Authorization` header if there is one.
    ///
    /// # Errors
    ///
    /// A header that is not right is refused also where none was needed, so that nobody believes that their
    /// token works.
    pub fn identify(
        &mut self,
        at: Moment,
        peer: Peer,
        authorization: Option<&str>,
    ) -> Result<Identity, Refusal> {
        let Some(header) = authorization else {
            return Ok(self.anonymous(peer));
        };
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token,
            _ => return Err(Refusal::Unreadable),
        };
        self.login(at, peer, token)
    }

    /// Who shows this token.
    ///
    /// # Errors
    ///
    /// Why it opens nothing.
    pub fn login(&mut self, at: Moment, peer: Peer, token: &str) -> Result<Identity, Refusal> {
        let key = peer.key();
        let wait = self.lockout.wait(key, at.now);
        // On this machine a right token opens at once, whatever others on it have tried.
        if let Some(wait) = wait.filter(|_| key != Key::Local) {
            return Err(Refusal::LockedOut {
                retry_after_s: seconds(wait),
            });
        }
        let token = Token::parse(token).map_err(|_| Refusal::Unreadable)?;
        match self.known(at, peer, &token.hash())? {
            Some(identity) => {
                self.lockout.right(key);
                Ok(identity)
            }
            None => Err(self.wrong(key, token.hash().mark(), at.now, Refusal::Unknown)),
        }
    }

    /// Whether somebody who was let in is still welcome: their token may have been revoked, have
    /// another role, or have ended since.
    #[must_use]
    pub fn holds(&self, at: Moment, identity: &Identity) -> bool {
        match &identity.origin {
            Origin::Nobody | Origin::Local => true,
            Origin::Owner => self.owner.is_some(),
            Origin::Token { id } => self.book.as_ref().is_ok_and(|book| {
                let same = |record: &&Record| record.id == *id;
                book.tokens().iter().find(same).is_some_and(|record| {
                    Some(record.role) == identity.role && !record.is_expired(self.calendar.peek(at))
                })
            }),
        }
    }

    /// Notes which tokens have ended; whether there are new ones.
    pub fn note_expired(&mut self, at: Moment) -> bool {
        let unix_s = self.calendar.unix_s(at);
        self.book
            .as_mut()
            .is_ok_and(|book| book.note_expired(unix_s))
    }

    /// Opens pairing: whoever has the code gets a token with this role. An earlier code is void.
    pub fn start_pairing(&mut self, at: Moment, code: &Code, role: Role) {
        self.pairing = Some(Pairing::new(code, role, at.now));
    }

    /// Ends pairing.
    pub fn stop_pairing(&mut self) {
        self.pairing = None;
    }

    /// Whether pairing is open.
    #[must_use]
    pub fn pairing(&self, at: Moment) -> Option<PairingInfo> {
        self.pairing.as_ref()?.info(at.now)
    }

    /// Trades a code for the role of the token to be made, and ends the pairing.
    ///
    /// # Errors
    ///
    /// No pairing, another code, a name that is none, or a lock-out.
    pub fn redeem(
        &mut self,
        at: Moment,
        peer: Peer,
        code: &str,
        name: &str,
    ) -> Result<Role, Refusal> {
        let key = peer.key();
        if let Some(wait) = self.lockout.wait(key, at.now) {
            return Err(Refusal::LockedOut {
                retry_after_s: seconds(wait),
            });
        }
        if !good_name(name) {
            let reason = BookError::Name.to_string();
            return Err(Refusal::NoToken { reason });
        }
        let Some(pairing) = &mut self.pairing else {
            return Err(Refusal::NoPairing);
        };
        match pairing.attempt(code, at.now) {
            Try::Right(role) => {
                self.pairing = None;
                self.lockout.right(key);
                Ok(role)
            }
            Try::TooLate => {
                self.pairing = None;
                Err(Refusal::NoPairing)
            }
            Try::Wrong { left } => {
                if left == 0 {
                    self.pairing = None;
                }
                let mark = TokenHash::of(&crate::pairing::normal(code)).mark();
                Err(self.wrong(key, mark, at.now, Refusal::WrongCode { left }))
            }
        }
    }

    /// Who has a token with this hash.
    fn known(
        &mut self,
        at: Moment,
        peer: Peer,
        hash: &TokenHash,
    ) -> Result<Option<Identity>, Refusal> {
        let unix_s = self.calendar.unix_s(at);
        if self.owner.as_ref() == Some(hash) {
            if !peer.is_local() {
                return Err(Refusal::LocalOnly);
            }
            return Ok(Some(Identity {
                name: "owner".to_owned(),
                role: Some(Role::Admin),
                origin: Origin::Owner,
            }));
        }
        let book = self.book.as_ref().map_err(|reason| Refusal::Unavailable {
            reason: reason.clone(),
        })?;
        if let Some(record) = book.find(hash) {
            if record.is_expired(unix_s) {
                let name = record.name.clone();
                return Err(Refusal::Expired { name });
            }
            return Ok(Some(Identity {
                name: record.name.clone(),
                role: Some(record.role),
                origin: Origin::Token {
                    id: record.id.clone(),
                },
            }));
        }
        match book.find_revoked(hash) {
            Some(old) => Err(Refusal::Revoked {
                name: old.name.clone(),
            }),
            None => Ok(None),
        }
    }

    fn wrong(&mut self, key: Key, mark: u64, now: Duration, otherwise: Refusal) -> Refusal {
        match self.lockout.wrong(key, mark, now) {
            Verdict::Wrong | Verdict::Again => otherwise,
            Verdict::Locked(wait, fresh) => {
                self.lockouts += u64::from(fresh);
                Refusal::LockedOut {
                    retry_after_s: seconds(wait),
                }
            }
        }
    }
}

/// Whole seconds to wait, at least one.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}
