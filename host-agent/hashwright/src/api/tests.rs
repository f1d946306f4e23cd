//! The server over real sockets, with HTTP and WebSocket frames written by hand, so that nothing
//! of the server's own libraries judges its replies.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use std::sync::Arc;

use tokio::sync::watch;

use super::*;
use crate::state::Snapshot;
use crate::state::{BoardStatus, ChipStatus, PayoutOutput, PayoutStatus, PoolStatus, RejectReason};

/// Long enough for a loaded machine; only a hang takes it.
const PATIENCE: Duration = Duration::from_secs(20);

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

struct Agent {
    publish: watch::Sender<Arc<Snapshot>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    handle: Handle,
}

impl Agent {
    async fn start() -> Self {
        Self::start_with(None).await
    }

    /// With a keeper for whom programs on this machine may do nothing without a token.
    async fn start_closed() -> (Self, Keeper) {
        let api = Api {
            local: None,
            hosts: vec!["miner.example".to_owned()],
            origins: vec!["https://farm.example".to_owned()],
            ..Api::new(ANY_PORT)
        };
        let keeper = Keeper::in_memory("rack-3-7", &api, Clock::start()).unwrap();
        (Self::start_with(Some(keeper.clone())).await, keeper)
    }

    async fn start_with(keeper: Option<Keeper>) -> Self {
        let (publish, state) = watch::channel(Arc::new(sample()));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let options = Options {
            listen: ANY_PORT,
            keeper,
        };
        let handle = serve(options, state, async { drop(stopped.await) })
            .await
            .unwrap();
        Self {
            publish,
            stop: Some(stop),
            handle,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.handle.local_addr()).await.unwrap()
    }

    /// Sends bytes as they are and returns everything until the server closes.
    async fn raw(&self, request: &[u8]) -> String {
        let mut socket = self.connect().await;
        // The server may close before it has read everything.
        let _ = socket.write_all(request).await;
        let mut reply = Vec::new();
        let _ = timeout(PATIENCE, socket.read_to_end(&mut reply))
            .await
            .expect("no reply");
        String::from_utf8_lossy(&reply).into_owned()
    }

    /// Status of a request with these header lines, each ending in CR LF.
    async fn status(&self, line: &str, headers: &str, body: &str) -> u16 {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        status_of(&self.raw(request.as_bytes()).await)
    }

