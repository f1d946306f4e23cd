//! The board side of a pseudo-terminal: what `hashwright sim` offers a host to open as if it were
//! a serial port.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_serial::{SerialPort, SerialStream};

/// How often to look whether a host has opened the port again after closing it.
const REOPEN_POLL: Duration = Duration::from_millis(20);

/// The master side of a pty whose slave side a host opens as a serial port.
#[derive(Debug)]
pub struct Pty {
    master: SerialStream,
    path: PathBuf,
}

impl Pty {
    /// Makes a new pty in raw mode.
    ///
    /// # Errors
    ///
    /// When the system has no pty left or `/dev/pts` is not mounted.
    pub fn open() -> io::Result<Self> {
        // The slave side is closed again at once: while we hold it, a host that took it for itself
        // alone and went away would leave it locked.
        let (master, slave) = SerialStream::pair()?;
        let path = slave
            .name()
            .ok_or_else(|| io::Error::other("the system did not tell the pty's name"))?;
        Ok(Self {
            master,
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
        loop {
            self.master.readable().await?;
            match self.master.try_read(buffer) {
                Ok(count) if count > 0 => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // This is how a pty says that nobody has the other side open.
                Ok(_) => tokio::time::sleep(REOPEN_POLL).await,
                Err(error) if is_closed(&error) => tokio::time::sleep(REOPEN_POLL).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes as much as the host's buffer takes; the rest is lost, as on a real line.
    ///
    /// # Errors
    ///
    /// When the pty itself fails.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.master.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock || is_closed(&error) => Ok(0),
            other => other,
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}
