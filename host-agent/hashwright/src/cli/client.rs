//! A JSON-RPC client for the agent: one WebSocket, over TLS or on this machine without, and calls one after
//! the other. It finds the token for the agent by itself, and sends it to nobody else.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use access::Token;
use jsonrpsee::async_client::{Client as RpcClient, ClientBuilder};
use jsonrpsee::client_transport::ws::{WsHandshakeError, WsTransportClientBuilder};
use jsonrpsee::core::client::{ClientT, Error as RpcError, Subscription, SubscriptionClientT};
use jsonrpsee::core::params::ObjectParams;
use rpc::Method;
use rpc::auth::{AuthInfo, Login, WhoAmI};
use rpc::method::{AuthInfo as AuthInfoMethod, AuthLogin};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use stratum::transport::Fingerprint;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::access::LocalToken;
use crate::access::pin::{self, BoxLink, Expect, PinError};
use crate::api::MAX_RESPONSE_BYTES;
use crate::api::gate::RPC_PATH;
use crate::fleet::file::FleetFile;

/// Environment variable with a token.
pub const TOKEN_VARIABLE: &str = "HASHWRIGHT_TOKEN";

/// Port of an agent unless its URL says otherwise.
const DEFAULT_PORT: u16 = 4029;

/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// How long a reply may take: a question to a tuner waits for its fit, which is long on small computers.
const REPLY_WITHIN: Duration = Duration::from_secs(30);

/// Messages of a subscription that wait for a slow reader.
const NEWS_WAITING: usize = 256;

/// Why a client command has nothing to show. The texts say what to do.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not one of an agent.
    #[error("`{url}` is not the URL of an agent: {reason}. An example: http://127.0.0.1:4029")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing answers there.
    #[error(
        "no agent answers at {url} ({reason}). Start one with `hashwright run` (or `hashwright \
         demo` without hardware), or name another place with --url"
    )]
    NoAgent {
        /// As given.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// Something answers, but not as an agent.
    #[error("{url} answered, but not as a hashwright agent ({reason}). Check --url")]
    NotAnAgent {
        /// As given.
        url: String,
        /// What was wrong.
        reason: String,
    },
    /// The certificate is not the one that is expected, or there is none.
    #[error("{url}: {source}")]
    Tls {
        /// As given.
        url: String,
        /// What is wrong with it.
        source: PinError,
    },
    /// A token cannot be used.
    #[error("{0}")]
    Token(String),
    /// The agent refused the call.
    #[error("the agent refused {method}: {error}")]
    Refused {
        /// The method called.
        method: &'static str,
        /// The agent's words, with its code and values.
        error: rpc::Error,
    },
    /// The agent went away during the call, or took too long.
    #[error(
        "no reply to {method} from the agent: {reason}. Try again, and look at the agent's log"
    )]
    NoReply {
        /// The method called.
        method: &'static str,
        /// What happened.
        reason: String,
    },
    /// The reply is not what this version expects.
    #[error(
        "the reply to {method} does not fit this version of hashwright ({source}). The agent is \
         probably of another version: `--json` shows the reply as it is"
    )]
    Reply {
        /// The method called.
        method: &'static str,
        /// Where it does not fit.
        source: serde_json::Error,
    },
}

impl ClientError {
    /// What the agent said, if it was the agent that refused.
    #[must_use]
    pub fn refusal(&self) -> Option<&rpc::Error> {
        match self {
            Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Which agent, and by what it and we are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `http://HOST:PORT` or `https://HOST:PORT`, with or without `/rpc`.
    pub url: String,
    /// File with the token. Without one it is looked for in `HASHWRIGHT_TOKEN`, with the agents that are known,
    /// and, on this machine, in the agent's own file.
    pub token_file: Option<PathBuf>,
    /// SHA-256 of the agent's certificate. Without one it is looked for with the agents that are known.
    pub fingerprint: Option<String>,
    /// Ask as nobody: no token is looked for.
    pub anonymous: bool,
    /// How long connecting may take.
    pub within: Duration,
}

impl Target {
    /// The agent at `url`, with what is known of it.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token_file: None,
            fingerprint: None,
            anonymous: false,
            within: CONNECT_WITHIN,
        }
    }
}

/// A connection to an agent.
#[derive(Debug)]
pub struct Client {
    rpc: RpcClient,
    fingerprint: Option<Fingerprint>,
    who: Option<WhoAmI>,
}

impl Client {
    /// Connects to the agent at `url`: `http://HOST:PORT`, with or without `/rpc`.
    ///
    /// # Errors
    ///
    /// A bad URL, nobody there, or somebody else there.
    pub async fn connect(url: &str) -> Result<Self, ClientError> {
        Self::connect_to(&Target::new(url)).await
    }

