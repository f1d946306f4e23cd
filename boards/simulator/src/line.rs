//! The two directions of the UART: who may talk when, how long a byte takes, and what noise and a wrong baud rate make of
//! it. Times are nanoseconds of the simulation's clock.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    frame::Reply,
    report::{DamagedReply, NoiseCounts, log},
    rng::Rng,
    spec::{HostBaud, LineNoise},
};

/// Replies that wait inside one chip for the line. The real depth is unpublished; this one takes a round of register reads
/// and a few nonces. A reply that finds it full is lost, the waiting ones stay.
const QUEUE: usize = 16;

/// Bytes kept for a host that does not read; far more than any real port keeps.
const HOST_BUFFER: usize = 4 << 20;

/// A receiver samples the stop bit 9.5 bit times after the start edge; half a bit of drift (5 %) loses it. A host at
/// 1 000 000 baud is known to work with chips at 1 041 667 (4.2 %).
const BAUD_TOLERANCE: f64 = 0.045;

/// Whether two ports understand each other.
pub(crate) fn baud_fits(host: HostBaud, chip: u32) -> bool {
    match host {
        HostBaud::Unknown => true,
        HostBaud::Rate(rate) => {
            (f64::from(rate) - f64::from(chip)).abs() <= BAUD_TOLERANCE * f64::from(chip)
        }
    }
}

/// Nanoseconds for `count` bytes of 8N1.
pub(crate) fn bytes_ns(count: u64, baud: u32) -> u64 {
    count * 10_000_000_000 / u64::from(baud.max(1))
}

/// Noise on one direction.
#[derive(Debug)]
pub(crate) struct NoisyLine {
    noise: LineNoise,
    rng: Rng,
    pub(crate) counts: NoiseCounts,
}

impl NoisyLine {
    pub(crate) fn new(noise: LineNoise, seed: u64) -> Self {
        Self {
            noise,
            rng: Rng::new(seed),
            counts: NoiseCounts::default(),
        }
    }

    /// Passes one byte on; true if it was damaged.
    pub(crate) fn pass(&mut self, byte: u8, mut out: impl FnMut(u8)) -> bool {
        let LineNoise {
            lost,
            flipped,
            split,
        } = self.noise;
        if lost + flipped + split <= 0.0 {
            out(byte);
            return false;
        }
        let dice = self.rng.unit();
        if dice < lost {
            self.counts.lost += 1;
        } else if dice < lost + flipped {
            self.counts.flipped += 1;
            out(byte ^ 1 << (self.rng.next_u64() & 7));
        } else if dice < lost + flipped + split {
            self.counts.split += 1;
            out(byte | 0xF0);
            out(byte >> 4 | 0xF0);
        } else {
            out(byte);
            return false;
        }
        true
    }

    /// A byte as it looks at the wrong baud rate.
    pub(crate) fn garble(&mut self) -> u8 {
        self.rng.next_u64() as u8
    }
}

/// The reply line: chips' queues, the arbitration between them, bytes in flight, and the host's buffer.
#[derive(Debug)]
pub(crate) struct ReplyLine {
    /// Replies in the order in which chips had them ready.
    arrivals: VecDeque<(u64, u16, Reply)>,
    queues: Vec<VecDeque<Reply>>,
    /// Chips with a reply waiting; the one nearest the host goes first.
    waiting: BTreeSet<u16>,
    /// When the line falls idle.
    free_at: u64,
    in_flight: VecDeque<ByteInFlight>,
    host: VecDeque<u8>,
    pub(crate) noise: NoisyLine,
    pub(crate) sent: u64,
    pub(crate) damaged: u64,
    pub(crate) damaged_log: VecDeque<DamagedReply>,
}

#[derive(Debug, Clone, Copy)]
struct ByteInFlight {
    at: u64,
    byte: u8,
    baud: u32,
    frame: DamagedReply,
    last: bool,
}

/// What [`ReplyLine::pump`] did to a chip's reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It began to leave.
    Sent,
    /// The queue was full.
    Lost,
}

impl ReplyLine {
    pub(crate) fn new(chips: u16, noise: NoisyLine) -> Self {
        Self {
            arrivals: VecDeque::new(),
            queues: vec![VecDeque::new(); usize::from(chips)],
            waiting: BTreeSet::new(),
            free_at: 0,
            in_flight: VecDeque::new(),
            host: VecDeque::new(),
            noise,
            sent: 0,
            damaged: 0,
            damaged_log: VecDeque::new(),
        }
    }

