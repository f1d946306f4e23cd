//! The chain: chips behind one UART. It serialises what the host writes at the speed of the line, decodes it per baud rate,
//! lets commands pass from chip to chip, runs the hashing in between, and puts the answers on the reply line, all in the
//! order of simulated time.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crate::{
    chip::{ChipState, Found, Relay},
    condition::ChipCondition,
    frame::{Frame, Parser, Step, Target},
    job::{Job, MidstateCache},
    line::{Fate, NoisyLine, ReplyLine, baud_fits, bytes_ns},
    physics::ChipActivity,
    repeats::RecentHeaders,
    report::{ChipReport, FrameCounts, Notice, Notices, Report, SeenWrite, log},
    silicon::{Silicon, TICK_NS, silicon},
    spec::{ChainSpec, HostBaud, SpecError},
};

/// Bytes from the host that have not reached the chips; 22 seconds at the reset rate.
const RX_LIMIT: usize = 1 << 18;

/// Latest time: 73 years, so that no sum of times overflows.
const END_OF_TIME_NS: u64 = 1 << 61;

/// How often a mining chain wants to be advanced: a nonce may begin to leave this much late.
const MINING_STEP_NS: u64 = 10_000_000;

/// How long commands in flight may wait for [`VirtualChain::advance`].
const COMMAND_STEP_NS: u64 = 2_000_000;

/// A chain of simulated chips. See the [crate documentation](crate) for an example.
///
/// All times are measured from the same arbitrary start; a time earlier than one seen before counts as that one, and time
/// stops after 73 years.
#[derive(Debug)]
pub struct VirtualChain {
    spec: ChainSpec,
    silicon: &'static Silicon,
    chips: Vec<ChipState>,
    now: u64,
    in_reset: bool,
    powered: bool,
    host: HostBaud,
    rx: VecDeque<RxByte>,
    /// When the host's last byte is through.
    rx_busy_until: u64,
    to_chips: NoisyLine,
    /// One parser per baud rate in use on the chain.
    listeners: Vec<(u32, Parser)>,
    line: ReplyLine,
    cache: MidstateCache,
    found: Vec<Found>,
    recent: RecentHeaders,
    /// Per chip, the tick before which it meets no candidate.
    idle_until: Vec<u64>,
    frames: FrameCounts,
    notices: Notices,
    writes: VecDeque<SeenWrite>,
}

#[derive(Debug, Clone, Copy)]
struct RxByte {
    at: u64,
    byte: u8,
    host: HostBaud,
}

impl VirtualChain {
    /// A powered chain, just out of reset, at time zero.
    ///
    /// # Errors
    ///
    /// [`SpecError`] when the numbers of `spec` are outside their documented ranges.
    pub fn new(spec: ChainSpec) -> Result<Self, SpecError> {
        spec.check()?;
        let silicon = silicon(spec.chip);
        let chips: Vec<ChipState> = (0..spec.chips)
            .map(|index| ChipState::new(silicon, index, spec.chips, spec.scale_bits, spec.seed))
            .collect();
        let mut chain = Self {
            spec,
            silicon,
            now: 0,
            in_reset: false,
            powered: true,
            host: HostBaud::Unknown,
            rx: VecDeque::new(),
            rx_busy_until: 0,
            to_chips: NoisyLine::new(spec.noise.to_chips, spec.seed ^ 0x0068_6F73_7400),
            listeners: Vec::new(),
            line: ReplyLine::new(
                spec.chips,
                NoisyLine::new(spec.noise.to_host, spec.seed ^ 0x6368_6970_7300),
            ),
            chips,
            cache: MidstateCache::default(),
            found: Vec::new(),
            recent: RecentHeaders::default(),
            idle_until: vec![0; usize::from(spec.chips)],
            frames: FrameCounts::default(),
            notices: Notices::default(),
            writes: VecDeque::new(),
        };
        chain.tune_listeners();
        Ok(chain)
    }

    /// What the chain was made from.
    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// Sets the host's port, for bytes written and received from here on. Bytes that were written before keep the rate
    /// they were written at, as if the host had drained its output first.
    pub fn set_host_baud(&mut self, baud: HostBaud) {
        self.host = baud;
    }

    /// Pulls the reset line low (`true`) or releases it. Low, all chips forget everything and are deaf; released, they are
    /// as fresh as after power-on.
    pub fn reset_line(&mut self, asserted: bool, now: Duration) {
        self.advance(now);
        if asserted {
            self.forget();
        }
        self.in_reset = asserted;
    }

