//! The part of a chip that hashes: when it may, which candidates it meets, and what it finds.

use std::sync::Arc;

use super::{ChipState, reg};
use crate::{
    frame::Reply,
    geometry::{Geometry, Placement},
    job::{Job, MidstateCache},
    report::Notice,
    rng::{Rng, mix},
    silicon::{IdLayout, Walk},
    sweep::{Hit, Sweep},
};

/// A nonce that met the ticket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) tick: u64,
    pub(crate) chip: u16,
    pub(crate) reply: Reply,
    /// Names the header, whatever the chip or job id; none for a wrong nonce.
    pub(crate) header: Option<u64>,
}

/// Wrong nonces that one find can bring forth at most.
const WRONG_LIMIT: f64 = 8.0;

/// Nonce bits that a wrong nonce may differ in: below those that name core and chip on every model.
const WRONG_BITS: u32 = 0x0000_01FF;

impl ChipState {
    /// Takes a job: it replaces the current one at once.
    pub(crate) fn take_job(&mut self, job: Arc<Job>, tick: u64, notice: &mut impl FnMut(Notice)) {
        self.stats.jobs += 1;
        self.count(tick);
        self.job = Some(job);
        self.sweep = None;
        if !self.cores_enabled {
            notice(Notice::JobWithoutCores);
        }
        if self.clock.is_err() {
            notice(Notice::JobWithoutClock);
        }
        if self.batch_ticks().is_none() && self.silicon.walk != Walk::Midstates {
            notice(Notice::JobWithoutSweep);
        }
        if !self.reporting() {
            notice(Notice::JobWithoutReporting);
        }
        self.refresh(tick);
    }

    /// Whether it hashes and would report.
    pub(crate) fn is_mining(&self) -> bool {
        self.sweep.is_some() && self.reporting()
    }

    /// Until which tick [`ChipState::run`] would certainly find nothing to do.
    pub(crate) fn idle_until(&self) -> u64 {
        self.sweep.as_ref().map_or(u64::MAX, Sweep::idle_until)
    }

    /// Hashes up to `tick`; returns how often the epoch ended on the way.
    pub(crate) fn run(
        &mut self,
        tick: u64,
        cache: &mut MidstateCache,
        found: &mut Vec<Found>,
    ) -> u64 {
        let Some(mut sweep) = self.sweep.take() else {
            return 0;
        };
        let repeats = sweep.repeats;
        if let Some(job) = self.job.clone() {
            let reporting = self.reporting();
            sweep.run(tick, |hit| {
                if reporting {
                    self.test(&job, hit, cache, found);
                }
            });
        }
        let repeats = sweep.repeats - repeats;
        self.sweep = Some(sweep);
        self.stats.epochs_repeated += repeats;
        repeats
    }

    /// Hashes the header of a candidate and reports it if it meets the ticket.
    fn test(&mut self, job: &Job, hit: Hit, cache: &mut MidstateCache, found: &mut Vec<Found>) {
        let geometry = self.geometry();
        let spot = geometry.spot(job, hit);
        self.stats.tested += 1;
        let nonce = spot.nonce.to_be_bytes();
        let hash = job.hash_cached(cache, nonce, spot.variant);
        let Some(margin) = self.ticket.margin(&hash) else {
            return;
        };
        let margin = if self.silicon.walk == Walk::Midstates {
            0
        } else {
            margin
        };
        let header = mix(job.key(), u64::from(spot.nonce), u64::from(spot.variant));
        let long = self.long(false);
        for low in geometry.twins(spot) {
            let id = job.reply_id(self.silicon.ids, low);
            let mut luck = Rng::new(mix(self.luck, header, hit.tick ^ u64::from(low) << 56));
            let mut push = |nonce: [u8; 4], header| {
                found.push(Found {
                    tick: hit.tick,
                    chip: self.index,
                    reply: Reply::nonce(long, nonce, margin, id, spot.variant),
                    header,
                });
            };
            if luck.unit() < self.condition.delivered {
                self.stats.nonces += 1;
                push(nonce, Some(header));
            } else {
                self.stats.silent += 1;
            }
            let wrong = (self.condition.wrong * self.condition.delivered).clamp(0.0, WRONG_LIMIT);
            for _ in 0..(wrong + luck.unit()) as u32 {
                let bad = |nonce: &[u8; 4]| {
                    let hash = job.hash_cached(cache, *nonce, spot.variant);
                    self.ticket.margin(&hash).is_none()
                };
                // At a coarse scale some wrong nonces would be right by chance.
                let flips = std::iter::repeat_with(|| luck.next_u64() as u32 & WRONG_BITS);
                let nonces = flips.map(|flip| (spot.nonce ^ flip).to_be_bytes());
                if let Some(nonce) = nonces.take(20).find(bad) {
                    self.stats.wrong += 1;
                    push(nonce, None);
                }
            }
        }
    }

