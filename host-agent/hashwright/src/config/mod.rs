//! The config: one TOML file, read once at start, checked as a whole before anything runs.
//!
//! [`Config::load`] reads and checks; every problem of a file is told at once, with its line.
//! [`mod@reference`] is the table of all keys, from which `docs/config.md` is made. Nothing here
//! opens ports or sockets; only the config itself, profiles and secrets are read.

mod api;
mod check;
mod cooling;
mod faces;
mod history;
mod load;
mod outlets;
mod pools;
mod reader;
pub mod reference;
mod simulated;
mod tables;
#[cfg(test)]
mod tests;
pub mod tuner;

use std::fmt;
use std::path::{Path, PathBuf};

use board_profiles::Profile;

use crate::port::Uart;

pub use self::faces::{AxeOs, Cgminer};
pub use self::history::History;
pub use self::outlets::{Broker, Mdns, Mqtt, Receiver, Webhook};
pub use api::{Api, DEFAULT_LISTEN, ServerTls};
pub use check::{BoardSummary, PoolSummary, Report, Summary, check, check_text};
pub use cooling::{Cooling, CoolingMode};
pub use load::{ConfigError, Environment, System};
pub use pools::{Channel, Pool, Strategy, Terms, Upstream};
pub use reader::Problem;
pub use simulated::{PlannedFault, Quality, Sim};
pub use tuner::{Rules, Tuner};

/// Where the config is unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/hashwright/hashwright.toml";

/// A checked config.
#[derive(Clone, Debug)]
pub struct Config {
    /// The agent itself.
    pub agent: Agent,
    /// How work is taken from the pools.
    pub upstream: Upstream,
    /// Pools, in order of priority; at least one.
    pub pools: Vec<Pool>,
    /// Boards, in the order of the file; at least one.
    pub boards: Vec<Board>,
    /// How boards are cooled that the agent controls.
    pub cooling: Cooling,
    /// What clocks and voltage are tuned for.
    pub tuner: Tuner,
    /// The JSON-RPC server.
    pub api: Api,
    /// What is kept of the past.
    pub history: History,
    /// The cgminer API; off if there is none.
    pub cgminer: Option<Cgminer>,
    /// The AxeOS API; off if there is none.
    pub axeos: Option<AxeOs>,
    /// The MQTT broker that is told what happens, and may say what is to happen.
    pub mqtt: Option<Mqtt>,
    /// Who is told of events.
    pub webhooks: Vec<Webhook>,
    /// Whether the agent says by mDNS that it is there.
    pub mdns: Mdns,
}

impl Config {
    /// Reads and checks the config at `path`, the profiles that it names and the secrets that
    /// it refers to. Relative paths in it start at its own directory.
    ///
    /// # Errors
    /// The file cannot be read, or [`ConfigError::Invalid`] with everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        load::load(path, &System)
    }

    /// Checks the text of a config; `path` is where it would stand.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn parse(path: &Path, text: &str, env: &dyn Environment) -> Result<Self, ConfigError> {
        load::parse(path, text, env)
    }
}

/// `[agent]`: the agent itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Name of this miner.
    pub name: String,
    /// Directory for what must outlive a restart.
    pub state_dir: PathBuf,
    /// Whether the config names it, rather than leave it to the default.
    pub state_dir_given: bool,
}

/// `[[board]]`: one hash board.
#[derive(Clone, Debug)]
pub struct Board {
    /// What the board is and may be asked to do.
    pub profile: Profile,
    /// Where its UART is.
    pub uart: Uart,
    /// Who controls its power and fans.
    pub control: Control,
    /// Serial number for reports.
    pub serial: Option<String>,
    /// Its revision, one of the profile's; else the newest.
    pub revision: Option<String>,
    /// Its place in the machine, from 0; else by serial line or order.
    pub slot: Option<u8>,
    /// Clock to mine at, MHz, within the profile's limits; else the profile's default.
    pub frequency_mhz: Option<f64>,
    /// Core voltage to mine at, mV in the profile's scope and within its limits; else the profile's
    /// default.
    pub voltage_mv: Option<u32>,
    /// Whether it is to mine; else it is left without power.
    pub enabled: bool,
    /// How it is simulated; `Some` exactly if the UART is simulated.
    pub sim: Option<Sim>,
    /// The k of a board behind a real UART that another program simulates at 2^-k of the silicon's
    /// rate; 0 for silicon, and for boards that this program simulates.
    pub served_scale_bits: u8,
}

impl Board {
    /// A simulated board of this profile with all defaults, controlled like a real one; `seed` as in
    /// [`Sim::seed`].
    #[must_use]
    pub fn simulated(profile: Profile, seed: u64) -> Self {
        Self {
            sim: Some(Sim::new(&profile, seed)),
            profile,
            uart: Uart::Simulated,
            control: Control::Simulated,
            serial: None,
            revision: None,
            slot: None,
            frequency_mhz: None,
            voltage_mv: None,
            enabled: true,
            served_scale_bits: 0,
        }
    }

    /// Simulated chips alone, without a board around them: always powered, never warm.
    #[must_use]
    pub fn bare(profile: Profile, seed: u64) -> Self {
        Self {
            control: Control::External,
            ..Self::simulated(profile, seed)
        }
    }

    /// The profile for the board's revision.
    #[must_use]
    pub fn of_revision(&self) -> Profile {
        self.profile.for_revision(self.revision.as_deref())
    }

    /// The board works at 2^-k of the silicon's rate; 0 for silicon.
    #[must_use]
    pub fn scale_bits(&self) -> u8 {
        self.sim
            .as_ref()
            .map_or(self.served_scale_bits, |sim| sim.scale_bits)
    }

    /// Whether it is no silicon, whoever simulates it: it earns nothing and is marked everywhere.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.sim.is_some() || self.served_scale_bits > 0
    }

    /// The clock to mine at, MHz.
    #[must_use]
    pub fn target_mhz(&self) -> f64 {
        self.frequency_mhz
            .unwrap_or(self.profile.frequency.default_mhz)
    }

    /// The core voltage to mine at, mV in the profile's scope.
    #[must_use]
    pub fn target_mv(&self) -> u32 {
        self.voltage_mv.unwrap_or(self.profile.voltage.default_mv)
    }
}

/// Who controls a board's power, fans and reset line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The simulated board's own controller.
    Simulated,
    /// A board controller behind a port of its own; never [`Uart::Simulated`].
    Port(Uart),
    /// I2C, GPIO and PWM of this machine.
    Linux,
    /// Somebody else; the agent says loudly that nothing it knows guards the board.
    External,
}

impl fmt::Display for Control {
    /// As in the config.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Simulated => f.write_str("sim"),
            Self::Port(port) => port.fmt(f),
            Self::Linux => f.write_str("linux"),
            Self::External => f.write_str("external"),
        }
    }
}
