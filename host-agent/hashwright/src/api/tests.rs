//! The server over real sockets, with HTTP and WebSocket frames written by hand, so that nothing
//! of the server's own libraries judges its replies.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use std::sync::Arc;

use tokio::sync::watch;

use super::*;
use crate::state::Snapshot;
use crate::state::{BoardStatus, ChipStatus, PayoutOutput, PayoutStatus, PoolStatus, RejectReason};

/// Long enough for a loaded machine; only a hang takes it.
const PATIENCE: Duration = Duration::from_secs(20);

/// The documentation of the replies.
const DOCS: &str = include_str!("../../../../docs/rpc.md");

struct Agent {
    publish: watch::Sender<Arc<Snapshot>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    handle: Handle,
}

impl Agent {
    async fn start() -> Self {
        let (publish, state) = watch::channel(Arc::new(sample()));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let handle = serve(any_port, state, async { drop(stopped.await) })
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
        let request = format!(
            "POST /rpc HTTP/1.1\r\nHost: {}\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.handle.local_addr(),
            body.len(),
        );
        let reply = self.raw(request.as_bytes()).await;
        let (head, body) = reply.split_once("\r\n\r\n").expect("no end of the head");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"))
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
    for body in ["", "hello", "\u{0}", "nul"] {
        assert_eq!(
            agent
                .status("POST /rpc", &format!("{HOST}{JSON}"), body)
                .await,
            400,
            "{body:?}"
        );
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
        "[".repeat(MAX_REQUEST_BYTES as usize + 1)
    );
    assert_eq!(status_of(&agent.raw(chunked.as_bytes()).await), 413);
    let fits = INFO.to_owned() + &" ".repeat(MAX_REQUEST_BYTES as usize - INFO.len());
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
    for path in ["/", "/rpc/", "/RPC", "/rpc/x", "/index.html", "//rpc", "*"] {
        assert_eq!(
            agent.status(&format!("POST {path}"), &headers, INFO).await,
            404,
            "{path}"
        );
    }
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
        ("Host: 192.168.1.20:4029\r\n", 403),
        ("Host: 127.0.0.1:4029\r\nHost: rebound.example\r\n", 400),
        ("", 400),
        ("Host: localhost\r\nOrigin: http://localhost:3000\r\n", 200),
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
        .send(&(" ".repeat(MAX_REQUEST_BYTES as usize + 1) + INFO))
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
    assert_eq!(
        first["params"]["result"],
        serde_json::to_value(sample()).unwrap()
    );

    let mut changed = sample();
    changed.miner.accepted = 13;
    agent.publish.send_replace(Arc::new(changed));
    assert_eq!(
        socket.receive().await["params"]["result"]["miner"]["accepted"],
        13
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

/// On the virtual clock, so that the pace is exact and takes no time.
#[tokio::test(start_paused = true)]
async fn telemetry_sends_at_most_one_message_per_interval() {
    let (publish, state) = watch::channel(Arc::new(sample()));
    let methods = methods::methods(state, Transport::WebSocket);
    let mut telemetry = methods
        .subscribe("telemetry.subscribe", [2_000], 64)
        .await
        .unwrap();
    let start = tokio::time::Instant::now();
    let changing = tokio::spawn(async move {
        for accepted in 0..100 {
            sleep(Duration::from_millis(100)).await;
            let mut changed = sample();
            changed.miner.accepted = accepted;
            publish.send_replace(Arc::new(changed));
        }
    });
    let mut times = Vec::new();
    let mut newest = 0;
    while let Some(Ok((snapshot, _))) = telemetry.next::<Snapshot>().await {
        newest = snapshot.miner.accepted;
        times.push(start.elapsed().as_millis());
    }
    changing.await.unwrap();
    assert_eq!(times[0], 0);
    // The changes took ten seconds; the last one may wait for its turn.
    assert!((6..=7).contains(&times.len()), "{times:?}");
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] >= 2_000),
        "{times:?}"
    );
    assert_eq!(
        newest, 99,
        "the newest state arrives, whatever was left out"
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
    for _ in 0..MAX_SESSIONS {
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
        let listen = listen.parse().unwrap();
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

#[test]
fn the_documentation_names_every_method_and_no_other() {
    let state = watch::channel(Arc::default()).1;
    let http = methods::methods(state.clone(), Transport::Http);
    let websocket = methods::methods(state, Transport::WebSocket);
    let documented: BTreeSet<_> = DOCS
        .lines()
        .filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
        .collect();
    assert_eq!(http.method_names().collect::<BTreeSet<_>>(), documented);
    assert_eq!(
        websocket.method_names().collect::<BTreeSet<_>>(),
        documented
    );
}

#[test]
fn the_documented_examples_have_the_fields_of_real_replies() {
    let state = serde_json::to_value(sample()).unwrap();
    for (method, part) in [
        ("system.info", "system"),
        ("miner.status", "miner"),
        ("board.list", "boards"),
        ("chip.list", "chips"),
        ("pool.list", "pools"),
    ] {
        let section = section(method);
        let examples = examples(section);
        assert_eq!(examples[0]["method"], method);
        assert_eq!(
            fields(&examples[1]["result"]),
            fields(&state[part]),
            "{method}"
        );
        for field in fields(&state[part]) {
            assert!(
                DOCS.contains(&format!("`{field}`")) || section.contains(&field),
                "{field}"
            );
        }
    }
    let telemetry = &examples(section("telemetry.subscribe"))[2];
    assert_eq!(telemetry["method"], methods::TELEMETRY);
    let parts = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(parts(&telemetry["params"]["result"]), parts(&state));
}

/// Nothing is missing from the examples, and they have nothing that replies do not have.
#[test]
fn documented_stations_cooling_and_events_read_and_write_the_same() {
    fn same<T: serde::de::DeserializeOwned + serde::Serialize>(method: &str) {
        let result = &examples(section(method))[1]["result"];
        let read: Vec<T> = serde_json::from_value(result.clone()).expect(method);
        assert_eq!(&serde_json::to_value(read).unwrap(), result, "{method}");
    }
    same::<crate::state::StationStatus>("station.list");
    same::<methods::Cooling>("cooling.get");
    same::<crate::events::Entry>("event.list");
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
        ("cooling.set", json!({"mode": "off"}), "auto, manual"),
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
        assert_eq!(reply["error"]["code"], methods::DENIED, "{reply}");
    }
}

#[tokio::test]
async fn the_documented_requests_are_answered_without_error() {
    let agent = Agent::start().await;
    let mut asked = 0;
    for request in examples(DOCS)
        .iter()
        .filter(|json| json["id"].is_u64() && json["method"].is_string())
    {
        let mut socket = agent.websocket().await;
        socket.send(&request.to_string()).await;
        let reply = socket.receive().await;
        // The sample has no station that could do anything.
        let denied = reply["error"]["code"] == methods::DENIED;
        assert!(!reply["result"].is_null() || denied, "{request}: {reply}");
        asked += 1;
    }
    assert_eq!(asked, 12);
}

#[test]
fn the_documented_limits_are_the_real_ones() {
    for text in [
        format!("{} KiB", MAX_REQUEST_BYTES / 1024),
        format!("{} MiB", MAX_RESPONSE_BYTES / 1024 / 1024),
        format!("one batch | {MAX_BATCH} "),
        format!("WebSockets at a time | {MAX_SESSIONS} "),
        format!("connections at a time | {MAX_SOCKETS} "),
        format!("one WebSocket | {MAX_SUBSCRIPTIONS} "),
        format!(
            "{} to {}",
            methods::MIN_INTERVAL_MS,
            methods::MAX_INTERVAL_MS
        ),
        format!("| {} |", methods::NEEDS_WEBSOCKET),
        format!("| {} |", methods::DENIED),
        format!("keeps the last {}", crate::events::KEPT),
        format!("the newest; {} at most", methods::EVENT_LIMIT),
        format!("no request for {} seconds", HEAD_TIMEOUT.as_secs()),
        format!("within {} seconds", REQUEST_TIMEOUT.as_secs()),
        format!("http://{DEFAULT_LISTEN}{}", gate::RPC_PATH),
    ] {
        assert!(DOCS.contains(&text), "{text}");
    }
}

/// The text of a method's section.
fn section(method: &str) -> &'static str {
    let (_, rest) = DOCS
        .split_once(&format!("### `{method}`\n"))
        .expect("no section");
    rest.split("\n### ").next().unwrap()
}

/// The JSON blocks of a text; each must parse.
fn examples(text: &str) -> Vec<Value> {
    let blocks = text.split("```json\n").skip(1);
    let json = blocks.map(|block| block.split("```").next().unwrap());
    json.map(|json| serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json}")))
        .collect()
}

/// The paths of all fields, of list elements as well.
fn fields(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| fields(value).into_iter().chain([name.clone()]))
            .collect(),
        Value::Array(list) => list.iter().flat_map(fields).collect(),
        _ => BTreeSet::new(),
    }
}