    /// Posts a body as curl would and parses the reply's.
    async fn post(&self, body: &str) -> Value {
        let (status, body) = self.raw_post(body).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    async fn raw_post(&self, body: &str) -> (u16, String) {
        self.post_with("", body).await
    }

    /// With more header lines, each ending in CR LF.
    async fn post_with(&self, headers: &str, body: &str) -> (u16, String) {
        let request = format!(
            "POST /rpc HTTP/1.1\r\nHost: {}\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n{headers}\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.handle.local_addr(),
            body.len(),
        );
        let reply = self.raw(request.as_bytes()).await;
        let (_, body) = reply.split_once("\r\n\r\n").expect("no end of the head");
        (status_of(&reply), body.to_owned())
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        let reply = self.post(&request.to_string()).await;
        assert_eq!(reply["jsonrpc"], "2.0");
        assert_eq!(reply["id"], 7);
        reply
    }

    async fn websocket(&self) -> WebSocket {
        WebSocket::open(self.connect().await, "localhost").await
    }
}

/// A WebSocket client by RFC 6455: masked frames out, unmasked frames in, no extensions.
struct WebSocket(TcpStream);

impl WebSocket {
    async fn open(mut socket: TcpStream, host: &str) -> Self {
        socket
            .write_all(upgrade(host, "").as_bytes())
            .await
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(
                timeout(PATIENCE, socket.read_u8())
                    .await
                    .expect("no reply")
                    .unwrap(),
            );
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        // The answer that RFC 6455 gives for its sample key.
        assert!(head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        Self(socket)
    }

    async fn send(&mut self, text: &str) {
        let mut frame = vec![0x81];
        match text.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length @ 126..65_536 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        let mask = [0x12, 0x34, 0x56, 0x78];
        frame.extend(mask);
        frame.extend(
            text.bytes()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        let _ = self.0.write_all(&frame).await;
    }

    /// The next text message; pings are passed over.
    async fn receive(&mut self) -> Value {
        loop {
            let (opcode, payload) = timeout(PATIENCE, self.frame()).await.expect("no message");
            match opcode {
                0x1 => return serde_json::from_slice(&payload).unwrap(),
                0x9 => {}
                other => panic!("unexpected frame {other:#x}"),
            }
        }
    }

    async fn frame(&mut self) -> (u8, Vec<u8>) {
        let first = self.0.read_u8().await.unwrap();
        assert_eq!(
            first & 0xf0,
            0x80,
            "one unfragmented frame without extensions"
        );
        let length = match self.0.read_u8().await.unwrap() {
            126 => u64::from(self.0.read_u16().await.unwrap()),
            127 => self.0.read_u64().await.unwrap(),
            length => u64::from(length),
        };
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.unwrap();
        (first & 0x0f, payload)
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc": "2.0", "id": "a", "method": method, "params": params});
        self.send(&request.to_string()).await;
        self.receive().await
    }
}

fn upgrade(host: &str, more: &str) -> String {
    format!(
        "GET /rpc HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

fn status_of(reply: &str) -> u16 {
    let code = reply
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no HTTP: {reply:?}"))
}

fn code(reply: &Value) -> i64 {
    reply["error"]["code"]
        .as_i64()
        .unwrap_or_else(|| panic!("no error: {reply}"))
}

/// Two boards with three chips, one pool.
fn sample() -> Snapshot {
    let board = |index, model: &str| BoardStatus {
        index,
        model: model.into(),
        ..Default::default()
    };
    let chip = |board, index| ChipStatus {
        board,
        index,
        ..Default::default()
    };
    let mut snapshot = Snapshot {
        boards: vec![board(0, "Bitaxe Gamma"), board(1, "S19")],
        chips: vec![chip(0, 0), chip(1, 0), chip(1, 1)],
        pools: vec![PoolStatus {
            url: "stratum+tcp://pool.example:3333".into(),
            reject_reasons: vec![RejectReason::default()],
            payout: Some(PayoutStatus {
                outputs: vec![PayoutOutput::default()],
                ..Default::default()
            }),
            ..Default::default()
        }],
        ..Default::default()
    };
    snapshot.system.name = "rack-3-7".into();
    snapshot.miner.accepted = 12;
    snapshot
}

const HOST: &str = "Host: 127.0.0.1:4029\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const INFO: &str = r#"{"jsonrpc":"2.0","id":1,"method":"system.info"}"#;

#[tokio::test]
async fn every_list_and_status_is_the_state_as_published() {
    let agent = Agent::start().await;
    let state = serde_json::to_value(sample()).unwrap();
    for (method, part) in [
        ("system.info", "system"),
        ("miner.status", "miner"),
        ("board.list", "boards"),
        ("chip.list", "chips"),
        ("pool.list", "pools"),
    ] {
        for no_params in [json!([]), json!({})] {
            assert_eq!(
                agent.call(method, no_params).await["result"],
                state[part],
                "{method}"
            );
        }
    }
    let mut changed = sample();
    changed.miner.accepted = 13;
    agent.publish.send_replace(Arc::new(changed));
    assert_eq!(
        agent.call("miner.status", json!([])).await["result"]["accepted"],
        13
    );
}

#[tokio::test]
async fn chips_can_be_asked_for_one_board_by_name_or_position() {
    let agent = Agent::start().await;
    for params in [json!({"board": 1}), json!([1])] {
        let reply = agent.call("chip.list", params).await;
        let boards: Vec<_> = reply["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(|chip| &chip["board"])
            .collect();
        assert_eq!(boards, [1, 1]);
    }
    let reply = agent.call("chip.list", json!({"board": 7})).await;
    assert_eq!(code(&reply), -32602);
    assert_eq!(reply["error"]["data"], "no board 7; the boards are [0, 1]");
}

#[tokio::test]
async fn wrong_parameters_are_refused_and_named() {
    let agent = Agent::start().await;
    for (method, params, named) in [
        ("system.info", json!({"verbose": true}), "verbose"),
        ("miner.status", json!([1]), ""),
        ("board.list", json!({"board": 0}), "board"),
        ("pool.list", json!([null]), ""),
        ("chip.list", json!({"bord": 0}), "bord"),
        ("chip.list", json!({"board": "0"}), "string"),
        ("chip.list", json!({"board": -1}), "-1"),
        ("chip.list", json!([0, 1]), ""),
    ] {
        let reply = agent.call(method, params.clone()).await;
        assert_eq!(code(&reply), -32602, "{method} {params}");
        let detail = reply["error"]["data"].as_str().unwrap();
        assert!(detail.contains(named), "{method} {params}: {detail}");
    }
}

#[tokio::test]
async fn requests_that_are_not_json_rpc_get_its_standard_errors() {
    let agent = Agent::start().await;
    for (body, expected) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"sys"#, -32700),
        (r#"[{"jsonrpc":"2.0","#, -32700),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"system.info"}"#, -32600),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"system.reboot"}"#,
            -32601,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"telemetry.subscribe"}"#,
            -32020,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"telemetry.unsubscribe","params":[1]}"#,
            -32020,
        ),
    ] {
        assert_eq!(code(&agent.post(body).await), expected, "{body}");
    }
    for body in ["", "hello", "\u{0}", "nul", "{} {}"] {
        assert_eq!(code(&agent.post(body).await), -32700, "{body:?}");
    }
    for body in [
        "{}",
        "[]",
        "null",
        "1",
        r#""x""#,
        r#"{"jsonrpc":2.0,"id":1,"method":"system.info"}"#,
        r#"{"jsonrpc":"2.0","id":{},"method":"system.info"}"#,
        r#"{"jsonrpc":"2.0","id":true,"method":"system.info"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
        r#"["2.0",1,"system.info"]"#,
    ] {
        let reply = agent.post(body).await;
        let first = reply.get(0).unwrap_or(&reply);
        assert_eq!(code(first), -32600, "{body}");
    }
}

#[tokio::test]
async fn a_batch_is_answered_call_by_call() {
    let agent = Agent::start().await;
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "system.info"},
        {"jsonrpc": "2.0", "id": 2, "method": "no.such"},
        {"jsonrpc": "2.0", "id": 3, "method": "chip.list", "params": [1]},
        {"id": 4},
    ]);
    let reply = agent.post(&batch.to_string()).await;
    let by_id = |id: i64| {
        reply
            .as_array()
            .unwrap()
            .iter()
            .find(|r| r["id"] == id)
            .unwrap()
    };
    assert_eq!(reply.as_array().unwrap().len(), 4);
    assert_eq!(by_id(1)["result"]["name"], "rack-3-7");
    assert_eq!(code(by_id(2)), -32601);
    assert_eq!(by_id(3)["result"].as_array().unwrap().len(), 2);
    assert_eq!(code(by_id(4)), -32600);

