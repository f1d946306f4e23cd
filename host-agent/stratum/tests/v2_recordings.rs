//! Sessions with a real SRI pool, recorded inside of the encryption, played against ours. What
//! is right comes from the recorded bytes, read here by hand, and from SHA-256 of another crate.
#![cfg(feature = "sv2")]

#[path = "v2_support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mining::{Job, Share};
use serde_json::Value;
use sha2::{Digest, Sha256};
use stratum::v2::wire::{FrameReader, ServerMessage};
use stratum::v2::{ChannelKind, Config};
use stratum::{Event, Reason, Refusal, RejectKind, Session as _};
use support::{Fields, Rig};

/// One frame of a recording.
struct Entry {
    at: Duration,
    from_server: bool,
    kind: u8,
    frame: Vec<u8>,
    text: String,
}

/// The parts of a recording that were recorded on connections of their own, by name.
fn parts(name: &str) -> Vec<(String, Vec<Entry>)> {
    let path = format!(
        "{}/tests/data/transcripts/{name}.jsonl",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut parts = vec![(String::new(), Vec::new())];
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        if let Some(case) = value["case"].as_str() {
            parts.push((case.to_owned(), Vec::new()));
            continue;
        }
        let kind = value["type"].as_str().unwrap().trim_start_matches("0x");
        parts.last_mut().unwrap().1.push(Entry {
            at: Duration::from_secs_f64(value["t"].as_f64().unwrap()),
            from_server: value["dir"] == "s->c",
            kind: u8::from_str_radix(kind, 16).unwrap(),
            frame: unhex(value["frame"].as_str().unwrap()),
            text: value["msg"].as_str().unwrap().to_owned(),
        });
    }
    parts.retain(|(_, entries)| !entries.is_empty());
    parts
}

fn recording(name: &str) -> Vec<Entry> {
    parts(name).remove(0).1
}

