//! Whole virtual boards: what they do when all is well, what every fault does to them, and that time and luck repeat.

mod board_support;

use std::time::Duration;

use board_simulator::{
    board::{
        BoardError, BoardSpec, Controller, Fault, Part, PinRole, PinSpec, Probe, VirtualBoard,
    },
    physics::{SupplySpec, Trip, presets},
};
use board_support::{Bench, bench, device, gamma_spec, seconds, spec};
use proptest::prelude::*;

/// 525 MHz, and a sweep that takes the whole slice of one chip.
const PLL_525: u32 = 0x40A8_0230;
const SWEEP: u32 = 0x000C_2FB7;

fn gamma() -> Bench {
    Bench::new(&gamma_spec())
}

/// A Gamma that mines at 525 MHz and 1.15 V with its fan at full.
fn mining_gamma() -> Bench {
    let mut bench = gamma();
    bench.power_gamma();
    bench.start_chips(PLL_525, SWEEP);
    bench.mine(seconds(2.0));
    bench
}

/// What the EMC2101 says of its diode, °C.
fn diode(bench: &mut Bench) -> f64 {
    let high = bench.read(0x4C, 0x01, 1).unwrap()[0];
    let low = bench.read(0x4C, 0x10, 1).unwrap()[0];
    f64::from(i16::from_be_bytes([high, low])) / 256.0
}

/// What it says of its fan, rpm.
fn tach(bench: &mut Bench) -> f64 {
    let low = bench.read(0x4C, 0x46, 1).unwrap()[0];
    let high = bench.read(0x4C, 0x47, 1).unwrap()[0];
    match u16::from_be_bytes([high, low]) {
        u16::MAX => 0.0,
        count => 5_400_000.0 / f64::from(count),
    }
}

/// What the regulator says of its output, V.
fn output(bench: &mut Bench) -> f64 {
    let bytes = bench.read(0x24, 0x8B, 2).unwrap();
    f64::from(u16::from_le_bytes([bytes[0], bytes[1]])) / 512.0
}

fn status(bench: &mut Bench) -> u16 {
    let bytes = bench.read(0x24, 0x79, 2).unwrap();
    u16::from_le_bytes([bytes[0], bytes[1]])
}

#[test]
fn a_board_starts_safe() {
    let mut bench = gamma();
    bench.pass(seconds(5.0));
    let truth = bench.truth();
    assert!(!truth.core_on && truth.in_reset);
    assert_eq!((truth.core_starts, truth.alive), (0, 0));
    assert_eq!(truth.fans[0].rpm, 0.0);
    assert_eq!(bench.answering(), 0);
}

#[test]
fn a_gamma_comes_up_and_mines_as_published() {
    let mut bench = gamma();
    bench.power_gamma();
    assert_eq!(bench.answering(), 1);
    bench.start_chips(PLL_525, SWEEP);
    let heard = bench.mine(seconds(300.0));
    let truth = bench.truth();
    // Published for 525 MHz and 1150 mV: 17.0 W, 1072 GH/s; 1.6 to 1.9 K/W at full fan.
    assert!((truth.input_w - 17.0).abs() < 1.0, "{}", truth.input_w);
    assert!((45.0..60.0).contains(&truth.die_c), "{}", truth.die_c);
    assert!((truth.fastest_mhz - 525.0).abs() < 0.1);
    assert!(truth.delivered > 0.97);
    let nonces = heard.windows(2).filter(|p| *p == [0xAA, 0x55]).count() as f64;
    let expected = 300.0 * 1072e9 / (256.0 * 4_294_967_296.0);
    assert!(
        (nonces - expected).abs() < 5.0 * expected.sqrt(),
        "{nonces} for {expected}"
    );
    assert_eq!(truth.die_limit_passed, None);
    assert_eq!(truth.nvm_stores, 0);
}

#[test]
fn switching_off_acts_at_once_and_makes_chips_forget() {
    let mut bench = mining_gamma();
    assert!(bench.write(0x24, &[0x01, 0x00]));
    let truth = bench.truth();
    assert!(!truth.core_on);
    assert_eq!(truth.core_since, bench.now);
    assert_eq!((truth.alive, truth.core_w), (0, 0.0));
    assert_eq!(bench.answering(), 0);
    assert!(bench.write(0x24, &[0x01, 0x80]));
    bench.pass(seconds(1.0));
    assert_eq!(bench.answering(), 1);
    assert_eq!(bench.truth().core_starts, 2);
}

