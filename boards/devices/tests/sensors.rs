//! Sensors against their register tables: TMP1075, TMP451, LM75, INA260.
#![allow(missing_docs)]

mod support;

use board_devices::{Error, Ina260, Lm75, Tmp451, Tmp1075, ina260, lm75};
use embedded_hal_mock::eh1::i2c::{Mock, Transaction as T};
use support::{NO_ACK, RegisterFile, assert_absent};

fn with<R>(expected: &[T], call: impl FnOnce(&mut Mock) -> R) -> R {
    let mut bus = Mock::new(expected);
    let result = call(&mut bus);
    bus.done();
    result
}

// Codes as in the TMP1075 data sheet.
#[test]
fn tmp1075_reads_sixteenths_of_a_degree() {
    for (word, centi) in [
        (0x7FF0_u16, 12_794),
        (0x6400, 10_000),
        (0x1900, 2_500),
        (0x0040, 25),
        (0x0010, 6),
        (0x0000, 0),
        (0xFFC0, -25),
        (0xE700, -2_500),
        (0x8000, -12_800),
    ] {
        let expected = [T::write_read(0x4A, vec![0x00], word.to_be_bytes().to_vec())];
        let temperature = with(&expected, |bus| Tmp1075::new(bus, 0x4A).centi_c());
        assert_eq!(temperature.unwrap(), centi, "{word:04x}");
    }
}

#[test]
fn a_bus_that_nobody_drives_is_no_temperature() {
    let expected = [T::write_read(0x4A, vec![0x00], vec![0xFF, 0xFF])];
    let error = with(&expected, |bus| Tmp1075::new(bus, 0x4A).centi_c()).unwrap_err();
    assert!(
        matches!(error, Error::Implausible { value: 0xFFFF, .. }),
        "{error}"
    );

    let mut bus = RegisterFile::new(
        0x49,
        &[
            (0x01, &[0xFF]),
            (0x02, &[0xFF]),
            (0x03, &[0xFF]),
            (0x10, &[0xFF]),
        ],
    );
    let error = Tmp451::new(&mut bus, 0x49).remote_centi_c().unwrap_err();
    assert!(
        matches!(error, Error::Implausible { register: 0x02, .. }),
        "{error}"
    );
}

#[test]
fn minus_one_degree_is_read_as_it_is_and_left_to_the_guard() {
    let expected = [T::write_read(0x4A, vec![0x00], vec![0xFF, 0x00])];
    let temperature = with(&expected, |bus| Tmp1075::new(bus, 0x4A).centi_c());
    assert_eq!(temperature.unwrap(), -100);
}

#[test]
fn tmp1075_is_known_by_its_die_id() {
    let id = |bytes: [u8; 2]| {
        let expected = [T::write_read(0x4B, vec![0x0F], bytes.to_vec())];
        with(&expected, |bus| Tmp1075::new(bus, 0x4B).identify())
    };
    assert_eq!(id([0x75, 0x00]).unwrap(), 0x7500);
    // An LM75 mirrors other registers there.
    for other in [[0x19, 0x00], [0xFF, 0xFF], [0x00, 0x00], [0x00, 0x75]] {
        assert!(id(other).unwrap_err().is_wrong_device());
    }
}

// Codes as in the TMP451 data sheet, standard and extended range.
#[test]
fn tmp451_reads_both_ranges() {
    for (config, high, low, centi) in [
        (0x00, 0x00, 0x00, 0),
        (0x00, 0x01, 0x00, 100),
        (0x00, 0x19, 0x80, 2_550),
        (0x00, 0x4B, 0x10, 7_506),
        (0x00, 0x7F, 0xE0, 12_788),
        (0x04, 0x00, 0x00, -6_400),
        (0x04, 0x27, 0x00, -2_500),
        (0x04, 0x40, 0x00, 0),
        (0x04, 0x59, 0x40, 2_525),
        (0x04, 0xBF, 0x00, 12_700),
        // The end of the standard range is a temperature like others in the extended one.
        (0x04, 0xBF, 0xF0, 12_794),
        (0x04, 0xD6, 0x00, 15_000),
    ] {
        let bus = || {
            RegisterFile::new(
                0x49,
                &[
                    (0x00, &[high]),
                    (0x15, &[low]),
                    (0x01, &[high]),
                    (0x10, &[low]),
                    (0x03, &[config]),
                    (0x02, &[0x00]),
                ],
            )
        };
        assert_eq!(Tmp451::new(bus(), 0x49).local_centi_c().unwrap(), centi);
        assert_eq!(Tmp451::new(bus(), 0x49).remote_centi_c().unwrap(), centi);
    }
}

