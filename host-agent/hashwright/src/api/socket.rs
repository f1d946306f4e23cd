//! A WebSocket: calls one after the other, each answered before the next is read, so that a client that does
//! not read is not read from either; and its subscriptions, which make a message when there is room for one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rpc::error::{self, Error};
use rpc::method::Descriptor;
use rpc::{Role, stream};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role as Side, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error as SocketError, Message};
use tracing::debug;

use super::call::{self, Session, with_text};
use super::door::Who;
use super::feeds::{Events, Feed, Log, Shares};
use super::methods::{Server, parse};
use super::telemetry::Wanted;
use super::{MAX_REQUEST_BYTES, MAX_SUBSCRIPTIONS};

/// Time between two pings.
pub(super) const PING_EVERY: Duration = Duration::from_secs(30);

/// A client of which nothing was heard for so long has gone.
pub(super) const GONE_AFTER: Duration = Duration::from_secs(75);

/// How long a message may take on its way to a slow client.
const SEND_WITHIN: Duration = Duration::from_secs(30);

/// What stands in a call that makes a subscription.
const SUBSCRIBE: &[u8] = b".subscribe\"";

/// How long the other side gets to read why it is closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Serves an upgraded connection to its end, or until `stopped`.
pub(super) async fn run(
    upgraded: Upgraded,
    server: Arc<Server>,
    who: Who,
    stopped: impl Future<Output = ()>,
) {
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_REQUEST_BYTES))
        .max_frame_size(Some(MAX_REQUEST_BYTES));
    let io = TokioIo::new(upgraded);
    let socket = WebSocketStream::from_raw_socket(io, Side::Server, Some(config)).await;
    let (outbox, mut out) = mpsc::channel(1);
    let mut socket = Socket(socket);
    let mut session = Session {
        who,
        subscriptions: Some(Subscriptions::new(outbox)),
    };
    let end = serve(&mut socket, &server, &mut session, &mut out, stopped).await;
    drop(session);
    debug!(why = %end.reason, "API WebSocket closed");
    socket.close(end).await;
}

/// Why a WebSocket is closed.
struct End {
    code: CloseCode,
    reason: &'static str,
}

const fn end(code: CloseCode, reason: &'static str) -> End {
    End { code, reason }
}

async fn serve(
    socket: &mut Socket,
    server: &Arc<Server>,
    session: &mut Session,
    out: &mut mpsc::Receiver<String>,
    stopped: impl Future<Output = ()>,
) -> End {
    tokio::pin!(stopped);
    let mut pings = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        let who = session.who.clone();
        let message = tokio::select! {
            () = &mut stopped => return end(CloseCode::Away, "the agent stops"),
            () = server.door.gone(&who) => return end(CloseCode::Policy, "the token is not valid any more"),
            _ = pings.tick() => {
                if heard.elapsed() > GONE_AFTER {
                    return end(CloseCode::Away, "nothing was heard for too long");
                }
                if socket.send(Message::Ping(Bytes::new())).await.is_err() {
                    return end(CloseCode::Away, "the client does not read");
                }
                continue;
            }
            // The session itself has a sender, so that there is always one.
            Some(news) = out.recv() => {
                if socket.send(Message::text(news)).await.is_err() {
                    return end(CloseCode::Away, "the client does not read");
                }
                continue;
            }
            message = socket.0.next() => message,
        };
        heard = Instant::now();
        let text = match message {
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Close(_))) | None => {
                return end(CloseCode::Normal, "the client closed");
            }
            Some(Ok(_)) => continue,
            Some(Err(SocketError::Capacity(CapacityError::MessageTooLong { .. }))) => {
                let text = format!("a message may have {MAX_REQUEST_BYTES} bytes");
                let error = with_text(error::REQUEST_TOO_LONG, &text);
                let _ = socket
                    .send(Message::text(call::refused_without_id(&error)))
                    .await;
                return end(CloseCode::Size, "the message is too long");
            }
            Some(Err(_)) => return end(CloseCode::Protocol, "this is not the WebSocket protocol"),
        };
        // The reply that names a subscription comes before its first notification.
        let subscribes = text.windows(SUBSCRIBE.len()).any(|part| part == SUBSCRIBE);
        let reply = {
            let answer = call::answer(server, session, &text);
            tokio::pin!(answer);
            loop {
                tokio::select! {
                    biased;
                    reply = &mut answer => break reply,
                    // What takes long, such as a question to a tuner that is thinking, silences no subscription.
                    Some(news) = out.recv(), if !subscribes => {
                        if socket.send(Message::text(news)).await.is_err() {
                            return end(CloseCode::Away, "the client does not read");
                        }
                    }
                }
            }
        };
        if let Some(reply) = reply
            && socket.send(Message::text(reply)).await.is_err()
        {
            return end(CloseCode::Away, "the client does not read");
        }
    }
}

