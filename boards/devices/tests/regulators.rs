//! Regulators against their register tables: TPS546, TPS53647, TPS53667, DS4432U.
#![allow(missing_docs)]

mod support;

use board_devices::ds4432u::{Network, Output};
use board_devices::pmbus::{Status, StatusFlag, Telemetry};
use board_devices::tps536x7::{Model, vid, vid_to_mv};
use board_devices::{Ds4432u, Error, Tps536x7, Tps546, tps536x7, tps546};
use embedded_hal_mock::eh1::i2c::{Mock, Transaction as T};
use proptest::prelude::*;
use support::{NO_ACK, RegisterFile, assert_absent};

fn with<R>(expected: &[T], call: impl FnOnce(&mut Mock) -> R) -> R {
    let mut bus = Mock::new(expected);
    let result = call(&mut bus);
    bus.done();
    result
}

/// `IC_DEVICE_ID` of the TPS546D24A: length, then `TI`, `Tm$A`.
const ID_D24A: [u8; 7] = [6, 0x54, 0x49, 0x54, 0x6D, 0x24, 0x41];
const ID_D24S: [u8; 7] = [6, 0x54, 0x49, 0x54, 0x6D, 0x24, 0x62];

/// A TPS546 as it is after power-up: identity, and limits relative to the output with exponent -9.
fn fresh_tps546() -> RegisterFile {
    RegisterFile::new(0x24, &[(0xAD, &ID_D24A), (0x20, &[0x97])])
}

/// Register contents after set-up: the tables that open firmware writes, with voltages as multiples of
/// 1/512 V and SLINEAR11 numbers worked out by hand.
const COMMON_WORDS: [(u8, u16); 15] = [
    (0x33, 650),
    (0x40, 0x0280),
    (0x42, 0x0251),
    (0x25, 0x0233),
    (0x26, 0x01CC),
    (0x43, 0x01CC),
    (0x44, 0x0180),
    (0x51, 105),
    (0x4F, 145),
    (0x60, 0),
    (0x61, 3),
    (0x62, 0),
    (0x64, 0),
    (0x65, 0),
    (0xEE, 0xFFFF),
];
const COMMON_BYTES: [(u8, u8); 6] = [
    (0x01, 0x00),
    (0x02, 0x1B),
    (0x56, 0xB7),
    (0x47, 0xC0),
    (0x50, 0xFF),
    (0x63, 0x3B),
];

fn check_set_up(config: tps546::Config, words: &[(u8, u16)], bytes: &[(u8, u8)]) -> RegisterFile {
    let mut bus = fresh_tps546();
    Tps546::new(&mut bus, 0x24, config).configure().unwrap();
    for (register, word) in COMMON_WORDS.iter().chain(words) {
        assert_eq!(
            bus.word_le(*register),
            *word,
            "{} {register:02x}",
            config.name
        );
    }
    for (register, byte) in COMMON_BYTES.iter().chain(bytes) {
        assert_eq!(bus.byte(*register), *byte, "{} {register:02x}", config.name);
    }
    // Off comes first, then a start that needs the pin as well, until all is written; old faults are
    // cleared last.
    assert_eq!(bus.writes.first().unwrap(), &[0x01, 0x00]);
    assert_eq!(bus.writes[1], [0x02, 0x1F]);
    assert_eq!(bus.writes[bus.writes.len() - 2], [0x02, 0x1B]);
    assert_eq!(bus.writes.last().unwrap(), &[0x03]);
    bus
}

#[test]
fn bitaxe_5v_set_up_is_the_published_one() {
    let bus = check_set_up(
        tps546::Config::named("bitaxe-5v").unwrap(),
        &[
            (0x35, 0xCA66),
            (0x36, 0xCA40),
            (0x55, 0xCB40),
            (0x29, 0xAA00),
            (0x21, 0x0266),
            (0x2B, 0x0200),
            (0x24, 0x0400),
            (0x4A, 0xDB20),
            (0x46, 0xDBC0),
            (0xEC, 0x0000),
        ],
        &[(0xE4, 0x10), (0x04, 0x00)],
    );
    // The input warning and the compensation stay as the part has them.
    assert!(!bus.registers.contains_key(&0x58));
    assert!(!bus.registers.contains_key(&0xB1));
}

#[test]
fn bitaxe_hex_set_up_is_the_published_one() {
    check_set_up(
        tps546::Config::named("bitaxe-hex").unwrap(),
        &[
            (0x35, 0xD2E0),
            (0x36, 0xD2C0),
            (0x58, 0xD2C0),
            (0x55, 0xD3B3),
            (0x29, 0xA200),
            (0x21, 0x0733),
            (0x2B, 0x0500),
            (0x24, 0x0900),
            (0x4A, 0xDB20),
            (0x46, 0xDBC0),
            (0xEC, 0x0000),
        ],
        &[(0xE4, 0x10), (0x04, 0x00)],
    );
}

