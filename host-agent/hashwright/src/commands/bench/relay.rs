//! The floor: a relay of two threads that copies bytes between a TCP socket and unix sockets and
//! does nothing else. What passes it takes the time of the machine, its sockets and its scheduler.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream as BlockingUnix;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;

use super::sampling::Latency;

/// About the size of a `mining.notify`, of a job frame, a nonce reply and a `mining.submit`.
const NOTIFY: usize = 600;
const JOB: usize = 88;
const NONCE: usize = 11;
const SUBMIT: usize = 120;
/// A relay that does not answer for so long is broken.
const LIMIT: Duration = Duration::from_secs(5);

/// Our ends of the relay's sockets, and what was measured.
#[derive(Debug)]
pub(super) struct Relay {
    pool: TcpStream,
    boards: Vec<OwnedWriteHalf>,
    jobs: mpsc::Receiver<Instant>,
    down: Vec<Duration>,
    up: Vec<Duration>,
}

impl Relay {
    /// Between one pool and so many boards. It ends with its owner.
    pub(super) async fn start(boards: usize) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let pool = TcpStream::connect(listener.local_addr()?).await?;
        pool.set_nodelay(true)?;
        let (their_pool, _) = listener.accept()?;
        their_pool.set_nodelay(true)?;
        let (jobs_in, jobs) = mpsc::channel(boards.max(1));
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..boards {
            let (our, their) = BlockingUnix::pair()?;
            our.set_nonblocking(true)?;
            let (mut reader, writer) = UnixStream::from_std(our)?.into_split();
            let jobs = jobs_in.clone();
            tokio::spawn(async move {
                let mut job = [0; JOB];
                while reader.read_exact(&mut job).await.is_ok() {
                    if jobs.send(Instant::now()).await.is_err() {
                        return;
                    }
                }
            });
            ours.push(writer);
            theirs.push(their);
        }
        let first = theirs.first().map(BlockingUnix::try_clone).transpose()?;
        let up = their_pool.try_clone()?;
        std::thread::spawn(move || copy_down(their_pool, &mut theirs));
        if let Some(first) = first {
            std::thread::spawn(move || copy_up(first, up));
        }
        Ok(Self {
            pool,
            boards: ours,
            jobs,
            down: Vec::new(),
            up: Vec::new(),
        })
    }

    /// Sends one message down to all boards, and one up from the first.
    pub(super) async fn ping(&mut self) -> anyhow::Result<()> {
        let ping = async {
            let start = Instant::now();
            self.pool.write_all(&[b'n'; NOTIFY]).await?;
            for _ in 0..self.boards.len() {
                let read = self.jobs.recv().await.context("a board's end is gone")?;
                self.down.push(read.saturating_duration_since(start));
            }
            if let Some(board) = self.boards.first_mut() {
                let start = Instant::now();
                board.write_all(&[b'n'; NONCE]).await?;
                let mut submit = [0; SUBMIT];
                self.pool.read_exact(&mut submit).await?;
                self.up.push(start.elapsed());
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(LIMIT, ping)
            .await
            .context("the relay does not answer")?
    }

    /// Pool to boards, and board to pool.
    pub(super) fn latencies(&self) -> (Latency, Latency) {
        (Latency::of(&self.down), Latency::of(&self.up))
    }
}

fn copy_down(mut pool: std::net::TcpStream, boards: &mut [BlockingUnix]) -> io::Result<()> {
    let mut notify = [0; NOTIFY];
    loop {
        pool.read_exact(&mut notify)?;
        for board in &mut *boards {
            board.write_all(&notify[..JOB])?;
        }
    }
}

fn copy_up(mut board: BlockingUnix, mut pool: std::net::TcpStream) -> io::Result<()> {
    let mut nonce = [0; NONCE];
    loop {
        board.read_exact(&mut nonce)?;
        pool.write_all(&[nonce[0]; SUBMIT])?;
    }
}
