//! Which boards form a station, and how its hardware is reached: boards on one controller or on the
//! machine's own lines hang on one supply and are switched together; every other board is alone.

use std::sync::Arc;

use station::{
    BoardConfig, Buses, ConfigError, CoolingOptions, Mode, SetPoint, Station, StationConfig,
    StoredFault,
};

use super::linux::LinuxBuses;
use super::reconnect::Reconnecting;
use super::wire::{PortWire, SimulatedWire};
use crate::clock::Clock;
use crate::config::{Board, Config, Control, Cooling, CoolingMode};
use crate::port::{SharedBoard, Uart};

/// How the hardware of a station is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A simulated board of this program.
    Simulated,
    /// The control port of a board controller.
    Port(Uart),
    /// Lines, buses and fans of this machine.
    Linux,
}

/// The boards of one station.
#[derive(Clone, Debug)]
pub struct Group {
    /// How they are reached.
    pub reach: Reach,
    /// Positions in the config.
    pub boards: Vec<usize>,
    /// What the station is made of.
    pub config: StationConfig,
    /// What the user wants of it.
    pub set_point: SetPoint,
    /// Whether the user wants it to run.
    pub enabled: bool,
}

/// The stations of a config, in the order of their first boards. Boards with `control = "external"`
/// are in none.
#[must_use]
pub fn groups(config: &Config) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (index, board) in config.boards.iter().enumerate() {
        let (reach, way) = match &board.control {
            Control::External => continue,
            Control::Simulated => (Reach::Simulated, board_profiles::Control::Bridge),
            Control::Port(port) => (Reach::Port(port.clone()), board_profiles::Control::Bridge),
            Control::Linux => (Reach::Linux, board_profiles::Control::Linux),
        };
        let shared = groups
            .iter_mut()
            .find(|group| reach != Reach::Simulated && group.reach == reach);
        if let Some(group) = shared {
            let slot = slot(board, group.boards.len());
            group.boards.push(index);
            group.config.boards.push(part(index, board, slot));
            continue;
        }
        let mut own = StationConfig::single(Arc::new(board.of_revision()), way, "");
        own.boards = vec![part(index, board, slot(board, 0))];
        own.cooling = cooling(board, &config.cooling);
        groups.push(Group {
            reach,
            boards: vec![index],
            config: own,
            set_point: SetPoint {
                mhz: board.target_mhz(),
                mv: board.target_mv(),
            },
            enabled: board.enabled,
        });
    }
    groups
}

impl Group {
    /// The station, whose boards are off. Nothing is accessed yet. A fault that was latched in an
    /// earlier run is latched still.
    ///
    /// # Errors
    ///
    /// When the profile does not say enough to guard the boards.
    pub fn station(
        &self,
        simulated: Option<&SharedBoard>,
        latched: Option<StoredFault>,
        clock: Clock,
    ) -> Result<Station, ConfigError> {
        let profile = Arc::clone(&self.config.profile);
        let slots: Vec<u8> = self.config.boards.iter().map(|board| board.slot).collect();
        let buses: Box<dyn Buses + Send> = match (&self.reach, simulated) {
            (Reach::Simulated, Some(board)) => {
                let board = board.clone();
                let open = move || SimulatedWire::new(board.clone());
                Box::new(Reconnecting::new(open, profile, slots, clock))
            }
            (Reach::Port(port), _) => {
                let port = port.clone();
                let open = move || PortWire::new(port.clone());
                Box::new(Reconnecting::new(open, profile, slots, clock))
            }
            (Reach::Simulated, None) | (Reach::Linux, _) => {
                Box::new(LinuxBuses::new(&profile, slots))
            }
        };
        let config = StationConfig {
            latched,
            ..self.config.clone()
        };
        Station::new(config, buses, clock.now())
    }
}

/// The place of a board in its machine: as configured, or as the profile knows its serial line, or by
/// the order of the boards.
fn slot(board: &Board, order: usize) -> u8 {
    let uart = board.uart.to_string();
    let known = || {
        let boards = &board.profile.linux.as_ref()?.boards;
        boards
            .iter()
            .position(|slot| slot.uart.as_deref() == Some(uart.as_str()))
    };
    let known = (board.control == Control::Linux).then(known).flatten();
    board
        .slot
        .unwrap_or_else(|| u8::try_from(known.unwrap_or(order)).unwrap_or(u8::MAX))
}

fn part(index: usize, board: &Board, slot: u8) -> BoardConfig {
    BoardConfig {
        name: format!("board {index}"),
        slot,
        revision: board.revision.clone(),
    }
}

/// How a board is cooled. One without fans of its own is only taken into a config if a person says
/// that something else cools it, or if it is simulated.
fn cooling(board: &Board, cooling: &Cooling) -> CoolingOptions {
    let mode = match board.profile.cooling.fans {
        0 => Mode::Immersion { confirmed: true },
        _ => mode(cooling.mode),
    };
    CoolingOptions {
        mode,
        target_c: cooling.target_c,
    }
}

/// The mode as stations know it; a config with immersion is only good if a person has confirmed it.
#[must_use]
pub fn mode(mode: CoolingMode) -> Mode {
    match mode {
        CoolingMode::Auto => Mode::Auto,
        CoolingMode::Manual(percent) => Mode::Manual { percent },
        CoolingMode::Immersion => Mode::Immersion { confirmed: true },
    }
}
