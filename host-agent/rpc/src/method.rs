//! Every method of the API, in one table: its name, who may call it, what goes in and what comes out. The
//! server registers from it and checks roles by it, and `rpc.discover` and `docs/rpc.md` are made from it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{
    DENIED, LIMITS, LOCKED_OUT, NEEDS_WEBSOCKET, NO_PENDING, TOO_MANY_SUBSCRIPTIONS,
};
use crate::state::{BoardStatus, ChipStatus, MinerStatus, PoolStatus, StationStatus};
use crate::{Role, Write, auth, event, history, query, settings, state, stream, tuner};
use query::{NoParams, Unsubscribe};

/// What a method does to the miner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it tells.
    Read,
    /// It changes something, and goes into the audit log.
    Write,
    /// It starts or ends notifications on a WebSocket.
    Subscribe,
}

/// A method: a type for programs that call or serve it.
pub trait Method {
    /// Its name, e.g. `miner.status`.
    const NAME: &'static str;
    /// Lowest role that may call it; none for anybody.
    const ROLE: Option<Role>;
    /// What it does to the miner.
    const KIND: Kind;
    /// What it is for, in a sentence.
    const SUMMARY: &'static str;
    /// Codes of the errors that it has besides those that any call can have.
    const ERRORS: &'static [i32];
    /// What goes in.
    type Params: Serialize + DeserializeOwned + JsonSchema + 'static;
    /// What comes out.
    type Reply: Serialize + DeserializeOwned + JsonSchema + 'static;
}

/// A method that starts notifications; its reply is the id of the subscription.
pub trait Subscription: Method<Reply = u64> {
    /// Name of the notifications.
    const NOTIFICATION: &'static str;
    /// The method that ends it.
    const UNSUBSCRIBE: &'static str;
    /// What a notification carries as `result`, beside the id as `subscription`.
    type News: Serialize + DeserializeOwned + JsonSchema;
}

/// A method as a row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// As [`Method::NAME`].
    pub name: &'static str,
    /// As [`Method::ROLE`].
    pub role: Option<Role>,
    /// As [`Method::KIND`].
    pub kind: Kind,
    /// As [`Method::SUMMARY`].
    pub summary: &'static str,
    /// As [`Method::ERRORS`].
    pub errors: &'static [i32],
    /// Schema of its parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// Schema of its reply.
    pub reply: fn(&mut SchemaGenerator) -> Schema,
    /// Whether parameters can be read, and why not.
    pub check: fn(Value) -> Result<(), String>,
    /// Whether a reply is complete: reads it and writes it again.
    pub same: fn(Value) -> Result<Value, String>,
    /// Its notifications, if it starts any.
    pub news: Option<News>,
}

/// The notifications of a subscription.
#[derive(Clone, Copy, Debug)]
pub struct News {
    /// As [`Subscription::NOTIFICATION`].
    pub name: &'static str,
    /// As [`Subscription::UNSUBSCRIBE`].
    pub unsubscribe: &'static str,
    /// Schema of what they carry.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Descriptor {
    const fn of<M: Method>(news: Option<News>) -> Self {
        Self {
            name: M::NAME,
            role: M::ROLE,
            kind: M::KIND,
            summary: M::SUMMARY,
            errors: M::ERRORS,
            params: |generator| generator.subschema_for::<M::Params>(),
            reply: |generator| generator.subschema_for::<M::Reply>(),
            check: |value| {
                let read = serde_json::from_value::<M::Params>(value);
                read.map(drop).map_err(|error| error.to_string())
            },
            same: |value| {
                let read: M::Reply = serde_json::from_value(value).map_err(|e| e.to_string())?;
                serde_json::to_value(read).map_err(|error| error.to_string())
            },
            news,
        }
    }
}

impl News {
    const fn of<M: Subscription>() -> Self {
        Self {
            name: M::NOTIFICATION,
            unsubscribe: M::UNSUBSCRIBE,
            schema: |generator| generator.subschema_for::<M::News>(),
        }
    }
}

/// The method of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Descriptor> {
    TABLE.iter().find(|method| method.name == name)
}

