//! Feeds a Stratum V1 session what pools could say, well formed and not, while shares, time and
//! broken connections come in between. It must not panic, must keep its messages within bounds,
//! must account for every share, must not wait for a time that is over, and must come to the same
//! conclusions however the bytes are cut.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mining::{Job, Share};
use stratum::v1::{Config, Session};
use stratum::{Action, Event, Reason, Secret, Sequence, Stats};

#[derive(Arbitrary, Debug)]
struct Input {
    seed: u64,
    /// Size of the pieces in which the second session gets the bytes.
    piece: u8,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// A line of these words, which may be almost anything.
    Said {
        method: Method,
        params: Vec<Value>,
        id: Id,
    },
    /// The answer to a request.
    Answered {
        id: u8,
        result: Value,
        error: Value,
        reason: Option<u8>,
    },
    Subscription {
        id: u8,
        extranonce1: Vec<u8>,
        extranonce2: u8,
        session: Option<u8>,
    },
    Configuration {
        id: u8,
        mask: u32,
    },
    Notify {
        id: u8,
        tip: u8,
        branches: u8,
        version: u32,
        ntime: u8,
        clean: bool,
    },
    Share {
        job: u8,
        extranonce2: u8,
        ntime: u16,
        nonce: u32,
        version: u32,
        easy: bool,
    },
    Passes {
        deciseconds: u16,
    },
    UntilDue,
    Connects,
    HangsUp {
        how: u8,
    },
    Stops,
    Starts,
}

#[derive(Arbitrary, Debug)]
enum Method {
    Difficulty,
    Extranonce,
    Mask,
    Reconnect,
    Message,
    Version,
    Ping,
    Notify,
    Other(u8),
}

#[derive(Arbitrary, Debug)]
enum Id {
    Absent,
    Null,
    Number(u16),
    Text(u8),
}

#[derive(Arbitrary, Debug)]
enum Value {
    Null,
    Yes(bool),
    Whole(i64),
    Fraction(f64),
    Text(String),
    Hex(u32),
    Host(u8),
    List(Vec<Value>),
    Code(u8, String),
    Object(String),
}

impl Value {
    fn json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Yes(yes) => yes.to_string(),
            Self::Whole(number) => number.to_string(),
            // Infinities and NaN are no JSON, and some pool may send them.
            Self::Fraction(number) => format!("{number:?}"),
            Self::Text(text) => format!("{text:?}"),
            Self::Hex(number) => format!("\"{number:08x}\""),
            Self::Host(number) => format!("\"{}.pool.example\"", number % 3),
            Self::List(values) => {
                let values: Vec<_> = values.iter().map(Self::json).collect();
                format!("[{}]", values.join(","))
            }
            Self::Code(code, text) => format!("[{}, {text:?}, null]", 20 + code % 6),
            Self::Object(text) => format!("{{\"code\": 21, \"message\": {text:?}}}"),
        }
    }
}

fn line(step: &Step) -> Option<Vec<u8>> {
    let text = match step {
        Step::Raw(bytes) => return Some(bytes.clone()),
        Step::Said { method, params, id } => {
            let method = match method {
                Method::Difficulty => "mining.set_difficulty".to_owned(),
                Method::Extranonce => "mining.set_extranonce".to_owned(),
                Method::Mask => "mining.set_version_mask".to_owned(),
                Method::Reconnect => "client.reconnect".to_owned(),
                Method::Message => "client.show_message".to_owned(),
                Method::Version => "client.get_version".to_owned(),
                Method::Ping => "mining.ping".to_owned(),
                Method::Notify => "mining.notify".to_owned(),
                Method::Other(number) => format!("mining.other{number}"),
            };
            let id = match id {
                Id::Absent => String::new(),
                Id::Null => "\"id\":null,".to_owned(),
                Id::Number(number) => format!("\"id\":{number},"),
                Id::Text(number) => format!("\"id\":\"{number}\","),
            };
            let params: Vec<_> = params.iter().map(Value::json).collect();
            format!(
                "{{{id}\"method\":\"{method}\",\"params\":[{}]}}\n",
                params.join(",")
            )
        }
        Step::Answered {
            id,
            result,
            error,
            reason,
        } => {
            let reason = reason.map(|reason| {
                let text = ["Stale", "Duplicate", "Above target"][usize::from(reason) % 3];
                format!(",\"reject-reason\":\"{text}\"")
            });
            format!(
                "{{\"id\":{id},\"result\":{},\"error\":{}{}}}\n",
                result.json(),
                error.json(),
                reason.unwrap_or_default()
            )
        }
        Step::Subscription {
            id,
            extranonce1,
            extranonce2,
            session,
        } => {
            let session = session.map(|id| format!("[\"mining.notify\",\"s{id}\"]"));
            let hex: String = extranonce1
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!(
                "{{\"id\":{},\"result\":[[{}],\"{hex}\",{}],\"error\":null}}\n",
                id % 4,
                session.unwrap_or_default(),
                extranonce2 % 20
            )
        }
        Step::Configuration { id, mask } => format!(
            "{{\"id\":{},\"result\":{{\"version-rolling\":true,\"version-rolling.mask\":\"{mask:08x}\"}}}}\n",
            id % 4
        ),
        Step::Notify {
            id,
            tip,
            branches,
            version,
            ntime,
            clean,
        } => {
            let branch = format!("\"{}\"", "ab".repeat(32));
            let branches = vec![branch; usize::from(branches % 8)].join(",");
            format!(
                "{{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"{id}\",\"{}\",\"{}\",\"{}\",\
                 [{branches}],\"{version:08x}\",\"1d00ffff\",\"{:08x}\",{clean}]}}\n",
                format!("{tip:02x}").repeat(32),
                "01".repeat(42),
                "02".repeat(50),
                0x6b03_0b4b + u32::from(*ntime)
            )
        }
        _ => return None,
    };
    Some(text.into_bytes())
}

