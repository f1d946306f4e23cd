//! The fan controller against thermal models of a Bitaxe and of an Antminer.

mod support;

use std::time::Duration;

use proptest::prelude::*;
use station::cooling::{FanControl, FanInput, FanSettings, Gains, Mode};
use support::Plant;

fn settings(nominal_w: f64) -> FanSettings {
    FanSettings {
        target_c: 60.0,
        hot_c: 70.0,
        min_percent: 20.0,
        start_percent: 60.0,
        nominal_w,
        feed_forward_percent: if nominal_w > 1000.0 { 70.0 } else { 40.0 },
        gains: Gains::default(),
    }
}

/// Temperatures and duties of a run at one step a second.
struct Run {
    celsius: Vec<f64>,
    duty: Vec<f64>,
}

impl Run {
    fn of(plant: &mut Plant, fan: &mut FanControl, from_s: u64, seconds: u64, load: f64) -> Self {
        let mut run = Self {
            celsius: Vec::new(),
            duty: Vec::new(),
        };
        for second in from_s..from_s + seconds {
            // A sensor that dithers by an eighth of a kelvin.
            let seen = plant.celsius + if second % 2 == 0 { 0.0 } else { 0.125 };
            let duty = fan.update(
                Duration::from_secs(second),
                FanInput {
                    temperature_c: Some(seen),
                    power_w: Some(plant.watts(load)),
                    powered: load > 0.0,
                },
            );
            for _ in 0..10 {
                plant.step(0.1, duty, load);
            }
            run.celsius.push(plant.celsius);
            run.duty.push(duty);
        }
        run
    }

    fn hottest(&self) -> f64 {
        self.celsius.iter().copied().fold(f64::MIN, f64::max)
    }

    /// Swing of the last `n` values of a series.
    fn swing(series: &[f64], n: usize) -> f64 {
        let tail = &series[series.len() - n..];
        let max = tail.iter().copied().fold(f64::MIN, f64::max);
        let min = tail.iter().copied().fold(f64::MAX, f64::min);
        max - min
    }
}

fn plants() -> Vec<(&'static str, Plant)> {
    vec![("bitaxe", Plant::bitaxe()), ("antminer", Plant::antminer())]
}

#[test]
fn power_on_settles_at_the_target_without_reaching_hot() {
    for (name, mut plant) in plants() {
        for load in [1.0, 0.8, 0.6] {
            plant.celsius = 25.0;
            let mut fan = FanControl::new(settings(plant.full_w), Mode::Auto);
            let run = Run::of(&mut plant, &mut fan, 0, 1800, load);
            assert!(run.hottest() < 65.0, "{name} {load}: {}", run.hottest());
            let end = *run.celsius.last().unwrap();
            let quiet = fan.duty() <= 20.01;
            assert!(
                (end - 60.0).abs() < 1.0 || (quiet && end < 60.0),
                "{name} {load}: {end} at {}",
                fan.duty()
            );
            assert!(Run::swing(&run.duty, 300) < 3.0, "{name} {load} hunts");
            assert!(Run::swing(&run.celsius, 300) < 1.0, "{name} {load} hunts");
        }
    }
}

#[test]
fn a_step_of_load_or_air_is_followed_without_reaching_hot() {
    for (name, mut plant) in plants() {
        let mut fan = FanControl::new(settings(plant.full_w), Mode::Auto);
        Run::of(&mut plant, &mut fan, 0, 1200, 0.5);
        let up = Run::of(&mut plant, &mut fan, 1200, 1200, 1.0);
        assert!(up.hottest() < 67.0, "{name}: {}", up.hottest());
        plant.ambient_c += 5.0;
        let warm = Run::of(&mut plant, &mut fan, 2400, 1200, 1.0);
        assert!(warm.hottest() < 65.0, "{name}: {}", warm.hottest());
        assert!(Run::swing(&warm.duty, 300) < 3.0, "{name} hunts");
    }
}

