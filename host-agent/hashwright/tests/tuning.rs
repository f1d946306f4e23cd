//! The tuner in the whole program: real orders to stations and chains of simulated boards, judged by what
//! the simulator knows.

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use autotune::{Activity, Aim, Caps};
use bm13xx::Register;
use board_profiles::Profile;
use board_simulator::board::Fault;
use hashwright::board::ReadAsk;
use hashwright::config::{self, Config, System};
use hashwright::port::SharedBoard;
use hashwright::settings::{Actor, ConfigFile, Wish};
use hashwright::state::Snapshot;
use hashwright::tune::View;
use pool::PoolConfig;
use rpc::settings::{BoardSet, Changed, ConfigSet, WriteOptions};
use rpc::tuner::{Calibrate, ChipClock, OneSerial, ProfileImport, StationTuner, TunerSet};
use rpc::{Error, Role};
use serde_json::{Value, json};
use support::{FIRST, Lab, Pool, Wire};
use tokio::sync::oneshot;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn whole(name: &str, scale_bits: u8) -> config::Board {
    let profile = Profile::builtin(name).expect("profile");
    let mut board = config::Board::simulated(profile, 7);
    if let Some(sim) = &mut board.sim {
        sim.scale_bits = scale_bits;
    }
    board
}

/// A pool that wants a share of a few thousand real hashes: what chips tell for the tuner's sake is not worth
/// the way.
fn calm_pool() -> PoolConfig {
    let mut config = support::easy_pool();
    config.vardiff.start = pool::Difficulty::new(2e-6).expect("difficulty");
    config
}

fn mining(state: &Snapshot) -> bool {
    state.miner.state == "mining"
}

fn simulated(lab: &Lab) -> SharedBoard {
    lab.agent.simulated[0].clone().expect("a simulated board")
}

fn view(lab: &Lab) -> View {
    lab.agent.tuners[0].view.borrow().clone()
}

fn told(state: &Snapshot) -> &StationTuner {
    &state.tuner.stations[0]
}

fn is_kept(state: &Snapshot) -> bool {
    told(state).activity == "keeping"
}

/// What the tuner did, for whoever has to find out why a test fails.
fn tell(lab: &Lab) {
    let view = view(lab);
    eprintln!("{:?} {:?}", view.status, view.trouble);
    for step in &view.steps {
        eprintln!(
            "{} s: {}? {} ({:.4}): {}",
            step.at_s, step.hypothesis, step.evidence, step.confidence, step.decision
        );
    }
    for entry in lab.agent.events.after(0, usize::MAX) {
        eprintln!(
            "event {} {}: {}",
            entry.at_s, entry.notice.code, entry.notice.text
        );
    }
}

fn codes(lab: &Lab) -> Vec<String> {
    let entries = lab.agent.events.after(0, usize::MAX);
    entries.into_iter().map(|entry| entry.notice.code).collect()
}

async fn ask(lab: &Lab, wish: Wish) -> Result<Changed, Error> {
    ask_with(lab, wish, WriteOptions::default()).await
}

async fn ask_with(lab: &Lab, wish: Wish, how: WriteOptions) -> Result<Changed, Error> {
    lab.agent.settings.ask(&Actor::agent(), wish, how).await
}

fn aim(aim: Aim) -> Wish {
    Wish::Tuner(TunerSet {
        aim: Some(aim),
        caps: None,
    })
}

fn dry() -> WriteOptions {
    WriteOptions {
        dry_run: true,
        ..WriteOptions::default()
    }
}

fn set(values: Value) -> Wish {
    let Value::Object(values) = values else {
        panic!("an object");
    };
    Wish::Set(ConfigSet { values })
}

fn clock(board: usize, mhz: f64) -> Wish {
    Wish::Board(BoardSet {
        board,
        frequency_mhz: Some(mhz),
        ..BoardSet::default()
    })
}

