//! The tuner's shell: one task for each station reads what its boards publish, asks the tuner once a
//! second, and passes its orders on. Limits stay the station's and its guard's: an order beyond them is
//! refused there, and the tuner is told by what it reads.

mod machine;
mod store;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use autotune::{Aim, BoardModel, Caps, Explanation, Layout, Prediction, Step, Tuner};
use board_profiles::Profile;
use station::{Command, Notice, SetPoint, Severity};
use tokio::sync::{mpsc, oneshot, watch};

pub use machine::Clocks;
pub use store::Models;

use crate::board::Report;
use crate::clock::Clock;
use crate::control::{Order, Request, Told};
use crate::events::EventLog;
use crate::stop::Stop;
use machine::Orders;

/// How often the tuner looks.
const LOOK: Duration = Duration::from_secs(1);
/// Models are kept at most so often while keeping; flash wears.
const KEEP_EVERY: Duration = Duration::from_secs(3600);
/// Steps that are kept to explain.
const STEPS: usize = 200;
/// Questions of people that may wait.
const QUESTIONS: usize = 16;

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

/// What a tuner shows.
#[derive(Clone, Debug)]
pub struct View {
    /// Its boards, by position in the config.
    pub boards: Vec<usize>,
    /// What it wants and does.
    pub wish: Wish,
    /// Where it stands.
    pub status: autotune::Status,
    /// Why, newest last.
    pub steps: VecDeque<Step>,
    /// What is in the way, if anything.
    pub trouble: Option<String>,
}

/// A question to a tuner with the way back.
#[derive(Debug)]
enum Ask {
    Wish(Wish, oneshot::Sender<()>),
    Explain(usize, usize, oneshot::Sender<Option<Explanation>>),
    Predict(Aim, oneshot::Sender<Option<Prediction>>),
    Models(oneshot::Sender<Vec<BoardModel>>),
    /// With these models, or with none, from the beginning.
    Restart(Vec<BoardModel>, oneshot::Sender<()>),
}

/// A way to a tuner. Clones reach the same.
#[derive(Clone, Debug)]
pub struct Handle {
    /// What it shows.
    pub view: watch::Receiver<View>,
    asks: mpsc::Sender<Ask>,
}

impl Handle {
    /// Wants something else from now on. False if the agent is stopping.
    pub async fn want(&self, wish: Wish) -> bool {
        self.ask(|reply| Ask::Wish(wish, reply)).await.is_some()
    }

    /// Why a chip of a board (counted within the station) sits where it sits.
    pub async fn explain(&self, board: usize, chip: usize) -> Option<Explanation> {
        self.ask(|reply| Ask::Explain(board, chip, reply)).await?
    }

    /// What the boards would do under another aim.
    pub async fn predict(&self, aim: Aim) -> Option<Prediction> {
        self.ask(|reply| Ask::Predict(aim, reply)).await?
    }

    /// What was learned of the boards.
    pub async fn models(&self) -> Vec<BoardModel> {
        self.ask(Ask::Models).await.unwrap_or_default()
    }

