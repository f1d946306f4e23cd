//! The task of a tuner: its time, its questions, and what it keeps.

use std::io;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use autotune::{
    Activity, Aim, BoardModel, Calibration, Layout, Prediction, Reach, Status, Step, Tuner,
};
use chain::Phase;
use station::status::{SetPoints, Source};
use station::{Notice, SetPoint, Severity};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::machine::{self, Orders};
use super::{Ask, Base, Clocks, Links, Models, Start, View, Wish};
use crate::board::Report;
use crate::clock::Clock;
use crate::control::command::Denied;
use crate::control::{Order, Request};

/// How often the tuner looks.
const LOOK: Duration = Duration::from_secs(1);
/// Models are kept at most so often while nothing ends; flash wears.
const KEEP_EVERY: Duration = Duration::from_secs(3600);
/// While tuning they grow fast, and what is learned in a minute is worth a write.
const KEEP_LEARNING: Duration = Duration::from_secs(60);
/// Steps that are kept to explain.
const STEPS: usize = 200;
/// How long chips have to be missing, or back, to be believed.
const MISSING: Duration = Duration::from_secs(10);
/// A voltage from this share of the wanted one on is there: regulators read back a little less under load.
const THERE: f64 = 0.98;
/// Where nothing reads the voltage back it is there after this, and whatever is read after that.
const SURELY: Duration = Duration::from_secs(10);
const AT_LAST: Duration = Duration::from_secs(30);
/// How often chips are judged anew while nothing is learned.
const JUDGE: Duration = Duration::from_secs(60);
/// An aim that moves all the time is told as reached at most so often.
const TELL_EVERY: Duration = Duration::from_secs(600);
/// Predictions that may wait for each other; each takes a core for a moment.
const THOUGHTS: usize = 8;

