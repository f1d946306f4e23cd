//! Hard limits of one power group, as the board's profile states them. They are checked once, when a guard is made from
//! them; nothing can change them afterwards.

use core::time::Duration;

use crate::units::millis;
use crate::{CentiCelsius, Kilohertz, Milliamps, Millivolts, Milliwatts, Percent, Rpm, Slots};

/// The most temperature sensors of one power group.
pub const MAX_SENSORS: usize = 16;
/// The most fans of one power group.
pub const MAX_FANS: usize = 8;
/// The most rails of one power group.
pub const MAX_RAILS: usize = 4;

/// No hazard may last longer than this before power is withdrawn. At about 0.8 K/s without any air flow a board warms
/// by 4 K in this time.
pub const MAX_REACTION: Duration = Duration::from_secs(5);

/// Readings at or above this are an open or shorted diode with most sensors, never a temperature.
pub const IMPLAUSIBLE_FROM: CentiCelsius = CentiCelsius(12_600);
/// Exactly this is what drivers and boards report for "no reading".
pub const IMPLAUSIBLE_EXACT: CentiCelsius = CentiCelsius(-100);

/// Everything that one power group (what is switched off together) may never pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Temperature sensors. At least one must be required and readable without power.
    pub sensors: Slots<SensorLimits, MAX_SENSORS>,
    /// Fans. With no required fan at all power is granted in immersion mode only.
    pub fans: Slots<FanLimits, MAX_FANS>,
    /// Rails whose status can be read.
    pub rails: Slots<RailLimits, MAX_RAILS>,
    /// The highest clock of the chips.
    pub max_frequency: Kilohertz,
    /// The highest voltage that may be set.
    pub max_voltage: Millivolts,
    /// The highest power of all rails together, where they measure it.
    pub max_power: Option<Milliwatts>,
    /// The range of the input voltage, where it is measured.
    pub input: Option<(Millivolts, Millivolts)>,
    /// The lowest duty of the fans while power is on. Must be above every required fan's dead band.
    pub min_duty: Percent,
    /// All deadlines.
    pub timing: Timing,
}

impl Limits {
    /// Limits without any sensor, fan or rail yet, a lowest duty of 20 % and default timing.
    pub fn new(max_frequency: Kilohertz, max_voltage: Millivolts) -> Self {
        Self {
            sensors: Slots::new(),
            fans: Slots::new(),
            rails: Slots::new(),
            max_frequency,
            max_voltage,
            max_power: None,
            input: None,
            min_duty: Percent::new(20),
            timing: Timing::default(),
        }
    }

    /// Whether these limits can protect anything.
    ///
    /// # Errors
    /// [`LimitsError`] names the first thing that makes no sense.
    pub fn check(&self) -> Result<(), LimitsError> {
        self.timing.check()?;
        if self.max_frequency.0 == 0 || self.max_voltage.0 == 0 {
            return Err(LimitsError::Zero);
        }
        if !self.sensors.iter().any(|s| s.required && !s.needs_power) {
            return Err(LimitsError::NoSensor);
        }
        for (index, sensor) in self.sensors.iter().enumerate() {
            let (low, high) = sensor.valid;
            if !(low < sensor.hot && sensor.hot < sensor.off && sensor.off <= high)
                || sensor.off >= IMPLAUSIBLE_FROM
            {
                return Err(LimitsError::SensorOrder {
                    index,
                    hot: sensor.hot,
                    off: sensor.off,
                });
            }
        }
        for (index, fan) in self.fans.iter().enumerate() {
            if fan.max_rpm.0 == 0 || fan.tolerance >= Percent::FULL {
                return Err(LimitsError::FanSpeed { index });
            }
            if fan.tach_proof && self.timing.proof_duty > MAX_PROOF_DUTY {
                return Err(LimitsError::ProofDuty {
                    duty: self.timing.proof_duty,
                });
            }
            if fan.required && self.min_duty <= fan.dead_band {
                return Err(LimitsError::FanDeadBand {
                    index,
                    min_duty: self.min_duty,
                    dead_band: fan.dead_band,
                });
            }
        }
        for (index, rail) in self.rails.iter().enumerate() {
            let highest = match rail.role {
                RailRole::Core => self.max_voltage,
                RailRole::Fixed(nominal) => nominal,
            };
            if rail.max_voltage < highest {
                return Err(LimitsError::RailVoltage {
                    index,
                    max: rail.max_voltage,
                    needed: highest,
                });
            }
        }
        if self.input.is_some_and(|(low, high)| low >= high) {
            return Err(LimitsError::InputRange);
        }
        Ok(())
    }
}

