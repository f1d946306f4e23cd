//! EEPROM, pins, finding parts by name and address, and what noise on the bus can do to any driver.
#![allow(missing_docs)]

mod support;

use board_devices::eeprom::{Contents, Size};
use board_devices::part::probe;
use board_devices::{
    Ds4432u, Eeprom, Emc2101, Emc2103, Emc2302, Error, Fxl6408, Ina260, Lm75, Part, Presence,
    Tmp451, Tmp1075, Tps536x7, Tps546, ds4432u, emc2103, emc2302, tps536x7, tps546,
};
use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};
use embedded_hal_mock::eh1::i2c::{Mock, Transaction as T};
use proptest::prelude::*;
use support::{NO_ACK, NoiseBus, RegisterFile};

fn with<R>(expected: &[T], call: impl FnOnce(&mut Mock) -> R) -> R {
    let mut bus = Mock::new(expected);
    let result = call(&mut bus);
    bus.done();
    result
}

#[test]
fn eeprom_reads_within_its_bounds_only() {
    let expected = [T::write_read(0x51, vec![0xF0], (0..16).collect())];
    let mut data = [0; 16];
    with(&expected, |bus| {
        Eeprom::new(bus, 0x51, Size::C02)
            .unwrap()
            .read(0xF0, &mut data)
    })
    .unwrap();
    assert_eq!(data[15], 15);

    for (offset, length) in [(0xF1, 16), (256, 1), (u32::MAX, 1), (u32::MAX, 16)] {
        let mut data = vec![0; length];
        let error = with(&[], |bus| {
            Eeprom::new(bus, 0x51, Size::C02)
                .unwrap()
                .read(offset, &mut data)
        });
        assert!(matches!(
            error.unwrap_err(),
            Error::OutOfRange { max: 256, .. }
        ));
    }
}

#[test]
fn every_size_ends_where_the_part_does() {
    for (size, bytes) in [(Size::C02, 256), (Size::C32, 4_096), (Size::C64, 8_192)] {
        let mut bus = RegisterFile::new(0x50, &[]);
        let mut eeprom = Eeprom::new(&mut bus, 0x50, size).unwrap();
        eeprom.read(bytes - 4, &mut [0; 4]).unwrap();
        assert!(matches!(
            eeprom.read(bytes - 3, &mut [0; 4]).unwrap_err(),
            Error::OutOfRange { .. }
        ));
        // From a page's start, a whole page goes out at once.
        let page = if size == Size::C02 { 8 } else { 32 };
        assert_eq!(eeprom.write_some(bytes - 64, &[1; 64]).unwrap(), page);
    }
}

#[test]
fn larger_eeproms_have_two_bytes_of_offset() {
    let expected = [T::write_read(0x57, vec![0x1F, 0xFF], vec![0x5A])];
    let mut data = [0];
    with(&expected, |bus| {
        Eeprom::new(bus, 0x57, Size::C64)
            .unwrap()
            .read(0x1FFF, &mut data)
    })
    .unwrap();
    assert_eq!(data, [0x5A]);
}

#[test]
fn eeprom_writes_stop_at_the_end_of_a_page() {
    // 12 bytes from offset 5: 3 to the end of the page, then 8, then 1; a read asks whether the part
    // is done in between, and twice it is not.
    let data: Vec<u8> = (100..112).collect();
    let expected = [
        T::write(0x50, vec![5, 100, 101, 102]),
        T::write_read(0x50, vec![0], vec![0]).with_error(NO_ACK),
        T::write_read(0x50, vec![0], vec![0]).with_error(NO_ACK),
        T::write_read(0x50, vec![0], vec![0]),
        T::write(0x50, vec![8, 103, 104, 105, 106, 107, 108, 109, 110]),
        T::write_read(0x50, vec![0], vec![0]),
        T::write(0x50, vec![16, 111]),
    ];
    with(&expected, |bus| {
        let mut eeprom = Eeprom::new(bus, 0x50, Size::C02).unwrap();
        let mut done = 0;
        while done < data.len() {
            done += eeprom.write_some(5 + done as u32, &data[done..]).unwrap();
            while done < data.len() && !eeprom.is_ready().unwrap() {}
        }
    });
    let error = with(&[], |bus| {
        Eeprom::new(bus, 0x50, Size::C02)
            .unwrap()
            .write_some(250, &data)
    });
    assert!(matches!(error.unwrap_err(), Error::OutOfRange { .. }));
}

