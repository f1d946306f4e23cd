//! `hashwright config check`: what a config says, or everything that is wrong with it.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::load::ConfigError;
use super::reader::Problem;
use super::{Board, Config, Control, Cooling, CoolingMode, System};
use crate::clock::Clock;
use crate::control::group::groups;
use crate::{format, simulate, upstream};

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The file that was checked.
    pub file: String,
    /// Whether the agent would start with it.
    pub valid: bool,
    /// What is wrong; empty if valid.
    pub problems: Vec<Problem>,
    /// What is allowed, but worth a thought.
    pub warnings: Vec<String>,
    /// What the config says, if valid.
    pub summary: Option<Summary>,
}

/// What a config says, without secrets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Name of the miner.
    pub name: String,
    /// State directory.
    pub state_dir: String,
    /// Address of the API, and who may use it.
    pub api: String,
    /// How work is shared out: `failover` or `quota`.
    pub strategy: String,
    /// Pools in order of priority.
    pub pools: Vec<PoolSummary>,
    /// Boards in order.
    pub boards: Vec<BoardSummary>,
}

/// A pool of a config.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PoolSummary {
    /// URL.
    pub url: String,
    /// User; for a node who is paid.
    pub user: String,
    /// What it speaks.
    pub protocol: String,
    /// Percent of the work; 0 unless the strategy is `quota`.
    pub quota: u32,
}

/// A board of a config.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoardSummary {
    /// Profile name.
    pub profile: String,
    /// Name for people.
    pub model: String,
    /// Where its UART is.
    pub uart: String,
    /// Whether it is simulated.
    pub simulated: bool,
    /// Who guards it: `agent` (its controller as well, where that has a guard), or `none`.
    pub guard: String,
    /// Who controls it, as in the config.
    pub control: String,
    /// Clock to mine at, MHz.
    pub frequency_mhz: f64,
    /// Core voltage to mine at, mV in the profile's scope.
    pub voltage_mv: u32,
    /// Expected hashrate at that clock, hashes per second.
    pub expected_hps: f64,
}

/// Checks the config at `path` without starting anything.
#[must_use]
pub fn check(path: &Path) -> Report {
    let outcome = Config::load(path).and_then(|config| together(path, config));
    let file = path.display().to_string();
    let (problems, config) = match outcome {
        Ok(config) => (Vec::new(), Some(config)),
        Err(ConfigError::Invalid { problems, .. }) => (problems, None),
        Err(error @ ConfigError::Read { .. }) => {
            let problem = Problem {
                line: None,
                key: String::new(),
                message: error.to_string(),
            };
            (vec![problem], None)
        }
    };
    Report {
        file,
        valid: config.is_some(),
        problems,
        warnings: config.iter().flat_map(Config::warnings).collect(),
        summary: config.as_ref().map(Summary::of),
    }
}

/// Checks the text of a config as if it stood at `path`, without starting anything.
#[must_use]
pub fn check_text(path: &Path, text: &str) -> rpc::settings::ConfigReport {
    let outcome = Config::parse(path, text, &System).and_then(|config| together(path, config));
    let problems = match &outcome {
        Ok(_) => Vec::new(),
        Err(ConfigError::Invalid { problems, .. }) => {
            problems.iter().map(ToString::to_string).collect()
        }
        Err(error @ ConfigError::Read { .. }) => vec![error.to_string()],
    };
    rpc::settings::ConfigReport {
        valid: outcome.is_ok(),
        problems,
        warnings: outcome.iter().flat_map(Config::warnings).collect(),
    }
}

/// What only shows when all is put together: whether pools can be used, and boards simulated and guarded.
fn together(path: &Path, config: Config) -> Result<Config, ConfigError> {
    let mut problems = Vec::new();
    for (index, pool) in config.pools.iter().enumerate() {
        if let Err(error) = upstream::check(pool, &config) {
            problems.push(Problem {
                line: None,
                key: format!("pool[{index}]"),
                message: format!("{error:#}"),
            });
        }
    }
    let mut note = |board: usize, error: &dyn fmt::Display| {
        problems.push(Problem {
            line: None,
            key: format!("board[{board}]"),
            message: error.to_string(),
        });
    };
    for (index, board) in config.boards.iter().enumerate() {
        if let (Control::Simulated, Some(sim)) = (&board.control, &board.sim)
            && let Err(error) = simulate::board(&board.of_revision(), sim)
        {
            note(index, &error);
        }
    }
    let clock = Clock::start();
    for group in groups(&config) {
        // Nothing is opened before it is needed.
        if let Err(error) = group.station(None, None, clock) {
            note(group.boards[0], &error);
        }
    }
    if problems.is_empty() {
        return Ok(config);
    }
    Err(ConfigError::Invalid {
        path: path.to_owned(),
        problems,
    })
}