/// A session in its shell.
struct Shell {
    session: Session,
    now: Duration,
    jobs: Vec<Arc<Job>>,
    handed_in: u64,
    events: Vec<Event>,
    /// Whether the session waits for a connection.
    wanted: bool,
}

impl Shell {
    fn new(seed: u64) -> Self {
        let url = "stratum+tcp://1.pool.example:3333".parse().expect("a URL");
        let mut config = Config::new(url, "bc1quser.rig", Secret::new("x"));
        config.extranonce_subscribe = seed & 1 != 0;
        config.suggest_difficulty = (seed & 2 != 0).then_some(mining::Difficulty::ONE);
        let session = Session::new(config, seed, Sequence::new()).expect("good settings");
        Self {
            session,
            now: Duration::ZERO,
            jobs: Vec::new(),
            handed_in: 0,
            events: Vec::new(),
            wanted: false,
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.wanted = matches!(action, Action::Connect { .. });
        }
        while let Some(message) = self.session.poll_transmit() {
            assert!(message.len() < 8192);
            assert_eq!(message.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(message.last(), Some(&b'\n'));
        }
        while let Some(event) = self.session.poll_event() {
            if let Event::Job(job) = &event {
                self.jobs.push(Arc::clone(job));
            }
            self.events.push(event);
        }
    }

    /// Lets time pass as the shell does, with every deadline in it.
    fn pass(&mut self, end: Duration) {
        for round in 0.. {
            let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.drain();
            assert!(round < 20_000, "a deadline that does not go away");
        }
        self.now = self.now.max(end);
    }

    fn take(&mut self, step: &Step, piece: usize) {
        if let Some(bytes) = line(step) {
            for bytes in bytes.chunks(piece) {
                self.session.handle_bytes(self.now, bytes);
            }
        }
        match step {
            Step::Share {
                job,
                extranonce2,
                ntime,
                nonce,
                version,
                easy,
            } => {
                let newest_first = self.jobs.iter().rev();
                let Some(job) = newest_first
                    .clone()
                    .nth(usize::from(*job) % self.jobs.len().max(1))
                else {
                    return;
                };
                let extra = usize::from(*extranonce2 == 0xff);
                let share = Share {
                    job: Arc::clone(job),
                    extranonce2: vec![*extranonce2; job.extranonce2_len + extra],
                    ntime: job.ntime.wrapping_add(u32::from(*ntime)),
                    nonce: *nonce,
                    version: job.version ^ (version & job.version_mask),
                    hash: if *easy { [0; 32] } else { [0x7f; 32] },
                };
                self.handed_in += 1;
                // A refusal is counted as well.
                let _ = self.session.submit(self.now, share);
            }
            Step::Passes { deciseconds } => {
                self.pass(self.now + Duration::from_millis(100 * u64::from(*deciseconds)));
            }
            Step::UntilDue => {
                if let Some(due) = self.session.poll_timeout() {
                    self.pass(due);
                }
            }
            Step::Connects if self.wanted => {
                self.wanted = false;
                self.session.connected(self.now);
            }
            Step::HangsUp { how } => {
                let reason = match how % 3 {
                    0 => Reason::PeerClosed,
                    1 => Reason::Io("reset".to_owned()),
                    _ => Reason::ConnectFailed("refused".to_owned()),
                };
                self.session.disconnected(self.now, reason);
            }
            Step::Stops => self.session.stop(self.now),
            Step::Starts => self.session.start(self.now),
            _ => {}
        }
        self.drain();
        let stats = self.session.stats();
        let ended = stats.accepted + stats.rejected + stats.unconfirmed + stats.dropped;
        assert_eq!(ended + stats.open, self.handed_in, "{stats:?}");
    }

    fn end(mut self) -> (Vec<Event>, Stats) {
        self.session.stop(self.now);
        self.drain();
        assert_eq!(self.session.poll_timeout(), None);
        let stats = self.session.stats();
        assert_eq!(stats.open, 0);
        assert_eq!(
            stats.rejects.iter().map(|reject| reject.count).sum::<u64>(),
            stats.rejected
        );
        (self.events, stats)
    }
}

fuzz_target!(|input: Input| {
    let run = |piece: usize| {
        let mut shell = Shell::new(input.seed);
        shell.take(&Step::Starts, piece);
        shell.take(&Step::Connects, piece);
        for step in &input.steps {
            shell.take(step, piece);
        }
        shell.end()
    };
    let (whole, cut) = (run(usize::MAX), run(usize::from(input.piece).max(1)));
    // NaN cannot be in it: no such difficulty is taken.
    assert_eq!(whole, cut);
});
