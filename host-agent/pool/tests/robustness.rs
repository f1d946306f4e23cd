//! Nothing that a miner sends, under no switch, makes the pool panic, hang or grow without bound.

mod common;

use common::{Bench, easy};
use pool::{ConnectionId, PoolConfig, Quirk, Quirks};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

/// Any set of switches that go together.
fn quirks() -> impl Strategy<Value = Quirks> {
    let some = proptest::sample::subsequence(Quirk::ALL.to_vec(), 0..6);
    some.prop_map(|picked| {
        picked.into_iter().fold(Quirks::none(), |quirks, quirk| {
            // A huge line is huge only in bytes; a small one serves here.
            let number = if quirk == Quirk::HugeLine { 16 } else { 1 };
            let with = match quirk.argument() {
                Some(_) => quirks.clone().with_number(quirk, number),
                None => quirks.clone().with(quirk),
            };
            with.unwrap_or(quirks)
        })
    })
}

/// Values such as a confused miner might put anywhere.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[0-9a-f]{0,20}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("version-rolling")),
        Just(json!("worker.1")),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..7).prop_map(Value::from),
            proptest::collection::btree_map("[a-z.-]{1,20}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

#[derive(Debug, Clone)]
enum Step {
    Connect(u64),
    Disconnect(u64),
    Bytes(u64, Vec<u8>),
    Message(u64, &'static str, Value),
    Pass(u64),
    Drain,
}

fn step() -> impl Strategy<Value = Step> {
    let method = proptest::sample::select(vec![
        "mining.configure",
        "mining.subscribe",
        "mining.authorize",
        "mining.submit",
        "mining.suggest_difficulty",
        "mining.extranonce.subscribe",
        "mining.nonesuch",
    ]);
    let params = prop_oneof![
        value(),
        Just(json!(["worker.1", "x"])),
        Just(json!([["version-rolling"], {"version-rolling.mask": "1fffe000"}])),
        Just(json!([
            "worker.1", "1", "00", "00000000", "00000000", "00002000"
        ])),
    ];
    prop_oneof![
        2 => (0u64..4).prop_map(Step::Connect),
        1 => (0u64..4).prop_map(Step::Disconnect),
        1 => (0u64..4, proptest::collection::vec(any::<u8>(), 0..200))
            .prop_map(|(id, bytes)| Step::Bytes(id, bytes)),
        8 => (0u64..4, method, params).prop_map(|(id, method, params)| Step::Message(id, method, params)),
        2 => (0u64..100_000).prop_map(Step::Pass),
        1 => Just(Step::Drain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_course_of_events_is_survived(
        quirks in quirks(), steps in proptest::collection::vec(step(), 0..60), seed: u64,
    ) {
        let mut bench = Bench::new(PoolConfig {
            seed,
            quirks,
            job_interval: Duration::from_secs(30),
            block_interval: Duration::from_secs(120),
            max_connections: 3,
            max_line: 4096,
            ..easy()
        });
        for step in steps {
            match step {
                Step::Connect(id) => {
                    let _ = bench.core.connect(bench.now, ConnectionId(id));
                }
                Step::Disconnect(id) => bench.core.disconnect(bench.now, ConnectionId(id)),
                Step::Bytes(id, bytes) => bench.core.handle_bytes(bench.now, ConnectionId(id), &bytes),
                Step::Message(id, method, params) => {
                    let line = json!({"id": 1, "method": method, "params": params}).to_string() + "\n";
                    bench.core.handle_bytes(bench.now, ConnectionId(id), line.as_bytes());
                }
                Step::Pass(millis) => bench.pass(Duration::from_millis(millis)),
                Step::Drain => {
                    let waiting: usize = bench.packets().iter().map(|(_, bytes)| bytes.len()).sum();
                    prop_assert!(waiting < 8 << 20);
                    while bench.core.poll_close().is_some() {}
                    bench.events();
                }
            }
            let stats = bench.core.stats();
            prop_assert!(stats.connections <= 3);
            prop_assert!(bench.core.connections().len() == stats.connections);
        }
    }
}

#[test]
fn floods_of_names_and_sessions_are_bounded() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.connect();
    miner.start(&mut bench);
    for number in 0..1000 {
        let name = format!("worker.{number}");
        miner.send(&mut bench, "mining.authorize", json!([name, "x"]));
        miner.send(&mut bench, "mining.authorize", json!(["x".repeat(5000)]));
        miner.read(&mut bench);
    }
    assert!(bench.core.connections()[0].workers.len() <= 32);
    for _ in 0..1000 {
        let mut other = bench.connect();
        other.try_start(&mut bench, true, None);
        bench.core.disconnect(bench.now, other.id);
    }
    let lost = std::iter::from_fn(|| bench.core.poll_event()).count();
    assert!(lost <= 4096 && bench.core.stats().events_lost > 0);
}

#[test]
fn a_jump_of_the_clock_is_survived() {
    let mut bench = Bench::new(PoolConfig::default());
    let mut miner = bench.connect();
    miner.start(&mut bench);
    for now in [
        Duration::from_secs(1 << 33),
        Duration::ZERO,
        Duration::MAX,
        Duration::MAX,
    ] {
        bench.core.handle_timeout(now);
        miner.read(&mut bench);
        while bench.core.poll_close().is_some() {}
    }
}
