//! Finds replies in the byte stream from a chain.
//!
//! The decoder slides byte by byte to the next reply that is good and never throws bytes away
//! because of a bad one, so that a lost or flipped byte costs only the reply it hit. It reads no clock:
//! the one case in which only silence can tell is left to [`Decoder::line_quiet`].

use crate::model::ChipKind;
use crate::registers::{ChipIdentity, Register};
use crate::reply::{CHIP_PREAMBLE, LONG_REPLY, RegisterReply, Reply, SHORT_REPLY};

/// Bytes that a decoder can hold.
const CAPACITY: usize = 4096;

/// Which lengths replies can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyLengths {
    /// 9 bytes always (BM1397).
    Short,
    /// 11 bytes always: chips that are known to have had register 0xA4 written.
    Long,
    /// 9 bytes until register 0xA4 is written, 11 from then on. The decoder follows by itself; see
    /// [`Decoder`].
    Growing,
    /// 9 bytes for the chip id, 11 for all else (BM1372/73).
    ShortId,
}

/// What a decoder has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecoderStats {
    /// Bytes received.
    pub bytes: u64,
    /// Good replies.
    pub frames: u64,
    /// Places that looked like a reply but had a wrong checksum or impossible flags.
    pub crc_errors: u64,
    /// Bytes that belonged to no good reply.
    pub dropped_bytes: u64,
}

/// Turns bytes into replies.
///
/// Where length is not fixed ([`ReplyLengths::Growing`]) an 11-byte reading is preferred. A 9-byte
/// one is believed at once if it is the id of the expected chip and cannot be the beginning
/// of an 11-byte id; any other only while no 11-byte reply has been seen since the last
/// [`reset`](Decoder::reset), and once the two bytes that would make it 11 are there and do not, or the
/// line is quiet. So a checksum of five bits never decides alone.
#[derive(Clone, Debug)]
pub struct Decoder {
    chip_id: u16,
    lengths: ReplyLengths,
    /// An 11-byte reply has been seen.
    long_seen: bool,
    quiet: bool,
    buffer: [u8; CAPACITY],
    start: usize,
    end: usize,
    /// Bytes from `start` on that are part of a good reply already. They are searched again only
    /// for a reply that a damaged one swallowed, and not counted if there is none.
    covered: usize,
    stats: DecoderStats,
}

impl Decoder {
    /// A decoder for a chain of these chips, fresh from reset.
    #[must_use]
    pub fn new(kind: ChipKind) -> Self {
        let model = kind.model();
        Self {
            chip_id: model.chip_id,
            lengths: model.replies,
            long_seen: false,
            quiet: false,
            buffer: [0; CAPACITY],
            start: 0,
            end: 0,
            covered: 0,
            stats: DecoderStats::default(),
        }
    }

    /// Says which lengths to expect from here on, where the caller knows better than the chip kind.
    pub fn expect(&mut self, lengths: ReplyLengths) {
        self.lengths = lengths;
    }

