//! Whatever is told and configured: never looser than the owner's word, and nothing that is no number.

use std::time::Duration;

use autotune::{Aim, Caps};
use demand::{
    Base, Curtail, Days, Demand, Effective, Entry, Fallback, Feed, HeatRule, Hottest, Inputs,
    Local, PriceRule, PriceStep, Settings, SurplusRule, Then,
};
use proptest::prelude::*;

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -100.0..3000.0_f64,
        1 => any::<f64>(),
    ]
}

fn watts() -> impl Strategy<Value = f64> {
    1.0..3000.0_f64
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![Just(Then::Sleep), watts().prop_map(Then::Watts)]
}

fn fallback() -> impl Strategy<Value = Fallback> {
    prop_oneof![Just(Fallback::Ignore), then().prop_map(Fallback::Then)]
}

fn aim() -> impl Strategy<Value = Aim> {
    prop_oneof![
        watts().prop_map(Aim::Watts),
        (1.0..300.0).prop_map(Aim::Hashrate),
        Just(Aim::Efficiency),
        Just(Aim::Off),
        (0.0..1.0).prop_map(|price_per_kwh| Aim::Profit {
            price_per_kwh,
            revenue_per_ths_day: 0.05,
        }),
    ]
}

fn seconds(most: u64) -> impl Strategy<Value = Duration> {
    (0..most).prop_map(Duration::from_secs)
}

fn caps() -> impl Strategy<Value = Caps> {
    (
        prop::option::of(watts()),
        prop::option::of(10.0..100.0),
        prop::option::of(40.0..100.0),
    )
        .prop_map(|(watts, fan_percent, chip_c)| Caps {
            watts,
            fan_percent,
            chip_c,
            ..Caps::default()
        })
}

fn entry() -> impl Strategy<Value = Entry> {
    let time = (0..24_u16, 0..60_u16);
    let time = || {
        time.clone()
            .prop_map(|(h, m)| format!("{h}:{m:02}").parse().unwrap())
    };
    (
        time(),
        time(),
        prop::option::of(aim()),
        prop::option::of(then()),
    )
        .prop_map(|(from, to, aim, then)| Entry {
            days: Days::ALL,
            from,
            to,
            aim,
            then,
        })
}

