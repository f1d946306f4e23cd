//! The JSON-RPC methods: views of the newest [`Snapshot`] and a subscription to all of it, and the few
//! wishes that people may send to stations.
//! Parameters are checked strictly, so that a misspelt one is an error and not ignored.

use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::core::server::PendingSubscriptionSink;
use jsonrpsee::types::{ErrorObjectOwned, Params};
use jsonrpsee::{Methods, RpcModule};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use station::Mode;
use station::status::{CoolingStatus, FanStatus};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::clock::Clock;
use crate::control::command::{Controls, Denied};
use crate::events::EventLog;
use crate::settings::Settings;
use crate::state::Snapshot;

/// [`crate::state::SystemInfo`]; no parameters.
pub const SYSTEM_INFO: &str = "system.info";
/// [`crate::state::MinerStatus`]; no parameters.
pub const MINER_STATUS: &str = "miner.status";
/// All [`crate::state::BoardStatus`]; no parameters.
pub const BOARD_LIST: &str = "board.list";
/// All [`crate::state::ChipStatus`], or those of one board: `{"board": 0}` or `[0]`.
pub const CHIP_LIST: &str = "chip.list";
/// All [`crate::state::StationStatus`]; no parameters.
pub const STATION_LIST: &str = "station.list";
/// How boards are cooled: a [`Cooling`] for each station; no parameters.
pub const COOLING_GET: &str = "cooling.get";
/// Changes how fans are run: `{"board": 0, "mode": "manual", "percent": 70}`; see [`CoolingSet`].
pub const COOLING_SET: &str = "cooling.set";
/// A person clears the latched fault of a board by repeating its code:
/// `{"board": 0, "code": "fan-stalled"}`.
pub const CLEAR_FAULT: &str = "board.clear_fault";
/// [`crate::events::Entry`] after a number, the newest ones: `{"after": 0, "limit": 100, "board": 0}`.
pub const EVENT_LIST: &str = "event.list";
/// All [`crate::state::PoolStatus`]; no parameters.
pub const POOL_LIST: &str = "pool.list";
/// Starts sending the whole [`Snapshot`]; WebSocket only: `{"interval_ms": 1000}` or `[1000]`.
pub const TELEMETRY_SUBSCRIBE: &str = "telemetry.subscribe";
/// Ends a subscription, by its id: `[id]`.
pub const TELEMETRY_UNSUBSCRIBE: &str = "telemetry.unsubscribe";
/// The notification that carries a [`Snapshot`] to subscribers.
pub const TELEMETRY: &str = "telemetry";

/// Shortest time between two telemetry messages of a subscription, milliseconds; also the default.
pub const MIN_INTERVAL_MS: u64 = 1_000;
/// Longest time between two telemetry messages of a subscription, milliseconds.
pub const MAX_INTERVAL_MS: u64 = 60_000;

/// Longest time until a change shows in the state.
const SHOWN: Duration = Duration::from_secs(1);

/// JSON-RPC's code for wrong parameters.
const INVALID_PARAMS: i32 = -32602;

/// Our code for a call that only a WebSocket can carry; from the range that JSON-RPC leaves to
/// servers.
pub const NEEDS_WEBSOCKET: i32 = -32020;

/// Our code for a wish that a station refused, or that no station can fulfil.
pub const DENIED: i32 = -32021;

/// Entries that [`EVENT_LIST`] gives at most, unless asked for fewer.
pub const EVENT_LIMIT: usize = 200;

/// What the API shows, and whom it asks.
#[derive(Clone, Debug)]
pub struct Faces {
    /// The state tree.
    pub state: watch::Receiver<Arc<Snapshot>>,
    /// What happened and why.
    pub events: EventLog,
    /// The way to the stations.
    pub controls: Controls,
    /// The way of every change.
    pub settings: Settings,
}

impl From<watch::Receiver<Arc<Snapshot>>> for Faces {
    /// A state without events and stations.
    fn from(state: watch::Receiver<Arc<Snapshot>>) -> Self {
        let events = EventLog::new(Clock::start());
        Self {
            state,
            controls: Controls::new(Vec::new(), events.clone()),
            settings: Settings::detached(),
            events,
        }
    }
}

/// How the boards of a station are cooled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cooling {
    /// Boards of the station, by position in the config.
    pub boards: Vec<usize>,
    /// Fan control and throttle.
    pub cooling: CoolingStatus,
    /// The fans.
    pub fans: Vec<FanStatus>,
    /// Lowest duty that the guard allows now, percent.
    pub fan_floor_percent: u8,
}

