//! The life of a chain against virtual chips: how it is found, what happens to nonces of older jobs, how
//! its clock is changed, and how it ends.

mod support;

use std::time::Duration;

use bm13xx::{ChipKind, Megahertz};
use board_simulator::{Noise, Notice};
use chain::{ChangeError, Failure, Phase, Settings};
use mining::{Assignment, Partition};
use support::{Bench, job, settings};

const SECOND: Duration = Duration::from_secs(1);

fn bench(settings: Settings) -> Bench {
    Bench::new(settings, Noise::default())
}

/// In two domains, which makes it a board in series.
fn in_series(mut settings: Settings) -> Settings {
    settings.chain.domains = 2;
    settings
}

fn every_kind() -> Vec<Settings> {
    vec![
        settings(ChipKind::Bm1397, 2, 425.0, 4),
        settings(ChipKind::Bm1362, 3, 525.0, 4),
        settings(ChipKind::Bm1366, 2, 485.0, 4),
        settings(ChipKind::Bm1368, 2, 490.0, 4),
        settings(ChipKind::Bm1370, 2, 525.0, 8),
        settings(ChipKind::Bm1372, 2, 327.0, 8),
    ]
}

#[test]
fn a_clean_job_makes_nonces_on_their_way_stale_and_none_a_share() {
    for settings in every_kind() {
        let name = settings.chain.kind.to_string();
        let mut bench = bench(settings);
        bench.mine();
        let mut generation = 1;
        for round in 0..200 {
            // Not in step with the work, so that every moment of it is met.
            bench.run_for(Duration::from_millis(101 + round % 7));
            bench.shares.clear();
            generation += 1;
            bench.give(job(generation, bench.now));
            bench.run_for(Duration::from_millis(100));
            let old = bench
                .shares
                .iter()
                .filter(|share| share.job.generation < generation)
                .count();
            assert_eq!(old, 0, "{name}");
        }
        let counters = bench.counters();
        assert_eq!(counters.hardware_errors, 0, "{name}");
        assert_eq!(counters.duplicates, 0, "{name}");
        assert!(counters.stale > 0, "{name}: no nonce crossed a clean job");
        assert!(counters.valid > 1000, "{name}: {counters:?}");
    }
}

#[test]
fn a_job_that_is_not_clean_lets_older_nonces_count() {
    let mut bench = bench(settings(ChipKind::Bm1366, 2, 485.0, 4));
    bench.mine();
    for number in 2..100 {
        bench.run_for(Duration::from_millis(103));
        let mut next = job(number, bench.now);
        next.generation = 1;
        bench.give(next);
    }
    bench.freeze();
    let counters = bench.counters();
    assert_eq!(counters.valid, bench.nonces_sent());
    assert_eq!((counters.stale, counters.hardware_errors), (0, 0));
}

#[test]
fn no_job_any_more_means_rest_and_a_new_one_means_work() {
    for settings in every_kind() {
        let kind = settings.chain.kind;
        let mut bench = bench(settings);
        bench.mine();
        bench.run_for(5 * SECOND);
        bench.assign(Assignment::default());
        bench.run_for(SECOND);
        assert_eq!(bench.session.phase(), Phase::Idle, "{kind}");
        if kind != ChipKind::Bm1397 {
            // Those have no way to rest.
            assert_eq!(bench.chips_hashing(), 0, "{kind}");
        }
        bench.shares.clear();
        bench.run_for(30 * SECOND);
        assert!(bench.shares.is_empty(), "{kind}");
        bench.give(job(2, bench.now));
        bench.run_for(5 * SECOND);
        assert_eq!(bench.session.phase(), Phase::Mining, "{kind}");
        assert!(bench.shares.len() > 10, "{kind}");
        let counters = bench.counters();
        assert_eq!(counters.hardware_errors, 0, "{kind}");
        assert_eq!(counters.duplicates, 0, "{kind}");
        assert_eq!(bench.failure, None, "{kind}");
    }
}

#[test]
fn chips_that_an_earlier_run_left_hashing_are_found_again() {
    for settings in every_kind() {
        let (name, chips) = (settings.chain.kind.to_string(), settings.chain.chips);
        let mut bench = bench(settings);
        bench.mine();
        bench.run_for(5 * SECOND);
        let mut bench = bench.restart();
        bench.give(job(9, bench.now));
        bench.run_until_phase(Phase::Mining);
        // Nonces of the run before may still come; they are nobody's.
        bench.run_for(5 * SECOND);
        let status = bench.session.status(bench.now);
        assert_eq!(status.found, chips, "{name}");
        assert_eq!(bench.warnings, Vec::<String>::new(), "{name}");
        assert_eq!(status.counters.hardware_errors, 0, "{name}");
        assert_eq!(status.counters.duplicates, 0, "{name}");
        assert!(status.chips.iter().all(|chip| chip.nonces > 10), "{name}");
        assert!(
            bench.shares.iter().all(|share| share.job.id == "9"),
            "{name}"
        );
    }
}

