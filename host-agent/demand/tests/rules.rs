//! The rules one by one, as an owner would say them.

use std::time::Duration;

use autotune::{Aim, Caps};
use demand::{
    Base, Curtail, CurtailError, Days, Demand, Effective, Entry, Fallback, Feed, FeedError,
    HeatRule, Hottest, Inputs, Local, PriceRule, PriceStep, Settings, SurplusRule, Then,
};

const HOUR: u64 = 3600;

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn owner(watts: f64) -> Settings {
    Settings {
        base: Base {
            aim: Aim::Watts(watts),
            caps: Caps::default(),
        },
        full_w: 1500.0,
        ..Settings::default()
    }
}

fn entry(days: &str, from: &str, to: &str, then: Then) -> Entry {
    Entry {
        days: Days::of([days]).unwrap(),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        aim: None,
        then: Some(then),
    }
}

/// Monday is 0.
fn at(weekday: u8, hour: u32, minute: u32) -> Inputs {
    Inputs {
        local: Some(Local::new(weekday, (hour * 60 + minute) * 60)),
        watts: Some(1000.0),
        ..Inputs::default()
    }
}

fn drawing(watts: f64) -> Inputs {
    Inputs {
        watts: Some(watts),
        ..Inputs::default()
    }
}

fn codes(effective: &Effective) -> Vec<&str> {
    effective.reasons.iter().map(|r| r.code).collect()
}

fn price(value: f64) -> Feed {
    Feed {
        price_per_kwh: Some(value),
        ..Feed::default()
    }
}

fn surplus(watts: f64) -> Feed {
    Feed {
        surplus_w: Some(watts),
        ..Feed::default()
    }
}

#[test]
fn without_rules_the_owner_gets_what_he_wants() {
    let mut demand = Demand::new(owner(900.0));
    let effective = demand.tick(s(1), &Inputs::default());
    assert_eq!(effective.aim, Aim::Watts(900.0));
    assert_eq!(effective.caps, Caps::default());
    assert!(effective.reasons.is_empty() && !effective.asleep);
    assert_eq!(effective.next_change, None);
}

#[test]
fn a_schedule_caps_and_sleeps_by_the_time_on_the_wall() {
    let mut settings = owner(900.0);
    settings.schedule = vec![
        entry("mon-fri", "17:00", "21:00", Then::Sleep),
        entry("mon-sun", "22:00", "06:00", Then::Watts(500.0)),
    ];
    let mut demand = Demand::new(settings);
    let noon = demand.tick(s(1), &at(0, 12, 0));
    assert_eq!((noon.aim, noon.asleep), (Aim::Watts(900.0), false));
    assert_eq!(noon.next_change, Some(s(1 + 5 * HOUR)));
    let evening = demand.tick(s(2), &at(0, 17, 0));
    assert!(evening.asleep);
    assert_eq!(evening.reasons[0].text, "schedule: asleep until 21:00");
    assert!(!demand.tick(s(3), &at(0, 21, 0)).asleep);
    let night = demand.tick(s(4), &at(1, 3, 30));
    assert_eq!(
        (night.aim, night.caps.watts),
        (Aim::Watts(500.0), Some(500.0))
    );
    assert_eq!(night.reasons[0].text, "schedule: at most 500 W until 06:00");
    assert!(!demand.tick(s(5), &at(5, 18, 0)).asleep, "on Saturday");
}

#[test]
fn nights_belong_to_the_day_on_which_they_begin() {
    let friday = entry("fri", "22:00", "06:00", Then::Sleep);
    let local = |weekday, hour: u32| Local::new(weekday, hour * 3600);
    assert!(friday.holds(local(4, 23)) && friday.holds(local(5, 5)));
    assert!(!friday.holds(local(4, 5)) && !friday.holds(local(5, 23)));
    assert!(!friday.holds(local(5, 6)) && !friday.holds(local(4, 21)));
    let sunday = entry("sun", "22:00", "06:00", Then::Sleep);
    assert!(sunday.holds(local(0, 5)));
    let whole = entry("sat", "00:00", "24:00", Then::Sleep);
    assert!((0..24).all(|hour| whole.holds(local(5, hour)) && !whole.holds(local(6, hour))));
    let round = entry("sat", "08:00", "08:00", Then::Sleep);
    assert!(round.holds(local(5, 8)) && round.holds(local(6, 7)) && !round.holds(local(6, 8)));
}

