//! What each method does: views of the newest [`Snapshot`], and wishes on their way to those who can fulfil
//! them. Which methods there are, and who may call them, stands in [`rpc::method::TABLE`].

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rpc::method::{self, Descriptor};
use rpc::settings::{Changed, CoolingSet, PathFilter};
use rpc::{Error, Method, Write, query};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::timeout;

use super::door::{Door, Who};
use super::telemetry::Hub;
use super::tuning::{self, Tuning};
use crate::clock::Clock;
use crate::events::EventLog;
use crate::record::History;
use crate::settings::{Settings, Wish};
use crate::shares::ShareLog;
use crate::state::Snapshot;

pub use rpc::query::Cooling;

/// Longest time until a change shows in the state.
const SHOWN: Duration = Duration::from_secs(1);

/// Entries that `event.list` gives at most, unless asked for fewer.
pub const EVENT_LIMIT: usize = 200;

/// What is told at `/metrics`: the state, the query of the URL and the `Accept` header go in, content type and
/// text come out.
pub type Metrics = Arc<dyn Fn(&Snapshot, &str, Option<&str>) -> (String, String) + Send + Sync>;

/// What the API shows, and whom it asks.
#[derive(Clone)]
pub struct Faces {
    /// The state tree.
    pub state: watch::Receiver<Arc<Snapshot>>,
    /// What happened and why.
    pub events: EventLog,
    /// Shares and what became of them.
    pub shares: ShareLog,
    /// The way of every change.
    pub settings: Settings,
    /// What was.
    pub history: History,
    /// What is told at `/metrics`; nothing is there without it.
    pub metrics: Option<Metrics>,
    /// The tuners.
    pub tuning: Tuning,
}

impl fmt::Debug for Faces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faces").finish_non_exhaustive()
    }
}

impl From<watch::Receiver<Arc<Snapshot>>> for Faces {
    /// A state without events and stations.
    fn from(state: watch::Receiver<Arc<Snapshot>>) -> Self {
        let clock = Clock::start();
        Self {
            state,
            settings: Settings::detached(),
            events: EventLog::new(clock),
            shares: ShareLog::default(),
            history: History::default(),
            metrics: None,
            tuning: Tuning::none(clock),
        }
    }
}

/// What a call comes to.
type Outcome = Result<Box<RawValue>, Error>;
type Now = Box<dyn Fn(&Faces, Option<&RawValue>) -> Outcome + Send + Sync>;
type Pending = Pin<Box<dyn Future<Output = Outcome> + Send>>;
type Later = Box<dyn Fn(Arc<Server>, Who, Option<Box<RawValue>>) -> Pending + Send + Sync>;

/// What carries a method out.
pub(super) enum Handler {
    /// A view of what there is.
    Now(Now),
    /// Something that takes its time, or depends on who calls.
    Later(Later),
    /// It changes the connection that it comes over.
    Session,
}

