//! What a virtual board is made of, as plain data: the chain, its physics, which parts sit on which bus, what its
//! controller's pins do and which protocol the controller speaks. A board profile fills it in.

use std::{fmt, str::FromStr, time::Duration};

use bridge::app::{Plan, PlanError};
use thiserror::Error;

use crate::{
    physics::{PhysicsError, PhysicsSpec},
    spec::{ChainSpec, SpecError},
};

/// A board to simulate, with its controller, its supply and its fans.
#[derive(Debug, Clone)]
pub struct BoardSpec {
    /// The chips on the wire.
    pub chain: ChainSpec,
    /// Power, heat and air. `boards` counts the machine's hash boards; only the first has a chain here, the others are taken
    /// to do as it does.
    pub physics: PhysicsSpec,
    /// Parts on the I2C buses.
    pub devices: Vec<DeviceSpec>,
    /// What the controller's pins do.
    pub pins: Vec<PinSpec>,
    /// The controller's firmware.
    pub controller: Controller,
    /// What [`Controller::Guarded`] takes the board to be; its pins, buses and fans are those here. Not used by the others.
    pub plan: Option<Plan>,
    /// ADC channels of the controller.
    pub adc: Vec<AdcSpec>,
    /// Temperature of the air around, °C, -40..=80. It wanders by a quarter of a kelvin in the course of minutes.
    pub ambient_c: f64,
    /// Whether a chip's diode can only be read while that chip has power; else it reads always.
    pub diodes_need_power: bool,
    /// How long after power and release from reset a chip's diode gives garbage.
    pub diode_settle: Duration,
    /// Seed of everything that the chain's and the physics' own seeds do not cover: sensor noise, garbage on a broken port.
    pub seed: u64,
}

impl BoardSpec {
    /// A board without parts: one fan line and a reset line, as a start to fill in.
    pub fn new(chain: ChainSpec, physics: PhysicsSpec, controller: Controller) -> Self {
        Self {
            chain,
            physics,
            devices: Vec::new(),
            pins: vec![PinSpec {
                number: 0,
                role: PinRole::Reset,
                active_high: false,
            }],
            controller,
            plan: None,
            adc: Vec::new(),
            ambient_c: 25.0,
            diodes_need_power: true,
            diode_settle: Duration::from_millis(500),
            seed: chain.seed,
        }
    }
}

/// One part on an I2C bus.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSpec {
    /// What it is and what it is connected to.
    pub part: Part,
    /// Bus as requests name it; 0 where there is one only.
    pub bus: u8,
    /// 7-bit address, 0x08..=0x77.
    pub address: u8,
}

/// Parts that can be simulated, with what they are connected to. Fans are counted from 0, in the order of the physics.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Fan controller with its own temperature and one external diode.
    Emc2101 {
        /// Fan on its PWM and tach pins.
        fan: Option<u8>,
        /// Where the part sits.
        local: Probe,
        /// What its diode pins measure; none: nothing is connected, it reads as open.
        diode: Option<Probe>,
        /// Ideality of that diode. With another factor in the part's register, readings are off by the ratio of the two.
        ideality: f64,
    },
    /// Fan controller with two external diodes.
    Emc2103 {
        /// Fan on its PWM and tach pins.
        fan: Option<u8>,
        /// Where the part sits.
        local: Probe,
        /// What its two diode inputs measure.
        diodes: [Option<Probe>; 2],
    },
    /// Two fans.
    Emc2302 {
        /// Fans on its channels 1 and 2.
        fans: [Option<u8>; 2],
    },
    /// Board sensor, 1/16 K.
    Tmp1075 {
        /// Where the part sits.
        local: Probe,
    },
    /// Board sensor with a remote diode, 1/16 K.
    Tmp451 {
        /// Where the part sits.
        local: Probe,
        /// What its diode pins measure; none reads as open.
        remote: Option<Probe>,
        /// How much too warm the remote channel reads at room temperature, K; the host has to correct it.
        remote_error_k: f64,
    },
    /// LM75 and its many successors.
    Lm75 {
        /// Where the part sits.
        local: Probe,
        /// Resolution, 9..=12 bits; 9 for the LM75 itself (half a kelvin).
        bits: u8,
    },
    /// Input voltage, current and power.
    Ina260,
    /// Current DAC that moves a regulator without a bus of its own.
    Ds4432u {
        /// Output that is connected, 0 or 1.
        output: u8,
        /// What it pulls at.
        feedback: Feedback,
    },
    /// PMBus buck regulator.
    Tps546 {
        /// The six identity bytes that it answers with.
        id: [u8; 6],
    },
    /// Multi-phase PMBus regulator with VID codes: device code 0x01F0.
    Tps53647,
    /// Its six-phase relative: device code 0x01F8.
    Tps53667,
    /// Eight pins behind I2C; pin `n` does what [`BoardSpec::pins`] says of pin `base + n`.
    Fxl6408 {
        /// Number of its first pin.
        base: u8,
    },
    /// EEPROM; one address byte up to 2048 bytes, two above. What is missing at the end reads 0xFF.
    At24 {
        /// Size in bytes, 128..=65536, a power of two.
        size: u32,
        /// What is in it.
        contents: Vec<u8>,
    },
    /// Antminer power supply with framed commands behind register 0x11.
    Apw {
        /// What it answers to the question for its type, 0x71 for an APW12.
        model: u8,
    },
}

