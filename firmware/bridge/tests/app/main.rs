//! The board-controller application on a virtual Gamma, driven through the control port by the real host client.

mod bench;
mod ember;
mod extension;

use std::time::Duration;

use bench::{BUTTON, Bench, FAN_CHIP, POINT, REGULATOR, RESET, VDDIO};
use board_devices::{Emc2101, Tps546, tps546};
use bridge::client::ClientErrorKind;
use bridge::extension::{ReadingKind, Readings};
use bridge::{Format, Refusal};
use guard::{CoolingMode, FaultCode, Millivolts, Percent, SetPoint, State};

const CONFIG: tps546::Config = tps546::Config::BITAXE_5V;
const OPERATION_ON: [u8; 2] = [0x01, 0x80];

#[test]
fn power_is_off_at_boot() {
    let mut bench = Bench::new();
    assert!(bench.board.is_safe());
    bench.pass(Duration::from_secs(60));
    assert!(bench.board.is_safe());
    assert_eq!(bench.app.decision().state, State::Off);
}

#[test]
fn without_a_grant_nothing_switches_on() {
    let mut bench = Bench::new();
    bench.pass(Duration::from_secs(2));
    bench.board.written.clear();
    let mut host = bench.host();
    assert!(host.set_pin(RESET, true).expect_err("reset").is_denied());
    assert!(host.set_pin(VDDIO, true).expect_err("supply").is_denied());
    assert!(host.set_pin(BUTTON, true).expect_err("input").is_denied());
    let error = host
        .i2c_write(0, REGULATOR, &OPERATION_ON)
        .expect_err("core");
    assert_eq!(
        error.to_string(),
        "writing to I2C address 0x24 on bus 0: the controller says \"denied: no power grant\""
    );
    // Down is always allowed.
    host.set_pin(RESET, false).expect("reset");
    host.i2c_write(0, REGULATOR, &[0x01, 0x00]).expect("off");
    assert_eq!(bench.board.written, [(REGULATOR, vec![0x01, 0x00])]);
    assert_eq!(bench.app.denied(), 4);
    assert!(bench.board.is_safe());
}

#[test]
fn power_follows_when_the_guard_has_verified_temperatures_and_fans() {
    let mut bench = Bench::new();
    let brief = bench.host().guard().power_on(POINT).expect("accepted");
    assert_eq!((brief.state, brief.power), (State::Checking, false));
    assert!(bench.host().set_pin(RESET, true).is_err());

    let mut bench = Bench::running();
    assert!((1_148..=1_150).contains(&bench.board.set_mv()));
    assert!(bench.board.pins[&RESET]);
    let state = bench.host().guard().state().expect("state");
    assert_eq!(state.brief.state, State::On);
    assert_eq!(state.wanted, Some(POINT));
    assert_eq!(state.max_voltage, Millivolts(1_250));
    assert_eq!(state.fault, None);
}

#[test]
fn a_board_without_a_turning_fan_gets_no_power() {
    let mut bench = Bench::new();
    bench.board.fan_stuck = true;
    bench.host().guard().power_on(POINT).expect("accepted");
    for _ in 0..240 {
        bench.pass_alive(Duration::from_millis(500));
        assert!(!bench.app.decision().power);
        assert!(!bench.board.core_on());
    }
    let fault = bench.host().guard().state().expect("state").fault;
    assert!(matches!(
        fault.expect("fault").code,
        FaultCode::FanStalled | FaultCode::TooManyRestarts
    ));
}

#[test]
fn a_silent_host_loses_power_within_the_lease() {
    let mut bench = Bench::running();
    let lease = bench
        .host()
        .capabilities()
        .expect("asked")
        .expect("a guard")
        .lease;
    bench.host().guard().heartbeat().expect("the last one");
    bench.pass(lease - Duration::from_millis(100));
    assert!(bench.board.core_on());
    bench.pass(Duration::from_millis(100));
    assert!(bench.board.is_safe());
    let fault = bench.app.decision().fault.expect("fault");
    assert_eq!(fault.code, FaultCode::HeartbeatLost);
}

#[test]
fn a_closed_port_takes_power_away_at_once() {
    let mut bench = Bench::running();
    bench.app.port_closed(bench.now, &mut bench.board);
    assert!(bench.board.is_safe());
    // Whoever opens it next finds out why.
    bench.app.port_opened(bench.now, &mut bench.board);
    let state = bench.host().guard().state().expect("state");
    assert_eq!(state.brief.fault, Some(FaultCode::HeartbeatLost));
    assert!(!state.brief.power);
}

