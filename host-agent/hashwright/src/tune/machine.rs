//! Between the tuner's picture of a machine and ours: what stations and chains publish becomes an
//! [`Observation`], and the tuner's orders become set points and clocks. Pure.

use autotune::{BoardReading, ChipReading, Command, Layout, Observation, Scope};
use board_profiles::Profile;
use chain::Phase;
use station::SetPoint;
use station::status::{Phase as StationPhase, Reading, Source, Status, Unit};

use crate::board::Report;

/// Clocks of one board's chips, as its board task gets them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clocks {
    /// Clock of each chip, MHz, in chain order.
    pub mhz: Vec<f64>,
    /// The highest of the whole station, MHz: what the station grants less of goes off all alike.
    pub top_mhz: f64,
    /// Zero bits of the ticket beyond 32; none leaves the profile's.
    pub ticket_bits: Option<u8>,
}

impl Clocks {
    /// Grid of the clocks when less than all is granted, MHz.
    const GRID_MHZ: f64 = 6.25;

    /// The clocks while the station grants `granted` MHz and no chip may go below `least`.
    #[must_use]
    pub fn granted(&self, granted: f64, least: f64) -> Vec<f64> {
        let share = granted / self.top_mhz.max(1.0);
        if share >= 1.0 {
            return self.mhz.clone();
        }
        let down = |mhz: f64| (mhz * share / Self::GRID_MHZ).floor() * Self::GRID_MHZ;
        self.mhz.iter().map(|&mhz| down(mhz).max(least)).collect()
    }
}

/// Zero bits of real hashes at which one wrong nonce in 64 of a simulated chip passes for a right one.
const REAL_BITS: u8 = 6;

/// What the tuner knows of a station's boards, from their profile. Boards that hang on one station
/// share its set point, whatever feeds them.
#[must_use]
pub(crate) fn layout(profile: &Profile, serials: Vec<Option<String>>, scale_bits: u8) -> Layout {
    let many = serials.len() > 1;
    let mut layout = Layout::from_profile(profile, serials);
    layout.least_ticket_bits = scale_bits.saturating_add(REAL_BITS).saturating_sub(32);
    if many {
        layout.scope = Scope::Machine;
    }
    layout
}

/// The station's boards as the tuner sees them. `reports` are those of its boards, in order; `settled` is
/// whether nothing but the tuner moves clocks and voltage.
#[must_use]
pub(super) fn observation(layout: &Layout, reports: &[Report], station: &Status) -> Observation {
    let held = station.cooling.throttle < 1.0 || station.phase != StationPhase::Running;
    let boards = reports.iter().enumerate().map(|(index, report)| {
        let own = |reading: &&Reading| reading.board.is_none_or(|board| board == index);
        let readings: Vec<_> = station.readings.iter().filter(own).collect();
        let chain = report.chain.as_ref();
        let up = |chain: &&chain::Status| matches!(chain.phase, Phase::Idle | Phase::Mining);
        let up = chain.filter(up);
        BoardReading {
            running: up.is_some() && station.phase == StationPhase::Running,
            serial: station
                .boards
                .get(index)
                .and_then(|board| board.serial.clone()),
            chips: chain.map(chips).unwrap_or_default(),
            ticket_bits: chain.map_or(layout.ticket_bits, |chain| chain.ticket_bits),
            mv: readings
                .iter()
                .find(|reading| reading.unit == Unit::Millivolts && reading.name == "core supply")
                .and_then(|reading| measured(reading)),
            board_c: temperatures(&readings, "board", layout.sensors.len()),
            chip_c: temperatures(&readings, "chip", 1)[0],
            throttled: held,
        }
    });
    let boards: Vec<_> = boards.collect();
    let mining = |report: &Report| {
        let chain = report.chain.as_ref();
        chain.is_some_and(|chain| chain.phase == Phase::Mining)
    };
    Observation {
        watts: station.reading("input power").and_then(power),
        fan_percent: (!station.fans.is_empty()).then(|| f64::from(station.cooling.duty_percent)),
        work: reports.iter().all(mining),
        boards,
    }
}

