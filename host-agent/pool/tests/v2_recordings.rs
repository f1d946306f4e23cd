//! Sessions recorded at the SRI pool, played again: what the miner sent then is sent to this pool, and
//! the answers must be of the same types with the same codes. Shares that were good, low or repeated
//! then are made so for this pool's jobs, because a recorded hash means nothing here; all others are
//! sent byte for byte.
#![cfg(feature = "sv2")]

#[path = "common/v2.rs"]
mod common;

use bitcoin::{CompactTarget, Target};
use common::*;
use parsers_sv2::{CommonMessagesOwned, MiningOwned};
use pool::v2::Config;
use pool::{Difficulty, VardiffConfig};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// One frame of a recording.
struct Recorded {
    from_miner: bool,
    frame: Vec<u8>,
    message: Got,
}

/// The connections of a recording.
fn recording(name: &str) -> Vec<Vec<Recorded>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/transcripts");
    let text = std::fs::read_to_string(path.join(format!("{name}.jsonl"))).expect("a recording");
    let mut connections = vec![Vec::new()];
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if line.get("case").is_some() {
            connections.push(Vec::new());
        }
        let Some(hex) = line["frame"].as_str() else {
            continue;
        };
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        let frame: Vec<u8> = (0..hex.len()).step_by(2).map(digit).collect();
        let extension = u16::from_le_bytes([frame[0], frame[1]]);
        let mut payload = frame[6..].to_vec();
        let message = parse(
            extension & 0x7fff,
            frame[2],
            extension & 0x8000 != 0,
            &mut payload,
        );
        connections.last_mut().expect("one").push(Recorded {
            from_miner: line["dir"] == "c->s",
            frame,
            message,
        });
    }
    connections.retain(|connection| !connection.is_empty());
    connections
}

/// What an answer says, apart from shares, jobs and the pool's own choice of numbers.
fn essence(got: &Got) -> Option<String> {
    Some(match got {
        Got::Common(CommonMessagesOwned::SetupConnectionSuccess(ok)) => {
            format!("set up, version {}, flags {}", ok.used_version, ok.flags)
        }
        Got::Common(CommonMessagesOwned::SetupConnectionError(error)) => {
            format!("set-up refused, {}", read_text(&error.error_code))
        }
        Got::Mining(MiningOwned::OpenExtendedMiningChannelSuccess(open)) => format!(
            "request {}: extended channel {} of group {}, prefix {} + {}",
            open.request_id,
            open.channel_id,
            open.group_channel_id,
            open.extranonce_prefix.len(),
            open.extranonce_size
        ),
        Got::Mining(MiningOwned::OpenStandardMiningChannelSuccess(open)) => format!(
            "request {}: standard channel {} of group {}, prefix {}",
            open.request_id,
            open.channel_id,
            open.group_channel_id,
            open.extranonce_prefix.len(),
        ),
        Got::Mining(MiningOwned::OpenMiningChannelError(error)) => {
            let code = read_text(&error.error_code);
            format!("request {}: refused, {code}", error.request_id)
        }
        Got::Mining(MiningOwned::UpdateChannelError(error)) => {
            format!("update refused, {}", read_text(&error.error_code))
        }
        _ => return None,
    })
}

/// What became of each share: the error code, empty for accepted; shares without an answer are absent.
#[derive(Default)]
struct Verdicts {
    sent: Vec<u32>,
    answered: BTreeMap<u32, String>,
    /// Acknowledgements: last number and count.
    batches: Vec<(u32, u32)>,
}

impl Verdicts {
    fn take(&mut self, got: &Got) {
        match got {
            Got::Mining(MiningOwned::SubmitSharesError(error)) => {
                let code = read_text(&error.error_code);
                self.answered.insert(error.sequence_number, code);
            }
            Got::Mining(MiningOwned::SubmitSharesSuccess(ok)) => {
                self.batches
                    .push((ok.last_sequence_number, ok.new_submits_accepted_count));
                for sequence in &self.sent {
                    if *sequence <= ok.last_sequence_number {
                        self.answered.entry(*sequence).or_default();
                    }
                }
            }
            _ => {}
        }
    }
}

fn verdicts(recorded: &[Recorded]) -> Verdicts {
    let mut verdicts = Verdicts::default();
    for entry in recorded {
        match &entry.message {
            Got::Mining(MiningOwned::SubmitSharesExtended(share)) => {
                verdicts.sent.push(share.sequence_number);
            }
            Got::Mining(MiningOwned::SubmitSharesStandard(share)) => {
                verdicts.sent.push(share.sequence_number);
            }
            message => verdicts.take(message),
        }
    }
    verdicts
}

