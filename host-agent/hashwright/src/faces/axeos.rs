//! The listener of the AxeOS API: plain HTTP/1.1 with small bodies.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use faces::axeos::{Head, MAX_BODY_BYTES, Reply, Route, Site, Step};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::debug;

use super::Desk;
use super::ask::{Asker, ask};
use crate::config::{self, Config};
use crate::stop::Stop;

/// How long a client may take to send a request's head, also between requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to send a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last in all; clients open another one without noticing.
const LIFE: Duration = Duration::from_secs(120);

/// The rules of the config.
pub(super) fn site(config: &Config, wanted: &config::AxeOs) -> Arc<Site> {
    let mut names = config.api.hosts.clone();
    names.push(config.agent.name.clone());
    Arc::new(Site {
        names,
        write_from: wanted.write_from.clone(),
    })
}

/// Serves until the stop.
pub(super) async fn serve(listener: TcpListener, site: Arc<Site>, desk: Desk, stop: Stop) {
    let on_stop = stop.clone();
    super::accept(listener, "axeos", stop, move |socket, peer| {
        connection(socket, peer, site.clone(), desk.clone(), on_stop.clone())
    })
    .await;
}

async fn connection(socket: TcpStream, peer: IpAddr, site: Arc<Site>, desk: Desk, mut stop: Stop) {
    let service = service_fn(move |request| {
        let (site, desk) = (site.clone(), desk.clone());
        async move { Ok::<_, Infallible>(encode(answer(request, peer, &site, &desk).await)) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(socket), service);
    tokio::pin!(served);
    let ended = timeout(LIFE, async {
        tokio::select! {
            ended = served.as_mut() => return ended,
            () = stop.stopped() => {}
        }
        served.as_mut().graceful_shutdown();
        served.as_mut().await
    });
    if let Ok(Err(error)) = ended.await {
        debug!(%peer, %error, "AxeOS connection ended");
    }
}

async fn answer(request: Request<Incoming>, peer: IpAddr, site: &Site, desk: &Desk) -> Reply {
    let route = match site.admit(&head(&request, peer)) {
        Ok(route) => route,
        Err(reply) => return reply,
    };
    let body = match body(&route, request).await {
        Ok(body) => body,
        Err(reply) => return reply,
    };
    match desk.now(|now| site.answer(&route, &body, now)) {
        Step::Reply(reply) => reply,
        Step::Ask(question) => {
            let asker = Asker {
                via: "axeos",
                name: format!("axeos {peer}"),
                peer,
            };
            let outcome = ask(desk, &asker, question.wish()).await;
            question.answer(outcome)
        }
    }
}

fn head<B>(request: &Request<B>, peer: IpAddr) -> Head<'_> {
    fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<Option<&'a str>> {
        let all = headers.get_all(name).iter();
        all.map(|value| value.to_str().ok()).collect()
    }
    let headers = request.headers();
    let one = |name: &str| headers.get(name)?.to_str().ok();
    Head {
        peer,
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query(),
        authority: request
            .uri()
            .authority()
            .map(hyper::http::uri::Authority::as_str),
        hosts: texts(headers, &header::HOST),
        origins: texts(headers, &header::ORIGIN),
        fetch_site: one("sec-fetch-site"),
        length: one("content-length").and_then(|length| length.parse().ok()),
        proxied: crate::api::gate::is_proxied(headers),
    }
}

async fn body(route: &Route, request: Request<Incoming>) -> Result<Bytes, Reply> {
    if !route.has_body() {
        return Ok(Bytes::new());
    }
    let limited = Limited::new(request.into_body(), MAX_BODY_BYTES);
    match timeout(BODY_TIMEOUT, limited.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(Reply::message(413, "the body is too long or was cut off")),
        Err(_) => Err(Reply::message(408, "the body did not arrive in time")),
    }
}

/// No header lets pages of other sites read this, and the page itself can load nothing.
fn encode(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    if let Ok(status) = StatusCode::from_u16(reply.status) {
        *response.status_mut() = status;
    }
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(reply.content_type),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    );
    response
}