fn chips(chain: &chain::Status) -> Vec<ChipReading> {
    let reading = |chip: &chain::ChipStatus| ChipReading {
        valid: chip.nonces,
        wrong: chip.hardware_errors,
        duplicates: chip.duplicates,
        mhz: chip.clock.get(),
    };
    chain.chips.iter().map(reading).collect()
}

/// A value that a part said itself, and lately.
pub(crate) fn measured(reading: &Reading) -> Option<f64> {
    let fresh = reading.age_s.is_some_and(|age| age < OLD_S) && reading.trouble.is_none();
    reading
        .value
        .filter(|_| fresh && reading.source == Source::Measured)
}

/// Input power, W: measured, or estimated from the measured output of a regulator. What comes from the
/// profile alone tells nothing of these boards.
pub(crate) fn power(reading: &Reading) -> Option<f64> {
    let fresh = reading.age_s.is_some_and(|age| age < OLD_S) && reading.trouble.is_none();
    reading
        .value
        .filter(|_| fresh && reading.source != Source::Nameplate)
}

/// Age at which a reading says nothing of now, s: stations look every second.
const OLD_S: f64 = 5.0;

/// The first `count` temperatures of sensors of that kind, by the names that stations give them.
pub(crate) fn temperatures(readings: &[&Reading], kind: &str, count: usize) -> Vec<Option<f64>> {
    let is_kind = |reading: &&&Reading| {
        let name = match (reading.board, reading.name.split_once(' ')) {
            // `board 2 chip` on stations of several boards.
            (Some(_), Some(("board", rest))) => rest.split_once(' ').map_or(rest, |(_, name)| name),
            _ => reading.name.as_str(),
        };
        reading.unit == Unit::Celsius && name.split(' ').next() == Some(kind)
    };
    let mut found: Vec<_> = readings
        .iter()
        .filter(is_kind)
        .map(|reading| measured(reading))
        .collect();
    found.resize(count, None);
    found
}

/// What the tuner has ordered so far, until it orders otherwise.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Orders {
    mv: u32,
    mhz: Vec<Vec<f64>>,
    ticket_bits: Vec<Option<u8>>,
}

impl Orders {
    /// Nothing ordered: the station's own set point for all chips.
    #[must_use]
    pub(super) fn new(boards: usize, chips: usize, point: SetPoint) -> Self {
        Self {
            mv: point.mv,
            mhz: vec![vec![point.mhz; chips]; boards],
            ticket_bits: vec![None; boards],
        }
    }

    /// Takes an order. Fans stay the station's: it holds the temperature, which serves a measurement as well.
    pub(super) fn take(&mut self, command: Command) {
        match command {
            Command::Voltage { mv, .. } => self.mv = mv,
            Command::Clock { board, mhz } => {
                if let Some(chips) = self.mhz.get_mut(board) {
                    chips.fill(mhz);
                }
            }
            Command::ChipClock { board, chip, mhz } => {
                if let Some(slot) = self.mhz.get_mut(board).and_then(|c| c.get_mut(chip)) {
                    *slot = mhz;
                }
            }
            Command::Ticket { board, zero_bits } => {
                if let Some(slot) = self.ticket_bits.get_mut(board) {
                    *slot = Some(zero_bits);
                }
            }
            Command::FanHold(_) => {}
        }
    }

    /// What the station is asked for: the highest clock of a chip, and the voltage.
    #[must_use]
    pub(super) fn set_point(&self) -> SetPoint {
        SetPoint {
            mhz: self.mhz.iter().flatten().copied().fold(0.0, f64::max),
            mv: self.mv,
        }
    }

    /// What a board is asked for.
    #[must_use]
    pub(super) fn clocks(&self, board: usize) -> Clocks {
        Clocks {
            mhz: self.mhz.get(board).cloned().unwrap_or_default(),
            top_mhz: self.set_point().mhz,
            ticket_bits: self.ticket_bits.get(board).copied().flatten(),
        }
    }
}
