use std::sync::Arc;
use std::time::Duration;

use outlets::mqtt::Message;
use rpc::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::client::{Client, Event, MAX_PACKET};
use super::*;
use crate::clock::Clock;
use crate::config::Broker;
use crate::events::EventLog;
use crate::settings::Settings;
use crate::stop;

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

fn will() -> Message {
    Message {
        topic: "t".into(),
        payload: "off".into(),
        retain: true,
    }
}

fn client(now: Instant) -> Client {
    Client::connect("me", Some("u"), Some(&"secret".into()), &will(), now).unwrap()
}

fn connected(now: Instant) -> Client {
    let mut client = client(now);
    client.take_out();
    client.receive(&CONNACK, now);
    assert_eq!(client.next(), Some(Event::Connected));
    client
}

/// A PUBLISH as the specification lays it out (MQTT 3.1.1, 3.3).
fn publish(topic: &str, payload: &[u8], flags: u8) -> Vec<u8> {
    let id = if flags & 0b110 == 0 { 0 } else { 2 };
    let length = 2 + topic.len() + id + payload.len();
    assert!(length < 128);
    let mut bytes = vec![0x30 | flags, length as u8, 0, topic.len() as u8];
    bytes.extend(topic.as_bytes());
    bytes.extend(&[0, 7][..id]);
    bytes.extend(payload);
    bytes
}

/// The figures of section 3.1 of the specification.
#[test]
fn the_greeting_is_as_specified() {
    let mut client = client(Instant::now());
    // User, password, retained will of quality 1, clean session; 30 seconds.
    let mut expected = vec![0x10, 0, 0, 4, b'M', b'Q', b'T', b'T', 4, 0b1110_1110, 0, 30];
    for text in ["me", "t", "off", "u", "secret"] {
        expected.extend([0, text.len() as u8]);
        expected.extend(text.as_bytes());
    }
    expected[1] = (expected.len() - 2) as u8;
    assert_eq!(client.take_out(), expected);
}

#[test]
fn refusals_have_their_words() {
    for code in 1..=5 {
        let mut client = client(Instant::now());
        client.receive(&[0x20, 2, 0, code], Instant::now());
        assert!(matches!(client.next(), Some(Event::Refused(_))), "{code}");
    }
}

#[test]
fn messages_come_in_pieces_and_are_acknowledged() {
    let now = Instant::now();
    let mut client = connected(now);
    client.take_out();
    let mut bytes = publish("a/b", b"hello", 0b0010);
    bytes.extend(publish("a/c", b"", 0b0001));
    for byte in bytes {
        client.receive(&[byte], now);
    }
    let Some(Event::Message(first)) = client.next() else {
        panic!("a message");
    };
    assert_eq!(
        (&first.topic[..], &first.payload[..]),
        ("a/b", &b"hello"[..])
    );
    assert!(!first.retained);
    assert!(matches!(client.next(), Some(Event::Message(second)) if second.retained));
    assert_eq!(client.take_out(), [0x40, 2, 0, 7]);
}

#[test]
fn a_packet_that_is_too_large_is_not_waited_for() {
    let now = Instant::now();
    let mut client = connected(now);
    // 128 MiB are announced.
    client.receive(&[0x30, 0xff, 0xff, 0xff, 0x3f], now);
    assert!(client.problem().is_some());
    const { assert!(MAX_PACKET < 1 << 20) };
}

#[test]
fn a_broker_that_falls_silent_is_left() {
    let now = Instant::now();
    let mut client = connected(now);
    client.take_out();
    let due = client.due().unwrap();
    assert_eq!(due - now, Duration::from_secs(30));
    client.tick(due);
    assert_eq!(client.take_out(), [0xc0, 0], "a ping");
    let mut alive = connected(now);
    alive.tick(due);
    alive.receive(&[0xd0, 0], due);
    assert!(alive.due().unwrap() > due + Duration::from_secs(15));
    let silent = client.due().unwrap();
    client.tick(silent);
    assert!(client.problem().unwrap().contains("silent"));
}

#[test]
fn what_is_no_mqtt_breaks_nothing() {
    let now = Instant::now();
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..20_000 {
        let mut client = if round % 2 == 0 {
            client(now)
        } else {
            connected(now)
        };
        let mut bytes: Vec<u8> = (0..random.usize(0..40)).map(|_| random.u8(..)).collect();
        if round % 4 == 1
            && let Some(first) = bytes.first_mut()
        {
            // A real packet type with nonsense behind it.
            *first = random
                .choice([0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x70, 0x90, 0xd0])
                .unwrap();
        }
        client.receive(&bytes, now);
        while client.next().is_some() {}
        client.tick(now + Duration::from_secs(100));
        client.take_out();
    }
}

