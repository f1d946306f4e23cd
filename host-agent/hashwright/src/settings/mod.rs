//! The way of every change, whatever face it comes through: a typed wish becomes a plan, the plan is
//! applied to the tasks that run, and what is in force is written into the config file.
//!
//! The plan is made by pure code (`plan`): the settings in force and a wish in; new settings, what is
//! different, or a refusal with the limits out. One task here carries it out, so that two wishes never
//! cross. Nothing here can pass a limit: values are held to the board's profile before anything is
//! touched, and station and guard hold them to it again.

mod apply;
mod doc;
mod limits;
mod plan;
mod save;
mod source;
mod task;
mod tree;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rpc::settings::{
    BoardSet, Changed, ClearFault, ConfigReport, ConfigSet, Constraint, CoolingSet, PendingChange,
    PoolAdd, PoolOrder, PoolRemove, PoolSet, PoolUpdate, View, WriteOptions,
};
use rpc::tuner::{Calibrate, ChipClock, OneSerial, ProfileImport, TunerSet};
use rpc::{Error, Role};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};

use self::tree::Subject;
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Environment, System, check_text};

/// Longest config that is read, bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

pub use apply::Holds;
pub(crate) use apply::Reach;
pub(crate) use task::{Parts, Task};

/// Who wants something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// Name, e.g. of the token.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The face that they came through: `rpc`, `axeos`, `cgminer`, `mqtt`.
    pub via: &'static str,
    /// Where they are, if they came over the network.
    pub peer: Option<IpAddr>,
}

impl Actor {
    /// The program itself, which may do everything.
    #[must_use]
    pub fn agent() -> Self {
        Self {
            name: "agent".to_owned(),
            role: Role::Admin,
            via: "agent",
            peer: None,
        }
    }
}

/// Something to be different.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// How boards are cooled.
    Cooling(CoolingSet),
    /// A latched fault is to be cleared.
    ClearFault(ClearFault),
    /// Boards are to be wound down and switched off until [`Wish::Resume`].
    Pause,
    /// Boards are to mine again.
    Resume,
    /// What a board is to run at.
    Board(BoardSet),
    /// One more pool.
    PoolAdd(PoolAdd),
    /// A pool is to be another.
    PoolUpdate(PoolUpdate),
    /// A pool less.
    PoolRemove(PoolRemove),
    /// Another order of the pools.
    PoolOrder(PoolOrder),
    /// Other pools.
    PoolSet(PoolSet),
    /// Settings by path.
    Set(ConfigSet),
    /// What the miner is tuned for.
    Tuner(TunerSet),
    /// What was learned of a board elsewhere is to be used.
    ModelImport(Box<ProfileImport>),
    /// What was learned of a board is to be forgotten.
    ModelForget(OneSerial),
    /// A wall meter corrects what is believed of the power.
    Calibrate(Calibrate),
    /// Clocks of single chips.
    ChipClock(ChipClock),
    /// The program is to end and start anew.
    Restart,
}

impl Wish {
    /// What somebody must be allowed to do for it. For settings by path it depends on the paths.
    #[must_use]
    pub fn role(&self) -> Role {
        match self {
            Self::Cooling(_)
            | Self::ClearFault(_)
            | Self::Pause
            | Self::Resume
            | Self::PoolOrder(_)
            | Self::Restart => Role::Operate,
            Self::Board(_)
            | Self::Tuner(_)
            | Self::ModelImport(_)
            | Self::ModelForget(_)
            | Self::Calibrate(_)
            | Self::ChipClock(_) => Role::Tune,
            Self::Set(wish) => {
                let paths = wish.values.keys().map(|path| doc::Path::parse(path));
                let roles =
                    paths.map(|path| path.map_or(Role::Admin, |path| Subject::of(&path).role()));
                roles.max().unwrap_or(Role::Admin)
            }
            Self::PoolAdd(_) | Self::PoolUpdate(_) | Self::PoolRemove(_) | Self::PoolSet(_) => {
                Role::Admin
            }
        }
    }