impl Part {
    /// Part number as profiles write it.
    pub fn name(&self) -> &'static str {
        match self {
            Part::Emc2101 { .. } => "EMC2101",
            Part::Emc2103 { .. } => "EMC2103",
            Part::Emc2302 { .. } => "EMC2302",
            Part::Tmp1075 { .. } => "TMP1075",
            Part::Tmp451 { .. } => "TMP451",
            Part::Lm75 { .. } => "LM75",
            Part::Ina260 => "INA260",
            Part::Ds4432u { .. } => "DS4432U",
            Part::Tps546 { .. } => "TPS546",
            Part::Tps53647 => "TPS53647",
            Part::Tps53667 => "TPS53667",
            Part::Fxl6408 { .. } => "FXL6408",
            Part::At24 { .. } => "AT24",
            Part::Apw { .. } => "APW",
        }
    }

    /// Identity bytes of the TPS546D24A.
    pub const TPS546D24A_ID: [u8; 6] = [0x54, 0x49, 0x54, 0x6D, 0x24, 0x41];

    /// Identity bytes of the TPS546D24S.
    pub const TPS546D24S_ID: [u8; 6] = [0x54, 0x49, 0x54, 0x6D, 0x24, 0x62];

    /// Ideality of the diode in a BM1370.
    pub const BM1370_IDEALITY: f64 = 1.0319;

    /// Ideality that an EMC2101 takes a diode to have unless told otherwise.
    pub const DEFAULT_IDEALITY: f64 = 1.008;
}

/// The feedback divider of a regulator, and the DAC that pulls at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feedback {
    /// Voltage that the regulator holds at its feedback pin, mV.
    pub reference_mv: f64,
    /// Resistor from the output to the feedback pin, Ω.
    pub upper_ohm: f64,
    /// Resistor from the feedback pin to ground, Ω.
    pub lower_ohm: f64,
    /// Current of the DAC at code 127, µA.
    pub full_scale_ua: f64,
}

impl Feedback {
    /// The Bitaxe's TPS40305.
    pub const BITAXE: Self = Self {
        reference_mv: 600.0,
        upper_ohm: 4750.0,
        lower_ohm: 3320.0,
        full_scale_ua: 98.921,
    };
}

/// What a temperature sensor feels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Probe {
    /// The die of a chip, counted from the host; only while that chip has power, else an open diode or garbage.
    Die(u16),
    /// Board sensor of the physics, by its place in `thermal.sensors`.
    Board(u8),
    /// The core regulator.
    Regulator,
    /// Air at the inlet.
    Inlet,
    /// Air at the outlet.
    Outlet,
}

/// A pin of the controller or of an expander.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinSpec {
    /// Number in requests.
    pub number: u8,
    /// What hangs on it.
    pub role: PinRole,
    /// Level at which it does what its role says.
    pub active_high: bool,
}

/// What a pin does when it is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinRole {
    /// Holds the chips in reset.
    Reset,
    /// Lets the core regulator work.
    Core,
    /// Feeds the chips' I/O; without it they are deaf.
    Vddio,
    /// Switches the power supply on.
    Psu,
    /// Tells that the board is plugged in: an input.
    Plug,
}

/// A channel of the controller's ADC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdcSpec {
    /// Command on the ADC page.
    pub channel: u8,
    /// True: the core voltage; false: the input voltage.
    pub core: bool,
    /// Voltage at a reading of `full_scale`, mV.
    pub full_scale_mv: f64,
    /// Highest reading.
    pub full_scale: u16,
}