/// Where a temperature is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SensorKind {
    /// In or on a hashing chip.
    Chip,
    /// On the board.
    Board,
    /// In the voltage regulator.
    Regulator,
    /// The air that comes in. May stand still for hours without being frozen.
    Ambient,
}

/// One temperature sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SensorLimits {
    /// Where it sits.
    pub kind: SensorKind,
    /// Power goes off at this reading, at once.
    pub off: CentiCelsius,
    /// From here on fans run at 100 %; throttling, which is not the guard's, begins here too. Power is not granted
    /// while a reading is at or above it.
    pub hot: CentiCelsius,
    /// Readings outside are implausible.
    pub valid: (CentiCelsius, CentiCelsius),
    /// After this long without any change while power is on, the sensor counts as frozen.
    pub frozen_after: Duration,
    /// Power needs a fresh reading of this sensor.
    pub required: bool,
    /// It can be read only while power is on, as the diodes of many chips. Such a sensor is not waited for before
    /// power is granted, but must answer within [`Timing::sensor_grace`] once the board has power.
    pub needs_power: bool,
}

impl SensorLimits {
    /// A required sensor that switches off at `off`, is hot 5 K below, is valid from -40 °C to 125 °C and resolves a
    /// quarter of a degree or better.
    pub fn new(kind: SensorKind, off: CentiCelsius) -> Self {
        Self {
            kind,
            off,
            hot: off.less(CentiCelsius(500)),
            valid: (CentiCelsius(-4_000), CentiCelsius(12_500)),
            frozen_after: Self::frozen_after(CentiCelsius(25)),
            required: true,
            needs_power: false,
        }
    }

    /// How long a working sensor whose smallest step is `lsb` may show the very same value while its board works:
    /// 2 minutes for steps up to 0.25 K, 15 minutes for coarser ones.
    pub fn frozen_after(lsb: CentiCelsius) -> Duration {
        Duration::from_secs(if lsb.0 <= 25 { 120 } else { 900 })
    }
}

/// One fan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FanLimits {
    /// Its speed at full duty.
    pub max_rpm: Rpm,
    /// It may stand still at this duty and below.
    pub dead_band: Percent,
    /// How far below `max_rpm` times duty a working fan may be.
    pub tolerance: Percent,
    /// How long it takes to reach a new speed.
    pub spin_up: Duration,
    /// Power needs this fan. Others are shown but decide nothing.
    pub required: bool,
    /// Before power is granted its tach must follow a change of duty, which a dummy plug cannot.
    pub tach_proof: bool,
}

impl FanLimits {
    /// A required fan with a dead band of 10 %, a tolerance of 40 %, 6 s to spin up, and no tach proof.
    pub fn new(max_rpm: Rpm) -> Self {
        Self {
            max_rpm,
            dead_band: Percent::new(10),
            tolerance: Percent::new(40),
            spin_up: Duration::from_secs(6),
            required: true,
            tach_proof: false,
        }
    }

    /// The lowest speed that a working fan shows at `duty`; zero within the dead band.
    pub fn expected(&self, duty: Percent) -> Rpm {
        if duty <= self.dead_band {
            return Rpm(0);
        }
        Rpm(self.tolerance.rest().of(duty.of(self.max_rpm.0)))
    }
}

/// What a rail is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RailRole {
    /// Feeds the chips: follows the set point.
    Core,
    /// Has one voltage.
    Fixed(Millivolts),
}

