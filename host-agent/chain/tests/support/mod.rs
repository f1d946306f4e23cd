//! A session and a virtual chain with nothing but a line between them, in virtual time: the loop below
//! is all that a shell has to do.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::Arc;
use std::time::Duration;

use bm13xx::{ChainConfig, ChipKind, Destination, Frame, Megahertz, Register, TicketMask};
use board_simulator::{ChainSpec, HostBaud, LineNoise, Noise, Report, VirtualChain};
use chain::{Counters, Event, Failure, Output, Phase, Session, Settings};
use mining::{Assignment, Job, Partition, Share, Target};

/// Real hashes behind each nonce: 2^6. A nonce that noise made up passes for a good one once in 64.
pub const ZERO_BITS: u8 = 6;
/// Version bits that chips can roll, by BIP 320.
pub const VERSION_MASK: u32 = 0x1fff_e000;

/// What happens to the bytes of one write on their way to the chips.
pub type Damage = Box<dyn FnMut(&mut Vec<u8>)>;

/// The session, its chips, and what came of them.
pub struct Bench {
    pub session: Session,
    pub chain: VirtualChain,
    pub now: Duration,
    pub shares: Vec<Share>,
    pub warnings: Vec<String>,
    pub failure: Option<Failure>,
    pub phases: Vec<Phase>,
    /// Answers of chips: which, register, value.
    pub registers: Vec<(Option<u16>, u8, u32)>,
    pub damage: Option<Damage>,
    settings: Settings,
}

impl Bench {
    /// A session for chips as the settings describe them, fresh from reset.
    pub fn new(settings: Settings, noise: Noise) -> Self {
        let chips = settings.chain.chips;
        Self::with_chips(settings, chips, noise)
    }

    /// The same with another number of chips than the settings say.
    pub fn with_chips(settings: Settings, chips: u16, noise: Noise) -> Self {
        let chip = settings.chain.kind.to_string().parse().expect("chip");
        let spec = ChainSpec {
            domains: settings.chain.domains.min(chips),
            seed: 3,
            noise,
            ..ChainSpec::new(chip, chips, settings.scale_bits)
        };
        let chain = VirtualChain::new(spec).expect("spec");
        Self::on(settings, chain, Duration::ZERO)
    }

    /// A new session for a chain that may have a past.
    pub fn on(settings: Settings, mut chain: VirtualChain, now: Duration) -> Self {
        chain.advance(now);
        chain.set_host_baud(HostBaud::Rate(115_200));
        let mut session = Session::new(settings.clone(), now).expect("session");
        session.handle_timeout(now);
        Self {
            session,
            chain,
            now,
            shares: Vec::new(),
            warnings: Vec::new(),
            failure: None,
            phases: Vec::new(),
            registers: Vec::new(),
            damage: None,
            settings,
        }
    }

    /// Ends the session as if its program had been killed, and starts another one.
    pub fn restart(self) -> Self {
        Self::on(self.settings, self.chain, self.now)
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_to(end, |_| false);
    }

    /// Runs until the session fulfils a wish.
    pub fn run_until(&mut self, limit: Duration, wish: impl Fn(&Session) -> bool) {
        let end = self.now + limit;
        self.run_to(end, &wish);
        assert!(
            wish(&self.session),
            "not within {limit:?}: {:?}, {:?}, {:?}",
            self.session.phase(),
            self.failure,
            self.warnings
        );
    }

    /// Runs until the session is in that phase.
    pub fn run_until_phase(&mut self, phase: Phase) {
        self.run_until(Duration::from_secs(120), |session| session.phase() == phase);
    }

    /// From the start to the first job at work, the job being there from the start.
    pub fn mine(&mut self) {
        self.give(job(1, self.now));
        self.run_until_phase(Phase::Mining);
    }

    pub fn give(&mut self, job: Job) {
        self.assign(Assignment::single(Arc::new(job)));
    }

    pub fn assign(&mut self, assignment: Assignment) {
        self.session
            .handle_assignment(self.now, Arc::new(assignment));
        self.settle();
    }