    /// The method of the API that asks for it.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Self::Cooling(_) => "cooling.set",
            Self::ClearFault(_) => "board.clear_fault",
            Self::Pause => "miner.pause",
            Self::Resume => "miner.resume",
            Self::Board(_) => "board.set",
            Self::PoolAdd(_) => "pool.add",
            Self::PoolUpdate(_) => "pool.update",
            Self::PoolRemove(_) => "pool.remove",
            Self::PoolOrder(_) => "pool.order",
            Self::PoolSet(_) => "pool.set",
            Self::Set(_) => "config.set",
            Self::Tuner(_) => "tuner.set",
            Self::ModelImport(_) => "tuner.import",
            Self::ModelForget(_) => "tuner.forget",
            Self::Calibrate(_) => "tuner.calibrate",
            Self::ChipClock(_) => "chip.set_frequency",
            Self::Restart => "system.restart",
        }
    }

    /// What it says, as JSON. It may hold secrets.
    #[must_use]
    pub fn params(&self) -> Value {
        let params = match self {
            Self::Cooling(wish) => serde_json::to_value(wish),
            Self::ClearFault(wish) => serde_json::to_value(wish),
            Self::Board(wish) => serde_json::to_value(wish),
            Self::PoolAdd(wish) => serde_json::to_value(wish),
            Self::PoolUpdate(wish) => serde_json::to_value(wish),
            Self::PoolRemove(wish) => serde_json::to_value(wish),
            Self::PoolOrder(wish) => serde_json::to_value(wish),
            Self::PoolSet(wish) => serde_json::to_value(wish),
            Self::Set(wish) => serde_json::to_value(wish),
            Self::Tuner(wish) => serde_json::to_value(wish),
            // Whose and what of; a model of a thousand chips is nothing to keep in a record.
            Self::ModelImport(wish) => {
                let (serial, profile) = (&wish.profile.serial, &wish.profile.profile);
                Ok(json!({"serial": serial, "profile": profile}))
            }
            Self::ModelForget(wish) => serde_json::to_value(wish),
            Self::Calibrate(wish) => serde_json::to_value(wish),
            Self::ChipClock(wish) => serde_json::to_value(wish),
            Self::Pause | Self::Resume | Self::Restart => Ok(Value::Null),
        };
        params.unwrap_or_default()
    }
}

/// Hears of every wish and its outcome, to keep a record of it.
pub trait Audit: Send + Sync {
    /// `params` may hold secrets, which are not to be kept.
    fn audit(&self, actor: &Actor, method: &str, params: &Value, outcome: Result<(), &Error>);
}

/// The way to change things. Clones lead to the same.
#[derive(Clone)]
pub struct Settings {
    calls: mpsc::Sender<Asked>,
    published: watch::Receiver<Arc<Published>>,
    auditor: watch::Sender<Option<Arc<dyn Audit>>>,
    restart: watch::Receiver<bool>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

impl Settings {
    /// A handle without an agent behind it: shows nothing and refuses everything.
    #[must_use]
    pub fn detached() -> Self {
        let (calls, _) = mpsc::channel(1);
        Self {
            calls,
            published: watch::channel(Arc::default()).1,
            auditor: watch::channel(None).0,
            restart: watch::channel(false).1,
        }
    }

    /// Whether the program is to start anew once it has stopped.
    #[must_use]
    pub fn restart_wanted(&self) -> bool {
        *self.restart.borrow()
    }

    /// Carries out a wish, all of it or nothing, or says with a dry run what would follow.
    ///
    /// # Errors
    ///
    /// When the actor's role does not allow it, when it is outside of a limit, or when it cannot be done;
    /// then nothing is different.
    pub async fn ask(
        &self,
        actor: &Actor,
        wish: Wish,
        how: WriteOptions,
    ) -> Result<Changed, Error> {
        self.call(actor, Call::Ask(Box::new(wish), how)).await
    }

    /// Keeps a change that would else be undone.
    ///
    /// # Errors
    ///
    /// When no such change waits, or the actor could not have made it.
    pub async fn confirm(&self, actor: &Actor, id: &str) -> Result<Changed, Error> {
        self.call(actor, Call::Confirm(id.to_owned())).await
    }

    /// Undoes a change that waits to be confirmed.
    ///
    /// # Errors
    ///
    /// As for [`confirm`](Self::confirm).
    pub async fn rollback(&self, actor: &Actor, id: &str) -> Result<Changed, Error> {
        self.call(actor, Call::Rollback(id.to_owned())).await
    }

