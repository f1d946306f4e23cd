//! The throttle against thermal models.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use station::derate::{CLOCK_STEP_MHZ, Curve, Derate, DerateSettings, SetPoint};
use support::Plant;

const WANTED: SetPoint = SetPoint {
    mhz: 525.0,
    mv: 1150,
};
const MIN_MHZ: f64 = 400.0;

/// The BM1370's published points.
fn curve() -> Curve {
    Curve::new(&[(400.0, 1000), (525.0, 1150), (625.0, 1250)], 1000)
}

/// Share of full heat at a set point, dynamic power only.
fn load(point: SetPoint) -> f64 {
    let volts = |mv: u32| f64::from(mv) / 1000.0;
    point.mhz * volts(point.mv).powi(2) / (WANTED.mhz * volts(WANTED.mv).powi(2))
}

/// Runs at full fan, a step a second; temperatures and clocks.
fn run(plant: &mut Plant, derate: &mut Derate, from_s: u64, seconds: u64) -> Vec<(f64, f64)> {
    let mut out = Vec::new();
    for second in from_s..from_s + seconds {
        derate.update(
            Duration::from_secs(second),
            Some(plant.celsius),
            MIN_MHZ / WANTED.mhz,
        );
        let point = derate.apply(WANTED, MIN_MHZ, &curve());
        for _ in 0..10 {
            plant.step(0.1, 100.0, load(point));
        }
        out.push((plant.celsius, point.mhz));
    }
    out
}

#[test]
fn dust_makes_a_board_slower_and_cleaning_restores_what_was_wanted() {
    for (name, mut plant) in [("bitaxe", Plant::bitaxe()), ("antminer", Plant::antminer())] {
        let mut derate = Derate::new(DerateSettings::between(68.0, 75.0));
        run(&mut plant, &mut derate, 0, 600);
        assert_eq!(derate.apply(WANTED, MIN_MHZ, &curve()), WANTED, "{name}");
        // Less air and a hot day: without the throttle the board would pass its limit.
        plant.ambient_c = 45.0;
        plant.clear = 0.75;
        let hot = run(&mut plant, &mut derate, 600, 3600);
        let top = hot.iter().map(|step| step.0).fold(f64::MIN, f64::max);
        assert!(top < 73.0, "{name}: {top}");
        let slow = hot.last().unwrap();
        assert!(slow.1 < WANTED.mhz && slow.1 >= MIN_MHZ, "{name}: {slow:?}");
        assert!((63.0..=69.0).contains(&slow.0), "{name}: {slow:?}");
        let clocks: Vec<f64> = hot[3000..].iter().map(|step| step.1).collect();
        let changes = clocks.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes <= 20, "{name}: {changes} changes in ten minutes");
        plant.ambient_c = 25.0;
        plant.clear = 1.0;
        run(&mut plant, &mut derate, 4200, 1800);
        assert!(!derate.active(), "{name}");
        assert_eq!(derate.apply(WANTED, MIN_MHZ, &curve()), WANTED, "{name}");
    }
}

#[test]
fn close_to_the_limit_the_clock_falls_as_far_as_it_can_at_once() {
    let mut derate = Derate::new(DerateSettings::between(68.0, 75.0));
    derate.update(Duration::ZERO, Some(60.0), MIN_MHZ / WANTED.mhz);
    derate.update(Duration::from_secs(1), Some(73.5), MIN_MHZ / WANTED.mhz);
    let point = derate.apply(WANTED, MIN_MHZ, &curve());
    assert_eq!(
        point,
        SetPoint {
            mhz: 400.0,
            mv: 1000
        }
    );
}

#[test]
fn voltage_follows_the_curve_and_keeps_the_margin_of_the_user() {
    let curve = curve();
    let bold = SetPoint {
        mhz: 525.0,
        mv: 1130,
    };
    assert_eq!(curve.derated_mv(bold, 462.5), 1055);
    let careful = SetPoint {
        mhz: 525.0,
        mv: 1200,
    };
    assert_eq!(curve.derated_mv(careful, 462.5), 1125);
    assert_eq!(curve.derated_mv(bold, 400.0), 1000);
}

#[test]
fn curves_of_one_point_or_none_are_held() {
    assert_eq!(Curve::new(&[], 900).at(500.0), 900.0);
    assert_eq!(Curve::new(&[(400.0, 1100)], 900).at(600.0), 1100.0);
    let odd = Curve::new(&[(400.0, 1100), (300.0, 2000), (f64::NAN, 1)], 900);
    assert_eq!(odd.at(1000.0), 1100.0);
}

proptest! {
    #[test]
    fn a_derated_point_never_exceeds_the_wanted_one(
        mhz in 100.0f64..900.0, mv in 900u32..1400,
        temperatures in prop::collection::vec(-50.0f64..200.0, 1..50)
    ) {
        let wanted = SetPoint { mhz, mv };
        let mut derate = Derate::new(DerateSettings::between(68.0, 75.0));
        for (second, celsius) in temperatures.into_iter().enumerate() {
            derate.update(Duration::from_secs(second as u64), Some(celsius), MIN_MHZ / mhz);
            let point = derate.apply(wanted, MIN_MHZ, &curve());
            prop_assert!(point.mhz <= wanted.mhz && point.mv <= wanted.mv);
            prop_assert!(point.mhz >= MIN_MHZ.min(wanted.mhz));
            prop_assert!(point.mv >= 1000.min(wanted.mv));
            let on_grid = (point.mhz / CLOCK_STEP_MHZ).fract() == 0.0;
            prop_assert!(on_grid || point.mhz == wanted.mhz || point.mhz == MIN_MHZ);
        }
    }
}
