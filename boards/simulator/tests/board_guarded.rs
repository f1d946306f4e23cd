//! Our own controller application, with the guard inside, on a virtual Gamma: what the guard grants is what the board does, and
//! when the host or the board fails, physics shows that power was off in time.

mod board_support;

use std::time::Duration;

use board_devices::tps546;
use board_simulator::board::{Controller, Fault, VirtualBoard};
use board_support::{Bench, gamma_spec, seconds};
use bridge::{
    Client, Exchange, FanPage, Format, Progress,
    answer::Expect,
    app::{FanPlan, PinPlan, PinRole, Plan, RailPlan, SensorPlan, SensorSource},
    client::Firmware,
};
use embedded_hal::i2c::I2c;
use guard::{
    CentiCelsius, FanLimits, Kilohertz, Limits, Millivolts, Percent, RailLimits, Rpm, SensorKind,
    SensorLimits, SetPoint, State,
};
use proptest::prelude::*;

const POINT: SetPoint = SetPoint {
    voltage: Millivolts(1_150),
    frequency: Kilohertz(525_000),
};

fn plan() -> Plan {
    let mut limits = Limits::new(Kilohertz(625_000), Millivolts(1_250));
    limits.input = Some((Millivolts(4_500), Millivolts(5_500)));
    let mut die = SensorLimits::new(SensorKind::Chip, CentiCelsius(7_500));
    die.needs_power = true;
    limits.sensors.push(die).unwrap();
    let mut board = SensorLimits::new(SensorKind::Board, CentiCelsius(7_500));
    board.frozen_after = SensorLimits::frozen_after(CentiCelsius(100));
    limits.sensors.push(board).unwrap();
    limits
        .fans
        .push(FanLimits {
            tach_proof: true,
            ..FanLimits::new(Rpm(5_000))
        })
        .unwrap();
    limits
        .rails
        .push(RailLimits::core(Millivolts(1_250)))
        .unwrap();
    let mut plan = Plan::new(Format::V0, limits);
    plan.pins
        .push(PinPlan {
            number: 0,
            role: PinRole::Reset,
            active_high: false,
        })
        .unwrap();
    for source in [SensorSource::Emc2101Diode, SensorSource::Emc2101] {
        plan.sensors
            .push(SensorPlan {
                bus: 0,
                address: 0x4C,
                source,
                offset: CentiCelsius(0),
            })
            .unwrap();
    }
    plan.fans
        .push(FanPlan::Emc2101 {
            bus: 0,
            address: 0x4C,
            ideality: None,
            beta: None,
        })
        .unwrap();
    plan.rails
        .push(RailPlan::Tps546 {
            bus: 0,
            address: 0x24,
            config: tps546::Config::BITAXE_5V,
        })
        .unwrap();
    plan
}

/// The host's end of the port at one moment.
struct Port<'a> {
    board: &'a mut VirtualBoard,
    now: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct Silence;

impl Exchange for Port<'_> {
    type Error = Silence;

    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, Silence> {
        self.board.control_receive(self.now, request);
        let mut answer = Vec::new();
        self.board.control_take_output(self.now, &mut answer);
        let Some(expect) = expect else {
            return Ok(0);
        };
        let mut receiver = expect.receiver(response);
        if receiver.push(&answer) == Progress::Incomplete {
            return Err(Silence);
        }
        receiver.finish().ok_or(Silence)
    }
}

fn client(bench: &mut Bench) -> Client<Port<'_>> {
    let firmware = Firmware {
        format: Some(Format::V0),
        fans: FanPage::Device,
    };
    let port = Port {
        board: &mut bench.board,
        now: bench.now,
    };
    Client::new(port, firmware)
}

fn guarded() -> Bench {
    guarded_with_seed(0)
}

fn guarded_with_seed(seed: u64) -> Bench {
    let mut spec = gamma_spec();
    spec.seed = seed;
    spec.physics.seed = seed;
    spec.chain.scale_bits = 38;
    spec.controller = Controller::Guarded;
    spec.plan = Some(plan());
    Bench::new(&spec)
}

/// Renews the lease twice a second for a while; stops early when power is gone.
fn beat(bench: &mut Bench, time: Duration) -> State {
    let end = bench.now + time;
    loop {
        let brief = client(bench).guard().heartbeat().unwrap();
        if bench.now >= end {
            return brief.state;
        }
        bench.pass(Duration::from_millis(500));
    }
}

fn powered() -> Bench {
    powered_with_seed(0)
}

