//! JSON-RPC 2.0 itself: from the text of a request or a batch to that of its answer, one call after the
//! other. What a call does is the business of its [`Handler`].

use std::sync::Arc;

use rpc::error::{self, Error};
use rpc::method::{self, Kind};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::door::Who;
use super::methods::{Handler, Server};
use super::socket::Subscriptions;
use super::{MAX_BATCH, MAX_RESPONSE_BYTES};

/// Somebody who calls, and what they have open.
#[derive(Debug)]
pub(super) struct Session {
    /// Who it is.
    pub(super) who: Who,
    /// Subscriptions, on a WebSocket.
    pub(super) subscriptions: Option<Subscriptions>,
}

/// Answers a request or a batch; nothing is said to notifications.
pub(super) async fn answer(
    server: &Arc<Server>,
    session: &mut Session,
    text: &[u8],
) -> Option<String> {
    // Its syntax is checked without recursion, so depth costs nothing.
    let Ok(whole) = serde_json::from_slice::<&RawValue>(text) else {
        return Some(refused("null", &Error::new(error::PARSE_ERROR, None)));
    };
    if !whole.get().starts_with('[') {
        return one(server, session, whole).await;
    }
    let Ok(calls) = serde_json::from_str::<Vec<&RawValue>>(whole.get()) else {
        return Some(refused("null", &Error::new(error::PARSE_ERROR, None)));
    };
    if calls.is_empty() {
        let text = "a batch must have at least one call";
        return Some(refused("null", &with_text(error::INVALID_REQUEST, text)));
    }
    if calls.len() > MAX_BATCH {
        let text = format!(
            "a batch may have {MAX_BATCH} calls, this one has {}",
            calls.len()
        );
        return Some(refused("null", &with_text(error::BATCH_TOO_LONG, &text)));
    }
    let mut replies = String::from("[");
    for call in calls {
        let Some(reply) = one(server, session, call).await else {
            continue;
        };
        if replies.len() > 1 {
            replies.push(',');
        }
        replies += &reply;
        if replies.len() >= MAX_RESPONSE_BYTES as usize {
            let text = format!("the replies would be longer than {MAX_RESPONSE_BYTES} bytes");
            return Some(refused(
                "null",
                &with_text(error::BATCH_REPLY_TOO_LONG, &text),
            ));
        }
    }
    replies.push(']');
    (replies.len() > 2).then_some(replies)
}

/// An error without a request that it could be the answer to.
pub(super) fn refused_without_id(error: &Error) -> String {
    refused("null", error)
}

/// An error whose `data` is a text.
pub(super) fn with_text(code: i32, text: &str) -> Error {
    Error::new(code, Some(text.into()))
}

#[derive(Deserialize)]
struct Request<'a> {
    jsonrpc: Version,
    #[serde(borrow)]
    method: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
enum Version {
    #[serde(rename = "2.0")]
    Two,
}

/// The id alone, also of what is no request otherwise. An id of null is one as well.
#[derive(Deserialize)]
struct Tagged<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

fn present<'de: 'a, 'a, D>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    <&RawValue>::deserialize(deserializer).map(Some)
}

async fn one(server: &Arc<Server>, session: &mut Session, call: &RawValue) -> Option<String> {
    let id = match serde_json::from_str::<Tagged<'_>>(call.get()) {
        Ok(tagged) => tagged.id.map(RawValue::get),
        Err(_) => Some("null"),
    };
    // Only texts, numbers and null may be ids; what a client says beside that is not repeated.
    let good = |id: &str| !id.starts_with(['{', '[', 't', 'f']);
    let request = serde_json::from_str::<Request<'_>>(call.get())
        .ok()
        .filter(|_| call.get().starts_with('{') && id.is_none_or(good));
    let Some(Request {
        jsonrpc: Version::Two,
        method,
        params,
    }) = request
    else {
        let id = id.filter(|id| good(id)).unwrap_or("null");
        return Some(refused(id, &Error::new(error::INVALID_REQUEST, None)));
    };
    let outcome = call_method(server, session, &method, params, id.is_some()).await;
    let id = id?;
    Some(match outcome {
        Ok(result) if result.get().len() + id.len() + 64 > MAX_RESPONSE_BYTES as usize => {
            let text = format!("the reply would be longer than {MAX_RESPONSE_BYTES} bytes");
            refused(id, &with_text(error::REPLY_TOO_LONG, &text))
        }
        Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
        Err(error) => refused(id, &error),
    })
}

