//! Our drivers against the simulator's parts, which were written independently of them, over the control protocol: both
//! understand the data sheets alike, and readings are what physics says.

mod board_support;

use std::time::Duration;

use board_devices::{
    Apw, Ds4432u, Eeprom, Emc2101, Emc2103, Emc2302, Fxl6408, Ina260, Lm75, Tmp451, Tmp1075,
    Tps536x7, Tps546, apw, ds4432u, eeprom, emc2103::Diode, emc2302::Fan, tps536x7, tps546,
};
use board_simulator::{
    board::{Fault, Feedback, Part, PinRole, PinSpec, Probe},
    physics::presets,
};
use board_support::{Bench, bench, device, seconds};

const DIE: Probe = Probe::Die(0);
const BOARD: Probe = Probe::Board(0);

fn gamma() -> Bench {
    bench(
        presets::bitaxe_gamma(),
        vec![
            device(
                0x4C,
                Part::Emc2101 {
                    fan: Some(0),
                    local: BOARD,
                    diode: Some(DIE),
                    ideality: Part::BM1370_IDEALITY,
                },
            ),
            device(
                0x24,
                Part::Tps546 {
                    id: Part::TPS546D24A_ID,
                },
            ),
        ],
    )
}

/// Kelvins between a reading and the truth.
fn off_by(centi: i32, celsius: f64) -> f64 {
    (f64::from(centi) / 100.0 - celsius).abs()
}

#[test]
fn emc2101_drives_the_fan_and_reads_the_die() {
    let mut bench = gamma();
    let mut fan = Emc2101::new(bench.i2c(0), 0x4C);
    fan.identify().unwrap();
    fan.init(Some(0x24), Some(0)).unwrap();
    fan.set_duty(100).unwrap();
    // Without power the diode is open.
    assert!(matches!(
        fan.external_centi_c(),
        Err(board_devices::Error::DiodeOpen { .. })
    ));
    let mut regulator = Tps546::new(bench.i2c(0), 0x24, tps546::Config::BITAXE_5V);
    regulator.configure().unwrap();
    regulator.set_output_mv(1150).unwrap();
    regulator.turn_on().unwrap();
    bench.pin(0, true);
    bench.pass(seconds(20.0));
    let truth = bench.truth();
    let mut fan = Emc2101::new(bench.i2c(0), 0x4C);
    let rpm = f64::from(fan.rpm().unwrap());
    assert!((rpm - truth.fans[0].rpm).abs() < 40.0, "{rpm} {truth:?}");
    let chip = fan.external_centi_c().unwrap();
    assert!(off_by(chip, truth.die_c) < 1.5, "{chip} {}", truth.die_c);
    let board = fan.internal_centi_c().unwrap();
    assert!(off_by(board, truth.board_c[0]) < 2.0, "{board} {truth:?}");
    fan.set_duty(0).unwrap();
    bench.pass(seconds(30.0));
    assert_eq!(Emc2101::new(bench.i2c(0), 0x4C).rpm().unwrap(), 0);
}

#[test]
fn wrong_ideality_shows_as_a_wrong_temperature() {
    let mut bench = gamma();
    bench.power_gamma();
    let truth = bench.truth().die_c;
    let reading = Emc2101::new(bench.i2c(0), 0x4C).external_centi_c().unwrap();
    // 2.4 % of the absolute temperature.
    assert!(
        (5.5..10.0).contains(&off_by(reading, truth)),
        "{reading} {truth}"
    );
}

#[test]
fn tps546_switches_measures_and_tells_its_faults() {
    let mut bench = gamma();
    let mut regulator = Tps546::new(bench.i2c(0), 0x24, tps546::Config::BITAXE_5V);
    regulator.configure().unwrap();
    assert!(!regulator.is_on().unwrap());
    regulator.set_output_mv(1150).unwrap();
    regulator.turn_on().unwrap();
    bench.pass(seconds(2.0));
    let truth = bench.truth();
    assert!(truth.core_on);
    let mut regulator = Tps546::new(bench.i2c(0), 0x24, tps546::Config::BITAXE_5V);
    let seen = regulator.telemetry().unwrap();
    assert!((f64::from(seen.output_mv) - truth.core_mv).abs() < 2.0);
    assert!((f64::from(seen.output_ma) - truth.core_a * 1000.0).abs() < 30.0);
    assert!((f64::from(seen.input_mv) - truth.input_v * 1000.0).abs() < 10.0);
    assert!(off_by(seen.temperature_centi_c, truth.regulator_c) < 1.0);
    assert!(regulator.status().unwrap().is_good());

    bench.inject(Fault::SupplyTrips);
    bench.pass(seconds(0.3));
    assert!(!bench.truth().core_on);
    let mut regulator = Tps546::new(bench.i2c(0), 0x24, tps546::Config::BITAXE_5V);
    let status = regulator.status().unwrap();
    assert!(status.is_off() && status.fault().is_some(), "{status:?}");
    regulator.turn_off().unwrap();
    regulator.clear_faults().unwrap();
    regulator.turn_on().unwrap();
    bench.pass(seconds(0.5));
    assert!(bench.truth().core_on);

    bench.inject(Fault::InputVoltage { volts: 4.2 });
    bench.pass(seconds(0.3));
    assert!(!bench.truth().core_on);
    let mut regulator = Tps546::new(bench.i2c(0), 0x24, tps546::Config::BITAXE_5V);
    assert!(regulator.status().unwrap().fault().is_some());
    assert_eq!(bench.truth().nvm_stores, 0);
}