/// Firmware of a board controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Controller {
    /// bitaxe-raw as most boards carry it: answers whose length counts the data.
    BitaxeRaw,
    /// bitaxe-raw of 2026: answers whose length counts everything, a fan page, and everything off when the port closes.
    BitaxeRawTotal,
    /// emberone-usbserial from 5.1: answers with a status byte.
    Emberone,
    /// bitcrane: three hash boards and four fans, no status byte. The power supply is on bus 1 (assumed).
    Bitcrane,
    /// Our own controller application, with the guard inside.
    Guarded,
}

impl Controller {
    /// Every kind.
    pub const ALL: [Controller; 5] = [
        Controller::BitaxeRaw,
        Controller::BitaxeRawTotal,
        Controller::Emberone,
        Controller::Bitcrane,
        Controller::Guarded,
    ];

    /// Name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Controller::BitaxeRaw => "bitaxe-raw",
            Controller::BitaxeRawTotal => "bitaxe-raw-total",
            Controller::Emberone => "emberone",
            Controller::Bitcrane => "bitcrane",
            Controller::Guarded => "guarded",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Controller {
    type Err = BoardError;

    fn from_str(text: &str) -> Result<Self, BoardError> {
        Controller::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| BoardError::UnknownController(text.to_owned()))
    }
}

/// Why a [`BoardSpec`] cannot be simulated, or a name is not understood.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum BoardError {
    /// The chain's numbers.
    #[error(transparent)]
    Chain(#[from] SpecError),
    /// The physics' numbers.
    #[error(transparent)]
    Physics(#[from] PhysicsError),
    /// The plan of our own controller application.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Our own controller application without a plan.
    #[error("a guarded controller needs a plan of its board")]
    NoPlan,
    /// Chain and physics count chips differently.
    #[error("the chain has {chain} chips, the physics {physics}")]
    Chips {
        /// Chips of the chain.
        chain: u16,
        /// Chips of one board of the physics.
        physics: u16,
    },
    /// A 7-bit address that no device may have.
    #[error("{part} cannot have address {address:#04x}; expected 0x08 to 0x77")]
    Address {
        /// Part number.
        part: &'static str,
        /// The address.
        address: u8,
    },
    /// Two devices at one place.
    #[error("{first} and {second} are both at address {address:#04x} of bus {bus}")]
    AddressTaken {
        /// Part that is there.
        first: &'static str,
        /// Part that cannot be there as well.
        second: &'static str,
        /// Their address.
        address: u8,
        /// Their bus.
        bus: u8,
    },
    /// A part is connected to something that is not there.
    #[error("{part}: {what} {index} is not there; there are {count}")]
    Connection {
        /// Part number, or `fault`.
        part: &'static str,
        /// Kind of thing.
        what: &'static str,
        /// Which.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A number outside its range.
    #[error("{what} is {min} to {max}, not {value}")]
    Range {
        /// Name of the number.
        what: &'static str,
        /// Its value.
        value: f64,
        /// Lowest.
        min: f64,
        /// Highest.
        max: f64,
    },
    /// No controller has that name.
    #[error(
        "unknown controller {0:?}; expected bitaxe-raw, bitaxe-raw-total, emberone, bitcrane or guarded"
    )]
    UnknownController(String),
    /// No fault has that name, or its argument does not fit.
    #[error("unknown fault {text:?}; expected {expected}")]
    UnknownFault {
        /// What was read.
        text: String,
        /// What would do.
        expected: String,
    },
}

impl BoardSpec {
    /// Refuses a board that cannot be built.
    ///
    /// # Errors
    ///
    /// [`BoardError`] names the first thing that does not fit.
    pub fn check(&self) -> Result<(), BoardError> {
        self.physics.check()?;
        if self.physics.chips() != self.chain.chips {
            return Err(BoardError::Chips {
                chain: self.chain.chips,
                physics: self.physics.chips(),
            });
        }
        within("ambient_c", self.ambient_c, -40.0, 80.0)?;
        if self.controller == Controller::Guarded && self.plan.is_none() {
            return Err(BoardError::NoPlan);
        }
        for (i, device) in self.devices.iter().enumerate() {
            self.check_device(device)?;
            if let Some(other) = self.devices[..i]
                .iter()
                .find(|other| (other.bus, other.address) == (device.bus, device.address))
            {
                return Err(BoardError::AddressTaken {
                    first: other.part.name(),
                    second: device.part.name(),
                    address: device.address,
                    bus: device.bus,
                });
            }
        }
        for adc in &self.adc {
            within("adc full_scale_mv", adc.full_scale_mv, 1.0, 1e6)?;
            within("adc full_scale", f64::from(adc.full_scale), 1.0, 65535.0)?;
        }
        Ok(())
    }