    assert_eq!(
        agent
            .raw_post(r#"[{"jsonrpc":"2.0","method":"system.info"}]"#)
            .await,
        (204, String::new())
    );

    let long: Vec<_> = (0..=MAX_BATCH)
        .map(|id| json!({"jsonrpc": "2.0", "id": id, "method": "system.info"}))
        .collect();
    assert_eq!(code(&agent.post(&json!(long).to_string()).await), -32010);
}

#[tokio::test]
async fn bodies_beyond_the_limit_are_refused() {
    let agent = Agent::start().await;
    // Nothing is sent that the server does not read: it would reset the connection.
    let announced = format!(
        "POST /rpc HTTP/1.1\r\n{HOST}{JSON}Content-Length: {}\r\nConnection: close\r\n\r\n",
        MAX_REQUEST_BYTES + 1
    );
    assert_eq!(status_of(&agent.raw(announced.as_bytes()).await), 413);
    let chunked = format!(
        "POST /rpc HTTP/1.1\r\n{HOST}{JSON}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         fffff\r\n{}",
        "[".repeat(MAX_REQUEST_BYTES + 1)
    );
    assert_eq!(status_of(&agent.raw(chunked.as_bytes()).await), 413);
    let fits = INFO.to_owned() + &" ".repeat(MAX_REQUEST_BYTES - INFO.len());
    assert_eq!(
        agent
            .status("POST /rpc", &format!("{HOST}{JSON}"), &fits)
            .await,
        200
    );
}

#[tokio::test]
async fn only_the_rpc_path_answers() {
    let agent = Agent::start().await;
    let headers = format!("{HOST}{JSON}");
    assert_eq!(agent.status("POST /rpc", &headers, INFO).await, 200);
    assert_eq!(agent.status("POST /rpc?key=1", &headers, INFO).await, 200);
    for path in [
        "/rpc/",
        "/RPC",
        "/rpc/x",
        "/index.html",
        "//rpc",
        "*",
        "/metrics",
    ] {
        assert_eq!(
            agent.status(&format!("POST {path}"), &headers, INFO).await,
            404,
            "{path}"
        );
    }
    assert_eq!(agent.status("POST /", &headers, INFO).await, 405);
    assert_eq!(agent.status("GET /", HOST, "").await, 200);
    assert_eq!(agent.status("HEAD /", HOST, "").await, 200);
    for method in ["GET", "PUT", "OPTIONS"] {
        assert_eq!(
            agent
                .status(&format!("{method} /rpc"), &headers, INFO)
                .await,
            405,
            "{method}"
        );
    }
}

#[tokio::test]
async fn posts_must_say_that_they_are_json() {
    let agent = Agent::start().await;
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let headers = format!("{HOST}Content-Type: {content_type}\r\n");
        assert_eq!(
            agent.status("POST /rpc", &headers, INFO).await,
            415,
            "{content_type}"
        );
    }
    assert_eq!(agent.status("POST /rpc", HOST, INFO).await, 415);
}