#[test]
fn bitaxe_gt_set_up_is_the_published_one() {
    let bus = check_set_up(
        tps546::Config::named("bitaxe-gt").unwrap(),
        &[
            (0x35, 0xD2C0),
            (0x36, 0xD2A0),
            (0x58, 0xD2C0),
            (0x55, 0xD3B3),
            (0x29, 0xAA00),
            // Nothing published for the first voltage: the lowest.
            (0x21, 0x0200),
            (0x2B, 0x0200),
            (0x24, 0x0600),
            (0x4A, 0xE320),
            (0x46, 0xE370),
            (0xEC, 0x0001),
        ],
        &[(0xE4, 0xD0), (0x04, 0xFF)],
    );
    assert_eq!(bus.registers[&0xB1], [5, 0x12, 0x34, 0x42, 0x21, 0x04]);
}

#[test]
fn set_ups_are_found_by_name_only() {
    assert_eq!(tps546::Config::named("bitaxe-12v"), None);
    for config in tps546::Config::ALL {
        assert_eq!(tps546::Config::named(config.name), Some(config));
        assert!(config.vout_min_mv < config.vout_max_mv && config.vin_off_mv < config.vin_on_mv);
    }
}

/// Commands that write to a PMBus part's own memory.
const STORE: [u8; 4] = [0x11, 0x13, 0x15, 0x17];

#[test]
fn nothing_that_drivers_do_stores_settings_in_a_regulator() {
    let mut all = Vec::new();
    for config in tps546::Config::ALL {
        let mut bus = fresh_tps546();
        let mut part = Tps546::new(&mut bus, 0x24, config);
        part.configure().unwrap();
        part.set_output_mv(config.vout_max_mv.into()).unwrap();
        part.turn_on().unwrap();
        part.is_on().unwrap();
        part.set_point_mv().unwrap();
        part.status().unwrap();
        part.telemetry().unwrap();
        part.clear_faults().unwrap();
        part.turn_off().unwrap();
        all.append(&mut bus.writes);
    }
    for (config, code) in [
        (tps536x7::Config::NERDQAXE_PP, [0xF0, 0x01]),
        (tps536x7::Config::NERDOCTAXE_GAMMA, [0xF8, 0x01]),
    ] {
        let mut bus = RegisterFile::new(0x71, &[(0xFC, &code)]);
        let mut part = Tps536x7::new(&mut bus, 0x71, config);
        part.configure().unwrap();
        part.set_output_mv(1_150).unwrap();
        part.set_point_mv().unwrap();
        part.status().unwrap();
        part.telemetry().unwrap();
        part.input().unwrap();
        part.clear_faults().unwrap();
        all.append(&mut bus.writes);
    }
    assert!(all.len() > 100);
    for write in all {
        assert!(!STORE.contains(&write[0]), "{write:02x?}");
    }
}

#[test]
fn both_variants_of_the_tps546_are_known_and_others_refused() {
    let id = |block: [u8; 7]| {
        let expected = [T::write_read(0x24, vec![0xAD], block.to_vec())];
        with(&expected, |bus| {
            Tps546::new(bus, 0x24, tps546::Config::BITAXE_5V).identify()
        })
    };
    assert_eq!(id(ID_D24A).unwrap(), 0x5449_546D_2441);
    assert_eq!(id(ID_D24S).unwrap(), 0x5449_546D_2462);
    // The half-current TPS546B24A; a right number in a block of another length; an undriven bus.
    let mut b24a = ID_D24A;
    b24a[4] = 0x6B;
    let mut longer = ID_D24A;
    longer[0] = 7;
    for other in [b24a, longer, [0xFF; 7], [0; 7]] {
        assert!(id(other).unwrap_err().is_wrong_device(), "{other:02x?}");
    }
}

#[test]
fn nothing_is_written_to_a_regulator_of_another_kind() {
    let mut bus = RegisterFile::new(0x24, &[(0xAD, &[0xFF; 7]), (0x20, &[0x97])]);
    let error = Tps546::new(&mut bus, 0x24, tps546::Config::BITAXE_5V).configure();
    assert!(error.unwrap_err().is_wrong_device());
    assert_eq!(bus.writes, Vec::<Vec<u8>>::new());

    // A TPS53667 where a TPS53647 belongs.
    let mut bus = RegisterFile::new(0x71, &[(0xFC, &[0xF8, 0x01])]);
    let error = Tps536x7::new(&mut bus, 0x71, tps536x7::Config::NERDQAXE_PP).configure();
    assert_eq!(
        error.unwrap_err(),
        Error::WrongDevice {
            address: 0x71,
            found: 0x01F8,
            expected: 0x01F0
        }
    );
    assert_eq!(bus.writes, Vec::<Vec<u8>>::new());
}