    /// Takes the core voltage away (`false`) or gives it back. Without it all chips forget everything and are deaf; with it
    /// again they are as fresh as after power-on. Chains begin powered.
    pub fn set_powered(&mut self, now: Duration, powered: bool) {
        self.advance(now);
        if self.powered && !powered {
            self.forget();
        }
        self.powered = powered;
    }

    /// Sets what power and heat do to a chip from the last advance on; see [`ChipCondition`]. A chip that comes back to life
    /// is as fresh as after power-on. Unknown chips are ignored.
    pub fn set_condition(&mut self, chip: u16, condition: ChipCondition) {
        let tick = self.now / TICK_NS;
        let Some(state) = self.chips.get_mut(usize::from(chip)) else {
            return;
        };
        let was_alive = state.is_alive();
        *state.condition() = condition.sane();
        if was_alive && !condition.alive {
            self.line.cut(chip);
        } else if !was_alive && condition.alive {
            state.reset(tick);
            self.idle_until[usize::from(chip)] = 0;
            self.tune_listeners();
        }
    }

    /// What a chip is doing, for a model of its power; nothing for an unknown chip, in reset or without power.
    pub fn activity(&self, chip: u16) -> ChipActivity {
        match self.chips.get(usize::from(chip)) {
            Some(chip) if self.can_work() => chip.activity(),
            _ => ChipActivity::default(),
        }
    }

