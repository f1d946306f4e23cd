//! The pool of a benchmark: the embedded one of either protocol on a socket of its own, with an eye on
//! that socket and the means to die in several ways.

use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Context as _;
use pool::{ConnectionId, PoolConfig, PoolCore, PoolHandle, PoolStats, Served};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::books::{Books, Hash};
use crate::commands::{stopped, unix_time};
use crate::stop::{self, Stopper};

/// What a pool speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Protocol {
    /// Stratum V1
    V1,
    /// Stratum V2, encrypted, extended channel
    #[cfg(feature = "sv2")]
    V2,
}

impl Protocol {
    /// All that this build speaks.
    pub(super) const ALL: &[Self] = &[
        Self::V1,
        #[cfg(feature = "sv2")]
        Self::V2,
    ];

    /// As people write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V1 => "V1",
            #[cfg(feature = "sv2")]
            Self::V2 => "V2",
        }
    }
}

/// How a pool is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) protocol: Protocol,
    /// Pools of different seeds have different chains.
    pub(super) seed: u64,
    /// Zero bits of a share.
    pub(super) share_bits: i32,
    /// Whether V1 sessions may be resumed.
    pub(super) resume: bool,
}

/// A running pool, until it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    /// What the agent's config says of it.
    pub(super) url: String,
    core: Core,
    listening: AbortHandle,
    mute: Arc<AtomicBool>,
    stopper: Stopper,
}

enum Core {
    V1(PoolHandle<Timed<PoolCore>>),
    #[cfg(feature = "sv2")]
    V2(PoolHandle<Timed<pool::v2::Core>>),
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}

impl Server {
    /// On a free port of loopback.
    pub(super) async fn start(terms: Terms, books: &Books) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("no free port on loopback")?;
        let address = listener.local_addr()?.to_string();
        let (stopper, mute) = (stop::channel().0, Arc::new(AtomicBool::new(false)));
        let eye = Eye {
            books: books.clone(),
            mute: Arc::clone(&mute),
        };
        let difficulty = pool::Difficulty::new(2f64.powi(terms.share_bits - 32))?;
        let (url, core, listening) = match terms.protocol {
            Protocol::V1 => {
                let mut config = PoolConfig {
                    seed: terms.seed,
                    unix_start: unix_time(),
                    block_interval: Duration::ZERO,
                    ..PoolConfig::default()
                };
                if !terms.resume {
                    config.quirks = "no-resume".parse()?;
                }
                config.vardiff.start = difficulty;
                config.vardiff.shares_per_minute = 0.0;
                let url = format!("stratum+tcp://{address}");
                let (handle, listening) = serve(PoolCore::new(config)?, listener, eye, &stopper);
                (url, Core::V1(handle), listening)
            }
            #[cfg(feature = "sv2")]
            Protocol::V2 => {
                let mut config = pool::v2::Config {
                    seed: terms.seed,
                    unix_start: unix_time(),
                    block_interval: Duration::ZERO,
                    difficulty: Some(difficulty),
                    ..pool::v2::Config::default()
                };
                config.vardiff.shares_per_minute = 0.0;
                let core = pool::v2::Core::new(config)?;
                let url = core.url(&address);
                let (handle, listening) = serve(core, listener, eye, &stopper);
                (url, Core::V2(handle), listening)
            }
        };
        Ok(Self {
            url,
            core,
            listening,
            mute,
            stopper,
        })
    }

    /// Somebody finds a block.
    pub(super) async fn new_block(&self) -> anyhow::Result<()> {
        self.order(Order::Block).await
    }

    /// Hangs up on everybody, as a pool does that is started anew but remembers its sessions.
    pub(super) async fn hang_up(&self) -> anyhow::Result<()> {
        self.order(Order::HangUp).await
    }

    /// Ends the pool: connections are closed, and new ones refused.
    pub(super) fn kill(&self) {
        self.listening.abort();
        self.stopper.stop();
    }

    /// From now on it neither reads nor writes; connections are taken all the same.
    pub(super) fn fall_silent(&self) {
        self.mute.store(true, Ordering::SeqCst);
    }

    /// Its own counters.
    pub(super) fn stats(&self) -> PoolStats {
        match &self.core {
            Core::V1(handle) => handle.stats(),
            #[cfg(feature = "sv2")]
            Core::V2(handle) => handle.stats(),
        }
    }

    async fn order(&self, order: Order) -> anyhow::Result<()> {
        let done = match &self.core {
            Core::V1(handle) => handle.call(move |core, now| core.obey(now, order)).await,
            #[cfg(feature = "sv2")]
            Core::V2(handle) => handle.call(move |core, now| core.obey(now, order)).await,
        };
        done.context("the embedded pool has stopped")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Block,
    HangUp,
}