#[test]
fn limits_that_are_not_relative_to_the_output_are_refused() {
    // Absolute limits; voltage codes; half precision numbers; an undriven bus.
    for mode in [0x17, 0x20, 0x60, 0xFF] {
        let mut bus = RegisterFile::new(0x24, &[(0xAD, &ID_D24A), (0x20, &[mode])]);
        let error = Tps546::new(&mut bus, 0x24, tps546::Config::BITAXE_5V).configure();
        assert!(
            matches!(error.unwrap_err(), Error::Unsupported { value, .. } if value == mode.into())
        );
        assert!(bus.writes.iter().all(|write| write[0] != 0x21));
    }
}

#[test]
fn a_protective_limit_that_is_not_taken_stops_the_set_up() {
    for register in [
        0x01, 0x02, 0x55, 0x56, 0x24, 0x40, 0x44, 0x46, 0x47, 0x4F, 0x50,
    ] {
        let mut bus = fresh_tps546();
        bus.registers.insert(register, vec![0x7F, 0x00]);
        bus.stuck.push(register);
        let error = Tps546::new(&mut bus, 0x24, tps546::Config::BITAXE_5V).configure();
        assert!(
            matches!(error.unwrap_err(), Error::ReadBack { register: named, .. } if named == register),
            "{register:02x}"
        );
    }
}

#[test]
fn a_limit_may_be_off_by_a_sixteenth_and_no_more() {
    // The current limit of 30 A in eighths of an ampere: 28.25 A is near enough, 28 A is not, and
    // neither is 32 A.
    for (kept, taken) in [(0xE8E2_u16, true), (0xE8E0, false), (0xE900, false)] {
        let mut bus = fresh_tps546();
        bus.registers.insert(0x46, kept.to_le_bytes().to_vec());
        bus.stuck.push(0x46);
        let result = Tps546::new(&mut bus, 0x24, tps546::Config::BITAXE_5V).configure();
        assert_eq!(result.is_ok(), taken, "{kept:04x}");
    }
}

#[test]
fn limits_may_come_back_with_another_exponent() {
    // 25 A and 30 A kept in steps of half an ampere, 4.8 V in quarters of a volt.
    let mut bus = Requantising(fresh_tps546());
    Tps546::new(&mut bus, 0x24, tps546::Config::BITAXE_5V)
        .configure()
        .unwrap();
    assert_eq!(bus.0.word_le(0x46), 0xF83C);
    assert_eq!(bus.0.word_le(0x35), 0xF013);
}

/// A TPS546 that keeps currents and input voltages in its own steps.
struct Requantising(RegisterFile);

impl embedded_hal::i2c::ErrorType for Requantising {
    type Error = support::Nak;
}

impl embedded_hal::i2c::I2c for Requantising {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [embedded_hal::i2c::Operation<'_>],
    ) -> Result<(), support::Nak> {
        self.0.transaction(address, operations)?;
        for (registers, exponent) in [([0x46, 0x4A, 0x4A], -1_i32), ([0x35, 0x36, 0x55], -2)] {
            for register in registers {
                if let Some([low, high]) = self.0.registers.get(&register).map(Vec::as_slice) {
                    let word = u16::from_le_bytes([*low, *high]);
                    let value =
                        f64::from(word & 0x3FF) * f64::powi(2.0, i32::from((word as i16) >> 11));
                    let mantissa = (value / f64::powi(2.0, exponent)).round() as u16;
                    let kept = ((exponent & 0x1F) as u16) << 11 | mantissa;
                    self.0
                        .registers
                        .insert(register, kept.to_le_bytes().to_vec());
                }
            }
        }
        Ok(())
    }
}

#[test]
fn every_set_up_gets_past_the_bounds_that_the_part_starts_with() {
    for config in tps546::Config::ALL {
        // Factory values: 0.8 V between 0.5 and 1.5 V.
        let mut bus = fresh_tps546();
        for (register, volts) in [(0x21, 0.8), (0x24, 1.5), (0x2B, 0.5)] {
            let word = (volts * 512.0) as u16;
            bus.registers.insert(register, word.to_le_bytes().to_vec());
        }
        let mut bus = Bounding(bus);
        Tps546::new(&mut bus, 0x24, config).configure().unwrap();
        // A second start finds the values of the first.
        Tps546::new(&mut bus, 0x24, config).configure().unwrap();
    }
}

