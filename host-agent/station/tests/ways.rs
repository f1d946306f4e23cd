//! The way to the controller: a guard on the board that takes its grant back, answers that are lost or
//! late, a controller that is plugged in later.
#![allow(dead_code)]

mod support;

use std::time::Duration;

use board_simulator::board::{BoardSpec, Controller};
use station::{Command, SetPoint, StationConfig, status::GuardLocation};
use support::rig::Rig;

const BOARDS: [&str; 4] = ["bitaxe-gamma", "bitaxe-max", "nerdqaxe-pp", "s19k-pro"];

fn guarded(spec: &mut BoardSpec, config: &mut StationConfig) {
    spec.controller = Controller::Guarded;
    spec.plan = Some(station::controller_plan(config).unwrap());
}

fn runs_again(rig: &mut Rig) {
    rig.run_until(300.0, |status, truth| {
        truth.core_on && status.boards[0].powered
    });
    assert_eq!(rig.truth().guard_grants, Some(true));
}

#[test]
fn a_guard_on_the_board_is_asked_again_for_every_try() {
    let mut rig = Rig::with("bitaxe-gamma", guarded);
    rig.up();
    for _ in 0..4 {
        rig.alive = false;
        rig.run_until(10.0, |_, truth| !truth.core_on);
        rig.alive = true;
        runs_again(&mut rig);
        rig.run(10.0);
    }
}

#[test]
fn a_grant_taken_back_by_the_board_is_given_back_by_ours() {
    let mut rig = Rig::with("bitaxe-gamma", guarded);
    rig.up();
    // The board's guard hears nothing for longer than its lease, ours hears from the mining program.
    rig.board.set_absent(true);
    rig.run(4.0);
    assert!(!rig.truth().core_on);
    rig.board.set_absent(false);
    runs_again(&mut rig);
}

#[test]
fn one_lost_answer_costs_nothing() {
    let mut rig = Rig::with("bitaxe-gamma", guarded);
    rig.up();
    for _ in 0..100 {
        rig.board.lose_next();
        rig.run(3.1);
        assert!(rig.truth().core_on, "{}", rig.log());
    }
}

#[test]
fn a_guarded_board_may_be_plugged_in_late() {
    let mut rig = Rig::plugged("bitaxe-gamma", false, guarded);
    rig.run(5.0);
    rig.board.set_absent(false);
    rig.command(Command::Run(rig.station.default_set_point()));
    runs_again(&mut rig);
    assert_eq!(rig.status().guard.location, GuardLocation::Board);
}

#[test]
fn a_port_that_becomes_slow_delays_no_cut() {
    for name in BOARDS {
        for answer in [20, 50, 100, 200, 300] {
            for part_of_second in [0.0, 0.5] {
                let mut rig = Rig::new(name);
                rig.up();
                rig.board.slow_down(Duration::from_millis(answer));
                rig.run(part_of_second);
                let from = rig.now;
                rig.inject("sensor-offset:90".parse().unwrap());
                rig.run_until(30.0, |_, truth| !truth.core_on);
                let after = rig.now - from;
                assert!(
                    after <= guard::MAX_REACTION,
                    "{name}, {answer} ms an answer: {after:?}\n{}",
                    rig.log()
                );
            }
        }
    }
}

#[test]
fn answers_that_come_a_long_way_are_good_enough() {
    for name in BOARDS {
        for answer in [20, 30, 50] {
            let mut rig = Rig::new(name);
            rig.board.slow_down(Duration::from_millis(answer));
            rig.run(1.0);
            rig.command(Command::Run(rig.station.default_set_point()));
            rig.run(120.0);
            assert_eq!(rig.faults(), Vec::<&str>::new(), "{name} {answer} ms");
            assert!(rig.truth().core_on);
        }
    }
}

#[test]
fn a_cut_looks_whether_it_was_one() {
    for name in BOARDS {
        let mut rig = Rig::new(name);
        rig.up();
        rig.station.cut(rig.now);
        // Outputs fall; nobody ticks any more.
        rig.board.set_now(rig.now + Duration::from_millis(500));
        rig.station.cut(rig.now + Duration::from_millis(500));
        assert!(!rig.truth().core_on);
        assert!(rig.station.is_off(), "{name}");
    }
}

/// What a stranger on the same bus writes to the regulator: `OPERATION` on.
const STRANGER: [u8; 9] = [9, 0, 0x5a, 0, 0x05, 0x20, 0x24, 0x01, 0x80];

#[test]
fn a_core_that_somebody_else_switches_on_is_switched_off_again() {
    let mut rig = Rig::new("bitaxe-gamma");
    rig.up();
    rig.command(Command::Stop);
    rig.run_until(30.0, |_, truth| !truth.core_on);
    for _ in 0..2 {
        rig.board.with(|board, now| {
            board.control_receive(now, &STRANGER);
            board.control_take_output(now, &mut Vec::new());
        });
        rig.run_until(1.0, |_, truth| truth.core_on);
        rig.run_until(3.0, |_, truth| !truth.core_on);
        // Also once the guard has latched it.
        rig.run(10.0);
        assert!(!rig.truth().core_on);
    }
}

/// What was measured last is of the time with power then, and everything is switched off once more in the
/// middle of the check.
#[test]
fn a_board_that_is_wanted_again_at_once_comes_back_and_follows_its_clock() {
    for name in BOARDS {
        let mut rig = Rig::new(name);
        rig.up();
        for pause in [0.0, 0.1, 0.3, 0.7, 1.1] {
            let point = rig.station.default_set_point();
            rig.command(Command::Stop);
            rig.run_until(60.0, |_, truth| !truth.core_on);
            rig.run(pause);
            rig.command(Command::Run(point));
            rig.run_until(60.0, |status, _| status.boards[0].powered);
            rig.run(30.0);
            let mhz = point.mhz * 0.95;
            rig.command(Command::SetPoint(SetPoint { mhz, ..point }));
            rig.run_until(30.0, |status, _| {
                let actual = status.set_points.actual_mhz;
                actual.is_some_and(|actual| (actual - mhz).abs() < 0.1)
            });
            assert_eq!(rig.faults(), Vec::<&str>::new(), "{name}: {}", rig.log());
        }
    }
}
