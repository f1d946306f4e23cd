//! What boards are to work on: jobs of one or several upstreams, each with its part of the
//! hashing time, and which earlier work is still worth a share.

use std::sync::Arc;

use crate::job::Job;

/// What boards work on, and what is still good of what they worked on before.
///
/// The default is no work, with nothing from before being good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The jobs to work on; none means rest. At most one per session: of several the first counts.
    pub lots: Vec<Lot>,
    /// Each session whose shares are wanted, with the lowest generation of its jobs that is
    /// still good. A session may be here without a lot: nonces that are found late then still
    /// become shares. Work of sessions that are not here is void, and their lots are ignored.
    pub floors: Vec<(u64, u64)>,
}

/// A job and its part of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// The job.
    pub job: Arc<Job>,
    /// Part of the hashing time, in proportion to the weights of the other lots. A lot of
    /// weight 0 is not worked on.
    pub weight: u32,
}

impl Assignment {
    /// One job and nothing else; older generations of its session are void.
    #[must_use]
    pub fn single(job: Arc<Job>) -> Self {
        Self {
            floors: vec![(job.session, job.generation)],
            lots: vec![Lot { job, weight: 1 }],
        }
    }

    /// Whether a share of this job is still wanted.
    #[must_use]
    pub fn accepts(&self, job: &Job) -> bool {
        is_good(&self.floors, job)
    }
}

/// Whether a job's session is among the floors, and its generation not below.
pub(crate) fn is_good(floors: &[(u64, u64)], job: &Job) -> bool {
    floors
        .iter()
        .any(|&(session, lowest)| session == job.session && lowest <= job.generation)
}
