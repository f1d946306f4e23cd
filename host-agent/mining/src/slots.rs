//! The table of work that chips are hashing, and the verdict on every nonce that they
//! report.
//!
//! A chip names the work of a nonce by a slot number only, and slots are used again and
//! again. So each slot also keeps the work that it held before, for replies that crossed
//! with new work on the wire, and the floors, the lowest good generation of each session, decide
//! whether a nonce may still be submitted.

use sha256d::{Engine, Template};
use thiserror::Error;

use crate::assignment::is_good;
use crate::job::Share;
use crate::seen::Seen;
use crate::target::{Target, hash_difficulty};
use crate::version::VersionMask;
use crate::work::Work;

/// The most slots that a chip's 7-bit job ids can tell apart.
const SLOTS_MAX: u8 = 128;

/// What a reply says about the header version of its nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rolled {
    /// Nothing: the version is the job's.
    None,
    /// The chip rolled the version: these bits are ORed onto it, shifted left by 13.
    VersionBits(u16),
    /// The chip hashed the midstate of this number, see [`Work::midstate_version`].
    Midstate(u8),
}

/// The verdict on a nonce.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It meets its job's target and is to be submitted.
    Share(Share),
    /// It meets the ticket, as good nonces do, but not the job's target.
    BelowTarget {
        /// Difficulty of its hash.
        difficulty: f64,
    },
    /// Its work is unknown, or its job is below the floor of its session or of a session without
    /// one: it must not be submitted.
    Stale,
    /// The same header was reported before: it must not be submitted or counted again.
    Duplicate,
    /// The chip, or the line from it, made an error.
    HardwareError(HardwareFault),
}

impl Outcome {
    /// Whether the nonce proves hashes that were not proven before.
    #[must_use]
    pub fn is_proof(&self) -> bool {
        matches!(self, Self::Share(_) | Self::BelowTarget { .. })
    }
}

/// What is wrong with a nonce.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum HardwareFault {
    /// The hash does not meet the ticket that the chip was told to meet.
    #[error("the hash has difficulty {difficulty}, which does not meet the chip's ticket")]
    MissesTicket {
        /// Difficulty of the hash.
        difficulty: f64,
    },
    /// The chip claims to have rolled version bits that may not be rolled.
    #[error("version bits {bits:08x} were rolled, but only {mask:08x} may be")]
    VersionBits {
        /// Rolled bits, at their place in the header version.
        bits: u32,
        /// Bits that may be rolled.
        mask: u32,
    },
    /// The chip names a midstate that it was not given.
    #[error("midstate {index} is named, but the work has only {count}")]
    Midstate {
        /// The midstate that the chip names, counted from 0.
        index: u8,
        /// How many the work has.
        count: u8,
    },
}

/// A table that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a job table of {0} slots cannot be; 1 to 128 are possible")]
pub struct SlotsError(pub u8);

/// The work that a chain is hashing, by slot, used in rotation.
///
/// Memory is bounded: 16 KiB per slot that has been used twice, plus the work itself.
#[derive(Clone, Debug)]
pub struct JobSlots {
    engine: Engine,
    slots: Vec<Slot>,
    next: u8,
    floors: Vec<(u64, u64)>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    current: Option<Entry>,
    previous: Option<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    work: Work,
    /// The templates of the work's midstate versions; the first is the unrolled one.
    templates: [Template; 4],
    count: u8,
    seen: Seen,
}

impl JobSlots {
    /// An empty table.
    ///
    /// # Errors
    ///
    /// If `count` is 0 or greater than 128.
    pub fn new(count: u8) -> Result<Self, SlotsError> {
        if !(1..=SLOTS_MAX).contains(&count) {
            return Err(SlotsError(count));
        }
        Ok(Self {
            engine: Engine::best(),
            slots: vec![Slot::default(); usize::from(count)],
            next: 0,
            floors: Vec::new(),
        })
    }

    /// Puts work into the next slot and returns the slot's number, below the table's size.
    /// What the slot held before stays known as its predecessor.
    pub fn insert(&mut self, work: Work) -> u8 {
        let number = self.next;
        self.next = (self.next + 1) % (self.slots.len() as u8);
        let slot = &mut self.slots[usize::from(number)];
        let entry = Entry::new(self.engine, work, slot.previous.take());
        slot.previous = slot.current.replace(entry);
        number
    }