#[test]
fn reset_holds_the_chips_while_the_core_stays() {
    let mut bench = mining_gamma();
    let busy = bench.truth().core_w;
    bench.pin(0, false);
    bench.pass(seconds(1.0));
    let truth = bench.truth();
    assert!(truth.core_on && truth.core_w < 0.6 * busy);
    assert_eq!(bench.answering(), 0);
    bench.pin(0, true);
    assert_eq!(bench.answering(), 1);
}

#[test]
fn a_diode_gives_garbage_first_and_nothing_without_power() {
    let mut bench = gamma();
    assert_eq!(diode(&mut bench), 127.0, "open");
    bench.power_gamma();
    bench.pin(0, false);
    bench.pass(seconds(1.0));
    bench.pin(0, true);
    let mut garbage = Vec::new();
    for _ in 0..4 {
        bench.pass(Duration::from_millis(100));
        garbage.push(diode(&mut bench));
    }
    let spread = garbage.iter().fold(f64::MIN, |a, b| a.max(*b))
        - garbage.iter().fold(f64::MAX, |a, b| a.min(*b));
    assert!(spread > 5.0, "{garbage:?}");
    bench.pass(seconds(0.3));
    let truth = bench.truth().die_c;
    assert!((diode(&mut bench) - truth).abs() < 12.0);
    assert!(bench.write(0x24, &[0x01, 0x00]));
    assert_eq!(diode(&mut bench), 127.0);
}

#[test]
fn readings_dither() {
    let mut bench = gamma();
    bench.power_gamma();
    let readings: Vec<f64> = (0..20)
        .map(|_| {
            bench.pass(seconds(1.0));
            diode(&mut bench)
        })
        .collect();
    assert!(
        readings.windows(2).any(|pair| pair[0] != pair[1]),
        "{readings:?}"
    );
}

#[test]
fn without_air_a_board_heats_past_its_limit_and_the_truth_remembers() {
    let mut bench = mining_gamma();
    bench.inject(Fault::FansDead);
    bench.inject(Fault::Ambient { celsius: 45.0 });
    bench.inject(Fault::Dust { factor: 3.0 });
    bench.mine(seconds(600.0));
    let truth = bench.truth();
    assert!(
        truth.die_highest_c > truth.die_limit_c,
        "{}",
        truth.die_highest_c
    );
    let passed = truth.die_limit_passed.unwrap();
    assert!(passed > seconds(30.0) && passed < bench.now);
    assert_eq!(truth.ambient_c, 45.0);
    assert!(bench.write(0x24, &[0x01, 0x00]));
    bench.board.heal_all(bench.now);
    bench.pass(seconds(1200.0));
    let truth = bench.truth();
    assert!(truth.die_c < 30.0, "{}", truth.die_c);
    assert_eq!(truth.die_limit_passed, Some(passed));
}

#[test]
fn fans_fail_as_told() {
    let mut bench = mining_gamma();
    let full = tach(&mut bench);
    for (fault, rpm, seen) in [
        (Fault::FanStuck { fan: 0 }, 0.0, 0.0),
        (Fault::FanTachLost { fan: 0 }, full, 0.0),
        (
            Fault::FanTachFrozen {
                rpm: 3000.0,
                fan: 0,
            },
            full,
            3000.0,
        ),
        (
            Fault::FanFaked {
                rpm: 3000.0,
                fan: 0,
            },
            0.0,
            3000.0,
        ),
        (Fault::FanInverted { fan: 0 }, 0.0, 0.0),
        (
            Fault::FanWorn { share: 0.5, fan: 0 },
            full / 2.0,
            full / 2.0,
        ),
    ] {
        bench.inject(fault);
        bench.pass(seconds(30.0));
        let truth = bench.truth().fans[0];
        assert!((truth.rpm - rpm).abs() < 60.0, "{fault}: {truth:?}");
        assert!((tach(&mut bench) - seen).abs() < 60.0, "{fault}");
        bench.heal(fault);
        bench.pass(seconds(30.0));
        assert!((tach(&mut bench) - full).abs() < 60.0, "{fault} healed");
    }
}

