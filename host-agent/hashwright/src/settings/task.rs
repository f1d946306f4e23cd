//! The task that carries wishes out, one after the other, and undoes what nobody confirms.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use autotune::BoardModel;
use rpc::settings::{Change, Changed, ClearFault, Pending, PendingChange, View, WriteOptions};
use rpc::tuner::Calibrate;
use rpc::{Error, Role};
use serde_json::{Value as Json, json};
use station::{Notice, Severity};
use tokio::sync::{mpsc, watch};
use toml_edit::DocumentMut;

use super::apply::Reach;
use super::doc::{self, Path};
use super::plan::{Plan, plan};
use super::source::{self, Remembered};
use super::tree::{Ground, Station, Subject, Tree, board_of_chip, copy};
use super::{Actor, Asked, Audit, Call, ConfigFile, Published, Settings, Wish, limits, save};
use crate::clock::Clock;
use crate::config::Config;
use crate::events::EventLog;
use crate::format;
use crate::stop::{Stop, Stopper};

/// Wishes that may wait.
const WAITING: usize = 64;
/// Changes that may wait for confirmation.
const MOST_PENDING: usize = 16;
/// Time in which the answer to a restart gets out before the agent goes.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Longest code that is taken for one of a fault, characters.
const LONGEST_CODE: usize = 40;
/// Longest value in an event, characters.
const LONGEST_VALUE: usize = 60;
/// Changes that an event names.
const NAMED: usize = 6;

/// What the task acts on.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) reach: Reach,
    pub(crate) events: EventLog,
    pub(crate) clock: Clock,
    pub(crate) stopper: Stopper,
}

/// The task before it runs.
pub(crate) struct Task {
    parts: Parts,
    stop: Stop,
    calls: mpsc::Receiver<Asked>,
    published: watch::Sender<Arc<Published>>,
    auditor: watch::Receiver<Option<Arc<dyn Audit>>>,
    restart: watch::Sender<bool>,
    env: Remembered,
    stations: Vec<Station>,
    base: DocumentMut,
    /// The settings in force, or why they cannot be changed.
    tree: Result<Tree, Error>,
    file: Option<Saved>,
    pending: Vec<Waiting>,
    last_id: u64,
    leave_at: Option<Duration>,
}

/// The config file and what stands in it.
struct Saved {
    path: PathBuf,
    text: String,
    doc: DocumentMut,
    writable: bool,
}

/// A change that waits for confirmation.
struct Waiting {
    id: String,
    due: Duration,
    by: String,
    role: Role,
    subjects: BTreeSet<Subject>,
    before: Tree,
    changes: Vec<Change>,
    save: bool,
}

impl Task {
    /// The task of an agent with this config, and the way to it.
    pub(crate) fn new(config: &Config, parts: Parts) -> (Self, Settings) {
        let (calls_in, calls) = mpsc::channel(WAITING);
        let (auditor_in, auditor) = watch::channel(None);
        let (restart, restarts) = watch::channel(false);
        let (published, view) = watch::channel(Arc::default());
        let stations = parts.reach.stations.iter().map(|station| Station {
            boards: station.boards.clone(),
            fans: station.fans,
        });
        let mut task = Self {
            stop: parts.stopper.watch(),
            stations: stations.collect(),
            parts,
            calls,
            published,
            auditor,
            restart,
            env: Remembered::with_profiles(config),
            base: source::document(config),
            tree: Err(Error::internal("no settings yet")),
            file: None,
            pending: Vec::new(),
            last_id: 0,
            leave_at: None,
        };
        task.tree = Tree::new(&task.ground(), task.base.clone()).map_err(|error| {
            Error::denied(format!(
                "the settings of this agent cannot be changed: {}",
                error.text()
            ))
        });
        task.publish();
        let settings = Settings {
            calls: calls_in,
            published: view,
            auditor: auditor_in,
            restart: restarts,
        };
        (task, settings)
    }

