//! Takes the times: looks on at the pool's socket and at the chips' sockets, and joins what goes in
//! at one end of the agent with what comes out at the other.
//!
//! Times are in the agent's disfavour: they start before the write and end after the read, so the
//! system calls and the waking of this process count as well.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bm13xx::{ChipKind, Decoder, Reply};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::port::serve::Tap;

/// Nonces that may wait for their submit; older ones were no shares.
const MAX_NONCES: usize = 1024;
/// Longest line and longest frame that are put together from parts.
const MAX_PARTIAL: usize = 16 * 1024;
/// First bytes of a frame to the chips.
const PREAMBLE: [u8; 2] = [0x55, 0xaa];
/// Third byte of a job's frame.
const JOB: u8 = 0x21;
/// Where the previous block's hash stands in the frame of a full-header job.
const PREV_HASH: std::ops::Range<usize> = 50..82;

/// What has been seen; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Recorder(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    boards: Vec<BoardSeen>,
    /// When the newest clean job was written.
    notified: Option<Instant>,
    /// Told once all boards have a job for the new block.
    taken_up: Option<oneshot::Sender<()>>,
    nonces: VecDeque<(u32, Instant)>,
    nonce_count: u64,
    jobs: Vec<Duration>,
    shares: Vec<Duration>,
}

#[derive(Clone, Debug, Default)]
struct BoardSeen {
    prev_hash: Vec<u8>,
    /// A job for the newest block has been seen.
    current: bool,
    nonces: u64,
}

impl Recorder {
    /// For so many boards.
    pub(super) fn new(boards: usize) -> Self {
        Self(Arc::new(Mutex::new(Seen {
            boards: vec![BoardSeen::default(); boards],
            ..Seen::default()
        })))
    }

    /// The eye on the socket of one board.
    pub(super) fn tap(&self, board: usize, kind: ChipKind) -> ChainTap {
        ChainTap {
            recorder: self.clone(),
            board,
            decoder: Decoder::new(kind),
            partial: Vec::new(),
            since: Instant::now(),
        }
    }

    /// Whether every board has had a job and returned nonces, and shares have come.
    pub(super) fn all_mining(&self) -> bool {
        let seen = self.seen();
        seen.boards.iter().all(|board| board.nonces > 0) && !seen.shares.is_empty()
    }

    /// Starts counting anew.
    pub(super) fn forget(&self) {
        let mut seen = self.seen();
        seen.jobs.clear();
        seen.shares.clear();
    }

    /// Completes when all boards have a job for a block that comes after this call.
    pub(super) fn expect_block(&self) -> oneshot::Receiver<()> {
        let (told, done) = oneshot::channel();
        let mut seen = self.seen();
        seen.taken_up = Some(told);
        seen.notified = None;
        seen.boards
            .iter_mut()
            .for_each(|board| board.current = false);
        done
    }

    /// Nonces that the chips have returned.
    pub(super) fn nonces(&self) -> u64 {
        self.seen().nonce_count
    }

    /// Shares that have been timed.
    pub(super) fn shares(&self) -> usize {
        self.seen().shares.len()
    }

    /// Times from notify to job, one for each board and block, and from nonce to submit.
    pub(super) fn latencies(&self) -> (Vec<Duration>, Vec<Duration>) {
        let seen = self.seen();
        (seen.jobs.clone(), seen.shares.clone())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn job(&mut self, board: usize, at: Instant, prev_hash: &[u8]) {
        let Some(board) = self.boards.get_mut(board) else {
            return;
        };
        if board.prev_hash == prev_hash {
            return;
        }
        board.prev_hash = prev_hash.to_vec();
        if let Some(notified) = self.notified
            && !board.current
        {
            board.current = true;
            self.jobs.push(at.saturating_duration_since(notified));
            if self.boards.iter().all(|board| board.current)
                && let Some(told) = self.taken_up.take()
            {
                // Nobody waits any more if it took too long.
                let _ = told.send(());
            }
        }
    }

    fn nonce(&mut self, board: usize, at: Instant, nonce: u32) {
        self.nonce_count += 1;
        if let Some(board) = self.boards.get_mut(board) {
            board.nonces += 1;
        }
        if self.nonces.len() == MAX_NONCES {
            self.nonces.pop_front();
        }
        self.nonces.push_back((nonce, at));
    }

    fn submit(&mut self, at: Instant, nonce: u32) {
        let found = self.nonces.iter().rposition(|(known, _)| *known == nonce);
        if let Some((_, written)) = found.and_then(|index| self.nonces.remove(index)) {
            self.shares.push(at.saturating_duration_since(written));
        }
    }
}

/// The eye on the socket of one board.
#[derive(Debug)]
pub(super) struct ChainTap {
    recorder: Recorder,
    board: usize,
    decoder: Decoder,
    partial: Vec<u8>,
    /// When the first byte in `partial` was read.
    since: Instant,
}

impl Tap for ChainTap {
    fn host_wrote(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        if self.partial.is_empty() {
            self.since = now;
        }
        self.partial.extend_from_slice(bytes);
        while let Some(frame) = next_frame(&mut self.partial) {
            if frame.get(2) == Some(&JOB)
                && let Some(prev_hash) = frame.get(PREV_HASH)
            {
                self.recorder.seen().job(self.board, self.since, prev_hash);
            }
            // What follows in the buffer may have come before this chunk only if nothing was left.
            self.since = now;
        }
    }

