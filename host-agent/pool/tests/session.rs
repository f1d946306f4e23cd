//! Sessions with a pool that behaves: the course of a connection, each reason to refuse a share, new
//! blocks, difficulty and resumption.

mod common;

use common::{Bench, MASK, easy, seconds};
use pool::{
    CloseReason, ConnectError, ConnectionId, Difficulty, Event, PoolConfig, REGTEST_NBITS, Target,
    VardiffConfig,
};
use serde_json::{Value, json};
use std::time::Duration;

fn changed(mut params: Value, index: usize, value: Value) -> Value {
    params[index] = value;
    params
}

#[test]
fn a_good_share_is_accepted_once() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.connect();
    miner.start(&mut bench);
    assert_eq!(miner.mask, Some(MASK));
    assert_eq!((miner.extranonce1.len(), miner.extranonce2_size), (4, 8));
    let share = miner.find();
    assert_eq!(miner.code(&mut bench, share.clone()), 0);
    assert_eq!(miner.code(&mut bench, share), 22);
    let stats = bench.core.stats();
    assert_eq!((stats.accepted, stats.rejected.duplicate), (1, 1));
    assert_eq!(stats.accepted_work, 1e-9);
    assert!(stats.best_share >= 1e-9);
    let accepted = |event: &Event| matches!(event, Event::ShareAccepted { worker, .. } if worker == "worker.1");
    assert!(bench.events().iter().any(accepted));
}

#[test]
fn each_fault_gets_its_code() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.connect();
    miner.start(&mut bench);
    let good = miner.find();
    let ntime = miner.jobs[0].0.ntime;
    let faults = [
        (21, changed(good.clone(), 1, json!("nonesuch"))),
        (24, changed(good.clone(), 0, json!("somebody"))),
        (20, changed(good.clone(), 2, json!("00"))),
        (20, changed(good.clone(), 2, json!("000000000000000000"))),
        (20, changed(good.clone(), 2, json!("zz00000000000000"))),
        (
            20,
            changed(good.clone(), 3, json!(format!("{:08x}", ntime - 1))),
        ),
        (
            20,
            changed(good.clone(), 3, json!(format!("{:08x}", ntime + 7001))),
        ),
        (20, changed(good.clone(), 3, json!(ntime))),
        (20, changed(good.clone(), 4, json!("0"))),
        (20, changed(good.clone(), 5, json!("20000000"))),
        (20, changed(good.clone(), 5, json!("00000001"))),
        (20, json!(good.as_array().expect("a list")[..5])),
        (20, json!(["worker.1"])),
        (20, json!({"worker": 1})),
        (20, Value::Null),
    ];
    for (code, params) in faults {
        assert_eq!(miner.code(&mut bench, params.clone()), code, "{params}");
    }
    let (job, difficulty) = miner.jobs[0].clone();
    let weak = miner.find_for(&job, Target::from_difficulty(difficulty), false);
    assert_eq!(miner.code(&mut bench, weak), 23);
    assert_eq!(miner.code(&mut bench, good), 0);
    assert_eq!(bench.core.stats().rejected.total(), 16);
}

#[test]
fn nothing_is_accepted_before_subscribe_and_authorize() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.connect();
    let share = json!(["worker.1", "1", "0000000000000000", "00000000", "00000000"]);
    assert_eq!(miner.code(&mut bench, share.clone()), 25);
    let early = miner.send(&mut bench, "mining.authorize", json!(["worker.1", "x"]));
    miner.send(&mut bench, "mining.subscribe", json!([]));
    miner.read(&mut bench);
    assert_eq!(miner.answer(early).expect("an answer")["error"][0], 25);
    assert_eq!(miner.code(&mut bench, share), 24);
    assert!(miner.jobs.is_empty());
}

#[test]
fn a_sixth_parameter_needs_agreement() {
    let mut bench = Bench::new(easy());
    let mut miner = bench.connect();
    miner.try_start(&mut bench, false, None);
    let mut share = miner.find();
    assert_eq!(share.as_array().map(Vec::len), Some(5));
    share
        .as_array_mut()
        .expect("a list")
        .push(json!("00002000"));
    assert_eq!(miner.code(&mut bench, share.clone()), 20);
    share.as_array_mut().expect("a list").pop();
    assert_eq!(miner.code(&mut bench, share), 0);
}

