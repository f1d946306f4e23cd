//! The search space of a chip: which stretch of the axis is its own, and which header a place on the axis stands for. Nonce
//! and version layouts are those that drivers decode; the parts that no reply shows are documented where they are chosen.

use crate::{
    job::Job,
    silicon::{Silicon, Walk},
    sweep::{Axis, Hit},
};

/// Bits of the counter below the core field of header chips.
const COUNTER_BITS: u32 = 25;
/// Bits of the counter of midstate chips: eight of address, fourteen of its own.
const MIDSTATE_COUNTER_BITS: u32 = 22;
/// Cores of the newest chips.
const NEWEST_CORES: u32 = 128;

/// A chip model's layout under a version mask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Geometry {
    pub(crate) silicon: &'static Silicon,
    /// The 16 version bits that may be rolled.
    pub(crate) mask: u16,
}

/// What places a chip on the axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placement {
    pub(crate) address: u8,
    /// Register 0x0C.
    pub(crate) offset: u32,
    pub(crate) chain_len: u16,
}

/// One header to test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Nonce bits, core first; big-endian they are the header's last four bytes.
    pub(crate) nonce: u32,
    /// Rolled version bits, or the index of the midstate.
    pub(crate) variant: u16,
    /// What the id byte of the reply says beside the job.
    pub(crate) low: u8,
}

impl Geometry {
    /// The axis of a job when one header of 2^`scale_bits` is tested.
    pub(crate) fn axis(&self, job: &Job, scale_bits: u8) -> Axis {
        let (clocks, batches) = match self.silicon.walk {
            Walk::Midstates => (u64::from(job.midstate_count()) << MIDSTATE_COUNTER_BITS, 1),
            walk => {
                let versions = 1_u32 << self.mask.count_ones();
                let clocks = (1 << COUNTER_BITS) / walk.counters_per_clock();
                (clocks, (versions / self.silicon.sub_cores).max(1))
            }
        };
        Axis {
            key: job.key(),
            small_cores: u64::from(self.silicon.small_cores),
            clocks,
            batches,
            // Twins find each other's headers, so that distinct candidates are as many times rarer.
            block_bits: u32::from(scale_bits) + self.twin_bits(),
        }
    }

    /// Clock on the axis where a chip's batches begin: its own slice, and the job's starting nonce from there. That the
    /// starting nonce counts inside the slice is assumed; hosts send zero.
    pub(crate) fn start(&self, job: &Job, placement: Placement) -> u64 {
        let address = u64::from(placement.address);
        let first = u64::from(job.first_nonce());
        let counter = match self.silicon.walk {
            Walk::Midstates => {
                let first = u64::from(midstate_counter(job.first_nonce()));
                let counter = (address << 14) + first;
                return counter * u64::from(job.midstate_count());
            }
            Walk::ByAddress => (address >> 1) << 18,
            Walk::ByOffset if placement.offset >> 31 == 0 => 0,
            Walk::ByOffset => u64::from(placement.offset & 0xFFFF) << 9,
            // Assigned in steps of 16, found in nonces in steps of 256 / chips.
            Walk::ByPosition => {
                (((address >> 4) * (256 / u64::from(placement.chain_len.max(1)))) & 0xFF) << 17
            }
        };
        (counter + (first & ((1 << COUNTER_BITS) - 1))) / self.silicon.walk.counters_per_clock()
    }

    /// The header at a place on the axis.
    pub(crate) fn spot(&self, job: &Job, hit: Hit) -> Spot {
        let small_cores = u64::from(self.silicon.small_cores);
        let (clock, small) = (hit.place / small_cores, (hit.place % small_cores) as u32);
        let sub_cores = self.silicon.sub_cores;
        let (core, sub, phase) = match self.silicon.walk {
            Walk::Midstates => {
                // The midstates of a counter one after another, as time slots.
                let midstates = u64::from(job.midstate_count());
                let (counter, midstate) = ((clock / midstates) as u32, (clock % midstates) as u8);
                let nonce = midstate_nonce(small / sub_cores, small % sub_cores, counter);
                return Spot {
                    nonce,
                    variant: u16::from(midstate),
                    low: midstate,
                };
            }
            Walk::ByAddress | Walk::ByOffset => {
                // Two counters pass per clock while a small core does one hash: even sub-cores take the even ones.
                let sub = small % sub_cores;
                (small / sub_cores, sub, sub & 1)
            }
            Walk::ByPosition => {
                // More hashes per clock than cores times sub-cores: the surplus takes further counters.
                let layer = small / NEWEST_CORES;
                (small % NEWEST_CORES, layer % sub_cores, layer / sub_cores)
            }
        };
        let counter = (clock * self.silicon.walk.counters_per_clock()) as u32 + phase;
        let distinct = sub_cores >> self.twin_bits();
        let own = sub & (distinct - 1);
        Spot {
            nonce: core << COUNTER_BITS | counter & ((1 << COUNTER_BITS) - 1),
            variant: deposit(hit.batch * distinct + own, self.mask),
            low: own as u8,
        }
    }