    fn chips_wrote(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        let (recorder, board) = (&self.recorder, self.board);
        self.decoder.feed(bytes, |reply| {
            if let Reply::Nonce(nonce) = reply {
                recorder.seen().nonce(board, now, nonce.nonce);
            }
        });
    }
}

/// Takes the first whole frame off the buffer, with whatever is in front of it.
fn next_frame(partial: &mut Vec<u8>) -> Option<Vec<u8>> {
    let start = partial
        .windows(PREAMBLE.len())
        .position(|pair| pair == PREAMBLE)?;
    // The length byte counts all but the preamble.
    let length = PREAMBLE.len() + usize::from(*partial.get(start + 3)?);
    if partial.len() < start + length {
        return None;
    }
    partial.drain(..start);
    Some(partial.drain(..length).collect())
}

/// The pool's end of the socket.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    recorder: Recorder,
    partial: Vec<u8>,
}

impl Watched {
    /// Looks on at this connection.
    pub(super) fn new(stream: TcpStream, recorder: Recorder) -> Self {
        Self {
            stream,
            recorder,
            partial: Vec::new(),
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        self.partial.extend_from_slice(bytes);
        while let Some(end) = self.partial.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.partial.drain(..=end).collect();
            if let Some(nonce) = submitted(&line) {
                self.recorder.seen().submit(now, nonce);
            }
        }
        if self.partial.len() > MAX_PARTIAL {
            self.partial.clear();
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        this.read(&buffer.filled()[before..]);
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
        if is_clean_job(bytes) {
            // Before the write: its answer may be read before this task runs on.
            this.recorder.seen().notified = Some(Instant::now());
        }
        Pin::new(&mut this.stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Whether these bytes are a `mining.notify` with the clean flag. The pool writes a line at a time.
fn is_clean_job(bytes: &[u8]) -> bool {
    let Ok(line) = serde_json::from_slice::<serde_json::Value>(bytes) else {
        return false;
    };
    line["method"] == "mining.notify" && line["params"][8] == true
}

/// The nonce of a `mining.submit`.
fn submitted(line: &[u8]) -> Option<u32> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    if line["method"] != "mining.submit" {
        return None;
    }
    u32::from_str_radix(line["params"][4].as_str()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(prev_hash: u8) -> Vec<u8> {
        let mut frame = vec![0x55, 0xaa, 0x21, 86];
        frame.resize(88, 0);
        frame[PREV_HASH].fill(prev_hash);
        frame
    }

    #[test]
    fn only_the_first_job_of_a_new_block_is_timed() {
        let recorder = Recorder::new(1);
        let mut tap = recorder.tap(0, ChipKind::Bm1370);
        tap.host_wrote(&job(1));
        let mut done = recorder.expect_block();
        recorder.seen().notified = Some(Instant::now());
        // A job of the old block was on its way.
        tap.host_wrote(&job(1));
        assert!(done.try_recv().is_err());
        let new = job(2);
        tap.host_wrote(&[0x55, 0xaa, 0x51, 9, 0, 0, 0, 0, 0, 0, 0]);
        tap.host_wrote(&new[..20]);
        tap.host_wrote(&new[20..]);
        tap.host_wrote(&job(2));
        assert!(done.try_recv().is_ok());
        assert_eq!(recorder.latencies().0.len(), 1);
    }

    #[test]
    fn a_submit_is_joined_with_its_nonce_once() {
        let recorder = Recorder::new(1);
        let now = Instant::now();
        recorder.seen().nonce(0, now, 0xdead_beef);
        let line = br#"{"id":7,"method":"mining.submit","params":["w","j","00","65000000","deadbeef","00002000"]}"#;
        let nonce = submitted(line).expect("a nonce");
        recorder
            .seen()
            .submit(now + Duration::from_millis(3), nonce);
        recorder
            .seen()
            .submit(now + Duration::from_millis(9), nonce);
        assert_eq!(recorder.latencies().1, [Duration::from_millis(3)]);
    }

    #[test]
    fn only_clean_jobs_start_the_clock() {
        let notify = |clean| {
            format!(
                r#"{{"id":null,"method":"mining.notify","params":["1","","","",[],"","","",{clean}]}}"#
            )
        };
        assert!(is_clean_job(notify(true).as_bytes()));
        assert!(!is_clean_job(notify(false).as_bytes()));
        assert!(!is_clean_job(b"{"));
    }
}