    /// A rule lets all boards rest, with its reason, or lets them go on. What people have paused or switched off
    /// stays so.
    ///
    /// # Errors
    ///
    /// When a station does not follow, or the agent is stopping.
    pub async fn rest(&self, why: Option<String>) -> Result<(), Error> {
        self.call(&Actor::agent(), Call::Rest(why)).await.map(drop)
    }

    /// The changes that are undone unless they are confirmed.
    #[must_use]
    pub fn pending(&self) -> Vec<PendingChange> {
        let published = self.published.borrow();
        let Some(clock) = published.clock else {
            return Vec::new();
        };
        let now = clock.now();
        let pending = published.pending.iter().cloned();
        pending
            .map(|(due, mut change)| {
                change.rolls_back_in_s = due.saturating_sub(now).as_secs_f64();
                change
            })
            .collect()
    }

    /// The settings in force, without secrets.
    #[must_use]
    pub fn current(&self) -> View {
        self.published.borrow().view.clone()
    }

    /// What each setting may be.
    #[must_use]
    pub fn constraints(&self) -> Vec<Constraint> {
        self.published.borrow().constraints.clone()
    }

    /// What is to be said of the text of a config, as if it stood where this agent's does.
    #[must_use]
    pub fn check(&self, text: &str) -> ConfigReport {
        let file = self.published.borrow().view.file.clone();
        let path = PathBuf::from(file.unwrap_or_else(|| crate::config::DEFAULT_PATH.to_owned()));
        check_text(&path, text)
    }

    /// Every wish from now on is told to this one.
    pub fn audit_with(&self, audit: Arc<dyn Audit>) {
        self.auditor.send_replace(Some(audit));
    }

    /// Puts on record what came of a wish that is not carried out here. `params` may hold secrets, which are not kept.
    pub fn record(&self, actor: &Actor, method: &str, params: &Value, outcome: Result<(), &Error>) {
        let auditor = self.auditor.borrow().clone();
        if let Some(auditor) = auditor {
            auditor.audit(actor, method, params, outcome);
        }
    }

    /// Saves changes into this file from now on, whose text the agent was started with.
    ///
    /// # Errors
    ///
    /// When the text is not what the agent runs with.
    pub async fn attach(&self, file: ConfigFile) -> Result<(), Error> {
        self.call(&Actor::agent(), Call::Attach(file))
            .await
            .map(drop)
    }

    async fn call(&self, actor: &Actor, call: Call) -> Result<Changed, Error> {
        let gone = || Error::denied("the agent is stopping, or cannot be changed");
        let (reply, answer) = oneshot::channel();
        let asked = Asked {
            actor: actor.clone(),
            call,
            reply,
        };
        self.calls.send(asked).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// The config file as the agent read it.
#[derive(Clone)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it said at the start. It may hold secrets.
    pub text: String,
}

impl ConfigFile {
    /// Reads and checks the config at `path`.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn load(path: &Path) -> Result<(Config, Self), ConfigError> {
        let text = System.read(path, MAX_FILE_BYTES);
        let text = text.map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let config = Config::parse(path, &text, &System)?;
        let file = Self {
            path: path.to_owned(),
            text,
        };
        Ok((config, file))
    }
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What everybody may look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) view: View,
    pub(crate) constraints: Vec<Constraint>,
    /// With the moment at which each is undone, agent's time.
    pub(crate) pending: Vec<(Duration, PendingChange)>,
    pub(crate) clock: Option<Clock>,
}

/// What is asked of the task.
#[derive(Debug)]
pub(crate) enum Call {
    Ask(Box<Wish>, WriteOptions),
    Confirm(String),
    Rollback(String),
    Attach(ConfigFile),
    Rest(Option<String>),
}

impl Call {
    /// What goes on record of it, whether it succeeds or not: the method and its parameters, which may hold
    /// secrets. None if it changes nothing, or is the program's own.
    fn record(&self) -> Option<(&'static str, Value)> {
        match self {
            Self::Ask(wish, how) => (!how.dry_run).then(|| (wish.method(), wish.params())),
            Self::Confirm(id) => Some(("config.confirm", json!({"id": id}))),
            Self::Rollback(id) => Some(("config.rollback", json!({"id": id}))),
            Self::Attach(_) | Self::Rest(_) => None,
        }
    }
}

/// A call with who makes it and the way back.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) actor: Actor,
    pub(crate) call: Call,
    pub(crate) reply: oneshot::Sender<Result<Changed, Error>>,
}
