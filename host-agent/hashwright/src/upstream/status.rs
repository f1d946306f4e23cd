//! How the pools are doing, for the state tree.

use std::sync::Arc;

use stratum::Stats;
use stratum::strategy::{Role, WHOLE};

use super::desk::{Desk, Standing};
use crate::state::{PoolStatus, RejectReason};

/// A look at all pools. Clones look at the same.
#[derive(Clone, Debug)]
pub struct Pools(Arc<Desk>);

impl Pools {
    pub(super) fn new(desk: Arc<Desk>) -> Self {
        Self(desk)
    }

    /// How each pool is doing, in the order of the list.
    #[must_use]
    pub fn statuses(&self) -> Vec<PoolStatus> {
        let pools = self.0.standings().into_iter().enumerate();
        pools
            .map(|(index, standing)| {
                let stats = standing.fixed.stats.borrow().clone();
                status(index, &stats, standing)
            })
            .collect()
    }

    /// Whether boards should be without power, because there has been no work for too long.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.is_idle()
    }

    /// Returns when the program has stopped and all sessions have ended.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

fn status(index: usize, stats: &Stats, standing: Standing) -> PoolStatus {
    let fixed = &standing.fixed;
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let percent = 100.0 / f64::from(WHOLE);
    PoolStatus {
        index,
        url: fixed.name.clone(),
        protocol: fixed.protocol.to_owned(),
        user: fixed.account.clone(),
        active: standing.role.weight() > 0,
        role: word(standing.role).to_owned(),
        work_percent: f64::from(standing.role.weight()) * percent,
        quota_percent: standing.quota.map(f64::from),
        state: match &standing.refused {
            Some(_) if stats.state == "mining" => "refused".to_owned(),
            _ => stats.state.to_owned(),
        },
        problem: standing.refused.or_else(|| stats.problem.clone()),
        message: stats.message.clone(),
        difficulty: stats.difficulty,
        version_mask: stats.version_mask,
        job_id: stats.job_id.clone(),
        jobs: stats.jobs,
        submitted: stats.submitted,
        accepted: stats.accepted,
        accepted_difficulty: stats.accepted_difficulty,
        last_share_s: stats.last_share.map(|at| at.as_secs_f64()),
        rejected: stats.rejected,
        stale: stats.stale,
        reject_reasons: stats
            .rejects
            .iter()
            .map(|reject| RejectReason {
                reason: reject.kind.name().to_owned(),
                text: reject.text.clone(),
                count: reject.count,
            })
            .collect(),
        unconfirmed: stats.unconfirmed,
        dropped: stats.dropped,
        blocks: stats.blocks,
        latency_ms: stats.latency.map(|latency| ms(latency.median)),
        latency_p90_ms: stats.latency.map(|latency| ms(latency.p90)),
        latency_p99_ms: stats.latency.map(|latency| ms(latency.p99)),
        connects: stats.connects,
        best_difficulty: stats.best_difficulty,
        alarm: standing.alarm,
        payout: standing.payout,
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Unused => "unused",
        Role::Trying => "connecting",
        Role::Proving { .. } => "returning",
        Role::Standby => "standby",
        Role::Active { .. } => "active",
        Role::Leaving => "leaving",
    }
}