/// One rail whose status can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RailLimits {
    /// What it is for.
    pub role: RailRole,
    /// A measured voltage above this latches at once. At least the highest set point plus the measurement's error.
    pub max_voltage: Millivolts,
    /// How far the measured voltage may be from the set one.
    pub tolerance: Millivolts,
    /// How long the voltage may take to reach a new set point, or to come up once the board has power.
    pub settle: Duration,
    /// The highest current, where it is measured.
    pub max_current: Option<Milliamps>,
    /// Power needs this rail's status.
    pub required: bool,
    /// The guard's grant switches it: without grant it must be off.
    pub switched: bool,
    /// A voltage above this is on.
    pub off_below: Millivolts,
    /// How long it may keep its voltage after power was withdrawn.
    pub discharge: Duration,
}

impl RailLimits {
    /// A required core rail that the grant switches: 5 % tolerance of `max_voltage`, 10 % head room, off below a
    /// quarter of it, 2 s to settle, 3 s to discharge.
    pub fn core(max_voltage: Millivolts) -> Self {
        Self {
            role: RailRole::Core,
            max_voltage: Millivolts(max_voltage.0.saturating_add(max_voltage.0 / 10)),
            tolerance: Millivolts(max_voltage.0 / 20),
            settle: Duration::from_secs(2),
            max_current: None,
            required: true,
            switched: true,
            off_below: Millivolts(max_voltage.0 / 4),
            discharge: Duration::from_secs(3),
        }
    }

    /// A required rail of one voltage that is on all the time: 5 % tolerance, 10 % head room.
    pub fn fixed(nominal: Millivolts) -> Self {
        Self {
            role: RailRole::Fixed(nominal),
            switched: false,
            ..Self::core(nominal)
        }
    }
}

/// All deadlines and pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A required sensor's last good reading may be this old. Default 3 s, at most [`MAX_REACTION`].
    pub sensor_max_age: Duration,
    /// How long a sensor that needs power may take to answer once the board has it. Default 5 s, at most
    /// [`MAX_REACTION`].
    pub sensor_grace: Duration,
    /// How long after the grant the board may take to come up; then it counts as having power whether that was seen
    /// or not. Default 20 s.
    pub start_up: Duration,
    /// A required fan's last adequate reading may be this old. Default 4 s, at most [`MAX_REACTION`].
    pub fan_max_age: Duration,
    /// A required rail's last good reading may be this old. Default 3 s, at most [`MAX_REACTION`].
    pub rail_max_age: Duration,
    /// The supervisor's last heartbeat may be this old. Default 3 s, at most [`MAX_REACTION`].
    pub lease: Duration,
    /// A check that takes longer has failed, and names what is missing. Default 60 s.
    pub check: Duration,
    /// The duty at which a fan with a tach proof has to be slow. Default 30 %.
    pub proof_duty: Percent,
    /// How far below its limit each temperature must be to count as cool. Default 15 K.
    pub cool_margin: CentiCelsius,
    /// Fans stay at 100 % for at least this long after the last doubt. Default 30 s.
    pub doubt_hold: Duration,
    /// A sensor that has not moved since power came on is frozen after this long above [`busy`](Self::busy). Default
    /// 30 s.
    pub must_move: Duration,
    /// The share of the highest power from which sensors must move. Default 30 %.
    pub busy: Percent,
    /// The pause after a first fault; doubles with each further one. Default 30 s.
    pub pause: Duration,
    /// The longest pause. Default 10 min.
    pub max_pause: Duration,
    /// This many faults within [`window`](Self::window) latch. Default 3, at most [`MAX_FAULTS`].
    pub max_faults: u8,
    /// Faults older than this are forgotten. Default 60 min.
    pub window: Duration,
}

/// The highest [`Timing::proof_duty`]: a real fan must have room to speed up.
const MAX_PROOF_DUTY: Percent = Percent::new(60);

/// The most faults that [`Timing::max_faults`] can allow.
pub const MAX_FAULTS: u8 = 8;

