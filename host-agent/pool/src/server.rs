//! The tokio shell around a pool's core: a task that owns the core, and for each connection one that
//! reads and one that writes. They only move bytes and time. All channels are bounded: a miner that
//! does not read its messages is hung up on, one that writes too fast waits.

use crate::engine::{ConnectError, PoolCore};
use crate::event::{CloseReason, ConnectionId, ConnectionInfo, Event, PoolStats};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

/// Inputs that may wait for the core's task; readers wait when it is full.
const INPUT_QUEUE: usize = 256;
/// Batches of packets that may wait for one connection's writer. A miner that reads more slowly than
/// that is hung up on. A batch is what one step of the core had to say.
const WRITE_QUEUE: usize = 256;
/// A packet that cannot be written for so long means that the miner is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes read at a time.
const READ_BUFFER: usize = 4096;
/// Pause after a failed accept, which mostly means that file descriptors ran out.
const ACCEPT_RETRY: Duration = Duration::from_millis(200);

/// What a core is to the tasks that serve it: no sockets, no clock, everything by polling. Its times
/// count from the start of [`Driver::run`].
pub trait Served: Send + 'static {
    /// What it tells its owner.
    type Event: Send + 'static;
    /// Why it hangs up on somebody.
    type CloseReason: std::fmt::Display;
    /// Why it does not take a connection.
    type ConnectError: std::fmt::Display;

    /// Takes a connection of a new name.
    ///
    /// # Errors
    /// The connection is to be closed then.
    fn connect(
        &mut self,
        now: Duration,
        connection: ConnectionId,
    ) -> Result<(), Self::ConnectError>;
    /// Bytes from a connection, cut anywhere.
    fn handle_bytes(&mut self, now: Duration, connection: ConnectionId, bytes: &[u8]);
    /// The connection is gone.
    fn disconnect(&mut self, now: Duration, connection: ConnectionId);
    /// Does what is due.
    fn handle_timeout(&mut self, now: Duration);
    /// When to call [`Served::handle_timeout`] at the latest.
    fn poll_timeout(&self) -> Option<Duration>;
    /// The next packet to write.
    fn poll_transmit(&mut self) -> Option<(ConnectionId, Vec<u8>)>;
    /// The next connection to hang up on, after all that was to be sent to it.
    fn poll_close(&mut self) -> Option<(ConnectionId, Self::CloseReason)>;
    /// The next thing that happened.
    fn poll_event(&mut self) -> Option<Self::Event>;
    /// Counters since the start.
    fn stats(&self) -> PoolStats;
}

/// Something to be done with the core by its own task.
type Call<C> = Box<dyn FnOnce(&mut C, Duration) + Send>;

/// Packets to be written one by one, in this order.
type Batch = Vec<Vec<u8>>;

enum Input<C> {
    Connect(ConnectionId, mpsc::Sender<Batch>),
    Bytes(ConnectionId, Vec<u8>),
    Gone(ConnectionId),
    Call(Call<C>),
}

/// A way to the running pool: attaches connections, asks and commands. Clones are cheap.
pub struct PoolHandle<C = PoolCore> {
    inputs: mpsc::Sender<Input<C>>,
    next_id: Arc<AtomicU64>,
    stats: watch::Receiver<PoolStats>,
}

impl<C> Clone for PoolHandle<C> {
    fn clone(&self) -> PoolHandle<C> {
        PoolHandle {
            inputs: self.inputs.clone(),
            next_id: self.next_id.clone(),
            stats: self.stats.clone(),
        }
    }
}

/// The task that owns the core; it does nothing until [`Driver::run`] is awaited or spawned.
#[must_use = "the pool does nothing until its driver runs"]
pub struct Driver<C: Served = PoolCore> {
    core: C,
    inputs: mpsc::Receiver<Input<C>>,
    events: mpsc::Sender<C::Event>,
    stats: watch::Sender<PoolStats>,
    writers: BTreeMap<ConnectionId, mpsc::Sender<Batch>>,
    events_lost: u64,
}