/// Parameters of [`COOLING_SET`]. At least one of `mode` and `target_c`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CoolingSet {
    /// A board, whose station is meant; without it all stations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<usize>,
    /// `auto`, `manual` or `immersion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Duty for `manual`, 0 to 100 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// For `immersion`: a person has made sure that the boards are in liquid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_immersion: Option<bool>,
    /// Temperature to hold in `auto`, °C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_c: Option<f64>,
}

/// What a connection can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Calls and their replies.
    Http,
    /// Notifications as well.
    WebSocket,
}

/// All methods; on HTTP the subscription only tells where it is to be had.
pub fn methods(faces: impl Into<Faces>, transport: Transport) -> Methods {
    let mut module = RpcModule::new(faces.into());
    let registered = register_calls(&mut module)
        .and_then(|()| register_control(&mut module))
        .and_then(|()| match transport {
            Transport::Http => register_needs_websocket(&mut module),
            Transport::WebSocket => register_telemetry(&mut module),
        });
    // A name registered twice is the only possible error; the test of the names finds it.
    if let Err(error) = registered {
        tracing::error!(%error, "an API method is missing");
    }
    module.into()
}

fn register_calls(module: &mut RpcModule<Faces>) -> Result<(), RegisterMethodError> {
    module.register_method(SYSTEM_INFO, |params, state, _| {
        no_params(&params).map(|()| newest(state).system.clone())
    })?;
    module.register_method(MINER_STATUS, |params, state, _| {
        no_params(&params).map(|()| newest(state).miner.clone())
    })?;
    module.register_method(BOARD_LIST, |params, state, _| {
        no_params(&params).map(|()| newest(state).boards.clone())
    })?;
    module.register_method(POOL_LIST, |params, state, _| {
        no_params(&params).map(|()| newest(state).pools.clone())
    })?;
    module.register_method(CHIP_LIST, |params, state, _| {
        let ChipListParams { board } = parse(&params)?;
        let snapshot = newest(state);
        if let Some(board) = board
            && !snapshot.boards.iter().any(|b| b.index == board)
        {
            let indices: Vec<_> = snapshot.boards.iter().map(|b| b.index).collect();
            return Err(invalid(format!(
                "no board {board}; the boards are {indices:?}"
            )));
        }
        let wanted = |chip: &usize| board.is_none_or(|board| board == *chip);
        Ok(snapshot
            .chips
            .iter()
            .filter(|chip| wanted(&chip.board))
            .cloned()
            .collect::<Vec<_>>())
    })?;
    Ok(())
}

fn register_control(module: &mut RpcModule<Faces>) -> Result<(), RegisterMethodError> {
    module.register_method(STATION_LIST, |params, faces, _| {
        no_params(&params).map(|()| newest(faces).stations.clone())
    })?;
    module.register_method(COOLING_GET, |params, faces, _| {
        no_params(&params)?;
        let stations = &newest(faces).stations;
        let cooling = stations.iter().map(|station| Cooling {
            boards: station.boards.clone(),
            cooling: station.status.cooling.clone(),
            fans: station.status.fans.clone(),
            fan_floor_percent: station.status.guard.fan_floor_percent,
        });
        Ok::<_, ErrorObjectOwned>(cooling.collect::<Vec<_>>())
    })?;
    module.register_method(EVENT_LIST, |params, faces, _| {
        let EventListParams {
            after,
            limit,
            board,
        } = parse(&params)?;
        let mut entries = faces.events.after(after.unwrap_or(0), usize::MAX);
        if let Some(board) = board {
            entries.retain(|entry| entry.boards.contains(&board));
        }
        let surplus = entries
            .len()
            .saturating_sub(limit.map_or(EVENT_LIMIT, |limit| limit.min(EVENT_LIMIT)));
        entries.drain(..surplus);
        Ok::<_, ErrorObjectOwned>(entries)
    })?;
    module.register_async_method(COOLING_SET, async |params, faces, _| {
        let wish: CoolingSet = parse(&params)?;
        let mode = wish.mode()?;
        if mode.is_none() && wish.target_c.is_none() {
            return Err(invalid("nothing to set: give mode or target_c".to_owned()));
        }
        if let Some(mode) = mode {
            let outcome = faces.controls.set_cooling(wish.board, mode).await;
            outcome.map_err(|error| denied(&error))?;
        }
        if let Some(celsius) = wish.target_c {
            let outcome = faces.controls.set_target(wish.board, celsius).await;
            outcome.map_err(|error| denied(&error))?;
        }
        shown(&faces).await;
        Ok(true)
    })?;
    module.register_async_method(CLEAR_FAULT, async |params, faces, _| {
        let ClearFaultParams {
            board: Some(board),
            code: Some(code),
        } = parse(&params)?
        else {
            return Err(invalid(
                "both board and code are needed; the code is that of the latched fault".to_owned(),
            ));
        };
        let outcome = faces.controls.clear_fault(board, code).await;
        outcome.map_err(|error| denied(&error))?;
        shown(&faces).await;
        Ok(true)
    })?;
    Ok(())
}