#[test]
fn a_clock_that_jumps_is_followed() {
    let mut settings = owner(900.0);
    settings.schedule = vec![entry("mon-sun", "02:15", "02:45", Then::Sleep)];
    let mut demand = Demand::new(settings.clone());
    // In spring 01:59:59 is followed by 03:00:00.
    assert!(!demand.tick(s(1), &at(6, 1, 59)).asleep);
    assert!(!demand.tick(s(2), &at(6, 3, 0)).asleep);
    // In autumn the hour comes twice.
    for _ in 0..2 {
        assert!(demand.tick(s(3), &at(6, 2, 30)).asleep);
        assert!(!demand.tick(s(4), &at(6, 2, 50)).asleep);
    }
}

#[test]
fn a_computer_without_the_time_says_so() {
    let mut settings = owner(900.0);
    settings.schedule = vec![entry("mon-sun", "00:00", "24:00", Then::Sleep)];
    let effective = Demand::new(settings).tick(s(1), &drawing(900.0));
    assert!(!effective.asleep);
    assert_eq!(codes(&effective), ["no-clock"]);
}

#[test]
fn an_aim_of_the_schedule_keeps_the_owners_watts() {
    let mut settings = owner(900.0);
    settings.schedule = vec![Entry {
        aim: Some(Aim::Efficiency),
        then: None,
        ..entry("mon-sun", "00:00", "24:00", Then::Sleep)
    }];
    let effective = Demand::new(settings.clone()).tick(s(1), &at(0, 1, 0));
    assert_eq!(effective.aim, Aim::Efficiency);
    assert_eq!(effective.caps.watts, Some(900.0));
    assert_eq!(codes(&effective), ["schedule"]);
    settings.base.aim = Aim::Hashrate(95.0);
    let effective = Demand::new(settings.clone()).tick(s(1), &at(0, 1, 0));
    assert_eq!(effective.aim, Aim::Hashrate(95.0), "no more work than that");
    settings.base.aim = Aim::Off;
    let effective = Demand::new(settings).tick(s(1), &at(0, 1, 0));
    assert_eq!(effective.aim, Aim::Off);
}

fn dear() -> Settings {
    let step = |above, then| PriceStep { above, then };
    let mut settings = owner(900.0);
    settings.price = Some(PriceRule {
        steps: vec![step(0.25, Then::Watts(600.0)), step(0.35, Then::Sleep)],
        hysteresis: 0.02,
        valid: s(2 * HOUR),
        stale: Fallback::Then(Then::Watts(700.0)),
    });
    settings
}

#[test]
fn prices_cap_and_let_sleep_with_a_hysteresis() {
    let mut demand = Demand::new(dear());
    let mut now = 0;
    let mut told = |value| {
        now += 10;
        demand.feed(s(now), &price(value)).unwrap();
        demand.tick(s(now), &drawing(500.0))
    };
    assert!(told(0.20).reasons.is_empty());
    let high = told(0.30);
    assert_eq!(high.aim, Aim::Watts(600.0));
    assert_eq!(
        high.reasons[0].text,
        "price 0.3/kWh above 0.25: at most 600 W"
    );
    let top = told(0.41);
    assert!(top.asleep);
    assert_eq!(top.reasons[0].text, "price 0.41/kWh above 0.35: asleep");
    let near = told(0.34);
    assert!(near.asleep);
    assert_eq!(
        near.reasons[0].text,
        "price 0.34/kWh not below 0.33 yet: asleep"
    );
    let awake = told(0.33);
    assert_eq!((awake.asleep, awake.aim), (false, Aim::Watts(600.0)));
    assert_eq!(told(0.235).aim, Aim::Watts(600.0));
    assert_eq!(told(0.23).aim, Aim::Watts(900.0));
}