/// What the two pools have in common beyond being served.
trait Judge: Served {
    fn force_block(&mut self, now: Duration);
    fn hang_up(&mut self, now: Duration);
    /// The hash of a share, if that is what the event is about.
    fn accepted(event: &Self::Event) -> Option<Hash>;
}

impl Judge for PoolCore {
    fn force_block(&mut self, now: Duration) {
        Self::force_block(self, now);
    }

    fn hang_up(&mut self, now: Duration) {
        for connection in self.connections() {
            self.close(now, connection.connection);
        }
    }

    fn accepted(event: &pool::Event) -> Option<Hash> {
        match event {
            pool::Event::ShareAccepted { hash, .. } => Some(hash.0),
            _ => None,
        }
    }
}

#[cfg(feature = "sv2")]
impl Judge for pool::v2::Core {
    fn force_block(&mut self, now: Duration) {
        Self::force_block(self, now);
    }

    fn hang_up(&mut self, now: Duration) {
        for connection in self.connections() {
            self.close(now, connection);
        }
    }

    fn accepted(event: &pool::v2::Event) -> Option<Hash> {
        match event {
            pool::v2::Event::ShareAccepted { hash, .. } => Some(hash.0),
            _ => None,
        }
    }
}

fn serve<C: Judge>(
    core: C,
    listener: TcpListener,
    eye: Eye,
    stopper: &Stopper,
) -> (PoolHandle<Timed<C>>, AbortHandle) {
    let core = Timed {
        core,
        books: eye.books.clone(),
        block_is_new: false,
    };
    let (handle, driver) = pool::embed(core, mpsc::channel(1).0);
    tokio::spawn(driver.run(stopped(stopper.watch())));
    let pool = handle.clone();
    let accept = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if stream.set_nodelay(true).is_ok() {
                let eye = eye.clone();
                pool.attach(Watched { stream, eye });
            }
        }
    });
    (handle, accept.abort_handle())
}

/// A pool's core that notes in the books what it gets and gives.
struct Timed<C> {
    core: C,
    books: Books,
    /// The next message is the first about a new block.
    block_is_new: bool,
}

impl<C: Judge> Timed<C> {
    fn obey(&mut self, now: Duration, order: Order) {
        match order {
            Order::Block => {
                self.block_is_new = true;
                self.core.force_block(now);
            }
            Order::HangUp => self.core.hang_up(now),
        }
    }
}

impl<C: Judge> Served for Timed<C> {
    type Event = C::Event;
    type CloseReason = C::CloseReason;
    type ConnectError = C::ConnectError;

    fn connect(&mut self, now: Duration, connection: ConnectionId) -> Result<(), C::ConnectError> {
        self.core.connect(now, connection)
    }

    fn handle_bytes(&mut self, now: Duration, connection: ConnectionId, bytes: &[u8]) {
        let read = self.books.next_read();
        self.core.handle_bytes(now, connection, bytes);
        while let Some(event) = self.core.poll_event() {
            if let Some(hash) = C::accepted(&event) {
                self.books.accepted(&hash, read);
            }
        }
    }

    fn disconnect(&mut self, now: Duration, connection: ConnectionId) {
        self.core.disconnect(now, connection);
    }

    fn handle_timeout(&mut self, now: Duration) {
        self.core.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.core.poll_timeout()
    }

    fn poll_transmit(&mut self) -> Option<(ConnectionId, Vec<u8>)> {
        let packet = self.core.poll_transmit()?;
        if std::mem::take(&mut self.block_is_new) {
            self.books.announcement(&packet.1);
        }
        Some(packet)
    }

    fn poll_close(&mut self) -> Option<(ConnectionId, C::CloseReason)> {
        self.core.poll_close()
    }

    fn poll_event(&mut self) -> Option<C::Event> {
        // They have been taken where they arose; what is left is of no interest.
        while self.core.poll_event().is_some() {}
        None
    }

    fn stats(&self) -> PoolStats {
        self.core.stats()
    }
}

#[derive(Clone, Debug)]
struct Eye {
    books: Books,
    mute: Arc<AtomicBool>,
}

impl Eye {
    fn is_shut(&self) -> bool {
        self.mute.load(Ordering::SeqCst)
    }
}

/// The pool's end of a socket.
#[derive(Debug)]
struct Watched {
    stream: TcpStream,
    eye: Eye,
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.eye.is_shut() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            this.eye.books.pool_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.eye.is_shut() {
            return Poll::Pending;
        }
        this.eye.books.pool_writes(bytes);
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
