//! Recorded sessions with real pools, replayed through ours: what the pools said is read as
//! they meant it, and what we send is what they accepted.

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use mining::{Job, Share, Target};
use serde_json::{Value, json};
use stratum::Secret;
use stratum::v1::answer::{Verdict, verdict};
use stratum::v1::message::{Incoming, parse};
use stratum::v1::{Config, VersionBitsForm};
use stratum::{Event, Reason, RejectKind};
use support::{MASK, Table, block_hash, s, session, unhex};

use RejectKind::{
    Duplicate, LowDifficulty, Other, Stale, TimeOutOfRange, Unauthorized, VersionBits,
};
use VersionBitsForm::{Changed, Final};

struct Line {
    t: f64,
    dir: String,
    raw: Option<String>,
    msg: Value,
}

fn read(name: &str) -> Vec<Line> {
    let path = format!(
        "{}/tests/data/transcripts/{name}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        Line {
            t: value["t"].as_f64().unwrap(),
            dir: value["dir"].as_str().unwrap().to_owned(),
            raw: value["raw"].as_str().map(str::to_owned),
            msg: value["msg"].clone(),
        }
    };
    text.lines().map(line).collect()
}

/// What came of a recording.
struct Replay {
    table: Table,
    jobs: Vec<Arc<Job>>,
    /// The verdict that the pool gave on each recorded submit, in order.
    verdicts: Vec<Option<RejectKind>>,
    /// Submits that our session sent itself, word for word.
    sent_alike: usize,
    /// Submits that our session refused to send.
    refused: usize,
    /// Recorded hashes that the jobs gave again.
    hashes: usize,
}

/// A submit as recorded, taken apart.
struct Submit {
    params: Vec<String>,
    note: Value,
}

impl Submit {
    fn bits(&self) -> Option<u32> {
        self.params
            .get(5)
            .map(|bits| u32::from_str_radix(bits, 16).unwrap())
    }

    /// The share of which this is the submit, as its recorded hash proves.
    fn share(&self, jobs: &[Arc<Job>]) -> Option<Share> {
        let [_, id, extranonce2, ntime, nonce, ..] = self.params.as_slice() else {
            return None;
        };
        let number = |digits: &str| u32::from_str_radix(digits, 16).ok();
        let (ntime, nonce) = (number(ntime)?, number(nonce)?);
        let extranonce2 = unhex(extranonce2);
        let job = jobs.iter().rfind(|job| job.id == *id)?;
        let bits = self.bits().unwrap_or(0);
        let versions = [
            job.version,
            job.version | bits,
            job.version ^ bits,
            job.version & !MASK | bits,
        ];
        let written = self.note["hash"].as_str()?;
        let version = versions
            .into_iter()
            .find(|version| block_hash(job, &extranonce2, *version, ntime, nonce) == written)?;
        let mut hash: [u8; 32] = unhex(written).try_into().unwrap();
        hash.reverse();
        Some(Share {
            job: Arc::clone(job),
            extranonce2,
            ntime,
            nonce,
            version,
            hash,
        })
    }
}

fn config_of(lines: &[Line], form: VersionBitsForm) -> Config {
    let requests: Vec<Value> = lines
        .iter()
        .filter(|line| line.dir == "c->s")
        .filter_map(|line| serde_json::from_str(line.raw.as_deref()?).ok())
        .collect();
    let request = |method: &str| requests.iter().find(|request| request["method"] == method);
    let text = |method: &str, index: usize| {
        request(method).map_or("x".to_owned(), |request| {
            request["params"][index].as_str().unwrap().to_owned()
        })
    };
    let url = "stratum+tcp://127.0.0.1:3333".parse().unwrap();
    let password = Secret::new(text("mining.authorize", 1));
    let mut config = Config::new(url, text("mining.authorize", 0), password);
    config.agent = text("mining.subscribe", 0);
    config.extranonce_subscribe = request("mining.extranonce.subscribe").is_some();
    if request("mining.configure").is_none() {
        config.version_mask = 0;
    }
    config.memory.version_bits = form;
    config
}

fn replay(name: &str, form: VersionBitsForm) -> Replay {
    let lines = read(name);
    let mut replay = Replay {
        table: Table::new(session(config_of(&lines, form))),
        jobs: Vec::new(),
        verdicts: Vec::new(),
        sent_alike: 0,
        refused: 0,
        hashes: 0,
    };
    replay.table.session.start(s(0.0));
    replay.table.session.connected(s(0.0));
    replay.table.drain();
    replay.run(&lines);
    replay
}

