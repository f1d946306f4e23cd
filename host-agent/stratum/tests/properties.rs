//! Whatever a pool, a network or a miner does: no panic, no loop, no growth.

mod support;

use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use stratum::v1::Session;
use stratum::v1::message::parse;
use stratum::{Action, Reason};
use support::{NotifyParts, config, notify, session, share};

/// JSON of moderate depth, with the words of Stratum in it.
fn any_json() -> impl Strategy<Value = Value> {
    let words = prop_oneof![
        Just("mining.notify"),
        Just("version-rolling"),
        Just("1fffe000"),
        Just("00"),
        Just("pool.example"),
        Just("x"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (0u8..8).prop_map(Value::from),
        words.prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec(("[a-z.-]{1,8}", inner), 0..4)
                .prop_map(|fields| json!(fields.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

fn any_method() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "mining.notify",
        "mining.set_difficulty",
        "mining.set_extranonce",
        "mining.set_version_mask",
        "client.reconnect",
        "client.show_message",
        "client.get_version",
        "mining.ping",
        "mining.unheard_of",
    ])
}

/// What may happen to a session.
#[derive(Clone, Debug)]
enum Step {
    Bytes(Vec<u8>),
    Line(Value),
    Welcome,
    Job {
        id: u8,
        clean: bool,
        ntime: u8,
    },
    Share {
        job: usize,
        nonce: u32,
        version: u32,
        extranonce2: usize,
    },
    Wait(u32),
    HangUp,
    Connected,
    Stop,
    Start,
}

fn any_step() -> impl Strategy<Value = Step> {
    let request = (any_method(), any_json(), any_json())
        .prop_map(|(method, id, params)| json!({"id": id, "method": method, "params": params}));
    let response = (0u64..20, any_json(), any_json())
        .prop_map(|(id, result, error)| json!({"id": id, "result": result, "error": error}));
    let verdict = (0u64..60, any::<bool>())
        .prop_map(|(id, yes)| json!({"id": id, "result": yes, "error": null}));
    prop_oneof![
        1 => vec(any::<u8>(), 0..80).prop_map(Step::Bytes),
        2 => request.prop_map(Step::Line),
        2 => response.prop_map(Step::Line),
        4 => verdict.prop_map(Step::Line),
        4 => Just(Step::Welcome),
        6 => (0u8..6, any::<bool>(), 0u8..3).prop_map(|(id, clean, ntime)| Step::Job { id, clean, ntime }),
        8 => (0usize..8, any::<u32>(), any::<u32>(), 0usize..5)
            .prop_map(|(job, nonce, version, extranonce2)| Step::Share { job, nonce, version, extranonce2 }),
        3 => (0u32..200_000).prop_map(Step::Wait),
        2 => Just(Step::HangUp),
        3 => Just(Step::Connected),
        1 => Just(Step::Stop),
        1 => Just(Step::Start),
    ]
}

/// A session with what a shell would hold, which checks what must always be true.
struct Shell {
    session: Session,
    now: Duration,
    jobs: Vec<Arc<mining::Job>>,
    generation: u64,
    submitted: u64,
}

impl Shell {
    fn say(&mut self, line: &Value) {
        let line = format!("{line}\n");
        self.session.handle_bytes(self.now, line.as_bytes());
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Bytes(bytes) => self.session.handle_bytes(self.now, &bytes),
            Step::Line(line) => self.say(&line),
            Step::Welcome => {
                let rolling = json!({"version-rolling": true, "version-rolling.mask": "1fffe000"});
                self.say(&json!({"id": 1, "result": rolling, "error": null}));
                let result = json!([[["mining.notify", "s"]], "aabb", 4]);
                self.say(&json!({"id": 2, "result": result, "error": null}));
                self.say(&json!({"id": 3, "result": true, "error": null}));
            }
            Step::Job { id, clean, ntime } => {
                let parts = NotifyParts {
                    clean,
                    ntime: ["6b030b4b", "6b030b55", "6b030b5f"][usize::from(ntime)],
                    ..NotifyParts::default()
                };
                self.say(&notify(&id.to_string(), &parts));
            }
            Step::Share {
                job,
                nonce,
                version,
                extranonce2,
            } => {
                if let Some(job) = self.jobs.iter().rev().nth(job) {
                    let mut share = share(job, nonce);
                    share.version ^= version & 0x1fff_e000;
                    if extranonce2 == 0 {
                        share.extranonce2.pop();
                    }
                    self.submitted += 1;
                    let _ = self.session.submit(self.now, share);
                }
            }
            Step::Wait(milliseconds) => self.now += Duration::from_millis(milliseconds.into()),
            Step::HangUp => self.session.disconnected(self.now, Reason::PeerClosed),
            Step::Connected => self.session.connected(self.now),
            Step::Stop => self.session.stop(self.now),
            Step::Start => self.session.start(self.now),
        }
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..2000 {
            match self.session.poll_timeout() {
                Some(due) if due <= self.now => self.session.handle_timeout(self.now),
                _ => return self.drain(),
            }
        }
        panic!("a deadline that does not go away");
    }

    fn drain(&mut self) {
        while let Some(action) = self.session.poll_action() {
            if let Action::Connect { host, port } = action {
                assert!(host.ends_with(".pool.example"), "sent to {host}");
                assert_ne!(port, 0);
            }
        }
        while let Some(line) = self.session.poll_transmit() {
            assert!(line.len() < 8192);
            assert_eq!(line.iter().position(|b| *b == b'\n'), Some(line.len() - 1));
            serde_json::from_slice::<Value>(&line).expect("proper JSON");
        }
        while let Some(event) = self.session.poll_event() {
            if let stratum::Event::Job(job) = event {
                assert!(job.generation >= self.generation && job.generation > 0);
                assert!((1..=16).contains(&job.extranonce2_len));
                assert!(job.received <= self.now);
                self.generation = job.generation;
                self.jobs.push(job);
            }
        }
        let stats = self.session.stats();
        let ended = stats.accepted + stats.rejected + stats.unconfirmed + stats.dropped;
        assert!(
            ended <= self.submitted,
            "{ended} of {}: {stats:?}",
            self.submitted
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_line_is_read_or_refused(line in vec(any::<u8>(), 0..300)) {
        let _ = parse(&line);
    }

    #[test]
    fn any_message_is_read_or_refused(method in any_method(), params in any_json(), id in any_json()) {
        let line = json!({"id": id, "method": method, "params": params}).to_string();
        let _ = parse(line.as_bytes());
    }

    #[test]
    fn any_course_of_events_leaves_a_sane_session(steps in vec(any_step(), 0..120), seed: u64) {
        let mut shell = Shell {
            session: Session::new(config(), seed, stratum::Sequence::new()).unwrap(),
            now: Duration::ZERO,
            jobs: Vec::new(),
            generation: 0,
            submitted: 0,
        };
        shell.session.start(Duration::ZERO);
        shell.session.connected(Duration::ZERO);
        for step in steps {
            shell.take(step);
        }
        // After the end every share is accounted for exactly once.
        shell.session.stop(shell.now);
        let stats = shell.session.stats();
        let ended = stats.accepted + stats.rejected + stats.unconfirmed + stats.dropped;
        prop_assert_eq!(ended, shell.submitted);
    }

    #[test]
    fn messages_may_be_cut_anywhere(cuts in vec(1usize..40, 1..40)) {
        let script = [
            json!({"id": 1, "result": {"version-rolling": true, "version-rolling.mask": "1fffe000"}}),
            json!({"id": 2, "result": [[["mining.notify", "s"]], "aabb", 4], "error": null}),
            json!({"id": null, "method": "mining.set_difficulty", "params": [0.25]}),
            notify("a", &NotifyParts::default()),
            json!({"id": 3, "result": true, "error": null}),
            notify("b", &NotifyParts::update()),
        ];
        let text: String = script.iter().map(|line| format!("{line}\r\n")).collect();
        let events = |pieces: Vec<&[u8]>| {
            let mut session = session(config());
            session.start(Duration::ZERO);
            session.connected(Duration::ZERO);
            for piece in pieces {
                session.handle_bytes(Duration::ZERO, piece);
            }
            std::iter::from_fn(|| session.poll_event()).collect::<Vec<_>>()
        };
        let mut rest = text.as_bytes();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (head, tail) = rest.split_at(cut.min(rest.len()));
            pieces.push(head);
            rest = tail;
        }
        pieces.push(rest);
        prop_assert_eq!(events(pieces), events(vec![text.as_bytes()]));
    }
}