struct Served {
    socket: TcpStream,
    seen: Vec<u8>,
}

impl Served {
    /// Waits until this has come.
    async fn sees(&mut self, text: &str) {
        self.until(text, |seen| {
            seen.windows(text.len())
                .any(|window| window == text.as_bytes())
        })
        .await;
    }

    /// Waits until this has been said about its being there; an id may stand before it.
    async fn sees_that_it_is(&mut self, word: &str) {
        let topic = b"/availability";
        let said = |rest: &[u8]| {
            let rest = rest.strip_prefix(topic);
            let word = word.as_bytes();
            rest.is_some_and(|rest| {
                rest.starts_with(word) || rest[rest.len().min(2)..].starts_with(word)
            })
        };
        self.until(word, |seen| (0..seen.len()).any(|at| said(&seen[at..])))
            .await;
    }

    async fn until(&mut self, what: &str, test: impl Fn(&[u8]) -> bool) {
        let read = async {
            while !test(&self.seen) {
                let mut buffer = [0; 4096];
                let count = self.socket.read(&mut buffer).await.unwrap();
                assert!(count > 0, "closed before {what}");
                self.seen.extend(&buffer[..count]);
            }
        };
        let seen = timeout(Duration::from_secs(20), read).await;
        assert!(
            seen.is_ok(),
            "no {what}: {}",
            String::from_utf8_lossy(&self.seen)
        );
    }
}

async fn accept(listener: &TcpListener) -> Served {
    let (socket, _) = timeout(Duration::from_secs(20), listener.accept())
        .await
        .unwrap()
        .unwrap();
    let mut served = Served {
        socket,
        seen: Vec::new(),
    };
    served.sees("hashwright-rack-3").await;
    served.socket.write_all(&CONNACK).await.unwrap();
    served.seen.clear();
    served.sees("command/+").await;
    served
}

#[tokio::test]
async fn a_broker_is_told_everything_again_when_it_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut state = Snapshot::default();
    state.system.name = "rack-3".into();
    state.miner.state = "mining".into();
    let (_state_in, state) = watch::channel(Arc::new(state));
    let events = EventLog::new(Clock::start());
    let links = Links {
        state,
        events: events.clone(),
        settings: Settings::detached(),
        demand: crate::demand::Handle::detached(),
    };
    let reached = Reached {
        listen: ([127, 0, 0, 1], 1).into(),
        tls: false,
        fingerprint: None,
    };
    let broker: Broker = format!("mqtt://127.0.0.1:{port}").parse().unwrap();
    let wanted = Mqtt {
        role: Role::Read,
        ..Mqtt::new(broker)
    };
    let (stopper, stop) = stop::channel();
    let task = tokio::spawn(run(wanted, links, reached, stop).unwrap());

    let mut first = accept(&listener).await;
    first
        .sees("homeassistant/device/hashwright_rack-3/config")
        .await;
    first.sees("\"state\":\"mining\"").await;
    first.sees_that_it_is("online").await;
    // Whoever has no right is told so.
    let command = publish("hashwright/rack-3/command/pause", b"", 0);
    first.socket.write_all(&command).await.unwrap();
    first.sees("\"ok\":false").await;
    events.note(
        &[],
        station::Notice {
            code: "some-event".into(),
            ..station::Notice::default()
        },
    );
    first.sees("some-event").await;
    drop(first);

    let mut second = accept(&listener).await;
    second.sees("\"state\":\"mining\"").await;
    // It was never acknowledged.
    second.sees("some-event").await;
    stopper.stop();
    second.sees_that_it_is("offline").await;
    timeout(Duration::from_secs(5), task)
        .await
        .unwrap()
        .unwrap();
}

#[test]
fn agents_without_a_name_are_told_apart() {
    let mut state = Snapshot::default();
    state.system.name = "rack-3".into();
    state.system.mac = Some("02:00:5e:10:ab:cd".into());
    assert_eq!(own_id(&state), "rack-3");
    state.system.name = "hashwright".into();
    assert_eq!(own_id(&state), "hashwright-10abcd");
    state.system.mac = None;
    assert_eq!(own_id(&state), "hashwright");
}
