//! Hardware that is missing, wrong, lying or broken: each has a named fault and a safe outcome.

mod support;

use std::time::Duration;

use board_simulator::board::Fault;
use station::{Command, Phase, StoredFault};
use support::rig::Rig;

/// Longest time from a hazard to the end of power.
const DEADLINE: Duration = Duration::from_secs(5);

/// A running board of that kind.
fn running(name: &str) -> Rig {
    let mut rig = Rig::new(name);
    rig.up();
    rig
}

/// Injects a fault into a running board, and checks that power goes in time under that name, with
/// fans at full speed.
fn cuts(name: &str, fault: Fault, code: &str) {
    cuts_within(name, fault, code, DEADLINE);
}

fn cuts_within(name: &str, fault: Fault, code: &str, deadline: Duration) {
    let mut rig = running(name);
    let at = rig.now;
    rig.inject(fault);
    rig.run_until(deadline.as_secs_f64() + 0.2, |_, truth| !truth.core_on);
    // The supply itself may be what broke: then the guard follows in its own time.
    while rig.noticed(code, at).is_none() {
        rig.run(0.1);
        assert!(rig.now - at <= deadline, "{name}, {fault}: {}", rig.log());
    }
    rig.run(2.0);
    let (status, truth) = (rig.status(), rig.truth());
    assert!(!truth.core_on && truth.in_reset, "{name}, {fault}");
    assert!(!status.boards[0].powered, "{name}, {fault}");
    assert_eq!(status.cooling.duty_percent, 100, "{name}, {fault}");
    let shown = status.guard.fault.expect("a fault is shown");
    assert_eq!(shown.code, code, "{name}, {fault}");
    assert!(!shown.advice.is_empty());
}

/// A board with that fault from the start never gets power and names the fault.
fn never_starts(name: &str, fault: Fault, code: &str) -> Rig {
    let mut rig = Rig::new(name);
    rig.inject(fault);
    rig.run(1.0);
    rig.command(Command::Run(rig.station.default_set_point()));
    rig.run(120.0);
    assert_eq!(rig.truth().core_starts, 0, "{name}, {fault}");
    assert!(
        rig.faults().contains(&code),
        "{name}, {fault}: {}",
        rig.log()
    );
    rig
}

#[test]
fn a_temperature_that_cannot_be_costs_power() {
    for name in ["bitaxe-gamma", "s19k-pro"] {
        for celsius in [-1.0, 127.9] {
            let fault = Fault::SensorReads { celsius, sensor: 0 };
            cuts(name, fault, "temperature-implausible");
        }
    }
    cuts(
        "bitaxe-gamma",
        Fault::SensorOpen { sensor: 0 },
        "temperature-implausible",
    );
    cuts(
        "bitaxe-gamma",
        Fault::SensorShort { sensor: 0 },
        "temperature-implausible",
    );
}

#[test]
fn an_offset_does_not_hide_what_cannot_be() {
    // The profile adds 10 K to this sensor.
    cuts(
        "nerdqaxe-pp",
        Fault::SensorReads {
            celsius: -1.0,
            sensor: 0,
        },
        "temperature-implausible",
    );
}

#[test]
fn a_frozen_temperature_costs_power() {
    cuts_within(
        "bitaxe-gamma",
        Fault::SensorFrozen { sensor: 0 },
        "temperature-frozen",
        Duration::from_secs(130),
    );
}

#[test]
fn too_hot_is_off_in_the_same_look() {
    for name in ["bitaxe-gamma", "bitaxe-ultra", "s19k-pro"] {
        let fault = Fault::SensorReads {
            celsius: 112.0,
            sensor: 0,
        };
        let mut rig = running(name);
        rig.inject(fault);
        rig.run_until(1.6, |_, truth| !truth.core_on);
        assert!(rig.faults().contains(&"temperature-limit"), "{name}");
    }
}