impl Replay {
    fn run(&mut self, lines: &[Line]) {
        // Ids of the recording to ours, and the submits among them.
        let mut ids: HashMap<String, u64> = HashMap::new();
        let mut submits: HashMap<String, ()> = HashMap::new();
        let mut note = Value::Null;
        for line in lines {
            self.table.now = s(line.t);
            match (line.dir.as_str(), line.raw.as_deref()) {
                ("note", Some("server closed the connection")) => self.table.hang_up(),
                ("note", None) => note = line.msg.clone(),
                ("c->s", Some(raw)) => {
                    let Ok(request) = serde_json::from_str::<Value>(raw) else {
                        continue;
                    };
                    let id = request["id"].to_string();
                    let method = request["method"].as_str().unwrap();
                    if method == "mining.submit" {
                        submits.insert(id.clone(), ());
                        ids.extend(self.resubmit(&request, note.take()).map(|ours| (id, ours)));
                    } else if let Some(ours) = self.table.id_of(method) {
                        self.compare(&request);
                        ids.insert(id, ours);
                    }
                }
                ("s->c", Some(raw)) => {
                    let mut said: Value = serde_json::from_str(raw).unwrap();
                    if said.get("method").is_none() {
                        let id = said["id"].to_string();
                        if submits.contains_key(&id) {
                            self.judge(raw);
                        }
                        said["id"] = json!(ids.get(&id).copied().unwrap_or(1_000_000));
                    }
                    self.table.say(&said);
                    self.jobs = self.table.jobs();
                }
                _ => {}
            }
        }
    }

    /// Our request must be the recorded one, except for what we do not ask for on purpose.
    fn compare(&self, recorded: &Value) {
        let method = recorded["method"].as_str().unwrap();
        let ours = self
            .table
            .sent
            .iter()
            .rfind(|line| line["method"] == method)
            .unwrap();
        let asks_for_more = recorded["params"][0]
            .as_array()
            .is_some_and(|a| a.len() > 1);
        if !asks_for_more && method != "mining.suggest_difficulty" {
            assert_eq!(ours["params"], recorded["params"], "{method}");
        }
    }

    fn judge(&mut self, raw: &str) {
        let Ok(Incoming::Response(response)) = parse(raw.as_bytes()) else {
            panic!("no response: {raw}");
        };
        self.verdicts.push(match verdict(&response) {
            Verdict::Accepted => None,
            Verdict::Rejected { kind, .. } => Some(kind),
        });
    }

    /// Hands the recorded share to our session and compares what it sends.
    fn resubmit(&mut self, request: &Value, note: Value) -> Option<u64> {
        let params: Vec<String> = request["params"]
            .as_array()
            .unwrap()
            .iter()
            .map(|param| param.as_str().unwrap().to_owned())
            .collect();
        let submit = Submit { params, note };
        let share = submit.share(&self.jobs)?;
        self.hashes += 1;
        if submit.params[0] != self.table.session.config().user {
            return None;
        }
        self.table.sent.clear();
        if self.table.submit(share.clone()).is_err() {
            self.refused += 1;
            return None;
        }
        let ours = self.table.sent.pop().expect("sent at once");
        // Recordings of wrong submits (bits left out or outside of the mask) are not ours.
        let mask = self.table.session.stats().version_mask;
        let proper = match submit.bits() {
            None => mask == 0,
            Some(bits) => [
                share.version & mask,
                (share.version ^ share.job.version) & mask,
            ]
            .contains(&bits),
        };
        if proper && ours["params"] == request["params"] {
            self.sent_alike += 1;
        } else if proper {
            // Only the form of the version bits may differ.
            assert_eq!(
                ours["params"].as_array().unwrap()[..5],
                request["params"].as_array().unwrap()[..5]
            );
        }
        ours["id"].as_u64()
    }

    fn session_verdicts(&self) -> (usize, usize) {
        let count = |f: fn(&Event) -> bool| self.table.events.iter().filter(|e| f(e)).count();
        (
            count(|event| matches!(event, Event::ShareAccepted(_))),
            count(|event| matches!(event, Event::ShareRejected { .. })),
        )
    }

    fn last_job(&self) -> &Job {
        self.jobs.last().expect("a job")
    }

    fn difficulties(&self) -> Vec<f64> {
        let difficulty = |event: &Event| match event {
            Event::Difficulty(difficulty) => Some(*difficulty),
            _ => None,
        };
        self.table.events.iter().filter_map(difficulty).collect()
    }
}