struct Socket(WebSocketStream<TokioIo<Upgraded>>);

impl Socket {
    async fn send(&mut self, message: Message) -> Result<(), ()> {
        match timeout(SEND_WITHIN, self.0.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(()),
        }
    }

    /// Says why, and reads on for a moment: closing with something unread would take the words back.
    async fn close(mut self, end: End) {
        let frame = CloseFrame {
            code: end.code,
            reason: end.reason.into(),
        };
        let farewell = async {
            let _ = self.0.close(Some(frame)).await;
            while let Some(Ok(_)) = self.0.next().await {}
        };
        let _ = timeout(CLOSE_WITHIN, farewell).await;
    }
}

/// The subscriptions of a WebSocket. They end with it.
#[derive(Debug)]
pub(super) struct Subscriptions {
    outbox: mpsc::Sender<String>,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    unsubscribe: &'static str,
    role: Option<Role>,
    task: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscriptions {
    fn new(outbox: mpsc::Sender<String>) -> Self {
        Self {
            outbox,
            open: BTreeMap::new(),
        }
    }

    /// Starts one and returns its id.
    pub(super) fn open(
        &mut self,
        server: &Server,
        method: &Descriptor,
        params: Option<&RawValue>,
    ) -> Result<u64, Error> {
        let Some(news) = method.news else {
            return Err(Error::internal("no subscription"));
        };
        let faces = &server.faces;
        let feed = match news.name {
            "telemetry" => Feed::Telemetry(server.hub.follow(&wanted(parse(params)?)?)),
            "events" => Feed::Events(Events::new(faces.events.clone(), parse(params)?)),
            "shares" => Feed::Shares(Shares::new(faces.shares.clone(), parse(params)?)),
            "log" => Feed::Log(Log::new(super::logs::ring().clone(), &parse(params)?)),
            _ => return Err(Error::internal("no such subscription")),
        };
        if self.open.len() >= MAX_SUBSCRIPTIONS {
            let text = format!("a WebSocket may have {MAX_SUBSCRIPTIONS} subscriptions");
            return Err(with_text(error::TOO_MANY_SUBSCRIPTIONS, &text));
        }
        // Numbers that JavaScript can hold.
        let id = fastrand::u64(1..1 << 53);
        let task = tokio::spawn(feed_out(feed, news.name, id, self.outbox.clone()));
        let open = Open {
            unsubscribe: news.unsubscribe,
            role: method.role,
            task: task.abort_handle(),
        };
        self.open.insert(id, open);
        Ok(id)
    }

    /// Ends one, if that method does.
    pub(super) fn close(&mut self, unsubscribe: &str, id: u64) -> bool {
        match self.open.get(&id) {
            Some(open) if open.unsubscribe == unsubscribe => self.open.remove(&id).is_some(),
            _ => false,
        }
    }

    /// Ends those that somebody may not have.
    pub(super) fn retain(&mut self, who: &Who) {
        self.open.retain(|_, open| who.identity.allows(open.role));
    }
}

fn wanted(params: stream::TelemetrySubscribe) -> Result<Wanted, Error> {
    let (least, most) = (stream::MIN_INTERVAL_MS, stream::MAX_INTERVAL_MS);
    let ms = params.interval_ms.unwrap_or(least);
    if !(least..=most).contains(&ms) {
        let text = format!("interval_ms is {ms}, but must be from {least} to {most}");
        return Err(Error::invalid_params(text));
    }
    let mut parts = params.parts.unwrap_or_else(|| stream::Part::ALL.to_vec());
    parts.sort_unstable();
    parts.dedup();
    Ok(Wanted {
        interval: Duration::from_millis(ms),
        parts,
    })
}

/// Waits for room first and makes the message then, so that it is of now.
async fn feed_out(mut feed: Feed, name: &'static str, id: u64, outbox: mpsc::Sender<String>) {
    loop {
        let Ok(room) = outbox.reserve().await else {
            return;
        };
        // While nothing happens, others may use the room.
        drop(room);
        let Some(news) = feed.next().await else {
            return;
        };
        let message = format!(
            r#"{{"jsonrpc":"2.0","method":"{name}","params":{{"subscription":{id},"result":{news}}}}}"#
        );
        if outbox.send(message).await.is_err() {
            return;
        }
    }
}