fn unhex(digits: &str) -> Vec<u8> {
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

const ALL: [&str; 7] = [
    "sv2-sri-pool-allflags",
    "sv2-sri-pool-extended",
    "sv2-sri-pool-extended-stdflag",
    "sv2-sri-pool-open-cases",
    "sv2-sri-pool-signet-extended",
    "sv2-sri-pool-standard",
    "sv2-sri-pool-standard-noflag",
];

/// The settings of the recorded client.
fn recorded_config(entries: &[Entry], channel: ChannelKind) -> Config {
    let mut config = support::config();
    let open = entries
        .iter()
        .find(|entry| matches!(entry.kind, 0x10 | 0x13))
        .unwrap();
    let mut fields = Fields::of(&open.frame);
    fields.u32();
    config.user = String::from_utf8(fields.short().to_vec()).unwrap();
    config.channel = channel;
    config.vendor = "h-sv2".into();
    config.hardware = "probe".into();
    config.firmware = "0.0".into();
    config
}

/// A share as it was recorded.
struct Submitted {
    channel: u32,
    sequence: u32,
    job: u32,
    nonce: u32,
    ntime: u32,
    version: u32,
    extranonce: Vec<u8>,
}

impl Submitted {
    fn read(entry: &Entry) -> Self {
        let mut fields = Fields::of(&entry.frame);
        Self {
            channel: fields.u32(),
            sequence: fields.u32(),
            job: fields.u32(),
            nonce: fields.u32(),
            ntime: fields.u32(),
            version: fields.u32(),
            extranonce: match entry.kind {
                0x1b => fields.short().to_vec(),
                _ => Vec::new(),
            },
        }
    }

    fn share(&self, job: &Arc<Job>, hash: [u8; 32]) -> Share {
        Share {
            job: job.clone(),
            extranonce2: self.extranonce.clone(),
            ntime: self.ntime,
            nonce: self.nonce,
            version: self.version,
            hash,
        }
    }
}

/// What a recording says about work, kept by the rules of the protocol without any session.
#[derive(Default)]
struct Miner {
    prefix: Vec<u8>,
    target: [u8; 32],
    jobs: HashMap<u32, Work>,
    prev_hash: [u8; 32],
    nbits: u32,
}

struct Work {
    target: [u8; 32],
    root: Root,
}

enum Root {
    Fixed([u8; 32]),
    Coinbase {
        prefix: Vec<u8>,
        suffix: Vec<u8>,
        branch: Vec<[u8; 32]>,
    },
}

impl Miner {
    fn hear(&mut self, entry: &Entry) {
        let mut fields = Fields::of(&entry.frame);
        match entry.kind {
            0x11 | 0x14 => {
                fields.bytes(8);
                self.target = fields.u256();
                if entry.kind == 0x14 {
                    fields.u16();
                }
                self.prefix = fields.short().to_vec();
            }
            0x15 => {
                fields.u32();
                let id = fields.u32();
                fields.option();
                fields.u32();
                self.keep(id, Root::Fixed(fields.u256()));
            }
            0x1f => {
                fields.u32();
                let id = fields.u32();
                fields.option();
                fields.u32();
                fields.u8();
                let branch = (0..fields.u8()).map(|_| fields.u256()).collect();
                let prefix = [fields.long(), &self.prefix].concat();
                let suffix = fields.long().to_vec();
                self.keep(
                    id,
                    Root::Coinbase {
                        prefix,
                        suffix,
                        branch,
                    },
                );
            }
            0x20 => {
                fields.bytes(8);
                self.prev_hash = fields.u256();
                fields.u32();
                self.nbits = fields.u32();
            }
            0x21 => {
                fields.u32();
                self.target = fields.u256();
            }
            _ => {}
        }
    }

    fn keep(&mut self, id: u32, root: Root) {
        let target = self.target;
        self.jobs.insert(id, Work { target, root });
    }

    fn root(&self, job: u32, extranonce: &[u8]) -> [u8; 32] {
        match &self.jobs[&job].root {
            Root::Fixed(root) => *root,
            Root::Coinbase {
                prefix,
                suffix,
                branch,
            } => {
                let coinbase = [prefix, extranonce, suffix].concat();
                let leaf = double_sha(&coinbase);
                branch
                    .iter()
                    .fold(leaf, |left, right| double_sha(&[left, *right].concat()))
            }
        }
    }

    fn hash(&self, share: &Submitted) -> [u8; 32] {
        let mut header = share.version.to_le_bytes().to_vec();
        header.extend_from_slice(&self.prev_hash);
        header.extend_from_slice(&self.root(share.job, &share.extranonce));
        for number in [share.ntime, self.nbits, share.nonce] {
            header.extend_from_slice(&number.to_le_bytes());
        }
        double_sha(&header)
    }
}

fn double_sha(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// Whether a hash is at most a target, both least significant byte first.
fn meets(hash: &[u8; 32], target: &[u8; 32]) -> bool {
    hash.iter().rev().le(target.iter().rev())
}

/// What came of a recording.
#[derive(Default)]
struct Played {
    /// Shares that went out byte for byte as recorded.
    exact: usize,
    /// Shares that our session refuses or cannot make, with a good one of ours in their place.
    replaced: Vec<Refusal>,
    events: Vec<Event>,
    ignored: u64,
}

/// Plays a recording from the open channel on: the server's frames as they are, for each share
/// of the client the same share of ours.
fn play(entries: &[Entry], rig: &mut Rig) -> Played {
    let mut played = Played::default();
    let mut miner = Miner::default();
    let start = rig.now;
    for entry in entries {
        rig.now = start + entry.at;
        if entry.from_server {
            miner.hear(entry);
            rig.feed(&entry.frame);
            continue;
        }
        match entry.kind {
            0x1a | 0x1b => {
                let recorded = Submitted::read(entry);
                let job = rig.job();
                let possible = recorded.channel == 2 && recorded.job.to_string() == job.id;
                let refusal = if possible {
                    let hash = miner.hash(&recorded);
                    rig.submit(recorded.share(&job, hash)).err()
                } else {
                    Some(Refusal::UnknownJob)
                };
                match refusal {
                    None => {
                        assert_eq!(rig.sent.pop_front(), Some(entry.frame.clone()));
                        played.exact += 1;
                    }
                    Some(refusal) => {
                        played.replaced.push(refusal);
                        rig.submit(support::share(&job, recorded.sequence)).unwrap();
                        let sent = rig.sent.pop_front().unwrap();
                        assert_eq!(Submitted::read_number(&sent), recorded.sequence);
                    }
                }
            }
            0x16 => {
                let mut fields = Fields::of(&entry.frame);
                fields.u32();
                let rate = f32::from_bits(fields.u32());
                rig.set_hashrate(rate.into());
                if rate > 0.0 {
                    assert_eq!(rig.sent.pop_front(), Some(entry.frame.clone()));
                }
            }
            0x00 | 0x10 | 0x13 => {
                assert_eq!(
                    rig.sent.pop_front(),
                    Some(entry.frame.clone()),
                    "{}",
                    entry.text
                );
            }
            _ => {}
        }
        assert_eq!(rig.sent.pop_front(), None);
    }
    played.events = std::mem::take(&mut rig.events);
    played.ignored = rig.session.stats().ignored;
    played
}

impl Submitted {
    fn read_number(frame: &[u8]) -> u32 {
        let mut fields = Fields::of(frame);
        fields.u32();
        fields.u32()
    }
}

/// Codes of all refusals that the server sent for shares of channel 2, in order.
fn codes(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .filter(|entry| entry.kind == 0x1d)
        .filter_map(|entry| {
            let mut fields = Fields::of(&entry.frame);
            let ours = fields.u32() == 2;
            fields.u32();
            let code = String::from_utf8(fields.short().to_vec()).unwrap();
            ours.then_some(code)
        })
        .collect()
}

/// Shares that the server says to have accepted.
fn accepted_count(entries: &[Entry]) -> u32 {
    entries
        .iter()
        .filter(|entry| entry.kind == 0x1c)
        .map(|entry| {
            let mut fields = Fields::of(&entry.frame);
            fields.bytes(8);
            fields.u32()
        })
        .sum()
}

impl Played {
    fn accepted(&self) -> usize {
        self.events
            .iter()
            .filter(|event| matches!(event, Event::ShareAccepted(_)))
            .count()
    }

    fn rejects(&self) -> Vec<(RejectKind, &str)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::ShareRejected { kind, text, .. } => Some((*kind, text.as_str())),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn every_recorded_frame_is_read_whole() {
    let mut count = 0;
    for (name, entries) in ALL.into_iter().flat_map(parts) {
        for entry in entries {
            count += 1;
            let mut bytes = entry.frame.as_slice();
            let frame = FrameReader::default().next(&mut bytes, None).unwrap();
            let frame = frame.unwrap();
            assert_eq!((frame.extension, frame.kind), (0, entry.kind));
            assert_eq!(frame.payload, entry.frame[6..]);
            assert!(bytes.is_empty());
            let message = ServerMessage::read(frame).unwrap();
            let unknown = matches!(message, ServerMessage::Unknown { .. });
            // Closing a channel is the one message that both sides have.
            let known = entry.from_server || entry.kind == 0x18;
            assert_eq!(unknown, !known, "{name}: {}", entry.text);
            if entry.from_server {
                assert_says(&message, &entry.text);
            }
        }
    }
    assert_eq!(count, 362);
}

/// Compares what was read with what the recording says in words.
fn assert_says(message: &ServerMessage, text: &str) {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|b| format!("{b:02x}")).collect() };
    let number = |bytes: &[u8; 32]| hex(&bytes.iter().rev().copied().collect::<Vec<_>>());
    let expected: Vec<String> = match message {
        ServerMessage::SetupDone { version, flags } => {
            vec![format!("used_version: {version}, flags: 0x{flags:08x}")]
        }
        ServerMessage::SetupRefused { flags, code } => {
            vec![format!("flags: 0x{flags:08x}, error_code: {code}")]
        }
        ServerMessage::Opened(it) => vec![
            format!("request_id: {}, channel_id: {}", it.request, it.channel),
            format!("U256({})", number(&it.target)),
            format!("B032({})", hex(&it.prefix)),
            format!("group_channel_id: {}", it.group),
            match it.extranonce_size {
                Some(size) => format!("extranonce_size: {size}"),
                None => "OpenStandardMiningChannelSuccess".into(),
            },
        ],
        ServerMessage::OpenRefused { request, code } => {
            vec![format!("request_id: {request}, error_code: {code}")]
        }
        ServerMessage::StandardJob(it) => vec![
            format!("channel_id: {}, job_id: {}", it.channel, it.id),
            format!("version: 0x{:08x}", it.version),
            number(&it.merkle_root),
            if it.min_ntime.is_none() {
                "None"
            } else {
                "Some"
            }
            .into(),
        ],
        ServerMessage::ExtendedJob(it) => vec![
            format!("channel_id: {}, job_id: {}", it.channel, it.id),
            format!("version: 0x{:08x}", it.version),
            format!("version_rolling_allowed: {}", it.version_rolling),
            format!("len={}", it.branch.len()),
            it.branch.first().map_or("[]".into(), number),
            hex(&it.coinbase_prefix),
        ],
        ServerMessage::NewPrevHash(it) => vec![
            format!("channel_id={}, job_id={}", it.channel, it.job),
            number(&it.prev_hash),
            format!("min_ntime={}, nbits=0x{:08x}", it.min_ntime, it.nbits),
        ],
        ServerMessage::SetTarget { channel, target } => {
            vec![format!("channel_id={channel}"), number(target)]
        }
        ServerMessage::SharesAccepted {
            channel,
            last,
            count,
        } => vec![format!(
            "channel_id={channel}, last_sequence_number={last}, new_submits_accepted_count={count}"
        )],
        ServerMessage::ShareRefused {
            channel,
            sequence,
            code,
        } => vec![format!(
            "channel_id={channel}, sequence_number={sequence}, error_code={code}"
        )],
        ServerMessage::UpdateRefused { channel, code } => {
            vec![format!("channel_id={channel}, error_code={code}")]
        }
        other => panic!("no server sent {other:?}"),
    };
    for part in expected {
        assert!(text.contains(&part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn shares_that_the_pool_accepted_meet_the_target_of_their_job() {
    for name in [
        "sv2-sri-pool-extended",
        "sv2-sri-pool-signet-extended",
        "sv2-sri-pool-standard",
    ] {
        let entries = recording(name);
        let mut miner = Miner::default();
        let (mut good, mut seen) = (0, Vec::new());
        for entry in &entries {
            miner.hear(entry);
            if !entry.from_server && matches!(entry.kind, 0x1a | 0x1b) {
                let share = Submitted::read(entry);
                let proper = share.channel == 2
                    && miner.jobs.contains_key(&share.job)
                    && matches!(share.extranonce.len(), 0 | 16);
                if proper && !seen.contains(&(share.job, share.nonce)) {
                    let met = meets(&miner.hash(&share), &miner.jobs[&share.job].target);
                    good += usize::from(met);
                    seen.push((share.job, share.nonce));
                }
            }
        }
        // A block counts as a share even if it misses the share target, which this one does.
        let easy_blocks = usize::from(name == "sv2-sri-pool-extended");
        let pending = match name {
            "sv2-sri-pool-signet-extended" => 3,
            _ => 0,
        };
        let accepted = accepted_count(&entries) as usize;
        assert_eq!(good, accepted + pending - easy_blocks, "{name}");
    }
}

#[test]
fn an_extended_channel_on_regtest_goes_as_recorded() {
    let entries = recording("sv2-sri-pool-extended");
    let mut rig = Rig::plain(recorded_config(&entries, ChannelKind::Extended));
    let played = play(&entries, &mut rig);
    // Every job of the recording waits for the tip that names it.
    let jobs: Vec<_> = played.events.iter().filter_map(as_job).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
    let expected: Vec<_> = (1..=16).map(|id| id.to_string()).collect();
    assert_eq!(ids, expected);
    assert!(jobs.is_sorted_by(|one, next| one.generation < next.generation));
    assert_eq!(played.exact, 17);
    assert_eq!(
        played.replaced,
        [
            Refusal::UnknownJob,
            Refusal::VersionBits,
            Refusal::TimeOutOfRange,
            Refusal::TimeOutOfRange,
            Refusal::Extranonce2Length,
            Refusal::UnknownJob,
        ]
    );
    check_answers(&entries, &played);
}

#[test]
fn batched_acceptances_on_signet_go_as_recorded() {
    let entries = recording("sv2-sri-pool-signet-extended");
    let mut rig = Rig::plain(recorded_config(&entries, ChannelKind::Extended));
    let played = play(&entries, &mut rig);
    assert_eq!(played.exact, 84);
    assert_eq!(played.replaced.len(), 6);
    check_answers(&entries, &played);
    assert_eq!(rig.session.stats().submitted, 90);
    // The last batch was not full when the connection ended.
    rig.disconnect(Reason::PeerClosed);
    assert_eq!(rig.session.stats().unconfirmed, 3);
}

/// Each answer of the server has become the right verdict on the right share.
fn check_answers(entries: &[Entry], played: &Played) {
    let kind_of = |code: &str| match code {
        "duplicate-share" => RejectKind::Duplicate,
        "invalid-job-id" | "stale-share" => RejectKind::Stale,
        "difficulty-too-low" => RejectKind::LowDifficulty,
        "invalid-non-rollable-version-bit" => RejectKind::VersionBits,
        "invalid-share" | "bad-extranonce-size" => RejectKind::Other,
        other => panic!("unexpected code {other}"),
    };
    let codes = codes(entries);
    let expected: Vec<_> = codes
        .iter()
        .map(|code| (kind_of(code), code.as_str()))
        .collect();
    assert_eq!(played.rejects(), expected);
    // One share was sent to a channel that is not ours. The one of ours in its place is told
    // to be refused on that channel, which is none of our business, and so the next acceptance
    // covers it.
    assert_eq!(played.accepted(), accepted_count(entries) as usize + 1);
    assert_eq!(played.ignored, 1);
}

#[test]
fn the_jobs_of_a_session_give_the_headers_that_the_pool_accepted() {
    let entries = recording("sv2-sri-pool-extended");
    let mut rig = Rig::plain(recorded_config(&entries, ChannelKind::Extended));
    let played = play(&entries, &mut rig);
    let mut miner = Miner::default();
    let mut compared = 0;
    for entry in &entries {
        miner.hear(entry);
        if entry.kind != 0x20 {
            continue;
        }
        let mut fields = Fields::of(&entry.frame);
        fields.u32();
        let id = fields.u32();
        let job = played
            .events
            .iter()
            .filter_map(as_job)
            .find(|job| job.id == id.to_string())
            .unwrap();
        let extranonce2 = [0xa5; 16];
        let coinbase = [
            &job.coinbase1[..],
            &job.extranonce1,
            &extranonce2,
            &job.coinbase2,
        ]
        .concat();
        let root = job
            .merkle_branch
            .iter()
            .fold(double_sha(&coinbase), |left, right| {
                double_sha(&[left, *right].concat())
            });
        assert_eq!(root, miner.root(id, &extranonce2));
        assert_eq!(job.extranonce2_len, 16);
        assert_eq!(job.prev_hash, miner.prev_hash);
        assert_eq!(job.nbits, miner.nbits);
        let mut target = job.target.to_be_bytes();
        target.reverse();
        assert_eq!(target, miner.jobs[&id].target);
        compared += 1;
    }
    assert_eq!(compared, 16);
}

#[test]
fn a_standard_channel_goes_as_recorded() {
    let entries = recording("sv2-sri-pool-standard");
    let mut rig = Rig::plain(recorded_config(&entries, ChannelKind::Standard));
    let played = play(&entries, &mut rig);
    assert_eq!(played.exact, 12);
    assert_eq!(played.replaced, []);
    assert_eq!(played.accepted(), 12);
    let mut miner = Miner::default();
    entries.iter().for_each(|entry| miner.hear(entry));
    let jobs: Vec<_> = played.events.iter().filter_map(as_job).collect();
    assert_eq!(jobs.len(), 13);
    for job in jobs {
        assert_eq!(
            job.fixed_root,
            Some(miner.root(job.id.parse().unwrap(), &[]))
        );
        assert_eq!(job.extranonce2_len, 0);
    }
}

#[test]
fn a_standard_channel_follows_jobs_that_come_to_its_group_with_a_coinbase() {
    let entries = recording("sv2-sri-pool-standard-noflag");
    let mut rig = Rig::plain(recorded_config(&entries, ChannelKind::Standard));
    let mut miner = Miner::default();
    for entry in entries.iter().filter(|entry| entry.from_server) {
        miner.hear(entry);
        rig.feed(&entry.frame);
    }
    let jobs = rig.jobs();
    let ids: Vec<_> = jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(jobs[1].fixed_root, Some(miner.root(2, &[])));
    // The recorded client went on with job 1, and the pool called all of it stale.
    assert_eq!(
        rig.submit(support::share(&jobs[0], 1)),
        Err(Refusal::UnknownJob)
    );
    assert_eq!(rig.submit(support::share(&jobs[1], 1)), Ok(()));
}

#[test]
fn refusals_at_the_start_are_told_with_the_servers_words() {
    let mut refused = 0;
    for name in ALL {
        for (case, entries) in parts(name) {
            let mut rig = Rig::plain(recorded_config_or_default(&entries));
            let error = entries
                .iter()
                .find(|entry| matches!(entry.kind, 0x02 | 0x12));
            let Some(error) = error else {
                continue;
            };
            refused += 1;
            let mut fields = Fields::of(&error.frame);
            fields.u32();
            let code = String::from_utf8(fields.short().to_vec()).unwrap();
            // Recorded clients number their requests differently from ours.
            let mut answers: Vec<_> = entries.iter().filter(|entry| entry.from_server).collect();
            answers.truncate(2);
            for entry in answers {
                let mut frame = entry.frame.clone();
                if entry.kind == 0x12 {
                    frame[6..10].copy_from_slice(&1_u32.to_le_bytes());
                }
                rig.feed(&frame);
            }
            let reason = rig.end();
            assert!(
                matches!(reason, Reason::SetupRefused(_) | Reason::ChannelRefused(_)),
                "{name} {case}: {reason:?}"
            );
            assert!(reason.to_string().contains(&code), "{reason}");
        }
    }
    assert_eq!(refused, 10);
}

fn recorded_config_or_default(entries: &[Entry]) -> Config {
    let opens = entries
        .iter()
        .any(|entry| matches!(entry.kind, 0x10 | 0x13));
    if opens {
        recorded_config(entries, ChannelKind::Extended)
    } else {
        support::config()
    }
}

fn as_job(event: &Event) -> Option<&Arc<Job>> {
    match event {
        Event::Job(job) => Some(job),
        _ => None,
    }
}