#[test]
fn an_open_or_shorted_diode_is_no_temperature() {
    let remote = |status: u8, config: u8, high: u8, low: u8| {
        let bus = RegisterFile::new(
            0x49,
            &[
                (0x01, &[high]),
                (0x02, &[status]),
                (0x03, &[config]),
                (0x10, &[low]),
            ],
        );
        Tmp451::new(bus, 0x49).remote_centi_c().unwrap_err()
    };
    assert_eq!(
        remote(0x04, 0x00, 0x1E, 0x00),
        Error::DiodeOpen { address: 0x49 }
    );
    assert_eq!(
        remote(0x84, 0x00, 0x7F, 0xF0),
        Error::DiodeOpen { address: 0x49 }
    );
    // 127.94 degrees, the end of the standard range; 191.94, that of the extended one.
    assert_eq!(
        remote(0x10, 0x00, 0x7F, 0xF0),
        Error::DiodeShort { address: 0x49 }
    );
    assert_eq!(
        remote(0x10, 0x04, 0xFF, 0xF0),
        Error::DiodeShort { address: 0x49 }
    );
}

#[test]
fn tmp451_takes_negative_offsets() {
    // -7 K as emberOne boards need it, -0.0625 K, and the ends.
    for (centi, high, low) in [
        (-700, 0xF9, 0x00),
        (-6, 0xFF, 0xF0),
        (0, 0x00, 0x00),
        (150, 0x01, 0x80),
        (-12_800, 0x80, 0x00),
        (12_793, 0x7F, 0xE0),
    ] {
        let expected = [
            T::write(0x49, vec![0x11, high]),
            T::write_read(0x49, vec![0x11], vec![high]),
            T::write(0x49, vec![0x12, low]),
            T::write_read(0x49, vec![0x12], vec![low]),
        ];
        with(&expected, |bus| {
            Tmp451::new(bus, 0x49).set_remote_offset_centi_k(centi)
        })
        .unwrap();
    }
    for centi in [-12_801, 12_800, i32::MAX, i32::MIN] {
        let error = with(&[], |bus| {
            Tmp451::new(bus, 0x49).set_remote_offset_centi_k(centi)
        });
        assert!(matches!(error.unwrap_err(), Error::OutOfRange { .. }));
    }
}

#[test]
fn lm75_uses_as_many_bits_as_the_variant_has() {
    let read = |bits, word: u16| {
        let expected = [T::write_read(0x48, vec![0x00], word.to_be_bytes().to_vec())];
        with(&expected, |bus| {
            Lm75::new(bus, 0x48).with_bits(bits).unwrap().centi_c()
        })
        .unwrap()
    };
    assert_eq!(read(9, 0x1980), 2_550);
    assert_eq!(read(9, 0x19FF), 2_550);
    assert_eq!(read(11, 0x19FF), 2_588);
    assert_eq!(read(12, 0x19F0), 2_594);
    assert_eq!(read(9, 0xFF80), -50);
    assert_eq!(read(9, 0xC900), -5_500);
    assert_eq!(
        (lm75::step_mk(9), lm75::step_mk(11), lm75::step_mk(12)),
        (500, 125, 63)
    );
    for bits in [0, 8, 17, 255] {
        let sensor = Lm75::new(RegisterFile::new(0x48, &[]), 0x48).with_bits(bits);
        assert!(matches!(
            sensor.unwrap_err(),
            Error::OutOfRange {
                min: 9,
                max: 16,
                ..
            }
        ));
    }
}

