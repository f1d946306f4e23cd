//! Several upstreams at once: hashing time by weight, what a clean job of one of them changes, and that no
//! header is made twice.

mod common;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use common::{made_up_job, sha256d};
use mining::{Assignment, Job, Lot, Partition, VersionMask, Work, WorkError, WorkSource};
use proptest::prelude::*;

const TURN: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);

fn job(session: u64, generation: u64) -> Job {
    let mut job = made_up_job(generation as u8, generation, 4);
    job.session = session;
    job.extranonce1 = vec![session as u8, 5];
    job
}

/// A job whose merkle root is not ours to make.
fn fixed_root_job(session: u64, generation: u64) -> Job {
    Job {
        coinbase1: Vec::new(),
        extranonce1: Vec::new(),
        extranonce2_len: 0,
        coinbase2: Vec::new(),
        merkle_branch: Vec::new(),
        fixed_root: Some([session as u8; 32]),
        ..job(session, generation)
    }
}

/// Jobs of generation 1 with these sessions and weights.
fn weights(weights: &[(u64, u32)]) -> Assignment {
    of(weights
        .iter()
        .map(|&(session, weight)| (job(session, 1), weight)))
}

fn of(jobs: impl IntoIterator<Item = (Job, u32)>) -> Assignment {
    let lots: Vec<Lot> = jobs
        .into_iter()
        .map(|(job, weight)| Lot {
            job: Arc::new(job),
            weight,
        })
        .collect();
    Assignment {
        floors: lots
            .iter()
            .map(|lot| (lot.job.session, lot.job.generation))
            .collect(),
        lots,
    }
}

/// Chips that take work when it is due, or when theirs is void, and a book of what they did.
struct Chips {
    source: WorkSource,
    now: Duration,
    due: Duration,
    turn: Duration,
    lasts: Duration,
    /// Session of the work at hand, and since when.
    at: Option<(u64, Duration)>,
    seconds: BTreeMap<u64, f64>,
    works: Vec<Work>,
}

impl Chips {
    fn new(partition: Partition) -> Self {
        Self {
            source: WorkSource::new(partition),
            now: Duration::from_secs(50),
            due: Duration::ZERO,
            turn: TURN,
            lasts: Duration::from_secs(3600),
            at: None,
            seconds: BTreeMap::new(),
            works: Vec::new(),
        }
    }

    fn assign(&mut self, assignment: Assignment) {
        self.source.set_assignment(self.now, Arc::new(assignment));
        if !self.source.is_assigned() {
            self.enter();
            self.at = None;
        } else if self.source.newest_is_void() || self.source.newest_is_used_up(self.now) {
            self.take();
        }
    }

    /// Puts the time since the last work into the book.
    fn enter(&mut self) {
        if let Some((session, since)) = self.at {
            let seconds = (self.now - since).as_secs_f64();
            *self.seconds.entry(session).or_default() += seconds;
            self.at = Some((session, self.now));
        }
    }

