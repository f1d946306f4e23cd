//! A small miner for the tests: it speaks to a pool core without sockets and finds shares by trying
//! nonces. It asks the share check which nonce is good; the check itself is held against recordings.

#![allow(dead_code, reason = "not every test file needs every helper")]

use pool::{
    BlockHash, ConnectionId, Difficulty, Event, JobTemplate, PoolConfig, PoolCore, ShareTerms,
    Submit, Target, VardiffConfig, VersionForm, rebuild_share,
};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const MASK: u32 = 0x1fff_e000;

/// A pool that is easy to mine for (4 hashes a share) and changes nothing by itself.
pub(crate) fn easy() -> PoolConfig {
    PoolConfig {
        vardiff: VardiffConfig {
            start: Difficulty::new(1e-9).expect("above zero"),
            shares_per_minute: 0.0,
            ..VardiffConfig::default()
        },
        job_interval: Duration::ZERO,
        block_interval: Duration::ZERO,
        ..PoolConfig::default()
    }
}

pub(crate) fn with_quirks(quirks: &str) -> PoolConfig {
    PoolConfig {
        quirks: quirks.parse().expect("known quirks"),
        ..easy()
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A pool core and the time, with any number of connections.
pub(crate) struct Bench {
    pub(crate) core: PoolCore,
    pub(crate) now: Duration,
    next_id: u64,
}

impl Bench {
    pub(crate) fn new(config: PoolConfig) -> Bench {
        Bench {
            core: PoolCore::new(config).expect("a valid config"),
            now: Duration::ZERO,
            next_id: 1,
        }
    }

    pub(crate) fn connect(&mut self) -> Miner {
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        self.core.connect(self.now, id).expect("room for one more");
        Miner::new(id)
    }

    /// Lets the time pass, doing what is due on the way.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.core.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.core.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Packets for all connections, in the order of sending.
    pub(crate) fn packets(&mut self) -> Vec<(ConnectionId, Vec<u8>)> {
        std::iter::from_fn(|| self.core.poll_transmit()).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.core.poll_event()).collect()
    }
}

/// One miner: what it was told, and every line that it got.
pub(crate) struct Miner {
    pub(crate) id: ConnectionId,
    pub(crate) raw: Vec<u8>,
    pub(crate) lines: Vec<Value>,
    pub(crate) bad_lines: usize,
    pub(crate) jobs: Vec<(JobTemplate, Difficulty)>,
    pub(crate) extranonce1: Vec<u8>,
    pub(crate) extranonce2_size: usize,
    pub(crate) session_id: Option<String>,
    pub(crate) mask: Option<u32>,
    pub(crate) difficulty: Option<Difficulty>,
    /// The block version to hash inside the mask, instead of the job's own.
    pub(crate) version: Option<u32>,
    next_request: u64,
    next_extranonce2: u64,
}

impl Miner {
    fn new(id: ConnectionId) -> Miner {
        Miner {
            id,
            raw: Vec::new(),
            lines: Vec::new(),
            bad_lines: 0,
            jobs: Vec::new(),
            extranonce1: Vec::new(),
            extranonce2_size: 0,
            session_id: None,
            mask: None,
            difficulty: None,
            version: None,
            next_request: 1,
            next_extranonce2: 0,
        }
    }

    /// Sends a request and returns its id.
    pub(crate) fn send(&mut self, bench: &mut Bench, method: &str, params: Value) -> u64 {
        let id = self.next_request;
        self.next_request += 1;
        let line = json!({"id": id, "method": method, "params": params}).to_string() + "\n";
        bench.core.handle_bytes(bench.now, self.id, line.as_bytes());
        id
    }

    /// Takes everything that the pool has for this miner (and drops what is for others).
    pub(crate) fn read(&mut self, bench: &mut Bench) {
        for (id, bytes) in bench.packets() {
            if id == self.id {
                self.raw.extend(bytes);
            }
        }
        while let Some(end) = self.raw.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.raw.drain(..=end).collect();
            match serde_json::from_slice::<Value>(&line) {
                Ok(message) => self.take(message),
                Err(_) => self.bad_lines += usize::from(!line.trim_ascii().is_empty()),
            }
        }
    }

    fn take(&mut self, message: Value) {
        let params = &message["params"];
        match message["method"].as_str() {
            Some("mining.set_difficulty") => {
                self.difficulty = params[0].as_f64().and_then(|d| Difficulty::new(d).ok());
            }
            Some("mining.set_extranonce") => {
                self.extranonce1 = hex(params[0].as_str().expect("hex"));
            }
            Some("mining.set_version_mask") => {
                let mask = u32::from_str_radix(params[0].as_str().expect("hex"), 16);
                self.mask = self.mask.map(|_| mask.expect("hex"));
            }
            Some("mining.notify") => {
                let job = JobTemplate::from_notify(params.as_array().expect("a list"));
                if let (Ok(job), Some(difficulty)) = (job, self.difficulty) {
                    self.jobs.push((job, difficulty));
                }
            }
            _ => {}
        }
        self.lines.push(message);
    }

    /// The answer to a request, if it came.
    pub(crate) fn answer(&self, id: u64) -> Option<&Value> {
        let same = |line: &&Value| line["id"] == json!(id) || line["id"] == json!(id.to_string());
        self.lines
            .iter()
            .filter(|line| line["method"].is_null())
            .find(same)
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        let same = |line: &&Value| line["method"] == json!(method);
        self.lines.iter().filter(same).count()
    }

    /// configure, subscribe and authorize; panics unless a job came of it.
    pub(crate) fn start(&mut self, bench: &mut Bench) {
        self.try_start(bench, true, None);
        assert!(!self.jobs.is_empty(), "no job: {:?}", self.lines);
    }

    pub(crate) fn try_start(&mut self, bench: &mut Bench, configure: bool, resume: Option<&str>) {
        if configure {
            let options =
                json!({"version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": 2});
            let id = self.send(
                bench,
                "mining.configure",
                json!([["version-rolling"], options]),
            );
            self.read(bench);
            let mask = self
                .answer(id)
                .and_then(|answer| answer["result"]["version-rolling.mask"].as_str());
            self.mask = mask.and_then(|mask| u32::from_str_radix(mask, 16).ok());
        }
        let params = match resume {
            Some(session) => json!(["tester/1", session]),
            None => json!(["tester/1"]),
        };
        let id = self.send(bench, "mining.subscribe", params);
        self.read(bench);
        if let Some(answer) = self.answer(id) {
            let result = answer["result"].clone();
            self.session_id = result[0][0][1].as_str().map(str::to_owned);
            self.extranonce1 = result[1].as_str().map(hex).unwrap_or_default();
            self.extranonce2_size = result[2].as_u64().unwrap_or(0) as usize;
        }
        self.send(bench, "mining.authorize", json!(["worker.1", "x"]));
        self.read(bench);
    }

    /// A share for the newest job that meets exactly its difficulty, as submit parameters.
    pub(crate) fn find(&mut self) -> Value {
        let (job, difficulty) = self.jobs.last().expect("a job").clone();
        self.find_for(&job, Target::from_difficulty(difficulty), true)
    }

    /// A share for a job whose hash does or does not meet the target.
    pub(crate) fn find_for(&mut self, job: &JobTemplate, target: Target, meets: bool) -> Value {
        self.next_extranonce2 += 1;
        let bytes = self.next_extranonce2.to_be_bytes();
        let mut extranonce2 = vec![0; self.extranonce2_size.saturating_sub(8)];
        extranonce2.extend(&bytes[8 - self.extranonce2_size.min(8)..]);
        let terms = ShareTerms {
            extranonce1: &self.extranonce1,
            extranonce2_size: self.extranonce2_size,
            version_mask: self.mask,
            target,
        };
        let submit = (0..).map(|nonce| Submit {
            worker: "worker.1".to_owned(),
            job_id: job.id.clone(),
            extranonce2: extranonce2.clone(),
            ntime: job.ntime,
            nonce,
            version_bits: self
                .mask
                .map(|mask| self.version.unwrap_or(job.version) & mask),
        });
        let found = submit
            .take(50_000_000)
            .find(|submit| {
                let share = rebuild_share(job, &terms, VersionForm::Replace, submit);
                target.is_met_by(&share.hash) == meets
            })
            .expect("a share among so many");
        params(&found)
    }

    /// The hash that a share for this job has.
    pub(crate) fn hash(&self, job: &JobTemplate, params: &Value) -> BlockHash {
        let submit = Submit::from_params(params).expect("a share");
        let terms = ShareTerms {
            extranonce1: &self.extranonce1,
            extranonce2_size: self.extranonce2_size,
            version_mask: self.mask,
            target: Target::EASIEST,
        };
        rebuild_share(job, &terms, VersionForm::Replace, &submit).hash
    }

    /// Submits and returns the request's id; the answer is read.
    pub(crate) fn submit(&mut self, bench: &mut Bench, params: Value) -> u64 {
        let id = self.send(bench, "mining.submit", params);
        self.read(bench);
        id
    }

    /// Submits and returns the code of the refusal, 0 for a good share.
    pub(crate) fn code(&mut self, bench: &mut Bench, params: Value) -> i64 {
        let id = self.submit(bench, params);
        let answer = self.answer(id).expect("an answer");
        match answer["result"].as_bool() {
            Some(true) => 0,
            _ => answer["error"][0].as_i64().expect("a code"),
        }
    }
}

pub(crate) fn params(submit: &Submit) -> Value {
    let text: String = submit
        .extranonce2
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let mut params = vec![
        json!(submit.worker),
        json!(submit.job_id),
        json!(text),
        json!(format!("{:08x}", submit.ntime)),
        json!(format!("{:08x}", submit.nonce)),
    ];
    params.extend(submit.version_bits.map(|bits| json!(format!("{bits:08x}"))));
    Value::Array(params)
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .filter_map(|at| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok())
        .collect()
}
