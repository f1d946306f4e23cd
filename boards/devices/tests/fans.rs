//! Fan controllers against their register tables: EMC2101, EMC2103, EMC2302.
#![allow(missing_docs)]

mod support;

use board_devices::emc2103::Diode;
use board_devices::emc2302::Fan;
use board_devices::{Emc2101, Emc2103, Emc2302, Error};
use embedded_hal::i2c::ErrorKind;
use embedded_hal_mock::eh1::i2c::{Mock, Transaction as T};
use support::{NO_ACK, RegisterFile, assert_absent};

/// Runs a call against the transactions that it has to make, no more and no fewer.
fn with<R>(expected: &[T], call: impl FnOnce(&mut Mock) -> R) -> R {
    let mut bus = Mock::new(expected);
    let result = call(&mut bus);
    bus.done();
    result
}

fn read(address: u8, register: u8, value: u8) -> T {
    T::write_read(address, vec![register], vec![value])
}

fn write_and_check(address: u8, register: u8, value: u8) -> [T; 2] {
    [
        T::write(address, vec![register, value]),
        read(address, register, value),
    ]
}

#[test]
fn emc2101_is_set_up_as_bitaxe_gamma_needs_it() {
    let expected: Vec<T> = [
        // Ideality 1.0319 and beta of the BM1370, tachometer input, direct control, finest duty.
        (0x17, 0x24),
        (0x18, 0x00),
        (0x03, 0x04),
        (0x4A, 0x23),
        (0x4D, 0x1F),
    ]
    .into_iter()
    .flat_map(|(register, value)| write_and_check(0x4C, register, value))
    .collect();
    with(&expected, |bus| {
        Emc2101::new(bus, 0x4C).init(Some(0x24), Some(0x00))
    })
    .unwrap();
}

#[test]
fn emc2101_variants_are_known_and_others_refused() {
    for id in [0x16, 0x28] {
        let found = with(&[read(0x4C, 0xFD, id)], |bus| {
            Emc2101::new(bus, 0x4C).identify()
        });
        assert_eq!(found.unwrap(), u64::from(id));
    }
    // 0x55 is what a TMP451 would say; 0xFF a bus that nobody drives.
    for id in [0x00, 0x17, 0x55, 0xFF] {
        let error = with(&[read(0x4C, 0xFD, id)], |bus| {
            Emc2101::new(bus, 0x4C).identify()
        });
        assert_eq!(
            error.unwrap_err(),
            Error::WrongDevice {
                address: 0x4C,
                found: id.into(),
                expected: 0x16
            }
        );
    }
}

#[test]
fn both_versions_of_the_emc2103_are_known() {
    for id in [0x26, 0x24] {
        let found = with(&[read(0x2E, 0xFD, id)], |bus| {
            Emc2103::new(bus, 0x2E, true).identify()
        });
        assert_eq!(found.unwrap(), u64::from(id));
    }
}

#[test]
fn emc2101_duty_has_64_steps_and_rounds_up() {
    for (percent, code) in [(0, 0), (1, 1), (25, 16), (50, 32), (99, 63), (100, 63)] {
        with(&write_and_check(0x4C, 0x4C, code), |bus| {
            Emc2101::new(bus, 0x4C).set_duty(percent)
        })
        .unwrap();
    }
}

#[test]
fn a_duty_above_100_percent_never_reaches_the_bus() {
    let error = with(&[], |bus| Emc2101::new(bus, 0x4C).set_duty(101)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::OutOfRange {
                value: 101,
                max: 100,
                ..
            }
        ),
        "{error}"
    );
    let error = with(&[], |bus| Emc2103::new(bus, 0x2E, true).set_duty(255)).unwrap_err();
    assert!(
        matches!(error, Error::OutOfRange { value: 255, .. }),
        "{error}"
    );
    let error = with(&[], |bus| Emc2302::new(bus, 0x2F).set_duty(Fan::Two, 101)).unwrap_err();
    assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
}

