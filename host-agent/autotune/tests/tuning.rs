//! The tuner on simulated machines whose truth it does not see.
#![allow(unreachable_pub)]

mod bench;

use std::time::Duration;

use autotune::{Activity, Aim, BoardModel, Caps, Layout, Observation, Reach, Setting, Tuner};
use bench::Bench;
use board_simulator::physics::Quality;
use proptest::prelude::*;

fn start(name: &str, seed: u64, aim: Aim) -> (Bench, Tuner) {
    let bench = Bench::new(name, Quality::NORMAL, seed, 25.0);
    let tuner = Tuner::new(bench.layout.clone(), aim, Caps::default(), Vec::new(), seed).unwrap();
    (bench, tuner)
}

fn live(bench: &mut Bench, tuner: &mut Tuner, seconds: u32) {
    for _ in 0..seconds {
        bench.live(tuner);
    }
}

fn until_kept(bench: &mut Bench, tuner: &mut Tuner) {
    for _ in 0..1500 {
        bench.live(tuner);
        if tuner.status().activity == Activity::Keeping {
            return;
        }
    }
    panic!("never kept: {:?}", tuner.status());
}

#[test]
fn a_gamma_comes_within_a_percent_of_who_knows_everything() {
    let out = bench::run("bitaxe-gamma", Quality::NORMAL, 3, 25.0, Aim::Watts(14.5));
    assert!(
        out.watts < 14.5 * 1.01 && out.watts > 14.5 * 0.98,
        "{out:?}"
    );
    assert!(
        out.ths > 0.99 * out.oracle_ths,
        "{} {}",
        out.ths,
        out.oracle_ths
    );
    assert!(out.tuned_s < 0.25 * out.sweep_s);
    assert_eq!(out.violations, 0);
    assert!(out.restart_s < 70.0, "{}", out.restart_s);
}

#[test]
fn fans_that_rule_themselves_do_not_look_like_the_end_of_cooling() {
    let (mut bench, mut tuner) = start("bitaxe-gamma", 4, Aim::Watts(10.5));
    bench.ruled_c = Some(60.0);
    until_kept(&mut bench, &mut tuner);
    live(&mut bench, &mut tuner, 300);
    assert!(bench.fan < 50.0, "{}", bench.fan);
    tuner.set_aim(Aim::Watts(16.0), Caps::default());
    live(&mut bench, &mut tuner, 5);
    until_kept(&mut bench, &mut tuner);
    live(&mut bench, &mut tuner, 300);
    let (_, watts) = bench.truth(tuner.setting());
    assert!((watts / 16.0 - 1.0).abs() < 0.015, "{watts} W");
    assert_eq!(bench.violations.total(), 0);
}

#[test]
fn a_machine_of_231_chips_comes_within_a_percent() {
    let out = bench::run("s19k-pro", Quality::NORMAL, 5, 25.0, Aim::Watts(2346.0));
    assert!((out.watts / 2346.0 - 1.0).abs() < 0.01, "{}", out.watts);
    assert!(out.ths > 0.99 * out.oracle_ths * (out.watts / out.oracle_watts).powf(0.7));
    assert!(out.tuned_s < 0.25 * out.sweep_s);
    assert!(out.lost < 0.03, "{}", out.lost);
    assert_eq!(out.violations, 0);
}

#[test]
fn same_inputs_give_same_orders() {
    let settings: Vec<Setting> = (0..2)
        .map(|_| {
            let (mut bench, mut tuner) = start("bitaxe-gamma", 8, Aim::Efficiency);
            live(&mut bench, &mut tuner, 300);
            tuner.setting().clone()
        })
        .collect();
    assert_eq!(settings[0], settings[1]);
}

