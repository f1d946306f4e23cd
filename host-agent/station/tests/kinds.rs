//! Boards without fans, controllers with a guard of their own, and heat.

mod support;

use std::time::Duration;

use board_simulator::board::{Controller, Fault};
use station::{Command, Mode, Phase, status::GuardLocation};
use support::rig::Rig;

#[test]
fn a_board_without_fans_wants_a_confirmed_immersion() {
    let mut rig = Rig::new("emberone00");
    rig.run(1.0);
    rig.command(Command::Run(rig.station.default_set_point()));
    rig.run(30.0);
    assert_eq!(rig.truth().core_starts, 0);
    let refusals = rig.notices.iter().filter(|(_, n)| n.code == "refused");
    assert_eq!(refusals.count(), 1);
    assert!(rig.status().reasons[0].contains("immersion"));
    let refused = rig.station.handle(
        rig.now,
        Command::Cooling(Mode::Immersion { confirmed: false }),
    );
    assert!(refused.is_err());
    rig.command(Command::Cooling(Mode::Immersion { confirmed: true }));
    rig.run_until(60.0, |status, _| status.boards[0].powered);
    rig.run(10.0);
    assert!(rig.truth().core_on);
    assert_eq!(rig.faults(), Vec::<&str>::new());
}

#[test]
fn immersion_keeps_the_temperature_cut_off() {
    let mut rig = Rig::with("bitaxe-gamma", |_, config| {
        config.cooling.mode = Mode::Immersion { confirmed: true };
    });
    rig.up();
    rig.inject(Fault::FansDead);
    rig.run(20.0);
    assert!(rig.truth().core_on, "nobody watches fans in a liquid");
    rig.inject(Fault::SensorReads {
        celsius: 80.0,
        sensor: 0,
    });
    rig.run_until(5.0, |_, truth| !truth.core_on);
    assert!(rig.faults().contains(&"temperature-limit"));
}

#[test]
fn a_fixed_fan_speed_keeps_the_temperature_cut_off_and_rises_with_heat() {
    let mut rig = Rig::with("bitaxe-gamma", |_, config| {
        config.cooling.mode = Mode::Manual { percent: 30 };
    });
    rig.up();
    assert_eq!(rig.status().fans[0].duty_percent, 30);
    rig.inject(Fault::SensorReads {
        celsius: 67.0,
        sensor: 0,
    });
    rig.run(4.0);
    assert!(rig.status().fans[0].duty_percent > 60);
    rig.inject(Fault::SensorReads {
        celsius: 76.0,
        sensor: 0,
    });
    rig.run_until(5.0, |_, truth| !truth.core_on);
}

#[test]
fn heat_throttles_and_cool_air_restores_what_was_wanted() {
    let mut rig = Rig::new("bitaxe-gamma");
    rig.up();
    let wanted = rig.station.default_set_point();
    // Air so hot that the chip stands a little above where throttling begins.
    rig.inject(Fault::Ambient { celsius: 68.5 });
    rig.run_until(900.0, |status, _| status.cooling.throttle < 0.97);
    rig.run(5.0);
    let status = rig.status();
    assert_eq!(status.phase, Phase::Running);
    let derated = status.set_points.derated.unwrap();
    assert!(derated.mhz < wanted.mhz && derated.mv < wanted.mv);
    assert_eq!(status.set_points.wanted, Some(wanted));
    assert!(rig.noticed("throttled", Duration::ZERO).is_some());
    assert_eq!(status.fans[0].duty_percent, 100);
    rig.inject(Fault::Ambient { celsius: 25.0 });
    rig.run_until(2000.0, |status, _| {
        status.set_points.derated == Some(wanted)
    });
    rig.run(30.0);
    assert!((rig.truth().core_mv - f64::from(wanted.mv)).abs() < 15.0);
    assert_eq!(rig.faults(), Vec::<&str>::new());
}

#[test]
fn a_guard_on_the_board_and_ours_agree() {
    let mut rig = Rig::with("bitaxe-gamma", |spec, config| {
        spec.controller = Controller::Guarded;
        spec.plan = Some(station::controller_plan(config).unwrap());
    });
    rig.up();
    let status = rig.status();
    assert_eq!(status.guard.location, GuardLocation::Board);
    assert_eq!(status.guard.board_state.as_deref(), Some("on"));
    assert_eq!(rig.truth().guard_grants, Some(true));
    // If we fall silent, the board switches off by itself.
    let now = rig.now;
    rig.alive = false;
    rig.run_until(5.0, |_, truth| !truth.core_on);
    assert!(rig.now - now <= Duration::from_secs(5));
}