#[test]
fn a_part_that_vanishes_costs_power() {
    // Fan controller with the chip's sensor, and the board sensor of an Antminer.
    cuts(
        "bitaxe-gamma",
        Fault::DeviceAbsent { device: 0 },
        "device-absent",
    );
    cuts(
        "s19k-pro",
        Fault::DeviceAbsent { device: 2 },
        "device-absent",
    );
}

#[test]
fn a_regulator_that_vanishes_is_said_to_be_on() {
    let mut rig = running("bitaxe-gamma");
    let at = rig.now;
    rig.inject(Fault::DeviceAbsent { device: 1 });
    rig.run(5.0);
    // Nothing but the regulator could switch off: that is said loudly, and tried again.
    assert!(rig.noticed("device-absent", at).is_some());
    assert!(rig.noticed("not-switched-off", at).is_some());
    assert!(!rig.status().is_off());
    assert!(rig.truth().in_reset);
    rig.heal(Fault::DeviceAbsent { device: 1 });
    rig.run(2.0);
    assert!(!rig.truth().core_on && rig.status().is_off());
}

#[test]
fn parts_that_are_missing_or_wrong_keep_power_off() {
    for device in [0, 1] {
        never_starts(
            "bitaxe-gamma",
            Fault::DeviceAbsent { device },
            "device-absent",
        );
        let rig = never_starts(
            "bitaxe-gamma",
            Fault::DeviceWrong { device },
            "device-wrong",
        );
        assert_eq!(rig.status().phase, Phase::Held);
        assert!(rig.status().guard.fault.unwrap().latched);
    }
    never_starts(
        "s19k-pro",
        Fault::DeviceAbsent { device: 0 },
        "device-absent",
    );
}

#[test]
fn a_memory_of_another_board_keeps_power_off_until_a_person_decides() {
    let mut rig = never_starts("s19k-pro", Fault::EepromForeign, "identity-mismatch");
    assert!(rig.status().guard.fault.unwrap().latched);
    assert!(
        rig.station
            .handle(rig.now, Command::ClearFault("fan-stalled".to_owned()))
            .is_err()
    );
    rig.heal(Fault::EepromForeign);
    rig.run(300.0);
    assert_eq!(rig.truth().core_starts, 0, "only a person clears it");
    rig.command(Command::ClearFault("identity-mismatch".to_owned()));
    rig.run_until(300.0, |status, _| status.boards[0].powered);
}

#[test]
fn fans_that_do_not_turn_keep_power_off() {
    for name in ["bitaxe-gamma", "bitaxe-hex", "s19k-pro"] {
        never_starts(name, Fault::FanStuck { fan: 0 }, "fan-stalled");
        never_starts(name, Fault::FanTachLost { fan: 0 }, "fan-stalled");
    }
    never_starts(
        "bitaxe-gamma",
        Fault::FanFaked {
            rpm: 4800.0,
            fan: 0,
        },
        "fan-spoofed",
    );
    never_starts("s19k-pro", Fault::FanInverted { fan: 1 }, "fan-stalled");
}

/// A rotor takes its time to slow down to what is no longer enough; from then on the deadline counts.
const ROTOR: Duration = Duration::from_secs(5);

#[test]
fn a_fan_that_stops_costs_power() {
    for name in ["bitaxe-gamma", "s19k-pro"] {
        cuts_within(
            name,
            Fault::FanStuck { fan: 0 },
            "fan-stalled",
            DEADLINE + ROTOR,
        );
        // It turns, but who knows that?
        cuts(name, Fault::FanTachLost { fan: 0 }, "fan-stalled");
        cuts_within(name, Fault::FansDead, "fan-stalled", DEADLINE + ROTOR);
    }
}

#[test]
fn a_supply_that_misbehaves_costs_power() {
    // The regulator's own protection is as quick as the guard.
    cuts(
        "bitaxe-gamma",
        Fault::SupplyWrong { factor: 1.3 },
        "regulator-fault",
    );
    cuts(
        "bitaxe-gamma",
        Fault::SupplyMisreports { factor: 1.3 },
        "regulator-fault",
    );
    cuts(
        "bitaxe-gamma",
        Fault::SupplyMisreports { factor: 0.8 },
        "voltage-mismatch",
    );
    cuts("bitaxe-gamma", Fault::SupplyTrips, "regulator-fault");
    cuts(
        "bitaxe-gamma",
        Fault::InputVoltage { volts: 5.8 },
        "input-voltage",
    );
}

