//! Stations over virtual boards: the way up and down, on every kind of regulator, fan and controller.

mod support;

use std::time::Duration;

use station::{ChainPhase, Command, Event, Phase, Power, SetPoint};
use support::rig::Rig;

const BOARDS: [&str; 9] = [
    "bitaxe-gamma",
    "bitaxe-ultra",
    "bitaxe-max",
    "bitaxe-gt",
    "bitaxe-hex",
    "nerdqaxe-pp",
    "s19j-pro",
    "s19k-pro",
    "s21-pro",
];

#[test]
fn every_board_comes_up_and_goes_down_in_order() {
    for name in BOARDS {
        let mut rig = Rig::new(name);
        rig.run(2.0);
        assert!(rig.station.is_off(), "{name} is off at first");
        assert_eq!(rig.truth().core_starts, 0, "{name}");
        rig.up();
        let (status, truth) = (rig.status(), rig.truth());
        assert_eq!(status.phase, Phase::Running, "{name}");
        assert_eq!(status.power, Power::On, "{name}");
        assert!(truth.core_on && !truth.in_reset, "{name}");
        assert!(status.reasons.is_empty(), "{name}: {:?}", status.reasons);
        let wanted = status.set_points.wanted.unwrap();
        let actual = status.set_points.actual_mv.unwrap();
        assert!(
            (actual - f64::from(wanted.mv)).abs() <= 0.02 * actual,
            "{name}: {actual} mV"
        );
        assert_eq!(status.set_points.actual_mhz, Some(wanted.mhz), "{name}");
        for reading in &status.readings {
            assert!(reading.value.is_some(), "{name}: {reading:?}");
            assert!(reading.age_s.unwrap() <= 1.5, "{name}: {reading:?}");
            assert_eq!(reading.trouble, None, "{name}: {reading:?}");
        }

        rig.command(Command::Stop);
        let stopped_at = rig.now;
        rig.run_until(60.0, |status, _| status.is_off());
        let order: Vec<&Event> = rig
            .events
            .iter()
            .filter(|(at, event)| *at >= stopped_at && !matches!(event, Event::Notice(_)))
            .map(|(_, event)| event)
            .collect();
        assert!(
            matches!(
                order[..],
                [
                    Event::WindDown { board: 0 },
                    Event::Power {
                        board: 0,
                        epoch: 1,
                        on: false
                    }
                ]
            ),
            "{name}: {order:?}"
        );
        assert!(!rig.truth().core_on && rig.truth().in_reset, "{name}");
        assert_eq!(rig.faults(), Vec::<&str>::new(), "{name}");
        assert_eq!(rig.truth().nvm_stores, 0, "{name}");
    }
}

#[test]
fn power_waits_for_fans_and_temperatures() {
    for name in BOARDS {
        let mut rig = Rig::new(name);
        rig.run(1.0);
        rig.command(Command::Run(rig.station.default_set_point()));
        rig.run_until(120.0, |_, truth| truth.core_on);
        let fans = rig.truth().fans;
        assert!(!fans.is_empty(), "{name}");
        for fan in &fans {
            assert!(fan.duty > 99.0 && fan.rpm > 1000.0, "{name}: {fan:?}");
        }
        assert!(rig.now > Duration::from_secs(4), "{name}: {:?}", rig.now);
    }
}

#[test]
fn nothing_is_switched_on_without_the_mining_program() {
    let mut rig = Rig::new("bitaxe-gamma");
    rig.alive = false;
    rig.command(Command::Run(rig.station.default_set_point()));
    rig.run(120.0);
    assert_eq!(rig.truth().core_starts, 0);
    assert_eq!(rig.status().reasons, ["waiting for the mining program"]);
}

#[test]
fn a_silent_mining_program_costs_power_within_the_lease() {
    for name in BOARDS {
        let mut rig = Rig::new(name);
        rig.up();
        rig.alive = false;
        let silent = rig.now;
        rig.run_until(5.0, |_, truth| !truth.core_on);
        assert!(rig.now - silent <= Duration::from_secs(5), "{name}");
        assert!(rig.noticed("heartbeat-lost", silent).is_some(), "{name}");
        rig.run(1.0);
        assert_eq!(rig.status().fans[0].duty_percent, 100, "{name}");
        // It comes back by itself when the program does.
        rig.alive = true;
        rig.run_until(300.0, |status, _| status.boards[0].powered);
    }
}

