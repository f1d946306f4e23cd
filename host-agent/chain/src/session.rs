//! The chain session itself: phases, the order of writes, and where replies go.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bm13xx::{
    Baud, ChainConfig, ChainPlan, ChipModel, Decoder, Destination, Frame, HeaderJob, JobFormat,
    Megahertz, NonceReply, Plan, Register, RegisterReply, Reply, Step,
};
use mining::{Hashrate, Job, JobSlots, Outcome, Rolled, Share, Target, Window, Work, WorkSource};

use crate::discovery::{Discovery, Verdict};
use crate::health::{Chip, Counters};
use crate::line::{Line, Output};
use crate::readback::{Ask, Readback};
use crate::status::{ChipStatus, Status};
use crate::{ChangeError, Failure, Settings, SetupError};

/// Hashes that one nonce at difficulty 1 stands for: chips always want 32 zero bits.
const HASHES_PER_DIFFICULTY: f64 = 4_294_967_296.0;
/// Part of the version epoch after which new work is due; the rest covers timers and the line.
const EPOCH_SHARE: f64 = 0.9;
/// Timers of the shell are good to a millisecond. Work that is due every few of these is sent one
/// early, so that chips never run dry.
const TIMER: Duration = Duration::from_millis(1);
/// How soon to look again when a job has no header left to give.
const EXHAUSTED_RETRY: Duration = Duration::from_millis(100);
/// A silent chain is suspected after this many nonces failed to come, but not before
/// [`LEAST_SILENCE`]. The chance that a healthy chain is silent so long is e^-30.
const SILENT_NONCES: f64 = 30.0;
const LEAST_SILENCE: Duration = Duration::from_secs(15);
/// Time for chips to change their rate.
const BAUD_SETTLE: Duration = Duration::from_millis(20);
/// Time for a sign of life from a chain that went silent.
const PROBE: Duration = Duration::from_secs(1);
/// Wait between clock steps on the way down. Down is the harmless direction, and somebody waits.
const WIND_DOWN_STEP: Duration = Duration::from_millis(10);
/// Bytes of a register read and of its answer.
const QUESTION_AND_ANSWER: usize = 7 + 11;
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
    ticket_hashes: f64,
    chip_mask: Option<u32>,
    /// New work must go out as soon as the line is ready.
    work_wanted: bool,
    work_due: Option<Duration>,
    /// The upstream's job has no header left for us, which was told.
    exhausted: bool,
    /// On chains that need nonce offsets these are written after the first job; what chips find
    /// before that overlaps.
    offsets_written: bool,
    paused: bool,
    clock: Megahertz,
    goal: Megahertz,
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
            ticket_hashes: HASHES_PER_DIFFICULTY * 2f64.powi(ticket_bits as i32),
            chip_mask: None,
            work_wanted: false,
            work_due: None,
            exhausted: false,
            offsets_written: plan.after_first_job().next().is_none(),
            paused: false,
            clock: config.start,
            goal: config.target,
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

    /// The newest job of the upstream, or `None` when there is nothing to work on any more.
    ///
    /// A job of a higher generation voids everything before it at once.
    pub fn handle_job(&mut self, now: Duration, job: Option<Arc<Job>>) {
        match job {
            Some(job) => {
                self.slots.raise_generation(job.generation);
                self.source.set_job(job);
                self.work_wanted = true;
            }
            None => {
                self.source.clear_job();
                self.work_wanted = false;
                self.work_due = None;
                if self.phase == Phase::Mining {
                    self.enter(Phase::Idle);
                    self.pause(now);
                }
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
                self.source.clear_job();
                self.readback = None;
                self.held = None;
                self.work_wanted = false;
                self.enter(Phase::Stopping);
                self.begin(now, Purpose::Stop);
                self.drive(now);
            }
        }
    }

    /// Changes the clock of all chips, within what the chain can do, while it goes on working.
    /// Limits of the board are the caller's to keep.
    ///
    /// # Errors
    ///
    /// When the PLL cannot make that clock, or the chain is not running.
    pub fn set_frequency(&mut self, now: Duration, goal: Megahertz) -> Result<(), ChangeError> {
        if !matches!(self.phase, Phase::Idle | Phase::Mining) || self.running.is_some() {
            return Err(ChangeError::Busy);
        }
        self.model().pll(goal)?;
        self.goal = goal;
        self.begin(now, Purpose::Change);
        self.drive(now);
        Ok(())
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

    fn begin(&mut self, now: Duration, purpose: Purpose) {
        let plan = match purpose {
            Purpose::Discovery => self.plan.discovery(),
            Purpose::BringUp => self.plan.bring_up(),
            Purpose::Ramp => self.plan.ramp(self.settings.chain.start, self.goal),
            Purpose::Offsets => self.plan.after_first_job(),
            Purpose::Change => self.plan.ramp(self.clock, self.goal),
            Purpose::Stop => self.wind_down.stop(self.clock),
        };
        self.running = Some((purpose, plan));
        self.held = None;
        self.resume_at = now;
    }

    /// Takes one step of the running plan; `false` if none is due.
    fn step(&mut self, now: Duration) -> bool {
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

    fn finished(&mut self, now: Duration, purpose: Purpose) {
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
            Purpose::Change => self.work_wanted = self.source.job().is_some(),
            Purpose::Stop => self.enter(Phase::Stopped),
        }
    }

    fn discovered(&mut self, now: Duration, verdict: Verdict) {
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
    fn slow_down(&mut self, now: Duration) -> bool {
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

    fn wants_work(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Mining) && self.source.job().is_some()
    }

    fn send_work_if_due(&mut self, now: Duration) -> bool {
        let due = self.work_wanted || self.work_due.is_some_and(|due| now >= due);
        if !self.wants_work() || !due {
            return false;
        }
        self.work_wanted = false;
        match self.source.next_work(now) {
            Ok(work) => {
                self.exhausted = false;
                self.send(now, work);
                true
            }
            Err(error) => {
                if !self.exhausted {
                    self.exhausted = true;
                    self.warn(format!("no new header to work on: {error}"));
                }
                self.work_due = Some(now + EXHAUSTED_RETRY);
                false
            }
        }
    }

    fn send(&mut self, now: Duration, work: Work) {
        let model = self.model();
        let mask = work.rollable_mask & CHIP_MASK;
        if model.job_format == JobFormat::Header && self.chip_mask != Some(mask) {
            let frame = self.plan.set_version_mask(mask);
            self.write(now, &frame);
            self.chip_mask = Some(mask);
        }
        // One midstate takes as long as a job whose version may not be rolled.
        let rolled = match model.job_format {
            JobFormat::Midstate if work.midstate_count() == 1 => 0,
            _ => mask,
        };
        let interval = self.work_interval(rolled);
        let frame = match model.job_format {
            JobFormat::Header => {
                let job = HeaderJob {
                    version: work.version,
                    prev_hash: work.job.prev_hash,
                    merkle_root: work.merkle_root,
                    ntime: work.ntime,
                    nbits: work.job.nbits,
                };
                let slot = self.slots.insert(work);
                self.plan.header_job(slot, &job)
            }
            JobFormat::Midstate => {
                let midstates = work.midstates();
                let (tail, ntime, nbits) = (work.merkle_tail(), work.ntime, work.job.nbits);
                let slot = self.slots.insert(work);
                self.plan.midstate_job(slot, &midstates, tail, ntime, nbits)
            }
        };
        self.write(now, &frame);
        // In this order the chips do not begin the old job again.
        if self.paused {
            self.resume(now);
        }
        self.jobs_sent += 1;
        // Counted from the due time, not from now, so that timer jitter does not add up; a late
        // chain does not try to catch up.
        let from = self
            .work_due
            .filter(|due| *due <= now && *due + interval > now)
            .unwrap_or(now);
        self.work_due = Some(from + interval);
        if self.phase == Phase::Idle {
            self.enter(Phase::Mining);
            self.last_nonce = now;
            if self.offsets_written {
                self.start_counting(now);
            } else {
                self.begin(now, Purpose::Offsets);
            }
        }
    }

    /// Rates and chip counters count from the first work that is free of overlap.
    fn start_counting(&mut self, now: Duration) {
        if self.counters == Counters::default() {
            self.rate = Hashrate::new(now);
            for chip in &mut self.chips {
                *chip = Chip::new(now, chip.clock);
            }
        }
    }

    /// Time until the chips need new work at the present clock; zero if they use it up so fast that
    /// only a line that is never idle keeps them busy.
    fn work_interval(&self, mask: u32) -> Duration {
        let epoch = self.plan.version_epoch_with(self.clock, mask);
        let interval = epoch
            .mul_f64(EPOCH_SHARE)
            .min(self.settings.max_work_interval);
        if interval > 10 * TIMER {
            interval
        } else if interval > 2 * TIMER {
            interval - TIMER
        } else {
            Duration::ZERO
        }
    }

    fn handle_nonce(&mut self, now: Duration, reply: &NonceReply) {
        if !matches!(self.phase, Phase::Mining | Phase::Stopping) || !self.offsets_written {
            return;
        }
        self.last_nonce = now;
        self.probe = None;
        let origin = self.plan.locate(reply);
        let rolled = match (self.model().job_format, reply.version_bits) {
            (JobFormat::Midstate, _) => Rolled::Midstate(origin.sub_core_or_midstate),
            (JobFormat::Header, Some(bits)) => Rolled::VersionBits(bits),
            (JobFormat::Header, None) => Rolled::None,
        };
        let outcome = self
            .slots
            .verify(origin.slot, reply.nonce, rolled, &self.ticket);
        let chip = origin
            .chip
            .and_then(|chip| self.chips.get_mut(usize::from(chip)));
        if outcome.is_proof() {
            self.counters.valid += 1;
            self.rate.record(now, self.ticket_hashes);
            if let Some(chip) = chip {
                chip.count(now, self.ticket_hashes);
            }
        } else if matches!(outcome, Outcome::HardwareError(_))
            && let Some(chip) = chip
        {
            chip.hardware_errors += 1;
        }
        match outcome {
            Outcome::Share(share) => {
                self.counters.shares += 1;
                let difficulty = mining::hash_difficulty(&share.hash);
                self.best_difficulty = self.best_difficulty.max(difficulty);
                self.events.push_back(Event::Share(share));
            }
            Outcome::BelowTarget { difficulty } => {
                self.best_difficulty = self.best_difficulty.max(difficulty);
            }
            Outcome::Stale => self.counters.stale += 1,
            Outcome::Duplicate => self.counters.duplicates += 1,
            Outcome::HardwareError(_) => self.counters.hardware_errors += 1,
        }
    }

    fn handle_register(&mut self, now: Duration, reply: &RegisterReply) {
        if self.phase == Phase::Discovering {
            self.discovery.answer(now, reply);
        } else if let Some(readback) = &mut self.readback {
            readback.answer(reply);
        }
    }

    /// Sends the next question of the read-back; `false` if none is due.
    fn ask_back(&mut self, now: Duration) -> bool {
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
                self.work_wanted = self.source.job().is_some();
            }
        }
        true
    }

    /// Makes the chips rest until there is work again. The BM1397 has no way to; it repeats its
    /// last job, and what it finds is not counted.
    fn pause(&mut self, now: Duration) {
        if let Some(frame) = self.plan.pause() {
            self.write(now, &frame);
            self.paused = true;
        }
    }

    fn resume(&mut self, now: Duration) {
        if let Some(frame) = self.plan.resume(self.clock) {
            self.write(now, &frame);
        }
        self.paused = false;
    }

    /// When a chain that should be finding nonces has been silent for too long.
    fn silence_deadline(&self) -> Option<Duration> {
        if self.phase != Phase::Mining || self.running.is_some() {
            return None;
        }
        if let Some(deadline) = self.probe {
            return Some(deadline);
        }
        let model = self.model();
        let hps = model.hashrate_hps(self.clock, self.chips.len() as u16);
        let patience = SILENT_NONCES * self.twins() * self.ticket_hashes / hps.max(1.0);
        let patience = Duration::try_from_secs_f64(patience).unwrap_or(Duration::MAX);
        Some(self.last_nonce.saturating_add(patience.max(LEAST_SILENCE)))
    }

    /// How many sub-cores hash the same headers because the job leaves too few version bits for each to
    /// have its own. They find their nonces together, and only one of them counts.
    fn twins(&self) -> f64 {
        let model = self.model();
        let mask = self.chip_mask.unwrap_or(CHIP_MASK);
        match model.job_format {
            JobFormat::Midstate => 1.0,
            JobFormat::Header => {
                let versions = 2f64.powi(mask.count_ones() as i32);
                (f64::from(model.sub_cores) / versions).max(1.0)
            }
        }
    }

    /// Asks a silent chain whether it is there; the second time there is no doubt left.
    fn suspect(&mut self, now: Duration) {
        if self.probe.take().is_some() {
            let failure = if self.last_reply > self.last_nonce {
                Failure::NoNonces
            } else {
                Failure::Silent
            };
            self.fail(failure);
        } else {
            self.probe = Some(now + PROBE);
            let frame = Frame::read(Destination::All, Register::ChipId);
            self.write(now, &frame);
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
