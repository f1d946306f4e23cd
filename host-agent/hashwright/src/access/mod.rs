//! Who may ask: the shell around the pure `access` room. It keeps the token file and the audit log, makes the
//! token for this machine, shows pairing codes, and speaks TLS. What is protected from whom stands in
//! `docs/security.md`.

mod acceptor;
pub mod certificate;
mod keeper;
pub mod pin;
pub mod store;
pub mod trail;

pub use acceptor::{Acceptor, AcceptorError, Stream};
pub use keeper::{CODE_TARGET, Fresh, Keeper, OpenError};
pub use store::{LocalToken, Store, StoreError};

#[cfg(test)]
mod tests;
