//! Which pool gets the work, told by what happens to the pools: failover, quotas and sleep. Beside
//! single stories there are properties over random ones.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;
use stratum::strategy::{Mode, Role, Settings, Signal, Strategy, StrategyError, WHOLE};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A strategy with a clock that goes on by itself.
#[derive(Clone, Debug)]
struct Story {
    strategy: Strategy,
    now: Duration,
}

impl Story {
    fn new(mode: Mode, pools: usize) -> Self {
        let settings = Settings {
            mode,
            ..Settings::default()
        };
        Self::with(settings, pools)
    }

    fn with(settings: Settings, pools: usize) -> Self {
        let now = 7 * SECOND;
        Self {
            strategy: Strategy::new(settings, pools, now).expect("settings"),
            now,
        }
    }

    fn failover(pools: usize) -> Self {
        Self::new(Mode::Failover, pools)
    }

    fn quota(percent: &[u32]) -> Self {
        Self::new(Mode::Quota(percent.to_vec()), percent.len())
    }

    fn tell(&mut self, pool: usize, signals: &[Signal]) -> &mut Self {
        for signal in signals {
            self.strategy.handle(self.now, pool, *signal);
        }
        self
    }

    /// A connection that comes to work.
    fn comes(&mut self, pool: usize) -> &mut Self {
        self.tell(pool, &[Signal::Admitted, Signal::Job])
    }

    /// A connection that goes, with all work.
    fn goes(&mut self, pool: usize) -> &mut Self {
        self.tell(pool, &[Signal::NoJob, Signal::Lost])
    }

    /// Lets time pass, stopping where the strategy wants to be called, and not more often than that.
    fn pass(&mut self, time: Duration) -> &mut Self {
        let end = self.now + time;
        let mut calls = 0;
        while let Some(due) = self.strategy.poll_timeout().filter(|due| *due <= end) {
            assert!(due > self.now, "it wants to be called in the past");
            self.now = due;
            self.strategy.handle_timeout(due);
            calls += 1;
            assert!(calls < 1000, "it cannot get enough of it");
        }
        self.now = end;
        self
    }

    fn weights(&self) -> Vec<u32> {
        let roles = self.strategy.roles().iter();
        roles.map(|role| role.weight()).collect()
    }

    fn role(&self, pool: usize) -> Role {
        self.strategy.roles()[pool]
    }

    fn running(&self) -> Vec<bool> {
        self.strategy
            .roles()
            .iter()
            .map(|role| role.runs())
            .collect()
    }

    /// The one pool that has all the work.
    fn at_work(&self) -> Option<usize> {
        self.weights().iter().position(|weight| *weight == WHOLE)
    }
}

#[test]
fn impossible_settings_are_refused() {
    let new = |mode, pools| {
        let settings = Settings {
            mode,
            ..Settings::default()
        };
        Strategy::new(settings, pools, SECOND).map(|_| ())
    };
    assert_eq!(new(Mode::Failover, 0), Err(StrategyError::NoPool));
    let count = StrategyError::Count {
        quotas: 1,
        pools: 2,
    };
    assert_eq!(new(Mode::Quota(vec![100]), 2), Err(count));
    for (quotas, sum) in [
        (vec![70, 20], 90),
        (vec![70, 40], 110),
        (vec![100, 0], 100),
        (vec![u32::MAX, u32::MAX], 2 * u64::from(u32::MAX)),
    ] {
        assert_eq!(new(Mode::Quota(quotas), 2), Err(StrategyError::Sum(sum)));
    }
}

#[test]
fn only_the_first_pool_is_connected_while_all_is_well() {
    let mut story = Story::failover(3);
    assert_eq!(story.running(), [true, false, false]);
    assert_eq!(story.at_work(), None);
    story.pass(SECOND).comes(0).pass(60 * MINUTE);
    assert_eq!(story.running(), [true, false, false]);
    assert_eq!(story.at_work(), Some(0));
}

