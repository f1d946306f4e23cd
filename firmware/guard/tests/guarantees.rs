//! The eleven guarantees of `docs/safety.md`, each as statements that fail when its rule is taken away.

mod common;

use std::time::Duration;

use common::*;
use guard::*;

const FIVE: Duration = Duration::from_secs(5);

/// Runs a world that is on into trouble; power must be off within five seconds with this code.
#[track_caller]
fn falls(code: FaultCode, spoil: impl FnOnce(&mut World)) -> World {
    let mut world = World::on(&limits());
    falls_from(&mut world, code, spoil);
    world
}

#[track_caller]
fn falls_from(world: &mut World, code: FaultCode, spoil: impl FnOnce(&mut World)) {
    spoil(world);
    let took = world.until_off(6);
    assert!(took <= FIVE, "took {took:?}");
    assert!(world.faults().contains(&code), "{:?}", world.faults());
    assert_eq!(world.decision.fan_floor, Percent::FULL);
    assert_eq!(world.decision.max_voltage, Millivolts(0));
    assert_eq!(world.decision.max_frequency, Kilohertz(0));
}

/// Asks for power with something missing: it must never come, and the check must name what is missing.
#[track_caller]
fn never_starts(limits: &Limits, code: FaultCode, spoil: impl FnOnce(&mut World)) -> World {
    let mut world = World::new(limits);
    spoil(&mut world);
    world.run(2);
    world.request(Request::On(SET_POINT)).unwrap();
    for _ in 0..700 {
        world.step();
        assert!(!world.decision.power);
        assert!(
            world.decision.fan_floor == Percent::FULL || world.decision.fan_ceiling < Percent::FULL
        );
    }
    assert!(world.faults().contains(&code), "{:?}", world.faults());
    world
}

mod g1_off_unless_kept_alive {
    use super::*;

    #[test]
    fn power_is_off_at_construction() {
        let mut guard = Guard::new(&limits()).unwrap();
        let decision = guard.tick(Duration::ZERO);
        assert!(!decision.power);
        assert_eq!(decision.state, State::Off);
        assert_eq!(decision.max_voltage, Millivolts(0));
        assert_eq!(decision.max_frequency, Kilohertz(0));
    }

    #[test]
    fn power_stays_off_when_nobody_asks() {
        let mut world = World::new(&limits());
        for _ in 0..1_000 {
            world.step();
            assert!(!world.decision.power);
        }
    }

    #[test]
    fn power_goes_when_the_heartbeat_stops() {
        let mut world = falls(FaultCode::HeartbeatLost, |world| world.alive = false);
        assert_eq!(
            world.guard.set_point(),
            None,
            "the supervisor has to ask anew"
        );
        world.until(State::Off, 60);
        world.alive = true;
        world.run(120);
        assert_eq!(world.decision.state, State::Off);
    }

    #[test]
    fn power_goes_at_once_when_the_port_closes() {
        let mut world = World::on(&limits());
        world.guard.report(world.now, Report::SupervisorGone);
        world.tick();
        assert!(!world.decision.power);
        assert_eq!(world.fault(), Some(FaultCode::HeartbeatLost));
    }

    #[test]
    fn a_supervisor_that_was_busy_during_a_check_is_not_dead() {
        let mut world = World::new(&limits());
        world.run(2);
        world.request(Request::On(SET_POINT)).unwrap();
        // Longer than the lease without a call; then it says that it is alive before anything else.
        world.now += Duration::from_secs(4);
        world.guard.heartbeat(world.now);
        assert_eq!(world.guard.tick(world.now).state, State::Checking);
        world.until(State::On, 60);
        assert!(!world.faults().contains(&FaultCode::HeartbeatLost));
    }

    #[test]
    fn a_dead_supervisor_gets_no_power() {
        let mut world = World::new(&limits());
        world.alive = false;
        world.run(2);
        world.request(Request::On(SET_POINT)).unwrap();
        world.run(60);
        assert!(world.faults().contains(&FaultCode::HeartbeatLost));
        assert!(
            !world
                .events
                .iter()
                .any(|event| matches!(event.kind, EventKind::State { to: State::On, .. }))
        );
    }

    #[test]
    fn lost_heartbeats_alone_never_latch() {
        let mut world = World::on(&limits());
        for _ in 0..6 {
            world.alive = false;
            world.until_off(6);
            world.alive = true;
            world.run(60);
            world.request(Request::On(SET_POINT)).unwrap();
            world.until(State::On, 120);
        }
    }
}

mod g2_no_power_unverified {
    use super::*;

