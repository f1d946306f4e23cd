//! Reading back what was written: after bring-up every chip is asked for the registers whose
//! content is known. Chips that disagree or keep silent are asked once more, then named.

use std::time::Duration;

use bm13xx::{ChainPlan, Frame, ReadBack, Register, RegisterReply};

/// Time for answers that are still on their way after the last question; USB adapters and serial
/// servers hold bytes back for tens of milliseconds.
const LAST_ANSWERS: Duration = Duration::from_millis(100);
/// How often a question is asked.
const ROUNDS: u8 = 2;
/// Chips named in one complaint; more would not help a person.
const NAMED: usize = 8;

#[derive(Debug)]
pub(crate) struct Readback {
    questions: Vec<Question>,
    next: usize,
    round: u8,
    due: Duration,
}

#[derive(Debug)]
struct Question {
    about: ReadBack,
    address: u8,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    None,
    Right,
    Wrong(u32),
}

impl Readback {
    /// Questions to the first `chips` chips of a chain that has been brought up to its target clock.
    pub(crate) fn new(plan: &ChainPlan, chips: usize, now: Duration) -> Self {
        Self {
            questions: plan
                .verification()
                .filter(|about| usize::from(about.chip) < chips)
                .map(|about| Question {
                    address: plan.address(about.chip).get(),
                    about,
                    answer: Answer::None,
                })
                .collect(),
            next: 0,
            round: 1,
            due: now,
        }
    }

    /// When [`Readback::ask`] wants to be called next.
    pub(crate) fn due(&self) -> Duration {
        self.due
    }

    /// The next question to send at `now`, `gap` after the one before, so that answers do not
    /// pile up in the chips.
    pub(crate) fn ask(&mut self, now: Duration, gap: Duration) -> Ask {
        loop {
            let Some(question) = self.questions.get(self.next) else {
                if now < self.due {
                    return Ask::Wait;
                }
                let complete = self
                    .questions
                    .iter()
                    .all(|question| question.answer == Answer::Right);
                if complete || self.round >= ROUNDS {
                    return Ask::Done;
                }
                self.round += 1;
                self.next = 0;
                continue;
            };
            self.next += 1;
            let last = self.next == self.questions.len();
            if question.answer == Answer::Right {
                if last {
                    self.due = now + LAST_ANSWERS;
                }
                continue;
            }
            self.due = now + if last { LAST_ANSWERS } else { gap };
            return Ask::Send(question.about.read);
        }
    }

    pub(crate) fn answer(&mut self, reply: &RegisterReply) {
        let asked = &mut self.questions[..self.next];
        for question in asked {
            if question.address == reply.address && question.about.register as u8 == reply.register
            {
                question.answer = if question.about.expected.agrees(reply.value) {
                    Answer::Right
                } else {
                    Answer::Wrong(reply.value)
                };
            }
        }
    }

    /// One sentence for each register that not all chips agree on.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut registers: Vec<Register> = Vec::new();
        for question in &self.questions {
            if !registers.contains(&question.about.register) {
                registers.push(question.about.register);
            }
        }
        let mut complaints = Vec::new();
        for register in registers {
            let of = |wanted: fn(&Question) -> Option<String>| -> Vec<String> {
                self.questions
                    .iter()
                    .filter(|question| question.about.register == register)
                    .filter_map(wanted)
                    .collect()
            };
            let silent = of(|question| {
                (question.answer == Answer::None).then(|| question.about.chip.to_string())
            });
            let wrong = of(|question| match question.answer {
                Answer::Wrong(value) => Some(format!(
                    "{} has {value:08x} instead of {:08x}",
                    question.about.chip, question.about.expected.value
                )),
                _ => None,
            });
            if !silent.is_empty() {
                complaints.push(format!(
                    "no answer to a read of register {:02x} from chip {}",
                    register as u8,
                    first_few(&silent)
                ));
            }
            if !wrong.is_empty() {
                complaints.push(format!(
                    "register {:02x} does not hold what was written: chip {}",
                    register as u8,
                    first_few(&wrong)
                ));
            }
        }
        complaints
    }
}

/// What to do next.
#[derive(Debug, PartialEq)]
pub(crate) enum Ask {
    /// Send this question.
    Send(Frame),
    /// Answers are still to come.
    Wait,
    /// All questions are answered, or have been asked often enough.
    Done,
}

fn first_few(items: &[String]) -> String {
    let mut text = items[..items.len().min(NAMED)].join(", ");
    if items.len() > NAMED {
        text += &format!(" and {} more", items.len() - NAMED);
    }
    text
}