#[test]
fn three_fruitless_attempts_move_the_work_to_the_next_pool() {
    let mut story = Story::failover(2);
    story.comes(0).pass(2 * MINUTE);
    // The session can be resumed: its job stays.
    story.tell(0, &[Signal::Lost]).pass(SECOND);
    assert_eq!(story.running(), [true, false], "one break is nothing");
    story.tell(0, &[Signal::Lost]);
    assert_eq!(story.running(), [true, true], "the next one is made ready");
    story.pass(100 * MS).comes(1).pass(SECOND);
    assert_eq!(
        story.at_work(),
        Some(0),
        "its shares may still be worth something"
    );
    assert_eq!(story.role(1), Role::Standby);
    story.tell(0, &[Signal::Lost]);
    assert_eq!(story.at_work(), Some(1));
    assert_eq!(
        story.role(0),
        Role::Trying,
        "and is tried again in the background"
    );
}

#[test]
fn work_that_has_gone_leaves_no_boards_waiting_while_another_pool_has_some() {
    let mut story = Story::failover(2);
    story.comes(0).pass(2 * MINUTE).goes(0);
    assert_eq!(story.at_work(), None);
    story.pass(5 * SECOND);
    assert_eq!(story.running(), [true, true]);
    story.comes(1);
    assert_eq!(story.at_work(), Some(1));
}

#[test]
fn a_pool_that_never_gives_work_is_not_waited_for() {
    let mut story = Story::failover(3);
    story.pass(5 * SECOND);
    assert_eq!(story.running(), [true, true, false]);
    story.pass(5 * SECOND);
    assert_eq!(story.running(), [true, true, true]);
    story.comes(2);
    assert_eq!(story.at_work(), Some(2));
    story.comes(1);
    assert_eq!(story.at_work(), Some(2), "a better one has to prove itself");
    story.pass(MINUTE);
    assert_eq!(story.at_work(), Some(1));
    assert_eq!(story.role(2), Role::Leaving);
}

#[test]
fn the_preferred_pool_gets_the_work_back_when_it_has_proved_itself() {
    let mut story = Story::failover(2);
    story.pass(10 * SECOND).comes(1).pass(MINUTE);
    let back = story.now;
    story.comes(0);
    let until = back + MINUTE;
    assert_eq!(story.role(0), Role::Proving { until });
    story.pass(MINUTE - MS);
    assert_eq!(story.at_work(), Some(1));
    story.pass(MS);
    assert_eq!(story.at_work(), Some(0));
}

#[test]
fn a_pool_that_does_not_let_us_in_proves_nothing() {
    let mut story = Story::failover(2);
    story.pass(10 * SECOND).comes(1).tell(0, &[Signal::Job]);
    story.pass(10 * MINUTE);
    assert_eq!(story.at_work(), Some(1));
    story.tell(0, &[Signal::Admitted]);
    assert_eq!(story.at_work(), Some(0));
}

#[test]
fn a_preferred_pool_that_flaps_does_not_get_the_work_back() {
    let mut story = Story::failover(2);
    story.pass(10 * SECOND).comes(1);
    for round in 0..200 {
        story
            .comes(0)
            .pass(SECOND * (round % 59))
            .goes(0)
            .pass(SECOND * (round % 7));
        assert_eq!(story.at_work(), Some(1), "round {round}");
    }
    story.comes(0).pass(MINUTE);
    assert_eq!(story.at_work(), Some(0), "now it lasts");
}

#[test]
fn the_pool_at_work_is_left_when_it_flaps_for_long() {
    let mut story = Story::failover(2);
    story.comes(0);
    for _ in 0..5 {
        assert_eq!(story.at_work(), Some(0));
        // Resumable breaks of a moment each.
        story.pass(10 * SECOND).tell(0, &[Signal::Lost]).pass(MS);
        story.tell(0, &[Signal::Admitted, Signal::Job]);
    }
    assert_eq!(story.running(), [true, true]);
    story.comes(1);
    assert_eq!(story.at_work(), Some(1));
}