#[test]
fn an_update_keeps_older_jobs_and_a_block_voids_them() {
    let mut bench = Bench::new(PoolConfig {
        job_interval: seconds(30),
        block_interval: seconds(100),
        ..easy()
    });
    let mut miner = bench.connect();
    miner.start(&mut bench);
    let old = [miner.find(), miner.find()];
    bench.pass(seconds(30));
    miner.read(&mut bench);
    assert_eq!(miner.jobs.len(), 2);
    assert!(!miner.jobs[1].0.clean);
    assert_eq!(miner.jobs[0].0.prev_hash, miner.jobs[1].0.prev_hash);
    assert_eq!(miner.jobs[1].0.ntime, miner.jobs[0].0.ntime + 30);
    assert_eq!(miner.code(&mut bench, old[0].clone()), 0);
    bench.pass(seconds(70));
    miner.read(&mut bench);
    let last = miner.jobs.last().expect("a job").0.clone();
    assert!(last.clean);
    assert_ne!(last.prev_hash, miner.jobs[0].0.prev_hash);
    assert_eq!(miner.code(&mut bench, old[1].clone()), 21);
}

#[test]
fn a_share_that_solves_the_block_starts_the_next_one_on_top_of_it() {
    let mut bench = Bench::new(PoolConfig {
        nbits: REGTEST_NBITS,
        ..easy()
    });
    let (mut miner, mut other) = (bench.connect(), bench.connect());
    other.start(&mut bench);
    miner.start(&mut bench);
    let height = bench.core.stats().height;
    let share = miner.find();
    assert_eq!(miner.code(&mut bench, share), 0);
    let block = bench
        .events()
        .into_iter()
        .find_map(|event| match event {
            Event::BlockFound { hash, height, .. } => Some((hash, height)),
            _ => None,
        })
        .expect("a block");
    assert_eq!(block.1, height);
    let next = &miner.jobs.last().expect("a job").0;
    assert!(next.clean && next.prev_hash == block.0);
    let stats = bench.core.stats();
    assert_eq!((stats.blocks_found, stats.height), (1, height + 1));
}

#[test]
fn coinbases_are_transactions_with_their_height() {
    let mut bench = Bench::new(PoolConfig {
        height: 850_000,
        ..easy()
    });
    let mut miner = bench.connect();
    miner.start(&mut bench);
    let job = &miner.jobs[0].0;
    let script = job.coinbase1[42..].to_vec();
    // One input with the null outpoint, then the script: 3 bytes 850000 (0x0cf850), little-endian.
    assert_eq!(job.coinbase1[4..5], [1]);
    assert_eq!(job.coinbase1[5..37], [0; 32]);
    assert_eq!(script[..4], [3, 0x50, 0xf8, 0x0c]);
    let script_size = usize::from(job.coinbase1[41]);
    assert_eq!(script.last(), Some(&12), "a push of both extranonces");
    let tail = &job.coinbase2[script_size - script.len() - 12..];
    assert_eq!(tail[..5], [0xff, 0xff, 0xff, 0xff, 2]);
    let value = u64::from_le_bytes(tail[5..13].try_into().expect("eight bytes"));
    // The subsidy after four halvings, and some fees.
    assert!(value > 312_500_000 && value < 412_500_000, "{value}");
    assert_eq!(tail[tail.len() - 4..], [0; 4]);
    assert!((3..=16).contains(&job.branch.len()));
    assert!(job.prev_hash.to_string().starts_with("00000000000000"));
}

#[test]
fn a_suggested_difficulty_counts_from_the_next_job() {
    let mut bench = Bench::new(PoolConfig {
        job_after_difficulty: false,
        ..easy()
    });
    let mut miner = bench.connect();
    miner.start(&mut bench);
    let (job, easy_one) = miner.jobs[0].clone();
    let hard = Difficulty::new(1e-6).expect("above zero");
    miner.send(&mut bench, "mining.suggest_difficulty", json!([1e-6]));
    miner.read(&mut bench);
    assert_eq!(miner.difficulty, Some(hard));
    assert_eq!(miner.jobs.len(), 1);
    // Good for the old difficulty and not for the new one.
    let share = loop {
        let share = miner.find_for(&job, Target::from_difficulty(easy_one), true);
        if !Target::from_difficulty(hard).is_met_by(&miner.hash(&job, &share)) {
            break share;
        }
    };
    assert_eq!(miner.code(&mut bench, share), 0);
    bench.core.force_job(bench.now);
    miner.read(&mut bench);
    let (job, difficulty) = miner.jobs[1].clone();
    assert_eq!(difficulty, hard);
    let weak = miner.find_for(&job, Target::from_difficulty(hard), false);
    assert_eq!(miner.code(&mut bench, weak), 23);
}