    /// Restarts, continues or stops hashing after anything changed.
    pub(super) fn refresh(&mut self, tick: u64) {
        let sweeping =
            self.silicon.walk == Walk::Midstates || self.registers[usize::from(reg::SWEEP)] != 0;
        let (Ok(clock), Some(job), true, true) =
            (self.clock, &self.job, self.cores_enabled, sweeping)
        else {
            self.sweep = None;
            return;
        };
        if self.sweep.is_none() {
            let axis = self.geometry().axis(job, self.scale_bits);
            self.sweep = Some(Sweep::new(
                axis,
                self.geometry().start(job, self.placement()),
                clock,
                self.batch_ticks(),
                tick,
            ));
        }
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            silicon: self.silicon,
            mask: self.mask(),
        }
    }

    fn placement(&self) -> Placement {
        Placement {
            address: self.address,
            offset: self.registers[usize::from(reg::NONCE_OFFSET)],
            chain_len: self.chain_len,
        }
    }

    pub(super) fn move_start(&mut self, tick: u64) {
        if let (Some(mut sweep), Some(job)) = (self.sweep.take(), self.job.clone()) {
            sweep.set_start(self.geometry().start(&job, self.placement()), tick);
            self.sweep = Some(sweep);
        }
    }

    /// Length of a batch; none while register 0x10 is zero, and on chips without it.
    pub(super) fn batch_ticks(&self) -> Option<u64> {
        let register = u64::from(self.registers[usize::from(reg::SWEEP)]);
        (self.silicon.walk != Walk::Midstates && register != 0).then_some(register + self.overrun)
    }

    /// The 16 version bits the chip may roll; zero until rolling is enabled.
    fn mask(&self) -> u16 {
        if self.rolling() {
            self.registers[usize::from(reg::ROLLING)] as u16
        } else {
            0
        }
    }

    pub(super) fn rolling(&self) -> bool {
        self.registers[usize::from(reg::ROLLING)] & 0x9000_0000 == 0x9000_0000
    }

    /// Misc control's top bits; all published values for mining chips share these three.
    pub(super) fn reporting(&self) -> bool {
        self.silicon.ids == IdLayout::High6
            || self.registers[usize::from(reg::MISC)] & 0xB000_0000 == 0xB000_0000
    }

    /// Brings the hash counters up to `tick`; to be called before anything that changes the clock or stops the hashing.
    pub(super) fn count(&mut self, tick: u64) {
        let (clocks, fraction) = self.uncounted(tick);
        self.clock_fraction = fraction;
        self.counted_tick = self.counted_tick.max(tick);
        self.clocks_done += clocks;
        self.stats.clocks += clocks;
    }

    /// Hash clocks since the counters were brought up to date, and the part of a clock that is left over.
    pub(super) fn uncounted(&self, tick: u64) -> (u64, u64) {
        let passed = tick.saturating_sub(self.counted_tick);
        let (Some(_), Ok(clock)) = (&self.sweep, self.clock) else {
            return (0, self.clock_fraction);
        };
        let total = u128::from(passed) * u128::from(clock.num) + u128::from(self.clock_fraction);
        let den = u128::from(clock.den);
        ((total / den) as u64, (total % den) as u64)
    }
}