    /// Connects to an agent and logs in there.
    ///
    /// # Errors
    ///
    /// A bad URL, nobody there, somebody else there, another certificate than is known, or a
    /// token that opens nothing.
    pub async fn connect_to(target: &Target) -> Result<Self, ClientError> {
        let url = &target.url;
        let place = Place::parse(url)?;
        let known = Known::of(url);
        let pinned = target.fingerprint.as_ref().or(known.fingerprint.as_ref());
        let pinned = pinned
            .map(|print| print.parse::<Fingerprint>())
            .transpose()
            .map_err(|error| ClientError::Token(error.to_string()))?;
        let token = match &target.token_file {
            _ if target.anonymous => None,
            Some(file) => Some(read_token(file)?),
            None => match (env_token()?, &known.token_file) {
                (Some(token), _) => Some(token),
                (None, Some(file)) => Some(read_token(file)?),
                (None, None) => None,
            },
        };
        let expect = pinned.map_or(Expect::Authority, Expect::Pinned);
        let (mut client, address) = Self::open(url, &place, expect, target.within).await?;
        let safe = place.tls || address.ip().to_canonical().is_loopback();
        match token {
            Some(_) if !safe => return Err(in_the_clear(url)),
            Some(token) => client.login(&token).await?,
            None if safe && !target.anonymous => client.login_locally(address).await,
            None => {}
        }
        Ok(client)
    }

    /// Connects to an agent for the first time, as nobody. Without `expect` any certificate is taken;
    /// [`Self::fingerprint`] tells which.
    ///
    /// # Errors
    ///
    /// As [`Self::connect_to`].
    pub async fn first(url: &str, expect: Option<Fingerprint>) -> Result<Self, ClientError> {
        let place = Place::parse(url)?;
        let expect = expect.map_or(Expect::First, Expect::Pinned);
        let (client, address) = Self::open(url, &place, expect, CONNECT_WITHIN).await?;
        if !place.tls && !address.ip().to_canonical().is_loopback() {
            return Err(in_the_clear(url));
        }
        Ok(client)
    }

    /// SHA-256 of the agent's certificate, if it is spoken to over TLS.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// Whom the agent takes us for; `None` if we did not log in.
    #[must_use]
    pub fn who(&self) -> Option<&WhoAmI> {
        self.who.as_ref()
    }

    /// Calls a method without parameters and returns its result as it came.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or no reply.
    pub async fn call(&self, method: &'static str) -> Result<Box<RawValue>, ClientError> {
        self.request(method, ObjectParams::new()).await
    }

    /// Calls a method with one named parameter and returns its result as it came.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or no reply.
    pub async fn call_with(
        &self,
        method: &'static str,
        name: &str,
        value: impl Serialize,
    ) -> Result<Box<RawValue>, ClientError> {
        let mut params = ObjectParams::new();
        params
            .insert(name, value)
            .map_err(|error| unsendable(method, &error))?;
        self.request(method, params).await
    }

    /// Calls a method with the fields of an object as parameters; those that are null are left out.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or no reply.
    pub async fn call_params(
        &self,
        method: &'static str,
        fields: &impl Serialize,
    ) -> Result<Box<RawValue>, ClientError> {
        self.request(method, object(method, fields)?).await
    }

    /// Calls a method of the table and reads its result.
    ///
    /// # Errors
    ///
    /// The agent's refusal, no reply, or one that does not fit this version.
    pub async fn ask<M: Method>(&self, params: &M::Params) -> Result<M::Reply, ClientError> {
        let reply = self.call_params(M::NAME, params).await?;
        serde_json::from_str(reply.get()).map_err(|source| ClientError::Reply {
            method: M::NAME,
            source,
        })
    }

    /// Starts a subscription of the table. Dropping it ends it.
    ///
    /// # Errors
    ///
    /// The agent's refusal, or no reply.
    pub async fn subscribe<S: rpc::Subscription>(
        &self,
        params: &S::Params,
    ) -> Result<Subscription<S::News>, ClientError> {
        let params = object(S::NAME, params)?;
        self.rpc
            .subscribe(S::NAME, params, S::UNSUBSCRIBE)
            .await
            .map_err(|error| failed(S::NAME, error))
    }

