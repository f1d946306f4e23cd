//! What the history takes from a snapshot.

use std::collections::{BTreeMap, BTreeSet};

use history::{Kind, Subject, state};

use crate::state::{BoardStatus, PoolStatus, Rate, Snapshot};

/// Miner, boards and pools of a snapshot, in this order. They are known by what they are, not by where they
/// stand: a pool that moves up keeps its history.
pub(super) fn subjects(snapshot: &Snapshot) -> Vec<Subject> {
    let mut taken = BTreeSet::new();
    let mut unique = move |kind: Kind, identity: String, name: String| {
        let numbered = (2_u32..).map(|number| format!("{identity} #{number}"));
        let mut identities = std::iter::once(identity.clone()).chain(numbered);
        let free = identities.find(|identity| taken.insert((kind, identity.clone())));
        Subject {
            kind,
            identity: free.unwrap_or(identity),
            name,
        }
    };
    let mut subjects = vec![unique(Kind::Miner, String::new(), "miner".to_owned())];
    for board in &snapshot.boards {
        let identity = format!("{} at {}", board.profile, board.uart);
        let name = format!("{} at {}", board.model, board.uart);
        subjects.push(unique(Kind::Board, identity, name));
    }
    for pool in &snapshot.pools {
        let identity = format!("{} as {}", pool.url, pool.user);
        subjects.push(unique(Kind::Pool, identity.clone(), identity));
    }
    subjects
}

/// Makes counts of a second from counters that run.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    counters: BTreeMap<(Kind, String), Vec<f64>>,
}

impl Sampler {
    /// The values of this second for these subjects, in the order of [`Kind::metrics`].
    pub(super) fn values(
        &mut self,
        snapshot: &Snapshot,
        subjects: &[Subject],
    ) -> Vec<Vec<Option<f64>>> {
        let mut before = std::mem::take(&mut self.counters);
        let mut grown = |subject: &Subject, counters: Vec<f64>| {
            let key = (subject.kind, subject.identity.clone());
            let grown = match before.remove(&key) {
                Some(before) => since(&before, &counters),
                None => vec![0.0; counters.len()],
            };
            self.counters.insert(key, counters);
            grown
        };
        let of = |kind: Kind| subjects.iter().filter(move |subject| subject.kind == kind);
        let mut nonces = [0.0; 2];
        let mut shares = [0.0; 4];
        let mut boards = Vec::new();
        for (board, subject) in snapshot.boards.iter().zip(of(Kind::Board)) {
            let grown = grown(subject, board_counters(board));
            add(&mut nonces, &grown);
            boards.push(board_values(snapshot, board, &grown));
        }
        let mut pools = Vec::new();
        for (pool, subject) in snapshot.pools.iter().zip(of(Kind::Pool)) {
            let grown = grown(subject, pool_counters(pool));
            add(&mut shares, &grown);
            pools.push(pool_values(pool, &grown));
        }
        // Sums of what each has grown by: the sum of all counters falls when a pool is removed.
        let mut values = vec![miner_values(snapshot, nonces, shares)];
        values.extend(boards);
        values.extend(pools);
        values
    }
}

