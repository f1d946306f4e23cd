//! The tuner's shell: one task for each station reads what its boards publish, asks the tuner once a
//! second, and passes its orders on. Limits stay the station's and its guard's: an order beyond them is
//! refused there, and the tuner is told by what it reads.

pub(crate) mod machine;
mod store;
mod task;
mod told;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use autotune::{
    Aim, BoardModel, Calibration, Caps, ChipQuality, Explanation, Prediction, Step, Tuner,
};
use board_profiles::Profile;
use station::SetPoint;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

pub use machine::Clocks;
pub use store::{Kept, Models};
pub use task::Task;

use crate::board::Report;
use crate::clock::Clock;
use crate::control::command::Denied;
use crate::control::{Request, Told};
use crate::events::EventLog;
use crate::stop::Stop;

/// Questions of people that may wait.
const QUESTIONS: usize = 16;
/// Longest time that an answer is waited for: a fit of hundreds of chips takes seconds on a small host.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What a tuner needs of the rest of the program.
#[derive(Debug)]
pub struct Links {
    /// Boards of the station, by position in the config.
    pub boards: Vec<usize>,
    /// Their profile.
    pub profile: Arc<Profile>,
    /// Their serial numbers as configured; else those that they tell count.
    pub serials: Vec<Option<String>>,
    /// k of boards that are simulated at 2^-k; 0 for silicon.
    pub scale_bits: u8,
    /// What they publish.
    pub reports: Vec<watch::Receiver<Report>>,
    /// What their station says.
    pub station: watch::Receiver<Told>,
    /// The way to the station.
    pub requests: mpsc::Sender<Request>,
    /// The way to each board's chips.
    pub clocks: Vec<watch::Sender<Option<Clocks>>>,
    /// Where events are noted.
    pub events: EventLog,
    /// The end of the program.
    pub stop: Stop,
}

/// What the owner wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    /// The aim, of the machine.
    pub aim: Aim,
    /// Bounds within those of the profile.
    pub caps: Caps,
}

impl Wish {
    /// As configured, for the whole miner.
    #[must_use]
    pub fn of(config: &crate::config::Tuner) -> Self {
        Self {
            aim: config.aim,
            caps: config.caps,
        }
    }

    /// What a station with this part of the miner gets of it.
    #[must_use]
    pub fn part(self, share: f64) -> Self {
        let aim = match self.aim {
            Aim::Watts(watts) => Aim::Watts(watts * share),
            Aim::Hashrate(ths) => Aim::Hashrate(ths * share),
            aim => aim,
        };
        let watts = self.caps.watts.map(|watts| watts * share);
        let caps = Caps { watts, ..self.caps };
        Self { aim, caps }
    }
}

/// What boards run at while nothing tunes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    /// Set point of the station.
    pub point: SetPoint,
    /// Clocks that people gave to chips, MHz, for each board of the station; none for boards whose chips all
    /// run at that of the set point.
    pub clocks: Vec<Option<Vec<f64>>>,
}

impl Base {
    /// A set point for all chips alike.
    #[must_use]
    pub fn uniform(point: SetPoint, boards: usize) -> Self {
        Self {
            point,
            clocks: vec![None; boards],
        }
    }
}

/// What a tuner shows.
#[derive(Clone, Debug)]
pub struct View {
    /// Its boards, by position in the config.
    pub boards: Vec<usize>,
    /// Their serial numbers, as far as they are known; else names of their places.
    pub serials: Vec<String>,
    /// What it wants and does.
    pub wish: Wish,
    /// Where it stands.
    pub status: autotune::Status,
    /// How far learning is, 0 to 1, and how many seconds it may still take.
    pub progress: (f64, Option<f64>),
    /// What is known of the chips, for each board; empty while nothing is.
    pub quality: Vec<Vec<ChipQuality>>,
    /// Why, newest last.
    pub steps: VecDeque<Step>,
    /// What is in the way, or worth knowing, if anything.
    pub trouble: Option<String>,
}

/// A question to a tuner with the way back.
#[derive(Debug)]
enum Ask {
    Wish(Wish, oneshot::Sender<()>),
    Base(Base, oneshot::Sender<Result<(), Denied>>),
    Explain(usize, usize, oneshot::Sender<Option<Explanation>>),
    Predict(Aim, oneshot::Sender<Option<Prediction>>),
    Curve(usize, oneshot::Sender<Vec<Prediction>>),
    Models(oneshot::Sender<Vec<BoardModel>>),
    Calibrate(f64, oneshot::Sender<Result<Calibration, String>>),
    /// What is kept of the board with this serial number becomes this, or nothing; from the beginning with that.
    Replace(
        String,
        Option<Box<BoardModel>>,
        oneshot::Sender<io::Result<()>>,
    ),
}

