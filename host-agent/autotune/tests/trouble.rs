//! Bad input, restarts and changing wishes: each ends in a safe, stated condition with the best known setting kept.
#![allow(unreachable_pub)]

mod bench;

use autotune::{
    Activity, Aim, BoardModel, Caps, Command, Observation, Reach, Setting, Step, Tuner,
};
use bench::Bench;
use board_simulator::physics::Quality;

const GAMMA: &str = "bitaxe-gamma";
const EMBER: &str = "emberone00";

fn start(name: &str, seed: u64, aim: Aim, caps: Caps, saved: Vec<BoardModel>) -> (Bench, Tuner) {
    let bench = Bench::new(name, Quality::NORMAL, seed, 25.0);
    let tuner = Tuner::new(bench.layout.clone(), aim, caps, saved, seed).unwrap();
    (bench, tuner)
}

/// Lets both live for a while; what is read may be falsified on the way. Returns what was ordered.
fn live(
    bench: &mut Bench,
    tuner: &mut Tuner,
    seconds: u32,
    mut falsify: impl FnMut(&mut Observation),
) -> Vec<Command> {
    let mut orders = Vec::new();
    for _ in 0..seconds {
        let mut seen = bench.step();
        falsify(&mut seen);
        tuner.observe(bench.now(), &seen);
        tuner.tick(bench.now());
        while let Some(command) = tuner.poll_command() {
            bench.order(command);
            orders.push(command);
        }
    }
    orders
}

fn until_kept(bench: &mut Bench, tuner: &mut Tuner) -> f64 {
    let begin = bench.now().as_secs_f64();
    for _ in 0..1500 {
        live(bench, tuner, 1, |_| {});
        if tuner.status().activity == Activity::Keeping {
            return bench.now().as_secs_f64() - begin;
        }
    }
    panic!("never kept: {:?}", tuner.status());
}

fn steps(tuner: &mut Tuner) -> Vec<Step> {
    std::iter::from_fn(|| tuner.poll_step()).collect()
}

#[test]
fn without_one_sensor_it_goes_on_and_without_any_it_holds() {
    let aim = Aim::Watts(80.0);
    let (mut bench, mut tuner) = start(EMBER, 3, aim, Caps::default(), Vec::new());
    live(&mut bench, &mut tuner, 60, |_| {});
    live(&mut bench, &mut tuner, 120, |seen| {
        seen.boards[0].board_c[1] = None;
    });
    assert!(!matches!(tuner.status().activity, Activity::Held(_)));
    live(&mut bench, &mut tuner, 120, |seen| {
        seen.boards[0].board_c = vec![None, Some(f64::NAN)];
    });
    let status = tuner.status();
    assert!(
        matches!(&status.activity, Activity::Held(why) if why.contains("no sensor of board 0")),
        "{status:?}"
    );
    until_kept(&mut bench, &mut tuner);
    assert_eq!(bench.violations.total(), 0);
}

#[test]
fn a_restart_in_the_middle_goes_on_from_what_was_learned() {
    let aim = Aim::Watts(80.0);
    let (mut bench, mut tuner) = start(EMBER, 5, aim, Caps::default(), Vec::new());
    live(&mut bench, &mut tuner, 150, |_| {});
    assert!(tuner.status().rounds > 2);
    assert_ne!(tuner.status().activity, Activity::Keeping);
    let models = tuner.models();
    assert!(!models[0].complete);
    let (mut bench, mut again) = start(EMBER, 5, aim, Caps::default(), models.clone());
    assert_ne!(again.setting(), &Setting::factory(&bench.layout));
    let spent = until_kept(&mut bench, &mut again);
    let (mut bench, mut fresh) = start(EMBER, 5, aim, Caps::default(), Vec::new());
    let anew = until_kept(&mut bench, &mut fresh);
    assert!(spent < 0.8 * anew, "{spent} {anew}");
    assert!(
        !steps(&mut again)
            .iter()
            .any(|step| step.decision.contains("forget"))
    );
}