/// A TPS546 that holds its output setting within the bounds that it has at the moment.
struct Bounding(RegisterFile);

impl embedded_hal::i2c::ErrorType for Bounding {
    type Error = support::Nak;
}

impl embedded_hal::i2c::I2c for Bounding {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [embedded_hal::i2c::Operation<'_>],
    ) -> Result<(), support::Nak> {
        self.0.transaction(address, operations)?;
        let held = self
            .0
            .word_le(0x21)
            .min(self.0.word_le(0x24))
            .max(self.0.word_le(0x2B));
        self.0.registers.insert(0x21, held.to_le_bytes().to_vec());
        Ok(())
    }
}

#[test]
fn output_voltage_is_set_in_512ths_of_a_volt_and_read_back() {
    let expected = [
        T::write_read(0x24, vec![0x20], vec![0x97]),
        T::write(0x24, vec![0x21, 0x4C, 0x02]),
        T::write_read(0x24, vec![0x21], vec![0x4C, 0x02]),
    ];
    with(&expected, |bus| {
        Tps546::new(bus, 0x24, tps546::Config::BITAXE_5V).set_output_mv(1_150)
    })
    .unwrap();

    let expected = [
        T::write_read(0x24, vec![0x20], vec![0x97]),
        T::write(0x24, vec![0x21, 0x4C, 0x02]),
        T::write_read(0x24, vec![0x21], vec![0x00, 0x02]),
    ];
    let error = with(&expected, |bus| {
        Tps546::new(bus, 0x24, tps546::Config::BITAXE_5V).set_output_mv(1_150)
    });
    assert!(matches!(
        error.unwrap_err(),
        Error::ReadBack { read: 0x0200, .. }
    ));
}

#[test]
fn voltages_outside_the_boards_bounds_never_reach_the_bus() {
    for (config, voltages) in [
        (tps546::Config::BITAXE_5V, [0, 999, 2_001, u32::MAX]),
        (tps546::Config::BITAXE_HEX, [1_200, 2_499, 4_501, 65_536]),
        (tps546::Config::BITAXE_GT, [0, 999, 3_001, u32::MAX]),
    ] {
        for mv in voltages {
            let error = with(&[], |bus| Tps546::new(bus, 0x24, config).set_output_mv(mv));
            assert!(matches!(error.unwrap_err(), Error::OutOfRange { .. }));
        }
    }
    for mv in [0, 1_004, 1_401, u32::MAX] {
        let error = with(&[], |bus| {
            Tps536x7::new(bus, 0x71, tps536x7::Config::NERDQAXE_PP).set_output_mv(mv)
        });
        assert!(matches!(error.unwrap_err(), Error::OutOfRange { .. }));
    }
    for mv in [0, 600, 988, 1_929, u32::MAX] {
        let error = with(&[], |bus| {
            Ds4432u::new(bus, 0x48, Network::BITAXE, Output::Zero).set_output_mv(mv)
        });
        assert!(matches!(
            error.unwrap_err(),
            Error::OutOfRange {
                min: 989,
                max: 1_928,
                ..
            }
        ));
    }
}

#[test]
fn on_and_off_are_read_back() {
    let on = |value, read| {
        let expected = [
            T::write(0x24, vec![0x01, value]),
            T::write_read(0x24, vec![0x01], vec![read]),
        ];
        with(&expected, |bus| {
            let mut part = Tps546::new(bus, 0x24, tps546::Config::BITAXE_5V);
            if value == 0 {
                part.turn_off()
            } else {
                part.turn_on()
            }
        })
    };
    on(0x80, 0x80).unwrap();
    on(0x00, 0x00).unwrap();
    // Still on.
    assert!(matches!(
        on(0x00, 0x80).unwrap_err(),
        Error::ReadBack { register: 0x01, .. }
    ));
    assert!(matches!(
        on(0x80, 0x00).unwrap_err(),
        Error::ReadBack { .. }
    ));

    for (value, is_on) in [(0x00, false), (0x80, true)] {
        let expected = [T::write_read(0x24, vec![0x01], vec![value])];
        let found = with(&expected, |bus| {
            Tps546::new(bus, 0x24, tps546::Config::BITAXE_5V).is_on()
        });
        assert_eq!(found.unwrap(), is_on);
    }
}