    /// Carries wishes out until the program stops.
    pub(crate) async fn run(mut self) {
        loop {
            let due = self.pending.iter().map(|waiting| waiting.due);
            let due = due.chain(self.leave_at).min();
            let asked = tokio::select! {
                biased;
                () = self.stop.stopped() => return,
                // Before calls: however many come, what nobody confirms is undone in time.
                () = self.parts.clock.sleep_until(due) => {
                    self.expire().await;
                    continue;
                }
                asked = self.calls.recv() => asked,
            };
            let Some(Asked { actor, call, reply }) = asked else {
                return;
            };
            let record = call.record();
            let outcome = match call {
                Call::Ask(wish, how) => self.ask(&actor, &wish, how).await,
                Call::Confirm(id) => self.confirm(&actor, &id).await,
                Call::Rollback(id) => self.rollback(&actor, &id).await,
                Call::Attach(file) => self.attach(file),
                Call::Rest(why) => self.rest(why).await,
            };
            // Here, because whoever asked may have gone, and what they did counts all the same.
            if let Some((method, params)) = record {
                self.audit(&actor, method, &params, &outcome);
            }
            let _ = reply.send(outcome);
        }
    }

    async fn ask(
        &mut self,
        actor: &Actor,
        wish: &Wish,
        how: WriteOptions,
    ) -> Result<Changed, Error> {
        let how = how.checked()?;
        allowed(actor, wish.role())?;
        let outcome = match wish {
            Wish::ClearFault(_)
            | Wish::Restart
            | Wish::ModelImport(_)
            | Wish::ModelForget(_)
            | Wish::Calibrate(_)
                if how.confirm_within_s.is_some() =>
            {
                Err(Error::invalid_params(
                    "this cannot be undone, so confirm_within_s does not go with it",
                ))
            }
            Wish::ClearFault(wish) => self.clear_fault(actor, wish, how).await,
            Wish::Restart => self.restart(actor, how),
            Wish::ModelImport(wish) => self.import(actor, &wish.profile, how).await,
            Wish::ModelForget(wish) => self.forget(actor, &wish.serial, how).await,
            Wish::Calibrate(wish) => self.calibrate(actor, *wish, how).await,
            wish => self.change(actor, wish, how).await,
        };
        if let Err(error) = &outcome
            && !how.dry_run
            && !matches!(wish, Wish::ClearFault(_))
        {
            let text = format!("refused: {}", format::plain(error.text(), 300));
            self.note(&[], Severity::Warning, "command-refused", &text, actor);
        }
        outcome
    }

    async fn change(
        &mut self,
        actor: &Actor,
        wish: &Wish,
        how: WriteOptions,
    ) -> Result<Changed, Error> {
        if names_secrets(&wish.params()) {
            self.env.forget_secrets();
        }
        let tree = self.tree.clone()?;
        let plan = plan(&self.ground(), &tree, wish)?;
        let mut changed = Changed {
            changes: plan.changes.clone(),
            applied: !how.dry_run,
            notes: plan.notes.clone(),
            ..Changed::default()
        };
        let late = plan.at_start();
        let save = how.save.unwrap_or(true) && self.file.is_some() && plan.saves();
        if !late.is_empty() && !save {
            return Err(Error::denied(format!(
                "{} is only read at the start, from the config file; this agent would not save it there",
                late.join(", ")
            )));
        }
        if !late.is_empty() && how.confirm_within_s.is_some() {
            return Err(Error::invalid_params(format!(
                "{} counts from the next start on, so it cannot be tried for a time",
                late.join(", ")
            )));
        }
        self.no_conflict(&plan)?;
        if how.dry_run || plan.changes.is_empty() {
            changed.saved = !how.dry_run && self.is_saved(wish);
            return Ok(changed);
        }
        if how.confirm_within_s.is_some() && self.pending.len() >= MOST_PENDING {
            return Err(Error::denied(
                "too many changes wait for confirmation; config.pending lists them",
            ));
        }
        if !late.is_empty() {
            // What cannot be saved would not be different at all.
            self.save(&plan.subjects, &plan.tree)
                .await
                .map_err(Error::denied)?;
        }
        if let Err(error) = self.parts.reach.apply(&tree, &plan.tree).await {
            if !late.is_empty()
                && let Err(text) = self.save(&plan.subjects, &tree).await
            {
                tracing::error!("the config file is ahead of what was refused: {text}");
            }
            return Err(error);
        }
        self.tree = Ok(plan.tree.clone());
        self.note_changes(&plan.changes, actor);
        match how.confirm_within_s {
            Some(seconds) => changed.pending = Some(self.wait(actor, &plan, tree, seconds, save)),
            None if save => match self.save(&plan.subjects, &plan.tree).await {
                Ok(()) => changed.saved = true,
                Err(text) => changed.notes.push(format!("not saved: {text}")),
            },
            None if plan.saves() && self.file.is_none() => changed.notes.push(
                "this agent runs without a config file: the change is gone when it ends".to_owned(),
            ),
            None => {}
        }
        self.publish();
        Ok(changed)
    }

