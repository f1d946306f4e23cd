//! Byte streams to hash boards: serial ports, serial servers, and simulated boards.
//!
//! A port moves bytes and knows at which rate; everything about what the bytes mean is in
//! `chain` and `bm13xx`. Opening tells a person what to do when it fails.

mod powered;
mod pty;
pub mod serve;
mod shared;
mod simulated;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_serial::{SerialPort, SerialPortBuilderExt, SerialStream};

pub use pty::Pty;
pub use shared::{SharedBoard, UartEnd};
pub use simulated::SimulatedPort;

/// A write that takes longer than this means that the other end has hung: the longest frame
/// takes 13 ms at the slowest rate in use.
const WRITE_LIMIT: Duration = Duration::from_secs(2);

/// Where the UART of a board is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uart {
    /// A board from the simulator, inside this program.
    Simulated,
    /// A serial device, e.g. `/dev/ttyACM1`, or the pty of `hashwright sim`.
    Serial(PathBuf),
    /// A serial server, `host:port`; the rate is the server's business.
    Tcp(String),
    /// A unix socket; the rate is the server's business.
    Unix(PathBuf),
}

impl FromStr for Uart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "sim" {
            Ok(Self::Simulated)
        } else if let Some(address) = text.strip_prefix("tcp:") {
            match address.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                    Ok(Self::Tcp(address.to_owned()))
                }
                _ => Err(format!(
                    "`{text}` is not a serial server: write tcp:HOST:PORT, e.g. tcp:127.0.0.1:7000"
                )),
            }
        } else if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                Err("`unix:` needs the path of a socket, e.g. unix:/run/board0.sock".to_owned())
            } else {
                Ok(Self::Unix(path.into()))
            }
        } else if text.is_empty() {
            Err(
                "the UART is empty: write a device path such as /dev/ttyACM1, or \"sim\""
                    .to_owned(),
            )
        } else if text.contains('/') {
            Ok(Self::Serial(text.into()))
        } else {
            Err(format!(
                "`{text}` is not a UART: write a device path (/dev/ttyACM1), tcp:HOST:PORT, unix:/path or sim"
            ))
        }
    }
}

impl fmt::Display for Uart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulated => f.write_str("sim"),
            Self::Serial(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a port could not be opened, with what to try.
#[derive(Debug, thiserror::Error)]
#[error("{uart}: {reason}; {advice}")]
pub struct OpenError {
    /// The port as configured.
    pub uart: String,
    /// What the system said.
    pub reason: String,
    /// What to try.
    pub advice: &'static str,
}

impl OpenError {
    pub(crate) fn new(uart: &Uart, error: &io::Error) -> Self {
        Self {
            uart: uart.to_string(),
            reason: describe(error),
            advice: advice(uart, error),
        }
    }

    /// What the serial library says of a path that exists.
    pub(crate) fn of_serial(uart: &Uart, error: tokio_serial::Error) -> Self {
        let error = match error.kind {
            // This is how it says that somebody has it.
            tokio_serial::ErrorKind::NoDevice => io::Error::from(io::ErrorKind::ResourceBusy),
            _ => io::Error::from(error),
        };
        Self::new(uart, &error)
    }
}

/// An open byte stream to one board.
#[derive(Debug)]
pub enum Port {
    /// A serial device.
    Serial(Box<SerialStream>),
    /// A serial server over TCP.
    Tcp(TcpStream),
    /// A serial server on a unix socket.
    Unix(UnixStream),
    /// Simulated chips alone.
    Simulated(Box<SimulatedPort>),
    /// The serial line of a whole simulated board.
    Whole(UartEnd),
}

impl Port {
    /// Opens a real port at `baud`.
    ///
    /// # Errors
    ///
    /// When the device or server cannot be reached, with the path, the reason and what to try.
    /// [`Uart::Simulated`] is not opened here: a simulated board is made from its profile.
    pub async fn open(uart: &Uart, baud: u32) -> Result<Self, OpenError> {
        let fail = |error: &io::Error| OpenError::new(uart, error);
        match uart {
            Uart::Simulated => Err(OpenError {
                uart: uart.to_string(),
                reason: "a simulated board has no port to open".to_owned(),
                advice: "this is a bug, please report it",
            }),
            Uart::Serial(path) => {
                // Opening by hand first gives the real reason; the serial library folds
                // several into one.
                if let Err(error) = std::fs::metadata(path) {
                    return Err(fail(&error));
                }
                tokio_serial::new(path.to_string_lossy(), baud)
                    .open_native_async()
                    .map(|port| {
                        // What an earlier program left in the buffers means nothing to us.
                        let _ = port.clear(tokio_serial::ClearBuffer::All);
                        Self::Serial(Box::new(port))
                    })
                    .map_err(|error| OpenError::of_serial(uart, error))
            }
            Uart::Tcp(address) => {
                let stream = tokio::time::timeout(WRITE_LIMIT, TcpStream::connect(address))
                    .await
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                    .map_err(|error| fail(&error))?;
                stream.set_nodelay(true).map_err(|error| fail(&error))?;
                Ok(Self::Tcp(stream))
            }
            Uart::Unix(path) => UnixStream::connect(path)
                .await
                .map(Self::Unix)
                .map_err(|error| fail(&error)),
        }
    }

    /// Waits for bytes from the board. Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// When the port has vanished; an end of stream counts as that.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self {
            Self::Serial(port) => port.read(buffer).await?,
            Self::Tcp(stream) => stream.read(buffer).await?,
            Self::Unix(stream) => stream.read(buffer).await?,
            Self::Simulated(board) => return Ok(board.read(buffer).await),
            Self::Whole(board) => return Ok(board.read(buffer).await),
        };
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the port was closed from the other side",
            ));
        }
        Ok(count)
    }

    /// Writes all of `bytes` in one call where the system takes them.
    ///
    /// # Errors
    ///
    /// When the port has vanished, or takes no bytes for two seconds.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let write = async {
            match self {
                Self::Serial(port) => port.write_all(bytes).await,
                Self::Tcp(stream) => stream.write_all(bytes).await,
                Self::Unix(stream) => stream.write_all(bytes).await,
                Self::Simulated(board) => {
                    board.write(bytes);
                    Ok(())
                }
                Self::Whole(board) => {
                    board.write(bytes);
                    Ok(())
                }
            }
        };
        tokio::time::timeout(WRITE_LIMIT, write)
            .await
            .unwrap_or_else(|_| {
                Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the port takes no more bytes",
                ))
            })
    }

    /// Changes the rate of our side, after what was written has left. Streams without a rate
    /// of their own take no notice.
    ///
    /// # Errors
    ///
    /// When the port cannot do that rate.
    pub async fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        match self {
            Self::Serial(port) => {
                port.flush().await?;
                port.set_baud_rate(baud).map_err(|error| {
                    io::Error::other(format!(
                        "cannot switch to {baud} baud ({error}); the adapter may not support this rate"
                    ))
                })
            }
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
            Self::Simulated(board) => {
                board.set_baud(baud);
                Ok(())
            }
            Self::Whole(board) => {
                board.set_baud(baud);
                Ok(())
            }
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // A real port forgets on its last close that it was ours alone; a pty does not, and would
        // refuse the next host.
        if let Self::Serial(port) = self {
            let _ = port.set_exclusive(false);
        }
    }
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such device".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::ResourceBusy => "another program has it open".to_owned(),
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => error.to_string(),
    }
}