/// A tuner before its task runs.
#[derive(Debug)]
pub struct Task {
    links: Links,
    wish: Wish,
    base: Base,
    /// The station has still to be asked for the base.
    owed: bool,
    /// Since when boards are on their way from a tuner's setting to the base. Chips that were slowed for a low voltage
    /// stay so until there is more.
    leaving: Option<Duration>,
    /// What was ordered before it began anew, which is still in force.
    before: Option<Orders>,
    models: Models,
    seed: u64,
    clock: Clock,
    view: watch::Sender<View>,
    asks: mpsc::Receiver<Ask>,
    running: Option<Running>,
    diary: Diary,
    thoughts: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// A tuner at work.
#[derive(Debug)]
struct Running {
    layout: Layout,
    tuner: Tuner,
    orders: Orders,
    /// Models were kept last: when, and after how many rounds.
    kept: (Duration, u32),
    complete: bool,
    /// Chips as they were judged last: when, and after how many rounds.
    judged: Option<(Duration, u32)>,
    calibrated: bool,
    fit: Fit,
}

/// Whether the boards have the chips that they should.
#[derive(Debug, Default)]
struct Fit {
    /// Since when it is otherwise than it is taken to be.
    since: Option<Duration>,
    /// What is missing, as far as that is believed.
    missing: Option<String>,
}

impl Fit {
    /// Takes what is missing now; true if what is believed has changed.
    fn see(&mut self, now: Duration, missing: Option<String>) -> bool {
        if missing.is_some() == self.missing.is_some() {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        if now.saturating_sub(since) < MISSING {
            return false;
        }
        (self.since, self.missing) = (None, missing);
        true
    }
}

/// Before anything is known.
#[must_use]
pub(super) fn blank(aim: Aim) -> Status {
    Status {
        activity: match aim {
            Aim::Off => Activity::Off,
            _ => Activity::Waiting("boards have no power".into()),
        },
        aim,
        reach: Reach::Reached,
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
    pub(super) fn new(
        links: Links,
        start: Start,
        clock: Clock,
        view: watch::Sender<View>,
        asks: mpsc::Receiver<Ask>,
    ) -> Self {
        Self {
            links,
            wish: start.wish,
            base: start.base,
            owed: false,
            leaving: None,
            before: None,
            models: start.models,
            seed: start.seed,
            clock,
            view,
            asks,
            running: None,
            diary: Diary::default(),
            thoughts: Arc::new(Semaphore::new(1)),
            waiting: Arc::new(Semaphore::new(THOUGHTS)),
        }
    }

    /// Runs until the program stops; what was learned is kept then.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asks_come = true;
        loop {
            tokio::select! {
                biased;
                () = self.links.stop.stopped() => break,
                ask = self.asks.recv(), if asks_come => match ask {
                    Some(ask) => self.answer(ask).await,
                    None => asks_come = false,
                },
                _ = ticks.tick() => self.turn().await,
            }
        }
        self.keep().await;
    }

    async fn turn(&mut self) {
        if self.running.is_none() {
            let serials = self.serials();
            self.view.send_if_modified(|view| {
                let news = view.serials != serials;
                view.serials = serials;
                news
            });
        }
        if self.wish.aim == Aim::Off {
            self.go_to_base().await;
            return;
        }
        if self.running.is_none() {
            self.begin().await;
        }
        if let Some(running) = self.running.take() {
            self.running = self.look(running).await;
        }
    }

    /// Makes a tuner as soon as the serial numbers of the boards can be known.
    async fn begin(&mut self) {
        let mut reports = self.links.reports.iter();
        if !reports.all(|report| report.borrow().chain.is_some()) {
            return;
        }
        let serials = self.serials();
        let models = self.stored(serials.clone()).await;
        let calibrated = models.iter().any(|model| model.calibration.is_some());
        match self.tuner(serials, self.wish.aim, models) {
            Ok((layout, tuner)) => {
                let fresh = || Orders::new(layout.boards(), layout.chips(), self.base.point);
                self.running = Some(Running {
                    orders: self.before.take().unwrap_or_else(fresh),
                    layout,
                    tuner,
                    kept: (self.clock.now(), 0),
                    complete: false,
                    judged: None,
                    calibrated,
                    fit: Fit::default(),
                });
            }
            Err(error) => {
                let text = format!("these boards cannot be tuned, they run as configured: {error}");
                self.view.send_modify(|view| view.trouble = Some(text));
            }
        }
    }

    fn tuner(
        &self,
        serials: Vec<String>,
        aim: Aim,
        models: Vec<BoardModel>,
    ) -> Result<(Layout, Tuner), autotune::LayoutError> {
        let serials = serials.into_iter().map(Some).collect();
        let layout = machine::layout(&self.links.profile, serials, self.links.scale_bits);
        let tuner = Tuner::new(layout.clone(), aim, self.wish.caps, models, self.seed)?;
        Ok((layout, tuner))
    }

    /// Serial numbers of the boards as configured, or as they tell them, or their places.
    fn serials(&self) -> Vec<String> {
        let status = self.links.station.borrow().status.clone();
        let serial = |(index, board): (usize, &usize)| {
            let told = status.boards.get(index).and_then(|b| b.serial.clone());
            let place = || format!("{}-{board}", self.links.profile.name);
            let configured = self.links.serials.get(index).cloned().flatten();
            configured.or(told).unwrap_or_else(place)
        };
        self.links.boards.iter().enumerate().map(serial).collect()
    }

    /// What is kept of these boards.
    async fn stored(&self, serials: Vec<String>) -> Vec<BoardModel> {
        let models = self.models.clone();
        let load = move || {
            let load = |serial: &String| models.load(serial).map_err(|why| (serial.clone(), why));
            serials.iter().map(load).collect::<Vec<_>>()
        };
        let loaded = tokio::task::spawn_blocking(load).await.unwrap_or_default();
        let mut found = Vec::new();
        for outcome in loaded {
            match outcome {
                Ok(model) => found.extend(model),
                Err((serial, why)) => {
                    let serial = crate::format::plain(&serial, 64);
                    let text = format!(
                        "what was learned of board {serial} cannot be used, it is learned anew: {why}"
                    );
                    self.note(Severity::Warning, "tuned-profile", text);
                }
            }
        }
        found
    }

    /// One look: what is, what the tuner makes of it, and its orders.
    async fn look(&mut self, mut running: Running) -> Option<Running> {
        let reports = self.links.reports.iter();
        let reports: Vec<Report> = reports.map(|report| report.borrow().clone()).collect();
        let now = self.clock.now();
        let status = self.links.station.borrow().read_at(now);
        if self.is_changed(&running, &reports) {
            let text = "other boards are on this station than before; what was learned of those before is \
                        kept, and tuning begins anew with these"
                .to_owned();
            self.note(Severity::Warning, "board-changed", text);
            self.save(running.tuner.models()).await;
            return None;
        }
        let missing = missing(&running.layout, &reports);
        if running.fit.see(now, missing) {
            match &running.fit.missing {
                Some(missing) => {
                    let text = format!(
                        "{missing}: boards with chips missing are not tuned and run as configured; see the \
                         log of the chain, and look for a broken chip or cable"
                    );
                    self.note(Severity::Warning, "tuner-held", self.renamed(&text));
                    self.leave(now);
                }
                None => {
                    let text = "all chips are there again: tuning goes on".to_owned();
                    self.note(Severity::Info, "tuner-goes-on", text);
                    (self.owed, self.leaving) = (false, None);
                }
            }
        }
        if let Some(missing) = &running.fit.missing {
            let why = format!("{missing}; it runs as configured");
            self.view
                .send_modify(|view| view.status.activity = Activity::Held(why));
            self.go_to_base().await;
            return Some(running);
        }
        let seen = machine::observation(&running.layout, &reports, &status);
        let (mut running, ()) = aside(running, move |tuner| {
            tuner.observe(now, &seen);
            tuner.tick(now);
        })
        .await?;
        while let Some(command) = running.tuner.poll_command() {
            running.orders.take(command);
        }
        let refused = self.pass_on(&running, &status).await;
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
        self.tell(now, &tuned, &steps, refused.as_deref());
        let complete = tuned.activity == Activity::Keeping;
        let since = now.saturating_sub(running.kept.0);
        let learned = !complete && tuned.rounds > running.kept.1 && since >= KEEP_LEARNING;
        let due = since >= KEEP_EVERY && tuned.rounds > 0;
        if complete && !running.complete || learned || due {
            running.kept = (now, tuned.rounds);
            self.save(running.tuner.models()).await;
        }
        running.complete = complete;
        let quality = running.judge(now, tuned.rounds);
        let unmeasured = power_source(&status) == Some(Source::Nameplate) && !running.calibrated;
        let trouble = refused.or_else(|| unmeasured.then(|| UNMEASURED.to_owned()));
        let progress = running.tuner.progress();
        self.view.send_modify(|view| {
            view.status = tuned;
            view.wish = self.wish;
            view.trouble = trouble;
            view.progress = progress;
            if let Some(quality) = quality {
                view.quality = quality;
            }
            view.steps.extend(steps);
            let surplus = view.steps.len().saturating_sub(STEPS);
            view.steps.drain(..surplus);
        });
        Some(running)
    }

    /// Whether other boards are there than those that are tuned, as far as boards tell.
    fn is_changed(&self, running: &Running, reports: &[Report]) -> bool {
        let status = self.links.station.borrow().status.clone();
        let up = reports.iter().all(|report| report.chain.is_some());
        let known = running.layout.serials.iter().enumerate();
        up && known.into_iter().any(|(index, known)| {
            let configured = self.links.serials.get(index).is_some_and(Option::is_some);
            let told = status.boards.get(index).and_then(|b| b.serial.as_ref());
            !configured && told.is_some() && told != known.as_ref()
        })
    }

    /// Asks station and boards for what is ordered; what is in the way, if anything.
    async fn pass_on(&self, running: &Running, station: &station::Status) -> Option<String> {
        let point = running.orders.set_point();
        for (board, way) in self.links.clocks.iter().enumerate() {
            give(way, Some(running.orders.clocks(board)));
        }
        if station.set_points.wanted == Some(point) {
            return None;
        }
        match order(&self.links.requests, point).await {
            Ok(()) => None,
            Err(why) => Some(format!(
                "the station does not take {} MHz at {} mV: {why}",
                point.mhz, point.mv
            )),
        }
    }

    /// Boards leave the tuner's setting for the base.
    fn leave(&mut self, now: Duration) {
        self.owed = true;
        self.leaving.get_or_insert(now);
    }

    /// Asks the station for the base as long as it has to be asked, and gives chips the clocks of the base as soon as
    /// clock and voltage allow it.
    async fn go_to_base(&mut self) {
        if self.owed {
            self.owed = order(&self.links.requests, self.base.point).await.is_err();
        }
        if let Some(since) = self.leaving {
            let waited = self.clock.now().saturating_sub(since);
            if !self.is_at_base(waited) {
                return;
            }
            self.leaving = None;
        }
        self.hand_out(&self.base.clocks.clone());
    }

    fn is_at_base(&self, waited: Duration) -> bool {
        let told = self.links.station.borrow();
        let runs = told.status.phase == station::Phase::Running;
        !runs
            || waited >= AT_LAST
            || !self.owed && is_there(self.base.point, &told.status.set_points, waited)
    }

    /// Boards get the clocks that people gave to chips.
    fn hand_out(&self, clocks: &[Option<Vec<f64>>]) {
        let own = clocks.iter().chain(std::iter::repeat(&None));
        for (way, own) in self.links.clocks.iter().zip(own) {
            let clocks = own.as_ref().map(|mhz| Clocks {
                mhz: mhz.clone(),
                top_mhz: self.base.point.mhz,
                ticket_bits: None,
            });
            give(way, clocks);
        }
    }

    async fn answer(&mut self, ask: Ask) {
        // Whoever asked may have gone, so a reply that is not wanted is no matter.
        match ask {
            Ask::Wish(wish, reply) => {
                self.take_wish(wish).await;
                let _ = reply.send(());
            }
            Ask::Base(base, reply) => {
                let _ = reply.send(self.take_base(base).await);
            }
            Ask::Explain(board, chip, reply) => {
                let running = self.running.as_ref();
                let why = running.and_then(|r| r.tuner.explain(board, chip));
                let _ = reply.send(why.map(|why| self.view.borrow().told_explanation(why)));
            }
            Ask::Predict(aim, reply) => {
                self.think(reply, move |tuner| tuner.predict(aim)).await;
            }
            Ask::Curve(points, reply) => {
                self.think(reply, move |tuner| -> Vec<Prediction> {
                    tuner.curve(points)
                })
                .await;
            }
            Ask::Models(reply) => {
                let learned = self
                    .running
                    .as_ref()
                    .filter(|running| running.has_learned());
                let _ = reply.send(learned.map(|r| r.tuner.models()).unwrap_or_default());
            }
            Ask::Calibrate(watts, reply) => {
                let _ = reply.send(self.calibrate(watts).await);
            }
            Ask::Replace(serial, model, reply) => {
                let _ = reply.send(self.replace(serial, model).await);
            }
        }
    }

    async fn take_wish(&mut self, wish: Wish) {
        self.wish = wish;
        if wish.aim == Aim::Off {
            self.keep().await;
            let tuned = self.running.take().is_some() || self.before.take().is_some();
            if tuned {
                self.leave(self.clock.now());
            }
            self.diary = Diary::default();
        } else {
            self.think_over(move |tuner| tuner.set_aim(wish.aim, wish.caps))
                .await;
        }
        self.view.send_modify(|view| {
            let begins = view.wish.aim == Aim::Off && wish.aim != Aim::Off;
            view.wish = wish;
            if begins || wish.aim == Aim::Off {
                view.status = blank(wish.aim);
                view.progress = (0.0, None);
                view.trouble = None;
            }
        });
        if wish.aim == Aim::Off {
            self.turn().await;
        }
    }

    /// What boards run at without a tuner; without one now, they do at once.
    async fn take_base(&mut self, base: Base) -> Result<(), Denied> {
        if self.wish.aim == Aim::Off {
            order_for_people(&self.links.requests, base.point).await?;
            self.owed = false;
            self.base = base;
            if self.leaving.is_none() {
                self.hand_out(&self.base.clocks.clone());
            }
        } else {
            self.base = base;
            let held = self.running.as_ref();
            self.owed |= held.is_some_and(|running| running.fit.missing.is_some());
        }
        Ok(())
    }

    async fn calibrate(&mut self, watts: f64) -> Result<Calibration, String> {
        let told = self.think_over(move |tuner| tuner.calibrate(watts)).await;
        let Some(told) = told else {
            return Err(
                "only a tuner that runs can be calibrated; start it first (`hashwright tune start`)"
                    .to_owned(),
            );
        };
        let told = told.map_err(|error| error.to_string())?;
        if let Some(running) = &mut self.running {
            running.calibrated = true;
        }
        self.keep().await;
        Ok(told)
    }

    /// Has the tuner at work do something that may take long; none if there is none.
    async fn think_over<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Tuner) -> T + Send + 'static,
    ) -> Option<T> {
        let (running, outcome) = aside(self.running.take()?, act).await?;
        self.running = Some(running);
        Some(outcome)
    }