#[test]
fn tps546_of_another_id_is_refused() {
    let mut bench = gamma();
    bench.inject(Fault::DeviceWrong { device: 1 });
    let error = Tps546::new(bench.i2c(0), 0x24, tps546::Config::BITAXE_5V)
        .configure()
        .unwrap_err();
    assert!(error.is_wrong_device(), "{error:?}");
    bench.heal(Fault::DeviceWrong { device: 1 });
    Tps546::new(bench.i2c(0), 0x24, tps546::Config::BITAXE_5V)
        .configure()
        .unwrap();
}

#[test]
fn hex_parts_drive_two_fans_and_a_series_string() {
    let mut bench = bench(
        presets::bitaxe_hex(),
        vec![
            device(
                0x2F,
                Part::Emc2302 {
                    fans: [Some(0), Some(1)],
                },
            ),
            device(0x4A, Part::Tmp1075 { local: BOARD }),
            device(
                0x24,
                Part::Tps546 {
                    id: Part::TPS546D24A_ID,
                },
            ),
        ],
    );
    let fans = usize::from(presets::bitaxe_hex().fans.count);
    let mut controller = Emc2302::new(bench.i2c(0), 0x2F);
    controller.identify().unwrap();
    controller.init().unwrap();
    for fan in [Fan::One, Fan::Two].into_iter().take(fans) {
        controller.set_duty(fan, 60).unwrap();
        controller.set_duty(fan, 60).unwrap();
    }
    let mut regulator = Tps546::new(bench.i2c(0), 0x24, tps546::Config::BITAXE_HEX);
    regulator.configure().unwrap();
    regulator.set_output_mv(3600).unwrap();
    regulator.turn_on().unwrap();
    for _ in 0..5 {
        bench.pass(seconds(3.0));
        // Talking keeps the watchdog quiet.
        Emc2302::new(bench.i2c(0), 0x2F).rpm(Fan::One).unwrap();
    }
    let truth = bench.truth();
    assert!((truth.fans[0].duty - 60.0).abs() < 0.5, "{truth:?}");
    let rpm = f64::from(Emc2302::new(bench.i2c(0), 0x2F).rpm(Fan::One).unwrap());
    assert!((rpm - truth.fans[0].rpm).abs() < 50.0);
    let board = Tmp1075::new(bench.i2c(0), 0x4A).centi_c().unwrap();
    assert!(off_by(board, truth.board_c[0]) < 1.0);
    assert!((truth.core_mv - 3600.0).abs() < 15.0);
    // Silence: full speed.
    bench.pass(seconds(6.0));
    assert_eq!(bench.truth().fans[0].duty, 100.0);
}

#[test]
fn emc2103_reads_two_diodes() {
    let mut bench = bench(
        presets::bitaxe_gt(),
        vec![
            device(
                0x2E,
                Part::Emc2103 {
                    fan: Some(0),
                    local: BOARD,
                    diodes: [Some(Probe::Die(1)), Some(Probe::Die(0))],
                },
            ),
            device(
                0x24,
                Part::Tps546 {
                    id: Part::TPS546D24S_ID,
                },
            ),
        ],
    );
    let mut fan = Emc2103::new(bench.i2c(0), 0x2E, true);
    fan.identify().unwrap();
    fan.init(None, None).unwrap();
    fan.set_duty(80).unwrap();
    assert!(fan.external_centi_c(Diode::First).is_err());
    let mut regulator = Tps546::new(bench.i2c(0), 0x24, tps546::Config::BITAXE_GT);
    regulator.configure().unwrap();
    regulator.set_output_mv(1150).unwrap();
    regulator.turn_on().unwrap();
    bench.pin(0, true);
    bench.pass(seconds(10.0));
    let truth = bench.truth();
    let mut fan = Emc2103::new(bench.i2c(0), 0x2E, true);
    let first = fan.external_centi_c(Diode::First).unwrap();
    assert!(off_by(first, truth.die_c) < 3.0, "{first} {}", truth.die_c);
    let rpm = f64::from(fan.rpm().unwrap());
    assert!((rpm - truth.fans[0].rpm).abs() < 50.0);
    bench.inject(Fault::SensorOpen { sensor: 1 });
    let mut fan = Emc2103::new(bench.i2c(0), 0x2E, true);
    assert!(fan.external_centi_c(Diode::First).is_err());
    assert!(fan.external_centi_c(Diode::Second).is_ok());
}

