//! From silence to a chain that is ready: carrying out plans step by step, the count of chips, and the
//! read-back at the end.

use std::time::Duration;

use bm13xx::{Baud, Step};

use super::{CHIP_MASK, Event, Phase, Purpose, Session};
use crate::discovery::Verdict;
use crate::health::Chip;
use crate::readback::{Ask, Readback};

/// Time for chips to change their rate.
const BAUD_SETTLE: Duration = Duration::from_millis(20);
/// Bytes of a register read and of its answer.
const QUESTION_AND_ANSWER: usize = 7 + 11;

impl Session {
    pub(super) fn begin(&mut self, now: Duration, purpose: Purpose) {
        let plan = match purpose {
            Purpose::Discovery => self.plan.discovery(),
            Purpose::BringUp => self.plan.bring_up(),
            Purpose::Ramp => self.plan.ramp(self.settings.chain.start, self.goal),
            Purpose::Offsets => self.plan.after_first_job(),
            Purpose::Change => self.plan.ramp(self.clock, self.goal),
            Purpose::Chip(_) => self.plan.chip_ramp(0, self.clock, self.clock),
            // Down is harmless, so the faster ones may jump to where the slowest is.
            Purpose::Stop => self.wind_down.stop(self.slowest()),
        };
        self.running = Some((purpose, plan));
        self.moves = None;
        self.held = None;
        self.resume_at = now;
    }

    /// Takes one step of the running plan; `false` if none is due.
    pub(super) fn step(&mut self, now: Duration) -> bool {
        if now < self.resume_at || self.discovery.deadline().is_some() {
            return false;
        }
        let Some((purpose, plan)) = &mut self.running else {
            return false;
        };
        let purpose = *purpose;
        match self.held.take().or_else(|| plan.next()) {
            Some(Step::Write(frame)) => self.write(now, &frame),
            Some(Step::Wait(time)) => self.resume_at = self.line.free_at().max(now) + time,
            Some(Step::HostBaud(baud)) => {
                // The rate may only change once the last byte has left.
                if self.line.free_at() > now {
                    self.resume_at = self.line.free_at();
                    self.held = Some(Step::HostBaud(baud));
                } else {
                    self.line.set_baud(baud.get());
                }
            }
            Some(Step::Discover) => {
                self.discovery.asked(self.line.free_at().max(now));
            }
            Some(Step::Ramped(clock)) => {
                self.clock = clock;
                for chip in &mut self.chips {
                    chip.clock = clock;
                }
            }
            None => {
                self.running = None;
                self.finished(now, purpose);
            }
        }
        true
    }

    pub(super) fn finished(&mut self, now: Duration, purpose: Purpose) {
        match purpose {
            Purpose::Discovery => {}
            Purpose::BringUp => {
                self.enter(Phase::Ramping);
                self.begin(now, Purpose::Ramp);
            }
            Purpose::Ramp => {
                self.readback = Some(Readback::new(
                    &self.plan,
                    self.chips.len(),
                    self.line.free_at().max(now),
                ));
                self.enter(Phase::Verifying);
            }
            Purpose::Offsets => {
                self.offsets_written = true;
                self.start_counting(now);
                self.work_wanted = true;
            }
            // Work that began meanwhile has not got its offsets yet.
            Purpose::Change if self.phase == Phase::Mining && !self.offsets_written => {
                self.begin(now, Purpose::Offsets);
            }
            Purpose::Change => self.work_wanted = self.source.is_assigned(),
            Purpose::Chip(chip) => {
                self.moved(chip);
                self.move_on(now);
            }
            Purpose::Stop => self.enter(Phase::Stopped),
        }
    }

    pub(super) fn discovered(&mut self, now: Duration, verdict: Verdict) {
        self.running = None;
        match verdict {
            Verdict::Found(_) if self.line.baud() != Baud::RESET.get() && self.slow_down(now) => {}
            Verdict::Found(found) => {
                let expected = self.settings.chain.chips;
                self.events.push_back(Event::ChipsFound { found, expected });
                if found < expected {
                    self.warn(format!(
                        "only {found} of {expected} chips answer; mining with those. Check the chain's cables and solder joints"
                    ));
                }
                self.chips = (0..found).map(|_| Chip::new(now, self.clock)).collect();
                self.enter(Phase::BringingUp);
                self.begin(now, Purpose::BringUp);
            }
            Verdict::Retry(baud) => {
                self.line.set_baud(baud);
                self.decoder.reset();
                self.begin(now, Purpose::Discovery);
            }
            Verdict::Fail(failure) => self.fail(failure),
        }
    }

    /// Sends chips that were left at their run rate back to the rate after reset, where that is
    /// needed to bring them up, and looks for them there.
    pub(super) fn slow_down(&mut self, now: Duration) -> bool {
        let Some(frame) = self.plan.back_to_reset_baud() else {
            return false;
        };
        self.write(now, &frame);
        self.discovery.start_over();
        self.begin(now, Purpose::Discovery);
        self.held = Some(Step::HostBaud(Baud::RESET));
        self.resume_at = self.line.free_at() + BAUD_SETTLE;
        true
    }

    /// Sends the next question of the read-back; `false` if none is due.
    pub(super) fn ask_back(&mut self, now: Duration) -> bool {
        let gap = 2 * self.line.duration_of(QUESTION_AND_ANSWER);
        let Some(readback) = &mut self.readback else {
            return false;
        };
        if now < readback.due() {
            return false;
        }
        match readback.ask(now, gap) {
            Ask::Send(frame) => self.write(now, &frame),
            Ask::Wait => return false,
            Ask::Done => {
                for complaint in readback.complaints() {
                    self.warn(complaint);
                }
                self.readback = None;
                self.chip_mask = Some(self.settings.chain.version_mask & CHIP_MASK);
                self.enter(Phase::Idle);
                self.work_wanted = self.source.is_assigned();
            }
        }
        true
    }
}
