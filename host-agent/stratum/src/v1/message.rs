//! What a pool says, line by line. A line is judged by whether it names a method, never by
//! its id: notifications come with id null, without id, and with a number.

use mining::Difficulty;
use serde_json::Value;
use thiserror::Error;

use super::notify::Notify;
use crate::session::Reason;
use crate::text::{from_hex, presentable, u32_from_hex};

/// A line from the pool.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// The answer to a request of ours.
    Response(Response),
    /// `mining.notify`: a job.
    Notify(Box<Notify>),
    /// `mining.set_difficulty`: counts from the next job on.
    SetDifficulty(Difficulty),
    /// `mining.set_extranonce`: counts from the next job on.
    SetExtranonce(Extranonce),
    /// `mining.set_version_mask`: the bits that the pool now lets us roll.
    SetVersionMask(u32),
    /// `client.reconnect`: a wish to be connected to again, here or elsewhere.
    Reconnect(Reconnect),
    /// `client.show_message`: words for the owner, cut and without control characters.
    ShowMessage(String),
    /// `client.get_version`, with the id to answer.
    GetVersion(RequestId),
    /// `mining.ping`, with the id to answer.
    Ping(RequestId),
    /// A method that we do not know, by name.
    Unknown(String),
}

/// The answer to a request of ours, before anyone looked at what was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Our request's number; `None` if the line names none that could be ours.
    pub id: Option<u64>,
    /// `result`, null if absent.
    pub result: Value,
    /// `error`, null if absent.
    pub error: Value,
    /// `reject-reason` at top level, as the older ckpool family sends it.
    pub reject_reason: Value,
}

/// The pool's share of the extranonce, and the size of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extranonce {
    /// The pool's part, 0 to 32 bytes.
    pub extranonce1: Vec<u8>,
    /// Size of our part, 1 to 16 bytes.
    pub extranonce2_len: usize,
}

/// The answer to `mining.subscribe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Name under which the pool may resume this session; absent at some pools.
    pub session_id: Option<String>,
    /// The extranonce of this connection.
    pub extranonce: Extranonce,
}

/// What `client.reconnect` asks for; absent parts mean "as now".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconnect {
    /// Another host.
    pub host: Option<String>,
    /// Another port.
    pub port: Option<u16>,
    /// Seconds to wait before connecting again.
    pub wait_s: u32,
}

/// The id of a request that the pool made. Only numbers and short texts are answered.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestId(pub Option<Value>);

