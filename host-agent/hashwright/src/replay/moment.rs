//! A recorded line: what a tuner sees of a miner at one moment, and no more than that: no pools, no names. Every line
//! stands for itself, so that a broken one costs only itself and a file can be cut and joined.

use autotune::{Aim, BoardReading, Caps, ChipReading, Layout, Observation};
use board_profiles::Profile;
use serde::{Deserialize, Serialize};
use station::status::{Phase, Unit};

use crate::state::{Snapshot, StationStatus};
use crate::tune::machine;

/// Version of the lines.
pub const VERSION: u32 = 1;

/// Most stations of a moment and boards of a station.
const MOST: usize = 64;
/// Most chips of a board.
const MOST_CHIPS: usize = 1024;

/// What a tuner sees of a miner at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Version of this format: 1.
    pub hashwright_record: u32,
    /// Time of day, seconds since 1970.
    pub unix_s: u64,
    /// Time since the agent started, seconds.
    pub at_s: f64,
    /// What the miner was tuned for.
    pub aim: Aim,
    /// Bounds of its owner.
    pub caps: Caps,
    /// Its stations.
    pub stations: Vec<StationMoment>,
}

/// Boards that are switched together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StationMoment {
    /// Position among the stations.
    pub station: usize,
    /// Profile of its boards.
    pub profile: String,
    /// k of simulated boards that work at 2^-k; 0 for silicon.
    #[serde(default)]
    pub scale_bits: u8,
    /// Input power, W, where something measures it.
    pub watts: Option<f64>,
    /// Duty of the fans, percent.
    pub fan_percent: Option<f64>,
    /// Whether there was work for the chips.
    pub work: bool,
    /// Its boards.
    pub boards: Vec<BoardMoment>,
}

/// A board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoardMoment {
    /// Position in the config.
    pub board: usize,
    /// Serial number that it tells.
    pub serial: Option<String>,
    /// Whether it had power and its chips were up.
    pub running: bool,
    /// Whether guard or heat held it below what was ordered.
    pub throttled: bool,
    /// Extra zero bits of the ticket.
    pub ticket_bits: u8,
    /// Voltage read back at its terminals, mV.
    pub mv: Option<f64>,
    /// Its board sensors, °C, in the order of the station.
    pub board_c: Vec<Option<f64>>,
    /// Its chip sensor, °C.
    pub chip_c: Option<f64>,
    /// Each chip in chain order: nonces that meet the ticket, wrong ones, ones reported twice, all since the agent
    /// started; clock in MHz.
    pub chips: Vec<(u64, u64, u64, f64)>,
}

/// Why a line cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Bad {
    /// No JSON, or not with these fields.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// Of another version.
    #[error("it has version {0} of the format, and this program knows version {VERSION}")]
    Version(u32),
    /// Numbers that cannot be.
    #[error("{0}")]
    Content(&'static str),
}

impl Moment {
    /// What a state of the miner shows to a tuner. `unix_s` is the time of day.
    #[must_use]
    pub fn of(snapshot: &Snapshot, unix_s: u64) -> Self {
        let part = |station: &StationStatus| StationMoment::of(snapshot, station);
        Self {
            hashwright_record: VERSION,
            unix_s,
            at_s: snapshot.system.uptime_s,
            aim: snapshot.tuner.aim,
            caps: snapshot.tuner.caps,
            stations: snapshot.stations.iter().filter_map(part).collect(),
        }
    }

    /// A line of a recording, or of the whole state as `hashwright demo --json` prints it.
    ///
    /// # Errors
    ///
    /// [`Bad`] with what is wrong.
    pub fn parse(line: &str) -> Result<Self, Bad> {
        let moment = match serde_json::from_str::<Self>(line) {
            Ok(moment) => moment,
            // Told by its first field, so that the error is that of the format that was meant.
            Err(error) if line.contains("\"hashwright_record\"") => return Err(error.into()),
            Err(error) => {
                let Ok(snapshot) = serde_json::from_str::<Snapshot>(line) else {
                    return Err(error.into());
                };
                // The cast saturates.
                let uptime_s = snapshot.system.uptime_s as u64;
                let unix_s = snapshot.system.started_unix_s.saturating_add(uptime_s);
                Self::of(&snapshot, unix_s)
            }
        };
        moment.checked()
    }

