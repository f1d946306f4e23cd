//! What the whole agent does with several pools of several protocols: who gets the work when, what
//! becomes of shares, when boards sleep, and what is said of pools that cannot be used.

mod support;

use std::sync::Arc;
use std::time::Duration;

use board_profiles::Profile;
use hashwright::config::{self, Config, Strategy};
use hashwright::state::{PoolStatus, Snapshot};
use payout::{PayoutAddress, Percent};
use pool::PoolConfig;
use solo::node::{Mood, TestNode};
use support::{
    FIRST, Lab, Pool, SECOND, V2Pool, Wire, board, easy_pool, easy_v2, lively, solo_upstream,
    upstream,
};

const SECOND_S: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const THIRD: &str = "third.example";

/// A board that finds some nonces a second.
fn busy(name: &str, nonces_per_second: f64) -> config::Board {
    let mut board = board(name);
    lively(&mut board, nonces_per_second);
    board
}

fn with_pools(boards: Vec<config::Board>, pools: Vec<config::Pool>) -> Config {
    Config {
        pools,
        ..support::config(boards)
    }
}

fn quota(mut config: Config, percent: &[u32]) -> Config {
    config.upstream.strategy = Strategy::Quota;
    for (pool, percent) in config.pools.iter_mut().zip(percent) {
        pool.quota = *percent;
    }
    config
}

fn is_mining(state: &Snapshot) -> bool {
    state.miner.state == "mining"
}

fn active(state: &Snapshot) -> Vec<bool> {
    state.pools.iter().map(|pool| pool.active).collect()
}

/// Codes of all events so far.
fn codes(lab: &Lab) -> Vec<String> {
    let entries = lab.agent.events.after(0, usize::MAX);
    entries.into_iter().map(|entry| entry.notice.code).collect()
}

/// A pool that has refused nothing but a share that crossed one of its blocks on the way.
fn is_content(stats: &pool::PoolStats) -> bool {
    let refused = stats.rejected.total();
    refused == stats.rejected.stale && refused <= 4 && stats.disagreements == 0
}

/// Every share that the boards found has ended somewhere. The last report of a board may be older than
/// the last share that it found while the program ended.
fn assert_all_accounted(state: &Snapshot) {
    let (found, accounted) = (state.miner.nonces.shares, accounted(state));
    assert!(
        (found..=found + 2).contains(&accounted),
        "{accounted} of {found}"
    );
}

/// Every share of the boards has become something.
fn accounted(state: &Snapshot) -> u64 {
    let of = |pool: &PoolStatus| pool.accepted + pool.rejected + pool.unconfirmed + pool.dropped;
    let lost = state.boards.iter().map(|board| board.shares_lost);
    state.pools.iter().map(of).sum::<u64>() + lost.sum::<u64>()
}