    fn take(&mut self) {
        self.enter();
        match self.source.next_work(self.now) {
            Ok(work) => {
                self.at = Some((work.job.session, self.now));
                self.works.push(work);
                self.due = self.source.begin_turn(self.now, self.turn, self.lasts);
            }
            Err(_) => self.due = self.now + Duration::from_millis(20),
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.source.is_assigned() && self.due <= end {
            self.now = self.now.max(self.due);
            self.take();
        }
        self.now = end;
        self.enter();
    }

    fn seconds(&self, session: u64) -> f64 {
        self.seconds.get(&session).copied().unwrap_or_default()
    }

    fn sessions(&self) -> Vec<u64> {
        self.works.iter().map(|work| work.job.session).collect()
    }
}

fn chips() -> Chips {
    Chips::new(Partition::WHOLE)
}

#[test]
fn ten_to_ninety_is_met_within_a_minute_and_stays_met() {
    let mut chips = chips();
    chips.assign(weights(&[(1, 10), (2, 90)]));
    for minute in 1..=60 {
        chips.run(60 * SECOND);
        let error = chips.seconds(1) - 6.0 * f64::from(minute);
        assert!(error.abs() <= 0.5, "minute {minute}: {error}");
    }
}

#[test]
fn turns_alternate_rather_than_come_in_blocks() {
    let mut chips = chips();
    chips.assign(weights(&[(1, 1), (2, 1)]));
    chips.run(4 * SECOND);
    assert!(chips.sessions().windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn only_one_lot_gets_all_and_one_of_weight_zero_nothing() {
    let mut chips = chips();
    chips.assign(weights(&[(1, 0), (2, 7)]));
    chips.run(10 * SECOND);
    assert_eq!((chips.seconds(1), chips.seconds(2)), (0.0, 10.0));
    let mut chips = self::chips();
    chips.assign(weights(&[(1, 0)]));
    assert_eq!(chips.source.next_work(chips.now), Err(WorkError::NoJob));
}

#[test]
fn a_lot_that_appears_gets_no_back_pay_and_one_that_returns_neither() {
    let mut chips = chips();
    chips.assign(weights(&[(1, 1)]));
    chips.run(1000 * SECOND);
    chips.assign(weights(&[(1, 1), (2, 1)]));
    chips.run(10 * SECOND);
    assert!((chips.seconds(2) - 5.0).abs() <= 0.5);
    // Away while it was owed something.
    for _ in 0..100 {
        chips.assign(weights(&[(1, 1)]));
        chips.run(3 * SECOND);
        let before = chips.seconds(2);
        chips.assign(weights(&[(1, 1), (2, 1)]));
        chips.run(2 * SECOND);
        let got = chips.seconds(2) - before;
        assert!((got - 1.0).abs() <= 0.5, "{got}");
    }
}

#[test]
fn lots_that_leave_while_they_are_owed_something_leave_nobody_in_debt() {
    let mut chips = chips();
    for _ in 0..100 {
        chips.assign(weights(&[(1, 1), (2, 1)]));
        chips.run(Duration::from_millis(500));
        chips.assign(weights(&[(1, 1)]));
        chips.run(Duration::from_millis(500));
    }
    chips.seconds.clear();
    chips.assign(weights(&[(1, 1), (3, 1)]));
    chips.run(10 * SECOND);
    assert!((chips.seconds(3) - 5.0).abs() <= 0.5, "{:?}", chips.seconds);
}

#[test]
fn a_lot_that_could_not_use_its_turns_gets_no_back_pay() {
    let mut chips = chips();
    (chips.turn, chips.lasts) = (TURN / 5, TURN / 5);
    chips.assign(of([(fixed_root_job(1, 1), 90), (job(2, 1), 10)]));
    chips.run(100 * SECOND);
    chips.seconds.clear();
    chips.assign(of([(job(1, 2), 1), (job(2, 1), 1)]));
    chips.run(10 * SECOND);
    assert!((chips.seconds(1) - 5.0).abs() <= 0.5, "{:?}", chips.seconds);
}

/// A pool of little weight, whose work differs in nothing but time, beside one that floods jobs.
#[test]
fn jobs_by_the_dozen_do_not_make_the_source_forget_a_job_at_work() {
    let mut source = WorkSource::new(Partition::WHOLE);
    let (now, still) = (Duration::from_secs(50), fixed_root_job(2, 1));
    let mut made = HashSet::new();
    for generation in 1..200u64 {
        let mut flood = job(1, generation);
        flood.prev_hash = [7; 32];
        flood.version ^= generation as u32 & 0xfff;
        let lots = of([(flood, 1), (still.clone(), 1)]);
        source.set_assignment(now, Arc::new(lots));
        for _ in 0..2 {
            if let Ok(work) = source.next_work(now) {
                assert!(made.insert(header_key(&work)), "{}", work.job.session);
            }
        }
    }
    assert!(made.len() >= 200);
}

#[test]
fn new_weights_hold_from_their_moment_on() {
    let mut chips = chips();
    chips.assign(weights(&[(1, 10), (2, 90)]));
    chips.run(100 * SECOND);
    let before = chips.seconds(1);
    chips.assign(weights(&[(1, 90), (2, 10)]));
    chips.run(100 * SECOND);
    assert!((chips.seconds(1) - before - 90.0).abs() <= 1.0);
    assert!((chips.seconds(1) - 100.0).abs() <= 0.5);
}

#[test]
fn a_clean_job_of_the_lot_at_work_goes_out_at_once_and_has_the_rest_of_the_turn() {
    let mut chips = chips();
    let both = |first, second| of([(job(1, first), 1), (job(2, second), 1)]);
    chips.assign(both(1, 2));
    chips.run(Duration::from_millis(200));
    assert_eq!(chips.sessions(), [1]);
    chips.assign(both(3, 2));
    assert_eq!(chips.works.last().unwrap().job.generation, 3);
    // The other lot is not kept waiting, however often that happens.
    chips.run(Duration::from_millis(200));
    chips.assign(both(4, 2));
    chips.run(Duration::from_millis(99));
    chips.assign(both(5, 2));
    assert_eq!(chips.sessions(), [1, 1, 1, 1]);
    chips.run(Duration::from_millis(2));
    assert_eq!(chips.sessions(), [1, 1, 1, 1, 2]);
}

#[test]
fn a_clean_job_of_the_other_lot_waits_for_its_turn() {
    let mut chips = chips();
    chips.assign(of([(job(1, 1), 1), (job(2, 2), 1)]));
    chips.run(Duration::from_millis(100));
    chips.assign(of([(job(1, 1), 1), (job(2, 3), 1)]));
    assert!(!chips.source.newest_is_void());
    assert_eq!(chips.works.len(), 1);
    chips.run(Duration::from_millis(400));
    let newest = &chips.works.last().unwrap().job;
    assert_eq!((newest.session, newest.generation), (2, 3));
}

#[test]
fn a_job_that_is_not_clean_voids_nothing() {
    let mut chips = chips();
    chips.assign(of([(job(1, 1), 1)]));
    chips.run(Duration::from_millis(100));
    let mut next = job(1, 1);
    next.id = "next".into();
    chips.assign(of([(next, 1)]));
    assert_eq!(chips.works.len(), 1);
    chips.run(TURN);
    assert_eq!(chips.works.last().unwrap().job.id, "next");
}

#[test]
fn work_of_a_session_that_has_no_lot_any_more_is_void_only_without_a_floor() {
    let mut chips = chips();
    chips.assign(weights(&[(1, 1)]));
    chips.run(Duration::from_millis(100));
    let mut second = weights(&[(2, 1)]);
    second.floors.push((1, 1));
    chips.assign(second.clone());
    assert_eq!(chips.sessions(), [1]);
    second.floors.pop();
    chips.assign(second);
    assert_eq!(chips.sessions(), [1, 2]);
}

#[test]
fn lots_below_their_own_floor_or_said_twice_are_ignored() {
    let mut chips = chips();
    let mut assignment = weights(&[(1, 1), (2, 1), (2, 1000), (3, 1)]);
    assignment.floors = vec![(1, 1), (2, 1), (3, 2)];
    chips.assign(assignment);
    chips.run(100 * SECOND);
    assert!((chips.seconds(1) - 50.0).abs() <= 0.5);
    assert_eq!(chips.seconds(3), 0.0);
}

#[test]
fn a_lot_without_room_for_this_chain_leaves_its_time_to_the_others() {
    let mut tiny = job(1, 1);
    tiny.extranonce2_len = 1;
    let mut chips = Chips::new(Partition::new(300, 301).unwrap());
    chips.assign(of([(tiny, 9), (job(2, 1), 1), (job(3, 1), 1)]));
    assert!(matches!(
        chips.source.unusable(),
        [WorkError::NoRoom { .. }]
    ));
    chips.run(100 * SECOND);
    assert_eq!(chips.seconds(1), 0.0);
    assert!((chips.seconds(2) - 50.0).abs() <= 0.5);
}

#[test]
fn time_after_the_chips_have_run_dry_is_nobodys() {
    let mut chips = chips();
    (chips.turn, chips.lasts) = (TURN, SECOND);
    chips.assign(weights(&[(1, 1), (2, 1)]));
    // The program stands still for an hour, with the first lot's work in the chips.
    chips.now += 3600 * SECOND;
    chips.run(Duration::from_millis(1));
    chips.seconds.clear();
    chips.run(100 * SECOND);
    let error = chips.seconds(1) - chips.seconds(2);
    assert!((-2.0..=0.0).contains(&error), "{error}");
}

#[test]
fn a_fixed_merkle_root_gives_one_work_a_second_and_no_time_ahead_of_the_clock() {
    let mut source = WorkSource::new(Partition::WHOLE);
    let job = fixed_root_job(1, 1);
    source.set_assignment(job.received, Arc::new(of([(job.clone(), 1)])));
    for second in 0..5u64 {
        let at = |millis: u64| job.received + Duration::from_millis(1000 * second + millis);
        let work = source.next_work(at(300)).unwrap();
        assert_eq!(work.ntime, job.ntime + second as u32);
        assert_eq!(Some(work.merkle_root), job.fixed_root);
        assert!(work.extranonce2.is_empty());
        assert_eq!(work.rollable_mask, 0x1fff_e000);
        assert_eq!(source.next_work(at(999)), Err(WorkError::Exhausted));
    }
}

#[test]
fn chains_part_the_versions_of_a_fixed_merkle_root() {
    let mask = VersionMask::BIP320;
    for count in [1u32, 2, 3, 4, 7, 16] {
        let mut versions = HashSet::new();
        for index in 0..count {
            let part = Partition::new(index, count).unwrap();
            let (fixed, rollable) = part.versions(mask).unwrap();
            assert_eq!((fixed | rollable.bits()) & !mask.bits(), 0);
            assert_eq!(fixed & rollable.bits(), 0);
            let mut version = fixed;
            for _ in 0..rollable.unique_versions() {
                assert!(versions.insert(version), "{version:08x} twice");
                version = rollable.next(version);
            }
        }
    }
    // A single chain has all of them.
    assert_eq!(Partition::WHOLE.versions(mask), Some((0, mask)));
    // Too few bits: as many chains as they can count.
    let one = VersionMask::new(0x2000);
    let of = |index| Partition::new(index, 3).unwrap().versions(one);
    assert_eq!(of(0), Some((0, VersionMask::NONE)));
    assert_eq!(of(1), Some((0x2000, VersionMask::NONE)));
    assert_eq!(of(2), None);
}

#[test]
fn a_chain_that_has_no_version_of_a_fixed_merkle_root_says_why() {
    let mut source = WorkSource::new(Partition::new(1, 3).unwrap());
    let mut job = fixed_root_job(1, 1);
    job.version_mask = 0;
    source.set_assignment(job.received, Arc::new(of([(job, 1)])));
    let error = source.next_work(SECOND).unwrap_err();
    assert!(error.to_string().contains("chain 1 of 3"), "{error}");
    assert!(error.to_string().contains("extended channel"), "{error}");
}

/// What is left of a work that lasts goes before another lot, though there is nothing new of it.
#[test]
fn a_fixed_merkle_root_gets_its_part_beside_another_lot() {
    let mut chips = chips();
    let jobs = [(fixed_root_job(1, 1), 90), (job(2, 1), 10)];
    chips.assign(of(jobs));
    chips.run(100 * SECOND);
    assert!(
        (chips.seconds(1) - 90.0).abs() <= 1.5,
        "{:?}",
        chips.seconds
    );
    // Where a work is used up sooner than there is another, the other lot takes the time.
    let mut chips = self::chips();
    (chips.turn, chips.lasts) = (TURN / 5, TURN / 5);
    let jobs = [(fixed_root_job(1, 1), 90), (job(2, 1), 10)];
    chips.assign(of(jobs));
    chips.run(100 * SECOND);
    assert!(
        (chips.seconds(1) - 10.0).abs() <= 0.5,
        "{:?}",
        chips.seconds
    );
    assert!(
        (chips.seconds(2) - 90.0).abs() <= 0.5,
        "{:?}",
        chips.seconds
    );
}

#[test]
fn lots_agree_on_version_bits_that_serve_all() {
    let mut source = WorkSource::new(Partition::new(1, 3).unwrap());
    let mut narrow = job(2, 1);
    narrow.version_mask = 0x0fff_e000;
    let lots = of([(job(1, 1), 1), (narrow, 1), (fixed_root_job(3, 1), 1)]);
    source.set_assignment(SECOND, Arc::new(lots));
    // Bit 28 is not allowed by one, bits 28 and 27 hold the number of the chain for another.
    assert_eq!(source.common_mask(), VersionMask::new(0x07ff_e000));
}

/// A header but for nonce and rolled versions; the parts of several chains of a fixed root differ in version.
fn header_key(work: &Work) -> [u8; 32] {
    sha256d(&work.header(work.version, 0))
}

#[derive(Clone, Debug)]
enum Step {
    Run(u16),
    Weights(Vec<u8>),
    Clean(u8),
    Next(u8),
    Back(u8),
    Away(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0u16..4000).prop_map(Step::Run),
        1 => proptest::collection::vec(0u8..100, 4).prop_map(Step::Weights),
        2 => (0u8..4).prop_map(Step::Clean),
        1 => (0u8..4).prop_map(Step::Next),
        1 => (0u8..4).prop_map(Step::Back),
        1 => (0u8..4).prop_map(Step::Away),
    ]
}

/// Upstreams as they are seen from outside, each with its job.
struct Upstreams {
    jobs: Vec<Job>,
    before: Vec<Job>,
    weights: Vec<u32>,
    away: Vec<bool>,
    generation: u64,
}

impl Upstreams {
    /// Upstream 0 has an extranonce2 of one byte, 3 a fixed merkle root.
    fn new(now: Duration) -> Self {
        let mut jobs: Vec<Job> = (0..3).map(|session| job(session, 1)).collect();
        jobs[0].extranonce2_len = 1;
        jobs.push(fixed_root_job(3, 1));
        for job in &mut jobs {
            job.received = now;
        }
        Self {
            before: jobs.clone(),
            jobs,
            weights: vec![1; 4],
            away: vec![false; 4],
            generation: 1,
        }
    }

    fn apply(&mut self, step: &Step, now: Duration) {
        let change = |jobs: &mut Self, index: u8, clean: bool| {
            let index = usize::from(index);
            let job = jobs.jobs[index].clone();
            jobs.generation += 1;
            let next = &mut jobs.jobs[index];
            next.id = jobs.generation.to_string();
            next.version ^= jobs.generation as u32 & 0xfff;
            (next.received, next.ntime) = (now, job.ntime + 1);
            if clean {
                next.generation = jobs.generation;
            }
            jobs.before[index] = job;
        };
        match step {
            Step::Run(_) => {}
            Step::Weights(weights) => {
                self.weights = weights.iter().map(|&weight| weight.into()).collect();
            }
            Step::Clean(index) => change(self, *index, true),
            Step::Next(index) => change(self, *index, false),
            // The same content again, as after a resumed session, with its time started over.
            Step::Back(index) => {
                let index = usize::from(*index);
                std::mem::swap(&mut self.jobs[index], &mut self.before[index]);
                self.generation += 1;
                self.jobs[index].generation = self.generation;
                self.jobs[index].received = now;
            }
            Step::Away(index) => self.away[usize::from(*index)] ^= true,
        }
    }

    fn assignment(&self) -> Assignment {
        let here = |index: &usize| !self.away[*index];
        of((0..4)
            .filter(here)
            .map(|index| (self.jobs[index].clone(), self.weights[index])))
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 128,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// With weights that stay, every lot is at every moment within one turn of its part.
    #[test]
    fn no_lot_is_ever_ahead_or_behind_by_more_than_a_turn(
        weights in proptest::collection::vec(1u32..1000, 1..7),
        millis in 1u64..2000,
    ) {
        let mut chips = chips();
        chips.turn = Duration::from_millis(millis);
        let turn = chips.turn.as_secs_f64();
        let lots: Vec<(u64, u32)> = (0..).zip(weights).collect();
        let sum: u32 = lots.iter().map(|lot| lot.1).sum();
        chips.assign(self::weights(&lots));
        for round in 1..300u32 {
            chips.run(chips.turn);
            for &(session, weight) in &lots {
                let due = f64::from(round) * turn * f64::from(weight) / f64::from(sum);
                let error = (chips.seconds(session) - due) / turn;
                prop_assert!(error.abs() <= 1.0 + 1e-6, "{error} turns after {round}: {lots:?}");
            }
        }
    }

    /// Two lots, whose weights, jobs and turns change at any moment: still one turn, the longest.
    #[test]
    fn changes_at_any_moment_bias_nothing(
        steps in proptest::collection::vec(
            (1u32..100, 1u32..100, 0u64..1500, 100u64..1000, any::<(bool, bool)>()), 1..100
        ),
    ) {
        let mut chips = chips();
        let (mut due, mut generations) = (0.0, [1, 1]);
        for (first, second, millis, turn, clean) in steps {
            chips.turn = Duration::from_millis(turn);
            let mut newest = generations[0].max(generations[1]);
            for (generation, clean) in generations.iter_mut().zip([clean.0, clean.1]) {
                if clean {
                    newest += 1;
                    *generation = newest;
                }
            }
            chips.assign(of([(job(1, generations[0]), first), (job(2, generations[1]), second)]));
            chips.run(Duration::from_millis(millis));
            due += millis as f64 / 1e3 * f64::from(first) / f64::from(first + second);
            let error = chips.seconds(1) - due;
            prop_assert!(error.abs() <= 1.0 + 1e-6, "{error} s");
        }
    }

    #[test]
    fn no_header_is_made_twice_across_lots_chains_and_switches(
        steps in proptest::collection::vec(step(), 1..60),
        count in 1u32..4,
        millis in 3u64..700,
    ) {
        let mut chains: Vec<Chips> = (0..count)
            .map(|index| Chips::new(Partition::new(index, count).unwrap()))
            .collect();
        let mut upstreams = Upstreams::new(chains[0].now);
        for chips in &mut chains {
            chips.turn = Duration::from_millis(millis);
            chips.assign(upstreams.assignment());
        }
        for step in &steps {
            upstreams.apply(step, chains[0].now);
            for chips in &mut chains {
                chips.assign(upstreams.assignment());
                if let Step::Run(millis) = step {
                    chips.run(Duration::from_millis((*millis).into()));
                }
            }
        }
        let mut made = HashSet::new();
        for work in chains.iter().flat_map(|chips| &chips.works) {
            prop_assert!(made.insert(header_key(work)), "twice: {work:?}");
            let version = work.version | work.rollable_mask;
            prop_assert_eq!(version & !(work.job.version | work.job.version_mask), 0);
            prop_assert_eq!(work.rollable_mask & work.version, 0);
            let clock = work.ntime - work.job.ntime;
            prop_assert!(clock <= 7000);
        }
    }

    /// However lots come and go, from any moment on each gets its part to within two turns.
    #[test]
    fn lots_that_come_and_go_leave_no_debt(
        rounds in proptest::collection::vec(proptest::collection::vec(0u32..100, 3), 1..40),
        waits in proptest::collection::vec(0u64..5000, 40),
    ) {
        let mut chips = chips();
        for (round, millis) in rounds.iter().zip(waits) {
            let lots: Vec<(u64, u32)> = (0..).zip(round.iter().copied()).collect();
            let sum: u32 = round.iter().sum();
            chips.assign(weights(&lots));
            let before: Vec<f64> = lots.iter().map(|lot| chips.seconds(lot.0)).collect();
            chips.run(Duration::from_millis(millis));
            if sum == 0 {
                continue;
            }
            for (&(session, weight), before) in lots.iter().zip(before) {
                let due = millis as f64 / 1e3 * f64::from(weight) / f64::from(sum);
                let error = chips.seconds(session) - before - due;
                prop_assert!(error.abs() <= 2.0 * TURN.as_secs_f64() + 1e-6, "{error} s");
            }
        }
    }
}