#[test]
fn no_tick_of_a_restart_has_the_lower_voltage_with_the_old_clocks() {
    let (mut bench, mut tuner) = start(GAMMA, 2, Aim::Efficiency, Caps::default(), Vec::new());
    until_kept(&mut bench, &mut tuner);
    let models = tuner.models();
    for told in [true, false] {
        let (mut bench, mut again) =
            start(GAMMA, 2, Aim::Efficiency, Caps::default(), models.clone());
        let (usual_mv, usual_mhz) = (bench.layout.mv.1, bench.layout.clock_mhz.1);
        // The boards came up at the factory's setting before the tuner looks.
        for _ in 0..30 {
            bench.step();
        }
        for _ in 0..60 {
            let mut seen = bench.step();
            let mhz = seen.boards[0].chips[0].mhz;
            let mv = bench.machine.supply().set_mv;
            assert!(
                mv > usual_mv - 20.0 || mhz < usual_mhz - 10.0,
                "{mv} mV at {mhz} MHz"
            );
            if !told {
                seen.boards[0].mv = None;
            }
            again.observe(bench.now(), &seen);
            again.tick(bench.now());
            while let Some(command) = again.poll_command() {
                bench.order(command);
            }
        }
        assert!(bench.machine.supply().set_mv < usual_mv - 50.0);
    }
}

#[test]
fn a_voltage_that_does_not_come_is_said() {
    let (mut bench, mut tuner) = start(GAMMA, 2, Aim::Efficiency, Caps::default(), Vec::new());
    live(&mut bench, &mut tuner, 200, |seen| {
        seen.boards[0].mv = seen.boards[0].mv.map(|mv| 0.9 * mv);
    });
    let status = tuner.status();
    assert!(
        matches!(&status.activity, Activity::Held(why) if why.contains("does not come")),
        "{status:?}"
    );
}

#[test]
fn aims_that_are_no_numbers_change_nothing() {
    let aim = Aim::Watts(14.5);
    let (mut bench, mut tuner) = start(GAMMA, 2, aim, Caps::default(), Vec::new());
    until_kept(&mut bench, &mut tuner);
    let kept = tuner.setting().clone();
    for aim in [
        Aim::Watts(f64::NAN),
        Aim::Watts(-3.0),
        Aim::Watts(0.0),
        Aim::Hashrate(f64::INFINITY),
        Aim::Profit {
            price_per_kwh: f64::NAN,
            revenue_per_ths_day: 0.1,
        },
    ] {
        tuner.set_aim(aim, Caps::default());
        assert!(tuner.predict(aim).is_none());
    }
    live(&mut bench, &mut tuner, 30, |_| {});
    assert_eq!(tuner.setting(), &kept);
    assert_eq!(tuner.status().aim, aim);
}

#[test]
fn more_watts_than_the_board_can_use_end_at_its_limits() {
    let aim = Aim::Watts(500.0);
    let (mut bench, mut tuner) = start(GAMMA, 2, aim, Caps::default(), Vec::new());
    until_kept(&mut bench, &mut tuner);
    live(&mut bench, &mut tuner, 300, |_| {});
    assert_eq!(tuner.status().reach, Reach::TooMuchPower);
    assert_eq!(bench.violations.total(), 0);
    // Being paid for power is no reason to stop.
    let paid = Aim::Profit {
        price_per_kwh: -0.05,
        revenue_per_ths_day: 0.05,
    };
    assert!(tuner.predict(paid).unwrap().ths[0] > 1.1);
}

#[test]
fn counters_that_jump_back_are_a_new_start_and_no_alarm() {
    let aim = Aim::Watts(80.0);
    let (mut bench, mut tuner) = start(EMBER, 4, aim, Caps::default(), Vec::new());
    live(&mut bench, &mut tuner, 100, |_| {});
    let mut base = None;
    live(&mut bench, &mut tuner, 200, |seen| {
        let now: Vec<_> = seen.boards[0].chips.iter().map(|c| c.valid).collect();
        let base = base.get_or_insert(now);
        for (chip, base) in seen.boards[0].chips.iter_mut().zip(base) {
            chip.valid -= *base;
            chip.wrong = 0;
        }
    });
    assert!(!steps(&mut tuner).iter().any(|step| {
        step.evidence.contains("less than half") || step.decision.contains("hold")
    }));
}

#[test]
fn a_board_that_is_throttled_is_planned_cooler() {
    let aim = Aim::Watts(80.0);
    let (mut bench, mut tuner) = start(EMBER, 4, aim, Caps::default(), Vec::new());
    until_kept(&mut bench, &mut tuner);
    steps(&mut tuner);
    let setting = tuner.setting().clone();
    live(&mut bench, &mut tuner, 50, |seen| {
        seen.boards[0].throttled = true;
    });
    assert_eq!(tuner.setting(), &setting);
    live(&mut bench, &mut tuner, 30, |seen| {
        seen.boards[0].throttled = true;
    });
    assert!(
        steps(&mut tuner)
            .iter()
            .any(|s| s.decision.contains("2 K less"))
    );
}