    #[test]
    fn not_without_a_required_temperature() {
        never_starts(&limits(), FaultCode::TemperatureStale, |world| {
            world.sensors[1] = Sensor::Fails;
        });
        never_starts(&limits(), FaultCode::DeviceAbsent, |world| {
            world.sensors[1] = Sensor::Absent;
        });
        never_starts(&limits(), FaultCode::TemperatureStale, |world| {
            world.sensors[0] = Sensor::Silent;
        });
    }

    #[test]
    fn not_with_a_temperature_of_minus_one_or_127_9() {
        for value in [-100, 12_790, 12_600, 20_000] {
            let mut world = World::new(&limits());
            world.sensors[0] = Sensor::Exactly(value);
            world.run(2);
            world.request(Request::On(SET_POINT)).unwrap();
            world.run(70);
            assert!(!world.decision.power, "{value}");
            assert!(
                world.faults().contains(&FaultCode::TemperatureImplausible),
                "{value}"
            );
        }
    }

    #[test]
    fn not_while_hot() {
        never_starts(&limits(), FaultCode::TemperatureLimit, |world| {
            world.sensors[0] = Sensor::About(7_100);
        });
    }

    #[test]
    fn not_with_a_fan_that_stands() {
        never_starts(&limits(), FaultCode::FanStalled, |world| {
            world.fans[1] = Fan::Stuck
        });
    }

    #[test]
    fn not_with_a_fan_that_cannot_be_read() {
        never_starts(&limits(), FaultCode::FanUnreadable, |world| {
            world.fans[0] = Fan::Fails
        });
        never_starts(&limits(), FaultCode::DeviceAbsent, |world| {
            world.fans[0] = Fan::Absent
        });
        never_starts(&limits(), FaultCode::FanUnreadable, |world| {
            world.fans[0] = Fan::Silent
        });
    }

    #[test]
    fn not_with_a_fan_at_a_low_duty() {
        never_starts(&limits(), FaultCode::ActuatorMismatch, |world| {
            world.fans[0] = Fan::Duty(30)
        });
    }

    #[test]
    fn not_without_the_status_of_a_required_rail() {
        never_starts(&limits(), FaultCode::RegulatorStale, |world| {
            world.rail = Rail::Fails
        });
        never_starts(&limits(), FaultCode::RegulatorFault, |world| {
            world.rail = Rail::Complains(RailFaults::INPUT);
        });
        never_starts(&limits(), FaultCode::InputVoltage, |world| {
            world.rail = Rail::Input(4_000)
        });
    }

    #[test]
    fn a_dummy_tach_passes_no_proof() {
        let mut limits = limits();
        for fan in limits.fans.iter_mut() {
            fan.tach_proof = true;
        }
        for rpm in [3_700, 4_500, 6_000] {
            let world = never_starts(&limits, FaultCode::FanSpoofed, |world| {
                world.fans[1] = Fan::Dummy(rpm);
            });
            assert_eq!(world.decision.state, State::Latched);
        }
        let mut world = World::on(&limits);
        world.run(60);
        assert!(world.decision.power, "real fans pass");
    }

    #[test]
    fn without_fans_only_immersion_runs() {
        let mut limits = limits();
        limits.fans = Slots::new();
        let mut world = World::new(&limits);
        assert_eq!(world.request(Request::On(SET_POINT)), Err(Refusal::NoFans));
        immersed(&limits);
    }

    #[test]
    fn a_diode_that_needs_power_is_awaited_only_with_power() {
        let mut limits = limits();
        limits.sensors.get_mut(0).unwrap().needs_power = true;
        let mut world = World::new(&limits);
        world.sensors[0] = Sensor::Exactly(-100);
        world.run(2);
        world.request(Request::On(SET_POINT)).unwrap();
        world.until(State::On, 30);
        let took = world.until_off(7);
        assert!(took <= FIVE + Duration::from_secs(1), "{took:?}");
        assert!(
            world.faults().contains(&FaultCode::TemperatureStale)
                || world.faults().contains(&FaultCode::TemperatureImplausible)
        );

        limits.sensors.get_mut(1).unwrap().needs_power = true;
        assert_eq!(Guard::new(&limits).unwrap_err(), LimitsError::NoSensor);
    }
}

mod g3_hazards_remove_power {
    use super::*;

    #[test]
    fn a_limit_takes_power_with_its_first_reading() {
        let mut world = World::on(&limits());
        world.guard.sensor(world.now, 0, Ok(CentiCelsius(7_500)));
        world.guard.sensor(world.now, 0, Ok(CentiCelsius(4_500)));
        world.tick();
        assert!(!world.decision.power);
        let fault = world.decision.fault.unwrap();
        assert_eq!(fault.code, FaultCode::TemperatureLimit);
        assert_eq!(fault.subject, Subject::Sensor(0));
        assert_eq!((fault.value, fault.limit), (7_500, 7_500));
    }

