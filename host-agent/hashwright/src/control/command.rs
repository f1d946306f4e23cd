//! The way from people to stations. Whoever asks waits for the answer; every wish and its outcome is
//! an entry of the event log.

use std::sync::Arc;
use std::time::Duration;

use station::{Command, Mode, Notice, Refused, Severity};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Order, Request};
use crate::events::EventLog;

/// Longest time that a station is waited for. One that hangs in its hardware answers nobody.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Longest code that is taken for one of a fault, characters.
const LONGEST_CODE: usize = 40;

/// A station as people address it.
#[derive(Clone, Debug)]
pub struct StationHandle {
    /// Its boards, by position in the config.
    pub boards: Vec<usize>,
    /// Whether it has fans that can be run in one way or another.
    pub fans: bool,
    /// The way to its task.
    pub requests: mpsc::Sender<Request>,
}

/// All stations. Clones address the same.
#[derive(Clone, Debug)]
pub struct Controls {
    stations: Arc<[StationHandle]>,
    events: EventLog,
}

/// Why a wish was not granted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Denied {
    /// No such board, or nobody in this program controls it.
    #[error("board {board} is not controlled by this agent; it controls {}", told(.controlled))]
    NotControlled {
        /// The board asked for.
        board: usize,
        /// Boards that are controlled.
        controlled: Vec<usize>,
    },
    /// Longer than any code of a fault.
    #[error("that is no code of a fault; `hashwright status` shows the code of the latched fault")]
    NoCode,
    /// There is no station at all.
    #[error("this agent controls no board that this would concern")]
    NoStation,
    /// A station refused; others may not have.
    #[error("{}: {error}", told(.boards))]
    Of {
        /// Its boards.
        boards: Vec<usize>,
        /// What it said.
        error: Box<Denied>,
    },
    /// The station refused.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The agent is stopping, or the station is stuck.
    #[error("the station of the board does not answer; the agent may be stopping")]
    Gone,
}

impl Controls {
    /// The way to these stations.
    #[must_use]
    pub fn new(stations: Vec<StationHandle>, events: EventLog) -> Self {
        Self {
            stations: stations.into(),
            events,
        }
    }

    /// The stations, in the order of their first boards.
    #[must_use]
    pub fn stations(&self) -> &[StationHandle] {
        &self.stations
    }

    /// Changes the way that fans are run, of the station with this board or of all that have fans.
    ///
    /// # Errors
    ///
    /// See [`Denied`]. Every station is asked; the error is of the first that refused.
    pub async fn set_cooling(&self, board: Option<usize>, mode: Mode) -> Result<(), Denied> {
        let told = match mode {
            Mode::Auto => "cooling set to automatic".to_owned(),
            Mode::Manual { percent } => format!("cooling set to manual, {percent} %"),
            Mode::Immersion { confirmed: true } => "cooling set to immersion, confirmed".to_owned(),
            Mode::Immersion { confirmed: false } => "cooling set to immersion".to_owned(),
        };
        self.ask(board, &told, &Command::Cooling(mode)).await
    }

    /// Changes the temperature to hold, °C, of the station with this board or of all.
    ///
    /// # Errors
    ///
    /// See [`Denied`].
    pub async fn set_target(&self, board: Option<usize>, celsius: f64) -> Result<(), Denied> {
        let told = format!("cooling target set to {celsius} °C");
        self.ask(board, &told, &Command::Target(celsius)).await
    }

    /// Clears the latched fault of the station with this board; `code` repeats its name.
    ///
    /// # Errors
    ///
    /// See [`Denied`].
    pub async fn clear_fault(&self, board: usize, code: String) -> Result<(), Denied> {
        if code.chars().count() > LONGEST_CODE {
            return Err(Denied::NoCode);
        }
        let told = format!(
            "fault {} cleared",
            crate::format::plain(&code, LONGEST_CODE)
        );
        let command = Command::ClearFault(code);
        self.ask(Some(board), &told, &command).await
    }

    async fn ask(&self, board: Option<usize>, told: &str, command: &Command) -> Result<(), Denied> {
        let wanted: Vec<_> = match board {
            Some(board) => {
                let has = |station: &&StationHandle| station.boards.contains(&board);
                let found = self.stations.iter().find(has);
                let controlled = self.stations.iter().flat_map(|s| s.boards.clone());
                vec![found.ok_or_else(|| Denied::NotControlled {
                    board,
                    controlled: controlled.collect(),
                })?]
            }
            None => self
                .stations
                .iter()
                .filter(|station| station.fans)
                .collect(),
        };
        if wanted.is_empty() {
            return Err(Denied::NoStation);
        }
        let mut end = Ok(());
        for station in wanted {
            let outcome = station.ask(Order::Command(command.clone())).await;
            self.events
                .note(&station.boards, audit(told, command, &outcome));
            if let Err(error) = outcome {
                let boards = station.boards.clone();
                end = end.and(Err(Denied::Of {
                    boards,
                    error: Box::new(error),
                }));
            }
        }
        end
    }
}

impl StationHandle {
    /// Asks the station, and waits for its answer.
    ///
    /// # Errors
    ///
    /// When it refuses, or does not answer.
    pub async fn ask(&self, order: Order) -> Result<(), Denied> {
        let (reply, answer) = oneshot::channel();
        let request = Request { order, reply };
        // A full queue means that the station is stuck in its hardware.
        self.requests.try_send(request).map_err(|_| Denied::Gone)?;
        match timeout(LONGEST_WAIT, answer).await {
            Ok(Ok(outcome)) => Ok(outcome?),
            _ => Err(Denied::Gone),
        }
    }
}

fn audit(told: &str, command: &Command, outcome: &Result<(), Denied>) -> Notice {
    let (severity, code, text) = match outcome {
        Ok(()) => (Severity::Info, "command", format!("{told}, by a person")),
        // Without the words of whoever asked: guesses without end are one entry with a count.
        Err(Denied::Refused(_)) if matches!(command, Command::ClearFault(_)) => (
            Severity::Warning,
            "command-refused",
            "refused to a person who gave a code that is not that of a latched fault".to_owned(),
        ),
        Err(error) => (
            Severity::Warning,
            "command-refused",
            format!("refused to a person: {told}: {error}"),
        ),
    };
    Notice {
        severity,
        code: code.to_owned(),
        text,
        ..Notice::default()
    }
}

fn told(boards: &[usize]) -> String {
    match boards {
        [] => "none".to_owned(),
        [one] => format!("board {one}"),
        many => format!("boards {many:?}"),
    }
}
