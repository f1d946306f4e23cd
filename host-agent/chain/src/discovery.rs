//! Finding the chips: at which rate they talk, how many answer, and whether they are the right
//! ones. A chip fresh from reset talks at the reset rate; one that an earlier run left behind still
//! talks at its run rate, and without a reset line that is where it has to be found.

use std::time::Duration;

use bm13xx::RegisterReply;

use crate::Failure;

/// Time for the first answer to a broadcast read. Chips answer within microseconds; USB adapters
/// and serial servers add tens of milliseconds.
const FIRST_ANSWER: Duration = Duration::from_millis(300);
/// Silence that ends the count. Answers follow each other back to back.
const QUIET: Duration = Duration::from_millis(100);
/// Rounds over both rates before giving up, and tries to find chips that are missing.
const ROUNDS: u8 = 3;
/// A chain cannot hold more chips than this; more answers are noise.
const MOST_ANSWERS: usize = 512;

#[derive(Debug)]
pub(crate) struct Discovery {
    chip_id: u16,
    chip_name: &'static str,
    expected: u16,
    series_domains: bool,
    rates: [u32; 2],
    round: u8,
    rate: usize,
    deadline: Option<Duration>,
    found: u16,
    best: u16,
    foreign: Option<u16>,
    answers: usize,
}

/// What to do after the line has gone quiet.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Go on with this many chips.
    Found(u16),
    /// Ask again at this rate.
    Retry(u32),
    /// This board cannot be started.
    Fail(Failure),
}

impl Discovery {
    pub(crate) fn new(
        model: &bm13xx::ChipModel,
        expected: u16,
        series_domains: bool,
        reset_baud: u32,
        run_baud: u32,
    ) -> Self {
        Self {
            chip_id: model.chip_id,
            chip_name: model.name,
            expected,
            series_domains,
            rates: [reset_baud, run_baud],
            round: 0,
            rate: 0,
            deadline: None,
            found: 0,
            best: 0,
            foreign: None,
            answers: 0,
        }
    }

    /// The read is on its way and will have left at `sent`.
    pub(crate) fn asked(&mut self, sent: Duration) {
        self.found = 0;
        self.answers = 0;
        self.deadline = Some(sent + FIRST_ANSWER);
    }

    /// The chips are sent back to the rate after reset and will be looked for there.
    pub(crate) fn start_over(&mut self) {
        self.rate = 0;
        self.round = 0;
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    pub(crate) fn answer(&mut self, now: Duration, reply: &RegisterReply) {
        if self.deadline.is_none() || reply.register != 0 || self.answers >= MOST_ANSWERS {
            return;
        }
        self.answers += 1;
        let id = (reply.value >> 16) as u16;
        if id == self.chip_id {
            self.found += 1;
        } else {
            self.foreign = Some(id);
        }
        self.deadline = Some(now + QUIET);
    }

    /// Judges the count once the deadline has passed.
    pub(crate) fn verdict(&mut self) -> Verdict {
        self.deadline = None;
        self.best = self.best.max(self.found);
        if self.found == self.expected {
            return Verdict::Found(self.found);
        }
        if self.found > self.expected {
            return Verdict::Fail(Failure::TooManyChips {
                found: self.found,
                expected: self.expected,
            });
        }
        let last_rate = self.rate + 1 == self.rates.len();
        // Some answered: the rate is right, so ask again there before judging.
        if self.found > 0 && self.round + 1 < ROUNDS {
            self.round += 1;
            return Verdict::Retry(self.rates[self.rate]);
        }
        if self.found > 0 {
            if self.series_domains {
                return Verdict::Fail(Failure::MissingChips {
                    found: self.found,
                    expected: self.expected,
                });
            }
            return Verdict::Found(self.found);
        }
        if let Some(id) = self.foreign {
            return Verdict::Fail(Failure::WrongChip {
                found: id,
                expected: self.chip_name,
            });
        }
        if last_rate {
            self.rate = 0;
            self.round += 1;
            if self.round >= ROUNDS {
                return Verdict::Fail(Failure::NoChips);
            }
        } else {
            self.rate += 1;
        }
        Verdict::Retry(self.rates[self.rate])
    }
}