    #[test]
    fn sensors_that_fail() {
        falls(FaultCode::TemperatureStale, |world| {
            world.sensors[0] = Sensor::Fails
        });
        falls(FaultCode::TemperatureStale, |world| {
            world.sensors[1] = Sensor::Silent
        });
        falls(FaultCode::DeviceAbsent, |world| {
            world.sensors[0] = Sensor::Absent
        });
        falls(FaultCode::TemperatureImplausible, |world| {
            world.sensors[0] = Sensor::Exactly(-100);
        });
        falls(FaultCode::TemperatureImplausible, |world| {
            world.sensors[0] = Sensor::Exactly(12_790);
        });
        falls(FaultCode::TemperatureImplausible, |world| {
            world.sensors[0] = Sensor::Exactly(-4_500);
        });
    }

    #[test]
    fn one_odd_value_is_noise() {
        let mut world = World::on(&limits());
        for _ in 0..10 {
            world.guard.sensor(world.now, 0, Ok(CentiCelsius(-100)));
            world.run(3);
            assert!(world.decision.power);
            assert_eq!(world.decision.fan_floor, Percent::FULL, "but a doubt");
        }
    }

    #[test]
    fn odd_values_that_outweigh_good_ones_are_not_noise() {
        let mut world = World::on(&limits());
        for _ in 0..4 {
            world.guard.sensor(world.now, 0, Ok(CentiCelsius(-100)));
            world.guard.sensor(world.now, 0, Ok(CentiCelsius(4_500)));
        }
        world.tick();
        assert!(!world.decision.power);
    }

    #[test]
    fn a_sensor_that_stands_still_for_two_minutes() {
        let mut world = World::on(&limits());
        world.sensors[0] = Sensor::Exactly(4_500);
        let took = world.until_off(130);
        assert!(took >= Duration::from_secs(115), "{took:?}");
        assert!(took <= Duration::from_secs(121), "{took:?}");
        assert_eq!(world.fault(), Some(FaultCode::TemperatureFrozen));
    }

    #[test]
    fn a_sensor_that_does_not_move_when_the_board_works() {
        let mut world = World::new(&limits());
        world.sensors[1] = Sensor::Exactly(3_000);
        world.rail = Rail::Draws {
            ma: 10_000,
            mw: 15_000,
        };
        world.run(2);
        world.request(Request::On(SET_POINT)).unwrap();
        world.until(State::On, 30);
        let took = world.until_off(60);
        assert!(took <= Duration::from_secs(32), "{took:?}");
        assert_eq!(world.fault(), Some(FaultCode::TemperatureFrozen));
    }

    #[test]
    fn an_idle_board_may_stay_as_cool_as_it_is_for_a_while() {
        let mut world = World::new(&limits());
        world.sensors[1] = Sensor::Exactly(3_000);
        world.rail = Rail::Draws {
            ma: 1_000,
            mw: 2_000,
        };
        world.run(2);
        world.request(Request::On(SET_POINT)).unwrap();
        world.until(State::On, 30);
        world.run(100);
        assert!(world.decision.power);
    }

    #[test]
    fn fans_that_fail() {
        falls(FaultCode::FanUnreadable, |world| world.fans[0] = Fan::Fails);
        falls(FaultCode::FanUnreadable, |world| {
            world.fans[1] = Fan::Silent
        });
        falls(FaultCode::DeviceAbsent, |world| world.fans[1] = Fan::Absent);
        falls(FaultCode::FanStalled, |world| world.fans[1] = Fan::Dummy(0));
    }

    #[test]
    fn a_fan_that_slows_down_is_found_within_its_deadline_after_it_is_too_slow() {
        let mut world = World::on(&limits());
        world.fans[0] = Fan::Stuck;
        let took = world.until_off(8);
        // It takes 1 s to fall below 60 % of its speed with a lag of 2 s.
        assert!(took <= Duration::from_millis(5_500), "{took:?}");
        assert_eq!(world.fault(), Some(FaultCode::FanStalled));
    }

    #[test]
    fn a_fan_may_take_its_time_to_speed_up() {
        let mut world = World::on(&limits());
        world.run(60);
        assert_eq!(world.decision.fan_floor, Percent::new(20));
        world.guard.sensor(world.now, 0, Err(ReadFault::Failed));
        world.tick();
        assert_eq!(world.decision.fan_floor, Percent::FULL);
        world.run(20);
        assert!(world.decision.power);
    }