    /// A chip has a reply ready; calls come in the order of time.
    pub(crate) fn offer(&mut self, at: u64, chip: u16, reply: Reply) {
        self.arrivals.push_back((at, chip, reply));
    }

    /// Forgets everything that has not begun to leave; bytes on the wire break off.
    pub(crate) fn reset(&mut self, now: u64) {
        self.arrivals.clear();
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.waiting.clear();
        self.in_flight.clear();
        self.free_at = now;
    }

    /// Loses everything that chips from `first` on have not sent yet; their bytes on the wire break off.
    pub(crate) fn cut(&mut self, first: u16) {
        self.arrivals.retain(|&(_, chip, _)| chip < first);
        self.waiting.retain(|&chip| chip < first);
        for queue in self.queues.iter_mut().skip(usize::from(first)) {
            queue.clear();
        }
        self.in_flight.retain(|byte| byte.frame.chip < first);
    }

    /// Starts every transmission that can start until `now`, and delivers the bytes that have left by then. Returns the
    /// number of bytes dropped because nobody reads them.
    pub(crate) fn pump(
        &mut self,
        now: u64,
        host: HostBaud,
        baud_of: impl Fn(u16) -> u32,
        mut fate: impl FnMut(u16, Reply, Fate),
    ) -> u64 {
        loop {
            while let Some(&(_, chip, reply)) = self
                .arrivals
                .front()
                .filter(|a| a.0 <= self.free_at.min(now))
            {
                self.arrivals.pop_front();
                self.enqueue(chip, reply, &mut fate);
            }
            if let Some(&chip) = self.waiting.first() {
                if self.free_at > now {
                    break;
                }
                let queue = &mut self.queues[usize::from(chip)];
                if let Some(reply) = queue.pop_front() {
                    self.transmit(chip, reply, baud_of(chip));
                    fate(chip, reply, Fate::Sent);
                }
                if self.queues[usize::from(chip)].is_empty() {
                    self.waiting.remove(&chip);
                }
            } else if let Some(&(at, ..)) = self.arrivals.front().filter(|a| a.0 <= now) {
                self.free_at = self.free_at.max(at);
            } else {
                break;
            }
        }
        self.deliver(now, host)
    }

    /// When the frame now on the wire ends.
    pub(crate) fn next_frame_end(&self) -> Option<u64> {
        self.in_flight.iter().find(|b| b.last).map(|b| b.at)
    }

    /// Moves the bytes that the host can read into `out`.
    pub(crate) fn take(&mut self, out: &mut Vec<u8>) {
        out.extend(self.host.drain(..));
    }

    fn enqueue(&mut self, chip: u16, reply: Reply, fate: &mut impl FnMut(u16, Reply, Fate)) {
        let queue = &mut self.queues[usize::from(chip)];
        if queue.len() >= QUEUE {
            fate(chip, reply, Fate::Lost);
            return;
        }
        queue.push_back(reply);
        self.waiting.insert(chip);
    }

    fn transmit(&mut self, chip: u16, reply: Reply, baud: u32) {
        let start = self.free_at;
        let frame = DamagedReply {
            sequence: self.sent,
            chip,
            is_nonce: reply.is_nonce,
        };
        let len = reply.bytes().len();
        for (i, &byte) in reply.bytes().iter().enumerate() {
            let at = start + bytes_ns(i as u64 + 1, baud);
            self.in_flight.push_back(ByteInFlight {
                at,
                byte,
                baud,
                frame,
                last: i + 1 == len,
            });
        }
        self.free_at = start + bytes_ns(len as u64, baud);
        self.sent += 1;
    }

    fn deliver(&mut self, now: u64, host: HostBaud) -> u64 {
        while let Some(byte) = self.in_flight.front().copied().filter(|b| b.at <= now) {
            self.in_flight.pop_front();
            let hit = if baud_fits(host, byte.baud) {
                let buffer = &mut self.host;
                self.noise.pass(byte.byte, |b| buffer.push_back(b))
            } else {
                let garbled = self.noise.garble();
                self.host.push_back(garbled);
                true
            };
            if hit
                && self
                    .damaged_log
                    .back()
                    .is_none_or(|d| d.sequence != byte.frame.sequence)
            {
                self.damaged += 1;
                log(&mut self.damaged_log, byte.frame);
            }
        }
        let dropped = self.host.len().saturating_sub(HOST_BUFFER);
        self.host.drain(..dropped);
        dropped as u64
    }
}