    /// Begins anew, with what is given. False if the agent is stopping.
    pub async fn restart(&self, models: Vec<BoardModel>) -> bool {
        let ask = |reply| Ask::Restart(models, reply);
        self.ask(ask).await.is_some()
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(ask(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// A tuner before its task runs.
#[derive(Debug)]
pub struct Task {
    links: Links,
    wish: Wish,
    models: Option<Models>,
    point: SetPoint,
    seed: u64,
    clock: Clock,
    view: watch::Sender<View>,
    asks: mpsc::Receiver<Ask>,
}

/// Prepares the tuner of a station. `point` is its set point without one; without a state directory
/// nothing is kept.
#[must_use]
pub fn prepare(
    links: Links,
    wish: Wish,
    state_dir: Option<&Path>,
    point: SetPoint,
    seed: u64,
    clock: Clock,
) -> (Task, Handle) {
    let view = View {
        boards: links.boards.clone(),
        wish,
        status: blank(wish.aim),
        steps: VecDeque::new(),
        trouble: None,
    };
    let (view, shown) = watch::channel(view);
    let (ask, asks) = mpsc::channel(QUESTIONS);
    let handle = Handle {
        view: shown,
        asks: ask,
    };
    let models = state_dir.map(Models::new);
    let task = Task {
        links,
        wish,
        models,
        point,
        seed,
        clock,
        view,
        asks,
    };
    (task, handle)
}

fn blank(aim: Aim) -> autotune::Status {
    autotune::Status {
        activity: match aim {
            Aim::Off => autotune::Activity::Off,
            _ => autotune::Activity::Waiting("boards have no power".into()),
        },
        aim,
        reach: autotune::Reach::Reached,
        rounds: 0,
        mv: 0.0,
        mhz: 0.0,
        ths: 0.0,
        watts: 0.0,
        regret: 1.0,
        silent: Vec::new(),
    }
}

impl Task {
    /// Runs until the program stops; what was learned is kept then.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut running: Option<Running> = None;
        let mut given: Option<Vec<BoardModel>> = None;
        let mut asks_come = true;
        loop {
            tokio::select! {
                biased;
                () = self.links.stop.stopped() => break,
                ask = self.asks.recv(), if asks_come => match ask {
                    Some(ask) => self.answer(ask, &mut running, &mut given),
                    None => asks_come = false,
                },
                _ = ticks.tick() => {
                    if running.is_none() && self.wish.aim != Aim::Off {
                        running = self.begin(given.take());
                    }
                    if let Some(now) = running.take() {
                        running = self.look(now).await;
                    }
                }
            }
        }
        if let Some(running) = &running {
            self.keep(&running.tuner);
        }
    }

    /// Makes a tuner as soon as the serial numbers of the boards can be known.
    fn begin(&self, given: Option<Vec<BoardModel>>) -> Option<Running> {
        let status = self.links.station.borrow().status.clone();
        let up = self
            .links
            .reports
            .iter()
            .all(|report| report.borrow().chain.is_some());
        if !up {
            return None;
        }
        let serials: Vec<_> = (0..self.links.boards.len())
            .map(|index| {
                let told = status.boards.get(index).and_then(|b| b.serial.clone());
                let place = || format!("{}-{}", self.links.profile.name, self.links.boards[index]);
                Some(
                    self.links.serials[index]
                        .clone()
                        .or(told)
                        .unwrap_or_else(place),
                )
            })
            .collect();
        let models = given.unwrap_or_else(|| self.stored(&serials));
        let layout = machine::layout(&self.links.profile, serials, self.links.scale_bits);
        let tuner = Tuner::new(
            layout.clone(),
            self.wish.aim,
            self.wish.caps,
            models,
            self.seed,
        );
        match tuner {
            Ok(tuner) => Some(Running {
                orders: Orders::new(layout.boards(), layout.chips(), self.point),
                layout,
                tuner,
                kept: self.clock.now(),
                complete: false,
            }),
            Err(error) => {
                let text = format!("these boards cannot be tuned: {error}");
                self.view
                    .send_modify(|view| view.trouble = Some(text.clone()));
                None
            }
        }
    }

    fn stored(&self, serials: &[Option<String>]) -> Vec<BoardModel> {
        let mut models = Vec::new();
        let Some(kept) = &self.models else {
            return models;
        };
        for serial in serials.iter().flatten() {
            match kept.load(serial) {
                Ok(model) => models.extend(model),
                Err(why) => self.links.events.note(
                    &self.links.boards,
                    notice(
                        Severity::Warning,
                        "tuned-profile",
                        format!(
                            "what was learned of board {serial} cannot be used, it is learned anew: {why}"
                        ),
                    ),
                ),
            }
        }
        models
    }

    /// One look: what is, what the tuner makes of it, and its orders.
    async fn look(&self, mut running: Running) -> Option<Running> {
        let reports: Vec<Report> = self
            .links
            .reports
            .iter()
            .map(|report| report.borrow().clone())
            .collect();
        let now = self.clock.now();
        let status = self.links.station.borrow().read_at(now);
        let seen = machine::observation(&running.layout, &reports, &status);
        // A fit of hundreds of chips takes a moment, and nothing that mines may wait for it.
        let thought = tokio::task::spawn_blocking(move || {
            running.tuner.observe(now, &seen);
            running.tuner.tick(now);
            running
        });
        let mut running = match thought.await {
            Ok(running) => running,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return None,
            },
        };
        while let Some(command) = running.tuner.poll_command() {
            running.orders.take(command);
        }
        let trouble = self.pass_on(&running, &status).await;
        let mut steps = Vec::new();
        while let Some(step) = running.tuner.poll_step() {
            tracing::info!(
                boards = ?self.links.boards,
                hypothesis = step.hypothesis,
                evidence = step.evidence,
                confidence = step.confidence,
                decision = step.decision,
                "tuner"
            );
            steps.push(step);
        }
        let tuned = running.tuner.status();
        let complete = tuned.activity == autotune::Activity::Keeping;
        let due = now.saturating_sub(running.kept) >= KEEP_EVERY;
        if complete && (!running.complete || due) {
            self.keep(&running.tuner);
            running.kept = now;
        }
        running.complete = complete;
        self.view.send_modify(|view| {
            view.status = tuned;
            view.wish = self.wish;
            view.trouble = trouble;
            view.steps.extend(steps);
            let surplus = view.steps.len().saturating_sub(STEPS);
            view.steps.drain(..surplus);
        });
        Some(running)
    }

    /// Asks station and boards for what is ordered; what is in the way, if anything.
    async fn pass_on(&self, running: &Running, station: &station::Status) -> Option<String> {
        let point = running.orders.set_point();
        for (board, way) in self.links.clocks.iter().enumerate() {
            let clocks = Some(running.orders.clocks(board));
            way.send_if_modified(|now| {
                let news = *now != clocks;
                *now = clocks;
                news
            });
        }
        if station.set_points.wanted == Some(point) {
            return None;
        }
        match request(&self.links.requests, Command::SetPoint(point)).await {
            Ok(()) => None,
            Err(why) => Some(format!(
                "the station does not take {} MHz at {} mV: {why}",
                point.mhz, point.mv
            )),
        }
    }

    fn answer(
        &mut self,
        ask: Ask,
        running: &mut Option<Running>,
        given: &mut Option<Vec<BoardModel>>,
    ) {
        // Whoever asked may have gone, so a reply that is not wanted is no matter.
        match ask {
            Ask::Wish(wish, reply) => {
                self.wish = wish;
                if wish.aim == Aim::Off {
                    if let Some(running) = running.take() {
                        self.keep(&running.tuner);
                    }
                    self.let_go();
                } else if let Some(running) = running {
                    running.tuner.set_aim(wish.aim, wish.caps);
                }
                self.view.send_modify(|view| {
                    view.wish = wish;
                    if wish.aim == Aim::Off {
                        view.status = blank(wish.aim);
                    }
                });
                let _ = reply.send(());
            }
            Ask::Explain(board, chip, reply) => {
                let why = running.as_ref().and_then(|r| r.tuner.explain(board, chip));
                let _ = reply.send(why);
            }
            Ask::Predict(aim, reply) => {
                let prediction = running.as_ref().and_then(|r| r.tuner.predict(aim));
                let _ = reply.send(prediction);
            }
            Ask::Models(reply) => {
                let models = running.as_ref().map(|running| running.tuner.models());
                let _ = reply.send(models.unwrap_or_default());
            }
            Ask::Restart(models, reply) => {
                *running = None;
                *given = Some(models);
                let _ = reply.send(());
            }
        }
    }

    /// Back to the set point without a tuner.
    fn let_go(&self) {
        for way in &self.links.clocks {
            way.send_replace(None);
        }
        let (reply, _) = oneshot::channel();
        let command = Command::SetPoint(self.point);
        if self
            .links
            .requests
            .try_send(Request {
                order: Order::Command(command),
                reply,
            })
            .is_err()
        {
            tracing::warn!("the station is busy; the set point stays until it is asked again");
        }
    }

    fn keep(&self, tuner: &Tuner) {
        let Some(kept) = &self.models else {
            return;
        };
        for model in tuner.models() {
            if let Err(error) = kept.save(&model) {
                let text = format!(
                    "what was learned of board {} cannot be kept ({error}); it is learned anew after \
                     a restart",
                    model.serial
                );
                let notice = notice(Severity::Warning, "tuned-profile", text);
                self.links.events.note(&self.links.boards, notice);
            }
        }
    }
}

/// A tuner at work.
#[derive(Debug)]
struct Running {
    layout: Layout,
    tuner: Tuner,
    orders: Orders,
    kept: Duration,
    complete: bool,
}

async fn request(station: &mpsc::Sender<Request>, command: Command) -> Result<(), String> {
    let (reply, answer) = oneshot::channel();
    let request = Request {
        order: Order::Command(command),
        reply,
    };
    station
        .try_send(request)
        .map_err(|_| "it is busy".to_owned())?;
    match answer.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(refused)) => Err(refused.to_string()),
        Err(_) => Err("it is gone".to_owned()),
    }
}

fn notice(severity: Severity, code: &str, text: String) -> Notice {
    Notice {
        severity,
        code: code.to_owned(),
        text,
        ..Notice::default()
    }
}