#[test]
fn sensors_fail_as_told() {
    let mut bench = mining_gamma();
    bench.mine(seconds(120.0));
    let sensors = bench.board.sensors();
    assert_eq!(sensors.len(), 3);
    assert!(sensors[0].remote && sensors[0].probe == Probe::Die(0));
    let good = diode(&mut bench);
    for (fault, expected) in [
        (
            Fault::SensorReads {
                celsius: -1.0,
                sensor: 0,
            },
            -1.0,
        ),
        (
            Fault::SensorReads {
                celsius: 127.9,
                sensor: 0,
            },
            127.875,
        ),
        (Fault::SensorOpen { sensor: 0 }, 127.0),
        (Fault::SensorShort { sensor: 0 }, 127.875),
    ] {
        bench.inject(fault);
        // The wrong ideality would shift what the part computes, not its fault codes.
        let reading = diode(&mut bench);
        assert!((reading - expected).abs() < 0.2, "{fault}: {reading}");
        bench.heal(fault);
    }
    bench.inject(Fault::SensorOffset {
        kelvin: -20.0,
        sensor: 0,
    });
    assert!((diode(&mut bench) - good + 20.0).abs() < 2.0);
    bench.heal(Fault::SensorOffset {
        kelvin: 0.0,
        sensor: 0,
    });

    bench.inject(Fault::SensorFrozen { sensor: 0 });
    let frozen = diode(&mut bench);
    bench.pin(0, false);
    bench.pass(seconds(60.0));
    assert!(bench.truth().die_c < frozen - 10.0);
    assert_eq!(diode(&mut bench), frozen);
    bench.heal(Fault::SensorFrozen { sensor: 0 });
    assert!(diode(&mut bench) < frozen - 5.0);

    let before = diode(&mut bench);
    bench.inject(Fault::SensorDrift {
        kelvin_per_minute: -4.0,
        sensor: 0,
    });
    assert!((diode(&mut bench) - before).abs() < 1.5);
    let truth = bench.truth().die_c;
    bench.pass(seconds(300.0));
    let cooled = truth - bench.truth().die_c;
    assert!((before - diode(&mut bench) - 20.0 - cooled).abs() < 2.5);
    bench.heal(Fault::SensorDrift {
        kelvin_per_minute: 0.0,
        sensor: 0,
    });

    bench.inject(Fault::SensorJumps { sensor: 0 });
    let readings: Vec<f64> = (0..100)
        .map(|_| {
            bench.pass(Duration::from_millis(100));
            diode(&mut bench)
        })
        .collect();
    let truth = bench.truth().die_c;
    let jumps = readings.iter().filter(|c| (*c - truth).abs() > 6.0).count();
    assert!((3..30).contains(&jumps), "{jumps} of {readings:?}");
}

#[test]
fn an_absent_device_does_not_answer_and_leaves_things_as_they_are() {
    let mut bench = gamma();
    bench.power_gamma();
    bench.inject(Fault::DeviceAbsent { device: 0 });
    assert!(!bench.write(0x4C, &[0x4C, 0x00]));
    let answer = bench.ask_raw(0, 0x05, 0x40, &[0x4C, 0xFD, 1]);
    assert_eq!(answer[3], 0xFF);
    assert_eq!(&answer[4..], b"I2C WriteRead Error");
    assert_eq!(usize::from(answer[0]), answer.len());
    bench.pass(seconds(10.0));
    assert_eq!(bench.truth().fans[0].duty, 100.0);
    bench.heal(Fault::DeviceAbsent { device: 0 });
    assert!(bench.write(0x4C, &[0x4C, 0x00]));
    bench.inject(Fault::BusStuck { bus: 0 });
    assert_eq!(bench.read(0x24, 0x01, 1), None);
    assert_eq!(bench.read(0x4C, 0xFD, 1), None);
    bench.heal(Fault::BusStuck { bus: 0 });
    assert_eq!(bench.read(0x4C, 0xFD, 1), Some(vec![0x16]));
}

#[test]
fn other_parts_show_by_their_identity() {
    let mut bench = gamma();
    for (device, address, register) in [(0, 0x4C, 0xFD), (1, 0x24, 0xAD)] {
        let right = bench.read(address, register, 7);
        bench.inject(Fault::DeviceWrong { device });
        assert_ne!(bench.read(address, register, 7), right);
        bench.heal(Fault::DeviceWrong { device });
        assert_eq!(bench.read(address, register, 7), right);
    }
}