    async fn open(
        url: &str,
        place: &Place,
        expect: Expect,
        within: Duration,
    ) -> Result<(Self, SocketAddr), ClientError> {
        let no_agent = |reason: String| ClientError::NoAgent {
            url: url.to_owned(),
            reason,
        };
        let opening = async {
            let host = place.host.trim_start_matches('[').trim_end_matches(']');
            let socket = TcpStream::connect((host, place.port))
                .await
                .map_err(|error| no_agent(error.to_string()))?;
            // Best effort: it only makes small messages faster.
            let _ = socket.set_nodelay(true);
            let address = socket
                .peer_addr()
                .map_err(|error| no_agent(error.to_string()))?;
            let (link, fingerprint): (BoxLink, _) = if place.tls {
                let (link, seen) =
                    pin::wrap(socket, host, expect)
                        .await
                        .map_err(|source| ClientError::Tls {
                            url: url.to_owned(),
                            source,
                        })?;
                (link, Some(seen))
            } else {
                (Box::pin(socket), None)
            };
            // To the WebSocket it looks plain: what is below it is ours.
            let endpoint = format!("ws://{}:{}{RPC_PATH}", place.host, place.port);
            let endpoint = endpoint.parse().map_err(|error| ClientError::Url {
                url: url.to_owned(),
                reason: format!("{error}"),
            })?;
            let (sender, receiver) = WsTransportClientBuilder::default()
                .max_response_size(MAX_RESPONSE_BYTES)
                .build_with_stream(endpoint, link)
                .await
                .map_err(|error| unreachable_agent(url, &error))?;
            let rpc = ClientBuilder::default()
                .request_timeout(REPLY_WITHIN)
                .max_buffer_capacity_per_subscription(NEWS_WAITING)
                .build_with_tokio(sender, receiver);
            let client = Self {
                rpc,
                fingerprint,
                who: None,
            };
            Ok((client, address))
        };
        timeout(within, opening)
            .await
            .map_err(|_| no_agent(format!("no answer within {within:?}")))?
    }

    async fn login(&mut self, token: &Token) -> Result<(), ClientError> {
        let login = Login {
            token: token.reveal().to_owned(),
        };
        self.who = Some(self.ask::<AuthLogin>(&login).await?);
        Ok(())
    }

    /// Logs in as the agent's owner if this user may read the agent's own file. Anybody could listen on this
    /// machine and name a file, so only one that says that it opens just this address is sent.
    async fn login_locally(&mut self, address: SocketAddr) {
        if !address.ip().to_canonical().is_loopback() {
            return;
        }
        let Ok(info) = self.ask::<AuthInfoMethod>(&rpc::NoParams::default()).await else {
            return;
        };
        let AuthInfo {
            local_token_file: Some(file),
            ..
        } = info
        else {
            return;
        };
        let local = LocalToken::read(Path::new(&file)).filter(|local| local.is_for(address));
        if let Some(local) = local {
            // Without it there is still what anybody on this machine may do.
            let _ = self.login(&local.token).await;
        }
    }

    async fn request(
        &self,
        method: &'static str,
        params: ObjectParams,
    ) -> Result<Box<RawValue>, ClientError> {
        self.rpc
            .request(method, params)
            .await
            .map_err(|error| failed(method, error))
    }
}

/// What is known of an agent from earlier.
#[derive(Debug, Default)]
struct Known {
    fingerprint: Option<String>,
    token_file: Option<PathBuf>,
}

impl Known {
    /// What stands in the user's file; nothing if there is none, or none that can be read.
    fn of(url: &str) -> Self {
        let file = FleetFile::default_path().and_then(|path| FleetFile::load(&path));
        let Ok(file) = file else {
            return Self::default();
        };
        let Some(known) = file.at(url) else {
            return Self::default();
        };
        Self {
            fingerprint: known.fingerprint.clone(),
            token_file: file.token_path(known),
        }
    }
}

/// Where an agent is, by its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) tls: bool,
    /// Name or address; of IPv6 in brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Place {
    pub(super) fn parse(url: &str) -> Result<Self, ClientError> {
        let bad = |reason: &str| ClientError::Url {
            url: url.into(),
            reason: reason.into(),
        };
        let (scheme, rest) = match url.split_once("://") {
            None => (None, url),
            Some((scheme, rest)) => (Some(scheme), rest),
        };
        let authority = rest.trim_end_matches('/');
        let authority = authority.strip_suffix(RPC_PATH).unwrap_or(authority);
        if authority.is_empty() {
            return Err(bad("it names no host"));
        }
        if authority.contains(['/', '?', '#', '@', ' ']) {
            return Err(bad("only a host and a port may follow the scheme"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let port = port.parse().ok().filter(|port| *port > 0);
                (
                    host,
                    port.ok_or_else(|| bad("its port is no number from 1 to 65535"))?,
                )
            }
            _ => (authority, DEFAULT_PORT),
        };
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        if host.contains(':') && !host.starts_with('[') {
            return Err(bad(
                "write an IPv6 address in brackets, e.g. http://[::1]:4029",
            ));
        }
        let tls = match scheme {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            // Elsewhere an agent speaks nothing but TLS.
            None => !is_this_machine(host),
            Some(_) => return Err(bad("it must begin with http:// or https://")),
        };
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
        })
    }

    /// The URL in full.
    pub(super) fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url())
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn env_token() -> Result<Option<Token>, ClientError> {
    match std::env::var(TOKEN_VARIABLE) {
        Ok(text) if !text.is_empty() => Token::parse(&text)
            .map(Some)
            .map_err(|error| ClientError::Token(format!("{TOKEN_VARIABLE}: {error}"))),
        _ => Ok(None),
    }
}

