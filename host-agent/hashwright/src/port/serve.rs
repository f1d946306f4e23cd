//! The board's side of a line: serves a virtual chain, or a whole virtual board, to a host outside of
//! this program.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use board_simulator::{HostBaud, VirtualChain};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

use super::powered::Powered;
use super::{Pty, SharedBoard, Uart};
use crate::clock::Clock;
use crate::stop::Stop;

/// Longest time that a host may take no bytes before it counts as gone.
const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// Where a virtual chain is served. One host at a time; the chain lives on between them.
#[derive(Debug)]
pub struct Endpoint {
    uart: Uart,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Pty(Pty),
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "held for its drop")] SocketFile,
    ),
}

impl Endpoint {
    /// A new pty.
    ///
    /// # Errors
    ///
    /// When the system gives none.
    pub fn pty() -> io::Result<Self> {
        let pty = Pty::open()?;
        Ok(Self {
            uart: Uart::Serial(pty.path().to_owned()),
            kind: Kind::Pty(pty),
        })
    }

    /// A TCP port on loopback; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the address is not loopback or in use.
    pub async fn tcp(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(io::Error::other(format!(
                "{address} is not a loopback address; a simulated board is served to this machine only"
            )));
        }
        Ok(Self {
            uart: Uart::Tcp(address.to_string()),
            kind: Kind::Tcp(listener),
        })
    }

    /// A unix socket; a left-over socket file at the path is replaced.
    ///
    /// # Errors
    ///
    /// When the path cannot be made.
    pub fn unix(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::FileTypeExt;
        if std::fs::symlink_metadata(path).is_ok_and(|data| data.file_type().is_socket()) {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        Ok(Self {
            uart: Uart::Unix(path.to_owned()),
            kind: Kind::Unix(listener, SocketFile(path.to_owned())),
        })
    }

    /// What a host writes into its config to reach it.
    #[must_use]
    pub fn uart(&self) -> &Uart {
        &self.uart
    }
}

/// The file of a unix socket, removed with its listener.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Looks on while bytes pass; benchmarks take their times here.
pub trait Tap: Send {
    /// Bytes of the host have just been read.
    fn host_wrote(&mut self, bytes: &[u8]);
    /// Bytes are about to be written to the host.
    fn chips_wrote(&mut self, bytes: &[u8]);
}

impl Tap for () {
    fn host_wrote(&mut self, _: &[u8]) {}
    fn chips_wrote(&mut self, _: &[u8]) {}
}

/// Serves a chain until the stop. Hosts may come and go.
///
/// # Errors
///
/// When the endpoint itself fails; a host that vanishes is no error.
pub async fn serve(
    chain: &mut VirtualChain,
    mut endpoint: Endpoint,
    mut stop: Stop,
    tap: &mut impl Tap,
) -> io::Result<()> {
    let mut powered = Powered::on(Clock::start());
    loop {
        let end = match &mut endpoint.kind {
            Kind::Pty(pty) => carry(chain, &mut Side::Pty(pty), &mut powered, &mut stop, tap).await,
            Kind::Tcp(listener) => {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted?.0,
                    () = stop.stopped() => return Ok(()),
                };
                stream.set_nodelay(true)?;
                carry(
                    chain,
                    &mut Side::Stream(Box::new(stream)),
                    &mut powered,
                    &mut stop,
                    tap,
                )
                .await
            }
            Kind::Unix(listener, _) => {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted?.0,
                    () = stop.stopped() => return Ok(()),
                };
                carry(
                    chain,
                    &mut Side::Stream(Box::new(stream)),
                    &mut powered,
                    &mut stop,
                    tap,
                )
                .await
            }
        };
        match end {
            Ok(()) => return Ok(()),
            Err(error) if matches!(endpoint.kind, Kind::Pty(_)) => return Err(error),
            Err(error) => tracing::info!("the host has gone: {error}"),
        }
    }
}

/// How often late answers of a board's controller are looked for.
const LATE: Duration = Duration::from_millis(10);

/// Which line of a whole board is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardLine {
    /// The chips' serial line.
    Uart,
    /// The control port.
    Control,
}