async fn call_method(
    server: &Arc<Server>,
    session: &mut Session,
    name: &str,
    params: Option<&RawValue>,
    wants_reply: bool,
) -> Result<Box<RawValue>, Error> {
    server.door.request(session.who.peer)?;
    // A token may have been revoked since the last call.
    if !server.door.holds(&session.who) {
        let nobody = server.door.identify(session.who.peer, None);
        session.who = nobody.map_err(|refusal| super::door::told(&refusal))?;
        if let Some(subscriptions) = &mut session.subscriptions {
            subscriptions.retain(&session.who);
        }
    }
    let Some((method, handler)) = server.find(name) else {
        return Err(Error::new(error::METHOD_NOT_FOUND, None));
    };
    let outcome = match (session.who.require(method.role), handler) {
        (Err(refused), _) => Err(refused),
        (Ok(()), Handler::Now(call)) => return call(&server.faces, params),
        (Ok(()), Handler::Session) => {
            return special(server, session, method, params, wants_reply).await;
        }
        (Ok(()), Handler::Later(call)) => {
            let kept = params.map(RawValue::to_owned);
            let running = call(server.clone(), session.who.clone(), kept);
            // The settings tell of it themselves.
            if !name.starts_with("auth.") {
                return running.await;
            }
            // Somebody who hangs up meanwhile has changed something all the same: it goes on record.
            let (server, who) = (server.clone(), session.who.clone());
            let params = params.map(RawValue::to_owned);
            let done = tokio::spawn(async move {
                let outcome = running.await;
                record(&server, &who, method, params.as_deref(), &outcome);
                outcome
            });
            return done
                .await
                .unwrap_or_else(|_| Err(Error::internal("the call broke off")));
        }
    };
    record(server, &session.who, method, params, &outcome);
    outcome
}

/// Puts a write on record. Pairing is recorded where it happens.
fn record(
    server: &Server,
    who: &Who,
    method: &method::Descriptor,
    params: Option<&RawValue>,
    outcome: &Result<Box<RawValue>, Error>,
) {
    if method.kind == Kind::Write && method.role.is_some() {
        let params = params.and_then(|params| serde_json::from_str(params.get()).ok());
        let said = outcome.as_ref().map(|_| ());
        let params = params.unwrap_or_default();
        server.door.audit(who, method.name, params, said);
    }
}

/// Calls that change what a connection may do or gets.
async fn special(
    server: &Arc<Server>,
    session: &mut Session,
    method: &method::Descriptor,
    params: Option<&RawValue>,
    wants_reply: bool,
) -> Result<Box<RawValue>, Error> {
    let Some(subscriptions) = &mut session.subscriptions else {
        return Err(Error::needs_websocket());
    };
    if method.name == "auth.login" {
        let rpc::auth::Login { token } = super::methods::parse(params)?;
        session.who = server.door.login(session.who.peer, &token)?;
        subscriptions.retain(&session.who);
        return super::methods::written(&server.door.whoami(&session.who));
    }
    let done = if method.news.is_some() {
        if !wants_reply {
            let text = "a subscription without an id in the request could never be ended";
            return Err(with_text(error::INVALID_REQUEST, text));
        }
        json!(subscriptions.open(server, method, params)?)
    } else {
        let rpc::query::Unsubscribe { subscription } = super::methods::parse(params)?;
        json!(subscriptions.close(method.name, subscription))
    };
    super::methods::written(&done)
}

fn refused(id: &str, error: &Error) -> String {
    // An error is plain values with text keys, which always can be written.
    let error = serde_json::to_string(error).unwrap_or_default();
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}