fn target(difficulty: f64) -> Target {
    Target::from_difficulty(difficulty.try_into().unwrap())
}

fn ids(jobs: &[Arc<Job>]) -> Vec<&str> {
    jobs.iter().map(|job| job.id.as_str()).collect()
}

fn generations(jobs: &[Arc<Job>]) -> Vec<u64> {
    jobs.iter().map(|job| job.generation).collect()
}

#[test]
fn ckpool_of_2026() {
    let replay = replay("v1-ckpool-lhr", Final);
    #[rustfmt::skip]
    let verdicts = [
        None, Some(Duplicate), None, Some(VersionBits), None, Some(LowDifficulty), Some(Stale),
        None, Some(TimeOutOfRange), Some(TimeOutOfRange), Some(LowDifficulty), None,
        Some(Unauthorized), Some(Other), Some(Other), Some(Other), Some(Other), None,
    ];
    assert_eq!(replay.verdicts, verdicts);
    assert_eq!(replay.difficulties(), [0.0001, 2.0]);
    assert_eq!(
        ids(&replay.jobs),
        ["6b0302ef00000001", "6b0302ef00000002", "6b0302ef00000003"]
    );
    assert_eq!(replay.last_job().extranonce1, [0xf0, 0x02, 0x03, 0x6b]);
    assert_eq!(replay.last_job().extranonce2_len, 8);
    assert_eq!(replay.last_job().version_mask, MASK);
    // Only the first job was clean.
    assert_eq!(generations(&replay.jobs), [1, 1, 1]);
    // A new difficulty counts from the next job on.
    let targets: Vec<Target> = replay.jobs.iter().map(|job| job.target).collect();
    assert_eq!(targets, [target(0.0001), target(0.0001), target(2.0)]);
    assert_eq!(
        (replay.hashes, replay.sent_alike, replay.refused),
        (10, 5, 2)
    );
    // Rejected were the duplicate and the recorder's wrong sixth field.
    assert_eq!(replay.session_verdicts(), (5, 2));
}

#[test]
fn ckpool_of_2017_with_its_own_forms_of_rejects() {
    let replay = replay("v1-ckpool-2017", Final);
    #[rustfmt::skip]
    let verdicts = [
        Some(LowDifficulty), Some(LowDifficulty), Some(LowDifficulty), Some(Stale),
        Some(LowDifficulty), Some(TimeOutOfRange), Some(TimeOutOfRange), Some(LowDifficulty),
        Some(LowDifficulty), Some(Unauthorized), Some(Other), Some(Other), Some(Other),
        Some(Other), Some(LowDifficulty),
    ];
    assert_eq!(replay.verdicts, verdicts);
    assert_eq!(replay.difficulties(), [1.0]);
    assert_eq!(replay.jobs.len(), 4);
    assert_eq!(generations(&replay.jobs), [1, 1, 1, 1]);
    assert_eq!(replay.last_job().version_mask, 0);
    assert_eq!(replay.last_job().extranonce1, [0x19, 0x03, 0x03, 0x6b]);
    assert_eq!(
        (replay.hashes, replay.sent_alike, replay.refused),
        (7, 4, 2)
    );
    assert_eq!(replay.session_verdicts(), (0, 4));
    let rejects = replay.table.session.stats().rejects;
    assert_eq!(rejects.len(), 1);
    assert_eq!(rejects[0].text, "Above target");
}

#[test]
fn ckpool_and_a_share_that_became_a_block() {
    let replay = replay("v1-ckpool-lhr-core-block", Changed);
    assert_eq!(replay.verdicts, [None]);
    assert_eq!(
        (replay.hashes, replay.sent_alike, replay.refused),
        (1, 1, 0)
    );
    assert_eq!(replay.session_verdicts(), (1, 0));
    assert_eq!(replay.jobs.len(), 36);
    assert_eq!(replay.last_job().id, "6b0308fe00000026");
    // The block made the last but one clean.
    let mut expected = vec![1; 34];
    expected.extend([2, 2]);
    assert_eq!(generations(&replay.jobs), expected);
    // Bits that the job sets itself are not rolled.
    assert_eq!(replay.last_job().rollable_mask(), 0x0fff_e000);
}

