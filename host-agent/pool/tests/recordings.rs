//! The share check against recorded sessions with real pools: for every recorded submit it must reach
//! the verdict that the pool gave, and the hash of every good share must be the one that the recording
//! client noted (computed by a program of its own).

use pool::{
    Difficulty, JobTemplate, Reject, ShareRules, ShareTerms, Submit, Target, check_share,
    rebuild_share,
};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// What differs between the recorded pools outside the share rules.
struct Pool {
    rules: ShareRules,
    /// Judges all jobs by the newest difficulty.
    difficulty_at_once: bool,
    /// One extranonce2 of wrong size spoils its job.
    poisons_jobs: bool,
    /// The code it gives for a worker name that was not authorised.
    worker_code: i64,
}

const CKPOOL: Pool = Pool {
    rules: ShareRules::CKPOOL,
    difficulty_at_once: false,
    poisons_jobs: false,
    worker_code: 20,
};
const PUBLIC_POOL: Pool = Pool {
    rules: ShareRules::PUBLIC_POOL,
    difficulty_at_once: true,
    poisons_jobs: true,
    worker_code: 24,
};
const SRI: Pool = Pool {
    rules: ShareRules::SRI,
    difficulty_at_once: false,
    poisons_jobs: false,
    worker_code: 24,
};

#[derive(Default)]
struct Tally {
    accepted: usize,
    rejected: usize,
    hashes: usize,
}

struct Announced {
    job: JobTemplate,
    difficulty: Difficulty,
    poisoned: bool,
}

#[derive(Default)]
struct Replay {
    extranonce1: Vec<u8>,
    extranonce2_size: usize,
    mask: Option<u32>,
    difficulty: Option<Difficulty>,
    workers: Vec<String>,
    jobs: HashMap<String, Announced>,
    seen: HashSet<pool::BlockHash>,
    texts: HashSet<String>,
    asked: HashMap<String, (Value, Option<String>)>,
    tally: Tally,
}

impl Replay {
    fn told_by_server(&mut self, message: &Value, pool: &Pool) {
        match message["method"].as_str() {
            Some("mining.set_difficulty") => {
                let value = message["params"][0].as_f64().expect("a number");
                self.difficulty = Some(Difficulty::new(value).expect("a difficulty"));
            }
            Some("mining.notify") => {
                let params = message["params"].as_array().expect("a list");
                let job = JobTemplate::from_notify(params).expect("a recorded job");
                assert_eq!(
                    &job.to_notify(),
                    params,
                    "a job must be written as it was read"
                );
                self.jobs
                    .retain(|_, old| old.job.prev_hash == job.prev_hash);
                let difficulty = self.difficulty.expect("difficulty comes before the job");
                let announced = Announced {
                    difficulty,
                    poisoned: false,
                    job,
                };
                self.jobs.insert(announced.job.id.clone(), announced);
            }
            Some(_) => {}
            None => {
                let Some((request, noted)) = self.asked.remove(&message["id"].to_string()) else {
                    return;
                };
                self.answered(&request, noted, message, pool);
            }
        }
    }