#[test]
fn a_hot_die_takes_power_away_whatever_the_host_says() {
    let mut bench = Bench::running();
    bench.board.ambient = 60.0;
    let mut hottest: f64 = 0.0;
    for _ in 0..60 {
        bench.pass_alive(Duration::from_millis(500));
        hottest = hottest.max(bench.board.die);
    }
    assert!(!bench.board.core_on());
    assert!(hottest < 80.0, "{hottest}");
    assert_eq!(bench.board.duty(), 100);
    let state = bench.host().guard().state().expect("state");
    let fault = state.fault.expect("fault");
    assert_eq!(fault.code, FaultCode::TemperatureLimit);
    assert_eq!(fault.limit, 7_500);
    // The host's pleas change nothing.
    assert!(bench.host().set_pin(RESET, true).is_err());
    assert!(bench.host().i2c_write(0, REGULATOR, &OPERATION_ON).is_err());
}

#[test]
fn a_fan_that_stops_takes_power_away_within_the_deadline() {
    let mut bench = Bench::running();
    bench.board.fan_stuck = true;
    let stopped = bench.now;
    while bench.board.core_on() {
        bench.pass_alive(Duration::from_millis(250));
        assert!(bench.now - stopped < Duration::from_secs(10), "no end");
    }
    // The tach takes its time to fall below what is expected; from then on it is at most five seconds.
    let code = bench.app.decision().fault.expect("fault").code;
    assert_eq!(code, FaultCode::FanStalled);
    assert!(bench.now - stopped <= Duration::from_secs(8));
    assert_eq!(bench.board.duty(), 100);
}

#[test]
fn the_application_fits_a_small_controller() {
    // An RP2040 has 264 KiB, which its USB stack and buffers share.
    let size = size_of::<bridge::app::App>();
    assert!(size < 32 * 1024, "{size} bytes");
}

#[test]
fn a_dead_bus_takes_the_chips_out_of_work() {
    let mut bench = Bench::running();
    bench.board.bus_dead = true;
    for _ in 0..12 {
        bench.pass_alive(Duration::from_millis(500));
    }
    assert!(!bench.app.decision().power);
    // The regulator cannot be reached; what hangs on pins is down.
    assert!(!bench.board.pins[&RESET]);
    assert!(!bench.board.pins[&VDDIO]);
    // The moment that the bus is back, the core goes off.
    bench.board.bus_dead = false;
    bench.pass_alive(Duration::from_millis(600));
    assert!(!bench.board.core_on());
}

#[test]
fn a_regulator_that_does_not_obey_is_found_out() {
    let mut bench = Bench::running();
    bench.board.stuck_on = true;
    bench.host().guard().power_off().expect("never refused");
    for _ in 0..20 {
        bench.pass_alive(Duration::from_millis(500));
    }
    let fault = bench.app.decision().fault.expect("fault");
    assert_eq!(fault.code, FaultCode::PowerWithoutConsent);
    assert_eq!(bench.app.decision().state, State::Latched);
}

#[test]
fn power_off_is_at_once() {
    let mut bench = Bench::running();
    let brief = bench.host().guard().power_off().expect("never refused");
    assert!(!brief.power);
    assert!(!bench.board.core_on());
    assert!(!bench.board.pins[&RESET]);
}

#[test]
fn a_host_that_switches_the_core_off_gives_the_grant_back() {
    let mut bench = Bench::running();
    let mut host = bench.host();
    host.set_pin(RESET, false).expect("down");
    Tps546::new(host.i2c(0), REGULATOR, CONFIG)
        .turn_off()
        .expect("down");
    host.set_pin(VDDIO, false).expect("down");
    assert!(!bench.app.decision().power);
    bench.pass_alive(Duration::from_secs(30));
    let decision = *bench.app.decision();
    assert_eq!((decision.state, decision.fault), (State::Off, None));
}

#[test]
fn a_regulator_that_has_forgotten_its_set_up_gets_it_again_before_power() {
    let mut bench = Bench::new();
    bench.pass(Duration::from_secs(5));
    bench.board.forget();
    assert_eq!(bench.board.register(0x29), None);
    bench.host().guard().power_on(POINT).expect("asked");
    assert!(bench.board.register(0x29).is_some(), "the divider's scale");

    // One that does not take it gets no power.
    let mut bench = Bench::new();
    bench.board.deaf_register = Some(0x29);
    bench.board.forget();
    let _ = bench.host().guard().power_on(POINT);
    for _ in 0..60 {
        bench.pass_alive(Duration::from_secs(1));
        assert!(!bench.app.decision().power);
    }
    let fault = bench.app.decision().fault.expect("a fault");
    assert!(matches!(
        fault.code,
        FaultCode::ActuatorMismatch | FaultCode::TooManyRestarts
    ));
}