#[test]
fn a_duty_that_is_not_taken_is_an_error() {
    let expected = [T::write(0x4C, vec![0x4C, 63]), read(0x4C, 0x4C, 16)];
    let error = with(&expected, |bus| Emc2101::new(bus, 0x4C).set_duty(100)).unwrap_err();
    assert_eq!(
        error,
        Error::ReadBack {
            address: 0x4C,
            register: 0x4C,
            wrote: 63,
            read: 16
        }
    );
}

#[test]
fn what_a_fan_reads_back_is_never_below_what_was_asked_for() {
    for percent in 0..=100 {
        let mut bus = RegisterFile::new(0x4C, &[]);
        let mut fan = Emc2101::new(&mut bus, 0x4C);
        fan.set_duty(percent).unwrap();
        let duty = fan.duty().unwrap();
        assert!((percent..=100).contains(&duty), "{percent} {duty}");

        let mut bus = RegisterFile::new(0x2F, &[]);
        let mut fan = Emc2302::new(&mut bus, 0x2F);
        fan.set_duty(Fan::One, percent).unwrap();
        assert_eq!(fan.duty(Fan::One).unwrap(), percent);
        assert_eq!(fan.duty(Fan::Two).unwrap(), 0);
    }
}

#[test]
fn emc2101_speed_is_the_clock_over_the_count() {
    for (count, rpm) in [
        (0x0438, 5_000),
        (0x0C00, 1_757),
        (0xFFFE, 82),
        // No turn within the longest count: the fan stands still.
        (0xFFFF, 0),
        (0x0001, 5_400_000),
    ] {
        let [high, low] = u16::to_be_bytes(count);
        // The low byte first: it holds the high byte.
        let expected = [read(0x4C, 0x46, low), read(0x4C, 0x47, high)];
        let speed = with(&expected, |bus| Emc2101::new(bus, 0x4C).rpm());
        assert_eq!(speed.unwrap(), rpm, "{count:04x}");
    }
}

#[test]
fn a_count_of_zero_is_no_speed() {
    let expected = [read(0x4C, 0x46, 0), read(0x4C, 0x47, 0)];
    let error = with(&expected, |bus| Emc2101::new(bus, 0x4C).rpm()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Implausible {
                register: 0x46,
                value: 0,
                ..
            }
        ),
        "{error}"
    );
}

// Codes as in the EMC2101 data sheet: 11 bits, 0.125 K.
#[test]
fn emc2101_diode_reads_eighths_of_a_degree() {
    for (high, low, centi) in [
        (0x00, 0x00, 0),
        (0x00, 0x20, 13),
        (0x19, 0x20, 2_513),
        (0x4B, 0x40, 7_525),
        (0x7E, 0x00, 12_600),
        // The upper end short of the fault codes.
        (0x7E, 0xE0, 12_688),
        (0xFF, 0x00, -100),
        (0xC0, 0x00, -6_400),
        // Unused bits count for nothing.
        (0x19, 0x3F, 2_513),
    ] {
        let expected = [read(0x4C, 0x01, high), read(0x4C, 0x10, low)];
        let temperature = with(&expected, |bus| Emc2101::new(bus, 0x4C).external_centi_c());
        assert_eq!(temperature.unwrap(), centi, "{high:02x}{low:02x}");
    }
}

#[test]
fn diode_fault_codes_are_errors_not_temperatures() {
    let fault = |high, low| {
        let expected = [read(0x4C, 0x01, high), read(0x4C, 0x10, low)];
        with(&expected, |bus| Emc2101::new(bus, 0x4C).external_centi_c()).unwrap_err()
    };
    // 3F8: open. 3FF, which would be 127.875 degrees: short.
    assert_eq!(fault(0x7F, 0x00), Error::DiodeOpen { address: 0x4C });
    assert_eq!(fault(0x7F, 0xE0), Error::DiodeShort { address: 0x4C });
    // 127.9 degrees as some parts give it: beyond the range as well.
    assert_eq!(fault(0x7F, 0xC0), Error::DiodeOpen { address: 0x4C });

    let expected = [read(0x2E, 0x02, 0x80), read(0x2E, 0x03, 0x00)];
    let error = with(&expected, |bus| {
        Emc2103::new(bus, 0x2E, false).external_centi_c(Diode::First)
    });
    assert_eq!(error.unwrap_err(), Error::DiodeOpen { address: 0x2E });
}