    #[test]
    fn rails_that_fail() {
        falls(FaultCode::RegulatorStale, |world| world.rail = Rail::Fails);
        falls(FaultCode::DeviceAbsent, |world| world.rail = Rail::Absent);
        falls(FaultCode::VoltageMismatch, |world| {
            world.rail = Rail::Shows(1_000)
        });
        falls(FaultCode::VoltageMismatch, |world| {
            world.rail = Rail::Shows(1_230)
        });
        falls(FaultCode::OverVoltage, |world| {
            world.rail = Rail::Shows(1_400)
        });
        falls(FaultCode::InputVoltage, |world| {
            world.rail = Rail::Input(4_500)
        });
        falls(FaultCode::InputVoltage, |world| {
            world.rail = Rail::Input(6_000)
        });
        falls(FaultCode::OverPower, |world| {
            world.rail = Rail::Draws { ma: 0, mw: 41_000 };
        });
    }

    #[test]
    fn over_current() {
        let mut limits = limits();
        limits.rails.get_mut(0).unwrap().max_current = Some(Milliamps(25_000));
        let mut world = World::on(&limits);
        falls_from(&mut world, FaultCode::OverCurrent, |world| {
            world.rail = Rail::Draws { ma: 26_000, mw: 0 };
        });
    }

    #[test]
    fn a_complaint_of_the_regulator_takes_power_at_once() {
        for faults in [
            RailFaults::OVER_CURRENT,
            RailFaults::OVER_TEMPERATURE,
            RailFaults::OVER_VOLTAGE,
            RailFaults::UNDER_VOLTAGE,
            RailFaults::OFF,
        ] {
            let mut world = World::on(&limits());
            world.rail = Rail::Complains(faults);
            world.run(1);
            assert!(!world.decision.power);
            assert_eq!(world.fault(), Some(FaultCode::RegulatorFault));
        }
    }

    #[test]
    fn a_regulator_that_never_comes_up() {
        let mut world = World::new(&limits());
        world.rail = Rail::Shows(0);
        world.run(2);
        world.request(Request::On(SET_POINT)).unwrap();
        world.until(State::On, 30);
        let took = world.until_off(30);
        assert!(took <= Duration::from_secs(24), "{took:?}");
        assert_eq!(world.fault(), Some(FaultCode::VoltageMismatch));
    }

    #[test]
    fn a_voltage_may_take_its_time_to_follow_the_set_point() {
        let mut world = World::on(&limits());
        world.rail = Rail::Shows(1_150);
        let voltage = Millivolts(1_050);
        world
            .request(Request::SetPoint(SetPoint {
                voltage,
                ..SET_POINT
            }))
            .unwrap();
        world.run(1);
        assert!(world.decision.power);
        world.rail = Rail::Obeys;
        world.run(5);
        assert!(world.decision.power);
        world.rail = Rail::Shows(1_150);
        world.run(2);
        assert!(!world.decision.power);
    }

    #[test]
    fn a_long_sleep_of_the_caller_is_no_excuse() {
        let mut world = World::on(&limits());
        world.now += Duration::from_secs(60);
        // All is well again when the caller wakes, but nobody watched for a minute.
        world.guard.heartbeat(world.now);
        world.guard.sensor(world.now, 0, Ok(CentiCelsius(4_500)));
        world.guard.sensor(world.now, 1, Ok(CentiCelsius(4_500)));
        world.tick();
        assert!(!world.decision.power);
    }

    #[test]
    fn a_clock_that_goes_back_takes_power() {
        let mut world = World::on(&limits());
        world.now -= Duration::from_millis(900);
        world.tick();
        assert!(world.decision.power, "inputs may overtake each other");
        world.now -= Duration::from_secs(10);
        world.tick();
        assert!(!world.decision.power);
        assert_eq!(world.fault(), Some(FaultCode::ClockBackwards));
        world.until(State::On, 180);
    }

    #[test]
    fn power_that_nobody_granted_latches() {
        let mut world = World::new(&limits());
        world.rail = Rail::StuckOn;
        world.run(8);
        assert_eq!(world.decision.state, State::Latched);
        assert_eq!(world.fault(), Some(FaultCode::PowerWithoutConsent));
        world.run(60);
        assert_eq!(
            world.decision.fan_floor,
            Percent::FULL,
            "as long as it has power"
        );
    }

    #[test]
    fn power_that_does_not_go_when_told_latches() {
        let mut world = World::on(&limits());
        world.rail = Rail::StuckOn;
        world.run(1);
        world.request(Request::Off).unwrap();
        world.run(6);
        assert_eq!(world.fault(), Some(FaultCode::PowerWithoutConsent));
    }