#[test]
fn supplies_fail_as_told() {
    let mut bench = mining_gamma();
    assert!((output(&mut bench) - 1.15).abs() < 0.003);

    bench.inject(Fault::SupplyStuckOn);
    assert!(bench.write(0x24, &[0x01, 0x00]));
    bench.pass(seconds(1.0));
    assert!(bench.truth().core_on && output(&mut bench) > 1.1);
    bench.heal(Fault::SupplyStuckOn);
    bench.pass(seconds(1.0));
    assert!(!bench.truth().core_on);
    assert!(bench.write(0x24, &[0x01, 0x80]));

    bench.inject(Fault::SupplyWrong { factor: 1.1 });
    bench.pass(seconds(1.0));
    assert!((output(&mut bench) - 1.265).abs() < 0.005);
    assert_eq!(status(&mut bench) & 0x40, 0, "still on");
    bench.inject(Fault::SupplyWrong { factor: 1.4 });
    bench.pass(seconds(1.0));
    // More than 125 %: the regulator protects itself and stays off.
    assert!(!bench.truth().core_on);
    assert_eq!(status(&mut bench) & 0x8060, 0x8060);
    bench.heal(Fault::SupplyWrong { factor: 1.0 });
    bench.pass(seconds(1.0));
    assert!(!bench.truth().core_on);
    for bytes in [&[0x01, 0x00][..], &[0x03], &[0x01, 0x80]] {
        assert!(bench.write(0x24, bytes));
    }
    bench.pass(seconds(1.0));
    assert!(bench.truth().core_on);
    assert_eq!(status(&mut bench), 0);

    bench.inject(Fault::SupplyMisreports { factor: 0.9 });
    assert!((output(&mut bench) - 1.035).abs() < 0.005);
    assert!((bench.truth().core_mv - 1150.0).abs() < 3.0);
    bench.heal(Fault::SupplyMisreports { factor: 1.0 });

    bench.inject(Fault::SupplyFrozen);
    assert!(bench.write(0x24, &[0x21, 0x66, 0x02]));
    bench.pass(seconds(1.0));
    assert!((bench.truth().core_mv - 1150.0).abs() < 3.0);
    bench.heal(Fault::SupplyFrozen);

    bench.inject(Fault::SupplyTrips);
    assert!(bench.truth().trip == Some(Trip::OverCurrent) || !bench.truth().core_on);
    bench.pass(seconds(1.0));
    assert!(!bench.truth().core_on);
    assert_eq!(bench.read(0x24, 0x7B, 1), Some(vec![0x80]));
    for bytes in [&[0x01, 0x00][..], &[0x03], &[0x01, 0x80]] {
        assert!(bench.write(0x24, bytes));
    }
    bench.pass(seconds(1.0));
    assert!(bench.truth().core_on);

    bench.inject(Fault::SupplyDead);
    bench.pass(seconds(1.0));
    assert!(!bench.truth().core_on);
    assert_eq!(bench.read(0x24, 0x7A, 1).unwrap()[0] & 0x10, 0x10);
    bench.heal(Fault::SupplyDead);

    bench.inject(Fault::InputVoltage { volts: 4.0 });
    bench.pass(seconds(1.0));
    assert!(!bench.truth().core_on);
    assert_ne!(status(&mut bench) & 0x2048, 0);
    bench.heal(Fault::InputVoltage { volts: 0.0 });
    bench.pass(seconds(2.0));
    assert!(bench.truth().core_on, "comes back by itself");

    bench.inject(Fault::InputVoltage { volts: 0.0 });
    bench.pass(seconds(1.0));
    assert_eq!(bench.read(0x24, 0x02, 1), None);
    bench.heal(Fault::InputVoltage { volts: 0.0 });
    bench.pass(seconds(2.0));
    assert!(!bench.truth().core_on, "it has forgotten all");
    assert_eq!(bench.read(0x24, 0x02, 1), Some(vec![0x17]));
}

#[test]
fn a_regulator_holds_to_its_programmed_limits() {
    let mut bench = mining_gamma();
    // 2.5 V where 2 V is the most.
    assert!(bench.write(0x24, &[0x21, 0x00, 0x05]));
    assert_eq!(bench.read(0x24, 0x21, 2), Some(vec![0x00, 0x04]));
    assert_eq!(bench.read(0x24, 0x7A, 1).unwrap()[0] & 0x08, 0x08);
    assert!(bench.write(0x24, &[0x21, 0x4D, 0x02]));
    assert!(bench.write(0x24, &[0x03]));
    // Over-current at 2 A (4 * 2^-1).
    assert!(bench.write(0x24, &[0x46, 0x04, 0xF8]));
    bench.pass(seconds(1.0));
    assert_eq!(bench.read(0x24, 0x7B, 1), Some(vec![0x80]));
    assert!(!bench.truth().core_on);
}

