//! Antminer power supplies: frames as recorded from an APW12 of type 0x71, voltage codes as published.
#![allow(missing_docs)]

mod support;

use board_devices::apw::{Model, Protocol, Request};
use board_devices::{Apw, Error};
use embedded_hal_mock::eh1::i2c::{Mock, Transaction as T};
use proptest::prelude::*;
use support::{NO_ACK, NoiseBus, assert_absent};

fn with<R>(expected: &[T], call: impl FnOnce(&mut Mock) -> R) -> R {
    let mut bus = Mock::new(expected);
    let result = call(&mut bus);
    bus.done();
    result
}

/// One register write for each byte.
fn sent(register: u8, frame: &[u8]) -> Vec<T> {
    frame
        .iter()
        .map(|&byte| T::write(0x10, vec![register, byte]))
        .collect()
}

/// One register read for each byte.
fn received(register: u8, frame: &[u8]) -> Vec<T> {
    frame
        .iter()
        .map(|&byte| T::write_read(0x10, vec![register], vec![byte]))
        .collect()
}

#[test]
fn requests_go_out_byte_by_byte() {
    for (request, frame) in [
        (Request::Type, &[0x55, 0xAA, 0x04, 0x02, 0x06, 0x00][..]),
        (Request::Voltage, &[0x55, 0xAA, 0x04, 0x03, 0x07, 0x00]),
        (
            Request::SetVoltage { code: 0xF6 },
            &[0x55, 0xAA, 0x06, 0x83, 0xF6, 0x00, 0x7F, 0x01],
        ),
    ] {
        for (protocol, register) in [(Protocol::Old, 0x00), (Protocol::New, 0x11)] {
            with(&sent(register, frame), |bus| {
                Apw::new(bus, 0x10, protocol).request(request)
            })
            .unwrap();
        }
    }
}

#[test]
fn answers_are_checked_and_decoded() {
    let answer = |request, frame: [u8; 8]| {
        with(&received(0x11, &frame), |bus| {
            Apw::new(bus, 0x10, Protocol::New).answer(request)
        })
    };
    let kind = [0x55, 0xAA, 0x06, 0x02, 0x71, 0x00, 0x79, 0x00];
    assert_eq!(answer(Request::Type, kind).unwrap(), 0x71);
    let voltage = [0x55, 0xAA, 0x06, 0x03, 0xA7, 0x00, 0xB0, 0x00];
    assert_eq!(answer(Request::Voltage, voltage).unwrap(), 167);
    let set = [0x55, 0xAA, 0x06, 0x83, 0x0A, 0x00, 0x93, 0x00];
    assert_eq!(answer(Request::SetVoltage { code: 10 }, set).unwrap(), 10);

    // Another code was taken than was sent.
    assert_eq!(
        answer(Request::SetVoltage { code: 11 }, set).unwrap_err(),
        Error::ReadBack {
            address: 0x10,
            register: 0x83,
            wrote: 11,
            read: 10
        }
    );
    // The answer to an earlier question; nothing yet; an undriven bus.
    for frame in [kind, [0; 8], [0xFF; 8]] {
        assert_eq!(
            answer(Request::Voltage, frame).unwrap_err(),
            Error::BadFrame {
                address: 0x10,
                command: 0x03
            }
        );
    }
    // Any single byte damaged.
    for i in 0..8 {
        let mut frame = kind;
        frame[i] ^= 0x10;
        let error = answer(Request::Type, frame).unwrap_err();
        assert!(
            matches!(error, Error::BadFrame { command: 0x02, .. }),
            "byte {i}"
        );
    }
}

#[test]
fn a_probe_finds_the_register_that_keeps_a_mark() {
    for (protocol, register) in [(Protocol::Old, 0x00), (Protocol::New, 0x11)] {
        with(&[T::write(0x10, vec![register, 0xF5])], |bus| {
            Apw::new(bus, 0x10, protocol).start_probe()
        })
        .unwrap();
        for (value, found) in [(0xF5, true), (0x00, false), (0xFF, false)] {
            let expected = [T::write_read(0x10, vec![register], vec![value])];
            let answer = with(&expected, |bus| {
                Apw::new(bus, 0x10, protocol).finish_probe()
            });
            assert_eq!(answer.unwrap(), found);
        }
    }
}

#[test]
fn a_supply_that_does_not_answer_is_absent() {
    let nak = [T::write(0x10, vec![0x11, 0x55]).with_error(NO_ACK)];
    assert_absent(
        with(&nak, |bus| {
            Apw::new(bus, 0x10, Protocol::New).request(Request::Type)
        }),
        0x10,
    );
}

#[test]
fn only_supplies_with_known_codes_get_a_model() {
    for kind in [0x71, 0x72, 0x75, 0x77] {
        assert_eq!(Model::from_type(kind), Some(Model::Apw12));
    }
    for kind in [0x74, 0x76] {
        assert_eq!(Model::from_type(kind), Some(Model::Apw12B));
    }
    // Other voltages, voltages as floating-point numbers, unknown ones, nonsense.
    for kind in [0x22, 0x62, 0x73, 0x78, 0xC1, 0x00, 0xFFFF, 0x7171] {
        assert_eq!(Model::from_type(kind), None, "{kind:x}");
    }
}

#[test]
fn voltage_codes_are_the_published_ones_or_one_step_lower_in_voltage() {
    // Published codes for 15, 13 and 12 V are 9, 167 and 246; the first two give 10 and 3 mV more
    // than was asked for.
    assert_eq!(Model::Apw12.code(15_000), Some(10));
    assert_eq!(Model::Apw12.code(13_000), Some(168));
    assert_eq!(Model::Apw12.code(12_000), Some(246));
    assert_eq!(Model::Apw12.range_mv(), (12_000, 15_010));
    assert_eq!(Model::Apw12.millivolts(9), 15_010);
    assert_eq!(Model::Apw12.millivolts(167), 13_003);
    assert_eq!(Model::Apw12.code(11_999), None);
    assert_eq!(Model::Apw12.code(15_011), None);
    assert_eq!(Model::Apw12B.range_mv(), (12_000, 15_009));
    assert_eq!(Model::Apw9.range_mv(), (14_300, 21_360));
    assert_eq!(Model::Apw9.code(21_360), Some(0));
    assert_eq!(Model::Apw9.code(14_300), Some(253));
    assert_eq!(Model::Apw9.code(17_000), Some(157));
}

proptest! {
    #[test]
    fn a_supply_gives_at_most_what_was_asked_for(
        model in prop_oneof![Just(Model::Apw12), Just(Model::Apw12B), Just(Model::Apw9)],
        part in 0.0..=1.0,
    ) {
        let (min, max) = model.range_mv();
        let mv = min + ((f64::from(max - min)) * part) as u32;
        let code = model.code(mv).unwrap();
        let given = model.millivolts(code);
        prop_assert!(given <= mv && mv - given <= 28, "{} {} {}", mv, code, given);
    }

    #[test]
    fn any_voltage_and_any_answer_are_taken(mv: u32, bytes in prop::collection::vec(any::<u8>(), 1..32)) {
        for model in [Model::Apw12, Model::Apw12B, Model::Apw9] {
            let _ = model.code(mv).map(|code| model.millivolts(code));
        }
        let mut supply = Apw::new(NoiseBus { bytes, next: 0 }, 0x10, Protocol::Old);
        let _ = supply.answer(Request::Type);
        let _ = supply.answer(Request::SetVoltage { code: 9 });
    }
}
