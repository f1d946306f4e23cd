//! The chain session itself: phases, the order of writes, and where replies go.

mod clocks;
mod nonces;
mod start;
mod work;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bm13xx::{
    Baud, ChainConfig, ChainPlan, ChipModel, Decoder, Frame, Megahertz, Plan, RegisterReply, Reply,
    Step,
};
use mining::{Assignment, Hashrate, JobSlots, Share, Target, Window, WorkError, WorkSource};

use crate::discovery::Discovery;
use crate::health::{Chip, Counters};
use crate::line::{Line, Output};
use crate::readback::Readback;
use crate::status::{ChipStatus, Status};
use crate::{Failure, Settings, SetupError};
use clocks::{Moves, OldTicket};

/// Hashes that one nonce at difficulty 1 stands for: chips always want 32 zero bits.
const HASHES_PER_DIFFICULTY: f64 = 4_294_967_296.0;
/// Wait between clock steps on the way down. Down is the harmless direction, and somebody waits.
const WIND_DOWN_STEP: Duration = Duration::from_millis(10);
/// Bytes handed to the decoder at a time, well below what it can hold.
const DECODER_CHUNK: usize = 2048;
/// Version bits that chips can roll.
const CHIP_MASK: u32 = 0x1fff_e000;

/// Where a chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking for chips.
    Discovering,
    /// Writing addresses and registers.
    BringingUp,
    /// Raising the clock.
    Ramping,
    /// Reading back what was written.
    Verifying,
    /// Ready, but there is no job.
    Idle,
    /// Chips have work.
    Mining,
    /// Winding down.
    Stopping,
    /// Wound down; nothing more will happen.
    Stopped,
    /// Given up; nothing more will happen.
    Failed,
}

/// Something that the owner of the session should know or do.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The count of chips is settled.
    ChipsFound {
        /// Chips that answered.
        found: u16,
        /// Chips that the profile expects.
        expected: u16,
    },
    /// The chain went to another phase.
    Phase(Phase),
    /// A nonce met the job's target. Hand it to the upstream at once.
    Share(Share),
    /// A chip answered a question for one of its registers.
    Register {
        /// Which chip, from the host; none if its address is nobody's.
        chip: Option<u16>,
        /// Address of the register.
        register: u8,
        /// Its value.
        value: u32,
    },
    /// Something is not as it should be, but the chain goes on.
    Warning(String),
    /// The session is over; a new one may try again.
    Failed(Failure),
}

/// What a plan that is being carried out is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Discovery,
    BringUp,
    Ramp,
    Offsets,
    Change,
    /// One chip on its way to a clock of its own.
    Chip(usize),
    Stop,
}

/// One hash board's chain of chips.
#[derive(Debug)]
pub struct Session {
    plan: ChainPlan,
    /// The same chain with a quicker ramp, for the way down.
    wind_down: ChainPlan,
    settings: Settings,
    phase: Phase,
    running: Option<(Purpose, Plan)>,
    held: Option<Step>,
    /// No step of the plan before this moment.
    resume_at: Duration,
    line: Line,
    decoder: Decoder,
    discovery: Discovery,
    readback: Option<Readback>,
    source: WorkSource,
    slots: JobSlots,
    ticket: Target,
    ticket_bits: u8,
    ticket_hashes: f64,
    old_ticket: Option<OldTicket>,
    chip_mask: Option<u32>,
    /// New work must go out as soon as the line is ready.
    work_wanted: bool,
    work_due: Option<Duration>,
    /// Jobs that gave no work, and when that was told.
    complaints: Vec<(WorkError, Duration)>,
    /// On chains that need nonce offsets these are written after the first job; what chips find
    /// before that overlaps.
    offsets_written: bool,
    paused: bool,
    clock: Megahertz,
    goal: Megahertz,
    moves: Option<Moves>,
    /// Answers to register reads that are still to come.
    questions: usize,
    chips: Vec<Chip>,
    counters: Counters,
    rate: Hashrate,
    best_difficulty: f64,
    jobs_sent: u64,
    last_reply: Duration,
    last_nonce: Duration,
    /// A silent chain was asked for a sign of life, to be given by then.
    probe: Option<Duration>,
    events: VecDeque<Event>,
}