macro_rules! methods {
    ($($kind:ident $role:expr; $type:ident = $name:literal ($params:ty) -> $reply:ty
        $(, news $notification:literal $news:ty, ends by $unsubscribe:literal)?
        $(, errors [$($error:expr),*])?; $summary:literal)*) => {
        $(
            #[doc = concat!("`", $name, "`. ", $summary)]
            #[derive(Clone, Copy, Debug)]
            pub struct $type;

            impl Method for $type {
                const NAME: &'static str = $name;
                const ROLE: Option<Role> = $role;
                const KIND: Kind = Kind::$kind;
                const SUMMARY: &'static str = $summary;
                const ERRORS: &'static [i32] = &[$($($error),*)?];
                type Params = $params;
                type Reply = $reply;
            }

            $(
                impl Subscription for $type {
                    const NOTIFICATION: &'static str = $notification;
                    const UNSUBSCRIBE: &'static str = $unsubscribe;
                    type News = $news;
                }
            )?
        )*

        /// All methods, in the order of the documentation.
        pub const TABLE: &[Descriptor] = &[$(
            Descriptor::of::<$type>(methods!(@news $type $($notification)?)),
        )*];
    };
    (@news $type:ident) => { None };
    (@news $type:ident $notification:literal) => { Some(News::of::<$type>()) };
}

const READ: Option<Role> = Some(Role::Read);
const OPERATE: Option<Role> = Some(Role::Operate);
const TUNE: Option<Role> = Some(Role::Tune);
const ADMIN: Option<Role> = Some(Role::Admin);

