//! The extranonce partition, and that no header is ever made twice.

mod common;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use common::{made_up_job, sha256d, work_of};
use mining::{Assignment, Job, Partition, PartitionError, Work, WorkError, WorkSource};
use proptest::prelude::*;

const ARRIVAL: Duration = Duration::from_secs(50);

fn source(index: u32, count: u32, job: &Job) -> WorkSource {
    let mut source = WorkSource::new(Partition::new(index, count).unwrap());
    give(&mut source, job.clone());
    source
}

/// Assigns one job, which arrived when it says so.
fn give(source: &mut WorkSource, job: Job) {
    let assignment = Assignment::single(Arc::new(job));
    source.set_assignment(ARRIVAL, Arc::new(assignment));
}

fn take_away(source: &mut WorkSource) {
    source.set_assignment(ARRIVAL, Arc::default());
}

fn value(extranonce2: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    bytes[..extranonce2.len()].copy_from_slice(extranonce2);
    u128::from_le_bytes(bytes)
}

#[test]
fn extranonce2_counts_up_little_endian() {
    for (counter, len, expected) in [
        (0, 4, "00000000"),
        (1, 4, "01000000"),
        (2, 4, "02000000"),
        ((1 << 32) - 2, 4, "feffffff"),
        ((1 << 31) - 1, 6, "ffffff7f0000"),
        (0x0102, 16, "02010000000000000000000000000000"),
    ] {
        let bytes = Partition::WHOLE.extranonce2(counter, len).unwrap();
        assert_eq!(bytes, common::hex(expected));
    }
}

#[test]
fn chains_that_do_not_exist_are_refused() {
    let error = PartitionError { index: 3, count: 3 };
    assert_eq!(Partition::new(3, 3), Err(error));
    assert!(Partition::new(0, 0).is_err());
    assert!(Partition::new(2, 3).is_ok());
}

#[test]
fn the_parts_of_all_chains_are_the_whole_space_once() {
    for count in [1, 2, 3, 7, 255, 256, 257, 300] {
        let mut values = Vec::new();
        for index in 0..count {
            let part = Partition::new(index, count).unwrap();
            let own = part.values(1);
            values.extend((0..own).map(|i| value(&part.extranonce2(i, 1).unwrap())));
            // Behind its end a part starts over.
            assert_eq!(part.extranonce2(own, 1), part.extranonce2(0, 1));
        }
        values.sort_unstable();
        assert_eq!(values, (0..256).collect::<Vec<_>>(), "{count} chains");
    }
}

#[test]
fn there_is_no_work_without_a_job() {
    let mut source = WorkSource::new(Partition::WHOLE);
    assert_eq!(source.next_work(ARRIVAL), Err(WorkError::NoJob));
    give(&mut source, made_up_job(1, 1, 4));
    assert!(source.next_work(ARRIVAL).is_ok());
    assert!(source.is_assigned());
    take_away(&mut source);
    assert_eq!(source.next_work(ARRIVAL), Err(WorkError::NoJob));
    assert!(!source.is_assigned());
}

#[test]
fn work_is_what_an_independent_computation_makes_of_the_job() {
    let job = made_up_job(1, 1, 4);
    let mut source = source(1, 3, &job);
    for counter in 0..5u8 {
        let work = source.next_work(ARRIVAL).unwrap();
        assert_eq!(work, work_of(job.clone(), vec![3 * counter + 1, 0, 0, 0]));
    }
}

#[test]
fn a_clean_job_does_not_restart_the_counter() {
    let mut source = source(0, 1, &made_up_job(1, 1, 4));
    source.next_work(ARRIVAL).unwrap();
    source.next_work(ARRIVAL).unwrap();
    give(&mut source, made_up_job(2, 2, 4));
    assert_eq!(source.next_work(ARRIVAL).unwrap().extranonce2, [2, 0, 0, 0]);
    give(&mut source, made_up_job(1, 3, 8));
    assert_eq!(
        source.next_work(ARRIVAL).unwrap().extranonce2,
        [3, 0, 0, 0, 0, 0, 0, 0]
    );
}