/// Asks for power and brings the core up through the pages that hosts know.
fn powered_with_seed(seed: u64) -> Bench {
    let mut bench = guarded_with_seed(seed);
    bench.pass(seconds(1.0));
    client(&mut bench).guard().power_on(POINT).unwrap();
    for _ in 0..120 {
        if beat(&mut bench, seconds(0.5)) == State::On {
            break;
        }
    }
    assert_eq!(bench.truth().guard_grants, Some(true));
    for bytes in [&[0x21, 0x4D, 0x02][..], &[0x01, 0x80]] {
        client(&mut bench).i2c(0).write(0x24, bytes).unwrap();
    }
    bench.pin(0, true);
    assert_eq!(beat(&mut bench, seconds(15.0)), State::On);
    let truth = bench.truth();
    assert!(truth.core_on && !truth.in_reset, "{truth:?}");
    bench
}

/// Lets time pass while the host beats on, until the core is off; returns how long that took.
fn until_off(bench: &mut Bench, patience: Duration, beats: bool) -> Duration {
    let start = bench.now;
    while bench.truth().core_on {
        assert!(
            bench.now - start < patience,
            "still on: {:?}",
            bench.truth()
        );
        bench.pass(Duration::from_millis(100));
        if beats && bench.now.subsec_millis().is_multiple_of(500) {
            let _ = client(bench).guard().heartbeat();
        }
    }
    bench.now - start
}

#[test]
fn a_guarded_board_starts_safe_and_says_what_it_is() {
    let mut bench = guarded();
    bench.pass(seconds(3.0));
    let truth = bench.truth();
    assert_eq!(truth.guard_grants, Some(false));
    assert!(!truth.core_on && truth.in_reset);
    assert_eq!(truth.fans[0].duty, 100.0);
    assert!(client(&mut bench).capabilities().unwrap().is_some());
}

#[test]
fn without_a_grant_the_core_stays_off_whatever_the_host_writes() {
    let mut bench = guarded();
    bench.pass(seconds(2.0));
    for bytes in [
        &[0x02, 0x1B][..],
        &[0x21, 0x4D, 0x02],
        &[0x01, 0x80],
        &[0x15],
    ] {
        let _ = client(&mut bench).i2c(0).write(0x24, bytes);
    }
    let _ = bench.ask_raw(0, 0x06, 0, &[1]);
    bench.pass(seconds(2.0));
    let truth = bench.truth();
    assert!(!truth.core_on && truth.in_reset);
    assert_eq!(truth.nvm_stores, 0);
}

#[test]
fn a_granted_board_runs_as_long_as_the_host_lives() {
    let mut bench = powered();
    assert_eq!(beat(&mut bench, seconds(120.0)), State::On);
    assert!(bench.truth().core_on);
    // The host freezes.
    let took = until_off(&mut bench, seconds(6.0), false);
    assert!(took <= seconds(5.0), "{took:?}");
    bench.pass(seconds(1.0));
    let truth = bench.truth();
    assert_eq!(truth.fans[0].duty, 100.0);
    assert!(truth.in_reset);
}

#[test]
fn a_closed_port_takes_power_away_at_once() {
    let mut bench = powered();
    bench.inject(Fault::ControlClosed);
    let truth = bench.truth();
    assert!(!truth.core_on && truth.in_reset, "{truth:?}");
    assert_eq!(truth.fans[0].duty, 100.0);
}

#[test]
fn every_hazard_takes_power_away_in_time() {
    for (fault, limit) in [
        (Fault::FanStuck { fan: 0 }, 12.0),
        (Fault::FanTachLost { fan: 0 }, 6.0),
        (
            Fault::SensorReads {
                celsius: -1.0,
                sensor: 0,
            },
            5.0,
        ),
        (
            Fault::SensorReads {
                celsius: 127.9,
                sensor: 1,
            },
            5.0,
        ),
        (
            Fault::SensorOffset {
                kelvin: 60.0,
                sensor: 0,
            },
            5.0,
        ),
        (Fault::SensorOpen { sensor: 0 }, 5.0),
        (Fault::DeviceAbsent { device: 0 }, 5.0),
        (Fault::InputVoltage { volts: 6.2 }, 5.0),
        (Fault::SupplyWrong { factor: 0.8 }, 6.0),
    ] {
        let mut bench = powered();
        bench.inject(fault);
        let took = until_off(&mut bench, seconds(limit), true);
        let truth = bench.truth();
        assert_eq!(truth.die_limit_passed, None, "{fault}");
        assert_eq!(truth.guard_grants, Some(false), "{fault} after {took:?}");
        assert_eq!(truth.fans[0].duty, 100.0, "{fault}");
    }
}

#[test]
fn a_fan_cannot_fall_below_the_floor() {
    let mut bench = powered();
    assert!(client(&mut bench).i2c(0).write(0x4C, &[0x4C, 0x00]).is_ok());
    beat(&mut bench, seconds(2.0));
    let floor = client(&mut bench).guard().state().unwrap().brief.fan_floor;
    assert!(floor > Percent::ZERO);
    assert!(bench.truth().fans[0].duty >= f64::from(floor.get()) - 1.0);
}

