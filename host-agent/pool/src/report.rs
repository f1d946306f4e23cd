//! Events and counters as people and scripts read them: one line of text, one JSON object. The names in
//! the JSON are those of the Rust fields, with the kind of event under `event`.

use crate::event::{Event, PoolStats};
use crate::hash::to_hex;
use serde_json::{Value, json};
use std::fmt;

impl Event {
    /// The event as one JSON object.
    pub fn to_json(&self) -> Value {
        match self {
            Event::Connected { connection } => {
                json!({"event": "connected", "connection": connection.0})
            }
            Event::Subscribed {
                connection,
                agent,
                extranonce1,
                resumed,
            } => json!({
                "event": "subscribed", "connection": connection.0, "agent": agent,
                "extranonce1": to_hex(extranonce1), "resumed": resumed,
            }),
            Event::Authorized {
                connection,
                worker,
                accepted,
            } => json!({
                "event": "authorized", "connection": connection.0, "worker": worker,
                "accepted": accepted,
            }),
            Event::DifficultyChanged {
                connection,
                difficulty,
            } => json!({
                "event": "difficulty_changed", "connection": connection.0,
                "difficulty": difficulty.get(),
            }),
            Event::NewJob {
                job_id,
                height,
                clean,
            } => json!({"event": "new_job", "job_id": job_id, "height": height, "clean": clean}),
            Event::ShareAccepted {
                connection,
                worker,
                job_id,
                hash,
                share_difficulty,
                difficulty,
            } => json!({
                "event": "share_accepted", "connection": connection.0, "worker": worker,
                "job_id": job_id, "hash": hash.to_string(), "share_difficulty": share_difficulty,
                "difficulty": difficulty.get(),
            }),
            Event::ShareRejected {
                connection,
                job_id,
                reason,
                share_difficulty,
            } => json!({
                "event": "share_rejected", "connection": connection.0, "job_id": job_id,
                "code": reason.code(), "reason": reason.to_string(),
                "share_difficulty": share_difficulty,
            }),
            Event::BlockFound {
                connection,
                worker,
                height,
                hash,
            } => json!({
                "event": "block_found", "connection": connection.0, "worker": worker,
                "height": height, "hash": hash.to_string(),
            }),
            Event::ClientAnswered {
                connection,
                method,
                result,
            } => json!({
                "event": "client_answered", "connection": connection.0, "method": method,
                "result": result,
            }),
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
            Event::Subscribed {
                connection,
                agent,
                resumed,
                ..
            } => {
                let resumed = if *resumed { ", session resumed" } else { "" };
                write!(f, "miner {connection} subscribed as {agent:?}{resumed}")
            }
            Event::Authorized {
                connection,
                worker,
                accepted,
            } => {
                let verdict = if *accepted { "authorised" } else { "refused" };
                write!(f, "miner {connection}: worker {worker:?} {verdict}")
            }
            Event::DifficultyChanged {
                connection,
                difficulty,
            } => write!(f, "miner {connection}: difficulty {}", difficulty.get()),
            Event::NewJob {
                job_id,
                height,
                clean,
            } => {
                let kind = if *clean { "new block" } else { "new job" };
                write!(f, "{kind}: height {height}, job {job_id}")
            }
            Event::ShareAccepted {
                connection,
                share_difficulty,
                difficulty,
                hash,
                ..
            } => write!(
                f,
                "miner {connection}: share accepted, {share_difficulty:.3e} of {:.3e}, {hash}",
                difficulty.get(),
            ),
            Event::ShareRejected {
                connection, reason, ..
            } => {
                let code = reason.code();
                write!(f, "miner {connection}: share rejected, {code} {reason}")
            }
            Event::BlockFound {
                connection,
                height,
                hash,
                ..
            } => write!(f, "miner {connection}: block {height} found, {hash}"),
            Event::ClientAnswered {
                connection,
                method,
                result,
            } => write!(f, "miner {connection} answered {method}: {result}"),
            Event::Disconnected { connection, reason } => {
                write!(f, "miner {connection} disconnected: {reason}")
            }
        }
    }
}

impl PoolStats {
    /// The counters as one JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "connections": self.connections,
            "connects": self.connects,
            "refused_connections": self.refused_connections,
            "resumed": self.resumed,
            "accepted": self.accepted,
            "rejected": {
                "other": self.rejected.other,
                "stale": self.rejected.stale,
                "duplicate": self.rejected.duplicate,
                "low_difficulty": self.rejected.low_difficulty,
                "unauthorized": self.rejected.unauthorized,
            },
            "accepted_work": self.accepted_work,
            "best_share": self.best_share,
            "blocks_found": self.blocks_found,
            "blocks_seen": self.blocks_seen,
            "jobs": self.jobs,
            "height": self.height,
            "hashrate_hps": self.hashrate_hps,
            "disagreements": self.disagreements,
            "events_lost": self.events_lost,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConnectionId, Reject};

    #[test]
    fn a_refused_share_reads_well_in_both_forms() {
        let event = Event::ShareRejected {
            connection: ConnectionId(3),
            job_id: "7".to_owned(),
            reason: Reject::Duplicate,
            share_difficulty: None,
        };
        assert_eq!(
            event.to_string(),
            "miner 3: share rejected, 22 Duplicate share"
        );
        assert_eq!(
            event.to_json(),
            json!({
                "event": "share_rejected", "connection": 3, "job_id": "7", "code": 22,
                "reason": "Duplicate share", "share_difficulty": null,
            })
        );
    }
}
