//! The board side of a pseudo-terminal: what `hashwright sim` offers a host to open as if it were
//! a serial port.

use std::io;
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt;
use tokio_serial::{SerialPort, SerialStream};

/// The master side of a pty whose slave side a host opens as a serial port.
#[derive(Debug)]
pub struct Pty {
    master: SerialStream,
    /// Kept open: the last close of the slave side hangs up the master for good in the eyes of
    /// the event loop, which would then never wait again.
    _slave: SerialStream,
    path: PathBuf,
}

impl Pty {
    /// Makes a new pty in raw mode.
    ///
    /// # Errors
    ///
    /// When the system has no pty left or `/dev/pts` is not mounted.
    pub fn open() -> io::Result<Self> {
        let (master, slave) = SerialStream::pair()?;
        let path = slave
            .name()
            .ok_or_else(|| io::Error::other("the system did not tell the pty's name"))?;
        Ok(Self {
            master,
            _slave: slave,
            path: path.into(),
        })
    }

    /// The path that a host opens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rate that the host has set on its side, baud.
    ///
    /// # Errors
    ///
    /// When the pty is gone.
    pub fn host_baud(&self) -> io::Result<u32> {
        Ok(self.master.baud_rate()?)
    }

    /// Waits for bytes from the host; with no host it waits for one. Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// When the pty itself fails.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.master.read(buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }

    /// Writes as much as the host's buffer takes; the rest is lost, as it is when a real port
    /// overruns or nobody listens.
    ///
    /// # Errors
    ///
    /// When the pty itself fails.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.master.try_write(bytes) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}