    /// Remembers how to undo a change.
    fn wait(
        &mut self,
        actor: &Actor,
        plan: &Plan,
        before: Tree,
        seconds: u32,
        save: bool,
    ) -> Pending {
        self.last_id += 1;
        let id = format!("c{}", self.last_id);
        let seconds = Duration::from_secs(seconds.into());
        let role = plan.subjects.iter().map(Subject::role).max();
        self.pending.push(Waiting {
            id: id.clone(),
            due: self.parts.clock.now() + seconds,
            by: actor.name.clone(),
            role: role.unwrap_or(Role::Admin).min(actor.role),
            subjects: plan.subjects.clone(),
            before,
            changes: plan.changes.clone(),
            save,
        });
        Pending {
            id,
            rolls_back_in_s: seconds.as_secs_f64(),
        }
    }

    /// A change that waits for confirmation would be undone over another one of the same.
    fn no_conflict(&self, plan: &Plan) -> Result<(), Error> {
        for waiting in &self.pending {
            if let Some(subject) = waiting.subjects.intersection(&plan.subjects).next() {
                return Err(Error::denied(format!(
                    "change {} of {subject} by {} waits for confirmation; confirm it or roll it back first",
                    waiting.id, waiting.by
                )));
            }
        }
        Ok(())
    }

    async fn confirm(&mut self, actor: &Actor, id: &str) -> Result<Changed, Error> {
        let index = self.waiting(actor, id)?;
        let waiting = self.pending.remove(index);
        let mut changed = Changed {
            changes: waiting.changes,
            applied: true,
            ..Changed::default()
        };
        if waiting.save {
            let tree = self.tree.clone()?;
            match self.save(&waiting.subjects, &tree).await {
                Ok(()) => changed.saved = true,
                Err(text) => changed.notes.push(format!("not saved: {text}")),
            }
        }
        let text = format!("change {id} confirmed");
        self.note(&[], Severity::Info, "command", &text, actor);
        self.publish();
        Ok(changed)
    }

    async fn rollback(&mut self, actor: &Actor, id: &str) -> Result<Changed, Error> {
        let index = self.waiting(actor, id)?;
        self.undo(index, actor).await
    }

    fn waiting(&self, actor: &Actor, id: &str) -> Result<usize, Error> {
        let found = self.pending.iter().position(|waiting| waiting.id == id);
        let index = found.ok_or_else(|| Error::no_pending(id))?;
        allowed(actor, self.pending[index].role)?;
        Ok(index)
    }