#[test]
fn late_nonces_and_answers_of_the_pool_that_is_left_are_waited_for() {
    let left = |open: bool| {
        let mut story = Story::failover(2);
        story.pass(10 * SECOND).comes(1).pass(MINUTE).comes(0);
        story.tell(1, &[Signal::Shares { open }]).pass(MINUTE);
        assert_eq!(story.role(1), Role::Leaving);
        story
    };
    let mut quiet = left(false);
    quiet.pass(10 * SECOND - MS);
    assert_eq!(
        quiet.role(1),
        Role::Leaving,
        "chips may still find a nonce of it"
    );
    quiet.pass(MS);
    assert_eq!(quiet.role(1), Role::Unused);

    let mut answered = left(true);
    answered.pass(20 * SECOND);
    assert_eq!(answered.role(1), Role::Leaving);
    answered.tell(1, &[Signal::Shares { open: false }]);
    assert_eq!(answered.role(1), Role::Unused);

    let mut silent = left(true);
    silent.pass(30 * SECOND);
    assert_eq!(silent.role(1), Role::Unused, "but not for ever");
}

#[test]
fn a_pool_that_is_being_left_takes_over_again_without_a_new_connection() {
    let mut story = Story::failover(2);
    story.pass(10 * SECOND).comes(1).comes(0).pass(MINUTE);
    assert_eq!(story.role(1), Role::Leaving);
    story.tell(0, &[Signal::Lost, Signal::Lost]);
    assert_eq!(story.role(1), Role::Standby);
    story.tell(0, &[Signal::NoJob]);
    assert_eq!(story.at_work(), Some(1));
}

#[test]
fn a_standby_that_was_not_needed_goes_at_once() {
    let mut story = Story::failover(2);
    story.pass(6 * SECOND);
    assert_eq!(story.role(1), Role::Trying);
    story.comes(0).comes(1);
    assert_eq!(story.at_work(), Some(0));
    story.pass(MINUTE);
    assert_eq!(story.role(1), Role::Unused);
}

#[test]
fn the_only_pool_is_tried_for_ever_and_keeps_the_work_that_it_gives() {
    let mut story = Story::failover(1);
    for _ in 0..100 {
        story.tell(0, &[Signal::Lost]).pass(MINUTE);
        assert_eq!(story.running(), [true]);
    }
    story.comes(0);
    assert_eq!(story.at_work(), Some(0));
    story.tell(0, &[Signal::Lost; 9]);
    assert_eq!(story.at_work(), Some(0), "resumable, and there is no other");
}

#[test]
fn refused_work_moves_to_the_next_pool_and_the_refused_one_must_prove_itself() {
    let mut story = Story::failover(2);
    story.comes(0).pass(2 * MINUTE).tell(0, &[Signal::Refused]);
    assert_eq!((story.at_work(), story.running()), (None, vec![true, true]));
    story.comes(1);
    assert_eq!(story.at_work(), Some(1));
    for _ in 0..20 {
        story.tell(0, &[Signal::Refused]).pass(30 * SECOND);
        story.tell(0, &[Signal::Job]).pass(30 * SECOND);
        assert_eq!(story.at_work(), Some(1));
    }
    story.pass(30 * SECOND);
    assert_eq!(story.at_work(), Some(0));
}