    /// The sub-cores that find a header together because the mask has too few bits for versions of their own: the low bits
    /// of their id bytes.
    pub(crate) fn twins(&self, spot: Spot) -> impl Iterator<Item = u8> {
        let shift = self.silicon.sub_cores.trailing_zeros() - self.twin_bits();
        (0..1_u8 << self.twin_bits()).map(move |twin| spot.low | twin << shift)
    }

    /// Bits of the sub-core number that the mask has no room for.
    fn twin_bits(&self) -> u32 {
        match self.silicon.walk {
            Walk::Midstates => 0,
            _ => self
                .silicon
                .sub_cores
                .trailing_zeros()
                .saturating_sub(self.mask.count_ones()),
        }
    }
}

/// The nonce of a midstate chip. Drivers find seven bits of the core on top and the address below them; 168 cores of four
/// small cores need ten bits, so that the other three are assumed to stand below the address.
fn midstate_nonce(core: u32, small: u32, counter: u32) -> u32 {
    (core >> 1) << 25
        | (counter >> 14 & 0xFF) << 17
        | (core & 1) << 16
        | small << 14
        | counter & 0x3FFF
}

/// The counter in such a nonce.
fn midstate_counter(nonce: u32) -> u32 {
    (nonce >> 17 & 0xFF) << 14 | nonce & 0x3FFF
}

/// Spreads the low bits of `value` over the set bits of `mask`, lowest first.
fn deposit(value: u32, mask: u16) -> u16 {
    if mask == u16::MAX {
        return value as u16;
    }
    let (mut out, mut value) = (0, value);
    for bit in (0..16).filter(|bit| mask >> bit & 1 != 0) {
        out |= ((value & 1) as u16) << bit;
        value >>= 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::{silicon::silicon, spec::Chip};

    fn job(chip: Chip) -> Job {
        let mut payload = [0; 146];
        payload[1] = 4;
        let len = if chip == Chip::Bm1397 { 146 } else { 82 };
        Job::from_payload(silicon(chip), &payload[..len]).unwrap()
    }

    #[test]
    fn versions_count_inside_the_mask() {
        assert_eq!(
            (0..5).map(|v| deposit(v, 0b1010_0001)).collect::<Vec<_>>(),
            [0, 1, 0x20, 0x21, 0x80]
        );
        assert_eq!(deposit(0xABCD, 0xFFFF), 0xABCD);
        assert_eq!(deposit(7, 0), 0);
    }

    #[test]
    fn neighbouring_places_are_different_headers_in_existing_cores() {
        for (chip, cores) in [
            (Chip::Bm1397, 168),
            (Chip::Bm1362, 65),
            (Chip::Bm1366, 112),
            (Chip::Bm1368, 80),
            (Chip::Bm1370, 128),
            (Chip::Bm1372, 128),
        ] {
            let geometry = Geometry {
                silicon: silicon(chip),
                mask: 0xFFFF,
            };
            let job = job(chip);
            let count = u64::from(geometry.silicon.small_cores) * 6;
            let spots: Vec<Spot> = (0..count)
                .map(|place| {
                    geometry.spot(
                        &job,
                        Hit {
                            tick: 0,
                            batch: 3,
                            place,
                        },
                    )
                })
                .collect();
            let distinct: HashSet<(u32, u16)> =
                spots.iter().map(|s| (s.nonce, s.variant)).collect();
            assert_eq!(distinct.len(), count as usize, "{chip}");
            let odd = spots.iter().filter(|s| s.nonce & 1 == 1).count();
            assert!(
                odd > spots.len() / 4,
                "{chip}: every counter is walked over"
            );
            let core = |nonce: u32| match chip {
                Chip::Bm1397 => nonce >> 25 << 1 | nonce >> 16 & 1,
                _ => nonce >> 25,
            };
            let used: HashSet<u32> = spots.iter().map(|s| core(s.nonce)).collect();
            assert_eq!(used, (0..cores).collect::<HashSet<u32>>(), "{chip}");
        }
    }

    #[test]
    fn chips_begin_where_their_layout_says() {
        let at = |chip, address, offset, chain_len| {
            let geometry = Geometry {
                silicon: silicon(chip),
                mask: 0xFFFF,
            };
            let job = job(chip);
            let start = geometry.start(
                &job,
                Placement {
                    address,
                    offset,
                    chain_len,
                },
            );
            let place = start * u64::from(geometry.silicon.small_cores);
            geometry
                .spot(
                    &job,
                    Hit {
                        tick: 0,
                        batch: 0,
                        place,
                    },
                )
                .nonce
        };
        assert_eq!(at(Chip::Bm1362, 0x54, 0, 126), 0x54 << 17);
        assert_eq!(at(Chip::Bm1366, 0x80, 0, 2), 0x80 << 17);
        assert_eq!(at(Chip::Bm1370, 0x54, 0, 65), 0);
        assert_eq!(at(Chip::Bm1370, 0x54, 0x8000_03F1, 65), 0x03F1 << 9);
        assert_eq!(at(Chip::Bm1370, 0x54, 0x0000_03F1, 65), 0);
        assert_eq!(at(Chip::Bm1372, 0x30, 0, 4), 0xC0 << 17);
        assert_eq!(at(Chip::Bm1397, 0x80, 0, 2), 0x80 << 17);
    }
}