#[tokio::test(start_paused = true)]
async fn work_goes_from_a_dead_v1_pool_to_v2_and_comes_back() {
    let wire = Wire::default();
    let (first, second) = (Pool::start(easy_pool()), V2Pool::start(easy_v2()));
    wire.pool(FIRST, &first);
    wire.v2(SECOND, &second);
    let pools = vec![upstream(FIRST), second.upstream(SECOND)];
    let config = with_pools(vec![busy("bitaxe-gamma", 5.0)], pools);
    let lab = Lab::with_config(&config, wire.clone());
    lab.run_until(MINUTE, is_mining).await;
    lab.run_for(2 * MINUTE).await;
    assert_eq!(active(&lab.state()), [true, false]);
    assert_eq!(lab.state().pools[1].role, "unused", "nobody needs it");

    wire.refuse(FIRST);
    drop(first);
    let died = tokio::time::Instant::now();
    lab.run_until(MINUTE, |state| active(state) == [false, true])
        .await;
    assert!(died.elapsed() <= 10 * SECOND_S, "{:?}", died.elapsed());
    lab.run_for(MINUTE).await;
    let state = lab.state();
    assert!(state.pools[1].accepted > 60, "{:#?}", state.pools);
    assert_eq!(
        state.pools[0].role, "connecting",
        "it is tried in the background"
    );
    let problem = state.pools[0].problem.as_deref().expect("a problem");
    assert!(problem.contains("cannot connect"), "{problem}");
    assert!(codes(&lab).iter().any(|code| code == "pool-failed"));

    let first = Pool::start(PoolConfig {
        seed: 5,
        ..easy_pool()
    });
    wire.pool(FIRST, &first);
    // The longest wait between two tries, and the time to prove itself.
    let state = lab
        .run_until(4 * MINUTE, |state| active(state) == [true, false])
        .await;
    assert_eq!(state.pools[1].role, "leaving");
    lab.run_for(MINUTE).await;
    assert_eq!(lab.state().pools[1].role, "unused");
    let state = lab.stop().await;
    let v2 = second.handle.stats();
    assert!(is_content(&v2), "{v2:?}");
    assert!(is_content(&first.handle.stats()));
    // What the second pool has taken it has also been seen to take: nothing was cut off.
    let told = &state.pools[1];
    assert_eq!(
        (told.accepted, told.unconfirmed, told.dropped),
        (v2.accepted, 0, 0)
    );
    assert_all_accounted(&state);
    assert_eq!(state.boards[0].restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn quotas_are_met_by_the_pools_own_books() {
    let wire = Wire::default();
    let (first, second) = (Pool::start(easy_pool()), V2Pool::start(easy_v2()));
    wire.pool(FIRST, &first);
    wire.v2(SECOND, &second);
    let pools = vec![upstream(FIRST), second.upstream(SECOND)];
    let boards = vec![busy("bitaxe-gamma", 10.0), busy("bitaxe-ultra", 10.0)];
    let lab = Lab::with_config(&quota(with_pools(boards, pools), &[70, 30]), wire.clone());
    lab.run_until(MINUTE, is_mining).await;
    let start = (
        first.handle.stats().accepted,
        second.handle.stats().accepted,
    );
    lab.run_for(5 * MINUTE).await;
    let one = (first.handle.stats().accepted - start.0) as f64;
    let two = (second.handle.stats().accepted - start.1) as f64;
    let part = one / (one + two);
    // Shares come as they like: five standard deviations.
    let sigma = (0.7 * 0.3 / (one + two)).sqrt();
    assert!(one + two > 2000.0, "{one} {two}");
    assert!((part - 0.7).abs() < 5.0 * sigma, "{part} of {}", one + two);
    let state = lab.state();
    let percents: Vec<_> = state.pools.iter().map(|pool| pool.work_percent).collect();
    assert_eq!(percents, [70.0, 30.0]);

    // One is away: the other gets all, until it has proved itself again.
    wire.refuse(FIRST);
    first.cut().await;
    lab.run_until(MINUTE, |state| active(state) == [false, true])
        .await;
    wire.pool(FIRST, &first);
    lab.run_until(4 * MINUTE, |state| active(state) == [true, true])
        .await;
    let state = lab.stop().await;
    for stats in [first.handle.stats(), second.handle.stats()] {
        assert!(is_content(&stats), "{stats:?}");
    }
    assert_all_accounted(&state);
}

#[tokio::test(start_paused = true)]
async fn v1_v2_and_a_node_share_the_work() {
    let folder = tempfile::tempdir().expect("folder");
    let wire = Wire::default();
    let (first, second) = (Pool::start(easy_pool()), V2Pool::start(easy_v2()));
    // A block now and then, not with every nonce.
    let node = Arc::new(TestNode::new(Mood {
        bits: 0x1f0f_ffff,
        ..Mood::default()
    }));
    wire.pool(FIRST, &first);
    wire.v2(SECOND, &second);
    wire.node(THIRD, &node);
    let pools = vec![
        upstream(FIRST),
        second.upstream(SECOND),
        solo_upstream(THIRD),
    ];
    let mut config = quota(
        with_pools(vec![busy("bitaxe-gamma", 10.0)], pools),
        &[40, 40, 20],
    );
    config.agent.state_dir = folder.path().to_owned();
    let lab = Lab::with_config(&config, wire);
    lab.run_until(MINUTE, is_mining).await;
    let state = lab
        .run_until(30 * MINUTE, |state| state.pools[2].blocks >= 2)
        .await;
    assert_eq!(active(&state), [true, true, true]);
    let state = lab.stop().await;
    assert!(node.blocks().len() >= 2);
    for stats in [first.handle.stats(), second.handle.stats()] {
        assert!(is_content(&stats), "{stats:?}");
        assert!(stats.accepted > 100, "{}", stats.accepted);
    }
    assert!(state.miner.rejected <= 4, "{:#?}", state.pools);
    let solo = &state.pools[2];
    assert!(solo.accepted > 5 && solo.best_difficulty > 0.0, "{solo:#?}");
    let codes_of = std::fs::read_dir(folder.path().join("blocks")).expect("saved blocks");
    assert!(codes_of.count() >= 2);
}

/// A whole simulated board that finds some nonces a second.
fn whole(name: &str) -> config::Board {
    let profile = Profile::builtin(name).expect("profile");
    let mut board = config::Board::simulated(profile, 1);
    lively(&mut board, 2.0);
    if let Some(sim) = &mut board.sim {
        sim.scale_bits = sim.scale_bits.min(board.profile.max_scale_bits());
    }
    board
}

#[tokio::test(start_paused = true)]
async fn boards_sleep_without_work_and_wake_with_it() {
    let mut config = support::config(vec![whole("bitaxe-gamma"), busy("bitaxe-ultra", 2.0)]);
    config.upstream.idle_after = Some(3 * MINUTE);
    let mut lab = Lab::with_config(&config, Wire::default());
    lab.start_pool(easy_pool());
    lab.run_until(3 * MINUTE, is_mining).await;
    let core_on = |lab: &Lab| {
        let board = lab.agent.simulated[0].as_ref().expect("simulated");
        board.truth().core_on
    };
    for _ in 0..2 {
        lab.stop_pool();
        // Jobs of a session that could be resumed keep their worth for two minutes.
        lab.run_for(4 * MINUTE).await;
        assert!(core_on(&lab), "not yet");
        let state = lab
            .run_until(2 * MINUTE, |state| state.miner.state == "asleep")
            .await;
        assert_eq!(
            state.boards[1].state, "idle",
            "nobody here controls its power"
        );
        lab.run_for(30 * SECOND_S).await;
        assert!(!core_on(&lab));
        lab.run_for(20 * MINUTE).await;
        let state = lab.state();
        assert_eq!(
            (state.miner.state.as_str(), state.boards[0].state.as_str()),
            ("asleep", "off")
        );
        lab.start_pool(easy_pool());
        lab.run_until(5 * MINUTE, is_mining).await;
        assert!(core_on(&lab));
        let before = lab.pool_stats().accepted;
        lab.run_for(MINUTE).await;
        assert!(lab.pool_stats().accepted > before + 60);
    }
    let codes = codes(&lab);
    for code in ["no-work", "asleep", "awake"] {
        assert!(codes.iter().any(|known| known == code), "{code}: {codes:?}");
    }
    let state = lab.stop().await;
    assert_eq!(state.boards[0].restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_reconnects_lose_no_share_that_the_pool_would_take() {
    let calm = PoolConfig {
        block_interval: Duration::ZERO,
        ..easy_pool()
    };
    let mut lab = Lab::start(vec![busy("bitaxe-gamma", 20.0)], calm);
    lab.run_until(MINUTE, is_mining).await;
    let pool = lab.pool.take().expect("pool");
    for round in 0..100 {
        lab.run_for(Duration::from_millis(2_500 + 37 * (round % 40)))
            .await;
        pool.cut().await;
    }
    lab.run_for(30 * SECOND_S).await;
    let state = lab.stop().await;
    let stats = pool.handle.stats();
    let told = &state.pools[0];
    assert!(stats.resumed >= 90, "{}", stats.resumed);
    // This pool forgets the jobs before when it refreshes one during the outage, and says so as
    // stale; others go on taking their shares, so they are offered.
    let refused = told.rejected - told.stale;
    assert_eq!((refused, told.unconfirmed), (0, 0), "{told:#?}");
    assert!(told.stale <= 10, "{told:#?}");
    // The pool has every other share that the board has found.
    assert_eq!(stats.accepted, told.accepted);
    assert_all_accounted(&state);
    println!(
        "{} shares, {} dropped",
        state.miner.nonces.shares, told.dropped
    );
    assert_eq!(told.dropped, 0, "{told:#?}");
    assert_eq!(state.boards[0].shares_lost, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_reconnects_of_v2_are_accounted_for() {
    let wire = Wire::default();
    let pool = V2Pool::start(easy_v2());
    wire.v2(FIRST, &pool);
    let pools = vec![pool.upstream(FIRST)];
    let lab = Lab::with_config(&with_pools(vec![busy("bitaxe-gamma", 6.0)], pools), wire);
    lab.run_until(MINUTE, is_mining).await;
    for round in 0..100 {
        lab.run_for(Duration::from_millis(2_500 + 37 * (round % 40)))
            .await;
        pool.cut().await;
    }
    lab.run_for(30 * SECOND_S).await;
    let state = lab.stop().await;
    let stats = pool.handle.stats();
    let told = &state.pools[0];
    assert!(is_content(&stats), "{stats:?}");
    assert!(told.connects > 90, "{told:#?}");
    // A share whose answer was cut off may or may not have arrived; all others are known.
    assert!(stats.accepted >= told.accepted && stats.accepted <= told.accepted + told.unconfirmed);
    assert_all_accounted(&state);
}

#[tokio::test(start_paused = true)]
async fn work_that_pays_somebody_else_is_refused_and_another_pool_carries_on() {
    let wire = Wire::default();
    let (first, second) = (Pool::start(easy_pool()), Pool::start(easy_pool()));
    wire.pool(FIRST, &first);
    wire.pool(SECOND, &second);
    let mut pools = vec![upstream(FIRST), upstream(SECOND)];
    let mine = "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3";
    pools[0].payout.addresses = vec![PayoutAddress::parse(mine, None).expect("address")];
    pools[0].payout.named = true;
    pools[0].payout.min_percent = Some(Percent::new(90.0).expect("percent"));
    let lab = Lab::with_config(&with_pools(vec![busy("bitaxe-gamma", 5.0)], pools), wire);
    lab.run_until(2 * MINUTE, |state| state.pools[1].accepted > 10)
        .await;
    lab.run_for(5 * MINUTE).await;
    let state = lab.state();
    assert_eq!(active(&state), [false, true]);
    assert_eq!(first.handle.stats().accepted, 0, "not one hash");
    let problem = state.pools[0].problem.as_deref().expect("a problem");
    assert!(
        problem.contains("work was refused") && problem.contains("90 %"),
        "{problem}"
    );
    assert!(
        codes(&lab).iter().any(|code| code.contains("refused")),
        "{:?}",
        codes(&lab)
    );
    lab.stop().await;
}

/// What makes the first pool useless, and the words that say so.
struct Bad {
    name: &'static str,
    pool: config::Pool,
    words: &'static str,
}

/// Pools that cannot be used, each behind a host name of its own.
fn bad_pools(wire: &Wire, keep: &mut Vec<Box<dyn std::any::Any>>) -> Vec<Bad> {
    let mut bad = Vec::new();
    for (quirk, words) in [
        ("wrong-key", "certificate of the authority key"),
        ("certificate-expired", "certificate is valid from"),
        ("certificate-not-yet-valid", "certificate is valid from"),
        ("plain-text=0", "wrong protocol"),
        ("plain-text=1", "wrong protocol"),
        ("plain-text=2", "wrong protocol"),
        ("close-in-handshake", "handshake"),
        ("short-handshake", "handshake"),
        ("setup-error", "refused the connection"),
        ("open-error", "opened no channel"),
        ("old-open-success", "old SV2 server"),
    ] {
        let pool = V2Pool::start(pool::v2::Config {
            quirks: quirk.parse().expect(quirk),
            ..easy_v2()
        });
        wire.v2(quirk, &pool);
        let mut upstream = pool.upstream("replaced");
        upstream.url = upstream
            .url
            .to_string()
            .replace("replaced", &quirk.replace('=', "-"))
            .parse()
            .expect("url");
        wire.v2(&quirk.replace('=', "-"), &pool);
        keep.push(Box::new(pool));
        bad.push(Bad {
            name: quirk,
            pool: upstream,
            words,
        });
    }

    let v1 = Pool::start(easy_pool());
    wire.pool("v1-behind-v2", &v1);
    let key = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
    let mut pool = upstream(FIRST);
    pool.url = format!("stratum2+tcp://v1-behind-v2:3336/{key}")
        .parse()
        .expect("url");
    pool.terms = config::Terms::V2 {
        channel: config::Channel::Extended,
    };
    keep.push(Box::new(v1));
    bad.push(Bad {
        name: "V1 pool behind a V2 URL",
        pool,
        words: "V1",
    });

    let v2 = V2Pool::start(easy_v2());
    wire.v2("v2-behind-v1", &v2);
    keep.push(Box::new(v2));
    bad.push(Bad {
        name: "V2 pool behind a V1 URL",
        pool: upstream("v2-behind-v1"),
        words: "V2",
    });

    let mut node = |name: &'static str, mood: Mood, words| {
        let node = Arc::new(TestNode::new(mood));
        wire.node(name, &node);
        bad.push(Bad {
            name,
            pool: solo_upstream(name),
            words,
        });
    };
    let syncing = Mood {
        syncing: true,
        ..Mood::default()
    };
    node("syncing-node", syncing, "still syncing");
    let locked = Mood {
        credentials: Some("bm9ib2R5Om5vdGhpbmc=".to_owned()),
        ..Mood::default()
    };
    node("locked-node", locked, "refused our credentials");
    let other = Mood {
        network: bitcoin_main(),
        ..Mood::default()
    };
    node("node-of-another-network", other, "network");
    bad
}

fn bitcoin_main() -> payout::Network {
    payout::Network::Bitcoin
}

#[tokio::test(start_paused = true)]
async fn useless_pools_are_told_by_their_fault_while_another_carries_on() {
    let wire = Wire::default();
    let mut keep = Vec::new();
    let good = Pool::start(easy_pool());
    wire.pool(SECOND, &good);
    let mut wrong = Vec::new();
    for Bad { name, pool, words } in bad_pools(&wire, &mut keep) {
        let pools = vec![pool, upstream(SECOND)];
        let config = with_pools(vec![busy("bitaxe-gamma", 1.0)], pools);
        let lab = Lab::with_config(&config, wire.clone());
        let before = good.handle.stats().accepted;
        lab.run_for(2 * MINUTE).await;
        let state = lab.state();
        let problem = state.pools[0].problem.clone().unwrap_or_default();
        let carries_on = good.handle.stats().accepted > before + 10;
        if !problem.contains(words) || !carries_on {
            wrong.push(format!("{name}: {carries_on}, {problem}"));
        }
        let state = lab.stop().await;
        assert_eq!(state.boards[0].restarts, 0, "{name}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_rejects_everything_is_told() {
    let unkind = PoolConfig {
        quirks: pool::Quirks::none()
            .with(pool::Quirk::RejectAll)
            .expect("quirk"),
        ..easy_pool()
    };
    let lab = Lab::start(vec![busy("bitaxe-gamma", 5.0)], unkind);
    lab.run_for(2 * MINUTE).await;
    assert!(codes(&lab).iter().any(|code| code == "all-rejected"));
    lab.stop().await;
}