#[test]
fn a_regulator_whose_set_up_is_cut_short_gets_no_power() {
    let mut bench = Bench::new();
    bench.board.lost_register = Some(0x29);
    bench.board.forget();
    bench.host().guard().power_on(POINT).expect("asked");
    for _ in 0..60 {
        bench.pass_alive(Duration::from_secs(1));
        assert!(!bench.app.decision().power);
        assert!(!bench.board.core_on());
    }
    let fault = bench.app.decision().fault.expect("a fault");
    assert_eq!(fault.code, FaultCode::RegulatorStale);
}

#[test]
fn voltage_stays_within_the_limit_by_any_way() {
    let mut bench = Bench::running();
    let mut host = bench.host();
    let mut regulator = Tps546::new(host.i2c(0), REGULATOR, CONFIG);
    regulator.set_output_mv(1_250).expect("at the limit");
    regulator
        .set_output_mv(1_260)
        .expect_err("above the board's limit, within the regulator's");
    let above = SetPoint {
        voltage: Millivolts(1_260),
        ..POINT
    };
    let error = host.guard().set_point(above).expect_err("above");
    assert!(error.is_denied(), "{error}");
    // Margins, trims, the divider, the mode and the part's own bounds.
    for bytes in [
        &[0x01, 0xA8][..],
        &[0x22, 0x10, 0x00],
        &[0x24, 0x00, 0x08],
        &[0x25, 0x00, 0x04],
        &[0x29, 0x80, 0xC0],
        &[0x20, 0x16],
        &[0x40, 0x00, 0x05],
        &[0x46, 0xFF, 0x03],
        &[0x50, 0x00],
    ] {
        let error = host.i2c_write(0, REGULATOR, bytes).expect_err("kept");
        assert!(error.is_denied(), "{bytes:02X?}: {error}");
    }
    assert_eq!(bench.board.set_mv(), 1_250);
}

#[test]
fn the_regulators_memory_is_never_written() {
    let mut bench = Bench::running();
    bench.board.written.clear();
    let mut host = bench.host();
    for command in 0x11..=0x18 {
        assert!(host.i2c_write(0, REGULATOR, &[command]).is_err());
        assert!(host.i2c_write(0, REGULATOR, &[command, 0]).is_err());
        let mut byte = [0];
        let read = host.i2c_write_read(0, REGULATOR, &[command], &mut byte);
        assert!(read.is_err());
    }
    // Nor is anybody called at once.
    for address in [0x00, 0x07, 0x78, 0x7F] {
        let error = host.i2c_write(0, address, &[0x06]).expect_err("reserved");
        assert!(error.is_denied(), "{error}");
    }
    assert_eq!(bench.board.written, []);
}

#[test]
fn drivers_of_the_host_set_parts_up_as_without_a_guard() {
    let mut bench = Bench::granted();
    let before: Vec<_> = (0..=0xFF)
        .map(|c| bench.board.register(c).map(<[u8]>::to_vec))
        .collect();
    let mut host = bench.host();
    let mut fan_chip = Emc2101::new(host.i2c(0), FAN_CHIP);
    fan_chip.identify().expect("id");
    fan_chip.init(Some(0x24), Some(0)).expect("set up");
    let mut regulator = Tps546::new(host.i2c(0), REGULATOR, CONFIG);
    regulator.configure().expect("set up");
    let after: Vec<_> = (0..=0xFF)
        .map(|c| bench.board.register(c).map(<[u8]>::to_vec))
        .collect();
    assert_eq!(before, after);

    // A set-up for another board would lift limits.
    let wide = tps546::Config {
        vout_max_mv: 3_000,
        ..CONFIG
    };
    let mut host = bench.host();
    let error = Tps546::new(host.i2c(0), REGULATOR, wide)
        .configure()
        .expect_err("wider");
    assert!(error.to_string().contains("0x24"), "{error}");
}

