//! Errors as the API tells them: JSON-RPC's own codes, and ours from the range that it leaves to servers.
//! The text says what happened, what it means and what to do; some kinds carry values for programs.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Role;

/// The request is not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// It is JSON but not a JSON-RPC 2.0 request.
pub const INVALID_REQUEST: i32 = -32600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// A parameter is unknown, of the wrong type or out of range.
pub const INVALID_PARAMS: i32 = -32602;
/// The agent is at fault.
pub const INTERNAL: i32 = -32603;
/// A token, or one with a higher role, is needed.
pub const NEEDS_ROLE: i32 = -32001;
/// Too many wrong tokens or codes.
pub const LOCKED_OUT: i32 = -32002;
/// Too many requests.
pub const TOO_MANY_REQUESTS: i32 = -32003;
/// Too many subscriptions on this WebSocket.
pub const TOO_MANY_SUBSCRIPTIONS: i32 = -32006;
/// The request is longer than allowed.
pub const REQUEST_TOO_LONG: i32 = -32007;
/// The reply would be longer than allowed.
pub const REPLY_TOO_LONG: i32 = -32008;
/// More calls in a batch than allowed.
pub const BATCH_TOO_LONG: i32 = -32010;
/// The replies to a batch would be longer than allowed.
pub const BATCH_REPLY_TOO_LONG: i32 = -32011;
/// Only a WebSocket can carry it.
pub const NEEDS_WEBSOCKET: i32 = -32020;
/// What was asked for cannot be done now, or not here.
pub const DENIED: i32 = -32021;
/// A value is outside of what the board or the agent allows.
pub const LIMITS: i32 = -32022;
/// No such change waits for confirmation.
pub const NO_PENDING: i32 = -32023;

/// An error of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", self.text())]
pub struct Error {
    /// Its code.
    pub code: i32,
    /// Its kind in a few words, always the same for a code.
    pub message: String,
    /// What exactly is wrong: a text, or an object with a `text` and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// A code with its usual message and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The code.
    pub code: i32,
    /// Its message.
    pub message: &'static str,
    /// When it comes.
    pub meaning: &'static str,
}

const fn meaning(code: i32, message: &'static str, meaning: &'static str) -> Meaning {
    Meaning {
        code,
        message,
        meaning,
    }
}

/// Every code that the API uses.
pub const MEANINGS: &[Meaning] = &[
    meaning(PARSE_ERROR, "Parse error", "the request is not JSON"),
    meaning(
        INVALID_REQUEST,
        "Invalid request",
        "it is JSON but not a JSON-RPC 2.0 request",
    ),
    meaning(
        METHOD_NOT_FOUND,
        "Method not found",
        "there is no such method",
    ),
    meaning(
        INVALID_PARAMS,
        "Invalid params",
        "a parameter is unknown, of the wrong type or out of range; `data` says which",
    ),
    meaning(
        INTERNAL,
        "Internal error",
        "the agent is at fault; mining is not affected",
    ),
    meaning(
        NEEDS_ROLE,
        "Needs a token",
        "this needs a token, or one with a higher role; `data.needs` is the role, `data.has` the one that the \
         caller has, `data.text` how to get one",
    ),
    meaning(
        LOCKED_OUT,
        "Locked out",
        "too many wrong tokens or codes from this address; `data.retry_after_s` says how long",
    ),
    meaning(
        TOO_MANY_REQUESTS,
        "Too many requests",
        "the caller asks too often; `data.retry_after_s` says when to go on",
    ),
    meaning(
        TOO_MANY_SUBSCRIPTIONS,
        "Too many subscriptions",
        "this WebSocket has as many subscriptions as it may",
    ),
    meaning(
        REQUEST_TOO_LONG,
        "Request too long",
        "a WebSocket message is longer than allowed",
    ),
    meaning(
        REPLY_TOO_LONG,
        "Reply too long",
        "the reply would be longer than allowed",
    ),
    meaning(
        BATCH_TOO_LONG,
        "Batch too long",
        "a batch has more calls than allowed",
    ),
    meaning(
        BATCH_REPLY_TOO_LONG,
        "Batch reply too long",
        "the replies to a batch would be longer than allowed",
    ),
    meaning(
        NEEDS_WEBSOCKET,
        "Needs a WebSocket",
        "a POST cannot carry notifications, nor a login that lasts",
    ),
    meaning(
        DENIED,
        "Denied",
        "this cannot be done, or not now: a board's station refused, nobody in this program controls the board, \
         or the program cannot do it; `data` says why",
    ),
    meaning(
        LIMITS,
        "Refused by limits",
        "a value is outside of what the board or the agent allows; `data` has `path`, `value`, `min`, `max`, \
         `unit` and `text`",
    ),
    meaning(
        NO_PENDING,
        "No such pending change",
        "no change with this id waits for confirmation: it was confirmed, rolled back, or never made",
    ),
];

