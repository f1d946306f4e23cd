//! Plans: what to do with a chain, one step at a time, without allocation.
//!
//! A plan interprets a short script (`script.rs`) against the description of the chain, so that the
//! write lists of the chips stand in tables and only their expansion over chips and domains is code.

use core::time::Duration;

use crate::chain::ChainPlan;
use crate::frame::{Destination, Frame};
use crate::model::ChipKind;
use crate::pll::Pll;
use crate::registers::{NonceOffset, Register, UartRelay};
use crate::script::{Op, PerChip};
use crate::units::{Baud, ChipAddress, Megahertz, Target};

/// Distance of the clocks of a ramp from each other, on a grid that starts at 0.
pub const RAMP_STEP: Megahertz = Megahertz::new(6.25);

/// Time for which the chips may take to change their UART over before the host follows.
const BAUD_SETTLE: Duration = Duration::from_millis(60);
/// Wait of the BM1397 before each write that changes its clock.
const BM1397_PLL_WAIT: Duration = Duration::from_millis(10);
const BM1397_PLL_DIVIDER: u32 = 0x0F0F_0F00;

/// Something to do with the chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Send this.
    Write(Frame),
    /// Do nothing for this long, counted from when the last byte has left.
    Wait(Duration),
    /// Let everything drain, then switch the host's port to this rate. It is the rate that the chips
    /// have, not a round number near it.
    HostBaud(Baud),
    /// The read of all chip ids is out: count answers until the line is quiet.
    Discover,
    /// The clock of all chips is now this, exactly.
    Ramped(Megahertz),
}

/// Steps in order. Cheap to make and to drop.
#[derive(Clone, Debug)]
pub struct Plan {
    chain: ChainPlan,
    ops: [&'static [Op]; 2],
    from: Megahertz,
    to: Pll,
    target: Target,
    part: usize,
    op: usize,
    step: u32,
    gap: bool,
}

impl Plan {
    pub(crate) fn script(chain: &ChainPlan, ops: &'static [Op]) -> Self {
        let start = chain.config().start;
        Self::clocked(chain, [ops, &[]], Target::All, start, chain.nearest(start))
    }

