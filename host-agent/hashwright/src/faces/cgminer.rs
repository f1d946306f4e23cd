//! The listener of the cgminer API: one request and one reply for each connection.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use faces::cgminer::{MAX_REQUEST_BYTES, MULTICAST_GROUP, MULTICAST_PORT, Multicast, Port, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use tracing::debug;

use super::Desk;
use super::ask::{Asker, ask};
use crate::config;
use crate::stop::Stop;

/// How long a client may take for its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the rest of a request may take that did not come in one piece.
const REST_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a client may take to read the reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long and how much is read on after the reply, so that its end is not lost to a reset.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
const DRAIN_BYTES: usize = 64 * 1024;
/// Answers to discovery in a second; the question's sender can be forged.
const ANSWERS_PER_SECOND: u32 = 10;

/// The rules of the config.
pub(super) fn shared(wanted: &config::Cgminer) -> Arc<Port> {
    Arc::new(Port::new(wanted.access.clone(), wanted.description.clone()))
}

/// Serves until the stop.
pub(super) async fn serve(listener: TcpListener, port: Arc<Port>, desk: Desk, stop: Stop) {
    super::accept(listener, "cgminer", stop, |socket, peer| {
        connection(socket, peer, port.clone(), desk.clone())
    })
    .await;
}

async fn connection(mut socket: TcpStream, peer: IpAddr, port: Arc<Port>, desk: Desk) {
    let Some(group) = port.group(peer) else {
        debug!(%peer, "cgminer connection refused: the address is not allowed");
        return;
    };
    let Some(request) = request(&mut socket).await else {
        return;
    };
    let step = desk.now(|now| port.answer(&request, group, now));
    let reply = match step {
        Step::Reply(reply) => reply,
        Step::Ask(question) => {
            let asker = Asker {
                via: "cgminer",
                name: format!("cgminer {} {peer}", group.letter()),
                peer,
            };
            let outcome = ask(&desk, &asker, question.wish()).await;
            desk.now(|now| question.answer(&port, outcome, now))
        }
    };
    let sent = timeout(REPLY_TIMEOUT, async {
        socket.write_all(&reply).await?;
        socket.shutdown().await
    });
    if let Ok(Ok(())) = sent.await {
        drain(&mut socket).await;
    }
}

/// The bytes of the first read; more only where they begin a JSON object that is not whole. `None` if
/// nothing comes.
async fn request(socket: &mut TcpStream) -> Option<Vec<u8>> {
    let mut buffer = vec![0; MAX_REQUEST_BYTES];
    let mut length = timeout(REQUEST_TIMEOUT, socket.read(&mut buffer))
        .await
        .ok()?
        .ok()?;
    if length == 0 {
        return None;
    }
    let rest = async {
        while Port::wants_more(&buffer[..length]) {
            match socket.read(&mut buffer[length..]).await {
                Ok(0) | Err(_) => break,
                Ok(more) => length += more,
            }
        }
    };
    let _ = timeout(REST_TIMEOUT, rest).await;
    buffer.truncate(length);
    Some(buffer)
}

async fn drain(socket: &mut TcpStream) {
    let mut buffer = [0; 4096];
    let mut left = DRAIN_BYTES;
    let drained = async {
        while left > 0 {
            match socket.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
    };
    let _ = timeout(DRAIN_TIMEOUT, drained).await;
}

/// Answers discovery until the stop.
pub(super) async fn multicast(port: Arc<Port>, api: SocketAddr, name: String, mut stop: Stop) {
    let answers = Multicast {
        api_port: api.port(),
        description: name,
    };
    let socket = match joined().await {
        Ok(socket) => socket,
        Err(error) => {
            tracing::warn!(%error, "no answers to multicast discovery: UDP port {MULTICAST_PORT} cannot be used");
            return;
        }
    };
    let mut buffer = [0; 256];
    let (mut second, mut answered) = (tokio::time::Instant::now(), 0);
    loop {
        let received = tokio::select! {
            () = stop.stopped() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let Ok((length, from)) = received else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        if second.elapsed() >= Duration::from_secs(1) {
            (second, answered) = (tokio::time::Instant::now(), 0);
        }
        if answered >= ANSWERS_PER_SECOND {
            continue;
        }
        if let Some((to, answer)) = answers.answer(&port, from.ip(), &buffer[..length]) {
            answered += 1;
            let _ = socket.send_to(&answer, to).await;
        }
    }
}

async fn joined() -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, MULTICAST_PORT)).await?;
    socket.join_multicast_v4(MULTICAST_GROUP, Ipv4Addr::UNSPECIFIED)?;
    Ok(socket)
}