#[test]
fn quotas_are_met_and_a_pool_that_is_away_gives_its_part_to_the_others() {
    let mut story = Story::quota(&[50, 30, 20]);
    assert_eq!(story.running(), [true, true, true]);
    story.comes(1);
    assert_eq!(story.weights(), [0, WHOLE, 0]);
    story.pass(SECOND).comes(0).comes(2);
    assert_eq!(story.weights(), [5000, 3000, 2000]);
    story.goes(0);
    assert_eq!(story.weights(), [0, 6000, 4000]);
    // A short break costs nothing more, a long one wants proof.
    story.pass(SECOND).comes(0);
    assert_eq!(story.weights(), [5000, 3000, 2000]);
    story.goes(0).pass(30 * SECOND).comes(0);
    assert_eq!(story.weights(), [0, 6000, 4000]);
    assert_eq!(
        story.role(0),
        Role::Proving {
            until: story.now + MINUTE
        }
    );
    story.pass(MINUTE);
    assert_eq!(story.weights(), [5000, 3000, 2000]);
}

#[test]
fn a_pool_of_a_quota_keeps_its_part_over_a_break_that_can_be_resumed() {
    let mut story = Story::quota(&[70, 30]);
    story.comes(0).comes(1).pass(2 * MINUTE);
    story
        .tell(0, &[Signal::Lost])
        .pass(SECOND)
        .tell(0, &[Signal::Lost]);
    assert_eq!(story.weights(), [7000, 3000]);
    story.tell(0, &[Signal::Lost]);
    assert_eq!(story.weights(), [0, WHOLE], "given up");
    story.goes(1);
    assert_eq!(story.weights(), [WHOLE, 0], "better than nothing");
}

#[test]
fn parts_that_do_not_split_evenly_still_make_the_whole() {
    let mut story = Story::quota(&[33, 33, 33, 1]);
    story.comes(0).comes(1).comes(2);
    assert_eq!(story.weights(), [3334, 3333, 3333, 0]);
}

#[test]
fn prospects_are_what_a_pool_would_get() {
    let mut story = Story::failover(2);
    story.comes(0);
    assert_eq!(story.strategy.prospect(1), WHOLE);
    let mut story = Story::quota(&[70, 30]);
    assert_eq!(story.strategy.prospect(1), 3000);
    story.comes(1);
    assert_eq!(story.strategy.prospect(1), WHOLE);
    assert_eq!(story.strategy.prospect(9), 0);
}

#[test]
fn without_work_for_long_the_boards_sleep_until_there_is_some() {
    let mut story = Story::failover(2);
    story.pass(600 * SECOND - MS);
    assert!(!story.strategy.is_idle());
    story.pass(MS);
    assert!(story.strategy.is_idle());
    assert_eq!(story.running(), [true, true], "pools are tried on");
    story.tell(0, &[Signal::Refused]);
    assert!(story.strategy.is_idle(), "that is no work");
    story.comes(1);
    assert!(!story.strategy.is_idle());
    story.goes(1).pass(599 * SECOND);
    assert!(!story.strategy.is_idle(), "the wait begins anew");
    story.pass(SECOND);
    assert!(story.strategy.is_idle());
}

#[test]
fn boards_may_wait_for_ever() {
    let settings = Settings {
        idle_after: None,
        ..Settings::default()
    };
    let mut story = Story::with(settings, 1);
    story.pass(1_000_000 * SECOND);
    assert!(!story.strategy.is_idle());
}

#[test]
fn absurd_times_and_pools_that_are_not_there_do_no_harm() {
    let settings = Settings {
        return_after: Duration::MAX,
        idle_after: Some(Duration::MAX),
        ..Settings::default()
    };
    let mut story = Story::with(settings, 2);
    story.comes(0).tell(9, &[Signal::Job, Signal::Lost]);
    story.strategy.handle_timeout(Duration::MAX);
    // Time does not run backwards.
    story.strategy.handle(SECOND, 1, Signal::Job);
    assert_eq!(story.at_work(), Some(0));
}

#[derive(Clone, Debug)]
enum Step {
    Tell(usize, Signal),
    Pass(u32),
}

