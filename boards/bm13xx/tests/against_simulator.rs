//! Plans carried out on the virtual chains of `board-simulator`, which shares no code with this crate: chips
//! are found, configured, clocked and given work, and what they answer is what was expected.

use std::collections::HashSet;
use std::time::Duration;

use bm13xx::{
    Baud, ChainConfig, ChainPlan, ChipKind, Decoder, HeaderJob, JobFormat, Megahertz, Register,
    Reply, Step, TicketMask,
};
use board_simulator::{ChainSpec, HostBaud, Notice, VirtualChain};

/// A plan, the chain that it is for, and the host's side of the line between them.
struct Bench {
    plan: ChainPlan,
    chain: VirtualChain,
    decoder: Decoder,
    now: Duration,
    replies: Vec<Reply>,
}

impl Bench {
    fn new(config: ChainConfig, scale_bits: u8) -> Self {
        let chip = config.kind.to_string().parse().unwrap();
        let spec = ChainSpec {
            domains: config.domains,
            ..ChainSpec::new(chip, config.chips, scale_bits)
        };
        let mut chain = VirtualChain::new(spec).unwrap();
        chain.set_host_baud(HostBaud::Rate(Baud::RESET.get()));
        Self {
            plan: ChainPlan::new(config).unwrap(),
            chain,
            decoder: Decoder::new(config.kind),
            now: Duration::ZERO,
            replies: Vec::new(),
        }
    }

    fn run(&mut self, steps: impl IntoIterator<Item = Step>) {
        for step in steps {
            match step {
                Step::Write(frame) => self.send(frame.as_bytes()),
                Step::Wait(time) => self.wait(time),
                Step::HostBaud(baud) => self.chain.set_host_baud(HostBaud::Rate(baud.get())),
                Step::Discover => self.wait(Duration::from_millis(500)),
                Step::Ramped(_) => {}
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.chain.receive(self.now, bytes);
        self.now = self.now.max(self.chain.drained_at());
        self.collect();
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + Duration::from_millis(50));
            self.collect();
        }
    }

    fn collect(&mut self) {
        let mut bytes = Vec::new();
        self.chain.advance(self.now);
        self.chain.take_output(self.now, &mut bytes);
        self.decoder.feed(&bytes, |reply| self.replies.push(reply));
    }

    fn start(&mut self) {
        self.run(self.plan.discovery());
        let config = *self.plan.config();
        let ids = self
            .replies
            .drain(..)
            .filter(|reply| matches!(reply, Reply::Register(id) if id.register == 0))
            .count();
        assert_eq!(ids, usize::from(config.chips), "{}", config.kind);
        self.run(self.plan.bring_up());
        self.run(self.plan.ramp(config.start, config.target));
        self.wait(Duration::from_millis(10));
        self.replies.clear();
    }

    fn work(&mut self, slot: u8, ntime: u32) {
        let frame = match self.plan.config().kind.model().job_format {
            JobFormat::Header => self.plan.header_job(
                slot,
                &HeaderJob {
                    version: 0x2000_0000,
                    prev_hash: [7; 32],
                    merkle_root: [9; 32],
                    ntime,
                    nbits: 0x1705_ae3a,
                },
            ),
            JobFormat::Midstate => {
                let midstates = [[ntime; 8], [ntime ^ 1; 8], [ntime ^ 2; 8], [ntime ^ 3; 8]];
                self.plan
                    .midstate_job(slot, &midstates, [1, 2, 3, 4], ntime, 0x1705_ae3a)
            }
        };
        self.send(frame.as_bytes());
    }
}