/// Plays one connection and compares.
fn replay(bench: &mut Bench, recorded: &[Recorded]) {
    let then = verdicts(recorded);
    let mut now = Verdicts {
        sent: then.sent.clone(),
        ..Verdicts::default()
    };
    let mut said = Vec::new();
    let mut miner = bench.connect();
    miner.shake(bench).expect("a handshake");
    let mut last_good = None;
    let mut opened = false;
    let mut solved = false;
    let network = CompactTarget::from_consensus(bench.core.config().nbits);
    let network = Target::from_compact(network);
    let batch = bench.core.config().share_batch;
    // A batch that was acknowledged before it was full had a block as its last share.
    let block = |sequence| {
        let early = |(last, count): &(u32, u32)| *last == sequence && *count < batch;
        then.batches.iter().any(early)
    };
    for entry in recorded {
        let share = match &entry.message {
            Got::Mining(MiningOwned::SubmitSharesExtended(share)) => {
                Some((share.channel_id, share.sequence_number, false))
            }
            Got::Mining(MiningOwned::SubmitSharesStandard(share)) => {
                Some((share.channel_id, share.sequence_number, true))
            }
            _ => None,
        };
        match (entry.from_miner, share, &entry.message) {
            (true, Some((channel, sequence, standard)), _) => {
                let verdict = then.answered.get(&sequence).map(String::as_str);
                let made = match verdict {
                    // Without an answer it was waiting for its batch.
                    Some("") | None => {
                        solved = block(sequence);
                        last_good = std::iter::repeat_with(|| miner.mine(channel))
                            .take(5000)
                            .find(|share| network.is_met_by(share.hash) == solved);
                        last_good.clone()
                    }
                    Some("duplicate-share") => last_good.clone(),
                    Some("difficulty-too-low") => Some(miner.mine_bad(channel)),
                    Some(_) => None,
                };
                match made {
                    Some(share) => miner.submit_as(bench, channel, sequence, &share, standard),
                    None => miner.send_frame(bench, Raw(entry.frame.clone())),
                }
            }
            (true, None, _) => miner.send_frame(bench, Raw(entry.frame.clone())),
            (false, _, Got::Mining(MiningOwned::NewExtendedMiningJob(job))) if opened => {
                if std::mem::take(&mut solved) {
                    // The pool has moved on by itself.
                } else if job.is_future() {
                    bench.block();
                } else {
                    bench.job();
                }
                miner.read(bench);
            }
            (false, _, Got::Mining(MiningOwned::NewMiningJob(_))) if opened => {
                bench.block();
                miner.read(bench);
            }
            // The prevhash of a channel's first job: later jobs are news.
            (false, _, Got::Mining(MiningOwned::SetNewPrevHash(_))) => opened = true,
            (
                false,
                _,
                Got::Mining(
                    MiningOwned::OpenExtendedMiningChannelSuccess(_)
                    | MiningOwned::OpenStandardMiningChannelSuccess(_),
                ),
            ) => opened = false,
            _ => {}
        }
        for got in std::mem::take(&mut miner.got) {
            now.take(&got);
            said.extend(essence(&got));
        }
    }
    let recorded_said: Vec<String> = recorded
        .iter()
        .filter(|entry| !entry.from_miner)
        .filter_map(|entry| essence(&entry.message))
        .collect();
    assert_eq!(said, recorded_said);
    assert_eq!(now.answered, then.answered);
    assert_eq!(now.batches, then.batches);
    assert!(bench.agreed());
    assert_eq!(miner.broken, None);
}

/// This pool as the recorded one was configured, at the time of its first block.
fn as_recorded(connections: &[Vec<Recorded>]) -> Config {
    let first_time = connections
        .iter()
        .flatten()
        .find_map(|entry| match &entry.message {
            Got::Mining(MiningOwned::SetNewPrevHash(prev)) => Some(prev.min_ntime),
            _ => None,
        });
    Config {
        unix_start: first_time.unwrap_or(1_795_362_553).into(),
        difficulty: Some(Difficulty::new(1e-9).expect("above zero")),
        ..easy()
    }
}

fn play(name: &str, change: impl Fn(&mut Config)) -> usize {
    let connections = recording(name);
    let mut config = as_recorded(&connections);
    change(&mut config);
    let mut bench = Bench::new(config);
    for connection in &connections {
        replay(&mut bench, connection);
    }
    connections.iter().map(|c| verdicts(c).sent.len()).sum()
}

#[test]
fn set_up_and_opening_cases_are_answered_as_by_the_sri_pool() {
    let nominal = |config: &mut Config| {
        config.difficulty = None;
        config.vardiff = VardiffConfig {
            shares_per_minute: 60.0,
            ..VardiffConfig::default()
        };
    };
    assert_eq!(play("sv2-sri-pool-open-cases", nominal), 0);
    assert_eq!(play("sv2-sri-pool-allflags", nominal), 0);
    assert_eq!(play("sv2-sri-pool-extended-stdflag", nominal), 0);
}

#[test]
fn batches_updates_and_every_error_code_are_those_of_the_sri_pool() {
    let shares = play("sv2-sri-pool-signet-extended", |config| {
        config.share_batch = 5;
        // One hash in 512 is a block, so that one can be found for the recorded one.
        config.nbits = 0x1f7f_ffff;
    });
    assert_eq!(shares, 90);
}

#[test]
fn extended_sessions_get_the_recorded_verdicts() {
    assert!(play("sv2-sri-pool-extended", |_| {}) > 10);
}

#[test]
fn standard_sessions_get_the_recorded_verdicts() {
    assert!(play("sv2-sri-pool-standard", |_| {}) > 10);
    assert!(play("sv2-sri-pool-standard-noflag", |_| {}) > 5);
}
