//! Where the headers of a scaled-down search lie and when a chip meets them.
//!
//! A chip's search is a walk of hash clocks along an absolute axis (one per version batch); every clock tests as many
//! headers as there are small cores. Of each 2^k neighbouring headers one, the candidate, is really tested. Which one
//! depends on the job, the batch and the place only, so two chips, or one chip twice, that walk over the same stretch test
//! the very same header. Candidates of a run of batches are staggered, so that whole batches without one can be skipped.

use crate::{clock::Clock, rng::mix};

/// Below this block width nothing is staggered: a chip's batch then holds candidates anyway.
const STAGGER_FROM: u32 = 24;

/// The axis of one job on one chip model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Job material.
    pub(crate) key: u64,
    /// Headers per clock.
    pub(crate) small_cores: u64,
    /// Clocks until the counter wraps.
    pub(crate) clocks: u64,
    /// Batches until the versions are used up; a power of two.
    pub(crate) batches: u32,
    /// One candidate per 2^`block_bits` headers.
    pub(crate) block_bits: u32,
}

impl Axis {
    /// Blocks are shared by 2^this batches.
    fn stagger_bits(&self) -> u32 {
        self.block_bits
            .saturating_sub(STAGGER_FROM)
            .min(self.batches.trailing_zeros())
    }

    /// Offset inside a sub-block.
    fn offset(&self, batch: u32, block: u64, bits: u32) -> u64 {
        let spread = mix(!self.key, u64::from(batch), block);
        if bits == 0 { 0 } else { spread >> (64 - bits) }
    }

    /// Candidates of one batch among the headers of clocks `from..to`, which must not cross the wrap; in order.
    fn candidates(&self, batch: u32, from: u64, to: u64, mut found: impl FnMut(u64)) {
        let (first, end) = (from * self.small_cores, to * self.small_cores);
        if first >= end {
            return;
        }
        let stagger = self.stagger_bits();
        let width = self.block_bits - stagger;
        let order = Shuffle { bits: stagger };
        let group = u64::from(batch) >> stagger;
        for block in first >> self.block_bits..=(end - 1) >> self.block_bits {
            let sub = order.sub_block(mix(self.key, group, block), u64::from(batch));
            let place =
                (block << self.block_bits) + (sub << width) + self.offset(batch, block, width);
            if (first..end).contains(&place) {
                found(place);
            }
        }
    }

    /// Candidates of all batches of `batch`'s group among the headers of clocks `from..to`, in no particular order.
    fn group_candidates(&self, batch: u32, from: u64, to: u64, mut found: impl FnMut(u32, u64)) {
        let (first, end) = (from * self.small_cores, to * self.small_cores);
        if first >= end {
            return;
        }
        let stagger = self.stagger_bits();
        let width = self.block_bits - stagger;
        let order = Shuffle { bits: stagger };
        let group = u64::from(batch) >> stagger;
        for sub_block in first >> width..=(end - 1) >> width {
            let block = sub_block >> stagger;
            let row = order.row(mix(self.key, group, block), sub_block);
            let batch = (group << stagger | row) as u32;
            let place = (sub_block << width) + self.offset(batch, block, width);
            if (first..end).contains(&place) {
                found(batch, place);
            }
        }
    }

    /// Splits the walk of clocks `from..to` after `start` where the counter wraps; gives the walked clock and the stretch.
    fn stretches(&self, start: u64, from: u64, to: u64, mut each: impl FnMut(u64, u64, u64)) {
        let mut walked = from;
        while walked < to {
            let at = (start + walked) % self.clocks;
            let len = (self.clocks - at).min(to - walked);
            each(walked, at, at + len);
            walked += len;
        }
    }
}

/// Deals the sub-blocks of a block to the batches of a group, one each, in an order that looks random: a keyed permutation
/// of `bits` bits, up to 32.
#[derive(Debug, Clone, Copy)]
struct Shuffle {
    bits: u32,
}

impl Shuffle {
    const A: u64 = 0x9E37_79B9_7F4A_7C15;
    const B: u64 = 0xD6E8_FEB8_6659_FD93;
    const A_INVERSE: u64 = inverse(Self::A);
    const B_INVERSE: u64 = inverse(Self::B);