#[test]
fn a_price_that_grows_old_falls_back_and_says_so() {
    let mut demand = Demand::new(dear());
    let first = demand.tick(s(1), &drawing(500.0));
    assert_eq!(
        first.reasons[0].text,
        "price: none was told yet: at most 700 W"
    );
    demand.feed(s(10), &price(0.1)).unwrap();
    let fresh = demand.tick(s(11), &drawing(500.0));
    assert!(fresh.reasons.is_empty());
    assert_eq!(fresh.next_change, Some(s(10 + 2 * HOUR)));
    assert_eq!(fresh.price_per_kwh, Some((0.1, s(1))));
    let old = demand.tick(s(20 + 2 * HOUR), &drawing(500.0));
    assert_eq!(codes(&old), ["stale-feed"]);
    assert_eq!(old.aim, Aim::Watts(700.0));
    assert_eq!(
        old.reasons[0].text,
        "price: the last is 2 h old and holds for 2 h: at most 700 W"
    );
    // One that was old when it was told.
    let mut aged = price(0.1);
    aged.age = s(3 * HOUR);
    demand.feed(s(30 + 2 * HOUR), &aged).unwrap();
    assert_eq!(
        codes(&demand.tick(s(31 + 2 * HOUR), &drawing(500.0))),
        ["stale-feed"]
    );
}

#[test]
fn profit_reckons_with_the_price_of_now() {
    let configured = Aim::Profit {
        price_per_kwh: 0.20,
        revenue_per_ths_day: 0.05,
    };
    let mut demand = Demand::new(owner(900.0));
    demand.set_base(Base {
        aim: configured,
        caps: Caps::default(),
    });
    assert_eq!(demand.tick(s(1), &drawing(1.0)).aim, configured);
    let told = Feed {
        revenue_per_ths_day: Some(0.04),
        valid: Some(s(60)),
        ..price(-0.01)
    };
    demand.feed(s(2), &told).unwrap();
    let now = Aim::Profit {
        price_per_kwh: -0.01,
        revenue_per_ths_day: 0.04,
    };
    assert_eq!(demand.tick(s(3), &drawing(1.0)).aim, now);
    assert_eq!(demand.tick(s(70), &drawing(1.0)).aim, configured);
}

fn sunny() -> Settings {
    let mut settings = owner(1200.0);
    settings.surplus = Some(SurplusRule {
        floor_w: 400.0,
        wake_w: 500.0,
        at_meter: false,
        smoothing: s(60),
        valid: s(300),
        stale: Fallback::Then(Then::Sleep),
    });
    settings.least_awake = s(300);
    settings.least_asleep = s(120);
    settings
}

#[test]
fn the_miner_draws_no_more_than_the_surplus() {
    let mut demand = Demand::new(sunny());
    let mut effective = demand.tick(s(0), &drawing(0.0));
    assert!(effective.asleep, "nobody tells of a surplus");
    let mut asleep_for = 0;
    for second in 1..1000 {
        demand.feed(s(second), &surplus(800.0)).unwrap();
        effective = demand.tick(s(second), &drawing(700.0));
        asleep_for += u64::from(effective.asleep);
    }
    assert_eq!(asleep_for, 119, "the shortest sleep counts");
    assert_eq!(
        (effective.asleep, effective.aim),
        (false, Aim::Watts(800.0))
    );
    // A cloud of a minute is smoothed, and of 300 W it does not wake again.
    let mut least = 800.0_f64;
    for second in 1000..1030 {
        demand.feed(s(second), &surplus(300.0)).unwrap();
        effective = demand.tick(s(second), &drawing(700.0));
        least = least.min(effective.caps.watts.unwrap());
    }
    assert!(!effective.asleep && least > 550.0, "{least}");
    for second in 1030..1400 {
        demand.feed(s(second), &surplus(300.0)).unwrap();
        effective = demand.tick(s(second), &drawing(500.0));
    }
    assert!(effective.asleep);
    assert_eq!(effective.reasons[0].code, "surplus");
    for second in 1400..1800 {
        demand.feed(s(second), &surplus(450.0)).unwrap();
        assert!(
            demand.tick(s(second), &drawing(5.0)).asleep,
            "450 W do not wake it"
        );
    }
}

