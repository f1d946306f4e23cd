//! What the whole agent does when its pool does something: clean jobs, restarts, absence, other pools,
//! odd and hostile ones, and the terms under which shares are taken.

mod support;

use std::collections::HashMap;
use std::time::Duration;

use hashwright::config::{self, Terms};
use hashwright::state::Snapshot;
use pool::{PoolConfig, Quirk, Quirks};
use serde_json::Value;
use support::{FIRST, Lab, Line, Pool, SECOND, Wire, board, easy_pool, lively, upstream};

const SECOND_S: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A board that finds some nonces a second.
fn busy(name: &str, nonces_per_second: f64) -> config::Board {
    let mut board = board(name);
    lively(&mut board, nonces_per_second);
    board
}

/// A pool that takes every nonce and changes nothing by itself.
fn calm_pool() -> PoolConfig {
    PoolConfig {
        block_interval: Duration::ZERO,
        job_interval: Duration::ZERO,
        ..easy_pool()
    }
}

fn is_mining(state: &Snapshot) -> bool {
    state.miner.state == "mining"
}

/// An easy pool with one switch on.
fn with_quirk(quirk: Quirk) -> PoolConfig {
    let quirks = match quirk {
        // At its usual pace a job takes minutes.
        Quirk::SlowLoris => Quirks::none().with_number(quirk, 20),
        _ => Quirks::none().with(quirk),
    };
    PoolConfig {
        quirks: quirks.expect("one quirk"),
        ..easy_pool()
    }
}

