//! A watch over pools that behave and pools that change.

mod support;

use std::time::Duration;

use payout::{Alarm, Code, Expectation, Network, PayoutAddress, Percent, Severity, Verdict, Watch};
use proptest::prelude::*;
use support::{Pool, job, unhex};

const OWN: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
const POOL: &str = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
const THIEF: &str = "3P14159f73E4gFr7JterCCQh9QjiTjiZrG";
const OTHER: &str = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0";

/// The reward at the height that [`Pool`] starts with, and some fees.
const REWARD: u64 = 312_500_000 + 4_321_987;

/// A watch with a clock that goes on by a block's time with each job.
struct Eyes {
    watch: Watch,
    now: Duration,
}

impl Eyes {
    fn without_expectation() -> Self {
        Self::with(Expectation::default())
    }

    fn for_own(named: bool, min_percent: Option<f64>) -> Self {
        Self::with(Expectation {
            addresses: vec![PayoutAddress::parse(OWN, None).unwrap()],
            named,
            min_percent: min_percent.map(|least| Percent::new(least).unwrap()),
        })
    }

    fn with(expectation: Expectation) -> Self {
        Self {
            watch: Watch::new(Some(Network::Bitcoin), expectation),
            now: Duration::from_secs(1000),
        }
    }

    fn judge(&mut self, job: &mining::Job) -> (Verdict, Vec<Alarm>) {
        self.now += Duration::from_secs(600);
        let verdict = self.watch.handle_job(self.now, job);
        let alarms = std::iter::from_fn(|| self.watch.poll_alarm()).collect();
        (verdict, alarms)
    }

    fn alarms(&mut self, job: &mining::Job) -> Vec<Alarm> {
        self.judge(job).1
    }

    fn codes(&mut self, job: &mining::Job) -> Vec<Code> {
        self.alarms(job).iter().map(|alarm| alarm.code).collect()
    }

    /// Some blocks in a row that must raise nothing.
    fn quiet(&mut self, pool: &mut Pool, blocks: usize) {
        for _ in 0..blocks {
            assert_eq!(self.alarms(&pool.next_block()), []);
            assert_eq!(self.alarms(&pool.job()), []);
        }
    }
}

#[test]
fn a_pool_with_one_address_is_quiet_until_it_changes_and_is_told_once() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    eyes.quiet(&mut pool, 20);
    pool.pay(&[(THIEF, REWARD)]);
    let alarms = eyes.alarms(&pool.job());
    let [alarm] = &alarms[..] else {
        panic!("{alarms:?}")
    };
    assert_eq!(alarm.code, Code::PayoutChanged);
    assert_eq!(alarm.severity, Severity::Critical);
    assert!(alarm.text.contains(POOL) && alarm.text.contains(THIEF));
    eyes.quiet(&mut pool, 20);
}

#[test]
fn a_payout_that_comes_back_soon_is_told_as_good_news() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    eyes.quiet(&mut pool, 10);
    pool.pay(&[(THIEF, REWARD)]);
    assert_eq!(eyes.codes(&pool.next_block()), [Code::PayoutChanged]);
    pool.pay(&[(POOL, REWARD)]);
    assert_eq!(eyes.codes(&pool.next_block()), [Code::PayoutBack]);
    eyes.quiet(&mut pool, 10);
    // The second time it stays away, becomes normal, and its end is a change again.
    pool.pay(&[(THIEF, REWARD)]);
    assert_eq!(eyes.codes(&pool.next_block()), [Code::PayoutChanged]);
    eyes.quiet(&mut pool, 10);
    pool.pay(&[(POOL, REWARD)]);
    assert_eq!(eyes.codes(&pool.next_block()), [Code::PayoutChanged]);
}

#[test]
fn a_pool_that_begins_to_go_to_and_fro_is_soon_left_alone() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    eyes.quiet(&mut pool, 10);
    let mut told = 0;
    for block in 0..100 {
        pool.pay(&[([THIEF, POOL][block % 2], REWARD)]);
        told += eyes.codes(&pool.next_block()).len();
    }
    assert!((2..=8).contains(&told), "{told}");
}

#[test]
fn a_pool_that_changes_its_address_with_each_block_raises_nothing() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[]);
    for block in 0..60 {
        pool.pay(&[([POOL, THIEF, OTHER][block % 3], REWARD)]);
        eyes.quiet(&mut pool, 1);
    }
}

