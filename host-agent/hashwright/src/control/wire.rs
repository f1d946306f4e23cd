//! The control protocol's bytes over real ports and over simulated ones. Calls block; a real port
//! that has gone is opened again by itself.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bridge::answer::{Progress, SETTLE};
use bridge::{Exchange, Expect};
use station::BusError;
use tokio_serial::SerialPort;

use crate::port::{OpenError, SharedBoard, Uart};

/// Longest wait for an answer: some firmware measures a fan's speed for 250 ms.
const PATIENCE: Duration = Duration::from_millis(500);
/// Pause before a port that could not be opened, or that has gone, is tried again.
const REOPEN: Duration = Duration::from_secs(1);
/// Longest time that connecting to a server or writing may take.
const CONNECT: Duration = Duration::from_secs(2);
/// A port that gives no answer so many times in a row is closed and opened again.
const SILENCES: u32 = 2;
/// Line rate of a control port. USB does not care; a real serial line is left as firmware has it.
const BAUD: u32 = 115_200;

/// A control port of this machine.
#[derive(Debug)]
pub struct PortWire {
    place: Uart,
    line: Option<Line>,
    silences: u32,
    /// No new try before this moment, and why the last one failed.
    failed: Option<(Instant, String)>,
}

impl PortWire {
    /// A port that is opened when it is needed.
    #[must_use]
    pub fn new(place: Uart) -> Self {
        Self {
            place,
            line: None,
            silences: 0,
            failed: None,
        }
    }

    fn line(&mut self) -> Result<&mut Line, BusError> {
        if let Some((until, reason)) = &self.failed
            && Instant::now() < *until
        {
            return Err(BusError::Gone(reason.clone()));
        }
        if self.line.is_none() {
            match Line::open(&self.place) {
                Ok(line) => {
                    tracing::info!(port = %self.place, "control port open");
                    (self.line, self.failed, self.silences) = (Some(line), None, 0);
                }
                Err(error) => return Err(self.fail(error.to_string())),
            }
        }
        self.line
            .as_mut()
            .ok_or_else(|| BusError::Gone("the control port is closed".to_owned()))
    }

    fn fail(&mut self, reason: String) -> BusError {
        self.line = None;
        self.failed = Some((Instant::now() + REOPEN, reason.clone()));
        BusError::Gone(reason)
    }
}

impl Exchange for PortWire {
    type Error = BusError;

    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, BusError> {
        let outcome = self.line()?.exchange(request, expect, response);
        match outcome {
            Ok(Some(count)) => {
                self.silences = 0;
                Ok(count)
            }
            Ok(None) => {
                self.silences += 1;
                if self.silences >= SILENCES {
                    self.fail(format!("{}: the controller does not answer", self.place));
                }
                Err(BusError::Timeout)
            }
            Err(error) => {
                let reason = format!("{}: the control port has gone ({error})", self.place);
                Err(self.fail(reason))
            }
        }
    }
}

enum Line {
    Serial(Box<dyn SerialPort>),
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Serial(_) => "Serial",
            Self::Tcp(_) => "Tcp",
            Self::Unix(_) => "Unix",
        })
    }
}

impl Line {
    fn open(place: &Uart) -> Result<Self, OpenError> {
        let fail = |error: &io::Error| OpenError::new(place, error);
        match place {
            Uart::Serial(path) => {
                if let Err(error) = std::fs::metadata(path) {
                    return Err(fail(&error));
                }
                tokio_serial::new(path.to_string_lossy(), BAUD)
                    .timeout(SETTLE)
                    .dtr_on_open(true)
                    .open()
                    .map(Self::Serial)
                    .map_err(|error| OpenError::of_serial(place, error))
            }
            Uart::Tcp(address) => {
                let mut last = io::ErrorKind::AddrNotAvailable.into();
                for address in address.to_socket_addrs().map_err(|e| fail(&e))? {
                    match TcpStream::connect_timeout(&address, CONNECT) {
                        Ok(stream) => {
                            let set_up = stream
                                .set_nodelay(true)
                                .and_then(|()| stream.set_read_timeout(Some(SETTLE)))
                                .and_then(|()| stream.set_write_timeout(Some(CONNECT)));
                            return set_up.map(|()| Self::Tcp(stream)).map_err(|e| fail(&e));
                        }
                        Err(error) => last = error,
                    }
                }
                Err(fail(&last))
            }
            Uart::Unix(path) => {
                let connect = || {
                    let stream = UnixStream::connect(path)?;
                    stream.set_read_timeout(Some(SETTLE))?;
                    stream.set_write_timeout(Some(CONNECT))?;
                    Ok(stream)
                };
                connect().map(Self::Unix).map_err(|error| fail(&error))
            }
            Uart::Simulated => Err(fail(&io::ErrorKind::Unsupported.into())),
        }
    }