#[tokio::test(start_paused = true)]
async fn a_gamma_is_brought_to_the_power_that_is_wanted_and_knows_it_after_a_restart() {
    let folder = tempfile::tempdir().expect("folder");
    let mut config = support::config(vec![whole("bitaxe-gamma", 28)]);
    let lab = Lab::start_with(&config, calm_pool());
    lab.run_until(3 * MINUTE, mining).await;
    lab.run_for(8 * MINUTE).await;
    let factory_w = simulated(&lab).truth().input_w;
    let state = lab.stop().await;
    let factory_j = factory_w / (state.miner.hashrate.m10.hps / 1e12);

    config.agent.state_dir = folder.path().to_owned();
    config.agent.state_dir_given = true;
    let wanted = factory_w * 0.85;
    config.tuner.aim = Aim::Watts(wanted);
    let lab = Lab::start_with(&config, calm_pool());
    lab.run_until(30 * MINUTE, is_kept).await;
    lab.run_for(12 * MINUTE).await;
    tell(&lab);
    let tuned = view(&lab).status;
    assert_eq!(tuned.activity, Activity::Keeping);
    // What nothing measures is known by the regulator's output, taken to be 90 % of the input.
    let watts = simulated(&lab).truth().input_w;
    assert!(
        (watts / wanted - 1.0).abs() < 0.02,
        "{watts} W, not {wanted} W"
    );
    let shown = lab.state().miner.power_w.expect("estimated");
    assert!(
        (shown / wanted - 1.0).abs() < 0.01,
        "{shown} W, not {wanted} W"
    );
    assert_eq!(
        codes(&lab).iter().filter(|code| *code == "tuned").count(),
        1
    );
    assert_eq!(
        lab.state().boards[0].voltage_set_mv,
        Some(tuned.mv.round() as u32)
    );
    let curve = lab.agent.tuners[0].curve(5).await;
    assert!(curve.len() > 2, "{curve:?}");
    assert!(
        curve
            .windows(2)
            .all(|pair| pair[0].watts[0] < pair[1].watts[0])
    );
    let predicted = lab.agent.tuners[0]
        .predict(Aim::Efficiency)
        .await
        .expect("known");
    assert!(predicted.j_per_th[0] <= tuned.watts / tuned.ths);
    let why = lab.agent.tuners[0].explain(0, 0).await.expect("a plan");
    assert!(why.words.contains("chip 0 of board 0"), "{}", why.words);
    assert!(lab.agent.tuners[0].explain(0, 1).await.is_none());
    let state = lab.stop().await;
    let rate = state.miner.hashrate.m10;
    let tuned_j = watts / (rate.hps / 1e12);
    eprintln!("factory {factory_j} J/TH at {factory_w} W, tuned {tuned_j} at {watts} W");
    // The published curve alone gives a fifth of the way.
    assert!(tuned_j < factory_j * 0.95, "{tuned_j} after {factory_j}");

    let path = folder.path().join("tuned").join("bitaxe-gamma-0.json");
    let kept = fs::read_to_string(&path).expect("what was learned");
    let lab = Lab::start_with(&config, calm_pool());
    lab.run_until(3 * MINUTE, mining).await;
    lab.run_for(MINUTE).await;
    let again = view(&lab).status;
    tell(&lab);
    assert_eq!(again.activity, Activity::Keeping);
    assert!(
        (again.mv - tuned.mv).abs() < 10.0,
        "{again:?} after {tuned:?}"
    );
    lab.stop().await;

    fs::write(&path, &kept[..kept.len() / 2]).expect("a file that was cut off");
    let lab = Lab::start_with(&config, calm_pool());
    lab.run_until(3 * MINUTE, mining).await;
    lab.run_for(20 * SECOND).await;
    assert!(codes(&lab).contains(&"tuned-profile".to_owned()));
    assert!(path.with_extension("json.bad").exists());
    assert_ne!(view(&lab).status.activity, Activity::Keeping);
    lab.stop().await;
}

/// A config file of people, and an agent that runs with it.
async fn lab_of_file(folder: &Path) -> (Lab, Pool) {
    let path = folder.join("hashwright.toml");
    let text = format!(
        "# My miner.\n[[pool]]\nurl = \"stratum+tcp://{FIRST}:3333\"\nuser = \"lab.worker\"\n\n\
         [agent]\nstate_dir = \"{}\"\n\n[tuner]\nmax_chip_c = 66 # summer\n\n\
         # On the shelf.\n[[board]]\nprofile = \"bitaxe-gamma\"\nuart = \"sim\"\nserial = \"SHELF 1\"\n\
         sim = {{ scale_bits = 30 }}\n",
        folder.join("state").display()
    );
    fs::write(&path, &text).expect("config");
    let config = Config::parse(&path, &text, &System).expect("config");
    let wire = Wire::default();
    let pool = Pool::start(calm_pool());
    wire.pool(FIRST, &pool);
    let lab = Lab::with_config(&config, wire);
    let file = ConfigFile { path, text };
    lab.agent.settings.attach(file).await.expect("attached");
    (lab, pool)
}