    /// What is kept of a board becomes this, or nothing, and all begins anew with what is kept. Here, so that nothing
    /// that was learned before is kept in between.
    async fn replace(&mut self, serial: String, model: Option<Box<BoardModel>>) -> io::Result<()> {
        self.keep().await;
        let models = self.models.clone();
        let replace = move || match model {
            Some(model) => models.save(&model),
            None => models.forget(&serial).map(drop),
        };
        let replaced = tokio::task::spawn_blocking(replace).await;
        if let Some(running) = self.running.take() {
            self.before = Some(running.orders);
        }
        self.diary = Diary::default();
        self.view.send_modify(|view| {
            view.status = blank(view.wish.aim);
            view.quality.clear();
        });
        replaced.map_err(io::Error::other)?
    }

    /// Thinks about a question aside, so that tuning goes on meanwhile. Without a tuner at work the models that
    /// are kept answer.
    async fn think<T: Default + Send + 'static>(
        &self,
        reply: oneshot::Sender<T>,
        question: impl FnOnce(&Tuner) -> T + Send + 'static,
    ) {
        let Ok(room) = Arc::clone(&self.waiting).try_acquire_owned() else {
            return;
        };
        let tuner = match &self.running {
            Some(running) => Some(running.tuner.clone()),
            None => self.remembered().await,
        };
        let turn = Arc::clone(&self.thoughts);
        tokio::spawn(async move {
            let _room = room;
            let Ok(_turn) = turn.acquire_owned().await else {
                return;
            };
            let Some(tuner) = tuner else {
                drop(reply.send(T::default()));
                return;
            };
            // If it fails, nobody is answered, and that is told as such.
            if let Ok(answer) = tokio::task::spawn_blocking(move || question(&tuner)).await {
                drop(reply.send(answer));
            }
        });
    }

    /// A tuner that does nothing, with what is kept of the boards.
    async fn remembered(&self) -> Option<Tuner> {
        let serials = self.serials();
        let models = self.stored(serials.clone()).await;
        if models.is_empty() {
            return None;
        }
        let made = self.tuner(serials, Aim::Off, models);
        made.ok().map(|(_, tuner)| tuner)
    }

    /// Keeps what was learned, if anything was.
    async fn keep(&self) {
        let learned = self
            .running
            .as_ref()
            .filter(|running| running.has_learned());
        if let Some(running) = learned {
            self.save(running.tuner.models()).await;
        }
    }

    async fn save(&self, learned: Vec<BoardModel>) {
        let models = self.models.clone();
        let save = move || {
            let all = learned.iter();
            let failed =
                all.filter_map(|model| Some((model.serial.clone(), models.save(model).err()?)));
            failed.collect::<Vec<_>>()
        };
        let failed = tokio::task::spawn_blocking(save).await.unwrap_or_default();
        for (serial, error) in failed {
            let serial = crate::format::plain(&serial, 64);
            let text = format!(
                "what was learned of board {serial} cannot be kept ({error}); it is learned anew after a \
                 restart. Make the state directory writable"
            );
            self.note(Severity::Warning, "tuned-profile", text);
        }
    }

    /// Notes what a person would want to hear of.
    fn tell(&mut self, now: Duration, status: &Status, steps: &[Step], refused: Option<&str>) {
        for (severity, code, text) in self.diary.news(now, self.wish.aim, status, steps, refused) {
            self.note(severity, code, self.renamed(&text));
        }
    }

    fn renamed(&self, text: &str) -> String {
        self.view.borrow().renamed(text)
    }

    fn note(&self, severity: Severity, code: &str, text: String) {
        let notice = Notice {
            severity,
            code: code.to_owned(),
            text,
            ..Notice::default()
        };
        self.links.events.note(&self.links.boards, notice);
    }
}