    fn check_device(&self, device: &DeviceSpec) -> Result<(), BoardError> {
        let part = device.part.name();
        if !(0x08..=0x77).contains(&device.address) {
            return Err(BoardError::Address {
                part,
                address: device.address,
            });
        }
        let missing = |what, index, count| {
            Err(BoardError::Connection {
                part,
                what,
                index,
                count,
            })
        };
        let (fans, probes) = device.part.connections();
        for fan in fans {
            if u16::from(fan) >= self.physics.fans.count {
                return missing("fan", fan.into(), self.physics.fans.count.into());
            }
        }
        for probe in probes {
            match probe {
                Probe::Die(chip) if chip >= self.chain.chips => {
                    return missing("chip", chip.into(), self.chain.chips.into());
                }
                Probe::Board(sensor)
                    if usize::from(sensor) >= self.physics.thermal.sensors.len() =>
                {
                    let count = self.physics.thermal.sensors.len();
                    return missing("board sensor", sensor.into(), count);
                }
                _ => {}
            }
        }
        match &device.part {
            Part::Lm75 { bits, .. } => within("LM75 bits", f64::from(*bits), 9.0, 12.0),
            Part::Ds4432u { output, feedback } => {
                within("DS4432U output", f64::from(*output), 0.0, 1.0)?;
                within("feedback upper_ohm", feedback.upper_ohm, 1.0, 1e7)?;
                within("feedback lower_ohm", feedback.lower_ohm, 1.0, 1e7)?;
                within("feedback reference_mv", feedback.reference_mv, 1.0, 1e4)?;
                within("feedback full_scale_ua", feedback.full_scale_ua, 0.0, 1e4)
            }
            Part::At24 { size, .. } => {
                within("EEPROM size", f64::from(*size), 128.0, 65536.0)?;
                within(
                    "bits set in an EEPROM's size",
                    f64::from(size.count_ones()),
                    1.0,
                    1.0,
                )
            }
            Part::Emc2101 { ideality, .. } => within("ideality", *ideality, 0.9, 1.2),
            Part::Tmp451 { remote_error_k, .. } => {
                within("remote_error_k", *remote_error_k, -50.0, 50.0)
            }
            _ => Ok(()),
        }
    }
}

impl Part {
    /// Fans and temperatures that the part is connected to. Remote channels come first: they are what boards use.
    pub(super) fn connections(&self) -> (Vec<u8>, Vec<Probe>) {
        match self {
            Part::Emc2101 {
                fan, local, diode, ..
            } => (
                fan.iter().copied().collect(),
                diode.iter().copied().chain([*local]).collect(),
            ),
            Part::Emc2103 { fan, local, diodes } => (
                fan.iter().copied().collect(),
                diodes.iter().flatten().copied().chain([*local]).collect(),
            ),
            Part::Emc2302 { fans } => (fans.iter().flatten().copied().collect(), Vec::new()),
            Part::Tmp451 { local, remote, .. } => {
                (Vec::new(), remote.iter().copied().chain([*local]).collect())
            }
            Part::Tmp1075 { local } | Part::Lm75 { local, .. } => (Vec::new(), vec![*local]),
            Part::Tps546 { .. } | Part::Tps53647 | Part::Tps53667 => {
                (Vec::new(), vec![Probe::Regulator])
            }
            Part::Ina260
            | Part::Ds4432u { .. }
            | Part::Fxl6408 { .. }
            | Part::At24 { .. }
            | Part::Apw { .. } => (Vec::new(), Vec::new()),
        }
    }
}

pub(super) fn within(what: &'static str, value: f64, min: f64, max: f64) -> Result<(), BoardError> {
    // Written so that NaN is refused too.
    if value >= min && value <= max {
        Ok(())
    } else {
        Err(BoardError::Range {
            what,
            value,
            min,
            max,
        })
    }
}