    pub(crate) fn clocked(
        chain: &ChainPlan,
        ops: [&'static [Op]; 2],
        target: Target,
        from: Megahertz,
        to: Pll,
    ) -> Self {
        Self {
            chain: *chain,
            ops,
            from,
            to,
            target,
            part: 0,
            op: 0,
            step: 0,
            gap: false,
        }
    }

    /// Step number `i` of an operation, or `None` past its end.
    fn expand(&self, op: &Op, i: u32) -> Option<Step> {
        let chain = &self.chain;
        let config = chain.config();
        let once = |frame: Frame| (i == 0).then_some(Step::Write(frame));
        let all = |register, value| once(Frame::write(Destination::All, register, value));
        let chip = |index: u16, register, value| {
            Step::Write(Frame::write(
                Destination::Chip(chain.command_address(index)),
                register,
                value,
            ))
        };
        match *op {
            Op::All(register, value) => all(register, value),
            Op::FirstChip(register, value) => (i == 0).then(|| chip(0, register, value)),
            Op::VersionMask => once(chain.set_version_mask(config.version_mask)),
            Op::Ticket => once(chain.set_ticket(config.ticket)),
            Op::Wait(millis) => {
                (i == 0).then(|| Step::Wait(Duration::from_millis(u64::from(millis))))
            }
            Op::Inactive => once(Frame::chain_inactive()),
            Op::Discover => match i {
                0 => Some(Step::Write(Frame::read(Destination::All, Register::ChipId))),
                1 => Some(Step::Discover),
                _ => None,
            },
            Op::Addresses => {
                let address = chain.assigned_byte(i)?;
                Some(Step::Write(Frame::set_address(ChipAddress::new(address))))
            }
            Op::EachChip(block) => {
                let len = block.len().max(1) as u32;
                let index = self.chip_at(i / len)?;
                Some(match *block.get((i % len) as usize)? {
                    PerChip::Write(register, value) => chip(index, register, value),
                    PerChip::Wait(millis) => Step::Wait(Duration::from_millis(u64::from(millis))),
                })
            }
            Op::DomainEnds(register, value) => {
                let (_, last) = chain.domain_chips(u16::try_from(i).ok()?)?;
                Some(chip(last, register, value))
            }
            Op::DomainRelays => {
                let (first, last) = chain.domain_chips(u16::try_from(i / 2).ok()?)?;
                let relay = UartRelay::for_domain(config.chips - first).to_bits();
                Some(chip(
                    if i.is_multiple_of(2) { first } else { last },
                    Register::UartRelay,
                    relay,
                ))
            }
            Op::NonceOffsets => {
                let index = self.chip_at(i)?;
                let offset = NonceOffset::spread(index, config.chips);
                Some(chip(index, Register::NonceOffset, offset.to_bits()))
            }
            Op::Baud => self.baud(i),
            Op::Ramp => self.ramp(i),
            Op::Sweep => self
                .sweep(chain.sweep_ticks_for(&self.to))
                .filter(|_| i == 0),
            Op::StopSweep => self.sweep(0).filter(|_| i == 0),
        }
    }

    fn chip_at(&self, i: u32) -> Option<u16> {
        u16::try_from(i)
            .ok()
            .filter(|&index| index < self.chain.config().chips)
    }

    fn sweep(&self, ticks: u32) -> Option<Step> {
        self.chain.sweep_frame(self.target, ticks).map(Step::Write)
    }

    fn write(&self, register: Register, value: u32) -> Frame {
        Frame::write(self.chain.destination(self.target), register, value)
    }

    fn baud(&self, i: u32) -> Option<Step> {
        let change = self.chain.baud_change()?;
        let mut writes = change.writes.into_iter().flatten();
        let count = writes.clone().count() as u32;
        if let Some((register, value)) = writes.nth(i as usize) {
            return Some(Step::Write(Frame::write(Destination::All, register, value)));
        }
        match i - count {
            0 => Some(Step::Wait(BAUD_SETTLE)),
            1 => Some(Step::HostBaud(change.baud)),
            _ => None,
        }
    }

    fn ramp(&self, i: u32) -> Option<Step> {
        let kind = self.chain.config().kind;
        let ways: u32 = if kind == ChipKind::Bm1397 { 10 } else { 3 };
        let points = grid_points(self.from, self.to.frequency());
        let point = i / ways;
        if point > points {
            return None;
        }
        let last = point == points;
        let pll = if last {
            self.to
        } else {
            self.chain
                .nearest(grid_point(self.from, self.to.frequency(), point))
        };
        // The BM1397 begins with four waits and writes before the two parts that all chips have: its
        // second clock write stands where the others have their only one.
        let part = i % ways;
        if kind == ChipKind::Bm1397 && part < 7 {
            return Some(match part {
                1 | 3 => Step::Write(self.write(Register::PllDivider, BM1397_PLL_DIVIDER)),
                5 => Step::Write(self.write(Register::Pll, pll.register(kind))),
                _ => Step::Wait(BM1397_PLL_WAIT),
            });
        }
        match (ways - part, self.target) {
            (3, _) => Some(Step::Write(self.write(Register::Pll, pll.register(kind)))),
            (2, Target::All) => Some(Step::Ramped(pll.frequency())),
            (2, Target::Chip(_)) => Some(Step::Wait(Duration::ZERO)),
            _ if last => None,
            _ => Some(Step::Wait(self.chain.config().ramp_step_wait)),
        }
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if core::mem::take(&mut self.gap) {
            return Some(Step::Wait(self.chain.config().write_gap));
        }
        loop {
            let ops = *self.ops.get(self.part)?;
            let Some(op) = ops.get(self.op) else {
                self.part += 1;
                self.op = 0;
                continue;
            };
            if let Some(step) = self.expand(op, self.step) {
                self.step += 1;
                if step == Step::Wait(Duration::ZERO) {
                    continue;
                }
                self.gap = matches!(step, Step::Write(_))
                    && !matches!(op, Op::Ramp | Op::Discover)
                    && !self.chain.config().write_gap.is_zero();
                return Some(step);
            }
            self.op += 1;
            self.step = 0;
        }
    }
}

impl core::iter::FusedIterator for Plan {}

/// Clocks of the grid strictly between `from` and `to`; none if they are less than a step apart.
fn grid_points(from: Megahertz, to: Megahertz) -> u32 {
    let (low, high) = if from < to {
        (from.get(), to.get())
    } else {
        (to.get(), from.get())
    };
    if high - low < RAMP_STEP.get() {
        return 0;
    }
    let first = ((low / RAMP_STEP.get()) as u32).saturating_add(1);
    let steps = high / RAMP_STEP.get();
    let beyond = if steps > f64::from(steps as u32) {
        (steps as u32).saturating_add(1)
    } else {
        steps as u32
    };
    beyond.saturating_sub(first)
}

/// Clock number `point` on the way.
fn grid_point(from: Megahertz, to: Megahertz, point: u32) -> Megahertz {
    let low = if from < to { from } else { to };
    let first = (low.get() / RAMP_STEP.get()) as u32 + 1;
    let index = if from < to {
        first + point
    } else {
        first + grid_points(from, to).saturating_sub(point + 1)
    };
    Megahertz::new(f64::from(index) * RAMP_STEP.get())
}