#[test]
fn only_addresses_of_eeproms_are_taken() {
    for address in [0x00, 0x4F, 0x58, 0xFF] {
        let bus = RegisterFile::new(address, &[]);
        let error = Eeprom::new(bus, address, Size::C02).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{address:02x}");
    }
    for address in 0x50..=0x57 {
        let mut bus = RegisterFile::new(address, &[(0x00, &[7])]);
        let mut data = [0];
        Eeprom::new(&mut bus, address, Size::C02)
            .unwrap()
            .read(0, &mut data)
            .unwrap();
        assert_eq!(data, [7]);
    }
}

#[test]
fn eeprom_contents_tell_blank_from_the_makers_layout() {
    assert_eq!(Contents::of(&[0xFF; 16]), Contents::Blank);
    assert_eq!(
        Contents::of(&[0x11, 0x4A, 0x93, 0x01]),
        Contents::Maker { length: 0x4A }
    );
    assert_eq!(
        Contents::of(&[0x11, 0x42]),
        Contents::Maker { length: 0x42 }
    );
    for other in [&[][..], &[0x11], &[0x11, 0x43], &[0x00; 16], b"HW1"] {
        assert_eq!(Contents::of(other), Contents::Unknown);
    }
}

#[test]
fn a_pin_gets_its_level_before_it_drives() {
    // After power-up: all inputs, all outputs high-impedance.
    let mut bus = RegisterFile::new(
        0x43,
        &[
            (0x01, &[0xA2]),
            (0x03, &[0x00]),
            (0x05, &[0x00]),
            (0x07, &[0xFF]),
            (0x0F, &[0x08]),
        ],
    );
    let mut pins = Fxl6408::new(&mut bus, 0x43);
    assert_eq!(pins.identify().unwrap(), 0xA2);
    pins.make_output(3, true).unwrap();
    assert!(pins.level(3).unwrap() && !pins.level(2).unwrap());
    pins.set(3, false).unwrap();
    pins.make_input(3).unwrap();
    let writes: [[u8; 2]; 5] = [
        [0x05, 0x08],
        [0x03, 0x08],
        [0x07, 0xF7],
        [0x05, 0x00],
        [0x03, 0x00],
    ];
    assert_eq!(bus.writes, writes.map(|write| write.to_vec()));
}

#[test]
fn pins_are_known_by_maker_whatever_the_revision() {
    for id in [0xA0, 0xA2, 0xBC] {
        let bus = RegisterFile::new(0x43, &[(0x01, &[id])]);
        assert_eq!(Fxl6408::new(bus, 0x43).identify().unwrap(), u64::from(id));
    }
    for id in [0x00, 0x80, 0xE0, 0xFF] {
        let bus = RegisterFile::new(0x43, &[(0x01, &[id])]);
        assert!(
            Fxl6408::new(bus, 0x43)
                .identify()
                .unwrap_err()
                .is_wrong_device()
        );
    }
}

#[test]
fn pins_beyond_the_eighth_do_not_exist() {
    for pin in [8, 255] {
        let results = with(&[], |bus| {
            let mut pins = Fxl6408::new(bus, 0x43);
            [
                pins.set(pin, true),
                pins.make_output(pin, true),
                pins.make_input(pin),
                pins.level(pin).map(drop),
            ]
        });
        for result in results {
            assert!(matches!(
                result.unwrap_err(),
                Error::OutOfRange { max: 7, .. }
            ));
        }
    }
}

#[test]
fn a_pin_that_does_not_follow_is_an_error() {
    let mut bus = RegisterFile::new(0x43, &[(0x05, &[0x00])]);
    bus.stuck.push(0x05);
    let error = Fxl6408::new(&mut bus, 0x43).set(0, true).unwrap_err();
    assert!(matches!(
        error,
        Error::ReadBack {
            register: 0x05,
            wrote: 1,
            read: 0,
            ..
        }
    ));
}

#[test]
fn parts_are_found_by_the_names_that_profiles_use() {
    for part in Part::ALL {
        assert_eq!(Part::named(part.name()), Some(part), "{part:?}");
        assert!((0x08..=0x77).contains(&part.usual_address()), "{part:?}");
    }
    for (name, part) in [
        ("TPS546D24A", Part::Tps546),
        ("TPS546D24S", Part::Tps546),
        ("AT24C02", Part::At24),
        ("256-byte EEPROM", Part::At24),
        ("LM75A", Part::Lm75),
        ("NCT75", Part::Lm75),
        ("APW12", Part::Apw),
        ("APW9", Part::Apw),
    ] {
        assert_eq!(Part::named(name), Some(part), "{name}");
    }
    for name in ["", "TPS40305", "LM25119", "unpublished", "emc2101", "TMP"] {
        assert_eq!(Part::named(name), None, "{name}");
    }
}