#[test]
fn a_surplus_that_comes_and_goes_does_not_wear_the_machine() {
    let mut demand = Demand::new(sunny());
    let (mut changes, mut last) = (0, false);
    for second in 0..(6 * HOUR) {
        let watts = if second / 90 % 2 == 0 { 1000.0 } else { 0.0 };
        demand.feed(s(second), &surplus(watts)).unwrap();
        let now = demand.tick(s(second), &drawing(300.0)).asleep;
        changes += u32::from(now != last);
        last = now;
    }
    // A sleep of 2 minutes at least and a day of 5: at most two changes in 7 minutes.
    assert!(changes <= 2 * 6 * 60 / 7 + 2, "{changes}");
}

#[test]
fn while_it_may_not_sleep_yet_it_takes_the_least() {
    let mut demand = Demand::new(sunny());
    demand.feed(s(0), &surplus(0.0)).unwrap();
    assert!(
        demand.tick(s(0), &drawing(0.0)).asleep,
        "at the start at once"
    );
    for second in 1..200 {
        demand.feed(s(second), &surplus(900.0)).unwrap();
        demand.tick(s(second), &drawing(800.0));
    }
    let mut effective = demand.tick(s(200), &drawing(800.0));
    assert!(!effective.asleep);
    for second in 201..330 {
        demand.feed(s(second), &surplus(0.0)).unwrap();
        effective = demand.tick(s(second), &drawing(800.0));
    }
    assert!(!effective.asleep);
    assert_eq!(effective.aim, Aim::Watts(400.0));
    assert!(codes(&effective).contains(&"minimum-time"), "{effective:?}");
}

#[test]
fn at_the_meter_the_miners_own_power_comes_back() {
    let mut settings = sunny();
    if let Some(rule) = &mut settings.surplus {
        rule.at_meter = true;
    }
    let mut demand = Demand::new(settings);
    demand.tick(s(0), &drawing(600.0));
    demand.feed(s(1), &surplus(-50.0)).unwrap();
    let effective = demand.tick(s(500), &drawing(600.0));
    assert_eq!(effective.surplus_w, Some((550.0, s(499))));
}

#[test]
fn curtailment_goes_down_and_back_in_a_ramp() {
    let mut demand = Demand::new(owner(1000.0));
    demand.tick(s(0), &drawing(1000.0));
    let wish = Curtail {
        watts: Some(600.0),
        ramp: s(100),
        length: Some(s(1000)),
    };
    demand.curtail(s(10), &wish).unwrap();
    let cap = |demand: &mut Demand, second| {
        let effective = demand.tick(s(second), &drawing(900.0));
        assert_eq!(
            effective.aim,
            Aim::Watts(effective.caps.watts.unwrap_or(1000.0))
        );
        effective.caps.watts
    };
    assert_eq!(cap(&mut demand, 10), Some(1000.0));
    assert_eq!(cap(&mut demand, 60), Some(800.0));
    assert_eq!(cap(&mut demand, 110), Some(600.0));
    let there = demand.tick(s(500), &drawing(600.0));
    assert_eq!(there.curtailed_to_w, Some(600.0));
    assert_eq!(there.next_change, Some(s(1010)));
    assert_eq!(
        there.reasons[0].text,
        "curtailment: at most 600 W until it ends"
    );
    assert_eq!(cap(&mut demand, 1010), Some(600.0));
    // Back as fast as down, to what the machine may draw at all.
    assert_eq!(cap(&mut demand, 1050), Some(600.0 + 900.0 * 0.4));
    assert_eq!(cap(&mut demand, 1111), None);
}