#[test]
fn time_is_the_jobs_plus_whole_seconds_since_it_arrived() {
    let job = made_up_job(1, 1, 4);
    let mut source = source(0, 1, &job);
    for (millis, expected) in [(0, 0), (999, 0), (1000, 1), (61_500, 61), (8_000_000, 7000)] {
        let now = ARRIVAL + Duration::from_millis(millis);
        assert_eq!(source.next_work(now).unwrap().ntime, job.ntime + expected);
    }
}

#[test]
fn time_never_goes_back_even_if_the_clock_or_a_resent_job_does() {
    let mut job = made_up_job(1, 1, 4);
    let mut source = source(0, 1, &job);
    let later = ARRIVAL + Duration::from_secs(10);
    assert_eq!(source.next_work(later).unwrap().ntime, job.ntime + 10);
    assert_eq!(source.next_work(ARRIVAL).unwrap().ntime, job.ntime + 10);
    job.received = later;
    give(&mut source, job.clone());
    assert_eq!(source.next_work(later).unwrap().ntime, job.ntime + 10);
    assert_eq!(
        source.next_work(Duration::ZERO).unwrap().ntime,
        job.ntime + 10
    );
}

#[test]
fn the_latest_possible_time_does_not_overflow() {
    let mut job = made_up_job(1, 1, 4);
    job.ntime = u32::MAX - 1;
    let mut source = source(0, 1, &job);
    assert_eq!(source.next_work(Duration::MAX).unwrap().ntime, u32::MAX);
}

#[test]
fn a_used_up_extranonce2_goes_on_in_the_next_second() {
    let mut source = source(1, 100, &made_up_job(1, 1, 1));
    let at = |millis| ARRIVAL + Duration::from_millis(millis);
    for expected in [1, 101, 201] {
        assert_eq!(source.next_work(at(0)).unwrap().extranonce2, [expected]);
    }
    assert_eq!(source.next_work(at(999)), Err(WorkError::Exhausted));
    let work = source.next_work(at(1000)).unwrap();
    assert_eq!((work.extranonce2, work.ntime), (vec![1], 1_700_000_001));
    source.next_work(at(1000)).unwrap();
    source.next_work(at(2500)).unwrap();
    // The last of this round was made two seconds in, so the next round must be later.
    assert_eq!(source.next_work(at(2999)), Err(WorkError::Exhausted));
    assert_eq!(source.next_work(at(3000)).unwrap().ntime, 1_700_000_003);
}

#[test]
fn a_resent_job_does_not_refill_a_used_up_extranonce2() {
    let job = made_up_job(1, 1, 1);
    let mut source = source(255, 256, &job);
    source.next_work(ARRIVAL).unwrap();
    let again = Job {
        id: "again".into(),
        generation: 2,
        ..job
    };
    give(&mut source, again);
    assert_eq!(source.next_work(ARRIVAL), Err(WorkError::Exhausted));
    // Nor does a lost and resumed session.
    take_away(&mut source);
    give(&mut source, made_up_job(1, 3, 1));
    assert_eq!(source.next_work(ARRIVAL), Err(WorkError::Exhausted));
    give(&mut source, made_up_job(2, 4, 1));
    assert!(source.next_work(ARRIVAL).is_ok());
}

#[test]
fn a_chain_without_a_value_of_its_own_is_told_so() {
    let mut source = source(256, 300, &made_up_job(1, 1, 1));
    let partition = Partition::new(256, 300).unwrap();
    let error = WorkError::NoRoom {
        extranonce2_len: 1,
        partition,
    };
    assert_eq!(source.next_work(ARRIVAL), Err(error));
    assert_eq!(
        error.to_string(),
        "an extranonce2 of 1 bytes has no value left for chain 256 of 300"
    );
}