/// All that serves calls.
pub(super) struct Server {
    /// What is shown.
    pub(super) faces: Faces,
    /// Who may see it.
    pub(super) door: Door,
    /// The state for subscribers.
    pub(super) hub: Hub,
    handlers: HashMap<&'static str, (&'static Descriptor, Handler)>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    pub(super) fn new(faces: Faces, door: Door) -> Self {
        let mut server = Self {
            hub: Hub::new(faces.state.clone()),
            faces,
            door,
            handlers: HashMap::new(),
        };
        server.register_views();
        server.register_settings();
        server.register_tuner();
        server.register_access();
        for method in method::TABLE {
            let subscribes = method.kind == rpc::Kind::Subscribe;
            if subscribes || method.name == method::AuthLogin::NAME {
                server
                    .handlers
                    .insert(method.name, (method, Handler::Session));
            }
        }
        server
    }

    /// A method and what carries it out.
    pub(super) fn find(&self, name: &str) -> Option<(&'static Descriptor, &Handler)> {
        self.handlers
            .get(name)
            .map(|(method, handler)| (*method, handler))
    }

    fn register_views(&mut self) {
        self.view::<method::SystemInfo>(|state| &state.system);
        self.view::<method::GetMinerStatus>(|state| &state.miner);
        self.view::<method::BoardList>(|state| &state.boards);
        self.view::<method::StationList>(|state| &state.stations);
        self.view::<method::PoolList>(|state| &state.pools);
        self.now::<method::ChipList>(chips);
        self.now::<method::CoolingGet>(|faces, _| Ok(cooling(&newest(faces))));
        self.now::<method::EventList>(|faces, wanted| Ok(events(faces, &wanted)));
        self.now::<method::FirmwareInfo>(|faces, _| Ok(firmware(&newest(faces))));
        self.later::<method::HistoryQuery, _>(|server, _, query| async move {
            server.faces.history.query(&query).await
        });
        self.later::<method::HistoryInfo, _>(|server, _, _| async move {
            Ok(server.faces.history.info().await)
        });
        // Written once: whoever asks for it again and again must not cost the time of those who mine.
        let described = written(rpc::openrpc::document());
        let describe = move |_: &Faces, params: Option<&RawValue>| {
            parse::<query::NoParams>(params)?;
            described.clone()
        };
        self.add::<method::Discover>(Handler::Now(Box::new(describe)));
    }

    fn register_settings(&mut self) {
        self.now::<method::ConfigGet>(|faces, wanted| {
            let mut view = faces.settings.current();
            view.settings
                .retain(|setting| below(&setting.path, &wanted));
            Ok(view)
        });
        self.now::<method::ConfigConstraints>(|faces, wanted| {
            let mut constraints = faces.settings.constraints();
            constraints.retain(|constraint| below(&constraint.path, &wanted));
            Ok(constraints)
        });
        self.now::<method::ConfigCheck>(|faces, config| Ok(faces.settings.check(&config.text)));
        self.now::<method::ConfigPending>(|faces, _| Ok(faces.settings.pending()));
        self.wish::<method::CoolingSet, _>(|wish: CoolingSet| {
            let mode = wish.wanted_mode()?;
            if mode.is_none() && wish.target_c.is_none() {
                return Err(Error::invalid_params(
                    "nothing to set: give mode or target_c",
                ));
            }
            Ok(Wish::Cooling(wish))
        });
        self.wish::<method::BoardClearFault, _>(|wish| Ok(Wish::ClearFault(wish)));
        self.wish::<method::BoardSet, _>(|wish| Ok(Wish::Board(wish)));
        self.wish::<method::MinerPause, _>(|_| Ok(Wish::Pause));
        self.wish::<method::MinerResume, _>(|_| Ok(Wish::Resume));
        self.wish::<method::SystemRestart, _>(|_| Ok(Wish::Restart));
        self.wish::<method::PoolAdd, _>(|wish| Ok(Wish::PoolAdd(wish)));
        self.wish::<method::PoolUpdate, _>(|wish| Ok(Wish::PoolUpdate(wish)));
        self.wish::<method::PoolRemove, _>(|wish| Ok(Wish::PoolRemove(wish)));
        self.wish::<method::PoolOrder, _>(|wish| Ok(Wish::PoolOrder(wish)));
        self.wish::<method::PoolSet, _>(|wish| Ok(Wish::PoolSet(wish)));
        self.wish::<method::ConfigSet, _>(|wish| Ok(Wish::Set(wish)));
        self.later::<method::ConfigConfirm, _>(|server, who, wanted| async move {
            let settings = &server.faces.settings;
            settings.confirm(&who.actor(), &wanted.id).await
        });
        self.later::<method::ConfigRollback, _>(|server, who, wanted| async move {
            let settings = &server.faces.settings;
            let changed = settings.rollback(&who.actor(), &wanted.id).await?;
            shown(&server.faces).await;
            Ok(changed)
        });
    }

    fn register_tuner(&mut self) {
        self.view::<method::GetTunerStatus>(|state| &state.tuner);
        self.now::<method::TunerSteps>(tuning::steps);
        self.later::<method::TunerExplain, _>(|server, _, wanted| async move {
            tuning::explain(&server.faces, wanted).await
        });
        self.later::<method::TunerCurve, _>(|server, _, wanted| async move {
            tuning::curve(&server.faces, wanted).await
        });
        self.later::<method::TunerPredict, _>(|server, _, wanted| async move {
            tuning::predict(&server.faces, wanted).await
        });
        self.later::<method::TunerProfiles, _>(|server, _, _| async move {
            tuning::profiles(&server.faces).await
        });
        self.later::<method::TunerExport, _>(|server, _, wanted| async move {
            tuning::export(&server.faces, wanted).await
        });
        self.later::<method::ChipReadRegister, _>(|server, _, wanted| async move {
            tuning::read_register(&server.faces, wanted).await
        });
        self.wish::<method::TunerSet, _>(|wish| Ok(Wish::Tuner(wish)));
        self.wish::<method::TunerImport, _>(|wish| Ok(Wish::ModelImport(Box::new(wish))));
        self.wish::<method::TunerForget, _>(|wish| Ok(Wish::ModelForget(wish)));
        self.wish::<method::TunerCalibrate, _>(|wish| Ok(Wish::Calibrate(wish)));
        self.wish::<method::ChipSetFrequency, _>(|wish| Ok(Wish::ChipClock(wish)));
        self.later::<method::TunerFeed, _>(|server, _, told| async move {
            server.faces.tuning.demand.feed(told).await
        });
        self.later::<method::TunerCurtail, _>(|server, who, wish| async move {
            let faces = &server.faces;
            let outcome = faces.tuning.demand.curtail(wish).await;
            let told = outcome.as_ref().map(drop);
            let params = serde_json::to_value(wish).unwrap_or_default();
            faces
                .settings
                .record(&who.actor(), "tuner.curtail", &params, told);
            outcome
        });
    }

    fn register_access(&mut self) {
        self.later::<method::AuthInfo, _>(|server, who, _| async move {
            Ok(server.door.info(who.peer))
        });
        self.later::<method::AuthWhoAmI, _>(|server, who, _| async move {
            Ok(server.door.whoami(&who))
        });
        self.later::<method::AuthPair, _>(|server, who, pair| async move {
            server.door.pair(who.peer, &pair).await
        });
        self.later::<method::AuthPairingStart, _>(|server, _, wanted| async move {
            server.door.start_pairing(&wanted)
        });
        self.later::<method::AuthList, _>(|server, _, _| async move { server.door.list() });
        self.later::<method::AuthAdd, _>(|server, _, wanted| async move {
            server.door.add(&wanted).await
        });
        self.later::<method::AuthRevoke, _>(|server, _, wanted| async move {
            server.door.revoke(&wanted).await
        });
        self.later::<method::AuthAudit, _>(|server, _, wanted| async move {
            server.door.audit_list(&wanted).await
        });
    }

    /// A change, which is asked of the settings.
    fn wish<M, P>(&mut self, wish: fn(P) -> Result<Wish, Error>)
    where
        M: Method<Params = Write<P>, Reply = Changed>,
        P: DeserializeOwned + Send + 'static,
    {
        let call = move |server: Arc<Self>, who: Who, params: Option<Box<RawValue>>| {
            let run = async move {
                let Write { what, how } = parse::<Write<P>>(params.as_deref())?;
                let (wish, how) = (wish(what)?, how.checked()?);
                let changed = server.faces.settings.ask(&who.actor(), wish, how).await?;
                if !changed.changes.is_empty() && changed.applied {
                    shown(&server.faces).await;
                }
                written(&changed)
            };
            Box::pin(run) as Pending
        };
        self.add::<M>(Handler::Later(Box::new(call)));
    }

    /// A method that shows a part of the state as it is.
    fn view<M: Method<Params = query::NoParams>>(&mut self, part: fn(&Snapshot) -> &M::Reply) {
        let call = move |faces: &Faces, params: Option<&RawValue>| {
            parse::<query::NoParams>(params)?;
            written(part(&faces.state.borrow()))
        };
        self.add::<M>(Handler::Now(Box::new(call)));
    }

    fn now<M: Method>(&mut self, call: fn(&Faces, M::Params) -> Result<M::Reply, Error>) {
        let call =
            move |faces: &Faces, params: Option<&RawValue>| written(&call(faces, parse(params)?)?);
        self.add::<M>(Handler::Now(Box::new(call)));
    }

    fn later<M, F>(&mut self, call: fn(Arc<Self>, Who, M::Params) -> F)
    where
        M: Method,
        M::Params: Send,
        F: Future<Output = Result<M::Reply, Error>> + Send + 'static,
    {
        let call = move |server: Arc<Self>, who: Who, params: Option<Box<RawValue>>| {
            // Read at once, so that only what is meant crosses into the future.
            let params = parse(params.as_deref());
            let run = params.map(|params| call(server, who, params));
            Box::pin(async move { written(&run?.await?) }) as Pending
        };
        self.add::<M>(Handler::Later(Box::new(call)));
    }

    fn add<M: Method>(&mut self, handler: Handler) {
        if let Some(method) = method::find(M::NAME) {
            self.handlers.insert(M::NAME, (method, handler));
        }
    }
}