#[test]
fn curtailment_can_be_ended_and_changed_on_its_way() {
    let mut demand = Demand::new(owner(1000.0));
    demand.tick(s(0), &drawing(1000.0));
    let to = |watts, ramp| Curtail {
        watts,
        ramp: s(ramp),
        length: None,
    };
    demand.curtail(s(0), &to(Some(500.0), 100)).unwrap();
    let half = demand.tick(s(50), &drawing(760.0));
    assert_eq!(half.caps.watts, Some(750.0));
    demand.curtail(s(50), &to(Some(250.0), 50)).unwrap();
    assert_eq!(demand.tick(s(75), &drawing(700.0)).caps.watts, Some(500.0));
    assert_eq!(demand.tick(s(100), &drawing(700.0)).caps.watts, Some(250.0));
    demand.curtail(s(200), &to(Some(450.0), 10)).unwrap();
    assert_eq!(demand.tick(s(205), &drawing(250.0)).caps.watts, Some(350.0));
    demand.curtail(s(300), &to(None, 0)).unwrap();
    let free = demand.tick(s(300), &drawing(450.0));
    assert_eq!((free.caps.watts, free.curtailed_to_w), (None, None));
    // To end what is not there is no matter.
    demand.curtail(s(301), &to(None, 10)).unwrap();
    assert!(demand.tick(s(302), &drawing(450.0)).reasons.is_empty());
}

#[test]
fn curtailment_to_nothing_is_sleep() {
    let mut settings = owner(1000.0);
    settings.least_awake = s(HOUR);
    let mut demand = Demand::new(settings);
    demand.tick(s(0), &drawing(1000.0));
    let at_once = Curtail {
        watts: Some(0.0),
        ramp: Duration::ZERO,
        length: Some(s(60)),
    };
    demand.curtail(s(1), &at_once).unwrap();
    let now = demand.tick(s(1), &drawing(1000.0));
    assert!(now.asleep, "shedding waits for no minimum time");
    assert_eq!(now.reasons[0].code, "curtailment");
    assert!(!demand.tick(s(61), &drawing(5.0)).asleep);
}

#[test]
fn what_the_boards_cannot_do_is_done_by_sleep() {
    let mut demand = Demand::new(owner(1000.0));
    demand.tick(s(0), &drawing(1000.0));
    let wish = Curtail {
        watts: Some(200.0),
        ramp: Duration::ZERO,
        length: None,
    };
    demand.curtail(s(0), &wish).unwrap();
    let stuck = Inputs {
        too_little: true,
        ..drawing(400.0)
    };
    for second in 0..30 {
        assert!(!demand.tick(s(second), &stuck).asleep);
    }
    let nearly = Inputs {
        watts: Some(204.0),
        ..stuck.clone()
    };
    assert!(
        !demand.clone().tick(s(31), &nearly).asleep,
        "as good as held"
    );
    let asleep = demand.tick(s(31), &stuck);
    assert!(asleep.asleep && asleep.reasons[0].text.contains("cannot run with so little"));
    assert!(
        demand.tick(s(500), &drawing(0.0)).asleep,
        "it is not tried again and again"
    );
    let more = Curtail {
        watts: Some(500.0),
        ..wish
    };
    demand.curtail(s(600), &more).unwrap();
    assert!(!demand.tick(s(600), &drawing(0.0)).asleep);
}

#[test]
fn without_a_tuner_watts_cannot_be_held_and_that_is_said() {
    let mut settings = owner(1000.0);
    settings.base.aim = Aim::Off;
    let mut demand = Demand::new(settings);
    demand.tick(s(0), &drawing(1000.0));
    let to = |watts| Curtail {
        watts: Some(watts),
        ramp: Duration::ZERO,
        length: None,
    };
    demand.curtail(s(0), &to(500.0)).unwrap();
    let effective = demand.tick(s(1), &drawing(1000.0));
    assert_eq!(effective.aim, Aim::Off);
    assert_eq!(codes(&effective), ["curtailment", "tuner-off"]);
    assert!(effective.reasons[1].text.contains("500 W cannot be held"));
    demand.curtail(s(2), &to(0.0)).unwrap();
    assert!(demand.tick(s(2), &drawing(1000.0)).asleep);
}

