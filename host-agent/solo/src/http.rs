//! One HTTP connection to the node and the calls on it. A connection is kept for the next call; if
//! the node has closed it meanwhile, the call goes out once more on a new one.

use std::fmt::Display;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method as Verb, Request};
use hyper_util::rt::TokioIo;
use stratum::transport::{Connector, Stream, connect_failure};
use stratum::{PoolUrl, Reason};
use tokio::time::timeout;

use crate::config::Auth;
use crate::rpc::{Call, Fault, Reply, read_reply};

/// A connection that is between calls, or in one.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Does the reading and writing; has to be polled for anything to happen.
    wire: Wire,
}

type Wire = Pin<Box<http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>>>;

/// What all calls to a node have in common.
pub(crate) struct Client<C> {
    pub(crate) connector: C,
    url: PoolUrl,
    auth: Auth,
    /// The header made from the cookie file when it was last read.
    cookie: Mutex<Option<HeaderValue>>,
}

/// An HTTP answer.
struct Answer {
    status: u16,
    body: Bytes,
}

/// How a call on a connection went wrong.
enum Broken {
    /// The connection was old, and the node had closed it.
    Worn,
    Fault(Fault),
}

/// Cookie files hold one short line.
const MAX_COOKIE: usize = 4096;
/// Answers from here on are read where they hold up nobody.
const LARGE: usize = 64 * 1024;
const AGENT: &str = concat!("hashwright/", env!("CARGO_PKG_VERSION"));

impl<C: Connector> Client<C> {
    pub(crate) fn new(connector: C, url: PoolUrl, auth: Auth) -> Self {
        Self {
            connector,
            url,
            auth,
            cookie: Mutex::default(),
        }
    }

    /// Makes a call, on `kept` if that still works; gives the connection back if it can be used
    /// again.
    pub(crate) async fn call(
        &self,
        call: Call,
        kept: Option<Connection>,
    ) -> (Result<Reply, Fault>, Option<Connection>) {
        let (method, body) = (call.method, Bytes::from(call.body));
        let mut connection = kept;
        let answered = timeout(
            call.timeout,
            self.exchange(&mut connection, &body, method.max_reply()),
        );
        match answered.await {
            Ok(Ok(answer)) => {
                let connection = connection.filter(|open| !open.sender.is_closed());
                (read(method, answer).await, connection)
            }
            Ok(Err(fault)) => (Err(fault), None),
            Err(_) => (Err(Reason::NoAnswer(method.name()).into()), None),
        }
    }

    async fn exchange(
        &self,
        connection: &mut Option<Connection>,
        body: &Bytes,
        limit: usize,
    ) -> Result<Answer, Fault> {
        let credentials = self.credentials(false).await?;
        let answer = self
            .send(connection, body, credentials.clone(), limit)
            .await?;
        if answer.status != 401 || !matches!(self.auth, Auth::Cookie(_)) {
            return Ok(answer);
        }
        // The node writes a new cookie at each of its starts.
        let fresh = self.credentials(true).await?;
        if fresh == credentials {
            return Err(Fault::Auth(format!(
                "it does not take the cookie of {}; is that the cookie file of this node, and of \
                 the right network?",
                self.cookie_path().display()
            )));
        }
        self.send(connection, body, fresh, limit).await
    }

    async fn send(
        &self,
        connection: &mut Option<Connection>,
        body: &Bytes,
        credentials: Option<HeaderValue>,
        limit: usize,
    ) -> Result<Answer, Fault> {
        if let Some(mut kept) = connection.take().filter(|kept| !kept.sender.is_closed()) {
            match kept
                .request(self.request(body, credentials.clone())?, limit)
                .await
            {
                Ok(answer) => {
                    *connection = Some(kept);
                    return Ok(answer);
                }
                // None of our calls does harm when it is made twice.
                Err(Broken::Worn) => {}
                Err(Broken::Fault(fault)) => return Err(fault),
            }
        }
        let mut new = self.open().await?;
        match new.request(self.request(body, credentials)?, limit).await {
            Ok(answer) => {
                *connection = Some(new);
                Ok(answer)
            }
            Err(Broken::Worn) => Err(Reason::Io(
                "it was closed without an answer; if that goes on, check that the URL names the \
                 node's RPC port (8332 on the main network), not the port for its peers (8333)"
                    .into(),
            )
            .into()),
            Err(Broken::Fault(fault)) => Err(fault),
        }
    }