#[test]
fn a_meter_that_lies_is_corrected_by_a_wall_meter() {
    let aim = Aim::Watts(80.0);
    let (mut bench, mut tuner) = start(EMBER, 6, aim, Caps::default(), Vec::new());
    let lie = |seen: &mut Observation| seen.watts = seen.watts.map(|watts| 0.9 * watts);
    live(&mut bench, &mut tuner, 600, lie);
    assert_eq!(tuner.status().activity, Activity::Keeping);
    assert!(
        (bench.watts / 80.0 - 1.0 / 0.9).abs() < 0.01,
        "{}",
        bench.watts
    );
    assert!(tuner.calibrate(f64::NAN).is_err());
    assert!(tuner.calibrate(3.0 * bench.watts).is_err());
    let told = tuner.calibrate(bench.watts).unwrap();
    assert!((told.factor - 1.0 / 0.9).abs() < 0.01, "{told:?}");
    live(&mut bench, &mut tuner, 400, lie);
    assert!((bench.watts / 80.0 - 1.0).abs() < 0.01, "{}", bench.watts);
    let model = tuner.models().remove(0);
    assert_eq!(model.calibration, Some(told));
    assert!(model.fitted.iter().any(|f| f.name == "meter_factor"));
    let (mut bench, mut again) = start(EMBER, 6, aim, Caps::default(), vec![model]);
    live(&mut bench, &mut again, 400, lie);
    assert!((bench.watts / 80.0 - 1.0).abs() < 0.01, "{}", bench.watts);
}

#[test]
fn seasons_and_age_are_followed_by_small_corrections() {
    let aim = Aim::Watts(14.5);
    let (mut bench, mut tuner) = start(GAMMA, 7, aim, Caps::default(), Vec::new());
    bench.machine.set_ambient_c(12.0);
    until_kept(&mut bench, &mut tuner);
    let mut before = tuner.setting().clone();
    for step in 1..=50_u32 {
        bench.machine.set_ambient_c(12.0 + 0.5 * f64::from(step));
        bench.machine.set_age_hours(60.0 * f64::from(step));
        live(&mut bench, &mut tuner, 120, |_| {});
        let now = tuner.setting().clone();
        assert!((now.mv[0] / before.mv[0] - 1.0).abs() < 0.03, "{now:?}");
        assert!(
            (now.mean_mhz() / before.mean_mhz() - 1.0).abs() < 0.06,
            "{now:?}"
        );
        before = now;
    }
    live(&mut bench, &mut tuner, 900, |_| {});
    assert!((bench.watts / 14.5 - 1.0).abs() < 0.01, "{}", bench.watts);
    let (_, best, watts) = bench.oracle(Aim::Watts(bench.watts));
    assert!(bench.ths > 0.985 * best, "{} {best} {watts}", bench.ths);
    assert_eq!(bench.violations.total(), 0);
    let told = steps(&mut tuner);
    assert!(!told.iter().any(|step| step.decision.contains("forget")));
}

#[test]
fn the_owners_bounds_hold_in_every_tick() {
    let caps = Caps {
        chip_c: Some(52.0),
        watts: Some(13.0),
        mv: Some(1100.0),
        fan_percent: Some(80.0),
        ..Caps::default()
    };
    let aim = Aim::Hashrate(1.3);
    let (mut bench, mut tuner) = start(GAMMA, 3, aim, caps, Vec::new());
    for second in 0..900 {
        let orders = live(&mut bench, &mut tuner, 1, |_| {});
        for order in orders {
            match order {
                Command::Voltage { mv, .. } => assert!(mv <= 1100),
                Command::FanHold(Some(duty)) => assert!(duty <= 80.0),
                _ => {}
            }
        }
        // The board came up at the factory's setting at 10 s.
        if second > 30 {
            assert!(
                bench.watts < 13.0 * 1.01,
                "{second} s: {} W {:#?} {:?}",
                bench.watts,
                steps(&mut tuner),
                tuner.status()
            );
            assert!(bench.machine.supply().set_mv <= 1100.5);
            assert!(
                bench.machine.hottest_c() < 54.0,
                "{second} s: {}",
                bench.machine.hottest_c()
            );
        }
    }
    assert_eq!(tuner.status().reach, Reach::TooMuchWork);
}