#[test]
fn heat_takes_power_and_says_of_what() {
    let mut settings = owner(1000.0);
    settings.heat = Some(HeatRule { margin_k: 3.0 });
    let mut demand = Demand::new(settings);
    let hot = |celsius| Inputs {
        hottest: Some(Hottest {
            name: "board 1 chip".into(),
            celsius,
            limit_c: 70.0,
            fans_have_room: false,
        }),
        ..drawing(1000.0)
    };
    assert!(demand.tick(s(0), &hot(60.0)).reasons.is_empty());
    let mut effective = demand.tick(s(1), &hot(60.0));
    for second in 2..60 {
        effective = demand.tick(s(second), &hot(69.0));
    }
    assert_eq!(codes(&effective), ["heat"]);
    assert!(
        effective.reasons[0]
            .text
            .contains("board 1 chip at 69.0 °C"),
        "{effective:?}"
    );
    let cap = effective.caps.watts.unwrap();
    assert!((800.0..950.0).contains(&cap), "{cap}");
}

#[test]
fn fans_that_are_louder_than_allowed_take_power() {
    let mut settings = owner(1000.0);
    settings.base.caps.fan_percent = Some(40.0);
    let mut demand = Demand::new(settings);
    let loud = Inputs {
        fan_percent: Some(60.0),
        ..drawing(1000.0)
    };
    let mut effective = demand.tick(s(0), &loud);
    for second in 1..60 {
        effective = demand.tick(s(second), &loud);
    }
    assert!(effective.caps.watts.unwrap() < 1000.0);
    assert!(
        effective.reasons[0]
            .text
            .starts_with("fans at 60 % of 40 % allowed")
    );
}

#[test]
fn the_strongest_reason_comes_first() {
    let mut settings = dear();
    settings.schedule = vec![entry("mon-sun", "00:00", "24:00", Then::Watts(500.0))];
    let mut demand = Demand::new(settings);
    demand.feed(s(0), &price(0.3)).unwrap();
    let both = demand.tick(s(0), &at(0, 12, 0));
    assert_eq!(codes(&both), ["schedule", "price"]);
    assert_eq!(both.aim, Aim::Watts(500.0));
    demand.feed(s(1), &price(0.4)).unwrap();
    let all = demand.tick(s(1), &at(0, 12, 0));
    assert_eq!(codes(&all)[0], "price");
    assert!(all.asleep);
}

#[test]
fn what_cannot_be_meant_is_refused_and_changes_nothing() {
    let mut demand = Demand::new(dear());
    assert_eq!(demand.feed(s(0), &Feed::default()), Err(FeedError::Nothing));
    assert_eq!(
        demand.feed(s(0), &surplus(500.0)),
        Err(FeedError::NoSurplusRule)
    );
    for bad in [f64::NAN, f64::INFINITY, 1e9] {
        assert!(matches!(
            demand.feed(s(0), &price(bad)),
            Err(FeedError::Value { .. })
        ));
        let wish = Curtail {
            watts: Some(-bad),
            ramp: Duration::ZERO,
            length: None,
        };
        assert!(matches!(
            demand.curtail(s(0), &wish),
            Err(CurtailError::Watts(_))
        ));
    }
    let nonsense = Base {
        aim: Aim::Watts(f64::NAN),
        caps: Caps::default(),
    };
    assert!(!demand.set_base(nonsense));
    assert_eq!(demand.base().aim, Aim::Watts(900.0));
}

#[test]
fn days_and_times_are_read_as_people_write_them() {
    let days = Days::of(["fri-mon", "Wed"]).unwrap();
    let named: Vec<u8> = (0..7).filter(|day| days.has(*day)).collect();
    assert_eq!(named, [0, 2, 4, 5, 6]);
    for bad in ["", "monday", "mon-", "mon-fri-sun", "8"] {
        assert!(Days::of([bad]).is_err(), "{bad}");
    }
    assert!(Days::of([]).is_err());
    let time = |text: &str| text.parse::<demand::TimeOfDay>();
    assert_eq!(time("7:05").unwrap().to_string(), "07:05");
    assert_eq!(time("24:00").unwrap().to_string(), "24:00");
    for bad in [
        "24:01", "7", "7:5", "+7:05", "07:60", "aa:bb", "", "-1:00", "99999:00",
    ] {
        assert!(time(bad).is_err(), "{bad}");
    }
}