impl CoolingSet {
    fn mode(&self) -> Result<Option<Mode>, ErrorObjectOwned> {
        let mode = match self.mode.as_deref() {
            None => None,
            Some("auto") => Some(Mode::Auto),
            Some("manual") => {
                let percent = self.percent.filter(|percent| *percent <= 100);
                Some(Mode::Manual {
                    percent: percent
                        .ok_or_else(|| invalid("manual needs percent, from 0 to 100".to_owned()))?,
                })
            }
            Some("immersion") => Some(Mode::Immersion {
                confirmed: self.confirm_immersion == Some(true),
            }),
            Some(other) => {
                let known = "auto, manual or immersion";
                return Err(invalid(format!("mode is {other:?}, but must be {known}")));
            }
        };
        Ok(mode)
    }
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

fn denied(error: &Denied) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(DENIED, "Denied", Some(error.to_string()))
}

fn register_telemetry(module: &mut RpcModule<Faces>) -> Result<(), RegisterMethodError> {
    module.register_subscription(
        TELEMETRY_SUBSCRIBE,
        TELEMETRY,
        TELEMETRY_UNSUBSCRIBE,
        |params, pending, faces, _| telemetry(params, pending, faces.state.clone()),
    )?;
    Ok(())
}

fn register_needs_websocket(module: &mut RpcModule<Faces>) -> Result<(), RegisterMethodError> {
    for name in [TELEMETRY_SUBSCRIBE, TELEMETRY_UNSUBSCRIBE] {
        module.register_method(name, |_, _, _| -> Result<(), ErrorObjectOwned> {
            let detail = "a POST cannot carry notifications; open a WebSocket at the same URL";
            Err(ErrorObjectOwned::owned(
                NEEDS_WEBSOCKET,
                "Needs a WebSocket",
                Some(detail),
            ))
        })?;
    }
    Ok(())
}

/// Sends the state at once and then whenever it has changed, one message per interval at most.
async fn telemetry(
    params: Params<'static>,
    pending: PendingSubscriptionSink,
    mut state: watch::Receiver<Arc<Snapshot>>,
) {
    let interval = match parse(&params).and_then(TelemetryParams::interval) {
        Ok(interval) => interval,
        Err(error) => return pending.reject(error).await,
    };
    let Ok(sink) = pending.accept().await else {
        return;
    };
    loop {
        let snapshot = state.borrow_and_update().clone();
        let Ok(message) = serde_json::value::to_raw_value(&*snapshot) else {
            return;
        };
        drop(snapshot);
        if sink.send(message).await.is_err() {
            return;
        }
        let next = async {
            sleep(interval).await;
            state.changed().await
        };
        tokio::select! {
            () = sink.closed() => return,
            changed = next => if changed.is_err() { return },
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParams {}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ChipListParams {
    board: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EventListParams {
    after: Option<u64>,
    limit: Option<usize>,
    board: Option<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ClearFaultParams {
    board: Option<usize>,
    code: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TelemetryParams {
    interval_ms: Option<u64>,
}

impl TelemetryParams {
    fn interval(self) -> Result<Duration, ErrorObjectOwned> {
        let ms = self.interval_ms.unwrap_or(MIN_INTERVAL_MS);
        if (MIN_INTERVAL_MS..=MAX_INTERVAL_MS).contains(&ms) {
            Ok(Duration::from_millis(ms))
        } else {
            Err(invalid(format!(
                "interval_ms is {ms}, but must be from {MIN_INTERVAL_MS} to {MAX_INTERVAL_MS}"
            )))
        }
    }
}

fn newest(faces: &Faces) -> Arc<Snapshot> {
    faces.state.borrow().clone()
}

fn no_params(params: &Params<'_>) -> Result<(), ErrorObjectOwned> {
    parse::<NoParams>(params).map(|_| ())
}

/// Parameters by name or by position; left out, they take their defaults.
fn parse<T: DeserializeOwned + Default>(params: &Params<'_>) -> Result<T, ErrorObjectOwned> {
    match params.as_str() {
        None => Ok(T::default()),
        Some(text) => serde_json::from_str(text).map_err(|error| invalid(error.to_string())),
    }
}

fn invalid(detail: String) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_PARAMS, "Invalid params", Some(detail))
}