#[test]
fn measurements_of_the_tps546_are_decoded() {
    // 1.150 V as 589/512, 14.75 A, 5.0 V, 43 degrees.
    let bus = RegisterFile::new(
        0x24,
        &[
            (0x20, &[0x97]),
            (0x8B, &589_u16.to_le_bytes()),
            (0x8C, &0xD3B0_u16.to_le_bytes()),
            (0x88, &0xCA80_u16.to_le_bytes()),
            (0x8D, &0x002B_u16.to_le_bytes()),
        ],
    );
    let telemetry = Tps546::new(bus, 0x24, tps546::Config::BITAXE_5V)
        .telemetry()
        .unwrap();
    let expected = Telemetry {
        output_mv: 1_150,
        output_ma: 14_750,
        input_mv: 5_000,
        temperature_centi_c: 4_300,
    };
    assert_eq!(telemetry, expected);
    assert_eq!(expected.output_mw(), 16_962);
    assert_eq!(
        Telemetry {
            output_ma: -40,
            ..expected
        }
        .output_mw(),
        0
    );
}

#[test]
fn all_ones_are_no_measurement_and_no_status() {
    let mut bus = RegisterFile::new(0x24, &[(0x20, &[0x97])]);
    for register in 0x79..=0x9F {
        bus.registers.insert(register, vec![0xFF, 0xFF]);
    }
    bus.registers.insert(0x01, vec![0xFF]);
    let mut part = Tps546::new(&mut bus, 0x24, tps546::Config::BITAXE_5V);
    assert!(matches!(
        part.status().unwrap_err(),
        Error::Implausible { register: 0x79, .. }
    ));
    assert!(matches!(
        part.telemetry().unwrap_err(),
        Error::Implausible { .. }
    ));
    assert!(matches!(
        part.is_on().unwrap_err(),
        Error::Implausible { .. }
    ));
}

#[test]
fn status_comes_from_its_registers() {
    let registers: [(u8, &[u8]); 7] = [
        (0x79, &[0x40, 0x08]),
        (0x7A, &[0x11]),
        (0x7B, &[0x22]),
        (0x7C, &[0x33]),
        (0x7D, &[0x44]),
        (0x7E, &[0x55]),
        (0x80, &[0x66]),
    ];
    let full = Status {
        word: 0x0840,
        vout: 0x11,
        iout: 0x22,
        input: 0x33,
        temperature: 0x44,
        cml: 0x55,
        mfr: 0x66,
    };
    let bus = RegisterFile::new(0x24, &registers);
    let found = Tps546::new(bus, 0x24, tps546::Config::BITAXE_5V).status();
    assert_eq!(found.unwrap(), full);
    // The multi-phase parts set communication bits for no reason, and their own mean something else.
    let bus = RegisterFile::new(0x71, &registers);
    let found = Tps536x7::new(bus, 0x71, tps536x7::Config::NERDQAXE_PP).status();
    assert_eq!(
        found.unwrap(),
        Status {
            cml: 0,
            mfr: 0,
            ..full
        }
    );
}