methods! {
    Read READ; SystemInfo = "system.info" (NoParams) -> state::SystemInfo;
        "The program and the machine."
    Write OPERATE; SystemRestart = "system.restart" (Write<NoParams>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Winds all boards down and starts the agent anew, with the config as it is then."

    Read READ; GetMinerStatus = "miner.status" (NoParams) -> MinerStatus;
        "The whole miner."
    Write OPERATE; MinerPause = "miner.pause" (Write<NoParams>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Winds all boards down and takes their power until `miner.resume` or a restart."
    Write OPERATE; MinerResume = "miner.resume" (Write<NoParams>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Mines again after `miner.pause`."

    Read READ; BoardList = "board.list" (NoParams) -> Vec<BoardStatus>;
        "The boards in the order of the config."
    Write TUNE; BoardSet = "board.set" (Write<settings::BoardSet>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Sets the clock and voltage of a board, or switches it off or on."
    Write OPERATE; BoardClearFault = "board.clear_fault" (Write<settings::ClearFault>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "A person says that the cause of a latched fault is gone."
    Read READ; ChipList = "chip.list" (query::ChipList) -> Vec<ChipStatus>;
        "The chips of all boards in the order of their chains, or those of one board."
    Write TUNE; ChipSetFrequency = "chip.set_frequency" (Write<tuner::ChipClock>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Sets the clock of a chip apart from its board's, while the tuner is off; never saved."
    Read TUNE; ChipReadRegister = "chip.read_register" (tuner::RegisterAsk) -> Vec<tuner::RegisterValue>,
        errors [DENIED];
        "Reads a register of a chip, or of all chips of a board, while they mine."
    Read READ; StationList = "station.list" (NoParams) -> Vec<StationStatus>;
        "Power, heat and fans of all that is switched together."

    Read READ; CoolingGet = "cooling.get" (NoParams) -> Vec<query::Cooling>;
        "How boards are cooled, the short form of `station.list`."
    Write OPERATE; CoolingSet = "cooling.set" (Write<settings::CoolingSet>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Changes how fans are run."

    Read READ; PoolList = "pool.list" (NoParams) -> Vec<PoolStatus>;
        "The pools in the order of the config, which is their priority."
    Write OPERATE; PoolOrder = "pool.order" (Write<settings::PoolOrder>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Puts the configured pools into another order of priority."
    Write ADMIN; PoolAdd = "pool.add" (Write<settings::PoolAdd>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Adds a pool."
    Write ADMIN; PoolUpdate = "pool.update" (Write<settings::PoolUpdate>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Changes settings of a pool."
    Write ADMIN; PoolRemove = "pool.remove" (Write<settings::PoolRemove>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Removes a pool; the last one stays."
    Write ADMIN; PoolSet = "pool.set" (Write<settings::PoolSet>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Replaces all pools."

    Read READ; GetTunerStatus = "tuner.status" (NoParams) -> tuner::TunerStatus;
        "What the miner is tuned for, what holds now and why, and how far each tuner is."
    Write TUNE; TunerSet = "tuner.set" (Write<tuner::TunerSet>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Changes what the miner is tuned for; the aim `off` stops tuning."
    Read READ; TunerSteps = "tuner.steps" (tuner::StepList) -> Vec<tuner::TunerStep>;
        "What the tuners did and why, oldest first."
    Read READ; TunerExplain = "tuner.explain" (tuner::OneChip) -> autotune::Explanation,
        errors [DENIED];
        "Why a chip sits where it sits."
    Read READ; TunerCurve = "tuner.curve" (tuner::CurveAsk) -> Vec<tuner::Curve>,
        errors [DENIED];
        "The best settings from least to most power, by the boards' own models."
    Read READ; TunerPredict = "tuner.predict" (tuner::PredictAsk) -> Vec<tuner::StationPrediction>,
        errors [DENIED];
        "What the boards would do under another aim, with intervals of 95 percent."
    Read READ; TunerProfiles = "tuner.profiles" (NoParams) -> Vec<tuner::ProfileInfo>;
        "The boards of which something is known."
    Read READ; TunerExport = "tuner.export" (tuner::OneSerial) -> autotune::BoardModel,
        errors [DENIED];
        "What is known of a board, to keep or to carry."
    Write TUNE; TunerImport = "tuner.import" (Write<tuner::ProfileImport>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Uses what was learned of a board elsewhere."
    Write TUNE; TunerForget = "tuner.forget" (Write<tuner::OneSerial>) -> settings::Changed,
        errors [DENIED];
        "Forgets what is known of a board; if it is tuned, that begins anew."
    Write TUNE; TunerCalibrate = "tuner.calibrate" (Write<tuner::Calibrate>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Corrects the power of a station by what a wall meter shows."
    Write OPERATE; TunerFeed = "tuner.feed" (tuner::Feed) -> tuner::DemandStatus,
        errors [DENIED];
        "Tells the price of power, the revenue, or the surplus of a solar plant."
    Write OPERATE; TunerCurtail = "tuner.curtail" (tuner::Curtail) -> tuner::DemandStatus,
        errors [DENIED];
        "Caps the power of the miner for a while, with a ramp; 0 W takes the power of its boards."

    Read READ; EventList = "event.list" (query::EventList) -> Vec<event::Entry>;
        "What happened and why, oldest first."

    Read READ; HistoryQuery = "history.query" (history::Query) -> history::History,
        errors [DENIED];
        "Values over time, of the miner, a board or a pool."
    Read READ; HistoryInfo = "history.info" (NoParams) -> history::HistoryInfo;
        "What the history has, and what it takes on disk."

    Read READ; FirmwareInfo = "firmware.info" (NoParams) -> query::FirmwareInfo;
        "What software runs, here and on the controllers of the boards."

    Read READ; ConfigGet = "config.get" (settings::PathFilter) -> settings::View;
        "The settings in force and where each comes from; never secrets."
    Read READ; ConfigConstraints = "config.constraints" (settings::PathFilter) -> Vec<settings::Constraint>;
        "What each setting may be: kind, limits, default, unit, and who may change it."
    Read ADMIN; ConfigCheck = "config.check" (settings::ConfigCheck) -> settings::ConfigReport;
        "Checks the text of a config file without using it."
    Write ADMIN; ConfigSet = "config.set" (Write<settings::ConfigSet>) -> settings::Changed,
        errors [DENIED, LIMITS];
        "Changes several settings: all of them or none."
    Read READ; ConfigPending = "config.pending" (NoParams) -> Vec<settings::PendingChange>;
        "The changes that are undone unless somebody confirms them."
    Write OPERATE; ConfigConfirm = "config.confirm" (settings::PendingId) -> settings::Changed,
        errors [DENIED, NO_PENDING];
        "Keeps a change that waits for its confirmation."
    Write OPERATE; ConfigRollback = "config.rollback" (settings::PendingId) -> settings::Changed,
        errors [DENIED, NO_PENDING];
        "Undoes a change that waits for its confirmation."

    Read None; AuthInfo = "auth.info" (NoParams) -> auth::AuthInfo;
        "What is needed to use this API, and how to get it."
    Write None; AuthPair = "auth.pair" (auth::Pair) -> auth::NewToken,
        errors [DENIED, LOCKED_OUT];
        "Exchanges a pairing code for a token."
    Read None; AuthLogin = "auth.login" (auth::Login) -> auth::WhoAmI,
        errors [LOCKED_OUT, NEEDS_WEBSOCKET];
        "Uses a token for the rest of this WebSocket."
    Read None; AuthWhoAmI = "auth.whoami" (NoParams) -> auth::WhoAmI;
        "Whom the agent takes the caller for."
    Write ADMIN; AuthPairingStart = "auth.pairing_start" (auth::PairingStart) -> auth::PairingCode,
        errors [DENIED];
        "Makes a pairing code, which can be used once within ten minutes."
    Read ADMIN; AuthList = "auth.list" (NoParams) -> Vec<auth::TokenInfo>;
        "All tokens, without themselves."
    Write ADMIN; AuthAdd = "auth.add" (auth::TokenAdd) -> auth::NewToken,
        errors [DENIED];
        "Makes a token and tells it, this once."
    Write ADMIN; AuthRevoke = "auth.revoke" (auth::TokenRevoke) -> auth::TokenInfo,
        errors [DENIED];
        "Ends a token at once, also on open WebSockets."
    Read ADMIN; AuthAudit = "auth.audit" (auth::AuditQuery) -> Vec<auth::AuditRecord>;
        "Who changed what, or tried to, oldest first."

    Subscribe READ; TelemetrySubscribe = "telemetry.subscribe" (stream::TelemetrySubscribe) -> u64,
        news "telemetry" stream::Telemetry, ends by "telemetry.unsubscribe",
        errors [NEEDS_WEBSOCKET, TOO_MANY_SUBSCRIPTIONS];
        "Sends the whole state at once, and then what has changed."
    Subscribe READ; TelemetryUnsubscribe = "telemetry.unsubscribe" (Unsubscribe) -> bool,
        errors [NEEDS_WEBSOCKET];
        "Ends a subscription to telemetry."
    Subscribe READ; EventsSubscribe = "events.subscribe" (stream::EventsSubscribe) -> u64,
        news "events" stream::EventNews, ends by "events.unsubscribe",
        errors [NEEDS_WEBSOCKET, TOO_MANY_SUBSCRIPTIONS];
        "Sends the events that are kept at once, and then new ones."
    Subscribe READ; EventsUnsubscribe = "events.unsubscribe" (Unsubscribe) -> bool,
        errors [NEEDS_WEBSOCKET];
        "Ends a subscription to events."
    Subscribe READ; SharesSubscribe = "shares.subscribe" (stream::SharesSubscribe) -> u64,
        news "shares" stream::ShareNews, ends by "shares.unsubscribe",
        errors [NEEDS_WEBSOCKET, TOO_MANY_SUBSCRIPTIONS];
        "Sends the last shares at once, and then each as its pool answers."
    Subscribe READ; SharesUnsubscribe = "shares.unsubscribe" (Unsubscribe) -> bool,
        errors [NEEDS_WEBSOCKET];
        "Ends a subscription to shares."
    Subscribe OPERATE; LogSubscribe = "log.subscribe" (stream::LogSubscribe) -> u64,
        news "log" stream::LogNews, ends by "log.unsubscribe",
        errors [NEEDS_WEBSOCKET, TOO_MANY_SUBSCRIPTIONS];
        "Sends the last 500 lines of the log at once, and then new ones."
    Subscribe OPERATE; LogUnsubscribe = "log.unsubscribe" (Unsubscribe) -> bool,
        errors [NEEDS_WEBSOCKET];
        "Ends a subscription to the log."

    Read None; Discover = "rpc.discover" (NoParams) -> Value;
        "This API as an OpenRPC document."
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::error::MEANINGS;

    #[test]
    fn names_are_unique_and_summaries_are_sentences() {
        let names: BTreeSet<_> = TABLE.iter().map(|method| method.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for method in TABLE {
            assert!(
                method.summary.ends_with('.') && method.summary.len() > 10,
                "{}",
                method.name
            );
            for code in method.errors {
                assert!(MEANINGS.iter().any(|known| known.code == *code), "{code}");
            }
        }
    }

    #[test]
    fn what_changes_the_miner_needs_more_than_reading() {
        for method in TABLE.iter().filter(|method| method.kind == Kind::Write) {
            let anybody = method.role.is_none() && method.name == "auth.pair";
            assert!(
                anybody || method.role >= Some(Role::Operate),
                "{}",
                method.name
            );
        }
    }

    #[test]
    fn every_change_can_be_tried_without_effect() {
        let mut generator = SchemaGenerator::default();
        for method in TABLE.iter().filter(|method| method.kind == Kind::Write) {
            let settles = ["config.confirm", "config.rollback"].contains(&method.name);
            let tokens = method.name.starts_with("auth.");
            // Readings from outside and calls for less power are no settings: there is nothing to keep or undo.
            let world = ["tuner.feed", "tuner.curtail"].contains(&method.name);
            let schema = (method.params)(&mut generator);
            let dry_run = schema.pointer("/properties/dry_run").is_some();
            assert_eq!(dry_run, !settles && !tokens && !world, "{}", method.name);
        }
    }

    #[test]
    fn every_subscription_can_be_ended() {
        for method in TABLE {
            if let Some(news) = method.news {
                let ends = find(news.unsubscribe).unwrap();
                assert_eq!((ends.kind, ends.role), (Kind::Subscribe, method.role));
            }
        }
    }
}