impl Running {
    fn has_learned(&self) -> bool {
        let status = self.tuner.status();
        status.rounds > 0 || status.activity == Activity::Keeping
    }

    /// How good the chips are, if it is time to say.
    fn judge(&mut self, now: Duration, rounds: u32) -> Option<Vec<Vec<autotune::ChipQuality>>> {
        let fresh =
            |(at, before): (Duration, u32)| before == rounds && now.saturating_sub(at) < JUDGE;
        if rounds == 0 || self.judged.is_some_and(fresh) {
            return None;
        }
        self.judged = Some((now, rounds));
        let boards = 0..self.layout.boards();
        Some(boards.map(|board| self.tuner.quality(board)).collect())
    }
}

/// Has a tuner do something apart from all that mines: a fit of hundreds of chips takes a moment. None if the program
/// ends meanwhile.
async fn aside<T: Send + 'static>(
    mut running: Running,
    act: impl FnOnce(&mut Tuner) -> T + Send + 'static,
) -> Option<(Running, T)> {
    let thought = tokio::task::spawn_blocking(move || {
        let outcome = act(&mut running.tuner);
        (running, outcome)
    });
    match thought.await {
        Ok(thought) => Some(thought),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => None,
        },
    }
}

const UNMEASURED: &str = "nothing measures the power of this station, so watts are reckoned from its profile; \
                          tell what a wall meter shows with `hashwright calibrate`";