fn add(sums: &mut [f64], values: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

/// What counters have grown by. One that is lower than before has started again from zero.
fn since(before: &[f64], now: &[f64]) -> Vec<f64> {
    let grown = |(before, now): (&f64, &f64)| if now >= before { now - before } else { *now };
    before.iter().zip(now).map(grown).collect()
}

fn board_counters(board: &BoardStatus) -> Vec<f64> {
    let counters = [
        board.nonces.valid,
        board.nonces.hardware_errors,
        board.restarts,
    ];
    counters.iter().map(|count| *count as f64).collect()
}

fn pool_counters(pool: &PoolStatus) -> Vec<f64> {
    vec![
        pool.accepted as f64,
        pool.rejected as f64,
        pool.stale as f64,
        pool.accepted_difficulty,
        pool.connects as f64,
    ]
}

fn rate(rate: Rate) -> [Option<f64>; 2] {
    [Some(rate.hps), Some(rate.sigma_hps)]
}

fn miner_values(snapshot: &Snapshot, nonces: [f64; 2], shares: [f64; 4]) -> Vec<Option<f64>> {
    let miner = &snapshot.miner;
    let [hashrate, sigma] = rate(miner.hashrate.s5);
    let duties = snapshot.boards.iter().filter_map(|board| board.fan_percent);
    let speeds = (0..snapshot.stations.len()).filter_map(|station| slowest(snapshot, station));
    vec![
        hashrate,
        sigma,
        Some(miner.expected_hps),
        miner.power_w,
        miner.hottest_c,
        duties.max().map(f64::from),
        speeds.min().map(f64::from),
        Some(nonces[0]),
        Some(nonces[1]),
        Some(shares[0]),
        Some(shares[1]),
        Some(shares[2]),
        Some(shares[3]),
        Some(state(&miner.state)),
    ]
}

fn board_values(snapshot: &Snapshot, board: &BoardStatus, grown: &[f64]) -> Vec<Option<f64>> {
    let [hashrate, sigma] = rate(board.hashrate.s5);
    let station = board.station.and_then(|at| snapshot.stations.get(at));
    let speed = board.station.and_then(|at| slowest(snapshot, at));
    let mut values = vec![
        hashrate,
        sigma,
        Some(board.expected_hps),
        board.power_w,
        board.temperature_c,
        board.fan_percent.map(f64::from),
        speed.map(f64::from),
        Some(board.frequency_mhz),
        station.and_then(|station| station.status.set_points.actual_mv),
    ];
    values.extend(grown.iter().copied().map(Some));
    values.push(Some(state(&board.state)));
    values
}

fn pool_values(pool: &PoolStatus, grown: &[f64]) -> Vec<Option<f64>> {
    let mut values: Vec<_> = grown[..4].iter().copied().map(Some).collect();
    values.push(pool.latency_ms);
    values.push(Some(pool.work_percent));
    values.push(Some(grown[4]));
    values.push(Some(state(&pool.state)));
    values
}

/// Speed of a station's slowest fan.
fn slowest(snapshot: &Snapshot, station: usize) -> Option<u32> {
    let fans = &snapshot.stations.get(station)?.status.fans;
    fans.iter().filter_map(|fan| fan.rpm).min()
}

#[cfg(test)]
mod tests {
    use rpc::history::Metric;

    use super::*;

    fn pool(url: &str, accepted: u64) -> PoolStatus {
        PoolStatus {
            url: url.to_owned(),
            accepted,
            ..PoolStatus::default()
        }
    }

    fn of(pools: &[PoolStatus]) -> Snapshot {
        Snapshot {
            pools: pools.to_vec(),
            boards: vec![BoardStatus::default(); 2],
            ..Snapshot::default()
        }
    }

    fn accepted(sampler: &mut Sampler, snapshot: &Snapshot) -> Vec<Option<f64>> {
        let subjects = subjects(snapshot);
        let values = sampler.values(snapshot, &subjects);
        let found = subjects.iter().zip(values).filter_map(|(subject, values)| {
            let metrics = subject.kind.metrics();
            assert_eq!(metrics.len(), values.len());
            let at = metrics
                .iter()
                .position(|metric| *metric == Metric::Accepted)?;
            Some(values[at])
        });
        found.collect()
    }

    #[test]
    fn every_subject_is_one_of_its_own() {
        let subjects = subjects(&of(&[pool("a", 0), pool("a", 0), pool("b", 0)]));
        let identities: BTreeSet<_> = subjects
            .iter()
            .map(|subject| (subject.kind, &subject.identity))
            .collect();
        assert_eq!(identities.len(), subjects.len());
    }

    #[test]
    fn counts_follow_pools_that_come_go_and_start_again() {
        let mut sampler = Sampler::default();
        let mut next = |pools: &[PoolStatus]| accepted(&mut sampler, &of(pools));
        // What was counted before the recorder looked is not of this second.
        assert_eq!(next(&[pool("a", 100)]), [Some(0.0), Some(0.0)]);
        assert_eq!(next(&[pool("a", 103)]), [Some(3.0), Some(3.0)]);
        // A new pool goes first; the other keeps its count.
        assert_eq!(
            next(&[pool("b", 0), pool("a", 104)]),
            [Some(1.0), Some(0.0), Some(1.0)]
        );
        // The old one goes, and the sum of all falls.
        assert_eq!(next(&[pool("b", 5)]), [Some(5.0), Some(5.0)]);
        // A counter that starts again has counted what it says.
        assert_eq!(next(&[pool("b", 2)]), [Some(2.0), Some(2.0)]);
    }
}