    #[test]
    fn power_without_consent_is_said_over_another_latched_fault() {
        let mut world = World::on(&limits());
        world.rail = Rail::StuckOn;
        world.guard.report(
            world.now,
            Report::Identity {
                found: 1,
                expected: 2,
            },
        );
        world.run(6);
        let fault = world.decision.fault.unwrap();
        assert_eq!(fault.code, FaultCode::PowerWithoutConsent);
        assert_eq!(fault.cause, Some(FaultCode::IdentityMismatch));
    }
}

mod g4_full_fans_on_doubt {
    use super::*;

    #[test]
    fn unknown_temperatures_mean_full_fans() {
        let mut guard = Guard::new(&limits()).unwrap();
        assert_eq!(guard.tick(Duration::ZERO).fan_floor, Percent::FULL);
        let mut world = World::new(&limits());
        world.run(2);
        assert_eq!(world.decision.fan_floor, Percent::ZERO, "known and cool");
        world.sensors[0] = Sensor::Silent;
        world.run(5);
        assert_eq!(world.decision.fan_floor, Percent::FULL);
    }

    #[test]
    fn fans_stay_full_until_cool_and_for_half_a_minute() {
        let mut world = World::on(&limits());
        world.sensors[0] = Sensor::About(7_600);
        world.until_off(1);
        world.sensors[0] = Sensor::About(6_500);
        world.run(120);
        assert_eq!(world.decision.state, State::Cooling);
        assert_eq!(world.decision.fan_floor, Percent::FULL);
        world.sensors[0] = Sensor::About(5_900);
        world.run(1);
        assert_ne!(world.decision.state, State::Cooling);

        let mut world = World::on(&limits());
        world.sensors[0] = Sensor::Exactly(7_600);
        world.until_off(1);
        let off = world.now;
        world.sensors[0] = Sensor::About(4_000);
        world.until(State::Waiting, 40);
        assert!(world.now - off >= Duration::from_millis(29_900));
    }

    #[test]
    fn hot_sensors_get_full_fans_until_they_are_well_below() {
        let mut world = World::on(&limits());
        world.run(60);
        assert_eq!(world.decision.fan_floor, Percent::new(20));
        world.sensors[0] = Sensor::About(7_010);
        world.run(1);
        assert_eq!(world.decision.fan_floor, Percent::FULL);
        assert!(world.decision.power);
        world.sensors[0] = Sensor::About(6_900);
        world.run(120);
        assert_eq!(world.decision.fan_floor, Percent::FULL);
        world.sensors[0] = Sensor::About(6_700);
        world.run(31);
        assert_eq!(world.decision.fan_floor, Percent::new(20));
    }

    #[test]
    fn a_latched_board_keeps_its_fans_until_cool() {
        let mut world = World::on(&limits());
        world.sensors[0] = Sensor::About(6_600);
        world.run(2);
        world.guard.report(
            world.now,
            Report::Identity {
                found: 1,
                expected: 2,
            },
        );
        world.run(60);
        assert_eq!(world.decision.state, State::Latched);
        assert_eq!(world.decision.fan_floor, Percent::FULL);
        world.sensors[0] = Sensor::About(4_000);
        world.run(1);
        assert_eq!(world.decision.fan_floor, Percent::ZERO);
    }
}

mod g5_modes_keep_the_cut_off {
    use super::*;

    #[test]
    fn manual_and_immersion_fall_at_the_limit() {
        let mut world = World::on(&limits());
        let mode = CoolingMode::Manual(Percent::new(30));
        world
            .request(Request::Cooling {
                mode,
                confirmed: false,
            })
            .unwrap();
        falls_from(&mut world, FaultCode::TemperatureLimit, |world| {
            world.sensors[0] = Sensor::About(7_600);
        });
        falls_from(
            &mut immersed(&limits()),
            FaultCode::TemperatureLimit,
            |world| {
                world.sensors[1] = Sensor::About(7_100);
            },
        );
        falls_from(
            &mut immersed(&limits()),
            FaultCode::TemperatureStale,
            |world| {
                world.sensors[1] = Sensor::Fails;
            },
        );
        falls_from(
            &mut immersed(&limits()),
            FaultCode::HeartbeatLost,
            |world| {
                world.alive = false;
            },
        );
    }

    #[test]
    fn manual_keeps_the_tach_rule_and_immersion_drops_only_that() {
        let mut world = World::on(&limits());
        let mode = CoolingMode::Manual(Percent::new(30));
        world
            .request(Request::Cooling {
                mode,
                confirmed: false,
            })
            .unwrap();
        falls_from(&mut world, FaultCode::FanStalled, |world| {
            world.fans[0] = Fan::Dummy(0);
        });
        let mut world = immersed(&limits());
        world.fans = vec![Fan::Dummy(0), Fan::Absent];
        world.run(60);
        assert!(world.decision.power);
    }