impl Report {
    /// The report as JSON, on several lines.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Only maps with other keys than text and failing writers can fail, and neither is here.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(summary) = &self.summary else {
            writeln!(f, "{} cannot be used:", self.file)?;
            for problem in &self.problems {
                writeln!(f, "  {problem}")?;
            }
            return Ok(());
        };
        writeln!(f, "{} is good", self.file)?;
        writeln!(
            f,
            "  miner {}, state in {}",
            summary.name, summary.state_dir
        )?;
        writeln!(f, "  API on {}", summary.api)?;
        for pool in &summary.pools {
            write!(
                f,
                "  pool {} as {} ({})",
                pool.url, pool.user, pool.protocol
            )?;
            match pool.quota {
                0 => writeln!(f)?,
                percent => writeln!(f, ", {percent} % of the work")?,
            }
        }
        for board in &summary.boards {
            let simulated = if board.simulated { ", simulated" } else { "" };
            writeln!(
                f,
                "  board {} at {}, control {}: {} MHz, {} mV, {}{simulated}",
                board.model,
                board.uart,
                board.control,
                board.frequency_mhz,
                board.voltage_mv,
                format::hashrate(board.expected_hps)
            )?;
        }
        for warning in &self.warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        Ok(())
    }
}

impl Config {
    /// What this config allows, but is worth a thought.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (index, board) in self.boards.iter().enumerate() {
            if board.control == Control::External && board.sim.is_none() {
                warnings.push(format!(
                    "nothing in this program guards board {index} ({}): something else must \
                     power it, cool it, and cut its power in time",
                    board.profile.model
                ));
            }
        }
        let controlled = |board: &Board| board.control != Control::External;
        match self.cooling.mode {
            CoolingMode::Auto => {}
            CoolingMode::Manual(percent) => warnings.push(format!(
                "fans stay at {percent} % whatever the temperature, until the guard wants more"
            )),
            CoolingMode::Immersion => warnings.push(
                "immersion: no fan is looked after; boards in air would overheat and be switched \
                 off by their temperature limits"
                    .to_owned(),
            ),
        }
        if self.cooling != Cooling::default() && !self.boards.iter().any(controlled) {
            warnings
                .push("[cooling] is for boards that the agent controls; it has none".to_owned());
        }
        for (index, pool) in self.pools.iter().enumerate() {
            warnings.extend(pool.warnings().map(|text| format!("pool {index}: {text}")));
        }
        if self.boards.iter().any(Board::is_simulated) {
            warnings.push(
                "simulated boards send their shares to the pool, where they earn nothing"
                    .to_owned(),
            );
        }
        warnings
    }
}

impl Summary {
    fn of(config: &Config) -> Self {
        Self {
            name: config.agent.name.clone(),
            state_dir: config.agent.state_dir.display().to_string(),
            api: config.api.to_string(),
            strategy: config.upstream.strategy.to_string(),
            pools: config
                .pools
                .iter()
                .map(|pool| PoolSummary {
                    url: pool.url.to_string(),
                    user: pool.account(),
                    protocol: pool.url.scheme().protocol().to_owned(),
                    quota: pool.quota,
                })
                .collect(),
            boards: config.boards.iter().map(BoardSummary::of).collect(),
        }
    }
}

impl BoardSummary {
    fn of(board: &Board) -> Self {
        Self {
            profile: board.profile.name.clone(),
            model: board.profile.model.clone(),
            uart: board.uart.to_string(),
            simulated: board.is_simulated(),
            guard: match &board.control {
                Control::External => "none",
                Control::Simulated | Control::Port(_) | Control::Linux => "agent",
            }
            .to_owned(),
            control: board.control.to_string(),
            frequency_mhz: board.target_mhz(),
            voltage_mv: board.target_mv(),
            expected_hps: board.profile.hashrate_hps(board.target_mhz()),
        }
    }
}
