//! Who somebody is: the front's side of [`crate::access`].

use std::sync::Arc;

use access::{Identity, Peer, Refusal};
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use rpc::{Error, Role, auth};
use serde_json::{Value, json};

use crate::access::Keeper;
use crate::settings::{Actor, Audit};

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Who {
    /// Where they are.
    pub(super) peer: Peer,
    /// Who they are and what they may.
    pub(super) identity: Identity,
}

impl Who {
    /// Whether they may do what that role may.
    pub(super) fn require(&self, role: Option<Role>) -> Result<(), Error> {
        let required = self.identity.require(role);
        required.map_err(|refusal| told(&refusal))
    }

    /// Them as somebody who wants to change something. Whoever may nothing never gets so far.
    pub(super) fn actor(&self) -> Actor {
        Actor {
            name: self.identity.name.clone(),
            role: self.identity.role.unwrap_or(Role::Read),
            via: "rpc",
            peer: Some(self.peer.ip()),
        }
    }
}

/// The way to the keeper of tokens.
#[derive(Clone, Debug)]
pub(super) struct Door(pub(super) Keeper);

impl Door {
    /// Whether they may ask once more now.
    pub(super) fn request(&self, peer: Peer) -> Result<(), Error> {
        self.0.request(peer).map_err(|refusal| told(&refusal))
    }

    /// Somebody by the `Authorization` header of their request.
    pub(super) fn identify(&self, peer: Peer, header: Option<&str>) -> Result<Who, Refusal> {
        let identity = self.0.identify(peer, header)?;
        Ok(Who { peer, identity })
    }

    /// Whether what they may do is still true.
    pub(super) fn holds(&self, who: &Who) -> bool {
        self.0.still_valid(&who.identity)
    }

    /// Returns once that is not true any more.
    pub(super) async fn gone(&self, who: &Who) {
        self.0.gone(&who.identity).await;
    }

    /// Somebody by their token.
    pub(super) fn login(&self, peer: Peer, token: &str) -> Result<Who, Error> {
        let identity = self
            .0
            .login(peer, token)
            .map_err(|refusal| told(&refusal))?;
        Ok(Who { peer, identity })
    }

    /// What they are told about themselves.
    pub(super) fn whoami(&self, who: &Who) -> auth::WhoAmI {
        self.0.whoami(&who.identity)
    }

    /// What anybody is told.
    pub(super) fn info(&self, peer: Peer) -> auth::AuthInfo {
        self.0.info(peer)
    }

    /// A token for a pairing code.
    pub(super) async fn pair(
        &self,
        peer: Peer,
        pair: &auth::Pair,
    ) -> Result<auth::NewToken, Error> {
        let paired = self.0.pair(peer, &pair.code, &pair.name).await;
        paired.map_err(|refusal| told(&refusal))
    }

    /// A pairing code.
    pub(super) fn start_pairing(
        &self,
        wanted: &auth::PairingStart,
    ) -> Result<auth::PairingCode, Error> {
        let started = self.0.start_pairing(wanted.role.unwrap_or(Role::Admin));
        started.map_err(|error| Error::denied(error.to_string()))
    }

    /// All tokens.
    pub(super) fn list(&self) -> Result<Vec<auth::TokenInfo>, Error> {
        self.0.list().map_err(Error::denied)
    }

    /// A new token.
    pub(super) async fn add(&self, wanted: &auth::TokenAdd) -> Result<auth::NewToken, Error> {
        let auth::TokenAdd {
            name,
            role,
            expires_s,
        } = wanted;
        let added = self.0.add(name, *role, *expires_s).await;
        added.map_err(|error| Error::denied(error.to_string()))
    }

    /// The end of a token.
    pub(super) async fn revoke(
        &self,
        wanted: &auth::TokenRevoke,
    ) -> Result<auth::TokenInfo, Error> {
        let revoked = self.0.revoke(&wanted.id).await;
        revoked.map_err(|error| Error::denied(error.to_string()))
    }

    /// Who changed what.
    pub(super) async fn audit_list(
        &self,
        wanted: &auth::AuditQuery,
    ) -> Result<Vec<auth::AuditRecord>, Error> {
        let most = wanted.limit.unwrap_or(100).min(MOST_RECORDS);
        self.0.audit_list(most).await.map_err(Error::denied)
    }

    /// Keeps a record of a change, or of a try.
    pub(super) fn audit(
        &self,
        who: &Who,
        method: &str,
        params: Value,
        outcome: Result<(), &Error>,
    ) {
        let outcome = outcome.map_err(Error::text);
        let (identity, peer) = (&who.identity, Some(who.peer));
        self.0.audit(identity, peer, "rpc", method, params, outcome);
    }

    /// Who keeps records of changes, by whatever face they come.
    pub(super) fn auditor(&self) -> Arc<dyn Audit> {
        Arc::new(self.0.clone())
    }
}

/// Records in one answer.
const MOST_RECORDS: usize = 1000;

/// A refusal as JSON-RPC tells it.
pub(super) fn told(refusal: &Refusal) -> Error {
    let mut data = json!({"text": refusal.to_string()});
    if let Some(needs) = refusal.needs() {
        data["needs"] = json!(needs);
        data["has"] = match refusal {
            Refusal::NeedsToken { has, .. } | Refusal::NeedsRole { has, .. } => json!(has),
            _ => Value::Null,
        };
    }
    if let Some(retry_after_s) = refusal.retry_after_s() {
        data["retry_after_s"] = json!(retry_after_s);
    }
    Error::new(refusal.code(), Some(data))
}

/// Says in the answer to a refused request how one shows who one is.
pub(super) fn challenged<B>(mut answer: Response<B>) -> Response<B> {
    if answer.status() == StatusCode::UNAUTHORIZED {
        let how = HeaderValue::from_static("Bearer");
        answer.headers_mut().insert(WWW_AUTHENTICATE, how);
    }
    answer
}