#[test]
fn suggestions_are_held_within_the_limits() {
    let mut config = easy();
    config.vardiff.min = Difficulty::new(1e-8).expect("above zero");
    config.vardiff.max = Difficulty::new(2.0).expect("above zero");
    let mut bench = Bench::new(config);
    let mut miner = bench.connect();
    miner.start(&mut bench);
    for (wish, given) in [(json!(1e-10), 1e-8), (json!(5), 2.0), (json!(0.25), 0.25)] {
        miner.send(&mut bench, "mining.suggest_difficulty", json!([wish]));
        miner.read(&mut bench);
        assert_eq!(miner.difficulty.map(Difficulty::get), Some(given));
    }
    for wish in [json!(0), json!(-1), json!("x"), json!(null)] {
        miner.send(&mut bench, "mining.suggest_difficulty", json!([wish]));
        miner.read(&mut bench);
        assert_eq!(miner.difficulty.map(Difficulty::get), Some(0.25));
    }
}

#[test]
fn difficulties_are_judged_exactly_as_they_were_sent() {
    for text in [
        "0.00000000023283064365386963",
        "1e-9",
        "0.0000000011",
        "0.0000000033333333333333335",
    ] {
        let sent: f64 = text.parse().expect("a number");
        let mut config = easy();
        config.vardiff.start = Difficulty::new(sent).expect("above zero");
        for quirks in ["", "difficulty-digits", "difficulty-float"] {
            config.quirks = quirks.parse().expect("known");
            let mut bench = Bench::new(config.clone());
            let mut miner = bench.connect();
            miner.start(&mut bench);
            let line = miner
                .lines
                .iter()
                .find(|line| line["method"] == "mining.set_difficulty");
            let number = line.expect("a difficulty")["params"][0].to_string();
            let read: f64 = number.parse().expect("a number");
            assert!((read - sent).abs() <= sent * f64::EPSILON, "{number}");
            let share = miner.find();
            assert_eq!(miner.code(&mut bench, share), 0);
        }
    }
}

#[test]
fn a_lost_session_gets_its_extranonce_back_and_its_shares_count() {
    let mut bench = Bench::new(easy());
    let mut first = bench.connect();
    first.start(&mut bench);
    let (sent, unsent) = (first.find(), first.find());
    assert_eq!(first.code(&mut bench, sent.clone()), 0);
    bench.core.disconnect(bench.now, first.id);
    bench.pass(seconds(60));
    let mut second = bench.connect();
    second.try_start(&mut bench, true, first.session_id.as_deref());
    assert_eq!(second.extranonce1, first.extranonce1);
    assert_ne!(second.session_id, first.session_id);
    assert_eq!(second.code(&mut bench, unsent), 0);
    assert_eq!(second.code(&mut bench, sent), 22);
    assert_eq!(bench.core.stats().resumed, 1);
    // A session id counts once.
    let mut third = bench.connect();
    third.try_start(&mut bench, true, first.session_id.as_deref());
    assert_ne!(third.extranonce1, first.extranonce1);
}

#[test]
fn shares_of_a_passed_block_stay_stale_after_resumption() {
    let mut bench = Bench::new(easy());
    let mut first = bench.connect();
    first.start(&mut bench);
    let unsent = first.find();
    bench.core.disconnect(bench.now, first.id);
    bench.core.force_block(bench.now);
    let mut second = bench.connect();
    second.try_start(&mut bench, true, first.session_id.as_deref());
    assert_eq!(second.code(&mut bench, unsent), 21);
}

#[test]
fn sessions_are_forgotten_after_a_while() {
    let mut bench = Bench::new(PoolConfig {
        resume_for: seconds(60),
        ..easy()
    });
    let mut first = bench.connect();
    first.start(&mut bench);
    bench.core.disconnect(bench.now, first.id);
    bench.pass(seconds(61));
    let mut second = bench.connect();
    second.try_start(&mut bench, true, first.session_id.as_deref());
    assert_ne!(second.extranonce1, first.extranonce1);
}

#[test]
fn every_possible_extranonce_size_works() {
    for (size1, size2) in [(0, 1), (0, 16), (1, 4), (4, 8), (5, 3), (16, 4), (32, 16)] {
        let mut bench = Bench::new(PoolConfig {
            extranonce1_size: size1,
            extranonce2_size: size2,
            ..easy()
        });
        let mut miner = bench.connect();
        miner.start(&mut bench);
        assert_eq!(miner.extranonce1.len(), usize::from(size1));
        assert_eq!(miner.extranonce2_size, usize::from(size2));
        assert!(miner.jobs[0].0.coinbase1[41] <= 100, "script size");
        let share = miner.find();
        assert_eq!(miner.code(&mut bench, share), 0);
    }
}

#[test]
fn impossible_configs_are_refused() {
    for config in [
        PoolConfig {
            extranonce1_size: 33,
            ..easy()
        },
        PoolConfig {
            extranonce2_size: 0,
            ..easy()
        },
        PoolConfig {
            extranonce2_size: 17,
            ..easy()
        },
        PoolConfig { nbits: 0, ..easy() },
        PoolConfig {
            max_connections: 0,
            ..easy()
        },
        PoolConfig {
            max_line: 10,
            ..easy()
        },
    ] {
        assert!(pool::PoolCore::new(config).is_err());
    }
}