#[test]
fn unknown_commands_and_stores_are_noticed() {
    let mut bench = gamma();
    assert!(bench.write(0x24, &[0xC0, 1]));
    assert_eq!(bench.read(0x24, 0x7E, 1), Some(vec![0x80]));
    for (count, command) in [0x11, 0x15, 0x13, 0x17].into_iter().enumerate() {
        assert!(bench.write(0x24, &[command]));
        assert_eq!(bench.truth().nvm_stores, count as u64 + 1);
    }
}

#[test]
fn chips_fail_as_told() {
    let mut spec = spec(presets::s19k_pro().with_boards(1), Vec::new());
    spec.physics.seed = 3;
    let mut bench = Bench::new(&spec);
    // Nothing switches this supply: it gives its lowest voltage from the start.
    bench.pin(0, true);
    bench.pass(seconds(2.0));
    assert!(bench.truth().core_on);
    assert_eq!(bench.answering(), 77);
    bench.inject(Fault::ChipDead { chip: 40 });
    bench.pass(seconds(0.5));
    assert_eq!(bench.answering(), 40);
    assert_eq!(bench.truth().broken, 1);
    bench.heal(Fault::ChipDead { chip: 40 });
    bench.pass(seconds(0.5));
    assert_eq!(bench.answering(), 77);
    bench.start_chips(PLL_525, 0x1EB5);
    bench.mine(seconds(5.0));
    let before = bench.board.machine().chip(0, 7).unwrap().delivered;
    bench.inject(Fault::ChipSlow { mv: 60.0, chip: 7 });
    bench.mine(seconds(1.0));
    assert!(bench.board.machine().chip(0, 7).unwrap().delivered < before - 0.2);
    bench.inject(Fault::DomainOpen { domain: 5 });
    bench.pass(seconds(1.0));
    let truth = bench.truth();
    assert_eq!((truth.alive, truth.core_a), (0, 0.0));
    assert!(truth.core_on, "the supply does not care");
}

#[test]
fn the_serial_line_fails_as_told() {
    let mut bench = mining_gamma();
    let clean = bench.mine(seconds(60.0)).len();
    assert!(clean > 300);
    bench.inject(Fault::UartNoise { share: 0.05 });
    let heard = bench.mine(seconds(60.0));
    let whole = heard
        .chunks(11)
        .filter(|frame| frame.len() == 11 && board_support::wire::crc5(&frame[2..]) == 0);
    assert!(whole.count() < heard.len() / 11, "some are damaged");
    bench.heal(Fault::UartNoise { share: 0.0 });
    bench.inject(Fault::UartDead);
    assert_eq!(bench.mine(seconds(5.0)), []);
    bench.heal(Fault::UartDead);
    assert!(!bench.mine(seconds(20.0)).is_empty());
}

#[test]
fn the_control_port_fails_as_told() {
    let mut bench = gamma();
    let ask = |bench: &mut Bench| bench.ask_raw(0, 0x06, 0x00, &[]);
    let good = ask(&mut bench);
    assert_eq!(good.len(), 4);
    bench.inject(Fault::ControlSilent);
    assert_eq!(ask(&mut bench), []);
    bench.heal(Fault::ControlSilent);
    bench.inject(Fault::ControlGarbage);
    let garbage = ask(&mut bench);
    assert_eq!(garbage.len(), 4);
    assert_ne!(garbage[..2], good[..2]);
    bench.heal(Fault::ControlGarbage);
    bench.inject(Fault::ControlSlow { ms: 300.0 });
    assert_eq!(ask(&mut bench), []);
    let due = bench.now + Duration::from_millis(300);
    assert_eq!(bench.board.next_event(), Some(due));
    let mut late = Vec::new();
    bench.board.control_take_output(due, &mut late);
    assert_eq!(late.len(), 4);
    bench.now = due;
    bench.heal(Fault::ControlSlow { ms: 0.0 });
    bench.inject(Fault::ControlClosed);
    assert!(bench.board.is_closed());
    assert_eq!(ask(&mut bench), []);
    bench.heal(Fault::ControlClosed);
    assert_eq!(ask(&mut bench).len(), 4);
}

#[test]
fn plain_firmware_leaves_the_core_on_when_its_host_goes() {
    let mut bench = mining_gamma();
    bench.board.control_closed(bench.now);
    bench.pass(seconds(60.0));
    assert!(bench.truth().core_on);
}