#[test]
fn status_words_become_flags() {
    let flags = |status: Status| status.flags().collect::<Vec<_>>();
    assert_eq!(flags(Status::default()), []);
    assert!(Status::default().is_good() && Status::default().fault().is_none());

    // Switched off by command: nothing wrong.
    let off = Status {
        word: 0x0840,
        ..Status::default()
    };
    assert!(off.is_off() && !off.is_good());
    assert_eq!(flags(off), []);

    // On, but the output has fallen: under-voltage fault and warning.
    let sagged = Status {
        word: 0x8800,
        vout: 0x30,
        ..Status::default()
    };
    assert_eq!(sagged.fault(), Some(StatusFlag::OutputUnderVoltage));
    assert_eq!(
        flags(sagged),
        [
            StatusFlag::OutputUnderVoltage,
            StatusFlag::NotGood,
            StatusFlag::OutputLow
        ]
    );

    for (status, flag) in [
        (
            Status {
                word: 0x0020,
                ..Status::default()
            },
            StatusFlag::OutputOverVoltage,
        ),
        (
            Status {
                vout: 0x80,
                ..Status::default()
            },
            StatusFlag::OutputOverVoltage,
        ),
        (
            Status {
                word: 0x0010,
                ..Status::default()
            },
            StatusFlag::OutputOverCurrent,
        ),
        (
            Status {
                iout: 0x80,
                ..Status::default()
            },
            StatusFlag::OutputOverCurrent,
        ),
        (
            Status {
                input: 0x80,
                ..Status::default()
            },
            StatusFlag::InputOverVoltage,
        ),
        (
            Status {
                word: 0x0008,
                ..Status::default()
            },
            StatusFlag::InputUnderVoltage,
        ),
        (
            Status {
                input: 0x08,
                ..Status::default()
            },
            StatusFlag::InputUnderVoltage,
        ),
        (
            Status {
                input: 0x10,
                ..Status::default()
            },
            StatusFlag::InputUnderVoltage,
        ),
        (
            Status {
                iout: 0x40,
                ..Status::default()
            },
            StatusFlag::OutputOverCurrent,
        ),
        (
            Status {
                mfr: 0x80,
                ..Status::default()
            },
            StatusFlag::Internal,
        ),
        (
            Status {
                cml: 0x08,
                ..Status::default()
            },
            StatusFlag::Internal,
        ),
        (
            Status {
                input: 0x04,
                ..Status::default()
            },
            StatusFlag::InputOverCurrent,
        ),
        (
            Status {
                temperature: 0x80,
                ..Status::default()
            },
            StatusFlag::OverTemperature,
        ),
        (
            Status {
                vout: 0x04,
                ..Status::default()
            },
            StatusFlag::SlowStart,
        ),
        (
            Status {
                mfr: 0x04,
                ..Status::default()
            },
            StatusFlag::Internal,
        ),
        (
            Status {
                cml: 0x10,
                ..Status::default()
            },
            StatusFlag::Internal,
        ),
    ] {
        assert_eq!(status.fault(), Some(flag), "{status:02x?}");
    }
    for (status, flag) in [
        (
            Status {
                vout: 0x40,
                ..Status::default()
            },
            StatusFlag::OutputHigh,
        ),
        (
            Status {
                vout: 0x08,
                ..Status::default()
            },
            StatusFlag::OutputBounds,
        ),
        (
            Status {
                iout: 0x20,
                ..Status::default()
            },
            StatusFlag::CurrentHigh,
        ),
        (
            Status {
                input: 0x20,
                ..Status::default()
            },
            StatusFlag::InputLow,
        ),
        (
            Status {
                temperature: 0x40,
                ..Status::default()
            },
            StatusFlag::Hot,
        ),
        (
            Status {
                word: 0x0004,
                ..Status::default()
            },
            StatusFlag::Hot,
        ),
        (
            Status {
                cml: 0x80,
                ..Status::default()
            },
            StatusFlag::Communication,
        ),
        (
            Status {
                word: 0x0200,
                ..Status::default()
            },
            StatusFlag::Other,
        ),
    ] {
        assert_eq!(flags(status), [flag], "{status:02x?}");
        assert_eq!(status.fault(), None);
        assert!(!flag.is_fault() && !flag.name().is_empty());
    }
}

#[test]
fn every_status_flag_is_listed_once_worst_first() {
    let first_warning = StatusFlag::ALL
        .iter()
        .position(|flag| !flag.is_fault())
        .unwrap();
    assert!(
        StatusFlag::ALL[first_warning..]
            .iter()
            .all(|flag| !flag.is_fault())
    );
    for (i, flag) in StatusFlag::ALL.iter().enumerate() {
        assert!(!StatusFlag::ALL[..i].contains(flag), "{flag:?}");
    }
}

#[test]
fn tps53667_set_up_is_the_published_one() {
    let mut bus = RegisterFile::new(0x71, &[(0xFC, &[0xF8, 0x01])]);
    Tps536x7::new(&mut bus, 0x71, tps536x7::Config::NERDOCTAXE_GAMMA)
        .configure()
        .unwrap();
    for (register, byte) in [
        (0x02, 0x17),
        (0xDC, 0x20),
        (0xDA, 240),
        (0xDD, 0x89),
        (0xE4, 5),
        (0xE8, 0x00),
        (0xD0, 0x07),
        (0xE0, 0x01),
    ] {
        assert_eq!(bus.byte(register), byte, "{register:02x}");
    }
    for (register, word) in [
        // 1.4 V: (1400 - 250) / 5 + 1.
        (0x24, 0xE7),
        (0x51, 95),
        (0x4F, 125),
        (0x4A, 0xF3AC),
        (0x46, 0xF3AC),
        (0x5D, 0xDB20),
        (0x5B, 0xDB80),
    ] {
        assert_eq!(bus.word_le(register), word, "{register:02x}");
    }
    assert_eq!(bus.writes.last().unwrap(), &[0x03]);
}

#[test]
fn tps53647_is_not_given_what_only_the_larger_part_has() {
    let mut bus = RegisterFile::new(0x71, &[(0xFC, &[0xF0, 0x01])]);
    let config = tps536x7::Config {
        iin_a: Some((20, 25)),
        ..tps536x7::Config::NERDQAXE_PP
    };
    Tps536x7::new(&mut bus, 0x71, config).configure().unwrap();
    assert_eq!((bus.byte(0xE4), bus.byte(0xDA)), (2, 90));
    assert_eq!((bus.word_le(0x46), bus.word_le(0x4A)), (0xEAF8, 0xEAF8));
    for register in [0xE8, 0xD0, 0xE0, 0x5B, 0x5D] {
        assert!(!bus.registers.contains_key(&register), "{register:02x}");
    }
}