impl Session {
    /// Prepares a session; nothing is put out before the first [`Session::handle_timeout`].
    ///
    /// # Errors
    ///
    /// When the chain description is impossible, e.g. a clock that the PLL cannot make.
    pub fn new(settings: Settings, now: Duration) -> Result<Self, SetupError> {
        let config = &settings.chain;
        let plan = ChainPlan::new(*config)?;
        let wind_down = ChainPlan::new(ChainConfig {
            ramp_step_wait: config.ramp_step_wait.min(WIND_DOWN_STEP),
            ..*config
        })?;
        let model = config.kind.model();
        let ticket_bits = u32::from(config.ticket.extra_zero_bits());
        let discovery = Discovery::new(
            model,
            config.chips,
            config.domains > 1,
            Baud::RESET.get(),
            plan.run_baud().get(),
        );
        let mut session = Self {
            phase: Phase::Discovering,
            running: None,
            held: None,
            resume_at: now,
            line: Line::new(Baud::RESET.get()),
            decoder: Decoder::new(config.kind),
            discovery,
            readback: None,
            source: WorkSource::new(settings.partition),
            slots: JobSlots::new(model.slots)?,
            ticket: Target::from_zero_bits(
                (32 + ticket_bits).saturating_sub(u32::from(settings.scale_bits)),
            ),
            ticket_bits: config.ticket.extra_zero_bits(),
            ticket_hashes: HASHES_PER_DIFFICULTY * 2f64.powi(ticket_bits as i32),
            old_ticket: None,
            chip_mask: None,
            work_wanted: false,
            work_due: None,
            complaints: Vec::new(),
            offsets_written: plan.after_first_job().next().is_none(),
            paused: false,
            clock: config.start,
            goal: config.target,
            moves: None,
            questions: 0,
            chips: Vec::new(),
            counters: Counters::default(),
            rate: Hashrate::new(now),
            best_difficulty: 0.0,
            jobs_sent: 0,
            last_reply: now,
            last_nonce: now,
            probe: None,
            events: VecDeque::new(),
            plan,
            wind_down,
            settings,
        };
        session.begin(now, Purpose::Discovery);
        Ok(session)
    }

    /// What to work on from now on, which may be nothing.
    ///
    /// When the floors void the work that the chips have, other work goes out at once. All other
    /// changes wait for the next work that is due.
    pub fn handle_assignment(&mut self, now: Duration, assignment: Arc<Assignment>) {
        self.slots.set_floors(&assignment.floors);
        if matches!(self.phase, Phase::Stopping | Phase::Stopped | Phase::Failed) {
            return;
        }
        self.source.set_assignment(now, assignment);
        if self.source.is_assigned() {
            self.complain_of_unusable(now);
            if self.source.newest_is_void() || self.source.newest_is_used_up(now) {
                self.work_wanted = true;
            }
        } else {
            self.work_wanted = false;
            self.work_due = None;
            if self.phase == Phase::Mining {
                self.enter(Phase::Idle);
                self.pause(now);
            }
        }
        self.drive(now);
    }

    /// Bytes from the chips, in chunks of any size.
    pub fn handle_bytes(&mut self, now: Duration, bytes: &[u8]) {
        for chunk in bytes.chunks(DECODER_CHUNK) {
            self.decoder.push(chunk);
            self.decode(now);
        }
        self.drive(now);
    }