    #[test]
    fn immersion_needs_a_confirmation_and_no_power() {
        let mode = CoolingMode::Immersion;
        let mut world = World::on(&limits());
        let unconfirmed = Request::Cooling {
            mode,
            confirmed: false,
        };
        assert_eq!(world.request(unconfirmed), Err(Refusal::Unconfirmed));
        let confirmed = Request::Cooling {
            mode,
            confirmed: true,
        };
        assert_eq!(world.request(confirmed), Err(Refusal::Powered(State::On)));
        let mut world = immersed(&limits());
        let auto = Request::Cooling {
            mode: CoolingMode::Auto,
            confirmed: true,
        };
        assert_eq!(world.request(auto), Err(Refusal::Powered(State::On)));
    }

    #[test]
    fn a_fixed_duty_is_not_below_the_lowest() {
        let mut world = World::new(&limits());
        let requested = Percent::new(19);
        let mode = CoolingMode::Manual(requested);
        let min = Percent::new(20);
        assert_eq!(
            world.request(Request::Cooling {
                mode,
                confirmed: true
            }),
            Err(Refusal::Duty { requested, min })
        );
    }
}

mod g6_hard_limits {
    use super::*;

    #[test]
    fn no_request_passes_them() {
        let mut world = World::on(&limits());
        let too_fast = SetPoint {
            frequency: Kilohertz(625_001),
            ..SET_POINT
        };
        let too_high = SetPoint {
            voltage: Millivolts(1_251),
            ..SET_POINT
        };
        for request in [Request::On, Request::SetPoint] {
            assert!(matches!(
                world.request(request(too_fast)),
                Err(Refusal::Frequency {
                    max: Kilohertz(625_000),
                    ..
                })
            ));
            assert!(matches!(
                world.request(request(too_high)),
                Err(Refusal::Voltage {
                    max: Millivolts(1_250),
                    ..
                })
            ));
            assert_eq!(world.guard.set_point(), Some(SET_POINT));
        }
        assert_eq!(world.decision.max_frequency, Kilohertz(625_000));
        assert_eq!(world.decision.max_voltage, Millivolts(1_250));
    }

