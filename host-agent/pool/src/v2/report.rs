//! Events as people and scripts read them: one line of text, one JSON object. Names are those of the V1
//! pool's events where the thing is the same.

use super::event::Event;
use serde_json::{Value, json};
use std::fmt;

impl Event {
    /// The event as one JSON object.
    pub fn to_json(&self) -> Value {
        match self {
            Event::Connected { connection } => {
                json!({"event": "connected", "connection": connection.0})
            }
            Event::SetUp {
                connection,
                vendor,
                hardware,
                firmware,
                device,
                flags,
            } => json!({
                "event": "set_up", "connection": connection.0, "vendor": vendor,
                "hardware": hardware, "firmware": firmware, "device": device, "flags": flags,
            }),
            Event::ChannelOpened {
                connection,
                channel,
                kind,
                worker,
                nominal_hps,
                difficulty,
            } => json!({
                "event": "channel_opened", "connection": connection.0, "channel": channel,
                "kind": kind.to_string(), "worker": worker, "nominal_hps": nominal_hps,
                "difficulty": difficulty,
            }),
            Event::ChannelRefused {
                connection,
                worker,
                code,
            } => json!({
                "event": "channel_refused", "connection": connection.0, "worker": worker,
                "code": code,
            }),
            Event::DifficultyChanged {
                connection,
                channel,
                difficulty,
            } => json!({
                "event": "difficulty_changed", "connection": connection.0, "channel": channel,
                "difficulty": difficulty,
            }),
            Event::NewJob {
                template,
                height,
                clean,
            } => json!({
                "event": "new_job", "template": template, "height": height, "clean": clean,
            }),
            Event::ShareAccepted {
                connection,
                channel,
                worker,
                job_id,
                sequence,
                hash,
                share_difficulty,
                difficulty,
            } => json!({
                "event": "share_accepted", "connection": connection.0, "channel": channel,
                "worker": worker, "job_id": job_id, "sequence": sequence,
                "hash": hash.to_string(), "share_difficulty": share_difficulty,
                "difficulty": difficulty,
            }),
            Event::ShareRejected {
                connection,
                channel,
                job_id,
                sequence,
                code,
                share_difficulty,
            } => json!({
                "event": "share_rejected", "connection": connection.0, "channel": channel,
                "job_id": job_id, "sequence": sequence, "code": code,
                "share_difficulty": share_difficulty,
            }),
            Event::BlockFound {
                connection,
                channel,
                worker,
                height,
                hash,
            } => json!({
                "event": "block_found", "connection": connection.0, "channel": channel,
                "worker": worker, "height": height, "hash": hash.to_string(),
            }),
            Event::Disagreement {
                connection,
                channel,
                job_id,
                sequence,
                ours,
                theirs,
            } => json!({
                "event": "disagreement", "connection": connection.0, "channel": channel,
                "job_id": job_id, "sequence": sequence, "ours": ours, "theirs": theirs,
            }),
            Event::ChannelClosed {
                connection,
                channel,
                reason,
                by_miner,
            } => json!({
                "event": "channel_closed", "connection": connection.0, "channel": channel,
                "reason": reason, "by_miner": by_miner,
            }),
            Event::Ignored { connection, what } => {
                json!({"event": "ignored", "connection": connection.0, "what": what})
            }
            Event::Disconnected { connection, reason } => json!({
                "event": "disconnected", "connection": connection.0, "reason": reason.to_string(),
            }),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Connected { connection } => write!(f, "miner {connection} connected"),
            Event::SetUp {
                connection,
                vendor,
                hardware,
                firmware,
                flags,
                ..
            } => write!(
                f,
                "miner {connection} is {vendor:?} {hardware:?} {firmware:?}, flags {flags}"
            ),
            Event::ChannelOpened {
                connection,
                channel,
                kind,
                worker,
                nominal_hps,
                difficulty,
            } => write!(
                f,
                "miner {connection}: {kind} channel {channel} for {worker:?}, \
                 {nominal_hps:.3e} H/s, difficulty {difficulty:.3e}"
            ),
            Event::ChannelRefused {
                connection,
                worker,
                code,
            } => write!(
                f,
                "miner {connection}: channel for {worker:?} refused, {code}"
            ),
            Event::DifficultyChanged {
                connection,
                channel,
                difficulty,
            } => write!(
                f,
                "miner {connection}: channel {channel}, difficulty {difficulty:.3e}"
            ),
            Event::NewJob {
                template,
                height,
                clean,
            } => {
                let kind = if *clean { "new block" } else { "new job" };
                write!(f, "{kind}: height {height}, template {template:016x}")
            }
            Event::ShareAccepted {
                connection,
                share_difficulty,
                difficulty,
                hash,
                ..
            } => write!(
                f,
                "miner {connection}: share accepted, {share_difficulty:.3e} of {difficulty:.3e}, {hash}"
            ),
            Event::ShareRejected {
                connection,
                sequence,
                code,
                ..
            } => write!(f, "miner {connection}: share {sequence} rejected, {code}"),
            Event::BlockFound {
                connection,
                height,
                hash,
                ..
            } => write!(f, "miner {connection}: block {height} found, {hash}"),
            Event::Disagreement {
                connection,
                channel,
                job_id,
                sequence,
                ours,
                theirs,
            } => write!(
                f,
                "DEFECT: the two share checks do not agree on share {sequence} of miner {connection}, \
                 channel {channel}, job {job_id}: ours says {ours}, the reference {theirs}"
            ),
            Event::ChannelClosed {
                connection,
                channel,
                reason,
                by_miner,
            } => {
                let who = if *by_miner { "the miner" } else { "the pool" };
                write!(
                    f,
                    "miner {connection}: channel {channel} closed by {who}, {reason:?}"
                )
            }
            Event::Ignored { connection, what } => {
                write!(f, "miner {connection}: ignored {what}")
            }
            Event::Disconnected { connection, reason } => {
                write!(f, "miner {connection} disconnected: {reason}")
            }
        }
    }
}