#[tokio::test]
async fn web_pages_from_elsewhere_are_turned_away() {
    let agent = Agent::start().await;
    for (headers, expected) in [
        ("Host: localhost\r\n", 200),
        ("Host: [::1]:4029\r\n", 200),
        ("Host: rebound.example:4029\r\n", 403),
        ("Host: 192.168.1.20:4029\r\n", 200),
        ("Host: 127.0.0.1:4029\r\nHost: rebound.example\r\n", 400),
        ("", 400),
        ("Host: localhost\r\nOrigin: http://localhost\r\n", 200),
        (
            "Host: localhost:4029\r\nOrigin: http://localhost:4029\r\n",
            200,
        ),
        ("Host: localhost\r\nOrigin: http://localhost:3000\r\n", 403),
        ("Host: localhost\r\nOrigin: https://evil.example\r\n", 403),
        (
            "Host: localhost\r\nOrigin: http://localhost.evil.example\r\n",
            403,
        ),
        ("Host: localhost\r\nOrigin: null\r\n", 403),
    ] {
        let status = agent
            .status("POST /rpc", &format!("{headers}{JSON}"), INFO)
            .await;
        assert_eq!(status, expected, "{headers:?}");
    }
    let absolute = "POST http://evil.example/rpc";
    assert_eq!(
        agent.status(absolute, &format!("{HOST}{JSON}"), INFO).await,
        403
    );
    let foreign_page = upgrade(
        "127.0.0.1:4029",
        "Origin: http://evil.example\r\nConnection: close\r\n",
    );
    assert_eq!(status_of(&agent.raw(foreign_page.as_bytes()).await), 403);
    let rebound = upgrade("rebound.example", "Connection: close\r\n");
    assert_eq!(status_of(&agent.raw(rebound.as_bytes()).await), 403);
}

#[tokio::test]
async fn a_websocket_carries_calls_and_batches() {
    let agent = Agent::start().await;
    let mut socket = agent.websocket().await;
    let reply = socket.call("system.info", json!([])).await;
    assert_eq!(
        (&reply["id"], &reply["result"]["name"]),
        (&json!("a"), &json!("rack-3-7"))
    );
    socket.send("{broken").await;
    assert_eq!(code(&socket.receive().await), -32700);
    socket.send(&format!("[{INFO},{INFO}]")).await;
    assert_eq!(socket.receive().await.as_array().unwrap().len(), 2);
    socket
        .send(&(" ".repeat(MAX_REQUEST_BYTES + 1) + INFO))
        .await;
    assert_eq!(code(&socket.receive().await), -32007);
}