    /// Takes bytes as they came, in chunks of any size. Call [`next_reply`](Self::next_reply) until
    /// it has nothing before the next chunk: at most 4096 bytes are held, and beyond that the oldest
    /// are dropped (and counted).
    pub fn push(&mut self, bytes: &[u8]) {
        self.stats.bytes += bytes.len() as u64;
        self.quiet &= bytes.is_empty();
        let kept = &bytes[bytes.len().saturating_sub(CAPACITY)..];
        self.stats.dropped_bytes += (bytes.len() - kept.len()) as u64;
        let held = self.end - self.start;
        self.skip((held + kept.len()).saturating_sub(CAPACITY));
        if self.end + kept.len() > CAPACITY {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        self.buffer[self.end..self.end + kept.len()].copy_from_slice(kept);
        self.end += kept.len();
    }

    /// Takes a chunk of any size and hands over every reply in it.
    pub fn feed(&mut self, bytes: &[u8], mut on_reply: impl FnMut(Reply)) {
        for chunk in bytes.chunks(CAPACITY / 2) {
            self.push(chunk);
            while let Some(reply) = self.next_reply() {
                on_reply(reply);
            }
        }
    }

    /// Says that no byte has come for longer than a reply takes: what could still grow into
    /// an 11-byte reply will not. Ask for replies afterwards.
    pub fn line_quiet(&mut self) {
        self.quiet = true;
    }

    /// The next reply, or `None` until more bytes come.
    pub fn next_reply(&mut self) -> Option<Reply> {
        loop {
            let held = &self.buffer[self.start..self.end];
            let at = held
                .iter()
                .position(|&byte| byte == CHIP_PREAMBLE[0])
                .unwrap_or(held.len());
            self.skip(at);
            match self.judge() {
                Verdict::Wait => return None,
                Verdict::Bad { checked } => {
                    if checked && self.covered == 0 {
                        self.stats.crc_errors += 1;
                    }
                    self.skip(1);
                }
                // A reading inside an earlier one is only believed if that one was wrong. It was not if the
                // next reply begins where it ends.
                Verdict::Good(..) if self.covered > 0 && self.goes_on() => self.skip(1),
                Verdict::Good(reply, len) => {
                    self.accept(len);
                    return Some(reply);
                }
            }
        }
    }

    /// Forgets everything but the counters, after a reset of the chips or a change of baud.
    pub fn reset(&mut self) {
        self.skip(self.end - self.start);
        self.long_seen = false;
        self.quiet = false;
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> DecoderStats {
        self.stats
    }

    /// Judges the bytes from `start` on, which begin with the first preamble byte if there are any.
    fn judge(&self) -> Verdict {
        let held = &self.buffer[self.start..self.end];
        match held {
            [] | [_] => return Verdict::Wait,
            [_, second, ..] if *second != CHIP_PREAMBLE[1] => {
                return Verdict::Bad { checked: false };
            }
            _ => {}
        }
        match self.lengths {
            ReplyLengths::Short => Reading::of(held, SHORT_REPLY).verdict(),
            ReplyLengths::Long => Reading::of(held, LONG_REPLY).verdict(),
            ReplyLengths::ShortId => {
                let short = Reading::of(held, SHORT_REPLY);
                if short.is_id_of(self.chip_id) {
                    short.verdict()
                } else {
                    Reading::of(held, LONG_REPLY).verdict()
                }
            }
            ReplyLengths::Growing => self.judge_growing(held),
        }
    }

    fn judge_growing(&self, held: &[u8]) -> Verdict {
        let short = Reading::of(held, SHORT_REPLY);
        let id = short.is_id_of(self.chip_id);
        // Long register replies have two zero bytes behind the register; the shorter reading of one
        // ends on the first of them.
        if id && held.get(SHORT_REPLY - 1).is_some_and(|&last| last != 0) {
            return short.verdict();
        }
        let long = Reading::of(held, LONG_REPLY);
        let believed = id || !self.long_seen;
        match (short, long) {
            (Reading::Good(..), Reading::Short) if believed && self.quiet => short.verdict(),
            (Reading::Good(..), Reading::Bad) if believed => short.verdict(),
            _ => long.verdict(),
        }
    }

    /// Whether another reply seems to begin where the last good one ended.
    fn goes_on(&self) -> bool {
        self.buffer[self.start..self.end]
            .get(self.covered..)
            .is_some_and(|behind| behind.starts_with(&CHIP_PREAMBLE))
    }

    fn accept(&mut self, len: usize) {
        self.stats.frames += 1;
        if self.lengths == ReplyLengths::Growing {
            self.long_seen = len == LONG_REPLY;
        }
        self.covered = self.covered.max(len);
        // If bytes were lost, this reading may have swallowed the beginning of the next reply.
        let inside = &self.buffer[self.start + 2..self.start + len];
        let next = inside
            .windows(2)
            .position(|pair| pair == CHIP_PREAMBLE)
            .map_or(len, |at| at + 2);
        self.skip(next);
    }

    /// Moves on, counting what belongs to no reply.
    fn skip(&mut self, bytes: usize) {
        self.stats.dropped_bytes += bytes.saturating_sub(self.covered) as u64;
        self.covered = self.covered.saturating_sub(bytes);
        self.start += bytes;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }
}

enum Verdict {
    Wait,
    Bad { checked: bool },
    Good(Reply, usize),
}

/// The bytes at hand read as a reply of one length.
#[derive(Clone, Copy)]
enum Reading {
    /// Not enough bytes yet.
    Short,
    Bad,
    Good(Reply, usize),
}

impl Reading {
    fn of(held: &[u8], len: usize) -> Self {
        let Some(bytes) = held.get(..len) else {
            return Self::Short;
        };
        Reply::parse(bytes).map_or(Self::Bad, |reply| Self::Good(reply, len))
    }

    fn verdict(self) -> Verdict {
        match self {
            Self::Short => Verdict::Wait,
            Self::Bad => Verdict::Bad { checked: true },
            Self::Good(reply, len) => Verdict::Good(reply, len),
        }
    }

    fn is_id_of(self, chip_id: u16) -> bool {
        matches!(
            self,
            Self::Good(Reply::Register(RegisterReply { value, register, .. }), _)
                if register == Register::ChipId.address() && ChipIdentity::from_bits(value).chip_id == chip_id
        )
    }
}