#[test]
fn voltage_leads_up_and_follows_down() {
    for name in ["bitaxe-gamma", "s19k-pro"] {
        let mut rig = Rig::new(name);
        rig.up();
        let high = rig.station.default_set_point();
        let low = SetPoint {
            mhz: high.mhz - 100.0,
            mv: high.mv - high.mv / 25,
        };
        rig.command(Command::SetPoint(low));
        let from = rig.now;
        // The clock is told at once; the voltage stays until the chain is down.
        rig.run(0.1);
        assert!(frequency_told(&rig, from, low.mhz), "{name}");
        let near = |mv: f64, goal: u32| (mv - f64::from(goal)).abs() < f64::from(goal) * 0.01;
        assert!(near(rig.truth().set_mv, high.mv), "{name}");
        rig.run(10.0);
        assert!(near(rig.truth().core_mv, low.mv), "{name}");

        rig.command(Command::SetPoint(high));
        let from = rig.now;
        while !frequency_told(&rig, from, high.mhz) {
            rig.run(0.01);
            assert!(rig.now - from < Duration::from_secs(10), "{name}");
        }
        let mv = rig.truth().core_mv;
        assert!(near(mv, high.mv), "{name}: clock rises at {mv} mV");
    }
}

fn frequency_told(rig: &Rig, from: Duration, goal: f64) -> bool {
    rig.events.iter().any(
        |(at, event)| matches!(event, Event::Frequency { mhz, .. } if *at >= from && *mhz == goal),
    )
}

#[test]
fn set_points_outside_the_profile_are_refused() {
    let mut rig = Rig::new("bitaxe-gamma");
    rig.up();
    for (mhz, mv) in [(5000.0, 1150), (f64::NAN, 1150), (525.0, 2000), (525.0, 0)] {
        let point = SetPoint { mhz, mv };
        assert!(
            rig.station
                .handle(rig.now, Command::SetPoint(point))
                .is_err(),
            "{point:?}"
        );
    }
    rig.run(5.0);
    assert_eq!(
        rig.status().set_points.wanted,
        Some(rig.station.default_set_point())
    );
}

#[test]
fn cutting_leaves_nothing_on_at_once() {
    for name in BOARDS {
        for seconds in [0.5, 3.0, 8.0, 12.5, 14.0, 40.0] {
            let mut rig = Rig::new(name);
            rig.run(0.3);
            rig.command(Command::Run(rig.station.default_set_point()));
            rig.run(seconds);
            rig.station.cut(rig.now);
            // A machine's supply needs a moment to fall.
            rig.run(2.0);
            let truth = rig.truth();
            assert!(
                !truth.core_on && truth.in_reset,
                "{name} after {seconds} s: {truth:?} {:?}",
                rig.notices
            );
            assert!(rig.status().is_off(), "{name} after {seconds} s");
            rig.run(60.0);
            assert!(!rig.truth().core_on, "{name} stays off");
        }
    }
}

#[test]
fn diodes_are_not_believed_right_after_a_restart_of_the_chain() {
    for name in ["bitaxe-gamma", "bitaxe-max", "s19k-pro"] {
        let mut rig = Rig::new(name);
        rig.up();
        for _ in 0..8 {
            rig.report(0, ChainPhase::Failed, 0.0);
            rig.run(100.0);
        }
        assert_eq!(rig.faults(), Vec::<&str>::new(), "{name}\n{}", rig.log());
    }
}

#[test]
fn a_chain_that_fails_is_reset_and_tried_again() {
    let mut rig = Rig::new("bitaxe-gamma");
    rig.up();
    rig.report(0, station::ChainPhase::Failed, 0.0);
    rig.run(1.0);
    assert!(!rig.status().boards[0].powered);
    assert!(rig.truth().in_reset && rig.truth().core_on);
    rig.run_until(10.0, |status, _| status.boards[0].powered);
    assert_eq!(rig.status().boards[0].epoch, 2);
    assert!(!rig.truth().in_reset);
}
