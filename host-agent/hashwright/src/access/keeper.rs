//! The keeper: one for the whole agent, asked by every face for who somebody is, and told by all what
//! was changed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use access::audit::{Line, Refused};
use access::{
    Book, BookError, Code, Gate, Identity, Limits, Moment, Origin, Peer, Policy, Record, Refusal,
    Role, Token,
};
use rpc::auth::{AuditRecord, AuthInfo, NewToken, PairingCode, TokenInfo, WhoAmI};
use serde_json::Value;
use stratum::transport::Fingerprint;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::acceptor::{Acceptor, AcceptorError};
use super::store::{self, LocalToken, Stamp, Store, StoreError};
use super::trail::{self, Trail};
use crate::clock::Clock;
use crate::config::{Agent, Api};
use crate::settings::{Actor, Audit};

/// How often files, ends of tokens and pairing codes are looked after.
const TICK: Duration = Duration::from_secs(1);

/// The wait after a pairing code was guessed wrong too often, before the agent shows another by itself.
const CODE_PAUSE: Duration = Duration::from_secs(60);

/// Target of the log lines with pairing codes. The API's log must leave them out: a code makes an
/// administrator of whoever reads it.
pub const CODE_TARGET: &str = "hashwright::pairing";

/// Why the API does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Others could reach it, and nobody could log in.
    #[error(
        "the API will not listen on {listen}: other machines can reach that, and nobody has a token yet. \
         Make one first:\n  hashwright auth add NAME --role admin --config FILE\nor let the agent show a \
         pairing code when it starts, with `pairing = \"start\"` under [api]"
    )]
    NoToken {
        /// The address.
        listen: SocketAddr,
    },
    /// Others could reach it, and tokens cannot be kept.
    #[error("the API will not listen on {listen}, which other machines can reach: {problem}")]
    NoStore {
        /// The address.
        listen: SocketAddr,
        /// Why they cannot.
        problem: String,
    },
    /// There is no certificate.
    #[error(transparent)]
    Tls(#[from] AcceptorError),
    /// The system gives no random numbers.
    #[error(transparent)]
    Store(StoreError),
}

/// A token that was just made.
#[derive(Debug)]
pub struct Fresh {
    /// The token; told once.
    pub token: Token,
    /// What is kept of it.
    pub record: Record,
}

impl Fresh {
    /// As a reply.
    #[must_use]
    pub fn reply(&self) -> NewToken {
        NewToken {
            token: self.token.reveal().to_owned(),
            id: self.record.id.clone(),
            name: self.record.name.clone(),
            role: self.record.role,
            expires_unix_s: self.record.expires_unix_s,
        }
    }
}

