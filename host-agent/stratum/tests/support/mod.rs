//! What several tests need: sessions to play with, recordings, and headers hashed without
//! any code of the miner.
#![allow(dead_code, unreachable_pub)]

pub mod played;
pub mod rig;
pub mod socks;

use std::sync::Arc;
use std::time::Duration;

use mining::{Job, Share};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stratum::v1::{Config, Session};
use stratum::{Action, Event, Secret, Sequence};

pub const MASK: u32 = 0x1fff_e000;

pub fn config() -> Config {
    let url = "stratum+tcp://eu.pool.example:3333".parse().unwrap();
    Config::new(url, "bc1quser.rig", Secret::new("hunter2"))
}

pub fn session(config: Config) -> Session {
    Session::new(config, 7, Sequence::new()).unwrap()
}

pub fn s(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A pool's side of the table: lines in, lines and events out.
pub struct Table {
    pub session: Session,
    pub now: Duration,
    pub events: Vec<Event>,
    pub actions: Vec<Action>,
    pub sent: Vec<Value>,
}

impl Table {
    pub fn new(session: Session) -> Self {
        Self {
            session,
            now: Duration::ZERO,
            events: Vec::new(),
            actions: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// A table with an open connection; the requests of the handshake are in `sent`.
    pub fn connected(config: Config) -> Self {
        let mut table = Self::new(session(config));
        table.session.start(Duration::ZERO);
        table.session.connected(Duration::ZERO);
        table.drain();
        table
    }

    /// A table at which a ckpool-like pool has answered everything and sent job `a`.
    pub fn mining(config: Config) -> Self {
        let mut table = Self::connected(config);
        table.welcome("6b030b4c", "4c0b036b", 8);
        table.say(&json!({"id": null, "method": "mining.set_difficulty", "params": [0.0005]}));
        table.say(&notify("a", &NotifyParts::default()));
        table
    }

    /// Answers configure, subscribe and authorize.
    pub fn welcome(&mut self, session_id: &str, extranonce1: &str, extranonce2_len: usize) {
        if let Some(id) = self.id_of("mining.configure") {
            self.answer(
                id,
                &json!({"version-rolling": true, "version-rolling.mask": "1fffe000"}),
            );
        }
        let id = self.id_of("mining.subscribe").unwrap();
        let result = json!([
            [["mining.notify", session_id]],
            extranonce1,
            extranonce2_len
        ]);
        self.answer(id, &result);
        let id = self.id_of("mining.authorize").unwrap();
        self.answer(id, &json!(true));
    }

    pub fn answer(&mut self, id: u64, result: &Value) {
        self.say(&json!({"id": id, "result": result, "error": null}));
    }

    /// The number of our last request with this method.
    pub fn id_of(&self, method: &str) -> Option<u64> {
        let request = self.sent.iter().rfind(|line| line["method"] == method)?;
        request["id"].as_u64()
    }

    pub fn methods(&self) -> Vec<&str> {
        self.sent
            .iter()
            .map(|line| line["method"].as_str().unwrap_or("answer"))
            .collect()
    }

    pub fn say(&mut self, line: &Value) {
        self.say_raw(&format!("{line}\n"));
    }

    pub fn say_raw(&mut self, text: &str) {
        self.session.handle_bytes(self.now, text.as_bytes());
        self.drain();
    }

    pub fn submit(&mut self, share: Share) -> Result<(), stratum::Refusal> {
        let result = self.session.submit(self.now, share);
        self.drain();
        result
    }

    /// Lets time pass, with all deadlines in it.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.drain();
            if self.session.poll_timeout().is_some_and(|next| next <= due) {
                panic!("a deadline that does not go away: {due:?}");
            }
        }
        self.now = end;
        self.session.handle_timeout(end);
        self.drain();
    }

    /// The pool hangs up; the session waits, and is connected again.
    pub fn reconnect(&mut self) {
        self.hang_up();
        self.connect_again();
    }

    pub fn hang_up(&mut self) {
        let reason = stratum::Reason::PeerClosed;
        self.session.disconnected(self.now, reason);
        self.drain();
    }

    pub fn connect_again(&mut self) {
        self.actions.clear();
        while !matches!(self.actions.last(), Some(Action::Connect { .. })) {
            let due = self.session.poll_timeout().expect("a retry");
            self.pass(due.saturating_sub(self.now));
        }
        self.sent.clear();
        self.session.connected(self.now);
        self.drain();
    }

    pub fn drain(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.actions.push(action);
        }
        while let Some(line) = self.session.poll_transmit() {
            assert_eq!(line.last(), Some(&b'\n'));
            assert!(line.len() < 8192, "a line of {} bytes", line.len());
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            self.sent.push(serde_json::from_slice(&line).unwrap());
        }
        while let Some(event) = self.session.poll_event() {
            self.events.push(event);
        }
    }

    pub fn jobs(&self) -> Vec<Arc<Job>> {
        let job = |event: &Event| match event {
            Event::Job(job) => Some(Arc::clone(job)),
            _ => None,
        };
        self.events.iter().filter_map(job).collect()
    }

    pub fn job(&self) -> Arc<Job> {
        self.jobs().pop().expect("a job")
    }

    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Why the session closed the connection or lost it, last time.
    pub fn why_closed(&self) -> Option<String> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Disconnected { reason, .. } => Some(reason.to_string()),
            _ => None,
        })
    }
}