#[test]
fn set_ups_that_a_part_cannot_have_are_refused() {
    let base = tps536x7::Config::NERDQAXE_PP;
    for config in [
        tps536x7::Config { phases: 0, ..base },
        tps536x7::Config { phases: 5, ..base },
        tps536x7::Config {
            full_scale_a: 0,
            ..base
        },
        tps536x7::Config {
            iout_max_a: 0,
            ..base
        },
        tps536x7::Config {
            iout_max_a: 1_024,
            ..base
        },
    ] {
        let mut bus = RegisterFile::new(0x71, &[(0xFC, &[0xF0, 0x01])]);
        let error = Tps536x7::new(&mut bus, 0x71, config).configure();
        assert!(matches!(error.unwrap_err(), Error::OutOfRange { .. }));
        assert_eq!(bus.writes, Vec::<Vec<u8>>::new());
    }
    assert_eq!(
        (Model::Tps53647.max_phases(), Model::Tps53667.max_phases()),
        (4, 6)
    );
}

#[test]
fn measurements_of_the_tps536x7_are_decoded() {
    let bus = RegisterFile::new(
        0x71,
        &[
            (0xD4, &614_u16.to_le_bytes()),
            (0x8C, &0xE370_u16.to_le_bytes()),
            (0x88, &0xD300_u16.to_le_bytes()),
            (0x8D, &0xEA00_u16.to_le_bytes()),
            (0x89, &0xCB00_u16.to_le_bytes()),
            (0x97, &0xEA40_u16.to_le_bytes()),
            (0x21, &[0x97, 0x00]),
        ],
    );
    let mut part = Tps536x7::new(bus, 0x71, tps536x7::Config::NERDQAXE_PP);
    assert_eq!(
        part.telemetry().unwrap(),
        Telemetry {
            output_mv: 1_199,
            output_ma: 55_000,
            input_mv: 12_000,
            temperature_centi_c: 6_400,
        }
    );
    assert_eq!(part.input().unwrap(), (6_000, 72_000));
    // The data sheet's example: code 97h is 1.000 V.
    assert_eq!(part.set_point_mv().unwrap(), 1_000);
}

#[test]
fn a_voltage_code_that_the_part_does_not_have_is_refused() {
    let bus = RegisterFile::new(0x71, &[(0x21, &[0x00, 0x01])]);
    let error = Tps536x7::new(bus, 0x71, tps536x7::Config::NERDQAXE_PP).set_point_mv();
    assert!(matches!(
        error.unwrap_err(),
        Error::Implausible { value: 0x100, .. }
    ));
}

#[test]
fn vr12_codes_are_steps_of_5_mv_from_250() {
    for (mv, code) in [
        (250, 1),
        (1_000, 0x97),
        (1_004, 0x97),
        (1_150, 181),
        (1_520, 255),
    ] {
        assert_eq!(vid(mv), Some(code), "{mv}");
    }
    for mv in [0, 249, 1_525, u32::MAX] {
        assert_eq!(vid(mv), None, "{mv}");
    }
    assert_eq!(vid_to_mv(0), 0);
    for code in 1..=255 {
        assert_eq!(vid(vid_to_mv(code)), Some(code));
    }
}

// The published rule: code = |0.6 V / 3320 Ω - (V - 0.6 V) / 4750 Ω| / 98.921 µA * 127, rounded up, top
// bit set below 1.458 V. Above it codes are rounded down here, so that no voltage is exceeded.
#[test]
fn ds4432u_codes_follow_from_the_resistors() {
    for (mv, code) in [
        (1_000, 0x80 | 124),
        (1_060, 0x80 | 108),
        (1_100, 0x80 | 97),
        (1_166, 0x80 | 80),
        (1_200, 0x80 | 70),
        (1_250, 0x80 | 57),
        (1_300, 0x80 | 43),
        (1_400, 0x80 | 16),
        (1_458, 0x80 | 1),
        (1_459, 0),
        (1_500, 11),
        (1_900, 119),
    ] {
        assert_eq!(Network::BITAXE.code(mv), Some(code), "{mv}");
        let expected = [
            T::write(0x48, vec![0xF8, code]),
            T::write_read(0x48, vec![0xF8], vec![code]),
        ];
        with(&expected, |bus| {
            Ds4432u::new(bus, 0x48, Network::BITAXE, Output::Zero).set_output_mv(mv)
        })
        .unwrap();
    }
    assert_eq!(Network::BITAXE.range_mv(), (989, 1_928));
}

