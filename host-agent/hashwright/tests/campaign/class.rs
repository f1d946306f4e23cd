//! Board classes: one board of each way to be powered, cooled and reached.

use std::time::Duration;

use board_profiles::{PinRole, Profile};
use board_simulator::board::{BoardSpec, Controller, Fault, Part, Probe, VirtualBoard};
use hashwright::config::{self, Sim};
use hashwright::simulate;

/// A kind of board that the campaign breaks.
#[derive(Debug)]
pub struct Class {
    /// Name in tables.
    pub name: &'static str,
    pub profile: &'static str,
    pub revision: Option<&'static str>,
    pub controller: Controller,
    /// What is special about it.
    pub what: &'static str,
    /// Whether virtual time is dear, because there are many chips.
    pub large: bool,
}

/// All classes, cheap ones first.
pub const CLASSES: [Class; 6] = [
    Class {
        name: "gamma",
        profile: "bitaxe-gamma",
        revision: None,
        controller: Controller::BitaxeRaw,
        what: "one chip with its own diode; PMBus regulator; controller without a guard",
        large: false,
    },
    Class {
        name: "gamma-guarded",
        profile: "bitaxe-gamma",
        revision: None,
        controller: Controller::Guarded,
        what: "the same board behind our controller application, with the guard inside",
        large: false,
    },
    Class {
        name: "ultra-204",
        profile: "bitaxe-ultra",
        revision: Some("204"),
        controller: Controller::BitaxeRaw,
        what: "one chip; current DAC at an analog regulator, power monitor, enable pin",
        large: false,
    },
    Class {
        name: "hex",
        profile: "bitaxe-hex",
        revision: None,
        controller: Controller::BitaxeRaw,
        what: "six chips, three domains in series, two fans; PMBus regulator",
        large: false,
    },
    Class {
        name: "nerdqaxe-pp",
        profile: "nerdqaxe-pp",
        revision: None,
        controller: Controller::BitaxeRaw,
        what: "four chips; three-phase regulator with VID codes",
        large: false,
    },
    Class {
        name: "s19k-pro",
        profile: "s19k-pro",
        revision: None,
        controller: Controller::Bitcrane,
        what: "77 chips in series domains, fed by an Antminer power supply; four fans",
        large: true,
    },
];

impl Class {
    /// The class of that name.
    pub fn named(name: &str) -> &'static Self {
        CLASSES
            .iter()
            .find(|class| class.name == name)
            .expect("a class")
    }

    pub fn profile(&self) -> Profile {
        let profile = Profile::builtin(self.profile).expect("profile");
        profile.for_revision(self.revision)
    }

    /// Such a board in a config; its chips hash as little as chips can.
    pub fn board(&self, seed: u64) -> config::Board {
        let profile = Profile::builtin(self.profile).expect("profile");
        let mut board = config::Board::simulated(profile, seed);
        board.revision = self.revision.map(str::to_owned);
        if let Some(sim) = &mut board.sim {
            sim.scale_bits = board.profile.max_scale_bits();
            sim.controller = Some(self.controller);
        }
        board
    }

    /// What the simulator makes of it.
    pub fn spec(&self) -> BoardSpec {
        let profile = self.profile();
        let mut sim = Sim::new(&profile, 1);
        sim.controller = Some(self.controller);
        simulate::board(&profile, &sim).expect("spec")
    }

    /// Places where faults can be.
    pub fn places(&self) -> Places {
        let spec = self.spec();
        let board = VirtualBoard::new(&spec).expect("board");
        let sensors = board.sensors();
        let feels = |wanted: fn(&Probe) -> bool| sensors.iter().position(|s| wanted(&s.probe));
        let die = feels(|probe| matches!(probe, Probe::Die(_)));
        let warm = feels(|probe| matches!(probe, Probe::Board(_)));
        let device = |wanted: fn(&Part) -> bool| spec.devices.iter().position(|d| wanted(&d.part));
        let supply = device(|part| {
            matches!(
                part,
                Part::Tps546 { .. } | Part::Tps53647 | Part::Tps53667 | Part::Apw { .. }
            ) || matches!(part, Part::Ds4432u { .. })
        });
        let monitor = device(|part| matches!(part, Part::Ina260));
        let cooler = device(|part| matches!(part, Part::Emc2101 { .. } | Part::Emc2302 { .. }));
        let thermometer = device(|part| matches!(part, Part::Tmp1075 { .. } | Part::Lm75 { .. }));
        let eeprom = device(|part| matches!(part, Part::At24 { .. }));
        Places {
            sensors: sensors.len(),
            hottest: die.or(warm).unwrap_or(0),
            diode: die,
            fans: usize::from(spec.physics.fans.count),
            chips: spec.chain.chips,
            domains: spec.chain.domains,
            devices: spec.devices.len(),
            supply: supply.expect("a supply"),
            monitor,
            cooler,
            thermometer,
            eeprom,
            bus: spec.devices[supply.expect("a supply")].bus,
            regulator_input_v: match spec.physics.supply {
                board_simulator::physics::SupplySpec::Regulator(regulator) => {
                    Some(regulator.input_mv / 1000.0)
                }
                board_simulator::physics::SupplySpec::Psu(_) => None,
            },
            full_rpm: spec.physics.fans.max_rpm,
        }
    }

    /// Whether a pin cuts the core supply without any bus.
    pub fn has_core_pin(&self) -> bool {
        let profile = self.profile();
        let bridge = profile.bridge.as_ref().expect("a bridge");
        bridge
            .enables_in(0)
            .any(|pin| matches!(pin.role, PinRole::Core | PinRole::Psu))
    }

    /// Why nobody could have cut power with these faults on such a board, if so.
    pub fn beyond(&self, faults: &[Fault]) -> Option<&'static str> {
        let places = self.places();
        let guarded = self.controller == Controller::Guarded;
        faults.iter().find_map(|fault| match *fault {
            Fault::SupplyStuckOn => Some("nothing can switch it off"),
            Fault::ControlSilent | Fault::ControlGarbage | Fault::ControlClosed if !guarded => {
                Some("no guard on the controller")
            }
            Fault::ControlSlow { ms } if ms > 500.0 && !guarded => {
                Some("no guard on the controller")
            }
            Fault::BusStuck { bus } if bus == places.bus && !self.has_core_pin() => {
                Some("the regulator cannot be reached")
            }
            Fault::DeviceAbsent { device } if device == places.supply && !self.has_core_pin() => {
                Some("the regulator cannot be reached")
            }
            _ => None,
        })
    }

    /// Time that switching off may take after consent is gone, until the output has fallen: the
    /// regulator's or the supply's own, and a tick of the station.
    pub fn actuation(&self) -> Duration {
        Duration::from_millis(1500)
    }
}

/// Where faults can be on a board, by the simulator's numbers.
#[derive(Clone, Debug)]
pub struct Places {
    pub sensors: usize,
    /// The sensor nearest to a die.
    pub hottest: usize,
    /// A sensor that is an external diode.
    pub diode: Option<usize>,
    pub fans: usize,
    pub chips: u16,
    pub domains: u16,
    pub devices: usize,
    /// The device that makes the core voltage.
    pub supply: usize,
    pub monitor: Option<usize>,
    /// The fan controller.
    pub cooler: Option<usize>,
    pub thermometer: Option<usize>,
    pub eeprom: Option<usize>,
    /// Bus of the supply.
    pub bus: u8,
    /// Input voltage of a regulator.
    pub regulator_input_v: Option<f64>,
    pub full_rpm: f64,
}
