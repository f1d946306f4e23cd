//! Questions to an API on one core, over connections that stay open, and the peer beside it: a bare
//! hyper server that answers every question with the same bytes.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustix::process::Pid;
use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// The question.
pub(super) const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"miner.status"}"#;
/// No answer for so long is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest head of an answer.
const MAX_HEAD: usize = 16 * 1024;

/// A connection that asks by HTTP and stays open.
#[derive(Debug)]
pub(super) struct Http {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Http {
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Sends a request and reads what it is answered: status and body.
    pub(super) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        let exchange = async {
            self.stream.write_all(request).await?;
            self.answer().await
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        answer.context("no answer")?
    }

    async fn answer(&mut self) -> anyhow::Result<(u16, Vec<u8>)> {
        let head = loop {
            let end = self.buffer.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            ensure!(self.buffer.len() < MAX_HEAD, "an answer without end");
            self.more().await?;
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status = text.split_whitespace().nth(1).unwrap_or_default();
        let status = status.parse().context("an answer without a status")?;
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.map_or(Ok(0), |length| length.trim().parse())?;
        while self.buffer.len() < head + length {
            self.more().await?;
        }
        let rest = self.buffer.split_off(head + length);
        let mut answer = std::mem::replace(&mut self.buffer, rest);
        Ok((status, answer.split_off(head)))
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        ensure!(read > 0, "the connection was closed");
        Ok(())
    }
}

/// A request with a body.
pub(super) fn post(address: SocketAddr, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST /rpc HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The header that the API asks of requests.
pub(super) const JSON: &str = "Content-Type: application/json\r\n";

/// A WebSocket of the API.
pub(super) async fn websocket(address: SocketAddr) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let opening = tokio_tungstenite::client_async(format!("ws://{address}/rpc"), stream);
    let (socket, _) = tokio::time::timeout(PATIENCE, opening)
        .await
        .context("no answer")??;
    Ok(socket)
}

/// Somebody who asks, and waits for the answer.
pub(super) enum Asker {
    Http(Http, Vec<u8>),
    WebSocket(Box<WebSocketStream<TcpStream>>),
}

impl Asker {
    pub(super) async fn http(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self::Http(
            Http::connect(address).await?,
            post(address, JSON, CALL),
        ))
    }

    pub(super) async fn websocket(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self::WebSocket(Box::new(websocket(address).await?)))
    }

    /// Asks once; the answer.
    pub(super) async fn ask(&mut self) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Http(http, request) => {
                let (status, body) = http.exchange(request).await?;
                ensure!(status == 200, "the API answered with status {status}");
                Ok(body)
            }
            Self::WebSocket(socket) => {
                socket.send(Message::text(CALL)).await?;
                while let Some(message) = socket.next().await {
                    if let Message::Text(text) = message? {
                        return Ok(text.as_str().into());
                    }
                }
                bail!("the WebSocket was closed")
            }
        }
    }
}

/// All ask again and again for so long; how long each answer took.
pub(super) async fn ask_for(askers: &mut [Asker], time: Duration) -> anyhow::Result<Vec<Duration>> {
    let until = Instant::now() + time;
    let asking = askers.iter_mut().map(async |asker| {
        let mut times = Vec::new();
        while Instant::now() < until {
            let start = Instant::now();
            asker.ask().await?;
            times.push(start.elapsed());
        }
        anyhow::Ok(times)
    });
    let times = futures_util::future::try_join_all(asking).await?;
    Ok(times.concat())
}

/// The bare server: one thread, until this is dropped.
#[derive(Debug)]
pub(super) struct Bare {
    pub(super) address: SocketAddr,
    /// Its thread.
    thread: Pid,
    _stop: oneshot::Sender<()>,
}

impl Bare {
    /// Answers everything with this body, on this core.
    pub(super) async fn start(body: Vec<u8>, core: usize) -> anyhow::Result<Self> {
        let (started, starting) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let body = Bytes::from(body);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            pin(None, &one(core))?;
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                let _ = started.send((listener.local_addr()?, gettid()));
                tokio::select! {
                    served = serve(listener, body) => served,
                    _ = stopped => Ok(()),
                }
            })
        });
        let (address, thread) = starting.await.context("the bare server does not start")?;
        Ok(Self {
            address,
            thread,
            _stop: stop,
        })
    }

    /// Where the kernel tells what its thread has used.
    pub(super) fn stat(&self) -> String {
        format!("/proc/self/task/{}/stat", self.thread)
    }
}

async fn serve(listener: TcpListener, body: Bytes) -> anyhow::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let body = body.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let body = body.clone();
            async move {
                request.into_body().collect().await?;
                let answer = Response::builder().header("content-type", "application/json");
                Ok::<_, anyhow::Error>(answer.body(Full::new(body))?)
            }
        });
        let connection = hyper::server::conn::http1::Builder::new();
        tokio::spawn(connection.serve_connection(TokioIo::new(socket), service));
    }
}

/// The cores that this process may use.
pub(super) fn cores() -> anyhow::Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("cannot tell the cores of this process")?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|core| set.is_set(*core))
        .collect())
}

/// Keeps a thread on these cores; `None` is this one.
pub(super) fn pin(thread: Option<Pid>, cores: &CpuSet) -> anyhow::Result<()> {
    sched_setaffinity(thread, cores).context("cannot keep a thread on one core")
}

/// Keeps all threads of a process on these cores.
pub(super) fn pin_process(process: u32, cores: &CpuSet) -> anyhow::Result<()> {
    for entry in fs::read_dir(format!("/proc/{process}/task"))? {
        let name = entry?.file_name();
        let thread = name.to_str().and_then(|name| name.parse().ok());
        let Some(thread) = thread.and_then(Pid::from_raw) else {
            continue;
        };
        // One that is gone by now needs no core.
        let _ = sched_setaffinity(Some(thread), cores);
    }
    Ok(())
}

/// One core.
pub(super) fn one(core: usize) -> CpuSet {
    many(&[core])
}

/// Several cores.
pub(super) fn many(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    set
}
