//! `sim = { ... }`: how a simulated board behaves, and what goes wrong with it when.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use board_profiles::Profile;
use board_simulator::board::{BoardError, Controller, Fault};

use super::reader::Section;

/// `sim`: how a board is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Sim {
    /// The board hashes at 2^-`scale_bits` of the silicon's rate.
    pub scale_bits: u8,
    /// Seed of everything random in the board.
    pub seed: u64,
    /// Probability that a byte on the line is lost, per byte, both directions.
    pub lost_bytes: f64,
    /// Probability that a byte on the line has a bit flipped, per byte, both directions.
    pub flipped_bytes: f64,
    /// Probability that a byte on the line arrives as two, per byte, both directions.
    pub split_bytes: f64,
    /// Temperature of the air that the board draws in, °C.
    pub ambient_c: f64,
    /// How good its chips are.
    pub quality: Quality,
    /// Firmware of its board controller; else what such boards usually have.
    pub controller: Option<Controller>,
    /// What goes wrong.
    pub faults: Vec<PlannedFault>,
}

/// How good the chips of a simulated board are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quality {
    /// Better than most.
    Good,
    /// As most.
    #[default]
    Normal,
    /// Barely sold.
    Poor,
}

/// A fault of a simulated board with its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlannedFault {
    /// What goes wrong.
    pub fault: Fault,
    /// Time after the board's start.
    pub at: Duration,
}

/// Most faults that one board may have planned.
const MAX_FAULTS: usize = 32;

impl Sim {
    /// A board with all defaults.
    #[must_use]
    pub fn new(profile: &Profile, seed: u64) -> Self {
        Self {
            scale_bits: profile.simulation.scale_bits,
            seed,
            lost_bytes: 0.0,
            flipped_bytes: 0.0,
            split_bytes: 0.0,
            ambient_c: 25.0,
            quality: Quality::Normal,
            controller: None,
            faults: Vec::new(),
        }
    }
}

impl FromStr for Quality {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "good" => Ok(Self::Good),
            "normal" => Ok(Self::Normal),
            "poor" => Ok(Self::Poor),
            other => Err(format!(
                "`{other}` is not known; write good, normal or poor"
            )),
        }
    }
}

impl FromStr for PlannedFault {
    type Err = String;

    /// Reads `NAME@TIME`, e.g. `fan-stuck@60s`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            format!(
                "`{text}` is no fault with a time; an example: fan-stuck@60s (also 500ms, 5m, 2h)"
            )
        };
        let (fault, at) = text.split_once('@').ok_or_else(wrong)?;
        let split = at.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = at.split_at(split);
        let ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let at = number.parse::<u32>().map_err(|_| wrong())?;
        let fault = fault
            .parse()
            .map_err(|error: BoardError| error.to_string())?;
        Ok(Self {
            fault,
            at: Duration::from_millis(u64::from(at) * ms),
        })
    }
}

impl fmt::Display for PlannedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}ms", self.fault, self.at.as_millis())
    }
}

/// Reads the table; what does not fit is noted.
pub(super) fn read(section: Option<&Section<'_>>, seed: u64, profile: &Profile) -> Sim {
    let mut sim = Sim::new(profile, seed);
    let Some(section) = section else {
        return sim;
    };
    if let Some(bits) = section.integer("scale_bits", 0..=u64::from(profile.max_scale_bits())) {
        sim.scale_bits = u8::try_from(bits).unwrap_or(sim.scale_bits);
    }
    if let Some(seed) = section.integer("seed", 0..=i64::MAX.unsigned_abs()) {
        sim.seed = seed;
    }
    let numbers = [
        ("lost_bytes", &mut sim.lost_bytes, 0.0..=0.1),
        ("flipped_bytes", &mut sim.flipped_bytes, 0.0..=0.1),
        ("split_bytes", &mut sim.split_bytes, 0.0..=0.1),
        ("ambient_c", &mut sim.ambient_c, -20.0..=60.0),
    ];
    for (key, value, range) in numbers {
        if let Some(number) = section.number(key, range) {
            *value = number;
        }
    }
    if let Some(quality) = section.parsed("quality") {
        sim.quality = quality;
    }
    sim.controller = section.parsed("controller");
    let faults = section.texts("faults").unwrap_or_default();
    if faults.len() > MAX_FAULTS {
        let message = format!("{} are too many; at most {MAX_FAULTS}", faults.len());
        section.bad("faults", message);
    }
    for text in faults {
        match text.parse() {
            Ok(fault) => sim.faults.push(fault),
            Err(error) => section.bad("faults", error),
        }
    }
    sim
}
