//! The HTTP front: a gate, a handful of paths, and the headers that keep browsers from doing more with the
//! answers than they should.

use std::convert::Infallible;
use std::sync::Arc;

use access::Peer;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use rpc::Role;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::debug;

use super::call::{self, Session};
use super::door::{self, Who};
use super::gate::{self, Names, RPC_PATH};
use super::listen::{Closing, Seat};
use super::methods::Server;
use super::{MAX_REQUEST_BYTES, REQUEST_TIMEOUT, socket};
use crate::web;

/// Where metrics are told.
const METRICS_PATH: &str = "/metrics";

type Answer = Response<Full<Bytes>>;

/// What answers requests.
pub(super) struct Front {
    pub(super) server: Arc<Server>,
    pub(super) names: Names,
    pub(super) closing: Closing,
}

impl Front {
    /// Answers a request of somebody at `peer`, whose connection sits on `seat`.
    pub(super) async fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: Peer,
        seat: &Arc<Seat>,
    ) -> Result<Answer, Infallible> {
        let head = request.method() == Method::HEAD;
        let mut answer = self.routed(&mut request, peer, seat).await;
        secure(answer.headers_mut());
        if head {
            let length = hyper::body::Body::size_hint(answer.body()).exact();
            if let Some(length) = length {
                answer
                    .headers_mut()
                    .entry(header::CONTENT_LENGTH)
                    .or_insert(length.into());
            }
            *answer.body_mut() = Full::default();
        }
        Ok(answer)
    }

    async fn routed(
        &self,
        request: &mut Request<Incoming>,
        peer: Peer,
        seat: &Arc<Seat>,
    ) -> Answer {
        if let Err(refusal) = gate::check(request, &self.names) {
            debug!(%refusal, "API request refused");
            return text(refusal.status(), &refusal.to_string());
        }
        let peer = peer.proxied(gate::is_proxied(request.headers()));
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            RPC_PATH => match *request.method() {
                Method::POST => self.post(request, peer).await,
                Method::GET if is_upgrade(request.headers()) => self.upgrade(request, peer, seat),
                _ => only(
                    "POST",
                    "JSON-RPC is asked by POST, or over a WebSocket; see docs/rpc.md",
                ),
            },
            METRICS_PATH if self.server.faces.metrics.is_some() => match reading {
                true => self.metrics(request, peer),
                false => only("GET, HEAD", "metrics are only to be read"),
            },
            path => match web::answer(path, request.headers()) {
                Some(_) if !reading => only("GET, HEAD", "this is only to be read"),
                Some(answer) => answer.map(Full::new),
                None => text(404, "nothing here; the dashboard is at /, JSON-RPC at /rpc"),
            },
        }
    }

    async fn post(&self, request: &mut Request<Incoming>, peer: Peer) -> Answer {
        if !is_json(request.headers()) {
            return text(415, "the Content-Type must be application/json");
        }
        let who = match self.identified(request.headers(), peer) {
            Ok(who) => who,
            Err(answer) => return *answer,
        };
        let too_long = || {
            let message = format!("the request body is longer than {MAX_REQUEST_BYTES} bytes");
            closing(text(413, &message))
        };
        // What is announced need not be read first.
        if hyper::body::Body::size_hint(request.body()).lower() > MAX_REQUEST_BYTES as u64 {
            return too_long();
        }
        let body = Limited::new(request.body_mut(), MAX_REQUEST_BYTES);
        let body = match timeout(REQUEST_TIMEOUT, body.collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => return too_long(),
            Ok(Err(_)) => return closing(text(400, "the request body broke off")),
            Err(_) => return closing(text(408, "the request body did not arrive in time")),
        };
        let mut session = Session {
            who,
            subscriptions: None,
        };
        match call::answer(&self.server, &mut session, &body).await {
            Some(reply) => typed(200, "application/json", reply.into()),
            None => typed(204, "application/json", Bytes::new()),
        }
    }

    fn upgrade(&self, request: &mut Request<Incoming>, peer: Peer, seat: &Arc<Seat>) -> Answer {
        let headers = request.headers();
        let version = headers.get(header::SEC_WEBSOCKET_VERSION);
        let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
            return text(400, "a WebSocket needs a Sec-WebSocket-Key");
        };
        if version.is_none_or(|version| version != "13") {
            let mut answer = text(426, "only version 13 of the WebSocket protocol is spoken");
            let version = HeaderValue::from_static("13");
            answer
                .headers_mut()
                .insert(header::SEC_WEBSOCKET_VERSION, version);
            return answer;
        }
        let accept = derive_accept_key(key.as_bytes());
        let who = match self.identified(headers, peer) {
            Ok(who) => who,
            Err(answer) => return *answer,
        };
        let Some(ticket) = seat.websocket() else {
            return text(
                429,
                "too many WebSockets are open; close one, or come back later",
            );
        };
        let upgrade = hyper::upgrade::on(request);
        let (server, closing) = (self.server.clone(), self.closing.clone());
        tokio::spawn(async move {
            let _seats = ticket;
            if let Ok(Ok(upgraded)) = timeout(REQUEST_TIMEOUT, upgrade).await {
                socket::run(upgraded, server, who, closing.stopped()).await;
            }
        });
        let mut answer = Answer::default();
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = accept.try_into() {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        answer
    }

    fn metrics(&self, request: &Request<Incoming>, peer: Peer) -> Answer {
        let who = match self.identified(request.headers(), peer) {
            Ok(who) => who,
            Err(answer) => return *answer,
        };
        if let Err(error) = self
            .server
            .door
            .request(peer)
            .and(who.require(Some(Role::Read)))
        {
            let status = if error.code == rpc::error::NEEDS_ROLE {
                401
            } else {
                429
            };
            return door::challenged(text(status, error.text()));
        }
        let Some(metrics) = &self.server.faces.metrics else {
            return text(404, "this agent tells no metrics");
        };
        let accept = request.headers().get(header::ACCEPT);
        let accept = accept.and_then(|accept| accept.to_str().ok());
        let state = self.server.faces.state.borrow().clone();
        let (kind, told) = metrics(&state, request.uri().query().unwrap_or_default(), accept);
        typed(200, &kind, told.into())
    }

    fn identified(&self, headers: &HeaderMap, peer: Peer) -> Result<Who, Box<Answer>> {
        let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
        let shown = authorizations.next();
        let identified = match shown.map(HeaderValue::to_str) {
            _ if authorizations.next().is_some() => Err(access::Refusal::Unreadable),
            Some(Err(_)) => Err(access::Refusal::Unreadable),
            Some(Ok(shown)) => self.server.door.identify(peer, Some(shown)),
            None => self.server.door.identify(peer, None),
        };
        identified.map_err(|refusal| {
            let mut answer = text(refusal.status(), &refusal.to_string());
            if let Some(seconds) = refusal.retry_after_s() {
                answer
                    .headers_mut()
                    .insert(header::RETRY_AFTER, seconds.into());
            }
            Box::new(door::challenged(answer))
        })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else {
        return false;
    };
    let kind = kind.to_str().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    let has = |name: HeaderName, wanted: &str| {
        let lines = headers.get_all(name).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(wanted))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

/// What browsers must not do: guess types, tell other sites where they were, show us inside other pages,
/// keep answers, or run anything that is not ours.
fn secure(headers: &mut HeaderMap) {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            web::CONTENT_SECURITY_POLICY,
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

fn text(status: u16, message: &str) -> Answer {
    typed(
        status,
        "text/plain; charset=utf-8",
        format!("{message}\n").into(),
    )
}

fn typed(status: u16, kind: &str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(kind) = HeaderValue::from_str(kind) {
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    answer
}

fn only(methods: &'static str, message: &str) -> Answer {
    let mut answer = text(405, message);
    answer
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static(methods));
    answer
}

/// What was not read of the request must not be taken for the next one.
fn closing(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}