/// Parameters by name or by position; left out, they are an object without fields.
pub(super) fn parse<T: DeserializeOwned>(params: Option<&RawValue>) -> Result<T, Error> {
    let text = match params.map(RawValue::get) {
        None | Some("null") => "{}",
        Some(text) if text.starts_with(['{', '[']) => text,
        Some(_) => {
            let text = "params must be an object or an array";
            return Err(Error::invalid_params(text));
        }
    };
    serde_json::from_str(text).map_err(|error| Error::invalid_params(error.to_string()))
}

/// A reply as JSON.
pub(super) fn written(reply: &impl Serialize) -> Outcome {
    serde_json::value::to_raw_value(reply).map_err(|error| Error::internal(error.to_string()))
}

fn newest(faces: &Faces) -> Arc<Snapshot> {
    faces.state.borrow().clone()
}

fn chips(faces: &Faces, wanted: query::ChipList) -> Result<Vec<crate::state::ChipStatus>, Error> {
    let snapshot = newest(faces);
    if let Some(board) = wanted.board
        && !snapshot.boards.iter().any(|b| b.index == board)
    {
        let indices: Vec<_> = snapshot.boards.iter().map(|b| b.index).collect();
        let text = format!("no board {board}; the boards are {indices:?}");
        return Err(Error::invalid_params(text));
    }
    let chips = snapshot.chips.iter();
    let wanted =
        |chip: &&crate::state::ChipStatus| wanted.board.is_none_or(|board| board == chip.board);
    Ok(chips.filter(wanted).cloned().collect())
}

