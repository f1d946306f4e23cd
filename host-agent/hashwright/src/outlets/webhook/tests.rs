use std::sync::Arc;

use outlets::webhook::Filter;
use station::{Notice, Severity};
use stratum::Secret;
use stratum::transport::Trust;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;
use crate::clock::Clock;
use crate::events::EventLog;
use crate::settings::Settings;
use crate::state::Snapshot;
use crate::stop::{self, Stopper};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn start(port: u16) -> (EventLog, Stopper) {
    let mut state = Snapshot::default();
    state.system.name = "rack-3".into();
    let (_, state) = watch::channel(Arc::new(state));
    let events = EventLog::new(Clock::start());
    let links = Links {
        state,
        events: events.clone(),
        settings: Settings::detached(),
        demand: crate::demand::Handle::detached(),
    };
    let wanted = Webhook {
        receiver: format!("http://127.0.0.1:{port}/hooks/x?y=z")
            .parse()
            .unwrap(),
        filter: Filter {
            severity: Severity::Warning,
            codes: Vec::new(),
        },
        secret: Some(Secret::new(SECRET)),
        trust: Trust::System,
    };
    let (stopper, stop) = stop::channel();
    tokio::spawn(run(wanted, links, stop).unwrap());
    (events, stopper)
}

fn note(events: &EventLog, severity: Severity, code: &str) {
    events.note(
        &[0],
        Notice {
            severity,
            code: code.into(),
            ..Notice::default()
        },
    );
}

/// Takes one request and answers it; the request with its body.
async fn answer(listener: &TcpListener, answer: &str) -> String {
    let accepted = timeout(Duration::from_secs(20), listener.accept()).await;
    let (mut socket, _) = accepted.expect("a request").unwrap();
    let mut read = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = socket.read(&mut buffer).await.unwrap();
        assert!(count > 0);
        read.extend(&buffer[..count]);
        let text = String::from_utf8_lossy(&read);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        if body.len() >= header(head, "content-length").parse().unwrap() {
            break;
        }
    }
    socket.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(read).unwrap()
}

fn header<'h>(request: &'h str, name: &str) -> &'h str {
    let lines = request.lines().filter_map(|line| line.split_once(": "));
    let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found
        .next()
        .unwrap_or_else(|| panic!("no {name} in {request}"))
        .1
}

#[tokio::test]
async fn events_arrive_signed_and_a_failure_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (events, _stopper) = start(listener.local_addr().unwrap().port());
    note(&events, Severity::Info, "boring");
    note(&events, Severity::Fault, "fan-stalled");
    let first = answer(&listener, "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
    let again = answer(&listener, "HTTP/1.1 204 Done\r\n\r\n").await;
    for request in [&first, &again] {
        assert!(
            request.starts_with("POST /hooks/x?y=z HTTP/1.1\r\n"),
            "{request}"
        );
        assert_eq!(header(request, "content-type"), "application/json");
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(body.contains("fan-stalled") && !body.contains("boring"));
        let told = Request {
            id: header(request, "webhook-id").into(),
            body: body.into(),
        };
        let at = header(request, "webhook-timestamp").parse().unwrap();
        let signature = Key::new(SECRET).sign(&told, at);
        assert_eq!(header(request, "webhook-signature"), signature);
    }
    assert_eq!(header(&first, "webhook-id"), header(&again, "webhook-id"));
}

#[tokio::test]
async fn redirects_are_not_followed_and_not_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (events, _stopper) = start(listener.local_addr().unwrap().port());
    note(&events, Severity::Fault, "first");
    let to = elsewhere.local_addr().unwrap();
    let moved =
        format!("HTTP/1.1 307 Moved\r\nlocation: http://{to}/\r\ncontent-length: 0\r\n\r\n");
    answer(&listener, &moved).await;
    note(&events, Severity::Fault, "second");
    let next = answer(&listener, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert!(next.contains("second"));
    let followed = timeout(Duration::from_millis(100), elsewhere.accept()).await;
    assert!(followed.is_err(), "it went to {to}");
}

#[tokio::test]
async fn nonsense_for_an_answer_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (events, _stopper) = start(listener.local_addr().unwrap().port());
    note(&events, Severity::Fault, "first");
    answer(&listener, "SSH-2.0-OpenSSH\r\n\r\n").await;
    let again = answer(&listener, "HTTP/1.1 200 OK\r\n\r\n").await;
    assert!(again.contains("first"));
}

#[tokio::test]
async fn a_dead_receiver_costs_a_bounded_queue() {
    let (_, state) = watch::channel(Arc::new(Snapshot::default()));
    let events = EventLog::new(Clock::start());
    let mut task = Task {
        wanted: Webhook {
            receiver: "http://127.0.0.1:9/".parse().unwrap(),
            filter: Filter::default(),
            secret: None,
            trust: Trust::System,
        },
        links: Links {
            state,
            events: events.clone(),
            settings: Settings::detached(),
            demand: crate::demand::Handle::detached(),
        },
        connector: PoolConnector::new(TcpConnector::default()),
        key: None,
        seen: 0,
        queue: VecDeque::new(),
        dropped: 0,
    };
    for number in 0..QUEUE + 10 {
        note(&events, Severity::Fault, &number.to_string());
    }
    task.look();
    assert_eq!((task.queue.len(), task.dropped), (QUEUE, 10));
    assert!(task.queue[0].body.contains("\"code\":\"10\""));
    note(&events, Severity::Fault, "newest");
    task.look();
    assert!(task.queue[QUEUE - 1].body.contains("newest"));
}