    fn answered(&mut self, request: &Value, noted: Option<String>, answer: &Value, pool: &Pool) {
        let result = &answer["result"];
        match request["method"].as_str() {
            Some("mining.configure") => {
                let mask = result["version-rolling.mask"].as_str();
                self.mask = mask.map(|mask| u32::from_str_radix(mask, 16).expect("hex"));
            }
            Some("mining.subscribe") => {
                let hex = result[1].as_str().expect("extranonce1");
                self.extranonce1 = (0..hex.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
                    .collect();
                self.extranonce2_size = result[2].as_u64().expect("a size") as usize;
            }
            Some("mining.authorize") => {
                let worker = request["params"][0].as_str().expect("a worker");
                self.workers.push(worker.to_owned());
            }
            Some("mining.submit") => {
                let verdict = self.judge(&request["params"], noted.as_deref(), pool);
                let expected = result == &Value::Bool(true);
                assert_eq!(verdict.is_ok(), expected, "{request} {verdict:?} {answer}");
                if let (Err(reject), Some(code)) = (&verdict, answer["error"][0].as_i64()) {
                    let ours = match reject {
                        Reject::WorkerMismatch => pool.worker_code,
                        other => other.code(),
                    };
                    assert_eq!(ours, code, "{request} {reject:?} {answer}");
                }
                self.tally.accepted += usize::from(expected);
                self.tally.rejected += usize::from(!expected);
            }
            _ => {}
        }
    }

    fn judge(&mut self, params: &Value, noted: Option<&str>, pool: &Pool) -> Result<(), Reject> {
        // public-pool compares the texts with earlier ones, then looks for the job, and reads last.
        let texts = params.to_string();
        if pool.poisons_jobs && params[4].is_string() && !self.texts.insert(texts) {
            self.tally.hashes += usize::from(noted.is_some());
            return Err(Reject::Duplicate);
        }
        let named = params[1].as_str().unwrap_or_default();
        if pool.poisons_jobs && params[4].is_string() && !self.jobs.contains_key(named) {
            return Err(Reject::UnknownJob);
        }
        let parsed = Submit::from_params(params);
        if pool.poisons_jobs && params[4].is_string() {
            let announced = self.jobs.get_mut(named).expect("looked for above");
            let size = params[2].as_str().map_or(0, str::len) / 2;
            announced.poisoned |= size != self.extranonce2_size;
            if announced.poisoned {
                return Err(Reject::LowDifficulty);
            }
        }
        let submit = parsed?;
        if pool.rules.check_worker && !self.workers.contains(&submit.worker) {
            return Err(Reject::WorkerMismatch);
        }
        let announced = self.jobs.get(&submit.job_id).ok_or(Reject::UnknownJob)?;
        let difficulty = if pool.difficulty_at_once {
            self.difficulty.expect("there is one")
        } else {
            announced.difficulty
        };
        let terms = ShareTerms {
            extranonce1: &self.extranonce1,
            extranonce2_size: self.extranonce2_size,
            version_mask: self.mask,
            target: Target::from_difficulty(difficulty),
        };
        let rebuilt = rebuild_share(&announced.job, &terms, pool.rules.version_form, &submit);
        match check_share(&announced.job, &terms, &pool.rules, &submit) {
            Ok(share) => {
                assert_eq!(share, rebuilt);
                assert_eq!(noted, Some(share.hash.to_string().as_str()));
                self.tally.hashes += 1;
                if self.seen.insert(share.hash) {
                    Ok(())
                } else {
                    Err(Reject::Duplicate)
                }
            }
            Err(rejected) => {
                if matches!(rejected.reason, Reject::NtimeOutOfRange { .. }) {
                    // The share itself was good.
                    assert_eq!(noted, Some(rebuilt.hash.to_string().as_str()));
                    self.tally.hashes += 1;
                }
                Err(rejected.reason)
            }
        }
    }
}

/// Replays one recording, or several that follow each other on the same pool.
fn replay(names: &[&str], pool: &Pool) -> Tally {
    let mut replay = Replay::default();
    for name in names {
        let path = format!(
            "{}/tests/data/transcripts/{name}.jsonl",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(&path).expect("a recording");
        let mut noted = None;
        for line in text.lines() {
            let entry: Value = serde_json::from_str(line).expect("one JSON object a line");
            let raw = entry["raw"].as_str().map(serde_json::from_str::<Value>);
            match (entry["dir"].as_str(), raw) {
                (Some("note"), _) => {
                    if let Some(hash) = entry["msg"]["hash"].as_str() {
                        noted = Some(hash.to_owned());
                    }
                }
                // One recording ends with a request that is no JSON on purpose.
                (Some("c->s"), Some(Ok(message))) => {
                    let id = message["id"].to_string();
                    replay.asked.insert(id, (message, noted.take()));
                }
                (Some("s->c"), Some(Ok(message))) => replay.told_by_server(&message, pool),
                _ => {}
            }
        }
    }
    replay.tally
}

#[test]
fn ckpool_verdicts_and_hashes_are_reproduced() {
    let tally = replay(&["v1-ckpool-lhr"], &CKPOOL);
    assert_eq!((tally.accepted, tally.rejected, tally.hashes), (6, 12, 9));
}

#[test]
fn a_block_at_core_is_a_good_share_here() {
    let tally = replay(&["v1-ckpool-lhr-core-block"], &CKPOOL);
    assert_eq!((tally.accepted, tally.rejected, tally.hashes), (1, 0, 1));
}

#[test]
fn shares_of_a_resumed_session_are_judged_alike() {
    let names = [
        "v1-ckpool-lhr-resume-1-before",
        "v1-ckpool-lhr-resume-2-after",
    ];
    let tally = replay(&names, &CKPOOL);
    assert!(tally.accepted >= 2 && tally.rejected >= 1 && tally.hashes >= 3);
}

#[test]
fn difficulty_one_refuses_what_the_old_ckpool_refused() {
    let tally = replay(&["v1-ckpool-2017"], &CKPOOL);
    assert!(tally.accepted == 0 && tally.rejected > 10);
}

#[test]
fn public_pool_verdicts_and_hashes_are_reproduced() {
    let tally = replay(&["v1-public-pool-signet"], &PUBLIC_POOL);
    assert_eq!((tally.accepted, tally.hashes), (6, 7));
    assert!(tally.rejected >= 10);
    let tally = replay(&["v1-public-pool-regtest"], &PUBLIC_POOL);
    assert!(tally.accepted >= 2 && tally.rejected >= 10);
}

#[test]
fn sri_translator_verdicts_and_hashes_are_reproduced() {
    let tally = replay(&["v1-sri-translator-signet"], &SRI);
    assert!(tally.accepted >= 5 && tally.rejected >= 8 && tally.hashes >= 6);
}

#[test]
fn version_bits_mean_what_each_pool_takes_them_for() {
    let tally = replay(&["v1-vbits-ckpool-lhr"], &CKPOOL);
    assert_eq!((tally.accepted, tally.rejected, tally.hashes), (4, 4, 4));
    let tally = replay(&["v1-vbits-sri-translator"], &SRI);
    assert_eq!((tally.accepted, tally.rejected, tally.hashes), (4, 4, 4));
}

/// Public test jobs of the field with merkle branches, with every step's expected value.
#[test]
fn headers_of_jobs_with_merkle_branches_are_right_to_the_last_byte() {
    let path = format!(
        "{}/tests/data/header-chain.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).expect("vectors");
    let vectors: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let bytes = |value: &Value| -> Vec<u8> {
        let hex = value.as_str().expect("hex");
        let pairs = (0..hex.len()).step_by(2);
        pairs
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
            .collect()
    };
    let (mut headers, mut shares) = (0, 0);
    for vector in vectors.iter().filter(|vector| vector["header"].is_string()) {
        let params = [
            json!("1"),
            vector["prevhash"].clone(),
            vector["coinbase1"].clone(),
            vector["coinbase2"].clone(),
            vector["merkle_branches"].clone(),
            vector["version"].clone(),
            vector["nbits"].clone(),
            vector["ntime"].clone(),
            json!(true),
        ];
        let job = JobTemplate::from_notify(&params).expect("a job");
        assert!(!job.branch.is_empty());
        let (extranonce1, extranonce2) =
            (bytes(&vector["extranonce1"]), bytes(&vector["extranonce2"]));
        let header = job.header(&extranonce1, &extranonce2, job.version, job.ntime, 0);
        let expected = bytes(&vector["header"]);
        assert_eq!(header[..76], expected[..76], "{}", vector["name"]);
        headers += 1;
        let Some(nonce) = vector["nonce"].as_str() else {
            continue;
        };
        let submit = json!(["w", "1", vector["extranonce2"], vector["ntime"], nonce]);
        let submit = Submit::from_params(&submit).expect("a share");
        let judge = |difficulty: f64| {
            let difficulty = Difficulty::new(difficulty).expect("above zero");
            let terms = ShareTerms {
                extranonce1: &extranonce1,
                extranonce2_size: extranonce2.len(),
                version_mask: None,
                target: Target::from_difficulty(difficulty),
            };
            check_share(&job, &terms, &ShareRules::STRICT, &submit)
        };
        let worth = vector["difficulty"].as_f64().expect("a number");
        let share = judge(worth.floor()).expect("good for less than it is worth");
        assert_eq!(
            Some(share.hash.to_string().as_str()),
            vector["hash_display"].as_str()
        );
        assert!((share.difficulty - worth).abs() < 1e-9 * worth && !share.is_block);
        let refused = judge(worth.ceil()).expect_err("no good for more");
        assert_eq!(refused.reason, Reject::LowDifficulty);
        shares += 1;
    }
    assert_eq!((headers, shares), (3, 1));
}
