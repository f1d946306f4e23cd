//! Random runs: any class, room and quality, one mishap or two, at any time. A number makes a run, always
//! the same.

use std::time::Duration;

use board_simulator::board::Fault;
use fastrand::Rng;
use hashwright::config::Quality;

use crate::class::{CLASSES, Places};
use crate::run::{Mishap, Run, When};

/// The run of that number.
pub fn run(number: u64) -> Run {
    let mut rng = Rng::with_seed(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x6861_7368);
    // Boards with many chips cost as much time as ten others.
    let small = CLASSES.iter().filter(|class| !class.large).count();
    let class = match rng.u32(..30) {
        0 => &CLASSES[small + rng.usize(..CLASSES.len() - small)],
        _ => &CLASSES[rng.usize(..small)],
    };
    let places = class.places();
    let mishaps = (0..1 + usize::from(rng.u32(..100) < 35))
        .map(|_| {
            let mishap = mishap(&mut rng, &places);
            let when = match (rng.u32(..100), mishap) {
                (0..15, Mishap::Board(_)) => When::AtStart,
                _ => When::Mining(Duration::from_millis(rng.u64(..60_000))),
            };
            (mishap, when)
        })
        .collect();
    Run {
        class,
        seed: rng.u64(..1 << 40),
        ambient_c: between(&mut rng, 5.0, 38.0),
        quality: [Quality::Good, Quality::Normal, Quality::Poor][rng.usize(..3)],
        mishaps,
        observe: Duration::from_millis(rng.u64(40_000..140_000)),
    }
}

fn mishap(rng: &mut Rng, places: &Places) -> Mishap {
    match rng.u32(..100) {
        0..3 => Mishap::HostFreezes(Duration::from_millis(rng.u64(300..40_000))),
        3..6 => Mishap::HostHangs,
        6..8 => Mishap::HostDies,
        8..10 => Mishap::ProgramBreaks,
        _ => Mishap::Board(fault(rng, places)),
    }
}

fn fault(rng: &mut Rng, places: &Places) -> Fault {
    let sensor = rng.usize(..places.sensors.max(1));
    let device = rng.usize(..places.devices.max(1));
    let fan = rng.usize(..places.fans.max(1));
    let chip = rng.u16(..places.chips);
    let rpm = between(rng, 0.2, 1.1) * places.full_rpm;
    match rng.u32(..37) {
        0 => Fault::ChipDead { chip },
        1 => Fault::ChipSlow {
            mv: between(rng, 10.0, 150.0),
            chip,
        },
        2 => Fault::DomainOpen {
            domain: rng.u16(..places.domains),
        },
        3 => Fault::SensorFrozen { sensor },
        4 => Fault::SensorReads {
            celsius: [-1.0, 127.9, 0.0, 85.0, -40.0][rng.usize(..5)],
            sensor,
        },
        5 => Fault::SensorReads {
            celsius: between(rng, -60.0, 130.0),
            sensor,
        },
        6 => Fault::SensorOffset {
            kelvin: between(rng, -40.0, 40.0),
            sensor,
        },
        7 => Fault::SensorDrift {
            kelvin_per_minute: between(rng, -12.0, 12.0),
            sensor,
        },
        8 => Fault::SensorJumps { sensor },
        9 => Fault::SensorOpen { sensor },
        10 => Fault::SensorShort { sensor },
        11 => Fault::DeviceAbsent { device },
        12 => Fault::DeviceWrong { device },
        13 => Fault::BusStuck { bus: places.bus },
        14 => Fault::EepromCorrupt,
        15 => Fault::EepromForeign,
        16 => Fault::SupplyStuckOn,
        17 => Fault::SupplyDead,
        18 => Fault::SupplyWrong {
            factor: between(rng, 0.3, 1.4),
        },
        19 => Fault::SupplyFrozen,
        20 => Fault::SupplyMisreports {
            factor: between(rng, 0.5, 1.5),
        },
        21 => Fault::SupplyTrips,
        22 => Fault::InputVoltage {
            volts: places.regulator_input_v.unwrap_or(230.0) * between(rng, 0.3, 1.4),
        },
        23 => Fault::FanStuck { fan },
        24 => Fault::FanTachLost { fan },
        25 => Fault::FanTachFrozen { rpm, fan },
        26 => Fault::FanFaked { rpm, fan },
        27 => Fault::FanInverted { fan },
        28 => Fault::FanWorn {
            share: between(rng, 0.0, 1.0),
            fan,
        },
        29 => Fault::FansDead,
        30 => Fault::Ambient {
            celsius: between(rng, -10.0, 75.0),
        },
        31 => Fault::Dust {
            factor: between(rng, 1.0, 6.0),
        },
        32 => Fault::UartNoise {
            share: between(rng, 0.0, 0.2),
        },
        33 => Fault::UartDead,
        34 => Fault::ControlSilent,
        35 => match rng.u32(..2) {
            0 => Fault::ControlGarbage,
            _ => Fault::ControlSlow {
                ms: between(rng, 1.0, 5000.0),
            },
        },
        _ => Fault::ControlClosed,
    }
}

fn between(rng: &mut Rng, low: f64, high: f64) -> f64 {
    let value = low + (high - low) * rng.f64();
    // Whoever repeats a run by hand writes it down.
    (value * 100.0).round() / 100.0
}
