//! Sweeps and acceptance tests from the command line's side: against a real agent with a simulated board, over
//! a real connection, in real time.

mod support;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use board_profiles::Profile;
use hashwright::access::Keeper;
use hashwright::api;
use hashwright::cli::bench_board::judge::Level;
use hashwright::cli::bench_board::{self, BenchBoardArgs, Report};
use hashwright::cli::sweep::draw::Metric;
use hashwright::cli::sweep::file::Sweep;
use hashwright::cli::sweep::plan::Axis;
use hashwright::cli::sweep::{self, Dwell, SweepArgs};
use hashwright::cli::{AgentArgs, Client, Look};
use hashwright::clock::Clock;
use hashwright::config;
use rpc::method::ConfigPending;
use rpc::{NoParams, Role};
use support::{Lab, easy_pool};

/// Long enough for a loaded machine; only a hang takes it.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent with a Bitaxe Gamma that is quick to start and finds 250 nonces a second.
async fn gamma() -> (Lab, String) {
    let mut profile = Profile::builtin("bitaxe-gamma").expect("profile");
    profile.frequency.ramp_interval_ms = 10;
    profile.chain.ticket_difficulty = 1;
    let mut board = config::Board::simulated(profile, 7);
    if let Some(sim) = &mut board.sim {
        sim.scale_bits = 24;
    }
    let mut config = support::config(vec![board]);
    config.api.local = Some(Role::Admin);
    let lab = Lab::start_with(&config, easy_pool());
    let keeper = Keeper::in_memory("lab", &config.api, Clock::start()).expect("keeper");
    let options = api::Options {
        listen: ([127, 0, 0, 1], 0).into(),
        keeper: Some(keeper),
    };
    let server = api::serve(options, lab.agent.faces(), std::future::pending())
        .await
        .expect("server");
    let url = format!("http://{}", server.local_addr());
    lab.run_until(PATIENCE, |state| {
        let board = &state.boards[0];
        state.miner.state == "mining" && board.frequency_mhz == board.target_mhz
    })
    .await;
    (lab, url)
}

fn swept(url: &str, out: &Path, mhz: &[f64], mv: &[f64]) -> SweepArgs {
    SweepArgs {
        agent: AgentArgs::at(url),
        board: 0,
        frequency: Some(Axis(mhz.to_vec())),
        voltage: Some(Axis(mv.to_vec())),
        dwell: Dwell::Seconds(3.0),
        longest: 900,
        settle: Dwell::Seconds(1.0),
        error_rate: 0.01,
        max_celsius: None,
        max_watts: None,
        out: Some(out.to_owned()),
        fresh: false,
        stop_tuner: false,
        show: Metric::Rate,
        lines: true,
        ascii: false,
        json: false,
    }
}