    fn checked(self) -> Result<Self, Bad> {
        if self.hashwright_record != VERSION {
            return Err(Bad::Version(self.hashwright_record));
        }
        if !(self.at_s.is_finite() && self.at_s >= 0.0 && self.at_s < 1e12) {
            return Err(Bad::Content("at_s is no time"));
        }
        let boards = || self.stations.iter().flat_map(|station| &station.boards);
        if self.stations.len() > MOST || self.stations.iter().any(|s| s.boards.len() > MOST) {
            return Err(Bad::Content("it has more than 64 stations or boards"));
        }
        if boards().any(|board| board.chips.len() > MOST_CHIPS || board.board_c.len() > MOST) {
            return Err(Bad::Content(
                "a board has more than 1024 chips or 64 sensors",
            ));
        }
        if boards()
            .flat_map(|board| &board.chips)
            .any(|chip| !(0.0..=1e5).contains(&chip.3))
        {
            return Err(Bad::Content("a chip's clock is no clock"));
        }
        Ok(self)
    }
}

impl StationMoment {
    /// A station of the state; none if it has no boards.
    fn of(snapshot: &Snapshot, station: &StationStatus) -> Option<Self> {
        let status = &station.status;
        let held = status.cooling.throttle < 1.0 || status.phase != Phase::Running;
        let mut boards = Vec::new();
        let mut work = true;
        for (place, &index) in station.boards.iter().enumerate() {
            let board = snapshot.boards.iter().find(|board| board.index == index)?;
            let own: Vec<_> = status
                .readings
                .iter()
                .filter(|reading| reading.board.is_none_or(|board| board == place))
                .collect();
            let up = matches!(board.state.as_str(), "idle" | "mining");
            work &= board.state == "mining";
            let chips = snapshot.chips.iter().filter(|chip| chip.board == index);
            boards.push(BoardMoment {
                board: index,
                serial: status
                    .boards
                    .get(place)
                    .and_then(|board| board.serial.clone()),
                running: up && status.phase == Phase::Running,
                throttled: held,
                ticket_bits: board.ticket_bits,
                mv: own
                    .iter()
                    .find(|reading| {
                        reading.unit == Unit::Millivolts && reading.name == "core supply"
                    })
                    .and_then(|reading| machine::measured(reading)),
                board_c: known(machine::temperatures(&own, "board", MOST)),
                chip_c: machine::temperatures(&own, "chip", 1)[0],
                chips: chips
                    .map(|chip| {
                        (
                            chip.nonces,
                            chip.hardware_errors,
                            chip.duplicates,
                            chip.frequency_mhz,
                        )
                    })
                    .collect(),
            });
        }
        let first = snapshot
            .boards
            .iter()
            .find(|board| Some(&board.index) == station.boards.first())?;
        Some(Self {
            station: station.index,
            profile: first.profile.clone(),
            scale_bits: first.scale_bits,
            watts: status.reading("input power").and_then(machine::power),
            fan_percent: (!status.fans.is_empty()).then(|| f64::from(status.cooling.duty_percent)),
            work,
            boards,
        })
    }

    /// What the tuner is to know of the machine.
    ///
    /// # Errors
    ///
    /// A profile that is not built in and no file here.
    pub fn layout(&self) -> Result<Layout, String> {
        let profile = Profile::resolve(&self.profile).map_err(|error| error.to_string())?;
        Ok(machine::layout(&profile, self.serials(), self.scale_bits))
    }

    /// The boards by name: their serial numbers, or their places.
    #[must_use]
    pub fn serials(&self) -> Vec<Option<String>> {
        let name = |board: &BoardMoment| {
            let place = || format!("{}-{}", self.profile, board.board);
            Some(board.serial.clone().unwrap_or_else(place))
        };
        self.boards.iter().map(name).collect()
    }

    /// What a tuner for this layout sees.
    #[must_use]
    pub fn observation(&self, layout: &Layout) -> Observation {
        let board = |board: &BoardMoment| {
            let mut board_c = board.board_c.clone();
            board_c.resize(layout.sensors.len(), None);
            let chip = |&(valid, wrong, duplicates, mhz): &(u64, u64, u64, f64)| ChipReading {
                valid,
                wrong,
                duplicates,
                mhz,
            };
            BoardReading {
                running: board.running,
                serial: board.serial.clone(),
                chips: board.chips.iter().map(chip).collect(),
                ticket_bits: board.ticket_bits,
                mv: board.mv,
                board_c,
                chip_c: board.chip_c,
                throttled: board.throttled,
            }
        };
        Observation {
            boards: self.boards.iter().map(board).collect(),
            watts: self.watts,
            fan_percent: self.fan_percent,
            work: self.work,
        }
    }
}

/// Temperatures up to the last one that is known.
fn known(mut temperatures: Vec<Option<f64>>) -> Vec<Option<f64>> {
    let length = temperatures.iter().rposition(Option::is_some);
    temperatures.truncate(length.map_or(0, |last| last + 1));
    temperatures
}