/// Splits a core into a handle and the driver to be spawned. Events go to `events`; those that do not
/// fit are dropped and counted in [`PoolStats::events_lost`].
pub fn embed<C: Served>(core: C, events: mpsc::Sender<C::Event>) -> (PoolHandle<C>, Driver<C>) {
    let (sender, inputs) = mpsc::channel(INPUT_QUEUE);
    let (stats, stats_seen) = watch::channel(core.stats());
    let handle = PoolHandle {
        inputs: sender,
        next_id: Arc::new(AtomicU64::new(1)),
        stats: stats_seen,
    };
    let driver = Driver {
        core,
        inputs,
        events,
        stats,
        writers: BTreeMap::new(),
        events_lost: 0,
    };
    (handle, driver)
}

/// Serves a listener until `stop` is done, and returns the final counters.
pub async fn serve<C: Served>(
    listener: TcpListener,
    core: C,
    events: mpsc::Sender<C::Event>,
    stop: impl Future<Output = ()> + Send,
) -> PoolStats {
    let (handle, driver) = embed(core, events);
    let accept = tokio::spawn(handle.listen(listener));
    let stats = driver.run(stop).await;
    accept.abort();
    stats
}

impl<C: Served> PoolHandle<C> {
    /// Takes a connection of any kind: a socket, or one end of an in-memory pipe. Spawns the tasks that
    /// move its bytes and returns at once. The connection is closed if the pool is full or has stopped.
    /// Like all that spawns tasks it has to be called within a tokio runtime.
    pub fn attach(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> ConnectionId {
        let id = ConnectionId(self.next_id.fetch_add(1, Ordering::Relaxed));
        tokio::spawn(carry(id, stream, self.inputs.clone()));
        id
    }

    /// Accepts connections from a listener for ever; to be spawned, and aborted to end it.
    pub fn listen(&self, listener: TcpListener) -> impl Future<Output = ()> + Send + use<C> {
        let handle = self.clone();
        async move {
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        // Without it small messages wait for each other's acknowledgements.
                        if let Err(error) = stream.set_nodelay(true) {
                            tracing::debug!(%peer, %error, "no TCP_NODELAY");
                        }
                        let connection = handle.attach(stream);
                        tracing::debug!(%peer, %connection, "miner connected to the embedded pool");
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the embedded pool could not accept a connection");
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                }
            }
        }
    }

    /// The newest counters.
    pub fn stats(&self) -> PoolStats {
        self.stats.borrow().clone()
    }

    /// A view of the counters that wakes up whenever they change.
    pub fn watch_stats(&self) -> watch::Receiver<PoolStats> {
        self.stats.clone()
    }

    /// Runs a function on the core, with its present time; `None` if the pool has stopped.
    pub async fn call<T: Send + 'static>(
        &self,
        function: impl FnOnce(&mut C, Duration) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, result) = oneshot::channel();
        let call = Input::Call(Box::new(move |core, now| {
            // Nobody may be waiting any more; then the result is of no use.
            let _ = answer.send(function(core, now));
        }));
        self.inputs.send(call).await.ok()?;
        result.await.ok()
    }
}

impl PoolHandle {
    /// The connections as they stand; empty if the pool has stopped.
    pub async fn connections(&self) -> Vec<ConnectionInfo> {
        self.call(|core, _| core.connections())
            .await
            .unwrap_or_default()
    }
}