fn power_source(station: &station::Status) -> Option<Source> {
    station.reading("input power").map(|reading| reading.source)
}

/// Which board has not the chips that it should, while it is up.
fn missing(layout: &Layout, reports: &[Report]) -> Option<String> {
    reports.iter().enumerate().find_map(|(board, report)| {
        let chain = report.chain.as_ref()?;
        let up = matches!(chain.phase, Phase::Idle | Phase::Mining);
        let (found, expected) = (chain.chips.len(), layout.chips());
        (up && found != expected)
            .then(|| format!("{found} of {expected} chips of board {board} answer"))
    })
}

/// Whether a station has brought clock and voltage to a set point, as far as it can be read.
fn is_there(point: SetPoint, points: &SetPoints, waited: Duration) -> bool {
    let SetPoint { mhz, mv } = point;
    let slow = points.actual_mhz.is_none_or(|actual| actual <= mhz + 1.0);
    let read = points.actual_mv;
    slow && read.map_or(waited >= SURELY, |read| read >= THERE * f64::from(mv))
}

fn give(way: &watch::Sender<Option<Clocks>>, clocks: Option<Clocks>) {
    way.send_if_modified(|now| {
        let news = *now != clocks;
        *now = clocks;
        news
    });
}

async fn order(station: &mpsc::Sender<Request>, point: SetPoint) -> Result<(), String> {
    order_for_people(station, point)
        .await
        .map_err(|denied| denied.to_string())
}