fn advice(uart: &Uart, error: &io::Error) -> &'static str {
    match (uart, error.kind()) {
        (Uart::Serial(_), io::ErrorKind::NotFound) => {
            "is the board plugged in and powered? `ls /dev/ttyACM* /dev/ttyUSB*` shows the ports that exist"
        }
        (Uart::Serial(_), io::ErrorKind::PermissionDenied) => {
            "add your user to the group that owns it (usually `sudo usermod -aG dialout $USER`) and log in again"
        }
        (Uart::Serial(_), io::ErrorKind::ResourceBusy) => {
            "close the other program (`fuser -v` with the path names it); only one may drive a board"
        }
        (Uart::Tcp(_), _) => "check host and port, and that the serial server runs",
        (Uart::Unix(_), _) => "check the path, and that the program behind the socket runs",
        _ => "check the path and the cable, then look at the kernel log (`dmesg`)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uarts_parse_and_print_as_in_the_config() {
        for text in [
            "sim",
            "/dev/ttyACM1",
            "tcp:127.0.0.1:7000",
            "tcp:[::1]:7000",
            "unix:/run/b0",
        ] {
            assert_eq!(text.parse::<Uart>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn uarts_that_make_no_sense_are_refused_with_an_example() {
        for text in [
            "",
            "ttyACM1",
            "tcp:nowhere",
            "tcp::70",
            "tcp:host:99999",
            "unix:",
        ] {
            let error = text.parse::<Uart>().expect_err(text);
            assert!(error.contains("/dev/") || error.contains("e.g."), "{error}");
        }
    }

    #[tokio::test]
    async fn a_port_that_does_not_exist_says_so_and_what_to_try() {
        let uart = Uart::Serial("/dev/ttyDoesNotExist9".into());
        let error = Port::open(&uart, 115_200).await.expect_err("no such port");
        let text = error.to_string();
        assert!(text.contains("/dev/ttyDoesNotExist9"), "{text}");
        assert!(text.contains("no such device"), "{text}");
        assert!(text.contains("plugged in"), "{text}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_serial_port_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        let uart = Uart::Serial(file.path().into());
        assert!(Port::open(&uart, 115_200).await.is_err());
    }
}
