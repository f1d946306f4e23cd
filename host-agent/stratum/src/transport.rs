//! The tokio task around a session: it opens connections, moves bytes and time, and decides
//! nothing. A share that comes in is on the socket before anything else is looked at.
//! [`PoolConnector`] is how an upstream is reached: directly or through a proxy, with TLS or
//! without.

mod connect;
mod socks;
mod tcp;
#[cfg(feature = "tls")]
mod tls;
mod trust;

use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use mining::Share;
use rustix::rand::{GetRandomFlags, getrandom};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, info, trace, warn};

use crate::session::{Action, Event, Opening, Reason, Session, Stats};

pub use connect::PoolConnector;
pub use socks::{Proxy, ProxyError};
pub use tcp::TcpConnector;
pub use trust::{Fingerprint, Trust, TrustError};

/// A byte stream to a pool.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens byte streams to pools. Tests put in-memory pipes in its place.
pub trait Connector: Send + Sync {
    /// Opens a stream to a host name or address.
    ///
    /// # Errors
    ///
    /// Whatever keeps the connection from coming about. An error that holds a [`Reason`]
    /// (`io::Error::other(reason)`) is told as that reason.
    fn connect(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Box<dyn Stream>>> + Send;
}

/// Takes what a session tells.
pub trait Sink: Send {
    /// Called for every event, in order, in the session's own task as soon as it happens. It
    /// must not block: shares wait for it.
    fn event(&mut self, event: Event);
}

impl<F: FnMut(Event) + Send> Sink for F {
    fn event(&mut self, event: Event) {
        self(event);
    }
}

/// The ends of a session that the rest of the program holds on to.
pub struct Channels {
    /// Shares from the miner.
    pub shares: mpsc::Receiver<Share>,
    /// The rate that this upstream gets, hashes a second; 0 as long as it is not known.
    pub hashrate: watch::Receiver<f64>,
    /// Who hears what happens.
    pub sink: Box<dyn Sink>,
    /// Counters, after every change.
    pub stats: watch::Sender<Stats>,
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").finish_non_exhaustive()
    }
}

/// Runs a session until `stop` completes, and gives it back.
///
/// `epoch` is the zero of the clock on which jobs carry their time of arrival; it must be
/// the same for all tasks of the program. If all senders of shares or of the rate are gone, the
/// session goes on without.
pub async fn run<S: Session + ?Sized>(
    session: Box<S>,
    connector: impl Connector,
    channels: Channels,
    epoch: Instant,
    stop: impl Future<Output = ()>,
) -> Box<S> {
    let mut task = Task {
        pool: session.name(),
        session,
        connector: &connector,
        channels,
        epoch,
        miner_gone: false,
        rate_gone: false,
        connecting: None,
        stream: None,
        writing: None,
        buffer: vec![0; READ_BUFFER].into_boxed_slice(),
    };
    tokio::pin!(stop);
    task.tell_hashrate();
    task.session.start(task.now());
    loop {
        // A message goes out in the next step; counters wait for the round after it.
        if !task.settle() {
            task.publish();
        }
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = task.step() => {}
        }
    }
    task.session.stop(task.now());
    task.settle();
    task.publish();
    task.session
}

/// A pool that takes no data for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const READ_BUFFER: usize = 16 * 1024;

type Connecting<'a> = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send + 'a>>;

struct Task<'a, C, S: ?Sized> {
    pool: String,
    session: Box<S>,
    connector: &'a C,
    channels: Channels,
    epoch: Instant,
    miner_gone: bool,
    rate_gone: bool,
    connecting: Option<Connecting<'a>>,
    stream: Option<Open>,
    writing: Option<Writing>,
    buffer: Box<[u8]>,
}

struct Open {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
}

/// A message on its way into the socket.
struct Writing {
    message: Vec<u8>,
    written: usize,
    deadline: Instant,
}