fn is_success(code: ExitCode) -> bool {
    format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_finds_what_a_board_can_do_goes_on_and_puts_everything_back() {
    let (lab, url) = gamma().await;
    let directory = tempfile::tempdir().expect("directory");
    let out = directory.path().join("sweep");
    let before = lab.state().stations[0].status.set_points.wanted;

    // One that dies in the middle leaves a change that the agent would undo by itself.
    let first = swept(&url, &out, &[475.0, 500.0], &[1100.0]);
    let dying = {
        let first = first.clone();
        tokio::spawn(async move { sweep::run(&first, Look::default()).await })
    };
    let client = Client::connect(&url).await.expect("client");
    lab.run_until(PATIENCE, |_| out.join("sweep.json").exists())
        .await;
    let waiting = client
        .ask::<ConfigPending>(&NoParams {})
        .await
        .expect("pending");
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert!(waiting[0].rolls_back_in_s < 400.0);
    dying.abort();
    let _ = dying.await;

    // The same command goes on.
    let code = sweep::run(&first, Look::default()).await.expect("sweep");
    let sweep = Sweep::read(&out).expect("file").expect("sweep");
    assert!(is_success(code) && sweep.complete, "{sweep:?}");
    assert_eq!(sweep.points.len(), 2);
    for point in &sweep.points {
        assert!(!point.verdict.is_bad(), "{point:?}");
        assert!(
            point
                .watts
                .is_some_and(|watts| (5.0..30.0).contains(&watts))
        );
        assert!(point.j_per_th.is_some(), "{point:?}");
    }

    // A wider grid keeps what is known, and a voltage that cannot do it is found out early.
    let wider = swept(
        &url,
        &out,
        &[475.0, 500.0, 525.0],
        &[1000.0, 1100.0, 5000.0],
    );
    let code = sweep::run(&wider, Look::default()).await.expect("sweep");
    let sweep = Sweep::read(&out).expect("file").expect("sweep");
    assert!(is_success(code) && sweep.complete, "{sweep:?}");
    assert_eq!(sweep.beyond, 3);
    let low: Vec<_> = sweep
        .points
        .iter()
        .filter(|point| point.at.mv == Some(1000))
        .collect();
    assert!(low.iter().any(|point| point.verdict.is_bad()), "{low:?}");
    assert_eq!(
        sweep
            .points
            .iter()
            .filter(|point| point.at.mv == Some(1100))
            .count(),
        3
    );
    for name in ["sweep.svg", "sweep.png", "sweep.csv"] {
        let file = std::fs::metadata(out.join(name)).expect("file");
        assert!(file.len() > 200, "{name}");
    }

    // Everything is as before, and nothing waits.
    let waiting = client
        .ask::<ConfigPending>(&NoParams {})
        .await
        .expect("pending");
    assert_eq!(waiting, []);
    lab.run_until(PATIENCE, |state| {
        state.stations[0].status.set_points.wanted == before
    })
    .await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_board_is_accepted_with_a_report_and_a_test_goes_on() {
    let (lab, url) = gamma().await;
    let directory = tempfile::tempdir().expect("directory");
    let html = directory.path().join("report.html");
    let json = html.with_extension("json");
    let args = BenchBoardArgs {
        agent: AgentArgs::at(&url),
        minutes: Some(0.15),
        output: Some(html.clone()),
        error_rate: 0.001,
        tolerance: 5.0,
        json: true,
        ..BenchBoardArgs::default()
    };
    let code = bench_board::run(&args, Look::default())
        .await
        .expect("test");
    let read = || -> Report {
        let text = std::fs::read_to_string(&json).expect("report");
        serde_json::from_str(&text).expect("report")
    };
    let report = read();
    assert!(is_success(code), "{:#?}", report.judgement);
    let seen = &report.recording;
    assert!(seen.counted_s >= 9.0 && seen.ended.is_none());
    assert_eq!((seen.chips_found, seen.chips.len()), (1, 1));
    for name in [
        "enumeration",
        "chips",
        "rate",
        "hardware-errors",
        "line",
        "power",
    ] {
        let check = report
            .judgement
            .checks
            .iter()
            .find(|check| check.name == name);
        assert_eq!(check.expect(name).level, Level::Pass, "{check:?}");
    }
    let text = std::fs::read_to_string(&html).expect("report");
    assert!(text.contains("PASS") && text.contains("Bitaxe Gamma"));

    // A little longer.
    let more = BenchBoardArgs {
        minutes: Some(0.2),
        resume: Some(json.clone()),
        output: None,
        ..args
    };
    bench_board::run(&more, Look::default())
        .await
        .expect("test");
    let longer = read().recording;
    assert!(longer.counted_s >= 12.0);
    assert!(longer.counts.nonces > seen.counts.nonces);

    // A board that does not exist cannot be tested.
    let none = BenchBoardArgs {
        agent: AgentArgs::at(&url),
        board: 3,
        output: Some(html),
        error_rate: 0.01,
        tolerance: 5.0,
        ..BenchBoardArgs::default()
    };
    let code = bench_board::run(&none, Look::default())
        .await
        .expect("test");
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(2)));
    lab.stop().await;
}
