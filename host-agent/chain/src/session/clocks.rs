//! Clocks of a running chain: all chips together, or each its own. Chips that go different ways move
//! in step, a grid step each and then the pause of a ramp, so that a chain of a hundred chips takes no
//! longer than one chip and the load on the domains changes evenly.

use std::time::Duration;

use bm13xx::Target as Chips;
use bm13xx::{Destination, Frame, Megahertz, RAMP_STEP, Register, RegisterReply, TicketMask};
use mining::Target;

use super::{Event, HASHES_PER_DIFFICULTY, Phase, Purpose, Session};
use crate::{AskError, ChangeError};

/// After the ticket was raised, weaker nonces that were already on their way come in for so long; they are
/// neither counted nor wrong. The chips' queues hold a few milliseconds of the line.
const TICKET_SETTLE: Duration = Duration::from_secs(1);
/// Answers to register reads that are waited for.
const MAX_QUESTIONS: usize = 256;

/// A clock this close to a point of the grid, in steps of it, counts as there.
const NEAR: f64 = 0.2;

/// Chips on their way to clocks of their own.
#[derive(Debug)]
pub(super) struct Moves {
    /// Where each chip goes, in chain order.
    goals: Vec<Megahertz>,
    /// Chips of this round that have been moved.
    next: usize,
    /// The clock that the chip under way gets.
    step: Megahertz,
}

/// The ticket before the last change.
#[derive(Clone, Copy, Debug)]
pub(super) struct OldTicket {
    target: Target,
    until: Duration,
}

impl Session {
    /// Changes the clock of all chips, within what the chain can do, while it goes on working.
    /// Limits of the board are the caller's to keep.
    ///
    /// # Errors
    ///
    /// When the PLL cannot make that clock, or the chain is not running.
    pub fn set_frequency(&mut self, now: Duration, goal: Megahertz) -> Result<(), ChangeError> {
        self.may_change()?;
        self.model().pll(goal)?;
        if self.has_one_clock() {
            self.goal = goal;
            self.begin(now, Purpose::Change);
        } else {
            self.begin_moves(now, vec![goal; self.chips.len()]);
        }
        self.drive(now);
        Ok(())
    }

    /// Gives each chip a clock of its own, in chain order, while the chain goes on working; the nearest that
    /// the PLL can make. Limits of the board are the caller's to keep.
    ///
    /// # Errors
    ///
    /// When there are more or fewer clocks than chips that answer, the PLL cannot make one of them, or the
    /// chain is not running.
    pub fn set_chip_frequencies(
        &mut self,
        now: Duration,
        goals: &[Megahertz],
    ) -> Result<(), ChangeError> {
        self.may_change()?;
        if goals.len() != self.chips.len() {
            return Err(ChangeError::Chips {
                found: goals.len(),
                expected: self.chips.len(),
            });
        }
        let mut clocks = Vec::with_capacity(goals.len());
        for &goal in goals {
            clocks.push(self.model().pll(goal)?.frequency());
        }
        self.begin_moves(now, clocks);
        self.drive(now);
        Ok(())
    }

    /// Changes the chips' nonce filter while they work: `zero_bits` more than the 32 that chips always want.
    /// Fewer bits mean more nonces, which the line has to carry; that is the caller's to know.
    ///
    /// # Errors
    ///
    /// When the chain is not running.
    pub fn set_ticket(&mut self, now: Duration, zero_bits: u8) -> Result<(), ChangeError> {
        if !matches!(self.phase, Phase::Idle | Phase::Mining) {
            return Err(ChangeError::Busy);
        }
        let mask = TicketMask::from_extra_zero_bits(zero_bits);
        let frame = self.plan.set_ticket(mask);
        self.write(now, &frame);
        let bits = u32::from(mask.extra_zero_bits());
        let target =
            Target::from_zero_bits((32 + bits).saturating_sub(u32::from(self.settings.scale_bits)));
        if target < self.ticket {
            self.old_ticket = Some(OldTicket {
                target: self.ticket,
                until: now + TICKET_SETTLE,
            });
        }
        self.ticket = target;
        self.ticket_bits = mask.extra_zero_bits();
        self.ticket_hashes = HASHES_PER_DIFFICULTY * 2f64.powi(bits as i32);
        Ok(())
    }

    /// Asks chips for a register; each answer is an [`Event::Register`]. `chip` counts from the host, none
    /// means all.
    ///
    /// # Errors
    ///
    /// When the chain is not running, there is no such chip, or too many answers are still to come.
    pub fn read_register(
        &mut self,
        now: Duration,
        chip: Option<u16>,
        register: Register,
    ) -> Result<(), AskError> {
        if !matches!(self.phase, Phase::Idle | Phase::Mining) {
            return Err(AskError::Busy);
        }
        let chips = self.chips.len() as u16;
        let (target, answers) = match chip {
            Some(chip) if chip >= chips => return Err(AskError::NoSuchChip { chip, chips }),
            Some(chip) => (Chips::Chip(chip), 1),
            None => (Chips::All, usize::from(chips)),
        };
        if self.questions + answers > MAX_QUESTIONS.max(self.chips.len()) {
            return Err(AskError::TooMany);
        }
        self.questions += answers;
        let frame = self.plan.read_register(register, target);
        self.write(now, &frame);
        Ok(())
    }

