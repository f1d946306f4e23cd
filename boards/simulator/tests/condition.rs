//! What power and heat do to a chain on the wire: silence, lost work, wrong nonces, broken chains.

mod bench;

use std::time::Duration;

use bench::{Bench, Heard, Run, job_id, read, rolled, zero_bits};
use board_simulator::{
    ChainSpec, Chip, ChipCondition, Target,
    physics::{ChipActivity, Machine, PhysicsSpec, presets},
};

const SECOND: Duration = Duration::from_secs(1);
const PLL_500: u32 = 0x40A0_0230;
const SWEEP: u32 = 0x115A;

/// An S19k Pro board that is ready for jobs; about a thousand headers are tested per second.
fn mining(chips: u16, seed: u64) -> Bench {
    let mut spec = ChainSpec::new(Chip::Bm1366, chips, 0);
    spec.scale_bits = (500e6 * 894.0 * f64::from(chips) / 1000.0).log2() as u8;
    spec.seed = seed;
    let mut bench = Bench::with(spec);
    bench.bring_up(Run::new(PLL_500, SWEEP));
    bench.raw.clear();
    bench
}

/// Silicon's nonces per second and chip at ticket difficulty 256.
const NONCES_PER_SECOND: f64 = 500e6 * 894.0 / (256.0 * 4_294_967_296.0);

fn condition(delivered: f64, wrong: f64) -> ChipCondition {
    ChipCondition {
        delivered,
        wrong,
        ..ChipCondition::default()
    }
}

/// Chips that answer a read of the chip id.
fn answering(bench: &mut Bench) -> Vec<u8> {
    bench.raw.clear();
    bench.chain.receive(bench.now, &read(Target::All, 0x00));
    bench.millis(200);
    bench
        .replies()
        .into_iter()
        .filter_map(|reply| match reply {
            Heard::Register { address, .. } => Some(address),
            Heard::Nonce { .. } => None,
        })
        .collect()
}

#[test]
fn without_core_voltage_a_chain_is_deaf_and_forgets() {
    let mut bench = mining(4, 1);
    assert_eq!(answering(&mut bench), [0, 64, 128, 192]);
    bench.job(8, 1);
    bench.run(SECOND);
    assert!(bench.chain.activity(2).hashing);
    bench.chain.set_powered(bench.now, false);
    assert_eq!(bench.chain.activity(2), ChipActivity::default());
    bench.raw.clear();
    assert_eq!(answering(&mut bench), []);
    assert_eq!(bench.chain.next_event(), None);
    bench.chain.set_powered(bench.now, true);
    assert_eq!(bench.chain.register(2, 0x10), Some(0));
    bench.rolling = false;
    assert_eq!(answering(&mut bench), [0; 4], "all at address 0 again");
}

#[test]
fn activity_follows_the_pll_and_the_job() {
    let mut bench = Bench::new(Chip::Bm1366, 2, 30);
    assert_eq!(
        bench.chain.activity(0),
        ChipActivity {
            mhz: 50.0,
            hashing: false
        }
    );
    bench.bring_up(Run::new(PLL_500, SWEEP));
    bench.job(8, 1);
    bench.run(SECOND);
    let hashing = ChipActivity {
        mhz: 500.0,
        hashing: true,
    };
    assert_eq!(bench.chain.activity(1), hashing);
    assert_eq!(bench.chain.activity(2), ChipActivity::default());
    bench.chain.reset_line(true, bench.now);
    assert_eq!(bench.chain.activity(1), ChipActivity::default());
}

#[test]
fn a_dead_chip_hides_all_chips_behind_it() {
    let mut bench = mining(8, 1);
    for seed in 1..4 {
        bench.job(job_id(Chip::Bm1366, seed), seed);
        bench.run(SECOND);
    }
    let dead = ChipCondition {
        alive: false,
        ..ChipCondition::default()
    };
    bench.chain.set_condition(5, dead);
    assert_eq!(answering(&mut bench), [0, 32, 64, 96, 128]);
    let before = bench.chain.report();
    for seed in 4..40 {
        bench.job(job_id(Chip::Bm1366, seed), seed);
        bench.run(SECOND);
    }
    let after = bench.chain.report();
    for (chip, (before, after)) in before.chips.iter().zip(&after.chips).enumerate() {
        let heard = after.sent > before.sent && after.jobs > before.jobs;
        assert_eq!(heard, chip < 5, "chip {chip}");
    }
    // A new one in its place has no address yet; those behind it have kept theirs.
    bench.chain.set_condition(5, ChipCondition::default());
    bench.run(SECOND);
    bench.raw.clear();
    bench
        .chain
        .receive(bench.now, &read(Target::One(192), 0x00));
    bench.millis(100);
    assert!(bench.raw.len() >= 11);
    assert_eq!(bench.chain.register(5, 0x10), Some(0));
    assert_eq!(bench.chain.register(6, 0x10), Some(SWEEP));
}