async fn order_for_people(station: &mpsc::Sender<Request>, point: SetPoint) -> Result<(), Denied> {
    let (reply, answer) = oneshot::channel();
    let order = Order::SetPoint(point);
    station
        .try_send(Request { order, reply })
        .map_err(|_| Denied::Gone)?;
    match tokio::time::timeout(Duration::from_secs(10), answer).await {
        Ok(Ok(outcome)) => Ok(outcome?),
        _ => Err(Denied::Gone),
    }
}

/// What was told of a tuner, so that it is told once.
#[derive(Debug, Default)]
struct Diary {
    /// The aim that was told as reached or not, when, and which it was.
    told: Option<(Duration, Aim, Discriminant<Aim>, Reach)>,
    held: Option<String>,
    refused: Option<String>,
}

impl Diary {
    /// What is worth an event: severity, code and text.
    fn news(
        &mut self,
        now: Duration,
        aim: Aim,
        status: &Status,
        steps: &[Step],
        refused: Option<&str>,
    ) -> Vec<(Severity, &'static str, String)> {
        let mut news = Vec::new();
        // A stored model that is not this board's is told with its reasons as a step.
        let unfit = |step: &&Step| {
            step.decision.contains("model is not used")
                || step.decision.contains("forget the model")
        };
        for step in steps.iter().filter(unfit) {
            let text = format!(
                "what was learned before does not fit: {}; {}",
                step.evidence, step.decision
            );
            news.push((Severity::Warning, "board-changed", text));
        }
        match &status.activity {
            Activity::Held(why) if self.held.as_ref() != Some(why) => {
                let text = format!("{why}; the best setting known to be safe is held");
                news.push((Severity::Warning, "tuner-held", text));
                self.held = Some(why.clone());
            }
            Activity::Measuring | Activity::Keeping if self.held.take().is_some() => {
                news.push((Severity::Info, "tuner-goes-on", "tuning goes on".to_owned()));
            }
            _ => {}
        }
        if status.activity == Activity::Keeping {
            let kind = discriminant(&aim);
            let known = self.told.is_some_and(|(at, told, of, reach)| {
                let soon = now.saturating_sub(at) < TELL_EVERY;
                of == kind && reach == status.reach && (told == aim || soon)
            });
            if !known {
                self.told = Some((now, aim, kind, status.reach));
                news.push(reached(aim, status));
            }
        }
        if let Some(why) = refused.filter(|why| self.refused.as_deref() != Some(why)) {
            news.push((Severity::Warning, "tuner-refused", why.to_owned()));
        }
        self.refused = refused.map(str::to_owned);
        news
    }
}