#[tokio::test]
async fn telemetry_begins_with_the_whole_state_and_follows_changes() {
    let agent = Agent::start().await;
    let mut socket = agent.websocket().await;
    let id = socket.call("telemetry.subscribe", json!({})).await["result"].clone();
    let first = socket.receive().await;
    assert_eq!(first["method"], "telemetry");
    assert_eq!(first["params"]["subscription"], id);
    let mut state = first["params"]["result"]["state"].clone();
    assert_eq!(state, serde_json::to_value(sample()).unwrap());

    let mut changed = sample();
    changed.miner.accepted = 13;
    changed.boards.pop();
    changed.chips.truncate(1);
    agent.publish.send_replace(Arc::new(changed.clone()));
    let second = socket.receive().await;
    let news = &second["params"]["result"];
    assert_eq!(news["seq"], 1);
    rpc::patch::apply(&mut state, news["changes"].as_array().unwrap()).unwrap();
    assert_eq!(state, serde_json::to_value(changed).unwrap());

    assert_eq!(
        socket.call("events.unsubscribe", json!([id])).await["result"],
        false
    );
    assert_eq!(
        socket.call("telemetry.unsubscribe", json!([id])).await["result"],
        true
    );
    assert_eq!(
        socket.call("telemetry.unsubscribe", json!([id])).await["result"],
        false
    );
}

#[tokio::test]
async fn a_slow_answer_silences_no_subscription() {
    let (publish, state) = watch::channel(Arc::new(sample()));
    let mut faces = Faces::from(state);
    let (ask, mut asked) = tokio::sync::mpsc::channel(1);
    faces.tuning.registers = vec![ask];
    let handle = serve(ANY_PORT, faces, std::future::pending())
        .await
        .unwrap();
    let line = TcpStream::connect(handle.local_addr()).await.unwrap();
    let mut socket = WebSocket::open(line, "localhost").await;
    socket.call("telemetry.subscribe", json!({})).await;
    socket.receive().await;
    let slow = json!({"jsonrpc": "2.0", "id": 9, "method": "chip.read_register", "params": {"board": 0, "register": 0}});
    socket.send(&slow.to_string()).await;
    let question = asked.recv().await.unwrap();

    let mut changed = sample();
    changed.miner.accepted = 13;
    publish.send_replace(Arc::new(changed));
    let news = socket.receive().await;
    assert_eq!(news["method"], "telemetry", "the answer is still awaited");
    question.reply.send(Ok(Vec::new())).unwrap();
    let reply = socket.receive().await;
    assert_eq!((&reply["id"], &reply["result"]), (&json!(9), &json!([])));
}

#[tokio::test]
async fn telemetry_intervals_and_subscriptions_are_bounded() {
    let agent = Agent::start().await;
    let mut socket = agent.websocket().await;
    for params in [
        json!({"interval_ms": 999}),
        json!([60_001]),
        json!({"interval_ms": -1}),
        json!({"interval": 1000}),
    ] {
        let reply = socket.call("telemetry.subscribe", params.clone()).await;
        assert_eq!(code(&reply), -32602, "{params}");
    }
    for _ in 0..MAX_SUBSCRIPTIONS {
        let reply = socket.call("telemetry.subscribe", json!([60_000])).await;
        assert!(reply["result"].is_u64(), "{reply}");
        assert_eq!(socket.receive().await["method"], "telemetry");
    }
    assert_eq!(
        code(&socket.call("telemetry.subscribe", json!([])).await),
        -32006
    );
}