#[test]
fn a_chain_that_stopped_in_order_is_found_again() {
    for settings in every_kind() {
        let name = settings.chain.kind.to_string();
        let mut bench = bench(settings);
        bench.mine();
        bench.run_for(5 * SECOND);
        bench.stop();
        let mut bench = bench.restart();
        bench.mine();
        bench.run_for(5 * SECOND);
        let counters = bench.counters();
        assert_eq!(bench.warnings, Vec::<String>::new(), "{name}");
        assert!(counters.valid > 100, "{name}: {counters:?}");
        assert_eq!(counters.hardware_errors, 0, "{name}");
    }
}

#[test]
fn a_missing_chip_is_told_and_the_others_mine_on() {
    let settings = settings(ChipKind::Bm1366, 6, 485.0, 4);
    let mut bench = Bench::with_chips(settings, 5, Noise::default());
    bench.mine();
    bench.run_for(10 * SECOND);
    let status = bench.session.status(bench.now);
    assert_eq!((status.found, status.expected_chips), (5, 6));
    assert_eq!(status.chips.len(), 5);
    assert!(status.chips.iter().all(|chip| chip.nonces > 50));
    let [warning] = &bench.warnings[..] else {
        panic!("{:?}", bench.warnings)
    };
    assert!(warning.contains("5 of 6 chips"), "{warning}");
    assert_eq!(status.counters.hardware_errors, 0);
    assert_eq!(status.counters.duplicates, 0);
}

#[test]
fn a_board_in_series_is_not_started_with_a_chip_missing() {
    let settings = in_series(settings(ChipKind::Bm1366, 6, 485.0, 4));
    let mut bench = Bench::with_chips(settings, 5, Noise::default());
    bench.give(job(1, Duration::ZERO));
    bench.run_until_phase(Phase::Failed);
    let failure = bench.failure.take().expect("a reason");
    assert_eq!(
        failure,
        Failure::MissingChips {
            found: 5,
            expected: 6
        }
    );
    let text = failure.to_string();
    assert!(text.contains("5 of 6") && text.contains("series"), "{text}");
    // Nobody has raised the clock of a chip.
    assert_eq!(bench.chips_hashing(), 0);
    assert_eq!(bench.session.poll_timeout(), None);
}

#[test]
fn more_chips_than_the_profile_has_are_refused() {
    let settings = settings(ChipKind::Bm1370, 1, 525.0, 8);
    let mut bench = Bench::with_chips(settings, 2, Noise::default());
    bench.run_until_phase(Phase::Failed);
    assert_eq!(
        bench.failure,
        Some(Failure::TooManyChips {
            found: 2,
            expected: 1
        })
    );
}

#[test]
fn chips_of_another_kind_are_refused_by_their_id() {
    let settings = settings(ChipKind::Bm1370, 1, 525.0, 8);
    let spec = board_simulator::ChainSpec::new(board_simulator::Chip::Bm1366, 1, 30);
    let chips = board_simulator::VirtualChain::new(spec).expect("spec");
    let mut bench = Bench::on(settings, chips, Duration::ZERO);
    bench.run_until_phase(Phase::Failed);
    let text = bench.failure.expect("a reason").to_string();
    assert!(text.contains("1366") && text.contains("BM1370"), "{text}");
}

#[test]
fn silence_from_the_start_is_told_within_seconds() {
    let mut bench = bench(settings(ChipKind::Bm1368, 1, 490.0, 4));
    bench.chain.reset_line(true, Duration::ZERO);
    bench.run_until(30 * SECOND, |session| session.phase() == Phase::Failed);
    assert_eq!(bench.failure, Some(Failure::NoChips));
}

#[test]
fn a_chain_that_falls_silent_while_mining_is_given_up() {
    let mut bench = bench(settings(ChipKind::Bm1368, 1, 490.0, 4));
    bench.mine();
    bench.run_for(60 * SECOND);
    assert_eq!(bench.session.phase(), Phase::Mining);
    bench.chain.reset_line(true, bench.now);
    bench.run_until(60 * SECOND, |session| session.phase() == Phase::Failed);
    assert_eq!(bench.failure, Some(Failure::Silent));
}

