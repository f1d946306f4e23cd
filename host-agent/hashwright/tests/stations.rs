//! What the whole agent does with boards that it controls: it powers them in order, cools them, sees
//! faults, and leaves them without power.

mod support;

use std::time::Duration;

use board_profiles::Profile;
use board_simulator::board::{Controller, Fault};
use hashwright::clock::Clock;
use hashwright::config::{self, Control};
use hashwright::port::serve::{BoardLine, Endpoint, serve_board};
use hashwright::port::{SharedBoard, Uart};
use hashwright::settings::{Actor, Wish};
use hashwright::simulate;
use hashwright::state::Snapshot;
use hashwright::stop;
use rpc::settings::{Changed, ClearFault, CoolingMode, CoolingSet, WriteOptions};
use station::Mode;
use support::{Lab, easy_pool, lively};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

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

fn simulated(lab: &Lab, board: usize) -> SharedBoard {
    lab.agent.simulated[board]
        .clone()
        .expect("a simulated board")
}

fn mining(state: &Snapshot) -> bool {
    state.miner.state == "mining"
}

/// Codes of all events so far.
fn codes(lab: &Lab) -> Vec<String> {
    let entries = lab.agent.events.after(0, usize::MAX);
    entries.into_iter().map(|entry| entry.notice.code).collect()
}

async fn ask(lab: &Lab, wish: Wish) -> Result<Changed, rpc::Error> {
    let settings = &lab.agent.settings;
    settings
        .ask(&Actor::agent(), wish, WriteOptions::default())
        .await
}

async fn clear(lab: &Lab, board: usize, code: &str) -> Result<Changed, rpc::Error> {
    let code = code.to_owned();
    ask(lab, Wish::ClearFault(ClearFault { board, code })).await
}