/// The token in a file.
pub(super) fn read_token(path: &Path) -> Result<Token, ClientError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        ClientError::Token(format!(
            "cannot read the token file {}: {error}",
            path.display()
        ))
    })?;
    // The agent's own file has more lines.
    let first = text.lines().next().unwrap_or_default();
    Token::parse(first).map_err(|error| ClientError::Token(format!("{}: {error}", path.display())))
}

fn in_the_clear(url: &str) -> ClientError {
    ClientError::Token(format!(
        "{url} is another machine, and over http:// everybody on the way could read the token or code. \
         Use https:// (an agent that other machines can reach speaks TLS), or an SSH tunnel"
    ))
}

fn object(method: &'static str, fields: &impl Serialize) -> Result<ObjectParams, ClientError> {
    let mut params = ObjectParams::new();
    let fields = serde_json::to_value(fields).map_err(|error| unsendable(method, &error))?;
    if let Value::Object(fields) = fields {
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            params
                .insert(name, value)
                .map_err(|error| unsendable(method, &error))?;
        }
    }
    Ok(params)
}

fn unsendable(method: &'static str, error: &serde_json::Error) -> ClientError {
    ClientError::Refused {
        method,
        error: rpc::Error::invalid_params(error.to_string()),
    }
}

fn failed(method: &'static str, error: RpcError) -> ClientError {
    match error {
        RpcError::Call(refusal) => {
            let data = refusal
                .data()
                .and_then(|data| serde_json::from_str(data.get()).ok());
            ClientError::Refused {
                method,
                error: rpc::Error {
                    code: refusal.code(),
                    message: refusal.message().to_owned(),
                    data,
                },
            }
        }
        other => ClientError::NoReply {
            method,
            reason: other.to_string(),
        },
    }
}

fn unreachable_agent(url: &str, error: &WsHandshakeError) -> ClientError {
    let url = url.to_owned();
    let reason = match error {
        WsHandshakeError::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    match error {
        WsHandshakeError::Rejected { status_code: 400 } if url.starts_with("http://") => {
            let reason = "it wants TLS there, or speaks something else; try https://".to_owned();
            ClientError::NotAnAgent { url, reason }
        }
        WsHandshakeError::Rejected { .. }
        | WsHandshakeError::Redirected { .. }
        | WsHandshakeError::Transport(_) => ClientError::NotAnAgent { url, reason },
        WsHandshakeError::Url(_) => ClientError::Url { url, reason },
        _ => ClientError::NoAgent { url, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> String {
        Place::parse(url).unwrap().url()
    }

    #[test]
    fn an_agent_is_named_by_host_and_port() {
        for url in [
            "http://127.0.0.1:4029",
            "http://127.0.0.1:4029/",
            "http://127.0.0.1:4029/rpc",
            "ws://127.0.0.1:4029/rpc/",
            "127.0.0.1:4029",
            "127.0.0.1",
        ] {
            assert_eq!(place(url), "http://127.0.0.1:4029", "{url}");
        }
        assert_eq!(place("http://[::1]:5000"), "http://[::1]:5000");
        assert_eq!(place("[::1]"), "http://[::1]:4029");
        assert_eq!(place("localhost:1"), "http://localhost:1");
    }

    #[test]
    fn elsewhere_tls_is_spoken() {
        assert_eq!(place("rack-3-7.local"), "https://rack-3-7.local:4029");
        assert_eq!(place("10.0.0.7:5000"), "https://10.0.0.7:5000");
        assert_eq!(place("wss://10.0.0.7"), "https://10.0.0.7:4029");
        // Names that only look like this machine.
        assert_eq!(place("localhost.example"), "https://localhost.example:4029");
    }

    #[test]
    fn other_urls_are_refused_with_the_reason() {
        for (url, reason) in [
            ("ftp://127.0.0.1", "http://"),
            ("http://", "no host"),
            ("http://:80", "no host"),
            ("http://127.0.0.1:4029/other", "only a host"),
            ("http://user:secret@127.0.0.1:4029", "only a host"),
            ("http://127.0.0.1:70000", "its port"),
            ("http://127.0.0.1:", "its port"),
            ("http://::1", "in brackets"),
        ] {
            let error = Place::parse(url).unwrap_err().to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }
}