#[test]
fn a_curtailment_acts_within_seconds_whatever_it_does() {
    let aim = Aim::Watts(80.0);
    for when in [20, 31, 40, 75, 120, 500] {
        let (mut bench, mut tuner) = start(EMBER, 8, aim, Caps::default(), Vec::new());
        live(&mut bench, &mut tuner, when, |_| {});
        let caps = Caps {
            watts: Some(62.0),
            ..Caps::default()
        };
        tuner.set_aim(aim, caps);
        live(&mut bench, &mut tuner, 30, |_| {});
        assert!(
            bench.watts < 64.0,
            "{when} s: {} W {:#?} {:?} {:?}",
            bench.watts,
            steps(&mut tuner),
            tuner.status(),
            bench.now()
        );
        live(&mut bench, &mut tuner, 500, |_| {});
        assert!(bench.watts < 62.7, "{when} s: {} W", bench.watts);
        tuner.set_aim(aim, Caps::default());
        // Down is for safety; back up it may learn on the way.
        live(&mut bench, &mut tuner, 900, |_| {});
        assert!(bench.watts > 78.0, "{when} s: {} W", bench.watts);
        assert_eq!(bench.violations.total(), 0);
    }
}

#[test]
fn models_that_cannot_be_of_this_board_are_refused_with_a_reason() {
    let aim = Aim::Watts(14.5);
    let (mut bench, mut tuner) = start(GAMMA, 2, aim, Caps::default(), Vec::new());
    until_kept(&mut bench, &mut tuner);
    let model = tuner.models().remove(0);
    assert_eq!(model.check(&bench.layout), Ok(()));
    let spoil: [fn(&mut BoardModel); 9] = [
        |m| m.version = 7,
        |m| m.profile = "s21".into(),
        |m| m.chips.push(m.chips[0]),
        |m| m.mv = f64::NAN,
        |m| m.chips[0].mhz = -5.0,
        |m| m.chips[0].sd_mv = 0.0,
        |m| m.shared[0] = f64::INFINITY,
        |m| m.covariance[0] = -1.0,
        |m| m.power_factor = 0.0,
    ];
    for spoil in spoil {
        let mut spoiled = model.clone();
        spoil(&mut spoiled);
        let why = spoiled.check(&bench.layout).unwrap_err();
        let (_, mut fresh) = start(GAMMA, 2, aim, Caps::default(), vec![spoiled]);
        assert_eq!(fresh.setting(), &Setting::factory(&bench.layout));
        let step = fresh.poll_step().unwrap();
        assert_eq!(step.evidence, why);
        assert!(step.decision.contains("not used"));
    }
}

#[test]
fn the_curve_rises_in_power_and_work_within_the_caps() {
    let caps = Caps {
        watts: Some(85.0),
        ..Caps::default()
    };
    let (mut bench, mut tuner) = start(EMBER, 9, Aim::Efficiency, caps, Vec::new());
    assert!(tuner.curve(10).is_empty());
    assert_eq!(tuner.progress().0, 0.0);
    let mut done = 0.0;
    while tuner.status().activity != Activity::Keeping {
        live(&mut bench, &mut tuner, 1, |_| {});
        let (share, left) = tuner.progress();
        assert!(share >= done && left.is_none_or(|s| (0.0..2000.0).contains(&s)));
        done = share;
    }
    assert_eq!(tuner.progress(), (1.0, Some(0.0)));
    let curve = tuner.curve(12);
    assert!(curve.len() > 6, "{curve:?}");
    for pair in curve.windows(2) {
        assert!(pair[1].watts[0] > pair[0].watts[0] && pair[1].ths[0] > pair[0].ths[0]);
    }
    assert!(curve.iter().all(|point| point.watts[0] < 85.5));
    let quality = tuner.quality(0);
    assert_eq!(quality.len(), 12);
    assert!(quality.iter().all(|chip| !chip.silent && chip.sd_mv > 0.0));
    assert!(tuner.quality(3).is_empty());
    // The same from the stored model while the boards are off.
    let (_, asleep) = start(EMBER, 9, Aim::Efficiency, caps, tuner.models());
    let awake = tuner.predict(Aim::Watts(75.0)).unwrap();
    let dreamt = asleep.predict(Aim::Watts(75.0)).unwrap();
    assert!((dreamt.ths[0] / awake.ths[0] - 1.0).abs() < 0.03);
}