fn step() -> impl Generator<Value = Step> {
    let signal = prop_oneof![
        4 => Just(Signal::Job),
        3 => Just(Signal::Admitted),
        2 => Just(Signal::Lost),
        1 => Just(Signal::NoJob),
        1 => Just(Signal::Refused),
        1 => any::<bool>().prop_map(|open| Signal::Shares { open }),
    ];
    prop_oneof![
        3 => (0..3usize, signal).prop_map(|(pool, signal)| Step::Tell(pool, signal)),
        2 => (1..100_000u32).prop_map(Step::Pass),
    ]
}

/// What the pools of a story have, kept apart from the strategy.
#[derive(Default)]
struct Truth {
    work: [bool; 3],
}

impl Truth {
    fn hear(&mut self, pool: usize, signal: Signal) {
        match signal {
            Signal::Job => self.work[pool] = true,
            Signal::NoJob | Signal::Refused => self.work[pool] = false,
            Signal::Admitted | Signal::Lost | Signal::Shares { .. } => {}
        }
    }
}

/// Runs steps as a shell would: pools whose session does not run say nothing and have no work. `check` sees
/// every state.
fn play(
    mut story: Story,
    steps: Vec<Step>,
    mut check: impl FnMut(&Story, &Truth) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut truth = Truth::default();
    for step in steps {
        match step {
            Step::Tell(pool, signal) if story.running()[pool] => {
                truth.hear(pool, signal);
                story.tell(pool, &[signal]);
            }
            Step::Tell(..) => {}
            Step::Pass(ms) => {
                // In pieces, so that what is passed over is checked as well.
                for _ in 0..4 {
                    story.pass(MS * (ms / 4));
                    for (pool, runs) in story.running().into_iter().enumerate() {
                        truth.work[pool] &= runs;
                    }
                    check(&story, &truth)?;
                }
            }
        }
        for (pool, runs) in story.running().into_iter().enumerate() {
            truth.work[pool] &= runs;
        }
        check(&story, &truth)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_parts_make_the_whole_exactly_when_a_pool_works(
        steps in prop::collection::vec(step(), 1..120),
        quota in any::<bool>(),
    ) {
        let story = if quota { Story::quota(&[50, 30, 20]) } else { Story::failover(3) };
        play(story, steps, |story, truth| {
            let weights = story.weights();
            let works = truth.work.iter().any(|work| *work);
            prop_assert_eq!(weights.iter().sum::<u32>(), if works { WHOLE } else { 0 });
            for (pool, weight) in weights.iter().enumerate() {
                prop_assert!(*weight == 0 || truth.work[pool], "pool {} has no work", pool);
            }
            prop_assert!(!works || !story.strategy.is_idle());
            Ok(())
        })?;
    }

    #[test]
    fn failover_gives_all_the_work_to_one(steps in prop::collection::vec(step(), 1..120)) {
        play(Story::failover(3), steps, |story, _| {
            let active = story.weights().iter().filter(|weight| **weight > 0).count();
            prop_assert!(active <= 1);
            Ok(())
        })?;
    }

    #[test]
    fn nobody_gets_more_than_its_quota_but_from_those_who_are_away(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let quotas = [50, 30, 20];
        play(Story::quota(&quotas), steps, |story, _| {
            let weights = story.weights();
            let there: u32 = quotas.iter().zip(&weights).filter(|(_, w)| **w > 0).map(|(q, _)| q).sum();
            for (quota, weight) in quotas.iter().zip(&weights).filter(|(_, weight)| **weight > 0) {
                let fair = f64::from(quota * WHOLE) / f64::from(there);
                prop_assert!((f64::from(*weight) - fair).abs() < 1.0);
                prop_assert!(*weight >= quota * 100);
            }
            Ok(())
        })?;
    }

    #[test]
    fn the_work_goes_up_only_to_a_pool_that_has_been_good_for_long(
        steps in prop::collection::vec(step(), 1..160),
    ) {
        // A pool that has been given up may be left for any other, so here none is.
        let tame = |step| match step {
            Step::Tell(pool, Signal::Lost | Signal::Refused) => Step::Tell(pool, Signal::NoJob),
            step => step,
        };
        let mut last = None;
        let mut good_since = [None::<Duration>; 3];
        play(Story::failover(3), steps.into_iter().map(tame).collect(), |story, truth| {
            for (since, work) in good_since.iter_mut().zip(truth.work) {
                *since = work.then(|| since.unwrap_or(story.now));
            }
            let at_work = story.at_work();
            if let (Some(from), Some(to)) = (last, at_work)
                && to < from
                && truth.work[from]
            {
                let lasted = good_since[to].is_some_and(|since| since + MINUTE <= story.now);
                prop_assert!(lasted, "{} to {}", from, to);
            }
            last = at_work;
            Ok(())
        })?;
    }

    #[test]
    fn a_session_with_work_in_the_chips_is_not_ended(
        steps in prop::collection::vec(step(), 1..160),
        quota in any::<bool>(),
    ) {
        let story = if quota { Story::quota(&[50, 30, 20]) } else { Story::failover(3) };
        let mut active_at = [None::<Duration>; 3];
        play(story, steps, |story, _| {
            for (pool, active_at) in active_at.iter_mut().enumerate() {
                if story.role(pool).weight() > 0 {
                    *active_at = Some(story.now);
                }
                let ended = !story.role(pool).runs();
                let recent = active_at.is_some_and(|at| story.now < at + 10 * SECOND);
                prop_assert!(!(ended && recent), "pool {}", pool);
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_pool_that_lasts_gets_its_work_whatever_was_before(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut story = Story::failover(3);
        for step in steps {
            match step {
                Step::Tell(pool, signal) => { story.tell(pool, &[signal]); }
                Step::Pass(ms) => { story.pass(MS * ms); }
            }
        }
        story.comes(0).pass(MINUTE);
        prop_assert_eq!(story.at_work(), Some(0));
        story.pass(30 * SECOND);
        prop_assert_eq!(story.running(), vec![true, false, false]);
    }
}

impl Story {
    /// Takes another list; gives where each pool was before.
    fn rearrange(&mut self, mode: Mode, kept: &[Option<usize>]) -> Vec<Option<usize>> {
        let settings = Settings {
            mode,
            ..Settings::default()
        };
        let order = self.strategy.rearrange(self.now, settings, kept);
        order.expect("settings")
    }
}

#[test]
fn a_pool_put_first_takes_over_with_its_first_job_and_the_other_finishes() {
    let mut story = Story::failover(2);
    story.comes(0).pass(2 * MINUTE);
    assert_eq!(story.weights(), [WHOLE, 0]);
    let order = story.rearrange(Mode::Failover, &[Some(1), Some(0)]);
    assert_eq!(order, [Some(1), Some(0)]);
    assert_eq!(story.weights(), [0, WHOLE], "no work is lost meanwhile");
    assert_eq!(story.strategy.roles()[0], Role::Trying);
    story.pass(SECOND).comes(0);
    assert_eq!(story.weights(), [WHOLE, 0]);
    assert_eq!(story.strategy.roles()[1], Role::Standby);
    story.pass(2 * MINUTE);
    assert_eq!(story.strategy.roles()[1], Role::Unused);
}

#[test]
fn a_pool_put_first_that_fails_has_to_prove_itself() {
    let mut story = Story::failover(2);
    story.comes(0).pass(2 * MINUTE);
    story.rearrange(Mode::Failover, &[Some(1), Some(0)]);
    story.tell(0, &[Signal::Lost]).pass(SECOND).comes(0);
    assert_eq!(story.weights(), [0, WHOLE]);
    story.pass(MINUTE);
    assert_eq!(story.weights(), [WHOLE, 0]);
}

#[test]
fn a_pool_that_is_taken_out_works_until_another_does_and_then_finishes() {
    let mut story = Story::failover(3);
    story.comes(0).pass(2 * MINUTE);
    let order = story.rearrange(Mode::Failover, &[Some(1), Some(2)]);
    assert_eq!(order, [Some(1), Some(2), Some(0)]);
    assert_eq!(story.weights(), [0, 0, WHOLE]);
    let roles = story.strategy.roles();
    assert_eq!(roles[..2], [Role::Trying, Role::Unused]);
    story.pass(SECOND).comes(0);
    assert_eq!(story.weights(), [WHOLE, 0, 0]);
    assert_eq!(story.strategy.roles()[2], Role::Leaving);
    assert!(!story.strategy.forget(2), "its shares are on their way");
    story.pass(MINUTE);
    assert_eq!(story.strategy.roles()[2], Role::Unused);
    assert!(!story.strategy.forget(1), "it is in the list");
    assert!(story.strategy.forget(2));
    assert_eq!(story.weights(), [WHOLE, 0]);
}

#[test]
fn a_pool_that_is_taken_out_does_not_work_for_long_even_if_nobody_else_does() {
    let mut story = Story::failover(1);
    story.comes(0).pass(2 * MINUTE);
    story.rearrange(Mode::Failover, &[None]);
    assert_eq!(story.weights(), [0, WHOLE]);
    story.pass(29 * SECOND);
    assert_eq!(story.weights(), [0, WHOLE]);
    story.pass(2 * SECOND);
    assert_eq!(story.weights(), [0, 0]);
    story.comes(0);
    assert_eq!(story.weights(), [WHOLE, 0]);
}

#[test]
fn with_quotas_the_others_take_over_from_a_pool_that_is_taken_out() {
    let mut story = Story::quota(&[70, 30]);
    story.comes(0).comes(1).pass(MINUTE);
    story.rearrange(Mode::Quota(vec![100]), &[Some(1)]);
    assert_eq!(story.weights(), [WHOLE, 0]);
    assert_eq!(story.strategy.roles()[1], Role::Leaving);
    story.rearrange(Mode::Quota(vec![50, 50]), &[Some(0), None]);
    assert_eq!(story.weights(), [WHOLE, 0, 0]);
    story.comes(1);
    assert_eq!(story.weights(), [WHOLE / 2, WHOLE / 2, 0]);
}

#[test]
fn a_list_that_cannot_be_changes_nothing() {
    let mut story = Story::failover(2);
    story.comes(0);
    let settings = Settings {
        mode: Mode::Quota(vec![50, 40]),
        ..Settings::default()
    };
    let refused = story
        .strategy
        .rearrange(story.now, settings, &[Some(0), Some(1)]);
    assert_eq!(refused, Err(StrategyError::Sum(90)));
    let none = story
        .strategy
        .rearrange(story.now, Settings::default(), &[]);
    assert_eq!(none, Err(StrategyError::NoPool));
    assert_eq!(story.weights(), [WHOLE, 0]);
}

proptest! {
    #[test]
    fn whatever_the_lists_are_work_is_given_while_somebody_has_some(
        lists in prop::collection::vec(
            (prop::collection::vec(prop::option::of(0_usize..4), 1..5), 0_u64..90), 1..8),
    ) {
        let mut story = Story::failover(1);
        story.comes(0);
        for (kept, pause) in lists {
            let order = story.rearrange(Mode::Failover, &kept);
            prop_assert!(order.len() >= kept.len());
            prop_assert_eq!(story.strategy.roles().len(), order.len());
            // Who was at work still is, or somebody else.
            prop_assert_eq!(story.weights().iter().sum::<u32>(), WHOLE);
            for pool in 0..kept.len() {
                story.comes(pool);
            }
            story.pass(Duration::from_secs(pause));
            prop_assert_eq!(story.weights().iter().sum::<u32>(), WHOLE);
            let last = story.strategy.roles().len() - 1;
            if last >= kept.len() {
                story.strategy.forget(last);
            }
        }
    }
}
