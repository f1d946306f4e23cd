//! A webhook: events are queued and sent one after the other. A receiver that does not answer costs a
//! connection at a time and a queue of bounded length, and nothing else.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper_util::rt::TokioIo;
use outlets::webhook::{Key, Next, Outcome, QUEUE, Request, Sender, after};
use stratum::transport::{Connector, PoolConnector, TcpConnector, connect_failure};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::Links;
use crate::config::Webhook;
use crate::stop::Stop;

/// Longest time for an attempt, from the connection to the status of the answer.
const ATTEMPT: Duration = Duration::from_secs(20);
/// How often it is looked for new events.
const LOOK: Duration = Duration::from_secs(1);
/// Largest header of an answer that is read, bytes.
const MAX_HEADER: usize = 16 * 1024;

/// Tells a receiver of events, until `stop`.
pub(super) fn run(
    wanted: Webhook,
    links: Links,
    mut stop: Stop,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let plain = PoolConnector::new(TcpConnector::default());
    let connector = match wanted.receiver.tls {
        true => plain
            .with_tls(wanted.trust.clone())
            .with_context(|| format!("the webhook to {}", wanted.receiver))?,
        false => plain,
    };
    let task = Task {
        key: wanted
            .secret
            .as_ref()
            .map(|secret| Key::new(secret.expose())),
        wanted,
        links,
        connector,
        seen: 0,
        queue: VecDeque::new(),
        dropped: 0,
    };
    Ok(async move {
        tokio::select! {
            () = stop.stopped() => {}
            () = task.run() => {}
        }
    })
}

struct Task {
    wanted: Webhook,
    links: Links,
    connector: PoolConnector,
    key: Option<Key>,
    /// Number of the newest event that was looked at.
    seen: u64,
    queue: VecDeque<Request>,
    dropped: u64,
}

impl Task {
    async fn run(mut self) {
        loop {
            self.look();
            let Some(request) = self.queue.front().cloned() else {
                tokio::time::sleep(LOOK).await;
                continue;
            };
            self.deliver(&request).await;
            // It may have made room for others meanwhile.
            if self.queue.front() == Some(&request) {
                self.queue.pop_front();
            }
        }
    }

    /// Queues what is new.
    fn look(&mut self) {
        let sender = {
            let state = self.links.state.borrow();
            Sender {
                name: state.system.name.clone(),
                version: state.system.version.clone(),
                started_unix_s: state.system.started_unix_s,
            }
        };
        for entry in self.links.events.after(self.seen, usize::MAX) {
            self.seen = entry.number;
            if !self.wanted.filter.wants(&entry) {
                continue;
            }
            if self.queue.len() == QUEUE {
                self.queue.pop_front();
                self.dropped += 1;
                let (receiver, dropped) = (&self.wanted.receiver, self.dropped);
                warn!(%receiver, dropped, "a webhook's receiver is too slow; the oldest event is dropped");
            }
            self.queue.push_back(Request::new(&sender, &entry));
        }
    }

    /// Tries until it is taken, refused, or given up.
    async fn deliver(&mut self, request: &Request) {
        let receiver = self.wanted.receiver.clone();
        for failed in 0.. {
            let (outcome, problem) = match timeout(ATTEMPT, self.attempt(request)).await {
                Ok(Ok((status, later))) => (
                    Outcome::Status(status, later),
                    format!("it answered with status {status}"),
                ),
                Ok(Err(error)) => (Outcome::Failed, connect_failure(error).to_string()),
                Err(_) => (Outcome::Failed, format!("no answer within {ATTEMPT:?}")),
            };
            match after(failed, &outcome) {
                Next::Done => {
                    debug!(%receiver, id = request.id, "webhook delivered");
                    return;
                }
                Next::Retry(pause) => {
                    debug!(%receiver, id = request.id, problem, ?pause, "webhook not delivered yet");
                    if failed == 0 {
                        warn!(%receiver, problem, "a webhook cannot be delivered; it is tried again");
                    }
                    self.wait(pause, request).await;
                    // It made room for newer ones.
                    if self.queue.front() != Some(request) {
                        return;
                    }
                }
                Next::GiveUp => {
                    warn!(%receiver, id = request.id, problem, "a webhook was not taken and is given up");
                    return;
                }
            }
        }
    }

    /// Waits, and goes on looking for events.
    async fn wait(&mut self, pause: Duration, request: &Request) {
        let until = Instant::now() + pause;
        while Instant::now() < until && self.queue.front() == Some(request) {
            self.look();
            sleep_until(until.min(Instant::now() + LOOK)).await;
        }
    }

    /// Sends the request once; the status of the answer, and when to come again if that was said.
    async fn attempt(&self, request: &Request) -> io::Result<(u16, Option<Duration>)> {
        let receiver = &self.wanted.receiver;
        let stream = self
            .connector
            .connect(&receiver.host, receiver.port)
            .await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEADER)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let message = self.message(request)?;
        let answer = async {
            let answer = sender.send_request(message).await;
            answer.map_err(|error| io::Error::other(format!("the receiver broke off: {error}")))
        };
        let (mut answer, mut connection) = (pin!(answer), pin!(connection));
        let answer = tokio::select! {
            answer = &mut answer => answer?,
            // It may have answered and closed at once.
            _ = &mut connection => answer.await?,
        };
        let later = answer.headers().get(RETRY_AFTER);
        let later = later.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        // What else it says is of no interest; dropping the connection ends it.
        Ok((answer.status().as_u16(), later.map(Duration::from_secs)))
    }

    fn message(&self, request: &Request) -> io::Result<hyper::Request<Full<Bytes>>> {
        let unix_s = SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_secs();
        let mut message = hyper::Request::post(&self.wanted.receiver.path[..])
            .header(HOST, self.wanted.receiver.authority())
            .header(USER_AGENT, AGENT)
            .header(CONTENT_TYPE, "application/json")
            .header(CONNECTION, "close")
            .header("webhook-id", &request.id)
            .header("webhook-timestamp", unix_s);
        if let Some(key) = &self.key {
            let signature = HeaderValue::from_str(&key.sign(request, unix_s));
            message = message.header("webhook-signature", signature.map_err(io::Error::other)?);
        }
        message
            .body(Full::new(Bytes::from(request.body.clone())))
            .map_err(io::Error::other)
    }
}

const AGENT: &str = concat!("hashwright/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