    /// One question; `None` if no answer came in time.
    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> io::Result<Option<usize>> {
        self.forget()?;
        self.write_all(request)?;
        let Some(expect) = expect else {
            return Ok(Some(0));
        };
        let deadline = Instant::now() + PATIENCE;
        let mut receiver = expect.receiver(response);
        let mut bytes = [0; 512];
        while receiver.progress() != Progress::Complete {
            match self.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    receiver.push(&bytes[..count]);
                }
                Err(error) if is_quiet(&error) => {
                    let settled = receiver.progress() == Progress::Settling;
                    if settled || Instant::now() >= deadline {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline && receiver.progress() == Progress::Incomplete {
                break;
            }
        }
        Ok(receiver.finish())
    }

    /// Drops what is left of earlier answers.
    fn forget(&mut self) -> io::Result<()> {
        let mut bytes = [0; 512];
        match self {
            Self::Serial(port) => {
                port.clear(tokio_serial::ClearBuffer::Input)?;
                return Ok(());
            }
            Self::Tcp(stream) => stream.set_nonblocking(true)?,
            Self::Unix(stream) => stream.set_nonblocking(true)?,
        }
        let gone = loop {
            match self.read(&mut bytes) {
                Ok(0) => break Some(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if is_quiet(&error) => break None,
                Err(error) => break Some(error),
            }
        };
        match self {
            Self::Serial(_) => {}
            Self::Tcp(stream) => stream.set_nonblocking(false)?,
            Self::Unix(stream) => stream.set_nonblocking(false)?,
        }
        gone.map_or(Ok(()), Err)
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Serial(port) => port.read(bytes),
            Self::Tcp(stream) => stream.read(bytes),
            Self::Unix(stream) => stream.read(bytes),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Serial(port) => port.write_all(bytes),
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Unix(stream) => stream.write_all(bytes),
        }
    }
}

fn is_quiet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

/// The control port of a simulated board, which answers at once or not at all: no time passes while
/// a program waits for it.
#[derive(Debug)]
pub struct SimulatedWire {
    board: SharedBoard,
    unread: Vec<u8>,
}

impl SimulatedWire {
    /// The host's end of the port.
    #[must_use]
    pub fn new(board: SharedBoard) -> Self {
        Self {
            board,
            unread: Vec::new(),
        }
    }
}

impl Drop for SimulatedWire {
    fn drop(&mut self) {
        self.board.control_closed();
    }
}

impl Exchange for SimulatedWire {
    type Error = BusError;

    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, BusError> {
        self.unread.clear();
        self.board.control(request, &mut self.unread);
        let Some(expect) = expect else {
            return Ok(0);
        };
        let mut receiver = expect.receiver(response);
        receiver.push(&self.unread);
        receiver.finish().ok_or(BusError::Timeout)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use bridge::client::{Client, Firmware};

    use super::*;

    /// A controller that answers so many requests of each connection with the level of a pin, and then
    /// goes silent or hangs up.
    fn controller(connections: Vec<(usize, bool)>) -> (tempfile::TempDir, PortWire) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            for (answers, hang_up) in connections {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 64];
                for _ in 0..answers {
                    stream.read_exact(&mut request[..6]).unwrap();
                    stream.write_all(&[1, 0, request[2], 1]).unwrap();
                }
                // Until the host gives up.
                while !hang_up && stream.read(&mut request).is_ok_and(|count| count > 0) {}
            }
        });
        (folder, PortWire::new(Uart::Unix(path)))
    }

    fn ask(wire: &mut PortWire) -> Result<usize, BusError> {
        wire.exchange(&[6, 0, 7, 0, 6, 0], Some(Expect::probe(7)), &mut [0; 260])
    }

    #[test]
    fn a_question_is_answered_over_a_socket() {
        let (_folder, wire) = controller(vec![(2, false)]);
        let mut client = Client::new(wire, Firmware::default());
        assert!(client.pin_level(0).unwrap());
    }

    #[test]
    fn a_controller_that_says_nothing_is_a_timeout_and_then_lost() {
        let (_folder, mut wire) = controller(vec![(0, false)]);
        for _ in 0..SILENCES {
            assert_eq!(ask(&mut wire), Err(BusError::Timeout));
        }
        assert!(matches!(ask(&mut wire), Err(BusError::Gone(_))));
    }

    #[test]
    fn a_port_that_was_closed_is_told_and_opened_again() {
        let (_folder, mut wire) = controller(vec![(1, true), (1, true)]);
        assert!(ask(&mut wire).is_ok());
        assert!(matches!(ask(&mut wire), Err(BusError::Gone(_))));
        // At once it is not even tried.
        assert!(matches!(ask(&mut wire), Err(BusError::Gone(_))));
        thread::sleep(REOPEN);
        assert!(ask(&mut wire).is_ok());
    }

    #[test]
    fn a_port_that_does_not_exist_says_what_to_do() {
        let mut wire = PortWire::new(Uart::Serial("/dev/ttyDoesNotExist9".into()));
        let error = wire.exchange(&[], None, &mut []).unwrap_err().to_string();
        for part in ["/dev/ttyDoesNotExist9", "no such device", "plugged in"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