#[tokio::test(start_paused = true)]
async fn a_controlled_board_is_powered_mines_and_is_left_without_power() {
    for (name, controller, guard) in [
        ("bitaxe-gamma", None, "agent"),
        ("bitaxe-gamma", Some(Controller::Guarded), "board"),
        ("bitaxe-ultra", Some(Controller::BitaxeRawTotal), "agent"),
        ("emberone00", None, "agent"),
        ("s19k-pro", None, "agent"),
    ] {
        let mut board = whole(name);
        board.sim.as_mut().expect("simulated").controller = controller;
        let lab = Lab::start(vec![board], easy_pool());
        let board = simulated(&lab, 0);
        assert!(
            !board.truth().core_on,
            "{name}: before anything was checked"
        );
        lab.run_until(3 * MINUTE, mining).await;
        assert!(board.truth().core_on, "{name}");
        lab.run_for(MINUTE).await;
        let state = lab.stop().await;
        assert!(!board.truth().core_on, "{name}: after the end");
        let board = &state.boards[0];
        assert_eq!(board.guard, guard, "{name}");
        assert!(board.nonces.shares > 20, "{name}: {:?}", board.nonces);
        assert_eq!(board.restarts, 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_reading_has_a_unit_an_age_and_a_source() {
    let lab = Lab::start(vec![whole("bitaxe-gamma")], easy_pool());
    let state = lab.run_until(3 * MINUTE, mining).await;
    let station = &state.stations[0];
    assert_eq!(
        (station.boards.as_slice(), station.control.as_str()),
        (&[0][..], "sim")
    );
    assert!(station.status.readings.len() >= 6);
    for reading in &station.status.readings {
        let age = reading.age_s.expect("fresh");
        assert!(age < 3.0, "{reading:?}");
        assert!(reading.value.is_some(), "{reading:?}");
    }
    let board = &state.boards[0];
    assert_eq!(board.station, Some(0));
    assert!(board.temperature_c.is_some() && board.power_w.is_some());
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_fan_that_stops_takes_power_at_once_and_others_do_not_notice() {
    let boards = vec![whole("bitaxe-gamma"), whole("bitaxe-gamma")];
    let lab = Lab::start(boards, easy_pool());
    lab.run_until(3 * MINUTE, mining).await;
    let board = simulated(&lab, 0);
    board.inject(Fault::FanStuck { fan: 0 });
    lab.run_for(10 * SECOND).await;
    assert!(!board.truth().core_on);
    let state = lab
        .run_until(MINUTE, |state| state.boards[0].problem.is_some())
        .await;
    assert!(["held", "latched", "checking"].contains(&state.boards[0].state.as_str()));
    assert_eq!(state.boards[1].state, "mining");
    assert_eq!(state.miner.state, "degraded");
    let codes = codes(&lab);
    assert!(codes.iter().any(|code| code == "fan-stalled"), "{codes:?}");
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_person_clears_a_latched_fault_by_its_code_and_only_so() {
    let lab = Lab::start(vec![whole("bitaxe-gamma")], easy_pool());
    lab.run_until(3 * MINUTE, mining).await;
    let board = simulated(&lab, 0);
    let stuck = Fault::FanStuck { fan: 0 };
    board.inject(stuck);
    let latched = |state: &Snapshot| state.boards[0].state == "latched";
    let state = lab.run_until(120 * MINUTE, latched).await;
    let fault = state.stations[0]
        .status
        .guard
        .fault
        .clone()
        .expect("a fault");
    board.heal(stuck);
    lab.run_for(30 * MINUTE).await;
    assert!(!board.truth().core_on, "it does not come back by itself");
    assert!(clear(&lab, 0, "over-power").await.is_err());
    assert!(clear(&lab, 7, &fault.code).await.is_err());
    clear(&lab, 0, &fault.code).await.expect("cleared");
    lab.run_until(10 * MINUTE, mining).await;
    let codes = codes(&lab);
    for code in ["command", "command-refused"] {
        assert!(codes.iter().any(|known| known == code), "{codes:?}");
    }
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_latched_fault_outlives_the_agent_until_a_person_clears_it() {
    let folder = tempfile::tempdir().expect("folder");
    let mut config = support::config(vec![whole("bitaxe-gamma")]);
    config.agent.state_dir = folder.path().join("state");
    config.agent.state_dir_given = true;
    let sim = config.boards[0].sim.as_mut().expect("simulated");
    sim.faults = vec!["fan-stuck@1m".parse().expect("a fault")];
    let start = |config: &config::Config| {
        let mut lab = Lab::with_config(config, support::Wire::default());
        lab.start_pool(easy_pool());
        lab
    };
    let latched = |state: &Snapshot| state.boards[0].state == "latched";
    let lab = start(&config);
    lab.run_until(120 * MINUTE, latched).await;
    lab.stop().await;

    // The fan is as good as new, but nobody has said so.
    config.boards[0]
        .sim
        .as_mut()
        .expect("simulated")
        .faults
        .clear();
    let lab = start(&config);
    lab.run_for(10 * MINUTE).await;
    let state = lab.state();
    assert_eq!(state.boards[0].state, "latched");
    assert!(!simulated(&lab, 0).truth().core_on);
    let fault = state.stations[0]
        .status
        .guard
        .fault
        .clone()
        .expect("a fault");
    clear(&lab, 0, &fault.code).await.expect("cleared");
    lab.run_until(10 * MINUTE, mining).await;
    lab.stop().await;

    let lab = start(&config);
    lab.run_until(10 * MINUTE, mining).await;
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn heat_lowers_the_clock_and_the_users_set_point_comes_back() {
    let lab = Lab::start(vec![whole("bitaxe-gamma")], easy_pool());
    let state = lab.run_until(3 * MINUTE, mining).await;
    let wanted = state.stations[0].status.set_points.wanted.expect("wanted");
    let board = simulated(&lab, 0);
    let hot = Fault::Ambient { celsius: 55.0 };
    board.inject(hot);
    let state = lab
        .run_until(30 * MINUTE, |state| {
            state.boards[0].frequency_mhz < 0.97 * wanted.mhz && mining(state)
        })
        .await;
    assert_eq!(state.stations[0].status.set_points.wanted, Some(wanted));
    assert_eq!(state.boards[0].restarts, 0);
    board.heal(hot);
    board.inject(Fault::Ambient { celsius: 25.0 });
    lab.run_until(60 * MINUTE, |state| {
        state.boards[0].frequency_mhz > 0.995 * wanted.mhz
    })
    .await;
    assert!(board.truth().core_on);
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn cooling_can_be_changed_while_it_mines() {
    let lab = Lab::start(vec![whole("bitaxe-gamma")], easy_pool());
    lab.run_until(3 * MINUTE, mining).await;
    let manual = Mode::Manual { percent: 73 };
    let wish = CoolingSet {
        mode: Some(CoolingMode::Manual),
        percent: Some(73),
        ..CoolingSet::default()
    };
    ask(&lab, Wish::Cooling(wish)).await.expect("set");
    lab.run_until(MINUTE, |state| {
        state.stations[0].status.cooling.mode == manual && state.boards[0].fan_percent == Some(73)
    })
    .await;
    let immersion = CoolingSet {
        mode: Some(CoolingMode::Immersion),
        ..CoolingSet::default()
    };
    assert!(ask(&lab, Wish::Cooling(immersion)).await.is_err());
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_control_port_takes_the_session_and_is_told() {
    let lab = Lab::start(vec![whole("bitaxe-gamma")], easy_pool());
    lab.run_until(3 * MINUTE, mining).await;
    let board = simulated(&lab, 0);
    board.inject(Fault::ControlSilent);
    let state = lab
        .run_until(MINUTE, |state| state.boards[0].state != "mining")
        .await;
    assert_eq!(state.miner.nonces.hardware_errors, 0);
    board.heal(Fault::ControlSilent);
    let back = |state: &Snapshot| mining(state) || state.boards[0].state == "latched";
    lab.run_until(30 * MINUTE, back).await;
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_end_leaves_no_power_in_any_phase() {
    for phase in ["checking", "powering", "starting", "ramping", "mining"] {
        let lab = Lab::start(vec![whole("bitaxe-gamma")], easy_pool());
        let board = simulated(&lab, 0);
        // Phases shorter than the state tree's grain are passed over.
        let at = |state: &Snapshot| {
            let now = state.boards[0].state.as_str();
            now == phase || now == "mining"
        };
        lab.run_until(3 * MINUTE, at).await;
        let asked = tokio::time::Instant::now();
        lab.stop().await;
        assert!(!board.truth().core_on, "{phase}");
        assert!(
            asked.elapsed() < 15 * SECOND,
            "{phase}: {:?}",
            asked.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_in_a_hurry_gets_power_cut_without_winding_down() {
    let lab = Lab::start(vec![whole("bitaxe-gamma")], easy_pool());
    lab.run_until(3 * MINUTE, mining).await;
    let board = simulated(&lab, 0);
    let asked = tokio::time::Instant::now();
    lab.hurry().await;
    assert!(!board.truth().core_on);
    assert!(asked.elapsed() < 3 * SECOND, "{:?}", asked.elapsed());
    let codes = codes(&lab);
    assert!(!codes.contains(&"power-not-cut".to_owned()), "{codes:?}");
    lab.stop().await;
}

/// In real time, because sockets know no other.
#[tokio::test]
async fn a_board_behind_real_ports_is_controlled_from_a_thread_of_its_own() {
    let folder = tempfile::tempdir().expect("folder");
    let mut configured = whole("bitaxe-gamma");
    configured.profile.frequency.ramp_interval_ms = 1;
    let sim = configured.sim.take().expect("simulated");
    let clock = Clock::start();
    let spec = simulate::board(&configured.profile, &sim).expect("spec");
    let board = SharedBoard::new(&spec, Vec::new(), clock).expect("board");
    let (stopper, stop) = stop::channel();
    let lines = [(BoardLine::Uart, "uart"), (BoardLine::Control, "control")];
    for (line, name) in lines {
        let endpoint = Endpoint::unix(&folder.path().join(name)).expect("socket");
        let (board, stop) = (board.clone(), stop.clone());
        tokio::spawn(async move { serve_board(&board, line, endpoint, stop).await });
    }
    let mut ended = stop.clone();
    let world = board
        .clone()
        .run(clock, async move { ended.stopped().await });
    let world = tokio::spawn(world);

    configured.uart = Uart::Unix(folder.path().join("uart"));
    configured.control = Control::Port(Uart::Unix(folder.path().join("control")));
    configured.served_scale_bits = sim.scale_bits;
    let lab = Lab::start(vec![configured], easy_pool());
    let state = lab
        .run_until(60 * SECOND, |state| {
            mining(state) && state.boards[0].nonces.shares > 3
        })
        .await;
    assert_eq!(state.boards[0].guard, "agent");
    assert!(board.truth().core_on);
    lab.stop().await;
    assert!(!board.truth().core_on);
    stopper.stop();
    world.await.expect("no panic");
}
