//! What a benchmark sees of an agent: jobs and nonces at the chips' ends of the sockets, shares at the
//! pool's, and the times of both. A nonce is known by the hash of its header, which this end works out
//! by itself; so what goes in at one end of the agent is joined with what comes out at the other,
//! whatever the protocol in between.
//!
//! Times are in the agent's disfavour: they start before the write and end after the read, so the
//! system calls and the waking of this process count as well.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bm13xx::{ChipKind, Decoder, NonceReply, Reply};
use board_simulator::{Chip, Job};
use tokio::sync::oneshot;

use crate::port::serve::Tap;

/// First bytes of a frame to the chips.
const PREAMBLE: [u8; 2] = [0x55, 0xaa];
/// Third byte of a job's frame.
const JOB: u8 = 0x21;
/// Where the previous block's hash stands in a header.
const PREV_HASH: std::ops::Range<usize> = 4..36;
/// Reads of the pool's socket that its core has not come to yet.
const MAX_READS: usize = 4096;

/// A hash in the order of headers.
pub(super) type Hash = [u8; 32];

/// What has been seen; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Books(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    boards: Vec<BoardSeen>,
    /// When the newest block was announced, or the pool before it died.
    announced: Option<Instant>,
    /// The first message about the newest block, until it is written.
    announcement: Option<Vec<u8>>,
    /// Told once all boards have a job for the new block.
    taken_up: Option<oneshot::Sender<()>>,
    /// When the pool's socket was read.
    reads: VecDeque<Instant>,
    found: HashMap<Hash, Found>,
    jobs: Vec<Duration>,
    shares: Vec<Duration>,
}

#[derive(Clone, Debug, Default)]
struct BoardSeen {
    prev_hash: Hash,
    /// A job for the newest block has been seen.
    current: bool,
    nonces: u64,
}

/// A nonce that a chip has returned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// When it was written to the agent.
    pub(super) at: Instant,
    /// The previous block of its job.
    pub(super) prev_hash: Hash,
    /// How often the pool has accepted it.
    pub(super) accepted: u32,
}

impl Books {
    /// For so many boards.
    pub(super) fn new(boards: usize) -> Self {
        Self(Arc::new(Mutex::new(Seen {
            boards: vec![BoardSeen::default(); boards],
            ..Seen::default()
        })))
    }

    /// The eye on the socket of one board.
    pub(super) fn tap(&self, board: usize, kind: ChipKind, chip: Chip) -> ChainTap {
        ChainTap {
            books: self.clone(),
            board,
            kind,
            chip,
            decoder: Decoder::new(kind),
            slots: HashMap::new(),
            partial: Vec::new(),
            since: Instant::now(),
        }
    }

    /// Whether every board has had a job and returned nonces, and shares have come.
    pub(super) fn all_mining(&self) -> bool {
        let seen = self.seen();
        seen.boards.iter().all(|board| board.nonces > 0) && !seen.shares.is_empty()
    }

    /// Forgets the times taken so far.
    pub(super) fn forget_times(&self) {
        let mut seen = self.seen();
        seen.jobs.clear();
        seen.shares.clear();
    }

    /// Completes when all boards have a job for a block that comes after this call.
    pub(super) fn expect_block(&self) -> oneshot::Receiver<()> {
        let (told, done) = oneshot::channel();
        let mut seen = self.seen();
        seen.taken_up = Some(told);
        seen.announced = None;
        seen.announcement = None;
        seen.boards
            .iter_mut()
            .for_each(|board| board.current = false);
        done
    }

    /// The time to the next block's jobs counts from now.
    pub(super) fn start_the_clock(&self) {
        self.seen().announced = Some(Instant::now());
    }

    /// This is the pool's first message about the newest block; the time counts from its write.
    pub(super) fn announcement(&self, message: &[u8]) {
        self.seen().announcement = Some(message.to_vec());
    }

    /// The pool is about to write.
    pub(super) fn pool_writes(&self, bytes: &[u8]) {
        let mut seen = self.seen();
        if seen.announcement.as_deref() == Some(bytes) {
            seen.announcement = None;
            // Before the write: its answer may be read before this task runs on.
            seen.announced = Some(Instant::now());
        }
    }

    /// The pool's socket has just been read.
    pub(super) fn pool_read(&self) {
        let mut seen = self.seen();
        if seen.reads.len() < MAX_READS {
            seen.reads.push_back(Instant::now());
        }
    }

    /// When the bytes were read that the pool's core is given now.
    pub(super) fn next_read(&self) -> Instant {
        self.seen().reads.pop_front().unwrap_or_else(Instant::now)
    }

    /// The pool accepts a share that was read then.
    pub(super) fn accepted(&self, hash: &Hash, read: Instant) {
        let mut seen = self.seen();
        let Some(found) = seen.found.get_mut(hash) else {
            return;
        };
        found.accepted += 1;
        let passed = read.saturating_duration_since(found.at);
        seen.shares.push(passed);
    }

    /// The previous block of the newest jobs of the first board.
    pub(super) fn prev_hash(&self) -> Hash {
        let seen = self.seen();
        seen.boards
            .first()
            .map(|board| board.prev_hash)
            .unwrap_or_default()
    }

    /// Nonces that the chips have returned.
    pub(super) fn nonces(&self) -> usize {
        self.seen().found.len()
    }

    /// All of them.
    pub(super) fn found(&self) -> Vec<Found> {
        self.seen().found.values().copied().collect()
    }

    /// Shares that have been timed.
    pub(super) fn shares(&self) -> usize {
        self.seen().shares.len()
    }

