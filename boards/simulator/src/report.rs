//! The truth about a simulated chain, for tests and for people: what every chip did, what the host did wrong, and what the
//! noise destroyed. None of it is visible on the wire.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::frame::Target;

/// Entries kept in each log of a [`Report`].
pub const LOG_LIMIT: usize = 4096;

/// Something a real chip would answer with silence, garbage or wasted work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Notice {
    /// A command frame with a wrong CRC5.
    BadCommandCrc,
    /// A job frame with a wrong CRC16.
    BadJobCrc,
    /// A header or length byte that the chip does not know.
    UnknownFrame,
    /// Bytes outside any frame.
    StrayBytes,
    /// Bytes that arrived at a baud rate too far from the chip's.
    BaudMismatch,
    /// A job whose payload does not make sense for this model.
    BadJob,
    /// An address was offered although chain inactive was never sent.
    AddressWithoutInactive,
    /// An address that a chip before it holds already.
    AddressTaken,
    /// A command for an address nobody has.
    NobodyHome,
    /// PLL register without its enable bit: no clock.
    PllOff,
    /// A PLL divider of zero: no clock.
    PllZeroDivider,
    /// VCO outside the model's range: no clock.
    VcoOutOfRange,
    /// A job reached a chip whose cores were never enabled.
    JobWithoutCores,
    /// A job reached a chip that has no clock.
    JobWithoutClock,
    /// A job reached a chip whose sweep length is zero.
    JobWithoutSweep,
    /// A job reached a chip that may not report nonces.
    JobWithoutReporting,
    /// Every version of the job was used up and the chip started over the same headers.
    EpochRepeated,
    /// A reply found the chip's own queue full and was lost.
    ReplyQueueFull,
    /// The host wrote faster than a line of this speed could ever take; bytes were dropped.
    HostOverran,
    /// Nobody read the replies for so long that the oldest bytes were dropped.
    HostTooSlow,
    /// The ticket has fewer zero bits than the scale takes away, so that nonces are rarer than on silicon.
    ScaleTooCoarse,
}

/// How often a [`Notice`] was given, and when first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeCount {
    /// What was noticed.
    pub notice: Notice,
    /// Times.
    pub count: u64,
    /// First time, on the simulation's clock.
    pub first: Duration,
}

/// Frames with a good checksum that the chips received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameCounts {
    /// Register writes.
    pub writes: u64,
    /// Register reads.
    pub reads: u64,
    /// Set-address commands.
    pub set_addresses: u64,
    /// Chain-inactive commands.
    pub inactives: u64,
    /// Jobs.
    pub jobs: u64,
}

/// Bytes that noise damaged in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoiseCounts {
    /// Never arrived.
    pub lost: u64,
    /// Arrived with one bit inverted.
    pub flipped: u64,
    /// Arrived as two bytes.
    pub split: u64,
}

/// A reply that did not reach the host as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DamagedReply {
    /// Which reply of the chain, counted from 0 in the order of transmission.
    pub sequence: u64,
    /// Index of the chip that sent it.
    pub chip: u16,
    /// Whether it was a nonce.
    pub is_nonce: bool,
}

/// A register write as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenWrite {
    /// When its last byte arrived.
    pub at: Duration,
    /// For all chips or one address.
    pub target: Target,
    /// Register number.
    pub register: u8,
    /// Value.
    pub value: u32,
    /// Chips that took it.
    pub taken_by: u16,
}

/// One chip's truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChipReport {
    /// Position on the chain, 0 nearest the host.
    pub index: u16,
    /// Address taken by a set-address command; none before.
    pub address: Option<u8>,
    /// UART rate in baud.
    pub baud: u32,
    /// Hash clock in Hz; none when the PLL gives no clock.
    pub clock_hz: Option<f64>,
    /// Whether it is hashing now.
    pub hashing: bool,
    /// Hashes that silicon would have done, i.e. clocks times small cores; not scaled.
    pub hashes: u128,
    /// Headers really hashed by the simulation.
    pub tested: u64,
    /// Right nonces found and reported, repeats included.
    pub nonces: u64,
    /// Of these, nonces already reported by this chip for the same header.
    pub repeats: u64,
    /// Of these, nonces already reported by another chip.
    pub overlaps: u64,
    /// Replies (nonces and register values) that began to leave.
    pub sent: u64,
    /// Of these, nonces.
    pub nonces_sent: u64,
    /// Replies lost in the full queue.
    pub lost: u64,
    /// Nonces that its condition kept from being found.
    pub silent: u64,
    /// Wrong nonces that its condition made it report.
    pub wrong: u64,
    /// Jobs received.
    pub jobs: u64,
    /// Register writes received.
    pub writes: u64,
    /// Times that the chip began the same headers again.
    pub epochs_repeated: u64,
}

/// The truth about a chain; see [`crate::VirtualChain::report`].
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Per chip, nearest the host first.
    pub chips: Vec<ChipReport>,
    /// Good frames received.
    pub frames: FrameCounts,
    /// Replies that began to leave, all chips.
    pub replies: u64,
    /// Noise on the way to the chips.
    pub noise_to_chips: NoiseCounts,
    /// Noise on the way to the host.
    pub noise_to_host: NoiseCounts,
    /// Number of replies hit by noise or sent at a baud rate the host could not read.
    pub damaged: u64,
    /// The latest of them, at most [`LOG_LIMIT`].
    pub damaged_replies: Vec<DamagedReply>,
    /// What went wrong, by kind.
    pub notices: Vec<NoticeCount>,
    /// The latest register writes, at most [`LOG_LIMIT`].
    pub recent_writes: Vec<SeenWrite>,
}

impl Report {
    /// How often something was noticed.
    pub fn count(&self, notice: Notice) -> u64 {
        self.notices
            .iter()
            .find(|n| n.notice == notice)
            .map_or(0, |n| n.count)
    }

    /// Sum of all chips' nonces.
    pub fn nonces(&self) -> u64 {
        self.chips.iter().map(|c| c.nonces).sum()
    }

    /// Nonces that repeat an earlier one, whoever found it.
    pub fn duplicates(&self) -> u64 {
        self.chips.iter().map(|c| c.repeats + c.overlaps).sum()
    }

    /// Sum of all chips' unscaled hashes.
    pub fn hashes(&self) -> u128 {
        self.chips.iter().map(|c| c.hashes).sum()
    }
}

/// Counts notices by kind.
#[derive(Debug, Default)]
pub(crate) struct Notices(BTreeMap<Notice, (u64, u64)>);

impl Notices {
    pub(crate) fn add(&mut self, notice: Notice, now_ns: u64) {
        self.add_many(notice, 1, now_ns);
    }

    pub(crate) fn add_many(&mut self, notice: Notice, count: u64, now_ns: u64) {
        if count > 0 {
            self.0.entry(notice).or_insert((0, now_ns)).0 += count;
        }
    }

    pub(crate) fn list(&self) -> Vec<NoticeCount> {
        self.0
            .iter()
            .map(|(&notice, &(count, first))| NoticeCount {
                notice,
                count,
                first: Duration::from_nanos(first),
            })
            .collect()
    }
}

/// Appends to a log that forgets its oldest entries.
pub(crate) fn log<T>(log: &mut VecDeque<T>, entry: T) {
    if log.len() == LOG_LIMIT {
        log.pop_front();
    }
    log.push_back(entry);
}