#[test]
fn connections_and_lines_are_limited() {
    let mut bench = Bench::new(PoolConfig {
        max_connections: 2,
        max_line: 600,
        ..easy()
    });
    let first = bench.connect();
    let _second = bench.connect();
    let refused = bench.core.connect(bench.now, ConnectionId(99));
    assert_eq!(refused, Err(ConnectError::Full(2)));
    bench.core.handle_bytes(bench.now, first.id, &[b' '; 601]);
    assert_eq!(
        bench.core.poll_close(),
        Some((first.id, CloseReason::LineTooLong(600)))
    );
    assert_eq!(bench.core.connect(bench.now, ConnectionId(99)), Ok(()));
}

#[test]
fn broken_json_ends_the_connection_after_what_was_said_before() {
    let mut bench = Bench::new(easy());
    let miner = bench.connect();
    let bytes = b"\r\n{\"id\":\"a\",\"method\":\"mining.ping\"}\r\n[]\n";
    bench.core.handle_bytes(bench.now, miner.id, bytes);
    assert_eq!(bench.core.poll_close(), None);
    let packets = bench.packets();
    assert_eq!(packets.len(), 1);
    let answer: Value = serde_json::from_slice(&packets[0].1).expect("JSON");
    assert_eq!(answer, json!({"id": "a", "result": "pong", "error": null}));
    assert_eq!(
        bench.core.poll_close(),
        Some((miner.id, CloseReason::BadJson))
    );
}

#[test]
fn silent_miners_are_hung_up_on() {
    let mut bench = Bench::new(PoolConfig {
        idle_timeout: seconds(300),
        ..easy()
    });
    let mut miner = bench.connect();
    miner.start(&mut bench);
    bench.pass(seconds(299));
    assert_eq!(bench.core.poll_close(), None);
    bench.pass(seconds(1));
    miner.read(&mut bench);
    assert_eq!(
        bench.core.poll_close(),
        Some((miner.id, CloseReason::Idle(seconds(300))))
    );
}

#[test]
fn a_miner_that_never_reads_is_hung_up_on() {
    let mut bench = Bench::new(PoolConfig {
        job_interval: seconds(1),
        idle_timeout: Duration::MAX,
        ..easy()
    });
    let mut miner = bench.connect();
    miner.start(&mut bench);
    bench.pass(seconds(3600));
    assert_eq!(
        bench.core.poll_close(),
        Some((miner.id, CloseReason::SlowReader))
    );
}

#[test]
fn lines_may_be_cut_anywhere() {
    let mut bench = Bench::new(easy());
    let miner = bench.connect();
    for byte in b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n" {
        bench.core.handle_bytes(bench.now, miner.id, &[*byte]);
    }
    assert_eq!(bench.packets().len(), 1);
}

#[test]
fn vardiff_brings_a_session_to_the_wanted_rate() {
    let mut bench = Bench::new(PoolConfig {
        vardiff: VardiffConfig {
            start: Difficulty::new(1e-9).expect("above zero"),
            shares_per_minute: 60.0,
            window: seconds(10),
            ..VardiffConfig::default()
        },
        ..easy()
    });
    let mut miner = bench.connect();
    miner.start(&mut bench);
    // 100 tries a second: at difficulty d a share takes 2^32 d tries on average.
    let mut late = 0;
    for second in 0..240 {
        for _ in 0..100 {
            let (job, difficulty) = miner.jobs.last().expect("a job").clone();
            // One try: the share is whatever the first nonce makes of the next extranonce.
            let share = miner.find_for(&job, Target::EASIEST, true);
            let hash = miner.hash(&job, &share);
            if Target::from_difficulty(difficulty).is_met_by(&hash) {
                assert_eq!(miner.code(&mut bench, share), 0);
                late += u32::from(second >= 120);
            }
        }
        bench.pass(seconds(1));
        miner.read(&mut bench);
        miner.lines.clear();
    }
    let per_minute = f64::from(late) / 2.0;
    assert!((30.0..120.0).contains(&per_minute), "{per_minute}");
    let rate = bench.core.stats().hashrate_hps;
    assert!((50.0..200.0).contains(&rate), "{rate}");
}

#[test]
fn the_same_seed_gives_the_same_pool() {
    let run = |seed| {
        let mut bench = Bench::new(PoolConfig {
            seed,
            irregular_blocks: true,
            ..PoolConfig::default()
        });
        let mut miner = bench.connect();
        miner.start(&mut bench);
        bench.pass(seconds(500));
        bench.packets()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
