//! Mining on virtual chains: rates, slices, epochs, and what mistakes look like.

mod bench;

use std::{collections::HashSet, time::Duration};

use bench::{Bench, Heard, Run, hex, job, rolled, write, zero_bits};
use board_simulator::{ChainSpec, Chip, Notice, Target};
use serde_json::Value;

const SECOND: Duration = Duration::from_secs(1);

/// 500 MHz (BM1362, BM1366), 490 MHz (BM1368), 525 MHz (BM1370), 326.786 MHz (BM1372), 425 MHz (BM1397).
const PLL_500: u32 = 0x40A0_0230;
const PLL_490: u32 = 0x50C4_0240;
const PLL_525: u32 = 0x40A8_0230;
const PLL_327: u32 = 0x40B7_0260;
const PLL_425: u32 = 0x4044_0221;

/// A chain at its published operating point.
struct Machine {
    chip: Chip,
    chips: u16,
    pll: u32,
    mhz: f64,
    small_cores: f64,
    sweep: u32,
    ticket_bits: i32,
}

const MACHINES: [Machine; 8] = [
    Machine::new(Chip::Bm1362, 12, PLL_500, 500.0, 514.0, 0xCC00, 8),
    Machine::new(Chip::Bm1362, 126, PLL_500, 500.0, 514.0, 0x1381, 8),
    Machine::new(Chip::Bm1366, 77, PLL_500, 500.0, 894.0, 0x115A, 8),
    Machine::new(Chip::Bm1368, 108, PLL_490, 490.0, 1276.0, 0x15A4, 8),
    Machine::new(Chip::Bm1370, 65, PLL_525, 525.0, 2040.0, 0x1EB5, 8),
    // A whole slice less the known guard of 268 ticks.
    Machine::new(Chip::Bm1370, 1, PLL_525, 525.0, 2040.0, 0x000C_2FB7, 4),
    Machine::new(Chip::Bm1370, 2, PLL_525, 525.0, 2040.0, 0x0006_1755, 4),
    Machine::new(
        Chip::Bm1372,
        4,
        PLL_327,
        25.0 * 183.0 / 14.0,
        6725.0,
        0x1EB5,
        4,
    ),
];

impl Machine {
    const fn new(
        chip: Chip,
        chips: u16,
        pll: u32,
        mhz: f64,
        small_cores: f64,
        sweep: u32,
        ticket_bits: i32,
    ) -> Self {
        Self {
            chip,
            chips,
            pll,
            mhz,
            small_cores,
            sweep,
            ticket_bits,
        }
    }

    fn hashes_per_second(&self) -> f64 {
        self.mhz * 1e6 * self.small_cores * f64::from(self.chips)
    }

    fn nonces_per_second(&self) -> f64 {
        self.hashes_per_second() / 2_f64.powi(32 + self.ticket_bits)
    }

    /// The scale at which about a thousand headers are tested per second.
    fn scale_bits(&self) -> u8 {
        (self.hashes_per_second() / 1000.0).log2() as u8
    }

    fn run(&self) -> Run {
        let ticket = if self.ticket_bits == 8 { 0xFF } else { 0xF0 };
        Run {
            ticket,
            ..Run::new(self.pll, self.sweep)
        }
    }

    fn mining(&self) -> Bench {
        let mut bench = Bench::new(self.chip, self.chips, self.scale_bits());
        bench.bring_up(self.run());
        bench.raw.clear();
        bench
    }

    fn sub_cores(&self) -> u32 {
        if matches!(self.chip, Chip::Bm1362 | Chip::Bm1366) {
            8
        } else {
            16
        }
    }

    fn epoch(&self, overrun: f64) -> f64 {
        65536.0 / f64::from(self.sub_cores()) * (f64::from(self.sweep) + overrun) / 25e6
    }
}