#[test]
fn windup_while_saturated_does_not_delay_the_answer() {
    for (name, mut plant) in plants() {
        let mut fan = FanControl::new(settings(plant.full_w), Mode::Auto);
        // Nothing to cool for an hour: the fan rests on its floor.
        let idle = Run::of(&mut plant, &mut fan, 0, 3600, 0.05);
        assert!((fan.duty() - 20.0).abs() < 0.01, "{name}");
        assert!(idle.hottest() < 60.0);
        let load = Run::of(&mut plant, &mut fan, 3600, 600, 1.0);
        assert!(load.hottest() < 67.0, "{name}: {}", load.hottest());
    }
}

#[test]
fn a_change_of_mode_is_not_heard() {
    let mut plant = Plant::antminer();
    let mut fan = FanControl::new(settings(plant.full_w), Mode::Manual { percent: 55 });
    Run::of(&mut plant, &mut fan, 0, 600, 0.8);
    fan.set_mode(Mode::Auto);
    let run = Run::of(&mut plant, &mut fan, 600, 5, 0.8);
    assert!(run.duty.iter().all(|duty| (duty - 55.0).abs() < 8.0));
}

fn seen(temperature_c: Option<f64>) -> FanInput {
    FanInput {
        temperature_c,
        power_w: None,
        powered: true,
    }
}

#[test]
fn manual_speed_does_not_watch_a_board_overheat() {
    let mut fan = FanControl::new(settings(17.0), Mode::Manual { percent: 30 });
    let mut at = |s, c| fan.update(Duration::from_secs(s), seen(Some(c)));
    assert_eq!(at(0, 50.0), 30.0);
    assert!(at(1, 68.0) > 55.0);
    assert_eq!(at(2, 70.0), 100.0);
    assert_eq!(at(3, 50.0), 30.0);
}

#[test]
fn an_unknown_temperature_is_answered_with_full_speed() {
    for mode in [
        Mode::Auto,
        Mode::Manual { percent: 30 },
        Mode::Immersion { confirmed: false },
    ] {
        let mut fan = FanControl::new(settings(17.0), mode);
        fan.update(Duration::ZERO, seen(Some(50.0)));
        assert_eq!(fan.update(Duration::from_secs(1), seen(None)), 100.0);
        assert_eq!(
            fan.update(Duration::from_secs(2), seen(Some(f64::NAN))),
            100.0
        );
    }
}

#[test]
fn confirmed_immersion_asks_for_no_fans() {
    let mut fan = FanControl::new(settings(17.0), Mode::Immersion { confirmed: true });
    assert_eq!(fan.update(Duration::ZERO, seen(Some(50.0))), 0.0);
}

proptest! {
    #[test]
    fn the_duty_is_always_a_duty_and_full_when_hot(
        steps in prop::collection::vec((0u64..20_000, -300.0f64..300.0, prop::option::of(-1e6f64..1e6)), 1..60)
    ) {
        let mut fan = FanControl::new(settings(17.0), Mode::Auto);
        let mut now = Duration::ZERO;
        for (ms, celsius, power_w) in steps {
            now += Duration::from_millis(ms);
            let duty = fan.update(now, FanInput { temperature_c: Some(celsius), power_w, powered: true });
            prop_assert!((20.0..=100.0).contains(&duty));
            if celsius >= 70.0 {
                prop_assert!(duty == 100.0);
            }
        }
    }
}

#[test]
fn fans_slow_down_when_a_cold_board_shows_its_temperature_at_last() {
    // A chip's diode tells nothing before the chip has had power for a moment.
    let mut fan = FanControl::new(settings(15.0), Mode::Auto);
    let input = |temperature_c| FanInput {
        temperature_c,
        power_w: Some(15.0),
        powered: true,
    };
    for second in 0..5 {
        assert_eq!(fan.update(Duration::from_secs(second), input(None)), 100.0);
    }
    for second in 5..65 {
        fan.update(Duration::from_secs(second), input(Some(37.0)));
    }
    assert!(fan.duty() < 45.0, "{}", fan.duty());
}