fn configs() -> Vec<ChainConfig> {
    let config = |kind, chips, domains, mhz| ChainConfig {
        domains,
        ..ChainConfig::new(kind, chips, Megahertz::new(mhz))
    };
    vec![
        config(ChipKind::Bm1362, 12, 1, 525.0),
        config(ChipKind::Bm1362, 126, 42, 525.0),
        config(ChipKind::Bm1366, 1, 1, 485.0),
        config(ChipKind::Bm1366, 6, 3, 485.0),
        config(ChipKind::Bm1366, 77, 11, 485.0),
        config(ChipKind::Bm1368, 6, 3, 490.0),
        config(ChipKind::Bm1368, 108, 12, 490.0),
        config(ChipKind::Bm1370, 1, 1, 525.0),
        config(ChipKind::Bm1370, 2, 1, 525.0),
        config(ChipKind::Bm1370, 65, 13, 593.75),
        config(ChipKind::Bm1372, 3, 1, 327.0),
        config(ChipKind::Bm1373, 1, 1, 327.0),
        config(ChipKind::Bm1397, 1, 1, 425.0),
    ]
}

#[test]
fn chains_come_up_as_described() {
    for config in configs() {
        let name = format!("{} x {}", config.kind, config.chips);
        let mut bench = Bench::new(config, 36);
        bench.start();
        let plan = bench.plan;
        let clock = config.kind.model().pll(config.target).unwrap().frequency();
        for (chip, truth) in (0..).zip(bench.chain.chips().collect::<Vec<_>>()) {
            assert_eq!(
                truth.address,
                Some(plan.address(chip).get()),
                "{name} {chip}"
            );
            assert!(
                truth.baud.abs_diff(plan.run_baud().get()) < 10,
                "{name} {}",
                truth.baud
            );
            assert!(
                (truth.clock_hz.unwrap() - clock.hz()).abs() < 1.0,
                "{name} {truth:?}"
            );
        }
        for item in plan.verification() {
            bench.send(item.read.as_bytes());
            bench.wait(Duration::from_millis(1));
            let Some(Reply::Register(reply)) = bench.replies.pop() else {
                panic!(
                    "{name}: no answer of chip {} to {:?}",
                    item.chip, item.register
                );
            };
            assert_eq!(plan.chip_at(reply.address), Some(item.chip), "{name}");
            assert_eq!(reply.register, item.register.address());
            assert!(
                item.expected.agrees(reply.value),
                "{name} {:?} {:08X}",
                item.register,
                reply.value
            );
        }
        assert_eq!(bench.decoder.stats().dropped_bytes, 0, "{name}");
        let notices: Vec<_> = bench.chain.report().notices;
        assert!(notices.is_empty(), "{name}: {notices:?}");
    }
}

#[test]
fn chips_find_nonces_that_lead_back_to_them() {
    for config in configs() {
        let name = format!("{} x {}", config.kind, config.chips);
        // Enough nonces for statistics on few chips, not too many for the line of many.
        let difficulty = if config.chips > 12 { 256.0 } else { 8.0 };
        let ticket = TicketMask::from_difficulty(difficulty);
        let mut bench = Bench::new(ChainConfig { ticket, ..config }, 34);
        bench.start();
        let plan = bench.plan;
        bench.work(0, 1);
        bench.run(plan.after_first_job());
        let before: Vec<_> = bench.chain.chips().map(|chip| chip.nonces).collect();
        bench.replies.clear();

        let interval = plan
            .version_epoch(config.target)
            .mul_f64(0.9)
            .min(Duration::from_secs(1));
        let mut slot = 0;
        let mut jobs = 1;
        let mut headers = HashSet::new();
        let mut found = vec![0u64; usize::from(config.chips)];
        let end = bench.now + Duration::from_secs(20);
        while bench.now < end {
            slot = (slot + 1) % config.kind.model().slots;
            jobs += 1;
            bench.work(slot, jobs);
            bench.wait(interval);
            for reply in bench.replies.drain(..) {
                let Reply::Nonce(nonce) = reply else {
                    panic!("{name}: {reply:?}")
                };
                let origin = plan.locate(&nonce);
                // One that was on its way may belong to the job before.
                assert!(
                    origin.slot == slot || (origin.slot + 1) % config.kind.model().slots == slot
                );
                found[usize::from(origin.chip.unwrap())] += 1;
                let job = if origin.slot == slot { jobs } else { jobs - 1 };
                let midstate = nonce
                    .version_bits
                    .is_none()
                    .then_some(origin.sub_core_or_midstate);
                let header = (job, nonce.nonce, nonce.version_bits, midstate);
                assert!(headers.insert(header), "{name}: {nonce:?} twice");
            }
        }
        let truth: Vec<_> = bench
            .chain
            .chips()
            .zip(before)
            .map(|(chip, before)| chip.nonces - before)
            .collect();
        let total: u64 = found.iter().sum();
        let hps = config
            .kind
            .model()
            .hashrate_hps(config.target, config.chips);
        let expected = 20.0 * hps / (difficulty * 2f64.powi(32));
        assert!(expected > 100.0, "{name}: {expected}");
        assert!(
            (total as f64 - expected).abs() < 5.0 * expected.sqrt() + 0.02 * expected,
            "{name}: {total} of {expected}"
        );
        for (chip, (found, truth)) in found.iter().zip(&truth).enumerate() {
            assert!(
                found.abs_diff(*truth) <= 2,
                "{name}: chip {chip} sent {truth}, {found} located"
            );
        }
        let report = bench.chain.report();
        for notice in [
            Notice::EpochRepeated,
            Notice::VcoOutOfRange,
            Notice::BaudMismatch,
            Notice::ReplyQueueFull,
        ] {
            assert_eq!(report.count(notice), 0, "{name}: {notice:?}");
        }
    }
}