    /// The sub-block of a batch.
    fn sub_block(self, key: u64, row: u64) -> u64 {
        let x = self.fold(row.wrapping_add(key).wrapping_mul(Self::A));
        x.wrapping_mul(Self::B).wrapping_add(key >> 32) & self.mask()
    }

    /// The batch of a sub-block.
    fn row(self, key: u64, sub_block: u64) -> u64 {
        let x = self.fold(
            sub_block
                .wrapping_sub(key >> 32)
                .wrapping_mul(Self::B_INVERSE),
        );
        x.wrapping_mul(Self::A_INVERSE).wrapping_sub(key) & self.mask()
    }

    /// Mixes the upper half of the bits into the lower; its own inverse.
    fn fold(self, x: u64) -> u64 {
        let x = x & self.mask();
        x ^ x >> self.bits.div_ceil(2)
    }

    fn mask(self) -> u64 {
        (1 << self.bits) - 1
    }
}

/// Inverse of an odd number modulo 2^64, by Newton's iteration.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut i = 0;
    while i < 6 {
        x = x.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(x)));
        i += 1;
    }
    x
}

/// A candidate that a chip has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Crystal tick at which it is done.
    pub(crate) tick: u64,
    /// Version batch.
    pub(crate) batch: u32,
    /// Place on the axis in headers: clock x small cores + small core.
    pub(crate) place: u64,
}

/// One chip's walk.
#[derive(Debug, Clone)]
pub(crate) struct Sweep {
    axis: Axis,
    /// Clock on the axis where every batch begins.
    start: u64,
    clock: Clock,
    /// Ticks per batch; none when a batch never ends.
    batch_ticks: Option<u64>,
    batch: u32,
    /// When the batch began.
    batch_tick: u64,
    /// A moment since when the clock is unchanged, and the clocks of this batch done by then.
    known: (u64, u64),
    /// Clocks of this batch whose candidates were given out.
    done: u64,
    /// Candidates of the coming batches, when they are rarer than batches.
    plan: Option<Plan>,
    /// Times that the search began again.
    pub(crate) repeats: u64,
}

/// Hits of batches from the one that begins at `tick` to the end of its group.
#[derive(Debug, Clone)]
struct Plan {
    tick: u64,
    end: u64,
    hits: Vec<Hit>,
    next: usize,
}

impl Sweep {
    /// Starts with batch 0 at `tick`.
    pub(crate) fn new(
        axis: Axis,
        start: u64,
        clock: Clock,
        batch_ticks: Option<u64>,
        tick: u64,
    ) -> Self {
        Self {
            axis,
            start,
            clock,
            batch_ticks,
            batch: 0,
            batch_tick: tick,
            known: (tick, 0),
            done: 0,
            plan: None,
            repeats: 0,
        }
    }

    /// Gives out every candidate reached up to and including `tick`, in order.
    pub(crate) fn run(&mut self, tick: u64, mut found: impl FnMut(Hit)) {
        loop {
            if self.plan.is_none() && tick > self.batch_tick {
                self.plan = self.make_plan();
            }
            if let Some(plan) = &mut self.plan {
                while let Some(hit) = plan.hits.get(plan.next).filter(|hit| hit.tick <= tick) {
                    found(*hit);
                    plan.next += 1;
                }
                if tick < plan.end {
                    return;
                }
                let end = plan.end;
                let past = self
                    .batch_ticks
                    .map_or(1, |ticks| (end - plan.tick) / ticks.max(1));
                self.begin_batch(u64::from(self.batch) + past, end);
                continue;
            }
            let end = self
                .batch_ticks
                .map_or(u64::MAX, |ticks| self.batch_tick.saturating_add(ticks));
            self.walk(self.clocks_at(tick.min(end)), &mut found);
            if tick < end {
                return;
            }
            self.begin_batch(u64::from(self.batch) + 1, end);
        }
    }

    /// The first tick at which something may happen; 0 when that is not known in advance.
    pub(crate) fn idle_until(&self) -> u64 {
        self.plan.as_ref().map_or(0, |plan| {
            plan.hits.get(plan.next).map_or(plan.end, |hit| hit.tick)
        })
    }