/// A way to a tuner. Clones reach the same.
#[derive(Clone, Debug)]
pub struct Handle {
    /// What it shows.
    pub view: watch::Receiver<View>,
    /// Its part of the miner by nominal power, 0 to 1: of watts and hashrates that are asked of the whole.
    pub share: f64,
    /// Profile of its boards.
    pub profile: Arc<Profile>,
    asks: mpsc::Sender<Ask>,
}

impl Handle {
    /// Wants something else from now on. False if the agent is stopping.
    pub async fn want(&self, wish: Wish) -> bool {
        self.ask(|reply| Ask::Wish(wish, reply)).await.is_some()
    }

    /// Boards run at this from now on, or as soon as nothing tunes them any more.
    ///
    /// # Errors
    ///
    /// When their station refuses it; then all is as before.
    pub async fn base(&self, base: Base) -> Result<(), Denied> {
        let answer = self.ask(|reply| Ask::Base(base, reply)).await;
        answer.unwrap_or(Err(Denied::Gone))
    }

    /// Why a chip of a board (counted within the station) sits where it sits.
    pub async fn explain(&self, board: usize, chip: usize) -> Option<Explanation> {
        self.ask(|reply| Ask::Explain(board, chip, reply)).await?
    }

    /// What the station's boards would do under another aim of theirs.
    pub async fn predict(&self, aim: Aim) -> Option<Prediction> {
        self.ask(|reply| Ask::Predict(aim, reply)).await?
    }

    /// The best settings of the station from least to most power; empty while nothing is known of its boards.
    pub async fn curve(&self, points: usize) -> Vec<Prediction> {
        let curve = self.ask(|reply| Ask::Curve(points, reply)).await;
        curve.unwrap_or_default()
    }

    /// What was learned of the boards since the start.
    pub async fn models(&self) -> Vec<BoardModel> {
        self.ask(Ask::Models).await.unwrap_or_default()
    }

    /// A wall meter shows so many watts for this station.
    ///
    /// # Errors
    ///
    /// When that cannot be compared now; the text says why.
    pub async fn calibrate(&self, watts: f64) -> Result<Calibration, String> {
        let told = self.ask(|reply| Ask::Calibrate(watts, reply)).await;
        told.unwrap_or_else(|| Err("the tuner does not answer".to_owned()))
    }

    /// What is kept of the board with this serial number becomes this model, or nothing, and the tuner begins anew
    /// with what is kept.
    ///
    /// # Errors
    ///
    /// Whatever the file system says, or that the agent is stopping.
    pub async fn replace(&self, serial: &str, model: Option<&BoardModel>) -> io::Result<()> {
        let (serial, model) = (serial.to_owned(), model.cloned().map(Box::new));
        let answer = self.ask(|reply| Ask::Replace(serial, model, reply)).await;
        answer.unwrap_or_else(|| Err(io::Error::other("the tuner does not answer")))
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.ok()?;
        timeout(LONGEST_WAIT, answer).await.ok()?.ok()
    }
}

/// What a tuner begins with.
#[derive(Clone, Debug)]
pub struct Start {
    /// What it is to do, of the part of the miner that is its.
    pub wish: Wish,
    /// Its part of the miner, 0 to 1.
    pub share: f64,
    /// What the boards run at without it.
    pub base: Base,
    /// Where models are kept.
    pub models: Models,
    /// Breaks ties.
    pub seed: u64,
}

/// Prepares the tuner of a station.
#[must_use]
pub fn prepare(links: Links, start: Start, clock: Clock) -> (Task, Handle) {
    let view = View {
        boards: links.boards.clone(),
        serials: Vec::new(),
        wish: start.wish,
        status: task::blank(start.wish.aim),
        progress: (0.0, None),
        quality: Vec::new(),
        steps: VecDeque::new(),
        trouble: None,
    };
    let (view, shown) = watch::channel(view);
    let (ask, asks) = mpsc::channel(QUESTIONS);
    let handle = Handle {
        view: shown,
        share: start.share,
        profile: links.profile.clone(),
        asks: ask,
    };
    (Task::new(links, start, clock, view, asks), handle)
}

/// Why a model cannot be that of a board of this profile, if it cannot.
#[must_use]
pub fn unfit(profile: &Profile, model: &BoardModel) -> Option<String> {
    let layout = machine::layout(profile, vec![Some(model.serial.clone())], 0);
    let models = vec![model.clone()];
    match Tuner::new(layout, Aim::Off, Caps::default(), models, 0) {
        Ok(mut tuner) => {
            let mut steps = std::iter::from_fn(|| tuner.poll_step());
            let refused = steps.find(|step| step.decision.contains("model is not used"));
            refused.map(|step| step.evidence)
        }
        Err(error) => Some(error.to_string()),
    }
}

/// Where models of boards are kept: nowhere for simulated ones, unless somebody asked for it.
#[must_use]
pub fn models(config: &crate::config::Config) -> Models {
    let agent = &config.agent;
    let real = config.boards.iter().any(|board| !board.is_simulated());
    let kept = agent.state_dir_given || real;
    Models::new(kept.then(|| Path::new(&agent.state_dir)))
}
