//! The task of the upstream: keeps one pool session running, moves to the next pool when one does not
//! get to work, and publishes how each pool is doing.
//!
//! Pools are tried in the order of the config. One that fails three times in a row without sending
//! work is left for the next; the list is gone round for ever. A session that is left keeps its
//! counters and what it has learnt about its pool.

use std::collections::HashMap;
use std::sync::Arc;

use mining::Assignment;
use stratum::transport::{Channels, Connector};
use stratum::v1::Session;
use stratum::{Event, Stats};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::warn;

use crate::board::Routes;
use crate::state::{PoolStatus, RejectReason};
use crate::stop::Stop;

/// Connections in a row that may end without a job before the next pool is tried.
const PATIENCE: u32 = 3;
/// Shares that may wait for the socket; at a few a second this is minutes.
const SHARE_QUEUE: usize = 1024;
/// Events that may wait for this task.
const EVENT_QUEUE: usize = 256;

/// The ends of the channels that the upstream task holds.
#[derive(Debug)]
pub struct Links {
    /// What to work on.
    pub assignment: watch::Sender<Arc<Assignment>>,
    /// Where boards put their shares.
    pub routes: watch::Sender<Arc<Routes>>,
    /// How each pool is doing, in config order.
    pub status: watch::Sender<Vec<PoolStatus>>,
    /// The end of the program.
    pub stop: Stop,
}

/// The status of pools that have not been tried yet.
#[must_use]
pub fn untried(sessions: &[Session]) -> Vec<PoolStatus> {
    sessions.iter().enumerate().map(unused).collect()
}

/// Runs the pools until the program stops; `links.status` holds [`untried`] at first. `epoch` is the zero of the agent's clock.
pub async fn run<C: Connector + Clone>(
    sessions: Vec<Session>,
    connector: C,
    mut links: Links,
    epoch: Instant,
) {
    let mut status = links.status.borrow().clone();
    let several = sessions.len() > 1;
    let mut sessions: Vec<Option<Session>> = sessions.into_iter().map(Some).collect();
    let mut index = 0;
    while !links.stop.is_stopped() {
        let Some(session) = sessions.get_mut(index).and_then(Option::take) else {
            return;
        };
        let patience = several.then_some(PATIENCE);
        let (session, problem) = serve(
            session,
            connector.clone(),
            &mut links,
            &mut status,
            index,
            patience,
            epoch,
        )
        .await;
        sessions[index] = Some(session);
        if links.stop.is_stopped() {
            break;
        }
        let next = (index + 1) % sessions.len();
        warn!(
            pool = status[index].url,
            next = status[next].url,
            "changing to the next pool: {problem}"
        );
        status[index].active = false;
        status[index].state = "unused".to_owned();
        status[index].problem = Some(problem);
        links.status.send_replace(status.clone());
        index = next;
    }
    links.assignment.send_replace(Arc::default());
}

/// Runs one pool until the program stops or the pool's patience is used up.
async fn serve<C: Connector>(
    session: Session,
    connector: C,
    links: &mut Links,
    status: &mut [PoolStatus],
    index: usize,
    patience: Option<u32>,
    epoch: Instant,
) -> (Session, String) {
    let (shares_in, shares) = mpsc::channel(SHARE_QUEUE);
    let (events_in, mut events) = mpsc::channel(EVENT_QUEUE);
    let (stats_in, mut stats) = watch::channel(Stats::default());
    let (leave, left) = oneshot::channel::<()>();
    let mut leave = Some(leave);
    links.routes.send_replace(Arc::default());
    let (assignment, routes) = (links.assignment.clone(), links.routes.clone());
    let channels = Channels {
        shares,
        hashrate: watch::channel(0.0).1,
        sink: Box::new(move |event: Event| {
            match &event {
                Event::Job(job) => {
                    if !routes.borrow().contains_key(&job.session) {
                        let route = HashMap::from([(job.session, shares_in.clone())]);
                        routes.send_replace(Arc::new(route));
                    }
                    let single = Assignment::single(Arc::clone(job));
                    assignment.send_replace(Arc::new(single));
                }
                Event::NoJob => drop(assignment.send_replace(Arc::default())),
                _ => {}
            }
            // Counters do not depend on events, so a slow reader loses nothing for good.
            let _ = events_in.try_send(event);
        }),
        stats: stats_in,
    };
    let session = Box::new(session);
    let mut stop = links.stop.clone();
    let task = stratum::transport::run(session, connector, channels, epoch, async move {
        tokio::select! {
            () = stop.stopped() => {}
            _ = left => {}
        }
    });
    tokio::pin!(task);
    status[index].active = true;
    let mut fruitless = 0;
    let mut problem = String::new();
    loop {
        tokio::select! {
            biased;
            session = &mut task => {
                update(&mut status[index], &session.stats());
                links.status.send_replace(status.to_vec());
                return (*session, problem);
            }
            Some(event) = events.recv() => match event {
                Event::Job(_) => fruitless = 0,
                Event::ShareAccepted(receipt) => {
                    let best = &mut status[index].best_difficulty;
                    *best = best.max(mining::hash_difficulty(&receipt.share.hash));
                }
                Event::Disconnected { reason, .. } => {
                    fruitless += 1;
                    problem = reason.to_string();
                    if patience.is_some_and(|patience| fruitless >= patience)
                        && let Some(leave) = leave.take()
                    {
                        // The task is still there to hear it: it ends only in the arm above.
                        let _ = leave.send(());
                    }
                }
                _ => {}
            },
            Ok(()) = stats.changed() => {
                update(&mut status[index], &stats.borrow_and_update());
                links.status.send_replace(status.to_vec());
            }
        }
    }
}

fn unused((index, session): (usize, &Session)) -> PoolStatus {
    let config = session.config();
    PoolStatus {
        index,
        url: config.url.to_string(),
        user: config.user.clone(),
        state: "unused".to_owned(),
        ..PoolStatus::default()
    }
}

fn update(status: &mut PoolStatus, stats: &Stats) {
    status.state = stats.state.to_owned();
    status.problem = stats.problem.clone();
    status.message = stats.message.clone();
    status.difficulty = stats.difficulty;
    status.version_mask = stats.version_mask;
    status.job_id = stats.job_id.clone();
    status.jobs = stats.jobs;
    status.submitted = stats.submitted;
    status.accepted = stats.accepted;
    status.accepted_difficulty = stats.accepted_difficulty;
    status.rejected = stats.rejected;
    status.reject_reasons = stats
        .rejects
        .iter()
        .map(|reject| RejectReason {
            reason: reject.kind.name().to_owned(),
            text: reject.text.clone(),
            count: reject.count,
        })
        .collect();
    status.unconfirmed = stats.unconfirmed;
    status.dropped = stats.dropped;
    status.latency_ms = stats
        .latency
        .map(|latency| latency.median.as_secs_f64() * 1e3);
    status.connects = stats.connects;
}