#[test]
fn emc2101_own_temperature_is_in_whole_degrees() {
    for (raw, centi) in [(0x19, 2_500), (0xFF, -100), (0x7F, 12_700), (0x80, -12_800)] {
        let temperature = with(&[read(0x4C, 0x00, raw)], |bus| {
            Emc2101::new(bus, 0x4C).internal_centi_c()
        });
        assert_eq!(temperature.unwrap(), centi);
    }
}

#[test]
fn emc2103_is_set_up_for_direct_control_and_both_diodes() {
    let expected: Vec<T> = [
        (0x11, 0x24),
        (0x12, 0x24),
        (0x14, 0x00),
        (0x15, 0x00),
        (0x20, 0x00),
        (0x2A, 0x00),
        (0x2B, 0x00),
        // No speed loop, range from 500 rpm, 5 edges.
        (0x42, 0x0B),
    ]
    .into_iter()
    .flat_map(|(register, value)| write_and_check(0x2E, register, value))
    .collect();
    with(&expected, |bus| {
        Emc2103::new(bus, 0x2E, true).init(Some(0x24), Some(0x00))
    })
    .unwrap();
}

#[test]
fn emc2103_diodes_follow_the_boards_order() {
    let bus = || {
        RegisterFile::new(
            0x2E,
            &[
                (0x02, &[0x32]),
                (0x03, &[0x20]),
                (0x04, &[0x3C]),
                (0x05, &[0xC0]),
            ],
        )
    };
    let read = |swapped, diode| {
        Emc2103::new(bus(), 0x2E, swapped)
            .external_centi_c(diode)
            .unwrap()
    };
    assert_eq!(read(false, Diode::First), 5_013);
    assert_eq!(read(false, Diode::Second), 6_075);
    assert_eq!(read(true, Diode::First), 6_075);
    assert_eq!(read(true, Diode::Second), 5_013);
}

#[test]
fn emc230x_speed_uses_the_range_that_is_set() {
    // Fan configuration, count in the upper 13 bits, speed.
    for (config, count, rpm) in [
        (0x0B, 0x0400_u16, 3_840),
        (0x2B, 0x0400, 7_680),
        (0x4B, 0x0400, 15_360),
        (0x6B, 0x0400, 30_720),
        (0x0B, 0x1E80, 503),
    ] {
        let [high, low] = (count << 3).to_be_bytes();
        let bus = || RegisterFile::new(0x2F, &[(0x42, &[config]), (0x4E, &[high]), (0x4F, &[low])]);
        assert_eq!(Emc2302::new(bus(), 0x2F).rpm(Fan::Two).unwrap(), rpm);
        assert_eq!(Emc2103::new(bus(), 0x2F, false).rpm().unwrap(), rpm);
    }
}

#[test]
fn a_stalled_fan_reads_zero_and_not_the_lowest_speed_of_the_range() {
    // All ones in 13 bits is what the part holds for a fan that stands still; taken as a speed it
    // would be 480 rpm, or 960 in the part's usual range.
    for config in [0x0B, 0x2B] {
        let bus = RegisterFile::new(0x2F, &[(0x32, &[config]), (0x3E, &[0xFF]), (0x3F, &[0xF8])]);
        assert_eq!(Emc2302::new(bus, 0x2F).rpm(Fan::One).unwrap(), 0);
    }
}

#[test]
fn emc2302_watchdog_is_restarted_by_set_up() {
    let mut bus = RegisterFile::new(0x2F, &[(0xFD, &[0x36]), (0x24, &[0x80])]);
    let mut fans = Emc2302::new(&mut bus, 0x2F);
    assert_eq!(fans.identify().unwrap(), 0x36);
    assert!(fans.watchdog_tripped().unwrap());
    fans.init().unwrap();
    let writes = [[0x32, 0x0B], [0x42, 0x0B], [0x20, 0x40], [0x20, 0x60]];
    assert_eq!(bus.writes, writes.map(|w| w.to_vec()));
}