/// Keeps tokens, pairing, limits and the audit log. Clones are the same keeper.
#[derive(Clone, Debug)]
pub struct Keeper(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: String,
    api: Api,
    clock: Clock,
    store: Option<Store>,
    acceptor: Acceptor,
    state: Mutex<State>,
    trail: Mutex<Trail>,
    /// Counts the changes that may end somebody's welcome.
    changes: watch::Sender<u64>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct State {
    gate: Gate,
    strangers: Refused,
    refused: Refused,
    stamp: Option<Stamp>,
    /// Last uses that are not in the file yet.
    unsaved: bool,
    owner: Option<Token>,
    listening: Option<SocketAddr>,
    /// Code that the agent shows by itself, and when it may show the next.
    shown_code: bool,
    next_code: Duration,
}

impl Keeper {
    /// The keeper of an agent. Nothing runs before [`Self::run`].
    ///
    /// # Errors
    ///
    /// The API could be reached by others without being safe.
    pub fn open(agent: &Agent, api: &Api, clock: Clock) -> Result<Self, OpenError> {
        let store = Store::new(&agent.state_dir);
        let mut notes = Vec::new();
        let usable = store.check();
        let book = store.load();
        let refused = |problem: String| OpenError::NoStore {
            listen: api.listen,
            problem,
        };
        if let Err(error) = &usable {
            let problem = format!(
                "the state directory {} cannot be written ({error}), so that no tokens can be kept. \
                 Create it for the agent's user, or name another with [agent] state_dir",
                agent.state_dir.display()
            );
            if api.is_remote() {
                return Err(refused(problem));
            }
            notes.push(problem);
        }
        if let Err(error) = &book {
            if api.is_remote() {
                return Err(refused(error.to_string()));
            }
            notes.push(error.to_string());
        }
        let tokens = book
            .as_ref()
            .is_ok_and(|book| book.any_good(store::unix_s()));
        if api.is_remote() && !tokens && !api.pairing_at_start {
            return Err(OpenError::NoToken { listen: api.listen });
        }
        let folder = usable.is_ok().then(|| store.folder().to_owned());
        let acceptor = Acceptor::new(api, &agent.name, folder)?;
        let keeper = Self::new(
            agent.name.clone(),
            api.clone(),
            clock,
            usable.is_ok().then_some(store),
            acceptor,
            notes,
        );
        keeper
            .state()
            .gate
            .set_book(book.map_err(|e| e.to_string()));
        Ok(keeper)
    }

    /// A keeper that keeps nothing: for the demo, which has no directory of its own, and for tests.
    ///
    /// # Errors
    ///
    /// A certificate of the owner's that cannot be used.
    pub fn in_memory(name: &str, api: &Api, clock: Clock) -> Result<Self, OpenError> {
        let acceptor = Acceptor::new(api, name, None)?;
        Ok(Self::new(
            name.to_owned(),
            api.clone(),
            clock,
            None,
            acceptor,
            Vec::new(),
        ))
    }

    fn new(
        name: String,
        api: Api,
        clock: Clock,
        store: Option<Store>,
        acceptor: Acceptor,
        notes: Vec<String>,
    ) -> Self {
        let policy = Policy {
            local: api.local,
            limits: Limits::default(),
        };
        let stamp = store
            .as_ref()
            .and_then(|store| Stamp::read(&store.tokens()));
        Self(Arc::new(Shared {
            name,
            api,
            clock,
            acceptor,
            state: Mutex::new(State {
                gate: Gate::new(policy, Book::default()),
                strangers: Refused::of_strangers(),
                refused: Refused::of_tokens(),
                stamp,
                unsaved: false,
                owner: None,
                listening: None,
                shown_code: false,
                next_code: Duration::ZERO,
            }),
            trail: Mutex::new(Trail::new(store.clone())),
            store,
            changes: watch::Sender::new(0),
            notes,
        }))
    }

    /// What a person should know of the start.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.0.notes
    }

    /// The settings of the API.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.0.api
    }

    /// What takes connections in.
    #[must_use]
    pub fn acceptor(&self) -> Acceptor {
        self.0.acceptor.clone()
    }

    /// SHA-256 of the certificate that clients see, if the API speaks TLS.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.0.acceptor.fingerprint()
    }

    /// The API listens now: the token for this machine is made, and opens it from here on.
    pub fn listening(&self, at: SocketAddr) {
        let fingerprint = self.fingerprint();
        if let Some(print) = &fingerprint {
            info!(fingerprint = %print, "the API speaks TLS; clients know it by this certificate");
        }
        let mut state = self.state();
        state.listening = Some(at);
        let Some(store) = &self.0.store else { return };
        let token = match store::fresh_token() {
            Ok(token) => token,
            Err(problem) => {
                error!("no token for this machine: {problem}");
                return;
            }
        };
        let local = LocalToken {
            token: token.clone(),
            listen: at,
            fingerprint,
        };
        match store.write(store::LOCAL_TOKEN, local.to_text().as_bytes()) {
            Ok(()) => {
                state.gate.set_owner(Some(token.hash()));
                state.owner = Some(token);
            }
            Err(error) => warn!(
                %error,
                "{} cannot be written: commands on this machine have the role of [api] local only",
                store.local_token().display()
            ),
        }
    }

    /// Looks after files, ends of tokens and pairing codes until `stop`.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let keeper = self.clone();
            // Flash can be slow, and a token file can lie on a network.
            let _ = spawn_blocking(move || keeper.tick()).await;
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(TICK) => {}
            }
        }
        let keeper = self.clone();
        let _ = spawn_blocking(move || keeper.close()).await;
    }

    /// Counts a request, before anything else is done about it.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooMany`].
    pub fn request(&self, peer: Peer) -> Result<(), Refusal> {
        let at = self.now();
        self.state().gate.request(at, peer)
    }

    /// Who asks, by the value of the `Authorization` header if there is one.
    ///
    /// # Errors
    ///
    /// See [`Gate::identify`].
    pub fn identify(&self, peer: Peer, authorization: Option<&str>) -> Result<Identity, Refusal> {
        self.let_in(peer, |gate, at| gate.identify(at, peer, authorization))
    }

    /// Who shows this token.
    ///
    /// # Errors
    ///
    /// See [`Gate::login`].
    pub fn login(&self, peer: Peer, token: &str) -> Result<Identity, Refusal> {
        self.let_in(peer, |gate, at| gate.login(at, peer, token))
    }

    /// Whether somebody who was let in is still welcome.
    #[must_use]
    pub fn still_valid(&self, identity: &Identity) -> bool {
        let at = self.now();
        self.state().gate.holds(at, identity)
    }

    /// Waits until somebody who was let in is not welcome any more; for ever if that cannot happen.
    pub async fn gone(&self, identity: &Identity) {
        let mut changes = self.0.changes.subscribe();
        while self.still_valid(identity) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// What a client needs to know before it has a token.
    #[must_use]
    pub fn info(&self, peer: Peer) -> AuthInfo {
        let at = self.now();
        let state = self.state();
        let local = peer.is_local() && state.owner.is_some();
        let file = self.0.store.as_ref().filter(|_| local);
        AuthInfo {
            name: self.0.name.clone(),
            without_token: state.gate.anonymous(peer).role,
            pairing_open: state.gate.pairing(at).is_some(),
            local_token_file: file.map(|store| store.local_token().display().to_string()),
            tls: self.0.api.speaks_tls(),
            fingerprint: self.fingerprint().map(|print| print.to_string()),
        }
    }

    /// How an identity looks to itself.
    #[must_use]
    pub fn whoami(&self, identity: &Identity) -> WhoAmI {
        let (by, expires) = match &identity.origin {
            Origin::Nobody => ("none", None),
            Origin::Local => ("local", None),
            Origin::Owner => ("local-token", None),
            Origin::Token { id } => {
                let state = self.state();
                let tokens = state.gate.book().map_or(&[][..], Book::tokens);
                let record = tokens.iter().find(|record| record.id == *id);
                ("token", record.and_then(|record| record.expires_unix_s))
            }
        };
        let named = matches!(identity.origin, Origin::Token { .. });
        WhoAmI {
            name: named.then(|| identity.name.clone()),
            role: identity.role,
            by: by.to_owned(),
            expires_unix_s: expires,
        }
    }

    /// Trades a pairing code for a token.
    ///
    /// # Errors
    ///
    /// See [`Gate::redeem`]; or the token cannot be kept.
    pub async fn pair(&self, peer: Peer, code: &str, name: &str) -> Result<NewToken, Refusal> {
        let at = self.now();
        let redeemed = {
            let mut state = self.state();
            let redeemed = state.gate.redeem(at, peer, code, name);
            if state.gate.pairing(at).is_none() {
                state.shown_code = false;
                if redeemed.is_err() {
                    state.next_code = at.now + CODE_PAUSE;
                }
            }
            redeemed
        };
        let made = match redeemed {
            Ok(role) => {
                let name = name.to_owned();
                let make = move |book: &mut Book, unix_s| {
                    let name = book.free_name(&name);
                    add(book, &name, role, None, unix_s)
                };
                self.change(make).await.map_err(|error| Refusal::NoToken {
                    reason: error.to_string(),
                })
            }
            Err(refusal) => Err(refusal),
        };
        let reply = made.as_ref().map(Fresh::reply).map_err(Clone::clone);
        let line = self.line(
            made.as_ref().map_or("nobody", |made| &made.record.name),
            made.as_ref().ok().map(|made| made.record.role),
            "rpc",
            Some(peer),
            "auth.pair",
        );
        self.keep(line, made.as_ref().map(|_| ()), made.is_err());
        reply
    }

    /// Shows a pairing code: whoever has it gets a token with this role.
    ///
    /// # Errors
    ///
    /// The system gives no random numbers.
    pub fn start_pairing(&self, role: Role) -> Result<PairingCode, StoreError> {
        let code = Code::from_random(store::random()?);
        let at = self.now();
        let mut state = self.state();
        state.gate.start_pairing(at, &code, role);
        state.shown_code = false;
        Ok(PairingCode {
            code: code.reveal(),
            role,
            expires_in_s: access::CODE_VALID.as_secs(),
        })
    }

    /// The tokens, without themselves.
    ///
    /// # Errors
    ///
    /// They cannot be known.
    pub fn list(&self) -> Result<Vec<TokenInfo>, String> {
        let state = self.state();
        let book = state.gate.book()?;
        Ok(book.tokens().iter().map(told).collect())
    }

    /// Makes a token.
    ///
    /// # Errors
    ///
    /// A bad name, too many tokens, or they cannot be kept.
    pub async fn add(
        &self,
        name: &str,
        role: Role,
        expires_s: Option<u64>,
    ) -> Result<NewToken, StoreError> {
        let name = name.to_owned();
        let made = self
            .change(move |book, unix_s| add(book, &name, role, expires_s, unix_s))
            .await?;
        Ok(made.reply())
    }

    /// Takes a token back, by id or name. Whoever uses it is cut off at once.
    ///
    /// # Errors
    ///
    /// There is none, or the change cannot be kept.
    pub async fn revoke(&self, id: &str) -> Result<TokenInfo, StoreError> {
        let id = id.to_owned();
        let record = self
            .change(move |book, unix_s| book.revoke(&id, unix_s).map_err(StoreError::Change))
            .await?;
        Ok(told(&record))
    }

    /// Writes down what somebody wanted to change and what came of it.
    pub fn audit(
        &self,
        identity: &Identity,
        peer: Option<Peer>,
        via: &str,
        method: &str,
        params: Value,
        outcome: Result<(), &str>,
    ) {
        let mut line = self.line(&identity.name, identity.role, via, peer, method);
        line.params = params;
        let stranger = matches!(identity.origin, Origin::Nobody | Origin::Local);
        self.keep(line, outcome, stranger);
    }

    /// The newest audit records, oldest first.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub async fn audit_list(&self, most: usize) -> Result<Vec<AuditRecord>, String> {
        let (store, kept) = {
            let trail = self.trail();
            (trail.store().cloned(), trail.kept(most))
        };
        let lines = match store {
            None => kept,
            Some(store) => spawn_blocking(move || trail::read(&store, most))
                .await
                .map_err(|error| error.to_string())?
                .map_err(|error| format!("the audit log cannot be read: {error}"))?,
        };
        let record = |line: Line| AuditRecord {
            unix_s: line.unix_s,
            who: line.who,
            role: line.role,
            peer: line.peer,
            via: line.via,
            method: line.method,
            params: line.params,
            outcome: line.outcome,
        };
        Ok(lines.into_iter().map(record).collect())
    }

    fn let_in(
        &self,
        peer: Peer,
        ask: impl FnOnce(&mut Gate, Moment) -> Result<Identity, Refusal>,
    ) -> Result<Identity, Refusal> {
        // The command line may have made or revoked the token a moment ago.
        self.refresh();
        let at = self.now();
        let mut state = self.state();
        let lockouts = state.gate.lockouts();
        let result = ask(&mut state.gate, at);
        let locked = state.gate.lockouts() > lockouts;
        if let Ok(Identity {
            origin: Origin::Token { id },
            ..
        }) = &result
        {
            let unix_s = state.gate.unix_s(at);
            let used = state.gate.book_mut().map(|book| book.note_used(id, unix_s));
            state.unsaved |= used.unwrap_or(false);
        }
        drop(state);
        if let (true, Err(refusal)) = (locked, &result) {
            warn!(%peer, "locked out after too many wrong tokens");
            let line = self.line("nobody", None, "rpc", Some(peer), "auth.login");
            self.keep(line, Err(refusal), true);
        }
        result
    }

    /// Changes the tokens, here and in the file.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Book, u64) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let at = self.now();
        let unix_s = self.state().gate.unix_s(at);
        let Some(store) = self.0.store.clone() else {
            let result = {
                let mut state = self.state();
                match state.gate.book_mut() {
                    Some(book) => change(book, unix_s),
                    None => Err(StoreError::Change(BookError::Damaged(String::new()))),
                }
            };
            self.changed();
            return result;
        };
        let result = spawn_blocking(move || {
            let mut kept = None;
            let outcome = store.change(|book| match change(book, unix_s) {
                Ok(value) => {
                    kept = Some(value);
                    Ok(())
                }
                Err(StoreError::Change(error)) => Err(error),
                Err(error) => Err(BookError::Damaged(error.to_string())),
            });
            outcome.map(|()| kept)
        })
        .await;
        self.refresh();
        match result {
            Ok(Ok(Some(value))) => Ok(value),
            Ok(Err(error)) => Err(error),
            // The closure sets it whenever it succeeds; and it does not panic.
            Ok(Ok(None)) | Err(_) => Err(StoreError::Change(BookError::Full)),
        }
    }

    /// Reads the token file if it is another one than last time.
    fn refresh(&self) {
        let Some(store) = &self.0.store else { return };
        let stamp = Stamp::read(&store.tokens());
        if self.state().stamp == stamp {
            return;
        }
        let loaded = store.load();
        if let Err(problem) = &loaded {
            error!("{problem}");
        }
        let mut state = self.state();
        // That from before it was read: if it has changed since, the next look reads it again, and what was
        // taken back meanwhile does not stay good.
        state.stamp = stamp;
        let loaded = loaded.map(|mut book| {
            if let Ok(old) = state.gate.book() {
                book.merge_uses(old);
            }
            book
        });
        state
            .gate
            .set_book(loaded.map_err(|error| error.to_string()));
        drop(state);
        self.changed();
    }

    pub(super) fn tick(&self) {
        self.refresh();
        let at = self.now();
        let mut state = self.state();
        let ended = state.gate.note_expired(at);
        let save = std::mem::take(&mut state.unsaved) || ended;
        let uses = state.gate.book().ok().cloned();
        drop(state);
        if let (true, Some(uses), Some(store)) = (save, uses, &self.0.store) {
            // Only last uses and ends: a disk that is full must not shut anybody out.
            let saved = store.change(|book| {
                book.merge_uses(&uses);
                Ok(())
            });
            if let Err(problem) = saved {
                warn!("last uses of tokens are not kept: {problem}");
            }
            self.refresh();
        }
        if ended {
            self.changed();
        }
        let unsynced = self.trail().take_unsynced();
        if let (true, Some(store)) = (unsynced, &self.0.store) {
            trail::sync(store);
        }
        self.show_code(at);
        self.0.acceptor.refresh();
    }

    /// Shows a pairing code if the config wants that and nobody has a token.
    fn show_code(&self, at: Moment) {
        if !self.0.api.pairing_at_start {
            return;
        }
        let mut state = self.state();
        let Some(listening) = state.listening else {
            return;
        };
        let unix_s = state.gate.unix_s(at);
        if state.gate.book().is_ok_and(|book| book.any_good(unix_s)) {
            if std::mem::take(&mut state.shown_code) {
                state.gate.stop_pairing();
            }
            return;
        }
        if state.gate.book().is_err()
            || state.gate.pairing(at).is_some()
            || at.now < state.next_code
        {
            return;
        }
        let Ok(bytes) = store::random() else { return };
        let code = Code::from_random(bytes);
        state.gate.start_pairing(at, &code, Role::Admin);
        state.shown_code = true;
        drop(state);
        let url = self.url(listening);
        let print = self
            .fingerprint()
            .map(|print| format!(" --fingerprint {print}"));
        warn!(
            target: CODE_TARGET,
            "nobody has a token yet. Pairing code for the next ten minutes: {code}. Type it into the \
             dashboard at {url}, or: hashwright pair {url} {code}{print}",
            code = code.reveal(),
            print = print.unwrap_or_default(),
        );
    }

    fn url(&self, listening: SocketAddr) -> String {
        let scheme = if self.0.api.speaks_tls() {
            "https"
        } else {
            "http"
        };
        if listening.ip().is_unspecified() {
            let port = listening.port();
            return match super::certificate::addresses().first() {
                Some(ip) => format!("{scheme}://{}", SocketAddr::new(*ip, port)),
                None => format!("{scheme}://{}.local:{port}", self.0.name),
            };
        }
        format!("{scheme}://{listening}")
    }

    /// The agent ends: the token for this machine is worth nothing any more.
    fn close(&self) {
        self.tick();
        let mut state = self.state();
        state.gate.set_owner(None);
        let owner = state.owner.take();
        drop(state);
        self.changed();
        if let (Some(owner), Some(store)) = (owner, &self.0.store) {
            // Another agent may have written its own by now.
            let file = store.local_token();
            if LocalToken::read(&file).is_some_and(|local| local.token == owner) {
                let _ = std::fs::remove_file(file);
            }
        }
    }

    fn line(
        &self,
        who: &str,
        role: Option<Role>,
        via: &str,
        peer: Option<Peer>,
        method: &str,
    ) -> Line {
        Line {
            unix_s: store::unix_s(),
            who: who.to_owned(),
            role,
            via: via.to_owned(),
            peer: peer.map(|peer| peer.to_string()),
            method: method.to_owned(),
            params: Value::Null,
            outcome: String::new(),
        }
    }

    /// Keeps a record; of what was refused not too many.
    fn keep<E: std::fmt::Display>(&self, mut line: Line, outcome: Result<(), E>, stranger: bool) {
        line.outcome = match outcome {
            Ok(()) => "ok".to_owned(),
            Err(error) => {
                let now = self.0.clock.now();
                let mut state = self.state();
                let budget = match stranger {
                    true => &mut state.strangers,
                    false => &mut state.refused,
                };
                match budget.admit(now) {
                    None => return,
                    Some(0) => error.to_string(),
                    Some(left_out) => format!("{error} ({left_out} more were refused before)"),
                }
            }
        };
        self.trail().add(line);
    }

    fn changed(&self) {
        self.0.changes.send_modify(|count| *count += 1);
    }

    fn now(&self) -> Moment {
        Moment {
            now: self.0.clock.now(),
            unix_s: store::unix_s(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trail(&self) -> MutexGuard<'_, Trail> {
        self.0.trail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Audit for Keeper {
    fn audit(&self, actor: &Actor, method: &str, params: &Value, outcome: Result<(), &rpc::Error>) {
        let peer = actor.peer.map(Peer::new);
        let mut line = self.line(&actor.name, Some(actor.role), actor.via, peer, method);
        line.params = params.clone();
        // Some ways know people by their address alone.
        let stranger = outcome.is_err_and(|error| error.code == rpc::error::NEEDS_ROLE);
        self.keep(line, outcome, stranger);
    }
}

/// Makes a token and notes it in the book.
pub(super) fn add(
    book: &mut Book,
    name: &str,
    role: Role,
    expires_s: Option<u64>,
    unix_s: u64,
) -> Result<Fresh, StoreError> {
    let token = store::fresh_token()?;
    let record = book
        .add(name, role, token.hash(), expires_s, unix_s)
        .map_err(StoreError::Change)?;
    Ok(Fresh { token, record })
}

fn told(record: &Record) -> TokenInfo {
    TokenInfo {
        id: record.id.clone(),
        name: record.name.clone(),
        role: record.role,
        created_unix_s: record.created_unix_s,
        expires_unix_s: record.expires_unix_s,
        last_used_unix_s: record.last_used_unix_s,
    }
}
