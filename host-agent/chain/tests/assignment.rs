//! Several upstreams on one chain of virtual chips: parts by weight, what a clean job interrupts, and what
//! becomes of nonces on their way.

mod support;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bm13xx::ChipKind;
use board_simulator::Noise;
use chain::{Phase, Settings};
use mining::{Assignment, Job, Lot, Partition};
use support::{Bench, VERSION_MASK, job, settings};

const SECOND: Duration = Duration::from_secs(1);

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

fn bench(settings: &Settings) -> Bench {
    Bench::new(settings.clone(), Noise::default())
}

fn of_session(session: u64, generation: u64, bench: &Bench) -> Job {
    let mut job = job(generation, bench.now);
    job.session = session;
    job.extranonce1 = vec![session as u8; 4];
    job
}

/// A job whose merkle root the upstream fixes.
fn fixed_root(number: u64, now: Duration) -> Job {
    Job {
        coinbase1: Vec::new(),
        extranonce1: Vec::new(),
        extranonce2_len: 0,
        coinbase2: Vec::new(),
        merkle_branch: Vec::new(),
        fixed_root: Some([7; 32]),
        ..job(number, now)
    }
}

fn of(jobs: impl IntoIterator<Item = (Job, u32)>) -> Assignment {
    let lots: Vec<Lot> = jobs
        .into_iter()
        .map(|(job, weight)| Lot {
            job: Arc::new(job),
            weight,
        })
        .collect();
    let floors = lots.iter().map(|lot| (lot.job.session, lot.job.generation));
    Assignment {
        floors: floors.collect(),
        lots,
    }
}

/// Sessions 1 and 2 with these generations, and 10 to 90.
fn ten_to_ninety(bench: &Bench, first: u64, second: u64) -> Assignment {
    of([
        (of_session(1, first, bench), 10),
        (of_session(2, second, bench), 90),
    ])
}

fn jobs_sent(bench: &Bench) -> u64 {
    bench.session.status(bench.now).jobs_sent
}

/// Every nonce is a share here, so shares count the work. Long turns of the profile do not matter.
#[test]
fn ten_to_ninety_is_met_over_a_minute() {
    for mut settings in every_kind() {
        settings.max_work_interval = 2 * SECOND;
        let name = settings.chain.kind.to_string();
        let mut bench = bench(&settings);
        bench.assign(ten_to_ninety(&bench, 1, 1));
        bench.run_until_phase(Phase::Mining);
        // The offsets of a BM1370 are written first.
        bench.run_for(3 * SECOND);
        for _ in 0..2 {
            bench.shares.clear();
            bench.run_for(60 * SECOND);
            let all = bench.shares.len() as f64;
            let first = bench.shares.iter().filter(|share| share.job.session == 1);
            let part = first.count() as f64 / all;
            let error = 5.0 * (0.1 * 0.9 / all).sqrt() + 0.5 / 60.0;
            assert!((part - 0.1).abs() <= error, "{name}: {part} of {all}");
        }
        bench.freeze();
        let counters = bench.counters();
        assert_eq!(counters.hardware_errors, 0, "{name}");
        assert_eq!(counters.duplicates, 0, "{name}");
        assert_eq!(counters.stale, 0, "{name}");
    }
}

#[test]
fn only_a_clean_job_of_the_pool_at_work_interrupts() {
    let settings = settings(ChipKind::Bm1366, 2, 485.0, 4);
    let mut bench = bench(&settings);
    bench.assign(ten_to_ninety(&bench, 1, 2));
    bench.run_until_phase(Phase::Mining);
    let mut generations = [1, 2];
    let mut interrupted = [0, 0];
    for round in 0..400 {
        bench.run_for(Duration::from_millis(90 + round % 23));
        let pool = (round % 2) as usize;
        generations[pool] = 3 + round;
        let before = jobs_sent(&bench);
        let next = ten_to_ninety(&bench, generations[0], generations[1]);
        bench.assign(next);
        interrupted[pool] += jobs_sent(&bench) - before;
        bench.shares.clear();
        bench.run_for(Duration::from_millis(10));
        for share in &bench.shares {
            let generation = generations[share.job.session as usize - 1];
            assert_eq!(share.job.generation, generation);
        }
    }
    // 200 clean jobs each, which meet their own work for a tenth and nine tenths of the time.
    assert!((5..=45).contains(&interrupted[0]), "{interrupted:?}");
    assert!((155..=195).contains(&interrupted[1]), "{interrupted:?}");
    let counters = bench.counters();
    assert!(counters.stale > 0);
    assert_eq!((counters.hardware_errors, counters.duplicates), (0, 0));
}

#[test]
fn a_pool_that_gets_no_more_work_still_gets_what_is_found_late() {
    for settings in every_kind() {
        let name = settings.chain.kind.to_string();
        let mut bench = bench(&settings);
        bench.assign(of([(of_session(1, 1, &bench), 1)]));
        bench.run_until_phase(Phase::Mining);
        bench.run_for(5 * SECOND);
        let mut late = 0;
        for round in 0..30 {
            let (to, from) = (1 + (round + 1) % 2, 1 + round % 2);
            let mut next = of([(of_session(to, 1, &bench), 1)]);
            next.floors.push((from, 1));
            bench.assign(next);
            bench.shares.clear();
            bench.run_for(Duration::from_millis(1007));
            late += bench
                .shares
                .iter()
                .filter(|share| share.job.session == from)
                .count();
        }
        bench.freeze();
        let counters = bench.counters();
        assert!(late > 10, "{name}: {late}");
        assert_eq!(
            (
                counters.stale,
                counters.hardware_errors,
                counters.duplicates
            ),
            (0, 0, 0),
            "{name}"
        );
        if name != "BM1370" {
            assert_eq!(counters.valid, bench.nonces_sent(), "{name}");
        }
    }
}