#[test]
fn a_fan_never_runs_below_the_floor() {
    let mut bench = Bench::running();
    bench.pass_alive(Duration::from_secs(60));
    let floor = bench.app.decision().fan_floor;
    assert!(floor < Percent::FULL, "quiet once nothing is in doubt");
    let code = |percent: u8| (u16::from(percent) * 63).div_ceil(100) as u8;
    bench
        .host()
        .i2c_write(0, FAN_CHIP, &[0x4C, code(5)])
        .expect("clamped, not refused");
    assert!(bench.board.duty() >= floor.get());
    bench
        .host()
        .i2c_write(0, FAN_CHIP, &[0x4C, code(60)])
        .expect("above the floor");
    assert_eq!(bench.board.duty(), 60);
    // Switching the fan's controller to a table of its own is not lowering, but as good.
    assert!(bench.host().i2c_write(0, FAN_CHIP, &[0x4A, 0x03]).is_err());
}

#[test]
fn old_hosts_read_everything_and_start_nothing() {
    for format in [Format::V0, Format::V0Total, Format::V1] {
        let mut bench = Bench::with(format);
        bench.pass(Duration::from_secs(2));
        let mut host = bench.host();
        assert_eq!(host.pin_level(RESET), Ok(false));
        assert_eq!(host.format(), Some(format));
        host.set_i2c_frequency(0, 100_000).expect("clock");
        let mut fan_chip = Emc2101::new(host.i2c(0), FAN_CHIP);
        assert_eq!(fan_chip.duty(), Ok(100));
        assert_eq!(host.adc(bridge::AdcInput::Vdd), Ok(0x0234));
        let missing = host.adc(bridge::AdcInput::Vin).expect_err("no such input");
        assert_eq!(missing.refusal(), Some(&Refusal::Invalid));
        let denied = host.set_pin(RESET, true).expect_err("no grant");
        assert!(denied.is_denied(), "{denied}");
        let mut byte = [0];
        let nobody = host
            .i2c_write_read(0, 0x4A, &[0], &mut byte)
            .expect_err("nobody");
        assert!(matches!(
            nobody.kind,
            ClientErrorKind::Refused(refusal) if refusal.is_i2c()
        ));
        let unknown = host.pin_level(9).expect_err("no such pin");
        assert_eq!(unknown.refusal(), Some(&Refusal::Invalid));
    }
}

#[test]
fn the_guards_page_tells_the_same_in_every_format() {
    for format in [Format::V0, Format::V0Total, Format::V1] {
        let mut bench = Bench::with(format);
        bench.pass(Duration::from_secs(2));
        let mut host = bench.host();
        let capabilities = host.capabilities().expect("asked").expect("a guard");
        assert_eq!(
            (
                capabilities.version,
                capabilities.sensors,
                capabilities.fans,
                capabilities.rails
            ),
            (1, 2, 1, 1)
        );
        let limits = host.guard().limits().expect("limits");
        assert_eq!(limits.max_voltage, Millivolts(1_250));
        assert_eq!(limits.input, Some((Millivolts(4_500), Millivolts(5_500))));
        assert_eq!(limits.sensors.len(), 2);

        let Readings::Sensors(sensors) = host
            .guard()
            .readings(ReadingKind::Sensors)
            .expect("sensors")
        else {
            panic!("another kind");
        };
        // The die's diode says nothing while the chip is in reset.
        assert_eq!(sensors.get(0).expect("die").value, None);
        let (board, age) = sensors.get(1).expect("board").value.expect("read");
        assert!((2_900..=3_200).contains(&board.0), "{board}");
        assert!(age <= bridge::app::POLL);
        let Readings::Fans(fans) = host.guard().readings(ReadingKind::Fans).expect("fans") else {
            panic!("another kind");
        };
        let (fan, _) = fans.get(0).expect("fan").value.expect("read");
        assert!((3_000..=5_000).contains(&fan.rpm.0), "{}", fan.rpm);
        assert_eq!(fan.duty, Percent::FULL);
        let Readings::Rails(rails) = host.guard().readings(ReadingKind::Rails).expect("rails")
        else {
            panic!("another kind");
        };
        let (rail, _) = rails.get(0).expect("rail").value.expect("read");
        assert_eq!((rail.on, rail.voltage), (Some(false), Some(Millivolts(0))));
        assert_eq!(rail.input, Some(Millivolts(5_000)));
    }
}