#[test]
fn ds4432u_second_output_has_its_own_register() {
    let mut bus = RegisterFile::new(0x48, &[]);
    let mut dac = Ds4432u::new(&mut bus, 0x48, Network::BITAXE, Output::One);
    dac.set_output_mv(1_200).unwrap();
    assert_eq!(dac.set_point_mv().unwrap(), 1_200);
    assert_eq!(bus.writes, [[0xF9, 0xC6]]);
}

#[test]
fn a_dac_that_does_not_keep_its_code_is_an_error() {
    let mut bus = RegisterFile::new(0x48, &[(0xF8, &[0x00])]);
    bus.stuck.push(0xF8);
    let error = Ds4432u::new(&mut bus, 0x48, Network::BITAXE, Output::Zero).set_output_mv(1_200);
    assert!(matches!(
        error.unwrap_err(),
        Error::ReadBack {
            wrote: 0xC6,
            read: 0,
            ..
        }
    ));
}

#[test]
fn a_network_without_resistors_sets_nothing() {
    let none = Network {
        reference_mv: 600,
        top_ohm: 0,
        bottom_ohm: 0,
        full_scale_na: 0,
    };
    assert_eq!(none.code(1_200), None);
    assert_eq!(none.voltage_uv(0x85), None);
    let error = with(&[], |bus| {
        Ds4432u::new(bus, 0x48, none, Output::Zero).set_output_mv(1_200)
    });
    assert!(matches!(error.unwrap_err(), Error::OutOfRange { .. }));
}

#[test]
fn a_regulator_that_does_not_answer_is_absent() {
    let nak = [T::write(0x24, vec![0x01, 0x00]).with_error(NO_ACK)];
    assert_absent(
        with(&nak, |bus| {
            Tps546::new(bus, 0x24, tps546::Config::BITAXE_5V).turn_off()
        }),
        0x24,
    );
    let nak = [T::write_read(0x71, vec![0xFC], vec![0, 0]).with_error(NO_ACK)];
    assert_absent(
        with(&nak, |bus| {
            Tps536x7::new(bus, 0x71, tps536x7::Config::NERDQAXE_PP).configure()
        }),
        0x71,
    );
    let nak = [T::write(0x48, vec![0xF8, 0xC6]).with_error(NO_ACK)];
    assert_absent(
        with(&nak, |bus| {
            Ds4432u::new(bus, 0x48, Network::BITAXE, Output::Zero).set_output_mv(1_200)
        }),
        0x48,
    );
}

proptest! {
    #[test]
    fn ds4432u_comes_close_to_the_voltage_asked_for_but_never_above(mv in 989_u32..=1_928) {
        let code = Network::BITAXE.code(mv).unwrap();
        let uv = Network::BITAXE.voltage_uv(code).unwrap();
        prop_assert!(uv <= mv * 1_000 && mv * 1_000 - uv < 3_701, "{} {}", mv, uv);
        let dac = f64::from(code & 0x7F) / 127.0 * 98.921e-6;
        let current = if code & 0x80 != 0 { dac } else { -dac };
        let volts = 0.6 + 4_750.0 * (0.6 / 3_320.0 - current);
        prop_assert!((volts * 1e6 - f64::from(uv)).abs() < 2.0, "{} {}", volts, uv);
    }

    #[test]
    fn any_network_gives_a_code_that_fits_or_none(
        reference_mv: u32,
        top_ohm: u32,
        bottom_ohm: u32,
        full_scale_na: u32,
        mv: u32,
    ) {
        let network = Network { reference_mv, top_ohm, bottom_ohm, full_scale_na };
        let _ = network.range_mv();
        if let Some(code) = network.code(mv)
            && let Some(uv) = network.voltage_uv(code)
        {
            prop_assert!(u64::from(uv) <= u64::from(mv) * 1_000 + 1);
        }
    }

    #[test]
    fn tps546_output_is_at_most_what_was_asked_for(mv in 1_000_u32..=2_000) {
        let mut bus = fresh_tps546();
        let mut part = Tps546::new(&mut bus, 0x24, tps546::Config::BITAXE_5V);
        part.set_output_mv(mv).unwrap();
        // Rounded to the nearest when read: 1 mV at the most.
        prop_assert!(part.set_point_mv().unwrap().abs_diff(mv) <= 2);
        let volts = f64::from(bus.word_le(0x21)) / 512.0;
        prop_assert!(volts * 1_000.0 <= f64::from(mv) + 1e-9);
    }
}