#[test]
fn clocks_change_while_chips_work_and_chips_stop_and_resume() {
    for (kind, chips, target) in [
        (ChipKind::Bm1362, 12, 525.0),
        (ChipKind::Bm1366, 6, 485.0),
        (ChipKind::Bm1368, 108, 490.0),
        (ChipKind::Bm1370, 65, 593.75),
        (ChipKind::Bm1372, 3, 327.0),
    ] {
        let config = ChainConfig::new(kind, chips, Megahertz::new(target));
        let mut bench = Bench::new(config, 36);
        bench.start();
        let plan = bench.plan;
        let real = |f: f64| {
            kind.model()
                .pll(Megahertz::new(f))
                .unwrap()
                .frequency()
                .hz()
        };
        let clocks = |bench: &Bench| -> Vec<f64> {
            bench
                .chain
                .chips()
                .map(|chip| chip.clock_hz.unwrap_or(0.0))
                .collect()
        };
        bench.work(0, 1);
        bench.run(plan.after_first_job());

        bench.run(plan.chip_frequency(2, Megahertz::new(400.0)));
        let mut expected = vec![real(target); usize::from(chips)];
        expected[2] = real(400.0);
        let close = |found: &[f64], expected: &[f64]| {
            found
                .iter()
                .zip(expected)
                .all(|(found, expected)| (found - expected).abs() < 1.0)
        };
        assert!(
            close(&clocks(&bench), &expected),
            "{kind} {:?}",
            clocks(&bench)
        );
        let ticks = bench
            .chain
            .register(2, Register::HashCountingNumber.address());
        assert_eq!(ticks, Some(plan.sweep_ticks(Megahertz::new(400.0))));

        let higher = Megahertz::new(target + 20.0);
        bench.run(plan.ramp(config.target, higher));
        expected.fill(real(target + 20.0));
        assert!(
            close(&clocks(&bench), &expected),
            "{kind} {:?}",
            clocks(&bench)
        );

        bench.run(plan.stop(higher));
        expected.fill(real(50.0));
        assert!(
            close(&clocks(&bench), &expected),
            "{kind} {:?}",
            clocks(&bench)
        );
        assert!(bench.chain.chips().all(|chip| !chip.hashing), "{kind}");

        bench.run(plan.ramp(config.start, config.target));
        bench.work(1, 2);
        assert!(bench.chain.chips().all(|chip| chip.hashing), "{kind}");
        let report = bench.chain.report();
        for notice in [
            Notice::VcoOutOfRange,
            Notice::NobodyHome,
            Notice::BadCommandCrc,
        ] {
            assert_eq!(report.count(notice), 0, "{kind}: {notice:?}");
        }
    }
}