impl<'a, C: Connector, S: Session + ?Sized> Task<'a, C, S> {
    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.epoch)
    }

    /// Does all that the session asks for and passes on what it tells; `true` if there is now a
    /// message to be written.
    fn settle(&mut self) -> bool {
        while let Some(action) = self.session.poll_action() {
            self.connecting = None;
            self.stream = None;
            self.writing = None;
            if let Action::Connect { host, port } = action {
                debug!(pool = self.pool, host, port, "connecting");
                let connector = self.connector;
                self.connecting = Some(Box::pin(
                    async move { connector.connect(&host, port).await },
                ));
            }
        }
        while let Some(event) = self.session.poll_event() {
            log(&self.pool, &event);
            self.channels.sink.event(event);
        }
        if self.writing.is_none()
            && self.stream.is_some()
            && let Some(message) = self.session.poll_transmit()
        {
            trace!(
                pool = self.pool,
                message = self.session.loggable(&message),
                "sent"
            );
            self.writing = Some(Writing {
                message,
                written: 0,
                deadline: Instant::now() + WRITE_TIMEOUT,
            });
            return true;
        }
        false
    }

    /// Passes on the rate if it is known.
    fn tell_hashrate(&mut self) {
        let rate = *self.channels.hashrate.borrow_and_update();
        if rate > 0.0 {
            let now = self.now();
            self.session.set_hashrate(now, rate);
        }
    }

    /// Publishes the counters if they have changed.
    fn publish(&mut self) {
        let stats = self.session.stats();
        self.channels.stats.send_if_modified(|old| {
            let changed = *old != stats;
            *old = stats;
            changed
        });
    }

    /// Waits for one thing to happen and tells the session. May be dropped at any moment.
    async fn step(&mut self) {
        let due = self
            .session
            .poll_timeout()
            .and_then(|due| self.epoch.checked_add(due));
        let (reader, writer) = match &mut self.stream {
            Some(open) => (Some(&mut open.reader), Some(&mut open.writer)),
            None => (None, None),
        };
        // Messages out come first, then shares: nothing may stand between a share and the
        // socket. Deadlines are looked at in every round, however much there is to read.
        tokio::select! {
            biased;
            wrote = write(writer, self.writing.as_mut()) => {
                self.writing = None;
                if let Err(reason) = wrote {
                    self.lost(reason);
                }
            }
            share = self.channels.shares.recv(), if !self.miner_gone => match share {
                Some(share) => {
                    let now = self.now();
                    if let Err(refusal) = self.session.submit(now, share) {
                        debug!(pool = self.pool, %refusal, "share not sent");
                    }
                }
                None => self.miner_gone = true,
            },
            changed = self.channels.hashrate.changed(), if !self.rate_gone => match changed {
                Ok(()) => self.tell_hashrate(),
                Err(_) => self.rate_gone = true,
            },
            opened = opening(self.connecting.as_mut()) => self.opened(opened),
            read = read(reader, &mut self.buffer) => match read {
                Ok(bytes) => {
                    trace!(pool = self.pool, bytes = bytes.len(), "received");
                    let now = Instant::now().saturating_duration_since(self.epoch);
                    self.session.handle_bytes(now, bytes);
                }
                Err(reason) => self.lost(reason),
            },
            () = until(due) => {}
        }
        let now = self.now();
        if self.session.poll_timeout().is_some_and(|due| due <= now) {
            self.session.handle_timeout(now);
        }
    }

    fn opened(&mut self, opened: io::Result<Box<dyn Stream>>) {
        self.connecting = None;
        let now = self.now();
        let opened = opened.and_then(|stream| Ok((stream, opening_now()?)));
        match opened {
            Ok((stream, opening)) => {
                let (reader, writer) = tokio::io::split(stream);
                self.stream = Some(Open { reader, writer });
                self.session.connected(now, opening);
            }
            Err(error) => {
                self.session.disconnected(now, connect_failure(error));
            }
        }
    }

    fn lost(&mut self, reason: Reason) {
        self.stream = None;
        self.writing = None;
        let now = self.now();
        self.session.disconnected(now, reason);
    }
}