    /// Changes the hash clock at `tick`, up to which the sweep has run.
    pub(crate) fn set_clock(&mut self, clock: Clock, tick: u64) {
        self.drop_plan(tick);
        self.known = (tick, self.clocks_at(tick));
        self.clock = clock;
    }

    /// Changes the length of batches at `tick`; a batch that is already longer ends at once.
    pub(crate) fn set_batch_ticks(&mut self, ticks: u64, tick: u64) {
        self.drop_plan(tick);
        if tick - self.batch_tick >= ticks {
            self.begin_batch(u64::from(self.batch) + 1, tick);
        }
        self.batch_ticks = Some(ticks);
    }

    /// Moves the place where batches begin; the current batch begins again there.
    pub(crate) fn set_start(&mut self, start: u64, tick: u64) {
        self.drop_plan(tick);
        self.start = start;
        self.begin_batch(u64::from(self.batch), tick);
    }

    /// Clocks of the current batch done by `tick`.
    fn clocks_at(&self, tick: u64) -> u64 {
        self.known.1 + self.clock.clocks(tick.saturating_sub(self.known.0))
    }

    fn begin_batch(&mut self, batch: u64, tick: u64) {
        let batches = u64::from(self.axis.batches);
        self.repeats += batch / batches;
        self.batch = (batch % batches) as u32;
        self.batch_tick = tick;
        self.known = (tick, 0);
        self.done = 0;
        self.plan = None;
    }

    /// Gives out the candidates of this batch up to clock `to`.
    fn walk(&mut self, to: u64, found: &mut impl FnMut(Hit)) {
        let (axis, clock, batch, (known_tick, known_clocks)) =
            (self.axis, self.clock, self.batch, self.known);
        axis.stretches(self.start, self.done, to, |walked, from, until| {
            axis.candidates(batch, from, until, |place| {
                let clocks = walked + (place / axis.small_cores - from) + 1;
                let tick = known_tick + clock.ticks(clocks.saturating_sub(known_clocks));
                found(Hit { tick, batch, place });
            });
        });
        let before = self.done;
        self.done = before.max(to);
        if self.batch_ticks.is_none() {
            // Only what is new: `done` starts over when the chip is interrupted, the count does not.
            self.repeats += self.done / axis.clocks - before / axis.clocks;
        }
    }

    /// Collects the hits until the end of the group, if batches are poorer than one candidate and this one has just begun.
    fn make_plan(&self) -> Option<Plan> {
        let ticks = self.batch_ticks?;
        if self.known != (self.batch_tick, 0) || self.done != 0 {
            return None;
        }
        let (axis, clock) = (self.axis, self.clock);
        let clocks = clock.clocks(ticks);
        let stagger = axis.stagger_bits();
        if stagger == 0
            || clocks >= axis.clocks
            || (clocks * axis.small_cores) >> axis.block_bits > 0
        {
            return None;
        }
        let end_batch = ((self.batch >> stagger) + 1) << stagger;
        let mut hits = Vec::new();
        axis.stretches(self.start, 0, clocks, |walked, from, until| {
            axis.group_candidates(self.batch, from, until, |batch, place| {
                if let Some(later) = batch.checked_sub(self.batch) {
                    let clocks = walked + (place / axis.small_cores - from) + 1;
                    let tick = self.batch_tick + u64::from(later) * ticks + clock.ticks(clocks);
                    hits.push(Hit { tick, batch, place });
                }
            });
        });
        hits.sort_unstable_by_key(|hit| (hit.tick, hit.place));
        let end = self.batch_tick + u64::from(end_batch - self.batch) * ticks;
        Some(Plan {
            tick: self.batch_tick,
            end,
            hits,
            next: 0,
        })
    }