#[test]
fn cooling_modes_are_asked_for_and_shown() {
    let mut bench = Bench::new();
    let manual = CoolingMode::Manual(Percent::new(70));
    bench.host().guard().cooling(manual).expect("manual");
    assert_eq!(bench.host().guard().state().expect("state").cooling, manual);
    let low = CoolingMode::Manual(Percent::new(5));
    assert!(
        bench
            .host()
            .guard()
            .cooling(low)
            .expect_err("low")
            .is_denied()
    );
    bench
        .host()
        .guard()
        .cooling(CoolingMode::Immersion)
        .expect("confirmed");
    // Back, and then without the word of confirmation: that is no command at all.
    bench
        .app
        .receive(bench.now, &mut bench.board, &[7, 0, 9, 0, 0x48, 8, 0]);
    bench
        .app
        .receive(bench.now, &mut bench.board, &[7, 0, 9, 0, 0x48, 8, 2]);
    assert_eq!(
        bench.host().guard().state().expect("state").cooling,
        CoolingMode::Auto
    );
}

#[test]
fn only_a_person_clears_a_latched_fault() {
    let mut bench = Bench::running();
    bench.board.stuck_on = true;
    bench.host().guard().power_off().expect("off");
    for _ in 0..20 {
        bench.pass_alive(Duration::from_millis(500));
    }
    assert_eq!(bench.app.decision().state, State::Latched);
    bench.board.stuck_on = false;
    bench.pass_alive(Duration::from_secs(60));
    assert_eq!(bench.app.decision().state, State::Latched);
    assert!(
        bench
            .host()
            .guard()
            .power_on(POINT)
            .expect_err("latched")
            .is_denied()
    );
    assert!(
        bench
            .host()
            .guard()
            .clear(FaultCode::FanStalled)
            .expect_err("another")
            .is_denied()
    );
    let brief = bench
        .host()
        .guard()
        .clear(FaultCode::PowerWithoutConsent)
        .expect("named");
    assert_ne!(brief.state, State::Latched);
    assert!(!brief.power);
}

#[test]
fn a_restart_of_the_firmware_takes_power_away_first() {
    let mut bench = Bench::running();
    bench.host().reboot().expect("no answer to wait for");
    assert_eq!(
        bench.board.rebooted,
        Some((bridge::app::Boot::Firmware, true))
    );
}

mod any_bytes {
    use super::bench::{Bench, FANS, REGULATOR};
    use super::*;
    use bridge::Command;
    use proptest::prelude::*;

    /// A command that a host could send, most of them pleas for power.
    fn command() -> impl Strategy<Value = Vec<u8>> {
        let address = prop_oneof![Just(REGULATOR), Just(FAN_CHIP), any::<u8>()];
        let data = prop_oneof![
            Just(OPERATION_ON.to_vec()),
            (0x20u8..0x26, any::<[u8; 2]>()).prop_map(|(c, [a, b])| vec![c, a, b]),
            (0x00u8..0x20, any::<u8>()).prop_map(|(c, a)| vec![c, a]),
            prop::collection::vec(any::<u8>(), 0..6),
        ];
        let emit = |command: Command<'_>| {
            let mut out = [0; 64];
            let len = command.emit(1, FANS, &mut out).expect("fits");
            out[..len].to_vec()
        };
        prop_oneof![
            4 => (address, data).prop_map(move |(address, data)| emit(Command::I2cWrite { bus: 0, address, data: &data })),
            2 => (0u8..4, any::<bool>()).prop_map(move |(pin, level)| emit(Command::GpioSet { pin, level })),
            1 => Just(emit(Command::Extension(bridge::extension::Ask::Heartbeat))),
            1 => Just(emit(Command::Extension(bridge::extension::Ask::Power(Some(POINT))))),
            1 => prop::collection::vec(any::<u8>(), 0..20),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn whatever_a_host_sends_power_needs_the_guards_consent(
            steps in prop::collection::vec((command(), 0u64..700), 0..120),
            granted in any::<bool>(),
        ) {
            let mut bench = if granted { Bench::granted() } else { Bench::new() };
            for (bytes, gap) in steps {
                bench.app.receive(bench.now, &mut bench.board, &bytes);
                let mut out = [0; 4096];
                bench.app.take_output(&mut out);
                let consent = bench.app.decision().power;
                let live = bench.board.core_on() || bench.board.pins[&RESET] || bench.board.pins[&VDDIO];
                prop_assert!(consent || !live);
                prop_assert!(bench.board.set_mv() <= 1_250);
                prop_assert!(bench.board.duty() >= bench.app.decision().fan_floor.get().min(bench.app.decision().fan_ceiling.get()));
                bench.pass(Duration::from_millis(gap));
            }
        }
    }
}
