//! The API: JSON-RPC 2.0 over HTTP POST and WebSocket at `/rpc`, the dashboard at `/`, metrics at `/metrics`.
//!
//! A connection takes a seat (`listen`), a request passes the gate ([`gate`]) and the door (`door`), and
//! a call is a view of the state tree or a wish on its way to those who check it ([`methods`]). All of it is
//! bounded: sizes, numbers and times. The methods are described in `docs/rpc.md`.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use access::Peer;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rpc::Role;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use door::Door;
use front::Front;
use gate::Names;
use listen::{Closing, Hall, Patient, Seat};
use methods::{Faces, Server};

use crate::access::Keeper;
use crate::clock::Clock;
use crate::config::Api;

mod call;
mod door;
mod feeds;
mod front;
pub mod gate;
mod listen;
pub mod logs;
pub mod methods;
mod socket;
mod telemetry;
pub mod tuning;

#[cfg(test)]
mod tests;

pub use crate::config::DEFAULT_LISTEN;

/// Largest request body or WebSocket message taken, bytes.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Largest reply sent, bytes; a chip list of a thousand chips is a tenth of it.
pub const MAX_RESPONSE_BYTES: u32 = 4 * 1024 * 1024;

/// Most calls in one batch.
pub const MAX_BATCH: usize = 32;

/// Most connections at a time from this machine, and as many from elsewhere; more are closed at once.
pub const MAX_SOCKETS: usize = 128;

/// Most connections at a time of one address elsewhere, or one /64 of IPv6.
pub const MAX_SOCKETS_PER_ADDRESS: usize = 32;

/// Most WebSockets at a time from this machine, and as many from elsewhere; more get status 429.
pub const MAX_WEBSOCKETS: usize = 96;

/// Most subscriptions on one WebSocket.
pub const MAX_SUBSCRIPTIONS: usize = 8;

/// How long a client may take to agree on TLS.
const TLS_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client may take to send a request's head, also between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client may take to send a request's body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// After so long, a connection that carries requests is closed once none is under way.
const LIFETIME: Duration = Duration::from_secs(600);

/// How long open connections get to finish after a stop.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Why the API did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can be reached from other machines.
    #[error(
        "the API will not listen on {0}: it has no login yet, so it takes loopback addresses only. \
         Set `[api] listen = \"127.0.0.1:{port}\"`, and from another machine use a tunnel: \
         `ssh -L {port}:127.0.0.1:{port} MINER`",
        port = .0.port()
    )]
    NotLoopback(SocketAddr),
    /// Who may ask cannot be kept.
    #[error("the API cannot tell who may ask: {0}")]
    Keeper(String),
    /// Another program has the port.
    #[error(
        "the API cannot listen on {0}: the port is in use, probably by another hashwright \
         (`hashwright status` tells). Stop that one, or set another port in `[api] listen`"
    )]
    PortInUse(SocketAddr),
    /// The system refused for another reason.
    #[error("the API cannot listen on {listen}: {source}. Set another address in `[api] listen`")]
    Listen {
        /// The address asked for.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Where to serve, and to whom.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address.
    pub listen: SocketAddr,
    /// Who knows who may ask what; without one, whoever is on this machine may do everything.
    pub keeper: Option<Keeper>,
}

impl From<SocketAddr> for Options {
    /// For whoever is on this machine.
    fn from(listen: SocketAddr) -> Self {
        Self {
            listen,
            keeper: None,
        }
    }
}

/// A running server. Dropping the handle leaves it running.
#[derive(Debug)]
pub struct Handle {
    local_addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Handle {
    /// The address that the server listens on, with the real port where 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Waits until the server has stopped and its connections are closed.
    pub async fn stopped(self) {
        // The only error is that the task was cancelled with its runtime: it has stopped as well.
        let _ = self.task.await;
    }
}

/// Serves `faces` until `stop` completes. The port is open when this returns.
///
/// # Errors
///
/// An address that is not loopback, a port in use, and what else the system refuses.
pub async fn serve(
    options: impl Into<Options>,
    faces: impl Into<Faces>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<Handle, ServeError> {
    let Options { listen, keeper } = options.into();
    let keeper = match keeper {
        Some(keeper) => keeper,
        None if listen.ip().to_canonical().is_loopback() => everybody(listen)?,
        None => return Err(ServeError::NotLoopback(listen)),
    };
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse(listen),
        _ => ServeError::Listen { listen, source },
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let local_addr = listener.local_addr().map_err(failed)?;
    info!(%local_addr, "API listening");

    keeper.listening(local_addr);
    let faces = faces.into();
    let door = Door(keeper);
    faces.settings.audit_with(door.auditor());
    let (say_closing, closing) = Closing::new();
    let front = Front {
        names: names(&door.0),
        server: Arc::new(Server::new(faces, door)),
        closing,
    };
    let task = tokio::spawn(accept(listener, front, say_closing, stop));
    Ok(Handle { local_addr, task })
}

/// A keeper for whom everybody on this machine may do everything.
fn everybody(listen: SocketAddr) -> Result<Keeper, ServeError> {
    let api = Api {
        local: Some(Role::Admin),
        ..Api::new(listen)
    };
    Keeper::in_memory("hashwright", &api, Clock::start())
        .map_err(|error| ServeError::Keeper(error.to_string()))
}

/// Names by which the agent answers.
fn names(keeper: &Keeper) -> Names {
    let api = keeper.api();
    let name = keeper.info(Peer::new(Ipv4Addr::LOCALHOST.into())).name;
    Names::new(&name, &api.hosts, &api.origins)
}

/// Takes connections until `stop`, then lets the open ones finish for a moment.
async fn accept(
    listener: TcpListener,
    front: Front,
    say_closing: watch::Sender<bool>,
    stop: impl Future<Output = ()>,
) {
    let front = Arc::new(front);
    let hall = Arc::new(Hall::default());
    // Connections end with this set, whatever they wait for.
    let mut connections = tokio::task::JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                let Some(seat) = hall.seat(peer.ip()) else {
                    debug!(%peer, "API connection refused: too many are open");
                    continue;
                };
                let _ = socket.set_nodelay(true);
                connections.spawn(connection(socket, peer, seat, front.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would only spin.
                warn!(%error, "API cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    say_closing.send_replace(true);
    drop(front);
    let finish = async {
        while connections.join_next().await.is_some() {}
        // WebSockets have outlived their connections' tasks.
        say_closing.closed().await;
    };
    if timeout(STOP_GRACE, finish).await.is_err() {
        debug!("API connections cut off at stop");
    }
}

/// One connection that carries requests, up to its end, its upgrade to a WebSocket, or the stop.
async fn connection(socket: TcpStream, peer: SocketAddr, seat: Arc<Seat>, front: Arc<Front>) {
    let stopped = front.closing.clone().stopped();
    let peer = Peer::new(peer.ip());
    let acceptor = front.server.door.0.acceptor();
    let stream = match timeout(TLS_TIMEOUT, acceptor.accept(socket, peer)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "API connection without a handshake"),
        Err(_) => return debug!("API connection without a handshake in time"),
    };
    let service = service_fn(move |request| {
        let (front, seat) = (front.clone(), seat.clone());
        async move { front.answer(request, peer, &seat).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(Patient::new(stream)), service)
        .with_upgrades();
    tokio::pin!(served, stopped);
    let ended = tokio::select! {
        ended = &mut served => Some(ended),
        () = &mut stopped => None,
        () = sleep(LIFETIME) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        // The request under way may end, if it does so soon.
        None => {
            served.as_mut().graceful_shutdown();
            timeout(REQUEST_TIMEOUT, served).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "API connection ended");
    }
}