prop_compose! {
    fn settings()(
        aim in aim(),
        caps in caps(),
        full_w in any_number(),
        schedule in prop::collection::vec(entry(), 0..3),
        steps in prop::collection::vec((0.0..1.0, then()), 0..3),
        stale in (fallback(), fallback()),
        surplus in prop::option::of((watts(), any::<bool>(), seconds(100))),
        heat in prop::option::of(0.1..10.0),
        least in (seconds(100), seconds(100)),
    ) -> Settings {
        Settings {
            base: Base { aim, caps },
            full_w,
            schedule,
            price: Some(PriceRule {
                steps: steps.into_iter().map(|(above, then)| PriceStep { above, then }).collect(),
                hysteresis: 0.05,
                valid: Duration::from_secs(60),
                stale: stale.0,
            }),
            surplus: surplus.map(|(floor_w, at_meter, smoothing)| SurplusRule {
                floor_w,
                wake_w: floor_w * 1.2,
                at_meter,
                smoothing,
                valid: Duration::from_secs(30),
                stale: stale.1,
            }),
            heat: heat.map(|margin_k| HeatRule { margin_k }),
            least_awake: least.0,
            least_asleep: least.1,
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Feed(Feed),
    Curtail(Curtail),
    Base(Base),
    Wait(u64, Inputs),
}

prop_compose! {
    fn inputs()(
        local in prop::option::of((0..7_u8, 0..86_400_u32)),
        watts in prop::option::of(any_number()),
        celsius in prop::option::of(any_number()),
        fan_percent in prop::option::of(any_number()),
        too_little in any::<bool>(),
    ) -> Inputs {
        Inputs {
            local: local.map(|(weekday, second)| Local::new(weekday, second)),
            watts,
            hottest: celsius.map(|celsius| Hottest { name: "chip".into(), celsius, limit_c: 70.0, fans_have_room: too_little }),
            fan_percent,
            too_little,
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let feed = (
        prop::option::of(any_number()),
        prop::option::of(any_number()),
        prop::option::of(any_number()),
        prop::option::of(seconds(100)),
        seconds(100),
    )
        .prop_map(|(price, revenue, surplus, valid, age)| Feed {
            price_per_kwh: price.map(|price| price / 1000.0),
            revenue_per_ths_day: revenue,
            surplus_w: surplus,
            valid,
            age,
        });
    let curtail = (
        prop::option::of(any_number()),
        seconds(100),
        prop::option::of(seconds(200)),
    )
        .prop_map(|(watts, ramp, length)| Curtail {
            watts,
            ramp,
            length,
        });
    prop_oneof![
        2 => feed.prop_map(Step::Feed),
        1 => curtail.prop_map(Step::Curtail),
        1 => (aim(), caps()).prop_map(|(aim, caps)| Step::Base(Base { aim, caps })),
        4 => (0..40_u64, inputs()).prop_map(|(seconds, inputs)| Step::Wait(seconds, inputs)),
    ]
}

fn bound(aim: Aim, caps: Caps) -> f64 {
    let aim = match aim {
        Aim::Watts(watts) => watts,
        _ => f64::INFINITY,
    };
    aim.min(caps.watts.unwrap_or(f64::INFINITY))
}

fn work(aim: Aim) -> f64 {
    match aim {
        Aim::Hashrate(ths) => ths,
        _ => f64::INFINITY,
    }
}

fn is_tight(effective: &Effective, base: Base) {
    assert!(effective.aim.is_sane(), "{effective:?}");
    let now = bound(effective.aim, effective.caps);
    assert!(now > 0.0 && !now.is_nan(), "{effective:?}");
    let owner = bound(base.aim, base.caps);
    assert!(now <= owner, "{now} W of {owner} W: {effective:?}");
    assert!(work(effective.aim) <= work(base.aim), "{effective:?}");
    assert_eq!(base.aim == Aim::Off, effective.aim == Aim::Off);
    let rest = |caps: Caps| Caps {
        watts: None,
        ..caps
    };
    assert_eq!(rest(effective.caps), rest(base.caps));
    // Less than the owner wants, or sleep, has a reason.
    if now < owner || effective.asleep {
        assert!(!effective.reasons.is_empty(), "{effective:?}");
    }
    for reason in &effective.reasons {
        assert!(
            !reason.text.contains("NaN") && !reason.text.contains("inf "),
            "{reason:?}"
        );
        assert!(reason.text.len() < 300, "{reason:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_is_ever_looser_than_the_owner_wants(
        settings in settings(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut base = settings.base;
        let mut demand = Demand::new(settings);
        let mut now = Duration::ZERO;
        for step in steps {
            match step {
                // Nonsense is refused.
                Step::Feed(feed) => drop(demand.feed(now, &feed)),
                Step::Curtail(wish) => drop(demand.curtail(now, &wish)),
                Step::Base(next) => {
                    prop_assert!(demand.set_base(next));
                    base = next;
                }
                Step::Wait(seconds, inputs) => {
                    now += Duration::from_secs(seconds);
                    let effective = demand.tick(now, &inputs);
                    is_tight(&effective, base);
                    if let Some(next) = effective.next_change {
                        prop_assert!(next > now);
                    }
                }
            }
        }
    }

    #[test]
    fn ramps_go_one_way(
        begin in 100.0..3000.0_f64,
        target in 0.0..3000.0_f64,
        ramp in 0..600_u64,
        length in 0..900_u64,
    ) {
        let mut demand = Demand::new(Settings {
            base: Base { aim: Aim::Efficiency, caps: Caps::default() },
            full_w: 3000.0,
            ..Settings::default()
        });
        let drawing = Inputs { watts: Some(begin), ..Inputs::default() };
        demand.tick(Duration::ZERO, &drawing);
        let ramp_s = Duration::from_secs(ramp);
        let wish = Curtail {
            watts: Some(target),
            ramp: ramp_s,
            length: Some(Duration::from_secs(length)),
        };
        prop_assert!(demand.curtail(Duration::ZERO, &wish).is_ok());
        let mut last = f64::INFINITY;
        for second in 0..length {
            let now = demand.tick(Duration::from_secs(second), &drawing);
            let cap = now.caps.watts.unwrap_or(f64::INFINITY);
            prop_assert!(cap <= last, "{} W after {} W on the way down", cap, last);
            prop_assert!(cap >= target.min(begin).min(3000.0) - 1e-6 || cap >= 1.0);
            // Linear from what was drawn, or there already.
            if second >= ramp {
                prop_assert!(cap <= target.max(1.0) + 1e-9);
            }
            last = cap;
        }
        last = 0.0;
        for second in length..length + ramp + 5 {
            let now = demand.tick(Duration::from_secs(second), &drawing);
            let cap = now.caps.watts.unwrap_or(f64::INFINITY);
            prop_assert!(cap >= last - 1e-9, "{} W after {} W on the way back", cap, last);
            last = cap;
        }
        prop_assert_eq!(last, f64::INFINITY);
    }

    #[test]
    fn times_are_read_or_refused(text in "\\PC{0,8}") {
        if let Ok(time) = text.parse::<demand::TimeOfDay>() {
            prop_assert_eq!(time.to_string().parse::<demand::TimeOfDay>(), Ok(time));
        }
        let _ = Days::of([text.as_str()]);
    }

    #[test]
    fn the_next_change_of_a_schedule_is_when_it_changes(
        entry in entry(),
        weekday in 0..7_u8,
        second in 0..86_400_u32,
    ) {
        let mut demand = Demand::new(Settings {
            base: Base { aim: Aim::Watts(5000.0), caps: Caps::default() },
            schedule: vec![Entry { then: Some(Then::Sleep), aim: None, ..entry }],
            ..Settings::default()
        });
        let at = |second: u64| Inputs {
            local: Some(Local::new(weekday + (second / 86_400 % 7) as u8, (second % 86_400) as u32)),
            ..Inputs::default()
        };
        let begin = u64::from(second);
        let first = demand.tick(Duration::ZERO, &at(begin));
        let held = first.asleep;
        let Some(next) = first.next_change else {
            // It holds all day.
            prop_assert!(entry.from == entry.to);
            return Ok(());
        };
        let left = next.as_secs();
        let before = demand.tick(Duration::from_secs(left - 1), &at(begin + left - 1));
        prop_assert_eq!(before.asleep, held);
        let after = demand.tick(Duration::from_secs(left), &at(begin + left));
        prop_assert_eq!(after.asleep, !held);
    }
}