#[test]
fn emc2302_takes_fans_back_from_its_watchdog() {
    // The setting reads full speed until the watchdog is off; the status says why.
    let expected: Vec<T> = [
        vec![T::write(0x2F, vec![0x40, 77]), read(0x2F, 0x40, 0xFF)],
        vec![read(0x2F, 0x24, 0x80)],
        write_and_check(0x2F, 0x20, 0x40).to_vec(),
        write_and_check(0x2F, 0x20, 0x60).to_vec(),
        write_and_check(0x2F, 0x40, 77).to_vec(),
    ]
    .concat();
    with(&expected, |bus| {
        Emc2302::new(bus, 0x2F).set_duty(Fan::Two, 30)
    })
    .unwrap();

    // Not the watchdog: a fault.
    let expected = [
        T::write(0x2F, vec![0x40, 77]),
        read(0x2F, 0x40, 0xFF),
        read(0x2F, 0x24, 0x00),
    ];
    let error = with(&expected, |bus| {
        Emc2302::new(bus, 0x2F).set_duty(Fan::Two, 30)
    });
    assert!(matches!(
        error.unwrap_err(),
        Error::ReadBack { read: 0xFF, .. }
    ));
}

#[test]
fn emc2302_fans_are_two() {
    assert_eq!(Fan::from_channel(0), Some(Fan::One));
    assert_eq!(Fan::from_channel(1), Some(Fan::Two));
    assert_eq!(Fan::from_channel(2), None);
}

#[test]
fn a_controller_that_does_not_answer_is_absent() {
    let nak = |address, register: u8| {
        [T::write_read(address, vec![register], vec![0]).with_error(NO_ACK)]
    };
    assert_absent(
        with(&nak(0x4C, 0xFD), |bus| Emc2101::new(bus, 0x4C).identify()),
        0x4C,
    );
    assert_absent(
        with(&nak(0x2E, 0xFD), |bus| {
            Emc2103::new(bus, 0x2E, true).identify()
        }),
        0x2E,
    );
    assert_absent(
        with(&nak(0x2F, 0xFD), |bus| Emc2302::new(bus, 0x2F).identify()),
        0x2F,
    );
    assert_absent(
        with(&nak(0x4C, 0x46), |bus| Emc2101::new(bus, 0x4C).rpm()),
        0x4C,
    );
}

#[test]
fn other_bus_errors_are_passed_on_as_they_are() {
    let lost = [T::write_read(0x4C, vec![0x01], vec![0]).with_error(ErrorKind::ArbitrationLoss)];
    let error = with(&lost, |bus| Emc2101::new(bus, 0x4C).external_centi_c());
    assert_eq!(
        error.unwrap_err(),
        Error::Bus {
            address: 0x4C,
            error: ErrorKind::ArbitrationLoss
        }
    );
}

#[test]
fn diode_codes_that_do_not_fit_are_refused_before_the_bus() {
    let error = with(&[], |bus| Emc2101::new(bus, 0x4C).init(None, Some(0x10))).unwrap_err();
    assert!(
        matches!(
            error,
            Error::OutOfRange {
                value: 0x10,
                max: 0x0F,
                ..
            }
        ),
        "{error}"
    );
    let error = with(&[], |bus| Emc2101::new(bus, 0x4C).init(Some(0x40), None)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::OutOfRange {
                value: 0x40,
                max: 0x3F,
                ..
            }
        ),
        "{error}"
    );
    let error = with(&[], |bus| {
        Emc2103::new(bus, 0x2E, true).init(None, Some(0x10))
    })
    .unwrap_err();
    assert!(
        matches!(
            error,
            Error::OutOfRange {
                value: 0x10,
                max: 0x0F,
                ..
            }
        ),
        "{error}"
    );
}