    /// Takes bytes that the host writes at `now`. They reach the chips one after another at the speed of the line.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) {
        self.advance(now);
        self.rx_busy_until = self.rx_busy_until.max(self.now);
        for &byte in bytes {
            if self.rx.len() == RX_LIMIT {
                self.notices.add(Notice::HostOverran, self.now);
                continue;
            }
            let byte_time = bytes_ns(1, self.line_baud(self.host));
            self.rx_busy_until = self.rx_busy_until.saturating_add(byte_time);
            self.rx.push_back(RxByte {
                at: self.rx_busy_until,
                byte,
                host: self.host,
            });
        }
    }

    /// When to call [`VirtualChain::advance`] next so that replies are not late: the end of a reply on the wire, soon while
    /// commands are under way, every 10 ms while hashing (later if the next candidate is known to come later). None: nothing
    /// happens until the host does something.
    pub fn next_event(&self) -> Option<Duration> {
        let reply = self.line.next_frame_end();
        let command = self
            .rx
            .front()
            .map(|first| self.rx_busy_until.min(first.at + COMMAND_STEP_NS));
        let mining = (self.can_work() && self.chips.iter().any(ChipState::is_mining)).then(|| {
            let slice = (self.now / MINING_STEP_NS + 1) * MINING_STEP_NS;
            let candidate = self.idle_until.iter().min().copied().unwrap_or(u64::MAX);
            slice.max(candidate.saturating_mul(TICK_NS))
        });
        [reply, command, mining]
            .into_iter()
            .flatten()
            .min()
            .map(Duration::from_nanos)
    }

    /// When the last byte written so far has reached the chips: what draining a serial port waits for.
    pub fn drained_at(&self) -> Duration {
        Duration::from_nanos(self.rx_busy_until)
    }

    /// Lets everything happen that happens until `now`. The outcome does not depend on the size of the steps; the cost of a
    /// step grows with the headers tested in it.
    pub fn advance(&mut self, now: Duration) {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let now = now.min(END_OF_TIME_NS).max(self.now);
        while let Some(byte) = self.rx.front().copied().filter(|byte| byte.at <= now) {
            self.rx.pop_front();
            self.take_byte(byte);
        }
        self.run(now);
    }

    /// Appends the bytes that have left the line by `now` to `out`.
    pub fn take_output(&mut self, now: Duration, out: &mut Vec<u8>) {
        self.advance(now);
        self.line.take(out);
    }

    /// The truth about every chip, nearest the host first.
    pub fn chips(&self) -> impl ExactSizeIterator<Item = ChipReport> + '_ {
        let tick = self.now / TICK_NS;
        self.chips.iter().map(move |chip| chip.report(tick))
    }

    /// The truth about the chain as of the last advance.
    pub fn report(&self) -> Report {
        Report {
            chips: self.chips().collect(),
            frames: self.frames,
            replies: self.line.sent,
            noise_to_chips: self.to_chips.counts,
            noise_to_host: self.line.noise.counts,
            damaged: self.line.damaged,
            damaged_replies: self.line.damaged_log.iter().copied().collect(),
            notices: self.notices.list(),
            recent_writes: self.writes.iter().copied().collect(),
        }
    }

    /// What a register read of one chip would return now; none if there is no such chip.
    pub fn register(&self, chip: u16, register: u8) -> Option<u32> {
        self.chips
            .get(usize::from(chip))
            .map(|c| c.register(register, self.now / TICK_NS))
    }

    /// Sets the die temperature that a chip's sensor reports, in degrees Celsius; 50 from the start. Unknown chips are
    /// ignored. Only BM1368 has a sensor on the wire.
    pub fn set_chip_temperature(&mut self, chip: u16, celsius: f64) {
        if let Some(chip) = self.chips.get_mut(usize::from(chip)) {
            chip.condition().celsius = celsius;
        }
    }

    /// Everything but the statistics starts afresh.
    fn forget(&mut self) {
        let tick = self.now / TICK_NS;
        self.chips.iter_mut().for_each(|chip| chip.reset(tick));
        self.line.reset(self.now);
        self.idle_until.fill(0);
        self.listeners.clear();
        self.tune_listeners();
    }

    fn can_work(&self) -> bool {
        self.powered && !self.in_reset
    }

    /// How many chips the host can talk to: those before the first that does not pass anything on.
    fn living(&self) -> usize {
        self.chips
            .iter()
            .position(|chip| !chip.is_alive())
            .unwrap_or(self.chips.len())
    }

    /// The rate at which the host's bytes pass.
    fn line_baud(&self, host: HostBaud) -> u32 {
        match host {
            HostBaud::Rate(rate) => rate,
            HostBaud::Unknown => self
                .chips
                .first()
                .map_or(crate::silicon::RESET_BAUD, |chip| chip.baud),
        }
    }

    /// One byte reaches the chips.
    fn take_byte(&mut self, rx: RxByte) {
        if !self.can_work() {
            return;
        }
        let mut arrived = [0; 2];
        let mut count = 0;
        self.to_chips.pass(rx.byte, |byte| {
            arrived[count] = byte;
            count += 1;
        });
        for &byte in &arrived[..count] {
            // A frame may change who listens at which rate; those have heard this byte already.
            let mut heard = Vec::new();
            for i in 0..self.listeners.len() {
                let (baud, parser) = &mut self.listeners[i];
                let byte = if baud_fits(rx.host, *baud) {
                    byte
                } else {
                    self.notices.add(Notice::BaudMismatch, rx.at);
                    self.to_chips.garble()
                };
                match parser.push(self.silicon, byte) {
                    Step::More => {}
                    Step::Done(frame) => heard.push((*baud, frame)),
                    Step::BadCommandCrc => self.notices.add(Notice::BadCommandCrc, rx.at),
                    Step::BadJobCrc => self.notices.add(Notice::BadJobCrc, rx.at),
                    Step::Unknown => self.notices.add(Notice::UnknownFrame, rx.at),
                    Step::Stray => self.notices.add(Notice::StrayBytes, rx.at),
                }
            }
            for (baud, frame) in heard {
                self.run(rx.at);
                self.take_frame(baud, frame);
                self.tune_listeners();
            }
        }
    }

    /// A good frame reaches the chips that listen at `baud`.
    fn take_frame(&mut self, baud: u32, frame: Frame) {
        let (now, tick) = (self.now, self.now / TICK_NS);
        self.idle_until.fill(0);
        // A chip waiting for its address keeps everything from those beyond it.
        let reach = self
            .chips
            .iter()
            .position(|c| c.relay == Relay::Waiting)
            .map_or(self.chips.len(), |i| i + 1)
            .min(self.living());
        let mut hearing: Vec<&mut ChipState> = self.chips[..reach]
            .iter_mut()
            .filter(|chip| chip.baud == baud)
            .collect();
        let notices = &mut self.notices;
        match frame {
            Frame::Write {
                target,
                register,
                value,
            } => {
                self.frames.writes += 1;
                let mut taken_by = 0;
                for chip in hearing.into_iter().filter(|chip| chip.answers_to(target)) {
                    chip.write(register, value, tick, &mut |what| notices.add(what, now));
                    taken_by += 1;
                }
                if taken_by == 0 {
                    notices.add(Notice::NobodyHome, now);
                }
                let at = Duration::from_nanos(now);
                log(
                    &mut self.writes,
                    SeenWrite {
                        at,
                        target,
                        register,
                        value,
                        taken_by,
                    },
                );
            }
            Frame::Read { target, register } => {
                self.frames.reads += 1;
                let mut answered = false;
                for (index, chip) in self.chips[..reach].iter_mut().enumerate() {
                    if chip.baud == baud && chip.answers_to(target) {
                        let reply = chip.read(register, tick);
                        self.line.offer(now, index as u16, reply);
                        answered = true;
                    }
                }
                if !answered && target != Target::All {
                    notices.add(Notice::NobodyHome, now);
                }
            }
            Frame::SetAddress(address) => {
                self.frames.set_addresses += 1;
                if hearing
                    .iter()
                    .any(|c| c.relay == Relay::Addressed && c.address == address)
                {
                    notices.add(Notice::AddressTaken, now);
                }
                match hearing.last_mut() {
                    Some(chip) if chip.relay == Relay::Waiting => chip.take_address(address, tick),
                    Some(chip) if chip.relay == Relay::Fresh => {
                        notices.add(Notice::AddressWithoutInactive, now)
                    }
                    // Surplus commands fall off the end of the chain, as drivers that always send 128 rely on.
                    _ => {}
                }
            }
            Frame::Inactive => {
                self.frames.inactives += 1;
                // Passed on before it takes effect, so that it reaches the whole chain unless that waits already.
                hearing.iter_mut().for_each(|chip| chip.go_inactive(tick));
            }
            Frame::Job(payload) => {
                self.frames.jobs += 1;
                match Job::from_payload(self.silicon, &payload) {
                    Ok(job) => {
                        let job = Arc::new(job);
                        for chip in hearing {
                            chip.take_job(job.clone(), tick, &mut |what| notices.add(what, now));
                        }
                    }
                    Err(_) => notices.add(Notice::BadJob, now),
                }
            }
        }
    }

    /// Keeps exactly one parser per baud rate in use.
    fn tune_listeners(&mut self) {
        self.listeners
            .retain(|(baud, _)| self.chips.iter().any(|chip| chip.baud == *baud));
        for chip in &self.chips {
            if !self.listeners.iter().any(|(baud, _)| *baud == chip.baud) {
                self.listeners.push((chip.baud, Parser::default()));
            }
        }
    }

    /// Hashes and transmits up to `now`.
    fn run(&mut self, now: u64) {
        self.now = now;
        if !self.can_work() {
            return;
        }
        let tick = now / TICK_NS;
        for (chip, idle_until) in self.chips.iter_mut().zip(&mut self.idle_until) {
            if tick >= *idle_until {
                let repeats = chip.run(tick, &mut self.cache, &mut self.found);
                self.notices.add_many(Notice::EpochRepeated, repeats, now);
                *idle_until = chip.idle_until();
            }
        }
        // Stable: nonces of one chip at one tick keep their order.
        self.found.sort_by_key(|found| (found.tick, found.chip));
        let living = self.living();
        for found in self.found.drain(..) {
            if usize::from(found.chip) >= living {
                continue;
            }
            let stats = &mut self.chips[usize::from(found.chip)].stats;
            let seen = found
                .header
                .and_then(|header| self.recent.seen(header, found.chip));
            match seen {
                Some(chip) if chip == found.chip => stats.repeats += 1,
                Some(_) => stats.overlaps += 1,
                None => {}
            }
            self.line
                .offer(found.tick * TICK_NS, found.chip, found.reply);
        }
        let mut fates = Vec::new();
        let chips = &self.chips;
        let dropped = self.line.pump(
            now,
            self.host,
            |chip| chips[usize::from(chip)].baud,
            |chip, reply, fate| fates.push((chip, reply.is_nonce, fate)),
        );
        self.notices.add_many(Notice::HostTooSlow, dropped, now);
        for (chip, is_nonce, fate) in fates {
            let stats = &mut self.chips[usize::from(chip)].stats;
            match fate {
                Fate::Sent => {
                    stats.sent += 1;
                    stats.nonces_sent += u64::from(is_nonce);
                }
                Fate::Lost => {
                    stats.lost += 1;
                    self.notices.add(Notice::ReplyQueueFull, now);
                }
            }
        }
    }
}