#[tokio::test(start_paused = true)]
async fn the_owner_says_what_the_miner_is_tuned_for_while_it_runs() {
    let folder = tempfile::tempdir().expect("folder");
    let (lab, _pool) = lab_of_file(folder.path()).await;
    let file = || fs::read_to_string(folder.path().join("hashwright.toml")).expect("file");
    let untouched = file();
    lab.run_until(3 * MINUTE, mining).await;
    let factory = |state: &Snapshot| {
        let board = &state.boards[0];
        board.voltage_set_mv == Some(1150) && (board.frequency_mhz - 525.0).abs() < 1.0
    };
    lab.run_until(MINUTE, factory).await;

    // Nothing is different of what is only tried out, or not confirmed.
    let changed = ask_with(&lab, aim(Aim::Watts(14.0)), dry())
        .await
        .expect("dry");
    assert_eq!(changed.changes[0].path, "tuner.target");
    assert_eq!(changed.changes[0].to, json!({"watts": 14}));
    assert_eq!(view(&lab).wish.aim, Aim::Off);
    let how = WriteOptions {
        confirm_within_s: Some(90),
        ..WriteOptions::default()
    };
    let changed = ask_with(&lab, aim(Aim::Watts(14.0)), how)
        .await
        .expect("tried");
    assert!(changed.applied && !changed.saved && changed.pending.is_some());
    assert_eq!(view(&lab).wish.aim, Aim::Watts(14.0));
    assert_eq!(view(&lab).wish.caps.chip_c, Some(66.0));
    lab.run_for(80 * SECOND).await;
    assert!(!factory(&lab.state()), "{:?}", view(&lab));
    lab.run_for(30 * SECOND).await;
    assert_eq!(view(&lab).status.activity, Activity::Off);
    lab.run_until(MINUTE, factory).await;
    assert_eq!(file(), untouched);

    // What is wanted stands in the file, and comments stay.
    let changed = ask(&lab, aim(Aim::Efficiency)).await.expect("changed");
    assert!(changed.saved, "{changed:?}");
    let text = file();
    assert!(text.contains("target = \"efficiency\""), "{text}");
    assert!(text.contains("max_chip_c = 66 # summer"), "{text}");
    Config::load(&folder.path().join("hashwright.toml")).expect("good");
    let caps = Caps {
        chip_c: Some(66.0),
        watts: Some(16.0),
        ..Caps::default()
    };
    let wish = Wish::Tuner(TunerSet {
        aim: None,
        caps: Some(caps),
    });
    let changed = ask(&lab, wish).await.expect("capped");
    assert_eq!(changed.changes.len(), 1, "{changed:?}");
    assert_eq!(changed.changes[0].path, "tuner.max_watts");
    assert_eq!(view(&lab).wish.caps, caps);
    lab.run_for(SECOND).await;
    assert_eq!(
        (lab.state().tuner.aim, lab.state().tuner.caps),
        (Aim::Efficiency, caps)
    );

    // The tuner's clock and voltage are nobody else's meanwhile.
    for wish in [
        clock(0, 490.0),
        set(json!({"board[0].voltage_mv": 1100})),
        Wish::ChipClock(ChipClock {
            board: 0,
            chip: Some(0),
            frequency_mhz: Some(490.0),
        }),
    ] {
        let refused = ask(&lab, wish).await.expect_err("the tuner's");
        assert!(refused.text().contains("tune stop"), "{}", refused.text());
    }
    for (wish, word) in [
        (aim(Aim::Watts(0.0)), "outside"),
        (aim(Aim::Hashrate(f64::NAN)), "hashrate"),
        (Wish::Tuner(TunerSet::default()), "nothing to set"),
        (set(json!({"tuner.target": "fast"})), "fast"),
        (set(json!({"tuner.max_chip_c": 300})), "outside"),
    ] {
        let refused = ask(&lab, wish).await.expect_err("no aim");
        assert!(refused.text().contains(word), "{}", refused.text());
    }
    let operator = Actor {
        role: Role::Operate,
        ..Actor::agent()
    };
    let refused = lab
        .agent
        .settings
        .ask(&operator, aim(Aim::Off), dry())
        .await;
    assert_eq!(refused.expect_err("role").code, rpc::error::NEEDS_ROLE);
    let constraints = lab.agent.settings.constraints();
    let watts = constraints.iter().find(|row| row.path == "tuner.max_watts");
    let watts = watts.expect("a row");
    assert_eq!(
        (watts.max, watts.role, watts.restart),
        (Some(1e6), Role::Tune, false)
    );

    // Back to what is configured, by path as well.
    let changed = ask(
        &lab,
        set(json!({"tuner.target": null, "board[0].frequency_mhz": 500})),
    );
    assert!(changed.await.expect("off").saved);
    assert!(!file().contains("target"), "{}", file());
    let configured = |state: &Snapshot| {
        let board = &state.boards[0];
        board.voltage_set_mv == Some(1150) && (board.frequency_mhz - 500.0).abs() < 1.0
    };
    lab.run_until(MINUTE, configured).await;

    // A clock of a single chip, within its limits, and gone with the tuner.
    let chip = |frequency_mhz| {
        Wish::ChipClock(ChipClock {
            board: 0,
            chip: Some(0),
            frequency_mhz,
        })
    };
    let refused = ask(&lab, chip(Some(5000.0))).await.expect_err("too fast");
    assert_eq!(refused.code, rpc::error::LIMITS);
    let changed = ask(&lab, chip(Some(450.0))).await.expect("slower");
    assert_eq!(changed.changes[0].path, "board[0].chip[0].frequency_mhz");
    assert!(changed.applied && !changed.saved);
    let at = |mhz: f64| move |state: &Snapshot| (state.chips[0].frequency_mhz - mhz).abs() < 1.0;
    lab.run_until(MINUTE, at(450.0)).await;
    ask(&lab, clock(0, 525.0)).await.expect("the others");
    lab.run_for(20 * SECOND).await;
    assert!(at(450.0)(&lab.state()), "{:?}", lab.state().chips);
    ask(&lab, chip(None)).await.expect("as the others");
    lab.run_until(MINUTE, at(525.0)).await;
    assert!(mining(&lab.state()));
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_boards_is_shown_carried_and_forgotten() {
    let folder = tempfile::tempdir().expect("folder");
    let (lab, _pool) = lab_of_file(folder.path()).await;
    lab.run_until(3 * MINUTE, mining).await;

    // Registers answer while chips mine, and say so when they do not.
    let read = async |register, chip| {
        let (reply, answer) = oneshot::channel();
        let ask = ReadAsk {
            chip,
            register,
            reply,
        };
        lab.agent.registers[0].send(ask).await.expect("a board");
        answer.await.expect("an answer")
    };
    let id = read(Register::ChipId, None).await.expect("a chip");
    assert_eq!((id.len(), id[0].0, id[0].1 >> 16), (1, 0, 0x1370));
    assert!(read(Register::ChipId, Some(3)).await.is_err());

    let refused = ask(
        &lab,
        Wish::Calibrate(Calibrate {
            station: None,
            watts: 18.0,
        }),
    );
    assert!(
        refused
            .await
            .expect_err("off")
            .text()
            .contains("tune start")
    );
    assert!(lab.agent.tuners[0].predict(Aim::Efficiency).await.is_none());
    ask(&lab, aim(Aim::Watts(15.0))).await.expect("on");
    lab.run_for(6 * MINUTE).await;
    let model = lab.agent.tuners[0].models().await.pop().expect("a model");
    assert_eq!(model.serial, "SHELF 1");
    assert_eq!(lab.agent.models.all().len(), 1, "kept while it is learned");
    assert!(lab.state().chips[0].quality.is_some());

    // Off and asked all the same: by what is kept.
    ask(&lab, aim(Aim::Off)).await.expect("off");
    lab.run_for(10 * SECOND).await;
    assert!(
        lab.agent.tuners[0]
            .predict(Aim::Watts(14.0))
            .await
            .is_some()
    );
    assert!(!lab.agent.tuners[0].curve(4).await.is_empty());

    let import = |profile| Wish::ModelImport(Box::new(ProfileImport { profile }));
    let mut foreign = model.clone();
    foreign.profile = "s21".to_owned();
    let refused = ask(&lab, import(foreign))
        .await
        .expect_err("another board's");
    assert!(refused.text().contains("s21"), "{}", refused.text());
    let mut other = model.clone();
    other.serial = "ANOTHER".to_owned();
    let changed = ask(&lab, import(other)).await.expect("for later");
    assert!(changed.saved);
    assert_eq!(lab.agent.models.all().len(), 2);
    let forget = |serial: &str| {
        Wish::ModelForget(OneSerial {
            serial: serial.to_owned(),
        })
    };
    ask_with(&lab, forget("SHELF 1"), dry()).await.expect("dry");
    assert_eq!(lab.agent.models.all().len(), 2);
    ask(&lab, forget("SHELF 1")).await.expect("forgotten");
    assert!(ask(&lab, forget("SHELF 1")).await.is_err());
    assert!(
        lab.agent.tuners[0]
            .predict(Aim::Watts(14.0))
            .await
            .is_none()
    );
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pauses_outages_and_impossible_aims_cost_nothing_that_was_learned() {
    let mut config = support::config(vec![whole("bitaxe-gamma", 28)]);
    config.tuner.aim = Aim::Watts(15.0);
    let mut lab = Lab::start_with(&config, calm_pool());
    lab.run_until(3 * MINUTE, |state| told(state).rounds >= 1)
        .await;
    ask(&lab, Wish::Pause).await.expect("paused");
    lab.run_for(2 * MINUTE).await;
    let state = lab.state();
    assert_eq!(told(&state).activity, "waiting");
    let why = told(&state).because.clone().unwrap_or_default();
    assert!(why.contains("paused"), "{why}");
    ask(&lab, Wish::Resume).await.expect("resumed");
    let state = lab
        .run_until(3 * MINUTE, |state| told(state).activity == "measuring")
        .await;
    assert!(told(&state).rounds >= 1, "{:?}", told(&state));

    // A rule lets the boards sleep.
    lab.agent
        .settings
        .rest(Some("power is dear".into()))
        .await
        .expect("asleep");
    let state = lab
        .run_until(2 * MINUTE, |state| state.boards[0].state == "asleep")
        .await;
    assert_eq!(state.miner.state, "asleep");
    assert!(!simulated(&lab).truth().core_on);
    assert!(!state.miner.paused);
    lab.run_for(5 * SECOND).await;
    let why = told(&lab.state()).because.clone().unwrap_or_default();
    assert!(why.contains("power is dear"), "{why}");
    lab.agent.settings.rest(None).await.expect("awake");
    lab.run_until(3 * MINUTE, |state| told(state).activity == "measuring")
        .await;

    // Jobs of a session that could be resumed keep their worth for two minutes.
    lab.stop_pool();
    let out_of_work = |state: &Snapshot| {
        let why = told(state).because.as_deref().unwrap_or_default();
        told(state).activity == "waiting" && why.contains("work")
    };
    lab.run_until(5 * MINUTE, out_of_work).await;
    lab.start_pool(calm_pool());
    lab.run_until(30 * MINUTE, is_kept).await;

    ask(&lab, aim(Aim::Watts(2.0))).await.expect("too little");
    lab.run_until(10 * MINUTE, |state| {
        is_kept(state) && told(state).reach == "too_little_power"
    })
    .await;
    lab.run_for(SECOND).await;
    assert!(codes(&lab).contains(&"aim-impossible".to_owned()));
    assert!(mining(&lab.state()));
    tell(&lab);
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sensor_that_sticks_ends_in_a_safe_setting_with_its_reason() {
    let mut config = support::config(vec![whole("bitaxe-gamma", 28)]);
    config.tuner.aim = Aim::Watts(13.0);
    let lab = Lab::start_with(&config, calm_pool());
    lab.run_until(3 * MINUTE, |state| told(state).activity == "measuring")
        .await;
    let board = simulated(&lab);
    board.inject(Fault::SensorFrozen { sensor: 0 });
    board.inject(Fault::SensorFrozen { sensor: 1 });
    lab.run_for(20 * MINUTE).await;
    tell(&lab);
    let state = lab.state();
    eprintln!("{:?} {:?}", told(&state), state.boards[0]);
    assert!(
        ["held", "waiting"].contains(&told(&state).activity.as_str()),
        "{:?}",
        told(&state)
    );
    assert!(told(&state).because.is_some());
    assert_eq!(board.truth().die_limit_passed, None);
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn chips_of_an_ember_one_get_clocks_of_their_own_and_one_that_dies_ends_it_safely() {
    let mut config = support::config(vec![whole("emberone00", 29)]);
    config.tuner.aim = Aim::Efficiency;
    let lab = Lab::start_with(&config, calm_pool());
    lab.run_until(3 * MINUTE, mining).await;
    lab.run_for(MINUTE).await;
    let reference = lab.state().miner.power_w.expect("power");
    ask(&lab, aim(Aim::Watts(reference * 0.8)))
        .await
        .expect("aim");
    lab.run_until(40 * MINUTE, is_kept).await;
    lab.run_for(5 * MINUTE).await;
    tell(&lab);
    let state = lab.state();
    let clocks: Vec<f64> = state.chips.iter().map(|chip| chip.frequency_mhz).collect();
    eprintln!("{clocks:?} {:?} {:?}", state.boards[0], told(&state));
    assert!(
        clocks.iter().any(|mhz| (mhz - clocks[0]).abs() > 3.0),
        "{clocks:?}"
    );
    let grades: Vec<_> = state
        .chips
        .iter()
        .filter_map(|chip| chip.quality.clone())
        .collect();
    assert_eq!(grades.len(), 12);
    let board = simulated(&lab);
    let watts = board.truth().input_w;
    eprintln!(
        "{watts} W true, {:?} W shown, wanted {}",
        state.miner.power_w,
        reference * 0.8
    );
    assert_eq!(board.truth().die_limit_passed, None);

    board.inject(Fault::ChipDead { chip: 5 });
    lab.run_for(10 * MINUTE).await;
    tell(&lab);
    let state = lab.state();
    eprintln!("{:?} {:?}", state.boards[0], told(&state));
    assert!(
        ["held", "waiting"].contains(&told(&state).activity.as_str()),
        "{:?}",
        told(&state)
    );
    assert!(told(&state).because.is_some(), "{:?}", told(&state));
    assert_eq!(board.truth().die_limit_passed, None);
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_antminer_board_is_tuned_through_its_supply() {
    let mut config = support::config(vec![whole("s19k-pro", 33)]);
    config.tuner.aim = Aim::Efficiency;
    let lab = Lab::start_with(&config, calm_pool());
    lab.run_until(5 * MINUTE, mining).await;
    let factory = simulated(&lab).truth();
    lab.run_until(5 * MINUTE, |state| told(state).rounds >= 1)
        .await;
    lab.run_for(8 * MINUTE).await;
    tell(&lab);
    let state = lab.state();
    let (board, truth) = (&state.boards[0], simulated(&lab).truth());
    eprintln!(
        "{board:?} {:?} {} W after {} W",
        told(&state),
        truth.input_w,
        factory.input_w
    );
    assert_eq!((board.restarts, board.guard.as_str()), (0, "agent"));
    assert_eq!(truth.die_limit_passed, None);
    // Orders arrive: voltage of the supply, and clocks of the chips.
    let ordered = view(&lab).status;
    assert_eq!(board.voltage_set_mv, Some(ordered.mv.round() as u32));
    assert!(
        (truth.core_mv / ordered.mv - 1.0).abs() < 0.01,
        "{}",
        truth.core_mv
    );
    assert!(
        (board.frequency_mhz / ordered.mhz - 1.0).abs() < 0.02,
        "{}",
        board.frequency_mhz
    );
    assert!((board.hashrate.m1.hps / board.expected_hps - 1.0).abs() < 0.15);
    // Nothing measures its power, and that is said.
    let trouble = told(&state).trouble.clone().unwrap_or_default();
    assert!(trouble.contains("calibrate"), "{trouble}");
    lab.stop().await;
}