    /// Sets the lowest good generation of each session, see
    /// [`Assignment::floors`](crate::Assignment::floors). All work below, and of sessions that
    /// are not named, is stale at once. The floor of a session that is named again never sinks.
    pub fn set_floors(&mut self, floors: &[(u64, u64)]) {
        let floors = floors.iter().map(|&(session, lowest)| {
            let before = self.floors.iter().find(|before| before.0 == session);
            (
                session,
                before.map_or(lowest, |before| before.1.max(lowest)),
            )
        });
        self.floors = floors.collect();
    }

    /// The work that a slot holds, stale or not.
    #[must_use]
    pub fn work(&self, slot: u8) -> Option<&Work> {
        let entry = self.slots.get(usize::from(slot))?.current.as_ref()?;
        Some(&entry.work)
    }

    /// Judges a nonce.
    ///
    /// `ticket` is what the chip was told to meet, for simulated chips scaled as they are.
    /// A nonce that misses it for the slot's work is tried on the slot's previous work before
    /// it counts as a hardware error.
    pub fn verify(&mut self, slot: u8, nonce: u32, rolled: Rolled, ticket: &Target) -> Outcome {
        let Some(Slot {
            current: Some(current),
            previous,
        }) = self.slots.get_mut(usize::from(slot))
        else {
            return Outcome::Stale;
        };
        let floors = &self.floors;
        let is_good = |entry: &Entry| is_good(floors, &entry.work.job);
        let fault = match current.hash(self.engine, nonce, rolled, ticket) {
            Ok(_) if !is_good(current) => return Outcome::Stale,
            Ok(found) => return current.judge(nonce, found),
            Err(fault) => fault,
        };
        if let Some(previous) = previous
            && let Ok(found) = previous.hash(self.engine, nonce, rolled, ticket)
        {
            return if is_good(previous) {
                previous.judge(nonce, found)
            } else {
                Outcome::Stale
            };
        }
        if is_good(current) {
            Outcome::HardwareError(fault)
        } else {
            Outcome::Stale
        }
    }
}

/// A header version and the hash that it gave, which meets the ticket.
struct Found {
    version: u32,
    hash: [u8; 32],
}

impl Entry {
    /// `retired` is an entry that is not needed any more; its memory is used again.
    fn new(engine: Engine, work: Work, retired: Option<Self>) -> Self {
        let seen = match retired {
            Some(Self { mut seen, .. }) => {
                seen.clear();
                seen
            }
            None => Seen::new(),
        };
        let count = work.midstate_count();
        let mut templates = [work.template(engine, work.version); 4];
        for (index, template) in (0..count).zip(&mut templates).skip(1) {
            *template = work.template(engine, work.midstate_version(index));
        }
        Self {
            work,
            templates,
            count,
            seen,
        }
    }

    fn hash(
        &self,
        engine: Engine,
        nonce: u32,
        rolled: Rolled,
        ticket: &Target,
    ) -> Result<Found, HardwareFault> {
        let (version, template) = match rolled {
            Rolled::None | Rolled::VersionBits(0) => (self.work.version, self.templates[0]),
            Rolled::VersionBits(bits) => {
                let bits = u32::from(bits) << VersionMask::CHIP_SHIFT;
                let mask = self.work.rollable_mask;
                if bits & !mask != 0 {
                    return Err(HardwareFault::VersionBits { bits, mask });
                }
                let version = self.work.version | bits;
                (version, self.work.template(engine, version))
            }
            Rolled::Midstate(index) => {
                let count = self.count;
                if index >= count {
                    return Err(HardwareFault::Midstate { index, count });
                }
                (
                    self.work.midstate_version(index),
                    self.templates[usize::from(index)],
                )
            }
        };
        let hash = engine.hash(&template, nonce);
        if ticket.is_met_by(&hash) {
            Ok(Found { version, hash })
        } else {
            let difficulty = hash_difficulty(&hash);
            Err(HardwareFault::MissesTicket { difficulty })
        }
    }

    fn judge(&mut self, nonce: u32, Found { version, hash }: Found) -> Outcome {
        if !self.seen.insert(version, nonce) {
            return Outcome::Duplicate;
        }
        if !self.work.job.target.is_met_by(&hash) {
            let difficulty = hash_difficulty(&hash);
            return Outcome::BelowTarget { difficulty };
        }
        Outcome::Share(Share {
            job: self.work.job.clone(),
            extranonce2: self.work.extranonce2.clone(),
            ntime: self.work.ntime,
            nonce,
            version,
            hash,
        })
    }
}