#[test]
fn newer_firmware_switches_off_when_its_host_goes() {
    let mut spec = gamma_spec();
    spec.controller = Controller::BitaxeRawTotal;
    spec.pins.push(PinSpec {
        number: 2,
        role: PinRole::Core,
        active_high: true,
    });
    // The fan hangs on the controller's own page there.
    spec.devices[0].part = Part::Emc2101 {
        fan: None,
        local: Probe::Board(0),
        diode: Some(Probe::Die(0)),
        ideality: Part::DEFAULT_IDEALITY,
    };
    let mut bench = Bench::new(&spec);
    assert_eq!(bench.truth().fans[0].duty, 100.0, "full from the start");
    assert_eq!(bench.ask(0, 0x09, 0x10, &[40]), Some(vec![40]));
    // Pin and command have to agree.
    for bytes in [
        &[0x02, 0x1F][..],
        &[0x24, 0x00, 0x04],
        &[0x21, 0x4D, 0x02],
        &[0x01, 0x80],
    ] {
        assert!(bench.write(0x24, bytes));
    }
    bench.pass(seconds(1.0));
    assert!(!bench.truth().core_on);
    bench.pin(2, true);
    bench.pin(0, true);
    bench.pass(seconds(10.0));
    assert!(bench.truth().core_on);
    let rpm = bench.ask(0, 0x09, 0x20, &[]).unwrap();
    let truth = bench.truth().fans[0];
    assert!((f64::from(u16::from_le_bytes([rpm[0], rpm[1]])) - truth.rpm).abs() < 31.0);
    assert_eq!(truth.duty, 40.0);
    bench.board.control_closed(bench.now);
    let truth = bench.truth();
    assert!(!truth.core_on && truth.in_reset);
    assert_eq!(truth.fans[0].duty, 100.0);
}

#[test]
fn every_controller_answers_a_probe_in_its_format() {
    for (kind, answer) in [
        (Controller::BitaxeRaw, &[1, 0, 9, 0][..]),
        (Controller::BitaxeRawTotal, &[4, 0, 9, 0]),
        (Controller::Emberone, &[5, 0, 9, 0, 0]),
        (Controller::Bitcrane, &[1, 0, 9, 0]),
    ] {
        let mut spec = gamma_spec();
        spec.controller = kind;
        let mut board = VirtualBoard::new(&spec).unwrap();
        board.control_receive(Duration::ZERO, &[6, 0, 9, 0, 6, 0]);
        let mut heard = Vec::new();
        board.control_take_output(Duration::ZERO, &mut heard);
        assert_eq!(heard, answer, "{kind}");
        // Our own page is unknown to all of them.
        board.control_receive(Duration::ZERO, &[6, 0, 9, 0, 0x48, 1]);
        heard.clear();
        board.control_take_output(Duration::ZERO, &mut heard);
        assert_eq!(heard, [4, 0, 0xFF, 0x11], "{kind}");
    }
}

#[test]
fn bitcrane_has_four_fans_and_a_supply_pin() {
    let mut spec = spec(presets::s19k_pro().with_boards(1), Vec::new());
    spec.controller = Controller::Bitcrane;
    spec.pins.push(PinSpec {
        number: 0x01,
        role: PinRole::Plug,
        active_high: true,
    });
    spec.pins.push(PinSpec {
        number: 0x50,
        role: PinRole::Psu,
        active_high: true,
    });
    let mut bench = Bench::new(&spec);
    assert_eq!(bench.ask(0, 0x06, 0x01, &[]), Some(vec![1]));
    assert_eq!(bench.ask(0, 0x06, 0x01, &[0]), None, "an input");
    for fan in 0..4 {
        assert_eq!(bench.ask(0, 0x09, 0x11 + fan, &[50]), Some(vec![0]));
    }
    bench.pass(seconds(20.0));
    for fan in 0..4 {
        let rpm = bench.ask(0, 0x09, 0x21 + fan, &[]).unwrap();
        assert!(u16::from_le_bytes([rpm[0], rpm[1]]) > 2000);
    }
    assert_eq!(bench.ask(0, 0x09, 0x15, &[50]), None);
    assert_eq!(bench.ask(0, 0x09, 0x11, &[101]), None);
    assert!(!bench.truth().core_on);
    bench.pin(0x50, true);
    bench.pass(seconds(2.0));
    assert!(bench.truth().core_on);
}