    /// Falls back from the plan to the batch that `tick` lies in.
    fn drop_plan(&mut self, tick: u64) {
        let (Some(plan), Some(ticks)) = (self.plan.take(), self.batch_ticks) else {
            return;
        };
        let past = (tick - plan.tick) / ticks.max(1);
        self.begin_batch(u64::from(self.batch) + past, plan.tick + past * ticks);
        self.done = self.clocks_at(tick);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn axis(block_bits: u32) -> Axis {
        Axis {
            key: 7,
            small_cores: 2040,
            clocks: 1 << 24,
            batches: 4096,
            block_bits,
        }
    }

    const CLOCK: Clock = Clock { num: 168, den: 8 };

    fn hits(sweep: &mut Sweep, to: u64) -> Vec<Hit> {
        let mut hits = Vec::new();
        sweep.run(to, |hit| hits.push(hit));
        hits
    }

    #[test]
    fn candidates_are_as_dense_as_the_scale_says() {
        for (bits, ticks) in [
            (20, Some(8000)),
            (28, Some(8000)),
            (32, Some(8000)),
            (36, Some(800_000)),
            (30, None),
        ] {
            let mut sweep = Sweep::new(axis(bits), 0, CLOCK, ticks, 0);
            let run = (3000_u64 << bits) / (2040 * 21);
            let found = hits(&mut sweep, run).len() as f64;
            assert!((found - 3000.0).abs() < 3000.0 * 0.08, "{bits}: {found}");
        }
    }

    #[test]
    fn at_scale_zero_every_header_is_a_candidate() {
        let mut sweep = Sweep::new(axis(0), 0, CLOCK, Some(1000), 0);
        let places: Vec<u64> = hits(&mut sweep, 10)
            .into_iter()
            .map(|hit| hit.place)
            .collect();
        assert_eq!(places, (0..210 * 2040).collect::<Vec<u64>>());
    }

    #[test]
    fn planned_batches_hold_what_walked_batches_hold() {
        let axis = axis(33);
        let clocks = CLOCK.clocks(8000);
        let mut walked = Vec::new();
        for batch in 0..512 {
            axis.candidates(batch, 500_000, 500_000 + clocks, |place| {
                walked.push((batch, place))
            });
        }
        let mut planned = Vec::new();
        axis.group_candidates(3, 500_000, 500_000 + clocks, |batch, place| {
            planned.push((batch, place))
        });
        planned.sort_unstable();
        assert!(!planned.is_empty());
        assert_eq!(planned, walked);
    }

    #[test]
    fn a_shuffle_deals_every_sub_block_once() {
        for bits in [0, 1, 2, 5, 12] {
            let order = Shuffle { bits };
            let mut dealt: Vec<u64> = (0..1 << bits)
                .map(|row| order.sub_block(99 << 30, row))
                .collect();
            assert!(
                dealt
                    .iter()
                    .enumerate()
                    .all(|(row, &sub)| order.row(99 << 30, sub) == row as u64)
            );
            dealt.sort_unstable();
            assert!(dealt.iter().enumerate().all(|(i, &sub)| sub == i as u64));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn the_size_of_steps_does_not_matter(
            bits in 18_u32..38,
            ticks in prop::option::of(200_u64..60_000),
            start in 0_u64..1 << 24,
            steps in prop::collection::vec(1_u64..200_000, 1..40),
        ) {
            let mut fine = Sweep::new(axis(bits), start, CLOCK, ticks, 5);
            let mut coarse = fine.clone();
            let mut tick = 5;
            let mut many = Vec::new();
            for step in steps {
                tick += step;
                fine.run(tick, |hit| many.push(hit));
            }
            prop_assert!(many.is_sorted_by_key(|hit| hit.tick));
            prop_assert!(many.iter().all(|hit| hit.tick <= tick));
            prop_assert_eq!(many, hits(&mut coarse, tick));
        }

        #[test]
        fn changing_to_the_same_values_changes_nothing_in_a_batch(
            bits in 26_u32..32, at in 1_u64..300_000, after in 1_u64..300_000,
        ) {
            let mut plain = Sweep::new(axis(bits), 0, Clock { num: 100, den: 5 }, Some(8000), 0);
            let mut touched = plain.clone();
            let expected = hits(&mut plain, at + after);
            let mut found = hits(&mut touched, at);
            touched.set_clock(Clock { num: 100, den: 5 }, at);
            touched.set_batch_ticks(8000, at);
            found.extend(hits(&mut touched, at + after));
            prop_assert_eq!(found, expected);
        }
    }
}
