//! Verdicts on nonces.

mod common;

use common::{hash_of, hex32, job_of, made_up_job, number, solved_chain, work_of};
use mining::{
    Difficulty, HardwareFault, JobSlots, Outcome, Rolled, Share, SlotsError, Target, Work,
    hash_difficulty,
};
use proptest::prelude::*;

const NONE: Rolled = Rolled::None;

/// A ticket that one nonce in four meets, for made-up work that has to find nonces quickly.
fn ticket() -> Target {
    Target::from_zero_bits(2)
}

/// The first nonces from `from` on whose hashes of `work` satisfy a condition.
fn nonces(
    work: &Work,
    version: u32,
    from: u32,
    wanted: impl Fn(&[u8; 32]) -> bool,
) -> impl Iterator<Item = u32> {
    (from..).filter(move |&nonce| wanted(&hash_of(work, version, nonce)))
}

/// A table in which generation 1 of session 1 and all later ones are good.
fn table(slots: u8) -> JobSlots {
    let mut slots = JobSlots::new(slots).unwrap();
    slots.set_floors(&[(1, 1)]);
    slots
}

fn work(seed: u8, generation: u64) -> Work {
    work_of(made_up_job(seed, generation, 4), vec![seed, 0, 0, 0])
}

fn good_nonce(work: &Work) -> u32 {
    nonces(work, work.version, 0, |hash| {
        work.job.target.is_met_by(hash)
    })
    .next()
    .unwrap()
}

#[test]
fn the_recorded_nonce_is_a_share() {
    let chain = solved_chain();
    let work = work_of(
        job_of(&chain),
        common::hex(chain["extranonce2"].as_str().unwrap()),
    );
    let mut slots = table(16);
    let slot = slots.insert(work.clone());
    let mut hash = hex32(chain["hash_display"].as_str().unwrap());
    hash.reverse();
    let expected = Share {
        job: work.job.clone(),
        extranonce2: work.extranonce2.clone(),
        ntime: work.ntime,
        nonce: number(chain["nonce"].as_str().unwrap()),
        version: work.version,
        hash,
    };
    let ticket = Target::from_zero_bits(40);
    let outcome = slots.verify(slot, expected.nonce, Rolled::VersionBits(0), &ticket);
    assert_eq!(outcome, Outcome::Share(expected.clone()));
    assert_eq!(expected.difficulty(), chain["difficulty"].as_f64().unwrap());
    assert!(!expected.solves_block());

    // Any other nonce near it is not even worth a ticket.
    let outcome = slots.verify(slot, expected.nonce ^ 1, NONE, &ticket);
    assert!(matches!(
        outcome,
        Outcome::HardwareError(HardwareFault::MissesTicket { difficulty }) if difficulty < 256.0
    ));
}

#[test]
fn a_nonce_between_ticket_and_target_is_proof_but_no_share() {
    let work = work(1, 1);
    let mut slots = table(4);
    let slot = slots.insert(work.clone());
    let only_ticket =
        |hash: &[u8; 32]| ticket().is_met_by(hash) && !work.job.target.is_met_by(hash);
    let nonce = nonces(&work, work.version, 0, only_ticket).next().unwrap();
    let difficulty = hash_difficulty(&hash_of(&work, work.version, nonce));
    let outcome = slots.verify(slot, nonce, NONE, &ticket());
    assert_eq!(outcome, Outcome::BelowTarget { difficulty });
    assert!(outcome.is_proof());
    assert_eq!(
        slots.verify(slot, nonce, NONE, &ticket()),
        Outcome::Duplicate
    );
}

#[test]
fn the_same_nonce_twice_is_a_duplicate_and_no_proof() {
    let work = work(1, 1);
    let nonce = good_nonce(&work);
    let mut slots = table(4);
    let slot = slots.insert(work);
    assert!(matches!(
        slots.verify(slot, nonce, NONE, &ticket()),
        Outcome::Share(_)
    ));
    // Three ways of naming the unrolled version, one header.
    for rolled in [NONE, Rolled::VersionBits(0), Rolled::Midstate(0)] {
        let outcome = slots.verify(slot, nonce, rolled, &ticket());
        assert_eq!(outcome, Outcome::Duplicate);
        assert!(!outcome.is_proof());
    }
}

