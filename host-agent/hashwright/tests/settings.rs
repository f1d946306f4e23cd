//! What can be changed while the whole agent runs: pools without losing a share, clocks and voltages without
//! stopping, pauses, cooling, changes that undo themselves, and what of it stands in the config file.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use board_profiles::Profile;
use hashwright::config::{self, Config, System};
use hashwright::settings::{Actor, ConfigFile, Settings, Wish};
use hashwright::state::Snapshot;
use rpc::settings::{
    BoardSet, Changed, ConfigSet, CoolingMode, CoolingSet, PoolAdd, PoolOrder, PoolRemove, PoolSet,
    PoolSettings, PoolUpdate, WriteOptions,
};
use rpc::{Error, Role, error};
use serde_json::{Value, json};
use support::{
    FIRST, Lab, Pool, SECOND, V2Pool, Wire, board, easy_pool, easy_v2, lively, upstream,
};

const SECOND_S: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const THIRD: &str = "third.example";

fn busy(name: &str, nonces_per_second: f64) -> config::Board {
    let mut board = board(name);
    lively(&mut board, nonces_per_second);
    board
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

fn with_pools(boards: Vec<config::Board>, pools: Vec<config::Pool>) -> Config {
    Config {
        pools,
        ..support::config(boards)
    }
}

fn is_mining(state: &Snapshot) -> bool {
    state.miner.state == "mining"
}

fn active(state: &Snapshot) -> Vec<bool> {
    state.pools.iter().map(|pool| pool.active).collect()
}

fn codes(lab: &Lab) -> Vec<String> {
    let entries = lab.agent.events.after(0, usize::MAX);
    entries.into_iter().map(|entry| entry.notice.code).collect()
}

async fn ask(lab: &Lab, wish: Wish) -> Result<Changed, Error> {
    ask_with(&lab.agent.settings, wish, WriteOptions::default()).await
}

async fn ask_with(settings: &Settings, wish: Wish, how: WriteOptions) -> Result<Changed, Error> {
    settings.ask(&Actor::agent(), wish, how).await
}

fn set(values: Value) -> Wish {
    let Value::Object(values) = values else {
        panic!("an object");
    };
    Wish::Set(ConfigSet { values })
}

fn stratum(host: &str) -> PoolSettings {
    PoolSettings {
        url: Some(format!("stratum+tcp://{host}:3333")),
        user: Some("lab.worker".to_owned()),
        ..PoolSettings::default()
    }
}

fn try_for(seconds: u32) -> WriteOptions {
    WriteOptions {
        confirm_within_s: Some(seconds),
        ..WriteOptions::default()
    }
}

fn dry() -> WriteOptions {
    WriteOptions {
        dry_run: true,
        ..WriteOptions::default()
    }
}

fn paths(changed: &Changed) -> Vec<&str> {
    changed
        .changes
        .iter()
        .map(|change| change.path.as_str())
        .collect()
}

/// What a setting is now.
fn setting(settings: &Settings, path: &str) -> (Value, String) {
    let view = settings.current();
    let found = view
        .settings
        .into_iter()
        .find(|setting| setting.path == path);
    let found = found.unwrap_or_else(|| panic!("no {path}"));
    (found.value, found.origin)
}

/// Shares that pools took, by their own books, and that no pool can have taken: found but lost on the way.
fn books(pools: &[&Pool]) -> u64 {
    let stats = pools.iter().map(|pool| pool.handle.stats());
    stats
        .map(|stats| stats.accepted + stats.rejected.total())
        .sum()
}

fn lost(state: &Snapshot) -> u64 {
    state.boards.iter().map(|board| board.shares_lost).sum()
}

#[tokio::test(start_paused = true)]
async fn another_order_moves_the_work_and_loses_no_share() {
    let wire = Wire::default();
    let (first, second) = (Pool::start(easy_pool()), Pool::start(easy_pool()));
    wire.pool(FIRST, &first);
    wire.pool(SECOND, &second);
    let pools = vec![upstream(FIRST), upstream(SECOND)];
    let lab = Lab::with_config(&with_pools(vec![busy("bitaxe-gamma", 5.0)], pools), wire);
    lab.run_until(MINUTE, is_mining).await;
    lab.run_for(MINUTE).await;
    let changed = ask(&lab, Wish::PoolOrder(PoolOrder { order: vec![1] }))
        .await
        .expect("changed");
    assert_eq!(paths(&changed), ["pool[0].url", "pool[1].url"]);
    let state = lab
        .run_until(10 * SECOND_S, |state| {
            active(state) == [true, false] && state.pools[0].url.contains(SECOND)
        })
        .await;
    assert!(state.pools[1].url.contains(FIRST));
    lab.run_for(3 * MINUTE).await;
    let state = lab.state();
    assert_eq!(state.pools[1].role, "unused");
    assert_eq!(
        state.pools[1].connects, 1,
        "the session of the first pool was not made anew"
    );
    assert!(second.handle.stats().accepted > 100);
    let again = ask(&lab, Wish::PoolOrder(PoolOrder { order: vec![0, 1] }))
        .await
        .expect("same");
    assert!(again.applied && again.changes.is_empty());
    assert!(
        ask(&lab, Wish::PoolOrder(PoolOrder { order: vec![1, 1] }))
            .await
            .is_err()
    );
    assert!(
        ask(&lab, Wish::PoolOrder(PoolOrder { order: vec![2] }))
            .await
            .is_err()
    );
    let state = lab.stop().await;
    assert_eq!((lost(&state), state.boards[0].restarts), (0, 0));
    let (found, booked) = (state.miner.nonces.shares, books(&[&first, &second]));
    assert!((found..=found + 2).contains(&booked), "{booked} of {found}");
    assert!(first.handle.stats().rejected.total() <= 2);
}

#[tokio::test(start_paused = true)]
async fn the_pool_at_work_can_be_removed_or_replaced_without_a_gap() {
    let wire = Wire::default();
    let (first, second, third) = (
        Pool::start(easy_pool()),
        Pool::start(easy_pool()),
        Pool::start(easy_pool()),
    );
    wire.pool(FIRST, &first);
    wire.pool(SECOND, &second);
    wire.pool(THIRD, &third);
    let pools = vec![upstream(FIRST), upstream(SECOND)];
    let lab = Lab::with_config(&with_pools(vec![busy("bitaxe-gamma", 5.0)], pools), wire);
    lab.run_until(MINUTE, is_mining).await;
    lab.run_for(MINUTE).await;
    ask(&lab, Wish::PoolRemove(PoolRemove { index: 0 }))
        .await
        .expect("removed");
    let state = lab
        .run_until(10 * SECOND_S, |state| active(state) == [true])
        .await;
    assert!(state.pools[0].url.contains(SECOND));
    lab.run_for(2 * MINUTE).await;
    assert!(
        codes(&lab).iter().any(|code| code == "pool-left"),
        "{:?}",
        codes(&lab)
    );
    assert!(!codes(&lab).iter().any(|code| code == "pool-failed"));
    let refused = ask(&lab, Wish::PoolRemove(PoolRemove { index: 0 }))
        .await
        .expect_err("the last");
    assert!(refused.text().contains("last pool"), "{refused}");
    // Another user is another session, at the same pool.
    let other = PoolUpdate {
        index: 0,
        pool: PoolSettings {
            user: Some("lab.other".to_owned()),
            ..PoolSettings::default()
        },
        clear: Vec::new(),
    };
    let changed = ask(&lab, Wish::PoolUpdate(other)).await.expect("changed");
    assert_eq!(paths(&changed), ["pool[0].user"]);
    lab.run_until(10 * SECOND_S, |state| {
        active(state) == [true] && state.pools[0].user == "lab.other"
    })
    .await;
    lab.run_for(MINUTE).await;
    let all = PoolSet {
        pools: vec![stratum(THIRD)],
    };
    ask(&lab, Wish::PoolSet(all)).await.expect("replaced");
    lab.run_until(10 * SECOND_S, |state| {
        active(state) == [true] && state.pools[0].url.contains(THIRD)
    })
    .await;
    lab.run_for(MINUTE).await;
    let state = lab.stop().await;
    assert_eq!((lost(&state), state.boards[0].restarts), (0, 0));
    let (found, booked) = (state.miner.nonces.shares, books(&[&first, &second, &third]));
    assert!((found..=found + 2).contains(&booked), "{booked} of {found}");
}

#[tokio::test(start_paused = true)]
async fn a_pool_can_be_added_while_none_works() {
    let wire = Wire::default();
    let second = V2Pool::start(easy_v2());
    wire.v2(SECOND, &second);
    let config = support::config(vec![busy("bitaxe-gamma", 5.0)]);
    let lab = Lab::with_config(&config, wire);
    lab.run_for(MINUTE).await;
    assert_eq!(active(&lab.state()), [false]);
    let v2 = second.upstream(SECOND);
    let pool = PoolSettings {
        url: Some(v2.url.to_string()),
        user: Some("lab.worker".to_owned()),
        ..PoolSettings::default()
    };
    let wish = Wish::PoolAdd(PoolAdd { index: None, pool });
    let planned = ask_with(&lab.agent.settings, wish.clone(), dry())
        .await
        .expect("planned");
    assert!(!planned.applied && paths(&planned).contains(&"pool[1].url"));
    assert_eq!(lab.state().pools.len(), 1);
    ask(&lab, wish).await.expect("added");
    lab.run_until(15 * SECOND_S, |state| active(state) == [false, true])
        .await;
    lab.run_for(MINUTE).await;
    assert!(second.handle.stats().accepted > 60);
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_before_anything_changes() {
    let lab = Lab::start(vec![busy("bitaxe-gamma", 5.0)], easy_pool());
    lab.run_until(MINUTE, is_mining).await;
    let add = |pool| Wish::PoolAdd(PoolAdd { index: None, pool });
    let bad = PoolSettings {
        url: Some("gopher://pool.example".to_owned()),
        ..stratum(SECOND)
    };
    let misplaced = PoolSettings {
        channel: Some("standard".to_owned()),
        ..stratum(SECOND)
    };
    let quota = PoolSettings {
        quota: Some(50),
        ..stratum(SECOND)
    };
    let set_board = |frequency_mhz, voltage_mv| {
        Wish::Board(BoardSet {
            board: 0,
            frequency_mhz,
            voltage_mv,
            enabled: None,
        })
    };
    for (wish, code) in [
        (add(bad), error::INVALID_PARAMS),
        (add(misplaced), error::INVALID_PARAMS),
        (add(quota), error::INVALID_PARAMS),
        (set_board(Some(5000.0), None), error::LIMITS),
        // Its voltage is somebody else's.
        (set_board(None, Some(1150)), error::DENIED),
        (
            set(json!({"pool[0].user": "ok", "board[0].frequency_mhz": 9999})),
            error::LIMITS,
        ),
        (
            set(json!({"pool[0].user": "ok", "cooling.mod": "auto"})),
            error::INVALID_PARAMS,
        ),
        (
            set(json!({"pool[7].url": "x.example:1"})),
            error::INVALID_PARAMS,
        ),
        (set(json!({"upstream.return_after_s": -1})), error::LIMITS),
        (set(json!({"board[0]": {}})), error::INVALID_PARAMS),
        // Nothing could be saved, so it would be for nothing.
        (set(json!({"agent.name": "other"})), error::DENIED),
        (Wish::Restart, error::DENIED),
    ] {
        let before = lab.agent.settings.current();
        let refused = ask(&lab, wish.clone()).await.expect_err("refused");
        assert_eq!(refused.code, code, "{wish:?}: {refused:?}");
        assert_eq!(lab.agent.settings.current(), before, "{wish:?}");
    }
    let refused = ask(&lab, set_board(Some(5000.0), None))
        .await
        .expect_err("limits");
    let data = refused.data.expect("data");
    assert_eq!(
        (&data["path"], &data["unit"]),
        (&json!("board[0].frequency_mhz"), &json!("MHz"))
    );
    assert!(data["max"].as_f64().expect("a number") < 5000.0);
    lab.run_for(10 * SECOND_S).await;
    let state = lab.state();
    assert_eq!(
        (state.pools.len(), state.miner.state.as_str()),
        (1, "mining")
    );
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn quotas_move_without_new_sessions() {
    let wire = Wire::default();
    let (first, second) = (Pool::start(easy_pool()), Pool::start(easy_pool()));
    wire.pool(FIRST, &first);
    wire.pool(SECOND, &second);
    let pools = vec![upstream(FIRST), upstream(SECOND)];
    let lab = Lab::with_config(&with_pools(vec![busy("bitaxe-gamma", 5.0)], pools), wire);
    lab.run_until(MINUTE, is_mining).await;
    let both = json!({"upstream.strategy": "quota", "pool[0].quota": 70, "pool[1].quota": 30});
    ask(&lab, set(both)).await.expect("quotas");
    let percent = |state: &Snapshot| -> Vec<f64> {
        state.pools.iter().map(|pool| pool.work_percent).collect()
    };
    lab.run_until(MINUTE, |state| percent(state) == [70.0, 30.0])
        .await;
    ask(&lab, set(json!({"pool[0].quota": 20, "pool[1].quota": 80})))
        .await
        .expect("quotas");
    lab.run_until(SECOND_S * 2, |state| percent(state) == [20.0, 80.0])
        .await;
    let back = json!({"upstream.strategy": null, "pool[0].quota": null, "pool[1].quota": null});
    ask(&lab, set(back)).await.expect("failover");
    let state = lab
        .run_until(MINUTE, |state| percent(state) == [100.0, 0.0])
        .await;
    let connects: Vec<_> = state.pools.iter().map(|pool| pool.connects).collect();
    assert_eq!(connects, [1, 1]);
    let state = lab.stop().await;
    assert_eq!(lost(&state), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_winds_boards_down_and_resuming_starts_them() {
    let lab = Lab::start(
        vec![whole("bitaxe-gamma"), busy("bitaxe-ultra", 2.0)],
        easy_pool(),
    );
    lab.run_until(3 * MINUTE, is_mining).await;
    let board = lab.agent.simulated[0].clone().expect("simulated");
    let changed = ask(&lab, Wish::Pause).await.expect("paused");
    assert_eq!(paths(&changed), ["miner.paused"]);
    let state = lab
        .run_until(MINUTE, |state| {
            state.boards.iter().all(|b| b.state == "paused")
        })
        .await;
    assert!(!board.truth().core_on);
    assert!(state.miner.paused);
    assert_eq!(state.miner.state, "paused");
    assert!(
        state.stations[0].status.reasons[0].contains("miner.resume"),
        "{:?}",
        state.stations[0]
    );
    assert!(
        ask(&lab, Wish::Pause)
            .await
            .expect("same")
            .changes
            .is_empty()
    );
    lab.run_for(20 * MINUTE).await;
    assert_eq!(lab.state().miner.state, "paused");
    ask(&lab, Wish::Resume).await.expect("resumed");
    let state = lab.run_until(3 * MINUTE, is_mining).await;
    assert!(!state.miner.paused && board.truth().core_on);
    let state = lab.stop().await;
    assert!(state.boards.iter().all(|board| board.restarts == 0));
    assert!(!board.truth().core_on);
}

#[tokio::test(start_paused = true)]
async fn clock_and_voltage_change_while_the_board_mines() {
    let lab = Lab::start(vec![whole("bitaxe-gamma")], easy_pool());
    lab.run_until(3 * MINUTE, is_mining).await;
    lab.run_for(MINUTE).await;
    for (mhz, mv) in [(600.0, 1200), (400.0, 1050)] {
        let wish = Wish::Board(BoardSet {
            board: 0,
            frequency_mhz: Some(mhz),
            voltage_mv: Some(mv),
            enabled: None,
        });
        let changed = ask(&lab, wish.clone()).await.expect("set");
        assert_eq!(
            paths(&changed),
            ["board[0].frequency_mhz", "board[0].voltage_mv"]
        );
        assert!(ask(&lab, wish).await.expect("same").changes.is_empty());
        let there = |state: &Snapshot| {
            let points = &state.stations[0].status.set_points;
            state.boards[0].frequency_mhz == mhz
                && points
                    .actual_mv
                    .is_some_and(|actual| (actual - f64::from(mv)).abs() < 15.0)
        };
        let state = lab.run_until(2 * MINUTE, there).await;
        assert_eq!(state.boards[0].restarts, 0);
    }
    let (value, origin) = setting(&lab.agent.settings, "board[0].frequency_mhz");
    assert_eq!((value, origin.as_str()), (json!(400), "changed"));
    // Off and on again: it comes back at the last set point.
    let enabled = |enabled| {
        Wish::Board(BoardSet {
            board: 0,
            enabled: Some(enabled),
            ..BoardSet::default()
        })
    };
    ask(&lab, enabled(false)).await.expect("off");
    let state = lab
        .run_until(MINUTE, |state| state.boards[0].state == "disabled")
        .await;
    assert_eq!(state.miner.state, "disabled");
    ask(&lab, enabled(true)).await.expect("on");
    lab.run_until(3 * MINUTE, |state| {
        is_mining(state) && state.boards[0].frequency_mhz == 400.0
    })
    .await;
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn boards_that_nobody_controls_follow_clock_and_pause_too() {
    let lab = Lab::start(vec![busy("bitaxe-gamma", 2.0)], easy_pool());
    lab.run_until(MINUTE, is_mining).await;
    let wish = |frequency_mhz, enabled| {
        Wish::Board(BoardSet {
            board: 0,
            frequency_mhz,
            voltage_mv: None,
            enabled,
        })
    };
    ask(&lab, wish(Some(450.0), None)).await.expect("set");
    lab.run_until(MINUTE, |state| state.boards[0].frequency_mhz == 450.0)
        .await;
    ask(&lab, wish(None, Some(false))).await.expect("off");
    lab.run_until(MINUTE, |state| state.boards[0].state == "disabled")
        .await;
    ask(&lab, wish(None, Some(true))).await.expect("on");
    let state = lab
        .run_until(MINUTE, |state| {
            is_mining(state) && state.boards[0].frequency_mhz == 450.0
        })
        .await;
    assert_eq!(state.boards[0].restarts, 0);
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn cooling_is_set_at_all_stations_or_at_one() {
    let boards = vec![
        whole("bitaxe-gamma"),
        whole("bitaxe-gamma"),
        busy("bitaxe-ultra", 1.0),
    ];
    let lab = Lab::start(boards, easy_pool());
    lab.run_for(20 * SECOND_S).await;
    let manual = |board, percent| {
        Wish::Cooling(CoolingSet {
            board,
            mode: Some(CoolingMode::Manual),
            percent: Some(percent),
            ..CoolingSet::default()
        })
    };
    let modes = |state: &Snapshot| -> Vec<String> {
        let modes = state
            .stations
            .iter()
            .map(|station| station.status.cooling.mode);
        modes.map(|mode| format!("{mode:?}")).collect()
    };
    let changed = ask(&lab, manual(None, 80)).await.expect("all");
    assert_eq!(paths(&changed), ["cooling.mode", "cooling.manual_percent"]);
    lab.run_for(2 * SECOND_S).await;
    assert!(
        modes(&lab.state()).iter().all(|mode| mode.contains("80")),
        "{:?}",
        modes(&lab.state())
    );
    let changed = ask(&lab, manual(Some(1), 90)).await.expect("one");
    assert_eq!(
        paths(&changed),
        [
            "station[1].cooling.mode",
            "station[1].cooling.manual_percent"
        ]
    );
    assert!(!changed.notes.is_empty());
    lab.run_for(2 * SECOND_S).await;
    assert!(modes(&lab.state())[0].contains("80") && modes(&lab.state())[1].contains("90"));
    assert!(
        ask(&lab, manual(Some(1), 90))
            .await
            .expect("same")
            .changes
            .is_empty()
    );
    let nowhere = ask(&lab, manual(Some(2), 90))
        .await
        .expect_err("not controlled");
    assert!(
        nowhere.text().contains("it controls boards 0, 1"),
        "{nowhere}"
    );
    let target = |celsius| {
        Wish::Cooling(CoolingSet {
            mode: Some(CoolingMode::Auto),
            target_c: Some(celsius),
            ..CoolingSet::default()
        })
    };
    let hot = ask(&lab, target(99.0)).await.expect_err("too hot");
    assert_eq!(hot.code, error::LIMITS);
    let immersion = Wish::Cooling(CoolingSet {
        mode: Some(CoolingMode::Immersion),
        ..CoolingSet::default()
    });
    assert_eq!(
        ask(&lab, immersion).await.expect_err("unconfirmed").code,
        error::DENIED
    );
    ask(&lab, target(55.0)).await.expect("auto");
    lab.run_for(2 * SECOND_S).await;
    for station in &lab.state().stations {
        assert_eq!(station.status.cooling.target_c, 55.0);
    }
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_confirms_is_undone() {
    let wire = Wire::default();
    let (first, second) = (Pool::start(easy_pool()), Pool::start(easy_pool()));
    wire.pool(FIRST, &first);
    wire.pool(SECOND, &second);
    let pools = vec![upstream(FIRST), upstream(SECOND)];
    let lab = Lab::with_config(&with_pools(vec![busy("bitaxe-gamma", 5.0)], pools), wire);
    let settings = &lab.agent.settings;
    lab.run_until(MINUTE, is_mining).await;
    let before = settings.current();
    let order = Wish::PoolOrder(PoolOrder { order: vec![1, 0] });
    let changed = ask_with(settings, order.clone(), try_for(30))
        .await
        .expect("tried");
    let pending = changed.pending.expect("pending");
    assert_eq!(settings.pending().len(), 1);
    lab.run_until(10 * SECOND_S, |state| {
        state.pools[0].active && state.pools[0].url.contains(SECOND)
    })
    .await;
    let conflict = ask(&lab, Wish::PoolRemove(PoolRemove { index: 0 }))
        .await
        .expect_err("waits");
    assert!(conflict.text().contains(&pending.id), "{conflict}");
    // What is about something else is not touched.
    ask(
        &lab,
        Wish::Board(BoardSet {
            board: 0,
            frequency_mhz: Some(450.0),
            ..BoardSet::default()
        }),
    )
    .await
    .expect("set");
    lab.run_until(MINUTE, |state| {
        state.pools[0].active && state.pools[0].url.contains(FIRST)
    })
    .await;
    assert_eq!(settings.pending(), []);
    let undone: Vec<_> = settings
        .current()
        .settings
        .into_iter()
        .zip(before.settings)
        .collect();
    for (now, before) in undone {
        if now.path != "board[0].frequency_mhz" {
            assert_eq!(now, before);
        }
    }
    assert!(codes(&lab).iter().any(|code| code == "rolled-back"));
    let gone = settings
        .confirm(&Actor::agent(), &pending.id)
        .await
        .expect_err("gone");
    assert_eq!(gone.code, error::NO_PENDING);

    // Confirmed it stays; taken back it goes at once.
    let tried = ask_with(settings, order, try_for(30))
        .await
        .expect("tried")
        .pending
        .expect("pending");
    settings
        .confirm(&Actor::agent(), &tried.id)
        .await
        .expect("confirmed");
    lab.run_for(2 * MINUTE).await;
    assert!(lab.state().pools[0].url.contains(SECOND));
    let pause = ask_with(settings, Wish::Pause, try_for(600))
        .await
        .expect("tried");
    let pause = pause.pending.expect("pending");
    lab.run_until(MINUTE, |state| state.miner.state == "paused")
        .await;
    let nobody = Actor {
        role: Role::Read,
        ..Actor::agent()
    };
    assert_eq!(
        settings
            .rollback(&nobody, &pause.id)
            .await
            .expect_err("role")
            .code,
        error::NEEDS_ROLE
    );
    settings
        .rollback(&Actor::agent(), &pause.id)
        .await
        .expect("undone");
    lab.run_until(MINUTE, is_mining).await;
    let state = lab.stop().await;
    assert_eq!(lost(&state), 0);
}

#[tokio::test(start_paused = true)]
async fn roles_decide_who_may_change_what() {
    let lab = Lab::start(vec![busy("bitaxe-gamma", 1.0)], easy_pool());
    lab.run_for(SECOND_S).await;
    let clock = BoardSet {
        frequency_mhz: Some(450.0),
        ..BoardSet::default()
    };
    for (wish, needed) in [
        (Wish::Pause, Role::Operate),
        (Wish::PoolOrder(PoolOrder { order: vec![0] }), Role::Operate),
        (Wish::Board(clock), Role::Tune),
        (set(json!({"board[0].frequency_mhz": 450})), Role::Tune),
        (
            set(json!({"board[0].frequency_mhz": 450, "pool[0].user": "b"})),
            Role::Admin,
        ),
        (set(json!({"board[0].uart": "/dev/ttyS1"})), Role::Admin),
        (Wish::PoolRemove(PoolRemove { index: 0 }), Role::Admin),
    ] {
        for role in Role::ALL {
            let actor = Actor {
                role,
                ..Actor::agent()
            };
            let outcome = lab.agent.settings.ask(&actor, wish.clone(), dry()).await;
            let refused = outcome.is_err_and(|error| error.code == error::NEEDS_ROLE);
            assert_eq!(refused, role < needed, "{role} {wish:?}");
        }
    }
    lab.stop().await;
}

/// A config file of people, and an agent that runs with it.
fn lab_of_file(folder: &Path) -> (Lab, PathBuf, ConfigFile, Pool) {
    let path = folder.join("hashwright.toml");
    fs::write(folder.join("pool.secret"), "hush\n").expect("secret");
    let text = format!(
        "# My miner.\n\n[agent]\nname = \"lab\"  # on the door\nstate_dir = \"{}\"\n\n# The one at home.\n[[pool]]\n\
         url = \"stratum+tcp://{FIRST}:3333\" # near\nuser = \"lab.worker\"\npassword = {{ file = \"pool.secret\" }}\n\n\
         # On the shelf.\n[[board]]\nprofile = \"bitaxe-gamma\"\nuart = \"sim\"\ncontrol = \"external\"\n\
         frequency_mhz = 500   # quiet\n",
        folder.join("state").display()
    );
    fs::write(&path, &text).expect("config");
    let config = Config::parse(&path, &text, &System).expect("config");
    let wire = Wire::default();
    let pool = Pool::start(easy_pool());
    wire.pool(FIRST, &pool);
    let lab = Lab::with_config(&config, wire);
    let file = ConfigFile {
        path: path.clone(),
        text,
    };
    (lab, path, file, pool)
}

#[tokio::test(start_paused = true)]
async fn changes_stand_in_the_config_file_and_nothing_else_does() {
    let folder = tempfile::tempdir().expect("folder");
    let (lab, path, file, _pool) = lab_of_file(folder.path());
    let settings = &lab.agent.settings;
    settings.attach(file.clone()).await.expect("attached");
    assert!(settings.current().writable);
    lab.run_for(SECOND_S).await;
    let wish = set(json!({"board[0].frequency_mhz": 450, "agent.name": "garage"}));
    let changed = ask(&lab, wish).await.expect("changed");
    assert!(changed.saved, "{changed:?}");
    assert!(
        changed.notes[0].contains("agent.name: counts from the next start"),
        "{changed:?}"
    );
    let expected = file
        .text
        .replace("500   # quiet", "450   # quiet")
        .replace("\"lab\"  #", "\"garage\"  #");
    assert_eq!(fs::read_to_string(&path).expect("file"), expected);
    assert_eq!(
        fs::read_to_string(path.with_extension("toml.bak")).expect("backup"),
        file.text
    );
    ask(
        &lab,
        Wish::PoolAdd(PoolAdd {
            index: Some(0),
            pool: stratum(SECOND),
        }),
    )
    .await
    .expect("added");
    let text = fs::read_to_string(&path).expect("file");
    Config::load(&path).expect("good");
    let home = text.find("# The one at home.\n[[pool]]").expect("comment");
    assert!(text.find(SECOND).expect("new") < home, "{text}");
    assert!(
        text.contains("password = { file = \"pool.secret\" }") && !text.contains("hush"),
        "{text}"
    );
    let (secret, _) = setting(settings, "pool[1].password");
    assert_eq!(secret, Value::Null);
    // Not everything is to be kept, and not before it is confirmed.
    let how = WriteOptions {
        save: Some(false),
        ..WriteOptions::default()
    };
    let clock = |mhz| {
        Wish::Board(BoardSet {
            board: 0,
            frequency_mhz: Some(mhz),
            ..BoardSet::default()
        })
    };
    let changed = ask_with(settings, clock(425.0), how).await.expect("set");
    assert!(changed.applied && !changed.saved);
    let tried = ask_with(
        settings,
        set(json!({"cooling.mode": "manual", "cooling.manual_percent": 60})),
        try_for(60),
    );
    let tried = tried.await.expect("tried").pending.expect("pending");
    ask(&lab, Wish::Pause).await.expect("paused");
    assert_eq!(fs::read_to_string(&path).expect("file"), text);
    settings
        .confirm(&Actor::agent(), &tried.id)
        .await
        .expect("confirmed");
    let text = fs::read_to_string(&path).expect("file");
    assert!(
        text.contains("manual_percent = 60") && text.contains("450   # quiet"),
        "{text}"
    );
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_changed_meanwhile_is_left_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let (lab, path, file, _pool) = lab_of_file(folder.path());
    let settings = &lab.agent.settings;
    settings.attach(file.clone()).await.expect("attached");
    let mine = file.text.replace("500", "475");
    fs::write(&path, &mine).expect("by hand");
    let clock = |mhz| {
        Wish::Board(BoardSet {
            board: 0,
            frequency_mhz: Some(mhz),
            ..BoardSet::default()
        })
    };
    let changed = ask(&lab, clock(450.0)).await.expect("set");
    assert!(changed.applied && !changed.saved);
    assert!(
        changed
            .notes
            .iter()
            .any(|note| note.contains("was changed since")),
        "{changed:?}"
    );
    assert_eq!(fs::read_to_string(&path).expect("file"), mine);
    // What would only count after a restart is refused then.
    assert!(
        ask(&lab, set(json!({"agent.name": "garage"})))
            .await
            .is_err()
    );
    // The secret is what it was at the start, whatever has become of its file.
    fs::remove_file(folder.path().join("pool.secret")).expect("removed");
    ask(&lab, clock(425.0)).await.expect("set");
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_granted_only_if_the_agent_would_come_back() {
    let folder = tempfile::tempdir().expect("folder");
    let (lab, path, file, _pool) = lab_of_file(folder.path());
    let settings = lab.agent.settings.clone();
    settings.attach(file.clone()).await.expect("attached");
    fs::write(&path, "nonsense").expect("by hand");
    let refused = ask(&lab, Wish::Restart)
        .await
        .expect_err("would not come back");
    assert!(refused.text().contains("would not come back"), "{refused}");
    fs::write(&path, &file.text).expect("by hand");
    ask(&lab, Wish::Restart).await.expect("restart");
    assert!(!settings.restart_wanted());
    lab.agent.finished().await.expect("stopped");
    assert!(settings.restart_wanted());
}

#[tokio::test(start_paused = true)]
async fn every_setting_has_a_constraint_and_secrets_are_never_shown() {
    let folder = tempfile::tempdir().expect("folder");
    let (lab, _path, file, _pool) = lab_of_file(folder.path());
    let settings = &lab.agent.settings;
    settings.attach(file).await.expect("attached");
    let (view, constraints) = (settings.current(), settings.constraints());
    let shown: Vec<_> = view
        .settings
        .iter()
        .map(|setting| setting.path.as_str())
        .collect();
    for constraint in &constraints {
        assert!(
            shown.contains(&constraint.path.as_str()),
            "{}",
            constraint.path
        );
        assert!(!constraint.description.is_empty());
    }
    assert!(!serde_json::to_string(&view).expect("json").contains("hush"));
    let of = |path: &str| {
        constraints
            .iter()
            .find(|constraint| constraint.path == path)
            .expect("there")
    };
    let clock = of("board[0].frequency_mhz");
    assert_eq!(
        (clock.role, clock.restart, clock.unit.as_deref()),
        (Role::Tune, false, Some("MHz"))
    );
    assert!(clock.min < clock.max && clock.default.is_number());
    assert!(of("agent.name").restart);
    // What the constraints allow the config's own reader takes, and what they do not it refuses.
    for constraint in constraints
        .iter()
        .filter(|constraint| !constraint.path.contains("quota"))
    {
        let (Some(min), Some(max)) = (constraint.min, constraint.max) else {
            continue;
        };
        let whole = constraint.kind == "integer";
        let number = |value: f64| {
            if whole {
                json!(value as i64)
            } else {
                json!(value)
            }
        };
        for (value, good) in [
            (min, true),
            (max, true),
            (min - 1.0, false),
            (max * 1.1 + 1.0, false),
        ] {
            let mut values = json!({(constraint.path.as_str()): number(value)});
            if constraint.path == "cooling.manual_percent" {
                values["cooling.mode"] = json!("manual");
            }
            if constraint.path == "pool[0].min_payout_percent" {
                values["pool[0].payout_address"] =
                    json!("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4");
            }
            if constraint.path == "board[0].slot" || constraint.path == "board[0].voltage_mv" {
                continue;
            }
            let outcome = ask_with(settings, set(values), dry()).await;
            assert_eq!(
                outcome.is_ok(),
                good,
                "{} {value}: {outcome:?}",
                constraint.path
            );
        }
    }
    let report = settings.check("[[pool]]\nurl = \"x.example:1\"\nuser = \"a\"\n");
    assert!(
        !report.valid && report.problems[0].contains("board"),
        "{report:?}"
    );
    lab.stop().await;
}