// The example of the INA260 data sheet: 12 V, 10 A, 120 W.
#[test]
fn ina260_reads_voltage_current_and_power() {
    let read = |voltage: u16, current: u16, power: u16| {
        let expected = [
            T::write_read(0x40, vec![0x02], voltage.to_be_bytes().to_vec()),
            T::write_read(0x40, vec![0x01], current.to_be_bytes().to_vec()),
            T::write_read(0x40, vec![0x03], power.to_be_bytes().to_vec()),
        ];
        with(&expected, |bus| Ina260::new(bus, 0x40).read()).unwrap()
    };
    assert_eq!(
        read(0x2580, 0x1F40, 0x2EE0),
        ina260::Power {
            voltage_mv: 12_000,
            current_ma: 10_000,
            power_mw: 120_000
        }
    );
    assert_eq!(
        read(0x0FA0, 0xFF38, 0x0000),
        ina260::Power {
            voltage_mv: 5_000,
            current_ma: -250,
            power_mw: 0
        }
    );
}

#[test]
fn ina260_voltage_beyond_its_range_is_an_undriven_bus() {
    let expected = [T::write_read(0x40, vec![0x02], vec![0xFF, 0xFF])];
    let error = with(&expected, |bus| Ina260::new(bus, 0x40).read()).unwrap_err();
    assert!(
        matches!(error, Error::Implausible { value: 0xFFFF, .. }),
        "{error}"
    );
}

#[test]
fn ina260_is_known_by_maker_and_die_whatever_the_revision() {
    let id = |maker: [u8; 2], die: [u8; 2]| {
        let expected = [
            T::write_read(0x40, vec![0xFE], maker.to_vec()),
            T::write_read(0x40, vec![0xFF], die.to_vec()),
        ];
        with(&expected, |bus| Ina260::new(bus, 0x40).identify())
    };
    assert_eq!(id([0x54, 0x49], [0x22, 0x70]).unwrap(), 0x5449_2270);
    assert_eq!(id([0x54, 0x49], [0x22, 0x73]).unwrap(), 0x5449_2273);
    assert!(
        id([0x54, 0x49], [0x22, 0x60])
            .unwrap_err()
            .is_wrong_device()
    );
    assert!(
        id([0xFF, 0xFF], [0xFF, 0xFF])
            .unwrap_err()
            .is_wrong_device()
    );
}

#[test]
fn ina260_averages_sixteen_readings() {
    let expected = [
        T::write(0x40, vec![0x00, 0x65, 0x27]),
        T::write_read(0x40, vec![0x00], vec![0x65, 0x27]),
    ];
    with(&expected, |bus| Ina260::new(bus, 0x40).init()).unwrap();
    let expected = [
        T::write(0x40, vec![0x00, 0x65, 0x27]),
        T::write_read(0x40, vec![0x00], vec![0x61, 0x27]),
    ];
    let error = with(&expected, |bus| Ina260::new(bus, 0x40).init()).unwrap_err();
    assert!(
        matches!(error, Error::ReadBack { read: 0x6127, .. }),
        "{error}"
    );
}

#[test]
fn a_sensor_that_does_not_answer_is_absent() {
    let nak = |register: u8, length: usize| {
        [T::write_read(0x48, vec![register], vec![0; length]).with_error(NO_ACK)]
    };
    assert_absent(
        with(&nak(0x00, 2), |bus| Tmp1075::new(bus, 0x48).centi_c()),
        0x48,
    );
    assert_absent(
        with(&nak(0x00, 2), |bus| Lm75::new(bus, 0x48).probe()),
        0x48,
    );
    assert_absent(
        with(&nak(0x02, 1), |bus| Tmp451::new(bus, 0x48).remote_centi_c()),
        0x48,
    );
    assert_absent(
        with(&nak(0x02, 2), |bus| Ina260::new(bus, 0x48).read()),
        0x48,
    );
}