/// Writes the rest of a message; goes on where it was when dropped and called again.
async fn write(
    writer: Option<&mut WriteHalf<Box<dyn Stream>>>,
    writing: Option<&mut Writing>,
) -> Result<(), Reason> {
    let (Some(writer), Some(writing)) = (writer, writing) else {
        return pending().await;
    };
    let deadline = writing.deadline;
    let whole = async {
        while let Some(rest) = writing.message.get(writing.written..)
            && !rest.is_empty()
        {
            match writer.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                bytes => writing.written += bytes,
            }
        }
        writer.flush().await
    };
    match timeout_at(deadline, whole).await {
        Ok(result) => result.map_err(|error| Reason::Io(error.to_string())),
        Err(_) => Err(Reason::WriteTimeout(WRITE_TIMEOUT)),
    }
}

async fn read<'b>(
    reader: Option<&mut ReadHalf<Box<dyn Stream>>>,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], Reason> {
    let Some(reader) = reader else {
        return pending().await;
    };
    match reader.read(buffer).await {
        Ok(0) => Err(Reason::PeerClosed),
        Ok(bytes) => Ok(buffer.get(..bytes).unwrap_or_default()),
        // Servers commonly end TLS without the farewell that it asks for.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Reason::PeerClosed),
        Err(error) => Err(Reason::Io(error.to_string())),
    }
}

async fn opening(connecting: Option<&mut Connecting<'_>>) -> io::Result<Box<dyn Stream>> {
    match connecting {
        Some(connecting) => connecting.await,
        None => pending().await,
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// What kept a connection from coming about, as a session is told it.
pub fn connect_failure(error: io::Error) -> Reason {
    match error.downcast() {
        Ok(reason) => reason,
        Err(error) => Reason::ConnectFailed(error.to_string()),
    }
}

/// What a session cannot know of itself: the time of day, and what nobody can guess.
fn opening_now() -> io::Result<Opening> {
    let mut entropy = [0; 32];
    let mut missing = entropy.as_mut_slice();
    while !missing.is_empty() {
        let got = getrandom(&mut *missing, GetRandomFlags::empty())?;
        missing = missing.split_at_mut(got).1;
    }
    Ok(Opening {
        unix_time: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
        entropy,
    })
}

fn log(pool: &str, event: &Event) {
    match event {
        Event::Connected { host, port } => info!(pool, host, port, "connected"),
        Event::Subscribed { resumed } => info!(pool, resumed, "subscribed"),
        Event::Authorized => info!(pool, "authorised"),
        Event::Job(job) => debug!(pool, job = job.id, generation = job.generation, "job"),
        Event::NoJob => info!(pool, "no job"),
        Event::Difficulty(difficulty) => info!(pool, difficulty, "difficulty set"),
        Event::VersionMask(mask) => info!(pool, mask = format!("{mask:08x}"), "version mask set"),
        Event::ShareAccepted(receipt) => {
            debug!(pool, difficulty = receipt.difficulty, latency = ?receipt.latency, "share accepted");
        }
        Event::ShareRejected {
            receipt,
            kind,
            text,
        } => {
            warn!(pool, job = receipt.share.job.id, %kind, text, "share rejected");
        }
        Event::ShareUnconfirmed(share) => warn!(pool, job = share.job.id, "share not answered"),
        Event::ShareDropped { share, refusal } => {
            debug!(pool, job = share.job.id, %refusal, "share dropped");
        }
        Event::Message(text) => info!(pool, text, "message from the pool"),
        Event::RedirectRefused { host } => {
            warn!(
                pool,
                host, "the pool wants us to go to a foreign host; staying"
            );
        }
        Event::Warning(text) => warn!(pool, "{text}"),
        Event::Block(block) => {
            let mut hash = block.hash;
            hash.reverse();
            let hash = crate::text::to_hex(&hash);
            info!(pool, height = block.height, hash, fate = ?block.fate, "block");
        }
        Event::Learnt(what) => info!(pool, what, "learnt about the pool"),
        Event::Disconnected {
            reason: Reason::Stopped,
            ..
        } => info!(pool, "disconnected"),
        Event::Disconnected { reason, retry_in } => {
            warn!(pool, %reason, ?retry_in, "disconnected");
        }
    }
}