    /// Takes the chips their clock, so that they find nothing more, and lets what is on its way arrive.
    pub fn freeze(&mut self) {
        let no_clock = Frame::write(Destination::All, Register::Pll, 0);
        self.damage = None;
        // Twice, because a damaged frame before it may swallow the first.
        self.chain.receive(self.now, no_clock.as_bytes());
        self.chain.receive(self.now, no_clock.as_bytes());
        self.run_for(Duration::from_millis(200));
    }

    /// Winds the chain down.
    pub fn stop(&mut self) {
        self.session.stop(self.now);
        self.settle();
        self.run_until(Duration::from_secs(20), |session| {
            session.phase() == Phase::Stopped
        });
    }

    pub fn counters(&self) -> Counters {
        self.session.status(self.now).counters
    }

    pub fn report(&self) -> Report {
        self.chain.report()
    }

    /// Nonces that chips have sent so far.
    pub fn nonces_sent(&self) -> u64 {
        self.chain.chips().map(|chip| chip.nonces_sent).sum()
    }

    pub fn chips_hashing(&self) -> usize {
        self.chain.chips().filter(|chip| chip.hashing).count()
    }

    fn run_to(&mut self, end: Duration, wish: impl Fn(&Session) -> bool) {
        let mut bytes = Vec::new();
        loop {
            self.settle();
            if wish(&self.session) || self.now >= end {
                return;
            }
            let wakes = [self.session.poll_timeout(), self.chain.next_event()];
            let next = wakes.into_iter().flatten().min().unwrap_or(end);
            self.now = self.now.max(next.min(end));
            self.chain.take_output(self.now, &mut bytes);
            if !bytes.is_empty() {
                self.session.handle_bytes(self.now, &bytes);
                bytes.clear();
            }
            if self
                .session
                .poll_timeout()
                .is_some_and(|due| due <= self.now)
            {
                self.session.handle_timeout(self.now);
            }
        }
    }

    fn settle(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Write(mut bytes) => {
                    if let Some(damage) = &mut self.damage {
                        damage(&mut bytes);
                    }
                    self.chain.receive(self.now, &bytes);
                }
                Output::Baud(baud) => {
                    self.chain.advance(self.now);
                    self.chain.set_host_baud(HostBaud::Rate(baud));
                }
            }
        }
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Share(share) => self.shares.push(share),
                Event::Warning(text) => self.warnings.push(text),
                Event::Failed(failure) => self.failure = Some(failure),
                Event::Phase(phase) => self.phases.push(phase),
                Event::ChipsFound { .. } => {}
                Event::Register {
                    chip,
                    register,
                    value,
                } => {
                    self.registers.push((chip, register, value));
                }
            }
        }
    }
}

/// A chain that reports nonces from a power of two of difficulty up.
pub fn settings(kind: ChipKind, chips: u16, mhz: f64, ticket: u32) -> Settings {
    let ticket = TicketMask::from_difficulty(f64::from(ticket));
    Settings {
        chain: ChainConfig {
            ticket,
            ramp_step_wait: Duration::from_millis(10),
            ..ChainConfig::new(kind, chips, Megahertz::new(mhz))
        },
        scale_bits: 32 + ticket.extra_zero_bits() - ZERO_BITS,
        partition: Partition::WHOLE,
        max_work_interval: Duration::from_millis(500),
    }
}

/// A job of which every nonce is a share; jobs of different numbers have nothing in common.
pub fn job(number: u64, now: Duration) -> Job {
    Job {
        session: 1,
        id: number.to_string(),
        generation: number,
        prev_hash: [number as u8; 32],
        coinbase1: vec![1; 42],
        extranonce1: vec![2; 4],
        extranonce2_len: 8,
        coinbase2: vec![3; 60],
        merkle_branch: vec![[4; 32], [5; 32]],
        fixed_root: None,
        version: 0x2000_0000,
        version_mask: VERSION_MASK,
        nbits: 0x1705_ae3a,
        ntime: 1_767_225_600,
        target: Target::MAX,
        received: now,
    }
}

/// Noise on the way to the host only.
pub fn to_host(lost: f64, flipped: f64, split: f64) -> Noise {
    Noise {
        to_host: LineNoise {
            lost,
            flipped,
            split,
        },
        ..Noise::default()
    }
}