impl Error {
    /// An error with the usual message of its code.
    #[must_use]
    pub fn new(code: i32, data: Option<Value>) -> Self {
        let known = MEANINGS.iter().find(|meaning| meaning.code == code);
        Self {
            code,
            message: known.map_or("Error", |known| known.message).to_owned(),
            data,
        }
    }

    /// A parameter is unknown, of the wrong type or out of range.
    #[must_use]
    pub fn invalid_params(text: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, Some(text.into().into()))
    }

    /// What was asked for cannot be done, or not now.
    #[must_use]
    pub fn denied(text: impl Into<String>) -> Self {
        Self::new(DENIED, Some(text.into().into()))
    }

    /// The agent is at fault.
    #[must_use]
    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(INTERNAL, Some(text.into().into()))
    }

    /// A value is outside of its limits; `min`, `max` and `unit` are null where there is none.
    #[must_use]
    pub fn limits(
        path: &str,
        value: Value,
        min: Option<f64>,
        max: Option<f64>,
        unit: Option<&str>,
        text: impl Into<String>,
    ) -> Self {
        let text: String = text.into();
        let data = json!({"path": path, "value": value, "min": min, "max": max, "unit": unit, "text": text});
        Self::new(LIMITS, Some(data))
    }

    /// No change with this id waits for confirmation.
    #[must_use]
    pub fn no_pending(id: &str) -> Self {
        let id: String = id.chars().take(40).collect();
        let text =
            format!("no change {id} waits for confirmation; config.pending lists those that do");
        Self::new(NO_PENDING, Some(text.into()))
    }

    /// Only a WebSocket can carry it.
    #[must_use]
    pub fn needs_websocket() -> Self {
        let text = "a POST cannot carry this; open a WebSocket at the same URL";
        Self::new(NEEDS_WEBSOCKET, Some(text.into()))
    }

    /// This role is needed; `how` says how to get it.
    #[must_use]
    pub fn needs_role(needs: Role, has: Option<Role>, how: &str) -> Self {
        Self::new(
            NEEDS_ROLE,
            Some(json!({"needs": needs, "has": has, "text": how})),
        )
    }

    /// Too many wrong tokens or codes.
    #[must_use]
    pub fn locked_out(retry_after_s: u64) -> Self {
        let text = format!(
            "too many wrong tokens or codes came from this address; try again in {retry_after_s} s"
        );
        Self::new(
            LOCKED_OUT,
            Some(json!({"retry_after_s": retry_after_s, "text": text})),
        )
    }

    /// Too many requests.
    #[must_use]
    pub fn too_many_requests(retry_after_s: u64) -> Self {
        let text = format!("too many requests; go on in {retry_after_s} s");
        Self::new(
            TOO_MANY_REQUESTS,
            Some(json!({"retry_after_s": retry_after_s, "text": text})),
        )
    }

    /// What a person is told.
    #[must_use]
    pub fn text(&self) -> &str {
        let detail = match &self.data {
            Some(Value::String(text)) => Some(text.as_str()),
            Some(Value::Object(data)) => data.get("text").and_then(Value::as_str),
            _ => None,
        };
        detail.unwrap_or(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_meaning() {
        let mut codes: Vec<_> = MEANINGS.iter().map(|meaning| meaning.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), MEANINGS.len());
    }

    #[test]
    fn people_are_told_the_detail() {
        assert_eq!(Error::denied("no such fan").text(), "no such fan");
        assert_eq!(Error::new(INTERNAL, None).text(), "Internal error");
        let error = Error::limits(
            "board[0].voltage_mv",
            1400.into(),
            None,
            Some(1300.0),
            Some("mV"),
            "too high",
        );
        assert_eq!(error.to_string(), "too high");
        assert_eq!(error.data.unwrap()["max"], 1300.0);
    }
}