fn cooling(snapshot: &Snapshot) -> Vec<Cooling> {
    let stations = snapshot.stations.iter();
    let cooling = stations.map(|station| Cooling {
        boards: station.boards.clone(),
        cooling: station.status.cooling.clone(),
        fans: station.status.fans.clone(),
        fan_floor_percent: station.status.guard.fan_floor_percent,
    });
    cooling.collect()
}

fn events(faces: &Faces, wanted: &query::EventList) -> Vec<rpc::event::Entry> {
    let mut entries = faces.events.after(wanted.after.unwrap_or(0), usize::MAX);
    if let Some(board) = wanted.board {
        entries.retain(|entry| entry.boards.contains(&board));
    }
    let most = wanted
        .limit
        .map_or(EVENT_LIMIT, |limit| limit.min(EVENT_LIMIT));
    entries.drain(..entries.len().saturating_sub(most));
    entries
}

fn firmware(snapshot: &Snapshot) -> query::FirmwareInfo {
    let features = [
        ("solo", cfg!(feature = "solo")),
        ("sv2", cfg!(feature = "sv2")),
        ("tls", cfg!(feature = "tls")),
        ("mqtt", cfg!(feature = "mqtt")),
        ("webhook", cfg!(feature = "webhook")),
        ("mdns", cfg!(feature = "mdns")),
    ];
    let boards = snapshot.boards.iter().map(|board| query::BoardFirmware {
        board: board.index,
        profile: board.profile.clone(),
        control: board.control.clone(),
        guard: board.guard.clone(),
        serial: serial(snapshot, board.index),
    });
    query::FirmwareInfo {
        version: snapshot.system.version.clone(),
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        features: features
            .into_iter()
            .filter(|(_, built)| *built)
            .map(|(name, _)| name.to_owned())
            .collect(),
        debug: cfg!(debug_assertions),
        boards: boards.collect(),
    }
}

/// What a board says its serial number is: stations list their boards in the same order.
fn serial(snapshot: &Snapshot, board: usize) -> Option<String> {
    let station = snapshot
        .stations
        .iter()
        .find(|s| s.boards.contains(&board))?;
    let place = station.boards.iter().position(|index| *index == board)?;
    station.status.boards.get(place)?.serial.clone()
}

/// Waits until a wish that was just granted shows in the state, so that whoever looks next sees it.
async fn shown(faces: &Faces) {
    let mut state = faces.state.clone();
    // The snapshot under way may have been made before.
    for _ in 0..2 {
        if !matches!(timeout(SHOWN, state.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Whether a path is the one wanted, or below it.
fn below(path: &str, wanted: &PathFilter) -> bool {
    let Some(wanted) = &wanted.path else {
        return true;
    };
    let rest = path.strip_prefix(wanted.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// [`rpc::method::SystemInfo`].
pub const SYSTEM_INFO: &str = method::SystemInfo::NAME;
/// [`rpc::method::GetMinerStatus`].
pub const MINER_STATUS: &str = method::GetMinerStatus::NAME;
/// [`rpc::method::BoardList`].
pub const BOARD_LIST: &str = method::BoardList::NAME;
/// [`rpc::method::ChipList`].
pub const CHIP_LIST: &str = method::ChipList::NAME;
/// [`rpc::method::StationList`].
pub const STATION_LIST: &str = method::StationList::NAME;
/// [`rpc::method::CoolingGet`].
pub const COOLING_GET: &str = method::CoolingGet::NAME;
/// [`rpc::method::CoolingSet`].
pub const COOLING_SET: &str = method::CoolingSet::NAME;
/// [`rpc::method::BoardClearFault`].
pub const CLEAR_FAULT: &str = method::BoardClearFault::NAME;
/// [`rpc::method::EventList`].
pub const EVENT_LIST: &str = method::EventList::NAME;
/// [`rpc::method::PoolList`].
pub const POOL_LIST: &str = method::PoolList::NAME;