impl Timing {
    fn check(&self) -> Result<(), LimitsError> {
        let deadlines = [
            ("sensor_max_age", self.sensor_max_age),
            ("sensor_grace", self.sensor_grace),
            ("fan_max_age", self.fan_max_age),
            ("rail_max_age", self.rail_max_age),
            ("lease", self.lease),
        ];
        for (name, deadline) in deadlines {
            if deadline.is_zero() || deadline > MAX_REACTION {
                return Err(LimitsError::Deadline {
                    name,
                    ms: millis(deadline),
                });
            }
        }
        if self.max_faults == 0 || self.max_faults > MAX_FAULTS {
            return Err(LimitsError::FaultCount {
                count: self.max_faults,
            });
        }
        if self.cool_margin.0 < 0 {
            return Err(LimitsError::CoolMargin);
        }
        Ok(())
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            sensor_max_age: Duration::from_secs(3),
            sensor_grace: Duration::from_secs(5),
            start_up: Duration::from_secs(20),
            fan_max_age: Duration::from_secs(4),
            rail_max_age: Duration::from_secs(3),
            lease: Duration::from_secs(3),
            check: Duration::from_secs(60),
            proof_duty: Percent::new(30),
            cool_margin: CentiCelsius(1_500),
            doubt_hold: Duration::from_secs(30),
            must_move: Duration::from_secs(30),
            busy: Percent::new(30),
            pause: Duration::from_secs(30),
            max_pause: Duration::from_secs(600),
            max_faults: 3,
            window: Duration::from_secs(3_600),
        }
    }
}

/// Why a guard cannot be made from some limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// The highest frequency or voltage is zero.
    #[error("the highest frequency and voltage must not be zero")]
    Zero,
    /// No sensor could protect the board before it has power.
    #[error("at least one temperature sensor must be required and readable without power")]
    NoSensor,
    /// A sensor's thresholds are not in order.
    #[error(
        "sensor {index}: needs valid low < hot ({hot}) < off ({off}) <= valid high, and off below 126 °C"
    )]
    SensorOrder {
        /// Which sensor.
        index: usize,
        /// Its `hot`.
        hot: CentiCelsius,
        /// Its `off`.
        off: CentiCelsius,
    },
    /// A fan's speed or tolerance says that nothing is expected of it.
    #[error("fan {index}: needs a full speed above zero and a tolerance below 100 %")]
    FanSpeed {
        /// Which fan.
        index: usize,
    },
    /// A required fan may stand still at the lowest duty, so it could not be verified.
    #[error("fan {index}: the lowest duty ({min_duty}) must be above its dead band ({dead_band})")]
    FanDeadBand {
        /// Which fan.
        index: usize,
        /// The lowest duty.
        min_duty: Percent,
        /// The fan's dead band.
        dead_band: Percent,
    },
    /// The low duty of the tach proof leaves a fan no room to speed up.
    #[error("proof_duty is {duty}; it must be at most 60 %")]
    ProofDuty {
        /// The duty.
        duty: Percent,
    },
    /// A rail could not carry the voltage that may be set.
    #[error("rail {index}: its highest voltage ({max}) is below what it must carry ({needed})")]
    RailVoltage {
        /// Which rail.
        index: usize,
        /// The rail's limit.
        max: Millivolts,
        /// What it must carry.
        needed: Millivolts,
    },
    /// The input range is empty.
    #[error("the lowest input voltage must be below the highest")]
    InputRange,
    /// A deadline is zero, or longer than any hazard may last.
    #[error("{name} is {ms} ms; it must be above zero and at most 5000 ms")]
    Deadline {
        /// Which deadline.
        name: &'static str,
        /// Its length in milliseconds.
        ms: u32,
    },
    /// The number of allowed faults is out of range.
    #[error("max_faults is {count}; it must be 1 to 8")]
    FaultCount {
        /// The number.
        count: u8,
    },
    /// The margin for cool is negative.
    #[error("cool_margin must not be negative")]
    CoolMargin,
}