#[test]
fn usual_addresses_are_those_of_known_boards() {
    for (part, address) in [
        (Part::Emc2101, 0x4C),
        (Part::Emc2103, 0x2E),
        (Part::Emc2302, 0x2F),
        (Part::Tmp1075, 0x48),
        (Part::Tmp451, 0x4C),
        (Part::Lm75, 0x48),
        (Part::Ina260, 0x40),
        (Part::Ds4432u, 0x48),
        (Part::Tps546, 0x24),
        (Part::Tps53647, 0x71),
        (Part::Tps53667, 0x71),
        (Part::Fxl6408, 0x43),
        (Part::At24, 0x50),
        (Part::Apw, 0x10),
    ] {
        assert_eq!(part.usual_address(), address, "{part:?}");
    }
}

#[test]
fn a_probe_without_identification_reads_a_register_that_exists() {
    let expected = [T::write_read(0x48, vec![0xF8], vec![0])];
    with(&expected, |bus| probe(bus, Part::Ds4432u, 0x48)).unwrap();
    let expected = [T::write_read(0x48, vec![0x00], vec![0])];
    with(&expected, |bus| probe(bus, Part::Lm75, 0x48)).unwrap();
}

/// Registers and what they hold.
type Registers = &'static [(u8, &'static [u8])];

/// What each part with an identification answers when asked for it.
const IDENTITIES: [(Part, Registers); 10] = [
    (Part::Emc2101, &[(0xFD, &[0x16])]),
    (Part::Emc2103, &[(0xFD, &[0x26])]),
    (Part::Emc2302, &[(0xFD, &[0x36])]),
    (Part::Tmp1075, &[(0x0F, &[0x75, 0x00])]),
    (Part::Tmp451, &[(0xFE, &[0x55])]),
    (
        Part::Ina260,
        &[(0xFE, &[0x54, 0x49]), (0xFF, &[0x22, 0x70])],
    ),
    (
        Part::Tps546,
        &[(0xAD, &[6, 0x54, 0x49, 0x54, 0x6D, 0x24, 0x41])],
    ),
    (Part::Tps53647, &[(0xFC, &[0xF0, 0x01])]),
    (Part::Tps53667, &[(0xFC, &[0xF8, 0x01])]),
    (Part::Fxl6408, &[(0x01, &[0xA0])]),
];

#[test]
fn a_probe_tells_present_absent_and_wrong_apart() {
    for (part, registers) in IDENTITIES {
        assert!(part.has_id());
        let address = part.usual_address();
        let mut right = RegisterFile::new(address, registers);
        let present = probe(&mut right, part, address).unwrap();
        assert!(
            matches!(present, Presence::Present { id: Some(_) }),
            "{part:?} {present:?}"
        );
        assert_eq!(right.writes, Vec::<Vec<u8>>::new(), "{part:?}");

        assert_eq!(probe(&mut right, part, address ^ 1), Ok(Presence::Absent));

        let zeros = probe(RegisterFile::new(address, &[]), part, address).unwrap();
        assert!(
            matches!(zeros, Presence::Wrong { found: 0, .. }),
            "{part:?} {zeros:?}"
        );
        let noise = NoiseBus {
            bytes: vec![0xFF],
            next: 0,
        };
        let ones = probe(noise, part, address).unwrap();
        assert!(matches!(ones, Presence::Wrong { .. }), "{part:?} {ones:?}");

        for (other, registers) in IDENTITIES.into_iter().filter(|(other, _)| *other != part) {
            let found = probe(RegisterFile::new(address, registers), part, address).unwrap();
            assert!(
                matches!(found, Presence::Wrong { .. }),
                "{part:?} {other:?} {found:?}"
            );
        }
    }
}

#[test]
fn a_probe_of_parts_without_identification_tells_presence() {
    for part in Part::ALL.into_iter().filter(|part| !part.has_id()) {
        let address = part.usual_address();
        let mut bus = RegisterFile::new(address, &[]);
        assert_eq!(
            probe(&mut bus, part, address),
            Ok(Presence::Present { id: None })
        );
        assert_eq!(probe(&mut bus, part, address + 1), Ok(Presence::Absent));
        assert_eq!(bus.writes, Vec::<Vec<u8>>::new(), "{part:?}");
    }
}

#[test]
fn only_a_missing_acknowledge_of_the_address_means_absence() {
    let probe_with = |kind| {
        let expected = [T::write_read(0x4C, vec![0xFD], vec![0]).with_error(kind)];
        with(&expected, |bus| probe(bus, Part::Emc2101, 0x4C))
    };
    for source in [NoAcknowledgeSource::Address, NoAcknowledgeSource::Unknown] {
        assert_eq!(
            probe_with(ErrorKind::NoAcknowledge(source)),
            Ok(Presence::Absent)
        );
    }
    for kind in [
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data),
        ErrorKind::Bus,
        ErrorKind::Overrun,
        ErrorKind::Other,
    ] {
        let address = 0x4C;
        assert_eq!(
            probe_with(kind),
            Err(Error::Bus {
                address,
                error: kind
            })
        );
    }
}