/// The sixteen sub-cores of a BM1370 then find every nonce together: bundles come sixteen times more
/// rarely than nonces, which is no reason to give up the chain.
#[test]
fn without_version_rolling_nonces_come_in_bundles() {
    let mut bench = bench(settings(ChipKind::Bm1370, 1, 525.0, 128));
    let mut plain = job(1, Duration::ZERO);
    plain.version_mask = 0;
    bench.give(plain);
    bench.run_until_phase(Phase::Mining);
    bench.run_for(600 * SECOND);
    assert_eq!(bench.failure, None);
    let counters = bench.counters();
    // 525 MHz x 2040 small cores make 1.9 nonces of difficulty 128 a second.
    let bundles = 1.071e12 / (128.0 * 2f64.powi(32)) * 600.0 / 16.0;
    let sigma = bundles.sqrt();
    assert!(
        (counters.valid as f64 - bundles).abs() < 5.0 * sigma,
        "{counters:?}"
    );
    assert_eq!(counters.duplicates, 15 * counters.valid);
    assert_eq!(bench.shares.len() as u64, counters.valid);
}

#[test]
fn chips_that_answer_but_find_nothing_are_set_up_again() {
    let mut bench = bench(settings(ChipKind::Bm1366, 1, 485.0, 4));
    bench.mine();
    // Every job is lost on the way, and a broken write has stopped the sweep.
    bench.damage = Some(Box::new(|bytes| {
        if bytes.get(2) == Some(&0x21) {
            bytes.clear();
        }
    }));
    let stop_sweep = bm13xx::Frame::write(
        bm13xx::Destination::All,
        bm13xx::Register::HashCountingNumber,
        0,
    );
    bench.chain.receive(bench.now, stop_sweep.as_bytes());
    bench.run_until(60 * SECOND, |session| session.phase() == Phase::Failed);
    assert_eq!(bench.failure, Some(Failure::NoNonces));
}

#[test]
fn the_clock_changes_up_and_down_without_losing_or_repeating_a_nonce() {
    for settings in every_kind() {
        let name = settings.chain.kind.to_string();
        let full = settings.chain.target;
        let mut bench = bench(settings);
        bench.mine();
        bench.run_for(5 * SECOND);
        let before = bench.counters();
        for part in [0.8, 1.0, 0.6, 0.9, 1.0] {
            let goal = Megahertz::new((full.get() * part / 6.25).round() * 6.25);
            bench
                .session
                .set_frequency(bench.now, goal)
                .expect("mining, so not busy");
            assert_eq!(
                bench.session.set_frequency(bench.now, full),
                Err(ChangeError::Busy)
            );
            bench.run_until(20 * SECOND, |session| {
                session.status(Duration::ZERO).clock == goal
            });
            bench.run_for(10 * SECOND);
            let hz = bench.report().chips[0].clock_hz.expect("a clock");
            // Within the raster of the PLL.
            assert!(
                (hz / goal.hz() - 1.0).abs() < 0.02,
                "{name}: {hz} for {goal}"
            );
            assert_eq!(bench.session.phase(), Phase::Mining);
        }
        bench.freeze();
        let (report, counters) = (bench.report(), bench.counters());
        assert_eq!(counters.duplicates, 0, "{name}");
        assert_eq!(report.duplicates(), 0, "{name}");
        assert_eq!(counters.hardware_errors, 0, "{name}");
        assert_eq!(counters.stale, 0, "{name}");
        // What a BM1370 finds before its offsets are written does not count.
        if name != "BM1370" {
            assert_eq!(counters.valid, bench.nonces_sent(), "{name}");
        }
        assert!(counters.valid > before.valid + 1000, "{name}");
    }
}

#[test]
fn a_clock_set_before_the_first_job_is_reached_though_work_begins_meanwhile() {
    for settings in every_kind() {
        let name = settings.chain.kind.to_string();
        let goal = Megahertz::new((settings.chain.target.get() * 0.8 / 6.25).round() * 6.25);
        let mut bench = bench(settings);
        bench.run_until_phase(Phase::Idle);
        bench
            .session
            .set_frequency(bench.now, goal)
            .expect("idle, so not busy");
        bench.give(job(1, bench.now));
        bench.run_until(20 * SECOND, |session| {
            session.status(Duration::ZERO).clock == goal
        });
        bench.run_for(10 * SECOND);
        assert_eq!(bench.session.phase(), Phase::Mining, "{name}");
        assert!(bench.counters().valid > 100, "{name}");
        assert_eq!(bench.counters().duplicates, 0, "{name}");
    }
}