#[test]
fn emberone_restarts_into_a_safe_state() {
    let mut spec = gamma_spec();
    spec.controller = Controller::Emberone;
    let mut bench = Bench::new(&spec);
    bench.power_gamma();
    assert_eq!(bench.ask(0, 0x08, 0x10, &[1, 2, 3]), Some(vec![1, 2, 3]));
    assert_eq!(bench.ask_raw(0, 0x09, 0x01, &[0xDE, 0xAD, 0xBE, 0xEF]), []);
    assert!(bench.truth().in_reset);
}

#[test]
fn unused_time_costs_nothing() {
    let mut bench = gamma();
    // Ten years at ten ticks a second would take for ever.
    bench.pass(Duration::from_secs(10 * 365 * 86_400));
    assert!(!bench.truth().core_on);
    bench.power_gamma();
    assert_eq!(bench.answering(), 1);
}

#[test]
fn time_runs_alike_in_small_and_large_steps() {
    let run = |step: Duration, seed: u64| {
        let mut spec = gamma_spec();
        spec.seed = seed;
        spec.physics.seed = seed;
        let mut bench = Bench::new(&spec);
        bench.power_gamma();
        bench.start_chips(PLL_525, SWEEP);
        let mut heard = Vec::new();
        let mut seen = Vec::new();
        for second in 0..90_u32 {
            match second {
                20 => bench.inject(Fault::SensorJumps { sensor: 0 }),
                30 => bench.inject(Fault::FanStuck { fan: 0 }),
                50 => bench.inject(Fault::SupplyWrong { factor: 0.9 }),
                70 => bench.inject(Fault::ChipDead { chip: 0 }),
                _ => {}
            }
            let job = board_support::wire::job(8, &board_support::wire::header(second));
            bench.board.uart_receive(bench.now, &job);
            let end = bench.now + seconds(1.0);
            while bench.now < end {
                bench.now = (bench.now + step).min(end);
                bench.board.uart_take_output(bench.now, &mut heard);
            }
            seen.push(diode(&mut bench).to_bits());
        }
        (heard, seen, format!("{:?}", bench.truth()))
    };
    let reference = run(Duration::from_millis(10), 5);
    for step in [7, 100, 333, 1000] {
        assert_eq!(run(Duration::from_millis(step), 5), reference, "{step} ms");
    }
    assert_ne!(run(Duration::from_millis(10), 6), reference);
}

#[test]
fn impossible_boards_are_refused() {
    let refused = |change: &dyn Fn(&mut BoardSpec)| {
        let mut spec = gamma_spec();
        change(&mut spec);
        VirtualBoard::new(&spec).unwrap_err()
    };
    assert!(matches!(
        refused(&|spec| spec.chain.chips = 2),
        BoardError::Chips {
            chain: 2,
            physics: 1
        }
    ));
    assert!(matches!(
        refused(&|spec| spec.devices[1].address = 0x4C),
        BoardError::AddressTaken { address: 0x4C, .. }
    ));
    assert!(matches!(
        refused(&|spec| spec.devices[1].address = 0x80),
        BoardError::Address { .. }
    ));
    assert!(matches!(
        refused(&|spec| spec.devices.push(device(
            0x20,
            Part::Emc2302 {
                fans: [Some(3), None]
            }
        ))),
        BoardError::Connection {
            what: "fan",
            index: 3,
            count: 1,
            ..
        }
    ));
    assert!(matches!(
        refused(&|spec| spec.devices.push(device(
            0x20,
            Part::Tmp1075 {
                local: Probe::Die(1)
            }
        ))),
        BoardError::Connection { what: "chip", .. }
    ));
    assert!(matches!(
        refused(&|spec| spec.ambient_c = f64::NAN),
        BoardError::Range {
            what: "ambient_c",
            ..
        }
    ));
    assert!(matches!(
        refused(&|spec| spec.controller = Controller::Guarded),
        BoardError::NoPlan
    ));
    let unknown = "bitaxe".parse::<Controller>().unwrap_err().to_string();
    assert!(
        unknown.contains("bitaxe-raw, bitaxe-raw-total"),
        "{unknown}"
    );
    for kind in Controller::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
}

#[test]
fn boards_can_move_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<VirtualBoard>();
}