#[test]
fn impossible_extranonce2_lengths_are_refused() {
    for len in [0, 17, usize::MAX] {
        let mut source = source(0, 1, &made_up_job(1, 1, len));
        assert_eq!(
            source.next_work(ARRIVAL),
            Err(WorkError::Extranonce2Length(len))
        );
    }
}

#[test]
fn a_job_without_room_to_roll_gives_one_midstate() {
    let midstates = |version_mask| {
        let mut job = made_up_job(1, 1, 4);
        job.version_mask = version_mask;
        work_of(job, vec![0; 4]).midstates()
    };
    assert_eq!(midstates(0).len(), 1);
    // One bit gives two versions: with four midstates each would be hashed twice.
    assert_eq!(midstates(0x0000_2000).len(), 1);
    assert_eq!(midstates(0x2000_0000).len(), 1);
    let four = midstates(0x1fff_e000);
    assert_eq!(four.iter().collect::<HashSet<_>>().len(), 4);
    assert_eq!(four[0], midstates(0)[0]);
}

#[test]
fn bits_that_the_job_sets_are_left_out_of_the_work_s_mask() {
    let mut job = made_up_job(1, 1, 4);
    job.version = 0x3000_2000;
    let work = WorkSource::clone(&source(0, 1, &job))
        .next_work(ARRIVAL)
        .unwrap();
    assert_eq!(work.rollable_mask, 0x0fff_c000);
    assert_eq!(work.midstate_version(1), 0x3000_6000);
}

/// A header but for nonce and rolled version.
fn header_key(work: &Work) -> [u8; 32] {
    sha256d(&work.header(work.version, 0))
}

#[derive(Clone, Debug)]
enum Step {
    Job { resent: bool, ntime: u32 },
    Works(u8),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<bool>(), 0u32..3).prop_map(|(resent, ntime)| Step::Job { resent, ntime }),
        (1u8..200).prop_map(Step::Works),
        (0u16..3000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn chains_never_share_an_extranonce2(
        count in 1u32..1000,
        chains in any::<(u32, u32)>(),
        counters in any::<(u128, u128)>(),
        len in 1usize..=16,
    ) {
        let (a, b) = (chains.0 % count, chains.1 % count);
        let of = |chain, counter| {
            let bytes = Partition::new(chain, count).unwrap().extranonce2(counter, len);
            if let Some(bytes) = &bytes {
                assert_eq!(bytes.len(), len);
                assert_eq!(value(bytes) % u128::from(count), u128::from(chain));
            }
            bytes
        };
        if let (Some(left), Some(right)) = (of(a, counters.0), of(b, counters.1)) {
            prop_assert!(a == b || left != right);
        }
    }

    #[test]
    fn no_header_is_made_twice_whatever_happens(
        steps in proptest::collection::vec(step(), 1..25),
        count in 1u32..5,
        len in 1usize..3,
    ) {
        let mut job = made_up_job(0, 1, len);
        let mut now = ARRIVAL;
        let mut sources: Vec<_> = (0..count).map(|index| source(index, count, &job)).collect();
        let mut made = HashSet::new();
        for step in steps {
            match step {
                Step::Job { resent, ntime } => {
                    let seed = job.prev_hash[0] + u8::from(!resent);
                    let ntime = job.ntime + ntime;
                    job = made_up_job(seed, job.generation + 1, len);
                    (job.ntime, job.received) = (ntime, now);
                    for source in &mut sources {
                        give(source, job.clone());
                    }
                }
                Step::Works(works) => {
                    for source in &mut sources {
                        for _ in 0..works {
                            match source.next_work(now) {
                                Ok(work) => prop_assert!(made.insert(header_key(&work))),
                                Err(error) => prop_assert_eq!(error, WorkError::Exhausted),
                            }
                        }
                    }
                }
                Step::Wait(millis) => now += Duration::from_millis(millis.into()),
            }
        }
    }
}