#[test]
fn errors_say_what_happened() {
    let text = |error: Error<ErrorKind>| error.to_string();
    assert_eq!(
        text(Error::Absent { address: 0x4C }),
        "no device answers at I2C address 0x4c"
    );
    assert_eq!(
        text(Error::WrongDevice {
            address: 0x24,
            found: 0x1F0,
            expected: 0x1F8
        }),
        "device at I2C address 0x24 identifies itself as 0x1f0, expected 0x1f8"
    );
    assert_eq!(
        text(Error::OutOfRange {
            what: "output voltage in mV",
            value: 2_100,
            min: 1_000,
            max: 2_000
        }),
        "output voltage in mV 2100 is outside 1000 to 2000"
    );
    assert_eq!(
        text(Error::ReadBack {
            address: 0x24,
            register: 1,
            wrote: 0,
            read: 0x80
        }),
        "register 0x01 of I2C address 0x24 was set to 0x0 but reads 0x80"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes over the bus, a driver returns; and what it returns is within the part's range.
    #[test]
    fn noise_panics_no_driver(bytes in prop::collection::vec(any::<u8>(), 1..64), mv: u32, centi: i32, percent: u8) {
        let noise = || NoiseBus { bytes: bytes.clone(), next: 0 };
        let range = -12_800..=19_194;

        let mut fan = Emc2101::new(noise(), 0x4C);
        let _ = (fan.init(Some(percent), Some(percent)), fan.set_duty(percent), fan.rpm(), fan.internal_centi_c());
        prop_assert!(fan.duty().unwrap() <= 100);
        if let Ok(centi) = fan.external_centi_c() {
            prop_assert!((-12_800..12_700).contains(&centi));
        }
        let mut fan = Emc2103::new(noise(), 0x2E, true);
        let _ = (fan.init(None, Some(percent)), fan.set_duty(percent), fan.rpm(), fan.internal_centi_c());
        let _ = fan.external_centi_c(emc2103::Diode::Second).is_ok_and(|c| range.contains(&c));
        let mut fan = Emc2302::new(noise(), 0x2F);
        let _ = (fan.init(), fan.set_duty(emc2302::Fan::Two, percent), fan.watchdog_tripped());
        if let Ok(rpm) = fan.rpm(emc2302::Fan::One) {
            // The slowest count that is not a stall is 499.6 rpm, without its fraction.
            prop_assert!(rpm == 0 || rpm >= 499);
        }
        if let Ok(centi) = Tmp1075::new(noise(), 0x48).centi_c() {
            prop_assert!(range.contains(&centi));
        }
        let mut sensor = Tmp451::new(noise(), 0x49);
        let _ = sensor.set_remote_offset_centi_k(centi);
        if let Ok(centi) = sensor.remote_centi_c() {
            prop_assert!((-6_400..19_194).contains(&centi), "{}", centi);
        }
        let _ = Lm75::new(noise(), 0x48).centi_c();
        let mut monitor = Ina260::new(noise(), 0x40);
        let _ = monitor.init();
        if let Ok(power) = monitor.read() {
            prop_assert!(power.voltage_mv <= 40_960);
        }
        let mut dac = Ds4432u::new(noise(), 0x48, ds4432u::Network::BITAXE, ds4432u::Output::Zero);
        let _ = dac.set_output_mv(mv);
        prop_assert!((988..=1_929).contains(&dac.set_point_mv().unwrap()));
        let mut part = Tps546::new(noise(), 0x24, tps546::Config::BITAXE_GT);
        let _ = (part.configure(), part.set_output_mv(mv), part.set_point_mv());
        let _ = (part.turn_on(), part.turn_off(), part.is_on());
        let _ = part.status().map(|status| status.flags().count());
        let _ = part.telemetry().map(|telemetry| telemetry.output_mw());
        let mut part = Tps536x7::new(noise(), 0x71, tps536x7::Config::NERDOCTAXE_GAMMA);
        let _ = (part.configure(), part.set_output_mv(mv), part.set_point_mv());
        let _ = (part.status(), part.telemetry(), part.input());
        let mut pins = Fxl6408::new(noise(), 0x43);
        let _ = (pins.identify(), pins.make_output(percent, true), pins.level(percent));
        let mut eeprom = Eeprom::new(noise(), 0x50, Size::C32).unwrap();
        let _ = (eeprom.read(mv, &mut [0; 64]), eeprom.write_some(mv, &bytes), eeprom.is_ready());
        let _ = Contents::of(&bytes);
        for part in Part::ALL {
            let _ = probe(noise(), part, part.usual_address());
        }
    }
}
