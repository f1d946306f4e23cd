//! The fault library: everything that is broken on purpose, per board class, with what has to come of it.

use std::time::Duration;

use board_simulator::board::{Controller, Fault};

use crate::class::{Class, Places};
use crate::run::{Mishap, When};

/// Time after the start of mining at which things break.
const LATER: Duration = Duration::from_secs(30);
/// How long a case is watched.
const WATCHED: Duration = Duration::from_secs(100);
/// What a guard calls a board that it cannot hear.
const SILENCE: &[&str] = &[
    "temperature-stale",
    "fan-unreadable",
    "regulator-stale",
    "device-absent",
];
/// A sensor that stands still; one that another contradicts before that is long enough is implausible.
const FROZEN: &[&str] = &["temperature-frozen", "temperature-implausible"];
/// The longest reaction that the guard promises, the time that fans take to slow down, and a tick.
pub const PROMPT: Duration = Duration::from_millis(6500);

/// One thing that goes wrong, alone or with another that shows it.
#[derive(Clone, Debug)]
pub struct Case {
    pub mishaps: Vec<(Mishap, When)>,
    pub observe: Duration,
    /// The guard has to name one of these first; empty: whatever it says.
    pub named: &'static [&'static str],
    /// Core power has to be off so soon.
    pub cut: Option<Duration>,
    /// The board must not get power at all.
    pub never_on: bool,
    /// The board has to go on mining without a restart.
    pub mines_on: bool,
}

impl Case {
    fn of(mishap: Mishap, when: When) -> Self {
        Self {
            mishaps: vec![(mishap, when)],
            observe: WATCHED,
            named: &[],
            cut: None,
            never_on: false,
            mines_on: false,
        }
    }

    fn cut(mut self, named: &'static [&'static str]) -> Self {
        (self.named, self.cut) = (named, Some(PROMPT));
        self
    }

    fn named(mut self, named: &'static [&'static str]) -> Self {
        self.named = named;
        self
    }

    fn refused(mut self, named: &'static [&'static str]) -> Self {
        (self.named, self.never_on) = (named, true);
        self
    }

    fn mines_on(mut self) -> Self {
        self.mines_on = true;
        self
    }

    fn watched(mut self, seconds: u64) -> Self {
        self.observe = Duration::from_secs(seconds);
        self
    }

    /// Something else goes wrong a little later, and only that shows the first.
    fn then(mut self, mishap: Mishap) -> Self {
        let later = When::Mining(LATER + Duration::from_secs(10));
        self.mishaps.push((mishap, later));
        self
    }

    /// As a person writes it.
    pub fn name(&self) -> String {
        let names: Vec<_> = self
            .mishaps
            .iter()
            .map(|(mishap, when)| match when {
                When::AtStart => format!("{mishap} from the start"),
                When::Mining(_) => mishap.to_string(),
            })
            .collect();
        names.join(", then ")
    }
}

/// Everything that breaks on boards of a class.
pub fn cases(class: &Class) -> Vec<Case> {
    let places = class.places();
    let mut all = while_mining(&places);
    all.extend(of_the_host());
    all.extend(from_the_start(&places));
    if class.controller == Controller::Guarded {
        // The guard on the board finds fans that stand still before power, and the station does not
        // tell its reason yet.
        let fan = |case: &Case| {
            let start = |mishap: &(Mishap, When)| mishap.1 == When::AtStart;
            case.mishaps.iter().all(start) && case.name().starts_with("fan-")
        };
        all.iter_mut()
            .filter(|case| fan(case))
            .for_each(|case| case.named = &[]);
    }
    all
}

fn mining(fault: Fault) -> Case {
    Case::of(Mishap::Board(fault), When::Mining(LATER))
}