/// One byte for two chains, at a pace of four jobs a second: after 32 s all values are used, and
/// only a new second of header time makes new headers.
#[test]
fn an_extranonce2_that_runs_out_repeats_no_share() {
    let mut settings = settings(ChipKind::Bm1366, 1, 485.0, 4);
    settings.partition = Partition::new(1, 2).expect("partition");
    let mut bench = bench(settings);
    let mut tiny = job(1, Duration::ZERO);
    tiny.extranonce2_len = 1;
    bench.give(tiny);
    bench.run_until_phase(Phase::Mining);
    bench.run_for(300 * SECOND);
    assert_eq!(bench.session.phase(), Phase::Mining);
    assert_eq!(bench.counters().duplicates, 0);
    let mut headers: Vec<_> = bench
        .shares
        .iter()
        .map(|share| (&share.extranonce2, share.ntime, share.version, share.nonce))
        .collect();
    let all = headers.len();
    headers.sort();
    headers.dedup();
    assert_eq!(headers.len(), all);
    assert!(all > 1000, "{all}");
    assert!(
        bench
            .shares
            .iter()
            .all(|share| share.extranonce2[0] % 2 == 1)
    );
}

/// Without version rolling a chip uses up an extranonce2 every few milliseconds, and one byte of it
/// long before the second is over. The chips then repeat themselves, which nobody must submit.
#[test]
fn a_second_without_new_headers_is_told_and_brings_no_share_twice() {
    let mut bench = bench(settings(ChipKind::Bm1366, 1, 485.0, 4));
    let mut tiny = job(1, Duration::ZERO);
    tiny.extranonce2_len = 1;
    tiny.version_mask = 0;
    bench.give(tiny);
    bench.run_until_phase(Phase::Mining);
    bench.run_for(30 * SECOND);
    assert_eq!(bench.session.phase(), Phase::Mining);
    assert!(
        bench
            .warnings
            .iter()
            .any(|text| text.contains("no new header")),
        "{:?}",
        bench.warnings
    );
    let counters = bench.counters();
    assert_eq!(counters.hardware_errors, 0);
    let mut headers: Vec<_> = bench
        .shares
        .iter()
        .map(|share| (&share.extranonce2, share.ntime, share.nonce))
        .collect();
    let all = headers.len();
    headers.sort();
    headers.dedup();
    assert_eq!(headers.len(), all);
    assert!(all > 50, "{all}");
    // A job with room ends it.
    bench.give(job(2, bench.now));
    bench.warnings.clear();
    bench.run_for(10 * SECOND);
    assert_eq!(bench.warnings, Vec::<String>::new());
}

#[test]
fn a_job_without_room_for_this_chain_is_told_and_the_next_one_mined() {
    let mut settings = settings(ChipKind::Bm1366, 1, 485.0, 4);
    settings.partition = Partition::new(300, 301).expect("partition");
    let mut bench = bench(settings);
    let mut tiny = job(1, Duration::ZERO);
    tiny.extranonce2_len = 1;
    bench.give(tiny);
    bench.run_for(60 * SECOND);
    assert_eq!(bench.session.phase(), Phase::Idle);
    bench.give(job(2, bench.now));
    bench.run_for(5 * SECOND);
    assert!(bench.shares.len() > 50);
}

#[test]
fn a_stop_in_any_phase_ends_soon_and_leaves_no_chip_hashing() {
    let phases = [
        Phase::Discovering,
        Phase::BringingUp,
        Phase::Ramping,
        Phase::Verifying,
        Phase::Idle,
        Phase::Mining,
    ];
    for settings in every_kind() {
        let kind = settings.chain.kind;
        for phase in phases {
            let mut bench = bench(settings.clone());
            if phase == Phase::Mining {
                bench.mine();
            } else {
                bench.run_until_phase(phase);
            }
            let asked = bench.now;
            bench.stop();
            let took = bench.now - asked;
            assert!(took < 5 * SECOND, "{kind} {phase:?}: {took:?}");
            bench.run_for(SECOND);
            if kind == ChipKind::Bm1397 {
                // Those have no way to rest, only a low clock.
                let low = settings.chain.start.hz();
                let clocks = bench.chain.chips().filter_map(|chip| chip.clock_hz);
                assert!(
                    clocks.max_by(f64::total_cmp) <= Some(low * 1.1),
                    "{phase:?}"
                );
            } else {
                assert_eq!(bench.chips_hashing(), 0, "{kind} {phase:?}");
            }
            assert_eq!(
                bench.report().count(Notice::BaudMismatch),
                0,
                "{kind} {phase:?}"
            );
        }
    }
}