/// Nonces with the version bits they carry.
fn nonces(bench: &mut Bench) -> Vec<([u8; 4], u8, u16)> {
    bench
        .replies()
        .into_iter()
        .map(|reply| match reply {
            Heard::Nonce {
                nonce, id, version, ..
            } => (nonce, id, version.unwrap_or(0)),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn assert_poisson(count: f64, expected: f64, what: &str) {
    assert!(
        (count - expected).abs() < 4.5 * expected.sqrt() + 1.0,
        "{what}: {count} instead of {expected:.1}"
    );
}

#[test]
fn chains_find_nonces_at_the_rate_of_silicon_without_duplicates() {
    for machine in &MACHINES {
        let what = format!("{} x {}", machine.chip, machine.chips);
        let mut bench = machine.mining();
        let begun = bench.chain.report();
        let period = Duration::from_secs_f64(0.9 * machine.epoch(109.0)).min(2 * SECOND);
        bench.mine(60 * SECOND, period, 1);
        let report = bench.chain.report();
        assert_eq!(report.duplicates(), 0, "{what}");
        assert_eq!(report.count(Notice::EpochRepeated), 0, "{what}");
        let hashes = (report.hashes() - begun.hashes()) as f64;
        // The first job arrives some milliseconds late.
        let exact = machine.hashes_per_second() * 60.0;
        assert!(
            (hashes / exact - 1.0).abs() < 3e-4,
            "{what}: {hashes} hashes instead of {exact}"
        );
        assert_poisson(
            report.nonces() as f64,
            machine.nonces_per_second() * 60.0,
            &what,
        );
        let tested: u64 = report.chips.iter().map(|c| c.tested).sum();
        let scaled = hashes / 2_f64.powi(machine.scale_bits().into());
        assert!(
            (tested as f64 / scaled - 1.0).abs() < 0.03,
            "{what}: {tested} tests instead of {scaled}"
        );
        // All but the one that may be on the line have arrived.
        let sent: u64 = report.chips.iter().map(|c| c.nonces_sent).sum();
        bench.drain_some();
        assert!(nonces(&mut bench).len() as u64 >= sent && sent + 1 >= report.nonces());
    }
}

#[test]
fn every_nonce_meets_the_ticket_and_belongs_to_its_chip() {
    for machine in &MACHINES {
        let mut bench = machine.mining();
        let zeros = 32 + machine.ticket_bits as u32 - u32::from(machine.scale_bits());
        for seed in 1..20 {
            let id = bench::job_id(machine.chip, seed);
            bench.job(id, seed);
            bench.millis(800);
            for (nonce, id_byte, version) in nonces(&mut bench) {
                let n = u32::from_be_bytes(nonce);
                let sub_core_bits = machine.sub_cores().trailing_zeros();
                let (job, sub_core) = if sub_core_bits == 3 {
                    (id_byte & 0xF8, id_byte & 7)
                } else {
                    ((id_byte & 0xF0) >> 1, id_byte & 15)
                };
                if job != id {
                    continue; // Still on the line when the job was replaced.
                }
                assert!(
                    zero_bits(&rolled(seed, nonce, version)) >= zeros,
                    "{} {n:08X}",
                    machine.chip
                );
                assert_eq!(
                    u32::from(sub_core),
                    u32::from(version) % machine.sub_cores()
                );
                let chip = match machine.chip {
                    Chip::Bm1370 => (n >> 9 & 0xFFFF) * u32::from(machine.chips) / 0x1_0000,
                    Chip::Bm1372 => (n >> 17 & 0xFF) / (256 / u32::from(machine.chips)),
                    _ => (n >> 18 & 0x7F) / (128 / u32::from(machine.chips).next_power_of_two()),
                };
                assert!(chip < u32::from(machine.chips), "{} {n:08X}", machine.chip);
            }
        }
        let report = bench.chain.report();
        assert!(report.nonces() > 0);
    }
}

#[test]
fn the_self_test_job_is_solved_by_real_scanning() {
    let vectors: Value = serde_json::from_str(include_str!("data/wire.json")).unwrap();
    let vector = &vectors["jobs"]["header"];
    let mut bench = Bench::new(Chip::Bm1370, 1, 0);
    // 25 MHz x 160 / (2 x 16 x 16) = 7.8 MHz, ticket 512, a sweep that begins just before the solution's counter.
    bench.bring_up(Run {
        ticket: 0x80FF,
        ..Run::new(0x40A0_02FF, 0xFFFF)
    });
    bench.one(0, 0x0C, 0x8000_0000 | (0xD19E_020A >> 9 & 0xFFFF));
    bench
        .chain
        .receive(bench.now, &hex(vector["frame"].as_str().unwrap()));
    bench.run(Duration::from_micros(88 * 10 * 1000 / 3125 + 40));
    assert_eq!(bench.raw.len(), 11, "{:02X?}", bench.raw);
    assert_eq!(bench.raw[..4], [0xAA, 0x55, 0xD1, 0x9E]);
    // Job 0x18, sub-core 0, base version: the hash is 0.42 bits above the ticket's 41 zero bits.
    assert_eq!(bench.raw[2..10], [0xD1, 0x9E, 0x02, 0x0A, 0, 0x30, 0, 0]);
}

#[test]
fn the_hardware_midstate_job_is_solved_by_real_scanning() {
    let vectors: Value = serde_json::from_str(include_str!("data/wire.json")).unwrap();
    let vector = &vectors["jobs"]["midstate_hardware"];
    let mut bench = Bench::new(Chip::Bm1397, 1, 0);
    // 25 MHz x 60 / (2 x 15 x 15) = 3.3 MHz.
    bench.bring_up(Run {
        ticket: 0xF0FF,
        ..Run::new(0x403C_02FF, 0)
    });
    bench.all(0x18, 0x0000_6031);
    bench
        .chain
        .receive(bench.now, &hex(vector["frame"].as_str().unwrap()));
    bench.run(Duration::from_micros(152 * 10 * 1000 / 3125 + 33));
    // The frame's starting nonce is the solution, so that the first clocks find it.
    assert_eq!(bench.raw, hex("AA559B044C0A001A94"));
}

#[test]
fn midstate_chips_repeat_after_the_known_time() {
    for (chips, known) in [(1, 0.039_48), (2, 0.039_48 / 2.0)] {
        let pass = Duration::from_secs_f64(known);
        let mut bench = Bench::new(Chip::Bm1397, chips, 28);
        bench.bring_up(Run {
            ticket: 0,
            ..Run::new(PLL_425, 0)
        });
        bench.all(0x18, 0x0000_6031);
        // In time: neither repeats nor overlaps.
        bench.mine(pass * 60, pass.mul_f64(0.98), 1);
        let before = bench.chain.report();
        assert_eq!(before.duplicates(), 0);
        assert!(before.nonces() > 100);
        // One pass and a half: of three halves the last is known.
        bench.mine(pass * 90, pass.mul_f64(1.5), 1000);
        let report = bench.chain.report();
        let share = report.duplicates() as f64 / (report.nonces() - before.nonces()) as f64;
        assert!((share - 1.0 / 3.0).abs() < 0.1, "{chips}: {share}");
    }
}

#[test]
fn midstate_chips_mine_at_the_rate_of_silicon() {
    let mut bench = Bench::new(Chip::Bm1397, 1, 28);
    bench.bring_up(Run {
        ticket: 0xF0,
        ..Run::new(PLL_425, 0)
    });
    bench.mine(60 * SECOND, Duration::from_millis(39), 1);
    let report = bench.chain.report();
    assert_eq!(report.duplicates(), 0);
    assert_poisson(
        report.nonces() as f64,
        425e6 * 672.0 * 60.0 / 2_f64.powi(36),
        "BM1397",
    );
    for reply in bench.replies() {
        let Heard::Nonce {
            nonce,
            version: None,
            margin: 0,
            ..
        } = reply
        else {
            panic!("{reply:?}")
        };
        assert!(nonce[0] < 168, "core {}", nonce[0]);
    }
    // 2^20 hashes per second.
    assert_eq!(
        bench.chain.register(0, 0x04),
        Some((425e6 * 672.0 / 1_048_576.0) as u32)
    );
}

#[test]
fn after_an_epoch_the_same_headers_come_again() {
    for machine in MACHINES.iter().filter(|m| m.sweep < 0x10000) {
        let what = format!("{} x {}", machine.chip, machine.chips);
        let mut bench = machine.mining();
        bench.all(0x14, 0xF0);
        bench.job(8, 1);
        bench.run(Duration::from_secs_f64(machine.epoch(109.0) - 0.001));
        let first = bench.chain.report();
        assert_eq!(first.duplicates(), 0, "{what}");
        assert!(first.nonces() > 20, "{what}: {}", first.nonces());
        bench.run(Duration::from_secs_f64(machine.epoch(132.0) + 0.050));
        let second = bench.chain.report();
        assert!(
            second.count(Notice::EpochRepeated) >= machine.chips.into(),
            "{what}"
        );
        // All found again, and (at the edges of two epochs) hardly anything else.
        assert!(second.duplicates() >= first.nonces() * 9 / 10, "{what}");
        let fresh = second.nonces() - second.duplicates();
        assert!(
            fresh <= first.nonces() * 11 / 10 + 2,
            "{what}: {fresh} after {}",
            first.nonces()
        );
    }
}

#[test]
fn a_sweep_that_is_too_long_overlaps_the_next_chip() {
    for machine in [&MACHINES[1], &MACHINES[4]] {
        let mut bench = machine.mining();
        // Twice the slice: half of what each chip does, its neighbour does too.
        let slice = 2_f64.powi(25) / f64::from(machine.chips.next_power_of_two());
        let slice = if machine.chip == Chip::Bm1370 {
            2_f64.powi(25) / f64::from(machine.chips)
        } else {
            slice
        };
        bench.all(
            0x10,
            (2.0 * slice * 25.0 / (2.0 * machine.mhz)) as u32 - 120,
        );
        bench.mine(20 * SECOND, SECOND, 1);
        let report = bench.chain.report();
        let overlaps: u64 = report.chips.iter().map(|c| c.overlaps).sum();
        let share = overlaps as f64 / report.nonces() as f64;
        assert!((share - 0.5).abs() < 0.08, "{}: {share}", machine.chip);
    }
}

#[test]
fn a_sweep_longer_than_the_core_repeats_on_a_single_chip() {
    let machine = &MACHINES[5];
    let mut bench = machine.mining();
    // 2^25 counters at two per clock, and as many again.
    bench.all(0x10, 2 * 0x000C_30C3);
    bench.mine(64 * SECOND, 2 * SECOND, 1);
    let report = bench.chain.report();
    let share = report.duplicates() as f64 / report.nonces() as f64;
    assert!((share - 0.5).abs() < 0.05, "{share}");
}

#[test]
fn the_generic_sweep_length_makes_the_newest_chips_overlap() {
    let machine = &MACHINES[7];
    let mut bench = machine.mining();
    let generic = 2_f64.powi(25) / 4.0 * 25.0 / (2.0 * machine.mhz);
    bench.all(0x10, generic as u32);
    bench.mine(20 * SECOND, SECOND, 1);
    assert!(bench.chain.report().duplicates() > 0);
}

#[test]
fn without_offsets_all_chips_of_a_bm1370_chain_find_the_same() {
    let machine = &MACHINES[4];
    let mut bench = machine.mining();
    for index in 0..machine.chips {
        bench.one(index, 0x0C, 0);
    }
    bench.mine(10 * SECOND, SECOND, 1);
    let report = bench.chain.report();
    let overlaps: u64 = report.chips.iter().map(|c| c.overlaps).sum();
    assert!(
        overlaps as f64 / report.nonces() as f64 > 0.95,
        "{overlaps} of {}",
        report.nonces()
    );
}

#[test]
fn without_addresses_everything_looks_like_chip_zero() {
    let mut bench = Bench::new(Chip::Bm1366, 6, 34);
    for (register, value) in [
        (0xA4, 0x9000_FFFF),
        (0x18, 0xF000_C100),
        (0x14, 0xF0),
        (0x3C, 0x8000_82AA),
        (0x08, PLL_500),
        (0x10, 0x115A),
    ] {
        bench.all(register, value);
    }
    bench.mine(5 * SECOND, SECOND, 1);
    let report = bench.chain.report();
    let overlaps: u64 = report.chips.iter().map(|c| c.overlaps).sum();
    assert!(overlaps as f64 > 0.7 * report.nonces() as f64);
    for (nonce, ..) in nonces(&mut bench) {
        assert_eq!(u32::from_be_bytes(nonce) >> 18 & 0x7F, 0);
    }
}

#[test]
fn a_new_job_replaces_the_old_one_at_once_and_restarts_the_versions() {
    let machine = &MACHINES[5];
    let mut bench = machine.mining();
    bench.all(0x28, 0x1130_0000);
    bench.all(0x14, 0);
    bench.job(8, 1);
    bench.run(4 * SECOND);
    let late = nonces(&mut bench);
    assert!(
        late.iter().any(|&(_, _, version)| version >= 5 * 16),
        "batches of 32 ms have passed"
    );
    bench.send(&job(16, &bench::header(2)));
    // What the chip had queued may still leave.
    bench.millis(1);
    bench.raw.clear();
    bench.millis(25);
    let early = nonces(&mut bench);
    assert!(!early.is_empty());
    for (nonce, id, version) in early {
        assert_eq!(id & 0xF0, 0x20);
        assert!(version < 16, "the first batch has versions 0 to 15");
        assert!(zero_bits(&rolled(2, nonce, version)) >= 32 - u32::from(machine.scale_bits()));
    }
}

#[test]
fn the_same_job_again_gives_the_same_nonces_again() {
    let machine = &MACHINES[4];
    let mut bench = machine.mining();
    bench.all(0x14, 0xF0);
    bench.job(8, 1);
    bench.millis(500);
    let first = bench.chain.report();
    assert_eq!(first.duplicates(), 0);
    bench.job(16, 1);
    bench.millis(500);
    let second = bench.chain.report();
    assert!(second.duplicates() + 5 >= first.nonces());
}

#[test]
fn forgotten_steps_mean_silence() {
    let silent = |what: &str, spoil: &dyn Fn(&mut Bench), notice: Option<Notice>| {
        let mut bench = Bench::new(Chip::Bm1370, 1, 30);
        bench.bring_up(Run {
            ticket: 0xF0,
            ..Run::new(PLL_525, 0x1EB5)
        });
        spoil(&mut bench);
        bench.mine(5 * SECOND, SECOND, 1);
        bench.drain_some();
        assert!(bench.raw.is_empty(), "{what}: {:02X?}", bench.raw);
        if let Some(notice) = notice {
            assert!(bench.chain.report().count(notice) > 0, "{what}");
        }
    };
    silent(
        "cores off",
        &|b| b.all(0x3C, 0x8000_8200),
        Some(Notice::JobWithoutCores),
    );
    silent(
        "soft reset, cores not enabled again",
        &|b| {
            b.all(0xA8, 0x0007_01F0);
            b.all(0x18, 0xF000_C100);
        },
        Some(Notice::JobWithoutCores),
    );
    silent(
        "soft reset, no misc control",
        &|b| {
            b.all(0xA8, 0x0007_01F0);
            b.all(0x3C, 0x8000_82AA);
        },
        Some(Notice::JobWithoutReporting),
    );
    silent(
        "no reporting",
        &|b| b.all(0x18, 0x0000_C100),
        Some(Notice::JobWithoutReporting),
    );
    silent(
        "sweep length zero",
        &|b| b.all(0x10, 0),
        Some(Notice::JobWithoutSweep),
    );
    silent(
        "VCO 5.7 GHz",
        &|b| b.all(0x08, 0x50E4_0142),
        Some(Notice::VcoOutOfRange),
    );
    silent(
        "VCO 1.5 GHz",
        &|b| b.all(0x08, 0x4078_0230),
        Some(Notice::JobWithoutClock),
    );
    silent(
        "reference divider zero",
        &|b| b.all(0x08, 0x40A8_0030),
        Some(Notice::PllZeroDivider),
    );
    silent(
        "wrong baud",
        &|b| b.set_baud(115_200),
        Some(Notice::BaudMismatch),
    );
}

#[test]
fn midstate_chips_need_their_clock_order_words() {
    for skipped in [0x80, 0x84, 0x20, 0x3C] {
        let mut bench = Bench::new(Chip::Bm1397, 1, 28);
        bench.assign_addresses();
        for (register, value) in [
            (0x80, 0),
            (0x84, 0),
            (0x20, 1),
            (0x3C, 0x8000_8074),
            (0x14, 0xF0),
            (0x08, PLL_425),
        ] {
            if register != skipped {
                bench.all(register, value);
            }
        }
        bench.mine(2 * SECOND, SECOND, 1);
        assert_eq!(bench.chain.report().nonces(), 0, "{skipped:X}");
    }
}

#[test]
fn without_version_rolling_replies_are_short_and_sub_cores_repeat_each_other() {
    let mut bench = Bench::new(Chip::Bm1370, 1, 30);
    bench.bring_up(Run {
        ticket: 0xF0,
        ..Run::new(PLL_525, 0x000C_2FB7)
    });
    bench.all(0xA4, 0);
    bench.rolling = false;
    bench.mine(40 * SECOND, Duration::from_millis(30), 1);
    let report = bench.chain.report();
    // The rate stays, but sixteen sub-cores hash the one version.
    assert!((report.nonces() as f64 - 15.58 * 40.0).abs() < 5.0 * 4.0 * (15.58 * 40.0_f64).sqrt());
    assert_eq!(report.duplicates(), report.nonces() / 16 * 15);
    let replies = bench.replies();
    assert!(
        replies
            .iter()
            .all(|r| matches!(r, Heard::Nonce { version: None, .. }))
    );
}

#[test]
fn a_mask_with_fewer_bits_shortens_the_epoch() {
    let machine = &MACHINES[4];
    let mut bench = machine.mining();
    bench.all(0x14, 0xF0);
    // Eight bits in odd places: 256 versions in 16 batches.
    let mask = 0x5A5A;
    bench.all(0xA4, 0x9000_0000 | mask);
    bench.job(8, 1);
    bench.millis(200);
    let report = bench.chain.report();
    let epoch = 16.0_f64 * (7861.0 + 120.0) / 25e6;
    // The job takes 0.3 ms to arrive.
    let epochs = (0.1997 / epoch) as u64;
    assert_eq!(report.count(Notice::EpochRepeated), epochs * 65);
    let found = nonces(&mut bench);
    assert!(
        found
            .iter()
            .all(|&(_, _, version)| u32::from(version) & !mask == 0)
    );
    let distinct: HashSet<_> = found.iter().collect();
    assert!(
        distinct.len() < found.len() / 10,
        "{} of {}",
        distinct.len(),
        found.len()
    );
}

#[test]
fn a_new_mask_restarts_the_versions_of_the_running_job() {
    let mut bench = MACHINES[4].mining();
    bench.all(0x14, 0xF0);
    bench.job(8, 1);
    bench.millis(300);
    bench.raw.clear();
    bench.all(0xA4, 0x9000_00FF);
    bench.millis(5);
    bench.raw.clear();
    bench.millis(200);
    let found = nonces(&mut bench);
    assert!(!found.is_empty());
    assert!(found.iter().all(|&(_, _, version)| version <= 0xFF));
    // 256 versions last for 5 ms.
    assert!(bench.chain.report().count(Notice::EpochRepeated) > 30 * 65);
}

#[test]
fn a_chip_can_have_a_clock_of_its_own() {
    let machine = &MACHINES[4];
    let mut bench = machine.mining();
    bench.all(0x14, 0xF0);
    // 262.5 MHz.
    bench.one(7, 0x08, 0x40A8_0231);
    let begun: Vec<_> = bench.chain.chips().collect();
    bench.mine(20 * SECOND, SECOND, 1);
    let chips: Vec<_> = bench.chain.chips().collect();
    assert_eq!(chips[7].clock_hz, Some(262.5e6));
    assert_eq!(chips[8].clock_hz, Some(525e6));
    let done = |i: usize| (chips[i].hashes - begun[i].hashes) as f64;
    assert!((done(7) / done(8) - 0.5).abs() < 1e-6);
    assert_poisson(
        chips[7].nonces as f64,
        262.5e6 * 2040.0 * 20.0 / 2_f64.powi(36),
        "slow chip",
    );
    assert_eq!(bench.chain.report().duplicates(), 0);
}

#[test]
fn counters_tell_the_true_rate() {
    let mut bench = Bench::new(Chip::Bm1366, 2, 36);
    bench.bring_up(Run::new(PLL_500, 0x115A));
    bench.job(8, 1);
    bench.millis(100);
    bench.all(0x90, 0);
    let before = bench.chain.register(1, 0x8C).unwrap();
    let domain = bench.chain.register(1, 0x8A).unwrap();
    bench.mine(10 * SECOND, SECOND, 2);
    let total = 500e6 * 894.0 * 10.0 / 2_f64.powi(32);
    let gained = |register, from: u32| f64::from(bench.chain.register(1, register).unwrap() - from);
    assert!((gained(0x8C, before) - total).abs() < 2.0);
    assert!((gained(0x8A, domain) - total / 4.0).abs() < 2.0);
    assert!((gained(0x90, 0) - total).abs() < 2.0);
    assert_eq!(bench.chain.register(1, 0x4C), Some(0));
}

#[test]
fn an_open_ticket_floods_the_line_and_the_far_chips_lose() {
    let mut bench = Bench::new(Chip::Bm1366, 77, 30);
    bench.bring_up(Run {
        ticket: 0,
        ..Run::new(PLL_500, 0x115A)
    });
    bench.all(0x28, 0x1130_1A00);
    bench.mine(SECOND, SECOND, 1);
    let report = bench.chain.report();
    assert!(report.count(Notice::ReplyQueueFull) > 0);
    assert_eq!(report.chips[0].lost, 0);
    assert!(report.chips[76].lost > 0);
}

#[test]
fn the_outcome_does_not_depend_on_the_size_of_steps() {
    let run = |steps: &[u64]| {
        let mut bench = Bench::with(ChainSpec {
            seed: 5,
            ..ChainSpec::new(Chip::Bm1368, 12, 30)
        });
        bench.bring_up(Run {
            ticket: 0xF0,
            ..Run::new(PLL_490, 0x15A4)
        });
        for (seed, register) in [(1, 0x08), (2, 0x8C), (3, 0x10)] {
            bench.job(8, seed);
            for &step in steps {
                bench.run(Duration::from_micros(step));
            }
            match register {
                0x08 => bench
                    .chain
                    .receive(bench.now, &write(Target::One(16), 0x08, PLL_500)),
                0x10 => bench
                    .chain
                    .receive(bench.now, &write(Target::All, 0x10, 0x1000)),
                _ => bench
                    .chain
                    .receive(bench.now, &bench::read(Target::All, register)),
            }
        }
        bench.run(SECOND);
        (bench.raw, bench.chain.report().chips)
    };
    let once = run(&[1_000_000]);
    assert!(once.0.len() > 200);
    assert_eq!(once, run(&[100_000; 10]));
    assert_eq!(once, run(&[1_000; 1000]));
    assert_eq!(once, run(&[7, 999_993]));
}

#[test]
fn next_event_is_soon_while_mining_and_none_when_idle() {
    let mut bench = Bench::new(Chip::Bm1370, 1, 30);
    assert_eq!(bench.chain.next_event(), None);
    bench.bring_up(Run::new(PLL_525, 0x1EB5));
    assert_eq!(bench.chain.next_event(), None);
    bench.job(8, 1);
    bench.millis(100);
    let next = bench.chain.next_event().unwrap();
    assert!(next > bench.now && next <= bench.now + Duration::from_millis(20));
    // At a coarser scale candidates are rare, and the next one is known.
    let mut calm = Bench::new(Chip::Bm1370, 1, 38);
    calm.bring_up(Run::new(PLL_525, 0x1EB5));
    calm.job(8, 1);
    calm.millis(100);
    let candidates = |bench: &Bench| bench.chain.chips().map(|c| c.tested).sum::<u64>();
    let before = candidates(&calm);
    let next = calm.chain.next_event().unwrap();
    assert!(next > calm.now + Duration::from_millis(20));
    calm.run(next - calm.now - Duration::from_micros(1));
    assert_eq!(candidates(&calm), before);
    calm.run(Duration::from_micros(1));
    assert_eq!(candidates(&calm), before + 1);
    bench.all(0x10, 0);
    bench.drain();
    assert_eq!(bench.chain.next_event(), None);
}

#[test]
fn a_sweep_without_guard_overlaps_by_its_overrun() {
    let machine = &MACHINES[4];
    let mut bench = Bench::new(machine.chip, machine.chips, 34);
    // Exactly the distance of two offsets, at two counters per clock and 21 clocks per tick.
    let slice = 0x03F1 * 512 / 42;
    bench.bring_up(Run {
        ticket: 0xF0,
        sweep: slice,
        ..machine.run()
    });
    bench.mine(10 * SECOND, SECOND, 1);
    let report = bench.chain.report();
    let share = report.duplicates() as f64 / report.nonces() as f64;
    // 109 to 132 of 12 300 ticks, measured on silicon.
    assert!((0.006..0.014).contains(&share), "{share}");
    bench.all(0x10, slice - 200);
    let before = bench.chain.report().duplicates();
    bench.mine(10 * SECOND, SECOND, 100);
    assert_eq!(bench.chain.report().duplicates(), before);
}