#[test]
fn emberone_parts_measure_and_set_the_core() {
    let feedback = Feedback {
        reference_mv: 800.0,
        upper_ohm: 35_000.0,
        lower_ohm: 10_000.0,
        full_scale_ua: 50.0,
    };
    let mut bench = bench(
        presets::emberone00(),
        vec![
            device(
                0x48,
                Part::Ds4432u {
                    output: 0,
                    feedback,
                },
            ),
            device(0x40, Part::Ina260),
            device(0x4A, Part::Tmp1075 { local: BOARD }),
            device(
                0x49,
                Part::Tmp451 {
                    local: BOARD,
                    remote: Some(DIE),
                    remote_error_k: 7.0,
                },
            ),
        ],
    );
    bench.add_pin(PinSpec {
        number: 1,
        role: PinRole::Core,
        active_high: true,
    });
    let network = ds4432u::Network {
        reference_mv: 800,
        top_ohm: 35_000,
        bottom_ohm: 10_000,
        full_scale_na: 50_000,
    };
    let mut dac = Ds4432u::new(bench.i2c(0), 0x48, network, ds4432u::Output::Zero);
    dac.set_output_mv(3500).unwrap();
    bench.pass(seconds(1.0));
    assert!(!bench.truth().core_on);
    bench.pin(1, true);
    bench.pin(0, true);
    bench.pass(seconds(2.0));
    let truth = bench.truth();
    assert!((truth.core_mv - 3500.0).abs() < 20.0, "{}", truth.core_mv);
    let mut monitor = Ina260::new(bench.i2c(0), 0x40);
    monitor.identify().unwrap();
    monitor.init().unwrap();
    let power = monitor.read().unwrap();
    assert!((f64::from(power.voltage_mv) - truth.input_v * 1000.0).abs() < 2.0);
    let watts = f64::from(power.power_mw) / 1000.0;
    assert!((watts - truth.input_w).abs() < 0.1, "{watts}");
    let mut sensor = Tmp451::new(bench.i2c(0), 0x49);
    sensor.identify().unwrap();
    assert!((off_by(sensor.remote_centi_c().unwrap(), truth.die_c) - 7.0).abs() < 1.5);
    sensor.set_remote_offset_centi_k(-700).unwrap();
    assert!(off_by(sensor.remote_centi_c().unwrap(), truth.die_c) < 1.5);
    assert!(off_by(sensor.local_centi_c().unwrap(), truth.board_c[0]) < 1.0);
    bench.pin(1, false);
    let mut sensor = Tmp451::new(bench.i2c(0), 0x49);
    assert!(sensor.remote_centi_c().is_err());
}

#[test]
fn vid_regulator_follows_its_enable_pin() {
    let mut spec = presets::nerdqaxe_pp();
    spec.fans.count = 0;
    let mut bench = bench(spec, vec![device(0x71, Part::Tps53647)]);
    bench.add_pin(PinSpec {
        number: 2,
        role: PinRole::Core,
        active_high: true,
    });
    let config = tps536x7::Config::NERDQAXE_PP;
    let mut regulator = Tps536x7::new(bench.i2c(0), 0x71, config);
    regulator.configure().unwrap();
    regulator.set_output_mv(1150).unwrap();
    bench.pass(seconds(0.5));
    assert!(!bench.truth().core_on);
    bench.pin(2, true);
    bench.pass(seconds(1.0));
    let truth = bench.truth();
    assert!((truth.core_mv - 1150.0).abs() < 6.0, "{truth:?}");
    let mut regulator = Tps536x7::new(bench.i2c(0), 0x71, config);
    let seen = regulator.telemetry().unwrap();
    assert!((f64::from(seen.output_mv) - truth.core_mv).abs() < 3.0);
    let (milliamps, _) = regulator.input().unwrap();
    assert!((f64::from(milliamps) / 1000.0 - truth.input_w / truth.input_v).abs() < 0.1);
    assert!(regulator.status().unwrap().is_good());
}

