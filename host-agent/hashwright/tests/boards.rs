//! What the whole agent does when a board does something: several kinds at once, wrong and missing
//! ones, ones that vanish and return, and the end of the program in any phase.

mod support;

use std::time::Duration;

use board_simulator::VirtualChain;
use hashwright::agent;
use hashwright::config;
use hashwright::port::Uart;
use hashwright::port::serve::{Endpoint, serve};
use hashwright::stop;
use support::{Lab, board, easy_pool, lively};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A board that finds some nonces a second.
fn busy(name: &str) -> config::Board {
    let mut board = board(name);
    lively(&mut board, 10.0);
    board
}

/// A board behind a port of its own, which somebody else controls.
fn behind(uart: Uart, simulated: &config::Board) -> config::Board {
    config::Board {
        uart,
        control: config::Control::External,
        sim: None,
        served_scale_bits: simulated.scale_bits(),
        ..simulated.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn boards_of_all_kinds_share_one_pool_without_a_duplicate() {
    let names = [
        "bitaxe-gamma",
        "bitaxe-gamma",
        "bitaxe-hex",
        "bitaxe-supra",
        "bitaxe-max",
        "emberone00",
        "nerdqaxe-pp",
        "s21",
    ];
    // A short extranonce2 makes the parts of the boards small, and a new job comes now and then.
    let mut pool = easy_pool();
    pool.extranonce2_size = 2;
    pool.block_interval = Duration::ZERO;
    let lab = Lab::start(names.map(busy).into(), pool);
    lab.run_until(2 * MINUTE, |state| state.miner.state == "mining")
        .await;
    lab.run_for(3 * MINUTE).await;
    let pool = lab.pool_stats();
    let state = lab.stop().await;
    assert_eq!(pool.rejected.duplicate, 0);
    assert_eq!(pool.rejected.total(), 0, "{:?}", pool.rejected);
    for (board, name) in state.boards.iter().zip(names) {
        assert_eq!(board.profile, name);
        assert_eq!(board.chips_found, board.chips_expected, "{name}");
        assert!(board.nonces.shares > 500, "{name}: {:?}", board.nonces);
        assert_eq!(board.nonces.hardware_errors, 0, "{name}");
        assert_eq!(board.nonces.duplicates, 0, "{name}");
        assert_eq!(board.restarts, 0, "{name}");
    }
    // Boards tell their numbers twice a second.
    assert!(state.miner.nonces.shares.abs_diff(pool.accepted) < 100);
}

/// In real time, because sockets know no other.
#[tokio::test]
async fn a_board_with_the_profile_of_another_is_told_apart_while_the_rest_mines() {
    let folder = tempfile::tempdir().expect("folder");
    let served = Served::start(&folder.path().join("board"), &busy("bitaxe-supra"));
    // The chips that are really there are those of a Supra.
    let wrong = behind(served.uart.clone(), &busy("bitaxe-gamma"));
    let lab = Lab::start(vec![wrong, quick("bitaxe-gamma")], easy_pool());
    let state = lab
        .run_until(20 * SECOND, |state| {
            state.boards[0].state == "failed" && state.boards[1].nonces.shares > 5
        })
        .await;
    let problem = state.boards[0].problem.as_deref().expect("a problem");
    for part in ["1368", "BM1370", "profile"] {
        assert!(problem.contains(part), "{problem}");
    }
    assert!(state.boards[0].restarts >= 1);
    assert_eq!(state.boards[1].restarts, 0);
    assert_eq!(state.miner.state, "degraded");
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_port_that_does_not_exist_is_told_and_tried_again_while_the_rest_mines() {
    let absent = behind(
        Uart::Serial("/nonexistent/ttyACM7".into()),
        &busy("bitaxe-gamma"),
    );
    let lab = Lab::start(vec![busy("bitaxe-supra"), absent], easy_pool());
    lab.run_for(10 * MINUTE).await;
    let state = lab.state();
    let [good, bad] = &state.boards[..] else {
        panic!("two boards");
    };
    assert_eq!(bad.state, "failed");
    let problem = bad.problem.as_deref().expect("a problem");
    assert!(problem.contains("/nonexistent/ttyACM7"), "{problem}");
    assert!(problem.contains("no such device"), "{problem}");
    // Pauses grow to half a minute: some 20 tries in ten minutes, neither one nor thousands.
    assert!((15..60).contains(&bad.restarts), "{}", bad.restarts);
    assert_eq!((good.state.as_str(), good.restarts), ("mining", 0));
    assert!(good.nonces.shares > 1000);
    assert_eq!(state.miner.state, "degraded");
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_noisy_line_costs_frames_and_not_the_board() {
    let mut noisy = busy("bitaxe-gamma");
    if let Some(sim) = &mut noisy.sim {
        (sim.lost_bytes, sim.flipped_bytes, sim.split_bytes) = (1e-4, 1e-4, 1e-4);
    }
    let mut pool = easy_pool();
    pool.block_interval = Duration::ZERO;
    let lab = Lab::start(vec![noisy], pool);
    lab.run_until(2 * MINUTE, |state| state.miner.state == "mining")
        .await;
    lab.run_for(5 * MINUTE).await;
    let pool = lab.pool_stats();
    let state = lab.stop().await;
    let board = &state.boards[0];
    assert!(board.dropped_bytes > 0, "there was noise");
    assert_eq!(board.restarts, 0);
    // 11 bytes in, 88 out at most once in five nonces: three in a hundred frames are hit.
    assert!(board.nonces.shares > 1000, "{:?}", board.nonces);
    assert!(board.nonces.hardware_errors < board.nonces.shares / 100);
    assert_eq!(pool.rejected.total(), 0, "{:?}", pool.rejected);
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_soon_in_every_phase() {
    let names = ["bitaxe-gamma", "bitaxe-max", "s21"];
    for name in names {
        for phase in [
            "starting",
            "ramping",
            "verifying",
            "idle",
            "mining",
            "failed",
        ] {
            let mut config = support::config(vec![busy(name)]);
            if phase == "failed" {
                config.boards[0] = behind(Uart::Serial("/nonexistent/tty".into()), &busy(name));
            }
            let mut lab = Lab::with_config(&config, support::Wire::default());
            if phase == "mining" {
                lab.start_pool(easy_pool());
            }
            // The state tree is published twice a second, which a short phase may not last.
            let until = |state: &hashwright::state::Snapshot| {
                let now = state.boards[0].state.as_str();
                now == phase || (phase == "verifying" && now == "idle")
            };
            lab.run_until(2 * MINUTE, until).await;
            let asked = tokio::time::Instant::now();
            let last = lab.stop().await;
            let took = asked.elapsed();
            assert!(took < 6 * SECOND, "{name} {phase}: {took:?}");
            assert_eq!(last.miner.state, "stopping", "{name} {phase}");
        }
    }
}

/// A board that is up within two seconds, for tests in real time.
fn quick(name: &str) -> config::Board {
    let mut board = busy(name);
    board.profile.frequency.ramp_interval_ms = 1;
    board
}

/// A virtual chain behind a unix socket until it is dropped.
struct Served {
    uart: Uart,
    stopper: stop::Stopper,
    task: tokio::task::JoinHandle<VirtualChain>,
}

impl Served {
    fn start(path: &std::path::Path, board: &config::Board) -> Self {
        let sim = board.sim.as_ref().expect("a simulated board");
        let spec = agent::simulation(&board.profile, sim).expect("spec");
        Self::go_on(path, VirtualChain::new(spec).expect("chain"))
    }

    fn go_on(path: &std::path::Path, mut chain: VirtualChain) -> Self {
        let endpoint = Endpoint::unix(path).expect("socket");
        let uart = endpoint.uart().clone();
        let (stopper, stop) = stop::channel();
        let task = tokio::spawn(async move {
            serve(&mut chain, endpoint, stop, &mut ())
                .await
                .expect("served");
            chain
        });
        Self {
            uart,
            stopper,
            task,
        }
    }

    /// Takes the socket away and gives the chips back.
    async fn vanish(self) -> VirtualChain {
        self.stopper.stop();
        self.task.await.expect("no panic")
    }
}

/// In real time, because sockets know no other.
#[tokio::test]
async fn a_board_that_vanishes_and_returns_is_started_again_by_itself() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("board");
    let simulated = quick("bitaxe-supra");
    let served = Served::start(&path, &simulated);
    let boards = vec![behind(served.uart.clone(), &simulated)];
    let lab = Lab::start(boards, easy_pool());
    let limit = 60 * SECOND;
    lab.run_until(limit, |state| state.boards[0].nonces.shares > 5)
        .await;
    let chain = served.vanish().await;
    assert!(chain.chips().all(|chip| chip.hashing));
    let state = lab
        .run_until(limit, |state| state.boards[0].state == "failed")
        .await;
    let problem = state.boards[0].problem.as_deref().expect("a problem");
    assert!(problem.contains("unix:"), "{problem}");

    // The chips have gone on hashing at their run rate meanwhile.
    let served = Served::go_on(&path, chain);
    let state = lab
        .run_until(limit, |state| {
            state.boards[0].state == "mining" && state.boards[0].nonces.shares > 5
        })
        .await;
    assert!(state.boards[0].restarts >= 1);
    assert_eq!(state.boards[0].nonces.hardware_errors, 0);
    assert_eq!(lab.pool_stats().rejected.total(), 0);

    lab.stop().await;
    let chain = served.vanish().await;
    assert!(chain.chips().all(|chip| !chip.hashing), "left hashing");
}