    /// An answer that somebody asked for.
    pub(super) fn answered(&mut self, reply: &RegisterReply) {
        if self.questions > 0 {
            self.questions -= 1;
            self.events.push_back(Event::Register {
                chip: self.plan.chip_at(reply.address),
                register: reply.register,
                value: reply.value,
            });
        }
    }

    /// The ticket that a nonce has to meet now so as not to be wrong.
    pub(super) fn weakest_ticket(&mut self, now: Duration) -> Target {
        if self.old_ticket.is_some_and(|old| now >= old.until) {
            self.old_ticket = None;
        }
        self.old_ticket
            .map_or(self.ticket, |old| old.target.max(self.ticket))
    }

    /// The highest clock of a chip: work has to last for the fastest.
    pub(super) fn fastest(&self) -> Megahertz {
        let faster = |a: Megahertz, b: Megahertz| if b > a { b } else { a };
        let clocks = self.chips.iter().map(|chip| chip.clock);
        clocks.reduce(faster).unwrap_or(self.clock)
    }

    /// The lowest clock of a chip: from there all may go down together.
    pub(super) fn slowest(&self) -> Megahertz {
        let slower = |a: Megahertz, b: Megahertz| if b < a { b } else { a };
        let clocks = self.chips.iter().map(|chip| chip.clock);
        clocks.reduce(slower).unwrap_or(self.clock)
    }

    /// Lets resting chips hash again, each with the sweep of its clock.
    pub(super) fn wake(&mut self, now: Duration) {
        let common = self.fastest();
        if let Some(frame) = self.plan.resume(common) {
            self.write(now, &frame);
            let others: Vec<_> = self
                .chips
                .iter()
                .zip(0u16..)
                .filter(|(chip, _)| chip.clock != common)
                .map(|(chip, index)| (index, self.plan.sweep_ticks(chip.clock)))
                .collect();
            for (chip, ticks) in others {
                let to = Destination::Chip(self.plan.command_address(chip));
                self.write(now, &Frame::write(to, Register::HashCountingNumber, ticks));
            }
        }
    }

    /// Goes on with the next chip, or the next round, of a move.
    pub(super) fn move_on(&mut self, now: Duration) {
        let Some(moves) = &mut self.moves else {
            return;
        };
        let (chips, goals) = (&self.chips, &moves.goals);
        let off = |index: &usize| chips[*index].clock != goals[*index];
        let mut next = (moves.next..chips.len()).find(off);
        if next.is_none() {
            // The round is over, and with it the step that all made together.
            next = (0..chips.len()).find(off);
            self.resume_at = self.line.free_at().max(now) + self.settings.chain.ramp_step_wait;
        }
        if let Some(index) = next {
            let from = chips[index].clock;
            moves.step = towards(from, goals[index]);
            // What the PLL makes of it, or the chip would never be where it was sent.
            if let Ok(pll) = self.settings.chain.kind.model().pll(moves.step) {
                moves.step = pll.frequency();
            }
            moves.next = index + 1;
            let plan = self.plan.chip_ramp(index as u16, from, moves.step);
            self.running = Some((Purpose::Chip(index), plan));
        } else {
            self.moves = None;
            self.work_wanted = self.source.is_assigned();
        }
    }

    /// A chip has its next clock.
    pub(super) fn moved(&mut self, index: usize) {
        if let (Some(moves), Some(chip)) = (&self.moves, self.chips.get_mut(index)) {
            chip.clock = moves.step;
        }
        self.clock = self.mean_clock();
    }

    fn may_change(&self) -> Result<(), ChangeError> {
        let runs = matches!(self.phase, Phase::Idle | Phase::Mining);
        // A move under way may be given other goals; a plan for all chips has to end first.
        if !runs || (self.running.is_some() && self.moves.is_none()) {
            return Err(ChangeError::Busy);
        }
        Ok(())
    }

    fn has_one_clock(&self) -> bool {
        self.moves.is_none() && self.chips.iter().all(|chip| chip.clock == self.clock)
    }

    fn begin_moves(&mut self, now: Duration, goals: Vec<Megahertz>) {
        self.goal = mean(goals.iter().copied()).unwrap_or(self.goal);
        if let Some(moves) = &mut self.moves {
            // The chip under way still makes its step.
            moves.goals = goals;
        } else {
            self.moves = Some(Moves {
                goals,
                next: 0,
                step: self.clock,
            });
            self.move_on(now);
            self.resume_at = now;
        }
    }

    fn mean_clock(&self) -> Megahertz {
        mean(self.chips.iter().map(|chip| chip.clock)).unwrap_or(self.clock)
    }
}

/// The next point of the grid on the way, or the goal if it is no farther.
fn towards(from: Megahertz, goal: Megahertz) -> Megahertz {
    let step = RAMP_STEP.get();
    // A PLL may miss the grid by a little; the next point is never the same one again.
    let next = if goal > from {
        Megahertz::new(((from.get() / step + NEAR).floor() + 1.0) * step)
    } else {
        Megahertz::new(((from.get() / step - NEAR).ceil() - 1.0) * step)
    };
    let beyond = if goal > from {
        next > goal
    } else {
        next < goal
    };
    if beyond { goal } else { next }
}

fn mean(clocks: impl ExactSizeIterator<Item = Megahertz>) -> Option<Megahertz> {
    let count = clocks.len();
    let sum: f64 = clocks.map(Megahertz::get).sum();
    (count > 0).then(|| Megahertz::new(sum / count as f64))
}
