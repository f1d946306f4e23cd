//! The JSON-RPC 2.0 server: HTTP POST and WebSocket at `/rpc`, on loopback only.
//!
//! It reads the state tree and the event log, and passes on the few wishes that people may have of
//! power and fans; limits are not its business, because stations and their guards hold them. There is
//! no authentication yet; what protects the miner is that only this machine can connect and that web
//! pages from elsewhere are turned away (see [`gate`]). The replies are described in
//! `docs/rpc.md`.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::Methods;
use jsonrpsee::server::{
    BatchRequestConfig, HttpBody, HttpRequest, HttpResponse, PingConfig, Server, ServerConfig,
    ServerHandle, StopHandle, TowerServiceBuilder, stop_channel, ws,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tower::Service;
use tower::layer::util::Identity;
use tracing::{debug, info, warn};

use methods::{Faces, Transport};

pub mod gate;
pub mod methods;

#[cfg(test)]
mod tests;

/// Where the API listens unless the config says otherwise.
pub const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4029);

/// Largest request body or WebSocket message taken, bytes.
pub const MAX_REQUEST_BYTES: u32 = 64 * 1024;

/// Largest reply sent, bytes; a chip list of a thousand chips is a tenth of it.
pub const MAX_RESPONSE_BYTES: u32 = 4 * 1024 * 1024;

/// Most calls in one batch.
pub const MAX_BATCH: u32 = 32;

/// Most TCP connections at a time; more are closed at once.
pub const MAX_SOCKETS: usize = 64;

/// Most requests and WebSocket sessions at a time; more get status 429.
pub const MAX_SESSIONS: u32 = 32;

/// Most subscriptions on one WebSocket.
pub const MAX_SUBSCRIPTIONS: u32 = 4;

/// Messages kept for a WebSocket client that reads slowly, before its subscriptions wait.
const MESSAGE_BUFFER: u32 = 8;

/// How long a client may take to send a request's head, also between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client may take to send a request's body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long open connections get to finish after a stop.
const STOP_GRACE: Duration = Duration::from_secs(2);

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

/// Serves `faces` on `listen` until `stop` completes. The port is open when this returns.
///
/// # Errors
///
/// An address that is not loopback, a port in use, and what else the system refuses.
pub async fn serve(
    listen: SocketAddr,
    faces: impl Into<Faces>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<Handle, ServeError> {
    if !listen.ip().to_canonical().is_loopback() {
        return Err(ServeError::NotLoopback(listen));
    }
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse(listen),
        _ => ServeError::Listen { listen, source },
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let local_addr = listener.local_addr().map_err(failed)?;
    info!(%local_addr, "API listening");

    let faces = faces.into();
    let (stop_handle, server_handle) = stop_channel();
    let front = Front {
        calls: methods::methods(faces.clone(), Transport::Http),
        calls_and_telemetry: methods::methods(faces, Transport::WebSocket),
        rpc: Server::builder().set_config(config()).to_service_builder(),
        stop: stop_handle,
    };
    let task = tokio::spawn(accept(listener, front, server_handle, stop));
    Ok(Handle { local_addr, task })
}

fn config() -> ServerConfig {
    ServerConfig::builder()
        .max_request_body_size(MAX_REQUEST_BYTES)
        .max_response_body_size(MAX_RESPONSE_BYTES)
        .max_connections(MAX_SESSIONS)
        .max_subscriptions_per_connection(MAX_SUBSCRIPTIONS)
        .set_batch_request_config(BatchRequestConfig::Limit(MAX_BATCH))
        .set_message_buffer_capacity(MESSAGE_BUFFER)
        .enable_ws_ping(PingConfig::new())
        .build()
}

/// Takes connections until `stop`, then lets the open ones finish for a moment.
async fn accept(
    listener: TcpListener,
    front: Front,
    server: ServerHandle,
    stop: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((_, peer)) if !peer.ip().to_canonical().is_loopback() => {
                warn!(%peer, "API connection from another machine refused");
            }
            Ok((_, peer)) if connections.len() >= MAX_SOCKETS => {
                debug!(%peer, "API connection refused: {MAX_SOCKETS} are open");
            }
            Ok((socket, _)) => {
                connections.spawn(connection(socket, front.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: trying again at once would only spin.
                warn!(%error, "API cannot accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    drop(front);
    let _ = server.stop();
    let finish = async {
        while connections.join_next().await.is_some() {}
        server.stopped().await;
    };
    if timeout(STOP_GRACE, finish).await.is_err() {
        debug!("API connections cut off at stop");
    }
}

/// One HTTP connection, up to its end, its upgrade to a WebSocket, or the stop.
async fn connection(socket: TcpStream, front: Front) {
    let _ = socket.set_nodelay(true);
    let stopped = front.stop.clone().shutdown();
    let service = service_fn(move |request| {
        let front = front.clone();
        async move { Ok::<_, Infallible>(front.answer(request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    tokio::pin!(served, stopped);
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = &mut stopped => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "API connection ended");
    }
}

/// What answers requests: the gate first, then JSON-RPC. Pages for people can be routed here
/// beside `/rpc`.
#[derive(Clone)]
struct Front {
    calls: Methods,
    calls_and_telemetry: Methods,
    rpc: TowerServiceBuilder<Identity, Identity>,
    stop: StopHandle,
}

impl Front {
    async fn answer(&self, request: HttpRequest<Incoming>) -> HttpResponse {
        if let Err(refusal) = gate::check(&request) {
            debug!(%refusal, "API request refused");
            return text(refusal.status(), refusal.to_string());
        }
        let methods = match ws::is_upgrade_request(&request) {
            true => &self.calls_and_telemetry,
            false => &self.calls,
        };
        let mut rpc = self.rpc.clone().build(methods.clone(), self.stop.clone());
        let chunked = request
            .headers()
            .contains_key(hyper::header::TRANSFER_ENCODING);
        match timeout(REQUEST_TIMEOUT, rpc.call(request)).await {
            // The library takes a chunked body that passes the limit for a failed connection; in
            // truth failed ones never see this answer.
            Ok(Ok(response)) if chunked && response.status().is_server_error() => text(
                413,
                format!("the request body is longer than {MAX_REQUEST_BYTES} bytes"),
            ),
            Ok(Ok(response)) => response,
            Ok(Err(error)) => text(500, format!("the request failed: {error}")),
            Err(_) => text(408, "the request body did not arrive in time".into()),
        }
    }
}

fn text(status: u16, message: String) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(message + "\n"));
    if let Ok(status) = hyper::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    response.headers_mut().insert(
        hyper::header::CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