#[tokio::test]
async fn noise_and_floods_do_not_stop_the_service() {
    let agent = Agent::start().await;
    for noise in [
        &b"\x00\xff\x16\x03\x01"[..],
        b"\r\n\r\n\r\n",
        b"GET",
        b"POST /rpc HTTP/9.9\r\n\r\n",
    ] {
        let mut socket = agent.connect().await;
        socket.write_all(noise).await.unwrap();
    }
    let endless_head = format!("GET /rpc HTTP/1.1\r\nX: {}", "x".repeat(100_000));
    assert_eq!(status_of(&agent.raw(endless_head.as_bytes()).await), 431);

    let mut flood = Vec::new();
    for _ in 0..MAX_SOCKETS + 20 {
        flood.push(agent.connect().await);
    }
    drop(flood);
    // The sockets of the flood are given back one after the other.
    let served = async {
        loop {
            let mut socket = agent.connect().await;
            let request =
                format!("POST /rpc HTTP/1.1\r\n{HOST}{JSON}Content-Length: 47\r\n\r\n{INFO}");
            let mut start = [0; 12];
            if socket.write_all(request.as_bytes()).await.is_ok()
                && socket.read_exact(&mut start).await.is_ok()
            {
                return start;
            }
        }
    };
    assert_eq!(&timeout(PATIENCE, served).await.unwrap(), b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_websocket_beyond_the_limit_is_told_to_come_later() {
    let agent = Agent::start().await;
    let mut open = Vec::new();
    for _ in 0..MAX_WEBSOCKETS {
        open.push(agent.websocket().await);
    }
    let one_more = upgrade("localhost", "Connection: close\r\n");
    assert_eq!(status_of(&agent.raw(one_more.as_bytes()).await), 429);
}

#[tokio::test]
async fn a_stop_closes_connections_and_frees_the_port() {
    let mut agent = Agent::start().await;
    let addr = agent.handle.local_addr();
    let mut socket = agent.websocket().await;
    socket.call("telemetry.subscribe", json!([])).await;
    let mut idle = agent.connect().await;
    drop(agent.stop.take());
    timeout(PATIENCE, agent.handle.stopped())
        .await
        .expect("the server did not stop");
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, socket.0.read_to_end(&mut rest))
        .await
        .expect("still open");
    let _ = timeout(PATIENCE, idle.read_to_end(&mut rest))
        .await
        .expect("still open");
    let again = serve(
        addr,
        watch::channel(Arc::default()).1,
        std::future::pending(),
    )
    .await;
    assert_eq!(again.unwrap().local_addr(), addr);
}

#[tokio::test]
async fn other_addresses_and_taken_ports_are_refused_with_advice() {
    let state = || watch::channel(Arc::default()).1;
    for listen in [
        "0.0.0.0:0",
        "[::]:0",
        "192.0.2.1:4029",
        "[::ffff:10.0.0.1]:4029",
    ] {
        let listen: SocketAddr = listen.parse().unwrap();
        let error = serve(listen, state(), std::future::pending())
            .await
            .unwrap_err();
        assert!(matches!(error, ServeError::NotLoopback(_)), "{error}");
    }
    let agent = Agent::start().await;
    let taken = agent.handle.local_addr();
    let error = serve(taken, state(), std::future::pending())
        .await
        .unwrap_err();
    assert!(matches!(error, ServeError::PortInUse(_)), "{error}");
    let advice = error.to_string();
    assert!(
        advice.contains(&taken.to_string()) && advice.contains("[api] listen"),
        "{advice}"
    );
}

#[tokio::test]
async fn wishes_are_checked_before_they_reach_a_station() {
    let agent = Agent::start().await;
    for (method, params, said) in [
        ("cooling.set", json!({}), "nothing to set"),
        ("cooling.set", json!({"mode": "manual"}), "percent"),
        (
            "cooling.set",
            json!({"mode": "manual", "percent": 101}),
            "from 0 to 100",
        ),
        ("cooling.set", json!({"mode": "off"}), "`auto`, `manual`"),
        ("cooling.set", json!({"fan": 1}), "unknown field"),
        ("board.clear_fault", json!({"board": 0}), "code"),
        ("board.clear_fault", json!({"code": "x"}), "board"),
    ] {
        let reply = agent.call(method, params.clone()).await;
        assert_eq!(reply["error"]["code"], -32602, "{params}: {reply}");
        let detail = reply["error"]["data"].as_str().unwrap();
        assert!(detail.contains(said), "{params}: {detail}");
    }
    for params in [
        json!({"board": 5, "code": "x"}),
        json!({"board": 0, "code": "fan-stalled"}),
    ] {
        let reply = agent.call("board.clear_fault", params).await;
        assert_eq!(reply["error"]["code"], rpc::error::DENIED, "{reply}");
    }
}

#[test]
fn every_method_of_the_table_has_a_handler() {
    let keeper = everybody(ANY_PORT).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(async {
        let state = watch::channel(Arc::new(sample())).1;
        let server = Server::new(state.into(), Door(keeper));
        for method in rpc::method::TABLE {
            assert!(server.find(method.name).is_some(), "{}", method.name);
        }
    });
}

#[tokio::test]
async fn every_method_is_refused_below_its_role_and_only_there() {
    let (agent, keeper) = Agent::start_closed().await;
    let mut roles = vec![(None, String::new())];
    for role in Role::ALL {
        let made = keeper.add(role.name(), role, None).await.unwrap();
        let header = format!("Authorization: Bearer {}\r\n", made.token);
        roles.push((Some(role), header));
    }
    for method in rpc::method::TABLE {
        let example = rpc::docs::example(method.name).unwrap().params;
        for (role, header) in &roles {
            // Its token is used below.
            if method.name == "auth.revoke" && *role == Some(Role::Admin) {
                continue;
            }
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": method.name, "params": example});
            let (status, body) = agent.post_with(header, &call.to_string()).await;
            assert_eq!(status, 200, "{body}");
            let reply: Value = serde_json::from_str(&body).unwrap();
            let refused = reply["error"]["code"] == rpc::error::NEEDS_ROLE
                // A wrong pairing code is refused with the same code, by other words.
                && reply["error"]["data"]["needs"].is_string();
            let expected = method.role > *role;
            assert_eq!(refused, expected, "{} {role:?}: {reply}", method.name);
            if refused {
                assert_eq!(reply["error"]["data"]["needs"], json!(method.role));
                assert_eq!(reply["error"]["data"]["has"], json!(role));
            } else if method.kind == rpc::Kind::Subscribe || method.name == "auth.login" {
                assert_eq!(code(&reply), i64::from(rpc::error::NEEDS_WEBSOCKET));
            } else {
                // What is documented is never taken for wrong parameters.
                let code = reply["error"]["code"].as_i64();
                let other_index = reply["error"]["data"]
                    .as_str()
                    .is_some_and(|t| t.starts_with("no board"));
                assert!(
                    code != Some(-32602) || other_index,
                    "{}: {reply}",
                    method.name
                );
            }
        }
    }
}

#[tokio::test]
async fn wrong_tokens_are_refused_before_anything_is_called() {
    let (agent, _keeper) = Agent::start_closed().await;
    for header in [
        "Authorization: Bearer hw_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n",
        "Authorization: Bearer nonsense\r\n",
        "Authorization: Basic dXNlcjpwYXNz\r\n",
    ] {
        let (status, body) = agent.post_with(header, INFO).await;
        assert_eq!(status, 401, "{header} {body}");
    }
    let (status, _) = agent.post_with("", INFO).await;
    assert_eq!(status, 200, "the call itself is refused, not the request");
}

#[tokio::test]
async fn a_login_raises_a_websocket_and_a_revoked_token_ends_it() {
    let (agent, keeper) = Agent::start_closed().await;
    let made = keeper.add("phone", Role::Operate, None).await.unwrap();
    let mut socket = agent.websocket().await;
    assert_eq!(code(&socket.call("system.info", json!({})).await), -32001);
    let reply = socket.call("auth.login", json!({"token": "hw_x"})).await;
    assert_eq!(code(&reply), -32001);
    let reply = socket
        .call("auth.login", json!({"token": made.token}))
        .await;
    assert_eq!(reply["result"]["role"], "operate");
    let reply = socket.call("log.subscribe", json!({})).await;
    assert!(reply["result"].is_u64(), "{reply}");
    assert_eq!(socket.receive().await["method"], "log");
    keeper.revoke(&made.id).await.unwrap();
    let closed = async {
        loop {
            if let (0x8, reason) = socket.frame().await {
                return reason;
            }
        }
    };
    let reason = timeout(PATIENCE, closed).await.expect("still open");
    assert!(String::from_utf8_lossy(&reason[2..]).contains("token"));
    // The token is not good for a new one either.
    let mut again = agent.websocket().await;
    let reply = again.call("auth.login", json!({"token": made.token})).await;
    assert_eq!(code(&reply), -32001);
}

#[tokio::test]
async fn own_names_and_allowed_pages_are_let_in() {
    let (agent, _keeper) = Agent::start_closed().await;
    for (headers, expected) in [
        ("Host: miner.example\r\n", 200),
        ("Host: rack-3-7.local:4029\r\n", 200),
        ("Host: other.example\r\n", 403),
        (
            "Host: miner.example\r\nOrigin: https://farm.example\r\n",
            200,
        ),
        (
            "Host: miner.example\r\nOrigin: http://farm.example\r\n",
            403,
        ),
    ] {
        let status = agent
            .status("POST /rpc", &format!("{headers}{JSON}"), INFO)
            .await;
        assert_eq!(status, expected, "{headers:?}");
    }
}

#[tokio::test]
async fn a_proxy_on_this_machine_is_not_this_machine() {
    let agent = Agent::start().await;
    for header in [
        "X-Forwarded-For: 10.0.0.9\r\n",
        "Forwarded: for=10.0.0.9\r\n",
        "Via: x\r\n",
    ] {
        let (_, body) = agent.post_with(header, INFO).await;
        let reply: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(code(&reply), -32001, "{header}");
    }
}

#[tokio::test]
async fn depth_costs_nothing() {
    let agent = Agent::start().await;
    let deep = "[".repeat(30_000) + &"]".repeat(30_000);
    let reply = agent.post(&deep).await;
    assert_eq!(code(&reply[0]), -32600);
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"config.set","params":{deep}}}"#);
    assert_eq!(code(&agent.post(&body).await), -32602);
    let body = format!(r#"{{"jsonrpc":"2.0","id":{deep},"method":"system.info"}}"#);
    let reply = agent.post(&body).await;
    assert_eq!((code(&reply), &reply["id"]), (-32600, &Value::Null));
}