#[test]
fn antminer_supply_moves_after_its_delays() {
    let mut bench = bench(
        presets::s19k_pro().with_boards(1),
        vec![
            device(
                0x48,
                Part::Lm75 {
                    local: BOARD,
                    bits: 9,
                },
            ),
            device(
                0x50,
                Part::At24 {
                    size: 256,
                    contents: vec![0x11, 0x4A, 1, 2, 3],
                },
            ),
            board_simulator::board::DeviceSpec {
                bus: 1,
                ..device(0x10, Part::Apw { model: 0x71 })
            },
        ],
    );
    bench.add_pin(PinSpec {
        number: 0x50,
        role: PinRole::Psu,
        active_high: true,
    });
    let protocol = apw::Protocol::New;
    let mut supply = Apw::new(bench.i2c(1), apw::ADDRESS, protocol);
    supply.start_probe().unwrap();
    bench.pass(Duration::from_millis(10));
    assert!(
        Apw::new(bench.i2c(1), apw::ADDRESS, protocol)
            .finish_probe()
            .unwrap()
    );
    let ask = |bench: &mut Bench, request| {
        let mut supply = Apw::new(bench.i2c(1), apw::ADDRESS, protocol);
        supply.request(request).unwrap();
        assert!(supply.answer(request).is_err(), "it thinks for 400 ms");
        bench.pass(Duration::from_millis(410));
        Apw::new(bench.i2c(1), apw::ADDRESS, protocol)
            .answer(request)
            .unwrap()
    };
    let kind = ask(&mut bench, apw::Request::Type);
    let model = apw::Model::from_type(kind).unwrap();
    let code = model.code(13_000).unwrap();
    ask(&mut bench, apw::Request::SetVoltage { code });
    assert!(!bench.truth().core_on, "the pin switches the output");
    bench.pin(0x50, true);
    bench.pass(seconds(2.0));
    assert!((bench.truth().core_mv - 13_000.0).abs() < 15.0);
    let read = ask(&mut bench, apw::Request::Voltage);
    assert!(read.abs_diff(u16::from(code)) <= 1);
    let board = Lm75::new(bench.i2c(0), 0x48).centi_c().unwrap();
    assert!(off_by(board, bench.truth().board_c[0]) < 1.2);

    let mut memory = Eeprom::new(bench.i2c(0), 0x50, eeprom::Size::C02).unwrap();
    let mut bytes = [0; 5];
    memory.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0x11, 0x4A, 1, 2, 3]);
    let written = memory.write_some(6, &[7; 10]).unwrap();
    assert!(!memory.is_ready().unwrap());
    bench.pass(Duration::from_millis(6));
    let mut memory = Eeprom::new(bench.i2c(0), 0x50, eeprom::Size::C02).unwrap();
    assert!(memory.is_ready().unwrap());
    memory.read(4, &mut bytes).unwrap();
    assert_eq!(
        bytes,
        [3, 0xFF, 7, 7, 0xFF],
        "{written} bytes to the page's end"
    );
    bench.inject(Fault::EepromCorrupt);
    let mut memory = Eeprom::new(bench.i2c(0), 0x50, eeprom::Size::C02).unwrap();
    memory.read(0, &mut bytes).unwrap();
    assert_eq!(bytes[..2], [0x01, 0x4A]);
}

#[test]
fn expander_pins_switch_what_hangs_on_them() {
    let mut bench = bench(
        presets::bitaxe_gamma(),
        vec![
            device(0x43, Part::Fxl6408 { base: 0x80 }),
            device(
                0x48,
                Part::Ds4432u {
                    output: 1,
                    feedback: Feedback::BITAXE,
                },
            ),
        ],
    );
    bench.add_pin(PinSpec {
        number: 0x82,
        role: PinRole::Core,
        active_high: true,
    });
    let mut pins = Fxl6408::new(bench.i2c(0), 0x43);
    pins.identify().unwrap();
    pins.make_output(2, false).unwrap();
    let network = ds4432u::Network::BITAXE;
    let mut dac = Ds4432u::new(bench.i2c(0), 0x48, network, ds4432u::Output::One);
    dac.set_output_mv(1200).unwrap();
    bench.pass(seconds(0.5));
    assert!(!bench.truth().core_on);
    Fxl6408::new(bench.i2c(0), 0x43).set(2, true).unwrap();
    bench.pass(seconds(0.5));
    let truth = bench.truth();
    assert!(
        (1190.0..=1200.5).contains(&truth.core_mv),
        "{}",
        truth.core_mv
    );
    assert!(Fxl6408::new(bench.i2c(0), 0x43).level(2).unwrap());
}