#[test]
fn public_pool_on_signet() {
    let replay = replay("v1-public-pool-signet", Final);
    #[rustfmt::skip]
    let verdicts = [
        None, Some(Duplicate), None, Some(LowDifficulty), None, Some(LowDifficulty), Some(Stale),
        None, None, None, Some(LowDifficulty), Some(LowDifficulty), Some(LowDifficulty),
        Some(LowDifficulty), Some(Other), Some(Stale), Some(Duplicate), Some(LowDifficulty),
    ];
    assert_eq!(replay.verdicts, verdicts);
    assert_eq!(replay.difficulties(), [0.0001, 0.0064]);
    assert_eq!(ids(&replay.jobs), ["1", "2", "3"]);
    // The first job comes with clean_jobs false.
    assert_eq!(generations(&replay.jobs), [1, 2, 2]);
    assert_eq!(replay.jobs[1].target, target(0.0064));
    assert_eq!(replay.last_job().extranonce2_len, 4);
    // The share for the job before the clean one is not sent.
    assert_eq!(
        (replay.hashes, replay.sent_alike, replay.refused),
        (10, 4, 3)
    );
}

#[test]
fn public_pool_on_regtest_reads_version_bits_by_xor() {
    let replay = replay("v1-public-pool-regtest", Changed);
    #[rustfmt::skip]
    let verdicts = [
        None, Some(Duplicate), None, Some(LowDifficulty), Some(LowDifficulty),
        Some(Stale), Some(Stale), Some(Stale), Some(Stale), Some(Stale), Some(Stale),
        Some(Stale), Some(Stale), Some(Stale), Some(Other), Some(Stale), Some(Duplicate),
        Some(Stale),
    ];
    assert_eq!(replay.verdicts, verdicts);
    assert_eq!(generations(&replay.jobs), [1, 2, 3]);
    // The recorder cleared the job's bits, which cannot be said without a sixth field: that
    // one hash is not the job's.
    assert_eq!(
        (replay.hashes, replay.sent_alike, replay.refused),
        (9, 3, 4)
    );
}

#[test]
fn sri_translator_on_signet() {
    let replay = replay("v1-sri-translator-signet", Final);
    #[rustfmt::skip]
    let verdicts = [
        None, Some(Duplicate), None, Some(Other), Some(Other), Some(LowDifficulty), Some(Stale),
        None, None, None, Some(Other), Some(Other), Some(Unauthorized),
    ];
    assert_eq!(replay.verdicts, verdicts);
    assert_eq!(replay.difficulties(), [0.000_023_282_941_921_110_02]);
    assert_eq!(replay.last_job().extranonce1.len(), 16);
    assert_eq!(replay.last_job().extranonce2_len, 4);
    assert_eq!(replay.last_job().version_mask, MASK);
    assert_eq!(
        (replay.hashes, replay.sent_alike, replay.refused),
        (9, 4, 2)
    );
    assert_eq!(
        replay.table.why_closed().unwrap(),
        Reason::PeerClosed.to_string()
    );
}

#[test]
fn the_final_form_of_version_bits_suits_ckpool_and_the_translator() {
    let low = Some(LowDifficulty);
    let ckpool = replay("v1-vbits-ckpool-lhr", Final);
    // Kept bits are taken in both forms, cleared ones in none.
    assert_eq!(
        ckpool.verdicts,
        [None, None, None, None, low, low, low, low]
    );
    // Half of the shares were recorded in the form that we send.
    assert_eq!(
        (ckpool.hashes, ckpool.sent_alike, ckpool.refused),
        (8, 4, 0)
    );
    let translator = replay("v1-vbits-sri-translator", Final);
    assert_eq!(
        translator.verdicts,
        [None, None, low, low, None, None, low, low]
    );
    assert_eq!(
        (translator.hashes, translator.sent_alike, translator.refused),
        (8, 4, 0)
    );
    assert_eq!(generations(&translator.jobs), [1, 2, 3, 4, 5]);
}

#[test]
fn the_changed_form_of_version_bits_is_what_the_other_half_recorded() {
    for name in ["v1-vbits-ckpool-lhr", "v1-vbits-sri-translator"] {
        let replay = replay(name, Changed);
        assert_eq!((replay.sent_alike, replay.refused), (4, 0), "{name}");
    }
}