#[test]
fn starved_chips_lose_their_share_of_nonces_and_report_wrong_ones() {
    let mut bench = mining(8, 1);
    for chip in 0..4 {
        bench.chain.set_condition(chip, condition(0.6, 0.2));
    }
    let seconds = 600;
    for seed in 1..=seconds {
        bench.job(job_id(Chip::Bm1366, seed), seed);
        bench.run(SECOND);
    }
    let report = bench.chain.report();
    let expected = 4.0 * NONCES_PER_SECOND * f64::from(seconds);
    let sum = |value: fn(&board_simulator::ChipReport) -> u64, starved: bool| {
        let chips = report.chips.iter().filter(|c| (c.index < 4) == starved);
        chips.map(value).sum::<u64>() as f64
    };
    let close = |count: f64, expected: f64| {
        assert!(
            (count - expected).abs() < 4.5 * expected.sqrt(),
            "{count} instead of {expected}"
        );
    };
    close(sum(|c| c.nonces, false), expected);
    close(sum(|c| c.nonces, true), 0.6 * expected);
    close(sum(|c| c.silent, true), 0.4 * expected);
    close(sum(|c| c.wrong, true), 0.12 * expected);
    assert_eq!(sum(|c| c.silent + c.wrong, false), 0.0);
    assert_eq!(report.duplicates(), 0);
}

#[test]
fn wrong_nonces_name_their_chip_and_job_but_do_not_meet_the_ticket() {
    let mut bench = mining(4, 1);
    bench.chain.set_condition(2, condition(1.0, 1.0));
    let zeros = 40 - u32::from(bench.chain.spec().scale_bits);
    let mut per_chip = [[0; 2]; 4];
    for seed in 1..200 {
        let id = job_id(Chip::Bm1366, seed);
        bench.job(id, seed);
        bench.run(SECOND);
        for reply in bench.replies() {
            let Heard::Nonce {
                nonce,
                id: byte,
                version,
                ..
            } = reply
            else {
                panic!("{reply:?}")
            };
            if byte & 0xF8 != id {
                continue;
            }
            let right = zero_bits(&rolled(seed, nonce, version.unwrap())) >= zeros;
            let chip = u32::from_be_bytes(nonce) >> 18 & 0x7F;
            per_chip[chip as usize / 32][usize::from(right)] += 1;
        }
    }
    for (chip, [wrong, right]) in per_chip.into_iter().enumerate() {
        assert!(right > 40, "chip {chip}: {right}");
        assert_eq!(wrong, if chip == 2 { right } else { 0 }, "chip {chip}");
    }
}

#[test]
fn lost_work_does_not_depend_on_the_size_of_steps() {
    let run = |step: Duration| {
        let mut bench = mining(3, 9);
        for chip in 0..3 {
            bench.chain.set_condition(chip, condition(0.5, 0.5));
        }
        for seed in 1..60 {
            bench.job(job_id(Chip::Bm1366, seed), seed);
            let end = bench.now + SECOND;
            while bench.now < end {
                bench.run(step.min(end - bench.now));
            }
        }
        bench.raw
    };
    let coarse = run(SECOND);
    assert!(!coarse.is_empty());
    assert_eq!(coarse, run(Duration::from_micros(7300)));
}

#[test]
fn nonces_per_chip_in_ten_minutes_are_spread_as_poisson_says() {
    let mut bench = mining(77, 1);
    for seed in 1..=600 {
        bench.job(job_id(Chip::Bm1366, seed), seed);
        bench.run(SECOND);
    }
    let expected = NONCES_PER_SECOND * 600.0;
    let counts: Vec<f64> = bench.chain.chips().map(|c| c.nonces as f64).collect();
    let mean = counts.iter().sum::<f64>() / 77.0;
    assert!((mean / expected - 1.0).abs() < 0.03, "{mean} {expected}");
    let variance = counts.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 76.0;
    // The variance of 77 Poisson counts is their mean, give or take 16 %.
    let dispersion = variance / mean;
    assert!((0.6..1.5).contains(&dispersion), "{dispersion}");
}

#[test]
fn a_weak_machine_shows_on_the_wire() {
    // Seven percent too little voltage: the physical model says how much is lost, the chain loses it.
    let spec = PhysicsSpec {
        seed: 4,
        ..presets::s19k_pro().with_boards(1)
    };
    let mut machine = Machine::new(spec).unwrap();
    let mut bench = mining(77, 4);
    bench.job(8, 1);
    bench.run(SECOND);
    machine.set_all_fans(100.0);
    for chip in 0..77 {
        machine.set_activity(0, usize::from(chip), bench.chain.activity(chip));
    }
    machine.set_supply_mv(12_000.0);
    machine.enable_supply(true);
    assert!(machine.settle());
    let mut delivered = 0.0;
    for chip in 0..77 {
        let state = machine.chip(0, usize::from(chip)).unwrap();
        delivered += state.delivered / 77.0;
        bench.chain.set_condition(chip, state.into());
    }
    assert!((0.5..0.95).contains(&delivered), "{delivered}");
    let before = bench.chain.report();
    for seed in 2..200 {
        bench.job(job_id(Chip::Bm1366, seed), seed);
        bench.run(SECOND);
    }
    let report = bench.chain.report();
    let found = (report.nonces() - before.nonces()) as f64;
    let expected = 77.0 * NONCES_PER_SECOND * 198.0 * delivered;
    assert!((found / expected - 1.0).abs() < 0.05, "{found} {expected}");
    let wrong: u64 = report.chips.iter().map(|c| c.wrong).sum();
    let share = wrong as f64 / found;
    let model = 0.3 * (1.0 - delivered) / delivered;
    assert!((share / model - 1.0).abs() < 0.25, "{share} {model}");
}