#[test]
fn a_pool_outage_is_waited_for_and_teaches_nothing() {
    let (mut bench, mut tuner) = start("bitaxe-gamma", 4, Aim::Watts(14.5));
    live(&mut bench, &mut tuner, 60);
    let before = tuner.status().rounds;
    let setting = tuner.setting().clone();
    bench.work = false;
    live(&mut bench, &mut tuner, 200);
    assert_eq!(tuner.setting(), &setting);
    assert!(tuner.status().rounds <= before + 1);
    assert!(
        matches!(tuner.status().activity, Activity::Waiting(_)),
        "{:?}",
        tuner.status()
    );
    bench.work = true;
    until_kept(&mut bench, &mut tuner);
    let (ths, _) = bench.truth(tuner.setting());
    assert!(ths > 1.0);
}

#[test]
fn a_chip_that_dies_ends_in_a_stated_hold_with_the_best_setting_kept() {
    let (mut bench, mut tuner) = start("s19k-pro", 2, Aim::Watts(2346.0));
    live(&mut bench, &mut tuner, 70);
    bench.machine.set_chip_dead(1, 40, true);
    bench.restarts = 99;
    live(&mut bench, &mut tuner, 60);
    let status = tuner.status();
    assert!(
        matches!(&status.activity, Activity::Held(why) if why.contains("chip 40 of") || why.contains("from chip 40")),
        "{status:?}"
    );
    assert_eq!(status.silent.first(), Some(&(1, 40)));
    assert_eq!(tuner.models().len(), 3);
}

#[test]
fn a_stuck_sensor_stops_tuning() {
    let (mut bench, mut tuner) = start("s19k-pro", 2, Aim::Watts(2000.0));
    live(&mut bench, &mut tuner, 40);
    bench.stuck_c = Some(48.0);
    live(&mut bench, &mut tuner, 400);
    assert!(
        matches!(&tuner.status().activity, Activity::Held(why) if why.contains("sensor 0 of board 0")),
        "{:?}",
        tuner.status()
    );
}

#[test]
fn an_impossible_aim_ends_at_the_nearest_setting_and_says_so() {
    for (aim, reach) in [
        (Aim::Watts(5.0), Reach::TooLittlePower),
        (Aim::Hashrate(3.0), Reach::TooMuchWork),
        (
            Aim::Profit {
                price_per_kwh: 1.0,
                revenue_per_ths_day: 0.05,
            },
            Reach::NoProfit,
        ),
    ] {
        let (mut bench, mut tuner) = start("bitaxe-gamma", 6, aim);
        until_kept(&mut bench, &mut tuner);
        assert_eq!(tuner.status().reach, reach, "{aim:?} {:?}", tuner.status());
        assert_eq!(bench.violations.total(), 0);
    }
}

#[test]
fn a_changed_board_is_not_driven_by_an_old_model() {
    let (mut bench, mut tuner) = start("s19k-pro", 2, Aim::Watts(2346.0));
    until_kept(&mut bench, &mut tuner);
    let models = tuner.models();
    // Another serial number: not used at all.
    let mut renamed = models.clone();
    renamed.iter_mut().for_each(|model| model.serial.push('x'));
    let fresh = Tuner::new(
        bench.layout.clone(),
        Aim::Watts(2346.0),
        Caps::default(),
        renamed,
        1,
    )
    .unwrap();
    assert_eq!(fresh.setting(), &Setting::factory(&bench.layout));
    // The same number on other chips: contradicted by counts, forgotten.
    let mut other = Bench::new("s19k-pro", Quality::POOR, 77, 25.0);
    let mut tuner = Tuner::new(
        other.layout.clone(),
        Aim::Watts(2346.0),
        Caps::default(),
        models,
        1,
    )
    .unwrap();
    let mut forgotten = false;
    for _ in 0..120 {
        other.live(&mut tuner);
        while let Some(step) = tuner.poll_step() {
            forgotten |= step.decision.starts_with("forget");
        }
    }
    assert!(forgotten);
}