    /// Times from block to job, one for each board and block, and from nonce to accepted share.
    pub(super) fn latencies(&self) -> (Vec<Duration>, Vec<Duration>) {
        let seen = self.seen();
        (seen.jobs.clone(), seen.shares.clone())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn job(&mut self, board: usize, at: Instant, prev_hash: Hash) {
        let Some(board) = self.boards.get_mut(board) else {
            return;
        };
        if board.prev_hash == prev_hash {
            return;
        }
        board.prev_hash = prev_hash;
        if let Some(announced) = self.announced
            && !board.current
        {
            board.current = true;
            self.jobs.push(at.saturating_duration_since(announced));
            if self.boards.iter().all(|board| board.current)
                && let Some(told) = self.taken_up.take()
            {
                // Nobody waits any more if it took too long.
                let _ = told.send(());
            }
        }
    }

    fn nonce(&mut self, board: usize, hash: Hash, found: Found) {
        if let Some(board) = self.boards.get_mut(board) {
            board.nonces += 1;
        }
        // A nonce that comes twice is one share.
        self.found.entry(hash).or_insert(found);
    }
}

/// The eye on the socket of one board.
#[derive(Debug)]
pub(super) struct ChainTap {
    books: Books,
    board: usize,
    kind: ChipKind,
    chip: Chip,
    decoder: Decoder,
    /// What the chips work on.
    slots: HashMap<u8, Job>,
    partial: Vec<u8>,
    /// When the first byte in `partial` was read.
    since: Instant,
}

impl ChainTap {
    fn job(&mut self, frame: &[u8]) {
        let Ok(job) = Job::from_frame(self.chip, frame) else {
            return;
        };
        if let Some(prev_hash) = prev_hash(&job) {
            self.books.seen().job(self.board, self.since, prev_hash);
        }
        let model = self.kind.model();
        if let Some(slot) = (0..model.slots).find(|slot| model.wire_id(*slot) == job.id()) {
            self.slots.insert(slot, job);
        }
    }

    fn nonce(&self, at: Instant, nonce: &NonceReply) {
        let (slot, _) = self.kind.model().slot_of(nonce.id);
        let Some(job) = self.slots.get(&slot) else {
            return;
        };
        let hash = job.hash(
            nonce.nonce.to_le_bytes(),
            nonce.version_bits.unwrap_or_default(),
        );
        let found = Found {
            at,
            prev_hash: prev_hash(job).unwrap_or_default(),
            accepted: 0,
        };
        self.books.seen().nonce(self.board, hash, found);
    }
}

impl Tap for ChainTap {
    fn host_wrote(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        if self.partial.is_empty() {
            self.since = now;
        }
        self.partial.extend_from_slice(bytes);
        while let Some(frame) = next_frame(&mut self.partial) {
            if frame.get(2) == Some(&JOB) {
                self.job(&frame);
            }
            // What follows in the buffer may have come before this chunk only if nothing was left.
            self.since = now;
        }
    }

    fn chips_wrote(&mut self, bytes: &[u8]) {
        let now = Instant::now();
        let mut nonces = Vec::new();
        self.decoder.feed(bytes, |reply| {
            if let Reply::Nonce(nonce) = reply {
                nonces.push(nonce);
            }
        });
        for nonce in &nonces {
            self.nonce(now, nonce);
        }
    }
}

/// The block that a job builds on, for chips that get whole headers.
fn prev_hash(job: &Job) -> Option<Hash> {
    job.header([0; 4], 0)?.get(PREV_HASH)?.try_into().ok()
}

/// Takes the first whole frame off the buffer, without what is in front of it.
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

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: u8 = 3;

    fn tap(books: &Books) -> ChainTap {
        books.tap(0, ChipKind::Bm1370, Chip::Bm1370)
    }

    fn job(prev_hash: u8) -> Vec<u8> {
        let job = bm13xx::HeaderJob {
            version: 0x2000_0000,
            prev_hash: [prev_hash; 32],
            merkle_root: [9; 32],
            ntime: 1_767_225_600,
            nbits: 0x1702_905c,
        };
        let id = ChipKind::Bm1370.model().wire_id(SLOT);
        bm13xx::job::header_frame(id, &job).as_bytes().to_vec()
    }

    #[test]
    fn only_the_first_job_of_a_new_block_is_timed() {
        let books = Books::new(1);
        let mut tap = tap(&books);
        tap.host_wrote(&job(1));
        let mut done = books.expect_block();
        books.start_the_clock();
        // A job of the old block was on its way.
        tap.host_wrote(&job(1));
        assert!(done.try_recv().is_err());
        let new = job(2);
        tap.host_wrote(&[0x55, 0xaa, 0x51, 9, 0, 0, 0, 0, 0, 0, 0]);
        tap.host_wrote(&new[..20]);
        tap.host_wrote(&new[20..]);
        tap.host_wrote(&job(2));
        assert!(done.try_recv().is_ok());
        assert_eq!(books.latencies().0.len(), 1);
        assert_eq!(books.prev_hash(), [2; 32]);
    }

    #[test]
    fn only_the_first_message_about_a_block_starts_the_clock() {
        let books = Books::new(1);
        let mut tap = tap(&books);
        let mut done = books.expect_block();
        books.announcement(b"block");
        books.pool_writes(b"answer");
        tap.host_wrote(&job(1));
        assert!(done.try_recv().is_err());
        books.pool_writes(b"block");
        tap.host_wrote(&job(2));
        assert!(done.try_recv().is_ok());
    }
}