#[test]
fn a_share_found_with_a_rolled_version_carries_the_whole_version() {
    let work = work(1, 1);
    let mut slots = table(4);
    let slot = slots.insert(work.clone());
    for (rolled, version) in [
        (Rolled::VersionBits(0x8001), 0x3000_2000),
        (Rolled::VersionBits(0xffff), 0x3fff_e000),
        (Rolled::Midstate(3), 0x2000_6000),
    ] {
        let nonce = nonces(&work, version, 0, |hash| work.job.target.is_met_by(hash)).next();
        match slots.verify(slot, nonce.unwrap(), rolled, &ticket()) {
            Outcome::Share(share) => {
                assert_eq!(share.version, version);
                assert_eq!(share.hash, hash_of(&work, version, share.nonce));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_same_nonce_with_another_version_is_no_duplicate() {
    let work = work(1, 1);
    let rolled = work.version | 5 << 13;
    let both = |nonce: &u32| {
        let target = work.job.target;
        target.is_met_by(&hash_of(&work, rolled, *nonce))
    };
    let nonce = nonces(&work, work.version, 0, |hash| {
        work.job.target.is_met_by(hash)
    })
    .find(both)
    .unwrap();
    let mut slots = table(4);
    let slot = slots.insert(work.clone());
    for rolled in [NONE, Rolled::VersionBits(5)] {
        assert!(matches!(
            slots.verify(slot, nonce, rolled, &ticket()),
            Outcome::Share(_)
        ));
    }
}

#[test]
fn version_bits_outside_the_mask_are_a_hardware_error() {
    let mut job = made_up_job(1, 1, 4);
    job.version_mask = 0x0000_6000;
    let mut slots = table(4);
    let slot = slots.insert(work_of(job, vec![0; 4]));
    assert_eq!(
        slots.verify(slot, 0, Rolled::VersionBits(0x0004), &Target::MAX),
        Outcome::HardwareError(HardwareFault::VersionBits {
            bits: 0x8000,
            mask: 0x6000
        })
    );
    assert!(
        slots
            .verify(slot, 0, Rolled::VersionBits(0x0003), &Target::MAX)
            .is_proof()
    );
}

#[test]
fn a_midstate_that_was_not_sent_is_a_hardware_error() {
    let mut slots = table(4);
    let slot = slots.insert(work(1, 1));
    let fault = HardwareFault::Midstate { index: 4, count: 4 };
    let outcome = slots.verify(slot, 0, Rolled::Midstate(4), &Target::MAX);
    assert_eq!(outcome, Outcome::HardwareError(fault));

    let mut job = made_up_job(2, 1, 4);
    job.version_mask = 0;
    let slot = slots.insert(work_of(job, vec![0; 4]));
    assert!(
        slots
            .verify(slot, 0, Rolled::Midstate(0), &Target::MAX)
            .is_proof()
    );
    let fault = HardwareFault::Midstate { index: 1, count: 1 };
    let outcome = slots.verify(slot, 0, Rolled::Midstate(1), &Target::MAX);
    assert_eq!(outcome, Outcome::HardwareError(fault));
}

#[test]
fn slots_are_used_in_rotation() {
    let mut slots = table(3);
    let used: Vec<u8> = (0..7).map(|i| slots.insert(work(i, 1))).collect();
    assert_eq!(used, [0, 1, 2, 0, 1, 2, 0]);
    assert_eq!(slots.work(1), Some(&work(4, 1)));
    assert_eq!(slots.work(3), None);
    for count in [0, 129, 255] {
        assert_eq!(JobSlots::new(count).err(), Some(SlotsError(count)));
    }
    let mut slots = table(128);
    assert_eq!((0..129).map(|_| slots.insert(work(1, 1))).last(), Some(0));
}

#[test]
fn slots_that_hold_nothing_are_stale() {
    let mut slots = table(3);
    slots.insert(work(1, 1));
    for slot in [1, 2, 3, 255] {
        assert_eq!(slots.verify(slot, 0, NONE, &Target::MAX), Outcome::Stale);
    }
}

#[test]
fn a_clean_job_makes_older_nonces_stale_at_once() {
    let old = work(1, 1);
    let nonce = good_nonce(&old);
    let mut slots = table(4);
    let slot = slots.insert(old.clone());
    slots.set_floors(&[(1, 2)]);
    assert_eq!(slots.verify(slot, nonce, NONE, &ticket()), Outcome::Stale);
    // It cannot be taken back.
    slots.set_floors(&[(1, 1)]);
    assert_eq!(slots.verify(slot, nonce, NONE, &ticket()), Outcome::Stale);
    // Work of the old generation that is still on its way in is stale as well.
    let slot = slots.insert(old);
    assert_eq!(slots.verify(slot, nonce, NONE, &ticket()), Outcome::Stale);
}

#[test]
fn work_below_the_floor_of_its_session_is_stale_and_work_of_another_session_is_not() {
    let of = |session, seed, generation| {
        let mut job = made_up_job(seed, generation, 4);
        job.session = session;
        work_of(job, vec![seed, 0, 0, 0])
    };
    let works = [of(1, 1, 1), of(2, 2, 2), of(3, 3, 9)];
    let verdicts = |slots: &mut JobSlots| {
        let verdict =
            |(slot, work): (u8, &Work)| match slots.verify(slot, good_nonce(work), NONE, &ticket())
            {
                Outcome::Share(share) => share.job.session,
                Outcome::Stale => 0,
                other => panic!("{other:?}"),
            };
        (0u8..).zip(&works).map(verdict).collect::<Vec<_>>()
    };
    for (floors, expected) in [
        (&[(1, 1), (2, 1), (3, 1)][..], [1, 2, 3]),
        (&[(3, 9), (1, 1)], [1, 0, 3]),
        (&[(1, 2), (2, 2)], [0, 2, 0]),
        (&[], [0, 0, 0]),
    ] {
        let mut slots = JobSlots::new(3).unwrap();
        for work in &works {
            slots.insert(work.clone());
        }
        slots.set_floors(floors);
        assert_eq!(verdicts(&mut slots), expected, "{floors:?}");
    }
}

#[test]
fn a_session_that_was_away_comes_back_with_its_old_floor() {
    let old = work(1, 1);
    let nonce = good_nonce(&old);
    let mut slots = table(4);
    let slot = slots.insert(old);
    slots.set_floors(&[]);
    assert_eq!(slots.verify(slot, nonce, NONE, &ticket()), Outcome::Stale);
    slots.set_floors(&[(1, 1)]);
    assert!(slots.verify(slot, nonce, NONE, &ticket()).is_proof());
}

#[test]
fn a_good_predecessor_is_found_behind_void_work_of_another_session() {
    let first = work(1, 1);
    let mut other = made_up_job(2, 1, 4);
    other.session = 2;
    let other = work_of(other, vec![2, 0, 0, 0]);
    let nonce = crossed(&first, &[&other]);
    let mut slots = table(1);
    slots.insert(first.clone());
    let slot = slots.insert(other);
    match slots.verify(slot, nonce, NONE, &ticket()) {
        Outcome::Share(share) => assert_eq!(share.job, first.job),
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn work_of_the_same_generation_stays_good_beside_newer_work() {
    let first = work(1, 1);
    let nonce = good_nonce(&first);
    let mut slots = table(4);
    let slot = slots.insert(first);
    slots.insert(work(2, 1));
    assert!(matches!(
        slots.verify(slot, nonce, NONE, &ticket()),
        Outcome::Share(_)
    ));
}

/// A nonce that meets the target for the first work and misses the ticket for the others.
fn crossed(first: &Work, others: &[&Work]) -> u32 {
    let misses = |work: &Work, nonce| !ticket().is_met_by(&hash_of(work, work.version, nonce));
    nonces(first, first.version, 0, |hash| {
        first.job.target.is_met_by(hash)
    })
    .find(|&nonce| others.iter().all(|other| misses(other, nonce)))
    .unwrap()
}

#[test]
fn a_nonce_that_crossed_with_new_work_belongs_to_the_slot_s_previous_work() {
    let (first, second, third) = (work(1, 1), work(2, 1), work(3, 1));
    let nonce = crossed(&first, &[&second, &third]);
    let mut slots = table(1);
    slots.insert(first.clone());
    let slot = slots.insert(second);
    match slots.verify(slot, nonce, NONE, &ticket()) {
        Outcome::Share(share) => assert_eq!(share.job, first.job),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        slots.verify(slot, nonce, NONE, &ticket()),
        Outcome::Duplicate
    );
    // Only one predecessor is kept.
    slots.insert(third);
    assert!(matches!(
        slots.verify(slot, nonce, NONE, &ticket()),
        Outcome::HardwareError(HardwareFault::MissesTicket { .. })
    ));
}

#[test]
fn nonces_stay_known_when_their_work_becomes_the_predecessor() {
    let (first, second) = (work(1, 1), work(2, 1));
    let nonce = crossed(&first, &[&second]);
    let mut slots = table(1);
    let slot = slots.insert(first);
    assert!(slots.verify(slot, nonce, NONE, &ticket()).is_proof());
    slots.insert(second);
    assert_eq!(
        slots.verify(slot, nonce, NONE, &ticket()),
        Outcome::Duplicate
    );
}

#[test]
fn a_nonce_that_crossed_with_a_clean_job_is_stale_not_an_error() {
    let (first, second) = (work(1, 1), work(2, 2));
    let nonce = crossed(&first, &[&second]);
    let mut slots = table(1);
    slots.insert(first);
    let slot = slots.insert(second);
    slots.set_floors(&[(1, 2)]);
    assert_eq!(slots.verify(slot, nonce, NONE, &ticket()), Outcome::Stale);
}

#[test]
fn a_block_is_recognised() {
    let mut job = made_up_job(1, 1, 4);
    job.nbits = 0x207f_ffff;
    let work = work_of(job, vec![0; 4]);
    let easy = Target::from_nbits(0x207f_ffff).unwrap();
    let mut slots = table(1);
    let slot = slots.insert(work.clone());
    let solution = nonces(&work, work.version, 0, |hash| {
        work.job.target.is_met_by(hash)
    })
    .find(|&nonce| easy.is_met_by(&hash_of(&work, work.version, nonce)));
    match slots.verify(slot, solution.unwrap(), NONE, &ticket()) {
        Outcome::Share(share) => assert!(share.solves_block()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_difficulty_in_force_is_the_job_s_own() {
    let easy = work(1, 1);
    let mut hard = made_up_job(1, 1, 4);
    hard.target = Target::from_difficulty(Difficulty::ONE);
    let hard = work_of(hard, easy.extranonce2.clone());
    let nonce = good_nonce(&easy);
    let mut slots = table(2);
    let (easy, hard) = (slots.insert(easy), slots.insert(hard));
    assert!(matches!(
        slots.verify(hard, nonce, NONE, &ticket()),
        Outcome::BelowTarget { .. }
    ));
    assert!(matches!(
        slots.verify(easy, nonce, NONE, &ticket()),
        Outcome::Share(_)
    ));
}

fn rolled() -> impl Strategy<Value = Rolled> {
    prop_oneof![
        Just(Rolled::None),
        any::<u16>().prop_map(Rolled::VersionBits),
        any::<u8>().prop_map(Rolled::Midstate),
        (0u8..4).prop_map(Rolled::Midstate),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a chip reports, a share is a share by an independent computation, and a
    /// share is never missed.
    #[test]
    fn verdicts_agree_with_an_independent_hash(
        reports in proptest::collection::vec((0u8..4, 0u32..64, rolled()), 1..60),
        mask in prop_oneof![Just(0u32), Just(0x1fff_e000), Just(0x0000_6000), any::<u32>()],
    ) {
        let mut slots = table(4);
        let works: Vec<Work> = (0..4)
            .map(|seed| {
                let mut job = made_up_job(seed, 1, 4);
                job.version_mask = mask;
                work_of(job, vec![0; 4])
            })
            .collect();
        for work in &works {
            slots.insert(work.clone());
        }
        let mut seen = std::collections::HashSet::new();
        for (slot, nonce, rolled) in reports {
            let work = &works[usize::from(slot)];
            let allowed = mask & !work.version;
            let version = match rolled {
                Rolled::None => Some(work.version),
                Rolled::VersionBits(bits) => {
                    let bits = u32::from(bits) << 13;
                    (bits & !allowed == 0).then_some(work.version | bits)
                }
                Rolled::Midstate(0) => Some(work.version),
                Rolled::Midstate(index) => (index < 4 && allowed.count_ones() >= 2).then(|| {
                    // The mask's bits, lowest first, hold the number of steps.
                    let places = (0..32).filter(|i| allowed >> i & 1 == 1).enumerate();
                    places.fold(work.version, |version, (bit, place)| {
                        version | (u32::from(index) >> bit & 1) << place
                    })
                }),
            };
            let outcome = slots.verify(slot, nonce, rolled, &ticket());
            let Some(version) = version else {
                prop_assert!(matches!(outcome, Outcome::HardwareError(_)));
                continue;
            };
            let hash = hash_of(work, version, nonce);
            if !ticket().is_met_by(&hash) {
                let difficulty = hash_difficulty(&hash);
                let fault = HardwareFault::MissesTicket { difficulty };
                prop_assert_eq!(outcome, Outcome::HardwareError(fault));
            } else if !seen.insert((slot, version, nonce)) {
                prop_assert_eq!(outcome, Outcome::Duplicate);
            } else if !work.job.target.is_met_by(&hash) {
                let difficulty = hash_difficulty(&hash);
                prop_assert_eq!(outcome, Outcome::BelowTarget { difficulty });
            } else {
                let expected = Share {
                    job: work.job.clone(),
                    extranonce2: work.extranonce2.clone(),
                    ntime: work.ntime,
                    nonce,
                    version,
                    hash,
                };
                prop_assert_eq!(outcome, Outcome::Share(expected));
            }
        }
    }
}