#[test]
fn a_supply_that_stays_on_is_told_to_a_person() {
    let mut rig = running("bitaxe-gamma");
    let at = rig.now;
    rig.inject(Fault::SupplyStuckOn);
    rig.command(Command::Stop);
    rig.run(30.0);
    assert!(rig.truth().core_on);
    assert!(!rig.status().is_off());
    assert!(rig.noticed("power-without-consent", at).is_some());
    assert!(rig.status().guard.fault.unwrap().latched);
    assert_eq!(rig.status().cooling.duty_percent, 100);
}

#[test]
fn a_silent_control_port_is_said_to_be_unsafe_and_cut_when_it_returns() {
    let mut rig = running("bitaxe-gamma");
    let at = rig.now;
    rig.inject(Fault::ControlSilent);
    rig.run(5.0);
    assert!(rig.noticed("not-switched-off", at).is_some());
    assert!(!rig.status().boards[0].powered);
    assert!(!rig.status().is_off());
    rig.heal(Fault::ControlSilent);
    rig.run(1.0);
    assert!(!rig.truth().core_on && rig.status().is_off());
}

#[test]
fn noise_on_a_sensor_is_survived_or_cut_but_never_ignored() {
    let mut rig = running("bitaxe-gamma");
    rig.inject(Fault::SensorJumps { sensor: 0 });
    rig.run(600.0);
    let truth = rig.truth();
    assert_eq!(truth.die_limit_passed, None);
}
#[test]
fn a_chip_colder_than_its_board_is_not_believed() {
    cuts(
        "bitaxe-gamma",
        Fault::SensorReads {
            celsius: 5.0,
            sensor: 0,
        },
        "temperature-implausible",
    );
}

#[test]
fn a_dead_port_is_not_asked_for_everything() {
    // Every request to a silent port costs half a second on a real one, and the owners of chains
    // have to hear of it within the deadline.
    for name in ["bitaxe-gamma", "nerdqaxe-pp", "s19k-pro"] {
        let mut rig = running(name);
        let at = rig.now;
        rig.inject(Fault::ControlSilent);
        let mut most = 0;
        while rig.status().boards[0].powered {
            let before = rig.board.requests();
            rig.run(0.01);
            most = most.max(rig.board.requests() - before);
            assert!(rig.now - at < DEADLINE, "{name}");
        }
        assert!(most <= 4, "{name}: {most} requests at once");
    }
}

#[test]
fn a_latched_fault_outlives_the_program() {
    let rig = never_starts("s19k-pro", Fault::EepromForeign, "identity-mismatch");
    let stored = rig.station.stored_fault().unwrap();
    assert_eq!(stored.code, "identity-mismatch");

    let unknown = StoredFault {
        code: "from-a-later-version".to_owned(),
        ..stored.clone()
    };
    for (stored, code) in [
        (stored, "identity-mismatch"),
        (StoredFault::unreadable(), "too-many-restarts"),
        (unknown, "too-many-restarts"),
    ] {
        let mut rig = Rig::with("s19k-pro", |_, config| config.latched = Some(stored));
        rig.command(Command::Run(rig.station.default_set_point()));
        rig.run(120.0);
        assert_eq!(rig.truth().core_starts, 0, "{code}");
        assert_eq!(rig.faults(), [code]);
        let status = rig.status();
        assert_eq!(status.phase, Phase::Held);
        assert_eq!(status.guard.fault.unwrap().code, code);
        assert_eq!(rig.station.stored_fault().unwrap().code, code);
        rig.command(Command::ClearFault(code.to_owned()));
        rig.run(1.0);
        assert_eq!(rig.station.stored_fault(), None);
        rig.run_until(300.0, |status, _| status.boards[0].powered);
    }
}