#[test]
fn a_pool_that_hangs_up_on_configure_is_asked_without_it_at_once() {
    for name in [
        "v1-ckpool-2017-configure-first",
        "v1-sri-translator-fractional-minimum-difficulty-disconnect",
    ] {
        let mut table = replay(name, Final).table;
        assert!(
            !table
                .sent
                .iter()
                .any(|line| line.to_string().contains("minimum-difficulty"))
        );
        let retry = table.events.iter().rev().find_map(|event| match event {
            Event::Disconnected { retry_in, .. } => *retry_in,
            _ => None,
        });
        assert_eq!(retry, Some(s(0.0)), "{name}");
        table.connect_again();
        assert_eq!(table.methods()[0], "mining.subscribe");
    }
}

#[test]
fn an_authorize_that_came_too_early_is_sent_again_after_the_subscription() {
    let replay = replay("v1-ckpool-lhr-authorize-before-subscribe", Final);
    assert_eq!(replay.table.why_closed(), None);
    assert_eq!(
        replay.table.methods(),
        [
            "mining.subscribe",
            "mining.extranonce.subscribe",
            "mining.authorize",
            "mining.authorize"
        ]
    );
    assert_eq!(ids(&replay.jobs), ["6b030b4b00000002"]);
}

#[test]
fn ckpool_resumes_and_takes_the_shares_of_the_connection_before() {
    let before = read("v1-ckpool-lhr-resume-1-before");
    let after = read("v1-ckpool-lhr-resume-2-after");
    let config = config_of(&before, Changed);
    let mut replay = Replay {
        table: Table::new(session(config)),
        jobs: Vec::new(),
        verdicts: Vec::new(),
        sent_alike: 0,
        refused: 0,
        hashes: 0,
    };
    replay.table.session.start(s(0.0));
    replay.table.session.connected(s(0.0));
    replay.table.drain();
    // The answer to the share is lost with the connection.
    let lost = before.len() - 2;
    assert!(
        before[lost]
            .raw
            .as_deref()
            .unwrap()
            .contains(r#""result":true,"error":null,"id":4"#)
    );
    replay.run(&before[..lost]);
    assert_eq!(replay.sent_alike, 1);
    let table = &mut replay.table;
    table.now = s(1.6);
    table.hang_up();

    // The second share is found while there is no connection.
    let recorded: Vec<(Value, &Value)> = after
        .windows(2)
        .filter_map(|pair| {
            let request: Value = serde_json::from_str(pair[1].raw.as_deref()?).ok()?;
            (request["method"] == "mining.submit").then_some((request, &pair[0].msg))
        })
        .collect();
    let params = |request: &Value| {
        let list = request["params"].as_array().unwrap().iter();
        list.map(|param| param.as_str().unwrap().to_owned())
            .collect()
    };
    let found = Submit {
        params: params(&recorded[0].0),
        note: recorded[0].1.clone(),
    };
    let found = found.share(&replay.jobs).expect("its hash is right");
    table.submit(found).unwrap();

    table.connect_again();
    let start = table.now;
    let subscribe = table
        .sent
        .iter()
        .find(|line| line["method"] == "mining.subscribe");
    assert_eq!(
        subscribe.unwrap()["params"],
        json!(["h-sv2-resume/0.1", "6b030b4c"])
    );
    table.events.clear();
    for line in after
        .iter()
        .filter(|line| line.dir == "s->c" && line.t < 1.0)
    {
        table.now = start + s(line.t);
        let mut said: Value = serde_json::from_str(line.raw.as_deref().unwrap()).unwrap();
        if let Some(recorded) = said["id"].as_u64() {
            let methods = [
                "",
                "mining.configure",
                "mining.subscribe",
                "mining.authorize",
            ];
            said["id"] = json!(table.id_of(methods[recorded as usize]).unwrap());
        }
        table.say(&said);
    }
    assert!(table.events.contains(&Event::Subscribed { resumed: true }));

    // The unanswered share goes first, the new one after it, word for word as recorded.
    let submits: Vec<Value> = table
        .sent
        .iter()
        .filter(|line| line["method"] == "mining.submit")
        .cloned()
        .collect();
    assert_eq!(submits.len(), 2);
    assert_eq!(submits[0]["params"], recorded[1].0["params"]);
    assert_eq!(submits[1]["params"], recorded[0].0["params"]);
    table.say(&json!({"result": true, "error": null, "id": submits[1]["id"]}));
    table.say(&json!({"result": false, "error": [22, "Duplicate", null], "id": submits[0]["id"]}));
    let stats = table.session.stats();
    assert_eq!(
        (stats.accepted, stats.rejected, stats.unconfirmed),
        (2, 0, 0)
    );
    assert_eq!((stats.dropped, stats.resumes), (0, 1));
}