/// Submits for jobs that were void by then: for each connection, a clean notification leaves only its
/// own job, any other adds one. Also gives the numbers of clean jobs and of submits.
fn void_submits(lines: &[Line]) -> (Vec<&Line>, usize, usize) {
    let mut good: HashMap<u64, Vec<String>> = HashMap::new();
    let (mut void, mut cleans, mut submits) = (Vec::new(), 0, 0);
    for line in lines {
        let Ok(message) = serde_json::from_str::<Value>(&line.text) else {
            continue;
        };
        let text = |index: usize| {
            message["params"][index]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let good = good.entry(line.connection).or_default();
        match (line.from_pool, message["method"].as_str()) {
            (true, Some("mining.notify")) => {
                if message["params"][8] == Value::Bool(true) {
                    good.clear();
                    cleans += 1;
                }
                good.push(text(0));
            }
            (false, Some("mining.submit")) => {
                submits += 1;
                if !good.contains(&text(1)) {
                    void.push(line);
                }
            }
            _ => {}
        }
    }
    (void, cleans, submits)
}

#[tokio::test(start_paused = true)]
async fn after_a_clean_job_nothing_older_is_submitted() {
    for room in [64 * 1024, 300] {
        let wire = Wire::default();
        wire.tap();
        wire.narrow(room);
        let boards = vec![
            busy("bitaxe-gamma", 60.0),
            busy("bitaxe-hex", 60.0),
            busy("bitaxe-max", 60.0),
        ];
        let mut lab = Lab::with_config(&support::config(boards), wire.clone());
        lab.start_pool(calm_pool());
        lab.run_until(MINUTE, is_mining).await;
        let handle = lab.pool.as_ref().expect("pool").handle.clone();
        for round in 0..150 {
            lab.run_for(Duration::from_millis(151 + round % 13)).await;
            if round % 3 == 2 {
                handle.call(|core, now| core.force_job(now)).await;
            } else {
                handle.call(|core, now| core.force_block(now)).await;
            }
        }
        let state = lab.stop().await;
        assert!(state.miner.nonces.stale > 0, "no nonce crossed a clean job");
        assert_eq!(state.miner.nonces.hardware_errors, 0);
        let lines = wire.lines();
        let (void, cleans, submits) = void_submits(&lines);
        assert!(cleans > 100, "{cleans}");
        assert!(submits > 1000, "{submits}");
        assert!(
            void.is_empty(),
            "room {room}: {} of {submits}, {:?}",
            void.len(),
            void.first()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_was_set_up_anew_gets_no_share_of_the_old_one() {
    let mut lab = Lab::start(vec![busy("bitaxe-gamma", 5.0)], calm_pool());
    lab.run_until(MINUTE, is_mining).await;
    lab.run_for(20 * SECOND_S).await;
    lab.stop_pool();
    lab.run_for(20 * SECOND_S).await;
    let alone = lab.state();
    assert_eq!(alone.pools[0].state, "retrying");
    let problem = alone.pools[0].problem.as_deref().expect("a problem");
    assert!(problem.contains("connect"), "{problem}");
    lab.start_pool(PoolConfig {
        seed: 99,
        ..calm_pool()
    });
    lab.run_until(2 * MINUTE, |state| {
        state.pools[0].accepted > alone.pools[0].accepted + 50
    })
    .await;
    let pool = lab.pool_stats();
    assert_eq!(pool.resumed, 0);
    assert_eq!(pool.rejected.total(), 0, "{:?}", pool.rejected);
    let state = lab.stop().await;
    assert!(state.pools[0].dropped > 0, "shares of the old pool");
    assert_eq!(state.pools[0].rejected, 0);
    assert_eq!(state.boards[0].restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_broken_connection_is_resumed_and_its_shares_are_not_lost() {
    let lab = Lab::start(vec![busy("bitaxe-gamma", 5.0)], calm_pool());
    lab.run_until(MINUTE, is_mining).await;
    lab.run_for(20 * SECOND_S).await;
    let pool = lab.pool.as_ref().expect("pool");
    lab.wire.refuse(FIRST);
    for connection in pool.handle.connections().await {
        let close = move |core: &mut pool::PoolCore, now| core.close(now, connection.connection);
        pool.handle.call(close).await;
    }
    lab.run_for(SECOND_S).await;
    let before = lab.state();
    lab.run_for(15 * SECOND_S).await;
    let cut = lab.state();
    assert_eq!(cut.pools[0].accepted, before.pools[0].accepted);
    let waiting = cut.miner.nonces.shares - before.miner.nonces.shares;
    assert!(waiting > 20, "the board goes on: {waiting}");
    lab.wire.pool(FIRST, pool);
    lab.run_until(2 * MINUTE, |state| state.pools[0].state == "mining")
        .await;
    lab.run_for(10 * SECOND_S).await;
    let stats = lab.pool_stats();
    assert_eq!(stats.resumed, 1);
    assert_eq!(stats.rejected.total(), 0, "{:?}", stats.rejected);
    let state = lab.state();
    assert_eq!(state.pools[0].dropped, 0);
    assert_eq!(state.pools[0].unconfirmed, 0);
    // Every share that the board has told of is at the pool, which knows later ones besides.
    assert_eq!(state.boards[0].shares_lost, 0);
    let found = state.miner.nonces.shares;
    assert!(stats.accepted >= found, "{found} found, {}", stats.accepted);
    assert!(
        stats.accepted <= found + 20,
        "{found} found, {}",
        stats.accepted
    );
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_not_there_yet_is_waited_for() {
    let mut lab = Lab::without_pool(vec![busy("bitaxe-gamma", 5.0)]);
    let state = lab
        .run_until(MINUTE, |state| state.miner.state == "waiting for a pool")
        .await;
    assert_eq!(state.boards[0].state, "idle");
    lab.run_for(60 * MINUTE).await;
    let state = lab.state();
    assert_eq!(state.boards[0].state, "idle");
    assert_eq!(state.boards[0].restarts, 0);
    let problem = state.pools[0].problem.as_deref().expect("a problem");
    assert!(problem.contains("cannot connect"), "{problem}");
    lab.start_pool(easy_pool());
    lab.run_until(2 * MINUTE, |state| state.miner.accepted > 10)
        .await;
    lab.stop().await;
}

fn two_pools(boards: Vec<config::Board>, wire: &Wire) -> Lab {
    let mut config = support::config(boards);
    config.pools.push(upstream(SECOND));
    Lab::with_config(&config, wire.clone())
}

#[tokio::test(start_paused = true)]
async fn the_second_pool_gets_the_work_when_the_first_refuses_or_hangs() {
    for hangs in [false, true] {
        let wire = Wire::default();
        if hangs {
            wire.hang(FIRST);
        }
        let second = Pool::start(easy_pool());
        wire.pool(SECOND, &second);
        let lab = two_pools(vec![busy("bitaxe-gamma", 5.0)], &wire);
        let state = lab
            .run_until(3 * MINUTE, |state| {
                state.pools.get(1).is_some_and(|pool| pool.accepted > 10)
            })
            .await;
        assert!(!state.pools[0].active && state.pools[1].active);
        let failed = |state: &Snapshot| state.pools[0].problem.is_some();
        let state = lab.run_until(MINUTE, failed).await;
        assert_eq!(state.pools[0].role, "connecting");
        let problem = state.pools[0].problem.as_deref().expect("a problem");
        assert!(problem.contains("cannot connect"), "{problem}");

        // And back again.
        let first = Pool::start(PoolConfig {
            seed: 5,
            ..easy_pool()
        });
        wire.pool(FIRST, &first);
        wire.refuse(SECOND);
        drop(second);
        let state = lab
            .run_until(3 * MINUTE, |state| state.pools[0].accepted > 10)
            .await;
        assert!(state.pools[0].active && !state.pools[1].active);
        assert_eq!(first.handle.stats().rejected.total(), 0);
        assert_eq!(state.boards[0].restarts, 0);
        lab.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_answers_nothing_is_left_for_the_next() {
    for quirk in [
        Quirk::SubscribeSilent,
        Quirk::RefuseAuthorize,
        Quirk::Silence,
    ] {
        let wire = Wire::default();
        let (mute, second) = (Pool::start(with_quirk(quirk)), Pool::start(easy_pool()));
        wire.pool(FIRST, &mute);
        wire.pool(SECOND, &second);
        let lab = two_pools(vec![busy("bitaxe-gamma", 5.0)], &wire);
        let state = lab
            .run_until(5 * MINUTE, |state| {
                state.pools.get(1).is_some_and(|pool| pool.accepted > 10)
            })
            .await;
        assert!(!state.pools[0].active, "{quirk:?}");
        let failed = |state: &Snapshot| state.pools[0].problem.is_some();
        let state = lab.run_until(2 * MINUTE, failed).await;
        assert!(state.pools[1].active, "{quirk:?}");
        assert_eq!(second.handle.stats().rejected.total(), 0, "{quirk:?}");
        lab.stop().await;
    }
}

/// Every switch of the embedded pool, the broken ones included: nothing stops the agent, a pool that gives no
/// work or takes no share has its reason told, and a good pool afterwards gets good shares.
#[tokio::test(start_paused = true)]
async fn no_pool_however_odd_keeps_the_agent_from_the_next_good_one() {
    for &quirk in Quirk::ALL {
        let mut lab = Lab::start(vec![busy("bitaxe-gamma", 2.0)], with_quirk(quirk));
        lab.run_for(70 * SECOND_S).await;
        let state = lab.state();
        let odd = &state.pools[0];
        // A pool may also ask for more than a board finds.
        let fruitless = odd.accepted == 0 && (odd.jobs == 0 || odd.submitted > 0);
        if fruitless {
            let said = odd.problem.is_some() || !odd.reject_reasons.is_empty();
            assert!(said || odd.unconfirmed > 0, "{quirk:?} {odd:#?}");
        }
        let bytes = state.system.resident_bytes;
        assert!(bytes < 1 << 30, "{quirk:?}: {bytes} bytes of memory");
        lab.stop_pool();
        lab.run_for(5 * SECOND_S).await;
        let before = lab.state().miner.accepted;
        lab.start_pool(PoolConfig {
            seed: 77,
            ..easy_pool()
        });
        let state = lab
            .run_until(5 * MINUTE, |state| state.miner.accepted > before + 5)
            .await;
        let stats = lab.pool_stats();
        assert_eq!(stats.rejected.total(), 0, "{quirk:?} {:?}", stats.rejected);
        assert_eq!(state.boards[0].restarts, 0, "{quirk:?}");
        lab.stop().await;
    }
}

/// Single chips of four kinds, a minute on a pool: no share is refused.
async fn mines_without_a_reject(configure: impl Fn(&mut config::Pool), pool: PoolConfig) {
    let boards = ["bitaxe-gamma", "bitaxe-supra", "bitaxe-ultra", "bitaxe-max"];
    let mut config = support::config(boards.map(|name| busy(name, 5.0)).into());
    configure(&mut config.pools[0]);
    let mut lab = Lab::with_config(&config, Wire::default());
    let name = format!("{pool:?}");
    lab.start_pool(pool);
    lab.run_until(MINUTE, is_mining).await;
    lab.run_for(MINUTE).await;
    let pool = lab.pool_stats();
    assert_eq!(pool.rejected.total(), 0, "{:?} of {name}", pool.rejected);
    assert!(pool.accepted > 60, "{} accepted of {name}", pool.accepted);
    let state = lab.stop().await;
    assert_eq!(state.miner.rejected, 0);
    for board in &state.boards {
        assert!(board.nonces.shares > 5, "{board:#?} of {name}");
        assert_eq!(board.nonces.hardware_errors, 0, "{board:#?} of {name}");
        assert_eq!(board.restarts, 0, "{board:#?} of {name}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_version_rolling_boards_mine_all_the_same() {
    let refused = PoolConfig {
        version_mask: None,
        ..calm_pool()
    };
    mines_without_a_reject(|_| {}, refused).await;
    let without = |pool: &mut config::Pool| {
        if let Terms::V1 {
            version_rolling, ..
        } = &mut pool.terms
        {
            *version_rolling = false;
        }
    };
    mines_without_a_reject(without, calm_pool()).await;
}

#[tokio::test(start_paused = true)]
async fn a_tiny_extranonce2_is_enough_for_several_boards() {
    for extranonce2_size in [1, 2] {
        let tiny = PoolConfig {
            extranonce2_size,
            ..calm_pool()
        };
        mines_without_a_reject(|_| {}, tiny).await;
    }
}

#[tokio::test(start_paused = true)]
async fn shares_follow_the_difficulty_of_their_job() {
    for job_after_difficulty in [true, false] {
        let mut pool = PoolConfig {
            job_interval: Duration::from_secs(7),
            job_after_difficulty,
            ..calm_pool()
        };
        pool.vardiff.shares_per_minute = 120.0;
        pool.vardiff.window = Duration::from_secs(5);
        pool.vardiff.start = pool::Difficulty::new(2e-9).expect("difficulty");
        pool.vardiff.min = pool::Difficulty::new(1e-12).expect("difficulty");
        mines_without_a_reject(|_| {}, pool).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_extranonce_in_the_session_spoils_no_share() {
    for quirk in [Quirk::SetExtranonce, Quirk::NarrowVersionMask] {
        for subscribe in [true, false] {
            let pool = PoolConfig {
                job_interval: Duration::from_secs(7),
                quirks: Quirks::none().with(quirk).expect("quirk"),
                ..calm_pool()
            };
            let ask = |pool: &mut config::Pool| {
                if let Terms::V1 {
                    extranonce_subscribe,
                    ..
                } = &mut pool.terms
                {
                    *extranonce_subscribe = subscribe;
                }
            };
            mines_without_a_reject(ask, pool).await;
        }
    }
}