fn reached(aim: Aim, status: &Status) -> (Severity, &'static str, String) {
    let wanted = match aim {
        Aim::Watts(watts) => format!("{watts:.1} W"),
        Aim::Hashrate(ths) => format!("{ths:.2} TH/s"),
        Aim::Efficiency => "efficiency".to_owned(),
        Aim::Profit { .. } => "profit".to_owned(),
        Aim::Off => "nothing".to_owned(),
    };
    let point = format!(
        "{:.2} TH/s at {:.1} W ({:.2} J/TH), {:.0} mV and {:.1} MHz on average",
        status.ths,
        status.watts,
        status.watts / status.ths.max(1e-9),
        status.mv,
        status.mhz
    );
    let what = match status.reach {
        Reach::Reached => {
            return (
                Severity::Info,
                "tuned",
                format!("tuned for {wanted}: {point}"),
            );
        }
        Reach::TooLittlePower => {
            "even the lowest setting draws more; it is kept. Allow more power, or switch boards off"
        }
        Reach::TooMuchWork => {
            "that is more than these boards can do safely within the caps; the nearest setting is kept. Ask for \
             less, or allow more"
        }
        Reach::TooMuchPower => {
            "the boards cannot use that much within their limits; the highest setting is kept"
        }
        Reach::NoProfit => {
            "power costs more than any setting earns; the one that loses least is kept. Pause the miner, or let \
             a rule for the price put it to sleep"
        }
    };
    let text = format!("the aim of {wanted} cannot be reached: {what}. Now {point}");
    (Severity::Warning, "aim-impossible", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(activity: Activity) -> Status {
        Status {
            activity,
            watts: 14.4,
            ths: 1.01,
            ..blank(Aim::Efficiency)
        }
    }

    const S: Duration = Duration::from_secs(1);

    fn codes(diary: &mut Diary, at: u32, aim: Aim, status: &Status) -> Vec<&'static str> {
        let news = diary.news(at * S, aim, status, &[], None);
        news.iter().map(|(_, code, _)| *code).collect()
    }

    #[test]
    fn what_is_reached_is_told_once_for_an_aim() {
        let mut diary = Diary::default();
        let keeping = status(Activity::Keeping);
        let aim = Aim::Watts(15.0);
        assert!(codes(&mut diary, 1, aim, &status(Activity::Measuring)).is_empty());
        assert_eq!(codes(&mut diary, 2, aim, &keeping), ["tuned"]);
        assert!(codes(&mut diary, 3, aim, &status(Activity::Moving)).is_empty());
        assert!(codes(&mut diary, 4, aim, &keeping).is_empty());
        // A ramp is not told step by step.
        for at in 5..500 {
            assert!(codes(&mut diary, at, Aim::Watts(15.0 + f64::from(at)), &keeping).is_empty());
        }
        assert_eq!(
            codes(&mut diary, 700, Aim::Watts(20.0), &keeping),
            ["tuned"]
        );
        assert_eq!(codes(&mut diary, 701, Aim::Efficiency, &keeping), ["tuned"]);
        let beyond = Status {
            reach: Reach::TooMuchWork,
            ..keeping
        };
        assert_eq!(
            codes(&mut diary, 702, Aim::Efficiency, &beyond),
            ["aim-impossible"]
        );
    }

    #[test]
    fn holding_is_told_with_its_reason_and_its_end() {
        let mut diary = Diary::default();
        let held = status(Activity::Held("sensor 0 of board 0 is stuck".into()));
        let aim = Aim::Efficiency;
        assert_eq!(codes(&mut diary, 1, aim, &held), ["tuner-held"]);
        assert!(codes(&mut diary, 2, aim, &held).is_empty());
        assert!(
            codes(
                &mut diary,
                3,
                aim,
                &status(Activity::Waiting("no work".into()))
            )
            .is_empty()
        );
        assert!(codes(&mut diary, 4, aim, &held).is_empty());
        assert_eq!(
            codes(&mut diary, 5, aim, &status(Activity::Measuring)),
            ["tuner-goes-on"]
        );
    }

    #[test]
    fn a_refusal_that_lasts_is_told_once() {
        let mut diary = Diary::default();
        let moving = status(Activity::Moving);
        let mut count = |why| diary.news(S, Aim::Efficiency, &moving, &[], why).len();
        assert_eq!(
            [
                count(Some("no")),
                count(Some("no")),
                count(None),
                count(Some("no"))
            ],
            [1, 0, 0, 1]
        );
    }

    #[test]
    fn chips_stay_slow_until_clock_and_voltage_of_the_base_are_there() {
        let base = SetPoint {
            mhz: 525.0,
            mv: 1150,
        };
        let there = |actual_mhz, actual_mv, waited| {
            let points = SetPoints {
                actual_mhz,
                actual_mv,
                ..SetPoints::default()
            };
            is_there(base, &points, waited)
        };
        // From a low voltage, from a high clock, and arrived with the droop of a load.
        assert!(!there(Some(480.0), Some(1050.0), 20 * S));
        assert!(!there(Some(600.0), Some(1200.0), 20 * S));
        assert!(there(Some(525.0), Some(1140.0), S));
        // What nothing reads back needs its time.
        assert!(!there(Some(480.0), None, S) && there(Some(480.0), None, 15 * S));
    }

    #[test]
    fn chips_that_are_missing_for_a_moment_change_nothing() {
        let mut fit = Fit::default();
        let gone = || Some("1 of 2".to_owned());
        assert!(!fit.see(S, gone()) && !fit.see(5 * S, gone()) && !fit.see(6 * S, None));
        assert!(!fit.see(7 * S, gone()) && fit.see(17 * S, gone()));
        assert!(fit.missing.is_some() && !fit.see(18 * S, gone()));
        assert!(!fit.see(19 * S, None) && fit.see(29 * S, None) && fit.missing.is_none());
    }
}