/// Why a line cannot be what a Stratum pool sends.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Not a JSON object.
    #[error("the line \"{0}\" is no JSON object")]
    NotJson(String),
    /// A part with the wrong type or range.
    #[error("{what} is {found}, expected {expected}")]
    Wrong {
        /// Which part of which message.
        what: &'static str,
        /// The value as received, cut.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// Longest extranonce1 in use, bytes; the SRI translator uses 16, and 28 has been seen.
pub const MAX_EXTRANONCE1: usize = 32;
/// Longest extranonce2 in use, bytes.
pub const MAX_EXTRANONCE2: usize = 16;
/// The network's difficulty has 15 digits; a share difficulty of more than this is a mistake.
pub const MAX_DIFFICULTY: f64 = 1e20;
/// At difficulty 2^-32 every hash is a share. Simulated boards ask for a little less.
pub const MIN_DIFFICULTY: f64 = 1e-15;
/// Longest message of a pool that is shown, characters.
const MAX_MESSAGE: usize = 300;
/// Longest session id that is sent back, bytes.
const MAX_SESSION_ID: usize = 256;

impl From<MessageError> for Reason {
    fn from(error: MessageError) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl MessageError {
    pub(crate) fn wrong(what: &'static str, found: &Value, expected: &'static str) -> Self {
        Self::Wrong {
            what,
            found: match found {
                Value::Null => "missing".to_owned(),
                Value::Array(items) => format!("a list of {} items", items.len()),
                Value::Object(_) => "an object".to_owned(),
                other => presentable(&other.to_string(), 60),
            },
            expected,
        }
    }
}

/// Reads one line.
///
/// # Errors
///
/// If it is no JSON object, or a message that we know has parts that cannot be right.
pub fn parse(line: &[u8]) -> Result<Incoming, MessageError> {
    // Bytes that are not UTF-8 can only stand in texts, and those are for show.
    let text = String::from_utf8_lossy(line);
    let Ok(Value::Object(mut object)) = serde_json::from_str(&text) else {
        return Err(MessageError::NotJson(presentable(&text, 60)));
    };
    let mut take = |key: &str| object.remove(key).unwrap_or(Value::Null);
    let id = take("id");
    match take("method") {
        Value::Null => Ok(Incoming::Response(Response {
            id: own_id(&id),
            result: take("result"),
            error: take("error"),
            reject_reason: take("reject-reason"),
        })),
        Value::String(method) => parse_method(&method, id, &take("params")),
        other => Err(MessageError::wrong("method", &other, "a text")),
    }
}

/// Reads the result of `mining.subscribe`: subscriptions, extranonce1, size of extranonce2.
///
/// # Errors
///
/// If parts are missing or sizes impossible.
pub fn parse_subscription(result: &Value) -> Result<Subscription, MessageError> {
    let Some([subscriptions, extranonce1, extranonce2_len, ..]) =
        result.as_array().map(Vec::as_slice)
    else {
        return Err(MessageError::wrong(
            "the answer to mining.subscribe",
            result,
            "a list of subscriptions, extranonce1 and extranonce2 size",
        ));
    };
    Ok(Subscription {
        session_id: session_id(subscriptions),
        extranonce: parse_extranonce(extranonce1, extranonce2_len)?,
    })
}

/// Reads the result of `mining.configure`: the version mask that the pool granted, or `None`
/// if it does not roll versions. A grant that names no mask lets us roll nothing.
#[must_use]
pub fn parse_configuration(result: &Value) -> Option<u32> {
    if result.get("version-rolling") != Some(&Value::Bool(true)) {
        return None;
    }
    let mask = result.get("version-rolling.mask").and_then(Value::as_str);
    Some(mask.and_then(u32_from_hex).unwrap_or(0))
}

fn parse_method(method: &str, id: Value, params: &Value) -> Result<Incoming, MessageError> {
    let items = params.as_array().map_or(&[][..], Vec::as_slice);
    let item = |index: usize| items.get(index).unwrap_or(&Value::Null);
    Ok(match method {
        "mining.notify" => Incoming::Notify(Box::new(Notify::parse(items)?)),
        "mining.set_difficulty" => Incoming::SetDifficulty(parse_difficulty(item(0))?),
        "mining.set_extranonce" => Incoming::SetExtranonce(parse_extranonce(item(0), item(1))?),
        "mining.set_version_mask" => {
            let mask = item(0).as_str().and_then(u32_from_hex);
            Incoming::SetVersionMask(mask.ok_or_else(|| {
                MessageError::wrong("the version mask", item(0), "8 hexadecimal digits")
            })?)
        }
        "client.reconnect" => Incoming::Reconnect(parse_reconnect(item(0), item(1), item(2))),
        "client.show_message" => match item(0).as_str() {
            Some(text) => Incoming::ShowMessage(presentable(text, MAX_MESSAGE)),
            None => Incoming::Unknown("client.show_message without text".to_owned()),
        },
        "client.get_version" => Incoming::GetVersion(RequestId::of(id)),
        "mining.ping" => Incoming::Ping(RequestId::of(id)),
        other => Incoming::Unknown(presentable(other, 60)),
    })
}

fn parse_difficulty(value: &Value) -> Result<Difficulty, MessageError> {
    value
        .as_f64()
        .filter(|number| (MIN_DIFFICULTY..=MAX_DIFFICULTY).contains(number))
        .and_then(|number| Difficulty::new(number).ok())
        .ok_or_else(|| {
            MessageError::wrong(
                "the difficulty",
                value,
                "a number greater than 0, up to 1e20",
            )
        })
}

fn parse_extranonce(first: &Value, size: &Value) -> Result<Extranonce, MessageError> {
    let extranonce1 = first
        .as_str()
        .filter(|digits| digits.len() <= 2 * MAX_EXTRANONCE1)
        .and_then(from_hex)
        .ok_or_else(|| MessageError::wrong("extranonce1", first, "0 to 32 hexadecimal bytes"))?;
    let extranonce2_len = size
        .as_u64()
        .and_then(|len| usize::try_from(len).ok())
        .filter(|len| (1..=MAX_EXTRANONCE2).contains(len))
        .ok_or_else(|| MessageError::wrong("the extranonce2 size", size, "1 to 16"))?;
    Ok(Extranonce {
        extranonce1,
        extranonce2_len,
    })
}

/// What cannot be read counts as absent: the wish to reconnect is clear without it.
fn parse_reconnect(host: &Value, port: &Value, wait: &Value) -> Reconnect {
    let number = |value: &Value| match value {
        Value::String(digits) => digits.trim().parse::<u64>().ok(),
        other => other.as_u64(),
    };
    Reconnect {
        host: host.as_str().filter(|h| !h.is_empty()).map(str::to_owned),
        port: number(port)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0),
        wait_s: number(wait).map_or(0, |s| u32::try_from(s).unwrap_or(u32::MAX)),
    }
}

/// The id behind `mining.notify` among the subscriptions, which are a list of pairs, or at
/// some pools a single pair.
fn session_id(subscriptions: &Value) -> Option<String> {
    let list = subscriptions.as_array()?;
    let id = std::iter::once(subscriptions)
        .chain(list)
        .filter_map(|pair| pair.as_array())
        .find_map(|pair| match pair.as_slice() {
            [Value::String(name), Value::String(id), ..] if name == "mining.notify" => Some(id),
            _ => None,
        })?;
    ((1..=MAX_SESSION_ID).contains(&id.len())).then(|| id.clone())
}

/// Our ids are small integers; some servers hand them back as text.
fn own_id(id: &Value) -> Option<u64> {
    match id {
        Value::String(digits) => digits.parse().ok(),
        other => other.as_u64(),
    }
}

impl RequestId {
    fn of(id: Value) -> Self {
        Self(match id {
            Value::String(text) if text.len() <= 64 => Some(Value::String(text)),
            Value::Number(number) => Some(Value::Number(number)),
            _ => None,
        })
    }
}
