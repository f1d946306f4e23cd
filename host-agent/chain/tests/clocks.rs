//! Clocks of single chips, the ticket and register reads, on a chain that goes on working.

mod support;

use std::time::Duration;

use bm13xx::{ChipKind, Megahertz, Register};
use chain::{AskError, ChangeError, Phase};

use support::{Bench, settings};

const SECOND: Duration = Duration::from_secs(1);

fn mhz(values: &[f64]) -> Vec<Megahertz> {
    values.iter().copied().map(Megahertz::new).collect()
}

#[test]
fn each_chip_gets_its_own_clock_and_no_header_is_hashed_twice() {
    for kind in [
        ChipKind::Bm1362,
        ChipKind::Bm1366,
        ChipKind::Bm1368,
        ChipKind::Bm1370,
    ] {
        let mut bench = Bench::new(
            settings(kind, 4, 500.0, 4),
            board_simulator::Noise::default(),
        );
        bench.mine();
        bench.run_for(5 * SECOND);
        let goals = mhz(&[450.0, 525.0, 487.5, 500.0]);
        bench
            .session
            .set_chip_frequencies(bench.now, &goals)
            .expect("mining");
        let started = bench.now;
        bench.run_until(10 * SECOND, |session| {
            let chips = session.status(Duration::ZERO).chips;
            chips
                .iter()
                .zip(&goals)
                .all(|(chip, goal)| chip.clock == *goal)
        });
        // Eight steps for the farthest, whatever the number of chips.
        assert!(
            bench.now - started < SECOND * 2,
            "{kind}: {:?}",
            bench.now - started
        );
        bench.run_for(20 * SECOND);
        for (chip, goal) in bench.report().chips.iter().zip(&goals) {
            let hz = chip.clock_hz.expect("a clock");
            assert!(
                (hz / goal.hz() - 1.0).abs() < 0.005,
                "{kind}: {hz} for {goal}"
            );
        }
        let status = bench.session.status(bench.now);
        assert!(
            (status.clock.get() - 490.625).abs() < 0.5,
            "{kind}: {}",
            status.clock
        );
        assert_eq!(bench.session.phase(), Phase::Mining);
        // Back together, then all at once again.
        bench
            .session
            .set_frequency(bench.now, Megahertz::new(475.0))
            .expect("mining");
        bench.run_for(5 * SECOND);
        bench
            .session
            .set_frequency(bench.now, Megahertz::new(500.0))
            .expect("mining");
        bench.run_for(5 * SECOND);
        bench.freeze();
        let (report, counters) = (bench.report(), bench.counters());
        // A sweep that is under way while the clock rises may run a little into the neighbour's.
        assert!(report.duplicates() <= 2, "{kind}: {}", report.duplicates());
        assert_eq!(counters.duplicates, report.duplicates(), "{kind}");
        assert_eq!(counters.hardware_errors, 0, "{kind}");
        assert!(counters.valid > 100, "{kind}");
    }
}

#[test]
fn a_move_under_way_takes_other_goals() {
    let mut bench = Bench::new(
        settings(ChipKind::Bm1366, 3, 500.0, 4),
        board_simulator::Noise::default(),
    );
    bench.mine();
    let first = mhz(&[300.0, 300.0, 600.0]);
    bench
        .session
        .set_chip_frequencies(bench.now, &first)
        .expect("mining");
    bench.run_for(SECOND / 5);
    let goals = mhz(&[500.0, 400.0, 500.0]);
    bench
        .session
        .set_chip_frequencies(bench.now, &goals)
        .expect("other goals");
    bench.run_until(10 * SECOND, |session| {
        let chips = session.status(Duration::ZERO).chips;
        chips
            .iter()
            .zip(&goals)
            .all(|(chip, goal)| chip.clock == *goal)
    });
    bench.stop();
    assert_eq!(bench.chips_hashing(), 0);
}

#[test]
fn clocks_that_do_not_fit_the_chain_are_refused() {
    let mut bench = Bench::new(
        settings(ChipKind::Bm1366, 3, 500.0, 4),
        board_simulator::Noise::default(),
    );
    let early = bench
        .session
        .set_chip_frequencies(bench.now, &mhz(&[400.0; 3]));
    assert_eq!(early, Err(ChangeError::Busy));
    bench.mine();
    let short = bench
        .session
        .set_chip_frequencies(bench.now, &mhz(&[400.0; 2]));
    assert_eq!(
        short,
        Err(ChangeError::Chips {
            found: 2,
            expected: 3
        })
    );
    let wild = bench
        .session
        .set_chip_frequencies(bench.now, &mhz(&[400.0, 1e6, 400.0]));
    assert!(matches!(wild, Err(ChangeError::Pll(_))), "{wild:?}");
    let status = bench.session.status(bench.now);
    assert!(
        status
            .chips
            .iter()
            .all(|chip| chip.clock == Megahertz::new(500.0))
    );
}

#[test]
fn a_lower_ticket_brings_more_nonces_and_the_same_rate_and_a_higher_one_no_errors() {
    let mut bench = Bench::new(
        settings(ChipKind::Bm1366, 2, 500.0, 8),
        board_simulator::Noise::default(),
    );
    bench.mine();
    bench.run_for(60 * SECOND);
    let before = bench.counters().valid;
    let bits = bench.session.status(bench.now).ticket_bits;
    let per_minute = before as f64;
    bench
        .session
        .set_ticket(bench.now, bits - 3)
        .expect("mining");
    bench.run_for(60 * SECOND);
    let lower = (bench.counters().valid - before) as f64;
    assert!(
        (lower / per_minute - 8.0).abs() < 1.5,
        "{lower} after {per_minute}"
    );
    bench.session.set_ticket(bench.now, bits).expect("mining");
    bench.run_for(120 * SECOND);
    let status = bench.session.status(bench.now);
    assert_eq!(status.counters.hardware_errors, 0);
    // Over ten minutes, of which four have passed, in all three tickets.
    let rate = status.rates[2];
    let off = (rate.hps - status.expected_hps).abs();
    assert!(
        off < 5.0 * rate.sigma_hps,
        "{rate:?} of {}",
        status.expected_hps
    );
}

#[test]
fn registers_are_read_while_mining() {
    let mut bench = Bench::new(
        settings(ChipKind::Bm1366, 3, 500.0, 4),
        board_simulator::Noise::default(),
    );
    let early = bench
        .session
        .read_register(bench.now, None, Register::ChipId);
    assert_eq!(early, Err(AskError::Busy));
    bench.mine();
    bench.run_for(SECOND);
    bench
        .session
        .read_register(bench.now, Some(1), Register::ChipId)
        .expect("mining");
    bench
        .session
        .read_register(bench.now, None, Register::ChipId)
        .expect("mining");
    let none = bench
        .session
        .read_register(bench.now, Some(3), Register::ChipId);
    assert_eq!(none, Err(AskError::NoSuchChip { chip: 3, chips: 3 }));
    bench.run_for(SECOND);
    let chips: Vec<_> = bench.registers.iter().map(|answer| answer.0).collect();
    assert_eq!(chips, [Some(1), Some(0), Some(1), Some(2)]);
    assert!(
        bench
            .registers
            .iter()
            .all(|answer| answer.2 >> 16 == 0x1366),
        "{:x?}",
        bench.registers
    );
}