#[test]
fn a_pool_that_pays_its_miners_directly_may_change_them_but_not_its_main_receiver() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[]);
    for block in 0..30_u64 {
        let small = REWARD / 50 * (1 + block % 2);
        let miner = [THIEF, OTHER][(block / 2 % 2) as usize];
        pool.pay(&[(POOL, REWARD - small), (miner, small)]);
        eyes.quiet(&mut pool, 1);
    }
    pool.pay(&[(POOL, REWARD / 2), (THIEF, REWARD - REWARD / 2)]);
    assert_eq!(eyes.codes(&pool.next_block()), [Code::PayoutShifted]);
}

#[test]
fn a_solo_pool_that_takes_more_is_told_and_told_again_when_it_is_over() {
    let mut eyes = Eyes::for_own(false, None);
    let fee = REWARD / 50;
    let mut pool = Pool::paying(&[(OWN, REWARD - fee), (POOL, fee)]);
    eyes.quiet(&mut pool, 10);
    let own = eyes.watch.own().unwrap();
    assert_eq!(own.sat, REWARD - fee);
    assert!((own.percent - 98.0).abs() < 0.01);

    pool.pay(&[(OWN, REWARD / 2), (POOL, REWARD / 2)]);
    let alarms = eyes.alarms(&pool.job());
    let code = |alarms: &[Alarm], code| alarms.iter().any(|alarm| alarm.code == code);
    assert!(code(&alarms, Code::OwnPortionDropped), "{alarms:?}");

    pool.pay(&[(POOL, REWARD)]);
    let alarms = eyes.alarms(&pool.job());
    assert!(code(&alarms, Code::OwnAddressGone), "{alarms:?}");
    assert_eq!(eyes.codes(&pool.job()), [], "told once");

    pool.pay(&[(OWN, REWARD - fee), (POOL, fee)]);
    let alarms = eyes.alarms(&pool.next_block());
    assert!(code(&alarms, Code::OwnAddressBack), "{alarms:?}");
    pool.pay(&[(THIEF, REWARD)]);
    let alarms = eyes.alarms(&pool.next_block());
    assert!(code(&alarms, Code::OwnAddressGone), "told anew: {alarms:?}");
}

#[test]
fn a_pool_that_pays_later_raises_nothing_unless_the_owner_named_his_address() {
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    Eyes::for_own(false, None).quiet(&mut pool, 10);
    let mut named = Eyes::for_own(true, None);
    assert_eq!(named.codes(&pool.next_block()), [Code::OwnAddressMissing]);
    named.quiet(&mut pool, 10);
    assert_eq!(named.watch.own().unwrap().sat, 0);
}

#[test]
fn work_that_breaks_the_rule_is_refused_and_the_next_good_one_is_not() {
    let mut eyes = Eyes::for_own(true, Some(90.0));
    let mut pool = Pool::paying(&[(OWN, REWARD)]);
    assert_eq!(eyes.judge(&pool.job()), (Verdict::Mine, vec![]));
    pool.pay(&[(OWN, REWARD / 2), (THIEF, REWARD / 2)]);
    let (verdict, alarms) = eyes.judge(&pool.job());
    let Verdict::Refuse(reason) = verdict else {
        panic!("{verdict:?}")
    };
    assert!(reason.contains("50.00 %") && reason.contains("90 %"));
    assert!(reason.contains(THIEF));
    assert_eq!(eyes.watch.refused(), Some(&reason[..]));
    assert!(alarms.iter().any(|alarm| alarm.code == Code::Refused));
    // Each job is refused, but it is not told with each.
    let (verdict, alarms) = eyes.judge(&pool.job());
    assert!(matches!(verdict, Verdict::Refuse(_)));
    assert_eq!(alarms, []);
    pool.pay(&[(OWN, REWARD)]);
    assert_eq!(eyes.judge(&pool.job()).0, Verdict::Mine);
    assert_eq!(eyes.watch.refused(), None);
}

#[test]
fn rounding_breaks_no_rule() {
    let mut eyes = Eyes::for_own(true, Some(98.0));
    let fee = REWARD.div_ceil(50);
    let mut pool = Pool::paying(&[(OWN, REWARD - fee), (POOL, fee)]);
    assert_eq!(eyes.judge(&pool.job()).0, Verdict::Mine);
}