#[tokio::test]
async fn ids_come_back_as_they_were() {
    let agent = Agent::start().await;
    for id in [
        "0",
        "-7",
        "1.5",
        "\"a\\u0000b\"",
        "null",
        "123456789012345678901234567890",
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"system.info"}}"#);
        let (_, reply) = agent.raw_post(&body).await;
        assert!(
            reply.starts_with(&format!(r#"{{"jsonrpc":"2.0","id":{id},"#)),
            "{reply}"
        );
    }
}

/// Idle clients wait in virtual time, so that the server's patience runs out at once.
#[tokio::test(start_paused = true)]
async fn half_a_request_is_not_waited_for_without_end() {
    let agent = Agent::start().await;
    for half in [
        "",
        "POST /rpc HT",
        "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{",
        "POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    ] {
        let mut socket = agent.connect().await;
        socket.write_all(half.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn browsers_are_told_what_not_to_do() {
    let agent = Agent::start().await;
    for request in ["GET /", "GET /nothing", "POST /rpc"] {
        let request = format!(
            "{request} HTTP/1.1\r\n{HOST}{JSON}Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let reply = agent.raw(request.as_bytes()).await.to_lowercase();
        let (head, _) = reply.split_once("\r\n\r\n").unwrap();
        for header in [
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "content-security-policy: default-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(head.contains(header), "{request}: {header}");
        }
        assert!(!head.contains("access-control"), "{head}");
    }
}

#[test]
fn the_documented_limits_are_the_real_ones() {
    let page = rpc::docs::page();
    for text in [
        format!("{} KiB", MAX_REQUEST_BYTES / 1024),
        format!("{} MiB", MAX_RESPONSE_BYTES / 1024 / 1024),
        format!("one batch | {MAX_BATCH} "),
        format!("as many from elsewhere | {MAX_SOCKETS} "),
        format!("one /64) | {MAX_SOCKETS_PER_ADDRESS} "),
        format!("as many from elsewhere | {MAX_WEBSOCKETS} "),
        format!("one WebSocket | {MAX_SUBSCRIPTIONS} "),
        format!("the newest; {} at most", methods::EVENT_LIMIT),
        format!("no request for {} seconds", HEAD_TIMEOUT.as_secs()),
        format!("within {} seconds", REQUEST_TIMEOUT.as_secs()),
        format!("for {} seconds is cut off", listen::STUCK_AFTER.as_secs()),
        format!("pinged every {} seconds", socket::PING_EVERY.as_secs()),
        format!("heard for {} seconds", socket::GONE_AFTER.as_secs()),
        format!("last {} lines", logs::KEPT),
        format!("http://{DEFAULT_LISTEN}{}", gate::RPC_PATH),
    ] {
        assert!(page.contains(&text), "{text}");
    }
}