#[test]
fn a_pool_that_has_gone_gets_nothing_and_the_other_one_all_at_once() {
    let settings = settings(ChipKind::Bm1366, 2, 485.0, 4);
    let mut bench = bench(&settings);
    let mut stale = 0;
    for session in 1..40 {
        bench.assign(of([(of_session(session, 1, &bench), 1)]));
        bench.run_until_phase(Phase::Mining);
        bench.shares.clear();
        bench.run_for(Duration::from_millis(300));
        assert!(
            bench
                .shares
                .iter()
                .all(|share| share.job.session == session)
        );
        stale = bench.counters().stale;
    }
    assert!(stale > 0, "no nonce crossed a change");
}

#[test]
fn at_rest_nonces_on_their_way_still_become_shares() {
    for settings in every_kind() {
        let name = settings.chain.kind.to_string();
        let mut bench = bench(&settings);
        bench.mine();
        bench.run_for(5 * SECOND);
        for number in 2..40 {
            let mut rest = Assignment::default();
            rest.floors.push((1, number - 1));
            bench.assign(rest);
            bench.run_for(SECOND / 2);
            assert_eq!(bench.session.phase(), Phase::Idle, "{name}");
            let mut next = job(number, bench.now);
            next.generation = number;
            let mut next = of([(next, 1)]);
            next.floors = vec![(1, number - 1)];
            bench.assign(next);
            bench.run_for(Duration::from_millis(203));
        }
        let mut rest = Assignment::default();
        rest.floors.push((1, 38));
        bench.assign(rest);
        bench.freeze();
        let counters = bench.counters();
        assert_eq!((counters.stale, counters.hardware_errors), (0, 0), "{name}");
        // A BM1397 repeats its last job at rest, and a BM1370 has no offsets at first.
        if !["BM1397", "BM1370"].contains(&name.as_str()) {
            assert_eq!(bench.shares.len() as u64, bench.nonces_sent(), "{name}");
        }
    }
}

#[test]
fn pools_that_allow_different_version_bits_do_not_make_chips_start_over() {
    for settings in every_kind() {
        let name = settings.chain.kind.to_string();
        let mut bench = bench(&settings);
        let mut narrow = of_session(2, 1, &bench);
        narrow.version_mask = 0x0fff_e000;
        narrow.version = 0x3000_0000;
        bench.assign(of([(of_session(1, 1, &bench), 1), (narrow, 1)]));
        bench.run_until_phase(Phase::Mining);
        bench.run_for(30 * SECOND);
        bench.freeze();
        let counters = bench.counters();
        assert!(counters.valid > 500, "{name}: {counters:?}");
        assert_eq!(
            (
                counters.stale,
                counters.hardware_errors,
                counters.duplicates
            ),
            (0, 0, 0),
            "{name}"
        );
    }
}

/// Three chains on one fixed merkle root, as on a standard channel of Stratum V2.
#[test]
fn chains_share_a_fixed_merkle_root_without_repeating_a_header() {
    for kind in [ChipKind::Bm1366, ChipKind::Bm1362] {
        let mut found = HashSet::new();
        let (mut seen, mut valid) = (0, 0);
        for index in 0..3 {
            let mut settings = settings(kind, 2, 450.0, 4);
            settings.partition = Partition::new(index, 3).expect("partition");
            let mut bench = bench(&settings);
            let job = fixed_root(1, bench.now);
            let start = job.ntime;
            bench.assign(Assignment::single(Arc::new(job)));
            bench.run_until_phase(Phase::Mining);
            bench.run_for(30 * SECOND);
            bench.freeze();
            assert_eq!(bench.warnings, Vec::<String>::new(), "{kind}");
            let counters = bench.counters();
            assert_eq!(
                (counters.duplicates, counters.hardware_errors),
                (0, 0),
                "{kind}"
            );
            valid += counters.valid;
            for share in &bench.shares {
                seen += 1;
                assert!(share.extranonce2.is_empty());
                assert!(u64::from(share.ntime - start) <= bench.now.as_secs());
                assert_eq!(share.version & !VERSION_MASK, 0x2000_0000);
                found.insert((share.version, share.ntime, share.nonce));
            }
        }
        assert!(seen > 1000, "{kind}: {seen}");
        assert_eq!((found.len(), seen as u64), (seen, valid), "{kind}");
    }
}

/// Without version rolling a fixed merkle root has one nonce space a second, which chips use up in an
/// instant: they starve, and it is said once.
#[test]
fn a_fixed_merkle_root_without_versions_starves_the_chips_and_is_told_once() {
    let settings = settings(ChipKind::Bm1366, 1, 485.0, 4);
    let mut bench = bench(&settings);
    let mut plain = fixed_root(1, bench.now);
    plain.version_mask = 0;
    bench.assign(Assignment::single(Arc::new(plain)));
    bench.run_until_phase(Phase::Mining);
    bench.run_for(60 * SECOND);
    assert_eq!(
        bench.failure,
        None,
        "{:?} {:?}",
        bench.counters(),
        bench.now
    );
    let [warning] = &bench.warnings[..] else {
        panic!("{:?}", bench.warnings)
    };
    assert!(warning.contains("next second"), "{warning}");
    let counters = bench.counters();
    assert_eq!(counters.hardware_errors, 0);
    let found: HashSet<_> = bench
        .shares
        .iter()
        .map(|share| (share.ntime, share.nonce))
        .collect();
    assert_eq!(found.len(), bench.shares.len());
}