#[test]
fn work_that_shows_nothing_is_refused_only_where_a_rule_asks() {
    let mut hidden = job(&[], &[], 0, &[]);
    hidden.fixed_root = Some([1; 32]);
    let mut free = Eyes::for_own(true, None);
    assert_eq!(free.judge(&hidden), (Verdict::Mine, vec![]));
    assert!(
        free.watch
            .unknown()
            .unwrap()
            .to_string()
            .contains("extended")
    );
    assert!(free.watch.coinbase().is_none());
    let mut bound = Eyes::for_own(true, Some(1.0));
    let (verdict, _) = bound.judge(&hidden);
    assert!(matches!(verdict, Verdict::Refuse(text) if text.contains("extended")));

    let garbage = job(&unhex("0102"), &[], 4, &[]);
    let (verdict, alarms) = free.judge(&garbage);
    assert_eq!(verdict, Verdict::Mine);
    assert_eq!(alarms[0].code, Code::Unreadable);
    assert!(matches!(bound.judge(&garbage).0, Verdict::Refuse(_)));
}

#[test]
fn a_rule_without_an_address_means_nothing() {
    let mut eyes = Eyes::with(Expectation {
        min_percent: Some(Percent::new(90.0).unwrap()),
        ..Expectation::default()
    });
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    assert_eq!(eyes.judge(&pool.job()).0, Verdict::Mine);
}

#[test]
fn another_pools_mark_is_told() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    pool.tag = b"/ViaBTC/Mined by me/".to_vec();
    eyes.quiet(&mut pool, 10);
    pool.tag = b"/slush/".to_vec();
    let alarms = eyes.alarms(&pool.next_block());
    assert_eq!(alarms[0].code, Code::PoolChanged);
    assert!(alarms[0].text.contains("ViaBTC") && alarms[0].text.contains("Braiins"));
    eyes.quiet(&mut pool, 10);
}

#[test]
fn a_tag_that_nobody_knows_is_watched_too() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    eyes.quiet(&mut pool, 10);
    pool.tag = b"/elsewhere/".to_vec();
    let alarms = eyes.alarms(&pool.next_block());
    assert_eq!(alarms[0].code, Code::TagChanged);
    assert!(alarms[0].text.contains("some pool"));
}

#[test]
fn serial_numbers_and_times_beside_a_tag_are_no_change() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    for serial in 0..200_u32 {
        pool.tag = format!("Mined by AntPool{serial}\u{0}k{serial:x}Z").into_bytes();
        eyes.quiet(&mut pool, 1);
    }
}

#[test]
fn readable_chance_bytes_of_a_pool_without_a_tag_are_no_identity() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    pool.tag.clear();
    eyes.quiet(&mut pool, 300);
}

#[test]
fn heights_that_go_back_jump_or_contradict_are_told() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    eyes.quiet(&mut pool, 3);
    pool.height -= 1;
    let alarms = eyes.alarms(&pool.job());
    assert_eq!(
        (alarms[0].code, alarms[0].severity),
        (Code::HeightBack, Severity::Notice)
    );
    pool.height -= 10;
    let alarms = eyes.alarms(&pool.job());
    assert_eq!(
        (alarms[0].code, alarms[0].severity),
        (Code::HeightBack, Severity::Warning)
    );
    // Ten minutes pass with each job.
    pool.height += 500;
    assert_eq!(eyes.codes(&pool.job()), [Code::HeightJump]);
    let mut other = pool.next_block();
    other.prev_hash = pool.next_block().prev_hash;
    assert_eq!(eyes.codes(&pool.job()), []);
    assert_eq!(eyes.codes(&other), [Code::HeightContradicts]);
}

#[test]
fn an_hour_of_silence_explains_a_jump() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    eyes.quiet(&mut pool, 3);
    eyes.now += Duration::from_secs(86_400);
    pool.height += 150;
    assert_eq!(eyes.codes(&pool.job()), []);
}