#[test]
fn a_model_survives_its_files_and_resumes_within_a_minute_of_the_ramp() {
    let (mut bench, mut tuner) = start("bitaxe-gamma", 2, Aim::Watts(14.5));
    until_kept(&mut bench, &mut tuner);
    let model = tuner.models().remove(0);
    let text = toml::to_string(&model).unwrap();
    let read: BoardModel = toml::from_str(&text).unwrap();
    assert_eq!(read.chips, model.chips);
    assert!(bench::restart(&bench, &tuner, Aim::Watts(14.5), 3) < 70.0);
}

#[test]
fn a_prediction_covers_what_then_comes() {
    let (mut bench, mut tuner) = start("s19k-pro", 9, Aim::Watts(2346.0));
    until_kept(&mut bench, &mut tuner);
    live(&mut bench, &mut tuner, 120);
    let told = tuner.predict(Aim::Watts(2100.0)).unwrap();
    tuner.set_aim(Aim::Watts(2100.0), Caps::default());
    live(&mut bench, &mut tuner, 200);
    let (ths, watts) = bench.truth(tuner.setting());
    assert!((0.98..1.02).contains(&(watts / 2100.0)), "{watts}");
    let j_per_th = watts / ths;
    assert!(
        (told.j_per_th[1]..told.j_per_th[2]).contains(&j_per_th),
        "{told:?} {ths} {watts}"
    );
    assert!(
        tuner
            .explain(0, 5)
            .unwrap()
            .words
            .contains("chip 5 of board 0")
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_that_is_read_makes_it_panic_or_leave_the_limits(
        numbers in prop::collection::vec(any::<f64>(), 40),
        counts in prop::collection::vec(any::<u64>(), 40),
        flags in prop::collection::vec(any::<bool>(), 40),
    ) {
        let (_, layout, _) = bench::layout("emberone00");
        let mut tuner = Tuner::new(layout.clone(), Aim::Efficiency, Caps::default(), Vec::new(), 1).unwrap();
        for step in 0..40_usize {
            let pick = |i: usize| numbers[(step * 7 + i) % 40];
            let mut seen = Observation { work: flags[step], watts: Some(pick(0)), ..Observation::default() };
            let mut board = autotune::BoardReading { running: true, mv: flags[(step + 3) % 40].then(|| pick(1)), ..Default::default() };
            board.board_c = vec![Some(pick(2)), None];
            for chip in 0..layout.chips() {
                let valid = counts[(step + chip) % 40];
                board.chips.push(autotune::ChipReading { valid, wrong: valid / 3, mhz: pick(chip), ..Default::default() });
            }
            seen.boards.push(board);
            let now = Duration::from_secs(step as u64 * 9);
            tuner.observe(now, &seen);
            tuner.tick(now);
            while let Some(command) = tuner.poll_command() {
                inside(&layout, command);
            }
            let _ = tuner.calibrate(pick(3));
            tuner.set_aim(
                if flags[(step + 5) % 40] { Aim::Watts(pick(4)) } else { Aim::Efficiency },
                Caps { watts: flags[(step + 7) % 40].then(|| pick(5)), mv: flags[(step + 9) % 40].then(|| pick(6)), ..Caps::default() },
            );
            if step % 9 == 8 {
                tuner.adopt(&seen);
                let _ = tuner.curve(3);
            }
            let (share, left) = tuner.progress();
            prop_assert!((0.0..=1.0).contains(&share) && left.is_none_or(|s| s >= 0.0));
            let _ = (tuner.quality(0), tuner.explain(0, 3), tuner.status());
            let _ = tuner.models();
            let _ = tuner.predict(Aim::Watts(50.0));
        }
    }
}

fn inside(layout: &Layout, command: autotune::Command) {
    match command {
        autotune::Command::Voltage { mv, .. } => {
            assert!(f64::from(mv) >= layout.mv.0 - 1.0 && f64::from(mv) <= layout.mv.2 + 1.0);
        }
        autotune::Command::Clock { mhz, .. } | autotune::Command::ChipClock { mhz, .. } => {
            assert!(
                mhz >= layout.clock_mhz.0 - 1e-6 && mhz <= layout.clock_mhz.2 + 1e-6,
                "{mhz}"
            );
        }
        _ => {}
    }
}