    async fn open(&self) -> Result<Connection, Fault> {
        let (host, port) = (self.url.host(), self.url.port());
        let stream = self.connector.connect(host, port).await;
        let stream = stream.map_err(refused)?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, wire) =
            handshake.map_err(|error| Fault::from(Reason::Io(error.to_string())))?;
        Ok(Connection {
            sender,
            wire: Box::pin(wire),
        })
    }

    fn request(
        &self,
        body: &Bytes,
        credentials: Option<HeaderValue>,
    ) -> Result<Request<Full<Bytes>>, Fault> {
        let (host, port) = (self.url.host(), self.url.port());
        let host = if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        };
        let mut request = Request::builder()
            .method(Verb::POST)
            .uri("/")
            .header(HOST, host)
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, "application/json");
        if let Some(credentials) = credentials {
            request = request.header(AUTHORIZATION, credentials);
        }
        request
            .body(Full::new(body.clone()))
            .map_err(|error| Reason::Io(error.to_string()).into())
    }

    /// The authorization header; `again` if the one before was refused.
    async fn credentials(&self, again: bool) -> Result<Option<HeaderValue>, Fault> {
        match &self.auth {
            Auth::None => Ok(None),
            Auth::Password { user, password } => {
                basic(&format!("{user}:{}", password.expose())).map(Some)
            }
            Auth::Cookie(path) => {
                let known = self
                    .cookie
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                if known.is_some() && !again {
                    return Ok(known);
                }
                let text = tokio::fs::read(path)
                    .await
                    .map_err(|error| Fault::from(Reason::RpcAuth(no_cookie(path, &error))))?;
                let text = std::str::from_utf8(text.get(..MAX_COOKIE).unwrap_or(&text))
                    .unwrap_or_default()
                    .trim();
                if !text.contains(':') {
                    // Maybe it is just being written.
                    return Err(Reason::RpcAuth(format!(
                        "{} is no cookie file of a node, which holds \"__cookie__:\" and a secret",
                        path.display()
                    ))
                    .into());
                }
                let header = basic(text)?;
                *self.cookie.lock().unwrap_or_else(PoisonError::into_inner) = Some(header.clone());
                Ok(Some(header))
            }
        }
    }

    fn cookie_path(&self) -> &Path {
        match &self.auth {
            Auth::Cookie(path) => path,
            _ => Path::new(""),
        }
    }
}

impl Connection {
    /// One request and its answer. Dropping the future in between makes the connection useless.
    async fn request(
        &mut self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answer, Broken> {
        let Self { sender, wire } = self;
        let mut exchange = pin!(async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), limit).collect().await;
            let body = body.map_err(|error| Broken::Fault(too_much(&*error, limit)))?;
            Ok(Answer {
                status,
                body: body.to_bytes(),
            })
        });
        let mut wire_gone = false;
        std::future::poll_fn(|context: &mut Context<'_>| {
            // The wire first: it is what brings answers. Once it has ended, what it brought is
            // still to be looked at.
            if !wire_gone {
                wire_gone = wire.as_mut().poll(context).is_ready();
            }
            match exchange.as_mut().poll(context) {
                Poll::Pending if wire_gone => Poll::Ready(Err(Broken::Worn)),
                other => other,
            }
        })
        .await
    }
}

async fn read(method: crate::rpc::Method, answer: Answer) -> Result<Reply, Fault> {
    if answer.body.len() < LARGE {
        return read_reply(method, answer.status, &answer.body);
    }
    let read = move || read_reply(method, answer.status, &answer.body);
    tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|_| Err(Reason::NoAnswer(method.name()).into()))
}

fn basic(credentials: &str) -> Result<HeaderValue, Fault> {
    let header = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(credentials)));
    let mut header = header.map_err(|_| Fault::Auth("user or password cannot be sent".into()))?;
    header.set_sensitive(true);
    Ok(header)
}

fn broken(error: hyper::Error) -> Broken {
    if error.is_parse() {
        return Broken::Fault(Fault::WrongService(format!(
            "what answers there does not speak HTTP ({error}); the URL must name the RPC port of a \
             Bitcoin node (8332 on the main network), with https:// if it is behind TLS"
        )));
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Broken::Worn;
    }
    Broken::Fault(Reason::Io(error.to_string()).into())
}

fn too_much(error: &(dyn std::error::Error + 'static), limit: usize) -> Fault {
    if error.is::<LengthLimitError>() {
        return Fault::WrongService(format!(
            "its answer has more than {limit} bytes, which no node's answer has"
        ));
    }
    Reason::Io(error.to_string()).into()
}

fn refused(error: io::Error) -> Fault {
    if error.kind() != io::ErrorKind::ConnectionRefused {
        return connect_failure(error).into();
    }
    Reason::ConnectFailed(hint(
        error,
        "is the node running, with server=1, and does its RPC port take connections from here \
         (rpcbind, rpcallowip)?",
    ))
    .into()
}

fn no_cookie(path: &Path, error: &io::Error) -> String {
    let what = format!("cannot read the cookie file {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::NotFound => hint(
            what,
            "the node writes it when it starts, in its data folder, for networks other than main \
             in a folder of their own; is it running?",
        ),
        io::ErrorKind::PermissionDenied => hint(
            what,
            "let this program's user read it (rpccookieperms=group), or use user and password",
        ),
        _ => what,
    }
}

fn hint(what: impl Display, hint: &str) -> String {
    format!("{what}; {hint}")
}