fn start(fault: Fault) -> Case {
    Case::of(Mishap::Board(fault), When::AtStart)
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn while_mining(places: &Places) -> Vec<Case> {
    let sensor = places.hottest;
    let mut all = vec![
        mining(Fault::ChipDead {
            chip: places.chips / 2,
        }),
        mining(Fault::ChipSlow { mv: 60.0, chip: 0 }),
        mining(Fault::DomainOpen { domain: 0 }),
        mining(Fault::SensorFrozen { sensor })
            .named(FROZEN)
            .watched(930),
        mining(Fault::SensorReads {
            celsius: -1.0,
            sensor,
        })
        .cut(&["temperature-implausible"]),
        mining(Fault::SensorReads {
            celsius: 127.9,
            sensor,
        })
        .cut(&["temperature-implausible", "temperature-limit"]),
        mining(Fault::SensorReads {
            celsius: 40.0,
            sensor,
        })
        .named(FROZEN)
        .watched(930),
        mining(Fault::SensorOffset {
            kelvin: -15.0,
            sensor,
        }),
        mining(Fault::SensorOffset {
            kelvin: 40.0,
            sensor,
        }),
        mining(Fault::SensorDrift {
            kelvin_per_minute: -5.0,
            sensor,
        })
        .watched(930),
        mining(Fault::SensorJumps { sensor }),
        mining(Fault::DeviceAbsent {
            device: places.supply,
        })
        .named(&["regulator-stale", "device-absent"]),
        mining(Fault::BusStuck { bus: places.bus }),
        mining(Fault::SupplyStuckOn).then(Mishap::Board(Fault::FanTachLost { fan: 0 })),
        mining(Fault::SupplyDead),
        mining(Fault::SupplyWrong { factor: 1.2 }).cut(&["over-voltage", "voltage-mismatch"]),
        mining(Fault::SupplyWrong { factor: 0.75 }).cut(&[
            "voltage-mismatch",
            "regulator-fault",
            "input-voltage",
        ]),
        mining(Fault::SupplyFrozen).then(Mishap::Board(Fault::Ambient { celsius: 50.0 })),
        mining(Fault::SupplyMisreports { factor: 0.8 }),
        mining(Fault::SupplyTrips),
        mining(Fault::FanStuck { fan: 0 }).cut(&["fan-stalled"]),
        mining(Fault::FanTachLost { fan: 0 }).cut(&["fan-stalled"]),
        mining(Fault::FanTachFrozen {
            rpm: 0.8 * places.full_rpm,
            fan: 0,
        }),
        mining(Fault::FanFaked {
            rpm: 0.8 * places.full_rpm,
            fan: 0,
        })
        .watched(300),
        mining(Fault::FanInverted { fan: 0 }),
        mining(Fault::FanWorn { share: 0.5, fan: 0 }).watched(300),
        mining(Fault::FansDead).cut(&["fan-stalled"]),
        mining(Fault::Ambient { celsius: 45.0 }).watched(300),
        mining(Fault::Ambient { celsius: 65.0 }).watched(300),
        mining(Fault::Dust { factor: 1.5 }).watched(300),
        mining(Fault::Dust { factor: 4.0 }).watched(300),
        mining(Fault::UartNoise { share: 0.01 }),
        mining(Fault::UartDead),
        mining(Fault::ControlSilent).cut(SILENCE),
        mining(Fault::ControlGarbage).named(SILENCE),
        mining(Fault::ControlSlow { ms: 2000.0 }).named(SILENCE),
        mining(Fault::ControlClosed).named(SILENCE),
    ];
    if let Some(volts) = places.regulator_input_v {
        all.push(
            mining(Fault::InputVoltage {
                volts: tenth(0.8 * volts),
            })
            .cut(&["input-voltage", "regulator-fault", "voltage-mismatch"]),
        );
        all.push(
            mining(Fault::InputVoltage {
                volts: tenth(1.2 * volts),
            })
            .cut(&["input-voltage", "regulator-fault", "voltage-mismatch"]),
        );
    } else {
        all.push(mining(Fault::InputVoltage { volts: 70.0 }));
    }
    if let Some(sensor) = places.diode {
        let wrong: &[&str] = &[
            "temperature-implausible",
            "temperature-stale",
            "temperature-limit",
        ];
        all.push(mining(Fault::SensorOpen { sensor }).cut(wrong));
        all.push(mining(Fault::SensorShort { sensor }).cut(wrong));
    }
    if let Some(device) = places.cooler {
        all.push(mining(Fault::DeviceAbsent { device }).cut(&[
            "fan-unreadable",
            "temperature-stale",
            "device-absent",
            "actuator-mismatch",
        ]));
    }
    if let Some(device) = places.thermometer {
        let silent: &[&str] = &["temperature-stale", "device-absent"];
        all.push(mining(Fault::DeviceAbsent { device }).cut(silent));
    }
    if let Some(device) = places.monitor {
        let silent: &[&str] = &["regulator-stale", "device-absent"];
        all.push(mining(Fault::DeviceAbsent { device }).cut(silent));
    }
    all
}

fn of_the_host() -> Vec<Case> {
    let mining = |mishap| Case::of(mishap, When::Mining(LATER));
    vec![
        mining(Mishap::HostFreezes(Duration::from_millis(1000))).mines_on(),
        mining(Mishap::HostFreezes(Duration::from_secs(20))),
        mining(Mishap::HostHangs),
        mining(Mishap::HostDies),
        mining(Mishap::ProgramBreaks),
    ]
}

fn from_the_start(places: &Places) -> Vec<Case> {
    let sensor = places.hottest;
    let fan = 0;
    let mut all = vec![
        start(Fault::SensorReads {
            celsius: -1.0,
            sensor,
        })
        .named(&["temperature-implausible", "temperature-stale"]),
        start(Fault::SensorReads {
            celsius: 127.9,
            sensor,
        })
        .named(&["temperature-implausible", "temperature-stale"]),
        start(Fault::FanStuck { fan }).refused(&["fan-stalled"]),
        start(Fault::FanTachLost { fan }).refused(&["fan-stalled"]),
        start(Fault::FanFaked {
            rpm: 0.9 * places.full_rpm,
            fan,
        })
        .refused(&["fan-spoofed", "fan-stalled"]),
        start(Fault::FanInverted { fan }).refused(&["fan-spoofed", "fan-stalled"]),
        start(Fault::SupplyDead),
        start(Fault::SupplyStuckOn),
        start(Fault::SupplyWrong { factor: 1.2 }),
        start(Fault::BusStuck { bus: places.bus }).refused(&[]),
        start(Fault::ControlSilent).refused(&[]),
        start(Fault::ControlGarbage).refused(&[]),
        start(Fault::Ambient { celsius: 65.0 }),
    ];
    let parts = [
        Some(places.supply),
        places.cooler,
        places.thermometer,
        places.monitor,
        places.eeprom,
    ];
    for device in parts.into_iter().flatten() {
        all.push(start(Fault::DeviceAbsent { device }).refused(&["device-absent"]));
        let eeprom = places.eeprom == Some(device);
        // Thermometers of this kind have no identity; memories have their contents.
        if places.thermometer != Some(device) && !eeprom {
            all.push(start(Fault::DeviceWrong { device }));
        }
    }
    if places.eeprom.is_some() {
        all.push(start(Fault::EepromForeign).refused(&["identity-mismatch"]));
        all.push(start(Fault::EepromCorrupt));
    }
    all
}