/// The parts of a made-up job.
pub struct NotifyParts {
    pub prev_hash: &'static str,
    pub version: &'static str,
    pub ntime: &'static str,
    pub clean: bool,
}

pub const TIP: &str = "d4aaeda3f609a9d8faf23b1a3047de6913608aa92e9255a6c34c412600000000";
pub const NEXT_TIP: &str = "fc6f583bf4bcaa485b5ab65ead9a727c31bdeaf3ac45212fa011bdea000000f8";

impl Default for NotifyParts {
    fn default() -> Self {
        Self {
            prev_hash: TIP,
            version: "20000000",
            ntime: "6b030b4b",
            clean: true,
        }
    }
}

impl NotifyParts {
    pub fn update() -> Self {
        Self {
            clean: false,
            ..Self::default()
        }
    }
}

pub fn notify(id: &str, parts: &NotifyParts) -> Value {
    let coinbase1 =
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff33029c";
    let coinbase2 =
        "ffffffff0100f2052a01000000160014751e76e8199196d454941c45d1b3a323f1433bd600000000";
    json!({"id": null, "method": "mining.notify", "params": [
        id, parts.prev_hash, coinbase1, coinbase2, [], parts.version, "207fffff", parts.ntime, parts.clean
    ]})
}

/// A share of a job whose hash is zero, which meets every target.
pub fn share(job: &Arc<Job>, nonce: u32) -> Share {
    Share {
        job: Arc::clone(job),
        extranonce2: vec![0; job.extranonce2_len],
        ntime: job.ntime,
        nonce,
        version: job.version,
        hash: [0; 32],
    }
}

pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

/// The block hash of a header made of a job, in the order in which people write it.
pub fn block_hash(job: &Job, extranonce2: &[u8], version: u32, ntime: u32, nonce: u32) -> String {
    let coinbase = [
        job.coinbase1.as_slice(),
        &job.extranonce1,
        extranonce2,
        &job.coinbase2,
    ]
    .concat();
    let root = job
        .merkle_branch
        .iter()
        .fold(sha256d(&coinbase), |root, hash| {
            sha256d(&[root, *hash].concat())
        });
    let header = [
        version.to_le_bytes().as_slice(),
        &job.prev_hash,
        &root,
        &ntime.to_le_bytes(),
        &job.nbits.to_le_bytes(),
        &nonce.to_le_bytes(),
    ]
    .concat();
    let mut hash = sha256d(&header);
    hash.reverse();
    hex(&hash)
}