/// One thing that may go wrong on a Gamma, with numbers as they occur. A supply that cannot be switched off is left out: no
/// controller can help there.
fn mishap() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::ChipDead { chip: 0 }),
        Just(Fault::FanStuck { fan: 0 }),
        Just(Fault::FanTachLost { fan: 0 }),
        (2000.0..6000.0).prop_map(|rpm| Fault::FanTachFrozen { rpm, fan: 0 }),
        (2000.0..6000.0).prop_map(|rpm| Fault::FanFaked { rpm, fan: 0 }),
        Just(Fault::FanInverted { fan: 0 }),
        (0.0..1.0).prop_map(|share| Fault::FanWorn { share, fan: 0 }),
        (0..3_usize).prop_map(|sensor| Fault::SensorFrozen { sensor }),
        (-64.0..128.0, 0..3_usize)
            .prop_map(|(celsius, sensor)| Fault::SensorReads { celsius, sensor }),
        (-60.0..60.0, 0..3_usize)
            .prop_map(|(kelvin, sensor)| Fault::SensorOffset { kelvin, sensor }),
        (-20.0..20.0, 0..3_usize).prop_map(|(kelvin_per_minute, sensor)| Fault::SensorDrift {
            kelvin_per_minute,
            sensor
        }),
        (0..3_usize).prop_map(|sensor| Fault::SensorJumps { sensor }),
        Just(Fault::SensorOpen { sensor: 0 }),
        Just(Fault::SensorShort { sensor: 0 }),
        (0..2_usize).prop_map(|device| Fault::DeviceAbsent { device }),
        (0..2_usize).prop_map(|device| Fault::DeviceWrong { device }),
        Just(Fault::BusStuck { bus: 0 }),
        Just(Fault::SupplyDead),
        (0.5..1.6).prop_map(|factor| Fault::SupplyWrong { factor }),
        Just(Fault::SupplyFrozen),
        (0.5..1.5).prop_map(|factor| Fault::SupplyMisreports { factor }),
        Just(Fault::SupplyTrips),
        (0.0..7.0).prop_map(|volts| Fault::InputVoltage { volts }),
        Just(Fault::ControlSilent),
        Just(Fault::ControlGarbage),
        Just(Fault::ControlClosed),
        Just(Fault::UartDead),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The host does all it can to keep the board mining: it asks for power again and again and drives the fan as low as it may.
    #[test]
    fn no_mishap_costs_a_die_and_none_leaves_power_on_without_a_grant(
        seed in 0..1000_u64,
        fault in mishap(),
        celsius in 10.0..45.0_f64,
        dust in 1.0..2.0_f64,
        heals in any::<bool>(),
    ) {
        let mut bench = powered_with_seed(seed);
        bench.inject(Fault::Ambient { celsius });
        bench.inject(Fault::Dust { factor: dust });
        bench.start_chips(0x40A8_0230, 0x000C_2FB7);
        let mut withdrawn = None;
        for tenth in 0..1800_u32 {
            match tenth {
                200 => bench.inject(fault),
                1200 if heals => bench.heal(fault),
                _ => {}
            }
            if tenth % 10 == 0 {
                let job = board_support::wire::job(8, &board_support::wire::header(tenth));
                bench.board.uart_receive(bench.now, &job);
            }
            // Errors are the host's luck.
            if tenth % 5 == 0 {
                let _ = client(&mut bench).guard().heartbeat();
                let _ = client(&mut bench).i2c(0).write(0x4C, &[0x4C, 0x00]);
            }
            if tenth % 50 == 0 {
                let _ = client(&mut bench).guard().power_on(POINT);
                let _ = client(&mut bench).i2c(0).write(0x24, &[0x21, 0x4D, 0x02]);
                let _ = client(&mut bench).i2c(0).write(0x24, &[0x01, 0x80]);
                let _ = bench.ask_raw(0, 0x06, 0, &[1]);
            }
            bench.pass(Duration::from_millis(100));
            let truth = bench.truth();
            prop_assert_eq!(truth.die_limit_passed, None, "{}: {:?}", fault, truth);
            prop_assert_eq!(truth.nvm_stores, 0);
            if truth.core_on && truth.guard_grants == Some(false) {
                let since = *withdrawn.get_or_insert(bench.now);
                prop_assert!(
                    bench.now - since <= Duration::from_secs(1)
                        || matches!(fault, Fault::DeviceAbsent { device: 1 } | Fault::BusStuck { .. }),
                    "{}: {:?}", fault, truth
                );
            } else {
                withdrawn = None;
            }
        }
    }
}
