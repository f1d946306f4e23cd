//! The JSON-RPC methods: views of the newest [`Snapshot`] and a subscription to all of it.
//! Parameters are checked strictly, so that a misspelt one is an error and not ignored.

use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::core::server::PendingSubscriptionSink;
use jsonrpsee::types::{ErrorObjectOwned, Params};
use jsonrpsee::{Methods, RpcModule};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::state::Snapshot;

/// [`crate::state::SystemInfo`]; no parameters.
pub const SYSTEM_INFO: &str = "system.info";
/// [`crate::state::MinerStatus`]; no parameters.
pub const MINER_STATUS: &str = "miner.status";
/// All [`crate::state::BoardStatus`]; no parameters.
pub const BOARD_LIST: &str = "board.list";
/// All [`crate::state::ChipStatus`], or those of one board: `{"board": 0}` or `[0]`.
pub const CHIP_LIST: &str = "chip.list";
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

/// JSON-RPC's code for wrong parameters.
const INVALID_PARAMS: i32 = -32602;

/// Our code for a call that only a WebSocket can carry; from the range that JSON-RPC leaves to
/// servers.
pub const NEEDS_WEBSOCKET: i32 = -32020;

type State = watch::Receiver<Arc<Snapshot>>;

/// What a connection can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Calls and their replies.
    Http,
    /// Notifications as well.
    WebSocket,
}

/// All methods over `state`; on HTTP the subscription only tells where it is to be had.
pub fn methods(state: State, transport: Transport) -> Methods {
    let mut module = RpcModule::new(state);
    let registered = register_calls(&mut module).and_then(|()| match transport {
        Transport::Http => register_needs_websocket(&mut module),
        Transport::WebSocket => register_telemetry(&mut module),
    });
    // A name registered twice is the only possible error; the test of the names finds it.
    if let Err(error) = registered {
        tracing::error!(%error, "an API method is missing");
    }
    module.into()
}

fn register_calls(module: &mut RpcModule<State>) -> Result<(), RegisterMethodError> {
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

fn register_telemetry(module: &mut RpcModule<State>) -> Result<(), RegisterMethodError> {
    module.register_subscription(
        TELEMETRY_SUBSCRIBE,
        TELEMETRY,
        TELEMETRY_UNSUBSCRIBE,
        |params, pending, state, _| telemetry(params, pending, (*state).clone()),
    )?;
    Ok(())
}

fn register_needs_websocket(module: &mut RpcModule<State>) -> Result<(), RegisterMethodError> {
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
async fn telemetry(params: Params<'static>, pending: PendingSubscriptionSink, mut state: State) {
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

fn newest(state: &State) -> Arc<Snapshot> {
    state.borrow().clone()
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