#[test]
fn work_of_another_chain_is_told() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    eyes.quiet(&mut pool, 3);
    // A two-hundredth of the difficulty.
    pool.nbits = 0x1802_66f3;
    assert_eq!(eyes.codes(&pool.next_block()), [Code::ChainChanged]);
    eyes.quiet(&mut pool, 3);
    // The way back is no theft.
    pool.nbits = support::MAIN_NBITS;
    eyes.quiet(&mut pool, 3);
    // Most that a retarget can do.
    pool.nbits = 0x170c_6af8;
    eyes.quiet(&mut pool, 3);
}

#[test]
fn a_block_that_burns_its_reward_or_promises_too_much_is_told() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[(POOL, REWARD)]);
    eyes.quiet(&mut pool, 3);
    pool.pay(&[(POOL, REWARD / 10)]);
    let alarms = eyes.alarms(&pool.next_block());
    assert_eq!(alarms[0].code, Code::RewardLow);
    assert!(alarms[0].text.contains("3.125 BTC"), "{}", alarms[0].text);
    // The amount changes with the fees, the matter does not.
    pool.pay(&[(POOL, REWARD / 10 + 1)]);
    eyes.quiet(&mut pool, 10);
    pool.pay(&[(POOL, 1000 * 100_000_000)]);
    assert_eq!(eyes.codes(&pool.next_block()), [Code::RewardHigh]);
}

#[test]
fn odd_coinbases_are_told_by_kind() {
    let mut eyes = Eyes::without_expectation();
    let mut pool = Pool::paying(&[]);
    let alarms = eyes.alarms(&pool.next_block());
    assert!(alarms.iter().any(|alarm| alarm.code == Code::Odd));
    assert!(alarms[0].text.contains("nobody"));
}

#[derive(Clone, Debug)]
enum Step {
    Pay(Vec<(usize, u64)>),
    Tag(Vec<u8>),
    Height(u32),
    Nbits(u32),
    Garbage(Vec<u8>),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec((0..4_usize, any::<u64>()), 0..4).prop_map(Step::Pay),
        prop::collection::vec(any::<u8>(), 0..70).prop_map(Step::Tag),
        (0..16_000_000_u32).prop_map(Step::Height),
        any::<u32>().prop_map(Step::Nbits),
        prop::collection::vec(any::<u8>(), 0..100).prop_map(Step::Garbage),
        (0..1_000_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_pool_makes_a_watch_panic_or_refuse_without_a_rule(
        steps in prop::collection::vec(any_step(), 1..40),
        named in any::<bool>(),
        network in prop::option::of(Just(Network::Regtest)),
    ) {
        let mut eyes = Eyes::for_own(named, None);
        eyes.watch = Watch::new(network, eyes.watch.expectation().clone());
        let mut pool = Pool::paying(&[(OWN, REWARD)]);
        for step in steps {
            let mut garbage = None;
            match step {
                Step::Pay(pays) => {
                    let addresses = [OWN, POOL, THIEF, OTHER];
                    let pays: Vec<_> = pays.iter().map(|(at, sat)| (addresses[*at], *sat)).collect();
                    pool.pay(&pays);
                }
                Step::Tag(tag) => pool.tag = tag,
                Step::Height(height) => pool.height = height,
                Step::Nbits(nbits) => pool.nbits = nbits,
                Step::Garbage(bytes) => garbage = Some(job(&bytes, &[], 8, &bytes)),
                Step::Wait(seconds) => eyes.now += Duration::from_secs(seconds),
            }
            let job = garbage.unwrap_or_else(|| pool.job());
            let (verdict, alarms) = eyes.judge(&job);
            prop_assert_eq!(verdict, Verdict::Mine);
            for alarm in alarms {
                prop_assert!(!alarm.text.is_empty() && alarm.text.len() < 2000);
            }
        }
    }

    #[test]
    fn a_rule_lets_pass_exactly_what_it_says(own in 0..=1000_u64, least in 0..=1000_u64) {
        // Tenths of a percent, far from the tolerance except where they are equal.
        let mut eyes = Eyes::for_own(true, Some(least as f64 / 10.0));
        let unit = 1_000_000;
        let mut pool = Pool::paying(&[(OWN, own * unit), (POOL, (1000 - own) * unit)]);
        let refused = matches!(eyes.judge(&pool.job()).0, Verdict::Refuse(_));
        prop_assert_eq!(refused, own < least);
    }
}