/// A board with every part there is.
fn everything() -> BoardSpec {
    let mut physics = presets::bitaxe_gamma();
    physics.fans.count = 4;
    if let SupplySpec::Regulator(regulator) = &mut physics.supply {
        regulator.output_mv = (0.0, 2000.0);
    }
    let local = Probe::Board(0);
    let parts = vec![
        Part::Emc2101 {
            fan: Some(0),
            local,
            diode: Some(Probe::Die(0)),
            ideality: 1.0,
        },
        Part::Emc2103 {
            fan: Some(1),
            local,
            diodes: [Some(Probe::Die(0)), None],
        },
        Part::Emc2302 {
            fans: [Some(2), Some(3)],
        },
        Part::Tmp1075 { local },
        Part::Tmp451 {
            local,
            remote: None,
            remote_error_k: 0.0,
        },
        Part::Lm75 { local, bits: 11 },
        Part::Ina260,
        Part::Ds4432u {
            output: 0,
            feedback: board_simulator::board::Feedback::BITAXE,
        },
        Part::Tps53647,
        Part::Tps53667,
        Part::Fxl6408 { base: 0x80 },
        Part::At24 {
            size: 4096,
            contents: vec![1; 5000],
        },
        Part::At24 {
            size: 128,
            contents: Vec::new(),
        },
        Part::Apw { model: 0x71 },
        Part::Apw { model: 0x43 },
        Part::Tps546 {
            id: Part::TPS546D24A_ID,
        },
    ];
    let devices = parts
        .into_iter()
        .enumerate()
        .map(|(index, part)| device(0x10 + index as u8, part))
        .collect();
    let mut spec = spec(physics, devices);
    for (number, role) in [
        (1, PinRole::Core),
        (0x81, PinRole::Vddio),
        (3, PinRole::Psu),
    ] {
        spec.pins.push(PinSpec {
            number,
            role,
            active_high: true,
        });
    }
    spec
}

/// Something that anybody could do to a board.
#[derive(Debug, Clone)]
enum Deed {
    Request(u8, u8, Vec<u8>),
    I2c(u8, u8, Vec<u8>),
    Noise(Vec<u8>),
    Uart(Vec<u8>),
    Wait(u32),
    Break(String),
    Heal,
    Close,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..12);
    let fault = (0..Fault::NAMES.len(), -200.0..200.0_f64, 0..20_u16).prop_map(
        |(index, number, target)| {
            let (name, arguments, _) = Fault::NAMES[index];
            let mut text = name.to_owned();
            if arguments.starts_with(':') {
                text += &format!(":{number}");
            }
            if arguments.contains('[') {
                text += &format!(":{target}");
            }
            text
        },
    );
    let deed = prop_oneof![
        3 => (0..12_u8, any::<u8>(), bytes()).prop_map(|(p, c, d)| Deed::Request(p, c, d)),
        8 => (prop_oneof![Just(0x20_u8), Just(0x30), Just(0x40)], 0x0E..0x22_u8, bytes())
            .prop_map(|(c, a, d)| Deed::I2c(c, a, d)),
        1 => bytes().prop_map(Deed::Noise),
        1 => bytes().prop_map(Deed::Uart),
        4 => (0..3000_u32).prop_map(Deed::Wait),
        3 => fault.prop_map(Deed::Break),
        1 => Just(Deed::Heal),
        1 => Just(Deed::Close),
    ];
    proptest::collection::vec(deed, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_that_anybody_does_breaks_the_simulation(deeds in deeds(), kind in 0..4_usize) {
        let mut spec = everything();
        spec.controller = Controller::ALL[kind];
        let mut bench = Bench::new(&spec);
        for deed in deeds {
            match deed {
                Deed::Request(page, command, data) => {
                    bench.ask_raw(0, page, command, &data);
                }
                Deed::I2c(command, address, data) => {
                    let data: Vec<u8> = std::iter::once(address).chain(data).collect();
                    bench.ask_raw(0, 5, command, &data);
                }
                Deed::Noise(bytes) => bench.board.control_receive(bench.now, &bytes),
                Deed::Uart(bytes) => bench.board.uart_receive(bench.now, &bytes),
                Deed::Wait(ms) => bench.pass(Duration::from_millis(ms.into())),
                Deed::Break(fault) => bench.inject(fault.parse().unwrap()),
                Deed::Heal => bench.board.heal_all(bench.now),
                Deed::Close => bench.board.control_closed(bench.now),
            }
            let truth = bench.truth();
            prop_assert!(truth.die_c.is_finite() && truth.input_w.is_finite());
            prop_assert!(truth.core_mv >= 0.0 && truth.core_mv < 5000.0);
        }
    }
}

#[test]
fn a_board_without_parts_is_a_board() {
    let mut bench = bench(presets::bitaxe_gamma(), Vec::new());
    assert_eq!(bench.ask(0, 0x05, 0x20, &[0x4C]), None);
    assert_eq!(bench.ask(0, 0x07, 0x50, &[]), None);
}