    #[test]
    fn limits_that_protect_nothing_make_no_guard() {
        type Spoil = fn(&mut Limits);
        let cases: &[(Spoil, &str)] = &[
            (
                |l| l.sensors = Slots::new(),
                "at least one temperature sensor",
            ),
            (
                |l| l.sensors.get_mut(0).unwrap().off = CentiCelsius(12_600),
                "126",
            ),
            (
                |l| l.sensors.get_mut(0).unwrap().hot = CentiCelsius(7_500),
                "hot",
            ),
            (|l| l.min_duty = Percent::new(10), "dead band"),
            (
                |l| l.fans.get_mut(0).unwrap().max_rpm = Rpm(0),
                "full speed",
            ),
            (
                |l| l.fans.get_mut(0).unwrap().tolerance = Percent::FULL,
                "tolerance",
            ),
            (
                |l| l.rails.get_mut(0).unwrap().max_voltage = Millivolts(1_249),
                "rail 0",
            ),
            (
                |l| l.timing.sensor_max_age = Duration::from_millis(5_001),
                "sensor_max_age",
            ),
            (
                |l| l.timing.fan_max_age = Duration::from_millis(5_001),
                "fan_max_age",
            ),
            (|l| l.timing.rail_max_age = Duration::ZERO, "rail_max_age"),
            (|l| l.timing.lease = Duration::from_secs(6), "lease"),
            (|l| l.timing.max_faults = 0, "max_faults"),
            (|l| l.timing.max_faults = 9, "max_faults"),
            (|l| l.max_voltage = Millivolts(0), "zero"),
            (|l| l.input = Some((Millivolts(5), Millivolts(5))), "input"),
        ];
        for (spoil, words) in cases {
            let mut limits = limits();
            spoil(&mut limits);
            let error = Guard::new(&limits).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}

mod g7_off_means_now {
    use super::*;

    #[test]
    fn a_request_for_off_is_granted_at_once_in_every_state() {
        let mut world = World::on(&limits());
        assert_eq!(world.request(Request::Off), Ok(()));
        assert!(!world.decision.power);
        assert_eq!(world.decision.state, State::Off);
        assert_eq!(world.decision.fault, None);
        assert_eq!(world.request(Request::Off), Ok(()));
    }

    #[test]
    fn off_while_cooling_cancels_the_next_try() {
        let mut world = World::on(&limits());
        world.sensors[0] = Sensor::About(7_600);
        world.until_off(1);
        world.sensors[0] = Sensor::About(4_000);
        world.request(Request::Off).unwrap();
        world.run(200);
        assert_eq!(world.decision.state, State::Off);
    }
}

mod g8_restarts_and_the_latch {
    use super::*;

    fn overheat(world: &mut World) {
        world.sensors[0] = Sensor::About(7_600);
        world.until_off(1);
        world.sensors[0] = Sensor::About(4_000);
    }

    #[test]
    fn the_pause_doubles_and_the_third_fault_latches() {
        let mut limits = limits();
        limits.timing.pause = Duration::from_secs(60);
        let mut world = World::on(&limits);
        for pause in [60, 120] {
            overheat(&mut world);
            let retry_at = world.decision.retry_at.unwrap();
            let waits = retry_at - world.now;
            assert!(waits <= Duration::from_secs(pause) && waits >= Duration::from_secs(pause - 1));
            let waited = world.until(State::Checking, 300);
            assert!(waited >= Duration::from_secs(pause - 1), "{waited:?}");
            world.until(State::On, 60);
        }
        overheat(&mut world);
        assert_eq!(world.decision.state, State::Latched);
        let fault = world.decision.fault.unwrap();
        assert_eq!(fault.code, FaultCode::TooManyRestarts);
        assert_eq!(fault.cause, Some(FaultCode::TemperatureLimit));
        assert_eq!(world.decision.retry_at, None);
    }

    #[test]
    fn faults_far_apart_do_not_latch() {
        let mut limits = limits();
        limits.timing.window = Duration::from_secs(300);
        let mut world = World::on(&limits);
        for _ in 0..5 {
            overheat(&mut world);
            world.until(State::On, 300);
            world.run(150);
        }
    }

    #[test]
    fn only_the_right_name_clears_a_latched_fault() {
        let mut world = World::on(&limits());
        world.guard.report(
            world.now,
            Report::WrongDevice {
                subject: Subject::Rail(0),
                found: 0x1234,
                expected: 0x5449,
            },
        );
        world.run(60);
        assert_eq!(world.fault(), Some(FaultCode::DeviceWrong));
        let refused = Err(Refusal::Latched(FaultCode::DeviceWrong));
        assert_eq!(world.request(Request::On(SET_POINT)), refused);
        world.request(Request::Off).unwrap();
        let wrong = Request::Clear(FaultCode::TemperatureLimit);
        assert!(matches!(
            world.request(wrong),
            Err(Refusal::NotLatched { .. })
        ));
        world.run(7_200);
        assert_eq!(world.decision.state, State::Latched);
        world
            .request(Request::Clear(FaultCode::DeviceWrong))
            .unwrap();
        world.until(State::Off, 40);
        assert_eq!(world.decision.fault, None);
        world.request(Request::On(SET_POINT)).unwrap();
        world.until(State::On, 60);
    }

    #[test]
    fn a_latch_outlives_a_restart_of_the_program() {
        let mut world = World::on(&limits());
        world.guard.report(
            world.now,
            Report::Identity {
                found: 1,
                expected: 2,
            },
        );
        world.tick();
        let kept = world.decision.fault.unwrap();
        let mut guard = Guard::latched(&limits(), kept).unwrap();
        let decision = guard.tick(Duration::ZERO);
        assert_eq!((decision.state, decision.power), (State::Latched, false));
        assert_eq!(decision.fault, Some(kept));
    }
}

mod g9_read_back {
    use super::*;

    #[test]
    fn a_mismatch_takes_power_at_once() {
        let mut world = World::on(&limits());
        let subject = Subject::Rail(0);
        world.guard.report(
            world.now,
            Report::Mismatch {
                subject,
                read: 1_140,
                wrote: 1_150,
            },
        );
        world.tick();
        assert!(!world.decision.power);
        assert_eq!(world.fault(), Some(FaultCode::ActuatorMismatch));
    }

    #[test]
    fn a_fan_below_the_ordered_duty_is_a_mismatch() {
        let mut world = World::on(&limits());
        world.run(60);
        world.fans[1] = Fan::Duty(10);
        let took = world.until_off(6);
        assert!(took <= FIVE);
        assert_eq!(world.fault(), Some(FaultCode::ActuatorMismatch));
    }

    #[test]
    fn an_absent_device_takes_power_at_once() {
        let mut world = World::on(&limits());
        world.guard.report(
            world.now,
            Report::Absent {
                subject: Subject::Device(3),
            },
        );
        world.tick();
        assert!(!world.decision.power);
        assert_eq!(world.fault(), Some(FaultCode::DeviceAbsent));
    }
}

mod g10_everything_is_said {
    use super::*;

    #[test]
    fn every_change_of_state_fault_and_refusal_is_an_event() {
        let mut world = World::on(&limits());
        let _ = world.request(Request::Clear(FaultCode::FanStalled));
        world.sensors[0] = Sensor::About(7_600);
        world.until_off(1);
        let kinds: Vec<_> = world.events.iter().map(|event| event.kind).collect();
        for (from, cause, to) in [
            (State::Off, Cause::Requested, State::Checking),
            (State::Checking, Cause::Verified, State::On),
            (State::On, Cause::Fault, State::Cooling),
        ] {
            assert!(kinds.contains(&EventKind::State { from, cause, to }));
        }
        assert!(
            kinds
                .iter()
                .any(|kind| matches!(kind, EventKind::Refused(_)))
        );
        assert!(kinds.contains(&EventKind::SetPoint(SET_POINT)));
        assert!(kinds.contains(&EventKind::Doubt(Subject::Sensor(0))));
        assert!(world.faults().contains(&FaultCode::TemperatureLimit));
        assert_eq!(world.guard.events_lost(), 0);
    }

    #[test]
    fn events_that_nobody_polls_are_counted() {
        let mut guard = Guard::new(&limits()).unwrap();
        for _ in 0..EVENT_CAPACITY + 3 {
            let _ = guard.request(Duration::ZERO, Request::Clear(FaultCode::FanStalled));
        }
        assert_eq!(guard.events_lost(), 3);
        assert_eq!(
            std::iter::from_fn(|| guard.poll_event()).count(),
            EVENT_CAPACITY
        );
    }

    #[test]
    fn codes_are_distinct_and_carry_advice() {
        let mut names = std::collections::HashSet::new();
        let mut numbers = std::collections::HashSet::new();
        for code in FaultCode::ALL {
            assert!(names.insert(code.as_str()) && numbers.insert(code.number()));
            assert_eq!(FaultCode::from_number(code.number()), Some(*code));
            assert_eq!(FaultCode::from_name(code.as_str()), Some(*code));
            assert!(code.advice().len() > 40 && code.advice().ends_with('.'));
        }
        assert!(!numbers.contains(&0));
        for state in State::ALL {
            assert_eq!(State::from_number(state.number()), Some(state));
        }
    }

    #[test]
    fn faults_read_like_sentences() {
        let at = Duration::ZERO;
        let fault = |code, subject, value, limit, cause| {
            Fault {
                code,
                subject,
                value,
                limit,
                cause,
                at,
            }
            .to_string()
        };
        assert_eq!(
            fault(
                FaultCode::TemperatureLimit,
                Subject::Sensor(0),
                7_600,
                7_500,
                None
            ),
            "temperature-limit: sensor 0 at 76.00 °C, limit 75.00 °C"
        );
        assert_eq!(
            fault(FaultCode::FanStalled, Subject::Fan(1), 0, 3_600, None),
            "fan-stalled: fan 1 at 0 rpm, expected 3600 rpm"
        );
        assert_eq!(
            fault(
                FaultCode::TooManyRestarts,
                Subject::Fan(1),
                3,
                3,
                Some(FaultCode::FanStalled)
            ),
            "too-many-restarts: fan 1 failed 3 times, 3 are too many, last with fan-stalled"
        );
        assert_eq!(
            fault(
                FaultCode::TemperatureImplausible,
                Subject::Sensor(2),
                -100,
                7_500,
                None
            ),
            "temperature-implausible: sensor 2 at -1.00 °C, limit 75.00 °C"
        );
        assert_eq!(
            fault(
                FaultCode::TemperatureStale,
                Subject::Sensor(0),
                i32::MAX,
                3_000,
                None
            ),
            "temperature-stale: sensor 0 never gave a good answer"
        );
        assert_eq!(
            fault(
                FaultCode::DeviceWrong,
                Subject::Device(0),
                0x5449,
                0x2270,
                None
            ),
            "device-wrong: device 0 says 0x5449, expected 0x2270"
        );
        assert_eq!(
            fault(FaultCode::ActuatorMismatch, Subject::Rail(0), 0, 0, None),
            "actuator-mismatch: rail 0 did not take a setting"
        );
        assert_eq!(
            fault(FaultCode::FanSpoofed, Subject::Fan(0), 5_000, 5_000, None),
            "fan-spoofed: fan 0 at 5000 rpm, and at 5000 rpm when told to be slow"
        );
    }
}
