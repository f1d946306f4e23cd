//! What the recorder costs each second, and what a question costs.

use std::time::Duration;

use history::{Archive, Kind, MemoryPages, Settings, Subject};
use rpc::history::Query;

const T0: i64 = 1_795_395_600;

fn main() {
    divan::main();
}

/// Four boards and three pools.
fn subjects() -> Vec<Subject> {
    let of = |kind: Kind, count: usize| {
        (0..count).map(move |at| Subject {
            kind,
            identity: at.to_string(),
            name: format!("{} {at}", kind.name()),
        })
    };
    let all = of(Kind::Miner, 1).chain(of(Kind::Board, 4));
    all.chain(of(Kind::Pool, 3)).collect()
}

/// Values that change by about a hundredth.
fn values(subjects: &[Subject], random: &mut fastrand::Rng) -> Vec<Vec<Option<f64>>> {
    let mut of = |subject: &Subject| {
        let metrics = subject.kind.metrics().iter();
        metrics
            .map(|_| Some(1000.0 * (0.995 + random.f64() / 100.0)))
            .collect()
    };
    subjects.iter().map(&mut of).collect()
}

fn filled(seconds: u64) -> Archive<MemoryPages> {
    let subjects = subjects();
    let mut random = fastrand::Rng::with_seed(1);
    let mut archive = Archive::open(MemoryPages::default(), Settings::default()).expect("memory");
    archive.subjects(subjects.clone());
    for second in 0..seconds {
        let values = values(&subjects, &mut random);
        archive.push(
            Duration::from_secs(second),
            (T0 + second as i64) * 1000,
            &values,
        );
        if archive.is_due() {
            archive.flush().expect("memory");
        }
    }
    archive
}

#[divan::bench]
fn a_minute_of_seconds(bencher: divan::Bencher<'_, '_>) {
    let subjects = subjects();
    let mut random = fastrand::Rng::with_seed(1);
    let mut archive = filled(1);
    let mut second = 1;
    bencher.bench_local(|| {
        for _ in 0..60 {
            let values = values(&subjects, &mut random);
            archive.push(
                Duration::from_secs(second),
                (T0 + second as i64) * 1000,
                &values,
            );
            second += 1;
        }
        archive.flush()
    });
}

#[divan::bench(args = [3600, 86_400, 365 * 86_400])]
fn a_query(bencher: divan::Bencher<'_, '_>, last_s: u64) {
    let mut archive = filled(2 * 86_400);
    let query = Query {
        last_s: Some(last_s),
        ..Query::default()
    };
    bencher.bench_local(|| archive.query(&query));
}