    /// Does what is due at `now`. Call it when [`Session::poll_timeout`] says so; calling it more
    /// often does no harm.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.phase == Phase::Discovering
            && self
                .discovery
                .deadline()
                .is_some_and(|deadline| now >= deadline)
        {
            self.decoder.line_quiet();
            self.decode(now);
            let verdict = self.discovery.verdict();
            self.discovered(now, verdict);
        }
        if let Some(deadline) = self.silence_deadline()
            && now >= deadline
        {
            self.suspect(now);
        }
        self.drive(now);
    }

    /// When [`Session::handle_timeout`] wants to be called next; `None` once all is over.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        if matches!(self.phase, Phase::Stopped | Phase::Failed) {
            return None;
        }
        let ready = self.line.ready_at();
        let plan = (self.running.is_some() && self.discovery.deadline().is_none())
            .then(|| self.resume_at.max(ready));
        let work = self.wants_work().then(|| {
            if self.work_wanted {
                ready
            } else {
                self.work_due.unwrap_or_default().max(ready)
            }
        });
        [
            plan,
            work,
            self.discovery.deadline(),
            self.readback
                .as_ref()
                .map(|readback| readback.due().max(ready)),
            self.silence_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next thing to do with the port. Ask again until there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.line.pop()
    }

    /// The next event. Ask again until there is none.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Stops hashing, ramps the clock down and ends in [`Phase::Stopped`].
    pub fn stop(&mut self, now: Duration) {
        match self.phase {
            Phase::Stopping | Phase::Stopped | Phase::Failed => {}
            Phase::Discovering => self.enter(Phase::Stopped),
            _ => {
                self.source.set_assignment(now, Arc::default());
                self.readback = None;
                self.held = None;
                self.work_wanted = false;
                self.enter(Phase::Stopping);
                self.begin(now, Purpose::Stop);
                self.drive(now);
            }
        }
    }

    /// Zero bits that chips want of a hash beyond the 32 that they always want.
    #[must_use]
    pub fn ticket_bits(&self) -> u8 {
        self.ticket_bits
    }

    /// Where the chain stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The chain in numbers at `now`.
    #[must_use]
    pub fn status(&self, now: Duration) -> Status {
        let model = self.model();
        let hashing = matches!(self.phase, Phase::Mining);
        let expected = |clock: Megahertz| {
            if hashing {
                model.hashrate_hps(clock, 1) / self.twins()
            } else {
                0.0
            }
        };
        Status {
            phase: self.phase,
            found: self.chips.len() as u16,
            expected_chips: self.settings.chain.chips,
            clock: self.clock,
            goal: self.goal,
            fastest: self.fastest(),
            ticket_bits: self.ticket_bits,
            rates: Window::ALL.map(|window| self.rate.estimate(window, now)),
            // Not `sum`, whose zero is negative.
            expected_hps: self
                .chips
                .iter()
                .fold(0.0, |hps, chip| hps + expected(chip.clock)),
            counters: self.counters,
            best_difficulty: self.best_difficulty,
            jobs_sent: self.jobs_sent,
            line: self.decoder.stats(),
            chips: self
                .chips
                .iter()
                .zip(0u16..)
                .map(|(chip, index)| ChipStatus {
                    address: self.plan.address(index).get(),
                    domain: self.plan.domain(index),
                    clock: chip.clock,
                    nonces: chip.nonces,
                    hardware_errors: chip.hardware_errors,
                    duplicates: chip.duplicates,
                    rate: chip.rate(now),
                    expected_hps: expected(chip.clock),
                })
                .collect(),
        }
    }

    fn decode(&mut self, now: Duration) {
        while let Some(reply) = self.decoder.next_reply() {
            self.last_reply = now;
            match reply {
                Reply::Nonce(nonce) => self.handle_nonce(now, &nonce),
                Reply::Register(register) => self.handle_register(now, &register),
            }
        }
    }

    fn model(&self) -> &'static ChipModel {
        self.settings.chain.kind.model()
    }

    /// Puts out whatever may go out now: work that is due first, then steps of the plan.
    fn drive(&mut self, now: Duration) {
        while self.line.ready_at() <= now {
            let busy = self.send_work_if_due(now) || self.step(now) || self.ask_back(now);
            if !busy {
                break;
            }
        }
    }

    fn handle_register(&mut self, now: Duration, reply: &RegisterReply) {
        if self.phase == Phase::Discovering {
            self.discovery.answer(now, reply);
        } else if let Some(readback) = &mut self.readback {
            readback.answer(reply);
        } else {
            self.answered(reply);
        }
    }

    fn write(&mut self, now: Duration, frame: &Frame) {
        self.line.write(now, frame.as_bytes());
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.events.push_back(Event::Phase(phase));
        }
    }

    fn warn(&mut self, text: String) {
        self.events.push_back(Event::Warning(text));
    }

    fn fail(&mut self, failure: Failure) {
        self.running = None;
        self.enter(Phase::Failed);
        self.events.push_back(Event::Failed(failure));
    }
}