    /// Undoes a change. One that cannot be undone now stays as it is: there is nothing better to do.
    async fn undo(&mut self, index: usize, actor: &Actor) -> Result<Changed, Error> {
        let waiting = self.pending.remove(index);
        let tree = self.tree.clone()?;
        let before = tree.with(&waiting.subjects, &waiting.before);
        let plan = Plan::between(&self.ground(), &tree, before);
        let outcome = match plan {
            Ok(plan) => match self.parts.reach.apply(&tree, &plan.tree).await {
                Ok(()) => {
                    self.tree = Ok(plan.tree);
                    self.note_changes(&plan.changes, actor);
                    Ok(Changed {
                        changes: plan.changes,
                        applied: true,
                        notes: vec![format!("change {} was undone", waiting.id)],
                        ..Changed::default()
                    })
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            let text = format!(
                "change {} could not be undone: {}",
                waiting.id,
                error.text()
            );
            self.note(&[], Severity::Warning, "not-undone", &text, actor);
        }
        self.publish();
        outcome
    }

    /// Undoes what has waited for too long, and leaves when it is time.
    async fn expire(&mut self) {
        let now = self.parts.clock.now();
        while let Some(index) = self.pending.iter().position(|waiting| waiting.due <= now) {
            let (id, by) = (
                self.pending[index].id.clone(),
                self.pending[index].by.clone(),
            );
            let text = format!("change {id} by {by} was not confirmed in time and is undone");
            let agent = Actor::agent();
            self.note(&[], Severity::Warning, "rolled-back", &text, &agent);
            let outcome = self.undo(index, &agent).await;
            self.audit(&agent, "config.rollback", &json!({"id": id}), &outcome);
        }
        if self.leave_at.is_some_and(|at| at <= now) {
            self.restart.send_replace(true);
            self.parts.stopper.stop();
            self.leave_at = None;
        }
    }

    fn audit(&self, actor: &Actor, method: &str, params: &Json, outcome: &Result<Changed, Error>) {
        let auditor = self.auditor.borrow().clone();
        if let Some(auditor) = auditor {
            auditor.audit(actor, method, params, outcome.as_ref().map(|_| ()));
        }
    }

    async fn clear_fault(
        &mut self,
        actor: &Actor,
        wish: &ClearFault,
        how: WriteOptions,
    ) -> Result<Changed, Error> {
        if wish.code.chars().count() > LONGEST_CODE {
            return Err(Error::denied(
                "that is no code of a fault; `hashwright status` shows the code of the latched fault",
            ));
        }
        if how.dry_run {
            let notes = vec!["only the guard knows whether it would take the code".to_owned()];
            return Ok(Changed {
                notes,
                ..Changed::default()
            });
        }
        let outcome = self.parts.reach.clear_fault(wish.board, &wish.code).await;
        let boards = self.parts.reach.boards_with(wish.board);
        let (severity, code, text) = match &outcome {
            Ok(()) => {
                let code = format::plain(&wish.code, LONGEST_CODE);
                (Severity::Info, "command", format!("fault {code} cleared"))
            }
            // Without the words of whoever asked: guesses without end are one entry with a count.
            Err(_) => (
                Severity::Warning,
                "command-refused",
                "refused: a code that is not that of a latched fault".to_owned(),
            ),
        };
        self.note(&boards, severity, code, &text, actor);
        outcome.map(|()| Changed {
            applied: true,
            ..Changed::default()
        })
    }

    /// A rule lets all boards rest, or go on.
    async fn rest(&mut self, why: Option<String>) -> Result<Changed, Error> {
        let tree = self.tree.clone()?;
        let after = Tree {
            resting: why,
            ..tree.clone()
        };
        self.parts.reach.apply(&tree, &after).await?;
        self.tree = Ok(after);
        Ok(Changed::default())
    }

    /// Takes over what was learned of a board elsewhere.
    async fn import(
        &mut self,
        actor: &Actor,
        model: &BoardModel,
        how: WriteOptions,
    ) -> Result<Changed, Error> {
        let Known { tuner, before } = self.known(&model.serial).await?;
        self.parts.reach.fits(tuner, model)?;
        let models = self.parts.reach.models.clone();
        if tuner.is_none() && !models.last() {
            return Err(Error::denied(format!(
                "board {} is not in this miner, and an agent with simulated boards alone keeps nothing unless \
                 state_dir is set in [agent]",
                format::plain(&model.serial, LONGEST_VALUE)
            )));
        }
        if tuner.is_none() && before.is_none() {
            let kept = models.clone();
            let room = tokio::task::spawn_blocking(move || kept.room()).await;
            if !room.unwrap_or(false) {
                return Err(Error::denied(
                    "there is no room for another board; forget one that is not used any more (tuner.profiles lists them)",
                ));
            }
        }
        let change = Change {
            path: profile_path(&model.serial),
            from: before.map_or(Json::Null, |before| before.profile.into()),
            to: model.profile.clone().into(),
        };
        let mut changed = Changed {
            changes: vec![change],
            applied: !how.dry_run,
            ..Changed::default()
        };
        if how.dry_run {
            return Ok(changed);
        }
        let reach = &self.parts.reach;
        match reach.keep(tuner, &model.serial, Some(model)).await {
            Ok(()) => changed.saved = models.last(),
            Err(error) => changed.notes.push(format!("not saved: {error}")),
        }
        self.note_changes(&changed.changes, actor);
        Ok(changed)
    }

    /// Forgets what is known of a board.
    async fn forget(
        &mut self,
        actor: &Actor,
        serial: &str,
        how: WriteOptions,
    ) -> Result<Changed, Error> {
        let Known { tuner, before } = self.known(serial).await?;
        let Some(before) = before else {
            return Err(Error::denied(format!(
                "nothing is known of a board {}; tuner.profiles lists those that are",
                format::plain(serial, LONGEST_VALUE)
            )));
        };
        let change = Change {
            path: profile_path(serial),
            from: before.profile.into(),
            to: Json::Null,
        };
        let changed = Changed {
            changes: vec![change],
            applied: !how.dry_run,
            saved: !how.dry_run && self.parts.reach.models.last(),
            ..Changed::default()
        };
        if how.dry_run {
            return Ok(changed);
        }
        if let Err(error) = self.parts.reach.keep(tuner, serial, None).await {
            return Err(Error::denied(format!(
                "the model cannot be removed from the state directory: {error}"
            )));
        }
        self.note_changes(&changed.changes, actor);
        Ok(changed)
    }

    /// What is known of a board, and the tuner that it is under.
    async fn known(&self, serial: &str) -> Result<Known, Error> {
        let tuner = self.parts.reach.tuner_of(serial);
        let (models, name) = (self.parts.reach.models.clone(), serial.to_owned());
        let stored = tokio::task::spawn_blocking(move || models.load(&name)).await;
        let mut before = stored.ok().and_then(Result::ok).flatten();
        if let Some(tuner) = tuner {
            let fresh = self.parts.reach.tuners[tuner].models().await;
            let own = fresh.into_iter().find(|model| model.serial == serial);
            before = own.or(before);
        }
        Ok(Known { tuner, before })
    }

    /// Corrects the power of a station by a wall meter.
    async fn calibrate(
        &mut self,
        actor: &Actor,
        wish: Calibrate,
        how: WriteOptions,
    ) -> Result<Changed, Error> {
        let tuners = &self.parts.reach.tuners;
        let station = match (wish.station, tuners.len()) {
            (Some(station), count) if station < count => station,
            (None, 1) => 0,
            (_, 0) => return Err(Error::denied("this agent controls no station")),
            (Some(station), count) => {
                return Err(Error::invalid_params(format!(
                    "there is no station {station}; the stations are 0 to {}",
                    count - 1
                )));
            }
            (None, count) => {
                return Err(Error::invalid_params(format!(
                    "there are {count} stations: say with `station` which one the meter measures"
                )));
            }
        };
        if !wish.watts.is_finite() || !(1.0..=1e6).contains(&wish.watts) {
            return Err(Error::limits(
                "watts",
                wish.watts.into(),
                Some(1.0),
                Some(1e6),
                Some("W"),
                format!("{} W is outside of 1 to 1000000 W", wish.watts),
            ));
        }
        if how.dry_run {
            return Ok(Changed {
                notes: vec![
                    "only the tuner knows whether the power is steady enough to compare".to_owned(),
                ],
                ..Changed::default()
            });
        }
        let told = tuners[station]
            .calibrate(wish.watts)
            .await
            .map_err(Error::denied)?;
        let change = Change {
            path: format!("station[{station}].watts"),
            from: doc::number(wish.watts / told.factor),
            to: doc::number(wish.watts),
        };
        let changed = Changed {
            changes: vec![change],
            applied: true,
            saved: self.parts.reach.models.last(),
            notes: vec![format!(
                "power is multiplied by {:.4} (\u{b1} {:.4}) from now on",
                told.factor, told.sd
            )],
            ..Changed::default()
        };
        self.note_changes(&changed.changes, actor);
        Ok(changed)
    }

    fn restart(&mut self, actor: &Actor, how: WriteOptions) -> Result<Changed, Error> {
        let Some(file) = &self.file else {
            return Err(Error::denied(
                "this agent was not started with `hashwright run`, so it cannot start itself anew",
            ));
        };
        Config::load(&file.path)
            .map_err(|error| Error::denied(format!("the agent would not come back: {error}")))?;
        if !how.dry_run {
            self.leave_at = Some(self.parts.clock.now() + LAST_WORDS);
            self.note(&[], Severity::Info, "command", "restart", actor);
        }
        Ok(Changed {
            applied: !how.dry_run,
            notes: vec![
                "boards are wound down and switched off, then the agent starts anew".to_owned(),
            ],
            ..Changed::default()
        })
    }

    fn attach(&mut self, file: ConfigFile) -> Result<Changed, Error> {
        let doc: DocumentMut = file
            .text
            .parse()
            .map_err(|error: toml_edit::TomlError| Error::invalid_params(error.to_string()))?;
        self.env = Remembered::default();
        self.file = Some(Saved {
            writable: save::is_writable(&file.path),
            path: file.path,
            text: file.text,
            doc: doc.clone(),
        });
        self.base = doc.clone();
        self.tree = Tree::new(&self.ground(), doc);
        self.publish();
        self.tree.clone().map(|_| Changed::default())
    }

    /// Puts what the subjects are about into the config file; the error is a text for people.
    async fn save(&mut self, subjects: &BTreeSet<Subject>, tree: &Tree) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Err("this agent runs without a config file".to_owned());
        };
        let mut doc = file.doc.clone();
        for subject in subjects {
            copy(subject, &tree.doc, &mut doc);
        }
        let text = doc.to_string();
        if text == file.text {
            return Ok(());
        }
        if let Err(error) = Config::parse(&file.path, &text, &self.env) {
            return Err(format!("the file would not be good any more: {error}"));
        }
        let (path, known, new) = (file.path.clone(), file.text.clone(), text.clone());
        let written = tokio::task::spawn_blocking(move || save::save(&path, &known, &new)).await;
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        match written {
            Ok(Ok(())) => {
                (file.doc, file.text, file.writable) = (doc, text, true);
                Ok(())
            }
            Ok(Err(error)) => {
                file.writable = false;
                Err(error.to_string())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whether a wish that changes nothing stands in the file.
    fn is_saved(&self, wish: &Wish) -> bool {
        let lasting = !matches!(wish, Wish::Pause | Wish::Resume | Wish::ChipClock(_));
        let same = |file: &Saved| {
            let tree = self.tree.as_ref();
            tree.is_ok_and(|tree| tree.doc.to_string() == file.doc.to_string())
        };
        lasting && self.file.as_ref().is_some_and(same)
    }

    fn ground(&self) -> Ground<'_> {
        let file = self.file.as_ref();
        let path = file.map(|file| file.path.as_path());
        Ground {
            path: path.unwrap_or(std::path::Path::new("(no file)")),
            env: &self.env,
            stations: &self.stations,
            base: &self.base,
            has_file: file.is_some(),
        }
    }

    fn publish(&self) {
        let mut published = Published {
            clock: Some(self.parts.clock),
            ..Published::default()
        };
        if let Ok(tree) = &self.tree {
            let file = self.file.as_ref();
            published.view = View {
                file: file.map(|file| file.path.display().to_string()),
                writable: file.is_some_and(|file| file.writable),
                settings: tree.settings(&self.ground()),
            };
            published.constraints = limits::constraints(tree, &tree.doc);
        }
        let pending = self.pending.iter().map(|waiting| {
            let change = PendingChange {
                id: waiting.id.clone(),
                rolls_back_in_s: 0.0,
                by: waiting.by.clone(),
                changes: waiting.changes.clone(),
            };
            (waiting.due, change)
        });
        published.pending = pending.collect();
        self.published.send_replace(Arc::new(published));
    }

    fn note_changes(&self, changes: &[Change], actor: &Actor) {
        let value = |value: &Json| match value {
            Json::Null => "default".to_owned(),
            Json::String(text) => format::plain(text, LONGEST_VALUE),
            other => format::plain(&other.to_string(), LONGEST_VALUE),
        };
        let words = changes.iter().take(NAMED).map(|change| {
            format!(
                "{}: {} \u{2192} {}",
                change.path,
                value(&change.from),
                value(&change.to)
            )
        });
        let mut words: Vec<_> = words.collect();
        if changes.len() > NAMED {
            words.push(format!("{} more", changes.len() - NAMED));
        }
        let boards: BTreeSet<_> = changes
            .iter()
            .filter_map(|change| board_of(&change.path))
            .collect();
        let boards: Vec<_> = boards.into_iter().collect();
        self.note(&boards, Severity::Info, "command", &words.join("; "), actor);
    }

    fn note(&self, boards: &[usize], severity: Severity, code: &str, text: &str, actor: &Actor) {
        let who = format::plain(&actor.name, LONGEST_VALUE);
        let notice = Notice {
            severity,
            code: code.to_owned(),
            text: format!("{text}, by {who} ({})", actor.via),
            ..Notice::default()
        };
        self.parts.events.note(boards, notice);
    }
}

impl Plan {
    /// Whether something of it belongs into the config file.
    fn saves(&self) -> bool {
        let passing = |subject: &Subject| matches!(subject, Subject::Paused | Subject::Chips(_));
        self.subjects.iter().any(|subject| !passing(subject))
    }
}

/// What is known of a board, and the tuner that it is under.
struct Known {
    tuner: Option<usize>,
    before: Option<BoardModel>,
}

/// How a model of a board is called in a list of changes.
fn profile_path(serial: &str) -> String {
    format!("tuner.profile.{}", format::plain(serial, LONGEST_VALUE))
}

/// The board that a setting is of.
fn board_of(path: &str) -> Option<usize> {
    if let Some(board) = board_of_chip(path) {
        return Some(board);
    }
    Path::parse(path)
        .ok()
        .filter(|path| path.table == "board")?
        .index
}

fn allowed(actor: &Actor, needed: Role) -> Result<(), Error> {
    if actor.role >= needed {
        return Ok(());
    }
    let how = format!(
        "this needs the role {needed}, and {} has {}",
        actor.name, actor.role
    );
    Err(Error::needs_role(needed, Some(actor.role), &how))
}

/// Whether a wish names files or variables with secrets, or certificates.
fn names_secrets(params: &Json) -> bool {
    match params {
        Json::Object(values) => values.iter().any(|(key, value)| {
            (value.is_string() && matches!(key.as_str(), "file" | "env" | "ca"))
                || names_secrets(value)
        }),
        Json::Array(values) => values.iter().any(names_secrets),
        _ => false,
    }
}