impl<C: Served> Driver<C> {
    /// Runs the pool until `stop` is done, and returns the final counters. Its clock starts now.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> PoolStats {
        let start = Instant::now();
        tokio::pin!(stop);
        loop {
            let due = self
                .core
                .poll_timeout()
                .and_then(|due| start.checked_add(due));
            tokio::select! {
                biased;
                () = &mut stop => break,
                input = self.inputs.recv() => match input {
                    Some(input) => {
                        self.take(start.elapsed(), input);
                        // A flood of input must not keep what is due from being done.
                        if due.is_some_and(|due| due <= Instant::now()) {
                            self.core.handle_timeout(start.elapsed());
                        }
                    }
                    // All handles are gone, and with them all connections.
                    None => break,
                },
                () = wait_until(due) => self.core.handle_timeout(start.elapsed()),
            }
            self.drain(start.elapsed());
        }
        self.stats()
    }

    fn take(&mut self, now: Duration, input: Input<C>) {
        match input {
            Input::Connect(id, writer) => match self.core.connect(now, id) {
                Ok(()) => {
                    self.writers.insert(id, writer);
                }
                // Dropping the writer ends the connection's tasks.
                Err(error) => tracing::warn!(connection = %id, %error, "connection refused"),
            },
            Input::Bytes(id, bytes) => self.core.handle_bytes(now, id, &bytes),
            Input::Gone(id) => {
                self.writers.remove(&id);
                self.core.disconnect(now, id);
            }
            Input::Call(function) => function(&mut self.core, now),
        }
    }

    fn drain(&mut self, now: Duration) {
        let mut batches = BTreeMap::<ConnectionId, Batch>::new();
        while let Some((id, bytes)) = self.core.poll_transmit() {
            batches.entry(id).or_default().push(bytes);
        }
        for (id, batch) in batches {
            let sent = self.writers.get(&id).map(|writer| writer.try_send(batch));
            if let Some(Err(error)) = sent {
                tracing::debug!(connection = %id, %error, "miner does not read its messages");
                self.writers.remove(&id);
                self.core.disconnect(now, id);
            }
        }
        while let Some((id, reason)) = self.core.poll_close() {
            tracing::debug!(connection = %id, %reason, "embedded pool hangs up");
            self.writers.remove(&id);
        }
        while let Some(event) = self.core.poll_event() {
            if self.events.try_send(event).is_err() {
                self.events_lost += 1;
            }
        }
        let stats = self.stats();
        self.stats.send_if_modified(|seen| {
            let changed = *seen != stats;
            *seen = stats;
            changed
        });
    }

    fn stats(&self) -> PoolStats {
        let mut stats = self.core.stats();
        stats.events_lost += self.events_lost;
        stats
    }
}

/// Moves one connection's bytes until either side ends it.
async fn carry<C>(
    id: ConnectionId,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    inputs: mpsc::Sender<Input<C>>,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (packets, mut outgoing) = mpsc::channel::<Batch>(WRITE_QUEUE);
    if inputs.send(Input::Connect(id, packets)).await.is_err() {
        return;
    }
    let read = async {
        let mut buffer = [0; READ_BUFFER];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    let bytes = buffer[..count].to_vec();
                    if inputs.send(Input::Bytes(id, bytes)).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    let write = async {
        // The channel closes when the pool hangs up; what was in it is still written.
        while let Some(batch) = outgoing.recv().await {
            for packet in batch {
                if write_packet(&mut writer, &packet).await.is_err() {
                    return;
                }
            }
        }
        // The peer may be gone already; there is nothing more to say to it either way.
        let _ = writer.shutdown().await;
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
    // If the pool has stopped, it does not need to know.
    let _ = inputs.send(Input::Gone(id)).await;
}

async fn write_packet(writer: &mut (impl AsyncWrite + Unpin), packet: &[u8]) -> io::Result<()> {
    let write = async {
        writer.write_all(packet).await?;
        writer.flush().await
    };
    timeout(WRITE_TIMEOUT, write)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

impl Served for PoolCore {
    type Event = Event;
    type CloseReason = CloseReason;
    type ConnectError = ConnectError;

    fn connect(&mut self, now: Duration, connection: ConnectionId) -> Result<(), ConnectError> {
        PoolCore::connect(self, now, connection)
    }

    fn handle_bytes(&mut self, now: Duration, connection: ConnectionId, bytes: &[u8]) {
        PoolCore::handle_bytes(self, now, connection, bytes);
    }

    fn disconnect(&mut self, now: Duration, connection: ConnectionId) {
        PoolCore::disconnect(self, now, connection);
    }

    fn handle_timeout(&mut self, now: Duration) {
        PoolCore::handle_timeout(self, now);
    }

    fn poll_timeout(&self) -> Option<Duration> {
        PoolCore::poll_timeout(self)
    }

    fn poll_transmit(&mut self) -> Option<(ConnectionId, Vec<u8>)> {
        PoolCore::poll_transmit(self)
    }

    fn poll_close(&mut self) -> Option<(ConnectionId, CloseReason)> {
        PoolCore::poll_close(self)
    }

    fn poll_event(&mut self) -> Option<Event> {
        PoolCore::poll_event(self)
    }

    fn stats(&self) -> PoolStats {
        PoolCore::stats(self)
    }
}

async fn wait_until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