/// Serves one line of a whole board until the stop. Hosts may come and go; somebody else moves the
/// board's time on.
///
/// # Errors
///
/// When the endpoint itself fails; a host that vanishes is no error.
pub async fn serve_board(
    board: &SharedBoard,
    line: BoardLine,
    mut endpoint: Endpoint,
    mut stop: Stop,
) -> io::Result<()> {
    loop {
        let end = match &mut endpoint.kind {
            Kind::Pty(pty) => carry_board(board, line, &mut Side::Pty(pty), &mut stop).await,
            Kind::Tcp(listener) => {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted?.0,
                    () = stop.stopped() => return Ok(()),
                };
                stream.set_nodelay(true)?;
                let mut side = Side::Stream(Box::new(stream));
                carry_board(board, line, &mut side, &mut stop).await
            }
            Kind::Unix(listener, _) => {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted?.0,
                    () = stop.stopped() => return Ok(()),
                };
                let mut side = Side::Stream(Box::new(stream));
                carry_board(board, line, &mut side, &mut stop).await
            }
        };
        if line == BoardLine::Control {
            board.control_closed();
        }
        match end {
            Ok(()) => return Ok(()),
            Err(error) if matches!(endpoint.kind, Kind::Pty(_)) => return Err(error),
            Err(error) => tracing::info!(?line, "the host has gone: {error}"),
        }
    }
}

async fn carry_board(
    board: &SharedBoard,
    line: BoardLine,
    side: &mut Side<'_>,
    stop: &mut Stop,
) -> io::Result<()> {
    let mut chips = board.uart(bm13xx::Baud::RESET.get());
    let mut buffer = [0; 4096];
    let mut out = [0; 4096];
    let mut answer = Vec::new();
    loop {
        let spoke = async {
            match line {
                BoardLine::Uart => chips.read(&mut out).await,
                BoardLine::Control => {
                    tokio::time::sleep(LATE).await;
                    0
                }
            }
        };
        let heard = tokio::select! {
            biased;
            count = side.read(&mut buffer) => Some(count?),
            count = spoke => {
                answer.extend_from_slice(&out[..count]);
                None
            }
            () = stop.stopped() => return Ok(()),
        };
        match (line, heard) {
            (BoardLine::Uart, heard) => {
                chips.set_host_baud(side.baud());
                if let Some(count) = heard {
                    chips.write(&buffer[..count]);
                }
            }
            (BoardLine::Control, Some(count)) => board.control(&buffer[..count], &mut answer),
            (BoardLine::Control, None) => board.control_answers(&mut answer),
        }
        if !answer.is_empty() {
            side.write(&answer).await?;
            answer.clear();
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

enum Side<'a> {
    Pty(&'a mut Pty),
    Stream(Box<dyn Stream>),
}

impl Side<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Pty(pty) => pty.read(buffer).await,
            Self::Stream(stream) => match stream.read(buffer).await? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                count => Ok(count),
            },
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Pty(pty) => pty.write(bytes),
            Self::Stream(stream) => tokio::time::timeout(WRITE_LIMIT, stream.write_all(bytes))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        }
    }

    fn baud(&self) -> HostBaud {
        match self {
            Self::Pty(pty) => pty.host_baud().map_or(HostBaud::Unknown, HostBaud::Rate),
            Self::Stream(_) => HostBaud::Unknown,
        }
    }
}

/// Moves bytes until the stop (`Ok`) or until the host is gone.
async fn carry(
    chain: &mut VirtualChain,
    side: &mut Side<'_>,
    powered: &mut Powered,
    stop: &mut Stop,
    tap: &mut impl Tap,
) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let mut out = Vec::new();
    loop {
        let now = powered.now(chain.next_event());
        chain.take_output(now, &mut out);
        if !out.is_empty() {
            tap.chips_wrote(&out);
            side.write(&out).await?;
            out.clear();
        }
        tokio::select! {
            biased;
            count = side.read(&mut buffer) => {
                let bytes = &buffer[..count?];
                tap.host_wrote(bytes);
                let now = powered.now(chain.next_event());
                chain.advance(now);
                chain.set_host_baud(side.baud());
                chain.receive(now, bytes);
            }
            () = powered.wait(chain) => {
                chain.set_host_baud(side.baud());
            }
            () = stop.stopped() => return Ok(()),
        }
    }
}
